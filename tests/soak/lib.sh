# What the soak and its self-test have in common: a stack whose S3 requests go
# through the fault proxy, an audit of what the collection claims, and the checks
# of I1 to I5.

. "$(dirname "$0")/../integration/lib.sh"
HERE=$ROOT/tests/soak
. "$HERE/chance.sh"

# soak_start SEED: a stack with a PostgreSQL of its own, for it will be killed,
# and two uploaders; leases and authorisations are short, so that they run out,
# the lease first.
soak_start() {
	local name=niks3-$TEST-$(random_hex 4) dir port
	dir=$TMP/$name
	mkdir -p "$dir"
	STACKS="$STACKS $dir"
	echo "$name" >"$dir/name"
	SOAK=$TMP/soak
	mkdir -p "$SOAK"
	: >"$SOAK/tally"
	: >"$SOAK/rates"
	POSTGRES_DIR=$dir/postgres
	postgres_start "$POSTGRES_DIR" || exit 1
	STACK_UPLOADERS=2 STACK_LEASE=3s
	STACK_SERVER=--authorization-lifetime=8s
	stack_make "$dir" "$name" || exit 1
	stack_vars
	export SOAK BUILD $STACK_EXPORTS
	audit_query <"$HERE/audit.sql" || exit 1
	port=$(port_free)
	PROXY=http://127.0.0.1:$port
	proc_start "$STACK" proxy "$BUILD/tests/tools/fault_proxy" \
	    --listen "127.0.0.1:$port" --upstream "${S3_ENDPOINT#*://}" \
	    --bucket "$STACK_NAME" --rates "$SOAK/rates" \
	    --log "$SOAK/faults.log" --seed "$1" --hang 3s
	wait_until 10 grep -q listening "$STACK/proxy.log" ||
	    die "the fault proxy did not start"
	soak_up || exit 1
	export NIKS3_SERVER_URL
}

DAEMONS='signer gc server uploader1 uploader2'

# soak_run NAME: starts a daemon; the uploaders go through the proxy.
soak_run() {
	local S3_ENDPOINT=$PROXY
	[ "$1" != server ] || [ ! -e "$STACK/server.log" ] ||
	    cat "$STACK/server.log" >>"$STACK/server.old.log"
	stack_run "$1"
}

# soak_up: all that do not run, until all is healthy.
soak_up() {
	local name
	for name in $DAEMONS; do
		proc_pid "$STACK" "$name" >/dev/null || soak_run "$name"
	done
	stack_wait
}

audit_query() {
	psql -X -q -A -t -v ON_ERROR_STOP=1 "$@"
}

# rates LINE...: the faults that may happen from now on.
rates() {
	local before
	before=$(grep -c ' rates$' "$SOAK/faults.log")
	printf '%s\n' "$@" | sed '/^$/d' >"$SOAK/rates"
	proc_kill "$STACK" HUP proxy
	wait_until 10 rates_read "$before" || die "the proxy does not listen"
}

rates_read() {
	[ "$(grep -c ' rates$' "$SOAK/faults.log")" -gt "$1" ]
}

# nothing_late: every request that was put off has been carried out.
nothing_late() {
	awk '$2 == "held" { n = $3 } END { exit n > 0 }' "$SOAK/faults.log"
}

# bucket_check [--rest]: I1, I2, I3 and with --rest I5.
bucket_check() {
	local rc=0
	audit_query -f "$HERE/facts.sql" >"$SOAK/facts" || return 2
	"$BUILD/tests/tools/soak_check" --bucket "$STACK_NAME" "$@" \
	    <"$SOAK/facts" || rc=$?
	return $rc
}

# audit_check: I4; and that whatever was deleted was claimed just then.
audit_check() {
	[ -e "$SOAK/deletes.seen" ] || echo 0 >"$SOAK/deletes.seen"
	sed -n 's/^\([0-9.]*\) delete \(.*\)$/\1	\2/p' "$SOAK/faults.log" \
	    >"$SOAK/deletes"
	tail -n "+$(($(cat "$SOAK/deletes.seen") + 1))" "$SOAK/deletes" \
	    >"$SOAK/deletes.new"
	wc -l <"$SOAK/deletes" >"$SOAK/deletes.seen"
	audit_query -c "\\copy soak.deletes from '$SOAK/deletes.new'" &&
	    audit_query -f "$HERE/verdict.sql" >"$SOAK/verdict" || return 2
	[ ! -s "$SOAK/verdict" ] || { cat "$SOAK/verdict"; return 1; }
}
