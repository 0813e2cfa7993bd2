/*
 * file: opens the directories and gives them an identity; stages, copies and verifies batches, and
 * gives them up.
 * Owns:   descriptors of directories; of a copy while it runs.
 * Thread: shard.
 */
#include "sink/file_job.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/invariant.h"
#include "io/file.h"

enum { READ_BYTES = 1024 * 1024, ID_NAME_MAX = 24 };

/* Of our own names: a pipe in such a place would keep us waiting, a link lead elsewhere. */
enum { PLAIN_FLAGS = O_RDONLY | O_NOFOLLOW | O_NONBLOCK };

/* --- directories ---------------------------------------------------------------------------- */

static void id_name(uint64_t id, char ret_name[ID_NAME_MAX])
{
    snprintf(ret_name, ID_NAME_MAX, FILE_SINK_ID "%016" PRIx64, id);
}

/* 1: the name is an identity. */
static int on_id_name(void *ctx, const char *name)
{
    char again[ID_NAME_MAX];
    uint64_t id;

    if (sscanf(name, FILE_SINK_ID "%16" SCNx64, &id) != 1 || id == 0)
        return 0;
    id_name(id, again);
    if (strcmp(again, name) != 0)
        return 0;
    *(uint64_t *)ctx = id;
    return 1;
}

/* One that is there, or else a new one; synced. */
static int id_open(int staging_dir, uint64_t *ret_id)
{
    int r = file_list(staging_dir, on_id_name, ret_id), fd;
    char name[ID_NAME_MAX];

    if (r != 0)
        return r < 0 ? r : file_sync(staging_dir);
    file_random(ret_id, sizeof(*ret_id));
    *ret_id |= 1;       /* 0 is none */
    id_name(*ret_id, name);
    fd = file_open(staging_dir, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (fd < 0)
        return fd;
    r = file_sync(fd);
    file_close(fd);
    if (!r)
        r = file_sync(staging_dir);
    if (r)      /* whether it would survive is not known: the next try makes another */
        file_unlink(staging_dir, name);
    return r;
}

/* Is the identity in the staging directory? 0, -ENOENT, or -errno: it cannot be told. */
static int id_look(const struct file_sink *sink, uint64_t id)
{
    struct file_stat st;
    char name[ID_NAME_MAX];

    id_name(id, name);
    return file_stat_at(sink->staging_dir, name, &st);
}

/* Is something there, by the path? 0 or -errno. */
static int path_look(const struct file_sink *sink, const char *below)
{
    char path[PATH_MAX];
    struct file_stat st;
    int n = snprintf(path, sizeof(path), "%s/%s", sink->directory, below);

    return n < (int)sizeof(path) ? file_stat_at(FILE_CWD, path, &st) : -ENAMETOOLONG;
}

/* Something else has its path by now, or its staging directory's. One only moved is followed. */
static bool directory_replaced(const struct file_sink *sink)
{
    char name[sizeof(FILE_SINK_STAGING) + ID_NAME_MAX] = FILE_SINK_STAGING "/";
    int r;

    id_name(sink->id, name + strlen(name));
    r = path_look(sink, name);
    return r == -ENOTDIR || (r == -ENOENT && path_look(sink, ".") == 0);
}

static int directories_open(struct file_sink *sink, struct errmsg *err)
{
    int r = sink->failed ? path_look(sink, ".") : 0;

    if (!r)
        r = file_mkdirs(FILE_CWD, sink->directory, FILE_FOLDER_MODE);
    if (r)
        return errmsg_set(err, r, "%s: cannot make the directory: %s", sink->directory,
                          strerror(-r));
    r = sink->dir = file_open(FILE_CWD, sink->directory, O_RDONLY | O_DIRECTORY, 0);
    if (r < 0)
        return errmsg_set(err, r, "%s: cannot open: %s", sink->directory, strerror(-r));
    r = file_mkdirs(sink->dir, FILE_SINK_STAGING, 0700);
    if (!r)
        r = sink->staging_dir = file_open(sink->dir, FILE_SINK_STAGING, O_RDONLY | O_DIRECTORY, 0);
    if (r >= 0)
        r = id_open(sink->staging_dir, &sink->id);
    if (r < 0)
        return errmsg_set(err, r, "%s/%s: cannot make or open: %s", sink->directory,
                          FILE_SINK_STAGING, strerror(-r));
    sink->failed = false;
    return 0;
}

int file_sink_open(struct file_sink *sink, struct errmsg *err)
{
    int r;

    if (sink->staging_dir >= 0) {
        sink->stale |= directory_replaced(sink);
        if (!sink->stale)
            return 0;
        if (sink->jobs > 0)
            return errmsg_set(err, -EAGAIN, "%s: is to be opened anew", sink->directory);
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
    memset(sink->folders, 0, sizeof(sink->folders));
    sink->stale = false;
}

/* --- jobs ----------------------------------------------------------------------------------- */

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

void file_job_end(struct sink_job *job, enum sink_result result)
{
    file_sink_job_fini(job);    /* what could not be opened is left as -errno: never closed */
    job->sink->jobs--;
    job->result = result;
    job->done(job);
}

void file_job_fail(struct sink_job *job, int err, const char *what)
{
    struct file_sink *sink = job->sink;

    if (err == -ENOENT || err == -ESTALE)       /* were the directories removed under us? */
        sink->stale |= id_look(sink, sink->id) != 0;
    if (err == -EIO)
        sink->stale = sink->failed = true;
    errmsg_set(&job->err, err, "%s/%s: %s: %s", sink->directory, job->key, what, strerror(-err));
    file_job_end(job, SINK_RETRY);
}

bool file_job_begin(struct file_sink *sink, struct sink_job *job)
{
    int r = file_sink_open(sink, &job->err);

    job->sink = sink;
    job->op.ctx = job;
    job->step = 0;
    job->syncs_failed = sink->syncs_failed;
    job->from_fd = job->to_fd = job->parent_dir = -1;
    job->buffer = NULL;
    sink->jobs++;
    if (r)
        file_job_end(job, SINK_RETRY);
    return r == 0;
}

int file_job_staged_here(struct sink_job *job)
{
    int r = id_look(job->sink, job->staging_id);

    if (r != -ENOENT)
        return r ? r : 1;
    job->sink->stale |= job->staging_id == job->sink->id;
    job->staging_id = 0;
    job->linked = job->in_doubt = false;
    return 0;
}

int file_job_synced(struct sink_job *job, int res)
{
    struct file_sink *sink = job->sink;

    if (res < 0) {
        sink->syncs_failed++;
        sink->sync_error = res;
        sink->stale = true;     /* after a new mount, what is on the disk shows */
    }
    return job->syncs_failed == sink->syncs_failed ? res : sink->sync_error;
}

static void job_damaged(struct sink_job *job, const char *name)
{
    errmsg_set(&job->err, -EBADMSG, "%s/%s: its file %s is damaged or gone", job->sink->directory,
               job->key, name);
    file_job_end(job, SINK_DAMAGED);
}

/* These say of a file of ours that another one has to be made. */
static bool unreadable(int err)
{
    return err == -EIO || err == -ENOENT || err == -EBADMSG;
}

static void job_staged(struct sink_job *job)
{
    job->staging_id = job->sink->id;
    file_job_end(job, SINK_DONE);
}

static void on_read(struct io_op *op, int res)
{
    struct sink_job *job = op->ctx;

    if (res < 0) {
        job->read_then(job, res);
        return;
    }
    job->crc32c_read = crc32c(job->crc32c_read, job->buffer, (size_t)res);
    job->copied += (uint64_t)res;
    if (res > 0 && job->copied <= job->file_bytes)      /* one read more finds the end */
        io_read(job->loop, &job->op, job->from_fd, job->buffer, READ_BYTES, job->copied, on_read);
    else
        job->read_then(job, job->copied == job->file_bytes && job->crc32c_read == job->crc32c
                            ? 0 : -EBADMSG);
}

void file_job_read(struct sink_job *job, file_job_read_fn then)
{
    job->buffer = malloc(READ_BYTES);
    if (job->from_fd < 0 || !job->buffer) {
        then(job, job->from_fd < 0 ? job->from_fd : -ENOMEM);
        return;
    }
    job->copied = 0;
    job->crc32c_read = 0;
    job->read_then = then;
    io_read(job->loop, &job->op, job->from_fd, job->buffer, READ_BYTES, 0, on_read);
}

/* --- stage ---------------------------------------------------------------------------------- */

static void on_stage(struct io_op *op, int res)
{
    struct sink_job *job = op->ctx;

    if (job->step > 0)
        res = file_job_synced(job, res);
    if (res < 0) {
        file_job_fail(job, res, job->step == 0 ? "cannot link into staging" : "sync of staging");
        return;
    }
    if (job->step++ == 0)
        io_sync(job->loop, &job->op, job->sink->staging_dir, false, on_stage);
    else
        job_staged(job);
}

void file_sink_stage(struct file_sink *sink, struct sink_job *job)
{
    if (file_job_begin(sink, job))
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
    io_read(job->loop, &job->op, job->from_fd, job->buffer, left < READ_BYTES ? left : READ_BYTES,
            job->copied, on_copy);
}

static void on_copy(struct io_op *op, int res)
{
    struct sink_job *job = op->ctx;

    if (job->step == COPY_SYNC_DIR)
        res = file_job_synced(job, res);
    if (job->step == COPY_READ && (res == 0 || unreadable(res))) {
        job_damaged(job, job->spool_name);
        return;
    }
    if (res < 0 || (res == 0 && job->step == COPY_WRITE)) {
        file_job_fail(job, res < 0 ? res : -EIO, "cannot copy from the spool");
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

    if (!file_job_begin(sink, job))
        return;
    job->copied = 0;
    job->crc32c_read = 0;
    job->staging_id = 0;
    job->buffer = malloc(READ_BYTES);
    if (!job->buffer) {
        file_job_fail(job, -ENOMEM, "cannot copy");
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
        file_job_fail(job, r, "cannot open for copying");
        return;
    }
    copy_read(job);
}

/* --- verify --------------------------------------------------------------------------------- */

static void on_verified(struct sink_job *job, int err)
{
    if (!err)
        file_job_end(job, SINK_DONE);
    else if (unreadable(err))
        job_damaged(job, job->staging_id ? job->staging_name : job->spool_name);
    else
        file_job_fail(job, err, "cannot read it back");
}

void file_sink_verify(struct file_sink *sink, struct sink_job *job)
{
    int r;

    if (!file_job_begin(sink, job))
        return;
    r = job->staging_id ? file_job_staged_here(job) : 0;
    if (r < 0) {
        file_job_fail(job, r, "cannot look at its staging directory");
        return;
    }
    if (r == 0) {
        job->from_fd = file_open(job->spool_dir, job->spool_name, PLAIN_FLAGS, 0);
        file_job_read(job, on_verified);
        return;
    }
    job->from_fd = file_open(sink->staging_dir, job->staging_name, PLAIN_FLAGS, 0);
    if (job->from_fd == -ENOENT)
        file_job_end(job, SINK_DONE);
    else if (job->from_fd < 0)      /* it may be gone, delivered: not yet to be made again */
        file_job_fail(job, job->from_fd, "cannot open its staging name");
    else
        file_job_read(job, on_verified);
}

/* --- giving up ------------------------------------------------------------------------------ */

bool file_sink_there(const struct file_sink *sink)
{
    return path_look(sink, FILE_SINK_STAGING) == 0;
}

bool file_sink_took(struct file_sink *sink, const struct sink_job *job)
{
    struct file_stat st;
    struct errmsg err;

    return job->staging_id && file_sink_there(sink) && file_sink_open(sink, &err) == 0
           && id_look(sink, job->staging_id) == 0
           && (job->linked || job->in_doubt
               || file_stat_at(sink->staging_dir, job->staging_name, &st) == -ENOENT);
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
