/*
 * csv_index: see csv_index.h.
 *
 * Measured (tests/policy/bench_table.c by processor time, gcc 12 -O2, one core of a Xeon virtual machine with AVX2 that
 * others kept busy, rows of 51 bytes and 6 fields from memory, UTF-8 check included): reading 1.2 to 1.9 GB/s.
 */
#include "policy/table/csv_index.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <stdlib.h>

#ifdef __SSE2__
#include <immintrin.h>
#endif

#define BLOCK 64
#define ALWAYS_INLINE static inline __attribute__((always_inline))

int csv_index_init(struct csv_index *index) {
	index->fields = calloc(CSV_INDEX_BYTES + BLOCK, sizeof *index->fields);
	index->records = calloc(CSV_INDEX_BYTES + BLOCK, sizeof *index->records);
	return index->fields && index->records ? 0 : fault(ENOMEM, "out of memory while reading a table");
}

void csv_index_release(struct csv_index *index) {
	free(index->fields);
	free(index->records);
}

/* The bytes that are looked for. Where there is no delimiter it is the newline, where there is no quote NUL. */
struct needles {
	char delimiter, newline, quote;
	char stray; /* the other newline, which may stand before the first one alone, if it is CR */
};

/* What a block has where, a bit for each byte. */
struct block {
	uint64_t delimiters, newlines, quotes, strays;
	uint64_t odd; /* above 0x7f, or NUL */
};

typedef struct block classify_function(const char *text, const struct needles *needles);

#ifdef __SSE2__
ALWAYS_INLINE uint64_t bits16(__m128i vector, unsigned at) {
	return (uint64_t)(uint32_t)_mm_movemask_epi8(vector) << at;
}

ALWAYS_INLINE void add_sse2(struct block *block, const char *text, const struct needles *needles, unsigned at) {
	__m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(text + at));
	block->delimiters |= bits16(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(needles->delimiter)), at);
	block->newlines |= bits16(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(needles->newline)), at);
	block->quotes |= bits16(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(needles->quote)), at);
	block->strays |= bits16(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(needles->stray)), at);
	block->odd |= bits16(_mm_or_si128(bytes, _mm_cmpeq_epi8(bytes, _mm_setzero_si128())), at);
}

ALWAYS_INLINE struct block classify_sse2(const char *text, const struct needles *needles) {
	struct block block = {0};
	add_sse2(&block, text, needles, 0);
	add_sse2(&block, text, needles, 16);
	add_sse2(&block, text, needles, 32);
	add_sse2(&block, text, needles, 48);
	return block;
}

#define AVX2 __attribute__((target("avx2,bmi,popcnt")))

AVX2 static inline uint64_t bits32(__m256i vector, unsigned at) {
	return (uint64_t)(uint32_t)_mm256_movemask_epi8(vector) << at;
}

AVX2 static inline void add_avx2(struct block *block, const char *text, const struct needles *needles, unsigned at) {
	__m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)(text + at));
	block->delimiters |= bits32(_mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(needles->delimiter)), at);
	block->newlines |= bits32(_mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(needles->newline)), at);
	block->quotes |= bits32(_mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(needles->quote)), at);
	block->strays |= bits32(_mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(needles->stray)), at);
	block->odd |= bits32(_mm256_or_si256(bytes, _mm256_cmpeq_epi8(bytes, _mm256_setzero_si256())), at);
}

AVX2 static inline struct block classify_avx2(const char *text, const struct needles *needles) {
	struct block block = {0};
	add_avx2(&block, text, needles, 0);
	add_avx2(&block, text, needles, 32);
	return block;
}
#else
static struct block classify_plain(const char *text, const struct needles *needles) {
	struct block block = {0};
	for (unsigned i = 0; i < BLOCK; i++) {
		block.delimiters |= (uint64_t)(text[i] == needles->delimiter) << i;
		block.newlines |= (uint64_t)(text[i] == needles->newline) << i;
		block.quotes |= (uint64_t)(text[i] == needles->quote) << i;
		block.strays |= (uint64_t)(text[i] == needles->stray) << i;
		block.odd |= (uint64_t)(text[i] == 0 || (unsigned char)text[i] > 0x7f) << i;
	}
	return block;
}
#endif

/* Everything below the lowest bit of `mask`. */
ALWAYS_INLINE uint64_t below(uint64_t mask) {
	return mask ? (mask & -mask) - 1 : ~UINT64_C(0);
}

/* Eight at a time, whether there are so many or not: most blocks have as many, so that the branch is foreseen. There is
 * room for 64 behind the last one. */
ALWAYS_INLINE uint64_t write_mark(uint32_t *to, uint64_t marks, uint32_t at) {
	*to = at + (uint32_t)__builtin_ctzll(marks | UINT64_C(1) << 63);
	return marks & (marks - 1);
}

ALWAYS_INLINE void write_marks(uint32_t *to, uint64_t marks, uint32_t at) {
	do {
		marks = write_mark(to, marks, at);
		marks = write_mark(to + 1, marks, at);
		marks = write_mark(to + 2, marks, at);
		marks = write_mark(to + 3, marks, at);
		marks = write_mark(to + 4, marks, at);
		marks = write_mark(to + 5, marks, at);
		marks = write_mark(to + 6, marks, at);
		marks = write_mark(to + 7, marks, at);
		to += 8;
	} while (marks);
}

/* Of the other newlines those that are no part of one: of CR before LF the last bit needs the next block's first byte,
 * which is there, or slack. */
ALWAYS_INLINE uint64_t stray_of(const struct block *block, const struct needles *needles, const char *text) {
	uint64_t ended =
	        needles->stray == '\r' ? block->newlines >> 1 | (uint64_t)(text[BLOCK] == '\n') << (BLOCK - 1) : 0;
	return block->strays & ~ended;
}

ALWAYS_INLINE void fill_blocks(struct csv_index *index, const char *text, size_t size, const struct needles *needles,
        classify_function *classify) {
	size_t fields = 0, records = 0, end = 0;
	uint64_t odd_before = 0, odd = 0; /* up to the last newline; behind it */
	bool stops = false;
	for (size_t at = 0; at < size && !stops; at += BLOCK) {
		struct block block = classify(text + at, needles);
		uint64_t valid = size - at < BLOCK ? (UINT64_C(1) << (size - at)) - 1 : ~UINT64_C(0);
		uint64_t ends = block.quotes | stray_of(&block, needles, text + at);
		if (ends & valid) {
			valid &= below(ends);
			stops = true;
		}
		uint64_t newlines = block.newlines & valid;
		if (newlines) {
			unsigned last = 63 - (unsigned)__builtin_clzll(newlines);
			end = at + last + 1;
			odd_before |= odd | (block.odd & (last == 63 ? ~UINT64_C(0) : (UINT64_C(2) << last) - 1));
			odd = last == 63 ? 0 : block.odd >> (last + 1);
		} else {
			odd |= block.odd;
		}
		uint64_t marks = (block.delimiters | block.newlines) & valid;
		for (; newlines; newlines &= newlines - 1) {
			uint64_t up_to = newlines ^ (newlines - 1);
			index->records[records++] = (uint32_t)fields + (uint32_t)__builtin_popcountll(marks & up_to);
		}
		write_marks(index->fields + fields, marks, (uint32_t)at);
		fields += (size_t)__builtin_popcountll(marks);
	}
	index->field_count = fields;
	index->record_count = records;
	index->size = end;
	index->is_ascii = odd_before == 0;
}

#ifdef __SSE2__
AVX2 static void fill_avx2(struct csv_index *index, const char *text, size_t size, const struct needles *needles) {
	fill_blocks(index, text, size, needles, classify_avx2);
}
#endif

void csv_index_fill(struct csv_index *index, const char *text, size_t size, char delimiter, char newline, char quote) {
	struct needles needles = {.delimiter = delimiter ? delimiter : newline,
	        .newline = newline,
	        .quote = quote,
	        .stray = newline == '\n' ? '\r' : '\n'};
	if (size > CSV_INDEX_BYTES)
		size = CSV_INDEX_BYTES;
#ifdef __SSE2__
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("popcnt"))
		fill_avx2(index, text, size, &needles);
	else
		fill_blocks(index, text, size, &needles, classify_sse2);
#else
	fill_blocks(index, text, size, &needles, classify_plain);
#endif
}
