#!/bin/sh
# niks3 doctor: finds nothing wrong with what is right, and each thing that is
# broken, by its name and with what to do about it.
. "$(dirname "$0")/lib.sh"

TOOLS=$BUILD/tests/tools
stack_start
path=$(nix_build shared) || exit 1
passes 'a push' niks3 push "$path"

# policy STATEMENT...: of the bucket, in place of the one it has.
policy() {
	local all= one
	for one in "$@"; do
		all="$all${all:+, }$one"
	done
	s3 "$STACK_NAME?policy=" -X PUT -d \
	    "{\"Version\": \"2012-10-17\", \"Statement\": [$all]}" >/dev/null
}
# allow|deny WHO ACTION RESOURCE: a statement; WHO is "*" or a user.
statement() {
	printf '{"Effect": "%s", "Principal": "*", "Action": ["s3:%s"],
	    "Resource": ["arn:aws:s3:::%s"]}' "$@"
}
readable=$(statement Allow GetObject "$STACK_NAME/*")
listable=$(statement Allow ListBucket "$STACK_NAME")
# denying ACTION [RESOURCE]: takes a right away, from everybody.
denying() {
	policy "$readable" "$listable" \
	    "$(statement Deny "$1" "${2-$STACK_NAME/*}")"
}
policy "$readable" "$listable"

# conf [LINE...]: the nix.conf of the machine, after those of the tests.
base=$(grep -v '^substituters\|^trusted-public-keys\|^require-sigs' \
    "$NIX_CONF_DIR/nix.conf")
conf() {
	printf '%s\n' "$base" "$@" >"$NIX_CONF_DIR/nix.conf"
}
trusting() {
	conf "substituters = $NIKS3_CACHE_URL/?priority=7" \
	    "trusted-public-keys = $NIKS3_PUBLIC_KEY"
}
trusting

# doctor [OPTION...]: its findings are in $TMP/found, "CHECK STATE TEXT -> ADVICE"
# on a line each; prints its exit status.
doctor() {
	local rc=0
	env -u NIKS3_CACHE_URL niks3 doctor --json "$@" >"$TMP/json" 2>"$TMP/said" || rc=$?
	jq -r '.findings[] | "\(.check) \(.state) \(.text)" +
	    if .advice then " -> " + .advice else "" end' "$TMP/json" \
	    >"$TMP/found" || cat "$TMP/json" "$TMP/said" >&2
	echo $rc
}
# bad [STATE]: the checks with that state.
bad() {
	awk -v state="${1-problem}" '$2 == state { printf "%s%s", s, $1; s = " " }' \
	    "$TMP/found"
}
# finds WHAT CHECKS PATTERN [OPTION...]: exit status 1, these problems and no
# others; and the pattern fits the first of them.
finds() {
	local what=$1 checks=$2 pattern=$3
	shift 3
	is "$what" "$(doctor "$@") $(bad)" "1 $checks"
	like '... what, and what to do' \
	    "$(grep -m 1 "^${checks%% *} " "$TMP/found")" "$pattern"
}
# warns WHAT CHECKS PATTERN [OPTION...]: the same with warnings, which are no
# problem.
warns() {
	local what=$1 checks=$2 pattern=$3
	shift 3
	is "$what" "$(doctor "$@") $(bad)/$(bad warning)" "0 /$checks"
	like '... what, and what to do' \
	    "$(grep -m 1 "^${checks%% *} " "$TMP/found")" "$pattern"
}
# proxy NAME HOST:PORT: alters what the server says by the rules in $TMP/NAME;
# sets $proxy.
proxy() {
	: >"$TMP/$1"
	: >"$TMP/$1.log"
	proc_start "$TMP" "$1" "$TOOLS/alter_proxy" "$2" "$TMP/$1"
	wait_until 5 grep -q listening "$TMP/$1.log" ||
	    die "no proxy: $(cat "$TMP/$1.log")"
	proxy=127.0.0.1:$(sed -n 's/.*port=//p' "$TMP/$1.log")
}

# hold NAME: stops a process of the stack, so that it does not answer; returns when
# it has.
hold() {
	proc_kill "$STACK" STOP "$1"
	wait_until 5 grep -q '^State:.T' \
	    "/proc/$(proc_pid "$STACK" "$1")/status"
}

# ---- all is well ----

before=$(census)
is 'nothing is found where nothing is wrong' "$(doctor)" 0
is '... neither problems, warnings, nor what was left out' \
    "$(bad)$(bad warning)$(bad skipped)" ''
is '... all was looked at' "$(cut -d' ' -f1 "$TMP/found" | tr '\n' ' ')" \
    "server-url credential server tls clock version token database signer \
gc uploader s3-clock bucket-reach bucket-put bucket-get bucket-head \
bucket-absent bucket-create-only bucket-copy bucket-list bucket-multipart \
bucket-multipart-abort bucket-multipart-list bucket-delete cache cache-absent \
cache-path signature cache-nar nix-substituters nix-keys nix-trust "
is '... and all is as it was' "$(census)" "$before"
like 'who asks, and what that may do' "$(grep '^token ' "$TMP/found")" \
    'ok api-token, which may: read, write, admin, pin, gc; no end$'
niks3 doctor >"$TMP/text" 2>&1
is 'the same for people' "$?" 0
is '... one line for each' "$(grep -c '^ok ' "$TMP/text")" \
    "$(wc -l <"$TMP/found")"
like '... and how many' "$(tail -n 1 "$TMP/text")" \
    '^[0-9]+ ok, warnings: 0, problems: 0, skipped: 0$'
escape=$(printf '\033')
is 'no colour in a file' "$(grep -c "$escape" "$TMP/text")" 0
TERM=xterm script -qec 'niks3 doctor' /dev/null >"$TMP/tty" 2>&1
like 'colour on a terminal' "$(cat "$TMP/tty")" "$escape\[32mok"
NO_COLOR=1 TERM=xterm script -qec 'niks3 doctor' /dev/null >"$TMP/tty" 2>&1
is '... unless NO_COLOR is set' "$(grep -c "$escape" "$TMP/tty")" 0
like '... which says the same' "$(cat "$TMP/tty")" '^ok  '
is 'a path of the cache can be named' "$(doctor "$path")" 0
like '... and is what is read' "$(grep '^cache-path ' "$TMP/found")" \
    "ok ${path##*/} can be read"
passes 'a configuration is checked without asking anybody' \
    niks3 doctor -n --server-url http://127.0.0.1:1
niks3 doctor --bogus >/dev/null 2>&1
is 'a wrong option is no finding' $? 2
niks3 doctor >/dev/full 2>"$TMP/said"
is 'nor is a full disk' "$? $(grep -c 'standard output' "$TMP/said")" '1 1'

# ---- the command line's own ----

is 'no server' "$(NIKS3_SERVER_URL= doctor) $(bad)" '1 server-url'
like '... what to do' "$(grep '^server-url' "$TMP/found")" \
    'none is given -> give --server-url or NIKS3_SERVER_URL'
finds 'a URL that is none' server-url \
    'ftp://x: not an http.*-> give one as https' --server-url ftp://x
NIKS3_AUTH_TOKEN_FILE='' doctor >"$TMP/status"
is 'no credential, as for who only reads' \
    "$(cat "$TMP/status") $(bad warning)/$(bad skipped)" \
    '0 credential/token bucket cache-path nix-trust'
like '... what to do' "$(grep '^credential' "$TMP/found")" \
    'nothing can be pushed -> give --auth-token-path or'
finds 'a token that is not there' credential "$TMP/none: .*-> put a token there" \
    --auth-token-path "$TMP/none"
like '... the rest is looked at' "$(cat "$TMP/found")" \
    '^token skipped there is no credential'
: >"$TMP/empty"
finds 'an empty token' credential 'empty' --auth-token-path "$TMP/empty"
printf 'two words' >"$TMP/words"
finds 'one that is none' credential 'more than one word' \
    --auth-token-path "$TMP/words"
cp "$STACK/token" "$TMP/open"
chmod 644 "$TMP/open"
warns 'a token that others can read' credential \
    "mode 644\) -> run: chmod go= $TMP/open" --auth-token-path "$TMP/open"
finds 'a certificate that is none' ca-cert \
    'no certificate in PEM.*-> give a readable file' --ca-cert "$TMP/words"

# authority NAME DAYS, issue NAME DAYS: certificates, the latter of the authority
# "ca". They may have ended already.
key='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
authority() {
	openssl req -x509 $key -keyout "$TMP/$1.key" -subj "/CN=$1" \
	    -days "$2" -out "$TMP/$1.crt" 2>/dev/null
}
issue() {
	openssl req -new $key -keyout "$TMP/$1.key" -subj "/CN=$1" \
	    -out "$TMP/$1.csr" 2>/dev/null &&
	printf 'subjectAltName=IP:127.0.0.1\n' >"$TMP/ext" &&
	openssl x509 -req -in "$TMP/$1.csr" -CA "$TMP/ca.crt" -CAkey \
	    "$TMP/ca.key" -CAcreateserial -days "$2" -extfile "$TMP/ext" \
	    -out "$TMP/$1.crt" 2>/dev/null
}
authority ca 90 && authority other 90 && authority short 3 &&
    issue server 90 && issue client 90 && issue ended -1 || exit 1
finds 'one that has ended' ca-cert 'ended [0-9]+ days ago -> renew it' \
    --ca-cert "$TMP/ended.crt"
warns 'one that will end soon' ca-cert 'ends in [23] days -> renew it' \
    --ca-cert "$TMP/short.crt"
is 'one that will not' "$(doctor --ca-cert "$TMP/ca.crt")" 0
finds 'a key of another certificate' client-cert \
    'not that of the certificate' --client-cert "$TMP/client.crt" \
    --client-key "$TMP/other.key"
finds 'a certificate without its key' client-cert \
    'go together -> give both' --client-cert "$TMP/client.crt"

# ---- the server ----

finds 'nobody listens' server '-> see that niks3-server runs' \
    --server-url http://127.0.0.1:1
like '... nothing more is asked of it' "$(cat "$TMP/found")" \
    '^token skipped nor is anything else of the server: it does not answer$'
hold server
begun=$(date +%s)
finds 'it hangs' server 'timed out.*-> see that niks3-server runs' --timeout 3s
is '... and is not waited for' "$(($(date +%s) - begun < 20))" 1
proc_kill "$STACK" CONT server
finds 'something else listens' server 'else than niks3 answers \(status 40' \
    --server-url "$S3_ENDPOINT"
finds 'it speaks no HTTPS' server '' \
    --server-url "https://${NIKS3_SERVER_URL#http://}"
STACK_SERVER="--tls-cert $TMP/server.crt --tls-key $TMP/server.key"
proc_stop "$STACK" TERM server
stack_run server
secure=https://${NIKS3_SERVER_URL#http://}
wait_until 10 curl -sf --cacert "$TMP/ca.crt" -o /dev/null "$secure/ready" ||
    die "no server: $(cat "$STACK/server.log")"
finds 'its certificate is not trusted' tls '-> give the authority.*--ca-cert' \
    --server-url "$secure"
finds '... nor by another authority' tls 'certificate' \
    --server-url "$secure" --ca-cert "$TMP/other.crt"
is '... but by the one that issued it' "$(doctor --server-url "$secure" \
    --ca-cert "$TMP/ca.crt") $(grep '^tls ' "$TMP/found")" \
    '0 tls ok its certificate is trusted'
STACK_SERVER=
stack_restart server || exit 1

proxy server "${NIKS3_SERVER_URL#http://}"
via=http://$proxy
is 'a proxy that alters nothing' "$(doctor --server-url "$via")" 0
echo 'GET /health date -60' >"$TMP/server"
warns 'its clock is a minute behind' clock \
    's is (59|60|61) s behind ours -> set the clocks' --server-url "$via"
echo 'GET /health date 3600' >"$TMP/server"
finds 'its clock is an hour ahead' clock \
    's is (3599|3600|3601) s ahead of ours -> set the clocks' \
    --server-url "$via"
echo 'GET /health drop Date' >"$TMP/server"
is 'it does not tell its time' "$(doctor --server-url "$via") $(bad skipped)" \
    '0 clock'
echo 'GET /api/v2/cache replace "version":"0.1.0" "version":"9.8.7"' \
    >"$TMP/server"
warns 'it has another version' version \
    'the server is 9.8.7, this is 0.1.0 -> install the same' \
    --server-url "$via"
printf '%s\n' 'GET /api/v2/cache status 404' 'GET /api/v2/whoami status 404' \
    >"$TMP/server"
is 'it is older than that' "$(doctor --server-url "$via") $(bad warning)" \
    '0 version'
echo 'GET /api/v2/whoami status 500' >"$TMP/server"
finds 'it cannot tell who we are' token 'answered 500' --server-url "$via" \
    --timeout 2s
echo 'POST /api/v2/doctor status 500' >"$TMP/server"
finds 'it cannot look at its parts' parts 'answered 500 -> is that a niks3 server' \
    --server-url "$via"
: >"$TMP/server"

# ---- the token ----

printf 'niks3_%064d' 0 >"$TMP/bad"
finds 'a token that is not known' token \
    'not accepted -> it may be mistyped, revoked or expired' \
    --auth-token-path "$TMP/bad"
like '... what does not need one is told' "$(cat "$TMP/found")" \
    '^parts ok database, signer and an uploader are there$'
# token NAME SCOPES [OPTION...]: made, and in a file that only we can read.
token() {
	local name=$1 scopes=$2
	shift 2
	(umask 077; niks3 token create --scope "$scopes" --name "$name" "$@" \
	    >"$TMP/$name.token" 2>/dev/null)
}
token reads read && token pins pin && token soon write,gc --expires 2d &&
    token later admin --expires 30d || exit 1
is 'one that may only read' "$(doctor --auth-token-path "$TMP/reads.token"
    ) $(bad)/$(bad skipped)" '0 /bucket'
like '... what needs more' "$(cat "$TMP/found")" \
    '^bucket skipped not checked, .*: needs admin$'
like '... what it may' "$(cat "$TMP/found")" \
    '^token ok token:[0-9]+, which may: read; no end$'
like '... and it reads a path' "$(cat "$TMP/found")" '^nix-trust ok '
is 'one that may not read' "$(doctor --auth-token-path "$TMP/pins.token"
    ) $(bad skipped)" '0 bucket cache-path nix-trust'
like '... what it would need' "$(cat "$TMP/found")" \
    '^cache-path skipped not checked: needs read, or a store path'
is '... but a path that is named' "$(doctor "$path" --auth-token-path \
    "$TMP/pins.token") $(bad skipped)" '0 bucket'
warns 'one that will end soon' token \
    'may: read, write, gc; ends in (47h|1d|2d) -> make a new one' \
    --auth-token-path "$TMP/soon.token"
is 'one that ends later' "$(doctor --auth-token-path "$TMP/later.token"
    ) $(bad warning)" '0 '
like '... and may look at all' "$(cat "$TMP/found")" \
    '^token ok token:[0-9]+, which may: read, admin; ends in (29|30)d$'
is '... as it does' "$(grep -c '^bucket-put ok' "$TMP/found")" 1
niks3 token revoke reads 2>/dev/null
finds 'one that was revoked' token 'not accepted' \
    --auth-token-path "$TMP/reads.token"

# ---- what the server talks to ----

stack_kill uploader1
finds 'no uploader' uploader \
    'uploader: not connected -> start niks3-uploader; its log says'
like '... nor what it would try' "$(cat "$TMP/found")" \
    '^bucket skipped there is no uploader'
# An answer of /ready is kept for a second.
known() {
	[ "$(doctor --auth-token-path "$TMP/pins.token") $(bad)" = '1 parts' ]
}
passes '... known to everybody' wait_until 5 known
like '... what, and what to do' "$(grep '^parts' "$TMP/found")" \
    'missing: uploader -> ask who runs the server'
stack_up 1 || exit 1
hold uploader1
finds 'one that hangs' uploader \
    'no answer to ping in time -> see in the log of niks3-uploader what'
proc_kill "$STACK" CONT uploader1
stack_kill gc
finds 'no gc worker' gc 'gc: not connected -> start niks3-gc'
stack_up 1 || exit 1
stack_kill signer
finds 'no signer' signer 'signer: not connected -> start niks3-signer'
proc_start "$TMP" peer "$TOOLS/fake_peer" signer 7.7.7 \
    "ipc://$STACK/run/signer.sock"
older() {
	doctor >/dev/null
	grep -q '^signer warning' "$TMP/found"
}
passes 'a signer of another version' wait_until 10 older
like '... which, and what to do' "$(grep '^signer' "$TMP/found")" \
    'it is version 7.7.7, the server 0.1.0 -> install one version.*restart niks3-signer'
proc_stop "$TMP" TERM peer
stack_up 1 || exit 1
proc_start "$TMP" peer "$TOOLS/fake_peer" uploader 7.7.7 \
    "ipc://$STACK/run/upload.sock" dial
mixed() {
	doctor >/dev/null
	grep -q '^uploader warning it is version 7.7.7' "$TMP/found"
}
passes 'one of two uploaders is another version' wait_until 10 mixed
proc_stop "$TMP" TERM peer

schema=$(db_query 'select max(version_id) from goose_db_version')
db_query "insert into goose_db_version (version_id, is_applied)
    values ($schema + 1, true)"
finds 'a schema of another version' database \
    "version $((schema + 1)), this program needs $schema -> upgrade niks3"
db_query "delete from goose_db_version where version_id > $schema"
postgres_query "$POSTGRES_DIR" postgres \
    "revoke connect on database \"$STACK_NAME\" from public"
db_query "select pg_terminate_backend(pid) from pg_stat_activity
    where usename = 'niks3_server' and datname = '$STACK_NAME'" >/dev/null
finds 'a database that does not let us in' 'database cache-path' \
    'database: .*-> see that PostgreSQL runs, and --db'
postgres_query "$POSTGRES_DIR" postgres \
    "grant connect on database \"$STACK_NAME\" to public"
wait_until 20 stack_ready || exit 1

# ---- rights in the bucket ----

denying PutObject
finds 'no right to write' \
    'bucket-put bucket-create-only bucket-multipart bucket-multipart-abort' \
    'AccessDenied.*-> allow the uploader s3:PutObject'
like '... what needs an object is left out' "$(bad skipped)" \
    '^bucket-get bucket-head bucket-copy bucket-list$'
denying GetObject "$STACK_NAME/staging/*"
finds 'no right to read' 'bucket-get bucket-head bucket-copy bucket-multipart' \
    'AccessDenied.*-> allow the uploader s3:GetObject'
denying DeleteObject
finds 'no right to delete' bucket-delete \
    'delete staging/probe.*: AccessDenied.*-> allow the uploader s3:DeleteObject'
denying ListBucket "$STACK_NAME"
doctor >/dev/null
like 'no right to list' "$(grep '^bucket-list ' "$TMP/found")" \
    'AccessDenied.*-> allow the uploader s3:ListBucket'
denying ListBucketMultipartUploads "$STACK_NAME"
finds 'no right to list multipart uploads' bucket-multipart-list \
    'AccessDenied.*-> allow the uploader s3:ListBucketMultipartUploads'
denying AbortMultipartUpload
finds 'no right to abort them' bucket-multipart-abort \
    'AccessDenied.*-> allow the uploader s3:PutObject and s3:AbortMultipartUpload'
policy "$readable" "$listable"
is 'all rights again' "$(doctor)" 0

# ---- an S3 server that is not what it should be ----

# Ceph is; so a proxy between it and the uploader makes it worse.
proxy s3 "${S3_ENDPOINT#http://}"
STACK_UPLOADER="--s3-endpoint http://$proxy"
stack_restart uploader1 || exit 1
is 'a proxy before S3 that alters nothing' "$(doctor)" 0
echo 'PUT * turn 412 200' >"$TMP/s3"
finds 'it overwrites what is to be created only' bucket-create-only \
    'overwrites staging/probe.*If-None-Match -> NARs must never be overwritten'
echo 'PUT *uploadId=* status 501' >"$TMP/s3"
finds 'it has no multipart uploads' bucket-multipart 'bucket-multipart problem'
echo 'GET /*list-type=2* replace probe prebe' >"$TMP/s3"
finds 'it does not list what was written' bucket-list 'not listed'
echo "GET /*staging/probe* replace doctor dactar" >"$TMP/s3"
finds 'it gives other bytes than it got' bucket-get 'other bytes are read'
echo 'HEAD *staging/probe* turn 404 403' >"$TMP/s3"
finds 'it does not say that something is not there' bucket-absent \
    '-> allow the uploader s3:ListBucket, without which'
echo "HEAD /$STACK_NAME* date 45" >"$TMP/s3"
warns 'its clock is ahead' s3-clock \
    "S3's clock is 4[4-6] s ahead of the uploader's -> set the clocks"
echo "HEAD /$STACK_NAME* date -900" >"$TMP/s3"
finds 'its clock is far behind' s3-clock \
    "S3's clock is (899|90[01]) s behind the uploader's -> set the clocks.*15 minutes"
echo '* * status 503' >"$TMP/s3"
finds 'it is away' bucket-reach 'bucket-reach problem'
is '... and is not waited for again and again' "$(bad skipped)" \
    "s3-clock bucket-put bucket-get bucket-head bucket-absent \
bucket-create-only bucket-copy bucket-list bucket-multipart \
bucket-multipart-abort bucket-multipart-list bucket-delete"
: >"$TMP/s3"

# ---- what a killed check leaves ----

# left: how much there is of it.
left() {
	echo "$(bucket_ls staging/ | wc -l) $(s3_uploads "$STACK_NAME" | wc -l)"
}
# What the checks left that might not delete or abort is older; this one is held
# at its last step, so that all is there.
before=$(left)
echo "POST /$STACK_NAME*delete* status 503" >"$TMP/s3"
doctor >/dev/null
: >"$TMP/s3"
is 'a check that was killed leaves some objects' "$(left)" \
    "$((${before% *} + 4)) ${before#* }"
id=$(s3 "$STACK_NAME/staging/probe0/nar/$(printf %052d 0).nar?uploads=" \
    -X POST | sed -n 's:.*<UploadId>\([^<]*\)<.*:\1:p')
like '... or a multipart upload' "$id" .
before=$(left)
gc='niks3 gc --older-than=720h --pending-older-than=0s'
passes 'a collection' $gc
is '... leaves them to who is at work' "$(left)" "$before"
year=$(date -u +%Y-)
printf '%s\n' "GET /*list-type=2* replace <LastModified>$year <LastModified>2020-" \
    "GET /*uploads* replace <Initiated>$year <Initiated>2020-" >"$TMP/s3"
passes 'one an hour later' $gc
is '... deletes them' "$(left)" '0 0'
: >"$TMP/s3"
passes '... and nothing else' bucket_recount
STACK_UPLOADER=
stack_restart uploader1 || exit 1

# ---- what readers see ----

policy "$listable"
finds 'a bucket that is closed to readers' cache \
    'nix-cache-info: status 403 -> let everybody read: s3:GetObject'
policy "$readable"
warns 'one that does not say what it has' cache-absent \
    'a 403: Nix takes it for absent.*-> give readers s3:ListBucket'
reader_new "$TMP/reader" "$NIKS3_PUBLIC_KEY"
fails '... Nix takes it for absent indeed' 'is not valid' \
    reader_nix "$TMP/reader" path-info --store "$NIKS3_CACHE_URL" \
    "$STACK_STORE/00000000000000000000000000000000-none"
policy "$readable" "$listable"
finds 'a URL that leads elsewhere' cache 'status 404 -> see that the cache URL' \
    --cache-url "$NIKS3_CACHE_URL-none"
finds 'nobody there' cache '-> see that the cache URL is right' \
    --cache-url http://127.0.0.1:1
is 'one that is not read by HTTP' "$(doctor --cache-url s3://x)" 0
like '... is said' "$(cat "$TMP/found")" '^cache skipped s3://x is not read'

proxy reads "${S3_ENDPOINT#http://}"
cache=http://$proxy/$STACK_NAME
conf "substituters = $cache" "trusted-public-keys = $NIKS3_PUBLIC_KEY"
is 'a proxy for readers that alters nothing' \
    "$(doctor --cache-url "$cache")$(bad warning)" 0
# broken WHAT CHECKS PATTERN RULE: finds, with that rule for what is read.
broken() {
	echo "* $4" >"$TMP/reads"
	finds "$1" "$2" "$3" --cache-url "$cache"
}
broken 'what is not there is a page' cache-absent \
    'what is not there is a 200 -> have what serves the cache answer 404' \
    '*.narinfo turn 404 200'
broken '... or an error' cache-absent 'what is not there is a 500 -> ' \
    '*.narinfo turn 404 500'
broken 'no nix-cache-info' cache 'status 404 -> see that the cache URL' \
    '*nix-cache-info status 404'
broken 'one of something else' cache 'nix-cache-info has no StoreDir ->' \
    '*nix-cache-info replace StoreDir: XtoreDir:'
broken 'one of another store' cache \
    "it is for the store .*X, the server for $STACK_STORE -> give niks3-server" \
    "*nix-cache-info replace $STACK_STORE ${STACK_STORE%?}X"
broken 'a path that the server has and readers do not' cache-path \
    'status 404 -> see that the cache URL' '*.narinfo turn 200 404'
broken 'a header that got lost' cache-path \
    'no Content-Encoding -> have what serves the cache pass the header' \
    '*.narinfo drop Content-Encoding'
broken 'a NAR that is not there' cache-nar 'status 404' '*.nar.zst turn 200 404'
echo '* *nix-cache-info status 401' >"$TMP/reads"
is 'readers who must say who they are' \
    "$(doctor --cache-url "$cache") $(bad)/$(bad warning)" '0 /cache'
like '... what to do' "$(cat "$TMP/found")" 'status 401 -> .*netrc-file'
echo '* *nix-cache-info status 302' >"$TMP/reads"
is 'or are sent elsewhere' \
    "$(doctor --cache-url "$cache") $(bad)/$(bad warning)" '0 /cache'
like '... what to do' "$(cat "$TMP/found")" 'status 302 -> Nix follows'
: >"$TMP/reads"

# url_of PATH: that of its NAR.
url_of() {
	bucket_text "$(basename "$1" | cut -c1-32).narinfo" |
	    sed -n 's/^URL: //p'
}
nar=$(url_of "$path")
s3_get "$STACK_NAME" "$nar" >"$TMP/nar"
{ cat "$TMP/nar"; echo; } >"$TMP/longer"
s3_put "$STACK_NAME" "$nar" "$TMP/longer"
finds 'a NAR of another size' cache-nar \
    "has $(wc -c <"$TMP/longer") bytes, its narinfo says $(wc -c <"$TMP/nar")" \
    "$path" --cache-url "$cache"
s3_put "$STACK_NAME" "$nar" "$TMP/nar"

# ---- signatures, and the Nix here ----

trusting
mkdir "$TMP/other-key"
other=$(nix_key "$TMP/other-key" "$STACK_NAME-2")
mv "$STACK/key" "$STACK/key.old"
cp "$TMP/other-key/key" "$STACK/key"
stack_restart signer || exit 1
finds 'a path that was signed with a key of before' 'signature nix-keys' \
    'no signature by a key that the server signs with -> .*--sign-key-path'
conf "substituters = $NIKS3_CACHE_URL" "trusted-public-keys = $other"
finds '... whom Nix does not trust any more' 'signature nix-trust' 'no signature'
mv "$STACK/key.old" "$STACK/key"
stack_restart signer || exit 1
finds 'a Nix that trusts another key' 'nix-keys nix-trust' \
    'trusts no key that the server signs with -> add to extra-trusted-public-keys'
is '... which one' "$(sed -n 's/^nix-keys .* nix.conf: //p' "$TMP/found")" \
    "$NIKS3_PUBLIC_KEY"
reader_new "$TMP/distrust" "$other"
fails '... it does not take the path indeed' 'signature' \
    reader_copy "$TMP/distrust" "$NIKS3_CACHE_URL" "$path"
like '... as it was told' "$(grep '^nix-trust' "$TMP/found")" \
    'would not trust .*: no key of its trusted-public-keys has signed it'
conf "substituters = $NIKS3_CACHE_URL" \
    "trusted-public-keys = ${NIKS3_PUBLIC_KEY%%:*}:${other#*:}"
finds 'another key by the name of ours' 'nix-keys nix-trust' \
    "another key by the name $STACK_NAME-1 -> replace it in"
conf "substituters = $NIKS3_CACHE_URL" 'trusted-public-keys =' \
    'require-sigs = false'
warns 'a Nix that asks for no signature' 'nix-keys nix-trust' \
    'require-sigs is off -> add to'
conf 'substituters = https://cache.example.org' \
    "trusted-public-keys = $NIKS3_PUBLIC_KEY"
warns 'a Nix that does not read the cache' nix-substituters \
    'does not read .*-> if this machine is to read the cache'
conf 'substituters =' 'trusted-public-keys ='
warns '... nor trusts it' 'nix-substituters nix-keys nix-trust' 'does not read'
trusting
mkdir "$TMP/bin"
ln -s "$(command -v niks3)" "$TMP/bin/niks3"
found=$(PATH=$TMP/bin "$TMP/bin/niks3" doctor --json)
is 'no Nix at all' "$? $(printf '%s' "$found" | jq -r '.findings[] |
    select(.check | startswith("nix")) | .check + " " + .state')" \
    '0 nix skipped'
printf '#!/bin/sh\necho nonsense\n' >"$TMP/bin/nix"
chmod 755 "$TMP/bin/nix"
found=$(PATH=$TMP/bin "$TMP/bin/niks3" doctor --json)
is 'one that says nonsense' "$? $(printf '%s' "$found" | jq -r '.findings[] |
    select(.check | startswith("nix")) | .check + " " + .state')" \
    '1 nix problem'

# Nothing is left of all this.
is 'nothing is staged' "$(bucket_ls staging/)$(s3_uploads "$STACK_NAME")" ''
passes 'the bucket is what the database says' bucket_recount
tap_done
