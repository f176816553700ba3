#include "backend/backup/recall_internal.h"
#include "crypto/base/array.h"
#include "crypto/base/deadline.h"
#include "crypto/base/fault.h"
#include "crypto/encoding.h"
#include "crypto/secret.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Pauses of the thread after a failure. */
#define PAUSE_MS_LEAST 1000u
#define PAUSE_MS_MOST 60000u

int recall_is_needed(VaultIo *io) {
	return origin_is_there(io);
}

/* ---- the table ---- */

static int by_id(const void *a, const void *b) {
	const struct recall_segment *x = a, *y = b;
	return memcmp(x->id, y->id, sizeof x->id);
}

struct recall_segment *recall_find(Recall *recall, const uint8_t id[static SEGMENT_ID_BYTES]) {
	struct recall_segment key;
	memcpy(key.id, id, sizeof key.id);
	if (!recall->is_ready || recall->count == 0)
		return NULL;
	return bsearch(&key, recall->segments, recall->count, sizeof key, by_id);
}

static void name_of(const struct recall_segment *segment, const char *suffix, char ret[static VAULT_NAME_MAX]) {
	char name[SEGMENT_NAME_BYTES];
	segment_file_name(segment->id, name);
	(void)snprintf(ret, VAULT_NAME_MAX, "%s%s", name, suffix);
}

struct recall_segment *recall_named(Recall *recall, const char *name) {
	static const char directory[] = "segments/ab/";
	uint8_t id[SEGMENT_ID_BYTES];
	char again[VAULT_NAME_MAX];
	if (strncmp(name, "segments/", strlen("segments/")) != 0 ||
	        strlen(name) != strlen(directory) + HEX_TEXT_BYTES(SEGMENT_ID_BYTES) - 1 ||
	        hex_decode(name + strlen(directory), sizeof id, id) < 0)
		return NULL;
	struct recall_segment *segment = recall_find(recall, id);
	if (segment)
		name_of(segment, "", again);
	return segment && strcmp(again, name) == 0 ? segment : NULL;
}

static bool is_missing(const struct recall_segment *segment) {
	return !segment->is_here && !segment->is_dropped;
}

bool recall_is_missing(Recall *recall, const struct recall_segment *segment) {
	pthread_mutex_lock(&recall->lock);
	bool is = is_missing(segment) && !recall->is_over;
	pthread_mutex_unlock(&recall->lock);
	return is;
}

int recall_expect(Recall *recall, const struct segment_row *row) {
	char name[VAULT_NAME_MAX];
	uint64_t size = 0;
	if (row->bytes > UINT32_MAX)
		return fault(
		        EBADMSG, "segment %" PRIu32 " is said to be %" PRIu64 " bytes long", row->number, row->bytes);
	struct recall_segment *segments =
	        array_room(recall->segments, &recall->room, recall->count + 1, sizeof *segments);
	if (!segments)
		return fault(ENOMEM, "no memory for the table of segments");
	recall->segments = segments;
	struct recall_segment *segment = &segments[recall->count];
	*segment = (struct recall_segment){.number = row->number, .bytes = (uint32_t)row->bytes, .zone = row->zone};
	memcpy(segment->id, row->id, sizeof segment->id);
	segment->is_outside = recall->origin.zones && !(recall->origin.zones & 1u << row->zone);
	name_of(segment, "", name);
	int rc = vault_io_stat_size(recall->io, name, &size);
	if (rc == -ENOENT)
		fault_clear();
	if (rc < 0 && rc != -ENOENT)
		return rc;
	segment->is_here = rc == 0;
	recall->count++;
	return 0;
}

static int by_number(const void *a, const void *b, void *segments) {
	const struct recall_segment *all = segments;
	uint32_t x = all[*(const uint32_t *)a].number, y = all[*(const uint32_t *)b].number;
	return (x > y) - (x < y);
}

uint32_t recall_prefix_mark(const Recall *recall) {
	return recall->origin.prefix_mark;
}

void recall_took(Recall *recall, recall_took_fn *took, void *arg) {
	for (size_t i = 0; i < recall->count; i++) {
		struct recall_segment *segment = &recall->segments[i];
		const struct segment_row row = {.number = segment->number, .zone = segment->zone};
		segment->is_outside = segment->is_outside || !took(arg, &row);
	}
}

uint32_t recall_zones(const Recall *recall) {
	return recall->origin.zones ? recall->origin.zones : UINT32_MAX;
}

void recall_on_notice(Recall *recall, void (*notice)(void *arg, const char *words), void *arg) {
	recall->notice = notice;
	recall->notice_arg = arg;
}

static struct recall_segment *numbered(Recall *recall, uint32_t number) {
	size_t low = 0, high = recall->is_ready ? recall->count : 0;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		struct recall_segment *segment = &recall->segments[recall->numbers[middle]];
		if (segment->number == number)
			return segment;
		if (segment->number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

int recall_ready(Recall *recall, recall_verify_fn *verify, void *arg) {
	uint32_t *numbers = calloc(recall->count ? recall->count : 1, sizeof *numbers);
	if (!numbers)
		return fault(ENOMEM, "no memory for the table of segments");
	recall->verify = verify;
	recall->verify_arg = arg;
	if (recall->count > 1)
		qsort(recall->segments, recall->count, sizeof *recall->segments, by_id);
	for (size_t i = 0; i < recall->count; i++)
		numbers[i] = (uint32_t)i;
	if (recall->count > 1)
		qsort_r(numbers, recall->count, sizeof *numbers, by_number, recall->segments);
	recall->numbers = numbers;
	recall->is_ready = true;
	for (size_t i = 0; i < recall->origin.lacking_count; i++) {
		struct recall_segment *segment = numbered(recall, recall->origin.lacking[i]);
		if (segment)
			segment->is_lacking = true;
	}
	return 0;
}

bool recall_is_here(Recall *recall, uint32_t number) {
	const struct recall_segment *segment = numbered(recall, number);
	return !segment || !recall_is_missing(recall, segment);
}

bool recall_is_lacking(Recall *recall, uint32_t number) {
	const struct recall_segment *segment = numbered(recall, number);
	return segment && recall_is_missing(recall, segment) && segment->is_lacking;
}

int recall_keep_lacking(Recall *recall) {
	int rc = 0;
	pthread_mutex_lock(&recall->lock);
	struct vault_origin origin = recall->origin;
	memset(origin.lacking, 0, sizeof origin.lacking);
	origin.lacking_count = 0;
	for (size_t i = 0; i < recall->count && origin.lacking_count < ORIGIN_LACKING_MAX; i++) {
		const struct recall_segment *segment = &recall->segments[recall->numbers[i]];
		if (is_missing(segment) && segment->is_lacking)
			origin.lacking[origin.lacking_count++] = segment->number;
	}
	bool is_other = origin.lacking_count != recall->origin.lacking_count ||
	                memcmp(origin.lacking, recall->origin.lacking, sizeof origin.lacking) != 0;
	if (is_other && !recall->is_over)
		rc = origin_write(recall->io, &origin);
	if (rc == 0)
		recall->origin = origin;
	pthread_mutex_unlock(&recall->lock);
	return rc;
}

void recall_status(Recall *recall, struct recall_status *ret) {
	struct recall_status status = {0};
	pthread_mutex_lock(&recall->lock);
	for (size_t i = 0; i < recall->count; i++) {
		const struct recall_segment *segment = &recall->segments[i];
		bool counts = is_missing(segment) && !segment->is_absent && !recall->is_over;
		status.segments++;
		status.bytes += segment->bytes;
		status.missing_segments += counts;
		status.absent_segments += is_missing(segment) && !counts;
		status.missing_bytes += counts ? segment->bytes : 0;
	}
	status.damaged_segments = recall->damaged;
	(void)snprintf(status.url, sizeof status.url, "%s", recall->origin.url);
	(void)snprintf(status.trouble, sizeof status.trouble, "%s", recall->trouble);
	pthread_mutex_unlock(&recall->lock);
	*ret = status;
}

/* ---- the place ---- */

void recall_free_place(struct objects_place *place) {
	const char *texts[] = {
	        place->url, place->endpoint, place->access_key, place->secret_key, place->session_token, place->region};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		char *text = NULL;
		memcpy(&text, &texts[i], sizeof text); /* ours: strdup gave it */
		if (text)
			secret_wipe(text, strlen(text));
		free(text);
	}
	*place = (struct objects_place){0};
}

static bool copy_text(const char *given, const char *ours, const char **ret) {
	const char *text = given && *given ? given : ours;
	if (!text || !*text)
		return true;
	*ret = strdup(text);
	return *ret != NULL;
}

int recall_use(Recall *recall, const struct recall_means *means) {
	static const struct objects_place none;
	const struct objects_place *from = means && means->place ? means->place : &none;
	struct objects_place copy = {.parallel = from->parallel, .attempts = from->attempts};
	if (!copy_text(recall->origin.url, NULL, &copy.url) ||
	        !copy_text(from->endpoint, recall->origin.endpoint, &copy.endpoint) ||
	        !copy_text(from->region, recall->origin.region, &copy.region) ||
	        !copy_text(from->access_key, NULL, &copy.access_key) ||
	        !copy_text(from->secret_key, NULL, &copy.secret_key) ||
	        !copy_text(from->session_token, NULL, &copy.session_token)) {
		recall_free_place(&copy);
		return fault(ENOMEM, "no memory for %s", recall->origin.url);
	}
	pthread_mutex_lock(&recall->lock);
	struct objects_place old = recall->place;
	recall->place = copy;
	if (means && means->open) {
		recall->open = means->open;
		recall->open_arg = means->open_arg;
	}
	pthread_mutex_unlock(&recall->lock);
	recall_free_place(&old);
	return 0;
}

/* Under `lock`. */
static void set_active(Recall *recall, const Objects *from, Objects *to) {
	for (size_t i = 0; i < sizeof recall->active / sizeof *recall->active; i++)
		if (recall->active[i] == from) {
			recall->active[i] = to;
			return;
		}
}

static int take_objects(Recall *recall, bool is_background, Objects **ret) {
	Objects *objects = NULL;
	int rc = 0;
	pthread_mutex_lock(&recall->lock);
	if (recall->is_halted)
		rc = fault(ECANCELED, "the mount is ending");
	else if (recall->idle_count > 0)
		objects = recall->idle[--recall->idle_count];
	else
		rc = recall->open ? recall->open(&recall->place, &objects, recall->open_arg)
		                  : objects_open(&recall->place, &objects);
	if (rc == 0)
		set_active(recall, NULL, objects);
	if (rc == 0 && is_background) {
		recall->background = objects;
		if (recall->is_stopping)
			objects_stop(objects);
	}
	pthread_mutex_unlock(&recall->lock);
	if (rc == 0)
		*ret = objects;
	return rc;
}

static void put_objects(Recall *recall, bool is_background, Objects *objects, bool is_reusable) {
	pthread_mutex_lock(&recall->lock);
	set_active(recall, objects, NULL);
	if (is_background)
		recall->background = NULL;
	bool is_kept = is_reusable && !recall->is_stopping && !recall->is_halted && recall->idle_count < RECALL_FETCHES;
	if (is_kept)
		recall->idle[recall->idle_count++] = objects;
	pthread_mutex_unlock(&recall->lock);
	if (!is_kept)
		objects_close(objects);
}

void recall_halt(Recall *recall, bool is_halted) {
	pthread_mutex_lock(&recall->lock);
	recall->is_halted = is_halted;
	for (size_t i = 0; i < sizeof recall->active / sizeof *recall->active && is_halted; i++)
		if (recall->active[i])
			objects_stop(recall->active[i]);
	pthread_cond_broadcast(&recall->changed);
	pthread_mutex_unlock(&recall->lock);
}

void recall_has_moved(Recall *recall) {
	pthread_mutex_lock(&recall->lock);
	recall->moved_ms = monotonic_ms();
	recall->away_until = 0;
	pthread_mutex_unlock(&recall->lock);
}

/* ---- one segment ---- */

int recall_survey(Recall *recall, uint64_t *ret_lacking, uint64_t *ret_left_out) {
	Objects *objects = NULL;
	int rc = take_objects(recall, false, &objects);
	if (rc < 0)
		return rc;
	rc = recall_list_place(recall, objects, ret_lacking, ret_left_out);
	put_objects(recall, false, objects, rc == 0);
	return rc < 0 ? rc : recall_keep_lacking(recall);
}

/* Under the lock, so that removing it comes before or after. */
static int publish(Recall *recall, struct recall_segment *segment, const char *temporary, const char *name) {
	pthread_mutex_lock(&recall->lock);
	int rc = segment->is_dropped ? fault(ENOENT, "%s was removed", name)
	                             : vault_io_rename(recall->io, temporary, name);
	segment->is_here = rc == 0;
	pthread_mutex_unlock(&recall->lock);
	return rc;
}

static int fetch(Recall *recall, struct recall_segment *segment, bool is_background, struct recall_outcome *ret) {
	char name[VAULT_NAME_MAX], temporary[VAULT_NAME_MAX], directory[VAULT_NAME_MAX + 1];
	Objects *objects = NULL;
	name_of(segment, "", name);
	name_of(segment, ".tmp", temporary);
	vault_io_directory_of(name, directory);
	int rc = take_objects(recall, is_background, &objects);
	if (rc < 0)
		return rc;
	rc = vault_io_mkdir(recall->io, directory);
	if (rc == 0)
		rc = vault_io_sync_dir(recall->io, "segments");
	if (rc == 0)
		rc = recall_fetch(recall, objects, segment, temporary, ret);
	put_objects(recall, is_background, objects, rc != -ECANCELED);
	if (rc == 0)
		rc = publish(recall, segment, temporary, name);
	if (rc == 0)
		return vault_io_sync_dir(recall->io, directory);
	char words[FAULT_MESSAGE_BYTES];
	(void)snprintf(words, sizeof words, "%s", fault_message());
	(void)vault_io_unlink(recall->io, temporary);
	return fault(-rc, "fetching %s from %s: %s", name, recall->origin.url, words);
}

/* What kept the place from answering at all: that of all segments, not of one. */
static bool is_of_place(int rc) {
	return rc == -ETIMEDOUT || rc == -ECONNREFUSED || rc == -EHOSTUNREACH || rc == -EIO;
}

/* Whether who reads is to wait no longer. */
static int refuse_reader(const Recall *recall) {
	int64_t now = monotonic_ms();
	if (now < recall->away_until)
		return fault(EIO, "%s (it is tried again in a moment)", recall->away);
	if (recall->readers > RECALL_READERS && now - recall->moved_ms > RECALL_SILENCE_MS)
		return fault(EIO, "%s answers nothing, and many wait for it", recall->origin.url);
	return 0;
}

static void await_change(Recall *recall, enum recall_who who) {
	struct timespec until = deadline_after_ms(RECALL_SILENCE_MS / 4);
	if (who == RECALL_READER && recall->readers > RECALL_READERS)
		(void)pthread_cond_timedwait(&recall->changed, &recall->lock, &until);
	else
		pthread_cond_wait(&recall->changed, &recall->lock);
}

/* Waits until it is this thread's turn to fetch: 1; 0: it is here; what ailed the fetch that was waited for. */
static int await_turn(Recall *recall, struct recall_segment *segment, enum recall_who who) {
	bool has_waited = false;
	unsigned turn = segment->turn;
	for (;;) {
		if (segment->is_here || recall->is_over)
			return 0;
		if (segment->is_dropped)
			return fault(ENOENT, "a segment that was removed");
		if (recall->is_halted)
			return fault(ECANCELED, "the mount is ending");
		if (has_waited && segment->turn != turn && segment->rc < 0)
			return fault(-segment->rc, "%s", segment->words);
		int rc = who == RECALL_READER ? refuse_reader(recall) : 0;
		if (rc < 0)
			return rc;
		if (!segment->is_fetching && recall->fetches < RECALL_FETCHES)
			return 1;
		has_waited = has_waited || segment->is_fetching;
		await_change(recall, who);
	}
}

static void end_turn(Recall *recall, struct recall_segment *segment, int rc, const struct recall_outcome *outcome) {
	segment->is_fetching = false;
	segment->is_absent = segment->is_outside && (outcome->is_none || rc == -ENODATA);
	segment->is_lacking = rc == -ENODATA || (rc < 0 && segment->is_lacking);
	recall->damaged += rc == 0 && outcome->is_damaged;
	segment->turn++;
	segment->rc = rc;
	(void)snprintf(segment->words, sizeof segment->words, "%s", rc < 0 ? fault_message() : "");
	(void)snprintf(recall->trouble, sizeof recall->trouble, "%s", segment->words);
	if (is_of_place(rc)) {
		recall->away_until = monotonic_ms() + RECALL_AWAY_MS;
		(void)snprintf(recall->away, sizeof recall->away, "%s", segment->words);
	}
	recall->fetches--;
	pthread_cond_broadcast(&recall->changed);
}

int recall_ensure(Recall *recall, struct recall_segment *segment, enum recall_who who) {
	struct recall_outcome outcome = {0};
	pthread_mutex_lock(&recall->lock);
	if (who == RECALL_READER && recall->readers++ == 0)
		recall->moved_ms = monotonic_ms();
	int rc = await_turn(recall, segment, who);
	if (rc == 1) {
		segment->is_fetching = true;
		recall->fetches++;
		pthread_mutex_unlock(&recall->lock);
		rc = fetch(recall, segment, who == RECALL_THREAD, &outcome);
		pthread_mutex_lock(&recall->lock);
		end_turn(recall, segment, rc, &outcome);
	}
	recall->readers -= who == RECALL_READER;
	pthread_mutex_unlock(&recall->lock);
	return rc;
}

/* ---- the rest ---- */

/* Whose fetch failed for a reason that the others don't have. */
static bool is_its_own(int rc) {
	return rc == -ENODATA || rc == -ENOENT || rc == -EBADMSG;
}

/* Of what is missing, the first by number that was not tried in this round and that nobody fetches. NULL: there is
 * none; *ret_failed of those that were; *ret_busy: somebody fetches one still. */
static struct recall_segment *look_for_missing(Recall *recall, uint64_t *ret_failed, bool *ret_busy) {
	*ret_failed = 0;
	*ret_busy = false;
	for (size_t i = 0; i < recall->count; i++) {
		struct recall_segment *segment = &recall->segments[recall->numbers[i]];
		if (!is_missing(segment) || segment->is_absent)
			continue;
		if (!segment->has_failed && !segment->is_fetching && !segment->is_claimed)
			return segment;
		*ret_failed += segment->has_failed;
		*ret_busy = *ret_busy || segment->is_fetching || segment->is_claimed;
	}
	return NULL;
}

static struct recall_segment *next_missing(Recall *recall, uint64_t *ret_failed) {
	struct recall_segment *next = NULL;
	bool is_busy = false;
	pthread_mutex_lock(&recall->lock);
	while (!(next = look_for_missing(recall, ret_failed, &is_busy)) && is_busy)
		pthread_cond_wait(&recall->changed, &recall->lock);
	for (size_t i = 0; i < recall->count && !next; i++)
		recall->segments[i].has_failed = false;
	if (next)
		next->is_claimed = true;
	pthread_mutex_unlock(&recall->lock);
	return next;
}

static int end_origin(Recall *recall) {
	pthread_mutex_lock(&recall->lock);
	int rc = recall->is_over ? -ENOENT : vault_io_unlink(recall->io, ORIGIN_NAME);
	if (rc == -ENOENT)
		rc = 0;
	if (rc == 0)
		rc = vault_io_sync_dir(recall->io, "");
	if (rc == 0)
		recall->is_over = true;
	pthread_mutex_unlock(&recall->lock);
	return rc;
}

static int next(Recall *recall, enum recall_who who, uint64_t *ret_bytes) {
	char words[FAULT_MESSAGE_BYTES] = "see before";
	for (;;) {
		uint64_t failed = 0;
		struct recall_segment *segment = recall->is_ready ? next_missing(recall, &failed) : NULL;
		if (!recall->is_ready)
			return fault(EINVAL, "what is missing of %s is not known yet", recall->origin.url);
		if (!segment && failed > 0 && recall_keep_lacking(recall) < 0)
			return -EIO;
		if (!segment && failed > 0)
			return fault(ENODATA, "%" PRIu64 " segment%s can't be fetched: %s", failed,
			        failed == 1 ? "" : "s", words);
		if (!segment)
			return end_origin(recall);
		int rc = recall_ensure(recall, segment, who);
		pthread_mutex_lock(&recall->lock);
		segment->is_claimed = false;
		segment->has_failed = is_its_own(rc);
		pthread_cond_broadcast(&recall->changed);
		pthread_mutex_unlock(&recall->lock);
		if (rc == 0) {
			*ret_bytes = segment->bytes;
			return 1;
		}
		if (!is_its_own(rc))
			return rc;
		(void)snprintf(words, sizeof words, "%s", fault_message());
	}
}

int recall_next(Recall *recall, uint64_t *ret_bytes) {
	return next(recall, RECALL_REST, ret_bytes);
}

static void tell(Recall *recall, const char *words) {
	if (recall->notice)
		recall->notice(recall->notice_arg, words);
}

/* Whether to go on. */
static bool rest(Recall *recall, unsigned ms) {
	struct timespec until = deadline_after_ms(ms);
	pthread_mutex_lock(&recall->lock);
	while (!recall->is_stopping && pthread_cond_timedwait(&recall->changed, &recall->lock, &until) == 0)
		;
	bool goes_on = !recall->is_stopping;
	pthread_mutex_unlock(&recall->lock);
	return goes_on;
}

static void *fetch_rest(void *arg) {
	Recall *recall = arg;
	char words[FAULT_MESSAGE_BYTES + 128];
	unsigned pause = 0;
	uint64_t bytes = 0;
	for (;;) {
		int rc = next(recall, RECALL_THREAD, &bytes);
		if (rc == 0)
			break;
		if (rc < 0 && pause == 0) {
			(void)snprintf(words, sizeof words, "%s (what is here can be used; it is tried again)",
			        fault_message());
			if (rc != -ECANCELED)
				tell(recall, words);
		}
		pause = rc > 0                      ? 0
		        : pause == 0                ? PAUSE_MS_LEAST
		        : pause * 2 < PAUSE_MS_MOST ? pause * 2
		                                    : PAUSE_MS_MOST;
		if (!rest(recall, pause))
			return NULL;
	}
	(void)snprintf(words, sizeof words, "all that %s has of this vault is here", recall->origin.url);
	tell(recall, words);
	return NULL;
}

int recall_start(Recall *recall) {
	recall->is_stopping = false;
	int error = pthread_create(&recall->thread, NULL, fetch_rest, recall);
	recall->is_running = error == 0;
	return error ? fault_errno(error, "starting the thread that fetches from %s", recall->origin.url) : 0;
}

void recall_stop(Recall *recall) {
	if (!recall->is_running)
		return;
	pthread_mutex_lock(&recall->lock);
	recall->is_stopping = true;
	if (recall->background)
		objects_stop(recall->background);
	pthread_cond_broadcast(&recall->changed);
	pthread_mutex_unlock(&recall->lock);
	pthread_join(recall->thread, NULL);
	recall->is_running = recall->is_stopping = false;
}
