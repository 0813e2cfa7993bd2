/*
 * damaged_log: a log with a history, copies of it to damage, and what must come of each.
 *
 * The history is two lives of an agent on the simulated host, each ended by SIGKILL: three rings,
 * three streams, two outputs, a reload in the middle, several segments, batches delivered, sealed
 * and open, and a part at the end that was never synced. Everything that it left on the disk is
 * kept, and every event, group, seal and definition in its log is known by its place.
 *
 * What of the log is still read after some damage is a view: the groups that the reader hands out,
 * and which of their spans are sound. Recovery sees the log through the same reader alone, so two
 * damages with one view have one outcome, and each view is recovered only once.
 *
 * What must hold, by the rules of durability.md:
 *
 *   R2  a group that the reader still hands out counts; behind a hole that was not synced nothing
 *       does, and the log ends there: an exact prefix
 *   R3  an event that a known SEAL covers is in the one file of that seal: in place already, or
 *       staged and put there now; never in another
 *   R5  an event without a known SEAL whose span is sound is delivered now, once, by this life. If
 *       its SEAL was cut off together with the end of the log, an earlier life may have delivered
 *       it too: that is a log restored from an older copy, which may repeat events (under keys of
 *       its own) and nothing else may
 *   R2  an event without a known SEAL whose span is not sound is in no file of this life. If its
 *       group or a CHECKPOINT behind it still tells of it, the books have it as lost, else the
 *       range that held it is in lost_bytes; it is neither where the log ends before it
 *   R4  no file is changed, or vanishes; each is complete, and holds only what was committed
 *       in the end nothing is pending, and accepted = delivered + lost for each stream
 *
 * Groups, definitions and seals are in the log twice. So the loss of any one group takes nothing
 * but the events in it. Where more is damaged, what the rest needs may be gone with it; then less
 * is promised: nothing invented, no file harmed, the books balance, and what is excluded is
 * counted. damaged_log_check() says which of the two it was.
 *
 * Owns:   the history, for the life of the process.
 * Thread: one.
 * Units:  lsn = log byte offset; groups, spans and events by their index in the order of the log.
 */
#ifndef PIPELINE_DAMAGED_LOG_H
#define PIPELINE_DAMAGED_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "support/sim_agent.h"
#include "wal/wal_format.h"

enum {
    DAMAGED_GROUPS_MAX = 512, DAMAGED_SPANS_MAX = 1024, DAMAGED_SEGMENTS_MAX = 16,
    DAMAGED_EVENTS_MAX = 2048, DAMAGED_KEYS_MAX = 512, DAMAGED_COPIES_MAX = 24, DAMAGED_SINKS = 2
};

struct damaged_group {
    uint64_t body_lsn, commit_lsn, end_lsn;
    uint32_t commit_bytes, segment;
    uint32_t meaningful;            /* of the COMMIT: header and items */
    uint64_t synced_lsn;            /* as it says */
    uint32_t first_span, spans;
    uint64_t print;
    bool checkpoint;
};

struct damaged_segment {
    char path[160];
    uint64_t start_lsn;
    uint8_t *bytes;                 /* owned; up to the end of the last group and a little more */
    size_t len, written;
};

struct damaged_span {
    uint32_t group, ring;
    uint64_t lsn;
    uint32_t len;
};

struct damaged_event {
    uint32_t source, stream, number;    /* as the producer counts */
    uint32_t span, stream_id;
    uint64_t lsn;
    uint32_t before[DAMAGED_SINKS], now[DAMAGED_SINKS];     /* files that have it */
};

/* What other groups need, and the groups that say it. */
struct damaged_key {
    enum wal_item_type type;        /* ATTACH, DEF, STREAM, SEAL */
    uint64_t a, b, c;
    uint64_t first_lsn, last_lsn;   /* SEAL */
    uint32_t group[DAMAGED_COPIES_MAX], copies;
};

struct damaged_log {
    struct damaged_segment segment[DAMAGED_SEGMENTS_MAX];
    uint32_t segments;
    struct damaged_group group[DAMAGED_GROUPS_MAX];
    uint32_t groups;
    struct damaged_span span[DAMAGED_SPANS_MAX];
    uint32_t spans;
    struct damaged_event event[DAMAGED_EVENTS_MAX];
    uint32_t events;
    struct damaged_key key[DAMAGED_KEYS_MAX];
    uint32_t keys;
};

/* What is still read. Groups behind an unsynced hole are not in it. */
struct damaged_view {
    bool group[DAMAGED_GROUPS_MAX];
    bool span[DAMAGED_SPANS_MAX];   /* of groups in the view: sound */
    uint64_t hole_bytes;            /* between and before groups in the view */
    uint64_t print;                 /* of all that the reader handed out */
};

/* Lives the history. Once a process, in a child: what its killed lives had allocated is lost. */
void damaged_log_make(uint64_t seed);
extern struct damaged_log damaged_log;             /* what it left */
extern struct sim_agent damaged_agent;

/* A fresh host with what the history left on the disk. To damage: by sim_poke() and the like. */
void damaged_log_restore(void);

/*
 * Reads the log as it is on the host now. Where one segment alone was damaged, and all behind it is
 * as it was or gone, only that much is read again; DAMAGED_ANYWHERE: all of it.
 */
#define DAMAGED_ANYWHERE UINT32_MAX
void damaged_log_view(uint32_t segment, struct damaged_view *ret_view);

/*
 * Recovers on this host, delivers all, stops, and holds the result against the view, which must be
 * of just this damage. True: the strong promises were due, and kept.
 */
bool damaged_log_check(const struct damaged_view *view);

/* Between the two sources. */
struct wal_dir;
struct wal_group_view;
void damaged_log_dir(struct wal_dir *dir);      /* opens it as it is on the host now */
void damaged_log_count(void);                   /* event.now = what is in the files now */
uint64_t damaged_log_print(uint32_t group, const struct wal_group_view *g);

#endif
