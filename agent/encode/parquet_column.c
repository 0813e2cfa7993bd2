/*
 * parquet_column: values into pages.
 *
 * A dictionary pays when values come back. How often they will is known early: of n values drawn
 * from d, n * n / 2 / d pairs are the same; so a look at the first 2048 tells values that are
 * nearly all distinct, which is where hashing would cost most and give nothing. They are looked at
 * again each time their number has doubled. A column that left its dictionary does without in the
 * groups that follow, too.
 *
 * Owns:   buffers and pages of its columns.
 * Thread: the writer's.
 * Units:  bytes; rows within the group.
 */
#include "encode/parquet_column.h"

#include <errno.h>
#include <isa-l/crc.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "encode/parquet_meta.h"
#include "encode/parquet_pack.h"

enum {
    BATCH_BYTES_MAX = 64 << 10,         /* a longer string leaves the dictionary */
    COPY_CALL_BYTES = 64,
    CHECK_VALUES_FIRST = 2048,
    DICT_COUNT_USEFUL = 128 * 1024,     /* indexes of more are hardly less than values */
    LEVELS_LEN_BYTES = 4,
    PAGE_EXCESS = 2,                    /* times page_bytes: no page of several values has more */
    WIDTH_BYTES = 1,
};

/* --- one page ------------------------------------------------------------------------------- */

static bool column_reserve(struct parquet_column *c, struct bytes *b, size_t extra)
{
    size_t before = b->cap;

    if (bytes_reserve(b, extra)) {
        c->group->error = -ENOMEM;
        return false;
    }
    c->group->memory += b->cap - before;
    return true;
}

static inline bool column_room(struct parquet_column *c, struct bytes *b, size_t len)
{
    return __builtin_expect(b->cap - b->len >= len, 1) || column_reserve(c, b, len);
}

/* Compresses a page and puts it, its header in front, at the end of `pages`. */
static void page_put(struct parquet_column *c, struct parquet_page_head *head,
                     const struct bytes *raw, struct parquet_pages *pages)
{
    struct parquet_group *group = c->group;
    struct parquet_workspace *space = group->space;
    const struct bytes *data = raw;

    if (group->codec != CODEC_NONE) {
        bytes_clear(&space->packed);
        if (bytes_reserve(&space->packed, codec_bytes_max(group->codec, raw->len))
            || codec_compress(space->codec, group->codec, group->level, raw->data, raw->len,
                              space->packed.data, &space->packed.len)) {
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

/* Bits beyond what the bitmap holds are rows that are not null. */
static bool valid_extend(struct parquet_column *c, uint64_t rows)
{
    size_t bytes = (size_t)(rows + 7) / 8;

    if (bytes <= c->valid.len)
        return true;
    if (!column_room(c, &c->valid, bytes - c->valid.len))
        return false;
    memset(c->valid.data + c->valid.len, 0xff, bytes - c->valid.len);
    c->valid.len = bytes;
    return true;
}

static size_t values_len(const struct parquet_column *c)
{
    return c->values.len - PARQUET_VALUES_GAP;
}

static void values_clear(struct parquet_column *c)
{
    c->values.len = PARQUET_VALUES_GAP;
}

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

static uint8_t *put_values(struct parquet_column *c, uint8_t *at, size_t count)
{
    if (c->by_dict) {
        unsigned int width = parquet_pack_width(c->dict.count - 1);

        *at++ = (uint8_t)width;
        return parquet_pack_values(at, (const uint32_t *)(const void *)c->indexes.data, count,
                                   width);
    }
    if (c->type == COLUMN_BOOL)
        return put_bools(at, c->values.data + PARQUET_VALUES_GAP, count);
    memcpy(at, c->values.data + PARQUET_VALUES_GAP, values_len(c));
    return at + values_len(c);
}

/* The values that the page's indexes name, each once, into the workspace. False: no memory. */
static bool values_used(struct parquet_column *c, struct bytes *ret_values)
{
    const uint32_t *indexes = (const uint32_t *)(const void *)c->indexes.data;
    size_t count = c->indexes.len / sizeof(*indexes);
    struct bytes *used = &c->group->space->used;
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

static void page_clear(struct parquet_column *c)
{
    values_clear(c);
    bytes_clear(&c->indexes);
    bytes_clear(&c->valid);
    c->nulls = 0;
    c->page_row = c->rows;
}

/*
 * The page before it is compressed: in the workspace, or, where nothing but the one run of levels
 * has to be put in front of the values, in their own place. False: no memory.
 */
static bool page_raw(struct parquet_column *c, uint64_t rows, struct bytes *ret_raw)
{
    struct bytes *raw = &c->group->space->raw;
    size_t count = (size_t)(rows - c->nulls), levels;
    uint8_t *end;

    bytes_clear(raw);
    if ((c->nulls > 0 && !valid_extend(c, rows))
        || bytes_reserve(raw, LEVELS_LEN_BYTES + parquet_pack_room(rows, 1) + WIDTH_BYTES
                              + parquet_pack_room(c->indexes.len / sizeof(uint32_t),
                                                  PACK_WIDTH_MAX)
                              + (c->nulls > 0 ? values_len(c) : values_len(c) / 8 + 1)))
        return false;
    end = put_levels(c, raw->data, rows);
    levels = (size_t)(end - raw->data);
    if (c->nulls == 0 && !c->by_dict && c->type != COLUMN_BOOL) {
        INVARIANT(levels <= PARQUET_VALUES_GAP);
        *ret_raw = (struct bytes){.data = c->values.data + PARQUET_VALUES_GAP - levels,
                                  .len = levels + values_len(c)};
        memcpy(ret_raw->data, raw->data, levels);
        return true;
    }
    if (count > 0)
        end = put_values(c, end, count);
    *ret_raw = (struct bytes){.data = raw->data, .len = (size_t)(end - raw->data)};
    return true;
}

/* Makes a page of what is there; `only`: the chunk has no other, what is said of it is enough. */
static void column_page_make(struct parquet_column *c, bool only)
{
    uint64_t rows = c->rows - c->page_row;
    size_t count = (size_t)(rows - c->nulls);
    struct bytes values = {.data = c->values.data + PARQUET_VALUES_GAP, .len = values_len(c)};
    struct parquet_page_head head = {.values = (uint32_t)rows, .nulls = c->nulls};
    struct parquet_stats stats;
    struct bytes raw;

    if (rows == 0 || c->group->error)
        return;
    if ((c->by_dict && !values_used(c, &values)) || !page_raw(c, rows, &raw)) {
        c->group->error = -ENOMEM;
        return;
    }
    parquet_stats_make((enum column_type)c->type, values.data, count > 0 ? values.len : 0, &stats);
    parquet_stats_merge((enum column_type)c->type, &c->stats, &stats);
    head.stats = only ? NULL : &stats;
    head.encoding = c->by_dict && count > 0 ? PARQUET_RLE_DICTIONARY : PARQUET_PLAIN;
    if (head.encoding == PARQUET_RLE_DICTIONARY) {
        c->dict_values += count;
        c->pages_dict++;
    } else {
        c->pages_plain++;
    }
    c->chunk_nulls += c->nulls;
    page_put(c, &head, &raw, &c->pages);
    page_clear(c);
}

static void column_page(struct parquet_column *c)
{
    column_page_make(c, false);
}

/* --- with and without a dictionary ---------------------------------------------------------- */

/* Of the page's values. */
static size_t page_plain_bytes(const struct parquet_column *c)
{
    const uint32_t *indexes = (const uint32_t *)(const void *)c->indexes.data;
    size_t count = c->indexes.len / sizeof(*indexes), bytes = count * c->value_bytes;

    for (size_t i = 0; c->value_bytes == 0 && i < count; i++) {
        uint32_t len;

        (void)parquet_dict_value(&c->dict, indexes[i], &len);
        bytes += len;
    }
    return bytes;
}

/* The first page by dictionary, together with it, is smaller than it would be without. */
static bool dict_pays(const struct parquet_column *c)
{
    size_t count = c->indexes.len / sizeof(uint32_t);

    return count > 0 && c->dict.values.len + count * parquet_pack_width(c->dict.count - 1) / 8
                        < page_plain_bytes(c);
}

/* The page's indexes become the values that they stand for. */
static void page_to_plain(struct parquet_column *c)
{
    const uint32_t *indexes = (const uint32_t *)(const void *)c->indexes.data;
    size_t count = c->indexes.len / sizeof(*indexes);
    uint8_t *to;

    if (!column_room(c, &c->values, page_plain_bytes(c)))
        return;
    to = c->values.data + PARQUET_VALUES_GAP;
    for (size_t i = 0; i < count; i++) {
        uint32_t len;
        const uint8_t *at = parquet_dict_value(&c->dict, indexes[i], &len);

        memcpy(to, at, len);
        to += len;
    }
    c->values.len = (size_t)(to - c->values.data);
    bytes_clear(&c->indexes);
    c->by_dict = false;
}

/* The rest of the chunk goes without. */
static void dict_leave(struct parquet_column *c)
{
    if (c->pages_dict > 0 || dict_pays(c))
        column_page(c);
    else
        page_to_plain(c);
    c->by_dict = false;
    c->dict_failed = true;
}

/* See the top: the dictionary will not hold what is to come, or be as large as that. */
static bool dict_hopeless(const struct parquet_column *c, uint64_t values)
{
    uint64_t same = values - c->dict.count, most;

    if (c->dict.count == 0 || same > values / 2)
        return false;
    most = PARQUET_DICT_BYTES_MAX / (c->dict.values.len / c->dict.count);
    most = most < DICT_COUNT_USEFUL ? most : DICT_COUNT_USEFUL;
    return values * values / 2 / (same > 0 ? same : 1) > most;
}

static uint64_t values_by_dict(const struct parquet_column *c)
{
    return c->dict_values + c->indexes.len / sizeof(uint32_t);
}

void parquet_column_absorb(struct parquet_column *c)
{
    uint32_t count;

    if (!c->by_dict || values_len(c) == 0
        || !column_room(c, &c->indexes, PARQUET_DICT_BATCH * sizeof(uint32_t)))
        return;
    if (parquet_dict_put(&c->dict, c->values.data + PARQUET_VALUES_GAP, values_len(c),
                         (uint32_t *)(void *)(c->indexes.data + c->indexes.len), &count)) {
        c->group->error = -ENOMEM;
        return;
    }
    c->indexes.len += count * sizeof(uint32_t);
    values_clear(c);
    if (parquet_dict_over(&c->dict)) {
        dict_leave(c);
    } else if (values_by_dict(c) >= c->check_values) {
        c->check_values *= 2;
        if (dict_hopeless(c, values_by_dict(c)))
            dict_leave(c);
    }
}

/* --- values --------------------------------------------------------------------------------- */

static void append_null(struct parquet_column *c, uint64_t row)
{
    row -= c->page_row;
    if (!valid_extend(c, row + 1))
        return;
    c->valid.data[row / 8] &= (uint8_t)~(1U << row % 8);
    c->nulls++;
}

#define APPEND(name, number, member)                                                              \
    static void name(struct parquet_column *c, const struct cell *cells, size_t stride,           \
                     size_t count)                                                                \
    {                                                                                             \
        uint8_t *to;                                                                              \
                                                                                                  \
        if (!column_room(c, &c->values, count * sizeof(number)))                                  \
            return;                                                                               \
        to = c->values.data + c->values.len;                                                      \
        for (size_t i = 0; i < count; i++, cells += stride) {                                     \
            number v = (number)cells->u.member;                                                   \
                                                                                                  \
            if (__builtin_expect(cells->type == CELL_NULL, 0)) {                                  \
                append_null(c, c->rows + i);                                                      \
                continue;                                                                         \
            }                                                                                     \
            memcpy(to, &v, sizeof(v));                                                            \
            to += sizeof(v);                                                                      \
        }                                                                                         \
        c->values.len = (size_t)(to - c->values.data);                                            \
        c->rows += count;                                                                         \
    }

APPEND(append_bool, uint8_t, i)
APPEND(append_i32, int32_t, i)
APPEND(append_64, uint64_t, u)
APPEND(append_f32, float, f)

/* Before a string too long for what it would join. */
static __attribute__((noinline)) void string_space(struct parquet_column *c, size_t len)
{
    parquet_column_absorb(c);
    if (c->by_dict && len > BATCH_BYTES_MAX)
        dict_leave(c);
    if (!c->by_dict && values_len(c) > 0
        && c->values.len + len > PAGE_EXCESS * c->group->page_bytes)
        column_page(c);
}

/* memcpy() of a length that is not known would be called; most strings are short. */
static inline void copy_short(uint8_t *to, const uint8_t *from, size_t len)
{
    if (len >= 8 && len <= COPY_CALL_BYTES) {
        for (size_t i = 0; i + 8 < len; i += 8)
            bytes_put_u64(to + i, bytes_get_u64(from + i));
        bytes_put_u64(to + len - 8, bytes_get_u64(from + len - 8));
    } else if (len >= 4 && len < 8) {
        bytes_put_u32(to, bytes_get_u32(from));
        bytes_put_u32(to + len - 4, bytes_get_u32(from + len - 4));
    } else if (len > COPY_CALL_BYTES) {
        memcpy(to, from, len);
    } else if (len > 0) {
        to[0] = from[0];
        to[len / 2] = from[len / 2];
        to[len - 1] = from[len - 1];
    }
}

static void append_string(struct parquet_column *c, const struct cell *cells, size_t stride,
                          size_t count)
{
    for (; count > 0; count--, cells += stride, c->rows++) {
        size_t len = sizeof(cells->len) + cells->len;
        uint8_t *to;

        if (__builtin_expect(cells->type == CELL_NULL, 0)) {
            append_null(c, c->rows);
            continue;
        }
        if (c->values.len + len
            > (c->by_dict ? BATCH_BYTES_MAX : PAGE_EXCESS * c->group->page_bytes))
            string_space(c, len);
        if (!column_room(c, &c->values, len))
            return;
        to = c->values.data + c->values.len;
        bytes_put_u32(to, cells->len);
        copy_short(to + sizeof(cells->len), cells->u.s, cells->len);
        c->values.len += len;
    }
}

enum {
    TAKES_INTEGER = 1 << CELL_NULL | 1 << CELL_I64,
    TAKES_FLOAT = 1 << CELL_NULL | 1 << CELL_F64,
};

static const struct {
    parquet_append_fn append;
    uint16_t takes;
    uint8_t value_bytes;
    bool by_dict;
} kinds[COLUMN_TYPE_COUNT] = {
    [COLUMN_BOOL] = {append_bool, 1 << CELL_NULL | 1 << CELL_BOOL, 1, false},
    [COLUMN_I32] = {append_i32, TAKES_INTEGER, 4, true},
    [COLUMN_I64] = {append_64, TAKES_INTEGER, 8, true},
    [COLUMN_U64] = {append_64, 1 << CELL_NULL | 1 << CELL_U64, 8, true},
    [COLUMN_F32] = {append_f32, TAKES_FLOAT, 4, true},
    [COLUMN_F64] = {append_64, TAKES_FLOAT, 8, true},
    [COLUMN_STRING] = {append_string, 1 << CELL_NULL | 1 << CELL_STRING | 1 << CELL_NUMBER
                       | 1 << CELL_JSON, 0, true},
    [COLUMN_BYTES] = {append_string, 1 << CELL_NULL | 1 << CELL_BYTES, 0, true},
    [COLUMN_TIMESTAMP] = {append_64, 1 << CELL_NULL | 1 << CELL_TIMESTAMP, 8, true},
};

uint16_t parquet_column_takes(enum column_type type)
{
    return kinds[type].takes;
}

/* --- the chunk ------------------------------------------------------------------------------ */

static void chunk_begin(struct parquet_column *c)
{
    c->rows = 0;
    page_clear(c);
    c->by_dict = kinds[c->type].by_dict && !c->dict_failed;
    c->dict_values = 0;
    c->pages_dict = c->pages_plain = 0;
    c->raw_bytes = c->packed_bytes = 0;
    c->chunk_nulls = 0;
    c->check_values = CHECK_VALUES_FIRST;
    c->stats.state = PARQUET_STATS_EMPTY;
}

int parquet_column_init(struct parquet_column *c, const struct column *of,
                        struct parquet_group *group)
{
    *c = (struct parquet_column){.group = group, .type = of->type, .name_len = of->name_len,
                                 .value_bytes = kinds[of->type].value_bytes,
                                 .append = kinds[of->type].append};
    parquet_dict_init(&c->dict, c->value_bytes, &group->memory);
    parquet_pages_init(&c->pages);
    c->name = malloc((size_t)of->name_len + 1);
    if (c->name == NULL)
        return -ENOMEM;
    memcpy(c->name, of->name, of->name_len);
    c->name[of->name_len] = '\0';
    if (!column_reserve(c, &c->values, PARQUET_VALUES_GAP))
        return -ENOMEM;
    chunk_begin(c);
    return 0;
}

static void buffer_free(struct parquet_column *c, struct bytes *b)
{
    c->group->memory -= b->cap;
    bytes_free(b);
}

static void buffers_free(struct parquet_column *c)
{
    buffer_free(c, &c->values);
    buffer_free(c, &c->indexes);
    buffer_free(c, &c->valid);
    parquet_dict_fini(&c->dict);
}

void parquet_column_fini(struct parquet_column *c)
{
    buffers_free(c);
    parquet_pages_free(&c->pages, c->group);
    free(c->name);
    c->name = NULL;
}

uint64_t parquet_column_bytes(const struct parquet_column *c)
{
    uint64_t count = c->indexes.len / sizeof(uint32_t);
    uint64_t bytes = c->type == COLUMN_BOOL ? values_len(c) / 8 : values_len(c);

    if (c->by_dict)
        bytes += c->dict.values.len
                 + (count > 0 ? count * parquet_pack_width(c->dict.count - 1) / 8 : 0);
    return bytes + c->valid.len;
}

void parquet_column_page(struct parquet_column *c)
{
    parquet_column_absorb(c);
    column_page(c);
}

void parquet_column_end(struct parquet_column *c, struct parquet_pages *ret_dict)
{
    struct parquet_page_head head = {.dictionary = true};

    parquet_pages_init(ret_dict);
    parquet_column_absorb(c);
    if (c->by_dict && c->pages_dict == 0 && c->indexes.len > 0 && !dict_pays(c))
        page_to_plain(c);
    column_page_make(c, c->pages_dict + c->pages_plain == 0);
    head.values = c->dict.count;
    if (c->pages_dict > 0)
        page_put(c, &head, &c->dict.values, ret_dict);
}

void parquet_column_next(struct parquet_column *c, bool last)
{
    INVARIANT(c->pages.first == NULL);
    if (last)
        buffers_free(c);
    else if (c->dict_failed)
        parquet_dict_fini(&c->dict);
    else
        parquet_dict_clear(&c->dict);
    chunk_begin(c);
}
