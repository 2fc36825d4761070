#!/bin/sh
# OIDC tokens from end to end: the provider is a few objects in a bucket that
# anyone may read, its key one of openssl's. A provider that is down fails nobody else's tokens.
. "$(dirname "$0")/lib.sh"

stack_start
admin=$(cat "$STACK/token")
ISSUER=$NIKS3_CACHE_URL

# ---- a provider ----

b64url() {
	openssl base64 -A | tr '+/' '-_' | tr -d =
}
# key NAME: makes one, and prints it as a JWK.
key() {
	openssl genrsa -out "$TMP/$1.pem" 2048 2>/dev/null
	printf '{"kty":"RSA","use":"sig","kid":"%s","e":"AQAB","n":"%s"}' "$1" \
	    "$(openssl rsa -in "$TMP/$1.pem" -noout -modulus | cut -d= -f2 |
	    tr -d '\n' | basenc --base16 -d | b64url)"
}
# publish JWK...: the keys of the provider from now on.
publish() {
	local IFS=,
	printf '{"keys":[%s]}' "$*" >"$TMP/jwks"
	s3_put "$STACK_NAME" oidc/keys "$TMP/jwks"
}
# token KEY CLAIMS: with iss and an end in ten minutes beside them.
token() {
	local input
	input=$(printf '{"alg":"RS256","kid":"%s"}' "$1" | b64url).$(printf \
	    '{"iss":"%s","exp":%d,%s}' "$ISSUER" $(($(date +%s) + ${LIFE-600})) \
	    "$2" | b64url)
	printf '%s.%s' "$input" "$(printf %s "$input" |
	    openssl dgst -sha256 -sign "$TMP/$1.pem" -binary | b64url)"
}
printf '{"issuer":"%s","jwks_uri":"%s/oidc/keys"}' "$ISSUER" "$ISSUER" \
    >"$TMP/discovery"
s3_put "$STACK_NAME" .well-known/openid-configuration "$TMP/discovery"
one=$(key one) two=$(key two)
publish "$one"

cat >"$TMP/oidc.json" <<JSON
{ "allow_insecure": true, "providers": {
  "ci": { "issuer": "$ISSUER", "audience": "niks3-test", "rules": [
    { "bound_subject": ["repo:org/app:ref:refs/heads/main"],
      "scopes": ["write"], "pins": ["app-*"] },
    { "bound_subject": ["repo:org/lib:*"], "scopes": ["write"] },
    { "bound_claims": { "role": ["gc"] }, "scopes": ["gc"] } ] },
  "down": { "issuer": "http://127.0.0.1:1", "audience": "x",
    "bound_subject": ["a"] } } }
JSON
STACK_SERVER="--oidc-config $TMP/oidc.json"
stack_restart server || exit 1
ok 'a server starts although a provider is down'
api=$NIKS3_SERVER_URL/api/v2

# ask TOKEN METHOD PATH [CURL-OPTION...]: prints the status.
ask() {
	local token=$1 method=$2 path=$3
	shift 3
	printf 'header = "Authorization: Bearer %s"\n' "$token" |
	    curl -sS --max-time 30 -K - -o "$TMP/body" -w '%{http_code}' \
	    -X "$method" "$@" "$api$path"
}

# ---- its tokens ----

AUD='"aud":"niks3-test"'
main=$(token one "$AUD,\"sub\":\"repo:org/app:ref:refs/heads/main\"")
lib=$(token one "$AUD,\"sub\":\"repo:org/lib:x\"")
path=$(nix_build shared) || exit 1
printf %s "$main" >"$TMP/main"
passes 'a push with a token of the provider' \
    niks3 push --auth-token-path "$TMP/main" "$path"
is 'the upload is of its subject' "$(db_query 'select owner from uploads')" \
    'oidc:ci:repo:org/app:ref:refs/heads/main'
is 'another subject has no rule' "$(ask "$(token one \
    "$AUD,\"sub\":\"repo:org/app:ref:refs/heads/evil\"")" GET /ready)" 401
is 'another audience is not ours' "$(ask "$(token one \
    '"aud":"other","sub":"repo:org/lib:x"')" GET /ready)" 401
is 'its time is over' "$(ask "$(LIFE=-60 token one \
    "$AUD,\"sub\":\"repo:org/lib:x\"")" GET /ready)" 401
is 'a signature of somebody else' "$(openssl genrsa -out "$TMP/three.pem" 2048 \
    2>/dev/null; cp "$TMP/one.pem" "$TMP/keep"; cp "$TMP/three.pem" \
    "$TMP/one.pem"; t=$(token one "$AUD,\"sub\":\"repo:org/lib:x\""); cp \
    "$TMP/keep" "$TMP/one.pem"; ask "$t" GET /ready)" 401
is 'it may write, and read what that needs' "$(ask "$lib" GET /closures)" 200
is '... but not collect' "$(ask "$lib" POST /gc -d '{}')" 403
is '... unless a rule says so' "$(ask "$(token one "$AUD,\"sub\":\"x\",
    \"role\":\"gc\"")" GET /gc)" 200

# ---- pins that are reserved ----

body="{\"store_path\":\"$path\"}"
is 'a name that is reserved is not for everybody' \
    "$(ask "$lib" PUT /pins/app-1 -d "$body")" 403
is '... not even to look at the body' \
    "$(ask "$lib" PUT /pins/app-1 -H 'Content-Length: 60000')" 403
is '... it is for whom it is reserved' \
    "$(ask "$main" PUT /pins/app-1 -d "$body")" 204
is '... and for administrators' \
    "$(ask "$admin" PUT /pins/app-1 -d "$body")" 204
is 'other names are for all who write' \
    "$(ask "$lib" PUT /pins/lib-1 -d "$body")" 204
made=$(niks3 token create --scope write 2>/dev/null)
is 'a token of ours has no part in reserved names' \
    "$(ask "$made" PUT /pins/app-1 -d "$body")" 403

# ---- its keys, and its absence ----

is 'a key that is not there yet' "$(ask "$(token two \
    "$AUD,\"sub\":\"repo:org/lib:x\"")" GET /ready)" 401
publish "$one" "$two"
rotated() {
	[ "$(ask "$(token two "$AUD,\"sub\":\"repo:org/lib:x\"")" GET \
	    /ready)" = 200 ]
}
passes '... is fetched when it is needed' wait_until 30 rotated
ISSUER=http://127.0.0.1:1
down=$(token one '"aud":"x","sub":"a"')
ISSUER=$NIKS3_CACHE_URL
is 'a token of the provider that is down cannot be told' \
    "$(ask "$down" GET /ready)" 503
is '... which says nothing of why' "$(grep -c 127.0.0.1 "$TMP/body")" 0
like '... but in the log' "$(cat "$STACK/server.log")" \
    'login cannot be checked .*provider down: its keys cannot be had'
is 'and all others are as before' "$(ask "$lib" GET /ready)" 200
is 'no claim of a token is in the log of refusals' "$(grep 'login failed' \
    "$STACK/server.log" | grep -c 'evil\|eyJ')" 0

# ---- a job of GitHub Actions ----

gh=https://token.actions.githubusercontent.com
is 'the server says for whom' "$(curl -sS \
    "$api/cache?issuer=$(s3_quote "$ISSUER")" | jq -r .oidc_audience)" niks3-test
is '... and for nobody else' "$(curl -sS "$api/cache?issuer=$gh" |
    jq -r .oidc_audience)" null
job() {
	env -u NIKS3_AUTH_TOKEN_FILE HOME="$TMP/nowhere" \
	    ACTIONS_ID_TOKEN_REQUEST_URL="$NIKS3_CACHE_URL/oidc/job?x=y" \
	    ACTIONS_ID_TOKEN_REQUEST_TOKEN=job-secret "$@"
}
fails 'a job, where its tokens are not accepted' \
    'accepts no tokens of GitHub Actions' job niks3 push "$path"
# ---- a script ----

cat >"$TMP/script" <<SCRIPT
#!/bin/sh
echo run >>"$TMP/runs"
printf '{"token":"%s"%s}' "\$(cat "$STACK/token")" "\$1"
SCRIPT
chmod +x "$TMP/script"
script() {
	env -u NIKS3_AUTH_TOKEN_FILE HOME="$TMP/nowhere" \
	    niks3 pins list --auth-token-script "$*"
}
passes 'a script gives the token' script "$TMP/script"
passes '... with an end' script \
    "'$TMP/script' ',\"expires_at\":\"2099-01-01T00:00:00+01:00\"'"
fails '... that is none' 'something else than a JSON object' \
    script "'$TMP/script' ',\"expires_at\":\"soon\"'"
fails 'a script that fails' 'token script: it ended with status 3' \
    script "sh -c 'exit 3'"
fails 'one that prints no JSON' 'something else than a JSON object' \
    script 'echo token'
fails 'one that is not there' 'run .*/none' script "$TMP/none"
fails 'one that is none' 'a quote is not closed' script "'a"
: >"$TMP/runs"
path=$(nix_build odd) || exit 1
passes 'a push keeps a token that has an end' \
    env -u NIKS3_AUTH_TOKEN_FILE niks3 push --auth-token-script \
    "'$TMP/script' ',\"expires_at\":\"2099-01-01T00:00:00Z\"'" "$path"
is '... and asks once' "$(wc -l <"$TMP/runs")" 1
path=$(nix_build app --argstr seed again) || exit 1
: >"$TMP/runs"
passes 'one without is asked for each time' env -u NIKS3_AUTH_TOKEN_FILE \
    niks3 push --auth-token-script "$TMP/script" "$path"
passes '... it is' test "$(wc -l <"$TMP/runs")" -gt 1

# ---- configurations that are none ----

for bad in '{}' '{"providers":{"a":{"issuer":"https://i"}}}'; do
	printf %s "$bad" >"$TMP/bad.json"
	fails "a server does not start with $bad" 'OIDC configuration' \
	    niks3-server -n --db "$NIKS3_DB" \
	    --api-token-path "$STACK/token" --oidc-config "$TMP/bad.json"
done
tap_done
