# What closures share is in the bucket once, and stays as long as one of them
# needs it. What the garbage collection says it did is what it did.
. "$(dirname "$0")/lib.sh"
stack_start

hash_of() {
	set -- "${1##*/}"
	echo "${1%%-*}"
}

# keys_of PATH...: the keys that these paths have in the bucket, themselves, by
# what Nix knows: narinfo, listing, NAR, and the log if there is one.
keys_of() {
	local path drv
	for path in "$@"; do
		echo "$(hash_of "$path").narinfo"
		echo "$(hash_of "$path").ls"
		bucket_text "$(hash_of "$path").narinfo" |
		    sed -n 's/^URL: //p'
		nix log "$path" >/dev/null 2>&1 || continue
		drv=$(nix-store -qd "$path")
		echo "log/${drv##*/}"
	done | LC_ALL=C sort -u
}

keys() {
	bucket_ls | sed 's/^[0-9]* //' | LC_ALL=C sort
}

# only_in FILE OTHER: lines of the first that the second does not have.
only_in() {
	LC_ALL=C comm -23 "$1" "$2"
}

# When each object was written.
written() {
	s3 "$STACK_NAME?list-type=2" | sed 's/<Contents>/\n&/g' | sed -n \
	    's:^<Contents><Key>\([^<]*\)<.*<LastModified>\([^<]*\)<.*:\1 \2:p' |
	    LC_ALL=C sort
}

pushed() { # PATH...: what --json says
	niks3 push --json "$@" 2>"$TMP/push.log" ||
	    { cat "$TMP/push.log" >&2; return 1; }
}

# gc OPTION...: its last line, without the program's name and the sentence.
gc() {
	niks3 gc "$@" >"$TMP/gc.log" 2>&1 || { cat "$TMP/gc.log"; return 1; }
	sed -n 's/.*completed successfully //p' "$TMP/gc.log"
}

# figures UPLOADS CLOSURES MARKED DELETED: as gc says it.
figures() {
	echo "failed-uploads-deleted=$1 old-closures-deleted=$2" \
	    "objects-marked-for-deletion=$3" \
	    "objects-deleted-after-grace-period=$4 objects-failed-to-delete=0"
}

# whole PATH: a new reader gets all of it.
whole() {
	local dir
	dir=$(mktemp -d "$TMP/reader.XXXXXX")
	reader_new "$dir" "$NIKS3_PUBLIC_KEY"
	reader_copy "$dir" "$NIKS3_CACHE_URL" "$1" && reader_diff "$dir" "$1"
}

# older PATH...: these were pushed ten days ago.
older() {
	local path
	for path in "$@"; do
		db_query "update closures set updated_at = updated_at
		    - interval '10 days' where store_path = '$path'"
	done
}

force='--pending-older-than=0s --force'

# ---- the second of two closures sends only what is new ----

app=$(nix_build app) other=$(nix_build other) shared=$(nix_build shared)
chain=$(nix_build chain --arg chainLength 3)
is 'the first closure sends three NARs, listings and logs' \
    "$(pushed "$app" | jq -c '[.paths, .uploaded_paths, .objects]')" '[3,3,9]'
keys >"$TMP/before"
written >"$TMP/written.before"
is 'the second, with one path more, one of each' \
    "$(pushed "$other" | jq -c '[.paths, .uploaded_paths, .objects]')" '[4,1,3]'
keys >"$TMP/after"
written >"$TMP/written.after"
is 'just these came into the bucket' "$(only_in "$TMP/after" "$TMP/before")" \
    "$(keys_of "$other")"
is 'what was there is not written again' \
    "$(only_in "$TMP/written.before" "$TMP/written.after")" ''
is 'a closure within one that is there sends nothing' \
    "$(pushed "$shared" | jq -c '[.paths, .uploaded_paths, .objects]')" '[1,0,0]'
passes 'the bucket is what the database says' bucket_recount

# ---- one of two closures goes ----

pushed "$chain" >/dev/null
keys >"$TMP/before"
gone=$(keys_of $(nix-store -qR "$chain" | grep -vxF "$shared"))
passes 'a pin' niks3 pins create keep "$other"
is 'gc of all but the pinned counts what it deletes' \
    "$(gc --older-than=0s $force)" \
    "$(figures 0 3 $(echo "$gone" | wc -l) $(echo "$gone" | wc -l))"
keys | grep -v '^pins/' >"$TMP/after"
is '... and deletes just that' "$(only_in "$TMP/before" "$TMP/after")" "$gone"
passes 'the bucket is what the database says' bucket_recount
passes 'every narinfo finds all it refers to' bucket_closed
passes 'the pinned closure comes back whole' whole "$other"
is 'a second gc finds nothing' "$(gc --older-than=0s $force)" \
    "$(figures 0 0 0 0)"

# ---- by age; what is pushed again is young again ----

pushed "$chain" >/dev/null
pushed "$app" >/dev/null
niks3 pins delete keep 2>"$TMP/pins.log"
older "$other" "$chain" "$app"
is 'a push of what is there' \
    "$(pushed "$chain" | jq -c '[.cached_roots, .requests]')" '[1,1]'
n=$(keys_of $(nix-store -qR "$other" | grep -vxF "$shared") | wc -l)
is 'gc by age takes what nobody pushed since' "$(gc --older-than=5d $force)" \
    "$(figures 0 2 "$n" "$n")"
passes 'the bucket is what the database says' bucket_recount
passes 'what was pushed again comes back whole' whole "$chain"

# ---- the grace ----

older "$chain"
n=$(keys_of $(nix-store -qR "$chain") | wc -l)
is 'without --force gc only marks' \
    "$(gc --older-than=5d --pending-older-than=1h)" "$(figures 0 1 "$n" 0)"
passes 'in its grace the closure still comes back whole' whole "$chain"
is 'a push revives it and sends nothing' \
    "$(pushed "$chain" | jq -c '[.uploaded_paths, .objects]')" '[0,0]'
is 'what was revived is not deleted' \
    "$(gc --older-than=5d --pending-older-than=0s)" "$(figures 0 0 0 0)"
passes 'the revived closure comes back whole' whole "$chain"
older "$chain"
gc --older-than=5d --pending-older-than=1h >/dev/null
db_query "update tombstones set first_at = first_at - interval '2 hours'"
is 'after the grace gc deletes' \
    "$(gc --older-than=5d --pending-older-than=1h)" "$(figures 0 0 0 "$n")"
is 'and nothing is left' "$(keys)" nix-cache-info
passes 'the bucket is what the database says' bucket_recount

# ---- two paths of equal content ----

mkdir "$TMP/tree"
seq 1 10000 >"$TMP/tree/file"
one=$(nix store add-path --name one "$TMP/tree")
two=$(nix store add-path --name two "$TMP/tree")
is 'the first of two equal paths sends NAR and listing' \
    "$(pushed "$one" | jq .objects)" 2
is 'the second only its listing' "$(pushed "$two" | jq .objects)" 1
is 'there is one NAR' "$(keys | grep -c '^nar/')" 1
is 'both narinfos name it' "$(keys_of "$one" "$two" | grep -c '^nar/')" 1
is 'both listings are the same, with offsets' \
    "$(bucket_text "$(hash_of "$one").ls" | jq .root.entries.file.narOffset)" \
    "$(bucket_text "$(hash_of "$two").ls" | jq .root.entries.file.narOffset)"
passes 'the first comes back' whole "$one"
older "$one"
is 'the first goes alone' "$(gc --older-than=5d $force)" \
    "$(figures 0 1 2 2)"
is 'the NAR stays' "$(keys | grep -c '^nar/')" 1
passes 'the second comes back' whole "$two"
passes 'the bucket is what the database says' bucket_recount
is 'both in one push, one of them new' \
    "$(pushed "$one" "$two" | jq -c '[.cached_roots, .objects]')" '[1,1]'
older "$one" "$two"
is 'with the last of them the NAR goes' "$(gc --older-than=5d $force)" \
    "$(figures 0 2 5 5)"
is 'nothing is left' "$(keys)" nix-cache-info
is 'both at once share a NAR too' "$(pushed "$one" "$two" | jq .objects)" 3

# ---- an upload that nobody goes on with ----

STACK_LEASE=1s
stack_restart server
begin() {
	jq -n --arg dir "$NIX_STORE_DIR" --arg path "$1" \
	    '{store_dir: $dir, roots: [0], paths: [{path: $path, nar_hash:
	    "sha256:0000000000000000000000000000000000000000000000000000",
	    nar_size: 120}]}' |
	    curl -sS -o "$TMP/begun" -w '%{http_code}' -K "$STACK/token.curl" \
		-H 'Content-Type: application/json' -d @- \
		"$NIKS3_SERVER_URL/api/v2/uploads"
}
abandoned=00000000000000000000000000000000-abandoned
is 'an upload begins' "$(begin $abandoned)" 201
is 'gc leaves it its lease' "$(gc --older-than=5d --pending-older-than=1h)" \
    "$(figures 0 0 0 0)"
sleep 1.1
is 'after its lease gc ends it' "$(gc --older-than=5d --pending-older-than=0s)" \
    "$(figures 1 0 0 0)"
is 'and no row of it is left' \
    "$(db_query "select count(*) from objects where key like
	'$(hash_of $abandoned).%'")" 0
passes 'the bucket is what the database says' bucket_recount
tap_done
