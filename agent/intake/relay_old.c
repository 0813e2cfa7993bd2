/*
 * relay_old: finds, locks and settles rings.
 *
 * Owns:   see the header.
 * Thread: any one at a time.
 */
#include "intake/relay_old.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "io/file.h"
#include "shm_wire.h"

struct scan {
    struct relay_old *old;
    const struct relay_table *table;
    int dir;
};

static bool journal_knows(const struct relay_table *t, const uint8_t uuid[16])
{
    for (size_t i = t->ranges_at; i < t->ranges_end; i++)
        if (memcmp(t->ranges[i].ring, uuid, 16) == 0)
            return true;
    return false;
}

static struct relay_old_ring *ring_find(const struct relay_old *old, const uint8_t uuid[16])
{
    struct relay_old_ring *r = old->rings;

    while (r && memcmp(r->uuid, uuid, sizeof(r->uuid)) != 0)
        r = r->next;
    return r;
}

static int word_read(int fd, uint64_t at, uint64_t *ret_word)
{
    ssize_t n = file_read(fd, ret_word, sizeof(*ret_word), at);

    return n == (ssize_t)sizeof(*ret_word) ? 0 : n < 0 ? (int)n : -EBADMSG;
}

/* The producer is dead, so its head is final. */
static int ring_take(struct scan *scan, int fd, const struct shm_superblock *super)
{
    struct relay_old_ring *r;
    uint64_t head = 0;
    int err = word_read(fd, (uint64_t)super->page_bytes + super->head_offset, &head);

    if (!err)
        err = file_lock_as_producer(fd);
    if (err)
        return err;
    r = calloc(1, sizeof(*r));
    if (!r)
        return -ENOMEM;
    *r = (struct relay_old_ring){scan->old->rings, fd, {0}, head, super->page_bytes};
    memcpy(r->uuid, super->uuid, sizeof(r->uuid));
    scan->old->rings = r;
    /* With `sync = never` nothing is synced that nobody asks for. */
    return file_write(fd, &head, sizeof(head),
                      r->page_bytes + offsetof(struct shm_producer, wanted)
                          + SHM_POS_DURABLE * sizeof(uint64_t));
}

static int on_name(void *ctx, const char *name)
{
    struct scan *scan = ctx;
    struct shm_superblock super;
    ssize_t n;
    int fd, r;

    if (strncmp(name, RELAY_RING_NAME ".", sizeof(RELAY_RING_NAME)) != 0)
        return 0;
    fd = file_open(scan->dir, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK, 0);
    if (fd < 0)                 /* gone, or a stranger's */
        return fd == -ENOMEM || fd == -EMFILE || fd == -ENFILE ? fd : 0;
    n = file_read(fd, &super, sizeof(super), 0);
    if (n != (ssize_t)sizeof(super) || !journal_knows(scan->table, super.uuid)
        || ring_find(scan->old, super.uuid)) {
        file_close(fd);
        return 0;
    }
    r = ring_take(scan, fd, &super);
    if (r && !ring_find(scan->old, super.uuid))
        file_close(fd);
    return r;
}

int relay_old_open(struct relay_old *old, const char *shm_dir, struct relay_table *table,
                   relay_ring_end_fn ring_end, void *ctx, struct errmsg *err)
{
    struct scan scan = {.old = old, .table = table};
    size_t i;
    int r;

    *old = (struct relay_old){0};
    scan.dir = file_open(FILE_CWD, shm_dir, O_RDONLY | O_DIRECTORY, 0);
    r = scan.dir < 0 ? scan.dir : file_list(scan.dir, on_name, &scan);
    file_close(scan.dir);
    for (i = table->ranges_at; !r && i < table->ranges_end;) {
        uint8_t uuid[16];

        memcpy(uuid, table->ranges[i].ring, sizeof(uuid));
        if (ring_find(old, uuid))
            i++;
        else
            relay_table_settle(table, uuid, ring_end(ctx, uuid));
    }
    if (!r)
        r = relay_table_rewrite(table);
    if (r)
        relay_old_close(old);
    return r ? errmsg_set_errno(err, r, "relay: what was taken before cannot be settled") : 0;
}

/* Nothing of it is to be waited for any more. */
static bool ring_over(const struct relay_old_ring *r)
{
    uint64_t base = 2 * r->page_bytes, durable, quarantine;

    if (word_read(r->fd, base + offsetof(struct shm_consumer, mark)
                             + SHM_POS_DURABLE * sizeof(struct shm_mark), &durable)
        || word_read(r->fd, base + offsetof(struct shm_consumer, wanted), &quarantine))
        return true;            /* others have cut it short */
    return durable >= r->head || quarantine >> 32 != SHM_QUARANTINE_NONE;
}

int relay_old_turn(struct relay_old *old, struct relay_table *table)
{
    int r;

    for (const struct relay_old_ring *ring = old->rings; ring; ring = ring->next)
        if (!ring_over(ring))
            return 0;
    if (!old->rings)
        return 1;
    for (const struct relay_old_ring *ring = old->rings; ring; ring = ring->next)
        relay_table_settle(table, ring->uuid, ring->head);
    r = relay_table_rewrite(table);
    if (r)
        return r;
    relay_old_close(old);
    return 1;
}

void relay_old_close(struct relay_old *old)
{
    while (old->rings) {
        struct relay_old_ring *r = old->rings;

        old->rings = r->next;
        file_close(r->fd);
        free(r);
    }
}
