<?php
// SimpleSAMLphp as an identity provider for a journey, with everything of its own
// in the folder $JOURNEY_DIR. It signs its metadata, as a federation would.
$dir = getenv('JOURNEY_DIR') . '/';
$config = [
    'baseurlpath' => getenv('JOURNEY_URL') . '/',
    'certdir' => $dir,
    'loggingdir' => $dir,
    'datadir' => $dir,
    'tempdir' => $dir . 'tmp',
    'metadatadir' => $dir,
    'attributenamemapdir' => '/etc/simplesamlphp/attributemap/',
    'secretsalt' => getenv('JOURNEY_SALT'),
    'auth.adminpassword' => getenv('JOURNEY_SALT'),
    'technicalcontact_name' => 'Journeys',
    'technicalcontact_email' => 'journeys@example.org',
    'timezone' => 'UTC',
    'admin.checkforupdates' => false,
    'showerrors' => true,
    'errorreporting' => false,
    'logging.level' => SimpleSAML\Logger::WARNING,
    'logging.handler' => 'file',
    'enable.saml20-idp' => true,
    'module.enable' => ['exampleauth' => true, 'core' => true, 'saml' => true],
    'session.cookie.secure' => false,
    'session.cookie.samesite' => null,
    'session.phpsession.savepath' => $dir . 'tmp',
    'language.cookie.secure' => false,
    'store.type' => 'phpsession',
    'metadata.sources' => [
        ['type' => 'flatfile', 'directory' => $dir],
        ['type' => 'xml', 'file' => $dir . 'sp.xml'], // what the broker says of itself
    ],
    'metadata.sign.enable' => true,
    'metadata.sign.privatekey' => 'federation.key',
    'metadata.sign.certificate' => 'federation.pem',
    'metadata.sign.algorithm' => 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256',
];
