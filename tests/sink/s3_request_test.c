/*
 * Claims about requests to S3: where they go, what they carry, how objects are cut.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "sink/s3_request.h"
#include "sink/xml.h"

static const struct s3_settings plain = {
    .bucket = "events", .region = "eu-west-1", .endpoint = "", .storage_class = "",
    .server_side_encryption = "", .kms_key_id = "", .checksum = true};

static struct s3_bucket bucket;
static struct request r;
static struct errmsg err;

/* "host url" of a key in a bucket of these settings, or what is wrong. */
static const char *place(struct s3_settings set)
{
    static char text[2 * S3_URL_BYTES];

    if (s3_bucket_init(&bucket, &set, &err) != 0)
        return err.text;
    assert_int_equal(s3_head(&bucket, "k", &r, NULL), 0);
    assert_string_equal(r.method, "HEAD");
    (void)snprintf(text, sizeof(text), "%s %s", request_header_find(&r, "host"), r.url);
    return text;
}

static const char *place_of(const char *name, const char *region, const char *endpoint,
                            enum s3_choice style)
{
    struct s3_settings set = plain;

    set.bucket = name;
    set.region = region;
    set.endpoint = endpoint;
    set.path_style = style;
    return place(set);
}

static void requests_go_where_the_settings_say(void **state)
{
    (void)state;
    assert_string_equal(place_of("events", "eu-west-1", "", S3_AUTO),
                        "events.s3.eu-west-1.amazonaws.com "
                        "https://events.s3.eu-west-1.amazonaws.com/k");
    assert_string_equal(place_of("events", "cn-north-1", "", S3_AUTO),
                        "events.s3.cn-north-1.amazonaws.com.cn "
                        "https://events.s3.cn-north-1.amazonaws.com.cn/k");
    assert_string_equal(place_of("my.events", "eu-west-1", "", S3_AUTO),
                        "s3.eu-west-1.amazonaws.com "
                        "https://s3.eu-west-1.amazonaws.com/my.events/k");
    assert_string_equal(place_of("events", "", "http://127.0.0.1:9000/", S3_AUTO),
                        "127.0.0.1:9000 http://127.0.0.1:9000/events/k");
    assert_string_equal(bucket.region, "us-east-1");
    assert_string_equal(place_of("events", "", "http://[::1]:9000", S3_YES),
                        "[::1]:9000 http://[::1]:9000/events/k");
    assert_string_equal(place_of("events", "r", "https://s3.example.org:443/base/v1//", S3_NO),
                        "events.s3.example.org https://events.s3.example.org/base/v1/k");
    assert_string_equal(place_of("events", "r", "http://h:80/base", S3_AUTO),
                        "h http://h/base/events/k");
    assert_string_equal(place_of("events", "r", "http://h:443", S3_AUTO),
                        "h:443 http://h:443/events/k");
}

static void payloads_are_signed_where_there_is_no_tls(void **state)
{
    static const struct {
        const char *endpoint;
        enum s3_choice choice;
        bool expected;
    } cases[] = {
        {"", S3_AUTO, false}, {"https://h", S3_AUTO, false}, {"http://h", S3_AUTO, true},
        {"", S3_YES, true}, {"http://h", S3_NO, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct s3_settings set = plain;

        set.endpoint = cases[i].endpoint;
        set.signed_payload = cases[i].choice;
        assert_int_equal(s3_bucket_init(&bucket, &set, &err), 0);
        assert_int_equal(bucket.signed_payload, cases[i].expected);
    }
}

static void settings_that_cannot_work_are_named(void **state)
{
    static const struct {
        const char *name, *region, *endpoint, *says;
    } bad[] = {
        {"", "r", "", "no bucket"},
        {"a/b", "r", "", "bucket 'a/b'"},
        {"..", "r", "", "bucket '..'"},
        {"b", "", "", "no region"},
        {"b", "eu west", "", "region 'eu west'"},
        {"b", "r/../x", "http://h", "region 'r/../x'"},
        {"b", "r", "h:9000", "neither http:// nor https://"},
        {"b", "r", "http://", "endpoint 'http://'"},
        {"b", "r", "http://:80", "endpoint"},
        {"b", "r", "http://user:secret@h", "endpoint"},
        {"b", "r", "http://h/?x=1", "a path may hold"},
        {"b", "r", "http://h\r\nX: 1", "endpoint"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        err.text[0] = '\0';
        if (strstr(place_of(bad[i].name, bad[i].region, bad[i].endpoint, S3_AUTO), bad[i].says)
            == NULL || err.text[0] == '\0')
            fail_msg("%zu: %s", i, err.text);
    }
}

static const struct s3_object object = {
    .key = "p/s/a b+\xc3\xa4/../x=1/%41", .content_type = "application/json", .batch = "1-000-2",
    .first_lsn = 4096, .last_lsn = 18446744073709551615u, .events = 17, .bytes = 9,
    .crc32c = 0xe3069283};

static void header_is(const char *name, const char *value)
{
    const char *found = request_header_find(&r, name);

    if (value == NULL)
        assert_null(found);
    else if (found == NULL || strcmp(found, value) != 0)
        fail_msg("%s: %s, not %s", name, found != NULL ? found : "(none)", value);
}

static void metadata_is_there(void)
{
    header_is("content-type", "application/json");
    header_is("x-amz-meta-hydrant-batch", "1-000-2");
    header_is("x-amz-meta-hydrant-first", "4096");
    header_is("x-amz-meta-hydrant-last", "18446744073709551615");
    header_is("x-amz-meta-hydrant-events", "17");
    header_is("x-amz-meta-hydrant-bytes", "9");
    header_is("x-amz-meta-hydrant-crc32c", "e3069283");
}

static void an_object_says_whose_it_is(void **state)
{
    struct s3_settings set = plain;

    (void)state;
    assert_int_equal(crc32c(0, "123456789", 9), object.crc32c);
    assert_int_equal(s3_bucket_init(&bucket, &set, &err), 0);
    assert_int_equal(s3_put(&bucket, &object, true, &r, &err), 0);
    assert_string_equal(r.method, "PUT");
    assert_string_equal(r.url, "https://events.s3.eu-west-1.amazonaws.com/p/s/a%20b%2B%C3%A4/../"
                               "x%3D1/%2541");
    metadata_is_there();
    header_is("x-amz-checksum-crc32c", "4waSgw==");
    header_is("if-none-match", "*");
    header_is("x-amz-storage-class", NULL);
    header_is("x-amz-server-side-encryption", NULL);

    set.checksum = false;
    set.storage_class = "STANDARD_IA";
    set.server_side_encryption = "aws:kms";
    set.kms_key_id = "arn:aws:kms:eu-west-1:1:key/2";
    assert_int_equal(s3_bucket_init(&bucket, &set, &err), 0);
    assert_int_equal(s3_put(&bucket, &object, false, &r, &err), 0);
    header_is("x-amz-checksum-crc32c", NULL);
    header_is("if-none-match", NULL);
    header_is("x-amz-storage-class", "STANDARD_IA");
    header_is("x-amz-server-side-encryption", "aws:kms");
    header_is("x-amz-server-side-encryption-aws-kms-key-id", "arn:aws:kms:eu-west-1:1:key/2");
}

static void an_upload_in_parts_says_each_thing_where_it_belongs(void **state)
{
    struct s3_settings set = plain;

    (void)state;
    set.endpoint = "http://h";
    assert_int_equal(s3_bucket_init(&bucket, &set, &err), 0);
    assert_int_equal(s3_create_upload(&bucket, &object, &r, &err), 0);
    assert_string_equal(r.method, "POST");
    assert_string_equal(strchr(r.url, '?'), "?uploads");
    metadata_is_there();
    header_is("x-amz-checksum-algorithm", "CRC32C");
    header_is("x-amz-checksum-crc32c", NULL);
    header_is("if-none-match", NULL);

    assert_int_equal(s3_upload_part(&bucket, "k", "2~a/b+c&d", 10000, 1, &r, &err), 0);
    assert_string_equal(r.method, "PUT");
    assert_string_equal(r.url, "http://h/events/k?partNumber=10000&uploadId=2~a%2Fb%2Bc%26d");
    header_is("x-amz-checksum-crc32c", "AAAAAQ==");
    header_is("x-amz-meta-hydrant-batch", NULL);

    assert_int_equal(s3_complete_upload(&bucket, "k", "id", true, &r, &err), 0);
    assert_string_equal(r.method, "POST");
    assert_string_equal(r.url, "http://h/events/k?uploadId=id");
    header_is("if-none-match", "*");

    assert_int_equal(s3_abort_upload(&bucket, "k", "id", &r, &err), 0);
    assert_string_equal(r.method, "DELETE");
    assert_string_equal(r.url, "http://h/events/k?uploadId=id");

    assert_int_equal(s3_list_uploads(&bucket, "p/s", "", "", &r, &err), 0);
    assert_string_equal(r.url, "http://h/events?uploads&prefix=p%2Fs");
    assert_int_equal(s3_list_uploads(&bucket, "", "k 1", "id", &r, &err), 0);
    assert_string_equal(r.url,
                        "http://h/events?uploads&prefix=&key-marker=k%201&upload-id-marker=id");
}

struct parts_read {
    char number[8], etag[S3_ETAG_BYTES], crc32c[16], all[512];
};

static int on_part(void *ctx)
{
    struct parts_read *p = (struct parts_read *)ctx;
    size_t len = strlen(p->all);

    (void)snprintf(p->all + len, sizeof(p->all) - len, "%s %s %s\n", p->number, p->etag,
                   p->crc32c);
    return 0;
}

static void the_list_of_parts_reads_back(void **state)
{
    static const struct s3_part parts[] = {{"\"abc\"", 1}, {"<&>", 0xffffffff}};
    struct parts_read p = {.all = ""};
    struct xml_field fields[] = {
        {.path = "CompleteMultipartUpload/Part/PartNumber", .ret = p.number, .cap = 8},
        {.path = "CompleteMultipartUpload/Part/ETag", .ret = p.etag, .cap = sizeof(p.etag)},
        {.path = "CompleteMultipartUpload/Part/ChecksumCRC32C", .ret = p.crc32c, .cap = 16},
    };
    struct bytes body = BYTES_INIT;
    struct s3_settings set = plain;

    (void)state;
    for (int checksum = 1; checksum >= 0; checksum--) {
        p.all[0] = '\0';
        set.checksum = checksum == 1;
        assert_int_equal(s3_bucket_init(&bucket, &set, &err), 0);
        assert_int_equal(s3_complete_body(&bucket, parts, 2, &body), 0);
        assert_int_equal(xml_read((char *)body.data, body.len, fields, 3,
                                  "CompleteMultipartUpload/Part", on_part, &p), 0);
        assert_string_equal(p.all, checksum == 1 ? "1 \"abc\" AAAAAQ==\n2 <&> /////w==\n"
                                                 : "1 \"abc\" \n2 <&> \n");
    }
    bytes_free(&body);
}

static void every_size_is_cut_into_parts_that_s3_takes(void **state)
{
    static const uint64_t wanted[] = {S3_PART_BYTES_MIN, 16 << 20, S3_PART_BYTES_MAX};
    uint64_t part, last;
    uint32_t count;

    (void)state;
    for (size_t w = 0; w < sizeof(wanted) / sizeof(wanted[0]); w++)
        for (int shift = 0; shift < 46; shift++)
            for (int near = -2; near <= 2; near++) {
                uint64_t bytes = ((uint64_t)1 << shift) + (uint64_t)(int64_t)near;

                if (bytes > (uint64_t)1 << 62)
                    continue;
                if (s3_parts(bytes, wanted[w], &part, &count) != 0) {
                    assert_true(bytes > S3_PARTS_MAX * S3_PART_BYTES_MAX);
                    continue;
                }
                assert_in_range(count, 1, S3_PARTS_MAX);
                assert_in_range(part, wanted[w], S3_PART_BYTES_MAX);
                assert_int_equal(count == 1, bytes <= part);
                last = bytes - (count - 1) * part;
                assert_true(last <= part && (count == 1 || last > 0));
            }
    assert_int_equal(s3_parts(S3_PARTS_MAX * S3_PART_BYTES_MAX, S3_PART_BYTES_MIN, &part, &count),
                     0);
    assert_int_equal(count, S3_PARTS_MAX);
    assert_int_equal(s3_parts(S3_PARTS_MAX * S3_PART_BYTES_MAX + 1, S3_PART_BYTES_MIN, &part,
                              &count), -EFBIG);
    assert_int_equal(s3_parts((uint64_t)100 << 30, 5 << 20, &part, &count), 0);
    assert_int_equal(part, 11 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_go_where_the_settings_say),
        cmocka_unit_test(payloads_are_signed_where_there_is_no_tls),
        cmocka_unit_test(settings_that_cannot_work_are_named),
        cmocka_unit_test(an_object_says_whose_it_is),
        cmocka_unit_test(an_upload_in_parts_says_each_thing_where_it_belongs),
        cmocka_unit_test(the_list_of_parts_reads_back),
        cmocka_unit_test(every_size_is_cut_into_parts_that_s3_takes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
