/*
 * Keys of objects in the bucket: the grammar of a Nix binary cache as niks3
 * writes it.
 *
 *	narinfo      <32 nix32>.narinfo
 *	nar          nar/<52 nix32>.nar[.zst|.xz|.bz2]
 *	listing      <32 nix32>.ls
 *	log          log/<drv name>.drv
 *	realisation  realisations/<algo>:<hash>!<output>.doi
 *
 * nix-cache-info, index.html, pins/NAME and staging/… belong to the server: no
 * upload can name them.
 */
#ifndef NIX_OBJKEY_H
#define NIX_OBJKEY_H

#include <stddef.h>

struct err;

/* The numbers stand in the database: never change one. */
enum objkey_kind {
	OBJKEY_NARINFO = 1,
	OBJKEY_NAR = 2,
	OBJKEY_LISTING = 3,
	OBJKEY_LOG = 4,
	OBJKEY_REALISATION = 5,
	OBJKEY__MAX
};

#define OBJKEY_MAX 1024 /* bytes: what S3 allows, and the database's check */

/* The kind, or ERR_INVALID. */
int objkey_parse(
    const char *key, size_t len, enum objkey_kind *out, struct err *e);
/* As the HTTP API has it: "narinfo", "nar", "listing", "build_log",
 * "realisation". */
const char *objkey_kind_name(enum objkey_kind kind);
/* -1 when there is no such name. */
int objkey_kind_by_name(const char *name, enum objkey_kind *out);

/* How the NAR of that key is compressed, as narinfos name it. */
const char *objkey_compression(const char *nar_key);

/* Headers that an object of this kind is stored with; encoding may be NULL. */
const char *objkey_content_type(enum objkey_kind kind);
const char *objkey_content_encoding(enum objkey_kind kind);

struct hash;
#define OBJKEY_TEXT_MAX (OBJKEY_MAX + 1)
/* Each writes a NUL-terminated key. base is a checked base name. */
void objkey_fmt_narinfo(char out[OBJKEY_TEXT_MAX], const char *base);
void objkey_fmt_listing(char out[OBJKEY_TEXT_MAX], const char *base);
void objkey_fmt_nar(char out[OBJKEY_TEXT_MAX], const struct hash *nar);
/* These check what they are given, which comes from outside. The log is that of
 * a derivation, so drv_base ends in ".drv". */
int objkey_fmt_log(
    char out[OBJKEY_TEXT_MAX], const char *drv_base, struct err *e);
int objkey_fmt_realisation(
    char out[OBJKEY_TEXT_MAX], const char *id, struct err *e);

/*
 * Where clients of the compatible API write an object before its upload commits;
 * token is the upload's name, 1 to 64 of [0-9a-z]. ERR_INVALID when token or key
 * is none, or together they are too long.
 */
#define OBJKEY_STAGING "staging/"
int objkey_fmt_staged(char out[OBJKEY_TEXT_MAX], const char *token,
    const char *key, struct err *e);
/* Undoes it: *key points into staged, token gets a copy. */
#define OBJKEY_TOKEN_MAX 64
int objkey_parse_staged(const char *staged, char token[OBJKEY_TOKEN_MAX + 1],
    const char **key, struct err *e);

/*
 * The uploader tries out what it is allowed on staged objects whose token begins
 * so, as no upload's does: those are hexadecimal. What a try that was killed left
 * is deleted by a collection, though not before it is OBJKEY_PROBE_S old.
 */
#define OBJKEY_PROBE   "probe"
#define OBJKEY_PROBE_S 3600
int objkey_is_probe(const char *staged);

/* A pin's name: [A-Za-z0-9._-]+, at most 256 bytes, not "." or "..". */
#define OBJKEY_PIN_MAX 256
int objkey_check_pin(const char *name, struct err *e);

#endif
