/* `assayfs recover`: a vault made anew from its backup, on a machine that has nothing of it. */
#include "fs/command/command.h"
#include "fs/command/key_kms.h"
#include "fs/command/progress.h"
#include "fs/command/secrets.h"
#include "fs/command/when.h"
#include "fs/words.h"

#include "backend/backup/recover.h"
#include "crypto/base/fault.h"
#include "crypto/process.h"
#include "fs/state_directory.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>

/* What opens it, which a key management service gives once the backup's vault.json is there. */
struct unwrapping {
	Passphrase *bytes;
	struct store_secret secret;
};

static void end_unwrapping(struct unwrapping *unwrapping) {
	passphrase_free(unwrapping->bytes);
}

static int unwrap(void *arg, const VaultHeader *header) {
	struct unwrapping *unwrapping = arg;
	Passphrase *bytes = NULL;
	int rc = key_kms_unlock_header(header, &bytes, &unwrapping->secret);
	if (rc < 0)
		return rc;
	passphrase_free(unwrapping->bytes);
	unwrapping->bytes = bytes;
	return 0;
}

struct recovering {
	const struct invocation *call;
	const char *what;
	pthread_mutex_t drawing; /* words come from any thread */
	Progress *progress;
	Table *table;
	json_t *list;                  /* NULL: a table is shown */
	struct unwrapping *unwrapping; /* NULL: the secret is there */
};

static void show_progress(void *arg, const char *what, uint64_t bytes, uint64_t of) {
	struct recovering *r = arg;
	pthread_mutex_lock(&r->drawing);
	if (!r->progress)
		r->progress = progress_begin(what, PROGRESS_BYTES, of);
	else if (what != r->what)
		progress_label(r->progress, what);
	r->what = what;
	progress_set(r->progress, bytes, of);
	pthread_mutex_unlock(&r->drawing);
}

static void show_notice(void *arg, const char *words) {
	struct recovering *r = arg;
	pthread_mutex_lock(&r->drawing);
	progress_hide(r->progress);
	command_note(r->call, "%s", words);
	pthread_mutex_unlock(&r->drawing);
}

/* What is there, but not as it should be, is an answer. */
static int fail(const struct invocation *call, int rc) {
	if (rc == -EBADMSG || rc == -ENOTEMPTY || rc == -EEXIST)
		return command_fail(call, EXIT_NO, "%s", fault_message());
	int code = command_exit_of(rc);
	return command_fail(call, code, "%s", fault_message());
}

/* ---- --list ---- */

static int list_generation(void *arg, const struct recover_generation *generation) {
	struct recovering *r = arg;
	char text[WORDS_BYTES];
	if (r->list) {
		json_t *item = json_pack("{s:I, s:s, s:I, s:I}", "generation", (json_int_t)generation->number, "time",
		        words_time_utc(generation->time_ns, text), "commit", (json_int_t)generation->commit, "bytes",
		        (json_int_t)generation->bytes);
		return json_array_append_new(r->list, item) ? fault(ENOMEM, "no memory for the generations") : 0;
	}
	table_cellf(r->table, "%" PRIu64, generation->number);
	table_cell(r->table, words_time(generation->time_ns, text));
	table_cell(r->table, words_size(generation->bytes, text));
	return 0;
}

static int list_generations(
        struct recovering *r, const struct objects_place *place, const struct store_secret *secret) {
	const struct recover_options options = {
	        .unwrap = r->unwrapping ? unwrap : NULL, .unwrap_arg = r->unwrapping, .notice = show_notice, .arg = r};
	_cleanup_(table_freep) Table *table = NULL;
	if (command_has(r->call, "json"))
		r->list = json_array();
	else
		r->table = table = table_new(">Generation|As of|>Size");
	if (!r->list && !r->table)
		return command_fail(r->call, EXIT_UNDECIDED, "out of memory");
	int rc = recover_list(place, secret, &options, list_generation, r);
	if (rc < 0) {
		json_decref(r->list);
		return fail(r->call, rc);
	}
	if (r->list)
		return command_print_json(r->call, json_pack("{s:o}", "generations", r->list));
	return table_print(table, stdout) ? command_fail(r->call, EXIT_UNDECIDED, "standard output can't be written")
	                                  : EXIT_DONE;
}

/* ---- recovering ---- */

static json_t *summary_json(const struct recover_summary *sum, bool is_complete) {
	char time[WORDS_BYTES];
	return json_pack("{s:I, s:o, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "generation",
	        (json_int_t)sum->generation, "time",
	        sum->was_whole ? json_null() : json_string(words_time_utc(sum->time_ns, time)), "complete",
	        (int)is_complete, "segments", (json_int_t)sum->segments, "segments_fetched",
	        (json_int_t)sum->segments_fetched, "bytes", (json_int_t)sum->bytes, "bytes_fetched",
	        (json_int_t)sum->bytes_fetched, "missing", (json_int_t)sum->missing, "damaged",
	        (json_int_t)sum->damaged, "left_out", (json_int_t)sum->left_out);
}

static void print_losses(const struct recover_summary *sum) {
	if (sum->missing > 0)
		printf("Of %" PRIu64 " of its %" PRIu64 " segments the backup has not all: what lies in them can't be "
		       "read, all else can. 'assayfs fsck' names the files.\n",
		        sum->missing, sum->segments);
	if (sum->left_out > 0)
		printf("%" PRIu64 " of its %" PRIu64 " segments the backup did not take, as its rule is of zones or a "
		       "prefix: the files that lie in them have names and no content here.\n",
		        sum->left_out, sum->segments);
	if (sum->damaged > 0)
		printf("In %" PRIu64 " segment%s something does not authenticate, and the backup has nothing that "
		       "does: it can't be read, all else can. 'assayfs fsck' names the files.\n",
		        sum->damaged, words_s(sum->damaged));
}

static void print_summary(const struct invocation *call, const struct recover_summary *sum, bool is_full) {
	char time[WORDS_BYTES], size[WORDS_BYTES];
	const char *vault = command_operand(call, 1);
	_cleanup_(freep) char *name = words_shell(vault);
	if (sum->was_whole) {
		printf("All of %s is here: nothing is to be recovered. 'assayfs fsck' checks it.\n",
		        name ? name : "the vault");
		return;
	}
	printf("%s is recovered as of %s (generation %" PRIu64 ").\n", name ? name : "The vault",
	        words_time(sum->time_ns, time), sum->generation);
	if (sum->segments_fetched > 0 || is_full)
		printf("%" PRIu64 " segment%s fetched, %s.\n", sum->segments_fetched, words_s(sum->segments_fetched),
		        words_size(sum->bytes_fetched, size));
	print_losses(sum);
	if (!is_full && sum->segments > 0)
		printf("It can be mounted now. Its files' content (%s) comes when it is read, and the mount fetches "
		       "the rest; --full fetches all of it first.\n",
		        words_size(sum->bytes, size));
}

static int recover(struct recovering *r, const struct objects_place *place, const struct store_secret *secret,
        int64_t at_ns, const char *state) {
	struct recover_summary sum;
	const struct recover_options options = {.at_ns = at_ns,
	        .full = command_has(r->call, "full"),
	        .state_directory = state,
	        .progress = show_progress,
	        .unwrap = r->unwrapping ? unwrap : NULL,
	        .unwrap_arg = r->unwrapping,
	        .notice = show_notice,
	        .arg = r};
	int rc = recover_vault(place, command_operand(r->call, 1), secret, &options, &sum);
	progress_end(r->progress);
	r->progress = NULL;
	if (rc < 0)
		return fail(r->call, rc);
	int code = sum.missing > 0 || sum.damaged > 0 ? EXIT_NO : EXIT_DONE;
	if (!command_has(r->call, "json")) {
		print_summary(r->call, &sum, options.full);
		return code;
	}
	bool is_complete = code == EXIT_DONE && (options.full || sum.segments == 0);
	int printed = command_print_json(r->call, summary_json(&sum, is_complete));
	return printed ? printed : code;
}

/* What can be seen to be wrong before anybody types a passphrase. */
static int check_line(const struct invocation *call, int64_t *ret_at) {
	const char *text = command_value(call, "at"), *state = command_value(call, "state-dir");
	struct when when = {0};
	int code = secrets_check(call);
	if (code)
		return code;
	if (!command_operand(call, 1) && !command_has(call, "list"))
		return command_fail(
		        call, EXIT_USAGE, "which directory is the vault to be made in? (recover URL VAULT)");
	if (command_has(call, "list") && (command_has(call, "full") || text))
		return command_fail(call, EXIT_USAGE, "--list recovers nothing; --full and --at are for recovering");
	if (state && state[0] != '/')
		return command_fail(call, EXIT_USAGE, "--state-dir %s: give an absolute path", state);
	int rc = objects_check_url(command_operand(call, 0));
	if (rc == 0 && text)
		rc = when_parse(text, when_now(), &when);
	if (rc < 0)
		return command_fail(call, EXIT_USAGE, "%s", fault_message());
	*ret_at = when.last;
	return EXIT_DONE;
}

static int run_recover(const struct invocation *call) {
	_cleanup_(end_unwrapping) struct unwrapping unwrapping = {.secret.kind = STORE_KEK};
	const bool is_kms = command_has(call, "kms");
	const char *url = command_operand(call, 0), *vault = command_operand(call, 1);
	const char *state = command_value(call, "state-dir");
	char directory[PATH_MAX];
	int64_t at_ns = 0;
	int code = check_line(call, &at_ns);
	if (code)
		return code;
	int rc = process_harden();
	if (rc == 0)
		rc = is_kms ? 0
		            : secrets_get(call, vault && !command_has(call, "list") ? vault : url, &unwrapping.bytes,
		                      &unwrapping.secret);
	if (rc < 0)
		return command_fault(call, rc, "%s", url);
	if (!state && state_directory(geteuid(), directory, sizeof directory) == 0)
		state = directory;
	const struct objects_place place = {.url = url, .endpoint = command_value(call, "endpoint")};
	struct recovering recovering = {
	        .call = call, .drawing = PTHREAD_MUTEX_INITIALIZER, .unwrapping = is_kms ? &unwrapping : NULL};
	return command_has(call, "list") ? list_generations(&recovering, &place, &unwrapping.secret)
	                                 : recover(&recovering, &place, &unwrapping.secret, at_ns, state);
}

const struct command command_recover = {
        .words = "recover",
        .operands = "URL [VAULT]",
        .least = 1,
        .most = 2,
        .summary = "make a vault anew from its backup",
        .details =
                "URL is s3://BUCKET/PREFIX or file:///DIRECTORY, as backup add was given; the passphrase or recovery "
                "key is the vault's. VAULT must not exist or be empty. Credentials of S3 are those of the "
                "environment or of the AWS profile files, endpoint and region as well.\n"
                "Metadata, the audit log and the names of all files come at once; content comes when it is read, and "
                "the mount fetches the rest behind that. With --full all of it is fetched first. A recovery that was "
                "interrupted is gone on with by the same command, and so is fetching: nothing half-done is taken for "
                "a vault.\n"
                "Everything is authenticated with the vault's keys. Where the bucket keeps versions, what was "
                "damaged or deleted there is taken from an earlier one. The audit log says that the vault was "
                "recovered, of which generation and from where. Exits with 1 when the backup has not all of a "
                "segment, or something of one does not authenticate.",
        .options = (const struct command_option[]){{"endpoint", 0, "URL", "the S3 server: http[s]://HOST[:PORT]"},
                {"at", 0, "TIME", "the newest generation that is not newer: '2026-11-22 10:15', 2h, yesterday"},
                {"full", 0, NULL, "fetch all content before returning"},
                {"list", 0, NULL, "only show which generations there are"},
                {"state-dir", 0, "DIR", "where the head of the audit log is kept outside of the vault"}, OPTIONS_SECRET,
                OPTION_KMS, OPTION_JSON, {0}},
        .examples = (const struct command_example[]){{"assayfs recover s3://backups/office /srv/vault",
                                                             "then mount it; content comes as it is read"},
                {"assayfs recover --full --at yesterday file:///mnt/disk/office /srv/vault",
                        "all of it, as it was at the end of yesterday"},
                {"assayfs recover --list s3://backups/office", "which points in time there are"}, {0}},
        .exits = EXIT_BIT(EXIT_NO) | EXIT_BIT(EXIT_UNDECIDED) | EXIT_BIT(EXIT_BUSY) | EXIT_BIT(EXIT_DENIED) |
                 EXIT_BIT(EXIT_PASSPHRASE) | EXIT_BIT(EXIT_AWAY),
        .run = run_recover,
};
