/*
 * crash_note: which span was being routed when the agent died of a bug, and how often it has.
 *
 * A span that kills the agent would kill it at every start, for routing begins where it stood. So
 * the thread that routes says where it is; a deadly signal in it writes that down in state/crash on
 * its way out; and a start that finds CRASH_NOTE_DEATHS_MAX deaths at one lsn leaves that span out.
 * SIGKILL, a power cut, a signal in another thread or elsewhere in a turn never count.
 *
 *   state/crash, state/crash-<shard> (but for the first)
 *                 empty, or 48 bytes: magic, uuid of the log, lsn, deaths, signal, 0, crc32c
 *
 * Owns:   the descriptor of that file; the process's actions for five signals.
 * Thread: the one that routes; the handler runs in whichever died.
 * Units:  lsn = log byte offset of the span's bytes.
 */
#ifndef PIPELINE_CRASH_NOTE_H
#define PIPELINE_CRASH_NOTE_H

#include <stdatomic.h>
#include <stdint.h>

enum { CRASH_NOTE_DEATHS_MAX = 3 };

struct crash_note {
    int fd;                         /* owned; -1: nothing can be noted */
    uint8_t uuid[16];               /* of the log */
    uint64_t lsn;                   /* where it died last; 0: nowhere */
    uint32_t deaths;                /* in a row, there */
    _Atomic uint64_t at_lsn;        /* being routed now, 0: nothing is */
};

/*
 * Puts a handler in front of what SIGSEGV, SIGBUS, SIGILL, SIGFPE and SIGABRT do. Once a process,
 * before the first guarded mapping: file_guard_map() leaves unknown faults to it.
 */
void crash_note_catch(void);

enum { CRASH_NOTE_STACK_BYTES = 64 * 1024 };
/* Lends the handler a stack for deaths of this thread, which may have used up its own. */
void crash_note_stack(void *stack);

/*
 * Reads what an earlier life has left in state_dir under this name. What does not look like a note
 * of this log says nothing. 0 or -errno: the file cannot be had, and nothing will be noted.
 */
int crash_note_open(struct crash_note *note, int state_dir, const char *name,
                    const uint8_t uuid[16]);
/* From now on deaths of this thread are noted there. It stays in its place until it is closed. */
void crash_note_watch(const struct crash_note *note);
void crash_note_close(struct crash_note *note);

/* The span was passed: the file is emptied. 0 or -errno. */
int crash_note_clear(struct crash_note *note);

/* A death between the two counts for this span. */
static inline void crash_note_enter(struct crash_note *note, uint64_t lsn)
{
    atomic_store_explicit(&note->at_lsn, lsn, memory_order_relaxed);
    /* Before whatever may fault: the handler runs in this thread, the order of code is enough. */
    atomic_signal_fence(memory_order_seq_cst);
}

static inline void crash_note_leave(struct crash_note *note)
{
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(&note->at_lsn, 0, memory_order_relaxed);
}

#endif
