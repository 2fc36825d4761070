# PostgreSQL on this machine: the migrations give niks3_server and niks3_gc what each
# needs, so the roles must be there before.
{ config, lib, ... }:
let
  cfg = config.services.niks3;
  # The users of the system that are a role of the database.
  roles = {
    niks3 = "niks3-migrate";
    niks3_server = "niks3-server";
    niks3_gc = "niks3-gc";
  };
  lines = line: lib.concatStringsSep "\n" (lib.mapAttrsToList line roles) + "\n";
in
{
  config = lib.mkIf (cfg.enable && cfg.database.createLocally) {
    services.postgresql = {
      enable = true;
      ensureDatabases = [ "niks3" ];
      ensureUsers = lib.mapAttrsToList
        (role: _: { name = role; ensureDBOwnership = role == "niks3"; })
        roles;
      identMap = lines (role: user: "niks3 ${user} ${role}");
      authentication = lines (role: _: "local niks3 ${role} peer map=niks3");
    };
  };
}
