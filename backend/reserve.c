#include "backend/reserve.h"

#include "crypto/base/fault.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

/* Between two questions to the file system; what was promised in between is counted against the last answer. */
#define ASK_AGAIN_NS 20000000

struct Reserve {
	VaultIo *io;
	VaultFile *file;
	uint64_t wanted;
	pthread_mutex_t mutex; /* guards what follows; no other lock is taken while it is held, but files are written */
	uint64_t held;
	uint64_t free_seen;
	uint64_t promised;
	struct timespec asked;
};

uint64_t reserve_bytes_for_wal(uint64_t wal_bytes) {
	const uint64_t for_headers = UINT64_C(1) << 20;
	return wal_bytes * 3 + for_headers;
}

/* Grows the ballast step by step, so that a disk with little room still gives what it has. Mutex held. */
static int fill(Reserve *reserve) {
	uint64_t step = reserve->wanted / RESERVE_STEPS + 1;
	while (reserve->held < reserve->wanted) {
		uint64_t part = reserve->wanted - reserve->held < step ? reserve->wanted - reserve->held : step;
		int rc = vault_file_allocate(reserve->file, reserve->held, part);
		if (rc < 0) {
			char words[FAULT_MESSAGE_BYTES];
			memcpy(words, fault_message(), sizeof words);
			(void)vault_file_truncate(reserve->file, reserve->held);
			return fault(-rc, "%s", words);
		}
		reserve->held += part;
		reserve->asked = (struct timespec){0};
	}
	return 0;
}

static int open_file(Reserve *reserve) {
	int rc = vault_file_open(reserve->io, RESERVE_NAME, VAULT_FILE_WRITE | VAULT_FILE_CREATE, &reserve->file);
	/* What a crash left may have holes or another size: begin anew. */
	if (rc == 0)
		rc = vault_file_truncate(reserve->file, 0);
	if (rc == 0) {
		rc = fill(reserve);
		if (rc == -ENOSPC)
			rc = 0;
	}
	if (rc == 0)
		rc = vault_file_sync(reserve->file);
	if (rc == 0)
		rc = vault_io_sync_dir(reserve->io, "");
	return rc;
}

int reserve_open(VaultIo *io, uint64_t bytes, Reserve **ret_reserve) {
	_cleanup_(reserve_abandonp) Reserve *reserve = calloc(1, sizeof *reserve);
	if (!reserve)
		return fault(ENOMEM, "no memory for the space reserve");
	reserve->io = io;
	reserve->wanted = bytes;
	(void)pthread_mutex_init(&reserve->mutex, NULL);
	int rc = open_file(reserve);
	if (rc < 0)
		return fault_while(rc, "setting %" PRIu64 " bytes aside", bytes);
	*ret_reserve = steal_pointer(&reserve);
	return 0;
}

void reserve_abandon(Reserve *reserve) {
	if (!reserve)
		return;
	vault_file_close(reserve->file);
	(void)pthread_mutex_destroy(&reserve->mutex);
	free(reserve);
}

int reserve_close(Reserve *reserve) {
	VaultIo *io = reserve->io;
	reserve_abandon(reserve);
	int rc = vault_io_unlink(io, RESERVE_NAME);
	return rc < 0 ? rc : vault_io_sync_dir(io, "");
}

static int64_t nanoseconds_between(const struct timespec *from, const struct timespec *to) {
	return (int64_t)(to->tv_sec - from->tv_sec) * 1000000000 + (to->tv_nsec - from->tv_nsec);
}

/* Mutex held. */
static int ask(Reserve *reserve) {
	return vault_io_free_space(reserve->io, &reserve->free_seen);
}

static bool has_room(const Reserve *reserve, uint64_t bytes) {
	return reserve->promised <= reserve->free_seen && bytes <= reserve->free_seen - reserve->promised;
}

/*
 * What was promised within one window counts against each answer in it, written or not yet: so a burst of callers never
 * gets more than there is, at the price of refusing a little early on a disk that is full anyway. Mutex held.
 */
static int look(Reserve *reserve, uint64_t bytes) {
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	bool fresh = reserve->asked.tv_sec != 0 && nanoseconds_between(&reserve->asked, &now) < ASK_AGAIN_NS;
	if (fresh && has_room(reserve, bytes))
		return 0;
	if (!fresh) {
		reserve->promised = 0;
		reserve->asked = now;
	}
	return ask(reserve);
}

/*
 * Who was refused commits nothing, so no checkpoint comes that would refill what was given: it is done as soon as there
 * is room for it twice, which whoever it was given for leaves over. Mutex held.
 */
static void refill_when_free(Reserve *reserve) {
	if (reserve->held == reserve->wanted || ask(reserve) < 0)
		return;
	if (reserve->free_seen >= reserve->wanted - reserve->held + reserve->wanted)
		(void)fill(reserve);
}

int reserve_check(Reserve *reserve, uint64_t bytes) {
	(void)pthread_mutex_lock(&reserve->mutex);
	int rc = 0;
	refill_when_free(reserve);
	if (reserve->held < reserve->wanted)
		rc = fault(ENOSPC,
		        "the vault's file system is full: the reserve for pending work holds %" PRIu64 " of %" PRIu64
		        " bytes; make room",
		        reserve->held, reserve->wanted);
	if (rc == 0)
		rc = look(reserve, bytes);
	if (rc == 0 && !has_room(reserve, bytes))
		rc = fault(ENOSPC,
		        "the vault's file system has %" PRIu64 " bytes left and %" PRIu64 " are needed; make room",
		        reserve->free_seen, bytes);
	if (rc == 0)
		reserve->promised += bytes;
	(void)pthread_mutex_unlock(&reserve->mutex);
	return rc;
}

bool reserve_is_low(Reserve *reserve) {
	(void)pthread_mutex_lock(&reserve->mutex);
	if (reserve->held < reserve->wanted / 2)
		refill_when_free(reserve);
	bool is_low = reserve->held < reserve->wanted / 2;
	(void)pthread_mutex_unlock(&reserve->mutex);
	return is_low;
}

int reserve_give(Reserve *reserve) {
	(void)pthread_mutex_lock(&reserve->mutex);
	int rc = 0;
	if (reserve->held == 0) {
		rc = fault(ENOSPC, "the vault's file system is full and the reserve is used up; make room");
	} else {
		uint64_t step = reserve->wanted / RESERVE_STEPS + 1;
		uint64_t left = reserve->held > step ? reserve->held - step : 0;
		rc = vault_file_truncate(reserve->file, left);
		if (rc == 0)
			reserve->held = left;
	}
	(void)pthread_mutex_unlock(&reserve->mutex);
	return rc;
}

int reserve_refill(Reserve *reserve) {
	(void)pthread_mutex_lock(&reserve->mutex);
	int rc = fill(reserve);
	(void)pthread_mutex_unlock(&reserve->mutex);
	return rc;
}

int reserve_room(Reserve *reserve, uint64_t *ret_bytes) {
	uint64_t free_bytes = 0;
	(void)pthread_mutex_lock(&reserve->mutex);
	const uint64_t lacks = reserve->wanted - reserve->held;
	int rc = vault_io_free_space(reserve->io, &free_bytes);
	(void)pthread_mutex_unlock(&reserve->mutex);
	if (rc == 0)
		*ret_bytes = free_bytes > lacks ? free_bytes - lacks : 0;
	return rc;
}

uint64_t reserve_held(Reserve *reserve) {
	(void)pthread_mutex_lock(&reserve->mutex);
	uint64_t held = reserve->held;
	(void)pthread_mutex_unlock(&reserve->mutex);
	return held;
}

int reserve_write_at(Reserve *reserve, VaultFile *file, uint64_t offset, struct bytes data) {
	for (;;) {
		int rc = vault_file_write_at(file, offset, data);
		if (rc != -ENOSPC || !reserve || reserve_give(reserve) < 0)
			return rc;
	}
}

int reserve_replace(Reserve *reserve, VaultIo *io, const char *name, struct bytes data) {
	for (;;) {
		int rc = vault_io_replace(io, name, data);
		if (rc != -ENOSPC || !reserve || reserve_give(reserve) < 0)
			return rc;
	}
}

static size_t first_nonzero(const uint8_t *data, size_t size) {
	size_t at = 0;
	while (at < size && data[at] == 0)
		at++;
	return at;
}

static int verify_open(VaultFile *file, uint8_t *buffer, size_t size) {
	for (uint64_t offset = 0;;) {
		size_t got = 0;
		int rc = vault_file_read_at(file, offset, buffer, size, &got);
		if (rc < 0 || got == 0)
			return rc;
		size_t bad = first_nonzero(buffer, got);
		if (bad < got)
			return fault(EBADMSG,
			        "%s is not zero at byte %" PRIu64 "; nothing is ever written there: remove the file",
			        RESERVE_NAME, offset + bad);
		offset += got;
	}
}

int reserve_verify(VaultIo *io) {
	const size_t size = 65536;
	_cleanup_(vault_file_closep) VaultFile *file = NULL;
	int rc = vault_file_open(io, RESERVE_NAME, VAULT_FILE_READ, &file);
	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	_cleanup_(freep) uint8_t *buffer = malloc(size);
	if (!buffer)
		return fault(ENOMEM, "no memory to check %s", RESERVE_NAME);
	return verify_open(file, buffer, size);
}
