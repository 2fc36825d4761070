#include "sandbox.h"

#include "../../libcommon/core/sandbox.h"
#include "../../libcommon/s3/s3.h"

#define FDS             128
#define FDS_OF_A_CLIENT 16 /* libcurl: connections, and pipes for its threads */

void
uploader_sandbox(struct sandbox *s, const struct s3 *s3, uint64_t requests)
{
	sandbox_init(s, "niks3-uploader");
	s3_needs(s3, s);
	sandbox_dial(s);
	sandbox_fds(s, FDS + FDS_OF_A_CLIENT * requests);
}
