/* niks3 doctor: is the server there, who are we to it, and what it finds itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../libcommon/codec/json.h"
#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/http/client.h"
#include "doctor.h"
#include "print.h"

#define BUCKET_MS   90000 /* all of the bucket's checks together */
#define TOKEN_END_S (7 * 86400)

/* ---- reaching it ---- */

static const char *
advice_for(const struct err *e)
{
	switch (e->kind) {
	case ERR_UNAUTHORIZED:
		return "give the authority of its certificate by --ca-cert, or "
		       "the server a certificate for this name that is valid";
	case ERR_INTERNAL:
		return "see that the files of --ca-cert, --client-cert and "
		       "--client-key are right";
	case ERR_CORRUPT:
		return "see that the URL, http or https, and the port are "
		       "those of niks3-server";
	default:
		return "see that niks3-server runs, the URL is right, and no "
		       "firewall is between";
	}
}

static void
check_clock(struct doctor *d, const char *date, int64_t sent_us)
{
	int64_t now_us = clock_wall_us(), there_s = clock_parse_http(date);
	int64_t here_s = (sent_us + (now_us - sent_us) / 2) / 1000000;
	int64_t ahead_s = there_s - here_s;
	enum finding_state state = finding_of_skew(ahead_s);

	if (there_s == -1)
		doctor_say(d, "clock", FINDING_SKIPPED, NULL,
		    "the server did not tell its time");
	else
		doctor_say(d, "clock", state,
		    state != FINDING_OK
		        ? "set the clocks of both machines, by NTP: ends of "
		          "tokens and leases, and what S3 accepts, go by them"
		        : NULL,
		    "the server's is %lld s %s ours",
		    (long long)(ahead_s < 0 ? -ahead_s : ahead_s),
		    ahead_s < 0 ? "behind" : "ahead of");
}

/* Over plain HTTP the token can be read by whoever is on the way. */
static void
check_tls(struct doctor *d)
{
	int local = strncmp(d->url, "http://127.", 11) == 0 ||
	    strncmp(d->url, "http://[::1]", 12) == 0 ||
	    strncmp(d->url, "http://localhost", 16) == 0;

	if (strncmp(d->url, "https://", 8) == 0)
		doctor_say(
		    d, "tls", FINDING_OK, NULL, "its certificate is trusted");
	else if (local)
		doctor_say(d, "tls", FINDING_OK, NULL,
		    "none, but this is our own machine");
	else
		doctor_say(d, "tls", FINDING_WARNING,
		    "serve HTTPS: --tls-cert of niks3-server, or a proxy "
		    "before it",
		    "none: the token goes over the network as it is");
}

static const char *
url_of(struct doctor *d, const char *path)
{
	const char *url = arena_printf(d->a, "%s%s", d->url, path);

	if (url == NULL)
		err_die("out of memory for a URL");
	return url;
}

static void
check_reach(struct doctor *d)
{
	int64_t sent_us = clock_wall_us(), begun_ms = clock_mono_ms();
	struct http_answer answer;
	struct err e = ERR_INIT;
	struct buf body;

	buf_init(&body, DOCTOR_BODY_MAX);
	if (doctor_ask(d, d->http, "GET", url_of(d, "/health"), &body, &answer,
	        &e) != 0) {
		doctor_fail(d, e.kind == ERR_UNAUTHORIZED ? "tls" : "server",
		    &e, advice_for(&e));
	} else if (answer.status != 200 ||
	    strcmp(buf_str(&body), "OK\n") != 0) {
		doctor_say(d, "server", FINDING_PROBLEM,
		    "see that the URL is that of niks3-server, with the path "
		    "that a proxy puts before it",
		    "something else than niks3 answers (status %d)",
		    answer.status);
	} else {
		d->answers = 1;
		doctor_say(d, "server", FINDING_OK, NULL,
		    "it answers, within %lld ms",
		    (long long)(clock_mono_ms() - begun_ms));
		check_tls(d);
		check_clock(d, answer.date, sent_us);
	}
	buf_done(&body);
}

/* ---- what it is ---- */

static void
check_version(struct doctor *d)
{
	struct http_answer answer;
	struct err e = ERR_INIT;
	struct buf body;

	buf_init(&body, DOCTOR_BODY_MAX);
	if (doctor_ask(d, d->http, "GET", url_of(d, "/api/v2/cache"), &body,
	        &answer, &e) != 0)
		doctor_fail(d, "version", &e, advice_for(&e));
	else if (answer.status == 404)
		doctor_say(d, "version", FINDING_WARNING,
		    "upgrade the server: this niks3 speaks to its own kind",
		    "the server does not know the API of this niks3");
	else if (answer.status != 200)
		doctor_say(d, "version", FINDING_SKIPPED, NULL,
		    "the server cannot tell now (status %d)", answer.status);
	else if (json_decode(&cache_info_desc, body.data, body.len, d->a,
	             &d->info, &e) != 0)
		doctor_fail(d, "version", &e,
		    "install the same version on both machines");
	else
		d->has_info = 1;
	buf_done(&body);
	if (!d->has_info)
		return;
	if (strcmp(d->info.version, NIKS3_VERSION) == 0)
		doctor_say(d, "version", FINDING_OK, NULL, "%s on both sides",
		    NIKS3_VERSION);
	else
		doctor_say(d, "version", FINDING_WARNING,
		    "install the same version on both machines",
		    "the server is %s, this is " NIKS3_VERSION,
		    d->info.version);
}

/* ---- who we are ---- */

static void
say_identity(struct doctor *d)
{
	const struct identity *id = &d->identity;
	int64_t end_us = print_time(id->expires_at);
	int64_t left_s =
	    end_us < 0 ? INT64_MAX : (end_us - clock_wall_us()) / 1000000;
	/* A token of OIDC is meant to be short-lived. */
	int ends = strncmp(id->who, "token:", 6) == 0 && left_s < TOKEN_END_S;
	char scopes[256] = "", left[PRINT_SPAN_MAX] = "";

	for (size_t i = 0; i < id->scopes.n; i++) {
		size_t at = strlen(scopes);

		snprintf(scopes + at, sizeof scopes - at, "%s%s",
		    i > 0 ? ", " : "", id->scopes.items[i]);
	}
	if (left_s != INT64_MAX)
		print_span(left, left_s);
	doctor_say(d, "token", ends ? FINDING_WARNING : FINDING_OK,
	    ends ? "make a new one: niks3 token create" : NULL,
	    "%s, which may: %s; %s%s", id->who, scopes,
	    left[0] != '\0' ? "ends in " : "no end", left);
}

static void
check_token(struct doctor *d)
{
	struct err e = ERR_INIT;

	if (d->conn == NULL) {
		doctor_say(d, "token", FINDING_SKIPPED, NULL,
		    "there is no credential to show");
		return;
	}
	if (remote_call(d->conn,
	        &(struct remote_call){
	            .method = "GET",
	            .path = "/api/v2/whoami",
	            .reply_desc = &identity_desc,
	            .reply = &d->identity,
	            .deadline = doctor_deadline(d),
	        },
	        d->a, &e) == 0) {
		d->known = 1;
		say_identity(d);
	} else if (e.kind == ERR_NOT_FOUND || e.kind == ERR_VERSION) {
		doctor_say(d, "token", FINDING_SKIPPED, NULL,
		    "the server is too old to tell");
	} else if (e.kind == ERR_UNAUTHORIZED) {
		doctor_say(d, "token", FINDING_PROBLEM,
		    "it may be mistyped, revoked or expired: niks3 token list "
		    "--all tells, niks3 token create makes one",
		    "%s", e.msg);
	} else {
		doctor_fail(d, "token", &e, "see the log of niks3-server");
	}
}

/* ---- what it talks to ---- */

/* Of what anybody may know. */
static void
check_ready(struct doctor *d)
{
	struct http_answer answer;
	struct err e = ERR_INIT;
	struct buf body;

	buf_init(&body, DOCTOR_BODY_MAX);
	if (doctor_ask(d, d->http, "GET", url_of(d, "/ready"), &body, &answer,
	        &e) != 0)
		doctor_fail(d, "parts", &e, advice_for(&e));
	else if (answer.status == 200)
		doctor_say(d, "parts", FINDING_OK, NULL,
		    "database, signer and an uploader are there");
	else
		doctor_say(d, "parts", FINDING_PROBLEM,
		    "ask who runs the server; niks3 doctor with a token that "
		    "has the scope admin says more",
		    "%.*s", (int)strcspn(buf_str(&body), "\n"), buf_str(&body));
	buf_done(&body);
	doctor_say(d, "bucket", FINDING_SKIPPED, NULL,
	    "not checked, nor are signer, uploaders, gc worker and database "
	    "one by one: needs admin");
}

static void
check_parts(struct doctor *d)
{
	struct findings found;
	struct err e = ERR_INIT;

	if (!doctor_may(d, "admin")) {
		check_ready(d);
		return;
	}
	if (remote_call(d->conn,
	        &(struct remote_call){
	            .method = "POST",
	            .path = "/api/v2/doctor",
	            .reply_desc = &findings_desc,
	            .reply = &found,
	            .deadline = deadline_in(BUCKET_MS),
	        },
	        d->a, &e) != 0) {
		doctor_fail(d, "parts", &e, "see the log of niks3-server");
		return;
	}
	for (size_t i = 0; i < found.findings.n; i++) {
		const struct finding *f = &found.findings.items[i];

		doctor_say(d, f->check, finding_by_name(f->state), f->advice,
		    "%s", f->text != NULL ? f->text : "");
	}
}

void
doctor_server(struct doctor *d)
{
	if (d->url == NULL)
		return;
	check_reach(d);
	if (!d->answers) {
		doctor_say(d, "token", FINDING_SKIPPED, NULL,
		    "nor is anything else of the server: it does not answer");
		return;
	}
	check_version(d);
	check_token(d);
	check_parts(d);
}
