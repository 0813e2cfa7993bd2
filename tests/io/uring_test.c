/*
 * uring_test: the queues that are asked for, whose the ring is, and refusals of io_uring, which
 * only real processes can show.
 *
 * Owns:   nothing.
 * Thread: the test's.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "io/in_child.h"
#include "io/uring.h"

static void opened(unsigned entries, struct io_uring *ring, struct io_uring_params *params)
{
    struct errmsg err = {""};

    if (uring_open(entries, ring, params, &err) != 0)
        fail_msg("uring_open: %s", err.text);
}

static void completions_have_four_times_the_room_of_submissions(void **state)
{
    struct io_uring_params params;
    struct io_uring ring;

    (void)state;
    opened(5, &ring, &params);
    assert_int_equal(params.sq_entries, 8);
    assert_int_equal(params.cq_entries, 32);
    io_uring_queue_exit(&ring);
}

/* More than a kernel gives is no error. */
static void queues_are_as_long_as_the_kernel_lets_them_be(void **state)
{
    struct io_uring_params params;
    struct io_uring ring;

    (void)state;
    opened(1U << 20, &ring, &params);
    assert_true(params.sq_entries >= 1024 && params.sq_entries < 1U << 20);
    assert_true(params.cq_entries >= params.sq_entries);
    io_uring_queue_exit(&ring);
}

static void a_ring_takes_nothing_until_it_is_enabled(void **state)
{
    struct io_uring_params params;
    struct io_uring_cqe *cqe;
    struct io_uring ring;

    (void)state;
    opened(8, &ring, &params);
    io_uring_prep_nop(io_uring_get_sqe(&ring));
    assert_int_equal(io_uring_submit(&ring), -EBADFD);
    assert_int_equal(io_uring_register((unsigned)ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL,
                                       0), 0);
    assert_int_equal(io_uring_submit_and_wait(&ring, 1), 1);
    assert_int_equal(io_uring_peek_cqe(&ring, &cqe), 0);
    assert_int_equal(cqe->res, 0);
    io_uring_queue_exit(&ring);
}

static bool forbid_io_uring(uint32_t err)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | err),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog prog = {sizeof(filter) / sizeof(filter[0]), filter};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0;
}

static bool is_refused(uint32_t forbidden_by, int want, const char *reason)
{
    struct io_uring_params params;
    struct io_uring ring;
    struct errmsg err = {""};
    int rc;

    if (!forbid_io_uring(forbidden_by)) {
        fprintf(stderr, "no seccomp filter: %s\n", strerror(errno));
        return false;
    }
    rc = uring_open(8, &ring, &params, &err);
    if (rc == want && strstr(err.text, reason) != NULL)
        return true;
    fprintf(stderr, "refused by %u: %d, '%s'\n", forbidden_by, rc, err.text);
    return false;
}

static bool refused_by_seccomp(void)
{
    return is_refused(EPERM, -EPERM, "seccomp");
}

static bool refused_by_kernel(void)
{
    return is_refused(ENOSYS, -ENOSYS, "6.1");
}

static bool refused_by_memlock(void)
{
    return is_refused(ENOMEM, -ENOMEM, "ulimit -l");
}

static void a_refusal_names_its_reason_and_remedy(void **state)
{
    char level = '0';
    FILE *f = fopen("/proc/sys/kernel/io_uring_disabled", "re");

    (void)state;
    if (f != NULL) {
        level = (char)fgetc(f);
        fclose(f);
    }
    /* With the sysctl set every other test here fails first, with its name in the text. */
    assert_int_equal(level, '0');
    assert_int_equal(in_child(refused_by_seccomp), 0);
    assert_int_equal(in_child(refused_by_kernel), 0);
    assert_int_equal(in_child(refused_by_memlock), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(completions_have_four_times_the_room_of_submissions),
        cmocka_unit_test(queues_are_as_long_as_the_kernel_lets_them_be),
        cmocka_unit_test(a_ring_takes_nothing_until_it_is_enabled),
        cmocka_unit_test(a_refusal_names_its_reason_and_remedy),
    };

    return cmocka_run_group_tests_name("uring", tests, NULL, NULL);
}
