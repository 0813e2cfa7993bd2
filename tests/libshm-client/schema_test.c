/*
 * The ring's definitions: what shmc_stream and shmc_schema declare, and how it lies in the file.
 */
#include "libshm-client/ring_reader.h"
#include "libshm-client/schema_body.h"

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

/* ---- schemas ---- */

static const struct shmc_field two[] = {
    {"id", SHMC_TYPE_I64, 0, SHMC_FROM_VALUE, 0, 8, 0, 0},
    {"note", SHMC_TYPE_STRING, SHMC_NULLABLE, SHMC_FROM_CHARS, 0, 16, 4, 0},
};

static void one_schema_of_a_stream_has_one_number(void **state)
{
    struct shmc_options opt = scratch_options(*state);
    struct shmc *h = scratch_open(&opt);
    struct shmc_field other[2];
    uint16_t a, b, id = 0, first, again;

    assert_int_equal(shmc_stream(h, "a", &a), 0);
    assert_int_equal(shmc_stream(h, "b", &b), 0);
    assert_int_equal(shmc_schema(h, a, two, 2, &first), 0);
    assert_int_equal(first, 3);
    assert_int_equal(shmc_schema(h, a, two, 2, &again), 0);
    assert_int_equal(again, first);
    assert_int_equal(shmc_schema(h, b, two, 2, &id), 0);
    assert_int_equal(id, 4);
    assert_int_equal(shmc_stream(h, "id", &id), 0);
    assert_int_equal(id, 5);

    /* Whatever changes, it is another schema; where it lies in the struct, too. */
    assert_int_equal(shmc_schema(h, a, two, 1, &id), 0);
    assert_int_equal(id, 6);
    for (uint16_t i = 0; i < 6; i++) {
        memcpy(other, two, sizeof(two));
        switch (i) {
        case 0:
            other[0].name = "ID";
            break;
        case 1:
            other[0].type = SHMC_TYPE_U64;
            break;
        case 2:
            other[1].flags = 0;
            break;
        case 3:
            other[0].offset = 0;
            break;
        case 4:
            other[1].extra = 5;
            break;
        default:
            other[0].source = SHMC_FROM_NOWHERE;
            break;
        }
        assert_int_equal(shmc_schema(h, a, other, 2, &id), 0);
        assert_int_equal(id, 7 + i);
        assert_int_equal(shmc_schema(h, a, other, 2, &id), 0);
        assert_int_equal(id, 7 + i);
    }
    assert_int_equal(shmc_schema(h, a, two, 2, &again), 0);
    assert_int_equal(again, first);
    assert_int_equal(shmc_close(h), 0);
}

static void lays_schemas_out_as_the_wire_says(void **state)
{
    struct scratch *scratch = *state;
    struct shmc_options opt = scratch_options(scratch);
    struct shmc *h = scratch_open(&opt);
    uint16_t stream = scratch_stream(h), id = 0;
    struct schema_body want;
    struct ring_reader reader;
    struct shm_def def;
    uint8_t entry[64];
    uint32_t bytes;

    schema_body_init(&want);
    schema_body_add(&want, SHM_FIELD_I64, 0, "id");
    schema_body_add(&want, SHM_FIELD_STRING, SHM_FIELD_NULLABLE, "note");
    assert_int_equal(shmc_schema(h, stream, two, 2, &id), 0);
    reader_open(&reader, scratch->dir, shmc_name(h));
    bytes = atomic_load_explicit(&reader.producer->defs_bytes, memory_order_acquire);
    assert_int_equal(bytes, 24 + (16 + want.len + 7) / 8 * 8);
    assert_int_equal(pread(reader.fd, entry, bytes - 24, (off_t)reader.super.defs_offset + 24),
                     bytes - 24);
    memcpy(&def, entry, sizeof(def));
    assert_int_equal(def.bytes, bytes - 24);
    assert_int_equal(def.number, 2);
    assert_int_equal(def.type, SHM_DEF_SCHEMA);
    assert_int_equal(def.body_len, want.len);
    assert_int_equal(def.stream, stream);
    assert_memory_equal(entry + sizeof(def), want.bytes, want.len);
    for (uint32_t pad = 16 + def.body_len; pad < def.bytes; pad++)
        assert_int_equal(entry[pad], 0);
    reader_close(&reader);
    assert_int_equal(shmc_close(h), 0);
}

static void says_which_field_of_a_schema_is_wrong(void **state)
{
    static const struct {
        struct shmc_field field;
        const char *why;
    } cases[] = {
        {{NULL, SHMC_TYPE_I64, 0, 0, 0, 0, 0, 0}, "field 1 '(null)': a name is"},
        {{"", SHMC_TYPE_I64, 0, 0, 0, 0, 0, 0}, "field 1 '': a name is"},
        {{"\xff", SHMC_TYPE_I64, 0, 0, 0, 0, 0, 0}, "a name is"},
        {{"id", SHMC_TYPE_I64, 0, 0, 0, 0, 0, 0}, "field 1 'id': another field has the same"},
        {{"x", 0, 0, 0, 0, 0, 0, 0}, "field 1 'x': no such type"},
        {{"x", SHMC_TYPE_TIMESTAMP + 1, 0, 0, 0, 0, 0, 0}, "no such type"},
        {{"x", SHMC_TYPE_I64, 2, 0, 0, 0, 0, 0}, "a flag"},
        {{"x", SHMC_TYPE_I64, 0, 0, 1, 0, 0, 0}, "a reserved word"},
        {{"x", SHMC_TYPE_I64, 0, 0, 0, 0, 0, 1}, "a reserved word"},
        {{"x", SHMC_TYPE_I64, 0, SHMC_FROM_STRING, 0, 0, 0, 0}, "a source"},
        {{"x", SHMC_TYPE_I64, 0, SHMC_FROM_POINTER, 0, 0, 0, 0}, "a source"},
        {{"x", SHMC_TYPE_I64, 0, SHMC_FROM_FLAG, 0, 0, 0, 0}, "a source"},
        {{"x", SHMC_TYPE_STRING, 1, SHMC_FROM_FLAG, 0, 0, 0, 0}, "a source"},
        {{"x", SHMC_TYPE_STRING, 0, SHMC_FROM_VALUE, 0, 0, 0, 0}, "a source"},
        {{"x", SHMC_TYPE_STRING, 0, SHMC_FROM_ARRAY, 0, 0, 0, 0}, "a source"},
        {{"x", SHMC_TYPE_BYTES, 0, SHMC_FROM_CHARS, 0, 0, 0, 0}, "a source"},
        {{"x", SHMC_TYPE_BYTES, 0, SHMC_FROM_STRING, 0, 0, 0, 0}, "a source"},
        {{"x", SHMC_TYPE_BYTES, 0, SHMC_FROM_ARRAY + 1, 0, 0, 0, 0}, "a source"},
    };
    struct shmc_options opt = scratch_options(*state);
    struct shmc *h = scratch_open(&opt);
    uint16_t stream = scratch_stream(h), id = 0, later;
    char name[SHM_FIELD_NAME_MAX + 2];
    struct shmc_field fields[2] = {two[0], two[1]};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fields[1] = cases[i].field;
        assert_int_equal(shmc_schema(h, stream, fields, 2, &id), -EINVAL);
        if (strstr(shmc_error(h), cases[i].why) == NULL)
            fail_msg("case %zu: %s", i, shmc_error(h));
    }
    memset(name, 'n', sizeof(name));
    name[SHM_FIELD_NAME_MAX + 1] = '\0';
    fields[1] = two[1];
    fields[1].name = name;
    assert_int_equal(shmc_schema(h, stream, fields, 2, &id), -EINVAL);
    assert_int_equal(shmc_schema(h, stream, two, 0, &id), -EINVAL);
    assert_int_equal(shmc_schema(h, stream, two, SHM_FIELDS_MAX + 1, &id), -EINVAL);
    assert_int_equal(shmc_schema(h, stream, NULL, 1, &id), -EINVAL);
    assert_int_equal(shmc_schema(h, stream, two, 2, NULL), -EINVAL);
    assert_int_equal(shmc_schema(h, 0, two, 2, &id), -EINVAL);
    assert_int_equal(shmc_schema(h, 2, two, 2, &id), -EINVAL);
    assert_non_null(strstr(shmc_error(h), "no number that shmc_stream has given"));

    /* None of it is in the ring. */
    name[SHM_FIELD_NAME_MAX] = '\0';
    assert_int_equal(shmc_schema(h, stream, fields, 2, &id), 0);
    assert_int_equal(id, 2);
    assert_int_equal(shmc_schema(h, id, two, 2, &later), -EINVAL);
    assert_int_equal(shmc_close(h), 0);
}

/* Schemas of as many fields as there may be, until their area is full. */
static void refuses_schemas_past_their_bytes(void **state)
{
    static char names[SHM_FIELDS_MAX][8];
    static struct shmc_field fields[SHM_FIELDS_MAX];
    struct shmc_options opt = scratch_options(*state);
    struct shmc *h = scratch_open(&opt);
    uint16_t stream = scratch_stream(h), id = 0, count = 1;
    int rc;

    for (unsigned int i = 0; i < SHM_FIELDS_MAX; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "%x", i);
        fields[i] = (struct shmc_field){names[i], SHMC_TYPE_STRING, SHMC_NULLABLE, 0, 0, 0, 0, 0};
    }
    for (;;) {
        fields[0].type = (uint8_t)(count % 9 + 1);
        fields[1].type = (uint8_t)(count / 9 + 1);
        rc = shmc_schema(h, stream, fields, SHM_FIELDS_MAX, &id);
        if (rc != 0)
            break;
        assert_int_equal(id, ++count);
    }
    assert_int_equal(rc, -ENOSPC);
    assert_int_equal(count - 1, 65536 / (16 + 4 + 16 * 5 + 240 * 6 + 768 * 7));
    assert_non_null(strstr(shmc_error(h), "definitions are full"));
    fields[0].type = 2;
    fields[1].type = 1;
    assert_int_equal(shmc_schema(h, stream, fields, SHM_FIELDS_MAX, &id), 0);
    assert_int_equal(id, 2);
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
        CLAIM(one_schema_of_a_stream_has_one_number),
        CLAIM(lays_schemas_out_as_the_wire_says),
        CLAIM(says_which_field_of_a_schema_is_wrong),
        CLAIM(refuses_schemas_past_their_bytes),
    };

    return cmocka_run_group_tests_name("schema", tests, NULL, NULL);
}
