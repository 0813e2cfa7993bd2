/*
 * wal_dir: the files of one shard's log: which segments there are, their locks, what is set aside,
 * what is trimmed.
 *
 * Owns:   the directory's descriptor and the list of segments.
 * Thread: shard; the tools use it in their own process.
 */
#ifndef WAL_WAL_DIR_H
#define WAL_WAL_DIR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/errmsg.h"
#include "wal/wal_format.h"

enum { WAL_SPARES_MAX = 4 };

struct wal_segment {
    char name[WAL_NAME_MAX];
    struct wal_segment_header header;   /* checked */
    uint64_t size_bytes;                /* of the file */
    uint64_t end_lsn;                   /* of the last group; known for all but the one written */
    bool damaged;                       /* a write or sync has failed: it is not written again */
};

/* What cannot be read is asked for so often before it counts as lost: some errors pass. */
enum { WAL_READ_ATTEMPTS = 3 };

/* Of a segment's file: what the disk could not read. */
struct wal_bad {
    uint64_t segment, from, to;
};

struct wal_dir {
    int fd;                             /* owned */
    char *path;                         /* owned */
    uint32_t shard;
    struct wal_segment *segments;       /* owned; by number */
    uint32_t count, cap;
    uint64_t number_max;                /* of all names found at the opening */
    uint32_t set_aside;                 /* files renamed because they could not be read */
    struct wal_bad *bad;                /* owned */
    uint32_t bad_count, bad_cap;
    uint32_t passed_over;               /* files that could not be renamed or removed either */
    /*
     * Trimmed files kept to be written again under another number: their blocks are there, so that
     * neither a write nor its sync has metadata to write. Named ".new", they are never read.
     */
    char spare[WAL_SPARES_MAX][WAL_NAME_MAX];
    uint32_t spares, spares_max;        /* spares_max is the owner's to set; 0: none are kept */
};

/*
 * Opens (makes) the directory and lists the segments of this shard. With `repair`: waits for each
 * segment's lock (a killed writer's last write may still land), and renames what is unreadable, of
 * another log or out of order to "<name>.aside", never deleting it; where that fails too the file
 * is passed over. Running out of descriptors or memory says nothing about a file and is an error.
 * What a writer had not finished to begin (".new") goes. `uuid`: of the log.
 */
int wal_dir_open(const char *path, uint32_t shard, const uint8_t uuid[16], bool repair,
                 struct wal_dir *ret_dir, struct errmsg *err);
void wal_dir_close(struct wal_dir *dir);

/*
 * Which shards have segments there, begun ones included: calls on_shard once for each, in ascending
 * order. 0, or -errno (-ENOENT: no such directory).
 */
enum { WAL_SHARDS_END = 1000 };         /* three digits */
int wal_dir_shards(const char *path, void (*on_shard)(void *ctx, uint32_t shard), void *ctx);

/* The name under which the segment `name` is made; a start removes what still has it. */
void wal_dir_name_new(const char *name, char ret_name[WAL_NAME_MAX]);

/* Adds the segment that the writer has just made. */
int wal_dir_add(struct wal_dir *dir, const struct wal_segment *segment);

/*
 * How many segments end at or below lsn and may go: never the last one, and none that the next one
 * continues unless that one goes too, for it can't be understood alone.
 */
uint32_t wal_dir_trimmable(const struct wal_dir *dir, uint64_t lsn);

/*
 * Removes those, oldest first; some stay as spares. Each is gone for good before the next goes, so
 * that no power cut leaves an old one behind with a gap after it.
 */
int wal_dir_trim(struct wal_dir *dir, uint64_t lsn, struct errmsg *err);

/* Renames a spare to `name` and forgets it; -ENOENT: there is none. */
int wal_dir_reuse(struct wal_dir *dir, const char *name);
void wal_dir_drop_spares(struct wal_dir *dir);

/*
 * What could not be read once counts as unreadable from then on, though the next attempt might well
 * succeed: all readers of one life must see the same log. add: 1, 0: it was known, or -ENOMEM.
 * mask: makes zeros of what of the file's bytes at `offset` is unreadable.
 */
int wal_dir_bad_add(struct wal_dir *dir, uint64_t segment, uint64_t from, uint64_t to);
void wal_dir_bad_mask(const struct wal_dir *dir, uint64_t segment, uint8_t *data, size_t len,
                      uint64_t offset);

/* Bytes of all segment files but spares. */
uint64_t wal_dir_bytes(const struct wal_dir *dir);

/* The segment that counts for lsn, or NULL. */
struct wal_segment *wal_dir_find(const struct wal_dir *dir, uint64_t lsn);

/* Where the last segment at or below lsn with a CHECKPOINT begins; UINT64_MAX: there is none. */
uint64_t wal_dir_checkpoint_lsn(const struct wal_dir *dir, uint64_t lsn);

#endif
