#include "tests/backend/scratch.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static VaultFile *make(struct scratch *scratch, const char *name, const char *content) {
	VaultFile *file = NULL;
	assert_rc(vault_file_open(scratch->io, name, VAULT_FILE_WRITE | VAULT_FILE_CREATE, &file));
	assert_rc(vault_file_write_at(file, 0, bytes_of_string(content)));
	return file;
}

static void a_file_reads_back_and_is_short_at_its_end(void **state) {
	struct scratch *scratch = *state;
	VaultFile *file = make(scratch, "f", "hello");
	uint8_t data[16];
	size_t got = 0;
	assert_rc(vault_file_read_at(file, 1, data, sizeof data, &got));
	assert_int_equal(got, 4);
	assert_memory_equal(data, "ello", 4);
	assert_rc(vault_file_read_at(file, 100, data, sizeof data, &got));
	assert_int_equal(got, 0);
	assert_int_equal(vault_file_read_exactly(file, 1, data, 5), -EBADMSG);
	assert_non_null(strstr(fault_message(), "f ends at byte 5"));
	assert_rc(vault_file_sync(file));
	assert_string_equal(vault_file_name(file), "f");
	vault_file_close(file);
}

static void files_and_directories_are_private(void **state) {
	struct scratch *scratch = *state;
	mode_t before = umask(0);
	assert_rc(vault_io_mkdir(scratch->io, "a/b/c"));
	vault_file_close(make(scratch, "a/b/c/f", "x"));
	(void)umask(before);
	char path[128];
	struct stat st;
	(void)snprintf(path, sizeof path, "%s/a/b", scratch->vault);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	(void)snprintf(path, sizeof path, "%s/a/b/c/f", scratch->vault);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_rc(vault_io_mkdir(scratch->io, "a/b/c"));
}

static void names_that_lead_out_of_the_vault_are_refused(void **state) {
	struct scratch *scratch = *state;
	static const char *const names[] = {"", "/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a/.", "a/", ".."};
	VaultFile *file = NULL;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		assert_int_equal(vault_file_open(scratch->io, names[i], VAULT_FILE_READ, &file), -EINVAL);
		assert_int_equal(vault_io_unlink(scratch->io, names[i]), -EINVAL);
		assert_int_equal(vault_io_rename(scratch->io, "a", names[i]), -EINVAL);
		assert_int_equal(vault_io_mkdir(scratch->io, names[i]), -EINVAL);
	}
	char longest[400];
	memset(longest, 'x', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	assert_int_equal(vault_file_open(scratch->io, longest, VAULT_FILE_READ, &file), -ENAMETOOLONG);
	assert_null(file);
}

static void symbolic_links_in_the_vault_are_not_followed(void **state) {
	struct scratch *scratch = *state;
	char outside[128];
	char link[128];
	(void)snprintf(outside, sizeof outside, "%s/outside", scratch->path);
	assert_int_equal(mkdir(outside, 0700), 0);
	scratch_write(outside, "f", "secret", 6);
	(void)snprintf(link, sizeof link, "%s/dir", scratch->vault);
	assert_int_equal(symlink(outside, link), 0);
	(void)snprintf(link, sizeof link, "%s/file", scratch->vault);
	(void)snprintf(outside, sizeof outside, "%s/outside/f", scratch->path);
	assert_int_equal(symlink(outside, link), 0);
	VaultFile *file = NULL;
	assert_int_equal(vault_file_open(scratch->io, "file", VAULT_FILE_WRITE, &file), -ELOOP);
	assert_int_equal(vault_file_open(scratch->io, "dir/f", VAULT_FILE_WRITE, &file), -ENOTDIR);
	assert_int_equal(vault_file_open(scratch->io, "dir/g", VAULT_FILE_WRITE | VAULT_FILE_CREATE, &file), -ENOTDIR);
	assert_int_equal(vault_io_sync_dir(scratch->io, "dir"), -ENOTDIR);
	assert_int_equal(vault_io_unlink(scratch->io, "dir/f"), -ENOTDIR);
}

static void only_regular_files_are_opened(void **state) {
	struct scratch *scratch = *state;
	char path[128];
	(void)snprintf(path, sizeof path, "%s/fifo", scratch->vault);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_rc(vault_io_mkdir(scratch->io, "d"));
	VaultFile *file = NULL;
	uint64_t size = 0;
	assert_int_equal(vault_file_open(scratch->io, "fifo", VAULT_FILE_READ, &file), -EINVAL);
	assert_int_equal(vault_file_open(scratch->io, "d", VAULT_FILE_READ, &file), -EISDIR);
	assert_int_equal(vault_file_open(scratch->io, "none", VAULT_FILE_READ, &file), -ENOENT);
	assert_int_equal(vault_io_stat_size(scratch->io, "d", &size), -EISDIR);
	assert_int_equal(vault_io_stat_size(scratch->io, "none", &size), -ENOENT);
}

static void exclusive_creation_refuses_what_is_there(void **state) {
	struct scratch *scratch = *state;
	vault_file_close(make(scratch, "f", "x"));
	VaultFile *file = NULL;
	unsigned flags = VAULT_FILE_WRITE | VAULT_FILE_CREATE | VAULT_FILE_EXCLUSIVE;
	assert_int_equal(vault_file_open(scratch->io, "f", flags, &file), -EEXIST);
	assert_rc(vault_file_open(scratch->io, "g", flags, &file));
	vault_file_close(file);
}

/* The lock belongs to the open directory, so a second opening in one process is as foreign as another process. */
static void a_second_holder_of_the_lock_is_told_who_has_it(void **state) {
	struct scratch *scratch = *state;
	VaultIo *second = NULL;
	assert_rc(vault_io_lock(scratch->io));
	assert_rc(vault_io_open(scratch->vault, &second));
	assert_int_equal(vault_io_lock(second), -EBUSY);
	assert_non_null(strstr(fault_message(), "is in use by"));
	assert_non_null(strstr(fault_message(), "unmount it there first"));
	vault_io_close(scratch->io);
	assert_rc(vault_io_lock(second));
	scratch->io = second;
}

static void a_lock_dies_with_its_process(void **state) {
	struct scratch *scratch = *state;
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		VaultIo *io = NULL;
		_exit(vault_io_open(scratch->vault, &io) == 0 && vault_io_lock(io) == 0 ? 0 : 1);
	}
	int status = 0;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_rc(vault_io_lock(scratch->io));
}

static void a_vault_is_made_only_in_an_empty_directory(void **state) {
	struct scratch *scratch = *state;
	VaultIo *io = NULL;
	assert_int_equal(vault_io_create(scratch->path, &io), -ENOTEMPTY);
	assert_non_null(strstr(fault_message(), "is not empty"));
	assert_rc(vault_io_create(scratch->vault, &io));
	vault_io_close(io);
	assert_int_equal(vault_io_open("/nonexistent/vault", &io), -ENOENT);
}

static int count_entry(void *user, const char *name, bool is_directory) {
	int *counts = user;
	counts[is_directory]++;
	return strcmp(name, "stop") == 0 ? 7 : 0;
}

static void a_listing_is_whole_or_an_error(void **state) {
	struct scratch *scratch = *state;
	int counts[2] = {0};
	assert_rc(vault_io_list(scratch->io, "", count_entry, counts));
	assert_int_equal(counts[0] + counts[1], 0);
	vault_file_close(make(scratch, "f", "x"));
	assert_rc(vault_io_mkdir(scratch->io, "d/e"));
	assert_rc(vault_io_list(scratch->io, "", count_entry, counts));
	assert_int_equal(counts[0], 1);
	assert_int_equal(counts[1], 1);
	assert_int_equal(vault_io_list(scratch->io, "none", count_entry, counts), -ENOENT);
	assert_int_equal(vault_io_list(scratch->io, "f", count_entry, counts), -ENOTDIR);
	vault_file_close(make(scratch, "d/stop", "x"));
	assert_int_equal(vault_io_list(scratch->io, "d", count_entry, counts), 7);
}

static void replace_puts_the_new_content_and_leaves_nothing_else(void **state) {
	struct scratch *scratch = *state;
	assert_rc(vault_io_mkdir(scratch->io, "d"));
	assert_rc(vault_io_replace(scratch->io, "d/f", bytes_of_string("a long first content")));
	assert_rc(vault_io_replace(scratch->io, "d/f", bytes_of_string("second")));
	uint8_t *data = NULL;
	size_t size = 0;
	assert_rc(vault_io_read_all(scratch->io, "d/f", 100, &data, &size));
	assert_int_equal(size, 6);
	assert_string_equal((const char *)data, "second");
	free(data);
	int counts[2] = {0};
	assert_rc(vault_io_list(scratch->io, "d", count_entry, counts));
	assert_int_equal(counts[0], 1);
	assert_int_equal(vault_io_read_all(scratch->io, "d/f", 5, &data, &size), -EFBIG);
	assert_int_equal(vault_io_replace(scratch->io, "none/f", bytes_of_string("x")), -ENOENT);
	assert_non_null(strstr(fault_message(), "writing none/f"));
}

static void rename_replaces_and_unlink_removes(void **state) {
	struct scratch *scratch = *state;
	vault_file_close(make(scratch, "a", "aaa"));
	vault_file_close(make(scratch, "b", "b"));
	assert_rc(vault_io_rename(scratch->io, "a", "b"));
	uint64_t size = 0;
	assert_rc(vault_io_stat_size(scratch->io, "b", &size));
	assert_int_equal(size, 3);
	assert_int_equal(vault_io_rename(scratch->io, "a", "b"), -ENOENT);
	assert_rc(vault_io_unlink(scratch->io, "b"));
	assert_int_equal(vault_io_unlink(scratch->io, "b"), -ENOENT);
	assert_rc(vault_io_mkdir(scratch->io, "d"));
	vault_file_close(make(scratch, "d/f", "x"));
	assert_int_equal(vault_io_rmdir(scratch->io, "d"), -ENOTEMPTY);
	assert_rc(vault_io_unlink(scratch->io, "d/f"));
	assert_rc(vault_io_rmdir(scratch->io, "d"));
}

static void allocated_room_is_real_and_reads_as_zeros(void **state) {
	struct scratch *scratch = *state;
	VaultFile *file = make(scratch, "f", "x");
	assert_rc(vault_file_allocate(file, 0, 1 << 20));
	uint64_t size = 0;
	assert_rc(vault_file_size(file, &size));
	assert_int_equal(size, 1 << 20);
	uint8_t byte = 1;
	assert_rc(vault_file_read_exactly(file, (1 << 20) - 1, &byte, 1));
	assert_int_equal(byte, 0);
	assert_rc(vault_file_read_exactly(file, 0, &byte, 1));
	assert_int_equal(byte, 'x');
	char path[128];
	struct stat st;
	(void)snprintf(path, sizeof path, "%s/f", scratch->vault);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_blocks * 512 >= 1 << 20);
	vault_file_expect(file, 1 << 19, 1 << 20); /* beyond the end: a hint changes nothing */
	assert_rc(vault_file_size(file, &size));
	assert_int_equal(size, 1 << 20);
	assert_rc(vault_file_truncate(file, 3));
	assert_rc(vault_file_size(file, &size));
	assert_int_equal(size, 3);
	vault_file_close(file);
	uint64_t space = 0;
	assert_rc(vault_io_free_space(scratch->io, &space));
	assert_true(space > 0);
}

static void descriptors_do_not_leak_into_programs(void **state) {
	struct scratch *scratch = *state;
	VaultFile *file = make(scratch, "f", "x");
	for (int fd = 3; fd < 64; fd++) {
		int flags = fcntl(fd, F_GETFD);
		char link[64];
		char target[256] = "";
		(void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
		if (flags < 0 || readlink(link, target, sizeof target - 1) < 0)
			continue;
		if (strncmp(target, scratch->path, strlen(scratch->path)) == 0)
			assert_true(flags & FD_CLOEXEC);
	}
	vault_file_close(file);
}

/* Or they would stand in the record of whatever fails next. */
static void a_directory_that_is_there_already_leaves_no_words(void **state) {
	struct scratch *scratch = *state;
	fault_clear();
	assert_rc(vault_io_mkdir(scratch->io, "d/e"));
	assert_rc(vault_io_mkdir(scratch->io, "d/e"));
	assert_string_equal(fault_message(), "");
	assert_rc(vault_io_mkdir(scratch->io, "d/f"));
	assert_string_equal(fault_message(), "");
}

static void the_directory_of_a_name_is_what_stands_before_its_last_slash(void **state) {
	(void)state;
	char directory[VAULT_NAME_MAX + 1];
	vault_io_directory_of("meta.db", directory);
	assert_string_equal(directory, "");
	vault_io_directory_of("segments/ab/cd", directory);
	assert_string_equal(directory, "segments/ab");
}

int main(void) {
#define IN_SCRATCH(test) cmocka_unit_test_setup_teardown(test, scratch_setup, scratch_teardown)
	const struct CMUnitTest tests[] = {
	        IN_SCRATCH(a_file_reads_back_and_is_short_at_its_end),
	        IN_SCRATCH(files_and_directories_are_private),
	        IN_SCRATCH(names_that_lead_out_of_the_vault_are_refused),
	        IN_SCRATCH(symbolic_links_in_the_vault_are_not_followed),
	        IN_SCRATCH(only_regular_files_are_opened),
	        IN_SCRATCH(exclusive_creation_refuses_what_is_there),
	        IN_SCRATCH(a_second_holder_of_the_lock_is_told_who_has_it),
	        IN_SCRATCH(a_lock_dies_with_its_process),
	        IN_SCRATCH(a_vault_is_made_only_in_an_empty_directory),
	        IN_SCRATCH(a_listing_is_whole_or_an_error),
	        IN_SCRATCH(replace_puts_the_new_content_and_leaves_nothing_else),
	        IN_SCRATCH(rename_replaces_and_unlink_removes),
	        IN_SCRATCH(allocated_room_is_real_and_reads_as_zeros),
	        IN_SCRATCH(a_directory_that_is_there_already_leaves_no_words),
	        IN_SCRATCH(descriptors_do_not_leak_into_programs),
	        cmocka_unit_test(the_directory_of_a_name_is_what_stands_before_its_last_slash),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
