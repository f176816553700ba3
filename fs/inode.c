#include "fs/inode.h"

#include <errno.h>
#include <stdlib.h>

#include "crypto/base/fault.h"

/* Chains stay short up to some ten thousand open files; a system's limit is usually there. */
#define BUCKETS 16384u

struct InodeTable {
	Store *store;
	pthread_mutex_t lock;  /* guards the chains, refs and closing; innermost */
	pthread_cond_t closed; /* an inode that was closing has gone */
	Inode *buckets[BUCKETS];
};

static Inode **bucket_of(InodeTable *table, uint64_t ino) {
	return &table->buckets[(ino * UINT64_C(0x9e3779b97f4a7c15) >> 32) % BUCKETS];
}

int inode_table_new(Store *store, InodeTable **ret) {
	InodeTable *table = calloc(1, sizeof *table);
	if (!table)
		return fault(ENOMEM, "the table of inodes");
	table->store = store;
	pthread_mutex_init(&table->lock, NULL);
	pthread_cond_init(&table->closed, NULL);
	*ret = table;
	return 0;
}

/* With the lock held. Waits while the inode is being closed: a node has one content at a time. */
static Inode *find_locked(InodeTable *table, uint64_t ino) {
	for (;;) {
		Inode *inode = *bucket_of(table, ino);
		while (inode && inode->ino != ino)
			inode = inode->next;
		if (!inode || !inode->closing)
			return inode;
		pthread_cond_wait(&table->closed, &table->lock);
	}
}

static Inode *new_inode(const struct node *node) {
	Inode *inode = calloc(1, sizeof *inode);
	if (!inode)
		return NULL;
	inode->ino = node->ino;
	inode->node = node->id;
	inode->zone = node->zone;
	inode->version = node->version;
	if (node->zone == ZONE_RAW || node->zone == ZONE_TRUSTED)
		inode->pinned = node->version;
	atomic_init(&inode->unlinked, node->nlink == 0);
	atomic_init(&inode->privileged, (node->mode & (S_ISUID | S_ISGID)) || node->xattrs > 0);
	pthread_mutex_init(&inode->lock, NULL);
	pthread_rwlock_init(&inode->swap, NULL);
	return inode;
}

static void free_inode(Inode *inode) {
	content_close(inode->content);
	pthread_rwlock_destroy(&inode->swap);
	pthread_mutex_destroy(&inode->lock);
	free(inode);
}

void inode_table_free(InodeTable *table) {
	if (!table)
		return;
	for (size_t i = 0; i < BUCKETS; i++)
		while (table->buckets[i]) {
			Inode *inode = table->buckets[i];
			table->buckets[i] = inode->next;
			free_inode(inode);
		}
	pthread_cond_destroy(&table->closed);
	pthread_mutex_destroy(&table->lock);
	free(table);
}

int inode_get(InodeTable *table, const struct node *node, Inode **ret) {
	int rc = 0;
	pthread_mutex_lock(&table->lock);
	Inode *inode = find_locked(table, node->ino);
	if (!inode && (inode = new_inode(node))) {
		Inode **bucket = bucket_of(table, node->ino);
		inode->next = *bucket;
		*bucket = inode;
	}
	if (inode)
		inode->refs++;
	else
		rc = fault(ENOMEM, "opening a file");
	pthread_mutex_unlock(&table->lock);
	if (rc == 0)
		*ret = inode;
	return rc;
}

Inode *inode_find(InodeTable *table, uint64_t ino) {
	pthread_mutex_lock(&table->lock);
	Inode *inode = *bucket_of(table, ino);
	while (inode && (inode->ino != ino || inode->closing))
		inode = inode->next;
	if (inode)
		inode->refs++;
	pthread_mutex_unlock(&table->lock);
	return inode;
}

static void unchain(InodeTable *table, Inode *inode) {
	Inode **slot = bucket_of(table, inode->ino);
	while (*slot != inode)
		slot = &(*slot)->next;
	*slot = inode->next;
}

void inode_put(InodeTable *table, Inode *inode) {
	if (!inode)
		return;
	pthread_mutex_lock(&table->lock);
	if (--inode->refs > 0) {
		pthread_mutex_unlock(&table->lock);
		return;
	}
	inode->closing = true;
	pthread_mutex_unlock(&table->lock);

	content_close(inode->content);
	inode->content = NULL;

	pthread_mutex_lock(&table->lock);
	unchain(table, inode);
	pthread_cond_broadcast(&table->closed);
	pthread_mutex_unlock(&table->lock);
	free_inode(inode);
}

/* With the lock held. */
static Inode *peek(InodeTable *table, uint64_t ino) {
	Inode *inode = *bucket_of(table, ino);
	while (inode && inode->ino != ino)
		inode = inode->next;
	return inode;
}

static void show(const Inode *inode, struct node *node) {
	int64_t written = atomic_load(&inode->written_at), changed = atomic_load(&inode->changed_at);
	if (atomic_load(&inode->sized))
		node->size = atomic_load(&inode->size);
	if (written == 0)
		return;
	node->mtime = written;
	if (node->ctime < changed || node->ctime < written)
		node->ctime = changed > written ? changed : written;
}

void inode_show(InodeTable *table, uint64_t ino, struct node *node) {
	pthread_mutex_lock(&table->lock);
	const Inode *inode = peek(table, ino);
	if (inode)
		show(inode, node);
	pthread_mutex_unlock(&table->lock);
}

void inode_access_set(InodeTable *table, uint64_t ino) {
	pthread_mutex_lock(&table->lock);
	Inode *inode = peek(table, ino);
	if (inode)
		atomic_store(&inode->is_read, false);
	pthread_mutex_unlock(&table->lock);
}

bool inode_is_plain(InodeTable *table, uint64_t ino) {
	pthread_mutex_lock(&table->lock);
	const Inode *inode = peek(table, ino);
	bool plain = inode && !atomic_load(&inode->privileged);
	pthread_mutex_unlock(&table->lock);
	return plain;
}

bool inode_describe(InodeTable *table, uint64_t ino, uint64_t *ret_node, uint64_t *ret_pinned) {
	pthread_mutex_lock(&table->lock);
	const Inode *inode = peek(table, ino);
	if (inode) {
		*ret_node = inode->node;
		*ret_pinned = inode->pinned;
	}
	pthread_mutex_unlock(&table->lock);
	return inode;
}

void inode_set_unlinked(InodeTable *table, uint64_t ino, bool unlinked) {
	pthread_mutex_lock(&table->lock);
	Inode *inode = peek(table, ino);
	if (inode)
		atomic_store(&inode->unlinked, unlinked);
	pthread_mutex_unlock(&table->lock);
}

/* An inode that had a version and now has none was erased: the kernel knows its size, and would show zeros for an empty
 * file. (Nobody changes `version` while there is no content.) */
static int check_erased(Inode *inode) {
	if (inode->version == 0 || content_version(inode->content) != 0)
		return 0;
	content_close(steal_pointer(&inode->content));
	return fault(ESTALE, "the file was erased");
}

static int open_content(InodeTable *table, Inode *inode) {
	pthread_rwlock_wrlock(&inode->swap);
	int rc = 0;
	if (!inode->content) {
		rc = content_open(table->store, inode->node, inode->pinned, &inode->content);
		if (rc == 0)
			content_attend(inode->content);
		rc = rc < 0 ? rc : check_erased(inode);
	}
	if (rc == 0)
		inode_note_size(inode, content_size(inode->content), false);
	pthread_rwlock_unlock(&inode->swap);
	return rc;
}

int inode_content(InodeTable *table, Inode *inode, Content **ret) {
	for (;;) {
		pthread_rwlock_rdlock(&inode->swap);
		if (inode->content) {
			*ret = inode->content;
			return 0;
		}
		pthread_rwlock_unlock(&inode->swap);
		int rc = open_content(table, inode);
		if (rc < 0)
			return rc;
	}
}

void inode_content_done(Inode *inode) {
	pthread_rwlock_unlock(&inode->swap);
}

void inode_note_size(Inode *inode, uint64_t size, bool grown) {
	if (!grown) {
		atomic_store(&inode->size, size);
	} else {
		uint64_t known = atomic_load(&inode->size);
		while (known < size && !atomic_compare_exchange_weak(&inode->size, &known, size))
			;
	}
	atomic_store(&inode->sized, true);
}

int inode_pin(InodeTable *table, Inode *inode) {
	if (inode->pinned || inode->version == 0)
		return 0;
	_cleanup_(content_closep) Content *seen = NULL;
	int rc = content_open(table->store, inode->node, inode->version, &seen);
	if (rc < 0)
		return rc;
	content_attend(seen);
	pthread_rwlock_wrlock(&inode->swap);
	Content *former = inode->content;
	inode->content = steal_pointer(&seen);
	inode->pinned = inode->version;
	inode_note_size(inode, content_size(inode->content), false);
	pthread_rwlock_unlock(&inode->swap);
	content_close(former);
	return 0;
}

/* The next open inode at or after bucket *at, behind `after` in its chain order; with a reference. */
static Inode *next_open(InodeTable *table, size_t *at, Inode *after) {
	pthread_mutex_lock(&table->lock);
	Inode *inode = after ? after->next : table->buckets[*at];
	for (;;) {
		while (inode && inode->closing)
			inode = inode->next;
		if (inode || ++*at >= BUCKETS)
			break;
		inode = table->buckets[*at];
	}
	if (inode)
		inode->refs++;
	pthread_mutex_unlock(&table->lock);
	return inode;
}

void inode_for_each(InodeTable *table, void (*visit)(void *arg, Inode *inode), void *arg) {
	size_t at = 0;
	Inode *inode = next_open(table, &at, NULL);
	while (inode) {
		visit(arg, inode);
		Inode *next = next_open(table, &at, inode);
		inode_put(table, inode);
		inode = next;
	}
}
