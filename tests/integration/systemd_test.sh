#!/bin/sh
# All of it under a systemd that was booted for this: this machine's own files,
# with what make install puts there over them, in a container. Started, seen in
# their sandboxes, killed, restarted beside pushes as an upgrade does it, and
# stopped in order.
. "$(dirname "$0")/lib.sh"

. "$LIB/box.sh"

why=$(box_why)
if [ -n "$why" ]; then
	skip 'niks3 under systemd' "$why"
	tap_done
	exit 0
fi

# ---- install ----

up=$TMP/up etc=$TMP/up/etc/niks3 conf=$TMP/conf
mkdir -p "$up" "$etc" "$up/etc/systemd/system/niks3-server.socket.d" \
    "$up/etc/systemd/system/niks3-signer.service.d"
chmod 755 "$up" "$up/etc" "$etc"
box_stack "$conf" || exit 1
passes 'make install' make -C "$ROOT" install DESTDIR="$up" \
    $([ "$BUILD" = "$ROOT/build" ] || echo BUILD="$BUILD")
cp -r "$conf/secrets" "$etc/"
for file in server signer uploader gc migrate; do
	cat "$ROOT/systemd/config/$file.conf" "$conf/$file.conf" >"$etc/$file.conf"
done
cp "$conf/port.conf" "$up/etc/systemd/system/niks3-server.socket.d/"
printf '[Service]\nWatchdogSec=2\nTimeoutAbortSec=1\n' \
    >"$up/etc/systemd/system/niks3-signer.service.d/watchdog.conf"

# ---- boot ----

box_boot "$up" || { tap_done; exit 1; }

# As a package does it.
passes 'sysusers.d' in_box systemd-sysusers
passes 'tmpfiles.d' in_box systemd-tmpfiles --create niks3.conf
passes 'PostgreSQL, which knows our users' box_postgres
is '... and nobody else' "$(wc -l <"$POSTGRES_DIR/data/pg_ident.conf") $(
    wc -l <"$POSTGRES_DIR/data/pg_hba.conf")" '3 2'
is 'the directory of the sockets' \
    "$(in_box stat -c '%a %U %G' /run/niks3)" '1770 root niks3'

daemons='niks3-signer niks3-uploader@1 niks3-gc-worker niks3-server'
passes 'systemctl start niks3.target' timeout 120 \
    nsenter -t "$LEADER" -a -- systemctl start niks3.target
for unit in $daemons niks3-gc.timer niks3-server.socket; do
	is "$unit is active" "$(in_box systemctl is-active $unit)" active
done
passes 'all is ready' wait_until 30 box_ready || journal -n 60 | sed 's/^/# /'
journal -u niks3-migrate | grep -q 'nothing to do'
is 'the schema was looked at' $? 0

# ---- sandboxes ----

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
	    "sandbox landlock=$([ $BOX_LANDLOCK = false ] || echo '[1-9]').* seccomp=on"
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
passes '... and all is ready' wait_until 30 box_ready
passes '... for a push' niks3 push "$(nix_build shared)"

# ---- upgraded, twice, while somebody pushes ----

background asker sh "$LIB/ask.sh" "$TMP" "$STACK" "$NIKS3_SERVER_URL" 30
background pusher sh "$LIB/push.sh" "$TMP" upgrade
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
