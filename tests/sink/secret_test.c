/*
 * secret: what the kernel says of its pages; its blocks.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sink/secret.h"

enum { LEN = 3 * 4096 };

/* Whether the mapping at an address has a flag of /proc/self/smaps ("dd": not dumped). */
static bool has_flag(const void *at, const char *flag)
{
    FILE *file = fopen("/proc/self/smaps", "re");
    bool inside = false, found = false;
    char line[512];

    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        uintptr_t from, to;

        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &from, &to) == 2)
            inside = (uintptr_t)at >= from && (uintptr_t)at < to;
        else if (inside && strncmp(line, "VmFlags:", 8) == 0)
            found = strstr(line, flag) != NULL;
    }
    (void)fclose(file);
    return found;
}

static void pages_are_locked_and_not_dumped(void **state)
{
    char *at = secret_map(LEN);

    (void)state;
    assert_non_null(at);
    for (size_t i = 0; i < LEN; i++)
        assert_int_equal(at[i], 0);
    assert_true(has_flag(at, " dd"));
    assert_true(has_flag(at, " lo"));
    secret_unmap(at, LEN);
    secret_unmap(NULL, LEN);
}

static void without_a_right_to_lock_there_is_memory_all_the_same(void **state)
{
    static const struct rlimit none;
    pid_t child = fork();
    int status;

    (void)state;
    assert_true(child >= 0);
    if (child == 0) {               /* root may lock what it likes: another user, then */
        char *at = NULL;

        if (setrlimit(RLIMIT_MEMLOCK, &none) == 0 &&
            (geteuid() != 0 || setresuid(65534, 65534, 65534) == 0))
            at = secret_map(LEN);
        if (at != NULL)
            memset(at, 1, LEN);
        _exit(at != NULL && mlock2(at, LEN, 0) != 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void a_block_grows_and_shrinks_with_what_is_in_it(void **state)
{
    char *at = secret_realloc(NULL, 10);

    (void)state;
    assert_non_null(at);
    memcpy(at, "0123456789", 10);
    at = secret_realloc(at, 10000);
    assert_non_null(at);
    assert_memory_equal(at, "0123456789", 10);
    at = secret_realloc(at, 4);
    assert_non_null(at);
    assert_memory_equal(at, "0123", 4);
    secret_free(at);
    secret_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_are_locked_and_not_dumped),
        cmocka_unit_test(without_a_right_to_lock_there_is_memory_all_the_same),
        cmocka_unit_test(a_block_grows_and_shrinks_with_what_is_in_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
