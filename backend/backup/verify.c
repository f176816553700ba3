/* backup_verify: what the newest generation of a target needs is read back; the parts are in verify_….c. */
#include "backend/backup/verify_internal.h"

#include "backend/audit_retain.h"
#include "backend/backup/backup_internal.h"
#include "backend/vault_io.h"
#include "backend/zone.h"
#include "crypto/base/array.h"
#include "crypto/base/fault.h"
#include "crypto/digest.h"
#include "crypto/header.h"
#include "crypto/secret.h"

#include <errno.h>
#include <sodium/randombytes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SYNC_MS 30000u
#define SLICE_MS 1000u
#define AUDIT_BYTES_MAX OBJECT_BYTES_MAX

int verify_tell(struct verify *v, const char *object, const char *words, int heal_rc) {
	bool healed = heal_rc == 0;
	v->summary.findings++;
	v->summary.healed += healed;
	return v->finding ? v->finding(v->arg, object, words, healed) : 0;
}

int verify_put(struct verify *v, const char *object, struct bytes data) {
	if (!v->heal)
		return -EPERM;
	_cleanup_(freep) struct object_request *request = calloc(1, sizeof *request);
	if (!request)
		return fault(ENOMEM, "no memory to heal the backup");
	*request = (struct object_request){
	        .what = OBJECT_PUT, .name = object, .data = data, .locked_until_s = ship_locked_until(&v->ship)};
	return objects_do(v->ship.objects, request, 1);
}

int verify_remove(struct verify *v, const char *object) {
	return v->heal ? objects_remove(v->ship.objects, object) : -EPERM;
}

int verify_count(struct verify *v, uint64_t objects, uint64_t bytes) {
	v->summary.objects += objects;
	v->summary.bytes += bytes;
	uint64_t of = v->of > v->summary.bytes ? v->of : v->summary.bytes;
	return v->progress ? v->progress(v->arg, v->summary.bytes, of) : 0;
}

/* ---- vault.json, archives ---- */

static int heal_header(struct verify *v, const char *name) {
	_cleanup_(freep) uint8_t *local = NULL;
	uint8_t hash[DIGEST_BYTES];
	size_t size = 0;
	int rc = vault_io_read_all(store_io(v->ship.store), "vault.json", HEADER_BYTES_MAX, &local, &size);
	if (rc < 0)
		return rc;
	blake2b(bytes_of(local, size), hash);
	return digest_equal(hash, v->super.header_hash) ? verify_put(v, name, bytes_of(local, size)) : -EBADMSG;
}

/* NULL: it is gone, or longer than it can be. */
static int read_back(struct verify *v, const char *name, size_t limit, uint8_t **ret_bytes, size_t *ret_size) {
	int rc = objects_get_all(v->ship.objects, name, limit, ret_bytes, ret_size);
	if (rc == -EFBIG) /* there, and nothing that can be right */
		return (*ret_bytes = calloc(1, 1)) ? 0 : fault(ENOMEM, "no memory to verify %s", name);
	if (rc == -ENOENT)
		return 0;
	return rc < 0 ? rc : verify_count(v, 1, *ret_size);
}

static int verify_header(struct verify *v) {
	char name[LAYOUT_NAME_BYTES];
	_cleanup_(freep) uint8_t *bytes = NULL;
	uint8_t hash[DIGEST_BYTES];
	size_t size = 0;
	layout_header_name(v->super.header, v->super.header_hash, name);
	int rc = read_back(v, name, HEADER_BYTES_MAX, &bytes, &size);
	if (rc < 0)
		return rc;
	blake2b(bytes_of(bytes, size), hash);
	if (bytes && digest_equal(hash, v->super.header_hash))
		return 0;
	return verify_tell(
	        v, name, bytes ? "it is not the vault.json that was put there" : "it is gone", heal_header(v, name));
}

static int heal_archive(struct verify *v, uint64_t first, const char *name) {
	_cleanup_(freep) uint8_t *local = NULL;
	size_t size = 0;
	if (!v->heal)
		return -EPERM;
	int rc = audit_retain_read(v->ship.store, first, &local, &size);
	return rc < 0 ? rc : verify_put(v, name, bytes_of(local, size));
}

static int verify_archive(struct verify *v, const struct audit_archived *archived) {
	char name[LAYOUT_NAME_BYTES];
	_cleanup_(freep) uint8_t *bytes = NULL;
	uint8_t hash[DIGEST_BYTES];
	size_t size = 0;
	layout_audit_name(archived->first, name);
	int rc = read_back(v, name, AUDIT_BYTES_MAX, &bytes, &size);
	if (rc < 0)
		return rc;
	sha256(bytes_of(bytes, size), hash);
	if (bytes && digest_equal(hash, archived->sha256))
		return 0;
	return verify_tell(v, name, bytes ? "it is not the archive of the log that was put there" : "it is gone",
	        heal_archive(v, archived->first, name));
}

/* Those that were there when the listing was made: a later one may not be shipped yet. */
static int verify_archives(struct verify *v) {
	_cleanup_(freep) struct audit_archived *all = NULL;
	size_t count = 0;
	Meta *m = store_meta(v->ship.store);
	meta_begin(m);
	int rc = meta_end(m, audit_retain_all(m, &all, &count));
	for (size_t i = 0; i < count && rc == 0; i++)
		if (all[i].newest < v->super.time_ns)
			rc = verify_archive(v, &all[i]);
	return rc;
}

/* ---- segments ---- */

static bool is_eligible(const struct segment_row *row) {
	return row->bytes > 0;
}

/* One that is read in any case; row_count: there is none. */
static size_t pick_one(const struct verify *v) {
	uint32_t count = 0;
	for (size_t i = 0; i < v->row_count; i++)
		count += is_eligible(&v->rows[i]);
	uint32_t nth = count ? randombytes_uniform(count) : 0;
	size_t at = 0;
	for (; at < v->row_count; at++)
		if (is_eligible(&v->rows[at]) && nth-- == 0)
			break;
	return at;
}

static bool has_key(const struct verify *v, const struct segment_row *row) {
	_cleanup_(secret_key_wipe) struct secret_key key;
	const char *name = zone_key_name(row->zone);
	const Keyring *keyring = store_keyring(v->ship.store);
	return name && keyring_get(keyring, name, row->key_version, key.bytes, NULL) == 0 &&
	       (!row->own[0] || keyring_get(keyring, row->own, row->own_version, key.bytes, NULL) == 0);
}

static int verify_segments(struct verify *v) {
	int rc = 0;
	size_t picked = pick_one(v);
	for (size_t i = 0; i < v->row_count && rc == 0; i++) {
		const struct segment_row *row = &v->rows[i];
		if (!is_eligible(row))
			continue;
		/* Who can't have the segment's key can't tell. */
		bool is_taken = (i == picked || randombytes_uniform(100) < v->percent) && has_key(v, row);
		rc = is_taken ? verify_segment(v, row) : 0;
		v->summary.segments += is_taken;
		v->summary.segments_left_out += !is_taken;
	}
	return rc;
}

/* ---- all of it ---- */

static int take_object(void *arg, const struct object_info *object) {
	struct verify *v = arg;
	struct layout_name name;
	layout_parse(object->name, &name);
	if (name.kind != LAYOUT_EXTENT)
		return inventory_add(&v->ship.inventory, object->name, object->size);
	void *grown = array_room(v->extents, &v->extent_room, v->extent_count + 1, sizeof name);
	if (!grown)
		return fault(ENOMEM, "no memory for the list of what the backup has");
	v->extents = grown;
	v->extents[v->extent_count++] = name;
	return 0;
}

static void add_up(struct verify *v) {
	v->of = inventory_pack_bytes(&v->ship.inventory, v->super.base, v->super.pack);
	for (size_t i = 0; i < v->row_count; i++)
		v->of += v->rows[i].bytes * v->percent / 100;
}

static int verify_all(struct verify *v) {
	uint64_t generation = v->super.number;
	int rc = objects_list(v->ship.objects, "", take_object, v);
	if (rc == 0)
		rc = verify_supers(v);
	if (rc < 0)
		return rc;
	rc = ship_read_super(&v->ship, generation, &v->super);
	if (rc == -EBADMSG)
		return 0; /* told */
	if (rc == 0) {
		add_up(v);
		rc = verify_header(v);
	}
	if (rc == 0)
		rc = verify_archives(v);
	if (rc == 0)
		rc = verify_packs(v);
	return rc < 0 ? rc : verify_segments(v);
}

/* The rule, and what the last generation that this mount shipped has. */
static int take_shipped(Backup *backup, const char *url, struct backup_target *rule, struct verify *v) {
	int rc = fault(ENOENT, "there is no backup to %s", url);
	pthread_mutex_lock(&backup->lock);
	for (size_t i = 0; i < backup->count; i++) {
		const struct shipper *s = backup->shippers[i];
		if (strcmp(s->rule.url, url) != 0)
			continue;
		*rule = s->rule;
		v->super.number = s->shipped_number;
		v->row_count = s->shipped_count;
		v->rows = calloc(s->shipped_count + 1, sizeof *v->rows);
		if (v->rows && s->shipped_count)
			memcpy(v->rows, s->shipped, s->shipped_count * sizeof *v->rows);
		rc = v->rows ? 0 : fault(ENOMEM, "no memory to verify the backup");
		if (rc == 0 && s->shipped_number == 0)
			rc = fault(EAGAIN, "nothing was shipped to %s since the vault was mounted: %.800s", url,
			        s->status.trouble);
	}
	pthread_mutex_unlock(&backup->lock);
	return rc;
}

static int open_verify(Backup *backup, const char *url, struct verify *v, Objects **ret_objects) {
	_cleanup_(freep) struct backup_target *rule = calloc(1, sizeof *rule);
	_cleanup_(freep) struct store_info *info = malloc(sizeof *info);
	if (!rule || !info)
		return fault(ENOMEM, "no memory to verify the backup");
	int rc = take_shipped(backup, url, rule, v);
	if (rc == 0)
		rc = ship_init(&v->ship, backup->store, rule);
	if (rc == 0)
		rc = shipper_open_place(backup, rule, ret_objects);
	memcpy(v->endpoint, rule->endpoint, sizeof v->endpoint);
	secret_wipe(rule, sizeof *rule);
	store_info(backup->store, info);
	v->cipher = info->cipher;
	return rc;
}

/* So that the newest generation is of now. What is wrong with the place shows afterwards. */
static int wait_for_place(Backup *backup, const char *url, struct verify *v) {
	int rc = 0;
	for (unsigned waited = 0; rc == 0 && waited < SYNC_MS; waited += SLICE_MS) {
		if (backup_sync(backup, url, SLICE_MS) != -ETIME)
			break;
		rc = verify_count(v, 0, 0);
	}
	return rc;
}

static void keep_result(Backup *backup, const char *url, const struct backup_verify_summary *summary) {
	struct timespec wall;
	(void)clock_gettime(CLOCK_REALTIME, &wall);
	pthread_mutex_lock(&backup->lock);
	for (size_t i = 0; i < backup->count; i++) {
		struct backup_status *status = &backup->shippers[i]->status;
		if (strcmp(backup->shippers[i]->rule.url, url) != 0)
			continue;
		status->verified_ns = (int64_t)wall.tv_sec * INT64_C(1000000000) + wall.tv_nsec;
		status->verify_findings = summary->findings;
	}
	pthread_mutex_unlock(&backup->lock);
}

int backup_verify(Backup *backup, const char *url, unsigned percent, bool heal, backup_finding_fn *finding,
        backup_progress_fn *progress, void *arg, struct backup_verify_summary *ret) {
	_cleanup_(freep) struct verify *v = calloc(1, sizeof *v);
	_cleanup_(objects_closep) Objects *objects = NULL;
	if (!v)
		return fault(ENOMEM, "no memory to verify the backup");
	if (percent < 1 || percent > 100)
		return fault(EINVAL, "a sample is 1 to 100 percent");
	if (backup->is_read_only)
		return fault(EROFS, "the vault is open for reading only");
	*v = (struct verify){.percent = percent, .heal = heal, .finding = finding, .progress = progress, .arg = arg};
	int rc = wait_for_place(backup, url, v);
	if (rc == 0)
		rc = open_verify(backup, url, v, &objects);
	v->ship.objects = objects;
	if (rc == 0)
		rc = verify_all(v);
	if (rc == 0) {
		*ret = v->summary;
		keep_result(backup, url, ret);
	}
	layout_super_clear(&v->super);
	ship_clear(&v->ship);
	free(v->extents);
	free(v->rows);
	return fault_while(rc, "verifying the backup");
}
