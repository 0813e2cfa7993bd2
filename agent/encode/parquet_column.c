/*
 * parquet_column: values on their way into pages, by dictionary while that pays.
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
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "encode/parquet_pack.h"
#include "encode/parquet_page.h"

enum {
    BATCH_BYTES_MAX = 64 << 10,         /* a longer string leaves the dictionary */
    CHECK_VALUES_FIRST = 2048,
    DICT_COUNT_USEFUL = 128 * 1024,     /* indexes of more are hardly less than values */
    PAGE_EXCESS = 2,                    /* times page_bytes: no page of several values has more */
};

/* --- room ----------------------------------------------------------------------------------- */

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

/* --- pages ---------------------------------------------------------------------------------- */

static void page_clear(struct parquet_column *c)
{
    values_clear(c);
    bytes_clear(&c->indexes);
    bytes_clear(&c->valid);
    c->nulls = 0;
    c->page_row = c->rows;
}

/* A page of what is there; `only`: the chunk has no other. */
static void column_page(struct parquet_column *c, bool only)
{
    uint64_t rows = c->rows - c->page_row;

    if (rows == 0 || c->group->error || (c->nulls > 0 && !valid_extend(c, rows)))
        return;
    parquet_page_data(c, only);
    page_clear(c);
}

/* --- with and without a dictionary ---------------------------------------------------------- */

static void by_dict_set(struct parquet_column *c, bool by_dict)
{
    c->by_dict = by_dict;
    c->values_max = by_dict ? BATCH_BYTES_MAX : PAGE_EXCESS * c->group->page_bytes;
}

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
    by_dict_set(c, false);
}

/* The rest of the chunk goes without. */
static void dict_leave(struct parquet_column *c)
{
    if (c->pages_dict > 0 || dict_pays(c))
        column_page(c, false);
    else
        page_to_plain(c);
    by_dict_set(c, false);
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

void parquet_column_null(struct parquet_column *c)
{
    uint64_t row = c->rows++ - c->page_row;

    if (!valid_extend(c, row + 1))
        return;
    c->valid.data[row / 8] &= (uint8_t)~(1U << row % 8);
    c->nulls++;
}

bool parquet_column_room(struct parquet_column *c, size_t len)
{
    return column_room(c, &c->values, len);
}

void parquet_column_long(struct parquet_column *c, size_t len)
{
    parquet_column_absorb(c);
    if (c->by_dict && len > BATCH_BYTES_MAX)
        dict_leave(c);
    if (!c->by_dict && values_len(c) > 0 && c->values.len + len > c->values_max)
        column_page(c, false);
}

enum {
    TAKES_INTEGER = 1 << CELL_NULL | 1 << CELL_I64,
    TAKES_FLOAT = 1 << CELL_NULL | 1 << CELL_F64,
};

static const struct {
    uint16_t takes;
    uint8_t value_bytes;
    bool by_dict;
} kinds[COLUMN_TYPE_COUNT] = {
    [COLUMN_BOOL] = {1 << CELL_NULL | 1 << CELL_BOOL, 1, false},
    [COLUMN_I32] = {TAKES_INTEGER, 4, true},
    [COLUMN_I64] = {TAKES_INTEGER, 8, true},
    [COLUMN_U64] = {1 << CELL_NULL | 1 << CELL_U64, 8, true},
    [COLUMN_F32] = {TAKES_FLOAT, 4, true},
    [COLUMN_F64] = {TAKES_FLOAT, 8, true},
    [COLUMN_STRING] = {1 << CELL_NULL | 1 << CELL_STRING | 1 << CELL_NUMBER | 1 << CELL_JSON, 0,
                       true},
    [COLUMN_BYTES] = {1 << CELL_NULL | 1 << CELL_BYTES, 0, true},
    [COLUMN_TIMESTAMP] = {1 << CELL_NULL | 1 << CELL_TIMESTAMP, 8, true},
};

/* --- the chunk ------------------------------------------------------------------------------ */

static void chunk_begin(struct parquet_column *c)
{
    c->rows = 0;
    page_clear(c);
    by_dict_set(c, kinds[c->type].by_dict && !c->dict_failed);
    c->codec_known = false;
    c->dict_values = 0;
    c->pages_dict = c->pages_delta = c->pages_plain = 0;
    c->raw_bytes = c->packed_bytes = 0;
    c->chunk_nulls = 0;
    c->check_values = CHECK_VALUES_FIRST;
    c->stats.state = PARQUET_STATS_EMPTY;
}

int parquet_column_init(struct parquet_column *c, const struct column *of,
                        struct parquet_group *group)
{
    *c = (struct parquet_column){.group = group, .type = of->type, .name_len = of->name_len,
                                 .takes = kinds[of->type].takes,
                                 .value_bytes = kinds[of->type].value_bytes};
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
    column_page(c, false);
}

void parquet_column_end(struct parquet_column *c, struct parquet_pages *ret_dict)
{
    parquet_pages_init(ret_dict);
    parquet_column_absorb(c);
    if (c->by_dict && c->pages_dict == 0 && c->indexes.len > 0 && !dict_pays(c))
        page_to_plain(c);
    column_page(c, c->pages_dict + c->pages_delta + c->pages_plain == 0);
    if (c->pages_dict > 0 && !c->group->error)
        parquet_page_dict(c, ret_dict);
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
