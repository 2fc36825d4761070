#!/bin/sh
# sbom.sh PACKAGE: writes what the programs in debian/PACKAGE are linked with, as the
# dynamic linker resolves it here, to usr/share/doc/PACKAGE/sbom.spdx.json in it.
# The licences are those that the Debian packages of the libraries declare.
#
# SPDX 2.3 and not CycloneDX: it is a standard of ISO, says of each link what links
# with what (DYNAMIC_LINK), and can carry the texts of licences that have no
# identifier. debian/sbom.jq writes it; debian/sbom_licence.jq reads licences.
set -eu
package=$1
root=debian/$package
here=$(dirname "$0")
export LC_ALL=C
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# needed FILE: the sonames that it asks for.
needed() {
	readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]$/\1/p'
}

# ---- programs, libraries, and who is linked with what ----

: >"$tmp/sonames"
: >"$tmp/links"
for program in "$root"/usr/bin/*; do
	name=${program##*/}
	sha256sum "$program" | sed "s/ .*/	$name/" >>"$tmp/programs"
	# Without what fakeroot and its like load into everything.
	env -u LD_PRELOAD ldd "$program" >"$tmp/ldd"
	! grep 'not found' "$tmp/ldd" >&2 || exit 1
	awk '$2 == "=>" { print $1 "\t" $3 } $1 ~ "^/" {
	    path = $1; sub(".*/", "", $1); print $1 "\t" path }' "$tmp/ldd" \
	    >>"$tmp/sonames"
	needed "$program" | sed "s|^|$name	|" >>"$tmp/links"
done
sort -u -o "$tmp/sonames" "$tmp/sonames"
while read -r soname path; do
	needed "$path" | sed "s|^|$soname	|"
done <"$tmp/sonames" >>"$tmp/links"

# ---- the packages of the libraries ----

# A library may be known by its place in /lib or in /usr/lib; of the two, dpkg-query
# fails for one.
sed 's|.*	\(/usr\)\{0,1\}\(/.*\)|\2 /usr\2|' "$tmp/sonames" >"$tmp/paths"
xargs dpkg-query -S <"$tmp/paths" >"$tmp/owned" 2>/dev/null || :
awk -F '\t' 'NR == FNR {
	if (split($0, part, ": ") == 2 && sub("[:,].*", "", part[1]))
		owner[part[2]] = part[1]
	next
    }
    { path = $2; sub("^/usr/", "/", path)
	name = path in owner ? owner[path] : owner["/usr" path]
	if (name == "") {
		print $2 " is of no package" >"/dev/stderr"
		bad = 1
	}
	print $1 "\t" name }
    END { exit bad }' "$tmp/owned" "$tmp/sonames" >"$tmp/owners"
cut -f2 "$tmp/owners" | sort -u >"$tmp/names"
xargs dpkg-query -W -f '${Package}\t${Version}\t${source:Package}\t${source:Version}\t${Architecture}\t${Homepage}\n' \
    <"$tmp/names" >"$tmp/libraries"
while read -r owner; do
	file=/usr/share/doc/$owner/copyright
	[ ! -r "$file" ] || jq -Rs --arg package "$owner" \
	    -f "$here/sbom_licence.jq" "$file"
done <"$tmp/names" >"$tmp/licences"

# ---- the document ----

: "${SOURCE_DATE_EPOCH:=$(dpkg-parsechangelog -S Timestamp)}"
. /etc/os-release
jq -n -S --arg package "$package" --arg epoch "$SOURCE_DATE_EPOCH" \
    --arg version "$(dpkg-parsechangelog -S Version)" \
    --arg arch "$(dpkg-architecture -q DEB_HOST_ARCH)" \
    --arg distro "$ID${VERSION_ID:+-$VERSION_ID}" --arg vendor "$ID" \
    --arg supplier "$NAME" \
    --arg digest "$(cat "$tmp/programs" "$tmp/libraries" | sha256sum |
	cut -c 1-32)" \
    --rawfile programs "$tmp/programs" --rawfile links "$tmp/links" \
    --rawfile owners "$tmp/owners" --rawfile libraries "$tmp/libraries" \
    --slurpfile licences "$tmp/licences" \
    -f "$here/sbom.jq" >"$tmp/sbom"
install -m 644 "$tmp/sbom" "$root/usr/share/doc/$package/sbom.spdx.json"
