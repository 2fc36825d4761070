#include "ipc_daemon.h"

#include <errno.h>
#include <unistd.h>

#include "../core/err.h"
#include "../core/log.h"
#include "../core/opt.h"
#include "../core/service.h"

void
ipc_daemon_stop(struct ipc_server *s)
{
	if (ipc_server_free(s, SERVICE_DRAIN_MS) == 0)
		return;
	log_warn("a call still runs: not waiting for it");
	_exit(err_exit(ERR_TIMEOUT));
}

int
ipc_daemon_ping(void *worker, const void *request, void *reply, struct arena *a,
    deadline_t d, struct err *e)
{
	struct pong *r = reply;

	(void)worker;
	(void)request;
	(void)a;
	(void)d;
	(void)e;
	r->program = program_invocation_short_name;
	r->version = NIKS3_VERSION;
	return 0;
}

void
ipc_daemon_log(void *ctx, enum call id, enum role caller,
    const char *request_id, const struct err *e, int64_t us)
{
	const char *name = call_table[id].name;

	(void)ctx;
	if (name == NULL)
		name = "refused";
	log_request(request_id);
	if (e != NULL && e->kind != ERR_NONE)
		log_err(
		    err_retryable(e->kind) ? LOG_LEVEL_WARN : LOG_LEVEL_NOTICE,
		    name, e);
	else
		log_debug(name,
		    LOG_S("by", caller < ROLE__MAX ? role_names[caller] : "?"),
		    LOG_T("took", us));
	log_request(NULL);
}
