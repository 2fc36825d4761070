#include "filter.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "../../libcommon/codec/desc.h"
#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/clock.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/http/client.h"
#include "../../libcommon/local/nixdb.h"
#include "../../libcommon/nix/objkey.h"

#define ASKERS    8 /* threads */
#define ASK_MS    10000
#define URL_MAX   4096
#define BODY_MAX  ((size_t)64 << 10)
#define FAILS_MAX 3 /* then a cache is not asked again */

int
filter_check(const struct filter_config *c, struct err *e)
{
	for (size_t i = 0; i < c->upstreams.n; i++) {
		const char *url = c->upstreams.items[i];

		if ((strncmp(url, "http://", 7) != 0 &&
		        strncmp(url, "https://", 8) != 0) ||
		    strpbrk(url, "?# \t\r\n") != NULL)
			return err_set(e, ERR_USAGE,
			    "upstream cache %s: not an http(s) URL", url);
	}
	for (size_t i = 0; i < c->signed_by.n; i++)
		if (c->signed_by.items[i][0] == '\0' ||
		    strpbrk(c->signed_by.items[i], ": \t") != NULL)
			return err_set(e, ERR_USAGE,
			    "--skip-signed-by %s: not the name of a key",
			    c->signed_by.items[i]);
	return 0;
}

/* ---- signatures ---- */

/* "name:base64 name:base64": the name that signed, or NULL. */
static const char *
signer(const struct opt_list *names, const char *sigs)
{
	for (; *sigs != '\0'; sigs += strspn(sigs, " ")) {
		for (size_t i = 0; i < names->n; i++) {
			size_t len = strlen(names->items[i]);

			if (strncmp(sigs, names->items[i], len) == 0 &&
			    sigs[len] == ':')
				return names->items[i];
		}
		sigs += strcspn(sigs, " ");
	}
	return NULL;
}

/* One reading of the database: by[i] is who signed roots[i]. */
static int
read_signers(const struct filter_config *c, const char *store_dir,
    struct arena *a, const struct desc_strs *roots, const char **by,
    struct err *e)
{
	struct nixdb *db;
	int rc;

	if (nixdb_open(store_dir, &db, e) != 0)
		return -1;
	rc = 0;
	for (size_t i = 0; rc == 0 && i < roots->n; i++) {
		struct nixdb_path path;

		rc = nixdb_path(db, store_dir, roots->items[i], a, &path, e);
		by[i] = rc == 0 && path.base != NULL
		    ? signer(&c->signed_by, path.sigs)
		    : NULL;
	}
	if (nixdb_still(db, e) != 0)
		rc = -1;
	nixdb_close(db);
	return rc;
}

/* Leaves those without a reason. */
static void
keep_rest(struct desc_strs *roots, const char *const *reasons, const char *key)
{
	size_t kept = 0;

	for (size_t i = 0; i < roots->n; i++)
		if (reasons[i] == NULL)
			roots->items[kept++] = roots->items[i];
		else
			log_info("left out", LOG_S("path", roots->items[i]),
			    LOG_S(key, reasons[i]));
	roots->n = kept;
}

/* The array is ours to change, and the caller's stays as it is. */
static int
copy(struct arena *a, struct desc_strs *roots, const char ***reasons,
    struct err *e)
{
	roots->items =
	    arena_dup(a, roots->items, roots->n * sizeof *roots->items);
	*reasons = arena_array(a, roots->n, sizeof **reasons);
	return roots->items != NULL && *reasons != NULL ? 0 : arena_full(a, e);
}

int
filter_signed(const struct filter_config *c, const char *store_dir,
    struct arena *a, struct desc_strs *roots, struct err *e)
{
	struct desc_strs left = *roots;
	const char **by;
	int rc = -1;

	if (c->signed_by.n == 0 || left.n == 0)
		return 0;
	if (copy(a, &left, &by, e) != 0)
		return -1;
	for (int i = 0; i < NIXDB_TRIES; i++) {
		rc = read_signers(c, store_dir, a, &left, by, e);
		if (rc == 0 || e->kind != ERR_UNAVAILABLE)
			break;
	}
	if (rc != 0)
		return -1;
	keep_rest(&left, by, "signed-by");
	*roots = left;
	return 0;
}

/* ---- other caches ---- */

struct asking {
	const struct opt_list *caches;
	const struct desc_strs *roots;
	const volatile int *cancel;
	const char **in; /* the cache that has roots[i], or NULL */
	atomic_size_t next;
	atomic_uint *fails; /* of each cache, in a row */
};

/* Has this cache a narinfo of the path? */
static int
has(struct asking *q, size_t cache, const char *base, struct http_client *http,
    struct buf *url, struct buf *body)
{
	const char *at = q->caches->items[cache];
	int slash = at[0] != '\0' && at[strlen(at) - 1] == '/';
	struct http_answer answer;
	struct err e = ERR_INIT;
	char key[OBJKEY_TEXT_MAX];
	struct http_call call = {
		.method = "HEAD",
		.deadline = deadline_in(ASK_MS),
		.response = body,
		.cancel = q->cancel,
	};

	if (atomic_load(&q->fails[cache]) >= FAILS_MAX)
		return 0;
	objkey_fmt_narinfo(key, base);
	buf_reset(url);
	buf_reset(body);
	if (buf_printf(url, &e, "%s%s%s", at, slash ? "" : "/", key) != 0)
		return 0;
	call.url = buf_str(url);
	if (http_call(http, &call, &answer, &e) == 0 && answer.status < 500) {
		atomic_store(&q->fails[cache], 0);
		return answer.status == 200;
	}
	if (atomic_fetch_add(&q->fails[cache], 1) + 1 == FAILS_MAX)
		log_warn("upstream cache does not answer; pushing what it may "
		         "have",
		    LOG_S("cache", at), LOG_S("error", e.msg));
	return 0;
}

static void *
ask_thread(void *arg)
{
	struct asking *q = arg;
	struct http_client *http =
	    http_client_new(&(struct http_client_options){
	        .user_agent = "niks3/" NIKS3_VERSION });
	struct buf url, body;
	size_t i;

	buf_init(&url, URL_MAX);
	buf_init(&body, BODY_MAX);
	while (!*q->cancel && (i = atomic_fetch_add(&q->next, 1)) < q->roots->n)
		for (size_t k = 0; k < q->caches->n && q->in[i] == NULL; k++)
			if (has(q, k, q->roots->items[i], http, &url, &body))
				q->in[i] = q->caches->items[k];
	buf_done(&url);
	buf_done(&body);
	http_client_free(http);
	return NULL;
}

int
filter_upstream(const struct filter_config *c, const volatile int *cancel,
    struct arena *a, struct desc_strs *roots, struct err *e)
{
	struct desc_strs left = *roots;
	struct asking q = { &c->upstreams, &left, cancel };
	size_t n = left.n < ASKERS ? left.n : ASKERS;
	pthread_t threads[ASKERS];

	if (c->upstreams.n == 0 || left.n == 0)
		return 0;
	q.fails = arena_array(a, c->upstreams.n, sizeof *q.fails);
	if (q.fails == NULL)
		return arena_full(a, e);
	if (copy(a, &left, &q.in, e) != 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (pthread_create(&threads[i], NULL, ask_thread, &q) != 0)
			err_die("cannot start a thread");
	for (size_t i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	if (*cancel)
		return err_set(e, ERR_CANCELED, "interrupted");
	keep_rest(&left, q.in, "upstream");
	*roots = left;
	return 0;
}
