/*
 * line_protocol: every way of cutting the input gives the same lines, refused or not.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "intake/line_text.h"

enum { LINE_MAX_BYTES = 12 };

static struct line_budget budget;

/* Feeds the input in pieces; what came out, to be freed. */
static char *cut(const char *input, size_t len, size_t piece, unsigned refuse_every)
{
    struct line_text out = {BYTES_INIT, refuse_every, 0};
    struct line_reader r;

    line_reader_init(&r, LINE_MAX_BYTES, &budget);
    for (size_t at = 0; at < len; at += piece) {
        /* Copied out, so that a read beyond the piece is seen. */
        size_t n = len - at < piece ? len - at : piece;
        uint8_t *copy = malloc(n);

        assert_non_null(copy);
        memcpy(copy, input + at, n);
        line_text_feed(&r, copy, n, &out);
        free(copy);
    }
    line_text_end(&r, &out);
    assert_false(line_reader_half(&r));
    line_reader_fini(&r);
    assert_int_equal(budget.used, 0);
    return bytes_take_cstr(&out.text);
}

static void expect(const char *input, size_t len, const char *lines)
{
    for (size_t piece = 1; piece <= len + 1; piece++) {
        for (unsigned refuse_every = 0; refuse_every < 4; refuse_every++) {
            char *found;

            if (refuse_every == 1)      /* never taken */
                continue;
            found = cut(input, len, piece, refuse_every);
            if (strcmp(found, lines) != 0)
                fail_msg("in pieces of %zu, refused every %u: %s", piece, refuse_every, found);
            free(found);
        }
    }
}

#define EXPECT(input, lines) expect(input, sizeof(input) - 1, lines)

static void expect_text(struct line_text *out, const char *text)
{
    assert_int_equal(out->text.len, strlen(text));
    assert_memory_equal(out->text.data, text, out->text.len);
    bytes_free(&out->text);
}

static int setup(void **state)
{
    (void)state;
    budget = (struct line_budget){0, 1 << 20};
    return 0;
}

static void a_line_is_stream_space_and_payload(void **state)
{
    (void)state;
    EXPECT("a x\nb.c-d_ y\n", "a|x\nb.c-d_|y\n");
    EXPECT("a x y\n", "a|x y\n");
    EXPECT("a  x\n", "a| x\n");
    EXPECT("a \n", "a|\n");
    EXPECT("a \0\xff\n", "a|");     /* what follows a NUL is not compared as text */
}

static void lines_end_at_lf_and_crlf_and_at_the_end(void **state)
{
    (void)state;
    EXPECT("a x\r\nb y\r\n", "a|x\nb|y\n");
    EXPECT("a x\nb y", "a|x\nb|y\n");
    EXPECT("a x\r\r\n", "a|x\r\n");
    EXPECT("a x\ry\n", "a|x\ry\n");
    EXPECT("a x\r", "a|x\r\n");
}

static void a_line_with_a_brace_in_front_names_no_stream(void **state)
{
    (void)state;
    EXPECT("{\"a\": 1}\n{}\n", "|{\"a\": 1}\n|{}\n");
    EXPECT("{ x\r\n", "|{ x\n");
}

static void empty_lines_are_nothing(void **state)
{
    (void)state;
    EXPECT("\n\r\n\na x\n\n", "a|x\n");
    EXPECT("", "");
}

static void bad_lines_come_with_a_reason_and_the_others_go_on(void **state)
{
    (void)state;
    EXPECT("abc\na x\n", "!no_stream\na|x\n");
    EXPECT(" x\na x\n", "!no_stream\na|x\n");
    EXPECT("-a x\na x\n", "!bad_name\na|x\n");
    EXPECT("a/b x\na x", "!bad_name\na|x\n");
    EXPECT("\xff\xfe x\na x", "!bad_name\na|x\n");
}

static void a_line_of_the_greatest_length_is_taken_and_one_more_byte_is_not(void **state)
{
    (void)state;
    EXPECT("a 0123456789\nb y\n", "a|0123456789\nb|y\n");
    EXPECT("a 0123456789\r\nb y\n", "a|0123456789\nb|y\n");
    EXPECT("a 0123456789", "a|0123456789\n");
    EXPECT("a 0123456789x\nb y\n", "!too_long\nb|y\n");
    EXPECT("a 0123456789x\r\nb y\n", "!too_long\nb|y\n");
    EXPECT("a 0123456789x", "!too_long\n");
    EXPECT("a 0123456789\r", "!too_long\n");
    EXPECT("a 0123456789\rx\nb y", "!too_long\nb|y\n");
    EXPECT("a 012345678901234567890123456789012345678901234567890\nb y\n", "!too_long\nb|y\n");
    EXPECT("a 012345678901234567890123456789012345678901234567890", "!too_long\n");
}

static void a_name_is_at_most_64_bytes(void **state)
{
    char input[128], lines[128];
    struct line_text out = {BYTES_INIT, 0, 0};
    struct line_reader r;

    (void)state;
    memset(input, 'n', sizeof(input));
    memcpy(input + 64, " x\n", 3);
    line_reader_init(&r, 256, &budget);
    line_text_feed(&r, (const uint8_t *)input, 67, &out);
    memset(lines, 'n', sizeof(lines));
    memcpy(lines + 64, "|x\n", 4);
    lines[68] = '\0';
    expect_text(&out, lines);
    memcpy(input + 64, "n x\n", 4);
    line_text_feed(&r, (const uint8_t *)input, 68, &out);
    expect_text(&out, "!bad_name\n");
    line_reader_fini(&r);
}

static void a_stream_that_breaks_off_leaves_a_bad_line(void **state)
{
    struct line_text out = {BYTES_INIT, 0, 0};
    struct line_handler handler = line_text_handler(&out);
    struct line_reader r;

    (void)state;
    line_reader_init(&r, LINE_MAX_BYTES, &budget);
    line_text_feed(&r, (const uint8_t *)"a x\nb", 5, &out);
    assert_true(line_reader_half(&r));
    line_reader_cut(&r, &handler);
    line_reader_cut(&r, &handler);
    expect_text(&out, "a|x\n!cut\n");
    assert_int_equal(budget.used, 0);
}

static void half_lines_take_no_more_than_the_budget(void **state)
{
    struct line_text out = {BYTES_INIT, 0, 0};
    struct line_handler handler = line_text_handler(&out);
    struct line_reader a, b;
    uint8_t part[300];
    size_t used;

    (void)state;
    budget.max = 1024;
    memset(part, 'x', sizeof(part));
    line_reader_init(&a, 4096, &budget);
    line_reader_init(&b, 4096, &budget);
    assert_int_equal(line_reader_feed(&a, part, 300, &used, &handler), 0);
    assert_int_equal(budget.used, 512);
    assert_int_equal(line_reader_feed(&b, part, 200, &used, &handler), 0);
    assert_int_equal(budget.used, 768);
    /* What does not fit stays the caller's. */
    assert_int_equal(line_reader_feed(&a, part, 300, &used, &handler), -ENOBUFS);
    assert_int_equal(used, 0);
    line_reader_fini(&b);
    assert_int_equal(line_reader_feed(&a, part, 300, &used, &handler), 0);
    assert_int_equal(used, 300);
    assert_int_equal(budget.used, 1024);
    line_reader_fini(&a);
    assert_int_equal(budget.used, 0);
    assert_null(out.text.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_line_is_stream_space_and_payload, setup),
        cmocka_unit_test_setup(lines_end_at_lf_and_crlf_and_at_the_end, setup),
        cmocka_unit_test_setup(a_line_with_a_brace_in_front_names_no_stream, setup),
        cmocka_unit_test_setup(empty_lines_are_nothing, setup),
        cmocka_unit_test_setup(bad_lines_come_with_a_reason_and_the_others_go_on, setup),
        cmocka_unit_test_setup(a_line_of_the_greatest_length_is_taken_and_one_more_byte_is_not,
                               setup),
        cmocka_unit_test_setup(a_name_is_at_most_64_bytes, setup),
        cmocka_unit_test_setup(a_stream_that_breaks_off_leaves_a_bad_line, setup),
        cmocka_unit_test_setup(half_lines_take_no_more_than_the_budget, setup),
    };

    return cmocka_run_group_tests_name("line_protocol", tests, NULL, NULL);
}
