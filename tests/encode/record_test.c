/*
 * Records as cells: what honest payloads give, and that no dishonest one gives anything.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "encode/record.h"
#include "libshm-client/schema_body.h"

/* Fixed part: id 0, user 8, blob 16, small 24, ok 28, present 29; 30 bytes. */
enum { ID, USER, OK, BLOB, SMALL, FIELDS };
enum { USER_AT = 8, BLOB_AT = 16, SMALL_AT = 24, OK_AT = 28, PRESENT_AT = 29, FIXED = 30 };

static struct schema_body body;
static struct schema schema;
static struct record_plan plan;
static struct cell cells[FIELDS];
static struct record_fault fault;
static uint8_t payload[64];

static int setup(void **state)
{
    (void)state;
    schema_body_init(&body);
    schema_body_add(&body, SHM_FIELD_I64, 0, "id");
    schema_body_add(&body, SHM_FIELD_STRING, 0, "user");
    schema_body_add(&body, SHM_FIELD_BOOL, SHM_FIELD_NULLABLE, "ok");
    schema_body_add(&body, SHM_FIELD_BYTES, SHM_FIELD_NULLABLE, "blob");
    schema_body_add(&body, SHM_FIELD_I32, 0, "small");
    return record_schema_read(body.bytes, body.len, &schema) ||
           record_plan_init(&plan, body.bytes, body.len);
}

static int teardown(void **state)
{
    (void)state;
    record_plan_fini(&plan);
    schema_fini(&schema);
    return 0;
}

static void ref_put(uint32_t at, uint32_t to, uint32_t len)
{
    struct shm_ref ref = {to, len};

    memcpy(payload + at, &ref, sizeof(ref));
}

/* id 7, user "ann", ok true, blob ff fe, small -1: 35 bytes. */
static uint32_t honest(void)
{
    int64_t id = 7;
    int32_t small = -1;

    memset(payload, 0, sizeof(payload));
    memcpy(payload, &id, sizeof(id));
    ref_put(USER_AT, 32, 3);
    ref_put(BLOB_AT, 30, 2);
    memcpy(payload + SMALL_AT, &small, sizeof(small));
    payload[OK_AT] = 1;
    payload[PRESENT_AT] = 0x1f;
    memcpy(payload + FIXED, "\xff\xfe" "ann", 5);
    return FIXED + 5;
}

/* Of a copy of exactly that length. */
static int decode(uint32_t len)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);
    int err;

    assert_non_null(copy);
    memcpy(copy, payload, len);
    fault = (struct record_fault){RECORD_GOOD, 99};
    err = record_cells(&plan, copy, len, cells, &fault);
    assert_int_equal(err, fault.what == RECORD_GOOD ? 0 : -EBADMSG);
    for (unsigned int i = 0; !err && i < FIELDS; i++)
        if (cells[i].type == CELL_STRING || cells[i].type == CELL_BYTES) {
            assert_true(cells[i].u.s >= copy + FIXED && cells[i].u.s <= copy + len);
            assert_true(cells[i].len <= (size_t)(copy + len - cells[i].u.s));
        }
    free(copy);
    return err ? (int)fault.what : 0;
}

static void a_schema_becomes_columns(void **state)
{
    static const char *const names[FIELDS] = {"id", "user", "ok", "blob", "small"};
    static const enum column_type types[FIELDS] = {COLUMN_I64, COLUMN_STRING, COLUMN_BOOL,
                                                   COLUMN_BYTES, COLUMN_I32};
    struct schema other;
    struct record_plan none;

    (void)state;
    assert_int_equal(schema.count, FIELDS);
    assert_int_equal(schema.hidden, 0);
    for (int i = 0; i < FIELDS; i++) {
        assert_string_equal(schema.columns[i].name, names[i]);
        assert_int_equal(schema.columns[i].type, types[i]);
        assert_int_equal(schema_find(&schema, names[i], strlen(names[i])), i);
    }
    assert_int_equal(plan.fixed_bytes, FIXED);
    for (size_t len = 0; len < body.len; len++) {
        assert_int_equal(record_schema_read(body.bytes, len, &other), -EBADMSG);
        assert_int_equal(other.count, 0);
        assert_int_equal(record_plan_init(&none, body.bytes, len), -EBADMSG);
        assert_null(none.steps);
    }
}

static void an_honest_record_gives_its_values(void **state)
{
    (void)state;
    /* The cells borrow, so not of a copy. */
    assert_int_equal(record_cells(&plan, payload, honest(), cells, &fault), 0);
    assert_int_equal(cells[ID].type, CELL_I64);
    assert_int_equal(cells[ID].u.i, 7);
    assert_int_equal(cells[USER].type, CELL_STRING);
    assert_int_equal(cells[USER].len, 3);
    assert_memory_equal(cells[USER].u.s, "ann", 3);
    assert_int_equal(cells[OK].type, CELL_BOOL);
    assert_int_equal(cells[OK].u.i, 1);
    assert_int_equal(cells[BLOB].type, CELL_BYTES);
    assert_memory_equal(cells[BLOB].u.s, "\xff\xfe", 2);
    assert_int_equal(cells[SMALL].type, CELL_I64);
    assert_int_equal(cells[SMALL].u.i, -1);
}

static void what_has_no_value_is_null_and_not_looked_at(void **state)
{
    uint32_t len = honest();

    (void)state;
    payload[PRESENT_AT] = 0; /* those that are not nullable have one all the same */
    payload[OK_AT] = 77;
    ref_put(BLOB_AT, UINT32_MAX, UINT32_MAX);
    ref_put(USER_AT, 30, 5);
    memcpy(payload + FIXED, "annie", 5);
    assert_int_equal(decode(len), 0);
    assert_int_equal(cells[OK].type, CELL_NULL);
    assert_int_equal(cells[BLOB].type, CELL_NULL);
    assert_int_equal(cells[USER].type, CELL_STRING);
    assert_int_equal(cells[ID].type, CELL_I64);
    payload[PRESENT_AT] = 0xff; /* bits behind the last field */
    assert_int_equal(decode(len), RECORD_BOOL);
}

static void each_length_but_the_right_one_is_a_fault(void **state)
{
    uint32_t len = honest();

    (void)state;
    for (uint32_t cut = 0; cut < FIXED; cut++)
        assert_int_equal(decode(cut), RECORD_SHORT);
    for (uint32_t cut = FIXED; cut < len; cut++)
        assert_int_equal(decode(cut), RECORD_OUTSIDE);
    assert_int_equal(decode(len), 0);
    assert_int_equal(decode(len + 1), RECORD_REST);
}

static void strings_stay_in_the_record(void **state)
{
    static const struct {
        uint32_t at, len;
        enum record_fault_what what;
    } cases[] = {
        {32, 3, RECORD_GOOD},
        {35, 0, RECORD_REST},
        {36, 0, RECORD_OUTSIDE},
        {32, 4, RECORD_OUTSIDE},
        {33, 3, RECORD_OUTSIDE},
        {29, 3, RECORD_OUTSIDE},
        {0, 3, RECORD_OUTSIDE},
        {UINT32_MAX, 3, RECORD_OUTSIDE},
        {UINT32_MAX, 4, RECORD_OUTSIDE},
        {32, UINT32_MAX, RECORD_OUTSIDE},
        {32, UINT32_MAX - 31, RECORD_OUTSIDE},
        {30, 5, RECORD_REST},           /* told twice: blob is in it */
        {32, 2, RECORD_REST},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t len = honest();

        ref_put(USER_AT, cases[i].at, cases[i].len);
        assert_int_equal(decode(len), cases[i].what);
        if (cases[i].what == RECORD_OUTSIDE)
            assert_int_equal(fault.field, USER);
    }
}

static void strings_are_utf8_and_bytes_are_anything(void **state)
{
    uint32_t len = honest();

    (void)state;
    memcpy(payload + 32, "\xc3\xb6!", 3);
    assert_int_equal(decode(len), 0);
    memcpy(payload + 32, "\xc3!!", 3);
    assert_int_equal(decode(len), RECORD_UTF8);
    assert_int_equal(fault.field, USER);
    memcpy(payload + 30, "\xe2\x82\xac!!", 5); /* valid as a whole, but not in its parts */
    assert_int_equal(decode(len), RECORD_UTF8);
}

static void a_bool_is_0_or_1(void **state)
{
    uint32_t len = honest();

    (void)state;
    for (int value = 0; value < 256; value++) {
        payload[OK_AT] = (uint8_t)value;
        assert_int_equal(decode(len), value < 2 ? RECORD_GOOD : RECORD_BOOL);
        assert_int_equal(fault.field, value < 2 ? 0 : OK);
    }
}

/* Whatever one byte is: a value as good as another, or refused. */
static void any_byte_may_be_anything(void **state)
{
    uint32_t len = honest();

    (void)state;
    for (uint32_t at = 0; at < len; at++)
        for (int value = 0; value < 256; value++) {
            honest();
            payload[at] = (uint8_t)value;
            (void)decode(len);
        }
}

static void faults_are_told_with_their_field(void **state)
{
    struct errmsg err;

    (void)state;
    fault = (struct record_fault){RECORD_UTF8, USER};
    assert_int_equal(record_fault_tell(&fault, &schema, &err), -EBADMSG);
    assert_string_equal(err.text, "record: field 'user': not UTF-8");
    fault = (struct record_fault){RECORD_BOOL, OK};
    (void)record_fault_tell(&fault, &schema, &err);
    assert_string_equal(err.text, "record: field 'ok': a bool that is neither 0 nor 1");
    fault = (struct record_fault){RECORD_SHORT, 0};
    (void)record_fault_tell(&fault, &schema, &err);
    assert_string_equal(err.text, "record: shorter than the fixed part of its schema");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_schema_becomes_columns),
        cmocka_unit_test(an_honest_record_gives_its_values),
        cmocka_unit_test(what_has_no_value_is_null_and_not_looked_at),
        cmocka_unit_test(each_length_but_the_right_one_is_a_fault),
        cmocka_unit_test(strings_stay_in_the_record),
        cmocka_unit_test(strings_are_utf8_and_bytes_are_anything),
        cmocka_unit_test(a_bool_is_0_or_1),
        cmocka_unit_test(any_byte_may_be_anything),
        cmocka_unit_test(faults_are_told_with_their_field),
    };

    return cmocka_run_group_tests_name("record", tests, setup, teardown);
}
