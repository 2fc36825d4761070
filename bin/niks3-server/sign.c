/* Signatures of paths, asked of the signer in messages of bounded size. */
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/db/commit.h"
#include "../../libcommon/ipc/ipc.h"
#include "../../libcommon/nix/narinfo.h"
#include "server.h"

#define SIGN_BYTES ((size_t)1 << 20) /* of one message to the signer */

/* Signatures of ours in front of those the path had, duplicates dropped. */
static int
merge_sigs(struct arena *a, struct commit_path *p, const struct desc_strs *ours,
    struct err *e)
{
	const char **all;
	size_t n;

	all = arena_array(a, ours->n + p->nsigs, sizeof *all);
	if (all == NULL)
		return arena_full(a, e);
	memcpy(all, ours->items, ours->n * sizeof *all);
	memcpy(all + ours->n, p->sigs, p->nsigs * sizeof *all);
	n = narinfo_sort(all, ours->n + p->nsigs);
	if (n > NARINFO_SIGS_MAX)
		return err_set(e, ERR_TOO_LARGE, "%s: more than %d signatures",
		    p->base, NARINFO_SIGS_MAX);
	p->sigs = all;
	p->nsigs = n;
	return 0;
}

static int
sign_batch(struct server *s, struct arena *a, const char *store_dir,
    struct commit_path *paths, size_t n, struct err *e)
{
	struct nar_sign ask = { .store_dir = store_dir };
	struct nar_signed answer;

	ask.items.n = n;
	ask.items.items = arena_array(a, n, sizeof *ask.items.items);
	if (ask.items.items == NULL)
		return arena_full(a, e);
	for (size_t i = 0; i < n; i++) {
		struct sign_item *to = &ask.items.items[i];

		to->base = paths[i].base;
		memcpy(to->nar_hash, paths[i].nar_hash.sha256,
		    sizeof to->nar_hash);
		to->nar_size = paths[i].nar_size;
		to->refs.items = paths[i].refs;
		to->refs.n = paths[i].nrefs;
	}
	if (ipc_call(s->signer, CALL_nar_sign, &ask, a, &answer,
	        deadline_in(SERVER_IPC_MS), e) != 0)
		return -1;
	if (answer.items.n != n)
		return err_set(e, ERR_INTERNAL, "the signer left out answers");
	for (size_t i = 0; i < n; i++)
		if (merge_sigs(a, &paths[i], &answer.items.items[i].sigs, e) !=
		    0)
			return -1;
	return 0;
}

int
server_sign(struct server *s, struct arena *a, const char *store_dir,
    struct commit_path *paths, size_t n, struct err *e)
{
	size_t from = 0, bytes = 0;

	for (size_t i = 0; i < n; i++) {
		size_t one = 512 + paths[i].nrefs * 64;

		if (i > from &&
		    (bytes + one > SIGN_BYTES || i - from == MSG_SIGN_MAX)) {
			if (sign_batch(s, a, store_dir, &paths[from], i - from,
			        e) != 0)
				return -1;
			from = i;
			bytes = 0;
		}
		bytes += one;
	}
	return n > from ? sign_batch(s, a, store_dir, &paths[from], n - from, e)
	                : 0;
}
