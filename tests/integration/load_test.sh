#!/bin/sh
# Many clients, slow ones and greedy ones: the server's memory is bounded, and
# others are served.
. "$(dirname "$0")/lib.sh"

ulimit -n "$(ulimit -H -n)"
STACK_SERVER='--max-connections=1600 --enable-read-proxy'
stack_start
address=${NIKS3_SERVER_URL#http://}
server=$(proc_pid "$STACK" server)
LOAD=$BUILD/tests/tools/http_load

memory() { # of the server, in MiB, at its highest
	awk '$1 == "VmHWM:" { print int($2 / 1024) }' "/proc/$server/status"
}

bounded() { # WHAT MIB
	passes "$1: less than $2 MiB" test "$(memory)" -lt "$2"
}

load() { # NAME MODE N [MORE]
	local name=$1 mode=$2
	shift 2
	background "$name" "$LOAD" "$mode" "$address" "$@"
	wait_until 60 grep -q ready "$TMP/$name.log" ||
	    die "$name is not ready"
}

unload() { # NAME: leaves in $LEFT how many were left
	proc_kill "$TMP" TERM "$1"
	finished "$1"
	LEFT=$(sed -n 's/ left//p' "$TMP/$1.log")
}

app=$(nix_build app)
passes 'a push, before' niks3 push "$app"
before=$(memory)

load idle idle 1000
passes 'a push beside 1,000 connections that are kept alive' \
    niks3 push "$(nix_build app --argstr seed idle)"
bounded '1,000 connections' $((before + 64))
unload idle
is 'each of which got every answer' "$LEFT" 1000

# A body of 100 MB that may come: nothing is kept for it before it does.
load write write 200 "Authorization: Bearer $(cat "$STACK/token")"
passes 'a push beside 200 slow writers' \
    niks3 push "$(nix_build app --argstr seed write)"
bounded '200 slow writers' $((before + 128))
unload write

# A NAR that is handed on, and one that passes through the server's memory.
big=$(nix_build big) || exit 1
middle=$(nix_build big --arg bigBytes 3000000) || exit 1
passes 'a push of what is large' niks3 push "$big" "$middle"
for path in "$big" "$middle"; do
	size=$(nix path-info --size "$path" | awk '{ print $2 }')
	hash=${path##*/} hash=${hash%%-*}
	nar=$(bucket_text "$hash.narinfo" | sed -n 's/^URL: //p')
	load read read 150 "/$nar"
	passes "a push beside 150 slow readers of $size bytes" \
	    niks3 push "$(nix_build app --argstr seed "read$hash")"
	passes '... and one that reads' curl -sS --fail --max-time 60 \
	    -o "$TMP/read" "$NIKS3_SERVER_URL/$nar"
	passes '... the whole of it' test "$(stat -c %s "$TMP/read")" = \
	    "$(bucket_text "$hash.narinfo" | sed -n 's/^FileSize: //p')"
	bounded "150 slow readers of $size bytes" $((before + 256))
	unload read
	is 'who are all still there' "$LEFT" 150
done

# Bodies that do come, more than all together may take.
head -c 120000000 /dev/zero | tr '\0' ' ' >"$TMP/spaces"
for n in 1 2 3 4 5 6; do
	background "body$n" curl -sS -o /dev/null -w '%{http_code}\n' \
	    -K "$STACK/token.curl" -X POST --data-binary "@$TMP/spaces" \
	    "$NIKS3_SERVER_URL/api/v2/uploads"
done
passes 'a request beside bodies of 120 MB' curl -sS --fail --max-time 60 \
    -K "$STACK/token.curl" "$NIKS3_SERVER_URL/api/v2/pins"
for n in 1 2 3 4 5 6; do
	finished "body$n"
	cat "$TMP/body$n.log" >>"$TMP/bodies"
done
is 'each is answered, as malformed or as one too many' \
    "$(grep -cxE '400|503' "$TMP/bodies")" 6
head -c 140000000 /dev/zero >"$TMP/large"
is 'an oversized body is refused by its head' "$(curl -sS -o /dev/null \
    -w '%{http_code}' -K "$STACK/token.curl" -X POST \
    --data-binary "@$TMP/large" "$NIKS3_SERVER_URL/api/v2/uploads")" 413
bounded 'bodies of 512 MiB in all' 900
is 'it is the same process' "$(proc_pid "$STACK" server)" "$server"
passes 'a push, after' niks3 push "$(nix_build app --argstr seed after)"

tap_done
