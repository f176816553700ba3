/*
 * vault: the smallest program that makes and mounts a vault, for the tests of the mount: cheap key derivation, a fixed
 * passphrase, no gate, no control socket.
 *
 *     vault init VAULT
 *     vault mount [-f] [-d] [-o OPTIONS] VAULT DIR
 *     vault sync FILE                                   fsync(2) of a file or directory
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crypto/base/fault.h"
#include "fs/mount.h"

#define PASSPHRASE "a passphrase for tests"

static int fail(int rc, const char *what) {
	fprintf(stderr, "vault: %s: %s\n", what, fault_message()[0] ? fault_message() : strerror(-rc));
	return -rc == EKEYREJECTED ? 12 : 1;
}

static int give_passphrase(void *arg, struct store_secret *ret_secret) {
	(void)arg;
	const char *other = getenv("VAULT_PASSPHRASE");
	*ret_secret =
	        (struct store_secret){.kind = STORE_PASSPHRASE, .bytes = bytes_of_string(other ? other : PASSPHRASE)};
	return 0;
}

static int init(const char *path) {
	struct store_init_options options = {.argon_memory = 1 << 20, .argon_passes = 1, .without_recovery = true};
	char recovery[STORE_RECOVERY_TEXT_BYTES];
	int rc = store_init(path, bytes_of_string(PASSPHRASE), &options, recovery);
	return rc < 0 ? fail(rc, "init") : 0;
}

static uint64_t number_from(const char *name) {
	const char *text = getenv(name);
	return text ? strtoull(text, NULL, 10) : 0;
}

static int mount(int argc, char **argv) {
	struct mount_options options = {.unlock = give_passphrase,
	        .store = {.reserve_bytes = number_from("VAULT_RESERVE"),
	                .cache_bytes = number_from("VAULT_CACHE"),
	                .gc_grace_ms = (unsigned)number_from("VAULT_GC_GRACE")},
	        .unhardened = true};
	int letter;
	while ((letter = getopt(argc, argv, "fdo:")) != -1) {
		if (letter == 'f')
			options.foreground = true;
		else if (letter == 'd')
			options.debug = true;
		else if (letter == 'o')
			options.fuse_options = optarg;
		else
			return 2;
	}
	if (argc - optind != 2)
		return 2;
	options.vault = argv[optind];
	options.mountpoint = argv[optind + 1];
	int rc = mount_run(&options);
	return rc < 0 ? fail(rc, "mount") : 0;
}

static int sync_file(const char *path) {
	int fd = open(path, O_RDONLY);
	if (fd < 0 || fsync(fd) < 0) {
		perror(path);
		return 1;
	}
	return close(fd) < 0;
}

int main(int argc, char **argv) {
	if (argc == 3 && strcmp(argv[1], "init") == 0)
		return init(argv[2]);
	if (argc >= 2 && strcmp(argv[1], "mount") == 0)
		return mount(argc - 1, argv + 1);
	if (argc == 3 && strcmp(argv[1], "sync") == 0)
		return sync_file(argv[2]);
	fprintf(stderr, "usage: vault init VAULT | vault mount [-f] [-d] [-o OPTIONS] VAULT DIR | vault sync FILE\n");
	return 2;
}
