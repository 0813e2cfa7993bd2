/*
 * file: the sink that puts batches below a directory.
 *
 * A batch is staged: its spool file gets a second name in <directory>/.hydrant/, on the
 * destination's own file system; once it is sealed, delivery renames that name to its key. Where
 * the spool cannot be linked (another file system), the batch is copied into the staging directory
 * after the seal. Nothing below the directory is visible under a name that is not complete and
 * synced, but for ".hydrant".
 *
 * A staging name that is gone after a seal that saw it synced means: delivered (a consumer may
 * already have taken the file away).
 *
 * Owns:   descriptors of the directory and its staging directory.
 * Thread: shard.
 */
#ifndef SINK_FILE_H
#define SINK_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/errmsg.h"
#include "io/loop.h"
#include "sink/sink.h"

#define FILE_SINK_STAGING ".hydrant"

/* One destination directory, shared by all batches that go there. */
struct file_sink {
    struct file_sink *next;
    char *directory;                /* owned */
    int dir, staging_dir;           /* owned; -1: not open */
    unsigned jobs;                  /* under way */
    bool stale;                     /* removed or replaced: open it anew */
    bool failed;                    /* EIO: let go, so that it can be unmounted; open it anew */
    uint64_t dev, ino;              /* of the directory opened last; 0: none yet */
    uint32_t generation;            /* counts that: what was staged before is not here */
    uint64_t retries;               /* the pipeline's: deliveries that failed */
    uint64_t failing_ns;            /* when one was last seen to fail, boot clock */
    bool failing;                   /* that has been said, and is not yet over */
    char parent[OBJECT_KEY_MAX];    /* last folder of a key that was made and synced */
};

/*
 * Makes and opens the directories. 0 or -errno with a text; may be tried again. A directory that
 * was removed or replaced is made and opened by its path; one that failed is not made, for what is
 * there while it is not mounted is the wrong one.
 */
int file_sink_open(struct file_sink *sink, struct errmsg *err);
void file_sink_close(struct file_sink *sink);

/*
 * Each ends in job->done with job->result and, but for DONE, job->err.
 * stage:   DONE: the staging name exists, synced. RETRY: it does not; copy later.
 * verify:  DONE: the batch is in the staging directory, or else in the spool, byte for byte; or the
 *          staging name is gone, delivered. DAMAGED: it is not.
 * copy:    DONE: the staging name exists, synced. DAMAGED: the spool file is not what was sealed.
 * deliver: DONE: the key exists, synced. REJECT: something else has that name.
 */
void file_sink_stage(struct file_sink *sink, struct sink_job *job);
void file_sink_verify(struct file_sink *sink, struct sink_job *job);
void file_sink_copy(struct file_sink *sink, struct sink_job *job);
void file_sink_deliver(struct file_sink *sink, struct sink_job *job);

/* Closes what a job has open that the end of its loop has cut off. */
void file_sink_job_fini(struct sink_job *job);

/* Does its staging directory stand? Nothing is made. */
bool file_sink_there(const struct file_sink *sink);
/* Of a batch that shall not be delivered any more: it has been, its staging name is gone. */
bool file_sink_took(struct file_sink *sink, const struct sink_job *job);
/* Removes the staging name of such a batch, if there is one. 0 or -errno. */
int file_sink_unstage(struct file_sink *sink, const struct sink_job *job);

/*
 * Removes staging names that begin with `prefix` (this log's) and that keep() does not claim.
 * Returns how many, or -errno.
 */
typedef bool (*file_keep_fn)(void *ctx, const char *name);
int file_sink_clean(struct file_sink *sink, const char *prefix, file_keep_fn keep, void *ctx);

#endif
