#include "sandbox.h"

#include <stddef.h>

#include "../../libcommon/core/sandbox.h"
#include "../../libcommon/db/db.h"
#include "../../libcommon/http/client.h"
#include "../../libcommon/http/listen.h"
#include "auth.h"

#define FDS 256
/* The relay has S3's connection and a pipe beside it. */
#define FDS_OF_A_CONNECTION 4
#define FDS_OF_A_WORKER     16 /* PostgreSQL, and libcurl */

void
server_sandbox(struct sandbox *s, const struct server_needs *n)
{
	sandbox_init(s, "niks3-server");
	db_needs(n->db, s);
	auth_needs(n->auth, s);
	sandbox_socket(s, n->uploads);
	sandbox_dial(s); /* the signer and gc */
	sandbox_serve(s);
	if (n->address != NULL)
		listen_needs(n->address, s);
	if (n->proxy_socket != NULL)
		listen_needs(n->proxy_socket, s);
	sandbox_reread(s, n->tls_cert);
	sandbox_reread(s, n->tls_key);
	/* Where S3 is, only uploaders know. */
	if (n->read_proxy)
		http_client_needs(NULL, n->s3_ca_cert, s);
	sandbox_fds(s,
	    FDS + FDS_OF_A_CONNECTION * n->connections +
	        FDS_OF_A_WORKER * n->workers);
}
