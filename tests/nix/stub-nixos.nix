# What our modules set of NixOS, as far as they do, and packages that are no more
# than their paths.
{ lib }:
let
  inherit (builtins) attrNames;
  inherit (lib) mkOption types;

  option = type: default: mkOption { inherit type default; };
  list = option (types.listOf types.str) [ ];
  # A value in a unit; lists are several lines.
  unitValue = types.oneOf [
    types.bool
    types.int
    types.str
    types.path
    (types.listOf (types.oneOf [ types.int types.str ]))
  ];
  section = option (types.attrsOf unitValue) { };

  unit = {
    description = option types.str "";
    wantedBy = list;
    wants = list;
    requires = list;
    after = list;
    before = list;
    partOf = list;
    unitConfig = section;
  };
  submodule = options: types.submodule { inherit options; };
  units = options: option (types.attrsOf (submodule (unit // options))) { };

  options = {
    assertions = option (types.listOf types.raw) [ ];
    warnings = list;
    nix.settings = option (types.attrsOf types.raw) { };
    nix.package = option types.package (package "nix");
    users.groups = option (types.attrsOf (submodule { })) { };
    users.users = option
      (types.attrsOf (submodule {
        isSystemUser = option types.bool false;
        group = option types.str "";
      }))
      { };
    systemd.tmpfiles.rules = list;
    systemd.targets = units { };
    systemd.services = units {
      environment = option
        (types.attrsOf (types.nullOr (types.oneOf [ types.str types.path types.package ])))
        { };
      path = option (types.listOf types.package) [ ];
      serviceConfig = section;
      restartIfChanged = option types.bool true;
      stopIfChanged = option types.bool true;
    };
    systemd.sockets = units { listenStreams = list; socketConfig = section; };
    systemd.timers = units { timerConfig = section; };
    services.postgresql = {
      enable = option types.bool false;
      ensureDatabases = list;
      ensureUsers = option
        (types.listOf (submodule {
          name = mkOption { type = types.str; };
          ensureDBOwnership = option types.bool false;
        })) [ ];
      identMap = option types.lines "";
      authentication = option types.lines "";
    };
    services.nginx = {
      enable = option types.bool false;
      group = option types.str "nginx";
      virtualHosts = option
        (types.attrsOf (submodule {
          enableACME = option types.bool false;
          addSSL = option types.bool false;
          forceSSL = option types.bool false;
          extraConfig = option types.lines "";
          locations = option
            (types.attrsOf (submodule {
              proxyPass = option (types.nullOr types.str) null;
              recommendedProxySettings = option types.bool false;
              extraConfig = option types.lines "";
            }))
            { };
        }))
        { };
    };
  };

  package = name: {
    type = "derivation";
    inherit name;
    outPath = "${builtins.storeDir}/${name}";
  };

  pkgsFor = system:
    let
      pkgs = {
        inherit lib;
        # Tells what it was built of.
        stdenv = {
          mkDerivation = attrs: attrs // package "${attrs.pname}-${attrs.version}";
          hostPlatform = { inherit system; };
        };
        callPackage = file: overrides:
          let
            f = import file;
            wanted = lib.filterAttrs (name: isOptional: !isOptional || pkgs ? ${name})
              (builtins.functionArgs f);
          in
          f (builtins.mapAttrs (name: _: pkgs.${name}) (removeAttrs wanted (attrNames overrides))
            // overrides);
        writeText = builtins.toFile;
        writeShellScript = builtins.toFile;
        linkFarm = name: links: package name // { inherit links; };
      } // lib.genAttrs [
        "bzip2"
        "cjose"
        "cmocka"
        "coreutils"
        "curl"
        "expat"
        "gnutls"
        "jansson"
        "libmicrohttpd"
        "libpq"
        "libseccomp"
        "libsodium"
        "msgpack-c"
        "nng"
        "openssl"
        "pkg-config"
        "sqlite"
        "zstd"
      ]
        package;
    in
    pkgs;

  evaluate = modules: lib.evalModules {
    modules = [{ inherit options; }] ++ modules;
    specialArgs.pkgs = pkgsFor "x86_64-linux";
  };
in
{
  inherit evaluate pkgsFor;

  # For nix/check.nix: units are no more than their names.
  nixosSystem = { modules }: evaluate (modules ++ [
    ({ config, ... }: {
      options = {
        nixpkgs.hostPlatform = mkOption { type = types.str; };
        boot.isContainer = option types.bool false;
        system.stateVersion = mkOption { type = types.str; };
        systemd.units = option (types.attrsOf types.raw) { };
      };
      config.systemd.units = lib.mkMerge (map
        (kind: lib.mapAttrs'
          (name: _: lib.nameValuePair "${name}.${kind}" { unit = package "unit-${name}"; })
          config.systemd."${kind}s")
        [ "service" "socket" "target" "timer" ]);
    })
  ]);
}
