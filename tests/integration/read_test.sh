#!/bin/sh
# The read proxy: what readers get, in which form, and what S3 is asked for.
. "$(dirname "$0")/lib.sh"

STACK_SERVER='--enable-read-proxy --narinfo-cache-ttl 1s'
stack_start --own-s3
everything=$(nix_build everything) app=$(nix_build app) big=$(nix_build big) ||
    exit 1
passes 'a push' niks3 push --pin kept "$app"
passes '... of every kind of path' niks3 push "$everything"
U=$NIKS3_SERVER_URL
hash=${app##*/} hash=${hash%%-*}
bucket_text "$hash.narinfo" >"$TMP/app.narinfo"
nar=$(sed -n 's/^URL: //p' "$TMP/app.narinfo")
bighash=${big##*/} bighash=${bighash%%-*}
bignar=$(bucket_text "$bighash.narinfo" | sed -n 's/^URL: //p')
s3_get "$STACK_NAME" "$bignar" >"$TMP/big.nar"
s3_get "$STACK_NAME" "$nar" >"$TMP/app.nar"
log=$(bucket_ls log/ | head -n 1 | cut -d' ' -f2)
doi=$(bucket_ls realisations/ | head -n 1 | cut -d' ' -f2)

# get PATH [CURL-OPTION...]: the body into $TMP/body, the head into $TMP/head,
# and the status on standard output.
get() {
	local path=$1
	shift
	rm -f "$TMP/body"
	curl -sS --max-time 60 --path-as-is -D "$TMP/head" -o "$TMP/body" \
	    -w '%{http_code}' "$@" "$U/$path"
}

# header NAME: of the last answer; nothing where there was none.
header() {
	tr -d '\r' <"$TMP/head" | sed -n "s/^$1: //Ip"
}

# gives WHAT FILE PATH [CURL-OPTION...]: 200 and these bytes.
gives() {
	local what=$1 file=$2
	shift 2
	is "$what: status" "$(get "$@")" 200
	[ -e "$TMP/body" ] || : >"$TMP/body"
	passes "$what: bytes" cmp "$file" "$TMP/body"
}

# requests: how often our S3 server was asked for an object so far.
requests() {
	cat "$STACK"/ceph/*rgw*.log | grep -c 'beast: .*"GET /.*" [0-9]'
}

# ---- what there is ----

gives 'nix-cache-info' /dev/stdin nix-cache-info <<EOT
StoreDir: $STACK_STORE
WantMassQuery: 1
Priority: 30
EOT
is '... its type' "$(header content-type)" text/x-nix-cache-info
printf %s "$app" >"$TMP/pin"
gives 'a pin' "$TMP/pin" pins/kept
is '... its type' "$(header content-type)" 'text/plain; charset=utf-8'
is '... is not kept' "$(header cache-control)" no-cache

gives 'a narinfo' "$TMP/app.narinfo" "$hash.narinfo"
is '... its type' "$(header content-type)" text/x-nix-narinfo
is '... for a minute' "$(header cache-control)" max-age=60
is '... has no coding' "$(header content-encoding)" ''
like '... but a weak tag' "$(header etag)" '^W/"[^"]+"$'
like '... and depends on what is understood' "$(header vary)" Accept-Encoding
tag=$(header etag)
is '... packed for who understands it' \
    "$(get "$hash.narinfo" -H 'Accept-Encoding: gzip, zstd')" 200
is '... says so' "$(header content-encoding)" zstd
is '... and has the strong tag' "$(header etag)" "${tag#W/}"
passes '... is the same text' sh -c \
    "zstd -dcq <'$TMP/body' | cmp - '$TMP/app.narinfo'"

gives 'a NAR' "$TMP/app.nar" "$nar"
is '... its type' "$(header content-type)" application/x-nix-nar
is '... for ever' "$(header cache-control)" 'max-age=31536000, immutable'
is '... its length' "$(header content-length)" "$(stat -c %s "$TMP/app.nar")"
is '... has ranges' "$(header accept-ranges)" bytes
like '... a strong tag' "$(header etag)" '^"[^"]+"$'
like '... a date' "$(header last-modified)" GMT
gives 'a large NAR' "$TMP/big.nar" "$bignar"

for key in "$hash.ls" "$log" "$doi"; do
	path=$(s3_path "$key")
	bucket_text "$key" >"$TMP/plain"
	gives "$key, unpacked" "$TMP/plain" "$path"
	is '... has no coding' "$(header content-encoding)" ''
	is '... and no ranges' "$(header accept-ranges)" ''
	is '... a range of it is not looked at' \
	    "$(get "$path" -H 'Range: bytes=0-1')" 200
	s3_get "$STACK_NAME" "$key" >"$TMP/packed"
	gives '... packed' "$TMP/packed" "$path" -H 'Accept-Encoding: zstd'
	is '... says so' "$(header content-encoding)" zstd
	is '... has ranges' "$(get "$path" -H 'Accept-Encoding: zstd' \
	    -H 'Range: bytes=1-3')" 206
	passes '... of the packed bytes' sh -c \
	    "tail -c +2 '$TMP/packed' | head -c 3 | cmp - '$TMP/body'"
	case $key in
	*.ls | *.doi) is '... its type' "$(header content-type)" \
	    application/json ;;
	*) is '... its type' "$(header content-type)" \
	    'text/plain; charset=utf-8' ;;
	esac
done

# ---- what there is not ----

absent=00000000000000000000000000000000
for path in "$absent.narinfo" "$absent.ls" pins/none "log/$absent-x.drv" \
    "nar/${absent}00000000000000000000.nar.zst"; do
	is "$path is not there" "$(get "$path")" 404
	is '... nor for a HEAD' "$(get "$path" -I)" 404
done
for path in nowhere "$hash" "nar/$hash.narinfo" "../$nar" "nar/../$nar" \
    "pins/.." "pins/a/b" "pins/" "$hash.narinfo/" "$hash.narinfo%00" \
    "?prefix=" "api/nothing" "nar/" "$hash.narinfo%0a"; do
	like "nobody gets $path" "$(get "$path")" '^(400|404|301)$'
done
is 'nothing can be written' "$(get "$nar" -X PUT -d x)" 405
is '... or deleted' "$(get "$nar" -X DELETE)" 405

# ---- HEAD ----

before=$(requests)
is 'HEAD of a NAR' "$(get "$nar" -I)" 200
is '... has its length' "$(header content-length)" \
    "$(stat -c %s "$TMP/app.nar")"
is '... and asks S3 once' $(($(requests) - before)) 1
is '... HEAD of a narinfo' "$(get "$hash.narinfo" -I)" 200
is 'HEAD of a listing' "$(get "$hash.ls" -I)" 200
is 'HEAD has no range' "$(get "$nar" -I -H 'Range: bytes=0-4')" 200

# ---- conditional requests ----

get "$nar" >/dev/null
tag=$(header etag) date=$(header last-modified)
conditional() { # WHAT STATUS CURL-OPTION...
	local what=$1 status=$2
	shift 2
	is "$what" "$(get "$nar" "$@")" "$status"
	[ "$status" = 200 ] || [ "${1-}" = -I ] || [ ! -s "$TMP/body" ] ||
	    not_ok "$what: without a body"
}
conditional 'If-None-Match with the tag' 304 -H "If-None-Match: $tag"
is '... repeats the tag' "$(header etag)" "$tag"
is '... and for how long' "$(header cache-control)" \
    'max-age=31536000, immutable'
conditional '... weakly' 304 -H "If-None-Match: W/$tag"
conditional '... in a list' 304 -H "If-None-Match: \"a\", W/$tag, \"b\""
conditional '... any' 304 -H 'If-None-Match: *'
conditional '... another' 200 -H 'If-None-Match: "another"'
conditional '... others' 200 -H 'If-None-Match: "a", "b"'
conditional '... without quotes' 200 -H "If-None-Match: $(echo "$tag" | tr -d '"')"
conditional '... of a HEAD' 304 -I -H "If-None-Match: $tag"
conditional 'If-Modified-Since that date' 304 -H "If-Modified-Since: $date"
conditional '... since before' 200 \
    -H 'If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT'
conditional '... since no date' 200 -H 'If-Modified-Since: recently'
conditional '... does not count beside a tag' 200 \
    -H 'If-None-Match: "another"' -H "If-Modified-Since: $date"
get "$hash.narinfo" >/dev/null
is 'a narinfo by its tag' \
    "$(get "$hash.narinfo" -H "If-None-Match: $(header etag)")" 304
is '... by any' "$(get "$hash.narinfo" -H 'If-None-Match: *')" 304
get "$hash.ls" >/dev/null
is 'a listing by its weak tag' \
    "$(get "$hash.ls" -H "If-None-Match: $(header etag)")" 304

# ---- ranges ----

size=$(stat -c %s "$TMP/app.nar")
range() { # TEXT FIRST COUNT: 206 with these bytes
	is "Range: $1" "$(get "$nar" -H "Range: $1")" 206
	is '... says which' "$(header content-range)" \
	    "bytes $2-$(($2 + $3 - 1))/$size"
	is '... its length' "$(header content-length)" "$3"
	passes '... has them' sh -c "tail -c +$(($2 + 1)) '$TMP/app.nar' |
	    head -c $3 | cmp - '$TMP/body'"
}
range bytes=0-0 0 1
range bytes=5-9 5 5
range bytes=5- 5 $((size - 5))
range bytes=-7 $((size - 7)) 7
range "bytes=0-$((size + 100))" 0 "$size"
range "bytes=-$((size + 100))" 0 "$size"
for text in "bytes=$size-" "bytes=$size-$((size + 9))" bytes=-0; do
	is "Range: $text" "$(get "$nar" -H "Range: $text")" 416
	is '... says the size' "$(header content-range)" "bytes */$size"
done
for text in bytes=0-1,3-4 bytes=9-5 bytes=x lines=0-5 bytes=-; do
	gives "Range: $text" "$TMP/app.nar" "$nar" -H "Range: $text"
done
is 'If-Range with the tag' \
    "$(get "$nar" -H 'Range: bytes=1-2' -H "If-Range: $tag")" 206
is '... with the date' \
    "$(get "$nar" -H 'Range: bytes=1-2' -H "If-Range: $date")" 206
for text in '"another"' "W/$tag" 'Sun, 06 Nov 1994 08:49:37 GMT'; do
	gives "If-Range: $text" "$TMP/app.nar" "$nar" -H 'Range: bytes=1-2' \
	    -H "If-Range: $text"
done
gives '... with a range behind the end' "$TMP/app.nar" "$nar" \
    -H "Range: bytes=$size-" -H 'If-Range: "another"'
is '... of the same' "$(get "$nar" -H "Range: bytes=$size-" \
    -H "If-Range: $tag")" 200
half=$(($(stat -c %s "$TMP/big.nar") / 2))
is 'a large range' "$(get "$bignar" -H "Range: bytes=$half-")" 206
passes '... has the bytes' sh -c \
    "tail -c +$((half + 1)) '$TMP/big.nar' | cmp - '$TMP/body'"
: >"$TMP/empty"
s3_put "$STACK_NAME" "nar/${absent}00000000000000000000.nar.zst" "$TMP/empty"
gives 'an empty object' "$TMP/empty" "nar/${absent}00000000000000000000.nar.zst"
gives '... has no ranges' "$TMP/empty" \
    "nar/${absent}00000000000000000000.nar.zst" -H 'Range: bytes=0-'
is '... and no bytes for a HEAD' \
    "$(get "nar/${absent}00000000000000000000.nar.zst" -I)" 200
is '... as it says' "$(header content-length)" 0
s3_delete "$STACK_NAME" "nar/${absent}00000000000000000000.nar.zst"

# ---- what S3 is asked for ----

before=$(requests)
gives 'one more read' "$TMP/app.nar" "$nar"
is '... is one request' $(($(requests) - before)) 1
before=$(requests)
gives 'a large one' "$TMP/big.nar" "$bignar"
is '... too' $(($(requests) - before)) 1
sleep 1.1
before=$(requests)
for n in 1 2 3 4 5; do
	get "$hash.narinfo" >/dev/null
done
is 'narinfos come from memory' $(($(requests) - before)) 1

# A narinfo that was replaced, or deleted, is not told for longer than its time.
sed 's/^Compression: .*/Compression: other/' "$TMP/app.narinfo" |
    zstd -q >"$TMP/other"
s3_get "$STACK_NAME" "$hash.narinfo" >"$TMP/stored.narinfo"
get "$hash.narinfo" >/dev/null
s3_put "$STACK_NAME" "$hash.narinfo" "$TMP/other" -H 'Content-Encoding: zstd'
sleep 1.1
get "$hash.narinfo" >/dev/null
like 'a narinfo that was replaced' "$(cat "$TMP/body")" '^Compression: other'
s3_delete "$STACK_NAME" "$hash.narinfo"
sleep 1.1
is 'a narinfo that was deleted' "$(get "$hash.narinfo")" 404
echo 'not zstd' >"$TMP/broken"
s3_put "$STACK_NAME" "$hash.narinfo" "$TMP/broken" -H 'Content-Encoding: zstd'
is 'a narinfo that cannot be unpacked' "$(get "$hash.narinfo")" 502
s3_put "$STACK_NAME" "$hash.narinfo" "$TMP/app.narinfo"
sleep 1.1
gives 'a narinfo that was stored as it is' "$TMP/app.narinfo" "$hash.narinfo"
like '... has a strong tag' "$(header etag)" '^"'
s3_put "$STACK_NAME" "$hash.narinfo" "$TMP/stored.narinfo" \
    -H 'Content-Encoding: zstd'
sleep 1.1

# ---- POST /api/v2/narinfos ----

narinfos() {
	curl -sS --max-time 60 -o "$TMP/body" -w '%{http_code}' -d "$1" \
	    "$U/api/v2/narinfos"
}
is 'narinfos in one request' \
    "$(narinfos "{\"hashes\":[\"$hash\",\"$absent\",\"$bighash\"]}")" 200
is '... those that exist' "$(jq -r '.narinfos[].hash' "$TMP/body" | tr '\n' ' ')" \
    "$hash $bighash "
jq -j '.narinfos[0].text' "$TMP/body" >"$TMP/text"
passes '... with their texts' cmp "$TMP/text" "$TMP/app.narinfo"
nix-store -qR "$everything" | sed 's:.*/::; s/-.*//' >"$TMP/hashes"
is '... of a closure' "$(narinfos "$(jq -Rn '{hashes: [inputs]}' <"$TMP/hashes")")" 200
is '... all of it' "$(jq '.narinfos | length' "$TMP/body")" \
    "$(sort -u "$TMP/hashes" | wc -l)"
is '... of none' "$(narinfos '{"hashes":[]}')" 200
is '... of no hash' "$(narinfos '{"hashes":["x"]}')" 400
is '... of too many' "$(narinfos "$(jq -n --arg h "$hash" \
    '{hashes: [range(1001) | $h]}')")" 400
is '... of a thousand that are not there' "$(narinfos "$(jq -n --arg h "$absent" \
    '{hashes: [range(1000) | $h]}')")" 200
is '... none' "$(jq '.narinfos | length' "$TMP/body")" 0

# ---- the real reader ----

reader_new "$TMP/reader" "$NIKS3_PUBLIC_KEY"
passes 'nix copies the closure from the proxy' \
    reader_copy "$TMP/reader" "$U" "$everything"
passes '... the same files and facts' reader_diff "$TMP/reader" "$everything"
passes 'nix log, by the proxy' sh -c "nix log '$app' >'$TMP/log.ours'"
is '... the same' "$(reader_nix "$TMP/reader" log --store "$U" "$app")" \
    "$(cat "$TMP/log.ours")"
passes 'nix store ls, by the proxy' reader_nix "$TMP/reader" store ls -R \
    --store "$U" "$app"

# ---- slow readers, and S3 away ----

for n in $(seq 40); do
	background "slow$n" curl -s --limit-rate 1k --max-time 60 \
	    -o /dev/null "$U/$bignar"
done
sleep 1
gives 'beside forty slow readers' "$TMP/big.nar" "$bignar"
memory=$(awk '/^VmRSS/ { print int($2 / 1024) }' \
    "/proc/$(proc_pid "$STACK" server)/status")
passes "... with memory to spare (${memory} MiB)" [ "$memory" -lt 150 ]
for n in $(seq 40); do
	proc_kill "$TMP" KILL "slow$n"
done

# What S3 breaks off goes on where it was, also where we no longer look at the
# bytes: the reader sees nothing of it.
background broken curl -sS --limit-rate 40M --max-time 100 \
    -o "$TMP/broken.nar" "$U/$bignar"
sleep 1
stack_kill ceph
size_broken=$(stat -c %s "$TMP/broken.nar")
stack_restart ceph
finished broken
is 'S3 is killed in the middle of a read' $? 0
like '... indeed' "$size_broken" '^[1-9]'
passes '... not at its end' [ "$size_broken" -lt "$(stat -c %s "$TMP/big.nar")" ]
passes '... and all arrives' cmp "$TMP/broken.nar" "$TMP/big.nar"

stack_kill ceph
is 'a read while S3 is away' "$(get "$nar")" 502
is '... is not an absent one' "$(get "$absent.narinfo")" 502
is '... nor are many' "$(narinfos "{\"hashes\":[\"$absent\"]}")" 503
is 'the API goes on' "$(curl -s "$U/health")" OK
stack_restart ceph
gives 'a read after it came back' "$TMP/app.nar" "$nar"

# ---- without the proxy ----

proc_stop "$STACK" TERM server
STACK_SERVER=
stack_run server
stack_wait
U=$NIKS3_SERVER_URL
is 'without --enable-read-proxy nothing is read' "$(get "$nar")" 404
is '... nor a narinfo' "$(get "$hash.narinfo")" 404
tap_done
