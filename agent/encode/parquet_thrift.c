/*
 * parquet_thrift: Thrift's compact protocol.
 *
 * A field is a byte, the step from the id before in its upper four bits and the type in its lower,
 * then the value; ids further away than 15 do not occur in Parquet. Integers are zigzag varints. A
 * struct ends with a zero byte. Source: "Thrift compact protocol" in Apache Thrift's documents.
 *
 * Owns:   nothing.
 * Thread: any one at a time.
 */
#include "encode/parquet_thrift.h"

#include "base/invariant.h"

enum { FIELD_STEP_MAX = 15, LIST_SHORT_MAX = 14, VARINT_BYTES_MAX = 10 };

static void put(struct thrift *t, const void *data, size_t len)
{
    if (!t->error)
        t->error = bytes_append(t->out, data, len);
}

static void put_byte(struct thrift *t, unsigned int byte)
{
    uint8_t b = (uint8_t)byte;

    put(t, &b, 1);
}

static void put_varint(struct thrift *t, uint64_t v)
{
    uint8_t text[VARINT_BYTES_MAX];
    size_t len = 0;

    for (; v >= 0x80; v >>= 7)
        text[len++] = (uint8_t)(v | 0x80);
    text[len++] = (uint8_t)v;
    put(t, text, len);
}

static void put_zigzag(struct thrift *t, int64_t v)
{
    put_varint(t, (uint64_t)v << 1 ^ (uint64_t)(v >> 63));
}

static void put_field(struct thrift *t, int field, enum thrift_type type)
{
    int step = field - t->last[t->depth];

    INVARIANT(step > 0 && step <= FIELD_STEP_MAX);
    put_byte(t, (unsigned int)step << 4 | type);
    t->last[t->depth] = field;
}

static void push(struct thrift *t)
{
    INVARIANT(t->depth + 1 < THRIFT_DEPTH_MAX);
    t->last[++t->depth] = 0;
}

void thrift_begin(struct thrift *t, struct bytes *out)
{
    *t = (struct thrift){.out = out};
}

void thrift_end(struct thrift *t)
{
    put_byte(t, 0);
    if (t->depth > 0)
        t->depth--;
}

void thrift_struct(struct thrift *t, int field)
{
    put_field(t, field, THRIFT_STRUCT);
    push(t);
}

void thrift_bool(struct thrift *t, int field, bool v)
{
    put_field(t, field, v ? THRIFT_TRUE : THRIFT_FALSE);
}

void thrift_i8(struct thrift *t, int field, int8_t v)
{
    put_field(t, field, THRIFT_I8);
    put_byte(t, (uint8_t)v);
}

void thrift_i16(struct thrift *t, int field, int16_t v)
{
    put_field(t, field, THRIFT_I16);
    put_zigzag(t, v);
}

void thrift_i32(struct thrift *t, int field, int32_t v)
{
    put_field(t, field, THRIFT_I32);
    put_zigzag(t, v);
}

void thrift_i64(struct thrift *t, int field, int64_t v)
{
    put_field(t, field, THRIFT_I64);
    put_zigzag(t, v);
}

void thrift_binary(struct thrift *t, int field, const void *data, size_t len)
{
    put_field(t, field, THRIFT_BINARY);
    thrift_item_binary(t, data, len);
}

void thrift_list(struct thrift *t, int field, enum thrift_type type, uint32_t count)
{
    put_field(t, field, THRIFT_LIST);
    if (count <= LIST_SHORT_MAX) {
        put_byte(t, count << 4 | type);
    } else {
        put_byte(t, 0xf0 | type);
        put_varint(t, count);
    }
}

void thrift_item_struct(struct thrift *t)
{
    push(t);
}

void thrift_item_i32(struct thrift *t, int32_t v)
{
    put_zigzag(t, v);
}

void thrift_item_binary(struct thrift *t, const void *data, size_t len)
{
    put_varint(t, len);
    put(t, data, len);
}
