<?php
$metadata['__DYNAMIC:1__'] = [
    'host' => '__DEFAULT__',
    'privatekey' => 'idp.key',
    'certificate' => 'idp.pem',
    'auth' => 'example',
    'signature.algorithm' => 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256',
    'redirect.validate' => true, // our requests must be signed
    'validate.authnrequest' => true,
    'sign.logout' => true,
    'validate.logout' => true,
    'attributes.NameFormat' => 'urn:oasis:names:tc:SAML:2.0:attrname-format:uri',
    'NameIDFormat' => ['urn:oasis:names:tc:SAML:2.0:nameid-format:persistent'],
    'authproc' => [
        10 => ['class' => 'saml:PersistentNameID', 'attribute' => 'uid'],
        20 => ['class' => 'core:PHP', 'code' => getenv('JOURNEY_AUDIENCE') === false ? '' // for whom its assertions are
            : '$state["SPMetadata"]["entityid"] = ' . var_export(getenv('JOURNEY_AUDIENCE'), true) . ';'],
    ],
    'assertion.encryption' => getenv('JOURNEY_ENCRYPT') === 'yes',
];
