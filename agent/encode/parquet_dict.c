/*
 * parquet_dict: a table of open addressing over the values of a dictionary page.
 *
 * The hash need not resist anybody: a search is given up after PROBES_MAX places, so values that
 * collide on purpose cost their column its dictionary and nothing else.
 *
 * Owns:   its values and its table.
 * Thread: any one at a time.
 */
#include "encode/parquet_dict.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS_MIN = 64, SLOTS_STEP = 4, PROBES_MAX = 256 };

__extension__ typedef unsigned __int128 dict_product;

struct value {
    uint64_t number;
    const uint8_t *data;        /* of a string, which has no number; else NULL */
    uint32_t len;               /* bytes in a dictionary page: a string's length counts */
};

void parquet_dict_init(struct parquet_dict *d, uint64_t *memory)
{
    *d = (struct parquet_dict){.memory = memory};
}

void parquet_dict_fini(struct parquet_dict *d)
{
    *d->memory -= d->values.cap + d->starts.cap + d->slots_count * sizeof(*d->slots);
    bytes_free(&d->values);
    bytes_free(&d->starts);
    free(d->slots);
    parquet_dict_init(d, d->memory);
}

void parquet_dict_clear(struct parquet_dict *d)
{
    bytes_clear(&d->values);
    bytes_clear(&d->starts);
    if (d->count > 0)
        memset(d->slots, 0, d->slots_count * sizeof(*d->slots));
    d->count = 0;
}

static inline uint64_t mix(uint64_t a, uint64_t b)
{
    dict_product p = (dict_product)(a ^ 0x9e3779b97f4a7c15ULL) * (b ^ 0xd6e8feb86659fd93ULL);

    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

static inline uint64_t hash_bytes(const uint8_t *s, uint32_t len)
{
    uint64_t a = 0, b = 0, h = len;

    if (len > 16) {
        for (; len > 16; len -= 16, s += 16)
            h = mix(bytes_get_u64(s) ^ h, bytes_get_u64(s + 8));
        /* The last 16 bytes, some of them again. */
        s -= 16 - len;
        return mix(bytes_get_u64(s) ^ h, bytes_get_u64(s + 8));
    }
    if (len >= 8) {
        a = bytes_get_u64(s);
        b = bytes_get_u64(s + len - 8);
    } else if (len >= 4) {
        a = bytes_get_u32(s);
        b = bytes_get_u32(s + len - 4);
    } else if (len > 0) {
        a = (uint64_t)s[0] << 16 | (uint64_t)s[len / 2] << 8 | s[len - 1];
    }
    return mix(a ^ h << 56, b);
}

/* memcmp() would be called: most strings are shorter than the call is long. */
static inline bool same_bytes(const uint8_t *a, const uint8_t *b, uint32_t len)
{
    if (len < 8) {
        if (len >= 4)
            return bytes_get_u32(a) == bytes_get_u32(b)
                   && bytes_get_u32(a + len - 4) == bytes_get_u32(b + len - 4);
        return len == 0 || (a[0] == b[0] && a[len / 2] == b[len / 2] && a[len - 1] == b[len - 1]);
    }
    for (uint32_t i = 0; i + 8 < len; i += 8)
        if (bytes_get_u64(a + i) != bytes_get_u64(b + i))
            return false;
    return bytes_get_u64(a + len - 8) == bytes_get_u64(b + len - 8);
}

static bool slots_grow(struct parquet_dict *d)
{
    uint32_t count = d->slots_count == 0 ? SLOTS_MIN : d->slots_count * SLOTS_STEP;
    struct parquet_dict_slot *slots = calloc(count, sizeof(*slots));

    if (slots == NULL)
        return false;
    for (uint32_t i = 0; i < d->slots_count; i++) {
        uint32_t at = d->slots[i].tag;

        if (d->slots[i].index == 0)
            continue;
        while (slots[at & (count - 1)].index != 0)
            at++;
        slots[at & (count - 1)] = d->slots[i];
    }
    *d->memory += (count - d->slots_count) * sizeof(*slots);
    free(d->slots);
    d->slots = slots;
    d->slots_count = count;
    return true;
}

static bool grow(struct parquet_dict *d, struct bytes *b, size_t extra)
{
    size_t before = b->cap;
    int e = bytes_reserve(b, extra);

    *d->memory += b->cap - before;
    return !e;
}

static inline bool same(const struct parquet_dict *d, const struct value *v, uint32_t index)
{
    const uint8_t *theirs;
    uint32_t len;

    if (v->len == sizeof(uint32_t) && v->data == NULL)
        return bytes_get_u32(d->values.data + (size_t)index * 4) == (uint32_t)v->number;
    if (v->data == NULL)
        return bytes_get_u64(d->values.data + (size_t)index * 8) == v->number;
    theirs = parquet_dict_string(d, index, &len);
    return len == v->len && same_bytes(theirs + sizeof(len), v->data, len - (uint32_t)sizeof(len));
}

static inline void store(struct parquet_dict *d, const struct value *v, uint8_t *to)
{
    if (v->data == NULL) {
        memcpy(to, &v->number, v->len);
        return;
    }
    bytes_put_u32(d->starts.data + d->starts.len, (uint32_t)(to - d->values.data));
    d->starts.len += sizeof(uint32_t);
    bytes_put_u32(to, v->len - (uint32_t)sizeof(v->len));
    memcpy(to + sizeof(v->len), v->data, v->len - sizeof(v->len));
}

/* Inlined once for each sort of value, so that it asks nothing about the sort. */
static inline __attribute__((always_inline)) uint32_t
find_or_add(struct parquet_dict *d, uint64_t hash, const struct value *v)
{
    uint32_t tag = (uint32_t)(hash ^ hash >> 32), mask, at;
    uint8_t *to;

    /* Half of the slots stay free. */
    if (d->count >= d->slots_count / 2 && !slots_grow(d))
        return PARQUET_DICT_FULL;
    mask = d->slots_count - 1;
    for (at = tag; d->slots[at & mask].index != 0; at++) {
        const struct parquet_dict_slot *slot = &d->slots[at & mask];

        if (slot->tag == tag && same(d, v, slot->index - 1))
            return slot->index - 1;
        if (at - tag == PROBES_MAX)
            return PARQUET_DICT_FULL;
    }
    if (d->values.len + v->len > PARQUET_DICT_BYTES_MAX || !grow(d, &d->values, v->len))
        return PARQUET_DICT_FULL;
    to = d->values.data + d->values.len;
    d->values.len += v->len;
    store(d, v, to);
    d->slots[at & mask] = (struct parquet_dict_slot){tag, ++d->count};
    return d->count - 1;
}

uint32_t parquet_dict_u32(struct parquet_dict *d, uint32_t value)
{
    const struct value v = {.number = value, .len = sizeof(value)};

    return find_or_add(d, mix(value, 0), &v);
}

uint32_t parquet_dict_u64(struct parquet_dict *d, uint64_t value)
{
    const struct value v = {.number = value, .len = sizeof(value)};

    return find_or_add(d, mix(value, 0), &v);
}

uint32_t parquet_dict_bytes(struct parquet_dict *d, const uint8_t *data, uint32_t len)
{
    static const uint8_t nothing[1];
    const struct value v = {.data = len > 0 ? data : nothing,
                            .len = (uint32_t)sizeof(uint32_t) + len};

    if (d->starts.cap - d->starts.len < sizeof(uint32_t) && !grow(d, &d->starts, sizeof(uint32_t)))
        return PARQUET_DICT_FULL;
    return find_or_add(d, hash_bytes(data, len), &v);
}
