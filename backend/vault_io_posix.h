/*
 * vault_io_posix: the table behind vault_io that talks to the operating system. Only vault_io.c includes this.
 */
#pragma once

#include "backend/vault_io.h"

extern const struct vault_io_ops vault_io_posix_ops;

/* As vault_io_open and vault_io_create; *ret_vault goes with vault_io_posix_ops. */
int vault_io_posix_open(const char *path, void **ret_vault);
int vault_io_posix_create(const char *path, void **ret_vault);
