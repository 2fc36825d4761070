# Stands in for the flake of nixpkgs, where there is none.
{
  description = "What niks3's flake takes from nixpkgs";

  outputs = _:
    let
      lib = import ./stub-lib.nix;
      nixos = import ./stub-nixos.nix { inherit lib; };
    in
    {
      lib = lib // { inherit (nixos) nixosSystem; };
      legacyPackages = lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] nixos.pkgsFor;
    };
}
