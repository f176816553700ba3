/* Ships an unmounted vault to a place: ship_by_hand VAULT PASSPHRASE URL NUMBER */
#include "tests/backend/scratch.h"
#include "tests/backend/shelf.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
	Objects *objects = NULL;
	Store *store = NULL;
	if (argc != 5)
		return 2;
	const struct store_secret secret = {.kind = STORE_PASSPHRASE, .bytes = bytes_of_string(argv[2])};
	const struct store_options options = {.gc_by_hand = true};
	if (store_open(argv[1], &secret, &options, &store) < 0 ||
	        objects_open(&(struct objects_place){.url = argv[3]}, &objects) < 0) {
		(void)fprintf(stderr, "%s\n", fault_message());
		return 1;
	}
	ship_by_hand(objects, store, strtoull(argv[4], NULL, 10));
	objects_close(objects);
	return store_close(store) == 0 ? 0 : 1;
}
