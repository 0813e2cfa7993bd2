/*
 * driven_job: a batch's file in memory and one lane of a kind, driven by hand: what delivery.c
 * does, without its reading, waiting and sending.
 *
 * Owns:   a struct driven all that it has; driven_close().
 * Thread: one.
 */
#ifndef TESTS_SINK_DRIVEN_JOB_H
#define TESTS_SINK_DRIVEN_JOB_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"
#include "sink/remote.h"

struct driven {
    struct remote_sink sink;
    struct remote_job job;
    struct remote_lane lane;
    struct remote_outcome outcome;
    struct errmsg err;
    uint64_t utc_s;
    const char *region;
};

/* A record as files with framing have it. */
static inline void driven_record(struct bytes *file, const void *data, uint32_t len)
{
    assert_int_equal(bytes_append(file, &len, sizeof(len)), 0);
    assert_int_equal(bytes_append(file, data, len), 0);
}

/* The rest of the settings is set by the caller before; the file's bytes are taken over. */
static inline void driven_open(struct driven *d, const struct remote_kind *kind,
                               struct bytes *file, const char *key, uint64_t events)
{
    d->sink.kind = kind;
    d->sink.set.name = "far";
    d->job.sink = "far";
    d->job.stream = "clicks";
    d->job.batch = "0000018f00000001-000-0000000007";
    d->job.place = "hose";
    d->job.key = key;
    d->job.type = object_type_of(key);
    d->job.file_bytes = file->len;
    d->job.events = events;
    d->job.at = &d->sink;
    d->lane.job = &d->job;
    d->utc_s = 1770091506;              /* Tue, 03 Feb 2026 04:05:06 GMT */
    d->region = d->region ? d->region : "eu-west-1";
    d->job.file_fd = memfd_create("batch", MFD_CLOEXEC);
    assert_true(d->job.file_fd >= 0);
    assert_int_equal(write(d->job.file_fd, file->data, file->len), (ssize_t)file->len);
    bytes_free(file);
    if (kind->open)
        assert_int_equal(kind->open(&d->sink, &d->err), 0);
    assert_int_equal(kind->begin(&d->job, &d->err), 0);
}

static inline void driven_close(struct driven *d)
{
    d->sink.kind->end(&d->job);
    if (d->sink.kind->close)
        d->sink.kind->close(&d->sink);
    sigv4_fini(&d->sink.sign);
    bytes_free(&d->lane.body);
    assert_int_equal(close(d->job.file_fd), 0);
    memset(d, 0, sizeof(*d));
}

/* An earlier life, or other settings: the job begins anew. */
static inline void driven_again(struct driven *d)
{
    d->sink.kind->end(&d->job);
    d->job.resumed = true;
    d->job.lanes_out = 0;
    assert_int_equal(d->sink.kind->begin(&d->job, &d->err), 0);
}

static inline enum remote_plan driven_plan(struct driven *d)
{
    return d->sink.kind->plan(&d->job, &d->lane);
}

/* The first request of a plan, or the same lane once more. */
static inline int driven_make(struct driven *d)
{
    const struct credentials_keys keys = {
        .sign = {"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", ""},
        .region = d->region,
    };

    if (d->job.lanes_out == 0) {
        assert_int_equal(driven_plan(d), REMOTE_SEND);
        assert_true(d->lane.hash && d->lane.file_at == 0);
        assert_int_equal(d->lane.file_len, d->job.file_bytes);
        d->job.lanes_out = 1;
    }
    assert_int_equal(driven_plan(d), REMOTE_WAIT);
    bytes_clear(&d->lane.body);
    d->err.text[0] = '\0';
    return d->sink.kind->make(&d->job, &d->lane, d->sink.kind->signs ? &keys : NULL, d->utc_s,
                              &d->err);
}

static inline void driven_send(struct driven *d)
{
    if (driven_make(d) != 0)
        fail_msg("%s", d->err.text);
}

/* headers: name, value, ..., NULL. */
static inline enum retry_class driven_answer(struct driven *d, unsigned status, const char *body,
                                             const char *const *headers)
{
    struct request_header list[8];
    struct reply reply = {.status = status, .headers = list, .body = body,
                          .body_len = body ? strlen(body) : 0};

    for (; headers && headers[0]; headers += 2)
        list[reply.headers_count++] = (struct request_header){headers[0], headers[1]};
    memset(&d->outcome, 0, sizeof(d->outcome));
    d->sink.kind->take(&d->job, &d->lane, &reply, &d->outcome);
    if (d->outcome.class == RETRY_OK && !d->outcome.again)
        d->job.lanes_out = 0;
    return d->outcome.class;
}

static inline void driven_expect_over(struct driven *d, enum sink_result result)
{
    d->job.lanes_out = 0;
    assert_int_equal(driven_plan(d), REMOTE_OVER);
    assert_int_equal(d->job.result, result);
}

static inline const char *driven_header(const struct driven *d, const char *name)
{
    const char *value = request_header_find(&d->lane.request, name);

    return value ? value : "";
}

#endif
