# services.niks3.oidc as the file that niks3-server --oidc-config reads.
{ lib }:
let
  given = lib.filterAttrs (_: v: v != null && v != [ ] && v != { });

  rule = r: given {
    bound_claims = r.boundClaims;
    bound_subject = r.boundSubject;
    inherit (r) pins scopes;
  };

  provider = p:
    given {
      inherit (p) issuer audience;
      jwks_url = p.jwksUrl;
      ca_file = if p.caFile == null then null else toString p.caFile;
      bearer_token_file =
        if p.bearerTokenFile == null then null else toString p.bearerTokenFile;
      rules = map rule p.rules;
    } // rule p;
in
oidc: {
  providers = lib.mapAttrs (_: provider) oidc.providers;
  allow_insecure = oidc.allowInsecure;
}
