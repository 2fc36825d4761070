# What both modules need besides nixpkgs' lib.
{ lib }:
let
  inherit (builtins) match toJSON;
  inherit (lib)
    all attrNames concatMap concatMapStringsSep concatStringsSep elem elemAt
    filterAttrs hasPrefix isBool isList mapAttrs mapAttrsToList optional
    replaceStrings;
in
rec {
  programs = import ./programs.nix;
  units = import ./units.nix;

  # Of `settings`.
  variablesType =
    let inherit (lib.types) attrsOf bool int listOf nullOr oneOf path str; in
    attrsOf (nullOr (oneOf [ bool int str path (listOf str) ]));

  # systemd expands %d and the like in most of what it reads.
  literal = replaceStrings [ "%" ] [ "%%" ];

  # The value of a variable, as our programs read it.
  valueText = v:
    if isBool v then (if v then "true" else "false")
    else if isList v then concatMapStringsSep " " toString v
    else toString v;

  # Where NixOS has the authorities of the system. OpenSSL of nixpkgs looks there
  # anyway; with the variable our programs know that they will read it.
  authorities.NIX_SSL_CERT_FILE = "/etc/ssl/certs/ca-certificates.crt";

  # For `environment` of a unit; null and empty lists are as good as unset.
  environment = settings:
    mapAttrs (_: v: literal (valueText v))
      (filterAttrs (_: v: v != null && v != [ ]) settings);

  # One word of ExecStart=.
  execArg = word:
    let text = toString word; in
    if match "[[:alnum:]_./:=@,+-]+" text != null then text
    else replaceStrings [ "%" "$" ] [ "%%" "$$" ] (toJSON text);
  execStart = concatMapStringsSep " " execArg;

  # { name = file; } for LoadCredential=; null is as good as unset. The program
  # finds the file where `credential` says.
  credentials = filterAttrs (_: file: file != null);
  loadCredentials = mapAttrsToList (name: file: "${name}:${literal (toString file)}");
  credential = name: "%d/${name}";
  # { VARIABLE = name; } of those that there are, as { VARIABLE = path; }.
  credentialPaths = there: variables:
    mapAttrs (_: credential) (filterAttrs (_: name: there ? ${name}) variables);

  # Where a server listens: null when text is no address of
  # {HOST}:PORT, [V6]:PORT, :PORT or /PATH.
  #   stream  the same for ListenStream=, which knows no names of hosts
  #   origin  where this host reaches it; of a socket there is none
  parseAddress = text:
    let
      parts = match "(|[0-9.]+|localhost|\\[[0-9a-fA-F:.]+])(:)([0-9]+)" text;
      host = elemAt parts 0;
      port = elemAt parts 2;
      at = if host == "localhost" then "127.0.0.1" else host;
      near =
        if elem at [ "" "0.0.0.0" ] then "127.0.0.1"
        else if at == "[::]" then "[::1]"
        else at;
    in
    if hasPrefix "/" text then { stream = text; origin = null; }
    else if parts == null then null
    else {
      stream = if at == "" then port else "${at}:${port}";
      origin = "${near}:${port}";
    };

  # ---- assertions ----

  # The file is a secret: of `option`, or none (null).
  secretFile = option: file: {
    assertion = file == null || !hasPrefix "${builtins.storeDir}/" (toString file);
    message = ''
      ${option}: ${toString file} is in the Nix store, where everybody can read it.
      Give the path of a file outside of it, as a string: "/run/secrets/…".'';
  };

  # Variables that a user set for a program.
  knownVariables = option: program: settings:
    concatMap
      (name: optional (!elem name program.variables) {
        assertion = false;
        message =
          if program.secrets ? ${name} then ''
            ${option}.${name}: everybody can read what is set there.
            Use ${program.secrets.${name}}.''
          else ''
            ${option}.${name}: there is no such variable.
            There are: ${concatStringsSep " " program.variables}'';
      })
      (attrNames settings)
    ++ concatMap
      (name: optional (isList settings.${name}) {
        assertion = all (v: match "[^ \t\n]+" (toString v) != null) settings.${name};
        message = ''
          ${option}.${name}: the items of a list are told apart by white space, so they
          must not be empty or contain any.'';
      })
      (attrNames settings);
}
