/*
 * niks3 doctor: what is wrong with the set-up, and how to mend it.
 */
#include "doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/http/client.h"
#include "command.h"
#include "print.h"

#define MEMORY_MAX ((size_t)64 << 20)
#define TEXT_MAX   2048

#define O(field)   offsetof(struct doctor_config, field)

static const struct opt options[] = {
	REMOTE_OPTIONS_AS(O(remote), 0),
	{ "cache-url", "NIKS3_CACHE_URL", OPT_STR, O(cache_url), 0, NULL, "URL",
	    "the cache as Nix reads it (default: what the server says)", 0, 0 },
	{ "timeout", NULL, OPT_DURATION, O(timeout_us), 0, "10s", "DURATION",
	    "how long a check may take", 1000, 600000 },
	{ "json", NULL, OPT_BOOL, O(json), 0, NULL, NULL, "print JSON", 0, 0 },
	{ NULL },
};

const struct opt_program doctor_program = {
	.name = "niks3 doctor",
	.synopsis = "niks3 doctor [OPTION]... [PATH]",
	.summary =
	    "Checks client, server, bucket, cache and the Nix here. PATH "
	    "is a store path that the cache has.",
	.opts = options,
	.max_args = 1,
};

/* ---- saying ---- */

static void
print_state(const struct doctor *d, enum finding_state state)
{
	static const struct {
		const char *word, *colour;
	} shown[FINDING__MAX] = {
		[FINDING_OK] = { "ok", "32" },
		[FINDING_WARNING] = { "warning", "33" },
		[FINDING_PROBLEM] = { "PROBLEM", "1;31" },
		[FINDING_SKIPPED] = { "skipped", "2" },
	};

	if (d->colour)
		printf("\033[%sm%-8s\033[0m ", shown[state].colour,
		    shown[state].word);
	else
		printf("%-8s ", shown[state].word);
}

static void
note(struct doctor *d, const struct finding *f, enum finding_state state)
{
	d->count[state]++;
	if (d->all.findings.n < API_FINDINGS_MAX)
		d->all.findings.items[d->all.findings.n++] = *f;
	if (d->config->json)
		return;
	print_state(d, state);
	printf("%-22s ", f->check);
	puts(f->text);
	if (f->advice != NULL) {
		printf("         -> %s\n", f->advice);
	}
	/* A check may take its time: what is known is told before it. */
	fflush(stdout);
}

/* A copy that is fit for a terminal, and for JSON. */
static const char *
clean(struct doctor *d, const char *s)
{
	char text[TEXT_MAX];
	const char *copy = arena_str(d->a, log_escape(text, sizeof text, s));

	if (copy == NULL)
		err_die("out of memory for findings");
	return copy;
}

void
doctor_say(struct doctor *d, const char *check, enum finding_state state,
    const char *advice, const char *fmt, ...)
{
	char text[TEXT_MAX];
	struct finding f = { .check = clean(d, check),
		.state = clean(d, finding_states[state]) };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	f.text = clean(d, text);
	if (advice != NULL && advice[0] != '\0')
		f.advice = clean(d, advice);
	note(d, &f, state);
}

void
doctor_fail(struct doctor *d, const char *check, const struct err *e,
    const char *advice)
{
	doctor_say(d, check, FINDING_PROBLEM,
	    e->hint[0] != '\0' ? e->hint : advice, "%s", e->msg);
}

/* ---- asking ---- */

deadline_t
doctor_deadline(const struct doctor *d)
{
	return deadline_in(d->config->timeout_us / 1000);
}

int
doctor_ask(struct doctor *d, struct http_client *c, const char *method,
    const char *url, struct buf *body, struct http_answer *out, struct err *e)
{
	static const char *const headers[] = { "Accept-Encoding: zstd" };

	return http_call(c,
	    &(struct http_call){
	        .method = method,
	        .url = url,
	        .headers = headers,
	        .nheaders = 1,
	        .deadline = doctor_deadline(d),
	        .response = body,
	    },
	    out, e);
}

int
doctor_may(const struct doctor *d, const char *scope)
{
	for (size_t i = 0; d->known && i < d->identity.scopes.n; i++)
		if (strcmp(d->identity.scopes.items[i], scope) == 0)
			return 1;
	return 0;
}

/* ---- all of it ---- */

static int
wants_colour(void)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && (no == NULL || no[0] == '\0') &&
	    term != NULL && strcmp(term, "dumb") != 0;
}

static int
finish(struct doctor *d, struct err *e)
{
	if (d->config->json) {
		if (print_json(&findings_desc, &d->all, e) != 0)
			return -1;
	} else {
		printf("%zu ok, warnings: %zu, problems: %zu, skipped: %zu\n",
		    d->count[FINDING_OK], d->count[FINDING_WARNING],
		    d->count[FINDING_PROBLEM], d->count[FINDING_SKIPPED]);
	}
	if (fflush(stdout) == EOF || ferror(stdout))
		return err_sys(e, "standard output");
	return 0;
}

static int
examine(const struct doctor_config *c, const char *path)
{
	struct doctor d = { .config = c, .path = path };
	struct err e = ERR_INIT;
	int status;

	d.a = arena_new(MEMORY_MAX);
	d.all.findings.items =
	    arena_array(d.a, API_FINDINGS_MAX, sizeof *d.all.findings.items);
	d.colour = wants_colour();
	doctor_setup(&d);
	doctor_server(&d);
	doctor_cache(&d);
	doctor_nix(&d);
	if (finish(&d, &e) != 0)
		status = command_fail(&e);
	else
		status = d.count[FINDING_PROBLEM] > 0 ? 1 : 0;
	remote_conn_free(d.conn);
	remote_free(d.remote);
	http_client_free(d.http);
	arena_free(d.a);
	return status;
}

int
command_doctor(int argc, char **argv)
{
	struct doctor_config c = { 0 };
	size_t nargs;
	char **args;
	int status;

	status = opt_start(&doctor_program, &c, argc, argv, &args, &nargs);
	if (status >= 0)
		return status;
	command_log(&c.common);
	status = c.common.check ? 0 : examine(&c, nargs > 0 ? args[0] : NULL);
	opt_done(&doctor_program, &c);
	return status;
}
