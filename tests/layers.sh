#!/bin/sh
# Checks by the #include lines that an arrow between layers only points left:
#
#	core <- codec <- proto <- nix <- { ipc, db, local, http <- { s3, oidc } } <- bin
#
# and that each foreign library is known where it belongs and nowhere else.
# The tables proto/*.def hold no code and may be read by all. Prints TAP.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/lib/tap.sh

# What a layer may include besides itself.
layer_may() {
	case $1 in
	core)	;;
	codec)	echo core ;;
	proto)	echo core codec ;;
	nix)	echo core codec proto ;;
	ipc | db | local | http) echo core codec proto nix ;;
	s3 | oidc) echo core codec proto nix http ;;
	bin/*)	echo core codec proto nix ipc db local http s3 oidc ;;
	esac
}

# Foreign headers, and where they are known.
LIBRARIES='seccomp.h core
nng/ ipc
curl/ http
microhttpd.h http
libpq-fe.h db
expat.h s3
sqlite3.h local
zstd.h codec
jansson.h (codec|nix|oidc)
cjose/ oidc
gnutls/ http
msgpack codec
openssl/ (codec|s3)'

# includes DIR: "file: included file", made plain, of all its own headers.
includes() {
	find "$1" -name '*.[ch]' -exec grep -H '^#include "' {} + |
	sed 's/:#include "\([^"]*\)".*/ \1/' |
	while read -r file header; do
		echo "$file: $(realpath -m --relative-to=. \
		    "${file%/*}/$header")"
	done
}

layer_of() {
	case $1 in
	proto/*.def)	echo table ;;
	proto/*)	echo proto ;;
	libcommon/*)	local rest=${1#libcommon/}; echo "${rest%%/*}" ;;
	bin/*)		local name=${1#bin/}; echo "bin/${name%%/*}" ;;
	*)		echo "$1" ;;
	esac
}

for dir in libcommon/core libcommon/codec proto libcommon/nix libcommon/ipc \
    libcommon/db libcommon/local libcommon/http libcommon/s3 libcommon/oidc bin/*; do
	[ -d "$dir" ] || continue
	layer=$(layer_of "$dir/")
	allowed=" table $layer $(layer_may "$layer") "
	bad=$(includes "$dir" | while read -r file header; do
		to=$(layer_of "$header")
		case $allowed in *" $to "*) ;; *) echo "$file $header" ;; esac
	done)
	is "$layer includes only what is left of it" "$bad" ''
done

while read -r header layer; do
	bad=$(grep -rln --include='*.[ch]' "^#include <$header" libcommon proto \
	    bin | grep -vE "^libcommon/$layer/")
	is "only $layer includes <$header...>" "$bad" ''
done <<EOT
$LIBRARIES
EOT
tap_done
