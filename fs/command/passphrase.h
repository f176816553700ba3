/*
 * passphrase: where the secret that opens a vault comes from: a prompt on the terminal, a file, or a command's output.
 * Never an argument, never the environment: both are readable in /proc for others.
 *
 * The bytes live in locked memory (crypto/secret.h) from the read(2) on and are wiped when freed. One line end at the
 * end is taken off; nothing else is changed, so a passphrase is the bytes that were typed in the terminal's encoding.
 */
#pragma once

#include "crypto/base/bytes.h"
#include "crypto/base/cleanup.h"

#include <stdbool.h>

#define PASSPHRASE_MAX 1024 /* bytes */

typedef struct Passphrase Passphrase;

struct passphrase_source {
	const char *keyfile;  /* all bytes of this file, up to HEADER_KEYFILE_MAX, as they are; warns, too */
	const char *passfile; /* read from this file; warns on stderr when others can read it */
	const char *extpass;  /* else from the output of this, run by sh -c */
	const char *what;     /* what file `passfile` is, for the words; NULL: "the passphrase's file" */
	const char *prompt;   /* else asked for with these words on the terminal */
	const char *instead; /* what to give where there is no terminal; NULL: "--passfile FILE or --extpass COMMAND" */
	bool twice;          /* asked a second time, for a new one; from the other sources it is taken as it is */
	void (*warn)(void *context, const char *words);
	void *context;
};

/*
 * Gets it. -EINVAL: empty or holding a NUL byte, a key file of fewer than HEADER_KEYFILE_MIN bytes; -EFBIG: longer than
 * PASSPHRASE_MAX; -ENOTTY: no terminal to ask at, and neither file nor command given; -EBADE: the two typed are not the
 * same; -ECHILD: the command failed; -EINTR: a signal ended the prompt (the terminal is as before, and the signal has
 * been delivered). fault() words say what to do. The prompt handles signals of the whole process: call it while there
 * is one thread.
 */
int passphrase_get(const struct passphrase_source *source, Passphrase **ret_passphrase);

/* A copy of bytes that stand elsewhere. */
int passphrase_from_bytes(struct bytes bytes, Passphrase **ret_passphrase);

/* The bytes, without a NUL at the end; they belong to the passphrase. */
struct bytes passphrase_bytes(const Passphrase *passphrase);

/* Wipes and frees. */
void passphrase_free(Passphrase *passphrase);
DEFINE_CLEANUP(Passphrase, passphrase_free);
