#include "log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "err.h"
#include "utf8.h"

#define REQUEST_MAX 64
#define CUT         "...\n" /* ends a line that did not fit */

static const char *program;
static int journal;
static atomic_int most_level = LOG_LEVEL_INFO;
static _Thread_local char request[REQUEST_MAX];

static const char *const level_names[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARN] = "warn",
	[LOG_LEVEL_NOTICE] = "notice",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};

int
log_level_parse(const char *s, enum log_level *out, struct err *e)
{
	for (int l = LOG_LEVEL_ERROR; l <= LOG_LEVEL_DEBUG; l++)
		if (strcmp(s, level_names[l]) == 0) {
			*out = l;
			return 0;
		}
	return err_set(
	    e, ERR_INVALID, "not one of error, warn, notice, info, debug");
}

/*
 * JOURNAL_STREAM is inherited by everything below a service, so it counts only
 * when standard error is still the stream that it names (systemd.exec(5)).
 */
static int
stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char mine[64];
	struct stat st;

	if (stream == NULL || fstat(STDERR_FILENO, &st) == -1)
		return 0;
	snprintf(mine, sizeof mine, "%ju:%ju", (uintmax_t)st.st_dev,
	    (uintmax_t)st.st_ino);
	return strcmp(stream, mine) == 0;
}

void
log_init(const char *name, enum log_level most)
{
	program = name;
	journal = stderr_is_journal();
	most_level = most;
}

int
log_enabled(enum log_level level)
{
	return (int)level <= most_level;
}

void
log_request(const char *id)
{
	snprintf(request, sizeof request, "%s", id != NULL ? id : "");
}

const char *
log_request_get(void)
{
	return request;
}

/*
 * One printable unit of *s into out: a character or an escape. Quotes and
 * backslashes are escaped in a quoted value. Advances *s, returns the length.
 */
#define UNIT_MAX 5
static size_t
unit_escape(char out[UNIT_MAX], const char **s, int quoted)
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char *u = (const unsigned char *)*s;
	size_t len = utf8_len(u, 4); /* stops at the NUL by itself */
	char letter = 0;

	/* U+0080 ... U+009F are control characters, which terminals obey. */
	if (len > 1 && !(u[0] == 0xc2 && u[1] < 0xa0)) {
		memcpy(out, u, len);
		*s += len;
		return len;
	}
	(*s)++;
	if (*u == '\n')
		letter = 'n';
	else if (*u == '\t')
		letter = 't';
	else if (*u == '\r')
		letter = 'r';
	else if (quoted && (*u == '"' || *u == '\\'))
		letter = (char)*u;
	if (letter != 0) {
		memcpy(out, (char[]){ '\\', letter }, 2);
		return 2;
	}
	if (*u >= 0x20 && *u <= 0x7e) {
		out[0] = (char)*u;
		return 1;
	}
	memcpy(out, (char[]){ '\\', 'x', hex[*u >> 4], hex[*u & 15] }, 4);
	return 4;
}

const char *
log_escape(char *out, size_t size, const char *s)
{
	char unit[UNIT_MAX];
	size_t len = 0;

	while (*s != '\0') {
		size_t n = unit_escape(unit, &s, 0);

		if (n >= size - len)
			break;
		memcpy(out + len, unit, n);
		len += n;
	}
	out[len] = '\0';
	return out;
}

/* A line being made; there is always room for CUT. */
struct line {
	char text[LOG_LINE_MAX];
	size_t len;
	int cut;
};

/* Units are put whole or, from the first that does not fit, not at all. */
static void
put(struct line *l, const char *s, size_t n)
{
	if (l->cut || n > sizeof l->text - strlen(CUT) - l->len) {
		l->cut = 1;
		return;
	}
	memcpy(l->text + l->len, s, n);
	l->len += n;
}

static void
puts_raw(struct line *l, const char *s)
{
	put(l, s, strlen(s));
}

static void
puts_escaped(struct line *l, const char *s, int quoted)
{
	char unit[UNIT_MAX];

	while (*s != '\0' && !l->cut) {
		size_t n = unit_escape(unit, &s, quoted);

		put(l, unit, n);
	}
}

static void
put_pair(struct line *l, const char *key, const char *value)
{
	static const char bare[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	                           "abcdefghijklmnopqrstuvwxyz"
	                           "0123456789_./:@+,=-";

	puts_raw(l, " ");
	puts_raw(l, key);
	puts_raw(l, "=");
	if (value == NULL)
		value = "";
	if (*value != '\0' && value[strspn(value, bare)] == '\0') {
		puts_escaped(l, value, 0);
		return;
	}
	puts_raw(l, "\"");
	puts_escaped(l, value, 1);
	puts_raw(l, "\"");
}

static void
put_field(struct line *l, const struct log_field *f)
{
	char number[32];
	uint64_t us;

	switch (f->type) {
	case LOG_FIELD_STR:
		put_pair(l, f->key, f->s);
		return;
	case LOG_FIELD_I64:
		snprintf(number, sizeof number, "%lld", (long long)f->i);
		break;
	case LOG_FIELD_U64:
		snprintf(
		    number, sizeof number, "%llu", (unsigned long long)f->u);
		break;
	case LOG_FIELD_US:
		us = f->i < 0 ? -(uint64_t)f->i : (uint64_t)f->i;
		snprintf(number, sizeof number, "%s%llu.%03ums",
		    f->i < 0 ? "-" : "", (unsigned long long)(us / 1000),
		    (unsigned)(us % 1000));
		break;
	case LOG_FIELD_END:
		return;
	}
	put_pair(l, f->key, number);
}

void
log_write(enum log_level level, const char *msg, const struct log_field *fields)
{
	int no = errno;
	const char *end;
	struct line l;
	char priority[] = { '<', (char)('0' + level), '>' };

	if (!log_enabled(level))
		return;
	l.len = 0;
	l.cut = 0;
	if (journal) {
		put(&l, priority, sizeof priority);
	} else {
		if (program != NULL) {
			puts_raw(&l, program);
			puts_raw(&l, ": ");
		}
		if (level <= LOG_LEVEL_WARN || level == LOG_LEVEL_DEBUG) {
			puts_raw(&l, level_names[level]);
			puts_raw(&l, ": ");
		}
	}
	puts_escaped(&l, msg, 0);
	if (request[0] != '\0')
		put_pair(&l, "req", request);
	for (; fields->type != LOG_FIELD_END; fields++)
		put_field(&l, fields);
	end = l.cut ? CUT : "\n";
	memcpy(l.text + l.len, end, strlen(end));
	l.len += strlen(end);
	/* Nobody can be told when this fails. */
	while (write(STDERR_FILENO, l.text, l.len) == -1 && errno == EINTR)
		continue;
	errno = no;
}

void
log_err(enum log_level level, const char *msg, const struct err *e)
{
	struct log_field fields[] = {
		LOG_S("error", e->msg),
		LOG_S("kind", err_name(e->kind)),
		e->hint[0] != '\0' ? LOG_S("hint", e->hint)
		                   : (struct log_field){ 0 },
		{ 0 },
	};

	log_write(level, msg, fields);
}
