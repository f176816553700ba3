/* Measures content and store without a mount. Usage: bench_content DIR [MiB]; DIR/vault is made and left. */
#include "backend/content.h"
#include "backend/store.h"
#include "backend/tree.h"
#include "crypto/base/fault.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MUST(call)                                                                           \
	do {                                                                                 \
		if ((call) < 0) {                                                            \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, fault_message()); \
			exit(1);                                                             \
		}                                                                            \
	} while (0)

static Store *store;

static double now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static Content *create(const char *name) {
	struct node attributes = {.mode = S_IFREG | 0644}, node = {0};
	Content *c = NULL;
	Meta *m = store_meta(store);
	meta_begin(m);
	MUST(meta_end(m, tree_create(m, NODE_LANDING, bytes_of_string(name), &attributes, bytes_of(NULL, 0), &node)));
	MUST(content_open(store, node.id, 0, &c));
	return c;
}

static void seal(Content *c) {
	MUST(content_seal(c, ORIGIN_WRITE, 0, NULL, NULL, NULL, NULL));
}

static void sequential(Content *c, uint8_t *data, size_t step, uint64_t total, const char *what) {
	double start = now();
	for (uint64_t at = 0; at < total; at += step)
		MUST(content_write(c, at, bytes_of(data, step)));
	seal(c);
	double took = now() - start;
	printf("%-28s %8.2f GB/s  %.2f us each\n", what, (double)total / took / 1e9,
	        took / ((double)total / (double)step) * 1e6);
}

static void reading(Content *c, uint8_t *data, size_t step, uint64_t total, bool random_order, const char *what) {
	size_t n = (size_t)(total / step), reads = random_order && n > 50000 ? 50000 : n, got;
	double start = now();
	for (size_t i = 0; i < reads; i++)
		MUST(content_read(c, (random_order ? (size_t)random() % n : i) * step, data, step, &got));
	double took = now() - start;
	printf("%-28s %8.2f GB/s  %.2f us each\n", what, (double)(reads * step) / took / 1e9,
	        took / (double)reads * 1e6);
}

static void overwriting(Content *c, uint8_t *data, uint64_t total) {
	size_t n = 50000;
	double start = now();
	for (size_t i = 0; i < n; i++)
		MUST(content_write(c, (uint64_t)random() % (total / 4096) * 4096, bytes_of(data, 4096)));
	seal(c);
	double took = now() - start;
	printf("%-28s %8.0f /s     %.2f us each\n", "4 KiB random overwrites", (double)n / took,
	        took / (double)n * 1e6);
}

static void small_files(uint8_t *data) {
	size_t n = 10000;
	double start = now();
	for (size_t i = 0; i < n; i++) {
		char name[32];
		(void)snprintf(name, sizeof name, "small%zu", i);
		Content *c = create(name);
		MUST(content_write(c, 0, bytes_of(data, 4096)));
		seal(c);
		content_close(c);
	}
	MUST(store_commit_wait(store));
	double took = now() - start;
	printf("%-28s %8.0f /s     %.2f us each\n", "new files of 4 KiB", (double)n / took, took / (double)n * 1e6);
}

static void syncs(Content *c, uint8_t *data) {
	size_t n = 500;
	double start = now();
	for (size_t i = 0; i < n; i++) {
		MUST(content_write(c, 0, bytes_of(data, 4096)));
		MUST(content_sync(c));
	}
	double took = now() - start;
	printf("%-28s %8.0f /s     %.2f us each\n", "4 KiB write + fsync", (double)n / took, took / (double)n * 1e6);
}

int main(int argc, char **argv) {
	uint64_t total = (argc > 2 ? strtoull(argv[2], NULL, 10) : 1024) << 20;
	char vault[4096], recovery[STORE_RECOVERY_TEXT_BYTES];
	struct store_init_options init = {.argon_memory = 8192, .argon_passes = 1};
	struct store_secret secret = {.bytes = bytes_of_string("x")};
	uint8_t *data = calloc(1, 1 << 20);
	if (argc < 2)
		return fprintf(stderr, "usage: bench_content DIR [MiB]\n"), 2;
	(void)snprintf(vault, sizeof vault, "%s/vault", argv[1]);
	MUST(store_init(vault, secret.bytes, &init, recovery));
	MUST(store_open(vault, &secret, NULL, &store));
	Content *large = create("large"), *fine = create("fine");
	sequential(large, data, 1 << 20, total, "1 MiB writes in order");
	sequential(fine, data, 4096, total / 4, "4 KiB writes in order");
	reading(large, data, 1 << 20, total, false, "1 MiB reads in order");
	reading(large, data, 128 << 10, total, false, "128 KiB reads in order");
	reading(large, data, 4096, total, true, "4 KiB reads at random");
	overwriting(large, data, total);
	small_files(data);
	syncs(fine, data);
	content_close(fine);
	content_close(large);
	MUST(store_close(store));
	free(data);
	return 0;
}
