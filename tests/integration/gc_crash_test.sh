#!/bin/sh
# The worker of the garbage collection is killed at many points of one run, loses
# its lock, and has a second one beside it. Nothing stays half deleted, and the
# figures of the run count each object once.
. "$(dirname "$0")/lib.sh"

stack_start

# garbage N: rows of N paths that nothing needs, as if their closure had run out.
# They are not in the bucket, which is no matter to who deletes them.
garbage() {
	db_query "with o as (insert into objects
		(id, key, kind, name, refs, nar_size)
	    select b + 3 * i + k, case k
		when 0 then lpad((b + i)::text, 32, '0') || '.narinfo'
		when 1 then 'nar/' || lpad((b + i)::text, 52, '0') || '.nar.zst'
		else lpad((b + i)::text, 32, '0') || '.ls' end,
		k + 1, case k when 0 then 'garbage' end,
		case k when 0 then array[b + 3 * i + 1, b + 3 * i + 2]
		else '{}' end, case k when 1 then 100 end
	    from (select max(id) + 1 from objects) m (b),
		generate_series(1, $1) i, generate_series(0, 2) k
	    returning id),
	    c as (insert into contents (object_id, size, sha256)
	    select id, 10, decode(repeat('00', 32), 'hex') from o)
	    insert into stat_deltas (objects, bytes)
	    select count(*), 10 * count(*) from o;
	    select setval('objects_id_seq', (select max(id) from objects))" \
	    >/dev/null
}

# run COLUMN: of the latest run.
run() {
	db_query "select $1 from gc_runs order by id desc limit 1"
}

run_is() {
	[ "$(run state)" = "$1" ]
}

begun() {
	[ "$(run "objects_$1")" -gt "$2" ]
}

collect() {
	niks3 gc --older-than=0s --pending-older-than=0s --max-share=100 "$@"
}

kept=$(nix_build app --argstr seed kept)
gone=$(nix_build everything --argstr seed gone)
passes 'a closure that will be kept' niks3 push --pin kept "$kept"
passes 'and one that will not' niks3 push "$gone"
n=$(db_query "with recursive k (id) as (select object_id from pins union
    select unnest(refs) from k join objects o on o.id = k.id)
    select count(*) from objects where id not in (select id from k)")

# ---- killed in the middle ----

garbage 8000
passes 'a collection begins' collect --no-wait
for point in 'marked 0' 'marked 6000' 'marked 18000' 'deleted 0' \
    'deleted 3000' 'deleted 7000'; do
	passes "it has $point" wait_until 60 begun $point
	stack_kill gc
	is "the run is not over when its worker dies ($point)" "$(run state)" \
	    running
	passes "what is kept is whole ($point)" bucket_closed
	stack_run gc
done
passes 'the run ends' wait_until 120 run_is succeeded
is 'each object was marked once' "$(run objects_marked)" $((n + 24000))
is 'none failed' "$(run objects_failed)" 0

# ---- the lock ----

garbage 8000
passes 'another collection begins' collect --no-wait
passes 'it marks' wait_until 60 begun marked 0
is 'its lock is lost' "$(db_query "select count(pg_terminate_backend(pid))
    from pg_locks where locktype = 'advisory' and objid = 2 and granted
    and database = (select oid from pg_database
	where datname = current_database())")" 1
passes 'it ends all the same' wait_until 120 run_is succeeded
like 'the worker has noticed' "$(cat "$STACK/gc.log")" 'starting over'
is 'each object was marked once' "$(run objects_marked)" 24000

# ---- two workers ----

sock=$STACK/run
proc_start "$STACK" gc2 "$BUILD/niks3-gc" \
    --db "host=$POSTGRES_DIR dbname=$STACK_NAME user=niks3_gc" \
    --listen "ipc://$sock/gc2.sock" \
    --upload-socket "ipc://$sock/gc2-upload.sock"
STACK_UPLOADER="--connect ipc://$sock/gc2-upload.sock"
stack_restart uploader1
garbage 8000
passes 'a collection with two workers' collect
like 'the first did it' "$(cat "$STACK/gc.log")" \
    "collection done.* run=$(run id)"
garbage 8000
passes 'one more begins' collect --no-wait
passes 'it deletes' wait_until 60 begun deleted 0
stack_kill gc
passes 'the other worker ends it' wait_until 120 run_is succeeded
like 'it did' "$(cat "$STACK/gc2.log")" "collection done.* run=$(run id)"
is 'each object was marked once' "$(run objects_marked)" 24000

# ---- what is left ----

# What a dead worker had claimed is asked for again when its delete must be over;
# the next run takes what was held meanwhile.
no_claims() {
	[ "$(db_query 'select count(*) from tombstones
	    where claim is not null')" = 0 ]
}
passes 'no claim stays' wait_until 90 no_claims
passes 'one more run' collect
is 'nothing stays half deleted' \
    "$(db_query 'select count(*) from tombstones')" 0
is 'no row stays either' "$(db_query "select count(*) from objects
    where name = 'garbage' or key like '%000000000000000%'")" 0
passes 'the bucket holds what the database says' bucket_recount
reader_new "$TMP/reader" "$NIKS3_PUBLIC_KEY"
passes 'and it is read back by nix' \
    reader_copy "$TMP/reader" "$NIKS3_CACHE_URL" "$kept"
tap_done
