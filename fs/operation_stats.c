#include "fs/operation_stats.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <linux/fuse.h>

#include "crypto/base/deadline.h"
#include "crypto/base/fault.h"

#define SLOTS 2048u
/* How far from its place a request may stand. */
#define PROBES 16u
/* The number of no request: the kernel's begin at 2 and are even. */
#define FREE 0u
#define BEING_FILLED 1u
/* The kind, and below it the time: enough for two years, and differences are right beyond. */
#define TIME_BITS 56u
#define TIME_MASK ((UINT64_C(1) << TIME_BITS) - 1)

/* The names are the kernel's, in small letters. */
static const struct {
	uint32_t opcode;
	const char *name;
} kinds[] = {
        {FUSE_LOOKUP, "lookup"},
        {FUSE_GETATTR, "getattr"},
        {FUSE_SETATTR, "setattr"},
        {FUSE_READLINK, "readlink"},
        {FUSE_SYMLINK, "symlink"},
        {FUSE_MKNOD, "mknod"},
        {FUSE_MKDIR, "mkdir"},
        {FUSE_UNLINK, "unlink"},
        {FUSE_RMDIR, "rmdir"},
        {FUSE_RENAME, "rename"},
        {FUSE_RENAME2, "rename2"},
        {FUSE_LINK, "link"},
        {FUSE_CREATE, "create"},
        {FUSE_OPEN, "open"},
        {FUSE_READ, "read"},
        {FUSE_WRITE, "write"},
        {FUSE_FLUSH, "flush"},
        {FUSE_RELEASE, "release"},
        {FUSE_FSYNC, "fsync"},
        {FUSE_FALLOCATE, "fallocate"},
        {FUSE_LSEEK, "lseek"},
        {FUSE_COPY_FILE_RANGE, "copy_file_range"},
        {FUSE_OPENDIR, "opendir"},
        {FUSE_READDIR, "readdir"},
        {FUSE_READDIRPLUS, "readdirplus"},
        {FUSE_RELEASEDIR, "releasedir"},
        {FUSE_FSYNCDIR, "fsyncdir"},
        {FUSE_SETXATTR, "setxattr"},
        {FUSE_GETXATTR, "getxattr"},
        {FUSE_LISTXATTR, "listxattr"},
        {FUSE_REMOVEXATTR, "removexattr"},
        {FUSE_STATFS, "statfs"},
        {FUSE_SYNCFS, "syncfs"},
        {0, "other"},
};
#define KINDS (sizeof kinds / sizeof kinds[0])
#define OPCODES 64u

struct slot {
	_Atomic uint64_t unique, since;
};

struct kind_stats {
	struct histogram latency;
	_Atomic uint64_t errors[OPERATION_ERRORS];
};

struct OperationStats {
	uint8_t kind_of[OPCODES]; /* set once */
	_Atomic uint64_t read_bytes, written_bytes, unmeasured;
	struct kind_stats kinds[KINDS];
	struct slot slots[SLOTS];
};

int operation_stats_new(OperationStats **ret) {
	OperationStats *stats = calloc(1, sizeof *stats);
	if (!stats)
		return fault(ENOMEM, "counting operations: out of memory");
	for (size_t i = 0; i < OPCODES; i++)
		stats->kind_of[i] = KINDS - 1;
	for (size_t i = 0; i < KINDS - 1; i++)
		stats->kind_of[kinds[i].opcode % OPCODES] = (uint8_t)i;
	*ret = stats;
	return 0;
}

void operation_stats_free(OperationStats *stats) {
	free(stats);
}

/* ---- the slots ---- */

static struct slot *slot_at(OperationStats *stats, uint64_t unique, unsigned probe) {
	return &stats->slots[((unique >> 1) + probe) % SLOTS];
}

static bool has_answer(uint32_t opcode) {
	return opcode != FUSE_INIT && opcode != FUSE_FORGET && opcode != FUSE_BATCH_FORGET &&
	       opcode != FUSE_INTERRUPT && opcode != FUSE_NOTIFY_REPLY && opcode != FUSE_DESTROY;
}

void operation_stats_asked(OperationStats *stats, uint32_t opcode, uint64_t unique) {
	if (!has_answer(opcode) || unique <= BEING_FILLED)
		return;
	uint64_t kind = opcode < OPCODES ? stats->kind_of[opcode] : KINDS - 1;
	for (unsigned i = 0; i < PROBES; i++) {
		struct slot *slot = slot_at(stats, unique, i);
		uint64_t free_mark = FREE;
		if (!atomic_compare_exchange_strong_explicit(
		            &slot->unique, &free_mark, BEING_FILLED, memory_order_acquire, memory_order_relaxed))
			continue;
		uint64_t since = ((uint64_t)monotonic_ns() & TIME_MASK) | kind << TIME_BITS;
		atomic_store_explicit(&slot->since, since, memory_order_relaxed);
		atomic_store_explicit(&slot->unique, unique, memory_order_release);
		return;
	}
	atomic_fetch_add_explicit(&stats->unmeasured, 1, memory_order_relaxed);
}

/* Nobody else has this number, so who finds it may read what stands beside it. */
static bool take(OperationStats *stats, uint64_t unique, size_t *ret_kind, int64_t *ret_ns) {
	for (unsigned i = 0; i < PROBES; i++) {
		struct slot *slot = slot_at(stats, unique, i);
		if (atomic_load_explicit(&slot->unique, memory_order_acquire) != unique)
			continue;
		uint64_t since = atomic_load_explicit(&slot->since, memory_order_relaxed);
		atomic_store_explicit(&slot->unique, FREE, memory_order_release);
		*ret_kind = since >> TIME_BITS;
		*ret_ns = (int64_t)(((uint64_t)monotonic_ns() - since) & TIME_MASK);
		return true;
	}
	return false;
}

static enum operation_error error_class(int error) {
	switch (error) {
	case EACCES:
		return OPERATION_EACCES;
	case EIO:
		return OPERATION_EIO;
	case ENOENT:
		return OPERATION_ENOENT;
	case ENOSPC:
		return OPERATION_ENOSPC;
	case EPERM:
		return OPERATION_EPERM;
	case EROFS:
		return OPERATION_EROFS;
	default:
		return OPERATION_OTHER;
	}
}

static uint64_t written(const void *body, size_t size) {
	struct fuse_write_out out;
	if (!body || size != sizeof out)
		return 0;
	memcpy(&out, body, sizeof out);
	return out.size;
}

void operation_stats_answered(OperationStats *stats, uint64_t unique, int error, const void *body, size_t size) {
	size_t kind;
	int64_t ns;
	if (unique <= BEING_FILLED || !take(stats, unique, &kind, &ns))
		return;
	histogram_add(&stats->kinds[kind].latency, ns);
	if (error < 0)
		atomic_fetch_add_explicit(&stats->kinds[kind].errors[error_class(-error)], 1, memory_order_relaxed);
	else if (kinds[kind].opcode == FUSE_READ)
		atomic_fetch_add_explicit(&stats->read_bytes, size, memory_order_relaxed);
	else if (kinds[kind].opcode == FUSE_WRITE)
		atomic_fetch_add_explicit(&stats->written_bytes, written(body, size), memory_order_relaxed);
}

/* ---- what it came to ---- */

const char *operation_error_name(enum operation_error error) {
	static const char *const names[OPERATION_ERRORS] = {
	        "EACCES", "EIO", "ENOENT", "ENOSPC", "EPERM", "EROFS", "other"};
	return names[error];
}

void operation_stats_each(const OperationStats *stats, operation_stats_fn *each, void *arg) {
	for (size_t i = 0; i < KINDS; i++) {
		struct operation_view view = {.name = kinds[i].name};
		histogram_read(&stats->kinds[i].latency, &view.latency);
		for (size_t e = 0; e < OPERATION_ERRORS; e++)
			view.errors[e] = atomic_load_explicit(&stats->kinds[i].errors[e], memory_order_relaxed);
		if (view.latency.count > 0)
			each(arg, &view);
	}
}

static uint64_t running(const OperationStats *stats) {
	uint64_t count = 0;
	for (size_t i = 0; i < SLOTS; i++)
		count += atomic_load_explicit(&stats->slots[i].unique, memory_order_relaxed) != FREE;
	return count;
}

static uint64_t answered(const OperationStats *stats) {
	uint64_t count = 0;
	for (size_t i = 0; i < KINDS; i++) {
		struct histogram_view view;
		histogram_read(&stats->kinds[i].latency, &view);
		count += view.count;
	}
	return count;
}

void operation_stats_totals(const OperationStats *stats, struct operation_totals *ret) {
	ret->read_bytes = atomic_load_explicit(&stats->read_bytes, memory_order_relaxed);
	ret->written_bytes = atomic_load_explicit(&stats->written_bytes, memory_order_relaxed);
	ret->unmeasured = atomic_load_explicit(&stats->unmeasured, memory_order_relaxed);
	ret->running = running(stats);
	ret->answered = answered(stats);
}
