/*
 * How fast a vault is shipped the first time: bench_backup DIRECTORY [MIB [URL]]. The vault is made in DIRECTORY, the
 * place is URL or a directory beside it.
 */
#include "backend/backup/backup.h"
#include "backend/content.h"
#include "backend/store.h"
#include "backend/tree.h"
#include "crypto/base/deadline.h"
#include "crypto/base/fault.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define PASSPHRASE "bench"
#define FILE_BYTES ((size_t)8 << 20)

static void must(int rc, const char *what) {
	if (rc >= 0)
		return;
	(void)fprintf(stderr, "bench_backup: %s: %s\n", what, fault_message());
	exit(1);
}

static void fill(Store *store, unsigned number, const uint8_t *data) {
	char name[20];
	struct node attributes = {.mode = S_IFREG | 0644}, node = {0};
	Meta *m = store_meta(store);
	Content *c = NULL;
	(void)snprintf(name, sizeof name, "%u", number);
	meta_begin(m);
	must(meta_end(m, tree_create(m, NODE_LANDING, bytes_of_string(name), &attributes, bytes_of(NULL, 0), &node)),
	        "creating");
	must(content_open(store, node.id, 0, &c), "opening");
	must(content_write(c, 0, bytes_of(data, FILE_BYTES)), "writing");
	must(content_seal(c, ORIGIN_WRITE, 0, NULL, NULL, NULL, NULL), "sealing");
	content_close(c);
}

static void ship(Store *store, struct backup_target *target, unsigned mib) {
	const struct actor actor = {.exe = "bench"};
	Backup *backup = NULL;
	struct backup_verify_summary summary = {0};
	must(backup_open(store, NULL, &backup), "opening the backup");
	int64_t began = monotonic_ms();
	must(backup_add(backup, target, true, &actor), "adding the target");
	must(backup_sync(backup, NULL, 600000), "shipping");
	int64_t shipped = monotonic_ms();
	must(backup_verify(backup, target->url, 100, false, NULL, NULL, NULL, &summary), "verifying");
	int64_t verified = monotonic_ms();
	struct rusage usage;
	(void)getrusage(RUSAGE_SELF, &usage);
	(void)printf("shipped %u MiB in %.2f s, %.0f MiB/s; verified in %.2f s; %ld MiB of memory at most\n", mib,
	        (double)(shipped - began) / 1000, mib * 1000.0 / (double)(shipped - began + 1),
	        (double)(verified - shipped) / 1000, usage.ru_maxrss / 1024);
	backup_close(backup, 0);
}

int main(int argc, char **argv) {
	char path[4096], recovery[STORE_RECOVERY_TEXT_BYTES];
	struct store_init_options init = {.argon_memory = 8192, .argon_passes = 1};
	struct store_secret secret = {.kind = STORE_PASSPHRASE, .bytes = bytes_of_string(PASSPHRASE)};
	static const struct store_options options;
	static struct backup_target target;
	Store *store = NULL;
	if (argc < 2)
		return 2;
	unsigned mib = argc > 2 ? (unsigned)atoi(argv[2]) : 1024;
	(void)snprintf(path, sizeof path, "%s/vault", argv[1]);
	(void)snprintf(target.url, sizeof target.url, "file://%.400s/place", argv[1]);
	if (argc > 3)
		(void)snprintf(target.url, sizeof target.url, "%s", argv[3]);
	must(store_init(path, bytes_of_string(PASSPHRASE), &init, recovery), "making a vault");
	must(store_open(path, &secret, &options, &store), "opening it");
	uint8_t *data = malloc(FILE_BYTES);
	if (!data)
		return 1;
	for (size_t i = 0; i < FILE_BYTES; i++)
		data[i] = (uint8_t)(i * 7 + i / 4096);
	int64_t began = monotonic_ms();
	for (unsigned i = 0; i < mib / 8; i++)
		fill(store, i, data);
	must(store_commit_wait(store), "committing");
	(void)printf("written in %.2f s\n", (double)(monotonic_ms() - began) / 1000);
	free(data);
	ship(store, &target, mib);
	return store_close(store) < 0;
}
