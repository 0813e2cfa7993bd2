/*
 * relay_table: batches by key, ranges in the order of their ring, and the journal of both.
 *
 * Owns:   see the header.
 * Thread: any one at a time.
 */
#include "intake/relay_table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "io/file.h"

#define JOURNAL     "relay"
#define JOURNAL_NEW "relay.new"

enum { BUCKETS_MIN = 1024, RANGES_MIN = 256, REWRITE_BYTES = 1 << 20, READ_RECORDS = 1024 };

enum record_type { RECORD_TAKEN = 1, RECORD_RANGE, RECORD_FORGET };

struct record {
    uint32_t crc32c;            /* of what follows */
    uint32_t type;
    uint8_t peer[16];
    uint64_t epoch, number, shard;
    uint64_t offset;            /* TAKEN: settled */
    uint8_t ring[16];           /* these three of RANGE */
    uint64_t from, to;
};
_Static_assert(sizeof(struct record) == 88, "state/relay");

/* --- batches -------------------------------------------------------------------------------- */

static bool key_equal(const struct relay_key *a, const struct relay_key *b)
{
    return a->id.number == b->id.number && a->id.epoch == b->id.epoch
           && a->id.shard == b->id.shard && memcmp(a->peer, b->peer, sizeof(a->peer)) == 0;
}

/* A sender has few that it has not told to be over, and forgets by shard: so all are in one. */
static struct relay_entry **bucket_of(const struct relay_table *t, const uint8_t peer[16])
{
    return &t->buckets[crc32c(0, peer, 16) & (t->buckets_count - 1)];
}

static struct relay_entry **entry_at(const struct relay_table *t, const struct relay_key *key)
{
    struct relay_entry **at = bucket_of(t, key->peer);

    while (*at && !key_equal(&(*at)->key, key))
        at = &(*at)->next;
    return at;
}

static int buckets_grow(struct relay_table *t)
{
    struct relay_table grown = {.buckets_count = t->buckets_count * 2};

    grown.buckets = calloc(grown.buckets_count, sizeof(struct relay_entry *));
    if (!grown.buckets)
        return -ENOMEM;
    for (size_t i = 0; i < t->buckets_count; i++) {
        struct relay_entry *e = t->buckets[i], *next;

        for (; e; e = next) {
            struct relay_entry **at = bucket_of(&grown, e->key.peer);

            next = e->next;
            e->next = *at;
            *at = e;
        }
    }
    free(t->buckets);
    t->buckets = grown.buckets;
    t->buckets_count = grown.buckets_count;
    return 0;
}

static struct relay_entry *entry_get(struct relay_table *t, const struct relay_key *key)
{
    struct relay_entry **at = entry_at(t, key);

    if (*at)
        return *at;
    if (t->count >= t->buckets_count && buckets_grow(t))
        return NULL;
    at = entry_at(t, key);
    *at = calloc(1, sizeof(**at));
    if (!*at)
        return NULL;
    (*at)->key = *key;
    t->count++;
    return *at;
}

static void entry_remove(struct relay_table *t, const struct relay_key *key)
{
    struct relay_entry **at = entry_at(t, key), *e = *at;

    if (!e)
        return;
    *at = e->next;
    free(e);
    t->count--;
}

uint64_t relay_table_taken(const struct relay_table *t, const struct relay_key *key)
{
    const struct relay_entry *e = *entry_at(t, key);

    return e ? e->taken : 0;
}

bool relay_table_room(const struct relay_table *t, const struct relay_key *key)
{
    const struct relay_entry *e = *bucket_of(t, key->peer);
    size_t known = 0;

    for (; e; e = e->next) {
        if (key_equal(&e->key, key))
            return true;
        known += memcmp(e->key.peer, key->peer, sizeof(key->peer)) == 0;
    }
    return known < RELAY_KNOWN_MAX && t->count < RELAY_KNOWN_ALL_MAX;
}

/* --- ranges --------------------------------------------------------------------------------- */

static int range_push(struct relay_table *t, const struct relay_range *range)
{
    /* Moved when that gains half: else each push would move all. */
    if (t->ranges_end == t->ranges_cap && t->ranges_at > t->ranges_cap / 2) {
        memmove(t->ranges, t->ranges + t->ranges_at,
                (t->ranges_end - t->ranges_at) * sizeof(*t->ranges));
        t->ranges_end -= t->ranges_at;
        t->ranges_at = 0;
    } else if (t->ranges_end == t->ranges_cap) {
        size_t cap = t->ranges_cap ? t->ranges_cap * 2 : RANGES_MIN;
        struct relay_range *more = realloc(t->ranges, cap * sizeof(*more));

        if (!more)
            return -ENOMEM;
        t->ranges = more;
        t->ranges_cap = cap;
    }
    t->ranges[t->ranges_end++] = *range;
    return 0;
}

static void range_settle(struct relay_table *t, const struct relay_range *range, uint64_t pos)
{
    struct relay_entry *e = *entry_at(t, &range->key);
    uint64_t end = pos < range->to ? pos : range->to;

    if (e && end > range->from)
        e->settled = range->offset + (end - range->from);
}

void relay_table_durable(struct relay_table *t, const uint8_t ring[16], uint64_t pos)
{
    for (; t->ranges_at < t->ranges_end; t->ranges_at++) {
        const struct relay_range *range = &t->ranges[t->ranges_at];

        if (memcmp(range->ring, ring, sizeof(range->ring)) != 0 || range->to > pos)
            break;
        range_settle(t, range, pos);
    }
    if (t->ranges_at == t->ranges_end)
        t->ranges_at = t->ranges_end = 0;
}

void relay_table_settle(struct relay_table *t, const uint8_t ring[16], uint64_t pos)
{
    size_t kept = t->ranges_at;

    for (size_t i = t->ranges_at; i < t->ranges_end; i++) {
        const struct relay_range range = t->ranges[i];
        struct relay_entry *e;

        if (memcmp(range.ring, ring, sizeof(range.ring)) != 0) {
            t->ranges[kept++] = range;
            continue;
        }
        range_settle(t, &range, pos);
        e = *entry_at(t, &range.key);
        if (e)
            e->taken = e->settled;
    }
    t->ranges_end = kept;
}

/* --- the journal ---------------------------------------------------------------------------- */

static int record_append(struct bytes *out, enum record_type type, const struct relay_key *key,
                         uint64_t offset, const struct relay_range *range)
{
    struct record r = {
        .type = (uint32_t)type,
        .epoch = key->id.epoch, .number = key->id.number, .shard = key->id.shard,
        .offset = offset,
    };

    memcpy(r.peer, key->peer, sizeof(r.peer));
    if (range) {
        memcpy(r.ring, range->ring, sizeof(r.ring));
        r.from = range->from;
        r.to = range->to;
    }
    r.crc32c = crc32c(0, (const uint8_t *)&r + sizeof(r.crc32c), sizeof(r) - sizeof(r.crc32c));
    return bytes_append(out, &r, sizeof(r));
}

/* -EBADMSG: it was being written when the host died. */
static int record_take(struct relay_table *t, const struct record *r)
{
    struct relay_range range = {.offset = r->offset, .from = r->from, .to = r->to};
    struct relay_entry *e;

    if (r->crc32c != crc32c(0, (const uint8_t *)r + sizeof(r->crc32c),
                            sizeof(*r) - sizeof(r->crc32c)))
        return -EBADMSG;
    memcpy(range.key.peer, r->peer, sizeof(r->peer));
    memcpy(range.ring, r->ring, sizeof(r->ring));
    range.key.id = (struct batch_id){r->epoch, (uint16_t)r->shard, r->number};
    if (r->type == RECORD_FORGET) {
        entry_remove(t, &range.key);
        return 0;
    }
    e = entry_get(t, &range.key);
    if (!e)
        return -ENOMEM;
    if (r->type == RECORD_RANGE) {
        e->taken = r->offset + (r->to - r->from);
        return range_push(t, &range);
    }
    e->settled = e->taken = r->offset;
    return 0;
}

static int journal_read(struct relay_table *t, int fd)
{
    size_t cap = READ_RECORDS * sizeof(struct record);
    struct record *records = malloc(cap);
    uint64_t at = 0;
    uint32_t bad = 0;
    ssize_t n;
    int r = records ? 0 : -ENOMEM;

    while (!r) {
        n = file_read(fd, records, cap, at);
        if (n < 0)
            r = (int)n;
        for (size_t i = 0; !r && i < (size_t)n / sizeof(struct record); i++) {
            r = record_take(t, &records[i]);
            if (r == -EBADMSG) {
                bad++;
                r = 0;
                continue;
            }
            t->damaged += bad;          /* those at the end are what a kill leaves */
            bad = 0;
        }
        if (r || (size_t)n < cap)
            break;
        at += (uint64_t)n;
    }
    free(records);
    return r;
}

bool relay_table_exists(int state_dir)
{
    struct file_stat st;

    return file_stat_at(state_dir, JOURNAL, &st) == 0;
}

int relay_table_open(int state_dir, struct relay_table *ret_table)
{
    struct relay_table t = {.dir = state_dir, .fd = -1, .buckets_count = BUCKETS_MIN};
    int fd, r = 0;

    t.buckets = calloc(t.buckets_count, sizeof(struct relay_entry *));
    if (!t.buckets)
        return -ENOMEM;
    fd = file_open(state_dir, JOURNAL, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
    if (fd >= 0)
        r = journal_read(&t, fd);
    else if (fd != -ENOENT)
        r = fd;
    file_close(fd);
    if (r) {
        relay_table_close(&t);
        return r;
    }
    *ret_table = t;
    return 0;
}

void relay_table_close(struct relay_table *t)
{
    for (size_t i = 0; i < t->buckets_count; i++)
        while (t->buckets[i]) {
            struct relay_entry *e = t->buckets[i];

            t->buckets[i] = e->next;
            free(e);
        }
    free(t->buckets);
    free(t->ranges);
    bytes_free(&t->unwritten);
    file_close(t->fd);
    *t = (struct relay_table){.fd = -1};
}

static int journal_make(struct relay_table *t, const struct bytes *records)
{
    int fd = file_open(t->dir, JOURNAL_NEW, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
    int r = fd < 0 ? fd : 0;

    if (!r && records->len > 0)
        r = file_write(fd, records->data, records->len, 0);
    if (!r)
        r = file_sync(fd);
    if (!r)
        r = file_replace(t->dir, JOURNAL_NEW, t->dir, JOURNAL);
    if (!r)
        r = file_sync(t->dir);
    if (r) {
        file_close(fd);
        return r;
    }
    file_close(t->fd);
    t->fd = fd;
    t->file_bytes = records->len;
    return 0;
}

int relay_table_rewrite(struct relay_table *t)
{
    struct bytes records = BYTES_INIT;
    int r = 0;

    for (size_t i = 0; i < t->buckets_count; i++)
        for (const struct relay_entry *e = t->buckets[i]; !r && e; e = e->next)
            if (e->settled > 0)
                r = record_append(&records, RECORD_TAKEN, &e->key, e->settled, NULL);
    for (size_t i = t->ranges_at; !r && i < t->ranges_end; i++)
        if (*entry_at(t, &t->ranges[i].key))
            r = record_append(&records, RECORD_RANGE, &t->ranges[i].key, t->ranges[i].offset,
                              &t->ranges[i]);
    if (!r)
        r = journal_make(t, &records);
    bytes_free(&records);
    t->broken = r != 0;
    if (!r) {
        bytes_clear(&t->unwritten);
        t->unsynced = false;
    }
    return r;
}

int relay_table_add(struct relay_table *t, const struct relay_key *key, const uint8_t ring[16],
                    uint64_t from, uint64_t len)
{
    struct relay_range range = {.key = *key, .from = from, .to = from + len};
    struct relay_entry *e = entry_get(t, key);
    size_t before = t->unwritten.len;

    if (!e)
        return -ENOMEM;
    range.offset = e->taken;
    memcpy(range.ring, ring, sizeof(range.ring));
    if (record_append(&t->unwritten, RECORD_RANGE, key, range.offset, &range))
        return -ENOMEM;
    if (range_push(t, &range)) {
        t->unwritten.len = before;
        return -ENOMEM;
    }
    e->taken += len;
    t->unsynced = true;
    return 0;
}

static bool id_below(const struct batch_id *id, const struct batch_id *floor)
{
    return id->shard == floor->shard
           && (id->epoch < floor->epoch
               || (id->epoch == floor->epoch && id->number < floor->number));
}

int relay_table_forget(struct relay_table *t, const struct relay_key *key,
                       const struct batch_id *floor)
{
    struct relay_entry **at = bucket_of(t, key->peer), *e;

    while ((e = *at)) {
        if (!key_equal(&e->key, key)
            && (!id_below(&e->key.id, floor)
                || memcmp(e->key.peer, key->peer, sizeof(key->peer)) != 0)) {
            at = &e->next;
            continue;
        }
        if (record_append(&t->unwritten, RECORD_FORGET, &e->key, 0, NULL))
            return -ENOMEM;
        *at = e->next;
        free(e);
        t->count--;
    }
    return 0;
}

int relay_table_write(struct relay_table *t, bool sync)
{
    int r = 0;

    if (t->broken || t->fd < 0
        || t->file_bytes > REWRITE_BYTES
                               + 4 * sizeof(struct record)
                                     * (t->count + t->ranges_end - t->ranges_at))
        return relay_table_rewrite(t);
    if (t->unwritten.len > 0)
        r = file_write(t->fd, t->unwritten.data, t->unwritten.len, t->file_bytes);
    if (!r) {
        t->file_bytes += t->unwritten.len;
        bytes_clear(&t->unwritten);
    }
    if (!r && sync && t->unsynced) {
        r = file_sync(t->fd);
        t->syncs++;
    }
    if (!r && sync)
        t->unsynced = false;
    t->broken = r != 0;         /* a failed sync is not tried again on this descriptor */
    return r;
}
