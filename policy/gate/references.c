/* references: the files in Trusted that a dataset's rules are held against, as they stand when a check starts. */
#include "policy/gate/internal.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What Trusted shows under the path now; words when there is nothing that could be read. */
static int find(Meta *m, const struct policy_reference *reference, struct version *ret_version,
        char ret_words[static GATE_WORDS_BYTES]) {
	struct node node;
	int rc = tree_resolve(m, bytes_of_string(reference->path), &node);
	if (rc == 0 && S_ISREG(node.mode) && node.version != 0)
		rc = version_get(m, node.version, ret_version);
	else if (rc == 0)
		rc = -ENOENT;
	if (rc == -ENOENT || rc == -ENOTDIR) {
		snprintf(ret_words, GATE_WORDS_BYTES,
		        "the reference \"%.100s\" is missing: there is no file %.200s yet; publish it, then have this "
		        "file checked again",
		        reference->alias, reference->path);
		return 0;
	}
	if (rc == 0 && !ret_version->has_sha256)
		return fault(EBADMSG, "%s has no hash", reference->path);
	return rc;
}

static int open_one(Gate *gate, struct judgement *j, struct gate_references *all, const struct policy_reference *from,
        char ret_words[static GATE_WORDS_BYTES]) {
	Meta *m = store_meta(gate->store);
	struct version version = {0};
	meta_begin(m);
	int rc = meta_end(m, find(m, from, &version, ret_words));
	if (rc < 0 || ret_words[0])
		return rc;
	struct gate_reader *reader = &all->readers[all->count];
	rc = content_open(gate->store, version.node, version.id, &reader->source);
	if (rc < 0)
		return rc;
	reader->watch = j->watch;
	const char *below = gate_below(from->path, NULL);
	const struct policy_dataset *its = policy_dataset_for(j->policy->policy, below);
	const char *slash = strrchr(from->path, '/');
	all->asked[all->count] = (struct check_reference){.alias = from->alias,
	        .file_name = slash ? slash + 1 : from->path,
	        .size = version.size,
	        .format = its ? its->format : (struct policy_format){0},
	        .input = {.read = gate_read, .context = reader}};
	struct judged_reference *judged = &j->references[all->count++];
	judged->version = version.id;
	memcpy(judged->sha256, version.sha256, sizeof judged->sha256);
	return gate_unfit(reader->source, j->watch, ret_words);
}

int gate_references_open(
        Gate *gate, struct judgement *j, struct gate_references *ret_all, char ret_words[static GATE_WORDS_BYTES]) {
	struct gate_references all = {.count = 0};
	uint64_t bytes = 0;
	int rc = 0;
	ret_words[0] = '\0';
	j->reference_count = 0;
	for (size_t i = 0; rc >= 0 && !ret_words[0] && i < j->dataset->reference_count; i++) {
		const struct policy_reference *from = &j->dataset->references[i];
		rc = open_one(gate, j, &all, from, ret_words);
		bytes += rc >= 0 && !ret_words[0] ? all.asked[i].size : 0;
	}
	if (bytes > GATE_FILE_BYTES_MAX)
		snprintf(ret_words, GATE_WORDS_BYTES,
		        "the references are %" PRIu64 " bytes long together, and may have %" PRIu64 " GiB", bytes,
		        GATE_FILE_BYTES_MAX >> 30);
	if (rc < 0 || ret_words[0]) {
		gate_references_close(&all);
		return rc;
	}
	j->reference_count = all.count;
	*ret_all = all;
	/* they were made when the list stood elsewhere */
	for (size_t i = 0; i < all.count; i++)
		ret_all->asked[i].input.context = &ret_all->readers[i];
	return 0;
}

void gate_references_close(struct gate_references *all) {
	for (size_t i = 0; i < all->count; i++)
		content_close(all->readers[i].source);
	all->count = 0;
}

int gate_references_tell(const struct judgement *j, struct verdict *verdict) {
	verdict->references = calloc(j->reference_count + 1, sizeof *verdict->references);
	if (!verdict->references)
		return fault(ENOMEM, "writing the verdict on %s", j->path);
	for (size_t i = 0; i < j->reference_count; i++) {
		struct verdict_reference *reference = &verdict->references[verdict->reference_count++];
		reference->alias = strdup(j->dataset->references[i].alias);
		reference->path = strdup(j->dataset->references[i].path);
		if (!reference->alias || !reference->path)
			return fault(ENOMEM, "writing the verdict on %s", j->path);
		memcpy(reference->sha256, j->references[i].sha256, sizeof reference->sha256);
	}
	return 0;
}
