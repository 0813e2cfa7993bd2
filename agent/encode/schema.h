/*
 * schema: the columns of a table, in order, with their types: what csv and parquet files are made
 * of, and what a producer declares for typed records. Pure.
 *
 * Owns:   a schema owns its columns and their names.
 * Thread: any one at a time.
 */
#ifndef ENCODE_SCHEMA_H
#define ENCODE_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/errmsg.h"

/* Hostile JSON has keys of any length and number; what exceeds these cannot be a column. */
enum { SCHEMA_COLUMNS_MAX = 4096, COLUMN_NAME_BYTES_MAX = 1024 };

enum column_type {
    COLUMN_BOOL = 1,
    COLUMN_I32,
    COLUMN_I64,
    COLUMN_U64,
    COLUMN_F32,
    COLUMN_F64,
    COLUMN_STRING,      /* UTF-8 */
    COLUMN_BYTES,
    COLUMN_TIMESTAMP,   /* microseconds since 1970, UTC */
    COLUMN_TYPE_COUNT
};

struct column {
    char *name;         /* owned; UTF-8, no NUL */
    uint32_t name_len;
    uint8_t type;       /* enum column_type */
};

/*
 * The first `hidden` columns are read from events and not written: those of partition_by.
 */
struct schema {
    struct column *columns;     /* owned */
    uint32_t count, cap;
    uint32_t hidden;
    uint32_t *hash;             /* owned; by name, index + 1 */
    uint32_t hash_mask;
};

void schema_init(struct schema *s);
void schema_fini(struct schema *s);
int schema_copy(const struct schema *from, struct schema *ret_to);

/* 0, -EEXIST: there is one of that name, -ENOSPC: too many, -ENAMETOOLONG, -ENOMEM. */
int schema_add(struct schema *s, const char *name, size_t len, enum column_type type);

/* Index of the column, or -1. */
int schema_find(const struct schema *s, const char *name, size_t len);

/* Is there a column of this one's name? */
static inline bool schema_has(const struct schema *s, const struct column *c)
{
    return schema_find(s, c->name, c->name_len) >= 0;
}

/*
 * `columns = ts timestamp, user string, amount f64`: types bool i32 i64 u64 f32 f64 string bytes
 * timestamp; names with other than [A-Za-z0-9_.-] stand in double quotes, a quote in them doubled.
 * 0 or -EINVAL with a text that names what and where.
 */
int schema_parse(const char *text, struct schema *ret_schema, struct errmsg *err);
const char *column_type_name(enum column_type type);

/* A name as it stands there: moves *at behind it. 0, -EINVAL or -ENAMETOOLONG. */
int column_name_read(const char **at, char ret_name[COLUMN_NAME_BYTES_MAX + 1], size_t *ret_len);

/* A run of bytes that says the same everywhere (log, definitions); strict when read. */
int schema_format(const struct schema *s, struct bytes *out);
int schema_read(const void *data, size_t len, struct schema *ret_schema);

#endif
