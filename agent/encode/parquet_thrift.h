/*
 * parquet_thrift: values in Thrift's compact protocol, which is what Parquet's headers and footer
 * are written in. Writes only.
 *
 * A struct's fields are written in ascending order of their ids. Running out of memory is kept:
 * what follows does nothing, and the caller asks at the end.
 *
 * Owns:   nothing; the bytes are lent.
 * Thread: any one at a time.
 */
#ifndef ENCODE_PARQUET_THRIFT_H
#define ENCODE_PARQUET_THRIFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

enum { THRIFT_DEPTH_MAX = 8 };

enum thrift_type {
    THRIFT_TRUE = 1,
    THRIFT_FALSE,
    THRIFT_I8,
    THRIFT_I16,
    THRIFT_I32,
    THRIFT_I64,
    THRIFT_DOUBLE,
    THRIFT_BINARY,
    THRIFT_LIST,
    THRIFT_SET,
    THRIFT_MAP,
    THRIFT_STRUCT
};

struct thrift {
    struct bytes *out;                  /* borrowed */
    int last[THRIFT_DEPTH_MAX];         /* id of the field before, by depth */
    int depth;
    int error;                          /* 0 or -ENOMEM */
};

/* The outermost struct begins with this and ends with thrift_end(). */
void thrift_begin(struct thrift *t, struct bytes *out);
void thrift_end(struct thrift *t);      /* of any struct */

/* Fields of the struct that was begun last. */
void thrift_struct(struct thrift *t, int field);
void thrift_bool(struct thrift *t, int field, bool v);
void thrift_i8(struct thrift *t, int field, int8_t v);
void thrift_i16(struct thrift *t, int field, int16_t v);
void thrift_i32(struct thrift *t, int field, int32_t v);
void thrift_i64(struct thrift *t, int field, int64_t v);
void thrift_binary(struct thrift *t, int field, const void *data, size_t len);
void thrift_list(struct thrift *t, int field, enum thrift_type type, uint32_t count);

/* Items of the list that was written last: as many as it said. */
void thrift_item_struct(struct thrift *t);
void thrift_item_i32(struct thrift *t, int32_t v);
void thrift_item_binary(struct thrift *t, const void *data, size_t len);

#endif
