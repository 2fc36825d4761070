# nix/options.md.
{ lib }:
let
  entry = o: ''
    ### `${o.name}`

    ${o.description}
    - Type: ${o.type}
  '' + lib.optionalString (o.default != null) "- Default: `${o.default}`\n"
  + lib.optionalString (o.example != null) "- Example: `${o.example}`\n";

  # Descriptions may end with a new line or not.
  trimmed = o: o // {
    description =
      if lib.hasSuffix "\n" o.description then o.description else "${o.description}\n";
    example = if o.example == null then null else oneLine o.example;
    default = if o.default == null then null else oneLine o.default;
  };
  # Expressions of several lines.
  oneLine = text: lib.concatStringsSep " "
    (lib.filter (l: l != "")
      (map (l: builtins.head (builtins.match "[ ]*(.*)" l)) (lib.splitString "\n" text)));
in
options: ''
  # Options on NixOS

  Made by `tests/nix.sh --update` from the modules in this directory. `<name>` is a
  name of yours, `*` any item of a list.

'' + lib.concatMapStringsSep "\n" (o: entry (trimmed o)) options
