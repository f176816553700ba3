/* recorder_internal: what recorder.c (recording) and replay.c (crash states) share. */
#pragma once

#include "tests/backend/recorder.h"

#include <pthread.h>

enum op_kind {
	OP_WRITE,
	OP_TRUNCATE,
	OP_ALLOCATE,
	OP_SYNC,
	OP_CREATE,
	OP_RENAME,
	OP_UNLINK,
	OP_MKDIR,
	OP_RMDIR,
	OP_SYNC_DIR,
	OP_MARK
};

/* A call. File calls name the file by its number, namespace calls by name. */
struct op {
	enum op_kind kind;
	size_t file;     /* WRITE, TRUNCATE, ALLOCATE, SYNC, CREATE */
	char *name;      /* CREATE, RENAME (from), UNLINK, MKDIR, RMDIR, SYNC_DIR */
	char *to;        /* RENAME */
	uint8_t *data;   /* WRITE */
	uint64_t offset; /* WRITE, ALLOCATE */
	uint64_t size;   /* WRITE, TRUNCATE, ALLOCATE */
	size_t covers;   /* SYNC, SYNC_DIR: calls before this one were there when it began */
	uint64_t mark;   /* MARK */
};

/* A directory tree in memory: files by number, names that lead to them. */
struct image_file {
	uint8_t *data;
	size_t size;
	size_t capacity;
};

struct image_name {
	char *name;
	size_t file; /* IMAGE_DIRECTORY for one */
};

#define IMAGE_DIRECTORY SIZE_MAX

struct image {
	struct image_file *files;
	size_t file_count;
	struct image_name *names;
	size_t name_count;
};

void image_free(struct image *image);
void image_copy(const struct image *from, struct image *ret_image);
size_t image_new_file(struct image *image);
void image_resize(struct image *image, size_t file, uint64_t size);
void image_write(struct image *image, size_t file, uint64_t offset, struct bytes data);
/* NULL if there is none. */
struct image_name *image_find(const struct image *image, const char *name);
void image_set(struct image *image, const char *name, size_t file);
void image_remove(struct image *image, const char *name);
void image_rename(struct image *image, const char *from, const char *to);

struct Recorder {
	char *path;
	pthread_mutex_t mutex;
	struct image base; /* what was there at the beginning */
	struct image now;  /* sizes and names as they are; content is on the real disk */
	struct op *ops;
	size_t op_count;
	size_t op_capacity;
	size_t fail_after;
	int fail_errnum;
	uint64_t capacity;
	char state_directory[128]; /* of the crash state being shown; recorder_close removes it when a test ended inside
	                            */
};

/* Removes a directory with all that is in it. */
void replay_remove(const char *directory);
