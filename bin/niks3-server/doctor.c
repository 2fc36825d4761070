/*
 * What niks3 doctor asks of us: GET /api/v2/whoami, and POST /api/v2/doctor, which
 * looks at all that we talk to, and has an uploader try out the bucket. For
 * administrators: it tells more of the set-up than others should know, and writes.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/opt.h"
#include "../../libcommon/ipc/ipc.h"
#include "../../proto/bodies.h"
#include "../../proto/findings.h"
#include "health.h"
#include "server.h"

#define PART_MS  5000
#define ASK_MOST 16 /* processes of one role */

int
handle_whoami(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	const char *names[SCOPES_MAX];
	struct identity body = { .who = arena_str(q->arena, q->who) };

	(void)worker;
	body.scopes.n = scopes_names(q->scopes, names);
	body.scopes.items = names;
	body.expires_at = server_time(q->arena, q->expires_us);
	return server_encode(r, 200, &identity_desc, &body, e);
}

/* ---- findings ---- */

struct doctor {
	struct server *s;
	struct arena *a;
	struct findings *out;
};

/* The check's name and the advice, which may be NULL, are copied too. */
__attribute__((format(printf, 5, 6))) static int
say(struct doctor *d, const char *check, enum finding_state state,
    const char *advice, const char *fmt, ...)
{
	struct finding *f = &d->out->findings.items[d->out->findings.n];
	char text[ERR_MSG_MAX];
	va_list ap;

	if (d->out->findings.n == API_FINDINGS_MAX)
		return 0;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	f->check = arena_str(d->a, check);
	f->state = arena_str(d->a, finding_states[state]);
	f->text = arena_str(d->a, text);
	if (advice != NULL && advice[0] != '\0')
		f->advice = arena_str(d->a, advice);
	d->out->findings.n++;
	return f->check != NULL && f->state != NULL && f->text != NULL ? 0 : -1;
}

static int
say_err(struct doctor *d, const char *check, const struct err *e,
    const char *advice)
{
	return say(d, check, FINDING_PROBLEM,
	    e->hint[0] != '\0' ? e->hint : advice, "%s", e->msg);
}

/* ---- parts ---- */

static int
check_database(struct doctor *d)
{
	struct err e = ERR_INIT;

	if (health_database(d->s, deadline_in(PART_MS), &e) == 0)
		return say(d, "database", FINDING_OK, NULL,
		    "it answers, and has the schema of this version");
	return say_err(d, "database", &e,
	    "see that PostgreSQL runs, and --db of niks3-server; its log "
	    "says more");
}

/*
 * All processes of a role answer on one socket, and which one does is chance: so
 * as many are asked as are there, and some more, and the first that is wrong is
 * told of. *there: they answered.
 */
static int
check_peer(struct doctor *d, struct ipc_client *c, const char *name, int *there)
{
	unsigned n = ipc_client_peers(c);
	struct err e = ERR_INIT;
	const char *version = NIKS3_VERSION;
	char advice[ERR_HINT_MAX];
	int rc = 0;

	n = n == 0 ? 1 : n > ASK_MOST ? ASK_MOST : n;
	for (unsigned i = 0; i < (n > 1 ? 2 * n : 1) && rc == 0 &&
	     strcmp(version, NIKS3_VERSION) == 0;
	     i++)
		rc = health_peer(
		    c, name, d->a, deadline_in(PART_MS), &version, &e);
	snprintf(advice, sizeof advice,
	    rc == 0 || e.kind == ERR_VERSION
	        ? "install one version of niks3, and restart niks3-%s"
	        : e.kind == ERR_TIMEOUT
	        ? "see in the log of niks3-%s what it waits for; restart it"
	        : "start niks3-%s; its log says why it is not there",
	    name);
	*there = rc == 0;
	if (rc != 0)
		return say_err(d, name, &e, advice);
	if (strcmp(version, NIKS3_VERSION) != 0)
		return say(d, name, FINDING_WARNING, advice,
		    "it is version %s, the server " NIKS3_VERSION, version);
	return say(
	    d, name, FINDING_OK, NULL, "%u connected, version %s", n, version);
}

/* ---- bucket ---- */

static int
say_clock(struct doctor *d, const struct bucket_probed *r)
{
	static const char advice[] = "set the clocks, by NTP: S3 refuses what "
	                             "is signed 15 minutes off";
	enum finding_state state = finding_of_skew(r->ahead_s);

	if (!r->has_clock)
		return say(d, "s3-clock", FINDING_SKIPPED, NULL,
		    "S3 did not tell its time");
	return say(d, "s3-clock", state, state != FINDING_OK ? advice : NULL,
	    "S3's clock is %lld s %s the uploader's",
	    (long long)(r->ahead_s < 0 ? -r->ahead_s : r->ahead_s),
	    r->ahead_s < 0 ? "behind" : "ahead of");
}

static int
check_bucket(struct doctor *d, int there)
{
	struct bucket_probe ask = { 0 };
	struct bucket_probed r;
	struct err e = ERR_INIT;
	int rc = 0;

	if (!there)
		return say(d, "bucket", FINDING_SKIPPED, NULL,
		    "there is no uploader that could try");
	if (ipc_call(d->s->uploader, CALL_bucket_probe, &ask, d->a, &r,
	        deadline_in(SERVER_IPC_MS), &e) != 0)
		return say_err(d, "bucket", &e, "see the uploader's log");
	rc = say_clock(d, &r);
	for (size_t i = 0; rc == 0 && i < r.items.n; i++) {
		const struct probe_result *it = &r.items.items[i];
		char check[64];

		snprintf(check, sizeof check, "bucket-%s", it->name);
		if (it->skipped)
			rc = say(d, check, FINDING_SKIPPED, NULL,
			    "cannot be tried after what failed before");
		else if (it->kind == NULL)
			rc = say(d, check, FINDING_OK, NULL, "it works");
		else
			rc = say(d, check, FINDING_PROBLEM,
			    it->hint != NULL && it->hint[0] != '\0'
			        ? it->hint
			        : "see the uploader's options --s3-…, and "
			          "whether S3 is there",
			    "%s", it->message);
	}
	return rc;
}

int
handle_doctor(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct server *s = worker;
	struct findings body = { 0 };
	struct doctor d = { .s = s, .a = q->arena, .out = &body };
	int there;

	body.findings.items = arena_array(
	    q->arena, API_FINDINGS_MAX, sizeof *body.findings.items);
	if (body.findings.items == NULL || check_database(&d) != 0 ||
	    check_peer(&d, s->signer, "signer", &there) != 0 ||
	    check_peer(&d, s->gc, "gc", &there) != 0 ||
	    check_peer(&d, s->uploader, "uploader", &there) != 0 ||
	    check_bucket(&d, there) != 0)
		return arena_full(q->arena, e);
	return server_encode(r, 200, &findings_desc, &body, e);
}
