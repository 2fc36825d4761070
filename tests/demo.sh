#!/bin/sh
# ./dev demo: the way of two closures through niks3, in plain words and figures.
# Everything is real, and gone at the end.
ROOT=$(cd "$(dirname "$0")/.." && pwd -P) || exit 1
export ROOT
begun=$(date +%s.%N)
. "$ROOT/tests/integration/lib.sh"
TAP_DONE=1

say() {
	printf '\n%s\n' "$*"
}

# fact FORMAT ARGUMENT...: one indented line of figures.
fact() {
	local format=$1
	shift
	printf "  $format\n" "$@"
}

# timed COMMAND...: its output goes to $TMP/out; $SECONDS_TAKEN to the figures.
timed() {
	local from rc=0
	from=$(date +%s.%N)
	"$@" >"$TMP/out" 2>&1 || rc=$?
	SECONDS_TAKEN=$(since "$from")
	[ $rc -eq 0 ] || { cat "$TMP/out" >&2; die "$* (exit $rc)"; }
}

since() {
	echo "$1 $(date +%s.%N)" | awk '{ printf "%.2f", $2 - $1 }'
}

# megabytes: sums the first column.
megabytes() {
	awk '{ n += $1 } END { printf "%.1f", n / 1e6 }'
}

# Bytes of all files below the paths on standard input.
tree_megabytes() {
	xargs -r du -sb | megabytes
}

files_in() {
	xargs -I {} find {} ! -type d | wc -l
}

# show_bucket WHEN: what lies there, by kind.
show_bucket() {
	bucket_ls >"$TMP/bucket"
	fact '%s the bucket holds %d objects, %s MB: %d narinfos, %d NARs, %d' \
	    "$1" "$(wc -l <"$TMP/bucket")" "$(megabytes <"$TMP/bucket")" \
	    "$(grep -c '\.narinfo$' "$TMP/bucket")" \
	    "$(grep -c ' nar/' "$TMP/bucket")" \
	    "$(grep -c '\.ls$' "$TMP/bucket")"
	fact 'listings, %d build logs, %d realisations, and nix-cache-info.' \
	    "$(grep -c ' log/' "$TMP/bucket")" \
	    "$(grep -c ' realisations/' "$TMP/bucket")"
}

# How often the S3 server was asked for something; it writes each into its log.
s3_requests() {
	cat "$TMP"/ceph/*rgw*.log 2>/dev/null | grep -c "beast: .*\"${1-}"
}

# read_back READER PATH: nix copies it into an empty store and compares.
read_back() {
	reader_new "$TMP/$1" "$NIKS3_PUBLIC_KEY"
	timed reader_copy "$TMP/$1" "$NIKS3_CACHE_URL" "$2"
	fact 'nix copied %d paths in %s s, each with a good signature of ours.' \
	    "$(nix-store -qR "$2" | wc -l)" "$SECONDS_TAKEN"
	timed reader_diff "$TMP/$1" "$2"
	fact 'diff -r finds no difference in %d files, nor does Nix in its facts.' \
	    "$(nix-store -qR "$2" | files_in)"
}

say "Started PostgreSQL $(postgres_query "$POSTGRES_DIR" postgres \
    'show server_version' | cut -d' ' -f1) and the S3 server at $S3_ENDPOINT: $(
    since "$begun") s"

from=$(date +%s.%N)
stack_start --uploaders 2
say "Started our daemons, each a process of its own: $(since "$from") s"
for name in $(proc_names "$STACK"); do
	pid=$(proc_pid "$STACK" "$name") || continue
	fact '%-10s pid %-7d %5.1f MiB resident' "$name" "$pid" "$(awk \
	    '/^VmRSS/ { print $2 / 1024 }' "/proc/$pid/status")"
done

say 'Building two closures with nix, in a store of their own'
timed nix_build everything
everything=$(cat "$TMP/out")
timed nix_build other
other=$(cat "$TMP/out")
nix-store -qR "$everything" >"$TMP/paths"
fact 'the first:  %d paths, %s MB, %d files; a chain of 20, one path of' \
    "$(wc -l <"$TMP/paths")" "$(tree_megabytes <"$TMP/paths")" \
    "$(files_in <"$TMP/paths")"
fact '            5,000 small files, one of 220 MB, content-addressed ones'
nix-store -qR "$other" >"$TMP/paths2"
fact 'the second: %d paths, %s MB; %d of them are in the first, too' \
    "$(wc -l <"$TMP/paths2")" "$(tree_megabytes <"$TMP/paths2")" \
    "$(grep -cFxf "$TMP/paths" "$TMP/paths2")"

say 'niks3 push FIRST'
puts=$(s3_requests)
timed timeout 300 niks3 push "$everything"
first=$SECONDS_TAKEN
tail -n 3 "$TMP/out" | sed 's/^/  | /'
fact 'took %s s and %d requests to S3' "$first" $(($(s3_requests) - puts))
show_bucket 'Now'

say 'niks3 push SECOND: only what is new'
puts=$(s3_requests)
timed timeout 300 niks3 push "$other"
second=$SECONDS_TAKEN
tail -n 3 "$TMP/out" | sed 's/^/  | /'
fact 'took %s s and %d requests to S3' "$second" $(($(s3_requests) - puts))
show_bucket 'Now'

say 'niks3 push FIRST, once more: all is there'
puts=$(s3_requests)
timed timeout 300 niks3 push "$everything"
cached=$SECONDS_TAKEN
fact 'took %s s and %d requests to S3' "$cached" $(($(s3_requests) - puts))

say 'Reading the first back into an empty store, with nix, from the bucket itself'
read_back reader1 "$everything"
nix_key "$TMP" somebody-else-1 >"$TMP/wrong.pub"
reader_new "$TMP/reader2" "$(cat "$TMP/wrong.pub")"
if reader_copy "$TMP/reader2" "$NIKS3_CACHE_URL" "$other" >"$TMP/out" 2>&1; then
	die 'nix took a path without a signature that it trusts'
fi
fact 'Who trusts another key than ours is refused: %s' \
    "$(sed -n 's/.*because it/it/p' "$TMP/out" | head -n 1)"

say 'Collecting garbage: the second is pinned, the first is let go'
niks3 pins create demo "$other" >"$TMP/out" 2>&1 ||
    { cat "$TMP/out" >&2; die 'niks3 pins failed'; }
show_bucket 'Before,'
timed timeout 300 niks3 gc --older-than=0s --pending-older-than=0s --force
gc=$SECONDS_TAKEN
tail -n 3 "$TMP/out" | sed 's/^/  | /'
fact 'took %s s' "$gc"
show_bucket 'After,'
timed bucket_recount
fact 'Bucket and database agree, object by object.'

say 'Reading the second back: what it shares with the first must still be there'
read_back reader3 "$other"

say 'What it took'
for name in $(proc_names "$STACK"); do
	pid=$(proc_pid "$STACK" "$name") || die "$name has died"
	fact '%-10s %6.1f MiB at most, %5.2f s of CPU' "$name" "$(awk \
	    '/^VmHWM/ { print $2 / 1024 }' "/proc/$pid/status")" \
	    "$(awk -v hz="$(getconf CLK_TCK)" \
		'{ print ($14 + $15) / hz }' "/proc/$pid/stat")"
done
[ -d "$TMP/ceph" ] && fact 'S3 server  %d requests: %d PUT, %d GET and HEAD, %d POST' \
    "$(s3_requests)" "$(s3_requests PUT)" \
    $(($(s3_requests GET) + $(s3_requests HEAD))) "$(s3_requests POST)"
fact 'push       %s s; what was left of a second closure %s s; cached %s s; gc %s s' \
    "$first" "$second" "$cached" "$gc"
fact 'all of it  %s s' "$(since "$begun")"
