#include "fs/read_buffers.h"
#include "crypto/base/fault.h"
#include "crypto/secret.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#define PAGE_BYTES 4096

struct buffer {
	ReadBuffers *owner;
	struct buffer *before, *after;
	pthread_mutex_t taken;
	bool is_used;        /* since it was wiped; guarded by `taken` */
	atomic_bool to_wipe; /* by whoever has it next */
	uint8_t *data;
};

struct ReadBuffers {
	pthread_key_t key;
	pthread_mutex_t lock; /* of the list; before a buffer's */
	struct buffer *first;
};

static void release(struct buffer *buffer) {
	if (buffer->is_used)
		secret_wipe(buffer->data, READ_BUFFER_BYTES);
	free(buffer->data);
	pthread_mutex_destroy(&buffer->taken);
	free(buffer);
}

/* A thread ends. */
static void leave(void *value) {
	struct buffer *buffer = value;
	ReadBuffers *buffers = buffer->owner;
	pthread_mutex_lock(&buffers->lock);
	if (buffer->before)
		buffer->before->after = buffer->after;
	else
		buffers->first = buffer->after;
	if (buffer->after)
		buffer->after->before = buffer->before;
	pthread_mutex_unlock(&buffers->lock);
	release(buffer);
}

int read_buffers_new(ReadBuffers **ret) {
	_cleanup_(freep) ReadBuffers *buffers = calloc(1, sizeof *buffers);
	if (!buffers)
		return fault(ENOMEM, "no memory for what is read");
	int rc = pthread_key_create(&buffers->key, leave);
	if (rc)
		return fault(rc, "no buffers for what is read");
	pthread_mutex_init(&buffers->lock, NULL);
	*ret = steal_pointer(&buffers);
	return 0;
}

void read_buffers_free(ReadBuffers *buffers) {
	if (!buffers)
		return;
	pthread_key_delete(buffers->key);
	for (struct buffer *next, *buffer = buffers->first; buffer; buffer = next) {
		next = buffer->after;
		release(buffer);
	}
	pthread_mutex_destroy(&buffers->lock);
	free(buffers);
}

static struct buffer *join(ReadBuffers *buffers) {
	_cleanup_(freep) struct buffer *buffer = calloc(1, sizeof *buffer);
	_cleanup_(freep) void *data = NULL;
	if (!buffer || posix_memalign(&data, PAGE_BYTES, READ_BUFFER_BYTES) != 0 ||
	        pthread_setspecific(buffers->key, buffer) != 0)
		return NULL;
	pthread_mutex_init(&buffer->taken, NULL);
	buffer->owner = buffers;
	buffer->data = steal_pointer(&data);
	pthread_mutex_lock(&buffers->lock);
	buffer->after = buffers->first;
	if (buffer->after)
		buffer->after->before = buffer;
	buffers->first = buffer;
	pthread_mutex_unlock(&buffers->lock);
	return steal_pointer(&buffer);
}

uint8_t *read_buffers_take(ReadBuffers *buffers) {
	struct buffer *buffer = pthread_getspecific(buffers->key);
	if (!buffer)
		buffer = join(buffers);
	if (!buffer)
		return NULL;
	pthread_mutex_lock(&buffer->taken);
	buffer->is_used = true;
	return buffer->data;
}

/* It is taken. */
static void wipe_taken(struct buffer *buffer) {
	atomic_store(&buffer->to_wipe, false);
	if (buffer->is_used)
		secret_wipe(buffer->data, READ_BUFFER_BYTES);
	buffer->is_used = false;
}

/* Who has it wipes it in time: a wish that comes between the look and the unlocking is seen by the second look. */
static void give_back(struct buffer *buffer) {
	do {
		if (atomic_load(&buffer->to_wipe))
			wipe_taken(buffer);
		pthread_mutex_unlock(&buffer->taken);
	} while (atomic_load(&buffer->to_wipe) && pthread_mutex_trylock(&buffer->taken) == 0);
}

void read_buffers_done(ReadBuffers *buffers) {
	struct buffer *buffer = pthread_getspecific(buffers->key);
	if (buffer)
		give_back(buffer);
}

void read_buffers_wipe(ReadBuffers *buffers) {
	pthread_mutex_lock(&buffers->lock);
	for (struct buffer *buffer = buffers->first; buffer; buffer = buffer->after) {
		atomic_store(&buffer->to_wipe, true);
		if (pthread_mutex_trylock(&buffer->taken) == 0)
			give_back(buffer);
	}
	pthread_mutex_unlock(&buffers->lock);
}
