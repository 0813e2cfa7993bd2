/*
 * dead_letter: golden lines, read back by jansson whatever the event and the reason hold.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "encode/dead_letter.h"

enum { BLOCKS = 10 };

static struct block_pool pool;

static int setup(void **state)
{
    (void)state;
    block_pool_init(&pool, (uint64_t)BLOCKS * BLOCK_BYTES);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    block_pool_fini(&pool);
    return 0;
}

/* The line, which the caller frees; `ahead` bytes are in the chain before it. */
static char *letter(const void *data, size_t len, const char *why, size_t ahead)
{
    struct event ev = {.data = data, .len = (uint32_t)len, .kind = SHM_KIND_JSON};
    uint64_t most = dead_letter_bytes_max(&ev, why);
    struct block_chain chain;
    size_t bytes = 0;
    struct block *b;
    char *line;

    chain_init(&chain, &pool);
    assert_true(ahead <= BLOCK_BYTES && chain_reserve(&chain, ahead));
    for (size_t i = 0; i < ahead; i++)
        chain_append(&chain, " ", 1);
    assert_true(chain_reserve(&chain, most));
    dead_letter_append(&ev, 1700000000123456789, "processing-failed", why, &chain);
    assert_true(chain.total - ahead <= most);
    line = malloc(chain.total + 1);
    assert_non_null(line);
    while ((b = chain_shift(&chain, true)) != NULL) {
        memcpy(line + bytes, b->data, b->len);
        bytes += b->len;
        block_give(&pool, b);
    }
    chain_fini(&chain);
    line[bytes] = '\0';
    memmove(line, line + ahead, bytes - ahead + 1);
    return line;
}

static void expect(const void *data, size_t len, const char *why, const char *expected)
{
    char *line = letter(data, len, why, 0);

    assert_string_equal(line, expected);
    free(line);
}

static void expect_message(const char *why, const char *message)
{
    char *line = letter("x", 1, why, 0);
    json_t *o = json_loads(line, 0, NULL);

    assert_non_null(o);
    assert_string_equal(json_string_value(json_object_get(o, "errorMessage")), message);
    json_decref(o);
    free(line);
}

static void a_letter_has_the_fields_of_an_aws_record(void **state)
{
    (void)state;
    expect("{\"a\":1", 6, "it is no JSON object",
           "{\"attemptsMade\":1,\"arrivalTimestamp\":1700000000123,"
           "\"errorCode\":\"processing-failed\",\"errorMessage\":\"it is no JSON object\","
           "\"attemptEndingTimestamp\":1700000000123,\"rawData\":\"eyJhIjox\"}\n");
    expect(NULL, 0, "",
           "{\"attemptsMade\":1,\"arrivalTimestamp\":1700000000123,"
           "\"errorCode\":\"processing-failed\",\"errorMessage\":\"\","
           "\"attemptEndingTimestamp\":1700000000123,\"rawData\":\"\"}\n");
}

/* The reason may quote what a stranger wrote, cut anywhere. */
static void a_message_is_escaped_and_loses_what_is_no_utf8(void **state)
{
    (void)state;
    expect_message("'a\"b\\c\n\x01'", "'a\"b\\c\n\x01'");
    expect_message("größe: \xe2\x82\xac \xf0\x9f\x98\x80", "größe: \xe2\x82\xac \xf0\x9f\x98\x80");
    expect_message("cut \xe2\x82", "cut ");
    expect_message("cut \xf0\x9f\x98'", "cut '");
    expect_message("\xff\xfe" "a\x80" "b\xc3", "ab");
    expect_message("\xc3\xc3\xb6", "\xc3\xb6");
}

/* Each byte of it takes six, and letter() holds the line against what was reserved. */
static void the_longest_reason_has_room(void **state)
{
    char why[512];
    char *line;

    (void)state;
    memset(why, 1, sizeof(why) - 1);
    why[sizeof(why) - 1] = '\0';
    line = letter(NULL, 0, why, 0);
    assert_true(strlen(line) > 6 * strlen(why) + 150);
    free(line);
}

static void the_data_comes_back_whole_wherever_blocks_end(void **state)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t len = SHM_EVENT_BYTES_MAX;
    uint8_t *data = malloc(len);

    (void)state;
    assert_non_null(data);
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(i * 37 >> 2);
    for (size_t ahead = BLOCK_BYTES - 400; ahead <= BLOCK_BYTES; ahead += 57) {
        char *line = letter(data, len, "\x01\x01\x01 why", ahead);
        json_t *o = json_loads(line, 0, NULL);
        const char *text = json_string_value(json_object_get(o, "rawData"));

        assert_non_null(text);
        assert_int_equal(strlen(text), (len + 2) / 3 * 4);
        for (size_t i = 0; i + 2 < len; i += 3) {
            uint32_t bits = (uint32_t)data[i] << 16 | (uint32_t)data[i + 1] << 8 | data[i + 2];

            for (unsigned k = 0; k < 4; k++)
                if (text[i / 3 * 4 + k] != digits[bits >> (18 - 6 * k) & 63])
                    fail_msg("byte %zu", i);
        }
        assert_true(line[strlen(line) - 1] == '\n');
        json_decref(o);
        free(line);
    }
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_letter_has_the_fields_of_an_aws_record),
        cmocka_unit_test(a_message_is_escaped_and_loses_what_is_no_utf8),
        cmocka_unit_test(the_longest_reason_has_room),
        cmocka_unit_test(the_data_comes_back_whole_wherever_blocks_end),
    };

    return cmocka_run_group_tests_name("dead_letter", tests, setup, teardown);
}
