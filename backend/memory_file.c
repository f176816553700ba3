#include "backend/memory_file.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM ((size_t)64 << 10)

struct memory_file {
	sqlite3_file base;
	bool is_journal;
	uint8_t *data;
	size_t size, room;
};

static struct memory_file *of(sqlite3_file *file) {
	return (struct memory_file *)(void *)file;
}

static int make_room(struct memory_file *f, size_t end) {
	size_t room = f->room ? f->room : FIRST_ROOM;
	while (room < end)
		room *= 2;
	if (room == f->room)
		return SQLITE_OK;
	uint8_t *data = realloc(f->data, room);
	if (!data)
		return SQLITE_IOERR_NOMEM;
	f->data = data;
	f->room = room;
	return SQLITE_OK;
}

static void give_back(struct memory_file *f) {
	free(f->data);
	f->data = NULL;
	f->size = f->room = 0;
}

int memory_file_close(sqlite3_file *file) {
	give_back(of(file));
	file->pMethods = NULL;
	return SQLITE_OK;
}

int memory_file_read(sqlite3_file *file, void *data, int amount, sqlite3_int64 offset) {
	const struct memory_file *f = of(file);
	size_t at = (size_t)offset, wanted = (size_t)amount;
	size_t there = at < f->size ? f->size - at : 0;
	size_t got = wanted < there ? wanted : there;
	if (got)
		memcpy(data, f->data + at, got);
	if (got == wanted)
		return SQLITE_OK;
	memset((uint8_t *)data + got, 0, wanted - got);
	return SQLITE_IOERR_SHORT_READ;
}

int memory_file_write(sqlite3_file *file, const void *data, int amount, sqlite3_int64 offset) {
	struct memory_file *f = of(file);
	size_t at = (size_t)offset, end = at + (size_t)amount;
	if (at == 0 && f->is_journal && f->room > MEMORY_FILE_KEEP)
		give_back(f);
	int code = end > f->room ? make_room(f, end) : SQLITE_OK;
	if (code != SQLITE_OK)
		return code;
	assert(f->data); /* there is room, and something to write */
	if (at > f->size)
		memset(f->data + f->size, 0, at - f->size);
	memcpy(f->data + at, data, (size_t)amount);
	if (end > f->size)
		f->size = end;
	return SQLITE_OK;
}

int memory_file_truncate(sqlite3_file *file, sqlite3_int64 size) {
	struct memory_file *f = of(file);
	if ((size_t)size < f->size)
		f->size = (size_t)size;
	return SQLITE_OK;
}

int memory_file_size(sqlite3_file *file, sqlite3_int64 *ret_size) {
	*ret_size = (sqlite3_int64)of(file)->size;
	return SQLITE_OK;
}

size_t memory_file_bytes(void) {
	return sizeof(struct memory_file);
}

void memory_file_open(sqlite3_file *file, bool is_journal) {
	*of(file) = (struct memory_file){.is_journal = is_journal};
}

size_t memory_file_room(const sqlite3_file *file) {
	return ((const struct memory_file *)(const void *)file)->room;
}
