#include "policy/yaml_tree.h"

#include "crypto/base/fault.h"
#include "policy/table/utf8.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

/* A map is checked for doubled keys pair by pair; this keeps that cheap. */
#define MAP_KEYS_MAX 512

/* A node while its parts are still coming in. */
struct growing {
	struct yaml_tree_node node;
	const struct yaml_tree_node **keys, **values;
	size_t room;
	struct growing *next; /* all nodes of the tree, for freeing */
};

struct YamlTree {
	struct growing *nodes;
	size_t node_count;
	const struct yaml_tree_node *root;
};

struct reader {
	YamlTree *tree;
	yaml_parser_t parser;
	const char *name;
};

static int check_text(const char *name, struct bytes text) {
	if (text.size > YAML_TREE_BYTES_MAX)
		return fault(EINVAL, "%s:1:1: the file has more than %u bytes; a policy is a short text", name,
		        YAML_TREE_BYTES_MAX);
	if (text.size >= 2 &&
	        ((text.data[0] == 0xff && text.data[1] == 0xfe) || (text.data[0] == 0xfe && text.data[1] == 0xff)))
		return fault(EINVAL, "%s:1:1: the file is UTF-16; save it as UTF-8", name);
	size_t wrong = utf8_valid_prefix((const char *)text.data, text.size);
	if (wrong == text.size)
		return 0;
	unsigned line = 1, column = 1;
	for (size_t i = 0; i < wrong; i++) {
		column = text.data[i] == '\n' ? 1 : column + 1;
		line += text.data[i] == '\n';
	}
	return fault(EINVAL, "%s:%u:%u: byte 0x%02x is not UTF-8 text; save the file as UTF-8", name, line, column,
	        text.data[wrong]);
}

/* ---- events to nodes ---- */

static int(complain)(const struct reader *r, yaml_mark_t mark, const char *words) {
	return fault(EINVAL, "%s:%zu:%zu: %s", r->name, mark.line + 1, mark.column + 1, words);
}

/* As fault() does, so that the compiler sees that it is an error. */
#define complain(...) ((void)(complain)(__VA_ARGS__), -EINVAL)

static int next_event(struct reader *r, yaml_event_t *ret_event) {
	if (yaml_parser_parse(&r->parser, ret_event))
		return 0;
	if (r->parser.error == YAML_MEMORY_ERROR)
		return fault(ENOMEM, "no memory for %s", r->name);
	const char *problem = r->parser.problem ? r->parser.problem : "this is not YAML";
	yaml_mark_t mark = r->parser.problem_mark;
	if (r->parser.context)
		return fault(EINVAL, "%s:%zu:%zu: %s (%s that began in line %zu)", r->name, mark.line + 1,
		        mark.column + 1, problem, r->parser.context, r->parser.context_mark.line + 1);
	return complain(r, mark, problem);
}

static int new_node(struct reader *r, enum yaml_tree_kind kind, const yaml_event_t *event, struct growing **ret_node) {
	if (++r->tree->node_count > YAML_TREE_NODES_MAX)
		return complain(r, event->start_mark, "the document has too many entries");
	struct growing *g = calloc(1, sizeof *g);
	if (!g)
		return fault(ENOMEM, "no memory for %s", r->name);
	g->node.kind = kind;
	g->node.line = (unsigned)event->start_mark.line + 1;
	g->node.column = (unsigned)event->start_mark.column + 1;
	g->next = r->tree->nodes;
	r->tree->nodes = g;
	*ret_node = g;
	return 0;
}

static int add_pair(struct growing *g, const struct yaml_tree_node *key, const struct yaml_tree_node *value) {
	if (g->node.count == g->room) {
		size_t room = g->room ? g->room * 2 : 8;
		const struct yaml_tree_node **keys = reallocarray(g->keys, room, sizeof *keys);
		g->keys = keys ? keys : g->keys;
		const struct yaml_tree_node **values = reallocarray(g->values, room, sizeof *values);
		g->values = values ? values : g->values;
		if (!keys || !values)
			return fault(ENOMEM, "no memory for a policy");
		g->room = room;
	}
	g->keys[g->node.count] = key;
	g->values[g->node.count++] = value;
	g->node.keys = g->keys;
	g->node.values = g->values;
	return 0;
}

static int check_plain(const struct reader *r, const yaml_event_t *event, const yaml_char_t *anchor,
        const yaml_char_t *tag, bool is_tag_implied) {
	if (anchor)
		return complain(r, event->start_mark, "anchors and aliases are not accepted here; write the value out");
	if (tag && !is_tag_implied)
		return complain(r, event->start_mark, "tags (!…) are not accepted here; write the plain value");
	return 0;
}

static int read_scalar(struct reader *r, const yaml_event_t *event, const struct yaml_tree_node **ret_node) {
	bool implied = event->data.scalar.plain_implicit || event->data.scalar.quoted_implicit;
	int rc = check_plain(r, event, event->data.scalar.anchor, event->data.scalar.tag, implied);
	if (rc < 0)
		return rc;
	const char *text = (const char *)event->data.scalar.value;
	if (strlen(text) != event->data.scalar.length)
		return complain(r, event->start_mark, "the text has a NUL byte (\\0) in it");
	struct growing *g;
	rc = new_node(r, TREE_TEXT, event, &g);
	if (rc)
		return rc;
	g->node.text = strdup(text);
	g->node.is_quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	if (!g->node.text)
		return fault(ENOMEM, "no memory for %s", r->name);
	*ret_node = &g->node;
	return 0;
}

static int read_value(
        struct reader *r, const yaml_event_t *event, unsigned depth, const struct yaml_tree_node **ret_node);

/* Reads the next value, or says that the collection ends (*ret_node = NULL). */
static int read_next(struct reader *r, yaml_event_type_t end, unsigned depth, const struct yaml_tree_node **ret_node) {
	yaml_event_t event;
	int rc = next_event(r, &event);
	if (rc < 0)
		return rc;
	*ret_node = NULL;
	if (event.type != end)
		rc = read_value(r, &event, depth, ret_node);
	yaml_event_delete(&event);
	return rc;
}

static int read_list(
        struct reader *r, const yaml_event_t *event, unsigned depth, const struct yaml_tree_node **ret_node) {
	struct growing *g;
	int rc = check_plain(r, event, event->data.sequence_start.anchor, event->data.sequence_start.tag, false);
	if (rc || (rc = new_node(r, TREE_LIST, event, &g)) != 0)
		return rc;
	for (;;) {
		const struct yaml_tree_node *item;
		rc = read_next(r, YAML_SEQUENCE_END_EVENT, depth, &item);
		if (rc || !item)
			break;
		if ((rc = add_pair(g, NULL, item)) < 0)
			break;
	}
	*ret_node = &g->node;
	return rc;
}

static int check_key(struct reader *r, const struct growing *map, const struct yaml_tree_node *key) {
	if (key->kind != TREE_TEXT)
		return fault(EINVAL, "%s:%u:%u: a key must be a plain text", r->name, key->line, key->column);
	if (map->node.count >= MAP_KEYS_MAX)
		return fault(EINVAL, "%s:%u:%u: more than %d keys in one map", r->name, key->line, key->column,
		        MAP_KEYS_MAX);
	for (size_t i = 0; i < map->node.count; i++)
		if (strcmp(map->keys[i]->text, key->text) == 0)
			return fault(EINVAL, "%s:%u:%u: '%.80s' is here twice, first in line %u; keep one", r->name,
			        key->line, key->column, key->text, map->keys[i]->line);
	return 0;
}

static int read_map(
        struct reader *r, const yaml_event_t *event, unsigned depth, const struct yaml_tree_node **ret_node) {
	struct growing *g;
	int rc = check_plain(r, event, event->data.mapping_start.anchor, event->data.mapping_start.tag, false);
	if (rc || (rc = new_node(r, TREE_MAP, event, &g)) != 0)
		return rc;
	for (;;) {
		const struct yaml_tree_node *key, *value;
		rc = read_next(r, YAML_MAPPING_END_EVENT, depth, &key);
		if (rc || !key)
			break;
		if ((rc = check_key(r, g, key)) < 0 || (rc = read_next(r, YAML_NO_EVENT, depth, &value)) != 0 ||
		        (rc = add_pair(g, key, value)) < 0)
			break;
	}
	*ret_node = &g->node;
	return rc;
}

static int read_value(
        struct reader *r, const yaml_event_t *event, unsigned depth, const struct yaml_tree_node **ret_node) {
	if (depth >= YAML_TREE_DEPTH_MAX)
		return complain(r, event->start_mark, "the document is nested too deeply");
	if (event->type == YAML_SCALAR_EVENT)
		return read_scalar(r, event, ret_node);
	if (event->type == YAML_SEQUENCE_START_EVENT)
		return read_list(r, event, depth + 1, ret_node);
	if (event->type == YAML_MAPPING_START_EVENT)
		return read_map(r, event, depth + 1, ret_node);
	if (event->type == YAML_ALIAS_EVENT)
		return complain(r, event->start_mark, "anchors and aliases are not accepted here; write the value out");
	return complain(r, event->start_mark, "a value is missing");
}

/* ---- the document ---- */

static int read_stream(struct reader *r) {
	bool ended = false;
	unsigned documents = 0;
	int rc = 0;
	while (rc == 0 && !ended) {
		yaml_event_t event;
		rc = next_event(r, &event);
		if (rc < 0)
			return rc;
		if (event.type == YAML_STREAM_END_EVENT)
			ended = true;
		else if (event.type == YAML_DOCUMENT_START_EVENT && ++documents > 1)
			rc = complain(r, event.start_mark, "a second document begins ('---'); one file holds one");
		else if (event.type != YAML_STREAM_START_EVENT && event.type != YAML_DOCUMENT_START_EVENT &&
		         event.type != YAML_DOCUMENT_END_EVENT)
			rc = read_value(r, &event, 0, &r->tree->root);
		yaml_event_delete(&event);
	}
	return rc;
}

int yaml_tree_parse(const char *name, struct bytes text, YamlTree **ret_tree) {
	int rc = check_text(name, text);
	if (rc < 0)
		return rc;
	_cleanup_(yaml_tree_freep) YamlTree *tree = calloc(1, sizeof *tree);
	struct reader r = {.tree = tree, .name = name};
	if (!tree || !yaml_parser_initialize(&r.parser))
		return fault(ENOMEM, "no memory for %s", name);
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, text.size ? text.data : (const uint8_t *)"", text.size);
	rc = read_stream(&r);
	yaml_parser_delete(&r.parser);
	if (rc < 0)
		return rc;
	*ret_tree = steal_pointer(&tree);
	return 0;
}

void yaml_tree_free(YamlTree *tree) {
	if (!tree)
		return;
	while (tree->nodes) {
		struct growing *g = tree->nodes;
		tree->nodes = g->next;
		free((char *)(uintptr_t)g->node.text);
		free(g->keys);
		free(g->values);
		free(g);
	}
	free(tree);
}

const struct yaml_tree_node *yaml_tree_root(const YamlTree *tree) {
	return tree->root;
}
