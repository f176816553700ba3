#include "backend/objects/s3_internal.h"

#include <stdio.h>
#include <string.h>

/* Where a listing goes on. */
struct position {
	char *next, *next_version;
	char last[S3_KEY_BYTES]; /* the last key that was told; keys only rise */
	bool has_last;
};

static void position_clear(struct position *position) {
	free(position->next);
	free(position->next_version);
}

static void ask(struct s3_call *call, enum s3_listing listing, const char *prefix, const struct position *position) {
	bool has_next = position->next != NULL;
	switch (listing) {
	case S3_OBJECTS:
		s3_call_add_param(call, "list-type", "2");
		if (has_next)
			s3_call_add_param(call, "continuation-token", position->next);
		break;
	case S3_ALL_VERSIONS:
		s3_call_add_param(call, "versions", "");
		if (has_next && position->next_version && position->next_version[0])
			s3_call_add_param(call, "version-id-marker", position->next_version);
		break;
	case S3_UPLOADS:
		s3_call_add_param(call, "uploads", "");
		if (has_next && position->next_version && position->next_version[0])
			s3_call_add_param(call, "upload-id-marker", position->next_version);
		break;
	}
	if (has_next && listing != S3_OBJECTS)
		s3_call_add_param(call, "key-marker", position->next);
	s3_call_add_param(call, "encoding-type", "url");
	s3_call_add_param(call, "prefix", prefix);
}

/* Keys that are no names of ours are somebody else's. */
static const char *name_of(const struct s3 *s3, const char *key) {
	size_t length = strlen(s3->prefix);
	if (strncmp(key, s3->prefix, length) != 0)
		return NULL;
	const char *name = key + length;
	size_t size = strlen(name);
	bool is_name = size > 0 && size <= OBJECT_NAME_MAX && name[0] != '/' && name[size - 1] != '/' &&
	               strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-/") == size && !strstr(name, "//");
	return is_name ? name : NULL;
}

/* A server that repeats itself, or sorts otherwise, would have us take a part for the whole. */
static int check_order(
        struct position *position, enum s3_listing listing, const char *prefix, const struct s3_entry *entry) {
	int order = position->has_last ? strcmp(position->last, entry->key) : -1;
	if (strncmp(entry->key, prefix, strlen(prefix)) != 0 || strlen(entry->key) >= sizeof position->last)
		return fault(EIO, "the server lists what was not asked for");
	if (order > 0 || (order == 0 && listing == S3_OBJECTS))
		return fault(EIO, "the server's listing is not in the order of its names");
	(void)snprintf(position->last, sizeof position->last, "%s", entry->key);
	position->has_last = true;
	return 0;
}

static int tell_page(struct s3 *s3, enum s3_listing listing, const char *prefix, struct position *position,
        const struct s3_page *page, s3_entry_fn *entry, void *arg) {
	for (size_t i = 0; i < page->count; i++) {
		int rc = check_order(position, listing, prefix, &page->entries[i]);
		const char *name = name_of(s3, page->entries[i].key);
		if (rc == 0 && name)
			rc = entry(arg, name, &page->entries[i]);
		if (rc != 0)
			return rc;
	}
	return 0;
}

/* Moves on; a server that goes on where it went on before would never end. */
static int move_on(struct position *position, struct s3_page *page) {
	bool is_same = position->next && strcmp(position->next, page->next) == 0 &&
	               strcmp(position->next_version ? position->next_version : "",
	                       page->next_version ? page->next_version : "") == 0;
	if (is_same)
		return fault(EIO, "the server's listing goes round in circles");
	position_clear(position);
	position->next = steal_pointer(&page->next);
	position->next_version = steal_pointer(&page->next_version);
	return 0;
}

/* One page, which is read whole before anything of it is told, so that the caller may use the place meanwhile. */
static int fetch_page(struct s3 *s3, enum s3_listing listing, const char *prefix, const struct position *position,
        struct s3_page *ret_page) {
	_cleanup_(s3_call_clear) struct s3_call call = {.method = "GET"};
	ask(&call, listing, prefix, position);
	int rc = s3_run_one(s3, &call);
	if (rc == 0)
		rc = s3_page_parse(bytes_of(call.text, call.text_size), ret_page);
	return rc == -EBADMSG ? fault(EIO, "%s", fault_message()) : rc;
}

int s3_walk(struct s3 *s3, enum s3_listing listing, const char *prefix, s3_entry_fn *entry, void *arg) {
	_cleanup_(position_clear) struct position position = {0};
	char key[S3_KEY_BYTES];
	s3_key(s3, prefix, key);
	for (bool goes_on = true; goes_on;) {
		_cleanup_(s3_page_clear) struct s3_page page = {0};
		int rc = fetch_page(s3, listing, key, &position, &page);
		if (rc < 0)
			return fault_while(rc, "listing s3://%s/%s", s3->bucket, key);
		rc = tell_page(s3, listing, key, &position, &page, entry, arg);
		goes_on = page.is_truncated;
		if (rc == 0 && goes_on)
			rc = move_on(&position, &page);
		if (rc != 0)
			return rc;
	}
	return 0;
}
