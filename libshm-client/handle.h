/*
 * handle: what the files of the client library share.
 *
 * Not installed. Names start with shmc_ although they are hidden, because the static library must
 * not take names from the program that links it.
 */
#ifndef SHMC_HANDLE_H
#define SHMC_HANDLE_H

#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#include "shm_client.h"
#include "shm_wire.h"

#define SHMC_LIKELY(x)   __builtin_expect(!!(x), 1)
#define SHMC_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Text of an error, for cold paths. */
struct shmc_text {
    char s[384];
};

/* Sets the text and returns error, which is 0 or -errno; its description is put behind. */
int shmc_text_set(struct shmc_text *text, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- segment.c: the ring's file and its mappings ---- */

struct shmc_segment {
    uint8_t *base;                       /* owned: one reservation, unmapped whole */
    size_t mapped_bytes;
    uint64_t data_bytes;
    struct shm_producer *producer;       /* all borrowed from base */
    const struct shm_consumer *consumer; /* mapped read-only */
    _Atomic uint64_t *head;
    uint8_t *defs;
    uint8_t *data; /* 2 * data_bytes: the same pages twice */
    char name[SHM_RING_NAME_MAX + 1];
    dev_t dev, root_dev; /* identity of the file, and of the root by which its path was found */
    ino_t ino, root_ino;
};

/*
 * Who may own shm_dir beside root and euid: agent_uid, where 0 = nobody else. fs_type is that of
 * fstatfs.
 */
int shmc_dir_check(const struct stat *st, int64_t fs_type, uid_t euid, uid_t agent_uid,
                   struct shmc_text *text);
/* Absolute path of the directory to use; option and env may be NULL. */
int shmc_dir_path(const char *option, const char *env, uid_t euid, char *ret_path, size_t path_cap,
                  struct shmc_text *text);
int shmc_segment_create(const char *dir, uid_t agent_uid, const char *name, uint64_t data_bytes,
                        struct shmc_segment *ret_segment, struct shmc_text *text);
void shmc_segment_unmap(struct shmc_segment *segment);
/* Is its name gone from dir, or another file's? False too where dir cannot be reached any more. */
bool shmc_segment_removed(const struct shmc_segment *segment, const char *dir);

/* ---- clock.c ---- */

/* The cycle counter as UTC: ns = anchor_ns + (ticks since anchor) * mult / 2^32. */
struct shmc_tsc {
    uint64_t anchor_ticks, anchor_ns;
    uint64_t mult;
    uint64_t ticks_max; /* about a second: then the anchor is set again */
    uint64_t origin_ticks, origin_mono_ns; /* where the measurement of mult began */
};

int shmc_tsc_open(struct shmc_tsc *tsc); /* -EOPNOTSUPP: no invariant counter here */
uint64_t shmc_tsc_ns(struct shmc_tsc *tsc);

static inline uint64_t shmc_clock_ns(clockid_t clock_id)
{
    struct timespec ts;

    (void)clock_gettime(clock_id, &ts); /* cannot fail for the clocks that we name */
    return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

/* The counter now; 0 where there is none, and so no struct shmc_tsc either. */
static inline uint64_t shmc_tsc_ticks(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    return 0;
#endif
}

/* UTC, of ticks since the anchor that are at most ticks_max. */
static inline uint64_t shmc_tsc_ns_at(const struct shmc_tsc *tsc, uint64_t ticks)
{
    return tsc->anchor_ns + (uint64_t)(((unsigned __int128)ticks * tsc->mult) >> 32);
}

/* ---- the handle ---- */

enum shmc_busy {
    SHMC_IDLE,
    SHMC_IN_CALL,
    SHMC_IN_RESERVE,
    SHMC_IN_RECORD
};

/* How shmc_write_struct moves a field's value; in the order in which it does so. */
enum shmc_move_kind {
    SHMC_MOVE_8,
    SHMC_MOVE_4,
    SHMC_MOVE_1,       /* bool */
    SHMC_MOVE_FLAG,    /* any of these, if a flag says so */
    SHMC_MOVE_STRING,  /* from here on: a run of bytes */
    SHMC_MOVE_POINTER,
    SHMC_MOVE_CHARS,
    SHMC_MOVE_ARRAY,
    SHMC_MOVE_COUNT    /* not from a struct */
};

/*
 * A declared field, twice: as the field writer needs it, in declared order, and as
 * shmc_write_struct does, by kind. In private memory: the definition lies where others may write.
 */
struct shmc_slot {
    uint16_t at;     /* its place in the payload */
    uint8_t type;    /* enum shm_field_type */
    bool nullable;
};

struct shmc_move {
    uint32_t offset; /* as in struct shmc_field */
    uint32_t extra;
    uint16_t at;
    uint16_t index;  /* of the field */
    uint8_t kind;    /* enum shmc_move_kind */
    uint8_t bytes;   /* of its place */
    bool nullable;
};

/* A definition of this ring; those of a schema's words that a stream has not are 0. */
struct shmc_def_ref {
    uint16_t at8; /* offset of the body in the definitions, in units of 8 bytes */
    uint16_t len; /* of the body */
    uint16_t stream; /* number of the schema's stream */
    uint16_t fields;
    uint16_t slots_at; /* its first field in the handle's slots and moves */
    uint16_t present_at;
    uint16_t fixed_bytes;
    uint16_t required; /* fields that are not nullable */
    uint16_t moves[SHMC_MOVE_COUNT]; /* how many of each kind */
    bool from_struct;  /* each field has a source */
};

/* Fields that all schemas of a ring can have, each with a byte of name; and of one more. */
#define SHMC_SLOTS_MAX (SHM_DEFS_BYTES / (sizeof(struct shm_field) + 1) + SHM_FIELDS_MAX)

/* The record that is open. */
struct shmc_record {
    const struct shmc_def_ref *schema;
    const struct shmc_slot *slots;
    uint8_t *payload;   /* in the ring */
    uint32_t used, cap; /* bytes of the payload */
    uint16_t left;      /* fields that must still be set */
    int error;          /* of the first field that could not be set */
    uint64_t present[SHM_FIELDS_MAX / 64];
};

#define SHMC_MAGIC 0x31434d4853ULL

/*
 * Whether a call is inside, and how much one may write: read one by one, set together at the end of
 * a write by one store. Only this thread and its signal handlers use it.
 */
union shmc_gate {
    _Atomic uint64_t both; /* room; not busy. Little-endian, as all of shm_wire.h */
    struct {
        _Atomic uint32_t room; /* bytes from head to limit, a multiple of 8 */
        _Atomic uint32_t busy; /* enum shmc_busy */
    } part;
};

/*
 * Lives in pages of its own which fork wipes. So a child finds no room, no streams and no magic:
 * every check on the normal path fails there, and the slow path tells the reason.
 *
 * The private head is limit - room: a write changes room alone. While a call is inside, its signal
 * handlers go by the published head.
 *
 * INV-LIMIT: room is at most
 *   - data_bytes - (head - the tail as published), so what fits fits into the ring;
 *   - event_bytes_max, so what fits is not too large;
 *   - the way to the mark, and to the end of the mapping's first copy, where end points.
 * Only slow paths move limit.
 */
struct shmc {
    /* The normal path's line. */
    union shmc_gate gate;
    uint64_t limit;
    uint8_t *end;             /* where limit lies in the mapping */
    _Atomic uint64_t *head_word; /* borrowed from segment */
    uint64_t events;          /* not beside payload_bytes: two additions, no vector of them */
    uint16_t streams;         /* numbers 1..streams are those of streams; see kind_good() */
    uint8_t clock;            /* enum shmc_clock */
    uint32_t event_bytes_max;
    uint64_t payload_bytes;

    struct shmc_tsc tsc;      /* the next line, for the clock that needs it */

    uint64_t magic;
    uint64_t accepted;        /* the tail as last read */
    uint64_t lost_told;       /* losses up to here were told to the caller */
    uint64_t bell_pos;        /* head when the bell was last considered */
    uint64_t bell_after;      /* bytes from there to the mark; 0 = each commit */
    uint64_t wait_ns_max;     /* UINT64_MAX = for ever */
    uint64_t looked_ns;       /* of shmc_removed(), CLOCK_MONOTONIC_COARSE */
    uint64_t looked_accepted; /* what had been accepted then */
    uint32_t full;            /* enum shmc_full */
    int bell_fd;              /* owned, -1 = not yet */
    dev_t bell_dev;           /* identity of bell_fd, which the program may have closed under us */
    ino_t bell_ino;

    uint16_t reserved_def;    /* the open reserve: its frame but for the length */
    uint8_t reserved_kind;
    uint32_t reserved_len_max;
    uint64_t reserved_time_ns;

    uint32_t defs_bytes;      /* private copy of the published one */
    uint16_t defs_count;      /* numbers 1..defs_count are declared */
    uint16_t slots_count;
    struct shmc_def_ref defs[SHM_DEFS_MAX];
    struct shmc_record record;
    struct shmc_segment segment;
    struct shmc_text error;
    char dir[PATH_MAX];       /* absolute */
    uint8_t body[SHM_DEFS_BYTES]; /* a definition that is being made; few pages are ever touched */
    struct shmc_slot slots[SHMC_SLOTS_MAX];
    struct shmc_move moves[SHMC_SLOTS_MAX];
};

#define SHMC_LINE_BYTES 64U

_Static_assert(offsetof(struct shmc, tsc) <= SHMC_LINE_BYTES &&
                   offsetof(struct shmc, tsc.origin_ticks) <= 2 * SHMC_LINE_BYTES,
               "what a write reads lies in one line, with the cycle counter in two");

/*
 * Marks the handle as inside a call. A nested call from a signal handler runs to its end between
 * any two instructions here, so a plain load and store are enough; the signal fence keeps the
 * compiler from reading the handle before them.
 */
static inline bool shmc_enter(struct shmc *h)
{
    if (SHMC_UNLIKELY(atomic_load_explicit(&h->gate.part.busy, memory_order_relaxed) != SHMC_IDLE))
        return false;
    atomic_store_explicit(&h->gate.part.busy, SHMC_IN_CALL, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    return true;
}

static inline void shmc_leave(struct shmc *h, enum shmc_busy next)
{
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(&h->gate.part.busy, (uint32_t)next, memory_order_relaxed);
}

static inline uint64_t shmc_room(const struct shmc *h)
{
    return atomic_load_explicit(&h->gate.part.room, memory_order_relaxed);
}

/* For the call that is inside. */
static inline uint64_t shmc_head(const struct shmc *h)
{
    return h->limit - shmc_room(h);
}

/* For calls that may be nested in one. */
static inline uint64_t shmc_head_published(const struct shmc *h)
{
    return atomic_load_explicit(h->head_word, memory_order_relaxed);
}

/* False in a forked child, where fork wiped the handle. */
static inline bool shmc_alive(const struct shmc *h)
{
    return h->magic == SHMC_MAGIC;
}

/* The definition of a declared number, NULL for another. */
static inline const struct shmc_def_ref *shmc_def(const struct shmc *h, uint16_t number)
{
    return (uint16_t)(number - 1U) < h->defs_count ? &h->defs[number - 1U] : NULL;
}

/* ---- producer.c ---- */

/* The time for an event of the handle's own clock; only for the call that is inside. */
uint64_t shmc_event_time_ns(struct shmc *h);
/* From inside: opens a reserve of len_max bytes, which are not too many; the caller leaves. */
int shmc_reserve_open(struct shmc *h, uint16_t def, uint8_t kind, uint32_t len_max,
                      uint8_t **ret_payload);
/* From inside: commits len of the bytes that are reserved, and leaves. */
void shmc_reserve_commit(struct shmc *h, uint32_t len);
/* Why a call finds no open reserve or record that it could go on with. */
int shmc_reserve_none(struct shmc *h, uint32_t busy);
/* Makes sure that `bytes` fit behind head, by the handle's policy; from inside. */
int shmc_room_make(struct shmc *h, uint64_t bytes);
/* From inside, after a frame was written behind head: it becomes an event. */
void shmc_publish(struct shmc *h, uint64_t bytes, uint32_t len);

/* Head, and what follows from it, the tail and the mark; keeps INV-LIMIT. */
void shmc_head_set(struct shmc *h, uint64_t head);
/* The position as the agent published it; -ESTALE, with text, when it or the ring is not sound. */
int shmc_mark_read(struct shmc *h, enum shm_pos which, uint64_t head, uint64_t *ret_pos);

/*
 * For calls that cannot go on, again and again: -ESTALE, with text, when nothing was taken of what
 * is left in the ring since a look 100 ms ago, and its file was removed; else 0. An agent that has
 * the ring takes it to its end; one that starts now would not find it.
 */
int shmc_removed(struct shmc *h);

/* ---- batch.c ---- */

struct shmc_batch {
    uint64_t room;          /* free in the ring when it was begun */
    uint64_t bytes;         /* of its frames, also of those for which there is no room */
    uint64_t payload_bytes;
    uint64_t events;
    uint64_t time_ns;       /* of all its events */
};

/* 0, -EBUSY or -ESTALE. A batch that is not committed needs no end. */
int shmc_batch_begin(struct shmc *h, struct shmc_batch *ret_batch);
/* No record. 0; -EMSGSIZE or -EINVAL: this one is not in it. */
int shmc_batch_add(struct shmc *h, struct shmc_batch *batch, uint16_t stream, uint8_t kind,
                   const void *data, size_t len);
/*
 * All of it, or nothing: -EAGAIN (no room for batch->bytes now, whatever the handle's policy),
 * -EMSGSIZE (nor in an empty ring), -EBUSY.
 */
int shmc_batch_commit(struct shmc *h, const struct shmc_batch *batch);

/* ---- doorbell.c ---- */

void shmc_doorbell_ring(struct shmc *h);
void shmc_doorbell_ring_if_wanted(struct shmc *h);
/*
 * Sleeps until head - mark[which] <= lag_bytes_max: 0, -ETIMEDOUT or -ESTALE. timeout_ns 0 looks
 * once, UINT64_MAX waits for ever; each way the agent has been rung for.
 */
int shmc_doorbell_wait(struct shmc *h, enum shm_pos which, uint64_t lag_bytes_max,
                       uint64_t timeout_ns);
void shmc_doorbell_close(struct shmc *h);

#endif
