# Debian packages of this checkout. They are built in a copy of what git knows, so
# that nothing else gets in, and named by the last commit, whose time is theirs.

# deb_version: 0.1.0~git20261129175412.ecfece9, which a release comes after.
deb_version() {
	local commit
	commit=$(TZ=UTC git -C "$ROOT" log -1 --abbrev=12 \
	    --date=format-local:%Y%m%d%H%M%S --format=%cd.%h) || {
		echo 'this is no checkout of git; there, dpkg-buildpackage -b' >&2
		return 1
	}
	printf '%s~git%s%s\n' "$(sed -n 's/^#define NIKS3_VERSION "\(.*\)"/\1/p' \
	    "$ROOT/libcommon/core/opt.h")" "$commit" \
	    "$([ -z "$(git -C "$ROOT" status --porcelain -uno)" ] || echo .dirty)"
}

# deb_source DIR: a copy of the sources, whose changelog has that version and time.
deb_source() {
	local version
	version=$(deb_version) || return 1
	mkdir -p "$1" &&
	    (cd "$ROOT" && git ls-files -z |
	    xargs -0 sh -c 'for f; do [ ! -e "$f" ] || printf "%s\0" "$f"; done' sh |
	    tar -c --null -T -) | tar -x -C "$1" &&
	    sed -i "1s/(.*)/($version)/; s/^ -- \(.*>\)  .*/ -- \1  $(LC_ALL=C \
	    git -C "$ROOT" log -1 --format=%cD)/" "$1/debian/changelog"
}

# deb_build DIR: builds what deb_source put there; the packages come beside DIR.
# The unit tests are left to ./dev check.
deb_build() {
	(cd "$1" && unset MAKEFLAGS MAKELEVEL DEVELOPER SAN DEBUG BUILD &&
	    DEB_BUILD_OPTIONS="nocheck parallel=$(nproc)" \
	    dpkg-buildpackage -b -us -uc)
}

# deb_make DIR: builds packages into DIR; what goes wrong is in DIR/build.log.
deb_make() {
	local work rc=0
	work=$(mktemp -d) && mkdir -p "$1" && deb_source "$work/niks3" || return 1
	if deb_build "$work/niks3" >"$1/build.log" 2>&1; then
		rm -f "$1"/*.deb "$1"/*.buildinfo "$1"/*.changes
		mv "$work"/*.deb "$work"/*.buildinfo "$work"/*.changes "$1" || rc=1
	else
		tail -n 20 "$1/build.log" >&2
		echo "the packages were not built; $1/build.log has it all" >&2
		rc=1
	fi
	rm -rf "$work"
	return $rc
}

# deb_fresh DIR: the packages there are newer than all that they are built of.
deb_fresh() {
	local oldest
	oldest=$(ls -tr "$1"/niks3*_"$(deb_version)"_*.deb 2>/dev/null | head -n 1)
	[ -n "$oldest" ] && (cd "$ROOT" && git ls-files -z |
	    xargs -0 sh -c 'find "$@" -newer "$0" -print 2>/dev/null' "$oldest") |
	    { ! grep -q .; }
}
