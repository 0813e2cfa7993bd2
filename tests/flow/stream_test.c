/*
 * stream: the table of streams, and how long versions of their settings live.
 */
#include "flow/settings_builder.h"

#include <errno.h>

#include "flow/stream.h"

static struct stream *added(struct stream_table *t, uint32_t id, const char *name)
{
    struct stream *s;

    assert_int_equal(stream_add(t, id, name, &s), 0);
    assert_non_null(s);
    return s;
}

static void route(struct stream *s, uint32_t version, uint16_t outputs)
{
    struct bytes text = BYTES_INIT;

    built_settings_bytes(outputs, 1, &text);
    assert_int_equal(stream_route_version(s, version, text.data, text.len, NULL, 0), 0);
    bytes_free(&text);
}

/* How many versions of its settings a stream holds. */
static unsigned versions_of(const struct stream *s)
{
    unsigned n = 0;

    for (const struct stream_version *v = s->now; v; v = v->next)
        n++;
    return n;
}

static void streams_are_found_by_id_and_by_name(void **state)
{
    static const uint32_t ids[] = { 1, 2, 63, 64, 65, 1000, 200 };
    struct stream_table t;
    char name[16];

    (void)state;
    stream_table_init(&t, 100);
    assert_null(stream_by_id(&t, 0));
    assert_null(stream_by_name(&t, "s1"));
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        snprintf(name, sizeof(name), "s%u", ids[i]);
        added(&t, ids[i], name);
        assert_int_equal(t.count, i + 1);
        for (size_t k = 0; k <= i; k++) {
            snprintf(name, sizeof(name), "s%u", ids[k]);
            assert_int_equal(stream_by_id(&t, ids[k])->id, ids[k]);
            assert_ptr_equal(stream_by_name(&t, name), stream_by_id(&t, ids[k]));
        }
    }
    assert_null(stream_by_id(&t, 3));
    assert_null(stream_by_id(&t, UINT32_MAX));
    assert_null(stream_by_name(&t, "s"));
    assert_null(stream_by_name(&t, "s11"));
    stream_table_fini(&t);
    assert_int_equal(t.count, 0);
}

static void streams_max_is_a_limit(void **state)
{
    struct stream_table t;
    struct stream *s;

    (void)state;
    stream_table_init(&t, 2);
    added(&t, 1, "a");
    added(&t, 2, "b");
    assert_int_equal(stream_add(&t, 3, "c", &s), -ENOSPC);
    assert_null(stream_by_id(&t, 3));
    assert_null(stream_by_name(&t, "c"));
    assert_int_equal(t.count, 2);
    stream_table_fini(&t);
}

/* Names and numbers come out of the log: a strange one is an error, not the end. */
static void impossible_names_and_numbers_are_refused(void **state)
{
    static const char *const bad[] = { "", ".a", "a/b", "a b", "../a" };
    struct stream_table t;
    struct stream *s;

    (void)state;
    stream_table_init(&t, 10);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(stream_add(&t, 1, bad[i], &s), -EBADMSG);
    assert_int_equal(stream_add(&t, UINT32_MAX, "a", &s), -EBADMSG);
    assert_int_equal(stream_add(&t, 0x80000000U, "a", &s), -EBADMSG);
    assert_int_equal(t.count, 0);
    added(&t, 1, "a");
    stream_table_fini(&t);
}

static void the_longest_name_is_kept_whole(void **state)
{
    char name[STREAM_NAME_MAX + 1];
    struct stream_table t;

    (void)state;
    memset(name, 'n', STREAM_NAME_MAX);
    name[STREAM_NAME_MAX] = '\0';
    stream_table_init(&t, 1);
    assert_string_equal(added(&t, 7, name)->name, name);
    stream_table_fini(&t);
}

static void a_version_makes_its_outputs(void **state)
{
    static const uint64_t routed[] = { 11, 22 };
    struct bytes text = BYTES_INIT;
    struct stream_table t;
    struct stream *s;

    (void)state;
    stream_table_init(&t, 1);
    s = added(&t, 1, "a");
    assert_null(s->now);
    built_settings_bytes(3, 2, &text);
    assert_int_equal(stream_route_version(s, 5, text.data, text.len, routed, 2), 0);
    assert_int_equal(s->now->version, 5);
    assert_int_equal(s->now->set.outputs, 3);
    for (uint16_t i = 0; i < 3; i++) {
        const struct output *o = &s->now->output[i];

        assert_ptr_equal(o->stream, s);
        assert_int_equal(o->version, 5);
        assert_int_equal(o->index, i);
        assert_ptr_equal(o->set, &s->now->set.output[i]);
        assert_int_equal(o->open.count, 0);
        assert_true(o->routed_lsn == (i < 2 ? routed[i] : 0));
    }
    bytes_free(&text);
    stream_table_fini(&t);
}

static void the_version_routed_to_is_not_made_twice(void **state)
{
    const struct stream_version *now;
    struct stream_table t;
    struct stream *s;

    (void)state;
    stream_table_init(&t, 1);
    s = added(&t, 1, "a");
    route(s, 1, 1);
    now = s->now;
    route(s, 1, 2);
    assert_ptr_equal(s->now, now);
    assert_int_equal(s->now->set.outputs, 1);
    stream_table_fini(&t);
}

static void bad_settings_leave_the_version_before(void **state)
{
    struct stream_table t;
    struct stream *s;

    (void)state;
    stream_table_init(&t, 1);
    s = added(&t, 1, "a");
    route(s, 1, 1);
    assert_int_equal(stream_route_version(s, 2, "nonsense", 8, NULL, 0), -EBADMSG);
    assert_int_equal(s->now->version, 1);
    assert_int_equal(versions_of(s), 1);
    stream_table_fini(&t);
}

static void a_version_lives_as_long_as_a_batch_of_it(void **state)
{
    struct stream_table t;
    struct stream *s;
    struct output *old;

    (void)state;
    stream_table_init(&t, 1);
    s = added(&t, 1, "a");
    route(s, 1, 2);
    old = &s->now->output[1];
    output_retain(old);
    output_retain(old);
    route(s, 2, 1);
    assert_int_equal(versions_of(s), 2);
    output_release(old);
    assert_int_equal(versions_of(s), 2);
    assert_string_equal(old->set->target[0].sink, "sink-100");
    output_release(old);
    assert_int_equal(versions_of(s), 1);
    assert_int_equal(s->now->version, 2);
    stream_table_fini(&t);
}

static void versions_end_in_any_order(void **state)
{
    struct output *of[4];
    struct stream_table t;
    struct stream *s;

    (void)state;
    stream_table_init(&t, 1);
    s = added(&t, 1, "a");
    for (uint32_t v = 1; v <= 4; v++) {
        route(s, v, 1);
        of[v - 1] = &s->now->output[0];
        output_retain(of[v - 1]);
    }
    route(s, 5, 1);
    assert_int_equal(versions_of(s), 5);
    output_release(of[2]);
    assert_int_equal(versions_of(s), 4);
    output_release(of[0]);
    output_release(of[3]);
    assert_int_equal(versions_of(s), 2);
    assert_int_equal(of[1]->version, 2);
    output_release(of[1]);
    assert_int_equal(versions_of(s), 1);
    stream_table_fini(&t);
}

/* The one routed to stays, batch or not. */
static void the_last_batch_of_the_present_version_does_not_end_it(void **state)
{
    struct stream_table t;
    struct stream *s;

    (void)state;
    stream_table_init(&t, 1);
    s = added(&t, 1, "a");
    route(s, 1, 1);
    output_retain(&s->now->output[0]);
    output_release(&s->now->output[0]);
    assert_int_equal(versions_of(s), 1);
    route(s, 2, 1);
    assert_int_equal(versions_of(s), 1);
    assert_int_equal(s->now->version, 2);
    stream_table_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_are_found_by_id_and_by_name),
        cmocka_unit_test(streams_max_is_a_limit),
        cmocka_unit_test(impossible_names_and_numbers_are_refused),
        cmocka_unit_test(the_longest_name_is_kept_whole),
        cmocka_unit_test(a_version_makes_its_outputs),
        cmocka_unit_test(the_version_routed_to_is_not_made_twice),
        cmocka_unit_test(bad_settings_leave_the_version_before),
        cmocka_unit_test(a_version_lives_as_long_as_a_batch_of_it),
        cmocka_unit_test(versions_end_in_any_order),
        cmocka_unit_test(the_last_batch_of_the_present_version_does_not_end_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
