/* Which program a thread runs: told by its link, and by whether its memory is still the same. */
#include "fs/programs.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
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
	if (!programs_ask(&programs, tid, false, &process, got))
		assert_true(programs_keep(&programs, tid, pid, false, got));
	assert_int_equal(process, pid);
	assert_string_equal(got, name);
}

static bool becomes(pid_t tid, const char *name) {
	char got[PROGRAM_NAME_BYTES] = "";
	pid_t pid;
	for (int i = 0; i < 1000 && strcmp(got, name) != 0; i++) {
		if (!programs_ask(&programs, tid, false, &pid, got))
			(void)programs_keep(&programs, tid, tid, false, got);
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

static void a_program_that_is_replaced_is_told_whichever_thread_does_it(void **state) {
	(void)state;
	replace(false);
	replace(true);
}

/* posix_spawn, in the shape of `cat < file`: the child opens before it runs the program, and has its parent's memory
 * until then. Its parent is one of its own, of which the first thread may end. */
struct spawning {
	char fifo[64];
	pid_t parent, child;
	int writer;
};

static void *spawn(void *arg) {
	struct spawning *s = arg;
	posix_spawn_file_actions_t actions;
	char *arguments[] = {(char[]){"sleep"}, (char[]){"60"}, NULL};
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, s->fifo, O_RDONLY, 0);
	if (posix_spawnp(&s->child, "sleep", &actions, NULL, arguments, environ) == 0)
		(void)waitpid(s->child, NULL, 0);
	_exit(0);
}

static pid_t child_of(pid_t parent) {
	char command[128];
	int pid = 0;
	snprintf(command, sizeof command, "cat /proc/%d/task/*/children", parent);
	for (int i = 0; i < 1000 && pid == 0; i++, usleep(5000)) {
		FILE *list = popen(command, "r");
		if (list && fscanf(list, "%d", &pid) != 1)
			pid = 0;
		if (list)
			pclose(list);
	}
	return pid;
}

static void begin_spawning(struct spawning *s, bool first_thread_ends) {
	strcpy(s->fifo, "/tmp/assayfs-programs-XXXXXX");
	assert_non_null(mkdtemp(s->fifo));
	strcat(s->fifo, "/f");
	assert_int_equal(mkfifo(s->fifo, 0600), 0);
	s->parent = fork();
	assert_true(s->parent >= 0);
	if (s->parent == 0) {
		pthread_t thread;
		if (first_thread_ends && pthread_create(&thread, NULL, spawn, s) == 0)
			pthread_exit(NULL);
		spawn(s);
	}
	s->child = child_of(s->parent);
}

static void go_on_spawning(struct spawning *s) {
	s->writer = open(s->fifo, O_RDWR);
	unlink(s->fifo);
	*strrchr(s->fifo, '/') = '\0';
	(void)rmdir(s->fifo);
}

static void end_spawning(struct spawning *s) {
	if (s->child > 0)
		(void)kill(s->child, SIGKILL);
	(void)waitpid(s->parent, NULL, 0);
	close(s->writer);
}

/* Nothing is asserted before all is cleared away. */
static void ask_one_that_has_its_parents_memory(bool first_thread_ends) {
	struct spawning s;
	char before[PROGRAM_NAME_BYTES] = "", again[PROGRAM_NAME_BYTES] = "";
	pid_t process = 0;
	begin_spawning(&s, first_thread_ends);
	bool kept = programs_keep(&programs, s.child, s.child, false, before);
	bool known = programs_ask(&programs, s.child, false, &process, again);
	int memory = place_of(s.child)->memory;
	go_on_spawning(&s);
	bool told = becomes(s.child, "sleep");
	int memory_then = place_of(s.child)->memory;
	end_spawning(&s);
	assert_true(s.child > 0 && kept && known && told);
	assert_string_equal(before, SELF);
	assert_string_equal(again, SELF);
	assert_int_equal(memory, -1);
	/* Of a parent without a first thread it can't be told. */
	assert_int_equal(memory_then >= 0, programs.by_memory && !first_thread_ends);
}

static void one_that_still_has_its_parents_memory_is_asked_by_its_link(void **state) {
	(void)state;
	ask_one_that_has_its_parents_memory(false);
	ask_one_that_has_its_parents_memory(true);
}

static int linger(void *arg) {
	(void)arg;
	pause();
	return 0;
}

/* The number of a process that has ended can be anybody's, though another one has its memory still. */
static void a_process_is_gone_while_its_memory_is_in_use(void **state) {
	(void)state;
#ifdef __SANITIZE_THREAD__
	skip(); /* it keeps its own account of who runs on which memory */
#endif
	static char stack[65536] __attribute__((aligned(16)));
	char name[PROGRAM_NAME_BYTES];
	int heir[2], go[2];
	pid_t pid, other = 0;
	assert_int_equal(pipe(heir), 0);
	assert_int_equal(pipe(go), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		char byte;
		pid = clone(linger, stack + sizeof stack, CLONE_VM | SIGCHLD, NULL);
		if (write(heir[1], &pid, sizeof pid) != sizeof pid || read(go[0], &byte, 1) != 1)
			_exit(1);
		_exit(0);
	}
	bool made = read(heir[0], &other, sizeof other) == sizeof other;
	bool kept = programs_keep(&programs, child, child, false, name);
	bool known = programs_ask(&programs, child, false, &pid, name);
	bool told = write(go[1], "x", 1) == 1 && waitpid(child, NULL, 0) == child;
	bool known_then = programs_ask(&programs, child, false, &pid, name);
	(void)kill(other, SIGKILL);
	for (int i = 0; i < 2; i++) {
		close(heir[i]);
		close(go[i]);
	}
	assert_true(made && kept && known && told);
	assert_false(known_then);
}

static void *keep_thread(void *arg) {
	char name[PROGRAM_NAME_BYTES];
	pid_t *tid = arg;
	*tid = programs_keep(&programs, gettid(), getpid(), false, name) ? gettid() : 0;
	return NULL;
}

/* Nor is a thread there because its process is. */
static void a_thread_is_gone_while_its_process_is_there(void **state) {
	(void)state;
	char name[PROGRAM_NAME_BYTES];
	pthread_t thread;
	pid_t pid, tid = 0;
	assert_int_equal(pthread_create(&thread, NULL, keep_thread, &tid), 0);
	pthread_join(thread, NULL);
	assert_true(tid > 0);
	for (int i = 0; i < 1000 && syscall(SYS_tgkill, getpid(), tid, 0) == 0; i++)
		usleep(1000); /* joined before it is gone */
	assert_false(programs_ask(&programs, tid, false, &pid, name));
}

/* Who holds the metadata's lock must not hold another's memory. */
static void in_an_operation_links_are_read(void **state) {
	(void)state;
	char name[PROGRAM_NAME_BYTES];
	pid_t pid = 0;
	assert_true(programs_keep(&programs, getpid(), getpid(), true, name));
	assert_string_equal(name, SELF);
	assert_int_equal(place_of(getpid())->memory, -1);
	name[0] = '\0';
	assert_true(programs_ask(&programs, getpid(), true, &pid, name));
	assert_string_equal(name, SELF);
	assert_int_equal(place_of(getpid())->memory, -1);
}

/* Another request asks for it, or for one that shares its place: neither waits, and none is closed under the other. */
static void a_place_that_is_taken_is_left_alone(void **state) {
	(void)state;
	char name[PROGRAM_NAME_BYTES];
	pid_t pid;
	assert_program(getpid(), getpid(), SELF);
	struct program *place = place_of(getpid()), before = *place;
	place->taken = true;
	assert_false(programs_ask(&programs, getpid(), false, &pid, name));
	assert_true(programs_keep(&programs, getpid(), getpid(), false, name));
	assert_string_equal(name, SELF);
	assert_int_equal(place->link, before.link);
	assert_int_equal(place->memory, before.memory);
	place->taken = false;
	assert_true(programs_ask(&programs, getpid(), false, &pid, name));
}

static void a_process_that_is_gone_is_not_taken_for_the_next(void **state) {
	(void)state;
	char name[PROGRAM_NAME_BYTES];
	pid_t pid;
	struct child child = start(false);
	assert_program(child.pid, child.pid, SELF);
	assert_true(programs_ask(&programs, child.pid, false, &pid, name));
	end(&child);
	/* The number might be somebody else's by now; what was kept says nothing of them. */
	assert_false(programs_ask(&programs, child.pid, false, &pid, name));
	assert_int_equal(place_of(child.pid)->tid, 0);
	assert_false(programs_keep(&programs, child.pid, child.pid, false, name));
}

static void the_place_of_one_is_taken_by_another(void **state) {
	(void)state;
	char name[PROGRAM_NAME_BYTES];
	pid_t pid;
	assert_program(getpid(), getpid(), SELF);
	assert_false(programs_ask(&programs, getpid() + PROGRAMS, false, &pid, name));
	struct program before = *place_of(getpid());
	assert_true(programs_keep(&programs, getpid(), getpid(), false, name));
	/* No descriptor is left behind: the new ones were opened before. */
	assert_int_equal(fcntl(before.link, F_GETFD), -1);
	assert_int_equal(fcntl(before.memory, F_GETFD), -1);
	assert_int_equal(fcntl(before.process, F_GETFD), -1);
	programs_clear(&programs);
	assert_false(programs_ask(&programs, getpid(), false, &pid, name));
}

static bool is_told(pid_t tid, const char *name) {
	char got[PROGRAM_NAME_BYTES] = "";
	pid_t pid;
	bool told =
	        programs_ask(&programs, tid, false, &pid, got) || programs_keep(&programs, tid, getpid(), false, got);
	return told && strcmp(got, name) == 0;
}

/* Of this thread, of the process, and of another one. */
static void *ask_often(void *arg) {
	const struct child *child = arg;
	for (int i = 0; i < 500; i++) {
		bool told = is_told(gettid(), SELF) && is_told(getpid(), SELF) && is_told(child->pid, SELF);
		if (!told || (i % 100 == 99 && !programs_keep(&programs, getpid(), getpid(), true, (char[64]){0})))
			return arg;
	}
	return NULL;
}

static void many_ask_at_once(void **state) {
	(void)state;
	pthread_t threads[4];
	struct child child = start(false);
	void *failed[4];
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_often, &child), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], &failed[i]);
	end(&child);
	for (int i = 0; i < 4; i++)
		assert_null(failed[i]);
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
	        BOTH(a_program_that_is_replaced_is_told_whichever_thread_does_it),
	        BOTH(one_that_still_has_its_parents_memory_is_asked_by_its_link),
	        BOTH(a_process_is_gone_while_its_memory_is_in_use),
	        BOTH(a_thread_is_gone_while_its_process_is_there),
	        BOTH(in_an_operation_links_are_read),
	        BOTH(a_place_that_is_taken_is_left_alone),
	        BOTH(a_process_that_is_gone_is_not_taken_for_the_next),
	        BOTH(the_place_of_one_is_taken_by_another),
	        BOTH(many_ask_at_once),
	        cmocka_unit_test(a_name_is_what_the_path_ends_with),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
