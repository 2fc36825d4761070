/* What the handlers of the compatible API share. */
#include "compat.h"

#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/num.h"
#include "../../libcommon/db/staged.h"
#include "../../libcommon/ipc/ipc.h"
#include "../../libcommon/nix/narinfo.h"
#include "../../libcommon/nix/objkey.h"
#include "../../libcommon/nix/storepath.h"

int
compat_decode(
    const struct http_req *q, const struct desc *d, void *out, struct err *e)
{
	if (server_decode(q, d, out, e) != 0)
		return err_prefix(e, "failed to decode request");
	return 0;
}

int
compat_id(const struct http_req *q, int64_t *id, struct err *e)
{
	uint64_t n;

	if (num_parse_u64(
	        q->params[0], strlen(q->params[0]), INT64_MAX, &n, e) != 0)
		return err_prefix(e, "invalid id");
	*id = n;
	return 0;
}

int
compat_presign(struct server *s, struct arena *a, const char *token,
    struct presign_item *items, size_t n, const char ***urls, struct err *e)
{
	const char **all = arena_array(a, n, sizeof *all);

	if (all == NULL)
		return arena_full(a, e);
	for (size_t i = 0; i < n; i += MSG_STAGED_MAX) {
		struct puts_presign ask = { .token = token,
			.lifetime_s = STAGED_LIFETIME_S };
		struct puts_presigned answer;

		ask.items.items = items + i;
		ask.items.n = n - i < MSG_STAGED_MAX ? n - i : MSG_STAGED_MAX;
		if (ipc_call(s->uploader, CALL_puts_presign, &ask, a, &answer,
		        deadline_in(SERVER_IPC_MS), e) != 0)
			return -1;
		if (answer.urls.n != ask.items.n)
			return err_set(
			    e, ERR_INTERNAL, "the uploader left out answers");
		memcpy(all + i, answer.urls.items, answer.urls.n * sizeof *all);
	}
	*urls = all;
	return 0;
}

static int
find(const struct staged_refs *refs, const char *key, size_t *at)
{
	size_t lo = 0, hi = refs->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = strcmp(refs->keys[mid], key);

		if (c == 0) {
			*at = mid;
			return 1;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return 0;
}

/* Whatever its compression: "nar/HASH.nar", "nar/HASH.nar.xz" … */
static int
find_nar(const struct staged_refs *refs, const struct hash *hash, size_t *at)
{
	char key[OBJKEY_TEXT_MAX];
	size_t len;

	objkey_fmt_nar(key, hash);
	len = strlen(key) - strlen(".zst");
	for (size_t i = 0; i < refs->n; i++)
		if (strncmp(refs->keys[i], key, len) == 0) {
			*at = i;
			return 1;
		}
	return 0;
}

int
compat_check_path(const char *key, const struct staged_refs *refs,
    struct upload_path *p, size_t *nar, struct err *e)
{
	char own[OBJKEY_TEXT_MAX], ref[OBJKEY_TEXT_MAX];
	size_t at;

	objkey_fmt_narinfo(own, p->base);
	if (strcmp(own, key) != 0)
		return err_set(e, ERR_INVALID,
		    "%s: store path %s has another hash", key, p->base);
	if (p->nar_size == 0)
		return err_set(e, ERR_INVALID, "%s: no NAR is empty", key);
	p->nrefs = narinfo_sort(p->refs, p->nrefs);
	for (size_t i = 0; i < p->nrefs; i++) {
		objkey_fmt_narinfo(ref, p->refs[i]);
		if (strcmp(ref, own) != 0 && !find(refs, ref, &at))
			return err_set(e, ERR_INVALID,
			    "%s: refers to %s, which the upload does not name "
			    "among its references",
			    key, p->refs[i]);
	}
	if (!find_nar(refs, &p->nar_hash, &at)) {
		objkey_fmt_nar(ref, &p->nar_hash);
		return err_set(e, ERR_INVALID,
		    "%s: its NAR is %s, which the upload does not name among "
		    "its references",
		    key, ref);
	}
	*nar = at;
	return 0;
}
