/*
 * alter_proxy: stands before an HTTP server and alters its answers.
 *
 *	alter_proxy ADDRESS:PORT RULES
 *
 * The server is named in numbers. RULES is a file, read anew for each request, of
 * lines "METHOD TARGET ACTION ARGUMENT...", METHOD and TARGET patterns (glob.h), of
 * which every one that fits is applied:
 *
 *	date SECONDS        the answer's Date is so many seconds later
 *	replace OLD NEW     in its body; both are of one length
 *	drop HEADER         from its head
 *	turn FROM TO        the status FROM becomes TO, without a body
 *	status TO           any status does, and the server is not asked
 *
 * Requests are sent on unchanged, with the Host that was signed. A process a
 * connection; every wait has a deadline. Says "listening port=N" at the start and
 * runs until a signal ends it.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../../libcommon/core/err.h"
#include "../../libcommon/core/file.h"
#include "../../libcommon/core/glob.h"
#include "../../libcommon/http/listen.h"
#include "fault_http.h"

#define WAIT_MS   60000
#define RULES_MAX 32
#define WORD_MAX  512
#define DATE_LEN  29 /* of the form that is written (RFC 9110) */

struct rule {
	char method[16], target[WORD_MAX], action[16], a[WORD_MAX], b[WORD_MAX];
};

struct client {
	int fd;
	const char *host, *port, *rules;
	struct fault_message request, answer;
	struct rule list[RULES_MAX];
	size_t nrules;
};

/* Those that fit the request. */
static void
read_rules(struct client *c, const char *method, const char *target)
{
	struct buf text;
	char *line, *rest;

	buf_init(&text, 65536);
	if (file_read(c->rules, &text, NULL) != 0)
		err_die("cannot read %s", c->rules);
	c->nrules = 0;
	for (line = strtok_r((char *)(uintptr_t)buf_str(&text), "\n", &rest);
	     line != NULL; line = strtok_r(NULL, "\n", &rest)) {
		struct rule r = { "" };

		if (sscanf(line, "%15s %511s %15s %511s %511s", r.method,
		        r.target, r.action, r.a, r.b) < 4)
			err_die("rule: %s", line);
		if (glob_match(r.method, method) &&
		    glob_match(r.target, target) && c->nrules < RULES_MAX)
			c->list[c->nrules++] = r;
	}
	buf_done(&text);
}

/* ---- altering ---- */

static void
set_status(struct client *c, const char *status)
{
	struct fault_message *m = &c->answer;

	buf_reset(&m->raw);
	m->last = 0;
	if (buf_printf(&m->raw, NULL,
	        "HTTP/1.1 %s Altered\r\nContent-Length: 0\r\n\r\n",
	        status) != 0)
		err_die("no room");
	m->head = m->raw.len;
}

static void
shift_date(struct client *c, const char *seconds)
{
	char *at = fault_find_header(&c->answer, "Date");
	char text[DATE_LEN + 1];
	struct tm tm = { 0 };
	time_t t;

	if (at == NULL)
		return;
	at += strlen("Date: ");
	memcpy(text, at, DATE_LEN);
	text[DATE_LEN] = '\0';
	t = clock_parse_http(text) + atol(seconds);
	gmtime_r(&t, &tm);
	if (strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &tm) !=
	    DATE_LEN)
		err_die("a date of another length");
	memcpy(at, text, DATE_LEN);
}

static void
replace(struct client *c, const char *old, const char *new)
{
	struct buf *raw = &c->answer.raw;
	size_t n = strlen(old);
	char *at = (char *)raw->data + c->answer.head, *end;

	if (n != strlen(new))
		err_die("%s and %s have different lengths", old, new);
	end = (char *)raw->data + raw->len;
	while ((at = memmem(at, end - at, old, n)) != NULL) {
		memcpy(at, new, n);
		at += n;
	}
}

static void
alter(struct client *c)
{
	for (size_t i = 0; i < c->nrules; i++) {
		const struct rule *r = &c->list[i];

		if (strcmp(r->action, "date") == 0)
			shift_date(c, r->a);
		else if (strcmp(r->action, "replace") == 0)
			replace(c, r->a, r->b);
		else if (strcmp(r->action, "drop") == 0)
			fault_drop_header(&c->answer, r->a);
		else if (strcmp(r->action, "turn") == 0 &&
		    fault_status(&c->answer) == atoi(r->a))
			set_status(c, r->b);
	}
}

/* ---- one request ---- */

/* The status that a rule has for it without the server; NULL. */
static const char *
fixed_status(const struct client *c)
{
	for (size_t i = 0; i < c->nrules; i++)
		if (strcmp(c->list[i].action, "status") == 0)
			return c->list[i].a;
	return NULL;
}

/* Each over a connection of its own. */
static int
ask(struct client *c, const char *method)
{
	int fd = fault_connect(c->host, c->port), rc = -1;
	deadline_t d = deadline_in(WAIT_MS);

	if (fd < 0)
		return -1;
	if (fault_send(fd, c->request.raw.data, c->request.raw.len, d) == 0)
		rc = fault_read_answer(
		    fd, &c->answer, strcmp(method, "HEAD") == 0, d);
	close(fd);
	return rc;
}

static int
serve_one(struct client *c)
{
	char method[16], target[8192];

	if (fault_read_request(c->fd, &c->request, deadline_in(WAIT_MS)) != 1 ||
	    sscanf(buf_str(&c->request.raw), "%15s %8191s", method, target) !=
	        2)
		return -1;
	read_rules(c, method, target);
	if (fixed_status(c) != NULL)
		set_status(c, fixed_status(c));
	else if (ask(c, method) != 0)
		return -1;
	else
		alter(c);
	return fault_send(c->fd, c->answer.raw.data, c->answer.raw.len,
	           deadline_in(WAIT_MS)) == 0 &&
	        !c->answer.last && !c->request.last
	    ? 0
	    : -1;
}

int
main(int argc, char **argv)
{
	struct client c = { 0 };
	struct err e = ERR_INIT;
	struct pollfd p = { .events = POLLIN };
	char *colon;

	if (argc != 3 || (colon = strrchr(argv[1], ':')) == NULL)
		err_die("alter_proxy ADDRESS:PORT RULES");
	*colon = '\0';
	c.host = argv[1];
	c.port = colon + 1;
	c.rules = argv[2];
	if (listen_open("127.0.0.1:0", &p.fd, &e) != 0)
		err_die("%s", e.msg);
	signal(SIGCHLD, SIG_IGN);
	printf("listening port=%u\n", listen_port(p.fd));
	fflush(stdout);
	for (;;) {
		if (poll(&p, 1, -1) <= 0 ||
		    (c.fd = accept(p.fd, NULL, NULL)) < 0)
			continue;
		if (fork() == 0) {
			close(p.fd);
			fault_message_init(&c.request);
			fault_message_init(&c.answer);
			while (serve_one(&c) == 0)
				;
			_exit(0);
		}
		close(c.fd);
	}
}
