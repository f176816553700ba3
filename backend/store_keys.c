#include "backend/store_keys.h"

#include "crypto/base/fault.h"

#include <errno.h>

/* Nothing of it is there yet. */
static int not_there(void) {
	return fault(ENOSYS, "this program does not change keys yet");
}

int store_key_list(Store *store, store_key_fn *fn, void *arg) {
	(void)store, (void)fn, (void)arg;
	return not_there();
}
int store_slot_list(Store *store, store_slot_fn *fn, void *arg) {
	(void)store, (void)fn, (void)arg;
	return not_there();
}
int store_slot_keys(Store *store, size_t index, store_slot_key_fn *fn, void *arg) {
	(void)store, (void)index, (void)fn, (void)arg;
	return not_there();
}
int store_key_find(Store *store, const char *text, char ret_name[static KEYRING_NAME_MAX + 1]) {
	(void)store, (void)text, (void)ret_name;
	return not_there();
}
int store_key_rotate(Store *store, const char *name, const struct actor *actor, uint32_t *ret_version) {
	(void)store, (void)name, (void)actor, (void)ret_version;
	return not_there();
}
int store_key_rewrap(Store *store, const char *name, const struct actor *actor) {
	(void)store, (void)name, (void)actor;
	return not_there();
}
int store_key_disable(Store *store, const char *name, const struct actor *actor) {
	(void)store, (void)name, (void)actor;
	return not_there();
}
int store_key_enable(Store *store, const char *name, const struct actor *actor) {
	(void)store, (void)name, (void)actor;
	return not_there();
}
int store_key_schedule_deletion(
        Store *store, const char *name, unsigned days, const struct actor *actor, int64_t *ret_deletion_ns) {
	(void)store, (void)name, (void)days, (void)actor, (void)ret_deletion_ns;
	return not_there();
}
int store_key_cancel_deletion(Store *store, const char *name, const struct actor *actor) {
	(void)store, (void)name, (void)actor;
	return not_there();
}
int store_key_alias(Store *store, const char *name, const char *alias, const struct actor *actor) {
	(void)store, (void)name, (void)alias, (void)actor;
	return not_there();
}
int store_key_every(Store *store, const char *name, unsigned days, const struct actor *actor) {
	(void)store, (void)name, (void)days, (void)actor;
	return not_there();
}
int store_key_tick(Store *store, int64_t now_ns, bool is_clock_even) {
	(void)store, (void)now_ns, (void)is_clock_even;
	return 0;
}
int store_slot_add(Store *store, const struct store_slot_request *request, const struct actor *actor,
        char ret_id[static HEADER_ID_TEXT_BYTES], char ret_recovery[RECOVERY_TEXT_BYTES]) {
	(void)store, (void)request, (void)actor, (void)ret_id, (void)ret_recovery;
	return not_there();
}
int store_slot_remove(Store *store, const char *id, const struct actor *actor) {
	(void)store, (void)id, (void)actor;
	return not_there();
}
int store_lock(Store *store, const struct actor *actor) {
	(void)store, (void)actor;
	return not_there();
}
int store_unlock(Store *store, const struct store_secret *secret, const struct actor *actor) {
	(void)store, (void)secret, (void)actor;
	return not_there();
}
bool store_is_locked(Store *store) {
	(void)store;
	return false;
}
