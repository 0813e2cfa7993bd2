/*
 * cli_bench_peer: the other process of a benchmark, a child, and the page that both see.
 * Owns:   the child, the page.
 * Thread: one.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "cli/cli_bench_peer.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli_bench_measure.h"

#define IDLE_NS_MAX   10000000000U /* without a sign of life */
#define SPINS_A_CHECK 65536U

int peer_pin(int cpu, struct errmsg *err)
{
    cpu_set_t one;

    if (cpu < 0)
        return 0;
    CPU_ZERO(&one);
    CPU_SET((size_t)cpu, &one);
    return sched_setaffinity(0, sizeof(one), &one) == 0
               ? 0
               : errmsg_set_errno(err, -errno, "pinning to processor %d", cpu);
}

static void child_run(struct peer *p, int cpu, peer_fn fn, void *ctx, pid_t parent)
{
    int rc = prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent ? 0 : -ECHILD;

    if (rc != 0)
        (void)errmsg_set_errno(&p->page->err, rc, "the parent is gone");
    else
        rc = peer_pin(cpu, &p->page->err);
    if (rc == 0)
        rc = fn(p->page, ctx, &p->page->err);
    _exit(rc == 0 ? 0 : 1);
}

static void peer_free(struct peer *p)
{
    if (p->page != NULL)
        (void)munmap(p->page, sizeof(*p->page));
    memset(p, 0, sizeof(*p));
}

/* The child has ended: its text, or how it died. */
static int ended(struct peer *p, int status, struct errmsg *err)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    if (WIFSIGNALED(status))
        return errmsg_set(err, -ECHILD, "the other process died of signal %d", WTERMSIG(status));
    return errmsg_set(err, -ECHILD, "the other process: %s", p->page->err.text);
}

int peer_check(struct peer *p, struct errmsg *err)
{
    int status, rc;

    if (waitpid(p->pid, &status, WNOHANG) == 0)
        return 0;
    p->pid = 0;
    rc = ended(p, status, err);
    return rc != 0 ? rc : errmsg_set(err, -ECHILD, "the other process ended too early");
}

int peer_start(struct peer *p, int cpu, peer_fn fn, void *ctx, struct errmsg *err)
{
    pid_t parent = getpid();
    int rc;

    memset(p, 0, sizeof(*p));
    p->page = mmap(NULL, sizeof(*p->page), PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p->page == MAP_FAILED) {
        p->page = NULL;
        return errmsg_set_errno(err, -errno, "shared page");
    }
    (void)fflush(NULL); /* or the child's copy of the buffers would be written too */
    p->pid = fork();
    if (p->pid == 0)
        child_run(p, cpu, fn, ctx, parent);
    if (p->pid < 0) {
        rc = errmsg_set_errno(err, -errno, "fork");
        peer_free(p);
        return rc;
    }
    /* P1: pairs with peer_ready(). */
    while (atomic_load_explicit(&p->page->ready, memory_order_acquire) == 0) {
        rc = peer_check(p, err);
        if (rc != 0) {
            peer_free(p);
            return rc;
        }
        (void)sched_yield();
    }
    return 0;
}

int peer_wait_events(struct peer *p, uint64_t events, struct errmsg *err)
{
    uint64_t last = 0, last_ns = bench_now_ns(), now;

    for (uint32_t spin = 1;; spin++) {
        uint64_t seen = atomic_load_explicit(&p->page->events, memory_order_acquire);
        int rc;

        if (seen >= events)
            return 0;
        bench_relax();
        if (spin % SPINS_A_CHECK != 0)
            continue;
        rc = peer_check(p, err);
        if (rc != 0)
            return rc;
        now = bench_now_ns();
        if (seen != last)
            last_ns = now;
        else if (now - last_ns > IDLE_NS_MAX)
            return errmsg_set(err, -ETIMEDOUT, "%llu of %llu events were taken, no more came",
                              (unsigned long long)seen, (unsigned long long)events);
        last = seen;
    }
}

int peer_join(struct peer *p, struct errmsg *err)
{
    int status;

    while (waitpid(p->pid, &status, 0) < 0)
        if (errno != EINTR)
            return errmsg_set_errno(err, -errno, "the other process");
    p->pid = 0;
    return ended(p, status, err);
}

int peer_stop(struct peer *p, struct errmsg *err)
{
    int rc = 0;

    if (p->pid != 0) {
        atomic_store_explicit(&p->page->stop, 1, memory_order_relaxed);
        rc = peer_join(p, err);
    }
    peer_free(p);
    return rc;
}
