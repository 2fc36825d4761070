/*
 * Realisations: which store path an output of a content-addressed derivation
 * turned out to be (Nix, src/libstore/realisation.cc). In a cache they are
 * realisations/<id>.doi, where id is "sha256:<base16>!<output>".
 */
#ifndef NIX_REALISATION_H
#define NIX_REALISATION_H

#include <stddef.h>

struct arena;
struct err;

struct realisation {
	const char *id;
	const char *out_path; /* base name */
	const char *json;     /* the object as it is stored, NUL-terminated */
};

/*
 * Parses the output of `nix realisation info --json`: an array, in which entries
 * without an id (paths that are no realisation) are skipped. The stored JSON is
 * {"dependentRealisations":{…},"id":…,"outPath":…,"signatures":[…]}, byte for
 * byte what Nix itself stores.
 */
int realisation_parse(const char *json, size_t len, const char *store_dir,
    struct arena *a, struct realisation **out, size_t *n, struct err *e);

/* "<algo>:<hash>!<output>" by the grammar of the key. */
int realisation_check_id(const char *id, struct err *e);

#endif
