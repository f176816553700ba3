#include "fs/http/documents.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#define KEPT 48
#define LEAST_NS INT64_C(400000000)
#define COST_TIMES 20

struct document {
	char *key; /* NULL: free */
	json_t *value;
	int64_t until_ns, used_ns;
	bool is_made; /* just now, by some thread */
};

struct Documents {
	/* Guards all; not held while one is made. */
	pthread_mutex_t lock;
	struct document kept[KEPT];
};

static int64_t now_ns(void) {
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

Documents *documents_new(void) {
	Documents *documents = calloc(1, sizeof *documents);
	if (documents)
		pthread_mutex_init(&documents->lock, NULL);
	return documents;
}

void documents_free(Documents *documents) {
	if (!documents)
		return;
	for (size_t i = 0; i < KEPT; i++) {
		free(documents->kept[i].key);
		json_decref(documents->kept[i].value);
	}
	pthread_mutex_destroy(&documents->lock);
	free(documents);
}

/* The place of `key`, or one for it: free, or of what was not asked for the longest. NULL: all are being made. */
static struct document *find_place(Documents *documents, const char *key) {
	struct document *place = NULL;
	for (size_t i = 0; i < KEPT; i++) {
		struct document *at = &documents->kept[i];
		if (at->key && strcmp(at->key, key) == 0)
			return at;
		if (!at->is_made && (!place || (place->key && (!at->key || at->used_ns < place->used_ns))))
			place = at;
	}
	if (!place)
		return NULL;
	free(place->key);
	json_decref(place->value);
	*place = (struct document){.key = strdup(key)};
	return place->key ? place : NULL;
}

/* With the lock, which is let go meanwhile. */
static int make_one(Documents *documents, struct document *place, document_make *make, void *arg, json_t **ret) {
	json_t *value = NULL;
	int64_t before = now_ns();
	place->is_made = true;
	pthread_mutex_unlock(&documents->lock);
	int rc = make(arg, &value);
	int64_t after = now_ns(), cost = (after - before) * COST_TIMES;
	pthread_mutex_lock(&documents->lock);
	place->is_made = false;
	json_decref(place->value);
	place->value = value; /* none, where it may not be told any more */
	if (rc)
		return rc;
	place->until_ns = after + (cost > LEAST_NS ? cost : LEAST_NS);
	*ret = json_incref(value);
	return 0;
}

int documents_get(Documents *documents, const char *key, document_make *make, void *arg, json_t **ret) {
	int rc = 0;
	pthread_mutex_lock(&documents->lock);
	struct document *place = find_place(documents, key);
	if (!place) {
		rc = fault(EAGAIN, "too much is asked at once");
	} else {
		place->used_ns = now_ns();
		if (place->value && (place->is_made || place->used_ns < place->until_ns))
			*ret = json_incref(place->value);
		else if (place->is_made)
			rc = fault(EAGAIN, "it is being counted; ask again in a moment");
		else
			rc = make_one(documents, place, make, arg, ret);
	}
	pthread_mutex_unlock(&documents->lock);
	return rc;
}
