/*
 * remote: one sealed batch on its way to a service, and what the kinds of remote sinks have in
 * common. The delivery thread (delivery.h) drives them; a kind (s3.c, firehose.c, web.c) says which
 * requests there are and what the answers mean.
 *
 * A job is one batch for one sink. It sends by lanes, as many at a time as its kind plans and the
 * sink's window (retry.h) lets out; a lane is one request, tried until it is answered well:
 *
 *     plan()   what the lane is for            then, if it asks for that, its part of the batch's
 *                                              file is read and hashed; all of it is compared with
 *                                              the seal
 *     make()   the request, signed             each time it goes out
 *     take()   the answer, as an outcome       or lost(): there was none, it may have worked
 *
 * Owns:   a sink its kind's `own`; a job too, and its lanes; the rest is borrowed.
 * Thread: delivery, but for making a job and what is said at delivery_post().
 * Units:  bytes; *_ns of the boot clock, utc_s seconds since 1970.
 */
#ifndef SINK_REMOTE_H
#define SINK_REMOTE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/errmsg.h"
#include "flow/settings.h"
#include "sink/credentials.h"
#include "sink/http_pool.h"
#include "sink/object_type.h"
#include "sink/request.h"
#include "sink/retry.h"
#include "sink/s3_request.h"
#include "sink/sigv4.h"
#include "sink/sink.h"

struct remote_job;
struct remote_sink;
typedef void (*remote_done_fn)(struct remote_job *job);

enum remote_body { REMOTE_BODY_LINES, REMOTE_BODY_ARRAY, REMOTE_BODY_RAW };
enum remote_protocol { REMOTE_PLAIN, REMOTE_FIREHOSE };

/* A sink as it is configured. Strings are never NULL but where that is said; "" stands for none. */
struct remote_settings {
    const char *name;
    enum target_type type;
    uint32_t in_flight_max;
    uint64_t timeout_ns, backoff_max_ns;
    const char *ca_file;
    struct credentials_config cloud;    /* s3, firehose */
    struct {
        struct s3_settings set;         /* its bucket is that of batches sealed from now on */
        uint64_t part_bytes;
        enum s3_choice conditional;
    } s3;
    struct {
        const char *endpoint;
        bool pack;                      /* several events into one record */
    } firehose;
    struct {
        const char *url, *method, *token;
        const char *const *headers;     /* "Name: value" */
        uint32_t headers_count;
        enum remote_body body;
        enum remote_protocol protocol;
        bool gzip;                      /* bodies of REMOTE_FIREHOSE */
    } web;
};

enum remote_lane_state {
    REMOTE_LANE_FREE,
    REMOTE_LANE_READ,               /* its part of the file is being read, or will be */
    REMOTE_LANE_READY,              /* to go out when it may */
    REMOTE_LANE_OUT,
    REMOTE_LANE_ANSWERED
};

/* One request of a job. Zeroed, but for what is said. */
struct remote_lane {
    struct remote_job *job;
    struct remote_lane *next;       /* delivery's, both */
    enum remote_lane_state state;

    /* plan() sets these; all else is as the lane's last request left it. */
    int step;                       /* the kind's */
    uint32_t number;                /* the kind's: of a part */
    uint64_t file_at, file_len;     /* the body is this part of the file; len 0: none of it */
    bool hash;                      /* crc32c is wanted before make(), and, if so, sha256 */
    bool sha256_wanted;
    uint32_t crc32c;                /* of that part, seed 0; plan()'s own if it does not ask */
    char sha256[SIGV4_HEX_BYTES];

    /* make() sets these. */
    struct request request;         /* signed where the kind signs */
    struct bytes body;              /* the body, where it is none of the file's; the lane's */
    size_t answer_bytes_max;

    struct retry_job retry;         /* delivery's, as is what follows */
    struct http_call call;
    struct http_header headers[REQUEST_HEADERS_MAX];
    uint32_t keys_generation;
    void *sha256_ctx;
    uint64_t hashed;
};

struct remote_job {
    /* In; strings are borrowed until done(). */
    const char *sink;               /* its name */
    const char *stream;
    const char *batch;              /* its id, which is unique for ever */
    const char *place;              /* bucket, delivery stream; as it was sealed for */
    const char *key;                /* s3: from the bucket's root */
    struct object_type type;        /* of the file, by its key */
    int spool_dir;
    const char *spool_name;
    uint64_t file_bytes;
    uint32_t crc32c;                /* of the file, seed 0, */
    const uint32_t *block_crc32c;   /* and of each BLOCK_BYTES of it; NULL: not known */
    uint64_t first_lsn, last_lsn, events;
    bool resumed;                   /* an earlier life may have delivered it, or parts of it */
    remote_done_fn done;            /* on the delivery thread; the job is the caller's again */
    void *ctx;
    /* Out. RETRY: there is no such sink, or no memory. */
    enum sink_result result;
    struct errmsg err;
    uint64_t duplicates;            /* events that the service may have twice */

    /* The kind's. */
    void *own;
    /* Delivery's; a kind reads them. */
    struct remote_sink *at;
    struct remote_job *next;
    int file_fd;                    /* -1: not open */
    bool damaged;                   /* the file: see err */
    struct remote_lane *lanes;      /* owned */
    struct remote_lane *reading;    /* the one that reads the file; they do in turn */
    uint32_t lanes_out;             /* with a plan that is not yet answered well */
    bool begun;
    bool doubted;                   /* the whole file is read once more, so far: */
    uint64_t doubt_read;
    uint32_t doubt_crc32c;
};

enum remote_ask { REMOTE_ASK_NO, REMOTE_ASK_OUT, REMOTE_ASK_ANSWERED };

/* A configured sink. */
struct remote_sink {
    const struct remote_kind *kind;
    struct remote_settings set;     /* borrowed from settings */
    struct remote_settings_copy *settings;  /* owned */
    struct retry retry;
    struct credentials *credentials;    /* NULL: the kind takes none */
    struct sigv4 sign;              /* the kind's, to sign with */
    int64_t clock_offset_s;         /* the kind's: what the service's clock is ahead */
    void *own;                      /* the kind's */
    /* Delivery's. */
    struct remote_sink *next;
    struct delivery *delivery;
    struct remote_job *jobs;        /* in order of arrival */
    uint32_t jobs_count, lanes_planned;     /* lanes that have a plan and were not rejected */
    struct http_call ask;           /* of the credentials */
    struct http_header ask_headers[REQUEST_HEADERS_MAX];
    enum remote_ask asking;
    uint64_t duplicates;            /* events, since the start */
    uint64_t failing_ns;            /* when it was last seen to fail */
    bool failing;                   /* that has been said, and is not yet over */
};

/* What an answer means. */
struct remote_outcome {
    enum retry_class class;
    uint64_t after_ns;              /* Retry-After; 0: none */
    bool again;                     /* class OK, and the same plan is made and sent once more */
    struct errmsg text;             /* of all but OK, for people; no secrets */
};

enum remote_plan {
    REMOTE_SEND,                    /* the lane has something to do */
    REMOTE_WAIT,                    /* not before another lane has been answered */
    REMOTE_OVER                     /* job->result is set, and job->err, unless it is DONE */
};

struct remote_kind {
    const char *name;               /* "s3" */
    bool signs;                     /* takes credentials */
    bool region_wanted;             /* and a region */
    /* 0 or -errno with a text. May be NULL, all four. */
    int (*open)(struct remote_sink *sink, struct errmsg *err);
    void (*close)(struct remote_sink *sink);
    int (*begin)(struct remote_job *job, struct errmsg *err);
    void (*end)(struct remote_job *job);

    enum remote_plan (*plan)(struct remote_job *job, struct remote_lane *lane);
    /*
     * keys is NULL where the kind takes none. 0; or -errno with a text: it is tried again as after
     * a failure, or, -EOPNOTSUPP, as after a reject. If the plan is out of date it may make another
     * request, of none of the file: then it sets step, file_len = 0 and hash = false.
     */
    int (*make)(struct remote_job *job, struct remote_lane *lane,
                const struct credentials_keys *keys, uint64_t utc_s, struct errmsg *err);
    /* The lane's plan is over when the class is OK, unless it says `again`. */
    void (*take)(struct remote_job *job, struct remote_lane *lane, const struct reply *reply,
                 struct remote_outcome *ret_outcome);
    /* Nothing, or half an answer, came back; sent: how much of the body was. May be NULL. */
    void (*lost)(struct remote_job *job, struct remote_lane *lane, uint64_t sent);
};

extern const struct remote_kind s3_kind, firehose_kind, web_kind;

/* Reads the file anew before the lane goes out again, and so the whole of it. */
void remote_doubt_file(struct remote_job *job);

/* It is not what was sealed: nothing more of it goes out. */
void remote_damaged_file(struct remote_job *job, const char *why);

/* The plan of kinds with one lane: the whole file is compared with the seal, then all is sent. */
enum remote_plan remote_plan_whole(struct remote_job *job, struct remote_lane *lane,
                                   bool all_sent);

/* Of a Retry-After header, in seconds or as a date; 0: none. */
uint64_t remote_retry_after_ns(const struct reply *reply, uint64_t utc_s);

/* Of a Date header and the like: "Tue, 03 Feb 2026 04:05:06 GMT". */
bool remote_date(const char *text, uint64_t *ret_utc_s);

/* What a status means where nothing else is known: 2xx OK, 429 and 503 THROTTLED, ... */
enum retry_class remote_class(unsigned status);

/* The beginning of an answer's body, fit for a log; "" if there is none. */
enum { REMOTE_EXCERPT_BYTES = 161 };
void remote_excerpt(const char *body, size_t len, char ret_text[static REMOTE_EXCERPT_BYTES]);

#endif
