# Options of the Go niks3's module that are others here, or none.
{ lib, ... }:
let
  inherit (lib) mkRemovedOptionModule mkRenamedOptionModule;

  option = name: [ "services" "niks3" name ];
  ownUsers = ''
    Each program runs as a user of its own (niks3-server, niks3-uploader, niks3-signer,
    niks3-gc). Secrets may belong to root: systemd hands each to the one that needs it.'';
  ownSigner = "Signatures are made by niks3-signer, from services.niks3.signKeyFiles.";
in
{
  imports = [
    (mkRenamedOptionModule (option "serverPackage") (option "package"))
    (mkRemovedOptionModule (option "user") ownUsers)
    (mkRemovedOptionModule (option "group") ownUsers)
    (mkRemovedOptionModule (option "signProgram") ownSigner)
    (mkRemovedOptionModule (option "signPublicKey") ownSigner)
  ];
}
