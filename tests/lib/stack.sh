# A whole niks3: a database, a bucket, a signing key, a token, and every daemon
# as a process of its own, in the directory $STACK.
#
# Before it come PostgreSQL in $POSTGRES_DIR, the S3 server by s3_use, and the
# programs in $BUILD. Options of a daemon that a test wants are set in
# STACK_SERVER, STACK_UPLOADER, STACK_SIGNER and STACK_GC, and the lease of its
# uploads in STACK_LEASE. With STACK_IAM the uploader is given no keys.

# stack_make DIR NAME: makes what is not there yet; NAME is that of the database
# and of the bucket.
stack_make() {
	STACK=$1 STACK_NAME=$2
	mkdir -p "$STACK/run"
	stack_vars
	if [ ! -e "$STACK/token" ]; then
		(umask 077; random_hex 24 >"$STACK/token")
		(umask 077; printf 'header = "Authorization: Bearer %s"\n' \
		    "$(cat "$STACK/token")" >"$STACK/token.curl")
	fi
	[ -e "$STACK/key.pub" ] || {
		nix_key "$STACK" "$STACK_NAME-1" >"$STACK/key.new" &&
		    mv "$STACK/key.new" "$STACK/key.pub"
	} || return 1
	[ -e "$STACK/database" ] || {
		postgres_database "$POSTGRES_DIR" "$STACK_NAME" &&
		    : >"$STACK/database"
	} || return 1
	[ -e "$STACK/bucket" ] || {
		s3_bucket_make "$STACK_NAME" && : >"$STACK/bucket"
	} || return 1
	stack_migrate up
}

stack_migrate() {
	"$BUILD/niks3-migrate" --migrations-dir "$ROOT/migrations" \
	    --db "$NIKS3_DB" "$@" >>"$STACK/migrate.log" 2>&1 ||
	    { cat "$STACK/migrate.log" >&2; return 1; }
}

# What niks3, nix, psql and an S3 client need to know.
STACK_EXPORTS='NIKS3_SERVER_URL NIKS3_AUTH_TOKEN_FILE NIKS3_CACHE_URL
	NIKS3_PUBLIC_KEY NIKS3_DB PGHOST PGUSER PGDATABASE AWS_ACCESS_KEY_ID
	AWS_SECRET_ACCESS_KEY AWS_ENDPOINT_URL AWS_REGION AWS_DEFAULT_REGION'

stack_vars() {
	NIKS3_SERVER_URL= NIKS3_PUBLIC_KEY=
	[ ! -s "$STACK/address" ] ||
	    NIKS3_SERVER_URL=http://$(cat "$STACK/address")
	[ ! -s "$STACK/key.pub" ] || NIKS3_PUBLIC_KEY=$(cat "$STACK/key.pub")
	NIKS3_AUTH_TOKEN_FILE=$STACK/token
	NIKS3_CACHE_URL=$S3_ENDPOINT/$STACK_NAME
	NIKS3_DB="host=$POSTGRES_DIR user=niks3 dbname=$STACK_NAME"
	PGHOST=$POSTGRES_DIR PGUSER=niks3 PGDATABASE=$STACK_NAME
	AWS_ACCESS_KEY_ID=$S3_ACCESS_KEY AWS_SECRET_ACCESS_KEY=$S3_SECRET_KEY
	AWS_ENDPOINT_URL=$S3_ENDPOINT
	AWS_REGION=$S3_REGION AWS_DEFAULT_REGION=$S3_REGION
}

# stack_run NAME: starts signer, uploader1 ..., gc or server, without waiting. The
# server keeps the port that it once got.
stack_run() {
	local name=$1 run=$STACK/run ssl=false address=127.0.0.1:0
	local db="host=$POSTGRES_DIR dbname=$STACK_NAME"
	case $S3_ENDPOINT in https://*) ssl=true ;; esac
	[ ! -s "$STACK/address" ] || address=$(cat "$STACK/address")
	case $name in
	signer)
		set -- --sign-key-path "$STACK/key" \
		    --listen "ipc://$run/signer.sock" ${STACK_SIGNER-} ;;
	uploader*)
		set -- --s3-endpoint "${S3_ENDPOINT#*://}" \
		    --s3-use-ssl="$ssl" --s3-bucket "$STACK_NAME" \
		    --s3-region "$S3_REGION" \
		    --connect "ipc://$run/upload.sock" \
		    --connect "ipc://$run/gc-upload.sock" \
		    --store-dir "$STACK_STORE" ${STACK_UPLOADER-}
		[ -n "${STACK_IAM-}" ] || set -- "$@" \
		    --s3-access-key-path "${S3_CONFIG%/*}/s3-access-key" \
		    --s3-secret-key-path "${S3_CONFIG%/*}/s3-secret-key" ;;
	gc)
		set -- --db "$db user=niks3_gc" --listen "ipc://$run/gc.sock" \
		    --upload-socket "ipc://$run/gc-upload.sock" ${STACK_GC-} ;;
	server)
		set -- --db "$db user=niks3_server" --http-addr "$address" \
		    --api-token-path "$STACK/token" \
		    --signer-socket "ipc://$run/signer.sock" \
		    --upload-socket "ipc://$run/upload.sock" \
		    --gc-socket "ipc://$run/gc.sock" \
		    --store-dir "$STACK_STORE" \
		    --cache-url "$NIKS3_CACHE_URL" \
		    ${STACK_LEASE:+--upload-lease="$STACK_LEASE"} \
		    ${STACK_SERVER-}
		: >"$STACK/server.log" ;;
	esac
	proc_start "$STACK" "$name" "$BUILD/niks3-${name%%[0-9]*}" "$@"
}

# Which store the cache is for: the one at hand.
STACK_STORE=${NIX_STORE_DIR:-/nix/store}

# stack_up UPLOADERS: starts every daemon that does not run, and waits until the
# server says that it reaches all of them.
stack_up() {
	local n=1 names='signer gc server' name
	while [ $n -le "$1" ]; do
		names="$names uploader$n"
		n=$((n + 1))
	done
	for name in $names; do
		proc_pid "$STACK" "$name" >/dev/null || stack_run "$name"
	done
	stack_wait
}

# stack_wait: until all is healthy; else prints the last words of each daemon.
stack_wait() {
	wait_until 20 stack_ready || {
		echo "the daemons are not ready after 20 s:" >&2
		tail -n 8 "$STACK"/*.log >&2
		return 1
	}
}

stack_ready() {
	local address
	address=$(sed -n 's/.*listening address=.* port=\([0-9]*\).*/127.0.0.1:\1/p' \
	    "$STACK/server.log" | tail -n 1)
	[ -n "$address" ] &&
	    [ "$(curl -sf --max-time 5 "http://$address/health")" = OK ] &&
	    curl -sf --max-time 5 -K "$STACK/token.curl" -o /dev/null \
		"http://$address/api/v2/ready" || return 1
	echo "$address" >"$STACK/address"
	NIKS3_SERVER_URL=http://$address
}

# stack_down: stops the daemons, in any order: each survives its peers.
stack_down() {
	proc_stop "$STACK" TERM $(proc_names "$STACK")
}
