#!/bin/sh
# Runs integration tests: run.sh [TEST...], or all of them, two at a time. They
# share PostgreSQL and the S3 server. Prints what failed with its output, and
# last "N passed, N failed, N skipped".
set -u
ROOT=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
LIB=$ROOT/tests/lib
PROC_ORPHAN=KILL
LIMIT=600 # seconds for one test
for lib in proc postgres ceph s3 services tap; do
	. "$LIB/$lib.sh"
done
if [ $# -eq 0 ]; then
	set -- "$ROOT"/tests/integration/*_test.sh \
	    "$ROOT"/tests/integration/compat/*_test.sh
	[ -e "$1" ] || { echo "0 passed, 0 failed, 0 skipped"; exit 0; }
fi

DIR=$(mktemp -d /tmp/niks3-tests.XXXXXX) || exit 1
chmod 711 "$DIR"
run_end() {
	trap '' INT TERM HUP
	proc_stop "$DIR" TERM tests
	services_stop "$DIR"
	rm -rf "$DIR"
}
trap run_end EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

services_start "$DIR" || exit 1
export NIKS3_TEST_SERVICES="$DIR"

# One test: its output, and its exit status beside it. Each process of the chain
# ends when the one above it does.
cat >"$DIR/one" <<'ONE'
name=$(basename "$3" _test.sh)
start=$(date +%s)
setpriv --pdeathsig TERM timeout -k 20 "$2" sh "$3" >"$1/$name.out" 2>&1
echo $? >"$1/$name.rc"
echo "$name: $(($(date +%s) - start)) s" >>"$1/times"
ONE
printf '%s\n' "$@" >"$DIR/list"
proc_start "$DIR" tests xargs -a "$DIR/list" -d '\n' -n 1 -P 2 \
    setpriv --pdeathsig TERM sh "$DIR/one" "$DIR" "$LIMIT"
wait $!

passed=0 failed=0 skipped=0
for test in "$@"; do
	name=$(basename "$test" _test.sh)
	rc=$(cat "$DIR/$name.rc" 2>/dev/null || echo 'it did not end')
	[ -e "$DIR/$name.out" ] || cp "$DIR/tests.log" "$DIR/$name.out"
	set -- $(tap_count "$DIR/$name.out")
	# A script that died, or ran nothing, has failed too.
	[ "$2" -gt 0 ] || [ "$rc" = 0 ] && [ "$1$2$3" != 000 ] ||
	    set -- "$1" 1 "$3"
	passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
	[ "$2" -eq 0 ] || {
		echo "FAILED $test (exit $rc)"
		cat "$DIR/$name.out"
	}
done
sort "$DIR/times"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
