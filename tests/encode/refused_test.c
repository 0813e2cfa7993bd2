/*
 * refused: the schema is known by all of its bytes and by no others.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "encode/refused.h"
#include "libshm-client/schema_body.h"

static struct schema_body body;

static bool known(uint8_t why_type, uint8_t flags, const char *why, const char *data)
{
    schema_body_init(&body);
    schema_body_add(&body, why_type, flags, why);
    schema_body_add(&body, SHM_FIELD_BYTES, 0, data);
    return refused_schema(body.bytes, body.len);
}

static void it_is_known_by_all_of_its_bytes(void **state)
{
    (void)state;
    assert_true(known(SHM_FIELD_STRING, 0, REFUSED_FIELD_WHY, REFUSED_FIELD_DATA));
    for (size_t len = 0; len < body.len; len++)
        assert_false(refused_schema(body.bytes, len));
    for (size_t at = 0; at < body.len; at++) {
        body.bytes[at] ^= 1;
        assert_false(refused_schema(body.bytes, body.len));
        body.bytes[at] ^= 1;
    }
    assert_true(refused_schema(body.bytes, body.len));
    assert_false(refused_schema(body.bytes, body.len + 1));
}

static void another_schema_is_another(void **state)
{
    (void)state;
    assert_false(known(SHM_FIELD_BYTES, 0, REFUSED_FIELD_WHY, REFUSED_FIELD_DATA));
    assert_false(known(SHM_FIELD_STRING, SHM_FIELD_NULLABLE, REFUSED_FIELD_WHY,
                       REFUSED_FIELD_DATA));
    assert_false(known(SHM_FIELD_STRING, 0, REFUSED_FIELD_DATA, REFUSED_FIELD_WHY));
    assert_false(known(SHM_FIELD_STRING, 0, "hydrant", "hydrant:data"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_known_by_all_of_its_bytes),
        cmocka_unit_test(another_schema_is_another),
    };

    return cmocka_run_group_tests_name("refused", tests, NULL, NULL);
}
