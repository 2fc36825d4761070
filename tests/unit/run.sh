#!/bin/sh
# Runs cmocka programs and counts their tests: run.sh PROGRAM...
# Prints what failed, and last "N passed, N failed, N skipped".
set -u
passed=0 failed=0 skipped=0
out=$(mktemp) || exit 1
trap 'rm -f "$out"' EXIT
for test in "$@"; do
	CMOCKA_MESSAGE_OUTPUT=TAP timeout 120 "$test" >"$out" 2>&1
	rc=$?
	p=$(grep -c '^ok ' "$out") s=$(grep -c '^ok .*# SKIP' "$out")
	f=$(grep -c '^not ok ' "$out")
	# A program that died, or ran nothing, has failed too.
	if [ "$f" -eq 0 ] && { [ $rc -ne 0 ] || [ "$p" -eq 0 ]; }; then f=1; fi
	passed=$((passed + p - s)) failed=$((failed + f)) skipped=$((skipped + s))
	[ "$f" -eq 0 ] || { echo "FAILED $test (exit $rc)"; cat "$out"; }
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
