#!/bin/sh
# Client certificates: verified by the server, or by a proxy that says so; and a
# server certificate that is replaced while it serves.
. "$(dirname "$0")/lib.sh"

# ---- an authority ----

# issue NAME DN: NAME.crt and NAME.key, of our authority.
issue() {
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
	    -keyout "$TMP/$1.key" -subj "$2" -out "$TMP/$1.csr" 2>/dev/null &&
	printf 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n' \
	    >"$TMP/ext" &&
	openssl x509 -req -in "$TMP/$1.csr" -CA "$TMP/ca.crt" \
	    -CAkey "$TMP/ca.key" -CAcreateserial -days 2 \
	    -extfile "$TMP/ext" -out "$TMP/$1.crt" 2>/dev/null
}
authority() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
	    -keyout "$TMP/$1.key" -subj "/CN=$1" -days 2 -out "$TMP/$1.crt" \
	    2>/dev/null
}
authority ca && authority other && issue server /CN=server &&
    issue ci /O=example/CN=ci && issue reader /O=example/CN=reader &&
    issue guest /O=guests/CN=guest || exit 1
cp "$TMP/other.crt" "$TMP/stranger.crt"
cp "$TMP/other.key" "$TMP/stranger.key"

stack_start
path=$(nix_build shared) || exit 1

# beside NAME OPTION...: another server on the same database and signer, with an
# uploader of its own. URL and PORT are where it listens.
beside() {
	local name=$1
	shift
	proc_start "$TMP" "$name-uploader" niks3-uploader \
	    --s3-endpoint "$S3_ENDPOINT" --s3-bucket "$STACK_NAME" \
	    --s3-region "$S3_REGION" \
	    --s3-access-key-path "${S3_CONFIG%/*}/s3-access-key" \
	    --s3-secret-key-path "${S3_CONFIG%/*}/s3-secret-key" \
	    --store-dir "$STACK_STORE" --connect "ipc://$TMP/$name.sock"
	proc_start "$TMP" "$name" niks3-server \
	    --db "host=$POSTGRES_DIR dbname=$STACK_NAME user=niks3_server" \
	    --http-addr 127.0.0.1:0 --api-token-path "$STACK/token" \
	    --signer-socket "ipc://$STACK/run/signer.sock" \
	    --gc-socket "ipc://$STACK/run/gc.sock" --store-dir "$STACK_STORE" \
	    --upload-socket "ipc://$TMP/$name.sock" "$@"
	wait_until 20 grep -q listening "$TMP/$name.log" ||
	    { cat "$TMP/$name.log"; exit 1; }
	PORT=$(sed -n 's/.*port=\([0-9]*\).*/\1/p' "$TMP/$name.log" | head -n 1)
}
# as NAME PATH: the status that a client with that certificate gets.
as() {
	curl -sS --max-time 20 --cacert "$TMP/ca.crt" --cert "$TMP/$1.crt" \
	    --key "$TMP/$1.key" -o /dev/null -w '%{http_code}' \
	    "https://127.0.0.1:$PORT/api/v2$2"
}
# push_as NAME: without any token.
push_as() {
	env -u NIKS3_AUTH_TOKEN_FILE HOME="$TMP/nowhere" niks3 push \
	    --server-url "https://127.0.0.1:$PORT" --ca-cert "$TMP/ca.crt" \
	    --client-cert "$TMP/$1.crt" --client-key "$TMP/$1.key" "$path"
}

# ---- verified by the server ----

TLS="--tls-cert $TMP/server.crt --tls-key $TMP/server.key"
beside native $TLS --tls-client-ca "$TMP/ca.crt" \
    --mtls-bound-subject 'CN=ci,O=example' \
    --mtls-bound-subject-read 'CN=*,O=example'
ready() {
	[ "$(as ci /ready)" = 200 ]
}
wait_until 20 ready
is 'a subject on the list may do everything' "$(as ci /ready) $(as ci \
    /closures) $(as ci /tokens)" '200 200 200'
is 'one on the list of readers may read' "$(as reader /closures) $(as reader \
    /ready)" '200 403'
is 'one on neither is nobody' "$(as guest /closures) $(as guest /ready)" '401 401'
is 'nor is one of another authority' "$(as stranger /closures)" 401
is 'headers are nobody either' "$(curl -sS --cacert "$TMP/ca.crt" -o /dev/null \
    -w '%{http_code}' -H 'X-SSL-Client-Verify: SUCCESS' \
    -H 'X-SSL-Client-Dn: CN=ci,O=example' \
    "https://127.0.0.1:$PORT/api/v2/closures")" 401
is 'a token is good without a certificate' "$(curl -sS --cacert "$TMP/ca.crt" \
    -K "$STACK/token.curl" -o /dev/null -w '%{http_code}' \
    "https://127.0.0.1:$PORT/api/v2/ready")" 200
passes 'a push by certificate' push_as ci
is 'the upload is of the subject' "$(db_query 'select owner from uploads')" \
    'mtls:CN=ci,O=example'
fails 'none by that of a reader' 'lacks scope write' push_as reader
fails 'none by one that is nobody' 'not accepted|no bearer token' push_as guest
fails 'a server of an authority that is not ours is not believed' \
    'certificate' env -u NIKS3_AUTH_TOKEN_FILE HOME="$TMP/nowhere" niks3 push \
    --server-url "https://127.0.0.1:$PORT" --ca-cert "$TMP/other.crt" \
    --client-cert "$TMP/ci.crt" --client-key "$TMP/ci.key" "$path"

# ---- the certificate is replaced ----

shown() {
	openssl s_client -connect "127.0.0.1:$PORT" </dev/null 2>/dev/null |
	    openssl x509 -noout -serial
}
old=$(shown)
issue new /CN=server
cp "$TMP/new.crt" "$TMP/server.crt"
proc_kill "$TMP" HUP native
passes 'half of a new pair is not taken' wait_until 10 \
    grep -q 'certificate not reloaded' "$TMP/native.log"
is '... the old one stays' "$(shown)" "$old"
cp "$TMP/new.key" "$TMP/server.key"
proc_kill "$TMP" HUP native
passes 'a whole one is' wait_until 10 grep -q 'certificate reloaded' \
    "$TMP/native.log"
is '... and is shown' "$(shown)" "$(openssl x509 -noout -serial \
    -in "$TMP/new.crt")"
issue newer /CN=server
cp "$TMP/newer.key" "$TMP/server.key"
cp "$TMP/newer.crt" "$TMP/server.crt"
newest() {
	[ "$(shown)" = "$(openssl x509 -noout -serial -in "$TMP/newer.crt")" ]
}
passes 'a change of the files is seen without a signal' wait_until 30 newest
is 'clients are served as before' "$(as ci /ready)" 200
proc_stop "$TMP" TERM native native-uploader

# ---- only readers ----

beside readers $TLS --tls-client-ca "$TMP/ca.crt" \
    --mtls-bound-subject-read 'CN=reader,*'
is 'a list of readers alone opens no writing' "$(as reader \
    /closures) $(as reader /ready) $(as ci /ready)" '200 403 401'
proc_stop "$TMP" TERM readers readers-uploader
beside any $TLS --tls-client-ca "$TMP/ca.crt"
is 'without lists, every certificate may do everything' "$(as guest \
    /ready) $(as stranger /ready)" '200 401'
proc_stop "$TMP" TERM any any-uploader

# ---- verified by a proxy ----

# through CURL-OPTION...: the status.
through() {
	curl -sS --max-time 20 -o /dev/null -w '%{http_code}' \
	    -H 'X-SSL-Client-Verify: SUCCESS' \
	    -H 'X-SSL-Client-Dn: CN=ci,O=example' "$@"
}
beside proxied --mtls-proxy-header X-SSL-Client-Verify \
    --mtls-bound-subject 'CN=ci,*'
url=http://127.0.0.1:$PORT/api/v2/ready
is 'a proxy on this host is believed' "$(through "$url")" 200
is '... but not what it does not say' "$(curl -sS -o /dev/null \
    -w '%{http_code}' -H 'X-SSL-Client-Verify: NONE' \
    -H 'X-SSL-Client-Dn: CN=ci,O=example' "$url")" 401
proc_stop "$TMP" TERM proxied proxied-uploader
beside elsewhere --mtls-proxy-header X-SSL-Client-Verify \
    --mtls-proxy-address 192.0.2.1
is 'nobody is, from another address' \
    "$(through "http://127.0.0.1:$PORT/api/v2/ready")" 401
proc_stop "$TMP" TERM elsewhere elsewhere-uploader
beside socket --mtls-proxy-header X-SSL-Client-Verify \
    --mtls-proxy-socket "$TMP/proxy.sock"
wait_until 10 test -S "$TMP/proxy.sock"
is 'nobody is, beside the socket' \
    "$(through "http://127.0.0.1:$PORT/api/v2/ready")" 401
is 'a proxy is, over it' "$(through --unix-socket "$TMP/proxy.sock" \
    http://x/api/v2/ready)" 200
is 'a token is good on both' "$(curl -sS -K "$STACK/token.curl" -o /dev/null \
    -w '%{http_code}' --unix-socket "$TMP/proxy.sock" \
    http://x/api/v2/ready) $(curl -sS -K "$STACK/token.curl" -o /dev/null \
    -w '%{http_code}' "http://127.0.0.1:$PORT/api/v2/ready")" '200 200'
proc_stop "$TMP" KILL socket
beside again --mtls-proxy-header X-SSL-Client-Verify \
    --mtls-proxy-socket "$TMP/proxy.sock"
passes 'a socket that was left behind is taken over' wait_until 10 \
    grep -q 'listening.*socket=' "$TMP/again.log"

proc_stop "$TMP" TERM again again-uploader
fails 'there are no two of them' 'could not tell a proxy from others' \
    niks3-server --db "host=$POSTGRES_DIR dbname=$STACK_NAME user=niks3_server" \
    --http-addr "$TMP/http.sock" --api-token-path "$STACK/token" \
    --signer-socket "ipc://$STACK/run/signer.sock" \
    --gc-socket "ipc://$STACK/run/gc.sock" --store-dir "$STACK_STORE" \
    --upload-socket "ipc://$TMP/both.sock" \
    --mtls-proxy-header X --mtls-proxy-socket "$TMP/proxy.sock"

# ---- options that exclude each other ----

wrong() {
	local what=$1 pattern=$2
	shift 2
	fails "$what" "$pattern" niks3-server -n --db "$NIKS3_DB" \
	    --api-token-path "$STACK/token" "$@"
}
wrong 'a proxy and an authority' 'exclude each other' $TLS \
    --tls-client-ca "$TMP/ca.crt" --mtls-proxy-header X
wrong 'an authority without a certificate' 'needs --tls-cert' \
    --tls-client-ca "$TMP/ca.crt"
wrong 'subjects without certificates' 'bound subjects need' \
    --mtls-bound-subject-read x
wrong 'a socket without a header' 'need --mtls-proxy-header' \
    --mtls-proxy-socket /x
tap_done
