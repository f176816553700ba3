#include "tests/policy/misbehave.h"

#include "policy/crew.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int count_all(struct check_input *input, uint64_t *ret_bytes) {
	char buffer[4096];
	ssize_t got;
	*ret_bytes = 0;
	while ((got = input->read(input->context, buffer, sizeof buffer)) > 0)
		*ret_bytes += (uint64_t)got;
	return (int)got;
}

static int pass(struct check_input *input, struct check_result *result) {
	uint64_t bytes;
	int rc = count_all(input, &bytes);
	struct check_rule *rule = check_result_add_rule(result, "RowCount > 0", OUTCOME_PASSED);
	if (rc < 0 || !rule)
		return rc < 0 ? rc : -ENOMEM;
	result->outcome = OUTCOME_PASSED;
	result->has_rows = true;
	result->rows = bytes;
	return check_rule_add_metric(rule, "Dataset.*.RowCount", (double)bytes);
}

/* Reads a little of the file, then the references but the first, then what is left: as a check of a table does. */
static int read_references(const struct check_job *job, struct check_input *input, struct check_result *result) {
	char few[10];
	for (size_t i = 1; i < job->reference_count; i++) {
		struct check_input reference = job->references[i].input;
		uint64_t bytes;
		if (i == 1 && input->read(input->context, few, sizeof few) < 0)
			return -EIO;
		int rc = count_all(&reference, &bytes);
		if (rc < 0)
			return rc;
		if (bytes != job->references[i].size)
			return check_result_say(
			        result, OUTCOME_ERROR, "a reference has %llu bytes", (unsigned long long)bytes);
	}
	return pass(input, result);
}

static void raw_answer(const void *data, size_t size) {
	(void)!write(1, data, size);
	_exit(0);
}

static int eat_memory(void) {
	static char *volatile kept;
	for (;;) {
		kept = malloc(1 << 20);
		if (!kept)
			return fault(ENOMEM, "no memory");
		memset(kept, 1, 1 << 20);
	}
}

static void hang_asleep(void) {
	static uint32_t word;
	for (;;)
		(void)syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0);
}

static void loop_for_ever(void) {
	for (volatile unsigned i = 0;; i = i + 1)
		;
}

static void jump_to_nowhere(void) {
	void (*volatile nowhere)(void) = NULL;
	nowhere();
}

/* ---- with a crew ---- */

struct meeting {
	pthread_t first; /* the worker's own thread */
	atomic_uint come;
	bool opens;   /* whoever else comes tries what a worker may not do */
	Spill *spill; /* or puts something aside, if it is not NULL */
};

/* Ends when both have come, which one thread alone can't bring about: then the worker's time does. */
static int meet(void *context, size_t part) {
	struct meeting *meeting = context;
	(void)part;
	atomic_fetch_add(&meeting->come, 1);
	while (atomic_load(&meeting->come) < 2)
		;
	if (meeting->opens && !pthread_equal(pthread_self(), meeting->first))
		(void)open("/etc/passwd", O_RDONLY);
	uint64_t at;
	return meeting->spill ? spill_put(meeting->spill, bytes_of("aside", 5), &at) : 0;
}

static int work_as_crew(
        const struct check_job *job, struct check_input *input, struct check_result *result, bool opens) {
	struct meeting meeting = {.first = pthread_self(), .opens = opens, .spill = job->spill};
	if (!job->crew)
		return check_result_say(result, OUTCOME_ERROR, "there is no crew");
	crew_begin(job->crew, meet, &meeting, 2);
	int rc = crew_end(job->crew);
	return rc < 0 ? rc : pass(input, result);
}

/* Puts blocks aside and takes them back. */
static int put_aside(const struct check_job *job, struct check_input *input, struct check_result *result) {
	uint8_t block[SPILL_BLOCK_MAX], back[SPILL_BLOCK_MAX];
	uint64_t number;
	if (!job->spill)
		return check_result_say(result, OUTCOME_ERROR, "there is no spill");
	for (int i = 0; i < 300; i++) {
		memset(block, i, sizeof block);
		int rc = spill_put(job->spill, bytes_of(block, sizeof block), &number);
		if (rc < 0 || (rc = spill_get(job->spill, number, back, sizeof back)) < 0)
			return rc;
		if (memcmp(block, back, sizeof block) != 0)
			return fault(EIO, "block %d is another", i);
	}
	return pass(input, result);
}

int misbehave(const struct check_job *job, struct check_input *input, struct check_result *result) {
	const char *what = (const char *)job->rules.data;
	if (strcmp(what, "open") == 0)
		(void)open("/etc/passwd", O_RDONLY);
	else if (strcmp(what, "socket") == 0)
		(void)socket(AF_INET, SOCK_STREAM, 0);
	else if (strcmp(what, "fork") == 0)
		(void)fork();
	else if (strcmp(what, "kill parent") == 0)
		(void)kill(getppid(), SIGKILL);
	else if (strcmp(what, "run memory") == 0)
		return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
		                       MAP_FAILED
		               ? fault(EACCES, "refused")
		               : 0;
	else if (strcmp(what, "loop") == 0)
		loop_for_ever();
	else if (strcmp(what, "sleep") == 0)
		hang_asleep();
	else if (strcmp(what, "memory") == 0)
		return eat_memory();
	else if (strcmp(what, "crash") == 0)
		jump_to_nowhere();
	else if (strcmp(what, "abort") == 0)
		abort();
	else if (strcmp(what, "exit") == 0)
		_exit(3);
	else if (strcmp(what, "silent") == 0)
		_exit(0);
	else if (strcmp(what, "garbage") == 0)
		raw_answer("\x0f\0\0\0\0\0\0\0\0\0\0\0{\"outcome\":1.5}", 27);
	else if (strcmp(what, "too long") == 0)
		raw_answer("\xff\xff\xff\x7f\0\0\0\0\0\0\0\0{}", 14);
	else if (strcmp(what, "lie") == 0)
		raw_answer("\x02\0\0\0\0\0\0\0\0\0\0\0{}garbage after it", 30);
	else if (strcmp(what, "references") == 0)
		return read_references(job, input, result);
	else if (strcmp(what, "crew") == 0 || strcmp(what, "crew opens") == 0)
		return work_as_crew(job, input, result, what[4] != 0);
	else if (strcmp(what, "spill") == 0)
		return put_aside(job, input, result);
	else if (strcmp(what, "write elsewhere") == 0)
		(void)!pwrite(1, "x", 1, 0);
	else if (strcmp(what, "stop early") == 0)
		return check_result_say(result, OUTCOME_FAILED, "stopped at the first byte");
	else
		return pass(input, result);
	return pass(input, result);
}

/* ---- asking ---- */

ssize_t read_x(void *context, void *buffer, size_t size) {
	struct x_source *source = context;
	if (source->left == 0)
		return source->error_at_end;
	size_t count = source->left < size ? (size_t)source->left : size;
	memset(buffer, 'x', count);
	source->left -= count;
	return (ssize_t)count;
}

_Thread_local uint32_t user_who_asks;

int ask(Spawner *s, const char *what, uint64_t size, int error_at_end, struct check_outcome *ret_outcome) {
	struct x_source source = {.left = size, .error_at_end = error_at_end};
	struct check_job job = {.dataset = "d", .file_name = "f.csv", .size = size, .rules = bytes_of_string(what)};
	struct check_request request = {
	        .job = &job, .input = {.read = read_x, .context = &source}, .user = user_who_asks};
	return spawner_check(s, &request, ret_outcome);
}

void expect_error(Spawner *s, const char *what, const char *words) {
	struct check_outcome outcome = {0};
	assert_int_equal(ask(s, what, 100000, 0, &outcome), 0);
	assert_int_equal(outcome.result->outcome, OUTCOME_ERROR);
	if (!strstr(outcome.result->reason, words))
		fail_msg("'%s' gave the reason '%s', not '%s'", what, outcome.result->reason, words);
	assert_int_equal(outcome.size, 100000);
	check_result_free(outcome.result);
}

void expect_pass(Spawner *s, uint64_t size) {
	struct check_outcome outcome = {0};
	assert_int_equal(ask(s, "pass", size, 0, &outcome), 0);
	if (outcome.result->outcome != OUTCOME_PASSED)
		fail_msg("not passed: %s", outcome.result->reason);
	assert_int_equal(outcome.result->rows, size);
	assert_int_equal(outcome.size, size);
	check_result_free(outcome.result);
}

Spawner *start(void) {
	struct spawner_options options = {.check = misbehave, .seconds = 20, .memory_bytes = 64u << 20};
	Spawner *s = NULL;
	if (spawner_start(&options, &s) < 0)
		fail_msg("%s", fault_message());
	return s;
}
