/*
 * parquet_dict: a table of open addressing over the values of a dictionary page.
 *
 * The hash need not resist anybody: a value that is put further than PROBES_MAX places from where
 * it belongs marks the dictionary as crowded, so values that collide on purpose cost their column
 * its dictionary and nothing else.
 *
 * Owns:   its values and its table.
 * Thread: any one at a time.
 */
#include "encode/parquet_dict.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"

enum { SLOTS_MIN = 256, SLOTS_STEP = 4, PROBES_MAX = 256 };

__extension__ typedef unsigned __int128 dict_product;

void parquet_dict_init(struct parquet_dict *d, uint32_t width, uint64_t *memory)
{
    *d = (struct parquet_dict){.width = width, .memory = memory};
}

void parquet_dict_fini(struct parquet_dict *d)
{
    *d->memory -= d->values.cap + d->starts.cap + d->slots_count * sizeof(*d->slots);
    bytes_free(&d->values);
    bytes_free(&d->starts);
    free(d->slots);
    parquet_dict_init(d, d->width, d->memory);
}

void parquet_dict_clear(struct parquet_dict *d)
{
    bytes_clear(&d->values);
    bytes_clear(&d->starts);
    if (d->count > 0)
        memset(d->slots, 0, d->slots_count * sizeof(*d->slots));
    d->count = 0;
    d->crowded = false;
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

/* Of strings behind their lengths; memcmp() would be called, most are shorter than that takes. */
static inline bool same_bytes(const uint8_t *a, const uint8_t *b, uint32_t len)
{
    if (bytes_get_u32(a) != bytes_get_u32(b))
        return false;
    if (len < 8)
        return bytes_get_u32(a + len - 4) == bytes_get_u32(b + len - 4);
    for (uint32_t i = 4; i + 8 < len; i += 8)
        if (bytes_get_u64(a + i) != bytes_get_u64(b + i))
            return false;
    return bytes_get_u64(a + len - 8) == bytes_get_u64(b + len - 8);
}

static inline uint64_t hash_number(uint64_t number)
{
    return mix(number, 0);
}

/* Where a value is looked for first. */
static inline uint32_t slot_of(const struct parquet_dict *d, const struct parquet_dict_slot *slot)
{
    return (uint32_t)(d->width > 0 ? hash_number(slot->value) : slot->value);
}

static bool slots_grow(struct parquet_dict *d)
{
    uint32_t count = d->slots_count == 0 ? SLOTS_MIN : d->slots_count * SLOTS_STEP;
    struct parquet_dict_slot *slots = calloc(count, sizeof(*slots));

    if (slots == NULL)
        return false;
    for (uint32_t i = 0; i < d->slots_count; i++) {
        uint32_t at = slot_of(d, &d->slots[i]);

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

/* Room for a batch of `len` bytes, all of it new; at least half of the slots stay free. */
static int batch_reserve(struct parquet_dict *d, size_t len)
{
    while (d->count + PARQUET_DICT_BATCH > d->slots_count / 2)
        if (!slots_grow(d))
            return -ENOMEM;
    if (!grow(d, &d->values, len)
        || (d->width == 0 && !grow(d, &d->starts, PARQUET_DICT_BATCH * sizeof(uint32_t))))
        return -ENOMEM;
    return 0;
}

/* Puts a value into the slot where the search for it, which began at `from`, ended. */
static inline uint32_t add(struct parquet_dict *d, uint32_t from, uint32_t at, uint64_t value,
                           const uint8_t *data, size_t len)
{
    uint32_t start = (uint32_t)d->values.len;

    d->crowded |= at - from >= PROBES_MAX;
    d->slots[at & (d->slots_count - 1)] =
        (struct parquet_dict_slot){value, ++d->count, start};
    memcpy(d->values.data + start, data, len);
    d->values.len += len;
    if (d->width == 0) {
        bytes_put_u32(d->starts.data + d->starts.len, start);
        d->starts.len += sizeof(start);
    }
    return d->count - 1;
}

static inline __attribute__((always_inline)) uint32_t
numbers_put(struct parquet_dict *d, const uint8_t *values, size_t len, size_t width,
            uint32_t *ret_indexes)
{
    uint32_t from[PARQUET_DICT_BATCH], mask = d->slots_count - 1;
    uint32_t count = (uint32_t)(len / width);

    INVARIANT(count <= PARQUET_DICT_BATCH);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t number = 0;

        memcpy(&number, values + i * width, width);
        from[i] = (uint32_t)hash_number(number);
        __builtin_prefetch(&d->slots[from[i] & mask]);
    }
    for (uint32_t i = 0; i < count; i++) {
        uint64_t number = 0;
        uint32_t at = from[i];

        memcpy(&number, values + i * width, width);
        while (d->slots[at & mask].index != 0 && d->slots[at & mask].value != number)
            at++;
        ret_indexes[i] = d->slots[at & mask].index != 0
            ? d->slots[at & mask].index - 1
            : add(d, from[i], at, number, values + i * width, width);
    }
    return count;
}

static uint32_t strings_put(struct parquet_dict *d, const uint8_t *values, size_t len,
                            uint32_t *ret_indexes)
{
    const uint8_t *at[PARQUET_DICT_BATCH], *end = values + len;
    uint64_t hash[PARQUET_DICT_BATCH];
    uint32_t count = 0, mask = d->slots_count - 1;

    for (; values < end; count++) {
        uint32_t bytes = bytes_get_u32(values);

        INVARIANT(count < PARQUET_DICT_BATCH);
        at[count] = values;
        hash[count] = hash_bytes(values + sizeof(bytes), bytes);
        __builtin_prefetch(&d->slots[hash[count] & mask]);
        values += sizeof(bytes) + bytes;
    }
    for (uint32_t i = 0; i < count; i++)
        __builtin_prefetch(d->values.data + d->slots[hash[i] & mask].start);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bytes = bytes_get_u32(at[i]) + (uint32_t)sizeof(bytes), from = (uint32_t)hash[i];
        const struct parquet_dict_slot *slot;
        uint32_t place = from;

        for (;; place++) {
            slot = &d->slots[place & mask];
            if (slot->index == 0
                || (slot->value == hash[i]
                    && same_bytes(d->values.data + slot->start, at[i], bytes)))
                break;
        }
        ret_indexes[i] = slot->index != 0 ? slot->index - 1
                                          : add(d, from, place, hash[i], at[i], bytes);
    }
    return count;
}

int parquet_dict_put(struct parquet_dict *d, const uint8_t *values, size_t len,
                     uint32_t *ret_indexes, uint32_t *ret_count)
{
    int e = batch_reserve(d, len);

    *ret_count = 0;
    if (e)
        return e;
    if (d->width == sizeof(uint32_t))
        *ret_count = numbers_put(d, values, len, sizeof(uint32_t), ret_indexes);
    else if (d->width == sizeof(uint64_t))
        *ret_count = numbers_put(d, values, len, sizeof(uint64_t), ret_indexes);
    else
        *ret_count = strings_put(d, values, len, ret_indexes);
    return 0;
}
