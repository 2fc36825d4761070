/*
 * What the fuzzers share. Each looks at one kind of input from outside, and checks
 * what the header of its reader promises, not only that nothing crashes.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "../../libcommon/core/err.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A run with the same seed is the same run: jansson's tables are not random. */
int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	json_object_seed(1);
	return 0;
}

/* A property that must hold for every input. */
#define FUZZ_CHECK(holds)                                            \
	do {                                                         \
		if (!(holds))                                        \
			err_die("%s: broken: %s", __func__, #holds); \
	} while (0)

#endif
