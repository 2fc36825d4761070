#!/bin/sh
# Checks the model of the garbage collection (README.md) with spin: every
# configuration has to hold in all its states, and every rule that is dropped
# has to break what it promises. Prints TAP.
#
#	run.sh			all of it, two at a time
#	run.sh NAME...		these lines of the table
#	run.sh trace NAME	how it goes wrong without NAME
set -u
MODEL=$(cd "$(dirname "$0")" && pwd -P) || exit 1
. "$MODEL/../lib/tap.sh"
DEPTH=20000 # steps; the deepest search takes some 1,500

# NAME EXPECTED OPTIONS: "holds", or what the search must find broken.
FAULTS='-DLATE -DLOST -DREFUSE -DCRASHES'
table() {
	cat <<-TABLE
	fresh		holds	-DFRESH -DLATE
	fresh-refuse	holds	-DFRESH -DREFUSE
	twice		holds	-DTWICE -DLATE -DREFUSE
	rebuilt		holds	-DREBUILT -DLATE
	reuse		holds	-DREUSE -DCRASHES
	reuse-faults	holds	-DREUSE -DUPLOADS=1 $FAULTS -DREFRESH
	deep		holds	-DDEEP -DUPLOADS=1 $FAULTS -DREFRESH
	deep-grace	holds	-DDEEP -DUPLOADS=1 -DGRACE -DFIND -DREFUSE
	chain		holds	-DCHAIN -DUPLOADS=1 $FAULTS
	no-wait		holds	-DFRESH -DFINITE=1 $FAULTS LTL=nobody_waits
	no-wait-chain	holds	-DCHAIN -DFINITE=1 $FAULTS LTL=nobody_waits
	all-goes	holds	-DFRESH -DFINITE=1 $FAULTS LTL=garbage_goes
	R1	I3_needed_is_not_deleted	-DREUSE -DUPLOADS=1 -DDROP_R1
	R2+R3	I1_closure_is_in_the_bucket	-DREUSE -DUPLOADS=1 -DDROP_R2 -DDROP_R3
	R2-alone	holds	-DREUSE -DUPLOADS=1 -DDROP_R2
	R3-alone	holds	-DREUSE -DUPLOADS=1 -DDROP_R3
	R4	I3_needed_is_not_deleted	-DREBUILT -DDROP_R4
	R5	I1_closure_is_in_the_bucket	-DREUSE -DUPLOADS=1 -DDROP_R5
	R6	I5_bucket_has_a_row		-DREUSE -DUPLOADS=1 -DLOST -DDROP_R6
	R7	I5_bucket_has_a_row		-DREUSE -DUPLOADS=1 -DLATE -DDROP_R7
	R8	I1_closure_is_in_the_bucket	-DDEEP -DUPLOADS=1 -DCRASHES -DDROP_R8
	R9	I1_closure_is_in_the_bucket	-DTWICE -DNO_I6 -DDROP_R9
	R10	I6_narinfo_has_its_nar		-DREUSE -DUPLOADS=1 -DREFUSE -DDROP_R10
	seq	I1_closure_is_in_the_bucket	-DREUSE -DUPLOADS=1 -DDROP_SEQ
	gained	I1_closure_is_in_the_bucket	-DDEEP -DDROP_GAINED
	needs	L3_needed_is_no_tombstone	-DREUSE -DUPLOADS=1 -DDROP_NEEDS -DLEMMAS
	age	present_is_kept			-DREUSE -DUPLOADS=1 -DREFRESH -DDROP_AGE
	tombstone	I4_grace		-DREBUILT -DGRACE -DDROP_TOMBSTONE
	revive	I1_closure_is_in_the_bucket	-DCHAIN -DREFUSE -DDROP_REVIVE_REFS
	writer	I1_closure_is_in_the_bucket	-DTWICE -DNO_I6 -DDROP_WRITER
	forgotten	I1_closure_is_in_the_bucket	-DTWICE -DNO_I6 -DLATE -DDROP_WRITER_UNKNOWN
	window	cycle	-DFRESH -DFINITE=1 $FAULTS -DDROP_WINDOW_END LTL=nobody_waits
	late	I2_live_is_in_the_bucket	-DREUSE -DUPLOADS=1 -DLOST -DDROP_LATE
	repeat	I2_live_is_in_the_bucket	-DREUSE -DUPLOADS=1 -DLOST -DADD_REPEAT
	doubt	I2_live_is_in_the_bucket	-DREUSE -DUPLOADS=1 -DLOST -DREFUSE -DDROP_DOUBT
	leftovers	cycle	-DCHAIN -DFINITE=1 $FAULTS -DDROP_LEFTOVERS LTL=nobody_waits
	claimed-at	I5_bucket_has_a_row	-DREUSE -DUPLOADS=1 -DLATE -DDROP_CLAIMED_AT
	needed	order_of_writing		-DREUSE -DUPLOADS=1 -DDROP_NEEDED
	twice-swept	garbage_is_gone		-DREUSE -DUPLOADS=1 -DLATE -DDROP_TWICE
	claim-refs	I6_narinfo_has_its_nar	-DCHAIN -DDROP_CLAIM_REFS
	not-due	I6_narinfo_has_its_nar		-DREUSE -DUPLOADS=1 -DGRACE -DDROP_NOT_DUE
	hold-anew	I6_narinfo_has_its_nar	-DFRESH -DDROP_HOLD_ANEW
	TABLE
}

# search NAME OPTION...: in a directory of its own; what spin says is in out.
# The conditions that only the proof needs (L*) are left out where a rule is
# dropped: what is promised has to break.
search() {
	local name=$1
	shift
	options "$@"
	mkdir -p "$DIR/$name" && cd "$DIR/$name" || return 1
	spin -a $OPTIONS "$MODEL/gc.pml" >out 2>&1 &&
	    gcc -O2 -w -DCOLLAPSE $PAN_GCC -o pan pan.c >>out 2>&1 &&
	    ./pan -n -m$DEPTH -w24 $PAN >>out 2>&1
}

# options OPTION...: what spin, gcc and the search are given for a line.
options() {
	OPTIONS='' PAN_GCC=-DSAFETY PAN=''
	case "$*" in
	*LEMMAS*) ;;
	*DROP_* | *ADD_*)
		OPTIONS=-DONLY_PROMISES ;;
	esac
	while [ $# -gt 0 ]; do
		case $1 in
		LTL=*)	PAN="-a -f -N ${1#LTL=}" PAN_GCC=-DNFAIR=3 ;;
		*)	OPTIONS="$OPTIONS $1" ;;
		esac
		shift
	done
}

if [ "${1-}" = one ]; then # for xargs, below
	shift
	DIR=$1
	shift
	search "$@"
	exit 0
fi

DIR=$(mktemp -d "${TMPDIR:-/tmp}/niks3-model.XXXXXX") || exit 1
trap 'rm -rf "$DIR"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

if [ "${1-}" = trace ]; then
	line=$(table | awk -v name="${2-}" '$1 == name')
	[ -n "$line" ] || { echo "there is no ${2-}" >&2; exit 2; }
	set -- $line
	name=$1
	shift 2
	search "$name" "$@" -DTRACE
	[ -f "$DIR/$name/gc.pml.trail" ] || { cat "$DIR/$name/out"; exit 1; }
	spin -T -B $OPTIONS -k "$DIR/$name/gc.pml.trail" "$MODEL/gc.pml"
	exit
fi

# judge NAME EXPECTED: by what spin said.
judge() {
	local out="$DIR/$1/out" broken
	broken=$(sed -n 's/^pan:1: \(.*\) (at depth.*/\1/p' "$out")
	if [ "$2" = cycle ]; then
		is "without $1: somebody waits for ever" "$broken" \
		    'acceptance cycle'
	elif [ "$2" != holds ]; then
		is "without $1: $2 breaks" "$broken" "assertion violated $2"
	elif [ -n "$broken" ] || ! grep -q 'errors: 0$' "$out" ||
	    grep -Eq 'max search depth too small|not completed|out of memory' \
	    "$out"; then
		not_ok "$1 holds" "$(cat "$out")"
	else
		ok "$1 holds:$(sed -n 's/\(.*[0-9]\) states, stored.*/\1 states/p' \
		    "$out" | tr -s ' ')"
	fi
}

table >"$DIR/table"
if [ $# -gt 0 ]; then
	for name in "$@"; do
		awk -v name="$name" '$1 == name' "$DIR/table"
	done >"$DIR/some"
	mv "$DIR/some" "$DIR/table"
fi
awk '{ $2 = ""; print }' "$DIR/table" | xargs -P 2 -L 1 sh "$0" one "$DIR"
while read -r name expected rest; do
	judge "$name" "$expected"
done <"$DIR/table"
tap_done
