#!/bin/sh
# niks3 watch-store: what appears in the store is pushed, all of it, once, and
# nothing else; also what appeared while it was away.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/hook_lib.sh"
stack_start
cd "$TMP" || exit 1
STATE=$TMP/state/watch.db
export NIKS3_HOOK_DB_PATH="$STATE"

# watch [OPTION...]
watch() {
	: >watch.log
	proc_start "$TMP" watch niks3 watch-store --db-path "$STATE" \
	    --retry-delay 200ms "$@"
	WATCH=$!
	wait_until 10 grep -q watching watch.log || { cat watch.log; return 1; }
}
unwatch() {
	proc_stop "$TMP" "${1:-TERM}" watch
}
comes() {
	wait_until 20 in_cache "$@" || { cat watch.log; return 1; }
}
# roots: what was pushed by itself.
roots() {
	niks3 closures --json | jq -r '.[].store_path' | sed 's:.*/::' | sort
}
pushed_is() {
	[ "$(roots)" = "$(printf '%s\n' "$@" | sed 's:.*/::' | sort)" ]
}

before=$(small before)
starts 'it starts' watch
one=$(nix_build app --argstr seed one)
passes 'what is built is pushed' comes "$one"
# A closure of three paths, of which each appeared.
passes '... with all that was built' wait_until 10 pushed_is \
    $(nix-store -qR "$one")
like 'derivations are left out, and counted' "$(cat watch.log)" \
    'seen in the store paths=.* derivations-left-out=[1-9]'
fails 'what was there before is not' 'is not in the cache' in_cache "$before"
start=$(date +%s%N)
two=$(small two)
passes 'the next one comes' comes "$two"
ms=$((($(date +%s%N) - start) / 1000000))
[ $ms -lt 5000 ] && ok 'soon: it is woken' || not_ok 'soon: it is woken' "$ms ms"
sleep 1
switches() {
	cat "/proc/$WATCH/task"/*/status |
	    awk '/^voluntary_ctxt_switches/ { n += $2 } END { print n }'
}
s=$(switches)
sleep 3
s=$(($(switches) - s))
[ "$s" -lt 60 ] && ok 'idle, it sleeps' ||
    not_ok 'idle, it sleeps' "$s wake-ups in three seconds"
unwatch
wait $WATCH
is 'SIGTERM ends it well' $? 0

# ---- while it was away ----

away=$(small away1 away2)
starts 'it starts again' watch
passes 'what was built meanwhile is pushed' comes $away
unwatch KILL
away=$(small away3)
starts 'it starts after a death' watch
passes 'what was built meanwhile is pushed' comes "$away"
fails 'nothing is pushed twice by two of them' 'serves it already' \
    niks3 watch-store --db-path "$STATE"
unwatch

# ---- killed at random while much appears ----

paths=
: >watch.log
(
	i=0
	while [ $i -lt 30 ]; do
		i=$((i + 1))
		small "storm $i"
	done >storm
	echo >storm.over
) &
storm=$!
deaths=0
while [ ! -e storm.over ]; do
	watch || exit 1
	sleep "0.$(($(od -An -N2 -tu2 /dev/urandom) % 9))"
	deaths=$((deaths + 1))
	unwatch KILL
done
wait $storm
echo "# it was killed $deaths times"
is 'thirty paths appeared' "$(sort -u storm | wc -l)" 30
starts 'it starts once more' watch
passes 'all that appeared between its deaths is pushed' comes $(cat storm)
passes '... and nothing waits' wait_until 10 waiting_is 0
is '... nor was set aside' "$(aside)" 0

# ---- the server is away; a path that cannot be pushed ----

stack_kill server
path=$(small patient)
passes 'without the server it tries again' \
    wait_until 20 grep -q 'cannot push, trying again' watch.log
stack_restart server
passes '... until it is pushed' comes "$path"
unwatch
is 'nothing waits' "$(waiting)" 0

# ---- which paths ----

starts 'names that are wanted' watch --include 'app-*' --include 'odd-*' \
    --exclude '*-2.0'
named=$(nix_build app --argstr seed named)
other=$(small unnamed)
passes 'are pushed' comes "$named"
passes 'and others are seen' wait_until 10 sh -c 'grep -o \
    "names-left-out=[0-9]*" watch.log | awk -F= "{ n += \$2 } END { exit n < 1 }"'
sleep 1
fails '... and left out' 'is not in the cache' in_cache "$other"
unwatch

# A second cache, whose key signs, and one that somebody else serves.
nix_key "$TMP" upstream-1 >upstream.pub
signed=$(small signed) || exit 1
passes 'the key of another cache' nix store sign -k key "$signed"
served=$(small served)
mkdir -p upstream
echo "StoreDir: $NIX_STORE_DIR" >upstream/nix-cache-info
: >"upstream/$(basename "$served" | cut -d- -f1).narinfo"
port=$(port_free)
proc_start "$TMP" upstream perl -MIO::Socket::INET -e '
    my $l = IO::Socket::INET->new(LocalAddr => "127.0.0.1:$ARGV[0]",
	Listen => 20, ReuseAddr => 1) or die "$!";
    while (my $c = $l->accept) {
	my ($line) = <$c> =~ m{^HEAD /sub/(\S+)};
	while (<$c>) { last if /^\r?$/ }
	print $c "HTTP/1.1 ", (-e "upstream/$line" ? "200 OK" : "404 No"),
	    "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" }' "$port"
wait_until 10 curl -sI "http://127.0.0.1:$port/sub/nix-cache-info"
other=$(small neither)
filters="--skip-signed-by upstream-1 --upstream-cache http://127.0.0.1:$port/sub"
is 'push leaves out what others have' "$(printf '%s\n' "$signed" "$served" \
    "$other" | niks3 push --json --stdin $filters 2>push.log |
    jq -c '[.roots, .cached_roots, .left_out, .uploaded_paths]')" '[3,0,2,1]'
like '... and says so' "$(cat push.log)" \
    "left out path=${signed##*/} signed-by=upstream-1"
like '... of each' "$(cat push.log)" \
    "left out path=${served##*/} upstream=http://127.0.0.1:$port/sub"
like '... and how many' "$(cat push.log)" 'Upload complete.* left-out=2'
passes 'the other one is pushed' in_cache "$other"
fails '... and those are not' 'is not in the cache' in_cache "$signed"
fails '... both' 'is not in the cache' in_cache "$served"
rm -rf state
starts 'a new watch, of all that is there' watch --existing $filters
passes 'pushes the first' comes "$before"
passes '... and the rest' wait_until 30 waiting_is 0
fails '... but what one key signed' 'is not in the cache' in_cache "$signed"
fails '... and what the other cache has' 'is not in the cache' \
    in_cache "$served"
unwatch
proc_stop "$TMP" KILL upstream
is 'a cache that does not answer has nothing' "$(niks3 push --json $filters \
    "$served" 2>push.log | jq -c '[.left_out, .uploaded_paths]')" '[0,1]'

# ---- what it is told ----

passes '-n checks the configuration' niks3 watch-store -n
fails '... the token, too' 'API token' niks3 watch-store -n \
    --auth-token-path "$TMP/none"
fails 'an upstream cache that is no URL' 'not an http' \
    niks3 watch-store --upstream-cache cache.nixos.org
fails 'a key that is no name' 'not the name of a key' \
    niks3 push --skip-signed-by a:b "$one"
fails 'no server' 'required: --server-url or NIKS3_SERVER_URL' \
    env -u NIKS3_SERVER_URL niks3 watch-store
is 'errors of push --json are JSON, too' "$(niks3 push --json ./none \
    2>push.log | jq -r .error.kind)" not_found

# ---- who may not write where Nix keeps its database ----

rm -rf state
if [ "$(id -u)" -ne 0 ]; then
	skip 'a user who may only read the database' \
	    'only root can become somebody else'
else
	mkdir -m 777 state home
	: >watch.log
	chmod 644 "$NIKS3_AUTH_TOKEN_FILE"
	# The clone may be where nobody else can go.
	install -m 755 "$BUILD/niks3" "$TMP/niks3"
	proc_start "$TMP" watch setpriv --reuid 65534 --regid 65534 \
	    --clear-groups env HOME="$TMP/home" XDG_CACHE_HOME="$TMP/home" \
	    "$TMP/niks3" watch-store --db-path "$STATE"
	wait_until 10 grep -q watching watch.log
	path=$(small reader)
	passes 'a user who may only read the database sees what appears' \
	    wait_until 20 grep -q 'seen in the store.*queued=1' watch.log
	unwatch
fi
passes 'the cache is what its database says' bucket_recount
tap_done
