/*
 * wal_partitions: the table of sealed partitions.
 * Owns:   nothing.
 * Thread: shard.
 */
#include "wal/wal_partitions.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"

enum { PARTITIONS_MIN = 16 };       /* a power of two */

static uint32_t *bucket_of(const struct wal_partitions *p, uint32_t hash)
{
    return &p->buckets[hash & (p->buckets_count - 1)];
}

static struct wal_partition *find(const struct wal_partitions *p, uint16_t output, const void *name,
                                  size_t len, uint32_t hash)
{
    if (p->count == 0)
        return NULL;
    for (uint32_t i = *bucket_of(p, hash); i > 0; i = p->items[i - 1].next) {
        struct wal_partition *item = &p->items[i - 1];

        if (item->hash == hash && item->output == output && item->name_len == len
            && memcmp(item->name, name, len) == 0)
            return item;
    }
    return NULL;
}

uint64_t wal_partitions_lsn(const struct wal_partitions *p, uint16_t output, const void *name,
                            size_t len)
{
    const struct wal_partition *item = find(p, output, name, len, crc32c(output, name, len));

    return item ? item->sealed_lsn : 0;
}

static void buckets_fill(struct wal_partitions *p)
{
    memset(p->buckets, 0, p->buckets_count * sizeof(*p->buckets));
    for (uint32_t i = 0; i < p->count; i++) {
        uint32_t *bucket = bucket_of(p, p->items[i].hash);

        p->items[i].next = *bucket;
        *bucket = i + 1;
    }
}

/* As many buckets as places. */
static int grow(struct wal_partitions *p)
{
    uint32_t cap = p->cap ? p->cap * 2 : PARTITIONS_MIN;
    uint32_t *buckets = malloc(cap * sizeof(*buckets));
    struct wal_partition *items;

    if (!buckets)
        return -ENOMEM;
    items = realloc(p->items, cap * sizeof(*items));
    if (!items) {
        free(buckets);
        return -ENOMEM;
    }
    free(p->buckets);
    p->items = items;
    p->buckets = buckets;
    p->cap = p->buckets_count = cap;
    buckets_fill(p);
    return 0;
}

int wal_partitions_seal(struct wal_partitions *p, uint16_t output, struct wal_str name,
                        uint64_t lsn)
{
    uint32_t hash = crc32c(output, name.at, name.len), *bucket;
    struct wal_partition *item = find(p, output, name.at, name.len, hash);
    char *copy;
    int err;

    if (item) {
        if (item->sealed_lsn < lsn)
            item->sealed_lsn = lsn;
        return 0;
    }
    err = p->count == p->cap ? grow(p) : 0;
    if (err)
        return err;
    copy = malloc(name.len);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, name.at, name.len);
    bucket = bucket_of(p, hash);
    p->items[p->count++] = (struct wal_partition){.name = copy, .name_len = name.len, .hash = hash,
                                                  .next = *bucket, .output = output,
                                                  .sealed_lsn = lsn};
    *bucket = p->count;
    return 0;
}

void wal_partitions_trim(struct wal_partitions *p, uint64_t lsn)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < p->count; i++) {
        if (p->items[i].sealed_lsn >= lsn)
            p->items[kept++] = p->items[i];
        else
            free(p->items[i].name);
    }
    if (kept == p->count)
        return;
    p->count = kept;
    if (kept == 0)
        wal_partitions_free(p);
    else
        buckets_fill(p);
}

void wal_partitions_free(struct wal_partitions *p)
{
    for (uint32_t i = 0; i < p->count; i++)
        free(p->items[i].name);
    free(p->items);
    free(p->buckets);
    memset(p, 0, sizeof(*p));
}
