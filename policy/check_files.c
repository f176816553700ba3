#include "policy/check_files.h"

#include "crypto/base/fault.h"
#include "policy/json_strict.h"
#include "policy/table/utf8.h"

#include <errno.h>

struct FileTellings {
	struct arena arena;
	struct dqdl_files *lists;
	size_t list_count;
	struct dqdl_file *files; /* of all lists, one after the other */
	size_t file_count, file_room;
	size_t text_bytes;
};

static int no_memory(void) {
	return fault(ENOMEM, "no memory for the files that the rules name");
}

/* ---- collecting ---- */

int file_tellings_new(FileTellings **ret_tellings) {
	FileTellings *tellings = calloc(1, sizeof *tellings);
	if (!tellings)
		return no_memory();
	*ret_tellings = tellings;
	return 0;
}

void file_tellings_free(FileTellings *tellings) {
	if (!tellings)
		return;
	arena_free(&tellings->arena);
	free(tellings->lists);
	free(tellings->files);
	free(tellings);
}

static char *copy_path(struct arena *arena, const char *path) {
	size_t size = strlen(path);
	char *copy = arena_copy(arena, path, size);
	for (size_t valid; copy && (valid = utf8_valid_prefix(copy, size)) < size;)
		copy[valid] = '?';
	return copy;
}

int file_tellings_path(FileTellings *tellings, const char *path) {
	struct dqdl_files *lists = reallocarray(tellings->lists, tellings->list_count + 1, sizeof *tellings->lists);
	if (!lists)
		return no_memory();
	tellings->lists = lists;
	char *copy = copy_path(&tellings->arena, path);
	if (!copy)
		return no_memory();
	lists[tellings->list_count++] = (struct dqdl_files){.path = copy};
	return 0;
}

static int make_room(FileTellings *tellings) {
	if (tellings->file_count < tellings->file_room)
		return 0;
	size_t room = tellings->file_room ? 2 * tellings->file_room : 64;
	struct dqdl_file *files = reallocarray(tellings->files, room, sizeof *files);
	if (!files)
		return no_memory();
	tellings->files = files;
	tellings->file_room = room;
	return 0;
}

int file_tellings_add(FileTellings *tellings, const struct dqdl_file *file) {
	struct dqdl_files *list = &tellings->lists[tellings->list_count - 1];
	size_t bytes = strlen(file->path) + 1;
	if (list->is_cut || tellings->file_count == DQDL_FILES_MAX || bytes > CHECK_FILES_TEXT - tellings->text_bytes) {
		list->is_cut = true;
		return 0;
	}
	int rc = make_room(tellings);
	char *path = rc == 0 ? copy_path(&tellings->arena, file->path) : NULL;
	if (!path)
		return no_memory();
	tellings->files[tellings->file_count] = *file;
	tellings->files[tellings->file_count++].path = path;
	tellings->text_bytes += bytes;
	list->count++;
	return 0;
}

const struct dqdl_files *file_tellings_lists(FileTellings *tellings, size_t *ret_count) {
	size_t first = 0;
	for (size_t i = 0; i < tellings->list_count; i++) {
		tellings->lists[i].files = tellings->files ? tellings->files + first : NULL;
		first += tellings->lists[i].count;
	}
	*ret_count = tellings->list_count;
	return tellings->lists;
}

/* ---- JSON ---- */

static json_t *file_json(const struct dqdl_file *file) {
	_cleanup_(json_decrefp) json_t *object = json_object();
	bool done = object && json_put_text(object, "path", file->path) && json_put_count(object, "size", file->size) &&
	            json_put_int(object, "mtime", file->mtime) &&
	            (file->has_sha256 ? json_put_hex(object, "sha256", file->sha256, sizeof file->sha256)
	                              : json_put_text(object, "sha256", NULL));
	return done ? json_incref(object) : NULL;
}

static json_t *list_json(const struct dqdl_files *list) {
	_cleanup_(json_decrefp) json_t *object = json_object();
	json_t *files = json_array();
	bool done = object && files && json_put_text(object, "path", list->path) &&
	            json_put_count(object, "cut", list->is_cut);
	for (size_t i = 0; i < list->count && done; i++)
		done = json_array_append_new(files, file_json(&list->files[i])) == 0;
	done = (object ? json_object_set_new(object, "files", files) : -1) == 0 && done;
	return done ? json_incref(object) : NULL;
}

json_t *check_files_json(const struct dqdl_files *lists, size_t count) {
	_cleanup_(json_decrefp) json_t *array = json_array();
	bool done = array != NULL;
	for (size_t i = 0; i < count && done; i++)
		done = json_array_append_new(array, list_json(&lists[i])) == 0;
	return done ? json_incref(array) : NULL;
}

static int read_path(struct arena *arena, const json_t *object, const char **ret_path) {
	_cleanup_(freep) char *path = NULL;
	int rc = json_strict_text(object, "path", &path);
	if (rc < 0)
		return rc;
	*ret_path = arena_copy(arena, path, strlen(path));
	return *ret_path ? 0 : no_memory();
}

static int read_file(struct arena *arena, const json_t *object, struct dqdl_file *ret_file) {
	struct dqdl_file file = {.has_sha256 = !json_strict_is_null(object, "sha256")};
	int rc = read_path(arena, object, &file.path);
	if (rc == 0)
		rc = json_strict_count(object, "size", &file.size);
	if (rc == 0)
		rc = json_strict_int(object, "mtime", &file.mtime);
	if (rc == 0 && file.has_sha256)
		rc = json_strict_hex(object, "sha256", file.sha256, sizeof file.sha256);
	if (rc == 0)
		*ret_file = file;
	return rc;
}

static int read_list(struct arena *arena, const json_t *object, struct dqdl_files *ret_list) {
	const json_t *array;
	uint64_t cut = 0;
	struct dqdl_files list = {0};
	int rc = read_path(arena, object, &list.path);
	if (rc == 0)
		rc = json_strict_count(object, "cut", &cut);
	if (rc == 0)
		rc = json_strict_array(object, "files", DQDL_FILES_MAX, &array);
	if (rc < 0)
		return rc;
	struct dqdl_file *files = arena_take(arena, json_array_size(array) + 1, sizeof *files);
	if (!files)
		return no_memory();
	list.files = files;
	list.is_cut = cut != 0;
	for (; list.count < json_array_size(array) && rc == 0; list.count++)
		rc = read_file(arena, json_array_get(array, list.count), &files[list.count]);
	*ret_list = list;
	return rc;
}

int check_files_read(struct arena *arena, const json_t *array, const struct dqdl_files **ret_lists, size_t *ret_count) {
	size_t count = json_array_size(array);
	struct dqdl_files *lists = arena_take(arena, count + 1, sizeof *lists);
	int rc = lists ? 0 : no_memory();
	for (size_t i = 0; i < count && rc == 0; i++)
		rc = read_list(arena, json_array_get(array, i), &lists[i]);
	if (rc < 0)
		return rc;
	*ret_lists = lists;
	*ret_count = count;
	return 0;
}
