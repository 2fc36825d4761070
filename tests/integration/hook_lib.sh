# What the tests of niks3-hook have in common; after lib.sh.

SOCK=$TMP/hook.sock QUEUE=$TMP/queue/hook.db
export NIKS3_HOOK_SOCKET="$SOCK" NIKS3_HOOK_DB_PATH="$QUEUE"

# starts WHAT COMMAND...: as passes, but not in a subshell: what is started there
# would die with it.
starts() {
	local what=$1
	shift
	"$@" >"$TMP/starts" 2>&1 && ok "$what" ||
	    not_ok "$what" "$(cat "$TMP/starts")"
}

# hook_serve [OPTION...]: the daemon; what it says is in $TMP/hook.log.
hook_serve() {
	: >"$TMP/hook.log"
	proc_start "$TMP" hook niks3-hook serve --retry-delay 200ms "$@"
	wait_until 10 grep -q serving "$TMP/hook.log" ||
	    { cat "$TMP/hook.log"; return 1; }
}

# hook_end: as systemd does, the daemon and not what it runs. hook_kill: all of it.
hook_end() {
	local pid
	pid=$(proc_pid "$TMP" hook) || return 0
	kill -TERM "$pid"
	wait_until 60 hook_died
	hook_kill
}
hook_kill() {
	proc_stop "$TMP" KILL hook
}
hook_died() {
	! proc_pid "$TMP" hook >/dev/null
}

# hook_send PATH...: as Nix runs the hook after a build. What it says is in
# $TMP/said.
hook_send() {
	OUT_PATHS="$*" DRV_PATH= niks3-hook send >"$TMP/said" 2>&1
}

# stored PATH...: the same; fails unless the daemon has said that it has them.
stored() {
	hook_send "$@" && { [ ! -s "$TMP/said" ] || { cat "$TMP/said"; false; }; }
}

# in_cache PATH...: all of them.
in_cache() {
	local path
	for path in "$@"; do
		path=${path##*/}
		[ "$(curl -s -o /dev/null -w '%{http_code}' --max-time 20 \
		    "$NIKS3_CACHE_URL/${path%%-*}.narinfo")" = 200 ] ||
		    { echo "$path is not in the cache"; return 1; }
	done
}

# arrives PATH...: within 20 s.
arrives() {
	wait_until 20 in_cache "$@" || { cat "$TMP/hook.log"; return 1; }
}

# waiting, aside: how many.
waiting() {
	niks3-hook status --json | jq .waiting
}
aside() {
	niks3-hook status --json | jq .set_aside
}
waiting_is() {
	[ "$(waiting)" = "$1" ]
}
aside_is() {
	[ "$(aside)" = "$1" ]
}

# small NAME...: store paths that refer to nothing and are soon built.
small() {
	local name
	for name in "$@"; do
		nix_build file --argstr seed "$name"
	done
}
