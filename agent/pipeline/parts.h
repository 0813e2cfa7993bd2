/*
 * parts: what the stages of one shard share, and what the shards. For pipeline/ only.
 *
 *   admit.c     files -> rings          publish.c   how far -> rings, and their end
 *   drain.c     rings -> log            drops.c     what producers dropped
 *   gather.c    log -> batches          recovery.c  the log -> this state, at a start
 *   seal.c      batches -> sealed       snapshot.c  this state -> status
 *   target.c    where a batch goes      room.c      what is short, and who gives up what
 *   deliver.c   sealed -> delivered
 *   rebuild.c   the log -> a file       shard.c     the turn
 *   crash_note.c  the span that the agent dies of    deliver_remote.c  to the delivery thread
 *
 * and what all shards share:
 *
 *   shards.c     opening, ending     data_dir.c    locks, which log this is
 *   quota.c      how many in all     gathering.c   one question to all, one answer
 */
#ifndef PIPELINE_PARTS_H
#define PIPELINE_PARTS_H

#include "base/blocks.h"
#include "base/log.h"
#include "encode/compress.h"
#include "encode/encoding.h"
#include "encode/record_type.h"
#include "encode/writer.h"
#include "flow/ack.h"
#include "flow/stream.h"
#include "io/file.h"
#include "io/loop.h"
#include "pipeline/crash_note.h"
#include "pipeline/mailbox.h"
#include "pipeline/quota.h"
#include "pipeline/shard.h"
#include "pipeline/shards.h"
#include "pipeline/status.h"
#include "ring/attach.h"
#include "ring/discover.h"
#include "ring/frames.h"
#include "sink/delivery.h"
#include "sink/relay.h"
#include "sink/file.h"
#include "sink/spool.h"
#include "wal/wal_dir.h"
#include "wal/wal_reader.h"
#include "wal/wal_state.h"
#include "wal/wal_writer.h"

enum {
    SEALS_MIN = 1024,               /* batches between full and acknowledged: at least, at most */
    SEALS_MAX = 8192,
    BATCHES_MANY = 256,             /* not all are looked at each turn, beyond */
    PIECE_BYTES = 128 * 1024,       /* read, checked and summed while in the cache */
    SPAN_BYTES_MAX = 1088 * 1024,   /* of one ring in one turn; holds the largest frame */
    OUTSIDERS_MAX = 256,            /* ring files not taken that are remembered, half each kind */
    SPOOL_WAITING_MAX = 32,         /* blocks; beyond, encoding more only cools the caches */
    ENCODE_BLOCKS = 32,             /* more than one row or page takes */
    PACK_BYTES_IN_FLIGHT = 64 * BLOCK_BYTES,
    PACK_AT_ONCE = 4,               /* blocks the worker is given: few wakes */
    REPLAY_BYTES_A_TURN = 8 * 1024 * 1024
};

/* After a producer's death people can see so long why its ring was not read. */
#define QUARANTINE_KEPT_NS 600000000000ULL

enum ring_state {
    RING_READING,
    RING_RETIRING,                  /* drained, its producer dead; RETIRE is being synced */
    RING_QUARANTINED
};

struct ring {
    struct ring_file file;
    enum ring_state state;
    enum shm_quarantine reason;
    uint32_t id;
    uint64_t read_pos;              /* taken into a group */
    uint64_t accepted, durable, delivered;  /* published */
    uint64_t span_lsn;              /* end of the group of the last committed span */
    uint64_t span_barrier;          /* and its COMMIT, 0 = none since the start */
    uint64_t drain_to;              /* head when a flush or stop was asked for */
    uint64_t retire_barrier;
    uint64_t dead_ns;               /* boot clock when its producer was found dead, 0 = lives */
    uint64_t drops[SHM_DROP_COUNT]; /* of what its producer reports: counted, or on the way */
    uint64_t drops_ns;              /* boot clock when they were last believed */
    bool drops_doubted;
    uint64_t look_turn;             /* a cold ring's next; see drain_turn() */
    uint64_t seal_look_ns;          /* not before: streams to seal for its flush */
    enum shm_wait waits;            /* its next stream has no place */
    uint64_t retry_ns;              /* and is asked for again */
    uint32_t quiet_turns;
    bool check_alive;               /* something says that its producer may be gone */
    bool logged;                    /* the log knows it, or its ATTACH is on the way */
};

/* A ring file that is not taken. */
struct outsider {
    char name[SHM_RING_NAME_MAX + 1];
    uint64_t dev, ino;
    uint32_t uid, pid;
    uint64_t ring_bytes;
    enum shm_quarantine reason;     /* NONE: it waits */
    enum shm_wait waits;            /* NONE: it cannot be read */
    uint64_t dead_ns;               /* boot clock when its producer was found dead, 0 = lives */
    bool kept;                      /* it cannot be removed, and that has been said */
};

/* One destination of a batch that is being sealed or delivered. */
enum target_state {
    TARGET_STAGE,                   /* being linked into staging */
    TARGET_WAIT,                    /* for the seal */
    TARGET_READY,                   /* sealed: deliver, or copy first */
    TARGET_VERIFY,                  /* of an earlier start: being read and compared */
    TARGET_COPY,
    TARGET_STAGED,                  /* STAGED is being synced */
    TARGET_DELIVER,                 /* being renamed, or the delivery thread has it */
    TARGET_RETRY,
    TARGET_DAMAGED,                 /* its file is not what was sealed: has to be made again */
    TARGET_ACK,                     /* delivered; ACK not yet appended */
    TARGET_ABANDON,                 /* ACK(abandoned) is being synced, then its staging goes */
    TARGET_DONE
};

struct seal_target {
    struct sink_job job;
    struct seal_batch *seal;
    enum target_state state;
    enum target_type type;
    struct file_sink *sink;         /* NULL: a remote one, and these three are set */
    struct remote_job *remote;      /* owned; the delivery thread's in TARGET_DELIVER */
    char *place;                    /* owned; as target_settings.directory */
    char batch[BATCH_ID_MAX];
    char *name;                     /* owned; of the sink */
    char *key;                      /* owned */
    bool removed;                   /* the configuration has no such sink any more */
    bool verified;
    uint64_t barrier, retry_ns;
    uint64_t posted_ns;             /* boot clock: when the delivery thread got it */
    unsigned attempt;
};

enum seal_state {
    SEAL_OPEN,
    SEAL_ENCODE,                    /* what its writer holds is being written */
    SEAL_REBUILD,                   /* its file is gone and is made again from the log */
    SEAL_PACK,                      /* all is encoded; the rest is being compressed */
    SEAL_SPOOL,                     /* the rest is being written and synced */
    SEAL_STAGE,
    SEAL_LOG,                       /* waits for its turn to write the SEAL (or RESEAL) item */
    SEAL_SYNC,                      /* that is being synced */
    SEAL_DELIVER,
    SEAL_ACKED,                     /* all ACKs appended, being synced */
    SEAL_STATE_COUNT
};

/* A batch and its file, from the first event to the last acknowledgement. */
struct seal_batch {
    struct batch batch;             /* first */
    struct shard *shard;
    struct spool spool;
    struct writer *writer;          /* owned; NULL: error output, or all is written */
    uint64_t writer_bytes;          /* that it held at the last look */
    enum compress_type pack_type;
    int pack_level;
    struct compressor *compressor;  /* lent */
    struct block_chain packed;      /* compressed, not yet handed to the spool */
    uint32_t prefix_len;            /* of the partition's name: a rendered prefix */
    uint64_t event_ns;              /* time of the first event */
    int error;                      /* enum encoding_error: an error output, or -1 */
    enum seal_state state;
    struct seal_batch *next;        /* in the order of sealing */
    struct seal_batch *rest_prev;   /* of those at rest, where `next` is in no order */
    bool resting;
    uint32_t version;               /* of the stream's settings */
    uint16_t output;                /* which of them */
    bool sealed;                    /* its SEAL is synced */
    uint64_t sealed_ns;             /* when, by the boot clock; 0: by an earlier start */
    uint64_t rebuild_ns;            /* boot clock; not before */
    unsigned rebuilds;              /* attempts that failed */
    uint64_t name_time_ns;
    char staging[SPOOL_NAME_MAX];
    uint32_t file_mode, crc32c;
    uint64_t file_bytes;
    uint16_t targets;
    struct seal_target *target;     /* owned */
    uint64_t barrier;
};

/* Where routing stands within a group. */
struct gather {
    const uint8_t *item_at;         /* NULL: at the beginning of a group */
    uint64_t frame_at;
    bool item_met;                  /* the tables have seen the item at item_at */
    bool span_known;                /* and have taken it, if it is a span */
};

/* The batch whose file is being made again. */
struct rebuild {
    struct seal_batch *batch;       /* NULL: none, and the rest is not set */
    struct wal_reader reader;
    struct wal_state tables;        /* the log as of the reader's place */
    struct wal_group_view group;
    bool has_group;
    struct gather at;               /* where it stands within the group */
    struct stream_settings set;
    struct stream stream;           /* of its name */
    struct output output;           /* encoding NULL: its settings are not met yet */
    const char *parked;             /* why it is given up, once its file is at rest; NULL: no */
    bool learning, learned;         /* which columns there are, in a first pass */
    uint64_t events, payload_bytes;
};

enum stop_phase { STOP_NO, STOP_SCAN, STOP_DRAIN, STOP_DELIVER, STOP_LOG, STOP_DONE };

/* A ring that a log knew at the start. */
struct known_ring {
    uint8_t uuid[16];
    uint32_t shard;                 /* its number */
};

/* What is set before the threads begin, unless said otherwise, and read-only from then on. */
struct shards {
    struct shard_options opt;       /* strings owned */
    uint8_t uuid[16], boot_id[16];  /* of the log */
    uint64_t epoch;
    uint32_t pid;                   /* of this process */
    int data_dir, spool_dir, state_dir;     /* owned */
    struct shard **shard;           /* owned; by number */
    uint32_t count;                 /* surplus ones included */
    struct known_ring *known;       /* owned; by uuid */
    size_t known_count;
    uint32_t rings_at_start[WAL_SHARDS_END];    /* by number: ids below it were given before */
    struct status *past;            /* owned; books of logs without a shard; NULL: none */
    struct quota quota;             /* any thread */
    _Atomic(struct delivery *) delivery;    /* owned; shards_delivery() */
    _Atomic(struct relay *) relay;          /* owned; shards_relay() */
    uint32_t threads;               /* running, of the shards behind the first */
    bool started;                   /* and that of delivery, if there is one */
    _Atomic uint64_t stop_by_ns;    /* boot clock; 0: nobody has asked to stop */
    _Atomic uint32_t stopped;       /* shards that have */
    _Atomic bool ending;            /* no turn any more */
    _Atomic bool failing;           /* the first one to fail says why */
    _Atomic bool failed;            /* F1: and has said it */
    int failure;
    struct errmsg failure_text;
};

struct shard {
    struct shard_options opt;       /* strings borrowed from all; limits its own part */
    struct shards *all;             /* borrowed */
    uint32_t number;
    pthread_t thread;               /* but for the first */
    struct io_loop *loop;
    struct mailbox mailbox;
    uint64_t epoch, start_ns, turns;
    _Atomic bool turned;            /* its own to set, shards_turned() clears it */
    int data_dir, spool_dir;        /* borrowed */
    uint64_t recovered_lsn;         /* where the log ended at the start */
    bool recovered_unsure;          /* and whether a hole behind its last CHECKPOINT is in it */

    /* rings -> log */
    struct discover *discover;
    struct ring **rings;
    uint32_t rings_count, rings_next;   /* next: where the sweep begins */
    uint32_t rings_full;                /* that had something in the turn before */
    uint32_t defs_left;                 /* definitions that this turn may still take */
    uint64_t remove_left;               /* bytes of rings that this turn may still remove */
    struct ring **ring_hash;        /* by id, open addressing */
    uint32_t ring_hash_mask;
    uint32_t next_ring, next_stream;
    uint32_t forget_next, rings_at_start;   /* next: rings below it were looked for */
    struct frames_scratch scratch;
    struct io_op bell_op, watch_op;
    struct outsider outsiders[OUTSIDERS_MAX];   /* in order of arrival */
    uint32_t outsiders_count, outsiders_next;
    uint64_t outsiders_ns;              /* when some were looked at */
    uint64_t waiting_hidden;            /* that wait and are not in the list */
    bool watch_ready, scanning, rescan_later;
    _Atomic bool bell_rang;         /* set by the first shard's thread */
    bool busy;                      /* the turn before had something to do */
    uint64_t rescan_ns, probe_ns, drops_ns;
    uint32_t probe_next;

    /* log */
    struct wal_dir dir;
    struct wal_state state;
    struct wal_writer writer;
    uint64_t trim_barrier, trim_lsn, trim_retry_ns;
    uint64_t durable_published;     /* synced lsn up to which `durable` was published */
    uint64_t routed_published;      /* and `delivered`: routed lsn and finished batches of then */
    uint64_t finished_published;

    /* log -> batches */
    struct stream_table streams;
    struct gather gather;
    bool catching_up;               /* routing reads the log, not the chunks */
    struct wal_reader reader;
    struct wal_group_view replay;
    bool replay_has_group;
    struct wal_state replay_state;  /* the log as of the reader's place */
    uint64_t replay_synced_lsn;     /* known to have been synced before the start */
    uint64_t lost_barrier;          /* of the last LOST item */
    struct crash_note crash;

    /* batches -> delivered */
    struct block_pool pool, pack_pool;  /* of chains; of what is compressed */
    struct parquet_workspace *workspace;
    struct record_types record_types;
    struct seal_batch *encode_ends; /* may take more blocks than there should be; NULL: none */
    struct seal_batch *pack_ends;   /* may take the last of pack_pool's blocks; NULL: none does */
    struct pack_idle *packs;        /* compressors that no batch has */
    struct {                        /* compression beside the loop, a batch at a time */
        struct seal_batch *batch;   /* whose compressor and `packed` the worker has; NULL: none */
        struct block *blocks;       /* owned; of this batch, for the worker to read */
        bool ends;                  /* with them a frame ends */
        bool wanted;                /* others wait for the worker, or more of this one does */
        struct io_op op;
    } work;
    uint64_t packs_bytes, writers_bytes;    /* of all compressors, all writers */
    struct spool_queue spool_queue;
    struct ack_list unfinished;
    uint64_t batch_number, last_name_time_ns;
    struct seal_batch *seals, **seals_last;     /* but for those at rest */
    struct seal_batch *resting;     /* sealed; waits for the delivery thread alone */
    uint32_t seals_count;
    uint64_t batches_finished;      /* since the start */
    uint64_t batches_rebuilt;       /* files made again from the log, since the start */
    struct file_sink *sinks;
    _Atomic(struct remote_job *) remote_done;   /* back from the delivery thread; a stack */
    struct {                        /* in this turn, to be said in one line */
        uint64_t batches, events;
        char sink[STATUS_SINK_NAME_MAX + 1];
        bool others;
    } abandoned;
    uint64_t batches_due_ns;        /* no open batch is due before */
    struct rebuild rebuild;
    uint64_t room_ns, rebuild_look_ns;      /* where there are many batches, the next looks */
    uint64_t sealed_below;          /* what is open begins beyond, as far as the log is short */
    bool spool_full;                /* a batch waits for room: encode nothing more */
    uint64_t spool_bytes, spool_open_bytes; /* of all files of batches; of those not sealed */

    struct shard_request *flushes;        /* being carried out */
    bool backpressure[BACKPRESSURE_COUNT];      /* as of now */
    bool backpressure_said[BACKPRESSURE_COUNT]; /* met, and not yet over */
    struct histogram meters[METER_COUNT];       /* that of COMMIT is the writer's */
    uint64_t backpressure_ns[BACKPRESSURE_COUNT];   /* boot clock when it was last on */
    bool reload_later;
    enum stop_phase stop;
    uint64_t stop_by_ns, stop_scans_max;
    uint64_t idle_since_ns;
    int error;
    struct errmsg error_text;
};

/* The first error is final; the turn returns it. */
void shard_fail(struct shard *s, int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* A limit is over when it has not been met for so long: what comes and goes is said once. */
#define PRESSURE_OVER_NS 1000000000ULL
/* States a limit that is met or not; says so once each way. */
void shard_pressure(struct shard *s, enum status_backpressure which, bool on, const char *why);

/* Routed so far: everything below is in batches. */
uint64_t shard_routed_lsn(const struct shard *s);
/* Below it everything is delivered and acknowledged. */
uint64_t shard_low_water(const struct shard *s);

/* admit.c */
void admit_turn(struct shard *s);               /* looks for rings, takes those that may be */
/*
 * The limit that one more stream, brought into being by this user's ring, would exceed; if none, it
 * is counted, and *uid says for whom.
 */
enum shm_wait admit_stream(struct shard *s, const char *name, uint32_t *uid);

/* drain.c */
bool drain_turn(struct shard *s);               /* true: took something */
void drain_begin(struct shard *s);              /* targets = heads as of now */
bool drain_reached(const struct shard *s);      /* every ring accepted up to its target */
struct ring *drain_ring(const struct shard *s, uint32_t id);        /* NULL: not attached */
void drain_add(struct shard *s, struct ring *r);        /* there is a place for it */
void drain_quarantine(struct shard *s, struct ring *r, enum shm_quarantine reason);
void drain_drop(struct shard *s, struct ring *r);
void drain_close(struct shard *s);

/* drops.c */
/* The log has known and retired the ring, and what its producer reports is counted to its end. */
bool drops_counted(const struct shard *s, const struct ring_file *file);
void drops_attach(const struct shard *s, struct ring *r, const struct wal_ring *known);
void drops_turn(struct shard *s);               /* once a second */
int drops_take(struct shard *s, struct ring *r);    /* counts what is new; 0, -EAGAIN, -ENOMEM */

/* publish.c */
void publish_committed(struct shard *s, const struct wal_group *group);
void publish_turn(struct shard *s);             /* durable, delivered; retire what is drained */
/* Removes a ring's file. 0: done, -EAGAIN: in a later turn, -errno: it stays, which is said. */
int publish_remove(struct shard *s, const struct ring_file *file);
bool publish_retiring(const struct shard *s);   /* a drained ring of a dead producer will go */

/* gather.c */
bool gather_turn(struct shard *s);              /* true: routed something */
int gather_stream_add(struct shard *s, uint32_t id, uint32_t uid, const char *name,
                      struct stream **ret_stream);
/* Appends a STREAM item when settings differ from what is in the log. 0, -EAGAIN, -errno. */
int gather_stream_settings(struct shard *s, struct stream *st, struct errmsg *err);

/* What the tables of a reader take of an item: the same as those of the start did. -ENOMEM. */
int gather_tables_take(struct wal_state *tables, const struct wal_item *it, uint64_t end_lsn);
/* Are these the bytes that were checked before they were logged? */
bool gather_span_sound(struct shard *s, const struct wal_ring *ring, const struct wal_item *it,
                       const uint8_t *body, uint64_t body_len);

/* Type of the record that a definition of the ring describes. 0, or -ENOMEM, which is said. */
int gather_record(struct shard *s, const struct wal_ring *ring, uint16_t number, struct event *ev);

/* output.c */
enum { OUTPUT_ERROR_MARK = '!' };   /* begins the partition of an error output */
/* `folded`: all of its events are delivered. 0 or -errno, which is said. */
int output_open(struct shard *s, struct output *o, bool folded);
struct encoding *output_encoding(const struct output *o);
/* False: no block or no batch is to be had now. */
bool output_take(struct shard *s, struct output *o, const struct event *ev, uint64_t lsn,
                 uint64_t arrival_ns);
/* Does the event belong to this partition? 1, 0 or -ENOMEM. It is looked at. */
int output_has(struct output *o, const struct event *ev, const char *partition, uint32_t len);
/* Seals a batch that is full or due; with set->together all that its output has open. */
void output_seal_due(struct shard *s, struct batch *b);
/* Writes the event that was looked at last. */
enum writer_result output_write(struct seal_batch *sb, const struct encoding *e,
                                const struct event *ev, uint64_t arrival_ns);
void output_writer_close(struct seal_batch *sb);

/* pack.c */
void pack_choose(struct seal_batch *sb, const struct output_settings *set);
int pack_blocks(struct seal_batch *sb, bool all);   /* full ones, or all. 0, -EAGAIN: later */
/* What is compressed and not handed over. The worker has none of it, or never will again. */
void pack_forget(struct seal_batch *sb);
void pack_close(struct shard *s);

/* seal.c */
/* Without an event: it has to get one, or be discarded. NULL: no batch is to be had now. */
struct seal_batch *seal_open(struct shard *s, struct output *o, const char *partition,
                             uint32_t len, uint32_t hash, uint64_t lsn, uint64_t arrival_ns);
void seal_discard(struct shard *s, struct batch *b);
void seal_write_full(struct batch *b);          /* hands to the spool what can go */
void seal_begin(struct shard *s, struct batch *b);
/* No more events: it gets its name and its place in the row. False: the shard has failed. */
bool seal_end(struct shard *s, struct batch *b);
/* It has all its events: the rest is encoded, written and synced. */
void seal_encode(struct seal_batch *sb);
void seal_stream(struct shard *s, struct stream *st, uint64_t below_lsn);
bool seal_turn(struct shard *s);                /* true: something moved */
void seal_wake(struct seal_batch *sb);          /* if it rests: there is something to do */
int seal_resume(struct shard *s, const struct wal_seal *seal, struct errmsg *err);
void seal_close(struct shard *s);
void seal_spool_name(const struct batch_id *id, char ret_name[SPOOL_NAME_MAX]);
void seal_damaged_name(const struct batch_id *id, char ret_name[SPOOL_NAME_MAX]);
void seal_staging_name(const struct shard *s, const struct batch_id *id, char *ret_name);
void seal_staging_prefix(const struct shard *s, char *ret_prefix);

/* target.c */
/* The one for this directory, made if there is none. NULL: no memory. */
struct file_sink *target_sink(struct shard *s, const char *directory);
/* `name` of the sink, `place` its directory, bucket or URL. 0 or -ENOMEM. */
int target_init(struct seal_batch *sb, uint16_t i, enum target_type type, const char *name,
                const char *place, const char *key);
/* K1: the keys of all targets, rendered once, here, and logged. 0 or -errno. */
int targets_render(struct seal_batch *sb);
void targets_fini(struct seal_batch *sb);
void target_sinks_close(struct shard *s);

/* deliver.c */
bool deliver_step(struct seal_batch *sb);       /* true: something moved */
void deliver_turn_end(struct shard *s);         /* says what became of sinks */
/* All its targets are delivered, or the delivery thread's. */
bool deliver_rests(const struct seal_batch *sb);
void deliver_sinks_changed(struct shard *s);    /* asks again which ones are configured */
void deliver_resealed(struct seal_batch *sb);   /* its file is whole again */
void deliver_parked(struct seal_batch *sb, const char *why);    /* it cannot be made again */
uint16_t deliver_damaged(const struct seal_batch *sb);          /* bit i: target i */
/* Where it goes, as the log and people have it. */
const char *deliver_place(const struct seal_target *t);

/* deliver_remote.c */
int deliver_remote_init(struct seal_target *t, const char *place);
void deliver_remote_fini(struct seal_target *t);    /* the delivery thread does not have it */
void deliver_remote_begin(struct seal_target *t);   /* ends in t->job.done() in a later turn */
void deliver_remote_forget(const struct seal_target *t);    /* its ACK is synced */
bool deliver_remote_turn(struct shard *s);          /* true: something came back */

/* room.c */
/* More may be encoded: what is encoded is compressed and written fast enough. */
bool room_to_encode(const struct shard *s);
bool room_at_rest(const struct seal_batch *sb); /* kernel and worker have nothing of its file */
void room_seal_due(struct shard *s);            /* by time, and under pressure */
/* Thousands of batches, open ones or such that wait for a service, are not looked at each turn. */
bool room_look_due(const struct shard *s, uint64_t *look_ns);
void room_look(struct shard *s);                /* for batches that wait for room */
/* Its file, at rest, goes; rebuild.c makes it again, not before `after_ns` from now. */
void room_shed(struct seal_batch *sb, uint64_t after_ns);
void room_shed_later(struct seal_batch *sb);    /* the same after a failure of its spool */

/* rebuild.c */
bool rebuild_turn(struct shard *s);             /* true: something moved */
void rebuild_end(struct shard *s);              /* forgets the one under way */

/* recovery.c, in this order */
int recovery_read(struct shard *s, struct errmsg *err);
bool recovery_over(const struct shard *s);      /* the log holds nothing but books */
int recovery_finish(struct shard *s, struct errmsg *err);   /* what was read is durable */
int recovery_begin(struct shard *s, struct errmsg *err);    /* the rest, that one included */

/* shard.c: of a shard's life, what shards.c calls */
int shard_new(struct shards *a, uint32_t number, struct shard **ret_shard, struct errmsg *err);
int shard_begin(struct shard *s, struct errmsg *err);   /* every log was read */
void shard_quiet(struct shard *s);      /* by its own thread: answers what waits, ends its loop */
void shard_free(struct shard *s);       /* any thread, then; NULL is fine */

/* shards.c */
bool shards_own(const struct shard *s, const uint8_t ring_uuid[16]);
/* Is it for this shard to remove files of this batch that no seal claims? */
bool shards_cleans(const struct shard *s, const char *batch_id);
void shards_ring_bell(struct shards *a);        /* the first has heard it */
/* Ids are the log's own; on the ring itself the shard stands before it. */
static inline uint64_t shards_ring_id(uint32_t number, uint32_t id)
{
    return (uint64_t)number << 32 | id;
}
bool shards_ring_was_known(const struct shards *a, uint64_t ring_id);

/* data_dir.c */
int data_dir_open(struct shards *a, struct errmsg *err);
void data_dir_close(struct shards *a);
/*
 * `type` is what should be there, `path` says where. 0: the name is free or right, else -errno.
 */
int place_clear(int dir, const char *path, const char *name, uint32_t type);

/* gathering.c */
/* The first shard's: asks all, itself too by take(), and answers when they have. */
void gathering_begin(struct shard *s, struct shard_request *req,
                     void (*take)(struct shard *s, struct shard_request *req));

/* snapshot.c */
/* Of the first shard: with the books of logs that have none. */
int snapshot_make(const struct shard *s, struct status **ret_status);
/* Its books alone, before it has begun. */
int snapshot_books(const struct shard *s, struct status **ret_status);

#endif
