/*
 * A process of ours of another version: answers CALL_ping, and refuses all else.
 *
 *	fake_peer ROLE VERSION ADDRESS          listens there
 *	fake_peer ROLE VERSION ADDRESS dial     dials, as uploaders do
 *
 * Runs until SIGTERM.
 */
#include <string.h>

#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/core/service.h"
#include "../../libcommon/ipc/ipc.h"
#include "../../libcommon/ipc/ipc_daemon.h"

static const char *version;

static int
handle_ping(void *worker, const void *request, void *reply, struct arena *a,
    deadline_t d, struct err *e)
{
	struct pong *r = reply;

	(void)worker, (void)request, (void)a, (void)d, (void)e;
	r->program = "fake_peer";
	r->version = version;
	return 0;
}

static int
refuse(void *worker, const void *request, void *reply, struct arena *a,
    deadline_t d, struct err *e)
{
	(void)worker, (void)request, (void)reply, (void)a, (void)d;
	return err_set(e, ERR_INTERNAL, "a fake knows nothing");
}

static enum role
role_by_name(const char *name)
{
	for (enum role r = 0; r < ROLE__MAX; r++)
		if (strcmp(role_names[r], name) == 0)
			return r;
	err_die("no role %s", name);
}

int
main(int argc, char **argv)
{
	ipc_handler *handlers[CALL__MAX] = { 0 };
	struct ipc_peers *peers = NULL;
	struct ipc_server *server;
	struct err e = ERR_INIT;
	const char *address;
	enum role self;

	if (argc < 4)
		err_die("fake_peer ROLE VERSION ADDRESS [dial]");
	self = role_by_name(argv[1]);
	version = argv[2];
	address = argv[3];
	for (unsigned id = 0; id < CALL__MAX; id++)
		if (call_table[id].name != NULL &&
		    (call_table[id].served & (1u << self)))
			handlers[id] = id == CALL_ping ? handle_ping : refuse;
	service_init("fake_peer", NULL);
	if (ipc_peers_parse(NULL, 0, &peers, &e) != 0 ||
	    ipc_server_new(
	        &(struct ipc_server_options){
	            .self = self,
	            .addresses = &address,
	            .naddresses = 1,
	            .listen = argc == 4,
	            .mode = 0660,
	            .peers = peers,
	            .workers = 2,
	            .handlers = handlers,
	        },
	        &server, &e) != 0) {
		log_err(LOG_LEVEL_ERROR, "cannot start", &e);
		return err_exit(e.kind);
	}
	while (service_wait(deadline_in(INT32_MAX), NULL, NULL) != 0)
		;
	ipc_daemon_stop(server);
	ipc_peers_free(peers);
	return 0;
}
