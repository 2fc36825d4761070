# What every integration test begins with:
#
#	. "$(dirname "$0")/lib.sh"
#	stack_start --uploaders 2
#	path=$(nix_build app)
#	passes 'a push' niks3 push "$path"
#	tap_done
#
# Each test has a directory, $TMP, a Nix store in it, and as many stacks as it
# starts: database, bucket, key, token and daemons of their own, on PostgreSQL and
# an S3 server that all tests share, unless a test wants to break them. Whatever
# it started dies with it, however it ends.
#
# Kept when NIKS3_TEST_KEEP is set: the files in $TMP.

set -u
ROOT=${ROOT:-$(cd "$(dirname "$0")/../.." && pwd)} || exit 1
LIB=$ROOT/tests/lib
BUILD=${BUILD:-$ROOT/build}
PATH=$BUILD:$PATH
PROC_ORPHAN=KILL
for lib in proc postgres ceph s3 services nix stack nginx tap; do
	. "$LIB/$lib.sh"
done

# Also part of the bucket's name, which must not have a "_".
TEST=$(basename "${0%_test.sh}" .sh | tr _ -)
TMP=$(mktemp -d /tmp/niks3-test.XXXXXX) || exit 1
chmod 711 "$TMP"
STACKS= TAP_DONE=

test_end() {
	local rc=$? dir
	trap '' INT TERM HUP
	[ -n "$TAP_DONE" ] || {
		not_ok "$TEST came to its end" "it stopped with exit status $rc"
		rc=1
	}
	for dir in $STACKS; do
		[ $rc -eq 0 ] || tail -n 40 "$dir"/*.log | sed 's/^/# /'
		proc_stop "$dir" KILL $(proc_names "$dir")
		[ ! -e "$dir/bucket" ] || [ -z "${NIKS3_TEST_S3_ENDPOINT-}" ] ||
		    s3_bucket_drop "$(cat "$dir/name")"
		services_stop "$dir"
	done
	proc_stop "$TMP" KILL $(proc_names "$TMP")
	services_stop "$TMP"
	if [ -n "${NIKS3_TEST_KEEP-}" ]; then
		echo "# kept: $TMP"
	else
		nix_remove "$TMP"
	fi
	exit $rc
}
trap test_end EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

if [ -n "${NIKS3_TEST_SERVICES-}" ]; then
	services_use "$NIKS3_TEST_SERVICES"
else
	services_start "$TMP" || exit 1
fi
nix_store_new "$TMP/nix"
STACK_STORE=$NIX_STORE_DIR

# stack_start [--uploaders N] [--lease DURATION] [--own-postgres] [--own-s3]:
# starts a stack and makes it the one that all below speaks of. More options of
# the daemons: see tests/lib/stack.sh.
stack_start() {
	local dir name
	STACK_UPLOADERS=1 STACK_LEASE=
	name=niks3-$TEST-$(random_hex 4)
	dir=$TMP/$name
	mkdir -p "$dir"
	while [ $# -gt 0 ]; do
		case $1 in
		--uploaders)	STACK_UPLOADERS=$2; shift ;;
		--lease)	STACK_LEASE=$2; shift ;;
		--own-postgres)	POSTGRES_DIR=$dir/postgres
				postgres_start "$POSTGRES_DIR" || exit 1 ;;
		--own-s3)	ceph_start "$dir/ceph"
				s3_use "$CEPH_ENDPOINT" "$CEPH_ACCESS_KEY" \
				    "$CEPH_SECRET_KEY" "$dir" ;;
		*)		die "stack_start: $1?" ;;
		esac
		shift
	done
	STACKS="$STACKS $dir"
	echo "$name" >"$dir/name"
	stack_make "$dir" "$name" && stack_up "$STACK_UPLOADERS" || exit 1
	stack_vars
	export $STACK_EXPORTS
}

# stack_stop: as a service manager would. stack_up "$STACK_UPLOADERS" starts it
# again.
stack_stop() {
	stack_down
}

# stack_kill NAME: signer, uploader1, gc, server; postgres or ceph where the
# stack has its own. Returns when it is gone.
stack_kill() {
	case $1 in
	postgres)	proc_stop "$POSTGRES_DIR" KILL postgres ;;
	ceph)		proc_stop "$STACK/ceph" KILL rgw ;;
	*)		proc_stop "$STACK" KILL "$1" ;;
	esac
}

# stack_restart NAME: stops it if it runs, starts it, and waits until all is
# healthy.
stack_restart() {
	case $1 in
	postgres)	postgres_stop "$POSTGRES_DIR"
			postgres_start "$POSTGRES_DIR" ;;
	ceph)		proc_stop "$STACK/ceph" KILL rgw
			ceph_start "$STACK/ceph" ;;
	*)		proc_stop "$STACK" TERM "$1"
			stack_run "$1" ;;
	esac
	stack_wait
}

# background NAME COMMAND...: goes on with the test meanwhile. What it says is in
# $TMP/NAME.log; proc_kill "$TMP" INT NAME is its Ctrl-C, and finished NAME waits
# for its end and returns its exit status.
background() {
	: >"$TMP/$1.log"
	proc_start "$TMP" "$@"
	eval "BACKGROUND_$1=$!"
}

finished() {
	eval "wait \$BACKGROUND_$1"
}

# db_query SQL: rows with fields parted by |, in the stack's database.
db_query() {
	postgres_query "$POSTGRES_DIR" "$STACK_NAME" "$1"
}

# bucket_ls [PREFIX]: size and key of every object in the stack's bucket, but for
# the landing page, which the server writes when it likes.
bucket_ls() {
	s3_ls "$STACK_NAME" "${1-}" | grep -v ' index\.html$' || :
}

# bucket_text KEY: the object, decompressed where its header says so.
bucket_text() {
	local head
	head=$(curl -sSI --max-time 60 "$NIKS3_CACHE_URL/$(s3_path "$1")")
	case $head in
	*[Ee]ncoding:\ zstd*) s3_get "$STACK_NAME" "$1" | zstd -dcq ;;
	*) s3_get "$STACK_NAME" "$1" ;;
	esac
}

# bucket_recount: the bucket, with sizes, is what the database says, no multipart
# upload is open, and the database agrees with itself. For a stack at rest.
bucket_recount() {
	bucket_ls | grep -v ' nix-cache-info$' | LC_ALL=C sort \
	    >"$STACK/in-bucket"
	db_query "select c.size || ' ' || o.key from objects o
	    join contents c on c.object_id = o.id
	    where not exists (select from pending p where p.object_id = o.id)
	    union all
	    select octet_length(store_path) || ' pins/' || name from pins" |
	    LC_ALL=C sort >"$STACK/in-database"
	diff "$STACK/in-bucket" "$STACK/in-database" || return 1
	[ -z "$(s3_uploads "$STACK_NAME")" ] ||
	    { s3_uploads "$STACK_NAME"; return 1; }
	db_recount
}

# db_recount: no row stands beside an object that is gone, what a live object
# refers to is live, and the totals are those of the live objects.
db_recount() {
	db_query "with live as (
		select o.id, o.key, o.refs, c.size from objects o
		left join contents c on c.object_id = o.id
		where not exists (select from pending where object_id = o.id)
		and not exists (select from tombstones where object_id = o.id))
	    select 'side row of ' || t.id || ' in ' || t.name from (
		select object_id, 'contents' from contents union all
		select object_id, 'pending' from pending union all
		select object_id, 'tombstones' from tombstones union all
		select object_id, 'closures' from closures union all
		select object_id, 'upload_needs' from upload_needs union all
		select object_id, 'multiparts' from multiparts) t (id, name)
	    where not exists (select from objects o where o.id = t.id)
	    union all
	    select key || ' is live without content' from live
	    where size is null
	    union all
	    select key || ' refers to ' || r || ', which is not live'
	    from live, unnest(refs) r
	    where not exists (select from live l where l.id = r)
	    union all
	    select 'totals: ' || s.n || ' objects, ' || s.bytes || ' bytes'
	    from (select coalesce(sum(objects), 0), coalesce(sum(bytes), 0)
		from stat_deltas) s (n, bytes),
		(select count(*), coalesce(sum(size), 0) from live) l (n, bytes)
	    where s.n <> l.n or s.bytes <> l.bytes" >"$STACK/recount" &&
	    { [ ! -s "$STACK/recount" ] || { cat "$STACK/recount"; return 1; }; }
}

# census: the rows of every table, counted, and all that is in the bucket. Uploads
# that were rolled back are no change.
census() {
	db_query "select relname || ' ' || (xpath('/row/n/text()', query_to_xml(
	    format('select count(*) n from %I x where coalesce(
		to_jsonb(x)->>''state'', '''') <> ''aborted''', relname),
	    false, true, '')))[1]
	    from pg_class where relkind = 'r' and relname <> 'pin_writes'
	    and relnamespace = 'public'::regnamespace order by relname"
	bucket_ls
	s3_uploads "$STACK_NAME"
}

census_is() {
	[ "$(census)" = "$1" ]
}

# unchanged WHAT CENSUS: the test that it is what it was; what was rolled back is
# given some seconds to go.
unchanged() {
	wait_until 20 census_is "$2"
	is "$1" "$(census)" "$2"
}

# bucket_closed: whatever a narinfo in the bucket refers to is there too, as a
# reader at this moment would see it. Prints what is missing.
bucket_closed() {
	local size key word url missing=0 dir
	dir=$(mktemp -d "$STACK/closed.XXXXXX") || return 1
	# Listed before and after: what was there before must be whole now.
	bucket_ls | sed -n 's/^[0-9]* \([^/]*\.narinfo\)$/\1/p' \
	    >"$dir/narinfos"
	while read -r key; do
		bucket_text "$key" >"$dir/narinfo" ||
		    { echo "$key: gone" >>"$dir/gone"; continue; }
		for word in $(sed -n 's/^References: //p' "$dir/narinfo"); do
			echo "$key ${word%%-*}.narinfo"
		done
		url=$(sed -n 's/^URL: //p' "$dir/narinfo")
		echo "$key $url"
	done <"$dir/narinfos" >"$dir/needs"
	bucket_ls | cut -d' ' -f2 >"$dir/have"
	awk 'NR == FNR { have[$1] = 1; next }
	    !have[$2] { print $1 " needs " $2; bad = 1 }
	    END { exit bad }' "$dir/have" "$dir/needs" || missing=1
	[ ! -e "$dir/gone" ] || { cat "$dir/gone"; missing=1; }
	rm -rf "$dir"
	return $missing
}
