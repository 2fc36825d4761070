#!/bin/sh
# The daemon of niks3-hook is killed with SIGKILL: at every system call by which
# it takes, keeps, pushes and forgets paths, around each push, and at random. No
# path that it has said to have is lost, and none is stuck.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/hook_lib.sh"
cd "$TMP" || exit 1

# ---- at each system call; what would push only notes what it is told to ----

export TMP
cat >pusher <<'PUSHER'
#!/bin/sh
while [ $# -gt 0 ] && [ "$1" != -- ]; do shift; done
[ $# -eq 0 ] || { shift; printf '%s\n' "$@" >>"$TMP/pushed"; }
PUSHER
chmod +x pusher
: >pushed
: >stored
export NIKS3_SERVER_URL=http://127.0.0.1:1
token=$(random_hex 24)
echo "$token" >token
export NIKS3_AUTH_TOKEN_FILE="$TMP/token"

# name NUMBER: a path of the store, to be sent once. It only has to be there.
name() {
	local path
	path=$NIX_STORE_DIR/$(printf '%032d' "$1")-kill
	[ -e "$path" ] || : >"$path"
	echo "$path"
}

# sends: five paths, and which of them the daemon says to have.
count=0
sends() {
	local i path
	for i in 1 2 3 4 5; do
		count=$((count + 1))
		path=$(name $count)
		OUT_PATHS=$path niks3-hook send >said 2>&1
		[ -s said ] || echo "$path" >>stored
	done
}

lost() {
	sort -u pushed >a
	sort -u stored | comm -13 a -
}

up_or_dead() {
	[ -S "$SOCK" ] || hook_died
}

# over: it has died, or has nothing left to do.
over() {
	hook_died || waiting_is 0
}

# killed_at CALL N: at the Nth of these calls of a thread. Fails when no thread
# comes so far.
killed_at() {
	local rc=0
	rm -f "$SOCK"
	: >hook.log
	proc_start "$TMP" hook strace -f -qqq -o strace.out -e "trace=$1" \
	    -e "inject=$1:signal=KILL:when=$2" \
	    niks3-hook serve --niks3 "$TMP/pusher" --batch-size 2
	wait_until 10 up_or_dead
	sends
	wait_until 5 over
	# The tracer ends as what it traced has.
	hook_died || rc=1
	hook_kill
	return $rc
}

# drained: what was left is pushed by one that nobody kills.
drained() {
	hook_serve --niks3 "$TMP/pusher" && wait_until 20 waiting_is 0
	hook_end
	[ "$(waiting) $(aside)" = '0 0' ] || { niks3-hook status; return 1; }
}

# sweep CALL [new]: at the first of these calls, the second ...; in a queue that is
# there, or each time in a new one.
sweep() {
	local n=1 what="$1${2:+, in a new queue}"
	drained >drained.log
	while [ $n -le 25 ]; do
		[ -z "${2-}" ] || { drained >>drained.log; rm -rf "$TMP/queue"; }
		killed_at "$1" $n || break
		n=$((n + 1))
	done
	[ $n -gt 1 ] && ok "it was killed at $what, $((n - 1)) times" ||
	    not_ok "it was killed at $what" "$(cat hook.log)"
	drained >drained.log
	is '... nothing is stuck' $? 0
	is '... and nothing is lost' "$(lost)" ''
}

if ! strace -o strace.out -e trace=none true 2>err; then
	skip 'killed at each system call' "no process may be traced here: $(
	    cat err)"
else
	for call in pwrite64 fdatasync fcntl accept4 sendto vfork,clone,clone3 \
	    wait4; do
		sweep $call
	done
	# A queue that is only being made.
	for call in pwrite64 fdatasync; do
		sweep $call new
	done
	like 'it said to have some hundred paths' "$(wc -l <stored)" '^[0-9]{3}'
fi

# ---- around each push, and at random; with a real cache ----

stack_start
rm -rf "$TMP/queue"
cat >pusher <<'PUSHER'
#!/bin/sh
# What it is told to by $TMP/point, once.
point=$(cat "$TMP/point" 2>/dev/null)
case " $* " in *' -n '*) exec niks3 "$@" ;; esac
rm -f "$TMP/point"
case $point in
before)	kill -9 $PPID; exit 1 ;;
during)	niks3 "$@" & sleep 0.05; kill -9 $PPID; wait ;;
after)	niks3 "$@"; kill -9 $PPID; exit 1 ;;
*)	exec niks3 "$@" ;;
esac
PUSHER
for point in before during after; do
	path=$(small "point $point")
	hook_serve --niks3 "$TMP/pusher" || exit 1
	echo $point >point
	passes "a path is stored, to be met by a death $point its push" \
	    stored "$path"
	passes '... which comes' wait_until 10 hook_died
	hook_serve --niks3 "$TMP/pusher" || exit 1
	passes '... and it is pushed nevertheless' arrives "$path"
	passes '... and waits no more' wait_until 10 waiting_is 0
	hook_end
done

i=0 paths=
while [ $i -lt 40 ]; do
	i=$((i + 1))
	paths="$paths $(small "random $i")"
done
: >stored
(
	for path in $paths; do
		OUT_PATHS=$path niks3-hook send >sent 2>&1
		[ -s sent ] || echo "$path" >>stored
		sleep 0.1
	done
	echo >all-sent
) &
sender=$!
deaths=0
while [ ! -e all-sent ]; do
	hook_serve || exit 1
	sleep "0.$(($(od -An -N2 -tu2 /dev/urandom) % 9))"
	hook_died || deaths=$((deaths + 1))
	hook_kill
done
wait $sender
like 'it died many times at random' $deaths '^([5-9]|[1-9][0-9]+)$'
like '... and said to have some paths' "$(wc -l <stored)" '^([5-9]|[1-3][0-9]|40)$'
hook_serve || exit 1
passes 'in the end nothing waits' wait_until 30 waiting_is 0
is '... nothing was set aside' "$(aside)" 0
passes '... and all that it had is in the cache' in_cache $(cat stored)
passes 'the cache is what its database says' bucket_recount
hook_end
tap_done
