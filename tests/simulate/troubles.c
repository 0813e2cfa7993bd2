/*
 * troubles: see troubles.h.
 *
 * Owns:   nothing.
 * Thread: one.
 */
#include "simulate/troubles.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simulate/world.h"

static void fault_arm(void)
{
    static const enum sim_kind kinds[] = {SIM_WRITE, SIM_WRITE, SIM_RENAME, SIM_LINK, SIM_UNLINK,
                                          SIM_MKDIR, SIM_ALLOCATE, SIM_TRUNCATE, SIM_OPEN,
                                          SIM_SYNC};
    enum sim_kind kind = kinds[below(world.sc->sync_faults ? 10 : 9)];
    int err = kind == SIM_OPEN && chance(500) ? -EMFILE : -EIO;

    world.faults = true;
    inv_count(&world.inv, COVER_faults);
    if (chance(600))
        sim_fail(kind, 1 + below(20), 1 + below(3), err);
    else
        sim_fail_some(kind, 1 + below(300), err);
    world_say("faults of kind %d, %s", (int)kind, strerror(-err));
}

static void space_set(void)
{
    sim_set_free("/", world.full ? (uint64_t)below(1 + spread(1200)) * 4096 : UINT64_MAX);
    world_say("the disk %s", world.full ? "is full" : "has room again");
}

static void sink_space_set(void)
{
    sim_set_free("/far", world.sink_full ? (uint64_t)below(1 + spread(20)) * 4096 : UINT64_MAX);
    world_say("the disk of sinks %s", world.sink_full ? "is full" : "has room again");
}

static void cloud_set(enum sim_cloud_state cloud)
{
    static const char *const words[SIM_CLOUD_STATE_COUNT] = {"is well", "is away", "is busy",
                                                             "denies access"};

    world.cloud = cloud;
    sim_cloud_set_state(cloud);
    world_say("the cloud %s", words[cloud]);
}

void troubles_end(void)
{
    sim_fail_clear();
    world.full = world.sink_full = world.faults = false;
    space_set();
    sink_space_set();
    cloud_set(SIM_CLOUD_UP);
}

void troubles_step(void)
{
    if (chance(world.sc->disk_full) || (world.full && chance(30))) {
        world.full = !world.full;
        world.inv.cover[COVER_disk_full] += world.full;
        space_set();
    }
    if (chance(world.sc->sink_full) || (world.sink_full && chance(30))) {
        world.sink_full = !world.sink_full;
        world.inv.cover[COVER_sink_full] += world.sink_full;
        sink_space_set();
    }
    if (chance(world.sc->cloud_away) || (world.cloud != SIM_CLOUD_UP && chance(30))) {
        inv_count(&world.inv, COVER_cloud_outages);
        cloud_set(world.cloud == SIM_CLOUD_UP ? 1 + below(SIM_CLOUD_STATE_COUNT - 1)
                                              : SIM_CLOUD_UP);
    }
    if (chance(world.sc->fault))
        fault_arm();
    else if (world.faults && chance(100))
        sim_fail_clear();               /* the life may still end by what it has met */
    if (chance(world.sc->clock)) {
        sim_step_real_ns((int64_t)(sim_random() % (7200 * SECOND_NS)) - 3600 * (int64_t)SECOND_NS);
        inv_count(&world.inv, COVER_clock_steps);
    }
    if (chance(world.sc->advance))
        sim_advance_ns(1 + sim_random() % (chance(100) ? 70 * SECOND_NS : 2 * SECOND_NS));
    if (chance(world.sc->take))
        inv_take(&world.inv, 300);
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
            inv_fail(&world.inv, __func__, "%s", path);
        if (len > 0)
            data[sim_random() % len] ^= 1;
        if (sim_write_file(other, data, len) == 0) {
            if (sim_rename(other, path) != 0)
                inv_fail(&world.inv, __func__, "%s", path);
            inv_count(&world.inv, COVER_files_damaged);
            world_say("%s is damaged", path);
        } else {
            (void)sim_unlink(other);    /* no room for another inode */
        }
        free(data);
    }
    free(names);
}

void troubles_damage(void)
{
    char staging[64];

    if (!chance(100))
        return;
    file_damage(SIM_AGENT_DATA "/spool");
    for (unsigned i = 0; i < SCENARIO_SINKS_MAX; i++) {
        snprintf(staging, sizeof(staging), "%s/.hydrant", world.sink[i].directory);
        if (chance(300) && !world.sink[i].cloud)
            file_damage(staging);
    }
}
