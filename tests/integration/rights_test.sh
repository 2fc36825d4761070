#!/bin/sh
# What each process may do, and what nobody gets to see: the rights of the
# database's roles, who may connect to a socket, and where no secret is found.
. "$(dirname "$0")/lib.sh"

STACK_SERVER='--log-level debug' STACK_UPLOADER=$STACK_SERVER
STACK_SIGNER=$STACK_SERVER STACK_GC=$STACK_SERVER
stack_start --own-postgres
path=$(nix_build shared) || exit 1
passes 'a push' niks3 push "$path"
daemons='signer uploader1 gc server'

# ---- the roles of the database ----

# denied ROLE STATEMENT...: each, by that role.
denied() {
	local role=$1 sql
	shift
	for sql in "$@"; do
		fails "$role may not: $sql" \
		    'permission denied|must be (owner|superuser)' \
		    psql -X -q -v ON_ERROR_STOP=1 -h "$POSTGRES_DIR" -U "$role" \
		    -d "$STACK_NAME" -c "$sql"
	done
}
for role in niks3_server niks3_gc; do
	passes "$role may read" psql -X -q -h "$POSTGRES_DIR" -U "$role" \
	    -d "$STACK_NAME" -c 'select count(*) from objects'
	denied $role 'create table mine ()' 'create schema mine' \
	    'drop table pins' 'truncate objects' \
	    'alter table objects add column mine int' \
	    'insert into goose_db_version values (2, 2, true)' \
	    'update objects set key = key' 'update stat_deltas set bytes = bytes' \
	    'set role niks3' 'set role postgres' "copy pins to program 'cat'" \
	    "select pg_read_file('/etc/passwd')"
	is "$role can do nothing but log in" "$(db_query "select rolsuper,
	    rolcreaterole, rolcreatedb, rolreplication, rolbypassrls
	    from pg_roles where rolname = '$role'")" 'f|f|f|f|f'
done
denied niks3_server 'delete from objects' 'delete from contents' \
    'delete from closures' 'delete from uploads' \
    'delete from gc_runs' 'delete from stat_deltas' \
    'insert into tombstones values (1, now(), 1)' \
    'update tombstones set claim = 1' 'update gc_runs set state = state' \
    "update tokens set scopes = '{admin}'" 'update tokens set sha256 = sha256' \
    'update tokens set expires_at = null'
denied niks3_gc 'select from tokens' "insert into closures values (1, 'x')" \
    "insert into objects (key, kind) values ('x', 1)" \
    "insert into contents values (1, 1, 'x')" \
    "insert into uploads (token, owner, store_dir) values ('x', 'x', 'x')" \
    "insert into pins values ('x', 1, 'x')" 'delete from pins' \
    "insert into gc_runs (older_than) values ('0')" \
    'update closures set updated_at = now()' 'update contents set size = 0' \
    'update pins set object_id = 1' 'update upload_needs set missing = true'

# ---- who may connect ----

# nobody NAME COMMAND...: a program of ours, as a user that is none of ours.
nobody() {
	local name=$1
	shift
	proc_start "$TMP/open" "$name" setpriv --reuid=nobody --regid=nogroup \
	    --clear-groups "$TMP/open/$@"
}
# says TEXT [URL [WHAT]]: does the server answer so, with every socket open to
# everybody?
says() {
	chmod 666 "$STACK"/run/*.sock
	curl -sS --max-time 10 -K "$STACK/token.curl" \
	    "${2-$NIKS3_SERVER_URL}/api/v2/${3-ready}" | grep -q "$1"
}
if [ "$(id -u)" -eq 0 ]; then
	is 'sockets are for their user and group alone' "$(stat -c %a \
	    "$STACK"/run/*.sock | sort -u)" 660
	# Even where the files would let them.
	mkdir "$TMP/open"
	cp "$BUILD/niks3-server" "$BUILD/niks3-uploader" "$BUILD/niks3-signer" \
	    "$STACK/token" "$STACK/key" "${S3_CONFIG%/*}"/s3-*-key "$TMP/open/"
	chown -R nobody "$TMP/open"
	chmod 711 "$POSTGRES_DIR"
	chmod 777 "$STACK/run"
	self="signer=$(id -u) --peer gc=$(id -u)"

	proc_stop "$STACK" TERM uploader1
	nobody uploader niks3-uploader --s3-endpoint "$S3_ENDPOINT" \
	    --s3-bucket "$STACK_NAME" --s3-region "$S3_REGION" \
	    --s3-access-key-path "$TMP/open/s3-access-key" \
	    --s3-secret-key-path "$TMP/open/s3-secret-key" \
	    --connect "ipc://$STACK/run/upload.sock" --peer "server=$(id -u)"
	wait_until 10 grep -q serving "$TMP/open/uploader.log"
	fails 'no uploader of another user is asked' '' \
	    wait_until 2 says '^ready'
	passes '... the server has none' says 'uploader: not connected'
	proc_stop "$STACK" TERM server
	STACK_SERVER="--peer $self --peer uploader=nobody" stack_run server
	passes '... unless it was told of it' wait_until 10 says '^ready'

	proc_stop "$STACK" TERM signer
	nobody signer niks3-signer --sign-key-path "$TMP/open/key" \
	    --listen "ipc://$STACK/run/signer.sock" --peer "server=$(id -u)"
	fails 'no signer of another user is asked' '' wait_until 2 says '^ready'
	passes '... the server has none' says 'signer: not connected'
	proc_stop "$TMP/open" TERM signer uploader
	proc_stop "$STACK" TERM server
	stack_up 1 || exit 1

	nobody server niks3-server \
	    --db "host=$POSTGRES_DIR dbname=$STACK_NAME user=niks3_server" \
	    --http-addr 127.0.0.1:0 --api-token-path "$TMP/open/token" \
	    --signer-socket "ipc://$STACK/run/signer.sock" \
	    --upload-socket "ipc://$STACK/run/nobody.sock" \
	    --peer "signer=$(id -u)"
	wait_until 10 grep -q listening "$TMP/open/server.log"
	url=http://127.0.0.1:$(sed -n 's/.*port=\([0-9]*\).*/\1/p' \
	    "$TMP/open/server.log")
	fails 'no server of another user is answered by the signer' '' \
	    wait_until 2 says "$NIKS3_PUBLIC_KEY" "$url" cache
	passes '... it has none' says '"unavailable","message":"signer: ' \
	    "$url" ready
	proc_stop "$STACK" TERM signer
	STACK_SIGNER="--peer server=nobody" stack_run signer
	passes '... unless that was told of it' \
	    wait_until 20 says "$NIKS3_PUBLIC_KEY" "$url" cache
	pid=$(proc_pid "$TMP/open" server)
	reader='setpriv --reuid=nobody --regid=nogroup --clear-groups'
else
	skip 'processes of another user' 'this needs root'
	pid=$(proc_pid "$STACK" server) reader=
fi

# ---- memory ----

passes 'a process can look into another one of its user' \
    $reader sh -c 'sleep 5 & cat /proc/$!/environ >/dev/null && kill $!'
fails 'but not into a daemon: its environment' 'denied' \
    $reader cat "/proc/$pid/environ"
fails '... its memory' 'denied' $reader cat "/proc/$pid/mem"
[ "$(id -u)" -ne 0 ] || {
	proc_stop "$TMP/open" TERM server
	stack_restart signer || exit 1
}
cores() {
	sed -n 's/^Max core file size  *//p' "/proc/$1/limits" | tr -s ' '
}
for name in $daemons; do
	is "no core of $name" "$(cores "$(proc_pid "$STACK" $name)")" \
	    '0 0 bytes '
done
mkfifo "$TMP/list"
niks3 push --stdin <"$TMP/list" >/dev/null 2>&1 &
exec 3>"$TMP/list"
wait_until 5 grep -q niks3 "/proc/$!/comm"
sleep .2 # it waits for the list now
is 'no core of niks3' "$(cores $!)" '0 0 bytes '
exec 3>&-

# ---- where no secret is ----

token=$(cat "$STACK/token") word=$(random_hex 20)
cat >"$TMP/secrets" <<SECRETS
$token
$word
$(cat "${S3_CONFIG%/*}/s3-secret-key")
$(cut -d: -f2 "$STACK/key")
$(cut -d: -f2 "$STACK/key" | base64 -d | head -c 32 | base64 | tr -d =)
SECRETS
# clean WHAT FILE: it is not empty, and none of the secrets stands there.
clean() {
	if [ ! -s "$2" ]; then
		not_ok "$1" "there is nothing in $2"
	elif grep -aFf "$TMP/secrets" "$2" >"$TMP/found"; then
		not_ok "$1" "$(cat "$TMP/found")"
	else
		ok "$1"
	fi
}

# Those that are given by value, by programs that wait for what is not there.
proc_start "$TMP" uploader niks3-uploader --s3-endpoint http://127.0.0.1:1 \
    --s3-bucket bucket --s3-access-key "$word" --s3-secret-key="$word" \
    --connect "ipc://$TMP/up.sock"
proc_start "$TMP" server niks3-server --db "host=$TMP password=$word" \
    --api-token "$token" --http-addr 127.0.0.1:0 \
    --upload-socket "ipc://$TMP/upload.sock"
proc_start "$TMP" gc niks3-gc --db "host=$TMP password=$word" \
    --listen "ipc://$TMP/gc.sock" --upload-socket "ipc://$TMP/gc-up.sock"
for name in uploader server gc; do
	wait_until 10 grep -q 'waiting for\|starting over' "$TMP/$name.log"
	tr '\0' ' ' <"/proc/$(proc_pid "$TMP" $name)/cmdline" >"$TMP/cmdline"
	clean "no secret in the command line of $name" "$TMP/cmdline"
	clean "... nor in what it says of its trouble" "$TMP/$name.log"
done
proc_stop "$TMP" KILL uploader server gc

# What the daemons log, at the level where they say most.
url=$NIKS3_SERVER_URL/api/v2
curl -sS -H "Authorization: Bearer $word" "$url/pins" >/dev/null
curl -sS -K "$STACK/token.curl" "$url/gc/$token" >/dev/null
curl -sS -K "$STACK/token.curl" -X POST -d "{\"roots\":[\"$word\"]}" \
    "$url/present?token=$token" >/dev/null
fails 'a push with a wrong token' 'not accepted' \
    env NIKS3_AUTH_TOKEN_FILE="$TMP/secrets" \
    sh -c 'sed -n 2p "$NIKS3_AUTH_TOKEN_FILE" >"$1"
	niks3 push --auth-token-path "$1" "$2"' sh "$TMP/wrong" "$path"
passes 'a push with the right one' niks3 push "$(nix_build odd)"
passes 'a garbage collection' niks3 gc --older-than=0s --force
for name in $daemons; do
	clean "no secret in the log of $name" "$STACK/$name.log"
	passes '... which is a full one' grep -q 'debug' "$STACK/$name.log"
done
db_query 'select token from uploads' >"$TMP/ids"
echo 'Signature=' >>"$TMP/ids"
passes 'there were uploads' test "$(wc -l <"$TMP/ids")" -gt 1
is 'no right to write is in a log' \
    "$(cat "$STACK"/*.log | grep -aFf "$TMP/ids")" ''

# ---- programs that only answer ----

run=$TMP/run
mkdir "$run"
db="host=$POSTGRES_DIR dbname=none password=$word"
# each DAEMON OPTION...: its configuration, to be checked or to be shown.
each() {
	local name=$1
	shift
	passes "$name -n" timeout 10 "$name" -n "$@"
	"$name" --print-config "$@" >"$TMP/config" 2>&1
	clean "$name --print-config shows no secret" "$TMP/config"
	case " $* " in
	*"$word"*) passes '... but that there is one' \
		    grep -qx '[a-z0-9-]*=\*\*\*' "$TMP/config" ;;
	esac
	fails "$name -n, with an option that is none" 'farce' "$name" -n --farce
}
each niks3-server --db "$db" --api-token "$token" \
    --upload-socket "ipc://$run/upload.sock" \
    --signer-socket "ipc://$run/signer.sock"
each niks3-uploader --s3-endpoint http://127.0.0.1:1 --s3-bucket bucket \
    --s3-access-key x --s3-secret-key "$word" \
    --connect "ipc://$run/upload.sock"
each niks3-signer --sign-key-path "$STACK/key" \
    --listen "ipc://$run/signer.sock"
each niks3-gc --db "$db" --listen "ipc://$run/gc.sock" \
    --upload-socket "ipc://$run/gc-upload.sock"
is 'to check makes no socket' "$(ls "$run")" ''
for command in push gc 'pins list'; do
	passes "niks3 $command -n" niks3 $command -n \
	    --server-url http://127.0.0.1:1
	niks3 $command --print-config >"$TMP/config"
	clean "niks3 $command --print-config shows no secret" "$TMP/config"
done
niks3-migrate --print-config --db "$db" up >"$TMP/config"
clean 'niks3-migrate --print-config shows no secret' "$TMP/config"
passes 'niks3-migrate -n' niks3-migrate -n --db "$db" up

for command in niks3 'niks3 push' 'niks3 gc' 'niks3 pins' 'niks3 pins create' \
    'niks3 pins list' 'niks3 pins delete' 'niks3 doctor' niks3-server niks3-uploader \
    niks3-signer niks3-gc niks3-migrate; do
	$command --help >"$TMP/help" 2>"$TMP/error"
	is "$command --help" "$? $(cat "$TMP/error")" '0 '
	is '... fits into 80 columns' \
	    "$(LC_ALL=C.UTF-8 grep -E '^.{81}|	' "$TMP/help")" ''
	like '... and tells how to call it' "$(cat "$TMP/help")" \
	    "^[Uu]sage: $command "
	is '... as does -h' "$($command -h 2>&1)" "$(cat "$TMP/help")"
done
for program in niks3 niks3-server niks3-uploader niks3-signer niks3-gc \
    niks3-migrate; do
	like "$program --version" "$($program --version)" \
	    "^$program [0-9]+\.[0-9]+\.[0-9]+\$"
done
tap_done
