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

static size_t slot_bytes(const struct parquet_dict *d)
{
    return d->width > 0 ? sizeof(struct parquet_dict_number) : sizeof(struct parquet_dict_string);
}

void parquet_dict_fini(struct parquet_dict *d)
{
    *d->memory -= d->values.cap + d->starts.cap + d->slots_count * slot_bytes(d);
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
        memset(d->slots, 0, d->slots_count * slot_bytes(d));
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

/* Each value to its place in the larger table, by where it stands in values. */
static void slots_move(struct parquet_dict *d, void *slots, uint32_t mask)
{
    struct parquet_dict_number *numbers = slots;
    struct parquet_dict_string *strings = slots;

    for (uint32_t i = 0; i < d->count; i++) {
        uint64_t number = 0;
        uint32_t len, at;
        const uint8_t *value = parquet_dict_value(d, i, &len);

        if (d->width > 0) {
            memcpy(&number, value, d->width);
            at = (uint32_t)hash_number(number);
            while (numbers[at & mask].index != 0)
                at++;
            numbers[at & mask] = (struct parquet_dict_number){number, i + 1};
            continue;
        }
        at = (uint32_t)hash_bytes(value + sizeof(len), len - (uint32_t)sizeof(len));
        while (strings[at & mask].index != 0)
            at++;
        strings[at & mask] = (struct parquet_dict_string){
            i + 1, (uint32_t)(value - d->values.data)};
    }
}

static bool slots_grow(struct parquet_dict *d)
{
    uint32_t count = d->slots_count == 0 ? SLOTS_MIN : d->slots_count * SLOTS_STEP;
    void *slots = calloc(count, slot_bytes(d));

    if (slots == NULL)
        return false;
    slots_move(d, slots, count - 1);
    *d->memory += (count - d->slots_count) * slot_bytes(d);
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

/* One value more, whose place was looked for from `from` to `at`: its number, and one. */
static inline uint32_t add(struct parquet_dict *d, uint32_t from, uint32_t at, const uint8_t *data,
                           size_t len)
{
    d->crowded |= at - from >= PROBES_MAX;
    memcpy(d->values.data + d->values.len, data, len);
    d->values.len += len;
    return ++d->count;
}

static inline __attribute__((always_inline)) uint32_t
numbers_put(struct parquet_dict *d, const uint8_t *values, size_t len, size_t width,
            uint32_t *ret_indexes)
{
    uint32_t from[PARQUET_DICT_BATCH], mask = d->slots_count - 1;
    uint32_t count = (uint32_t)(len / width);
    struct parquet_dict_number *slots = d->slots;

    INVARIANT(count <= PARQUET_DICT_BATCH);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t number = 0;

        memcpy(&number, values + i * width, width);
        from[i] = (uint32_t)hash_number(number);
        __builtin_prefetch(&slots[from[i] & mask]);
    }
    for (uint32_t i = 0; i < count; i++) {
        struct parquet_dict_number *slot;
        uint64_t number = 0;
        uint32_t at = from[i];

        memcpy(&number, values + i * width, width);
        for (slot = &slots[at & mask]; slot->index != 0 && slot->value != number;)
            slot = &slots[++at & mask];
        if (slot->index == 0)
            *slot = (struct parquet_dict_number){
                number, add(d, from[i], at, values + i * width, width)};
        ret_indexes[i] = slot->index - 1;
    }
    return count;
}

static uint32_t strings_put(struct parquet_dict *d, const uint8_t *values, size_t len,
                            uint32_t *ret_indexes)
{
    const uint8_t *value[PARQUET_DICT_BATCH], *end = values + len;
    uint32_t from[PARQUET_DICT_BATCH], count = 0, mask = d->slots_count - 1;
    struct parquet_dict_string *slots = d->slots;

    for (; values < end; count++) {
        uint32_t bytes = bytes_get_u32(values);

        INVARIANT(count < PARQUET_DICT_BATCH);
        value[count] = values;
        from[count] = (uint32_t)hash_bytes(values + sizeof(bytes), bytes);
        __builtin_prefetch(&slots[from[count] & mask]);
        values += sizeof(bytes) + bytes;
    }
    for (uint32_t i = 0; i < count; i++)
        __builtin_prefetch(d->values.data + slots[from[i] & mask].start);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bytes = bytes_get_u32(value[i]) + (uint32_t)sizeof(bytes), at = from[i];
        struct parquet_dict_string *slot = &slots[at & mask];

        while (slot->index != 0 && !same_bytes(d->values.data + slot->start, value[i], bytes))
            slot = &slots[++at & mask];
        if (slot->index == 0) {
            slot->start = (uint32_t)d->values.len;
            bytes_put_u32(d->starts.data + d->starts.len, slot->start);
            d->starts.len += sizeof(slot->start);
            slot->index = add(d, from[i], at, value[i], bytes);
        }
        ret_indexes[i] = slot->index - 1;
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
