# A newer Nix than Debian 12 has, out of the packages of a later Debian: unpacked
# in a directory of its own and run with the libraries that came with it. Nothing
# is installed, and apt's own lists stay as they are.

# newer_nix DIR SUITE: prints the directory of its programs, for PATH. Fails, with
# the reason on standard output, where it cannot be had.
newer_nix() {
	local dir=$1 suite=$2 apt=$1/apt mirror deb name
	mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$dir/bin"
	mirror=$(apt-get indextargets --format '$(REPO_URI)' \
	    'Created-By: Packages' 'Codename: bookworm' 2>/dev/null |
	    head -n 1)
	[ -n "$mirror" ] || { echo 'apt knows no mirror of Debian 12'; return 1; }
	: >"$apt/status"
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] \
$mirror $suite main" >"$apt/sources.list"
	{ newer_apt "$apt" update && newer_apt "$apt" install -y \
	    --no-install-recommends --download-only nix-bin; } \
	    >"$dir/apt.log" 2>&1 || {
		echo "the packages of $suite cannot be had: $(tail -n 1 \
		    "$dir/apt.log")"
		return 1
	}
	for deb in "$apt"/cache/archives/*.deb; do
		dpkg-deb -x "$deb" "$dir" || return 1
	done
	rm -rf "$apt"
	for name in nix nix-build nix-store; do
		cat >"$dir/bin/$name" <<-PROGRAM
		#!/bin/sh
		exec "$dir/usr/lib64/ld-linux-x86-64.so.2" --argv0 $name \
		    --library-path "$dir/usr/lib/nix:$dir/usr/lib/x86_64-linux-gnu:$dir/usr/lib" \
		    "$dir/usr/bin/nix" "\$@"
		PROGRAM
		chmod +x "$dir/bin/$name"
	done
	"$dir/bin/nix" --version >"$dir/version" 2>&1 ||
	    { echo "the nix of $suite does not run here"; return 1; }
	echo "$dir/bin"
}

# With lists, cache and state of packages in a directory, as if nothing were
# installed.
newer_apt() {
	local dir=$1
	shift
	timeout -k 5 240 apt-get -q -o Dir::Etc::sourcelist="$dir/sources.list" \
	    -o Dir::Etc::sourceparts=/dev/null \
	    -o Dir::Etc::preferencesparts=/dev/null \
	    -o Dir::State::lists="$dir/lists" -o Dir::Cache="$dir/cache" \
	    -o Dir::State::status="$dir/status" -o Dir::Cache::pkgcache= \
	    -o Dir::Cache::srcpkgcache= -o APT::Default-Release= \
	    -o Debug::NoLocking=1 -o APT::Sandbox::User= "$@"
}
