/*
 * raw: payload and delimiter, byte for byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "encode/line_reader.h"

static void expect(const char *delimiter, const void *data, size_t len, const void *expected,
                   size_t expected_len)
{
    const struct encoder_settings set = {
        .delimiter = (const uint8_t *)delimiter,
        .delimiter_len = delimiter != NULL ? (uint32_t)strlen(delimiter) : 0,
    };

    for (int kind = SHM_KIND_NONE + 1; kind < SHM_KIND_COUNT; kind++) {
        const struct event ev = { .data = data, .len = (uint32_t)len, .kind = (uint8_t)kind };
        struct encoded e = encode_event(&raw_encoder, &set, &ev, BLOCK_BYTES - 2);

        assert_int_equal(e.len, expected_len);
        assert_memory_equal(e.data, expected, expected_len);
        assert_int_equal(e.bytes_max, expected_len);
        encoded_free(&e);
    }
}

static void puts_the_delimiter_behind_each_payload(void **state)
{
    (void)state;
    expect("\n", "abc", 3, "abc\n", 4);
    expect("\r\n", "a\nb\0c", 5, "a\nb\0c\r\n", 7);
    expect("\n", "", 0, "\n", 1);
    expect("\n", NULL, 0, "\n", 1);
}

static void an_empty_delimiter_adds_nothing(void **state)
{
    (void)state;
    expect("", "abc", 3, "abc", 3);
    expect(NULL, "\xff\0", 2, "\xff\0", 2);
    expect(NULL, NULL, 0, "", 0);
}

static void a_large_payload_stays_as_it_is(void **state)
{
    const size_t len = SHM_EVENT_BYTES_MAX;
    uint8_t *data = malloc(len + 1);

    (void)state;
    assert_non_null(data);
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(i * 31 >> 3);
    data[len] = ';';
    expect(";", data, len, data, len + 1);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(puts_the_delimiter_behind_each_payload),
        cmocka_unit_test(an_empty_delimiter_adds_nothing),
        cmocka_unit_test(a_large_payload_stays_as_it_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
