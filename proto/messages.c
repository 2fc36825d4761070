/* The descriptors and the table of messages.h. */
#include "messages.h"

#include "../libcommon/codec/wire.h"
#include "metrics.h"

const char *const role_names[ROLE__MAX] = {
#define R(name, text) [ROLE_##name] = #text,
#include "roles.def"
#undef R
};

DESC_DEFINE(ipc_head, IPC_HEAD_FIELDS)
DESC_DEFINE(ping, PING_FIELDS)
DESC_DEFINE(pong, PONG_FIELDS)
DESC_DEFINE(done, DONE_FIELDS)
DESC_DEFINE(figures, FIGURES_FIELDS)
DESC_DEFINE(figure_cell, FIGURE_CELL_FIELDS)
DESC_DEFINE(figures_told, FIGURES_TOLD_FIELDS)
DESC_DEFINE(sign_item, SIGN_ITEM_FIELDS)
DESC_DEFINE(nar_sign, NAR_SIGN_FIELDS)
DESC_DEFINE(sign_result, SIGN_RESULT_FIELDS)
DESC_DEFINE(nar_signed, NAR_SIGNED_FIELDS)
DESC_DEFINE(sign_keys, SIGN_KEYS_FIELDS)
DESC_DEFINE(signing_keys, SIGNING_KEYS_FIELDS)
DESC_DEFINE(authorize_item, AUTHORIZE_ITEM_FIELDS)
DESC_DEFINE(put_authorize, PUT_AUTHORIZE_FIELDS)
DESC_DEFINE(authorized_item, AUTHORIZED_ITEM_FIELDS)
DESC_DEFINE(put_authorized, PUT_AUTHORIZED_FIELDS)
DESC_DEFINE(mpu_create, MPU_CREATE_FIELDS)
DESC_DEFINE(mpu_created, MPU_CREATED_FIELDS)
DESC_DEFINE(mpu_abort, MPU_ABORT_FIELDS)
DESC_DEFINE(mpu_part, MPU_PART_FIELDS)
DESC_DEFINE(mpu_complete, MPU_COMPLETE_FIELDS)
DESC_DEFINE(mpu_completed, MPU_COMPLETED_FIELDS)
DESC_DEFINE(objects_check, OBJECTS_CHECK_FIELDS)
DESC_DEFINE(check_result, CHECK_RESULT_FIELDS)
DESC_DEFINE(objects_checked, OBJECTS_CHECKED_FIELDS)
DESC_DEFINE(narinfo_put, NARINFO_PUT_FIELDS)
DESC_DEFINE(narinfos_put, NARINFOS_PUT_FIELDS)
DESC_DEFINE(narinfo_written, NARINFO_WRITTEN_FIELDS)
DESC_DEFINE(narinfos_written, NARINFOS_WRITTEN_FIELDS)
DESC_DEFINE(object_hash, OBJECT_HASH_FIELDS)
DESC_DEFINE(object_hashed, OBJECT_HASHED_FIELDS)
DESC_DEFINE(pin_put, PIN_PUT_FIELDS)
DESC_DEFINE(pin_written, PIN_WRITTEN_FIELDS)
DESC_DEFINE(pin_delete, PIN_DELETE_FIELDS)
DESC_DEFINE(presign_item, PRESIGN_ITEM_FIELDS)
DESC_DEFINE(puts_presign, PUTS_PRESIGN_FIELDS)
DESC_DEFINE(puts_presigned, PUTS_PRESIGNED_FIELDS)
DESC_DEFINE(staged_place, STAGED_PLACE_FIELDS)
DESC_DEFINE(place_result, PLACE_RESULT_FIELDS)
DESC_DEFINE(staged_placed, STAGED_PLACED_FIELDS)
DESC_DEFINE(staged_read, STAGED_READ_FIELDS)
DESC_DEFINE(staged_text, STAGED_TEXT_FIELDS)
DESC_DEFINE(staged_texts, STAGED_TEXTS_FIELDS)
DESC_DEFINE(staged_delete, STAGED_DELETE_FIELDS)
DESC_DEFINE(get_authorize, GET_AUTHORIZE_FIELDS)
DESC_DEFINE(get_authorized, GET_AUTHORIZED_FIELDS)
DESC_DEFINE(page_put, PAGE_PUT_FIELDS)
DESC_DEFINE(narinfos_get, NARINFOS_GET_FIELDS)
DESC_DEFINE(narinfo_got, NARINFO_GOT_FIELDS)
DESC_DEFINE(narinfos_got, NARINFOS_GOT_FIELDS)
DESC_DEFINE(objects_delete, OBJECTS_DELETE_FIELDS)
DESC_DEFINE(delete_result, DELETE_RESULT_FIELDS)
DESC_DEFINE(objects_deleted, OBJECTS_DELETED_FIELDS)
DESC_DEFINE(objects_list, OBJECTS_LIST_FIELDS)
DESC_DEFINE(listed_object, LISTED_OBJECT_FIELDS)
DESC_DEFINE(objects_listed, OBJECTS_LISTED_FIELDS)
DESC_DEFINE(mpu_list, MPU_LIST_FIELDS)
DESC_DEFINE(listed_mpu, LISTED_MPU_FIELDS)
DESC_DEFINE(mpu_listed, MPU_LISTED_FIELDS)
DESC_DEFINE(bucket_probe, BUCKET_PROBE_FIELDS)
DESC_DEFINE(probe_result, PROBE_RESULT_FIELDS)
DESC_DEFINE(bucket_probed, BUCKET_PROBED_FIELDS)
DESC_DEFINE(gc_wake, GC_WAKE_FIELDS)
DESC_DEFINE(gc_why, GC_WHY_FIELDS)
DESC_DEFINE(why_item, WHY_ITEM_FIELDS)
DESC_DEFINE(gc_why_told, GC_WHY_TOLD_FIELDS)

const struct call_row call_table[CALL__MAX] = {
#define C(id, request, reply, served, callers, flags)                       \
	[id] = { #request, &request##_desc, &reply##_desc, served, callers, \
		flags },
	ROLES_CALLS(C)
#undef C
};

uint64_t
call_row_hash(const struct call_row *row, enum call id, uint64_t seed)
{
	uint64_t hash = seed * 31 + id;

	hash = wire_desc_hash(row->request, hash);
	hash = wire_desc_hash(row->reply, hash * 31 + row->served);
	return hash * 31 + row->callers;
}

uint64_t
schema_version(void)
{
	uint64_t hash = wire_desc_hash(&ipc_head_desc, 0);

	for (unsigned id = 0; id < CALL__MAX; id++)
		if (call_table[id].name != NULL)
			hash = call_row_hash(&call_table[id], id, hash);
	return metric_table_hash(daemon_metrics, DAEMON__MAX, hash);
}
