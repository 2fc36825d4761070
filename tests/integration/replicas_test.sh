#!/bin/sh
# Two servers and two uploaders behind one address, which sends each request to
# either of them: nothing that matters is in the memory of one.
. "$(dirname "$0")/lib.sh"
stack_start --uploaders 2
run=$STACK/run

# Uploaders serve both servers.
STACK_UPLOADER="--connect ipc://$run/upload2.sock"
other=127.0.0.1:$(port_free)
proc_start "$STACK" other "$BUILD/niks3-server" \
    --db "host=$POSTGRES_DIR dbname=$STACK_NAME user=niks3_server" \
    --http-addr "$other" --api-token-path "$STACK/token" \
    --signer-socket "ipc://$run/signer.sock" \
    --upload-socket "ipc://$run/upload2.sock" \
    --gc-socket "ipc://$run/gc.sock" \
    --store-dir "$STACK_STORE" --cache-url "$NIKS3_CACHE_URL"
stack_restart uploader1
stack_restart uploader2
ready() {
	curl -sf --max-time 5 -K "$STACK/token.curl" -o "$TMP/ready" \
	    "http://$other/api/v2/ready"
}
passes 'a second server is ready' wait_until 20 ready

port=$(port_free)
nginx_start nginx "$TMP" <<CONF
	access_log $TMP/nginx/access;
	log_format which '\$upstream_addr';
	access_log $TMP/nginx/which which;
	client_max_body_size 128m;
	upstream niks3 {
		random;
		server ${NIKS3_SERVER_URL#http://};
		server $other;
	}
	server {
		listen 127.0.0.1:$port;
		location / {
			proxy_pass http://niks3;
			proxy_set_header Host \$http_host;
		}
	}
CONF
NIKS3_SERVER_URL=http://127.0.0.1:$port
healthy() {
	curl -sf --max-time 5 "$NIKS3_SERVER_URL/health"
}
passes 'one address for both' wait_until 20 healthy
. "$(dirname "$0")/compat/client.sh"

for n in 1 2 3 4 5; do
	app=$(nix_build app --argstr seed "$n")
	passes "push $n" niks3 push "$app"
	passes "and again" niks3 push "$app"
done
big=$(nix_build big --arg bigBytes 30000000)
passes 'a push in parts' niks3 push "$big"
passes 'a pin' niks3 pins create one "$app"
like 'is listed' "$(niks3 pins list)" one
old=$(nix_build app --argstr seed old)
passes 'a client of the compatible API' go_push "$old"
passes 'in parts, too' go_push "$(nix_build big --arg bigBytes 25000000)"
passes 'the bucket is what the database says' bucket_recount
passes 'a collection is followed from either' niks3 gc --older-than=0s --force
is 'and leaves what is pinned' "$(db_query 'select store_path from closures')" \
    "$app"
passes 'and whole' bucket_closed
for server in "${other}" "$(cat "$STACK/address")"; do
	passes "$server had its part" grep -qF "$server" "$TMP/nginx/which"
done

tap_done
