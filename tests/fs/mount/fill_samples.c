/* fill_samples VAULT PASSPHRASE: adds samples to a vault, as a mount would have measured them: of standard input each
 * line "SERIES LABELS SECOND VALUE", with - for no labels and no space in any of them; or "charge ZONE:KIND SECOND
 * QUANTITY", both by their numbers in backend/charge.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/charge.h"
#include "backend/sample.h"
#include "backend/store.h"
#include "crypto/base/fault.h"

#define AT_ONCE 512

static int add(Meta *m, const char *line) {
	char series[SAMPLE_NAME_MAX + 1], labels[SAMPLE_LABELS_MAX + 1];
	int64_t second;
	double value;
	if (sscanf(line, "%64s %512s %" SCNd64 " %lf", series, labels, &second, &value) != 4)
		return fault(EINVAL, "this is no sample: %s", line);
	unsigned zone, kind;
	if (strcmp(series, "charge") == 0 && sscanf(labels, "%u:%u", &zone, &kind) == 2)
		return charge_add(m, second, zone, (enum charge_kind)kind, value);
	return sample_add(m, series, strcmp(labels, "-") == 0 ? "" : labels, second, value);
}

static int fill(Meta *m, FILE *input) {
	char line[1024];
	int rc = 0;
	for (bool is_over = false; rc >= 0 && !is_over;) {
		meta_begin(m);
		for (int i = 0; rc >= 0 && i < AT_ONCE && !is_over; i++) {
			is_over = !fgets(line, sizeof line, input);
			if (!is_over)
				rc = add(m, line);
		}
		rc = meta_end(m, rc);
	}
	return rc;
}

int main(int argc, char **argv) {
	Store *store = NULL;
	if (argc != 3)
		return 2;
	struct store_secret secret = {.bytes = bytes_of(argv[2], strlen(argv[2]))};
	int rc = store_open(argv[1], &secret, NULL, &store);
	if (rc == 0)
		rc = fill(store_meta(store), stdin);
	int closed = store_close(store);
	if (rc < 0 || closed < 0)
		fprintf(stderr, "fill_samples: %s\n", fault_message());
	return rc < 0 || closed < 0;
}
