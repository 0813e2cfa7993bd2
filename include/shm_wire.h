/*
 * shm_wire: every byte that a producer and the agent both see.
 *
 * May be included by the client library and by the agent. Everything here is little-endian and
 * 64-bit, holds offsets and never pointers, and is read by a peer that trusts none of it: read a
 * shared word once, check the copy, use the copy.
 *
 * A ring is one file in a tmpfs directory:
 *
 *   offset        bytes          written by   what
 *   0             page           producer     superblock, once, before the file is published
 *   page          page           producer     struct shm_producer; head on a line of its own
 *   2 * page      page           agent        struct shm_consumer
 *   3 * page      64 KiB         producer     definitions, append-only, immutable once published
 *   3 * page+64K  2^16..2^26     producer     frames, a byte ring; mapped twice in the producer
 *
 * The offsets above are also in the superblock; a reader refuses a file in which they differ.
 * Positions (head, accepted, durable, delivered) are free-running 64-bit byte counts; byte p lies
 * at data offset p & (data_bytes - 1). They are compared by unsigned difference only.
 *
 * Frame, 8-byte aligned, contiguous in the producer's mirrored mapping (it may wrap in the file):
 *
 *   0        4     len       payload bytes, at most shm_event_bytes_max(data_bytes)
 *   4        2     def       number of the stream or schema definition
 *   6        1     kind      enum shm_kind
 *   7        1     flags     0 in version 1
 *   8        8     time_ns   UTC nanoseconds; 0 = time of arrival
 *   16       len   payload
 *   16+len   0..7  padding to 8, zero; a reader ignores it
 *
 * The same frames are the bodies of the log and of the relay protocol.
 *
 * Definition, 8-byte aligned, numbers count up from 1 in order of appearance:
 *
 *   0   4    bytes       whole entry, a multiple of 8
 *   4   2    number      previous number + 1
 *   6   1    type        enum shm_def_type
 *   7   1    reserved    0
 *   8   4    body_len    bytes of the body
 *   12  2    stream      SCHEMA: number of the stream it belongs to; STREAM: 0
 *   14  2    reserved    0
 *   16  ...  body        STREAM: the name, no NUL. SCHEMA: its fields
 *
 * Body of a SCHEMA, what a record consists of. The fields follow each other without padding and end
 * with the body; there is at least one:
 *
 *   0   2    fields      how many
 *   2   2    reserved    0
 *   4   ...  fields, each:
 *            0  1    type      enum shm_field_type
 *            1  1    flags     SHM_FIELD_NULLABLE
 *            2  1    name_len  1..255
 *            3  1    reserved  0
 *            4  ...  name      UTF-8, no NUL in it; no two of a schema are equal
 *
 * Payload of an event of kind RECORD, whose frame names a schema. Both sides compute from the
 * schema where each field lies. Largest first there is no gap anywhere, and with a payload that
 * begins at a multiple of 8 each lies at a multiple of its size:
 *
 *   0   8 each       i64 u64 f64 timestamp, and string bytes as struct shm_ref, in declared order
 *   ..  4 each       i32 f32, in declared order
 *   ..  1 each       bool (0 or 1), in declared order
 *   ..  (fields+7)/8 present, only where a field is nullable: bit i % 8 of byte i / 8 is 1 when
 *                    field i has a value. Bits of fields that are not nullable are ignored, and so
 *                    is the place of a field that has no value
 *   ..  ...          what the refs point to, in any order. The lengths of all that have a value add
 *                    up to just these bytes, so that no byte is told twice
 */
#ifndef SHM_WIRE_H
#define SHM_WIRE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define SHM_MAGIC               0x31474e4952445948ULL /* "HYDRING1" in file order */
#define SHM_VERSION_MAJOR       1
#define SHM_VERSION_MINOR       0

#define SHM_DEFS_BYTES          65536U
#define SHM_RING_BYTES_MIN      65536U
#define SHM_RING_BYTES_MAX      67108864U
#define SHM_RING_BYTES_DEFAULT  1048576U
#define SHM_EVENT_BYTES_MAX     1048576U
#define SHM_STREAM_NAME_MAX     64U     /* [A-Za-z0-9][A-Za-z0-9_.-]{0,63} */
#define SHM_DEFS_MAX            1024U   /* definitions in one ring */
#define SHM_FIELDS_MAX          1024U   /* fields of one schema */
#define SHM_FIELD_NAME_MAX      255U

/* Files in shm_dir. A ring is built under "." name and published without the dot. */
#define SHM_RING_SUFFIX         ".ring"
#define SHM_RING_NAME_MAX       127U    /* with the suffix: [A-Za-z0-9_][A-Za-z0-9_.-]*\.ring */
#define SHM_BELL_NAME           ".bell" /* the agent's Unix datagram socket; content is ignored */
#define SHM_LOCK_NAME           ".lock" /* flock of the agent that owns the directory */

enum shm_kind {
    SHM_KIND_NONE,
    SHM_KIND_JSON,
    SHM_KIND_TEXT,
    SHM_KIND_BYTES,
    SHM_KIND_RECORD,
    SHM_KIND_COUNT
};

enum shm_def_type { SHM_DEF_STREAM = 1, SHM_DEF_SCHEMA = 2 };

enum shm_field_type {
    SHM_FIELD_BOOL = 1,
    SHM_FIELD_I32,
    SHM_FIELD_I64,
    SHM_FIELD_U64,
    SHM_FIELD_F32,
    SHM_FIELD_F64,
    SHM_FIELD_STRING,           /* UTF-8 */
    SHM_FIELD_BYTES,
    SHM_FIELD_TIMESTAMP,        /* i64: microseconds since 1970, UTC */
    SHM_FIELD_TYPE_COUNT
};

#define SHM_FIELD_NULLABLE 1U

/* Positions that the agent publishes, in the order of their meaning. */
enum shm_pos { SHM_POS_ACCEPTED, SHM_POS_DURABLE, SHM_POS_DELIVERED, SHM_POS_COUNT };

/* Why a producer dropped an event itself (struct shm_producer.drops). */
enum shm_drop {
    SHM_DROP_FULL,
    SHM_DROP_TIMEOUT,
    SHM_DROP_TOO_LARGE,
    SHM_DROP_STALE,
    SHM_DROP_COUNT
};

/* Why the agent stopped reading a ring (struct shm_consumer.quarantine). */
enum shm_quarantine {
    SHM_QUARANTINE_NONE,
    SHM_QUARANTINE_SUPERBLOCK,  /* superblock unreadable or not as its file */
    SHM_QUARANTINE_SIZE,        /* file shrunk, grown or with holes */
    SHM_QUARANTINE_POSITION,    /* head or accepted impossible */
    SHM_QUARANTINE_FRAME,       /* frame length, kind or flags impossible */
    SHM_QUARANTINE_DEFINITION,  /* definition malformed, changed or missing */
    SHM_QUARANTINE_DUPLICATE,   /* uuid of another ring */
    SHM_QUARANTINE_FOREIGN,     /* boot id of another boot, or position of another log */
    SHM_QUARANTINE_FAULT,       /* reading the file or its control pages failed */
    SHM_QUARANTINE_QUOTA,       /* not set by this agent: what exceeds a limit waits, see below */
    SHM_QUARANTINE_COUNT
};

/* Which limit keeps the agent from taking the ring, or its next definition, for the time being. */
enum shm_wait {
    SHM_WAIT_NONE,
    SHM_WAIT_RINGS,             /* rings_max */
    SHM_WAIT_RINGS_UID,         /* rings_per_uid_max */
    SHM_WAIT_BYTES_UID,         /* ring_bytes_per_uid_max */
    SHM_WAIT_STREAMS,           /* streams_max */
    SHM_WAIT_STREAMS_UID,       /* streams_per_uid_max */
    SHM_WAIT_COUNT
};

struct shm_superblock {
    uint64_t magic;
    uint16_t version_major;     /* another major: refuse */
    uint16_t version_minor;     /* higher minor: fields at the end that may be ignored */
    uint32_t incompat;          /* any bit not known: refuse */
    uint32_t page_bytes;
    uint32_t head_offset;       /* of the head line within the producer page; multiple of 128 */
    uint64_t defs_offset;
    uint64_t defs_bytes;
    uint64_t data_offset;
    uint64_t data_bytes;        /* power of two */
    uint64_t file_bytes;        /* data_offset + data_bytes */
    uint8_t uuid[16];           /* random, names the ring for ever */
    uint8_t boot_id[16];        /* /proc/sys/kernel/random/boot_id */
    uint64_t created_ns;        /* UTC */
    uint32_t pid;               /* informative only */
    uint32_t crc32c;            /* of the bytes before it */
};

/* Page 1. Written by the producer only. All words relaxed unless a comment says otherwise. */
struct shm_producer {
    _Atomic uint64_t drops[SHM_DROP_COUNT];
    _Atomic uint64_t high_water_bytes;          /* most bytes ever unaccepted, seen on slow paths */
    _Atomic uint32_t closed;                    /* 1: shmc_close was called, head is final */
    _Atomic uint32_t waiter;                    /* W1: 1 while the producer sleeps on a futex */
    _Atomic uint32_t defs_bytes;                /* D1: bytes of definitions published (release) */
    uint32_t reserved;
    _Atomic uint64_t wanted[SHM_POS_COUNT];     /* positions a flush waits for; 0 = none */
};

/* At page 1 + head_offset, alone in 128 bytes. */
struct shm_head {
    _Atomic uint64_t head;                      /* A1: bytes committed (release) */
};

/* One published position. The futex word changes after the position whenever a waiter is seen. */
struct shm_mark {
    _Atomic uint64_t pos;                       /* release by the agent, acquire by the producer */
    _Atomic uint32_t futex;
    uint8_t pad[116];
};

/* Page 2. Written by the agent only. */
struct shm_consumer {
    _Atomic uint64_t agent_epoch;               /* of the log that reads this ring; 0 = none yet */
    _Atomic uint64_t ring_id;                   /* in that log; shard above 32 bits; 0: let go */
    _Atomic uint32_t wanted;                    /* 1: ring the bell on the slow path */
    _Atomic uint32_t quarantine;                /* enum shm_quarantine, final once set */
    _Atomic uint64_t quarantine_pos;
    _Atomic uint32_t waits;                     /* enum shm_wait, for people; may end any time */
    uint32_t reserved;
    _Atomic uint64_t lost_pos;                  /* events before it, accepted and not yet durable,
                                                   were lost with the log (release); grows */
    uint8_t pad[80];
    struct shm_mark mark[SHM_POS_COUNT];        /* mark[ACCEPTED].pos is the ring's tail */
};

struct shm_frame {
    uint32_t len;
    uint16_t def;
    uint8_t kind;
    uint8_t flags;
    uint64_t time_ns;
};

struct shm_def {
    uint32_t bytes;
    uint16_t number;
    uint8_t type;
    uint8_t reserved0;
    uint32_t body_len;
    uint16_t stream;
    uint16_t reserved1;
};

struct shm_schema {
    uint16_t fields;
    uint16_t reserved;
};

struct shm_field {
    uint8_t type;
    uint8_t flags;
    uint8_t name_len;
    uint8_t reserved;
};

/* Bytes of a record, by their offset in the payload. */
struct shm_ref {
    uint32_t at;
    uint32_t len;
};

#define SHM_FRAME_ALIGN 8U

static inline uint64_t shm_frame_bytes(uint32_t len)
{
    return (sizeof(struct shm_frame) + (uint64_t)len + SHM_FRAME_ALIGN - 1)
           & ~(uint64_t)(SHM_FRAME_ALIGN - 1);
}

static inline uint32_t shm_event_bytes_max(uint64_t data_bytes)
{
    return data_bytes / 4 < SHM_EVENT_BYTES_MAX ? (uint32_t)(data_bytes / 4) : SHM_EVENT_BYTES_MAX;
}

#ifdef __cplusplus
#define SHM_STATIC_ASSERT static_assert
#else
#define SHM_STATIC_ASSERT _Static_assert
#endif
#define SHM_AT(type, field, at) \
    SHM_STATIC_ASSERT(offsetof(struct type, field) == (at), #type "." #field)

SHM_AT(shm_superblock, magic, 0);
SHM_AT(shm_superblock, version_major, 8);
SHM_AT(shm_superblock, version_minor, 10);
SHM_AT(shm_superblock, incompat, 12);
SHM_AT(shm_superblock, page_bytes, 16);
SHM_AT(shm_superblock, head_offset, 20);
SHM_AT(shm_superblock, defs_offset, 24);
SHM_AT(shm_superblock, defs_bytes, 32);
SHM_AT(shm_superblock, data_offset, 40);
SHM_AT(shm_superblock, data_bytes, 48);
SHM_AT(shm_superblock, file_bytes, 56);
SHM_AT(shm_superblock, uuid, 64);
SHM_AT(shm_superblock, boot_id, 80);
SHM_AT(shm_superblock, created_ns, 96);
SHM_AT(shm_superblock, pid, 104);
SHM_AT(shm_superblock, crc32c, 108);
SHM_STATIC_ASSERT(sizeof(struct shm_superblock) == 112, "shm_superblock");

SHM_AT(shm_producer, drops, 0);
SHM_AT(shm_producer, high_water_bytes, 32);
SHM_AT(shm_producer, closed, 40);
SHM_AT(shm_producer, waiter, 44);
SHM_AT(shm_producer, defs_bytes, 48);
SHM_AT(shm_producer, wanted, 56);
SHM_STATIC_ASSERT(sizeof(struct shm_producer) == 80, "shm_producer");
#define SHM_HEAD_OFFSET_MIN 128U  /* head_offset is in [this, page_bytes - 128] */

SHM_AT(shm_consumer, agent_epoch, 0);
SHM_AT(shm_consumer, ring_id, 8);
SHM_AT(shm_consumer, wanted, 16);
SHM_AT(shm_consumer, quarantine, 20);
SHM_AT(shm_consumer, quarantine_pos, 24);
SHM_AT(shm_consumer, waits, 32);
SHM_AT(shm_consumer, lost_pos, 40);
SHM_AT(shm_consumer, mark, 128);
SHM_STATIC_ASSERT(sizeof(struct shm_mark) == 128, "shm_mark");
SHM_STATIC_ASSERT(sizeof(struct shm_consumer) == 512, "shm_consumer");

SHM_AT(shm_frame, len, 0);
SHM_AT(shm_frame, def, 4);
SHM_AT(shm_frame, kind, 6);
SHM_AT(shm_frame, flags, 7);
SHM_AT(shm_frame, time_ns, 8);
SHM_STATIC_ASSERT(sizeof(struct shm_frame) == 16, "shm_frame");

SHM_AT(shm_def, bytes, 0);
SHM_AT(shm_def, number, 4);
SHM_AT(shm_def, type, 6);
SHM_AT(shm_def, body_len, 8);
SHM_AT(shm_def, stream, 12);
SHM_STATIC_ASSERT(sizeof(struct shm_def) == 16, "shm_def");

SHM_AT(shm_schema, fields, 0);
SHM_STATIC_ASSERT(sizeof(struct shm_schema) == 4, "shm_schema");

SHM_AT(shm_field, type, 0);
SHM_AT(shm_field, flags, 1);
SHM_AT(shm_field, name_len, 2);
SHM_STATIC_ASSERT(sizeof(struct shm_field) == 4, "shm_field");

SHM_AT(shm_ref, at, 0);
SHM_AT(shm_ref, len, 4);
SHM_STATIC_ASSERT(sizeof(struct shm_ref) == 8, "shm_ref");

SHM_STATIC_ASSERT(sizeof(_Atomic uint64_t) == 8, "a lock-free word");
SHM_STATIC_ASSERT(sizeof(_Atomic uint32_t) == 4, "a lock-free word");

#endif
