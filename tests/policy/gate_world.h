/*
 * gate_world: what the tests of the gate share: a vault of one's own with a toy check, and what a mount would do.
 *
 * The toy check runs in a real worker: content with BAD fails, with CRASH kills its worker, with SLOW takes a second,
 * with AGES 20, an empty file fails, and one that is none of its references. A call that fails ends the test that made
 * it.
 */
#pragma once

#include "policy/gate/gate.h"

#include "backend/content.h"
#include "backend/version.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

struct world {
	char directory[64], vault[96];
	Spawner *spawner;
	Store *store;
	Gate *gate;
	struct gate_options options; /* of the gate, from the next opening on */
	check_function *check;       /* NULL: the toy check; from the next opening on */
};

extern const struct actor somebody;

/* Datasets `animals` (Landing/animals/…csv) and `later` (which asks for what is not built); rules in animals.dqdl. */
extern const char policy_yaml[];
/* Dataset `animals` alone, which is split. */
extern const char split_yaml[];

/* cmocka's: *state is a struct world, opened. */
int world_set_up(void **state);
int world_tear_down(void **state);
#define WORLD(test) cmocka_unit_test_setup_teardown(test, world_set_up, world_tear_down)

void world_open(struct world *w);
void world_close(struct world *w);
/* As kill -9 would, but for what the gate's threads are at; and opens again. */
void world_crash(struct world *w);

/* The bundle of a policy.yaml with `rules` as its animals.dqdl; free it. And puts one into force with good rules. */
uint8_t *world_archive(const char *yaml, const char *rules, size_t *ret_size);
void apply(struct world *w, const char *yaml);
void apply_rules(struct world *w, const char *yaml, const char *rules);

/* Opens again with the check of tables in the place of the toy, and splits by these rules. */
void world_split_by_rules(struct world *w, const char *rules);

/* The node at the path, 0 for none. */
uint64_t resolve(struct world *w, const char *path, struct node *ret_node);
/* Gives the name (and one directory above it) a node. */
uint64_t make_name(struct world *w, const char *path);
/* Writes and closes a file of Landing, as somebody or who is given. */
void put(struct world *w, const char *path, const char *text);
void put_as(struct world *w, const char *path, const char *text, const struct actor *actor);
/* Writes a file into Trusted, with the result of the close. */
int staged(struct world *w, const char *below, const char *text);
/* Lets the jobs end. With ASSAYFS_TEST_VERBOSE the log says what the gate did. */
void settle(struct world *w);

/* NULL: the name must not be there. */
void shows(struct world *w, const char *path, const char *expected);
enum outcome outcome_of(struct world *w, const char *path);
unsigned versions_of(struct world *w, const char *path);
unsigned quarantined(struct world *w);

/* Judges in a thread of its own what takes a second. */
struct slow {
	struct world *w;
	uint64_t node, version, from_parent;
	const char *below, *from_name;
	int rc;
};
void *judge_slowly(void *slow);

/* Opens it anew, with the check of assayfs, and applies the policy. */
void open_with(struct world *w, const char *yaml, const char *rules);

/* The last verdict on what a path shows; the caller's. */
struct verdict *verdict_on(struct world *w, const char *path);
