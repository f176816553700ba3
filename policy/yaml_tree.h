/*
 * yaml_tree: a YAML document as a tree of maps, lists and texts that remember line and column.
 *
 * Reads the part of YAML that a configuration needs and refuses the rest by name: anchors and aliases (a few lines can
 * stand for gigabytes), tags, several documents, keys that are not plain texts, the same key twice, bytes that are not
 * UTF-8, documents past YAML_TREE_BYTES_MAX, YAML_TREE_DEPTH_MAX or YAML_TREE_NODES_MAX.
 */
#pragma once

#include "crypto/base/bytes.h"
#include "crypto/base/cleanup.h"

#include <stdbool.h>

#define YAML_TREE_BYTES_MAX (1u << 20)
#define YAML_TREE_DEPTH_MAX 16
#define YAML_TREE_NODES_MAX 50000

typedef struct YamlTree YamlTree;

enum yaml_tree_kind { TREE_TEXT, TREE_LIST, TREE_MAP };

struct yaml_tree_node {
	enum yaml_tree_kind kind;
	unsigned line, column; /* from 1 */
	const char *text;      /* of a TREE_TEXT; without NUL bytes inside */
	bool is_quoted;        /* "yes" and 'yes' are words where yes is true */
	size_t count;          /* of a list's items or a map's pairs */
	const struct yaml_tree_node *const *keys;
	const struct yaml_tree_node *const *values;
};

/* Parses a whole file called `name` in messages. -EINVAL with `name:line:column: …`; -ENOMEM. */
int yaml_tree_parse(const char *name, struct bytes text, YamlTree **ret_tree);
void yaml_tree_free(YamlTree *tree);
DEFINE_CLEANUP(YamlTree, yaml_tree_free);

/* The top of the document; NULL when the file is empty or all comments. */
const struct yaml_tree_node *yaml_tree_root(const YamlTree *tree);
