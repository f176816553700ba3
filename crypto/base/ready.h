/*
 * ready: the one-time set-up of the libraries below us.
 *
 * Every public function of this floor that needs it calls it by itself. Call it yourself only before giving up the
 * means it needs (files, system calls): a worker that will run under seccomp calls it before it locks itself in.
 */
#pragma once

/* Chooses libsodium's implementations for this processor and opens its source of randomness. Thread-safe, nearly free
 * after the first call. Ends the process when the machine has no source of randomness: nothing below would be safe. */
void crypto_ready(void);
