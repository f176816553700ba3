/* Hashes of versions, and how a draft becomes one. */
#include "backend/acl.h"
#include "backend/map_private.h"
#include "backend/meta_private.h"
#include "backend/tree.h"
#include "backend/version.h"

#include <errno.h>
#include <string.h>

#include "crypto/digest.h"

/* ---- hashes ---- */

static void hash_number(struct blake2b *hash, uint64_t number) {
	uint8_t packed[8];
	le64_put(packed, number);
	blake2b_update(hash, bytes_of(packed, sizeof packed));
}

static void begin_hash(struct blake2b *hash, uint64_t size) {
	static const char domain[] = "assayfs version 1"; /* with its NUL */
	blake2b_init(hash, NULL);
	blake2b_update(hash, bytes_of(domain, sizeof domain));
	hash_number(hash, size);
}

static void hash_page(struct blake2b *hash, uint64_t page, const uint8_t page_hash[static VERSION_HASH_BYTES]) {
	hash_number(hash, page);
	blake2b_update(hash, bytes_of(page_hash, VERSION_HASH_BYTES));
}

static void fresh_hash(const struct fresh_draft *fresh, uint8_t ret_hash[static VERSION_HASH_BYTES]) {
	struct blake2b hash;
	begin_hash(&hash, fresh->version.size);
	if (fresh->has_page)
		hash_page(&hash, fresh->page, fresh->page_hash);
	blake2b_final(&hash, ret_hash);
}

/* Over the size and the pages' hashes; with `verify`, over what the pages hold now. */
static int version_hash(Meta *m, uint64_t id, uint64_t size, bool verify, uint8_t ret_hash[static VERSION_HASH_BYTES]) {
	static const char sql[] =
	        "SELECT map.page, p.hash, CASE WHEN ?2 THEN p.refs END FROM map"
	        " LEFT JOIN mappage p ON p.id = map.mappage WHERE map.version = ?1"
	        " UNION ALL SELECT b.page, p.hash, CASE WHEN ?2 THEN p.refs END FROM map b"
	        " LEFT JOIN mappage p ON p.id = b.mappage WHERE " MAP_OF_BASE("?1", "?3") " ORDER BY 1";
	struct blake2b hash;
	begin_hash(&hash, size);
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	uint64_t base = 0;
	int rc = map_base_get(m, id, &base);
	if (rc == 0)
		rc = SQL_START(m, sql, &stmt, v_u64(id), v_u64(verify), v_u64(base));
	while (rc == 0 && (rc = sql_step(m, stmt)) > 0) {
		uint8_t stored[VERSION_HASH_BYTES], actual[VERSION_HASH_BYTES];
		uint64_t page = column_u64(stmt, 0);
		rc = column_exact(stmt, 1, stored, sizeof stored, "the hash of a map page");
		if (rc == 0 && verify) {
			map_page_hash(column_bytes(stmt, 2), actual);
			if (memcmp(actual, stored, sizeof actual) != 0)
				rc = fault(EBADMSG, "metadata: version %llu: map page %llu does not match its hash",
				        (unsigned long long)id, (unsigned long long)page);
		}
		hash_page(&hash, page, stored);
	}
	blake2b_final(&hash, ret_hash);
	return rc;
}

int version_verify_hash(Meta *m, uint64_t id) {
	struct version version;
	int rc = version_get(m, id, &version);
	if (rc)
		return rc;
	if (version.state == VERSION_DRAFT || version.state == VERSION_ERASED)
		return -EINVAL;
	uint8_t hash[VERSION_HASH_BYTES];
	rc = version_hash(m, id, version.size, true, hash);
	if (rc == 0 && memcmp(hash, version.hash, sizeof hash) != 0)
		rc = fault(EBADMSG, "metadata: version %llu: its map or size is not what was sealed",
		        (unsigned long long)id);
	return rc;
}

int version_rehash(Meta *m, uint64_t id) {
	struct version version;
	uint8_t hash[VERSION_HASH_BYTES];
	int rc = version_get(m, id, &version);
	if (rc == 0 && (version.state == VERSION_DRAFT || version.state == VERSION_ERASED))
		return 0;
	if (rc == 0)
		rc = version_hash(m, id, version.size, false, hash);
	return rc < 0 ? rc
	              : SQL_RUN(m, "UPDATE version SET hash = ?2 WHERE id = ?1", v_u64(id), v_blob(hash, sizeof hash));
}

/* ---- sealing ---- */

/* A node that was made since the opening and shows no version never had one. */
static int next_number(Meta *m, const struct node *node, uint64_t *ret_number) {
	uint64_t last = 0;
	int rc = 0;
	if (node->version != 0 || node->id < m->first_node || m->withdrew)
		rc = SQL_NUMBER(m, "SELECT max(number) FROM version WHERE node = ? AND number IS NOT NULL", &last,
		        v_u64(node->id));
	*ret_number = last + 1;
	return rc;
}

static int has_access_acl(Meta *m, const struct node *node, bool *ret_has) {
	uint64_t any;
	int rc = node->xattrs == 0 ? -ENOENT
	                           : SQL_NUMBER(m, "SELECT 1 FROM xattr WHERE node = ? AND name = ?", &any,
	                                     v_u64(node->id), v_bytes(bytes_of_string(ACL_ACCESS_XATTR)));
	*ret_has = rc == 0;
	return rc == -ENOENT ? 0 : rc;
}

/* As read_for_seal. */
static int fresh_for_seal(Meta *m, struct version *ret, uint8_t *ret_node_zone) {
	struct node node;
	struct version version = m->fresh.version;
	bool has_acl = false;
	int rc = tree_get(m, version.node, &node);
	if (rc == 0)
		rc = next_number(m, &node, &version.number);
	if (rc == 0)
		rc = has_access_acl(m, &node, &has_acl);
	if (rc < 0)
		return rc;
	version.state = VERSION_SEALED;
	version.mtime = node.mtime;
	version.mode = node.mode | (has_acl ? VERSION_MODE_ACL : 0);
	version.uid = node.uid;
	version.gid = node.gid;
	version.sealed = meta_commit_id(m);
	*ret_node_zone = node.zone;
	*ret = version;
	return 0;
}

/* The draft with what its node says now, and its number-to-be. */
static int read_for_seal(Meta *m, uint64_t draft, struct version *ret, uint8_t *ret_node_zone) {
	static const char sql[] =
	        "SELECT v.node, v.size, v.zone, v.state, v.born, v.base, v.fsynced, n.mtime, n.mode, n.uid, n.gid,"
	        " 1 + coalesce((SELECT max(w.number) FROM version w WHERE w.node = v.node AND w.number IS NOT NULL), "
	        "0), n.zone,"
	        " n.xattrs > 0 AND EXISTS (SELECT 1 FROM xattr x WHERE x.node = n.id AND x.name = ?2)"
	        " FROM version v JOIN node n ON n.id = v.node WHERE v.id = ?1";
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	int rc = SQL_START(m, sql, &stmt, v_u64(draft), v_bytes(bytes_of_string(ACL_ACCESS_XATTR)));
	if (rc == 0)
		rc = sql_step(m, stmt);
	if (rc < 0)
		return rc;
	if (rc == 0 || sqlite3_column_int(stmt, 3) != VERSION_DRAFT)
		return -EPERM;
	bool has_acl = sqlite3_column_int(stmt, 13) != 0;
	*ret = (struct version){.id = draft,
	        .node = column_u64(stmt, 0),
	        .size = column_u64(stmt, 1),
	        .zone = (uint8_t)sqlite3_column_int(stmt, 2),
	        .state = VERSION_SEALED,
	        .born = column_u64(stmt, 4),
	        .base = column_u64(stmt, 5),
	        .fsynced = sqlite3_column_int(stmt, 6) != 0,
	        .mtime = sqlite3_column_int64(stmt, 7),
	        .mode = column_u32(stmt, 8) | (has_acl ? VERSION_MODE_ACL : 0),
	        .uid = column_u32(stmt, 9),
	        .gid = column_u32(stmt, 10),
	        .number = column_u64(stmt, 11),
	        .sealed = meta_commit_id(m)};
	*ret_node_zone = (uint8_t)sqlite3_column_int(stmt, 12);
	return 0;
}

/* The database refuses as well; this says it in words and leaves the operation as it was. */
static int check_verdict(Meta *m, const struct version *version) {
	if (version->zone != ZONE_TRUSTED)
		return 0;
	if (version->verdict == 0 || !version->has_sha256)
		return fault(EPERM, "nothing is sealed in Trusted without a verdict and the SHA-256 of its bytes");
	uint64_t passed = 0;
	int rc = SQL_NUMBER(m, "SELECT outcome = 2 AND output_sha256 = ?2 FROM verdict WHERE id = ?1", &passed,
	        v_u64(version->verdict), v_blob(version->sha256, sizeof version->sha256));
	if (rc == -ENOENT || (rc == 0 && !passed))
		return fault(EPERM, "verdict %llu did not pass for exactly the bytes that are to be sealed in Trusted",
		        (unsigned long long)version->verdict);
	return rc;
}

static int check_node_zone(const struct version *version, uint8_t node_zone) {
	if (node_zone == ZONE_TRUSTED && version->zone != ZONE_TRUSTED)
		return fault(EPERM, "a file in Trusted shows only versions that are sealed for Trusted");
	return 0;
}

/* The node shows the version from now on. */
static int show(Meta *m, const struct version *version, const struct version_times *times) {
	struct node node;
	int rc = tree_get(m, version->node, &node);
	if (rc < 0)
		return rc;
	node.version = version->id;
	node.size = version->size;
	node.mtime = times ? times->mtime : node.mtime;
	node.ctime = times ? times->ctime : node.ctime;
	node_cache_touch(m->nodes, node.id);
	rc = SQL_RUN(m, "UPDATE node SET version = ?2, size = ?3, mtime = ?4, ctime = ?5 WHERE id = ?1", v_u64(node.id),
	        v_u64(node.version), v_u64(node.size), v_i64(node.mtime), v_i64(node.ctime));
	if (rc == 0)
		node_cache_put(m->nodes, &node);
	return rc;
}

int version_seal(Meta *m, uint64_t draft, enum origin origin, uint64_t verdict, const uint8_t sha256[32],
        struct version *ret_version) {
	return version_seal_timed(m, draft, origin, verdict, sha256, NULL, ret_version);
}

int version_seal_timed(Meta *m, uint64_t draft, enum origin origin, uint64_t verdict, const uint8_t sha256[32],
        const struct version_times *times, struct version *ret_version) {
	struct version version;
	uint8_t node_zone = ZONE_NONE;
	bool is_fresh = meta_is_fresh(m, draft);
	int rc = is_fresh ? fresh_for_seal(m, &version, &node_zone) : read_for_seal(m, draft, &version, &node_zone);
	if (rc < 0)
		return rc;
	version.mtime = times ? times->mtime : version.mtime;
	version.origin = (uint8_t)origin;
	version.verdict = verdict;
	version.has_sha256 = sha256 != NULL;
	version.sealed_time = meta_now(m);
	if (sha256)
		memcpy(version.sha256, sha256, sizeof version.sha256);
	rc = check_verdict(m, &version);
	if (rc == 0)
		rc = check_node_zone(&version, node_zone);
	if (rc == 0 && is_fresh)
		fresh_hash(&m->fresh, version.hash);
	else if (rc == 0)
		rc = version_hash(m, draft, version.size, false, version.hash);
	map_forget_fresh(m, draft);
	static const char seal[] =
	        "UPDATE version SET state = 1, number = ?2, origin = ?3, mtime = ?4, mode = ?5, uid = ?6,"
	        " gid = ?7, sealed = ?8, sealed_time = ?9, verdict = ?10, hash = ?11, sha256 = ?12"
	        " WHERE id = ?1";
	if (rc == 0)
		rc = SQL_RUN(m, seal, v_u64(draft), v_u64(version.number), v_u64(origin), v_i64(version.mtime),
		        v_u64(version.mode), v_u64(version.uid), v_u64(version.gid), v_u64(version.sealed),
		        v_i64(version.sealed_time), v_ref(verdict), v_blob(version.hash, sizeof version.hash),
		        sha256 ? v_blob(sha256, 32) : v_null());
	if (rc == 0)
		rc = show(m, &version, times);
	if (rc < 0)
		return rc;
	m->state.draft_rows--;
	m->state.counts.versions++;
	m->state.counts.bytes += version.size;
	usage_put(&m->usage, version.zone);
	*ret_version = version;
	return 0;
}
