/* `assayfs policy suggest`: a first policy for a file that is as it should be. */
#include "fs/command/client.h"
#include "fs/command/command.h"
#include "fs/command/input.h"
#include "fs/command/when.h"
#include "fs/words.h"

#include "crypto/base/fault.h"
#include "policy/suggest.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The file's path below its zone when it lies in a mounted vault, else its name. */
static const char *name_of(const char *file, struct client_place *place) {
	const char *slash;
	if (client_locate(file, place) == 0 && (slash = strchr(place->path, '/')))
		return slash + 1;
	slash = strrchr(file, '/');
	return slash ? slash + 1 : file;
}

/* Never over a file that is there: rules may have been edited by hand. */
static int write_new(const char *directory, const char *name, struct bytes content) {
	char path[PATH_MAX];
	if (snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path)
		return fault(ENAMETOOLONG, "the path of %s is too long", name);
	_cleanup_(closep) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0 && errno == EEXIST)
		return fault(EEXIST, "%s is there already: choose another directory, or move it away", path);
	if (fd < 0)
		return fault_errno(errno, "making %s", path);
	for (size_t done = 0; done < content.size;) {
		ssize_t written = write(fd, content.data + done, content.size - done);
		if (written < 0 && errno != EINTR)
			return fault_errno(errno, "writing %s", path);
		done += written > 0 ? (size_t)written : 0;
	}
	return fsync(fd) < 0 ? fault_errno(errno, "writing %s", path) : 0;
}

static int check_free(const char *directory, const PolicyBundle *bundle) {
	for (size_t i = 0; i < policy_bundle_count(bundle); i++) {
		char path[PATH_MAX];
		(void)snprintf(path, sizeof path, "%s/%s", directory, policy_bundle_name(bundle, i));
		if (access(path, F_OK) == 0)
			return fault(EEXIST, "%s is there already: choose another directory, or move it away", path);
	}
	return 0;
}

static int write_bundle(const char *directory, const PolicyBundle *bundle) {
	if (mkdir(directory, 0777) < 0 && errno != EEXIST)
		return fault_errno(errno, "making the directory %s", directory);
	int rc = check_free(directory, bundle);
	for (size_t i = 0; !rc && i < policy_bundle_count(bundle); i++) {
		struct bytes content;
		const char *name = policy_bundle_name(bundle, i);
		rc = policy_bundle_get(bundle, name, &content);
		if (!rc)
			rc = write_new(directory, name, content);
	}
	return rc;
}

static void print_bundle(const PolicyBundle *bundle) {
	for (size_t i = 0; i < policy_bundle_count(bundle); i++) {
		struct bytes content;
		const char *name = policy_bundle_name(bundle, i);
		if (policy_bundle_get(bundle, name, &content))
			continue;
		printf("%s# ---- %s ----\n", i ? "\n" : "", name);
		(void)fwrite(content.data, 1, content.size, stdout);
	}
}

static json_t *bundle_json(const PolicyBundle *bundle) {
	json_t *files = json_object();
	for (size_t i = 0; i < policy_bundle_count(bundle); i++) {
		struct bytes content;
		const char *name = policy_bundle_name(bundle, i);
		if (policy_bundle_get(bundle, name, &content) == 0)
			json_object_set_new(files, name, json_stringn((const char *)content.data, content.size));
	}
	return json_pack("{s:o}", "files", files);
}

/* How it is put in force; where the file lies in a mount, in that one. */
static void print_next(const char *directory, const struct client_place *place) {
	_cleanup_(freep) char *quoted = words_shell(directory);
	_cleanup_(freep) char *mount = words_shell(place->mountpoint);
	printf("Read the rules, change what is not meant so, then: assayfs policy apply %s %s\n",
	        quoted ? quoted : "POLICYDIR", *place->mountpoint && mount ? mount : "DIR");
}

static int present(const struct invocation *call, const PolicyBundle *bundle, const struct client_place *place) {
	const char *directory = command_value(call, "output");
	int rc = directory ? write_bundle(directory, bundle) : 0;
	if (rc) {
		(void)command_fault(call, rc, "writing the policy to %s", directory);
		return rc == -EEXIST ? EXIT_NO : EXIT_UNDECIDED;
	}
	if (command_has(call, "json"))
		return command_print_json(call, bundle_json(bundle));
	if (!directory) {
		print_bundle(bundle);
		return EXIT_DONE;
	}
	_cleanup_(freep) char *safe = words_safe(directory);
	printf("Written to %s:", safe ? safe : "?");
	for (size_t i = 0; i < policy_bundle_count(bundle); i++)
		printf(" %s", policy_bundle_name(bundle, i));
	putchar('\n');
	print_next(directory, place);
	return EXIT_DONE;
}

static int run_suggest(const struct invocation *call) {
	const char *file = command_operand(call, 0);
	_cleanup_(input_closep) Input *input = NULL;
	_cleanup_(policy_bundle_freep) PolicyBundle *bundle = NULL;
	_cleanup_(freep) struct client_place *place = calloc(1, sizeof *place);
	if (!place)
		return command_fail(call, EXIT_UNDECIDED, "out of memory");
	int rc = input_open(file, "reading", &input);
	if (rc) {
		int code = command_fault(call, rc, "reading %s", file);
		return rc == -ENOENT || rc == -ENOTDIR || rc == -EISDIR ? code : EXIT_UNDECIDED;
	}
	struct check_input source = input_source(input);
	rc = policy_suggest(name_of(file, place), &source, when_now(), &bundle);
	input_done(input);
	if (rc < 0) {
		(void)command_fault(call, rc, "suggesting a policy for %s", file);
		return rc == -EINVAL ? EXIT_NO : EXIT_UNDECIDED;
	}
	if (rc > 0)
		command_note(call,
		        "what may be personal data was found in %s: no rule holds any of it, and policy.yaml has a "
		        "draft "
		        "of what to do with it, as a comment (assayfs scan --sensitivity high says where it is)",
		        file);
	return present(call, bundle, place);
}

const struct command command_policy_suggest = {
        .words = "policy suggest",
        .operands = "FILE",
        .least = 1,
        .most = 1,
        .summary = "write a first policy.yaml and rules that a file passes",
        .details = "Reads the file and writes what holds for it as a dataset with rules, each with a comment that says "
                   "why it is "
                   "there: a draft to be edited. Needs no vault; files that are there already are never overwritten.",
        .options =
                (const struct command_option[]){
                        {"output", 'o', "POLICYDIR", "write the files here (default: print them)"}, OPTION_JSON, {0}},
        .examples =
                (const struct command_example[]){
                        {"assayfs policy suggest Landing/a.csv -o policy/", "then edit and apply"}, {0}},
        .exits = EXIT_BIT(EXIT_NO) | EXIT_BIT(EXIT_UNDECIDED),
        .run = run_suggest,
};
