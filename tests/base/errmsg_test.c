/*
 * errmsg: text, prefixes, cutting.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/errmsg.h"

static void set_returns_the_error_it_was_given(void **state)
{
    struct errmsg e;

    (void)state;
    assert_int_equal(errmsg_set(&e, -EINVAL, "key %d", 5), -EINVAL);
    assert_string_equal(e.text, "key 5");
    assert_int_equal(errmsg_set_errno(&e, -ENOENT, "cannot open '%s'", "x"), -ENOENT);
    assert_string_equal(e.text, "cannot open 'x': No such file or directory");
    assert_int_equal(errmsg_set_errno(&e, -9999, "x"), -9999);
    assert_string_equal(e.text, "x: unknown error");
}

static void prefixes_stand_in_front_outermost_first(void **state)
{
    struct errmsg e;

    (void)state;
    errmsg_set(&e, -EINVAL, "no such bucket");
    errmsg_prefix(&e, "bucket '%s': ", "b");
    errmsg_prefix(&e, "sink '%s': ", "archive");
    assert_string_equal(e.text, "sink 'archive': bucket 'b': no such bucket");
}

static void nobody_who_listens_is_fine(void **state)
{
    (void)state;
    assert_int_equal(errmsg_set(NULL, -EIO, "x"), -EIO);
    assert_int_equal(errmsg_set_errno(NULL, -EIO, "x"), -EIO);
    errmsg_prefix(NULL, "x");
}

static void long_texts_are_cut_at_the_end(void **state)
{
    struct errmsg e;
    char text[2 * ERRMSG_BYTES];

    (void)state;
    memset(text, 'a', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    errmsg_set(&e, -EIO, "%s", text);
    assert_int_equal(strlen(e.text), ERRMSG_BYTES - 1);
    errmsg_prefix(&e, "front: ");
    assert_int_equal(strlen(e.text), ERRMSG_BYTES - 1);
    assert_int_equal(strncmp(e.text, "front: aaa", 10), 0);
    errmsg_prefix(&e, "%s", text);
    assert_int_equal(strlen(e.text), ERRMSG_BYTES - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_returns_the_error_it_was_given),
        cmocka_unit_test(prefixes_stand_in_front_outermost_first),
        cmocka_unit_test(nobody_who_listens_is_fine),
        cmocka_unit_test(long_texts_are_cut_at_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
