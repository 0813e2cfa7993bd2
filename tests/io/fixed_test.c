/*
 * fixed_test: which slot holds a range, and that a write from a registered buffer, or from one that
 * the limit of locked memory refuses, arrives.
 *
 * Owns:   nothing.
 * Thread: the test's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/file.h"
#include "io/fixed.h"
#include "io/loop.h"

enum { BYTES = 64 * 1024 };

static void a_range_is_found_in_the_slot_that_holds_all_of_it(void **state)
{
    static uint8_t memory[300];
    struct fixed_buffers fixed = {.count = 2};

    (void)state;
    fixed.base[0] = (uintptr_t)memory;
    fixed.len[0] = 100;
    fixed.base[1] = (uintptr_t)(memory + 200);
    fixed.len[1] = 100;
    assert_int_equal(fixed_find(&fixed, memory, 100), 0);
    assert_int_equal(fixed_find(&fixed, memory + 99, 1), 0);
    assert_int_equal(fixed_find(&fixed, memory + 200, 100), 1);
    assert_int_equal(fixed_find(&fixed, memory + 299, 1), 1);
    assert_int_equal(fixed_find(&fixed, memory, 101), -1);
    assert_int_equal(fixed_find(&fixed, memory + 99, 2), -1);
    assert_int_equal(fixed_find(&fixed, memory + 150, 1), -1);
    assert_int_equal(fixed_find(&fixed, memory + 250, SIZE_MAX), -1);
}

static void on_written(struct io_op *op, int res)
{
    *(int *)op->ctx = res;
}

/* Writes a buffer that was shown to the kernel and reads it back. Exit code of a child. */
static int write_from(bool expect_registered)
{
    char path[] = "/tmp/hydrant-fixed.XXXXXX";
    uint8_t back[BYTES], *buf = aligned_alloc(FILE_BLOCK_BYTES, BYTES);
    struct io_loop *loop;
    struct errmsg err;
    struct io_op op = {0};
    int result = 0, rc, fd = mkstemp(path);

    if (fd < 0 || !buf || loop_open(8, &loop, &err))
        return 2;
    unlink(path);
    for (size_t i = 0; i < BYTES; i++)
        buf[i] = (uint8_t)(i * 7);
    rc = loop_register(loop, buf, BYTES);
    if (expect_registered && rc != 0)
        return 3;
    op.ctx = &result;
    io_write(loop, &op, fd, buf, BYTES, 0, on_written);
    while (result == 0)
        if (loop_turn(loop, UINT64_MAX) < 0)
            return 4;
    rc = result == BYTES && pread(fd, back, BYTES, 0) == BYTES && memcmp(buf, back, BYTES) == 0;
    loop_close(loop);
    close(fd);
    free(buf);
    return rc ? 0 : 5;
}

static int in_child(bool limited)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        struct rlimit little = {BYTES - 4096, BYTES - 4096};    /* the ring fits, the buffer not */

        if (limited
            && (setrlimit(RLIMIT_MEMLOCK, &little) || (geteuid() == 0 && setuid(65534))))
            _exit(1);
        _exit(write_from(!limited));
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void a_write_from_a_registered_buffer_arrives(void **state)
{
    (void)state;
    assert_int_equal(in_child(false), 0);
}

static void a_write_arrives_where_the_buffer_may_not_be_locked(void **state)
{
    (void)state;
    assert_int_equal(in_child(true), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_range_is_found_in_the_slot_that_holds_all_of_it),
        cmocka_unit_test(a_write_from_a_registered_buffer_arrives),
        cmocka_unit_test(a_write_arrives_where_the_buffer_may_not_be_locked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
