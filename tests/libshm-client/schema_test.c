/*
 * The ring's definitions: what shmc_stream declares, and how it lies in the file.
 */
#include "libshm-client/ring_reader.h"

static void gives_one_name_one_number(void **state)
{
    struct shmc_options opt = scratch_options(*state);
    struct shmc *h = scratch_open(&opt);
    uint16_t a = 0, b = 0, again = 0;

    assert_int_equal(shmc_stream(h, "a", &a), 0);
    assert_int_equal(shmc_stream(h, "ab", &b), 0);
    assert_int_equal(shmc_stream(h, "a", &again), 0);
    assert_int_equal(a, 1);
    assert_int_equal(b, 2);
    assert_int_equal(again, a);
    assert_int_equal(shmc_close(h), 0);
}

static void takes_the_names_of_the_grammar_and_no_others(void **state)
{
    static const char *const good[] = {"a", "Z9", "0", "a.b-c_d", "a.."};
    static const char *const bad[] = {"", ".a", "-a", "_a", "a b", "a/b", "a\n", "\xc3\xa4", "a:"};
    struct shmc_options opt = scratch_options(*state);
    struct shmc *h = scratch_open(&opt);
    uint16_t id = 0;
    char name[SHM_STREAM_NAME_MAX + 2];

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_int_equal(shmc_stream(h, good[i], &id), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(shmc_stream(h, bad[i], &id), -EINVAL);
        assert_non_null(strstr(shmc_error(h), "a name is"));
    }
    memset(name, 'x', sizeof(name));
    name[SHM_STREAM_NAME_MAX + 1] = '\0';
    assert_int_equal(shmc_stream(h, name, &id), -EINVAL);
    name[SHM_STREAM_NAME_MAX] = '\0';
    assert_int_equal(shmc_stream(h, name, &id), 0);
    assert_int_equal(shmc_stream(h, NULL, &id), -EINVAL);
    assert_int_equal(shmc_stream(h, "a", NULL), -EINVAL);
    assert_int_equal(shmc_close(h), 0);
}

static void lays_definitions_out_as_the_wire_says(void **state)
{
    static const char *const names[] = {"a", "exactly8", "ninechars", "x.y"};
    struct scratch *scratch = *state;
    struct shmc_options opt = scratch_options(scratch);
    struct shmc *h = scratch_open(&opt);
    struct ring_reader reader;
    uint8_t defs[256];
    uint32_t bytes, at = 0;
    uint16_t id;

    for (size_t i = 0; i < 4; i++)
        assert_int_equal(shmc_stream(h, names[i], &id), 0);
    reader_open(&reader, scratch->dir, shmc_name(h));
    bytes = atomic_load_explicit(&reader.producer->defs_bytes, memory_order_acquire);
    assert_true(bytes <= sizeof(defs));
    assert_int_equal(pread(reader.fd, defs, bytes, (off_t)reader.super.defs_offset), bytes);

    for (uint16_t i = 0; i < 4; i++) {
        struct shm_def def;

        memcpy(&def, defs + at, sizeof(def));
        assert_int_equal(def.bytes, (16 + strlen(names[i]) + 7) / 8 * 8);
        assert_int_equal(def.number, i + 1);
        assert_int_equal(def.type, SHM_DEF_STREAM);
        assert_int_equal(def.body_len, strlen(names[i]));
        assert_int_equal(def.stream | def.reserved0 | def.reserved1, 0);
        assert_memory_equal(defs + at + sizeof(def), names[i], def.body_len);
        for (uint32_t pad = 16 + def.body_len; pad < def.bytes; pad++)
            assert_int_equal(defs[at + pad], 0);
        at += def.bytes;
    }
    assert_int_equal(at, bytes);
    reader_close(&reader);
    assert_int_equal(shmc_close(h), 0);
}

/* Declares names of `len` characters until there is no room: how many there were. */
static unsigned int definitions_fill(struct shmc *h, int len)
{
    char name[SHM_STREAM_NAME_MAX + 1];
    unsigned int count = 0;
    uint16_t id = 0;
    int rc;

    for (;;) {
        (void)snprintf(name, sizeof(name), "%0*u", len, count);
        rc = shmc_stream(h, name, &id);
        if (rc != 0)
            break;
        count++;
        assert_int_equal(id, count);
        assert_true(count <= SHM_DEFS_MAX);
    }
    assert_int_equal(rc, -ENOSPC);
    assert_non_null(strstr(shmc_error(h), "definitions are full"));
    (void)snprintf(name, sizeof(name), "%0*u", len, 0U);
    assert_int_equal(shmc_stream(h, name, &id), 0); /* the known ones stay */
    assert_int_equal(id, 1);
    return count;
}

static void refuses_definitions_past_their_number(void **state)
{
    struct shmc_options opt = scratch_options(*state);
    struct shmc *h = scratch_open(&opt);

    assert_int_equal(definitions_fill(h, 8), SHM_DEFS_MAX);
    assert_int_equal(shmc_write(h, SHM_DEFS_MAX, SHMC_TEXT, "x", 1), 0);
    assert_int_equal(shmc_write(h, SHM_DEFS_MAX + 1, SHMC_TEXT, "x", 1), -EINVAL);
    assert_int_equal(shmc_close(h), 0);
}

static void refuses_definitions_past_their_bytes(void **state)
{
    struct shmc_options opt = scratch_options(*state);
    struct shmc *h = scratch_open(&opt);

    assert_int_equal(definitions_fill(h, SHM_STREAM_NAME_MAX), SHM_DEFS_BYTES / (16 + 64));
    assert_int_equal(shmc_close(h), 0);
}

#define CLAIM(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(gives_one_name_one_number),
        CLAIM(takes_the_names_of_the_grammar_and_no_others),
        CLAIM(lays_definitions_out_as_the_wire_says),
        CLAIM(refuses_definitions_past_their_number),
        CLAIM(refuses_definitions_past_their_bytes),
    };

    return cmocka_run_group_tests_name("schema", tests, NULL, NULL);
}
