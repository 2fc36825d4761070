#!/bin/sh
# /metrics says what happened, /ready what is missing, and the dashboard and the
# alerts speak only of figures that there are.
. "$(dirname "$0")/lib.sh"

# A small cache may lose all of it at once, but where a test says otherwise.
STACK_GC='--max-share-floor=0'
stack_start --uploaders 2 --own-s3 --own-postgres

scrape() {
	curl -sSf --max-time 10 "$NIKS3_SERVER_URL/metrics" >"$TMP/metrics"
}

# value SERIES: its number now; 0 when there is no such series.
value() {
	scrape && awk -v s="$1 " 'index($0, s) == 1 {
	    print substr($0, length(s) + 1); seen = 1 }
	    END { if (!seen) print 0 }' "$TMP/metrics"
}

# total NAME [PATTERN]: the sum over all series of that name, that match.
total() {
	scrape && grep -E "^$1(\{| )" "$TMP/metrics" | grep -E -- "${2-.}" |
	    awk '{ n += $NF } END { printf "%.0f\n", n }'
}

value_is() {
	[ "$(value "$1")" = "$2" ]
}

total_is() {
	[ "$(total "$1" "$2")" = "$3" ]
}

total_over() {
	[ "$(total "$1" "$2")" -gt "$3" ]
}

# becomes WHAT NAME PATTERN WANTED: figures of other processes are some seconds
# old.
becomes() {
	wait_until 20 total_is "$2" "$3" "$4"
	is "$1" "$(total "$2" "$3")" "$4"
}

requests() { # METHOD ROUTE STATUS
	value "niks3_http_requests_total{method=\"$1\",route=\"$2\",status=\"$3\"}"
}

# counted WHAT METHOD ROUTE STATUS N CURL-ARGUMENTS...: of N requests all are
# counted, and timed.
counted() {
	local what=$1 method=$2 route=$3 status=$4 n=$5 before times i=0
	shift 5
	before=$(requests "$method" "$route" "$status")
	times=$(value "niks3_http_request_duration_seconds_count{method=\"$method\",route=\"$route\"}")
	while [ $i -lt "$n" ]; do
		curl -sS --max-time 10 -o /dev/null "$@"
		i=$((i + 1))
	done
	# An answer is counted when it was sent, maybe after we have it.
	wait_until 5 eval "[ \$(requests '$method' '$route' '$status') = $((before + n)) ]"
	is "$what" "$(requests "$method" "$route" "$status")" $((before + n))
	is "$what, and timed" "$(value "niks3_http_request_duration_seconds_count{method=\"$method\",route=\"$route\"}")" \
	    $((times + n))
}

# ---- the format ----

passes 'anybody may read it' scrape
like 'its type names the format' "$(curl -sSI "$NIKS3_SERVER_URL/metrics")" \
    '^Content-Type: text/plain; version=0\.0\.4; charset=utf-8'

# sane: each metric is described once and written in one piece, and every
# histogram adds up.
sane() {
	awk '
	/^# HELP / { next }
	/^# TYPE / {
		if ($3 in type) print "twice: " $3
		type[$3] = $4; family = $3; next
	}
	{
		name = $0; sub(/[{ ].*/, "", name)
		base = name; labels = $0
		if (type[family] == "histogram") sub(/_(bucket|sum|count)$/, "", base)
		if (base != family) print "astray: " $0
		if ($NF !~ /^-?[0-9]+(\.[0-9]+)?$/) print "no number: " $0
		sub(/^[^{ ]*/, "", labels); sub(/ [^ ]*$/, "", labels)
		if (name ~ /_bucket$/ && type[family] == "histogram") {
			le = labels; sub(/.*le="/, "", le); sub(/".*/, "", le)
			sub(/,?le="[^"]*"/, "", labels); sub(/^\{\}$/, "", labels)
			key = family labels
			if ($NF + 0 < n[key] + 0) print "falls: " $0
			if (le != "+Inf" && key in last && le + 0 <= last[key] + 0)
				print "order: " $0
			n[key] = $NF; last[key] = le
		} else if (name ~ /_count$/ && type[family] == "histogram") {
			key = family labels
			if (last[key] != "+Inf" || n[key] != $NF) print "count: " $0
		} else if (seen[$0 = name labels]++) print "twice: " $0
	}' "$TMP/metrics"
}
is 'it is well formed' "$(sane)" ''
if command -v promtool >/dev/null; then
	passes 'promtool reads it' promtool check metrics <"$TMP/metrics"
else
	skip 'promtool reads it' 'no promtool'
fi

# ---- requests ----

counted 'requests are counted by their route' GET 'GET /health' 200 7 \
    "$NIKS3_SERVER_URL/health"
counted 'so are those of HEAD' HEAD 'GET /health' 200 2 -I \
    "$NIKS3_SERVER_URL/health"
counted 'and those without a route' GET unmatched 404 3 \
    "$NIKS3_SERVER_URL/no/such/thing"
counted 'and with a method that there is not' other unmatched 404 2 \
    -X BREW "$NIKS3_SERVER_URL/no/such/coffee"
counted 'and those that are refused' POST 'POST /api/v2/present' 401 2 \
    -d '{}' "$NIKS3_SERVER_URL/api/v2/present"
counted 'or come with a token that nobody has' POST 'POST /api/v2/present' \
    401 1 -H 'Authorization: Bearer nobody-has-this' -d '{}' \
    "$NIKS3_SERVER_URL/api/v2/present"
scrape
is 'no credential is one result' "$(value 'niks3_auth_total{result="missing"}')" 2
is 'and a wrong one another' "$(value 'niks3_auth_total{result="unknown"}')" 1
fails 'what strangers send makes no series' '' \
    grep -E 'BREW|coffee|no/such' "$TMP/metrics"

# ---- a push ----

sum() { # SQL expression, FROM ...
	db_query "select coalesce(sum($1), 0)::bigint from $2"
}

path=$(nix_build app)
passes 'a push' niks3 push "$path"
narinfos=$(db_query "select count(*) from objects where kind = 1")
is 'the upload was begun' "$(value 'niks3_uploads_total{event="begun"}')" 1
is 'and committed' "$(value 'niks3_uploads_total{event="committed"}')" 1
is 'its bytes are those in the bucket' \
    "$(value 'niks3_upload_bytes_total{stage="stored"}')" "$(sum size contents)"
is 'those that clients could write are these without narinfos' \
    "$(value 'niks3_upload_bytes_total{stage="authorized"}')" \
    "$(sum size 'contents join objects on id = object_id where kind <> 1')"
is 'one commit was asked for' \
    "$(requests POST 'POST /api/v2/uploads/{id}/commit' 200)" 1
is 'the signer was asked once' "$(total niks3_ipc_requests_total \
    'call="nar_sign",result="ok"')" 1
becomes 'and says so' niks3_ipc_calls_total \
    'call="nar_sign",result="ok",process="signer"' 1
becomes 'each narinfo was signed' niks3_signer_signatures_total . "$narinfos"
becomes 'and stored by one of the uploaders, beside nix-cache-info and the landing page' \
    niks3_s3_requests_total 'operation="PutObject",result="ok"' \
    $((narinfos + 2))
is 'as often as it was timed' "$(total niks3_s3_request_duration_seconds_count \
    'operation="PutObject"')" "$(total niks3_s3_requests_total PutObject)"
begin=$(curl -sS -K "$STACK/token.curl" -d '{"store_dir": "'"$STACK_STORE"'",
    "roots": [0], "paths": [{"path":
    "00000000000000000000000000000000-x", "nar_hash":
    "sha256:0000000000000000000000000000000000000000000000000000",
    "nar_size": 1}]}' "$NIKS3_SERVER_URL/api/v2/uploads" | jq -r .id)
passes 'an upload is rolled back' curl -sSf -K "$STACK/token.curl" -X DELETE \
    "$NIKS3_SERVER_URL/api/v2/uploads/$begin"
is 'it is counted' "$(value 'niks3_uploads_total{event="aborted"}')" 1

counted 'what a client leaves out' POST 'POST /api/uploads/skipped' 204 2 \
    -K "$STACK/token.curl" -d '{"paths": 3, "nar_bytes": 1000}' \
    "$NIKS3_SERVER_URL/api/uploads/skipped"
is 'its paths' "$(value niks3_upload_skipped_paths_total)" 6
is 'and its bytes' "$(value niks3_upload_skipped_nar_bytes_total)" 2000
counted 'the routes of the contract' POST \
    'POST /api/pending_closures/{id}/complete' 404 1 -K "$STACK/token.curl" \
    -X POST "$NIKS3_SERVER_URL/api/pending_closures/99/complete"

# ---- other processes ----

ids() { # ROLE
	scrape && sed -n 's/^niks3_process_start_time_seconds{process="'"$1"'",process_id="\([^"]*\)"} .*/\1/p' \
	    "$TMP/metrics" | sort -u
}
ids_are() {
	[ "$(ids "$1" | wc -l)" = "$2" ]
}
passes 'both uploaders are known' wait_until 20 ids_are uploader 2
passes 'so is the signer' ids_are signer 1
passes 'and the worker' ids_are gc 1
is 'both are connected' "$(value 'niks3_peers_connected{peer="uploader"}')" 2
old=$(ids uploader)
stack_restart uploader1
passes 'one that was started anew is another process' \
    wait_until 20 ids_are uploader 3
puts=$(total niks3_s3_requests_total 'PutObject",result="ok"')
is 'nothing that was counted is lost' "$puts" $((narinfos + 2))
gone_is_forgotten() {
	ids_are uploader 2 && [ "$(ids uploader)" != "$old" ]
}
passes 'the one that is gone is forgotten' wait_until 90 gone_is_forgotten

# ---- an outage of S3 ----

retries=$(total niks3_s3_retries_total)
stack_kill ceph
background pin niks3 pins create release "$path"
passes 'what S3 does not answer is counted' wait_until 30 \
    total_over niks3_s3_requests_total 'PutObject",result="unavailable"' 0
passes 'and that it is asked again' wait_until 30 \
    total_over niks3_s3_retries_total . "$retries"
ceph_start "$STACK/ceph"
finished pin
is 'it succeeds in the end' $? 0
becomes 'which is counted as well' niks3_ipc_calls_total \
    'call="pin_put",result="ok"' 1

# ---- garbage collections ----

other=$(nix_build app --argstr seed other)
passes 'another push' niks3 push "$other"
stack_restart server # reads the figures of the database at once
refreshed() {
	[ "$(value niks3_database_figures_timestamp_seconds)" != 0 ] &&
	    [ "$(value niks3_cache_logical_bytes)" != 0 ]
}
live() {
	sum "$1" "objects left join contents on id = object_id
	    where id not in (select object_id from pending)
	    and id not in (select object_id from tombstones)"
}
passes 'a server that starts reads the database' wait_until 20 refreshed
is 'objects' "$(value niks3_cache_objects)" "$(live 1)"
is 'bytes' "$(value niks3_cache_stored_bytes)" "$(live size)"
is 'bytes of NARs' "$(value niks3_cache_logical_bytes)" "$(live nar_size)"
is 'closures' "$(value niks3_closures)" 2
is 'pins' "$(value niks3_pins)" 1
is 'uploads' "$(value 'niks3_uploads{state="committed"}')" 2
is 'no collection has succeeded' \
    "$(grep -c '^niks3_gc_last_run_timestamp_seconds' "$TMP/metrics")" 0
is 'none has run' "$(value 'niks3_gc_runs_total{result="succeeded"}')" 0

fails 'a collection that would take too much' share \
    niks3 gc --older-than=0s --pending-older-than=0s --max-share=1
passes 'a dry run' niks3 gc --older-than=0s --pending-older-than=0s --dry-run
passes 'a collection' niks3 gc --older-than=0s --pending-older-than=0s \
    --max-share=100
run() {
	db_query "select $1 from gc_runs where kind = 'collect'
	    and state = 'succeeded'"
}
becomes 'the worker timed its phases' niks3_gc_phase_duration_seconds_count \
    'phase="delete-tombstones"' 1
stack_restart server
passes 'it reads the database again' wait_until 20 refreshed
is 'one collection succeeded' \
    "$(value 'niks3_gc_runs_total{result="succeeded"}')" 1
is 'one failed' "$(value 'niks3_gc_runs_total{result="failed"}')" 1
is 'both were timed' "$(value niks3_gc_duration_seconds_count)" 2
is 'when it ended' "$(value niks3_gc_last_run_timestamp_seconds |
    awk '{ printf "%.6f\n", $1 }')" \
    "$(run "round(extract(epoch from finished_at), 6)")"
passes 'something was deleted' [ "$(run objects_deleted)" -gt 0 ]
is 'what was deleted' "$(value niks3_gc_objects_deleted_total)" \
    "$(run objects_deleted)"
is 'its bytes' "$(value niks3_gc_bytes_deleted_total)" "$(run bytes_deleted)"
is 'what was marked' "$(value niks3_gc_objects_marked_total)" \
    "$(run objects_marked)"
is 'closures that ended' "$(value niks3_gc_closures_deleted_total)" 1
is 'what is left' "$(value niks3_cache_objects)" "$(live 1)"

# ---- what speaks of these figures ----

passes 'the server that was restarted hears of the uploaders' \
    wait_until 20 ids_are uploader 2
sed -n 's/^# TYPE \([^ ]*\) .*/\1/p' "$TMP/metrics" >"$TMP/names"
unknown() {
	grep -oE '\b(niks3|process)_[a-z0-9_]+' "$1" | grep -vx process_id |
	    sort -u | while read -r name; do
		grep -qx "$name" "$TMP/names" ||
		    grep -qx "$(echo "$name" | sed -E 's/_(bucket|sum|count)$//')" \
		    "$TMP/names" || echo "$name"
	done
}
for file in contrib/grafana/niks3.json contrib/prometheus/niks3.rules.yml; do
	passes "$file names figures" grep -q niks3_http_requests_total \
	    "$ROOT/$file"
	is "and only such as there are ($file)" "$(unknown "$ROOT/$file")" ''
done
is 'an unknown one would be seen' "$(echo 'rate(niks3_nothing_total)' \
    >"$TMP/x"; unknown "$TMP/x")" niks3_nothing_total
passes 'the dashboard is JSON, with its panels in their places' jq -e '
    .panels | length > 20 and (map(.id) | unique | length) == length and
    all(.[]; .gridPos.x + .gridPos.w <= 24)' \
    "$ROOT/contrib/grafana/niks3.json"
if command -v promtool >/dev/null; then
	passes 'promtool reads the alerts' promtool check rules \
	    "$ROOT/contrib/prometheus/niks3.rules.yml"
	jq -r '.panels[].targets[]?.expr' "$ROOT/contrib/grafana/niks3.json" |
	    sed 's/\$__rate_interval/5m/g; s/\$job/niks3/g' |
	    awk 'BEGIN { print "groups: [{name: x, rules: [" }
	    { gsub(/\x27/, "\x27\x27"); print "{record: \"x" NR "\", expr: \x27" $0 "\x27}," }
	    END { print "]}]" }' >"$TMP/panels.yml"
	passes 'and what the panels ask for' promtool check rules \
	    "$TMP/panels.yml"
else
	skip 'promtool reads the alerts' 'no promtool'
	skip 'and what the panels ask for' 'no promtool'
fi

# ---- ready? ----

ready() {
	curl -sS --max-time 10 -w ' %{http_code}' \
	    "$NIKS3_SERVER_URL${1-/ready}" | tr '\n' ' '
}
ready_is() {
	[ "$(ready)" = "$1" ]
}
passes 'all is there' wait_until 10 ready_is 'ready  200'
is 'by its other name too' "$(ready /readyz)" 'ready  200'

pings=$(total niks3_ipc_requests_total 'peer="signer",call="ping"')
began=$(date +%s)
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	ready >/dev/null
done
took=$(($(date +%s) - began))
pings=$(($(total niks3_ipc_requests_total 'peer="signer",call="ping"') - pings))
passes "twenty questions in $took s are $pings looks" \
    [ $pings -le $((took + 2)) ]

stack_kill signer
passes 'the signer is missing' wait_until 10 ready_is 'missing: signer  503'
stack_kill uploader1
stack_kill uploader2
passes 'and uploaders' wait_until 10 ready_is 'missing: signer uploader  503'
is 'none is connected' "$(value 'niks3_peers_connected{peer="uploader"}')" 0
stack_kill postgres
passes 'and the database' wait_until 20 \
    ready_is 'missing: database signer uploader  503'
is 'it is alive all the same' "$(ready /health) $(ready /healthz)" \
    'OK  200 OK  200'
passes 'and tells its figures' scrape
is 'which are well formed' "$(sane)" ''
like 'who may know is told more' "$(curl -sS -K "$STACK/token.curl" \
    "$NIKS3_SERVER_URL/api/v2/ready")" '"message":"[^"]*database: connection'
postgres_start "$POSTGRES_DIR"
for name in signer uploader1 uploader2; do
	stack_run $name
done
passes 'it recovers' wait_until 30 ready_is 'ready  200'
tap_done
