#include "fs/command/evidence.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/base/fault.h"
#include "fs/command/client.h"

struct Evidence {
	int directory;
	uint64_t size; /* of the tree, for evidence_fetch */
	FILE *heads;
	uint64_t heads_line;
	char line[2 * CHECKPOINT_LINE_BYTES];
	bool has_no_heads;
	struct tile cached; /* whose hashes `hashes` are; width 0: none */
	uint8_t hashes[TILE_HASHES_BYTES];
	uint8_t entries[TILE_ENTRIES_BYTES];
};

/* ---- opening ---- */

int evidence_open(const char *directory, Evidence **ret) {
	Evidence *evidence = calloc(1, sizeof *evidence);
	if (!evidence)
		return fault(ENOMEM, "no memory to read a log");
	evidence->directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (evidence->directory < 0) {
		free(evidence);
		return fault_errno(errno, "opening %s", directory);
	}
	*ret = evidence;
	return 0;
}

void evidence_close(Evidence *evidence) {
	if (!evidence)
		return;
	closep(&evidence->directory);
	if (evidence->heads)
		(void)fclose(evidence->heads);
	free(evidence);
}

static bool is_log(const char *directory) {
	char path[PATH_MAX + 16];
	struct stat about;
	(void)snprintf(path, sizeof path, "%s/checkpoint", directory);
	if (stat(path, &about) < 0 || !S_ISREG(about.st_mode))
		return false;
	(void)snprintf(path, sizeof path, "%s/tile", directory);
	return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

/* Of the mount that the operand is in. */
static int open_mounted(const char *operand, Evidence **ret) {
	_cleanup_(freep) struct client_place *place = malloc(sizeof *place);
	_cleanup_(freep) char *path = NULL;
	if (!place)
		return fault(ENOMEM, "no memory to find the log");
	int rc = client_locate(operand, place);
	if (rc)
		return rc;
	if (asprintf(&path, "%s/.assayfs/audit", place->mountpoint) < 0)
		return fault(ENOMEM, "no memory to find the log");
	return evidence_open(path, ret);
}

int evidence_open_operand(const struct invocation *call, int n, Evidence **ret) {
	const char *operand = command_operand(call, n);
	int rc = operand && is_log(operand) ? evidence_open(operand, ret) : open_mounted(operand, ret);
	return rc ? command_fault(call, rc, "finding the log of %s", operand ? operand : "this directory") : EXIT_DONE;
}

/* ---- files ---- */

/* A pipe is not waited for, and a device has no end. */
static int open_regular(const Evidence *evidence, const char *name) {
	struct stat about;
	int fd = openat(evidence->directory, name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return fault_errno(errno, "%s", name);
	if (fstat(fd, &about) == 0 && S_ISREG(about.st_mode))
		return fd;
	closep(&fd);
	return fault(EBADMSG, "%s is no regular file", name);
}

/* Reads a file into `room`: how many bytes, at most `size`. -EBADMSG: it is longer. */
static ssize_t read_file(const Evidence *evidence, const char *name, void *room, size_t size) {
	int opened = open_regular(evidence, name);
	if (opened < 0)
		return opened;
	_cleanup_(closep) int fd = opened;
	uint8_t *at = room, more;
	size_t used = 0;
	ssize_t got = 1;
	while (got != 0 && used < size) {
		got = read(fd, at + used, size - used);
		if (got < 0 && errno != EINTR)
			return fault_errno(errno, "reading %s", name);
		used += got > 0 ? (size_t)got : 0;
	}
	if (used == size && read(fd, &more, 1) > 0)
		return fault(EBADMSG, "%s is longer than it can be", name);
	return (ssize_t)used;
}

static int read_text(Evidence *evidence, const char *name, size_t most, char **ret_text, size_t *ret_size) {
	_cleanup_(freep) char *text = malloc(most + 1);
	if (!text)
		return fault(ENOMEM, "no memory to read a log");
	ssize_t size = read_file(evidence, name, text, most);
	if (size < 0)
		return (int)size;
	text[size] = '\0';
	*ret_size = (size_t)size;
	*ret_text = steal_pointer(&text);
	return 0;
}

int evidence_text(Evidence *evidence, const char *name, char **ret_text, size_t *ret_size) {
	return read_text(evidence, name, NOTE_BYTES_MAX, ret_text, ret_size);
}

int evidence_key(const struct invocation *call, Evidence *evidence, struct note_key *ret_key, bool *ret_is_given) {
	const char *given = command_value(call, "key");
	_cleanup_(freep) char *text = NULL;
	size_t size;
	*ret_is_given = given != NULL;
	if (given)
		return note_key_parse(given, ret_key)
		               ? command_fault(call, -EINVAL, "reading --key (the key itself, not a file with it)")
		               : EXIT_DONE;
	int rc = evidence_text(evidence, "key", &text, &size);
	if (rc == 0) {
		text[strcspn(text, "\n")] = '\0';
		rc = note_key_parse(text, ret_key);
	}
	/* A key file of the log that is none is the log's fault, not the caller's. */
	if (rc == -EINVAL || rc == -EBADMSG)
		return command_fail(call, EXIT_NO, "reading the log's key: %s", fault_message());
	return rc ? command_fault(call, rc, "reading the log's key") : EXIT_DONE;
}

int evidence_chain(Evidence *evidence, const struct note_key *key, struct key_chain *ret_chain, size_t *ret_index) {
	_cleanup_(freep) char *text = NULL;
	struct key_chain chain = {.first = *key};
	size_t size = 0, index = 0;
	int rc = read_text(evidence, "successions", SUCCESSIONS_BYTES_MAX, &text, &size);
	if (rc == 0)
		rc = key_chain_read(&chain, bytes_of(text, size));
	else if (rc == -ENOENT)
		rc = 0;
	if (rc == 0)
		rc = key_chain_find(&chain, key, &index);
	if (rc == 0)
		rc = key_chain_reaches_end(&chain, index);
	if (rc < 0) {
		key_chain_clear(&chain);
		return rc;
	}
	*ret_chain = chain;
	if (ret_index)
		*ret_index = index;
	return 0;
}

int evidence_head(Evidence *evidence, const struct key_chain *chain, struct checkpoint *ret_head, char **ret_note) {
	_cleanup_(freep) char *note = NULL;
	size_t size;
	int rc = evidence_text(evidence, "checkpoint", &note, &size);
	if (rc == 0)
		rc = key_chain_open(chain, bytes_of(note, size), ret_head);
	if (rc == 0 && ret_note)
		*ret_note = steal_pointer(&note);
	return fault_while(rc, "the log's checkpoint");
}

int evidence_pruned(Evidence *evidence, uint64_t *ret_pruned) {
	_cleanup_(freep) char *text = NULL;
	char *end = NULL;
	size_t size;
	*ret_pruned = 0;
	int rc = evidence_text(evidence, "pruned", &text, &size);
	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	errno = 0;
	*ret_pruned = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || strcmp(end, "\n") != 0 || errno || *ret_pruned % TILE_WIDTH != 0)
		return fault(EBADMSG, "'pruned' does not say how many records are in archives only");
	return 0;
}

/* ---- tiles ---- */

/*
 * A log that grows has the last tile of a level in other widths by and by, and a copy of it may have only the one that
 * was there when the copy came to it: any that is at least as wide will do. *found is the one that was read.
 */
static ssize_t read_tile(
        const Evidence *evidence, const struct tile *tile, void *room, size_t size, struct tile *found) {
	char path[TILE_PATH_BYTES];
	ssize_t got = -ENOENT;
	*found = *tile;
	for (; found->width <= TILE_WIDTH && (got == -ENOENT || got == -ENOTDIR); found->width++) {
		tile_path(found, path);
		got = read_file(evidence, path, room, size);
	}
	found->width--;
	if (got == -ENOENT || got == -ENOTDIR) {
		tile_path(tile, path);
		return fault(EBADMSG, "%s is missing", path);
	}
	return got;
}

int evidence_hashes(Evidence *evidence, const struct tile *tile, uint8_t ret_hashes[static TILE_HASHES_BYTES]) {
	char path[TILE_PATH_BYTES];
	struct tile found;
	ssize_t got = read_tile(evidence, tile, ret_hashes, TILE_HASHES_BYTES, &found);
	size_t wanted = (size_t)found.width * MERKLE_HASH_BYTES;
	tile_path(&found, path);
	if (got < 0)
		return (int)got;
	return (size_t)got == wanted ? 0 : fault(EBADMSG, "%s has %zd bytes instead of %zu", path, got, wanted);
}

int evidence_entries(Evidence *evidence, const struct tile *tile, struct bytes ret_entries[static TILE_WIDTH]) {
	char path[TILE_PATH_BYTES];
	struct tile found;
	ssize_t got = read_tile(evidence, tile, evidence->entries, sizeof evidence->entries, &found);
	tile_path(&found, path);
	if (got < 0)
		return (int)got;
	return fault_while(
	        tile_entries(bytes_of(evidence->entries, (size_t)got), found.width, ret_entries), "%s", path);
}

void evidence_set_size(Evidence *evidence, uint64_t size) {
	evidence->size = size;
	evidence->cached.width = 0;
}

/* The tile of the last question is kept: a proof asks for neighbours. */
static int load_tile(Evidence *evidence, unsigned level, uint64_t index) {
	struct tile tile = {.level = level, .index = index, .width = tile_width(evidence->size, level, index)};
	if (tile.width == 0)
		return -ENOENT;
	if (evidence->cached.width == tile.width && evidence->cached.level == level && evidence->cached.index == index)
		return 0;
	int rc = evidence_hashes(evidence, &tile, evidence->hashes);
	evidence->cached = tile;
	if (rc < 0)
		evidence->cached.width = 0;
	return rc;
}

int evidence_fetch(void *context, unsigned level, uint64_t index, merkle_hash ret_hash) {
	Evidence *evidence = context;
	struct tile_span span = tile_span_of(level, index);
	int rc = load_tile(evidence, span.level, span.index);
	if (rc == 0 && span.first + span.width > evidence->cached.width)
		rc = -ENOENT;
	if (rc == 0)
		tile_join(evidence->hashes + span.first * MERKLE_HASH_BYTES, span.width, ret_hash);
	return rc;
}

/* ---- the heads that were signed ---- */

static int open_heads(Evidence *evidence) {
	int fd = open_regular(evidence, "checkpoints");
	if (fd == -ENOENT) {
		evidence->has_no_heads = true;
		return 0;
	}
	if (fd < 0)
		return fd;
	evidence->heads = fdopen(fd, "r");
	if (!evidence->heads)
		return fault_errno(errno, "opening the log's checkpoints");
	return 0;
}

bool evidence_has_heads(const Evidence *evidence) {
	return !evidence->has_no_heads;
}

/* Which other key of the chain the line is by, in words. */
static int not_its_turn(const Evidence *evidence, const struct key_chain *chain, size_t signer) {
	struct checkpoint head;
	uint8_t signature[SIGN_SIGNATURE_BYTES];
	for (size_t i = 0; i <= chain->count; i++)
		if (checkpoint_line_parse(evidence->line, key_chain_key(chain, i), &head, signature))
			return fault(EBADMSG,
			        "line %" PRIu64 " of checkpoints, of %" PRIu64 " records, is signed by version %" PRIu32
			        " of the log's key; it was version %" PRIu32 " whose turn it was",
			        evidence->heads_line, head.size, key_chain_version(chain, i),
			        key_chain_version(chain, signer));
	return fault(EBADMSG, "line %" PRIu64 " of checkpoints is none by the key %s", evidence->heads_line,
	        key_chain_key(chain, signer)->name);
}

int evidence_next_head(Evidence *evidence, const struct key_chain *chain, uint64_t most, struct checkpoint *ret_head,
        uint8_t ret_signature[static SIGN_SIGNATURE_BYTES]) {
	int rc = evidence->heads || evidence->has_no_heads ? 0 : open_heads(evidence);
	if (rc < 0 || evidence->has_no_heads)
		return rc;
	if (!fgets(evidence->line, sizeof evidence->line, evidence->heads))
		return ferror(evidence->heads) ? fault_errno(EIO, "reading the log's checkpoints") : 0;
	evidence->heads_line++;
	/* Whose turn it was the line's size says; what else it is then is read. */
	const uint64_t records = strtoull(evidence->line, NULL, 10);
	if (records > most)
		return 0;
	size_t signer = key_chain_signer(chain, records);
	if (!checkpoint_line_parse(evidence->line, key_chain_key(chain, signer), ret_head, ret_signature))
		return not_its_turn(evidence, chain, signer);
	return 1;
}
