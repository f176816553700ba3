/*
 * gate: what stands between Landing and Trusted, and before every write into Trusted. There is no second door.
 *
 *     close, rename, link in Landing ─ gate_arrived ─► job (same transaction) ── settles ──┐
 *                                                                                          ▼
 *                                          Raw ◄── capture ── one pass ── check in a worker ─► verdict, signed
 *                                                                                          │
 *     write into Trusted ─ staging ─ FLUSH ─ gate_judge_staged ─ check ─► verdict, signed ─┤
 *     restore, rename inside Trusted ───── gate_judge_version ── check ─► verdict, signed ─┤
 *                                                                                          ▼
 *                                             passed: publish, re-sealed under Trusted's key │ else: quarantine
 *
 * Publication copies the judged bytes, hashes them again on the way, and seals them on the verdict's row in one meta
 * operation with the name's change and the audit record; a hash that differs from the verdict's publishes nothing.
 *
 * Paths here: `below` is a path below its zone ("animals/a.csv"), `path` one with it ("Landing/animals/a.csv").
 * One path is judged by one thread at a time; different paths in parallel, each user's in turn. A verdict publishes
 * only while the policy that it was given under is in force: when another came in between, the file is judged anew.
 * Thread-safe. Lock order: the gate's own locks are never held while a meta operation or a content is waited for,
 * except by gate_arrived, which only reads the policy in force, and by gate_apply, which lets one policy after the
 * other in.
 */
#pragma once

#include "backend/audit.h"
#include "backend/content.h"
#include "backend/job.h"
#include "backend/record.h"
#include "backend/run.h"
#include "backend/store.h"
#include "backend/tree.h"
#include "policy/gate/gate_stats.h"
#include "policy/policy.h"
#include "policy/worker.h"

#include <stdatomic.h>

typedef struct Gate Gate;

/* The policy in force, counted: gate_policy takes it, gate_policy_done gives it back. `number` 0: the vault has none.
 */
struct gate_policy {
	Policy *policy;
	uint64_t number;
	bool *new_keys; /* of each policy_key, whether its coming into force made it; NULL: none was made */
	atomic_uint users;
};

/*
 * Called after the daemon itself changed what a name shows (no lock held): `parent_ino` and `name` are the entry,
 * `old_ino` the inode that it showed before, 0 for none.
 */
typedef void gate_changed_fn(void *arg, uint64_t parent_ino, struct bytes name, uint64_t old_ino);

/* The same after a file was erased: nothing that was read of inode `ino` may be shown any more. `name` of size 0: it
 * had none, but somebody may have it open. */
typedef void gate_erased_fn(void *arg, uint64_t parent_ino, struct bytes name, uint64_t ino);

/* What is longer, or has more bytes in holes, is not read: its verdict is `error`. A hole costs its writer nothing, and
 * everybody else the time in which it is read as zeros. */
#define GATE_FILE_BYTES_MAX (UINT64_C(64) << 30)
#define GATE_HOLE_BYTES_MAX (UINT64_C(64) << 20)

struct gate_options {
	gate_changed_fn *changed; /* may be NULL */
	gate_erased_fn *erased;   /* may be NULL; its argument is changed_arg */
	void *changed_arg;
	/* Whether somebody has the inode open for writing; no lock held. May be NULL: nobody. Argument: changed_arg. */
	bool (*is_written)(void *arg, uint64_t ino);
	unsigned threads; /* that run jobs; 0: 8, and no more than that */
	uint32_t mounter; /* uid that holds all roles while the policy names none */
};

/*
 * Reads the policy in force and starts the job threads. `store` and `spawner` must outlive the gate. A stored policy
 * that can't be read is an error: the gate doesn't guess.
 */
int gate_start(Store *store, Spawner *spawner, const struct gate_options *options, Gate **ret_gate);

/* Breaks off running jobs, which the next mount runs anew as it does the queued ones, and frees. Accepts NULL. */
void gate_stop(Gate *gate);
DEFINE_CLEANUP(Gate, gate_stop);

/* A key can be had again: what waited for it is tried at once. */
int gate_keys_back(Gate *gate);

/* What it decided since it was started; lives as long as it does. */
GateStats *gate_stats(Gate *gate);

/* ---- the policy ---- */

/* Never NULL; give it back with gate_policy_done. */
struct gate_policy *gate_policy(Gate *gate);
void gate_policy_done(struct gate_policy *policy);

/* gate_policy_done for _cleanup_. NULL is fine. */
static inline void gate_policy_donep(struct gate_policy **slot) {
	if (*slot)
		gate_policy_done(*slot);
	*slot = NULL;
}

/*
 * Puts a policy in force: the bundle's archive is parsed, roles resolved, stored and audited in one operation; governed
 * files in Landing that have not passed yet arrive anew. The same bundle as the one in force changes nothing
 * (*ret_changed false). Keys that it names and the vault has not are made first (store_key_own). -EINVAL with the file
 * and line at fault; -EPERM when it would leave no steward, or take the role from `stays_steward` (NULL: from whom it
 * will). `actor_name` is who applied it, as a person reads it.
 */
int gate_apply(Gate *gate, struct bytes archive, const struct actor *actor, const char *actor_name,
        const struct policy_actor *stays_steward, uint64_t *ret_number, bool *ret_changed);

/* What is written anew into `content`, which is no file that stands at its place (that is asked by itself), gets the
 * key of its own that the policy gives to `below`. Not in an operation. -ENOKEY: the vault does not have it. */
int gate_key_content(Gate *gate, Content *content, const char *below);

/* ---- files that were judged before ---- */

/* A file held against a policy that came after its verdict. */
struct gate_rechecked {
	const char *path;    /* with its zone */
	const char *dataset; /* that governs it then; NULL: none */
	enum outcome now;    /* what is said of it */
	enum outcome then;   /* by that policy; OUTCOME_NONE: it says nothing of the file */
	const char *reason;  /* NULL: it passes */
	uint64_t done, total;
};
/* Called for each file, changed or not; texts are borrowed. Negative: breaks off. No lock is held. */
typedef int gate_rechecked_fn(void *arg, const struct gate_rechecked *rechecked);

/*
 * What would change if the policy came into force: each file in Trusted, and each in Landing that has not passed, is
 * checked by it; nothing is stored or recorded. Errors as gate_apply, or the callback's.
 */
int gate_foresee(Gate *gate, struct bytes archive, const struct actor *actor, gate_rechecked_fn *each, void *arg);

/*
 * Checks each file in Trusted by the policy in force. Each gets a verdict; what fails is withdrawn in the same
 * operation: its name goes, its version is shown no longer, and stands in quarantine. A file that no dataset governs
 * any more, or that could not be checked, stays as it is. When it is broken off, what was done is done.
 */
int gate_recheck(Gate *gate, const struct actor *actor, gate_rechecked_fn *each, void *arg);

/* ---- arrivals ---- */

/*
 * Queues the check of what now stands at `path` in Landing; to be called inside the meta operation that gave the name
 * its content (seal, rename, exchange, link, recovery). Does nothing for names that are ignored or that no dataset
 * governs. `version` must be sealed. The detail of a record that it makes says what it supersedes.
 */
int gate_arrived(Gate *gate, Meta *m, const char *path, uint64_t node, uint64_t version, const struct actor *actor);

/* The same for each name in Landing that the node has: its content changed, and hard links show it all. Beyond 64 names
 * one job, a second later, queues them in steps; until then they show what was said of the former content. */
int gate_arrived_everywhere(Gate *gate, Meta *m, uint64_t node, uint64_t version, const struct actor *actor);

/* The same for all files below a directory of Landing that got this path: a job of its own walks it, as there may be
 * many. */
int gate_arrived_directory(Gate *gate, Meta *m, const char *path, uint64_t node, const struct actor *actor);

/* As store_options.arrived wants it, for recovery, before there is a Gate: queues the job for whatever dataset the
 * stored policy names. `arg` is unused. */
int gate_recovered(Meta *m, const struct version *version, void *arg);

/*
 * Runs a workflow by hand: queues a check of all files in its `from` zone, as a run of its own (backend/run.h), which
 * ends with the last of them: what is given is how it stands then. -ENOENT: no such workflow (the words name those
 * there are). -EBUSY: a run of it is going.
 */
int gate_run(Gate *gate, const char *workflow, const struct actor *actor, struct run *ret_run);

/* Waits until no job is queued or running, or `seconds` are over (-ETIME). */
int gate_wait_idle(Gate *gate, unsigned seconds);

/* ---- writes into Trusted ---- */

/* What a name in Trusted is to the gate. */
enum gate_name {
	GATE_GOVERNED,  /* a dataset governs it: content needs a verdict */
	GATE_TEMPORARY, /* none does: private to its writer until it is renamed to a governed name */
};
enum gate_name gate_name_of(Gate *gate, const char *below);

/* Whether a dataset governs the name, or may govern names below it: what one finds there must have been judged as that.
 */
bool gate_reaches(Gate *gate, const char *below);

/* Whether the name is on the policy's ignore list: an editor's or a copier's temporary file. */
bool gate_ignores(Gate *gate, const char *below);

/*
 * Judges the draft of a staging node as new content of Trusted/`below`: seals it in staging, checks it, and publishes
 * or quarantines it. 0: published, or there was no draft. -EPERM: refused, the words name the rule and `assayfs why`.
 * Other errors: not decided, not published; the sealed content stays in staging. Mode and owner are those of the
 * staging node.
 */
int gate_judge_staged(Gate *gate, Content *staged, const char *below, const struct actor *actor);

/*
 * A draft of a governed staging node that nobody will close any more: sealed in staging, refused with a verdict that
 * says why (empty, or closed otherwise than by its opener), never published. 0, or what kept it from being recorded.
 */
int gate_refuse_staged(Gate *gate, Content *staged, const char *below, const struct actor *actor);

/*
 * What is written into Trusted has no name in the tree until it is published. So that a crash does not lose what was
 * fsynced, the staging node's path and writer are kept in a row of their own from its making (and from each new
 * temporary name) on, until gate_staged_forget or its publication takes the row away. At the next gate_start:
 *
 *     fsynced, not closed                         sealed by recovery ─► quarantine, with the verdict `error`
 *     closed (gate_judge_staged had begun)        judged ─► published, if its name still shows what it did; or
 * quarantine temporary name (no dataset), fsynced        quarantine, with the verdict `error` anything else nothing was
 * promised: forgotten
 *
 * Both in the running meta operation.
 */
int gate_staged_note(Meta *m, uint64_t node, const char *below, const struct actor *actor);
int gate_staged_forget(Meta *m, uint64_t node);

/* A temporary file that nobody writes any more has come under a dataset: queued to be judged as what its name says now,
 * and published or put into quarantine like one that a crash left closed. In the running meta operation. */
int gate_staged_judge(Gate *gate, Meta *m, uint64_t node);

/*
 * Judges version `version` of `node` (sealed, of any zone) as new content of Trusted/`below` and publishes it there.
 * When `from_parent` is not 0, the name `from_name` in it is removed in the same operation (a rename inside Trusted).
 * Errors as gate_judge_staged.
 */
int gate_judge_version(Gate *gate, uint64_t node, uint64_t version, const char *below, const struct actor *actor,
        uint64_t from_parent, struct bytes from_name);

/* Asked inside the operation that restores, before anything changes: whether `version` may become what the name shows.
 * 0, or -EACCES with words. */
typedef int gate_restore_allow(void *arg, Meta *m, const struct version *version);

/*
 * Makes version `ordinal` of the name `path` (as version_list_path counts) its content again: in Landing as a new
 * version that arrives, in Trusted through the gate. -ENOENT: no such path or version; -EPERM for Raw and for what was
 * refused; -EBUSY while somebody has the file open for writing: that writer would get -EROFS from then on. A name has
 * had versions of several owners: `allow` (NULL: nobody is asked) tells whether this one may be had by who asks.
 */
int gate_restore(Gate *gate, const char *path, uint64_t ordinal, const struct actor *actor, gate_restore_allow *allow,
        void *allow_arg, uint64_t *ret_ordinal);

/* ---- what is held in quarantine ---- */

#define GATE_REASON_BYTES_MAX 1000

/* What a steward decides about a row of the quarantine; the caller has made sure that it is one. */
struct gate_decision {
	uint64_t id;
	const char *reason;      /* needed: UTF-8, no longer than GATE_REASON_BYTES_MAX */
	const char *by;          /* the steward's name, as a person reads it */
	int64_t waiver_until_ns; /* 0: it has to pass; later than now: it may go without */
	struct actor actor;
};

/*
 * Lets out what is held, if its dataset lets it pass by the policy now in force, or with a waiver: then whatever the
 * check says, with a verdict of its own that says so, and until when. Of a file that was split the whole file is let
 * out. *ret_waived: it did not pass, and the waiver was needed. The row is released in the operation that publishes.
 * -EPERM: it does not pass (the words say why; recorded), its dataset is gone, or it was never read. -EBUSY: Trusted
 * shows something newer than what is held. -EALREADY: decided before. -EINVAL: no reason, or a time that is over.
 * -ENOENT.
 */
int gate_release(Gate *gate, const struct gate_decision *decision, bool *ret_waived);

/* Decides that it is not waited for any longer. The bytes stay a version, until gate_erase. Errors as above. */
int gate_drop(Gate *gate, const struct gate_decision *decision);

/* Until when the version in Trusted is waived; 0: it is not. Between meta_begin and meta_end. */
int gate_waived_until(Meta *m, uint64_t version, int64_t *ret_until_ns);

/* Calls `each` for every waived file that Trusted shows, also when its time is over. Between meta_begin and meta_end.
 */
typedef int gate_waiver_fn(void *arg, const char *path, int64_t until_ns);
int gate_waivers(Meta *m, gate_waiver_fn *each, void *arg);

/* ---- erasing ---- */

/*
 * A file is erased as what it is in all zones, under all names, with all that was made of it:
 *
 *      Landing ── the whole node: what is written over a file is a version of the same file
 *         │ capture                         ▲ restore
 *         ▼                                 │
 *      Raw ─── publication ─► Trusted       └─ by lineage, to and fro, version by version
 *         └─── quarantine: what was refused, and the rows that were withheld of it
 *
 * A name that shows an erased version ends. Of a name in Raw or Trusted that showed other files as well, the versions
 * made of those stay (`kept`), and come back by a restore or the next arrival.
 *
 * Not the same file, and told instead: what shares blocks with it (GATE_SHARES: a copy by copy_file_range, which keeps
 * its bytes), what stands under its name in another zone and was not made of it (GATE_LEFT: perhaps to be named too),
 * and verdicts for which a rule looked at it (`referrers`; they hold its SHA-256).
 *
 * An exact erasure takes the versions that are given and follows nothing, or downwards alone (takes_made): a redacted
 * text in Trusted need not hold what was looked for, and may tell of the same person by other words.
 */

/* A set of versions, the caller's; all zero: none. */
struct gate_versions {
	uint64_t *ids; /* ascending */
	size_t count, room;
};
int gate_versions_add(struct gate_versions *set, uint64_t id);
/* Where in `ids` it stands; NULL: it is none of them. */
const uint64_t *gate_versions_find(const struct gate_versions *set, uint64_t id);
void gate_versions_free(struct gate_versions *set);

/*
 * Adds all versions of every file that bears the path, or ever did: of a zone, or ".assayfs/quarantine/ID" with
 * anything below it. -ENOENT: none ever did. -EISDIR.
 */
int gate_versions_of_path(Gate *gate, const char *path, struct gate_versions *set);

enum gate_place_kind {
	GATE_GOES,   /* loses versions */
	GATE_SHARES, /* keeps bytes that it shares with one that goes */
	GATE_LEFT,   /* stands under the same name in another zone, made of something else */
	GATE_MADE,   /* one version, made of one that goes, and stays as the erasure is exact */
};

struct gate_place {
	enum gate_place_kind kind;
	const char *path; /* with its zone, the last one if it has none now; of what is held, where it came from; "" */
	enum zone zone;   /* that it lies in; ZONE_STAGING: what is held, or was written for Trusted */
	uint64_t quarantine;      /* id of what is held or was; 0: it is not */
	bool is_shown;            /* its name ends */
	uint64_t versions, bytes; /* that go */
	uint64_t kept;            /* versions that it keeps */
	uint64_t number;          /* of GATE_MADE: as of struct gate_subject */
};
/* Texts are borrowed; no lock is held. Negative: nothing more is told; what was erased is. */
typedef int gate_place_fn(void *arg, const struct gate_place *place);

struct gate_erasure {
	const struct gate_versions *versions; /* and all that belongs to them */
	bool is_exact;                        /* these alone; what was made of them is told (GATE_MADE) */
	bool takes_made;                      /* of an exact one: what was made of them, too */
	const char *reason;                   /* as of struct gate_decision */
	struct actor actor;
	bool is_dry; /* tells, and changes nothing; needs no reason */
};

struct gate_erased {
	uint64_t versions, bytes, names;
	uint64_t jobs;      /* checks that were queued, and are not any more */
	uint64_t sharers;   /* files that keep bytes */
	uint64_t referrers; /* versions that were judged by looking at it */
};

/*
 * Erases (backend/erase.h), in one operation with a record `erase` for each place that loses versions; what is held of
 * it is dropped, checks that are queued are not made, and one that is under way comes to nothing: no version is made of
 * what was erased. The caller has made sure that it is a steward who asks. When the erasure is committed, checks that
 * were under way have ended and the collector has begun (gc_purging tells how far it is), calls `each` for every place.
 * -EBUSY: it is open for writing; the words name it. -EINVAL: no reason. -ENOENT: nothing is left of it.
 */
int gate_erase(Gate *gate, const struct gate_erasure *erasure, gate_place_fn *each, void *arg, struct gate_erased *ret);

/* ---- where a person's data is ---- */

/* Texts that are looked for at once: the identifiers of one person. */
#define GATE_SUBJECTS_MAX 16

/* A version in which one of them occurs, once for each column; a file of a stored policy (version 0, and its number);
 * or how far the search has come (path "", nothing found). */
struct gate_subject {
	const char *path; /* with its zone, the last one if it has none now; of what is held, where it came from */
	enum zone zone;
	uint64_t policy;     /* number of the stored policy that has the file `path`; 0: none */
	uint64_t version;    /* id; 0: none */
	uint64_t number;     /* as `assayfs versions` counts what the path showed; 0: the path never showed it */
	uint64_t quarantine; /* id of what is held or was; 0 */
	bool is_current;     /* its name shows it */
	bool is_found;
	bool is_in_name;    /* it occurs in the path itself */
	bool is_bytes;      /* it is neither a table nor text (or too long), so its bytes were searched alone, or, if it
	                       is not found, may hold it in a form that was not understood */
	const char *column; /* NULL: of a text */
	uint64_t cells;     /* or lines */
	const uint64_t *lines;
	size_t line_count;
	uint64_t done, total;
};
/* Texts are borrowed, no lock is held. Negative: breaks off. */
typedef int gate_subject_fn(void *arg, const struct gate_subject *subject);

struct gate_subjects {
	uint64_t done, total; /* versions */
};

/*
 * Looks for texts (any of them) in each version that the vault keeps, of all zones and what is held, withdrawn or has
 * no name any more, in names, and (as it is typed, in any case of letters) in all stored policies; what is open and was
 * not closed yet is not met. Recorded for each text, with a keyed
 * hash of it. The caller has made sure that it is a steward who asks. -EINVAL with words: one is no text to look for,
 * or there are none or more than GATE_SUBJECTS_MAX.
 */
int gate_find_subject(Gate *gate, const char *const *values, size_t count, const struct actor *actor,
        gate_subject_fn *each, void *arg, struct gate_subjects *ret);

/* ---- what is known of a file ---- */

/*
 * The outcome that `user.assayfs.verdict` says for a name: `node` stands at `path`. *ret_verdict (may be NULL) is the
 * verdict's row, 0 for none. Between meta_begin and meta_end.
 */
int gate_outcome(Meta *m, const char *path, const struct node *node, enum outcome *ret_outcome, uint64_t *ret_verdict);

/* What was said of one version, also one that its name no longer shows: of Landing's as of the version of Raw that was
 * made of it. Between meta_begin and meta_end. */
int gate_version_outcome(Meta *m, const struct version *version, enum outcome *ret_outcome);

/* Whether something newer than what Trusted/`below` shows is being judged (OUTCOME_PENDING), was refused
 * (OUTCOME_FAILED, OUTCOME_ERROR), or neither (OUTCOME_NONE). Between meta_begin and meta_end. */
int gate_newer(Meta *m, const char *below, enum outcome *ret_outcome);
