#include "backend/objects/s3_answers.h"

#include "backend/objects/s3_xml.h"
#include "crypto/base/array.h"
#include "crypto/base/cleanup.h"
#include "crypto/base/fault.h"

#include <stdio.h>
#include <time.h>

#define ENTRIES_MAX 100000 /* of a page; S3 sends 1000 */

/* ---- errors ---- */

static void copy_printable(const char *from, char *ret, size_t room) {
	size_t length = 0;
	for (; *from && length + 1 < room; from++)
		ret[length++] = *from >= ' ' && *from < 0x7f ? *from : '?';
	ret[length] = '\0';
}

struct error_walk {
	struct s3_error *error;
	bool is_error;
};

static int error_element(void *arg, const char *path, const char *text) {
	struct error_walk *walk = arg;
	if (!text) {
		walk->is_error = walk->is_error || strcmp(path, "Error") == 0;
		return walk->is_error ? 0 : -ENOENT;
	}
	if (strcmp(path, "Error/Code") == 0)
		copy_printable(text, walk->error->code, sizeof walk->error->code);
	else if (strcmp(path, "Error/Message") == 0)
		copy_printable(text, walk->error->message, sizeof walk->error->message);
	else if (strcmp(path, "Error/RequestId") == 0)
		copy_printable(text, walk->error->request_id, sizeof walk->error->request_id);
	else if (strcmp(path, "Error/Region") == 0)
		copy_printable(text, walk->error->region, sizeof walk->error->region);
	return 0;
}

int s3_error_parse(struct bytes answer, struct s3_error *ret_error) {
	struct s3_error error = {0};
	struct error_walk walk = {.error = &error};
	int rc = answer.size ? s3_xml_walk(answer, error_element, &walk) : -ENOENT;
	if (rc < 0 || !walk.is_error)
		return -ENOENT;
	*ret_error = error;
	return 0;
}

/* ---- numbers and times ---- */

static bool parse_number(const char *text, uint64_t *ret) {
	uint64_t number = 0;
	if (!*text)
		return false;
	for (; *text; text++) {
		unsigned digit = (unsigned)(*text - '0');
		if (digit > 9 || number > (INT64_MAX - 9) / 10)
			return false;
		number = number * 10 + digit;
	}
	*ret = number;
	return true;
}

bool s3_time_parse(const char *text, int64_t *ret_time_s) {
	struct tm tm = {0};
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	if (!rest)
		return false;
	if (*rest == '.')
		rest += 1 + strspn(rest + 1, "0123456789");
	if (strcmp(rest, "Z") != 0)
		return false;
	*ret_time_s = timegm(&tm);
	return true;
}

static int hex_digit(char c) {
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Undoes encoding-type=url. NULL: no memory, or it is not encoded so. */
static char *decoded(const char *text) {
	char *copy = strdup(text);
	char *to = copy;
	if (!copy)
		return NULL;
	for (; *text; text++) {
		int high = *text == '%' ? hex_digit(text[1]) : 0;
		int low = *text == '%' && high >= 0 ? hex_digit(text[2]) : 0;
		if (high < 0 || low < 0 || (*text == '%' && high == 0 && low == 0)) {
			free(copy);
			return NULL;
		}
		if (*text == '%') {
			*to++ = (char)(high << 4 | low);
			text += 2;
		} else {
			*to++ = *text == '+' ? ' ' : *text;
		}
	}
	*to = '\0';
	return copy;
}

/* ---- pages ---- */

void s3_page_clear(struct s3_page *page) {
	for (size_t i = 0; i < page->count; i++) {
		free(page->entries[i].key);
		free(page->entries[i].version);
	}
	free(page->entries);
	free(page->next);
	free(page->next_version);
	*page = (struct s3_page){0};
}

static int bad(const char *path) {
	return fault(EBADMSG, "the answer's %s is not as S3 writes it", path);
}

static int begin_entry(struct s3_page *page) {
	if (page->count >= ENTRIES_MAX)
		return fault(EBADMSG, "the answer lists too many at once");
	struct s3_entry *entries = array_room(page->entries, &page->room, page->count + 1, sizeof *entries);
	if (!entries)
		return fault(ENOMEM, "no memory for a listing");
	page->entries = entries;
	page->entries[page->count++] = (struct s3_entry){0};
	return 0;
}

/* Takes `copy`, NULL when it could not be made. */
static int set_text(char **slot, char *copy, const char *path) {
	if (!copy || *slot) {
		free(copy);
		return bad(path);
	}
	*slot = copy;
	return 0;
}

static bool parse_flag(const char *text, bool *ret) {
	*ret = strcmp(text, "true") == 0;
	return *ret || strcmp(text, "false") == 0;
}

/* A field of the entry that was begun last. */
static int entry_field(struct s3_entry *entry, const char *path, const char *field, const char *text) {
	bool is_good = true;
	if (strcmp(field, "Key") == 0)
		return set_text(&entry->key, decoded(text), path);
	if (strcmp(field, "VersionId") == 0 || strcmp(field, "UploadId") == 0)
		return set_text(&entry->version, strdup(text), path);
	if (strcmp(field, "Size") == 0)
		is_good = parse_number(text, &entry->size);
	else if (strcmp(field, "LastModified") == 0 || strcmp(field, "Initiated") == 0)
		is_good = s3_time_parse(text, &entry->modified_s);
	else if (strcmp(field, "IsLatest") == 0)
		is_good = parse_flag(text, &entry->is_latest);
	return is_good ? 0 : bad(path);
}

struct page_walk {
	struct s3_page page;
	bool says_whether_last;
};

static int page_field(struct page_walk *walk, const char *path, const char *field, const char *text) {
	struct s3_page *page = &walk->page;
	if (strcmp(field, "IsTruncated") == 0) {
		walk->says_whether_last = true;
		return parse_flag(text, &page->is_truncated) ? 0 : bad(path);
	}
	if (strcmp(field, "NextContinuationToken") == 0)
		return set_text(&page->next, strdup(text), path);
	if (strcmp(field, "NextKeyMarker") == 0)
		return set_text(&page->next, decoded(text), path);
	if (strcmp(field, "NextVersionIdMarker") == 0 || strcmp(field, "NextUploadIdMarker") == 0)
		return set_text(&page->next_version, strdup(text), path);
	return 0;
}

static void page_walk_clear(struct page_walk *walk) {
	s3_page_clear(&walk->page);
}

/* Whether the path goes on after the name of one of the listings; what follows in *ret_rest, "" at the root. */
static bool below_listing(const char *path, const char **ret_rest) {
	static const char *const roots[] = {"ListBucketResult", "ListVersionsResult", "ListMultipartUploadsResult"};
	for (size_t i = 0; i < sizeof roots / sizeof roots[0]; i++) {
		size_t length = strlen(roots[i]);
		if (strncmp(path, roots[i], length) == 0 && (path[length] == '/' || path[length] == '\0')) {
			*ret_rest = path + length + (path[length] == '/');
			return true;
		}
	}
	return false;
}

static int page_element(void *arg, const char *path, const char *text) {
	static const char *const kinds[] = {"Contents", "Version", "DeleteMarker", "Upload"};
	struct page_walk *walk = arg;
	struct s3_page *page = &walk->page;
	const char *rest = NULL;
	if (!below_listing(path, &rest))
		return fault(EBADMSG, "the answer is no listing");
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		size_t length = strlen(kinds[i]);
		if (strncmp(rest, kinds[i], length) != 0 || (rest[length] != '\0' && rest[length] != '/'))
			continue;
		if (rest[length] == '\0' && !text) {
			int rc = begin_entry(page);
			if (rc == 0)
				page->entries[page->count - 1].is_removed = i == 2;
			return rc;
		}
		if (rest[length] == '/' && text)
			return entry_field(&page->entries[page->count - 1], path, rest + length + 1, text);
		return 0;
	}
	return text ? page_field(walk, path, rest, text) : 0;
}

int s3_page_parse(struct bytes answer, struct s3_page *ret_page) {
	_cleanup_(page_walk_clear) struct page_walk walk = {0};
	int rc = s3_xml_walk(answer, page_element, &walk);
	for (size_t i = 0; rc == 0 && i < walk.page.count; i++) {
		struct s3_entry *entry = &walk.page.entries[i];
		if (!entry->key)
			rc = fault(EBADMSG, "the answer lists something without a name");
		else if (!entry->version && !(entry->version = strdup("")))
			rc = fault(ENOMEM, "no memory for a listing");
	}
	if (rc == 0 && !walk.says_whether_last)
		rc = fault(EBADMSG, "the listing does not say whether it is whole");
	if (rc == 0 && walk.page.is_truncated && (!walk.page.next || !walk.page.next[0]))
		rc = fault(EBADMSG, "the listing is cut, and does not say where it goes on");
	if (rc < 0)
		return rc;
	*ret_page = walk.page;
	walk.page = (struct s3_page){0};
	return 0;
}

/* ---- one text ---- */

struct text_walk {
	const char *path;
	char *text;
	size_t room;
};

static int text_element(void *arg, const char *path, const char *text) {
	struct text_walk *walk = arg;
	if (text && strcmp(path, walk->path) == 0 && strlen(text) < walk->room)
		memcpy(walk->text, text, strlen(text) + 1);
	return 0;
}

int s3_text_parse(struct bytes answer, const char *path, char *ret_text, size_t room) {
	struct text_walk walk = {.path = path, .text = ret_text, .room = room};
	ret_text[0] = '\0';
	return s3_xml_walk(answer, text_element, &walk);
}
