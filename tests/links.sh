#!/bin/sh
# Checks which libraries each program is linked with: what is not there cannot be
# used by who breaks in. links.sh [BUILD-DIRECTORY]; prints TAP.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/lib/tap.sh
BUILD=${1:-build}

# A program, and what it must not have.
while read -r program banned; do
	if [ ! -x "$BUILD/$program" ]; then
		not_ok "$program is built"
		continue
	fi
	needed=$(readelf -d "$BUILD/$program" |
	    sed -n 's/.*(NEEDED).*\[\(lib[^.]*\)\..*/\1/p')
	like "$program is linked with libc" "$needed" '^libc$'
	for lib in $banned; do
		bad=$(printf '%s\n' "$needed" | grep -x "$lib")
		is "$program is not linked with $lib" "$bad" ''
	done
done <<'EOT'
niks3 libnng libpq libmicrohttpd libexpat libcjose libseccomp
niks3-hook libcurl libnng libpq libmicrohttpd libexpat libcjose libseccomp
niks3-server libexpat libsqlite3
niks3-uploader libpq libmicrohttpd libcjose libsqlite3
niks3-signer libpq libcurl libmicrohttpd libexpat libcjose
niks3-gc libcurl libmicrohttpd libexpat libcjose
niks3-migrate libnng libcurl libmicrohttpd libexpat libcjose
EOT
tap_done
