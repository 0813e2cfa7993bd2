/*
 * sim_invariants_items: what the COMMITs of the log say, item by item: events, rings, settings,
 * seals, acknowledgements.
 *
 * Owns:   nothing beyond the ledger.
 * Thread: one.
 * Units:  see sim_invariants.h.
 */
#include "support/sim_invariants.h"

#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "flow/settings.h"
#include "pipeline/parts.h"
#include "support/sim_cloud.h"

typedef unsigned long long ull;

struct inv_ring *inv_ring_of(struct inv *v, uint32_t id)
{
    for (uint32_t i = v->rings_count; i-- > 0; )
        if (v->rings[i].id == id)
            return &v->rings[i];
    return NULL;
}

struct inv_version *inv_version_of(struct inv *v, uint32_t stream, uint32_t version)
{
    for (uint32_t i = v->versions_count; i-- > 0; )
        if (v->versions[i].stream == stream
            && (version == 0 || v->versions[i].version == version))
            return &v->versions[i];
    return NULL;
}

uint32_t inv_event_from(const struct inv *v, uint64_t lsn)
{
    uint32_t lo = 0, hi = v->events_count;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (v->events[mid].lsn < lsn)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* Everything but events is in the log twice: the second time tells nothing new. */
static void what_is_said_again_is_the_same(struct inv *v, bool same, const char *what, uint64_t id)
{
    INV_CHECK(v, same, "%s %llu is another than before", what, (ull)id);
}

static void spans_of_a_ring_follow_each_other(struct inv *v, const struct inv_ring *ring,
                                              uint64_t from)
{
    if (ring->source != INV_STRANGER && !v->sources[ring->source].lies)
        INV_CHECK(v, from == ring->to, "ring %u: a span from %llu follows one to %llu", ring->id,
                  (ull)from, (ull)ring->to);
}

/* The frame that ends at this position is the one that its producer wrote there. */
static void nothing_is_logged_that_was_not_written(struct inv *v, struct inv_event *ev,
                                                   const uint8_t *payload)
{
    struct inv_source *src = &v->sources[ev->source];
    uint32_t lo = 0, hi = src->written_count;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (src->written[mid].end_pos < ev->end_pos)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo < src->written_count && src->written[lo].end_pos == ev->end_pos
        && src->written[lo].len == ev->len
        && src->written[lo].crc32c == crc32c(0, payload, ev->len)) {
        INV_CHECK(v, src->written[lo].event == 0, "%s: the event before %llu for the second time",
                  src->name, (ull)ev->end_pos);
        src->written[lo].event = v->events_count;
        ev->index = lo;
        return;
    }
    INV_CHECK(v, src->lies, "%s: %u bytes before position %llu", src->name, ev->len,
              (ull)ev->end_pos);
    ev->source = INV_STRANGER;
}

const struct inv_def *inv_def_of(const struct inv *v, uint32_t ring, uint16_t number)
{
    for (uint32_t i = v->defs_count; i-- > 0; )
        if (v->defs[i].ring == ring && v->defs[i].number == number)
            return &v->defs[i];
    return NULL;
}

static uint32_t def_stream(const struct inv *v, uint32_t ring, uint16_t number)
{
    const struct inv_def *def = inv_def_of(v, ring, number);

    return def ? def->stream : 0;
}

/* Where it is kept. */
static uint32_t payload_keep(struct inv *v, const void *data, uint32_t len)
{
    uint32_t at = v->payloads_len;

    if (v->payloads_len + len > INV_PAYLOAD_MAX)
        inv_fail(v, __func__, "more payload than the ledger keeps");
    memcpy(v->payloads + at, data, len);
    v->payloads_len += len;
    return at;
}

/* `place`: where in log and ring it is. */
static void event_add(struct inv *v, const struct inv_ring *ring, const struct shm_frame *frame,
                      const uint8_t *payload, const struct inv_event *place)
{
    uint32_t stream = def_stream(v, ring->id, frame->def);
    const struct inv_version *version = inv_version_of(v, stream, 0);
    struct inv_event *ev;

    if (!version)
        inv_fail(v, __func__, "ring %u: definition %u has no stream with settings", ring->id,
                 frame->def);
    ev = inv_append((void **)&v->events, &v->events_count, &v->events_cap, sizeof(*ev));
    *ev = *place;
    ev->ring = ring->id;
    ev->source = ring->source;
    ev->stream = stream;
    ev->version = version->version;
    ev->payload = payload_keep(v, payload, frame->len);
    ev->len = frame->len;
    ev->kind = frame->kind;
    ev->def = frame->def;
    ev->time_ns = frame->time_ns ? frame->time_ns : place->arrival_ns;
    if (ev->source != INV_STRANGER)
        nothing_is_logged_that_was_not_written(v, ev, payload);
    inv_count(v, COVER_events_accepted);
}

/* D3: when a COMMIT is handed over, the bodies that it lists are in the file. */
static void bodies_are_there_before_their_commit(struct inv *v, const struct sim_sight *sight,
                                                 const struct wal_item *it, uint64_t at)
{
    uint64_t len = it->u.span.to - it->u.span.from;

    INV_CHECK(v, at + len <= sight->offset && at + len <= sight->file_bytes
              && crc32c(0, sight->file + at, len) == it->u.span.crc32c,
              "the span at offset %llu of %s", (ull)at, sight->name);
}

static void span_take(struct inv *v, const struct sim_sight *sight, const struct wal_commit *c,
                      const struct wal_item *it)
{
    struct inv_ring *ring = inv_ring_of(v, it->u.span.ring);
    uint64_t at = sight->offset - (c->lsn - c->group_lsn) + it->u.span.offset;
    uint64_t len = it->u.span.to - it->u.span.from, events = 0;
    const uint8_t *span;

    if (!ring)
        inv_fail(v, __func__, "a span of ring %u, which was not attached", it->u.span.ring);
    bodies_are_there_before_their_commit(v, sight, it, at);
    spans_of_a_ring_follow_each_other(v, ring, it->u.span.from);
    span = sight->file + at;
    for (uint64_t done = 0; done < len; events++) {
        struct inv_event place = {.span_lsn = c->group_lsn + it->u.span.offset,
                                  .end_lsn = c->lsn + c->bytes, .arrival_ns = c->real_ns};
        struct shm_frame frame;
        uint64_t bytes;

        memcpy(&frame, span + done, sizeof(frame));
        bytes = shm_frame_bytes(frame.len);
        if (bytes > len - done)
            inv_fail(v, __func__, "a frame of %u bytes in a span of %llu", frame.len, (ull)len);
        place.lsn = place.span_lsn + done;
        done += bytes;
        place.end_pos = it->u.span.from + done;
        event_add(v, ring, &frame, span + done - bytes + sizeof(frame), &place);
    }
    ring->to = it->u.span.to;
    if (events != it->u.span.events)
        inv_fail(v, __func__, "%llu events in a span of %u", (ull)events, it->u.span.events);
}

static void attach_take(struct inv *v, const struct wal_item *it, uint64_t end_lsn)
{
    struct inv_ring *ring = inv_ring_of(v, it->u.attach.ring);
    char name[SHM_RING_NAME_MAX + 1] = "";

    if (!ring) {
        if (v->rings_count == INV_RINGS_MAX)
            inv_fail(v, __func__, "more rings than the ledger keeps");
        ring = &v->rings[v->rings_count++];
        *ring = (struct inv_ring){.id = it->u.attach.ring, .end_lsn = end_lsn,
                                  .attach_pos = it->u.attach.pos, .to = it->u.attach.pos,
                                  .source = INV_STRANGER};
        if (it->u.attach.name.len <= SHM_RING_NAME_MAX)
            memcpy(name, it->u.attach.name.at, it->u.attach.name.len);
        ring->from = wal_source_of(name);
        for (uint32_t i = 0; i < v->sources_count; i++)
            if (memcmp(v->sources[i].uuid, it->u.attach.uuid, 16) == 0)
                ring->source = i;
    } else if ((int64_t)(it->u.attach.pos - ring->to) > 0) {    /* else it is said again */
        ring->to = it->u.attach.pos;
    }
}

static void def_take(struct inv *v, struct inv_def said)
{
    for (uint32_t i = v->defs_count; i-- > 0; ) {
        const struct inv_def *known = &v->defs[i];

        if (known->ring != said.ring || known->number != said.number)
            continue;
        what_is_said_again_is_the_same(v, known->stream == said.stream
                                       && known->schema_crc32c == said.schema_crc32c,
                                       "definition", said.number);
        return;
    }
    *(struct inv_def *)inv_append((void **)&v->defs, &v->defs_count, &v->defs_cap,
                                  sizeof(said)) = said;
}

/* A schema is of the stream that an earlier definition names. */
static void schema_take(struct inv *v, const struct wal_item *it, uint64_t end_lsn)
{
    uint32_t stream = def_stream(v, it->u.schema.ring, it->u.schema.stream_def);

    if (stream == 0)
        inv_fail(v, __func__, "ring %u: schema %u of definition %u, which is none",
                 it->u.schema.ring, it->u.schema.number, it->u.schema.stream_def);
    def_take(v, (struct inv_def){.ring = it->u.schema.ring, .stream = stream,
                                 .number = it->u.schema.number, .end_lsn = end_lsn,
                                 .schema = payload_keep(v, it->u.schema.body.at,
                                                        it->u.schema.body.len),
                                 .schema_len = it->u.schema.body.len,
                                 .schema_crc32c = crc32c(0, it->u.schema.body.at,
                                                         it->u.schema.body.len)});
}

static void stream_take(struct inv *v, const struct wal_item *it, uint64_t end_lsn)
{
    struct inv_version *version = inv_version_of(v, it->u.stream.stream, it->u.stream.version);
    struct stream_settings set;
    uint32_t crc = crc32c(0, it->u.stream.settings.at, it->u.stream.settings.len);

    if (version) {
        what_is_said_again_is_the_same(v, version->crc32c == crc, "version", version->version);
        return;
    }
    if (stream_settings_parse(it->u.stream.settings.at, it->u.stream.settings.len, &set))
        inv_fail(v, __func__, "settings of stream %u cannot be read", it->u.stream.stream);
    version = inv_append((void **)&v->versions, &v->versions_count, &v->versions_cap,
                         sizeof(*version));
    *version = (struct inv_version){.stream = it->u.stream.stream, .outputs = set.outputs,
                                    .version = it->u.stream.version, .crc32c = crc,
                                    .end_lsn = end_lsn};
    if (set.outputs > INV_OUTPUTS_MAX)
        inv_fail(v, __func__, "%u outputs", set.outputs);
    for (uint16_t o = 0; o < set.outputs; o++) {
        version->targets[o] = set.output[o].targets;
        for (uint16_t t = 0; t < set.output[o].targets; t++)
            snprintf(version->sink[o][t], sizeof(version->sink[o][t]), "%s",
                     set.output[o].target[t].sink);
        version->format[o] = inv_format_open(v, &set.output[o]);
    }
    stream_settings_fini(&set);
}

static bool str_is(struct wal_str str, const char *text)
{
    return str.len == strlen(text) && memcmp(str.at, text, str.len) == 0;
}

/* Last event of a seal's partition that is sealed, 0: none. */
static uint64_t sealed_lsn(const struct inv *v, const struct wal_item *it)
{
    for (uint32_t i = v->seals_count; i-- > 0; ) {
        const struct inv_seal *seal = &v->seals[i];

        if (seal->stream == it->u.seal.stream && seal->version == it->u.seal.version
            && seal->output == it->u.seal.output && str_is(it->u.seal.partition, seal->partition))
            return seal->last_lsn;
    }
    return 0;
}

/* In one partition; those of others are mixed with them. */
static void seals_never_overlap(struct inv *v, const struct wal_item *it)
{
    uint64_t before = sealed_lsn(v, it);

    INV_CHECK(v, it->u.seal.first_lsn > before && it->u.seal.last_lsn >= it->u.seal.first_lsn,
              "batch %llu: a seal from %llu to %llu follows one to %llu",
              (ull)it->u.seal.number, (ull)it->u.seal.first_lsn, (ull)it->u.seal.last_lsn,
              (ull)before);
}

/* Each event is in exactly one seal of each output: none is passed over, none comes twice. */
static void seals_take_every_event_once(struct inv *v, const struct inv_version *version,
                                        const struct wal_item *it)
{
    uint32_t place = inv_place_named(it->u.seal.partition.at, it->u.seal.partition.len);
    uint32_t i = inv_event_from(v, sealed_lsn(v, it) + 1);
    uint16_t output = it->u.seal.output;
    uint64_t events = 0;

    for (; i < v->events_count && v->events[i].lsn <= it->u.seal.last_lsn; i++) {
        struct inv_event *ev = &v->events[i];

        if (ev->stream != version->stream || ev->version != version->version)
            continue;
        if (ev->lost_lsn != 0 && ev->seal[output] == 0)
            continue;
        if (inv_place(v, version, output, ev) != place)
            continue;
        INV_CHECK(v, ev->lsn >= it->u.seal.first_lsn, "batch %llu from %llu on passes over the "
                  "event at %llu", (ull)it->u.seal.number, (ull)it->u.seal.first_lsn,
                  (ull)ev->lsn);
        INV_CHECK(v, ev->seal[output] == 0, "batch %llu: the event at %llu is sealed already",
                  (ull)it->u.seal.number, (ull)ev->lsn);
        ev->seal[output] = v->seals_count + 1;
        events++;
    }
    INV_CHECK(v, events == it->u.seal.events, "batch %llu from %llu to %llu has %llu events, its "
              "seal says %llu", (ull)it->u.seal.number, (ull)it->u.seal.first_lsn,
              (ull)it->u.seal.last_lsn, (ull)events, (ull)it->u.seal.events);
}

static void a_key_is_used_once(struct inv *v, const char *path)
{
    for (const struct inv_target *target = inv_named(v, strrchr(path, '/') + 1); target;
         target = inv_named_next(v, target))
        INV_CHECK(v, strcmp(target->path, path) != 0, "%s: batches %llu and %llu", path,
                  (ull)inv_seal_with(v, target)->number,
                  (ull)v->seals[v->seals_count - 1].number);
}

/* D6 */
static void a_sealed_file_has_its_name(struct inv *v, const struct wal_item *it)
{
    struct batch_id id = {it->u.seal.epoch, 0, it->u.seal.number};
    char path[sizeof(SIM_AGENT_DATA "/spool/") + SPOOL_NAME_MAX] = SIM_AGENT_DATA "/spool/";

    seal_spool_name(&id, path + strlen(path));
    INV_CHECK(v, sim_name_synced(path), "batch %llu is sealed, the name of its file is not synced",
              (ull)id.number);
}

static void seal_take(struct inv *v, const struct wal_item *it, uint64_t end_lsn)
{
    struct inv_version *version = inv_version_of(v, it->u.seal.stream, it->u.seal.version);
    struct inv_seal *seal = inv_seal_of(v, it->u.seal.epoch, it->u.seal.number);

    if (seal) {
        what_is_said_again_is_the_same(v, seal->stream == it->u.seal.stream
                                       && seal->version == it->u.seal.version
                                       && seal->output == it->u.seal.output
                                       && str_is(it->u.seal.partition, seal->partition)
                                       && seal->targets == it->u.seal.targets
                                       && seal->first_lsn == it->u.seal.first_lsn
                                       && seal->last_lsn == it->u.seal.last_lsn,
                                       "batch", seal->number);
        if (seal->again_lsn == 0)
            seal->again_lsn = end_lsn;
        return;
    }

    if (!version || it->u.seal.output >= version->outputs
        || it->u.seal.targets != version->targets[it->u.seal.output])
        inv_fail(v, __func__, "batch %llu: stream %u, version %u, output %u",
                 (ull)it->u.seal.number, it->u.seal.stream, it->u.seal.version,
                 it->u.seal.output);
    if (it->u.seal.partition.len >= INV_PARTITION_MAX)
        inv_fail(v, __func__, "batch %llu: a partition of %u bytes", (ull)it->u.seal.number,
                 it->u.seal.partition.len);
    a_sealed_file_has_its_name(v, it);
    seals_never_overlap(v, it);
    seals_take_every_event_once(v, version, it);
    seal = inv_append((void **)&v->seals, &v->seals_count, &v->seals_cap, sizeof(*seal));
    *seal = (struct inv_seal){
        .epoch = it->u.seal.epoch, .number = it->u.seal.number, .end_lsn = end_lsn,
        .first_lsn = it->u.seal.first_lsn, .last_lsn = it->u.seal.last_lsn,
        .file_bytes = it->u.seal.file_bytes, .stream = it->u.seal.stream,
        .version = it->u.seal.version, .output = it->u.seal.output,
        .targets = it->u.seal.targets,
    };
    memcpy(seal->partition, it->u.seal.partition.at, it->u.seal.partition.len);
    inv_count(v, COVER_seals);
    v->cover[COVER_seals_partitioned] += it->u.seal.partition.len > 0;
    v->cover[COVER_seals_of_errors] += seal->partition[0] == OUTPUT_ERROR_MARK;
    for (uint16_t t = 0; t < seal->targets; t++) {
        const struct wal_target *from = &it->u.seal.target[t];
        struct inv_target *target = &seal->target[t];

        target->object = from->type == TARGET_S3;
        snprintf(target->path, sizeof(target->path), "%s%.*s/%.*s",
                 target->object ? SIM_CLOUD "/" : "", (int)from->directory.len,
                 from->directory.at, (int)from->key.len, from->key.at);
        target->staged = target->object || from->staging_id != 0;
        if (!target->staged)
            inv_count(v, COVER_unstaged_seals);
        a_key_is_used_once(v, target->path);
    }
    inv_seal_index(v);
}

static struct inv_target *target_of(struct inv *v, const struct wal_item *it)
{
    struct inv_seal *seal = inv_seal_of(v, it->u.ack.epoch, it->u.ack.number);

    if (seal && it->u.ack.target < seal->targets)
        return &seal->target[it->u.ack.target];
    inv_fail(v, __func__, "no batch %llu with a target %u", (ull)it->u.ack.number,
             it->u.ack.target);
}

/* D7: the journal of the simulated disk would carry the name along with that of the staging. */
static void a_delivered_name_is_synced(struct inv *v, const struct inv_target *target)
{
    size_t folder = (size_t)(strrchr(target->path, '/') - target->path);
    char above[sizeof(target->path)];

    memcpy(above, target->path, folder);
    above[folder] = '\0';
    INV_CHECK(v, target->name_seq == 0 || sim_ino(above) == 0
              || sim_synced_seq(above) >= target->name_seq,
              "%s is acknowledged, its folder is not synced", target->path);
}

static void an_ack_follows_its_delivery(struct inv *v, const struct wal_item *it, uint64_t end_lsn)
{
    struct inv_target *target = target_of(v, it);
    bool abandoned = it->u.ack.how == WAL_ACK_ABANDONED;

    /* Taken back after a failed sync; a power cut has kept the delivery and not that. */
    if (target->file == INV_ABSENT && sim_exists(target->path))
        target->file = INV_VISIBLE;
    INV_CHECK(v, target->ack_lsn == 0, "%s is acknowledged for the second time", target->path);
    INV_CHECK(v, !abandoned || v->abandons, "%s was given up", target->path);
    /* An object may have been stored without an answer. */
    INV_CHECK(v, abandoned == (target->file == INV_ABSENT) || (abandoned && target->object),
              "%s is acknowledged as %s and was %s", target->path,
              abandoned ? "given up" : "delivered",
              target->file == INV_ABSENT ? "not delivered" : "delivered");
    if (!abandoned)
        a_delivered_name_is_synced(v, target);
    target->abandoned = abandoned;
    target->ack_lsn = end_lsn;
    v->cover[COVER_acks_abandoned] += abandoned;
    inv_count(v, COVER_acks);
}

/* What is staged anew has to be copied, and that said, before it is delivered. */
static void reseal_take(struct inv *v, const struct wal_item *it, uint64_t end_lsn)
{
    struct inv_seal *seal = inv_seal_of(v, it->u.reseal.epoch, it->u.reseal.number);

    if (!seal)
        inv_fail(v, __func__, "no batch %llu", (ull)it->u.reseal.number);
    for (uint16_t t = 0; t < seal->targets; t++) {
        if (!(it->u.reseal.unstaged & 1U << t) || seal->target[t].object)
            continue;
        seal->target[t].staged = false;
        seal->target[t].staged_lsn = 0;
    }
    seal->reseal_lsn = end_lsn;
    inv_count(v, COVER_reseals);
}

/*
 * Lost is only what was not synced when the power went. Disks of this host do not damage the log:
 * no range of it, nor events that nobody can name, are to be missing.
 */
static void nothing_durable_is_lost(struct inv *v, const struct wal_item *it, uint64_t end_lsn)
{
    const struct inv_ring *ring = inv_ring_of(v, it->u.lost.ring);

    /* A liar may say that more of its ring was taken than there is in the log. */
    if (it->u.lost.stream == 0 && it->u.lost.lsn == 0 && ring && ring->source != INV_STRANGER
        && v->sources[ring->source].lies)
        return;
    INV_CHECK(v, it->u.lost.stream != 0 && it->u.lost.lsn != 0, "%llu bytes at %llu, %llu events "
              "of stream %u", (ull)it->u.lost.payload_bytes, (ull)it->u.lost.lsn,
              (ull)it->u.lost.events, it->u.lost.stream);
    for (uint32_t i = inv_event_from(v, it->u.lost.lsn); i < v->events_count; i++) {
        struct inv_event *ev = &v->events[i];

        if (ev->span_lsn != it->u.lost.lsn)
            break;
        if (ev->stream != it->u.lost.stream)
            continue;
        INV_CHECK(v, ev->doubtful, "the event at %llu was synced", (ull)ev->lsn);
        ev->lost_lsn = end_lsn;
        inv_count(v, COVER_events_lost);
    }
}

uint64_t inv_drops_counted(const struct inv *v, uint32_t source)
{
    for (uint32_t i = v->drops_count; i-- > 0; )
        if (v->drops[i].source == source)
            return v->drops[i].count;
    return 0;
}

/* As many as were reported and never fewer than before. */
static void drops_are_counted_once(struct inv *v, const struct wal_item *it, uint64_t end_lsn)
{
    const struct inv_ring *ring = inv_ring_of(v, it->u.intake.ring);
    uint64_t count = it->u.intake.drops[SHM_DROP_FULL], before;
    struct inv_drops *drops;

    if (!ring)
        inv_fail(v, __func__, "drops of ring %u, which was not attached", it->u.intake.ring);
    if (ring->source == INV_STRANGER || v->sources[ring->source].lies)
        return;
    before = inv_drops_counted(v, ring->source);
    INV_CHECK(v, count > before && count <= v->sources[ring->source].drops,
              "%s: %llu drops follow %llu, it has reported %llu", v->sources[ring->source].name,
              (ull)count, (ull)before, (ull)v->sources[ring->source].drops);
    drops = inv_append((void **)&v->drops, &v->drops_count, &v->drops_cap, sizeof(*drops));
    *drops = (struct inv_drops){.end_lsn = end_lsn, .count = count, .source = ring->source};
}

static void trim_take(struct inv *v, const struct wal_item *it, uint64_t end_lsn)
{
    struct inv_trim *trim = inv_append((void **)&v->trims, &v->trims_count, &v->trims_cap,
                                       sizeof(*trim));

    *trim = (struct inv_trim){it->u.trim.lsn, end_lsn};
}

void inv_item(struct inv *v, const struct sim_sight *sight, const struct wal_commit *c,
              const struct wal_item *it)
{
    uint64_t end_lsn = c->lsn + c->bytes;
    struct inv_ring *ring;
    struct inv_target *target;

    switch (it->type) {
    case WAL_SPAN:
        span_take(v, sight, c, it);
        break;
    case WAL_ATTACH:
        attach_take(v, it, end_lsn);
        break;
    case WAL_RETIRE:
        ring = inv_ring_of(v, it->u.retire.ring);
        if (ring)
            ring->retired = true;
        break;
    case WAL_DEF:
        def_take(v, (struct inv_def){.ring = it->u.def.ring, .stream = it->u.def.stream,
                                     .number = it->u.def.number, .end_lsn = end_lsn});
        break;
    case WAL_SCHEMA:
        schema_take(v, it, end_lsn);
        break;
    case WAL_STREAM:
        stream_take(v, it, end_lsn);
        break;
    case WAL_SEAL:
        seal_take(v, it, end_lsn);
        break;
    case WAL_ACK:
        an_ack_follows_its_delivery(v, it, end_lsn);
        break;
    case WAL_STAGED:
        target = target_of(v, it);
        if (target->staged_lsn == 0) {
            target->staged_lsn = end_lsn;
            inv_count(v, COVER_copies);
        }
        break;
    case WAL_RESEAL:
        reseal_take(v, it, end_lsn);
        break;
    case WAL_LOST:
        nothing_durable_is_lost(v, it, end_lsn);
        break;
    case WAL_INTAKE_DROPS:
        drops_are_counted_once(v, it, end_lsn);
        break;
    case WAL_TRIM:
        trim_take(v, it, end_lsn);
        break;
    default:
        break;
    }
}
