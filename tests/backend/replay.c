/* Building the crash states of a recording. The model stands in recorder.h. */
#include "tests/backend/recorder_internal.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECTOR 512

enum choice { KEPT = 0, LOST = 1, TORN = 2, CHOICES = 3 };

static uint64_t next_random(uint64_t *state) {
	/* splitmix64: any seed, 0 too, gives a good sequence. */
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static bool is_data(enum op_kind kind) {
	return kind == OP_WRITE || kind == OP_TRUNCATE || kind == OP_ALLOCATE;
}

static bool is_namespace(enum op_kind kind) {
	return kind == OP_CREATE || kind == OP_RENAME || kind == OP_UNLINK || kind == OP_MKDIR || kind == OP_RMDIR;
}

static bool in_directory(const struct op *op, const char *directory) {
	char of[VAULT_NAME_MAX + 1];
	vault_io_directory_of(op->kind == OP_RENAME ? op->to : op->name, of);
	return strcmp(of, directory) == 0;
}

/* The first sync that covers call `i`; SIZE_MAX if none does. */
static size_t find_cover(const Recorder *recorder, size_t i) {
	const struct op *op = &recorder->ops[i];
	for (size_t j = i + 1; j < recorder->op_count; j++) {
		const struct op *sync = &recorder->ops[j];
		if (sync->covers <= i)
			continue;
		if ((sync->kind == OP_SYNC && is_data(op->kind) && sync->file == op->file) ||
		        (sync->kind == OP_SYNC_DIR && is_namespace(op->kind) && in_directory(op, sync->name)))
			return j;
	}
	return SIZE_MAX;
}

static void apply_torn(struct image *image, const struct op *op, uint64_t *random) {
	/* One time in four a plain prefix, which is what an interrupted transfer looks like. */
	bool prefix = next_random(random) % 4 == 0;
	uint64_t sectors = (op->offset + op->size - 1) / SECTOR - op->offset / SECTOR + 1;
	uint64_t cut = next_random(random) % sectors;
	for (uint64_t i = 0; i < sectors; i++) {
		bool kept = prefix ? i < cut : next_random(random) & 1;
		if (!kept)
			continue;
		uint64_t from = (op->offset / SECTOR + i) * SECTOR;
		uint64_t end = from + SECTOR;
		from = from < op->offset ? op->offset : from;
		end = end > op->offset + op->size ? op->offset + op->size : end;
		image_write(image, op->file, from, bytes_of(op->data + (from - op->offset), (size_t)(end - from)));
	}
}

static void apply(struct image *image, const struct op *op) {
	switch (op->kind) {
	case OP_WRITE:
		image_write(image, op->file, op->offset, bytes_of(op->data, (size_t)op->size));
		break;
	case OP_TRUNCATE:
		image_resize(image, op->file, op->size);
		break;
	case OP_ALLOCATE:
		if (op->offset + op->size > image->files[op->file].size)
			image_resize(image, op->file, op->offset + op->size);
		break;
	case OP_CREATE:
		image_set(image, op->name, op->file);
		break;
	case OP_RENAME:
		image_rename(image, op->name, op->to);
		break;
	case OP_UNLINK:
	case OP_RMDIR:
		image_remove(image, op->name);
		break;
	case OP_MKDIR:
		image_set(image, op->name, IMAGE_DIRECTORY);
		break;
	case OP_SYNC:
	case OP_SYNC_DIR:
	case OP_MARK:
		break;
	}
}

static void build(const Recorder *recorder, size_t moment, const size_t *open, size_t open_count,
        const uint8_t *choices, uint64_t random, struct image *ret_image) {
	image_copy(&recorder->base, ret_image);
	while (ret_image->file_count < recorder->now.file_count)
		(void)image_new_file(ret_image);
	size_t next_open = 0;
	for (size_t i = 0; i < moment; i++) {
		const struct op *op = &recorder->ops[i];
		enum choice choice = KEPT;
		if (next_open < open_count && open[next_open] == i)
			choice = choices[next_open++];
		if (choice == KEPT || (choice == TORN && op->kind != OP_WRITE))
			apply(ret_image, op);
		else if (choice == TORN)
			apply_torn(ret_image, op, &random);
	}
}

static bool parent_is_there(const struct image *image, const char *name) {
	char above[VAULT_NAME_MAX + 1];
	vault_io_directory_of(name, above);
	if (above[0] == '\0')
		return true;
	const struct image_name *found = image_find(image, above);
	return found && found->file == IMAGE_DIRECTORY && parent_is_there(image, above);
}

static int put_file(const char *path, const struct image_file *file) {
	FILE *stream = fopen(path, "wbe");
	if (!stream)
		return fault_errno(errno, "writing crash state %s", path);
	bool good = file->size == 0 || fwrite(file->data, 1, file->size, stream) == file->size;
	good = fclose(stream) == 0 && good;
	return good ? 0 : fault(EIO, "writing crash state %s", path);
}

static int put_image(const struct image *image, const char *directory) {
	_cleanup_(vault_io_closep) VaultIo *io = NULL;
	int rc = vault_io_open(directory, &io);
	for (size_t i = 0; i < image->name_count && rc == 0; i++)
		if (image->names[i].file == IMAGE_DIRECTORY && parent_is_there(image, image->names[i].name))
			rc = vault_io_mkdir(io, image->names[i].name);
	for (size_t i = 0; i < image->name_count && rc == 0; i++) {
		const struct image_name *name = &image->names[i];
		char path[768];
		(void)snprintf(path, sizeof path, "%s/%s", directory, name->name);
		if (name->file != IMAGE_DIRECTORY && parent_is_there(image, name->name))
			rc = put_file(path, &image->files[name->file]);
	}
	return rc;
}

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

void replay_remove(const char *directory) {
	(void)nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

struct replay {
	Recorder *recorder;
	recorder_state_fn *fn;
	void *user;
	uint64_t random;
	size_t states;
	size_t moment;
	uint64_t acknowledged;
	size_t *covered_at; /* of each call */
	size_t *open;       /* the calls before `moment` that no sync covers */
	size_t open_count;
	uint8_t *choices;
};

static void find_open(struct replay *replay) {
	replay->open_count = 0;
	for (size_t i = 0; i < replay->moment; i++) {
		enum op_kind kind = replay->recorder->ops[i].kind;
		if ((is_data(kind) || is_namespace(kind)) && replay->covered_at[i] >= replay->moment)
			replay->open[replay->open_count++] = i;
	}
}

static void print_state(const struct replay *replay) {
	static const char *const kinds[] = {"write", "truncate", "allocate", "sync", "create", "rename", "unlink",
	        "mkdir", "rmdir", "sync_dir", "mark"};
	static const char *const words[] = {"kept", "lost", "torn"};
	(void)fprintf(stderr, "crash before call %zu, acknowledged %llu; unsynced calls:\n", replay->moment,
	        (unsigned long long)replay->acknowledged);
	for (size_t i = 0; i < replay->open_count; i++) {
		const struct op *op = &replay->recorder->ops[replay->open[i]];
		(void)fprintf(stderr, "  %zu %s file %zu %s%s%s at %llu size %llu: %s\n", replay->open[i],
		        kinds[op->kind], op->file, op->name ? op->name : "", op->to ? " to " : "", op->to ? op->to : "",
		        (unsigned long long)op->offset, (unsigned long long)op->size, words[replay->choices[i]]);
	}
}

static int show_state(struct replay *replay) {
	/* In memory where that is possible: the states are judged by the thousand, and each is opened and synced. */
	const char *above = getenv("TMPDIR");
	if (!above)
		above = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	char *directory = replay->recorder->state_directory;
	(void)snprintf(directory, sizeof replay->recorder->state_directory, "%.60s/assayfs-crash-XXXXXX", above);
	if (!mkdtemp(directory)) {
		int rc = fault_errno(errno, "making a directory for a crash state");
		directory[0] = '\0';
		return rc;
	}
	struct image image;
	uint64_t random = next_random(&replay->random);
	build(replay->recorder, replay->moment, replay->open, replay->open_count, replay->choices, random, &image);
	int rc = put_image(&image, directory);
	image_free(&image);
	if (rc == 0)
		rc = replay->fn(replay->user, directory, replay->acknowledged);
	replay_remove(directory);
	directory[0] = '\0';
	replay->states++;
	if (rc != 0)
		print_state(replay);
	return rc;
}

static int show_all(struct replay *replay, size_t combinations) {
	int rc = 0;
	for (size_t number = 0; number < combinations && rc == 0; number++) {
		size_t rest = number;
		bool sensible = true;
		for (size_t i = 0; i < replay->open_count; i++, rest /= CHOICES) {
			replay->choices[i] = (uint8_t)(rest % CHOICES);
			const struct op *op = &replay->recorder->ops[replay->open[i]];
			sensible =
			        sensible && (replay->choices[i] != TORN || (op->kind == OP_WRITE && op->size > SECTOR));
		}
		if (sensible)
			rc = show_state(replay);
	}
	return rc;
}

static int show_sample(struct replay *replay, size_t budget) {
	memset(replay->choices, KEPT, replay->open_count);
	int rc = show_state(replay);
	memset(replay->choices, LOST, replay->open_count);
	if (rc == 0)
		rc = show_state(replay);
	for (size_t shown = 2; shown < budget && rc == 0; shown++) {
		/* Some states keep nearly all, some lose nearly all. */
		uint64_t keep = next_random(&replay->random) % 100;
		for (size_t i = 0; i < replay->open_count; i++) {
			bool kept = next_random(&replay->random) % 100 < keep;
			replay->choices[i] = kept ? KEPT : (next_random(&replay->random) & 1 ? LOST : TORN);
		}
		rc = show_state(replay);
	}
	return rc;
}

static size_t combinations_of(size_t open_count, size_t most) {
	size_t combinations = 1;
	for (size_t i = 0; i < open_count && combinations <= most; i++)
		combinations *= CHOICES;
	return combinations;
}

static int show_moment(struct replay *replay, size_t budget) {
	find_open(replay);
	size_t combinations = combinations_of(replay->open_count, budget);
	return combinations <= budget ? show_all(replay, combinations) : show_sample(replay, budget);
}

/* Whether to stop at this moment: always after what orders or names things, else as often as the limit allows. */
static bool wanted(struct replay *replay, size_t moment, size_t limit) {
	const Recorder *recorder = replay->recorder;
	if (moment < recorder->op_count && recorder->ops[moment].kind == OP_MARK)
		return false; /* the moment after the mark has the same states and is judged more strictly */
	if (moment == 0 || moment == recorder->op_count || recorder->ops[moment - 1].kind != OP_WRITE)
		return true;
	return next_random(&replay->random) % (2 * recorder->op_count) < limit;
}

int recorder_each_crash_state(
        Recorder *recorder, size_t limit, uint64_t seed, recorder_state_fn *fn, void *user, size_t *ret_states) {
	struct replay replay = {.recorder = recorder, .fn = fn, .user = user, .random = seed};
	replay.covered_at = calloc(recorder->op_count + 1, sizeof *replay.covered_at);
	replay.open = calloc(recorder->op_count + 1, sizeof *replay.open);
	replay.choices = calloc(recorder->op_count + 1, 1);
	if (!replay.covered_at || !replay.open || !replay.choices)
		abort();
	for (size_t i = 0; i < recorder->op_count; i++)
		replay.covered_at[i] = find_cover(recorder, i);
	size_t budget = limit / (recorder->op_count + 1);
	budget = budget < 2 ? 2 : budget;
	int rc = 0;
	for (size_t moment = 0; moment <= recorder->op_count && rc == 0; moment++) {
		bool is_mark = moment > 0 && recorder->ops[moment - 1].kind == OP_MARK;
		if (is_mark)
			replay.acknowledged = recorder->ops[moment - 1].mark;
		if (!wanted(&replay, moment, limit))
			continue;
		replay.moment = moment;
		rc = show_moment(&replay, budget);
	}
	free(replay.covered_at);
	free(replay.open);
	free(replay.choices);
	if (ret_states)
		*ret_states = replay.states;
	return rc;
}
