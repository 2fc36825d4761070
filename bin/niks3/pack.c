/*
 * Packing: a store path becomes a compressed NAR, its listing, and the log of
 * its build. Every path is hashed as it is read, and one that is not what the
 * Nix database says is refused.
 */
#include <bzlib.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../libcommon/codec/sha256.h"
#include "../../libcommon/codec/zstream.h"
#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/file.h"
#include "../../libcommon/core/queue.h"
#include "../../libcommon/nix/hash.h"
#include "../../libcommon/nix/listing.h"
#include "../../libcommon/nix/nar.h"
#include "../../libcommon/nix/objkey.h"
#include "../../libcommon/nix/pathinfo.h"
#include "../../libcommon/nix/realisation.h"
#include "push.h"
#include "remote.h"

#define LISTING_MAX ((size_t)256 << 20)
#define LOG_MAX     ((size_t)1 << 30)  /* bytes of text of one log */
#define SMALL_MAX   ((size_t)64 << 20) /* a listing or log, compressed */
/* NARs from this size are compressed by all cores, one NAR at a time. */
#define WIDE_FROM   ((uint64_t)32 << 20)
#define SHRINK_FROM ((size_t)64 << 10)
#define CALL_MEMORY ((size_t)4 << 20)

struct packer {
	struct push *p;
	struct remote_conn *conn;
	struct arena *a; /* of one call */
	struct nar_dumper *dumper;
	struct zstream *z;
	struct sha256 *nar_hash, *file_hash;
	struct buf listing, packed, text;
	/* The NAR that is being packed: */
	const char *key;
	size_t part_size;
	int always_parts;
	struct item *item; /* being filled */
	struct parts *parts;
	uint64_t nar_left; /* of what the Nix database says of its size */
	uint64_t file_size;
	struct zstream *stream;
};

/* One wide compressor for all threads: it uses every core by itself. */
static pthread_mutex_t wide_lock = PTHREAD_MUTEX_INITIALIZER;
static struct zstream *wide;

/* ---- items ---- */

static struct item *
item_new(struct push *p, const char *key, size_t room)
{
	struct item *it;

	if (push_charge(p, room) != 0)
		return NULL;
	it = xcalloc(1, sizeof *it);
	it->key = key;
	it->data = xmalloc(room);
	it->room = it->charged = room;
	return it;
}

void
item_free(struct push *p, struct item *it)
{
	if (it == NULL)
		return;
	push_release(p, it->charged);
	free(it->data);
	free(it);
}

/* Gives an item that is full to the put threads. What it has no use for goes
 * back first. */
static int
item_send(struct push *p, struct item *it, struct err *e)
{
	if (it->room - it->len >= SHRINK_FROM) {
		it->data = xrealloc(it->data, it->len);
		push_release(p, it->room - it->len);
		it->room = it->charged = it->len;
	}
	sha256(it->data, it->len, it->sha256);
	if (queue_push(p->queue, it, deadline_in(INT32_MAX)) == 0)
		return 0;
	item_free(p, it);
	return err_set(e, ERR_CANCELED, "interrupted");
}

static int
send_bytes(struct push *p, const char *key, const struct buf *b, struct err *e)
{
	struct item *it = item_new(p, key, b->len);

	if (it == NULL)
		return err_set(e, ERR_CANCELED, "interrupted");
	memcpy(it->data, b->data, b->len);
	it->len = b->len;
	return item_send(p, it, e);
}

/* ---- NARs ---- */

/* A part takes all of an unknown size in 10,000 parts, and 8 MiB at least. */
static size_t
part_size(uint64_t nar_size)
{
	uint64_t size = nar_size / PARTS_AIM + 1;

	size = (size + ((1 << 20) - 1)) & ~(uint64_t)((1 << 20) - 1);
	return size > PART_MIN ? size : PART_MIN;
}

static int
parts_begin(struct packer *k, struct err *e)
{
	struct multipart_request body = { .key = k->key };
	struct multipart_reply reply;
	char path[128];
	struct parts *parts;

	snprintf(
	    path, sizeof path, "/api/v2/uploads/%s/multipart", k->p->upload);
	arena_reset(k->a);
	if (remote_call(k->conn,
	        &(struct remote_call){
	            .method = "POST",
	            .path = path,
	            .request_desc = &multipart_request_desc,
	            .request = &body,
	            .reply_desc = &multipart_reply_desc,
	            .reply = &reply,
	            .deadline = deadline_in(REMOTE_CALL_MS),
	        },
	        k->a, e) != 0)
		return err_prefix(e, "begin %s", k->key);
	parts = xcalloc(1, sizeof *parts);
	pthread_mutex_init(&parts->lock, NULL);
	parts->key = k->key;
	parts->upload_id = xstrdup(reply.upload_id);
	pthread_mutex_lock(&k->p->lock);
	parts->next = k->p->multiparts;
	k->p->multiparts = parts;
	pthread_mutex_unlock(&k->p->lock);
	k->parts = parts;
	return 0;
}

/* The item that is full, or the last one, goes out as a part. */
static int
part_send(struct packer *k, struct err *e)
{
	struct item *it = k->item;
	struct parts *parts;

	if (k->parts == NULL && parts_begin(k, e) != 0)
		return -1;
	parts = k->parts;
	pthread_mutex_lock(&parts->lock);
	if (parts->begun == parts->room) {
		uint32_t room = parts->room > 0 ? 2 * parts->room : 16;

		parts->etags =
		    xrealloc(parts->etags, room * sizeof *parts->etags);
		memset(parts->etags + parts->room, 0,
		    (room - parts->room) * sizeof *parts->etags);
		parts->room = room;
	}
	it->parts = parts;
	it->number = ++parts->begun;
	pthread_mutex_unlock(&parts->lock);
	k->item = NULL;
	return item_send(k->p, it, e);
}

/* Compressed bytes. */
static int
on_packed(void *ctx, const void *p, size_t n, struct err *e)
{
	struct packer *k = ctx;
	const uint8_t *from = p;

	sha256_update(k->file_hash, from, n);
	k->file_size += n;
	while (n > 0) {
		size_t some;

		if (k->item != NULL && k->item->len == k->item->room &&
		    part_send(k, e) != 0)
			return -1;
		if (k->item == NULL &&
		    (k->item = item_new(k->p, k->key, k->part_size)) == NULL)
			return err_set(e, ERR_CANCELED, "interrupted");
		some = k->item->room - k->item->len;
		if (some > n)
			some = n;
		memcpy(k->item->data + k->item->len, from, some);
		k->item->len += some;
		from += some;
		n -= some;
	}
	return 0;
}

/* Bytes of the NAR. */
static int
on_nar(void *ctx, const void *p, size_t n, struct err *e)
{
	struct packer *k = ctx;

	if (k->p->stop)
		return err_set(e, ERR_CANCELED, "interrupted");
	sha256_update(k->nar_hash, p, n);
	atomic_fetch_add(&k->p->nar_bytes, n);
	/* What is too much is only hashed: check_nar will refuse it. */
	if (n > k->nar_left)
		n = k->nar_left;
	k->nar_left -= n;
	return k->key != NULL ? zstream_write(k->stream, p, n, e) : 0;
}

static int
check_nar(
    struct packer *k, const struct pathinfo *info, uint64_t size, struct err *e)
{
	char have[HASH_TEXT_MAX], want[HASH_TEXT_MAX];
	struct hash hash;

	sha256_final(k->nar_hash, hash.sha256);
	if (hash_equal(&hash, &info->nar_hash) && size == info->nar_size)
		return 0;
	err_set(e, ERR_CORRUPT,
	    "%s/%s: its NAR hash is %s, but the Nix database says %s",
	    k->p->store_dir, info->base, hash_fmt(have, &hash),
	    hash_fmt(want, &info->nar_hash));
	return err_hint(e,
	    "it was changed; repair it with: nix-store --repair-path %s/%s",
	    k->p->store_dir, info->base);
}

/* After the last byte: the object is whole, and is what it should be. */
static int
nar_send(struct packer *k, struct err *e)
{
	struct parts *parts;

	if (k->parts == NULL && !k->always_parts) {
		struct item *it = k->item;

		k->item = NULL;
		return item_send(k->p, it, e);
	}
	if (k->item != NULL && part_send(k, e) != 0)
		return -1;
	parts = k->parts;
	k->parts = NULL;
	pthread_mutex_lock(&parts->lock);
	parts->size = k->file_size;
	sha256_final(k->file_hash, parts->sha256);
	parts->closed = 1;
	pthread_mutex_unlock(&parts->lock);
	return put_complete(k->p, k->conn, parts, e);
}

/* Serialises path i; with key, compresses and sends it too. */
static int
pack_nar(struct packer *k, size_t i, const char *key, int listed, struct err *e)
{
	const struct pathinfo *info = &k->p->paths[i];
	int is_wide = key != NULL && info->nar_size >= WIDE_FROM;
	struct listing *listing = NULL;
	char path[PATH_MAX];
	uint64_t size;
	int rc = -1;

	snprintf(path, sizeof path, "%s/%s", k->p->store_dir, info->base);
	k->key = key;
	k->part_size = part_size(info->nar_size);
	k->always_parts = info->nar_size >= MULTIPART_FROM;
	k->nar_left = info->nar_size;
	k->file_size = 0;
	k->stream = k->z;
	sha256_reset(k->nar_hash);
	sha256_reset(k->file_hash);
	buf_reset(&k->listing);
	/* What does not compress grows by less than a hundredth. */
	if (!k->always_parts && info->nar_size < k->part_size / 2)
		k->part_size = info->nar_size + info->nar_size / 100 + 4096;
	if (is_wide) {
		pthread_mutex_lock(&wide_lock);
		if (wide == NULL)
			wide = zstream_new(
			    k->p->level, sysconf(_SC_NPROCESSORS_ONLN));
		k->stream = wide;
	}
	if (listed)
		listing = listing_new(&k->listing);
	if (key != NULL &&
	    zstream_begin(k->stream, info->nar_size, on_packed, k, e) != 0)
		goto out;
	if (nar_dump(k->dumper, path, on_nar, k, listed ? &listing_visit : NULL,
	        listing, &size, e) != 0 ||
	    (key != NULL && size == info->nar_size &&
	        zstream_end(k->stream, e) != 0) ||
	    check_nar(k, info, size, e) != 0 ||
	    (listed && listing_end(listing, e) != 0))
		goto out;
	rc = key != NULL ? nar_send(k, e) : 0;
out:
	if (is_wide)
		pthread_mutex_unlock(&wide_lock);
	listing_free(listing);
	item_free(k->p, k->item);
	k->item = NULL;
	k->parts = NULL; /* the server aborts it with the upload */
	return rc;
}

/* ---- the rest ---- */

static int
pack_small(struct packer *k, const char *key, const void *text, size_t n,
    struct err *e)
{
	buf_reset(&k->packed);
	if (zstream_pack(k->z, text, n, &k->packed, e) != 0)
		return err_prefix(e, "%s", key);
	return send_bytes(k->p, key, &k->packed, e);
}

static int
read_bzip2(const char *path, struct buf *out, struct err *e)
{
	BZFILE *bz = BZ2_bzopen(path, "rb");
	int n, status;

	if (bz == NULL)
		return err_sys(e, "%s", path);
	do {
		void *to = buf_reserve(out, 65536, e);

		if (to == NULL) {
			n = -1;
			break;
		}
		n = BZ2_bzread(bz, to, 65536);
		if (n > 0)
			out->len += n;
		else if (n < 0)
			err_set(e, ERR_CORRUPT, "%s: %s", path,
			    BZ2_bzerror(bz, &status));
	} while (n > 0);
	BZ2_bzclose(bz);
	return n < 0 ? -1 : 0;
}

static int
pack_log(struct packer *k, const char *key, const char *drv, struct err *e)
{
	char path[PATH_MAX];
	int packed, rc;

	buf_reset(&k->text);
	if (!closure_log(k->p, drv, path, sizeof path, &packed))
		rc = err_set(e, ERR_NOT_FOUND, "%s vanished", path);
	else if (packed)
		rc = read_bzip2(path, &k->text, e);
	else
		rc = file_read(path, &k->text, e);
	if (rc != 0) {
		err_prefix(e, "build log");
		return err_hint(e, "--no-logs pushes without");
	}
	return pack_small(k, key, k->text.data, k->text.len, e);
}

/* Everything that is wanted of path i. */
static int
pack_path(struct packer *k, size_t i, struct err *e)
{
	const struct path_entry *q = &k->p->request.paths.items[i];
	struct want *nar, *list, *log;
	char key[OBJKEY_TEXT_MAX];

	objkey_fmt_nar(key, &k->p->paths[i].nar_hash);
	nar = push_wanted(k->p, key);
	if (nar != NULL && (nar->path != i || push_take(k->p, key) == NULL))
		nar = NULL;
	objkey_fmt_listing(key, q->path);
	list = push_take(k->p, key);
	if (nar != NULL || list != NULL) {
		if (pack_nar(k, i, nar != NULL ? nar->key : NULL, list != NULL,
		        e) != 0)
			return -1;
		if (list != NULL &&
		    pack_small(
		        k, list->key, k->listing.data, k->listing.len, e) != 0)
			return -1;
		atomic_fetch_add(&k->p->packed, 1);
	}
	if (q->log != NULL && objkey_fmt_log(key, q->log, e) == 0 &&
	    (log = push_take(k->p, key)) != NULL)
		return pack_log(k, log->key, q->log, e);
	return 0;
}

static int
pack_realisations(struct packer *k, struct err *e)
{
	char key[OBJKEY_TEXT_MAX];
	struct want *w;

	for (size_t i = 0; i < k->p->nreals; i++) {
		const struct realisation *r = &k->p->reals[i];

		if (objkey_fmt_realisation(key, r->id, e) != 0)
			return -1;
		if ((w = push_take(k->p, key)) != NULL &&
		    pack_small(k, w->key, r->json, strlen(r->json), e) != 0)
			return -1;
	}
	return 0;
}

void *
pack_thread(void *arg)
{
	struct push *p = arg;
	struct packer k = { .p = p };
	struct err e = ERR_INIT;
	size_t i;
	int rc;

	k.conn = remote_conn_new(p->remote);
	k.a = arena_new(CALL_MEMORY);
	k.dumper = nar_dumper_new();
	k.z = zstream_new(p->level, 0);
	k.nar_hash = sha256_new();
	k.file_hash = sha256_new();
	buf_init(&k.listing, LISTING_MAX);
	buf_init(&k.packed, SMALL_MAX);
	buf_init(&k.text, LOG_MAX);
	rc = pack_realisations(&k, &e);
	while (rc == 0 && !p->stop &&
	    (i = atomic_fetch_add(&p->next, 1)) < p->request.paths.n)
		rc = pack_path(&k, p->order[i], &e);
	if (rc != 0)
		push_fail(p, &e);
	if (atomic_fetch_sub(&p->packers, 1) == 1)
		queue_close(p->queue);
	remote_conn_free(k.conn);
	arena_free(k.a);
	nar_dumper_free(k.dumper);
	zstream_free(k.z);
	sha256_free(k.nar_hash);
	sha256_free(k.file_hash);
	buf_done(&k.listing);
	buf_done(&k.packed);
	buf_done(&k.text);
	return NULL;
}
