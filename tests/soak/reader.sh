# Reads the closures that stay, all of them, again and again, as anybody who uses
# the cache may at any moment: reader.sh.
set -u
. "$(dirname "$0")/chance.sh"
while [ ! -e "$SOAK/stop" ]; do
	rc=0
	"$BUILD/tests/tools/soak_check" --bucket "$PGDATABASE" \
	    <"$SOAK/kept" >"$SOAK/reader.out" 2>&1 || rc=$?
	tally "look"
	sed -n 's/^# read.* \([0-9]*\) bytes$/\1/p' "$SOAK/reader.out" \
	    >>"$SOAK/bytes"
	[ $rc -eq 0 ] ||
	    violation "a reader of what is pinned: $(cat "$SOAK/reader.out")"
	sleep .3
done
