# LemonLDAP::NG's portal as an OpenID provider, with everything of its own in the
# folder $DIR: its demonstration accounts, and one more with a civil identity.
# Settings come from the environment; nothing of the system's own is read.
use strict;
use warnings;
use Crypt::OpenSSL::RSA;
use JSON;

my ( $dir, $issuer ) = @ENV{qw(DIR ISSUER)};
my $key = Crypt::OpenSSL::RSA->generate_key(2048);
mkdir "$dir/$_" for qw(conf sessions sessions/lock cache);

my %exported = map { $_ => $_ } qw(uid mail given_name family_name birthdate gender birthplace birthcountry);
my %storage  = ( Directory => "$dir/sessions", LockDirectory => "$dir/sessions/lock", generateModule => 'Lemonldap::NG::Common::Apache::Session::Generate::SHA256' );
my %conf     = (
    cfgNum => 1, cfgDate => time, key => unpack( 'H*', join '', map { chr int rand 256 } 1 .. 16 ),
    portal => "$issuer/", domain => '127.0.0.1', trustedDomains => '*', securedCookie => 0, locationRules => {},
    authentication => 'Demo', userDB => 'Same', passwordDB => 'Demo', registerDB => 'Null',
    demoExportedVars         => \%exported,
    disablePersistentStorage => 1,    # it asks for consent each time
    captcha => 'Journey::NoCaptcha',    # its own loads an image library, wanted or not
    globalStorage => 'Apache::Session::File', globalStorageOptions => \%storage,
    localSessionStorage => 'Cache::FileCache', localSessionStorageOptions => { cache_root => "$dir/cache", namespace => 'sessions' },
    issuerDBOpenIDConnectActivation => 1,
    oidcServiceMetaDataIssuer       => $issuer,
    oidcServicePrivateKeySig        => $key->get_private_key_string,
    oidcServicePublicKeySig         => $key->get_public_key_x509_string,
    oidcServiceKeyIdSig             => 'journey',
    # A password is level 1 there, and nothing else signs anybody in.
    oidcServiceMetaDataAuthnContext => { eidas1 => 1, eidas2 => 3 },
    oidcRPMetaDataOptions => { broker => {
        oidcRPMetaDataOptionsClientID => $ENV{CLIENT_ID}, oidcRPMetaDataOptionsClientSecret => $ENV{CLIENT_SECRET},
        oidcRPMetaDataOptionsDisplayName => 'Voussoir', oidcRPMetaDataOptionsUserIDAttr => 'uid',
        oidcRPMetaDataOptionsIDTokenSignAlg => 'RS256', oidcRPMetaDataOptionsRequirePKCE => 1,
        oidcRPMetaDataOptionsRedirectUris => $ENV{REDIRECT_URI},
        oidcRPMetaDataOptionsPostLogoutRedirectUris => $ENV{POST_LOGOUT_URI},
    } },
    oidcRPMetaDataExportedVars => { broker => { %exported, email => 'mail' } },
    oidcRPMetaDataOptionsExtraClaims => { broker => { birth => 'birthplace birthcountry' } },
);
open my $json, '>:encoding(UTF-8)', "$dir/conf/lmConf-1.json" or die $!;
print {$json} JSON->new->canonical->encode( \%conf );
close $json or die $!;
open my $ini, '>', "$dir/lemonldap-ng.ini" or die $!;
print {$ini} <<"INI";
[all]
logLevel = warn
logger = Lemonldap::NG::Common::Logger::Std
userLogger = Lemonldap::NG::Common::Logger::Std
[configuration]
type = File
dirName = $dir/conf
[portal]
templateDir = /usr/share/lemonldap-ng/portal/templates
staticPrefix = /static
languages = en
INI
close $ini or die $!;

$ENV{LLNG_DEFAULTCONFFILE} = "$dir/lemonldap-ng.ini";
require Lemonldap::NG::Portal::Main;
require Lemonldap::NG::Portal::UserDB::Demo;
{
    no warnings 'once';
    $Lemonldap::NG::Portal::UserDB::Demo::demoAccounts{camille} = {
        uid => 'camille', cn => 'Camille Dubois', mail => 'camille@example.org',
        given_name => 'Camille Jeanne', family_name => 'Dubois', birthdate => '1990-05-17', gender => 'female',
        birthplace => '75107', birthcountry => '99100',
    };
}
{
    package Journey::NoCaptcha;
    use Mouse;
    extends 'Lemonldap::NG::Common::Module';
    sub init { 1 }
    $INC{'Journey/NoCaptcha.pm'} = __FILE__;
}
Lemonldap::NG::Portal::Main->run( {} );
