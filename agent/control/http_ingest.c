/*
 * http_ingest: puts that wait for room or for a sync, in the order in which they came.
 *
 * Owns:   see the header.
 * Thread: HTTP.
 */
#include "control/http_ingest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "intake/firehose_body.h"
#include "intake/intake_ring.h"
#include "intake/message_body.h"
#include "wal/wal_source.h"

#define RETRY_NS 1000000ULL     /* for room */
#define LOOK_NS  100000000ULL   /* at a ring that should become durable and perhaps is spoilt */

struct http_ingest {
    struct intake_ring rings[2];        /* of events and of records */
    char *shm_dir;                      /* owned */
    struct json_checker *checker;       /* owned */
    struct firehose_reader records;     /* owned */
    struct message_reader message;      /* owned */
    struct http_hold *holds;            /* borrowed */
    uint64_t records_count;             /* all that were taken */
    bool (*stream_raw)(void *ctx, const char *stream);
    void *ctx;
    struct intake_counters *counters;   /* borrowed */
    struct http_put *waiting, **waiting_end;
    struct http_put *done, **done_end;
    bool fresh;                 /* a sync is to be asked for at once */
    bool shut;
    uint64_t sync_by_ns;        /* no put waits for its sync longer than that */
};

struct adding {
    struct http_ingest *in;
    struct intake_ring *ring;
    struct intake_batch batch;
};

int http_ingest_open(const struct http_ingest_options *options, struct http_ingest **ret_ingest)
{
    struct http_ingest *in = calloc(1, sizeof(*in));

    if (in == NULL)
        return -ENOMEM;
    in->counters = options->counters;
    in->stream_raw = options->stream_raw;
    in->ctx = options->ctx;
    in->waiting_end = &in->waiting;
    in->done_end = &in->done;
    in->sync_by_ns = UINT64_MAX;
    in->checker = json_checker_open(SHM_EVENT_BYTES_MAX);
    in->shm_dir = strdup(options->shm_dir);
    if (firehose_reader_init(&in->records) != 0 || message_reader_init(&in->message) != 0 ||
        in->checker == NULL || in->shm_dir == NULL ||
        intake_ring_init(&in->rings[false], wal_source_rings[WAL_FROM_HTTP], in->shm_dir,
                         options->stream_take, options->ctx,
                         &options->counters->configurations) != 0 ||
        intake_ring_init(&in->rings[true], wal_source_rings[WAL_FROM_FIREHOSE], in->shm_dir,
                         options->stream_take, options->ctx,
                         &options->counters->configurations) != 0) {
        http_ingest_close(in);
        return -ENOMEM;
    }
    *ret_ingest = in;
    return 0;
}

void http_ingest_close(struct http_ingest *in)
{
    if (in == NULL)
        return;
    INVARIANT(in->waiting == NULL && in->done == NULL && in->holds == NULL);
    intake_ring_fini(&in->rings[false]);
    intake_ring_fini(&in->rings[true]);
    free(in->shm_dir);
    firehose_reader_fini(&in->records);
    message_reader_fini(&in->message);
    json_checker_close(in->checker);
    free(in);
}

/* ---- one put ---- */

static int on_event(void *ctx, enum shm_kind kind, const uint8_t *data, size_t len)
{
    struct adding *a = ctx;

    return intake_ring_add(a->ring, &a->batch, kind, data, len);
}

static bool put_of_records(const struct http_put *put)
{
    return put->form == HTTP_PUT_RECORD || put->form == HTTP_PUT_RECORDS;
}

static struct intake_ring *ring_of(struct http_ingest *in, const struct http_put *put)
{
    return &in->rings[put_of_records(put)];
}

/* Records are lines, too, unless the stream takes them as they are. */
static int records_add(struct adding *a, struct http_put *put)
{
    struct http_ingest *in = a->in;
    enum body_form form = in->stream_raw(in->ctx, put->stream) ? BODY_WHOLE : BODY_LINES;
    const uint8_t *data;
    size_t len;
    int rc;

    put->records = 0;
    while ((rc = firehose_reader_next(&in->records, &data, &len, &put->err)) > 0) {
        put->records++;
        rc = body_events(form, in->checker, SHM_EVENT_BYTES_MAX, data, len, &put->err, on_event,
                         a);
        if (rc != 0)
            return rc;
    }
    return rc;
}

static int put_begin(struct http_ingest *in, struct http_put *put)
{
    int rc;

    if (!put_of_records(put))
        return 0;
    rc = firehose_reader_begin(&in->records, put->form == HTTP_PUT_RECORDS, put->body,
                               put->body_len, &put->err);
    if (rc == 0)
        memcpy(put->stream, in->records.stream, sizeof(put->stream));
    return rc;
}

static int message_add(struct adding *a, struct http_put *put)
{
    const uint8_t *data;
    size_t len;
    int rc = message_reader_read(&a->in->message, put->body, put->body_len, &data, &len,
                                 &put->err);

    return rc != 0 ? rc : body_events(BODY_WHOLE, a->in->checker, SHM_EVENT_BYTES_MAX, data, len,
                                      &put->err, on_event, a);
}

static int put_add(struct adding *a, struct http_put *put)
{
    if (put->form == HTTP_PUT_MESSAGE)
        return message_add(a, put);
    if (put_of_records(put))
        return records_add(a, put);
    return body_events(put->form == HTTP_PUT_JSON ? BODY_JSON : BODY_LINES, a->in->checker,
                       SHM_EVENT_BYTES_MAX, put->body, put->body_len, &put->err, on_event, a);
}

static void put_count(struct http_ingest *in, struct http_put *put)
{
    enum intake_source source = put_of_records(put) ? INTAKE_FIREHOSE : INTAKE_HTTP;

    intake_count(&in->counters->events[source], put->events);
    put->first_record = in->records_count;
    if (put_of_records(put))
        in->records_count += put->records;
}

/* 0: committed; -EAGAIN: there is no room, *put says how much it needs; else it is over. */
static int put_try(struct http_ingest *in, struct http_put *put, uint64_t now_ns)
{
    struct intake_ring *ring = ring_of(in, put);
    struct adding a = {.in = in, .ring = ring};
    int rc = put_begin(in, put);

    for (const struct http_hold *h = in->holds; rc == 0 && h != NULL; h = h->next)
        if (strcmp(h->stream, put->stream) == 0)
            rc = -ENOENT;
    if (rc == 0)
        rc = intake_ring_begin(ring, now_ns, put->stream, &a.batch);
    if (rc == 0)
        rc = put_add(&a, put);
    if (rc != 0)
        return rc;
    put->ring_bytes = a.batch.events.bytes;
    rc = intake_ring_commit(ring, &a.batch, &put->pos);
    if (rc != 0)
        return rc == -EMSGSIZE ? -E2BIG : rc;
    put->committed = true;
    put->ring_number = ring->number;
    put->events = a.batch.events.events;
    put_count(in, put);
    return 0;
}

/* May it go on waiting, now that an attempt has ended so? */
static bool put_waits(struct http_ingest *in, const struct http_put *put, int rc)
{
    if (rc == 0 && put->durable && put->events > 0) {
        in->fresh = true;
        return true;
    }
    return rc == -EAGAIN;
}

static void put_append(struct http_put ***end, struct http_put *put)
{
    put->next = NULL;
    **end = put;
    *end = &put->next;
}

int http_ingest_put(struct http_ingest *in, struct http_put *put, uint64_t now_ns)
{
    bool queued = false;
    int rc = -EAGAIN;

    put->committed = false;
    put->ring_bytes = 0;
    if (in->shut) {
        put->result = -ESHUTDOWN;
        return 0;
    }
    for (const struct http_put *p = in->waiting; p != NULL; p = p->next)
        queued |= !p->committed;
    if (!queued)
        rc = put_try(in, put, now_ns);
    if (!put_waits(in, put, rc)) {
        put->result = rc;
        return 0;
    }
    put_append(&in->waiting_end, put);
    return -EINPROGRESS;
}

/* ---- those that wait ---- */

/* Takes it out of the list. */
static void put_done(struct http_ingest *in, struct http_put **at, int result)
{
    struct http_put *put = *at;

    *at = put->next;
    if (in->waiting_end == &put->next)
        in->waiting_end = at;
    put->result = result;
    put_append(&in->done_end, put);
}

static void rooms_turn(struct http_ingest *in, uint64_t now_ns)
{
    struct http_put **at = &in->waiting, *put;
    bool full = false;

    while ((put = *at) != NULL) {
        int rc = -EAGAIN;

        if (put->committed) {
            at = &put->next;
            continue;
        }
        if (in->shut)
            rc = -ESHUTDOWN;
        else if (!full && intake_ring_room(ring_of(in, put), put->ring_bytes))
            rc = put_try(in, put, now_ns);
        full |= rc == -EAGAIN;
        if (put_waits(in, put, rc) && (rc == 0 || now_ns < put->room_by_ns))
            at = &put->next;
        else
            put_done(in, at, rc);
    }
}

static void syncs_of_ring(struct http_ingest *in, struct intake_ring *ring, uint64_t now_ns)
{
    struct http_put **at = &in->waiting, *put;
    uint64_t durable = 0;
    bool asked = false;
    int rc = 0;

    while ((put = *at) != NULL) {
        if (!put->committed || ring_of(in, put) != ring) {
            at = &put->next;
            continue;
        }
        if (!asked)
            rc = intake_ring_durable(ring, &durable);
        asked = true;
        if (put->ring_number != ring->number || rc == -ESTALE)
            put_done(in, at, -ESTALE);
        else if (rc != 0)
            put_done(in, at, rc);
        else if ((int64_t)(durable - put->pos) >= 0)
            put_done(in, at, 0);
        else if (now_ns >= put->durable_by_ns || now_ns >= in->sync_by_ns)
            put_done(in, at, -ETIMEDOUT);
        else
            at = &put->next;
    }
}

static void syncs_turn(struct http_ingest *in, uint64_t now_ns)
{
    in->fresh = false;
    syncs_of_ring(in, &in->rings[false], now_ns);
    syncs_of_ring(in, &in->rings[true], now_ns);
}

void http_ingest_hold(struct http_ingest *in, struct http_hold *hold)
{
    hold->next = in->holds;
    in->holds = hold;
}

void http_ingest_release(struct http_ingest *in, const struct http_hold *hold)
{
    struct http_hold **at = &in->holds;

    while (*at != hold)
        at = &(*at)->next;
    *at = hold->next;
}

struct http_put *http_ingest_next(struct http_ingest *in, uint64_t now_ns)
{
    struct http_put *put;

    if (in->done == NULL && in->waiting != NULL) {
        rooms_turn(in, now_ns);
        /* Y1, full fence: who is not seen to wait sees what is durable; pairs with the one of
         * ring_file_publish(), behind which the shard looks whether somebody waits. */
        atomic_store_explicit(&in->counters->syncs_awaited, true, memory_order_relaxed);
        atomic_thread_fence(memory_order_seq_cst);
        syncs_turn(in, now_ns);
    }
    if (in->waiting == NULL)
        atomic_store_explicit(&in->counters->syncs_awaited, false, memory_order_relaxed);
    put = in->done;
    if (put != NULL) {
        in->done = put->next;
        if (in->done == NULL)
            in->done_end = &in->done;
    }
    return put;
}

uint64_t http_ingest_deadline_ns(const struct http_ingest *in, uint64_t now_ns)
{
    uint64_t nearest = in->waiting != NULL ? now_ns + LOOK_NS : UINT64_MAX;

    if (in->done != NULL || in->fresh)
        return now_ns;
    for (const struct http_put *put = in->waiting; put != NULL; put = put->next) {
        uint64_t by_ns = put->committed ? put->durable_by_ns : now_ns + RETRY_NS;

        if (in->sync_by_ns < by_ns)
            by_ns = in->sync_by_ns;
        nearest = by_ns < nearest ? by_ns : nearest;
    }
    return nearest < now_ns ? now_ns : nearest;
}

bool http_ingest_shut(struct http_ingest *in, uint64_t by_ns)
{
    in->shut = true;
    if (by_ns < in->sync_by_ns)
        in->sync_by_ns = by_ns;
    if (in->waiting != NULL || in->done != NULL)
        return false;
    intake_ring_fini(&in->rings[false]);
    intake_ring_fini(&in->rings[true]);
    return true;
}
