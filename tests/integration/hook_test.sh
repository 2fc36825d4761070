#!/bin/sh
# niks3-hook: run by the real Nix after each build, it hands over what was built
# and never holds a build up; the daemon pushes it, whatever is in the way.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/hook_lib.sh"
. "$LIB/newer_nix.sh"
stack_start
cd "$TMP" || exit 1
one=$(small one) two=$(small two)

# said_in SECONDS WHAT PATTERN COMMAND...: the hook exits with 0 within that time,
# and says something like that.
said_in() {
	local limit=$1 what=$2 pattern=$3 rc=0 start
	shift 3
	start=$(date +%s%N)
	"$@" >said 2>&1 || rc=$?
	is "$what: exit status" $rc 0
	like '... it says why' "$(tr '\n' ' ' <said)" "$pattern"
	[ $((($(date +%s%N) - start) / 1000000)) -lt $((limit * 1000)) ] &&
	    ok '... soon' || not_ok '... soon'
}

# ---- a hook that cannot do anything ----

said_in 2 'no daemon' 'warning: .*will not be pushed.*No such.*hint: is niks3' \
    env OUT_PATHS="$one" niks3-hook send
said_in 2 'an option that is none' 'unknown option --sockett.*did you mean' \
    env OUT_PATHS="$one" niks3-hook send --sockett=x
said_in 2 'a derivation that is not there' 'warning: .*DRV_PATH: .*No such' \
    env OUT_PATHS= DRV_PATH="$NIX_STORE_DIR/${one##*/}.drv" niks3-hook send
said_in 2 'a derivation that is none' 'warning: .*DRV_PATH: .*not a derivation' \
    env OUT_PATHS= DRV_PATH="$one" niks3-hook send
said_in 2 'nothing at all' '^$' env OUT_PATHS= niks3-hook send
starts 'the daemon starts' hook_serve
hook_pid=$(proc_pid "$TMP" hook)
kill -STOP "$hook_pid"
said_in 3 'a daemon that hangs' 'warning: .*no answer in time' \
    env OUT_PATHS="$one" niks3-hook send --timeout 1s
kill -CONT "$hook_pid"
passes 'what it had of it is pushed nevertheless' arrives "$one"
fails 'no command' '^usage: niks3-hook' env -u DRV_PATH niks3-hook
passes '--help' niks3-hook --help
fails 'a command that is none' 'no such command: listen' niks3-hook listen

# ---- the protocol ----

# raw TEXT: sends these bytes, and prints the answer.
raw() {
	perl -MIO::Socket::UNIX -e '
	    my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die "$!";
	    local $SIG{PIPE} = "IGNORE"; local $/;
	    $s->syswrite($ARGV[1] . "\n"); print scalar <$s>' "$SOCK" "$1"
}
is 'a message of the Go sender' "$(raw "{\"paths\":[\"$two\"]}")" \
    '{"status":"ok"}'
passes '... is pushed' arrives "$two"
is 'no paths' "$(raw '{"paths":[]}')" '{"status":"ok"}'
is 'null paths' "$(raw '{"paths":null}')" '{"status":"ok"}'
is 'fields of the future' "$(raw '{"paths":[],"x":{"y":[1]}}')" \
    '{"status":"ok"}'
refused() {
	like "refused: $1" "$(raw "$2")" \
	    "^\{\"status\":\"error\",\"message\":\".*$3.*\"\}\$"
}
refused 'what is no JSON' 'paths' 'message: '
refused 'what is no list' '{"paths":"x"}' 'paths'
refused 'a path of elsewhere' "{\"paths\":[\"$two\",\"/etc/passwd\"]}" \
    '/etc/passwd: not in'
refused 'a path in a path' "{\"paths\":[\"$two/bin\"]}" 'cannot have'
refused 'too many paths' "{\"paths\":[$(yes '"/x"' | head -n 10001 |
    paste -sd,)]}" 'paths'
big=$(head -c 100000 /dev/zero | tr '\0' x)
is 'refused: a message without an end' "$(perl -MIO::Socket::UNIX -e '
    my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die "$!";
    local $SIG{PIPE} = "IGNORE"; local $/;
    for (1..60) { $s->syswrite($ARGV[1]) or last }
    print scalar <$s>' "$SOCK" "$big" | grep -c 'more than the limit')" 1
is 'and nothing of all that waits' "$(waiting)" 0

# ---- run by Nix ----

hook_nix() {
	sed -i '/^post-build-hook/d' "$NIX_CONF_DIR/nix.conf"
	[ $# -eq 0 ] ||
	    echo "post-build-hook = $1" >>"$NIX_CONF_DIR/nix.conf"
}
hook_nix "$BUILD/niks3-hook"
path=$(nix_build app --argstr seed hook)
passes "what $(nix --version) builds is pushed" arrives "$path"
reader_new "$TMP/reader" "$NIKS3_PUBLIC_KEY"
passes '... and nix reads it' \
    reader_copy "$TMP/reader" "$NIKS3_CACHE_URL" "$path"
path=$(nix_build split --argstr seed hook)
passes 'so are all outputs' arrives $(nix-store -q --outputs \
    "$(nix-store -q --deriver "$path")")
path=$(nix_build addressedUser --argstr seed hook)
passes 'and those that are addressed by content' arrives "$path" \
    "$(nix_build addressed --argstr seed hook)"
printf '#!/bin/sh\nexec niks3-hook send "$@"\n' >wrapper
chmod +x wrapper
hook_nix "$TMP/wrapper"
path=$(small wrapped)
passes 'a wrapper, as for the Go program' arrives "$path"
hook_end
hook_nix "$BUILD/niks3-hook"
# Not by nix_build: that keeps what hooks say to itself.
passes 'without the daemon a build succeeds' sh -c 'nix-build --no-out-link \
    "$1" -A file --argstr seed unheard >build.log 2>&1' sh "$LIB/fixture.nix"
like '... and warns' "$(cat build.log)" \
    'niks3-hook: warning: .* will not be pushed'

# ---- the server is away ----

starts 'the daemon starts again' hook_serve
stack_kill server
paths=$(small away1 away2 away3)
hook_nix
is 'without the server the paths wait' "$(waiting)" 3
passes 'the same once more' stored $paths
is '... is no more' "$(waiting)" 3
passes 'it says that it tries again' \
    wait_until 20 grep -q 'cannot push, trying again.*kind=unavailable' hook.log
like 'status tells it' "$(niks3-hook status | tr '\n' ' ')" \
    '^niks3-hook serve is running 3 waiting since 20[^ ]*, 0 set aside waiting '
hook_kill
like 'also when the daemon is not there' "$(niks3-hook status | head -n 1)" \
    'not running'
stack_restart server
starts 'the daemon starts once more' hook_serve
passes 'what waited is pushed' arrives $paths
passes '... and waits no more' wait_until 10 waiting_is 0

# ---- somebody else answers in the server's place ----

port=$(port_free)
proc_start "$TMP" proxy perl -MIO::Socket::INET -e '
    my $l = IO::Socket::INET->new(LocalAddr => "127.0.0.1:$ARGV[0]",
	Listen => 20, ReuseAddr => 1) or die "$!";
    while (my $c = $l->accept) {
	my $n = 0;
	while (<$c>) { $n = $1 if /^Content-Length: (\d+)/i; last if /^\r?$/ }
	read $c, my $body, $n;
	print $c "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n",
	    "Connection: close\r\n\r\nnone" }' "$port"
hook_end
starts 'the daemon, with a proxy that has no server' \
    hook_serve --max-tries 1 --server-url "http://127.0.0.1:$port"
path=$(small proxied)
passes 'a path' stored "$path"
passes 'is not blamed for what the proxy says' \
    wait_until 20 grep -q 'cannot push.* answered 404.*kind=version' hook.log
is '... and waits' "$(waiting) $(aside)" '1 0'
hook_end
proc_stop "$TMP" KILL proxy
starts 'the daemon, with the server' hook_serve
passes 'which gets it' arrives "$path"
passes '... and nothing waits' wait_until 10 waiting_is 0

# ---- a path that cannot be pushed ----

good=$(small good1 good2 good3 good4 good5) bad=$(small bad)
chmod u+w "$bad"
echo 'one line more' >>"$bad"
hook_end
starts 'the daemon, to try a path twice' hook_serve --max-tries 2
passes 'a changed path among good ones' stored \
    $(echo "$good" | head -n 2) "$bad" $(echo "$good" | tail -n 3)
passes 'the good ones are pushed' arrives $good
passes 'the other one is set aside' wait_until 20 aside_is 1
is '... alone' "$(waiting)" 0
like '... which is logged' "$(cat hook.log)" \
    "set aside; niks3-hook retry.*path=${bad##*/} tries=2.*NAR hash"
like 'status tells why' "$(niks3-hook status | tr '\n' ' ')" \
    "set aside $bad +$bad: its NAR hash is .* but the Nix database says"
is 'status --json, too' "$(niks3-hook status --json |
    jq -c '.served, (.paths[] | [.path, .set_aside, .tries, .error_kind])')" \
    "true
[\"$bad\",true,2,\"corrupt\"]"
later=$(small later)
stored "$later"
passes 'others go on' arrives "$later"
wait_until 10 waiting_is 0
fails 'retry: what is not there' 'is not in the queue' \
    niks3-hook retry "$later"
fails 'retry: what is no path' 'store path' niks3-hook retry /etc/passwd
sed -i '$d' "$bad"
chmod 555 "$bad"
is 'retry, when it is mended' "$(niks3-hook retry)" 'to be tried again: 1 path'
passes '... pushes it' arrives "$bad"
passes '... and nothing is left' wait_until 10 waiting_is 0
fails 'drop without a path' 'give paths' niks3-hook drop
fails 'drop: what is not there' 'is not in the queue' niks3-hook drop "$bad"
hook_end
stack_kill server
starts 'the daemon, without a server' hook_serve --queue-max 2
stored "$(small drop1)" "$(small drop2)"
is 'drop takes a path away' "$(niks3-hook drop "$(small drop1)"; waiting)" \
    'dropped: 1 path
1'
hook_send "$(small full1)" "$(small full2)"
like 'a full queue says so' "$(cat said)" \
    'warning: .*the queue is full: it holds no more than 2 paths'
is '... and takes nothing of it' "$(waiting)" 1

# ---- a path that is gone ----

hook_end
gone=$(small gone) stay=$(small stay)
starts 'the daemon, still without a server' hook_serve
passes 'a path that will be gone' stored "$gone" "$stay"
nix-store --delete "$gone" >err 2>&1 || cat err
stack_restart server
niks3-hook retry >said
passes 'the other one is pushed' arrives "$stay"
passes '... and the gone one waits no more' wait_until 10 waiting_is 0
like '... which is logged' "$(cat hook.log)" \
    "not in the store any more, so not pushed path=${gone##*/}"

# ---- who may send, and how many ----

fails 'a second daemon on the same queue' 'another process serves it already' \
    niks3-hook serve --socket "$TMP/other.sock"
fails 'or on the same socket' 'somebody listens there' \
    niks3-hook serve --db-path "$TMP/other.db"
is 'the socket is its owner'"'s" "$(stat -c %a "$SOCK")" 600
nobody='setpriv --reuid 65534 --regid 65534 --clear-groups'
if [ "$(id -u)" -ne 0 ]; then
	skip 'others may not send' 'only root can become somebody else'
else
	out=$(OUT_PATHS="$one" $nobody niks3-hook send 2>&1)
	is 'others: exit status' $? 0
	like '... they cannot connect' "$out" 'connect to .*Permission denied'
	chmod 666 "$SOCK"
	like '... nor send where they can' \
	    "$(OUT_PATHS="$one" $nobody niks3-hook send 2>&1)" \
	    'warning: .*user 65534 may not send'
	hook_end
	starts 'the daemon, for a group' \
	    hook_serve --socket-group "$(id -gn 65534)"
	is 'whose socket it is' "$(stat -c '%a %G' "$SOCK")" \
	    "660 $(id -gn 65534)"
	is 'who is in it may send' \
	    "$(OUT_PATHS="$one" $nobody niks3-hook send 2>&1)" ''
fi
hook_end
is 'the socket goes with the daemon' "$(ls "$SOCK" 2>&1 | grep -c 'No such')" 1
starts 'the daemon, for one connection' hook_serve --max-connections 1
perl -MIO::Socket::UNIX -e 'my @s; for (1..8) {
    push @s, IO::Socket::UNIX->new(Peer => $ARGV[0]) or die "$!";
    select undef, undef, undef, 0.1 }
    sleep 1; my $line = readline $s[7]; print $line' "$SOCK" >said
like 'senders that hang are limited' "$(cat said)" 'too many senders at once'
passes '... and forgotten when they are gone' wait_until 10 stored "$one"
hook_end

# ---- the end ----

slow='--compression-level 12 --max-concurrent-uploads 1'
big=$(nix_build big --arg bigBytes 100000000) || exit 1
starts 'the daemon, slow' hook_serve $slow
stored "$big"
passes 'it pushes' wait_until 20 grep -q Uploading hook.log
hook_end
like 'told to stop, it ends what it does' "$(cat hook.log)" 'Upload complete'
passes '... which is then in the cache' in_cache "$big"
big=$(nix_build big --arg bigBytes 100000001) || exit 1
starts 'the daemon, impatient' hook_serve $slow --drain-timeout 0s
stored "$big"
passes 'it pushes' wait_until 20 grep -q Uploading hook.log
hook_end
like 'told to stop, it rolls back' "$(cat hook.log)" 'rolled back'
is '... and the path waits' "$(waiting)" 1
starts 'until it starts again' hook_serve
passes '... and pushes it' arrives "$big"
passes '... to the end' wait_until 10 waiting_is 0
hook_end

big=$(nix_build big --arg bigBytes 100000002) || exit 1
starts 'the daemon, slow' hook_serve $slow
stored "$big"
passes 'it pushes' wait_until 20 grep -q Uploading hook.log
hook_pid=$(proc_pid "$TMP" hook)
kill -TERM "$hook_pid"
sleep 0.3
passes 'told to stop, it goes on' proc_pid "$TMP" hook
kill -TERM "$hook_pid"
passes 'told again, it ends at once' wait_until 2 hook_died
kill -s KILL -- "-$hook_pid" # and what it ran
is '... and the path waits' "$(waiting)" 1
starts 'until it starts again' hook_serve
passes '... and pushes it' arrives "$big"
hook_end

# ---- systemd's socket ----

activated() {
	rm -f "$SOCK"
	proc_start "$TMP" hook systemd-socket-activate -l "$SOCK" \
	    -E NIKS3_SERVER_URL -E NIKS3_AUTH_TOKEN_FILE -E PATH -E HOME \
	    $(env | sed -n 's/^\(NIX_[A-Z_]*\)=.*/-E \1/p') \
	    niks3-hook serve --idle-exit-timeout 1s --db-path "$QUEUE"
	wait_until 10 test -S "$SOCK"
}
: >hook.log
starts 'a socket of systemd' activated
path=$(small activated)
passes 'the first sender starts the daemon' stored "$path"
passes '... which pushes' arrives "$path"
passes '... and ends when there is nothing to do' wait_until 15 hook_died
like '... as it says' "$(cat hook.log)" 'nothing to do, ending'
passes 'the socket is not its own to remove' test -S "$SOCK"

# ---- what it is told ----

passes '-n checks the configuration' niks3-hook serve -n
fails '... the token, too' 'API token' niks3-hook serve -n \
    --auth-token-path "$TMP/none"
fails '... and the group' 'no such group' niks3-hook serve -n \
    --socket-group nobody-here
fails 'no server' 'required: --server-url or NIKS3_SERVER_URL' \
    env -u NIKS3_SERVER_URL niks3-hook serve
fails 'status of no queue' 'No such file' \
    niks3-hook status --db-path "$TMP/none.db"
starts 'a token that is missing keeps nobody from sending' hook_serve \
    --auth-token-path "$TMP/none"
passes '... a path' stored "$(small tokenless)"
like '... and is logged' "$(cat hook.log)" \
    'cannot push like this; paths are queued until it is mended.*API token'
hook_end
starts 'the flags of the Go program' hook_serve --debug --batch-size=50 \
    -max-concurrent-uploads 30 --verify-s3-integrity --idle-exit-timeout=60s
hook_end

# ---- run by a newer Nix ----

# Its store is not that of the cache, so what would push only notes what it is told
# to push.
cat >pusher <<'PUSHER'
#!/bin/sh
while [ $# -gt 0 ] && [ "$1" != -- ]; do shift; done
[ $# -eq 0 ] || { shift; printf '%s\n' "$@" >>"$TMP/pushed"; }
PUSHER
chmod +x pusher
export TMP

# newer SUITE: the hook of the Nix of a later Debian.
newer() {
	local bin out suite=$1
	bin=$(newer_nix "$TMP/newer-$1" "$1") ||
	    { skip "the Nix of Debian $1 runs the hook" "$bin"; return; }
	out=$(
		: >pushed
		PATH=$bin:$PATH
		nix_store_new "$TMP/newer-$1/nix"
		hook_nix "$BUILD/niks3-hook"
		hook_serve --niks3 "$TMP/pusher" 2>&1 || exit 1
		# It takes itself for the loader of its libraries.
		set -- --option build-hook "$bin/nix __build-remote" \
		    --argstr seed "$1"
		app=$(nix_build app "$@") && ca=$(nix_build addressedUser "$@") &&
		    wait_until 20 waiting_is 0 || exit 1
		hook_end
		{ nix-store -qR "$app"; echo "$ca"; nix_build addressed "$@"; } |
		    sort -u >built
		sort -u pushed | comm -23 built -
		wc -l <built
	)
	is "$(cat "$TMP/newer-$suite/version") runs the hook" "$out" 5
	nix_remove "$TMP/newer-$suite"
}
for suite in trixie sid; do
	newer $suite
done
tap_done
