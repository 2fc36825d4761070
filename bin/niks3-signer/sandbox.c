#include "sandbox.h"

#include "../../libcommon/core/sandbox.h"

#define FDS 256 /* a connection for each server */

void
signer_sandbox(struct sandbox *s, const char *listen)
{
	sandbox_init(s, "niks3-signer");
	sandbox_socket(s, listen);
	sandbox_fds(s, FDS);
}
