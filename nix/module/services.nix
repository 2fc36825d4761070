# The units, one for each program, with the names that they have on other systems.
{ config, lib, pkgs, ... }:
let
  inherit (lib)
    attrNames concatMap filterAttrs genAttrs imap1 listToAttrs mapAttrs mkIf nameValuePair
    optional optionalAttrs range;

  niks3 = import ../lib { inherit lib; };
  cfg = config.services.niks3;
  mtls = cfg.nginx.enable && cfg.nginx.mtls.enable;
  address = niks3.parseAddress cfg.httpAddr;

  user = name: "niks3-${name}";
  peer = role: "${role}=${user role}";
  proxySocket = "/run/niks3-proxy/http.sock";

  # Of libpq: the database of this machine, or a database elsewhere.
  connection = role: given:
    if cfg.database.createLocally
    then "host=/run/postgresql dbname=niks3 user=${role}"
    else given;
  database = cfg.database.connectionStrings;
  postgresql = optional cfg.database.createLocally "postgresql.service";
  # From NixOS 25.11 on, this is when users and databases are there.
  postgresqlSetUp = optional cfg.database.createLocally "postgresql.target";

  # { name = file; } of the signing keys.
  signKeys = listToAttrs
    (imap1 (i: file: nameValuePair "sign-key-${toString i}" file) cfg.signKeyFiles);

  oidcConfig = pkgs.writeText "niks3-oidc.json"
    (builtins.toJSON (import ../lib/oidc.nix { inherit lib; } cfg.oidc));

  boundSubjects = flag: globs: concatMap (glob: [ flag glob ]) globs;

  # A service of ours. What a user sets goes before what we set.
  #   program      its name in /bin
  #   unit         in lib/units.nix
  #   options      of it
  #   settings     variables by options of this module
  #   paths        and by credentials, with %d
  #   credentials  { name = file; }
  #   after        beside what the unit says
  service =
    { program
    , unit
    , options
    , settings ? { }
    , paths ? { }
    , credentials ? { }
    , arguments ? [ ]
    , serviceConfig ? { }
    , after ? [ ]
    }:
    let inherit (niks3.units.${unit}) relations; in
    relations // {
      after = relations.after ++ after;
      environment = niks3.environment (settings // options.settings)
        // removeAttrs paths (attrNames options.settings);
      serviceConfig = niks3.units.${unit}.service // {
        ExecStart = niks3.execStart
          ([ (lib.getExe' cfg.package program) ] ++ arguments ++ options.extraArgs);
      } // optionalAttrs (credentials != { }) {
        LoadCredential = niks3.loadCredentials credentials;
      } // serviceConfig;
    };

  server =
    let
      credentials = niks3.credentials {
        api-token = cfg.apiTokenFile;
        tls-cert = cfg.tls.certFile;
        tls-key = cfg.tls.keyFile;
        tls-client-ca = cfg.tls.clientCAFile;
        s3-ca-cert = cfg.s3.caCertFile;
      };
      bound = if mtls then cfg.nginx.mtls else cfg.tls;
    in
    service {
      program = "niks3-server";
      unit = "server";
      options = cfg.server;
      settings = niks3.authorities // {
        NIKS3_DB = connection "niks3_server" database.server;
        NIKS3_HTTP_ADDR = cfg.httpAddr;
        NIKS3_PEERS = map peer [ "signer" "uploader" "gc" ];
        NIX_STORE_DIR = cfg.storeDir;
        NIKS3_CACHE_URL = cfg.cacheUrl;
        NIKS3_MAX_NAR_SIZE = cfg.maxNarSize;
        NIKS3_ENABLE_READ_PROXY = cfg.readProxy.enable;
      } // optionalAttrs cfg.readProxy.enable {
        NIKS3_NARINFO_CACHE_SIZE = cfg.readProxy.narinfoCacheSize;
        NIKS3_NARINFO_CACHE_TTL = cfg.readProxy.narinfoCacheTtl;
      } // optionalAttrs (cfg.oidc.providers != { }) {
        NIKS3_OIDC_CONFIG = oidcConfig;
      } // optionalAttrs mtls {
        # Alone, without addresses: a process that can reach httpAddr is not
        # believed to be the proxy.
        NIKS3_MTLS_PROXY_HEADER = "X-SSL-Client-Verify";
        NIKS3_MTLS_SUBJECT_HEADER = "X-SSL-Client-Dn";
        NIKS3_MTLS_PROXY_SOCKET = proxySocket;
      };
      inherit credentials;
      paths = niks3.credentialPaths credentials {
        NIKS3_API_TOKEN_PATH = "api-token";
        NIKS3_TLS_CERT = "tls-cert";
        NIKS3_TLS_KEY = "tls-key";
        NIKS3_TLS_CLIENT_CA = "tls-client-ca";
        NIKS3_S3_CA_CERT = "s3-ca-cert";
      };
      # By flags: a subject may contain spaces.
      arguments = boundSubjects "--mtls-bound-subject" bound.boundSubjects
        ++ boundSubjects "--mtls-bound-subject-read" bound.boundSubjectsRead;
      after = postgresql;
      serviceConfig = {
        # A certificate that has changed.
        ExecReload = "${pkgs.coreutils}/bin/kill -HUP $MAINPID";
      } // optionalAttrs mtls {
        ReadWritePaths = niks3.units.server.service.ReadWritePaths + " /run/niks3-proxy";
      };
    };

  uploader =
    let
      credentials = niks3.credentials {
        s3-access-key = cfg.s3.accessKeyFile;
        s3-secret-key = cfg.s3.secretKeyFile;
        s3-ca-cert = cfg.s3.caCertFile;
      };
    in
    service {
      program = "niks3-uploader";
      unit = "uploader";
      options = cfg.uploader;
      settings = niks3.authorities // {
        NIKS3_PEERS = map peer [ "server" "gc" ];
        NIKS3_S3_ENDPOINT = cfg.s3.endpoint;
        NIKS3_S3_PUBLIC_URL = cfg.s3.publicUrl;
        NIKS3_S3_BUCKET = cfg.s3.bucket;
        NIKS3_S3_REGION = if cfg.s3.region == "" then null else cfg.s3.region;
        NIKS3_S3_USE_SSL = cfg.s3.useSSL;
        NIKS3_S3_BUCKET_LOOKUP = cfg.s3.bucketLookup;
        NIKS3_S3_USE_IAM = cfg.s3.useIAM;
        NIKS3_S3_CONCURRENCY = cfg.s3.concurrency;
        NIKS3_S3_RATE_LIMIT = cfg.s3.rateLimit;
        NIKS3_CACHE_PRIORITY = cfg.cachePriority;
        NIX_STORE_DIR = cfg.storeDir;
      };
      inherit credentials;
      paths = niks3.credentialPaths credentials {
        NIKS3_S3_ACCESS_KEY_PATH = "s3-access-key";
        NIKS3_S3_SECRET_KEY_PATH = "s3-secret-key";
        NIKS3_S3_CA_CERT = "s3-ca-cert";
      };
      serviceConfig = optionalAttrs (cfg.s3.iamEnvironmentFile != null) {
        EnvironmentFile = niks3.literal (toString cfg.s3.iamEnvironmentFile);
      };
    };

  signer = service {
    program = "niks3-signer";
    unit = "signer";
    options = cfg.signer;
    settings.NIKS3_PEERS = map peer [ "server" ];
    credentials = signKeys;
    paths.NIKS3_SIGN_KEY_PATHS =
      niks3.valueText (map niks3.credential (attrNames signKeys));
  };

  gcWorker = service {
    program = "niks3-gc";
    unit = "gcWorker";
    options = cfg.gcWorker;
    after = postgresql;
    settings = {
      NIKS3_DB = connection "niks3_gc" database.gc;
      NIKS3_PEERS = map peer [ "server" "uploader" ];
    };
  };

  migrate = service {
    program = "niks3-migrate";
    unit = "migrate";
    options = cfg.migrate;
    after = postgresql ++ postgresqlSetUp;
    settings.NIKS3_DB = connection "niks3" database.migrate;
    arguments = [ "up" ];
  };

  gc = service {
    program = "niks3";
    unit = "gc";
    options = cfg.gc;
    settings = niks3.authorities // {
      NIKS3_SERVER_URL =
        if cfg.gc.serverUrl != null then cfg.gc.serverUrl
        else if cfg.tls.certFile == null && address != null && address.origin != null
        then "http://${address.origin}"
        else cfg.serverUrl;
    };
    credentials.api-token = cfg.gc.tokenFile;
    paths.NIKS3_AUTH_TOKEN_FILE = niks3.credential "api-token";
    arguments = [
      "gc"
      "--older-than=${cfg.gc.olderThan}"
      "--pending-older-than=${cfg.gc.failedUploadsOlderThan}"
    ] ++ optional (cfg.gc.maxShare != null) "--max-share=${toString cfg.gc.maxShare}";
  };
in
{
  config = mkIf cfg.enable {
    systemd.targets.niks3 = {
      description = "niks3: Nix binary cache";
      wantedBy = [ "multi-user.target" ];
      wants = map (i: "niks3-uploader@${toString i}.service")
        (range 1 cfg.uploader.instances);
    };

    systemd.sockets.niks3-server = niks3.units.serverSocket.relations // {
      description = "niks3: socket of the API";
      wantedBy = [ "sockets.target" "niks3.target" ];
      # An address that cannot be parsed is told of by an assertion.
      listenStreams = optional (address != null) address.stream;
      socketConfig = niks3.units.serverSocket.socket;
    };

    systemd.services = {
      niks3-server = server // {
        description = "niks3: API of a Nix binary cache";
        wantedBy = [ "niks3.target" ];
      };
      "niks3-uploader@" = uploader // {
        description = "niks3: reads and writes the bucket (%i)";
      };
      niks3-signer = signer // {
        description = "niks3: signs narinfos";
        wantedBy = [ "niks3.target" ];
      };
      niks3-gc-worker = gcWorker // {
        description = "niks3: worker of the garbage collection";
        wantedBy = [ "niks3.target" ];
      };
    } // optionalAttrs cfg.migrate.enable {
      niks3-migrate = migrate // {
        description = "niks3: migrations of the database";
        requires = postgresql;
        wants = migrate.wants ++ postgresqlSetUp;
      };
    } // optionalAttrs cfg.gc.enable {
      niks3-gc = gc // {
        description = "niks3: garbage collection";
      };
    };

    systemd.timers = optionalAttrs cfg.gc.enable {
      niks3-gc = niks3.units.gcTimer.relations // {
        description = "niks3: garbage collection";
        wantedBy = [ "timers.target" "niks3.target" ];
        timerConfig = {
          OnCalendar = cfg.gc.schedule;
          RandomizedDelaySec = cfg.gc.randomizedDelaySec;
          Persistent = true;
        };
      };
    };

    systemd.tmpfiles.rules =
      [ "d /run/niks3 1770 root niks3 -" ]
      ++ optional mtls
        "d /run/niks3-proxy 0710 ${user "server"} ${config.services.nginx.group} -";

    users.groups = genAttrs [ "niks3" "niks3-migrate" ] (_: { });
    users.users = genAttrs (map user [ "server" "uploader" "signer" "gc" "migrate" ])
      (name: {
        isSystemUser = true;
        # It talks to none of the others.
        group = if name == user "migrate" then name else "niks3";
      });
  };
}
