/*
 * Everything at once: arrivals, direct writes, queries, restores and policies from several threads, and a gate that
 * stops amid it. Run by ThreadSanitizer (scripts/test --threads) it looks for races; by itself, for what they would do.
 */
#include "tests/policy/gate_world.h"

#include <stdatomic.h>

enum { ROUNDS = 25, WRITERS = 3 };

struct busy {
	struct world *w;
	unsigned number;
	unsigned char seed;
	atomic_bool *ended;
	atomic_uint *faults; /* what must not be was seen */
};

static const char *const contents[] = {"good", "BAD", "", "good again"};

static void *arrive_often(void *arg) {
	const struct busy *b = arg;
	char path[64];
	for (unsigned i = 0; i < ROUNDS; i++) {
		/* each writer's own file, and one that all write in turn */
		snprintf(path, sizeof path, "Landing/animals/w%u-%u.csv", b->number, i % 3);
		put(b->w, path, contents[(i + b->seed) % 4]);
	}
	return NULL;
}

static void *write_directly(void *arg) {
	const struct busy *b = arg;
	for (unsigned i = 0; i < ROUNDS; i++) {
		const char *text = contents[(i + b->seed) % 4];
		int rc = staged(b->w, "animals/direct.csv", text);
		bool is_bad = text[0] == '\0' || text[0] == 'B';
		/* a policy that changes all the time may be one too many */
		if (rc != (is_bad ? -EPERM : 0) && rc != -EAGAIN)
			atomic_fetch_add(b->faults, 1);
	}
	return NULL;
}

static void *restore_often(void *arg) {
	const struct busy *b = arg;
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t ordinal;
		int rc = gate_restore(b->w->gate, "Landing/animals/first.csv", 1, &somebody, NULL, NULL, &ordinal);
		if (rc < 0 && rc != -EBUSY)
			atomic_fetch_add(b->faults, 1);
	}
	return NULL;
}

static void *change_policies(void *arg) {
	const struct busy *b = arg;
	char yaml[1024];
	for (unsigned i = 0; i < ROUNDS / 5; i++) {
		snprintf(yaml, sizeof yaml, "%s  - {name: more%u, match: \"more%u/*.csv\", rules: animals.dqdl}\n",
		        policy_yaml, i, i);
		apply(b->w, yaml);
	}
	return NULL;
}

/* What Trusted shows is good, whatever goes on. */
static bool shows_only_good(struct world *w, const char *path) {
	_cleanup_(content_closep) Content *content = NULL;
	struct node node = {0};
	char text[32] = "";
	size_t got = 0;
	Meta *m = store_meta(w->store);
	meta_begin(m);
	int rc = meta_end(m, tree_resolve(m, bytes_of_string(path), &node));
	if (rc < 0)
		return rc == -ENOENT;
	rc = content_open(w->store, node.id, node.version, &content);
	if (rc >= 0)
		rc = content_read(content, 0, (uint8_t *)text, sizeof text - 1, &got);
	return rc >= 0 && strncmp(text, "good", 4) == 0;
}

static void *ask_all_the_time(void *arg) {
	const struct busy *b = arg;
	static const char *const paths[] = {"Trusted/animals/w0-0.csv", "Trusted/animals/direct.csv"};
	Meta *m = store_meta(b->w->store);
	while (!atomic_load(b->ended)) {
		enum outcome outcome;
		struct node node;
		struct gate_policy *policy = gate_policy(b->w->gate);
		bool governs = policy_dataset_for(policy->policy, "animals/x.csv") != NULL;
		gate_policy_done(policy);
		meta_begin(m);
		int rc = gate_newer(m, "animals/w1-1.csv", &outcome);
		if (rc >= 0 && tree_resolve(m, bytes_of_string("Landing/animals/w0-0.csv"), &node) == 0)
			rc = gate_outcome(m, "Landing/animals/w0-0.csv", &node, &outcome, NULL);
		rc = meta_end(m, rc);
		bool is_governed = gate_name_of(b->w->gate, "animals/x.csv") == GATE_GOVERNED;
		bool is_ignored = gate_ignores(b->w->gate, "animals/x.csv~");
		if (rc < 0 || !governs || !is_governed || !is_ignored || !shows_only_good(b->w, paths[0]) ||
		        !shows_only_good(b->w, paths[1]))
			atomic_fetch_add(b->faults, 1);
	}
	return NULL;
}

static void everything_at_once_ends_as_if_one_after_the_other(void **state) {
	struct world *w = *state;
	atomic_bool ended = false;
	atomic_uint faults = 0;
	pthread_t threads[WRITERS + 3], asker;
	struct busy all[WRITERS + 3];
	apply(w, policy_yaml);
	for (unsigned i = 0; i < WRITERS; i++) { /* names first: the test's own making of them is for one thread */
		char path[64];
		for (unsigned k = 0; k < 3; k++) {
			snprintf(path, sizeof path, "Landing/animals/w%u-%u.csv", i, k);
			make_name(w, path);
		}
	}
	put(w, "Landing/animals/first.csv", "good");
	void *(*const work[])(void *) = {
	        arrive_often, arrive_often, arrive_often, write_directly, restore_often, change_policies};
	for (unsigned i = 0; i < WRITERS + 3; i++) {
		all[i] = (struct busy){
		        .w = w, .number = i, .seed = (unsigned char)i, .ended = &ended, .faults = &faults};
		assert_int_equal(pthread_create(&threads[i], NULL, work[i], &all[i]), 0);
	}
	assert_int_equal(pthread_create(&asker, NULL, ask_all_the_time, &all[0]), 0);
	for (unsigned i = 0; i < WRITERS + 3; i++)
		pthread_join(threads[i], NULL);
	settle(w);
	atomic_store(&ended, true);
	pthread_join(asker, NULL);
	assert_int_equal(atomic_load(&faults), 0);
	put(w, "Landing/animals/w0-0.csv", "last");
	settle(w);
	shows(w, "Trusted/animals/w0-0.csv", "last");
}

static void a_gate_stops_amid_its_work_and_the_next_goes_on(void **state) {
	struct world *w = *state;
	char path[64];
	apply(w, policy_yaml);
	for (unsigned turn = 0; turn < 3; turn++) {
		for (unsigned i = 0; i < 12; i++) {
			snprintf(path, sizeof path, "Landing/animals/t%u-%u.csv", turn, i);
			put(w, path, i % 4 == 3 ? "BAD" : "good");
		}
		world_close(w); /* running ones come to their end, queued ones wait for the next */
		world_open(w);
	}
	settle(w);
	for (unsigned i = 0; i < 36; i++) {
		snprintf(path, sizeof path, "Trusted/animals/t%u-%u.csv", i / 12, i % 12);
		shows(w, path, i % 4 == 3 ? NULL : "good");
	}
	assert_int_equal(quarantined(w), 9);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        WORLD(everything_at_once_ends_as_if_one_after_the_other),
	        WORLD(a_gate_stops_amid_its_work_and_the_next_goes_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
