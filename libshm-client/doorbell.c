/*
 * doorbell: wakes the agent, and sleeps until the agent wakes us.
 *
 * Both directions are for slow paths. A bell is one empty datagram to the agent's socket; when it
 * is lost, or nobody listens, the agent's timer finds the events a little later, so no error of it
 * matters. A sleep is cut into slices with a new bell each, because the agent may die and start
 * again in between.
 *
 * Owns:   the handle's bell socket.
 * Thread: the handle's.
 * Units:  nanoseconds.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "handle.h"

#define SLICE_NS 100000000ULL
#define NS_PER_S 1000000000ULL

/*
 * The program may close descriptors that it does not know, and the number may be another file's
 * by now: then it is not ours to write to or to close.
 */
static bool bell_fd_is_ours(const struct shmc *h)
{
    struct stat st;

    return h->bell_fd >= 0 && fstat(h->bell_fd, &st) == 0 && st.st_dev == h->bell_dev &&
           st.st_ino == h->bell_ino;
}

static bool bell_fd_open(struct shmc *h)
{
    struct stat st;

    if (bell_fd_is_ours(h))
        return true;
    h->bell_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (h->bell_fd < 0 || fstat(h->bell_fd, &st) < 0)
        return false;
    h->bell_dev = st.st_dev;
    h->bell_ino = st.st_ino;
    return true;
}

void shmc_doorbell_ring(struct shmc *h)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t dir_len = strlen(h->dir);
    int errno_kept = errno;
    int dir_fd = -1;

    if (!bell_fd_open(h)) {
        errno = errno_kept;
        return;
    }
    if (dir_len + sizeof("/" SHM_BELL_NAME) <= sizeof(to.sun_path)) {
        memcpy(to.sun_path, h->dir, dir_len);
        memcpy(to.sun_path + dir_len, "/" SHM_BELL_NAME, sizeof("/" SHM_BELL_NAME));
    } else {
        dir_fd = open(h->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
        (void)snprintf(to.sun_path, sizeof(to.sun_path), "/proc/self/fd/%d/" SHM_BELL_NAME, dir_fd);
    }
    (void)sendto(h->bell_fd, "", 0, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)&to,
                 sizeof(to));
    if (dir_fd >= 0)
        (void)close(dir_fd);
    errno = errno_kept;
}

void shmc_doorbell_ring_if_wanted(struct shmc *h)
{
    /*
     * B1: head was stored, now wanted is loaded; the fence keeps the processor from loading first.
     * Pairs with the agent going to sleep: wanted = 1, fence, load head. One of the two sees the
     * other's store.
     */
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&h->segment.consumer->wanted, memory_order_relaxed) != 0)
        shmc_doorbell_ring(h);
}

static void futex_wait(const _Atomic uint32_t *word, uint32_t seen, uint64_t timeout_ns)
{
    struct timespec ts = {.tv_sec = (time_t)(timeout_ns / NS_PER_S),
                          .tv_nsec = (long)(timeout_ns % NS_PER_S)};

    /* Woken, changed already, timed out, interrupted: the caller looks again in each case. Not
     * PRIVATE, since the waker is another process. */
    (void)syscall(SYS_futex, word, FUTEX_WAIT, seen, &ts, NULL, 0);
}

/* Told once, whatever is waited for: the next flush is about what is written from now on. */
static bool lost_news(struct shmc *h)
{
    uint64_t lost = atomic_load_explicit(&h->segment.consumer->lost_pos, memory_order_acquire);

    if (lost == h->lost_told)
        return false;
    h->lost_told = lost;
    (void)shmc_text_set(&h->error, -EIO,
                        "events that the agent had accepted and not yet made durable were lost "
                        "with its log; what was written since the last flush has to be sent again");
    return true;
}

int shmc_doorbell_wait(struct shmc *h, enum shm_pos which, uint64_t lag_bytes_max,
                       uint64_t timeout_ns)
{
    const struct shm_mark *mark = &h->segment.consumer->mark[which];
    uint64_t start_ns = shmc_clock_ns(CLOCK_MONOTONIC);
    int errno_kept = errno;
    uint64_t pos;
    int rc;

    atomic_store_explicit(&h->segment.producer->waiter, 1, memory_order_relaxed);
    for (;;) {
        uint64_t waited_ns, left_ns;
        uint32_t seen;

        /*
         * W1: waiter is stored, then the futex word and the position are loaded. Pairs with the
         * agent's publishing: store pos, fence, load waiter, and if set, futex word + 1 (release)
         * and FUTEX_WAKE. Either the agent sees waiter, or we see pos; and if it counted the word
         * up before we loaded it (acquire), we see pos too.
         */
        atomic_thread_fence(memory_order_seq_cst);
        seen = atomic_load_explicit(&mark->futex, memory_order_acquire);
        rc = shmc_mark_read(h, which, shmc_head(h), &pos);
        if (rc == 0 && which != SHM_POS_ACCEPTED && lost_news(h))
            rc = -EIO;
        if (rc < 0 || shmc_head(h) - pos <= lag_bytes_max)
            break;

        shmc_doorbell_ring(h);
        waited_ns = shmc_clock_ns(CLOCK_MONOTONIC) - start_ns;
        rc = shmc_removed(h);
        if (rc == 0 && waited_ns >= timeout_ns)
            rc = -ETIMEDOUT;
        if (rc < 0)
            break;
        left_ns = timeout_ns - waited_ns;
        futex_wait(&mark->futex, seen, left_ns < SLICE_NS ? left_ns : SLICE_NS);
    }
    atomic_store_explicit(&h->segment.producer->waiter, 0, memory_order_relaxed);
    errno = errno_kept;
    return rc;
}

void shmc_doorbell_close(struct shmc *h)
{
    if (bell_fd_is_ours(h))
        (void)close(h->bell_fd);
    h->bell_fd = -1;
}
