/*
 * sink_life: one batch on its way to one directory, for tests of the file sink on the simulated and
 * on the real host: what the pipeline does around it, in the fewest lines.
 *
 * Owns:   loop, sink and spool directory, from sink_life_open() to sink_life_close().
 * Thread: the test's.
 */
#ifndef SINK_SINK_LIFE_H
#define SINK_SINK_LIFE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "io/file.h"
#include "sink/file.h"

enum { SINK_LIFE_TURNS_MAX = 20000, SINK_LIFE_MODE = 0640 };

struct sink_life {
    struct io_loop *loop;
    struct file_sink sink;
    int spool_dir;
    bool ended;                 /* the last job */
};

static inline void sink_life_open(struct sink_life *life, const char *spool, const char *directory)
{
    struct errmsg err;

    memset(life, 0, sizeof(*life));
    assert_int_equal(loop_open(64, &life->loop, &err), 0);
    life->sink.dir = life->sink.staging_dir = -1;
    life->sink.directory = strdup(directory);
    assert_non_null(life->sink.directory);
    life->spool_dir = file_open(FILE_CWD, spool, O_RDONLY | O_DIRECTORY, 0);
    assert_true(life->spool_dir >= 0);
}

static inline void sink_life_close(struct sink_life *life)
{
    assert_int_equal(life->sink.jobs, 0);
    assert_int_equal(loop_in_flight(life->loop), 0);
    file_sink_close(&life->sink);
    free(life->sink.directory);
    file_close(life->spool_dir);
    loop_close(life->loop);
}

static inline void on_sink_life_job(struct sink_job *job)
{
    struct sink_life *life = job->ctx;

    assert_false(life->ended);
    assert_null(job->buffer);
    assert_true(job->from_fd == -1 && job->to_fd == -1 && job->parent_dir == -1);
    assert_true(job->result == SINK_DONE || job->err.text[0] != '\0');
    life->ended = true;
}

/* Of several at once: the test waits for life->sink.jobs. */
static inline void on_sink_life_many(struct sink_job *job)
{
    assert_true(job->result == SINK_DONE || job->err.text[0] != '\0');
}

/* `data` is what the spool file holds. */
static inline void sink_life_job(struct sink_life *life, struct sink_job *job, const char *name,
                                 const char *key, const void *data, size_t len)
{
    *job = (struct sink_job){
        .loop = life->loop,
        .spool_dir = life->spool_dir,
        .spool_name = name,
        .staging_name = name,
        .key = key,
        .file_bytes = len,
        .crc32c = crc32c(0, data, len),
        .file_mode = SINK_LIFE_MODE,
        .done = on_sink_life_job,
        .ctx = life,
        .from_fd = -1,
        .to_fd = -1,
        .parent_dir = -1,
    };
}

typedef void (*sink_step_fn)(struct file_sink *sink, struct sink_job *job);

/* One step of the job, to its end. */
static inline enum sink_result sink_life_run(struct sink_life *life, sink_step_fn step,
                                             struct sink_job *job)
{
    life->ended = false;
    step(&life->sink, job);
    for (int i = 0; !life->ended && i < SINK_LIFE_TURNS_MAX; i++)
        assert_true(loop_turn(life->loop, UINT64_MAX) >= 0);
    assert_true(life->ended);
    return job->result;
}

static inline void sink_life_expect(struct sink_life *life, sink_step_fn step,
                                    struct sink_job *job, enum sink_result result,
                                    const char *words)
{
    enum sink_result got = sink_life_run(life, step, job);

    if (got != result || (words && !strstr(job->err.text, words)))
        fail_msg("result %d, not %d; '%s' and '%s'", (int)got, (int)result, job->err.text,
                 words ? words : "");
}

/* Staged, or else copied, as the pipeline does it. */
static inline void sink_life_stage(struct sink_life *life, struct sink_job *job)
{
    if (sink_life_run(life, file_sink_stage, job) != SINK_DONE)
        while (sink_life_run(life, file_sink_copy, job) != SINK_DONE)
            assert_int_equal(job->staging_id, 0);
}

#endif
