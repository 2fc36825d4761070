#!/bin/sh
# The benchmarks, one after the other: run.sh [nar] [push] [gc] [proxy]; the last
# one, which needs nginx, only where it is named. Medians, and ratios
# to what others need for the same in the same run: the machine's own speed, and
# whoever else works on it, then matters less.
set -u
cd "$(dirname "$0")/../.." || exit 1
rc=0
for bench in ${*:-nar push gc}; do
	case $bench in
	nar)	echo 'NAR serialisation' ;;
	push | proxy) ;;
	gc)	echo 'Garbage collection' ;;
	*)	echo "run.sh: no such benchmark: $bench" >&2; exit 2 ;;
	esac
	sh "tests/bench/$bench.sh" || rc=1
	echo
done
exit $rc
