/*
 * shm_client: write events into a ring in shared memory, from which Hydrant's agent takes them.
 *
 * A handle is one ring. It is used by one thread at a time; open one per thread. Writing below the
 * ring's mark is wait-free, makes no system call, takes no lock and allocates nothing. The library
 * never logs, aborts, starts a thread or installs a signal handler. The agent need not run: what
 * was written waits in the ring for it.
 *
 * Fork:    a child's calls on a handle of its parent return -ECHILD; the parent goes on. Only
 *          shmc_close is of use there: it frees the child's copy of the handle.
 * Signals: shmc_write*, shmc_reserve, shmc_commit, shmc_abort, shmc_position and shmc_stats may be
 *          called from a signal handler; one that interrupts another call on the same handle gets
 *          -EBUSY. shmc_open may not, nor may a handler that interrupts it fork.
 * Units:   bytes; nanoseconds. A position counts the bytes that the ring ever took, headers
 *          and padding included; it only grows.
 * Errors:  0 or -errno. An argument that is wrong in itself is -EINVAL. What each errno means:
 *
 *   -EAGAIN      the ring is full and full = SHMC_FULL_FAIL; the caller still has the event
 *   -ETIMEDOUT   waited as long as was allowed; the caller still has the event
 *   -EMSGSIZE    larger than shmc_event_bytes_max(); no policy changes that, nothing is counted
 *   -EBUSY       call nested in another one on this handle, or a reserve is open
 *   -ECHILD      the handle was opened before fork
 *   -ESTALE      the agent has quarantined the ring, or its words in the ring make no sense;
 *                shmc_error() has the reason. Close the handle and open another
 *   -EIO         flush to durable or delivered: events that were accepted and not yet durable were
 *                lost with the agent's log (a host or disk that failed). Told once; write again
 *                what was written since the last flush that returned 0
 *   -ENOSPC      shared memory is full (open) or the ring's definitions are (shmc_stream)
 *   -E2BIG       an option is set that only a newer library knows (open)
 */
#ifndef SHM_CLIENT_H
#define SHM_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SHMC_VERSION "1.0.0"
#define SHMC_ABI     1

#define SHMC_API __attribute__((visibility("default")))

/* What a write does when the ring is full. */
enum shmc_full {
    SHMC_FULL_FAIL, /* -EAGAIN, the caller still has the event */
    SHMC_FULL_DROP, /* 0, the event is gone and counted; shmc_reserve: counted and -EAGAIN */
    SHMC_FULL_WAIT  /* sleeps until there is room, at most wait_ns_max (0 = for ever) */
};

/* When the agent hears of events. */
enum shmc_wake {
    SHMC_WAKE_TIMER,    /* the agent's timer finds them; the producer pays no wake-up */
    SHMC_WAKE_IMMEDIATE /* each commit wakes a sleeping agent: a fence, perhaps a system call */
};

/* Where the time of an event comes from; in the ring it is always UTC nanoseconds. */
enum shmc_clock {
    SHMC_CLOCK_COARSE, /* the kernel's last tick: some milliseconds exact, the cheapest */
    SHMC_CLOCK_NONE,   /* none: the agent takes the time of arrival */
    SHMC_CLOCK_TSC,    /* the cycle counter, about a microsecond exact; open spins a millisecond to
                          calibrate it. Where the counter is not invariant this is COARSE */
    SHMC_CLOCK_REAL    /* CLOCK_REALTIME */
};

enum shmc_kind {
    SHMC_JSON = 1, /* one JSON object in UTF-8 */
    SHMC_TEXT,     /* UTF-8 */
    SHMC_BYTES,    /* anything */
    SHMC_RECORD    /* packed by a declared schema; refused in this version, which has none */
};

enum shmc_pos {
    SHMC_ACCEPTED,  /* taken into the agent's log */
    SHMC_DURABLE,   /* that log write has been synced */
    SHMC_DELIVERED, /* every sink has confirmed */
    SHMC_COMMITTED  /* written by this handle */
};

/* Start from SHMC_OPTIONS_INIT. Zero means default everywhere. Strings are only read in open. */
struct shmc_options {
    uint32_t size_bytes;   /* sizeof(struct shmc_options) of the caller */
    uint32_t abi;          /* SHMC_ABI of the caller */
    const char *name;      /* in the ring's file name; default: the program's short name */
    const char *shm_dir;   /* default: HYDRANT_SHM_DIR, else /dev/shm/hydrant (root and system
                              users) or /dev/shm/hydrant-UID, by effective uid */
    uint64_t ring_bytes;   /* 64 KiB to 64 MiB, rounded up to a power of two; default 1 MiB */
    uint32_t full;         /* enum shmc_full */
    uint32_t wake;         /* enum shmc_wake */
    uint32_t clock;        /* enum shmc_clock */
    uint32_t flags;        /* 0 */
    uint64_t wait_ns_max;  /* of SHMC_FULL_WAIT; 0 = for ever */
    uint32_t agent_uid;    /* may own shm_dir beside root and us; default HYDRANT_AGENT_UID */
    uint32_t reserved[7];  /* 0 */
};

#define SHMC_OPTIONS_INIT                                                                          \
    {                                                                                              \
        sizeof(struct shmc_options), SHMC_ABI, NULL, NULL, 0, 0, 0, 0, 0, 0, 0,                    \
        {                                                                                          \
            0, 0, 0, 0, 0, 0, 0                                                                    \
        }                                                                                          \
    }

/*
 * Start from SHMC_STATS_INIT; fields may be added at the end. In C++ it is `struct shmc_stats`, as
 * a function has the name too.
 */
struct shmc_stats {
    uint32_t size_bytes;       /* in: sizeof(struct shmc_stats) of the caller */
    uint32_t quarantine;       /* 0, or the agent's reason: enum shm_quarantine of shm_wire.h */
    uint64_t events;           /* committed through this handle */
    uint64_t bytes;            /* their payloads */
    uint64_t drops_full;       /* dropped by SHMC_FULL_DROP */
    uint64_t drops_timeout;    /* 0: the caller is told and still has the event */
    uint64_t drops_too_large;  /* 0: the same */
    uint64_t drops_stale;      /* 0: the same */
    uint64_t high_water_bytes; /* most bytes not yet accepted, as seen on slow paths */
    uint64_t ring_bytes;       /* capacity */
    uint64_t committed;        /* positions, the last three as the agent has published them */
    uint64_t accepted;
    uint64_t durable;
    uint64_t delivered;
};

#define SHMC_STATS_INIT                                                                            \
    {                                                                                              \
        sizeof(struct shmc_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0                           \
    }

struct shmc;

/*
 * Makes a ring in shm_dir (the directory too, 0700, if there is none) and a handle for it, which
 * the caller owns. opt may be NULL. On failure *ret_handle is NULL and shmc_error(NULL) says why.
 * -EACCES or -EPERM: the directory is not to be trusted; -ENOSPC: the mount is full.
 */
SHMC_API int shmc_open(const struct shmc_options *opt, struct shmc **ret_handle);

/*
 * Says that the ring is final and lets go of it. What is in it stays for the agent; an open
 * reserve is given up. NULL is fine. -EBUSY from a signal handler that interrupted a call.
 */
SHMC_API int shmc_close(struct shmc *h);

/*
 * The number of a stream in this ring, declared on first use. Name:
 * [A-Za-z0-9][A-Za-z0-9_.-]{0,63}. Look it up once and keep the number.
 */
SHMC_API int shmc_stream(struct shmc *h, const char *name, uint16_t *ret_id);

/* Commits one event, with the time of the handle's clock. data may be NULL when len is 0. */
SHMC_API int shmc_write(struct shmc *h, uint16_t stream, uint8_t kind, const void *data,
                        size_t len);

/* The same with the caller's time, UTC; 0 = time of arrival. */
SHMC_API int shmc_write_at(struct shmc *h, uint16_t stream, uint8_t kind, uint64_t time_ns,
                           const void *data, size_t len);

/*
 * Opens a reserve: *ret_data are len_max bytes in the ring to be filled in place, 8-byte aligned,
 * borrowed until shmc_commit or shmc_abort. The time is taken here. One at a time.
 */
SHMC_API int shmc_reserve(struct shmc *h, uint16_t stream, uint8_t kind, size_t len_max,
                          void **ret_data);

/* Commits the first len bytes. -EINVAL: more than reserved (it stays open) or nothing reserved. */
SHMC_API int shmc_commit(struct shmc *h, size_t len);

/* Gives an open reserve up; nothing of it is ever seen. -EINVAL when there is none. */
SHMC_API int shmc_abort(struct shmc *h);

/*
 * Waits until everything committed so far has reached pos. SHMC_COMMITTED only wakes the agent.
 * timeout_ns 0 asks without waiting (-ETIMEDOUT: not there yet, the agent knows), UINT64_MAX waits
 * for ever.
 */
SHMC_API int shmc_flush(struct shmc *h, enum shmc_pos pos, uint64_t timeout_ns);

/* Where pos is now; everything below it is committed, accepted, durable, delivered. */
SHMC_API int shmc_position(struct shmc *h, enum shmc_pos pos, uint64_t *ret_pos);

/* The largest payload: a quarter of the ring, at most 1 MiB. 0 in a forked child. */
SHMC_API size_t shmc_event_bytes_max(const struct shmc *h);

/* Fills as much as the caller's struct has. -EINVAL when its size_bytes is 0. */
SHMC_API int shmc_stats(const struct shmc *h, struct shmc_stats *ret_stats);

/* The ring's file name within shm_dir; borrowed, lives as long as the handle. */
SHMC_API const char *shmc_name(const struct shmc *h);

/*
 * Text of the handle's last error, "" if there was none; -EAGAIN, -ETIMEDOUT and -EBUSY leave
 * none. h = NULL: of this thread's last failed open. Borrowed, until the next failing call.
 */
SHMC_API const char *shmc_error(const struct shmc *h);

/* SHMC_VERSION of the library in use. */
SHMC_API const char *shmc_version(void);

#ifdef __cplusplus
}
#endif

#endif
