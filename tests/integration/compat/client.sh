# A client of the compatible API, as the Go client is one: the same requests in the
# same order, with the same bodies and headers, by curl. After lib.sh:
#
#	go_push [--pushes] [--verify] PATH...
#
# pushes closures; each step is a function of its own, so that tests can do them
# one by one, or leave one out. State is in the directory $GO.

GO=$TMP/go
COMPAT=$NIKS3_SERVER_URL/api

# compat METHOD PATH [BODY [CURL-OPTION...]]: prints the status; the answer is in
# $TMP/answer, its head in $TMP/head.
compat() {
	local method=$1 path=$2 head=
	shift 2
	[ $# -eq 0 ] || set -- --data-binary "$@"
	[ "$method" != HEAD ] || head=-I
	: >"$TMP/answer"
	curl -sS --max-time 120 -K "$STACK/token.curl" -X "$method" $head \
	    -H 'Content-Type: application/json' -D "$TMP/head" \
	    -o "$TMP/answer" -w '%{http_code}' "$@" "$COMPAT$path"
}

# answers WHAT STATUS PATTERN METHOD PATH [BODY [CURL-OPTION...]]: a test.
answers() {
	local what=$1 status=$2 pattern=$3 got
	shift 3
	got=$(compat "$@")
	like "$what" "$got $(tr '\n' ' ' <"$TMP/answer")" "^$status $pattern"
}

# go_plan PATH...: what the client knows of a closure; objects in $GO/objects.
go_plan() {
	rm -rf "$GO"
	mkdir -p "$GO"
	nix path-info --recursive --json "$@" >"$GO/info" || return 1
	for path in "$@"; do
		basename "$path" | cut -c1-32
	done >"$GO/roots"
	jq -r '.[] | [.path, .narHash, .narSize] | @tsv' "$GO/info" |
	    while read -r path hash size; do
		echo "$path $(nix hash to-base32 "$hash") $size"
	    done >"$GO/paths"
	: >"$GO/logs"
	jq -r '.[] | select(.deriver) | .deriver' "$GO/info" | sort -u |
	    while read -r drv; do
		log=$(go_log "$drv") && echo "$(basename "$drv") $log"
	    done >"$GO/logs"
	jq -n --rawfile paths "$GO/paths" --slurpfile info "$GO/info" \
	    --rawfile logs "$GO/logs" '
	    def short: split("/")[-1][0:32];
	    def lines: split("\n")[] | select(. != "") | split(" ");
	    ([$paths | lines | {key: .[0], value: .[1]}] | from_entries) as $nar |
	    [$info[0][] | (.path | short) as $h | $nar[.path] as $n |
		{key: "\($h).narinfo", type: "narinfo",
		    refs: ([.references[] | "\(short).narinfo"]
			+ ["nar/\($n).nar.zst", "\($h).ls"])},
		{key: "nar/\($n).nar.zst", type: "nar", refs: [],
		    nar_size: .narSize},
		{key: "\($h).ls", type: "listing", refs: []}]
	    + [$logs | lines | {key: "log/\(.[0])", type: "build_log", refs: []}]
	    | unique_by(.key)' >"$GO/objects"
}

# go_log DERIVATION: the file of its log.
go_log() {
	local base file
	base=$(basename "$1")
	for file in "$NIX_LOG_DIR/drvs/${base%"${base#??}"}/${base#??}"; do
		[ -e "$file" ] && echo "$file" && return
		[ -e "$file.bz2" ] && echo "$file.bz2" && return
	done
	return 1
}

# go_begin [EXTRA-JSON]: for the first root. go_begin_push: for all of them.
go_begin() {
	jq --arg root "$(head -n 1 "$GO/roots").narinfo" --argjson more "${1-{\}}" \
	    '{closure: $root, objects: .} + $more' "$GO/objects" >"$GO/request"
	go_begun /pending_closures
}

go_begin_push() {
	jq --rawfile roots "$GO/roots" '{objects: .,
	    roots: [$roots | split("\n")[] | select(. != "") | . + ".narinfo"]}' \
	    "$GO/objects" >"$GO/request"
	go_begun /pushes
}

# Tests run steps in subshells, so what one leaves for the next is in files.
go_begun() { # ROUTE
	[ "$(compat POST "$1" "@$GO/request")" = 200 ] &&
	    cp "$TMP/answer" "$GO/begun" &&
	    echo "$1/$(jq -r .id "$GO/begun")" >"$GO/upload"
}

# go_upload: the route of the upload that was begun last.
go_upload() {
	cat "$GO/upload"
}

# go_pending TYPE: keys that are to be written.
go_pending() {
	jq -r --arg type "$1" '.pending_objects | to_entries[]
	    | select(.value.type == $type) | .key' "$GO/begun"
}

go_url() { # KEY
	jq -r --arg key "$1" '.pending_objects[$key].presigned_url' "$GO/begun"
}

# go_put URL TYPE [ENCODING]: of standard input; prints the status.
go_put() {
	cat >"$GO/body"
	curl -sS --max-time 60 -X PUT -H "Content-Type: $2" \
	    ${3+-H "Content-Encoding: $3"} --data-binary "@$GO/body" \
	    -D "$GO/put-head" -o "$GO/put-answer" -w '%{http_code}' "$1"
}

# go_path_of PATTERN: the store path whose line in $GO/paths matches.
go_path_of() {
	sed -n "\\|$1|s/ .*//p" "$GO/paths" | head -n 1
}

# The NAR of a key, in one piece or in parts of GO_PART bytes.
go_put_nar() { # KEY
	local key=$1 hash path url
	hash=${key#nar/}
	path=$(go_path_of " ${hash%.nar.zst} ")
	nix-store --dump "$path" | zstd -q >"$GO/nar"
	url=$(go_url "$key")
	if [ "$url" != null ]; then
		[ "$(go_put "$url" application/octet-stream <"$GO/nar")" = 200 ]
	else
		go_put_parts "$key"
	fi
}

go_put_parts() { # KEY
	local key=$1 n=0 part id url
	id=$(jq -r --arg k "$key" \
	    '.pending_objects[$k].multipart_info.upload_id' "$GO/begun")
	rm -f "$GO"/part.*
	split -b "${GO_PART:-10485760}" -a 4 "$GO/nar" "$GO/part."
	: >"$GO/etags"
	for part in "$GO"/part.*; do
		url=$(jq -r --arg k "$key" --argjson n $n \
		    '.pending_objects[$k].multipart_info.part_urls[$n]' \
		    "$GO/begun")
		n=$((n + 1))
		if [ "$url" = null ]; then
			[ "$(compat POST /multipart/request-parts "$(jq -n \
			    --arg k "$key" --arg id "$id" --argjson n $n \
			    '{object_key: $k, upload_id: $id,
				start_part_number: $n, num_parts: 100}')")" \
			    = 200 ] || return 1
			url=$(jq -r '.part_urls[0]' "$TMP/answer")
		fi
		[ "$(go_put "$url" application/octet-stream <"$part")" = 200 ] ||
		    return 1
		sed -n 's/^[Ee][Tt]ag: *"\([^"]*\)".*/\1/p' "$GO/put-head" \
		    >>"$GO/etags"
	done
	jq -n --arg k "$key" --arg id "$id" --rawfile e "$GO/etags" \
	    '{object_key: $k, upload_id: $id,
		parts: [$e | split("\n") | to_entries[] | select(.value != "")
		    | {part_number: (.key + 1), etag: .value}]}' \
	    >"$GO/complete"
	[ "$(compat POST /multipart/complete "@$GO/complete")" = 204 ]
}

go_put_objects() {
	local key file
	for key in $(go_pending build_log); do
		file=$(sed -n "s|^${key#log/} ||p" "$GO/logs")
		case $file in
		*.bz2)	bzcat "$file" ;;
		*)	cat "$file" ;;
		esac | zstd -q >"$GO/packed"
		[ "$(go_put "$(go_url "$key")" 'text/plain; charset=utf-8' zstd \
		    <"$GO/packed")" = 200 ] || return 1
	done
	for key in $(go_pending nar); do
		go_put_nar "$key" || return 1
	done
	for key in $(go_pending listing); do
		"$BUILD/tests/tools/nar_tool" ls \
		    "$(go_path_of "/${key%.ls}-")" | zstd -q >"$GO/packed"
		[ "$(go_put "$(go_url "$key")" application/octet-stream zstd \
		    <"$GO/packed")" = 200 ] || return 1
	done
}

# go_meta KEY...: what the client says of them, in $GO/meta.
go_meta() {
	printf '%s\n' "$@" | jq -R . | jq -s --slurpfile info "$GO/info" \
	    --rawfile paths "$GO/paths" '
	    def lines: split("\n")[] | select(. != "") | split(" ");
	    ([$paths | lines | {key: .[0], value: .[1]}] | from_entries) as $nar |
	    (INDEX($info[0][]; .path | split("/")[-1][0:32] + ".narinfo")) as $by |
	    {narinfos: ([.[] | select(. != "") | . as $k | $by[$k] |
		{key: $k, value: ({store_path: .path,
		    url: "nar/\($nar[.path]).nar.zst", compression: "zstd",
		    nar_hash: "sha256:\($nar[.path])", nar_size: .narSize,
		    references: .references}
		    + (if .deriver then {deriver: .deriver} else {} end))}]
		| from_entries)}' >"$GO/meta"
}

go_sign() {
	go_meta $(go_pending narinfo)
	[ "$(compat POST "$(go_upload)/sign" "@$GO/meta")" = 200 ] &&
	    cp "$TMP/answer" "$GO/signed"
}

# go_narinfo KEY: its text.
go_narinfo() {
	jq -r --arg k "$1" --slurpfile s "$GO/signed" '
	    def base: split("/")[-1];
	    .narinfos[$k] |
	    "StorePath: \(.store_path)", "URL: \(.url)",
	    "Compression: \(.compression)", "NarHash: \(.nar_hash)",
	    "NarSize: \(.nar_size)",
	    "References: \([.references[] | base] | sort | join(" "))",
	    (if .deriver then "Deriver: \(.deriver | base)" else empty end),
	    ($s[0].signatures[$k] | sort[] | "Sig: \(.)")' "$GO/meta"
}

go_put_narinfos() {
	local key
	for key in $(go_pending narinfo); do
		go_narinfo "$key" | zstd -q >"$GO/packed"
		[ "$(go_put "$(go_url "$key")" text/x-nix-narinfo zstd \
		    <"$GO/packed")" = 200 ] || return 1
	done
}

go_complete() {
	[ "$(compat POST "$(go_upload)/complete" '')" = 204 ]
}

go_push() {
	local begin=go_begin more='{}'
	while :; do
		case $1 in
		--pushes)	begin=go_begin_push; more= ;;
		--verify)	more='{"verify_s3": true}' ;;
		*)		break ;;
		esac
		shift
	done
	go_plan "$@" && $begin $more && go_put_objects && go_sign &&
	    go_put_narinfos && go_complete
}
