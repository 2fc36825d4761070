/*
 * Roots that need no push, because another cache serves them: by the signature
 * that they have, or by asking that cache. Only roots: of what is pushed the whole
 * closure is, for a cache whose closures are not whole is none.
 */
#ifndef NIKS3_FILTER_H
#define NIKS3_FILTER_H

#include <stddef.h>
#include <stdint.h>

#include "../../libcommon/core/opt.h"

struct arena;
struct desc_strs;
struct err;

struct filter_config {
	struct opt_list upstreams, signed_by;
};

/* Rows of an option table for a struct filter_config at offset o. */
#define FILTER_OPTIONS(o)                                                      \
	{ "upstream-cache", NULL, OPT_LIST,                                    \
		(o) + offsetof(struct filter_config, upstreams), OPT_RARE,     \
		NULL, "URL", "leave out paths that this cache has", 0, 0 },    \
	{                                                                      \
		"skip-signed-by", NULL, OPT_LIST,                              \
		    (o) + offsetof(struct filter_config, signed_by), OPT_RARE, \
		    NULL, "KEYNAME", "leave out paths that this key signed",   \
		    0, 0                                                       \
	}

int filter_check(const struct filter_config *c, struct err *e);
/* Leaves in roots (base names) those that no such key has signed; each of the
 * others is logged. */
int filter_signed(const struct filter_config *c, const char *store_dir,
    struct arena *a, struct desc_strs *roots, struct err *e);
/* And those that no such cache has. One that does not answer has nothing. Gives
 * up soon after *cancel becomes nonzero. */
int filter_upstream(const struct filter_config *c, const volatile int *cancel,
    struct arena *a, struct desc_strs *roots, struct err *e);

#endif
