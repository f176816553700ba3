/*
 * Figures, not a test: puts objects of 16 MiB into a place and gets them back, so many at once.
 *
 *     usage: bench_objects URL PARALLEL [COUNT]      S3: credentials and endpoint from the environment
 */
#include "backend/objects/objects.h"
#include "crypto/base/deadline.h"

#include <sodium/randombytes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define SIZE ((size_t)16 << 20)
#define MOST 256

struct bench {
	Objects *objects;
	size_t count;
	struct object_request requests[MOST];
	char names[MOST][16];
	uint8_t *data;
};

static double cpu_s(void) {
	struct rusage usage;
	(void)getrusage(RUSAGE_SELF, &usage);
	return (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static int measure(struct bench *bench, const char *what) {
	double cpu = cpu_s();
	int64_t before = monotonic_ns();
	int rc = objects_do(bench->objects, bench->requests, bench->count);
	double seconds = (double)(monotonic_ns() - before) / 1e9;
	double mib = (double)(bench->count * SIZE) / (1 << 20);
	if (rc < 0)
		(void)fprintf(stderr, "%s: %s\n", what, fault_message());
	else
		printf("%-6s %7.1f MiB/s   %5.2f s, %5.2f s of processor\n", what, mib / seconds, seconds,
		        cpu_s() - cpu);
	return rc;
}

static void set(struct bench *bench, enum object_what what) {
	for (size_t i = 0; i < bench->count; i++) {
		(void)snprintf(bench->names[i], sizeof bench->names[i], "b/%zu", i);
		bench->requests[i] = (struct object_request){.what = what, .name = bench->names[i]};
		if (what == OBJECT_PUT)
			bench->requests[i].data = bytes_of(bench->data, SIZE);
		/* All into the same room: what came is of no interest. */
		bench->requests[i].into = bench->data;
		bench->requests[i].size = SIZE;
	}
}

int main(int argc, char **argv) {
	if (argc < 3) {
		(void)fprintf(stderr, "usage: bench_objects URL PARALLEL [COUNT]\n");
		return 2;
	}
	static struct bench bench;
	unsigned long count = argc > 3 ? strtoul(argv[3], NULL, 10) : 64;
	bench.count = count < MOST ? count : MOST;
	bench.data = malloc(SIZE);
	if (!bench.data)
		return 1;
	randombytes_buf(bench.data, SIZE);
	struct objects_place place = {.url = argv[1], .parallel = (unsigned)strtoul(argv[2], NULL, 10)};
	int rc = objects_open(&place, &bench.objects);
	if (rc == 0)
		rc = objects_prepare(bench.objects, true, false);
	if (rc < 0)
		(void)fprintf(stderr, "%s\n", fault_message());
	set(&bench, OBJECT_PUT);
	rc = rc < 0 ? rc : measure(&bench, "put");
	set(&bench, OBJECT_GET);
	rc = rc < 0 ? rc : measure(&bench, "get");
	set(&bench, OBJECT_REMOVE);
	rc = rc < 0 ? rc : measure(&bench, "remove");
	objects_close(bench.objects);
	free(bench.data);
	return rc < 0;
}
