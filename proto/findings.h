/*
 * What a check of niks3 doctor found, as server and command line both say it
 * (bodies.h: finding).
 */
#ifndef PROTO_FINDINGS_H
#define PROTO_FINDINGS_H

#include <stdint.h>

enum finding_state {
	FINDING_OK,
	FINDING_WARNING,
	FINDING_PROBLEM,
	FINDING_SKIPPED,
	FINDING__MAX
};

/* "ok", "warning", "problem", "skipped" */
extern const char *const finding_states[FINDING__MAX];
/* FINDING_WARNING for a word that a newer server has. */
enum finding_state finding_by_name(const char *name);

/*
 * What it means that two clocks differ by so many seconds: a few are the way and
 * the rounding of a date, and from 15 minutes on S3 refuses what is signed.
 */
#define FINDING_SKEW_WARNING_S 30
#define FINDING_SKEW_PROBLEM_S 300
enum finding_state finding_of_skew(int64_t seconds);

#endif
