#include "tests/backend/scratch.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

void scratch_directory(char ret_path[static 64]) {
	const char *above = getenv("TMPDIR");
	if (!above || strlen(above) > 40)
		above = "/tmp";
	(void)snprintf(ret_path, 64, "%s/assayfs-test-XXXXXX", above);
	if (!mkdtemp(ret_path))
		fail_msg("cannot make a directory under %s", above);
}

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

void scratch_remove(const char *path) {
	(void)nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

int scratch_setup(void **state) {
	struct scratch *scratch = calloc(1, sizeof *scratch);
	if (!scratch)
		return -1;
	scratch_directory(scratch->path);
	(void)snprintf(scratch->vault, sizeof scratch->vault, "%s/vault", scratch->path);
	assert_rc(vault_io_create(scratch->vault, &scratch->io));
	*state = scratch;
	return 0;
}

int scratch_teardown(void **state) {
	struct scratch *scratch = *state;
	vault_io_close(scratch->io);
	scratch_remove(scratch->path);
	free(scratch);
	return 0;
}

uint8_t *scratch_read(const char *directory, const char *name, size_t *ret_size) {
	char path[512];
	(void)snprintf(path, sizeof path, "%s/%s", directory, name);
	FILE *file = fopen(path, "rbe");
	if (!file)
		fail_msg("cannot read %s", path);
	(void)fseek(file, 0, SEEK_END);
	size_t size = (size_t)ftell(file);
	rewind(file);
	uint8_t *data = malloc(size + 1);
	if (!data || fread(data, 1, size, file) != size)
		fail_msg("cannot read %s", path);
	(void)fclose(file);
	*ret_size = size;
	return data;
}

void scratch_write(const char *directory, const char *name, const void *data, size_t size) {
	char path[512];
	(void)snprintf(path, sizeof path, "%s/%s", directory, name);
	FILE *file = fopen(path, "wbe");
	if (!file || (size && fwrite(data, 1, size, file) != size) || fclose(file) != 0)
		fail_msg("cannot write %s", path);
}

void scratch_copy(const char *from, const char *to) {
	DIR *dir = opendir(from);
	if (!dir || (mkdir(to, 0700) < 0 && errno != EEXIST))
		fail_msg("cannot copy %s to %s", from, to);
	for (const struct dirent *entry; (entry = readdir(dir));) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (entry->d_type == DT_DIR) {
			char from_below[512];
			char to_below[512];
			(void)snprintf(from_below, sizeof from_below, "%s/%s", from, entry->d_name);
			(void)snprintf(to_below, sizeof to_below, "%s/%s", to, entry->d_name);
			scratch_copy(from_below, to_below);
			continue;
		}
		size_t size = 0;
		uint8_t *data = scratch_read(from, entry->d_name, &size);
		scratch_write(to, entry->d_name, data, size);
		free(data);
	}
	(void)closedir(dir);
}

void scratch_sleep_ms(long ms) {
	const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
	(void)nanosleep(&time, NULL);
}
