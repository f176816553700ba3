#include "backend/erase.h"

#include "backend/gc.h"
#include "backend/segment.h"
#include "backend/store_internal.h"
#include "backend/version.h"
#include "backend/xattr.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <stdlib.h>

static int compare(const void *a, const void *b) {
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
	return (left > right) - (left < right);
}

static bool has(const uint64_t *sorted, size_t count, uint64_t id) {
	return count > 0 && bsearch(&id, sorted, count, sizeof *sorted, compare) != NULL;
}

/* ---- erasing ---- */

struct erasing {
	Store *store;
	Meta *m;
	const uint64_t *versions;
	size_t count;
	erased_name_fn *ended;
	void *arg;
	struct erased done;
};

static int tell(struct erasing *e, uint64_t parent, const struct tree_name *at, uint64_t ino) {
	struct erased_name name = {.ino = ino};
	struct node directory = {0};
	int rc = at ? tree_get(e->m, parent, &directory) : 0;
	if (rc < 0 || !e->ended)
		return rc;
	name.parent_ino = directory.ino;
	if (at) {
		name.size = at->size;
		memcpy(name.name, at->name, at->size);
	}
	return e->ended(e->arg, &name);
}

static int end_names(struct erasing *e, const struct node *node) {
	char path[TREE_PATH_MAX];
	struct node left;
	if (node->nlink == 0)
		return tell(e, 0, NULL, node->ino);
	for (;;) {
		struct tree_name at = {0};
		int rc = tree_next_path(e->m, node->id, &at, path, sizeof path, NULL);
		if (rc == -ENOENT)
			return 0;
		if (rc == 0 || rc == -ERANGE) /* a path that is too long for anybody has a name all the same */
			rc = tree_erase(e->m, at.parent, bytes_of(at.name, at.size), &left);
		if (rc == 0)
			rc = tell(e, at.parent, &at, node->ino);
		if (rc < 0)
			return rc;
		e->done.names++;
	}
}

struct attribute {
	size_t size;
	uint8_t name[XATTR_NAME_BYTES];
};

static int take_first(void *arg, struct bytes name, size_t value_size) {
	struct attribute *attribute = arg;
	(void)value_size;
	attribute->size = name.size < sizeof attribute->name ? name.size : sizeof attribute->name;
	memcpy(attribute->name, name.data, attribute->size);
	return 1;
}

/* What somebody wrote beside the file is perhaps about the same person. */
static int drop_attributes(Meta *m, uint64_t node) {
	for (;;) {
		struct attribute attribute = {0};
		int rc = xattr_list(m, node, take_first, &attribute);
		if (rc < 0 || attribute.size == 0)
			return rc;
		rc = xattr_remove(m, node, bytes_of(attribute.name, attribute.size));
		if (rc < 0)
			return rc;
	}
}

/* The daemon's own drafts (Raw, Trusted) begin on nothing; what somebody is writing begins on what goes. */
static int check_unwritten(Meta *m, const struct version *version) {
	char path[TREE_PATH_MAX] = "a file without a name";
	bool is_written = false;
	if (version->zone != ZONE_LANDING && version->zone != ZONE_STAGING)
		return 0;
	int rc = version_has_draft(m, version->node, &is_written);
	if (rc < 0 || !is_written)
		return rc;
	(void)tree_path(m, version->node, path, sizeof path, NULL);
	return fault(EBUSY, "%s is being written; close it first", path);
}

static int check(Meta *m, uint64_t id) {
	struct version version;
	int rc = version_get(m, id, &version);
	if (rc == 0 && version.state == VERSION_DRAFT)
		rc = -EPERM;
	return rc < 0 ? rc : check_unwritten(m, &version);
}

static int stop_showing(struct erasing *e, const struct version *version) {
	struct node node;
	int rc = tree_get(e->m, version->node, &node);
	if (rc < 0 || node.version != version->id)
		return rc;
	rc = end_names(e, &node);
	if (rc == 0)
		rc = version_withdraw(e->m, version->id, 0);
	return rc < 0 ? rc : drop_attributes(e->m, node.id);
}

static int erase_one(struct erasing *e, uint64_t id) {
	struct version version;
	int rc = version_get(e->m, id, &version);
	if (rc < 0 || version.state == VERSION_ERASED)
		return rc;
	rc = stop_showing(e, &version);
	if (rc == 0)
		rc = version_erase(e->m, id);
	e->done.versions++;
	e->done.bytes += version.size;
	return rc;
}

int erase_versions(
        Store *store, const uint64_t *versions, size_t count, erased_name_fn *ended, void *arg, struct erased *ret) {
	struct erasing e = {
	        .store = store, .m = store->meta, .versions = versions, .count = count, .ended = ended, .arg = arg};
	int rc = 0;
	for (size_t i = 0; i < count && rc == 0; i++)
		rc = check(e.m, versions[i]);
	if (rc == 0)
		rc = gc_purge_want(store, e.m, versions, count);
	for (size_t i = 0; i < count && rc == 0; i++)
		rc = erase_one(&e, versions[i]);
	if (rc == 0)
		*ret = e.done;
	return rc;
}

/* ---- who shares blocks ---- */

/* Blocks that are looked for in one walk over all map pages: 8 MiB, and 16 GiB of file. */
#define SOUGHT_MOST ((size_t)1 << 20)
#define PAGES_AT_ONCE 64

struct sharing {
	Store *store;
	const uint64_t *versions;
	size_t count;
	erase_sharer_fn *sharer;
	void *arg;

	uint64_t *sought; /* segment and position of blocks; ascending while the walk runs */
	size_t sought_count;
	uint64_t hits[PAGES_AT_ONCE]; /* pages of the slice that refer to one */
	size_t hit_count, looked;
	uint64_t page;  /* map pages up to here were walked */
	uint64_t *told; /* nodes, ascending */
	size_t told_count, told_room;
};

static uint64_t place_of(const struct block_ref *ref) {
	return (uint64_t)ref->segment << 32 | ref->position;
}

static int look_at_page(
        void *arg, uint64_t id, uint64_t owner, const struct block_ref *refs, size_t count, bool hash_ok) {
	struct sharing *s = arg;
	bool hit = false;
	(void)owner;
	(void)hash_ok; /* what is damaged refers to what it refers to */
	for (size_t i = 0; i < count && !hit; i++)
		hit = !block_ref_is_hole(&refs[i]) && has(s->sought, s->sought_count, place_of(&refs[i]));
	if (hit)
		s->hits[s->hit_count++] = id;
	s->page = id;
	return ++s->looked == PAGES_AT_ONCE;
}

static int tell_node(struct sharing *s, uint64_t node) {
	size_t at = 0;
	if (has(s->told, s->told_count, node))
		return 0;
	if (s->told_count == s->told_room) {
		size_t room = s->told_room ? 2 * s->told_room : 64;
		uint64_t *grown = realloc(s->told, room * sizeof *grown);
		if (!grown)
			return fault(ENOMEM, "no memory to note who shares blocks");
		s->told = grown;
		s->told_room = room;
	}
	for (at = s->told_count++; at > 0 && s->told[at - 1] > node; at--)
		s->told[at] = s->told[at - 1];
	s->told[at] = node;
	return 0;
}

/* In an operation. */
static int tell_users(struct sharing *s, uint64_t page) {
	Meta *m = s->store->meta;
	for (uint64_t version = 0;;) {
		struct version user;
		int rc = version_map_next_user(m, page, version, &version);
		if (rc == -ENOENT)
			return 0;
		if (rc == 0)
			rc = version_get(m, version, &user);
		if (rc == 0 && !has(s->versions, s->count, version))
			rc = tell_node(s, user.node);
		if (rc < 0)
			return rc;
	}
}

static int walk_pages(struct sharing *s) {
	Meta *m = s->store->meta;
	int rc = 0;
	s->page = 0;
	qsort(s->sought, s->sought_count, sizeof *s->sought, compare);
	do {
		s->hit_count = s->looked = 0;
		meta_begin(m);
		rc = map_page_list(m, s->page, look_at_page, s);
		for (size_t i = 0; i < s->hit_count && rc == 0; i++)
			rc = tell_users(s, s->hits[i]);
		rc = meta_end(m, rc);
	} while (rc == 0 && s->looked == PAGES_AT_ONCE);
	s->sought_count = 0;
	return rc;
}

/* Adds the blocks of the version's next page; *ret_done: it has none. */
static int seek_page(struct sharing *s, uint64_t version, uint64_t *page, bool *ret_done) {
	struct block_ref refs[MAP_PAGE_REFS];
	size_t count = 0;
	Meta *m = s->store->meta;
	meta_begin(m);
	int rc = version_map_next(m, version, *page, page);
	if (rc == 0)
		rc = version_map_get(m, version, *page, refs, &count);
	rc = meta_end(m, rc);
	for (size_t i = 0; i < count && rc == 0; i++)
		if (!block_ref_is_hole(&refs[i]))
			s->sought[s->sought_count++] = place_of(&refs[i]);
	++*page;
	*ret_done = rc == -ENXIO;
	return rc == -ENXIO ? 0 : rc;
}

static int seek_version(struct sharing *s, uint64_t version) {
	bool done = false;
	int rc = 0;
	for (uint64_t page = 0; rc == 0 && !done;) {
		if (s->sought_count + MAP_PAGE_REFS > SOUGHT_MOST)
			rc = walk_pages(s);
		if (rc == 0)
			rc = seek_page(s, version, &page, &done);
	}
	return rc;
}

int erase_sharers(Store *store, const uint64_t *versions, size_t count, erase_sharer_fn *sharer, void *arg) {
	struct sharing s = {.store = store, .versions = versions, .count = count, .sharer = sharer, .arg = arg};
	s.sought = malloc(SOUGHT_MOST * sizeof *s.sought);
	int rc = s.sought ? 0 : fault(ENOMEM, "no memory to look for who shares blocks");
	for (size_t i = 0; i < count && rc == 0; i++)
		rc = seek_version(&s, versions[i]);
	if (rc == 0 && s.sought_count > 0)
		rc = walk_pages(&s);
	for (size_t i = 0; i < s.told_count && rc == 0; i++)
		rc = sharer(arg, s.told[i]);
	free(s.sought);
	free(s.told);
	return fault_while(rc, "looking for who shares blocks");
}
