/*
 * cli_check: what `hydrant check` prints where, and its exit codes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

enum { ARGS_MAX = 4 };

struct run {
    int code;
    char out[65536];
    char err[8192];
};

static int redirect(int target, int *ret_saved)
{
    char path[] = "/tmp/cli_check_test.XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(unlink(path), 0);
    *ret_saved = dup(target);
    assert_true(*ret_saved >= 0);
    assert_int_equal(dup2(fd, target), target);
    return fd;
}

static void restore(int target, int saved, int fd, char *text, size_t cap)
{
    ssize_t len = pread(fd, text, cap - 1, 0);

    assert_int_equal(dup2(saved, target), target);
    close(saved);
    close(fd);
    assert_true(len >= 0);
    text[len] = '\0';
}

static const struct run *check(const char *a, const char *b)
{
    static struct run run;
    const char *given[ARGS_MAX] = { "check", a, b, NULL };
    char *argv[ARGS_MAX] = { NULL };
    int argc = 0;
    int out_saved;
    int err_saved;
    int out;
    int err;

    for (; given[argc] != NULL; argc++) {
        argv[argc] = strdup(given[argc]);
        assert_non_null(argv[argc]);
    }
    (void)fflush(stdout);
    out = redirect(STDOUT_FILENO, &out_saved);
    err = redirect(STDERR_FILENO, &err_saved);
    run.code = cli_check(argc, argv);
    (void)fflush(stdout);
    (void)fflush(stderr);
    restore(STDOUT_FILENO, out_saved, out, run.out, sizeof(run.out));
    restore(STDERR_FILENO, err_saved, err, run.err, sizeof(run.err));
    for (int i = 0; i < argc; i++)
        free(argv[i]);
    return &run;
}

static void with_file(const char *text, char path[static 64])
{
    int fd;

    (void)snprintf(path, 64, "/tmp/cli_check_test.XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void a_sound_file_is_ok_with_its_counts(void **state)
{
    const struct run *r;
    char want[128];
    char path[64];

    (void)state;
    with_file("[stream a]\n[stream b]\n[sink x]\ntype = file\ndirectory = /x\n", path);
    r = check(path, NULL);
    (void)snprintf(want, sizeof(want), "%s: ok (2 streams, 2 sinks)\n", path);
    assert_string_equal(r->out, want);
    assert_string_equal(r->err, "");
    assert_int_equal(r->code, 0);
    assert_int_equal(unlink(path), 0);
}

static void every_mistake_is_printed_with_file_and_line(void **state)
{
    const struct run *r;
    char want[512];
    char path[64];

    (void)state;
    with_file("[agent]\nname = a\nnaem = b\n[stream a]\nformat = xml\n", path);
    r = check(path, NULL);
    (void)snprintf(want, sizeof(want),
                   "%s:3: [agent] naem: unknown key; did you mean name?\n"
                   "%s:5: [stream a] format: 'xml' is not one of json, csv, parquet, raw\n",
                   path, path);
    assert_string_equal(r->err, want);
    assert_string_equal(r->out, "");
    assert_int_equal(r->code, 1);
    assert_int_equal(unlink(path), 0);
    r = check(path, NULL);
    assert_int_equal(r->code, 1);
    assert_non_null(strstr(r->err, "No such file"));
}

static void wrong_usage_is_two(void **state)
{
    (void)state;
    assert_int_equal(check(NULL, NULL)->code, 2);
    assert_int_equal(check("a", "b")->code, 2);
    assert_int_equal(check("--what", NULL)->code, 2);
    assert_int_equal(check("--defaults", "b")->code, 2);
    assert_non_null(strstr(check("-x", NULL)->err, "unknown option '-x'"));
    assert_int_equal(check("--", "-no-such-file")->code, 1);
}

static void help_and_defaults_go_to_standard_output(void **state)
{
    const struct run *r = check("--help", NULL);

    (void)state;
    assert_int_equal(r->code, 0);
    assert_int_equal(strncmp(r->out, "usage: hydrant check FILE\n", 26), 0);
    assert_string_equal(r->err, "");
    r = check("--defaults", NULL);
    assert_int_equal(r->code, 0);
    assert_non_null(strstr(r->out, "\n[stream *]\n"));
    assert_non_null(strstr(r->out, "\n#segment_size = 64MiB\n"));
}

static void output_that_cannot_be_written_is_a_failure(void **state)
{
    char *argv[] = { strdup("check"), strdup("--defaults"), NULL };
    int saved = dup(STDOUT_FILENO);
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    const struct run *r;
    int err_saved;
    int err;
    int code;

    (void)state;
    assert_true(saved >= 0 && full >= 0);
    (void)fflush(stdout);
    assert_int_equal(dup2(full, STDOUT_FILENO), STDOUT_FILENO);
    err = redirect(STDERR_FILENO, &err_saved);
    code = cli_check(2, argv);
    assert_int_equal(dup2(err_saved, STDERR_FILENO), STDERR_FILENO);
    assert_int_equal(dup2(saved, STDOUT_FILENO), STDOUT_FILENO);
    clearerr(stdout);
    close(saved);
    close(full);
    close(err);
    close(err_saved);
    assert_int_equal(code, 1);
    free(argv[0]);
    free(argv[1]);
    r = check("--help", NULL); /* and the next command is not harmed */
    assert_int_equal(r->code, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_file_is_ok_with_its_counts),
        cmocka_unit_test(every_mistake_is_printed_with_file_and_line),
        cmocka_unit_test(wrong_usage_is_two),
        cmocka_unit_test(help_and_defaults_go_to_standard_output),
        cmocka_unit_test(output_that_cannot_be_written_is_a_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
