#include "backend/objects/s3_http.h"

#include "backend/objects/s3_transfer.h"
#include "crypto/base/deadline.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define PARALLEL_DEFAULT 8
#define PARALLEL_MAX 64
#define ATTEMPTS_DEFAULT 5
#define PAUSE_MS 500
#define PAUSE_MS_MAX 8000
#define RETRY_AFTER_S_MAX 20
#define STALL_S 15
#define CONNECT_MS 10000
/* For what a server does before it answers; what is silent so long has stalled before. */
#define BASE_MS 60000
/* An uplink of 512 kbit/s, of slow DSL, leaves each of eight requests at once 8 KiB/s; half of it, as they share it
 * neither evenly nor alone. More would keep such a link from ever getting an object there; with this a server that
 * drips holds 16 MiB for 70 minutes a try, not for ever. */
#define LEAST_RATE 4096
#define POLL_MS 1000

struct S3Http {
	struct s3_shared shared;
	struct s3_credentials *credentials;
	CURLM *multi;
	unsigned parallel, attempts;
	struct s3_transfer *slots;
	atomic_bool is_stopped;
	struct s3_http_counts counts;
};

/* A run of calls. */
struct run {
	struct s3_call *calls;
	size_t count, next, done, paused, under_way;
};

void s3_call_clear(struct s3_call *call) {
	free(call->text);
	call->text = NULL;
	call->text_size = 0;
}

static int open_slots(S3Http *http) {
	http->multi = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? curl_multi_init() : NULL;
	http->slots = calloc(http->parallel, sizeof *http->slots);
	bool is_open = http->multi && http->slots;
	for (unsigned i = 0; is_open && i < http->parallel; i++)
		is_open = (http->slots[i].easy = curl_easy_init()) != NULL;
	if (!is_open)
		return fault(ENOMEM, "no memory to reach S3");
	(void)curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, (long)http->parallel);
	(void)curl_multi_setopt(http->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
	return 0;
}

int s3_http_open(struct s3_credentials *credentials, const char *bucket, unsigned parallel, unsigned attempts,
        const struct s3_tuning *tuning, S3Http **ret_http) {
	_cleanup_(s3_http_closep) S3Http *http = calloc(1, sizeof *http);
	if (!http)
		return fault(ENOMEM, "no memory to reach S3");
	int rc = s3_site_make(credentials->endpoint, credentials->region, bucket, &http->shared.site);
	if (rc < 0)
		return rc;
	struct s3_tuning wanted = tuning ? *tuning : (struct s3_tuning){0};
	http->shared.tuning = (struct s3_tuning){
	        .pause_ms = wanted.pause_ms ? wanted.pause_ms : PAUSE_MS,
	        .stall_s = wanted.stall_s ? wanted.stall_s : STALL_S,
	        .connect_ms = wanted.connect_ms ? wanted.connect_ms : CONNECT_MS,
	        .base_ms = wanted.base_ms ? wanted.base_ms : BASE_MS,
	        .least_rate = wanted.least_rate ? wanted.least_rate : LEAST_RATE,
	};
	(void)snprintf(http->shared.bucket, sizeof http->shared.bucket, "%s", bucket);
	http->parallel = parallel == 0 ? PARALLEL_DEFAULT : parallel < PARALLEL_MAX ? parallel : PARALLEL_MAX;
	http->attempts = attempts ? attempts : ATTEMPTS_DEFAULT;
	rc = open_slots(http);
	if (rc < 0)
		return rc;
	http->credentials = credentials;
	http->shared.credentials = credentials;
	*ret_http = steal_pointer(&http);
	return 0;
}

void s3_http_close(S3Http *http) {
	if (!http)
		return;
	for (unsigned i = 0; http->slots && i < http->parallel; i++)
		if (http->slots[i].easy)
			curl_easy_cleanup(http->slots[i].easy);
	if (http->multi)
		(void)curl_multi_cleanup(http->multi);
	free(http->slots);
	secret_free(http->credentials);
	free(http);
}

void s3_http_stop(S3Http *http) {
	atomic_store(&http->is_stopped, true);
	(void)curl_multi_wakeup(http->multi);
}

bool s3_http_is_aws(const S3Http *http) {
	return http->shared.site.is_aws;
}

const char *s3_http_region(const S3Http *http) {
	return http->credentials->region;
}

struct s3_http_counts s3_http_counts(const S3Http *http) {
	return http->counts;
}

/* ---- one call ---- */

static void say_fault(struct s3_call *call, int rc) {
	call->rc = rc;
	(void)snprintf(call->words, sizeof call->words, "%s", fault_message());
}

static void finish(struct run *run, struct s3_call *call) {
	call->state = S3_CALL_DONE;
	run->done++;
}

/* From half to one and a half times the pause, so that those that failed together don't come back together. */
static int64_t pause_of(const S3Http *http, const struct s3_call *call, unsigned retry_after_s) {
	unsigned doublings = call->pauses < 10 ? call->pauses : 10;
	uint64_t pause = (uint64_t)http->shared.tuning.pause_ms << doublings;
	if (pause > PAUSE_MS_MAX)
		pause = PAUSE_MS_MAX;
	uint16_t chance = 0;
	if (getrandom(&chance, sizeof chance, 0) < 0)
		chance = 0;
	pause = pause / 2 + pause * chance / UINT16_MAX;
	uint64_t wished = (retry_after_s < RETRY_AFTER_S_MAX ? retry_after_s : RETRY_AFTER_S_MAX) * UINT64_C(1000);
	return (int64_t)(pause > wished ? pause : wished);
}

static void pause_or_give_up(S3Http *http, struct run *run, struct s3_call *call, unsigned retry_after_s) {
	if (call->rc == -ETIMEDOUT)
		call->attempts++; /* it has cost `stall_s` already, or more */
	if (call->attempts >= http->attempts) {
		finish(run, call);
		return;
	}
	call->state = S3_CALL_PAUSED;
	call->due_ms = monotonic_ms() + pause_of(http, call, retry_after_s);
	call->pauses++;
	run->paused++;
	http->counts.retries++;
}

static void begin(S3Http *http, struct run *run, struct s3_transfer *slot, struct s3_call *call) {
	call->attempts++;
	http->counts.attempts++;
	int rc = s3_transfer_begin(slot, &http->shared, call);
	if (rc == 0 && curl_multi_add_handle(http->multi, slot->easy) != CURLM_OK) {
		s3_transfer_end(slot);
		rc = fault(ENOMEM, "no memory to reach S3");
	}
	if (rc < 0) {
		say_fault(call, rc);
		finish(run, call);
		return;
	}
	call->state = S3_CALL_UNDER_WAY;
	run->under_way++;
}

static void end(S3Http *http, struct run *run, struct s3_transfer *slot, CURLcode result) {
	struct s3_call *call = slot->call;
	int64_t offset_s = 0;
	long connections = 0;
	enum s3_verdict verdict = s3_judge(slot, result, &offset_s);
	unsigned retry_after_s = slot->retry_after_s;
	(void)curl_easy_getinfo(slot->easy, CURLINFO_NUM_CONNECTS, &connections);
	http->counts.connections += (uint64_t)connections;
	(void)curl_multi_remove_handle(http->multi, slot->easy);
	s3_transfer_end(slot);
	run->under_way--;
	switch (verdict) {
	case S3_AGAIN_NOW:
		http->shared.clock_offset_s = offset_s;
		call->state = S3_CALL_PAUSED;
		call->due_ms = 0;
		run->paused++;
		http->counts.retries++;
		break;
	case S3_AGAIN:
		pause_or_give_up(http, run, call, retry_after_s);
		break;
	case S3_DONE:
		finish(run, call);
		break;
	}
}

/* ---- the run ---- */

/* The next to begin: one whose pause is over, else a new one. */
static struct s3_call *next_call(struct run *run, int64_t now_ms) {
	for (size_t i = 0; run->paused && i < run->next; i++)
		if (run->calls[i].state == S3_CALL_PAUSED && run->calls[i].due_ms <= now_ms) {
			run->paused--;
			return &run->calls[i];
		}
	return run->next < run->count ? &run->calls[run->next++] : NULL;
}

static void fill_slots(S3Http *http, struct run *run) {
	int64_t now_ms = monotonic_ms();
	for (unsigned i = 0; i < http->parallel; i++) {
		while (!http->slots[i].call) {
			struct s3_call *call = next_call(run, now_ms);
			if (!call)
				return;
			begin(http, run, &http->slots[i], call);
		}
	}
}

static void end_those_done(S3Http *http, struct run *run) {
	int left = 0;
	for (CURLMsg *message; (message = curl_multi_info_read(http->multi, &left));) {
		struct s3_transfer *slot = NULL;
		CURLcode result = message->data.result;
		if (message->msg == CURLMSG_DONE &&
		        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&slot) == CURLE_OK)
			end(http, run, slot, result);
	}
}

/* How long nothing needs to be begun. */
static int wait_ms(const S3Http *http, const struct run *run) {
	int64_t least = POLL_MS;
	int64_t now_ms = monotonic_ms();
	if (run->under_way < http->parallel && run->next < run->count)
		return 0;
	if (run->under_way < http->parallel)
		for (size_t i = 0; run->paused && i < run->next; i++)
			if (run->calls[i].state == S3_CALL_PAUSED && run->calls[i].due_ms - now_ms < least)
				least = run->calls[i].due_ms - now_ms;
	return least < 0 ? 0 : (int)least;
}

static void cancel(S3Http *http, struct run *run, int error, const char *words) {
	for (unsigned i = 0; i < http->parallel; i++)
		if (http->slots[i].call) {
			(void)curl_multi_remove_handle(http->multi, http->slots[i].easy);
			s3_transfer_end(&http->slots[i]);
		}
	for (size_t i = 0; i < run->count; i++)
		if (run->calls[i].state != S3_CALL_DONE) {
			run->calls[i].rc = -error;
			(void)snprintf(run->calls[i].words, sizeof run->calls[i].words, "%s", words);
			finish(run, &run->calls[i]);
		}
}

void s3_http_run(S3Http *http, struct s3_call *calls, size_t count) {
	struct run run = {.calls = calls, .count = count};
	while (run.done < count) {
		if (atomic_load(&http->is_stopped)) {
			cancel(http, &run, ECANCELED, "requests to S3 were stopped");
			break;
		}
		fill_slots(http, &run);
		int running = 0;
		CURLMcode code = curl_multi_perform(http->multi, &running);
		if (code == CURLM_OK) {
			end_those_done(http, &run);
			if (run.done < count)
				code = curl_multi_poll(http->multi, NULL, 0, wait_ms(http, &run), NULL);
		}
		if (code != CURLM_OK)
			cancel(http, &run, EIO, curl_multi_strerror(code));
	}
}
