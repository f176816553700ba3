#include "tests/backend/shelf.h"

#include "backend/backup/layout.h"
#include "backend/store_internal.h"
#include "crypto/base/array.h"
#include "crypto/digest.h"
#include "tests/backend/scratch.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct shelf_item {
	char name[OBJECT_NAME_MAX + 1];
	uint64_t version;
	uint8_t *data;
	size_t size;
	bool is_removed;
};

struct Shelf {
	pthread_mutex_t lock;
	struct shelf_item *items; /* by name, then the newest version first */
	size_t count, room;
	uint64_t version;
	bool is_plain;
	size_t gets, batches;
	shelf_fn *ask;
	void *ask_arg;
};

Shelf *shelf_new(void) {
	Shelf *shelf = calloc(1, sizeof *shelf);
	assert_non_null(shelf);
	pthread_mutex_init(&shelf->lock, NULL);
	return shelf;
}

void shelf_free(Shelf *shelf) {
	for (size_t i = 0; i < shelf->count; i++)
		free(shelf->items[i].data);
	free(shelf->items);
	pthread_mutex_destroy(&shelf->lock);
	free(shelf);
}

void shelf_on_request(Shelf *shelf, shelf_fn *ask, void *arg) {
	shelf->ask = ask;
	shelf->ask_arg = arg;
}

void shelf_forget_versions(Shelf *shelf) {
	shelf->is_plain = true;
}

static int by_name(const void *a, const void *b) {
	const struct shelf_item *x = a, *y = b;
	int order = strcmp(x->name, y->name);
	return order ? order : (x->version < y->version) - (x->version > y->version);
}

static struct shelf_item *latest(Shelf *shelf, const char *name) {
	for (size_t i = 0; i < shelf->count; i++)
		if (strcmp(shelf->items[i].name, name) == 0)
			return &shelf->items[i];
	return NULL;
}

static void add(Shelf *shelf, const char *name, const void *data, size_t size, bool is_removed) {
	struct shelf_item *items = array_room(shelf->items, &shelf->room, shelf->count + 1, sizeof *items);
	struct shelf_item item = {.version = ++shelf->version, .size = size, .is_removed = is_removed};
	assert_non_null(items);
	shelf->items = items;
	item.data = malloc(size ? size : 1);
	assert_non_null(item.data);
	if (size)
		memcpy(item.data, data, size);
	(void)snprintf(item.name, sizeof item.name, "%s", name);
	items[shelf->count++] = item;
	qsort(items, shelf->count, sizeof *items, by_name);
}

/* ---- as a place ---- */

static struct shelf_item *find(Shelf *shelf, const char *name, const char *version) {
	if (!version)
		return latest(shelf, name);
	uint64_t number = strtoull(version + 1, NULL, 10);
	for (size_t i = 0; i < shelf->count; i++)
		if (strcmp(shelf->items[i].name, name) == 0 && shelf->items[i].version == number)
			return &shelf->items[i];
	return NULL;
}

static int get(Shelf *shelf, struct object_request *request) {
	const struct shelf_item *item = find(shelf, request->name, request->version);
	if (!item || item->is_removed)
		return fault(ENOENT, "%s: no such object", request->name);
	size_t left = request->offset < item->size ? item->size - (size_t)request->offset : 0;
	request->got = left < request->size ? left : request->size;
	if (request->got)
		memcpy(request->into, item->data + request->offset, request->got);
	shelf->gets++;
	return 0;
}

static int put(Shelf *shelf, const struct object_request *request) {
	const struct shelf_item *item = latest(shelf, request->name);
	if (request->if_absent && item && !item->is_removed)
		return fault(EEXIST, "%s: it is there", request->name);
	add(shelf, request->name, request->data.data, request->data.size, false);
	return 0;
}

static int carry_out(void *place, struct object_request *requests, size_t count) {
	Shelf *shelf = place;
	pthread_mutex_lock(&shelf->lock);
	shelf->batches++;
	pthread_mutex_unlock(&shelf->lock);
	for (size_t i = 0; i < count; i++) {
		struct object_request *request = &requests[i];
		int rc = shelf->ask ? shelf->ask(shelf->ask_arg, request->what, request->name) : 0;
		if (rc < 0)
			(void)fault(-rc, "%s: as the test wants it", request->name);
		pthread_mutex_lock(&shelf->lock);
		if (rc == 0 && request->what == OBJECT_GET)
			rc = get(shelf, request);
		else if (rc == 0 && request->what == OBJECT_PUT)
			rc = put(shelf, request);
		else if (rc == 0)
			add(shelf, request->name, NULL, 0, true);
		pthread_mutex_unlock(&shelf->lock);
		request->rc = rc;
		if (rc < 0)
			(void)snprintf(request->words, sizeof request->words, "%s", fault_message());
	}
	return 0;
}

static int tell(Shelf *shelf, const char *prefix, bool all, object_fn *object, void *arg) {
	int rc = shelf->ask ? shelf->ask(shelf->ask_arg, OBJECT_GET, NULL) : 0;
	if (rc < 0)
		return fault(-rc, "listing %s: as the test wants it", prefix);
	pthread_mutex_lock(&shelf->lock);
	for (size_t i = 0; i < shelf->count && rc == 0; i++) {
		const struct shelf_item *item = &shelf->items[i];
		bool is_latest = i == 0 || strcmp(item->name, shelf->items[i - 1].name) != 0;
		char version[24];
		(void)snprintf(version, sizeof version, "v%" PRIu64, item->version);
		struct object_info info = {.name = item->name,
		        .version = all ? version : "",
		        .size = item->size,
		        .modified_s = time(NULL) - 3600,
		        .is_latest = is_latest,
		        .is_removed = item->is_removed};
		if (strncmp(item->name, prefix, strlen(prefix)) == 0 && (all || (is_latest && !item->is_removed)))
			rc = object(arg, &info);
	}
	pthread_mutex_unlock(&shelf->lock);
	return rc;
}

static int list(void *place, const char *prefix, object_fn *object, void *arg) {
	return tell(place, prefix, false, object, arg);
}

static int versions(void *place, const char *prefix, object_fn *object, void *arg) {
	Shelf *shelf = place;
	return shelf->is_plain ? fault(EACCES, "no versions here") : tell(place, prefix, true, object, arg);
}

static void leave(void *place) {
	(void)place;
}

/* All versions stay, as if each were under one. */
static int lock(void *place, const char *name, int64_t until_s) {
	(void)place;
	(void)name;
	(void)until_s;
	return 0;
}

static int prepare(void *place, bool create, bool locks) {
	(void)place;
	(void)create;
	(void)locks;
	return 0;
}

static int tidy(void *place, int64_t before_s) {
	(void)place;
	(void)before_s;
	return 0;
}

static const struct objects_ops shelf_ops = {.close = leave,
        .carry_out = carry_out,
        .list = list,
        .versions = versions,
        .lock = lock,
        .prepare = prepare,
        .tidy = tidy,
        .stop = leave};

int shelf_open(const struct objects_place *place, Objects **ret, void *arg) {
	return objects_wrap(&shelf_ops, arg, place->url, ret);
}

/* ---- what happens to it ---- */

static struct shelf_item *must_find(Shelf *shelf, const char *name) {
	struct shelf_item *item = latest(shelf, name);
	if (!item)
		fail_msg("the shelf has no %s", name);
	return item;
}

void shelf_put(Shelf *shelf, const char *name, const void *data, size_t size) {
	add(shelf, name, data, size, false);
}

void shelf_flip(Shelf *shelf, const char *name, size_t at) {
	struct shelf_item *item = must_find(shelf, name);
	assert_true(item->size > at);
	item->data[at] ^= 0x10;
}

void shelf_cut(Shelf *shelf, const char *name, size_t size) {
	struct shelf_item *item = must_find(shelf, name);
	assert_true(item->size > size);
	item->size = size;
}

void shelf_remove(Shelf *shelf, const char *name) {
	(void)must_find(shelf, name);
	add(shelf, name, NULL, 0, true);
}

void shelf_erase(Shelf *shelf, const char *name) {
	size_t kept = 0;
	(void)must_find(shelf, name);
	for (size_t i = 0; i < shelf->count; i++) {
		if (strcmp(shelf->items[i].name, name) == 0)
			free(shelf->items[i].data);
		else
			shelf->items[kept++] = shelf->items[i];
	}
	shelf->count = kept;
}

void shelf_swap(Shelf *shelf, const char *one, const char *other) {
	struct shelf_item *a = must_find(shelf, one), *b = must_find(shelf, other);
	struct shelf_item swap = *a;
	a->data = b->data;
	a->size = b->size;
	b->data = swap.data;
	b->size = swap.size;
}

const char *shelf_name(Shelf *shelf, const char *prefix, size_t nth, char ret[static OBJECT_NAME_MAX + 1]) {
	for (size_t i = 0; i < shelf->count; i++) {
		if (strncmp(shelf->items[i].name, prefix, strlen(prefix)) != 0 ||
		        latest(shelf, shelf->items[i].name) != &shelf->items[i])
			continue;
		if (nth-- == 0) {
			(void)snprintf(ret, OBJECT_NAME_MAX + 1, "%s", shelf->items[i].name);
			return ret;
		}
	}
	fail_msg("the shelf has not so many below %s", prefix);
	return "";
}

size_t shelf_count(Shelf *shelf, const char *prefix) {
	size_t count = 0;
	for (size_t i = 0; i < shelf->count; i++)
		count += strncmp(shelf->items[i].name, prefix, strlen(prefix)) == 0 &&
		         latest(shelf, shelf->items[i].name) == &shelf->items[i];
	return count;
}

size_t shelf_gets(Shelf *shelf) {
	pthread_mutex_lock(&shelf->lock);
	size_t gets = shelf->gets;
	pthread_mutex_unlock(&shelf->lock);
	return gets;
}

size_t shelf_batches(Shelf *shelf) {
	pthread_mutex_lock(&shelf->lock);
	size_t batches = shelf->batches;
	pthread_mutex_unlock(&shelf->lock);
	return batches;
}

/* ---- shipping ---- */

static bool has(Objects *objects, const char *name) {
	uint8_t *data = NULL;
	size_t size = 0;
	bool is_there = objects_get_all(objects, name, OBJECT_BYTES_MAX, &data, &size) == 0;
	free(data);
	return is_there;
}

static void put_new(Objects *objects, const char *name, struct bytes data) {
	if (!has(objects, name))
		assert_rc(objects_put(objects, name, data));
}

static void ship_header(Objects *objects, Store *store, struct layout_super *super) {
	uint8_t *json = NULL;
	size_t size = 0;
	char name[LAYOUT_NAME_BYTES];
	assert_rc(vault_io_read_all(store->io, STORE_HEADER_NAME, HEADER_BYTES_MAX, &json, &size));
	super->header = header_generation(store->header);
	blake2b(bytes_of(json, size), super->header_hash);
	layout_header_name(super->header, super->header_hash, name);
	put_new(objects, name, bytes_of(json, size));
	free(json);
}

static void ship_packs(Objects *objects, Store *store, const struct layout_super *super) {
	for (uint64_t pack = super->base; pack <= super->pack; pack++) {
		char name[LAYOUT_NAME_BYTES], file[METADB_PACK_NAME_BYTES];
		uint8_t *bytes = NULL;
		size_t size = 0;
		metadb_pack_name(pack, file);
		if (vault_io_read_all(store->io, file, OBJECT_BYTES_MAX, &bytes, &size) == -ENOENT)
			continue; /* numbers may be left out */
		layout_part_name(pack, 0, name);
		assert_true(size > 0 && size <= LAYOUT_PART_BYTES);
		put_new(objects, name, bytes_of(bytes, size));
		free(bytes);
	}
}

/* In extents of some odd length, so that there are several; the last two overlap. */
static void ship_segment(Objects *objects, Store *store, const struct segment_row *row) {
	char name[LAYOUT_NAME_BYTES], file[SEGMENT_NAME_BYTES];
	uint8_t *bytes = NULL;
	size_t size = 0;
	assert_rc(segment_name(store->segments, row->number, file));
	assert_rc(vault_io_read_all(store->io, file, SEGMENT_MAX_BYTES * 2, &bytes, &size));
	assert_true(size >= row->bytes);
	for (uint32_t from = 0, step = 100003; from < row->bytes; from += step) {
		uint32_t to = (uint32_t)(row->bytes - from < step ? row->bytes : from + step);
		uint32_t begin = to == row->bytes && from > 5000 ? from - 5000 : from;
		layout_extent_name(row->id, begin, to, name);
		put_new(objects, name, bytes_of(bytes + begin, to - begin));
	}
	free(bytes);
}

static void ship_super(Objects *objects, Store *store, const struct layout_super *super) {
	uint8_t *bytes = NULL;
	size_t size = 0;
	char name[LAYOUT_NAME_BYTES];
	assert_rc(layout_super_seal(store->keyring, 0, header_vault_id(store->header), super, &bytes, &size));
	layout_super_name(super->number, name);
	assert_rc(objects_put(objects, name, bytes_of(bytes, size)));
	free(bytes);
}

void ship_by_hand(Objects *objects, Store *store, uint64_t number) {
	struct store_checkpoint taken;
	assert_rc(store_checkpoint(store, &taken));
	struct layout_super super = {.number = number,
	        .time_ns = taken.time_ns,
	        .commit = taken.commit,
	        .pack = taken.pack,
	        .base = taken.base};
	memcpy(super.root, taken.root, sizeof super.root);
	ship_header(objects, store, &super);
	ship_packs(objects, store, &super);
	for (size_t i = 0; i < taken.segment_count; i++) {
		ship_segment(objects, store, &taken.segments[i]);
		super.bytes += taken.segments[i].bytes;
	}
	ship_super(objects, store, &super);
	store_checkpoint_clear(&taken);
}

void shelf_ship(Shelf *shelf, Store *store, uint64_t number) {
	Objects *objects = NULL;
	assert_rc(shelf_open(&(struct objects_place){.url = SHELF_URL}, &objects, shelf));
	ship_by_hand(objects, store, number);
	objects_close(objects);
}
