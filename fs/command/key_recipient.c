/* `assayfs key recipient`: a key pair of one's own, and slots for others'. */
#include "fs/command/key.h"
#include "fs/words.h"

#include "crypto/base/fault.h"
#include "crypto/process.h"
#include "crypto/recipient.h"
#include "crypto/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int write_all(int fd, const char *text, size_t size) {
	while (size) {
		ssize_t done = write(fd, text, size);
		if (done < 0 && errno != EINTR)
			return fault_errno(errno, "writing it");
		if (done > 0) {
			text += done;
			size -= (size_t)done;
		}
	}
	return fsync(fd) == 0 || errno == EINVAL ? 0 : fault_errno(errno, "writing it");
}

/* Never over something that is there: another secret may be in it. */
static int write_secret(const char *path, const char *secret) {
	_cleanup_(closep) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	char line[RECIPIENT_SECRET_TEXT_BYTES + 1];
	if (fd < 0)
		return fault_errno(errno, "making it");
	int length = snprintf(line, sizeof line, "%s\n", secret);
	int rc = write_all(fd, line, (size_t)length);
	secret_wipe(line, sizeof line);
	if (rc)
		(void)unlink(path);
	return rc;
}

static int run_new(const struct invocation *call) {
	const char *path = command_operand(call, 0);
	char public_text[RECIPIENT_TEXT_BYTES], secret[RECIPIENT_SECRET_TEXT_BYTES] = "";
	int rc = process_harden();
	if (!rc)
		rc = recipient_new(public_text, secret);
	if (!rc)
		rc = write_secret(path, secret);
	secret_wipe(secret, sizeof secret);
	if (rc)
		return key_fault(call, rc, "writing the secret into %s", path);
	if (command_has(call, "json"))
		return command_print_json(call, json_pack("{s:s}", "recipient", public_text));
	command_note(call, "the secret is in the file; this is for whoever adds the slot:");
	printf("%s\n", public_text);
	return EXIT_DONE;
}

const struct command command_key_recipient_new = {
        .words = "key recipient new",
        .operands = "FILE",
        .least = 1,
        .most = 1,
        .summary = "make a key pair of one's own: the secret into FILE, the public text to be handed on",
        .details = "FILE must not be there yet; it opens what is made for it, so keep it as a passphrase is kept, and "
                   "keep a copy. The public text opens nothing. With it 'assayfs key recipient add' makes a slot, and "
                   "'assayfs mount --identity FILE' unlocks by it.",
        .options = (const struct command_option[]){OPTION_JSON, {0}},
        .examples =
                (const struct command_example[]){
                        {"assayfs key recipient new ~/.config/assayfs.secret", "prints assayfs-recipient-…"}, {0}},
        .exits = EXIT_BIT(EXIT_NO) | EXIT_BIT(EXIT_UNDECIDED) | EXIT_BIT(EXIT_DENIED),
        .run = run_new,
};

static int run_add(const struct invocation *call) {
	json_t *request = json_pack("{s:s, s:s}", "type", "recipient", "recipient", command_operand(call, 0));
	return request ? key_add_slot(call, 1, request)
	               : command_fail(call, EXIT_USAGE, "a recipient's public text begins with assayfs-recipient-");
}

const struct command command_key_recipient_add = {
        .words = "key recipient add",
        .operands = "PUBLIC [DIR]",
        .least = 1,
        .most = 2,
        .summary = "add a slot for whoever has the secret of a recipient",
        .details = "The same as 'assayfs key add --recipient PUBLIC'.",
        .options =
                (const struct command_option[]){
                        {"zones", 0, "ZONE[,ZONE]", "for reading these of Landing, Raw, Trusted only; repeatable"},
                        {"keys", 0, "KEY[,KEY]", "with --zones: folders' own keys that it holds, too"},
                        {"label", 0, "TEXT", "what people call it"}, OPTION_JSON, {0}},
        .examples = (const struct command_example[]){{"assayfs key recipient add --label Bo assayfs-recipient-… /mnt",
                                                             "Bo unlocks it with a secret of his own"},
                {0}},
        .exits = KEY_EXITS,
        .run = run_add,
};
