#include "fs/notify.h"

#include <errno.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "backend/tree.h"
#include "crypto/base/fault.h"
#include "fs/fuse.h"

/* Beyond this the kernel's time-outs must do. */
#define QUEUE_MAX 65536
#define CHILDREN_AT_ONCE 256

enum kind { ENTRY, INODE, CHILDREN };

struct note {
	struct note *next;
	enum kind kind;
	uint64_t ino, node;
	size_t length;
	char name[];
};

struct Notifier {
	struct fuse_session *session;
	Meta *meta;
	pthread_t thread;
	pthread_mutex_t lock; /* guards the rest; innermost */
	pthread_cond_t filled;
	struct note *first, **last;
	const struct note *sending; /* by the thread; NULL: none */
	size_t count;
	bool stop;
	_Atomic size_t forgetting; /* notes of CHILDREN that are not through */
};

struct children {
	uint64_t after;
	size_t count;
	uint8_t lengths[CHILDREN_AT_ONCE];
	char names[CHILDREN_AT_ONCE][TREE_NAME_MAX + 1];
};

static int keep_child(void *arg, struct bytes name, uint64_t cookie, const struct node *node) {
	struct children *children = arg;
	(void)node;
	children->lengths[children->count] = (uint8_t)name.size;
	memcpy(children->names[children->count], name.data, name.size);
	children->names[children->count][name.size] = '\0';
	children->count++;
	children->after = cookie;
	return 0;
}

static bool stopping(Notifier *notifier) {
	pthread_mutex_lock(&notifier->lock);
	bool stop = notifier->stop;
	pthread_mutex_unlock(&notifier->lock);
	return stop;
}

static void send_children(Notifier *notifier, const struct note *note) {
	_cleanup_(freep) struct children *children = calloc(1, sizeof *children);
	if (!children)
		return;
	do {
		children->count = 0;
		meta_begin(notifier->meta);
		int rc = meta_end(notifier->meta, tree_list(notifier->meta, note->node, children->after,
		                                          CHILDREN_AT_ONCE, keep_child, children, NULL));
		if (rc < 0)
			return;
		for (size_t i = 0; i < children->count; i++)
			fuse_lowlevel_notify_inval_entry(
			        notifier->session, note->ino, children->names[i], children->lengths[i]);
	} while (children->count == CHILDREN_AT_ONCE && !stopping(notifier));
}

/* -ENOENT means that the kernel did not know it: nothing to forget. */
static void send_note(Notifier *notifier, const struct note *note) {
	switch (note->kind) {
	case ENTRY:
		fuse_lowlevel_notify_inval_entry(notifier->session, note->ino, note->name, note->length);
		break;
	case INODE:
		fuse_lowlevel_notify_inval_inode(notifier->session, note->ino, 0, 0);
		break;
	case CHILDREN:
		send_children(notifier, note);
		break;
	}
}

static struct note *next_note(Notifier *notifier) {
	pthread_mutex_lock(&notifier->lock);
	while (!notifier->first && !notifier->stop)
		pthread_cond_wait(&notifier->filled, &notifier->lock);
	struct note *note = notifier->stop ? NULL : notifier->first;
	if (note) {
		notifier->first = note->next;
		if (!notifier->first)
			notifier->last = &notifier->first;
		notifier->count--;
	}
	notifier->sending = note;
	pthread_mutex_unlock(&notifier->lock);
	return note;
}

static void note_done(Notifier *notifier, struct note *note) {
	pthread_mutex_lock(&notifier->lock);
	notifier->sending = NULL;
	if (note->kind == CHILDREN)
		notifier->forgetting--;
	pthread_mutex_unlock(&notifier->lock);
	free(note);
}

static void *run(void *arg) {
	Notifier *notifier = arg;
	struct note *note;
	while ((note = next_note(notifier))) {
		send_note(notifier, note);
		note_done(notifier, note);
	}
	return NULL;
}

int notifier_new(struct fuse_session *session, Meta *meta, Notifier **ret) {
	Notifier *notifier = calloc(1, sizeof *notifier);
	if (!notifier)
		return fault(ENOMEM, "starting the notifier");
	notifier->session = session;
	notifier->meta = meta;
	notifier->last = &notifier->first;
	pthread_mutex_init(&notifier->lock, NULL);
	pthread_cond_init(&notifier->filled, NULL);
	int error = pthread_create(&notifier->thread, NULL, run, notifier);
	if (error) {
		free(notifier);
		return fault_errno(error, "starting the notifier's thread");
	}
	*ret = notifier;
	return 0;
}

void notifier_free(Notifier *notifier) {
	if (!notifier)
		return;
	pthread_mutex_lock(&notifier->lock);
	notifier->stop = true;
	pthread_cond_signal(&notifier->filled);
	pthread_mutex_unlock(&notifier->lock);
	pthread_join(notifier->thread, NULL);
	while (notifier->first) {
		struct note *note = notifier->first;
		notifier->first = note->next;
		free(note);
	}
	pthread_cond_destroy(&notifier->filled);
	pthread_mutex_destroy(&notifier->lock);
	free(notifier);
}

static void enqueue(Notifier *notifier, enum kind kind, uint64_t ino, uint64_t node, struct bytes name) {
	struct note *note = calloc(1, sizeof *note + name.size + 1);
	if (!note)
		return;
	note->kind = kind;
	note->ino = ino;
	note->node = node;
	note->length = name.size;
	if (name.size)
		memcpy(note->name, name.data, name.size);
	pthread_mutex_lock(&notifier->lock);
	bool full = notifier->count >= QUEUE_MAX;
	if (!full) {
		*notifier->last = note;
		notifier->last = &note->next;
		notifier->count++;
		notifier->forgetting += kind == CHILDREN;
		pthread_cond_signal(&notifier->filled);
	}
	pthread_mutex_unlock(&notifier->lock);
	if (full)
		free(note);
}

void notify_entry(Notifier *notifier, uint64_t parent_ino, struct bytes name) {
	enqueue(notifier, ENTRY, parent_ino, 0, name);
}

void notify_inode(Notifier *notifier, uint64_t ino) {
	enqueue(notifier, INODE, ino, 0, (struct bytes){0});
}

void notify_write_back(Notifier *notifier, uint64_t ino) {
	fuse_lowlevel_notify_inval_inode(notifier->session, (fuse_ino_t)ino, 0, 0);
}

void notify_attributes(Notifier *notifier, uint64_t ino) {
	fuse_lowlevel_notify_inval_inode(notifier->session, ino, -1, 0); /* a negative offset: no pages */
}

void notify_children(Notifier *notifier, uint64_t dir_node, uint64_t dir_ino) {
	enqueue(notifier, CHILDREN, dir_ino, dir_node, (struct bytes){0});
}

bool notify_forgets_any(const Notifier *notifier) {
	return atomic_load(&notifier->forgetting) > 0;
}

static bool is_of(const struct note *note, uint64_t dir_node) {
	return note && note->kind == CHILDREN && note->node == dir_node;
}

bool notify_is_forgetting(Notifier *notifier, uint64_t dir_node) {
	pthread_mutex_lock(&notifier->lock);
	bool found = is_of(notifier->sending, dir_node);
	for (const struct note *note = notifier->first; note && !found; note = note->next)
		found = is_of(note, dir_node);
	pthread_mutex_unlock(&notifier->lock);
	return found;
}
