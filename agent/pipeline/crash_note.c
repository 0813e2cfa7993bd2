/*
 * crash_note: the file and the handler.
 * Owns:   see crash_note.h; a stack for the handler, so that a stack that is used up is noted too.
 * Thread: see crash_note.h. The handler takes no lock and calls async-signal-safe functions only.
 */
#include "pipeline/crash_note.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "io/file.h"

#define CRASH_MAGIC 0x3148534152435948ULL   /* "HYCRASH1" */

struct crash_record {
    uint64_t magic;
    uint8_t uuid[16];
    uint64_t lsn;
    uint32_t deaths, signal, reserved;
    uint32_t crc32c;                /* of the bytes before it */
};
_Static_assert(sizeof(struct crash_record) == 48, "crash record");
_Static_assert(offsetof(struct crash_record, crc32c) == 44, "crash record crc");

static const int deadly[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
enum { DEADLY_COUNT = sizeof(deadly) / sizeof(deadly[0]) };

static struct sigaction previous[DEADLY_COUNT]; /* written before the handler can run */
static uint8_t handler_stack[CRASH_NOTE_STACK_BYTES];

/* Of this thread: a death in another one says nothing about a span. */
static _Thread_local const struct crash_note *_Atomic watched;

static void record_write(const struct crash_note *note, uint64_t lsn, int sig)
{
    struct crash_record r = {
        .magic = CRASH_MAGIC,
        .lsn = lsn,
        .deaths = lsn == note->lsn ? note->deaths + 1 : 1,
        .signal = (uint32_t)sig,
    };
    ssize_t n;

    memcpy(r.uuid, note->uuid, sizeof(r.uuid));
    r.crc32c = crc32c(0, &r, offsetof(struct crash_record, crc32c));
    /* Whether it is written or not, this process ends, and there is nobody to tell. */
    n = pwrite(note->fd, &r, sizeof(r), 0);
    (void)n;
}

static void on_death(int sig, siginfo_t *info, void *context)
{
    const struct crash_note *note = atomic_load_explicit(&watched, memory_order_relaxed);
    uint64_t lsn = note ? atomic_load_explicit(&note->at_lsn, memory_order_relaxed) : 0;

    (void)context;
    if (lsn != 0 && note->fd >= 0)
        record_write(note, lsn, sig);
    for (int i = 0; i < DEADLY_COUNT; i++)
        if (deadly[i] == sig)
            sigaction(sig, &previous[i], NULL);
    /* A fault happens again where it happened, with its core dump; what was sent is sent again. */
    if (info->si_code <= 0)
        raise(sig);                 /* blocked until the handler has returned */
}

void crash_note_stack(void *stack)
{
    stack_t own = {.ss_sp = stack, .ss_size = CRASH_NOTE_STACK_BYTES}, old;

    if (sigaltstack(NULL, &old) == 0 && (old.ss_flags & SS_DISABLE) != 0)
        (void)sigaltstack(&own, NULL);  /* without it a used-up stack goes unnoted */
}

void crash_note_catch(void)
{
    struct sigaction action = {.sa_sigaction = on_death, .sa_flags = SA_SIGINFO | SA_ONSTACK};

    sigemptyset(&action.sa_mask);
    crash_note_stack(handler_stack);
    for (int i = 0; i < DEADLY_COUNT; i++)
        if (sigaction(deadly[i], NULL, &previous[i]) == 0)
            (void)sigaction(deadly[i], &action, NULL);
}

int crash_note_open(struct crash_note *note, int state_dir, const char *name,
                    const uint8_t uuid[16])
{
    struct crash_record r;
    ssize_t n;
    int fd;

    *note = (struct crash_note){.fd = -1};
    memcpy(note->uuid, uuid, sizeof(note->uuid));
    fd = file_open(state_dir, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd < 0)
        return fd;
    n = file_read(fd, &r, sizeof(r), 0);
    if (n < 0) {
        file_close(fd);
        return (int)n;
    }
    note->fd = fd;
    if (n == (ssize_t)sizeof(r) && r.magic == CRASH_MAGIC
        && r.crc32c == crc32c(0, &r, offsetof(struct crash_record, crc32c))
        && memcmp(r.uuid, uuid, sizeof(r.uuid)) == 0 && r.lsn != 0) {
        note->lsn = r.lsn;
        note->deaths = r.deaths;
    }
    return 0;
}

void crash_note_watch(const struct crash_note *note)
{
    atomic_store_explicit(&watched, note, memory_order_relaxed);
}

void crash_note_close(struct crash_note *note)
{
    if (atomic_load_explicit(&watched, memory_order_relaxed) == note)
        atomic_store_explicit(&watched, NULL, memory_order_relaxed);
    file_close(note->fd);
    note->fd = -1;
}

int crash_note_clear(struct crash_note *note)
{
    note->lsn = 0;
    note->deaths = 0;
    return file_truncate(note->fd, 0);
}
