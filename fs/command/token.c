/* `assayfs token`: who may ask over HTTP beside the users of this machine. */
#include "fs/command/answer.h"
#include "fs/command/client.h"
#include "fs/command/command.h"
#include "fs/words.h"

#include "crypto/base/fault.h"
#include "fs/http/token.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *time_of(const json_t *item, const char *name, char buffer[static WORDS_BYTES]) {
	return words_time((int64_t)answer_number(item, name) * 1000000000, buffer);
}

/* ---- add ---- */

static int run_add(const struct invocation *call) {
	struct client_place place;
	_cleanup_(client_closep) Client *client = NULL;
	_cleanup_(json_decrefp) json_t *item = NULL;
	unsigned long long days = TOKEN_DAYS_DEFAULT;
	char until[WORDS_BYTES];
	const char *role = command_value(call, "role");
	int code = command_number(call, "days", 1, TOKEN_DAYS_MAX, &days);
	if (!code && (!role || token_role_named(role) == TOKEN_ROLES))
		code = command_fail(call, EXIT_USAGE, "%s%s%s: viewer, auditor or steward", role ? "--role " : "",
		        role ? role : "--role is needed", role ? " is none" : "");
	if (!code)
		code = client_open_operand(call, 1, &place, &client);
	if (code)
		return code;
	int rc = client_ask(client, "token-add",
	        json_pack("{s:s, s:s, s:I}", "name", command_operand(call, 0), "role", role, "days", (json_int_t)days),
	        &item);
	if (rc)
		return command_fault(call, rc, "making the token");
	if (command_has(call, "json"))
		return command_print_json(call, steal_pointer(&item));
	command_note(call, "%s, until %s; it is shown this once:", role, time_of(item, "until_s", until));
	printf("%s\n", answer_text(item, "token"));
	return EXIT_DONE;
}

const struct command command_token_add = {
        .words = "token add",
        .operands = "NAME [DIR]",
        .least = 1,
        .most = 2,
        .summary = "make a token for the HTTP address",
        .details =
                "Prints it once; the vault keeps only a hash. A steward by the policy decides, and the audit log has "
                "it. A viewer sees numbers and names of datasets, an auditor the audit log too, a steward "
                "everything, and may run workflows and release what is held.",
        .options = (const struct command_option[]){{"role", 0, "ROLE", "viewer, auditor or steward; needed"},
                {"days", 0, "N", "how long it counts (default 90)"}, OPTION_JSON, {0}},
        .examples =
                (const struct command_example[]){
                        {"assayfs token add prometheus --role viewer /mnt", "for a scraper on another machine"}, {0}},
        .exits = EXIT_BIT(EXIT_NO) | EXIT_BIT(EXIT_UNDECIDED) | EXIT_BIT(EXIT_NOT_MOUNTED) | EXIT_BIT(EXIT_DENIED),
        .run = run_add,
};

/* ---- list ---- */

static int take_item(void *context, const json_t *item) {
	return json_array_append(context, (json_t *)(uintptr_t)item) ? -ENOMEM : 0;
}

static int print_tokens(const json_t *list) {
	char user[ANSWER_NAME_BYTES], until[WORDS_BYTES];
	Table *table = table_new("Name|Role|Until|By");
	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *item = json_array_get(list, i);
		table_cell(table, answer_text(item, "name"));
		table_cell(table, answer_text(item, "role"));
		table_cell(table, time_of(item, "until_s", until));
		table_cell(table, answer_user(item, "by", user));
	}
	int rc = table_print(table, stdout);
	table_free(table);
	return rc;
}

static int run_list(const struct invocation *call) {
	struct client_place place;
	_cleanup_(client_closep) Client *client = NULL;
	_cleanup_(json_decrefp) json_t *list = json_array();
	int code = client_open_operand(call, 0, &place, &client);
	if (code)
		return code;
	int rc = client_call(client, "token-list", json_object(), take_item, list);
	if (rc)
		return command_fault(call, rc, "asking the mount on %s", place.mountpoint);
	if (command_has(call, "json"))
		return command_print_json(call, json_pack("{s:O}", "tokens", list));
	if (json_array_size(list) == 0)
		printf("There are no tokens.\n");
	else
		rc = print_tokens(list);
	return rc ? command_fault(call, rc, "listing tokens") : EXIT_DONE;
}

const struct command command_token_list = {
        .words = "token list",
        .operands = "[DIR]",
        .most = 1,
        .summary = "show the tokens that there are",
        .details = "Names, roles and ends; the tokens themselves are not kept. For stewards and auditors.",
        .options = (const struct command_option[]){OPTION_JSON, {0}},
        .examples = (const struct command_example[]){{"assayfs token list /mnt", "who may ask"}, {0}},
        .exits = EXIT_BIT(EXIT_UNDECIDED) | EXIT_BIT(EXIT_NOT_MOUNTED) | EXIT_BIT(EXIT_DENIED),
        .run = run_list,
};

/* ---- remove ---- */

static int run_remove(const struct invocation *call) {
	struct client_place place;
	_cleanup_(client_closep) Client *client = NULL;
	int code = client_open_operand(call, 1, &place, &client);
	if (code)
		return code;
	int rc = client_call(client, "token-remove", json_pack("{s:s}", "name", command_operand(call, 0)), NULL, NULL);
	return rc ? command_fault(call, rc, "removing the token") : EXIT_DONE;
}

const struct command command_token_remove = {
        .words = "token remove",
        .operands = "NAME [DIR]",
        .least = 1,
        .most = 2,
        .summary = "let a token count no more",
        .details = "At once, but for what was told within the last seconds. A steward by the policy decides.",
        .options = (const struct command_option[]){{0}},
        .examples = (const struct command_example[]){{"assayfs token remove prometheus /mnt", "it has leaked"}, {0}},
        .exits = EXIT_BIT(EXIT_NO) | EXIT_BIT(EXIT_UNDECIDED) | EXIT_BIT(EXIT_NOT_MOUNTED) | EXIT_BIT(EXIT_DENIED),
        .run = run_remove,
};
