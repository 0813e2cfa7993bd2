/*
 * retry: when what a sink has to send may go, and when again after a failure. Pure: it is told the
 * time, what came back and random numbers.
 *
 * There is one struct retry for each sink, and one struct retry_job for each line of requests that
 * follow one another, as those of a batch. The sink asks retry_next_ns() when a job may go, says
 * retry_begin() when it goes, and retry_done() with what came back, in the words of enum
 * retry_class. There is no last attempt: a job is tried until it is done or forgotten.
 *
 * - A failed job waits a random time between 0 and a bound that doubles from 1 s to backoff_max.
 * - `Retry-After` holds the whole sink, for an hour at most.
 * - Five failures in a row open the breaker. Then one job at a time goes, as a probe, after a
 *   random time between the half and the whole of a bound that doubles likewise. Whatever the
 *   service answers to any request, but a failure, closes the breaker: the pauses of failed jobs
 *   are void, and all go as the window lets them. So after an outage work is resumed within
 *   backoff_max, by one request, then two, and not by all jobs at once.
 * - The window is how many go at once: 1 to in_flight_max, which it begins with. Throttling halves
 *   it, once for all requests that were out together; a window full of successes makes it one more.
 *   After an outage it begins at 1 and doubles until half of what it was.
 * - A rejected job waits 5 to 10 minutes: what is wrong with it needs somebody's help. It is no
 *   failure of the service. The first one that then succeeds lets the others go as well, for what
 *   was wrong with it may have been wrong with them.
 * - After RETRY_CREDENTIALS and RETRY_CLOCK, which the sink puts right, the job may go at once, the
 *   first time; when that did not help it is a failure.
 *
 * Owns:   nothing.
 * Thread: one at a time for each sink and its jobs.
 * Units:  nanoseconds of a clock that never goes back.
 */
#ifndef SINK_RETRY_H
#define SINK_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/errmsg.h"

#define RETRY_SECOND_NS 1000000000ULL
#define RETRY_BACKOFF_MIN_NS RETRY_SECOND_NS            /* bound of the first pause */
#define RETRY_AFTER_MAX_NS (3600 * RETRY_SECOND_NS)     /* of a service's wish */
#define RETRY_REJECT_NS (300 * RETRY_SECOND_NS)         /* and up to as long again */
#define RETRY_FAILURES_MAX 5                            /* in a row, then the breaker opens */
#define RETRY_NEVER_NS UINT64_MAX                       /* not before a request has ended */

enum retry_class {
    RETRY_OK,
    RETRY_AGAIN,                /* not reached, no whole answer, 5xx: may work later */
    RETRY_THROTTLED,            /* the service asks for less */
    RETRY_CREDENTIALS,          /* refused as expired or unknown: the sink gets others */
    RETRY_CLOCK,                /* the sink has corrected its clock offset */
    RETRY_REJECT,               /* not without somebody's help */
    RETRY_CLASS_COUNT
};

enum retry_state {
    RETRY_STATE_FLOWING,
    RETRY_STATE_SLOWED,         /* the window is below in_flight_max */
    RETRY_STATE_FAILING,        /* the last request failed */
    RETRY_STATE_OPEN,           /* the breaker is open */
    RETRY_STATE_PROBING,        /* and a probe is out */
    RETRY_STATE_COUNT
};

struct retry_limits {
    uint64_t backoff_max_ns;    /* at least 1 */
    uint32_t in_flight_max;     /* at least 1 */
};

struct retry_reply {
    enum retry_class class;
    uint64_t after_ns;          /* Retry-After; 0: none */
    const char *text;           /* of a failure, for people; NULL: none. No secrets */
};

/* Zeroed: may go at once. */
struct retry_job {
    uint64_t next_ns;           /* end of its pause */
    uint64_t began_ns;
    uint32_t attempts;          /* failed ones since the last success */
    uint32_t epoch;             /* of the sink, when the pause began: in another one it is void */
    bool in_flight, probe, rejected, corrected;
};

struct retry {
    struct retry_limits limits;
    uint32_t window, threshold; /* below the threshold the window grows with each success */
    uint32_t successes;         /* towards a larger window */
    uint32_t in_flight;
    uint32_t failures;          /* in a row */
    uint32_t probes;            /* failed ones of this outage */
    uint32_t outages, repairs;  /* epochs: of pauses after failures, after rejects */
    uint32_t rejected;          /* jobs */
    bool open, probing;
    uint64_t probe_ns;          /* open: the next probe */
    uint64_t hold_ns;           /* Retry-After */
    uint64_t narrowed_ns;       /* when the window was last made smaller */
    uint64_t retries;           /* all there ever were */
    enum retry_state state;
    uint64_t since_ns;          /* of state; open and probing are one */
    uint64_t error_ns;
    struct errmsg error;        /* the last one; "": there was none */
};

struct retry_status {
    enum retry_state state;
    uint64_t since_ns;
    uint64_t next_ns;           /* when the sink tries again; 0: nothing but jobs' own pauses */
    uint32_t in_flight, window, failures, rejected;
    uint64_t retries;
    uint64_t error_ns;
    const char *error;          /* borrowed until the next call; "": there was none */
};

void retry_init(struct retry *r, const struct retry_limits *limits, uint64_t now_ns);

/* After a reload. */
void retry_limits_set(struct retry *r, const struct retry_limits *limits);

/* The earliest time for the job, as things stand; RETRY_NEVER_NS: ask again after retry_done(). */
uint64_t retry_next_ns(const struct retry *r, const struct retry_job *job);

/* The job's request goes out. False: it may not; ask retry_next_ns(). */
bool retry_begin(struct retry *r, struct retry_job *job, uint64_t now_ns);

/* What came back; random is any number of 64 bits. */
void retry_done(struct retry *r, struct retry_job *job, const struct retry_reply *reply,
                uint64_t now_ns, uint64_t random);

/* The job goes, whatever it was about; it may be in flight. */
void retry_forget(struct retry *r, struct retry_job *job, uint64_t now_ns);

void retry_look(const struct retry *r, uint64_t now_ns, struct retry_status *ret_status);

/* "flowing", "slowed", ... */
const char *retry_state_name(enum retry_state state);

#endif
