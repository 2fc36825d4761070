/*
 * What Nix knows of store paths: the output of `nix path-info --json`, in the
 * forms of Nix 2.8 (array), 2.19 and later (object keyed by path), 2.33 and
 * later (structured hash and ca; format 2 wraps it in {"info": {BASENAME: …}})
 * and Lix (array).
 */
#ifndef NIX_PATHINFO_H
#define NIX_PATHINFO_H

#include <stddef.h>
#include <stdint.h>

#include "hash.h"

struct arena;
struct err;

#define PATHINFO_MAX 2000000 /* paths in one closure */

struct pathinfo {
	const char *base; /* of the store path */
	struct hash nar_hash;
	uint64_t nar_size;
	const char **refs; /* base names, sorted, self included if it refers to
			      itself */
	size_t nrefs;
	const char *deriver; /* base name or NULL */
	const char **sigs; /* sorted; those that are no Ed25519 are left out */
	size_t nsigs;
	const char
	    *ca; /* as narinfos have it ("fixed:r:sha256:..."), or NULL */
};

/*
 * Parses the whole output; *out is sorted by base. Paths that Nix calls invalid
 * (null entries, "valid": false) are ERR_NOT_FOUND with their name; a path that
 * stands there twice is ERR_INVALID. O(n log n); no tree is made of the JSON and
 * a base name is kept once however often it is referred to, so a large closure
 * needs little more memory than its text.
 */
int pathinfo_parse(const char *json, size_t len, const char *store_dir,
    struct arena *a, struct pathinfo **out, size_t *n, struct err *e);

#endif
