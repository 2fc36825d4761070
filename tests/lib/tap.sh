# Tests in shell print TAP: "ok 1 - what", "not ok 2 - what", and a plan.

TAP_RUN=0 TAP_FAILED=0

ok() {
	TAP_RUN=$((TAP_RUN + 1))
	echo "ok $TAP_RUN - $*"
}

# not_ok WHAT [DETAIL]: goes on with the next test.
not_ok() {
	TAP_RUN=$((TAP_RUN + 1)) TAP_FAILED=$((TAP_FAILED + 1))
	echo "not ok $TAP_RUN - $1"
	[ -z "${2-}" ] || printf '%s\n' "$2" | head -n 60 | sed 's/^/# /'
}

skip() {
	TAP_RUN=$((TAP_RUN + 1))
	echo "ok $TAP_RUN - $1 # SKIP ${2-}"
}

# passes WHAT COMMAND...: the command exits with 0.
passes() {
	local what=$1 out rc=0
	shift
	out=$("$@" 2>&1) || rc=$?
	if [ $rc -eq 0 ]; then
		ok "$what"
	else
		not_ok "$what" "$* (exit $rc)
$out"
	fi
}

# fails WHAT PATTERN COMMAND...: the command exits with 1 or 2, not by a signal or
# a time out, and says something that matches the extended regular expression.
fails() {
	local what=$1 pattern=$2 out rc=0
	shift 2
	out=$("$@" 2>&1) || rc=$?
	if [ $rc -eq 0 ] || [ $rc -ge 124 ]; then
		not_ok "$what" "$* (exit $rc)
$out"
	elif ! printf '%s\n' "$out" | grep -Eq -- "$pattern"; then
		not_ok "$what" "$* (exit $rc) did not say /$pattern/:
$out"
	else
		ok "$what"
	fi
}

# is WHAT GOT WANTED
is() {
	if [ "$2" = "$3" ]; then
		ok "$1"
	else
		not_ok "$1" "got:    $2
wanted: $3"
	fi
}

# like WHAT GOT PATTERN
like() {
	if printf '%s\n' "$2" | grep -Eq -- "$3"; then
		ok "$1"
	else
		not_ok "$1" "got: $2
it does not match /$3/"
	fi
}

# The plan, last of all; a script that ends without it has failed.
tap_done() {
	echo "1..$TAP_RUN"
	TAP_DONE=1
	[ $TAP_FAILED -eq 0 ]
}

# tap_count FILE: "passed failed skipped" of a TAP output.
tap_count() {
	awk '/^ok .*# SKIP/ { s++; next } /^ok / { p++ } /^not ok / { f++ }
	    END { print p + 0, f + 0, s + 0 }' "$1"
}

# tap_program PROGRAM: runs a program of cmocka and takes over its results; one
# that dies has failed.
tap_program() {
	local out rc=0 line
	out=$(CMOCKA_MESSAGE_OUTPUT=TAP "$1" 2>&1) || rc=$?
	printf '%s\n' "$out" >"$TMP/program"
	while IFS= read -r line; do
		case $line in
		'not ok '*' # SKIP '*) skip "${line#* # SKIP }" ;;
		'ok '*)	ok "${line#ok * - }" ;;
		'not ok '*)
			not_ok "${line#not ok * - }" ;;
		esac
	done <"$TMP/program"
	[ $rc -eq 0 ] || not_ok "$1 ends well" "exit $rc
$out"
}
