/* Whether a version may go. All by look-ups of rows with an index, each with a bound. */
#include "backend/expire_internal.h"

#include "backend/meta_private.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DAY_NS (INT64_C(86400) * 1000000000)
/* Names of one file that are compared with a prefix. */
#define NAMES_MOST 64
/* Files that took a name afterwards which are looked at, beyond those that have to be counted. */
#define SPARE 64u
/* Versions that were made of one another which are followed, and how far. */
#define MADE_MOST 1000
#define MADE_DEPTH 16

/* ---- since when ---- */

/* The name that a file without any bore last. */
struct last_name {
	uint64_t parent, entry, ended;
	size_t size; /* 0: it never had one */
	uint8_t name[TREE_NAME_MAX];
};

static int find_last_name(Meta *m, uint64_t node, struct last_name *ret) {
	static const char sql[] = "SELECT parent, id, ended, name FROM entry_past WHERE node = ?"
	                          " ORDER BY ended DESC, id DESC LIMIT 1";
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	*ret = (struct last_name){.size = 0};
	int rc = SQL_START(m, sql, &stmt, v_u64(node));
	if (rc == 0)
		rc = sql_step(m, stmt);
	if (rc <= 0)
		return rc;
	struct bytes name = column_bytes(stmt, 3);
	if (name.size == 0 || name.size > sizeof ret->name)
		return fault(EUCLEAN, "a past name of node %lu is malformed", (unsigned long)node);
	ret->parent = column_u64(stmt, 0);
	ret->entry = column_u64(stmt, 1);
	ret->ended = column_u64(stmt, 2);
	ret->size = name.size;
	memcpy(ret->name, name.data, name.size);
	return 0;
}

/* INT64_MAX: it is current, or when it ceased to be is not known (yet). */
static int find_since(
        Meta *m, const struct version *version, const struct node *node, const struct last_name *last, int64_t *ret) {
	struct version next;
	*ret = INT64_MAX;
	if (node->nlink > 0 && node->version == version->id)
		return 0;
	int rc = version_by_number(m, version->node, version->number + 1, &next);
	if (rc == 0)
		*ret = next.sealed_time;
	if (rc != -ENOENT)
		return rc;
	if (node->nlink > 0 || last->size == 0)
		return 0;
	rc = meta_commit_time(m, last->ended, ret);
	return rc == -ENOENT ? 0 : rc; /* in the commit that is open */
}

/* ---- how many newer ones ---- */

/* Alive versions of a node above `number`, without `current`; no more than `most` are counted. */
static int count_of_node(
        Meta *m, uint64_t node, uint64_t number, uint64_t current, uint64_t most, uint64_t *ret_count) {
	return SQL_NUMBER(m,
	        "SELECT count(*) FROM (SELECT 1 FROM version WHERE node = ?1 AND number IS NOT NULL AND number > ?2"
	        " AND state IN (1, 2) AND id <> ?3 LIMIT ?4)",
	        ret_count, v_u64(node), v_u64(number), v_u64(current), v_u64(most));
}

/* Nodes whose versions are counted already. */
struct counted {
	uint64_t nodes[EXPIRE_KEEP_MOST + SPARE + 2];
	size_t count;
};

/* One that took the name. Where it has another one by now it counts for that. */
static int add_successor(Meta *m, struct counted *counted, uint64_t id, bool is_here, uint64_t most, uint64_t *count) {
	struct node node;
	uint64_t more = 0;
	for (size_t i = 0; i < counted->count; i++)
		if (counted->nodes[i] == id)
			return 0;
	int rc = tree_get(m, id, &node);
	if (rc < 0 || !S_ISREG(node.mode) || (node.nlink > 0 && !is_here))
		return rc;
	counted->nodes[counted->count++] = id;
	rc = count_of_node(m, id, 0, node.nlink > 0 ? node.version : 0, most - *count, &more);
	*count += more;
	return rc;
}

static int count_present(
        Meta *m, struct counted *counted, const struct last_name *last, uint64_t most, uint64_t *count) {
	struct node node;
	int rc = tree_lookup(m, last->parent, bytes_of(last->name, last->size), &node);
	if (rc == -ENOENT)
		return 0;
	return rc < 0 ? rc : add_successor(m, counted, node.id, true, most, count);
}

static int count_past(Meta *m, struct counted *counted, const struct last_name *last, uint64_t most, uint64_t *count) {
	static const char sql[] =
	        "SELECT node FROM entry_past INDEXED BY entry_past_name WHERE parent = ?1 AND name = ?2"
	        " AND ended >= ?3 AND (ended > ?3 OR id > ?4) ORDER BY ended LIMIT ?5";
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	int rc = SQL_START(m, sql, &stmt, v_u64(last->parent), v_bytes(bytes_of(last->name, last->size)),
	        v_u64(last->ended), v_u64(last->entry), v_u64(most + SPARE));
	while (rc == 0 && *count < most && (rc = sql_step(m, stmt)) > 0)
		rc = add_successor(m, counted, column_u64(stmt, 0), false, most, count);
	return rc < 0 ? rc : 0;
}

static int count_newer(Meta *m, const struct version *version, const struct node *node, const struct last_name *last,
        uint64_t most, uint64_t *ret_count) {
	struct counted counted = {.nodes = {version->node}, .count = 1};
	int rc = count_of_node(m, version->node, version->number, node->nlink > 0 ? node->version : 0, most, ret_count);
	if (rc == 0 && *ret_count < most && last->size > 0)
		rc = count_present(m, &counted, last, most, ret_count);
	if (rc == 0 && *ret_count < most && last->size > 0)
		rc = count_past(m, &counted, last, most, ret_count);
	return rc;
}

/* ---- rules ---- */

static bool has_prefix(const char *path, const char *prefix) {
	const char *below = strchr(path, '/');
	return below && strncmp(below + 1, prefix, strlen(prefix)) == 0;
}

/* All names of a file have to begin so, or the last one that it had. */
static int fits(Meta *m, const struct node *node, const char *prefix, const char *path, bool *ret_fits) {
	char other[TREE_PATH_MAX];
	struct tree_name at = {0};
	int rc = 0;
	*ret_fits = !*prefix || has_prefix(path, prefix);
	if (!*prefix || !*ret_fits || node->nlink < 2)
		return 0;
	for (int i = 0; *ret_fits; i++) {
		rc = tree_next_path(m, node->id, &at, other, sizeof other, NULL);
		if (rc == -ENOENT)
			return 0;
		if (rc < 0 && rc != -ERANGE)
			return rc;
		*ret_fits = rc == 0 && i < NAMES_MOST && has_prefix(other, prefix);
	}
	return 0;
}

static uint64_t most_of(const struct expire_options *options) {
	uint64_t most = 0;
	for (size_t i = 0; i < options->rule_count; i++)
		most = options->rules[i].keep > most ? options->rules[i].keep : most;
	return most < EXPIRE_KEEP_MOST ? most : EXPIRE_KEEP_MOST;
}

static bool is_old(const struct expire_options *options, const struct expire_rule *rule, int64_t since_ns) {
	return since_ns < options->now_ns && rule->days > 0 &&
	       (options->now_ns - since_ns) / DAY_NS >= (int64_t)rule->days;
}

static bool may_be_due(const struct expire_options *options, const struct version *version, int64_t since_ns) {
	bool may = false;
	for (size_t i = 0; i < options->rule_count && !may; i++)
		may = options->rules[i].zone == (enum zone)version->zone &&
		      is_old(options, &options->rules[i], since_ns);
	return may;
}

/* The first rule by which it goes: where several are of it, the shortest time counts, as in S3. */
static int find_rule(
        const struct expire_options *options, const struct node *node, uint64_t newer, struct expire_judged *judged) {
	for (size_t i = 0; i < options->rule_count; i++) {
		const struct expire_rule *rule = &options->rules[i];
		bool is_of = false;
		if (rule->zone != (enum zone)judged->version.zone || !is_old(options, rule, judged->since_ns) ||
		        newer < rule->keep)
			continue;
		int rc = fits(options->meta, node, rule->prefix, judged->path, &is_of);
		if (rc < 0)
			return rc;
		if (is_of) {
			judged->rule = rule;
			return 0;
		}
	}
	return 0;
}

/* ---- what is needed ---- */

/* Whether something that was made of it, by however many steps, is what a name in Trusted shows. Too much to follow
 * counts as one that is. */
static int is_source(Meta *m, uint64_t version, bool *ret_is) {
	static const char sql[] =
	        "WITH RECURSIVE made (id, depth) AS (SELECT version, 1 FROM lineage WHERE source = ?1"
	        " UNION SELECT l.version, depth + 1 FROM made JOIN lineage l ON l.source = made.id WHERE depth < ?2"
	        " LIMIT ?3)"
	        " SELECT coalesce(max(depth >= ?2 OR EXISTS (SELECT 1 FROM version v JOIN node n ON n.id = v.node"
	        " WHERE v.id = made.id AND v.zone = 3 AND n.version = v.id AND n.nlink > 0)), 0)"
	        " OR count(*) >= ?3 FROM made";
	uint64_t is = 1;
	int rc = SQL_NUMBER(m, sql, &is, v_u64(version), v_u64(MADE_DEPTH), v_u64(MADE_MOST));
	*ret_is = is != 0;
	return rc;
}

static int compare_ids(const void *a, const void *b) {
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
	return (left > right) - (left < right);
}

static int is_draft_on(Meta *m, const struct version *version, bool *ret_is) {
	struct version draft;
	int rc = version_draft_of(m, version->node, &draft);
	*ret_is = rc == 0 && draft.base == version->id;
	return rc == -ENOENT ? 0 : rc;
}

static int find_need(
        const struct expire_options *options, const struct expire_held *held, struct expire_judged *judged) {
	const struct version *version = &judged->version;
	bool is = held->count > 0 && bsearch(&version->id, held->ids, held->count, sizeof *held->ids, compare_ids);
	judged->reason = is ? EXPIRE_HELD : EXPIRE_GOES;
	int rc = is ? 0 : is_source(options->meta, version->id, &is);
	if (rc < 0 || is) {
		judged->reason = judged->reason == EXPIRE_GOES ? EXPIRE_LINEAGE : judged->reason;
		return rc;
	}
	is = options->is_open && options->is_open(options->arg, version->node, version->id);
	if (!is)
		rc = is_draft_on(options->meta, version, &is);
	judged->reason = is ? EXPIRE_OPEN : EXPIRE_GOES;
	return rc;
}

/* ---- the whole ---- */

static int find_path(Meta *m, uint64_t node, char ret_path[static TREE_PATH_MAX]) {
	int rc = tree_last_path(m, node, ret_path, TREE_PATH_MAX);
	if (rc < 0)
		ret_path[0] = '\0';
	return rc == -ENOENT || rc == -ERANGE ? 0 : rc;
}

static int judge_by_rules(const struct expire_options *options, const struct node *node, struct expire_judged *judged) {
	struct last_name last = {.size = 0};
	uint64_t newer = 0;
	Meta *m = options->meta;
	int rc = node->nlink == 0 ? find_last_name(m, node->id, &last) : 0;
	if (rc == 0)
		rc = find_since(m, &judged->version, node, &last, &judged->since_ns);
	if (rc < 0 || judged->since_ns == INT64_MAX || !may_be_due(options, &judged->version, judged->since_ns))
		return rc;
	rc = count_newer(m, &judged->version, node, &last, most_of(options), &newer);
	if (rc == 0)
		rc = find_path(m, node->id, judged->path);
	return rc < 0 ? rc : find_rule(options, node, newer, judged);
}

int expire_judge(const struct expire_options *options, const struct expire_held *held, const struct version *version,
        struct expire_judged *ret) {
	struct node node;
	ret->reason = EXPIRE_NOT_DUE;
	ret->rule = NULL;
	ret->path[0] = '\0';
	ret->version = *version;
	if ((version->state != VERSION_SEALED && version->state != VERSION_WITHDRAWN) ||
	        !may_be_due(options, version, version->sealed_time))
		return 0;
	int rc = tree_get(options->meta, version->node, &node);
	if (rc == 0)
		rc = judge_by_rules(options, &node, ret);
	if (rc < 0 || !ret->rule)
		return rc;
	ret->is_shown_by_node = node.version == version->id;
	return find_need(options, held, ret);
}
