/*
 * lives: see lives.h.
 *
 * Everything lives in one static struct: a crash of the agent leaves no stack behind.
 *
 * Owns:   the agent while it lives, producers, the ledger.
 * Thread: one.
 * Units:  turns; permille.
 */
#include "simulate/lives.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/parts.h"
#include "simulate/records.h"
#include "support/sim_cloud.h"

typedef unsigned long long ull;

#define SECOND_NS 1000000000ULL

enum {
    PRODUCERS_MAX = 40,
    RINGS_MAX = 64,
    LOOK_TURNS = 32,
    LAST_TURNS_MAX = 60000,             /* of the last life: more without an end is stuck */
    PATIENT_TURNS = 4000,               /* then what is tried again every minute need not wait */
    EVENT_BYTES_CAP = 1 << 18
};

enum { HEAD_BYTES_MAX = 128 };

/* What is wrong with an event, for some formats. */
enum odd {
    ODD_NO, ODD_EMPTY, ODD_CUT, ODD_KEY, ODD_TYPE, ODD_OTHER_TYPE, ODD_TWICE, ODD_COUNT
};

struct producer {
    struct sim_producer ring;
    uint32_t source, number;
    uint16_t schema[SCENARIO_STREAMS_MAX][RECORDS_TYPES];    /* definitions; 0: not yet made */
    bool used;
};

static struct {
    const struct scenario *sc;
    struct sim_agent agent;
    struct inv inv;
    struct producer producers[PRODUCERS_MAX];
    unsigned producers_count, life;
    bool sink_on[SCENARIO_SINKS_MAX];
    struct scenario_sink sink[SCENARIO_SINKS_MAX];  /* as configured now */
    bool verbose, last, full, sink_full, faults, starting;
    enum sim_cloud_state cloud;
    struct shard_request flush;
    bool flushing;
    uint8_t payload[EVENT_BYTES_CAP];
} w;

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void say(const char *fmt, ...)
{
    va_list args;

    if (!w.verbose)
        return;
    fprintf(stderr, "[life %u turn %llu op %llu] ", w.life + 1, (ull)w.agent.turns,
            (ull)sim_op_count(SIM_ANY));
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
}

static unsigned below(unsigned bound)
{
    return (unsigned)(sim_random() % bound);
}

static bool chance(unsigned permille)
{
    return permille > 0 && below(1000) < permille;
}

/* Between 1 and max, each order of magnitude as likely as another. */
static uint32_t spread(uint32_t max)
{
    uint32_t bits = 1;

    while (bits < 31 && max >> bits != 0)
        bits++;
    bits = 1 + below(bits);
    return 1 + below(max < 1U << bits ? max : 1U << bits);
}

/* ---- Producers ---- */

static void producer_open(void)
{
    struct producer *p;
    uint64_t bytes = SHM_RING_BYTES_MIN;
    char name[32];
    int rc;

    if (w.producers_count == PRODUCERS_MAX)
        return;
    while (bytes < w.sc->ring_bytes_max && chance(500))
        bytes *= 2;
    p = &w.producers[w.producers_count];
    /* Every third is one of the agent's entrances, as far as its name tells. */
    snprintf(name, sizeof(name), "%sp%u.ring", w.producers_count % 3 == 2 ? "hydrant-tcp." : "",
             w.producers_count);
    rc = sim_producer_open(&p->ring, SIM_AGENT_SHM, name, bytes);
    if (rc != 0)
        inv_fail(&w.inv, __func__, "%s: %s", name, strerror(-rc));
    p->source = inv_source_add(&w.inv, &p->ring, name);
    p->used = true;
    w.producers_count++;
    say("%s opens, %llu KiB", name, (ull)bytes >> 10);
}

static struct inv_source *source_of(const struct producer *p)
{
    return &w.inv.sources[p->source];
}

/* Up to the text that fills it. */
static int head_write(struct producer *p, enum odd odd)
{
    static const char *const members[ODD_COUNT] = {
        [ODD_NO] = "", [ODD_EMPTY] = "", [ODD_CUT] = "", [ODD_KEY] = "\"k%u\":[1,\"a\"],",
        [ODD_TYPE] = "\"t\":%u.5,", [ODD_OTHER_TYPE] = "\"t\":\"%u, \\\"y\\\"\",",
        [ODD_TWICE] = "\"n\":%u,",
    };
    int head = snprintf((char *)w.payload, HEAD_BYTES_MAX, "{\"p\":%u,\"n\":%u,\"g\":%u,",
                        p->source, ++p->number, below(4));

    head += snprintf((char *)w.payload + head, HEAD_BYTES_MAX, members[odd], below(3));
    return head + snprintf((char *)w.payload + head, HEAD_BYTES_MAX, "\"x\":\"");
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
    int rc = sim_producer_append(&p->ring, number, kind, time_draw(), w.payload, len);

    if (rc == -EAGAIN) {
        inv_count(&w.inv, COVER_rings_full);
        inv_source_dropped(&w.inv, p->source);
        return false;
    }
    if (rc != 0)
        inv_fail(&w.inv, __func__, "%s", strerror(-rc));
    inv_source_wrote(&w.inv, p->source, w.payload, len);
    sim_producer_publish(&p->ring);
    return true;
}

/* A record, perhaps one that is cut or has bytes that are no text. */
static bool producer_record(struct producer *p, unsigned stream, uint16_t stream_number,
                            uint32_t max)
{
    struct record_values values = {.producer = p->source, .number = ++p->number,
                                   .group = below(4), .text = chance(w.sc->odd) ? (char)0xff : 'x'};
    unsigned type = below(RECORDS_TYPES);
    uint16_t *schema = &p->schema[stream][type];
    uint8_t body[RECORDS_BODY_MAX];
    uint32_t len;
    int rc;

    if (*schema == 0) {
        rc = sim_producer_schema(&p->ring, stream_number, body, records_body(type, body), schema);
        if (rc != 0)
            inv_fail(&w.inv, __func__, "%s", strerror(-rc));
    }
    values.text_len = max > RECORDS_FIXED_MAX ? spread(max - RECORDS_FIXED_MAX) - 1 : 0;
    len = records_write(type, &values, w.payload);
    if (chance(w.sc->odd / 2))
        len = below(len);
    inv_count(&w.inv, COVER_records_written);
    return producer_append(p, *schema, SHM_KIND_RECORD, len);
}

/* Commits one event. False: the ring is full. */
static bool producer_write(struct producer *p)
{
    uint32_t max = shm_event_bytes_max(p->ring.data_bytes), len;
    enum shm_kind kind = w.sc->kinds && chance(600) ? SHM_KIND_TEXT + below(2) : SHM_KIND_JSON;
    unsigned stream = below(w.sc->streams);
    enum odd odd = chance(w.sc->odd) ? (enum odd)(1 + below(ODD_COUNT - 1)) : ODD_NO;
    char name[32];
    uint16_t number;
    int rc, head;

    if (max > w.sc->event_bytes_max)
        max = w.sc->event_bytes_max;
    if (max > EVENT_BYTES_CAP)
        max = EVENT_BYTES_CAP;
    len = max == 1 ? 0 : spread(max);
    snprintf(name, sizeof(name), "stream-%u", stream);
    rc = sim_producer_stream(&p->ring, name, &number);
    if (rc != 0)
        inv_fail(&w.inv, __func__, "%s: %s", name, strerror(-rc));
    if (w.sc->records > 0 && max >= RECORDS_FIXED_MAX && chance(w.sc->records))
        return producer_record(p, stream, number, max);
    head = head_write(p, odd);
    if (kind == SHM_KIND_JSON && len < (uint32_t)head + 2)
        len = (uint32_t)head + 2;
    memset(w.payload + head, kind == SHM_KIND_BYTES ? (int)below(256) : 'x',
           len > (uint32_t)head ? len - (uint32_t)head : 0);
    if (kind == SHM_KIND_JSON && odd != ODD_CUT)
        memcpy(w.payload + len - 2, "\"}", 2);
    if (kind == SHM_KIND_JSON && odd == ODD_EMPTY)
        len = (uint32_t)snprintf((char *)w.payload, HEAD_BYTES_MAX, "{}");
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
    inv_count(&w.inv, COVER_producers_lied);
    say("%s lies (%u)", source_of(p)->name, how);
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

static void producers_step(void)
{
    unsigned open = 0;

    for (unsigned i = 0; i < w.producers_count; i++) {
        struct producer *p = &w.producers[i];

        if (!p->ring.open)
            continue;
        open++;
        if (!source_of(p)->lies && chance(w.sc->write))
            for (unsigned n = 1 + below(w.sc->burst); n > 0 && producer_write(p); n--)
                ;
        if (chance(w.sc->want) && !source_of(p)->lies) {
            sim_producer_want(&p->ring, chance(500) ? SHM_POS_DURABLE : SHM_POS_DELIVERED);
            inv_count(&w.inv, COVER_wants);
        }
        if (chance(w.sc->lie) && !source_of(p)->lies)
            producer_lie(p);
        if (chance(w.sc->close)) {
            say("%s closes", source_of(p)->name);
            sim_producer_close(&p->ring);
        } else if (chance(w.sc->die)) {
            say("%s dies", source_of(p)->name);
            sim_producer_die(&p->ring);
            inv_count(&w.inv, COVER_producers_died);
        }
    }
    if (open < w.sc->rings && chance(open == 0 ? 300 : w.sc->open))
        producer_open();
}

/* ---- Settings ---- */

static void sinks_apply(void)
{
    w.agent.sinks_count = 0;
    for (unsigned i = 0; i < SCENARIO_SINKS_MAX; i++) {
        const struct scenario_sink *from = &w.sink[i];

        if (!w.sink_on[i])
            continue;
        w.agent.sinks[w.agent.sinks_count++] = (struct sim_agent_sink){
            .name = from->name, .directory = from->directory, .cloud = from->cloud,
            .format = from->format,
            .prefix = from->prefix, .buffer_count = from->buffer_count,
            .buffer_bytes = from->buffer_bytes,
            .buffer_time_ns = from->buffer_time_ns, .flat = from->flat,
            .columns = from->columns, .partition_by = from->partition_by,
            .compression = from->compression, .compression_level = from->compression_level,
            .framing = from->framing, .validate = from->validate, .event_clock = from->event_clock,
            .partitions_max = from->partitions_max,
            .infer_bytes = from->infer_bytes, .row_group_bytes = from->row_group_bytes,
        };
    }
}

static void settings_change(void)
{
    unsigned i = below(SCENARIO_SINKS_MAX);

    if (w.sink[i].cloud && chance(200)) {
        w.agent.in_flight_max = 1 + below(8);
    } else if (chance(500)) {
        w.sink[i].buffer_count = chance(700) ? (int64_t)spread(40) : -1;
        w.sink[i].buffer_time_ns = chance(700) ? (int64_t)spread(1000) * 1000000 : -1;
    } else if (!w.sink_on[i]) {
        w.sink_on[i] = true;
        inv_count(&w.inv, COVER_sinks_added);
    } else if (w.agent.sinks_count > 1) {
        w.sink_on[i] = false;
        inv_count(&w.inv, COVER_sinks_removed);
    }
    sinks_apply();
    say("settings change, %u sinks", w.agent.sinks_count);
}

/* ---- Troubles ---- */

static void fault_arm(void)
{
    static const enum sim_kind kinds[] = {SIM_WRITE, SIM_WRITE, SIM_RENAME, SIM_LINK, SIM_UNLINK,
                                          SIM_MKDIR, SIM_ALLOCATE, SIM_TRUNCATE, SIM_OPEN,
                                          SIM_SYNC};
    enum sim_kind kind = kinds[below(w.sc->sync_faults ? 10 : 9)];
    int err = kind == SIM_OPEN && chance(500) ? -EMFILE : -EIO;

    w.faults = true;
    inv_count(&w.inv, COVER_faults);
    if (chance(600))
        sim_fail(kind, 1 + below(20), 1 + below(3), err);
    else
        sim_fail_some(kind, 1 + below(300), err);
    say("faults of kind %d, %s", (int)kind, strerror(-err));
}

static void space_set(void)
{
    sim_set_free("/", w.full ? (uint64_t)below(1 + spread(1200)) * 4096 : UINT64_MAX);
    say("the disk %s", w.full ? "is full" : "has room again");
}

static void sink_space_set(void)
{
    sim_set_free("/far", w.sink_full ? (uint64_t)below(1 + spread(20)) * 4096 : UINT64_MAX);
    say("the disk of sinks %s", w.sink_full ? "is full" : "has room again");
}

static void cloud_set(enum sim_cloud_state cloud)
{
    static const char *const words[SIM_CLOUD_STATE_COUNT] = {"is well", "is away", "is busy",
                                                             "denies access"};

    w.cloud = cloud;
    sim_cloud_set_state(cloud);
    say("the cloud %s", words[cloud]);
}

static void troubles_end(void)
{
    sim_fail_clear();
    w.full = w.sink_full = w.faults = false;
    space_set();
    sink_space_set();
    cloud_set(SIM_CLOUD_UP);
}

static void troubles_step(void)
{
    if (chance(w.sc->disk_full) || (w.full && chance(30))) {
        w.full = !w.full;
        w.inv.cover[COVER_disk_full] += w.full;
        space_set();
    }
    if (chance(w.sc->sink_full) || (w.sink_full && chance(30))) {
        w.sink_full = !w.sink_full;
        w.inv.cover[COVER_sink_full] += w.sink_full;
        sink_space_set();
    }
    if (chance(w.sc->cloud_away) || (w.cloud != SIM_CLOUD_UP && chance(30))) {
        inv_count(&w.inv, COVER_cloud_outages);
        cloud_set(w.cloud == SIM_CLOUD_UP ? 1 + below(SIM_CLOUD_STATE_COUNT - 1) : SIM_CLOUD_UP);
    }
    if (chance(w.sc->fault))
        fault_arm();
    else if (w.faults && chance(100))
        sim_fail_clear();               /* the life may still end by what it has met */
    if (chance(w.sc->clock)) {
        sim_step_real_ns((int64_t)(sim_random() % (7200 * SECOND_NS)) - 3600 * (int64_t)SECOND_NS);
        inv_count(&w.inv, COVER_clock_steps);
    }
    if (chance(w.sc->advance))
        sim_advance_ns(1 + sim_random() % (chance(100) ? 70 * SECOND_NS : 2 * SECOND_NS));
    if (chance(w.sc->take))
        inv_take(&w.inv, 300);
}

/* ---- A life ---- */

static void on_flushed(struct shard_request *req, int result)
{
    (void)req;
    w.flushing = false;
    w.inv.cover[COVER_flushes_done] += result == 0;
}

static void flush_ask(void)
{
    if (w.flushing)
        return;
    w.flush = (struct shard_request){.kind = REQUEST_FLUSH, .done = on_flushed};
    if (chance(300))
        snprintf(w.flush.stream, sizeof(w.flush.stream), "stream-%u", below(w.sc->streams));
    w.flushing = mailbox_post(shard_mailbox(w.agent.shard), &w.flush) == 0;
    inv_count(&w.inv, COVER_flushes);
    say("flush '%s'", w.flush.stream);
}

static void backpressure_count(void)
{
    const struct shard *s = w.agent.shard;

    w.inv.cover[COVER_log_full_waits] += s->backpressure[BACKPRESSURE_LOG_FULL];
    w.inv.cover[COVER_memory_waits] += s->backpressure[BACKPRESSURE_MEMORY];
    w.inv.cover[COVER_disk_full_waits] += s->backpressure[BACKPRESSURE_DISK_FULL];
    w.inv.cover[COVER_rings_max_waits] += s->backpressure[BACKPRESSURE_RINGS_MAX];
    w.inv.cover[COVER_streams_max_waits] += s->backpressure[BACKPRESSURE_STREAMS_MAX];
    w.inv.cover[COVER_cloud_waits] += shards_delivery(w.agent.shards)
                                      && delivery_failing(shards_delivery(w.agent.shards));
}

static void look(void)
{
    const struct shard *s = w.agent.shard;

    inv_positions(&w.inv);
    backpressure_count();
    if (w.agent.turns % LOOK_TURNS != 0)
        return;
    inv_books(&w.inv);
    for (uint32_t i = 0; i < s->rings_count; i++)
        w.inv.cover[COVER_quarantines] += s->rings[i]->state == RING_QUARANTINED;
}

static void turn(void)
{
    w.agent.may_fail = w.faults && !w.last;
    sim_agent_turn(&w.agent);
    if (w.agent.result >= 0)
        look();
    else if (strncmp(w.agent.shard->error_text.text, "log segment", 11) == 0)
        inv_fail(&w.inv, "failures_of_the_log_are_survived", "%s",
                 w.agent.shard->error_text.text);
}

static void life_stop(uint64_t stop_ns)
{
    unsigned turns = 0;

    say("stop within %llu ms", (ull)stop_ns / 1000000);
    w.inv.doing = "stopping";
    shard_stop(w.agent.shard, stop_ns);
    while (w.agent.result == 0) {
        if (++turns == LAST_TURNS_MAX)
            inv_fail(&w.inv, "a_stop_ends", "%u turns", turns);
        if (turns > PATIENT_TURNS)
            sim_advance_ns(SECOND_NS / (w.last ? 100 : 10));
        if ((w.full || w.sink_full || w.cloud != SIM_CLOUD_UP) && chance(20))
            troubles_end();
        turn();
    }
    if (w.agent.result < 0)
        return;
    inv_books(&w.inv);
    inv_count(&w.inv, COVER_stops);
    w.inv.cover[COVER_stops_out_of_time] += shard_pending(w.agent.shard) > 0;
}

static bool life_open(bool read_faults)
{
    w.inv.doing = "starting";
    w.flushing = false;
    w.starting = true;
    w.agent.may_fail = !w.last && (w.faults || w.full || read_faults);
    if (read_faults)
        sim_fail_some(SIM_READ, 100, -EIO);
    sim_agent_open(&w.agent);
    if (read_faults)
        sim_fail_clear();
    w.starting = false;
    w.inv.cover[COVER_starts_failed] += !w.agent.shard;
    return w.agent.shard != NULL;
}

static int life(void *ctx)
{
    const struct scenario_life *plan = ctx;

    if (!life_open(plan->read_faults))
        goto out;
    w.inv.doing = "running";
    for (unsigned i = 0; i < plan->turns && w.agent.result == 0; i++) {
        producers_step();
        troubles_step();
        if (chance(w.sc->reload)) {
            settings_change();
            sim_agent_reload(&w.agent);
            inv_count(&w.inv, COVER_reloads);
        }
        if (chance(w.sc->flush))
            flush_ask();
        turn();
    }
    if (w.agent.result == 0)
        life_stop(plan->stop_ns);
out:
    w.inv.doing = "closing";
    inv_state_keep(&w.inv);
    w.inv.cover[COVER_lives_failed] += w.agent.result < 0;
    sim_agent_close(&w.agent);
    return w.agent.result < 0 ? w.agent.result : 0;
}

static bool taken(void)
{
    for (unsigned i = 0; i < w.producers_count; i++) {
        const struct producer *p = &w.producers[i];

        if (p->ring.open && !source_of(p)->lies
            && sim_producer_pos(&p->ring, SHM_POS_ACCEPTED) < p->ring.head_pos)
            return false;
    }
    return true;
}

/* All is well again: everything is taken, delivered and acknowledged. */
static int last_life(void *ctx)
{
    unsigned turns = 0;

    (void)ctx;
    w.agent.opt.rings_max = w.agent.opt.rings_per_uid_max = RINGS_MAX;
    w.agent.opt.streams_max = w.agent.opt.streams_per_uid_max = RINGS_MAX;
    w.agent.delivery_rests = 0;
    w.agent.in_flight_max = 16;
    (void)life_open(false);
    w.inv.doing = "running for the last time";
    while (turns < 20 || !taken()) {
        if (++turns == LAST_TURNS_MAX)
            inv_fail(&w.inv, "rings_are_drained_in_the_end", "%u turns", turns);
        if (turns < 20)
            producers_step();
        if (turns > PATIENT_TURNS)
            sim_advance_ns(SECOND_NS / 100);
        turn();
    }
    life_stop(600 * SECOND_NS);
    if (shard_pending(w.agent.shard) != 0)
        inv_fail(&w.inv, "nothing_is_pending_in_the_end", "%llu events",
                 (ull)shard_pending(w.agent.shard));
    sim_agent_close(&w.agent);
    return 0;
}

/* ---- Between lives ---- */

static void life_crashed(const struct scenario_life *plan)
{
    bool cut = plan->end == END_POWER_CUT;

    say("%s while %s", cut ? "power cut" : "SIGKILL", w.inv.doing);
    w.inv.cover[COVER_crashes_while_starting] += w.starting;
    w.inv.cover[cut ? COVER_power_cuts : COVER_kills]++;
    if (!cut) {
        sim_agent_killed(&w.agent);
        w.inv.cover[COVER_late_writes] += sim_late();
        return;
    }
    for (unsigned i = 0; i < w.producers_count; i++)
        w.producers[i].ring.open = false;
    sim_agent_power_cut(&w.agent, sim_random());
    inv_power_cut(&w.inv);
}

/* A disk has changed a byte of a file that waits to be delivered; its other links are well. */
static void file_damage(const char *directory)
{
    char **names, path[1200], other[1200];
    size_t count, len = 0;
    uint8_t *data;

    if (sim_list(directory, &names, &count) != 0)
        return;
    if (count > 0) {
        snprintf(path, sizeof(path), "%s/%s", directory, names[sim_random() % count]);
        snprintf(other, sizeof(other), "%s/damage", directory);
        if (sim_read_file(path, &data, &len) != 0)
            inv_fail(&w.inv, __func__, "%s", path);
        if (len > 0)
            data[sim_random() % len] ^= 1;
        if (sim_write_file(other, data, len) == 0) {
            if (sim_rename(other, path) != 0)
                inv_fail(&w.inv, __func__, "%s", path);
            inv_count(&w.inv, COVER_files_damaged);
            say("%s is damaged", path);
        } else {
            (void)sim_unlink(other);    /* no room for another inode */
        }
        free(data);
    }
    free(names);
}

static void files_damage(void)
{
    char staging[64];

    if (!chance(100))
        return;
    file_damage(SIM_AGENT_DATA "/spool");
    for (unsigned i = 0; i < SCENARIO_SINKS_MAX; i++) {
        snprintf(staging, sizeof(staging), "%s/.hydrant", w.sink[i].directory);
        if (chance(300) && !w.sink[i].cloud)
            file_damage(staging);
    }
}

static void life_run(const struct scenario_life *plan, bool again)
{
    int rc;

    inv_count(&w.inv, COVER_lives);
    if (plan->end != END_STOP)
        sim_crash_at(plan->point);
    rc = sim_run(life, (void *)(uintptr_t)plan);
    inv_life_over(&w.inv, rc == SIM_CRASHED);
    if (rc == SIM_CRASHED) {
        w.inv.cover[COVER_second_crashes] += again && w.starting;
        life_crashed(plan);
    }
    sim_fail_clear();
    w.faults = false;
    files_damage();
    if (chance(500)) {
        producers_step();
        troubles_step();
        sim_fail_clear();
    }
}

static void host_make(void)
{
    const struct scenario *sc = w.sc;

    sim_agent_init(&w.agent, sc->seed);
    sim_mount("/far", false, 1 << 30);
    sim_set_disorder(sc->disorder);
    sim_set_short(sc->short_io);
    sim_set_direct(sc->direct);
    sim_set_journal(true);
    w.agent.opt.sync = sc->sync;
    w.agent.opt.sync_interval_ns = sc->sync_interval_ns;
    w.agent.opt.segment_size = sc->segment_size;
    w.agent.opt.wal_bytes_max = sc->wal_bytes_max;
    w.agent.opt.memory_limit = sc->memory_limit;
    w.agent.opt.idle = (enum shard_idle)sc->idle;
    w.agent.opt.rings_max = w.agent.opt.rings_per_uid_max = sc->rings_max;
    w.agent.opt.streams_max = w.agent.opt.streams_per_uid_max = sc->streams_max;
    w.agent.part_bytes = sc->part_bytes;
    w.agent.in_flight_max = sc->in_flight_max;
    w.agent.delivery_rests = sc->delivery_rests;
    sim_cloud_set_conditional(sc->conditional);
    sim_cloud_set_faults(sc->cloud_one_in);
    for (unsigned i = 0; i < SCENARIO_SINKS_MAX; i++) {
        w.sink[i] = sc->sink[i];
        w.sink_on[i] = i < sc->sinks;
    }
    sinks_apply();
}

uint64_t lives_run(const struct scenario *sc, uint64_t *cover, bool verbose)
{
    uint64_t hash;

    memset(&w, 0, offsetof(__typeof__(w), payload));
    w.sc = sc;
    w.verbose = verbose;
    host_make();
    inv_init(&w.inv, &w.agent, cover);
    w.inv.abandons = true;
    inv_count(&w.inv, COVER_seeds);
    w.inv.cover[COVER_direct_refused] += !sc->direct;
    w.inv.cover[COVER_disorder] += sc->disorder > 0;
    w.inv.cover[COVER_short_io] += sc->short_io > 0;
    w.inv.cover[COVER_cloud_faults] += sc->cloud_one_in > 0;
    for (unsigned i = 0; i < sc->rings; i++)
        if (i == 0 || chance(600))
            producer_open();
    for (w.life = 0; w.life < sc->lives; w.life++)
        life_run(&sc->life[w.life], w.life > 0);
    troubles_end();
    sim_cloud_set_faults(0);
    w.last = true;
    inv_count(&w.inv, COVER_lives);
    sim_run(last_life, NULL);
    w.inv.doing = "the end";
    inv_end(&w.inv);
    hash = w.inv.hash;
    inv_fini(&w.inv);
    sim_agent_fini(&w.agent);
    sim_reset(0);
    return hash;
}
