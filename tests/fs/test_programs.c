/* Which program a thread runs: told by its link, and by whether its memory is still the same. */
#include "fs/programs.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <linux/kcmp.h>

#include "tests/fs/unit.h"

#define SELF "test_fs_programs"

/* As programs_learn finds it here, or (links) as where the kernel tells nothing. */
static struct programs programs;

static int set_up(void **state) {
	(void)state;
	programs = (struct programs)PROGRAMS_INIT;
	programs_learn(&programs);
	return 0;
}

static int set_up_links(void **state) {
	(void)state;
	programs = (struct programs)PROGRAMS_INIT;
	return 0;
}

static int tear_down(void **state) {
	(void)state;
	programs_clear(&programs);
	return 0;
}

static struct program *place_of(pid_t tid) {
	return &programs.kept[(unsigned)tid % PROGRAMS];
}

/* As actor_of_process asks. */
static void assert_program(pid_t tid, pid_t pid, const char *name) {
	char got[PROGRAM_NAME_BYTES];
	pid_t process = pid;
	if (!programs_ask(&programs, tid, &process, got))
		assert_true(programs_keep(&programs, tid, pid, got));
	assert_int_equal(process, pid);
	assert_string_equal(got, name);
}

static bool becomes(pid_t tid, const char *name) {
	char got[PROGRAM_NAME_BYTES] = "";
	pid_t pid;
	for (int i = 0; i < 1000 && strcmp(got, name) != 0; i++) {
		if (!programs_ask(&programs, tid, &pid, got))
			(void)programs_keep(&programs, tid, tid, got);
		usleep(1000);
	}
	return strcmp(got, name) == 0;
}

/* Waits for a byte, then runs sleep: by its only thread, or by a second one. */
struct child {
	pid_t pid;
	int go;
};

static void *run_sleep(void *arg) {
	char byte;
	int go = *(int *)arg;
	if (read(go, &byte, 1) == 1)
		execlp("sleep", "sleep", "60", (char *)NULL);
	_exit(1);
}

static struct child start(bool by_thread) {
	int go[2];
	assert_int_equal(pipe(go), 0);
	struct child child = {.pid = fork(), .go = go[1]};
	assert_true(child.pid >= 0);
	if (child.pid == 0) {
		pthread_t thread;
		close(go[1]);
		if (by_thread && pthread_create(&thread, NULL, run_sleep, &go[0]) == 0)
			pause();
		run_sleep(&go[0]);
	}
	close(go[0]);
	return child;
}

static void end(struct child *child) {
	assert_int_equal(kill(child->pid, SIGKILL), 0);
	assert_int_equal(waitpid(child->pid, NULL, 0), child->pid);
	close(child->go);
}

static void this_kernel_tells_when_memory_is_gone(void **state) {
	(void)state;
	bool has_pagemap = access("/proc/self/pagemap", R_OK) == 0;
	bool compares = syscall(SYS_kcmp, getpid(), getpid(), KCMP_VM, 0, 0) == 0;
	if (!has_pagemap || !compares)
		skip();
	assert_true(programs.by_memory);
	assert_program(getpid(), getpid(), SELF);
	assert_true(place_of(getpid())->memory >= 0);
}

static void replace(bool by_thread) {
	struct child child = start(by_thread);
	for (int i = 0; i < 3; i++)
		assert_program(child.pid, child.pid, SELF);
	assert_int_equal(place_of(child.pid)->tid, child.pid);
	assert_int_equal(write(child.go, "x", 1), 1);
	assert_true(becomes(child.pid, "sleep"));
	for (int i = 0; i < 3; i++)
		assert_program(child.pid, child.pid, "sleep");
	assert_int_equal(place_of(child.pid)->memory >= 0, programs.by_memory);
	end(&child);
}

static void a_program_that_is_replaced_is_told(void **state) {
	(void)state;
	replace(false);
}

static void also_when_another_thread_replaces_it(void **state) {
	(void)state;
	replace(true);
}

/* posix_spawn, in the shape of `cat < file`: the child opens before it runs the program, and has its parent's memory
 * until then. */
struct spawning {
	char fifo[64];
	atomic_int parent; /* thread */
	pid_t child;
};

static void *spawn(void *arg) {
	struct spawning *s = arg;
	posix_spawn_file_actions_t actions;
	char *arguments[] = {(char[]){"sleep"}, (char[]){"60"}, NULL};
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, s->fifo, O_RDONLY, 0);
	s->parent = gettid();
	assert_int_equal(posix_spawnp(&s->child, "sleep", &actions, NULL, arguments, environ), 0);
	posix_spawn_file_actions_destroy(&actions);
	return NULL;
}

static pid_t child_of(const struct spawning *s) {
	int pid = 0;
	for (int i = 0; i < 5000 && pid == 0; i++, usleep(1000)) {
		char path[64];
		snprintf(path, sizeof path, "/proc/self/task/%d/children", s->parent);
		FILE *file = s->parent ? fopen(path, "re") : NULL;
		if (file && fscanf(file, "%d", &pid) != 1)
			pid = 0;
		if (file)
			fclose(file);
	}
	assert_true(pid > 0);
	return pid;
}

static void one_that_still_has_its_parents_memory_is_asked_by_its_link(void **state) {
	(void)state;
	struct spawning s = {.fifo = "/tmp/assayfs-programs-XXXXXX"};
	pthread_t thread;
	assert_non_null(mkdtemp(s.fifo));
	strcat(s.fifo, "/f");
	assert_int_equal(mkfifo(s.fifo, 0600), 0);
	assert_int_equal(pthread_create(&thread, NULL, spawn, &s), 0);
	pid_t child = child_of(&s), process = 0;
	char before[PROGRAM_NAME_BYTES] = "", again[PROGRAM_NAME_BYTES] = "";
	bool kept = programs_keep(&programs, child, child, before);
	bool known = programs_ask(&programs, child, &process, again);
	int memory = place_of(child)->memory;
	int writer = open(s.fifo, O_WRONLY); /* before anything can fail, which would wait for the child for ever */
	pthread_join(thread, NULL);
	unlink(s.fifo);
	*strrchr(s.fifo, '/') = '\0';
	assert_int_equal(rmdir(s.fifo), 0);
	bool told = becomes(child, "sleep");
	int memory_then = place_of(child)->memory;
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	close(writer);
	assert_int_equal(s.child, child);
	assert_true(writer >= 0 && kept && known && told);
	assert_string_equal(before, SELF);
	assert_string_equal(again, SELF);
	assert_int_equal(memory, -1);
	assert_int_equal(memory_then >= 0, programs.by_memory);
}

static void a_process_that_is_gone_is_not_taken_for_the_next(void **state) {
	(void)state;
	char name[PROGRAM_NAME_BYTES];
	pid_t pid;
	struct child child = start(false);
	assert_program(child.pid, child.pid, SELF);
	assert_true(programs_ask(&programs, child.pid, &pid, name));
	end(&child);
	/* The number might be somebody else's by now; what was kept says nothing of them. */
	assert_false(programs_ask(&programs, child.pid, &pid, name));
	assert_int_equal(place_of(child.pid)->tid, 0);
	assert_false(programs_keep(&programs, child.pid, child.pid, name));
}

static void the_place_of_one_is_taken_by_another(void **state) {
	(void)state;
	char name[PROGRAM_NAME_BYTES];
	pid_t pid;
	assert_program(getpid(), getpid(), SELF);
	assert_false(programs_ask(&programs, getpid() + PROGRAMS, &pid, name));
	struct program before = *place_of(getpid());
	assert_true(programs_keep(&programs, getpid(), getpid(), name));
	/* No descriptor is left behind: the new ones were opened before. */
	assert_int_equal(fcntl(before.link, F_GETFD), -1);
	assert_int_equal(fcntl(before.memory, F_GETFD), -1);
	programs_clear(&programs);
	assert_false(programs_ask(&programs, getpid(), &pid, name));
}

static void a_name_is_what_the_path_ends_with(void **state) {
	(void)state;
	static const struct {
		const char *link;
		size_t length;
	} cases[] = {{"/bin/cat", 8}, {"/bin/cat (deleted)", 8}, {" (deleted)", 10}, {"a (deleted)", 1}, {"", 0}};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_int_equal(program_link_length(cases[i].link, strlen(cases[i].link)), cases[i].length);
}

int main(void) {
#define BOTH(name)                                                \
	cmocka_unit_test_setup_teardown(name, set_up, tear_down), \
	        cmocka_unit_test_setup_teardown(name, set_up_links, tear_down)
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(this_kernel_tells_when_memory_is_gone, set_up, tear_down),
	        BOTH(a_program_that_is_replaced_is_told),
	        BOTH(also_when_another_thread_replaces_it),
	        BOTH(one_that_still_has_its_parents_memory_is_asked_by_its_link),
	        BOTH(a_process_that_is_gone_is_not_taken_for_the_next),
	        BOTH(the_place_of_one_is_taken_by_another),
	        cmocka_unit_test(a_name_is_what_the_path_ends_with),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
