#!/bin/sh
# What the daemons say of a configuration that cannot work, and niks3 of paths,
# a token or a server that are not there. No secret is in what they say, and
# nothing in the database or the bucket changes.
. "$(dirname "$0")/lib.sh"

# exits WHAT STATUS PATTERN COMMAND...: the command fails so, and says that.
exits() {
	local what=$1 status=$2 pattern=$3 rc=0
	shift 3
	timeout -k 5 30 "$@" >"$TMP/out" 2>&1 || rc=$?
	cat "$TMP/out" >>"$TMP/said"
	if [ $rc -ne "$status" ]; then
		not_ok "$what" "exit $rc instead of $status:
$(cat "$TMP/out")"
	else
		like "$what" "$(tr '\n' ' ' <"$TMP/out")" "$pattern"
	fi
}

# file NAME TEXT: prints its path.
file() {
	(umask 077; printf '%s' "$2" >"$TMP/$1")
	echo "$TMP/$1"
}

stack_start
path=$(nix_build shared) || exit 1
passes 'a push, before all the bad ones' niks3 push "$path"
before=$(census)
token=$(cat "$STACK/token")

# ---- server ----

# Of its own sockets, beside the one that runs.
server() {
	local what=$1 status=$2 pattern=$3
	shift 3
	exits "$what" "$status" "$pattern" niks3-server \
	    --db "$NIKS3_DB" --http-addr 127.0.0.1:0 \
	    --signer-socket "ipc://$STACK/run/signer.sock" \
	    --upload-socket "ipc://$TMP/upload.sock" \
	    --gc-socket "ipc://$STACK/run/gc.sock" "$@"
}

server 'server: no token' 2 'no API token: give --api-token-path'
server 'server: a token file that does not exist' 5 "API token: $TMP/none: " \
    --api-token-path "$TMP/none"
server 'server: an empty token file' 3 'API token: .*: empty' \
    --api-token-path "$(file blank '
')"
short=$(random_hex 17)X
server 'server: a token of 35 characters' 2 \
    'the API token has 35 characters, fewer than 36".*hint="make one with' \
    --api-token-path "$(file short "$short")"
passes 'server: a token of 36 characters will do' niks3-server -n \
    --db "$NIKS3_DB" --api-token-path "$(file enough "${short}Y")"
server 'server: no database to be named' 2 'required: --db or NIKS3_DB' \
    --api-token-path "$STACK/token" --db ''
server 'server: a conninfo that is none' 2 'connection string is malformed' \
    --api-token-path "$STACK/token" --db "password-$short"
server 'server: an address that is none' 3 'nowhere' \
    --api-token-path "$STACK/token" --http-addr nowhere
server 'server: a port that is taken' 1 'in use' \
    --api-token-path "$STACK/token" --http-addr "$(cat "$STACK/address")"
server 'server: TLS without its key' 3 'both certificate and key' \
    --api-token-path "$STACK/token" --tls-cert "$STACK/key.pub"
server 'server: a certificate that is none' 3 'certificate .*: No certificate' \
    --api-token-path "$STACK/token" --tls-cert "$STACK/key.pub" \
    --tls-key "$(file tls.key "not a key: $short")"
server 'server: a socket that is another file' 6 'there is another file' \
    --api-token-path "$STACK/token" --upload-socket "ipc://$STACK/token"
server 'server: an address that is no socket' 3 'only ipc://PATH' \
    --api-token-path "$STACK/token" --signer-socket tcp://127.0.0.1:1
server 'server: a peer of no role' 3 'peer cook=root: no such role' \
    --api-token-path "$STACK/token" --peer cook=root
server 'server: a peer of no user' 3 'peer signer=nobody-here: no such user' \
    --api-token-path "$STACK/token" --peer signer=nobody-here
server 'server: a store that is not absolute' 3 'store: not absolute' \
    --api-token-path "$STACK/token" --store-dir store
server 'server: a lease that is none' 2 'upload-lease: .*duration' \
    --api-token-path "$STACK/token" --upload-lease soon
server 'server: an option that is none' 2 'hint: did you mean --api-token' \
    --api-tokem "$token"

# ---- schema ----

# gc NAME: the worker, on another database.
gc() {
	local what=$1 db=$2
	shift 2
	exits "$what" 10 "$*" niks3-gc \
	    --db "host=$POSTGRES_DIR dbname=$db user=niks3_gc" \
	    --listen "ipc://$TMP/gc.sock" \
	    --upload-socket "ipc://$TMP/gc-upload.sock"
}

old=$STACK_NAME-old
postgres_database "$POSTGRES_DIR" "$old"
mend='schema is version 0, .*hint="run: niks3-migrate up'
db="host=$POSTGRES_DIR dbname=$old user=niks3_server"
server 'server: no schema' 10 "$mend" \
    --api-token-path "$STACK/token" --db "$db"
gc 'gc: no schema' "$old" "$mend"
NIKS3_DB="host=$POSTGRES_DIR dbname=$old user=niks3" stack_migrate up
passes 'what they say to run mends it' niks3-server -n --db "$db" \
    --api-token-path "$STACK/token"
postgres_query "$POSTGRES_DIR" "$old" \
    'insert into goose_db_version (version_id, is_applied) values (999, true)'
mend='schema is version 999, .*hint="upgrade niks3'
server 'server: a schema of the future' 10 "$mend" \
    --api-token-path "$STACK/token" --db "$db"
gc 'gc: a schema of the future' "$old" "$mend"
exits 'migrate: a schema of the future' 10 'migration 999.*hint: upgrade' \
    niks3-migrate --migrations-dir "$ROOT/migrations" \
    --db "host=$POSTGRES_DIR dbname=$old user=niks3" up
postgres_drop "$POSTGRES_DIR" "$old"
exits 'migrate: a database that does not exist' 9 "\"$old\" does not exist" \
    niks3-migrate --migrations-dir "$ROOT/migrations" --db "$db" up
exits 'migrate: rights that are too few' 4 'permission denied' \
    niks3-migrate --migrations-dir "$ROOT/migrations" \
    --db "host=$POSTGRES_DIR dbname=$STACK_NAME user=niks3_gc" up

# ---- signer ----

signer() {
	local what=$1 status=$2 pattern=$3
	shift 3
	exits "$what" "$status" "$pattern" niks3-signer \
	    --listen "ipc://$TMP/signer.sock" "$@"
}

# A key is NAME:BASE64 of a seed and of the public key that belongs to it.
name=$(cut -d: -f1 "$STACK/key")
half() { # FILE first|last
	cut -d: -f2 "$1" | base64 -d | case $2 in
	first) head -c 32 ;;
	last) tail -c 32 ;;
	esac
}
nix_key "$TMP" other-1 >/dev/null

signer 'signer: no key' 2 'required: --sign-key-path'
signer 'signer: a key file that does not exist' 5 "$TMP/none: " \
    --sign-key-path "$TMP/none"
signer 'signer: a key file that is a folder' 1 "$TMP: " --sign-key-path "$TMP"
signer 'signer: an empty key file' 3 'empty' \
    --sign-key-path "$(file empty '')"
signer 'signer: garbage' 3 'signing key .*no colon' \
    --sign-key-path "$(file garbage "$short")"
signer 'signer: a name, and no base64' 3 'no base64' \
    --sign-key-path "$(file nobase "$name:?$short")"
signer 'signer: a key cut short' 3 '31 bytes instead of 32' --sign-key-path \
    "$(file cut "$name:$(half "$STACK/key" first | head -c 31 | base64)")"
signer 'signer: base64 that is none' 3 'no base64' --sign-key-path \
    "$(file pub "$name:$(half "$STACK/key" first | base64)=")"
signer 'signer: halves that do not belong together' 3 'does not belong' \
    --sign-key-path "$(file halves "$name:$({ half "$STACK/key" first
	half "$TMP/key" last; } | base64 -w0)")"
signer 'signer: a key with a name that is none' 3 "key's name" \
    --sign-key-path "$(file named "a b:$(cut -d: -f2 "$STACK/key")")"
signer 'signer: two keys of one name' 2 "two signing keys are named $name" \
    --sign-key-path "$STACK/key" \
    --sign-key-path "$(file twin "$(cat "$STACK/key")")"
signer 'signer: too large to be a key' 7 'more than' \
    --sign-key-path "$(file large "$(head -c 70000 /dev/zero | tr '\0' k)")"
passes 'signer: the seed alone is a key' niks3-signer -n --sign-key-path \
    "$(file seed "$name:$(half "$STACK/key" first | base64)")"
cp "$STACK/key" "$TMP/open"
chmod 644 "$TMP/open"
like 'signer: a key open to other users is warned of' \
    "$(niks3-signer -n --sign-key-path "$TMP/open" 2>&1 |
	tee -a "$TMP/said" | tr '\n' ' ')" 'open to other users.*chmod 600'
is 'signer: no such warning of a key that is not' \
    "$(niks3-signer -n --sign-key-path "$STACK/key" 2>&1)" ''

# ---- uploader ----

uploader() {
	local what=$1 status=$2 pattern=$3
	shift 3
	exits "$what" "$status" "$pattern" niks3-uploader \
	    --s3-endpoint "$S3_ENDPOINT" --s3-bucket "$STACK_NAME" \
	    --s3-region "$S3_REGION" \
	    --s3-access-key-path "${S3_CONFIG%/*}/s3-access-key" \
	    --s3-secret-key-path "${S3_CONFIG%/*}/s3-secret-key" \
	    --connect "ipc://$STACK/run/upload.sock" "$@"
}

uploader 'uploader: a bucket that does not exist' 1 \
    "NoSuchBucket.*hint=\"check the bucket's name" \
    --s3-bucket "$STACK_NAME-none"
uploader 'uploader: a name that no bucket has' 3 'bucket' --s3-bucket 'A/../B'
# A gateway with an STS says AccessDenied to both, others what it was.
uploader 'uploader: a wrong secret' 4 \
    '(SignatureDoesNotMatch.*hint="check the secret key|AccessDenied.*hint="check the keys)' \
    --s3-secret-key-path "$(file secret "wrong-$short")"
uploader 'uploader: a wrong access key' 4 \
    '(InvalidAccessKeyId.*hint="check the access key|AccessDenied.*hint="check the keys)' \
    --s3-access-key-path "$(file access "$short")"
uploader 'uploader: an empty secret' 3 'empty' \
    --s3-secret-key-path "$(file empty '')"
exits 'uploader: no secret' 2 'no s3-secret-key: give --s3-secret-key-path' \
    env -u NIKS3_S3_SECRET_KEY niks3-uploader --s3-endpoint "$S3_ENDPOINT" \
    --s3-bucket "$STACK_NAME" --s3-access-key x
uploader 'uploader: an endpoint that is none' 3 'endpoint' \
    --s3-endpoint 'http://'
uploader 'uploader: a bucket lookup that is none' 2 'auto, dns or path' \
    --s3-bucket-lookup sideways
uploader 'uploader: authorities that are none' 1 "$STACK/key.pub" \
    --s3-endpoint "https://${S3_ENDPOINT#*://}" --s3-ca-cert "$STACK/key.pub"

# What is not there yet is waited for, until somebody says to stop.
exits 'uploader: S3 that does not answer is waited for' 0 \
    'waiting for S3.*127.0.0.1:1' timeout --preserve-status 1 \
    niks3-uploader --s3-endpoint http://127.0.0.1:1 --s3-bucket bucket \
    --s3-access-key x --s3-secret-key x --connect "ipc://$TMP/up.sock"
exits 'server: a database that does not answer is waited for' 0 \
    'waiting for the database' timeout --preserve-status 1 \
    niks3-server --db "host=$TMP" --api-token-path "$STACK/token" \
    --http-addr 127.0.0.1:0 --upload-socket "ipc://$TMP/upload.sock"

# ---- niks3 ----

push() {
	local what=$1 status=$2 pattern=$3
	shift 3
	exits "push: $what" "$status" "$pattern" niks3 push "$@"
}

push 'nothing' 2 'no path given'
push 'a path that does not exist' 5 "$TMP/nowhere: path does not exist" \
    "$TMP/nowhere"
push 'a link that leads nowhere' 5 'path does not exist' \
    "$(ln -s "$TMP/nowhere" "$TMP/link"; echo "$TMP/link")"
push 'a link that leads to itself' 3 'not in' \
    "$(ln -s "$TMP/loop" "$TMP/loop"; echo "$TMP/loop")"
push 'a path outside of the store' 3 "$TMP: not in the store $STACK_STORE" \
    "$TMP"
push 'the store itself' 3 "$STACK_STORE" "$STACK_STORE"
push 'no store path, in the store' 3 'store path' "$STACK_STORE/.links"
push 'a path that the store does not have' 5 'not valid' \
    "$STACK_STORE/00000000000000000000000000000000-none"
push 'a path among good ones that does not exist' 5 'does not exist' \
    "$path" "$TMP/nowhere"
exits 'push: a list with a path that does not exist' 5 'does not exist' \
    sh -c 'echo "$1" | niks3 push --stdin' sh "$TMP/nowhere"
push 'no server' 2 'required: --server-url' --server-url '' "$path"
push 'a server that is no URL' 2 'not an http' --server-url localhost "$path"
push 'a server that is not there' 9 '127.0.0.1:1' \
    --server-url http://127.0.0.1:1 "$path"
push 'a server that is another one' 10 "${S3_ENDPOINT#*://}" \
    --server-url "$S3_ENDPOINT" "$path"
exits 'push: no token' 2 'no API token.*hint: give --auth-token-path' \
    env -u NIKS3_AUTH_TOKEN_FILE niks3 push "$path"
push 'a token file that does not exist' 5 "$TMP/none" \
    --auth-token-path "$TMP/none" "$path"
push 'a wrong token' 4 'token is not accepted.*hint: check the API token' \
    --auth-token-path "$TMP/enough" "$path"
push 'a token of two words' 3 'more than one word' \
    --auth-token-path "$(file words "$short $short")" "$path"
exits 'push: a store that is not the server'\''s' 3 \
    "this cache is for the store $STACK_STORE" \
    sh -c '. "$1/nix.sh"; nix_store_new "$2"; LIB=$1
	niks3 push "$(nix_build shared)"' sh "$LIB" "$TMP/nix2"

gc_bad() {
	exits "gc: $1" 2 "$2" niks3 gc "$3"
}
gc_bad 'a negative duration' 'older-than.*negative' --older-than=-1h
gc_bad 'a duration without a unit' 'older-than.*without a unit' --older-than=720
gc_bad 'no duration' 'older-than.*not a duration' --older-than=soon
gc_bad 'an empty duration' 'older-than.*empty' --older-than=
gc_bad 'more than a hundred years' 'older-than.*876000h' --older-than=101000w
gc_bad 'a negative grace' 'pending-older-than.*negative' \
    --pending-older-than=-1s
gc_bad 'a negative grace, by its old name' 'uploads-older-than.*negative' \
    --failed-uploads-older-than=-1s
gc_bad 'a flag that is none' 'unknown.*hint: did you mean --force' --farce
exits 'gc: an argument' 2 'unexpected argument' niks3 gc all
exits 'gc: a wrong token' 4 'hint: check the API token' \
    niks3 gc --auth-token-path "$TMP/enough"

exits 'pins: a name that is none' 3 'pin name' niks3 pins create a/b "$path"
exits 'pins: a name that climbs' 3 'pin name.*reserved' \
    niks3 pins create .. "$path"
exits 'pins: an empty name' 3 'pin name' niks3 pins create '' "$path"
odd=$(nix_build odd) || exit 1
exits 'pins: a path that was never pushed' 5 'not in the cache.*hint: push it' \
    niks3 pins create never "$odd"
exits 'pins: a pin that is not there, deleted' 5 'there is no pin none' \
    niks3 pins delete none
exits 'pins: no path' 2 'too few arguments' niks3 pins create name
exits 'pins: a command that is none' 2 'usage' niks3 pins destroy name
exits 'a command that is none' 2 'no such command: pusch' niks3 pusch "$path"

# The bytes of a store path, changed behind Nix's back.
chmod u+w "$odd" "$odd/.hidden"
echo changed >>"$odd/.hidden"
push 'a path that is not what it was' 8 'NAR hash' "$odd"

# ---- after all of it ----

for secret in "$token" "$short" "$(cut -d: -f2 "$STACK/key")" \
    "$(half "$STACK/key" first | base64 | tr -d =)" \
    "$(half "$TMP/key" first | base64 | tr -d =)" \
    "$(cat "${S3_CONFIG%/*}/s3-secret-key")"; do
	grep -qF -- "$secret" "$TMP/said" &&
	    told="${told-}$(grep -F -- "$secret" "$TMP/said")"
done
is 'no secret was told' "${told-}" ''
unchanged 'nothing changed' "$before"
passes 'and a push goes on as ever' niks3 push "$path"
tap_done
