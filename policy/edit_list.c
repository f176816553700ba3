#include "policy/edit_list.h"

#include "crypto/base/array.h"
#include "crypto/base/fault.h"
#include "policy/leb.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { FLAG_BITS = 2, FLAGS = 3, DIALECT_BYTES = 3 };

struct EditList {
	struct edit_dialect dialect;
	uint8_t *packed;
	size_t used, room;
	uint64_t count, end;
};

static int no_memory(void) {
	return fault(ENOMEM, "no memory for the places that are changed");
}

static int make_room(EditList *list, size_t more) {
	uint8_t *packed = array_room(list->packed, &list->room, list->used + more, 1);
	if (!packed)
		return no_memory();
	list->packed = packed;
	return 0;
}

static void put_dialect(EditList *list, const struct edit_dialect *dialect) {
	list->dialect = *dialect;
	list->packed[0] = (uint8_t)dialect->form;
	list->packed[1] = (uint8_t)dialect->quote;
	list->packed[2] = (uint8_t)dialect->escape;
	list->used = DIALECT_BYTES;
}

int edit_list_new(const struct edit_dialect *dialect, EditList **ret_list) {
	_cleanup_(edit_list_freep) EditList *list = calloc(1, sizeof *list);
	if (!list)
		return no_memory();
	int rc = make_room(list, DIALECT_BYTES);
	if (rc < 0)
		return rc;
	put_dialect(list, dialect);
	*ret_list = steal_pointer(&list);
	return 0;
}

void edit_list_free(EditList *list) {
	if (!list)
		return;
	free(list->packed);
	free(list);
}

int edit_list_add(EditList *list, const struct edit *edit) {
	if (edit->offset < list->end || edit->length == 0 || edit->offset + edit->length < edit->offset)
		return fault(EINVAL, "a place that is changed does not come behind the one before");
	if (!(edit->flags & EDIT_WHOLE) && edit->length > EDIT_LENGTH_MAX)
		return fault(E2BIG, "a text of %" PRIu64 " bytes is to be changed, and %u are the most", edit->length,
		        EDIT_LENGTH_MAX);
	int rc = make_room(list, 3 * LEB_BYTES_MAX);
	if (rc < 0)
		return rc;
	uint8_t *packed = list->packed;
	size_t used = list->used;
	used += leb_put(packed + used, edit->offset - list->end);
	used += leb_put(packed + used, edit->length);
	used += leb_put(packed + used, (uint64_t)edit->finding << FLAG_BITS | edit->flags);
	if (used > EDIT_LIST_BYTES_MAX)
		return fault(E2BIG, "so much is to be changed that the list of it would be larger than %u MiB",
		        EDIT_LIST_BYTES_MAX >> 20);
	list->used = used;
	list->end = edit->offset + edit->length;
	list->count++;
	return 0;
}

const struct edit_dialect *edit_list_dialect(const EditList *list) {
	return &list->dialect;
}

uint64_t edit_list_count(const EditList *list) {
	return list->count;
}

struct bytes edit_list_packed(const EditList *list) {
	return bytes_of(list->packed, list->used);
}

/* One place, as a worker says it; `end` is the last one's. */
static bool read_edit(struct bytes packed, size_t *at, uint64_t end, struct edit *ret_edit) {
	uint64_t gap, length, what;
	if (!leb_get(packed, at, &gap) || !leb_get(packed, at, &length) || !leb_get(packed, at, &what))
		return false;
	*ret_edit = (struct edit){.offset = end + gap,
	        .length = length,
	        .finding = (size_t)(what >> FLAG_BITS),
	        .flags = (unsigned)(what & FLAGS)};
	return ret_edit->offset >= end;
}

static bool is_sound(const struct edit *edit, uint64_t size, size_t findings) {
	bool is_inside = edit->offset <= size && edit->length <= size - edit->offset;
	bool is_short = edit->length <= EDIT_LENGTH_MAX || edit->flags & EDIT_WHOLE;
	return is_inside && is_short && edit->length > 0 && edit->finding < findings && edit->flags != FLAGS;
}

/* Quotes and escapes are such as a table can have. */
static bool read_dialect(struct bytes packed, struct edit_dialect *ret_dialect) {
	if (packed.size < DIALECT_BYTES || packed.size > EDIT_LIST_BYTES_MAX || packed.data[0] > EDIT_JSON)
		return false;
	*ret_dialect = (struct edit_dialect){
	        .form = (enum edit_form)packed.data[0], .quote = (char)packed.data[1], .escape = (char)packed.data[2]};
	char quote = ret_dialect->quote, escape = ret_dialect->escape;
	bool is_quote = quote == 0 || quote == '"' || quote == '\'';
	bool is_escape = escape == 0 || (ispunct((unsigned char)escape) && escape != quote && !strchr(",;|", escape));
	return is_quote && is_escape && (ret_dialect->form == EDIT_CSV || (quote == 0 && escape == 0));
}

int edit_list_parse(struct bytes packed, uint64_t size, size_t findings, EditList **ret_list) {
	static const char what[] = "the list of the places that are changed";
	_cleanup_(edit_list_freep) EditList *list = NULL;
	struct edit_dialect dialect;
	struct edit edit;
	if (!read_dialect(packed, &dialect))
		return fault(EBADMSG, "%s is too long, or its first bytes are not such as a list has", what);
	int rc = edit_list_new(&dialect, &list);
	if (rc < 0)
		return rc;
	for (size_t at = DIALECT_BYTES; at < packed.size; list->count++) {
		if (!read_edit(packed, &at, list->end, &edit) || !is_sound(&edit, size, findings))
			return fault(EBADMSG,
			        "%s: place %" PRIu64 " is none of the file's, or not behind the one before", what,
			        list->count + 1);
		list->end = edit.offset + edit.length;
	}
	if ((rc = make_room(list, packed.size)) < 0)
		return rc;
	memcpy(list->packed, packed.data, packed.size);
	list->used = packed.size;
	*ret_list = steal_pointer(&list);
	return 0;
}

bool edit_list_next(const EditList *list, struct edit_cursor *cursor, struct edit *ret_edit) {
	size_t at = cursor->next ? cursor->next : DIALECT_BYTES;
	if (at >= list->used || !read_edit(edit_list_packed(list), &at, cursor->end, ret_edit))
		return false;
	*cursor = (struct edit_cursor){.next = at, .end = ret_edit->offset + ret_edit->length};
	return true;
}
