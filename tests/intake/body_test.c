/*
 * body: what bodies of requests are cut into, and what is said of those that cannot be.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "intake/body_text.h"

enum { EVENT_MAX = 40 };

struct made {
    int rc;
    struct errmsg err;
    struct bytes text;
};

static struct made cut(enum body_form form, const char *body)
{
    struct json_checker *checker = json_checker_open(EVENT_MAX);
    struct made m = {.text = BYTES_INIT};

    assert_non_null(checker);
    m.rc = body_events(form, checker, EVENT_MAX, (const uint8_t *)body, strlen(body), &m.err,
                       body_text_event, &m.text);
    json_checker_close(checker);
    return m;
}

static void gives(enum body_form form, const char *body, const char *events)
{
    struct made m = cut(form, body);

    if (m.rc != 0)
        fail_msg("%s: %d: %s", body, m.rc, m.err.text);
    assert_string_equal(bytes_cstr(&m.text), events);
    bytes_free(&m.text);
}

static void fails(enum body_form form, const char *body, int rc, const char *why)
{
    struct made m = cut(form, body);

    assert_int_equal(m.rc, rc);
    if (strstr(m.err.text, why) == NULL)
        fail_msg("%s: no \"%s\" in: %s", body, why, m.err.text);
    bytes_free(&m.text);
}

static void json_is_an_object_or_an_array_or_an_object_a_line(void **state)
{
    (void)state;
    gives(BODY_JSON, "{\"a\":1}", "j7:{\"a\":1} ");
    gives(BODY_JSON, " {\n \"a\": 1\n}\r\n", "j11:{\n \"a\": 1\n} ");
    gives(BODY_JSON, "{}\n{\"b\":\"\\n\"}\r\n\n  \n{}", "j2:{} j10:{\"b\":\"\\n\"} j2:{} ");
    gives(BODY_JSON, "[]", "");
    gives(BODY_JSON, " [ ] ", "");
    gives(BODY_JSON, "[{\"a\":[1,2]} , {\"b\":\"],[\\\"\"},{}]\n",
          "j11:{\"a\":[1,2]} j13:{\"b\":\"],[\\\"\"} j2:{} ");
}

static void mistakes_in_json_are_told_with_their_place(void **state)
{
    (void)state;
    fails(BODY_JSON, "", -EBADMSG, "the body is empty");
    fails(BODY_JSON, " \n ", -EBADMSG, "the body is empty");
    fails(BODY_JSON, "{}\nx\n", -EBADMSG, "line 2, at byte 4: not a JSON object");
    fails(BODY_JSON, "{\"a\":}", -EBADMSG, "line 1, at byte 1: not a JSON object");
    fails(BODY_JSON, "{} {}", -EBADMSG, "line 1, at byte 1");
    fails(BODY_JSON, "7", -EBADMSG, "line 1, at byte 1");
    fails(BODY_JSON, "[{}, 7]", -EBADMSG, "element 2, at byte 6: not a JSON object");
    fails(BODY_JSON, "[{},]", -EBADMSG, "element 2, at byte 5");
    fails(BODY_JSON, "[,{}]", -EBADMSG, "element 1, at byte 2");
    fails(BODY_JSON, "[[{}]]", -EBADMSG, "element 1, at byte 2");
    fails(BODY_JSON, "[{\"a\":[}]]", -EBADMSG, "element 1, at byte 2");
    fails(BODY_JSON, "[{}", -EBADMSG, "the array does not end");
    fails(BODY_JSON, "[{}}", -EBADMSG, "element 1, at byte 2");
    fails(BODY_JSON, "[{}] x", -EBADMSG, "there is more behind the array");
    fails(BODY_JSON, "[] []", -EBADMSG, "there is more behind the array");
    fails(BODY_JSON, "[", -EBADMSG, "element 1, at byte 2");
}

static void lines_are_of_the_kind_that_they_are(void **state)
{
    (void)state;
    gives(BODY_LINES, "", "");
    gives(BODY_LINES, "\n\r\n", "");
    gives(BODY_LINES, "{}\nplain\r\n[1]\n \xff\n{]", "j2:{} t5:plain t3:[1] b2: \xff t2:{] ");
    gives(BODY_LINES, "a\r", "t2:a\r ");    /* no line's end */
}

static void whole_is_verbatim(void **state)
{
    (void)state;
    gives(BODY_WHOLE, "a\nb\n", "t4:a\nb\n ");
    gives(BODY_WHOLE, "", "t0: ");
    gives(BODY_WHOLE, "{}\n", "j3:{}\n ");
}

static void nothing_is_larger_than_an_event(void **state)
{
    const char *why = "41 bytes, an event may have 40";

    (void)state;
    gives(BODY_LINES, "0123456789012345678901234567890123456789\n",
          "t40:0123456789012345678901234567890123456789 ");
    fails(BODY_LINES, "\n01234567890123456789012345678901234567890", -EMSGSIZE, why);
    fails(BODY_WHOLE, "01234567890123456789012345678901234567890", -EMSGSIZE, why);
    fails(BODY_JSON, "{\"k\":\"012345678901234567890123456789012\"}", -EMSGSIZE, why);
    fails(BODY_JSON, "[{},{\"k\":\"0123456789012345678901234567890123\"}]", -EMSGSIZE, "element 2");
}

static int refuse(void *ctx, enum shm_kind kind, const uint8_t *data, size_t len)
{
    unsigned *left = ctx;

    (void)kind;
    (void)data;
    (void)len;
    return (*left)-- > 0 ? 0 : -EAGAIN;
}

static void who_takes_them_can_end_it(void **state)
{
    static const char *const bodies[] = {"[{},{},{}]", "{}\n{}\n{}"};
    struct json_checker *checker = json_checker_open(EVENT_MAX);
    struct errmsg err;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        unsigned left = 1;

        assert_int_equal(body_events(BODY_JSON, checker, EVENT_MAX, (const uint8_t *)bodies[i],
                                     strlen(bodies[i]), &err, refuse, &left), -EAGAIN);
        assert_int_equal(left, UINT32_MAX);
    }
    json_checker_close(checker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_is_an_object_or_an_array_or_an_object_a_line),
        cmocka_unit_test(mistakes_in_json_are_told_with_their_place),
        cmocka_unit_test(lines_are_of_the_kind_that_they_are),
        cmocka_unit_test(whole_is_verbatim),
        cmocka_unit_test(nothing_is_larger_than_an_event),
        cmocka_unit_test(who_takes_them_can_end_it),
    };

    return cmocka_run_group_tests_name("body", tests, NULL, NULL);
}
