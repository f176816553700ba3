/*
 * internal: what the gate's sources share with each other and with nobody else.
 */
#pragma once

#include "backend/stale.h"
#include "policy/check_files.h"
#include "policy/dqdl/evaluate.h"
#include "policy/edit_reader.h"
#include "policy/gate/gate.h"
#include "policy/gate/grant.h"
#include "policy/row_list.h"
#include "policy/verdict.h"

#include <pthread.h>

#define GATE_THREADS_MAX 8
#define GATE_THREADS_DEFAULT 8
/* How long a job waits after a trouble that may pass (a full disk), times its attempts; and when it is given up. */
#define GATE_RETRY_NS INT64_C(2000000000)
#define GATE_ATTEMPTS_MAX 50
/* One read of the file that is judged: a WRITE's size, 64 blocks. */
#define GATE_CHUNK_BYTES (1u << 20)

/* Ended jobs are kept for so long, and the last so many whatever their age; verdicts and the audit log stay. */
#define GATE_KEEP_JOBS_NS (INT64_C(3600) * 1000000000)
#define GATE_KEEP_JOBS 10000
/* A file with more names arrives under them in steps of so many. */
#define GATE_NAMES_MAX 64

struct busy_path;

/* Who has how many jobs running. */
struct gate_share {
	uint32_t uid;
	unsigned running; /* 0: free */
};

struct Gate {
	Store *store;
	Spawner *spawner;
	GateStats *stats;
	struct gate_options options;
	uint8_t vault_id[VERDICT_VAULT_ID_BYTES];

	/* Guards what follows. Taken alone, or inside a meta operation; no meta operation is begun under it. */
	pthread_mutex_t lock;
	pthread_cond_t wake; /* a job came, a path came free, or the gate stops */
	struct gate_policy *in_force;
	struct busy_path *busy;
	struct gate_share shares[GATE_THREADS_MAX];
	unsigned large_running; /* of them, files from SPAWNER_SMALL_BYTES on */
	int64_t last_uid;       /* served last; -1: nobody yet */
	bool stopping;
	int64_t next_prune_ns;
	struct grants *grants; /* that are kept in the vault */
	int schedule_fd;       /* an eventfd of schedule.c; -1: nobody waits */

	/* Held by gate_apply from the first look at the policy in force to its end. Outermost: taken with no other
	 * lock, and nothing that publishes or judges ever takes it. */
	pthread_mutex_t applying;

	unsigned thread_limit; /* fixed */
	pthread_t threads[GATE_THREADS_MAX];
	unsigned thread_count;
};

/* ---- gate.c ---- */

/* The policy stored in the vault, or the empty one. Inside a meta operation. */
int gate_policy_load(Meta *m, struct gate_policy **ret);
/* A policy that is not stored: number 0. As gate_apply would take it, roles aside. */
int gate_policy_of_archive(struct bytes archive, struct gate_policy **ret);
/* Takes `policy` over on success. */
int gate_policy_wrap(Policy *policy, uint64_t number, struct gate_policy **ret);
/* Puts it in force; takes it over. */
void gate_policy_install(Gate *gate, struct gate_policy *policy);
/* The threads look at the queue at least so often, so a job that is due later needs nobody to be woken. */
enum { GATE_IDLE_MS = 500 };
void gate_wake(Gate *gate);
bool gate_is_stopping(Gate *gate);

/* ---- own_key.c ---- */

/* A store_choose_key_fn; `arg` is the gate. */
int gate_choose_key(void *arg, Meta *m, const struct node *node, char ret_own[static OWN_KEY_BYTES]);
/* Whether the version is sealed under the key of its own that the policy gives to `below` now: else the same bytes are
 * a new version. Not in an operation. */
int gate_key_is_same(Gate *gate, uint64_t version, const char *below, bool *ret_same);
/* Makes the keys that the policy names and the vault lacks; *ret_is_new: for each policy_key, whether it was; free it.
 * Outside of operations. -EINVAL with the line at fault; -ENOKEY, -EROFS. */
int gate_make_keys(Gate *gate, const Policy *policy, const struct actor *actor, bool **ret_is_new);

/* ---- grant.c ---- */

/* What the vault keeps of grants, in a meta operation at the start; and its end, NULL is fine. */
int grants_load(Meta *m, struct grants **ret);
void grants_free(struct grants *grants);

/* ---- turns.c ---- */

/*
 * Each user in turn, none with more than half of the threads, and no more than a quarter of them with large files: so
 * nobody waits for more than the checks that are running, whatever others have queued. With one thread, in turn alone.
 */
struct gate_turn {
	struct job_turn turn; /* points into full_uids */
	uint32_t full_uids[GATE_THREADS_MAX];
};
/* Both inside a meta operation, so that no two threads go by the same count. */
void gate_turn_next(Gate *gate, struct gate_turn *ret_turn);
void gate_turn_begin(Gate *gate, uint32_t uid, bool is_large);
/* The job is not run, or has ended; wakes who waits. */
void gate_turn_end(Gate *gate, uint32_t uid, bool is_large);

/* ---- paths.c ---- */

/* Below its zone: "Landing/a/b" → "a/b"; NULL when the path does not lie in a zone. *ret_zone may be NULL. */
const char *gate_below(const char *path, enum zone *ret_zone);

/* Makes the directories that lead to `below` in `zone` where they are missing, and gives the last one and the final
 * name, which points into `below`. Inside a meta operation. New directories belong to `owner`'s uid and gid. */
int gate_make_parents(Meta *m, enum zone zone, const char *below, const struct node *owner, uint64_t *ret_parent,
        struct bytes *ret_name);

/* Calls `each` for every regular file below a directory node, its path built from `prefix`. Begins and ends meta
 * operations of its own; the tree may change meanwhile. */
typedef int gate_file_fn(void *arg, const char *path, const struct node *node);
int gate_walk(Store *store, uint64_t directory, const char *prefix, gate_file_fn *each, void *arg);

/* One thread at a time judges a path. try: false when it is taken. */
bool gate_path_try(Gate *gate, const char *below);
int gate_path_take(Gate *gate, const char *below); /* waits */
void gate_path_done(Gate *gate, const char *below);

/* ---- reader.c ---- */

/* Whether a job that reads for long is still wanted; `job` NULL: as long as the gate runs. */
struct gate_watch {
	Gate *gate;
	const struct job *job;
	const char *path;
	int64_t next_look_ms; /* at the name; 0 at first */
};
/* `arg` is a struct gate_watch; to be called often, and outside of meta operations. 0, or -ECANCELED. */
int gate_watch_look(void *arg);

/* Reads `source` front to back, all of it but the rows that `rest` leaves out; `copy` (NULL: none), empty at first,
 * becomes the same with the same holes. */
struct gate_reader {
	Content *source, *copy;
	struct gate_watch *watch; /* may be NULL */
	struct row_rest rest;     /* without which rows */
	uint64_t offset, data_start, data_end;
	uint64_t given; /* bytes so far: as long is the copy */
};
/* A check_read on a struct gate_reader. */
ssize_t gate_read(void *context, void *buffer, size_t size);
/* A check_read_again on it: without the copy, which is whole by then. */
int gate_read_again(void *context);

#define GATE_WORDS_BYTES 512
/* Why the content is not even read: what a few bytes on disk would make of gigabytes of work. "" when it is. */
int gate_unfit(Content *content, struct gate_watch *watch, char ret_words[static GATE_WORDS_BYTES]);
/* What stands for good where the file would come in the zone: a directory, or a file where a directory would have to
 * be. "" for nothing. Inside a meta operation. */
int gate_blocked(Meta *m, enum zone zone, const char *below, char ret_words[static GATE_WORDS_BYTES]);

/* ---- references.c ---- */

/* A file that rules looked at, beside the one that is judged: the version that its path showed. */
struct judged_reference {
	uint64_t version;
	uint8_t sha256[32];
};

/* The references of a check, open. */
struct gate_references {
	size_t count;
	struct gate_reader readers[POLICY_REFERENCES_MAX];
	struct check_reference asked[POLICY_REFERENCES_MAX]; /* with inputs that are the readers */
};

struct judgement;
struct verdict;
/* Opens what the dataset refers to, as Trusted shows it now, and notes the versions in `j`. Words, and nothing open,
 * when one is missing or can't be read. */
int gate_references_open(
        Gate *gate, struct judgement *j, struct gate_references *ret_all, char ret_words[static GATE_WORDS_BYTES]);
void gate_references_close(struct gate_references *all);
/* Puts them into the verdict. */
int gate_references_tell(const struct judgement *j, struct verdict *verdict);

/* ---- judge.c ---- */

/* What is judged, as what, for whom. */
struct judgement {
	const char *path;  /* the verdict's: where the file was met */
	const char *below; /* where it would stand in Trusted */
	struct gate_policy *policy;
	const struct policy_dataset *dataset; /* NULL: none; then only judge_unchecked */
	struct actor actor;
	struct gate_watch *watch; /* NULL: it is finished whatever happens */
	int64_t mtime_ns;         /* of the file */
	int64_t started_ns;
	struct judged_reference references[POLICY_REFERENCES_MAX]; /* as the dataset names them */
	size_t reference_count;                                    /* 0, or all that it names */
	struct check_outcome checked;                              /* result is taken over by the verdict */
	/* When a part is published (judge_output): what that comes to; else it is what was checked. */
	bool has_output;
	struct verdict_content output;
	bool is_reused; /* … and is an earlier verdict's */
	bool has_job;
	uint8_t job_sha256[32];        /* check_job_hash(): what the check went by */
	struct verdict_split *split;   /* which part that is; taken over by the verdict; NULL: all */
	struct verdict_waiver *waiver; /* it is let pass whatever the check says; taken over by the verdict; NULL */
	bool leaves_out;               /* rows that keep drops are left out; else a file that has such is refused */
	bool may_split;                /* of one that fails by some rows, tell which */
	bool is_output;                /* what is to be published of one that is altered: see check_job */
	bool is_held;                  /* it lies in quarantine already: a refusal puts it there no second time */
};

/* Frees what no verdict has taken over. */
void judgement_release(struct judgement *j);

/* Runs the check on what `input` yields; fills j->checked. */
int judge_check(Gate *gate, struct judgement *j, struct check_input input, uint64_t size);

/* Reads and hashes what `input` yields; j->checked is an error with these words. */
int judge_unchecked(struct judgement *j, struct check_input input, const char *words);

/* Of what is not read: the same, with a hash of zeros. */
int judge_unread(Gate *gate, struct judgement *j, uint64_t size, const char *words);

/* Takes the version's time of change into j, before judge_check. */
int judge_time(Gate *gate, struct judgement *j, uint64_t version);

/* One of the three on a sealed version: checked by its dataset, or (words not NULL) read alone, or not even that. */
int judge_version(Gate *gate, struct judgement *j, uint64_t node, uint64_t version, const char *words);

struct altered;
/* Tells what a sealed version is when altered: fills j->output, for the verdict. */
int judge_output(Gate *gate, struct judgement *j, uint64_t node, uint64_t version, const struct altered *altered);

/* Makes, signs and stores the verdict of j->checked about (node, version), with its audit record, in the running meta
 * operation. A refusal also puts the version into quarantine. */
int judge_record(Gate *gate, Meta *m, struct judgement *j, uint64_t node, uint64_t version, uint64_t *ret_verdict,
        enum outcome *ret_outcome);

/* ---- history.c ---- */

/* What a dataset's rules look back on, each series newest first. */
struct gate_history {
	struct dqdl_wanted *wanted; /* whose names the series have */
	struct dqdl_series *series;
	double *values;
	size_t count;
	bool is_timeless; /* the rules don't look at the clock */
	bool is_too_long; /* they look back on more than a job may carry: there are no series */
};
void history_drop(struct gate_history *history);
/* Inside a meta operation. Of rules that can't be parsed: nothing. */
int history_load(Meta *m, const struct policy_dataset *dataset, struct gate_history *ret_history);

/* Keeps the metrics of a verdict that passed or failed, in the operation that stores it. */
int history_keep(Meta *m, const struct judgement *j, const struct check_result *result, uint64_t verdict);

/* ---- prepare.c ---- */

/* A job and what it points to; stays where it is. */
struct prepared {
	char words[GATE_WORDS_BYTES]; /* not empty: why it can't be asked, and there is no job */
	struct gate_history history;
	FileTellings *tellings;
	struct gate_references references;
	struct check_job job;
};
void prepared_drop(struct prepared *prepared);

/* From zeros. Sets the judgement's references and hash, too. */
int judge_prepare(Gate *gate, struct judgement *j, uint64_t size, struct prepared *prepared);

/* Takes the result of an earlier verdict on the version's bytes over, where that is sure to be what a check would find
 * now: 1; 0: there is none. */
int judge_reuse(Gate *gate, struct judgement *j, uint64_t version);

/* ---- staged.c ---- */

/* The path below Trusted that a staging node is meant for. -ENOENT: there is none. In an operation. */
int staged_below_of(Meta *m, uint64_t node, char ret_below[static TREE_PATH_MAX]);
/* In the meta operation that seals what its writer closed: from here on it is the gate's to decide, also after a crash.
 */
int staged_closed(Meta *m, uint64_t node, uint64_t version);
/* In the one that publishes it. */
int staged_published(Meta *m, uint64_t node);
/* Queues what the last mount left; before there are threads. */
int staged_recover(Gate *gate);
/* Runs a job of that. */
int staged_run(Gate *gate, const struct job *job, const char *path, const struct actor *actor);

/* ---- altered.c ---- */

/* A file that is published without some of its rows, or otherwise in some places. All zero: as it is. */
struct altered {
	RowList *without;
	EditList *edits; /* of what is left without those rows */
	struct edit_meaning *meanings;
	struct treat_key key;
};
void altered_release(struct altered *altered);
bool altered_is_any(const struct altered *altered);

/* Takes over what a result says of it; from zeros. -EBADMSG for what the policy does not ask for. `j`'s policy must
 * live as long. */
int altered_take(Gate *gate, const struct judgement *j, struct check_result *result, struct altered *ret_altered);

/* Reads a version as altered; it stays where it is. `altered` and `source` must live as long. */
struct altered_reader {
	struct gate_reader rows;
	struct edit_reader edits;
};
void altered_begin(
        struct altered_reader *reader, const struct altered *altered, Content *source, struct gate_watch *watch);
struct check_input altered_input(struct altered_reader *reader);
void altered_end(struct altered_reader *reader);

/* The key that hashes personal data, of a version of Trusted's key; 0: the present one. -ENOKEY. */
int gate_privacy_key(Gate *gate, uint32_t version, struct treat_key *ret_key);

/* Holds what would be published against what the dataset says of personal data, and says in `result` when it does not
 * pass; what it is goes to *ret_output. */
int altered_check(Gate *gate, struct judgement *j, struct check_result *result, uint64_t node, uint64_t version,
        const struct altered *altered, struct verdict_content *ret_output, bool *ret_passes);

/* ---- split.c ---- */

/* A file that is not published as it is. */
struct split {
	struct altered altered; /* nothing: it is not split */
	uint64_t verdict;
	uint8_t sha256[32]; /* of what is published */
};
void split_release(struct split *split);

/*
 * What j->checked says of a sealed version that fails by some of its rows: the rest is checked by itself, as if the
 * rows had never been there, and if it passes, the rows are put into quarantine as a CSV, together with the verdict
 * that lets the rest out: durable when this returns, so that nothing is published whose other part could be lost. The
 * same split of the same version under the same policy is done once, however often it is asked for: a crash after it
 * changes nothing.
 *
 * *ret_split altered in nothing: nothing was stored, the file is to be refused whole, and j->checked says why.
 * Otherwise the caller publishes; and releases.
 */
int split(Gate *gate, struct judgement *j, uint64_t node, uint64_t version, struct split *ret_split);

/* ---- partial.c ---- */

/*
 * Writes the rows of a sealed version as a CSV into a new content of the staging zone, not sealed yet: their line, the
 * rules (of `result`) that they break, and the row as it stands, in the file's own dialect. Rows of another format than
 * CSV stand in one cell each.
 */
int partial_write(Gate *gate, const struct judgement *j, uint64_t node, uint64_t version, const RowList *rows,
        Content **ret_partial, struct verdict_content *ret_content);

/* ---- subject.c ---- */

/* The number by which `assayfs versions` knows a version of what the path showed; 0: the path never showed it. In a
 * meta operation. */
int gate_path_number(Meta *m, const char *path, uint64_t version, uint64_t *ret_number);

/* ---- subject_policy.c ---- */

/* Does any of the values stand in a text, in any case of ASCII letters? */
bool subject_stands_in(const char *text, const char *const *values, size_t count);

/* Calls `each` for each file of a stored policy in which one of the texts stands. Not in a meta operation. */
int subject_search_policies(Gate *gate, const char *const *values, size_t count, gate_subject_fn *each, void *arg);

/* ---- walk.c ---- */

/* Versions on the way along what ties them, each met once, in the order in which they were pushed. All zero: none. */
struct version_walk {
	struct gate_versions seen;
	uint64_t *queue; /* all that were pushed; from `next` on they are to be followed */
	size_t next, count, room;
	size_t most;       /* so many are met; 0: all */
	uint64_t left_out; /* how often one was pushed beyond that */
};
/* To be followed, unless it was; 0 is no version. */
int version_walk_push(struct version_walk *walk, uint64_t version);
/* false: none is left. */
bool version_walk_next(struct version_walk *walk, uint64_t *ret_version);
void version_walk_free(struct version_walk *walk);

/* ---- erase_plan.c ---- */

/* A row of the quarantine, kept. */
struct plan_held {
	struct quarantine_row row; /* without its path, which is */
	char *path;
	uint64_t source; /* version that rows were withheld of; 0: it is no part */
	bool goes;
};

/* What belongs to some versions, and is to go. */
struct erase_plan {
	bool is_exact;                 /* nothing is followed; set before it is made */
	bool takes_made;               /* of an exact one: what was made of them is */
	struct gate_versions versions; /* sealed and withdrawn ones */
	struct gate_versions nodes;    /* theirs */
	struct gate_versions referrers;
	struct version_walk walk;   /* versions that are followed */
	struct gate_versions whole; /* nodes that go with all their versions */
	struct plan_held *held;     /* all rows */
	size_t held_count, held_room;
};
bool gate_versions_has(const struct gate_versions *set, uint64_t id);
/* Room for one more element of `size` bytes in a list that has `count`. -ENOMEM. */
int erase_plan_room(void **list, size_t *room, size_t count, size_t size);

/* All rows of the quarantine, into `held`. In a meta operation; from zeros. */
int erase_plan_read_held(Meta *m, struct erase_plan *plan);

/* In a meta operation; from zeros. */
int erase_plan_make(Meta *m, const struct gate_versions *start, struct erase_plan *plan);
void erase_plan_free(struct erase_plan *plan);

/* The row that holds a version of the node; NULL: none that goes does. */
const struct plan_held *erase_plan_held(const struct erase_plan *plan, uint64_t version);

/* ---- erase.c ---- */

/* -ECANCELED, with words, when the version was erased: nothing is made of it, and nothing said of it, any more. In the
 * operation that would. */
int gate_check_there(Meta *m, uint64_t version);

/* ---- release.c ---- */

/* What a steward gives as reason: -EINVAL with words if it is none. */
int release_check_reason(const char *reason);

struct release {
	const struct gate_decision *decision;
	const char *path; /* the row's */
	bool is_waived;
};

/* In the operation that publishes it by `verdict`. */
int release_record(Meta *m, const struct release *release, uint64_t verdict);

/* ---- publish.c ---- */

struct publication {
	uint64_t source_node, source_version;
	uint64_t like_node; /* whose owner, mode and time it gets, when it is still there; 0: the source's */
	const char *below;
	uint64_t verdict;
	uint64_t policy;               /* number of the policy that the verdict was given under */
	const struct altered *altered; /* NULL: it is published as it is */
	const uint8_t *sha256;         /* 32 bytes: what the verdict lets out, so of what is left */
	struct actor actor;
	const uint64_t *only_over; /* NULL, or the version that the name must show still (0: none) */
	uint64_t from_parent;      /* 0, or a name that goes in the same operation */
	struct bytes from_name;
	uint64_t job;                  /* 0, or a job that is done with it */
	const struct release *release; /* NULL, or what of the quarantine is let out with it */
	struct gate_watch *watch;      /* may be NULL */
};

/*
 * Shows the source's bytes, altered or as they are, at Trusted/below. The path must be held (gate_path_…). -EAGAIN:
 * another policy came into force since the verdict, so the file has to be judged anew. -EBUSY: the former name shows
 * something else by now.
 */
int publish(Gate *gate, const struct publication *p);

/* ---- filelist.c ---- */

/* What stands at the paths that the rules name; NULL when they are no ruleset. Begins meta operations of its own. */
int gate_tell_files(Gate *gate, struct bytes rules, FileTellings **ret_tellings);

/* ---- recheck.c ---- */

/* What stood there. */
struct withdrawn {
	struct node directory, node;
	char name[TREE_NAME_MAX + 1];
};

/*
 * Takes the name Trusted/j->below away, and its version with it unless that has another name, in the running meta
 * operation, with a record. -ENOENT: nothing stands there, what was not made of what was judged, or what a
 * waiver lets stand.
 */
int recheck_withdraw(Meta *m, const struct judgement *j, uint64_t verdict, struct withdrawn *ret);

/* Tells the kernel, after that operation. */
void recheck_withdrawn(Gate *gate, const struct withdrawn *withdrawn);

/*
 * Marks what Trusted/j->below shows as stale, if those are the bytes (or made of the bytes) that were judged and no
 * waiver lets them stand; in the running meta operation. A file of Trusted is served the words anew after it.
 */
int recheck_mark(Meta *m, const struct judgement *j, uint64_t verdict);

/* Whether a refusal of the version is held in quarantine already. In a meta operation. */
int recheck_is_held(Meta *m, uint64_t version, bool *ret_is_held);

/* ---- queue.c ---- */

/* In the running meta operation: a job of the workflow for what stands at `path`. */
int queue_recheck(Meta *m, const struct policy_workflow *workflow, const struct actor *actor, const char *path,
        const struct node *node, const struct policy_dataset *dataset, uint64_t *ret_job);

/* Queues the arrival of a file under each of its names in Landing, a few in one operation. */
int queue_names(Gate *gate, uint64_t node, const struct actor *actor);

/* Queues the arrival of every governed file below a directory of Landing. */
int queue_below(Gate *gate, uint64_t directory, const char *path, const struct actor *actor);

/* How a file of the dataset is published anew, as half a sentence: by a workflow from Raw, if the policy has one. */
#define QUEUE_ANEW_BYTES 200
void queue_anew_words(const struct gate_policy *policy, const struct policy_dataset *dataset,
        char ret_words[static QUEUE_ANEW_BYTES]);

/* ---- trusted.c ---- */

/* gate_judge_version, with what the name must show still: NULL for whatever, or -EBUSY when it is another version. */
int judge_over(Gate *gate, uint64_t node, uint64_t version, const char *below, const struct actor *actor,
        const uint64_t *only_over);

/* ---- arrival.c ---- */

/* Runs one due job if there is one: 1 when it did, 0 when not; negative: trouble with the database. *ret_held_back: one
 * is due, and its user or its size has as many running as may be: the next that ends wakes the gate. */
int gate_run_due_job(Gate *gate, bool *ret_held_back);

/* ---- run.c; in a meta operation where `m` is asked for ---- */

/* Queues the jobs of a run, anew if it had some: then it is running, or over when there are none. */
int run_carry_out(Gate *gate, struct gate_policy *policy, const struct policy_workflow *workflow, struct run *run,
        const struct actor *actor);
/* -EBUSY with words when the workflow has a run that is going; a retry that only waits gives way. One whose last job
 * has ended is ended here: who ended the job may be late with it. */
int run_refuse_second(Meta *m, const Policy *policy, const char *workflow, const struct actor *actor);
/* Ends it, if it is done: 1. Or ends it whatever it is at: open jobs are taken back; a retry is put where the policy
 * wants one. *run is read anew. */
int run_settle(Meta *m, const Policy *policy, struct run *run, const struct actor *actor);
int run_close(Meta *m, const Policy *policy, struct run *run, enum run_state state, const char *words,
        const struct actor *actor);
/* Of one that is over. */
int run_record_end(Meta *m, const struct run *run, const struct actor *actor);
/* After a job ended. */
void gate_run_noted(Gate *gate, uint64_t job, const struct actor *actor);
/* So that the schedule looks again: a run ended, or the policy is another. */
void gate_wake_schedule(Gate *gate);
