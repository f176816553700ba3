#include "tests/backend/recorder_fixture.h"

#include <stdio.h>

static VaultFile *make(struct recorder_fixture *fixture, const char *name) {
	VaultFile *file = NULL;
	assert_rc(vault_file_open(fixture->io, name, VAULT_FILE_WRITE | VAULT_FILE_CREATE, &file));
	return file;
}

/* What the crash states looked like, as a set of words. */
struct seen {
	const char *name;
	char states[64][48];
	size_t count;
};

static void note(struct seen *seen, const char *words) {
	for (size_t i = 0; i < seen->count; i++)
		if (strcmp(seen->states[i], words) == 0)
			return;
	assert_true(seen->count < 64);
	(void)snprintf(seen->states[seen->count++], sizeof seen->states[0], "%s", words);
}

static bool was_seen(const struct seen *seen, const char *words) {
	for (size_t i = 0; i < seen->count; i++)
		if (strcmp(seen->states[i], words) == 0)
			return true;
	return false;
}

/* Tells a file as runs of letters by 512 bytes: "aab-" ('-' for zeros), "none" if it is not there. */
static int look(void *user, const char *directory, uint64_t acknowledged) {
	struct seen *seen = user;
	char words[48];
	_cleanup_(vault_io_closep) VaultIo *io = NULL;
	uint64_t size = 0;
	assert_rc(vault_io_open(directory, &io));
	if (vault_io_stat_size(io, seen->name, &size) < 0) {
		(void)snprintf(words, sizeof words, "%llu:none", (unsigned long long)acknowledged);
		note(seen, words);
		return 0;
	}
	size_t got = 0;
	uint8_t *data = scratch_read(directory, seen->name, &got);
	int at = snprintf(words, sizeof words, "%llu:", (unsigned long long)acknowledged);
	for (size_t i = 0; i < got && at < 40; i += 512)
		words[at++] = data[i] ? (char)data[i] : '-';
	words[at] = '\0';
	free(data);
	note(seen, words);
	return 0;
}

static void fill(VaultFile *file, uint64_t offset, char letter, size_t size) {
	uint8_t data[4096];
	memset(data, letter, sizeof data);
	assert_rc(vault_file_write_at(file, offset, bytes_of(data, size)));
}

static void what_was_synced_is_in_every_later_state(void **state) {
	struct recorder_fixture *fixture = *state;
	VaultFile *file = make(fixture, "f");
	assert_rc(vault_io_sync_dir(fixture->io, ""));
	fill(file, 0, 'a', 512);
	assert_rc(vault_file_sync(file));
	recorder_mark(fixture->recorder, 1);
	fill(file, 0, 'b', 512);
	vault_file_close(file);
	struct seen seen = {.name = "f"};
	assert_rc(recorder_each_crash_state(fixture->recorder, 1000, 1, look, &seen, NULL));
	assert_true(was_seen(&seen, "0:none"));
	assert_true(was_seen(&seen, "0:"));
	assert_true(was_seen(&seen, "0:a"));
	assert_true(was_seen(&seen, "1:a"));
	assert_true(was_seen(&seen, "1:b"));
	assert_false(was_seen(&seen, "1:none"));
	assert_false(was_seen(&seen, "1:"));
}

static void unsynced_writes_are_kept_lost_and_torn_in_any_order(void **state) {
	struct recorder_fixture *fixture = *state;
	VaultFile *file = make(fixture, "f");
	assert_rc(vault_io_sync_dir(fixture->io, ""));
	fill(file, 0, 'a', 1024);
	fill(file, 1024, 'b', 512);
	vault_file_close(file);
	struct seen seen = {.name = "f"};
	assert_rc(recorder_each_crash_state(fixture->recorder, 10000, 2, look, &seen, NULL));
	assert_true(was_seen(&seen, "0:aab"));
	assert_true(was_seen(&seen, "0:--b")); /* the later one alone */
	assert_true(was_seen(&seen, "0:aa"));
	assert_true(was_seen(&seen, "0:a") || was_seen(&seen, "0:-a") || was_seen(&seen, "0:a-b") ||
	            was_seen(&seen, "0:-ab"));
}

static void a_name_is_lost_until_its_directory_is_synced(void **state) {
	struct recorder_fixture *fixture = *state;
	VaultFile *file = make(fixture, "f.tmp");
	fill(file, 0, 'a', 512);
	assert_rc(vault_file_sync(file));
	recorder_mark(fixture->recorder, 1);
	assert_rc(vault_io_rename(fixture->io, "f.tmp", "f"));
	recorder_mark(fixture->recorder, 2);
	assert_rc(vault_io_sync_dir(fixture->io, ""));
	recorder_mark(fixture->recorder, 3);
	vault_file_close(file);
	struct seen seen = {.name = "f"};
	assert_rc(recorder_each_crash_state(fixture->recorder, 10000, 3, look, &seen, NULL));
	assert_true(was_seen(&seen, "2:none"));
	assert_true(was_seen(&seen, "2:a"));
	assert_true(was_seen(&seen, "3:a"));
	assert_false(was_seen(&seen, "3:none"));
	assert_false(was_seen(&seen, "2:"));
}

static void a_rename_that_was_lost_leaves_the_old_name(void **state) {
	struct recorder_fixture *fixture = *state;
	VaultFile *file = make(fixture, "f.tmp");
	fill(file, 0, 'a', 512);
	assert_rc(vault_file_sync(file));
	assert_rc(vault_io_sync_dir(fixture->io, ""));
	assert_rc(vault_io_rename(fixture->io, "f.tmp", "f"));
	recorder_mark(fixture->recorder, 1);
	vault_file_close(file);
	struct seen seen = {.name = "f.tmp"};
	assert_rc(recorder_each_crash_state(fixture->recorder, 10000, 3, look, &seen, NULL));
	assert_true(was_seen(&seen, "1:a"));
	assert_true(was_seen(&seen, "1:none"));
}

static void a_sync_that_began_before_a_write_does_not_cover_it(void **state) {
	struct recorder_fixture *fixture = *state;
	VaultFile *file = make(fixture, "f");
	assert_rc(vault_io_sync_dir(fixture->io, ""));
	assert_rc(vault_file_sync(file));
	fill(file, 0, 'a', 512);
	recorder_mark(fixture->recorder, 1);
	vault_file_close(file);
	struct seen seen = {.name = "f"};
	assert_rc(recorder_each_crash_state(fixture->recorder, 1000, 1, look, &seen, NULL));
	assert_true(was_seen(&seen, "1:"));
	assert_true(was_seen(&seen, "1:a"));
}

static void a_file_in_a_directory_whose_name_was_lost_is_gone(void **state) {
	struct recorder_fixture *fixture = *state;
	assert_rc(vault_io_mkdir(fixture->io, "d/e"));
	VaultFile *file = make(fixture, "d/e/f");
	fill(file, 0, 'a', 512);
	assert_rc(vault_file_sync(file));
	assert_rc(vault_io_sync_dir(fixture->io, "d/e"));
	assert_rc(vault_io_sync_dir(fixture->io, "d"));
	recorder_mark(fixture->recorder, 1);
	vault_file_close(file);
	struct seen seen = {.name = "d/e/f"};
	assert_rc(recorder_each_crash_state(fixture->recorder, 1000, 1, look, &seen, NULL));
	assert_true(was_seen(&seen, "1:none"));
	assert_true(was_seen(&seen, "1:a"));
}

static void too_many_combinations_are_sampled_and_the_seed_decides(void **state) {
	struct recorder_fixture *fixture = *state;
	VaultFile *file = make(fixture, "f");
	assert_rc(vault_io_sync_dir(fixture->io, ""));
	for (uint64_t i = 0; i < 12; i++)
		fill(file, i * 512, 'a', 512);
	vault_file_close(file);
	size_t states = 0;
	struct seen first = {.name = "f"};
	struct seen again = {.name = "f"};
	assert_rc(recorder_each_crash_state(fixture->recorder, 60, 7, look, &first, &states));
	assert_true(states <= 80);
	assert_rc(recorder_each_crash_state(fixture->recorder, 60, 7, look, &again, NULL));
	assert_int_equal(first.count, again.count);
	assert_memory_equal(first.states, again.states, sizeof first.states);
}

static void what_was_there_before_is_durable(void **state) {
	struct recorder_fixture *fixture = *state;
	scratch_write(fixture->scratch->vault, "old", "o", 1);
	_cleanup_(recorder_closep) Recorder *recorder = NULL;
	assert_rc(recorder_open(fixture->scratch->vault, &recorder));
	struct seen seen = {.name = "old"};
	assert_rc(recorder_each_crash_state(recorder, 10, 1, look, &seen, NULL));
	assert_true(was_seen(&seen, "0:o"));
	assert_int_equal(seen.count, 1);
}

static void an_ordered_failure_comes_when_it_was_ordered(void **state) {
	struct recorder_fixture *fixture = *state;
	VaultFile *file = make(fixture, "f");
	recorder_fail_after(fixture->recorder, 2, EIO);
	assert_rc(vault_file_sync(file));
	assert_int_equal(vault_file_write_at(file, 0, bytes_of("x", 1)), -EIO);
	assert_int_equal(vault_file_sync(file), -EIO);
	recorder_fail_after(fixture->recorder, 0, 0);
	assert_rc(vault_file_sync(file));
	vault_file_close(file);
}

static void a_small_disk_fills_up_and_empties(void **state) {
	struct recorder_fixture *fixture = *state;
	VaultFile *file = make(fixture, "f");
	recorder_set_capacity(fixture->recorder, 1000);
	fill(file, 0, 'a', 800);
	assert_int_equal(vault_file_write_at(file, 800, bytes_of(&(uint8_t[300]){0}, 300)), -ENOSPC);
	uint64_t space = 0;
	assert_rc(vault_io_free_space(fixture->io, &space));
	assert_int_equal(space, 200);
	assert_rc(vault_file_truncate(file, 0));
	fill(file, 0, 'a', 1000);
	vault_file_close(file);
}

int main(void) {
#define WITH_RECORDER(test) cmocka_unit_test_setup_teardown(test, recorder_fixture_setup, recorder_fixture_teardown)
	const struct CMUnitTest tests[] = {
	        WITH_RECORDER(what_was_synced_is_in_every_later_state),
	        WITH_RECORDER(unsynced_writes_are_kept_lost_and_torn_in_any_order),
	        WITH_RECORDER(a_name_is_lost_until_its_directory_is_synced),
	        WITH_RECORDER(a_rename_that_was_lost_leaves_the_old_name),
	        WITH_RECORDER(a_sync_that_began_before_a_write_does_not_cover_it),
	        WITH_RECORDER(a_file_in_a_directory_whose_name_was_lost_is_gone),
	        WITH_RECORDER(too_many_combinations_are_sampled_and_the_seed_decides),
	        WITH_RECORDER(what_was_there_before_is_durable),
	        WITH_RECORDER(an_ordered_failure_comes_when_it_was_ordered),
	        WITH_RECORDER(a_small_disk_fills_up_and_empties),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
