#!/bin/sh
# Requests that nobody should send, made by hand. Each is refused with the right
# status, and all of them together change nothing.
. "$(dirname "$0")/lib.sh"

# S3 takes a signature for 15 minutes; ours are dated back to live shorter.
STACK_SERVER='--authorization-lifetime=8s'
stack_start
API=$NIKS3_SERVER_URL/api/v2
pids=$(cat "$STACK"/*.pid)

# api METHOD PATH [BODY [CURL-OPTION...]]: prints the status and the answer.
api() {
	local method=$1 path=$2
	shift 2
	[ $# -eq 0 ] || set -- --data-binary "$@"
	: >"$TMP/answer"
	curl -sS --max-time 30 -K "$STACK/token.curl" -X "$method" \
	    -o "$TMP/answer" -w '%{http_code} ' "$@" "$API$path" 2>&1
	tr '\n' ' ' <"$TMP/answer"
}

# refused WHAT STATUS PATTERN METHOD PATH [BODY [CURL-OPTION...]]
refused() {
	local what=$1 status=$2 pattern=$3
	shift 3
	like "$what" "$(api "$@")" "^$status .*$pattern"
}

# ---- who asks ----

# as WHAT STATUS PATTERN [CURL-OPTION...]: without the token's header.
as() {
	local what=$1 status=$2 pattern=$3
	shift 3
	like "$what" "$(curl -sS --max-time 30 -w ' %{http_code}' "$@" \
	    "$API/pins")" "$pattern.* $status\$"
}
token=$(cat "$STACK/token")
accepted="the token is not accepted"
as 'no token' 401 'no bearer token.*hint'
as 'an empty token' 401 "$accepted" -H 'Authorization: Bearer '
as 'a wrong token' 401 "$accepted" -H "Authorization: Bearer $(random_hex 24)"
as 'a token cut short' 401 "$accepted" -H "Authorization: Bearer ${token%?}"
as 'a token with more behind it' 401 "$accepted" \
    -H "Authorization: Bearer ${token}0"
as 'another scheme' 401 'no bearer token' -u "niks3:$token"
as 'a token in the query' 401 'no bearer token' -G -d "token=$token"
like 'a 401 says what it asks for' "$(curl -sSi "$API/pins")" \
    '^WWW-Authenticate: Bearer'
as 'the token itself' 200 '' -K "$STACK/token.curl"

# ---- where to ----

refused 'no such route' 404 'no such path' GET /nowhere
refused 'no such API' 404 '' GET /../v9/pins '' --path-as-is
refused 'no id where one belongs' 404 '' DELETE /uploads/
refused 'one component too many' 404 '' POST /uploads/x/commit/now '{}'
refused 'a method that the route does not have' 405 'method not allowed' \
    GET /uploads
refused 'a method that nobody knows' 405 'method not allowed' BREW /pins
like 'a 405 says which it has' "$(curl -sSi -X PATCH "$API/present")" \
    '^Allow: POST'
refused 'a malformed escape' 400 'malformed path' GET /gc/%4
refused 'a NUL in the path' 400 'malformed path' GET /gc/%00
refused 'a path that is not UTF-8' 400 'malformed path' \
    POST /uploads/%ff/commit '{}'
refused 'an encoding that we do not read' 415 'only zstd' POST /present '{}' \
    -H 'Content-Encoding: br'

# ---- the beginning of an upload ----

# store N NAME: a base name with a hash of its own.
store() {
	printf '%032d-%s' "$1" "$2"
}
# nar N: a NAR hash, in Nix's base 32.
nar() {
	printf '%052d' "$1"
}
# good N: two paths, the second refers to the first and has all there is.
good() {
	tr -d '\n\t' <<-JSON
	{"store_dir":"$STACK_STORE","roots":[1],"paths":[
	{"path":"$(store $1 lib)","nar_hash":"sha256:$(nar $1)","nar_size":100},
	{"path":"$(store $(($1 + 1)) app)","nar_hash":"sha256:$(nar $(($1 + 1)))",
	"nar_size":200,"refs":[0,1],"deriver":"$(store $(($1 + 2)) app.drv)",
	"ca":"fixed:r:sha256:$(nar $1)","sigs":["key-1:$(head -c 64 /dev/zero |
	    base64 -w0)"],"log":"$(store $(($1 + 2)) app.drv)",
	"realisations":["sha256:$(random_hex 32)!out"]}]}
	JSON
}
# opened BODY: begins an upload and prints its id. Its keys are in $TMP/keys.
opened() {
	api POST /uploads "$1" | sed -n 's/^201 .*"id":"\([0-9a-f]*\)".*/\1/p'
	jq -r '.missing[]' "$TMP/answer" >"$TMP/keys"
}

good=$(good 1)
id=$(opened "$good")
like 'an upload as it should be' "$id" '^[0-9a-f]{32}$'
before=$(census)

# begin WHAT PATTERN SED-SCRIPT: the same, but for this.
begin() {
	refused "upload: $1" 400 "$2" POST /uploads \
	    "$(printf %s "$good" | sed "$3")"
}
begin 'nothing' 'not an object' 's/.*//'
begin 'no JSON' 'not an object' 's/.*/<xml\/>/'
begin 'JSON cut short' 'JSON' 's/.$//'
begin 'more behind the JSON' 'JSON' 's/$/{}/'
begin 'a list' 'object' 's/.*/[&]/'
begin 'no number there' 'JSON|number' 's/"nar_size":100/"nar_size":/'
begin 'a text for a number' 'paths\[0\].nar_size: not a number' \
    's/"nar_size":100/"nar_size":"100"/'
begin 'a fraction' 'paths\[0\].nar_size: not a whole number' \
    's/"nar_size":100/"nar_size":1.5/'
begin 'a negative size' 'paths\[0\].nar_size: negative' \
    's/"nar_size":100/"nar_size":-100/'
begin 'a size of 65 bits' 'paths\[0\].nar_size: over' \
    's/"nar_size":100/"nar_size":18446744073709551616/'
begin 'a number for a text' 'paths\[0\].path: not a text' \
    's/"path":"[^"]*"/"path":1/'
begin 'null for a text' 'paths\[0\].path' 's/"path":"[^"]*"/"path":null/'
begin 'a list for an object' 'paths\[0\]' 's/{"path"/[{"path"/;s/100}/&]/'
begin 'an object for a list' 'roots: not a list' 's/\[1\]/{"1":1}/'
begin 'a text for a list' 'paths\[1\].sigs: not a list' \
    's/"sigs":\[[^]]*]/"sigs":"x"/'
begin 'a NUL in a text' 'store_dir: not a character of text' \
    's/"store_dir":"/&\\u0000/'
begin 'half of a surrogate pair' 'store_dir: not a character of text' \
    's/"store_dir":"/&\\ud800/'
begin 'a text that is not UTF-8' 'store_dir: not UTF-8' \
    "$(printf 's/"store_dir":"/&\377/')"
for field in store_dir roots paths path nar_hash nar_size; do
	begin "no $field" "$field: missing" "s/\"$field\"/\"x$field\"/"
done
begin 'a path cut off, no list of paths' 'roots\[0\]: there is no path 1' \
    's/"paths":.*/"paths":[]}/'

begin 'no roots' 'roots: empty' 's/"roots":\[1\]/"roots":[]/'
begin 'a root that is not there' 'roots\[0\]: there is no path 2' \
    's/"roots":\[1\]/"roots":[2]/'
begin 'a negative root' 'roots\[0\]: negative' 's/"roots":\[1\]/"roots":[-1]/'
begin 'more roots than we take' 'roots: over the limit of 10000' \
    "s/\"roots\":\[1\]/\"roots\":[$(yes 1, | head -10000 | tr -d '\n')1]/"
begin 'another store' "for the store $STACK_STORE, not /nix/store" \
    's|"store_dir":"[^"]*"|"store_dir":"/nix/store"|'
begin 'a reference that is not there' 'paths\[1\]: refs\[0\]: .* no path 7' \
    's/"refs":\[0/"refs":[7/'
begin 'a reference of 33 bits' 'refs\[0\]: over' \
    's/"refs":\[0/"refs":[4294967296/'
begin 'references in a circle' 'refer to each other in a circle' \
    's/"nar_size":100/&,"refs":[1]/'
begin 'a path listed twice' 'paths\[1\]: listed twice' \
    's/00002-app"/00001-lib"/'
begin 'two paths with one hash' 'paths\[1\]: listed twice' \
    's/00002-app"/00001-app"/'
begin 'two sizes of one NAR' 'differ in NAR size' \
    "s/$(nar 2)/$(nar 1)/"

while IFS='|' read -r what with; do
	begin "$what for a path" 'paths\[0\](: store |.)path' \
	    "s|\"path\":\"[^\"]*lib\"|\"path\":\"$with\"|"
done <<BAD
nothing|
no hash|lib
a hash cut short|0000000000000000000000000000001-lib
a letter that Nix does not use|e$(store 1 lib | cut -c2-)
a capital letter|A$(store 1 lib | cut -c2-)
no name|$(store 1 '')
a whole path|$STACK_STORE/$(store 1 lib)
a folder in it|$(store 1 lib/..)
a way up|$(store 1 ..)
a line of its own|$(store 1 'lib\\nURL')
a name with a quote|$(store 1 'a\\"b')
a name of 212 characters|$(store 1 "$(printf %0212d 1)")
BAD
while IFS='|' read -r what with; do
	begin "$what for a NAR hash" 'paths\[0\]: nar_hash' \
	    "s|\"nar_hash\":\"[^\"]*1\"|\"nar_hash\":\"$with\"|"
done <<BAD
nothing|
no algorithm|x
another algorithm|sha512:$(nar 1)
a digit cut off|sha256:$(nar 1 | cut -c2-)
a digit too many|sha256:$(nar 1)0
a letter that Nix does not use|sha256:$(nar 1 | cut -c2-)e
more than 256 bits|sha256:z$(nar 1 | cut -c2-)
a line of its own|sha256:$(nar 1 | cut -c2-)\\\\n
BAD
while IFS='|' read -r what field with; do
	begin "$what" "paths\[1\](: |\.)$field" \
	    "s|\"$field\":\"[^\"]*\"|\"$field\":\"$with\"|
	    s|\"$field\":\[[^]]*\]|\"$field\":[\"$with\"]|"
done <<BAD
a deriver with a second line|deriver|$(store 3 'app.drv\\nSig: x')
a deriver that is none|deriver|app.drv
a content address with a second line|ca|fixed:x\\\\nSig: key-1:abc
a content address with a carriage return|ca|fixed:x\\\\rSig: key-1:abc
a content address too long|ca|$(printf %0600d 1)
a signature with a second line|sigs|key-1:$(head -c 64 /dev/zero | base64 -w0)\\\\nURL: x
a signature without a name|sigs|$(head -c 64 /dev/zero | base64 -w0)
a signature of 63 bytes|sigs|key-1:$(head -c 63 /dev/zero | base64 -w0)
BAD
begin 'a log of no derivation' 'not a derivation' 's/\("log":"[^"]*\)\.drv/\1/'
begin 'a log elsewhere' 'store path' 's/"log":"/&..\//'
begin 'a realisation elsewhere' 'realisation id' \
    's/"sha256:\([^"]*\)!/"..\/\1!/'
begin 'a realisation of no output' 'realisation id' 's/!out"/!"/'
begin 'more signatures than we take' 'sigs: over the limit of 64' \
    "s/\"sigs\":\[/&$(yes '"k:",' | head -64 | tr -d '\n')/"
extra=$(printf %s "$(good 11)" | sed 's/{/{"new":[{"deep":[1.5e3,null]}],/g')
like 'upload: fields that we do not know are left alone' \
    "$(api POST /uploads "$extra"; api DELETE \
	"/uploads/$(jq -r .id "$TMP/answer")")" '^201 .*}204'

# ---- too much ----

# peak: the most memory that the server ever had, in MiB.
peak() {
	echo $(($(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' \
	    "/proc/$(proc_pid "$STACK" server)/status") / 1024))
}
# small WHAT MIB: since it was $peak, no more than that was taken.
small() {
	local grown=$(($(peak) - peak))
	[ $grown -le "$2" ] && ok "$1" || not_ok "$1" "it took $grown MiB"
	peak=$(peak)
}
# sent STATUS: the answer to what follows, of which the server may not read all.
sent() {
	curl -s --max-time 30 -K "$STACK/token.curl" -X POST -o "$TMP/answer" \
	    -w '%{http_code} ' "$@"
	tr '\n' ' ' <"$TMP/answer"
}
truncate -s 1G "$TMP/huge"
peak=$(peak)
like 'a body of 1 GiB' "$(sent -T "$TMP/huge" "$API/uploads")" '^413 .*exceeds'
like '... that does not wait to be asked for' \
    "$(sent -T "$TMP/huge" -H 'Expect:' "$API/uploads")" '^413 .*exceeds'
like '... where little is expected' \
    "$(sent -T "$TMP/huge" -H 'Expect:' "$API/gc")" '^413 .*exceeds 65536'
small 'none of them was taken into memory' 8
like 'a body of 1 GiB, in chunks' \
    "$(sent -T - "$API/uploads" <"$TMP/huge")" '^413 .*exceeds'
small 'no more of it than an upload may be was taken' 300
like 'without a token it is not even read' \
    "$(curl -s --max-time 30 -T "$TMP/huge" -X POST -w '%{http_code}' \
	"$API/uploads")" '401$'
head -c 1G /dev/zero | zstd -q >"$TMP/bomb"
like 'a zstd bomb' "$(api POST /uploads "@$TMP/bomb" \
    -H 'Content-Encoding: zstd')" '^413 .*exceeds'
like 'a zstd bomb where little is expected' "$(api POST /gc "@$TMP/bomb" \
    -H 'Content-Encoding: zstd')" '^413 .*exceeds 65536'
{ printf '{"roots":["'; head -c 200M /dev/zero; } |
    zstd -q --long=31 >"$TMP/wide"
refused 'a zstd frame that asks for 2 GiB of memory' 400 'zstd' \
    POST /present "@$TMP/wide" -H 'Content-Encoding: zstd'
small 'nor was what they unpack to' 300
refused 'zstd that is none' 400 'zstd' POST /present '{}' \
    -H 'Content-Encoding: zstd'
printf %s "$good" | zstd -q | head -c 100 >"$TMP/cut"
refused 'zstd cut off' 400 'zstd' POST /uploads "@$TMP/cut" \
    -H 'Content-Encoding: zstd'
deep() { # OPEN CLOSE
	printf '{"x":'
	yes "$1" | head -n 300000 | tr -d '\n'
	yes "$2" | head -n 300000 | tr -d '\n'
	printf ',"roots":[]}'
}
deep '[' ']' >"$TMP/deep"
refused 'lists in lists in lists' 400 'nested over the limit' \
    POST /present "@$TMP/deep"
deep '{"a":' '}' | sed 's/:}/:1}/' >"$TMP/deep"
refused 'objects in objects in objects' 400 'nested over the limit' \
    POST /present "@$TMP/deep"
{ printf '{"roots":["%s"]}' "$(head -c 100000 /dev/zero | tr '\0' a)"; } \
    >"$TMP/long"
refused 'a text that is too long' 400 'roots\[0\]: over the limit' \
    POST /present "@$TMP/long"
refused 'more roots than we take' 400 'roots: over the limit' POST /present \
    "{\"roots\":[$(yes '"a",' | head -n 10000 | tr -d '\n')\"a\"]}"
refused 'a root that is no store path' 400 'roots\[0\]: store path' \
    POST /present '{"roots":["lib"]}'

# ---- the right to write ----

sum=$(printf hello | sha256sum | cut -d' ' -f1)
object="{\"objects\":[{\"key\":\"nar/$(nar 1).nar.zst\",\"size\":5,
    \"sha256\":\"$sum\"}]}"
# authorize WHAT STATUS PATTERN SED-SCRIPT [ID]
authorize() {
	refused "authorize: $1" "$2" "$3" POST \
	    "/uploads/${5-$id}/authorize" "$(printf %s "$object" | sed "$4")"
}
while IFS='|' read -r what with; do
	authorize "$what" 400 'objects\[0\]: object key' \
	    "s|\"key\":\"[^\"]*\"|\"key\":\"$with\"|"
done <<BAD
nothing for a key
nix-cache-info|nix-cache-info
a pin|pins/name
a way up|../$(nar 1).nar.zst
a way up behind the front|nar/../$(nar 1).nar.zst
a NAR of no hash|nar/1.nar.zst
a NAR with a query|nar/$(nar 1).nar.zst?acl
a log elsewhere|log/../$(store 3 app.drv)
a folder|nar/
no key of ours|favicon.ico
BAD
narinfo=$(store 1 '' | tr -d -).narinfo
authorize 'a narinfo' 403 'narinfos are written by the server' \
    "s|nar/[^\"]*|$narinfo|"
authorize 'a key of no upload' 403 'is not missing in this upload' \
    "s|$(nar 1)|$(nar 99)|"
authorize 'an upload that does not exist' 404 'no such upload' '' \
    "$(random_hex 16)"
db_query "update uploads set owner = 'somebody else' where token = '$id'"
authorize "somebody else's upload" 404 'no such upload' ''
refused "commit: somebody else's upload" 404 'no such upload' \
    POST "/uploads/$id/commit" '{}'
refused "abort: somebody else's upload" 404 'no such upload' \
    DELETE "/uploads/$id"
db_query "update uploads set owner = 'api-token' where token = '$id'"
authorize 'a hash that is too short' 400 'sha256: not 64 digits' \
    "s/$sum/${sum%?}/"
authorize 'no hash' 400 'sha256: missing' 's/"sha256"/"md5"/'
authorize 'a negative size' 400 'size: negative' 's/"size":5/"size":-5/'
authorize 'a part of no upload' 400 'upload_id and part go together' \
    's/"size":5/&,"part":1/'
authorize 'an upload of no part' 400 'upload_id and part go together' \
    's/"size":5/&,"upload_id":"x"/'
authorize 'part 10001' 400 'part: over the limit of 10000' \
    's/"size":5/&,"upload_id":"x","part":10001/'
authorize "a part of an upload that is not ours" 403 \
    'not a multipart upload of this upload' \
    's/"size":5/&,"upload_id":"x","part":1/'
one=$(printf %s "$object" | tr -d '\n' | sed 's/.*\[\(.*\)].*/\1/')
refused 'authorize: more objects than we take' 400 'objects: over the limit' \
    POST "/uploads/$id/authorize" \
    "{\"objects\":[$(yes "$one," | head -n 256 | tr -d '\n')$one]}"

# ---- parts ----

part() { # WHAT STATUS PATTERN BODY [complete]
	refused "multipart: $1" "$2" "$3" POST "/uploads/$id/multipart${5-}" "$4"
}
part 'a narinfo' 403 'not missing in this upload' "{\"key\":\"$narinfo\"}"
part 'a key of no upload' 403 'not missing in this upload' \
    "{\"key\":\"nar/$(nar 99).nar.zst\"}"
part 'no key of ours' 403 'not missing in this upload' '{"key":"favicon.ico"}'
part 'no key' 400 'key: missing' '{}'
done=$(printf '{"key":"nar/%s.nar.zst","upload_id":"x","size":5,"sha256":"%s"' \
    "$(nar 1)" "$sum")
part 'the end of what never began' 403 'not a multipart upload' \
    "$done,\"parts\":[{\"number\":1,\"etag\":\"x\"}]}" /complete
part 'an end without parts' 400 'parts' "$done}" /complete
part 'a part without an ETag' 400 'parts\[0\].etag: missing' \
    "$done,\"parts\":[{\"number\":1}]}" /complete

# ---- garbage collection, pins ----

gc() { # WHAT STATUS PATTERN BODY
	refused "gc: $1" "$2" "$3" POST /gc "$4"
}
gc 'no age' 400 'older_than_s: missing' '{"pending_older_than_s":0}'
gc 'no grace' 400 'pending_older_than_s: missing' '{"older_than_s":0}'
gc 'a negative age' 400 'older_than_s: negative' \
    '{"older_than_s":-1,"pending_older_than_s":0}'
gc 'a fraction' 400 'older_than_s: not a whole' \
    '{"older_than_s":0.5,"pending_older_than_s":0}'
gc 'a text' 400 'older_than_s: not a number' \
    '{"older_than_s":"720h","pending_older_than_s":0}'
gc 'more than a hundred years' 400 'older_than_s: over the limit' \
    '{"older_than_s":9223372036854,"pending_older_than_s":0}'
gc 'a word for force' 400 'force: not true or false' \
    '{"older_than_s":0,"pending_older_than_s":0,"force":"no"}'
refused 'gc: a run that never was' 404 'no such run' GET /gc/7
refused 'gc: the latest, of none' 404 'no garbage collection yet' GET /gc/latest
refused 'gc: a run of no number' 400 'id of a run' GET /gc/seven
refused 'gc: a negative run' 400 'id of a run' GET /gc/-1

pin() { # WHAT STATUS PATTERN NAME [PATH]
	refused "pin: $1" "$2" "$3" PUT "/pins/$4" \
	    "{\"store_path\":\"${5-$STACK_STORE/$(store 1 lib)}\"}"
}
pin 'a path that was never pushed' 404 'not in the cache' name
pin 'a slash in the name' 400 'pin name' a%2Fb
pin 'a way up' 400 'pin name.*reserved' %2e%2e
pin 'a space' 400 'pin name' a%20b
pin 'a line feed' 400 'pin name' a%0ab
pin 'a letter that is not ASCII' 400 'pin name' %C3%A4
pin 'a name of 300 characters' 400 'pin name of 300 bytes' "$(printf %0300d 1)"
pin 'a path elsewhere' 400 'not in' name "/nix/store/$(store 1 lib)"
pin 'no store path' 400 'store path' name "$STACK_STORE/lib"
pin 'what lies in a store path' 400 'store path' name \
    "$STACK_STORE/$(store 1 lib)/bin"
refused 'pin: no path' 400 'store_path: missing' PUT /pins/name '{}'
refused 'pin: one that is not there, deleted' 404 'there is no pin none' \
    DELETE /pins/none
refused 'pin: a name that is none, deleted' 400 'pin name' DELETE /pins/a%20b

unchanged 'all of this changed nothing' "$before"

# ---- an authorisation is for these bytes at this key, now ----

# permit ID KEY FILE: the right to write it, as a configuration of curl.
permit() {
	api POST "/uploads/$1/authorize" "{\"objects\":[{\"key\":\"$2\",
	    \"size\":$(wc -c <"$3"),\"sha256\":\"$(sha256sum <"$3" |
	    cut -d' ' -f1)\"}]}" >/dev/null
	jq -r '.puts[] | "url = \(.url | @json)",
	    (.headers[] | "header = \(@json)")' "$TMP/answer" >"$TMP/put.curl"
}
put() { # FILE [CURL-OPTION...]: prints the status
	local file=$1
	shift
	curl -sS --max-time 30 -o "$TMP/answer" -w '%{http_code}' \
	    -K "$TMP/put.curl" -T "$file" "$@"
}
key=nar/$(nar 1).nar.zst
printf hello >"$TMP/hello"
printf 'HELLO' >"$TMP/other"
printf 'hello!' >"$TMP/longer"
permit "$id" "$key" "$TMP/hello"
like 'other bytes are not written' "$(put "$TMP/other")" '^40[03]$'
like 'more bytes are not written' "$(put "$TMP/longer")" '^40[03]$'
like 'nor with the hash of the others' "$(sum=$(sha256sum <"$TMP/other")
    sed -i "s/sha256: [0-9a-f]*/sha256: ${sum%% *}/" "$TMP/put.curl"
    put "$TMP/other")" '^403$'
permit "$id" "$key" "$TMP/hello"
sed -i "s/$(nar 1)/$(nar 2)/" "$TMP/put.curl"
is 'nor at another key, of the same upload' "$(put "$TMP/hello")" 403
permit "$id" "$key" "$TMP/hello"
sed -i "s:$key:nix-cache-info:" "$TMP/put.curl"
is 'nor over what others read' "$(put "$TMP/hello")" 403
permit "$id" "$key" "$TMP/hello"
sed -i "s/x-amz-date: .*Z/x-amz-date: $(date -u +%Y%m%dT%H%M%SZ \
    -d '+10 min')/" "$TMP/put.curl"
is 'nor with a later date' "$(put "$TMP/hello")" 403
permit "$id" "$key" "$TMP/hello"
like 'nor by another method' "$(curl -sS -o "$TMP/answer" -w '%{http_code}' \
    -K "$TMP/put.curl" -X DELETE)" '^40[03]$'
is 'nothing of that was written' "$(bucket_ls)" \
    "$(printf '%s\n' "$before" | grep ' nix-cache-info$')"

permit "$id" "$key" "$TMP/hello"
sleep 9
like 'nor after its time' "$(put "$TMP/hello") $(cat "$TMP/answer")" \
    '^403 .*RequestTimeTooSkewed'
is 'nothing of that was written either' "$(bucket_ls)" \
    "$(printf '%s\n' "$before" | grep ' nix-cache-info$')"

# ---- commit ----

missing='message":"objects of this upload are not in the bucket.*missing":\['
refused 'commit: nothing was written' 409 "$missing.*$(nar 1).*$(nar 2)" \
    POST "/uploads/$id/commit" '{}'
refused 'commit: what was found is not there' 409 "$missing.*$(nar 1)" \
    POST "/uploads/$id/commit" "{\"found\":[\"$key\"]}"
refused 'commit: a list of numbers' 400 'found\[0\]: not a text' \
    POST "/uploads/$id/commit" '{"found":[1]}'
refused 'commit: an upload that does not exist' 404 'no such upload' \
    POST "/uploads/$(random_hex 16)/commit" '{}'

# fill ID [EXCEPT]: writes what the upload needs, all of it "hello".
fill() {
	local each
	for each in $(cat "$TMP/keys"); do
		[ "$each" = "${2-}" ] && continue
		permit "$1" "$each" "$TMP/hello"
		[ "$(put "$TMP/hello")" = 200 ] || cat "$TMP/answer"
	done
}
last=$(grep ^realisations/ "$TMP/keys")
is 'all but one are written' "$(fill "$id" "$last")" ''
refused 'commit: one is missing, and named' 409 "$missing\"$last\"]" \
    POST "/uploads/$id/commit" '{}'
permit "$id" "$last" "$TMP/hello"
s3_put "$STACK_NAME" "$last" "$TMP/longer"
refused 'commit: one is there, of another size' 409 "$missing\"$last\"]" \
    POST "/uploads/$id/commit" '{}'
is 'nothing was published' "$(bucket_ls | grep narinfo)$(
    db_query 'select key from closures join objects on id = object_id')" ''
is 'with the right one there' "$(put "$TMP/hello")" 200
like 'it is committed' "$(api POST "/uploads/$id/commit" '{}')" \
    '^200 \{"narinfos":2\}'
before=$(census)
like 'once more: the same answer' "$(api POST "/uploads/$id/commit" '{}')" \
    '^200 \{"narinfos":2\}'
like 'and with no body at all' "$(api POST "/uploads/$id/commit")" \
    '^200 \{"narinfos":2\}'
closed='is committed already'
authorize 'an upload that is committed' 409 "$closed" ''
part 'an upload that is committed' 409 "$closed" "{\"key\":\"$key\"}"
refused 'abort: an upload that is committed' 409 "$closed" \
    DELETE "/uploads/$id"
pin 'the hash of a dependency, with another name' 404 \
    'not in the cache.*hint":"push it' name "$STACK_STORE/$(store 1 other)"
pin 'the hash of a closure, with another name' 400 \
    'the closure in the cache is' \
    name "$STACK_STORE/$(store 2 other)"
unchanged 'all of this changed nothing' "$before"

second=$(good 21)
id=$(opened "$second")
authorize 'what is in the cache already' 403 'not missing' ''
permit "$id" "nar/$(nar 21).nar.zst" "$TMP/hello"
put "$TMP/hello" >/dev/null
like 'abort' "$(api DELETE "/uploads/$id")" '^204'
like 'abort, once more' "$(api DELETE "/uploads/$id")" '^204'
closed='was rolled back'
refused 'commit: an upload that was rolled back' 409 "$closed" \
    POST "/uploads/$id/commit" '{}'
authorize 'an upload that was rolled back' 409 "$closed" ''
part 'an upload that was rolled back' 409 "$closed" "{\"key\":\"$key\"}"

# A multipart upload whose size is not what was said of it.
id=$(opened "$second")
key=nar/$(nar 21).nar.zst
api POST "/uploads/$id/multipart" "{\"key\":\"$key\"}" >/dev/null
mpu=$(jq -r .upload_id "$TMP/answer")
api POST "/uploads/$id/authorize" "{\"objects\":[{\"key\":\"$key\",\"size\":5,
    \"sha256\":\"$sum\",\"upload_id\":\"$mpu\",\"part\":1}]}" >/dev/null
jq -r '.puts[] | "url = \(.url | @json)",
    (.headers[] | "header = \(@json)")' "$TMP/answer" >"$TMP/put.curl"
like 'a part of other bytes is not written' "$(put "$TMP/other")" '^40[03]$'
etag=$(put "$TMP/hello" -D - |
    sed -n 's/^[Ee][Tt][Aa][Gg]: *"*\([0-9a-f]*\).*/\1/p')
ends() { # WHAT STATUS PATTERN SIZE PART ETAG
	part "$1" "$2" "$3" "{\"key\":\"$key\",\"upload_id\":\"$mpu\",\"size\":$4,
	    \"sha256\":\"$sum\",\"parts\":[{\"number\":$5,\"etag\":\"$6\"}]}" /complete
}
ends 'a part that was never written' '4..' 'InvalidPart' 5 2 "$etag"
ends 'a part that is another one' '4..' 'InvalidPart' 5 1 "$(random_hex 16)"
ends 'a size that is another one' 422 'S3 holds 5 bytes, not the 6' 6 1 "$etag"
refused 'commit: what is there has another size' 409 "$missing.*\"$key\"" \
    POST "/uploads/$id/commit" '{}'
ends 'a completion that finds it there' 200 'existed":true' 5 1 "$etag"
ends 'and again, as after a lost answer' 200 'existed":true' 5 1 "$etag"
like 'it can be rolled back' "$(api DELETE "/uploads/$id")" '^204'
is 'what was not committed is in no narinfo' \
    "$(bucket_ls | grep -c 'narinfo$') $(s3_uploads "$STACK_NAME")" '2 '

is 'the daemons are still those that began' "$(cat "$STACK"/*.pid)" "$pids"
passes 'whatever a narinfo in the bucket refers to is there' bucket_closed
passes 'and a push goes on as ever' niks3 push "$(nix_build shared)"
tap_done
