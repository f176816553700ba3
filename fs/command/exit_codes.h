/*
 * exit_codes: what `assayfs` answers to the shell. They are stable: scripts may rely on them. `assayfs CMD --help`
 * lists those that a command can give, the man page lists them all.
 */
#pragma once

#define ASSAYFS_EXIT_CODES(X)                                                                                      \
	X(EXIT_DONE, 0, "done; the answer is yes")                                                                 \
	X(EXIT_NO, 1, "the answer is no: refused, failed its check, corrupt, or not found")                        \
	X(EXIT_USAGE, 2, "the command was not given rightly; nothing was done")                                    \
	X(EXIT_UNDECIDED, 3, "could not be decided or done: not judged yet, or trouble inside or around assayfs")  \
	X(EXIT_BUSY, 4, "the vault or mount is in use: mounted already, or files in it are open")                  \
	X(EXIT_NOT_MOUNTED, 5, "the path is in no mounted vault")                                                  \
	X(EXIT_DENIED, 6,                                                                                          \
	        "your user may not do this: by its role (then the denial is in the audit log) or by the system's " \
	        "permissions")                                                                                     \
	X(EXIT_NOT_A_VAULT, 7, "the directory holds no vault, or one of a format this version can't read")         \
	X(EXIT_PASSPHRASE, 12, "wrong passphrase or recovery key")                                                 \
	X(EXIT_AWAY, 13, "the key management service could not be asked")

enum exit_code {
#define X(name, number, words) name = (number),
	ASSAYFS_EXIT_CODES(X)
#undef X
};

/* One bit a code, for the sets in the command table. */
#define EXIT_BIT(code) (1U << (unsigned)(code))
