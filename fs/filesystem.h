/*
 * filesystem: what all operations of one mount share, and the ways by which other parts of the daemon touch it.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "backend/backup/backup.h"
#include "backend/store.h"
#include "backend/tree.h"
#include "fs/access_times.h"
#include "fs/aside.h"
#include "fs/gate_hooks.h"
#include "fs/idle.h"
#include "fs/inode.h"
#include "fs/kms_watch.h"
#include "fs/metrics.h"
#include "fs/notify.h"
#include "fs/operation_stats.h"
#include "fs/programs.h"
#include "fs/read_buffers.h"
#include "fs/session.h"
#include "fs/used_names.h"
#include "fs/virtual.h"

struct filesystem {
	struct session_owner owner; /* first: the session finds itself by it */
	Store *store;
	Meta *meta;
	InodeTable *inodes;
	AccessTimes *access_times;
	ReadBuffers *read_buffers;
	Notifier *notifier;
	VirtualTree *virtual_tree;
	struct aside verdicts;         /* the closes that wait for theirs */
	struct aside write_backs;      /* SEEK_DATA that waits for the kernel to write back */
	struct programs programs;      /* of those who ask */
	struct used_names used_names;  /* of files that have several */
	const struct gate_hooks *gate; /* never NULL; hooks that are NULL refuse */
	/* What .assayfs/status.json says, as `assayfs status --json` does; NULL: there is no service. */
	int (*status)(void *arg, struct virtual_reader reader, char **ret_text, size_t *ret_size);
	void *status_arg;
	OperationStats *operations;
	Metrics *metrics; /* what .assayfs/metrics says; NULL: there is none */
	KmsWatch *kms;    /* NULL: no key management service is asked */
	Idle *idle;       /* is told when content is used; NULL: nobody is */
	Backup *backup;   /* NULL: none is made, or the mount ends */
	const char *vault_path;
	uint32_t owner_uid, owner_gid; /* who mounted: the auditor and steward while there are no roles */
	bool read_only;
	bool is_unrecorded; /* by a limited slot, which has not what the log is signed with: accesses leave no record */
	bool audit_strict;
	atomic_bool told_unrecorded; /* the operator: that the audit log can't be written */
	atomic_bool ending;          /* the mount was told to: nothing new may wait for the kernel to write back */
};

/*
 * After the daemon itself gave the node that `name` in directory `parent_ino` shows other content or another
 * node, and the meta operation has ended: the kernel is told to look up anew, and handles that still stand on `old_ino`
 * (0: none) go on with the version that it showed; those open for writing get -EROFS from then on.
 */
void filesystem_changed(struct filesystem *fs, uint64_t parent_ino, struct bytes name, uint64_t old_ino);

/* The same after a file was erased, whose inode was `ino`; `name` of size 0: it had none. Nothing that was read of it
 * is shown any more: who has it open reads anew, and is told ESTALE. */
void filesystem_erased(struct filesystem *fs, uint64_t parent_ino, struct bytes name, uint64_t ino);

/* Has the kernel drop what it has in memory of open files, after writing it back where that is still taken, and wipes
 * what was read for it: when keys of content went. In a thread that serves no request. */
void filesystem_drop_content(struct filesystem *fs);

/* Seals what open files hold unsealed: at the end of the mount, when their RELEASE will not come any more. */
void filesystem_seal_all(struct filesystem *fs);
