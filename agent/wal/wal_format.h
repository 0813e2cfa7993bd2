/*
 * wal_format: every byte of the log. Pure.
 *
 * A shard's log is a sequence of segments, each a file of at most `segment_size` bytes:
 *
 *   wal/<shard %03u>-<epoch %016x>-<number %010u>.seg     (.new until header and CHECKPOINT are
 *                                                          synced: it holds nothing yet)
 *
 *   block 0          struct wal_segment_header, again at byte 2048, the rest zero
 *   block 1..        groups, one after the other
 *
 * lsn: position in the shard's log, counted on through all segments; byte b of a segment has lsn
 * start_lsn + b. A segment begins where the one before it ended (its last group, not its file): it
 * counts from its prev_end_lsn to that of the next one, which may be nothing at all (superseded).
 * The lsn of a frame is the position of its event in books and seals: it is unique and grows, so
 * that no ordinal is needed beside it.
 *
 * Group = body (spans of ring bytes, each 8-byte aligned, padded with zeros to a block; may be
 * empty) followed by one COMMIT record of whole blocks:
 *
 *   0   8  magic
 *   8   4  bytes        of this record, a multiple of 4096
 *   12  4  crc32c       of the record with this field zero, seeded by wal_crc_seed()
 *   16  8  lsn          of this record
 *   24  8  group_lsn    where the group's body begins = end of the COMMIT before
 *   32  8  synced_lsn   log known to be synced when this was written
 *   40  8  real_ns      UTC, arrival of the group's events
 *   48  8  boot_ns      boot clock
 *   56  4  items
 *   60  4  item_bytes
 *   64  ... items, each: u16 type, u16 flags (0), u32 len of what follows; body; padding to 8
 *
 * A COMMIT is valid if and only if magic, lsn and crc agree; a group counts if and only if its
 * COMMIT is valid and begins where the one before it ended. The seed contains the log's uuid,
 * epoch, segment number and lsn, so that old groups of a recycled segment, groups of other logs,
 * and copies of log blocks inside a payload never pass.
 *
 * The first two groups of a segment are the same CHECKPOINT: items from CHECKPOINT to
 * CHECKPOINT_END that restate everything needed from earlier segments. With the header twice, and
 * definitions and seals in two groups each (wal_writer.h), no damaged block takes more from the log
 * than the events of its own group. The segment's prev_end_lsn is its start_lsn.
 *
 * But a segment with WAL_SEGMENT_CONTINUES holds what the one before it, damaged, could not keep:
 * the groups from prev_end_lsn on, each at its lsn, so that start_lsn is one block (the header)
 * below.
 */
#ifndef WAL_WAL_FORMAT_H
#define WAL_WAL_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "io/file.h"
#include "shm_wire.h"
#include "wal/wal_source.h"

enum { WAL_HEADER_AGAIN = 2048, WAL_CHECKPOINTS = 2 };
enum { WAL_BLOCK = FILE_BLOCK_BYTES, WAL_NAME_MAX = 48, WAL_DEFS_MAX = SHM_DEFS_MAX };
enum { WAL_OUTPUTS_MAX = 16, WAL_TARGETS_MAX = 16, WAL_PARTITION_MAX = 1024 };
enum { WAL_SCHEMA_BYTES_MAX = 65000 };        /* of one, in a ring's SHM_DEFS_BYTES */

#define WAL_SEGMENT_MAGIC 0x3147455352445948ULL     /* "HYDRSEG1" */
#define WAL_COMMIT_MAGIC  0x314d4f4352445948ULL     /* "HYDRCOM1" */
#define WAL_VERSION       1U

enum { WAL_SEGMENT_CONTINUES = 1 };         /* flags */

struct wal_segment_header {
    uint64_t magic;
    uint32_t version;
    uint32_t shard;
    uint8_t uuid[16];       /* of the log: made with the data directory */
    uint64_t epoch;
    uint64_t number;        /* of the segment, grows through all epochs */
    uint64_t start_lsn;     /* of byte 0 of this file */
    uint64_t prev_end_lsn;  /* end of the segment before */
    uint64_t real_ns;
    uint8_t boot_id[16];
    uint32_t flags;
    uint32_t crc32c;        /* of the bytes before it */
};
_Static_assert(sizeof(struct wal_segment_header) == 96, "segment header");
_Static_assert(offsetof(struct wal_segment_header, crc32c) == 92, "segment header crc");

struct wal_commit {
    uint64_t magic;
    uint32_t bytes;
    uint32_t crc32c;
    uint64_t lsn;
    uint64_t group_lsn;
    uint64_t synced_lsn;
    uint64_t real_ns;
    uint64_t boot_ns;
    uint32_t items;
    uint32_t item_bytes;
};
_Static_assert(sizeof(struct wal_commit) == 64, "commit");
_Static_assert(offsetof(struct wal_commit, items) == 56, "commit items");

/* What the seed of a COMMIT's sum is made of. */
struct wal_identity {
    uint8_t uuid[16];
    uint64_t epoch;
    uint64_t segment;
};

uint32_t wal_crc_seed(const struct wal_identity *id, uint64_t lsn);

/* Sums the header, and lays it out twice in a block. Parse: 0 or -EBADMSG; either copy will do. */
void wal_segment_header_format(struct wal_segment_header *header);
void wal_segment_header_put(const struct wal_segment_header *header, uint8_t *block);
int wal_segment_header_parse(const void *block, struct wal_segment_header *ret_header);

static inline bool wal_segment_continues(const struct wal_segment_header *header)
{
    return (header->flags & WAL_SEGMENT_CONTINUES) != 0;
}

uint32_t wal_commit_bytes(uint32_t item_bytes);
/* Lays header and items into `record` (wal_commit_bytes() long) and sums it. */
void wal_commit_format(const struct wal_identity *id, struct wal_commit *header, const void *items,
                       uint8_t *record);
/* `len`: readable bytes. 0: valid, -EBADMSG: it is not a COMMIT of this place. */
int wal_commit_parse(const struct wal_identity *id, const uint8_t *record, size_t len, uint64_t lsn,
                     struct wal_commit *ret_header);
/* Could a COMMIT of this lsn start here? The cheap test before parsing. */
static inline bool wal_commit_begins(const uint8_t *block, uint64_t lsn)
{
    return bytes_get_u64(block) == WAL_COMMIT_MAGIC && bytes_get_u64(block + 16) == lsn;
}

void wal_segment_name(uint32_t shard, uint64_t epoch, uint64_t number, char ret_name[WAL_NAME_MAX]);
bool wal_segment_name_parse(const char *name, uint32_t *ret_shard, uint64_t *ret_epoch,
                            uint64_t *ret_number);

enum wal_item_type {
    WAL_SPAN = 1,           /* a run of ring bytes in this group's body */
    WAL_ATTACH,             /* a ring the log now knows */
    WAL_RETIRE,             /* drained and gone */
    WAL_DEF,                /* stream of a ring's definition; or it is a SCHEMA */
    WAL_STREAM,             /* a stream's settings from here on */
    WAL_SEAL,
    WAL_ACK,
    WAL_STAGED,
    WAL_LOST,
    WAL_TRIM,
    WAL_CHECKPOINT,
    WAL_CHECKPOINT_END,
    WAL_STREAM_TOTALS,      /* these three only in checkpoints */
    WAL_VERSION_TOTALS,
    WAL_SINK_TOTALS,
    WAL_INTAKE_DROPS,       /* what a ring's producer reports, as far as it is counted */
    WAL_RESEAL,             /* a sealed batch's file was damaged and has been made again */
    WAL_PARTITION,          /* only in checkpoints: how far one is sealed */
    WAL_SCHEMA,             /* a ring's definition that says how a stream's records are laid out */
    WAL_STREAM_SOURCES,     /* only in checkpoints, behind the totals: by which entrances */
    WAL_ITEM_TYPE_COUNT
    /* Kept free for what comes: UPLOAD, SOURCE. */
};

/* Why accepted events are gone: the log cannot give them back. */
enum wal_lost_reason {
    WAL_LOST_CORRUPT,
    WAL_LOST_UNSYNCED,
    WAL_LOST_CRASH,         /* routing it killed the agent, again and again */
    WAL_LOST_REASON_COUNT
};
extern const char *const wal_lost_names[WAL_LOST_REASON_COUNT];     /* "corrupt", ... */

/* Why accepted events were given up on purpose. */
enum wal_drop_reason { WAL_DROP_SINK_REMOVED, WAL_DROP_REASON_COUNT };
extern const char *const wal_drop_names[WAL_DROP_REASON_COUNT];     /* "sink_removed", ... */

#define WAL_NO_UID UINT32_MAX   /* a stream that has a section in the configuration */
enum wal_ack_how { WAL_ACK_DELIVERED, WAL_ACK_ABANDONED };

/* Text or bytes inside the record that was parsed; no NUL. */
struct wal_str {
    const char *at;
    uint32_t len;
};

struct wal_tally {
    uint16_t def;
    uint32_t events;
    uint64_t payload_bytes;
};

struct wal_target {
    struct wal_str sink;        /* name of the sink */
    struct wal_str directory;
    struct wal_str key;         /* relative to directory */
    uint8_t type;               /* enum target_type (flow/settings.h) */
    uint64_t staging_id;        /* of the staging directory that has it; 0: none */
};

struct wal_item {
    enum wal_item_type type;
    union {
        struct {
            uint32_t ring, events;
            uint64_t from, to;          /* ring positions, free-running: to may have wrapped */
            uint32_t offset;            /* of the bytes in the body */
            uint32_t crc32c;            /* of the bytes, seed 0 */
            uint16_t tallies;
            const uint8_t *tally_bytes; /* wal_tally_get() */
        } span;
        struct {
            uint32_t ring, uid, pid;
            uint64_t ino;
            uint64_t pos;               /* where reading begins */
            uint64_t lsn;               /* log position that covers what is before pos */
            uint8_t uuid[16];
            struct wal_str name;
        } attach;
        struct {
            uint32_t ring;
        } retire;
        struct {
            uint32_t ring, stream;
            uint16_t number;
        } def;
        struct {
            uint32_t ring;
            uint16_t number, stream_def;    /* of the definition it is of; both count alike */
            struct wal_str body;            /* 1..WAL_SCHEMA_BYTES_MAX; as in the ring */
        } schema;
        struct {
            uint32_t stream, version;
            uint32_t uid;               /* whose ring brought it into being, or WAL_NO_UID */
            uint64_t incarnation;
            uint16_t outputs;
            struct wal_str name;
            struct wal_str settings;    /* flow/settings.h */
        } stream;
        struct {
            uint64_t epoch, number;     /* of the batch */
            uint32_t stream, version;
            uint16_t output;
            uint16_t targets;
            uint32_t file_mode;
            uint32_t crc32c;            /* of the file's bytes, seed 0 */
            uint64_t first_lsn, last_lsn;
            uint64_t events, payload_bytes, file_bytes;
            uint64_t name_time_ns, arrival_ns;
            struct wal_str partition;   /* of the output, "": none; WAL_PARTITION_MAX */
            struct wal_target target[WAL_TARGETS_MAX];
        } seal;
        struct {
            uint64_t epoch, number;
            uint16_t target;
            uint8_t how;                /* enum wal_ack_how; unused in STAGED */
            uint8_t reason;             /* enum wal_drop_reason, of ABANDONED */
            uint64_t staging_id;        /* in STAGED alone */
        } ack;                          /* and STAGED */
        struct {
            uint64_t epoch, number;
            uint64_t file_bytes;
            uint32_t crc32c;
            uint16_t unstaged;          /* bit i: target i has to be staged again */
        } reseal;
        struct {
            uint64_t lsn;               /* of the span's bytes; 0: of none that is known */
            uint32_t ring, stream, version;     /* stream 0: a range of payload_bytes at lsn,
                                                   or, at 0, of the ring */
            uint8_t reason;
            uint64_t events, payload_bytes;
        } lost;
        struct {
            uint64_t lsn;
        } trim;
        struct {
            uint64_t trim_lsn, last_name_time_ns;
            uint32_t next_ring, next_stream;
            uint64_t lost_bytes[WAL_LOST_REASON_COUNT];
        } checkpoint;
        struct {
            uint32_t stream;
            uint64_t accepted, accepted_bytes, delivered;
            uint64_t dropped[WAL_DROP_REASON_COUNT], lost[WAL_LOST_REASON_COUNT];
        } stream_totals;
        struct {
            uint32_t stream;
            uint64_t accepted[WAL_SOURCE_COUNT];    /* FROM_RING is not in it: the rest */
        } stream_sources;
        struct {
            uint32_t stream, version;
            uint16_t outputs;
            uint64_t accepted, lost;
            uint64_t resolved_dropped[WAL_DROP_REASON_COUNT];
            uint64_t delivered[WAL_OUTPUTS_MAX];
            uint64_t dropped[WAL_OUTPUTS_MAX][WAL_DROP_REASON_COUNT];
            uint64_t sealed_lsn[WAL_OUTPUTS_MAX];
        } version_totals;
        struct {
            uint32_t stream, version;
            uint16_t output;
            uint64_t sealed_lsn;
            struct wal_str partition;   /* not "": that is in the totals of its version */
        } partition;
        struct {
            uint32_t stream;
            struct wal_str sink;
            uint64_t events, bytes, batches;
        } sink_totals;
        struct {
            uint32_t ring;              /* 0: the totals of all, in checkpoints */
            uint64_t drops[SHM_DROP_COUNT];     /* since the ring was attached */
        } intake;
    } u;
};

/* Appends one item; 0 or -ENOMEM. `tallies` only for SPAN. */
int wal_item_append(struct bytes *out, const struct wal_item *item,
                    const struct wal_tally *tallies);

/* Parses the item at *at (< end) and moves *at behind it. 0 or -EBADMSG. */
int wal_item_next(const uint8_t **at, const uint8_t *end, struct wal_item *ret_item);

struct wal_tally wal_tally_get(const struct wal_item *span, uint16_t i);

#endif
