/*
 * policy: what policy.yaml says, checked word by word.
 *
 * A policy is parsed from a bundle (policy.yaml and the rules files it names). What the document says and the engine
 * does not do yet is still validated: a dataset that asks for it carries the words in `unsupported` and gets the
 * verdict `error`. Nothing is silently ignored: an unknown key is an error that names file, line, column and the keys
 * there are.
 *
 * A Policy does not change after policy_parse, so any number of threads may read it. Pointers that accessors return
 * belong to the policy.
 */
#pragma once

#include "policy/alarm/evaluate.h"
#include "policy/bundle.h"
#include "policy/cron.h"
#include "policy/dqdl/value.h"
#include "policy/glob.h"
#include "policy/privacy/privacy.h"

#include <stdbool.h>
#include <sys/types.h>

typedef struct Policy Policy;

enum policy_file_type { POLICY_FILE_DETECT, POLICY_FILE_CSV, POLICY_FILE_JSONL, POLICY_FILE_TEXT };
enum policy_header { POLICY_HEADER_DETECT, POLICY_HEADER_YES, POLICY_HEADER_NO };
enum policy_on_failure { POLICY_REFUSE, POLICY_SPLIT };

/* How the file is written; what is 0 is detected. */
struct policy_format {
	enum policy_file_type type;
	char delimiter; /* one ASCII byte */
	char quote;     /* one ASCII byte; POLICY_QUOTE_NONE: the file knows no quotes */
	char escape;    /* one ASCII byte; POLICY_QUOTE_NONE: quotes are doubled only */
	enum policy_header header;
};
#define POLICY_QUOTE_NONE ((char)0x7f)

/* Which cells are null: as Glue reads a CSV, empty cells, none at all, or those with one of `words`. */
enum policy_nulls { POLICY_NULLS_GLUE, POLICY_NULLS_EMPTY, POLICY_NULLS_NONE, POLICY_NULLS_WORDS };

#define POLICY_REFERENCES_MAX 16 /* of one dataset */
struct policy_reference {
	const char *alias; /* how rules call it */
	const char *path;  /* `Trusted/…` */
	unsigned line;
};

struct policy_dataset {
	const char *name;
	const char *match;      /* a pattern of policy/glob.h, below a zone */
	const char *rules_file; /* its name in the bundle; NULL: no rules, and then `privacy` is there */
	struct bytes rules;     /* its text */
	struct policy_format format;
	const char *keep; /* SQL expression over one row, or NULL */
	const struct policy_reference *references;
	size_t reference_count;
	const struct privacy *privacy; /* NULL: none */
	const struct privacy_groups *groups;
	size_t group_count;
	const char *key; /* of its own, without "alias/"; NULL: none */
	enum policy_on_failure on_failure;
	enum policy_nulls nulls;
	const char *const *null_words;
	size_t null_word_count;
	const struct column_given *types; /* of columns whose type is not to be inferred */
	size_t type_count;
	unsigned settle_ms;          /* quiet time after the last change before an arrival is judged */
	const char *complete_marker; /* pattern of the marker file, or NULL */
	const char *complete_sha256; /* pattern of the checksum file, or NULL */
	bool withdraw;           /* `on_recheck_failure: withdraw`: a failed recheck takes the file out of Trusted */
	unsigned line;           /* where it stands in policy.yaml */
	const char *unsupported; /* NULL, or what it asks for that this version does not do, in words with the line */
};
#define POLICY_SETTLE_MS_DEFAULT 1000u
#define POLICY_SETTLE_MS_MAX 3600000u
#define POLICY_TYPES_MAX 16384u

/* Content that has a key of its own beside its zone's (backend/store_keys.h). */
struct policy_key {
	const char *match; /* a pattern of policy/glob.h, below a zone */
	const char *name;  /* without "alias/"; NULL: a dataset without one */
	unsigned line;
};
#define POLICY_KEYS_MAX 2000u

enum policy_trigger { POLICY_ON_CLOSE, POLICY_ON_CRON, POLICY_ON_DEMAND, POLICY_ON_AFTER };

struct policy_workflow {
	const char *name;
	const char *dataset;
	const char *from, *to; /* zone names */
	enum policy_trigger on;
	const char *cron;     /* five fields, or NULL */
	const char *timezone; /* IANA name; "UTC" where not given; NULL without cron */
	struct cron schedule; /* with cron */
	const TimeZone *zone;
	const char *const *after; /* names of workflows that it follows */
	size_t after_count;
	unsigned time_limit_s; /* 0: none */
	unsigned retries, retry_after_s;
	bool catches_up; /* once for what was missed */
	bool is_enabled; /* else it is run by hand alone */
	unsigned line;
};

#define POLICY_TIME_LIMIT_S_MAX (168u * 3600)
#define POLICY_RETRIES_MAX 10u
#define POLICY_RETRY_AFTER_S_DEFAULT 60u

/* Which versions may go (backend/expire.h has what the words mean). */
struct policy_lifecycle {
	const char *name; /* "rule in line 15" where it has none */
	const char *zone;
	const char *prefix;           /* of the path below the zone; "": all */
	unsigned noncurrent_versions; /* so many newer noncurrent ones stay */
	unsigned noncurrent_days;     /* from 1 */
	unsigned line;
};
#define POLICY_LIFECYCLE_MAX 1000u
#define POLICY_NONCURRENT_VERSIONS_MAX 1000u
#define POLICY_NONCURRENT_DAYS_MAX 36500u

/* Levels of zstd at which blocks of a zone are compressed before they are sealed; 0: they are not. */
struct policy_compression {
	unsigned landing, raw, trusted;
};
#define POLICY_COMPRESSION_MAX 19u

/* What becomes of old records of the audit log (fs/retention.h). */
struct policy_audit {
	unsigned archive_after_days; /* sealed in archives when older than so many days, from 1 */
	const char *ship;            /* the directory that these are copied to, an absolute path; NULL: none */
	unsigned keep_days;          /* 0: all stay in the log; else pruned when older, and shipped */
	unsigned line;
};

/* What storage costs (policy/prices.h). */
struct policy_costs {
	const char *profile;     /* of the price file */
	const char *prices_file; /* its name in the bundle; NULL: the one that the program has in it */
	struct bytes prices;     /* its text */
	double usd_per_gb_month; /* instead of the profile's; less than 0: not given */
	unsigned line;
};

/* A series that an alarm looks at, as it is measured once a minute (backend/sample.h). */
enum alarm_statistic { ALARM_AVERAGE, ALARM_SUM, ALARM_MINIMUM, ALARM_MAXIMUM, ALARM_SAMPLE_COUNT };
struct policy_alarm_metric {
	const char *id;     /* how the expression calls it; "" where there is none */
	const char *metric; /* "EstimatedCharges" */
	const char *labels; /* "key=value,key=value" by key; "" for none */
	enum alarm_statistic statistic;
};

struct policy_alarm {
	const char *name;
	const struct policy_alarm_metric *metrics;
	size_t metric_count;
	const char *expression; /* of alarm/expression.h over the ids; NULL: of the one metric */
	struct alarm_rule rule;
	const char *unit;             /* or NULL */
	const char *description;      /* or NULL */
	const char *const *notify[3]; /* by the state that it changes to (enum alarm_state) */
	size_t notify_count[3];
	bool is_enabled; /* else its state is kept, and nobody is told */
	unsigned line;
};
#define POLICY_ALARMS_MAX 1000u
#define POLICY_ALARM_TARGETS_MAX 20u /* for one state */

/* Where mail of alarms is handed in. */
struct policy_mail {
	const char *server; /* smtp://host:port or smtps:// */
	const char *from;
	unsigned line;
};

/*
 * Parses the bundle's policy.yaml. Errors are -EINVAL with `policy.yaml:LINE:COLUMN: what is wrong; what would be
 * right`, -ENOENT when a rules file that it names is not in the bundle, -ENOMEM. The bundle stays the caller's.
 * Rules files are checked to be UTF-8 text; whether they parse as DQDL says policy_check_rules.
 */
int policy_parse(const PolicyBundle *bundle, Policy **ret_policy);

/*
 * Whether the rules of each dataset parse and are any: -EINVAL with `FILE:LINE:COLUMN: what is wrong`. To be asked
 * before a policy comes into force, as a mistake would show only later, as the verdict `error` on every file.
 */
int policy_check_rules(const Policy *policy);

/* Can rules and `keep` be decided at all (dqdl/lint.h)? For a policy that is to come into force: one that is stays as
 * it is. -EINVAL with words; -ENOMEM. */
int policy_lint_rules(const Policy *policy);

/* The policy of a vault that has none yet: governs nothing, the mounting user holds every role. */
int policy_empty(Policy **ret_policy);
void policy_free(Policy *policy);
DEFINE_CLEANUP(Policy, policy_free);

bool policy_is_empty(const Policy *policy);

/* SHA-256 of the bundle that it was parsed from; 32 zero bytes for the empty policy. */
const uint8_t *policy_sha256(const Policy *policy);

/* ---- keys ---- */

/* Those of `keys`, then those of datasets; none at all where nobody has one. NULL past the last. */
size_t policy_key_count(const Policy *policy);
const struct policy_key *policy_key(const Policy *policy, size_t i);

/* The first that matches the path below a zone, also of a file that is ignored; NULL: it has none. */
const struct policy_key *policy_key_for(const Policy *policy, const char *path);

/* ---- datasets ---- */

/* In the order of the document; NULL past the last, or where none has the name. */
size_t policy_dataset_count(const Policy *policy);
const struct policy_dataset *policy_dataset(const Policy *policy, size_t i);
const struct policy_dataset *policy_dataset_named(const Policy *policy, const char *name);

/* The dataset that governs `path` (below its zone, so without `Landing/`): the first whose pattern matches; NULL: none,
 * or the name is on the ignore list. */
const struct policy_dataset *policy_dataset_for(const Policy *policy, const char *path);

/* Does a dataset govern `path`, or may one govern names below it? */
bool policy_reaches(const Policy *policy, const char *path);

/* The dataset whose pattern came closest to a path that none governs, for telling a person; NULL if none is near. One
 * that only the case of letters keeps apart comes first, then one whose file name fits, then the nearest spelling.
 * *ret_how (may be NULL) says which. */
const struct policy_dataset *policy_dataset_closest(const Policy *policy, const char *path, enum glob_miss *ret_how);

/* The same in words: which dataset, its pattern, in what the path differs, and what would help; "" when none is near.
 */
#define POLICY_CLOSEST_BYTES (2 * GLOB_PATTERN_MAX + 512)
void policy_closest_words(const Policy *policy, const char *path, char ret_words[static POLICY_CLOSEST_BYTES]);

/* Is this a name that never arrives (an editor's or a copier's temporary file)? Patterns without '/' look at the last
 * component, others at the whole path. */
bool policy_ignored(const Policy *policy, const char *path);

/* The ignore list in force: the built-in one, then the document's own. NULL at the end. */
const char *policy_ignore_pattern(const Policy *policy, size_t i);

/* ---- workflows, lifecycle, alarms ---- */

/* As datasets. */
size_t policy_workflow_count(const Policy *policy);
const struct policy_workflow *policy_workflow(const Policy *policy, size_t i);
const struct policy_workflow *policy_workflow_named(const Policy *policy, const char *name);

/* Does an arrival of this dataset start a check by itself? With no workflow for the dataset at all: yes. */
bool policy_runs_on_arrival(const Policy *policy, const struct policy_dataset *dataset);

/* Rules and alarms that the document names, in its order; NULL past the last. */
size_t policy_lifecycle_count(const Policy *policy);
const struct policy_lifecycle *policy_lifecycle(const Policy *policy, size_t i);

/* `audit` of the document; NULL: it has none, and nothing is archived by itself. */
const struct policy_audit *policy_audit(const Policy *policy);

/* `compression` of the document; all 0 where it has none. */
const struct policy_compression *policy_compression(const Policy *policy);

/* `costs` of the document; NULL: it has none. */
const struct policy_costs *policy_costs(const Policy *policy);
size_t policy_alarm_count(const Policy *policy);
const struct policy_alarm *policy_alarm(const Policy *policy, size_t i);

/* "Average" …, as the document spells it. */
const char *alarm_statistic_word(enum alarm_statistic statistic);

/* `mail` of the document; NULL: it has none. */
const struct policy_mail *policy_mail(const Policy *policy);

/* What the document asks for and this version does not run yet, a sentence each with file and line. */
size_t policy_warning_count(const Policy *policy);
const char *policy_warning(const Policy *policy, size_t i);

/* Tells what in the document counts no more at `now_s` (seconds since 1970, UTC): entries of `allow`, and grants, whose
 * day is past. A sentence each, with file and line, valid in the call. */
typedef void policy_ended_fn(void *context, const char *words);
void policy_ended(const Policy *policy, int64_t now_s, policy_ended_fn *each, void *context);

/* ---- roles ---- */

enum policy_role { ROLE_STEWARD, ROLE_INGESTER, ROLE_ANALYST, ROLE_AUDITOR, ROLE_COUNT };
const char *policy_role_name(enum policy_role role);

/* And back; ROLE_COUNT: no role has the name. */
enum policy_role policy_role_named(const char *name);

/* Who asks. `is_mounter`: this uid made the mount; it holds all roles as long as the policy names none. */
struct policy_actor {
	uid_t uid;
	gid_t gid;
	const gid_t *groups; /* supplementary */
	size_t group_count;
	bool is_mounter;
	unsigned lent; /* bits 1 << role: roles that a grant lends for a while, in a policy that names roles */
	unsigned held; /* the same bits: roles by a token of the HTTP address, whatever the policy names */
};

/*
 * Names in `roles`, `grants` and `break_glass` mean the ids they had when the policy was applied, so that a later
 * change of /etc/passwd moves no role. policy_resolve_roles looks each name up on this machine (unknown: -EINVAL naming
 * the line), and puts the table into the bundle as BUNDLE_IDS, from where policy_parse takes it. Call it before the
 * bundle is stored; the bundle's hash changes with it. Does nothing when the document has no roles.
 */
int policy_resolve_roles(const Policy *policy, PolicyBundle *bundle);

/* Does the document name roles at all? */
bool policy_has_roles(const Policy *policy);

/* Does the actor hold the role? Names not resolved yet are held by nobody. */
bool policy_role_holds(const Policy *policy, enum policy_role role, const struct policy_actor *actor);

/* Does anybody hold it by name (a user or a group that was found)? A policy whose roles name no steward could never be
 * changed again. */
bool policy_role_is_given(const Policy *policy, enum policy_role role);

/* The matrix of the design: what a role may reach, on top of mode bits and ACLs. */
enum policy_place {
	PLACE_LANDING,
	PLACE_RAW,
	PLACE_TRUSTED,
	PLACE_AUDIT,
	PLACE_QUARANTINE,
	PLACE_POLICY,
	PLACE_KEYS,
	PLACE_COUNT
};
enum policy_access { POLICY_READ, POLICY_WRITE };
bool policy_permits(
        const Policy *policy, enum policy_place place, enum policy_access access, const struct policy_actor *actor);

/* As policy_permits; *ret_role is the role that lets the actor, ROLE_COUNT when none does or none is named. */
bool policy_permitting_role(const Policy *policy, enum policy_place place, enum policy_access access,
        const struct policy_actor *actor, enum policy_role *ret_role);

/* ---- grants: what some may reach beside their roles, until a day ---- */

/* How a path is reached. Where only a directory's names below it are granted it is searched for them and not listed. */
enum policy_reach {
	POLICY_REACH_SEARCH, /* of a directory, for the path: what is granted, or leads there */
	POLICY_REACH_LIST,   /* of a directory, all its names */
	POLICY_REACH_READ,
	POLICY_REACH_WRITE,
	POLICY_REACH_BELOW, /* of a directory, whatever is below it at any depth, to write: to give it another name */
};

/* Whether a grant to read does not do. */
static inline bool policy_reach_writes(enum policy_reach reach) {
	return reach == POLICY_REACH_WRITE || reach == POLICY_REACH_BELOW;
}

struct policy_grant {
	const char *dataset; /* its files in Trusted; NULL: see path */
	const char *path;    /* a pattern of policy/glob.h behind the name of a zone; NULL: see dataset */
	bool write;
	int64_t until_s; /* the first second after it */
	const char *reason;
	unsigned line;
};
#define POLICY_GRANTS_MAX 1000

/* As datasets. */
size_t policy_grant_count(const Policy *policy);
const struct policy_grant *policy_grant(const Policy *policy, size_t i);

/* The first grant that gives the actor `reach` of `path` (with its zone) at that time; NULL: none. */
const struct policy_grant *policy_granted(const Policy *policy, const struct policy_actor *actor, const char *path,
        enum policy_reach reach, int64_t now_s);

/* Is the grant this actor's, whatever it is of and however long? */
bool policy_grant_is_of(const Policy *policy, size_t i, const struct policy_actor *actor);

/* Whom it names, for a person: "bo, anna, group ingest". Returns `ret_words`. */
#define POLICY_GRANTEES_BYTES 256
const char *policy_grant_words(const Policy *policy, size_t i, char ret_words[static POLICY_GRANTEES_BYTES]);

/* May the actor lend himself a role or a path when nobody who could do it is there (`break_glass`)? */
bool policy_breaks_glass(const Policy *policy, const struct policy_actor *actor);
