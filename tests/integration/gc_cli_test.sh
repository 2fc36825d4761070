#!/bin/sh
# What niks3 gc, niks3 closures and niks3 why take, say, and leave behind.
. "$(dirname "$0")/lib.sh"
stack_start
app=$(nix_build app) other=$(nix_build other) shared=$(nix_build shared)
chain=$(nix_build chain --arg chainLength 3)
API=$NIKS3_SERVER_URL/api/v2
cd "$TMP" || exit 1

# exits STATUS WHAT PATTERN COMMAND...: with just that status, and it says so.
exits() {
	local status=$1 what=$2 pattern=$3 out rc=0
	shift 3
	out=$("$@" 2>&1) || rc=$?
	if [ $rc -ne "$status" ]; then
		not_ok "$what" "$* (exit $rc, not $status)
$out"
	else
		like "$what" "$out" "$pattern"
	fi
}

# refused WHAT STATUS PATTERN METHOD PATH [CURL-OPTION...]
refused() {
	local what=$1 status=$2 pattern=$3 method=$4 path=$5
	shift 5
	like "$what" "$(curl -sS --max-time 30 -K "$STACK/token.curl" \
	    -X "$method" -w ' %{http_code}' "$@" "$API$path")" \
	    "$pattern.* $status\$"
}

hash_of() {
	set -- "${1##*/}"
	echo "${1%%-*}"
}

keys() {
	bucket_ls | sed 's/^[0-9]* //' | LC_ALL=C sort
}

# keys_of PATH...: the keys of these paths alone, as Nix and their narinfos say.
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

# closure_keys PATH...: with all that they refer to.
closure_keys() {
	keys_of $(nix-store -qR "$@")
}

# weigh: how many keys there are on standard input, and their bytes.
weigh() {
	bucket_ls >"$TMP/weights"
	awk 'NR == FNR { size[$2] = $1; next } { n++; bytes += size[$1] }
	    END { print n + 0, bytes + 0 }' "$TMP/weights" -
}

# gc OPTION...: quietly.
gc() {
	niks3 gc "$@" >"$TMP/gc.log" 2>&1 || { cat "$TMP/gc.log"; return 1; }
}

# older DAYS PATH: it was pushed so long ago.
older() {
	db_query "update closures set updated_at = now() - interval '$1 days'
	    where store_path = '$2'"
}

roots() {
	niks3 closures --json | jq -r '.[].store_path' | sort
}

# state FILE: the census, but for the rows that tell of runs, and those of the
# statistics, which every run adds up.
state() {
	census | grep -v '^gc_run\|^stat_deltas' >"$TMP/$1"
}

# untouched WHAT: it is still what it was at "state before".
untouched() {
	state now
	passes "$1" diff "$TMP/before" "$TMP/now"
}

# fresh: an empty cache again.
fresh() {
	gc --older-than=0s --pending-older-than=0s --force --max-share=100
}

# ---- options ----

like 'niks3 --help knows closures' "$(niks3 --help)" '^  closures +[a-z]'
like 'niks3 --help knows why' "$(niks3 --help)" '^  why +[a-z]'
while IFS='|' read -r what pattern line; do
	exits 2 "$what" "$pattern" niks3 $line
done <<'BAD'
gc: no such action|unexpected argument "statsu"|gc statsu
gc: an action behind --|unexpected argument "status"|gc -- status
gc: an option of another action|unknown option --limit|gc --limit 3
gc: a share of nothing|from 1 to 100|gc --max-share=0
gc: a share of more than all|from 1 to 100|gc --max-share=101
gc: a share that is no number|not a number|gc --max-share=half
gc: a share without a value|needs a value|gc --max-share
gc: an age that is none|older-than: "x"|gc --older-than=x
gc: a negative age|older-than: "-1s"|gc --older-than=-1s
gc: an age of 200 years|must be from|gc --older-than=73000d
gc: a flag that is neither|dry-run: "maybe"|gc --dry-run=maybe
gc status: no number|"x": not a number of a run|gc status x
gc status: run 0|"0": not a number of a run|gc status 0
gc status: a negative run|unknown option -1|gc status -1
gc status: two runs|unexpected argument "2"|gc status 1 2
gc status: an option of another action|unknown option --force|gc status --force
gc history: none|from 1 to|gc history --limit=0
gc history: a run|unexpected argument "1"|gc history 1
closures: no such action|unexpected argument "remove"|closures remove
closures: an option of another action|unknown option --now|closures --now
closures delete: nothing|too few arguments|closures delete
closures delete: JSON|unknown option --json|closures delete --json x
closures delete: a share of more than all|from 1 to 100|closures delete --max-share=101 x
why: nothing|too few arguments|why
why: two paths|unexpected argument "b"|why a b
BAD
passes 'an action behind options with values' \
    env -u NIKS3_SERVER_URL niks3 gc --server-url "$NIKS3_SERVER_URL" \
    --log-level warn history --json
passes '-n only checks the options' \
    env NIKS3_SERVER_URL=http://127.0.0.1:1 niks3 gc -n --force
is '--print-config tells the options of the action' \
    "$(niks3 gc history --print-config --limit 7 | grep '^limit=')" limit=7

# ---- nothing there ----

is 'no closures' "$(niks3 closures)" 'No closures found'
is 'no closures, as JSON' "$(niks3 closures --json)" '[]'
is 'no runs' "$(niks3 gc history)" 'No runs found'
is 'no runs, as JSON' "$(niks3 gc history --json)" '[]'
exits 5 'no latest run' 'no garbage collection yet' niks3 gc status
exits 5 'no such run' 'no such run' niks3 gc status 77
exits 5 'why: what was never pushed' 'not in the cache' niks3 why "$app"
exits 5 'delete: what was never pushed' \
    'not in the cache as a closure' niks3 closures delete "$app"
exits 5 'delete --now: what was never pushed' 'not in the cache' \
    niks3 closures delete --now "$app"
passes 'a dry run of an empty cache' niks3 gc --dry-run
random_hex 24 >wrong
exits 4 'a wrong token' 'check the API token' \
    niks3 closures --auth-token-path wrong
exits 9 'no server' 'server 127.0.0.1:1' \
    niks3 why --server-url http://127.0.0.1:1 "$app"

# ---- closures ----

passes 'a push' niks3 push "$other"
passes 'another, which is a part of it' niks3 push "$app"
passes 'a third' niks3 push "$chain"
passes 'a pin' niks3 pins create release-1 "$app"
passes 'a second one' niks3 pins create also "$app"
older 10 "$app"
older 3 "$chain"
niks3 closures >table
niks3 closures --json >json
is 'the oldest first' "$(jq -r '.[].store_path' json)" "$app
$chain
$other"
is 'with their pins' "$(jq -c 'map(.pins)' json)" '[["also","release-1"],[],[]]'
for path in "$app" "$other" "$chain"; do
	is "objects and bytes of ${path##*-}" "$(jq -r ".[] |
	    select(.store_path == \"$path\") | \"\(.objects) \(.bytes)\"" \
	    json)" "$(closure_keys "$path" | weigh)"
done
is 'every entry has the same fields' "$(jq -c 'map(keys) | unique[]' json)" \
    '["bytes","created_at","objects","pins","store_path","updated_at"]'
like 'a table, with age, size, objects, path and pins' "$(cat table)" \
    "^  10d +[0-9.]+ KiB +[0-9]+  $app  pinned: also, release-1\$"
is 'the table has a line for each, and a head' "$(wc -l <table)" 4
pages() { # one closure a page
	local after=
	while :; do
		curl -sS -K "$STACK/token.curl" \
		    "$API/closures?limit=1${after:+&after=$after}" >page
		jq -r '.closures[].store_path' page
		after=$(jq -r '.next // ""' page)
		[ -n "$after" ] || break
	done
}
is 'page by page, the same' "$(pages)" "$(jq -r '.[].store_path' json)"
refused 'closures: a limit of 0' 400 'limit' GET '/closures?limit=0'
refused 'closures: too large a limit' 400 'limit' GET '/closures?limit=10001'
refused 'closures: no cursor' 400 'after: not a cursor' GET '/closures?after=x'
refused 'closures: half a cursor' 400 'after: not a cursor' \
    GET '/closures?after=1-'
refused 'closures: a cursor with a sign' 400 'after: not a cursor' \
    GET '/closures?after=1--2'
refused 'one closure' 200 "\"store_path\":\"$app\"" GET "/closures/${app##*/}"
refused 'one closure: no such path' 400 'store path' GET /closures/app
refused 'one closure: another name' 400 'the closure in the cache is' \
    GET "/closures/$(hash_of "$app")-other"
refused 'one closure: a path that was not pushed itself' 404 'as a closure' \
    GET "/closures/${shared##*/}"
like 'without a token' "$(curl -sS -w ' %{http_code}' "$API/closures")" \
    'no bearer token.* 401$'

# ---- why ----

# why_is PATH FILTER: of the JSON.
why_is() {
	niks3 why --json "$1" | jq -r "$2"
}
is 'why: itself pushed' "$(why_is "$chain" \
    '.state, (.keepers[] | .kind + " " + .store_path), (.chain | length)')" \
    "live
closure $chain
1"
is 'why: pins come first' "$(why_is "$app" \
    '[.keepers[] | .kind + " " + (.name // .store_path)] | join("; ")')" \
    "pin also; pin release-1; closure $other"
is 'why: three closures need it' "$(why_is "$shared" '.keepers[].store_path' |
    sort -u)" "$(printf '%s\n' "$app" "$chain" "$other" | sort)"
link1=$(nix-store -q --references "$chain")
is 'why: the chain of references, from the closure to the NAR' \
    "$(why_is "$(keys_of "$link1" | grep ^nar/)" '.chain[]')" \
    "$(hash_of "$chain").narinfo
$(hash_of "$link1").narinfo
$(keys_of "$link1" | grep ^nar/)"
like 'why: in words, one reference a line' "$(niks3 why "$link1")" \
    "^  $(hash_of "$link1").narinfo\$"
like '... and who keeps it' "$(niks3 why "$link1")" \
    "^  closure $chain, pushed 3d ago"
like '... of a pin' "$(niks3 why "$app")" "^  pin release-1 $app, pushed 10d"
drv=$(nix-store -qd "$app")
is 'why: a build log' "$(why_is "log/${drv##*/}" .chain[-1])" "log/${drv##*/}"
is 'why: a listing' "$(why_is "$(hash_of "$app").ls" .state)" live
is 'why: a hash' "$(why_is "$(hash_of "$app")" .key)" "$(hash_of "$app").narinfo"
is 'why: a base name' "$(why_is "${app##*/}" .key)" "$(hash_of "$app").narinfo"
ln -sfn "$app" result
is 'why: a symlink' "$(why_is ./result .key)" "$(hash_of "$app").narinfo"
is 'why: a path inside' "$(why_is "$app/bin/app" .key)" \
    "$(hash_of "$app").narinfo"
exits 5 'why: no path and no key' 'does not exist' niks3 why favicon.ico
exits 5 'why: a key that nobody pushed' 'not in the cache' \
    niks3 why "nar/$(printf %052d 1).nar.zst"
refused 'why: no key' 400 'key: missing' GET /why
refused 'why: no key of ours' 400 'object key' GET '/why?key=nix-cache-info'
refused 'why: a way up' 400 'object key' GET '/why?key=../x.narinfo'
refused 'why: a key too long' 400 'key: too long' \
    GET "/why?key=log/$(printf %01100d 1).drv"
refused 'why: no path' 400 'store path' GET /why/app
refused 'why: by its hash' 200 '"state":"live"' GET "/why/$(hash_of "$app")"
refused 'why: by its name' 200 '"state":"live"' GET "/why/${app##*/}"

# An upload that is under way.
abandoned=00000000000000000000000000000000-abandoned
jq -n --arg dir "$NIX_STORE_DIR" --arg path "$abandoned" \
    --arg lib "${link1##*/}" '{store_dir: $dir, roots: [0], paths: [
    {path: $path, refs: [1], nar_size: 120, nar_hash:
    "sha256:0000000000000000000000000000000000000000000000000000"},
    {path: $lib, nar_size: 120, nar_hash:
    "sha256:0000000000000000000000000000000000000000000000000001"}]}' |
    curl -sS -o begun -K "$STACK/token.curl" -d @- "$API/uploads"
is 'why: an upload is under way' "$(why_is "$abandoned" \
    '.state, (.keepers[] | .kind), (.keepers[0].lease_until != null)')" \
    'pending
upload
true'
like '... in words' "$(niks3 why "$abandoned")" \
    '^  upload [0-9]+.*begun [0-9]+s ago, its lease ends at 20'
is 'why: what the upload needs and others have' \
    "$(why_is "$link1" '[.keepers[].kind] | sort | join(" ")')" \
    'closure upload'
curl -sS -K "$STACK/token.curl" -X DELETE "$API/uploads/$(jq -r .id begun)"
gone() {
	! niks3 why "$abandoned"
}
passes 'after its end it is soon in no cache' wait_until 20 gone

# ---- a dry run ----

rest() {
	[ "$(db_query 'select count(*) from pending')" = 0 ]
}
wait_until 20 rest
state before
niks3 gc --dry-run --older-than=5d --pending-older-than=0s >table 2>log
untouched 'a dry run changes nothing'
is '... and is over' "$(niks3 gc status --json | jq -r '.kind, .state')" \
    'dry-run
succeeded'
like '... and says so' "$(cat table)" 'Nothing was changed'
is '... in words that promise nothing' \
    "$(cat table log | grep -ciE 'deleted|completed succ')" 0
is 'a pinned closure would not go' "$(grep -c -- "$app" table)" 0
niks3 pins delete release-1 2>/dev/null
niks3 pins delete also 2>/dev/null
older 10 "$other"
state before
niks3 gc --dry-run --json --older-than=5d --pending-older-than=0s --force \
    >plan 2>/dev/null
niks3 gc --dry-run --older-than=5d --pending-older-than=0s >table 2>/dev/null
untouched 'it changes nothing when much would go'
going=$(keys_of $(nix-store -qR "$other" | grep -vxF "$shared"))
is 'the sums are those of the keys' \
    "$(jq -r '.run | "\(.objects_garbage) \(.bytes_garbage)"' plan)" \
    "$(echo "$going" | weigh)"
is 'the roots add up to them' \
    "$(jq -r '.roots | "\(map(.objects) | add) \(map(.bytes) | add)"' plan)" \
    "$(echo "$going" | weigh)"
is 'each closure that would go is there' \
    "$(jq -r '.roots[].store_path' plan | sort)" \
    "$(printf '%s\n' "$app" "$other" | sort)"
like '... and counted' "$(cat table)" '^2 closures would expire'
is 'most bytes first' "$(jq -c '.roots | map(.bytes) == (map(.bytes) | sort |
    reverse)' plan)" true
like 'the table has them' "$(cat table)" \
    "^ +[0-9.]+ Ki?B +[0-9]+ +10d  $other\$|^ +[0-9.]+ [KiB]+ +[0-9]+ +10d"
like '... and the sum' "$(cat table)" \
    "$(echo "$going" | wc -l) +would go, of [0-9]+ live objects"
gc --older-than=5d --pending-older-than=0s --force
niks3 gc status --json >status
is 'the real run deletes just that' \
    "$(jq -r '"\(.objects_deleted) \(.bytes_deleted) \(.old_closures_deleted)"' \
	status)" \
    "$(jq -r '.run | "\(.objects_garbage) \(.bytes_garbage) 2"' plan)"
is '... and leaves the rest' "$(roots)" "$chain"
passes 'the bucket is what the database says' bucket_recount

# ---- what it says of runs ----

niks3 gc --older-than=5d >out 2>log
like 'gc says with what it begins' "$(cat log)" \
    'Starting garbage collection older-than=120h pending-older-than=6h force=false'
like '... which run it is' "$(cat log)" 'Garbage collection started run=[0-9]+'
like '... and what came of it' "$(cat log)" \
    "Garbage collection completed successfully failed-uploads-deleted=0 \
old-closures-deleted=0 objects-marked-for-deletion=0 \
objects-deleted-after-grace-period=0 objects-failed-to-delete=0\$"
is '... nothing on standard output' "$(cat out)" ''
is 'with --json the run' "$(niks3 gc --json 2>/dev/null |
    jq -r '.kind, .state, .older_than_s, .pending_older_than_s, .force')" \
    'collect
succeeded
2592000
21600
false'
is '--failed-uploads-older-than is --pending-older-than' \
    "$(niks3 gc --json --failed-uploads-older-than=2h 2>/dev/null |
	jq .pending_older_than_s)" 7200
is 'a quiet one' "$(niks3 gc --log-level=error 2>&1)" ''
like 'force says what it risks' "$(niks3 gc --force 2>&1)" \
    'finds its NAR gone.*30 days'
is 'without it, no such words' "$(grep -c ' NAR' log)" 0
script -qec 'niks3 gc --older-than=5d' /dev/null >out 2>&1 </dev/null
like 'on a terminal it draws a line' "$(tr '\r' '\n' <out)" \
    '^run [0-9]+: .*marked 0/0, deleted 0'
is 'the latest run is that of the highest number' \
    "$(niks3 gc status --json | jq .id)" \
    "$(db_query 'select max(id) from gc_runs')"
is 'a run by its number' "$(niks3 gc status 1 --json | jq -r '.id, .kind')" '1
delete'
like 'a run in words' "$(niks3 gc status)" '^objects deleted +0$'
is 'the history, newest first' "$(niks3 gc history --json | jq -c 'map(.id)')" \
    "$(db_query "select '[' || string_agg(id::text, ',' order by id desc) ||
	']' from (select id from gc_runs order by id desc limit 20) r")"
is 'the latest two' "$(niks3 gc --limit 2 history --json | jq length)" 2
is 'its table has a head' "$(niks3 gc history --limit 2 | grep -c '^   RUN')" 1
like '... and a line for each' "$(niks3 gc history)" \
    '^ +2  dry-run  succeeded +[0-9]+[sm]'
db_query "insert into gc_runs (state, older_than, pending_older_than)
    select 'succeeded', '1 day', '1 hour' from generate_series(1, 1100)" >/dev/null
is 'more than a page' "$(niks3 gc history --limit 100000 --json |
    jq 'length, (map(.id) | unique | length)' | xargs)" \
    "$(db_query "select count(*) || ' ' || count(*) from gc_runs")"
refused 'history: a limit of 0' 400 'limit' GET '/gc?limit=0'
refused 'history: too large a limit' 400 'limit' GET '/gc?limit=1001'
refused 'history: no number' 400 'before' GET '/gc?before=x'
refused 'run 0' 400 'begin with 1' GET /gc/0
refused 'no number of a run' 400 'not a number' GET /gc/x
refused 'roots of what was no dry run' 200 '"roots":\[\]' GET /gc/latest/roots
refused 'a share over 100' 400 'max_share' POST /gc \
    -d '{"older_than_s":1,"pending_older_than_s":1,"max_share":101}'
refused 'no ages' 400 'older_than_s: missing' POST /gc -d '{"dry_run":true}'

# ---- what nothing keeps, and when it will go ----

passes 'a push' niks3 push "$app"
passes 'a collection by the clock' gc --older-than=30d --pending-older-than=6h
is 'a closure runs out at its time' "$(why_is "$app" '.keepers[0] |
    (.until | sub("[.].*"; "Z") | fromdate) -
    (.updated_at | sub("[.].*"; "Z") | fromdate)')" $((30 * 86400))
like '... in words' "$(niks3 why "$app")" 'pushed [0-9]+s ago, runs out at 20'
older 31 "$app"
like 'one that has run out' "$(niks3 why "$app")" 'has run out at 20'
niks3 closures delete "$app" >log 2>&1
like 'delete says what it did' "$(cat log)" \
    "Deleted closure path=${app##*/}"
is '... and it is no root any more' "$(roots)" "$chain"
is '... its objects are all there' "$(closure_keys "$app" | weigh)" \
    "$(closure_keys "$app" | wc -l) $(closure_keys "$app" | weigh |
	cut -d' ' -f2)"
is 'why: nothing' "$(why_is "$app" '.state, .nkeepers')" 'live
0'
like '... in words' "$(niks3 why "$app")" \
    'the next garbage collection marks it, and it goes 6h after that'
gc --older-than=30d --pending-older-than=6h
is 'why: a tombstone' "$(why_is "$app" '.state, ((.due |
    sub("[.].*"; "Z") | fromdate) - (.first_at | sub("[.].*"; "Z") | fromdate))')" \
    "tombstone
$((6 * 3600))"
like '... in words' "$(niks3 why "$app")" \
    'goes with the first garbage collection after 20'
db_query "update tombstones set first_at = first_at - interval '7 hours'"
like 'a tombstone whose time has come' "$(niks3 why "$app")" \
    'goes with the next garbage collection$'
gc --older-than=30d --pending-older-than=6h
exits 5 'after that it is in no cache' 'not in the cache' niks3 why "$app"

# ---- closures delete ----

passes 'a push' niks3 push "$app" "$other"
passes 'a pin' niks3 pins create release-1 "$other"
state before
exits 6 'a pinned closure stays' 'is pinned: release-1' \
    niks3 closures delete "$other"
exits 6 '... also with --now' 'hint: niks3 pins delete release-1' \
    niks3 closures delete --now "$other"
exits 5 'what was not pushed itself' 'not what that depends on' \
    niks3 closures delete "$shared"
exits 5 'one of several names is wrong' 'does not exist' \
    niks3 closures delete "$app" ./no-such-file
refused 'a path with another name' 400 'the closure in the cache is' \
    DELETE "/closures/$(hash_of "$app")-other"
refused 'now: neither true nor false' 400 'now' \
    DELETE "/closures/${app##*/}?now=maybe"
refused 'max_share: more than all' 400 'max_share' \
    DELETE "/closures/${app##*/}?max_share=101"
refused 'no path' 400 'store path' DELETE /closures/app
untouched 'nothing of that changed anything'
exits 6 'what others need does not go now' 'still needed' \
    niks3 closures delete --now "$shared"
untouched '... and stays'

keys >keys.before
gone=$(keys_of $(nix-store -qR "$chain" | grep -vxF "$shared"))
figures=$(echo "$gone" | weigh)
niks3 closures delete --now "$chain" >log 2>&1
keys >keys.after
is 'delete --now: just what only it needed' \
    "$(LC_ALL=C comm -23 keys.before keys.after)" "$gone"
like '... and says so' "$(cat log)" "Deleted closure path=${chain##*/} \
objects-deleted=${figures% *} bytes-deleted=.* objects-kept=[0-9]+ \
objects-failed-to-delete=0"
is '... as does its run' "$(niks3 gc status --json |
    jq -r '"\(.kind) \(.at_once) \(.objects_deleted) \(.bytes_deleted)"')" \
    "delete true $figures"
passes 'the bucket is what the database says' bucket_recount
passes 'every narinfo finds all it refers to' bucket_closed
exits 5 'once more: it is gone' 'not in the cache' \
    niks3 closures delete --now "$chain"

# app is a part of other, which is pinned.
keys >keys.before
niks3 closures delete --now "$app" >log 2>&1
is 'delete --now of what is a part of another: no object goes' \
    "$(cat log | grep -o 'still needed'; keys | diff keys.before -)" 'still needed'
is '... but it is no root any more' "$(roots)" "$other"
niks3 pins delete release-1 2>/dev/null
niks3 closures delete "$other" 2>/dev/null
gc --older-than=30d --pending-older-than=6h
is 'what waits for its grace' "$(why_is "$other" .state)" tombstone
niks3 closures delete --now "${other##*/}" >log 2>&1
like '... goes at once by --now, though it is no closure any more' \
    "$(cat log)" "objects-deleted=[1-9]"
exits 5 '... and is gone' 'not in the cache' niks3 why "$other"
passes 'every narinfo finds all it refers to' bucket_closed
passes 'the bucket is what the database says' bucket_recount
fresh

# What S3 refuses to delete.
policy() { # DENIED
	s3 "$STACK_NAME?policy=" -X PUT -d "{\"Version\": \"2012-10-17\",
	    \"Statement\": [{\"Effect\": \"Allow\", \"Principal\": \"*\",
	    \"Action\": [\"s3:GetObject\"],
	    \"Resource\": [\"arn:aws:s3:::$STACK_NAME/*\"]},
	    {\"Effect\": \"Deny\", \"Principal\": \"*\",
	    \"Action\": [\"s3:DeleteObject\"],
	    \"Resource\": [\"arn:aws:s3:::$STACK_NAME/$1\"]}]}" >/dev/null
}
passes 'a push' niks3 push "$app"
policy 'log/*'
exits 9 'what S3 does not delete is an error' \
    'S3 did not delete [1-9][0-9]* objects' niks3 closures delete --now "$app"
policy 'none/*'
passes 'it goes when S3 lets it' gc --older-than=1d --pending-older-than=0s
passes 'the bucket is what the database says' bucket_recount
fresh

# Two paths of the same content share a NAR.
mkdir tree
seq 1 10000 >tree/file
one=$(nix store add-path --name one tree)
two=$(nix store add-path --name two tree)
cp tree/file question
question=$(nix store add-path --name 'what?a=b+c' question)
passes 'a path with a question in its name' niks3 push "$question"
is '... why' "$(why_is "$question" .keepers[].store_path)" "$question"
passes '... goes' niks3 closures delete --now "$question"
exits 5 '... and is gone' 'not in the cache' niks3 why "$question"
passes 'two paths with one NAR' niks3 push "$one" "$two"
nar=$(keys_of "$one" | grep ^nar/)
passes 'the first goes now' niks3 closures delete --now "$one"
is '... the NAR stays' "$(keys | grep -c "^$nar\$")" 1
passes 'every narinfo finds all it refers to' bucket_closed
nix-store --delete "$one" "$two" >/dev/null 2>&1
passes 'the second, which is no more in the store at hand' \
    niks3 closures delete --now "$two"
is '... and the NAR' "$(keys)" nix-cache-info
passes 'the bucket is what the database says' bucket_recount
passes 'a push' niks3 push "$app" "$chain" "$other"
passes 'several at once, by symlink and by name' \
    niks3 closures delete ./result "${chain##*/}"
is '... are no roots' "$(roots)" "$other"
like 'a dry run that nobody waited for' "$(niks3 gc --dry-run --no-wait \
    --older-than=0s 2>&1)" 'Dry run started run='
run_ended() {
	[ "$(niks3 gc status --json | jq -r .state)" = succeeded ]
}
wait_until 20 run_ended
like '... is told by its status' "$(niks3 gc status)" \
    "^ +[0-9.]+ KiB +[0-9]+ +[0-9]+s  $other\$"
passes 'without waiting' niks3 closures delete --no-wait --now "$other"
wait_until 20 run_ended # another run would be refused
fresh

# ---- one run at a time ----

passes 'a push' niks3 push "$app"
gc_pid=$(proc_pid "$STACK" gc)
run_of() {
	sed -n 's/.*Garbage collection started run=//p' "$1"
}
kill -s STOP "$gc_pid"
niks3 gc --no-wait --older-than=40d >log1 2>&1
niks3 gc --no-wait --older-than=40d >log2 2>&1
is 'the same parameters join the run' "$(run_of log1)" "$(run_of log2)"
like '... which has a number' "$(run_of log1)" '^[0-9]+$'
run=$(run_of log1)
exits 6 'another age is a conflict' \
    "with other parameters is (queued|running) \(run $run\)" \
    niks3 gc --older-than=41d
exits 6 'another grace' "run $run" niks3 gc --older-than=40d \
    --pending-older-than=1h
exits 6 'force' "run $run" niks3 gc --older-than=40d --force
exits 6 'another share' "run $run" niks3 gc --older-than=40d --max-share=99
exits 6 'a dry run' "run $run" niks3 gc --older-than=40d --dry-run
refused 'the answer names the run' 409 "\"run\":$run" \
    DELETE "/closures/${app##*/}"
is 'the run is there to be seen' "$(niks3 gc status --json |
    jq -r '"\(.id) \(.state)"')" "$run queued"
background follow niks3 gc --older-than=40d
background delete niks3 closures delete "$app"
waits() {
	grep -q "Waiting for the garbage collection.* run=$run" "$TMP/delete.log"
}
passes 'the deletion of a closure waits for it, and says so' wait_until 10 waits

# Another server on the same database.
second() {
	sed -n 's/.*listening address=.* port=\([0-9]*\).*/\1/p' \
	    "$STACK/second.log"
}
db="host=$POSTGRES_DIR dbname=$STACK_NAME user=niks3_server"
proc_start "$STACK" second "$BUILD/niks3-server" --db "$db" \
    --http-addr 127.0.0.1:0 --api-token-path "$STACK/token" \
    --signer-socket "ipc://$STACK/run/signer.sock" \
    --upload-socket "ipc://$STACK/run/second.sock" \
    --gc-socket "ipc://$STACK/run/gc.sock" --store-dir "$STACK_STORE"
seen() {
	[ -n "$(second)" ]
}
wait_until 20 seen
is 'any server tells of it' \
    "$(niks3 gc status "$run" --json --server-url "http://127.0.0.1:$(second)" |
	jq -r '"\(.id) \(.state)"')" "$run queued"
is '... and of the history' \
    "$(niks3 gc history --limit 5 --json \
	--server-url "http://127.0.0.1:$(second)")" \
    "$(niks3 gc history --limit 5 --json)"
kill -s CONT "$gc_pid"
finished follow
is 'who joined it follows it to its end' \
    "$? $(grep -c 'completed successfully' follow.log)" '0 1'
finished delete
is 'and the deletion comes after it' "$? $(roots)" '0 '
passes 'a collection asked of the second server' \
    niks3 gc --server-url "http://127.0.0.1:$(second)"
passes '... which also answers why' sh -c \
    "niks3 push $app && niks3 why --server-url http://127.0.0.1:$(second) $app"
proc_stop "$STACK" TERM second

# A server that restarts while somebody follows.
kill -s STOP "$gc_pid"
background follow niks3 gc --older-than=40d
begun() {
	grep -q 'started run=' "$TMP/follow.log"
}
wait_until 10 begun
proc_stop "$STACK" TERM server
sleep 3
stack_run server
kill -s CONT "$gc_pid"
finished follow
is 'who follows a run survives a restart of the server' \
    "$? $(grep -c 'completed successfully' follow.log)" '0 1'
stack_wait

proc_stop "$STACK" TERM gc
exits 9 'why: without a worker' 'gc: not connected' niks3 why "$app"
exits 9 '... with a hint' 'hint: is niks3-gc running' niks3 why "$app"

# ---- a mistake does not empty the cache ----

STACK_GC='--max-share-floor=5'
stack_restart gc
passes 'a push' niks3 push "$app" "$chain"
older 10 "$app"
older 1 "$chain"
state before
exits 6 'a run that would take all stops' \
    'failed: .*objects would go.*100 %.*50 %' niks3 gc --older-than=0s
exits 6 '... and says how to go on' 'hint: .*--max-share=100' \
    niks3 gc --older-than=0s --force --pending-older-than=0s
untouched '... nothing was changed'
is '... the run failed, and says so' "$(niks3 gc status --json |
    jq -r '.state, .error_kind')" 'failed
conflict'
like '... in the history too' "$(niks3 gc history --limit 1)" \
    ' objects would go'
passes 'a dry run is not stopped' niks3 gc --older-than=0s --dry-run
exits 6 'a share that is too small' '--max-share=100' \
    niks3 gc --older-than=0s --max-share=99
exits 6 'a share smaller than the setting' 'more than the 5 %' \
    niks3 gc --older-than=5d --max-share=5
untouched '... nothing was changed'
passes 'what is under the share goes' niks3 gc --older-than=5d --max-share=60
is '... and only that' "$(roots)" "$chain"
exits 6 'nor does the deletion of a closure take too much' '--max-share=100' \
    niks3 closures delete --now --max-share=60 "$chain"
is '... though it is no root any more' "$(roots)" ''
passes 'a push' niks3 push "$chain"
passes 'with the share that it named all goes' \
    niks3 gc --older-than=0s --max-share=100
is '... all' "$(roots)" ''
STACK_GC='--max-share-floor=5 --max-share=100'
stack_restart gc
passes 'a push' niks3 push "$app"
passes 'the setting of the worker' niks3 gc --older-than=0s
STACK_GC=

# ---- a push that takes longer than its lease ----

stack_stop
stack_start --own-s3 --lease 2s
path=$(nix_build app --argstr seed lease)
proc_kill "$STACK/ceph" STOP rgw
background push niks3 push "$path"
open_uploads() {
	[ "$(db_query "select count(*) from uploads where state = 'open'")" = 1 ]
}
passes 'a push waits for a slow S3' wait_until 10 open_uploads
sleep 5
is 'its lease is kept' "$(db_query \
    "select lease_until > now() from uploads where state = 'open'")" t
niks3 gc --no-wait --older-than=0s --pending-older-than=0s >log 2>&1
sleep 1
proc_kill "$STACK/ceph" CONT rgw
finished push
is 'gc all the time leaves it alone' "$? $(roots)" "0 $path"
passes 'and the collection comes to its end' wait_until 60 run_ended
is 'a push that died is given up after its lease' "$(
    proc_kill "$STACK/ceph" STOP rgw
    background push niks3 push "$(nix_build app --argstr seed dead)"
    wait_until 10 open_uploads
    proc_kill "$TMP" KILL push
    sleep 2.2
    niks3 gc --no-wait --older-than=1d --pending-older-than=0s >log 2>&1
    wait_until 10 sh -c "[ \$(psql -Atc \"select count(*) from uploads
	where state = 'expired'\") = 1 ]" && echo expired
    proc_kill "$STACK/ceph" CONT rgw)" expired
passes 'the collection comes to its end' wait_until 60 run_ended
tap_done
