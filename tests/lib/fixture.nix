# Store paths of every kind, of raw derivations: no nixpkgs, no network, no
# sandbox. `seed` changes the content of all but `shared`, which is the same for
# every seed.
{
  seed ? "0",
  bigBytes ? 220000000,
  smallFiles ? 5000,
  chainLength ? 20,
}:
let
  run =
    name: attrs: script:
    derivation (
      {
        inherit name seed;
        system = builtins.currentSystem;
        builder = "/bin/sh";
        args = [ "-euc" script ];
        PATH = "/usr/bin:/bin";
      }
      // attrs
    );
in
rec {
  # What two closures have in common.
  shared = run "shared-1.0" { seed = ""; } ''
    mkdir -p $out/lib
    head -c 300000 /dev/urandom >$out/lib/libshared.so
    ln -s libshared.so $out/lib/libshared.so.1
  '';

  # Files of every kind and names of every kind.
  odd = run "odd-1.0" { } ''
    mkdir -p $out/bin $out/empty/emptier "$out/a b" "$out/-n"
    printf '#!/bin/sh\necho %s\n' "$seed" >$out/bin/run
    chmod +x $out/bin/run
    : >"$out/a b/empty file"
    printf 'no newline at the end' >"$out/-n/ümlaut ☃"
    echo quote >"$out/it's a \"quote\" \\ and #?&+=*"
    # In a folder, because nix itself fails when it lists a "%".
    echo percent >"$out/a b/100%s"
    echo newline >"$out/two
    lines"
    echo long >$out/$(printf '%0250d' 0)
    ln -s ../bin/run $out/empty/relative
    ln -s /nowhere/at/all $out/dangling
    ln -s $out $out/self
    seq 1 1000 >$out/.hidden
  '';

  # Refers to itself and to its dependencies, and leaves a log.
  app = run "app-1.0" { inherit odd shared; } ''
    echo "building with seed $seed"
    echo "this goes to the log" >&2
    mkdir -p $out/bin
    printf '#!/bin/sh\nexec %s/bin/run %s %s\n' $odd $shared $out >$out/bin/app
    chmod +x $out/bin/app
  '';

  # Two outputs, one of which refers to the other.
  split = run "split-1.0" {
    outputs = [ "out" "dev" ];
    inherit shared;
  } ''
    mkdir -p $out $dev
    echo "$shared $seed" >$out/data
    echo "$out" >$dev/include
  '';

  many = run "many-1.0" { n = smallFiles; } ''
    mkdir $out
    cd $out
    i=0
    while [ $i -lt $n ]; do
      d=$((i / 100))
      [ -d $d ] || mkdir $d
      echo "file $i of $seed" >$d/$i
      i=$((i + 1))
    done
  '';

  big = run "big-1.0" { n = bigBytes; } ''
    mkdir $out
    head -c $n /dev/urandom >$out/data
  '';

  # Each path refers to the one before it.
  chain = builtins.foldl' (
    before: i:
    run "link-${toString i}" { inherit before; } ''
      mkdir $out
      echo "$before $seed" >$out/before
    ''
  ) shared (builtins.genList (i: i) chainLength);

  # Content-addressed, and what depends on it.
  addressed =
    run "addressed-1.0"
      {
        __contentAddressed = true;
        outputHashMode = "recursive";
        outputHashAlgo = "sha256";
      }
      ''
        mkdir $out
        echo "addressed by content, $seed" >$out/data
      '';
  addressedUser = run "addressed-user-1.0" {
    inherit addressed shared;
    __contentAddressed = true;
    outputHashMode = "recursive";
    outputHashAlgo = "sha256";
  } ''
    mkdir $out
    echo "$addressed $shared $out" >$out/data
  '';

  # Paths that are no directories.
  link = run "link-1.0" { inherit shared; } "ln -s $shared/lib $out";
  file = run "file-1.0" { } ''
    printf '#!/bin/sh\necho %s\n' "$seed" >$out
    chmod +x $out
  '';

  # All of it, and a second closure that shares the half.
  everything = run "everything-1.0" {
    parts = [ app split.dev many big chain addressedUser link file ];
  } ''
    mkdir $out
    echo "$parts" >$out/parts
  '';
  other = run "other-1.0" { inherit app; } ''
    mkdir $out
    echo "$app" >$out/parts
    seq 1 50000 >$out/more
  '';
}
