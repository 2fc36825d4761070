#!/bin/sh
# Checks the completions of every shell, by that shell.
# completion.sh [BUILD-DIRECTORY]; prints TAP.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/lib/tap.sh
BUILD=$(cd "${1:-build}" && pwd) || exit 1
PATH=$BUILD:$PATH
TMP=$(mktemp -d /tmp/niks3-completion.XXXXXX) || exit 1
trap 'rm -rf "$TMP"' EXIT
mkdir "$TMP/files"
touch "$TMP/files/one.pem" "$TMP/files/two words"

DONE=$BUILD/completions

for program in $(sed -n 's/^PROGRAMS := //p' GNUmakefile); do
	for file in bash/$program zsh/_$program fish/$program.fish; do
		passes "${file%%/*} takes that of $program" \
		    ${file%%/*} -n "$DONE/$file"
	done
done
passes 'niks3 prints its own' sh -c 'niks3 completion bash | cmp - "$1"' sh \
    "$DONE/bash/niks3"
fails 'no other shell' 'bash.zsh.fish' niks3 completion csh

# ---- bash: its words, the last of which is being typed, and what is offered ----

cat >"$TMP/words.bash" <<'BASH'
. "$1/niks3" && . "$1/niks3-migrate" && . "$1/niks3-server" || exit
shift
function=_${1//-/_}
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
$function
printf '%s\n' "${COMPREPLY[@]}"
BASH

# offers WANTED WORD...
offers() {
	local wanted=$1
	shift
	is "bash: $*" "$(cd "$TMP/files" &&
	    bash "$TMP/words.bash" "$DONE/bash" "$@" | LC_ALL=C sort |
	    tr '\n' ' ' |
	    sed 's/ $//')" "$wanted"
}
offers 'pins push' niks3 p
offers 'status' niks3 gc st
offers 'history status' niks3 gc ''
offers '--older-than=' niks3 gc --old
offers '--json' niks3 gc --older-than = 3h --js
offers '' niks3 gc --older-than = ''
offers '' niks3 gc --older-than ''
offers 'history' niks3 gc --older-than 3h hi
offers '--limit= --log-level=' niks3 gc --json history --l
offers 'create delete list' niks3 pins ''
offers 'one.pem two words' niks3 pins create a ''
offers '' niks3 pins delete ''
offers 'delete' niks3 closures d
offers 'one.pem' niks3 push --ca-cert o
offers 'one.pem' niks3 push --ca-cert = o
offers 'one.pem' niks3 push -ca-cert o
offers 'one.pem two words' niks3 push --json ''
offers 'one.pem two words' niks3 push -- ''
offers '' niks3 push -- --js
offers 'warn' niks3 push --log-level = w
offers 'admin gc pin read write' niks3 token create --scope ''
offers 'bash fish zsh' niks3 completion ''
offers 'up' niks3-migrate u
offers 'one.pem' niks3-server --tls-cert o

# ---- zsh and fish: a line, and what becomes of it ----

# lines: "line|what zsh makes of it|what fish offers, parted by blanks".
lines() {
	cat <<-'LINES'
	niks3 clos|niks3 closures |closures
	niks3 gc st|niks3 gc status |status
	niks3 gc --older-than 3h hi|niks3 gc --older-than 3h history |history
	niks3 gc --json history --li|niks3 gc --json history --limit=|--limit
	niks3 gc --older|niks3 gc --older-than=|--older-than
	niks3 pins d|niks3 pins delete |delete
	niks3 push --ca-cert=o|niks3 push --ca-cert=one.pem |--ca-cert=one.pem
	niks3 push --ca-cert o|niks3 push --ca-cert one.pem |one.pem
	niks3 push o|niks3 push one.pem |one.pem
	niks3 token create --scope adm|niks3 token create --scope admin |admin
	niks3 pins delete o|niks3 pins delete o|
	niks3-migrate sta|niks3-migrate status |status
	niks3-uploader --s3-bucket-lookup=d|niks3-uploader --s3-bucket-lookup=dns |--s3-bucket-lookup=dns
	LINES
}
lines >"$TMP/lines"
cut -d'|' -f1 "$TMP/lines" | (cd "$TMP/files" && tr '\n' '\0' |
    xargs -0 zsh -f "$OLDPWD/tests/lib/complete.zsh" "$DONE/zsh") >"$TMP/zsh.got"
exec 3<"$TMP/zsh.got"
while IFS='|' read -r line zsh fish; do
	IFS= read -r got <&3
	is "zsh: $line" "$got" "$zsh"
	is "fish: $line" "$(cd "$TMP/files" && HOME=$TMP fish --no-config -c '
	    for f in $argv[1]/*; source $f; end; complete -C $argv[2]' \
	    "$DONE/fish" "$line" 2>&1 | cut -f1 | tr '\n' ' ' | sed 's/ $//')" \
	    "$fish"
done <"$TMP/lines"
tap_done
