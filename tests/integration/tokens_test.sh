#!/bin/sh
# Tokens from end to end: made, used, listed, revoked and expired; what each scope
# may do on every route; whose an upload is; and what is said of a bad one.
. "$(dirname "$0")/lib.sh"

STACK_SERVER='--log-level debug'
stack_start
admin=$(cat "$STACK/token")
api=$NIKS3_SERVER_URL/api/v2

# with TOKEN COMMAND...: niks3 by that token.
with() {
	local token=$1
	shift
	printf '%s' "$token" >"$TMP/with"
	NIKS3_AUTH_TOKEN_FILE=$TMP/with "$@"
}
# ask TOKEN METHOD PATH [CURL-OPTION...]: prints the status; the body is in
# $TMP/body.
ask() {
	local token=$1 method=$2 path=$3
	shift 3
	printf 'header = "Authorization: Bearer %s"\n' "$token" |
	    curl -sS --max-time 30 -K - -o "$TMP/body" -w '%{http_code}' \
	    -X "$method" "$@" "${URL-$api}$path"
}
# answers STATUS TOKEN METHOD PATH...: for wait_until.
answers() {
	local want=$1
	shift
	[ "$(ask "$@")" = "$want" ]
}

# ---- made, listed, used ----

for scope in read write pin gc admin; do
	niks3 token create --scope $scope --name "only-$scope" \
	    >"$TMP/$scope" 2>>"$TMP/said" ||
	    not_ok "a token with scope $scope" "$(cat "$TMP/said")"
	like "a token with scope $scope" "$(cat "$TMP/$scope")" \
	    '^niks3_[0-9a-f]{64}$'
done
write=$(cat "$TMP/write") admin_only=$(cat "$TMP/admin")
niks3 token create --scope read,gc --scope pin --expires 30d --json \
    >"$TMP/json" 2>/dev/null
is 'several scopes, an end, and JSON' "$(jq -r '[(.token | length),
    (.entry.scopes | sort | join(",")),
    ((.entry.expires_at | sub("\\..*Z"; "Z") | fromdate) - now > 29 * 86400),
    .entry.name] | join(" ")' <"$TMP/json")" '70 gc,pin,read true '
fails 'a scope that is none' 'root: no such scope' \
    niks3 token create --scope root
fails 'no scope' 'required: --scope' niks3 token create
fails 'a name that is taken' 'the name is taken' \
    niks3 token create --scope read --name only-read
fails 'a name that would be an id' 'taken for an id' \
    niks3 token create --scope read --name 12
niks3 token list >"$TMP/list"
is 'the list tells them all' "$(cut -f2,3 "$TMP/list" | tail -n +2 | tr '\t\n' ' |')" \
    'only-read read|only-write write|only-pin pin|only-gc gc|only-admin admin|- read,pin,gc|'
niks3 token list --json >"$TMP/list"
is '... also in JSON, with who made them' \
    "$(jq -r 'map(.created_by) | unique | join(",")' "$TMP/list")" api-token
is 'no token is listed' "$(grep -c niks3_ "$TMP/list")" 0
is '... nor in the database' "$(db_query "select count(*) from tokens t
    where t::text like '%niks3_%'")" 0

path=$(nix_build shared) || exit 1
passes 'a push with a token that may write' with "$write" niks3 push "$path"
fails 'none with one that may only read' 'token lacks scope write' \
    with "$(cat "$TMP/read")" niks3 push "$path"
fails 'nor with one that may only delete' 'token lacks scope write' \
    with "$admin_only" niks3 push "$path"
is 'the upload is of that token' "$(db_query "select owner from uploads")" \
    "token:$(db_query "select id from tokens where name = 'only-write'")"
is 'its use is noted' "$(db_query "select last_used_at > now() - interval '1 min'
    from tokens where name = 'only-write'")" t
used=$(db_query "select last_used_at from tokens where name = 'only-write'")
db_query "update tokens set last_used_at = last_used_at - interval '30 s'
    where name = 'only-write'"
used=$(db_query "select last_used_at from tokens where name = 'only-write'")
sleep 6
ask "$write" GET /pins >/dev/null
is '... at most once a minute' "$(db_query "select last_used_at from tokens
    where name = 'only-write'")" "$used"

# ---- scopes by route ----

# Every route of the native API that asks for a scope, and those that will do.
# What is named does not exist, so that nothing happens to who is let in.
cat >"$TMP/routes" <<'EOT'
GET /ready write
POST /present write
POST /uploads write
DELETE /uploads/none write
POST /uploads/none/authorize write
POST /uploads/none/multipart write
POST /uploads/none/multipart/complete write
POST /uploads/none/commit write
POST /gc gc,admin
GET /gc gc,admin
GET /gc/999999 gc,admin
GET /gc/999999/roots gc,admin
GET /closures read,write,admin
GET /closures/none read,write,admin
DELETE /closures/none admin
GET /why read,write,admin
GET /why/none read,write,admin
GET /pins read,write,pin,admin
PUT /pins/none write,pin
DELETE /pins/none pin,admin
GET /tokens admin
POST /tokens admin
DELETE /tokens/none admin
GET /whoami read,write,pin,gc,admin
POST /doctor admin
EOT
is 'the table has every route' "$(wc -l <"$TMP/routes")" \
    "$(grep -c '^	{ "[A-Z]*", V2 ' "$ROOT/bin/niks3-server/routes.c" |
    awk '{ print $1 - 2 }')" # but /cache and /narinfos, for everybody
while read -r method route may; do
	wrong=
	for scope in read write pin gc admin; do
		got=$(ask "$(cat "$TMP/$scope")" "$method" "$route" \
		    -H 'Content-Length: 0')
		case ",$may," in
		*",$scope,"*)
			case $got in 401 | 403) wrong="$wrong $scope:$got" ;; esac ;;
		*)
			[ "$got" = 403 ] && grep -q \
			    '"message":"Forbidden: token lacks scope [a-z]*"' \
			    "$TMP/body" || wrong="$wrong $scope:$got" ;;
		esac
	done
	got=$(ask '' "$method" "$route")
	[ "$got" = 401 ] || wrong="$wrong nobody:$got"
	got=$(ask "$admin" "$method" "$route")
	case $got in 401 | 403) wrong="$wrong api-token:$got" ;; esac
	is "$method $route is for $may" "$wrong" ''
done <"$TMP/routes"
is 'a body that nobody may send is not waited for' \
    "$(ask "$(cat "$TMP/read")" POST /uploads -H 'Content-Length: 9999')" 403

# ---- nobody gives what he lacks ----

for scope in write pin gc; do
	is "an administrator's token does not give $scope" \
	    "$(ask "$admin_only" POST /tokens \
	    -d "{\"scopes\":[\"$scope\"],\"name\":\"x\"}")" 403
	like '... and is told so' "$(cat "$TMP/body")" \
	    "\"the scope $scope cannot be given by who lacks it\""
done
is 'it gives what it has, and what that implies' "$(ask "$admin_only" POST \
    /tokens -d '{"scopes":["admin","read"]}')" 201
is '... as itself' "$(db_query "select count(*) from tokens t
    where created_by = 'token:' || (select id from tokens
    where name = 'only-admin')")" 1

# ---- an upload belongs to its credential ----

passes 'a token more' sh -c "niks3 token create --scope write \
    --name second >'$TMP/second' 2>/dev/null"
second=$(cat "$TMP/second")
hash=$(printf '%032d' 0)
ask "$write" POST /uploads -d "{\"store_dir\":\"$STACK_STORE\",\"roots\":[0],
    \"paths\":[{\"path\":\"$hash-x\",\"nar_size\":8,\"nar_hash\":
    \"sha256:$(printf '%064d' 1)\"}]}" >"$TMP/status"
like 'an upload is begun' "$(cat "$TMP/status") $(cat "$TMP/body")" '^20[01] '
id=$(jq -r .id <"$TMP/body")
is 'another token cannot end it' "$(ask "$second" DELETE "/uploads/$id")" 404
is '... nor the API token' "$(ask "$admin" DELETE "/uploads/$id")" 404
is '... but its own can' "$(ask "$write" DELETE "/uploads/$id")" 204

# ---- its end ----

# Revoked while a push is under way: what it has begun goes on, what comes next
# does not. It must leave workers of the server for others, who wait for the
# uploader with it.
path=$(nix_build everything --arg bigBytes 20000000 --arg smallFiles 50) || exit 1
proc_kill "$STACK" STOP uploader1
printf '%s' "$second" >"$TMP/second.token"
NIKS3_AUTH_TOKEN_FILE=$TMP/second.token background push \
    niks3 push --max-concurrent-uploads 2 "$path"
begun() {
	[ "$(db_query "select count(*) from uploads where state = 'open'")" = 1 ]
}
passes 'a push is under way' wait_until 20 begun
passes 'its token is revoked, by name' niks3 token revoke second
proc_kill "$STACK" CONT uploader1
finished push
is 'it fails' $? 4
like '... and says why' "$(cat "$TMP/push.log")" 'the token is not accepted'
is 'nothing was published' "$(db_query "select count(*) from closures
    where store_path = '$path'")" 0
like 'the log says what it was' "$(cat "$STACK/server.log")" \
    'login failed .*reason="revoked token" from=127.0.0.1'
fails 'once is enough' 'no token second that is not revoked' \
    niks3 token revoke second
passes 'its name is free again' sh -c "niks3 token create --scope write \
    --name second >/dev/null 2>&1"

# By another server, so this one hears of it only when it asks again.
db_query "update tokens set revoked_at = now() where name = 'only-write'"
passes 'what another server revokes ends within seconds' \
    wait_until 10 answers 401 "$write" GET /pins
pin=$(cat "$TMP/pin")
is 'a token is good' "$(ask "$pin" GET /pins)" 200
db_query "update tokens set expires_at = now() + interval '3 s'
    where name = 'only-pin'"
passes 'one that expires ends within seconds' \
    wait_until 20 answers 401 "$pin" GET /pins
like 'the log tells it from the other' "$(cat "$STACK/server.log")" \
    'login failed .*reason="expired token"'
niks3 token list >"$TMP/list"
is 'what has ended is not listed' "$(grep -c 'only-pin\|only-write' "$TMP/list")" 0
niks3 token list --all >"$TMP/list"
is '... unless it is asked for' "$(grep -c 'revoked\|expired' "$TMP/list")" 3

# ---- bad ones ----

: >"$STACK/server.log"
bad=niks3_$(random_hex 32)
for i in 1 2 3 4 5 6 7; do
	got=$(ask "$bad" GET /pins)
	is "a made up token, try $i" "$got" 401
done
like 'they are logged, and held back' "$(cat "$STACK/server.log")" \
    'login failed .*reason="unknown token" from=127.0.0.1 held_ms=[1-9][0-9]*00'
is 'no part of it is in the log' "$(grep -c "$(printf %.12s "$bad")" \
    "$STACK/server.log")" 0
waiting=
# Twenty of them wait, up to five seconds each; who is good does not.
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	curl -sS -o /dev/null -H "Authorization: Bearer $bad" "$api/pins" &
	waiting="$waiting $!"
done
is 'a good one is let in meanwhile' "$(ask "$admin" GET /pins)" 200
is '... and so is one that must be looked up' \
    "$(ask "$(cat "$TMP/gc")" GET /gc)" 200
wait $waiting

# The database is asked for the token: without it nobody can tell.
db_query 'alter table tokens rename to tokens_away'
sleep 6
is 'a token that cannot be checked is not refused' \
    "$(ask "$(cat "$TMP/gc")" GET /gc)" 503
is '... the API token needs no database' "$(ask "$admin" GET /tokens)" 500
db_query 'alter table tokens_away rename to tokens'
is '... and is good again' "$(ask "$(cat "$TMP/gc")" GET /gc)" 200
for file in "$STACK"/*.log; do
	is "no token is in ${file##*/}" "$(grep -c 'niks3_[0-9a-f]' "$file")" 0
done
tap_done
