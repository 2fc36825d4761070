#!/bin/sh
# The sandboxes of the daemons as they run, and what they do where a kernel has
# none. What each program may no longer do is tried in tests/unit/sandbox_test.c.
. "$(dirname "$0")/lib.sh"
daemons='signer uploader1 gc server'

# field NAME FIELD: of a daemon, as the kernel has it.
field() {
	sed -n "s/^$2:[[:space:]]*//p" "/proc/$(proc_pid "$STACK" "$1")/status"
}
# Every thread: those that nng and libcurl started, too.
every() {
	sed -n "s/^$2:[[:space:]]*//p" \
	    "/proc/$(proc_pid "$STACK" "$1")"/task/*/status | sort -u
}
stack_start
landlock=$(sed -n 's/.*sandbox landlock=\([0-9]*\).*/\1/p' "$STACK/signer.log")
seccomp=$(sed -n 's/.* seccomp=\([a-z]*\) .*/\1/p' "$STACK/signer.log")
if [ "$seccomp" = on ]; then
	for name in $daemons; do
		is "$name: every thread has the filter" \
		    "$(every $name Seccomp)" 2
		is '... and no_new_privs' "$(every $name NoNewPrivs)" 1
	done
else
	skip 'threads have the filter' "$(grep 'not whole' "$STACK/signer.log")"
fi
for name in $daemons; do
	is "$name says what is in force, once" "$(grep -c ': sandbox ' \
	    "$STACK/$name.log")" 1
done
like 'the signer needs nothing but its socket' "$(cat "$STACK/signer.log")" \
    " reads=none sockets=$STACK/run listens=none connects=none"
is 'nobody may connect to everywhere' "$(grep -l 'connects=any' \
    "$STACK"/*.log)" ''
like 'the uploader connects to S3 and a name server' \
    "$(cat "$STACK/uploader1.log")" \
    " connects=\"?(53 )?${S3_ENDPOINT##*:}( 53)?\"?\$"
passes 'it is all that a push needs' niks3 push "$(nix_build app)"
passes '... and a collection' niks3 gc --older-than=0s --force
stack_stop

# ---- where there is none ----

# A program as on another kernel: stack_run starts what is in $BUILD.
mkdir "$TMP/lacking"
lacks() {
	local program
	for program in server uploader signer gc migrate; do
		cat >"$TMP/lacking/niks3-$program" <<-SCRIPT
		#!/bin/sh
		exec "$BUILD/tests/tools/without" $1 "$BUILD/niks3-$program" "\$@"
		SCRIPT
		chmod +x "$TMP/lacking/niks3-$program"
	done
}
kernel=$BUILD
[ "$landlock" = 0 ] || [ "$seccomp" != on ] || {
	lacks landlock_create_ruleset
	BUILD=$TMP/lacking
	stack_up 1 || exit 1
	ok 'all runs without Landlock'
	BUILD=$kernel
	for name in $daemons; do
		is "... and $name warns of it" "$(grep -c 'warn: .*not whole .*Landlock: this kernel has none' \
		    "$STACK/$name.log")" 1
	done
	like '... and so does niks3-migrate' "$("$TMP/lacking/niks3-migrate" \
	    --migrations-dir "$ROOT/migrations" --db "$NIKS3_DB" up 2>&1)" \
	    'warning: the sandbox is not whole: Landlock: this kernel'
	passes '... with a push' niks3 push "$(nix_build shared)"
	stack_stop
}
for call in landlock_create_ruleset seccomp=22; do
	lacks $call
	case $call in
	seccomp*)	what=seccomp ;;
	*)		what=Landlock ;;
	esac
	run=$TMP/lacking/niks3
	for command in \
	    "$run-signer --sign-key-path $STACK/key --listen ipc://$TMP/s.sock" \
	    "$run-gc --db host=/nowhere --listen ipc://$TMP/a.sock
		--upload-socket ipc://$TMP/b.sock" \
	    "$run-uploader --s3-endpoint http://127.0.0.1:1 --s3-bucket b
		--s3-access-key a --s3-secret-key b --connect ipc://$TMP/c.sock" \
	    "$run-migrate --db host=/nowhere up"; do
		name=${command%% *}
		fails "${name##*/} --require-sandbox without $what" \
		    "$what: this kernel has none" \
		    timeout 10 $command --require-sandbox
	done
	stack_migrate up
	fails "niks3-server with NIKS3_REQUIRE_SANDBOX without $what" \
	    "sandbox: $what: .*without --require-sandbox" \
	    env NIKS3_REQUIRE_SANDBOX=true timeout 10 "$run-server" \
	    --db "host=$POSTGRES_DIR dbname=$STACK_NAME user=niks3_server" \
	    --http-addr 127.0.0.1:0 --api-token-path "$STACK/token" \
	    --upload-socket "ipc://$TMP/d.sock"
done
tap_done
