/*
 * Any bytes as what the log holds: items, a COMMIT, a segment header, a file's name. What parses as
 * an item is written back byte for byte, and the tables take it or refuse it.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "wal/log_builder.h"
#include "wal/wal_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct wal_tally tallies[WAL_DEFS_MAX];

/* The same item again; what pads it is zero. */
static void item_again(const struct wal_item *item, const uint8_t *from)
{
    struct bytes b = BYTES_INIT;
    uint32_t len = bytes_get_u32(from + 4);

    if (item->type == WAL_SPAN)
        for (uint16_t i = 0; i < item->u.span.tallies; i++)
            tallies[i] = wal_tally_get(item, i);
    INVARIANT(wal_item_append(&b, item, tallies) == 0);
    INVARIANT(b.len == 8 + bytes_round_up(len, 8));
    INVARIANT(memcmp(b.data, from, 8 + (size_t)len) == 0);
    bytes_free(&b);
}

static void partitions_found(const struct wal_stream *st)
{
    for (uint32_t i = 0; i < st->versions_count; i++)
        for (uint32_t k = 0; k < st->versions[i].partitions.count; k++) {
            const struct wal_partition *p = &st->versions[i].partitions.items[k];

            INVARIANT(p->name_len > 0 && p->name_len <= WAL_PARTITION_MAX);
            INVARIANT(wal_version_sealed_lsn(&st->versions[i], p->output, p->name, p->name_len)
                      == p->sealed_lsn);
        }
}

static void items(const uint8_t *at, const uint8_t *end)
{
    struct wal_state s, again;
    struct bytes checkpoint = BYTES_INIT;
    struct wal_item item;
    uint64_t lsn = 4096;

    INVARIANT(wal_state_init(&s) == 0 && wal_state_init(&again) == 0);
    for (;;) {
        const uint8_t *from = at;

        if (wal_item_next(&at, end, &item) != 0)
            break;
        INVARIANT(at > from && at <= end);
        item_again(&item, from);
        (void)wal_state_apply(&s, &item, lsn += 4096);      /* nonsense may be refused */
    }
    INVARIANT(wal_state_checkpoint(&s, &checkpoint) == 0);
    at = checkpoint.data;
    while (at < checkpoint.data + checkpoint.len) {
        INVARIANT(wal_item_next(&at, checkpoint.data + checkpoint.len, &item) == 0);
        (void)wal_state_apply(&again, &item, lsn);
    }
    INVARIANT(again.rings_count == s.rings_count && again.streams_count == s.streams_count);
    for (uint32_t i = 0; i < s.rings_count; i++) {
        INVARIANT(s.rings[i]->marks <= WAL_RING_MARKS);
        (void)wal_ring_pos_take(s.rings[i], lsn / 2);
    }
    for (uint32_t i = 0; i < s.streams_count; i++) {
        (void)wal_stream_books(s.streams[i]);
        partitions_found(s.streams[i]);
    }
    bytes_free(&checkpoint);
    wal_state_fini(&s);
    wal_state_fini(&again);
}

static void name(const uint8_t *data, size_t size)
{
    char text[64] = {0}, again[WAL_NAME_MAX];
    uint64_t epoch, number;
    uint32_t shard;

    memcpy(text, data, size < sizeof(text) - 1 ? size : sizeof(text) - 1);
    if (!wal_segment_name_parse(text, &shard, &epoch, &number))
        return;
    wal_segment_name(shard, epoch, number, again);
    INVARIANT(strcmp(text, again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct wal_identity id = {.epoch = 1, .segment = 1};
    uint8_t block[2 * WAL_BLOCK] = {0};
    struct wal_segment_header header;
    struct wal_commit commit;
    size_t len = size < sizeof(block) ? size : sizeof(block);

    items(data, data + size);
    name(data, size);
    memcpy(block, data, len);
    (void)wal_segment_header_parse(block, &header);
    if (wal_commit_parse(&id, block, sizeof(block), bytes_get_u64(block + 16), &commit) == 0)
        INVARIANT(commit.bytes <= sizeof(block)
                  && commit.item_bytes <= commit.bytes - sizeof(struct wal_commit));
    return 0;
}
