/*
 * cli_wal_files: the directory of a log, every file of it, also what no reader of the log would
 * look at.
 *
 * Owns:   struct wal_files owns its array and names.
 * Thread: main.
 */
#ifndef CLI_CLI_WAL_FILES_H
#define CLI_CLI_WAL_FILES_H

#include "base/errmsg.h"
#include "io/file.h"
#include "wal/wal_format.h"

enum wal_file_kind {
    WAL_FILE_SEGMENT,       /* by its name */
    WAL_FILE_NEW,           /* to become one: a spare, the next one, or left by a dead agent */
    WAL_FILE_ASIDE,
    WAL_FILE_OTHER
};

struct wal_file {
    char *name;             /* owned */
    enum wal_file_kind kind;
    uint32_t shard;         /* these three by its name, 0 in OTHER */
    uint64_t epoch, number;
    struct file_stat stat;
    int err;                /* 0: `header` is good; -EBADMSG: no header; or why it can't be read */
    struct wal_segment_header header;
    bool half;              /* one of the header's two copies is damaged */
    bool locked;            /* some process has its lock: an agent is at work on it */
};

struct wal_files {
    struct wal_file *items; /* owned; segments first, by shard and number, then the rest by name */
    size_t count, cap;
    struct file_stat data_dir;
    bool live;              /* an agent has locked the data_dir or one of the files */
};

/*
 * 0 or -errno with a text that says what to do. Files that vanish meanwhile are left out. Locks are
 * looked up, never taken. `data_dir` may be NULL; with it `live` is exact, without it an agent that
 * is just beginning a segment may be missed.
 */
int wal_files_read(const char *path, const char *data_dir, struct wal_files *ret_files,
                   struct errmsg *err);
void wal_files_free(struct wal_files *files);

/* The file of that name, or NULL. */
const struct wal_file *wal_files_find(const struct wal_files *files, const char *name);

/*
 * Is there a log that can be read? 0 or -errno with a text: no segment at all, or one that we may
 * not open.
 */
int wal_files_check(const struct wal_files *files, const char *path, struct errmsg *err);

/* Why no header could be read. */
const char *wal_file_trouble(const struct wal_file *file);

#endif
