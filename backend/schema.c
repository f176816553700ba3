/*
 * The schema of the metadata. It is the vault's format: docs/format.md says what rows mean, META_SCHEMA_VERSION rises
 * with any change that a program which doesn't know it would misread. An older vault is raised in the operation
 * that first needs what it lacks (meta_raise_schema).
 *
 * Guards. Some things must not happen whatever a program above gets wrong, so the database refuses them: a version in
 * Trusted without a verdict that passed for exactly its bytes; a change of a sealed version, of its map or of a page
 * that it shows; a change of an audit record, verdict, policy; the removal of a name in Raw or of a zone. Where a
 * steward's audited erasure or a lifecycle rule does it on purpose, a row in kv ("meta.door") opens the guard within
 * one operation.
 *
 * Indexes. Live names and past names are two tables, so that a directory with millions of removed names lists as fast
 * as an empty one. entry is clustered by (parent, name): a look-up is two descents with the node; entry_list covers
 * the list of a directory in order of cookies. Partial indexes hold drafts and orphans, which are few. version.node
 * and map.version are tied by triggers and not by foreign keys where the index that a foreign key would need is
 * partial. [measured: tests/backend/bench_meta.c]
 */
#include "backend/meta_private.h"

#define NO_DOOR " NOT EXISTS (SELECT 1 FROM kv WHERE key = 'meta.door') "
#define REFUSE(words) " BEGIN SELECT RAISE(ABORT, '" words "'); END"
#define NEVER_CHANGED(table)                                                                               \
	"CREATE TRIGGER " table "_update BEFORE UPDATE ON " table REFUSE(table " rows are never changed"), \
	        "CREATE TRIGGER " table "_delete BEFORE DELETE ON " table " WHEN" NO_DOOR REFUSE(          \
	                table " rows are never removed")

static const char *const schema_1[] = {
        /* ---- the vault ---- */
        "CREATE TABLE kv (key TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID",

        "CREATE TABLE commit_log ("
        " id INTEGER PRIMARY KEY CHECK (id > 0),"
        " time_ns INTEGER NOT NULL UNIQUE,"
        " audit_size INTEGER NOT NULL"
        ") STRICT",
        "CREATE TRIGGER commit_log_order BEFORE INSERT ON commit_log"
        " WHEN NEW.time_ns <= (SELECT max(time_ns) FROM commit_log)"
        " OR NEW.id <> 1 + coalesce((SELECT max(id) FROM commit_log), 0)" REFUSE("commits go forwards"),
        NEVER_CHANGED("commit_log"),

        /* ---- the tree ---- */
        "CREATE TABLE node ("
        " id INTEGER PRIMARY KEY CHECK (id > 0),"
        " ino INTEGER NOT NULL,"
        " zone INTEGER NOT NULL CHECK (zone BETWEEN 0 AND 4),"
        " mode INTEGER NOT NULL,"
        " uid INTEGER NOT NULL,"
        " gid INTEGER NOT NULL,"
        " nlink INTEGER NOT NULL CHECK (nlink >= 0),"
        " rdev INTEGER NOT NULL,"
        " size INTEGER NOT NULL CHECK (size >= 0),"
        " atime INTEGER NOT NULL,"
        " mtime INTEGER NOT NULL,"
        " ctime INTEGER NOT NULL,"
        " btime INTEGER NOT NULL,"
        " version INTEGER NOT NULL," /* 0: none */
        " parent INTEGER NOT NULL,"  /* of directories; 0: no directory */
        " xattrs INTEGER NOT NULL DEFAULT 0 CHECK (xattrs >= 0),"
        " target BLOB" /* of symbolic links */
        ") STRICT",
        /* Ids and inode numbers come from one counter: a number is a node's id or a renewed inode number, never both.
         * So only renewed ones need an index. */
        "CREATE UNIQUE INDEX node_ino ON node (ino) WHERE ino <> id",
        "CREATE INDEX node_orphan ON node (id) WHERE nlink = 0 AND version = 0",
        "CREATE TRIGGER node_insert BEFORE INSERT ON node WHEN NEW.version <> 0" REFUSE(
                "a node begins without a version"),
        "CREATE TRIGGER node_version BEFORE UPDATE OF version, zone ON node WHEN NEW.version <> 0"
        " AND NOT EXISTS (SELECT 1 FROM version v WHERE v.id = NEW.version AND v.node = NEW.id AND v.state = 1"
        " AND (NEW.zone <> 3 OR v.zone = 3))" REFUSE(
                "a node shows only its own sealed versions, in Trusted only Trusted ones"),

        "CREATE TABLE entry ("
        " parent INTEGER NOT NULL REFERENCES node (id),"
        " name BLOB NOT NULL CHECK (length(name) BETWEEN 1 AND 255 AND instr(name, x'2f') = 0 AND instr(name, x'00') = "
        "0),"
        " id INTEGER NOT NULL,"
        " node INTEGER NOT NULL REFERENCES node (id),"
        " born INTEGER NOT NULL,"
        " PRIMARY KEY (parent, name)"
        ") STRICT, WITHOUT ROWID",
        "CREATE UNIQUE INDEX entry_list ON entry (parent, id, node)",
        "CREATE INDEX entry_node ON entry (node)",
        "CREATE TRIGGER entry_update BEFORE UPDATE ON entry" REFUSE("names begin and end, they are not changed"),
        "CREATE TRIGGER entry_delete BEFORE DELETE ON entry WHEN OLD.parent = 1 AND OLD.node < 5 OR"
        " (SELECT zone FROM node WHERE id = OLD.parent) = 2 AND" NO_DOOR REFUSE("names in Raw and the zones stay"),

        "CREATE TABLE entry_past ("
        " parent INTEGER NOT NULL REFERENCES node (id),"
        " id INTEGER NOT NULL,"
        " name BLOB NOT NULL,"
        " node INTEGER NOT NULL REFERENCES node (id),"
        " born INTEGER NOT NULL,"
        " ended INTEGER NOT NULL CHECK (ended >= born),"
        " PRIMARY KEY (parent, id)"
        ") STRICT, WITHOUT ROWID",
        "CREATE INDEX entry_past_name ON entry_past (parent, name, ended)",
        "CREATE INDEX entry_past_node ON entry_past (node)",
        NEVER_CHANGED("entry_past"),

        "CREATE TABLE xattr ("
        " node INTEGER NOT NULL REFERENCES node (id),"
        " name BLOB NOT NULL CHECK (length(name) BETWEEN 1 AND 255),"
        " value BLOB NOT NULL CHECK (length(value) <= 65536),"
        " PRIMARY KEY (node, name)"
        ") STRICT, WITHOUT ROWID",

        /* ---- versions ---- */
        "CREATE TABLE version ("
        " id INTEGER PRIMARY KEY CHECK (id > 0),"
        " node INTEGER NOT NULL,"
        " number INTEGER CHECK (number > 0)," /* NULL: a draft */
        " state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 3),"
        " zone INTEGER NOT NULL CHECK (zone BETWEEN 1 AND 4),"
        " size INTEGER NOT NULL CHECK (size >= 0),"
        " origin INTEGER NOT NULL,"
        " fsynced INTEGER NOT NULL DEFAULT 0,"
        " mtime INTEGER NOT NULL DEFAULT 0,"
        " mode INTEGER NOT NULL DEFAULT 0,"
        " uid INTEGER NOT NULL DEFAULT 0,"
        " gid INTEGER NOT NULL DEFAULT 0,"
        " born INTEGER NOT NULL,"
        " sealed INTEGER NOT NULL DEFAULT 0,"
        " sealed_time INTEGER NOT NULL DEFAULT 0,"
        " base INTEGER NOT NULL,"
        " verdict INTEGER REFERENCES verdict (id),"
        " hash BLOB CHECK (length(hash) = 32),"
        " sha256 BLOB CHECK (length(sha256) = 32),"
        " CHECK ((state = 0) = (number IS NULL)),"
        " CHECK ((state = 0) = (hash IS NULL)),"
        " CHECK ((state = 0) = (sealed = 0)),"
        " CHECK (state = 0 OR zone <> 3 OR (verdict IS NOT NULL AND sha256 IS NOT NULL))"
        ") STRICT",
        "CREATE UNIQUE INDEX version_number ON version (node, number) WHERE number IS NOT NULL",
        "CREATE UNIQUE INDEX version_draft ON version (node) WHERE state = 0",
        "CREATE TRIGGER version_insert BEFORE INSERT ON version WHEN NEW.state <> 0"
        " OR coalesce((SELECT mode & 61440 FROM node WHERE id = NEW.node), 0) <> 32768" REFUSE(
                "versions begin as drafts of regular files"),
        "CREATE TRIGGER version_seal BEFORE UPDATE OF state ON version WHEN NEW.state = 1 AND NEW.zone = 3"
        " AND NOT EXISTS (SELECT 1 FROM verdict WHERE id = NEW.verdict AND outcome = 2 AND output_sha256 = "
        "NEW.sha256)" REFUSE("nothing is sealed in Trusted without a verdict that passed for exactly its bytes"),
        "CREATE TRIGGER version_update BEFORE UPDATE ON version WHEN OLD.state <> 0 AND"
        " (NEW.state < OLD.state OR NEW.id <> OLD.id OR NEW.node <> OLD.node OR NEW.number IS NOT OLD.number"
        " OR NEW.zone <> OLD.zone OR NEW.size <> OLD.size OR NEW.origin <> OLD.origin OR NEW.mtime <> OLD.mtime"
        " OR NEW.mode <> OLD.mode OR NEW.uid <> OLD.uid OR NEW.gid <> OLD.gid OR NEW.born <> OLD.born"
        " OR NEW.sealed <> OLD.sealed OR NEW.sealed_time <> OLD.sealed_time OR NEW.base <> OLD.base"
        " OR NEW.verdict IS NOT OLD.verdict OR NEW.sha256 IS NOT OLD.sha256 OR NEW.fsynced <> OLD.fsynced"
        " OR (NEW.hash IS NOT OLD.hash OR NEW.state = 3) AND" NO_DOOR ")" REFUSE("a sealed version is not changed"),
        "CREATE TRIGGER version_delete BEFORE DELETE ON version WHEN OLD.state <> 0" REFUSE(
                "a sealed version is not removed"),
        "CREATE TRIGGER version_node BEFORE DELETE ON node WHEN"
        " EXISTS (SELECT 1 FROM version WHERE node = OLD.id AND number IS NOT NULL)"
        " OR EXISTS (SELECT 1 FROM version WHERE node = OLD.id AND state = 0)" REFUSE(
                "a node with versions is not removed"),

        "CREATE TABLE mappage ("
        " id INTEGER PRIMARY KEY,"
        " owner INTEGER NOT NULL," /* the draft or version that made it; 0: shared while that was a draft */
        " refs BLOB NOT NULL CHECK (length(refs) BETWEEN 32 AND 8192 AND length(refs) % 32 = 0),"
        " hash BLOB NOT NULL CHECK (length(hash) = 32)"
        ") STRICT",
        "CREATE TRIGGER mappage_update BEFORE UPDATE ON mappage WHEN"
        " coalesce((SELECT state FROM version WHERE id = OLD.owner), 1) <> 0 AND" NO_DOOR REFUSE(
                "a map page that a sealed version shows is not changed"),

        "CREATE TABLE map ("
        " version INTEGER NOT NULL REFERENCES version (id),"
        " page INTEGER NOT NULL CHECK (page >= 0),"
        " mappage INTEGER NOT NULL REFERENCES mappage (id),"
        " PRIMARY KEY (version, page)"
        ") STRICT, WITHOUT ROWID",
        "CREATE INDEX map_page ON map (mappage)",
        "CREATE TRIGGER map_insert BEFORE INSERT ON map WHEN"
        " (SELECT state FROM version WHERE id = NEW.version) <> 0" REFUSE("the map of a sealed version is not changed"),
        "CREATE TRIGGER map_update BEFORE UPDATE ON map WHEN NEW.version <> OLD.version OR"
        " (SELECT state FROM version WHERE id = NEW.version) <> 0" REFUSE("the map of a sealed version is not changed"),
        "CREATE TRIGGER map_delete BEFORE DELETE ON map WHEN"
        " (SELECT state FROM version WHERE id = OLD.version) <> 0 AND" NO_DOOR REFUSE(
                "the map of a sealed version is not changed"),

        "CREATE TABLE segment ("
        " number INTEGER PRIMARY KEY CHECK (number > 0),"
        " id BLOB NOT NULL UNIQUE CHECK (length(id) = 32),"
        " zone INTEGER NOT NULL CHECK (zone BETWEEN 1 AND 4),"
        " key_version INTEGER NOT NULL,"
        " bytes INTEGER NOT NULL CHECK (bytes >= 0),"
        " state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 2),"
        " live INTEGER" /* a hint; NULL: not counted */
        ") STRICT",
        "CREATE TRIGGER segment_update BEFORE UPDATE ON segment WHEN NEW.number <> OLD.number OR NEW.id <> OLD.id"
        " OR NEW.zone <> OLD.zone OR NEW.key_version <> OLD.key_version OR NEW.bytes < OLD.bytes"
        " OR (OLD.state <> 0 AND (NEW.state = 0 OR NEW.bytes <> OLD.bytes))" REFUSE(
                "segments only grow, and stay closed"),

        /* ---- the gate ---- */
        "CREATE TABLE policy ("
        " number INTEGER PRIMARY KEY CHECK (number > 0),"
        " sha256 BLOB NOT NULL CHECK (length(sha256) = 32),"
        " time_ns INTEGER NOT NULL,"
        " uid INTEGER NOT NULL,"
        " actor BLOB NOT NULL,"
        " bundle BLOB NOT NULL"
        ") STRICT",
        NEVER_CHANGED("policy"),

        "CREATE TABLE verdict ("
        " id INTEGER PRIMARY KEY,"
        " time_ns INTEGER NOT NULL,"
        " path BLOB NOT NULL,"
        " node INTEGER NOT NULL,"
        " version INTEGER NOT NULL,"
        " outcome INTEGER NOT NULL CHECK (outcome BETWEEN 2 AND 4),"
        " fresh INTEGER NOT NULL,"
        " dataset BLOB NOT NULL,"
        " policy INTEGER REFERENCES policy (number),"
        " input_sha256 BLOB NOT NULL CHECK (length(input_sha256) = 32),"
        " output_sha256 BLOB NOT NULL CHECK (length(output_sha256) = 32),"
        " body BLOB NOT NULL CHECK (length(body) > 0),"
        " signature BLOB NOT NULL CHECK (length(signature) > 0),"
        " key_name BLOB NOT NULL"
        ") STRICT",
        "CREATE INDEX verdict_path ON verdict (path)",
        "CREATE INDEX verdict_version ON verdict (version) WHERE version <> 0",
        "CREATE INDEX verdict_input ON verdict (input_sha256)",
        NEVER_CHANGED("verdict"),

        "CREATE TABLE job ("
        " id INTEGER PRIMARY KEY,"
        " kind INTEGER NOT NULL,"
        " state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 3),"
        " node INTEGER NOT NULL,"
        " version INTEGER NOT NULL,"
        " path BLOB NOT NULL,"
        " dataset BLOB NOT NULL,"
        " workflow BLOB NOT NULL,"
        " due_ns INTEGER NOT NULL,"
        " attempts INTEGER NOT NULL DEFAULT 0,"
        " verdict INTEGER REFERENCES verdict (id),"
        " superseded_by INTEGER,"
        " made_ns INTEGER NOT NULL,"
        " done_ns INTEGER NOT NULL DEFAULT 0,"
        " uid INTEGER NOT NULL,"
        " gid INTEGER NOT NULL,"
        " pid INTEGER NOT NULL,"
        " exe BLOB NOT NULL"
        ") STRICT",
        "CREATE INDEX job_due ON job (due_ns, id) WHERE state = 0",
        "CREATE INDEX job_open ON job (path) WHERE state < 2",

        "CREATE TABLE quarantine ("
        " id INTEGER PRIMARY KEY,"
        " time_ns INTEGER NOT NULL,"
        " path BLOB NOT NULL,"
        " node INTEGER NOT NULL,"
        " version INTEGER NOT NULL,"
        " verdict INTEGER NOT NULL REFERENCES verdict (id),"
        " state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 2),"
        " partial INTEGER NOT NULL,"
        " uid INTEGER NOT NULL,"
        " decided_ns INTEGER NOT NULL DEFAULT 0,"
        " decided_uid INTEGER NOT NULL DEFAULT 0"
        ") STRICT",
        "CREATE INDEX quarantine_held ON quarantine (id) WHERE state = 0",

        "CREATE TABLE delivery ("
        " id INTEGER PRIMARY KEY,"
        " time_ns INTEGER NOT NULL,"
        " node INTEGER NOT NULL,"
        " version INTEGER NOT NULL,"
        " sha256 BLOB NOT NULL CHECK (length(sha256) = 32),"
        " path BLOB NOT NULL,"
        " uid INTEGER NOT NULL,"
        " pid INTEGER NOT NULL"
        ") STRICT",
        "CREATE INDEX delivery_node ON delivery (node)",
        NEVER_CHANGED("delivery"),

        "CREATE TABLE lineage ("
        " version INTEGER NOT NULL,"
        " source INTEGER NOT NULL,"
        " role INTEGER NOT NULL,"
        " PRIMARY KEY (version, source, role)"
        ") STRICT, WITHOUT ROWID",
        "CREATE INDEX lineage_source ON lineage (source)",
        NEVER_CHANGED("lineage"),

        "CREATE TABLE metric ("
        " id INTEGER PRIMARY KEY,"
        " subject BLOB NOT NULL,"
        " name BLOB NOT NULL,"
        " time_ns INTEGER NOT NULL,"
        " value REAL NOT NULL,"
        " verdict INTEGER NOT NULL"
        ") STRICT",
        "CREATE INDEX metric_series ON metric (subject, name, time_ns)",

        /* ---- the audit log: docs/audit-log.md ---- */
        "CREATE TABLE string (id INTEGER PRIMARY KEY, text BLOB NOT NULL UNIQUE) STRICT",
        NEVER_CHANGED("string"),

        "CREATE TABLE audit ("
        " seq INTEGER PRIMARY KEY CHECK (seq >= 0),"
        " time_ns INTEGER NOT NULL,"
        " event INTEGER NOT NULL,"
        " outcome INTEGER NOT NULL CHECK (outcome BETWEEN 0 AND 2),"
        " errno INTEGER NOT NULL,"
        " uid INTEGER NOT NULL,"
        " gid INTEGER NOT NULL,"
        " pid INTEGER NOT NULL,"
        " exe INTEGER NOT NULL,"
        " dir INTEGER," /* a path is its directory (interned; 0: no '/' in it) and its last name; both NULL: no path */
        " name BLOB,"
        " cut INTEGER," /* length of a path that was cut; NULL: not cut */
        " dir2 INTEGER,"
        " name2 BLOB,"
        " cut2 INTEGER,"
        " node INTEGER NOT NULL,"
        " version INTEGER NOT NULL,"
        " bytes INTEGER NOT NULL,"
        " detail BLOB,"
        " detail_cut INTEGER"
        ") STRICT",
        NEVER_CHANGED("audit"),

        "CREATE TABLE audit_tile ("
        " level INTEGER NOT NULL,"
        " idx INTEGER NOT NULL,"
        " hashes BLOB NOT NULL CHECK (length(hashes) BETWEEN 32 AND 8192 AND length(hashes) % 32 = 0),"
        " PRIMARY KEY (level, idx)"
        ") STRICT, WITHOUT ROWID",
        "CREATE TRIGGER audit_tile_update BEFORE UPDATE ON audit_tile WHEN NEW.level <> OLD.level OR NEW.idx <> OLD.idx"
        " OR length(NEW.hashes) <= length(OLD.hashes)"
        " OR substr(NEW.hashes, 1, length(OLD.hashes)) <> OLD.hashes" REFUSE("tiles of the audit tree only grow"),
        "CREATE TRIGGER audit_tile_delete BEFORE DELETE ON audit_tile WHEN" NO_DOOR REFUSE("tiles are never removed"),

        /* Which values occur in a full tile of 256 records at all; kinds in audit_index.h. */
        "CREATE TABLE audit_value ("
        " kind INTEGER NOT NULL,"
        " value INTEGER NOT NULL,"
        " tile INTEGER NOT NULL,"
        " PRIMARY KEY (kind, value, tile)"
        ") STRICT, WITHOUT ROWID",

        NULL,
};

static const char *const schema_2[] = {
        /* Up to 256 records of one tile, as audit_pack.h has them. Those below the first pack, of a vault that was
         * begun with version 1, are rows of `audit`. */
        "CREATE TABLE audit_pack ("
        " first INTEGER PRIMARY KEY CHECK (first >= 0),"
        " count INTEGER NOT NULL CHECK (count BETWEEN 1 AND 256 - first % 256),"
        " records BLOB NOT NULL CHECK (length(records) > 0)"
        ") STRICT",
        NEVER_CHANGED("audit_pack"),

        NULL,
};

static const char *const schema_3[] = {
        /* Where the version has no row in `map`, that of `base` counts: map_base.c. */
        "CREATE TABLE map_base ("
        " version INTEGER PRIMARY KEY REFERENCES version (id),"
        " base INTEGER NOT NULL REFERENCES version (id)"
        ") STRICT",
        "CREATE INDEX map_base_base ON map_base (base)",
        "CREATE TRIGGER map_base_insert BEFORE INSERT ON map_base WHEN"
        " (SELECT state FROM version WHERE id = NEW.version) <> 0"
        " OR coalesce((SELECT state FROM version WHERE id = NEW.base), 0) = 0"
        " OR EXISTS (SELECT 1 FROM map_base WHERE version = NEW.base)" REFUSE(
                "the map of a draft rests on one that is sealed and rests on none"),
        "CREATE TRIGGER map_base_update BEFORE UPDATE ON map_base" REFUSE("what a map rests on is not changed"),
        "CREATE TRIGGER map_base_delete BEFORE DELETE ON map_base WHEN"
        " (SELECT state FROM version WHERE id = OLD.version) <> 0 AND" NO_DOOR REFUSE(
                "the map of a sealed version is not changed"),
        /* Through the door too. */
        "CREATE TRIGGER map_lent BEFORE DELETE ON map WHEN EXISTS (SELECT 1 FROM map_base d WHERE d.base = OLD.version"
        " AND NOT EXISTS (SELECT 1 FROM map o WHERE o.version = d.version AND o.page = OLD.page))" REFUSE(
                "the map of another version rests on this row"),

        NULL,
};

static const char *const schema_4[] = {
        /* The signed heads of the audit log: audit_head.h. */
        "CREATE TABLE audit_head ("
        " size INTEGER PRIMARY KEY CHECK (size > 0),"
        " root BLOB NOT NULL CHECK (length(root) = 32),"
        " time_ns INTEGER NOT NULL,"
        " key INTEGER NOT NULL CHECK (key > 0),"
        " signature BLOB NOT NULL CHECK (length(signature) = 64)"
        ") STRICT",
        "CREATE TRIGGER audit_head_order BEFORE INSERT ON audit_head"
        " WHEN NEW.size <= (SELECT max(size) FROM audit_head)" REFUSE("heads of the log go forwards"),
        NEVER_CHANGED("audit_head"),

        NULL,
};

static const char *const schema_5[] = {
        /* ---- samples: backend/sample.h ---- */
        "CREATE TABLE series ("
        " id INTEGER PRIMARY KEY,"
        " name TEXT NOT NULL,"
        " labels TEXT NOT NULL,"
        " last_s INTEGER NOT NULL," /* about the time of the last sample: sample.c */
        " UNIQUE (name, labels)"
        ") STRICT",
        /* By time first, so that what is measured at one moment lies on few pages: a round of 60 series writes some 4
         * pages and not 180. A foreign key would need an index by series. */
        "CREATE TABLE sample ("
        " period INTEGER NOT NULL CHECK (period > 0),"          /* seconds that one row sums up */
        " time_s INTEGER NOT NULL CHECK (time_s % period = 0)," /* its beginning, since 1970 */
        " series INTEGER NOT NULL,"
        " count REAL NOT NULL CHECK (count > 0),"
        " sum REAL NOT NULL,"
        " least REAL NOT NULL,"
        " most REAL NOT NULL,"
        " PRIMARY KEY (period, time_s, series)"
        ") STRICT, WITHOUT ROWID",
        /* ---- charges: backend/charge.h ---- */
        "CREATE TABLE charge ("
        " month INTEGER NOT NULL," /* 202611, of UTC */
        " zone INTEGER NOT NULL,"
        " kind TEXT NOT NULL,"
        " quantity REAL NOT NULL CHECK (quantity >= 0),"
        " PRIMARY KEY (month, zone, kind)"
        ") STRICT, WITHOUT ROWID",

        /* ---- alarms: backend/alarm_row.h ---- */
        "CREATE TABLE alarm ("
        " name TEXT NOT NULL PRIMARY KEY,"
        " state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 2),"
        " since_ns INTEGER NOT NULL,"
        " reason TEXT NOT NULL,"
        " silent_until_ns INTEGER NOT NULL DEFAULT 0,"
        " silent_reason TEXT NOT NULL DEFAULT ''"
        ") STRICT, WITHOUT ROWID",
        "CREATE TABLE alarm_event ("
        " id INTEGER PRIMARY KEY,"
        " alarm TEXT NOT NULL,"
        " time_ns INTEGER NOT NULL,"
        " kind INTEGER NOT NULL,"
        " before INTEGER NOT NULL,"
        " after INTEGER NOT NULL,"
        " is_silent INTEGER NOT NULL DEFAULT 0,"
        " reason TEXT NOT NULL"
        ") STRICT",
        "CREATE INDEX alarm_event_alarm ON alarm_event (alarm, id)",
        "CREATE TABLE alarm_action ("
        " id INTEGER PRIMARY KEY,"
        " event INTEGER NOT NULL REFERENCES alarm_event (id),"
        " target TEXT NOT NULL,"
        " state INTEGER NOT NULL," /* waiting, done, dead */
        " attempts INTEGER NOT NULL DEFAULT 0,"
        " due_ns INTEGER NOT NULL,"
        " error TEXT NOT NULL DEFAULT '',"
        " body TEXT NOT NULL"
        ") STRICT",
        "CREATE INDEX alarm_action_event ON alarm_action (event)",
        "CREATE INDEX alarm_action_due ON alarm_action (due_ns, id) WHERE state = 0",

        /* ---- runs of workflows: backend/run.h ---- */
        "CREATE TABLE run ("
        " id INTEGER PRIMARY KEY,"
        " workflow TEXT NOT NULL,"
        " cause INTEGER NOT NULL," /* schedule, catching up, by hand, after another, again */
        " state INTEGER NOT NULL,"
        " attempt INTEGER NOT NULL DEFAULT 1,"
        " due_ns INTEGER NOT NULL,"
        " started_ns INTEGER NOT NULL DEFAULT 0,"
        " ended_ns INTEGER NOT NULL DEFAULT 0,"
        " uid INTEGER NOT NULL,"
        " total INTEGER NOT NULL DEFAULT 0,"
        " passed INTEGER NOT NULL DEFAULT 0,"
        " failed INTEGER NOT NULL DEFAULT 0,"
        " errors INTEGER NOT NULL DEFAULT 0,"
        " skipped INTEGER NOT NULL DEFAULT 0,"
        " retried_by INTEGER NOT NULL DEFAULT 0,"
        " words TEXT NOT NULL DEFAULT ''"
        ") STRICT",
        "CREATE INDEX run_workflow ON run (workflow, id)",
        "CREATE INDEX run_open ON run (id) WHERE ended_ns = 0",
        /* Nothing that comes by itself comes twice for the same time, whatever becomes of the clock. */
        "CREATE UNIQUE INDEX run_due ON run (workflow, due_ns) WHERE cause IN (1, 2, 4)",
        /* Jobs are removed by themselves, so they are not referred to. */
        "CREATE TABLE run_job (job INTEGER PRIMARY KEY, run INTEGER NOT NULL) STRICT",
        "CREATE INDEX run_job_run ON run_job (run, job)",
        "CREATE TRIGGER run_deleted AFTER DELETE ON run BEGIN DELETE FROM run_job WHERE run = OLD.id; END",
        /* A job's end is its run's, in one operation. Outcomes of record.h: 2 passed, 3 failed, 4 error. */
        "CREATE TRIGGER run_counted AFTER UPDATE OF state ON job WHEN OLD.state < 2 AND NEW.state >= 2"
        " AND EXISTS (SELECT 1 FROM run_job WHERE job = NEW.id) BEGIN"
        " UPDATE run SET"
        " passed = passed + coalesce((SELECT outcome = 2 FROM verdict WHERE id = NEW.verdict), 0),"
        " failed = failed + coalesce((SELECT outcome = 3 FROM verdict WHERE id = NEW.verdict), 0),"
        " errors = errors + coalesce((SELECT outcome = 4 FROM verdict WHERE id = NEW.verdict), 0),"
        " skipped = skipped + (NEW.verdict IS NULL)"
        " WHERE ended_ns = 0 AND id = (SELECT run FROM run_job WHERE job = NEW.id); END",
        /* What is published and did not pass when it was judged again. */
        "CREATE TABLE stale ("
        " version INTEGER PRIMARY KEY REFERENCES version (id),"
        " verdict INTEGER NOT NULL REFERENCES verdict (id),"
        " time_ns INTEGER NOT NULL"
        ") STRICT",

        NULL,
};

static const char *const schema_6[] = {
        /* Which segments take a key of a folder's own beside their zone's. */
        "CREATE TABLE segment_own ("
        " number INTEGER PRIMARY KEY REFERENCES segment (number) ON DELETE CASCADE,"
        " name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 20),"
        " version INTEGER NOT NULL CHECK (version > 0)"
        ") STRICT",
        "CREATE TRIGGER segment_own_update BEFORE UPDATE ON segment_own" REFUSE("segments keep their key"),

        NULL,
};

const char *const *const meta_schemas[] = {schema_1, schema_2, schema_3, schema_4, schema_5, schema_6};
