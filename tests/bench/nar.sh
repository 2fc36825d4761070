#!/bin/sh
# Times our NAR serialiser against nix-store's: nar.sh [DIR]. DIR keeps the trees
# for the next time; without it they are removed.
set -eu
cd "$(dirname "$0")/../.."
BUILD=${BUILD:-build}
make -s BUILD="$BUILD" "$BUILD/tests/tools/nar_tool" \
    "$BUILD/tests/bench/nar_bench"
if [ $# -eq 0 ]; then
	set -- "$(mktemp -d /tmp/niks3-bench.XXXXXX)"
	trap 'rm -rf "$1"' EXIT
fi
"$BUILD/tests/bench/nar_bench" "$BUILD/tests/tools/nar_tool" "$1"
