#include "policy/spawner.h"

#include "crypto/base/deadline.h"
#include "crypto/base/fault.h"
#include "crypto/base/ready.h"
#include "crypto/digest.h"
#include "crypto/process.h"
#include "policy/crew.h"
#include "policy/dqdl/spill.h"
#include "policy/sandbox.h"
#include "policy/sql/sql.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <jansson.h>

/* ---- the worker ---- */

/* Behind standard input, output and error, of which a worker has no third. */
enum { REFERENCES_FD = SANDBOX_WORKER_FD, SPILL_FD = SANDBOX_SPILL_FD };

static size_t fds_of(const struct spawn_request *request) {
	return request->spill_bytes ? SPAWN_FDS : SPAWN_FDS - 1;
}

static bool read_exactly(int fd, void *buffer, size_t size) {
	uint8_t *at = buffer;
	while (size > 0) {
		ssize_t got = read(fd, at, size);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		at += got;
		size -= (size_t)got;
	}
	return true;
}

static bool write_exactly(int fd, const void *buffer, size_t size) {
	const uint8_t *at = buffer;
	while (size > 0) {
		ssize_t put = write(fd, at, size);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return false;
		at += put;
		size -= (size_t)put;
	}
	return true;
}

/* What the socket holds: the file to its end, or, when it is there twice, that many bytes of it and then as many again.
 */
struct stream {
	bool is_twice;
	uint64_t size, left;
};

static ssize_t read_input(void *context, void *buffer, size_t size) {
	struct stream *stream = context;
	ssize_t got;
	if (stream->is_twice && size > stream->left)
		size = (size_t)stream->left;
	do
		got = read(0, buffer, size);
	while (got < 0 && errno == EINTR);
	if (got > 0 && stream->is_twice)
		stream->left -= (uint64_t)got;
	return got < 0 ? -errno : got;
}

static int read_input_again(void *context) {
	struct stream *stream = context;
	stream->left = stream->size;
	return 0;
}

/* The references come through one descriptor, in their order; a check may leave out any, or what is left of one. */
struct reference_stream {
	const struct check_job *job;
	size_t at;
	uint64_t taken; /* of that one */
};
struct reference_reader {
	struct reference_stream *stream;
	size_t index;
};

static ssize_t take(struct reference_stream *stream, void *buffer, size_t size) {
	uint64_t left = stream->job->references[stream->at].size - stream->taken;
	ssize_t got;
	do
		got = read(REFERENCES_FD, buffer, left < size ? (size_t)left : size);
	while (got < 0 && errno == EINTR);
	if (got == 0 && left > 0)
		return fault(EIO, "a reference ended too early");
	stream->taken += got > 0 ? (uint64_t)got : 0;
	return got < 0 ? -errno : got;
}

static ssize_t read_reference(void *context, void *buffer, size_t size) {
	const struct reference_reader *reader = context;
	struct reference_stream *stream = reader->stream;
	while (stream->at < reader->index) {
		uint8_t skipped[4096];
		ssize_t got = take(stream, skipped, sizeof skipped);
		if (got < 0)
			return got;
		if (stream->taken == stream->job->references[stream->at].size) {
			stream->at++;
			stream->taken = 0;
		}
	}
	return stream->at > reader->index ? 0 : take(stream, buffer, size);
}

static int answer(const struct check_result *result) {
	_cleanup_(freep) char *json = NULL;
	size_t size;
	int rc = check_result_to_json(result, &json, &size);
	if (rc < 0)
		return rc;
	struct bytes rows = result->withheld ? row_list_packed(result->withheld) : (struct bytes){0};
	struct bytes edits = result->edits ? edit_list_packed(result->edits) : (struct bytes){0};
	const struct spawn_lengths lengths = {
	        .json = (uint32_t)size, .rows = (uint32_t)rows.size, .edits = (uint32_t)edits.size};
	if (!write_exactly(1, &lengths, sizeof lengths) || !write_exactly(1, json, size) ||
	        !write_exactly(1, rows.data, rows.size) || !write_exactly(1, edits.data, edits.size))
		_exit(WORKER_EXIT_PIPE);
	return 0;
}

static int work(check_function *check, Crew *crew, Spill *spill) {
	uint32_t length;
	if (!read_exactly(0, &length, sizeof length))
		_exit(WORKER_EXIT_PIPE);
	_cleanup_(freep) uint8_t *text = malloc((size_t)length + 1);
	if (!text)
		return -ENOMEM;
	if (!read_exactly(0, text, length))
		_exit(WORKER_EXIT_PIPE);
	struct check_job job = {0};
	_cleanup_(check_job_freep) CheckJobMemory *memory = NULL;
	_cleanup_(check_result_freep) struct check_result *result = NULL;
	struct check_reference references[CHECK_REFERENCES_MAX];
	struct reference_reader readers[CHECK_REFERENCES_MAX];
	struct reference_stream references_stream = {.job = &job};
	int rc = check_job_from_json(bytes_of(text, length), &job, &memory);
	job.crew = crew;
	job.spill = spill;
	for (size_t i = 0; i < job.reference_count; i++) {
		readers[i] = (struct reference_reader){.stream = &references_stream, .index = i};
		references[i] = job.references[i];
		references[i].input = (struct check_input){.read = read_reference, .context = &readers[i]};
	}
	job.references = references;
	struct stream stream = {.is_twice = job.is_twice, .size = job.size, .left = job.size};
	struct check_input input = {
	        .read = read_input, .context = &stream, .again = job.is_twice ? read_input_again : NULL};
	if (rc == 0)
		rc = check_run(check, &job, &input, NULL, &result);
	if (rc == -ENOMEM)
		return rc;
	if (rc < 0 && (rc = check_result_error(&result, "the check could not be made: %s", fault_message())) < 0)
		return rc;
	rc = answer(result);
	if (rc != -E2BIG)
		return rc;
	check_result_free(result);
	result = NULL;
	rc = check_result_error(&result, "%s", fault_message());
	return rc < 0 ? rc : answer(result);
}

/* Where each belongs. They are moved out of the way first, as one's place may be that of another. */
static bool place_descriptors(const int fds[static SPAWN_FDS], size_t count) {
	static const int places[SPAWN_FDS] = {[SPAWN_FD_INPUT] = 0,
	        [SPAWN_FD_RESULT] = 1,
	        [SPAWN_FD_STATUS] = -1, /* the spawner's alone */
	        [SPAWN_FD_REFERENCES] = REFERENCES_FD,
	        [SPAWN_FD_SPILL] = SPILL_FD};
	int moved[SPAWN_FDS];
	for (size_t i = 0; i < count; i++)
		if ((moved[i] = fcntl(fds[i], F_DUPFD, SPILL_FD + 1)) < 0)
			return false;
	for (size_t i = 0; i < count; i++)
		if (places[i] >= 0 && dup2(moved[i], places[i]) < 0)
			return false;
	return true;
}

static _Noreturn void worker_main(
        const int fds[static SPAWN_FDS], pid_t parent, const struct spawn_request *request, check_function *check) {
	struct sandbox_limits limits = {.memory_bytes = request->memory_bytes,
	        .seconds = request->seconds,
	        .lock_memory = request->lock_memory != 0,
	        .spill_bytes = request->spill_bytes};
	(void)prctl(PR_SET_NAME, "assayfs-check", 0, 0, 0);
	if (!place_descriptors(fds, fds_of(request)))
		_exit(WORKER_EXIT_SANDBOX);
	/* One heap for all threads: another would take a share of the addresses that the limit allows, and would be
	 * made after asking how many processors there are, which opens files. */
	(void)mallopt(M_ARENA_MAX, 1);
	Crew *crew = request->may_have_crew ? crew_for(request->bytes) : NULL;
	limits.has_helpers = crew != NULL;
	sandbox_enter_worker(parent, &limits);
	Spill *spill = NULL;
	int rc = request->spill_bytes ? spill_new(SPILL_FD, &spill) : 0;
	if (rc == 0)
		rc = work(check, crew, spill);
	_exit(rc == -ENOMEM ? WORKER_EXIT_MEMORY : rc < 0 ? WORKER_EXIT_PIPE : 0);
}

/* ---- the spawner ---- */

struct running {
	pid_t pid;
	int pidfd;
	int status; /* where its end is told; when nobody listens there any more, the worker is of no use */
	int64_t deadline_ms;
	bool is_late;
};

struct spawner {
	int control;
	pid_t pid;
	check_function *check;
	struct running running[SPAWN_WORKERS_MAX];
	size_t count;
};

static void tell(int status, enum spawn_end end, int value) {
	struct spawn_status message = {.magic = SPAWN_MAGIC, .end = (uint32_t)end, .value = value};
	(void)!write(status, &message, sizeof message);
}

/* Takes the request and its descriptors. 1, 0 when the daemon is gone, -errno for a packet that is none of ours. */
static int receive(int control, struct spawn_request *ret_request, int ret_fds[static SPAWN_FDS]) {
	_Alignas(struct cmsghdr) char space[CMSG_SPACE(SPAWN_FDS * sizeof(int))];
	struct iovec part = {.iov_base = ret_request, .iov_len = sizeof *ret_request};
	struct msghdr message = {
	        .msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
	ssize_t got = recvmsg(control, &message, MSG_CMSG_CLOEXEC);
	if (got < 0 && (errno == EINTR || errno == EAGAIN))
		return -EAGAIN;
	if (got <= 0)
		return 0;
	const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	if (got != sizeof *ret_request || ret_request->magic != SPAWN_MAGIC || !header ||
	        header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(fds_of(ret_request) * sizeof(int)))
		return 0;
	memcpy(ret_fds, CMSG_DATA(header), fds_of(ret_request) * sizeof(int));
	return 1;
}

static void start(struct spawner *s, const struct spawn_request *request, const int fds[static SPAWN_FDS]) {
	if (s->count == SPAWN_WORKERS_MAX) {
		tell(fds[SPAWN_FD_STATUS], SPAWN_NOT_STARTED, EAGAIN);
		(void)close(fds[SPAWN_FD_STATUS]);
		return;
	}
	pid_t pid = fork();
	if (pid == 0)
		worker_main(fds, s->pid, request, s->check);
	int error = errno;
	int pidfd = pid < 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0u);
	if (pidfd < 0) {
		error = pid < 0 ? error : errno;
		if (pid > 0 && kill(pid, SIGKILL) == 0)
			(void)waitpid(pid, NULL, 0);
		tell(fds[SPAWN_FD_STATUS], SPAWN_NOT_STARTED, error);
		(void)close(fds[SPAWN_FD_STATUS]);
		return;
	}
	s->running[s->count++] = (struct running){.pid = pid,
	        .pidfd = pidfd,
	        .status = fds[SPAWN_FD_STATUS],
	        .deadline_ms = monotonic_ms() + (int64_t)request->seconds * 1000};
}

static void end(struct spawner *s, size_t i) {
	struct running *worker = &s->running[i];
	int status = 0;
	while (waitpid(worker->pid, &status, 0) < 0 && errno == EINTR)
		;
	tell(worker->status, worker->is_late ? SPAWN_TIMED_OUT : SPAWN_ENDED, status);
	(void)close(worker->status);
	(void)close(worker->pidfd);
	s->running[i] = s->running[--s->count];
}

static int time_left(const struct spawner *s) {
	int64_t now = monotonic_ms(), left = 60000;
	for (size_t i = 0; i < s->count; i++)
		if (!s->running[i].is_late && s->running[i].deadline_ms - now < left)
			left = s->running[i].deadline_ms - now;
	return left < 0 ? 0 : (int)left;
}

static void look_after(struct spawner *s, const struct pollfd *polls) {
	int64_t now = monotonic_ms();
	/* Backwards: the place of one that has ended is taken by the last one, which has been looked at. */
	for (size_t i = s->count; i-- > 0;) {
		struct running *worker = &s->running[i];
		if (polls[2 * i].revents) {
			end(s, i);
		} else if (polls[2 * i + 1].revents || (now >= worker->deadline_ms && !worker->is_late)) {
			worker->is_late = now >= worker->deadline_ms;
			(void)kill(worker->pid, SIGKILL);
		}
	}
}

static void serve(struct spawner *s) {
	for (;;) {
		struct pollfd polls[2 * SPAWN_WORKERS_MAX + 1];
		for (size_t i = 0; i < s->count; i++) {
			polls[2 * i] = (struct pollfd){.fd = s->running[i].pidfd, .events = POLLIN};
			/* A late worker was killed already: its listener's leaving is no news. */
			polls[2 * i + 1] = (struct pollfd){.fd = s->running[i].is_late ? -1 : s->running[i].status};
		}
		size_t control = 2 * s->count;
		polls[control] = (struct pollfd){.fd = s->control, .events = POLLIN};
		if (poll(polls, control + 1, time_left(s)) < 0 && errno != EINTR)
			return;
		int fds[SPAWN_FDS];
		struct spawn_request request;
		look_after(s, polls);
		if (!polls[control].revents)
			continue;
		int rc = receive(s->control, &request, fds);
		if (rc == 0)
			return;
		if (rc < 0)
			continue;
		start(s, &request, fds);
		(void)close(fds[SPAWN_FD_INPUT]);
		(void)close(fds[SPAWN_FD_RESULT]);
		(void)close(fds[SPAWN_FD_REFERENCES]);
		if (request.spill_bytes)
			(void)close(fds[SPAWN_FD_SPILL]);
	}
}

static int compare_bytes(const void *a, const void *b) {
	return *(const uint8_t *)a - *(const uint8_t *)b;
}

/* The first time that the C library sorts more than a KiB it asks how much memory the machine has: a system call that
 * no worker may make. */
static void warm_up_sorting(void) {
	uint8_t many[2048] = {0};
	qsort(many, sizeof many, 1, compare_bytes);
}

_Noreturn void spawner_main(int control, pid_t parent, check_function *check, bool lock_memory) {
	(void)prctl(PR_SET_NAME, "assayfs-spawner", 0, 0, 0);
	int kept = process_keep_only(control);
	if (kept < 0)
		_exit(1);
	/* What the libraries open on first use they must open now: a worker has no files. */
	uint8_t digest[DIGEST_BYTES];
	crypto_ready();
	sha256(bytes_of(NULL, 0), digest);
	json_object_seed(0);
	sql_warm_up();
	spill_warm_up();
	warm_up_sorting();
	struct spawn_hello hello = {.magic = SPAWN_MAGIC, .reached = sandbox_enter_spawner(parent, lock_memory)};
	if (send(kept, &hello, sizeof hello, MSG_NOSIGNAL) != sizeof hello || hello.reached < 0)
		_exit(1);
	struct spawner s = {.control = kept, .pid = getpid(), .check = check};
	serve(&s);
	for (size_t i = 0; i < s.count; i++)
		(void)kill(s.running[i].pid, SIGKILL);
	_exit(0);
}
