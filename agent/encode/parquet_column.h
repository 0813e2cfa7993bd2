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

struct parquet_column;
/* Cells of `count` rows, `stride` cells from each to the next. */
typedef void (*parquet_append_fn)(struct parquet_column *c, const struct cell *cells,
                                  size_t stride, size_t count);

struct parquet_column {
    parquet_append_fn append;
    struct parquet_group *group;        /* borrowed */
    uint64_t rows;              /* of the group, that have been appended */
    uint8_t type;               /* enum column_type */
    uint8_t value_bytes;        /* of a PLAIN number; 0: a string */
    bool by_dict;               /* the page is; else PLAIN */
    bool dict_failed;           /* it did not pay in this file */

    /* The page that is being filled. */
    uint64_t page_row;          /* its first */
    uint64_t nulls;
    struct bytes values;        /* behind PARQUET_VALUES_GAP free bytes: PLAIN, a byte for each
                                   bool; by dictionary: those that were not looked up yet */
    struct bytes indexes;       /* u32; by dictionary */
    struct bytes valid;         /* bits, 1: not null; as far as to the last null */

    /* The chunk, up to that page. */
    struct parquet_dict dict;
    struct parquet_pages pages;
    uint64_t dict_values;       /* of pages by dictionary */
    uint32_t pages_dict, pages_plain;
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

/* Bits by enum cell_type: what may be appended to a column of the type. */
uint16_t parquet_column_takes(enum column_type type);

/* Bytes that the page being filled will have, about. */
uint64_t parquet_column_bytes(const struct parquet_column *c);

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
