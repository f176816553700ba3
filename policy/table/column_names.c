#include "policy/table/column_names.h"

#include <strings.h>

enum match { MATCH_EXACT, MATCH_UNESCAPED, MATCH_CASELESS };

static bool name_matches(enum match how, struct table_cell name, const char *wanted) {
	if (how == MATCH_EXACT)
		return cell_equals(name, wanted, strlen(wanted));
	if (how == MATCH_CASELESS)
		return name.size == strlen(wanted) && strncasecmp(name.data, wanted, name.size) == 0;
	size_t at = 0;
	for (; *wanted; wanted++, at++) {
		if (*wanted == '\\' && wanted[1])
			wanted++;
		if (at == name.size || name.data[at] != *wanted)
			return false;
	}
	return at == name.size;
}

size_t column_find(const struct table_cell *names, size_t count, const char *wanted, size_t *ret_index) {
	size_t found = 0;
	for (enum match how = MATCH_EXACT; how <= MATCH_CASELESS && found == 0; how++) {
		for (size_t i = 0; i < count; i++) {
			if (!name_matches(how, names[i], wanted))
				continue;
			*ret_index = i;
			found++;
		}
	}
	return found;
}
