# A machine of its own for a test: this one's files, with those of the test over
# them, in a container under a systemd that is booted for it. What is written there
# is gone with $TMP.

# box_why: what a kernel, or the rights here, may not give; nothing when all is there.
box_why() {
	local try=$TMP/box-try
	[ "$(id -u)" -eq 0 ] || { echo 'a container takes root'; return; }
	[ -w /sys/fs/cgroup ] || { echo 'no cgroups to be made here'; return; }
	unshare -m true 2>/dev/null ||
	    { echo 'no mount namespaces here'; return; }
	mkdir "$try" "$try/up" "$try/work" "$try/root"
	unshare -m --propagation private mount -t overlay overlay \
	    -o "lowerdir=/,upperdir=$try/up,workdir=$try/work" "$try/root" \
	    2>/dev/null || echo 'no overlay file systems here'
}

# box_boot UP: boots it with what is in UP over this machine's files, and the
# directory of the stack's PostgreSQL as /var/lib/niks3-test.
box_boot() {
	mkdir -p "$TMP/work" "$TMP/root"
	cat >"$TMP/boot.sh" <<'BOOT'
mount -t overlay overlay -o "lowerdir=/,upperdir=$2,workdir=$1/work" "$1/root"
mount -t tmpfs tmpfs /run
exec systemd-nspawn --quiet --directory "$1/root" --machine niks3-test \
    --register=no --keep-unit --bind "$3:/var/lib/niks3-test" \
    --system-call-filter="landlock_create_ruleset landlock_add_rule \
	landlock_restrict_self" --console=pipe --boot systemd.unit=basic.target
BOOT
	proc_start "$TMP" nspawn unshare -m --propagation private \
	    sh "$TMP/boot.sh" "$TMP" "$1" "$POSTGRES_DIR"
	if ! wait_until 60 box_booted; then
		not_ok 'systemd boots' "$(tail -n 40 "$TMP/nspawn.log")"
		return 1
	fi
	LEADER=$(box_leader "$(proc_pid "$TMP" nspawn)")
	ok 'systemd boots'
}

# The first process of the container: a descendant that is 1 in its own.
box_leader() {
	local pid=$1 child
	grep -q '^NSpid:.*	1$' "/proc/$pid/status" && echo "$pid" && return
	for child in $(cat "/proc/$pid/task/$pid/children"); do
		box_leader "$child" && return
	done
	return 1
}
box_booted() {
	LEADER=$(box_leader "$(proc_pid "$TMP" nspawn)") &&
	    in_box systemctl is-active --quiet basic.target
}

# in_box COMMAND...: in the container.
in_box() {
	nsenter -t "$LEADER" -a -- "$@"
}
main_pid() {
	in_box systemctl show -P MainPID "$1"
}
journal() {
	in_box journalctl --no-pager -o cat "$@"
}

# box_stack CONF: a stack on a PostgreSQL of its own, which is stopped again and
# knows our users by the lines of README.md; box_postgres starts it in the container.
# CONF gets what the units are to be told beside the examples: NAME.conf for the end
# of /etc/niks3/NAME.conf, secrets/, and port.conf, a drop-in of the socket.
box_stack() {
	local dir=$TMP/stack conf=$1 name port db
	port=$(port_free)
	name=niks3-$TEST-$(random_hex 4)
	mkdir -p "$dir" "$conf/secrets"
	chmod 700 "$conf/secrets"
	POSTGRES_DIR=$dir/postgres
	postgres_start "$POSTGRES_DIR" || return 1
	chmod 711 "$POSTGRES_DIR"
	STACKS=$dir
	echo "$name" >"$dir/name"
	stack_make "$dir" "$name" || return 1
	postgres_stop "$POSTGRES_DIR"
	sed -n '/^    # pg_ident.conf$/,/^$/{ /^    niks3 /p }' "$ROOT/README.md" \
	    >"$POSTGRES_DIR/data/pg_ident.conf"
	{
		sed -n "s/^    local niks3 all /local $name niks3,niks3_server,niks3_gc /p" \
		    "$ROOT/README.md"
		echo 'local all postgres trust'
	} >"$POSTGRES_DIR/data/pg_hba.conf"
	# This kernel may have no Landlock.
	BOX_LANDLOCK=true
	! grep -q 'not whole' "$dir/migrate.log" || BOX_LANDLOCK=false

	cp "$dir/token" "$conf/secrets/api-token"
	cp "$dir/key" "$conf/secrets/sign-key"
	cp "${S3_CONFIG%/*}/s3-access-key" "${S3_CONFIG%/*}/s3-secret-key" \
	    "$conf/secrets/"
	db="host=/var/lib/niks3-test dbname=$name"
	cat >"$conf/server.conf" <<CONF
NIKS3_DB="$db user=niks3_server"
NIKS3_CACHE_URL=$NIKS3_CACHE_URL
NIX_STORE_DIR=$STACK_STORE
NIKS3_REQUIRE_SANDBOX=$BOX_LANDLOCK
CONF
	cat >"$conf/signer.conf" <<CONF
NIKS3_REQUIRE_SANDBOX=$BOX_LANDLOCK
CONF
	cat >"$conf/uploader.conf" <<CONF
NIKS3_S3_ENDPOINT=$S3_ENDPOINT
NIKS3_S3_BUCKET=$name
NIKS3_S3_REGION=$S3_REGION
NIX_STORE_DIR=$STACK_STORE
NIKS3_REQUIRE_SANDBOX=$BOX_LANDLOCK
CONF
	cat >"$conf/gc.conf" <<CONF
NIKS3_DB="$db user=niks3_gc"
NIKS3_SERVER_URL=http://127.0.0.1:$port
NIKS3_GC_OLDER_THAN=1000h
NIKS3_REQUIRE_SANDBOX=$BOX_LANDLOCK
CONF
	echo "NIKS3_DB=\"$db user=niks3\"" >"$conf/migrate.conf"
	printf '[Socket]\nListenStream=\nListenStream=127.0.0.1:%s\n' "$port" \
	    >"$conf/port.conf"
	echo "127.0.0.1:$port" >"$dir/address"
	stack_vars
	export $STACK_EXPORTS
}

box_postgres() {
	in_box systemd-run --quiet --unit=test-postgres --uid=postgres \
	    "$(postgres_bin)/postgres" -D /var/lib/niks3-test/data \
	    -k /var/lib/niks3-test -c listen_addresses= -c fsync=off &&
	    wait_until 30 db_query 'select 1'
}

# box_ready: the server in the container answers that all is there.
box_ready() {
	curl -sf --max-time 5 -K "$STACK/token.curl" -o /dev/null \
	    "$NIKS3_SERVER_URL/api/v2/ready"
}
