# nix-build: the package, of the nixpkgs at hand.
{ pkgs ? import <nixpkgs> { } }:
pkgs.callPackage ./nix/package.nix { }
