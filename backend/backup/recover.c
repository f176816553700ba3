#include "backend/backup/recover.h"

#include "backend/backup/origin.h"
#include "backend/backup/recall.h"
#include "backend/backup/recover_internal.h"
#include "backend/store_internal.h"
#include "crypto/base/fault.h"
#include "crypto/base/utc.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Each segment is synced before the next one: while one waits for the disk, the other waits for the link. */
#define THREADS 3u

static const struct recover_options defaults;

/* ---- the directory ---- */

struct target {
	VaultIo *io;                /* locked; NULL: it was not opened yet */
	struct vault_origin origin; /* url "": nothing was begun here */
	bool has_header;            /* all but segments is there */
	bool is_whole;              /* a vault, and no recovery of it is under way */
};

static int only_leftover(void *user, const char *name, bool is_directory) {
	(void)user;
	return !is_directory && strcmp(name, ORIGIN_NAME ".tmp") == 0 ? 0 : 1;
}

static int refuse_what_is_there(const char *path) {
	return fault(ENOTEMPTY, "%s is not empty; a recovered vault needs a directory of its own", path);
}

static int look_inside(const char *path, const struct objects_place *place, struct target *target) {
	uint64_t size;
	bool has_header = vault_io_stat_size(target->io, STORE_HEADER_NAME, &size) == 0;
	fault_clear();
	if (!origin_is_there(target->io)) {
		target->is_whole = has_header;
		/* Ended before it had begun to be one. */
		int rc = has_header ? 0 : vault_io_list(target->io, "", only_leftover, NULL);
		return rc <= 0 ? rc : refuse_what_is_there(path);
	}
	int rc = origin_read(target->io, &target->origin);
	if (rc < 0)
		return rc;
	if (strcmp(target->origin.url, place->url) != 0)
		return fault(
		        EEXIST, "%s is being recovered from %s; remove it to begin anew", path, target->origin.url);
	target->has_header = has_header;
	return 0;
}

/* Nobody else makes or uses it from here on: only then is looked at what is there. */
static int open_target(const char *path, const struct objects_place *place, struct target *target) {
	int rc = vault_io_create(path, &target->io);
	if (rc == -ENOTEMPTY)
		rc = vault_io_open(path, &target->io);
	if (rc == 0)
		rc = vault_io_lock(target->io);
	return rc < 0 ? rc : look_inside(path, place, target);
}

static int keep_origin(const struct recovery *recovery, struct target *target) {
	const struct objects_place *place = recovery->place;
	struct vault_origin origin = {.generation = recovery->super.number,
	        .time_ns = recovery->super.time_ns,
	        .zones = recovery->super.zones,
	        .prefix_mark = recovery->super.prefix_mark};
	if (snprintf(origin.url, sizeof origin.url, "%s", place->url) >= (int)sizeof origin.url ||
	        snprintf(origin.endpoint, sizeof origin.endpoint, "%s", place->endpoint ? place->endpoint : "") >=
	                (int)sizeof origin.endpoint ||
	        snprintf(origin.region, sizeof origin.region, "%s", place->region ? place->region : "") >=
	                (int)sizeof origin.region)
		return fault(EINVAL, "%.60s…: the URL is too long", place->url);
	int rc = origin_write(target->io, &origin);
	if (rc == 0)
		target->origin = origin;
	return rc;
}

/* ---- all but segments ---- */

static int make_vault(struct recovery *recovery, struct target *target) {
	int rc = keep_origin(recovery, target);
	if (rc == 0)
		rc = recovery_metadata(recovery, target->io);
	if (rc == 0)
		rc = recovery_archives(recovery, target->io);
	if (rc == 0)
		rc = vault_io_mkdir(target->io, "segments");
	if (rc == 0)
		rc = vault_io_sync_dir(target->io, "");
	if (rc == 0)
		rc = vault_io_replace(target->io, STORE_HEADER_NAME, bytes_of(recovery->json, recovery->json_size));
	return rc;
}

/* Whether it is the vault whose backup this is. */
static int check_whole(const struct recovery *recovery, const char *path, const struct target *target) {
	_cleanup_(freep) uint8_t *json = NULL;
	_cleanup_(header_freep) VaultHeader *header = NULL;
	size_t size = 0;
	int rc = vault_io_read_all(target->io, STORE_HEADER_NAME, HEADER_BYTES_MAX, &json, &size);
	if (rc == 0)
		rc = header_parse(bytes_of(json, size), &header);
	bool is_same = rc == 0 && memcmp(header_vault_id(header), recovery->vault_id, sizeof recovery->vault_id) == 0;
	return is_same ? 0 : refuse_what_is_there(path);
}

/* What was begun is of one generation, and is gone on with as that. */
static int check_time(const struct recovery *recovery, const char *path, const struct target *target) {
	char begun[UTC_TEXT_BYTES];
	utc_stamp(target->origin.time_ns, begun);
	if (recovery->options->at_ns && recovery->super.number != target->origin.generation)
		return fault(EEXIST,
		        "%s is recovered as of %s (generation %" PRIu64
		        ") already; that is gone on with without a time, or remove it to begin anew",
		        path, begun, target->origin.generation);
	if (!recovery->options->at_ns)
		recovery_notice(recovery,
		        "%s is recovered as of %s (generation %" PRIu64 ") already, and that is gone on with", path,
		        begun, target->origin.generation);
	return 0;
}

/* Nothing is made before the secret has opened something, and nothing is fetched for a directory that can't be taken.
 */
static int begin(struct recovery *recovery, const char *path, struct recover_summary *sum) {
	struct target target = {0};
	bool is_new = access(path, F_OK) < 0 && errno == ENOENT;
	int rc = is_new ? 0 : open_target(path, recovery->place, &target);
	if (rc == 0 && target.is_whole && (!recovery->options->full || recovery->options->at_ns))
		rc = refuse_what_is_there(path);
	if (rc == 0 && (!target.has_header || recovery->options->at_ns))
		rc = recovery_open(recovery);
	if (rc == 0 && !target.is_whole && recovery->objects)
		rc = recovery_choose(recovery);
	if (is_new && rc == 0)
		rc = open_target(path, recovery->place, &target);
	if (rc == 0 && target.is_whole)
		rc = check_whole(recovery, path, &target);
	else if (rc == 0 && target.has_header)
		rc = check_time(recovery, path, &target);
	else if (rc == 0)
		rc = make_vault(recovery, &target);
	recovery->is_first = rc == 0 && !target.is_whole && !target.origin.is_recorded;
	sum->generation = target.origin.generation;
	sum->time_ns = target.origin.time_ns;
	sum->was_whole = target.is_whole;
	vault_io_close(target.io);
	return rc;
}

/* ---- segments ---- */

struct fetching {
	Recall *recall;
	const struct recover_options *options;
	pthread_mutex_t lock;
	uint64_t bytes, of, segments;
	bool is_done; /* also when one thread failed and another tried that again */
	int rc;
	char words[FAULT_MESSAGE_BYTES];
};

static void *fetch(void *arg) {
	struct fetching *fetching = arg;
	for (;;) {
		uint64_t bytes = 0;
		int rc = recall_next(fetching->recall, &bytes);
		pthread_mutex_lock(&fetching->lock);
		fetching->segments += rc == 1;
		fetching->is_done = fetching->is_done || rc == 0;
		fetching->bytes += rc == 1 ? bytes : 0;
		if (rc == 1 && fetching->options->progress)
			fetching->options->progress(fetching->options->arg, "segments", fetching->bytes, fetching->of);
		if (rc < 0 && (fetching->rc == 0 || fetching->rc == -ENODATA)) {
			fetching->rc = rc;
			memcpy(fetching->words, fault_message(), sizeof fetching->words);
		}
		bool goes_on = rc == 1 && fetching->rc == 0;
		pthread_mutex_unlock(&fetching->lock);
		if (!goes_on)
			return NULL;
	}
}

static int fetch_all(Recall *recall, const struct recover_options *options, struct recover_summary *sum) {
	struct recall_status status;
	pthread_t threads[THREADS];
	unsigned started = 0;
	recall_status(recall, &status);
	struct fetching fetching = {.recall = recall, .options = options, .of = status.missing_bytes};
	pthread_mutex_init(&fetching.lock, NULL);
	while (started < THREADS && pthread_create(&threads[started], NULL, fetch, &fetching) == 0)
		started++;
	if (started == 0)
		(void)fetch(&fetching);
	while (started > 0)
		pthread_join(threads[--started], NULL);
	pthread_mutex_destroy(&fetching.lock);
	sum->segments_fetched = fetching.segments;
	sum->bytes_fetched = fetching.bytes;
	recall_status(recall, &status);
	sum->damaged = status.damaged_segments;
	sum->missing = status.missing_segments;
	sum->left_out = status.absent_segments;
	bool is_lacking = fetching.rc == -ENODATA; /* all others are here */
	if (is_lacking && !fetching.is_done && options->notice)
		options->notice(options->arg, fetching.words);
	return fetching.rc < 0 && !is_lacking && !fetching.is_done ? fault(-fetching.rc, "%s", fetching.words) : 0;
}

static int fetch_segments(Store *store, const struct recover_options *options, struct recover_summary *sum) {
	struct recall_status status;
	Recall *recall = store_recall(store);
	if (!recall)
		return 0;
	recall_status(recall, &status);
	sum->segments = status.segments;
	sum->bytes = status.bytes;
	int rc = recall_survey(recall, &sum->missing, &sum->left_out);
	return rc == 0 && options->full ? fetch_all(recall, options, sum) : rc;
}

/* The first opening: the crash is recovered from, and the log says where the vault is from. */
static int open_once(const char *path, const struct recovery *recovery, struct recover_summary *sum) {
	const struct recover_options *options = recovery->options;
	const struct recall_means means = {
	        .place = recovery->place, .open = options->open, .open_arg = options->open_arg};
	const struct store_options store_options = {.state_directory = options->state_directory,
	        .accept_restore = true,
	        .forks = recovery->is_first,
	        .gc_by_hand = true,
	        .recall = &means,
	        .recall_by_hand = true,
	        .notice = options->notice,
	        .notice_arg = options->arg};
	Store *store = NULL;
	int rc = store_open(path, recovery->secret, &store_options, &store);
	if (rc < 0)
		return rc;
	sum->commit = recovery->super.commit;
	rc = fetch_segments(store, options, sum);
	char words[FAULT_MESSAGE_BYTES];
	memcpy(words, fault_message(), sizeof words);
	int closed = store_close(store);
	return rc < 0 ? fault(-rc, "%s", words) : closed;
}

int recover_vault(const struct objects_place *place, const char *path, const struct store_secret *secret,
        const struct recover_options *options, struct recover_summary *ret) {
	struct recover_summary sum = {0};
	struct recovery recovery = {.place = place, .secret = secret, .options = options ? options : &defaults};
	int rc = objects_check_url(place->url);
	if (rc == 0)
		rc = begin(&recovery, path, &sum);
	if (rc == 0 && !sum.was_whole)
		rc = open_once(path, &recovery, &sum);
	recovery_clear(&recovery);
	if (rc < 0)
		return fault_while(rc, "recovering %s from %s", path, place->url);
	*ret = sum;
	return 0;
}

/* ---- what there is ---- */

struct listing {
	recover_generation_fn *fn;
	void *arg;
};

static int list_one(void *arg, const struct layout_super *super) {
	const struct listing *listing = arg;
	const struct recover_generation generation = {
	        .number = super->number, .time_ns = super->time_ns, .commit = super->commit, .bytes = super->bytes};
	return listing->fn(listing->arg, &generation);
}

int recover_list(const struct objects_place *place, const struct store_secret *secret,
        const struct recover_options *options, recover_generation_fn *fn, void *arg) {
	struct recovery recovery = {.place = place, .secret = secret, .options = options ? options : &defaults};
	struct listing listing = {.fn = fn, .arg = arg};
	int rc = recovery_open(&recovery);
	if (rc == 0)
		rc = recovery_supers(&recovery, list_one, &listing);
	recovery_clear(&recovery);
	return fault_while(rc, "listing the generations in %s", place->url);
}
