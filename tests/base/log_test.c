/*
 * log: rendering, levels, the rate limiter, whole lines from several threads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

#define SECOND 1000000000ULL

/* stderr while a test looks at what is logged. */
struct capture {
    int fd;
    int saved;
};

static void capture_begin(struct capture *c)
{
    char path[] = "/tmp/log_test.XXXXXX";

    c->fd = mkstemp(path);
    assert_true(c->fd >= 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(fcntl(c->fd, F_SETFL, O_APPEND), 0);
    c->saved = dup(STDERR_FILENO);
    assert_true(c->saved >= 0);
    assert_int_equal(dup2(c->fd, STDERR_FILENO), STDERR_FILENO);
}

static char *capture_end(struct capture *c)
{
    off_t len = lseek(c->fd, 0, SEEK_END);
    char *text = calloc(1, (size_t)len + 1);

    assert_non_null(text);
    assert_int_equal(pread(c->fd, text, (size_t)len, 0), len);
    assert_int_equal(dup2(c->saved, STDERR_FILENO), STDERR_FILENO);
    close(c->saved);
    close(c->fd);
    return text;
}

static const char *render(enum log_format format, bool colour, const char *message)
{
    static char text[256];
    uint32_t len = log_render(text, sizeof(text) - 1, LOG_LEVEL_WARN, format, colour, 0, message);

    text[len] = '\0';
    return text;
}

static void text_lines_have_time_and_level(void **state)
{
    (void)state;
    assert_string_equal(render(LOG_FORMAT_TEXT, false, "disk is full"),
                        "1970-01-01T00:00:00.000Z warn  disk is full\n");
    assert_string_equal(render(LOG_FORMAT_TEXT, true, "x"),
                        "1970-01-01T00:00:00.000Z \033[33mwarn \033[0m x\n");
}

static void text_lines_cannot_be_forged(void **state)
{
    (void)state;
    assert_string_equal(render(LOG_FORMAT_TEXT, false, "a\nb\033[2J\"\\"),
                        "1970-01-01T00:00:00.000Z warn  a\\nb\\u001b[2J\"\\\n");
}

static void json_lines_escape_what_json_demands(void **state)
{
    (void)state;
    assert_string_equal(render(LOG_FORMAT_JSON, true, "say \"hi\"\\\t\x01"),
                        "{\"time\":\"1970-01-01T00:00:00.000Z\",\"level\":\"warn\","
                        "\"message\":\"say \\\"hi\\\"\\\\\\t\\u0001\"}\n");
    assert_string_equal(render(LOG_FORMAT_JSON, false,
                               "\xc3\xa9 \xff \xed\xa0\x80 \xf0\x9f\x98\x80"),
                        "{\"time\":\"1970-01-01T00:00:00.000Z\",\"level\":\"warn\","
                        "\"message\":\"\xc3\xa9 ? ??? \xf0\x9f\x98\x80\"}\n");
}

static void a_line_too_long_is_cut_whole_and_marked(void **state)
{
    char message[1000];
    char text[128];

    (void)state;
    for (uint32_t lead = 0; lead < 4; lead++) {
        uint32_t len;

        /* Two-byte characters behind 0..3 letters: every way to hit the end. */
        memset(message, 0, sizeof(message));
        memset(message, 'x', lead);
        for (uint32_t i = 0; i < 400; i++)
            memcpy(message + lead + 2 * i, "\xc3\xa9", 2);
        len = log_render(text, sizeof(text), LOG_LEVEL_INFO, LOG_FORMAT_JSON, false, 0, message);
        assert_true(len <= sizeof(text) && len >= sizeof(text) - 2);
        assert_memory_equal(text + len - 6, "...\"}\n", 6);
        assert_int_equal((uint8_t)text[len - 7], 0xa9);
    }
}

static void lines_below_the_level_are_neither_written_nor_evaluated(void **state)
{
    struct capture c;
    int calls = 0;
    char *text;

    (void)state;
    capture_begin(&c);
    log_init(LOG_LEVEL_WARN, LOG_FORMAT_TEXT);
    errno = EBUSY;
    log_info("%d", ++calls);
    log_warn("%d", ++calls);
    assert_int_equal(errno, EBUSY);
    log_init(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    text = capture_end(&c);
    assert_int_equal(calls, 1);
    assert_non_null(strstr(text, " warn  1\n"));
    assert_ptr_equal(strchr(text, '\n'), strrchr(text, '\n'));
    assert_null(strchr(text, '\033')); /* a file has no colours */
    free(text);
}

static void the_limiter_lets_some_through_and_counts_the_rest(void **state)
{
    struct log_limit limit = LOG_LIMIT_INIT("bad lines", 2, 10 * SECOND);
    struct capture c;
    char *text;

    (void)state;
    capture_begin(&c);
    assert_true(log_limit_allow(&limit, 5 * SECOND));
    assert_true(log_limit_allow(&limit, 6 * SECOND));
    assert_false(log_limit_allow(&limit, 7 * SECOND));
    assert_false(log_limit_allow(&limit, 14 * SECOND));
    assert_int_equal(limit.suppressed, 2);
    assert_true(log_limit_allow(&limit, 15 * SECOND));
    assert_int_equal(limit.suppressed, 0);
    text = capture_end(&c);
    assert_non_null(strstr(text, "bad lines: 2 more lines held back in the last 10 s"));
    free(text);
}

enum { THREADS = 4, LINES = 200 };

static void *log_many(void *ctx)
{
    for (int i = 0; i < LINES; i++)
        log_info("thread %d line %d %0600d end", *(int *)ctx, i, 0);
    return NULL;
}

static void lines_of_several_threads_never_mix(void **state)
{
    pthread_t threads[THREADS];
    int names[THREADS];
    struct capture c;
    size_t lines = 0;
    char *text;

    (void)state;
    capture_begin(&c);
    for (int i = 0; i < THREADS; i++) {
        names[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, log_many, &names[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    text = capture_end(&c);
    for (char *at = text; *at != '\0'; lines++) {
        char *end = strchr(at, '\n');

        assert_non_null(end);
        assert_memory_equal(end - 8, "0000 end", 8);
        assert_memory_equal(at + 24, " info  thread ", 14);
        at = end + 1;
    }
    assert_int_equal(lines, THREADS * LINES);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_lines_have_time_and_level),
        cmocka_unit_test(text_lines_cannot_be_forged),
        cmocka_unit_test(json_lines_escape_what_json_demands),
        cmocka_unit_test(a_line_too_long_is_cut_whole_and_marked),
        cmocka_unit_test(lines_below_the_level_are_neither_written_nor_evaluated),
        cmocka_unit_test(the_limiter_lets_some_through_and_counts_the_rest),
        cmocka_unit_test(lines_of_several_threads_never_mix),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
