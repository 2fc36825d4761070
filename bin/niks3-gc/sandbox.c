#include "sandbox.h"

#include "../../libcommon/core/sandbox.h"
#include "../../libcommon/db/db.h"

#define FDS 512 /* a connection for each server and uploader */

void
gc_sandbox(struct sandbox *s, const char *conninfo, const char *listen,
    const char *uploads)
{
	sandbox_init(s, "niks3-gc");
	db_needs(conninfo, s);
	sandbox_socket(s, listen);
	sandbox_socket(s, uploads);
	sandbox_fds(s, FDS);
}
