/* What a process has left once it is confined. */
#include "policy/sandbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static int in_child(int (*run)(pid_t parent)) {
	pid_t parent = getpid(), child = fork();
	if (child == 0)
		_exit(run(parent));
	int status = 0;
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static int look(pid_t parent) {
	int reached = sandbox_enter_spawner(parent, false);
	if (reached < 0)
		return 1;
	if ((reached & SANDBOX_OTHER_USER) && getuid() == 0)
		return 2;
	if ((reached & SANDBOX_NAMESPACES) && open("/etc/passwd", O_RDONLY) >= 0)
		return 3;
	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : 4;
}

static int of_another(pid_t parent) {
	return sandbox_enter_spawner(parent + 1, false) < 0 ? 0 : 1;
}

static void test_it_is_confined(void **state) {
	(void)state;
	assert_int_equal(in_child(look), 0);
}

static void test_it_does_not_outlive_its_parent(void **state) {
	(void)state;
	assert_int_equal(in_child(of_another), 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_it_is_confined), cmocka_unit_test(test_it_does_not_outlive_its_parent)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
