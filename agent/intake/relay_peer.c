/*
 * relay_peer: messages of a sender, checked, and what becomes of them.
 *
 * Owns:   see the header.
 * Thread: the listener's.
 */
#include "intake/relay_peer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "encode/record.h"
#include "io/clock.h"

static void batch_free(struct relay_batch *b)
{
    for (uint16_t i = 0; i < b->schemas_count; i++)
        free(b->schemas[i].body);
    free(b->schemas);
    free(b);
}

void relay_peer_free(struct relay_peer *p)
{
    if (!p)
        return;
    while (p->batches) {
        struct relay_batch *b = p->batches;

        p->batches = b->next;
        batch_free(b);
    }
    relay_link_close(&p->link);
    bytes_free(&p->in);
    bytes_free(&p->out);
    free(p);
}

static struct relay_batch *batch_find(const struct relay_peer *p, uint64_t ref)
{
    struct relay_batch *b = p->batches;

    while (b && b->ref != ref)
        b = b->next;
    return b;
}

static int broken(struct errmsg *err, const char *what)
{
    return errmsg_set(err, -EBADMSG, "a message that cannot be: %s", what);
}

/* --- messages ------------------------------------------------------------------------------- */

/* What would hold up everybody is not let in: 0, or -errno with a text for the sender. */
static int batch_admit(const struct relay_batch *b, int named, const struct relay_stage *stage,
                       struct errmsg *why)
{
    if (named != 0)
        return errmsg_set(why, -EINVAL, "no stream can have such a name");
    if (!stage->stream_take(stage->ctx, b->stream))
        return errmsg_set(why, -EDQUOT, "stream '%s': unknown there, and no more may be made "
                          "(streams_max, streams_per_uid_max)", b->stream);
    if (!relay_table_room(stage->table, &b->key))
        return errmsg_set(why, -ENOSPC, "too many batches of this sender have to be remembered");
    return 0;
}

/* The sender keeps it, and goes on with others. */
static int batch_decline(struct relay_peer *p, uint64_t ref, const struct errmsg *why,
                         struct relay_stage *stage, struct errmsg *err)
{
    static _Thread_local struct log_limit limit =
        LOG_LIMIT_INIT("batches declined", 5, 60000000000ULL);

    relay_count(&stage->counters->declined, 1);
    if (log_limit_allow(&limit, clock_boot_ns()))
        log_warn("relay: a batch is declined, its sender keeps it: %s", why->text);
    return relay_wire_put_text(&p->out, RELAY_DECLINED, ref, why->text)
               ? errmsg_set(err, -ENOMEM, "no memory") : 0;
}

static int begin_take(struct relay_peer *p, const struct relay_message *m,
                      struct relay_stage *stage, struct errmsg *err)
{
    struct relay_batch *b, **at = &p->batches;
    struct errmsg why;
    uint64_t taken;
    int r;

    if (p->batches_count >= RELAY_BATCHES_MAX || batch_find(p, m->ref))
        return broken(err, "BEGIN");
    b = calloc(1, sizeof(*b));
    if (!b)
        return errmsg_set(err, -ENOMEM, "no memory");
    b->ref = m->ref;
    memcpy(b->key.peer, p->uuid, sizeof(b->key.peer));
    r = relay_wire_begin(m, &b->key.id, b->stream);
    if (r == -EBADMSG || (r = batch_admit(b, r, stage, &why)) != 0) {
        batch_free(b);
        return r == -EBADMSG ? broken(err, "BEGIN") : batch_decline(p, m->ref, &why, stage, err);
    }
    while (*at)
        at = &(*at)->next;
    *at = b;
    p->batches_count++;
    /* What another connection has brought just now may be still on its way to the disk. */
    b->end_generation = stage->ring->generation;
    b->end_pos = stage->ring->head + stage->bytes;
    taken = relay_table_taken(stage->table, &b->key);
    relay_count(&stage->counters->duplicates, taken > 0);
    return relay_wire_put_u64(&p->out, RELAY_TAKEN, m->ref, taken)
               ? errmsg_set(err, -ENOMEM, "no memory") : 0;
}

static int schema_take(struct relay_peer *p, const struct relay_message *m, struct errmsg *err)
{
    struct relay_batch *b = batch_find(p, m->ref);
    struct relay_schema *more, *s;
    struct record_plan plan;
    const uint8_t *body;
    uint16_t number;
    uint32_t len;
    int r;

    if (!b || relay_wire_schema(m, &number, &body, &len) || number > b->schemas_count + 1
        || (number <= b->schemas_count && b->schemas[number - 1].body))
        return broken(err, "SCHEMA");
    r = record_plan_init(&plan, body, len);
    if (r)
        return r == -ENOMEM ? errmsg_set(err, r, "no memory") : broken(err, "SCHEMA");
    more = realloc(b->schemas, (b->schemas_count + 1U) * sizeof(*more));
    if (more) {
        b->schemas = more;
        s = &more[number - 1];
        *s = (struct relay_schema){.len = len, .fixed_bytes = plan.fixed_bytes};
        s->body = malloc(len);
        if (s->body)
            memcpy(s->body, body, len);
        b->schemas_count++;
    }
    record_plan_fini(&plan);
    return more && s->body ? 0 : errmsg_set(err, -ENOMEM, "no memory");
}

/* Numbers in the ring for the stream and the definitions. -EAGAIN: not in this ring. */
static int batch_define(struct relay_batch *b, uint16_t schema, struct relay_stage *stage,
                        struct errmsg *err)
{
    struct relay_ring *ring = stage->ring;
    struct relay_schema *s = schema > 0 ? &b->schemas[schema - 1] : NULL;
    int r = 0;

    if (b->generation != ring->generation) {
        /* It may have been deleted since the batch began. */
        if (!stage->stream_take(stage->ctx, b->stream))
            return errmsg_set(err, -EDQUOT, "streams_max leaves no room for stream '%s'",
                              b->stream);
        r = relay_ring_stream(ring, b->stream, &b->number, err);
        if (!r)
            b->generation = ring->generation;
    }
    if (!r && s && s->generation != ring->generation) {
        r = relay_ring_schema(ring, b->number, s->body, s->len, &s->number, err);
        if (!r)
            s->generation = ring->generation;
    }
    if (r != -ENOSPC)
        return r;
    ring->full_of_defs = true;
    return -EAGAIN;
}

/* 0, -EAGAIN: a definition has no place in the ring, or -errno with a text. */
static int frames_admit(struct relay_batch *b, const uint8_t *frames, uint64_t len,
                        struct relay_stage *stage, struct errmsg *err)
{
    int r = batch_define(b, 0, stage, err);

    for (uint64_t at = 0; !r && at < len;) {
        const uint8_t *payload;
        struct shm_frame f;
        int64_t n = relay_frame_next(frames + at, len - at, false, &f, &payload);

        if (n <= 0 || f.def > b->schemas_count)
            return broken(err, "DATA");
        if (f.def > 0 && f.len < b->schemas[f.def - 1].fixed_bytes)
            return broken(err, "DATA");
        if (f.def > 0)
            r = batch_define(b, f.def, stage, err);
        at += (uint64_t)n;
    }
    return r;
}

static int data_take(struct relay_peer *p, const struct relay_message *m,
                     struct relay_stage *stage, struct errmsg *err)
{
    struct relay_batch *b = batch_find(p, m->ref);
    struct relay_ring *ring = stage->ring;
    const uint8_t *frames = m->body + sizeof(uint64_t);
    uint64_t offset, len, used = ring->head + stage->bytes - ring->accepted;
    int r;

    if (!b || b->ended || relay_wire_u64(m, &offset))
        return broken(err, "DATA");
    /* Another connection of the same sender may have gone on with it: only one is right. */
    if (offset != relay_table_taken(stage->table, &b->key))
        return errmsg_set(err, -ESTALE, "the batch has come by another connection");
    len = m->len - sizeof(uint64_t);
    p->waits_for = ring->full_of_defs ? RELAY_WAIT_DEFINITIONS : RELAY_WAIT_RING_FULL;
    if (ring->full_of_defs || stage->count == stage->cap || len > RELAY_RING_BYTES - used)
        return -EAGAIN;
    p->waits_for = RELAY_WAIT_DEFINITIONS;
    r = frames_admit(b, frames, len, stage, err);
    if (r)
        return r;
    if (relay_table_add(stage->table, &b->key, ring->uuid, ring->head + stage->bytes, len))
        return errmsg_set(err, -ENOMEM, "no memory");
    stage->list[stage->count++] = (struct relay_staged){b, frames, len};
    stage->bytes += len;
    b->end_generation = ring->generation;
    b->end_pos = ring->head + stage->bytes;
    return 0;
}

static int end_take(struct relay_peer *p, const struct relay_message *m,
                    const struct relay_stage *stage, struct errmsg *err)
{
    struct relay_batch *b = batch_find(p, m->ref);
    uint64_t total;

    if (!b || b->ended || relay_wire_u64(m, &total)
        || total != relay_table_taken(stage->table, &b->key))
        return broken(err, "END");
    b->ended = true;
    p->ended++;
    return 0;
}

static int forget_take(struct relay_peer *p, const struct relay_message *m,
                       struct relay_stage *stage, struct errmsg *err)
{
    struct batch_id floor;
    struct relay_key key;

    if (relay_wire_forget(m, &key.id, &floor))
        return broken(err, "FORGET");
    memcpy(key.peer, p->uuid, sizeof(key.peer));
    return relay_table_forget(stage->table, &key, &floor) ? errmsg_set(err, -ENOMEM, "no memory")
                                                          : 0;
}

static int message_take(struct relay_peer *p, const struct relay_message *m,
                        struct relay_stage *stage, struct errmsg *err)
{
    switch (m->type) {
    case RELAY_BEGIN:
        return begin_take(p, m, stage, err);
    case RELAY_SCHEMA:
        return schema_take(p, m, err);
    case RELAY_DATA:
        return data_take(p, m, stage, err);
    case RELAY_END:
        return end_take(p, m, stage, err);
    case RELAY_FORGET:
        return forget_take(p, m, stage, err);
    default:
        return broken(err, "none of a sender");
    }
}

int relay_peer_hello(struct relay_peer *p, struct errmsg *err)
{
    struct relay_message m;
    int64_t n;

    if (p->hello)
        return 0;
    n = relay_wire_next(p->in.data + p->in_at, p->in.len - p->in_at, &m);
    if (n == 0)
        return 0;
    if (n < 0 || relay_wire_hello(&m, p->uuid))
        return broken(err, "HELLO");
    if (relay_link_identity(&p->link, p->uuid))
        return errmsg_set(err, -ENOMEM, "no memory");
    p->hello = true;
    p->in_at += (size_t)n;
    return 0;
}

int relay_peer_take(struct relay_peer *p, struct relay_stage *stage, struct errmsg *err)
{
    p->waits = false;
    if (!p->hello)
        return 0;
    if (!p->welcomed && relay_wire_put(&p->out, RELAY_WELCOME, 0, NULL, 0))
        return errmsg_set(err, -ENOMEM, "no memory");
    p->welcomed = true;
    while (!p->over && p->in.len > p->in_at) {
        struct relay_message m;
        int64_t n = relay_wire_next(p->in.data + p->in_at, p->in.len - p->in_at, &m);
        int r;

        if (n == 0)
            return 0;
        r = n < 0 ? broken(err, "its header") : message_take(p, &m, stage, err);
        p->waits = r == -EAGAIN;
        if (r)
            return p->waits ? 0 : r;
        p->in_at += (size_t)n;
    }
    return 0;
}

/* --- the ring ------------------------------------------------------------------------------- */

int relay_staged_write(const struct relay_staged *s, struct relay_ring *ring, uint64_t *events,
                       struct errmsg *err)
{
    const struct relay_batch *b = s->batch;
    int r = 0;

    for (uint64_t at = 0; !r && at < s->len; (*events)++) {
        const uint8_t *payload;
        struct shm_frame f;

        at += (uint64_t)relay_frame_next(s->frames + at, s->len - at, false, &f, &payload);
        r = relay_ring_write(ring, f.def > 0 ? b->schemas[f.def - 1].number : b->number, &f,
                             payload, err);
    }
    return r;
}

int relay_peer_done(struct relay_peer *p, const struct relay_ring *ring, uint64_t *done)
{
    struct relay_batch **at = &p->batches, *b;

    while (p->ended > 0 && (b = *at)) {
        /* A ring of an earlier generation was let go when all in it was durable. */
        bool durable = b->end_generation != ring->generation || b->end_pos <= ring->durable;

        if (!b->ended || !durable) {
            at = &b->next;
            continue;
        }
        if (relay_wire_put(&p->out, RELAY_DONE, b->ref, NULL, 0))
            return -ENOMEM;
        *at = b->next;
        p->batches_count--;
        p->ended--;
        (*done)++;
        batch_free(b);
    }
    return 0;
}
