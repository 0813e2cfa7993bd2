/*
 * parquet_thrift: bytes as the protocol's document has them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "encode/parquet_thrift.h"

static void expect(struct thrift *t, const void *bytes, size_t len)
{
    assert_int_equal(t->error, 0);
    assert_int_equal(t->out->len, len);
    assert_memory_equal(t->out->data, bytes, len);
    bytes_free(t->out);
}

static void writes_fields_by_their_distance(void **state)
{
    static const uint8_t bytes[] = {
        0x15, 0x02,                                 /* 1: i32 1 */
        0x16, 0x01,                                 /* 2: i64 -1 */
        0x31, 0x12, 0x13, 0xfe,                     /* 5: true, 6: false, 7: i8 -2 */
        0x84, 0xff, 0xff, 0x03,                     /* 15: i16 -32768 */
        0xf8, 0x02, 'h', 'i',                       /* 30: binary */
        0x00,
    };
    struct bytes out = BYTES_INIT;
    struct thrift t;

    (void)state;
    thrift_begin(&t, &out);
    thrift_i32(&t, 1, 1);
    thrift_i64(&t, 2, -1);
    thrift_bool(&t, 5, true);
    thrift_bool(&t, 6, false);
    thrift_i8(&t, 7, -2);
    thrift_i16(&t, 15, INT16_MIN);
    thrift_binary(&t, 30, "hi", 2);
    thrift_end(&t);
    expect(&t, bytes, sizeof(bytes));
}

static void writes_the_largest_numbers(void **state)
{
    static const uint8_t bytes[] = {
        0x16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01,
        0x16, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01,
        0x15, 0xff, 0xff, 0xff, 0xff, 0x0f,
        0x00,
    };
    struct bytes out = BYTES_INIT;
    struct thrift t;

    (void)state;
    thrift_begin(&t, &out);
    thrift_i64(&t, 1, INT64_MIN);
    thrift_i64(&t, 2, INT64_MAX);
    thrift_i32(&t, 3, INT32_MIN);
    thrift_end(&t);
    expect(&t, bytes, sizeof(bytes));
}

static void goes_on_after_a_struct_where_it_was(void **state)
{
    static const uint8_t bytes[] = {
        0x2c, 0x1c, 0x15, 0x04, 0x00, 0x15, 0x06, 0x00,     /* 2: {1: {1: 2}, 2: 3} */
        0x15, 0x08,                                         /* 3: 4 */
        0x00,
    };
    struct bytes out = BYTES_INIT;
    struct thrift t;

    (void)state;
    thrift_begin(&t, &out);
    thrift_struct(&t, 2);
    thrift_struct(&t, 1);
    thrift_i32(&t, 1, 2);
    thrift_end(&t);
    thrift_i32(&t, 2, 3);
    thrift_end(&t);
    thrift_i32(&t, 3, 4);
    thrift_end(&t);
    expect(&t, bytes, sizeof(bytes));
}

static void writes_lists_short_and_long(void **state)
{
    uint8_t bytes[64] = {0x19, 0xe5};
    size_t len = 2;
    struct bytes out = BYTES_INIT;
    struct thrift t;

    (void)state;
    thrift_begin(&t, &out);
    thrift_list(&t, 1, THRIFT_I32, 14);
    for (int i = 0; i < 14; i++) {
        thrift_item_i32(&t, i);
        bytes[len++] = (uint8_t)(2 * i);
    }
    thrift_list(&t, 2, THRIFT_STRUCT, 15);
    memcpy(bytes + len, "\x19\xfc\x0f", 3);
    len += 3;
    for (int i = 0; i < 15; i++) {
        thrift_item_struct(&t);
        thrift_end(&t);
        bytes[len++] = 0;
    }
    thrift_list(&t, 4, THRIFT_BINARY, 1);
    thrift_item_binary(&t, "x", 1);
    memcpy(bytes + len, "\x29\x18\x01x", 4);
    len += 4;
    thrift_end(&t);
    expect(&t, bytes, len + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_fields_by_their_distance),
        cmocka_unit_test(writes_the_largest_numbers),
        cmocka_unit_test(goes_on_after_a_struct_where_it_was),
        cmocka_unit_test(writes_lists_short_and_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
