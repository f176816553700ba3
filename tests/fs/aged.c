/*
 * The program, for which versions and keys grow old as fast as the test says: by so many days as stand in the file that
 * ASSAYFS_TEST_AGE names, lifecycle rules and what is due of keys see a later time than there is. The linker puts this
 * in the place of its own
 * (--wrap), in this one program, which is never installed.
 */
#include "backend/expire.h"
#include "backend/store_keys.h"

#include <stdio.h>
#include <stdlib.h>

#define DAY_NS (INT64_C(86400) * 1000000000)

int __real_expire_run(const struct expire_options *options, struct expire_sum *ret);
int __wrap_expire_run(const struct expire_options *options, struct expire_sum *ret);

int __real_store_key_tick(Store *store, int64_t now_ns, bool is_clock_even);
int __wrap_store_key_tick(Store *store, int64_t now_ns, bool is_clock_even);

static unsigned days_now(void) {
	const char *name = getenv("ASSAYFS_TEST_AGE");
	FILE *file = name ? fopen(name, "re") : NULL;
	unsigned days = 0;
	if (!file)
		return 0;
	if (fscanf(file, "%u", &days) != 1)
		days = 0;
	(void)fclose(file);
	return days;
}

/* A vault locks itself after seconds, if that is asked for. */
int64_t __wrap_idle_least_ms(void);
int64_t __wrap_idle_least_ms(void) {
	return 1000;
}

/* And a key management service is asked all the time. */
int64_t __wrap_kms_watch_every_ms(void);
int64_t __wrap_kms_watch_every_ms(void) {
	return 300;
}

int __wrap_expire_run(const struct expire_options *options, struct expire_sum *ret) {
	struct expire_options later = *options;
	later.now_ns += days_now() * DAY_NS;
	return __real_expire_run(&later, ret);
}

int __wrap_store_key_tick(Store *store, int64_t now_ns, bool is_clock_even) {
	return __real_store_key_tick(store, now_ns + days_now() * DAY_NS, is_clock_even);
}
