# What can be said about options: those of `sets` in a tree of them.
{ lib }:
let
  inherit (builtins) attrNames concatMap isAttrs isFunction isList map toJSON;

  text = v:
    if isAttrs v && v._type or null == "literalExpression" then v.text
    else expression v;
  # As one would write it in Nix.
  expression = v:
    if isList v then
      if v == [ ] then "[ ]"
      else "[ ${lib.concatMapStringsSep " " expression v} ]"
    else if isAttrs v then
      if v == { } then "{ }"
      else "{ ${lib.concatMapStringsSep " " (n: "${n} = ${expression v.${n}};") (attrNames v)} }"
    else toJSON v;

  about = path: o: {
    name = lib.showOption path;
    description = o.description or "";
    type = o.type.description;
    default =
      if o ? defaultText then text o.defaultText
      else if o ? default then text o.default
      else null;
    example = if o ? example then text o.example else null;
  };

  # Within what kinds of types there are options, too.
  within = path: t:
    if t ? options then walk path (t.options path)
    else if t ? of then within (path ++ [ (if t.named then "<name>" else "*") ]) t.of
    else [ ];

  walk = path: tree:
    concatMap
      (n:
        let o = tree.${n}; here = path ++ [ n ]; in
        if o._type or null != "option" then walk here o
        else if !(o.visible or true) then [ ]
        else [ (about here o) ] ++ within here o.type)
      (attrNames tree);
in
tree: sets: concatMap (set: walk [ "services" set ] tree.${set}) sets
