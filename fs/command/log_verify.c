/* `assayfs log verify`, `log key`, `log prove`: the audit log as evidence. */
#include "fs/command/client.h"
#include "fs/command/evidence.h"
#include "fs/command/log_check.h"
#include "fs/words.h"

#include "crypto/base/fault.h"
#include "crypto/tlog_proof.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OPTION_KEY \
	{ "key", 'k', "KEY", "the log's verifier key, as you keep it; without it the mount's own word counts" }
#define LOG_EXITS (EXIT_BIT(EXIT_NO) | EXIT_BIT(EXIT_UNDECIDED) | EXIT_BIT(EXIT_NOT_MOUNTED) | EXIT_BIT(EXIT_DENIED))

/* ---- what does not verify ---- */

/* What does not fit is an answer; what can't be read is none. */
static int exit_of(int rc) {
	return rc == -EBADMSG || rc == -ENOKEY || rc == -EINVAL ? EXIT_NO : command_exit_of(rc);
}

static int say_not_verified(const struct invocation *call, int rc) {
	int code = exit_of(rc);
	char words[FAULT_MESSAGE_BYTES];
	(void)snprintf(words, sizeof words, "%s", fault_message());
	if (command_has(call, "json") && code == EXIT_NO &&
	        command_print_json(call, json_pack("{s:b, s:s}", "verified", 0, "reason", words)) != EXIT_DONE)
		return EXIT_UNDECIDED;
	return command_fail(
	        call, code, "%s: %s", code == EXIT_NO ? "the log is not as it was signed" : "reading the log", words);
}

/* ---- log key ---- */

static json_t *key_json(const struct key_chain *chain, size_t index) {
	char vkey[NOTE_VKEY_BYTES], line[SUCCESSION_LINE_BYTES], since[WORDS_BYTES];
	const struct succession *by = index > 0 ? &chain->list[index - 1] : NULL;
	note_key_format(key_chain_key(chain, index), vkey);
	json_t *item = json_pack("{s:s, s:I}", "key", vkey, "from_record", (json_int_t)(by ? by->at.size : 0));
	if (chain->count > 0)
		json_object_set_new(item, "version", json_integer(key_chain_version(chain, index)));
	if (!by)
		return item;
	succession_line(by, line);
	json_object_set_new(item, "since", json_string(words_time_utc(by->time_ns, since)));
	json_object_set_new(item, "signed_by_previous", json_boolean(!by->is_broken));
	json_object_set_new(item, "succession", json_string(line));
	return item;
}

static void print_key(const struct key_chain *chain, size_t index) {
	char vkey[NOTE_VKEY_BYTES], since[WORDS_BYTES];
	const struct succession *by = index > 0 ? &chain->list[index - 1] : NULL;
	note_key_format(key_chain_key(chain, index), vkey);
	if (by)
		printf("version %" PRIu32 ", since %s, from record %" PRIu64 " on%s\n    %s\n", by->version,
		        words_time(by->time_ns, since), by->at.size,
		        by->is_broken ? ", without the signature of the one before, which was lost" : "", vkey);
	else
		printf("version %" PRIu32 ", from record 0 on\n    %s\n",
		        chain->count ? key_chain_version(chain, 0) : 1, vkey);
}

/* From the oldest on, as the successions say; each is verified. */
static int say_all_keys(const struct invocation *call, const struct key_chain *chain, json_t *document) {
	json_t *list = document ? json_array() : NULL;
	for (size_t i = 0; i <= chain->count; i++) {
		if (list)
			json_array_append_new(list, key_json(chain, i));
		else
			print_key(chain, i);
	}
	if (!document)
		return EXIT_DONE;
	json_object_set_new(document, "keys", list);
	return command_print_json(call, document);
}

static int run_key(const struct invocation *call) {
	_cleanup_(evidence_closep) Evidence *evidence = NULL;
	struct note_key key;
	struct key_chain chain = {0};
	char text[NOTE_VKEY_BYTES];
	bool is_given;
	int code = evidence_open_operand(call, 0, &evidence);
	if (!code)
		code = evidence_key(call, evidence, &key, &is_given);
	if (code)
		return code;
	int rc = command_has(call, "all") ? evidence_chain(evidence, &key, &chain, NULL) : 0;
	if (rc < 0)
		return say_not_verified(call, rc);
	note_key_format(&key, text);
	json_t *document = command_has(call, "json") ? json_pack("{s:s, s:s}", "key", text, "origin", key.name) : NULL;
	if (command_has(call, "all"))
		code = say_all_keys(call, &chain, document);
	else if (document)
		code = command_print_json(call, document);
	else
		puts(text);
	key_chain_clear(&chain);
	return code;
}

/* ---- log verify ---- */

struct verification {
	struct note_key key;
	struct key_chain chain;
	size_t index; /* of the key in it */
	bool key_is_given, has_older;
	char *older_note; /* allocated */
	size_t older_bytes;
	struct checkpoint older, head;
	struct log_check_result result;
};

/* The index of the key that signs what comes next. */
static size_t present_key(const struct verification *v) {
	return key_chain_signer(&v->chain, v->head.size + 1);
}

/* The succession, between the checkpoint that was given and the key that was, whose key before was lost; NULL: none. */
static const struct succession *lost_between(const struct verification *v) {
	size_t at = v->has_older ? key_chain_signer(&v->chain, v->result.older.size) : v->index;
	while (at < v->index && !v->chain.list[at].is_broken)
		at++;
	return at < v->index ? &v->chain.list[at] : NULL;
}

static int say_verified_json(const struct invocation *call, const struct verification *v, const char *root) {
	const struct log_check_result *result = &v->result;
	const struct succession *lost = lost_between(v);
	char vkey[NOTE_VKEY_BYTES], present[NOTE_VKEY_BYTES];
	note_key_format(&v->key, vkey);
	note_key_format(key_chain_key(&v->chain, present_key(v)), present);
	return command_print_json(
	        call, json_pack("{s:b, s:I, s:I, s:I, s:s, s:s, s:b, s:s, s:I, s:o, s:o}", "verified", 1, "records",
	                      (json_int_t)result->records, "pruned", (json_int_t)result->pruned, "heads",
	                      (json_int_t)result->heads, "root", root, "key", vkey, "key_was_given", v->key_is_given,
	                      "present_key", present, "rotations", (json_int_t)v->chain.count, "from",
	                      result->older.size ? json_integer((json_int_t)result->older.size) : json_null(),
	                      "lost_version", lost ? json_integer(lost->version_before) : json_null()));
}

/* An earlier key leads to the present one, by which who verifies should go from now on. */
static void say_later_key(const struct verification *v, size_t present) {
	const struct succession *by = &v->chain.list[present - 1];
	printf("The key that was given is version %" PRIu32
	       ". It was handed on, and the log is signed by version %" PRIu32 " since there were %" PRIu64
	       " records: keep this one.\n",
	        key_chain_version(&v->chain, v->index), by->version, by->at.size);
}

static int say_verified(const struct invocation *call, const struct verification *v) {
	const struct log_check_result *result = &v->result;
	const size_t present = present_key(v);
	const struct succession *lost = lost_between(v);
	char vkey[NOTE_VKEY_BYTES], root[BASE64_TEXT_BYTES(MERKLE_HASH_BYTES)];
	base64_encode(bytes_of(v->head.root, MERKLE_HASH_BYTES), root);
	if (command_has(call, "json"))
		return say_verified_json(call, v, root);
	note_key_format(key_chain_key(&v->chain, present), vkey);
	printf("%" PRIu64 " record%s, as %" PRIu64 " signed head%s say.\n", result->records, words_s(result->records),
	        result->heads, words_s(result->heads));
	if (result->pruned)
		printf("Of the first %" PRIu64
		       " there are hashes only: those records are in archives (assayfs log open).\n",
		        result->pruned);
	if (result->older.size)
		printf("The checkpoint that was given, of %" PRIu64 " records, is where it came from.\n",
		        result->older.size);
	if (lost)
		printf("Version %" PRIu32 " of its key is said to be lost since: for what comes after %" PRIu64
		       " records the key that was given vouches alone. If you had it before that checkpoint, "
		       "somebody has stolen it.\n",
		        lost->version_before, lost->at.size);
	if (present > v->index)
		say_later_key(v, present);
	printf("root  %s\nkey   %s\n", root, vkey);
	if (!v->key_is_given)
		puts("The key is the mount's own word: keep it elsewhere, and give it with --key the next time.");
	return EXIT_DONE;
}

/* By the keys that the log shows: all of those that have signed what was kept must be among them. */
static int open_older(struct verification *v) {
	const struct bytes note = bytes_of(v->older_note, v->older_bytes);
	int rc = key_chain_open(&v->chain, note, &v->older);
	if (rc == 0)
		rc = key_chain_covers(&v->chain, note);
	return rc == 0 && v->older.size == 0 ? fault(EINVAL, "it is of no records") : rc;
}

/* The checkpoint in a file that the auditor kept. */
static int read_older(const struct invocation *call, struct verification *v) {
	const char *path = command_value(call, "from");
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	v->older_note = malloc(NOTE_BYTES_MAX);
	ssize_t size = fd < 0 || !v->older_note ? -1 : read(fd, v->older_note, NOTE_BYTES_MAX);
	if (size < 0)
		return command_fail(call, command_exit_of(-errno), "reading --from %s: %s", path, strerror(errno));
	v->older_bytes = (size_t)size;
	int rc = open_older(v);
	if (rc == -EINVAL)
		return command_fail(call, EXIT_USAGE, "--from %s: %s", path, fault_message());
	return rc ? say_not_verified(call, fault_while(rc, "--from %s", path)) : EXIT_DONE;
}

static int read_chain(Evidence *evidence, struct verification *v) {
	key_chain_clear(&v->chain);
	return evidence_chain(evidence, &v->key, &v->chain, &v->index);
}

/* The checkpoint first: a succession that comes meanwhile is of more records. */
static int read_head(Evidence *evidence, struct verification *v) {
	_cleanup_(freep) char *note = NULL;
	size_t size = 0;
	int rc = evidence_text(evidence, "checkpoint", &note, &size);
	if (rc == 0)
		rc = read_chain(evidence, v);
	if (rc == 0)
		rc = key_chain_open(&v->chain, bytes_of(note, size), &v->head);
	if (rc < 0)
		return fault_while(rc, "the log's checkpoint");
	/* Each time anew: a mount may show other successions by now. */
	return v->has_older ? fault_while(open_older(v), "the checkpoint that was given") : 0;
}

static int verify_once(Evidence *evidence, struct verification *v) {
	int rc = read_head(evidence, v);
	if (rc < 0)
		return rc;
	Progress *progress = progress_begin("verifying records", PROGRESS_COUNT, v->head.size);
	rc = log_check(
	        evidence, &v->chain, &v->head, v->has_older ? &v->older : NULL, progress, NULL, NULL, &v->result);
	progress_end(progress);
	return rc;
}

/* A log that is being written to has a new head each second: without an end to it, one that was changed could be
 * verified for ever. */
#define VERIFICATIONS_MOST 4

/* Records may be pruned while they are verified; the next head tells of it. What is wrong is so by that one, too. */
static int verify(const struct invocation *call, Evidence **evidence, struct verification *v) {
	int rc = verify_once(*evidence, v);
	for (int done = 1; rc == -EBADMSG && done < VERIFICATIONS_MOST; done++) {
		char words[FAULT_MESSAGE_BYTES];
		(void)snprintf(words, sizeof words, "%s", fault_message());
		const uint64_t size = v->head.size;
		if (read_head(*evidence, v) < 0 || v->head.size == size)
			return fault(EBADMSG, "%s", words);
		evidence_close(steal_pointer(evidence));
		if (evidence_open_operand(call, 0, evidence))
			return fault(EBADMSG, "%s", words);
		rc = verify_once(*evidence, v);
		if (rc == -EBADMSG && strcmp(words, fault_message()) == 0)
			break;
	}
	return rc;
}

static void print_record(void *arg, struct bytes record) {
	(void)arg;
	(void)fwrite(record.data, 1, record.size, stdout);
	putchar('\n');
}

/* Once all of it is known to be right, the same again; what somebody changed in between ends it. */
static int print_records(const struct invocation *call, Evidence **evidence, struct verification *v) {
	evidence_close(steal_pointer(evidence));
	int code = evidence_open_operand(call, 0, evidence);
	if (code)
		return code;
	int rc = log_check(*evidence, &v->chain, &v->head, NULL, NULL, print_record, NULL, &v->result);
	return rc < 0 ? say_not_verified(call, rc) : EXIT_DONE;
}

static int verify_and_say(const struct invocation *call, Evidence **evidence, struct verification *v) {
	int rc = v->has_older ? read_chain(*evidence, v) : 0;
	if (rc == 0 && v->has_older) {
		int code = read_older(call, v);
		if (code)
			return code;
	}
	if (rc == 0)
		rc = verify(call, evidence, v);
	if (rc < 0)
		return say_not_verified(call, rc);
	return command_has(call, "print") ? print_records(call, evidence, v) : say_verified(call, v);
}

static int run_verify(const struct invocation *call) {
	_cleanup_(evidence_closep) Evidence *evidence = NULL;
	struct verification v = {.has_older = command_value(call, "from") != NULL};
	int code = evidence_open_operand(call, 0, &evidence);
	if (!code)
		code = evidence_key(call, evidence, &v.key, &v.key_is_given);
	if (!code && command_has(call, "print") && command_has(call, "json"))
		code = command_fail(
		        call, EXIT_USAGE, "--print gives records, which are JSON already: leave --json out");
	if (!code)
		code = verify_and_say(call, &evidence, &v);
	key_chain_clear(&v.chain);
	free(v.older_note);
	return code;
}

/* ---- log prove ---- */

static int read_sequence(const struct invocation *call, uint64_t *ret) {
	const char *text = command_operand(call, 0);
	char *end = NULL;
	errno = 0;
	*ret = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno)
		return command_fail(call, EXIT_USAGE, "'%s' is no number of a record (its \"seq\")", text);
	return EXIT_DONE;
}

/* The record's bytes are put into `evidence`'s room. */
static int find_entry(Evidence *evidence, uint64_t size, uint64_t sequence, struct bytes *ret) {
	struct bytes entries[TILE_WIDTH];
	const struct tile tile = {.is_entries = true,
	        .index = sequence / TILE_WIDTH,
	        .width = tile_width(size, 0, sequence / TILE_WIDTH)};
	int rc = evidence_entries(evidence, &tile, entries);
	if (rc == 0)
		*ret = entries[sequence % TILE_WIDTH];
	return rc;
}

/* What is printed is held against the key first: the newest, as who holds an earlier one goes by that. */
static int write_proof(const struct key_chain *chain, struct bytes entry, uint64_t sequence,
        const struct merkle_proof *path, const char *note, char **ret_text) {
	_cleanup_(freep) char *text = NULL;
	struct tlog_proof proof;
	struct checkpoint head;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);
	if (!to)
		return fault(ENOMEM, "no memory for the proof");
	tlog_proof_write(to, entry, sequence, path, note);
	if (fclose(to) != 0)
		return fault(ENOMEM, "no memory for the proof");
	int rc = key_chain_open(chain, bytes_of_string(note), &head);
	if (rc == 0)
		rc = tlog_proof_parse(bytes_of(text, size), &proof);
	if (rc == 0)
		rc = tlog_proof_verify(&proof, entry, key_chain_key(chain, key_chain_signer(chain, head.size)), &head);
	if (rc == 0)
		*ret_text = steal_pointer(&text);
	return rc;
}

static int make_proof(Evidence *evidence, const struct key_chain *chain, uint64_t sequence, char **ret_text) {
	_cleanup_(freep) char *note = NULL;
	struct checkpoint head;
	struct merkle_proof path;
	struct bytes entry;
	uint64_t pruned = 0;
	int rc = evidence_head(evidence, chain, &head, &note);
	if (rc == 0 && sequence >= head.size)
		return fault(ENOENT, "there is no record %" PRIu64 ": the log has %" PRIu64 " that are signed",
		        sequence, head.size);
	if (rc == 0)
		rc = evidence_pruned(evidence, &pruned);
	if (rc == 0 && sequence < pruned)
		return fault(ENOENT,
		        "it is in an archive only, as are all before %" PRIu64
		        " (assayfs log archive --list, log open)",
		        pruned);
	if (rc == 0)
		rc = find_entry(evidence, head.size, sequence, &entry);
	if (rc < 0)
		return rc;
	evidence_set_size(evidence, head.size);
	rc = merkle_inclusion_prove(sequence, head.size, evidence_fetch, evidence, &path);
	return rc < 0 ? rc : write_proof(chain, entry, sequence, &path, note, ret_text);
}

static int run_prove(const struct invocation *call) {
	_cleanup_(evidence_closep) Evidence *evidence = NULL;
	_cleanup_(freep) char *text = NULL;
	struct note_key key;
	struct key_chain chain = {0};
	uint64_t sequence;
	bool is_given;
	int code = read_sequence(call, &sequence);
	if (!code)
		code = evidence_open_operand(call, 1, &evidence);
	if (!code)
		code = evidence_key(call, evidence, &key, &is_given);
	if (code)
		return code;
	int rc = evidence_chain(evidence, &key, &chain, NULL);
	if (rc == 0)
		rc = make_proof(evidence, &chain, sequence, &text);
	key_chain_clear(&chain);
	if (rc < 0)
		return command_fail(call, exit_of(rc), "proving record %" PRIu64 ": %s", sequence, fault_message());
	fputs(text, stdout);
	return EXIT_DONE;
}

/* ---- log check-proof ---- */

static int read_proof(const struct invocation *call, char **ret_text, size_t *ret_size) {
	const char *path = command_operand(call, 0);
	bool is_standard = strcmp(path, "-") == 0;
	_cleanup_(freep) char *text = malloc(TLOG_PROOF_BYTES_MAX + 1);
	FILE *from = !text ? NULL : is_standard ? stdin : fopen(path, "re");
	if (!from)
		return command_fail(call, command_exit_of(-errno), "reading %s: %s", path, strerror(errno));
	*ret_size = fread(text, 1, TLOG_PROOF_BYTES_MAX + 1, from);
	int failed = ferror(from);
	if (!is_standard)
		(void)fclose(from);
	if (failed)
		return command_fail(call, EXIT_UNDECIDED, "reading %s failed", path);
	if (*ret_size > TLOG_PROOF_BYTES_MAX)
		return command_fail(call, EXIT_NO, "%s is longer than a proof can be", path);
	*ret_text = steal_pointer(&text);
	return EXIT_DONE;
}

/* Prints the record that the proof holds, which is what was proved. */
static int run_check_proof(const struct invocation *call) {
	_cleanup_(freep) char *text = NULL;
	_cleanup_(freep) uint8_t *entry = malloc(TILE_ENTRY_MAX);
	struct note_key key;
	struct tlog_proof proof;
	struct checkpoint head;
	size_t size = 0, entry_size = 0;
	if (!command_value(call, "key"))
		return command_fail(
		        call, EXIT_USAGE, "give the log's verifier key with --key ('assayfs log key' prints it)");
	if (!entry)
		return command_fail(call, EXIT_UNDECIDED, "out of memory");
	if (note_key_parse(command_value(call, "key"), &key))
		return command_fault(call, -EINVAL, "reading --key");
	int code = read_proof(call, &text, &size);
	if (code)
		return code;
	int rc = tlog_proof_parse(bytes_of(text, size), &proof);
	if (rc == 0)
		rc = tlog_proof_entry(&proof, entry, TILE_ENTRY_MAX, &entry_size);
	if (rc == -ENODATA)
		rc = fault(EINVAL, "the proof does not hold the record ('extra')");
	if (rc == 0)
		rc = tlog_proof_verify(&proof, bytes_of(entry, entry_size), &key, &head);
	if (rc < 0)
		return command_fail(call, exit_of(rc), "%s: %s", command_operand(call, 0), fault_message());
	printf("%.*s\n", (int)entry_size, (const char *)entry);
	return EXIT_DONE;
}

/* ---- rows ---- */

const struct command command_log_verify = {
        .words = "log verify",
        .operands = "[DIR]",
        .most = 1,
        .summary = "check that the audit log is what was signed: every record, hash and signature",
        .details =
                "Believes nothing of what the mount says: reads all records and all hashes from .assayfs/audit, "
                "computes "
                "the tree anew, and holds it against every head that was ever signed. DIR may also be a copy of that "
                "directory (cp -r DIR/.assayfs/audit COPY), so that it can be checked elsewhere, or later; the day "
                "files in it (.jsonl) are for reading and are not looked "
                "at: --print gives the records that were verified.\n"
                "An auditor keeps two things where nobody else can change them: the key ('assayfs log key') and, from "
                "time to time, .assayfs/audit/checkpoint. With --key and --from, nothing up to that checkpoint can "
                "have "
                "been changed, removed or added unnoticed, by whoever. A key from before a rotation leads to the "
                "present one, which is printed; when that earlier key was stolen, verify with the new one, or with a "
                "checkpoint that was kept since the rotation.",
        .options = (const struct command_option[]){OPTION_KEY,
                {"from", 0, "CHECKPOINT", "a file with an earlier checkpoint that the log must go on from"},
                {"print", 0, NULL, "once it is verified, print its records, a line each"}, OPTION_JSON, {0}},
        .examples = (const struct command_example[]){{"assayfs log verify /mnt", "all of it"},
                {"assayfs log verify --key \"$(cat key)\" --from last-month.checkpoint /mnt", "as an auditor does"},
                {0}},
        .exits = LOG_EXITS,
        .run = run_verify,
};

const struct command command_log_key = {
        .words = "log key",
        .operands = "[DIR]",
        .most = 1,
        .summary = "print the audit log's verifier key",
        .details =
                "One line, as C2SP's signed-note and Go's sumdb/note have it. The name in it is that of the log. After "
                "'assayfs key rotate audit' it is the new one; --all prints all that the log was ever signed with, "
                "once it is verified that each has handed it on to the next.",
        .options = (const struct command_option[]){{"all", 'a', NULL, "all versions, the oldest first, and since when"},
                OPTION_JSON, {0}},
        .examples = (const struct command_example[]){{"assayfs log key /mnt >key", "to be kept elsewhere"},
                {"assayfs log key --all /mnt", "which keys there were"}, {0}},
        .exits = LOG_EXITS,
        .run = run_key,
};

const struct command command_log_prove = {
        .words = "log prove",
        .operands = "SEQ [DIR]",
        .least = 1,
        .most = 2,
        .summary = "prove that a record is in the audit log, to somebody who has only its key",
        .details =
                "Prints a proof as C2SP's tlog-proof has it, with the record in it; check-proof and others' programs "
                "verify it without the log.",
        .options = (const struct command_option[]){OPTION_KEY, {0}},
        .examples =
                (const struct command_example[]){
                        {"assayfs log prove 42 /mnt >42.tlog-proof", "for record \"seq\":42"}, {0}},
        .exits = LOG_EXITS,
        .run = run_prove,
};

const struct command command_log_check_proof = {
        .words = "log check-proof",
        .operands = "FILE",
        .least = 1,
        .most = 1,
        .summary = "verify what log prove has printed, and print the record",
        .details = "Needs no vault. FILE may be - for standard input.",
        .options = (const struct command_option[]){{"key", 'k', "KEY", "the log's verifier key; needed"}, {0}},
        .examples = (const struct command_example[]){{"assayfs log check-proof --key \"$(cat key)\" 42.tlog-proof",
                                                             "exit code 1: it proves nothing"},
                {0}},
        .exits = LOG_EXITS,
        .run = run_check_proof,
};
