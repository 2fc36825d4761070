#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../libcommon/codec/wire.h"
#include "../../libcommon/core/err.h"
#include "../../proto/messages.h"

/* One row after the other, as written. */
static const struct {
	unsigned id;
	const char *name;
	unsigned served, callers, flags;
} rows[] = {
#define C(id, request, reply, served, callers, flags) \
	{ id, #request, served, callers, flags },
	ROLES_CALLS(C)
#undef C
};

#define ROWS (sizeof rows / sizeof rows[0])

static void
ids_are_unique_and_in_the_table(void **state)
{
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		assert_in_range(rows[i].id, 1, CALL__MAX - 1);
		/* A second row of an id would have replaced the first. */
		assert_string_equal(call_table[rows[i].id].name, rows[i].name);
		for (size_t k = 0; k < i; k++)
			assert_int_not_equal(rows[i].id, rows[k].id);
	}
	for (unsigned id = 0; id < CALL__MAX; id++)
		n += call_table[id].name != NULL;
	assert_int_equal(n, ROWS);
}

static void
check_desc(const struct desc *d, unsigned depth)
{
	assert_non_null(d);
	assert_in_range(depth, 1, DESC_DEPTH_MAX);
	assert_in_range(d->nfields, 0, 64);
	for (size_t i = 0; i < d->nfields; i++) {
		const struct desc_field *f = &d->fields[i];
		assert_non_null(f->name);
		assert_in_range(f->offset, 0, d->size - 1);
		assert_true((f->sub != NULL) ==
		    (f->type == DESC_LIST || f->type == DESC_OBJ));
		if (f->type != DESC_I64 && f->type != DESC_OBJ)
			assert_true(f->max > 0);
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(f->name, d->fields[k].name);
		if (f->sub != NULL)
			check_desc(f->sub, depth + 1);
	}
}

static void
every_row_is_sane(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		const struct call_row *row = &call_table[rows[i].id];
		assert_non_null(row->name);
		assert_true(row->served != 0 && (row->served & ~BY_ANY) == 0);
		assert_true(row->callers != 0 && (row->callers & ~BY_ANY) == 0);
		assert_true((row->flags & ~CALL_IDEMPOTENT) == 0);
		check_desc(row->request, 1);
		check_desc(row->reply, 1);
		assert_string_equal(row->name, row->request->name);
	}
	check_desc(&ipc_head_desc, 1);
}

/* Who may do what, said a second time: no row may widen it by a slip. */
static void
dangerous_calls_have_one_caller(void **state)
{
	(void)state;
	assert_int_equal(call_table[CALL_nar_sign].callers, BY_SERVER);
	assert_int_equal(call_table[CALL_nar_sign].served, BY_SIGNER);
	assert_int_equal(call_table[CALL_objects_delete].callers, BY_GC);
	assert_int_equal(call_table[CALL_objects_list].callers, BY_GC);
	assert_int_equal(call_table[CALL_put_authorize].callers, BY_SERVER);
	assert_int_equal(call_table[CALL_narinfos_put].callers, BY_SERVER);
	for (size_t i = 0; i < ROWS; i++) {
		if (rows[i].id == CALL_ping)
			continue;
		/* Neither the signer nor an uploader asks for anything. */
		assert_int_equal(
		    rows[i].callers & (BY_SIGNER | BY_UPLOADER), 0);
		assert_int_equal(rows[i].served & BY_SERVER, 0);
	}
	assert_int_equal(
	    call_table[CALL_mpu_create].flags & CALL_IDEMPOTENT, 0);
}

static void
roles_have_names(void **state)
{
	(void)state;
	for (int role = 0; role < ROLE__MAX; role++)
		assert_non_null(role_names[role]);
	assert_string_equal(role_names[ROLE_SIGNER], "signer");
}

static void
the_version_is_stable(void **state)
{
	uint64_t version = schema_version();

	(void)state;
	assert_true(version != 0);
	for (int i = 0; i < 10; i++)
		assert_true(schema_version() == version);
}

/* What the version is made of notices a change of each part of a row. */
static void
the_version_sees_a_change(void **state)
{
	struct call_row row = call_table[CALL_nar_sign];
	uint64_t version = call_row_hash(&row, CALL_nar_sign, 0);

	(void)state;
	assert_true(call_row_hash(&row, CALL_nar_sign, 0) == version);
	assert_true(call_row_hash(&row, CALL_nar_sign, 1) != version);
	assert_true(call_row_hash(&row, CALL_sign_keys, 0) != version);
	row.callers |= BY_GC;
	assert_true(call_row_hash(&row, CALL_nar_sign, 0) != version);
	row.callers = call_table[CALL_nar_sign].callers;
	row.served |= BY_GC;
	assert_true(call_row_hash(&row, CALL_nar_sign, 0) != version);
	row.served = call_table[CALL_nar_sign].served;
	row.request = &sign_keys_desc;
	assert_true(call_row_hash(&row, CALL_nar_sign, 0) != version);
	row.request = &nar_sign_desc;
	row.reply = &done_desc;
	assert_true(call_row_hash(&row, CALL_nar_sign, 0) != version);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_are_unique_and_in_the_table),
		cmocka_unit_test(every_row_is_sane),
		cmocka_unit_test(dangerous_calls_have_one_caller),
		cmocka_unit_test(roles_have_names),
		cmocka_unit_test(the_version_is_stable),
		cmocka_unit_test(the_version_sees_a_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
