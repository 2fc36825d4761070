# What is wrong with a configuration, before anything starts.
{ config, lib, ... }:
let
  inherit (lib) concatLists concatMap hasInfix mapAttrsToList mkIf optional;

  niks3 = import ../lib { inherit lib; };
  cfg = config.services.niks3;
  address = niks3.parseAddress cfg.httpAddr;
  here = "services.niks3";

  must = assertion: message: { inherit assertion message; };

  settings = mapAttrsToList
    (name: program:
      niks3.knownVariables "${here}.${name}.settings" program cfg.${name}.settings)
    (removeAttrs niks3.programs [ "hook" ]);

  secrets = [
    (niks3.secretFile "${here}.apiTokenFile" cfg.apiTokenFile)
    (niks3.secretFile "${here}.s3.accessKeyFile" cfg.s3.accessKeyFile)
    (niks3.secretFile "${here}.s3.secretKeyFile" cfg.s3.secretKeyFile)
    (niks3.secretFile "${here}.s3.iamEnvironmentFile" cfg.s3.iamEnvironmentFile)
    (niks3.secretFile "${here}.tls.keyFile" cfg.tls.keyFile)
    (niks3.secretFile "${here}.gc.tokenFile" cfg.gc.tokenFile)
  ] ++ map (niks3.secretFile "${here}.signKeyFiles") cfg.signKeyFiles;

  bothKeys = cfg.s3.accessKeyFile != null && cfg.s3.secretKeyFile != null;
  noKey = cfg.s3.accessKeyFile == null && cfg.s3.secretKeyFile == null;
  s3 = [
    (must (cfg.s3.useIAM || bothKeys) ''
      ${here}.s3: the uploader needs credentials: set accessKeyFile and secretKeyFile,
      or useIAM.'')
    (must (!cfg.s3.useIAM || noKey) ''
      ${here}.s3: useIAM and accessKeyFile or secretKeyFile exclude each other.'')
    (must (cfg.s3.useIAM || cfg.s3.iamEnvironmentFile == null) ''
      ${here}.s3: iamEnvironmentFile needs useIAM.'')
  ];

  inherit (cfg.database) connectionString connectionStrings;
  wanted = removeAttrs connectionStrings (optional (!cfg.migrate.enable) "migrate");
  hasPassword = text:
    hasInfix "password=" text || builtins.match "[a-z]+://[^/@]*:[^/@]*@.*" text != null;
  elsewhere = name: value: [
    (must (value != null) ''
      ${here}.database: createLocally is off, so say where the database is: set
      connectionStrings.${name}, or connectionString for all programs.'')
    (must (value == null || !hasPassword value) ''
      ${here}.database.connectionStrings.${name}: it holds a password, and everybody can
      read it. Let libpq find one: passfile=, or a client certificate by sslcert= and
      sslkey=.'')
  ];
  unused = option: value: must (value == null) ''
    ${here}.database: ${option} is for a database elsewhere: set createLocally to
    false.'';
  database =
    if !cfg.database.createLocally then concatLists (mapAttrsToList elsewhere wanted)
    else [ (unused "connectionString" connectionString) ]
      ++ mapAttrsToList
      (name: value: unused "connectionStrings.${name}"
        (if value == connectionString then null else value))
      connectionStrings;

  http = [
    (must (address != null) ''
      ${here}.httpAddr: "${cfg.httpAddr}" is no address: give ADDRESS:PORT, [ADDRESS]:PORT,
      :PORT or the path of a unix socket; names of hosts will not do.'')
    (must ((cfg.tls.certFile == null) == (cfg.tls.keyFile == null)) ''
      ${here}.tls: certFile and keyFile belong together.'')
    (must (cfg.tls.clientCAFile == null || cfg.tls.certFile != null) ''
      ${here}.tls: clientCAFile needs certFile and keyFile.'')
    (must (cfg.tls.clientCAFile != null
      || cfg.tls.boundSubjects ++ cfg.tls.boundSubjectsRead == [ ]) ''
      ${here}.tls: boundSubjects and boundSubjectsRead need clientCAFile; for
      certificates that nginx verifies they are set in ${here}.nginx.mtls.'')
  ];

  nginx = [
    (must (!cfg.nginx.enable || cfg.tls.certFile == null) ''
      ${here}: nginx.enable and tls.certFile exclude each other: nginx has a certificate
      of its own.'')
    (must (!cfg.nginx.mtls.enable || cfg.nginx.enable) ''
      ${here}.nginx: mtls.enable needs nginx.enable; without nginx there is
      ${here}.tls.clientCAFile.'')
    (must (!cfg.nginx.mtls.enable || address == null || address.origin != null) ''
      ${here}: with nginx.mtls.enable, httpAddr cannot be a unix socket: the server could
      not tell nginx from others.'')
    (must (!cfg.nginx.mtls.enable || cfg.nginx.enableACME || cfg.nginx.forceSSL) ''
      ${here}.nginx: there are no client certificates without HTTPS: set enableACME or
      forceSSL.'')
  ];

  provider = name: p: [
    (must (p.issuer != null || p.bearerTokenFile != null) ''
      ${here}.oidc.providers.${name}: set issuer.'')
    (must (p.audience != null) ''
      ${here}.oidc.providers.${name}: set audience, or ${here}.serverUrl.'')
    (must (p.rules == [ ]
      || p.boundClaims == { } && p.boundSubject ++ p.scopes ++ p.pins == [ ]) ''
      ${here}.oidc.providers.${name}: with rules, the boundClaims, boundSubject, scopes and
      pins belong into them.'')
    (must (builtins.match "[A-Za-z0-9._-]{1,64}" name != null) ''
      ${here}.oidc.providers: a name is 1 to 64 letters, digits and "._-", not "${name}".'')
  ];
  unbound = r: r.boundClaims == { } && r.boundSubject == [ ];

  gc = optional cfg.gc.enable
    (must (cfg.gc.serverUrl != null || cfg.serverUrl != null
      || cfg.tls.certFile == null && (address == null || address.origin != null)) ''
      ${here}.gc: the server listens at a unix socket or by HTTPS: say where it is
      reached, by gc.serverUrl or serverUrl.'');
in
{
  config = mkIf cfg.enable {
    assertions = concatLists settings ++ secrets ++ s3 ++ database ++ http
      ++ nginx ++ gc ++ [
      (must (cfg.signKeyFiles != [ ]) ''
        ${here}.signKeyFiles: no signing key. Make one by
          nix key generate-secret --key-name NAME-1
        and give the path of its file.'')
    ] ++ concatLists (mapAttrsToList provider cfg.oidc.providers);

    warnings =
      optional (!cfg.database.createLocally && cfg.database.connectionString != null) ''
        ${here}.database.connectionString: one database role for all programs. The rights
        of server, garbage collection and schema are apart with connectionStrings.''
      ++ concatMap
        (name: optional
          (builtins.any unbound
            (if cfg.oidc.providers.${name}.rules != [ ]
            then cfg.oidc.providers.${name}.rules
            else [ cfg.oidc.providers.${name} ])) ''
          ${here}.oidc.providers.${name}: nothing is bound: every token of that issuer for this
          audience is accepted.'')
        (builtins.attrNames cfg.oidc.providers);
  };
}
