#!/bin/sh
# Two upgrades in a row beside pushes, none of which fails: every daemon is
# stopped as a service manager does it, the server while its socket stays open,
# and others are started in its place.
. "$(dirname "$0")/lib.sh"

# The server gets its socket from somebody who holds it.
mkdir "$TMP/held"
port=$(port_free)
for program in uploader signer gc migrate; do
	ln -s "$BUILD/niks3-$program" "$TMP/held/"
done
cat >"$TMP/held/niks3-server" <<HELD
#!/bin/sh
exec "$BUILD/tests/tools/hold_socket" $port "$BUILD/niks3-server" "\$@"
HELD
chmod +x "$TMP/held/niks3-server"
BUILD=$TMP/held
stack_start --uploaders 2
is 'the server listens at the socket that it was given' \
    "$NIKS3_SERVER_URL" "http://127.0.0.1:$port"
like '... and makes none itself' "$(cat "$STACK/server.log")" \
    'sandbox .* listens=none'

background asker sh "$LIB/ask.sh" "$TMP" "$STACK" "$NIKS3_SERVER_URL" 20
background one sh "$LIB/push.sh" "$TMP" one
background two sh "$LIB/push.sh" "$TMP" two
pushed_more() {
	[ "$(grep -c '^pushed' "$TMP/one.log")" -gt "$1" ] &&
	    [ "$(grep -c '^pushed' "$TMP/two.log")" -gt "$2" ]
}
go_on() {
	passes "pushes go on $1" wait_until 60 pushed_more \
	    "$(grep -c '^pushed' "$TMP/one.log")" \
	    "$(grep -c '^pushed' "$TMP/two.log")"
}
server_pid() {
	sed -n 's/^started //p' "$STACK/server.log" | tail -n 1
}
# Only the server gets the signal, as its holder is no part of what is upgraded.
restart_server() {
	local old
	old=$(server_pid)
	kill -USR1 "$(proc_pid "$STACK" server)"
	wait_until 20 other_server "$old"
}
other_server() {
	[ "$(server_pid)" != "$1" ] && ! kill -0 "$1" 2>/dev/null
}
restart() {
	case $1 in
	server)	restart_server ;;
	*)	proc_stop "$STACK" TERM "$1"
		stack_run "$1" ;;
	esac
}
go_on 'at first'

# The server goes first; the next one waits for the others.
upgrade() {
	local name pid
	stack_migrate up
	pid=$(server_pid)
	kill -TERM "$pid"
	while kill -0 "$pid" 2>/dev/null; do
		sleep .05
	done
	for name in gc uploader1 uploader2 signer; do
		restart "$name"
	done
	stack_wait
}
for turn in first second; do
	upgrade || exit 1
	go_on "after the $turn upgrade"
done
for name in server signer server uploader1 gc uploader2 server signer; do
	restart $name
	go_on "after a restart of $name"
done
: >"$TMP/enough"
finished one
finished two
finished asker
is 'nobody was refused, or broken off' "$(cat "$TMP/asker.log")" ''
is 'no push failed' "$(grep -h -B 5 FAILED "$TMP/one.log" "$TMP/two.log")" ''
kill -0 "$(server_pid)"
is 'the server runs' $? 0
log=$(cat "$STACK/server.log")
like 'all of the servers were started with the socket' \
    "$(printf '%s\n' "$log" | grep -c ' listening ')" '^[6-9]$'
passes 'database and bucket agree' bucket_recount
tap_done
