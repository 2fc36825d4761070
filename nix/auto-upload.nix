# services.niks3-auto-upload: whatever this machine builds is pushed. Nix hands the
# paths to niks3-hook, which keeps them on disk and pushes them by and by.
{ config, lib, pkgs, ... }:
let
  inherit (lib)
    literalExpression mkEnableOption mkIf mkOption mkRemovedOptionModule optionalAttrs
    types;

  niks3 = import ./lib { inherit lib; };
  cfg = config.services.niks3-auto-upload;
  here = "services.niks3-auto-upload";

  option = type: default: description: mkOption { inherit type default description; };
  file = example: description: mkOption {
    type = types.nullOr types.path;
    default = null;
    inherit example;
    description = "${description} A file on the machine, given as a string.";
  };

  # Nix wants one program without arguments.
  hook = pkgs.writeShellScript "niks3-post-build-hook" ''
    exec ${lib.getExe' cfg.package "niks3-hook"} send \
      --socket ${lib.escapeShellArg cfg.socketPath}
  '';

  credentials = niks3.credentials ({
    auth-token = cfg.authTokenFile;
  } // optionalAttrs cfg.mtls.enable {
    client-cert = cfg.mtls.clientCert;
    client-key = cfg.mtls.clientKey;
    ca-cert = cfg.mtls.caCert;
  });
  paths = {
    XDG_CACHE_HOME = "%C/niks3-hook";
  } // niks3.credentialPaths credentials {
    NIKS3_AUTH_TOKEN_FILE = "auth-token";
    NIKS3_CLIENT_CERT = "client-cert";
    NIKS3_CLIENT_KEY = "client-key";
    NIKS3_CA_CERT = "ca-cert";
  };
in
{
  imports = [
    (mkRemovedOptionModule [ "services" "niks3-auto-upload" "verifyS3Integrity" ]
      "The server makes sure of every object that it says it has.")
  ];

  options.services.niks3-auto-upload = {
    enable = mkEnableOption "pushing whatever this machine builds to a niks3 server";

    package = mkOption {
      type = types.package;
      default = pkgs.callPackage ./package.nix { };
      defaultText = literalExpression "pkgs.callPackage ./nix/package.nix { }";
      description = "The package with `niks3-hook` and `niks3`.";
    };

    serverUrl = mkOption {
      type = types.str;
      example = "https://niks3.example.org";
      description = "The niks3 server.";
    };

    authTokenFile = file "/run/secrets/niks3-token" ''
      The token to push with; one of scope `write` is enough. It may be left out with
      `mtls.enable`.
    '';

    socketPath = option types.path "/run/niks3/upload-to-cache.sock" ''
      Where the daemon listens; root, who runs the hook, may connect.
    '';

    batchSize = option types.ints.positive 50 "Paths that are pushed at once.";

    idleExitTimeout = option types.ints.unsigned 60 ''
      Seconds without work after which the daemon ends, until the next build; 0: never.
    '';

    maxConcurrentUploads = option (types.ints.between 1 256) 30 ''
      Objects that are written at once.
    '';

    upstreamCacheKeyNames = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "cache.nixos.org-1" ];
      description = "Paths that are signed by one of these keys are not pushed.";
    };

    upstreamCaches = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "https://cache.nixos.org" ];
      description = "Paths that one of these caches has are not pushed.";
    };

    debug = option types.bool false "Whether to log what is only of use to find a fault.";

    settings = mkOption {
      type = niks3.variablesType;
      default = { };
      example = { NIKS3_MAX_TRIES = 10; };
      description = ''
        Variables for `niks3-hook serve`, beside and before what other options set.
        Names that it does not know are refused.
      '';
    };

    extraArgs = option (types.listOf types.str) [ ] ''
      Further arguments for `niks3-hook serve`. Everybody can read them.
    '';

    mtls = {
      enable = mkEnableOption "showing a client certificate to the server";
      clientCert = file "/run/secrets/niks3-client.crt" "The certificate.";
      clientKey = file "/run/secrets/niks3-client.key" "And its key.";
      caCert = file "/etc/niks3/ca.pem" ''
        Authorities that the server's certificate is checked by, instead of the
        system's.
      '';
    };
  };

  config = mkIf cfg.enable {
    assertions = [
      {
        assertion = cfg.authTokenFile != null || cfg.mtls.enable;
        message = "${here}: nothing to push with: set authTokenFile, or mtls.enable.";
      }
      {
        assertion = !cfg.mtls.enable
          || cfg.mtls.clientCert != null && cfg.mtls.clientKey != null;
        message = "${here}.mtls: set clientCert and clientKey.";
      }
      (niks3.secretFile "${here}.authTokenFile" cfg.authTokenFile)
      (niks3.secretFile "${here}.mtls.clientKey" cfg.mtls.clientKey)
    ] ++ niks3.knownVariables "${here}.settings" niks3.programs.hook cfg.settings;

    nix.settings.post-build-hook = toString hook;

    systemd.sockets.niks3-hook = niks3.units.hookSocket.relations // {
      description = "niks3: paths to be pushed";
      wantedBy = [ "sockets.target" ];
      listenStreams = [ (niks3.literal (toString cfg.socketPath)) ];
      socketConfig = niks3.units.hookSocket.socket;
    };

    systemd.services.niks3-hook = niks3.units.hook.relations // {
      description = "niks3: pushes what was built";
      # What was left when the machine went down is pushed without waiting for the
      # next build.
      wantedBy = [ "multi-user.target" ];
      path = [ config.nix.package ];
      environment = niks3.environment (niks3.authorities // {
        NIKS3_SERVER_URL = cfg.serverUrl;
        NIKS3_HOOK_SOCKET = cfg.socketPath;
        NIKS3_BATCH_SIZE = cfg.batchSize;
        NIKS3_HOOK_IDLE_EXIT_TIMEOUT = "${toString cfg.idleExitTimeout}s";
        NIKS3_MAX_CONCURRENT_UPLOADS = cfg.maxConcurrentUploads;
        NIKS3_SKIP_SIGNED_BY = cfg.upstreamCacheKeyNames;
        NIKS3_UPSTREAM_CACHES = cfg.upstreamCaches;
        NIKS3_LOG_LEVEL = if cfg.debug then "debug" else null;
      } // cfg.settings) // removeAttrs paths (lib.attrNames cfg.settings);
      serviceConfig = niks3.units.hook.service // {
        ExecStart = niks3.execStart
          ([ (lib.getExe' cfg.package "niks3-hook") "serve" ] ++ cfg.extraArgs);
        LoadCredential = niks3.loadCredentials credentials;
      };
    };
  };
}
