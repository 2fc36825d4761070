# What the soak pushes: small store paths that share much, of every kind that a
# cache has, in a few variants. Built twice, in two stores, the `twin`s and `big`
# are of equal name and different bytes; all else is the same.
{
  variants ? 3,
}:
let
  inherit (builtins) concatLists elemAt genList;
  rest = a: b: a - a / b * b;
  pool =
    variant:
    let
      run =
        name: attrs: script:
        derivation (
          {
            inherit name variant;
            system = builtins.currentSystem;
            builder = "/bin/sh";
            args = [ "-euc" script ];
            PATH = "/usr/bin:/bin";
          }
          // attrs
        );

      # Leaves; every other one has a log.
      libs = genList (
        i:
        run "lib-${toString i}" { n = 1000 * (i + 1); } ''
          [ $((n % 2000)) -eq 0 ] || echo "building $n"
          mkdir -p $out/lib
          seq $((n + variant)) $((n * 3)) >$out/lib/data
        ''
      ) 6;

      # Different paths of equal content, in all variants: one NAR.
      copies = genList (i: run "copy-${toString i}" { } "seq 1 3000 >$out") 3;

      # Builds that are not reproducible.
      twins = genList (
        i:
        run "twin-${toString i}" { n = 2000 * (i + 1); } ''
          mkdir $out
          head -c $n /dev/urandom >$out/data
        ''
      ) 3;

      # A tree: each refers to itself, to its parent and to leaves.
      apps = genList (
        i:
        run "app-${toString i}"
          (
            {
              lib = elemAt libs (rest i 6);
              twin = elemAt twins (rest i 3);
            }
            // (if i == 0 then { } else { parent = elemAt apps (i / 2); })
          )
          ''
            echo "building $name"
            mkdir -p $out/bin
            echo "$out $lib $twin ''${parent-}" >$out/bin/app
          ''
      ) 16;

      chain =
        name: end: n:
        let
          links = genList (
            i:
            run "${name}-${toString i}"
              { before = if i == 0 then end else elemAt links (i - 1); }
              ''
                mkdir $out
                echo "$before" >$out/before
              ''
          ) n;
        in
        links;

      split = run "split" {
        outputs = [ "out" "dev" ];
        lib = elemAt libs 0;
      } ''
        mkdir -p $out $dev
        echo "$lib" >$out/data
        echo "$out" >$dev/include
      '';

      byContent = {
        __contentAddressed = true;
        outputHashMode = "recursive";
        outputHashAlgo = "sha256";
      };
      addressed = run "addressed" byContent "seq $variant 500 >$out";
      addressedUser = run "addressed-user" (
        byContent
        // {
          inherit addressed;
          lib = elemAt libs 1;
        }
      ) "echo $addressed $lib >$out";

      all = run "all" {
        parts = genList (elemAt apps) 8 ++ [ split.dev addressedUser ] ++ copies;
      } "echo $parts >$out";

      # Goes in parts.
      big = run "big" { twin = elemAt twins 0; } ''
        mkdir $out
        echo $twin >$out/twin
        head -c 12000000 /dev/urandom >$out/data
      '';
    in
    libs
    ++ copies
    ++ twins
    ++ apps
    ++ chain "long" (elemAt libs 2) 10
    ++ chain "short" (elemAt copies 0) 5
    ++ [ split.out split.dev addressed addressedUser all ]
    ++ (if variant == 0 then [ big ] else [ ]);
in
concatLists (genList pool variants)
