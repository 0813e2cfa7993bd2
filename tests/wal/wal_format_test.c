/*
 * Claims about the bytes of the log: what is written is read back, and nothing else passes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "wal/log_builder.h"
#include "wal/made_item.h"

static void every_item_type_survives_a_round_trip(void **state)
{
    struct made_item *t = calloc(1, sizeof(*t));

    (void)state;
    assert_non_null(t);
    t->seed = 1;
    for (int type = WAL_SPAN; type < WAL_ITEM_TYPE_COUNT; type++)
        for (int round = 0; round < 200; round++) {
            struct wal_item in = {.type = (enum wal_item_type)type}, out;
            struct bytes b = BYTES_INIT;
            const uint8_t *at;

            made_item_fill(t, &in);
            assert_int_equal(wal_item_append(&b, &in, t->tally), 0);
            assert_int_equal(b.len % 8, 0);
            at = b.data;
            assert_int_equal(wal_item_next(&at, b.data + b.len, &out), 0);
            assert_ptr_equal(at, b.data + b.len);
            made_item_same(t, &in, &out);
            bytes_free(&b);
        }
    free(t);
}

static void items_follow_one_another(void **state)
{
    struct made_item *t = calloc(1, sizeof(*t));
    struct bytes b = BYTES_INIT;
    const uint8_t *at;
    struct wal_item it;

    (void)state;
    assert_non_null(t);
    t->seed = 2;
    for (int type = WAL_SPAN; type < WAL_ITEM_TYPE_COUNT; type++) {
        it = (struct wal_item){.type = (enum wal_item_type)type};
        made_item_fill(t, &it);
        assert_int_equal(wal_item_append(&b, &it, t->tally), 0);
    }
    at = b.data;
    for (int type = WAL_SPAN; type < WAL_ITEM_TYPE_COUNT; type++) {
        assert_int_equal(wal_item_next(&at, b.data + b.len, &it), 0);
        assert_int_equal(it.type, type);
    }
    assert_ptr_equal(at, b.data + b.len);
    assert_int_equal(wal_item_next(&at, b.data + b.len, &it), -EBADMSG);
    bytes_free(&b);
    free(t);
}

static void a_cut_item_never_parses(void **state)
{
    struct made_item *t = calloc(1, sizeof(*t));

    (void)state;
    assert_non_null(t);
    t->seed = 3;
    for (int type = WAL_SPAN; type < WAL_ITEM_TYPE_COUNT; type++) {
        struct wal_item it = {.type = (enum wal_item_type)type};
        struct bytes b = BYTES_INIT;

        made_item_fill(t, &it);
        assert_int_equal(wal_item_append(&b, &it, t->tally), 0);
        for (size_t len = 0; len < b.len; len++) {
            uint8_t *copy = malloc(len ? len : 1);      /* so that ASan sees a byte too far */
            const uint8_t *at = copy;

            assert_non_null(copy);
            memcpy(copy, b.data, len);
            assert_int_equal(wal_item_next(&at, copy + len, &it), -EBADMSG);
            assert_ptr_equal(at, copy);
            free(copy);
        }
        bytes_free(&b);
    }
    free(t);
}

static void an_item_with_a_length_of_its_own_never_parses(void **state)
{
    (void)state;
    for (int type = 0; type < WAL_ITEM_TYPE_COUNT + 2; type++) {
        struct wal_item it = {.type = WAL_TRIM};
        struct bytes b = BYTES_INIT;
        const uint8_t *at;

        /* No type's body is 4 bytes of 0xff, and none is longer than it says by itself. */
        assert_int_equal(wal_item_append(&b, &it, NULL), 0);
        memset(b.data + 8, 0xff, 8);
        bytes_put_u16(b.data, (uint16_t)type);
        bytes_put_u32(b.data + 4, 5);
        at = b.data;
        assert_int_equal(wal_item_next(&at, b.data + b.len, &it), -EBADMSG);
        bytes_put_u16(b.data, WAL_TRIM);
        bytes_put_u32(b.data + 4, 8);
        bytes_put_u16(b.data + 2, 1);       /* a flag nobody knows */
        assert_int_equal(wal_item_next(&at, b.data + b.len, &it), -EBADMSG);
        bytes_free(&b);
    }
}

static int parsed(const struct bytes *b)
{
    const uint8_t *at = b->data;
    struct wal_item out;
    int rc = wal_item_next(&at, b->data + b->len, &out);

    assert_ptr_equal(at, rc ? b->data : b->data + b->len);
    return rc;
}

/* What comes of an item through its bytes. */
static int round_trip(const struct wal_item *it)
{
    struct bytes b = BYTES_INIT;
    int rc;

    assert_int_equal(wal_item_append(&b, it, NULL), 0);
    rc = parsed(&b);
    bytes_free(&b);
    return rc;
}

/* The same with a text, whose length is at `offset`, of `len` bytes. */
static int with_text(const struct wal_item *it, size_t offset, uint32_t len)
{
    struct bytes b = BYTES_INIT;
    uint32_t was, body;
    size_t rest;
    int rc;

    assert_int_equal(wal_item_append(&b, it, NULL), 0);
    assert_int_equal(bytes_reserve(&b, len + 8), 0);
    was = bytes_get_u32(b.data + offset);
    body = bytes_get_u32(b.data + 4) - was + len;
    rest = 8 + bytes_get_u32(b.data + 4) - offset - 4 - was;
    memmove(b.data + offset + 4 + len, b.data + offset + 4 + was, rest);
    memset(b.data + offset + 4, 'x', len);
    bytes_put_u32(b.data + offset, len);
    bytes_put_u32(b.data + 4, body);
    memset(b.data + 8 + body, 0, 8);
    b.len = 8 + bytes_round_up(body, 8);
    rc = parsed(&b);
    bytes_free(&b);
    return rc;
}

static void a_partition_has_a_limit_and_its_mark_has_a_name(void **state)
{
    enum { SEAL_TEXT = 98, PARTITION_TEXT = 26 };
    struct wal_item seal = built_seal(1, 1, 1, 0, 1), it = {.type = WAL_PARTITION};

    (void)state;
    for (uint32_t len = 0; len <= WAL_PARTITION_MAX; len += 64)
        assert_int_equal(with_text(&seal, SEAL_TEXT, len), 0);
    assert_int_equal(with_text(&seal, SEAL_TEXT, WAL_PARTITION_MAX + 1), -EBADMSG);
    it.u.partition.output = WAL_OUTPUTS_MAX - 1;
    it.u.partition.sealed_lsn = 1;
    it.u.partition.partition = built_str("a=1/");
    assert_int_equal(round_trip(&it), 0);
    assert_int_equal(with_text(&it, PARTITION_TEXT, 1), 0);
    assert_int_equal(with_text(&it, PARTITION_TEXT, WAL_PARTITION_MAX), 0);
    assert_int_equal(with_text(&it, PARTITION_TEXT, WAL_PARTITION_MAX + 1), -EBADMSG);
    assert_int_equal(with_text(&it, PARTITION_TEXT, 0), -EBADMSG);
}

static void a_schema_has_a_body_and_a_limit(void **state)
{
    enum { SCHEMA_TEXT = 16 };
    struct wal_item it = built_schema(1, 2, 1, "fields");

    (void)state;
    assert_int_equal(round_trip(&it), 0);
    assert_int_equal(with_text(&it, SCHEMA_TEXT, 1), 0);
    assert_int_equal(with_text(&it, SCHEMA_TEXT, WAL_SCHEMA_BYTES_MAX), 0);
    assert_int_equal(with_text(&it, SCHEMA_TEXT, WAL_SCHEMA_BYTES_MAX + 1), -EBADMSG);
    assert_int_equal(with_text(&it, SCHEMA_TEXT, 0), -EBADMSG);
}

static int span_round(uint64_t from, uint64_t to)
{
    struct wal_item it = {.type = WAL_SPAN};

    it.u.span.from = from;
    it.u.span.to = to;
    return round_trip(&it);
}

static void a_span_is_as_long_as_a_ring_at_most_and_may_wrap(void **state)
{
    (void)state;
    assert_int_equal(span_round(5, 5), 0);
    assert_int_equal(span_round(UINT64_MAX - 7, 8), 0);
    assert_int_equal(span_round(8, 8 + (uint64_t)SHM_RING_BYTES_MAX), 0);
    assert_int_equal(span_round(8, 9 + (uint64_t)SHM_RING_BYTES_MAX), -EBADMSG);
    assert_int_equal(span_round(8, 0), -EBADMSG);
}

/* A COMMIT of two blocks at a place of its own. */
struct one_commit {
    struct wal_identity id;
    struct wal_commit header;
    uint8_t record[2 * WAL_BLOCK];
};

static void one_commit(struct one_commit *c)
{
    static const uint8_t items[5000] = {1, 2, 3};

    memset(c, 0, sizeof(*c));
    memset(c->id.uuid, 0x5a, sizeof(c->id.uuid));
    c->id.epoch = 9;
    c->id.segment = 3;
    c->header.lsn = 7 * WAL_BLOCK;
    c->header.group_lsn = 5 * WAL_BLOCK;
    c->header.items = 1;
    c->header.item_bytes = sizeof(items);
    assert_int_equal(wal_commit_bytes(sizeof(items)), sizeof(c->record));
    wal_commit_format(&c->id, &c->header, items, c->record);
}

static void a_commit_takes_whole_blocks(void **state)
{
    (void)state;
    assert_int_equal(wal_commit_bytes(0), WAL_BLOCK);
    assert_int_equal(wal_commit_bytes(WAL_BLOCK - 64), WAL_BLOCK);
    assert_int_equal(wal_commit_bytes(WAL_BLOCK - 63), 2 * WAL_BLOCK);
}

static void a_commit_survives_a_round_trip(void **state)
{
    struct one_commit c;
    struct wal_commit out;

    (void)state;
    one_commit(&c);
    assert_int_equal(wal_commit_parse(&c.id, c.record, sizeof(c.record), c.header.lsn, &out), 0);
    assert_memory_equal(&out, &c.header, sizeof(out));
    assert_true(wal_commit_begins(c.record, c.header.lsn));
    assert_false(wal_commit_begins(c.record, c.header.lsn + WAL_BLOCK));
}

static void a_cut_commit_never_parses(void **state)
{
    struct one_commit c;
    struct wal_commit out;

    (void)state;
    one_commit(&c);
    for (size_t len = 0; len < sizeof(c.record); len += len % 64 == 0 ? 1 : 63) {
        uint8_t *copy = malloc(len ? len : 1);

        assert_non_null(copy);
        memcpy(copy, c.record, len);
        assert_int_equal(wal_commit_parse(&c.id, copy, len, c.header.lsn, &out), -EBADMSG);
        free(copy);
    }
}

static void a_flipped_bit_in_a_commit_is_found(void **state)
{
    struct one_commit c;
    struct wal_commit out;

    (void)state;
    one_commit(&c);
    for (size_t bit = 0; bit < sizeof(c.record) * 8; bit++) {
        c.record[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_int_equal(wal_commit_parse(&c.id, c.record, sizeof(c.record), c.header.lsn, &out),
                         -EBADMSG);
        c.record[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
}

static void a_commit_of_another_place_never_parses(void **state)
{
    struct one_commit c;
    struct wal_identity id;
    struct wal_commit out;

    (void)state;
    one_commit(&c);
    for (unsigned bit = 0; bit < 128; bit++) {
        id = c.id;
        id.uuid[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_int_equal(wal_commit_parse(&id, c.record, sizeof(c.record), c.header.lsn, &out),
                         -EBADMSG);
    }
    for (unsigned bit = 0; bit < 64; bit++) {
        id = c.id;
        id.epoch ^= 1ULL << bit;
        assert_int_equal(wal_commit_parse(&id, c.record, sizeof(c.record), c.header.lsn, &out),
                         -EBADMSG);
        id = c.id;
        id.segment ^= 1ULL << bit;
        assert_int_equal(wal_commit_parse(&id, c.record, sizeof(c.record), c.header.lsn, &out),
                         -EBADMSG);
        assert_int_equal(wal_commit_parse(&c.id, c.record, sizeof(c.record),
                                          c.header.lsn ^ 1ULL << bit, &out),
                         -EBADMSG);
        /* Moved, with an lsn that fits: the sum still knows where it was written. */
        bytes_put_u64(c.record + 16, c.header.lsn ^ 1ULL << bit);
        assert_int_equal(wal_commit_parse(&c.id, c.record, sizeof(c.record),
                                          c.header.lsn ^ 1ULL << bit, &out),
                         -EBADMSG);
        bytes_put_u64(c.record + 16, c.header.lsn);
    }
    assert_int_equal(wal_commit_parse(&c.id, c.record, sizeof(c.record), c.header.lsn, &out), 0);
}

static void a_segment_header_survives_and_a_flipped_bit_is_found(void **state)
{
    struct wal_segment_header in = {.shard = 12, .epoch = UINT64_MAX, .number = 77}, out;
    uint8_t block[WAL_BLOCK] = {0};

    (void)state;
    memset(in.uuid, 0xee, sizeof(in.uuid));
    in.start_lsn = in.prev_end_lsn = 12 * WAL_BLOCK;
    wal_segment_header_format(&in);
    memcpy(block, &in, sizeof(in));
    assert_int_equal(wal_segment_header_parse(block, &out), 0);
    assert_memory_equal(&in, &out, sizeof(in));
    for (size_t bit = 0; bit < sizeof(in) * 8; bit++) {
        block[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_int_equal(wal_segment_header_parse(block, &out), -EBADMSG);
        block[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
}

static void a_segment_header_is_read_from_either_place(void **state)
{
    struct wal_segment_header in = {.shard = 12, .epoch = 3, .number = 77}, out;
    uint8_t block[WAL_BLOCK];

    (void)state;
    wal_segment_header_format(&in);
    wal_segment_header_put(&in, block);
    for (size_t bit = 0; bit < 8 * sizeof(in); bit++)
        for (size_t place = 0; place <= WAL_HEADER_AGAIN; place += WAL_HEADER_AGAIN) {
            uint8_t *at = block + place + bit / 8;

            *at ^= (uint8_t)(1U << bit % 8);
            assert_int_equal(wal_segment_header_parse(block, &out), 0);
            assert_memory_equal(&in, &out, sizeof(in));
            *at ^= (uint8_t)(1U << bit % 8);
        }
    memset(block, 0, sizeof(in));
    assert_int_equal(wal_segment_header_parse(block, &out), 0);
    memset(block + WAL_HEADER_AGAIN, 0, sizeof(in));
    assert_int_equal(wal_segment_header_parse(block, &out), -EBADMSG);
}

static void a_segment_begins_on_a_block_behind_the_one_before(void **state)
{
    static const uint64_t starts[][2] = {{1, 1}, {WAL_BLOCK, 0}, {1ULL << 63, 1ULL << 63}};
    struct wal_segment_header header, out;
    uint8_t block[WAL_BLOCK] = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
        header = (struct wal_segment_header){.start_lsn = starts[i][0],
                                             .prev_end_lsn = starts[i][1]};
        wal_segment_header_format(&header);
        memcpy(block, &header, sizeof(header));
        assert_int_equal(wal_segment_header_parse(block, &out), -EBADMSG);
    }
}

static void a_segment_name_survives_and_others_are_refused(void **state)
{
    static const char *const bad[] = {
        "", "000", "000-0000000000000001-0000000001.seg.aside", "000-0000000000000001-1.seg",
        "00-0000000000000001-0000000001.seg", "000-000000000000001-0000000001.seg",
        "000-000000000000000G-0000000001.seg", "000-0000000000000001-0000000001.SEG",
        " 00-0000000000000001-0000000001.seg", "+00-0000000000000001-0000000001.seg",
        "-01-0000000000000001-0000000001.seg", "1000-0000000000000001-0000000001.seg",
        "000-000000000000000A-0000000001.seg", "000-0000000000000001-00000000001.seg",
        "000-0000000000000001--000000001.seg", ".000-0000000000000001-0000000001.seg",
        "000-0x00000000000001-0000000001.seg", "000-0000000000000001-0000000001",
        "000-0000000000000001-99999999999999999999.seg",
    };
    char name[WAL_NAME_MAX];
    uint64_t epoch, number;
    uint32_t shard;

    (void)state;
    wal_segment_name(999, UINT64_MAX, UINT64_MAX, name);
    assert_true(wal_segment_name_parse(name, &shard, &epoch, &number));
    assert_true(shard == 999 && epoch == UINT64_MAX && number == UINT64_MAX);
    wal_segment_name(0, 0xabc, 7, name);
    assert_string_equal(name, "000-0000000000000abc-0000000007.seg");
    assert_true(wal_segment_name_parse(name, &shard, &epoch, &number));
    assert_true(shard == 0 && epoch == 0xabc && number == 7);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(wal_segment_name_parse(bad[i], &shard, &epoch, &number));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_type_survives_a_round_trip),
        cmocka_unit_test(items_follow_one_another),
        cmocka_unit_test(a_cut_item_never_parses),
        cmocka_unit_test(an_item_with_a_length_of_its_own_never_parses),
        cmocka_unit_test(a_partition_has_a_limit_and_its_mark_has_a_name),
        cmocka_unit_test(a_schema_has_a_body_and_a_limit),
        cmocka_unit_test(a_span_is_as_long_as_a_ring_at_most_and_may_wrap),
        cmocka_unit_test(a_commit_takes_whole_blocks),
        cmocka_unit_test(a_commit_survives_a_round_trip),
        cmocka_unit_test(a_cut_commit_never_parses),
        cmocka_unit_test(a_flipped_bit_in_a_commit_is_found),
        cmocka_unit_test(a_commit_of_another_place_never_parses),
        cmocka_unit_test(a_segment_header_survives_and_a_flipped_bit_is_found),
        cmocka_unit_test(a_segment_header_is_read_from_either_place),
        cmocka_unit_test(a_segment_begins_on_a_block_behind_the_one_before),
        cmocka_unit_test(a_segment_name_survives_and_others_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
