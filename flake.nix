{
  description = "Write gate and garbage collector of a Nix binary cache in S3";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs = { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      systems = [ "x86_64-linux" "aarch64-linux" ];
      eachSystem = f: lib.genAttrs systems (system: f nixpkgs.legacyPackages.${system});
    in
    {
      packages = eachSystem (pkgs: rec {
        niks3 = pkgs.callPackage ./nix/package.nix { };
        default = niks3;
      });

      overlays.default = import ./nix/overlay.nix;

      nixosModules = rec {
        niks3 = ./nix/module.nix;
        niks3-auto-upload = ./nix/auto-upload.nix;
        default = { imports = [ niks3 niks3-auto-upload ]; };
      };

      # The package with its unit tests, and the modules in a NixOS of that nixpkgs:
      # the units of a machine that has both.
      checks = eachSystem (pkgs: {
        package = self.packages.${pkgs.stdenv.hostPlatform.system}.niks3;
        modules = import ./nix/check.nix {
          inherit lib pkgs;
          module = self.nixosModules.default;
        };
      });
    };
}
