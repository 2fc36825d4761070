#!/bin/sh
# Collects the garbage of databases made for it, with the real worker and
# uploader before an S3 server that stores nothing, while pushes go on. Then a
# hundred small pushes and collections, for what they leave in the tables.
#
#	gc.sh [MILLIONS of objects...]	0.3 3; 10 takes ten minutes and 20 GB
#
# PostgreSQL is set up as for a machine of its own, and waits for the disk.
ROOT=$(cd "$(dirname "$0")/../.." && pwd -P) || exit 1
BUILD=${BUILD:-$ROOT/build}
case $BUILD in /*) ;; *) BUILD=$ROOT/$BUILD ;; esac
export ROOT BUILD
TOOLS=$BUILD/tests/bench
NULL_S3=$BUILD/tests/tools/null_s3
make -s -C "$ROOT" BUILD="$BUILD" all "$TOOLS/gc_push" "$TOOLS/gc_watch" \
    "$NULL_S3" >&2 || exit 1
. "$ROOT/tests/lib/proc.sh"
unset NIKS3_TEST_SERVICES
NIKS3_TEST_S3_ENDPOINT=127.0.0.1:$(port_free)
NIKS3_TEST_S3_ACCESS_KEY=nobody NIKS3_TEST_S3_SECRET_KEY=nothing
. "$ROOT/tests/integration/lib.sh"
TAP_DONE=1
SQL_LIMIT=300s	# for the statement that one would write instead
QUIET=20	# seconds of pushes without a collection
REST=20		# milliseconds between two pushes
LOOK=4		# milliseconds between two looks at the locks
CYCLES=100

# In place of the one for tests.
postgres_up() {
	proc_pid "$1" postgres >/dev/null ||
	    proc_start "$1" postgres $(postgres_as) "$2/postgres" \
		-D "$1/data" -k "$1" -c listen_addresses= \
		-c shared_buffers=1GB -c max_wal_size=8GB -c max_connections=50
	postgres_query "$1" postgres 'select 1'
}

# ---- figures ----

figure() { # SIZE/NAME VALUE
	mkdir -p "$TMP/figures/${1%%/*}"
	echo "$2" >"$TMP/figures/$1"
}

value() { # SIZE/NAME
	cat "$TMP/figures/$1" 2>/dev/null
}

# calc EXPRESSION: of awk; nothing when a figure in it is missing.
calc() {
	awk "BEGIN { printf \"%.3f\", $1 }" 2>/dev/null
}

# cpu_of PID...: their seconds, together.
cpu_of() {
	local pid
	for pid in "$@"; do
		sed 's/.*) //' "/proc/$pid/stat"
	done | awk -v hz="$(getconf CLK_TCK)" \
	    '{ t += $12 + $13 } END { print t / hz }'
}

# ---- one size ----

# database NAME PATHS: an empty bucket and a full database; no daemon runs yet.
database() {
	local dir=$TMP/$1
	mkdir -p "$dir"
	STACKS="$STACKS $dir"
	echo "$1" >"$dir/name"
	stack_make "$dir" "$1" || exit 1
	psql -X -q -h "$POSTGRES_DIR" -U postgres -d "$1" -v paths="$2" \
	    -f "$ROOT/tests/bench/gc_fill.sql" || exit 1
	DB="host=$POSTGRES_DIR user=niks3_server dbname=$1"
}

daemons() {
	stack_up 1 || exit 1
	stack_vars
	export $STACK_EXPORTS
}

# The statement that one would write instead, timed and rolled back.
recursive_sql() { # SIZE
	local took
	took=$(psql -X -q -h "$POSTGRES_DIR" -U postgres -d "$STACK_NAME" <<-SQL
	SET statement_timeout = '$SQL_LIMIT';
	SET work_mem = '256MB';
	BEGIN;
	\timing on
	INSERT INTO tombstones (object_id, first_at, rank)
	WITH RECURSIVE reachable (id) AS (
		SELECT object_id FROM closures
		WHERE updated_at > now() - interval '30 days'
		UNION SELECT ref FROM reachable r JOIN objects o ON o.id = r.id,
			unnest(o.refs) ref)
	SELECT o.id, now(), 1 FROM objects o
	WHERE NOT EXISTS (SELECT FROM reachable r WHERE r.id = o.id);
	\timing off
	ROLLBACK;
	SQL
	) 2>"$TMP/sql.err" || return 0
	[ -s "$TMP/sql.err" ] ||
	    figure "$1/sql" "$(echo "$took" | sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p')"
	postgres_query "$POSTGRES_DIR" "$STACK_NAME" 'truncate tombstones'
}

# push_figures SIZE/NAME: of what gc_push said last.
push_figures() {
	local n p50 p99 max
	read -r n p50 p99 max <"$TMP/push.log" || die 'no push was made'
	figure "$1-n" "$n"
	figure "$1-p50" "$p50"
	figure "$1-p99" "$p99"
	figure "$1-max" "$max"
}

# stopped NAME: waits for its last words.
stopped() {
	proc_kill "$TMP" TERM "$1"
	wait "$2" || { cat "$TMP/$1.log" >&2; die "$1 failed"; }
}

quiet_pushes() { # SIZE
	: >"$TMP/push.log"
	proc_start "$TMP" push "$TOOLS/gc_push" "$DB" loop $REST
	sleep $QUIET
	stopped push $!
	push_figures "$1/quiet"
}

run() { # COLUMN: of the latest one
	db_query "select $1 from gc_runs order by id desc limit 1"
}

# The phases of the latest run, from the worker's log: "NAME MILLISECONDS".
phases() {
	sed -n "s/.*phase done run=$(run id) phase=\([^ ]*\) \
took=\([0-9.]*\)ms.*/\1 \2/p" "$STACK/gc.log" >"$TMP/phases"
}

# marking FIGURE: how long the latest run read and marked.
marking() {
	figure "$1" "$(awk '/^(read|expire-closures|mark) / { t += $2 }
	    END { print t }' "$TMP/phases")"
}

# Marks with nobody else there, and deletes nothing, for nothing is due; then
# takes the tombstones away for the next.
mark_alone() { # SIZE
	figure "$1/load" "$(cut -d' ' -f1 /proc/loadavg)"
	niks3 gc --older-than=720h --pending-older-than=720h >"$TMP/gc.out" \
	    2>&1 || { cat "$TMP/gc.out" "$STACK/gc.log" >&2; die 'gc failed'; }
	phases
	marking "$1/alone"
	postgres_query "$POSTGRES_DIR" "$STACK_NAME" 'truncate tombstones'
}

collect() { # SIZE
	local push watch worker name ms holders longest at_most gap
	: >"$TMP/push.log"
	: >"$TMP/watch.log"
	proc_start "$TMP" watch "$TOOLS/gc_watch" "$DB" $LOOK
	watch=$!
	proc_start "$TMP" push "$TOOLS/gc_push" "$DB" loop $REST
	push=$!
	niks3 gc --force --older-than=720h >"$TMP/gc.out" 2>&1 ||
	    { cat "$TMP/gc.out" "$STACK/gc.log" >&2; die 'niks3 gc failed'; }
	worker=$(proc_pid "$STACK" gc)
	figure "$1/memory" "$(awk '$1 == "VmHWM:" { print $2 / 1024 }' \
	    "/proc/$worker/status")"
	figure "$1/cpu-worker" "$(cpu_of "$worker")"
	figure "$1/cpu-backend" "$(cpu_of $(db_query "select pid
	    from pg_stat_activity where application_name = 'niks3-gc'"))"
	stopped push $push
	stopped watch $watch
	push_figures "$1/busy"
	read -r holders longest at_most gap <"$TMP/watch.log"
	figure "$1/lock" "$longest"
	figure "$1/lock-most" "$at_most"
	figure "$1/look" "$gap"
	figure "$1/marked" "$(run objects_marked)"
	figure "$1/deleted" "$(run objects_deleted)"
	[ "$(run objects_failed)" = 0 ] || die 'some objects were not deleted'
	phases
	while read -r name ms; do
		figure "$1/$name" "$ms"
	done <"$TMP/phases"
	figure "$1/whole" "$(awk '{ t += $2 } END { print t }' "$TMP/phases")"
	marking "$1/marking"
}

# Two large pushes: "OBJECTS BEGIN COMMIT".
large_pushes() { # SIZE
	local n begin commit
	"$TOOLS/gc_push" "$DB" once 3334 >"$TMP/large" || exit 1
	read -r n begin commit <"$TMP/large"
	figure "$1/commit" "$commit"
	"$TOOLS/gc_push" "$DB" once 15000 >"$TMP/large" || exit 1
	read -r n begin commit <"$TMP/large"
	figure "$1/begin" "$begin"
}

measure() { # SIZE
	local paths began
	paths=$(awk "BEGIN { printf \"%d\", ($1 * 1000000 + 2) / 3 }")
	began=$(date +%s)
	database "niks3-gc-$(echo "$1" | tr . -)-$(random_hex 4)" "$paths"
	figure "$1/fill" $((($(date +%s) - began) * 1000))
	figure "$1/objects" "$(db_query 'select count(*) from objects')"
	figure "$1/references" \
	    "$(db_query 'select sum(cardinality(refs)) from objects')"
	figure "$1/database" \
	    "$(db_query 'select pg_database_size(current_database())')"
	recursive_sql "$1"
	daemons
	large_pushes "$1"
	mark_alone "$1"
	quiet_pushes "$1"
	collect "$1"
	stack_stop
	postgres_drop "$POSTGRES_DIR" "$STACK_NAME"
}

# ---- the table ----

# cell NAME SIZE SCALE FORMAT: a figure divided by SCALE, or "-".
cell() {
	local v
	v=$(value "$2/$1")
	if [ -n "$v" ]; then
		awk "BEGIN { printf \"%11s\", sprintf(\"$4\", $v / $3) }"
	else
		printf '%11s' -
	fi
}

# row TEXT NAME SCALE FORMAT [grows]: with its growth per object from one size to
# the next, where 1 is linear.
row() {
	local size last=
	printf '  %-38s' "$1"
	for size in $SIZES; do
		cell "$2" "$size" "$3" "$4"
	done
	[ $# -lt 5 ] || for size in $SIZES; do
		[ -z "$last" ] || growth "$2" "$last" "$size"
		last=$size
	done
	echo
}

growth() { # NAME SIZE LARGER-SIZE
	local a b
	a=$(value "$2/$1") b=$(value "$3/$1")
	[ -z "$a" ] || [ -z "$b" ] || awk "BEGIN { if ($a > 0)
	    printf \"  x%.2f\", $b / $a / ($3 / $2) }"
}

# derive SIZE: figures of figures.
derive() {
	[ -z "$(value "$1/sql")" ] || figure "$1/ratio" \
	    "$(calc "$(value "$1/sql") / $(value "$1/alone")")"
	figure "$1/rate" "$(calc "1000 * $(value "$1/deleted") / $(
	    value "$1/delete-tombstones")")"
	figure "$1/p99-ratio" "$(calc "$(value "$1/busy-p99") / $(
	    value "$1/quiet-p99")")"
}

table() {
	local size name
	for size in $SIZES; do
		derive "$size"
	done
	printf '%-40s' 'Millions of objects'
	printf '%11s' $SIZES
	printf '   growth per object\n'
	row 'references, millions' references 1000000 %.1f
	row 'garbage, millions' marked 1000000 %.2f
	row 'database, MiB' database 1048576 %.0f grows
	row 'read, marked and tombstoned, alone, s' alone 1000 %.1f grows
	row '  recursive SQL instead, s' sql 1000 %.1f grows
	row '  that is times ours' ratio 1 %.1f
	echo 'A whole run, with pushes:'
	while read -r name ms; do
		row "phase $name, s" "$name" 1000 %.2f grows
	done <"$TMP/phases"
	row 'the whole run, s' whole 1000 %.1f grows
	row 'read, marked and tombstoned, s' marking 1000 %.1f grows
	row 'keys deleted a second' rate 1 %.0f
	row 'CPU of the worker, s' cpu-worker 1 %.1f grows
	row 'CPU of PostgreSQL for it, s' cpu-backend 1 %.1f grows
	row 'peak memory of the worker, MiB' memory 1 %.0f grows
	row 'roots lock: longest seen held, ms' lock 1 %.0f
	row '  at most, between two looks, ms' lock-most 1 %.0f
	row 'pushes without gc: number' quiet-n 1 %.0f
	row '  median, ms' quiet-p50 1 %.1f
	row '  p99, ms' quiet-p99 1 %.1f
	row '  longest, ms' quiet-max 1 %.1f
	row 'pushes meanwhile: number' busy-n 1 %.0f
	row '  median, ms' busy-p50 1 %.1f
	row '  p99, ms' busy-p99 1 %.1f
	row '  longest, ms' busy-max 1 %.1f
	row '  p99, times that without gc' p99-ratio 1 %.2f
	row 'begin of 45,000 new objects, ms' begin 1 %.0f
	row 'commit of 10,000 new objects, ms' commit 1 %.0f
	row '(filling the database, s)' fill 1000 %.0f
	row "(load of $(nproc) cores just before the run)" load 1 %.1f
}

# ---- bloat ----

sizes() { # FIGURE
	db_query "select relname, pg_table_size(oid), pg_indexes_size(oid)
	    from pg_class where relkind = 'r'
	    and relnamespace = 'public'::regnamespace
	    order by relname" | tr '|' ' ' >"$TMP/sizes-$1"
}

run_ended() {
	[ "$(db_query "select count(*) from gc_runs
	    where state in ('queued', 'running')")" = 0 ]
}

# A cycle is 20 pushes, and a collection that deletes those of ten cycles ago.
# The sleep of autovacuum, made for days, is cut to a second.
cycles() {
	local n=1 now
	postgres_query "$POSTGRES_DIR" postgres \
	    'alter system set autovacuum_naptime = 1'
	postgres_query "$POSTGRES_DIR" postgres 'select pg_reload_conf()' \
	    >/dev/null
	database "niks3-gc-cycles-$(random_hex 4)" 10000
	db_query "update closures set updated_at = now() + interval '1 day'
	    where updated_at > now() - interval '30 days'"
	daemons
	while [ $n -le $CYCLES ]; do
		"$TOOLS/gc_push" "$DB" many 20 >/dev/null || exit 1
		eval "cycle_$n=\$(date +%s%N)"
		now=$(date +%s%N)
		[ $n -gt 10 ] && eval "from=\$cycle_$((n - 10))" ||
		    from=$((now - 86400000000000))
		niks3 gc --no-wait --force \
		    --older-than=$(((now - from) / 1000000))ms \
		    >"$TMP/gc.out" 2>&1 || { cat "$TMP/gc.out" >&2; exit 1; }
		wait_until 60 run_ended || die 'a run does not end'
		case $n in 10 | 50 | 100) sizes $n ;; esac
		n=$((n + 1))
	done
	stack_stop
}

cycles_table() {
	printf '\n%-20s%33s%33s\n' 'KiB after cycles' 'table' 'indexes'
	printf '%-20s' ''
	printf '%11s' 10 50 100 10 50 100
	echo
	paste -d ' ' "$TMP/sizes-10" "$TMP/sizes-50" "$TMP/sizes-100" |
	    awk '{ printf "  %-18s%11d%11d%11d%11d%11d%11d\n", $1, $2 / 1024,
		$5 / 1024, $8 / 1024, $3 / 1024, $6 / 1024, $9 / 1024 }'
}

SIZES=${*:-0.3 3}
proc_start "$TMP" null_s3 "$NULL_S3" "$NIKS3_TEST_S3_ENDPOINT"
postgres_stop "$POSTGRES_DIR"
postgres_start "$POSTGRES_DIR" || exit 1
for size in $SIZES; do
	measure "$size"
done
table
cycles
cycles_table
