/*
 * op_test: what each operation asks of the kernel: the SQE that it becomes, and the plain calls
 * that stand in for those on names.
 *
 * Owns:   nothing.
 * Thread: the test's.
 */
#include <fcntl.h>
#include <poll.h>

#include "io/file_contract.h"
#include "io/op.h"
#include "io/real_dirs.h"

enum { FD = 7, TO_DIR = 9, LEN = 100, OFFSET = 8192 };

static uint8_t memory[300];

/* What loop.c leaves in an operation of the code; descriptor, bytes and offset are those above. */
static struct io_op op_of(enum op_code code)
{
    return (struct io_op){.arg = {code, FD, (uintptr_t)memory, LEN, OFFSET, 0}};
}

static struct io_op op_on_names(enum op_code code, int dir, const char *from, int to_dir,
                                const char *to)
{
    return (struct io_op){.arg = {code, (uint64_t)(int64_t)dir, (uintptr_t)from,
                                  (uint64_t)(int64_t)to_dir, (uintptr_t)to, 0}};
}

static struct io_uring_sqe filled(const struct io_op *op, const struct fixed_buffers *fixed,
                                  const struct provided_buffers *provided)
{
    static const struct fixed_buffers no_fixed;
    static const struct provided_buffers no_provided;
    struct io_uring_sqe sqe;

    memset(&sqe, 0, sizeof(sqe));
    op_fill(op, fixed ? fixed : &no_fixed, provided ? provided : &no_provided, &sqe);
    assert_true(sqe.user_data == (uintptr_t)op);
    return sqe;
}

static void bytes_are_read_and_written_at_their_offset(void **state)
{
    static const struct {
        enum op_code code;
        uint8_t opcode;
    } cases[] = {{OP_READ, IORING_OP_READ}, {OP_WRITE, IORING_OP_WRITE}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct io_op op = op_of(cases[i].code);
        struct io_uring_sqe sqe = filled(&op, NULL, NULL);

        assert_int_equal(sqe.opcode, cases[i].opcode);
        assert_int_equal(sqe.fd, FD);
        assert_true(sqe.addr == (uintptr_t)memory);
        assert_int_equal(sqe.len, LEN);
        assert_int_equal(sqe.off, OFFSET);
    }
}

static void a_write_within_a_registered_buffer_names_its_slot(void **state)
{
    struct fixed_buffers fixed = {.base = {(uintptr_t)memory - 4096, (uintptr_t)memory},
                                  .len = {4096, LEN}, .count = 2};
    struct io_op op = op_of(OP_WRITE);
    struct io_uring_sqe sqe = filled(&op, &fixed, NULL);

    (void)state;
    assert_int_equal(sqe.opcode, IORING_OP_WRITE_FIXED);
    assert_int_equal(sqe.buf_index, 1);
    assert_int_equal(sqe.len, LEN);
    assert_int_equal(sqe.off, OFFSET);
    op.arg[3] = LEN + 1;
    sqe = filled(&op, &fixed, NULL);
    assert_int_equal(sqe.opcode, IORING_OP_WRITE);
}

static void a_sync_is_of_all_or_of_data_alone(void **state)
{
    struct io_op op = op_of(OP_SYNC);
    struct io_uring_sqe sqe = filled(&op, NULL, NULL);

    (void)state;
    assert_int_equal(sqe.opcode, IORING_OP_FSYNC);
    assert_int_equal(sqe.fd, FD);
    assert_int_equal(sqe.fsync_flags, 0);
    op = op_of(OP_DATASYNC);
    sqe = filled(&op, NULL, NULL);
    assert_int_equal(sqe.opcode, IORING_OP_FSYNC);
    assert_int_equal(sqe.fsync_flags, IORING_FSYNC_DATASYNC);
}

static void names_are_of_their_directories_and_replace_nothing(void **state)
{
    struct io_op op = op_on_names(OP_RENAME, FD, "a", TO_DIR, "b");
    struct io_uring_sqe sqe = filled(&op, NULL, NULL);

    (void)state;
    assert_int_equal(sqe.opcode, IORING_OP_RENAMEAT);
    assert_int_equal(sqe.fd, FD);
    assert_string_equal((const char *)(uintptr_t)sqe.addr, "a");
    assert_int_equal((int)sqe.len, TO_DIR);
    assert_string_equal((const char *)(uintptr_t)sqe.addr2, "b");
    assert_int_equal(sqe.rename_flags, RENAME_NOREPLACE);
    op = op_on_names(OP_LINK, FD, "a", TO_DIR, "b");
    sqe = filled(&op, NULL, NULL);
    assert_int_equal(sqe.opcode, IORING_OP_LINKAT);
    assert_int_equal((int)sqe.len, TO_DIR);
    assert_string_equal((const char *)(uintptr_t)sqe.addr2, "b");
    op = op_on_names(OP_UNLINK, FD, "a", -1, NULL);
    sqe = filled(&op, NULL, NULL);
    assert_int_equal(sqe.opcode, IORING_OP_UNLINKAT);
    assert_string_equal((const char *)(uintptr_t)sqe.addr, "a");
    assert_int_equal(sqe.unlink_flags, 0);
}

/* One that is silent holds no buffer: the kernel picks it when there are bytes. */
static void a_receive_waits_with_no_buffer_of_its_own(void **state)
{
    struct io_uring_buf_ring *ring = (struct io_uring_buf_ring *)memory;
    struct provided_buffers provided = {.bytes = LEN, .ring = ring};
    struct io_op op = op_of(OP_RECEIVE);
    struct io_uring_sqe sqe = filled(&op, NULL, &provided);

    (void)state;
    assert_int_equal(sqe.opcode, IORING_OP_RECV);
    assert_int_equal(sqe.fd, FD);
    assert_true(sqe.addr == 0);
    assert_int_equal(sqe.len, LEN);
    assert_int_equal(sqe.ioprio, IORING_RECVSEND_POLL_FIRST);
    assert_int_equal(sqe.flags, IOSQE_BUFFER_SELECT);
    assert_int_equal(sqe.buf_group, PROVIDED_GROUP);
    provided.ring = NULL;
    sqe = filled(&op, NULL, &provided);
    assert_int_equal(sqe.opcode, IORING_OP_POLL_ADD);
    assert_int_equal(sqe.flags, 0);
    op = op_of(OP_POLL);
    sqe = filled(&op, NULL, &provided);
    assert_int_equal(sqe.opcode, IORING_OP_POLL_ADD);
    assert_int_equal(sqe.fd, FD);
}

static void only_polls_and_receives_may_never_end(void **state)
{
    (void)state;
    for (int i = 0; i < OP_COUNT; i++) {
        struct io_op op = op_of((enum op_code)i);

        assert_int_equal(op_waits(&op), i == OP_POLL || i == OP_RECEIVE);
    }
}

static int performed(enum op_code code, int dir, const char *from, const char *to)
{
    struct io_op op = op_on_names(code, dir, from, dir, to);

    return op_perform(&op);
}

static void plain_calls_do_the_same_to_names(void **state)
{
    int dir = open_dir(contract_root);

    (void)state;
    file_close(make_file(dir, "a", "one"));
    file_close(make_file(dir, "b", "two"));
    assert_int_equal(performed(OP_RENAME, dir, "a", "b"), -EEXIST);
    assert_int_equal(performed(OP_LINK, dir, "a", "b"), -EEXIST);
    assert_int_equal(performed(OP_LINK, dir, "a", "c"), 0);
    assert_int_equal(performed(OP_UNLINK, dir, "b", NULL), 0);
    assert_int_equal(performed(OP_RENAME, dir, "a", "b"), 0);
    assert_int_equal(performed(OP_RENAME, dir, "a", "b"), -ENOENT);
    assert_int_equal(performed(OP_UNLINK, dir, "a", NULL), -ENOENT);
    assert_content(dir, "b", "one");
    assert_content(dir, "c", "one");
    file_close(dir);
}

/* What is older than any kernel that has the rest is not asked about. */
static void this_kernel_has_them_all(void **state)
{
    bool supported[OP_COUNT] = {false};
    struct io_uring ring;

    (void)state;
    assert_int_equal(io_uring_queue_init(2, &ring, 0), 0);
    assert_int_equal(op_probe(&ring, supported), 0);
    for (int i = 0; i < OP_COUNT; i++)
        assert_true(supported[i]);
    io_uring_queue_exit(&ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_read_and_written_at_their_offset),
        cmocka_unit_test(a_write_within_a_registered_buffer_names_its_slot),
        cmocka_unit_test(a_sync_is_of_all_or_of_data_alone),
        cmocka_unit_test(names_are_of_their_directories_and_replace_nothing),
        cmocka_unit_test(a_receive_waits_with_no_buffer_of_its_own),
        cmocka_unit_test(only_polls_and_receives_may_never_end),
        cmocka_unit_test_setup_teardown(plain_calls_do_the_same_to_names, real_dirs_setup,
                                        real_dirs_teardown),
        cmocka_unit_test(this_kernel_has_them_all),
    };

    return cmocka_run_group_tests_name("op", tests, NULL, NULL);
}
