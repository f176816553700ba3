/* `assayfs status`: how a mounted vault stands, and what to do next. */
#include "fs/command/answer.h"
#include "fs/command/client.h"
#include "fs/command/colour.h"
#include "fs/command/command.h"
#include "fs/command/grant.h"
#include "fs/command/run_lines.h"
#include "fs/command/when.h"
#include "fs/words.h"

#include "crypto/base/fault.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* By what it was unlocked, and how the service is that is asked about it. */
static void print_unlocking(const json_t *item) {
	const json_t *by = json_object_get(item, "unlocked_by"), *kms = json_object_get(item, "kms");
	char time[WORDS_BYTES], most[WORDS_BYTES];
	if (json_is_object(by))
		printf("Unlocked by slot %.8s (%s)%s%s\n", answer_text(by, "slot"), answer_text(by, "type"),
		        json_object_get(by, "kms_key") ? ": " : "",
		        json_object_get(by, "kms_key") ? answer_text(by, "kms_key") : "");
	if (!json_is_object(kms))
		return;
	const char *ago = words_duration(when_now() - answer_time(kms, "last_success_ns"), time);
	if (answer_flag(kms, "up"))
		printf("The key management service gave the key %s ago\n", ago);
	else
		colour_print(stdout, COLOUR_BAD, "!! The key management service gave the key last %s ago: %s\n", ago,
		        answer_text(kms, "words"));
	if (answer_number(kms, "max_offline_ms"))
		printf("The vault is locked when it can't be asked for %s\n",
		        words_duration((int64_t)answer_number(kms, "max_offline_ms") * 1000000, most));
}

static void print_head(const json_t *item, const struct client_place *place) {
	char since[WORDS_BYTES], user[ANSWER_NAME_BYTES];
	_cleanup_(freep) char *where = words_safe(place->mountpoint);
	colour_print(stdout, COLOUR_HEAD, "Vault %s on %s", place->vault_id, where ? where : "?");
	printf(", mounted %s ago by %s%s\n", words_duration(when_now() - answer_time(item, "mounted_ns"), since),
	        answer_user(item, "mounter", user), answer_flag(item, "read_only") ? ", read-only" : "");
	if (answer_flag(item, "failed"))
		colour_print(stdout, COLOUR_BAD,
		        "!! A commit failed: nothing more is written, and what would leave a record in the audit log "
		        "is "
		        "refused. Read the system's log, then unmount and run assayfs fsck.\n");
	if (answer_flag(item, "recovered"))
		printf("The last mount had not ended cleanly: %" PRIu64 " synced file%s recovered, %" PRIu64
		       " unfinished dropped, %" PRIu64 " check%s queued again.\n",
		        answer_number(item, "recovered_versions"), words_s(answer_number(item, "recovered_versions")),
		        answer_number(item, "dropped_drafts"), answer_number(item, "requeued_jobs"),
		        words_s(answer_number(item, "requeued_jobs")));
	print_unlocking(item);
	if (answer_number(item, "idle_lock_ms"))
		printf("It locks itself after %s without use.\n",
		        words_duration((int64_t)answer_number(item, "idle_lock_ms") * 1000000, since));
	if (answer_flag(item, "locked"))
		colour_print(stdout, COLOUR_BAD, "!! Locked: no content is to be had until 'assayfs unlock'.\n");
	if (json_is_false(json_object_get(item, "checks_alive")))
		colour_print(stdout, COLOUR_BAD,
		        "!! The process that runs checks is gone: every check ends as error until the vault is mounted "
		        "again.\n");
}

/* What can't be read, and until when that can be undone. */
static void print_keys(const json_t *item) {
	const json_t *keys = json_object_get(item, "keys"), *away = json_object_get(keys, "away");
	const uint64_t count = answer_number(keys, "disabled") + answer_number(keys, "pending_deletion");
	const uint64_t waits_for = answer_number(keys, "rewrap_waits_for_bytes");
	char size[WORDS_BYTES];
	size_t i;
	json_t *key;
	if (waits_for > 0)
		colour_print(stdout, COLOUR_BAD, "!! Sealing the metadata anew waits for room: it takes up to %s.\n",
		        words_size(waits_for, size));
	if (count > 0 && !json_is_array(away))
		colour_print(stdout, COLOUR_BAD, "!! %" PRIu64 " key%s disabled: what %s sealed can't be read.\n",
		        count, count == 1 ? " is" : "s are", count == 1 ? "it" : "they");
	json_array_foreach(away, i, key) {
		const char *deletion = answer_text(key, "deletion");
		_cleanup_(freep) char *alias = words_safe(answer_text(key, "alias"));
		if (*deletion)
			colour_print(stdout, COLOUR_BAD, "!! %s is deleted at %s, and all that it sealed with it.\n",
			        alias ? alias : "?", deletion);
		else
			colour_print(stdout, COLOUR_BAD, "!! %s is disabled: what it sealed can't be read.\n",
			        alias ? alias : "?");
	}
}

static void print_audit(const json_t *item) {
	const json_t *audit = json_object_get(item, "audit");
	double oldest = json_number_value(json_object_get(audit, "oldest_ms"));
	double most = json_number_value(json_object_get(audit, "most_ms"));
	uint64_t waiting = answer_number(audit, "not_durable"), refused = answer_number(audit, "refused");
	if (!json_is_object(audit))
		return;
	printf("Audit log: %s, %" PRIu64 " records durable", answer_text(audit, "mode"),
	        answer_number(audit, "durable"));
	if (waiting > 0)
		printf(", %" PRIu64 " not yet (the oldest for %.0f ms)", waiting, oldest);
	printf("; none has waited longer than %.0f ms\n", most);
	if (refused > 0)
		colour_print(stdout, COLOUR_BAD,
		        "!! %" PRIu64 " access%s refused since the record could not be written to the audit log.\n",
		        refused, refused == 1 ? " was" : "es were");
}

static void print_http(const json_t *item) {
	const json_t *http = json_object_get(item, "http");
	if (!json_is_object(http))
		return;
	if (answer_flag(http, "alive"))
		printf("Page: http://%s/\n", answer_text(http, "address"));
	else
		colour_print(stdout, COLOUR_BAD,
		        "!! The process that served http://%s/ is gone; it comes back with the next mount.\n",
		        answer_text(http, "address"));
}

/* ---- policy: for a newcomer the way to one ---- */

static void print_no_policy(const json_t *item, const char *mountpoint) {
	char path[ANSWER_PATH_BYTES];
	_cleanup_(freep) char *full = NULL;
	const char *example = json_object_get(item, "example") ? answer_path(item, "example", path) : NULL;
	if (example && asprintf(&full, "%s/%s", mountpoint, example) < 0)
		full = NULL;
	_cleanup_(freep) char *file = full ? words_shell(full) : NULL;
	_cleanup_(freep) char *mount = words_shell(mountpoint);
	printf("\nNo policy yet, so nothing can pass into Trusted. To get one from a file that is as it should be:\n"
	       "    assayfs policy suggest %s -o policy\n"
	       "    assayfs policy apply policy %s\n",
	        file ? file : "FILE", mount ? mount : "DIR");
}

static void print_policy(const json_t *item, const char *mountpoint) {
	const json_t *policy = json_object_get(item, "policy");
	if (!json_is_object(policy)) {
		print_no_policy(item, mountpoint);
		return;
	}
	char time[WORDS_BYTES], user[ANSWER_NAME_BYTES];
	uint64_t datasets = answer_number(policy, "datasets"), workflows = answer_number(policy, "workflows");
	printf("Policy %" PRIu64 ", applied %s by %s: %" PRIu64 " dataset%s, %" PRIu64 " workflow%s\n",
	        answer_number(policy, "number"), words_time(answer_time(policy, "time_ns"), time),
	        answer_user(policy, "uid", user), datasets, words_s(datasets), workflows, words_s(workflows));
	size_t i;
	json_t *warning;
	json_array_foreach(json_object_get(policy, "warnings"), i, warning) {
		_cleanup_(freep) char *safe = words_safe(json_string_value(warning) ? json_string_value(warning) : "");
		printf("  note: %s\n", safe ? safe : "");
	}
}

/* ---- zones ---- */

static void print_zones(const json_t *item) {
	static const char *const outcomes[] = {"passed", "failed", "error", "pending", "none"};
	_cleanup_(table_freep) Table *table =
	        table_new("Zone|>Files|>Size|>Passed|>Failed|>Error|>Pending|>No verdict");
	if (!table)
		return;
	size_t i;
	json_t *zone;
	json_array_foreach(json_object_get(item, "zones"), i, zone) {
		char words[WORDS_BYTES];
		table_cell(table, answer_text(zone, "zone"));
		table_cellf(table, "%" PRIu64, answer_number(zone, "files"));
		table_cell(table, words_size(answer_number(zone, "bytes"), words));
		for (size_t k = 0; k < sizeof outcomes / sizeof outcomes[0]; k++)
			table_cellf(table, "%" PRIu64, answer_number(json_object_get(zone, "outcomes"), outcomes[k]));
	}
	putchar('\n');
	(void)table_print(table, stdout);
}

static void print_ungoverned(const json_t *item) {
	uint64_t count = answer_number(item, "ungoverned_count");
	if (count == 0 || !json_is_object(json_object_get(item, "policy")))
		return;
	printf("\n%" PRIu64 " file%s in Landing that no dataset governs (they stay there, unchecked):\n", count,
	        words_s(count));
	size_t i;
	json_t *file;
	json_array_foreach(json_object_get(item, "ungoverned"), i, file) {
		char path[ANSWER_PATH_BYTES];
		_cleanup_(freep) char *safe = words_safe(answer_path(file, "path", path));
		_cleanup_(freep) char *closest = words_safe(answer_text(file, "closest_words"));
		printf("  %s", safe ? safe : "?");
		if (closest && *closest)
			printf("   (%s)", closest);
		putchar('\n');
	}
	if (count > json_array_size(json_object_get(item, "ungoverned")))
		printf("  …\n");
}

/* ---- work and cost ---- */

static bool has_space(const json_t *zone) {
	return answer_number(zone, "dead_bytes") + answer_number(zone, "expirable_bytes") > 0;
}

/* A line for each zone in which something could be freed. */
static void print_space(const json_t *item) {
	char live[WORDS_BYTES], dead[WORDS_BYTES], old[WORDS_BYTES], words[WORDS_BYTES];
	const json_t *space = json_object_get(item, "space"), *lifecycle = json_object_get(space, "lifecycle");
	size_t i;
	json_t *zone;
	json_array_foreach(json_object_get(space, "zones"), i, zone) {
		if (!has_space(zone))
			continue;
		printf("Space in %s: %s in use, %s dead, %s in versions that expire by the lifecycle; up to %s can be "
		       "freed "
		       "(assayfs gc)\n",
		        answer_text(zone, "zone"), words_size(answer_number(zone, "live_bytes"), live),
		        words_size(answer_number(zone, "dead_bytes"), dead),
		        words_size(answer_number(zone, "expirable_bytes"), old),
		        words_size(answer_number(zone, "reclaimable_bytes"), words));
	}
	if (answer_flag(lifecycle, "clock_uneven"))
		colour_print(stdout, COLOUR_BAD,
		        "!! The clock was set since the mount: no version expires until the vault is mounted anew.\n");
	if (*answer_text(lifecycle, "trouble")) {
		_cleanup_(freep) char *safe = words_safe(answer_text(lifecycle, "trouble"));
		colour_print(stdout, COLOUR_BAD, "!! Versions do not expire: %s\n", safe ? safe : "?");
	}
}

static void print_work(const json_t *item) {
	const json_t *jobs = json_object_get(item, "jobs");
	char size[WORDS_BYTES], shown[WORDS_BYTES], free_words[WORDS_BYTES];
	const json_t *versions = json_object_get(item, "versions");
	printf("\nChecks: %" PRIu64 " waiting, %" PRIu64 " running; %" PRIu64 " file%s in quarantine\n",
	        answer_number(jobs, "queued"), answer_number(jobs, "running"), answer_number(item, "quarantined"),
	        words_s(answer_number(item, "quarantined")));
	uint64_t temporary = answer_number(item, "temporary_in_trusted");
	if (temporary > 0)
		printf("Waiting in Trusted: %" PRIu64 " temporary file%s, seen by their writers alone until renamed\n",
		        temporary, words_s(temporary));
	printf("Versions: %" PRIu64 " kept, %s on disk for %s of current files; %s free\n",
	        answer_number(versions, "count"), words_size(answer_number(versions, "stored_bytes"), size),
	        words_size(answer_number(versions, "current_bytes"), shown),
	        words_size(answer_number(item, "free_bytes"), free_words));
	print_space(item);
}

/* Nothing for whom the roles don't let know, or where it is not reckoned: the status is asked for, not this. */
static void print_cost(const struct client_place *place) {
	_cleanup_(client_closep) Client *client = NULL;
	_cleanup_(json_decrefp) json_t *item = NULL;
	if (client_connect(place, &client) || client_ask(client, "costs", json_object(), &item))
		return;
	printf("Charges: %.2f USD this month so far, %.2f at its end, as estimated (assayfs cost)\n",
	        json_number_value(json_object_get(item, "now")), json_number_value(json_object_get(item, "forecast")));
}

static void print_backup(const json_t *item) {
	const json_t *backup = json_object_get(item, "backup");
	const char *state = answer_text(backup, "state");
	double lag_s = json_number_value(json_object_get(backup, "lag_seconds"));
	uint64_t targets = answer_number(backup, "targets");
	bool is_bad = strcmp(state, "failed") == 0 || strcmp(state, "retrying") == 0 || strcmp(state, "paused") == 0;
	char lag[WORDS_BYTES], bytes[WORDS_BYTES];
	if (!json_is_object(backup)) {
		printf("Backup: none\n");
		return;
	}
	colour_print(stdout, is_bad ? COLOUR_BAD : COLOUR_PLAIN, "%sBackup: %" PRIu64 " target%s, %s",
	        is_bad ? "!! " : "", targets, words_s(targets), state);
	if (json_is_null(json_object_get(backup, "lag_seconds")))
		printf("; what is there is not known yet");
	else if (lag_s > 0)
		printf("; %s behind (%s)", words_duration((int64_t)(lag_s * 1e9), lag),
		        words_size(answer_number(backup, "lag_bytes"), bytes));
	else
		printf("; all is there");
	printf("%s\n", is_bad ? " (assayfs backup status)" : "");
}

/* Of a vault that was recovered, while it is not all here. */
static void print_recall(const json_t *item) {
	const json_t *recall = json_object_get(item, "recall");
	const char *trouble = answer_text(recall, "trouble");
	char left[WORDS_BYTES], all[WORDS_BYTES];
	if (!json_is_object(recall))
		return;
	_cleanup_(freep) char *url = words_safe(answer_text(recall, "url"));
	_cleanup_(freep) char *why = words_safe(trouble);
	colour_print(stdout, *trouble ? COLOUR_BAD : COLOUR_PLAIN,
	        "%sRecovery: %s of %s are still to be fetched from %s%s%s\n", *trouble ? "!! " : "",
	        words_size(answer_number(recall, "missing_bytes"), left),
	        words_size(answer_number(recall, "bytes"), all), url ? url : "", *trouble ? ": " : "", why ? why : "");
}

static void print_workflows(const json_t *item) {
	uint64_t stale = answer_number(item, "stale_files");
	if (stale > 0)
		colour_print(stdout, COLOUR_BAD,
		        "!! %" PRIu64 " file%s in Trusted did not pass when checked again, and %s marked stale\n",
		        stale, words_s(stale), stale == 1 ? "is" : "are");
	if (json_array_size(json_object_get(item, "workflows")) > 0)
		putchar('\n');
	run_lines_workflows(json_object_get(item, "workflows"));
}

/* Files that did not pass and stand in Trusted on a steward's word. */
static void print_waivers(const json_t *item) {
	const json_t *waived = json_object_get(item, "waived");
	uint64_t count = answer_number(waived, "count"), expired = answer_number(waived, "expired");
	size_t i;
	json_t *file;
	if (count == 0)
		return;
	printf("Waived in Trusted: %" PRIu64 " file%s", count, words_s(count));
	if (expired > 0)
		printf(", %" PRIu64 " EXPIRED (assayfs policy apply --recheck withdraws what still fails)", expired);
	putchar('\n');
	json_array_foreach(json_object_get(waived, "files"), i, file) {
		char path[ANSWER_PATH_BYTES], time[WORDS_BYTES];
		_cleanup_(freep) char *safe = words_safe(answer_path(file, "path", path));
		printf("  %s %s  %s\n", answer_flag(file, "expired") ? "expired" : "until  ",
		        words_time(answer_time(file, "until_ns"), time), safe ? safe : "?");
	}
}

/* What is lent beside the roles, as long as it counts. */
static void print_grants(const json_t *item) {
	const json_t *grants = json_object_get(item, "grants");
	uint64_t count = answer_number(grants, "count");
	size_t i;
	json_t *grant;
	if (count == 0)
		return;
	colour_print(stdout, COLOUR_BAD, "!! %" PRIu64 " grant%s beside the roles (assayfs grant --list)\n", count,
	        words_s(count));
	json_array_foreach(json_object_get(grants, "active"), i, grant) grant_print(grant);
}

static void print_alarms(const json_t *item) {
	const json_t *alarms = json_object_get(item, "alarms");
	uint64_t total = answer_number(alarms, "total"), alarming = answer_number(alarms, "alarm");
	uint64_t undelivered = answer_number(alarms, "undelivered");
	size_t i;
	json_t *alarm;
	if (total > 0)
		colour_print(stdout, alarming ? COLOUR_BAD : COLOUR_PLAIN,
		        "%s%" PRIu64 " of %" PRIu64 " alarm%s in ALARM (assayfs alarm list)\n", alarming ? "!! " : "",
		        alarming, total, words_s(total));
	json_array_foreach(json_object_get(alarms, "in_alarm"), i, alarm) {
		char since[WORDS_BYTES];
		_cleanup_(freep) char *name = words_safe(answer_text(alarm, "name"));
		printf("  since %s  %s\n", words_time(answer_time(alarm, "since_ns"), since), name ? name : "?");
	}
	if (undelivered > 0)
		colour_print(stdout, COLOUR_BAD,
		        "!! %" PRIu64 " notification%s could not be delivered (assayfs alarm list --dead)\n",
		        undelivered, words_s(undelivered));
	if (total > 0 && !answer_flag(alarms, "can_send"))
		colour_print(stdout, COLOUR_BAD, "!! Nobody is told of alarms until the vault is mounted again.\n");
}

static void print_failures(const json_t *item) {
	size_t i;
	json_t *failure;
	json_array_foreach(json_object_get(item, "failures"), i, failure) {
		char path[ANSWER_PATH_BYTES], time[WORDS_BYTES];
		_cleanup_(freep) char *safe = words_safe(answer_path(failure, "path", path));
		_cleanup_(freep) char *reason = words_safe(answer_text(failure, "reason"));
		if (i == 0)
			printf("\nLast that did not pass ('assayfs why PATH' says more):\n");
		const char *outcome = answer_text(failure, "outcome");
		printf("  %s  ", words_time(answer_time(failure, "time_ns"), time));
		colour_print(stdout, colour_of_outcome(outcome), "%-6s", outcome);
		printf("  %s  %s\n", safe ? safe : "?", reason ? reason : "");
	}
}

static int run_status(const struct invocation *call) {
	struct client_place place;
	_cleanup_(client_closep) Client *client = NULL;
	int code = client_open_operand(call, 0, &place, &client);
	if (code)
		return code;
	_cleanup_(json_decrefp) json_t *item = NULL;
	int rc = client_ask(client, "status", json_object(), &item);
	if (rc)
		return command_fault(call, rc, "asking the mount on %s", place.mountpoint);
	if (command_has(call, "json"))
		return command_print_json(call, steal_pointer(&item));
	print_head(item, &place);
	print_keys(item);
	print_audit(item);
	print_http(item);
	print_policy(item, place.mountpoint);
	print_zones(item);
	print_ungoverned(item);
	print_work(item);
	print_cost(&place);
	print_backup(item);
	print_recall(item);
	print_workflows(item);
	print_waivers(item);
	print_grants(item);
	print_alarms(item);
	print_failures(item);
	return EXIT_DONE;
}

const struct command command_status = {
        .words = "status",
        .operands = "[DIR]",
        .most = 1,
        .summary = "show how a mounted vault stands and what to do next",
        .details =
                "Files by zone and verdict, files that no dataset governs with the pattern that came closest, checks "
                "that wait, what versions cost, how much can be freed of it, charges, workflows with their next and "
                "last "
                "run, alarms, and what failed last. Without a policy it says how to get one.",
        .options = (const struct command_option[]){OPTION_JSON, {0}},
        .examples = (const struct command_example[]){{"assayfs status /mnt", "the vault mounted there"},
                {"assayfs status --json | jq .jobs.queued", "how many checks wait"}, {0}},
        .exits = EXIT_BIT(EXIT_UNDECIDED) | EXIT_BIT(EXIT_NOT_MOUNTED) | EXIT_BIT(EXIT_DENIED),
        .run = run_status,
};
