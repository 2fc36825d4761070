#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <strings.h>

#include "../../bin/niks3-server/auth.h"
#include "../../bin/niks3-server/auth_mtls.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/http/server.h"
#include "../../proto/scopes.h"

static struct auth_config config;
static struct auth_mtls *mtls;
static struct http_req req;

/* The request's headers: in place of those of the HTTP server. */
static const char *verify_header, *subject_header;

const char *__wrap_http_req_header(const struct http_req *q, const char *name);
const char *
__wrap_http_req_header(const struct http_req *q, const char *name)
{
	assert_ptr_equal(q, &req);
	if (strcasecmp(name, "X-Verify") == 0)
		return verify_header;
	if (strcasecmp(name, "X-Dn") == 0)
		return subject_header;
	return NULL;
}

static int
begin(void **state)
{
	(void)state;
	config = (struct auth_config){ .proxy_header = "X-Verify",
		.subject_header = "X-Dn" };
	req = (struct http_req){ .remote = "127.0.0.1" };
	verify_header = "SUCCESS";
	subject_header = "CN=ci,O=example";
	return 0;
}

static int
end(void **state)
{
	(void)state;
	auth_mtls_free(mtls);
	mtls = NULL;
	return 0;
}

static void
make(void)
{
	struct err e = ERR_INIT;

	auth_mtls_free(mtls);
	mtls = NULL;
	if (auth_mtls_new(&config, &mtls, &e) != 0)
		fail_msg("%s", e.msg);
}

static unsigned
scopes(void)
{
	const char *subject;

	return auth_mtls_scopes(mtls, &req, &subject);
}

#define LIST(...)                                            \
	((struct opt_list){ (const char *[]){ __VA_ARGS__ }, \
	    sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *) })

static void
test_lists(void **state)
{
	(void)state;
	/* Neither list: every certificate may do everything. */
	make();
	assert_int_equal(scopes(), SCOPE_ALL);
	assert_false(auth_mtls_gates_reads(mtls));
	/* Writers only. */
	config.bound_subjects = LIST("CN=x", "CN=ci,*");
	make();
	assert_int_equal(scopes(), SCOPE_ALL);
	assert_false(auth_mtls_gates_reads(mtls));
	subject_header = "CN=other";
	assert_int_equal(scopes(), 0);
	subject_header = NULL;
	assert_int_equal(scopes(), 0);
	/* Readers only: that opens no writing. */
	config.bound_subjects = (struct opt_list){ 0 };
	config.bound_subjects_read = LIST("CN=reader*");
	make();
	assert_true(auth_mtls_gates_reads(mtls));
	subject_header = "CN=ci,O=example";
	assert_int_equal(scopes(), 0);
	subject_header = "CN=reader1";
	assert_int_equal(scopes(), SCOPE_READ);
	/* Both. */
	config.bound_subjects = LIST("CN=ci,*");
	make();
	assert_int_equal(scopes(), SCOPE_READ);
	subject_header = "CN=ci,O=example";
	assert_int_equal(scopes(), SCOPE_ALL);
}

static void
test_verified(void **state)
{
	static const char *const no[] = { "NONE", "FAILED:x", "success", "",
		"SUCCESS ", NULL };

	(void)state;
	make();
	for (size_t i = 0; i < 6; i++) {
		verify_header = no[i];
		assert_int_equal(scopes(), 0);
	}
}

/* Who could connect could say anything. */
static void
test_addresses(void **state)
{
	static const struct {
		const char *remote;
		int here, there, socket;
	} table[] = {
		{ "127.0.0.1", 1, 0, 0 },
		{ "::1", 1, 0, 0 },
		{ "local", 1, 0, 1 },
		{ "10.0.0.7", 0, 1, 0 },
		{ "10.0.0.70", 0, 0, 0 },
		{ "2001:db8::1", 0, 1, 0 },
		{ "127.0.0.2", 0, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		req.remote = table[i].remote;
		config.proxy_socket = NULL;
		config.proxy_addresses = (struct opt_list){ 0 };
		make();
		assert_int_equal(scopes() != 0, table[i].here);
		config.proxy_addresses = LIST("10.0.0.7", "2001:DB8:0::1");
		make();
		assert_int_equal(scopes() != 0, table[i].there);
		config.proxy_socket = "/run/x";
		make();
		assert_int_equal(
		    scopes() != 0, table[i].there || table[i].socket);
		config.proxy_addresses = (struct opt_list){ 0 };
		make();
		assert_int_equal(scopes() != 0, table[i].socket);
	}
}

/* Headers say nothing where we verify ourselves. */
static void
test_native(void **state)
{
	(void)state;
	config.proxy_header = NULL;
	config.tls_client_ca = "/ca";
	config.bound_subjects = LIST("CN=ci,*");
	make();
	assert_int_equal(scopes(), 0);
	req.subject = "CN=ci,O=example";
	verify_header = NULL;
	assert_int_equal(scopes(), SCOPE_ALL);
	req.subject = "CN=no";
	assert_int_equal(scopes(), 0);
	/* Nor where nothing is set up. */
	config = (struct auth_config){ .subject_header = "X-Dn" };
	verify_header = "SUCCESS";
	make();
	assert_int_equal(scopes(), 0);
}

static void
test_options(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	config.tls_client_ca = "/ca";
	assert_int_equal(auth_mtls_new(&config, &mtls, &e), -1);
	assert_int_equal(e.kind, ERR_USAGE);
	begin(state);
	config.proxy_header = NULL;
	config.proxy_socket = "/x";
	assert_int_equal(auth_mtls_new(&config, &mtls, &e), -1);
	begin(state);
	config.proxy_header = NULL;
	config.bound_subjects_read = LIST("x");
	assert_int_equal(auth_mtls_new(&config, &mtls, &e), -1);
	begin(state);
	config.proxy_addresses = LIST("localhost");
	assert_int_equal(auth_mtls_new(&config, &mtls, &e), -1);
	assert_non_null(strstr(e.msg, "not an IP address"));
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
		T(test_lists),
		T(test_verified),
		T(test_addresses),
		T(test_native),
		T(test_options),
	};

	return cmocka_run_group_tests_name("auth_mtls", tests, NULL, NULL);
}
