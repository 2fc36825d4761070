# A configuration as text: what is in it, one value a line, sorted.
{ lib }:
let
  inherit (builtins)
    attrNames concatMap concatStringsSep isAttrs isBool isList map toJSON toString;

  text = v: if isBool v then (if v then "true" else "false") else toString v;
  lines = key: v:
    if isList v then map (x: "${key}=${text x}") v else [ "${key}=${text v}" ];
  section = name: set: extra:
    let body = concatMap (k: lines k set.${k}) (attrNames set) ++ extra; in
    if body == [ ] then [ ] else [ "[${name}]" ] ++ body;
  words = key: list: if list == [ ] then { } else { ${key} = concatStringsSep " " list; };

  unit = name: u: own:
    [ "== ${name}" ]
    ++ section "Unit"
      ({ Description = u.description; } // words "Requires" u.requires // words "Wants" u.wants
        // words "After" u.after // words "Before" u.before // words "PartOf" u.partOf
        // u.unitConfig) [ ]
    ++ own
    ++ section "Install" (words "WantedBy" u.wantedBy) [ ]
    ++ [ "" ];

  variables = environment:
    map (n: "Environment=${toJSON "${n}=${toString environment.${n}}"}")
      (builtins.filter (n: environment.${n} != null) (attrNames environment));

  service = u: section "Service" u.serviceConfig
    (variables u.environment
      ++ map (p: "# in PATH: ${p}") u.path
      ++ (if u.restartIfChanged then [ ] else [ "# X-RestartIfChanged=false" ]));
  socket = u: section "Socket" (u.socketConfig // { ListenStream = u.listenStreams; }) [ ];

  kind = suffix: units: own:
    concatMap (n: unit "${n}.${suffix}" units.${n} (own units.${n})) (attrNames units);

  block = title: body: if body == [ ] then [ ] else [ "== ${title}" ] ++ body ++ [ "" ];
  # Of anything else: "path = value".
  flat = path: v:
    if isAttrs v && !lib.isDerivation v && v != { }
    then concatMap
      (n: flat (if path == "" then n else "${path}.${n}") v.${n})
      (attrNames v)
    else if isList v && v != [ ] && builtins.all isAttrs v
    then concatMap (x: x) (lib.imap1 (i: x: flat "${path}.${toString i}" x) v)
    else [ "${path} = ${if builtins.isString v then v else toJSON v}" ];
in
config: concatStringsSep "\n" (
  kind "service" config.systemd.services service
  ++ kind "socket" config.systemd.sockets socket
  ++ kind "target" config.systemd.targets (_: [ ])
  ++ kind "timer" config.systemd.timers (u: section "Timer" u.timerConfig [ ])
  ++ block "tmpfiles" config.systemd.tmpfiles.rules
  ++ block "users" (flat "" config.users)
  ++ (if config.services.postgresql.enable
    then block "postgresql" (flat "" config.services.postgresql) else [ ])
  ++ (if config.services.nginx.enable
    then block "nginx" (flat "" config.services.nginx.virtualHosts) else [ ])
  ++ (if config.nix.settings == { } then [ ]
    else block "nix.conf" (flat "" config.nix.settings))
  ++ block "warnings" config.warnings
)
