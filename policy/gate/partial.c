/* partial: the rows that are withheld, as a CSV that a person can open, mend and bring again. */
#include "policy/gate/internal.h"

#include "crypto/base/fault.h"
#include "crypto/digest.h"
#include "crypto/secret.h"
#include "policy/table/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of one rule, and of all that a row breaks: a million rows must not be a million long texts. */
enum { RULE_BYTES = 200, RULES_BYTES = 1000 };

struct partial {
	const struct judgement *j;
	const RowList *rows;
	Content *source, *to;
	char delimiter, quote;
	const char *newline;
	bool is_one_cell; /* a row stands whole in one cell */
	char **rules;     /* quotes in them doubled */
	size_t rule_count;

	uint8_t *out; /* what is to be written next */
	size_t out_size;
	uint64_t written;
	struct sha256 sha256;

	uint8_t *in; /* a window on the source */
	uint64_t in_offset;
	size_t in_size;

	size_t rules_size; /* of the row's rules, so far */
	size_t rules_left_out;
};

/* ---- writing ---- */

static int flush(struct partial *p) {
	int rc = content_write(p->to, p->written, bytes_of(p->out, p->out_size));
	sha256_update(&p->sha256, bytes_of(p->out, p->out_size));
	p->written += p->out_size;
	p->out_size = 0;
	return rc;
}

static int put(struct partial *p, const void *data, size_t size) {
	const uint8_t *from = data;
	int rc = 0;
	while (rc >= 0 && size > 0) {
		size_t room = GATE_CHUNK_BYTES - p->out_size, take = size < room ? size : room;
		memcpy(p->out + p->out_size, from, take);
		p->out_size += take;
		from += take;
		size -= take;
		if (p->out_size == GATE_CHUNK_BYTES)
			rc = flush(p);
	}
	return rc;
}

static int put_text(struct partial *p, const char *text) {
	return put(p, text, strlen(text));
}

static int put_doubled(struct partial *p, const uint8_t *data, size_t size) {
	int rc = 0;
	while (rc >= 0 && size > 0) {
		const uint8_t *quote = memchr(data, p->quote, size);
		size_t take = quote ? (size_t)(quote - data) + 1 : size;
		rc = put(p, data, take);
		if (rc >= 0 && quote)
			rc = put(p, &p->quote, 1);
		data += take;
		size -= take;
	}
	return rc;
}

/* ---- reading ---- */

/* The source's bytes from `offset` on, at least one; more of them than a window holds come with the next call. */
static int look_at(struct partial *p, uint64_t offset, const uint8_t **ret_bytes, size_t *ret_size) {
	if (offset < p->in_offset || offset >= p->in_offset + p->in_size) {
		int rc = p->j->watch ? gate_watch_look(p->j->watch) : 0;
		p->in_size = 0;
		p->in_offset = offset;
		if (rc >= 0)
			rc = content_read(p->source, offset, p->in, GATE_CHUNK_BYTES, &p->in_size);
		if (rc >= 0 && p->in_size == 0)
			rc = fault(EBADMSG, "a row that is withheld lies behind the file's end");
		if (rc < 0)
			return rc;
	}
	*ret_bytes = p->in + (offset - p->in_offset);
	*ret_size = p->in_size - (size_t)(offset - p->in_offset);
	return 0;
}

/* How much of the row is its newline: 0, 1 or 2 bytes. */
static int measure_newline(struct partial *p, const struct listed_row *row, uint64_t *ret_size) {
	const uint8_t *bytes;
	size_t size;
	*ret_size = 0;
	for (uint64_t back = 1; back <= 2 && back <= row->length; back++) {
		int rc = look_at(p, row->offset + row->length - back, &bytes, &size);
		if (rc < 0)
			return rc;
		if (*bytes != '\r' && (*bytes != '\n' || back == 2))
			break;
		*ret_size = back;
		if (*bytes == '\r')
			break;
	}
	return 0;
}

static int copy_range(struct partial *p, uint64_t offset, uint64_t length, bool doubles) {
	const uint8_t *bytes;
	size_t size;
	int rc = 0;
	while (rc >= 0 && length > 0) {
		rc = look_at(p, offset, &bytes, &size);
		if (rc < 0)
			return rc;
		size = size < length ? size : (size_t)length;
		rc = doubles ? put_doubled(p, bytes, size) : put(p, bytes, size);
		offset += size;
		length -= size;
	}
	return rc;
}

/* ---- rows ---- */

/* "; " between them; what would be longer is counted. */
static int put_rule(void *arg, size_t rule) {
	struct partial *p = arg;
	size_t size = strlen(p->rules[rule]);
	if (p->rules_left_out > 0 || p->rules_size + size + 2 > RULES_BYTES) {
		p->rules_left_out++;
		return 0;
	}
	int rc = p->rules_size > 0 ? put_text(p, "; ") : 0;
	p->rules_size += size + 2;
	return rc < 0 ? rc : put(p, p->rules[rule], size);
}

static int put_rules(struct partial *p, const struct listed_row *row) {
	char more[64] = "";
	p->rules_size = p->rules_left_out = 0;
	int rc = put(p, &p->quote, 1);
	if (rc >= 0)
		rc = row_list_rules(p->rows, row, put_rule, p);
	if (rc >= 0 && p->rules_left_out > 0)
		snprintf(more, sizeof more, "; and %zu more", p->rules_left_out);
	if (rc >= 0)
		rc = put_text(p, more);
	return rc < 0 ? rc : put(p, &p->quote, 1);
}

/* A row that is one cell is quoted, unless it is already; every other stands as in the file. */
static int put_cells(struct partial *p, const struct listed_row *row, uint64_t size) {
	const uint8_t *first = NULL;
	size_t some;
	int rc = size > 0 ? look_at(p, row->offset, &first, &some) : 0;
	bool quotes = rc >= 0 && p->is_one_cell && !(first && *first == (uint8_t)p->quote);
	if (rc >= 0 && quotes)
		rc = put(p, &p->quote, 1);
	if (rc >= 0)
		rc = copy_range(p, row->offset, size, quotes);
	return rc < 0 || !quotes ? rc : put(p, &p->quote, 1);
}

static int put_row(struct partial *p, const struct listed_row *row) {
	char line[32];
	uint64_t newline;
	snprintf(line, sizeof line, "%" PRIu64 "%c", row->line, p->delimiter);
	int rc = put_text(p, line);
	if (rc >= 0)
		rc = put_rules(p, row);
	if (rc >= 0)
		rc = put(p, &p->delimiter, 1);
	if (rc >= 0)
		rc = measure_newline(p, row, &newline);
	if (rc >= 0)
		rc = put_cells(p, row, row->length - newline);
	return rc < 0 ? rc : put_text(p, p->newline);
}

/* The columns' names are the file's own, where it has any. */
static int put_names(struct partial *p) {
	const struct csv_dialect *dialect = row_list_dialect(p->rows);
	char name[64];
	snprintf(name, sizeof name, "line%crules", p->delimiter);
	int rc = put_text(p, name);
	if (rc >= 0 && dialect->header) {
		uint64_t mark = dialect->bom ? 3 : 0, newline = 0;
		struct listed_row names = {.offset = mark, .length = row_list_header(p->rows) - mark};
		rc = put(p, &p->delimiter, 1);
		if (rc >= 0)
			rc = measure_newline(p, &names, &newline);
		if (rc >= 0)
			rc = put_cells(p, &names, names.length - newline);
	} else if (dialect->delimiter == 0) {
		snprintf(name, sizeof name, "%crow", p->delimiter);
		rc = rc < 0 ? rc : put_text(p, name);
	} else {
		for (uint64_t i = 0; rc >= 0 && i < p->j->checked.result->columns; i++) {
			snprintf(name, sizeof name, "%ccol%" PRIu64, p->delimiter, i);
			rc = put_text(p, name);
		}
	}
	return rc < 0 ? rc : put_text(p, p->newline);
}

static int put_all(struct partial *p) {
	struct row_cursor cursor = {0};
	struct listed_row row;
	int rc = put_names(p);
	while (rc >= 0 && row_list_next(p->rows, &cursor, &row))
		rc = row.rule_count > 0 ? put_row(p, &row) : 0; /* what breaks none is left out, not held */
	return rc < 0 || p->out_size == 0 ? rc : flush(p);
}

/* ---- making ready ---- */

/* One line, cut at a character, its quotes doubled. */
static char *rule_cell(const char *text, char quote) {
	size_t size = strlen(text), cut = size < RULE_BYTES ? size : utf8_valid_prefix(text, RULE_BYTES);
	char *cell = calloc(1, 2 * cut + sizeof "…"), *to = cell;
	if (!cell)
		return NULL;
	for (size_t i = 0; i < cut; i++) {
		unsigned char byte = (unsigned char)text[i];
		*to++ = byte < ' ' || byte == 0x7f ? ' ' : text[i];
		if (text[i] == quote)
			*to++ = quote;
	}
	if (cut < size)
		strcpy(to, "…");
	return cell;
}

/* Rules first, then what of personal data is refused. */
static char *reason_cell(const struct check_result *result, size_t i, char quote) {
	if (i < result->rule_count)
		return rule_cell(result->rules[i].text, quote);
	_cleanup_(freep) char *text = check_finding_text(&result->privacy.findings[i - result->rule_count]);
	return text ? rule_cell(text, quote) : NULL;
}

static int take_rules(struct partial *p) {
	const struct check_result *result = p->j->checked.result;
	size_t count = check_result_reasons(result);
	p->rules = calloc(count + 1, sizeof *p->rules);
	for (; p->rules && p->rule_count < count; p->rule_count++)
		if (!(p->rules[p->rule_count] = reason_cell(result, p->rule_count, p->quote)))
			break;
	p->in = malloc(GATE_CHUNK_BYTES);
	p->out = malloc(GATE_CHUNK_BYTES);
	bool is_whole = p->rules && p->rule_count == count && p->in && p->out;
	return is_whole ? 0 : fault(ENOMEM, "writing the rows that did not pass");
}

static void release(struct partial *p) {
	for (size_t i = 0; i < p->rule_count; i++)
		free(p->rules[i]);
	free(p->rules);
	secret_heap_free(p->in);
	secret_heap_free(p->out);
	content_close(p->source);
	content_close(p->to);
}

/* A node without a name, its owner who brought the file. */
static int make_node(Gate *gate, uint64_t source, uint64_t *ret_node) {
	Meta *m = store_meta(gate->store);
	struct node node, like;
	meta_begin(m);
	int rc = tree_get(m, source, &like);
	struct node attributes = {.zone = ZONE_STAGING, .mode = S_IFREG | 0400, .uid = like.uid, .gid = like.gid};
	if (rc >= 0)
		rc = tree_create_orphan(m, &attributes, &node);
	rc = meta_end(m, rc);
	if (rc >= 0)
		*ret_node = node.id;
	return rc;
}

/* A draft that was given up leaves no node behind. */
static void forget(Gate *gate, uint64_t node) {
	Meta *m = store_meta(gate->store);
	meta_begin(m);
	(void)meta_end(m, tree_forget(m, node));
}

static int open_both(Gate *gate, uint64_t node, uint64_t version, uint64_t to, struct partial *p) {
	int rc = content_open(gate->store, node, version, &p->source);
	if (rc >= 0)
		rc = content_open(gate->store, to, 0, &p->to);
	if (rc >= 0)
		rc = gate_key_content(gate, p->to, p->j->below);
	return rc < 0 ? rc : content_touch(p->to);
}

int partial_write(Gate *gate, const struct judgement *j, uint64_t node, uint64_t version, const RowList *rows,
        Content **ret_partial, struct verdict_content *ret_content) {
	static const char *const newlines[] = {
	        [CSV_NEWLINE_LF] = "\n", [CSV_NEWLINE_CRLF] = "\r\n", [CSV_NEWLINE_CR] = "\r"};
	const struct csv_dialect *dialect = row_list_dialect(rows);
	struct partial p = {.j = j,
	        .rows = rows,
	        .delimiter = dialect->delimiter ? dialect->delimiter : ',',
	        .quote = dialect->quote,
	        .newline = newlines[dialect->newline],
	        .is_one_cell = dialect->delimiter == 0};
	uint64_t to = 0;
	sha256_init(&p.sha256);
	int rc = take_rules(&p);
	if (rc >= 0)
		rc = make_node(gate, node, &to);
	if (rc >= 0)
		rc = open_both(gate, node, version, to, &p);
	if (rc >= 0)
		rc = put_all(&p);
	if (rc >= 0) {
		*ret_partial = steal_pointer(&p.to);
		ret_content->size = p.written;
		sha256_final(&p.sha256, ret_content->sha256);
	}
	release(&p);
	if (rc < 0 && to != 0)
		forget(gate, to);
	return fault_while(rc, "writing the rows that did not pass");
}
