/* A directory tree in memory. Tests have memory; where they have not, they end. */
#include "tests/backend/recorder_internal.h"

#include <stdlib.h>
#include <string.h>

static void *must(void *memory) {
	if (!memory)
		abort();
	return memory;
}

void image_free(struct image *image) {
	for (size_t i = 0; i < image->file_count; i++)
		free(image->files[i].data);
	for (size_t i = 0; i < image->name_count; i++)
		free(image->names[i].name);
	free(image->files);
	free(image->names);
	*image = (struct image){0};
}

void image_copy(const struct image *from, struct image *ret_image) {
	*ret_image = (struct image){0};
	for (size_t i = 0; i < from->file_count; i++) {
		(void)image_new_file(ret_image);
		if (from->files[i].data)
			image_write(ret_image, i, 0, bytes_of(from->files[i].data, from->files[i].size));
	}
	for (size_t i = 0; i < from->name_count; i++)
		image_set(ret_image, from->names[i].name, from->names[i].file);
}

size_t image_new_file(struct image *image) {
	image->files = must(reallocarray(image->files, image->file_count + 1, sizeof *image->files));
	image->files[image->file_count] = (struct image_file){0};
	return image->file_count++;
}

void image_resize(struct image *image, size_t number, uint64_t size) {
	struct image_file *file = &image->files[number];
	if (size > file->capacity) {
		size_t capacity = file->capacity * 2 > size ? file->capacity * 2 : (size_t)size;
		file->data = must(realloc(file->data, capacity));
		file->capacity = capacity;
	}
	if (size > file->size)
		memset(file->data + file->size, 0, (size_t)size - file->size);
	file->size = (size_t)size;
}

void image_write(struct image *image, size_t number, uint64_t offset, struct bytes data) {
	if (data.size == 0)
		return;
	if (offset + data.size > image->files[number].size)
		image_resize(image, number, offset + data.size);
	memcpy(image->files[number].data + offset, data.data, data.size);
}

struct image_name *image_find(const struct image *image, const char *name) {
	for (size_t i = 0; i < image->name_count; i++)
		if (strcmp(image->names[i].name, name) == 0)
			return &image->names[i];
	return NULL;
}

void image_set(struct image *image, const char *name, size_t file) {
	struct image_name *found = image_find(image, name);
	if (found) {
		found->file = file;
		return;
	}
	image->names = must(reallocarray(image->names, image->name_count + 1, sizeof *image->names));
	image->names[image->name_count++] = (struct image_name){.name = must(strdup(name)), .file = file};
}

void image_remove(struct image *image, const char *name) {
	struct image_name *found = image_find(image, name);
	if (!found)
		return;
	free(found->name);
	*found = image->names[--image->name_count];
}

static void rename_below(struct image *image, const char *from, const char *to) {
	size_t length = strlen(from);
	for (size_t i = 0; i < image->name_count; i++) {
		char *name = image->names[i].name;
		if (strncmp(name, from, length) != 0 || name[length] != '/')
			continue;
		char *renamed = must(malloc(strlen(to) + strlen(name + length) + 1));
		(void)strcpy(stpcpy(renamed, to), name + length);
		free(name);
		image->names[i].name = renamed;
	}
}

void image_rename(struct image *image, const char *from, const char *to) {
	const struct image_name *found = image_find(image, from);
	if (!found)
		return;
	size_t file = found->file;
	image_remove(image, from);
	image_set(image, to, file);
	if (file == IMAGE_DIRECTORY)
		rename_below(image, from, to);
}
