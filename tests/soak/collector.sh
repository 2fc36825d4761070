# Collects garbage until $SOAK/stop is there: collector.sh SEED AGE...; the ages
# are those that --older-than may have.
set -u
. "$(dirname "$0")/chance.sh"
chance_seed "$1" 77
shift
while [ ! -e "$SOAK/stop" ]; do
	chance_of "$@"
	args=--older-than=$CHANCE
	chance_of 0s 0s 1s 3s
	args="$args --pending-older-than=$CHANCE"
	what=gc
	chance 12
	case $CHANCE in
	0 | 1)	args="$args --force" ;;
	2)	[ -z "$SOAK_DRY_RUN" ] || { args="$args --dry-run" what=dry-run; } ;;
	esac
	rc=0
	timeout -k 5 120 niks3 gc $args $SOAK_GC >"$SOAK/gc.out" 2>&1 || rc=$?
	{ echo "$(date +%T.%3N) gc $args -> $rc"
	    tail -n 2 "$SOAK/gc.out"; } >>"$SOAK/collector.log"
	case $rc in
	0)	tally "$what-ok" ;;
	*)	tally "$what-failed" ;;
	esac
	chance_sleep 1500
done
