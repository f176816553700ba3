/*
 * recover_internal: what recover.c (making the vault) and recover_find.c (what is in the place) and
 * recover_supers.c (the superblocks there) share.
 */
#pragma once

#include "backend/backup/layout.h"
#include "backend/backup/recover.h"
#include "crypto/header.h"

typedef struct SuperList SuperList;

struct recovery {
	const struct objects_place *place;
	const struct store_secret *secret;
	const struct recover_options *options; /* never NULL */
	Objects *objects;
	Keyring *keyring;
	uint8_t vault_id[HEADER_ID_BYTES];
	uint8_t *json; /* vault.json as it will stand */
	size_t json_size;
	uint64_t header; /* its generation */
	SuperList *supers;
	struct layout_super super;
	bool is_first; /* the vault was not opened since it was made, or its log does not say so yet */
};

/* Opens the place and the newest vault.json there that the secret unlocks. Free with recovery_clear. */
int recovery_open(struct recovery *recovery);
void recovery_clear(struct recovery *recovery);

/* All superblocks below super/ by name and version. Free with supers_free; NULL is fine. */
int supers_read(Objects *objects, SuperList **ret);
void supers_free(SuperList *supers);
DEFINE_CLEANUP(SuperList, supers_free);

/* Whether one of them opens with the key, or there is none at all: 1, 0 with words, or an error of the place. */
int recovery_has_super(struct recovery *recovery);

/* Calls `fn` for each superblock that opens, newest first, until it returns other than 0, which is returned. -ENOENT:
 * there is none; -EBADMSG: none opened. */
typedef int recovery_super_fn(void *arg, const struct layout_super *super);
int recovery_supers(struct recovery *recovery, recovery_super_fn *fn, void *arg);

/* Chooses the superblock, and takes the vault.json that it names in place of the other. */
int recovery_choose(struct recovery *recovery);

/* Tells words. */
void recovery_notice(const struct recovery *recovery, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The names below a prefix, of one kind: all that have a version, in order. */
struct recovery_found {
	char name[LAYOUT_NAME_BYTES];
	struct layout_name parsed;
	uint64_t size;
	bool is_listed; /* not removed */
};
struct recovery_names {
	enum layout_kind kind;
	struct recovery_found *found;
	size_t count, room;
};
int recovery_names(Objects *objects, const char *prefix, enum layout_kind kind, struct recovery_names *ret);

/*
 * Gets the object whole, of the latest version that `proves` takes (0; -EBADMSG with words: it is not the one).
 * -EBADMSG or -ENOENT with the object's name: there is none.
 */
typedef int recovery_proof_fn(void *arg, struct bytes object);
int recovery_get(Objects *objects, const char *name, size_t limit, recovery_proof_fn *proves, void *arg,
        uint8_t **ret_data, size_t *ret_size);

/* Packs, anchors, meta.db of the chosen generation. -EBADMSG with the object's name. What is there already and sound is
 * not fetched again. And then the archives of the log that it names; one that is lost is told. */
int recovery_metadata(struct recovery *recovery, VaultIo *io);
int recovery_archives(struct recovery *recovery, VaultIo *io);
