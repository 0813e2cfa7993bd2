/*
 * projection: the columns that the records of a type are written with, what of a record stands in
 * them, and records that cannot be written so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "encode/format_file.h"
#include "libshm-client/schema_body.h"

static struct format_file file;
static struct record_types types;

static void opened(struct output_settings set)
{
    struct errmsg err = {""};

    if (ff_open(&file, set, 1, &err))
        fail_msg("%s", err.text);
}

/* The type {n: `type`, 8 bytes, s: string}. */
static struct record_type *record_type_of(enum shm_field_type type)
{
    struct schema_body body;
    struct record_type *t;

    schema_body_init(&body);
    schema_body_add(&body, (uint8_t)type, 0, "n");
    schema_body_add(&body, SHM_FIELD_STRING, 0, "s");
    assert_int_equal(record_types_get(&types, body.bytes, body.len, &t), 0);
    return t;
}

/* A record of such a type; its bytes are good until the next one. */
static struct event record(struct record_type *t, uint64_t n, const char *s)
{
    static uint8_t payload[64];
    struct shm_ref ref = {16, (uint32_t)strlen(s)};
    struct event ev = ff_event(SHM_KIND_RECORD, payload, 16 + ref.len);

    assert_true(ev.len <= sizeof(payload));
    memcpy(payload, &n, sizeof(n));
    memcpy(payload + 8, &ref, sizeof(ref));
    memcpy(payload + 16, s, ref.len);
    ev.record = t;
    return ev;
}

static int record_look(struct record_type *t, uint64_t n, const char *s)
{
    struct event ev = record(t, n, s);

    return encoding_look(file.enc, &ev, true);
}

/* The columns that records are written with, those of the partition in front and in brackets. */
static void expect_columns(const char *columns)
{
    const struct schema *s = &file.enc->record.schema;
    char text[200] = "";

    for (uint32_t i = 0; i < s->count; i++) {
        const struct column *c = &s->columns[i];
        size_t at = strlen(text);

        snprintf(text + at, sizeof(text) - at, i < s->hidden ? "(%s %s)" : " %s %s", c->name,
                 column_type_name((enum column_type)c->type));
    }
    assert_string_equal(text, columns);
}

static int setup(void **state)
{
    (void)state;
    record_types_init(&types);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    record_types_fini(&types);
    return 0;
}

static void records_are_refused_with_their_fault(void **state)
{
    struct event ev;

    (void)state;
    opened(ff_settings("json"));
    assert_int_equal(record_look(NULL, 1, "x"), -EBADMSG);
    assert_int_equal(file.enc->error, ENCODING_PROCESSING_FAILED);
    assert_string_equal(file.enc->why.text, "the record's type is not known");
    ev = record(record_type_of(SHM_FIELD_I64), 1, "x");
    ev.len--;
    assert_int_equal(encoding_look(file.enc, &ev, true), -EBADMSG);
    assert_int_equal(file.enc->error, ENCODING_PROCESSING_FAILED);
    assert_non_null(strstr(file.enc->why.text, "record: field 's'"));
    ev.len++;
    assert_int_equal(encoding_look(file.enc, &ev, true), 0);
    ff_close(&file);
}

static void records_fit_declared_columns_or_are_refused(void **state)
{
    struct output_settings set = ff_settings("parquet");
    struct record_type *i64 = record_type_of(SHM_FIELD_I64), *f64 = record_type_of(SHM_FIELD_F64);
    struct event other = ff_event(SHM_KIND_JSON, "{\"q\":1}", 7);
    const char *no_type = "field 'n' of the record has not the type of its column";

    (void)state;
    set.columns = (char *)"z bool,n i64,s string";
    opened(set);
    assert_int_equal(record_look(i64, 7, "x"), 0);
    expect_columns(" z bool n i64 s string");
    assert_int_equal(file.enc->cells[0].type, CELL_NULL);
    assert_int_equal(file.enc->cells[1].u.i, 7);
    /* Its reason is made again for each, also when another event had one between. */
    assert_int_equal(record_look(f64, 0, "x"), -EBADMSG);
    assert_string_equal(file.enc->why.text, no_type);
    assert_int_equal(encoding_look(file.enc, &other, true), -EBADMSG);
    assert_int_equal(record_look(f64, 0, "x"), -EBADMSG);
    assert_int_equal(file.enc->error, ENCODING_FORMAT_FAILED);
    assert_string_equal(file.enc->why.text, no_type);
    assert_int_equal(record_look(i64, 8, "x"), 0);
    ff_close(&file);
    set.columns = (char *)"s string";
    opened(set);
    assert_int_equal(record_look(i64, 7, "x"), -EBADMSG);
    assert_int_equal(file.enc->error, ENCODING_FORMAT_FAILED);
    assert_string_equal(file.enc->why.text, "field 'n' of the record is no column");
    ff_close(&file);
    set.drop_fields = (char *)"n";
    opened(set);
    assert_int_equal(record_look(i64, 7, "x"), 0);
    ff_close(&file);
    set.columns = (char *)"n i64,s string";
    set.drop_fields = NULL;
    set.partition_by = (char *)"s";
    opened(set);
    assert_int_equal(record_look(i64, 7, "x"), 0);
    expect_columns("(s string) n i64");
    assert_string_equal(file.enc->key.text, "s=x/");
    ff_close(&file);
}

/* No value changes by it. */
static void a_record_may_be_narrower_than_its_columns(void **state)
{
    struct output_settings set = ff_settings("csv");
    struct schema_body body;
    struct record_type *t;
    int32_t n = -3;
    struct event ev = ff_event(SHM_KIND_RECORD, &n, sizeof(n));

    (void)state;
    schema_body_init(&body);
    schema_body_add(&body, SHM_FIELD_I32, 0, "n");
    assert_int_equal(record_types_get(&types, body.bytes, body.len, &t), 0);
    ev.record = t;
    set.columns = (char *)"n f64";
    opened(set);
    assert_int_equal(encoding_look(file.enc, &ev, true), 0);
    assert_int_equal(file.enc->cells[0].type, CELL_F64);
    assert_true(file.enc->cells[0].u.f >= -3 && file.enc->cells[0].u.f <= -3);
    ff_close(&file);
    set.columns = (char *)"n i64";
    opened(set);
    assert_int_equal(encoding_look(file.enc, &ev, true), 0);
    assert_int_equal(file.enc->cells[0].u.i, -3);
    ff_close(&file);
    set.columns = (char *)"n bool";
    opened(set);
    assert_int_equal(encoding_look(file.enc, &ev, true), -EBADMSG);
    ff_close(&file);
}

static void records_lose_and_gain_fields_as_objects_do(void **state)
{
    struct output_settings set = ff_settings("json");
    struct record_type *i64 = record_type_of(SHM_FIELD_I64), *u64 = record_type_of(SHM_FIELD_U64);

    (void)state;
    set.add_fields = (char *)"h = \"y\"";
    opened(set);
    assert_int_equal(record_look(i64, 7, "x"), 0);
    expect_columns(" n i64 s string h string");
    assert_int_equal(record_look(u64, UINT64_MAX, "x"), 0);
    expect_columns(" n u64 s string h string");
    assert_true(file.enc->cells[0].u.u == UINT64_MAX);
    ff_close(&file);
    set.fields = (char *)"s,n";
    set.add_fields = (char *)"h = \"y\", n = true";
    opened(set);
    assert_int_equal(record_look(i64, 7, "x"), 0);
    expect_columns(" s string h string n bool");
    ff_close(&file);
    set.add_fields = (char *)"h = \"y\"";
    opened(set);
    assert_int_equal(record_look(i64, 7, "x"), 0);
    expect_columns(" s string n i64 h string");
    ff_close(&file);
    set.partition_by = (char *)"n,gone,h";
    opened(set);
    assert_int_equal(record_look(i64, 7, "x"), 0);
    expect_columns("(n i64)(gone string)(h string) s string");
    assert_string_equal(file.enc->key.text, "n=7/gone=__HIVE_DEFAULT_PARTITION__/h=y/");
    ff_close(&file);
    set.fields = (char *)"other";
    set.add_fields = NULL;
    opened(set);
    assert_int_equal(record_look(i64, 7, "x"), 0);  /* an empty object is one */
    ff_close(&file);
    set.format = (char *)"csv";
    opened(set);
    assert_int_equal(record_look(i64, 7, "x"), -EBADMSG);
    assert_int_equal(file.enc->error, ENCODING_FORMAT_FAILED);
    assert_string_equal(file.enc->why.text, "no field of the record is left to be written");
    ff_close(&file);
}

/* What makes rows out of the records themselves, with no cells between. */
static void cells_are_made_only_where_a_field_does_not_stand_as_it_is(void **state)
{
    static const struct {
        const char *format, *columns, *drop, *add, *partition_by;
        bool same, direct;
    } cases[] = {
        {"json", "", "", "", "", true, true},
        {"csv", "", "", "", "", true, true},
        {"parquet", "", "", "", "", true, true},
        {"json", "", "n", "", "", false, true},
        {"csv", "", "n", "", "", false, false},         /* one column: its row may be empty */
        {"parquet", "", "n", "", "", false, false},
        {"csv", "s string,n i64", "", "", "", false, true},
        {"csv", "n f64,s string", "n", "", "", false, false},
        {"parquet", "n i64,s string", "", "", "", true, false},
        {"json", "", "", "h = 1", "", false, false},
        {"json", "", "", "", "s", false, false},
    };
    struct record_type *t = record_type_of(SHM_FIELD_I64);

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct output_settings set = ff_settings(cases[i].format);

        set.columns = (char *)cases[i].columns;
        set.drop_fields = (char *)cases[i].drop;
        set.add_fields = (char *)cases[i].add;
        set.partition_by = (char *)cases[i].partition_by;
        opened(set);
        if (record_look(t, 7, "x"))
            fail_msg("case %zu: %s", i, file.enc->why.text);
        if (file.enc->record.same != cases[i].same || file.enc->record.direct != cases[i].direct)
            fail_msg("case %zu: same %d, direct %d", i, file.enc->record.same,
                     file.enc->record.direct);
        ff_close(&file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_refused_with_their_fault),
        cmocka_unit_test(records_fit_declared_columns_or_are_refused),
        cmocka_unit_test(a_record_may_be_narrower_than_its_columns),
        cmocka_unit_test(records_lose_and_gain_fields_as_objects_do),
        cmocka_unit_test(cells_are_made_only_where_a_field_does_not_stand_as_it_is),
    };

    return cmocka_run_group_tests_name("projection", tests, setup, teardown);
}
