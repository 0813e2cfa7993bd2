/*
 * parquet_page: values into pages.
 *
 *   data page:  u32 bytes of the levels, the levels: runs and packed bits, 1: not null;
 *               by dictionary: u8 width of the indexes, the indexes, runs and packed bits
 *               else the values: PLAIN, or as differences (parquet_delta.h)
 *
 * Values are written as differences where a look at the first of them promises a quarter less.
 *
 * A codec is asked once for each chunk, by its first page, whether it is worth its time and that of
 * every reader: random numbers and what differences have made small hardly shrink any more. Who
 * chose snappy or lz4 chose speed: these have to save a third, the dense codecs a sixteenth. Else
 * the chunk is written as it is, which its metadata says.
 *
 * Owns:   nothing.
 * Thread: the writer's.
 * Units:  bytes; rows within the group.
 */
#include "encode/parquet_page.h"

#include <errno.h>
#include <isa-l/crc.h>
#include <string.h>

#include "base/invariant.h"
#include "encode/parquet_delta.h"
#include "encode/parquet_meta.h"
#include "encode/parquet_pack.h"

enum {
    LEVELS_LEN_BYTES = 4,
    WIDTH_BYTES = 1,
    PROBE_BYTES = 64 << 10,
    DELTA_SAMPLE = 1024,
};

static struct bytes values_of(const struct parquet_column *c)
{
    return (struct bytes){.data = c->values.data + PARQUET_VALUES_GAP,
                          .len = c->values.len - PARQUET_VALUES_GAP};
}

/* --- compression ---------------------------------------------------------------------------- */

/* Compresses the first `len` bytes into the workspace. False: no memory. */
static bool pack(struct parquet_group *group, const struct bytes *raw, size_t len)
{
    struct parquet_workspace *space = group->space;

    bytes_clear(&space->packed);
    return bytes_reserve(&space->packed, codec_bytes_max(group->codec, len)) == 0
           && codec_compress(space->codec, group->codec, group->level, raw->data, len,
                             space->packed.data, &space->packed.len) == 0;
}

/* Adds what a codec makes of it to the two sums. */
static bool probe(struct parquet_group *group, const struct bytes *raw, size_t *bytes,
                  size_t *packed)
{
    size_t len = raw->len < PROBE_BYTES ? raw->len : PROBE_BYTES;

    if (!pack(group, raw, len))
        return false;
    *bytes += len;
    *packed += group->space->packed.len;
    return true;
}

/* One part in so many, or the codec is left away. */
static size_t saves_least(enum codec_type codec)
{
    return codec == CODEC_SNAPPY || codec == CODEC_LZ4_RAW ? 3 : 16;
}

/* The codec of the chunk that begins with this page. */
static bool codec_choose(struct parquet_column *c, const struct bytes *raw)
{
    struct parquet_group *group = c->group;
    size_t bytes = 0, packed = 0;

    c->codec_known = true;
    c->codec = (uint8_t)group->codec;
    if (group->codec == CODEC_NONE)
        return true;
    if (!probe(group, raw, &bytes, &packed)
        || (c->by_dict && !probe(group, &c->dict.values, &bytes, &packed)))
        return false;
    if (packed + bytes / saves_least(group->codec) > bytes)
        c->codec = CODEC_NONE;
    return true;
}

/* Compresses a page and puts it, its header in front, at the end of `pages`. */
static void page_put(struct parquet_column *c, struct parquet_page_head *head,
                     const struct bytes *raw, struct parquet_pages *pages)
{
    struct parquet_group *group = c->group;
    struct parquet_workspace *space = group->space;
    const struct bytes *data = raw;

    if (!c->codec_known && !codec_choose(c, raw)) {
        group->error = -ENOMEM;
        return;
    }
    if (c->codec != CODEC_NONE) {
        if (!pack(group, raw, raw->len)) {
            group->error = -ENOMEM;
            return;
        }
        data = &space->packed;
    }
    head->raw_len = (uint32_t)raw->len;
    head->packed_len = (uint32_t)data->len;
    head->crc = crc32_gzip_refl(0, data->data, data->len);
    bytes_clear(&space->head);
    if (parquet_meta_page(&space->head, head)) {
        group->error = -ENOMEM;
        return;
    }
    if (parquet_pages_add(pages, group, space->head.data, space->head.len, data->data, data->len))
        return;
    c->raw_bytes += space->head.len + raw->len;
    c->packed_bytes += space->head.len + data->len;
    group->bytes += raw->len;
}

/* --- values --------------------------------------------------------------------------------- */

static uint8_t *put_levels(struct parquet_column *c, uint8_t *at, uint64_t rows)
{
    uint8_t *from = at + LEVELS_LEN_BYTES;
    uint8_t *end = c->nulls == 0 ? parquet_pack_run(from, 1, rows, 1)
                                 : parquet_pack_bits(from, c->valid.data, rows);

    bytes_put_u32(at, (uint32_t)(end - from));
    return end;
}

/* Bytes of 0 and 1 to bits, eight at a time. */
static uint8_t *put_bools(uint8_t *at, const uint8_t *values, size_t count)
{
    for (; count > 0; values += 8, at++) {
        size_t part = count < 8 ? count : 8;
        uint64_t word = 0;

        memcpy(&word, values, part);
        *at = (uint8_t)(word * 0x0102040810204080ULL >> 56);
        count -= part;
    }
    return at;
}

static uint8_t *put_indexes(struct parquet_column *c, uint8_t *at, size_t count)
{
    unsigned int width = parquet_pack_width(c->dict.count - 1);

    *at++ = (uint8_t)width;
    return parquet_pack_values(at, (const uint32_t *)(const void *)c->indexes.data, count, width);
}

static bool has_deltas(const struct parquet_column *c)
{
    return c->type != COLUMN_BOOL && c->type != COLUMN_F32 && c->type != COLUMN_F64;
}

/* Bytes of the first `count` values. */
static size_t plain_len(const struct parquet_column *c, const struct bytes *values, size_t count)
{
    size_t len = 0;

    if (c->value_bytes > 0)
        return count * c->value_bytes;
    for (; count > 0; count--)
        len += sizeof(uint32_t) + bytes_get_u32(values->data + len);
    return len;
}

/*
 * The values as differences, if a quarter can be saved so: the end of what was written, which has
 * room, or `at`.
 */
static uint8_t *put_deltas(struct parquet_column *c, uint8_t *at, size_t count)
{
    size_t part = count < DELTA_SAMPLE ? count : DELTA_SAMPLE;
    struct bytes values = values_of(c);

    for (;; part = count) {
        size_t len = part < count ? plain_len(c, &values, part) : values.len;
        uint8_t *end = c->value_bytes > 0
            ? parquet_delta_numbers(at, values.data, part, c->value_bytes)
            : parquet_delta_strings(at, values.data, len, part,
                                    (uint32_t *)(void *)c->group->space->aside.data);

        if ((size_t)(end - at) > len / 4 * 3)
            return at;
        if (part == count)
            return end;
    }
}

/* --- the page ------------------------------------------------------------------------------- */

/* Most bytes that the values of `count` rows become; there is scratch for making them. */
static bool values_room(struct parquet_column *c, size_t count, size_t *ret_room)
{
    struct bytes *aside = &c->group->space->aside;
    size_t len = values_of(c).len;

    if (c->by_dict) {
        *ret_room = WIDTH_BYTES + parquet_pack_room(count, PACK_WIDTH_MAX);
        return true;
    }
    *ret_room = len + parquet_delta_numbers_room(count);
    if (c->value_bytes > 0)
        return true;
    *ret_room = parquet_delta_strings_room(count, len);
    bytes_clear(aside);
    return bytes_reserve(aside, 2 * count * sizeof(uint32_t)) == 0;
}

/*
 * The page before it is compressed: in the workspace, or, where nothing but the one run of levels
 * has to be put in front of PLAIN values, in their own place. False: no memory.
 */
static bool page_raw(struct parquet_column *c, uint64_t rows, struct bytes *ret_raw,
                     enum parquet_encoding *ret_encoding)
{
    struct bytes *raw = &c->group->space->raw, values = values_of(c);
    size_t count = (size_t)(rows - c->nulls), room, levels;
    uint8_t *from, *end;

    bytes_clear(raw);
    if (!values_room(c, count, &room)
        || bytes_reserve(raw, LEVELS_LEN_BYTES + parquet_pack_room(rows, 1) + room))
        return false;
    from = end = put_levels(c, raw->data, rows);
    *ret_encoding = PARQUET_PLAIN;
    if (c->by_dict && count > 0) {
        *ret_encoding = PARQUET_RLE_DICTIONARY;
        end = put_indexes(c, from, count);
    } else if (c->type == COLUMN_BOOL) {
        end = put_bools(from, values.data, count);
    } else if (count > 0) {
        end = has_deltas(c) ? put_deltas(c, from, count) : from;
        if (end > from)
            *ret_encoding = c->value_bytes > 0 ? PARQUET_DELTA_BINARY_PACKED
                                               : PARQUET_DELTA_BYTE_ARRAY;
    }
    *ret_raw = (struct bytes){.data = raw->data, .len = (size_t)(end - raw->data)};
    if (end > from || values.len == 0)
        return true;
    levels = (size_t)(from - raw->data);
    if (c->nulls > 0) {
        memcpy(from, values.data, values.len);
        ret_raw->len += values.len;
        return true;
    }
    INVARIANT(levels <= PARQUET_VALUES_GAP);
    *ret_raw = (struct bytes){.data = values.data - levels, .len = levels + values.len};
    memcpy(ret_raw->data, raw->data, levels);
    return true;
}

/* The values that the page's indexes name, each once, into the workspace. False: no memory. */
static bool values_used(struct parquet_column *c, struct bytes *ret_values)
{
    const uint32_t *indexes = (const uint32_t *)(const void *)c->indexes.data;
    size_t count = c->indexes.len / sizeof(*indexes);
    struct bytes *used = &c->group->space->aside;
    uint8_t *mark;

    *ret_values = c->dict.values;
    if (c->pages_dict == 0)                     /* all are: they came with this page */
        return true;
    bytes_clear(used);
    if (bytes_reserve(used, c->dict.values.len + c->dict.count))
        return false;
    mark = used->data + c->dict.values.len;
    memset(mark, 0, c->dict.count);
    for (size_t i = 0; i < count; i++)
        mark[indexes[i]] = 1;
    for (uint32_t i = 0; i < c->dict.count; i++) {
        const uint8_t *at;
        uint32_t len;

        if (!mark[i])
            continue;
        at = parquet_dict_value(&c->dict, i, &len);
        memcpy(used->data + used->len, at, len);
        used->len += len;
    }
    *ret_values = *used;
    return true;
}

void parquet_page_data(struct parquet_column *c, bool only)
{
    uint64_t rows = c->rows - c->page_row;
    size_t count = (size_t)(rows - c->nulls);
    struct bytes values = values_of(c);
    struct parquet_page_head head = {.values = (uint32_t)rows, .nulls = c->nulls};
    struct parquet_stats stats;
    struct bytes raw;

    if (c->by_dict && !values_used(c, &values)) {
        c->group->error = -ENOMEM;
        return;
    }
    parquet_stats_make((enum column_type)c->type, values.data, count > 0 ? values.len : 0, &stats);
    parquet_stats_merge((enum column_type)c->type, &c->stats, &stats);
    head.stats = only ? NULL : &stats;
    if (!page_raw(c, rows, &raw, &head.encoding)) {
        c->group->error = -ENOMEM;
        return;
    }
    if (head.encoding == PARQUET_RLE_DICTIONARY) {
        c->dict_values += count;
        c->pages_dict++;
    } else if (head.encoding == PARQUET_PLAIN) {
        c->pages_plain++;
    } else {
        c->pages_delta++;
    }
    c->chunk_nulls += c->nulls;
    page_put(c, &head, &raw, &c->pages);
}

void parquet_page_dict(struct parquet_column *c, struct parquet_pages *ret_pages)
{
    struct parquet_page_head head = {.dictionary = true, .values = c->dict.count};

    page_put(c, &head, &c->dict.values, ret_pages);
}
