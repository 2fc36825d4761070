# A closure of every kind of path goes into the cache by niks3 and comes out of
# it by nix: the same files, the same facts, and only by our key.
. "$(dirname "$0")/lib.sh"
stack_start
everything=$(nix_build everything) || exit 1
app=$(nix_build app) odd=$(nix_build odd) many=$(nix_build many)
big=$(nix_build big) addressed=$(nix_build addressed)
url=$NIKS3_CACHE_URL

# That the fixture holds what this test is about.
has_every_kind() {
	[ "$(nix path-info -S "$big" | awk '{ print $2 }')" -gt 200000000 ] &&
	    [ "$(find "$many" -type f | wc -l)" -eq 5000 ] &&
	    [ -n "$(find "$odd" -type f -perm /111)" ] &&
	    [ -n "$(find "$odd" -type l)" ] &&
	    [ -n "$(find "$odd" -type d -empty)" ] &&
	    [ -n "$(find "$odd" -name '*☃')" ] &&
	    nix-store -qR "$everything" >"$TMP/paths" &&
	    for path in "$app" "$odd" "$many" "$big" "$addressed"; do
		grep -qxF "$path" "$TMP/paths" || return 1
	    done &&
	    [ -n "$(xargs -I {} find {} -maxdepth 0 -type l <"$TMP/paths")" ] &&
	    [ -n "$(xargs -I {} find {} -maxdepth 0 -type f <"$TMP/paths")" ]
}
passes 'the closure has paths of every kind' has_every_kind
passes 'niks3 push' niks3 push "$everything"
passes 'the bucket is what the database says' bucket_recount
passes 'every narinfo finds all it refers to' bucket_closed

# ---- nix copy ----

reader_new "$TMP/reader" "$NIKS3_PUBLIC_KEY"
passes 'nix copies the closure into an empty store, trusting our key alone' \
    reader_copy "$TMP/reader" "$url" "$everything"
passes 'diff -r and path-info find no difference' \
    reader_diff "$TMP/reader" "$everything"
passes 'the store that nix made is sound' reader_nix "$TMP/reader" store \
    verify --store "$(reader_store "$TMP/reader")" -r "$everything"

nix_key "$TMP" somebody-else-1 >"$TMP/other.pub"
reader_new "$TMP/stranger" "$(cat "$TMP/other.pub")"
fails 'who trusts another key is refused' 'lacks a valid signature' \
    reader_copy "$TMP/stranger" "$url" "$app"
passes '... and gets nothing of it' \
    test ! -e "$(reader_path "$TMP/stranger" "$app")"

# The cache's own answers, not those of the store that was filled from it.
facts_of_cache() {
	reader_nix "$TMP/reader" path-info --store "$url" --json -r \
	    "$everything" >"$TMP/info" &&
	    nix path-info --json -r "$everything" | nix_facts >"$TMP/ours" &&
	    nix_facts <"$TMP/info" | diff "$TMP/ours" -
}
passes 'nix path-info --json of the cache is that of the store' facts_of_cache

# ---- what the narinfos and the listings say of the NARs ----

narinfo_field() {
	sed -n "s/^$1: //p" "$TMP/narinfo"
}

# one_nar PATH: the object that its narinfo names has the hash and the size that
# it says, and the listing, with its offsets, is the one that nix makes of it.
one_nar() {
	local hash=${1##*/}
	hash=${hash%%-*}
	bucket_text "$hash.narinfo" >"$TMP/narinfo" &&
	    s3_get "$STACK_NAME" "$(narinfo_field URL)" >"$TMP/stored" &&
	    [ "$(stat -c %s "$TMP/stored")" = "$(narinfo_field FileSize)" ] &&
	    [ "sha256:$(nix hash file --base32 --type sha256 "$TMP/stored")" = \
		"$(narinfo_field FileHash)" ] || { echo "$1: NAR"; return 1; }
	zstd -dcq <"$TMP/stored" >"$TMP/nar" &&
	    nix nar ls --json -R "$TMP/nar" / | jq -S . >"$TMP/ls.nix" &&
	    bucket_text "$hash.ls" | jq -S .root | cmp - "$TMP/ls.nix" ||
	    { echo "$1: listing"; return 1; }
}
all_nars() {
	local path bad=0
	while read -r path; do
		one_nar "$path" || bad=1
	done <"$TMP/paths"
	return $bad
}
passes 'FileHash, FileSize and listing of every path are those of its NAR' \
    all_nars

# nix reads a listing where it has the NAR in its local cache of NARs. So it gets
# ours there, without the version around it, and NARs that are none: whatever
# looks into one fails.
mkdir "$TMP/listed"
while read -r path; do
	hash=${path##*/}
	hash=${hash%%-*}
	bucket_text "$hash.ls" | jq .root >"$TMP/listed/$hash.ls"
	echo 'no NAR' >"$TMP/listed/$hash.nar"
done <"$TMP/paths"

nix_ls() {
	reader_nix "$TMP/reader" store ls --json -R \
	    --store "$url?local-nar-cache=$TMP/listed" "$1"
}
without_offsets() {
	jq -S 'walk(if type == "object" then del(.narOffset) else . end)'
}
listed() {
	nix_ls "$1" | without_offsets >"$TMP/ls.ours" &&
	    nix store ls --json -R "$1" | jq -S . | diff - "$TMP/ls.ours"
}
passes 'nix store ls of odd names, from the listing alone' listed "$odd"
passes 'nix store ls of 5,000 files, from the listing alone' listed "$many"
passes 'nix store ls of the whole NAR' sh -c "nix store ls -lR '$app' >'$TMP/l'
    nix store ls -lR --store '$url' '$app' | diff '$TMP/l' -"

# With the NAR in place nix takes a file out of it at the offset that we said.
hash=${odd##*/}
nix-store --dump "$odd" >"$TMP/listed/${hash%%-*}.nar"
(cd "$odd" && find . -type f ! -name '*
*') >"$TMP/files"
cat_all() {
	local name
	[ "$(wc -l <"$TMP/files")" -gt 5 ] || return 1
	while read -r name; do
		reader_nix "$TMP/reader" store cat \
		    --store "$url?local-nar-cache=$TMP/listed" \
		    "$odd/${name#./}" | cmp - "$odd/$name" || return 1
	done <"$TMP/files"
}
passes 'nix store cat at the offsets of the listing' cat_all
rm "$TMP/listed/${hash%%-*}.ls"
echo 'no NAR' >"$TMP/listed/${hash%%-*}.nar"
fails '... and without a listing it would have had to read the NAR' \
    'end of string|archive' nix_ls "$odd"

# ---- build logs ----

logs_equal() {
	local path n=0
	while read -r path; do
		nix log "$path" >"$TMP/log.ours" 2>/dev/null || continue
		n=$((n + 1))
		reader_nix "$TMP/reader" log --store "$url" "$path" |
		    cmp - "$TMP/log.ours" || { echo "$path"; return 1; }
	done <"$TMP/paths"
	echo "$n logs"
	[ $n -gt 0 ]
}
passes 'nix log --store shows each build log' logs_equal
like 'nix log by a substituter does, too' "$(reader_nix "$TMP/reader" log \
    --store "$(reader_store "$TMP/reader")" --option substituters "$url" \
    "$app" 2>&1)" 'this goes to the log'

# ---- realisations ----

# addressed_get READER SUBSTITUTER: what a reader gets who asks for the
# derivation and must not build anything himself.
addressed_get() {
	reader_new "$1" "$NIKS3_PUBLIC_KEY"
	reader_nix "$1" build --no-link --max-jobs 0 \
	    --store "$(reader_store "$1")" --option substituters "$2" \
	    -f "$LIB/fixture.nix" addressedUser
}
user=$(nix_build addressedUser)
passes 'nix substitutes a content-addressed derivation by its realisation' \
    addressed_get "$TMP/addressed" "$url"
passes '... and has the whole closure of its output' \
    reader_diff "$TMP/addressed" "$user"
passes '... without building' \
    sh -c "! find '$TMP/addressed' -path '*/log/*' -name '*.drv*' | grep ."
fails '... which no other cache would have given' 'unable to start' \
    addressed_get "$TMP/nobody" "file://$TMP/nothing"
tap_done
