# A PostgreSQL cluster of our own: on a unix socket in its directory and nowhere
# else, so no port can collide. Nothing is synced to disk: it survives its own
# death, and ours, but not the machine's.

# As root, PostgreSQL must run as somebody else: prints what puts a command under
# that user, in words.
postgres_as() {
	[ "$(id -u)" -ne 0 ] ||
	    echo "setpriv --reuid=postgres --regid=postgres --clear-groups" \
		"--inh-caps=-all --pdeathsig $PROC_ORPHAN"
}

postgres_bin() {
	ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1
}

# postgres_start DIR: makes the cluster if it is not there yet. Its roles:
# postgres may do all, niks3 owns schemas, niks3_server and niks3_gc are what
# these programs connect as.
postgres_start() {
	local dir=$1 bin new=
	bin=$(postgres_bin)
	if [ ! -s "$dir/data/PG_VERSION" ]; then
		new=1
		mkdir -p "$dir"
		chmod 700 "$dir"
		[ "$(id -u)" -ne 0 ] || chown postgres:postgres "$dir"
		$(postgres_as) "$bin/initdb" -D "$dir/data" -U postgres -A trust \
		    -E UTF8 --locale=C.UTF-8 --no-sync >"$dir/initdb.log" 2>&1 ||
		    { cat "$dir/initdb.log" >&2; return 1; }
	fi
	wait_until 30 postgres_up "$dir" "$bin" ||
	    { tail -n 20 "$dir/postgres.log" >&2; return 1; }
	[ -z "$new" ] || postgres_query "$dir" postgres \
	    'create role niks3 login; create role niks3_server login;
	    create role niks3_gc login' >/dev/null
}

# Starts it again where it gave up: those that a killed server left behind need a
# moment to go.
postgres_up() {
	proc_pid "$1" postgres >/dev/null ||
	    proc_start "$1" postgres $(postgres_as) "$2/postgres" \
		-D "$1/data" -k "$1" -c listen_addresses= -c fsync=off \
		-c full_page_writes=off -c shared_buffers=64MB \
		-c max_connections=200 -c max_wal_size=4GB
	postgres_query "$1" postgres 'select 1'
}

# Fast: it breaks off what its clients are doing.
postgres_stop() {
	proc_stop "$1" INT postgres
}

# postgres_query DIR DATABASE SQL: rows without any frame, fields parted by |.
postgres_query() {
	PGOPTIONS='-c client_min_messages=warning' PGCONNECT_TIMEOUT=10 \
	    psql -X -q -A -t -v ON_ERROR_STOP=1 -h "$1" -U postgres -d "$2" \
	    -c "$3"
}

# postgres_database DIR NAME: an empty database, owned by niks3.
postgres_database() {
	postgres_query "$1" postgres "create database \"$2\" owner niks3"
}

postgres_drop() {
	postgres_query "$1" postgres \
	    "drop database if exists \"$2\" with (force)"
}
