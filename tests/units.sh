#!/bin/sh
# Installs into a directory and checks what is there: every file of the list, the
# units as systemd reads them and how much they leave open, and the examples of the
# configuration. units.sh [BUILD-DIRECTORY]; prints TAP.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/lib/tap.sh
BUILD=${1:-build}
TMP=$(mktemp -d) || exit 1
trap 'rm -rf "$TMP"' EXIT
root=$TMP/root prefix=/usr/local

make_to() {
	set -- "$@" DESTDIR="$root"
	[ "$BUILD" = build ] || [ "$BUILD" = "$PWD/build" ] ||
	    set -- "$@" BUILD="$BUILD"
	make "$@"
}
installed() {
	find "$root" -type f | sed "s|^$root$prefix/||" | LC_ALL=C sort
}

# ---- the tree ----

passes 'make install' make_to install
programs=$(sed -n 's/^PROGRAMS := //p' GNUmakefile)
{
	for program in $programs; do
		echo "bin/$program"
	done
	for unit in systemd/*.*; do
		[ ! -f "$unit" ] || echo "lib/systemd/system/${unit##*/}"
	done
	echo lib/sysusers.d/niks3.conf
	echo lib/tmpfiles.d/niks3.conf
	for file in systemd/config/*.conf; do
		echo "share/niks3/examples/${file##*/}"
	done
	for file in migrations/*.sql; do
		echo "share/niks3/$file"
	done
	echo share/niks3/grafana/niks3.json
	echo share/niks3/prometheus/niks3.rules.yml
	for file in man/*.[1-9]; do
		[ ! -f "$file" ] || echo "share/man/man${file##*.}/${file##*/}"
	done
	for file in "$BUILD"/completions/bash/*; do
		[ ! -f "$file" ] ||
		    echo "share/bash-completion/completions/${file##*/}"
	done
	for file in "$BUILD"/completions/zsh/*; do
		[ ! -f "$file" ] || echo "share/zsh/site-functions/${file##*/}"
	done
	for file in "$BUILD"/completions/fish/*; do
		[ ! -f "$file" ] ||
		    echo "share/fish/vendor_completions.d/${file##*/}"
	done
} | LC_ALL=C sort >"$TMP/wanted"
is 'it installs what there is' "$(installed)" "$(cat "$TMP/wanted")"
is 'programs can be run by all' "$(cd "$root$prefix/bin" &&
    stat -c %a -- * | sort -u)" 755
is 'other files can be read by all' "$(find "$root$prefix/lib" \
    "$root$prefix/share" -type f ! -perm 644)" ''
is 'no place is left open in the units' \
    "$(grep -r '@[A-Z]*@' "$root$prefix/lib")" ''
is 'niks3-migrate knows where the migrations are' "$(
    "$root$prefix/bin/niks3-migrate" --print-config --db x up |
    sed -n 's/^migrations-dir=//p')" "$prefix/share/niks3/migrations"
printf '#!/bin/sh\nsleep 10\n' >"$root$prefix/bin/niks3-signer"
"$root$prefix/bin/niks3-signer" &
passes 'it installs over what runs' make_to install
kill $!

# ---- units ----

units=$root$prefix/lib/systemd/system
sed -i "s|$prefix/bin/|$root$prefix/bin/|" "$units"/*
# It only warns of what it does not know.
verify() {
	SYSTEMD_UNIT_PATH="$units:" systemd-analyze verify --man=no "$@" 2>&1
}
is 'systemd-analyze verify has nothing to say' "$(verify "$units"/*)" ''
echo '[Servise]' >>"$units/niks3-signer.service"
like '... but of a mistake' "$(verify "$units/niks3-signer.service")" \
    'Unknown section'
sed -i '$d' "$units/niks3-signer.service"
for unit in "$units"/*.service; do
	name=${unit##*/} most=25
	[ "$name" != niks3-signer.service ] || most=15
	passes "$name: an exposure of at most $((most / 10)).$((most % 10))" \
	    systemd-analyze security --offline=true --no-pager \
	    --threshold=$most "$unit"
done
for unit in "$units"/*.service; do
	like "${unit##*/} tells where its manual is" "$(cat "$unit")" \
	    '^Documentation=man:niks3'
done

# ---- users ----

mkdir -p "$root/etc"
passes 'systemd-sysusers' systemd-sysusers --root="$root" \
    "$root$prefix/lib/sysusers.d/niks3.conf"
is '... makes every user of the units' "$(sed -n 's/^User=//p' "$units"/* |
    sort -u)" "$(cut -d: -f1 "$root/etc/passwd" | sort)"
is '... and their group' "$(grep -c '^niks3:' "$root/etc/group")" 1

# ---- examples ----

# Each variable in an example, commented or not, is one of that program's, or of
# the unit that reads it.
for file in systemd/config/*.conf; do
	name=${file##*/} name=${name%.conf}
	"$BUILD/niks3-$name" --completion=list | cut -f3 >"$TMP/known"
	cat "$units"/niks3-$name*.service >"$TMP/units"
	unknown=$(sed -n 's/^#\{0,1\}\(NIKS3_[A-Z0-9_]*\)=.*/\1/p' "$file" |
	    while read -r variable; do
		grep -qx "$variable" "$TMP/known" ||
		    grep -q "Environment=\"\{0,1\}$variable=" "$TMP/units" ||
		    echo "$variable"
	    done)
	is "$name.conf has no variable that nobody knows" "$unknown" ''
done

passes 'make uninstall' make_to uninstall
is '... leaves nothing' "$(find "$root$prefix" -type f)" ''
tap_done
