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
 * Signals: shmc_write*, shmc_reserve, shmc_commit, shmc_abort, shmc_record_*, shmc_set_*,
 *          shmc_position and shmc_stats may be called from a signal handler; one that interrupts
 *          another call on the same handle gets -EBUSY. shmc_open may not, nor may a handler that
 *          interrupts it fork.
 * Units:   bytes; nanoseconds. A position counts the bytes that the ring ever took, headers
 *          and padding included; it only grows.
 * Errors:  0 or -errno. An argument that is wrong in itself is -EINVAL; only shmc_close and
 *          shmc_error take NULL for a handle. What each errno means:
 *
 *   -EAGAIN      the ring is full and full = SHMC_FULL_FAIL; the caller still has the event
 *   -ETIMEDOUT   waited as long as was allowed; the caller still has the event
 *   -EMSGSIZE    larger than shmc_event_bytes_max(); no policy changes that, nothing is counted
 *   -EBUSY       call nested in another one on this handle, or a reserve is open
 *   -ECHILD      the handle was opened before fork
 *   -ESTALE      the agent has quarantined the ring, or its words in the ring make no sense, or
 *                the ring's file was removed and nobody takes what is in it (told by a flush, and
 *                by a write when the ring is full); shmc_error() has the reason. Close the handle
 *                and open another
 *   -EIO         flush to durable or delivered: events that were accepted and not yet durable were
 *                lost with the agent's log (a host or disk that failed). Told once; write again
 *                what was written since the last flush that returned 0
 *   -ENOSPC      shared memory is full (open) or the ring's definitions are (shmc_stream,
 *                shmc_schema)
 *   -EALREADY    the field of this record has a value already (shmc_set_*)
 *   -ENODATA     a field that is not nullable has no value (shmc_record_commit,
 *                shmc_write_struct)
 *   -E2BIG       an option is set that only a newer library knows (open)
 */
#ifndef SHM_CLIENT_H
#define SHM_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SHMC_VERSION "1.1.0"
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
    SHMC_RECORD    /* packed by a declared schema, whose number stands in the stream's place */
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

/* ---- typed records ---- */

/*
 * A record is an event whose fields have types. Its fields are declared once as a schema, which
 * belongs to a stream; then a record is filled from a struct of C by one call, or field by field,
 * or packed by the program itself. Nothing of the field's names or types travels with it.
 *
 *     #define PAYMENT(FIELD, s)               \
 *         FIELD(s, TIMESTAMP, at)             \
 *         FIELD(s, STRING, user)              \
 *         FIELD(s, CHARS, country, 2)         \
 *         FIELD(s, F64, amount)               \
 *         FIELD(s, OPT_I32, status)
 *     SHMC_STRUCT(payment, PAYMENT);
 *
 *     struct payment p = {.at = now_us, .user = "ann", .country = {'D', 'E'}, .amount = 9.5};
 *     rc = shmc_schema(ring, stream, payment_fields, payment_count, &schema);
 *     rc = shmc_write_struct(ring, schema, &p);
 */
enum shmc_type {
    SHMC_TYPE_BOOL = 1,
    SHMC_TYPE_I32,
    SHMC_TYPE_I64,
    SHMC_TYPE_U64,
    SHMC_TYPE_F32,
    SHMC_TYPE_F64,
    SHMC_TYPE_STRING,   /* UTF-8; the agent checks it, and refuses a record that breaks it */
    SHMC_TYPE_BYTES,
    SHMC_TYPE_TIMESTAMP /* int64_t: microseconds since 1970, UTC */
};

/* How a value stands in the struct that shmc_write_struct reads. */
enum shmc_source {
    SHMC_FROM_NOWHERE, /* it does not: the schema is not for shmc_write_struct */
    SHMC_FROM_VALUE,   /* as itself; not string or bytes */
    SHMC_FROM_FLAG,    /* the same, with a bool at `extra` that says whether there is a value */
    SHMC_FROM_STRING,  /* const char *, with a NUL behind the text; string. NULL: no value */
    SHMC_FROM_POINTER, /* const void *, with a size_t at `extra`; string, bytes. NULL: no value */
    SHMC_FROM_CHARS,   /* char[extra], to the first NUL or the end; string */
    SHMC_FROM_ARRAY    /* uint8_t[extra], all of it; bytes */
};

#define SHMC_NULLABLE 1 /* may have no value */

struct shmc_field {
    const char *name; /* UTF-8, 1 to 255 bytes; no two of a schema are equal */
    uint8_t type;     /* enum shmc_type */
    uint8_t flags;    /* SHMC_NULLABLE */
    uint8_t source;   /* enum shmc_source */
    uint8_t reserved; /* 0 */
    uint32_t offset;  /* of the member in the struct; 0 from nowhere */
    uint32_t extra;   /* as the source says; else 0 */
    uint32_t reserved2;
};

/*
 * SHMC_STRUCT(name, LIST) makes struct name, the table name_fields and the number name_count. LIST
 * is a macro of two arguments that calls the first with the second, a kind and a member, once for
 * each field:
 *
 *     BOOL I32 I64 U64 F32 F64 TIMESTAMP   the value
 *     STRING                               const char *, NUL at its end
 *     TEXT, BYTES                          const char *m or const void *m, and size_t m_len
 *     CHARS, ARRAY (with a length)         char m[n], to the first NUL or the end; uint8_t m[n]
 *
 * Each but CHARS and ARRAY also as OPT_...: nullable. Then values have a bool has_m in front of
 * them, and a pointer that is NULL is no value. So a member that is left zero has none.
 */
#define SHMC_STRUCT(name, LIST)                                                                    \
    struct name {                                                                                  \
        LIST(SHMC_MEMBER, name)                                                                    \
    };                                                                                             \
    static const struct shmc_field name##_fields[] __attribute__((unused)) = {                     \
        LIST(SHMC_DESCRIBE, name)};                                                                \
    enum { name##_count = sizeof(name##_fields) / sizeof(name##_fields[0]) }

#define SHMC_MEMBER(s, kind, ...)   SHMC_MEMBER_##kind(__VA_ARGS__)
#define SHMC_DESCRIBE(s, kind, ...) SHMC_DESCRIBE_##kind(s, __VA_ARGS__)

#define SHMC_MEMBER_BOOL(m)          bool m;
#define SHMC_MEMBER_I32(m)           int32_t m;
#define SHMC_MEMBER_I64(m)           int64_t m;
#define SHMC_MEMBER_U64(m)           uint64_t m;
#define SHMC_MEMBER_F32(m)           float m;
#define SHMC_MEMBER_F64(m)           double m;
#define SHMC_MEMBER_TIMESTAMP(m)     int64_t m;
#define SHMC_MEMBER_OPT_BOOL(m)      bool has_##m, m;
#define SHMC_MEMBER_OPT_I32(m)       bool has_##m; int32_t m;
#define SHMC_MEMBER_OPT_I64(m)       bool has_##m; int64_t m;
#define SHMC_MEMBER_OPT_U64(m)       bool has_##m; uint64_t m;
#define SHMC_MEMBER_OPT_F32(m)       bool has_##m; float m;
#define SHMC_MEMBER_OPT_F64(m)       bool has_##m; double m;
#define SHMC_MEMBER_OPT_TIMESTAMP(m) bool has_##m; int64_t m;
#define SHMC_MEMBER_STRING(m)        const char *m;
#define SHMC_MEMBER_OPT_STRING(m)    const char *m;
#define SHMC_MEMBER_TEXT(m)          const char *m; size_t m##_len;
#define SHMC_MEMBER_OPT_TEXT(m)      const char *m; size_t m##_len;
#define SHMC_MEMBER_BYTES(m)         const void *m; size_t m##_len;
#define SHMC_MEMBER_OPT_BYTES(m)     const void *m; size_t m##_len;
#define SHMC_MEMBER_CHARS(m, n)      char m[n];
#define SHMC_MEMBER_ARRAY(m, n)      uint8_t m[n];

#define SHMC_ROW(s, m, type, flags, source, extra)                                                 \
    {#m, SHMC_TYPE_##type, flags, SHMC_FROM_##source, 0, (uint32_t)offsetof(struct s, m), extra, 0},
#define SHMC_AT(s, m) ((uint32_t)offsetof(struct s, m))

#define SHMC_DESCRIBE_BOOL(s, m)       SHMC_ROW(s, m, BOOL, 0, VALUE, 0)
#define SHMC_DESCRIBE_I32(s, m)        SHMC_ROW(s, m, I32, 0, VALUE, 0)
#define SHMC_DESCRIBE_I64(s, m)        SHMC_ROW(s, m, I64, 0, VALUE, 0)
#define SHMC_DESCRIBE_U64(s, m)        SHMC_ROW(s, m, U64, 0, VALUE, 0)
#define SHMC_DESCRIBE_F32(s, m)        SHMC_ROW(s, m, F32, 0, VALUE, 0)
#define SHMC_DESCRIBE_F64(s, m)        SHMC_ROW(s, m, F64, 0, VALUE, 0)
#define SHMC_DESCRIBE_TIMESTAMP(s, m)  SHMC_ROW(s, m, TIMESTAMP, 0, VALUE, 0)
#define SHMC_DESCRIBE_OPT(s, m, type)                                                              \
    SHMC_ROW(s, m, type, SHMC_NULLABLE, FLAG, SHMC_AT(s, has_##m))
#define SHMC_DESCRIBE_OPT_BOOL(s, m)   SHMC_DESCRIBE_OPT(s, m, BOOL)
#define SHMC_DESCRIBE_OPT_I32(s, m)    SHMC_DESCRIBE_OPT(s, m, I32)
#define SHMC_DESCRIBE_OPT_I64(s, m)    SHMC_DESCRIBE_OPT(s, m, I64)
#define SHMC_DESCRIBE_OPT_U64(s, m)    SHMC_DESCRIBE_OPT(s, m, U64)
#define SHMC_DESCRIBE_OPT_F32(s, m)    SHMC_DESCRIBE_OPT(s, m, F32)
#define SHMC_DESCRIBE_OPT_F64(s, m)    SHMC_DESCRIBE_OPT(s, m, F64)
#define SHMC_DESCRIBE_OPT_TIMESTAMP(s, m) SHMC_DESCRIBE_OPT(s, m, TIMESTAMP)
#define SHMC_DESCRIBE_STRING(s, m)     SHMC_ROW(s, m, STRING, 0, STRING, 0)
#define SHMC_DESCRIBE_OPT_STRING(s, m) SHMC_ROW(s, m, STRING, SHMC_NULLABLE, STRING, 0)
#define SHMC_DESCRIBE_TEXT(s, m)       SHMC_ROW(s, m, STRING, 0, POINTER, SHMC_AT(s, m##_len))
#define SHMC_DESCRIBE_OPT_TEXT(s, m)                                                               \
    SHMC_ROW(s, m, STRING, SHMC_NULLABLE, POINTER, SHMC_AT(s, m##_len))
#define SHMC_DESCRIBE_BYTES(s, m)      SHMC_ROW(s, m, BYTES, 0, POINTER, SHMC_AT(s, m##_len))
#define SHMC_DESCRIBE_OPT_BYTES(s, m)                                                              \
    SHMC_ROW(s, m, BYTES, SHMC_NULLABLE, POINTER, SHMC_AT(s, m##_len))
#define SHMC_DESCRIBE_CHARS(s, m, n)   SHMC_ROW(s, m, STRING, 0, CHARS, n)
#define SHMC_DESCRIBE_ARRAY(s, m, n)   SHMC_ROW(s, m, BYTES, 0, ARRAY, n)

/*
 * The number of a schema of that stream, declared on first use; one that is equal in all its fields
 * has the same number, any other gets another. At most 1024 fields. The number counts with those of
 * streams. -EINVAL: shmc_error() says which field, and why.
 */
SHMC_API int shmc_schema(struct shmc *h, uint16_t stream, const struct shmc_field *fields,
                         unsigned int count, uint16_t *ret_id);

/*
 * Commits one record whose values are in the struct that the schema describes, with the time of the
 * handle's clock. Full rings are as in shmc_write. -ENODATA: a pointer is NULL, and its field is
 * not nullable (one with a length may be NULL when that is 0). -EINVAL: the schema is from nowhere.
 */
SHMC_API int shmc_write_struct(struct shmc *h, uint16_t schema, const void *value);

/* The same with the caller's time, UTC; 0 = time of arrival. */
SHMC_API int shmc_write_struct_at(struct shmc *h, uint16_t schema, uint64_t time_ns,
                                  const void *value);

/*
 * Opens a record to be filled field by field, in any order, with at most bytes_max bytes in all its
 * strings and byte fields. The time is taken here. Like a reserve: one at a time, and shmc_abort
 * gives it up.
 */
SHMC_API int shmc_record_begin(struct shmc *h, uint16_t schema, size_t bytes_max);

/*
 * Field number `field` of the open record, counted from 0 as declared; once each, and of that type.
 * What is not set has no value. The first of these that fails also fails shmc_record_commit, so
 * that looking there is enough. -EINVAL: no such field, or of another type; -EALREADY; -EMSGSIZE:
 * more than bytes_max.
 */
SHMC_API int shmc_set_bool(struct shmc *h, unsigned int field, bool value);
SHMC_API int shmc_set_i32(struct shmc *h, unsigned int field, int32_t value);
SHMC_API int shmc_set_i64(struct shmc *h, unsigned int field, int64_t value);
SHMC_API int shmc_set_u64(struct shmc *h, unsigned int field, uint64_t value);
SHMC_API int shmc_set_f32(struct shmc *h, unsigned int field, float value);
SHMC_API int shmc_set_f64(struct shmc *h, unsigned int field, double value);
SHMC_API int shmc_set_timestamp(struct shmc *h, unsigned int field, int64_t value_us);
SHMC_API int shmc_set_string(struct shmc *h, unsigned int field, const char *text, size_t len);
SHMC_API int shmc_set_bytes(struct shmc *h, unsigned int field, const void *data, size_t len);

/*
 * Commits the open record. If a field could not be set, or -ENODATA, the record is given up.
 * -EINVAL: none is open.
 */
SHMC_API int shmc_record_commit(struct shmc *h);

/*
 * A program that packs records itself lays them out as shm_wire.h draws it, and commits them by
 * shmc_write or shmc_reserve with the schema's number and SHMC_RECORD. Only the length of the fixed
 * part is checked there (-EINVAL). A malformed record is one that the agent refuses alone: it goes
 * to the stream's error output.
 */

/* ---- questions ---- */

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
