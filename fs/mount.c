#include "fs/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/backup/recall.h"
#include "crypto/base/fault.h"
#include "crypto/encoding.h"
#include "crypto/keyring.h"
#include "crypto/process.h"
#include "crypto/secret.h"
#include "fs/background.h"
#include "fs/guard.h"
#include "fs/log.h"
#include "fs/operations/handle.h"
#include "fs/operations/operations.h"
#include "fs/supervisor.h"

/* Detached from its place, a mount that was asked to end goes on this long for those who have files open. */
#define GRACE_SECONDS 5

struct mounting {
	const struct mount_options *options;
	struct background background;
	struct filesystem fs;
	Guard *guard;
	Supervisor *supervisor;
	char *vault;                      /* absolute: the daemon leaves its directory */
	size_t prepared, opened, started; /* parts that have come so far */
	sigset_t signals;
	pthread_t signal_thread;
	bool has_signal_thread;
	bool is_limited; /* unlocked by a slot that reads only */
	atomic_bool signals_end, has_told_ending;
};

/* ---- parts ---- */

static int prepare_parts(struct mounting *mounting) {
	const struct mount_options *options = mounting->options;
	for (; mounting->prepared < options->part_count; mounting->prepared++) {
		const struct mount_part *part = &options->parts[mounting->prepared];
		int rc = part->prepare ? part->prepare(part->state) : 0;
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int open_parts(struct mounting *mounting) {
	const struct mount_options *options = mounting->options;
	for (; mounting->opened < options->part_count; mounting->opened++) {
		const struct mount_part *part = &options->parts[mounting->opened];
		int rc = part->opened ? part->opened(part->state, &mounting->fs) : 0;
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int start_parts(struct mounting *mounting) {
	const struct mount_options *options = mounting->options;
	for (; mounting->started < options->part_count; mounting->started++) {
		const struct mount_part *part = &options->parts[mounting->started];
		int rc = part->start ? part->start(part->state, &mounting->fs) : 0;
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* A part that was opened is stopped, even if it was never started. */
static void stop_parts(struct mounting *mounting) {
	while (mounting->opened > 0) {
		const struct mount_part *part = &mounting->options->parts[--mounting->opened];
		if (part->stop)
			part->stop(part->state);
	}
}

static void end_parts(struct mounting *mounting, int outcome) {
	char words[FAULT_MESSAGE_BYTES];
	strncpy(words, outcome < 0 ? fault_message() : "", sizeof words - 1);
	words[sizeof words - 1] = '\0';
	while (mounting->prepared > 0) {
		const struct mount_part *part = &mounting->options->parts[--mounting->prepared];
		if (part->end)
			part->end(part->state, outcome, words);
	}
	if (outcome < 0)
		(void)fault(-outcome, "%s", words);
}

/* ---- the service manager, and the log ---- */

static void tell_ending(struct mounting *mounting) {
	if (atomic_exchange(&mounting->has_told_ending, true))
		return;
	log_message(MESSAGE_ENDING, "the mount on %s ends; what is open is written back and sealed",
	        mounting->options->mountpoint);
	supervisor_stopping(mounting->supervisor, "Writing back and sealing");
}

static int ask_kernel(const char *mountpoint) {
	struct statx about;
	return statx(AT_FDCWD, mountpoint, AT_STATX_FORCE_SYNC | AT_NO_AUTOMOUNT | AT_SYMLINK_NOFOLLOW, STATX_INO,
	               &about) < 0
	               ? fault_errno(errno, "asking the mount for its root")
	               : 0;
}

/*
 * What users need: a request comes from the kernel to the loop and back, the metadata's lock is to be had, and what was
 * changed becomes durable. It reads no file and leaves no record. A store that has failed fails it: only the next mount
 * recovers.
 */
static int prove_alive(void *arg) {
	struct mounting *mounting = arg;
	int rc = ask_kernel(mounting->options->mountpoint);
	if (rc < 0)
		return rc;
	meta_begin(mounting->fs.meta);
	rc = meta_end(mounting->fs.meta, 0);
	return rc < 0 ? rc : store_commit_wait(mounting->fs.store);
}

static void tell_vault(struct mounting *mounting) {
	_cleanup_(freep) struct store_info *info = calloc(1, sizeof *info);
	char id[HEX_TEXT_BYTES(STORE_VAULT_ID_BYTES)];
	if (!info)
		return;
	store_info(mounting->fs.store, info);
	hex_encode(bytes_of(info->vault_id, sizeof info->vault_id), id);
	log_vault(mounting->vault, id);
	if (info->recovered)
		log_message(MESSAGE_RECOVERED,
		        "the last mount had not ended cleanly: %" PRIu64 " synced files recovered, %" PRIu64
		        " unfinished dropped, %" PRIu64 " checks queued again",
		        info->recovered_versions, info->dropped_drafts, info->requeued_jobs);
}

/* ---- signals ---- */

/* Threads that wait for a backup keep the loop from ending. */
static void halt_recall(struct mounting *mounting, bool is_halted) {
	Recall *recall = mounting->fs.store ? store_recall(mounting->fs.store) : NULL;
	if (recall)
		recall_halt(recall, is_halted);
}

static void *wait_for_signal(void *arg) {
	struct mounting *mounting = arg;
	int number;
	while (sigwait(&mounting->signals, &number) == 0) {
		if (atomic_load(&mounting->signals_end))
			return NULL; /* the mount has ended by itself */
		if (number == SIGUSR1)
			continue; /* somebody else's */
		tell_ending(mounting);
		atomic_store(&mounting->fs.ending, true);
		halt_recall(mounting, true);
		session_stop(mounting->fs.owner.session, GRACE_SECONDS);
	}
	return NULL;
}

/* Before any thread: all inherit the mask, and only the one that waits takes these signals. */
static void block_signals(struct mounting *mounting) {
	sigemptyset(&mounting->signals);
	sigaddset(&mounting->signals, SIGTERM);
	sigaddset(&mounting->signals, SIGINT);
	sigaddset(&mounting->signals, SIGHUP);
	sigaddset(&mounting->signals, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &mounting->signals, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static int start_signal_thread(struct mounting *mounting) {
	int error = pthread_create(&mounting->signal_thread, NULL, wait_for_signal, mounting);
	if (error)
		return fault_errno(error, "starting the thread for signals");
	mounting->has_signal_thread = true;
	return 0;
}

static void stop_signal_thread(struct mounting *mounting) {
	if (!mounting->has_signal_thread)
		return;
	atomic_store(&mounting->signals_end, true);
	pthread_kill(mounting->signal_thread, SIGUSR1);
	pthread_join(mounting->signal_thread, NULL);
	mounting->has_signal_thread = false;
}

/* ---- begin ---- */

/* Segments, clones of the session and sockets: as many descriptors as one may have. */
static void raise_descriptors(void) {
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* A limited slot has not what a change needs, nor what the log is signed with. */
static bool is_limited(Store *store) {
	_cleanup_(secret_key_wipe) struct secret_key key;
	return keyring_get(store_keyring(store), "header", 0, key.bytes, NULL) == -ENOKEY;
}

static int open_store(struct mounting *mounting) {
	const struct mount_options *options = mounting->options;
	struct store_options store_options = options->store;
	store_options.read_ahead = true;
	store_options.may_be_limited = true;
	for (size_t i = 0; i < options->part_count; i++)
		if (options->parts[i].tune)
			options->parts[i].tune(options->parts[i].state, &store_options);
	struct store_secret secret;
	int rc = options->unlock(options->unlock_arg, &secret);
	if (rc < 0)
		return rc;
	rc = store_open(mounting->vault, &secret, &store_options, &mounting->fs.store);
	mounting->is_limited = rc == 0 && is_limited(mounting->fs.store);
	if (mounting->is_limited)
		log_starting(MESSAGE_OTHER,
		        "unlocked by a slot that is limited to reading: the mount is read-only, and what is "
		        "read is not recorded");
	if (rc == -EROFS)
		rc = fault(EROFS,
		        "vault %s is on a medium that can't be written, so no access could be recorded; mount a copy",
		        mounting->vault);
	if (options->wipe)
		options->wipe(options->unlock_arg);
	return rc;
}

static int fill_filesystem(struct mounting *mounting) {
	struct filesystem *fs = &mounting->fs;
	fs->meta = store_meta(fs->store);
	fs->gate = &gate_closed;
	fs->vault_path = mounting->vault;
	fs->is_unrecorded = mounting->is_limited;
	fs->owner_uid = getuid();
	fs->owner_gid = getgid();
	fs->read_only = session_has_option(mounting->options->fuse_options, "ro") || mounting->is_limited;
	fs->audit_strict = mounting->options->store.audit_strict;
	int rc = inode_table_new(fs->store, &fs->inodes);
	if (rc == 0)
		rc = access_times_new(fs->meta, &fs->access_times);
	if (rc == 0)
		rc = operation_stats_new(&fs->operations);
	return rc < 0 ? rc : virtual_tree_new(&fs->virtual_tree);
}

/* In a thread of the loop: the heartbeat, which asks the loop, comes from a thread of its own. */
static void report_ready(void *arg) {
	struct mounting *mounting = arg;
	char words[256];
	background_report(&mounting->background, 0);
	(void)snprintf(words, sizeof words, "Vault mounted on %.200s", mounting->options->mountpoint);
	log_message(MESSAGE_MOUNTED, "mounted on %s", mounting->options->mountpoint);
	supervisor_ready(mounting->supervisor, words);
	if (supervisor_watch(mounting->supervisor, prove_alive, mounting) < 0)
		log_message_fault(MESSAGE_HEARTBEAT, -EAGAIN, "no heartbeat is sent");
}

/* The number is asked for again: it could have become another mount's before the guard opened its file. */
static int watch_connection(Session *session, Guard *guard) {
	unsigned connection = 0, still = 0;
	int rc = session_connection(session, &connection);
	if (rc == 0)
		rc = guard_watch(guard, connection);
	if (rc == 0)
		rc = session_connection(session, &still);
	return rc == 0 && still != connection ? fault(ENOENT, "the mount has ended already") : rc;
}

/* Without it the mount is as good, until somebody kills it. */
static void watch_mount(struct mounting *mounting) {
	int rc = watch_connection(mounting->fs.owner.session, mounting->guard);
	if (rc == 0)
		return;
	log_message_fault(MESSAGE_UNGUARDED, rc,
	        "should this process be killed, programs may wait until 'assayfs umount --force'");
	guard_stop(mounting->guard);
	mounting->guard = NULL;
}

static bool use_moment(void *store) {
	return store_idle(store);
}

static int mount_session(struct mounting *mounting) {
	const struct mount_options *options = mounting->options;
	struct session_options session = {.mountpoint = options->mountpoint,
	        .source = mounting->vault,
	        .fuse_options = options->fuse_options,
	        .debug = options->debug,
	        .ready = report_ready,
	        .ready_arg = mounting,
	        .idle = use_moment,
	        .idle_arg = mounting->fs.store,
	        .operations = mounting->fs.operations};
	int rc = session_mount(&operations, &mounting->fs.owner, &session, &mounting->fs.owner.session);
	if (rc < 0)
		return rc;
	watch_mount(mounting);
	rc = notifier_new(session_fuse(mounting->fs.owner.session), mounting->fs.meta, &mounting->fs.notifier);
	return rc < 0 ? rc : start_signal_thread(mounting);
}

static int begin(struct mounting *mounting) {
	const struct mount_options *options = mounting->options;
	block_signals(mounting);
	raise_descriptors();
	programs_learn(&mounting->fs.programs);
	int rc = options->unhardened ? 0 : process_harden();
	if (rc == 0)
		rc = read_buffers_new(&mounting->fs.read_buffers);
	if (rc == 0)
		rc = prepare_parts(mounting);
	if (rc == 0)
		rc = guard_start(&mounting->guard);
	if (rc == 0)
		rc = open_store(mounting);
	if (rc == 0)
		rc = fill_filesystem(mounting);
	if (rc == 0)
		tell_vault(mounting);
	if (rc == 0)
		rc = open_parts(mounting);
	if (rc == 0)
		rc = mount_session(mounting);
	return rc < 0 ? rc : start_parts(mounting);
}

/* ---- end ---- */

static void write_access_times(struct filesystem *fs) {
	int rc = fs->access_times ? access_times_write(fs->access_times) : 0;
	if (rc < 0)
		log_fault(rc, "the end of the mount");
	access_times_free(fs->access_times);
}

/* What the loop can't answer any more goes first; then who uses the store; the store last. */
static int end(struct mounting *mounting, int rc) {
	struct filesystem *fs = &mounting->fs;
	char words[FAULT_MESSAGE_BYTES];
	strncpy(words, fault_message(), sizeof words - 1);
	words[sizeof words - 1] = '\0';
	stop_signal_thread(mounting);
	if (fs->store)
		tell_ending(mounting);
	if (fs->owner.session)
		session_detach(fs->owner.session);
	halt_recall(mounting, false); /* sealing may want content */
	supervisor_free(
	        steal_pointer(&mounting->supervisor)); /* a heartbeat that waits for the loop has its error now */
	aside_wait(&fs->verdicts);
	aside_wait(&fs->write_backs);
	if (fs->inodes)
		filesystem_seal_all(fs); /* the gate still takes arrivals */
	stop_parts(mounting);
	notifier_free(fs->notifier);
	session_close(fs->owner.session);
	operation_stats_free(fs->operations);
	inode_table_free(fs->inodes);
	write_access_times(fs);
	programs_clear(&fs->programs);
	read_buffers_free(fs->read_buffers);
	virtual_tree_free(fs->virtual_tree);
	guard_stop(mounting->guard);
	int closed = store_close(fs->store);
	if (rc < 0)
		closed = fault(-rc, "%s", words);
	end_parts(mounting, closed);
	return closed;
}

static int serve(struct mounting *mounting) {
	int rc = begin(mounting);
	if (rc == 0)
		rc = session_run(mounting->fs.owner.session);
	rc = end(mounting, rc);
	if (rc == 0)
		log_message(MESSAGE_ENDED, "the vault is closed");
	else
		log_message_fault(MESSAGE_NOT_CLOSED, rc, "the mount has ended");
	background_report(&mounting->background, rc);
	return rc;
}

/* fork's child must not return into the caller's code: its parent does that. */
static int serve_and_exit(struct mounting *mounting, bool foreground) {
	int rc = serve(mounting);
	free(mounting->vault);
	if (!foreground)
		_exit(rc < 0 ? 1 : 0);
	return rc;
}

int mount_run(const struct mount_options *options) {
	static const struct mounting beginning = {.fs.verdicts = ASIDE_INIT,
	        .fs.write_backs = ASIDE_INIT,
	        .fs.used_names = USED_NAMES_INIT,
	        .fs.programs = PROGRAMS_INIT};
	_cleanup_(freep) struct mounting *mounting = malloc(sizeof *mounting); /* too much for the stack */
	if (!mounting)
		return fault(ENOMEM, "mounting: out of memory");
	memcpy(mounting, &beginning, sizeof *mounting);
	mounting->options = options;
	bool foreground = options->foreground || options->debug;
	int rc = supervisor_new(&mounting->supervisor);
	if (rc == 0)
		rc = background_fork(foreground, &mounting->background);
	if (rc <= 0) {
		supervisor_free(mounting->supervisor);
		return rc;
	}
	log_to_system(!foreground);
	mounting->vault = realpath(options->vault, NULL);
	if (!mounting->vault) {
		rc = fault_errno(errno, "vault %s", options->vault);
		background_report(&mounting->background, rc);
		if (!foreground)
			_exit(1);
		return rc;
	}
	log_vault(mounting->vault, NULL);
	return serve_and_exit(mounting, foreground);
}
