/*
 * firehose_body: what puts bring, which base64 is taken, and the service's limits.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "intake/firehose_body.h"
#include "sink/records.h"

static struct firehose_reader r;
static struct errmsg err;

static int setup(void **state)
{
    (void)state;
    return firehose_reader_init(&r);
}

static int teardown(void **state)
{
    (void)state;
    firehose_reader_fini(&r);
    return 0;
}

/* All records as text, each with a bar behind it; or what went wrong. */
static int read_all(bool batch, const char *body, size_t len, struct bytes *text)
{
    const uint8_t *data;
    size_t data_len;
    int rc = firehose_reader_begin(&r, batch, (const uint8_t *)body, len, &err);

    bytes_clear(text);
    while (rc == 0 && (rc = firehose_reader_next(&r, &data, &data_len, &err)) > 0) {
        assert_int_equal(bytes_append(text, data, data_len), 0);
        rc = bytes_append_char(text, '|');
    }
    return rc;
}

static void gives(bool batch, const char *body, const char *stream, const char *records)
{
    struct bytes text = BYTES_INIT;

    if (read_all(batch, body, strlen(body), &text) != 0)
        fail_msg("%s: %s", body, err.text);
    assert_string_equal(r.stream, stream);
    assert_string_equal(bytes_cstr(&text), records);
    bytes_free(&text);
}

static void fails(bool batch, const char *body, int rc, const char *why)
{
    struct bytes text = BYTES_INIT;

    assert_int_equal(read_all(batch, body, strlen(body), &text), rc);
    if (strstr(err.text, why) == NULL)
        fail_msg("%s: no \"%s\" in: %s", body, why, err.text);
    bytes_free(&text);
}

static void puts_give_their_records_in_order(void **state)
{
    (void)state;
    gives(false, "{\"DeliveryStreamName\":\"a.b\",\"Record\":{\"Data\":\"aGVsbG8=\"}}", "a.b",
          "hello|");
    gives(false, " { \"Record\" : { \"More\": [], \"Data\" : \"\" } , \"x\": {\"Data\": 1},"
          " \"DeliveryStreamName\" : \"\\u0061\" } ", "a", "|");
    gives(true, "{\"Records\":[{\"Data\":\"YQ==\"},{\"Data\":\"YmM=\"} , {\"Data\":\"ZGVm\"}],"
          "\"DeliveryStreamName\":\"s\"}", "s", "a|bc|def|");
    gives(false, "{\"DeliveryStreamName\":\"s\",\"Record\":{\"Data\":\"Pz8\\/\"}}", "s", "?""??|");
}

static void mistakes_are_told(void **state)
{
    (void)state;
    fails(false, "", -EBADMSG, "the body is not a JSON object");
    fails(false, "[]", -EBADMSG, "the body is not a JSON object");
    fails(false, "{\"DeliveryStreamName\":\"s\",\"Record\":{\"Data\":\"YQ==\"}", -EBADMSG, "body");
    fails(false, "{\"Record\":{\"Data\":\"YQ==\"}}", -EINVAL, "DeliveryStreamName is missing");
    fails(false, "{\"DeliveryStreamName\":\"s\"}", -EINVAL, "Record is missing");
    fails(true, "{\"DeliveryStreamName\":\"s\",\"Record\":{}}", -EINVAL, "Records is missing");
    fails(false, "{\"DeliveryStreamName\":\"-\",\"Record\":{}}", -EINVAL, "DeliveryStreamName: 1");
    fails(false, "{\"DeliveryStreamName\":7,\"Record\":{}}", -EBADMSG, "not a string");
    fails(false, "{\"DeliveryStreamName\":\"s\",\"Record\":{}}", -EINVAL, "Data is missing");
    fails(false, "{\"DeliveryStreamName\":\"s\",\"Record\":\"x\"}", -EBADMSG, "a record is not");
    fails(false, "{\"DeliveryStreamName\":\"s\",\"Record\":{\"Data\":null}}", -EBADMSG, "Data is");
    fails(true, "{\"DeliveryStreamName\":\"s\",\"Records\":[]}", -EINVAL, "Records is empty");
    fails(true, "{\"DeliveryStreamName\":\"s\",\"Records\":{}}", -EBADMSG, "Records: not an array");
    fails(true, "{\"DeliveryStreamName\":\"s\",\"Records\":[{\"Data\":\"\"},7]}", -EBADMSG,
          "record 2: a record is not a JSON object");
    fails(true, "{\"DeliveryStreamName\":\"s\",\"Records\":[{\"Data\":\"\"},{\"Data\":\"=\"}]}",
          -EBADMSG, "record 2: Data is not base64");
}

static void base64_is_strict_and_each_run_of_bytes_has_one_text(void **state)
{
    static const char *const bad[] = {"A", "AA", "AAA", "AA=A", "A===", "====", "=", "AAA ",
                                      "AA-A", "AA_A", "AAA\n", "AB==", "AAB=", "AA==AAAA"};
    uint8_t data[256], out[264];
    struct bytes text = BYTES_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(firehose_base64((const uint8_t *)bad[i], strlen(bad[i]), out), -1);
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 37 + 11);
    for (size_t len = 0; len <= sizeof(data); len++) {
        bytes_clear(&text);
        assert_int_equal(records_put_base64(&text, data, len), 0);
        assert_int_equal(firehose_base64(text.data, text.len, out), len);
        assert_memory_equal(out, data, len);
    }
    bytes_free(&text);
}

/* So many records of so many bytes each. */
static char *batch_of(size_t records, size_t bytes, size_t *ret_len)
{
    struct bytes text = BYTES_INIT;
    uint8_t *data = calloc(1, bytes);

    assert_non_null(data);
    assert_int_equal(bytes_append_str(&text, "{\"DeliveryStreamName\":\"s\",\"Records\":["), 0);
    for (size_t i = 0; i < records; i++) {
        assert_int_equal(bytes_append_str(&text, i > 0 ? ",{\"Data\":\"" : "{\"Data\":\""), 0);
        assert_int_equal(records_put_base64(&text, data, bytes), 0);
        assert_int_equal(bytes_append_str(&text, "\"}"), 0);
    }
    assert_int_equal(bytes_append_str(&text, "]}"), 0);
    *ret_len = text.len;
    free(data);
    return bytes_take_cstr(&text);
}

static void limits_are_those_of_the_service(void **state)
{
    static const struct {
        size_t records, bytes;
        const char *why;
    } rows[] = {
        {500, 1, NULL},
        {501, 1, "more than 500 records"},
        {4, 1024000, NULL},
        {1, 1024001, "record 1: 1024001 bytes of data, a record may have 1024000"},
        {8, 524288, NULL},
        {9, 524288, "record 9: the records have more than 4194304 bytes"},
    };
    struct bytes text = BYTES_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t len;
        char *body = batch_of(rows[i].records, rows[i].bytes, &len);
        int rc = read_all(true, body, len, &text);

        assert_int_equal(rc, rows[i].why == NULL ? 0 : -EINVAL);
        if (rows[i].why != NULL)
            assert_non_null(strstr(err.text, rows[i].why));
        else
            assert_int_equal(text.len, rows[i].records * (rows[i].bytes + 1));
        free(body);
    }
    bytes_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(puts_give_their_records_in_order),
        cmocka_unit_test(mistakes_are_told),
        cmocka_unit_test(base64_is_strict_and_each_run_of_bytes_has_one_text),
        cmocka_unit_test(limits_are_those_of_the_service),
    };

    return cmocka_run_group_tests_name("firehose_body", tests, setup, teardown);
}
