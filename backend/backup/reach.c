#include "backend/backup/reach.h"

#include "backend/tree.h"
#include "backend/version.h"
#include "crypto/base/array.h"
#include "crypto/base/bits.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is looked at in one operation. */
#define NAMES_AT_ONCE 1000
#define FILES_AT_ONCE 100
#define PAGES_AT_ONCE 200

struct listed {
	uint64_t node;
	uint64_t cookie; /* up to which its names are known */
	bool is_first;   /* only names that begin as the prefix ends */
};

struct Reach {
	uint32_t zones;
	char *prefix;
	size_t directory; /* bytes of it that name a directory, without the slash */
	const char *rest;
	bool all; /* the directory was borne by too many to look at each */
	struct listed *listed;
	size_t listed_count, listed_room;
	uint64_t *files;
	size_t file_count, file_room;
	struct bits firsts, directories, known; /* nodes: listed by their first letters; as a whole; files */
	struct bits done, segments;             /* sealed versions whose maps were read; numbers of segments */
	uint64_t moves;
	/* Versions of some files. */
	uint64_t *versions;
	size_t version_count, version_room;
	size_t drafts; /* that many of them, at the end, are drafts */
};

/* ---- prefixes ---- */

static bool is_zone_of_all(const char *prefix) {
	const char *slash = strchr(prefix, '/');
	return slash && zone_of_path(prefix) != ZONE_NONE;
}

int reach_check(const char *prefix) {
	size_t size = strlen(prefix);
	if (is_zone_of_all(prefix))
		return fault(EINVAL,
		        "a prefix is of paths below their zone: '%.200s' would be --zone %.*s --prefix '%.200s'",
		        prefix, (int)strcspn(prefix, "/"), prefix, strchr(prefix, '/') + 1);
	if (size >= TREE_PATH_MAX - sizeof "Landing/")
		return fault(EINVAL, "the prefix is longer than a path can be");
	for (const char *at = prefix; at; at = strchr(at, '/') ? strchr(at, '/') + 1 : NULL) {
		size_t length = strcspn(at, "/");
		bool is_last = at[length] == '\0';
		if ((length == 0 && !is_last) || (length == 1 && at[0] == '.' && !is_last) ||
		        (length == 2 && at[0] == '.' && at[1] == '.'))
			return fault(EINVAL,
			        "no path below a zone begins with '%.200s': 'reports/' takes all in that folder, "
			        "'reports/2024' also 'reports/2024.csv'",
			        prefix);
		if (length > TREE_NAME_MAX)
			return fault(EINVAL, "the prefix has a name of more than %d bytes", TREE_NAME_MAX);
	}
	return 0;
}

bool reach_takes(const char *prefix, const char *path) {
	const char *slash = strchr(path, '/');
	return strncmp(slash ? slash + 1 : "", prefix, strlen(prefix)) == 0;
}

int reach_new(uint32_t zones, const char *prefix, Reach **ret_reach) {
	_cleanup_(reach_freep) Reach *reach = calloc(1, sizeof *reach);
	if (reach)
		reach->prefix = strdup(prefix);
	if (!reach || !reach->prefix)
		return fault(ENOMEM, "no memory for a rule by prefix");
	const char *slash = strrchr(reach->prefix, '/');
	reach->directory = slash ? (size_t)(slash - reach->prefix) : 0;
	reach->rest = slash ? slash + 1 : reach->prefix;
	reach->zones = zones;
	*ret_reach = steal_pointer(&reach);
	return 0;
}

void reach_free(Reach *reach) {
	if (!reach)
		return;
	free(reach->prefix);
	free(reach->listed);
	free(reach->files);
	free(reach->versions);
	bits_clear(&reach->firsts);
	bits_clear(&reach->directories);
	bits_clear(&reach->known);
	bits_clear(&reach->done);
	bits_clear(&reach->segments);
	free(reach);
}

/* ---- names ---- */

static int add_directory(Reach *reach, uint64_t node, bool is_first) {
	int rc = bits_add(is_first ? &reach->firsts : &reach->directories, node);
	if (rc != 0)
		return rc < 0 ? rc : 0;
	void *grown = array_room(reach->listed, &reach->listed_room, reach->listed_count + 1, sizeof *reach->listed);
	if (!grown)
		return fault(ENOMEM, "no memory for the directories of a rule by prefix");
	reach->listed = grown;
	reach->listed[reach->listed_count++] = (struct listed){.node = node, .is_first = is_first};
	return 0;
}

static int add_file(Reach *reach, uint64_t node) {
	int rc = bits_add(&reach->known, node);
	if (rc != 0)
		return rc < 0 ? rc : 0;
	void *grown = array_room(reach->files, &reach->file_room, reach->file_count + 1, sizeof *reach->files);
	if (!grown)
		return fault(ENOMEM, "no memory for the files of a rule by prefix");
	reach->files = grown;
	reach->files[reach->file_count++] = node;
	return 0;
}

static int take_first(void *arg, uint64_t node) {
	Reach *reach = arg;
	return add_directory(reach, node, *reach->rest != '\0');
}

/* Directories that bear the prefix's path, or bore it: new ones may come at any time. */
static int find_firsts(Reach *reach, Meta *m) {
	int rc = 0;
	for (enum zone zone = ZONE_LANDING; zone <= ZONE_TRUSTED && rc == 0; zone++) {
		char path[TREE_PATH_MAX];
		if (!(reach->zones & 1u << zone))
			continue;
		(void)snprintf(path, sizeof path, "%s%s%.*s", zone_name(zone), reach->directory ? "/" : "",
		        (int)reach->directory, reach->prefix);
		meta_begin(m);
		rc = meta_end(m, tree_each_past(m, bytes_of_string(path), take_first, reach));
	}
	/* Who renames a directory that often shall not keep anything from being backed up. */
	reach->all = reach->all || rc == -E2BIG;
	return rc == -E2BIG ? 0 : rc;
}

struct listing {
	Reach *reach;
	size_t at;
};

static int take_name(void *arg, struct bytes name, uint64_t cookie, uint64_t node, uint32_t mode) {
	const struct listing *listing = arg;
	Reach *reach = listing->reach;
	struct listed *listed = &reach->listed[listing->at];
	size_t length = strlen(reach->rest);
	listed->cookie = cookie;
	if (listed->is_first && (name.size < length || memcmp(name.data, reach->rest, length) != 0))
		return 0;
	if (S_ISDIR(mode))
		return add_directory(reach, node, false);
	return S_ISREG(mode) ? add_file(reach, node) : 0;
}

/* Directories that are found are listed in their turn. */
static int list_all(Reach *reach, Meta *m) {
	int rc = 0;
	for (struct listing listing = {.reach = reach}; listing.at < reach->listed_count && rc == 0; listing.at++) {
		size_t count = NAMES_AT_ONCE;
		while (count == NAMES_AT_ONCE && rc == 0) {
			struct listed from = reach->listed[listing.at];
			meta_begin(m);
			rc = meta_end(m,
			        tree_list_ever(m, from.node, from.cookie, NAMES_AT_ONCE, take_name, &listing, &count));
		}
	}
	return rc;
}

/* ---- versions ---- */

static int add_version(void *arg, const struct version *version) {
	Reach *reach = arg;
	if (version->state == VERSION_ERASED || bits_has(&reach->done, version->id))
		return 0;
	void *grown =
	        array_room(reach->versions, &reach->version_room, reach->version_count + 1, sizeof *reach->versions);
	if (!grown)
		return fault(ENOMEM, "no memory for the versions of a rule by prefix");
	reach->versions = grown;
	reach->versions[reach->version_count++] = version->id;
	return 0;
}

/* Those of some files that were not read yet; drafts behind them. */
static int gather(Reach *reach, Meta *m, size_t at, size_t end) {
	int rc = 0;
	reach->version_count = reach->drafts = 0;
	meta_begin(m);
	for (size_t i = at; i < end && rc == 0; i++)
		rc = version_list(m, reach->files[i], add_version, reach);
	for (size_t i = at; i < end && rc == 0; i++) {
		struct version draft;
		rc = version_draft_of(m, reach->files[i], &draft);
		if (rc == 0)
			rc = add_version(reach, &draft);
		reach->drafts += rc == 0;
		rc = rc == -ENOENT ? 0 : rc;
	}
	return meta_end(m, rc);
}

static int take_segment(void *arg, uint32_t segment) {
	Reach *reach = arg;
	int rc = bits_add(&reach->segments, segment);
	return rc < 0 ? rc : 0;
}

/* A part of a large one in one operation. */
static int read_map(Reach *reach, Meta *m, uint64_t version) {
	uint64_t page = 0;
	int rc = 0;
	while (rc == 0) {
		meta_begin(m);
		rc = version_some_segments(m, version, &page, PAGES_AT_ONCE, take_segment, reach);
		int ended = meta_end(m, rc == -ENXIO ? 0 : rc);
		rc = rc == -ENXIO && ended == 0 ? rc : ended;
	}
	return rc == -ENXIO ? 0 : rc;
}

static int read_maps(Reach *reach, Meta *m) {
	int rc = 0;
	for (size_t i = 0; i < reach->version_count && rc == 0; i++) {
		rc = read_map(reach, m, reach->versions[i]);
		if (rc == 0 && i < reach->version_count - reach->drafts)
			rc = bits_add(&reach->done, reach->versions[i]);
	}
	return rc;
}

static int look_at_files(Reach *reach, Meta *m) {
	int rc = 0;
	for (size_t at = 0; at < reach->file_count && rc == 0; at += FILES_AT_ONCE) {
		size_t end = at + FILES_AT_ONCE < reach->file_count ? at + FILES_AT_ONCE : reach->file_count;
		rc = gather(reach, m, at, end);
		if (rc == 0)
			rc = read_maps(reach, m);
	}
	return rc;
}

/* ---- all of it ---- */

int reach_look(Reach *reach, Store *store) {
	Meta *m = store_meta(store);
	uint64_t moves = version_map_moves(m);
	if (moves != reach->moves) {
		bits_clear(&reach->done);
		bits_clear(&reach->segments);
	}
	reach->moves = moves;
	int rc = find_firsts(reach, m);
	if (rc == 0)
		rc = list_all(reach, m);
	if (rc == 0)
		rc = look_at_files(reach, m);
	return fault_while(rc, "looking for what is below the prefix");
}

bool reach_takes_row(const Reach *reach, const struct segment_row *row) {
	return row->zone == ZONE_STAGING || reach_has(reach, row->number);
}

const struct bits *reach_files(const Reach *reach) {
	return &reach->known;
}

bool reach_has(const Reach *reach, uint32_t segment) {
	return reach->all || bits_has(&reach->segments, segment);
}
