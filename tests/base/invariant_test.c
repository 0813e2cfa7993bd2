/*
 * invariant: a broken one ends the process and says where.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/invariant.h"

static void a_kept_one_evaluates_once_and_goes_on(void **state)
{
    int calls = 0;

    (void)state;
    INVARIANT(++calls == 1);
    assert_int_equal(calls, 1);
}

static void a_broken_one_aborts_and_names_file_and_text(void **state)
{
    struct rlimit no_core = { 0, 0 };
    char text[512];
    size_t len = 0;
    int status = 0;
    ssize_t n;
    int fds[2];
    pid_t pid;

    (void)state;
    assert_int_equal(pipe(fds), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)setrlimit(RLIMIT_CORE, &no_core);
        (void)signal(SIGABRT, SIG_DFL);
        (void)dup2(fds[1], STDERR_FILENO);
        INVARIANT(1 + 1 == 3);
        _exit(0);
    }
    close(fds[1]);
    while ((n = read(fds[0], text + len, sizeof(text) - 1 - len)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(text, "invariant_test.c:"));
    assert_non_null(strstr(text, "broken invariant: 1 + 1 == 3"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kept_one_evaluates_once_and_goes_on),
        cmocka_unit_test(a_broken_one_aborts_and_names_file_and_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
