/* A vault that nobody uses is locked, once, after what was written is taken. tests: fs/idle */
#include "fs/idle.h"

#include "fs/command/when.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

struct world {
	Idle *idle;
	atomic_int locks, write_backs, writes; /* `writes`: passes that bring something yet */
	atomic_int rc;
	char why[100];
};

static void rest(unsigned ms) {
	const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
	(void)nanosleep(&time, NULL);
}

static void write_back(void *arg) {
	struct world *world = arg;
	world->write_backs++;
	if (world->writes > 0) {
		world->writes--;
		idle_touch(world->idle, true);
	}
}

static int lock(void *arg, const char *why) {
	struct world *world = arg;
	(void)snprintf(world->why, sizeof world->why, "%s", why);
	world->locks++;
	return world->rc;
}

static void begin(struct world *world, int64_t after_ms) {
	const struct idle_hooks hooks = {.write_back = write_back, .lock = lock, .arg = world};
	assert_int_equal(idle_start(&hooks, &world->idle), 0);
	idle_set(world->idle, after_ms);
}

static void wait_for_locks(const struct world *world, int count) {
	for (int i = 0; i < 1000 && world->locks < count; i++)
		rest(10);
	assert_int_equal(world->locks, count);
}

static void it_locks_once_and_again_after_it_was_unlocked(void **state) {
	struct world world = {.writes = 2};
	(void)state;
	begin(&world, 300);
	assert_int_equal(idle_after_ms(world.idle), 300);
	wait_for_locks(&world, 1);
	assert_non_null(strstr(world.why, "no content was used for"));
	assert_int_equal(world.write_backs, 3); /* until one brought nothing */
	rest(700);
	assert_int_equal(world.locks, 1);
	idle_touch(world.idle, false); /* of a locked vault: no matter */
	rest(700);
	assert_int_equal(world.locks, 1);
	idle_restart(world.idle);
	wait_for_locks(&world, 2);
	idle_stop(world.idle);
}

static void use_keeps_it_open(void **state) {
	struct world world = {0};
	(void)state;
	begin(&world, 3000);
	for (int i = 0; i < 40; i++) {
		rest(100);
		idle_touch(world.idle, i % 2);
	}
	assert_int_equal(world.locks, 0);
	wait_for_locks(&world, 1);
	idle_stop(world.idle);
}

static void what_comes_too_late_does_not_begin_it_anew(void **state) {
	struct world world = {.rc = -5};
	(void)state;
	begin(&world, 300);
	wait_for_locks(&world, 1);
	world.rc = 0; /* it failed: it is tried again, whatever comes meanwhile */
	for (int i = 0; i < 100 && world.locks < 2; i++) {
		idle_touch(world.idle, false);
		rest(10);
	}
	assert_int_equal(world.locks, 2);
	idle_stop(world.idle);
}

static void off_is_never(void **state) {
	struct world world = {0};
	(void)state;
	begin(&world, 0);
	rest(200);
	idle_set(world.idle, 100000);
	idle_set(world.idle, 0);
	rest(200);
	assert_int_equal(world.locks + world.write_backs, 0);
	idle_stop(world.idle);
	idle_stop(NULL);
	idle_touch(NULL, false);
	idle_restart(NULL);
}

static void a_time_is_a_minute_at_least(void **state) {
	int64_t ms = 7;
	(void)state;
	assert_int_equal(when_idle("15m", &ms), 0);
	assert_int_equal(ms, 900000);
	assert_int_equal(when_idle("1m", &ms), 0);
	assert_int_equal(ms, 60000);
	assert_int_equal(when_idle("off", &ms), 0);
	assert_int_equal(ms, 0);
	const char *const wrong[] = {"59s", "0", "", "soon", "-5m", "5 m ago"};
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		assert_int_equal(when_idle(wrong[i], &ms), -EINVAL);
	assert_int_equal(ms, 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(it_locks_once_and_again_after_it_was_unlocked),
	        cmocka_unit_test(use_keeps_it_open),
	        cmocka_unit_test(what_comes_too_late_does_not_begin_it_anew),
	        cmocka_unit_test(off_is_never),
	        cmocka_unit_test(a_time_is_a_minute_at_least),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
