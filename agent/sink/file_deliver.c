/*
 * file_deliver: a staged batch gets its key.
 *
 *   RENAME        of the staging name to the key, never over another file
 *   LINK          where the file system has no such rename: two names for a moment
 *   (COMPARE)     the key is taken: by this batch itself, when a delivery was cut off half way?
 *   SYNC_PARENT   the key is durable; of two names, the staging name goes
 *   SYNC_STAGING  and so is the end of the staging name
 *
 * Owns:   descriptors of the key's folder, while it runs.
 * Thread: shard.
 */
#include "sink/file_job.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "io/file.h"

enum {
    DELIVER_RENAME, DELIVER_LINK, DELIVER_COMPARE, DELIVER_SYNC_PARENT, DELIVER_SYNC_STAGING
};

static void on_deliver(struct io_op *op, int res);

/* What a sync of a directory may end with. */
static bool is_sync_error(int err)
{
    return err == -EIO || err == -ENOSPC || err == -EDQUOT || err == -EROFS;
}

/* The key's folder, and a synced name for it, unless that is known. */
static int parent_open(struct file_sink *sink, struct sink_job *job)
{
    const char *slash = strrchr(job->key, '/');
    size_t len = slash ? (size_t)(slash - job->key) : 0;
    const char *name = slash ? slash + 1 : job->key;
    struct file_stat st = {0};
    uint64_t *known;
    int r;

    if (len >= sizeof(job->parent) || strlen(name) >= sizeof(job->name))
        return -ENAMETOOLONG;
    memcpy(job->parent, len ? job->key : ".", len ? len : 1);
    job->parent[len ? len : 1] = '\0';
    snprintf(job->name, sizeof(job->name), "%s", name);
    job->parent_dir = file_open(sink->dir, job->parent, O_RDONLY | O_DIRECTORY, 0);
    r = job->parent_dir >= 0 ? file_stat(job->parent_dir, &st) : 0;
    known = &sink->folders[st.ino % FILE_SINK_FOLDERS];
    if (r || len == 0)
        return job->parent_dir < 0 ? job->parent_dir : r;
    if (job->parent_dir >= 0 && *known == st.ino)
        return 0;
    file_close(job->parent_dir);
    job->parent_dir = -1;
    r = file_mkdirs(sink->dir, job->parent, FILE_FOLDER_MODE);
    if (r)
        return is_sync_error(r) ? file_job_synced(job, r) : r;
    r = job->parent_dir = file_open(sink->dir, job->parent, O_RDONLY | O_DIRECTORY, 0);
    if (r >= 0)
        r = file_stat(job->parent_dir, &st);
    if (!r)
        sink->folders[st.ino % FILE_SINK_FOLDERS] = st.ino;
    return r;
}

static void sync_parent(struct sink_job *job)
{
    job->step = DELIVER_SYNC_PARENT;
    io_sync(job->loop, &job->op, job->parent_dir, false, on_deliver);
}

/* The key is durable, or with a consumer: of two names the staging name goes. */
static int unlink_staging(struct sink_job *job)
{
    int r = file_unlink(job->sink->staging_dir, job->staging_name);

    if (r && r != -ENOENT)
        return r;
    job->linked = false;
    return 0;
}

static void sync_staging(struct sink_job *job)
{
    int r = job->linked ? unlink_staging(job) : 0;

    if (r) {
        file_job_fail(job, r, "cannot unlink from staging");
        return;
    }
    job->step = DELIVER_SYNC_STAGING;
    io_sync(job->loop, &job->op, job->sink->staging_dir, false, on_deliver);
}

static void deliver_reject(struct sink_job *job, int err, const char *why)
{
    errmsg_set(&job->err, err, "%s/%s: %s", job->sink->directory, job->key, why);
    file_job_end(job, SINK_REJECT);
}

/* The same bytes under the key of this batch: it was delivered, whatever became of its staging. */
static void on_compared(struct sink_job *job, int err)
{
    if (err == -EBADMSG) {
        deliver_reject(job, -EEXIST, "another file has this name; move it away");
        return;
    }
    if (err) {
        file_job_fail(job, err, "cannot read what has its name");
        return;
    }
    job->linked = true;
    job->step = DELIVER_COMPARE;
    io_sync(job->loop, &job->op, job->from_fd, false, on_deliver);
}

static void key_exists(struct sink_job *job)
{
    struct file_stat st;
    int r = file_stat_at(job->parent_dir, job->name, &st);

    if (r) {
        file_job_fail(job, r, "cannot look at the name");
        return;
    }
    if (!S_ISREG(st.mode) || st.size_bytes != job->file_bytes) {
        on_compared(job, -EBADMSG);
        return;
    }
    job->from_fd = file_open(job->parent_dir, job->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
    file_job_read(job, on_compared);
}

/* ENOENT at the rename: was it delivered before? */
static void rename_missed(struct sink_job *job)
{
    struct file_stat st;
    int r = file_stat_at(job->sink->staging_dir, job->staging_name, &st);

    if (r != -ENOENT || job->staging_id == 0) {     /* there: it is the key's folder that is gone */
        file_job_fail(job, r ? r : -ENOENT, "cannot rename from staging");
        return;
    }
    r = file_job_staged_here(job);
    if (r > 0)
        sync_parent(job);
    else
        file_job_fail(job, r ? r : -ESTALE, "its staging directory was removed");
}

/*
 * A sync has failed, or another one that may have covered these names: takes the batch back, so
 * that its delivery writes both names again. 0, also when a consumer has it already; -errno: its
 * names are in doubt still. `later`: not at once, so that a link which is gone may be one that a
 * new mount has forgotten.
 */
static int deliver_undo(struct sink_job *job, bool later)
{
    int r;

    job->in_doubt = true;
    if (job->linked)
        r = file_unlink(job->parent_dir, job->name);
    else
        r = file_replace(job->parent_dir, job->name, job->sink->staging_dir, job->staging_name);
    if (r == -ENOENT)       /* taken: then it must not be delivered again */
        r = job->linked && !later ? unlink_staging(job) : 0;
    if (r)
        return r;
    job->linked = job->in_doubt = false;
    return 0;
}

static void on_renamed(struct sink_job *job, int res)
{
    bool refused = res == -EINVAL || res == -ENOSYS || res == -EOPNOTSUPP;

    if (res == -ENOENT) {
        rename_missed(job);
    } else if (res == -EEXIST) {
        key_exists(job);
    } else if (job->step == DELIVER_RENAME && refused) {
        job->step = DELIVER_LINK;
        io_link(job->loop, &job->op, job->sink->staging_dir, job->staging_name, job->parent_dir,
                job->name, on_deliver);
    } else if (job->step == DELIVER_LINK && (refused || res == -EPERM)) {
        deliver_reject(job, res, "its file system has neither links nor a rename that never "
                                 "replaces (RENAME_NOREPLACE); choose another directory");
    } else if (res < 0) {
        file_job_fail(job, res, "cannot rename from staging");
    } else {
        job->linked = job->step == DELIVER_LINK;
        sync_parent(job);
    }
}

static void on_deliver(struct io_op *op, int res)
{
    struct sink_job *job = op->ctx;

    if (job->step <= DELIVER_LINK) {
        on_renamed(job, res);
        return;
    }
    if (job->step >= DELIVER_SYNC_PARENT)
        res = file_job_synced(job, res);
    if (res < 0) {
        (void)deliver_undo(job, false);     /* where it fails, in_doubt stays */
        file_job_fail(job, res, "sync of its names");
        return;
    }
    if (job->step == DELIVER_COMPARE) {
        sync_parent(job);
        return;
    }
    if (job->step == DELIVER_SYNC_STAGING) {
        file_job_end(job, SINK_DONE);
        return;
    }
    sync_staging(job);
}

void file_sink_deliver(struct file_sink *sink, struct sink_job *job)
{
    int r = 1;

    if (!file_job_begin(sink, job))
        return;
    if (job->staging_id && job->staging_id != sink->id)
        r = file_job_staged_here(job);
    if (r <= 0) {
        file_job_fail(job, r ? r : -ESTALE, "its staging directory was removed");
        return;
    }
    r = parent_open(sink, job);
    if (r < 0) {
        file_job_fail(job, r, r == -ENOTDIR ? "something else is where its folder should be"
                                            : "cannot make its folder");
        return;
    }
    if (job->linked && !job->in_doubt) {
        sync_staging(job);
        return;
    }
    r = job->in_doubt ? deliver_undo(job, true) : 0;
    if (r) {
        file_job_fail(job, r, "cannot take it back after a failed sync");
        return;
    }
    job->step = DELIVER_RENAME;
    io_rename(job->loop, &job->op, sink->staging_dir, job->staging_name, job->parent_dir, job->name,
              on_deliver);
}
