/*
 * The program on a disk that fails when the test says so: while the file that ASSAYFS_TEST_FAIL names is there, no
 * commit becomes durable. The linker puts this in the place of its own (--wrap), in this one program, which is never
 * installed.
 */
#include "backend/metadb.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

int __real_metadb_sync(MetaDb *db);
int __wrap_metadb_sync(MetaDb *db);

int __wrap_metadb_sync(MetaDb *db) {
	const char *sign = getenv("ASSAYFS_TEST_FAIL");
	if (sign && access(sign, F_OK) == 0)
		return fault(EIO, "syncing the log: the disk fails");
	return __real_metadb_sync(db);
}
