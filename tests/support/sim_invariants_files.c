/*
 * sim_invariants_files: what gets a name and what loses it: delivered files, spool files, rings.
 *
 * Owns:   nothing.
 * Thread: one.
 * Units:  see sim_invariants.h.
 */
#include "support/sim_invariants.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sink/file.h"
#include "support/sim_cloud.h"

enum { PATH_BYTES_MAX = 1200 };

typedef unsigned long long ull;

/* ---- Acknowledged ---- */

bool inv_sealed(const struct inv *v, const struct inv_event *ev, uint16_t output)
{
    const struct inv_seal *seal;

    if (ev->seal[output] == 0)
        return false;
    seal = &v->seals[ev->seal[output] - 1];
    for (uint16_t t = 0; t < seal->targets; t++)
        if (seal->target[t].ack_lsn == 0 || seal->target[t].ack_lsn > v->synced_lsn)
            return false;
    return true;
}

bool inv_acknowledged(struct inv *v, const struct inv_event *ev)
{
    const struct inv_version *version = inv_version_of(v, ev->stream, ev->version);

    if (ev->lost_lsn != 0)
        return true;
    for (uint16_t o = 0; o < version->outputs; o++)
        if (!inv_sealed(v, ev, o))
            return false;
    return true;
}

/* ---- Names ---- */

static struct inv_target *target_find(struct inv *v, const struct sim_sight *sight,
                                      struct inv_seal **ret_seal)
{
    for (struct inv_target *target = inv_named(v, sight->to); target;
         target = inv_named_next(v, target)) {
        size_t folder = (size_t)(strrchr(target->path, '/') - target->path);
        char above[sizeof(target->path)];

        if (strcmp(target->path + folder + 1, sight->to) != 0)
            continue;
        memcpy(above, target->path, folder);
        above[folder] = '\0';
        if (sim_ino(above) == sight->dir) {     /* links of one file go to several folders */
            *ret_seal = inv_seal_with(v, target);
            return target;
        }
    }
    return NULL;
}

static void a_seal_is_synced_before_its_first_byte(struct inv *v, const struct inv_seal *seal,
                                                   const struct inv_target *target)
{
    INV_CHECK(v, seal->again_lsn != 0 && seal->again_lsn <= v->synced_lsn, "%s is delivered, its "
              "seal at %llu and again at %llu is not synced (%llu)", target->path,
              (ull)seal->end_lsn, (ull)seal->again_lsn, (ull)v->synced_lsn);
    INV_CHECK(v, target->staged || (target->staged_lsn != 0
                                    && target->staged_lsn <= v->synced_lsn),
              "%s is delivered, and that it was staged is not synced", target->path);
}

static void a_file_is_delivered_once(struct inv *v, const struct inv_target *target)
{
    INV_CHECK(v, target->file == INV_ABSENT, "%s for the second time%s", target->path,
              target->file == INV_TAKEN ? "; it was taken away" : "");
    INV_CHECK(v, target->ack_lsn == 0, "%s is delivered and was acknowledged before",
              target->path);
}

/* From staging to its name. */
static void delivery(struct inv *v, const struct sim_sight *sight)
{
    struct inv_seal *seal;
    struct inv_target *target = target_find(v, sight, &seal);

    if (!target)
        inv_fail(v, "only_sealed_batches_are_delivered", "%s becomes %s", sight->name, sight->to);
    a_seal_is_synced_before_its_first_byte(v, seal, target);
    a_file_is_delivered_once(v, target);
    inv_file_is_its_events(v, seal, (uint32_t)(target - seal->target), sight->file,
                           sight->file_bytes);
    target->file = INV_VISIBLE;
    target->name_seq = sight->seq;
    inv_count(v, COVER_deliveries);
}

/* D7: whole, after its SEAL, and once, conditional writes or not. */
void inv_see_object(void *inv, const char *path, const uint8_t *data, size_t len, bool again)
{
    struct inv *v = inv;
    struct inv_target *target = inv_named(v, strrchr(path, '/') + 1);
    struct inv_seal *seal;

    while (target && strcmp(target->path, path) != 0)
        target = inv_named_next(v, target);
    if (!target)
        inv_fail(v, "only_sealed_batches_are_delivered", "%s is stored", path);
    seal = inv_seal_with(v, target);
    a_seal_is_synced_before_its_first_byte(v, seal, target);
    INV_CHECK(v, !again, "%s takes the place of an object", path);
    a_file_is_delivered_once(v, target);
    inv_file_is_its_events(v, seal, (uint32_t)(target - seal->target), data, len);
    target->file = INV_VISIBLE;
    inv_count(v, COVER_objects);
    v->cover[COVER_objects_in_parts] += len > v->agent->part_bytes;
}

/* After a failed sync: it goes back to staging, or its second name goes, to be delivered anew. */
static void delivery_undone(struct inv *v, const struct sim_sight *sight)
{
    for (struct inv_target *target = inv_named(v, sight->name); target;
         target = inv_named_next(v, target)) {
        if (target->file != INV_VISIBLE || sim_exists(target->path)
            || strcmp(strrchr(target->path, '/') + 1, sight->name) != 0)
            continue;
        INV_CHECK(v, target->ack_lsn == 0, "%s is acknowledged and taken back", target->path);
        target->file = INV_ABSENT;
        inv_count(v, COVER_deliveries_undone);
    }
}

/* The batch of a spool file, or of a damaged one that was set aside. NULL: it is not sealed. */
static struct inv_seal *seal_of_file(struct inv *v, const char *name)
{
    ull epoch, number;
    unsigned shard;

    if (sscanf(name, "%llx-%u-%llu", &epoch, &shard, &number) != 3)
        inv_fail(v, __func__, "%s", name);
    return inv_seal_of(v, epoch, number);
}

static bool seal_answered(const struct inv *v, const struct inv_seal *seal)
{
    for (uint16_t t = 0; t < seal->targets; t++)
        if (seal->target[t].ack_lsn == 0 || seal->target[t].ack_lsn > v->synced_lsn)
            return false;
    return true;
}

/*
 * D8: what a seal names stays until every sink has answered, and that is synced: the file itself,
 * or the one that was set aside while it is made again. What a start removes is judged when it has
 * said where the log ends.
 */
static void a_spool_file_outlives_its_seal(struct inv *v, const struct sim_sight *sight)
{
    struct inv_seal *seal = seal_of_file(v, sight->name);
    char aside[200];

    if (!seal)
        return;
    snprintf(aside, sizeof(aside), SIM_AGENT_DATA "/spool/%.*s.damaged",
             (int)(strrchr(sight->name, '.') - sight->name), sight->name);
    if (v->over)
        seal->spool_removed |= !sim_exists(aside);
    else
        INV_CHECK(v, seal_answered(v, seal) || sim_exists(aside), "%s is removed, not every sink "
                  "has answered", sight->name);
}

static void a_damaged_file_is_kept_until_there_is_another(struct inv *v,
                                                          const struct sim_sight *sight)
{
    struct inv_seal *seal = seal_of_file(v, sight->name);

    INV_CHECK(v, !seal || v->over || seal_answered(v, seal)
              || (seal->reseal_lsn != 0 && seal->reseal_lsn <= v->synced_lsn),
              "%s is removed, its batch was not sealed again", sight->name);
}

static void a_ring_goes_when_all_of_it_is_logged(struct inv *v, const struct sim_sight *sight)
{
    for (uint32_t i = 0; i < v->sources_count; i++) {
        const struct inv_source *src = &v->sources[i];

        if (src->gone || strcmp(src->name, sight->name) != 0)
            continue;
        inv_count(v, COVER_rings_removed);
        if (src->lies)
            return;
        INV_CHECK(v, !src->ring->open, "%s is removed, its producer lives", src->name);
        INV_CHECK(v, inv_drops_counted(v, i) == src->drops, "%s is removed, %llu of %llu drops "
                  "are counted", src->name, (ull)inv_drops_counted(v, i), (ull)src->drops);
        for (uint32_t k = 0; k < src->written_count; k++) {
            uint32_t at = src->written[k].event;

            INV_CHECK(v, at != 0 && v->events[at - 1].end_lsn <= v->synced_lsn,
                      "%s is removed, the event before %llu is not durable", src->name,
                      (ull)src->written[k].end_pos);
        }
    }
}

void inv_see_name(struct inv *v, const struct sim_sight *sight)
{
    struct inv_seal *seal;

    inv_see_segment_name(v, sight);
    if (sight->kind == SIM_RENAME && inv_is_key(sight->to))
        delivery(v, sight);
    else if (sight->kind != SIM_LINK && inv_is_key(sight->name))
        delivery_undone(v, sight);
    if (sight->kind == SIM_RENAME && inv_name_ends(sight->to, ".damaged")) {
        seal = seal_of_file(v, sight->to);
        if (seal)
            seal->reseal_lsn = 0;
    }
    if (sight->kind != SIM_UNLINK)
        return;
    if (inv_name_ends(sight->name, ".spool"))
        a_spool_file_outlives_its_seal(v, sight);
    else if (inv_name_ends(sight->name, ".damaged"))
        a_damaged_file_is_kept_until_there_is_another(v, sight);
    else if (inv_name_ends(sight->name, ".ring"))
        a_ring_goes_when_all_of_it_is_logged(v, sight);
}

/* ---- Consumers, power cuts, the end ---- */

void inv_take(struct inv *v, unsigned permille)
{
    for (uint32_t i = 0; i < v->seals_count; i++) {
        for (uint16_t t = 0; t < v->seals[i].targets; t++) {
            struct inv_target *target = &v->seals[i].target[t];

            if (target->file != INV_VISIBLE || sim_random() % 1000 >= permille)
                continue;
            /* What is not known to be stored is looked for, and stored if it is not there. */
            if (target->object && (target->ack_lsn == 0 || target->ack_lsn > v->synced_lsn))
                continue;
            target->file = INV_TAKEN;
            inv_count(v, COVER_files_taken);
            if (sim_unlink(target->path) != 0)
                inv_fail(v, __func__, "%s cannot be taken", target->path);
        }
    }
}

static void an_acknowledged_file_is_durable(struct inv *v, struct inv_target *target)
{
    if (target->file != INV_VISIBLE || sim_exists(target->path))
        return;
    INV_CHECK(v, target->ack_lsn == 0 || target->ack_lsn > v->synced_lsn,
              "%s is acknowledged, and the power cut took it", target->path);
    target->file = INV_ABSENT;
    inv_count(v, COVER_deliveries_undone);
}

void inv_files_after_cut(struct inv *v)
{
    for (uint32_t i = 0; i < v->seals_count; i++)
        for (uint16_t t = 0; t < v->seals[i].targets; t++)
            an_acknowledged_file_is_durable(v, &v->seals[i].target[t]);
    for (uint32_t i = 0; i < v->seals_count; i++)
        for (uint16_t t = 0; t < v->seals[i].targets; t++)
            v->seals[i].target[t].name_seq = 0;
}

static unsigned files_below(const char *path)
{
    char **names, below[PATH_BYTES_MAX];
    unsigned files = 0;
    size_t count;

    if (sim_list(path, &names, &count) != 0)
        return 1;
    for (size_t i = 0; i < count; i++) {
        snprintf(below, sizeof(below), "%s/%s", path, names[i]);
        if (strcmp(names[i], FILE_SINK_STAGING) != 0)
            files += files_below(below);
    }
    free(names);
    return files;
}

/* But where the sink has left the configuration, or nobody may list them. */
static void nobody_leaves_an_upload(struct inv *v)
{
    char path[PATH_BYTES_MAX];

    for (unsigned i = 0; sim_cloud_upload(i, path, sizeof(path)); i++) {
        const struct inv_target *target = inv_named(v, strrchr(path, '/') + 1);

        while (target && strcmp(target->path, path) != 0)
            target = inv_named_next(v, target);
        INV_CHECK(v, target && (target->abandoned || sim_cloud_denied()), "%s", path);
        inv_count(v, COVER_uploads_left);
    }
}

/* What was delivered is there, and nothing else. */
void inv_files_end(struct inv *v)
{
    unsigned visible = 0, there = 0;

    for (uint32_t i = 0; i < v->seals_count; i++) {
        for (uint16_t t = 0; t < v->seals[i].targets; t++) {
            const struct inv_target *target = &v->seals[i].target[t];
            uint8_t *data;
            size_t len;

            INV_CHECK(v, target->ack_lsn != 0 && (target->file != INV_ABSENT || target->abandoned),
                      "%s is not delivered", target->path);
            if (target->file == INV_ABSENT)
                continue;
            if (target->file == INV_TAKEN) {
                INV_CHECK(v, !sim_exists(target->path), "%s was taken and is there again",
                          target->path);
                continue;
            }
            visible++;
            INV_CHECK(v, sim_read_file(target->path, &data, &len) == 0, "%s is gone",
                      target->path);
            inv_file_is_its_events(v, &v->seals[i], t, data, len);
            free(data);
        }
    }
    if (sim_exists("/out"))
        there += files_below("/out");
    if (sim_exists("/far"))
        there += files_below("/far");
    if (sim_exists(SIM_CLOUD))
        there += files_below(SIM_CLOUD);
    nobody_leaves_an_upload(v);
    INV_CHECK(v, visible == there, "%u files are there, %u were delivered and not taken", there,
              visible);
}
