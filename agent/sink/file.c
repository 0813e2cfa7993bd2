/*
 * file: stages, copies and renames batches, and syncs what names they get.
 * Owns:   descriptors of directories; of a copy while it runs.
 * Thread: shard.
 */
#include "sink/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/invariant.h"
#include "io/file.h"

enum { COPY_BYTES = 1024 * 1024, DIR_MODE = 0750 };

/* Of our own names: a pipe in such a place would keep us waiting, a link lead elsewhere. */
enum { PLAIN_FLAGS = O_RDONLY | O_NOFOLLOW | O_NONBLOCK };

static int folder_sync(int dir, const char *path)
{
    int fd = file_open(dir, path, O_RDONLY | O_DIRECTORY, 0), r;

    if (fd < 0)
        return fd;
    r = file_sync(fd);
    file_close(fd);
    return r;
}

/*
 * Makes the names of the directory and of those above it durable. Whoever made them may not have
 * synced them, and after a power cut that undoes one, staging names would be missing, which is to
 * mean delivered. A folder that we may not read is none that we made.
 */
static int parents_sync(const char *directory)
{
    char above[PATH_MAX];
    size_t len = strlen(directory);

    if (len >= sizeof(above))
        return -ENAMETOOLONG;
    memcpy(above, directory, len + 1);
    while (len > 0) {
        int r;

        while (len > 0 && above[len - 1] == '/')
            len--;
        while (len > 0 && above[len - 1] != '/')
            len--;
        above[len] = '\0';
        r = folder_sync(FILE_CWD, len > 0 ? above : directory[0] == '/' ? "/" : ".");
        if (r && r != -EACCES)
            return r;
    }
    return 0;
}

/* Something else has its path by now. One that was only moved is followed. */
static bool directory_replaced(const struct file_sink *sink)
{
    char path[PATH_MAX];
    struct file_stat st;
    int n = snprintf(path, sizeof(path), "%s/.", sink->directory), r;

    if (n >= (int)sizeof(path))
        return false;
    r = file_stat_at(FILE_CWD, path, &st);
    return r == -ENOTDIR || (r == 0 && (st.dev != sink->dev || st.ino != sink->ino));
}

static int directories_open(struct file_sink *sink, struct errmsg *err)
{
    struct file_stat st;
    int r = sink->failed ? 0 : file_mkdirs(FILE_CWD, sink->directory, DIR_MODE);

    if (r)
        return errmsg_set(err, r, "%s: cannot make the directory: %s", sink->directory,
                          strerror(-r));
    r = sink->dir = file_open(FILE_CWD, sink->directory, O_RDONLY | O_DIRECTORY, 0);
    if (r < 0)
        return errmsg_set(err, r, "%s: cannot open: %s", sink->directory, strerror(-r));
    r = file_mkdir(sink->dir, FILE_SINK_STAGING, 0700);
    if (!r)
        r = file_sync(sink->dir);
    if (!r)
        r = parents_sync(sink->directory);
    if (!r)
        r = sink->staging_dir = file_open(sink->dir, FILE_SINK_STAGING, O_RDONLY | O_DIRECTORY, 0);
    if (r >= 0)
        r = file_stat(sink->dir, &st);
    if (r)
        return errmsg_set(err, r, "%s/%s: cannot make or open: %s", sink->directory,
                          FILE_SINK_STAGING, strerror(-r));
    if (sink->ino != 0 && (st.dev != sink->dev || st.ino != sink->ino))
        sink->generation++;
    sink->dev = st.dev;
    sink->ino = st.ino;
    sink->failed = false;
    return 0;
}

int file_sink_open(struct file_sink *sink, struct errmsg *err)
{
    int r;

    if (sink->staging_dir >= 0) {
        sink->stale |= directory_replaced(sink);
        if (!sink->stale && !sink->failed)
            return 0;
        if (sink->jobs > 0)
            return errmsg_set(err, -EAGAIN, "%s: is to be opened anew", sink->directory);
        sink->generation += sink->stale;
        file_sink_close(sink);
    }
    r = directories_open(sink, err);
    if (r)
        file_sink_close(sink);
    return r;
}

void file_sink_close(struct file_sink *sink)
{
    file_close(sink->staging_dir);
    file_close(sink->dir);
    sink->staging_dir = sink->dir = -1;
    sink->parent[0] = '\0';
    sink->stale = false;
}

void file_sink_job_fini(struct sink_job *job)
{
    if (!job->loop)     /* never set up: its zeros are no descriptors */
        return;
    file_close(job->from_fd);
    file_close(job->to_fd);
    file_close(job->parent_dir);
    free(job->buffer);
    job->buffer = NULL;
    job->from_fd = job->to_fd = job->parent_dir = -1;
}

/* What cannot be opened is left as -errno. */
static void fd_failed(int *fd)
{
    if (*fd < 0)
        *fd = -1;
}

static void job_end(struct sink_job *job, enum sink_result result)
{
    fd_failed(&job->from_fd);
    fd_failed(&job->to_fd);
    fd_failed(&job->parent_dir);
    file_sink_job_fini(job);
    job->sink->jobs--;
    job->result = result;
    job->done(job);
}

/* Was the directory itself removed under us? Then its descriptors lead nowhere. */
static bool directory_gone(struct file_sink *sink)
{
    struct file_stat st;

    sink->stale |= file_stat(sink->staging_dir, &st) != 0 || st.nlink == 0;
    return sink->stale;
}

/* Staged in a directory that was removed since: not delivered, the spool still has it. */
static bool staging_lost(struct sink_job *job)
{
    if (!job->staged || job->generation == job->sink->generation)
        return false;
    job->staged = false;
    return true;
}

static void job_staged(struct sink_job *job)
{
    job->generation = job->sink->generation;
    job_end(job, SINK_DONE);
}

static void job_damaged(struct sink_job *job, const char *name)
{
    errmsg_set(&job->err, -EBADMSG, "%s/%s: its file %s is damaged or gone", job->sink->directory,
               job->key, name);
    job_end(job, SINK_DAMAGED);
}

/* These say of a file of ours that another one has to be made. */
static bool unreadable(int err)
{
    return err == -EIO || err == -ENOENT;
}

static void job_fail(struct sink_job *job, int err, const char *what)
{
    if (err == -ENOENT)
        directory_gone(job->sink);
    job->sink->failed |= err == -EIO;
    errmsg_set(&job->err, err, "%s/%s: %s: %s", job->sink->directory, job->key, what,
               strerror(-err));
    job_end(job, SINK_RETRY);
}

/* False: the directories cannot be had, the job has ended. */
static bool job_begin(struct file_sink *sink, struct sink_job *job)
{
    job->sink = sink;
    job->op.ctx = job;
    job->step = 0;
    job->from_fd = job->to_fd = job->parent_dir = -1;
    job->buffer = NULL;
    job->err.text[0] = '\0';
    if (file_sink_open(sink, &job->err) == 0) {
        sink->jobs++;
        return true;
    }
    sink->jobs++;   /* job_end() takes it back */
    job_end(job, SINK_RETRY);
    return false;
}

/* --- stage ---------------------------------------------------------------------------------- */

static void on_stage(struct io_op *op, int res)
{
    struct sink_job *job = op->ctx;

    if (res < 0) {
        job_fail(job, res, job->step == 0 ? "cannot link into staging" : "sync of staging");
        return;
    }
    if (job->step++ == 0)
        io_sync(job->loop, &job->op, job->sink->staging_dir, false, on_stage);
    else
        job_staged(job);
}

void file_sink_stage(struct file_sink *sink, struct sink_job *job)
{
    if (job_begin(sink, job))
        io_link(job->loop, &job->op, job->spool_dir, job->spool_name, sink->staging_dir,
                job->staging_name, on_stage);
}

/* --- copy ----------------------------------------------------------------------------------- */

enum { COPY_READ, COPY_WRITE, COPY_SYNC, COPY_SYNC_DIR };

static void on_copy(struct io_op *op, int res);

static void copy_read(struct sink_job *job)
{
    uint64_t left = job->file_bytes - job->copied;

    if (left == 0) {
        if (job->crc32c_read != job->crc32c) {
            job_damaged(job, job->spool_name);
            return;
        }
        job->step = COPY_SYNC;
        io_sync(job->loop, &job->op, job->to_fd, false, on_copy);
        return;
    }
    job->step = COPY_READ;
    io_read(job->loop, &job->op, job->from_fd, job->buffer, left < COPY_BYTES ? left : COPY_BYTES,
            job->copied, on_copy);
}

static void on_copy(struct io_op *op, int res)
{
    struct sink_job *job = op->ctx;

    if (job->step == COPY_READ && (res == 0 || unreadable(res))) {
        job_damaged(job, job->spool_name);
        return;
    }
    if (res < 0 || (res == 0 && job->step == COPY_WRITE)) {
        job_fail(job, res < 0 ? res : -EIO, "cannot copy from the spool");
        return;
    }
    switch (job->step) {
    case COPY_READ:
        job->step = COPY_WRITE;
        io_write(job->loop, &job->op, job->to_fd, job->buffer, (size_t)res, job->copied, on_copy);
        break;
    case COPY_WRITE:    /* a short write: what is left is read again */
        job->crc32c_read = crc32c(job->crc32c_read, job->buffer, (size_t)res);
        job->copied += (uint64_t)res;
        copy_read(job);
        break;
    case COPY_SYNC:
        job->step = COPY_SYNC_DIR;
        io_sync(job->loop, &job->op, job->sink->staging_dir, false, on_copy);
        break;
    default:
        job_staged(job);
    }
}

void file_sink_copy(struct file_sink *sink, struct sink_job *job)
{
    int r;

    if (!job_begin(sink, job))
        return;
    job->copied = 0;
    job->crc32c_read = 0;
    job->buffer = malloc(COPY_BYTES);
    if (!job->buffer) {
        job_fail(job, -ENOMEM, "cannot copy");
        return;
    }
    r = job->from_fd = file_open(job->spool_dir, job->spool_name, PLAIN_FLAGS, 0);
    if (unreadable(r)) {
        job_damaged(job, job->spool_name);
        return;
    }
    /* A name from before may be the spool file itself, linked and not synced: never write to it. */
    if (r >= 0)
        r = file_unlink(sink->staging_dir, job->staging_name);
    if (r >= 0 || (r == -ENOENT && job->from_fd >= 0))
        r = job->to_fd = file_open(sink->staging_dir, job->staging_name,
                                   O_RDWR | O_CREAT | O_EXCL, job->file_mode);
    if (r < 0) {
        job_fail(job, r, "cannot open for copying");
        return;
    }
    copy_read(job);
}

/* --- verify --------------------------------------------------------------------------------- */

static void on_verify(struct io_op *op, int res)
{
    struct sink_job *job = op->ctx;

    if (res < 0 && !unreadable(res)) {
        job_fail(job, res, "cannot read it back");
        return;
    }
    if (res < 0) {
        job_damaged(job, job->staged ? job->staging_name : job->spool_name);
        return;
    }
    job->crc32c_read = crc32c(job->crc32c_read, job->buffer, (size_t)res);
    job->copied += (uint64_t)res;
    if (res > 0 && job->copied <= job->file_bytes) {    /* one read more finds the end */
        io_read(job->loop, &job->op, job->from_fd, job->buffer, COPY_BYTES, job->copied, on_verify);
        return;
    }
    if (job->copied != job->file_bytes || job->crc32c_read != job->crc32c) {
        job_damaged(job, job->staged ? job->staging_name : job->spool_name);
        return;
    }
    job_end(job, SINK_DONE);
}

void file_sink_verify(struct file_sink *sink, struct sink_job *job)
{
    if (!job_begin(sink, job))
        return;
    if (job->staged && !staging_lost(job)) {
        job->from_fd = file_open(sink->staging_dir, job->staging_name, PLAIN_FLAGS, 0);
        if (job->from_fd == -ENOENT) {
            job_end(job, SINK_DONE);
            return;
        }
    } else {
        job->from_fd = file_open(job->spool_dir, job->spool_name, PLAIN_FLAGS, 0);
    }
    if (unreadable(job->from_fd)) {
        job_damaged(job, job->staged ? job->staging_name : job->spool_name);
        return;
    }
    job->buffer = malloc(COPY_BYTES);
    if (job->from_fd < 0 || !job->buffer) {
        job_fail(job, job->from_fd < 0 ? job->from_fd : -ENOMEM, "cannot read it back");
        return;
    }
    job->copied = 0;
    job->crc32c_read = 0;
    io_read(job->loop, &job->op, job->from_fd, job->buffer, COPY_BYTES, 0, on_verify);
}

/* --- deliver -------------------------------------------------------------------------------- */

enum { DELIVER_RENAME, DELIVER_SYNC_PARENT, DELIVER_SYNC_STAGING };

static void on_deliver(struct io_op *op, int res);

/* Makes and syncs the folders of the key, unless they are those of the batch before. */
static int parent_open(struct file_sink *sink, struct sink_job *job)
{
    const char *slash = strrchr(job->key, '/');
    size_t len = slash ? (size_t)(slash - job->key) : 0;
    const char *name = slash ? slash + 1 : job->key;
    char above[OBJECT_KEY_MAX];
    int r;

    if (len >= sizeof(job->parent) || strlen(name) >= sizeof(job->name))
        return -ENAMETOOLONG;
    memcpy(job->parent, job->key, len);
    job->parent[len] = '\0';
    snprintf(job->name, sizeof(job->name), "%s", name);
    if (len == 0) {
        job->parent_dir = file_open(sink->dir, ".", O_RDONLY | O_DIRECTORY, 0);
        return job->parent_dir < 0 ? job->parent_dir : 0;
    }
    job->parent_dir = -1;
    if (strcmp(sink->parent, job->parent) == 0)
        job->parent_dir = file_open(sink->dir, job->parent, O_RDONLY | O_DIRECTORY, 0);
    if (job->parent_dir >= 0)
        return 0;
    r = file_mkdirs(sink->dir, job->parent, DIR_MODE);
    if (r)
        return r;
    job->parent_dir = file_open(sink->dir, job->parent, O_RDONLY | O_DIRECTORY, 0);
    if (job->parent_dir < 0)
        return job->parent_dir;
    /* A new folder is durable once the one above it is synced. */
    memcpy(above, job->parent, len + 1);
    for (char *cut = strrchr(above, '/'); cut; cut = strrchr(above, '/')) {
        *cut = '\0';
        r = folder_sync(sink->dir, above);
        if (r)
            return r;
    }
    r = file_sync(sink->dir);
    if (!r)
        memcpy(sink->parent, job->parent, len + 1);
    return r;
}

/* The key is taken. By this very file: a rename that was cut off between its two names. */
static void key_exists(struct sink_job *job)
{
    struct file_stat ours, there;
    int r = file_stat_at(job->sink->staging_dir, job->staging_name, &ours);

    if (!r)
        r = file_stat_at(job->parent_dir, job->name, &there);
    if (!r && ours.ino == there.ino && ours.dev == there.dev)
        r = file_unlink(job->sink->staging_dir, job->staging_name);
    else if (!r) {
        errmsg_set(&job->err, -EEXIST, "%s/%s: another file has this name; move it away",
                   job->sink->directory, job->key);
        job_end(job, SINK_REJECT);
        return;
    }
    if (r) {
        job_fail(job, r, "cannot look at the name");
        return;
    }
    job->step = DELIVER_SYNC_PARENT;
    io_sync(job->loop, &job->op, job->parent_dir, false, on_deliver);
}

/* ENOENT at the rename. True: the staging name is gone because it was delivered before. */
static bool rename_missed(struct sink_job *job)
{
    struct file_sink *sink = job->sink;
    struct file_stat st;

    if (directory_gone(sink)) {
        job->staged = false;    /* removed with everything below: copy from the spool again */
        return false;
    }
    if (file_stat_at(sink->staging_dir, job->staging_name, &st) != -ENOENT) {
        sink->parent[0] = '\0';     /* it is the folder of the key that is gone */
        return false;
    }
    return job->staged;
}

static void on_deliver(struct io_op *op, int res)
{
    struct sink_job *job = op->ctx;

    switch (job->step) {
    case DELIVER_RENAME:
        if (res == -ENOENT && rename_missed(job))
            res = 0;
        if (res == -EEXIST) {
            key_exists(job);
            return;
        }
        if (res < 0) {
            job_fail(job, res, "cannot rename from staging");
            return;
        }
        job->step = DELIVER_SYNC_PARENT;
        io_sync(job->loop, &job->op, job->parent_dir, false, on_deliver);
        break;
    case DELIVER_SYNC_PARENT:
        if (res < 0) {
            job_fail(job, res, "sync of its folder");
            return;
        }
        job->step = DELIVER_SYNC_STAGING;
        io_sync(job->loop, &job->op, job->sink->staging_dir, false, on_deliver);
        break;
    default:
        if (res < 0)
            job_fail(job, res, "sync of staging");
        else
            job_end(job, SINK_DONE);
    }
}

void file_sink_deliver(struct file_sink *sink, struct sink_job *job)
{
    int r;

    if (!job_begin(sink, job))
        return;
    if (staging_lost(job)) {
        job_fail(job, -ESTALE, "its staging directory was removed");
        return;
    }
    r = parent_open(sink, job);
    if (r) {
        job_fail(job, r, "cannot make its folder");
        return;
    }
    job->step = DELIVER_RENAME;
    io_rename(job->loop, &job->op, sink->staging_dir, job->staging_name, job->parent_dir, job->name,
              on_deliver);
}

/* --- giving up ------------------------------------------------------------------------------ */

bool file_sink_there(const struct file_sink *sink)
{
    char path[PATH_MAX];
    struct file_stat st;
    int n = snprintf(path, sizeof(path), "%s/" FILE_SINK_STAGING, sink->directory);

    return n > 0 && n < (int)sizeof(path) && file_stat_at(FILE_CWD, path, &st) == 0;
}

bool file_sink_took(struct file_sink *sink, const struct sink_job *job)
{
    struct file_stat st;
    struct errmsg err;

    return job->staged && job->generation == sink->generation && file_sink_there(sink)
           && file_sink_open(sink, &err) == 0
           && file_stat_at(sink->staging_dir, job->staging_name, &st) == -ENOENT;
}

int file_sink_unstage(struct file_sink *sink, const struct sink_job *job)
{
    struct errmsg err;
    int r;

    if (!file_sink_there(sink))
        return 0;
    r = file_sink_open(sink, &err);
    if (!r)
        r = file_unlink(sink->staging_dir, job->staging_name);
    return r == -ENOENT ? 0 : r;
}

/* --- cleaning ------------------------------------------------------------------------------- */

struct cleaning {
    struct file_sink *sink;
    const char *prefix;
    file_keep_fn keep;
    void *ctx;
    int removed;
};

static int on_staging_name(void *ctx, const char *name)
{
    struct cleaning *c = ctx;
    int r;

    if (strncmp(name, c->prefix, strlen(c->prefix)) != 0 || c->keep(c->ctx, name))
        return 0;
    r = file_unlink(c->sink->staging_dir, name);
    if (r == -EISDIR)       /* no file of ours; it stays */
        return 0;
    if (r && r != -ENOENT)
        return r;
    c->removed++;
    return 0;
}

int file_sink_clean(struct file_sink *sink, const char *prefix, file_keep_fn keep, void *ctx)
{
    struct cleaning c = {sink, prefix, keep, ctx, 0};
    int r = file_list(sink->staging_dir, on_staging_name, &c);

    return r < 0 ? r : c.removed;
}
