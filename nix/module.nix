# services.niks3: the whole of niks3 on a NixOS machine.
{
  imports = [
    ./module/options.nix
    ./module/renamed.nix
    ./module/checks.nix
    ./module/database.nix
    ./module/nginx.nix
    ./module/services.nix
  ];
}
