#!/bin/sh
# All of it under a systemd that was booted for this: this machine's own files,
# with what make install puts there over them, in a container. Started, seen in
# their sandboxes, killed, restarted beside pushes as an upgrade does it, and
# stopped in order.
. "$(dirname "$0")/lib.sh"

# What a kernel, or the rights here, may not give.
why=
[ "$(id -u)" -eq 0 ] || why='a container takes root'
[ -n "$why" ] || [ -w /sys/fs/cgroup ] || why='no cgroups to be made here'
[ -n "$why" ] || unshare -m true 2>/dev/null ||
    why='no mount namespaces here'
mkdir "$TMP/try" "$TMP/try/up" "$TMP/try/work" "$TMP/try/root"
[ -n "$why" ] || unshare -m --propagation private mount -t overlay overlay \
    -o "lowerdir=/,upperdir=$TMP/try/up,workdir=$TMP/try/work" \
    "$TMP/try/root" 2>/dev/null || why='no overlay file systems here'
if [ -n "$why" ]; then
	skip 'niks3 under systemd' "$why"
	tap_done
	exit 0
fi

# ---- install ----

dir=$TMP/stack up=$TMP/up etc=$TMP/up/etc/niks3
port=$(port_free)
mkdir -p "$dir" "$up" "$TMP/work" "$TMP/root" "$etc/secrets"
chmod 755 "$up" "$up/etc" "$etc"
chmod 700 "$etc/secrets"
POSTGRES_DIR=$dir/postgres
postgres_start "$POSTGRES_DIR" || exit 1
chmod 711 "$POSTGRES_DIR"
STACKS=$dir
name=niks3-systemd-$(random_hex 4)
echo "$name" >"$dir/name"
stack_make "$dir" "$name" || exit 1
# In the container it knows our users, by what README.md says.
postgres_stop "$POSTGRES_DIR"
sed -n '/^    # pg_ident.conf$/,/^$/{ /^    niks3 /p }' "$ROOT/README.md" \
    >"$POSTGRES_DIR/data/pg_ident.conf"
{
	sed -n "s/^    local niks3 all /local $name niks3,niks3_server,niks3_gc /p" \
	    "$ROOT/README.md"
	echo 'local all postgres trust'
} >"$POSTGRES_DIR/data/pg_hba.conf"
# This kernel may have no Landlock.
required=true
! grep -q 'not whole' "$dir/migrate.log" || required=false
passes 'make install' make -C "$ROOT" install DESTDIR="$up" \
    $([ "$BUILD" = "$ROOT/build" ] || echo BUILD="$BUILD")

cp "$dir/token" "$etc/secrets/api-token"
cp "$dir/key" "$etc/secrets/sign-key"
cp "${S3_CONFIG%/*}/s3-access-key" "${S3_CONFIG%/*}/s3-secret-key" \
    "$etc/secrets/"
db="host=/var/lib/niks3-test dbname=$name"
for file in server signer uploader gc migrate; do
	cp "$ROOT/systemd/config/$file.conf" "$etc/"
done
cat >>"$etc/server.conf" <<CONF
NIKS3_DB="$db user=niks3_server"
NIKS3_CACHE_URL=$NIKS3_CACHE_URL
NIX_STORE_DIR=$STACK_STORE
NIKS3_REQUIRE_SANDBOX=$required
CONF
cat >>"$etc/signer.conf" <<CONF
NIKS3_REQUIRE_SANDBOX=$required
CONF
cat >>"$etc/uploader.conf" <<CONF
NIKS3_S3_ENDPOINT=$S3_ENDPOINT
NIKS3_S3_BUCKET=$name
NIKS3_S3_REGION=$S3_REGION
NIX_STORE_DIR=$STACK_STORE
NIKS3_REQUIRE_SANDBOX=$required
CONF
cat >>"$etc/gc.conf" <<CONF
NIKS3_DB="$db user=niks3_gc"
NIKS3_SERVER_URL=http://127.0.0.1:$port
NIKS3_GC_OLDER_THAN=1000h
NIKS3_REQUIRE_SANDBOX=$required
CONF
echo "NIKS3_DB=\"$db user=niks3\"" >>"$etc/migrate.conf"
mkdir -p "$up/etc/systemd/system/niks3-server.socket.d"
printf '[Socket]\nListenStream=\nListenStream=127.0.0.1:%s\n' "$port" \
    >"$up/etc/systemd/system/niks3-server.socket.d/port.conf"
mkdir -p "$up/etc/systemd/system/niks3-signer.service.d"
printf '[Service]\nWatchdogSec=2\nTimeoutAbortSec=1\n' \
    >"$up/etc/systemd/system/niks3-signer.service.d/watchdog.conf"
echo "127.0.0.1:$port" >"$dir/address"
stack_vars
export $STACK_EXPORTS

# ---- boot ----

cat >"$TMP/boot.sh" <<'BOOT'
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/up,workdir=$1/work" "$1/root"
mount -t tmpfs tmpfs /run
exec systemd-nspawn --quiet --directory "$1/root" --machine niks3-test \
    --register=no --keep-unit --bind "$2:/var/lib/niks3-test" \
    --system-call-filter="landlock_create_ruleset landlock_add_rule \
	landlock_restrict_self" --console=pipe --boot systemd.unit=basic.target
BOOT
proc_start "$TMP" nspawn unshare -m --propagation private \
    sh "$TMP/boot.sh" "$TMP" "$POSTGRES_DIR"

# The first process of the container: a descendant that is 1 in its own.
leader() {
	local pid=$1 child
	grep -q '^NSpid:.*	1$' "/proc/$pid/status" && echo "$pid" && return
	for child in $(cat "/proc/$pid/task/$pid/children"); do
		leader "$child" && return
	done
	return 1
}
in_box() {
	nsenter -t "$LEADER" -a -- "$@"
}
booted() {
	LEADER=$(leader "$(proc_pid "$TMP" nspawn)") &&
	    in_box systemctl is-active --quiet basic.target
}
if ! wait_until 60 booted; then
	not_ok 'systemd boots' "$(tail -n 40 "$TMP/nspawn.log")"
	tap_done
	exit 1
fi
LEADER=$(leader "$(proc_pid "$TMP" nspawn)")
ok 'systemd boots'

# As a package does it.
passes 'sysusers.d' in_box systemd-sysusers
passes 'tmpfiles.d' in_box systemd-tmpfiles --create niks3.conf
passes 'PostgreSQL, which knows our users' in_box systemd-run --quiet \
    --unit=niks3-test-postgres --uid=postgres "$(postgres_bin)/postgres" \
    -D /var/lib/niks3-test/data -k /var/lib/niks3-test -c listen_addresses= \
    -c fsync=off
passes '... is up' wait_until 30 db_query 'select 1'
is '... and nobody else' "$(wc -l <"$POSTGRES_DIR/data/pg_ident.conf") $(
    wc -l <"$POSTGRES_DIR/data/pg_hba.conf")" '3 2'
is 'the directory of the sockets' \
    "$(in_box stat -c '%a %U %G' /run/niks3)" '1770 root niks3'

daemons='niks3-signer niks3-uploader@1 niks3-gc-worker niks3-server'
ready() {
	curl -sf --max-time 5 -K "$dir/token.curl" -o /dev/null \
	    "$NIKS3_SERVER_URL/api/v2/ready"
}
journal() {
	in_box journalctl --no-pager -o cat "$@"
}
passes 'systemctl start niks3.target' timeout 120 \
    nsenter -t "$LEADER" -a -- systemctl start niks3.target
for unit in $daemons niks3-gc.timer niks3-server.socket; do
	is "$unit is active" "$(in_box systemctl is-active $unit)" active
done
passes 'all is ready' wait_until 30 ready || journal -n 60 | sed 's/^/# /'
journal -u niks3-migrate | grep -q 'nothing to do'
is 'the schema was looked at' $? 0

# ---- sandboxes ----

main_pid() {
	in_box systemctl show -P MainPID "$1"
}
# status UNIT FIELD
status() {
	in_box sed -n "s/^$2:[[:space:]]*//p" "/proc/$(main_pid "$1")/status"
}
for unit in $daemons; do
	is "$unit: seccomp" "$(status $unit Seccomp)" 2
	is "$unit: no_new_privs" "$(status $unit NoNewPrivs)" 1
	is "$unit: no capability" "$(status $unit CapEff) $(status $unit \
	    CapBnd)" '0000000000000000 0000000000000000'
	like "$unit: a user of its own" "$(in_box ps -o user= -p \
	    "$(main_pid $unit)")" '^niks3-'
	like "$unit: says what is in force" "$(journal -u $unit)" \
	    "sandbox landlock=$([ $required = false ] || echo '[1-9]').* seccomp=on"
done
like 'the signer has no network' "$(in_box nsenter -t \
    "$(main_pid niks3-signer)" -n cat /proc/net/dev | tail -n +3)" '^ *lo:'
is '... but the loopback' "$(in_box nsenter -t "$(main_pid niks3-signer)" -n \
    sh -c 'tail -n +3 /proc/net/dev | wc -l')" 1

# ---- work ----

path=$(nix_build app) || exit 1
passes 'a push' niks3 push "$path"
passes 'a collection' timeout 60 nsenter -t "$LEADER" -a -- \
    systemctl start niks3-gc.service
like '... whose figures are in the journal' "$(journal -u niks3-gc)" \
    'failed-uploads-deleted=.*objects-failed-to-delete='
like '... as is when it comes next' \
    "$(in_box systemctl list-timers --no-pager niks3-gc.timer)" \
    'niks3-gc.timer'

# ---- killed ----

came_back() {
	local pid
	pid=$(main_pid "$1")
	[ "$pid" != 0 ] && [ "$pid" != "$2" ] &&
	    [ "$(in_box systemctl is-active "$1")" = active ]
}
for unit in $daemons; do
	old=$(main_pid $unit)
	in_box kill -9 "$old"
	passes "$unit comes back when it is killed" \
	    wait_until 30 came_back $unit "$old"
done
old=$(main_pid niks3-signer)
sleep 3
is 'the watchdog lets live what works' "$(main_pid niks3-signer)" "$old"
in_box kill -STOP "$old"
passes 'but not what hangs' wait_until 30 came_back niks3-signer "$old"
passes '... and all is ready' wait_until 30 ready
passes '... for a push' niks3 push "$(nix_build shared)"

# ---- upgraded, twice, while somebody pushes ----

cat >"$TMP/pusher" <<'PUSHER'
. "$LIB/nix.sh"
n=0
while [ ! -e "$1/enough" ]; do
	n=$((n + 1))
	path=$(nix_build app --argstr seed "upgrade$n") || exit 1
	niks3 push "$path" || { echo "FAILED $n"; continue; }
	echo "pushed $n"
done
PUSHER
# Who does not try again, as niks3 does: each time a connection of its own.
cat >"$TMP/asker" <<'ASKER'
while [ ! -e "$1/enough" ]; do
	curl -sSf --max-time 30 -K "$2/token.curl" -o /dev/null \
	    "$3/api/v2/pins" || echo "FAILED: $?"
done
ASKER
export LIB
background asker sh "$TMP/asker" "$TMP" "$dir" "$NIKS3_SERVER_URL"
background pusher sh "$TMP/pusher" "$TMP"
pushes() {
	grep -c '^pushed' "$TMP/pusher.log"
}
pushed_more() {
	[ "$(pushes)" -gt "$1" ]
}
wait_until 30 pushed_more 1
for turn in first second; do
	before=$(pushes)
	in_box systemctl daemon-reload
	passes "the $turn upgrade restarts all" timeout 120 \
	    nsenter -t "$LEADER" -a -- systemctl restart niks3.target
	passes '... pushes go on' wait_until 60 pushed_more "$before"
done
# In an order that nobody planned.
for unit in niks3-signer niks3-server niks3-uploader@1 niks3-gc-worker \
    niks3-server; do
	before=$(pushes)
	passes "$unit is restarted alone" timeout 60 \
	    nsenter -t "$LEADER" -a -- systemctl restart $unit
	passes '... pushes go on' wait_until 60 pushed_more "$before"
done
: >"$TMP/enough"
finished pusher
finished asker
is 'nobody was refused, or broken off' "$(cat "$TMP/asker.log")" ''
is 'no push failed' "$(grep -v '^pushed\|^[0-9/]' "$TMP/pusher.log" |
    grep -B 5 FAILED)" ''

# ---- stopped ----

passes 'systemctl stop niks3.target' timeout 60 \
    nsenter -t "$LEADER" -a -- systemctl stop niks3.target
wait_until 30 sh -c "! nsenter -t $LEADER -a -- systemctl is-active -q $daemons"
stopped_at() {
	in_box systemctl show -P InactiveEnterTimestampMonotonic "$1"
}
for unit in $daemons; do
	is "$unit ends in order" "$(in_box systemctl show -P Result $unit) $(
	    in_box systemctl is-active $unit)" 'success inactive'
done
for unit in niks3-signer niks3-uploader@1 niks3-gc-worker; do
	passes "the server is stopped before $unit" test \
	    "$(stopped_at niks3-server)" -le "$(stopped_at $unit)"
done
is 'the socket is closed' "$(in_box systemctl is-active niks3-server.socket)" \
    inactive
passes 'database and bucket agree' bucket_recount
proc_stop "$TMP" TERM nspawn
tap_done
