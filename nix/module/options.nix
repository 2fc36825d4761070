# The options of services.niks3; nix/options.md lists them.
{ config, lib, pkgs, ... }:
let
  inherit (lib) literalExpression mkEnableOption mkOption types;

  niks3 = import ../lib { inherit lib; };
  cfg = config.services.niks3;

  option = type: default: description: mkOption { inherit type default description; };
  required = type: example: description: mkOption { inherit type example description; };

  nullOrStr = types.nullOr types.str;
  nullOrPath = types.nullOr types.path;
  # Go's, with d and w beside its units.
  duration = types.strMatching "0|([0-9]+(\\.[0-9]+)?(ns|us|µs|ms|s|m|h|d|w))+";
  size = types.either types.ints.unsigned (types.strMatching "[0-9]+([kKMGTPE](i?B)?)?");
  theString = "config.services.niks3.database.connectionString";

  globs = option (types.listOf types.str) [ ];

  fromStore = "A file on the machine, given as a string; not one in the Nix store.";

  # What each program has.
  program = name: {
    settings = mkOption {
      type = niks3.variablesType;
      default = { };
      example = { NIKS3_LOG_LEVEL = "debug"; };
      description = ''
        Variables for `${name}`, beside and before what other options set. Names that
        it does not know are refused; `${name} --help` tells what they mean.
        Null is as good as not set.
      '';
    };
    extraArgs = option (types.listOf types.str) [ ] ''
      Further arguments for `${name}`, for what has no variable. Everybody can read
      them.
    '';
  };

  ruleOptions = {
    boundClaims = option (types.attrsOf (types.listOf types.str)) { } ''
      Claims that a token must have: each of them, with a value that fits one of its
      globs (`*`, `?`).
    '';
    boundSubject = globs "Globs, one of which must fit the subject; none: any subject.";
    pins = globs ''
      Names of pins, as globs, that are reserved for these tokens.
    '';
  };

  scopes = types.listOf (types.enum [ "read" "write" "pin" "gc" "admin" ]);

  rule = types.submodule {
    options = ruleOptions // {
      scopes = required scopes [ "write" ] "What a token that fits may do.";
    };
  };

  provider = types.submodule {
    options = ruleOptions // {
      issuer = mkOption {
        type = nullOrStr;
        default = null;
        example = "https://token.actions.githubusercontent.com";
        description = ''
          The issuer's URL. It may be left out where `bearerTokenFile` is a token of it.
        '';
      };
      audience = mkOption {
        type = nullOrStr;
        default = cfg.serverUrl;
        defaultText = literalExpression "config.services.niks3.serverUrl";
        example = "https://niks3.example.org";
        description = "The audience that tokens must be made for.";
      };
      scopes = option scopes [ ] ''
        What a token that fits `boundClaims` and `boundSubject` may do; none: `write`.
      '';
      rules = option (types.listOf rule) [ ] ''
        Several of these instead of one; a token has the scopes of all rules that fit.
      '';
      jwksUrl = option nullOrStr null "Where the keys are, instead of by discovery.";
      caFile = option nullOrPath null ''
        Authorities for the provider's certificate. The user `niks3-server` must be able
        to read it; what lies below `/etc/niks3` it cannot.
      '';
      bearerTokenFile = option nullOrPath null ''
        A token to fetch the keys with, such as that of a Kubernetes service account.
        The same holds for it.
      '';
    };
  };
in
{
  options.services.niks3 = {
    enable = mkEnableOption
      "niks3, the write gate and garbage collector of a Nix binary cache in S3";

    package = mkOption {
      type = types.package;
      default = pkgs.callPackage ../package.nix { };
      defaultText = literalExpression "pkgs.callPackage ./nix/package.nix { }";
      description = "The package with all programs of niks3.";
    };

    httpAddr = mkOption {
      type = types.str;
      default = "127.0.0.1:5751";
      example = "[::]:5751";
      description = ''
        Where the server listens: `ADDRESS:PORT`, `:PORT` for every address, or the path
        of a unix socket.
      '';
    };

    serverUrl = mkOption {
      type = nullOrStr;
      default = null;
      example = "https://niks3.example.org";
      description = ''
        Where clients reach the server. It is the audience of OIDC tokens, and what
        `niks3-gc.service` talks to where the server cannot be reached at
        `httpAddr` by plain HTTP.
      '';
    };

    cacheUrl = mkOption {
      type = nullOrStr;
      default = null;
      example = "https://cache.example.org";
      description = ''
        Where clients read the cache. With it the server writes its landing page into
        the bucket, too, as `index.html`.
      '';
    };

    storeDir = option types.path "/nix/store" "The store directory of the cache.";

    maxNarSize = option size 0 "The largest NAR that clients should push; 0: any.";

    cachePriority = option (types.ints.between 0 1000) 30
      "Priority in `nix-cache-info`: a lower one is asked first.";

    apiTokenFile = required types.path "/run/secrets/niks3-api-token" ''
      The token that may do everything, of 36 characters or more. ${fromStore}
    '';

    signKeyFiles = mkOption {
      type = types.listOf types.path;
      default = [ ];
      example = [ "/run/secrets/niks3-sign-key" ];
      description = ''
        Keys of `nix key generate-secret`; every narinfo is signed with each.
        ${fromStore}
      '';
    };

    database = {
      createLocally = option types.bool true ''
        Whether to use PostgreSQL on this machine: the database `niks3`, owned by the
        role of that name, and the roles `niks3_server` and `niks3_gc`, each for one
        user of the system.
      '';
      connectionString = mkOption {
        type = nullOrStr;
        default = null;
        example = "host=db.example.org dbname=niks3 user=niks3 sslmode=verify-full";
        description = ''
          A connection string of libpq for all programs, where `createLocally` is off.
          With one role for all, the server may do what only the garbage collection
          needs to: prefer those below. Everybody can read it, so it must hold no
          password.
        '';
      };
      connectionStrings = let defaultText = literalExpression theString; in {
        server = mkOption {
          type = nullOrStr;
          default = cfg.database.connectionString;
          inherit defaultText;
          example = "host=db.example.org dbname=niks3 user=niks3_server";
          description = "For `niks3-server`, as the role `niks3_server`.";
        };
        gc = mkOption {
          type = nullOrStr;
          default = cfg.database.connectionString;
          inherit defaultText;
          example = "host=db.example.org dbname=niks3 user=niks3_gc";
          description = "For `niks3-gc`, as the role `niks3_gc`.";
        };
        migrate = mkOption {
          type = nullOrStr;
          default = cfg.database.connectionString;
          inherit defaultText;
          example = "host=db.example.org dbname=niks3 user=niks3";
          description = "For `niks3-migrate`, as the owner of the schema.";
        };
      };
    };

    s3 = {
      endpoint = required types.str "s3.eu-central-1.amazonaws.com" ''
        The S3 server, `HOST` or `HOST:PORT`, or its URL.
      '';
      publicUrl = mkOption {
        type = nullOrStr;
        default = null;
        example = "https://s3.example.org";
        description = "Where clients reach the S3 server, if not at `endpoint`.";
      };
      bucket = required types.str "my-cache" "The bucket of the cache.";
      region = option types.str "" "The bucket's region; empty: found out.";
      useSSL = option types.bool true ''
        Whether to use HTTPS where `endpoint` has no scheme.
      '';
      bucketLookup = option (types.enum [ "auto" "dns" "path" ]) "auto" ''
        Where the bucket stands in URLs: in the host's name or in the path.
      '';
      accessKeyFile = mkOption {
        type = nullOrPath;
        default = null;
        example = "/run/secrets/niks3-s3-access-key";
        description = "File with the access key. ${fromStore}";
      };
      secretKeyFile = mkOption {
        type = nullOrPath;
        default = null;
        example = "/run/secrets/niks3-s3-secret-key";
        description = "File with the secret key. ${fromStore}";
      };
      useIAM = option types.bool false ''
        Whether the uploader takes credentials as AWS's SDKs find them, instead of the
        two files: the environment, a web identity, a container's or an instance's role.
      '';
      iamEnvironmentFile = option nullOrPath null ''
        With `useIAM`: a file with variables that are secret, such as
        `AWS_SECRET_ACCESS_KEY=…`, for the uploader. Others go into
        `services.niks3.uploader.settings`. ${fromStore}
      '';
      caCertFile = option nullOrPath null ''
        Authorities that the S3 server's certificate is checked by, instead of the
        system's.
      '';
      concurrency = option (types.ints.between 1 1000) 16 ''
        Requests to S3 at once, of each uploader.
      '';
      rateLimit = option types.ints.unsigned 0 ''
        Requests a second to start with; 0: no limit until S3 asks for one.
      '';
    };

    oidc = {
      providers = mkOption {
        type = types.attrsOf provider;
        default = { };
        example = literalExpression ''
          {
            github = {
              issuer = "https://token.actions.githubusercontent.com";
              audience = "https://niks3.example.org";
              boundClaims.repository_owner = [ "example" ];
            };
          }
        '';
        description = "Whose OIDC tokens are accepted, and what they may do.";
      };
      allowInsecure = option types.bool false ''
        Whether issuers may be reached by plain HTTP. For tests only.
      '';
    };

    tls = {
      certFile = option nullOrPath null ''
        Serve HTTPS with this certificate. The unit must be restarted when it changes.
      '';
      keyFile = option nullOrPath null "And this key. ${fromStore}";
      clientCAFile = option nullOrPath null ''
        Accept client certificates of these authorities.
      '';
      boundSubjects = globs ''
        Subjects of client certificates, as globs, that may do everything. With neither
        list, every verified certificate may.
      '';
      boundSubjectsRead = globs ''
        Subjects that may read; the read proxy is then closed to everybody else.
      '';
    };

    readProxy = {
      enable = mkEnableOption "the read proxy, for a bucket that readers do not see";
      narinfoCacheSize = option size "32M" "Narinfos kept in memory.";
      narinfoCacheTtl = option duration "10s" "And for how long.";
    };

    nginx = {
      enable = mkEnableOption "nginx in front of the server";
      domain = required types.str "niks3.example.org" "Name of the virtual host.";
      enableACME = option types.bool true "Whether to get a certificate by ACME.";
      forceSSL = option types.bool true "Whether to redirect HTTP to HTTPS.";
      proxyTimeout = option types.str "300s" ''
        How long nginx waits for the server: to connect, to send, to read.
      '';
      clientMaxBodySize = option types.str "128m" ''
        The largest body of a request; the server itself takes as much.
      '';
      mtls = {
        enable = mkEnableOption "client certificates, verified by nginx";
        clientCAFile = required types.path "/etc/niks3/client-ca.pem" ''
          Authorities that nginx verifies client certificates by.
        '';
        require = option types.bool false ''
          Whether everybody needs one; otherwise a bearer token does as well.
        '';
        boundSubjects = globs ''
          Subjects, as globs, that may do everything. With neither list, every verified
          certificate may.
        '';
        boundSubjectsRead = globs ''
          Subjects that may read; the read proxy is then closed to everybody else, and
          nginx asks everybody for a certificate.
        '';
      };
    };

    gc = {
      enable = option types.bool true "Whether to collect garbage by a timer.";
      olderThan = option duration "720h" ''
        Closures that nobody pushed for so long, and no pin keeps, go.
      '';
      failedUploadsOlderThan = option duration "6h" ''
        Uploads whose lease is gone for so long are ended; also the grace between
        marking an object and deleting it.
      '';
      schedule = option types.str "daily" "When, as of {manpage}`systemd.time(7)`.";
      randomizedDelaySec = option types.ints.unsigned 1800 ''
        Seconds, the run starts up to so much later.
      '';
      maxShare = option (types.nullOr (types.ints.between 1 100)) null ''
        A run that would take more than this percentage of all live objects stops.
        Null: as the worker says, 50.
      '';
      serverUrl = mkOption {
        type = nullOrStr;
        default = null;
        example = "https://niks3.example.org";
        description = ''
          The server that is asked. Null: the one of this machine, at `httpAddr`; where
          that is a unix socket or HTTPS, `services.niks3.serverUrl`.
        '';
      };
      tokenFile = mkOption {
        type = types.path;
        default = cfg.apiTokenFile;
        defaultText = literalExpression "config.services.niks3.apiTokenFile";
        description = ''
          The token for it; one of scope `gc` is enough. ${fromStore}
        '';
      };
    } // program "niks3 gc";

    server = program "niks3-server";
    uploader = program "niks3-uploader" // {
      instances = option types.ints.positive 1 "How many of them to start.";
    };
    signer = program "niks3-signer";
    gcWorker = program "niks3-gc";
    migrate = program "niks3-migrate" // {
      enable = option types.bool true ''
        Whether to bring the schema of the database up to date before the others start.
      '';
    };
  };
}
