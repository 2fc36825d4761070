#!/bin/sh
# Checks the manual: its form, that it says of options, requests, calls and
# statuses what the tables in the source say, and nothing else, and that every
# --help fits a screen. man.sh [BUILD-DIRECTORY]; prints TAP.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/lib/tap.sh
BUILD=$(cd "${1:-build}" && pwd) || exit 1
PATH=$BUILD:$PATH
TMP=$(mktemp -d /tmp/niks3-man.XXXXXX) || exit 1
trap 'rm -rf "$TMP"' EXIT
# All programs but niks3 and niks3-hook, which have commands.
PROGRAMS=$(sed -n 's/^PROGRAMS := niks3 niks3-hook //p' GNUmakefile)

# page_of PROGRAM: niks3-gc(1) is that of a command of niks3.
page_of() {
	[ -e "man/$1.8" ] && echo "man/$1.8" || echo "man/$1.1"
}

# words FILE: what stands in a page, a word a line.
words() {
	mandoc -T ascii -O width=1000 "$1" | col -b | tr -c 'A-Za-z0-9_-' '\n' |
	    sort -u
}

# ---- form ----

for page in man/*; do
	name=${page##*/}
	# mandoc looks for others where manuals are installed.
	is "$page is well formed" "$(mandoc -T lint -W all "$page" 2>/dev/null |
	    grep -v 'STYLE: referenced manual not found')" ''
	is "$page is called so" "$(sed -n 's/^\.Dt //p' "$page")" \
	    "$(echo "${name%.*} ${name##*.}" | tr a-z A-Z)"
	bad=$(sed -n 's/^\.Xr \(niks3[^ ]*\) \([0-9]\).*/\1.\2/p' "$page" |
	    while read -r to; do [ -e "man/$to" ] || echo "$to"; done)
	is "$page refers to pages that are there" "$bad" ''
done

# ---- options ----

for program in $PROGRAMS; do
	$program --completion=list >"$TMP/list"
	page=$(page_of $program)
	passes "$page has its options" awk -v program="$program" \
	    -f tests/lib/manopts.awk "$TMP/list" "$page"
	is "every option of $program has a variable" "$(awk -F'\t' \
	    '$7 !~ /hidden|action/ && $3 == "-" { print $2 }' "$TMP/list")" ''
done

niks3 completion list >"$TMP/list"
cut -f1 "$TMP/list" | uniq >"$TMP/commands"
# What every command has stands in niks3(1).
passes 'niks3(1) has the options of every command' awk \
    -v program='niks3 gc status' -f tests/lib/manopts.awk \
    "$TMP/list" man/niks3.1 man/niks3-gc.1
while read -r command; do
	set -- $command
	page=man/niks3-$2.1
	[ -e "$page" ] || { not_ok "$command has a page"; continue; }
	passes "niks3-$2(1) has the options of $command" awk \
	    -v program="$command" -v shared=man/niks3.1 \
	    -f tests/lib/manopts.awk "$TMP/list" man/niks3.1 "$page"
	like "niks3-$2(1) tells how to call $command" "$(cat "$page")" \
	    "^\.Nm niks3 $2${3+ Cm $3}\$"
done <"$TMP/commands"
names=$(niks3 --help | sed -n 's/^  \([a-z][^ ]*\) .*/\1/p')
is 'niks3(1) has every command' \
    "$(sed -n '/^\.Bl/,/^\.El/s/^\.It Cm //p' man/niks3.1)" "$names"
is 'the options of every command are known' \
    "$(cut -d' ' -f2 "$TMP/commands" | uniq)" "$names"

niks3-hook --completion=list >"$TMP/hook"
cut -f1 "$TMP/hook" | uniq >"$TMP/hook.commands"
while read -r command; do
	passes "niks3-hook(1) has the options of $command" awk \
	    -v program="$command" -v shared=man/niks3.1 \
	    -f tests/lib/manopts.awk "$TMP/hook" man/niks3.1 man/niks3-hook.1
done <"$TMP/hook.commands"
is 'every option of niks3-hook serve has a variable' "$(awk -F'\t' \
    '$1 == "niks3-hook serve" && $7 !~ /hidden|action/ && $3 == "-" {
	print $2 }' "$TMP/hook")" ''

# ---- the variables ----

# Each with its option and its default.
for program in $PROGRAMS niks3-hook; do
	case $program in
	niks3-hook)	call='niks3-hook serve' ;;
	*)		call=$program ;;
	esac
	is "niks3.conf(5) has the variables of $program" "$(awk \
	    -v section=".Ss ${program#niks3-}.conf" '
	    /^\.S[sh]/ { inside = $0 == section }
	    !inside { next }
	    /^\.It Ev |^\.El/ {
		if (line != "") print line
		line = /^\.It/ ? $3 : ""
	    }
	    /^\.Fl / { line = line " -" $2 }
	    line != "" && /Ql [^ ]+$/ { line = line " " $NF }' \
		man/niks3.conf.5)" \
	    "$($call --completion=list | awk -F'\t' '$7 !~ /hidden/ &&
		$3 != "-" && $3 != "NIKS3_LOG_LEVEL" {
		    sub(/^\/.*\/share\/niks3\//, "share/niks3/", $5)
		    line = $3 " " $2
		    if ($5 != "-" && $4 $5 != "boolfalse")
			line = line " " $5
		    print line }')"
done

# ---- --help ----

{
	cat "$TMP/commands" "$TMP/hook.commands"
	printf '%s\n' niks3 niks3-hook 'niks3 pins' 'niks3 token' $PROGRAMS
} >"$TMP/all"
while read -r command; do
	$command --help >"$TMP/help" 2>&1 || not_ok "$command --help works"
	is "$command --help fits 80 columns and 24 lines" \
	    "$(grep -E '^.{81}' "$TMP/help"; sed -n '25,$p' "$TMP/help")" ''
	case $command in
	niks3 | niks3-hook | *' pins' | *' token')	continue ;;
	esac
	$command --help-all >"$TMP/help" 2>&1 || not_ok "$command --help-all works"
	is "$command --help-all fits 80 columns" "$(grep -E '^.{81}' "$TMP/help")" ''
	set -- $command
	case $1 in
	niks3)	cp "$TMP/list" "$TMP/options" ;;
	*)	$command --completion=list >"$TMP/options" ;;
	esac
	is '... and has every option' "$(awk -F'\t' -v p="$command" \
	    '$1 == p && $7 !~ /hidden/ { print $2 }' "$TMP/options" |
	    while read -r option; do
		grep -q -e "^  \(-., \)\{0,1\}$option\([= ]\|\$\)" "$TMP/help" ||
		    echo "$option"
	    done)" ''
done <"$TMP/all"

# ---- requests, calls, statuses ----

is 'niks3-api(7) has every route' \
    "$(sed -n 's/^\.It Cm \([A-Z]*\) Pa \(.*\)/\1 \2/p' man/niks3-api.7 | sort)" \
    "$(sed -n 's/^	{ "\([A-Z]*\)", \(V[12] \)\{0,1\}"\([^"]*\)",.*/\1 \2\3/p' \
	bin/niks3-server/routes.c |
	sed 's/ V1 / \/api/; s/ V2 / \/api\/v2/' | sort)"

# fields FILE: the names of all fields in tables of messages.
fields() {
	grep -oE '[FLO]\(S, [A-Za-z0-9_]+, [a-z0-9_]+' "$1" | sed 's/.*, //' |
	    sort -u
}
words man/niks3-api.7 >"$TMP/words"
for file in proto/bodies.h proto/compat.h; do
	is "niks3-api(7) has every field of $file" \
	    "$(fields $file | comm -23 - "$TMP/words")" ''
done
words man/niks3-ipc.7 >"$TMP/words"
is 'niks3-ipc(7) has every field of proto/messages.h' \
    "$(fields proto/messages.h | comm -23 - "$TMP/words")" ''
is 'niks3-ipc(7) has every call' \
    "$(sed -n 's/^\.It Cm \([a-z_]*\) Pq \(0x[0-9a-f]*\)$/\2 \1/p' \
	man/niks3-ipc.7 | sort)" \
    "$(sed -n 's/^	C(\(0x[0-9a-f]*\), \([a-z_]*\),.*/\1 \2/p' \
	proto/messages.h | sort)"
is 'niks3-gc-protocol(7) has every phase' \
    "$(sed -n '/^\.Ss Phases/,/^\.El/s/^\.It Cm //p' man/niks3-gc-protocol.7)" \
    "$(sed -n 's/^P(.*"\(.*\)")/\1/p' proto/gc_phases.def)"
is 'niks3-gc-protocol(7) has every rule' \
    "$(sed -n 's/^\.It Sy \(R[0-9]*\)$/\1/p' man/niks3-gc-protocol.7)" \
    "$(grep -oE '\*\*R[0-9]+' ARCHITECTURE.md | tr -d '*')"
is 'niks3-api(7) has every kind of error and its status' \
    "$(sed -n 's/^\.It Cm \([a-z_]*\) Ta \([0-9]*\) .*/\1 \2/p' \
	man/niks3-api.7 | sort)" \
    "$(sed -n 's/^E(\([A-Z_]*\), *\([0-9]*\),.*/\1 \2/p' proto/errors.def |
	grep -v '^NONE ' | tr A-Z a-z | sort)"
is 'niks3(1) has every exit status' \
    "$(sed -n '/^\.Sh EXIT/,/^\.El/s/^\.It //p' man/niks3.1 | sort -n)" \
    "$(sed -n 's/^E([A-Z_]*, *[0-9]*, *\([0-9]*\),.*/\1/p' proto/errors.def |
	sort -nu)"
tap_done
