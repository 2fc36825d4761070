#include "ipc_frame.h"

#include <pthread.h>
#include <string.h>

#include "../codec/wire.h"
#include "../core/buf.h"
#include "../core/err.h"
#include "../core/utf8.h"

#define VERSION_LEN 8

static uint8_t version[VERSION_LEN];

static void
version_init(void)
{
	uint64_t v = schema_version();

	for (int i = 0; i < VERSION_LEN; i++)
		version[i] = v >> (56 - 8 * i);
}

static const uint8_t *
our_version(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, version_init);
	return version;
}

int
ipc_frame_encode(const struct ipc_head *head, const struct desc *bd,
    const void *body, struct buf *out, struct err *e)
{
	buf_reset(out);
	if (buf_append(out, our_version(), VERSION_LEN, e))
		return -1;
	return wire_encode_frame(&ipc_head_desc, head, bd, body, out, e);
}

/* A copy that the encoder takes. */
static const char *
clean(char *out, size_t size, const char *text)
{
	size_t len = strnlen(text, size - 1), ok;

	memcpy(out, text, len);
	out[len] = '\0';
	for (char *p = out; (ok = utf8_span(p, len)) < len; len -= ok + 1) {
		p[ok] = '?';
		p += ok + 1;
	}
	return out;
}

void
ipc_frame_encode_error(enum call call, enum role self, const struct err *what,
    int again, struct buf *out)
{
	char msg[ERR_MSG_MAX], hint[ERR_HINT_MAX];
	struct ipc_head head = {
		.call = call,
		.role = self,
		.kind = err_name(what->kind),
		.message = clean(msg, sizeof msg, what->msg),
		.hint = clean(hint, sizeof hint, what->hint),
		.again = again,
	};
	struct err e;

	if (ipc_frame_encode(&head, &done_desc, &(struct done){ 0 }, out, &e))
		err_die("an error reply: %s", e.msg);
}

int
ipc_frame_decode(const void *p, size_t n, struct arena *a,
    struct ipc_head *head, const void **body, size_t *body_len, struct err *e)
{
	if (n < VERSION_LEN || memcmp(p, our_version(), VERSION_LEN) != 0) {
		err_set(e, ERR_VERSION, "a message of another version");
		return err_hint(
		    e, "run all programs of niks3 from the same release");
	}
	return wire_decode_frame(&ipc_head_desc,
	    (const uint8_t *)p + VERSION_LEN, n - VERSION_LEN, a, head, body,
	    body_len, e);
}

int
ipc_frame_check_reply(const struct ipc_head *head, struct err *e)
{
	enum err_kind kind;

	if (head->kind == NULL)
		return 0;
	kind = err_kind_by_name(head->kind);
	if (kind == ERR_NONE)
		kind = ERR_INTERNAL;
	err_set(e, kind, "%s", head->message != NULL ? head->message : "");
	if (head->hint != NULL)
		err_hint(e, "%s", head->hint);
	return -1;
}

int
ipc_frame_allow(unsigned call, enum role caller, enum role self, struct err *e)
{
	const struct call_row *row =
	    call < CALL__MAX ? &call_table[call] : NULL;

	if (row == NULL || row->name == NULL)
		return err_set(e, ERR_INVALID, "call 0x%x: not known", call);
	if (!(row->served & 1u << self))
		return err_set(e, ERR_INVALID, "%s: not a call of the %s",
		    row->name, role_names[self]);
	if (!(row->callers & 1u << caller))
		return err_set(e, ERR_FORBIDDEN, "%s: not allowed to the %s",
		    row->name, role_names[caller]);
	return 0;
}
