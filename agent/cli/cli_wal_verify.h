/*
 * cli_wal_verify: one verification: what is read, what is wrong, what is counted.
 *
 * cli_wal_verify.c is the command and what it prints, cli_wal_verify_log.c reads the groups,
 * cli_wal_verify_files.c the files of sealed batches.
 *
 * Owns:   struct wal_verify owns walk and state.
 * Thread: main.
 * Units:  lsn = log byte offset.
 */
#ifndef CLI_CLI_WAL_VERIFY_H
#define CLI_CLI_WAL_VERIFY_H

#include <stdbool.h>

#include "cli/cli_wal.h"
#include "cli/cli_wal_walk.h"
#include "ring/frames.h"
#include "wal/wal_state.h"

struct wal_verify {
    const struct wal_args *args;
    struct wal_walk walk;
    struct wal_state state;
    struct frames_scratch scratch;
    bool live;                  /* an agent is at work on it */
    /*
     * The tables are what the log says: a checkpoint was seen to its end, and nothing is missing
     * since. Until then items that contradict them are a consequence and no finding.
     */
    bool trusted;
    uint64_t segment, epoch;    /* of the group before; UINT64_MAX: there was none */
    uint64_t span_end;          /* in the body, of the span before */
    /* Up to where the log of `synced_epoch` is known to have been synced; final: no more is said */
    uint64_t synced_epoch, synced_lsn;
    bool synced_final;
    bool ended;                 /* what follows will be passed over by the next start */
    /* Counts. */
    uint64_t damages, passed_over;
    uint64_t segments, groups, items, spans, events, bytes, holes, hole_bytes, batches;
    uint64_t bytes_all, progress_bytes;     /* for people who wait */
};

enum { WAL_NO_LSN = 0 };

/* A line of what is wrong: where, in which file, what. `lsn` may be WAL_NO_LSN. */
void wal_verify_damage(struct wal_verify *v, uint64_t lsn, const char *file, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* The same for what a start mends. */
void wal_verify_note(struct wal_verify *v, uint64_t lsn, const char *file, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Shows how far it is, now and then. */
void wal_verify_progress(struct wal_verify *v, uint64_t bytes);

/* Reads groups to the end of the log. 0 or -errno with a text. */
int wal_verify_log(struct wal_verify *v, struct errmsg *err);

/* The books, and whether the log still has what its batches need. */
void wal_verify_books(struct wal_verify *v);

/* Spool and staging files of batches that are sealed and not delivered. 0 or -errno with a text. */
int wal_verify_files(struct wal_verify *v, struct errmsg *err);

#endif
