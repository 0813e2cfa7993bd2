/*
 * parquet_column: one column of a row group on its way into pages. Inner part of parquet.
 *
 * A column collects values of one page, by dictionary as long as that pays, else PLAIN. Pages that
 * are done wait, compressed, until the group ends.
 *
 * Owns:   a column owns its buffers and its pages; its group is the writer's.
 * Thread: the writer's.
 * Units:  bytes; rows within the group.
 */
#ifndef ENCODE_PARQUET_COLUMN_H
#define ENCODE_PARQUET_COLUMN_H

#include "base/bytes.h"
#include "encode/parquet_dict.h"
#include "encode/parquet_pages.h"
#include "encode/parquet_stats.h"
#include "encode/row.h"
#include "encode/schema.h"

/* In front of values, so that what a page has there joins them without a copy. */
enum { PARQUET_VALUES_GAP = 16 };

struct parquet_column {
    /* What a row touches, on one line of the cache. */
    struct bytes values;        /* behind PARQUET_VALUES_GAP free bytes: PLAIN, a byte for each
                                   bool; by dictionary: those that were not looked up yet */
    struct parquet_group *group;        /* borrowed */
    uint64_t rows;              /* of the group, that have been put */
    uint64_t values_max;        /* where parquet_column_long() has to be asked before a string */
    uint16_t takes;             /* bits by enum cell_type: what may be put */
    uint8_t type;               /* enum column_type */
    uint8_t value_bytes;        /* of a PLAIN number; 0: a string */
    bool by_dict;               /* the page is; else PLAIN or by differences */
    bool dict_failed;           /* it did not pay in this file */
    bool codec_known;           /* the chunk has a page */
    uint8_t codec;              /* enum codec_type, of its pages */

    /* The page that is being filled. */
    uint64_t page_row;          /* its first */
    uint64_t nulls;
    struct bytes indexes;       /* u32; by dictionary */
    struct bytes valid;         /* bits, 1: not null; as far as to the last null */

    /* The chunk, up to that page. */
    struct parquet_dict dict;
    struct parquet_pages pages;
    uint64_t dict_values;       /* of pages by dictionary */
    uint32_t pages_dict, pages_delta, pages_plain;
    uint64_t check_values;      /* when the dictionary is judged next */
    uint64_t raw_bytes, packed_bytes;   /* with headers */
    uint64_t chunk_nulls;
    struct parquet_stats stats;

    char *name;                 /* owned */
    uint32_t name_len;
};

int parquet_column_init(struct parquet_column *c, const struct column *of,
                        struct parquet_group *group);
void parquet_column_fini(struct parquet_column *c);

/* Bytes that the page being filled will have, about. */
uint64_t parquet_column_bytes(const struct parquet_column *c);

/* One row more: its value in the column. Parts that are rare first. */
void parquet_column_null(struct parquet_column *c);
bool parquet_column_room(struct parquet_column *c, size_t len);
void parquet_column_long(struct parquet_column *c, size_t len);

static inline bool parquet_column_has_room(struct parquet_column *c, size_t len)
{
    return __builtin_expect(c->values.cap - c->values.len >= len, 1)
           || parquet_column_room(c, len);
}

/* In the lower value_bytes of the word. */
static inline void parquet_column_number(struct parquet_column *c, uint64_t word)
{
    if (!parquet_column_has_room(c, sizeof(word)))
        return;
    bytes_put_u64(c->values.data + c->values.len, word);
    c->values.len += c->value_bytes;
    c->rows++;
}

/* memcpy() of a length that is not known would be called; most strings are short. */
static inline void parquet_column_copy(uint8_t *to, const uint8_t *from, size_t len)
{
    enum { STEP = 16, CALL_BYTES = 128 };

    if (len >= STEP && len <= CALL_BYTES) {
        for (size_t i = 0; i + STEP < len; i += STEP)
            memcpy(to + i, from + i, STEP);
        memcpy(to + len - STEP, from + len - STEP, STEP);
    } else if (len >= 8 && len < STEP) {
        bytes_put_u64(to, bytes_get_u64(from));
        bytes_put_u64(to + len - 8, bytes_get_u64(from + len - 8));
    } else if (len >= 4 && len < 8) {
        bytes_put_u32(to, bytes_get_u32(from));
        bytes_put_u32(to + len - 4, bytes_get_u32(from + len - 4));
    } else if (len > CALL_BYTES) {
        memcpy(to, from, len);
    } else if (len > 0) {
        to[0] = from[0];
        to[len / 2] = from[len / 2];
        to[len - 1] = from[len - 1];
    }
}

static inline void parquet_column_string(struct parquet_column *c, const uint8_t *data,
                                         uint32_t len)
{
    size_t all = sizeof(len) + len;
    uint8_t *to;

    if (__builtin_expect(c->values.len + all > c->values_max, 0))
        parquet_column_long(c, all);
    if (!parquet_column_has_room(c, all))
        return;
    to = c->values.data + c->values.len;
    bytes_put_u32(to, len);
    parquet_column_copy(to + sizeof(len), data, len);
    c->values.len += all;
    c->rows++;
}

/* A cell of a type that the column takes. */
static inline void parquet_column_put(struct parquet_column *c, const struct cell *cell)
{
    if (__builtin_expect(cell->type == CELL_NULL, 0)) {
        parquet_column_null(c);
    } else if (c->value_bytes == 0) {
        parquet_column_string(c, cell->u.s, cell->len);
    } else if (c->type == COLUMN_F32) {
        float f32 = (float)cell->u.f;
        uint32_t word;

        memcpy(&word, &f32, sizeof(word));
        parquet_column_number(c, word);
    } else {
        parquet_column_number(c, cell->u.u);
    }
}

/* To be called after each PARQUET_DICT_BATCH rows: looks values up in the dictionary. */
void parquet_column_absorb(struct parquet_column *c);

/* Time to make a page. */
static inline bool parquet_column_due(const struct parquet_column *c)
{
    return c->rows - c->page_row >= c->group->page_rows
           || c->values.len >= c->group->page_bytes;
}
void parquet_column_page(struct parquet_column *c);

/*
 * Ends the chunk: all its pages are made, the dictionary's too, which stands in a list of its own
 * because it comes first in the file. Errors are the group's.
 */
void parquet_column_end(struct parquet_column *c, struct parquet_pages *ret_dict);

/* After that, when its description has been written: empty for the next group, or for none. */
void parquet_column_next(struct parquet_column *c, bool last);

#endif
