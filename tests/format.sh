#!/bin/sh
# Checks that every C file is formatted as .clang-format says. Prints TAP.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/lib/tap.sh
if ! command -v clang-format-14 >/dev/null; then
	skip 'C is formatted' 'no clang-format-14'
else
	# Tables of X-macros are laid out by hand, in .def files.
	passes 'C is formatted' sh -c 'find libcommon proto bin tests \
	    -name "*.[ch]" -print0 |
	    xargs -0 -r clang-format-14 --dry-run -Werror'
fi
passes 'no line ends in white space' sh -c '! grep -rnE --include="*.[ch]" \
    --include="*.sh" --include="*.sql" "[[:space:]]+\$" \
    libcommon proto bin tests migrations'
passes 'the shell scripts parse' sh -c 'for f in dev .ci/run \
    $(find tests -name "*.sh"); do sh -n "$f" || exit 1; done'
tap_done
