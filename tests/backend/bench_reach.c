/*
 * How long a round looks for what is below a prefix: bench_reach DIRECTORY [FILES]. The vault is made in DIRECTORY; all
 * its files of a block are below the prefix.
 */
#include "backend/backup/reach.h"
#include "backend/content.h"
#include "backend/store.h"
#include "backend/tree.h"
#include "crypto/base/deadline.h"
#include "crypto/base/fault.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define PASSPHRASE "bench"
#define IN_A_FOLDER 1000

static void must(int rc, const char *what) {
	if (rc >= 0)
		return;
	(void)fprintf(stderr, "bench_reach: %s: %s\n", what, fault_message());
	exit(1);
}

static uint64_t make(Store *store, uint64_t parent, unsigned number, uint32_t type) {
	char name[20];
	struct node attributes = {.mode = type | 0755}, node = {0};
	Meta *m = store_meta(store);
	(void)snprintf(name, sizeof name, "%u", number);
	meta_begin(m);
	must(meta_end(m, tree_create(m, parent, bytes_of_string(name), &attributes, bytes_of(NULL, 0), &node)),
	        "making");
	return node.id;
}

static void fill(Store *store, uint64_t node) {
	static const uint8_t data[1000] = {1, 2, 3};
	Content *c = NULL;
	must(content_open(store, node, 0, &c), "opening");
	must(content_write(c, 0, bytes_of(data, sizeof data)), "writing");
	must(content_seal(c, ORIGIN_WRITE, 0, NULL, NULL, NULL, NULL), "sealing");
	content_close(c);
}

static void look(Reach *reach, Store *store, const char *what) {
	int64_t began = monotonic_ns();
	must(reach_look(reach, store), "looking");
	(void)printf("%s: %.1f ms\n", what, (double)(monotonic_ns() - began) / 1000000);
}

int main(int argc, char **argv) {
	unsigned files = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 50000;
	const struct store_secret secret = {.bytes = bytes_of_string(PASSPHRASE)};
	const struct store_init_options init = {.argon_memory = 8192, .argon_passes = 1};
	static const struct store_options options;
	char path[4096], recovery[STORE_RECOVERY_TEXT_BYTES];
	Store *store = NULL;
	Reach *reach = NULL;
	if (argc < 2)
		return 2;
	(void)snprintf(path, sizeof path, "%s/vault", argv[1]);
	must(store_init(path, bytes_of_string(PASSPHRASE), &init, recovery), "making the vault");
	must(store_open(path, &secret, &options, &store), "opening the vault");
	uint64_t folder = 0;
	for (unsigned i = 0; i < files; i++) {
		if (i % IN_A_FOLDER == 0)
			folder = make(store, NODE_LANDING, i / IN_A_FOLDER, S_IFDIR);
		fill(store, make(store, folder, i, S_IFREG));
	}
	must(reach_new(0x1e, "", &reach), "a prefix");
	look(reach, store, "first");
	for (int i = 0; i < 3; i++) {
		fill(store, make(store, folder, files + (unsigned)i, S_IFREG));
		look(reach, store, "after a new file");
	}
	reach_free(reach);
	return store_close(store) < 0;
}
