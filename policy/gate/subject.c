/*
 * subject: where texts occur (the identifiers of one person) in all that the vault keeps.
 *
 *     all versions ─► each read by a worker: as a table, or as text ── neither ─► its bytes, here
 *                          one pattern, made of all texts                │
 *                          └─► lines and columns ◄───────────────────────┘ yes or no
 *
 * Each is looked for whatever its case, with any blanks between its words; a number with any separators between its
 * digits; and its hash, which stands where a policy hashes. Nothing of it is kept: its record has a keyed hash.
 */
#include "policy/gate/internal.h"

#include "crypto/base/fault.h"
#include "crypto/derive.h"
#include "crypto/digest.h"
#include "crypto/secret.h"
#include "policy/table/utf8.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME "SUBJECT"
#define SUBJECT_BYTES_MIN 3u
#define SUBJECT_BYTES_MAX 1000u
#define DIGITS_OF_A_NUMBER 6u
/* Versions that are listed in one operation. */
enum { LOT = 256 };

struct finding_subject {
	Gate *gate;
	char *values[GATE_SUBJECTS_MAX]; /* without blanks around them */
	size_t value_count;
	char *regex;
	struct scan_pattern pattern;
	struct privacy_detect detect;
	struct privacy privacy;
	const struct actor *actor;
	struct gate_watch watch;
	gate_subject_fn *each;
	void *arg;
	struct version lot[LOT];
	size_t lot_count;
	struct gate_subjects sum;
	char hashes[GATE_SUBJECTS_MAX][DIGEST_HEX_BYTES];
};

/* ---- what is looked for ---- */

/* Of digits and what stands between them, as people write numbers. */
static bool is_number(const char *value) {
	size_t digits = 0;
	for (const char *at = value; *at; at++) {
		if (!isdigit((unsigned char)*at) && !strchr("-. ()/+", *at))
			return false;
		digits += isdigit((unsigned char)*at) != 0;
	}
	return digits >= DIGITS_OF_A_NUMBER;
}

static void put_number(FILE *to, const char *value) {
	bool is_first = true;
	(void)fputs("(?<![0-9])", to);
	for (const char *at = value; *at; at++) {
		if (!isdigit((unsigned char)*at))
			continue;
		(void)fprintf(to, "%s%c", is_first ? "" : "[-. ()/\\p{Zs}\\p{Pd}]{0,3}", *at);
		is_first = false;
	}
	(void)fputs("(?![0-9])", to);
}

static void put_words(FILE *to, const char *value) {
	(void)fputs("(?<![\\p{L}\\p{N}])(?i:", to);
	for (const char *at = value; *at; at++) {
		unsigned char c = (unsigned char)*at;
		if (isspace(c)) {
			at += strspn(at, " \t\r\n\f\v") - 1;
			(void)fputs("[\\p{Zs}\\t\\r\\n]{1,10}", to);
		} else if (c >= 0x80 || isalnum(c)) {
			(void)fputc(c, to);
		} else {
			(void)fprintf(to, "\\x%02x", c);
		}
	}
	(void)fputs(")(?![\\p{L}\\p{N}])", to);
}

/* A hash of each version of the key, as treat.h writes it. */
static int put_hashes(Gate *gate, FILE *to, const char *value) {
	struct treat_key key = {.version = 0};
	int rc = gate_privacy_key(gate, 0, &key);
	if (rc == -EKEYREVOKED || rc == -EKEYEXPIRED) /* nor can what bears such hashes be read */
		rc = 0;
	for (uint32_t version = key.version; rc >= 0 && version > 0; version--) {
		const struct privacy_treatment treatment = {.action = PRIVACY_HASH};
		const struct edit_dialect dialect = {.form = EDIT_TEXT};
		const struct edit edit = {.length = strlen(value)};
		_cleanup_(treated_release) struct treated hash = {0};
		rc = gate_privacy_key(gate, version, &key);
		if (rc == -ENOKEY) { /* this slot does not hold it */
			rc = 0;
			continue;
		}
		if (rc >= 0)
			rc = treat(&treatment, NAME, &dialect, &key, &edit, bytes_of_string(value), &hash);
		if (rc >= 0)
			(void)fprintf(to, "|\\b%.*s\\b", (int)hash.size, hash.text);
	}
	sodium_memzero(&key, sizeof key);
	return rc;
}

/* A hash tells how the text was spelt: besides the spelling that is given, small letters, and a number's digits alone.
 */
static int put_spellings(Gate *gate, FILE *to, const char *value) {
	_cleanup_(freep) char *spelling = strdup(value);
	if (!spelling)
		return fault(ENOMEM, "no memory to look for a subject");
	int rc = put_hashes(gate, to, value);
	for (char *at = spelling; *at; at++)
		*at = (char)tolower((unsigned char)*at);
	if (rc >= 0 && strcmp(spelling, value) != 0)
		rc = put_hashes(gate, to, spelling);
	char *end = spelling;
	for (const char *at = value; *at; at++)
		if (isdigit((unsigned char)*at))
			*end++ = *at;
	*end = '\0';
	if (rc >= 0 && is_number(value) && strcmp(spelling, value) != 0)
		rc = put_hashes(gate, to, spelling);
	sodium_memzero(spelling, strlen(value));
	return rc;
}

static int make_regex(struct finding_subject *s) {
	size_t size;
	FILE *to = open_memstream(&s->regex, &size);
	if (!to)
		return fault(ENOMEM, "no memory to look for a subject");
	int rc = 0;
	for (size_t i = 0; rc >= 0 && i < s->value_count; i++) {
		if (i > 0)
			(void)fputc('|', to);
		if (is_number(s->values[i]))
			put_number(to, s->values[i]);
		else
			put_words(to, s->values[i]);
		rc = put_spellings(s->gate, to, s->values[i]);
	}
	if (fclose(to) != 0 && rc >= 0)
		rc = fault(ENOMEM, "no memory to look for a subject");
	return rc;
}

static int make_pattern(struct finding_subject *s) {
	int rc = make_regex(s);
	if (rc < 0)
		return rc;
	s->pattern = (struct scan_pattern){.name = NAME, .regex = s->regex, .score = 100};
	s->detect = (struct privacy_detect){.entity = NAME, .treatment = {.action = PRIVACY_REPORT}};
	s->privacy = (struct privacy){.detects = &s->detect,
	        .detect_count = 1,
	        .patterns = &s->pattern,
	        .pattern_count = 1,
	        .sensitivity = SCAN_HIGH};
	return scanner_check_pattern(&s->pattern);
}

/* The same text is the same hash in the log, and another than in what is published: who reads the one learns nothing of
 * the other; who has no key can't try texts out. */
static int make_hashes(struct finding_subject *s) {
	struct treat_key key;
	uint8_t digest[DIGEST_BYTES];
	int rc = gate_privacy_key(s->gate, 0, &key);
	if (rc < 0)
		return rc;
	derive_key(key.bytes, "find-subject record", bytes_of(NULL, 0), key.bytes);
	for (size_t i = 0; i < s->value_count; i++) {
		blake2b_keyed(key.bytes, bytes_of_string(s->values[i]), digest);
		digest_hex(digest, s->hashes[i]);
		s->hashes[i][32] = '\0';
	}
	sodium_memzero(&key, sizeof key);
	return 0;
}

/* ---- one version ---- */

struct counting {
	uint64_t version, number;
};

static int take_number(void *arg, uint64_t ordinal, const struct version *version) {
	struct counting *counting = arg;
	if (version->id == counting->version)
		counting->number = ordinal;
	return counting->number != 0;
}

int gate_path_number(Meta *m, const char *path, uint64_t version, uint64_t *ret_number) {
	struct counting counting = {.version = version};
	const char *slash = strrchr(path, '/');
	struct node parent;
	int rc = slash ? tree_resolve_past(m, bytes_of(path, (size_t)(slash - path)), &parent, NULL) : -ENOENT;
	if (rc >= 0)
		rc = version_list_path(m, parent.id, bytes_of_string(slash + 1), take_number, &counting);
	*ret_number = counting.number;
	return rc == -ENOENT ? 0 : rc;
}

/* With the number that the person knows the version by. */
static int say(struct finding_subject *s, struct gate_subject *subject) {
	Meta *m = store_meta(s->gate->store);
	meta_begin(m);
	int rc = meta_end(m, gate_path_number(m, subject->path, subject->version, &subject->number));
	return rc < 0 ? rc : s->each(s->arg, subject);
}

static bool holds_any(const struct finding_subject *s, const uint8_t *bytes, size_t size) {
	for (size_t i = 0; i < s->value_count; i++)
		if (memmem(bytes, size, s->values[i], strlen(s->values[i])))
			return true;
	return false;
}

static int read_through(struct finding_subject *s, Content *content, bool *ret_found) {
	size_t kept = 0;
	_cleanup_(secret_heap_freep) uint8_t *chunk = malloc(GATE_CHUNK_BYTES + SUBJECT_BYTES_MAX);
	struct gate_reader reader = {.source = content, .watch = &s->watch};
	ssize_t got;
	if (!chunk)
		return fault(ENOMEM, "no memory to look for a subject");
	*ret_found = false;
	while ((got = gate_read(&reader, chunk + kept, GATE_CHUNK_BYTES)) > 0) {
		size_t size = kept + (size_t)got;
		*ret_found = *ret_found || holds_any(s, chunk, size);
		kept = size < SUBJECT_BYTES_MAX - 1 ? size : SUBJECT_BYTES_MAX - 1;
		memmove(chunk, chunk + size - kept, kept);
	}
	return (int)got;
}

static int ask_worker(struct finding_subject *s, Content *content, const char *path, enum policy_file_type type,
        struct check_result **ret_result) {
	_cleanup_(gate_policy_donep) struct gate_policy *policy = gate_policy(s->gate);
	const char *below = gate_below(path, NULL), *slash = strrchr(path, '/');
	const struct policy_dataset *governing = below ? policy_dataset_for(policy->policy, below) : NULL;
	struct policy_dataset dataset = {.name = "find-subject", .privacy = &s->privacy};
	if (governing)
		dataset.format = governing->format;
	if (type == POLICY_FILE_TEXT)
		dataset.format = (struct policy_format){.type = type};
	struct check_job job = check_job_for(&dataset, slash ? slash + 1 : path, content_size(content), 0);
	struct gate_reader reader = {.source = content, .watch = &s->watch};
	struct check_request request = {.job = &job,
	        .input = {.read = gate_read, .context = &reader},
	        .user = s->actor->uid,
	        .interrupted = gate_watch_look,
	        .interrupted_arg = &s->watch};
	struct check_outcome outcome = {0};
	int rc = spawner_check(s->gate->spawner, &request, &outcome);
	*ret_result = outcome.result;
	return rc;
}

static int tell(struct finding_subject *s, struct gate_subject *subject, const struct check_result *result) {
	const struct check_privacy_result *privacy = &result->privacy;
	int rc = 0;
	for (size_t i = 0; rc >= 0 && i < privacy->finding_count; i++) {
		const struct check_finding *finding = &privacy->findings[i];
		subject->column = finding->column;
		subject->cells = finding->cells;
		subject->lines = finding->lines;
		subject->line_count = finding->line_count;
		rc = say(s, subject);
	}
	return rc;
}

/* As a table, else as text; where neither finds it, its bytes. What can't be understood is not passed over in silence.
 */
static int search(struct finding_subject *s, Content *content, struct gate_subject *subject) {
	_cleanup_(check_result_freep) struct check_result *table = NULL, *text = NULL;
	bool found = false;
	int rc = ask_worker(s, content, subject->path, POLICY_FILE_DETECT, &table);
	if (rc < 0)
		return rc;
	const struct check_result *read = table;
	if (table->outcome == OUTCOME_ERROR) {
		rc = ask_worker(s, content, subject->path, POLICY_FILE_TEXT, &text);
		read = text;
	}
	if (rc >= 0 && read->privacy.finding_count > 0)
		return tell(s, subject, read);
	if (rc >= 0)
		rc = read_through(s, content, &found);
	if (rc < 0 || (read->outcome != OUTCOME_ERROR && !found))
		return rc;
	subject->is_bytes = true;
	subject->is_found = found;
	return say(s, subject);
}

/* A key can't be had now: the others go on. */
static bool is_away(int rc) {
	return rc == -EKEYREVOKED || rc == -ENOKEY || rc == -EACCES;
}

static int search_version(struct finding_subject *s, const struct version *version, struct gate_subject *subject) {
	_cleanup_(content_closep) Content *content = NULL;
	char unfit[GATE_WORDS_BYTES] = "";
	int rc = content_open(s->gate->store, version->node, version->id, &content);
	if (rc >= 0)
		rc = gate_unfit(content, &s->watch, unfit);
	if (rc >= 0 && !unfit[0])
		rc = search(s, content, subject);
	/* Erased meanwhile, or by its key. */
	if (rc == -ESTALE || rc == -ENOENT || rc == -EKEYEXPIRED)
		return 0;
	if (!is_away(rc) && (rc < 0 || !unfit[0]))
		return rc;
	subject->is_bytes = true;
	subject->is_found = false;
	return say(s, subject);
}

/* ---- all versions ---- */

static int take_version(void *arg, const struct version *version) {
	struct finding_subject *s = arg;
	if (version->state == VERSION_SEALED || version->state == VERSION_WITHDRAWN)
		s->lot[s->lot_count++] = *version;
	return s->lot_count == LOT;
}

static int count_version(void *arg, const struct version *version) {
	struct finding_subject *s = arg;
	s->sum.total += version->state == VERSION_SEALED || version->state == VERSION_WITHDRAWN;
	return 0;
}

struct held_version {
	uint64_t version, id;
	char path[TREE_PATH_MAX];
};

static int take_held(void *arg, const struct quarantine_row *row) {
	struct held_version *held = arg;
	if (row->version != held->version)
		return 0;
	held->id = row->id;
	size_t size = row->path.size < sizeof held->path - 1 ? row->path.size : sizeof held->path - 1;
	memcpy(held->path, row->path.data, size);
	held->path[size] = '\0';
	return 1;
}

/* Where it stands, or stood; of what never had a name, what is held of which file. */
static int name_version(
        Meta *m, const struct version *version, struct held_version *held, struct gate_subject *ret_subject) {
	struct node node = {0};
	*held = (struct held_version){.version = version->id};
	int rc = tree_get(m, version->node, &node);
	if (rc >= 0)
		rc = tree_last_path(m, version->node, held->path, sizeof held->path);
	if (rc == -ENOENT || rc == -ERANGE) {
		held->path[0] = '\0';
		rc = quarantine_list(m, 0, false, take_held, held);
	}
	*ret_subject = (struct gate_subject){.path = held->path,
	        .zone = (enum zone)version->zone,
	        .version = version->id,
	        .quarantine = held->id,
	        .is_current = node.version == version->id && node.nlink > 0};
	return rc < 0 ? rc : 0;
}

static int search_lot(struct finding_subject *s) {
	_cleanup_(freep) struct held_version *held = malloc(sizeof *held);
	Meta *m = store_meta(s->gate->store);
	int rc = held ? 0 : fault(ENOMEM, "no memory to look for a subject");
	for (size_t i = 0; rc >= 0 && i < s->lot_count; i++) {
		struct gate_subject subject;
		meta_begin(m);
		rc = meta_end(m, name_version(m, &s->lot[i], held, &subject));
		subject.done = ++s->sum.done;
		subject.total = s->sum.total;
		subject.is_found = subject.is_in_name =
		        subject_stands_in(held->path, (const char *const *)s->values, s->value_count);
		if (rc >= 0 && subject.is_in_name)
			rc = say(s, &subject);
		subject.is_in_name = false;
		subject.is_found = true;
		if (rc >= 0)
			rc = search_version(s, &s->lot[i], &subject);
		/* how far it has come */
		subject = (struct gate_subject){.path = "", .done = s->sum.done, .total = s->sum.total};
		if (rc >= 0)
			rc = s->each(s->arg, &subject);
	}
	return rc;
}

static int search_all(struct finding_subject *s) {
	Meta *m = store_meta(s->gate->store);
	uint64_t last = 0;
	meta_begin(m);
	int rc = meta_end(m, version_list_all(m, 0, count_version, s));
	while (rc >= 0) {
		s->lot_count = 0;
		meta_begin(m);
		rc = meta_end(m, version_list_all(m, last, take_version, s));
		if (rc < 0 || s->lot_count == 0)
			break;
		last = s->lot[s->lot_count - 1].id;
		rc = search_lot(s);
	}
	return rc < 0 ? rc : 0;
}

static int record_one(Meta *m, const struct finding_subject *s, const char *hash, int outcome) {
	char detail[128];
	snprintf(detail, sizeof detail, "subject %s: %" PRIu64 " of %" PRIu64 " versions looked through", hash,
	        s->sum.done, s->sum.total);
	struct audit_event event = {.event = "find-subject",
	        .actor = *s->actor,
	        .detail = detail,
	        .outcome = outcome < 0 ? "error" : NULL,
	        .err = outcome < 0 ? -outcome : 0};
	return audit_record(m, &event, NULL);
}

/* A record for each text: whoever looks for one of them again sees by its hash that it was asked for. */
static int record_search(const struct finding_subject *s, int outcome) {
	Meta *m = store_meta(s->gate->store);
	int rc = 0;
	meta_begin(m);
	for (size_t i = 0; rc >= 0 && i < s->value_count; i++)
		rc = record_one(m, s, s->hashes[i], outcome);
	return meta_end(m, rc);
}

/* Blanks around it are the shell's, or a form's. */
static int check_value(const char *value, char **ret_copy) {
	size_t from = strspn(value, " \t\r\n"), size = strlen(value + from);
	while (size > 0 && isspace((unsigned char)value[from + size - 1]))
		size--;
	if (size < SUBJECT_BYTES_MIN || size > SUBJECT_BYTES_MAX)
		return fault(EINVAL, "what is looked for has %u to %u bytes", SUBJECT_BYTES_MIN, SUBJECT_BYTES_MAX);
	if (utf8_valid_prefix(value + from, size) < size)
		return fault(EINVAL, "what is looked for is UTF-8 text");
	*ret_copy = strndup(value + from, size);
	return *ret_copy ? 0 : fault(ENOMEM, "no memory to look for a subject");
}

static int take_values(struct finding_subject *s, const char *const *values, size_t count) {
	if (count == 0 || count > GATE_SUBJECTS_MAX)
		return fault(EINVAL, "1 to %d texts are looked for at once", GATE_SUBJECTS_MAX);
	int rc = 0;
	for (size_t i = 0; rc >= 0 && i < count; i++) {
		rc = check_value(values[i], &s->values[i]);
		if (rc < 0 && count > 1)
			rc = fault_while(rc, "text %zu of %zu", i + 1, count);
		s->value_count += rc >= 0;
	}
	return rc;
}

static void forget(struct finding_subject *s) {
	for (size_t i = 0; i < s->value_count; i++) {
		sodium_memzero(s->values[i], strlen(s->values[i]));
		free(s->values[i]);
	}
	if (s->regex)
		sodium_memzero(s->regex, strlen(s->regex));
	free(s->regex);
	free(s);
}

int gate_find_subject(Gate *gate, const char *const *values, size_t count, const struct actor *actor,
        gate_subject_fn *each, void *arg, struct gate_subjects *ret) {
	struct finding_subject *s = calloc(1, sizeof *s);
	if (!s)
		return fault(ENOMEM, "no memory to look for a subject");
	*s = (struct finding_subject){.gate = gate, .actor = actor, .each = each, .arg = arg};
	s->watch = (struct gate_watch){.gate = gate};
	int rc = take_values(s, values, count);
	if (rc >= 0)
		rc = make_hashes(s);
	if (rc >= 0)
		rc = make_pattern(s);
	if (rc >= 0) {
		rc = subject_search_policies(gate, (const char *const *)s->values, s->value_count, each, arg);
		if (rc >= 0)
			rc = search_all(s);
		int recorded = record_search(s, rc);
		rc = rc < 0 ? rc : recorded;
		*ret = s->sum;
	}
	forget(s);
	return rc;
}
