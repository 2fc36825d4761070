/*
 * The log of a program: lines on standard error, "message key=value ...".
 *
 * Only programs (bin/) and the loops that a library runs for them log; library
 * functions return errors. Under journald (standard error is the stream that
 * JOURNAL_STREAM names) each line starts with its syslog priority "<6>", else
 * with the program's name and, for errors, warnings and debugging, the level.
 * Values are quoted when they are empty or hold anything but
 * [A-Za-z0-9_./:@+,=-]; control characters, quotes and bytes over 0x7e that are
 * no valid UTF-8 are escaped, so foreign bytes cannot forge a line.
 * Every line of a request carries req=ID once log_request was called in its
 * thread. Thread-safe; one write(2) a line, at most LOG_LINE_MAX bytes.
 */
#ifndef CORE_LOG_H
#define CORE_LOG_H

#include <stddef.h>
#include <stdint.h>

struct err;

enum log_level {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARN,
	LOG_LEVEL_NOTICE,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG
};

#define LOG_LINE_MAX 4096

/* name is kept (not copied). Before this call lines carry no program name. */
void log_init(const char *name, enum log_level most);
int log_enabled(enum log_level level);
/* "error", "warn", "notice", "info", "debug". */
int log_level_parse(const char *s, enum log_level *out, struct err *e);
/* Every later line of this thread carries req=id; NULL ends that. id is
 * copied, up to 63 bytes. */
void log_request(const char *id);
const char *log_request_get(void); /* "" when there is none */

/*
 * The tail is pairs of a key and a value, made by the macros below and ended by
 * LOG_END, which the log_* macros add:
 *
 *	log_info("upload begun", LOG_S("id", id), LOG_U("missing", n));
 */
struct log_field {
	const char *key;
	enum {
		LOG_FIELD_END,
		LOG_FIELD_STR,
		LOG_FIELD_I64,
		LOG_FIELD_U64,
		LOG_FIELD_US
	} type;
	union {
		const char *s;
		int64_t i;
		uint64_t u;
	};
};

#define LOG_S(k, v) ((struct log_field){ k, LOG_FIELD_STR, { .s = (v) } })
#define LOG_I(k, v) ((struct log_field){ k, LOG_FIELD_I64, { .i = (v) } })
#define LOG_U(k, v) ((struct log_field){ k, LOG_FIELD_U64, { .u = (v) } })
/* A duration in microseconds, printed as "12.345ms". */
#define LOG_T(k, v) ((struct log_field){ k, LOG_FIELD_US, { .i = (v) } })

void log_write(
    enum log_level level, const char *msg, const struct log_field *fields);

#define LOG_AT(level, msg, ...)                                     \
	do {                                                        \
		if (log_enabled(level))                             \
			log_write(level, msg,                       \
			    (const struct log_field[]){             \
			        __VA_ARGS__ __VA_OPT__(, ){ 0 } }); \
	} while (0)

#define log_error(msg, ...)  LOG_AT(LOG_LEVEL_ERROR, msg, __VA_ARGS__)
#define log_warn(msg, ...)   LOG_AT(LOG_LEVEL_WARN, msg, __VA_ARGS__)
#define log_notice(msg, ...) LOG_AT(LOG_LEVEL_NOTICE, msg, __VA_ARGS__)
#define log_info(msg, ...)   LOG_AT(LOG_LEVEL_INFO, msg, __VA_ARGS__)
#define log_debug(msg, ...)  LOG_AT(LOG_LEVEL_DEBUG, msg, __VA_ARGS__)

/* "msg error=... kind=... hint=..." at the given level. */
void log_err(enum log_level level, const char *msg, const struct err *e);

/*
 * Foreign text made fit for a terminal: what a line of the log escapes, but for
 * quotes. Cut so that out holds it with its NUL. Returns out.
 */
const char *log_escape(char *out, size_t size, const char *s);

#endif
