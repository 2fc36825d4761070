#!/bin/sh
# Builds the Debian packages twice, in circumstances that differ in all that should
# not matter, and checks that the same comes out; that each installed file is in one
# package; what they depend on; their maintainer scripts; and their lists of what
# they are linked with (SBOM). The packages are left in BUILD-DIRECTORY/deb.
# deb.sh [BUILD-DIRECTORY]; prints TAP.
set -u
ROOT=$(cd "$(dirname "$0")/.." && pwd) || exit 1
cd "$ROOT" || exit 1
. tests/lib/tap.sh
. tests/lib/deb.sh
BUILD=${1:-build}
TMP=$(mktemp -d /tmp/niks3-deb.XXXXXX) || exit 1
trap 'rm -rf "$TMP"' EXIT
chmod 755 "$TMP"

# ---- the same twice ----

one=$TMP/one two=$TMP/a/place/with/a/longer/name
mkdir -p "$one" "$two" "$TMP/locale"
deb_source "$one/niks3" && (umask 027; deb_source "$two/niks3") || exit 1
find "$two" -exec touch -d '2001-02-03 04:05:06' {} +
localedef -c -i tr_TR -f UTF-8 "$TMP/locale/tr_TR.UTF-8" 2>/dev/null
other=
if [ "$(id -u)" -eq 0 ]; then
	chown -R nobody:nogroup "$TMP/a"
	other='setpriv --reuid=nobody --regid=nogroup --clear-groups'
	ok 'another user builds, too'
else
	skip 'another user builds, too' 'only root can be somebody else'
fi
cat >"$TMP/elsewhere" <<'ELSEWHERE'
umask 027
export ROOT="$1"
. "$1/tests/lib/deb.sh"
deb_build "$2/niks3"
ELSEWHERE
(umask 022; export LC_ALL=C TZ=UTC; deb_build "$one/niks3" >"$TMP/one.log" 2>&1) &
$other env -i PATH="$PATH" HOME=/nonexistent USER=somebody LOCPATH="$TMP/locale" \
    LC_ALL=tr_TR.UTF-8 LANGUAGE=tr TZ=Pacific/Kiritimati MAKEFLAGS=-k \
    faketime -f +400d sh "$TMP/elsewhere" "$ROOT" "$two" >"$TMP/two.log" 2>&1
rc=$?
wait $! && [ $rc -eq 0 ] || {
	not_ok 'the packages are built' "$(tail -n 20 "$TMP/one.log" "$TMP/two.log")"
	tap_done
	exit 1
}
ok 'the packages are built'
is 'they are packages of two names, with symbols for debuggers' \
    "$(cd "$one" && ls -- *.deb | sed 's/_.*//' | sort | tr '\n' ' ')" \
    'niks3 niks3-dbgsym niks3-server niks3-server-dbgsym '
# same DEB DEB: if not, says in what they differ.
same() {
	cmp "$1" "$2" && return
	rm -rf "$TMP/tree1" "$TMP/tree2"
	dpkg-deb -R "$1" "$TMP/tree1" && dpkg-deb -R "$2" "$TMP/tree2"
	diff -r "$TMP/tree1" "$TMP/tree2"
	dpkg-deb -c "$1" >"$TMP/list1" && dpkg-deb -c "$2" >"$TMP/list2"
	diff "$TMP/list1" "$TMP/list2"
	return 1
}
for deb in "$one"/*.deb; do
	name=${deb##*/}
	passes "${name%%_*} is the same, to the byte" same "$deb" "$two/$name"
done
like 'the clock was another one' "$(sed -n 's/^Build-Date: //p' \
    "$two"/*.buildinfo)" "$(date -d '400 days' +%Y)"

mkdir -p "$BUILD/deb"
rm -f "$BUILD"/deb/*.deb
cp "$one"/*.deb "$BUILD/deb/"

# ---- files ----

PACKAGES='niks3 niks3-server'
for package in $PACKAGES; do
	dpkg-deb -R "$one/${package}"_*.deb "$TMP/$package"
done
# What Debian has elsewhere, or compressed.
installed() {
	(cd "$one/niks3/debian/tmp" && find . -type f -o -type l) | sed \
	    's|share/zsh/site-functions/|share/zsh/vendor-completions/|
	    s|^./usr/share/niks3/examples/|./etc/niks3/|
	    s|^./usr/share/man/.*|&.gz|' | sort
}
packed() {
	local package
	for package in $PACKAGES; do
		(cd "$TMP/$package" && find . -path ./DEBIAN -prune -o \
		    -path ./usr/share/doc -prune -o \
		    -path ./usr/share/lintian -prune -o \( -type f -o -type l \) -print)
	done | sort
}
installed >"$TMP/installed"
packed >"$TMP/packed"
is 'what make install brings is in one package each' \
    "$(diff "$TMP/installed" "$TMP/packed")" ''
is 'the configuration is marked so' "$(sort "$TMP/niks3-server/DEBIAN/conffiles")" \
    "$(cd "$TMP/niks3-server" && find etc -type f | sed 's|^|/|' | sort)"
is 'no place of the build is told' \
    "$(grep -rl "$one\|/build/" "$TMP/niks3/usr" "$TMP/niks3-server/usr")" ''

# ---- maintainer scripts ----

for package in $PACKAGES; do
	for script in preinst postinst prerm postrm; do
		file=$TMP/$package/DEBIAN/$script
		[ -e "$file" ] || continue
		passes "$package: sh -n $script" sh -n "$file"
		# Of what debhelper adds, only what is wrong.
		passes "$package: shellcheck $script" \
		    shellcheck -s dash -S warning "$file"
	done
done

# ---- SBOM ----

# What the specification asks for (https://spdx.github.io/spdx-spec/v2.3/): members
# that must be there, their form, and references that lead somewhere.
cat >"$TMP/valid.jq" <<'VALID'
def known: ["MIT", "ISC", "Zlib", "curl", "Apache-2.0", "PostgreSQL", "BSD-2-Clause",
	"BSD-3-Clause", "BSD-4-Clause", "CC0-1.0", "Artistic-1.0", "OLDAP-2.8",
	"MPL-2.0", "bzip2-1.0.6", "X11"];
def licence($refs):
	. == "NOASSERTION" or . == "NONE" or ([scan("[A-Za-z0-9.+-]+")]
	    | map(select(. != "AND" and . != "OR")) | length > 0 and all(. as $l
	    | (known | index($l)) or ($refs | index($l)) or
	    ($l | test("^(L|A)?GPL-[123]\\.[01]-(only|or-later)$"))));
def agent: test("^(Person|Organization|Tool): .") or . == "NOASSERTION";
def must($what): if . then empty else $what end;
. as $d
| ([.SPDXID] + [.packages[].SPDXID]) as $ids
| ([.hasExtractedLicensingInfos[].licenseId]) as $refs
| (.spdxVersion == "SPDX-2.3" | must("spdxVersion")),
(.dataLicense == "CC0-1.0" | must("dataLicense")),
(.SPDXID == "SPDXRef-DOCUMENT" | must("SPDXID")),
(.name | type == "string" and . != "" | must("name")),
(.documentNamespace | test("^https://[^#]+$") | must("documentNamespace")),
(.creationInfo.created | test("^[0-9]{4}(-[0-9]{2}){2}T([0-9]{2}:){2}[0-9]{2}Z$")
    | must("created")),
(.creationInfo.creators | length > 0 and all(agent) | must("creators")),
(($ids | length) == ($ids | unique | length) | must("identifiers: unique")),
($ids[] | test("^SPDXRef-[A-Za-z0-9.-]+$") | must("identifiers: form")),
(.packages[] | . as $p
    | ((.name | type == "string" and . != "") | must("package: name")),
    (.downloadLocation == "NOASSERTION" | must("\($p.name): downloadLocation")),
    # It says nothing of single files, so it needs no verification code.
    (.filesAnalyzed == false | must("\($p.name): filesAnalyzed")),
    (.versionInfo | type == "string" and . != "" | must("\($p.name): versionInfo")),
    (.supplier | agent | must("\($p.name): supplier")),
    (.licenseDeclared | licence($refs)
	| must("\($p.name): licenseDeclared: \($p.licenseDeclared)")),
    (.licenseConcluded | licence($refs) | must("\($p.name): licenseConcluded")),
    (.copyrightText | type == "string" | must("\($p.name): copyrightText")),
    (.primaryPackagePurpose | IN("APPLICATION", "INSTALL", "LIBRARY")
	| must("\($p.name): primaryPackagePurpose")),
    (.checksums[]? | .algorithm == "SHA256" and (.checksumValue | test("^[0-9a-f]{64}$"))
	| must("\($p.name): checksums")),
    (.externalRefs[]? | .referenceCategory == "PACKAGE-MANAGER" and
	.referenceType == "purl" and
	(.referenceLocator | test("^pkg:deb/[a-z]+/[a-z0-9.%+-]+@[^@+?]+\\?arch="))
	| must("\($p.name): externalRefs"))),
(.hasExtractedLicensingInfos[] | (.licenseId | test("^LicenseRef-[A-Za-z0-9.-]+$"))
    and (.extractedText | length > 0) | must("hasExtractedLicensingInfos")),
([.relationships[] | select(.relationshipType == "DESCRIBES"
    and .spdxElementId == "SPDXRef-DOCUMENT")] | length == 1 | must("DESCRIBES")),
(.relationships[] | (.relationshipType | IN("DESCRIBES", "CONTAINS", "DYNAMIC_LINK"))
    and (.spdxElementId | IN($ids[])) and (.relatedSpdxElement | IN($ids[]))
    | must("relationships")),
# Nothing is there that nothing leads to.
($ids[1:][] as $id | any($d.relationships[]; .relatedSpdxElement == $id)
    | must("\($id): no relationship"))
VALID
valid() {
	jq -r -f "$TMP/valid.jq" "$1"
}
# direct PROGRAM SBOM: the packages of the libraries that it is linked with.
direct() {
	jq -r --arg program "SPDXRef-Program-$1" '(.packages | map({ key: .SPDXID,
	    value: .name }) | from_entries) as $name | .relationships[]
	    | select(.spdxElementId == $program) | $name[.relatedSpdxElement]' "$2" |
	    sort -u
}
needed() {
	readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]$/\1/p'
}
for package in $PACKAGES; do
	sbom=$TMP/$package/usr/share/doc/$package/sbom.spdx.json
	is "$package: a valid SBOM" "$(valid "$sbom" 2>&1)" ''
	is '... of its programs, as they are' "$(jq -r '.packages[]
	    | select(.primaryPackagePurpose == "APPLICATION")
	    | .checksums[0].checksumValue + "  " + .packageFileName' "$sbom" |
	    sort)" "$(cd "$TMP/$package" && sha256sum usr/bin/* | sort)"
	for program in "$TMP/$package"/usr/bin/*; do
		name=${program##*/}
		direct "$name" "$sbom" >"$TMP/direct.$name"
		is "... and of all that $name is linked with" \
		    "$(cat "$TMP/direct.$name")" "$(needed "$program" |
		    while read -r soname; do
			dpkg-query -S "*-linux-gnu*/$soname"
		    done | sed 's/[:,].*//' | sort -u)"
	done
	is "$package depends on that and no more" "$(dpkg-deb -f \
	    "$one/${package}"_*.deb Depends | tr ',|' '\n\n' |
	    sed 's/(.*//; s/ //g' | grep -v '^niks3$\|^systemd' | sort)" \
	    "$(cd "$TMP/$package/usr/bin" && for program in *; do
		cat "$TMP/direct.$program"; done | sort -u)"
done
for member in .spdxVersion .packages[0].versionInfo .packages[0].licenseDeclared \
    .relationships[0] .creationInfo.created; do
	jq "del($member)" "$sbom" >"$TMP/broken"
	like "one without $member is not valid" "$(valid "$TMP/broken" 2>&1)" .
done
tap_done
