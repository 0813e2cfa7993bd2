/*
 * producers: see producers.h.
 *
 * Owns:   the producers, and the payload of the event that is being written.
 * Thread: one.
 */
#include "simulate/producers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "simulate/records.h"
#include "simulate/world.h"

enum {
    PRODUCERS_MAX = 40,
    EVENT_BYTES_CAP = 1 << 18,
    HEAD_BYTES_MAX = 128
};

/* What is wrong with an event, for some formats. */
enum odd {
    ODD_NO, ODD_EMPTY, ODD_CUT, ODD_KEY, ODD_TYPE, ODD_OTHER_TYPE, ODD_TWICE, ODD_COUNT
};

struct producer {
    struct sim_producer ring;
    uint32_t source, number;
    uint16_t schema[SCENARIO_STREAMS_MAX][RECORDS_TYPES];    /* definitions; 0: not yet made */
};

static struct producer producers[PRODUCERS_MAX];
static unsigned count;
static uint8_t payload[EVENT_BYTES_CAP];

static void producer_open(void)
{
    struct producer *p;
    uint64_t bytes = SHM_RING_BYTES_MIN;
    char name[32];
    int rc;

    if (count == PRODUCERS_MAX)
        return;
    while (bytes < world.sc->ring_bytes_max && chance(500))
        bytes *= 2;
    p = &producers[count];
    /* Every third is one of the agent's entrances, as far as its name tells. */
    snprintf(name, sizeof(name), "%sp%u.ring", count % 3 == 2 ? "hydrant-tcp." : "", count);
    rc = sim_producer_open(&p->ring, SIM_AGENT_SHM, name, bytes);
    if (rc != 0)
        inv_fail(&world.inv, __func__, "%s: %s", name, strerror(-rc));
    p->source = inv_source_add(&world.inv, &p->ring, name);
    count++;
    world_say("%s opens, %llu KiB", name, (ull)bytes >> 10);
}

static struct inv_source *source_of(const struct producer *p)
{
    return &world.inv.sources[p->source];
}

/* Up to the text that fills it. */
static int head_write(struct producer *p, enum odd odd)
{
    static const char *const members[ODD_COUNT] = {
        [ODD_NO] = "", [ODD_EMPTY] = "", [ODD_CUT] = "", [ODD_KEY] = "\"k%u\":[1,\"a\"],",
        [ODD_TYPE] = "\"t\":%u.5,", [ODD_OTHER_TYPE] = "\"t\":\"%u, \\\"y\\\"\",",
        [ODD_TWICE] = "\"n\":%u,",
    };
    int head = snprintf((char *)payload, HEAD_BYTES_MAX, "{\"p\":%u,\"n\":%u,\"g\":%u,",
                        p->source, ++p->number, below(4));

    head += snprintf((char *)payload + head, HEAD_BYTES_MAX, members[odd], below(3));
    return head + snprintf((char *)payload + head, HEAD_BYTES_MAX, "\"x\":\"");
}

/* Of the event: none, now, or some hours ago. */
static uint64_t time_draw(void)
{
    uint64_t now = sim_real_ns();

    switch (below(4)) {
    case 0:
        return now;
    case 1:
        return now - below(4) * 3600 * SECOND_NS;
    default:
        return 0;
    }
}

/* Commits one. False: the ring is full. */
static bool producer_append(struct producer *p, uint16_t number, enum shm_kind kind, uint32_t len)
{
    int rc = sim_producer_append(&p->ring, number, kind, time_draw(), payload, len);

    if (rc == -EAGAIN) {
        inv_count(&world.inv, COVER_rings_full);
        inv_source_dropped(&world.inv, p->source);
        return false;
    }
    if (rc != 0)
        inv_fail(&world.inv, __func__, "%s", strerror(-rc));
    inv_source_wrote(&world.inv, p->source, payload, len);
    sim_producer_publish(&p->ring);
    return true;
}

/* A record, perhaps one that is cut or has bytes that are no text. */
static bool producer_record(struct producer *p, unsigned stream, uint16_t stream_number,
                            uint32_t max)
{
    struct record_values values = {.producer = p->source, .number = ++p->number,
                                   .group = below(4),
                                   .text = chance(world.sc->odd) ? (char)0xff : 'x'};
    unsigned type = below(RECORDS_TYPES);
    uint16_t *schema = &p->schema[stream][type];
    uint8_t body[RECORDS_BODY_MAX];
    uint32_t len;
    int rc;

    if (*schema == 0) {
        rc = sim_producer_schema(&p->ring, stream_number, body, records_body(type, body), schema);
        if (rc != 0)
            inv_fail(&world.inv, __func__, "%s", strerror(-rc));
    }
    values.text_len = max > RECORDS_FIXED_MAX ? spread(max - RECORDS_FIXED_MAX) - 1 : 0;
    len = records_write(type, &values, payload);
    if (chance(world.sc->odd / 2))
        len = below(len);
    inv_count(&world.inv, COVER_records_written);
    return producer_append(p, *schema, SHM_KIND_RECORD, len);
}

/* Commits one event. False: the ring is full. */
static bool producer_write(struct producer *p)
{
    uint32_t max = shm_event_bytes_max(p->ring.data_bytes), len;
    enum shm_kind kind = world.sc->kinds && chance(600) ? SHM_KIND_TEXT + below(2) : SHM_KIND_JSON;
    unsigned stream = below(world.sc->streams);
    enum odd odd = chance(world.sc->odd) ? (enum odd)(1 + below(ODD_COUNT - 1)) : ODD_NO;
    char name[32];
    uint16_t number;
    int rc, head;

    if (max > world.sc->event_bytes_max)
        max = world.sc->event_bytes_max;
    if (max > EVENT_BYTES_CAP)
        max = EVENT_BYTES_CAP;
    len = max == 1 ? 0 : spread(max);
    snprintf(name, sizeof(name), "stream-%u", stream);
    rc = sim_producer_stream(&p->ring, name, &number);
    if (rc != 0)
        inv_fail(&world.inv, __func__, "%s: %s", name, strerror(-rc));
    if (world.sc->records > 0 && max >= RECORDS_FIXED_MAX && chance(world.sc->records))
        return producer_record(p, stream, number, max);
    head = head_write(p, odd);
    if (kind == SHM_KIND_JSON && len < (uint32_t)head + 2)
        len = (uint32_t)head + 2;
    memset(payload + head, kind == SHM_KIND_BYTES ? (int)below(256) : 'x',
           len > (uint32_t)head ? len - (uint32_t)head : 0);
    if (kind == SHM_KIND_JSON && odd != ODD_CUT)
        memcpy(payload + len - 2, "\"}", 2);
    if (kind == SHM_KIND_JSON && odd == ODD_EMPTY)
        len = (uint32_t)snprintf((char *)payload, HEAD_BYTES_MAX, "{}");
    return producer_append(p, number, kind, len);
}

static void scribble(uint8_t *at, size_t len)
{
    for (size_t i = 1 + below(8); i-- > 0; )
        at[sim_random() % len] = (uint8_t)sim_random();
}

/* From now on the ring may say anything; what it said before still counts. */
static void producer_lie(struct producer *p)
{
    struct sim_producer *ring = &p->ring;
    unsigned how = below(7);

    source_of(p)->lies = true;
    inv_count(&world.inv, COVER_producers_lied);
    world_say("%s lies (%u)", source_of(p)->name, how);
    switch (how) {
    case 0:
        scribble(ring->data, ring->data_bytes);
        break;
    case 1:                             /* where the next frames will be read */
        for (uint64_t i = 0; i < 64; i++)
            ring->data[(ring->head_pos + i) & (ring->data_bytes - 1)] = (uint8_t)sim_random();
        ring->head_pos += 8 * (1 + below(8));
        sim_producer_publish(ring);
        break;
    case 2:
        ring->head_pos = sim_random();
        sim_producer_publish(ring);
        break;
    case 3:
        scribble(ring->defs, 64);
        break;
    case 4:
        scribble((uint8_t *)ring->superblock, sizeof(*ring->superblock));
        break;
    case 5:
        sim_truncate(ring->path, ring->file_bytes * below(3) / 2);
        break;
    default:
        scribble((uint8_t *)ring->consumer, sizeof(*ring->consumer));
    }
}

void producers_step(void)
{
    unsigned open = 0;

    for (unsigned i = 0; i < count; i++) {
        struct producer *p = &producers[i];

        if (!p->ring.open)
            continue;
        open++;
        if (!source_of(p)->lies && chance(world.sc->write))
            for (unsigned n = 1 + below(world.sc->burst); n > 0 && producer_write(p); n--)
                ;
        if (chance(world.sc->want) && !source_of(p)->lies) {
            sim_producer_want(&p->ring, chance(500) ? SHM_POS_DURABLE : SHM_POS_DELIVERED);
            inv_count(&world.inv, COVER_wants);
        }
        if (chance(world.sc->lie) && !source_of(p)->lies)
            producer_lie(p);
        if (chance(world.sc->close)) {
            world_say("%s closes", source_of(p)->name);
            sim_producer_close(&p->ring);
        } else if (chance(world.sc->die)) {
            world_say("%s dies", source_of(p)->name);
            sim_producer_die(&p->ring);
            inv_count(&world.inv, COVER_producers_died);
        }
    }
    if (open < world.sc->rings && chance(open == 0 ? 300 : world.sc->open))
        producer_open();
}

bool producers_are_read(void)
{
    for (unsigned i = 0; i < count; i++) {
        const struct producer *p = &producers[i];

        if (p->ring.open && !source_of(p)->lies
            && sim_producer_pos(&p->ring, SHM_POS_ACCEPTED) < p->ring.head_pos)
            return false;
    }
    return true;
}

void producers_begin(void)
{
    memset(producers, 0, sizeof(producers));
    count = 0;
    for (unsigned i = 0; i < world.sc->rings; i++)
        if (i == 0 || chance(600))
            producer_open();
}

void producers_cut(void)
{
    for (unsigned i = 0; i < count; i++)
        producers[i].ring.open = false;
}
