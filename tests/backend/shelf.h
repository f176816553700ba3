/*
 * shelf: a place of objects in memory that keeps all versions, as a bucket with Object Lock does, and does with them
 * what a test says. Any number of Objects may stand before one shelf, in any thread.
 */
#pragma once

#include "backend/objects/objects.h"
#include "backend/store.h"

typedef struct Shelf Shelf;

#define SHELF_URL "s3://shelf/of/a-test"

Shelf *shelf_new(void);
void shelf_free(Shelf *shelf);

/* Asked before a request (NULL name: a listing): 0, or the error to fail it with. From any thread. */
typedef int shelf_fn(void *arg, enum object_what what, const char *name);
void shelf_on_request(Shelf *shelf, shelf_fn *ask, void *arg);

/* For recover_options.open and recall_means: `arg` is the Shelf. */
int shelf_open(const struct objects_place *place, Objects **ret, void *arg);

/* Without versions (as a plain bucket); 1 says that listings of versions are refused. */
void shelf_forget_versions(Shelf *shelf);

/* A new latest version, as somebody with its credentials puts it. A byte is flipped in the latest, the latest is cut,
 * a delete marker is put; all versions go; two change places. Fail the test when there is no such object. */
void shelf_put(Shelf *shelf, const char *name, const void *data, size_t size);
void shelf_flip(Shelf *shelf, const char *name, size_t at);
void shelf_cut(Shelf *shelf, const char *name, size_t size);
void shelf_remove(Shelf *shelf, const char *name);
void shelf_erase(Shelf *shelf, const char *name);
void shelf_swap(Shelf *shelf, const char *one, const char *other);

/* The name of the `nth` object (from 0) below a prefix; how many there are. */
const char *shelf_name(Shelf *shelf, const char *prefix, size_t nth, char ret[static OBJECT_NAME_MAX + 1]);
size_t shelf_count(Shelf *shelf, const char *prefix);
/* Requests that were carried out. */
size_t shelf_gets(Shelf *shelf);
/* How often some were made at once. */
size_t shelf_batches(Shelf *shelf);

/* Ships an open vault there as generation `number`. */
void shelf_ship(Shelf *shelf, Store *store, uint64_t number);

/* The same to any place. */
void ship_by_hand(Objects *objects, Store *store, uint64_t number);
