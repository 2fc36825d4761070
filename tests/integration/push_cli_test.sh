# What niks3 push and niks3 pins take, say and leave behind.
. "$(dirname "$0")/lib.sh"
stack_start
app=$(nix_build app) shared=$(nix_build shared) link=$(nix_build link)
chain=$(nix_build chain --arg chainLength 5)
cd "$TMP" || exit 1

# pushed COMMAND...: what its --json says of roots and paths, in one line.
pushed() {
	"$@" >json 2>push.log || { cat push.log; return 1; }
	jq -c '[.roots, .cached_roots, .paths, .uploaded_paths]' json
}

# roots: the store paths that the cache knows as pushed, by their names.
roots() {
	db_query 'select store_path from closures order by 1' | sed 's:.*/::' |
	    cut -d- -f2- | sort | xargs
}

# fresh: an empty cache again.
fresh() {
	niks3 gc --older-than=0s --pending-older-than=0s --force >gc.log 2>&1 ||
	    { cat gc.log; return 1; }
}

# ---- which paths are meant ----

ln -s "$app" result
is 'a symlink to a store path' "$(pushed niks3 push --json ./result)" '[1,0,3,3]'
is '... is the path it points to' "$(roots)" app-1.0
is 'a push of what is there is one request' \
    "$(pushed niks3 push --json result; jq .requests json)" '[1,1,0,0]
1'
mkdir -p sub/dir
ln -s ../../result sub/dir/chain
ln -s "$TMP/sub/dir/chain" longer
is 'a chain of symlinks' "$(pushed niks3 push --json longer)" '[1,1,0,0]'
ln -s sub/dir through
is 'a symlink in the middle of a path' \
    "$(pushed niks3 push --json through/chain)" '[1,1,0,0]'
is 'a path inside of a store path' \
    "$(pushed niks3 push --json "$app/bin/app")" '[1,1,0,0]'
is 'a path inside, through a symlink' \
    "$(pushed niks3 push --json result/bin/)" '[1,1,0,0]'
is 'all of them are one root' \
    "$(pushed niks3 push --json result "$app" longer "$app/bin" result)" \
    '[1,1,0,0]'
is 'a store path that is itself a symlink' \
    "$(pushed niks3 push --json "$link"; roots)" '[1,0,2,1]
app-1.0 link-1.0'
is 'several paths, one of them there' \
    "$(pushed niks3 push --json "$chain" result)" '[2,1,6,5]'
passes 'the cache forgets' fresh

list() { # COMMAND...: with three paths, twice, on its standard input
	printf '%s\n' "$app" result "$link" "$shared" "$app" | "$@"
}
is 'a list by --stdin' "$(pushed list niks3 push --json --stdin)" '[3,0,4,4]'
passes 'the cache forgets' fresh
is 'a list by -, beside an argument' \
    "$(pushed list niks3 push --json "$chain" -; roots)" '[4,0,9,9]
app-1.0 link-1.0 link-4 shared-1.0'
is 'the last line may lack its newline' \
    "$(printf %s "$app" | niks3 push --json - 2>push.log | jq .roots)" 1
is 'an empty list is no failure' \
    "$(niks3 push --json --stdin </dev/null 2>push.log | jq -c \
	'[.roots, .requests]')" '[0,0]'
fails 'no path at all is one' 'no path given' niks3 push
fails 'a path that does not exist' 'result/none: path does not exist' \
    niks3 push ./none/../result/none
fails 'a path outside of the store' "$TMP/sub: not in the store" \
    niks3 push "$TMP/sub"
fails 'a file that nix does not know' 'is not valid' \
    niks3 push "$NIX_STORE_DIR/00000000000000000000000000000000-none"

# ---- what it says ----

niks3 push "$(nix_build split.dev)" >out 2>err
is 'without --json nothing on standard output' "$(cat out)" ''
like 'it says that it is done, with figures' "$(cat err)" \
    'Upload complete.* paths=2 .*requests=[0-9]'
is 'without a terminal it draws no bar' "$(grep -c "$(printf '\r')" err)" 0
niks3 push --json "$app" >out 2>err
is '--json is one object with every figure' "$(jq -r keys[] out | xargs)" \
    "bytes cached_roots left_out ms objects paths requests roots \
uploaded_paths"
big=$(nix_build big --arg bigBytes 30000000)
script -qec "niks3 push $big" /dev/null >out 2>&1 </dev/null
like 'on a terminal it draws a bar' "$(tr '\r' '\n' <out)" '^\[[#.]+\] +[0-9]+ %'
like 'the bar counts paths' "$(tr '\r' '\n' <out)" ' 0/1 paths '

# ---- token and server ----

token=$NIKS3_AUTH_TOKEN_FILE
random_hex 24 >wrong
mkdir -p xdg/niks3 home/.config/niks3
cp "$token" xdg/niks3/auth-token
cp "$token" home/.config/niks3/auth-token
passes 'a token by NIKS3_AUTH_TOKEN_FILE' niks3 push "$app"
passes 'a token by --auth-token-path, before the environment' \
    env NIKS3_AUTH_TOKEN_FILE="$TMP/wrong" \
    niks3 push --auth-token-path "$token" "$app"
fails 'a wrong one is refused' 'hint: check the API token' \
    niks3 push --auth-token-path wrong "$app"
passes "a token in XDG's folder" env -u NIKS3_AUTH_TOKEN_FILE \
    XDG_CONFIG_HOME="$TMP/xdg" niks3 push "$app"
passes 'a token in ~/.config' env -u NIKS3_AUTH_TOKEN_FILE \
    HOME="$TMP/home" niks3 push "$app"
fails 'no token' 'no API token' env -u NIKS3_AUTH_TOKEN_FILE niks3 push "$app"
fails 'a token file that is not there' 'API token.*No such file' \
    niks3 push --auth-token-path none "$app"
passes 'the server by --server-url, before the environment' \
    env NIKS3_SERVER_URL=http://127.0.0.1:1 \
    niks3 push --server-url "$NIKS3_SERVER_URL" "$app"
passes 'options after the paths' niks3 push "$app" \
    --server-url="$NIKS3_SERVER_URL/"
fails 'no server' 'server-url' env -u NIKS3_SERVER_URL niks3 push "$app"
fails 'a server that is no URL' 'not an http' \
    niks3 push --server-url localhost "$app"
is 'the token is never shown' "$(niks3 push --print-config "$app" 2>&1 |
    grep -c "$(cat "$token")")" 0

# ---- pins ----

pin_rows() {
	niks3 pins list --json | jq -r '.[] | "\(.name) \(.store_path)"'
}
is 'no pins' "$(niks3 pins list)" 'No pins found'
is 'no pins, as JSON' "$(niks3 pins list --json)" '[]'
passes 'push --pin' niks3 push --pin release-1 "$app"
passes 'a pin by a symlink' niks3 pins create branch-main "$link"
passes 'push --pin of a dependency that is there' \
    niks3 push --pin dep "$(nix_build odd)"
is 'they are listed by name' "$(niks3 pins list --names-only)" 'branch-main
dep
release-1'
is 'they are listed as JSON' "$(pin_rows)" "branch-main $link
dep $(nix_build odd)
release-1 $app"
like 'they are listed as a table' "$(niks3 pins list)" \
    "^release-1 +$app +20[0-9]{2}-[0-9]{2}-[0-9]{2}T"
is 'the bucket has a pin, too' "$(s3 "$STACK_NAME/pins/release-1")" "$app"
passes 'a pin moves' niks3 pins create release-1 "$chain"
is '... in the list' "$(pin_rows | grep release)" "release-1 $chain"
is '... and in the bucket' "$(s3 "$STACK_NAME/pins/release-1")" "$chain"
fails 'what was not pushed cannot be pinned' 'not in the cache' \
    niks3 pins create later "$(nix_build other)"
fails 'nor can several paths at once' 'exactly one' \
    niks3 push --pin two "$app" "$link"
for name in '' .. ../up 'a b' a/b; do
	fails "a pin cannot be named '$name'" 'pin' \
	    niks3 pins create "$name" "$app"
done
passes 'gc leaves what is pinned' fresh
is '... and only that' "$(roots)" 'link-1.0 link-4 odd-1.0'
passes 'a pin is deleted' niks3 pins delete release-1
is '... in the list' "$(niks3 pins list --names-only | grep -c release)" 0
is '... and in the bucket' "$(bucket_ls pins/release)" ''
fails 'a pin that is not there' 'there is no pin release-1' \
    niks3 pins delete release-1
niks3 pins delete dep 2>err
niks3 pins delete branch-main 2>err
passes 'without pins all goes' fresh
is 'nothing is left' "$(bucket_ls | cut -d' ' -f2)" nix-cache-info

# ---- what a push that fails leaves behind ----

# Who was allowed to write may do so until then: so long its rows stay.
authorisations_end() {
	db_query "update pending set auth_until = '-infinity'"
}

# nothing_left: after the next gc neither bucket nor database know anything.
nothing_left() {
	authorisations_end
	fresh && [ "$(bucket_ls | cut -d' ' -f2)" = nix-cache-info ] &&
	    [ -z "$(s3_uploads "$STACK_NAME")" ] &&
	    [ "$(db_query "select (select count(*) from objects) +
		(select count(*) from multiparts) +
		(select count(*) from upload_needs) +
		(select count(*) from upload_writes) +
		(select count(*) from uploads where state = 'open')")" = 0 ] &&
	    bucket_recount
}
published() {
	bucket_ls | grep -c '\.narinfo$'
}

passes 'the next gc leaves nothing of what was before' nothing_left
big=$(nix_build big --arg bigBytes 200000000)
parts_open() {
	[ -n "$(s3_uploads "$STACK_NAME")" ]
}
for signal in INT TERM; do
	background push niks3 push --compression-level 12 "$big" "$app"
	passes "a push is under way" wait_until 20 parts_open
	proc_kill "$TMP" "$signal" push
	finished push
	is "SIG$signal ends it with 130" $? 130
	like '... and it says so' "$(cat push.log)" 'rolled back'
	is '... nothing is published' "$(published)" 0
	is '... no part is left' "$(s3_uploads "$STACK_NAME")" ''
	passes '... and the next gc leaves nothing of it' nothing_left
done

# refused WHAT: a closure with a changed path is not pushed.
refused() {
	local have
	have=$(nix-hash --type sha256 --base32 "$shared")
	fails "$1" "^niks3: $shared: its NAR hash is sha256:$have, but the Nix \
database says $(nix-store -q --hash "$shared")" niks3 push "$app"
	is '... nothing is published' "$(published)" 0
	passes '... and the next gc leaves nothing of it' nothing_left
}
chmod u+w "$shared/lib/libshared.so"
cp "$shared/lib/libshared.so" good
# It is random: one byte might be what it was.
printf 'eight of' | dd of="$shared/lib/libshared.so" bs=1 seek=1000 \
    conv=notrunc 2>err
refused 'a dependency with changed bytes is refused'
cp good "$shared/lib/libshared.so"
printf X >>"$shared/lib/libshared.so"
refused 'a dependency that grew is refused'
cp good "$shared/lib/libshared.so"
chmod +x "$shared/lib/libshared.so"
refused 'a dependency that became executable is refused'
chmod 444 "$shared/lib/libshared.so"
passes 'mended, it is pushed' niks3 push "$app"
passes 'the bucket is what the database says' bucket_recount
tap_done
