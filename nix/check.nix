# The modules in a real NixOS: the unit files of a machine that has both.
{ lib, pkgs, module }:
let
  machine = lib.nixosSystem {
    modules = [
      module
      {
        nixpkgs.hostPlatform = pkgs.stdenv.hostPlatform.system;
        boot.isContainer = true;
        system.stateVersion = lib.trivial.release;
        services.niks3 = {
          enable = true;
          s3 = {
            endpoint = "s3.example.org";
            bucket = "my-cache";
            accessKeyFile = "/run/secrets/niks3-s3-access-key";
            secretKeyFile = "/run/secrets/niks3-s3-secret-key";
          };
          apiTokenFile = "/run/secrets/niks3-api-token";
          signKeyFiles = [ "/run/secrets/niks3-sign-key" ];
          nginx = {
            enable = true;
            domain = "niks3.example.org";
            enableACME = false;
            forceSSL = false;
          };
        };
        services.niks3-auto-upload = {
          enable = true;
          serverUrl = "http://127.0.0.1:5751";
          authTokenFile = "/run/secrets/niks3-api-token";
        };
      }
    ];
  };
  inherit (machine) config;
  failed = map (a: a.message) (lib.filter (a: !a.assertion) config.assertions);
  ours = lib.filter (lib.hasPrefix "niks3") (lib.attrNames config.systemd.units);
in
if failed != [ ] then throw (lib.concatStringsSep "\n" failed)
else pkgs.linkFarm "niks3-units"
  (map
    (name: {
      inherit name;
      path = "${config.systemd.units.${name}.unit}/${name}";
    })
    ours)
