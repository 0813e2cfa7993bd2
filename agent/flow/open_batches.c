/*
 * open_batches: a hash table with chains and a list by use.
 * Owns:   the table.
 * Thread: shard.
 */
#include "flow/open_batches.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS_MIN = 16 };

void open_batches_fini(struct open_batches *o)
{
    free(o->bucket);
    memset(o, 0, sizeof(*o));
}

static bool is(const struct batch *b, const char *partition, uint32_t len, uint32_t hash)
{
    return b->partition_hash == hash && b->partition_len == len
           && memcmp(b->partition, partition, len) == 0;
}

static void used_remove(struct open_batches *o, struct batch *b)
{
    if (b->used.prev)
        b->used.prev->used.next = b->used.next;
    else
        o->oldest = b->used.next;
    if (b->used.next)
        b->used.next->used.prev = b->used.prev;
    else
        o->recent = b->used.prev;
    b->used.next = b->used.prev = NULL;
}

static void used_last(struct open_batches *o, struct batch *b)
{
    b->used.prev = o->recent;
    b->used.next = NULL;
    if (o->recent)
        o->recent->used.next = b;
    else
        o->oldest = b;
    o->recent = b;
}

struct batch *open_batches_find(struct open_batches *o, const char *partition, uint32_t len,
                                uint32_t hash)
{
    struct batch *b = o->recent;

    if (!b || is(b, partition, len, hash))
        return b;
    if (o->count == 1)
        return NULL;
    for (b = o->bucket[hash & o->mask]; b && !is(b, partition, len, hash); b = b->hash_next)
        ;
    if (!b)
        return NULL;
    used_remove(o, b);
    used_last(o, b);
    return b;
}

static void bucket_put(struct open_batches *o, struct batch *b)
{
    struct batch **bucket = &o->bucket[b->partition_hash & o->mask];

    b->hash_next = *bucket;
    *bucket = b;
}

static int grow(struct open_batches *o)
{
    uint32_t buckets = o->bucket ? 2 * (o->mask + 1) : BUCKETS_MIN;
    struct batch **bucket = calloc(buckets, sizeof(struct batch *));

    if (!bucket)
        return -ENOMEM;
    free(o->bucket);
    o->bucket = bucket;
    o->mask = buckets - 1;
    for (struct batch *b = o->oldest; b; b = b->used.next)
        bucket_put(o, b);
    return 0;
}

int open_batches_add(struct open_batches *o, struct batch *b)
{
    if ((!o->bucket && o->count > 0) || (o->bucket && o->count > o->mask)) {
        int err = grow(o);

        if (err)
            return err;
    }
    if (o->bucket)
        bucket_put(o, b);
    used_last(o, b);
    o->count++;
    return 0;
}

void open_batches_remove(struct open_batches *o, struct batch *b)
{
    struct batch **at = o->bucket ? &o->bucket[b->partition_hash & o->mask] : NULL;

    for (; at && *at; at = &(*at)->hash_next)
        if (*at == b) {
            *at = b->hash_next;
            break;
        }
    used_remove(o, b);
    b->hash_next = NULL;
    o->count--;
}
