/*
 * What a derivation makes, from its file (Nix, src/libstore/derivations.cc):
 *
 *	Derive([("dev","/nix/store/…-dev","",""),("out",…)],[…
 *
 * Nothing but the outputs is read.
 */
#ifndef NIX_DERIVATION_H
#define NIX_DERIVATION_H

#include <stddef.h>

struct arena;
struct err;

#define DERIVATION_OUTPUTS_MAX 1000

struct derivation_output {
	const char *name;
	const char *base; /* of the store path; NULL when the derivation does
			     not know it: content-addressed, or what depends on
			     such */
};

int derivation_outputs(const char *text, size_t len, const char *store_dir,
    struct arena *a, struct derivation_output **out, size_t *n, struct err *e);

#endif
