#include "tests/policy/gate_world.h"
#include "policy/verdict.h"

#include <ftw.h>

/* A worker may not sleep. */
static void spin(time_t seconds) {
	struct timespec now, until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += seconds;
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while (now.tv_sec < until.tv_sec || (now.tv_sec == until.tv_sec && now.tv_nsec < until.tv_nsec));
}

/* Does a reference of that alias hold the very same text? */
static bool is_in_reference(const struct check_job *job, const char *content) {
	for (size_t i = 0; i < job->reference_count; i++) {
		char text[256] = "";
		struct check_input input = job->references[i].input;
		if (input.read(input.context, text, sizeof text - 1) >= 0 && strcmp(text, content) == 0)
			return true;
	}
	return job->reference_count == 0;
}

/* A toy check, run in a real worker: content with BAD fails, with CRASH kills its worker, with SLOW takes a second,
 * with AGES 20, an empty file fails. */
static int toy_check(const struct check_job *job, struct check_input *input, struct check_result *result) {
	static char content[4096];
	size_t size = 0;
	ssize_t got;
	while (size < sizeof content - 1 &&
	        (got = input->read(input->context, content + size, sizeof content - 1 - size)) > 0)
		size += (size_t)got;
	content[size] = '\0';
	char rest[4096];
	while ((got = input->read(input->context, rest, sizeof rest)) > 0)
		size += (size_t)got;
	result->bytes_read = size;
	if (strstr(content, "CRASH"))
		abort();
	if (strstr(content, "SLOW"))
		spin(1);
	if (strstr(content, "AGES"))
		spin(20);
	if (size == 0)
		return check_result_say(result, OUTCOME_FAILED, "empty");
	if (strstr(content, "BAD"))
		return check_result_say(result, OUTCOME_FAILED, "it says BAD");
	if (!is_in_reference(job, content))
		return check_result_say(result, OUTCOME_FAILED, "it is in no reference");
	result->outcome = OUTCOME_PASSED;
	return check_result_add_rule(result, "RowCount > 0", OUTCOME_PASSED) ? 0 : -ENOMEM;
}

const struct actor somebody = {.uid = 1000, .gid = 1000, .pid = 42, .exe = "test"};
static const struct bytes passphrase = {.data = (const uint8_t *)"pass", .size = 4};

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
	(void)st, (void)flag, (void)ftw;
	return remove(path);
}

void world_open(struct world *w) {
	struct store_secret secret = {.kind = STORE_PASSPHRASE, .bytes = passphrase};
	struct store_options options = {.arrived = gate_recovered, .reserve_bytes = 1 << 20};
	struct spawner_options spawner = {.check = w->check ? w->check : toy_check};
	assert_int_equal(spawner_start(&spawner, &w->spawner), 0);
	if (store_open(w->vault, &secret, &options, &w->store) < 0)
		fail_msg("store_open: %s", fault_message());
	assert_int_equal(gate_start(w->store, w->spawner, &w->options, &w->gate), 0);
}

void world_close(struct world *w) {
	gate_stop(w->gate);
	assert_int_equal(store_close(w->store), 0);
	spawner_stop(w->spawner);
	w->gate = NULL;
}

void world_crash(struct world *w) {
	gate_stop(w->gate);
	store_abandon(w->store);
	spawner_stop(w->spawner);
	world_open(w);
}

int world_set_up(void **state) {
	struct world *w = calloc(1, sizeof *w);
	char recovery[STORE_RECOVERY_TEXT_BYTES];
	struct store_init_options options = {.argon_memory = 1 << 20, .argon_passes = 1, .without_recovery = true};
	snprintf(w->directory, sizeof w->directory, "/tmp/assayfs-gate-XXXXXX");
	assert_non_null(mkdtemp(w->directory));
	snprintf(w->vault, sizeof w->vault, "%s/vault", w->directory);
	if (store_init(w->vault, passphrase, &options, recovery) < 0)
		fail_msg("store_init: %s", fault_message());
	world_open(w);
	*state = w;
	return 0;
}

int world_tear_down(void **state) {
	struct world *w = *state;
	if (w->gate)
		world_close(w);
	nftw(w->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(w);
	return 0;
}

const char split_yaml[] = "version: 1\n"
                          "datasets:\n"
                          "  - name: animals\n"
                          "    match: \"animals/*\"\n"
                          "    rules: animals.dqdl\n"
                          "    on_failure: split\n"
                          "    settle: 0s\n";

const char policy_yaml[] = "version: 1\n"
                           "datasets:\n"
                           "  - name: animals\n"
                           "    match: \"animals/*.csv\"\n"
                           "    rules: animals.dqdl\n"
                           "    settle: 0s\n"
                           "  - name: later\n"
                           "    match: \"later/*.csv\"\n"
                           "    rules: animals.dqdl\n"
                           "    complete: {marker: \"*.done\"}\n"
                           "    settle: 0s\n";

uint8_t *world_archive(const char *yaml, const char *rules, size_t *ret_size) {
	_cleanup_(policy_bundle_freep) PolicyBundle *bundle = NULL;
	uint8_t *archive = NULL;
	assert_int_equal(policy_bundle_new(&bundle), 0);
	assert_int_equal(policy_bundle_put(bundle, "policy.yaml", bytes_of_string(yaml)), 0);
	assert_int_equal(policy_bundle_put(bundle, "animals.dqdl", bytes_of_string(rules)), 0);
	assert_int_equal(policy_bundle_serialise(bundle, &archive, ret_size), 0);
	return archive;
}

void apply(struct world *w, const char *yaml) {
	apply_rules(w, yaml, "Rules = [ RowCount > 0 ]\n");
}

void apply_rules(struct world *w, const char *yaml, const char *rules) {
	size_t size = 0;
	uint64_t number;
	bool changed;
	uint8_t *archive = world_archive(yaml, rules, &size);
	if (gate_apply(w->gate, bytes_of(archive, size), &somebody, "tester", NULL, &number, &changed) < 0)
		fail_msg("gate_apply: %s", fault_message());
	free(archive);
}

void world_split_by_rules(struct world *w, const char *rules) {
	world_close(w);
	w->check = check_table;
	world_open(w);
	apply_rules(w, split_yaml, rules);
}

/* ---- what a mount would do ---- */

struct arriving {
	Gate *gate;
	const char *path;
	const struct actor *actor;
};

static int arrive(Meta *m, const struct version *sealed, void *arg) {
	struct arriving *a = arg;
	return gate_arrived(a->gate, m, a->path, sealed->node, sealed->id, a->actor);
}

uint64_t resolve(struct world *w, const char *path, struct node *ret_node) {
	Meta *m = store_meta(w->store);
	meta_begin(m);
	int rc = meta_end(m, tree_resolve(m, bytes_of_string(path), ret_node));
	assert_true(rc == 0 || rc == -ENOENT);
	return rc == 0 ? ret_node->id : 0;
}

uint64_t make_name(struct world *w, const char *path) {
	struct node node, parent;
	char folder[256];
	snprintf(folder, sizeof folder, "%s", path);
	*strrchr(folder, '/') = '\0';
	Meta *m = store_meta(w->store);
	if (!resolve(w, folder, &parent)) {
		char *name = strrchr(folder, '/');
		*name++ = '\0';
		resolve(w, folder, &parent);
		meta_begin(m);
		struct node directory = {.mode = S_IFDIR | 0755};
		assert_int_equal(meta_end(m, tree_create(m, parent.id, bytes_of_string(name), &directory,
		                                     (struct bytes){0}, &parent)),
		        0);
	}
	if (resolve(w, path, &node))
		return node.id;
	meta_begin(m);
	struct node file = {.mode = S_IFREG | 0644, .uid = 1000, .gid = 1000};
	assert_int_equal(meta_end(m, tree_create(m, parent.id, bytes_of_string(strrchr(path, '/') + 1), &file,
	                                     (struct bytes){0}, &node)),
	        0);
	return node.id;
}

void put(struct world *w, const char *path, const char *text) {
	put_as(w, path, text, &somebody);
}

void put_as(struct world *w, const char *path, const char *text, const struct actor *actor) {
	_cleanup_(content_closep) Content *content = NULL;
	struct arriving a = {.gate = w->gate, .path = path, .actor = actor};
	struct version sealed;
	assert_int_equal(content_open(w->store, make_name(w, path), 0, &content), 0);
	assert_int_equal(content_truncate(content, 0), 0);
	assert_int_equal(content_touch(content), 0);
	assert_int_equal(content_write(content, 0, bytes_of_string(text)), 0);
	assert_int_equal(content_seal(content, ORIGIN_WRITE, 0, NULL, arrive, &a, &sealed), 0);
}

void shows(struct world *w, const char *path, const char *expected) {
	_cleanup_(content_closep) Content *content = NULL;
	struct node node;
	char text[4096] = "";
	size_t got = 0;
	if (!resolve(w, path, &node)) {
		if (expected)
			fail_msg("%s is not there", path);
		return;
	}
	if (!expected)
		fail_msg("%s is there", path);
	assert_int_equal(content_open(w->store, node.id, node.version, &content), 0);
	assert_int_equal(content_read(content, 0, (uint8_t *)text, sizeof text - 1, &got), 0);
	assert_string_equal(text, expected);
}

enum outcome outcome_of(struct world *w, const char *path) {
	struct node node;
	enum outcome outcome;
	assert_true(resolve(w, path, &node) != 0);
	Meta *m = store_meta(w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, gate_outcome(m, path, &node, &outcome, NULL)), 0);
	return outcome;
}

static int print_record(void *arg, const struct audit_entry *entry) {
	(void)arg;
	print_message("%.*s\n", (int)entry->line_length, entry->line);
	return 0;
}

void settle(struct world *w) {
	if (gate_wait_idle(w->gate, 30) < 0)
		fail_msg("%s", fault_message());
	if (!getenv("ASSAYFS_TEST_VERBOSE"))
		return;
	struct audit_filter all = {0};
	Meta *m = store_meta(w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, audit_query(m, &all, print_record, NULL)), 0);
}

static int count_one(void *arg, const struct version *version) {
	(void)version;
	++*(unsigned *)arg;
	return 0;
}

unsigned versions_of(struct world *w, const char *path) {
	struct node node;
	unsigned count = 0;
	assert_true(resolve(w, path, &node) != 0);
	Meta *m = store_meta(w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, version_list(m, node.id, count_one, &count)), 0);
	return count;
}

static int count_row(void *arg, const struct quarantine_row *row) {
	(void)row;
	++*(unsigned *)arg;
	return 0;
}

unsigned quarantined(struct world *w) {
	unsigned count = 0;
	Meta *m = store_meta(w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, quarantine_list(m, 0, true, count_row, &count)), 0);
	return count;
}

int staged(struct world *w, const char *below, const char *text) {
	_cleanup_(content_closep) Content *content = NULL;
	struct node attributes = {.mode = S_IFREG | 0640, .zone = ZONE_STAGING}, node;
	Meta *m = store_meta(w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, tree_create_orphan(m, &attributes, &node)), 0);
	assert_int_equal(content_open(w->store, node.id, 0, &content), 0);
	assert_int_equal(content_touch(content), 0);
	assert_int_equal(content_write(content, 0, bytes_of_string(text)), 0);
	return gate_judge_staged(w->gate, content, below, &somebody);
}

void *judge_slowly(void *arg) {
	struct slow *slow = arg;
	slow->rc = gate_judge_version(slow->w->gate, slow->node, slow->version, slow->below, &somebody,
	        slow->from_parent, slow->from_name ? bytes_of_string(slow->from_name) : (struct bytes){0});
	return NULL;
}

void open_with(struct world *w, const char *yaml, const char *rules) {
	world_close(w);
	w->check = check_table;
	world_open(w);
	apply_rules(w, yaml, rules);
}

static int take_verdict(void *arg, const struct verdict_row *row) {
	struct verdict **to = arg;
	verdict_free(*to);
	assert_int_equal(verdict_from_json(row->body, to), 0);
	return 0;
}

struct verdict *verdict_on(struct world *w, const char *path) {
	struct node node;
	struct verdict *verdict = NULL;
	Meta *m = store_meta(w->store);
	assert_int_not_equal(resolve(w, path, &node), 0);
	meta_begin(m);
	assert_int_equal(meta_end(m, verdict_latest_for_version(m, node.version, take_verdict, &verdict)), 0);
	return verdict;
}
