/*
 * cli_lines: every way of cutting the input into reads gives the same lines.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "cli/cli_lines.h"

enum { LINE_MAX_BYTES = 8, STOP = 7 };

/* What came out, written down as NUMBER:TEXT; for each line. */
struct sink {
    struct bytes text;
    uint64_t stop_at;
};

static int on_line(void *ctx, const uint8_t *data, size_t len, uint64_t number)
{
    struct sink *s = (struct sink *)ctx;

    assert_true(len <= LINE_MAX_BYTES);
    assert_int_equal(bytes_printf(&s->text, "%u:", (unsigned)number), 0);
    if (data == NULL)
        assert_int_equal(bytes_append_str(&s->text, "TOO LONG"), 0);
    else
        assert_int_equal(bytes_append(&s->text, data, len), 0);
    assert_int_equal(bytes_append_char(&s->text, ';'), 0);
    return number == s->stop_at ? STOP : 0;
}

/* Feeds the input in pieces of up to piece bytes. */
static char *cut(const char *input, size_t len, size_t piece, size_t read_bytes)
{
    struct sink sink = { BYTES_INIT, 0 };
    struct lines l;

    assert_int_equal(lines_init(&l, LINE_MAX_BYTES, read_bytes), 0);
    for (size_t at = 0; at < len;) {
        size_t cap;
        uint8_t *room = lines_room(&l, &cap);
        size_t n = len - at < piece ? len - at : piece;

        assert_true(cap >= read_bytes);
        if (n > cap)
            n = cap;
        memcpy(room, input + at, n);
        at += n;
        assert_int_equal(lines_fed(&l, n, on_line, &sink), 0);
    }
    assert_int_equal(lines_end(&l, on_line, &sink), 0);
    lines_fini(&l);
    return bytes_take_cstr(&sink.text);
}

static void expect_lines(const char *input, size_t len, const char *lines)
{
    for (size_t piece = 1; piece <= len + 1; piece++) {
        for (size_t read_bytes = 1; read_bytes < 20; read_bytes += 6) {
            char *found = cut(input, len, piece, read_bytes);

            if (strcmp(found, lines) != 0)
                fail_msg("in pieces of %zu: %s", piece, found);
            free(found);
        }
    }
}

#define EXPECT(input, lines) expect_lines(input, sizeof(input) - 1, lines)

static void lines_are_cut_at_lf_and_crlf(void **state)
{
    (void)state;
    EXPECT("a\nbc\r\nd", "1:a;2:bc;3:d;");
    EXPECT("a\n", "1:a;");
    EXPECT("", "");
}

static void empty_lines_are_skipped_and_counted(void **state)
{
    (void)state;
    EXPECT("\n\r\n\na\n\n", "4:a;");
}

static void one_line_end_is_cut_and_no_more(void **state)
{
    (void)state;
    EXPECT("a\r\r\n\rb\r", "1:a\r;2:\rb\r;");
    EXPECT("\r", "1:\r;");
}

static void a_line_of_the_maximum_passes(void **state)
{
    (void)state;
    EXPECT("12345678\n12345678\r\n12345678", "1:12345678;2:12345678;3:12345678;");
}

static void longer_lines_are_reported_once_and_the_next_are_whole(void **state)
{
    (void)state;
    EXPECT("123456789\nx\n", "1:TOO LONG;2:x;");
    EXPECT("1234567890123456789012345678901234567890\nx\n123456789", "1:TOO LONG;2:x;3:TOO LONG;");
    EXPECT("123456789\r\nx", "1:TOO LONG;2:x;");
    EXPECT("12345678\r", "1:TOO LONG;");
}

static void a_result_ends_the_cutting(void **state)
{
    struct sink sink = { BYTES_INIT, 2 };
    struct lines l;
    size_t cap;
    char *text;

    (void)state;
    assert_int_equal(lines_init(&l, LINE_MAX_BYTES, 64), 0);
    memcpy(lines_room(&l, &cap), "a\nb\nc\n", 6);
    assert_int_equal(lines_fed(&l, 6, on_line, &sink), STOP);
    text = bytes_take_cstr(&sink.text);
    assert_string_equal(text, "1:a;2:b;");
    free(text);
    lines_fini(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_cut_at_lf_and_crlf),
        cmocka_unit_test(empty_lines_are_skipped_and_counted),
        cmocka_unit_test(one_line_end_is_cut_and_no_more),
        cmocka_unit_test(a_line_of_the_maximum_passes),
        cmocka_unit_test(longer_lines_are_reported_once_and_the_next_are_whole),
        cmocka_unit_test(a_result_ends_the_cutting),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
