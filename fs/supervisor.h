/*
 * supervisor: what the service manager that started us is told: that the mount answers, that it still works, that it
 * ends.
 *
 *     systemd ── NOTIFY_SOCKET, WATCHDOG_USEC ─► supervisor_new
 *        ▲ READY=1 MAINPID= ───────────────────── the mount answers
 *        ▲ WATCHDOG=1 ◄─ each third of its time ─ only after `prove` has come back with 0
 *        ▲ STOPPING=1 ─────────────────────────── it ends; from here on TimeoutStopSec counts, no watchdog
 *
 * A timer that runs by itself would prove that timers run. So the heartbeat does what users do, and is silent when that
 * does not work or does not come back; then the manager ends the process, and the next mount recovers.
 *
 * The protocol is one datagram of lines, documented for others to speak (sd_notify(3), "Notes") and stable. libsystemd
 * would bring liblzma, libzstd, liblz4 and libgcrypt into a process with keys, to save the sixty lines of this file.
 */
#pragma once

#include "crypto/base/cleanup.h"

#include <stdbool.h>

typedef struct Supervisor Supervisor;

/*
 * From the environment, which it takes them out of, so that no child speaks for us; before threads. Where nobody waits
 * for words, all that follows does nothing. -ENOMEM.
 */
int supervisor_new(Supervisor **ret_supervisor);

/* Ends the heartbeat, which must not be stuck any more, and frees. Accepts NULL. */
void supervisor_free(Supervisor *supervisor);
DEFINE_CLEANUP(Supervisor, supervisor_free);

/* Whether there is somebody to tell. NULL: no. */
bool supervisor_listens(const Supervisor *supervisor);

/* It works: READY=1, our process's number, and the words as STATUS=. Any thread. */
void supervisor_ready(Supervisor *supervisor, const char *words);

/* STOPPING=1 and the words; the heartbeat ends by itself. Any thread, but no lock may be held that `prove` waits for.
 */
void supervisor_stopping(Supervisor *supervisor, const char *words);

/* STATUS= alone. One line; the manager shows it to everybody. */
void supervisor_status(Supervisor *supervisor, const char *words);

/*
 * Begins the heartbeat, where one is asked for: `prove` is called from a thread of its own and may take as long as it
 * wants. 0: all is well. Negative: it is not, as the fault says; that is logged once, and nothing is sent.
 */
typedef int supervisor_prove(void *arg);
int supervisor_watch(Supervisor *supervisor, supervisor_prove *prove, void *arg);
