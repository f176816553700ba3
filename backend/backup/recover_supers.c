/*
 * The superblocks of a place, newest first. Whoever has stolen the credentials can put thousands that open for nobody,
 * and lay versions over those that do: many are read at once, and what there is was listed once.
 *
 *     names, newest first    [a b c d …]          a batch: one name at first, doubled each time
 *     versions of each        a: now, newest, oldest, second newest, …
 *                             ▲ a round reads the next ones of all names of the batch that have not opened
 *
 * A name is told when it and all newer ones are settled.
 */
#include "backend/backup/recover_internal.h"
#include "crypto/base/array.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT_ONCE 64
#define AT_ONCE_BYTES ((size_t)32 << 20)
/* A server may be wrong about sizes. */
#define LEAST_ASKED ((size_t)4096)

struct super_version {
	uint64_t number, size;
	char *id;     /* NULL: the one that is there now */
	size_t order; /* newest first */
};

struct SuperList {
	struct super_version *list; /* newest number first; of each what is there now, then its versions */
	size_t count, room;
	size_t first;                    /* none before opens */
	char words[FAULT_MESSAGE_BYTES]; /* of the newest before */
};

/* One name that is being read. */
struct reading {
	const struct super_version *versions;
	size_t at, count; /* versions[0] in the list */
	size_t next;      /* to ask for */
	bool is_listed, is_settled;
	int rc;                          /* 0: it has opened */
	char words[FAULT_MESSAGE_BYTES]; /* of the first that has not */
	struct layout_super super;
};

/* A return other than 0 ends the walk and is returned. */
typedef int reading_fn(void *arg, const struct reading *reading);

struct walk {
	struct recovery *recovery;
	reading_fn *fn;
	void *arg;
	size_t at;      /* in the list: of the next name */
	bool is_listed; /* one that is listed has opened: older ones that are not were let go */
	struct reading readings[AT_ONCE];
	size_t count, told;
	struct object_request requests[AT_ONCE];
	char names[AT_ONCE][LAYOUT_NAME_BYTES];
	struct reading *whose[AT_ONCE];
	size_t asked;
};

/* ---- what there is ---- */

static int add(SuperList *supers, const struct object_info *object, const char *id) {
	struct layout_name name;
	layout_parse(object->name, &name);
	if (name.kind != LAYOUT_SUPER)
		return 0;
	struct super_version *grown = array_room(supers->list, &supers->room, supers->count + 1, sizeof *grown);
	if (!grown)
		return fault(ENOMEM, "no memory to list the backup");
	supers->list = grown;
	char *copy = id ? strdup(id) : NULL;
	if (id && !copy)
		return fault(ENOMEM, "no memory to list the backup");
	supers->list[supers->count] =
	        (struct super_version){.number = name.number, .size = object->size, .id = copy, .order = supers->count};
	supers->count++;
	return 0;
}

static int add_listed(void *arg, const struct object_info *object) {
	return add(arg, object, NULL);
}

static int add_version(void *arg, const struct object_info *object) {
	return object->is_removed || !object->version[0] ? 0 : add(arg, object, object->version);
}

static int compare(const void *one, const void *other) {
	const struct super_version *a = one, *b = other;
	if (a->number != b->number)
		return a->number > b->number ? -1 : 1;
	return (a->order > b->order) - (a->order < b->order);
}

static void drop_from(SuperList *supers, size_t from) {
	while (supers->count > from)
		free(supers->list[--supers->count].id);
}

int supers_read(Objects *objects, SuperList **ret) {
	_cleanup_(supers_freep) SuperList *supers = calloc(1, sizeof *supers);
	if (!supers)
		return fault(ENOMEM, "no memory to list the backup");
	int rc = objects_list(objects, "super/", add_listed, supers);
	if (rc < 0)
		return rc;
	/* Who may not list versions, or has none, goes on with what is listed. */
	size_t listed = supers->count;
	rc = objects_versions(objects, "super/", add_version, supers);
	if (rc < 0 && rc != -EACCES && rc != -ENOTSUP)
		return rc;
	if (rc < 0)
		drop_from(supers, listed);
	if (supers->count > 1)
		qsort(supers->list, supers->count, sizeof *supers->list, compare);
	*ret = steal_pointer(&supers);
	return 0;
}

void supers_free(SuperList *supers) {
	if (!supers)
		return;
	drop_from(supers, 0);
	free(supers->list);
	free(supers);
}

/* ---- rounds ---- */

/* What is there now first, then as object_versions_nth. NULL: that was all. */
static const struct super_version *nth_of(const struct reading *reading, size_t nth) {
	size_t now = reading->is_listed;
	if (nth >= reading->count)
		return NULL;
	if (nth < now)
		return reading->versions;
	size_t count = reading->count - now;
	nth -= now;
	return &reading->versions[now + (nth % 2 == 0 ? nth / 2 : count - 1 - nth / 2)];
}

static void note(struct reading *reading, int rc, const char *words) {
	if (reading->words[0])
		return;
	reading->rc = rc;
	(void)snprintf(reading->words, sizeof reading->words, "%s", words);
}

/* 1: there is no room for it in this round. */
static int ask(struct walk *walk, struct reading *reading, const struct super_version *version, size_t *bytes) {
	size_t size = (size_t)version->size;
	if (version->size > LAYOUT_SUPER_BYTES_MAX) {
		note(reading, -EBADMSG, "it is too long for a superblock");
		reading->next++;
		return 0;
	}
	/* One byte more, to see that there are no more. */
	if (!version->id)
		size = (size > LEAST_ASKED ? size : LEAST_ASKED) + 1;
	if (walk->asked == AT_ONCE || (walk->asked > 0 && *bytes + size > AT_ONCE_BYTES))
		return 1;
	uint8_t *into = malloc(size + 1);
	if (!into)
		return fault(ENOMEM, "no memory for a superblock of the backup");
	char *name = walk->names[walk->asked];
	layout_super_name(version->number, name);
	walk->requests[walk->asked] = (struct object_request){
	        .what = OBJECT_GET, .name = name, .version = version->id, .into = into, .size = size};
	walk->whose[walk->asked++] = reading;
	*bytes += size;
	reading->next++;
	return 0;
}

static int ask_all(struct walk *walk) {
	size_t open = 0, bytes = 0;
	int rc = 0;
	for (size_t i = walk->told; i < walk->count; i++)
		open += !walk->readings[i].is_settled;
	for (size_t i = walk->told; i < walk->count && rc == 0; i++) {
		struct reading *reading = &walk->readings[i];
		const struct super_version *version = NULL;
		for (size_t n = 0; rc == 0 && !reading->is_settled && n < AT_ONCE / open; n++) {
			version = nth_of(reading, reading->next);
			if (!version)
				break;
			rc = ask(walk, reading, version, &bytes);
		}
	}
	return rc < 0 ? rc : 0;
}

static int open_super(const struct walk *walk, struct reading *reading, struct bytes bytes) {
	const struct recovery *recovery = walk->recovery;
	return layout_super_open(
	        recovery->keyring, recovery->vault_id, reading->versions->number, bytes, &reading->super);
}

/* There is more of it than was asked for. */
static int open_all_of(const struct walk *walk, struct reading *reading, const char *name) {
	_cleanup_(freep) uint8_t *data = NULL;
	size_t size = 0;
	int rc = objects_get_all(walk->recovery->objects, name, LAYOUT_SUPER_BYTES_MAX, &data, &size);
	if (rc == -EFBIG)
		return fault(EBADMSG, "%s", fault_message());
	return rc < 0 ? rc : open_super(walk, reading, bytes_of(data, size));
}

/* An error of the place, lest a newer generation were taken for garbage. */
static int judge(const struct walk *walk, const struct object_request *request, struct reading *reading) {
	if (reading->is_settled)
		return 0;
	int rc = request->rc < 0 ? fault(-request->rc, "%s", request->words) : 0;
	if (rc == 0 && !request->version && request->got == request->size)
		rc = open_all_of(walk, reading, request->name);
	else if (rc == 0)
		rc = open_super(walk, reading, bytes_of(request->into, request->got));
	if (rc == 0) {
		reading->is_settled = true;
		reading->rc = 0;
		return 0;
	}
	/* Who may list versions need not have the right to read them. */
	if (rc != -EBADMSG && rc != -ENOENT && !(rc == -EACCES && request->version))
		return rc;
	note(reading, rc == -ENOENT ? -ENOENT : -EBADMSG, fault_message());
	return 0;
}

static int carry_out(struct walk *walk) {
	bool is_theirs = false;
	int rc = objects_do(walk->recovery->objects, walk->requests, walk->asked);
	for (size_t i = 0; i < walk->asked; i++)
		is_theirs = is_theirs || walk->requests[i].rc < 0;
	if (rc < 0 && !is_theirs)
		return rc;
	rc = 0;
	for (size_t i = 0; i < walk->asked && rc == 0; i++)
		rc = judge(walk, &walk->requests[i], walk->whose[i]);
	return rc;
}

static void settle(const struct walk *walk, struct reading *reading) {
	char name[LAYOUT_NAME_BYTES], words[FAULT_MESSAGE_BYTES];
	if (reading->is_settled || nth_of(reading, reading->next))
		return;
	layout_super_name(reading->versions->number, name);
	memcpy(words, reading->words, sizeof words);
	reading->is_settled = true;
	(void)fault(-reading->rc, "object %s of %s%s%s", name, objects_url(walk->recovery->objects),
	        reading->rc == -ENOENT ? " is missing" : ": ", reading->rc == -ENOENT ? "" : words);
	(void)snprintf(reading->words, sizeof reading->words, "%s", fault_message());
}

static int do_round(struct walk *walk) {
	walk->asked = 0;
	int rc = ask_all(walk);
	if (rc == 0 && walk->asked > 0)
		rc = carry_out(walk);
	for (size_t i = 0; i < walk->asked; i++)
		free(walk->requests[i].into);
	for (size_t i = walk->told; i < walk->count && rc == 0; i++)
		settle(walk, &walk->readings[i]);
	return rc;
}

/* ---- the walk ---- */

static void fill(struct walk *walk, size_t width) {
	const SuperList *supers = walk->recovery->supers;
	walk->count = walk->told = 0;
	while (walk->count < width && walk->at < supers->count) {
		const struct super_version *versions = &supers->list[walk->at];
		size_t count = 1;
		while (walk->at + count < supers->count && versions[count].number == versions->number)
			count++;
		if (!walk->is_listed || !versions->id)
			walk->readings[walk->count++] = (struct reading){
			        .versions = versions, .at = walk->at, .count = count, .is_listed = !versions->id};
		walk->at += count;
	}
}

static int tell(struct walk *walk) {
	int rc = 0;
	while (rc == 0 && walk->told < walk->count && walk->readings[walk->told].is_settled) {
		const struct reading *reading = &walk->readings[walk->told++];
		if (!walk->is_listed || reading->is_listed)
			rc = walk->fn(walk->arg, reading);
		walk->is_listed = walk->is_listed || (reading->is_listed && reading->rc == 0);
	}
	return rc;
}

static void forget(struct walk *walk) {
	for (size_t i = 0; i < walk->count; i++)
		layout_super_clear(&walk->readings[i].super);
}

/* From the first that may open. */
static int walk_all(struct recovery *recovery, reading_fn *fn, void *arg) {
	_cleanup_(freep) struct walk *walk = calloc(1, sizeof *walk);
	int rc = 0;
	if (!walk)
		return fault(ENOMEM, "no memory for the superblocks of the backup");
	walk->recovery = recovery;
	walk->fn = fn;
	walk->arg = arg;
	walk->at = recovery->supers->first;
	for (size_t width = 1; rc == 0 && walk->at < recovery->supers->count;
	        width = width < AT_ONCE ? width * 2 : width) {
		fill(walk, width);
		while (rc == 0 && walk->told < walk->count) {
			rc = do_round(walk);
			if (rc == 0)
				rc = tell(walk);
		}
		forget(walk);
	}
	return rc;
}

/* ---- what is asked of it ---- */

static int note_first(void *arg, const struct reading *reading) {
	SuperList *supers = arg;
	if (reading->rc == 0) {
		supers->first = reading->at;
		return 1;
	}
	if (!supers->words[0])
		memcpy(supers->words, reading->words, sizeof supers->words);
	return 0;
}

int recovery_has_super(struct recovery *recovery) {
	SuperList *supers = recovery->supers;
	supers->first = 0;
	supers->words[0] = '\0';
	int rc = supers->count > 0 ? walk_all(recovery, note_first, supers) : 1;
	if (rc == 0)
		(void)fault(EBADMSG, "%s", supers->words);
	return rc;
}

struct telling {
	struct recovery *recovery;
	recovery_super_fn *fn;
	void *arg;
	char words[FAULT_MESSAGE_BYTES]; /* of the newest since the last that opened */
	bool any;
};

static int tell_one(void *arg, const struct reading *reading) {
	struct telling *telling = arg;
	if (reading->rc < 0) {
		if (!telling->words[0])
			memcpy(telling->words, reading->words, sizeof telling->words);
		return 0;
	}
	bool is_first = !telling->any;
	telling->any = true;
	int rc = telling->fn(telling->arg, &reading->super);
	if (telling->words[0] && (is_first || rc == 1))
		recovery_notice(telling->recovery, "%s; it can't be recovered", telling->words);
	telling->words[0] = '\0';
	return rc;
}

int recovery_supers(struct recovery *recovery, recovery_super_fn *fn, void *arg) {
	struct telling telling = {.recovery = recovery, .fn = fn, .arg = arg};
	memcpy(telling.words, recovery->supers->words, sizeof telling.words);
	int rc = walk_all(recovery, tell_one, &telling);
	if (rc != 0 || telling.any)
		return rc;
	return telling.words[0] ? fault(EBADMSG, "%s", telling.words)
	                        : fault(ENOENT,
	                                  "%s has no generation of a backup: the first one was not completed, or its "
	                                  "superblocks were removed",
	                                  recovery->place->url);
}
