#!/bin/sh
# What an uploader makes of its bucket when it starts, and where it sends clients.
. "$(dirname "$0")/lib.sh"

STACK_UPLOADER='--priority=41'
stack_start

info() {
	bucket_text nix-cache-info
}

is 'nix-cache-info is written' "$(info)" "StoreDir: $STACK_STORE
WantMassQuery: 1
Priority: 41"
STACK_UPLOADER='--priority=50'
stack_restart uploader1
like 'it is written anew' "$(info)" 'Priority: 50$'
printf 'StoreDir: %s\nPriority: 50\n' "$STACK_STORE" >"$TMP/info"
s3_put "$STACK_NAME" nix-cache-info "$TMP/info"
stack_restart uploader1
is 'what somebody wrote stays as it is' "$(info)" "StoreDir: $STACK_STORE
Priority: 50"

store=$STACK_STORE
STACK_STORE=/elsewhere
stack_kill uploader1
stack_run uploader1
refused() {
	! proc_pid "$STACK" uploader1 >/dev/null
}
passes 'an uploader for another store does not start' wait_until 20 refused
like 'it says why' "$(cat "$STACK/uploader1.log")" \
    'is the cache of another store than /elsewhere'
is 'and has changed nothing' "$(info)" "StoreDir: $store
Priority: 50"
STACK_STORE=$store

# ---- the same server, by other addresses ----

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
    -keyout "$TMP/ca.key" -subj /CN=ca -days 2 -out "$TMP/ca.crt" \
    -addext 'subjectAltName=IP:127.0.0.1' 2>/dev/null || exit 1
tls=$(port_free) port=$(port_free)
nginx_start nginx "$TMP" <<CONF
	access_log $TMP/nginx/access;
	client_max_body_size 0;
	server {
		listen 127.0.0.1:$port;
		listen 127.0.0.1:$tls ssl;
		ssl_certificate $TMP/ca.crt;
		ssl_certificate_key $TMP/ca.key;
		location / {
			proxy_pass $S3_ENDPOINT;
			proxy_set_header Host \$http_host;
			proxy_http_version 1.1;
		}
	}
CONF

# ---- clients reach the server under another name ----

public=http://127.0.0.1:$port
STACK_UPLOADER="--priority=50 --s3-public-url=$public"
stack_restart uploader1
path=$(nix_build app)
passes 'a push' niks3 push "$path"
like 'its objects came by that address' "$(grep -c 'PUT .*/nar/' \
    "$TMP/nginx/access")" '^[1-9]'
is 'but not what the uploader writes' "$(grep -c narinfo \
    "$TMP/nginx/access")" 0
passes 'and all of it is there' bucket_closed
hash=0123456789abcdfghijklmnpqrsvwxyz
cat >"$TMP/begin.json" <<JSON
{"closure": "$hash.narinfo", "objects": [
  {"key": "$hash.narinfo", "type": "narinfo", "refs": []}]}
JSON
curl -sS -K "$STACK/token.curl" -X POST -H 'Content-Type: application/json' \
    --data-binary @"$TMP/begin.json" \
    "$NIKS3_SERVER_URL/api/pending_closures" >"$TMP/begun"
like 'so do presigned URLs' "$(jq -r '.pending_objects[].presigned_url' \
    "$TMP/begun")" "^$public/"
like 'a URL without a scheme is refused' "$("$BUILD/niks3-uploader" -n \
    --s3-endpoint=h --s3-bucket=b --s3-access-key=k --s3-secret-key=s \
    --s3-public-url=cdn.example 2>&1)" 'public URL of S3: not http'

# ---- S3 by TLS, with an authority of our own ----

STACK_UPLOADER="--priority=50 --s3-endpoint=https://127.0.0.1:$tls"
stack_kill uploader1
stack_run uploader1
distrusts() {
	grep -q 'cannot start.*certificate' "$STACK/uploader1.log"
}
passes 'an uploader does not talk to an S3 server that it cannot know' \
    wait_until 20 distrusts
STACK_UPLOADER="$STACK_UPLOADER --s3-ca-cert=$TMP/ca.crt"
STACK_SERVER="--enable-read-proxy --s3-ca-cert=$TMP/ca.crt"
stack_restart uploader1
stack_restart server
path=$(nix_build everything)
fails 'a push does not send to a server that it cannot know' \
    'certificate' niks3 push "$path"
passes 'a push with its authority' niks3 push --s3-ca-cert "$TMP/ca.crt" "$path"
passes 'all of it is there' bucket_closed
reader_new "$TMP/reader" "$NIKS3_PUBLIC_KEY"
passes 'a real nix reads it through the proxy' \
    reader_copy "$TMP/reader" "$NIKS3_SERVER_URL" "$path"
passes '... every file' reader_diff "$TMP/reader" "$path"
nix_remove "$TMP/reader"
tap_done
