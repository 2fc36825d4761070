# Configurations that must be refused, and how: `says` is an extended regular
# expression of what exactly one assertion says, or else of the error.
{ lib, minimal }:
let
  with' = changes: { services.niks3 = lib.recursiveUpdate minimal changes; };
  without = names: { services.niks3 = builtins.removeAttrs minimal names; };
  case = configuration: says: { inherit configuration says; };
  provider = p: with' {
    oidc.providers.x = { issuer = "https://i"; audience = "a"; } // p;
  };
  hook = changes: {
    services.niks3-auto-upload = {
      enable = true;
      serverUrl = "https://niks3.example.org";
      authTokenFile = "/run/token";
    } // changes;
  };
  https = t: with' {
    tls = { certFile = "/c"; keyFile = "/k"; } // t;
    gc.serverUrl = "https://h";
  };
  elsewhere = strings: with' {
    database.createLocally = false;
    database.connectionStrings = {
      server = "host=a";
      gc = "host=a";
      migrate = "host=a";
    } // strings;
  };
  nginx = n: with' { nginx = { enable = true; domain = "d"; } // n; };
  mtls = n: nginx ({ mtls = { enable = true; clientCAFile = "/c"; }; } // n);
in
{
  assertions = {
    no-s3-credentials = case
      (with' { s3.secretKeyFile = null; })
      "^services\\.niks3\\.s3: the uploader needs credentials";
    iam-and-keys = case
      (with' { s3.useIAM = true; })
      "useIAM and accessKeyFile or secretKeyFile exclude each other";
    iam-environment-alone = case
      (with' { s3.iamEnvironmentFile = "/run/aws"; })
      "iamEnvironmentFile needs useIAM";
    no-signing-key = case
      (with' { signKeyFiles = [ ]; })
      "signKeyFiles: no signing key";
    token-in-store = case
      (with' { apiTokenFile = "${builtins.storeDir}/x-token"; gc.tokenFile = "/run/t"; })
      "apiTokenFile: .*/x-token is in the Nix store";
    gc-token-in-store = case
      (with' { gc.tokenFile = "${builtins.storeDir}/x-token"; })
      "gc\\.tokenFile: .* is in the Nix store";
    sign-key-in-store = case
      (with' { signKeyFiles = [ "/run/key" "${builtins.storeDir}/x-key" ]; })
      "signKeyFiles: .*/x-key is in the Nix store";
    access-key-in-store = case
      (with' { s3.accessKeyFile = "${builtins.storeDir}/x"; })
      "s3\\.accessKeyFile: .* is in the Nix store";
    secret-key-in-store = case
      (with' { s3.secretKeyFile = "${builtins.storeDir}/x"; })
      "s3\\.secretKeyFile: .* is in the Nix store";
    tls-key-in-store = case
      (https { keyFile = "${builtins.storeDir}/x"; })
      "tls\\.keyFile: .* is in the Nix store";
    no-database = case
      (elsewhere { migrate = null; })
      "createLocally is off.*connectionStrings\\.migrate";
    database-twice = case
      (with' { database.connectionString = "host=a"; })
      "connectionString is for a database elsewhere";
    database-string-twice = case
      (with' { database.connectionStrings.gc = "host=a"; })
      "connectionStrings\\.gc is for a database elsewhere";
    password = case
      (elsewhere { server = "host=a password=b"; })
      "connectionStrings\\.server: it holds a password";
    password-in-url = case
      (elsewhere { gc = "postgres://u:pw@h/d"; })
      "connectionStrings\\.gc: it holds a password";
    address = case
      (with' { httpAddr = "cache.example.org:5751"; })
      "httpAddr: \"cache\\.example\\.org:5751\" is no address";
    half-a-certificate = case
      (https { keyFile = null; })
      "tls: certFile and keyFile belong together";
    client-ca-alone = case
      (with' { tls.clientCAFile = "/c"; })
      "clientCAFile needs certFile";
    subjects-alone = case
      (with' { tls.boundSubjects = [ "CN=x" ]; })
      "boundSubjects and boundSubjectsRead need clientCAFile";
    nginx-and-tls = case
      (lib.recursiveUpdate (https { }) (nginx { }))
      "nginx\\.enable and tls\\.certFile exclude each other";
    mtls-without-nginx = case
      (with' { nginx.mtls.enable = true; })
      "mtls\\.enable needs nginx\\.enable";
    mtls-at-a-socket = case
      (lib.recursiveUpdate (mtls { }) {
        services.niks3 = { httpAddr = "/run/s"; serverUrl = "https://h"; };
      })
      "httpAddr cannot be a unix socket";
    mtls-without-https = case
      (mtls { enableACME = false; forceSSL = false; })
      "no client certificates without HTTPS";
    gc-at-a-socket = case
      (with' { httpAddr = "/run/niks3.sock"; })
      "gc: the server listens at a unix socket or by HTTPS";
    gc-by-https = case
      (with' { tls.certFile = "/c"; tls.keyFile = "/k"; })
      "gc: the server listens at a unix socket or by HTTPS";
    oidc-without-issuer = case
      (provider { issuer = null; boundSubject = [ "x" ]; })
      "oidc\\.providers\\.x: set issuer";
    oidc-without-audience = case
      (provider { audience = null; boundSubject = [ "x" ]; })
      "oidc\\.providers\\.x: set audience";
    oidc-rules-and-bounds = case
      (provider {
        boundSubject = [ "x" ];
        rules = [{ boundSubject = [ "y" ]; scopes = [ "read" ]; }];
      })
      "with rules, the boundClaims";
    oidc-name = case
      (with' {
        oidc.providers."a b" = { issuer = "https://i"; audience = "a"; boundSubject = [ "x" ]; };
      })
      "a name is 1 to 64 letters.*\"a b\"";
    unknown-variable = case
      (with' { server.settings.NIKS3_HTTP_ADDRESS = ":1"; })
      "services\\.niks3\\.server\\.settings\\.NIKS3_HTTP_ADDRESS: there is no such variable";
    secret-variable = case
      (with' { server.settings.NIKS3_API_TOKEN = "x"; })
      "server\\.settings\\.NIKS3_API_TOKEN: everybody can read.*services\\.niks3\\.apiTokenFile";
    secret-of-aws = case
      (with' { uploader.settings.AWS_SECRET_ACCESS_KEY = "x"; })
      "AWS_SECRET_ACCESS_KEY: everybody can read.*s3\\.iamEnvironmentFile";
    list-with-a-space = case
      (with' { gcWorker.settings.NIKS3_PEERS = [ "server=a b" ]; })
      "gcWorker\\.settings\\.NIKS3_PEERS: the items of a list";
    user = case
      (with' { user = "cache"; })
      "`services\\.niks3\\.user' no longer has any effect.*user of its own";
    group = case
      (with' { group = "cache"; })
      "`services\\.niks3\\.group' no longer has any effect";
    sign-program = case
      (with' { signProgram = "/bin/x"; })
      "`services\\.niks3\\.signProgram' no longer has any effect.*niks3-signer";
    sign-public-key = case
      (with' { signPublicKey = "a:b"; })
      "`services\\.niks3\\.signPublicKey' no longer has any effect";
    hook-without-credential = case
      (hook { authTokenFile = null; })
      "niks3-auto-upload: nothing to push with";
    hook-half-a-certificate = case
      (hook { mtls = { enable = true; clientCert = "/c"; }; })
      "niks3-auto-upload\\.mtls: set clientCert and clientKey";
    hook-token-in-store = case
      (hook { authTokenFile = "${builtins.storeDir}/x"; })
      "niks3-auto-upload\\.authTokenFile: .* is in the Nix store";
    hook-key-in-store = case
      (hook {
        mtls = { enable = true; clientCert = "/c"; clientKey = "${builtins.storeDir}/x"; };
      })
      "niks3-auto-upload\\.mtls\\.clientKey: .* is in the Nix store";
    hook-variable = case
      (hook { settings.NIKS3_TRIES = 1; })
      "niks3-auto-upload\\.settings\\.NIKS3_TRIES: there is no such variable";
    hook-verify = case
      (hook { verifyS3Integrity = true; })
      "verifyS3Integrity' no longer has any effect";
  };

  # What the module system itself says.
  errors = {
    no-token = case
      (without [ "apiTokenFile" ])
      "`services\\.niks3\\.apiTokenFile' was accessed but has no value";
    no-endpoint = case
      { services.niks3 = minimal // { s3 = builtins.removeAttrs minimal.s3 [ "endpoint" ]; }; }
      "`services\\.niks3\\.s3\\.endpoint' was accessed but has no value";
    misspelt = case
      (with' { htpAddr = ":1"; })
      "option `services\\.niks3\\.htpAddr' does not exist";
    relative-path = case
      (with' { apiTokenFile = "token"; })
      "`services\\.niks3\\.apiTokenFile' is not of type `absolute path'";
    lookup = case
      (with' { s3.bucketLookup = "both"; })
      "`services\\.niks3\\.s3\\.bucketLookup' is not of type `one of";
    duration = case
      (with' { gc.olderThan = "30 days"; })
      "`services\\.niks3\\.gc\\.olderThan' is not of type `string matching";
    size = case
      (with' { maxNarSize = "2 gigabytes"; })
      "`services\\.niks3\\.maxNarSize' is not of type";
    scope = case
      (with' { oidc.providers.x.rules = [{ scopes = [ "root" ]; }]; })
      "`services\\.niks3\\.oidc\\.providers\\.x\\.rules\\.\\[1\\]\\.scopes\\.\\[1\\]' is not of type `one of";
    share = case
      (with' { gc.maxShare = 101; })
      "`services\\.niks3\\.gc\\.maxShare' is not of type";
    instances = case
      (with' { uploader.instances = 0; })
      "`services\\.niks3\\.uploader\\.instances' is not of type `positive integer";
  };
}
