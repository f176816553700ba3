#include "policy/privacy/shapes.h"

enum { STEP = 32 }; /* of 64 bytes that are looked at together codes begin in so many */

/* What 64 bytes are, from a place on; a bit further to the right is a byte further on. Outside the piece there is
 * nothing. */
struct window {
	uint64_t digits, uppers, words, begins; /* letters and digits; where none of these stands before */
};

static uint64_t take(const uint64_t *bits, size_t at, size_t end) {
	uint64_t from = features_from(bits, at);
	return end - at < 64 ? from & ((UINT64_C(1) << (end - at)) - 1) : from;
}

static struct window window_at(const struct features *features, size_t start, size_t at, size_t end) {
	struct window w = {.digits = take(features->digits, at, end), .uppers = take(features->uppers, at, end)};
	w.words = w.digits | take(features->letters, at, end);
	uint64_t before =
	        at == start ? 0
	                    : (features->digits[(at - 1) / 64] | features->letters[(at - 1) / 64]) >> (at - 1) % 64 & 1;
	w.begins = ~(w.words << 1 | before);
	return w;
}

/* What `next` says of the byte behind, or, if that is a separator, of the one behind that. */
static uint64_t then(const struct window *w, unsigned behind, uint64_t next) {
	return next >> behind | (~w->words >> behind & next >> (behind + 1));
}

static uint64_t row_of(uint64_t bits, unsigned count) {
	uint64_t row = bits;
	for (unsigned i = 1; i < count; i++)
		row &= bits >> i;
	return row;
}

static unsigned letter_codes_in(const struct window *w) {
	uint64_t letters = w->words & ~w->digits, ends = ~w->words >> 1;
	uint64_t half = w->digits & letters >> 1 & w->digits >> 2 & ends >> 2;
	uint64_t postal = letters & w->digits >> 1 & letters >> 2 & (half >> 3 | half >> 4);
	uint64_t two = row_of(w->digits, 2), four = row_of(w->digits, 4);
	uint64_t hin = row_of(w->uppers, 4) & then(w, 4, four & then(w, 4, four));
	uint64_t pairs = two & then(w, 2, two & then(w, 2, two & then(w, 2, letters & ends)));
	uint64_t nino = row_of(letters, 2) & then(w, 2, pairs);
	uint64_t iban = row_of(w->uppers, 2) & two >> 2 & then(w, 4, row_of(w->words, 4));
	uint64_t thirteen = row_of(w->words, 13), lengthy = w->digits & thirteen & thirteen >> 13;
	uint64_t first = w->begins & ((UINT64_C(1) << STEP) - 1);
	return (postal & first ? SHAPE_POSTAL : 0u) | (hin & first ? SHAPE_HIN : 0u) |
	       (nino & first ? SHAPE_NINO : 0u) | (iban & first ? SHAPE_IBAN : 0u) |
	       (lengthy & first ? SHAPE_LONG : 0u);
}

/* So many digits, and behind them neither letter nor digit. */
static uint64_t group_of(const struct window *w, unsigned count) {
	return row_of(w->digits, count) & ~w->words >> count;
}

static unsigned groups_in(const struct window *w) {
	uint64_t two = group_of(w, 2), three = group_of(w, 3), four = group_of(w, 4);
	uint64_t first = w->begins & ((UINT64_C(1) << STEP) - 1);
	return (first & three & three >> 4 & three >> 8 ? SHAPE_333 : 0u) |
	       (first & three & three >> 4 & four >> 8 ? SHAPE_334 : 0u) |
	       (first & three & two >> 4 & four >> 7 ? SHAPE_324 : 0u) |
	       (first & four & four >> 5 & four >> 10 ? SHAPE_444 : 0u) | (first & three & four >> 4 ? SHAPE_34 : 0u);
}

/* The most digits that stand in a row of such bytes as numbers are written with. */
static unsigned longest_number(const struct features *features, size_t start, size_t end) {
	unsigned most = 0, digits = 0;
	for (size_t at = start; at < end; at += 64) {
		uint64_t inside = take(features->numerals, at, end), all = take(features->digits, at, end);
		unsigned left = end - at < 64 ? (unsigned)(end - at) : 64, from = 0;
		while (from < left) {
			uint64_t rest = ~inside >> from;
			unsigned size = rest ? (unsigned)__builtin_ctzll(rest) : 64 - from;
			size = size < left - from ? size : left - from;
			uint64_t row = size == 64 ? all : all >> from & ((UINT64_C(1) << size) - 1);
			digits += features_bits(row);
			most = digits > most ? digits : most;
			from += size;
			if (from == left)
				break;
			digits = 0;
			uint64_t next = inside >> from;
			from = next ? from + (unsigned)__builtin_ctzll(next) : left;
		}
	}
	return most;
}

struct shapes shapes_of(const struct features *features, size_t start, size_t end) {
	struct shapes shapes = {.digits = features_count(features->digits, start, end),
	        .letters = features_count(features->letters, start, end),
	        .uppers = features_count(features->uppers, start, end),
	        .size = end - start};
	shapes.number = longest_number(features, start, end);
	shapes.codes = features_two(features->digits, start, end) ? SHAPE_NUMBERS : 0;
	for (size_t at = start; at < end; at += STEP) {
		struct window window = window_at(features, start, at, end);
		shapes.codes |= groups_in(&window);
		shapes.codes |= shapes.letters > 0 ? letter_codes_in(&window) : 0;
	}
	return shapes;
}
