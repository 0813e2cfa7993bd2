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
    SHMC_IN_RESERVE
};

struct shmc_def_ref {
    uint16_t at8; /* offset of the name in the definitions, in units of 8 bytes */
    uint8_t len;
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
    uint16_t streams;         /* numbers 1..streams are declared */
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
    uint32_t full;            /* enum shmc_full */
    int bell_fd;              /* owned, -1 = not yet */
    dev_t bell_dev;           /* identity of bell_fd, which the program may have closed under us */
    ino_t bell_ino;

    uint16_t reserved_stream; /* the open reserve: its frame but for the length */
    uint8_t reserved_kind;
    uint32_t reserved_len_max;
    uint64_t reserved_time_ns;

    uint32_t defs_bytes;      /* private copy of the published one */
    struct shmc_def_ref defs[SHM_DEFS_MAX];
    struct shmc_segment segment;
    struct shmc_text error;
    char dir[PATH_MAX];       /* absolute */
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

/* ---- producer.c ---- */

/* Head, and what follows from it, the tail and the mark; keeps INV-LIMIT. */
void shmc_head_set(struct shmc *h, uint64_t head);
/* The position as the agent published it; -ESTALE, with text, when it or the ring is not sound. */
int shmc_mark_read(struct shmc *h, enum shm_pos which, uint64_t head, uint64_t *ret_pos);

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
