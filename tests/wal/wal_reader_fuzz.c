/*
 * A log of three segments with any damage. What is read is a group that was written, in order, and
 * what lies between two of them is reported. On simulated files.
 *
 * Input: pieces of damage of 8 bytes: kind, segment, value, 0, offset (u32).
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/sim.h"
#include "wal/log_builder.h"
#include "wal/wal_reader.h"
#include "wal/wal_state.h"

#define DIR "/wal"

enum { DAMAGE_SET, DAMAGE_FLIP, DAMAGE_CUT, DAMAGE_COPY, DAMAGE_GROW, DAMAGE_COUNT };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void log_make(struct built_log *log)
{
    static uint8_t ring[6000];
    struct bytes items = BYTES_INIT;

    built_log_init(log);
    for (uint32_t s = 0; s < 3; s++) {
        built_segment(log);
        for (uint32_t i = 0; i < 5; i++) {
            struct wal_item item = built_attach(1, 0);
            uint32_t len = i * 1500;

            bytes_clear(&items);
            if (s == 0 && i == 0) {
                built_item(&items, &item);
                item = built_stream(1, 1, "orders", 1);
                built_item(&items, &item);
                item = built_def(1, 1, 1);
            } else {
                item = built_span(1, (s * 5ULL + i) * 8000, ring, len, 0, 1);
            }
            built_item(&items, &item);
            built_append(log, ring, len, &items, 1);
        }
    }
    bytes_free(&items);
}

static void damage(struct built_log *log, const uint8_t *at)
{
    struct bytes *file = &log->file[at[1] % 3];
    uint32_t offset = bytes_get_u32(at + 4);

    if (file->len == 0)
        return;
    offset %= (uint32_t)file->len;
    switch (at[0] % DAMAGE_COUNT) {
    case DAMAGE_SET:
        file->data[offset] = at[2];
        break;
    case DAMAGE_FLIP:
        file->data[offset] ^= (uint8_t)(1U << at[2] % 8);
        break;
    case DAMAGE_CUT:
        file->len = offset;
        break;
    case DAMAGE_COPY: {         /* a block to where it was not written */
        size_t from = offset / WAL_BLOCK * WAL_BLOCK;
        size_t to = at[2] * (size_t)WAL_BLOCK % file->len;
        size_t len = WAL_BLOCK;

        len = from + len > file->len ? file->len - from : len;
        len = to + len > file->len ? file->len - to : len;
        memmove(file->data + to, file->data + from, len);
        break;
    }
    default:
        INVARIANT(bytes_reserve(file, at[2]) == 0);
        memset(file->data + file->len, at[2], at[2]);
        file->len += at[2];
    }
}

static void read_all(const struct built_log *whole, struct wal_dir *dir)
{
    struct wal_group_view g;
    struct wal_reader r;
    struct wal_state s;
    uint64_t end = 0;
    uint32_t next = 0;
    int rc;

    INVARIANT(wal_state_init(&s) == 0);
    wal_reader_init(&r, dir);
    while ((rc = wal_reader_next(&r, UINT64_MAX, &g)) == 1) {
        const struct built_group *group;
        const uint8_t *at = g.items;
        struct wal_item item;

        while (next < whole->groups && whole->group[next].lsn != g.commit.lsn)
            next++;
        INVARIANT(next < whole->groups);
        group = &whole->group[next++];
        INVARIANT(g.body_lsn == group->group_lsn && g.end_lsn == group->end_lsn);
        INVARIANT(memcmp(g.items - sizeof(struct wal_commit),
                         whole->file[group->segment].data
                             + (group->lsn - whole->header[group->segment].start_lsn),
                         group->end_lsn - group->lsn)
                  == 0);
        INVARIANT(g.hole_from <= g.body_lsn && g.hole_from >= end);
        end = g.end_lsn;
        while (at < g.items_end) {
            INVARIANT(wal_item_next(&at, g.items_end, &item) == 0);
            (void)wal_state_apply(&s, &item, g.end_lsn);    /* refused behind a hole */
        }
    }
    INVARIANT(rc == 0);
    wal_reader_fini(&r);
    wal_state_fini(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct built_log whole, log;
    struct errmsg err;
    struct wal_dir dir;
    char path[128];

    log_make(&whole);
    log_make(&log);
    for (size_t i = 0; i + 8 <= size && i < 8 * 64; i += 8)
        damage(&log, data + i);
    sim_reset(1);
    INVARIANT(sim_mkdir(DIR) == 0);
    for (uint32_t i = 0; i < log.segments; i++) {
        snprintf(path, sizeof(path), DIR "/%s", log.name[i]);
        INVARIANT(sim_write_file(path, log.file[i].data, log.file[i].len) == 0);
    }
    INVARIANT(wal_dir_open(DIR, 0, log.uuid, true, &dir, &err) == 0);
    INVARIANT(dir.count + dir.set_aside == 3);
    read_all(&whole, &dir);
    wal_dir_close(&dir);
    built_log_free(&whole);
    built_log_free(&log);
    return 0;
}
