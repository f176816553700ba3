/* What is closed in Landing: to Raw, to a verdict, to Trusted; and the policy that it is judged under. */
#include "backend/acl.h"
#include "tests/policy/gate_world.h"

static void a_good_arrival_reaches_raw_and_trusted(void **state) {
	struct world *w = *state;
	apply(w, policy_yaml);
	put(w, "Landing/animals/a.csv", "good");
	settle(w);
	shows(w, "Raw/animals/a.csv", "good");
	shows(w, "Trusted/animals/a.csv", "good");
	assert_int_equal(outcome_of(w, "Landing/animals/a.csv"), OUTCOME_PASSED);
	assert_int_equal(outcome_of(w, "Raw/animals/a.csv"), OUTCOME_PASSED);
	assert_int_equal(outcome_of(w, "Trusted/animals/a.csv"), OUTCOME_PASSED);
}

/* user::rw- user:5:--- group::--- mask::rw- other::r-- shows as 664, which would let a copy be read by all. */
static void an_acl_is_not_widened_by_being_captured_and_published(void **state) {
	struct world *w = *state;
	const struct acl acl = {
	        5, {{ACL_TAG_USER_OBJ, 6, UINT32_MAX}, {ACL_TAG_USER, 0, 5}, {ACL_TAG_GROUP_OBJ, 0, UINT32_MAX},
	                   {ACL_TAG_MASK, 6, UINT32_MAX}, {ACL_TAG_OTHER, 4, UINT32_MAX}}};
	struct node node, values = {.mode = 0664};
	apply(w, policy_yaml);
	uint64_t id = make_name(w, "Landing/animals/a.csv");
	Meta *m = store_meta(w->store);
	meta_begin(m);
	int rc = tree_setattr(m, id, &values, TREE_MODE, &node);
	if (rc == 0)
		rc = acl_set(m, id, ACL_TYPE_ACCESS, &acl);
	assert_int_equal(meta_end(m, rc), 0);
	put(w, "Landing/animals/a.csv", "good");
	settle(w);
	assert_int_not_equal(resolve(w, "Raw/animals/a.csv", &node), 0);
	assert_int_equal(node.mode, S_IFREG | 0400);
	assert_int_not_equal(resolve(w, "Trusted/animals/a.csv", &node), 0);
	assert_int_equal(node.mode, S_IFREG | 0600);
	assert_int_equal(node.xattrs, 0);
}

static void a_bad_arrival_is_kept_in_raw_and_shown_nowhere(void **state) {
	struct world *w = *state;
	apply(w, policy_yaml);
	put(w, "Landing/animals/a.csv", "BAD");
	settle(w);
	shows(w, "Raw/animals/a.csv", "BAD");
	shows(w, "Trusted/animals/a.csv", NULL);
	assert_int_equal(outcome_of(w, "Landing/animals/a.csv"), OUTCOME_FAILED);
	assert_int_equal(quarantined(w), 1);
}

static void a_bad_second_version_leaves_the_good_one(void **state) {
	struct world *w = *state;
	enum outcome newer;
	apply(w, policy_yaml);
	put(w, "Landing/animals/a.csv", "good");
	settle(w);
	put(w, "Landing/animals/a.csv", "BAD");
	settle(w);
	shows(w, "Trusted/animals/a.csv", "good");
	Meta *m = store_meta(w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, gate_newer(m, "animals/a.csv", &newer)), 0);
	assert_int_equal(newer, OUTCOME_FAILED);
	put(w, "Landing/animals/a.csv", "better");
	settle(w);
	shows(w, "Trusted/animals/a.csv", "better");
	assert_int_equal(versions_of(w, "Trusted/animals/a.csv"), 2);
	assert_int_equal(versions_of(w, "Raw/animals/a.csv"), 3);
}

static void the_same_content_again_is_a_delivery(void **state) {
	struct world *w = *state;
	apply(w, policy_yaml);
	put(w, "Landing/animals/a.csv", "good");
	settle(w);
	put(w, "Landing/animals/a.csv", "good");
	settle(w);
	assert_int_equal(versions_of(w, "Raw/animals/a.csv"), 1);
	assert_int_equal(versions_of(w, "Trusted/animals/a.csv"), 1);
	assert_int_equal(outcome_of(w, "Landing/animals/a.csv"), OUTCOME_PASSED);
}

static void what_no_dataset_governs_stays_in_landing(void **state) {
	struct world *w = *state;
	apply(w, policy_yaml);
	put(w, "Landing/other/a.csv", "good");
	put(w, "Landing/animals/.a.csv.swp", "good"); /* and what the ignore list names */
	settle(w);
	shows(w, "Raw/other/a.csv", NULL);
	assert_int_equal(outcome_of(w, "Landing/other/a.csv"), OUTCOME_NONE);
	assert_int_equal(outcome_of(w, "Landing/animals/.a.csv.swp"), OUTCOME_NONE);
}

static void link_name(struct world *w, const char *path, const char *folder, const char *name) {
	struct node node, parent;
	Meta *m = store_meta(w->store);
	assert_true(resolve(w, path, &node) != 0 && resolve(w, folder, &parent) != 0);
	meta_begin(m);
	assert_int_equal(meta_end(m, tree_link(m, node.id, parent.id, bytes_of_string(name), &node)), 0);
}

static void write_everywhere(struct world *w, const char *path, const char *text) {
	_cleanup_(content_closep) Content *content = NULL;
	struct version sealed;
	assert_int_equal(content_open(w->store, make_name(w, path), 0, &content), 0);
	assert_int_equal(content_truncate(content, 0), 0);
	assert_int_equal(content_write(content, 0, bytes_of_string(text)), 0);
	assert_int_equal(content_seal(content, ORIGIN_WRITE, 0, NULL, NULL, NULL, &sealed), 0);
	Meta *m = store_meta(w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, gate_arrived_everywhere(w->gate, m, sealed.node, sealed.id, &somebody)), 0);
}

static void a_file_arrives_under_each_governed_name_that_it_has(void **state) {
	struct world *w = *state;
	apply(w, policy_yaml);
	put(w, "Landing/other/first.csv", "x"); /* governed by nothing, and the name that stands first */
	make_name(w, "Landing/animals/any.csv");
	make_name(w, "Landing/later/any.csv");
	link_name(w, "Landing/other/first.csv", "Landing/animals", "a.csv");
	link_name(w, "Landing/other/first.csv", "Landing/animals", "b.csv");
	link_name(w, "Landing/other/first.csv", "Landing/later", "c.csv");
	write_everywhere(w, "Landing/other/first.csv", "good");
	settle(w);
	shows(w, "Trusted/animals/a.csv", "good");
	shows(w, "Trusted/animals/b.csv", "good");
	shows(w, "Trusted/other/first.csv", NULL);
	shows(w, "Trusted/later/c.csv", NULL);
	assert_int_equal(outcome_of(w, "Landing/animals/a.csv"), OUTCOME_PASSED);
	assert_int_equal(
	        outcome_of(w, "Landing/later/c.csv"), OUTCOME_ERROR); /* its dataset asks for what is not built */
	assert_int_equal(outcome_of(w, "Landing/other/first.csv"), OUTCOME_NONE);
	write_everywhere(w, "Landing/animals/a.csv", "BAD");
	settle(w);
	assert_int_equal(outcome_of(w, "Landing/animals/b.csv"), OUTCOME_FAILED);
	shows(w, "Trusted/animals/b.csv", "good");
	assert_int_equal(quarantined(w), 4); /* c.csv twice, and both that were good */
}

static void without_a_policy_nothing_passes(void **state) {
	struct world *w = *state;
	put(w, "Landing/animals/a.csv", "good");
	settle(w);
	shows(w, "Trusted/animals/a.csv", NULL);
	apply(w, policy_yaml); /* from here on it is governed, and what waited is judged */
	settle(w);
	shows(w, "Trusted/animals/a.csv", "good");
}

static void a_check_that_crashes_is_an_error_and_no_pass(void **state) {
	struct world *w = *state;
	apply(w, policy_yaml);
	put(w, "Landing/animals/a.csv", "CRASH");
	settle(w);
	shows(w, "Trusted/animals/a.csv", NULL);
	shows(w, "Raw/animals/a.csv", "CRASH");
	assert_int_equal(outcome_of(w, "Landing/animals/a.csv"), OUTCOME_ERROR);
}

static void what_the_engine_can_not_do_yet_is_an_error(void **state) {
	struct world *w = *state;
	apply(w, policy_yaml);
	put(w, "Landing/later/a.csv", "good");
	settle(w);
	shows(w, "Trusted/later/a.csv", NULL);
	assert_int_equal(outcome_of(w, "Landing/later/a.csv"), OUTCOME_ERROR);
}

static void a_queued_job_survives_a_crash(void **state) {
	struct world *w = *state;
	apply(w, "version: 1\n"
	         "datasets:\n"
	         "  - {name: animals, match: \"animals/*.csv\", rules: animals.dqdl, settle: 60m}\n");
	put(w, "Landing/animals/a.csv", "good");
	assert_int_equal(outcome_of(w, "Landing/animals/a.csv"), OUTCOME_PENDING);
	assert_int_equal(store_commit_wait(w->store), 0);
	world_crash(w);
	assert_int_equal(outcome_of(w, "Landing/animals/a.csv"), OUTCOME_PENDING);
	apply(w, policy_yaml); /* its arrival anew, without the hour's wait, takes the place of the one that was queued
	                        */
	settle(w);
	shows(w, "Trusted/animals/a.csv", "good");
}

static void a_policy_that_does_not_parse_changes_nothing(void **state) {
	struct world *w = *state;
	_cleanup_(policy_bundle_freep) PolicyBundle *bundle = NULL;
	uint8_t *archive;
	size_t size;
	uint64_t number;
	bool changed;
	apply(w, policy_yaml);
	assert_int_equal(policy_bundle_new(&bundle), 0);
	assert_int_equal(policy_bundle_put(bundle, "policy.yaml", bytes_of_string("version: 1\ndatasetz: []\n")), 0);
	assert_int_equal(policy_bundle_serialise(bundle, &archive, &size), 0);
	assert_int_equal(
	        gate_apply(w->gate, bytes_of(archive, size), &somebody, "tester", NULL, &number, &changed), -EINVAL);
	assert_non_null(strstr(fault_message(), "policy.yaml:2:"));
	free(archive);
	put(w, "Landing/animals/a.csv", "good");
	settle(w);
	shows(w, "Trusted/animals/a.csv", "good");
}

static int take_policy(void *arg, const struct verdict_row *row) {
	*(uint64_t *)arg = row->policy;
	return 0;
}

static void an_arrival_is_judged_anew_under_a_policy_that_came_meanwhile(void **state) {
	struct world *w = *state;
	char yaml[1024];
	snprintf(yaml, sizeof yaml, "%s  - {name: more, match: \"more/*.csv\", rules: animals.dqdl}\n", policy_yaml);
	apply(w, policy_yaml);
	put(w, "Landing/animals/a.csv", "SLOW");
	nanosleep(&(struct timespec){.tv_nsec = 300 * 1000 * 1000}, NULL);
	apply(w, yaml);
	settle(w);
	shows(w, "Trusted/animals/a.csv", "SLOW");
	struct node node;
	struct version version;
	uint64_t policy = 0;
	resolve(w, "Trusted/animals/a.csv", &node);
	Meta *m = store_meta(w->store);
	meta_begin(m);
	int rc = version_get(m, node.version, &version);
	if (rc == 0)
		rc = verdict_get(m, version.verdict, take_policy, &policy);
	assert_int_equal(meta_end(m, rc), 0);
	assert_int_equal(policy, 2);
}

/* What `policy apply` looks at before it sends, another client of the control socket need not have. */
static void rules_that_do_not_parse_change_nothing(void **state) {
	struct world *w = *state;
	static const struct {
		const char *rules, *words;
	} wrong[] = {{"Rules = [\n  RowCount > average(last(3))\n]\n", "animals.dqdl:2:3"},
	        {"Rules = [ ColumnValues \"a\" matches \"(\" ]\n", "does not compile"},
	        {"Rules = [\n  RowCount >\n]\n", "animals.dqdl:3:1"}, {"Rules = [ ]\n", "animals.dqdl"},
	        {"", "animals.dqdl"}, {"Rules = [ RowCount > 0 ", "animals.dqdl:1:"}};
	apply(w, policy_yaml);
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		size_t size;
		uint64_t number = 0;
		bool changed = false;
		uint8_t *archive = world_archive(policy_yaml, wrong[i].rules, &size);
		int rc = gate_apply(w->gate, bytes_of(archive, size), &somebody, "tester", NULL, &number, &changed);
		free(archive);
		assert_int_equal(rc, -EINVAL);
		assert_false(changed);
		if (!strstr(fault_message(), wrong[i].words))
			fail_msg("%s does not name %s", fault_message(), wrong[i].words);
	}
	struct gate_policy *policy = gate_policy(w->gate);
	assert_int_equal(policy->number, 1);
	gate_policy_done(policy);
	put(w, "Landing/animals/a.csv", "good");
	settle(w);
	shows(w, "Trusted/animals/a.csv", "good");
}

static int apply_staying(struct world *w, const char *yaml, const struct policy_actor *stays) {
	size_t size;
	uint64_t number;
	bool changed = false;
	uint8_t *archive = world_archive(yaml, "Rules = [ RowCount > 0 ]\n", &size);
	int rc = gate_apply(w->gate, bytes_of(archive, size), &somebody, "tester", stays, &number, &changed);
	free(archive);
	assert_int_equal(changed, rc == 0);
	return rc;
}

/* Who applies a policy without himself among its stewards could not take it back. */
static void nobody_stops_being_steward_unseen(void **state) {
	struct world *w = *state;
	char yaml[1024];
	const struct policy_actor root = {.uid = 0, .is_mounter = true};
	snprintf(yaml, sizeof yaml, "%sroles: {steward: {users: [nobody]}}\n", policy_yaml);
	apply(w, policy_yaml);
	assert_int_equal(apply_staying(w, yaml, &root), -EPERM);
	assert_non_null(strstr(fault_message(), "--hand-over"));
	assert_int_equal(apply_staying(w, yaml, NULL), 0);
	snprintf(yaml, sizeof yaml, "%sroles: {steward: {users: [nobody, root]}}\n", policy_yaml);
	assert_int_equal(apply_staying(w, yaml, &root), 0);
}

static void a_workflow_by_hand_judges_raw_again(void **state) {
	struct world *w = *state;
	struct run run;
	char yaml[1024];
	snprintf(yaml, sizeof yaml,
	        "%sworkflows:\n  - {name: again, dataset: animals, from: Raw, to: Trusted, on: demand}\n", policy_yaml);
	apply(w, policy_yaml);
	put(w, "Landing/animals/a.csv", "good");
	settle(w);
	apply(w, yaml);
	assert_int_equal(gate_run(w->gate, "again", &somebody, &run), 0);
	assert_int_equal(run.total, 1);
	settle(w);
	shows(w, "Trusted/animals/a.csv", "good");
	assert_int_equal(versions_of(w, "Trusted/animals/a.csv"), 1);
	assert_int_equal(gate_run(w->gate, "nope", &somebody, &run), -ENOENT);
	assert_non_null(strstr(fault_message(), "again"));
}

static void a_job_that_can_not_be_looked_at_holds_up_no_other(void **state) {
	struct world *w = *state;
	char path[400] = "Landing/";
	uint64_t id;
	struct node node = {0};
	memset(path + strlen(path), 'n', 300); /* no name is that long: stands for a row that can't be read */
	apply(w, policy_yaml);
	struct job job = {.kind = JOB_ARRIVE, .path = bytes_of_string(path), .dataset = "animals", .due_ns = 1};
	Meta *m = store_meta(w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, job_put(m, &job, &id, NULL, NULL)), 0);
	put(w, "Landing/animals/a.csv", "good");
	for (int turn = 0; turn < 500 && !resolve(w, "Trusted/animals/a.csv", &node); turn++)
		nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
	shows(w, "Trusted/animals/a.csv", "good");
}

static unsigned shown_of(struct world *w, unsigned count) {
	unsigned shown = 0;
	for (unsigned i = 0; i < count; i++) {
		char path[64];
		struct node node;
		snprintf(path, sizeof path, "Trusted/animals/many%u.csv", i);
		shown += resolve(w, path, &node) != 0;
	}
	return shown;
}

static void a_users_many_slow_files_do_not_hold_up_anothers_one(void **state) {
	struct world *w = *state;
	static const struct actor another = {.uid = 2000, .gid = 2000, .pid = 43, .exe = "test"};
	enum { MANY = 24 };
	char path[64], text[64];
	struct node node;
	apply(w, policy_yaml);
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(path, sizeof path, "Landing/animals/many%u.csv", i);
		snprintf(text, sizeof text, "SLOW %u", i);
		put(w, path, text);
	}
	put_as(w, "Landing/animals/one.csv", "good", &another);
	while (!resolve(w, "Trusted/animals/one.csv", &node))
		nanosleep(&(struct timespec){.tv_nsec = 5 * 1000 * 1000}, NULL);
	unsigned before = shown_of(w, MANY);
	print_message("%u of the other's %u came first\n", before, MANY);
	assert_true(before <= 8); /* those that ran when it came; in the order they came it would be all */
	settle(w);
	assert_int_equal(shown_of(w, MANY), MANY);
}

static void *apply_in_a_small_thread(void *arg) {
	apply(arg, policy_yaml);
	return NULL;
}

static void directories_may_lie_deeper_than_a_stack(void **state) {
	struct world *w = *state;
	struct node node;
	Meta *m = store_meta(w->store);
	resolve(w, "Landing", &node);
	meta_begin(m);
	for (int depth = 0; depth < 1900; depth++) {
		struct node directory = {.mode = S_IFDIR | 0755};
		assert_int_equal(
		        tree_create(m, node.id, bytes_of_string("d"), &directory, (struct bytes){0}, &node), 0);
	}
	assert_int_equal(meta_end(m, 0), 0);
	pthread_attr_t attributes;
	pthread_t thread;
	pthread_attr_init(&attributes);
	assert_int_equal(pthread_attr_setstacksize(&attributes, 1 << 20), 0); /* as the control socket's threads have */
	assert_int_equal(pthread_create(&thread, &attributes, apply_in_a_small_thread, w), 0);
	pthread_attr_destroy(&attributes);
	pthread_join(thread, NULL);
	put(w, "Landing/animals/a.csv", "good");
	settle(w);
	shows(w, "Trusted/animals/a.csv", "good");
}

/* ---- what would stall everybody ---- */

static void put_sparse(struct world *w, const char *path, uint64_t data_at, uint64_t size) {
	_cleanup_(content_closep) Content *content = NULL;
	struct version sealed;
	assert_int_equal(content_open(w->store, make_name(w, path), 0, &content), 0);
	assert_int_equal(content_truncate(content, size), 0);
	if (data_at > 0)
		assert_int_equal(content_write(content, data_at, bytes_of("data", 4)), 0);
	assert_int_equal(content_seal(content, ORIGIN_WRITE, 0, NULL, NULL, NULL, &sealed), 0);
	Meta *m = store_meta(w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, gate_arrived(w->gate, m, path, sealed.node, sealed.id, &somebody)), 0);
}

static void what_is_nearly_all_holes_is_refused_unread(void **state) {
	struct world *w = *state;
	apply(w, policy_yaml);
	put_sparse(w, "Landing/animals/holes.csv", 0, GATE_FILE_BYTES_MAX);
	put_sparse(w, "Landing/animals/long.csv", 4096, INT64_MAX);
	settle(w);
	assert_int_equal(outcome_of(w, "Landing/animals/holes.csv"), OUTCOME_ERROR);
	assert_int_equal(outcome_of(w, "Landing/animals/long.csv"), OUTCOME_ERROR);
	shows(w, "Raw/animals/holes.csv", NULL);
	shows(w, "Raw/animals/long.csv", NULL);
	assert_int_equal(quarantined(w), 2);
	put(w, "Landing/animals/long.csv", "good"); /* and nothing of it sticks to the name */
	settle(w);
	shows(w, "Trusted/animals/long.csv", "good");
}

static void holes_stay_holes_on_their_way(void **state) {
	struct world *w = *state;
	static const char *const paths[] = {"Landing/animals/a.csv", "Raw/animals/a.csv", "Trusted/animals/a.csv"};
	const uint64_t size = GATE_HOLE_BYTES_MAX / 2, data_at = size / 2;
	apply(w, policy_yaml);
	put_sparse(w, paths[0], data_at, size);
	settle(w);
	for (size_t i = 0; i < 3; i++) {
		_cleanup_(content_closep) Content *content = NULL;
		struct node node;
		uint64_t start = 0, end = 0;
		char got[4] = "";
		size_t n = 0;
		assert_true(resolve(w, paths[i], &node) != 0);
		assert_int_equal(node.size, size);
		assert_int_equal(content_open(w->store, node.id, node.version, &content), 0);
		assert_int_equal(content_read(content, data_at, (uint8_t *)got, sizeof got, &n), 0);
		assert_memory_equal(got, "data", 4);
		assert_int_equal(content_next_data(content, 0, &start, &end), 0);
		assert_true(start == data_at && end - start < 65536);
		assert_int_equal(content_next_data(content, end, &start, &end), -ENXIO);
	}
}

/* Until a job runs. */
static void wait_for_running(struct world *w) {
	uint64_t queued, running = 0;
	Meta *m = store_meta(w->store);
	for (int turn = 0; running == 0; turn++) {
		assert_true(turn < 3000);
		nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
		meta_begin(m);
		assert_int_equal(meta_end(m, job_counts(m, &queued, &running)), 0);
	}
}

static void the_end_of_the_mount_waits_for_no_check(void **state) {
	struct world *w = *state;
	uint64_t queued, running;
	apply(w, policy_yaml);
	put(w, "Landing/animals/a.csv", "AGES");
	wait_for_running(w);
	gate_stop(steal_pointer(&w->gate));
	Meta *m = store_meta(w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, job_counts(m, &queued, &running)), 0);
	assert_int_equal(queued, 1); /* for the next mount */
	assert_int_equal(running, 0);
	shows(w, "Raw/animals/a.csv", NULL);
	assert_int_equal(gate_start(w->store, w->spawner, &w->options, &w->gate), 0);
	put(w, "Landing/animals/a.csv", "good");
}

static void a_name_that_is_gone_is_judged_no_further(void **state) {
	struct world *w = *state;
	struct node parent, node;
	apply(w, policy_yaml);
	put(w, "Landing/animals/a.csv", "AGES");
	wait_for_running(w);
	resolve(w, "Landing/animals", &parent);
	Meta *m = store_meta(w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, tree_unlink(m, parent.id, bytes_of_string("a.csv"), &node)), 0);
	settle(w);
	shows(w, "Raw/animals/a.csv", NULL);
	shows(w, "Trusted/animals/a.csv", NULL);
}

static void many_links_cost_a_close_one_row(void **state) {
	struct world *w = *state;
	enum { LINKS = 200 };
	char name[32], path[64];
	uint64_t queued, running;
	apply(w, policy_yaml);
	make_name(w, "Landing/animals/first.csv");
	for (int i = 0; i < LINKS; i++) {
		snprintf(name, sizeof name, "%d.csv", i);
		link_name(w, "Landing/animals/first.csv", "Landing/animals", name);
	}
	Meta *m = store_meta(w->store);
	meta_begin(m);
	uint64_t before = job_last(m);
	assert_int_equal(meta_end(m, 0), 0);
	for (int turn = 0; turn < 3; turn++)
		write_everywhere(w, "Landing/animals/first.csv", turn ? "good" : "BAD");
	meta_begin(m);
	assert_true(job_last(m) - before <= 3);
	assert_int_equal(meta_end(m, job_counts(m, &queued, &running)), 0);
	assert_int_equal(queued + running, 1);
	settle(w);
	for (int i = 0; i < LINKS; i++) {
		snprintf(path, sizeof path, "Landing/animals/%d.csv", i);
		assert_int_equal(outcome_of(w, path), OUTCOME_PASSED);
	}
}

static const char all_yaml[] = "version: 1\n"
                               "datasets: [{name: all, match: \"**\", rules: animals.dqdl, settle: 0s}]\n";

static void remove_name(struct world *w, const char *folder, const char *name, bool is_directory) {
	struct node parent, node;
	Meta *m = store_meta(w->store);
	assert_true(resolve(w, folder, &parent) != 0);
	meta_begin(m);
	int rc = is_directory ? tree_rmdir(m, parent.id, bytes_of_string(name), &node)
	                      : tree_unlink(m, parent.id, bytes_of_string(name), &node);
	assert_int_equal(meta_end(m, rc), 0);
}

/* Raw keeps what it has for good: so a file can't come where a directory is, nor below a file. It must be said, not
 * tried again and again. */
static void a_name_that_raw_has_as_something_else_gets_a_verdict(void **state) {
	struct world *w = *state;
	apply(w, all_yaml);
	put(w, "Landing/sales.csv/a.csv", "good");
	put(w, "Landing/other/a.csv", "good");
	settle(w);
	remove_name(w, "Landing/sales.csv", "a.csv", false);
	remove_name(w, "Landing", "sales.csv", true);
	remove_name(w, "Landing/other", "a.csv", false);
	put(w, "Landing/sales.csv", "good");
	make_name(w, "Landing/other/a.csv/b.csv");
	put(w, "Landing/other/a.csv/b.csv", "good");
	settle(w);
	assert_int_equal(outcome_of(w, "Landing/sales.csv"), OUTCOME_ERROR);
	assert_int_equal(outcome_of(w, "Landing/other/a.csv/b.csv"), OUTCOME_ERROR);
	assert_int_equal(quarantined(w), 2);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        WORLD(a_good_arrival_reaches_raw_and_trusted),
	        WORLD(an_acl_is_not_widened_by_being_captured_and_published),
	        WORLD(a_bad_arrival_is_kept_in_raw_and_shown_nowhere),
	        WORLD(a_bad_second_version_leaves_the_good_one),
	        WORLD(the_same_content_again_is_a_delivery),
	        WORLD(what_no_dataset_governs_stays_in_landing),
	        WORLD(a_file_arrives_under_each_governed_name_that_it_has),
	        WORLD(without_a_policy_nothing_passes),
	        WORLD(a_check_that_crashes_is_an_error_and_no_pass),
	        WORLD(what_the_engine_can_not_do_yet_is_an_error),
	        WORLD(a_queued_job_survives_a_crash),
	        WORLD(a_policy_that_does_not_parse_changes_nothing),
	        WORLD(an_arrival_is_judged_anew_under_a_policy_that_came_meanwhile),
	        WORLD(rules_that_do_not_parse_change_nothing),
	        WORLD(nobody_stops_being_steward_unseen),
	        WORLD(a_workflow_by_hand_judges_raw_again),
	        WORLD(a_job_that_can_not_be_looked_at_holds_up_no_other),
	        WORLD(a_users_many_slow_files_do_not_hold_up_anothers_one),
	        WORLD(directories_may_lie_deeper_than_a_stack),
	        WORLD(what_is_nearly_all_holes_is_refused_unread),
	        WORLD(holes_stay_holes_on_their_way),
	        WORLD(the_end_of_the_mount_waits_for_no_check),
	        WORLD(a_name_that_is_gone_is_judged_no_further),
	        WORLD(a_name_that_raw_has_as_something_else_gets_a_verdict),
	        WORLD(many_links_cost_a_close_one_row),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
