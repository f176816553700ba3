/* `assayfs check --output`: what would be published of the FILE. */
#include "fs/command/check.h"
#include "fs/command/output_file.h"

#include "crypto/base/fault.h"

#include <errno.h>

enum { COPY_BYTES = 8 << 10 };

int check_output_usage(const struct invocation *call) {
	if (!command_has(call, "output"))
		return EXIT_DONE;
	if (call->operand_count > 1)
		return command_fail(
		        call, EXIT_USAGE, "--output is for one FILE, as it is what would be published of it");
	bool is_stdout = strcmp(command_value(call, "output"), "-") == 0;
	if (is_stdout && command_has(call, "json"))
		return command_fail(call, EXIT_USAGE, "--output - and --json both write to standard output");
	return EXIT_DONE;
}

static int copy(struct check_input *input, FILE *to) {
	char buffer[COPY_BYTES];
	ssize_t got;
	while ((got = input->read(input->context, buffer, sizeof buffer)) > 0)
		if (fwrite(buffer, 1, (size_t)got, to) != (size_t)got)
			return fault_errno(errno, "writing");
	return (int)got;
}

int check_write_output(const struct invocation *call, Preview *preview) {
	const char *path = command_value(call, "output");
	_cleanup_(output_file_closep) OutputFile *file = NULL;
	struct check_input input;
	if (preview_result(preview)->outcome != OUTCOME_PASSED) {
		command_note(call, "--output: nothing was written to %s, as it would not be published", path);
		return EXIT_DONE;
	}
	int rc = preview_input(preview, &input);
	if (rc >= 0)
		rc = output_file_open(path, &file);
	if (rc >= 0)
		rc = copy(&input, output_file_stream(file));
	if (rc >= 0)
		rc = output_file_finish(file);
	if (rc >= 0)
		return EXIT_DONE;
	(void)command_fault(call, rc, "--output"); /* whatever became of the FILE */
	return EXIT_UNDECIDED;
}
