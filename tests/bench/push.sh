#!/bin/sh
# Times pushes, each into an empty database and bucket, against `nix copy` of the
# same paths into a directory (which has no network to pay for), and against the
# Go client and server, whose folder NIKS3_GO_BIN names.
#
#	push.sh [CASE...]	300 3000 300MB 15000
#
# BENCH_RUNS is how often each is done: the figures are medians.
ROOT=$(cd "$(dirname "$0")/../.." && pwd -P) || exit 1
BUILD=${BUILD:-$ROOT/build}
case $BUILD in /*) ;; *) BUILD=$ROOT/$BUILD ;; esac
export ROOT BUILD
make -s -C "$ROOT" BUILD="$BUILD" all "$BUILD/tests/bench/spend" >&2 || exit 1
. "$ROOT/tests/integration/lib.sh"
TAP_DONE=1
RUNS=${BENCH_RUNS:-3}
OUR_DAEMONS='server uploader1 signer gc'
DAEMONS=$OUR_DAEMONS
mkdir "$TMP/figures" "$TMP/copies"
exec 3>"$TMP/said"

# ---- what is pushed ----

# small_closure N: makes and registers N small paths; prints the root.
small_closure() {
	set -- -v "n=$1" -v "seed=$1" -v "dir=$NIX_STORE_DIR" \
	    -f "$ROOT/tests/bench/closure.awk"
	awk -v mkdirs=1 "$@" | xargs mkdir -p
	awk "$@" >"$TMP/registration" &&
	    nix-store --register-validity <"$TMP/registration" >&3 2>&1 &&
	    head -n 1 "$TMP/registration"
}

# large_path BYTES: one path of that size, of this system's own libraries and
# programs.
large_path() {
	local dir=$TMP/large-1.0
	mkdir -p "$dir"
	find /usr/lib /usr/bin -type f -size +64k -print0 | LC_ALL=C sort -z |
	    xargs -0 cat 2>/dev/null | head -c "$1" >"$dir/data"
	nix-store --add "$dir"
	rm -rf "$dir"
}

# ---- figures ----

# figure CASE/WHO/WHAT VALUE: notes one of a run.
figure() {
	mkdir -p "$TMP/figures/${1%/*}"
	echo "$2" >>"$TMP/figures/$1"
}

# median CASE/WHO/WHAT: prints it; nothing where there is none.
median() {
	[ ! -e "$TMP/figures/$1" ] || sort -g "$TMP/figures/$1" |
	    awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

# cpu_of PID...: seconds of these processes and of children that have ended.
cpu_of() {
	local pid
	for pid in "$@"; do
		cat "/proc/$pid/stat" 2>/dev/null
	done | sed 's/.*) //' | awk -v hz="$(getconf CLK_TCK)" \
	    '{ t += $12 + $13 + $14 + $15 } END { printf "%.2f\n", t / hz }'
}

# memory_of VmHWM|VmRSS PID: MiB; of a process with children, its own.
memory_of() {
	awk -v what="$1:" '$1 == what { printf "%.1f\n", $2 / 1024 }' \
	    "/proc/$2/status"
}

# Who takes part besides the client: "NAME PID..." a line.
participants() {
	local name pid
	for name in $DAEMONS; do
		pid=$(proc_pid "$STACK" "$name") && echo "$name $pid"
	done
	pid=$(proc_pid "$POSTGRES_DIR" postgres) &&
	    echo "PostgreSQL $pid $(pgrep -P "$pid" | tr '\n' ' ')"
	[ ! -d "$TMP/ceph" ] || echo "S3-server $(proc_pid "$TMP/ceph" rgw)" \
	    "$(proc_pid "$TMP/ceph" osd)"
}

# How often the S3 server of our own was asked for something: it writes each
# request into its log.
s3_requests() {
	cat "$TMP"/ceph/*rgw*.log 2>/dev/null | grep -c 'beast: .*" [0-9]'
}

# spent CASE/WHO COMMAND...: runs it and notes what it took of its own.
spent() {
	local key=$1 wall cpu peak
	shift
	"$BUILD/tests/bench/spend" "$TMP/spent" "$@" >"$TMP/out" 2>"$TMP/err" ||
	    { tail -n 5 "$TMP/err" "$STACK"/*.log >&2; die "$1 $2 failed"; }
	read -r wall cpu peak <"$TMP/spent"
	figure "$key/wall" "$wall"
	figure "$key/cpu-client" "$cpu"
	figure "$key/peak-client" "$((peak / 1024))"
}

# watched CASE/WHO COMMAND...: and what it took of the daemons.
watched() {
	local key=$1 name pids requests before
	participants | while read -r name pids; do
		echo 5 >"/proc/${pids%% *}/clear_refs" # a new peak
		echo "$name $(cpu_of $pids)"
	done >"$TMP/before"
	requests=$(s3_requests)
	spent "$@"
	figure "$key/s3-requests" $(($(s3_requests) - requests))
	participants | while read -r name pids; do
		before=$(sed -n "s/^$name //p" "$TMP/before")
		figure "$key/cpu-$name" "$(echo "$(cpu_of $pids) $before" |
		    awk '{ printf "%.2f", $1 - $2 }')"
		figure "$key/peak-$name" "$(memory_of VmHWM "${pids%% *}")"
	done
}

push() { # CASE ROOT
	watched "$1/ours" niks3 push --json "$2"
	figure "$1/ours/http-requests" \
	    "$(jq -r 'select(.requests).requests' "$TMP/out")"
}

# nix_copy CASE ROOT [DIR]
nix_copy() {
	spent "$1/nix" nix copy \
	    --to "file://$TMP/copies/${3:-$1}?compression=zstd" "$2"
}

# ---- what the Go programs need ----

go_start() {
	STACK=$TMP/go-$1 STACK_NAME=niks3-go-$1-$(random_hex 4)
	STACKS="$STACKS $STACK"
	mkdir -p "$STACK"
	GO_ADDRESS=127.0.0.1:$(port_free)
	nix_key "$STACK" "$STACK_NAME-1" >"$STACK/key.pub"
	(umask 077; random_hex 24 >"$STACK/token")
	postgres_database "$POSTGRES_DIR" "$STACK_NAME"
	s3_bucket_make "$STACK_NAME"
	proc_start "$STACK" go-server \
	    "$NIKS3_GO_BIN/niks3-server" --http-addr "$GO_ADDRESS" \
	    --db "host=$POSTGRES_DIR user=niks3 dbname=$STACK_NAME" \
	    --s3-endpoint "${S3_ENDPOINT#*://}" --s3-use-ssl=false \
	    --s3-bucket "$STACK_NAME" --s3-region "$S3_REGION" \
	    --s3-access-key-path "${S3_CONFIG%/*}/s3-access-key" \
	    --s3-secret-key-path "${S3_CONFIG%/*}/s3-secret-key" \
	    --api-token-path "$STACK/token" --sign-key-path "$STACK/key"
	wait_until 20 curl -sf "http://$GO_ADDRESS/health" ||
	    { tail "$STACK"/*.log >&2; die 'the Go server did not start'; }
}

# go_push CASE ROOT: to the one that was started last.
go_push() {
	DAEMONS=go-server
	watched "$1/go" "$NIKS3_GO_BIN/niks3" push \
	    --server-url "http://$GO_ADDRESS" \
	    --auth-token-path "$STACK/token" "$2"
	DAEMONS=$OUR_DAEMONS
}

# ---- tables ----

# ratio A B: "2.1" when B took so many times as much as A.
ratio() {
	echo "$1 $2" | awk '{ if ($1 > 0) printf "%.1f", $2 / $1; else print "-" }'
}

# row TEXT CASE/WHO PROCESS UNITS
row() {
	local wall=
	[ "$3" != client ] || wall=$(median "$2/wall" |
	    awk '{ printf "%.2f", $1 }')
	printf '  %-24s %8s %8.2f %9.3f %8.0f\n' "$1" "$wall" \
	    "$(median "$2/cpu-$3")" \
	    "$(per "$(median "$2/cpu-$3")" "$4")" "$(median "$2/peak-$3")"
}

# per SECONDS UNITS: milliseconds each.
per() {
	echo "$1 $2" | awk '{ print 1000 * $1 / $2 }'
}

# cpu_sum CASE/WHO PROCESS...: the medians, together.
cpu_sum() {
	local key=$1 name
	shift
	for name in "$@"; do
		median "$key/cpu-$name"
	done | awk '{ t += $1 } END { print t }'
}

# table CASE TITLE UNIT UNITS
table() {
	local case=$1 n=$4 name ours
	printf '\n%s\n  %-24s %8s %8s %9s %8s\n' "$2" '' 'wall s' 'CPU s' \
	    "ms/$3" 'peak MiB'
	row 'niks3 push' "$case/ours" client "$n"
	for name in $OUR_DAEMONS PostgreSQL S3-server; do
		[ -z "$(median "$case/ours/cpu-$name")" ] ||
		    row "  $name" "$case/ours" "$name" "$n"
	done
	ours=$(cpu_sum "$case/ours" client $OUR_DAEMONS)
	printf '  %-24s %8s %8.2f %9.3f\n' 'client and our daemons' '' "$ours" \
	    "$(per "$ours" "$n")"
	printf '  %s HTTP requests to the server, %s to S3\n' \
	    "$(median "$case/ours/http-requests")" \
	    "$(median "$case/ours/s3-requests")"
	row 'nix copy --to file://' "$case/nix" client "$n"
	printf '  nix copy takes %s times our time, %s times our CPU\n' \
	    "$(ratio "$(median "$case/ours/wall")" \
		"$(median "$case/nix/wall")")" \
	    "$(ratio "$ours" "$(median "$case/nix/cpu-client")")"
	[ -z "$(median "$case/go/wall")" ] || {
		row 'Go niks3 push' "$case/go" client "$n"
		row '  server' "$case/go" go-server "$n"
		row '  PostgreSQL' "$case/go" PostgreSQL "$n"
		printf '  Go takes %s times our time, %s times our CPU; %s\n' \
		    "$(ratio "$(median "$case/ours/wall")" \
			"$(median "$case/go/wall")")" \
		    "$(ratio "$ours" \
			"$(cpu_sum "$case/go" client go-server)")" \
		    "$(median "$case/go/s3-requests") requests to S3"
	}
}

# idle WHEN: what the daemons hold when they do nothing.
idle() {
	local name
	printf '\nResident, %s:' "$1"
	for name in $DAEMONS; do
		printf '  %s %s MiB' "$name" \
		    "$(memory_of VmRSS "$(proc_pid "$STACK" "$name")")"
	done
	echo
}

# ---- cases ----

# cold CASE TITLE UNIT UNITS ROOT: pushes of what nobody has seen.
cold() {
	local run=1
	while [ $run -le "$RUNS" ]; do
		stack_start
		[ "$1$run" != "${FIRST}1" ] || idle 'just started'
		push "$1" "$5"
		stack_stop
		nix_copy "$1" "$5"
		nix_remove "$TMP/copies/$1"
		[ -z "${NIKS3_GO_BIN-}" ] || {
			go_start "$1-$run"
			go_push "$1" "$5"
			stack_stop
		}
		run=$((run + 1))
	done
	table "$1" "$2" "$3" "$4"
}

# cached ROOT: a closure that is in the cache, but for a new path on top of it.
cached() {
	local run=1 top ours
	stack_start
	ours=$STACK
	push 15000 "$1"
	nix_copy 15000 "$1"
	[ -z "${NIKS3_GO_BIN-}" ] || {
		go_start cached
		go_push 15000 "$1"
	}
	table 15000 'push of 15,000 small paths, once' path 15000
	STACK=$ours
	idle 'after that'
	while [ $run -le "$RUNS" ]; do
		top=$NIX_STORE_DIR/$(printf '%032d' $run)-top-1.0
		mkdir "$top"
		echo $run >"$top/run"
		printf '%s\n\n1\n%s\n' "$top" "$1" |
		    nix-store --register-validity >&3 2>&1
		cached_run cached "$1"
		cached_run top "$top"
		run=$((run + 1))
	done
	table cached 'push of that closure again' path 15000
	table top 'push of a new path on top of it' path 15001
}

cached_run() { # CASE ROOT
	push "$1" "$2"
	nix_copy "$1" "$2" 15000
	[ -z "${NIKS3_GO_BIN-}" ] || {
		STACK=$TMP/go-cached
		go_push "$1" "$2"
		STACK=$ours
	}
}

set -- ${*:-300 3000 300MB 15000}
FIRST=$1
[ -n "${NIKS3_GO_BIN-}" ] ||
	echo 'NIKS3_GO_BIN does not name the folder of the Go programs: left out.'
for case in "$@"; do
	case $case in
	300)	cold 300 'push of 300 small paths' path 300 \
		    "$(small_closure 300)" ;;
	3000)	cold 3000 'push of 3,000 small paths' path 3000 \
		    "$(small_closure 3000)" ;;
	300MB)	cold 300MB 'push of one path of 300 MB' MB 300 \
		    "$(large_path 300000000)" ;;
	15000)	cached "$(small_closure 15000)" ;;
	*)	die "no such case: $case" ;;
	esac
done
