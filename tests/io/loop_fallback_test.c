/*
 * loop_fallback_test: loop.h's contract where the kernel's io_uring lacks operations on names, so
 * that plain calls stand in. No kernel at hand lacks them; so the loop is compiled in here and told
 * that it does.
 *
 * Owns:   nothing.
 * Thread: the test's.
 */
#include "io/loop.c"

#include "io/loop_contract.h"
#include "io/real_dirs.h"

static void without_names(struct io_loop *loop)
{
    for (int i = OP_RENAME; i <= OP_UNLINK; i++)
        loop->supported[i] = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_CONTRACT_TESTS(real_dirs_setup, real_dirs_teardown),
    };

    contract_on_loop = without_names;
    return cmocka_run_group_tests_name("loop_fallback", tests, NULL, NULL);
}
