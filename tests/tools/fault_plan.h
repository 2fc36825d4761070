/*
 * Which request of the fault proxy meets which fault, and the log of it.
 *
 * The n-th request of a class meets the fault that the seed says, whatever
 * threads do meanwhile. Rates are read from a file, and again whenever the proxy
 * is told to: "CLASS FAULT PER-MILLE" a line, or "all" for every class that can
 * meet the fault; later lines win, and what is not named does not happen.
 */
#ifndef TOOLS_FAULT_PLAN_H
#define TOOLS_FAULT_PLAN_H

#include <stdint.h>

struct err;

/*
 * read: GET and HEAD; put: of an object; pin: any change below pins/; delete: of
 * one key; batch: DeleteObjects; multipart: its beginning, parts, end and abort.
 */
#define FAULT_CLASS_LIST(C) \
	C(read) C(put) C(pin) C(delete) C(batch) C(multipart)

enum fault_class {
#define C(name) FAULT_CLASS_##name,
	FAULT_CLASS_LIST(C)
#undef C
	FAULT_CLASSES
};

/*
 *	F(name, classes that can meet it)
 *
 * Before S3 is asked: an error without it (error500, slowdown), a connection
 * that is closed at once (closed) or after some time (hang), and a request that
 * is carried out long after its sender was told that the connection is lost
 * (late). After S3 did it: no answer (lost), the half of one (cut), a wrong one
 * (lie), a slow one (slow). Of DeleteObjects: some keys only (half).
 */
#define FAULT_ALL       ((1u << FAULT_CLASSES) - 1)
#define FAULT_OF(class) (1u << FAULT_CLASS_##class)
#define FAULT_WRITES                                          \
	(FAULT_OF(put) | FAULT_OF(delete) | FAULT_OF(batch) | \
	    FAULT_OF(multipart))
#define FAULTS(F)              \
	F(error500, FAULT_ALL) \
	F(slowdown, FAULT_ALL) \
	F(closed, FAULT_ALL)   \
	F(hang, FAULT_ALL)     \
	F(late, FAULT_WRITES)  \
	F(lost, FAULT_ALL)     \
	F(cut, FAULT_ALL)      \
	F(lie, FAULT_WRITES)   \
	F(slow, FAULT_ALL)     \
	F(half, FAULT_OF(batch))

enum fault {
	FAULT_NONE,
#define F(name, classes) FAULT_##name,
	FAULTS(F)
#undef F
	FAULT__MAX
};

const char *fault_name(enum fault f);

/* The file of rates, and the log, which is appended to. */
int fault_plan_open(
    uint64_t seed, const char *rates, const char *log, struct err *e);
/* Reads the rates again and logs "rates". */
int fault_plan_reload(struct err *e);

/* The fault of the next request of this class, and random bits for it. */
enum fault fault_draw(enum fault_class class, uint64_t *random);
/* The next of those bits: a number below n. */
uint64_t fault_random(uint64_t *random, uint64_t n);

/* One line "SECONDS.MICROSECONDS text", of the wall clock. */
void fault_log(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
