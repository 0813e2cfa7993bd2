/*
 * file: the sink that puts batches below a directory.
 *
 * A batch is staged: its spool file gets a second name in <directory>/.hydrant/, on the
 * destination's own file system; once it is sealed, delivery renames that name to its key. Where
 * the spool cannot be linked (another file system), the batch is copied into the staging directory
 * after the seal. Nothing below the directory is visible under a name that is not complete and
 * synced, but for ".hydrant".
 *
 * A staging name that is gone after a seal that saw it synced means delivered (a consumer may
 * already have taken the file away), if it is the same staging directory. That has an identity: an
 * empty file id-<16 hex digits>, made at random and synced before the first batch is staged. The
 * name says it all: nothing in it can be torn. A batch remembers the identity that it was staged
 * under. Where that is missing, the directory was removed, emptied or replaced: the batch was not
 * delivered, and is copied from the spool again, which is kept until the acknowledgement. Agents
 * that share a directory share what they find; two that make one at the same moment leave two, and
 * both hold.
 *
 * A directory that is copied or restored from a backup brings its identity along: a batch whose
 * staging name is not in it counts as delivered. Whoever restores one without the files that were
 * delivered later, and wants what was under way then delivered again, removes ".hydrant" from it
 * before the agent starts. What is below its key already, byte for byte, is not delivered twice.
 *
 * A sync that has failed is not believed when it succeeds later: it may not cover what the first
 * one should have. Every batch whose names it might have covered counts as not delivered: it is
 * taken back into staging, which writes its names again.
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
#define FILE_SINK_ID      "id-"

enum { FILE_SINK_FOLDERS = 64 };

/* One destination directory, shared by all batches that go there. */
struct file_sink {
    struct file_sink *next;
    char *directory;                /* owned */
    int dir, staging_dir;           /* owned; -1: not open */
    uint64_t id;                    /* of the staging directory; others in it hold too */
    unsigned jobs;                  /* under way */
    uint32_t syncs_failed;          /* of directories; what others cover is in doubt, too */
    int sync_error;                 /* of the last one */
    bool stale;                     /* to be opened anew: removed, replaced, or something failed */
    bool failed;                    /* EIO: it may be mounted again, so it is not made anew */
    uint64_t retries;               /* the pipeline's: deliveries that failed */
    uint64_t failing_ns;            /* when one was last seen to fail, boot clock */
    bool failing;                   /* that has been said, and is not yet over */
    bool cleaned;                   /* the pipeline's: or tried, at the start */
    uint64_t folders[FILE_SINK_FOLDERS];    /* inodes of keys' folders made and synced, by hash */
};

/*
 * Makes and opens the directories. 0 or -errno with a text; may be tried again. A directory that
 * was removed or replaced is made and opened by its path; one that failed is let go, so that it can
 * be unmounted, and not made, for what is there while it is not mounted is the wrong one.
 */
int file_sink_open(struct file_sink *sink, struct errmsg *err);
void file_sink_close(struct file_sink *sink);

/*
 * Each ends in job->done with job->result and, but for DONE, job->err. All but the first two may
 * find that the staging directory is another one, and set job->staging_id to 0.
 * stage:   DONE: the staging name exists, synced; sets staging_id. RETRY: it does not; copy later.
 * copy:    DONE: the same. DAMAGED: the spool file is not what was sealed.
 * verify:  DONE: the batch is in the staging directory, or else in the spool, byte for byte; or the
 *          staging name is gone, delivered. DAMAGED: it is not.
 * deliver: DONE: the key exists, synced. REJECT: something else has that name, or the file system
 *          has no way of giving it.
 */
void file_sink_stage(struct file_sink *sink, struct sink_job *job);
void file_sink_copy(struct file_sink *sink, struct sink_job *job);
void file_sink_verify(struct file_sink *sink, struct sink_job *job);
void file_sink_deliver(struct file_sink *sink, struct sink_job *job);    /* file_deliver.c */

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
