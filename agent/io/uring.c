/*
 * uring: setting up an io_uring.
 *
 * Owns:   nothing.
 * Thread: any.
 */
#include "io/uring.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

/* kernel.io_uring_disabled: '1' and '2' forbid; kernels before 6.6 don't have it. */
static int disabled_level(void)
{
    FILE *f = fopen("/proc/sys/kernel/io_uring_disabled", "re");
    int c = f != NULL ? fgetc(f) : EOF;

    if (f != NULL)
        fclose(f);
    return c == EOF ? '0' : c;
}

/* Why this host does not let us have a ring, and what to do about it. */
static int explain_refusal(int err, struct errmsg *msg)
{
    if (err == -ENOSYS)
        return errmsg_set(msg, err, "io_uring is not to be had: this kernel lacks it or a sandbox "
                          "hides it; run on Linux 6.1 or later with CONFIG_IO_URING");
    if (err == -EPERM && disabled_level() != '0')
        return errmsg_set(msg, err, "io_uring is not to be had: kernel.io_uring_disabled is %c; "
                          "run `sysctl kernel.io_uring_disabled=0` (at 1, members of "
                          "kernel.io_uring_group may use it too)", disabled_level());
    if (err == -EPERM)
        return errmsg_set(msg, err, "io_uring is not to be had: a seccomp profile forbids it (as "
                          "Docker's default does); allow io_uring_setup, io_uring_enter and "
                          "io_uring_register, for instance with --security-opt seccomp=PROFILE");
    if (err == -ENOMEM) {
        struct rlimit lim = {0, 0};

        if (getrlimit(RLIMIT_MEMLOCK, &lim) != 0)
            lim.rlim_cur = 0;
        return errmsg_set(msg, err, "io_uring is not to be had: no memory for its queues under the "
                          "locked-memory limit of %llu bytes; raise it (`ulimit -l`, "
                          "LimitMEMLOCK=) to 8 MiB or more",
                          (unsigned long long)lim.rlim_cur);
    }
    return errmsg_set(msg, err, "io_uring is not to be had: %s", strerror(-err));
}

/* Older kernels refuse flags they don't know by -EINVAL. */
static int uring_setup(unsigned entries, struct io_uring *ring, struct io_uring_params *params)
{
    static const unsigned flags[] = {
        IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
            IORING_SETUP_TASKRUN_FLAG,
        0,
    };
    int rc = -EINVAL;

    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]) && rc == -EINVAL; i++) {
        memset(params, 0, sizeof(*params));
        params->flags = flags[i] | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP |
                        IORING_SETUP_R_DISABLED;
        params->cq_entries = 4 * entries;
        rc = io_uring_queue_init_params(entries, ring, params);
    }
    if (rc == 0 && (!(params->features & IORING_FEAT_EXT_ARG) ||
                    !(params->features & IORING_FEAT_NODROP))) {
        io_uring_queue_exit(ring);
        return -ENOSYS;
    }
    return rc;
}

int uring_open(unsigned entries, struct io_uring *ret_ring, struct io_uring_params *ret_params,
               struct errmsg *err)
{
    int rc = uring_setup(entries, ret_ring, ret_params);

    return rc < 0 ? explain_refusal(rc, err) : 0;
}
