#!/bin/sh
# The soak: run.sh [SECONDS [SEED]]. Clients push overlapping closures, pin,
# unpin and abort while garbage is collected with next to no grace, processes are
# killed, and S3 does what S3 may do. After each round an independent checker
# looks whether I1 to I5 hold, reading every live closure back. Prints TAP.
#
# The seed decides what each client does, what the proxy does to the n-th request
# of a kind, and whom the killer kills. How these fall together is up to the
# machine: a run that found something is repeated more than once.
#
#	pool.nix     what is pushed
#	client.sh    pushes, pins, unpins, aborts; a process each
#	collector.sh collects garbage
#	reader.sh    reads what is pinned, at any moment
#	audit.sql    triggers that write down every claim; verdict.sql judges them
#	facts.sql    what the database promises; soak_check looks for it
#	self_test.sh breaks each rule, to see it missed
. "$(dirname "$0")/lib.sh"
TEST=soak
SECONDS_ASKED=${1:-120}
SEED=${2:-$(od -An -N3 -tu4 /dev/urandom | tr -d ' ')}
CLIENTS=12
ROUND=16     # seconds of trouble
REST_MAX=150 # seconds until all is at rest
REST_EVERY=6 # rounds
BEGAN=$(date +%s)

# The faults of a round, per mille of the requests. A delete whose outcome is
# unknown holds up every push of its keys for 45 s, and after a SlowDown the
# uploaders are slow for long: those are fewer.
CALM=
USUAL='all error500 20
all closed 15
all hang 4
all late 25
all lost 25
all cut 10
all lie 15
all slow 10
batch error500 5
batch closed 5
batch hang 1
batch late 10
batch lost 5
batch cut 5
batch lie 5
batch half 40'
STORM='all error500 60
put slowdown 2
all closed 40
all hang 10
all late 60
all lost 60
all cut 30
all lie 40
all slow 20
batch error500 20
batch closed 20
batch late 50
batch lost 20
batch lie 20
batch half 200'

echo "# seed $SEED, $SECONDS_ASKED s"
soak_start "$SEED"
chance_seed "$SEED"

# ---- what is pushed ----

# Paths that a lost delete or a killed push holds up are out of the game for a
# while: a long soak has more of them.
VARIANTS=4
[ "$SECONDS_ASKED" -lt 600 ] || VARIANTS=8

pool_build() {
	nix-build --no-out-link -Q "$HERE/pool.nix" --arg variants $VARIANTS \
	    2>"$SOAK/build.log" || { cat "$SOAK/build.log" >&2; return 1; }
}

# The other store: at the same place for those who look at it through a mount.
other_store() {
	SOAK_UNSHARE='unshare -m'
	[ "$(id -u)" -eq 0 ] || SOAK_UNSHARE='unshare -rm'
	mkdir -p "$SOAK/other/store"
	NIX_STATE_DIR=$SOAK/other/state NIX_LOG_DIR=$SOAK/other/log \
	    NIX_LOCALSTATE_DIR=$SOAK/other/var $SOAK_UNSHARE sh -c \
	    'mount --bind "$0" "$NIX_STORE_DIR" && nix-store --init &&
	    nix-build --no-out-link -Q "$1" --arg variants "$2"' \
	    "$SOAK/other/store" "$HERE/pool.nix" $VARIANTS \
	    >"$SOAK/pool.other" 2>"$SOAK/build.other.log" &&
	    cmp "$SOAK/pool" "$SOAK/pool.other" || SOAK_UNSHARE=
	export SOAK_UNSHARE
}

pool_build >"$SOAK/pool" || exit 1
other_store
SOAK_CLOSURES=$(niks3 closures --help 2>/dev/null | head -n 1)
SOAK_DRY_RUN=$(niks3 gc --help | grep -o -e --dry-run)
SOAK_GC=
export SOAK_CLOSURES SOAK_DRY_RUN SOAK_GC
ok "a pool of $(wc -l <"$SOAK/pool") overlapping store paths after" \
    "$(($(date +%s) - BEGAN)) s"
[ -n "$SOAK_UNSHARE" ] || skip 'and of other builds of the same paths' \
    'this user may not mount'

# Closures that stay throughout, for the reader.
for n in 1 2 3; do
	chance "$(wc -l <"$SOAK/pool")"
	path=$(sed -n "$((CHANCE + 1))p" "$SOAK/pool")
	niks3 push --pin "keep-$n" "$path" >>"$SOAK/keep.log" 2>&1 ||
	    { cat "$SOAK/keep.log"; exit 1; }
	echo "closure $path" >>"$SOAK/kept"
done

# ---- one round ----

# kill_one: something dies; who of the daemons does is started again at once.
kill_one() {
	local name sql pid
	chance 100
	if [ "$CHANCE" -lt 78 ]; then
		chance_of server server uploader1 uploader2 uploader1 \
		    uploader2 gc gc signer
		name=$CHANCE
		chance_of KILL KILL KILL TERM
		tally "kill-${name%[0-9]}"
		echo "$(date +%T.%3N) $CHANCE $name" >>"$SOAK/killer.log"
		proc_stop "$STACK" "$CHANCE" "$name"
		chance_sleep 1000
		soak_run "$name"
		return
	fi
	sql="select pid from pg_stat_activity where datname = '$STACK_NAME'
	    and usename like 'niks3\\_%' order by pid"
	pid=$(postgres_query "$POSTGRES_DIR" postgres "$sql" 2>/dev/null) ||
	    return 0
	[ -n "$pid" ] || return 0
	chance_of $pid
	pid=$CHANCE
	chance 4
	echo "$(date +%T.%3N) backend $pid, $CHANCE" >>"$SOAK/killer.log"
	if [ "$CHANCE" -eq 0 ]; then
		tally kill-postgres
		kill -s KILL "$pid" 2>/dev/null || :
	else
		tally kill-backend
		postgres_query "$POSTGRES_DIR" postgres \
		    "select pg_terminate_backend($pid)" >/dev/null 2>&1 || :
	fi
}

# Whoever died without us is a violation.
all_alive() {
	local name
	for name in $DAEMONS proxy; do
		proc_pid "$STACK" "$name" >/dev/null ||
		    violation "$name died by itself"
	done
	postgres_query "$POSTGRES_DIR" postgres 'select 1' >/dev/null 2>&1 ||
	    proc_pid "$POSTGRES_DIR" postgres >/dev/null ||
	    violation 'PostgreSQL is gone'
	[ ! -s "$SOAK/violations" ]
}

loops_start() { # ROUND AGE...
	local n=1 seed=$((SEED + $1 * 1000003))
	shift
	rm -f "$SOAK/stop"
	LOOPS="collector reader"
	proc_start "$TMP" collector sh "$HERE/collector.sh" "$seed" "$@"
	proc_start "$TMP" reader sh "$HERE/reader.sh"
	while [ $n -le $CLIENTS ]; do
		proc_start "$TMP" "client-$n" sh "$HERE/client.sh" $n "$seed"
		LOOPS="$LOOPS client-$n"
		n=$((n + 1))
	done
}

loops_ended() {
	local name
	for name in $LOOPS; do
		! proc_pid "$TMP" "$name" >/dev/null || return 1
	done
}

loops_stop() {
	: >"$SOAK/stop"
	# Whoever is in the middle of something then is cut off.
	wait_until 2 loops_ended || proc_stop "$TMP" KILL $LOOPS
}

collections_ended() {
	[ "$(db_query "select count(*) from gc_runs
	    where state in ('queued', 'running')")" = 0 ]
}

# What no fault explains, in what the daemons said.
odd_words() {
	grep -hE 'Sanitizer|runtime error:|have no row|kind=(internal|forbidden|version)' \
	    "$STACK"/[gsu]*.log | head -n 20
}

round() { # NUMBER
	local end ages
	chance_of CALM USUAL USUAL USUAL STORM STORM
	echo "# faults: $CHANCE"
	eval "FAULTS=\$$CHANCE"
	chance_of '0s 0s 0s 1s' '0s 1s 2s 4s' '1s 2s 4s 20s'
	ages=$CHANCE
	echo "# --older-than: $ages"
	rates "$FAULTS"
	loops_start "$1" $ages
	end=$(($(date +%s) + ROUND))
	while [ "$(date +%s)" -lt $end ] && all_alive; do
		chance_sleep 3500
		kill_one
	done
	rates ''
	end=$(date +%s)
	loops_stop
	[ ! -s "$SOAK/violations" ] || return 1
	wait_until 20 postgres_query "$POSTGRES_DIR" postgres 'select 1' &&
	    soak_up || return 1
	wait_until 90 collections_ended ||
	    { echo 'a collection does not end'; return 1; }
	echo "# calm after $(($(date +%s) - end)) s"
	# Also now there is a row for whatever somebody may still write.
	bucket_check --rest && audit_check && db_recount && all_alive
}

# ---- at rest ----

at_rest() {
	niks3 gc --pending-older-than=0s $SOAK_GC "$@" \
	    >>"$SOAK/rest.log" 2>&1 &&
	    [ "$(db_query "select (select count(*) from pending)
		+ (select count(*) from tombstones)
		+ (select count(*) from multiparts)
		+ (select count(*) from pin_writes)
		+ (select count(*) from uploads where state = 'open')")" = 0 ]
}

# rest WHAT GC-OPTION...: leases and authorisations run out, all garbage goes, and
# the bucket is what the database says.
rest() {
	local from
	from=$(date +%s)
	wait_until 60 nothing_late && wait_until $REST_MAX at_rest "$@" ||
	    { echo "it does not come to rest"; db_query "select * from (
		select key, 'pending', auth_until from pending
		join objects on id = object_id union all
		select 'pins/' || name, 'late', until from pin_writes union all
		select key, 'tombstone ' || coalesce(claim::text, ''), first_at
		from tombstones join objects on id = object_id) t limit 20"
	    return 1; }
	echo "# at rest after $(($(date +%s) - from)) s"
	bucket_check --rest && bucket_recount && audit_check
}

# ---- all of it ----

failed() { # WHAT
	not_ok "$1" "$(cat "$SOAK/out" "$SOAK/violations" 2>/dev/null)"
	NIKS3_TEST_KEEP=1
	echo "# to repeat: sh tests/soak/run.sh $SECONDS_ASKED $SEED"
	summary
	for file in "$SOAK"/client?.log "$SOAK"/client??.log \
	    "$SOAK/collector.log" "$SOAK/killer.log" "$SOAK/rest.log" \
	    "$SOAK/faults.log"; do
		[ -s "$file" ] || continue
		echo "# ==> $file"
		tail -n 15 "$file" | sed 's/^/# /'
	done
	tap_done
	exit 1
}

# step WHAT COMMAND...: one test; the first that fails is the last. The command
# starts processes, so it must not run in a subshell.
step() {
	local what=$1
	shift
	if "$@" >"$SOAK/out" 2>&1 && [ ! -s "$SOAK/violations" ]; then
		sed -n 's/^# read.* \([0-9]*\) bytes$/\1/p' "$SOAK/out" \
		    >>"$SOAK/bytes"
		ok "$what: $(grep '^#' "$SOAK/out" | tr '\n' ' ')"
	else
		failed "$what"
	fi
}

counts() { # WORD...
	local word
	for word in "$@"; do
		printf ' %s %s,' "$word" "$(tallied "$word")"
	done | sed 's/,$//'
	echo
}

summary() {
	echo "# seed $SEED: $ROUNDS rounds in $(($(date +%s) - BEGAN)) s"
	echo "# clients:$(counts push-ok push-failed push-aborted \
	    push-stopped push-odd push-pin-ok push-pin-failed duel lone pin-ok \
	    pin-failed unpin-ok unpin-failed closure-delete-ok \
	    closure-delete-failed)"
	echo "# collections:$(counts gc-ok gc-failed dry-run-ok dry-run-failed)"
	echo "# kills:$(counts kill-server kill-uploader kill-gc kill-signer \
	    kill-backend kill-postgres)"
	echo "# faults:$(sed -n 's/.* fault \([a-z0-9]*\) .*/\1/p' \
	    "$SOAK/faults.log" | sort | uniq -c |
	    awk '{ printf " %s %d,", $2, $1 }' | sed 's/,$//')"
	echo "# carried out late: $(grep -c ' late-done ' "$SOAK/faults.log")," \
	    "keys deleted: $(grep -c ' delete ' "$SOAK/faults.log")"
	echo "# read back: $(awk '{ n += $1 } END { printf "%.1f", n / 1e6 }' \
	    "$SOAK/bytes") MB, by a reader meanwhile: $(tallied look) times"
	[ ! -s "$SOAK/odd" ] || sed 's/^/# /' "$SOAK/odd" | tail -n 40
}

ROUNDS=0
TROUBLE=$((SECONDS_ASKED - 45))
while [ $ROUNDS -eq 0 ] || [ $(($(date +%s) - BEGAN)) -lt $TROUBLE ]; do
	ROUNDS=$((ROUNDS + 1))
	step "round $ROUNDS" round $ROUNDS
	[ $((ROUNDS % REST_EVERY)) -ne 0 ] || step 'at rest' rest
done
step 'at rest, I5 holds' rest --older-than=720h
for word in push-ok push-aborted pin-ok gc-ok; do
	like "something happened: $word" "$(tallied $word)" '^[1-9]'
done
unpin_all() {
	local name
	for name in $(niks3 pins list --names-only); do
		niks3 pins delete "$name" || return 1
	done
}
step 'all pins go' unpin_all
step 'the last collection' rest --older-than=0s --force
is 'nothing is left in the bucket' "$(bucket_ls | cut -d' ' -f2)" nix-cache-info
is 'and no object in the database' \
    "$(db_query 'select count(*) from objects')" 0
is 'the daemons said nothing odd' "$(odd_words)" ''
summary
echo "# to repeat: sh tests/soak/run.sh $SECONDS_ASKED $SEED"
tap_done
