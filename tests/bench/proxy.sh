#!/bin/sh
# Times reads of one large NAR through the read proxy, against the same through
# nginx with proxy_pass and its default buffers, both in front of the same S3
# server, in turns. What counts is the CPU of the process that serves.
#
#	proxy.sh [MB]	1000
#
# BENCH_RUNS is how often each is done: the figures are medians.
ROOT=$(cd "$(dirname "$0")/../.." && pwd -P) || exit 1
BUILD=${BUILD:-$ROOT/build}
case $BUILD in /*) ;; *) BUILD=$ROOT/$BUILD ;; esac
export ROOT BUILD
make -s -C "$ROOT" BUILD="$BUILD" all >&2 || exit 1
. "$ROOT/tests/integration/lib.sh"
TAP_DONE=1
RUNS=${BENCH_RUNS:-5}
MB=${1:-1000}
KEY=nar/$(printf '%052d' 1).nar.zst

# ---- who takes part ----

STACK_SERVER=--enable-read-proxy
stack_start
head -c "${MB}000000" /dev/zero | openssl enc -aes-128-ctr -nosalt \
    -K 00000000000000000000000000000000 -iv 00000000000000000000000000000000 \
    >"$TMP/nar"
s3_put "$STACK_NAME" "$KEY" "$TMP/nar" || exit 1
rm "$TMP/nar"

# proxy_start NAME BUFFERING: on $port.
proxy_start() {
	port=$(port_free)
	nginx_start "$1" "$TMP" <<-CONF
		access_log off;
		server {
			listen 127.0.0.1:$port;
			location / {
				proxy_pass $S3_ENDPOINT/$STACK_NAME/;
				proxy_http_version 1.1;
				proxy_buffering $2;
			}
		}
	CONF
	wait_until 10 curl -s -o /dev/null "http://127.0.0.1:$port/" ||
	    die "$(cat "$TMP/$1.log")"
}

# ---- figures ----

# cpu PID: seconds of all its threads, to the nanosecond.
cpu() {
	cat "/proc/$1"/task/*/schedstat | awk '{ t += $1 } END { printf "%.4f", t / 1e9 }'
}

peak() {
	awk '/^VmHWM/ { printf "%.0f", $2 / 1024 }' "/proc/$1/status"
}

median() { # FILE COLUMN
	sort -g -k "$2" "$1" | awk -v c="$2" \
	    '{ v[NR] = $c } END { print v[int((NR + 1) / 2)] }'
}

# read_once NAME PID URL
read_once() {
	local before wall bytes
	echo 5 >"/proc/$2/clear_refs"
	before=$(cpu "$2")
	set -- "$1" "$2" "$3" $(curl -sS --max-time 300 -o /dev/null \
	    -w '%{time_total} %{size_download}' "$3")
	[ "$5" = "${MB}000000" ] || die "$1 gave $5 bytes"
	echo "$(echo "$(cpu "$2") $before" | awk '{ print $1 - $2 }') $4" \
	    "$(peak "$2")" >>"$TMP/$1.figures"
}

proxy_start nginx on
buffered=$port
proxy_start nginx-unbuffered off
unbuffered=$port
run=0 # the first one warms up
while [ $run -le "$RUNS" ]; do
	read_once ours "$(proc_pid "$STACK" server)" "$NIKS3_SERVER_URL/$KEY"
	read_once nginx "$(proc_pid "$TMP" nginx)" \
	    "http://127.0.0.1:$buffered/$KEY"
	read_once nginx-unbuffered "$(proc_pid "$TMP" nginx-unbuffered)" \
	    "http://127.0.0.1:$unbuffered/$KEY"
	[ $run -gt 0 ] || rm "$TMP"/*.figures
	run=$((run + 1))
done

printf '%s MB through a proxy, one reader, medians of %s\n' "$MB" "$RUNS"
printf '  %-28s %8s %8s %9s\n' '' 'CPU s' 'wall s' 'peak MiB'
for who in ours nginx nginx-unbuffered; do
	case $who in
	ours)	what='niks3-server' ;;
	nginx)	what='nginx, proxy_pass' ;;
	*)	what='nginx, proxy_buffering off' ;;
	esac
	printf '  %-28s %8.3f %8.2f %9s\n' "$what" \
	    "$(median "$TMP/$who.figures" 1)" \
	    "$(median "$TMP/$who.figures" 2)" \
	    "$(median "$TMP/$who.figures" 3)"
done
echo "$(median "$TMP/ours.figures" 1) $(median "$TMP/nginx.figures" 1)" \
    "$(median "$TMP/nginx-unbuffered.figures" 1)" | awk '{
	printf "  nginx takes %.1f times our CPU, %.1f without buffering\n", \
	    $2 / $1, $3 / $1 }'
