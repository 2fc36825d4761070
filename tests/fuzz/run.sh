#!/bin/sh
# Runs the fuzzers of a build, as many at a time as there are processors:
#
#	run.sh BUILD SECONDS [SEED]
#
# Each begins with tests/fuzz/corpus/NAME. With a seed, that is all it knows, and a
# run can be repeated; without one it goes on with what earlier runs have found,
# which .data/fuzz/NAME keeps. An input that breaks something is saved in .data/fuzz
# and named. Prints TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/tap.sh

INPUT_MAX=8192   # bytes
INPUT_SECONDS=10 # for one input, which takes milliseconds
MEMORY_MAX=1024  # MB, of one fuzzer

# Where memory is laid out alike, a run with the same seed is the same run.
FIXED=$(setarch -R true 2>/dev/null && echo 'setarch -R')

# Stacks with names also where there is no llvm-symbolizer.
export ASAN_OPTIONS=allow_addr2line=1 UBSAN_OPTIONS=print_stacktrace=1

# fuzz BUILD SECONDS SEED KNOWN NAME: writes KNOWN/NAME.log and .rc.
fuzz() {
	local rc=0
	mkdir -p "$4/$5"
	timeout -k 5 $(($2 + 60)) $FIXED "$1/tests/$5_fuzz" "-seed=$3" \
	    "-max_total_time=$2" "-timeout=$INPUT_SECONDS" \
	    "-rss_limit_mb=$MEMORY_MAX" "-max_len=$INPUT_MAX" \
	    "-artifact_prefix=.data/fuzz/$5-" -print_final_stats=1 \
	    "$4/$5" "tests/fuzz/corpus/$5" >"$4/$5.log" 2>&1 || rc=$?
	echo $rc >"$4/$5.rc"
}

if [ "$1" = one ]; then
	shift
	fuzz "$@"
	exit
fi

# figure NAME LOG: the last value that libFuzzer printed, 0 for none.
figure() {
	sed -n "s/.* $1: *\([0-9]*\).*/\1/p" "$2" | tail -n 1 | grep . || echo 0
}

# report NAME KNOWN: a fuzzer that ran nothing beyond its corpus, or has found no
# way into what it looks at, has failed too.
report() {
	local log=$2/$1.log rc runs cov text saved
	rc=$(cat "$2/$1.rc" 2>/dev/null || echo none)
	runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
	cov=$(figure cov "$log")
	saved=$(sed -n 's/.*Test unit written to //p' "$log")
	text="$1: ${runs:=0} runs, $cov edges, $(figure ft "$log") features"
	if [ "$rc" = 0 ] && [ "$runs" -gt 100 ] && [ "$cov" -gt 50 ]; then
		ok "$text"
	else
		not_ok "$text" "exit $rc${saved:+; again with:
$BUILD/tests/$1_fuzz $saved}
$(grep -vE '^#[0-9]+[[:space:]]' "$log" | tail -n 50)"
	fi
}

BUILD=$1 LASTS=$2 KNOWN=.data/fuzz
mkdir -p .data/fuzz
if [ -n "${3-}" ]; then
	KNOWN=$(mktemp -d) || exit 1
	trap 'rm -rf "$KNOWN"' EXIT
fi
SEED=${3:-$(od -An -N3 -tu4 /dev/urandom | tr -d ' ')}
NAMES=$(ls tests/fuzz | sed -n 's/_fuzz\.c$//p')
echo "# seed $SEED, $LASTS s each"
# One that never began leaves nothing behind to be taken for this run's.
rm -f "$KNOWN"/*.rc "$KNOWN"/*.log
printf '%s\n' $NAMES | xargs -P "$(nproc)" -n 1 \
    sh tests/fuzz/run.sh one "$BUILD" "$LASTS" "$SEED" "$KNOWN"
for name in $NAMES; do
	report "$name" "$KNOWN"
done
tap_done
