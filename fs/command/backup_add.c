/* `assayfs backup add`: a target, with the credentials of who adds it. */
#include "fs/command/answer.h"
#include "fs/command/backup.h"
#include "fs/words.h"

#include "backend/objects/objects.h"
#include "backend/objects/s3_credentials.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct adding {
	const char *url, *endpoint;
	json_t *item;
};

static int keep_item(void *context, const json_t *item) {
	struct adding *adding = context;
	json_decref(adding->item);
	adding->item = json_incref((json_t *)(uintptr_t)item);
	return 0;
}

/* Text of an option or the environment, NULL for none. */
static const char *endpoint_of(const struct invocation *call) {
	static const char *const names[] = {"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"};
	const char *text = command_value(call, "endpoint");
	if (text)
		return text; /* "": AWS again */
	for (size_t i = 0; !text && i < sizeof names / sizeof names[0]; i++)
		text = getenv(names[i]);
	return text && *text ? text : NULL;
}

/* `all` is the empty list, which takes a choice away. NULL: one is no UTF-8, or no memory. */
static json_t *zones_of(const struct invocation *call) {
	_cleanup_(json_decrefp) json_t *list = json_array();
	for (size_t i = 0; i < call->value_count; i++)
		if (strcmp(call->values[i].option->name, "zone") == 0 && strcmp(call->values[i].value, "all") != 0 &&
		        json_array_append_new(list, json_string(call->values[i].value)))
			return NULL;
	return steal_pointer(&list);
}

/* What is not given is not sent: of a target that is there it stays as it is. */
static json_t *arguments_of(const struct invocation *call, const struct adding *adding, unsigned long long days) {
	_cleanup_(json_decrefp) json_t *arguments = json_pack("{s:s, s:s*, s:s*, s:b}", "url", adding->url, "endpoint",
	        adding->endpoint, "prefix", command_value(call, "prefix"), "create", (int)command_has(call, "create"));
	if (arguments && command_has(call, "zone") && json_object_set_new(arguments, "zones", zones_of(call)))
		return NULL;
	if (arguments && command_has(call, "lock-days") &&
	        json_object_set_new(arguments, "lock_days", json_integer((json_int_t)days)))
		return NULL;
	return steal_pointer(&arguments);
}

static void print_zones(const json_t *rule) {
	const json_t *zones = json_object_get(rule, "zones");
	for (size_t i = 0; i < json_array_size(zones); i++)
		printf("%s%s", i ? ", " : "", json_string_value(json_array_get(zones, i)));
}

static void print_endpoint(const json_t *rule) {
	_cleanup_(freep) char *endpoint = words_safe(answer_text(rule, "endpoint"));
	printf("%s", endpoint && *endpoint ? endpoint : "none");
}

static void print_prefix(const json_t *rule) {
	_cleanup_(freep) char *prefix = words_safe(answer_text(rule, "prefix"));
	printf("%s", prefix && *prefix ? prefix : "none");
}

static void print_days(const json_t *rule) {
	uint64_t days = answer_number(rule, "lock_days");
	if (days)
		printf("%" PRIu64 " day%s", days, words_s(days));
	else
		printf("none");
}

/* The rule as it is now, and where that is another than before, what it was. */
static void print_rule(const json_t *item) {
	static const struct {
		const char *label, *name;
		void (*print)(const json_t *rule);
	} rows[] = {{"Zones", "zones", print_zones}, {"Prefix", "prefix", print_prefix},
	        {"Lock", "lock_days", print_days}, {"Endpoint", "endpoint", print_endpoint}};
	const json_t *rule = json_object_get(item, "rule"), *before = json_object_get(item, "before");
	if (!json_is_object(before))
		return;
	printf("The target was there already; its rule now:\n");
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		printf("  %s: ", rows[i].label);
		rows[i].print(rule);
		if (json_equal(json_object_get(rule, rows[i].name), json_object_get(before, rows[i].name))) {
			printf(", as before\n");
			continue;
		}
		printf(" (before: ");
		rows[i].print(before);
		printf(")\n");
	}
	printf("  Credentials: %s%s\n", answer_flag(item, "has_credentials") ? "its own" : "the daemon's",
	        answer_flag(item, "keeps_credentials") ? ", as before" : ", given anew");
}

static bool is_s3(const char *url) {
	return strncmp(url, "s3://", 5) == 0;
}

/* Those of who runs this; where there are none the daemon looks for its own. They go to the mount alone, which proves
 * to be root's, one's own, or the mounter's. -errno */
static int add_credentials(const struct adding *adding, json_t *arguments) {
	_cleanup_(secret_freep) struct s3_credentials *found = NULL;
	const struct objects_place place = {.url = adding->url, .endpoint = adding->endpoint};
	int rc = is_s3(adding->url) ? s3_credentials_find(&place, &found) : -ENOKEY;
	if (rc < 0)
		return rc == -ENOKEY ? 0 : rc;
	_cleanup_(json_decrefp) json_t *texts = json_pack("{s:s, s:s, s:s, s:s}", "access_key", found->access_key,
	        "secret_key", found->secret_key, "session_token", found->session_token, "region", found->region);
	return texts && json_object_update(arguments, texts) == 0 ? 0 : fault(ENOMEM, "out of memory");
}

static int run_add(const struct invocation *call) {
	const char *url = command_operand(call, 0);
	unsigned long long days = 0;
	int code = command_number(call, "lock-days", 0, 36500, &days);
	if (code)
		return code;
	int rc = objects_check_url(url);
	if (rc)
		return command_fault(call, rc, "%s", url);
	struct adding adding = {.url = url, .endpoint = is_s3(url) ? endpoint_of(call) : NULL};
	json_t *arguments = arguments_of(call, &adding, days);
	rc = arguments ? add_credentials(&adding, arguments) : fault(EINVAL, "an argument is no UTF-8 text");
	if (rc) {
		json_decref(arguments);
		return command_fault(call, rc, "%s", url);
	}
	code = backup_ask(call, 1, "backup-add", arguments, keep_item, &adding);
	if (!code && command_has(call, "json"))
		code = command_print_json(call, json_incref(adding.item));
	else if (!code)
		print_rule(adding.item);
	if (!code && !command_has(call, "json"))
		printf("What the vault holds is being shipped there; 'assayfs backup status' says how far it is.\n");
	json_decref(adding.item);
	return code;
}

const struct command command_backup_add = {
        .words = "backup add",
        .operands = "URL [DIR]",
        .least = 1,
        .most = 2,
        .summary = "ship all that a mounted vault seals to a bucket or another disk",
        .details =
                "For stewards. URL is s3://BUCKET/PREFIX or file:///DIRECTORY. From then on everything is there some "
                "five seconds after it was committed, as it stands sealed in the vault: names and content are not "
                "to be seen there. The target is tried before anything is kept. Given again with the same URL, it "
                "changes what is given and the credentials that are found, says so, and leaves the rest; --zone all, "
                "--prefix '', --lock-days 0 and --endpoint '' take away.\n"
                "--prefix takes files whose path below their zone begins so, or ever did: 'reports/' or "
                "'reports/2024'. "
                "What is shipped are whole segments, so that other files' blocks may come with them.\n"
                "Credentials and region are those of the environment and profile files of who adds it (AWS_…, "
                "~/.aws), and are kept in the vault, sealed; where there are none, the daemon's own count, for root "
                "and "
                "for whoever mounted.\n"
                "With --lock-days nobody can remove what was shipped before its lock ends, not even with these "
                "credentials; the bucket must have Object Lock (--create makes one with it).",
        .options =
                (const struct command_option[]){
                        {"endpoint", 0, "URL", "where S3 is spoken; else AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS"},
                        {"create", 0, NULL, "make the bucket or directory"},
                        {"zone", 0, "ZONE", "only Landing, Raw or Trusted; may be given several times; all"},
                        {"prefix", 0, "PREFIX", "only files whose path below their zone begins so"},
                        {"lock-days", 0, "DAYS", "what is shipped can't be removed for so long"}, OPTION_JSON, {0}},
        .examples = (const struct command_example[]){{"assayfs backup add --create file:///srv/backup/vault /mnt",
                                                             "to another disk"},
                {"assayfs backup add --lock-days 30 s3://bucket/vault /mnt", "to a bucket, as nobody can undo"}, {0}},
        .exits = BACKUP_EXITS,
        .run = run_add,
};
