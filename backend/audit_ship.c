#include "backend/audit_ship.h"

#include "backend/audit_archive.h"
#include "backend/vault_io.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

int audit_ship(const char *directory, const char *vault_id, uint64_t first, uint64_t last, struct bytes file,
        char ret_place[static AUDIT_SHIP_PLACE_BYTES], uint8_t ret_sha256[static DIGEST_BYTES]) {
	_cleanup_(vault_io_closep) VaultIo *io = NULL;
	_cleanup_(freep) char *path = realpath(directory, NULL);
	_cleanup_(freep) uint8_t *again = NULL;
	char name[VAULT_NAME_MAX + 1];
	size_t size = 0;
	if (!path)
		return fault_errno(errno, "finding %s", directory);
	(void)snprintf(
	        name, sizeof name, "assayfs-log-%.40s-%012" PRIu64 "-%012" PRIu64 ".sealed", vault_id, first, last);
	int rc = vault_io_open(path, &io);
	if (rc == 0)
		rc = vault_io_replace(io, name, file);
	if (rc == 0)
		rc = vault_io_read_all(io, name, AUDIT_ARCHIVE_BYTES_MAX, &again, &size);
	if (rc < 0)
		return rc;
	sha256(bytes_of(again, size), ret_sha256);
	(void)snprintf(ret_place, AUDIT_SHIP_PLACE_BYTES, "%s/%s", path, name);
	return 0;
}
