/*
 * json_edit_fuzz: whatever is kept, dropped and added, an object becomes one line that is an object
 * again, and the one that an independent parser makes of the same wishes.
 *
 * Input: a byte that picks the wishes, then the text.
 */
#include "base/invariant.h"
#include "encode/json_check.h"
#include "encode/json_edit.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

enum { FUZZ_BYTES_MAX = 1 << 16, WISH_FIELDS = 1, WISH_DROP = 2, WISH_ADD = 4, WISHES = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct json_addition additions[] = {{(const uint8_t *)"\"a\": 1", 6},
                                                 {(const uint8_t *)"\"new\": {}", 9}};
static struct schema fields, drop, add;

static void names_make(void)
{
    INVARIANT(schema_parse("c i64, a i64, name_of_a_field i64", &fields, NULL) == 0);
    INVARIANT(schema_parse("b i64, c i64", &drop, NULL) == 0);
    INVARIANT(schema_parse("a i64, new i64", &add, NULL) == 0);
}

/* The same by jansson; of equal keys it too takes the last. */
static void wishes_apply(json_t *object, unsigned int wishes)
{
    const char *key;
    json_t *value;
    void *next;

    json_object_foreach_safe(object, next, key, value)
        if ((wishes & WISH_FIELDS && schema_find(&fields, key, strlen(key)) < 0) ||
            (wishes & WISH_DROP && schema_find(&drop, key, strlen(key)) >= 0))
            (void)json_object_del(object, key);
    if (wishes & WISH_ADD) {
        INVARIANT(json_object_set_new(object, "a", json_integer(1)) == 0);
        INVARIANT(json_object_set_new(object, "new", json_object()) == 0);
    }
}

static void check_same(const uint8_t *data, size_t len, unsigned int wishes,
                       const struct bytes *out)
{
    json_t *expected = json_loadb((const char *)data, len, 0, NULL), *found;

    if (!expected)
        return;
    wishes_apply(expected, wishes);
    found = json_loadb((const char *)out->data, out->len, 0, NULL);
    INVARIANT(found && json_equal(expected, found));
    json_decref(expected);
    json_decref(found);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct json_checker *checker;
    struct bytes out = BYTES_INIT;
    struct json_edit *edit;
    unsigned int wishes;
    bool object;
    int rc;

    if (!checker) {
        names_make();
        checker = json_checker_open(2 * FUZZ_BYTES_MAX);
        INVARIANT(checker != NULL);
    }
    if (len < 1 || len > FUZZ_BYTES_MAX)
        return 0;
    wishes = *data++ % WISHES;
    len--;
    INVARIANT(json_edit_open(wishes & WISH_FIELDS ? &fields : NULL,
                             wishes & WISH_DROP ? &drop : NULL, wishes & WISH_ADD ? &add : NULL,
                             &edit) == 0);
    object = json_classify(checker, (const char *)data, len) == JSON_CLASS_OBJECT;
    rc = json_edit_object(edit, data, len, additions, &out);
    INVARIANT(rc == (object ? 0 : -EBADMSG));
    if (rc == 0) {
        INVARIANT(json_classify(checker, (char *)out.data, out.len) == JSON_CLASS_OBJECT);
        INVARIANT(!memchr(out.data, '\n', out.len) && !memchr(out.data, '\r', out.len));
        check_same(data, len, wishes, &out);
    }
    json_edit_close(edit);
    bytes_free(&out);
    return 0;
}
