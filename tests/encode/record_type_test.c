/*
 * record_type: one type for each definition, and definitions that are none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "encode/record_type.h"
#include "libshm-client/schema_body.h"

static struct record_types types;

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

/* Of one field: its name is the number. */
static struct record_type *get(uint8_t type, unsigned number)
{
    struct schema_body body;
    struct record_type *t;
    char name[16];

    snprintf(name, sizeof(name), "f%u", number);
    schema_body_init(&body);
    schema_body_add(&body, type, 0, name);
    assert_int_equal(record_types_get(&types, body.bytes, body.len, &t), 0);
    assert_int_equal(t->schema.count, 1);
    assert_int_equal(t->plan.count, 1);
    assert_string_equal(t->schema.columns[0].name, name);
    assert_int_equal(t->schema.columns[0].type, type);
    return t;
}

/* Of a copy: what the caller had may be gone. */
static void a_definition_is_known_by_its_bytes(void **state)
{
    struct record_type *t = get(SHM_FIELD_I64, 1);

    (void)state;
    assert_ptr_equal(get(SHM_FIELD_I64, 1), t);
    assert_int_equal(types.count, 1);
    assert_ptr_not_equal(get(SHM_FIELD_U64, 1), t);
    assert_ptr_not_equal(get(SHM_FIELD_I64, 2), t);
    assert_int_equal(types.count, 3);
    assert_ptr_equal(get(SHM_FIELD_I64, 1), t);
    /* There is a place for each of its values. */
    t->cells[0].type = CELL_I64;
}

static void no_two_types_have_one_id(void **state)
{
    uint64_t a = get(SHM_FIELD_I64, 1)->id, b = get(SHM_FIELD_I64, 2)->id;

    (void)state;
    assert_true(a != 0 && b != 0 && a != b);
    assert_true(get(SHM_FIELD_I64, 1)->id == a);
}

/* A producer could declare ever new ones: they do not pile up, and old ones come with new ids. */
static void when_there_are_too_many_all_are_forgotten(void **state)
{
    uint64_t first = get(SHM_FIELD_BOOL, 0)->id, last = first;

    (void)state;
    for (unsigned i = 1; i < RECORD_TYPES_MAX; i++) {
        uint64_t id = get(SHM_FIELD_BOOL, i)->id;

        assert_true(id > last);
        last = id;
    }
    assert_int_equal(types.count, RECORD_TYPES_MAX);
    assert_true(get(SHM_FIELD_BOOL, 0)->id == first);
    assert_true(get(SHM_FIELD_BOOL, RECORD_TYPES_MAX)->id > last);
    assert_int_equal(types.count, 1);
    assert_true(get(SHM_FIELD_BOOL, 0)->id > last + 1);
    assert_int_equal(types.count, 2);
}

static void what_is_malformed_is_no_type(void **state)
{
    struct schema_body body;
    struct record_type *t = NULL;

    (void)state;
    schema_body_init(&body);
    assert_int_equal(record_types_get(&types, body.bytes, body.len, &t), -EBADMSG);
    schema_body_add(&body, SHM_FIELD_I64, 0, "a");
    for (size_t len = 0; len < body.len; len++)
        assert_int_equal(record_types_get(&types, body.bytes, len, &t), -EBADMSG);
    schema_body_add(&body, SHM_FIELD_I64, 0, "a");
    assert_int_equal(record_types_get(&types, body.bytes, body.len, &t), -EBADMSG);
    assert_null(t);
    assert_int_equal(types.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_definition_is_known_by_its_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(no_two_types_have_one_id, setup, teardown),
        cmocka_unit_test_setup_teardown(when_there_are_too_many_all_are_forgotten, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_malformed_is_no_type, setup, teardown),
    };

    return cmocka_run_group_tests_name("record_type", tests, NULL, NULL);
}
