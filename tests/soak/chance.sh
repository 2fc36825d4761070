# Chance from a seed, and the tally of what happened: for every process of the
# soak.

# chance_seed NUMBER...
chance_seed() {
	local number
	CHANCE_STATE=1
	for number in "$@"; do
		CHANCE_STATE=$((((CHANCE_STATE ^ number) * 1103515245 + 12345) &
		    0x7fffffff))
	done
	chance 2
	chance 2
}

# chance N: sets CHANCE to a number from 0 to N - 1.
chance() {
	CHANCE_STATE=$(((CHANCE_STATE * 1103515245 + 12345) & 0x7fffffff))
	CHANCE=$(((CHANCE_STATE >> 8) % $1))
}

# chance_of WORD...: sets CHANCE to one of them.
chance_of() {
	chance $#
	shift $CHANCE
	CHANCE=$1
}

# chance_sleep MILLISECONDS: up to so long.
chance_sleep() {
	chance "$1"
	sleep "$((CHANCE / 1000)).$(printf %03d $((CHANCE % 1000)))"
}

# tally WORD: one more of these.
tally() {
	echo "$1" >>"$SOAK/tally"
}

# tallied WORD: how many.
tallied() {
	grep -cx "$1" "$SOAK/tally" 2>/dev/null || :
}

# violation TEXT...: ends the soak.
violation() {
	echo "$(date +%T.%3N) $*" >>"$SOAK/violations"
}
