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
	# What is skipped, cmocka calls "not ok".
	s=$(grep -c '^not ok [0-9]* # SKIP' "$out")
	p=$(grep -c '^ok ' "$out") f=$(($(grep -c '^not ok ' "$out") - s))
	# A program that died, or ran nothing, has failed too.
	if [ "$f" -eq 0 ] && { [ $rc -ne 0 ] || [ $((p + s)) -eq 0 ]; }; then f=1; fi
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	sed -n "s|^# skipped: |${test##*/}: skipped: |p" "$out" | sort -u
	[ "$f" -eq 0 ] || { echo "FAILED $test (exit $rc)"; cat "$out"; }
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
