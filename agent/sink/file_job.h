/*
 * file_job: what the steps of the file sink share (file.c, file_deliver.c). For these alone.
 *
 * Owns:   see sink/file.h.
 * Thread: shard.
 */
#ifndef SINK_FILE_JOB_H
#define SINK_FILE_JOB_H

#include "sink/file.h"

enum { FILE_FOLDER_MODE = 0750 };

/* False: the directories cannot be had, the job has ended. */
bool file_job_begin(struct file_sink *sink, struct sink_job *job);
void file_job_end(struct sink_job *job, enum sink_result result);
/* Ends it with RETRY; the directories are opened anew where the error says so. */
void file_job_fail(struct sink_job *job, int err, const char *what);

/*
 * Is the staging directory the one that the batch was staged in? 1; 0: no, and staging_id is 0 now;
 * -errno: it cannot be told.
 */
int file_job_staged_here(struct sink_job *job);

/*
 * What a sync of a directory says of this job: res, or the error of another that has failed since
 * the job began.
 */
int file_job_synced(struct sink_job *job, int res);

/*
 * Reads from_fd, or the -errno that it is, to its end; then `then` is told 0: it is the batch, byte
 * for byte, -EBADMSG: it is not, or why it cannot be read.
 */
typedef void (*file_job_read_fn)(struct sink_job *job, int err);
void file_job_read(struct sink_job *job, file_job_read_fn then);

#endif
