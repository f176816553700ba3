/*
 * fuzz_main: runs a libFuzzer target without libFuzzer, over the files and directories given, so that crashers once
 * found and the seeds are replayed by every test run with any compiler. Then it runs FUZZ_MUTATIONS (default 2,000)
 * simple mutations of them, from the seed FUZZ_SEED, which is printed. Without arguments the mutations start from
 * nothing.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_INPUTS 4096
#define MAX_BYTES (1u << 20)

struct input {
	uint8_t *data;
	size_t size;
};

static struct input inputs[MAX_INPUTS];
static size_t input_count;

static void add_file(const char *path) {
	FILE *file = fopen(path, "rb");
	if (!file || input_count == MAX_INPUTS) {
		if (file)
			fclose(file);
		return;
	}
	uint8_t *data = malloc(MAX_BYTES);
	if (!data)
		abort();
	size_t size = fread(data, 1, MAX_BYTES, file);
	fclose(file);
	uint8_t *exact = realloc(data, size ? size : 1);
	inputs[input_count++] = (struct input){.data = exact ? exact : data, .size = size};
}

static void add_path(const char *path) {
	DIR *dir = opendir(path);
	if (!dir) {
		add_file(path);
		return;
	}
	const struct dirent *entry;
	while ((entry = readdir(dir))) {
		char name[4096];
		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
		add_file(name);
	}
	closedir(dir);
}

static uint64_t random_state;

static uint64_t next_random(void) {
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static void run(const uint8_t *data, size_t size) {
	/* An exact copy, so that a read past the end is seen by the sanitizer. */
	uint8_t *copy = malloc(size ? size : 1);
	if (!copy)
		abort();
	if (size)
		memcpy(copy, data, size);
	(void)LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static void mutate_and_run(void) {
	static uint8_t buffer[65536];
	size_t size = 0;
	if (input_count) {
		const struct input *input = &inputs[next_random() % input_count];
		size = input->size < sizeof buffer ? input->size : sizeof buffer;
		memcpy(buffer, input->data, size);
	}
	for (uint64_t edits = next_random() % 8 + 1; edits > 0; edits--) {
		size_t at = size ? next_random() % size : 0;
		uint64_t kind = next_random() % 4;
		if (kind == 0 && size < sizeof buffer) {
			memmove(buffer + at + 1, buffer + at, size - at);
			buffer[at] = (uint8_t)next_random();
			size++;
		} else if (kind == 1 && size) {
			memmove(buffer + at, buffer + at + 1, size - at - 1);
			size--;
		} else if (kind == 2 && size) {
			buffer[at] = (uint8_t)next_random();
		} else if (size) {
			size = at;
		}
	}
	run(buffer, size);
}

static uint64_t number_from_environment(const char *name, uint64_t otherwise) {
	const char *text = getenv(name);
	return text ? strtoull(text, NULL, 10) : otherwise;
}

int main(int argc, char **argv) {
	for (int i = 1; i < argc; i++)
		add_path(argv[i]);
	for (size_t i = 0; i < input_count; i++)
		run(inputs[i].data, inputs[i].size);
	uint64_t seed = number_from_environment("FUZZ_SEED", 1);
	uint64_t mutations = number_from_environment("FUZZ_MUTATIONS", 2000);
	random_state = seed * 0x9e3779b97f4a7c15u + 1;
	for (uint64_t i = 0; i < mutations; i++)
		mutate_and_run();
	printf("%zu inputs, %llu mutations, seed %llu\n", input_count, (unsigned long long)mutations,
	        (unsigned long long)seed);
	for (size_t i = 0; i < input_count; i++)
		free(inputs[i].data);
	return 0;
}
