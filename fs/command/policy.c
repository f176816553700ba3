/* `assayfs policy apply` and `policy show`: the policy that is in force. */
#include "fs/command/answer.h"
#include "fs/command/client.h"
#include "fs/command/command.h"
#include "fs/command/policy_notes.h"
#include "fs/command/recheck.h"
#include "fs/words.h"

#include "crypto/base/fault.h"
#include "crypto/encoding.h"
#include "policy/bundle.h"
#include "policy/policy.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- apply ---- */

/* Reads and checks the directory here, where its files can be named, before anything goes to the mount. */
static int read_policy(const char *directory, char **ret_archive, json_t **ret_notes) {
	_cleanup_(policy_bundle_freep) PolicyBundle *bundle = NULL;
	_cleanup_(policy_freep) Policy *policy = NULL;
	_cleanup_(freep) uint8_t *archive = NULL;
	size_t size;
	int rc = policy_bundle_read(directory, &bundle);
	if (!rc)
		rc = policy_parse(bundle, &policy);
	if (!rc)
		rc = policy_check_rules(policy);
	if (!rc)
		rc = policy_lint_rules(policy);
	if (!rc)
		rc = policy_bundle_serialise(bundle, &archive, &size);
	if (rc)
		return rc;
	char *text = malloc(BASE64_TEXT_BYTES(size));
	if (!text)
		return fault(ENOMEM, "out of memory");
	base64_encode(bytes_of(archive, size), text);
	*ret_archive = text;
	*ret_notes = policy_notes(policy);
	return 0;
}

static void print_notes(const json_t *notes) {
	for (size_t i = 0; i < json_array_size(notes); i++) {
		const char *note = json_string_value(json_array_get(notes, i));
		_cleanup_(freep) char *safe = words_safe(note ? note : "");
		printf("note: %s\n", safe ? safe : "");
	}
}

static void print_applied(const json_t *item) {
	if (answer_flag(item, "unchanged"))
		printf("Policy %" PRIu64 " is in force already; nothing changed.\n", answer_number(item, "number"));
	else
		printf("Policy %" PRIu64 " is in force: %" PRIu64 " dataset%s, %" PRIu64 " workflow%s.\n",
		        answer_number(item, "number"), answer_number(item, "datasets"),
		        words_s(answer_number(item, "datasets")), answer_number(item, "workflows"),
		        words_s(answer_number(item, "workflows")));
	const json_t *keys = json_object_get(item, "keys_made");
	for (size_t i = 0; i < json_array_size(keys); i++)
		printf("Made the key %s (assayfs key list).\n", json_string_value(json_array_get(keys, i)));
	uint64_t arrivals = answer_number(item, "arrivals");
	if (arrivals)
		printf("%" PRIu64 " file%s in Landing already %s being checked (assayfs status).\n", arrivals,
		        arrivals == 1 ? " that was" : "s that were", arrivals == 1 ? "is" : "are");
	print_notes(json_object_get(item, "warnings"));
}

/* ---- what it changes ---- */

static int exit_of(const struct recheck_counts *counts) {
	return counts->lost ? EXIT_NO : counts->errors ? EXIT_UNDECIDED : EXIT_DONE;
}

static int answer_foreseen(
        const struct invocation *call, const struct recheck_counts *counts, json_t *list, json_t *notes) {
	int code = exit_of(counts);
	if (command_has(call, "json"))
		return command_print_json(
		               call, json_pack("{s:I, s:I, s:I, s:I, s:O, s:O}", "files", (json_int_t)counts->total,
		                             "would_not_pass", (json_int_t)counts->lost, "would_pass",
		                             (json_int_t)counts->gained, "not_checked", (json_int_t)counts->errors,
		                             "changes", list, "warnings", notes))
		               ? EXIT_UNDECIDED
		               : code;
	printf("%" PRIu64 " file%s in Trusted would not pass, %" PRIu64
	       " that %s not passed would; nothing was changed.\n",
	        counts->lost, words_s(counts->lost), counts->gained, counts->gained == 1 ? "has" : "have");
	print_notes(notes);
	return code;
}

static int foresee(
        const struct invocation *call, Client *client, const char *directory, const char *archive, json_t *notes) {
	_cleanup_(json_decrefp) json_t *list = command_has(call, "json") ? json_array() : NULL;
	struct recheck_counts counts;
	int rc = recheck_ask(client, archive, list, &counts);
	if (rc == 0)
		return answer_foreseen(call, &counts, list, notes);
	int code = command_fault(call, rc, "trying %s", directory);
	return rc == -EINVAL ? EXIT_NO : code;
}

/* One request a connection: a new one. */
static int recheck(const struct invocation *call, json_t *item) {
	_cleanup_(client_closep) Client *client = NULL;
	_cleanup_(json_decrefp) json_t *list = command_has(call, "json") ? json_array() : NULL;
	struct recheck_counts counts;
	int code = client_open_operand(call, 1, NULL, &client);
	if (code)
		return code;
	int rc = recheck_ask(client, NULL, list, &counts);
	if (rc)
		return command_fault(call, rc, "checking what is trusted by the policy");
	if (list)
		json_object_update_new(item, json_pack("{s:I, s:I, s:O}", "withdrawn", (json_int_t)counts.lost,
		                                     "not_checked", (json_int_t)counts.errors, "changes", list));
	else
		printf("%" PRIu64 " file%s in Trusted checked, %" PRIu64 " withdrawn%s.\n", counts.total,
		        words_s(counts.total), counts.lost, counts.lost ? " (assayfs quarantine list)" : "");
	return exit_of(&counts);
}

static int apply(const struct invocation *call, Client *client, const char *directory, const char *archive) {
	_cleanup_(json_decrefp) json_t *item = NULL;
	int rc = client_ask(client, "policy-apply",
	        json_pack("{s:s, s:b}", "archive", archive, "hand_over", (int)command_has(call, "hand-over")), &item);
	if (rc) {
		int code = command_fault(call, rc, "applying %s", directory);
		return rc == -EINVAL ? EXIT_NO : code;
	}
	if (!command_has(call, "json"))
		print_applied(item);
	int code = command_has(call, "recheck") ? recheck(call, item) : EXIT_DONE;
	if (command_has(call, "json"))
		code = command_print_json(call, steal_pointer(&item)) ? EXIT_UNDECIDED : code;
	return code;
}

static int run_apply(const struct invocation *call) {
	const char *directory = command_operand(call, 0);
	_cleanup_(freep) char *archive = NULL;
	_cleanup_(json_decrefp) json_t *notes = NULL;
	_cleanup_(client_closep) Client *client = NULL;
	struct stat about;
	if (command_has(call, "dry-run") + command_has(call, "recheck") + command_has(call, "keep") > 1)
		return command_fail(call, EXIT_USAGE, "give one of --dry-run, --recheck and --keep");
	if (stat(directory, &about) == 0 && !S_ISDIR(about.st_mode))
		return command_fail(
		        call, EXIT_USAGE, "%s is a file; give the directory that holds policy.yaml", directory);
	int rc = read_policy(directory, &archive, &notes);
	if (rc) {
		(void)command_fault(call, rc, "%s", directory);
		return rc == -EINVAL || rc == -ENOENT || rc == -EFBIG ? EXIT_NO : EXIT_UNDECIDED;
	}
	int code = client_open_operand(call, 1, NULL, &client);
	if (code)
		return code;
	return command_has(call, "dry-run") ? foresee(call, client, directory, archive, notes)
	                                    : apply(call, client, directory, archive);
}

const struct command command_policy_apply = {
        .words = "policy apply",
        .operands = "POLICYDIR [DIR]",
        .least = 1,
        .most = 2,
        .summary = "put a directory's policy.yaml and rules in force",
        .details =
                "The files are checked word by word first; an error names file, line, column and what would be right, "
                "and nothing changes. The policy is stored in the vault with a number and its hash, and the change is "
                "in "
                "the audit log. Stewards only; a policy under which nobody would be steward is refused, and without "
                "--hand-over one under which you would not.\n\n"
                "What stands in Trusted keeps its verdict (--keep, which is what happens without an option). --recheck "
                "checks each file there by the new policy and withdraws what does not pass: its name goes, its "
                "versions "
                "stay, and it is in quarantine. --dry-run says what would not pass any longer, and what would that "
                "has not, and changes nothing. With both of these 1 is the exit code when a file in Trusted does not "
                "pass.",
        .options = (const struct command_option[]){{"dry-run", 'n', NULL, "say what would change, and change nothing"},
                {"recheck", 0, NULL, "check what is trusted by it too, and withdraw what does not pass"},
                {"keep", 0, NULL, "leave what is trusted as it is"},
                {"hand-over", 0, NULL, "also when you would not be a steward any more"}, OPTION_JSON, {0}},
        .examples = (const struct command_example[]){{"assayfs policy apply --dry-run policy/ /mnt",
                                                             "which files would be decided otherwise"},
                {"assayfs policy apply policy/ /mnt", "from now on"},
                {"assayfs policy apply --recheck policy/ /mnt", "and for what is there already"}, {0}},
        .exits = EXIT_BIT(EXIT_NO) | EXIT_BIT(EXIT_UNDECIDED) | EXIT_BIT(EXIT_NOT_MOUNTED) | EXIT_BIT(EXIT_DENIED),
        .run = run_apply,
};

/* ---- show ---- */

static int decode_bundle(const json_t *item, PolicyBundle **ret_bundle) {
	const char *text = answer_text(item, "archive");
	size_t size = 0;
	_cleanup_(freep) uint8_t *archive = malloc(strlen(text) + 1);
	if (!archive)
		return fault(ENOMEM, "out of memory");
	if (base64_decode(text, strlen(text), archive, &size) < 0)
		return fault(EPROTO, "the mount's answer is malformed");
	return policy_bundle_parse(bytes_of(archive, size), ret_bundle);
}

static void print_file(const char *name, struct bytes content) {
	printf("\n# ---- %s ----\n", name);
	(void)fwrite(content.data, 1, content.size, stdout);
	if (content.size && content.data[content.size - 1] != '\n')
		putchar('\n');
}

static json_t *files_json(const PolicyBundle *bundle) {
	json_t *files = json_object();
	for (size_t i = 0; i < policy_bundle_count(bundle); i++) {
		struct bytes content = {0};
		const char *name = policy_bundle_name(bundle, i);
		if (policy_bundle_get(bundle, name, &content) == 0)
			json_object_set_new(files, name, json_stringn((const char *)content.data, content.size));
	}
	return files;
}

static void print_bundle(const json_t *item, const PolicyBundle *bundle) {
	char time[WORDS_BYTES], user[ANSWER_NAME_BYTES];
	printf("# Policy %" PRIu64 ", applied %s by %s\n# sha256 %s\n", answer_number(item, "number"),
	        words_time(answer_time(item, "time_ns"), time), answer_user(item, "uid", user),
	        answer_text(item, "sha256"));
	for (size_t i = 0; i < policy_bundle_count(bundle); i++) {
		struct bytes content = {0};
		const char *name = policy_bundle_name(bundle, i);
		if (strcmp(name, BUNDLE_IDS) != 0 && policy_bundle_get(bundle, name, &content) == 0)
			print_file(name, content);
	}
}

static int show_item(const struct invocation *call, json_t *item) {
	_cleanup_(policy_bundle_freep) PolicyBundle *bundle = NULL;
	int rc = decode_bundle(item, &bundle);
	if (rc)
		return command_fault(call, rc, "reading the policy");
	if (!command_has(call, "json")) {
		print_bundle(item, bundle);
		return EXIT_DONE;
	}
	json_object_del(item, "archive");
	json_object_set_new(item, "files", files_json(bundle));
	return command_print_json(call, json_incref(item));
}

static int run_show(const struct invocation *call) {
	_cleanup_(client_closep) Client *client = NULL;
	int code = client_open_operand(call, 0, NULL, &client);
	if (code)
		return code;
	_cleanup_(json_decrefp) json_t *item = NULL;
	int rc = client_ask(client, "policy-show", json_object(), &item);
	if (rc == -ENOENT)
		return command_fail(call, EXIT_NO,
		        "no policy is in force: 'assayfs policy suggest FILE -o policy/' writes a first one");
	if (rc)
		return command_fault(call, rc, "reading the policy");
	code = show_item(call, item);
	return code;
}

const struct command command_policy_show = {
        .words = "policy show",
        .operands = "[DIR]",
        .most = 1,
        .summary = "print the policy that is in force",
        .options = (const struct command_option[]){OPTION_JSON, {0}},
        .examples = (const struct command_example[]){{"assayfs policy show /mnt", "policy.yaml and the rules it names"},
                {0}},
        .exits = EXIT_BIT(EXIT_NO) | EXIT_BIT(EXIT_UNDECIDED) | EXIT_BIT(EXIT_NOT_MOUNTED) | EXIT_BIT(EXIT_DENIED),
        .run = run_show,
};
