# Processes that the tests and ./dev start, and waiting for them.
#
# Each process leads a process group of its own, writes to DIR/NAME.log and is
# known by DIR/NAME.pid: its pid and its start time, so that a pid which has
# gone to somebody else (after a reboot, say) is left alone.

# What a process does when the shell that started it dies: "keep" lives on,
# "KILL" dies with it, however that shell ended.
PROC_ORPHAN=${PROC_ORPHAN:-keep}

die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# proc_born PID: prints its start time in clock ticks; fails if it is gone.
proc_born() {
	local stat pid=$1
	{ read -r stat <"/proc/$pid/stat"; } 2>/dev/null || return 1
	# The name, in brackets, may hold spaces; the state follows it.
	set -- ${stat##*) }
	[ "$1" != Z ] && echo "${20}"
}

# proc_start DIR NAME COMMAND...: it does not inherit our lock, descriptor 9.
proc_start() {
	local dir=$1 name=$2
	shift 2
	# A shell has its background ignore what Ctrl-C sends; a program must not
	# inherit that.
	setsid env --default-signal=INT,QUIT \
	    setpriv --pdeathsig "$PROC_ORPHAN" "$@" \
	    >>"$dir/$name.log" 2>&1 </dev/null 9>&- &
	echo "$! $(proc_born $!)" >"$dir/$name.pid"
}

# proc_pid DIR NAME: prints the pid; fails if it does not run.
proc_pid() {
	local pid born
	{ read -r pid born <"$1/$2.pid"; } 2>/dev/null || return 1
	[ -n "$born" ] && [ "$(proc_born "$pid")" = "$born" ] && echo "$pid"
}

# proc_kill DIR SIGNAL NAME...: to the process groups; waits for nothing.
proc_kill() {
	local dir=$1 sig=$2 name pid
	shift 2
	for name in "$@"; do
		pid=$(proc_pid "$dir" "$name") || continue
		kill -s "$sig" -- "-$pid" 2>/dev/null || :
	done
}

# proc_stop DIR SIGNAL NAME...: signals all, waits until they are gone (at most
# 15 s), and kills what is left of them.
proc_stop() {
	local dir=$1 sig=$2 name turn=0
	shift 2
	proc_kill "$dir" "$sig" "$@"
	for name in "$@"; do
		while proc_pid "$dir" "$name" >/dev/null && [ $turn -lt 300 ]; do
			turn=$((turn + 1))
			sleep .05
		done
	done
	proc_kill "$dir" KILL "$@"
	for name in "$@"; do
		rm -f "$dir/$name.pid"
	done
}

# proc_names DIR: the names of all that were started there.
proc_names() {
	local file
	for file in "$1"/*.pid; do
		[ -e "$file" ] || continue
		file=${file##*/}
		echo "${file%.pid}"
	done
}

# wait_until SECONDS COMMAND...: until the command succeeds; fails after that
# time.
wait_until() {
	local end=$(($(date +%s) + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(date +%s)" -le "$end" ] || return 1
		sleep .05
	done
}

# port_free: prints a TCP port that nobody listens on, below those that the
# kernel gives out by itself.
port_free() {
	local port hex
	while :; do
		port=$(($(od -An -N2 -tu2 /dev/urandom) % 20000 + 11000))
		hex=$(printf '%04X' "$port")
		cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
		    grep -q "^ *[0-9]*: [0-9A-F]*:$hex " || break
	done
	echo "$port"
}

# random_hex BYTES
random_hex() {
	od -An -v -N"$1" -tx1 /dev/urandom | tr -d ' \n'
}

# scratch_dir PATH: makes the directory PATH and prints it. Where its name is
# no name for a socket (too long, or odd), or where PostgreSQL's user could not
# get at it, PATH becomes a link to a directory under /tmp.
scratch_dir() {
	local dir odd=
	case $1 in *[!A-Za-z0-9/._-]*) odd=1 ;; esac
	if [ ! -d "$1" ]; then
		rm -f "$1"
		mkdir -p "$1"
		if [ -n "$odd" ] || [ ${#1} -gt 60 ] ||
		    ! $(postgres_as) test -x "$1"; then
			rmdir "$1"
			dir=$(mktemp -d /tmp/niks3.XXXXXX)
			chmod 711 "$dir"
			ln -s "$dir" "$1"
		fi
	fi
	readlink -f "$1"
}
