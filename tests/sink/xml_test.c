/*
 * Claims about reading XML: what is asked for is found, wherever it stands, and everything that a
 * hostile document may try is an error.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sink/xml.h"

static char a[8], b[8];

static int read_two(const char *text)
{
    struct xml_field fields[] = {{.path = "R/A", .ret = a, .cap = sizeof(a)},
                                 {.path = "R/B/C", .ret = b, .cap = sizeof(b), .cut = true}};
    char *own = strdup(text);       /* so that a sanitizer sees its end */
    size_t len = strlen(text);
    int res;

    assert_non_null(own);
    own = realloc(own, len > 0 ? len : 1);
    assert_non_null(own);
    res = xml_read(own, len, fields, 2, NULL, NULL, NULL);
    free(own);
    return res;
}

static void fields_are_found_by_their_path(void **state)
{
    (void)state;
    assert_int_equal(read_two("<R><A>1&amp;2</A><B><C>x</C></B></R>"), 0);
    assert_string_equal(a, "1&2");
    assert_string_equal(b, "x");
    assert_int_equal(read_two(" \r\n\t<?xml version='1.0' encoding=\"UTF-8\"?>\n"
                              "<R xmlns='http://s3/'>\n <X><A>no</A></X><A><![CDATA[<]]>\xc3\xa4"
                              "</A><!-- <A>no</A> --></R>\n"), 0);
    assert_string_equal(a, "<\xc3\xa4");
    assert_string_equal(b, "");
    assert_int_equal(read_two("<ns:R xmlns:ns='u'><ns:A>1<D>2</D>3</ns:A></ns:R>"), 0);
    assert_string_equal(a, "1");
    assert_int_equal(read_two("<A>1</A>"), 0);
    assert_string_equal(a, "");
    assert_int_equal(read_two("<R><A>1</A><A/></R>"), 0);
    assert_string_equal(a, "");
}

static void what_is_too_long_is_refused_or_cut_as_asked(void **state)
{
    (void)state;
    assert_int_equal(read_two("<R><A>1234567</A><B><C>123456789</C></B></R>"), 0);
    assert_string_equal(a, "1234567");
    assert_string_equal(b, "1234567");
    assert_int_equal(read_two("<R><A>12345678</A></R>"), -EBADMSG);
    assert_int_equal(read_two("<R><A>1234&#50;&#51;&#52;&#53;</A></R>"), -EBADMSG);
}

static void what_is_no_whole_document_is_refused(void **state)
{
    static const char whole[] = "<?xml version='1.0'?><R><A>1</A><B><C>x</C></B></R>";
    static const char *const bad[] = {
        "", "  ", "text", "{\"a\": 1}", "<R>", "<R></S>", "<R><A>&nosuch;</A></R>",
        "<R/><R/>", "<R><A>\xff</A></R>", "<R a='1' a='2'/>",
    };
    char cut[sizeof(whole)];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(read_two(bad[i]), -EBADMSG);
    for (size_t len = 0; len + 1 < sizeof(whole); len++) {
        (void)snprintf(cut, sizeof(cut), "%.*s", (int)len, whole);
        assert_int_equal(read_two(cut), -EBADMSG);
    }
    assert_int_equal(read_two(whole), 0);
}

static void a_document_type_is_refused(void **state)
{
    (void)state;
    assert_int_equal(read_two("<!DOCTYPE R><R><A>1</A></R>"), -EBADMSG);
    assert_int_equal(read_two("<!DOCTYPE R [<!ENTITY x 'y'><!ENTITY z '&x;&x;&x;&x;'>]>"
                              "<R><A>&z;</A></R>"), -EBADMSG);
    assert_int_equal(read_two("<!DOCTYPE R [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>"
                              "<R><A>&x;</A></R>"), -EBADMSG);
}

static void depth_is_bounded(void **state)
{
    char deep[16 * XML_PATH_BYTES] = "";

    (void)state;
    for (int i = 0; i < XML_PATH_BYTES; i++)
        (void)snprintf(deep + strlen(deep), sizeof(deep) - strlen(deep), "<d>");
    for (int i = 0; i < XML_PATH_BYTES; i++)
        (void)snprintf(deep + strlen(deep), sizeof(deep) - strlen(deep), "</d>");
    assert_int_equal(read_two(deep), -EBADMSG);
    assert_int_equal(read_two("<R><d><d><d><d><d><d><d><d></d></d></d></d></d></d></d></d></R>"),
                     0);
}

struct seen {
    char text[128];
    int stop_at, count;
};

static int on_item(void *ctx)
{
    struct seen *seen = (struct seen *)ctx;
    size_t len = strlen(seen->text);

    (void)snprintf(seen->text + len, sizeof(seen->text) - len, "%s=%s;", a, b);
    return ++seen->count == seen->stop_at ? -ECANCELED : 0;
}

static void items_come_one_by_one_and_each_begins_empty(void **state)
{
    static const char text[] = "<L><I><A>1</A><B>x</B></I><I><B>y</B></I><O><A>no</A></O>"
                               "<I><A>3</A></I></L>";
    struct xml_field fields[] = {{.path = "L/I/A", .ret = a, .cap = sizeof(a)},
                                 {.path = "L/I/B", .ret = b, .cap = sizeof(b)}};
    struct seen seen = {.stop_at = 0};

    (void)state;
    assert_int_equal(xml_read(text, strlen(text), fields, 2, "L/I", on_item, &seen), 0);
    assert_string_equal(seen.text, "1=x;=y;3=;");
    seen = (struct seen){.stop_at = 2};
    assert_int_equal(xml_read(text, strlen(text), fields, 2, "L/I", on_item, &seen), -ECANCELED);
    assert_string_equal(seen.text, "1=x;=y;");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_found_by_their_path),
        cmocka_unit_test(what_is_too_long_is_refused_or_cut_as_asked),
        cmocka_unit_test(what_is_no_whole_document_is_refused),
        cmocka_unit_test(a_document_type_is_refused),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(items_come_one_by_one_and_each_begins_empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
