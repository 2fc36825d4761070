#!/bin/sh
# Checks flake.nix, default.nix and nix/ with the real Nix, without nixpkgs:
# tests/nix/ has what they take from it. nix.sh [BUILD-DIRECTORY] prints TAP;
# nix.sh --update writes the expected files and nix/options.md anew.
set -u
cd "$(dirname "$0")/.." || exit 1
ROOT=$PWD
LIB=$ROOT/tests/lib
. tests/lib/tap.sh
. tests/lib/nix.sh
EXPECTED=$ROOT/tests/nix/expected

TMP=$(mktemp -d /tmp/niks3-nix.XXXXXX) || exit 1
trap 'nix_remove "$TMP"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
nix_store_new "$TMP/nix" 2>"$TMP/init" || { cat "$TMP/init" >&2; exit 1; }

# evaluate ATTRIBUTE: of tests/nix/default.nix, as JSON; what is wrong goes to
# standard error.
evaluate() {
	nix-instantiate --eval --strict --json --read-write-mode tests/nix -A "$1"
}

# as_usual: names store paths as they would be on another machine.
as_usual() {
	sed -E "s|$NIX_STORE_DIR/([0-9a-z]{32}-)?|/nix/store/|g"
}

# text_of NAME: the configuration, and the files that it is the author of.
text_of() {
	local path
	evaluate "texts.$1" >"$TMP/json" || return 1
	jq -r . "$TMP/json" >"$TMP/$1.raw"
	as_usual <"$TMP/$1.raw"
	grep -oE "$NIX_STORE_DIR/[0-9a-z]{32}-[^\" ]+" "$TMP/$1.raw" | sort -u |
	while read -r path; do
		printf '== %s\n' "${path#"$NIX_STORE_DIR"/*-}"
		case $path in
		*.json)	jq . "$path" ;;
		*)	as_usual <"$path" ;;
		esac
	done
}

names_of() {
	nix-instantiate --eval --json \
	    -E "builtins.attrNames (import ./tests/nix).$1" | jq -r '.[]'
}

options_page() {
	evaluate reference | jq -r . | as_usual
}

NAMES=$(names_of texts)

if [ "${1-}" = --update ]; then
	rm -f "$EXPECTED"/*.txt
	for name in $NAMES; do
		text_of "$name" >"$EXPECTED/$name.txt" || exit 1
	done
	options_page >nix/options.md
	exit
fi
BUILD=$(cd "${1:-build}" 2>/dev/null && pwd)

# ---- the files by themselves ----

for file in flake.nix default.nix $(find nix tests/nix -name '*.nix' | sort); do
	passes "$file parses" nix-instantiate --parse "$file"
done

# ---- units, as expected ----

expected() {
	local name=$1 file=$EXPECTED/$1.txt
	text_of "$name" >"$TMP/$name.txt" 2>"$TMP/error" || {
		not_ok "$name: the configuration" "$(cat "$TMP/error")"
		return
	}
	passes "$name: the configuration is that of ${file#"$ROOT"/}" \
	    diff -u "$file" "$TMP/$name.txt"
}

for name in $NAMES; do
	expected "$name"
done
is 'each expected file has its configuration' \
    "$(ls "$EXPECTED" | sed 's/\.txt$//' | sort)" "$(echo "$NAMES" | sort)"

# ---- what must be refused ----

evaluate assertions >"$TMP/assertions" 2>"$TMP/error" ||
    not_ok 'assertions' "$(cat "$TMP/error")"
for name in $(jq -r 'keys[]' "$TMP/assertions"); do
	says=$(jq -r --arg n "$name" '.[$n].says' "$TMP/assertions")
	said=$(jq -r --arg n "$name" \
	    '.[$n].failed[] | gsub("\n"; " ")' "$TMP/assertions")
	if [ "$(printf '%s\n' "$said" | wc -l)" -eq 1 ]; then
		like "refused: $name" "$said" "$says"
	else
		not_ok "refused: $name, for one reason" "$said"
	fi
done

for name in $(names_of errors); do
	says=$(evaluate "errors.$name.says" | jq -r .)
	fails "refused: $name" "$says" evaluate "errors.$name.text"
done

# ---- variables ----

# variables_in FILE...: what the option tables of a program read.
variables_in() {
	grep -ohE '"(NIKS3|AWS|NIX)_[A-Z0-9_]+"' "$@" | tr -d '"'
	echo NIKS3_LOG_LEVEL # of every program
	case $* in # the one whose name is put together
	*s3_container.c*) echo AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE ;;
	esac
	! grep -qw SANDBOX_OPTIONS "$@" || echo NIKS3_REQUIRE_SANDBOX
}

# variables OF SOURCE...: is every variable known, and no other?
variables() {
	local of=$1
	shift
	evaluate "variables.$of" | jq -r '.[]' | sort >"$TMP/known"
	variables_in "$@" | sort -u >"$TMP/read"
	passes "nix/lib/programs.nix has the variables of $of" \
	    diff "$TMP/known" "$TMP/read"
}

variables server bin/niks3-server/main.c bin/niks3-server/auth.h
variables uploader bin/niks3-uploader/main.c libcommon/s3/*.c
variables signer bin/niks3-signer/main.c
variables gcWorker bin/niks3-gc/main.c
variables migrate bin/niks3-migrate/main.c
remote=libcommon/local/remote_config.h
[ -e "$remote" ] || remote=bin/niks3/remote.h
variables gc bin/niks3/gc.c "$remote"
[ ! -d bin/niks3-hook ] || variables hook bin/niks3-hook/serve.c \
    libcommon/local/pusher.h "$remote"

# ---- units, as the programs and systemd read them ----

# A directory with what LoadCredential= and the configurations name. A token is
# long enough for each of them.
FILES=$TMP/files
mkdir "$FILES"
nix_key "$TMP" nix-test-1 >/dev/null
openssl req -x509 -newkey ed25519 -nodes -subj /CN=test -days 1 \
    -keyout "$FILES/tls-key" -out "$FILES/tls-cert" 2>"$TMP/error" ||
    cat "$TMP/error" >&2
for name in tls-client-ca client-cert ca-cert s3-ca-cert; do
	cp "$FILES/tls-cert" "$FILES/$name"
done
cp "$FILES/tls-key" "$FILES/client-key"
for name in api-token auth-token s3-access-key s3-secret-key of-mine; do
	printf '%040d\n' 1 >"$FILES/$name"
done
sed 's/^[^:]*/nix-test-2/' "$TMP/key" >"$FILES/sign-key-2"
cp "$TMP/key" "$FILES/sign-key-1"
chmod 600 "$FILES"/*

# unit_of TEXT NAME: the lines of one unit.
unit_of() {
	awk -v name="== $2" '/^== / { on = $0 == name; next } on' "$1"
}

# on_this_machine: what systemd makes of %d, %% and $$; the files and programs
# are ours, and so are the users.
on_this_machine() {
	sed -E "s,%d/|/run/secrets/,$FILES/,g; s/%%/%/g
	    s/\\\$\\\$/\\\\\$/g; s/=niks3-[a-z]+/=$(id -u)/g
	    s|$NIX_STORE_DIR/niks3-[^/]*/bin|$BUILD|"
}

# program SCENARIO UNIT [ARGUMENT...]: runs what the unit would run, with its
# environment and these arguments besides.
program() {
	local unit
	unit=$(unit_of "$TMP/$1.raw" "$2" | on_this_machine)
	shift 2
	eval "set -- $(printf '%s\n' "$unit" | sed -n 's/^ExecStart=//p') \"\$@\""
	printf '%s\n' "$unit" | sed -n 's/^Environment=//p' | jq -r . \
	    >"$TMP/environment"
	while IFS= read -r line; do
		set -- "$line" "$@"
	done <"$TMP/environment"
	env -i "$@"
}

for name in $NAMES; do
	for unit in $(sed -n 's/^== \(niks3-.*\.service\)$/\1/p' \
	    "$TMP/$name.raw"); do
		# A program that is not built from these sources is not there.
		[ "$unit" != niks3-hook.service ] || [ -d bin/niks3-hook ] ||
		    continue
		passes "$name: $unit has what its program takes" \
		    program "$name" "$unit" -n
	done
done
full=$(program full niks3-server.service --print-config 2>&1)
like 'a subject with a space is one argument' "$full" \
    '^mtls-bound-subject=CN=ci runner,O=Example'
like 'nothing in it means more than it says' "$full" 'CN=100%d \$USER'
like 'quotes in an argument stay' "$full" \
    '^mtls-bound-subject-read=CN=\*,O="Example"$'
like 'a per cent sign in a variable stays' "$full" \
    '^cache-url=https://cache.example.org/a%20b$'
like 'what a user sets goes before other options' "$full" '^upload-lease=2h$'

# verify SCENARIO: are all settings of units known to systemd? It does not fail
# for those that it does not know, but says so.
verify() {
	local dir=$TMP/units.$1 unit
	mkdir -p "$dir"
	for unit in $(sed -n 's/^== \(niks3[^ ]*\.[a-z]*\)$/\1/p' "$TMP/$1.raw")
	do
		# The programs are not where NixOS would have them.
		unit_of "$TMP/$1.raw" "$unit" |
		    sed -E 's/^(Exec(Start|Reload))=.*/\1=\/bin\/true/' >"$dir/$unit"
	done
	for unit in "$dir"/*@.service; do
		[ ! -e "$unit" ] || cp "$unit" "${unit%.service}1.service"
	done
	systemd-analyze verify --man=no "$dir"/*[!@].service "$dir"/*.socket \
	    2>&1 | grep -E "^($dir|niks3)" || :
}

for name in $NAMES; do
	is "$name: systemd knows all settings" "$(verify "$name")" ''
done

# ---- units here and elsewhere ----

# What is another thing on NixOS: where programs, secrets, settings and the database
# are, and what is only for people.
ELSEWHERE='Description|Documentation|ConditionPathExists|ExecStart|ExecReload'
ELSEWHERE=$ELSEWHERE'|ListenStream|RandomizedDelaySec|ExecPaths|Environment|EnvironmentFile|LoadCredential'
ELSEWHERE=$ELSEWHERE'|.*=postgresql\.(service|target)'

# meaning FILE: the settings of a unit, each word as "[Section]name=word", sorted;
# "~" stands before each word that it denies.
meaning() {
	awk '
	    /^\[/ { section = $0 }
	    !/=/ || /^#/ || section == "[Install]" { next }
	    {
		name = substr($0, 1, index($0, "=") - 1)
		value = substr($0, index($0, "=") + 1)
		if (value ~ /^(yes|on)$/)
			value = "true"
		if (value ~ /^(no|off)$/)
			value = "false"
		deny = sub(/^~/, "", value) ? "~" : ""
		n = split(value, words, " +")
		if (n == 0)
			print section name "="
		for (i = 1; i <= n; i++) {
			# Of filters the order counts.
			at = name == "SystemCallFilter" ? ++filters " " : ""
			print section name "=" at deny words[i]
		}
	    }' "$1" | grep -vE "\]($ELSEWHERE)(=|\$)" | sort
}

for file in systemd/*.service systemd/*.socket systemd/*.timer; do
	[ -e "$file" ] || continue
	unit=${file##*/}
	name=minimal
	case $unit in niks3-hook*) name=auto-upload ;; esac
	unit_of "$TMP/$name.raw" "$unit" >"$TMP/unit"
	meaning "$TMP/unit" >"$TMP/here"
	meaning "$file" >"$TMP/there"
	passes "$unit is on NixOS what $file is elsewhere" \
	    diff "$TMP/there" "$TMP/here"
done

# ---- what people read ----

evaluate undescribed >"$TMP/undescribed"
is 'every option says what it is for' "$(jq -r '.[]' "$TMP/undescribed")" ''
options_page >"$TMP/options.md"
passes 'nix/options.md has every option' diff -u nix/options.md "$TMP/options.md"

# ---- package and flake ----

# A checkout, as Nix would copy it.
CHECKOUT=$TMP/checkout
mkdir -p "$CHECKOUT/build" "$CHECKOUT/.data"
for name in *; do
	case $name in
	build | build-san)	;;
	*)	cp -r "$name" "$CHECKOUT" ;;
	esac
done
: >"$CHECKOUT/build/niks3"
: >"$CHECKOUT/.data/secret"

# flake COMMAND [ARGUMENT...]: of `nix`, on it, with tests/nix as nixpkgs.
flake() {
	local command=$1 what=$2
	shift 2
	nix $command --no-write-lock-file --override-input nixpkgs \
	    "path:$CHECKOUT/tests/nix" "$@" "path:$CHECKOUT$what" 2>"$TMP/error" ||
	    { cat "$TMP/error"; return 1; }
}

outputs='checks.aarch64-linux.modules checks.aarch64-linux.package
checks.x86_64-linux.modules checks.x86_64-linux.package
nixosModules.default nixosModules.niks3 nixosModules.niks3-auto-upload
overlays.default packages.aarch64-linux.default packages.aarch64-linux.niks3
packages.x86_64-linux.default packages.x86_64-linux.niks3'
is 'flake.nix has its outputs' "$(flake 'flake show' '' --json |
    jq -r 'paths(type == "object" and has("type")) | join(".")' | sort)" \
    "$(printf '%s\n' $outputs)"
is 'both modules together make the units of a machine' \
    "$(flake eval '#checks.x86_64-linux.modules.links' --json |
    jq -r '.[].name' | sort | tr '\n' ' ')" \
    "$(cat "$EXPECTED/minimal.txt" "$EXPECTED/auto-upload.txt" |
    sed -n 's/^== \(niks3.*\..*\)/\1/p' | grep -v build-hook | sort | tr '\n' ' ')"

flake eval '#packages.x86_64-linux.niks3' --json --apply 'p: {
	inherit (p) version buildInputs nativeBuildInputs checkInputs makeFlags;
	src = "${p.src}"; }' >"$TMP/package" || cat "$TMP/package"
is 'the package has the version of its programs' \
    "niks3 $(jq -r .version "$TMP/package")" "$("$BUILD/niks3" --version)"
like 'it is installed where Nix says' "$(jq -r '.makeFlags[]' "$TMP/package")" \
    '^PREFIX=/[0-9a-z]{52}$'
SOURCE=$(jq -r .src "$TMP/package")
passes 'all that make needs is in its source' \
    sh -c 'make -n -C "$1" PREFIX=/x all tests install >/dev/null' sh "$SOURCE"
passes 'and all of the manual' diff -r man "$SOURCE/man"
is 'and nothing that is no source' \
    "$(cd "$SOURCE" && ls -d .data build nix flake.nix 2>/dev/null)" ''

# The package that has the pkg-config file of a library, or the library itself.
package_of() {
	case $1 in
	libcurl)	echo curl ;;
	libzstd)	echo zstd ;;
	libcrypto)	echo openssl ;;
	msgpack)	echo msgpack-c ;;
	sqlite3)	echo sqlite ;;
	bz2)		echo bzip2 ;;
	*)		echo "$1" ;;
	esac
}
echo 'packages:; @echo $(PKGS) $(patsubst -l%,%,$(filter -lnng,$(LINK_ipc)) \
	$(filter -lsqlite3,$(LINK_local)) \
	$(foreach p,$(PROGRAMS),$($(p)_LIBS)))' >"$TMP/packages.mk"
needed=$(make -s -f GNUmakefile -f "$TMP/packages.mk" packages |
    tr ' ' '\n' | while read -r lib; do package_of "$lib"; done | sort -u)
is 'the package has the libraries that GNUmakefile asks for, and no others' \
    "$(jq -r '.buildInputs[]' "$TMP/package" | sed 's|.*/||' | sort)" "$needed"
passes 'default.nix gives the same' nix-instantiate --eval --strict -E \
    'let p = import ./default.nix { pkgs = (import ./tests/nix).pkgs; };
    in assert p.pname == "niks3"; p.version'
passes 'the overlay adds the package' nix-instantiate --eval -E \
    'let pkgs = (import ./tests/nix).pkgs;
    in assert (import ./nix/overlay.nix pkgs { }).niks3.pname == "niks3"; true'

tap_done
