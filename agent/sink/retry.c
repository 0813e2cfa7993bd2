/*
 * retry: pauses, breaker and window of one sink.
 * Owns:   nothing.
 * Thread: see the header.
 */
#include "sink/retry.h"

#include <string.h>

#include "base/invariant.h"

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint32_t half(uint32_t n)
{
    return n > 1 ? n / 2 : 1;
}

static void count(uint32_t *counter)
{
    if (*counter < UINT32_MAX)
        (*counter)++;
}

/* From 0 to range, evenly, by a random number. */
static uint64_t share(uint64_t range, uint64_t random)
{
    return (uint64_t)(((unsigned __int128)range + 1) * random >> 64);
}

/* The bound of the n-th pause, n from 0. */
static uint64_t backoff(const struct retry *r, uint32_t n)
{
    uint64_t bound = RETRY_BACKOFF_MIN_NS;

    while (n-- > 0 && bound < r->limits.backoff_max_ns)
        bound *= 2;
    return min_u64(bound, r->limits.backoff_max_ns);
}

static enum retry_state state_of(const struct retry *r)
{
    if (r->open)
        return r->probing ? RETRY_STATE_PROBING : RETRY_STATE_OPEN;
    if (r->failures > 0)
        return RETRY_STATE_FAILING;
    return r->window < r->limits.in_flight_max ? RETRY_STATE_SLOWED : RETRY_STATE_FLOWING;
}

static void state_update(struct retry *r, uint64_t now_ns)
{
    enum retry_state state = state_of(r);

    if (state != r->state && !(state >= RETRY_STATE_OPEN && r->state >= RETRY_STATE_OPEN))
        r->since_ns = now_ns;
    r->state = state;
}

void retry_init(struct retry *r, const struct retry_limits *limits, uint64_t now_ns)
{
    memset(r, 0, sizeof(*r));
    retry_limits_set(r, limits);
    r->since_ns = now_ns;
    r->state = state_of(r);
}

void retry_limits_set(struct retry *r, const struct retry_limits *limits)
{
    INVARIANT(limits->in_flight_max > 0 && limits->backoff_max_ns > 0);
    /* What ran with all that was allowed does so with what is allowed now. */
    if (r->window == r->limits.in_flight_max || r->window > limits->in_flight_max)
        r->window = limits->in_flight_max;
    r->limits = *limits;
}

/* Its pause counts, unless the reason for it has gone. */
static bool pauses(const struct retry *r, const struct retry_job *job)
{
    if (job->rejected)
        return job->epoch == r->repairs;
    return !r->open && job->epoch == r->outages;
}

uint64_t retry_next_ns(const struct retry *r, const struct retry_job *job)
{
    uint64_t at = r->hold_ns;

    /* A probe does not wait for the requests that were out when the breaker opened. */
    if (job->in_flight || r->probing ||
        r->in_flight >= (r->open ? r->limits.in_flight_max : r->window))
        return RETRY_NEVER_NS;
    if (r->open)
        at = max_u64(at, r->probe_ns);
    return pauses(r, job) ? max_u64(at, job->next_ns) : at;
}

bool retry_begin(struct retry *r, struct retry_job *job, uint64_t now_ns)
{
    if (retry_next_ns(r, job) > now_ns)
        return false;
    r->in_flight++;
    if (job->attempts > 0)
        r->retries++;
    job->in_flight = true;
    job->began_ns = now_ns;
    if (r->open)
        r->probing = job->probe = true;
    state_update(r, now_ns);
    return true;
}

/* Both ways out of flight; whether the job was the probe. */
static bool landed(struct retry *r, struct retry_job *job)
{
    bool probe = job->probe;

    r->in_flight--;
    job->in_flight = job->probe = false;
    if (probe)
        r->probing = false;
    return probe;
}

static void rejected_set(struct retry *r, struct retry_job *job, bool rejected)
{
    if (rejected && !job->rejected)
        r->rejected++;
    if (!rejected && job->rejected)
        r->rejected--;
    job->rejected = rejected;
}

/* The service has answered, be it with a reject. */
static void answered(struct retry *r)
{
    r->failures = 0;
    if (!r->open)
        return;
    r->open = false;
    r->probes = 0;
    r->outages++;
}

static void succeeded(struct retry *r, struct retry_job *job)
{
    answered(r);
    if (job->rejected)
        r->repairs++;
    rejected_set(r, job, false);
    job->next_ns = 0;
    job->attempts = 0;
    if (r->window >= r->limits.in_flight_max)
        return;
    r->successes++;
    if (r->window >= r->threshold && r->successes < r->window)
        return;
    r->successes = 0;
    r->window++;
}

static void narrow(struct retry *r, uint32_t window, uint64_t now_ns)
{
    r->threshold = half(r->window);
    r->window = window;
    r->successes = 0;
    r->narrowed_ns = now_ns;
}

static void failed(struct retry *r, struct retry_job *job, const struct retry_reply *reply,
                   bool probe, uint64_t now_ns, uint64_t random)
{
    rejected_set(r, job, false);
    job->next_ns = now_ns + share(backoff(r, job->attempts), random);
    job->epoch = r->outages;
    count(&job->attempts);
    count(&r->failures);
    /* Those that were out already when the window was made smaller could not know of it. */
    if (reply->class == RETRY_THROTTLED && !r->open && job->began_ns >= r->narrowed_ns)
        narrow(r, half(r->window), now_ns);
    if (probe)
        count(&r->probes);
    if (!r->open && r->failures >= RETRY_FAILURES_MAX) {
        r->open = probe = true;
        r->probes = job->attempts - 1;  /* it goes on where the job's pauses were */
        narrow(r, 1, now_ns);
    }
    if (probe) {
        uint64_t bound = backoff(r, r->probes);

        r->probe_ns = now_ns + bound / 2 + share(bound - bound / 2, random);
    }
}

void retry_done(struct retry *r, struct retry_job *job, const struct retry_reply *reply,
                uint64_t now_ns, uint64_t random)
{
    bool corrects = reply->class == RETRY_CREDENTIALS || reply->class == RETRY_CLOCK;
    uint64_t after_ns = min_u64(reply->after_ns, RETRY_AFTER_MAX_NS);
    bool probe;

    INVARIANT(job->in_flight && reply->class < RETRY_CLASS_COUNT);
    probe = landed(r, job);
    if (reply->class != RETRY_OK) {
        (void)errmsg_set(&r->error, 0, "%s", reply->text != NULL ? reply->text : "");
        r->error_ns = now_ns;
    }
    if (reply->class == RETRY_OK) {
        succeeded(r, job);
    } else if (reply->class == RETRY_REJECT) {
        answered(r);
        rejected_set(r, job, true);
        job->next_ns = now_ns + max_u64(RETRY_REJECT_NS + share(RETRY_REJECT_NS, random), after_ns);
        job->epoch = r->repairs;
        count(&job->attempts);
    } else {
        if (!corrects || job->corrected)
            failed(r, job, reply, probe, now_ns, random);
        r->hold_ns = max_u64(r->hold_ns, now_ns + after_ns);
    }
    job->corrected = corrects;
    state_update(r, now_ns);
}

void retry_forget(struct retry *r, struct retry_job *job, uint64_t now_ns)
{
    if (job->in_flight)
        (void)landed(r, job);
    rejected_set(r, job, false);
    memset(job, 0, sizeof(*job));
    state_update(r, now_ns);
}

void retry_look(const struct retry *r, uint64_t now_ns, struct retry_status *ret_status)
{
    uint64_t next_ns = r->open && !r->probing ? max_u64(r->probe_ns, r->hold_ns) : r->hold_ns;

    *ret_status = (struct retry_status){
        .state = r->state,
        .since_ns = r->since_ns,
        .next_ns = next_ns > now_ns ? next_ns : 0,
        .in_flight = r->in_flight,
        .window = r->window,
        .failures = r->failures,
        .rejected = r->rejected,
        .retries = r->retries,
        .error_ns = r->error_ns,
        .error = r->error.text,
    };
}

const char *retry_state_name(enum retry_state state)
{
    static const char *const names[] = { "flowing", "slowed", "failing", "open", "probing" };

    _Static_assert(sizeof(names) / sizeof(names[0]) == RETRY_STATE_COUNT, "a name for each state");
    INVARIANT(state < RETRY_STATE_COUNT);
    return names[state];
}
