/*
 * loop_contract: what loop.h promises, as tests that run over the kernel (loop_test.c,
 * loop_fallback_test.c) and over the simulator (sim_test.c). See file_contract.h.
 *
 * Owns:   nothing.
 * Thread: the test's.
 */
#ifndef IO_LOOP_CONTRACT_H
#define IO_LOOP_CONTRACT_H

#include "io/file_contract.h"
#include "io/loop.h"

/* What the including file does to a loop before it is used, or NULL. */
static void (*contract_on_loop)(struct io_loop *loop);

struct result {
    struct io_op op;
    struct io_loop *loop;
    int res;
    unsigned calls;
};

static inline void on_result(struct io_op *op, int res)
{
    struct result *result = op->ctx;

    assert_ptr_equal(op, &result->op);
    result->res = res;
    result->calls++;
}

static inline struct io_loop *make_loop(unsigned entries)
{
    struct errmsg err = {""};
    struct io_loop *loop = NULL;

    if (loop_open(entries, &loop, &err) != 0)
        fail_msg("loop_open: %s", err.text);
    if (contract_on_loop != NULL)
        contract_on_loop(loop);
    return loop;
}

static inline struct io_op *op_of(struct result *result)
{
    memset(result, 0, sizeof(*result));
    result->op.ctx = result;
    return &result->op;
}

static inline int wait_for(struct io_loop *loop, struct result *result)
{
    while (result->calls == 0)
        assert_true(loop_turn(loop, UINT64_MAX) >= 0);
    assert_int_equal(result->calls, 1);
    return result->res;
}

static inline void operations_end_in_one_call_of_done_within_a_turn(void **state)
{
    int dir = open_dir(contract_root), fd = make_file(dir, "a", "");
    struct io_loop *loop = make_loop(8);
    struct file_stat st;
    struct result r;
    char buf[8];

    (void)state;
    io_write(loop, op_of(&r), fd, "hello", 5, 3, on_result);
    assert_int_equal(r.calls, 0);
    assert_int_equal(loop_in_flight(loop), 1);
    assert_int_equal(wait_for(loop, &r), 5);
    assert_int_equal(loop_in_flight(loop), 0);
    io_sync(loop, op_of(&r), fd, true, on_result);
    assert_int_equal(wait_for(loop, &r), 0);
    io_sync(loop, op_of(&r), dir, false, on_result);
    assert_int_equal(wait_for(loop, &r), 0);
    io_read(loop, op_of(&r), fd, buf, sizeof(buf), 0, on_result);
    assert_int_equal(wait_for(loop, &r), 8);
    assert_memory_equal(buf, "\0\0\0hello", 8);
    io_allocate(loop, op_of(&r), fd, 4096, 8192, on_result);
    assert_int_equal(wait_for(loop, &r), 0);
    assert_int_equal(file_stat(fd, &st), 0);
    assert_int_equal(st.size_bytes, 12288);
    assert_true(st.allocated_bytes >= 8192);
    io_read(loop, op_of(&r), fd, buf, sizeof(buf), 20000, on_result);
    assert_int_equal(wait_for(loop, &r), 0);
    io_read(loop, op_of(&r), -1, buf, sizeof(buf), 0, on_result);
    assert_int_equal(wait_for(loop, &r), -EBADF);
    loop_close(loop);
    file_close(fd);
    file_close(dir);
}

static inline void names_change_through_the_loop(void **state)
{
    int dir = open_dir(contract_root), other = open_dir(contract_other);
    struct io_loop *loop = make_loop(8);
    struct file_stat st;
    struct result r;

    (void)state;
    file_close(make_file(dir, "a", "one"));
    file_close(make_file(dir, "b", "two"));
    io_rename(loop, op_of(&r), dir, "a", dir, "b", on_result);
    assert_int_equal(wait_for(loop, &r), -EEXIST);
    io_rename(loop, op_of(&r), dir, "a", dir, "c", on_result);
    assert_int_equal(wait_for(loop, &r), 0);
    assert_content(dir, "c", "one");
    io_link(loop, op_of(&r), dir, "c", dir, "d", on_result);
    assert_int_equal(wait_for(loop, &r), 0);
    io_link(loop, op_of(&r), dir, "c", dir, "d", on_result);
    assert_int_equal(wait_for(loop, &r), -EEXIST);
    io_link(loop, op_of(&r), dir, "c", other, "d", on_result);
    assert_int_equal(wait_for(loop, &r), -EXDEV);
    io_rename(loop, op_of(&r), dir, "c", other, "d", on_result);
    assert_int_equal(wait_for(loop, &r), -EXDEV);
    io_unlink(loop, op_of(&r), dir, "c", on_result);
    assert_int_equal(wait_for(loop, &r), 0);
    io_unlink(loop, op_of(&r), dir, "c", on_result);
    assert_int_equal(wait_for(loop, &r), -ENOENT);
    io_unlink(loop, op_of(&r), FILE_CWD, path_in(contract_root, "d"), on_result);
    assert_int_equal(wait_for(loop, &r), 0);
    assert_int_equal(file_stat_at(dir, "d", &st), -ENOENT);
    loop_close(loop);
    file_close(dir);
    file_close(other);
}

enum { MANY = 2000 };

static inline void more_operations_than_the_queues_hold_all_complete(void **state)
{
    int dir = open_dir(contract_root), fd = make_file(dir, "a", "");
    struct result *many = calloc(MANY, sizeof(*many));
    struct io_loop *loop = make_loop(4);
    uint32_t got;

    (void)state;
    assert_non_null(many);
    for (uint32_t i = 0; i < MANY; i++) {
        many[i].op.ctx = &many[i];
        many[i].res = (int)i;           /* also the bytes to write */
        io_write(loop, &many[i].op, fd, &many[i].res, sizeof(int), i * sizeof(int), on_result);
    }
    assert_int_equal(loop_in_flight(loop), MANY);
    for (unsigned done = 0; done < MANY; ) {
        int n = loop_turn(loop, UINT64_MAX);

        assert_true(n >= 0);
        done += (unsigned)n;
        assert_int_equal(loop_in_flight(loop), MANY - done);
    }
    for (uint32_t i = 0; i < MANY; i++) {
        assert_int_equal(many[i].calls, 1);
        assert_int_equal(many[i].res, sizeof(int));
        assert_int_equal(file_read(fd, &got, sizeof(got), i * sizeof(got)), sizeof(got));
        assert_int_equal(got, i);
    }
    loop_close(loop);
    file_close(fd);
    file_close(dir);
    free(many);
}

struct chain {
    struct io_op op;
    struct io_loop *loop;
    int fd;
    unsigned left;
};

static inline void on_chain(struct io_op *op, int res)
{
    struct chain *chain = op->ctx;

    assert_int_equal(res, 1);
    if (--chain->left > 0)
        io_write(chain->loop, op, chain->fd, "x", 1, chain->left, on_chain);
}

static inline void a_done_function_may_prepare_the_same_operation_again(void **state)
{
    int dir = open_dir(contract_root), fd = make_file(dir, "a", "");
    struct chain chain = {.loop = make_loop(4), .fd = fd, .left = 100};

    (void)state;
    chain.op.ctx = &chain;
    io_write(chain.loop, &chain.op, fd, "x", 1, chain.left, on_chain);
    while (chain.left > 0)
        assert_true(loop_turn(chain.loop, UINT64_MAX) >= 0);
    assert_int_equal(loop_in_flight(chain.loop), 0);
    loop_close(chain.loop);
    file_close(fd);
    file_close(dir);
}

static inline void a_turn_ends_at_its_time(void **state)
{
    struct io_loop *loop = make_loop(4);
    uint64_t start_ns = loop_refresh_ns(loop), until_ns = start_ns + 3000000;

    (void)state;
    assert_int_equal(loop_turn(loop, 0), 0);
    while (loop_now_ns(loop) < until_ns)
        assert_int_equal(loop_turn(loop, until_ns), 0);
    assert_true(loop_now_ns(loop) >= until_ns);
    assert_int_equal(loop_turn(loop, start_ns), 0);
    assert_true(loop_real_ns(loop) > 1500000000ULL * 1000000000ULL);
    loop_close(loop);
}

static inline void a_wake_ends_the_next_wait(void **state)
{
    struct io_loop *loop = make_loop(4);

    (void)state;
    for (int i = 0; i < 3; i++) {
        loop_wake(loop);
        loop_wake(loop);
        /* Without the wake this would wait for an hour, or jump there. */
        uint64_t until_ns = loop_refresh_ns(loop) + 3600ULL * 1000000000ULL;

        assert_int_equal(loop_turn(loop, until_ns), 0);
        assert_true(loop_now_ns(loop) < until_ns);
    }
    loop_close(loop);
}

static inline void a_poll_completes_when_there_is_something_to_read(void **state)
{
    int dir = open_dir(contract_other), watch = file_watch_open(contract_other);
    struct io_loop *loop = make_loop(4);
    struct events events;
    struct result r;

    (void)state;
    memset(&events, 0, sizeof(events));
    for (int round = 1; round <= 2; round++) {
        io_poll(loop, op_of(&r), watch, on_result);
        assert_int_equal(loop_turn(loop, 0), 0);
        assert_int_equal(r.calls, 0);
        file_close(make_file(dir, round == 1 ? "a" : "b", ""));
        assert_int_equal(wait_for(loop, &r), 0);
        assert_true(file_watch_read(watch, on_event, &events) > 0);
        assert_int_equal(events.added, round);
    }
    loop_close(loop);
    file_close(watch);
    file_close(dir);
}

static inline void closing_ends_polls_without_a_call(void **state)
{
    int bell = file_bell_open(contract_other, "bell");
    struct io_loop *loop = make_loop(4);
    struct result r[40];

    (void)state;
    assert_true(bell >= 0);
    for (int i = 0; i < 40; i++)
        io_poll(loop, op_of(&r[i]), bell, on_result);
    assert_int_equal(loop_turn(loop, 0), 0);
    loop_close(loop);
    for (int i = 0; i < 40; i++)
        assert_int_equal(r[i].calls, 0);
    loop_close(NULL);
    file_close(bell);
}

static inline void a_descriptor_may_be_closed_under_its_operation(void **state)
{
    int dir = open_dir(contract_root), fd = make_file(dir, "a", "");
    struct io_loop *loop = make_loop(4);
    struct result r;
    int n;

    (void)state;
    io_write(loop, op_of(&r), fd, "x", 1, 0, on_result);
    n = loop_turn(loop, 0);
    assert_true(n >= 0);
    file_close(fd);
    assert_int_equal(wait_for(loop, &r), 1);
    assert_content(dir, "a", "x");
    loop_close(loop);
    file_close(dir);
}

static inline int work_double(void *arg)
{
    *(int *)arg *= 2;
    return *(int *)arg > 100 ? -EIO : *(int *)arg;
}

static inline void work_ends_like_an_operation_with_its_result(void **state)
{
    struct io_loop *loop = make_loop(4);
    struct result r;
    int n = 21;

    (void)state;
    io_work(loop, op_of(&r), work_double, &n, on_result);
    assert_int_equal(r.calls, 0);
    assert_int_equal(loop_in_flight(loop), 1);
    assert_int_equal(wait_for(loop, &r), 42);
    io_work(loop, op_of(&r), work_double, &n, on_result);
    assert_int_equal(wait_for(loop, &r), 84);
    io_work(loop, op_of(&r), work_double, &n, on_result);
    assert_int_equal(wait_for(loop, &r), -EIO);
    assert_int_equal(loop_in_flight(loop), 0);
    loop_close(loop);
}

#define LOOP_CONTRACT_TESTS(setup, teardown)                                                      \
    cmocka_unit_test_setup_teardown(operations_end_in_one_call_of_done_within_a_turn, setup,      \
                                    teardown),                                                    \
    cmocka_unit_test_setup_teardown(names_change_through_the_loop, setup, teardown),              \
    cmocka_unit_test_setup_teardown(more_operations_than_the_queues_hold_all_complete, setup,     \
                                    teardown),                                                    \
    cmocka_unit_test_setup_teardown(a_done_function_may_prepare_the_same_operation_again, setup,  \
                                    teardown),                                                    \
    cmocka_unit_test_setup_teardown(a_turn_ends_at_its_time, setup, teardown),                    \
    cmocka_unit_test_setup_teardown(work_ends_like_an_operation_with_its_result, setup, teardown),\
    cmocka_unit_test_setup_teardown(a_wake_ends_the_next_wait, setup, teardown),                  \
    cmocka_unit_test_setup_teardown(a_poll_completes_when_there_is_something_to_read, setup,      \
                                    teardown),                                                    \
    cmocka_unit_test_setup_teardown(closing_ends_polls_without_a_call, setup, teardown),          \
    cmocka_unit_test_setup_teardown(a_descriptor_may_be_closed_under_its_operation, setup,        \
                                    teardown)

#endif
