final: _prev: {
  niks3 = final.callPackage ./package.nix { };
}
