/*
 * parquet_meta: the structs of Parquet's metadata: page headers, and what the footer says of the
 * schema, of each row group and of its columns. Inner part of parquet.
 *
 * Owns:   nothing.
 * Thread: the writer's.
 * Units:  bytes; offsets from the beginning of the file.
 */
#ifndef ENCODE_PARQUET_META_H
#define ENCODE_PARQUET_META_H

#include "base/bytes.h"
#include "encode/codec.h"
#include "encode/parquet_column.h"

/* Values of the format's enum Encoding that are used here. */
enum parquet_encoding {
    PARQUET_PLAIN = 0,
    PARQUET_RLE = 3,
    PARQUET_DELTA_BINARY_PACKED = 5,
    PARQUET_DELTA_BYTE_ARRAY = 7,
    PARQUET_RLE_DICTIONARY = 8
};

struct parquet_page_head {
    bool dictionary;            /* a dictionary page; else a data page */
    uint32_t raw_len, packed_len, crc, values;
    enum parquet_encoding encoding;
    enum column_type type;
    uint64_t nulls;             /* data pages, as the next */
    const struct parquet_stats *stats;  /* NULL: none are written */
};

/* All return 0 or -ENOMEM. */
int parquet_meta_page(struct bytes *out, const struct parquet_page_head *head);

/* A row group: this, each of its columns, then the last. */
int parquet_meta_group_begin(struct bytes *out, uint32_t columns);
int parquet_meta_column(struct bytes *out, const struct parquet_column *c, uint64_t offset,
                        uint64_t dict_len, uint64_t rows);
int parquet_meta_group_end(struct bytes *out, uint64_t offset, uint64_t raw_bytes,
                           uint64_t packed_bytes, uint64_t rows, uint64_t number);

/* `groups`: that many groups, one behind the other. */
int parquet_meta_file(struct bytes *out, const struct parquet_column *columns, uint32_t count,
                      uint64_t rows, const struct bytes *groups, uint64_t groups_count,
                      const char *created_by);

#endif
