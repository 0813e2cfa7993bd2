/*
 * json_check and event_classify: what is JSON, what is UTF-8, which kind a payload is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "encode/event_classify.h"
#include "encode/json_check.h"

enum { BYTES_MAX = 1 << 20 };

static struct json_checker *checker, *other;

static int open_checker(void **state)
{
    (void)state;
    checker = json_checker_open(BYTES_MAX);
    other = json_checker_open(BYTES_MAX);
    return checker != NULL && other != NULL ? 0 : -1;
}

static int close_checker(void **state)
{
    (void)state;
    json_checker_close(checker);
    json_checker_close(other);
    json_checker_close(NULL);
    return 0;
}

/* From an exact heap copy, so that ASan sees a read past the end. */
static enum json_class classify_bytes(const char *text, size_t len)
{
    char *copy = malloc(len > 0 ? len : 1);
    enum json_class class;

    assert_non_null(copy);
    memcpy(copy, text, len);
    class = json_classify(checker, copy, len);
    assert_memory_equal(copy, text, len);
    free(copy);
    return class;
}

static void expect_class(enum json_class expected, const char *const *texts)
{
    for (; *texts != NULL; texts++) {
        enum json_class class = classify_bytes(*texts, strlen(*texts));

        if (class != expected)
            fail_msg("%s: class %d, expected %d", *texts, (int)class, (int)expected);
    }
}

static void takes_one_object(void **state)
{
    static const char *const texts[] = {
        "{}", " \t\r\n{ } \n", "{\"a\":[1,-2.5e3,true,false,null,\"x\",{\"b\":{}}]}",
        "{\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\\ud83d\\ude00\":\"\xc3\xa4\xe2\x80\xa8\x7f\"}",
        "{\"a\":1,\"a\":2}", NULL
    };

    (void)state;
    expect_class(JSON_CLASS_OBJECT, texts);
}

static void takes_other_values_apart(void **state)
{
    static const char *const texts[] = {
        "[]", "[{}]", "1", "-0", "\"{}\"", "true", "null", " 12.5 ", NULL
    };

    (void)state;
    expect_class(JSON_CLASS_VALUE, texts);
}

static void refuses_what_is_no_json(void **state)
{
    static const char *const texts[] = {
        "", " ", "{", "}", "{}{}", "{} x", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{,}", "{a:1}",
        "{'a':1}", "[1,]", "[1 2]", "{\"a\":01}", "{\"a\":1.}", "{\"a\":.5}", "{\"a\":+1}",
        "{\"a\":1e}", "{\"a\":-}", "{\"a\":0x1}", "{\"a\":NaN}", "{\"a\":Infinity}",
        "{\"a\":tru}", "{\"a\":nul1}", "{\"a\":\"\\x\"}", "{\"a\":\"\\u12g4\"}", "{\"a\":\"x",
        "{\"a\":\"\n\"}", "{\"a\":\"\t\"}", "{\"a\":\"\x01\"}", "// c\n{}", "hello",
        "\xef\xbb\xbf{}", "{\"a\":\"\xff\"}", "{\"a\":\"\xc0\x80\"}", "{\"a\":\"\xed\xa0\x80\"}",
        "{\"a\":\"\xf4\x90\x80\x80\"}", "{\xc2\xa0}", "{\"a\":1}\xe2", NULL
    };

    (void)state;
    expect_class(JSON_CLASS_INVALID, texts);
    assert_int_equal(classify_bytes("{}\0", 3), JSON_CLASS_INVALID);
    assert_int_equal(classify_bytes("{\0}", 3), JSON_CLASS_INVALID);
    assert_int_equal(classify_bytes("{\"\0\":1}", 7), JSON_CLASS_INVALID);
}

static void takes_numbers_of_any_size(void **state)
{
    static const char *const good[] = {
        "{\"a\":123456789012345678901234567890}", "{\"a\":-99999999999999999999}",
        "{\"a\":1e400,\"b\":[-1E+999 ,18446744073709551616\n]}", "{\"a\\\"9\":1e400}",
        "{\"1e400\":\"1e400\",\"x\":1e400}", "{\"a\":1e-400}",
        "{\"a\":0.1234567890123456789012345678901234567890e-5}", NULL
    };
    static const char *const bad[] = {
        "{\"a\":1e400,}", "{\"a\":1e400,\"b\":01}", "{\"a\":1e400,\"b\":1e}", "{\"a\":1e400x}",
        "{\"a\":1e400 1}", "{\"a\":1e400,\"b\":\"}", "{\"a\":1e400", "{1e400:1}",
        "{\"a\":1e400,\"b\":\"\xff\"}", "{\"a\":1e400.5}", "{\"a\":1e400,\"b\":--1}", NULL
    };

    (void)state;
    expect_class(JSON_CLASS_OBJECT, good);
    expect_class(JSON_CLASS_INVALID, bad);
    assert_int_equal(classify_bytes("1e400", 5), JSON_CLASS_VALUE);
}

static void refuses_a_surrogate_without_its_partner(void **state)
{
    static const char *const texts[] = {
        "{\"a\":\"\\ud83d\"}", "{\"a\":\"\\ude00\"}", "{\"a\":\"\\ud83dx\"}",
        "{\"a\":\"\\ud83d\\u0041\"}", NULL
    };

    (void)state;
    expect_class(JSON_CLASS_INVALID, texts);
}

static enum json_class classify_nested(size_t depth)
{
    char *text = malloc(2 * depth + 5);
    enum json_class class;

    assert_non_null(text);
    memcpy(text, "{\"a\":", 5);
    memset(text + 5, '[', depth - 1);
    memset(text + 5 + depth - 1, ']', depth - 1);
    text[5 + 2 * (depth - 1)] = '}';
    class = classify_bytes(text, 5 + 2 * (depth - 1) + 1);
    free(text);
    return class;
}

static void bounds_the_depth(void **state)
{
    (void)state;
    assert_int_equal(classify_nested(JSON_DEPTH_MAX - 1), JSON_CLASS_OBJECT);
    assert_int_equal(classify_nested(JSON_DEPTH_MAX + 1), JSON_CLASS_INVALID);
    assert_int_equal(classify_nested(100000), JSON_CLASS_INVALID);
}

/* An object of exactly len bytes. */
static char *object_make(size_t len)
{
    char *text = malloc(len);

    assert_non_null(text);
    memset(text, 'x', len);
    memcpy(text, "{\"a\":\"", 6);
    memcpy(text + len - 2, "\"}", 2);
    return text;
}

static void takes_texts_up_to_its_size(void **state)
{
    char *text = object_make(BYTES_MAX);
    char *longer = object_make(BYTES_MAX + 1);

    (void)state;
    assert_int_equal(classify_bytes(text, BYTES_MAX), JSON_CLASS_OBJECT);
    assert_int_equal(classify_bytes(longer, BYTES_MAX + 1), JSON_CLASS_INVALID);
    text[BYTES_MAX / 2] = '\n';
    assert_int_equal(classify_bytes(text, BYTES_MAX), JSON_CLASS_INVALID);
    /* A large text leaves nothing behind that a small one could be taken for. */
    assert_int_equal(classify_bytes("{\"a\":\"", 6), JSON_CLASS_INVALID);
    free(text);
    free(longer);
}

static void opens_for_any_size_or_not_at_all(void **state)
{
    struct json_checker *small = json_checker_open(2);

    (void)state;
    assert_non_null(small);
    assert_int_equal(json_classify(small, "{}", 2), JSON_CLASS_OBJECT);
    assert_int_equal(json_classify(small, "{ }", 3), JSON_CLASS_INVALID);
    json_checker_close(small);
    assert_null(json_checker_open(SIZE_MAX));
    assert_null(json_checker_open(UINT32_MAX));
}

static void knows_utf8(void **state)
{
    static const char *const good[] = {
        "", "ascii", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf",
        "\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", NULL
    };
    static const char *const bad[] = {
        "\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2\x41", "\xe0\x9f\xbf",
        "\xed\xa0\x80", "\xed\xbf\xbf", "\xe2\x82", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80", "\xfe", "\xff", NULL
    };
    char text[80];

    (void)state;
    assert_true(json_check_utf8(NULL, 0));
    assert_true(json_check_utf8((const uint8_t *)"a\0b", 3));
    /* At every place of a vector register. */
    for (size_t place = 0; place < 70; place++) {
        memset(text, 'x', sizeof(text));
        for (size_t i = 0; good[i] != NULL; i++) {
            memcpy(text + place, good[i], strlen(good[i]));
            assert_true(json_check_utf8((uint8_t *)text, place + strlen(good[i])));
        }
        memset(text, 'x', sizeof(text));
        for (size_t i = 0; bad[i] != NULL; i++) {
            memcpy(text + place, bad[i], strlen(bad[i]));
            assert_false(json_check_utf8((uint8_t *)text, place + strlen(bad[i])));
            assert_false(json_check_utf8((uint8_t *)text, place + strlen(bad[i]) + 5));
            memset(text, 'x', sizeof(text));
        }
    }
}

static enum shm_kind kind_of(const char *text, size_t len)
{
    return event_classify(checker, (const uint8_t *)text, len);
}

static void an_object_is_json_other_utf8_text_the_rest_bytes(void **state)
{
    (void)state;
    assert_int_equal(kind_of("{\"a\":1}", 7), SHM_KIND_JSON);
    assert_int_equal(kind_of("\r\n\t {}", 6), SHM_KIND_JSON);
    assert_int_equal(kind_of("{}\n", 3), SHM_KIND_JSON);
    assert_int_equal(kind_of("{\"a\":1e999}", 11), SHM_KIND_JSON);
    assert_int_equal(kind_of("[{}]", 4), SHM_KIND_TEXT);
    assert_int_equal(kind_of("12", 2), SHM_KIND_TEXT);
    assert_int_equal(kind_of("\"x\"", 3), SHM_KIND_TEXT);
    assert_int_equal(kind_of("{\"a\":1} {\"a\":2}", 15), SHM_KIND_TEXT);
    assert_int_equal(kind_of("{\"a\":", 5), SHM_KIND_TEXT);
    assert_int_equal(kind_of("", 0), SHM_KIND_TEXT);
    assert_int_equal(kind_of(" \n", 2), SHM_KIND_TEXT);
    assert_int_equal(kind_of("a\0b", 3), SHM_KIND_TEXT);
    assert_int_equal(kind_of("\xc3\xa4", 2), SHM_KIND_TEXT);
    assert_int_equal(kind_of("\xc3", 1), SHM_KIND_BYTES);
    assert_int_equal(kind_of("{\"a\":\"\xff\"}", 9), SHM_KIND_BYTES);
    assert_int_equal(kind_of("\x1f\x8b\x08\0", 4), SHM_KIND_BYTES);
}

/* Lines together say what each says alone, or nothing. */
static void expect_lines(const char *text, size_t len, bool together)
{
    char *copy = malloc(len);

    assert_non_null(copy);
    memcpy(copy, text, len);
    assert_int_equal(json_lines_begin(checker, copy, len), together);
    for (const char *at = copy, *lf; together && at < copy + len; at = lf + 1) {
        const char *space;
        size_t bytes;
        bool object;

        lf = memchr(at, '\n', (size_t)(copy + len - at));
        space = memchr(at, ' ', (size_t)(lf - at));
        if (space == NULL)
            continue;
        bytes = (size_t)(lf - space) - 1;
        if (bytes > 0 && lf[-1] == '\r')
            bytes--;
        object = json_lines_object(checker, space + 1, bytes);
        assert_int_equal(object, json_classify(other, space + 1, bytes) == JSON_CLASS_OBJECT);
    }
    free(copy);
}

static void lines_together_say_what_each_says_alone(void **state)
{
    static const char *const pieces[] = {
        "{}", "{\"a\":1}", "{\"a\":[1,{\"b\":null}],\"c\":\"\\\"x\\u00e4\"}", "{\"a\":\"\\x\"}",
        "{", "}", "{}}", "[", "]", "[]", "{\"a\"", "{\"a\":", "{\"a\":}", ":1}", ",", "\"b\":2}",
        "{\"a\":01}", "{\"a\":tru", "{\"a\":true}", "true", "words of text", "\\", "{}\\", "",
        " {}", "{} ", "{}\r", "{\"a\" :\t-1.5e3 }", "{\"a\":\"\xc3\xa4\"}", "x{}", "{} {}",
    };
    enum { PIECES = sizeof(pieces) / sizeof(pieces[0]) };
    char text[256];

    (void)state;
    for (size_t i = 0; i < PIECES * PIECES * PIECES; i++) {
        int len = snprintf(text, sizeof(text), "s %s\nstream.2 %s\r\ns %s\n", pieces[i % PIECES],
                           pieces[i / PIECES % PIECES], pieces[i / PIECES / PIECES]);

        expect_lines(text, (size_t)len, true);
    }
}

static void lines_that_cannot_be_told_apart_are_not_taken_together(void **state)
{
    static const char *const texts[] = {
        "s {\"a\n\ns \":1}\n", "s it\"s\n", "s {}", "", "\n", "s \xff\n", "s {}\ns \"\x01\"\n",
        NULL,
    };

    (void)state;
    for (size_t i = 0; texts[i] != NULL; i++)
        expect_lines(texts[i], strlen(texts[i]), false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_one_object),
        cmocka_unit_test(takes_other_values_apart),
        cmocka_unit_test(refuses_what_is_no_json),
        cmocka_unit_test(takes_numbers_of_any_size),
        cmocka_unit_test(refuses_a_surrogate_without_its_partner),
        cmocka_unit_test(bounds_the_depth),
        cmocka_unit_test(takes_texts_up_to_its_size),
        cmocka_unit_test(lines_together_say_what_each_says_alone),
        cmocka_unit_test(lines_that_cannot_be_told_apart_are_not_taken_together),
        cmocka_unit_test(opens_for_any_size_or_not_at_all),
        cmocka_unit_test(knows_utf8),
        cmocka_unit_test(an_object_is_json_other_utf8_text_the_rest_bytes),
    };

    return cmocka_run_group_tests(tests, open_checker, close_checker);
}
