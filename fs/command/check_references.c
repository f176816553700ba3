/* check_references: --ref ALIAS=FILE, the other tables that rules name. */
#include "fs/command/check.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct CheckReferences {
	struct check_reference list[CHECK_REFERENCES_MAX];
	size_t count;
	int fds[CHECK_REFERENCES_MAX];
	char *aliases[CHECK_REFERENCES_MAX];
};

static bool is_reference(const struct invocation *call, size_t i) {
	return strcmp(call->values[i].option->name, "ref") == 0;
}

/* Was the alias given before the i-th value? */
static bool is_given_before(const struct invocation *call, size_t i, const char *alias, size_t size) {
	for (size_t j = 0; j < i; j++)
		if (is_reference(call, j) && strncmp(call->values[j].value, alias, size + 1) == 0)
			return true;
	return false;
}

int check_references_usage(const struct invocation *call) {
	size_t count = 0;
	for (size_t i = 0; i < call->value_count; i++) {
		const char *given = call->values[i].value;
		if (!is_reference(call, i))
			continue;
		const char *equals = strchr(given, '=');
		if (!equals || equals == given || !equals[1])
			return command_fail(
			        call, EXIT_USAGE, "--ref %s: give ALIAS=FILE, like --ref owners=o.csv", given);
		size_t size = (size_t)(equals - given);
		if (size == strlen("primary") && strncmp(given, "primary", size) == 0)
			return command_fail(
			        call, EXIT_USAGE, "--ref %s: primary is FILE itself; choose another alias", given);
		if (is_given_before(call, i, given, size))
			return command_fail(call, EXIT_USAGE, "--ref %s: that alias is given twice", given);
		if (++count > CHECK_REFERENCES_MAX)
			return command_fail(call, EXIT_USAGE, "--ref: at most %d can be given", CHECK_REFERENCES_MAX);
	}
	return EXIT_DONE;
}

static ssize_t read_some(void *context, void *buffer, size_t size) {
	ssize_t got;
	do
		got = read(*(const int *)context, buffer, size);
	while (got < 0 && errno == EINTR);
	return got < 0 ? fault_errno(errno, "reading a reference") : got;
}

/* As the dataset that governs the file it stands for says, where a policy says that. */
static struct policy_format format_of(
        const struct check_subject *subject, const struct policy_dataset *dataset, const char *alias) {
	for (size_t i = 0; i < dataset->reference_count; i++) {
		const struct policy_reference *reference = &dataset->references[i];
		if (!subject->policy || strcmp(reference->alias, alias) != 0)
			continue;
		const char *below = reference->path + strlen("Trusted/");
		const struct policy_dataset *its = policy_dataset_for(subject->policy, below);
		return its ? its->format : (struct policy_format){0};
	}
	return (struct policy_format){0};
}

static int open_one(struct CheckReferences *all, const char *given) {
	const char *equals = strchr(given, '='), *path = equals + 1, *slash = strrchr(path, '/');
	size_t i = all->count;
	struct stat about;
	all->fds[i] = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (all->fds[i] < 0 || fstat(all->fds[i], &about) < 0)
		/* not FILE's own error, which would say that FILE is not there */
		return fault(ENODATA, "--ref %s: %s", given, strerrordesc_np(errno));
	if (S_ISDIR(about.st_mode))
		return fault(ENODATA, "--ref %s: it is a directory; give a file", given);
	all->aliases[i] = strndup(given, (size_t)(equals - given));
	if (!all->aliases[i])
		return fault(ENOMEM, "out of memory");
	all->list[i] = (struct check_reference){.alias = all->aliases[i],
	        .file_name = slash ? slash + 1 : path,
	        .size = S_ISREG(about.st_mode) ? (uint64_t)about.st_size : 0,
	        .input = {.read = read_some, .context = &all->fds[i]}};
	return 0;
}

int check_references_open(
        const struct check_subject *subject, const struct policy_dataset *dataset, CheckReferences **ret_references) {
	const struct invocation *call = subject->call;
	_cleanup_(check_references_closep) CheckReferences *all = calloc(1, sizeof *all);
	if (!all)
		return fault(ENOMEM, "out of memory");
	for (size_t i = 0; i < call->value_count; i++) {
		if (!is_reference(call, i))
			continue;
		int rc = open_one(all, call->values[i].value);
		all->count++; /* what was opened in vain is closed, too */
		if (rc < 0)
			return rc;
		struct check_reference *reference = &all->list[all->count - 1];
		reference->format = format_of(subject, dataset, reference->alias);
	}
	*ret_references = steal_pointer(&all);
	return 0;
}

void check_references_ask(const CheckReferences *references, struct check_job *job) {
	job->references = references->list;
	job->reference_count = references->count;
}

void check_references_close(CheckReferences *references) {
	if (!references)
		return;
	for (size_t i = 0; i < references->count; i++) {
		closep(&references->fds[i]);
		free(references->aliases[i]);
	}
	free(references);
}
