/*
 * Objects with members kept, dropped, replaced and added, everything else as it is written.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "encode/json_edit.h"

static int edit_bytes(struct json_edit *edit, const char *text, size_t len,
                      const struct json_addition *additions, struct bytes *out)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);
    int rc;

    assert_non_null(copy);
    memcpy(copy, text, len);
    rc = json_edit_object(edit, copy, len, additions, out);
    free(copy);
    return rc;
}

/* Names as `a,b`, NULL: none; the additions are `"name": N`, N counted from 1. */
static struct json_edit *edit_open(const char *fields, const char *drop, const char *add)
{
    const char *const lists[3] = {fields, drop, add};
    struct schema sets[3];
    struct json_edit *edit;

    for (int i = 0; i < 3; i++) {
        const char *at = lists[i];

        schema_init(&sets[i]);
        while (at && *at) {
            size_t len = strcspn(at, ",");

            assert_int_equal(schema_add(&sets[i], at, len, COLUMN_STRING), 0);
            at += len + (at[len] == ',');
        }
    }
    assert_int_equal(json_edit_open(fields ? &sets[0] : NULL, drop ? &sets[1] : NULL,
                                    add ? &sets[2] : NULL, &edit), 0);
    for (int i = 0; i < 3; i++)
        schema_fini(&sets[i]);
    return edit;
}

static const struct json_addition added[] = {
    {(const uint8_t *)"\"p\": 1", 6}, {(const uint8_t *)"\"q\": 2", 6}
};

static void expect(struct json_edit *edit, const char *text, const char *expected)
{
    struct bytes out = BYTES_INIT;

    assert_int_equal(bytes_append_str(&out, "{before"), 0);
    assert_int_equal(edit_bytes(edit, text, strlen(text), added, &out), 0);
    assert_memory_equal(out.data, "{before", 7);
    assert_string_equal(bytes_cstr(&out) + 7, expected);
    bytes_free(&out);
}

static void leaves_all_as_it_is_without_wishes(void **state)
{
    struct json_edit *edit = edit_open(NULL, NULL, NULL);

    (void)state;
    expect(edit, "{}", "{}");
    expect(edit, " { \"a\" : 1.50E0 , \"b\":\"\\u0041\\n\", \"a\":[ ] } \n",
           "{\"a\" : 1.50E0,\"b\":\"\\u0041\\n\",\"a\":[ ]}");
    json_edit_close(edit);
    json_edit_close(NULL);
}

static void keeps_fields_in_their_order(void **state)
{
    struct json_edit *edit = edit_open("c,a,d", NULL, NULL);

    (void)state;
    expect(edit, "{\"a\":123456789012345678901234567890,\"b\":2,\"c\":{\"a\":1}}",
           "{\"c\":{\"a\":1},\"a\":123456789012345678901234567890}");
    expect(edit, "{\"b\":2}", "{}");
    expect(edit, "{\"a\":1,\"\\u0061\":2,\"d\":\"\"}", "{\"\\u0061\":2,\"d\":\"\"}");
    expect(edit, "{}", "{}");
    json_edit_close(edit);

    edit = edit_open("", NULL, NULL);
    expect(edit, "{\"a\":1}", "{}");
    json_edit_close(edit);
}

static void drops_keys(void **state)
{
    struct json_edit *edit = edit_open(NULL, "a,long_name_of_a_key", NULL);

    (void)state;
    expect(edit, "{\"b\":1,\"a\":2,\"c\":3,\"\\u0061\":4,\"long_name_of_a_key\":null}",
           "{\"b\":1,\"c\":3}");
    expect(edit, "{\"a\":2}", "{}");
    json_edit_close(edit);

    edit = edit_open("b,a", "a", NULL);
    expect(edit, "{\"a\":2,\"b\":3}", "{\"b\":3}");
    json_edit_close(edit);
}

static void adds_at_the_end_or_where_the_key_stands(void **state)
{
    struct json_edit *edit = edit_open(NULL, NULL, "p,q");

    (void)state;
    expect(edit, "{}", "{\"p\": 1,\"q\": 2}");
    expect(edit, "{\"a\":1}", "{\"a\":1,\"p\": 1,\"q\": 2}");
    expect(edit, "{\"q\":\"x\",\"a\":1,\"\\u0071\":\"y\"}", "{\"q\": 2,\"a\":1,\"p\": 1}");
    json_edit_close(edit);

    /* What is dropped stands no longer. */
    edit = edit_open(NULL, "p,a", "p,q");
    expect(edit, "{\"p\":0,\"a\":0,\"b\":0}", "{\"b\":0,\"p\": 1,\"q\": 2}");
    json_edit_close(edit);

    edit = edit_open("b,q,a", NULL, "p,q");
    expect(edit, "{\"a\":0,\"p\":0,\"q\":0,\"b\":0}", "{\"b\":0,\"q\": 2,\"a\":0,\"p\": 1}");
    expect(edit, "{\"a\":0,\"p\":0}", "{\"a\":0,\"p\": 1,\"q\": 2}");
    json_edit_close(edit);

    edit = edit_open("a,q", "q,b", "p,q");
    expect(edit, "{\"q\":0,\"p\":0,\"a\":0}", "{\"a\":0,\"p\": 1,\"q\": 2}");
    json_edit_close(edit);
}

static void folds_line_ends(void **state)
{
    struct json_edit *edit = edit_open(NULL, "x", NULL);

    (void)state;
    expect(edit, "{\r\n\"a\"\n:\r1 ,\n\"b\": [\r\n\t1,\n2 ] \n}\n",
           "{\"a\" : 1,\"b\": [  \t1, 2 ]}");
    json_edit_close(edit);
}

static void an_invalid_object_gives_nothing(void **state)
{
    static const char *const texts[] = {
        "", "[]", "{\"a\":1", "{\"a\":1,\"x\":tru}", "{\"a\":\"\xff\"}", "{\"a\":1}}",
        "{\"x\":[1,]}", NULL
    };
    struct json_edit *edit = edit_open("a", NULL, NULL);
    struct bytes out = BYTES_INIT;
    size_t where;

    (void)state;
    assert_int_equal(bytes_append_str(&out, "before"), 0);
    for (size_t i = 0; texts[i] != NULL; i++) {
        assert_int_equal(edit_bytes(edit, texts[i], strlen(texts[i]), added, &out), -EBADMSG);
        assert_int_equal(out.len, 6);
        assert_non_null(json_edit_why(edit, &where));
        assert_true(where <= strlen(texts[i]));
    }
    bytes_free(&out);
    json_edit_close(edit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaves_all_as_it_is_without_wishes),
        cmocka_unit_test(keeps_fields_in_their_order),
        cmocka_unit_test(drops_keys),
        cmocka_unit_test(adds_at_the_end_or_where_the_key_stands),
        cmocka_unit_test(folds_line_ends),
        cmocka_unit_test(an_invalid_object_gives_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
