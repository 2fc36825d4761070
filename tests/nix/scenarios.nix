# Configurations whose units are compared with expected/NAME.txt.
let
  minimal = {
    enable = true;
    s3 = {
      endpoint = "s3.example.org";
      bucket = "my-cache";
      accessKeyFile = "/run/secrets/access";
      secretKeyFile = "/run/secrets/secret";
    };
    apiTokenFile = "/run/secrets/token";
    signKeyFiles = [ "/run/secrets/key" ];
  };
in
{
  inherit minimal;

  configurations = {
    minimal.services.niks3 = minimal;

    # nginx with client certificates, OIDC, two uploaders, and settings of its own
    # for each program.
    full.services.niks3 = minimal // {
      httpAddr = ":5751";
      serverUrl = "https://niks3.example.org";
      cacheUrl = "https://cache.example.org/a%20b";
      maxNarSize = "2G";
      cachePriority = 40;
      storeDir = "/nix/store";
      signKeyFiles = [ "/run/secrets/old key" "/run/secrets/new%key" ];
      s3 = minimal.s3 // {
        region = "eu-central-1";
        publicUrl = "https://s3.example.net";
        useSSL = false;
        bucketLookup = "path";
        caCertFile = "/etc/ssl/s3.pem";
        concurrency = 64;
        rateLimit = 100;
      };
      oidc.providers.github = {
        issuer = "https://token.actions.githubusercontent.com";
        boundClaims.repository_owner = [ "example" "friend-*" ];
      };
      oidc.providers.cluster = {
        issuer = "https://kubernetes.default.svc";
        jwksUrl = "https://kubernetes.default.svc/openid/v1/jwks";
        bearerTokenFile = "/var/run/token";
        audience = "niks3";
        caFile = "/etc/ssl/cluster.pem";
        rules = [
          { boundSubject = [ "system:serviceaccount:*:reader" ]; scopes = [ "read" ]; }
          { boundSubject = [ "*:ci" ]; scopes = [ "write" ]; pins = [ "ci-*" ]; }
        ];
      };
      readProxy = { enable = true; narinfoCacheSize = "64M"; narinfoCacheTtl = "1m"; };
      nginx = {
        enable = true;
        domain = "niks3.example.org";
        proxyTimeout = "600s";
        mtls = {
          enable = true;
          clientCAFile = "/etc/niks3/ca.pem";
          boundSubjects = [ "CN=ci runner,O=Example" "CN=100%d $USER" ];
          boundSubjectsRead = [ "CN=*,O=\"Example\"" ];
        };
      };
      gc = {
        olderThan = "30d";
        failedUploadsOlderThan = "1h30m";
        schedule = "*-*-* 02:00:00";
        randomizedDelaySec = 0;
        maxShare = 20;
        tokenFile = "/run/secrets/gc-token";
        settings.NIKS3_LOG_LEVEL = "warn";
      };
      server.settings = {
        NIKS3_UPLOAD_LEASE = "2h";
        NIKS3_MAX_NAR_SIZE = null;
      };
      server.extraArgs = [ "--workers=32" ];
      uploader.instances = 2;
      uploader.settings.NIKS3_UPLOADER_CONNECT = [
        "ipc:///run/niks3/upload.sock"
        "ipc:///run/niks3/gc-upload.sock"
      ];
      uploader.settings.NIKS3_S3_SECRET_KEY_PATH = "/run/secrets/of-mine";
      signer.settings.NIKS3_LOG_LEVEL = "debug";
      gcWorker.settings.NIKS3_GC_MAX_SHARE = 30;
      migrate.settings.NIKS3_MIGRATE_TIMEOUT = "30m";
    };

    # A database elsewhere, HTTPS of the server's own, credentials of AWS.
    remote.services.niks3 = minimal // {
      httpAddr = "[::]:443";
      s3 = {
        endpoint = "https://s3.eu-west-1.amazonaws.com";
        bucket = "my-cache";
        useIAM = true;
        iamEnvironmentFile = "/run/secrets/aws";
      };
      uploader.settings.AWS_REGION = "eu-west-1";
      database = {
        createLocally = false;
        connectionStrings = {
          server = "host=db dbname=niks3 user=niks3_server";
          gc = "host=db dbname=niks3 user=niks3_gc";
        };
      };
      migrate.enable = false;
      tls = {
        certFile = "/etc/niks3/cert.pem";
        keyFile = "/run/secrets/tls-key";
        clientCAFile = "/etc/niks3/ca.pem";
        boundSubjects = [ "CN=ci" ];
      };
      gc.serverUrl = "https://niks3.example.org";
    };

    # What a configuration of the Go niks3 may say.
    upstream.services.niks3 = minimal // {
      serverPackage = {
        type = "derivation";
        outPath = "${builtins.storeDir}/niks3-server";
      };
      httpAddr = "/run/niks3-http.sock";
      serverUrl = "https://niks3.example.org";
      oidc.providers.open.issuer = "https://oidc.example.org";
      database = {
        createLocally = false;
        connectionString = "postgres:///niks3?user=niks3";
      };
      nginx = {
        enable = true;
        domain = "niks3.example.org";
        enableACME = false;
        forceSSL = false;
      };
    };

    # Of another machine, which builds.
    auto-upload.services.niks3-auto-upload = {
      enable = true;
      serverUrl = "https://niks3.example.org";
      authTokenFile = "/run/secrets/token";
    };

    auto-upload-full.services.niks3-auto-upload = {
      enable = true;
      serverUrl = "https://niks3.example.org";
      socketPath = "/run/a socket";
      batchSize = 10;
      idleExitTimeout = 0;
      maxConcurrentUploads = 4;
      upstreamCacheKeyNames = [ "cache.nixos.org-1" "example.org-1" ];
      upstreamCaches = [ "https://cache.nixos.org" ];
      debug = true;
      settings.NIKS3_MAX_TRIES = 10;
      extraArgs = [ "--no-logs" ];
      mtls = {
        enable = true;
        clientCert = "/run/secrets/client.crt";
        clientKey = "/run/secrets/client.key";
        caCert = "/etc/niks3/ca.pem";
      };
    };

    # No timer.
    no-gc.services.niks3 = minimal // { gc.enable = false; };
  };
}
