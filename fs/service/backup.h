/* backup: what the parts of the service that answer about backups share. */
#pragma once

#include "fs/service/internal.h"

/* Whether the peer may: 0, or -errno with words; a denial is recorded as `event`. `changes`: the vault, too. -ENOTSUP:
 * this mount makes no backups. */
int service_backup_steward(Service *service, const struct control_peer *peer, const char *event, bool changes);

/* A result of the place's: where that refused it is no refusal of ours (the caller's role would do), but -EREMOTEIO
 * with the same words. */
int service_backup_refused(int rc);

/* "url" of the arguments: a target that there is (borrowed), or NULL for all of them. -ENOENT */
int service_backup_url(const Service *service, const json_t *arguments, const char **ret_url);
