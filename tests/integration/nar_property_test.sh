# Random trees, dumped and listed by us and by Nix. NIKS3_TEST_SEEDS=N for more
# than the usual number of trees.
set -u
ROOT=${ROOT:-$(cd "$(dirname "$0")/../.." && pwd)} || exit 1
LIB=$ROOT/tests/lib
PATH=${BUILD:-$ROOT/build}/tests/tools:$PATH
. "$LIB/tap.sh"
. "$LIB/nix.sh"

TMP=$(mktemp -d /tmp/niks3-nar.XXXXXX) || exit 1
trap 'chmod -R u+w "$TMP"; rm -rf "$TMP"' EXIT
cd "$TMP" || exit 1
nix_store_new "$TMP/nix"

# same_listing OURS THEIRS: but for the order of keys.
same_listing() {
	jq -S .root "$1" >ours.sorted && jq -S . "$2" >theirs.sorted &&
	    cmp ours.sorted theirs.sorted
}

# one_tree SEED: its NAR is the one of Nix; read again in pieces its listing is
# that of the tree, and that of Nix.
one_tree() {
	nar_tool tree "$1" "$1" && nix-store --dump "$1" >nar &&
	    nar_tool dump "$1" | cmp - nar &&
	    nar_tool ls "$1" >ls.tree && nar_tool check "$1" <nar >ls.nar &&
	    cmp ls.tree ls.nar || return 1
	# jq does not go as deep as tree 0.
	if [ "$1" -gt 0 ]; then
		nix nar ls --json -R nar / >ls.nix && same_listing ls.nar ls.nix
	fi
}

seed=0
while [ $seed -lt "${NIKS3_TEST_SEEDS:-16}" ]; do
	passes "tree $seed" one_tree $seed
	seed=$((seed + 1))
done

# A file and a symlink may be the root.
for name in file link; do
	ln -sf "$TMP/nothing" link
	echo text >file
	passes "a $name" sh -c "nix-store --dump $name >nar &&
	    nar_tool dump $name | cmp - nar && nar_tool check <nar"
done

# The whole .ls of a cache, with its version.
listing_of_cache() {
	local path cache="file://$TMP/cache?write-nar-listing=true" base
	path=$(nix store add-path "$TMP/2" --name tree) || return 1
	base=${path##*/}
	nix copy --to "$cache&compression=none" "$path" || return 1
	nar_tool ls "$path" | jq -S . >ours
	jq -S . "cache/${base%%-*}.ls" | cmp - ours
}
passes 'a listing as Nix writes it into a cache' listing_of_cache

nix-store --dump 1 >nar
head -c -8 nar >short
fails 'a NAR that is cut off' 'cut off' nar_tool check <short
tap_done
