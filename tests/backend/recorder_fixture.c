#include "tests/backend/recorder_fixture.h"

#include <stdlib.h>

int recorder_fixture_setup(void **state) {
	struct recorder_fixture *fixture = calloc(1, sizeof *fixture);
	void *scratch = NULL;
	if (!fixture || scratch_setup(&scratch) != 0)
		return -1;
	fixture->scratch = scratch;
	assert_rc(recorder_open(fixture->scratch->vault, &fixture->recorder));
	assert_rc(recorder_io(fixture->recorder, &fixture->io));
	*state = fixture;
	return 0;
}

int recorder_fixture_teardown(void **state) {
	struct recorder_fixture *fixture = *state;
	void *scratch = fixture->scratch;
	vault_io_close(fixture->io);
	recorder_close(fixture->recorder);
	free(fixture);
	return scratch_teardown(&scratch);
}
