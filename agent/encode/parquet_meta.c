/*
 * parquet_meta: Parquet's metadata. Field ids and numbers are those of parquet.thrift in Apache's
 * parquet-format, 2.10; each enum below stands for the struct of its name there.
 *
 * Owns:   nothing.
 * Thread: the writer's.
 */
#include "encode/parquet_meta.h"

#include <string.h>

#include "encode/parquet_thrift.h"

enum file_meta_data { FILE_VERSION = 1, FILE_SCHEMA, FILE_ROWS, FILE_GROUPS, FILE_CREATED_BY = 6,
                      FILE_COLUMN_ORDERS };
enum schema_element { ELEMENT_TYPE = 1, ELEMENT_REPETITION = 3, ELEMENT_NAME, ELEMENT_CHILDREN,
                      ELEMENT_CONVERTED, ELEMENT_LOGICAL = 10 };
enum logical_type { LOGICAL_STRING = 1, LOGICAL_TIMESTAMP = 8, LOGICAL_INTEGER = 10 };
enum timestamp_type { TIMESTAMP_UTC = 1, TIMESTAMP_UNIT };
enum time_unit { UNIT_MICROS = 2 };
enum int_type { INT_WIDTH = 1, INT_SIGNED };
enum row_group { GROUP_COLUMNS = 1, GROUP_RAW_BYTES, GROUP_ROWS, GROUP_OFFSET = 5,
                 GROUP_PACKED_BYTES, GROUP_ORDINAL };
enum column_chunk { CHUNK_FILE_OFFSET = 2, CHUNK_META };
enum column_meta_data { META_TYPE = 1, META_ENCODINGS, META_PATH, META_CODEC, META_VALUES,
                        META_RAW_BYTES, META_PACKED_BYTES, META_DATA_OFFSET = 9,
                        META_DICT_OFFSET = 11, META_STATISTICS, META_ENCODING_STATS };
enum page_encoding_stats { ENCODED_PAGE_TYPE = 1, ENCODED_AS, ENCODED_COUNT };
enum statistics { STATS_NULLS = 3, STATS_MAX = 5, STATS_MIN, STATS_MAX_EXACT, STATS_MIN_EXACT };
enum page_header { PAGE_TYPE = 1, PAGE_RAW_LEN, PAGE_PACKED_LEN, PAGE_CRC, PAGE_DATA,
                   PAGE_DICT = 7 };
enum data_page_header { DATA_VALUES = 1, DATA_ENCODING, DATA_DEFINITION, DATA_REPETITION,
                        DATA_STATISTICS };
enum dictionary_page_header { DICT_VALUES = 1, DICT_ENCODING };
enum column_order { ORDER_TYPE_DEFINED = 1 };

/* Values of the format's own enums. */
enum { FORMAT_VERSION = 1, OPTIONAL = 1, DATA_PAGE = 0, DICTIONARY_PAGE = 2,
       GROUPS_NUMBERED = 32767, NOT_CONVERTED = -1 };

static const int32_t codec_numbers[CODEC_COUNT] = {
    [CODEC_NONE] = 0, [CODEC_SNAPPY] = 1, [CODEC_GZIP] = 2, [CODEC_ZSTD] = 6, [CODEC_LZ4_RAW] = 7,
};

static const struct {
    int32_t physical;           /* enum Type */
    int32_t converted;          /* enum ConvertedType */
    int32_t logical;            /* field of union LogicalType */
    int8_t width;               /* of integers */
} types[COLUMN_TYPE_COUNT] = {
    [COLUMN_BOOL] = {0, NOT_CONVERTED, 0, 0},
    [COLUMN_I32] = {1, 17, LOGICAL_INTEGER, 32},
    [COLUMN_I64] = {2, 18, LOGICAL_INTEGER, 64},
    [COLUMN_U64] = {2, 14, LOGICAL_INTEGER, 64},
    [COLUMN_F32] = {4, NOT_CONVERTED, 0, 0},
    [COLUMN_F64] = {5, NOT_CONVERTED, 0, 0},
    [COLUMN_STRING] = {6, 0, LOGICAL_STRING, 0},
    [COLUMN_BYTES] = {6, NOT_CONVERTED, 0, 0},
    [COLUMN_TIMESTAMP] = {2, 10, LOGICAL_TIMESTAMP, 0},
};

static void put_stats(struct thrift *t, int field, const struct parquet_stats *s, uint64_t nulls)
{
    bool min = s->state == PARQUET_STATS_KNOWN || s->state == PARQUET_STATS_MIN_ONLY;
    bool max = s->state == PARQUET_STATS_KNOWN;

    thrift_struct(t, field);
    thrift_i64(t, STATS_NULLS, (int64_t)nulls);
    if (max)
        thrift_binary(t, STATS_MAX, s->max.data, s->max.len);
    if (min)
        thrift_binary(t, STATS_MIN, s->min.data, s->min.len);
    if (max)
        thrift_bool(t, STATS_MAX_EXACT, s->max.exact);
    if (min)
        thrift_bool(t, STATS_MIN_EXACT, s->min.exact);
    thrift_end(t);
}

int parquet_meta_page(struct bytes *out, const struct parquet_page_head *head)
{
    struct thrift t;

    thrift_begin(&t, out);
    thrift_i32(&t, PAGE_TYPE, head->dictionary ? DICTIONARY_PAGE : DATA_PAGE);
    thrift_i32(&t, PAGE_RAW_LEN, (int32_t)head->raw_len);
    thrift_i32(&t, PAGE_PACKED_LEN, (int32_t)head->packed_len);
    thrift_i32(&t, PAGE_CRC, (int32_t)head->crc);
    thrift_struct(&t, head->dictionary ? PAGE_DICT : PAGE_DATA);
    if (head->dictionary) {
        thrift_i32(&t, DICT_VALUES, (int32_t)head->values);
        thrift_i32(&t, DICT_ENCODING, PARQUET_PLAIN);
    } else {
        thrift_i32(&t, DATA_VALUES, (int32_t)head->values);
        thrift_i32(&t, DATA_ENCODING, (int32_t)head->encoding);
        thrift_i32(&t, DATA_DEFINITION, PARQUET_RLE);
        thrift_i32(&t, DATA_REPETITION, PARQUET_RLE);
        if (head->stats != NULL)
            put_stats(&t, DATA_STATISTICS, head->stats, head->nulls);
    }
    thrift_end(&t);
    thrift_end(&t);
    return t.error;
}

/* --- row groups ----------------------------------------------------------------------------- */

int parquet_meta_group_begin(struct bytes *out, uint32_t columns)
{
    struct thrift t;

    thrift_begin(&t, out);
    thrift_list(&t, GROUP_COLUMNS, THRIFT_STRUCT, columns);
    return t.error;
}

static int32_t delta_encoding(const struct parquet_column *c)
{
    return c->value_bytes > 0 ? PARQUET_DELTA_BINARY_PACKED : PARQUET_DELTA_BYTE_ARRAY;
}

static void put_page_counts(struct thrift *t, const struct parquet_column *c)
{
    const struct {
        int32_t page, encoding;
        uint32_t count;
    } counts[] = {
        {DICTIONARY_PAGE, PARQUET_PLAIN, c->pages_dict > 0},
        {DATA_PAGE, PARQUET_RLE_DICTIONARY, c->pages_dict},
        {DATA_PAGE, delta_encoding(c), c->pages_delta},
        {DATA_PAGE, PARQUET_PLAIN, c->pages_plain},
    };
    uint32_t kinds = 0;

    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        kinds += counts[i].count > 0;
    thrift_list(t, META_ENCODING_STATS, THRIFT_STRUCT, kinds);
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        if (counts[i].count == 0)
            continue;
        thrift_item_struct(t);
        thrift_i32(t, ENCODED_PAGE_TYPE, counts[i].page);
        thrift_i32(t, ENCODED_AS, counts[i].encoding);
        thrift_i32(t, ENCODED_COUNT, (int32_t)counts[i].count);
        thrift_end(t);
    }
}

int parquet_meta_column(struct bytes *out, const struct parquet_column *c, uint64_t offset,
                        uint64_t dict_len, uint64_t rows)
{
    bool dict = c->pages_dict > 0, delta = c->pages_delta > 0;
    struct thrift t;

    thrift_begin(&t, out);
    thrift_i64(&t, CHUNK_FILE_OFFSET, 0);       /* of metadata outside the footer: there is none */
    thrift_struct(&t, CHUNK_META);
    thrift_i32(&t, META_TYPE, types[c->type].physical);
    thrift_list(&t, META_ENCODINGS, THRIFT_I32, 2 + (uint32_t)dict + (uint32_t)delta);
    thrift_item_i32(&t, PARQUET_PLAIN);
    thrift_item_i32(&t, PARQUET_RLE);
    if (dict)
        thrift_item_i32(&t, PARQUET_RLE_DICTIONARY);
    if (delta)
        thrift_item_i32(&t, delta_encoding(c));
    thrift_list(&t, META_PATH, THRIFT_BINARY, 1);
    thrift_item_binary(&t, c->name, c->name_len);
    thrift_i32(&t, META_CODEC, codec_numbers[c->codec]);
    thrift_i64(&t, META_VALUES, (int64_t)rows);
    thrift_i64(&t, META_RAW_BYTES, (int64_t)c->raw_bytes);
    thrift_i64(&t, META_PACKED_BYTES, (int64_t)c->packed_bytes);
    thrift_i64(&t, META_DATA_OFFSET, (int64_t)(offset + dict_len));
    if (dict)
        thrift_i64(&t, META_DICT_OFFSET, (int64_t)offset);
    put_stats(&t, META_STATISTICS, &c->stats, c->chunk_nulls);
    put_page_counts(&t, c);
    thrift_end(&t);
    thrift_end(&t);
    return t.error;
}

int parquet_meta_group_end(struct bytes *out, uint64_t offset, uint64_t raw_bytes,
                           uint64_t packed_bytes, uint64_t rows, uint64_t number)
{
    struct thrift t;

    thrift_begin(&t, out);
    t.last[0] = GROUP_COLUMNS;                  /* goes on where the group began */
    thrift_i64(&t, GROUP_RAW_BYTES, (int64_t)raw_bytes);
    thrift_i64(&t, GROUP_ROWS, (int64_t)rows);
    thrift_i64(&t, GROUP_OFFSET, (int64_t)offset);
    thrift_i64(&t, GROUP_PACKED_BYTES, (int64_t)packed_bytes);
    if (number <= GROUPS_NUMBERED)
        thrift_i16(&t, GROUP_ORDINAL, (int16_t)number);
    thrift_end(&t);
    return t.error;
}

/* --- the footer ----------------------------------------------------------------------------- */

static void put_logical(struct thrift *t, enum column_type type)
{
    thrift_struct(t, ELEMENT_LOGICAL);
    thrift_struct(t, types[type].logical);
    if (types[type].logical == LOGICAL_INTEGER) {
        thrift_i8(t, INT_WIDTH, types[type].width);
        thrift_bool(t, INT_SIGNED, type != COLUMN_U64);
    } else if (types[type].logical == LOGICAL_TIMESTAMP) {
        thrift_bool(t, TIMESTAMP_UTC, true);
        thrift_struct(t, TIMESTAMP_UNIT);
        thrift_struct(t, UNIT_MICROS);
        thrift_end(t);
        thrift_end(t);
    }
    thrift_end(t);
    thrift_end(t);
}

static void put_schema(struct thrift *t, const struct parquet_column *columns, uint32_t count)
{
    static const char root[] = "schema";

    thrift_list(t, FILE_SCHEMA, THRIFT_STRUCT, count + 1);
    thrift_item_struct(t);
    thrift_binary(t, ELEMENT_NAME, root, sizeof(root) - 1);
    thrift_i32(t, ELEMENT_CHILDREN, (int32_t)count);
    thrift_end(t);
    for (uint32_t i = 0; i < count; i++) {
        const struct parquet_column *c = &columns[i];

        thrift_item_struct(t);
        thrift_i32(t, ELEMENT_TYPE, types[c->type].physical);
        thrift_i32(t, ELEMENT_REPETITION, OPTIONAL);
        thrift_binary(t, ELEMENT_NAME, c->name, c->name_len);
        if (types[c->type].converted != NOT_CONVERTED)
            thrift_i32(t, ELEMENT_CONVERTED, types[c->type].converted);
        if (types[c->type].logical != 0)
            put_logical(t, (enum column_type)c->type);
        thrift_end(t);
    }
}

int parquet_meta_file(struct bytes *out, const struct parquet_column *columns, uint32_t count,
                      uint64_t rows, const struct bytes *groups, uint64_t groups_count,
                      const char *created_by)
{
    struct thrift t;

    thrift_begin(&t, out);
    thrift_i32(&t, FILE_VERSION, FORMAT_VERSION);
    put_schema(&t, columns, count);
    thrift_i64(&t, FILE_ROWS, (int64_t)rows);
    thrift_list(&t, FILE_GROUPS, THRIFT_STRUCT, (uint32_t)groups_count);
    if (!t.error)
        t.error = bytes_append(out, groups->data, groups->len);
    thrift_binary(&t, FILE_CREATED_BY, created_by, strlen(created_by));
    thrift_list(&t, FILE_COLUMN_ORDERS, THRIFT_STRUCT, count);
    for (uint32_t i = 0; i < count; i++) {
        thrift_item_struct(&t);
        thrift_struct(&t, ORDER_TYPE_DEFINED);
        thrift_end(&t);
        thrift_end(&t);
    }
    thrift_end(&t);
    return t.error;
}
