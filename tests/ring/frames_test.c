/*
 * Claims about frames_check(): what it takes, what it refuses, and that its tallies are exact.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ring/frames.h"
#include "ring/ring_builder.h"

#define DEFS 5

static struct frames_scratch scratch;

/* A copy of exactly this length on the heap, so that a sanitizer sees each byte read beyond it. */
static enum frames_result check(const uint8_t *span, uint64_t len, uint32_t event_bytes_max,
                                struct frames_summary *ret_summary)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);
    enum frames_result result;

    assert_non_null(copy);
    memcpy(copy, span, len);
    frames_scratch_clear(&scratch);
    result = frames_check(copy, len, event_bytes_max, DEFS, NULL, &scratch, ret_summary);
    free(copy);
    return result;
}

/* Frames of many lengths, definitions and kinds; ends[i] is the end of frame i. */
static uint64_t mixed_span(uint8_t *span, uint64_t *ends, uint32_t count)
{
    uint8_t payload[64];
    uint64_t at = 0;

    memset(payload, 0xa5, sizeof(payload));
    for (uint32_t i = 0; i < count; i++) {
        at += built_frame(span + at, (uint16_t)(1 + i / 2 % DEFS),
                          (uint8_t)(SHM_KIND_JSON + i % 4), payload, i * 7 % 40);
        ends[i] = at;
    }
    return at;
}

static void an_empty_span_is_whole(void **state)
{
    struct frames_summary sum;

    (void)state;
    assert_int_equal(check((const uint8_t *)"", 0, 64, &sum), FRAMES_OK);
    assert_int_equal(sum.bytes_whole, 0);
    assert_int_equal(sum.events, 0);
    assert_int_equal(sum.reason, SHM_QUARANTINE_NONE);
    assert_int_equal(scratch.used_count, 0);
}

static void every_prefix_of_a_valid_span_yields_its_whole_frames(void **state)
{
    uint8_t span[4096];
    uint64_t ends[40], len = mixed_span(span, ends, 40);
    struct frames_summary sum;
    uint32_t whole = 0;

    (void)state;
    for (uint64_t cut = 0; cut <= len; cut++) {
        if (whole < 40 && ends[whole] <= cut)
            whole++;
        assert_int_equal(check(span, cut, 64, &sum), FRAMES_OK);
        assert_int_equal(sum.events, whole);
        assert_int_equal(sum.bytes_whole, whole == 0 ? 0 : ends[whole - 1]);
    }
    assert_int_equal(whole, 40);
}

static void tallies_are_exact(void **state)
{
    uint32_t events[DEFS + 1] = { 0 };
    uint64_t payload_bytes[DEFS + 1] = { 0 }, ends[40], at = 0, len;
    struct frames_summary sum;
    struct frames_tally total = { 0, 0, 0 };
    uint8_t span[4096];

    (void)state;
    len = mixed_span(span, ends, 40);
    assert_int_equal(check(span, len, 64, &sum), FRAMES_OK);
    while (at < len) {
        struct shm_frame frame;
        const uint8_t *payload;

        at = frames_next(span, at, &frame, &payload);
        events[frame.def]++;
        payload_bytes[frame.def] += frame.len;
    }
    assert_int_equal(at, len);
    for (uint32_t i = 0; i < scratch.used_count; i++) {
        uint16_t def = scratch.used[i];

        assert_int_equal(def, i + 1); /* in order of first appearance */
        assert_int_equal(scratch.events[def], events[def]);
        assert_int_equal(scratch.payload_bytes[def], payload_bytes[def]);
        total.events += scratch.events[def];
    }
    assert_int_equal(scratch.used_count, DEFS);
    assert_int_equal(total.events, sum.events);
    assert_int_equal(sum.events, 40);
}

static void tallies_add_up_over_spans_and_clear_forgets_them(void **state)
{
    uint8_t span[4096];
    uint64_t ends[40], len = mixed_span(span, ends, 40);
    struct frames_summary sum;
    uint32_t first;

    (void)state;
    assert_int_equal(check(span, len, 64, &sum), FRAMES_OK);
    first = scratch.events[2];
    assert_true(first > 0);
    assert_int_equal(frames_check(span, len, 64, DEFS, NULL, &scratch, &sum), FRAMES_OK);
    assert_int_equal(sum.events, 40);
    assert_int_equal(scratch.events[2], 2 * first);
    assert_int_equal(scratch.used_count, DEFS);
    frames_scratch_clear(&scratch);
    assert_int_equal(scratch.used_count, 0);
    for (uint32_t i = 0; i <= SHM_DEFS_MAX; i++) {
        assert_int_equal(scratch.events[i], 0);
        assert_int_equal(scratch.payload_bytes[i], 0);
    }
}

static void one_field_out_of_range_ends_the_good_part_before_it(void **state)
{
    static const struct {
        struct shm_frame frame;
        enum shm_quarantine reason;
    } cases[] = {
        { { .len = 65, .def = 1, .kind = SHM_KIND_TEXT }, SHM_QUARANTINE_FRAME },
        { { .len = 0x80000000U, .def = 1, .kind = SHM_KIND_TEXT }, SHM_QUARANTINE_FRAME },
        { { .len = UINT32_MAX, .def = 1, .kind = SHM_KIND_TEXT }, SHM_QUARANTINE_FRAME },
        { { .len = UINT32_MAX - 15, .def = 1, .kind = SHM_KIND_TEXT }, SHM_QUARANTINE_FRAME },
        { { .len = 8, .def = 1, .kind = SHM_KIND_NONE }, SHM_QUARANTINE_FRAME },
        { { .len = 8, .def = 1, .kind = SHM_KIND_COUNT }, SHM_QUARANTINE_FRAME },
        { { .len = 8, .def = 1, .kind = 255 }, SHM_QUARANTINE_FRAME },
        { { .len = 8, .def = 1, .kind = SHM_KIND_TEXT, .flags = 1 }, SHM_QUARANTINE_FRAME },
        { { .len = 8, .def = 1, .kind = SHM_KIND_TEXT, .flags = 128 }, SHM_QUARANTINE_FRAME },
        { { .len = 8, .def = 0, .kind = SHM_KIND_TEXT }, SHM_QUARANTINE_DEFINITION },
        { { .len = 8, .def = DEFS + 1, .kind = SHM_KIND_TEXT }, SHM_QUARANTINE_DEFINITION },
        { { .len = 8, .def = UINT16_MAX, .kind = SHM_KIND_TEXT }, SHM_QUARANTINE_DEFINITION },
        { { .len = 65, .def = 0, .kind = SHM_KIND_TEXT }, SHM_QUARANTINE_FRAME },
        { { 0 }, SHM_QUARANTINE_FRAME },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t span[256] = { 0 };
        uint64_t good = built_frame(span, 3, SHM_KIND_JSON, "{}", 2);
        struct frames_summary sum;

        memcpy(span + good, &cases[i].frame, sizeof(cases[i].frame));
        assert_int_equal(check(span, sizeof(span), 64, &sum), FRAMES_CORRUPT);
        assert_int_equal(sum.bytes_whole, good);
        assert_int_equal(sum.events, 1);
        assert_int_equal(sum.reason, cases[i].reason);
        assert_int_equal(scratch.events[3], 1);
        assert_int_equal(scratch.used_count, 1);
        /* Seen as soon as its header is there, and not before. */
        assert_int_equal(check(span, good + 16, 64, &sum), FRAMES_CORRUPT);
        assert_int_equal(check(span, good + 15, 64, &sum), FRAMES_OK);
        assert_int_equal(sum.bytes_whole, good);
    }
}

static void records_name_schemas_and_all_others_streams(void **state)
{
    struct frames_schemas schemas = { { 0 } };
    struct frames_summary sum;

    (void)state;
    frames_schemas_add(&schemas, 2);
    frames_schemas_add(&schemas, 64);
    frames_schemas_add(&schemas, SHM_DEFS_MAX);
    for (uint16_t def = 1; def <= SHM_DEFS_MAX; def++) {
        bool schema = def == 2 || def == 64 || def == SHM_DEFS_MAX;

        assert_int_equal(frames_schemas_has(&schemas, def), schema);
        for (uint8_t kind = SHM_KIND_JSON; kind < SHM_KIND_COUNT; kind++) {
            bool good = schema == (kind == SHM_KIND_RECORD);
            uint8_t span[128];
            uint64_t len = built_frame(span, 1, SHM_KIND_TEXT, "before", 6), before = len;

            len += built_frame(span + len, def, kind, "12345678", 8);
            len += built_frame(span + len, 2, SHM_KIND_RECORD, "behind", 6);
            frames_scratch_clear(&scratch);
            assert_int_equal(frames_check(span, len, 64, SHM_DEFS_MAX, &schemas, &scratch, &sum),
                             good ? FRAMES_OK : FRAMES_CORRUPT);
            assert_int_equal(sum.events, good ? 3 : 1);
            assert_int_equal(sum.bytes_whole, good ? len : before);
            assert_int_equal(sum.reason, good ? SHM_QUARANTINE_NONE : SHM_QUARANTINE_DEFINITION);
            /* Seen as soon as its header is there. */
            frames_scratch_clear(&scratch);
            assert_int_equal(frames_check(span, before + 16, 64, SHM_DEFS_MAX, &schemas, &scratch,
                                          &sum), good ? FRAMES_OK : FRAMES_CORRUPT);
            assert_int_equal(sum.events, 1);
            assert_int_equal(scratch.events[1], 1);
            assert_int_equal(scratch.used_count, 1);
        }
    }
    frames_scratch_clear(&scratch);
}

static void time_and_payload_are_the_producers_business(void **state)
{
    uint8_t span[256];
    uint64_t len = built_frame(span, 1, SHM_KIND_BYTES, "payload", 7);
    struct frames_summary sum;

    (void)state;
    memset(span + offsetof(struct shm_frame, time_ns), 0xff, 8);
    memset(span + sizeof(struct shm_frame), 0xff, len - sizeof(struct shm_frame));
    assert_int_equal(check(span, len, 64, &sum), FRAMES_OK);
    assert_int_equal(sum.events, 1);
}

static void the_largest_event_fits_and_one_byte_more_does_not(void **state)
{
    uint64_t cap = shm_frame_bytes(SHM_EVENT_BYTES_MAX) + 64;
    uint8_t *span = calloc(1, cap);
    uint8_t *payload = calloc(1, SHM_EVENT_BYTES_MAX);
    struct frames_summary sum;
    uint64_t len;

    (void)state;
    assert_non_null(span);
    assert_non_null(payload);
    len = built_frame(span, DEFS, SHM_KIND_BYTES, payload, SHM_EVENT_BYTES_MAX);
    assert_int_equal(check(span, len, SHM_EVENT_BYTES_MAX, &sum), FRAMES_OK);
    assert_int_equal(sum.events, 1);
    assert_int_equal(sum.bytes_whole, len);
    assert_int_equal(scratch.payload_bytes[DEFS], SHM_EVENT_BYTES_MAX);
    assert_int_equal(check(span, len, SHM_EVENT_BYTES_MAX - 1, &sum), FRAMES_CORRUPT);
    assert_int_equal(sum.bytes_whole, 0);
    free(span);
    free(payload);
}

static void without_definitions_no_frame_is_good(void **state)
{
    uint8_t span[64];
    uint64_t len = built_frame(span, 1, SHM_KIND_TEXT, "x", 1);
    struct frames_summary sum;

    (void)state;
    frames_scratch_clear(&scratch);
    assert_int_equal(frames_check(span, len, 64, 0, NULL, &scratch, &sum), FRAMES_CORRUPT);
    assert_int_equal(sum.reason, SHM_QUARANTINE_DEFINITION);
    assert_int_equal(scratch.used_count, 0);
}

static void all_definitions_of_a_full_table_are_tallied(void **state)
{
    uint8_t *span = malloc((size_t)SHM_DEFS_MAX * 24);
    struct frames_summary sum;
    uint64_t len = 0;

    (void)state;
    assert_non_null(span);
    for (uint32_t def = SHM_DEFS_MAX; def >= 1; def--)
        len += built_frame(span + len, (uint16_t)def, SHM_KIND_TEXT, "12345678", 8);
    frames_scratch_clear(&scratch);
    assert_int_equal(frames_check(span, len, 64, SHM_DEFS_MAX, NULL, &scratch, &sum), FRAMES_OK);
    assert_int_equal(sum.events, SHM_DEFS_MAX);
    assert_int_equal(scratch.used_count, SHM_DEFS_MAX);
    assert_int_equal(scratch.used[0], SHM_DEFS_MAX);
    for (uint32_t def = 1; def <= SHM_DEFS_MAX; def++)
        assert_int_equal(scratch.payload_bytes[def], 8);
    frames_scratch_clear(&scratch);
    free(span);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_span_is_whole),
        cmocka_unit_test(every_prefix_of_a_valid_span_yields_its_whole_frames),
        cmocka_unit_test(tallies_are_exact),
        cmocka_unit_test(tallies_add_up_over_spans_and_clear_forgets_them),
        cmocka_unit_test(one_field_out_of_range_ends_the_good_part_before_it),
        cmocka_unit_test(records_name_schemas_and_all_others_streams),
        cmocka_unit_test(time_and_payload_are_the_producers_business),
        cmocka_unit_test(the_largest_event_fits_and_one_byte_more_does_not),
        cmocka_unit_test(without_definitions_no_frame_is_good),
        cmocka_unit_test(all_definitions_of_a_full_table_are_tallied),
    };

    return cmocka_run_group_tests_name("frames", tests, NULL, NULL);
}
