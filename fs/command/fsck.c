/* `assayfs fsck`: every byte of an unmounted vault held to account, and put right where something vouches for it. */
#include "fs/command/command.h"
#include "fs/command/key_kms.h"
#include "fs/command/progress.h"
#include "fs/command/secrets.h"
#include "fs/words.h"

#include "backend/fsck.h"
#include "crypto/base/fault.h"
#include "crypto/process.h"
#include "fs/control_wire.h"
#include "fs/state_directory.h"

#include <errno.h>
#include <fts.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct check {
	const struct invocation *call;
	Progress *progress;
	uint64_t total; /* bytes of segments, for the bar */
	bool is_repair;
	json_t *findings; /* NULL: printed at once, as text */
};

/* Bytes of the vault's segments, only for the progress bar: 0 where they can't be counted. */
static uint64_t segment_bytes(const char *vault) {
	_cleanup_(freep) char *path = NULL;
	if (asprintf(&path, "%s/segments", vault) < 0) {
		path = NULL;
		return 0;
	}
	char *roots[] = {path, NULL};
	FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	uint64_t bytes = 0;
	for (FTSENT *entry; walk && (entry = fts_read(walk)) != NULL;)
		if (entry->fts_info == FTS_F)
			bytes += (uint64_t)entry->fts_statp->st_size;
	if (walk)
		(void)fts_close(walk);
	return bytes;
}

static void show_progress(void *arg, const struct fsck_summary *now) {
	struct check *check = arg;
	progress_set(check->progress, now->bytes, check->total);
}

static int add_finding(json_t *findings, const struct fsck_finding *finding) {
	_cleanup_(freep) char *words = words_safe(finding->words);
	json_t *item = json_pack("{s:o, s:o, s:s, s:s?}", "file", wire_path(finding->file), "path",
	        finding->path ? wire_path(finding->path) : json_null(), "problem", words ? words : "damaged",
	        "repaired", finding->repaired);
	return json_array_append_new(findings, item) ? fault(ENOMEM, "no memory for what was found") : 0;
}

static int show_finding(void *arg, const struct fsck_finding *finding) {
	struct check *check = arg;
	if (check->findings)
		return add_finding(check->findings, finding);
	_cleanup_(freep) char *path = finding->path ? words_safe(finding->path) : NULL;
	_cleanup_(freep) char *file = words_safe(finding->file);
	_cleanup_(freep) char *words = words_safe(finding->words);
	progress_hide(check->progress);
	printf("%s%s%s: %s%s%s\n", file && *file ? file : "the vault", path ? ", of " : "", path ? path : "",
	        words ? words : "damaged",
	        finding->repaired ? " -- repaired: " : (check->is_repair ? " -- not repaired" : ""),
	        finding->repaired ? finding->repaired : "");
	return 0;
}

static json_t *summary_json(const struct fsck_summary *sum, json_t *findings) {
	return json_pack("{s:b, s:I, s:I, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:I, s:I, s:I, s:I, s:o}",
	        "clean", sum->findings == 0 && !sum->older[0], "findings", (json_int_t)sum->findings, "repaired",
	        (json_int_t)sum->repaired, "list", findings, "segments", (json_int_t)sum->segments, "bytes",
	        (json_int_t)sum->bytes, "blocks", (json_int_t)sum->blocks, "versions", (json_int_t)sum->versions,
	        "references", (json_int_t)sum->references, "records", (json_int_t)sum->records, "heads",
	        (json_int_t)sum->heads, "needs_recovery", (int)sum->unclean, "left_over", (json_int_t)sum->left_over,
	        "in_backup", (json_int_t)sum->elsewhere, "in_backup_bytes", (json_int_t)sum->elsewhere_bytes, "locked",
	        (json_int_t)sum->locked, "older_copy", sum->older[0] ? json_string(sum->older) : json_null());
}

static void print_summary(const struct fsck_summary *sum, bool is_repair) {
	char size[WORDS_BYTES];
	if (!sum->could_not_open)
		printf("%" PRIu64 " version%s, %" PRIu64 " block%s in %" PRIu64 " segment%s (%s), %" PRIu64
		       " audit record%s.\n",
		        sum->versions, words_s(sum->versions), sum->blocks, words_s(sum->blocks), sum->segments,
		        words_s(sum->segments), words_size(sum->bytes, size), sum->records, words_s(sum->records));
	if (sum->elsewhere)
		printf("%" PRIu64
		       " segment%s (%s) are in the backup still and were not looked at; 'assayfs recover --full' "
		       "fetches them.\n",
		        sum->elsewhere, words_s(sum->elsewhere), words_size(sum->elsewhere_bytes, size));
	if (sum->locked)
		printf("%" PRIu64 " segment%s could not be looked at: their keys are disabled or deleted, or not of "
		       "this slot.\n",
		        sum->locked, words_s(sum->locked));
	if (sum->unclean)
		printf("The last mount did not end cleanly; the next one recovers it by itself.\n");
	if (sum->repaired)
		printf("%" PRIu64 " problem%s repaired.\n", sum->repaired, words_s(sum->repaired));
	if (!sum->findings)
		puts(sum->older[0]       ? "Every byte is accounted for, but they are older ones:"
		        : sum->locked    ? "Clean: every byte that can be opened is accounted for."
		        : sum->elsewhere ? "Clean: every byte that is here is accounted for."
		                         : "Clean: every byte is accounted for.");
	else if (is_repair)
		printf("%" PRIu64
		       " problem%s left: nothing here vouches for what was there. Bring the named files of the "
		       "vault back from a copy%s.\n",
		        sum->findings, words_s(sum->findings),
		        sum->could_not_open ? "; without one, see --accept-loss" : "");
	else
		printf("%" PRIu64 " problem%s found. 'assayfs fsck --repair' puts right what has a second copy.\n",
		        sum->findings, words_s(sum->findings));
	if (sum->older[0])
		printf("%s. If that is meant: assayfs mount --accept-restore.\n", sum->older);
}

static int check_vault(const struct invocation *call, const struct store_secret *secret) {
	const char *vault = command_operand(call, 0);
	_cleanup_(progress_endp) Progress *progress = NULL;
	struct fsck_summary sum;
	struct check check = {.total = segment_bytes(vault), .is_repair = command_has(call, "repair")};
	char state[PATH_MAX];
	bool has_state = state_directory(geteuid(), state, sizeof state) == 0;
	const struct fsck_options options = {.progress = show_progress,
	        .progress_arg = &check,
	        .accept_loss = command_has(call, "accept-loss"),
	        .state_directory = has_state ? state : NULL};
	if (command_has(call, "json") && !(check.findings = json_array()))
		return command_fail(call, EXIT_UNDECIDED, "out of memory");
	check.progress = progress = progress_begin("checking segments", PROGRESS_BYTES, check.total);
	int rc = (check.is_repair ? fsck_repair : fsck_run_with)(vault, secret, &options, show_finding, &check, &sum);
	progress_hide(progress);
	if (rc) {
		json_decref(check.findings);
		return command_fault(call, rc, "%s", vault);
	}
	int code = sum.findings || (sum.older[0] && !options.accept_loss) ? EXIT_NO : EXIT_DONE;
	if (!check.findings) {
		print_summary(&sum, check.is_repair);
		return code;
	}
	int printed = command_print_json(call, summary_json(&sum, check.findings));
	return printed ? printed : code;
}

static bool has_file(const char *vault, const char *name) {
	char path[PATH_MAX];
	return snprintf(path, sizeof path, "%s/%s", vault, name) < (int)sizeof path && access(path, F_OK) == 0;
}

static int run_fsck(const struct invocation *call) {
	const char *vault = command_operand(call, 0);
	_cleanup_(passphrase_freep) Passphrase *passphrase = NULL;
	struct store_secret secret;
	struct stat about;
	int code = secrets_check(call);
	if (code)
		return code;
	if (command_has(call, "accept-loss") && !command_has(call, "repair"))
		return command_fail(call, EXIT_USAGE, "--accept-loss goes with --repair");
	if (stat(vault, &about) < 0 || !S_ISDIR(about.st_mode))
		return command_fail(call, EXIT_NOT_A_VAULT, "%s: there is no such directory", vault);
	if (!has_file(vault, "vault.json") && has_file(vault, "origin"))
		return command_fail(call, EXIT_NOT_A_VAULT,
		        "%s: a recovery of it was interrupted; the same 'assayfs recover' goes on with it", vault);
	if (!has_file(vault, "vault.json"))
		return command_fail(call, has_file(vault, "meta.db") ? EXIT_NO : EXIT_NOT_A_VAULT,
		        has_file(vault, "meta.db")
		                ? "%s: vault.json is missing: without it the keys are lost; bring it back from a copy"
		                : "%s: there is no vault in it (no vault.json)",
		        vault);
	int rc = process_harden();
	if (!rc)
		rc = secrets_get(call, vault, &passphrase, &secret);
	return rc ? command_fault(call, rc, "%s", vault) : check_vault(call, &secret);
}

const struct command command_fsck = {
        .words = "fsck",
        .operands = "VAULT",
        .least = 1,
        .most = 1,
        .summary = "hold every byte of an unmounted vault to account",
        .details = "Keys, database, segments, references, versions, verdicts and the audit log. Names each file of the "
                   "vault that is damaged, and the user's file that it belongs to. Exits with 1 when something was "
                   "found. With --repair, metadata that was damaged is put back from its checkpoint packs, and packs "
                   "are made anew from verified pages; each thing found is told with how it was repaired or that it "
                   "was not, and the exit code is 0 when all is whole then. Nothing older than the newest state is "
                   "ever put back, but with --accept-loss, for a vault that does not open any more: then "
                   "the last checkpoint is taken for the newest state, and the audit log says so. Blocks of files "
                   "have no second copy in the vault.",
        .options = (const struct command_option[]){{"repair", 0, NULL, "repair what can be repaired without loss"},
                {"accept-loss", 0, NULL, "with --repair: go on without commits whose log is lost"}, OPTIONS_SECRET,
                OPTION_KMS, OPTION_JSON, {0}},
        .examples = (const struct command_example[]){{"assayfs fsck /srv/vault", "asks for the passphrase"},
                {"assayfs fsck --repair /srv/vault", "after it found something"}, {0}},
        .exits = EXIT_BIT(EXIT_NO) | EXIT_BIT(EXIT_UNDECIDED) | EXIT_BIT(EXIT_BUSY) | EXIT_BIT(EXIT_DENIED) |
                 EXIT_BIT(EXIT_NOT_A_VAULT) | EXIT_BIT(EXIT_PASSPHRASE) | EXIT_BIT(EXIT_AWAY),
        .run = run_fsck,
};
