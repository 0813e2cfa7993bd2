/*
 * remote_settings: a copy stands by itself, and two are equal when every field is: a sink is made
 * anew exactly when something about it has changed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "sink/remote_settings.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define AT(field) offsetof(struct remote_settings, field)

static const size_t texts[] = {
    AT(name), AT(cloud.access_key), AT(cloud.secret_key), AT(cloud.session_token),
    AT(cloud.profile), AT(cloud.region), AT(s3.set.bucket), AT(s3.set.region),
    AT(s3.set.endpoint), AT(s3.set.storage_class), AT(s3.set.server_side_encryption),
    AT(s3.set.kms_key_id), AT(firehose.endpoint), AT(web.url), AT(web.method), AT(web.token),
};

static const struct {
    size_t at, len;
} numbers[] = {
#define NUMBER(field) {AT(field), sizeof(((struct remote_settings *)NULL)->field)}
    NUMBER(type), NUMBER(in_flight_max), NUMBER(timeout_ns), NUMBER(backoff_max_ns),
    NUMBER(cloud.region_wanted), NUMBER(cloud.env), NUMBER(cloud.env_ctx),
    NUMBER(s3.set.path_style), NUMBER(s3.set.signed_payload), NUMBER(s3.set.checksum),
    NUMBER(s3.part_bytes), NUMBER(s3.conditional), NUMBER(firehose.pack), NUMBER(web.body),
    NUMBER(web.protocol), NUMBER(web.gzip),
#undef NUMBER
};

static char words[LENGTH(texts)][16];
static const char *headers[] = {"X-One: 1", "X-Two: 2"};

/* Each text another. */
static void fill(struct remote_settings *set)
{
    memset(set, 0, sizeof(*set));
    for (size_t i = 0; i < LENGTH(texts); i++) {
        words[i][0] = 't';
        words[i][1] = (char)('a' + i);
        *(const char **)((char *)set + texts[i]) = words[i];
    }
    set->type = TARGET_HTTP;
    set->web.headers = headers;
    set->web.headers_count = LENGTH(headers);
}

static const char *text_of(const struct remote_settings *set, size_t i)
{
    return *(const char *const *)((const char *)set + texts[i]);
}

static struct remote_settings_copy *copy_of(const struct remote_settings *set, uint32_t count)
{
    struct remote_settings_copy *copy;

    assert_int_equal(remote_settings_copy(set, count, &copy), 0);
    assert_int_equal(remote_settings_count(copy), count);
    return copy;
}

static void a_copy_stands_by_itself(void **state)
{
    struct remote_settings set[2];
    struct remote_settings_copy *copy;

    (void)state;
    fill(&set[0]);
    fill(&set[1]);
    set[0].web.headers_count = 0;
    set[1].in_flight_max = 7;
    copy = copy_of(set, 2);
    for (uint32_t k = 0; k < 2; k++) {
        const struct remote_settings *got = remote_settings_get(copy, k);

        for (size_t i = 0; i < LENGTH(texts); i++) {
            assert_ptr_not_equal(text_of(got, i), words[i]);
            assert_string_equal(text_of(got, i), words[i]);
        }
        assert_int_equal(got->type, TARGET_HTTP);
    }
    assert_int_equal(remote_settings_get(copy, 0)->web.headers_count, 0);
    assert_int_equal(remote_settings_get(copy, 1)->in_flight_max, 7);
    assert_int_equal(remote_settings_get(copy, 1)->web.headers_count, 2);
    assert_ptr_not_equal(remote_settings_get(copy, 1)->web.headers[1], headers[1]);
    assert_string_equal(remote_settings_get(copy, 1)->web.headers[0], "X-One: 1");
    assert_string_equal(remote_settings_get(copy, 1)->web.headers[1], "X-Two: 2");
    remote_settings_free(copy);
    remote_settings_free(NULL);
}

static void what_is_not_there_is_empty(void **state)
{
    struct remote_settings set = {.type = TARGET_S3};
    struct remote_settings_copy *copy = copy_of(&set, 1);

    (void)state;
    for (size_t i = 0; i < LENGTH(texts); i++)
        assert_string_equal(text_of(remote_settings_get(copy, 0), i), "");
    remote_settings_free(copy);
    copy = copy_of(NULL, 0);
    remote_settings_free(copy);
}

/* Whatever it is of which `other` differs. */
static void expect_equal(const struct remote_settings *one, const struct remote_settings *other,
                         bool equal)
{
    struct remote_settings_copy *a = copy_of(one, 1), *b = copy_of(other, 1);

    assert_int_equal(remote_settings_equal(remote_settings_get(a, 0), remote_settings_get(b, 0)),
                     equal);
    assert_int_equal(remote_settings_equal(remote_settings_get(b, 0), remote_settings_get(a, 0)),
                     equal);
    remote_settings_free(a);
    remote_settings_free(b);
}

static void every_field_counts(void **state)
{
    struct remote_settings one, other;

    (void)state;
    fill(&one);
    for (size_t i = 0; i < LENGTH(texts); i++) {
        fill(&other);
        expect_equal(&one, &other, true);
        *(const char **)((char *)&other + texts[i]) = "another";
        expect_equal(&one, &other, false);
        *(const char **)((char *)&other + texts[i]) = NULL;
        expect_equal(&one, &other, false);
    }
    for (size_t i = 0; i < LENGTH(numbers); i++) {
        fill(&other);
        *((uint8_t *)&other + numbers[i].at) ^= 1;
        expect_equal(&one, &other, false);
        if (numbers[i].len == 1)
            continue;
        fill(&other);
        *((uint8_t *)&other + numbers[i].at + numbers[i].len - 1) ^= 1;
        expect_equal(&one, &other, false);
    }
}

static void headers_count_one_by_one(void **state)
{
    static const char *const lists[][2] = {
        {"X-One: 1", "X-Two: 3"}, {"X-One: 2", "X-Two: 2"}, {"X-Two: 2", "X-One: 1"},
    };
    struct remote_settings one, other;

    (void)state;
    fill(&one);
    fill(&other);
    for (size_t i = 0; i < LENGTH(lists); i++) {
        other.web.headers = lists[i];
        expect_equal(&one, &other, false);
    }
    other.web.headers = headers;
    other.web.headers_count = 1;
    expect_equal(&one, &other, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_stands_by_itself),
        cmocka_unit_test(what_is_not_there_is_empty),
        cmocka_unit_test(every_field_counts),
        cmocka_unit_test(headers_count_one_by_one),
    };

    return cmocka_run_group_tests_name("remote_settings", tests, NULL, NULL);
}
