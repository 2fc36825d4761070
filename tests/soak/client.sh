# One client of the soak: client.sh NUMBER SEED. Pushes, pins, unpins and aborts
# until $SOAK/stop is there.
set -u
. "$(dirname "$0")/chance.sh"
number=$1
seed=$2
chance_seed "$seed" "$number"
roots=$(wc -l <"$SOAK/pool")
OTHER= PUSHED= LONE=0

# some_path: sets CHANCE to one of the pool.
some_path() {
	chance "$roots"
	CHANCE=$(sed -n "$((CHANCE + 1))p" "$SOAK/pool")
}

# some_closure: sets CHANCE to what was pushed last, mostly.
some_closure() {
	chance 4
	if [ "$CHANCE" -ne 0 ] && [ -n "$PUSHED" ]; then
		CHANCE=$PUSHED
	else
		some_path
	fi
}

# in_store COMMAND...: with the store at hand, or with the other one, where the
# twins are different: a mount of this process and its children only.
in_store() {
	if [ -n "$OTHER" ]; then
		exec env NIX_STATE_DIR="$SOAK/other/state" \
		    NIX_LOG_DIR="$SOAK/other/log" \
		    NIX_LOCALSTATE_DIR="$SOAK/other/var" $SOAK_UNSHARE sh -c \
		    'mount --bind "$0" "$NIX_STORE_DIR" && exec "$@"' \
		    "$SOAK/other/store" "$@"
	else
		exec "$@"
	fi
}

# outcome WHAT STATUS: counts it; what no fault can cause is a violation.
outcome() {
	case $2 in
	0)	tally "$1-ok" ;;
	# Retryable; refused in this state of things; no such path or pin.
	9 | 6 | 5) tally "$1-failed" ;;
	124 | 130 | 137 | 143) tally "$1-stopped" ;;
	13[0-9]) violation "client $number: $1 died of signal $(($2 - 128)):" \
	    "$(tail -n 5 "$SOAK/client$number.out")" ;;
	*)	tally "$1-odd"
		{ echo "$(date +%T) client $number: $1 ended with $2:"
		    tail -n 5 "$SOAK/client$number.out"; } >>"$SOAK/odd" ;;
	esac
}

# run WHAT COMMAND...: to its end.
run() {
	local what=$1 rc=0
	shift
	(in_store timeout -k 5 25 "$@") >"$SOAK/client$number.out" 2>&1 || rc=$?
	{ echo "$(date +%T.%3N) $OTHER $* -> $rc"
	    tail -n 3 "$SOAK/client$number.out"; } >>"$SOAK/client$number.log"
	outcome "$what" $rc
	return $rc
}

# cut_off MILLISECONDS COMMAND...: until it is killed, somewhere in the middle.
cut_off() {
	local most=$1 pid rc=0
	shift
	(in_store env --default-signal=INT "$@") \
	    >"$SOAK/client$number.out" 2>&1 &
	pid=$!
	chance_sleep "$most"
	chance_of KILL INT
	kill -s "$CHANCE" $pid 2>/dev/null || :
	wait $pid || rc=$?
	echo "$(date +%T.%3N) $OTHER $* cut off -> $rc" \
	    >>"$SOAK/client$number.log"
	case $rc in
	0)	tally push-ok ;;
	130 | 137) tally "push-aborted" ;;
	*)	outcome push $rc ;;
	esac
}

# lone: something that is pushed this once, and not to its end: whatever comes late
# of it is nobody's.
lone() {
	local path
	LONE=$((LONE + 1))
	seq "$seed$number$LONE" "$seed$number$((LONE + 1))0" | head -n 500 \
	    >"$SOAK/lone-$number"
	path=$(nix store add-path --name lone "$SOAK/lone-$number") || return 0
	tally lone
	cut_off 400 niks3 push "$path"
}

# duel: a path is pushed from both stores at once, where it is not the same. It is
# pinned then, so that it is still there when all is checked.
duel() {
	local path pid rc=0
	path=$(grep -e -twin- -e '-big$' "$SOAK/pool")
	chance_of $path
	path=$CHANCE
	OTHER=other
	(in_store timeout -k 5 25 niks3 push "$path") \
	    >"$SOAK/client$number.other.out" 2>&1 &
	pid=$!
	OTHER=
	run push niks3 push "$path"
	wait $pid || rc=$?
	tally duel
	outcome push $rc
	echo "$(date +%T.%3N) other niks3 push $path, a duel -> $rc" \
	    >>"$SOAK/client$number.log"
	some_pin
	run pin niks3 pins create "$PIN" "$path"
}

some_paths() {
	local n
	PATHS=
	chance 3
	n=$CHANCE
	while [ "$n" -ge 0 ]; do
		some_path
		PATHS="$PATHS $CHANCE"
		n=$((n - 1))
	done
}

# Each client has pins of its own: what two do to one at a time is undefined.
some_pin() {
	chance 3
	PIN=c$number-$CHANCE
}

while [ ! -e "$SOAK/stop" ]; do
	OTHER=
	chance 3
	[ "$CHANCE" -ne 0 ] || [ -z "$SOAK_UNSHARE" ] || OTHER=other
	chance 100
	if [ "$CHANCE" -lt 15 ] && [ -n "$SOAK_UNSHARE" ]; then
		duel
	elif [ "$CHANCE" -lt 30 ]; then
		lone
	elif [ "$CHANCE" -lt 50 ]; then
		some_paths
		run push niks3 push $PATHS && PUSHED=${PATHS##* }
	elif [ "$CHANCE" -lt 60 ]; then
		some_pin
		some_path
		run push-pin niks3 push --pin "$PIN" "$CHANCE"
	elif [ "$CHANCE" -lt 80 ]; then
		some_paths
		cut_off 1500 niks3 push $PATHS
	elif [ "$CHANCE" -lt 87 ]; then
		some_pin
		some_closure
		run pin niks3 pins create "$PIN" "$CHANCE"
	elif [ "$CHANCE" -lt 94 ] || [ -z "$SOAK_CLOSURES" ]; then
		some_pin
		run unpin niks3 pins delete "$PIN"
	else
		some_closure
		path=$CHANCE
		chance_of '' --now
		run closure-delete niks3 closures delete $CHANCE "$path"
	fi
	chance_sleep 200
done
