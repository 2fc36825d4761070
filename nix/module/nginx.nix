# nginx in front of the server, with HTTPS and, if wanted, client certificates.
{ config, lib, ... }:
let
  inherit (lib) concatStringsSep mkIf optionalString optionals;

  niks3 = import ../lib { inherit lib; };
  cfg = config.services.niks3;
  address = niks3.parseAddress cfg.httpAddr;
  mtls = cfg.nginx.mtls;

  # What nginx says of a certificate is believed over this socket only, which no
  # other process can open.
  inherit (config.systemd.services.niks3-server) environment;
  upstream =
    if mtls.enable then "http://unix:${environment.NIKS3_MTLS_PROXY_SOCKET}"
    else if address.origin == null then "http://unix:${cfg.httpAddr}"
    else "http://${address.origin}";

  verify = if mtls.require || mtls.boundSubjectsRead != [ ] then "on" else "optional";
in
{
  config = mkIf (cfg.enable && cfg.nginx.enable && address != null) {
    services.nginx.enable = true;
    services.nginx.virtualHosts.${cfg.nginx.domain} = {
      inherit (cfg.nginx) enableACME forceSSL;
      addSSL = cfg.nginx.enableACME && !cfg.nginx.forceSSL;
      extraConfig = optionalString mtls.enable ''
        ssl_client_certificate ${toString mtls.clientCAFile};
        ssl_verify_client ${verify};
      '';
      locations."/" = {
        proxyPass = upstream;
        recommendedProxySettings = true;
        extraConfig = concatStringsSep "\n" ([
          "client_max_body_size ${cfg.nginx.clientMaxBodySize};"
          "proxy_connect_timeout ${cfg.nginx.proxyTimeout};"
          "proxy_send_timeout ${cfg.nginx.proxyTimeout};"
          "proxy_read_timeout ${cfg.nginx.proxyTimeout};"
          # Large NARs are not written to disk on their way.
          "proxy_max_temp_file_size 0;"
        ] ++ optionals mtls.enable [
          "proxy_set_header X-SSL-Client-Verify $ssl_client_verify;"
          "proxy_set_header X-SSL-Client-Dn $ssl_client_s_dn;"
        ]);
      };
    };
  };
}
