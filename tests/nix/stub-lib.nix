# What our Nix code takes from nixpkgs' lib, and no more: nixpkgs is not needed to
# test it. The functions and the module system below behave like nixpkgs' own as
# far as our modules use them; where theirs would do something else, this throws.
let
  inherit (builtins)
    all any attrNames attrValues concatLists concatMap concatStringsSep elem
    elemAt filter foldl' genList hasAttr head isAttrs isBool isFloat isFunction
    isInt isList isPath isString length listToAttrs map mapAttrs match replaceStrings
    sort split stringLength substring tail toJSON;

  # ---- lists, strings, sets ----

  basics = rec {
    inherit (builtins)
      all any attrNames attrValues concatLists concatMap concatStringsSep elem
      elemAt filter foldl' genList getAttr hasAttr head isAttrs isBool isFunction
      isInt isList isString length listToAttrs mapAttrs replaceStrings tail;

    optional = cond: x: if cond then [ x ] else [ ];
    optionals = cond: xs: if cond then xs else [ ];
    optionalString = cond: s: if cond then s else "";
    optionalAttrs = cond: set: if cond then set else { };
    nameValuePair = name: value: { inherit name value; };
    filterAttrs = keep: set:
      listToAttrs (concatMap
        (n: optional (keep n set.${n}) (nameValuePair n set.${n}))
        (attrNames set));
    mapAttrs' = f: set: listToAttrs (map (n: f n set.${n}) (attrNames set));
    mapAttrsToList = f: set: map (n: f n set.${n}) (attrNames set);
    genAttrs = names: f: listToAttrs (map (n: nameValuePair n (f n)) names);
    concatMapStringsSep = sep: f: xs: concatStringsSep sep (map f xs);
    concatMapStrings = concatMapStringsSep "";
    imap1 = f: xs: genList (i: f (i + 1) (elemAt xs i)) (length xs);
    range = first: last:
      if first > last then [ ] else genList (i: first + i) (last - first + 1);
    unique = foldl' (acc: x: if elem x acc then acc else acc ++ [ x ]) [ ];
    subtractLists = these: filter (x: !elem x these);
    flatten = x: if isList x then concatMap flatten x else [ x ];
    boolToString = b: if b then "true" else "false";
    hasPrefix = p: s: substring 0 (stringLength p) s == p;
    hasSuffix = p: s:
      let n = stringLength s - stringLength p; in
      n >= 0 && substring n (stringLength p) s == p;
    hasInfix = p: s: length (filter isString (split (escapeRegex p) s)) > 1;
    removePrefix = p: s:
      if hasPrefix p s
      then substring (stringLength p) (stringLength s) s
      else s;
    escapeRegex = replaceStrings
      [ "\\" "." "*" "+" "?" "(" ")" "[" "]" "{" "}" "|" "^" "$" ]
      [ "\\\\" "\\." "\\*" "\\+" "\\?" "\\(" "\\)" "\\[" "\\]" "\\{" "\\}" "\\|" "\\^" "\\$" ];
    splitString = sep: s: filter isString (split (escapeRegex sep) s);
    escapeShellArg = x:
      let s = toString x; in
      if match "[[:alnum:],._+:@%/-]+" s != null
      then s
      else "'${replaceStrings [ "'" ] [ "'\\''" ] s}'";
    escapeShellArgs = concatMapStringsSep " " escapeShellArg;
    getExe' = package: name: "${package}/bin/${name}";
    isDerivation = x: isAttrs x && x.type or null == "derivation";
    literalExpression = text: { _type = "literalExpression"; inherit text; };
    recursiveUpdate = a: b:
      a // mapAttrs
        (n: v: if isAttrs v && isAttrs (a.${n} or null)
          then recursiveUpdate a.${n} v
          else v)
        b;
    attrByPath = path: default: set:
      if path == [ ] then set
      else if isAttrs set && hasAttr (head path) set
      then attrByPath (tail path) default set.${head path}
      else default;
    setAttrByPath = path: value:
      if path == [ ] then value
      else { ${head path} = setAttrByPath (tail path) value; };
    showOption = path: concatStringsSep "." path;
  };
  inherit (basics) optional optionals optionalAttrs attrByPath setAttrByPath showOption;

  # ---- what definitions are wrapped in ----

  wrappers = rec {
    mkIf = condition: content: { _type = "if"; inherit condition content; };
    mkMerge = contents: { _type = "merge"; inherit contents; };
    mkOverride = priority: content: { _type = "override"; inherit priority content; };
    mkOptionDefault = mkOverride 1500;
    mkDefault = mkOverride 1000;
    mkForce = mkOverride 50;
    mkOrder = priority: content: { _type = "order"; inherit priority content; };
    mkBefore = mkOrder 500;
    mkAfter = mkOrder 1500;
    mkOption = attrs: attrs // { _type = "option"; };
    mkEnableOption = what: mkOption {
      type = types.bool;
      default = false;
      example = true;
      description = "Whether to enable ${what}.";
    };
  };

  typeOf = v: v._type or null;

  # A set of definitions that are wrapped, as sets of wrapped definitions: which
  # attributes there are must be known before the conditions are.
  pushDown = v:
    if !isAttrs v then throw "a module's configuration is no set: ${show v}"
    else if typeOf v == "merge" then concatMap pushDown v.contents
    else if typeOf v == "if" then
      map (mapAttrs (_: wrappers.mkIf v.condition)) (pushDown v.content)
    else if typeOf v == "override" then
      map (mapAttrs (_: wrappers.mkOverride v.priority)) (pushDown v.content)
    else [ v ];

  # [ { file, value, priority, order } ] of one definition, unwrapped.
  discharge = { file, value, priority ? 100, order ? 1000 }@d:
    if !isAttrs value then [ ({ inherit priority order; } // d) ]
    else if typeOf value == "merge" then
      concatMap (v: discharge (d // { value = v; })) value.contents
    else if typeOf value == "if" then
      if !isBool value.condition then throw "${file}: the condition of mkIf is no bool"
      else if value.condition then discharge (d // { value = value.content; }) else [ ]
    else if typeOf value == "override" then
      discharge (d // { value = value.content; inherit (value) priority; })
    else if typeOf value == "order" then
      discharge (d // { value = value.content; order = value.priority; })
    else [ ({ inherit priority order; } // d) ];

  show = v:
    if isFunction v then "<function>"
    else if isList v then "[ ${concatStringsSep " " (map show v)} ]"
    else if isAttrs v then
      if basics.isDerivation v then "<derivation>"
      else "{ ${concatStringsSep " " (map (n: "${n} = ${show v.${n}};") (attrNames v))} }"
    else if isPath v then toString v
    else toJSON v;

  showDefs = defs:
    basics.concatMapStrings (d: "\n- In `${d.file}': ${show d.value}") defs;

  # The definitions that count, in their order.
  winners = defs:
    let
      all' = concatMap discharge defs;
      best = foldl' (p: d: if d.priority < p then d.priority else p) 9999 all';
    in
    sort (a: b: a.order < b.order) (filter (d: d.priority == best) all');

  # The value of an option at path (a list of names).
  mergeDefs = path: type: defs:
    let
      found = winners defs;
      bad = filter (d: !type.check d.value) found;
    in
    if found == [ ] then
      if type ? emptyValue then type.emptyValue
      else throw "The option `${showOption path}' was accessed but has no value defined. Try setting the option."
    else if bad != [ ] then
      throw "A definition for option `${showOption path}' is not of type `${type.description}'. Definition values:${showDefs bad}"
    else type.merge path found;

  # ---- types ----

  mergeOne = path: defs:
    if length defs == 1 then (head defs).value
    else throw "The option `${showOption path}' is defined multiple times while it's expected to be unique. Definition values:${showDefs defs}";

  mergeEqual = path: defs:
    if all (d: d.value == (head defs).value) defs then (head defs).value
    else throw "The option `${showOption path}' has conflicting definition values:${showDefs defs}";

  mkType = t: { merge = mergeEqual; } // t;

  isTextual = v: isString v || (isAttrs v && v ? outPath) || (isAttrs v && v ? __toString);

  types = rec {
    bool = mkType { description = "boolean"; check = isBool; };
    int = mkType { description = "signed integer"; check = isInt; };
    str = mkType { description = "string"; check = isString; };
    lines = mkType {
      description = "strings concatenated with \"\\n\"";
      check = isString;
      merge = _: defs: concatStringsSep "\n" (map (d: d.value) defs);
    };
    nonEmptyStr = mkType {
      description = "non-empty string";
      check = v: isString v && match "[ \t\n]*" v == null;
    };
    strMatching = pattern: mkType {
      description = "string matching the pattern ${pattern}";
      check = v: isString v && match pattern v != null;
    };
    path = mkType {
      description = "absolute path";
      check = v: isPath v || (isTextual v && substring 0 1 (toString v) == "/");
    };
    package = mkType {
      description = "package";
      check = v: basics.isDerivation v || (isTextual v && basics.hasPrefix builtins.storeDir (toString v));
      merge = mergeOne;
    };
    raw = mkType { description = "raw value"; check = _: true; merge = mergeOne; };
    port = ints.between 0 65535 // { description = "16 bit unsigned integer; between 0 and 65535 (both inclusive)"; };
    ints = rec {
      between = low: high: mkType {
        description = "integer between ${toString low} and ${toString high} (both inclusive)";
        check = v: isInt v && v >= low && v <= high;
      };
      unsigned = mkType {
        description = "unsigned integer, meaning >=0";
        check = v: isInt v && v >= 0;
      };
      positive = mkType {
        description = "positive integer, meaning >0";
        check = v: isInt v && v > 0;
      };
    };
    enum = values: mkType {
      description = "one of ${basics.concatMapStringsSep ", " show values}";
      check = v: elem v values;
    };
    nullOr = t: mkType {
      description = "null or ${t.description}";
      check = v: v == null || t.check v;
      merge = path: defs:
        if all (d: d.value == null) defs then null
        else if any (d: d.value == null) defs then
          throw "The option `${showOption path}' is defined both null and not null, in:${showDefs defs}"
        else t.merge path defs;
    };
    listOf = t: mkType {
      of = t;
      named = false;
      description = "list of ${t.description}";
      check = isList;
      emptyValue = [ ];
      merge = path: defs:
        concatMap
          (d: basics.imap1
            (i: v: mergeDefs (path ++ [ "[${toString i}]" ]) t [ { inherit (d) file; value = v; } ])
            d.value)
          defs;
    };
    attrsOf = t: mkType {
      of = t;
      named = true;
      description = "attribute set of ${t.description}";
      check = v: isAttrs v && !basics.isDerivation v;
      emptyValue = { };
      merge = path: defs:
        mergeNames path t (concatMap
          (d: map (value: { inherit (d) file; inherit value; }) (pushDown d.value))
          defs);
    };
    either = a: b: mkType {
      description = "${a.description} or ${b.description}";
      check = v: a.check v || b.check v;
      merge = path: defs:
        if all (d: a.check d.value) defs then a.merge path defs
        else if all (d: b.check d.value) defs then b.merge path defs
        else mergeEqual path defs;
    };
    oneOf = ts: foldl' either (head ts) (tail ts);
    submodule = module: mkType {
      description = "submodule";
      check = v: isAttrs v || isFunction v || isPath v;
      emptyValue = { };
      merge = path: defs:
        (evaluate path
          ([ module ] ++ map (d: { _file = d.file; imports = [ d.value ]; }) defs)
          { name = elemAt path (length path - 1); }).config;
      options = path: (evaluate path [ module ] { name = "<name>"; }).options;
    };
  };

  # { name = merged; } of sets that define names of one type.
  mergeNames = path: t: defs:
    let
      of = name: concatMap
        (d: optional (hasAttr name d.value) { inherit (d) file; value = d.value.${name}; })
        defs;
      names = attrNames (foldl' (acc: d: acc // d.value) { } defs);
    in
    listToAttrs (concatMap
      (name: optional (concatMap discharge (of name) != [ ]) {
        inherit name;
        value = mergeDefs (path ++ [ name ]) t (of name);
      })
      names);

  # ---- modules ----

  callModule = args: f:
    if isFunction f
    then f (args // mapAttrs (n: _: args.${n} or (throw "a module asks for the argument ${n}, which nobody gives"))
      (builtins.functionArgs f))
    else f;

  # [ { file, options, config } ], of the imports as well.
  collect = args: file: m:
    let
      isFile = isPath m || (isString m && substring 0 1 m == "/");
      m' = callModule args (if isFile then import m else m);
      file' = m'._file or (if isFile then baseNameOf (toString m) else file);
      structured = m' ? options || m' ? config || m' ? imports;
      known = [ "_file" "options" "config" "imports" "key" "meta" "freeformType" ];
      unknown = filter (n: !elem n known) (attrNames m');
    in
    if structured && unknown != [ ] then
      throw "Module `${file'}' has an unsupported attribute `${head unknown}'."
    else
      concatMap (collect args file') (m'.imports or [ ])
      ++ [{
        file = file';
        options = m'.options or { };
        config = if structured then m'.config or { } else removeAttrs m' [ "_file" ];
      }];

  isOption = v: isAttrs v && typeOf v == "option";

  mergeOptions = path: sets:
    mapAttrs
      (name: found:
        if any isOption found then
          if length found == 1 then head found
          else throw "The option `${showOption (path ++ [ name ])}' is declared more than once."
        else mergeOptions (path ++ [ name ]) found)
      (builtins.zipAttrsWith (_: vs: vs) sets);

  # Values, at path, of a tree of options.
  values = path: options: defs:
    let
      at = name: concatMap
        (d: optional (hasAttr name d.value) { inherit (d) file; value = d.value.${name}; })
        defs;
      sets = name: concatMap
        (d: map (value: { inherit (d) file; inherit value; }) (pushDown d.value))
        (at name);
      strangers = filter (n: !hasAttr n options)
        (attrNames (foldl' (acc: d: acc // d.value) { } defs));
      value = name: o:
        if !isOption o then values (path ++ [ name ]) o (sets name)
        else
          let
            v = mergeDefs (path ++ [ name ]) (o.type or types.raw)
              (at name ++ optional (o ? default) {
                file = "<default>";
                value = wrappers.mkOptionDefault o.default;
              });
          in
          (o.apply or (x: x)) v;
    in
    if strangers != [ ]
    then throw "The option `${showOption (path ++ [ (head strangers) ])}' does not exist. Definition values:${showDefs (at (head strangers))}"
    else mapAttrs value options;

  evaluate = prefix: modules: specialArgs:
    let
      found = concatMap (collect args "<unknown>") modules;
      defs = concatMap
        (m: map (value: { inherit (m) file; inherit value; }) (pushDown m.config))
        found;
      options = mergeOptions prefix (map (m: m.options) found);
      config = values prefix options defs;
      args = specialArgs // { inherit config options lib; };
    in
    { inherit config options; };

  moving = {
    mkRenamedOptionModule = from: to: { config, ... }: {
      options = setAttrByPath from (wrappers.mkOption {
        visible = false;
        type = types.raw;
        description = "Alias of {option}`${showOption to}`.";
        default = { _unset = true; };
      });
      config =
        let v = attrByPath from null config; in
        wrappers.mkIf (v != { _unset = true; }) (wrappers.mkMerge [
          {
            warnings = [
              "The option `${showOption from}' has been renamed to `${showOption to}'."
            ];
          }
          (setAttrByPath to v)
        ]);
    };
    mkRemovedOptionModule = from: text: { config, ... }: {
      options = setAttrByPath from (wrappers.mkOption {
        visible = false;
        type = types.raw;
        description = "Removed.";
        default = { _unset = true; };
      });
      config.assertions = [{
        assertion = attrByPath from null config == { _unset = true; };
        message = "The option definition `${showOption from}' no longer has any effect; please remove it.\n${text}";
      }];
    };
  };

  lib = basics // wrappers // moving // {
    inherit types;
    evalModules = { modules, specialArgs ? { } }: evaluate [ ] modules specialArgs;
    licenses.mit = { spdxId = "MIT"; };
    trivial.release = "25.11";
    platforms.linux = [ "x86_64-linux" "aarch64-linux" ];
  };
in
lib
