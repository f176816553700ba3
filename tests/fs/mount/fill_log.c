/* fill_log VAULT PASSFILE SIZE: adds records to a vault's audit log, as its operations would, until it has SIZE of them
 * when the vault is closed (whose own record is the last). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/audit.h"
#include "backend/store.h"
#include "crypto/base/fault.h"

#define AT_ONCE 64

static int add(Meta *m, uint64_t number) {
	static const char *const events[] = {"open", "close", "create", "rename", "unlink"};
	char path[80];
	snprintf(path, sizeof path, "Landing/folder-%" PRIu64 "/file-%" PRIu64 ".csv", number % 97, number % 8191);
	const struct audit_event event = {.event = events[number % 5],
	        .actor = {.uid = 1000 + (uint32_t)(number % 7),
	                .gid = 100,
	                .pid = 4000 + (int32_t)(number % 999),
	                .exe = "cp"},
	        .path = path,
	        .outcome = number % 41 ? "ok" : "denied",
	        .err = number % 41 ? 0 : 13,
	        .node = 5 + number % 8191,
	        .bytes = number % 10007};
	return audit_record(m, &event, NULL);
}

static int fill(Meta *m, uint64_t wanted) {
	int rc = 0;
	for (bool is_full = false; rc >= 0 && !is_full;) {
		meta_begin(m);
		for (int i = 0; rc >= 0 && i < AT_ONCE && !(is_full = audit_size(m) >= wanted); i++)
			rc = add(m, audit_size(m));
		rc = meta_end(m, rc);
	}
	return rc;
}

static size_t read_secret(const char *path, char *room, size_t size) {
	FILE *file = fopen(path, "re");
	if (!file || !fgets(room, (int)size, file))
		*room = '\0';
	if (file)
		(void)fclose(file);
	return strcspn(room, "\n");
}

int main(int argc, char **argv) {
	char passphrase[256];
	Store *store = NULL;
	if (argc != 4)
		return 2;
	struct store_secret secret = {
	        .bytes = bytes_of(passphrase, read_secret(argv[2], passphrase, sizeof passphrase))};
	uint64_t wanted = strtoull(argv[3], NULL, 10);
	int rc = store_open(argv[1], &secret, NULL, &store);
	if (rc == 0)
		rc = fill(store_meta(store), wanted - 1);
	int closed = store_close(store);
	if (rc < 0 || closed < 0)
		fprintf(stderr, "fill_log: %s\n", fault_message());
	return rc < 0 || closed < 0;
}
