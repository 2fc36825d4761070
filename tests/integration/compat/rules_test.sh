#!/bin/sh
# The rules of the compatible API, one test each: statuses, words, limits, headers.
ROOT=$(cd "$(dirname "$0")/../../.." && pwd)
. "$ROOT/tests/integration/lib.sh"
stack_start
. "$(dirname "$0")/client.sh"

H=$(printf '0%.0s' $(seq 32))		# a hash of a store path
N=$(printf '1%.0s' $(seq 52))		# and one of a NAR
INFO=$H.narinfo

# body CLOSURE KEY TYPE [MORE]: of a beginning.
body() {
	jq -nc --arg c "$1" --arg k "$2" --arg t "$3" --argjson m "${4-{\}}" \
	    '{closure: $c, objects: [{key: $k, type: $t, refs: []} + $m]}'
}

# ---- who asks ----

like 'no token is a 401' "$(curl -sS -o "$TMP/answer" -w '%{http_code}' \
    -X POST "$COMPAT/pending_closures" -d '{}')" '^401$'
like 'a wrong one, too' "$(curl -sS -o "$TMP/answer" -w '%{http_code}' \
    -H 'Authorization: Bearer wrong' "$COMPAT/pins")" '^401$'
answers 'errors are plain text' 400 'missing closure key' \
    POST /pending_closures '{}'
like 'and say so' "$(cat "$TMP/head")" \
    '^[Cc]ontent-[Tt]ype: text/plain; charset=utf-8'
like 'nobody guesses' "$(cat "$TMP/head")" \
    '^[Xx]-[Cc]ontent-[Tt]ype-[Oo]ptions: nosniff'
answers 'an unknown route is a 404' 404 '' GET /nowhere
answers 'another method a 405' 405 '' GET /pending_closures
like 'with Allow' "$(cat "$TMP/head")" '^[Aa]llow: .*POST'

# ---- POST /api/pending_closures ----

answers 'what is no JSON' 400 'failed to decode request: ' \
    POST /pending_closures '{'
answers 'no closure' 400 'missing closure key' \
    POST /pending_closures '{"objects": []}'
answers 'a closure that is no narinfo' 400 \
    'closure key must end with .narinfo' \
    POST /pending_closures "$(body "$H" "$INFO" narinfo)"
answers 'no objects' 400 'missing objects key' \
    POST /pending_closures "{\"closure\": \"$INFO\", \"objects\": []}"
answers 'no refs' 400 'failed to decode request: .*refs' \
    POST /pending_closures "$(body "$INFO" "$INFO" narinfo '{"refs": null}')"
answers 'unknown fields are ignored' 200 '' POST /pending_closures \
    "$(body "$INFO" "$INFO" narinfo | jq -c '. + {new: [1]}')"

# key KEY TYPE STATUS
key() {
	if [ "$3" = 200 ]; then
		answers "$2 $1" 200 '' POST /pending_closures \
		    "$(body "$INFO" "$1" "$2" '{"nar_size": 1000}')"
	else
		answers "$2 $1 is refused" 400 'invalid object key "' \
		    POST /pending_closures "$(body "$INFO" "$1" "$2")"
	fi
}
key "$INFO" narinfo 200
key "nar/$N.nar.zst" nar 200
key "nar/$N.nar" nar 200
key "nar/$N.nar.xz" nar 200
key "nar/$N.nar.bz2" nar 200
key "$H.ls" listing 200
key 'log/abc-x_..y.drv' build_log 200
key 'log/a+b?c=d.drv' build_log 200
key "realisations/sha256:abc!out.doi" realisation 200
key "$INFO" nar 400
key "nar/$N.nar.gz" nar 400
key "nar/$N.nar.zst" narinfo 400
key "${H}0.narinfo" narinfo 400
key "e${H#?}.narinfo" narinfo 400
key 'nix-cache-info' narinfo 400
key 'index.html' narinfo 400
key 'pins/x' narinfo 400
key "staging/x/$INFO" narinfo 400
key "../$INFO" narinfo 400
key "/$INFO" narinfo 400
key "nar/../$INFO" narinfo 400
key 'log/../x.drv' build_log 400
key "$INFO" story 400
key '' narinfo 400

# mode SIZE: how a NAR of that size is to be uploaded.
mode() {
	compat POST /pending_closures "$(body "$INFO" "nar/$N.nar.zst" nar \
	    "$1")" >/dev/null
	jq -r '.pending_objects[] | if .presigned_url then "one"
	    else "parts \(.multipart_info.part_urls | length)" end' \
	    "$TMP/answer"
}
is '1 byte is one PUT' "$(mode '{"nar_size": 1}')" one
is '10 MiB are one PUT' "$(mode '{"nar_size": 10485760}')" one
is 'one byte more comes in parts' "$(mode '{"nar_size": 10485761}')" 'parts 2'
is '100 MiB: as many, and a fifth more' "$(mode '{"nar_size": 104857600}')" \
    'parts 12'
is '10 GiB: a hundred' "$(mode '{"nar_size": 10737418240}')" 'parts 100'
is 'of unknown size: ten' "$(mode '{}')" 'parts 10'
is 'of size 0, too' "$(mode '{"nar_size": 0}')" 'parts 10'
compat POST /pending_closures "$(body "$INFO" "$INFO" narinfo)" >/dev/null
like 'URLs are good for five hours' "$(jq -r \
    '.pending_objects[].presigned_url' "$TMP/answer")" 'X-Amz-Expires=18000'
like 'and hold no credential but the name of one' "$(jq -r \
    '.pending_objects[].presigned_url' "$TMP/answer" |
    grep -c "$(cat "${S3_CONFIG%/*}/s3-secret-key")")" '^0$'
ID=$(jq -r .id "$TMP/answer")

# ---- sign ----

app=$(nix_build app)
go_plan "$app"
go_begin || die 'it does not begin'
go_meta $(go_pending narinfo)
APP=$(head -n 1 "$GO/roots").narinfo
edited() { # FILTER
	jq -c --arg k "$APP" "$1" "$GO/meta"
}
sign() { # WHAT STATUS PATTERN FILTER
	answers "$1" "$2" ".*$3" POST "$(go_upload)/sign" "$(edited "$4")"
}
sign 'what was begun is signed' 200 '{"signatures":{' .
is 'each by the one key' "$(jq -r '.signatures[] | length' "$TMP/answer" |
    sort -u)" 1
sign 'twice, if need be' 200 '{"signatures":{' .
sign 'nothing is nothing' 200 'signatures":[{][}]' '.narinfos = {}'
sign 'a narinfo of another closure' 403 \
    'invalid narinfo key: not part of this pending closure' \
    ".narinfos[\"$INFO\"] = .narinfos[\$k]"
answers 'an unknown id' 403 'invalid narinfo key' \
    POST /pending_closures/999999999/sign "$(edited .)"
answers 'an id of 64 bits' 403 'invalid narinfo key' \
    POST /pending_closures/9223372036854775807/sign "$(edited .)"
answers 'an id that is none' 400 'invalid id: ' \
    POST /pending_closures/x/sign "$(edited .)"
sign 'a store path with another hash' 400 'has another hash' \
    ".narinfos[\$k].store_path |= sub(\"/[0-9a-z]{32}-\"; \"/$H-\")"
sign 'a store path of another store' 400 'store' \
    '.narinfos[$k].store_path |= "/elsewhere" + .'
sign 'another NAR' 400 'its NAR is' \
    ".narinfos[\$k].nar_hash = \"sha256:$N\""
sign 'no NAR hash at all' 400 'nar_hash' '.narinfos[$k].nar_hash = "sha1:x"'
sign 'a NAR of no size' 400 'no NAR is empty' '.narinfos[$k].nar_size = 0'
sign 'a reference that it was not begun with' 400 'refers to' \
    ".narinfos[\$k].references += [.narinfos[\$k].store_path
	| sub(\"/[0-9a-z]{32}-\"; \"/$H-\")]"
sign 'references of null are none' 200 '' '.narinfos[$k].references = null'

# ---- complete ----

answers 'an unknown id' 404 'pending closure not found' \
    POST /pending_closures/999999999/complete ''
answers 'an unknown push' 404 'push not found' \
    POST /pushes/999999999/complete ''
answers 'an id that is none' 400 'invalid id: ' \
    POST /pending_closures/1x/complete ''
answers 'nothing was written' 409 'Push object missing: ' \
    POST "$(go_upload)/complete" ''
fails 'and nothing is published' AccessDenied s3_get "$STACK_NAME" "$APP"
go_put_objects && go_sign
# A narinfo that says what was not begun.
forged() { # WHAT PATTERN SED-SCRIPT
	go_put_narinfos
	go_narinfo "$APP" | sed "$3" | zstd -q >"$GO/packed"
	go_put "$(go_url "$APP")" text/x-nix-narinfo zstd <"$GO/packed" \
	    >/dev/null
	answers "$1" 400 ".*$2" POST "$(go_upload)/complete" ''
}
forged 'a narinfo of another path' 'has another hash' \
    "s|^StorePath: .*/[0-9a-z]*-|StorePath: $NIX_STORE_DIR/$H-|"
forged 'a narinfo with another NAR' 'its NAR is' "s|^NarHash: .*|NarHash: sha256:$N|"
forged 'a narinfo with another URL' 'URL is' "s|^URL: .*|URL: nar/$N.nar.zst|"
forged 'a narinfo with another size' 'NarSize is' 's/^NarSize: .*/NarSize: 7/'
forged 'a narinfo with a reference more' 'refers to' \
    "s|^References: |References: $H-x |"
forged 'what is no narinfo' 'narinfo' 's/.*/x/'
fails 'nothing of it is published' AccessDenied s3_get "$STACK_NAME" "$APP"
go_put_narinfos
answers 'the right ones are committed' 204 '' POST "$(go_upload)/complete" ''
answers 'and once more' 204 '' POST "$(go_upload)/complete" ''
text=$(bucket_text "$APP")
like 'the server has signed' "$text" '^Sig: '

# ---- whose it is ----

db_query "update uploads set owner = 'somebody' where id = $ID" >/dev/null
answers 'nobody completes the upload of another' 404 \
    'pending closure not found' POST "/pending_closures/$ID/complete" ''
answers 'or has it signed' 403 '' POST "/pending_closures/$ID/sign" \
    "{\"narinfos\": {\"$INFO\": {\"store_path\": \"$NIX_STORE_DIR/$H-x\",
    \"nar_hash\": \"sha256:$N\", \"nar_size\": 1, \"references\": []}}}"

# ---- pushes ----

answers 'a push without roots' 400 'missing roots' POST /pushes '{}'
answers 'without objects' 400 'missing objects key' \
    POST /pushes "{\"roots\": [\"$INFO\"]}"
push() { # WHAT PATTERN ROOT
	answers "$1" 400 "$2" POST /pushes "$(jq -nc --arg r "$3" --arg k "$INFO" \
	    '{roots: [$r], objects: [{key: $k, type: "narinfo", refs: []}]}')"
}
push 'a root that is no narinfo' 'root key must end with .narinfo: ' "$H.ls"
push 'a root that is not listed' 'root is not among the objects: ' \
    "1${H#?}.narinfo"
answers 'roots may be there twice' 200 '' POST /pushes "$(jq -nc --arg k "$INFO" \
    '{roots: [$k, $k], objects: [{key: $k, type: "narinfo", refs: []}]}')"
PUSH=$(jq -r .id "$TMP/answer")
answers 'a reference to what is nowhere' 200 '' POST /pushes "$(jq -nc \
    --arg k "$INFO" --arg to "2${H#?}.narinfo" \
    '{roots: [$k], objects: [{key: $k, type: "narinfo", refs: [$to]}]}')"
is 'is not asked for' "$(jq -r '.pending_objects | keys[]' "$TMP/answer")" \
    "$INFO"
answers 'a reference that is no key' 400 'reference of' POST /pushes "$(jq -nc \
    --arg k "$INFO" '{roots: [$k],
	objects: [{key: $k, type: "narinfo", refs: ["x"]}]}')"

# ---- multipart ----

compat POST /pending_closures "$(body "$INFO" "nar/$N.nar.zst" nar)" >/dev/null
MPU=$(jq -r '.pending_objects[].multipart_info.upload_id' "$TMP/answer")
parts() { # WHAT STATUS PATTERN FILTER
	answers "$1" "$2" "$3" POST /multipart/request-parts "$(jq -nc \
	    --arg k "nar/$N.nar.zst" --arg id "$MPU" "{object_key: \$k,
	    upload_id: \$id, start_part_number: 11, num_parts: 3} | $4")"
}
parts 'more parts' 200 '' .
is 'begin where they should' "$(jq .start_part_number "$TMP/answer")" 11
is 'and are as many' "$(jq '.part_urls | length' "$TMP/answer")" 3
parts 'no key' 400 'missing object_key' 'del(.object_key)'
parts 'a key of no NAR' 400 'invalid object key' ".object_key = \"$INFO\""
parts 'no upload' 400 'missing upload_id' 'del(.upload_id)'
parts 'part 0' 400 'start_part_number must be positive' '.start_part_number = 0'
parts 'no parts' 400 'num_parts must be between 1 and 1000' '.num_parts = 0'
parts '1001 parts' 400 'num_parts must be between 1 and 1000' '.num_parts = 1001'
parts 'part 10001' 400 'requested parts exceed S3 maximum of 10000' \
    '.start_part_number = 10000 | .num_parts = 2'
parts 'part 10000' 200 '' '.start_part_number = 10000 | .num_parts = 1'
parts 'an upload that is not known' 404 'multipart upload not found' \
    '.upload_id = "x"'
whole() { # WHAT STATUS PATTERN FILTER
	answers "$1" "$2" "$3" POST /multipart/complete "$(jq -nc \
	    --arg k "nar/$N.nar.zst" --arg id "$MPU" "{object_key: \$k,
	    upload_id: \$id, parts: [{part_number: 1, etag: \"x\"}]} | $4")"
}
whole 'no parts' 400 'missing parts' '.parts = []'
whole 'a key of no NAR' 400 'invalid object key' ".object_key = \"$INFO\""
whole 'an upload that is not known' 404 'multipart upload not found' \
    '.upload_id = "x"'

# ---- objects ----

is 'an object that is there' "$(compat HEAD "/objects/$APP")" 204
is 'one that is not' "$(compat HEAD "/objects/3${H#?}.narinfo")" 404
is 'a key that is none' "$(compat HEAD /objects/nix-cache-info)" 404
answers 'what is present' 200 "{\"present\":\\[\"$APP\"\\]}" \
    POST /objects/present "{\"keys\": [\"$APP\", \"$INFO\", \"x\"]}"
dep=$(sed -n 2p "$GO/paths" | cut -d' ' -f1)
[ "$(basename "$dep" | cut -c1-32).narinfo" != "$APP" ] ||
    dep=$(sed -n 1p "$GO/paths" | cut -d' ' -f1)
answers 'a mere dependency is not' 200 '{"present":\[\]}' POST /objects/present \
    "{\"keys\": [\"$(basename "$dep" | cut -c1-32).narinfo\"]}"
db_query "update closures set updated_at = now() - interval '9 d'" >/dev/null
compat POST /objects/present "{\"keys\": [\"$APP\"]}" >/dev/null
is 'and what is present is refreshed' "$(db_query "select count(*)
    from closures where updated_at > now() - interval '1 h'")" 1
answers 'written: no key' 400 'missing object_key' POST /uploads/complete '{}'
answers 'written: what is live' 204 '' POST /uploads/complete \
    "{\"object_key\": \"$APP\", \"closure_id\": \"1\"}"
answers 'written: what nobody asked for' 404 'object is not pending upload' \
    POST /uploads/complete "{\"object_key\": \"4${H#?}.narinfo\"}"
answers 'written: what did not arrive' 404 'object not found in S3' \
    POST /uploads/complete "{\"object_key\": \"$INFO\"}"
compat POST /pending_closures "$(body "$INFO" "$INFO" narinfo)" >/dev/null
echo x | go_put "$(jq -r '.pending_objects[].presigned_url' "$TMP/answer")" \
    text/plain >/dev/null
answers 'written: what did' 204 '' POST /uploads/complete \
    "{\"object_key\": \"$INFO\"}"
is 'which HEAD knows, too' "$(compat HEAD "/objects/$INFO")" 204
answers 'skipped' 204 '' POST /uploads/skipped '{"paths": 3, "nar_bytes": 7}'

answers 'a closure' 200 '' GET "/closures/$APP"
is 'by its key' "$(jq -r .id "$TMP/answer")" "$APP"
is 'with all that it needs' "$(jq -r '.objects[]' "$TMP/answer" |
    grep -vc '^log/')" "$(jq '[.[] | select(.type != "build_log")] | length' \
    "$GO/objects")"
answers 'one that is none' 404 'closure not found' GET "/closures/$INFO"

# ---- pins ----

answers 'no pins' 200 '\[\]' GET /pins
answers 'a pin' 204 '' POST /pins/a "{\"store_path\": \"$app\"}"
is 'its object is the store path' "$(s3_get "$STACK_NAME" pins/a)" "$app"
answers 'of a dependency' 204 '' POST /pins/dep "{\"store_path\": \"$dep\"}"
answers 'are listed by name' 200 '' GET /pins
is 'all of them' "$(jq -r 'map(.name) | join(" ")' "$TMP/answer")" 'a dep'
like 'with their times' "$(jq -r '.[0].updated_at' "$TMP/answer")" 'T.*Z$'
answers 'of nothing' 400 'missing store_path' POST /pins/a '{}'
answers 'of what is no store path' 400 '' POST /pins/a '{"store_path": "/x"}'
answers 'of what was never pushed' 404 \
    'closure not found: store path must be pushed before pinning' \
    POST /pins/a "{\"store_path\": \"$NIX_STORE_DIR/$H-x\"}"
answers 'with a name that is none' 400 '' POST '/pins/a%20b' \
    "{\"store_path\": \"$app\"}"
answers 'that is not there' 404 'pin not found' DELETE /pins/none
db_query "update closures set updated_at = now() - interval '90 d'" >/dev/null
passes 'a collection' niks3 gc --older-than=1h --force
like 'leaves what is pinned' "$(bucket_text "$APP")" '^Sig: '
is 'and a dependency that is' "$(db_query "select count(*) from closures")" 2
answers 'unpinned' 204 '' DELETE /pins/a
answers 'and the other' 204 '' DELETE /pins/dep
fails 'its object goes' AccessDenied s3_get "$STACK_NAME" pins/a

# ---- gc ----

gc() { # WHAT STATUS PATTERN QUERY
	answers "$1" "$2" "$3" DELETE "/closures$4"
}
gc 'no age' 400 'missing age' ''
gc 'an age that is none' 400 'failed to parse age: ' '?older-than=x'
gc 'an age below zero' 400 'older-than must not be negative' '?older-than=-1h'
gc 'no age of uploads' 400 'failed to parse failed-uploads-older-than: ' \
    '?older-than=1h&failed-uploads-older-than=x'
gc 'nor one below zero' 400 \
    'failed-uploads-older-than must not be negative' \
    '?older-than=1h&failed-uploads-older-than=-1s'
ended() {
	compat GET /gc/status >/dev/null
	[ "$(jq -r .state "$TMP/answer")" != running ]
}
gc 'a collection is accepted' 202 '' '?older-than=0s&force=true'
is 'it runs' "$(jq -r .state "$TMP/answer")" running
is 'with these parameters' "$(jq -c .params "$TMP/answer")" \
    '{"older_than":"0s","failed_uploads_older_than":"6h","force":true}'
like 'and began' "$(jq -r .started_at "$TMP/answer")" 'T.*Z$'
passes 'it ends' wait_until 60 ended
is 'well' "$(jq -r .state "$TMP/answer")" succeeded
is 'without a phase' "$(jq -r .phase "$TMP/answer")" null
like 'at a time' "$(jq -r .finished_at "$TMP/answer")" 'T.*Z$'
is 'what it did is told' "$(jq -r '.stats | keys | join(" ")' "$TMP/answer")" \
    'failed_uploads_deleted objects_deleted_after_grace_period objects_failed_to_delete objects_marked_for_deletion old_closures_deleted'
is 'exactly' "$(jq '.stats.old_closures_deleted' "$TMP/answer")" 2
fails 'the closure is gone' AccessDenied s3_get "$STACK_NAME" "$APP"
answers 'the oldest clients wait for the end' 204 '' \
    DELETE '/closures?older-than=720h&pending-older-than=6h'

# One that is held, to meet it.
proc_stop "$STACK" TERM gc
gc 'while one is queued' 202 '' '?older-than=720h'
gc 'the same joins it' 202 '' '?older-than=720h'
gc 'another is refused' 409 '{"error":"a different garbage collection is' \
    '?older-than=100h'
is 'and told of it' "$(jq -r .active_task.params.older_than "$TMP/answer")" 720h
stack_run gc
passes 'it goes on' wait_until 60 ended

compat POST /pending_closures "$(body "$INFO" "$INFO" narinfo)" >/dev/null
answers 'uploads that are given up' 400 'invalid duration: ' \
    DELETE '/pending_closures?older-than=x'
answers 'are not those with a lease' 204 '' \
    DELETE '/pending_closures?older-than=0s'
is 'which go on' "$(db_query "select count(*) from uploads
    where state = 'open'" | sed 's/^0$/none/')" "$(db_query "select count(*)
    from uploads where state = 'open' and lease_until > now()")"
db_query "update uploads set lease_until = now() - interval '2 h'" >/dev/null
answers 'and others' 204 '' DELETE /pending_closures
is 'end' "$(db_query "select count(*) from uploads where state = 'open'")" 0
passes 'the bucket is what the database says' wait_until 30 db_recount

# ---- limits ----

head -c 9000000 /dev/zero >"$TMP/large"
answers 'a small body that is too large' 413 'request body exceeds 8388608 bytes' \
    POST /multipart/complete "@$TMP/large"

tap_done
