/*
 * json: golden lines, and properties over random payloads, each line read back by jansson.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "encode/json_check.h"
#include "encode/line_reader.h"
#include "support/rng.h"

static struct event event_of(enum shm_kind kind, const void *data, size_t len)
{
    return (struct event){ .data = data, .len = (uint32_t)len, .kind = (uint8_t)kind };
}

static struct encoded encode(enum shm_kind kind, const void *data, size_t len, size_t ahead)
{
    const struct encoder_settings set = { 0 };
    const struct event ev = event_of(kind, data, len);

    return encode_event(&json_encoder, &set, &ev, ahead);
}

static void expect_bytes(enum shm_kind kind, const void *data, size_t len, const void *expected,
                         size_t expected_len)
{
    struct encoded line = encode(kind, data, len, 0);

    assert_int_equal(line.len, expected_len);
    assert_memory_equal(line.data, expected, expected_len);
    assert_true(line.len <= line.bytes_max);
    encoded_free(&line);
}

static void expect(enum shm_kind kind, const char *data, const char *expected)
{
    expect_bytes(kind, data, strlen(data), expected, strlen(expected));
}

static void expect_message(const char *key, enum shm_kind kind, const void *data, size_t len,
                           size_t ahead)
{
    struct encoded line = encode(kind, data, len, ahead);
    const char *wrong = message_check(&line, key, data, len);

    if (wrong != NULL)
        fail_msg("%s: kind %d, %zu bytes: %s", key, (int)kind, len, wrong);
    encoded_free(&line);
}

static void is_found_by_name_and_others_are_not(void **state)
{
    (void)state;
    assert_ptr_equal(encoder_find("json"), &json_encoder);
    assert_ptr_equal(encoder_find("raw"), &raw_encoder);
    assert_null(encoder_find("csv"));
    assert_null(encoder_find("JSON"));
    assert_null(encoder_find(""));
    assert_string_equal(json_encoder.extension, "json");
}

static void passes_json_through_unchanged(void **state)
{
    (void)state;
    expect(SHM_KIND_JSON, "{\"a\":1}", "{\"a\":1}\n");
    expect(SHM_KIND_JSON, " { \"a\\n\" : \"\\u2028\" }\t", " { \"a\\n\" : \"\\u2028\" }\t\n");
    expect(SHM_KIND_JSON, "not json", "not json\n");
    expect_bytes(SHM_KIND_JSON, "{\"a\":\0\xff}", 8, "{\"a\":\0\xff}\n", 9);
}

static void folds_line_ends_between_tokens_into_spaces(void **state)
{
    (void)state;
    expect(SHM_KIND_JSON, "{\n\"a\":\r\n1\r}\n", "{ \"a\":  1 } \n");
    expect(SHM_KIND_JSON, "\r{}", " {}\n");
    expect(SHM_KIND_JSON, "{}\n\n\r", "{}   \n");
    expect(SHM_KIND_JSON, "\n\r\n\r{\r\r\r\n\n}", "    {     }\n");
}

static void writes_blank_json_as_text(void **state)
{
    (void)state;
    expect(SHM_KIND_JSON, "", "{\"message\": \"\"}\n");
    expect(SHM_KIND_JSON, " \t\r\n", "{\"message\": \" \\t\\r\\n\"}\n");
    expect_bytes(SHM_KIND_JSON, NULL, 0, "{\"message\": \"\"}\n", 16);
}

static void wraps_text_as_a_message(void **state)
{
    (void)state;
    expect(SHM_KIND_TEXT, "", "{\"message\": \"\"}\n");
    expect(SHM_KIND_TEXT, "hello, world", "{\"message\": \"hello, world\"}\n");
    expect(SHM_KIND_TEXT, "{\"a\": \"b\\c\"}",
           "{\"message\": \"{\\\"a\\\": \\\"b\\\\c\\\"}\"}\n");
    expect(SHM_KIND_TEXT, "a/b\x7f", "{\"message\": \"a/b\x7f\"}\n");
    expect_bytes(SHM_KIND_TEXT, NULL, 0, "{\"message\": \"\"}\n", 16);
}

static void escapes_every_control_character(void **state)
{
    static const char *const escapes[] = {
        "\\u0000", "\\u0001", "\\u0002", "\\u0003", "\\u0004", "\\u0005", "\\u0006", "\\u0007",
        "\\b",     "\\t",     "\\n",     "\\u000b", "\\f",     "\\r",     "\\u000e", "\\u000f",
        "\\u0010", "\\u0011", "\\u0012", "\\u0013", "\\u0014", "\\u0015", "\\u0016", "\\u0017",
        "\\u0018", "\\u0019", "\\u001a", "\\u001b", "\\u001c", "\\u001d", "\\u001e", "\\u001f",
    };

    (void)state;
    for (size_t c = 0; c < 0x20; c++) {
        /* At every place of a word of eight, with plain characters around. */
        for (size_t place = 0; place < 17; place++) {
            char payload[17], expected[64];
            int len;

            memset(payload, 'x', sizeof(payload));
            payload[place] = (char)c;
            len = snprintf(expected, sizeof(expected), "{\"message\": \"%.*s%s%.*s\"}\n",
                           (int)place, "xxxxxxxxxxxxxxxxx", escapes[c], (int)(16 - place),
                           "xxxxxxxxxxxxxxxxx");
            expect_bytes(SHM_KIND_TEXT, payload, sizeof(payload), expected, (size_t)len);
        }
    }
}

static void leaves_characters_above_ascii_as_they_are(void **state)
{
    (void)state;
    expect(SHM_KIND_TEXT, "\xe2\x80\xa8\xe2\x80\xa9",
           "{\"message\": \"\xe2\x80\xa8\xe2\x80\xa9\"}\n");
    expect(SHM_KIND_TEXT, "\xc3\xa4\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf",
           "{\"message\": \"\xc3\xa4\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf\"}\n");
}

static void writes_text_that_is_not_utf8_as_bytes(void **state)
{
    static const char *const bad[] = {
        "\x80", "\xff", "a\xc3", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xe0\x9f\xbf",
        "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf", "\xed\xa0\x80", "\xed\xbf\xbf",
        "\xed\xa0\xbd\xed\xb8\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\xe2\x28\xa1",
        "\xf0\x9f\x98", "\xc3\xa4\xa4",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        expect_message("message_base64", SHM_KIND_TEXT, bad[i], strlen(bad[i]), 0);
    expect(SHM_KIND_TEXT, "\xed\xa0\x80", "{\"message_base64\": \"7aCA\"}\n");
}

static void wraps_bytes_and_records_in_base64(void **state)
{
    (void)state;
    /* The vectors of RFC 4648. */
    expect(SHM_KIND_BYTES, "", "{\"message_base64\": \"\"}\n");
    expect(SHM_KIND_BYTES, "f", "{\"message_base64\": \"Zg==\"}\n");
    expect(SHM_KIND_BYTES, "fo", "{\"message_base64\": \"Zm8=\"}\n");
    expect(SHM_KIND_BYTES, "foo", "{\"message_base64\": \"Zm9v\"}\n");
    expect(SHM_KIND_BYTES, "foob", "{\"message_base64\": \"Zm9vYg==\"}\n");
    expect(SHM_KIND_BYTES, "fooba", "{\"message_base64\": \"Zm9vYmE=\"}\n");
    expect(SHM_KIND_RECORD, "foobar", "{\"message_base64\": \"Zm9vYmFy\"}\n");
    expect_bytes(SHM_KIND_BYTES, "\xfb\xff\0", 3, "{\"message_base64\": \"+/8A\"}\n", 27);
}

static void a_large_event_crosses_blocks_unharmed(void **state)
{
    const size_t len = SHM_EVENT_BYTES_MAX;
    uint8_t *data = malloc(len);

    (void)state;
    assert_non_null(data);
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(i * 7 % 0x80);
    expect_message("message", SHM_KIND_TEXT, data, len, 12345);
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(i * 7);
    expect_message("message_base64", SHM_KIND_BYTES, data, len, BLOCK_BYTES - 1);

    /* The most that one event can become: six bytes for one. */
    memset(data, 1, len);
    expect_message("message", SHM_KIND_TEXT, data, len, BLOCK_BYTES - 12);
    /* Line ends alone and alternating: the time to fold them must not grow with their square. */
    for (size_t i = 0; i < len; i++)
        data[i] = i < len / 2 ? '\n' : i % 2 != 0 ? '\r' : '\n';
    data[len - 1] = '1';
    struct encoded line = encode(SHM_KIND_JSON, data, len, 3);
    assert_int_equal(line.len, len + 1);
    assert_int_equal(strspn((char *)line.data, " "), len - 1);
    encoded_free(&line);
    free(data);
}

static void every_split_between_two_blocks_gives_the_same_line(void **state)
{
    static const char text[] = "pl\x01in \"\\ \xe2\x80\xa8 text";
    const size_t len = sizeof(text) - 1;
    struct encoded whole = encode(SHM_KIND_TEXT, text, len, 0);

    (void)state;
    for (size_t before = 0; before <= whole.len; before++) {
        struct encoded cut = encode(SHM_KIND_TEXT, text, len, BLOCK_BYTES - before);

        assert_int_equal(cut.len, whole.len);
        assert_memory_equal(cut.data, whole.data, whole.len);
        encoded_free(&cut);
    }
    encoded_free(&whole);
}

/* A random character of one to four bytes, surrogates left out. */
static size_t put_character(uint8_t *out, uint64_t *rng)
{
    static const uint32_t below[] = { 0x80, 0x800, 0x10000, 0x110000 };
    uint32_t c = (uint32_t)rng_next(rng) % below[rng_next(rng) % 4];

    if (c >= 0xd800 && c < 0xe000)
        c = 0x2028;
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (uint8_t)(0xc0 | c >> 6);
        out[1] = (uint8_t)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (uint8_t)(0xe0 | c >> 12);
        out[1] = (uint8_t)(0x80 | (c >> 6 & 63));
        out[2] = (uint8_t)(0x80 | (c & 63));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | c >> 18);
    out[1] = (uint8_t)(0x80 | (c >> 12 & 63));
    out[2] = (uint8_t)(0x80 | (c >> 6 & 63));
    out[3] = (uint8_t)(0x80 | (c & 63));
    return 4;
}

static uint64_t random_seed(void)
{
    const char *given = getenv("HYDRANT_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);

    print_message("HYDRANT_SEED=%llu\n", (unsigned long long)seed);
    return seed * 2 + 1;
}

static void random_text_and_bytes_come_back_as_they_were(void **state)
{
    uint64_t rng = random_seed();
    uint8_t data[4096];

    (void)state;
    for (int round = 0; round < 1500; round++) {
        size_t len = rng_next(&rng) % (round % 16 == 0 ? sizeof(data) - 4 : 60);
        size_t ahead = round % 4 == 0 ? BLOCK_BYTES - rng_next(&rng) % 200 : 0;
        size_t used = 0;

        while (used < len)
            used += put_character(data + used, &rng);
        expect_message("message", SHM_KIND_TEXT, data, used, ahead);
        for (used = 0; used < len; used++)
            data[used] = (uint8_t)rng_next(&rng);
        expect_message("message_base64", SHM_KIND_BYTES, data, used, ahead);
        expect_message("message_base64", SHM_KIND_RECORD, data, used, ahead);
        expect_message(json_check_utf8(data, used) ? "message" : "message_base64", SHM_KIND_TEXT,
                       data, used, ahead);
    }
}

static void the_bound_holds_for_every_kind_of_random_payload(void **state)
{
    /* Bytes that change their length most. */
    static const char alphabet[] = "\x01\x1f\"\\\n\r \t{}\x80\xff\xc3\xa4" "ab";
    uint64_t rng = random_seed();
    uint8_t data[300];

    (void)state;
    for (int round = 0; round < 3000; round++) {
        size_t len = rng_next(&rng) % (round % 2 == 0 ? 8 : sizeof(data));
        size_t letters = 1 + rng_next(&rng) % (sizeof(alphabet) - 1);

        for (size_t i = 0; i < len; i++)
            data[i] = (uint8_t)alphabet[rng_next(&rng) % letters];
        for (int kind = SHM_KIND_NONE + 1; kind < SHM_KIND_COUNT; kind++) {
            struct encoded line = encode((enum shm_kind)kind, data, len, 0);

            assert_true(line.len <= line.bytes_max);
            assert_ptr_equal(memchr(line.data, '\n', line.len), line.data + line.len - 1);
            assert_null(memchr(line.data, '\r', line.len));
            encoded_free(&line);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_found_by_name_and_others_are_not),
        cmocka_unit_test(passes_json_through_unchanged),
        cmocka_unit_test(folds_line_ends_between_tokens_into_spaces),
        cmocka_unit_test(writes_blank_json_as_text),
        cmocka_unit_test(wraps_text_as_a_message),
        cmocka_unit_test(escapes_every_control_character),
        cmocka_unit_test(leaves_characters_above_ascii_as_they_are),
        cmocka_unit_test(writes_text_that_is_not_utf8_as_bytes),
        cmocka_unit_test(wraps_bytes_and_records_in_base64),
        cmocka_unit_test(a_large_event_crosses_blocks_unharmed),
        cmocka_unit_test(every_split_between_two_blocks_gives_the_same_line),
        cmocka_unit_test(random_text_and_bytes_come_back_as_they_were),
        cmocka_unit_test(the_bound_holds_for_every_kind_of_random_payload),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
