# What tests/nix.sh evaluates: attributes of this set.
let
  lib = import ./stub-lib.nix;
  nixos = import ./stub-nixos.nix { inherit lib; };
  render = import ./render.nix { inherit lib; };
  scenarios = import ./scenarios.nix;
  wrong = import ./bad.nix { inherit lib; inherit (scenarios) minimal; };

  modules = [ ../../nix/module.nix ../../nix/auto-upload.nix ];
  evaluate = configuration: nixos.evaluate (modules ++ [ configuration ]);
  failures = config: map (a: a.message) (builtins.filter (a: !a.assertion) config.assertions);
  # As NixOS does: an assertion that fails ends it.
  checked = config:
    if failures config == [ ] then config
    else throw "Failed assertions:\n${builtins.concatStringsSep "\n" (failures config)}";

  # [ { name, description, type, default, example } ] of our options.
  all = import ./options.nix { inherit lib; } (nixos.evaluate modules).options.services
    [ "niks3" "niks3-auto-upload" ];
in
{

  # { NAME = text; } to compare with expected/NAME.txt.
  texts = builtins.mapAttrs (_: c: render (checked (evaluate c).config)) scenarios.configurations;

  # { NAME = { says; failed = [ text ]; }; }
  assertions = builtins.mapAttrs
    (_: bad: {
      inherit (bad) says;
      failed = failures (evaluate bad.configuration).config;
    })
    wrong.assertions;

  # { NAME = { says; text; }; } where the text cannot be had.
  errors = builtins.mapAttrs
    (_: bad: {
      inherit (bad) says;
      text = render (evaluate bad.configuration).config;
    })
    wrong.errors;

  # { PROGRAM = [ variable ]; }
  variables = builtins.mapAttrs
    (_: program: program.variables ++ builtins.attrNames program.secrets)
    (import ../../nix/lib { inherit lib; }).programs;

  pkgs = nixos.pkgsFor "x86_64-linux";

  # Options without a description, and a page about all.
  undescribed = map (o: o.name) (builtins.filter (o: o.description == "") all);
  reference = import ./reference.nix { inherit lib; } all;
}
