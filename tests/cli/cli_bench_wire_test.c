/*
 * cli_bench_wire: each kind has its row and its implementation; what a caller brings is used like
 * those; a wire that cannot be prepared has nothing open.
 */
#include "cli/bench_wires.h"

#include <errno.h>

static void every_kind_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (enum wire_kind kind = 0; kind < WIRE_OTHER; kind++) {
        struct wire_options opt = bench_options(kind, 64);
        const struct wire_row *row = wire_row(&opt);

        assert_true(row->ops == (kind <= WIRE_RING_READ ? &wire_ring_ops : &wire_stream_ops));
        for (enum wire_kind other = 0; other < kind; other++) {
            struct wire_options others = bench_options(other, 64);

            assert_true(strcmp(row->name, wire_row(&others)->name) != 0 ||
                        strcmp(row->detail, wire_row(&others)->detail) != 0);
        }
    }
}

static void every_kind_brings_what_was_put(void **state)
{
    uint8_t event[256];

    (void)state;
    for (size_t i = 0; i < sizeof(event); i++)
        event[i] = (uint8_t)(i ^ 0x5a);
    for (enum wire_kind kind = 0; kind < WIRE_OTHER; kind++) {
        struct wire_options opt = bench_options(kind, sizeof(event));
        const uint8_t *first = NULL;
        struct bench_ends ends;
        uint64_t events = 9;

        bench_ends_open(&ends, &opt);
        assert_int_equal(wire_take(&ends.reader, &events, &first), 0);
        assert_int_equal(events, 0); /* a look in vain does not wait */
        assert_int_equal(wire_put(&ends.writer, event, 1), 0);
        assert_int_equal(wire_put_end(&ends.writer), 0);
        assert_int_equal(wire_take(&ends.reader, &events, &first), 0);
        assert_int_equal(events, 1);
        assert_memory_equal(first, event, sizeof(event));
        assert_int_equal(wire_put(&ends.writer, event, 20), 0);
        assert_int_equal(wire_put_end(&ends.writer), 0);
        assert_int_equal(bench_take_all(&ends.reader), 20);
        bench_ends_close(&ends);
        assert_int_equal(bench_base_names(), 0);
    }
}

/* --- of the caller --------------------------------------------------------------------------- */

static int refuse(struct wire *w, struct errmsg *err)
{
    w->chunk = malloc(1); /* freed with the wire */
    return errmsg_set(err, -EPERM, "not on this host");
}

static void count_close(struct wire *w)
{
    ++*(int *)(uintptr_t)w->opt.shm_dir;
}

static void a_wire_that_cannot_be_prepared_is_closed(void **state)
{
    static const struct wire_ops ops = { .prepare = refuse, .close = count_close };
    static const struct wire_row row = { "other", " how=ours", &ops };
    int closed = 0;
    struct wire_options opt = { .kind = WIRE_OTHER, .other = &row,
                                .shm_dir = (const char *)&closed };
    struct errmsg err = { "" };
    struct wire w;

    (void)state;
    assert_ptr_equal(wire_row(&opt), &row);
    assert_int_equal(wire_prepare(&w, &opt, &err), -EPERM);
    assert_string_equal(err.text, "not on this host");
    assert_int_equal(closed, 1);
    wire_close(&w); /* zeroed is fine */
    assert_int_equal(closed, 1);
    assert_null(w.chunk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_has_a_name_of_its_own),
        cmocka_unit_test(every_kind_brings_what_was_put),
        cmocka_unit_test(a_wire_that_cannot_be_prepared_is_closed),
    };

    return cmocka_run_group_tests(tests, bench_base_make, bench_base_remove);
}
