/*
 * guard: shared mappings whose faults do not kill (file_guard_* of file.h).
 *
 * A stranger can shrink a file that is mapped here; touching a page that is gone raises SIGBUS. The
 * handler finds the mapping in a table, puts anonymous memory in place of all of it, marks it and
 * returns, and the access goes on over zeros. A fault anywhere else is a bug of this process: the
 * action that was there before the first guard takes over.
 *
 * Owns:   the table of guards, the process's SIGBUS action. Whoever wants a SIGBUS action of his
 *         own installs it before the first guard is mapped.
 * Thread: any. The handler takes no lock and calls async-signal-safe functions only.
 * Units:  bytes.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/invariant.h"
#include "io/file.h"

struct guard_slot {
    _Atomic uintptr_t addr;             /* G1: 0 = not in use */
    _Atomic size_t len;
    _Atomic bool faulted;
};

static struct guard_slot slots[FILE_GUARDS_MAX];
static _Atomic int slots_used;          /* no slot at or above this was ever in use */

/* Slots that were used and given back. Only mapping and unmapping lock it, never the handler. */
static pthread_mutex_t free_mutex = PTHREAD_MUTEX_INITIALIZER;
static int free_slots[FILE_GUARDS_MAX];
static int free_count;

static pthread_once_t install_once = PTHREAD_ONCE_INIT;
static struct sigaction previous;       /* written before the handler can run */
static int install_error;

/* True when the fault was in a guard, which now has memory again. */
static bool slot_repair(uintptr_t at)
{
    int used = atomic_load_explicit(&slots_used, memory_order_acquire);

    for (int i = 0; i < used; i++) {
        /* Pairs with G1 in file_guard_map(): who sees addr sees its len. */
        uintptr_t addr = atomic_load_explicit(&slots[i].addr, memory_order_acquire);
        size_t len = atomic_load_explicit(&slots[i].len, memory_order_relaxed);
        long got;

        if (addr == 0 || at < addr || at - addr >= len)
            continue;
        /* The plain system call: wrappers of mmap() may allocate or lock. */
        got = syscall(SYS_mmap, addr, len, PROT_READ | PROT_WRITE,
                      MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (got != (long)addr)
            return false;
        atomic_store_explicit(&slots[i].faulted, true, memory_order_release);
        return true;
    }
    return false;
}

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
    int saved = errno;

    (void)context;
    /* si_code > 0: the kernel's own, with an address; else somebody sent the signal. */
    if (info->si_code > 0 && slot_repair((uintptr_t)info->si_addr)) {
        errno = saved;
        return;
    }
    /* Back to where this came from with the action of before: the same access faults again. */
    sigaction(SIGBUS, &previous, NULL);
    if (info->si_code <= 0)
        raise(sig);                     /* blocked until the handler has returned */
    errno = saved;
}

static void install(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof(action));
    action.sa_sigaction = on_sigbus;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGBUS, NULL, &previous) != 0 || sigaction(SIGBUS, &action, NULL) != 0)
        install_error = -errno;
}

static int slot_take(void)
{
    int slot = -ENOSPC;

    pthread_mutex_lock(&free_mutex);
    if (free_count > 0) {
        slot = free_slots[--free_count];
    } else {
        int used = atomic_load_explicit(&slots_used, memory_order_relaxed);

        if (used < FILE_GUARDS_MAX) {
            slot = used;
            atomic_store_explicit(&slots_used, used + 1, memory_order_release);
        }
    }
    pthread_mutex_unlock(&free_mutex);
    return slot;
}

static void slot_give(int slot)
{
    pthread_mutex_lock(&free_mutex);
    INVARIANT(free_count < FILE_GUARDS_MAX);
    free_slots[free_count++] = slot;
    pthread_mutex_unlock(&free_mutex);
}

int file_guard_adopt(void *addr, size_t len, struct file_guard *ret_guard)
{
    int slot;

    pthread_once(&install_once, install);
    if (install_error < 0)
        return install_error;
    slot = slot_take();
    if (slot < 0)
        return slot;
    atomic_store_explicit(&slots[slot].len, len, memory_order_relaxed);
    atomic_store_explicit(&slots[slot].faulted, false, memory_order_relaxed);
    /* G1: nobody can touch the mapping, and so fault, before this. */
    atomic_store_explicit(&slots[slot].addr, (uintptr_t)addr, memory_order_release);
    ret_guard->addr = addr;
    ret_guard->len = len;
    ret_guard->slot = slot;
    return 0;
}

void file_guard_release(struct file_guard *guard)
{
    if (guard->addr == NULL)
        return;
    atomic_store_explicit(&slots[guard->slot].addr, 0, memory_order_release);
    slot_give(guard->slot);
    memset(guard, 0, sizeof(*guard));
}

int file_guard_map(int fd, uint64_t offset, size_t len, struct file_guard *ret_guard)
{
    void *addr = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);
    int rc;

    if (addr == MAP_FAILED)
        return -errno;
    rc = file_guard_adopt(addr, len, ret_guard);
    if (rc < 0)
        (void)munmap(addr, len);
    return rc;
}

void file_guard_unmap(struct file_guard *guard)
{
    void *addr = guard->addr;
    size_t len = guard->len;
    int rc;

    if (addr == NULL)
        return;
    /* First out of the table: once unmapped, the address may belong to another mapping. */
    file_guard_release(guard);
    rc = munmap(addr, len);
    INVARIANT(rc == 0);
}

bool file_guard_faulted(const struct file_guard *guard)
{
    if (guard->addr == NULL)
        return false;
    return atomic_load_explicit(&slots[guard->slot].faulted, memory_order_acquire);
}
