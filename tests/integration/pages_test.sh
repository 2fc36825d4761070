#!/bin/sh
# The pages that people look at, in a real browser: narrow and wide, light and
# dark. Pictures of them are in $TMP (NIKS3_TEST_KEEP).
. "$(dirname "$0")/lib.sh"
. "$LIB/browser.sh"

STACK_SERVER='--enable-read-proxy --max-nar-size 2G'
stack_start
app=$(nix_build app) || exit 1
passes 'a push' niks3 push "$app"
U=$NIKS3_SERVER_URL

get() { # PATH [CURL-OPTION...]: the status; body and head in files
	local path=$1
	shift
	curl -sS --max-time 60 -D "$TMP/head" -o "$TMP/body" \
	    -w '%{http_code}' "$@" "$U$path"
}
header() {
	tr -d '\r' <"$TMP/head" | sed -n "s/^$1: //Ip"
}

# ---- what programs ask for ----

is 'cache-config' "$(get /api/cache-config)" 200
is '... says all' "$(jq -c . "$TMP/body")" "$(jq -nc \
    --arg url "$NIKS3_CACHE_URL" --arg key "$NIKS3_PUBLIC_KEY" \
    '{substituter_url: $url, public_keys: [$key],
    max_nar_size: 2147483648, pushes: true}')"
is '... to who has a token, too' \
    "$(get /api/cache-config -H 'Authorization: Bearer nonsense')" 200
is '... and a stranger' "$(get '/api/cache-config?issuer=https://no.body')" 200
is '... without an audience' "$(jq 'has("oidc_audience")' "$TMP/body")" false
is 'cache-stats' "$(get /api/cache-stats)" 200
is '... are those of the database' "$(jq -c . "$TMP/body")" "$(db_query \
    "select json_build_object('objects', sum(objects), 'logical_bytes',
    sum(bytes))::jsonb from stat_deltas" | jq -c .)"
is '... for pages elsewhere' "$(header access-control-allow-origin)" '*'

# ---- who gets which page ----

is '/ leads to the landing page' "$(get /)" 301
is '... here' "$(header location)" /index.html
is 'the landing page' "$(get /index.html)" 200
like '... is HTML' "$(header content-type)" '^text/html; charset=utf-8'
like '... with a policy' "$(header content-security-policy)" \
    "^default-src 'none'; style-src 'sha256-[A-Za-z0-9+/=]*'; "
cp "$TMP/body" "$TMP/landing"
for text in "$NIKS3_CACHE_URL" "$NIKS3_PUBLIC_KEY" extra-substituters \
    nix.settings nixConfig "$STACK_STORE"; do
	passes "... has $text" grep -qF -- "$text" "$TMP/landing"
done
is '... and no script' "$(grep -ci '<script' "$TMP/landing")" 0
is '... nothing of others' \
    "$(grep -oiE '(src|href)="[^"]*"' "$TMP/landing" | sort -u)" 'href="data:,"'
in_bucket() {
	s3_get "$STACK_NAME" index.html >"$TMP/stored" &&
	    grep -qF "$NIKS3_PUBLIC_KEY" "$TMP/stored" &&
	    grep -q '</html>' "$TMP/stored"
}
passes 'the bucket has it, too' wait_until 20 in_bucket
like '... as what it is' "$(curl -sSI "$NIKS3_CACHE_URL/index.html")" \
    'text/html; charset=utf-8'

is 'status is for operators' "$(get /status)" 401
like '... who are asked by their browser' "$(header www-authenticate)" \
    '^Basic realm='
is '... for a password' "$(get /status -u "me:$(cat "$STACK/token")")" 200
is '... not for a wrong one' "$(get /status -u me:wrong)" 401
is '... nor for the user' "$(get /status -u "$(cat "$STACK/token"):")" 401
is '... nor for a password elsewhere' \
    "$(get /api/v2/pins -u "me:$(cat "$STACK/token")")" 401
is '... for the token' "$(get /status -K "$STACK/token.curl")" 200
is '... nobody keeps it' "$(header cache-control)" no-store

# ---- something to see on the operators' page ----

passes 'a collection' niks3 gc --older-than=720h
db_query "insert into cache_sizes select date_trunc('hour', now())
	- i * interval '6 hours', 1000, 1000000::bigint * (400 - i) + 20000000 * (i % 7)
	from generate_series(1, 300) i;
    insert into uploads (token, owner, store_dir, lease_until) values
	('x', '<script>alert(1)</script>', '/s', now() + interval '1 h');
    insert into upload_writes select currval('uploads_id_seq'), i, 1000000, '',
	now() from generate_series(1, 5) i;
    insert into closures (object_id, store_path, bytes, objects, updated_at)
	select -i, '/nix/store/' || repeat('0', 32) || '-a-path-with-a-name-'
	|| repeat('that-is-long-', 8) || i, 123456789::bigint * i, i * 10,
	now() - i * i * interval '1 day' from generate_series(1, 25) i" \
    >/dev/null
sleep 5.1 # so long a page is kept

# ---- in a browser ----

browser_there || {
	skip 'the pages in a browser' 'chromium and chromium-driver are missing'
	tap_done
	exit
}
browser_start || die 'the browser does not start'

# look NAME URL TEXT...: at every width and in both schemes.
look() {
	local name=$1 url=$2 size scheme text said
	shift 2
	for size in '360 740' '1280 900'; do
		for scheme in light dark; do
			what="$name, ${size% *} wide, $scheme"
			passes "$what: opens" \
			    browser_look $size "$scheme" "$url"
			is "$what: as wide as the screen" "$(browser_run \
			    'document.documentElement.scrollWidth')" "${size% *}"
			said=$(browser_run document.body.innerText)
			for text in "$@"; do
				passes "$what: shows $text" \
				    contains "$said" "$text"
			done
			background=$(browser_run \
			    'getComputedStyle(document.body).backgroundColor')
			case $scheme in
			light)	is "$what: is light" "$background" \
				    '"rgb(255, 255, 255)"' ;;
			dark)	is "$what: is dark" "$background" \
				    '"rgb(17, 21, 28)"' ;;
			esac
			is "$what: no complaint" "$(browser_complaints)" ''
			browser_picture "$TMP/$name-${size% *}-$scheme.png"
			passes "$what: a picture" \
			    [ -s "$TMP/$name-${size% *}-$scheme.png" ]
		done
	done
}
contains() {
	case $1 in *"$2"*) ;; *) echo "$1"; return 1 ;; esac
}

look landing "$U/index.html" 'Nix binary cache' "$NIKS3_PUBLIC_KEY" \
    'On the command line' 'In a NixOS configuration' 'In a flake' Objects
look stored "$NIKS3_CACHE_URL/index.html" 'Nix binary cache' \
    "$NIKS3_PUBLIC_KEY"
look status "http://me:$(cat "$STACK/token")@${U#http://}/status" \
    'Uploads under way' '<script>alert(1)</script>' 'Size over time' \
    'Garbage collections' succeeded 'Closures by age' 'Largest paths' \
    'that-is-long-25'
is 'the chart has a curve' "$(browser_run \
    "document.querySelector('.curve').getBBox().width > 500")" true
is '... and the ages have bars' \
    "$(browser_run "document.querySelectorAll('.bar').length")" 7
browser_stop
tap_done
