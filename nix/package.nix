# All programs of niks3, by callPackage.
{
  lib,
  stdenv,
  pkg-config,
  bzip2,
  cjose,
  cmocka,
  curl,
  expat,
  gnutls,
  jansson,
  libmicrohttpd,
  libpq ? postgresql, # before NixOS 25.05
  libseccomp,
  libsodium,
  msgpack-c,
  nng,
  openssl,
  postgresql ? null,
  sqlite,
  zstd,
}:
let
  source = ./..;
  # Of `niks3 --version`.
  version = builtins.head (builtins.match ".*#define NIKS3_VERSION \"([^\"]+)\".*"
    (builtins.readFile (source + "/libcommon/core/opt.h")));
  # What a build leaves behind, and what changes nothing in it.
  unneeded = [
    ".ci"
    ".data"
    ".git"
    "build"
    "build-san"
    "flake.lock"
    "flake.nix"
    "nix"
    "result"
  ];
in
stdenv.mkDerivation {
  pname = "niks3";
  inherit version;

  src = builtins.path {
    name = "niks3-source";
    path = source;
    filter = path: _: !builtins.elem
      (lib.removePrefix "${toString source}/" (toString path))
      unneeded;
  };

  nativeBuildInputs = [ pkg-config ];
  buildInputs = [
    bzip2
    cjose
    curl
    expat
    gnutls
    jansson
    libmicrohttpd
    libpq
    libseccomp
    libsodium
    msgpack-c
    nng
    openssl
    sqlite
    zstd
  ];
  checkInputs = [ cmocka ];

  makeFlags = [ "PREFIX=${builtins.placeholder "out"}" ];
  enableParallelBuilding = true;
  strictDeps = true;

  doCheck = true;
  checkTarget = "check";

  meta = {
    description = "Write gate and garbage collector of a Nix binary cache in S3";
    license = lib.licenses.mit;
    platforms = lib.platforms.linux;
    mainProgram = "niks3";
  };
}
