#!/bin/sh
# The Go client itself, where NIKS3_GO_CLIENT names its binary.
ROOT=$(cd "$(dirname "$0")/../../.." && pwd)
. "$ROOT/tests/integration/lib.sh"
if [ -z "${NIKS3_GO_CLIENT-}" ]; then
	skip 'the Go client' 'NIKS3_GO_CLIENT names no binary of it'
	tap_done
	exit 0
fi
stack_start --uploaders 2

go() {
	local command=$1
	shift
	"$NIKS3_GO_CLIENT" "$command" --server-url "$NIKS3_SERVER_URL" \
	    --auth-token-path "$NIKS3_AUTH_TOKEN_FILE" "$@"
}

app=$(nix_build app)
passes 'it pushes' go push "$app"
passes 'and pushes again' go push "$app"
reader_new "$TMP/reader" "$NIKS3_PUBLIC_KEY"
passes 'a real nix reads it' \
    reader_copy "$TMP/reader" "$NIKS3_CACHE_URL" "$app"
passes 'every file' reader_diff "$TMP/reader" "$app"
passes 'the bucket is what the database says' bucket_recount
passes 'it pushes in parts' go push "$(nix_build big --arg bigBytes 25000000)"
passes 'it pins' go pins create "release" "$app"
like 'and lists pins' "$(go pins list 2>&1)" release
passes 'it collects' go gc --older-than=0s --force
passes 'what is pinned stays' bucket_text "$(basename "$app" | cut -c1-32).narinfo"
passes 'it takes a pin away' go pins delete release
passes 'and collects' go gc --older-than=0s --force
is 'nothing is left' "$(db_query 'select count(*) from closures')" 0

tap_done
