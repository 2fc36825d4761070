#!/bin/sh
# The examples of the manual, run as they stand there: of each page the blocks
# behind a line
#
#	.\" test
#
# are commands behind "$ " or "# ", and those behind
#
#	.\" test file PATH
#
# are files, which are there before any command runs. The hosts, directories and
# users of the manual become those of this test.
. "$(dirname "$0")/lib.sh"
stack_start
export NIKS3_MIGRATIONS_DIR="$ROOT/migrations"
ETC=$TMP/etc
mkdir -p "$ETC/secrets" "$TMP/blocks" "$TMP/project"
for file in api-token s3-access-key s3-secret-key; do
	(umask 077; random_hex 32 >"$ETC/secrets/$file")
done
echo "(import $LIB/fixture.nix { }).app" >"$TMP/project/default.nix"
(cd "$TMP/project" && nix-build -Q -o result >/dev/null 2>&1) || exit 1

# blocks PAGE: writes each block into a file that is named after page and line,
# commands without what stands before them; prints their names.
blocks() {
	awk -v to="$TMP/blocks/${1##*/}" '
	    /^\.\\" test/ { kind = $3 == "file" ? "file" : "run"; path = $4; next }
	    kind != "" && /^\.Bd -literal/ {
		out = to "." NR "." kind
		print out, path
		next
	    }
	    /^\.Ed/ { kind = out = "" }
	    out == "" { next }
	    {
		gsub(/\\e/, "\\")
		if (kind == "run")
			sub(/^[$#] /, "")
		print >out
	    }' "$1" || echo "$1: awk failed"
}

# localise FILE
localise() {
	sed -i "s|https://niks3\.example\.org|$NIKS3_SERVER_URL|g
	    s|https://cache\.example\.org|$NIKS3_CACHE_URL|g
	    s|/etc/niks3|$ETC|g
	    s|=niks3-[a-z]*|=$(id -un)|g" "$1"
}

for page in "$ROOT"/man/*; do
	blocks "$page"
done >"$TMP/list"
while read -r block path; do
	localise "$block"
	[ -z "$path" ] || cp "$block" "$ETC/${path##*/}"
done <"$TMP/list"

# Each block in a shell of its own, which ends with the first command that fails.
while read -r block path; do
	[ -z "$path" ] || continue
	name=${block##*/} name=${name%.run}
	passes "${name%.*}, line ${name##*.}" env -C "$TMP/project" \
	    bash -eux -o pipefail "$block"
done <"$TMP/list"

for page in "$ROOT"/man/*.[18]; do
	like "${page##*/} has an example" "$(cat "$TMP/list")" \
	    "/${page##*/}\.[0-9]*\.run"
done
tap_done
