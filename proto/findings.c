#include "findings.h"

#include <string.h>

const char *const finding_states[FINDING__MAX] = {
	[FINDING_OK] = "ok",
	[FINDING_WARNING] = "warning",
	[FINDING_PROBLEM] = "problem",
	[FINDING_SKIPPED] = "skipped",
};

enum finding_state
finding_by_name(const char *name)
{
	for (unsigned i = 0; i < FINDING__MAX; i++)
		if (strcmp(name, finding_states[i]) == 0)
			return i;
	return FINDING_WARNING;
}

enum finding_state
finding_of_skew(int64_t seconds)
{
	if (seconds <= -FINDING_SKEW_PROBLEM_S ||
	    seconds >= FINDING_SKEW_PROBLEM_S)
		return FINDING_PROBLEM;
	if (seconds <= -FINDING_SKEW_WARNING_S ||
	    seconds >= FINDING_SKEW_WARNING_S)
		return FINDING_WARNING;
	return FINDING_OK;
}
