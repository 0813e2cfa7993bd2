/*
 * in_child: for what a process does to itself for good: its limits, its user, its seccomp filter.
 *
 * Owns:   nothing.
 * Thread: the test's.
 */
#ifndef TESTS_IO_IN_CHILD_H
#define TESTS_IO_IN_CHILD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/wait.h>
#include <unistd.h>

/* Runs check in a process of its own: 0 when it returned true, else what went wrong with it. */
static inline int in_child(bool (*check)(void))
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0)
        _exit(check() ? 0 : 1);
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

#endif
