/* `assayfs mount`: a vault as a directory. */
#include "fs/command/command.h"
#include "fs/command/key_kms.h"
#include "fs/command/secrets.h"
#include "fs/command/vault.h"
#include "fs/command/when.h"

#include "crypto/base/fault.h"
#include "fs/http/address.h"
#include "fs/kms_watch.h"
#include "fs/mount.h"
#include "fs/parts.h"
#include "fs/session.h"
#include "fs/state_directory.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

struct unlocking {
	const struct invocation *call;
	Passphrase *secret;
};

static int unlock(void *arg, struct store_secret *ret_secret) {
	struct unlocking *unlocking = arg;
	return secrets_get(unlocking->call, command_operand(unlocking->call, 0), &unlocking->secret, ret_secret);
}

static void wipe(void *arg) {
	struct unlocking *unlocking = arg;
	passphrase_free(unlocking->secret);
	unlocking->secret = NULL;
}

/* All -o of the line in one list. NULL when memory is out. */
static char *join_options(const struct invocation *call) {
	char *list = strdup("");
	for (size_t i = 0; list && i < call->value_count; i++) {
		if (strcmp(call->values[i].option->name, "options") != 0)
			continue;
		char *longer = NULL;
		int length = asprintf(&longer, "%s%s%s", list, *list ? "," : "", call->values[i].value);
		free(list);
		list = length < 0 ? NULL : longer;
	}
	return list;
}

/* ---- --audit ---- */

#define AUDIT_OPTION "audit="

/* Takes `audit=…` out of the list, which libfuse does not know. The last one; NULL: there was none. */
static char *take_audit_option(char *list) {
	char *found = NULL, *at = list, *to = list;
	while (*at) {
		size_t length = strcspn(at, ",");
		if (strncmp(at, AUDIT_OPTION, strlen(AUDIT_OPTION)) == 0) {
			free(found);
			found = strndup(at + strlen(AUDIT_OPTION), length - strlen(AUDIT_OPTION));
		} else if (length > 0) {
			if (to > list)
				*to++ = ',';
			memmove(to, at, length);
			to += length;
		}
		at += length + (at[length] == ',');
	}
	*to = '\0';
	return found;
}

/* libfuse would say that it does not know it, seconds later. */
static int refuse_own(const struct invocation *call, const char *list) {
	for (const char *at = list; *at; at += strcspn(at, ","), at += *at == ',') {
		size_t length = strcspn(at, ","), name = strcspn(at, ",=");
		for (const struct command_option *option = call->command->options; option->name; option++)
			if (strlen(option->name) == name && strncmp(option->name, at, name) == 0)
				return command_fail(call, EXIT_USAGE, "-o %.*s: that is an option of its own, --%.*s",
				        (int)length, at, (int)length, at);
	}
	return EXIT_DONE;
}

/* `list` is that of -o. */
static int read_audit(const struct invocation *call, char *list, bool *ret_strict) {
	_cleanup_(freep) char *listed = take_audit_option(list);
	const char *given = command_value(call, "audit");
	const char *mode = given ? given : listed ? listed : "batched";
	if (given && listed && strcmp(given, listed) != 0)
		return command_fail(call, EXIT_USAGE, "--audit=%s and -o audit=%s: which of them?", given, listed);
	*ret_strict = strcmp(mode, "strict") == 0;
	if (*ret_strict || strcmp(mode, "batched") == 0)
		return 0;
	return command_fail(call, EXIT_USAGE,
	        "--audit=%s: it is strict (a record is durable before its access is granted) or batched (within a "
	        "second)",
	        mode);
}

/* What is mounted there already is not looked into: its own refusal says more. */
static bool hides_something(const char *dir) {
	struct statfs about;
	if (statfs(dir, &about) < 0 || about.f_type == FUSE_SUPER_MAGIC)
		return false;
	DIR *list = opendir(dir);
	bool found = false;
	for (const struct dirent *entry; list && !found && (entry = readdir(list));)
		found = strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	if (list)
		closedir(list);
	return found;
}

static bool is_within(const char *dir, const char *vault) {
	_cleanup_(freep) char *inner = realpath(dir, NULL);
	_cleanup_(freep) char *outer = realpath(vault, NULL);
	size_t length = outer ? strlen(outer) : 0;
	return inner && length > 1 && strncmp(inner, outer, length) == 0 && (inner[length] == '/' || !inner[length]);
}

/* What can be seen to be wrong before anybody types a passphrase. */
static int check_places(const struct invocation *call) {
	const char *vault = command_operand(call, 0), *dir = command_operand(call, 1);
	_cleanup_(header_freep) VaultHeader *header = NULL;
	struct stat about;
	int rc = vault_header_read(vault, &header);
	if (rc)
		return command_fault(call, rc, "mounting %s", vault);
	if (stat(dir, &about) < 0)
		return command_fail(call, command_exit_of(-errno), "mounting %s on %s: %s%s", vault, dir,
		        strerror(errno),
		        errno == ENOENT     ? "; make it with mkdir"
		        : errno == ENOTCONN ? "; 'assayfs umount' clears a dead mount away"
		                            : "");
	if (!S_ISDIR(about.st_mode))
		return command_fail(call, EXIT_USAGE, "mounting %s on %s: it is no directory", vault, dir);
	if (is_within(dir, vault))
		return command_fail(call, EXIT_USAGE,
		        "mounting %s on %s: a vault can't be mounted on itself; choose a directory outside of it",
		        vault, dir);
	if (hides_something(dir))
		return command_fail(call, EXIT_USAGE,
		        "mounting %s on %s: it is not empty, and what is in it would be hidden; choose an empty "
		        "directory",
		        vault, dir);
	return 0;
}

/* Without one the mount is as good, but for what it can't notice; a mount for reading leaves nothing there. */
static int find_state(const struct invocation *call, char *ret_path, size_t size) {
	const char *given = command_value(call, "state-dir");
	if (given && given[0] != '/')
		return command_fail(call, EXIT_USAGE, "--state-dir %s: give an absolute path", given);
	int length = given ? snprintf(ret_path, size, "%s", given) : 0;
	if (length >= (int)size)
		return command_fail(call, EXIT_USAGE, "--state-dir is too long");
	if (!given && state_directory(geteuid(), ret_path, size) < 0) {
		command_note(call, "%s; until then an older copy of the vault put in its place is not noticed",
		        fault_message());
		*ret_path = '\0';
	}
	return EXIT_DONE;
}

/* Before anybody types a passphrase. */
static int check_http(const struct invocation *call) {
	const char *text = command_value(call, "http");
	struct address address;
	int rc = text ? address_parse(text, &address) : 0;
	return rc ? command_fault(call, rc, "reading --http") : EXIT_DONE;
}

static int read_idle(const struct invocation *call, int64_t *ret_ms) {
	const char *text = command_value(call, "idle-lock");
	int rc = text ? when_idle(text, ret_ms) : 0;
	return rc ? command_fail(call, EXIT_USAGE, "--idle-lock: %s", fault_message()) : EXIT_DONE;
}

/* Only with --kms. */
static int read_offline(const struct invocation *call, int64_t *ret_ms) {
	const char *text = command_value(call, "max-offline");
	int64_t ns = 0;
	if (text && !command_has(call, "kms"))
		return command_fail(call, EXIT_USAGE, "--max-offline is for a vault that --kms unlocks");
	int rc = text ? when_duration(text, &ns) : 0;
	if (text && rc == 0 && ns / 1000000 < kms_watch_every_ms())
		rc = fault(EINVAL, "'%.60s' is too short: the service is asked once a minute", text);
	*ret_ms = ns / 1000000;
	return rc ? command_fail(call, EXIT_USAGE, "--max-offline: %s", fault_message()) : EXIT_DONE;
}

static int mount_vault(
        const struct invocation *call, const char *list, const struct store_options *store, Parts *parts) {
	struct unlocking unlocking = {.call = call};
	const struct mount_part row = parts_row(parts);
	const struct mount_options options = {.vault = command_operand(call, 0),
	        .mountpoint = command_operand(call, 1),
	        .fuse_options = list,
	        .foreground = command_has(call, "foreground"),
	        .unlock = unlock,
	        .wipe = wipe,
	        .unlock_arg = &unlocking,
	        .parts = &row,
	        .part_count = 1,
	        .store = *store};
	int rc = mount_run(&options);
	wipe(&unlocking);
	if (rc == -ESTALE) /* refused: an older copy */
		return command_fail(
		        call, EXIT_NO, "mounting %s on %s: %s", options.vault, options.mountpoint, fault_message());
	return rc ? command_fault(call, rc, "mounting %s on %s", options.vault, options.mountpoint) : EXIT_DONE;
}

static int run_mount(const struct invocation *call) {
	_cleanup_(freep) char *list = join_options(call);
	_cleanup_(parts_freep) Parts *parts = NULL;
	char state[PATH_MAX] = "";
	bool is_strict = false;
	int64_t idle_ms = 0, offline_ms = 0;
	int code = secrets_check(call);
	if (!code && list)
		code = read_audit(call, list, &is_strict);
	if (!code && list)
		code = refuse_own(call, list);
	if (!code)
		code = find_state(call, state, sizeof state);
	if (!code)
		code = check_http(call);
	if (!code)
		code = read_idle(call, &idle_ms);
	if (!code)
		code = read_offline(call, &offline_ms);
	if (!code)
		code = check_places(call);
	if (code)
		return code;
	const char *actions = command_value(call, "actions");
	if (actions && actions[0] != '/')
		return command_fail(call, EXIT_USAGE, "--actions %s: give an absolute path", actions);
	if (!list || parts_new(session_has_option(list, "allow_other"), command_value(call, "http"), &parts))
		return command_fail(call, EXIT_UNDECIDED, "out of memory");
	parts_actions(parts, actions);
	parts_idle_lock(parts, idle_ms);
	if (command_has(call, "kms"))
		parts_watch_kms(parts, offline_ms);
	const struct store_options store = {.state_directory = *state ? state : NULL,
	        .accept_restore = command_has(call, "accept-restore"),
	        .audit_strict = is_strict};
	return mount_vault(call, list, &store, parts);
}

const struct command command_mount = {
        .words = "mount",
        .operands = "VAULT DIR",
        .least = 2,
        .most = 2,
        .summary = "mount a vault on a directory",
        .details =
                "Returns when the mount is there; a failure shows in the exit code. Works as root, and as an "
                "ordinary user "
                "through fusermount3. SIGTERM ends the mount as umount does.\n"
                "The signed head of the audit log is also kept outside of the vault (/var/lib/assayfs for root, else "
                "~/.local/state/assayfs), so that a vault that was put back to an older copy is noticed and refused. "
                "If "
                "that was meant (a backup was restored), --accept-restore mounts it all the same.",
        .options = (const struct command_option[]){{"foreground", 'f', NULL,
                                                           "stay in the foreground until it is unmounted"},
                {"accept-restore", 0, NULL,
                        "mount a vault that was put back to an older copy; the audit log will say so"},
                {"state-dir", 0, "DIR", "where the head of the audit log is kept outside of the vault"},
                {"actions", 0, "DIR", "the programs that alarms may run (default: /etc/assayfs/actions)"},
                {"options", 'o', "OPTION[,OPTION…]", "mount options: allow_other, ro, noexec, audit=strict, …"},
                {"audit", 0, "MODE",
                        "strict: the record of an access is durable before the access is granted, also for reading; "
                        "batched, the default: within a second"},
                {"idle-lock", 0, "TIME",
                        "lock the vault when no program has used content for so long, as 15m (see 'assayfs lock')"},
                {"http", 0, "ADDR:PORT", "serve the page, the API and metrics over HTTP, as on 127.0.0.1:9475"},
                OPTIONS_SECRET, OPTION_KMS,
                {"max-offline", 0, "TIME",
                        "with --kms: lock the vault when the service could not be asked for so long, as 8h"},
                {0}},
        .examples = (const struct command_example[]){{"assayfs mount /srv/vault /mnt", "asks for the passphrase"},
                {"assayfs mount -o allow_other --passfile /root/pass /srv/vault /mnt", "for all users, by their roles"},
                {"assayfs mount --http 127.0.0.1:9475 /srv/vault /mnt", "with the page, for users of this machine"},
                {"assayfs mount --audit=strict /srv/vault /mnt", "no power cut takes a record of what was opened"},
                {0}},
        .exits = EXIT_BIT(EXIT_NO) | EXIT_BIT(EXIT_UNDECIDED) | EXIT_BIT(EXIT_BUSY) | EXIT_BIT(EXIT_NOT_MOUNTED) |
                 EXIT_BIT(EXIT_DENIED) | EXIT_BIT(EXIT_NOT_A_VAULT) | EXIT_BIT(EXIT_PASSPHRASE) | EXIT_BIT(EXIT_AWAY),
        .run = run_mount,
};
