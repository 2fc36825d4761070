/* Apart from service.c, so that a program without a sandbox is not linked with
 * libseccomp. */
#include "service.h"

#include "log.h"
#include "sandbox.h"

int
service_seal(struct sandbox *s, struct err *e)
{
	struct sandbox_told told;

	if (sandbox_seal(s, e) != 0)
		return -1;
	sandbox_tell(s, &told);
	log_info("sandbox", LOG_I("landlock", s->landlock),
	    LOG_S("seccomp", s->seccomp ? "on" : "off"),
	    LOG_S("reads", told.reads), LOG_S("sockets", told.sockets),
	    LOG_S("listens", told.listens), LOG_S("connects", told.connects));
	if (sandbox_missing(s) != NULL)
		log_warn("the sandbox is not whole",
		    LOG_S("missing", sandbox_missing(s)));
	return 0;
}
