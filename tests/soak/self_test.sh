#!/bin/sh
# Can the soak's checker fail? Each rule is broken behind niks3's back, and must
# be missed at once; and each fault of the proxy does what its name says.
. "$(dirname "$0")/lib.sh"
TEST=soak-self
soak_start 1
nix-build --no-out-link -Q "$HERE/pool.nix" --arg variants 1 \
    >"$SOAK/pool" 2>"$SOAK/build.log" ||
    exit 1
path=$(grep -m 1 -- '-all$' "$SOAK/pool")
passes 'a push through the proxy' niks3 push --pin kept "$path"
# Until this object is written once more it is not held against the pin.
db_query 'delete from pin_writes' >/dev/null
passes 'all is well' bucket_check --rest
passes '... also for the audit' audit_check
like 'everything was read' "$(bucket_check)" \
    "^# read 2 closures of $(nix-store -qR "$path" | wc -l) paths"

# keep KEY: a copy, for restore KEY.
keep() {
	s3_get "$STACK_NAME" "$1" >"$SOAK/copy"
}

restore() {
	s3_put "$STACK_NAME" "$1" "$SOAK/copy"
	is '... and all is well again' "$(bucket_check | grep -v '^#')" ''
}

# misses WHAT PATTERN [--rest]: the checker says so.
misses() {
	local what=$1 pattern=$2
	shift 2
	fails "$what" "$pattern" bucket_check "$@"
}

first() { # PATTERN
	bucket_ls | cut -d' ' -f2 | grep -E "$1" | head -n 1
}

# ---- I1, I2: what is in the bucket ----

nar=$(first '^nar/') narinfo=$(first '\.narinfo$') listing=$(first '\.ls$')

keep "$nar"
s3_delete "$STACK_NAME" "$nar"
misses 'a NAR that is gone' "^I1 .*$nar.* is not in the bucket"
misses '... has a row' "^I2 $nar is live and not in the bucket"
cp "$SOAK/copy" "$SOAK/broken"
printf 'x' | dd of="$SOAK/broken" bs=1 seek=20 conv=notrunc 2>/dev/null
s3_put "$STACK_NAME" "$nar" "$SOAK/broken"
misses 'a NAR with another byte' "^I1 .*$nar.* is not FileHash"
misses '... is not what the row says' "^I2 $nar is not what was recorded"
zstd -dcq "$SOAK/copy" | zstd -19 -q >"$SOAK/broken"
s3_put "$STACK_NAME" "$nar" "$SOAK/broken"
misses 'a NAR of other compression' "^I1 .*$nar.* is not (of FileSize|FileHash)"
restore "$nar"

keep "$narinfo"
s3_delete "$STACK_NAME" "$narinfo"
misses 'a narinfo that is gone' "^I1 .* ${narinfo%.narinfo}.* is not in the bucket"

# narinfo_edit SED-SCRIPT: the narinfo is another one.
narinfo_edit() {
	zstd -dcq "$SOAK/copy" | sed "$1" | zstd -q >"$SOAK/broken"
	s3_put "$STACK_NAME" "$narinfo" "$SOAK/broken" \
	    -H 'Content-Encoding: zstd'
}
narinfo_edit 's/^\(NarSize: \).*/\11/'
misses 'a narinfo that was changed has no good signature' \
    "^I1 .* ${narinfo%.narinfo}.* has no good signature"
narinfo_edit 's/^\(Sig: [^:]*:\)......../\1AAAAAAAA/'
misses 'nor has one whose signature was' \
    "^I1 .* ${narinfo%.narinfo}.* has no good signature"
narinfo_edit "s|^URL.*|URL: $nar.gone|"
misses 'a narinfo that names another NAR' '^I1 .* is not in the bucket'
narinfo_edit 's/^References:.*/References: 00000000000000000000000000000000-x/'
misses 'a narinfo that refers to what is not there' \
    '^I1 .* 00000000000000000000000000000000-x is not in the bucket'
echo nonsense >"$SOAK/broken"
s3_put "$STACK_NAME" "$narinfo" "$SOAK/broken"
misses 'a narinfo that is none' '^I1 .*narinfo of'
restore "$narinfo"

keep "$listing"
s3_delete "$STACK_NAME" "$listing"
misses 'a listing that is gone' "^I2 $listing is live and not in the bucket"
restore "$listing"

keep pins/kept
echo /elsewhere >"$SOAK/broken"
s3_put "$STACK_NAME" pins/kept "$SOAK/broken"
misses 'a pin that says something else' '^I1 pins/kept says /elsewhere'
s3_delete "$STACK_NAME" pins/kept
misses 'a pin that is gone' '^I1 pins/kept is not in the bucket'
restore pins/kept

# ---- I3, I5 ----

db_query "with u as (insert into uploads (token, owner, store_dir, lease_until)
	values ('t', 'o', '/', now() + interval '1 hour') returning id)
    insert into upload_needs (upload_id, object_id, refs, missing)
    select u.id, o.id, '{}', false from u, objects o where key = '$listing'"
keep "$listing"
s3_delete "$STACK_NAME" "$listing"
misses 'what an open upload counts on' "^I3 $listing is needed"
restore "$listing"
db_query "delete from upload_needs; delete from uploads where token = 't'"

s3_put "$STACK_NAME" nobodys "$SOAK/copy"
is 'an object without a row is no matter in between' \
    "$(bucket_check | grep -v '^#')" ''
misses '... but at rest' '^I5 nobodys is in the bucket and has no row' --rest
s3_delete "$STACK_NAME" nobodys

# ---- I4 ----

# accuses WHAT PATTERN: the audit says so, once; then it is forgotten.
accuses() {
	fails "$1" "$2" audit_check
	db_query "delete from tombstones; delete from soak.odd;
	    delete from soak.claims; delete from soak.deletes"
	is '... and nothing else' "$(audit_check)" ''
}
run=$(db_query "insert into gc_runs (state, older_than, pending_older_than)
    values ('succeeded', '0', '1 hour') returning id")
tombstone="insert into tombstones (object_id, first_at, rank)
    select id, now(), 1 from objects where key = '$narinfo'"
claim="update tombstones set claim = $run, claimed_at = now()"
db_query "$tombstone; $claim"
accuses 'a claim before the grace is over' "^I4 $narinfo was claimed"
db_query "$tombstone; update gc_runs set force = true; $claim"
is 'with force it may be' "$(audit_check)" ''
db_query 'delete from tombstones; delete from soak.claims;
    update gc_runs set force = false'
db_query "insert into tombstones (object_id, first_at, rank)
    select id, now() - interval '2 hours', 1 from objects
    where key = '$narinfo'"
accuses 'a tombstone that is older than itself' '^I4 a tombstone got an earlier'
db_query "$tombstone; update gc_runs set force = true; $claim;
    set session authorization niks3_server; delete from tombstones;"
accuses 'a server that revives what is being deleted' '^I4 the server touched'

# Through the proxy, as the collection does it.
through() {
	local S3_ENDPOINT=$PROXY
	"$@"
}
s3_put "$STACK_NAME" nobodys "$SOAK/copy"
through s3_delete "$STACK_NAME" nobodys
accuses 'a delete that nobody claimed' '^I4 nobodys was deleted .* without a'

# ---- the proxy ----

put() { # KEY
	through s3_put "$STACK_NAME" "$1" "$SOAK/copy"
}

there() { # KEY
	bucket_ls | grep -q " $1\$"
}

rates 'all error500 1000'
fails 'error500' '500' put a
fails '... is not carried out' '' there a
rates 'all slowdown 1000'
fails 'slowdown' '503' put a
rates 'all closed 1000'
passes 'closed' sh -c '! "$@"' sh curl -s "$PROXY/$STACK_NAME/a"
rates 'all lost 1000'
put lost 2>/dev/null
is 'lost: it says no' $? 52
passes '... and is done' there lost
rates 'all lie 1000'
fails 'lie: it says 500' '500' put lie
passes '... and is done' there lie
rates 'all late 1000'
put late 2>/dev/null
is 'late: it says no' $? 52
fails '... is not done' '' there late
passes '... and then is' wait_until 20 there late
passes '... and then is nothing late any more' wait_until 5 nothing_late
rates 'all cut 1000'
through s3 "$STACK_NAME/lie" >/dev/null 2>&1
is 'cut: half an answer' $? 18
rates 'all slow 1000'
passes 'slow' cmp "$SOAK/copy" "$(through s3_get "$STACK_NAME" lie \
    >"$SOAK/slow"; echo "$SOAK/slow")"
rates
passes 'no fault at all' put a

# What is half done is done by halves.
for n in 1 2 3 4 5 6 7 8; do
	put "half-$n"
done
rates 'all half 1000'
{
	echo '<Delete>'
	for n in 1 2 3 4 5 6 7 8; do
		echo "<Object><Key>half-$n</Key></Object>"
	done
	echo '</Delete>'
} >"$SOAK/delete.xml"
through s3 "$STACK_NAME?delete=" -X POST --data-binary "@$SOAK/delete.xml" \
    >"$SOAK/half.out" 2>&1
like 'half: some keys are gone, some are not' "$(bucket_ls half-)" \
    '^[0-9]+ half-[0-9]$'
like '... of eight' "$(bucket_ls half- | wc -l)" '^[1-7]$'
is '... as the log says' "$(grep -c ' delete half-' "$SOAK/faults.log")" \
    $((8 - $(bucket_ls half- | wc -l)))
tap_done
