/*
 * Claims about what S3 answers: facts are read as they stand, and what is not as it should be is an
 * error, never half a fact.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "sink/s3_reply.h"

#define XML "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define NS  " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""

static struct s3_error error;

static struct reply reply_of(unsigned status, const char *body)
{
    return (struct reply){.status = status, .body = body, .body_len = strlen(body)};
}

static const char *error_text(struct reply reply)
{
    static struct errmsg text;

    s3_error_read(&reply, &error);
    s3_error_text(&reply, &error, &text);
    return text.text;
}

static void an_error_is_told_with_its_code_and_request(void **state)
{
    static const struct request_header id = {"X-Amz-Request-Id", "HEADER1"};
    struct reply reply = reply_of(404, "");

    (void)state;
    assert_string_equal(error_text(reply_of(503,
        XML "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message>"
            "<Resource>/b/k</Resource><RequestId>4442587FB7D0A2F9</RequestId></Error>")),
        "503 SlowDown: Please reduce your request rate. (request 4442587FB7D0A2F9)");
    assert_string_equal(error.code, "SlowDown");
    assert_string_equal(error_text(reply_of(502, "<html><body><h1>Bad gateway</h1>")), "502");
    assert_string_equal(error.code, "");
    assert_string_equal(error_text(reply_of(500, XML "<Error><Code>InternalError</Code></Error>")),
                        "500 InternalError");
    reply.headers = &id;
    reply.headers_count = 1;
    assert_string_equal(error_text(reply), "404 (request HEADER1)");
}

static void an_error_tells_where_the_bucket_is(void **state)
{
    static const struct request_header region = {"x-amz-bucket-region", "eu-west-3"};
    struct reply reply = reply_of(301, "<Error><Code>PermanentRedirect</Code><Endpoint>b.s3.eu\n"
                                  "</Endpoint></Error>");

    (void)state;
    s3_error_read(&reply, &error);
    assert_string_equal(error.endpoint, "b.s3.eu ");
    assert_string_equal(error.region, "");
    reply.headers = &region;
    reply.headers_count = 1;
    s3_error_read(&reply, &error);
    assert_string_equal(error.region, "eu-west-3");
    reply = reply_of(400, "<Error><Code>AuthorizationHeaderMalformed</Code><Region>us-west-2"
                     "</Region></Error>");
    s3_error_read(&reply, &error);
    assert_string_equal(error.region, "us-west-2");
}

static void an_error_text_fits_on_a_line_and_holds_no_key(void **state)
{
    const char *text = error_text(reply_of(403,
        "<Error><Code>SignatureDoesNotMatch</Code><Message>It\nwas\t\x7fwrong</Message>"
        "<AWSAccessKeyId>AKIA</AWSAccessKeyId><StringToSign>secret</StringToSign>"
        "<Token-0>secret</Token-0></Error>"));

    (void)state;
    assert_string_equal(text, "403 SignatureDoesNotMatch: It was  wrong");
}

static void an_upload_has_an_id_or_is_no_upload(void **state)
{
    char id[S3_UPLOAD_ID_BYTES], body[4 * S3_UPLOAD_ID_BYTES], longest[S3_UPLOAD_ID_BYTES + 1];
    struct reply reply;

    (void)state;
    reply = reply_of(200, XML "<InitiateMultipartUploadResult" NS "><Bucket>b</Bucket><Key>k</Key>"
                          "<UploadId>2~VXBsb2Fk_.-&amp;</UploadId>"
                          "</InitiateMultipartUploadResult>");
    assert_int_equal(s3_upload_id_read(&reply, id), 0);
    assert_string_equal(id, "2~VXBsb2Fk_.-&");
    reply = reply_of(200, XML "<InitiateMultipartUploadResult><UploadId/>"
                          "</InitiateMultipartUploadResult>");
    assert_int_equal(s3_upload_id_read(&reply, id), -EBADMSG);
    reply = reply_of(200, XML "<Error><Code>InternalError</Code></Error>");
    assert_int_equal(s3_upload_id_read(&reply, id), -EBADMSG);
    reply = reply_of(200, "");
    assert_int_equal(s3_upload_id_read(&reply, id), -EBADMSG);

    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    for (int less = 0; less < 2; less++) {
        (void)snprintf(body, sizeof(body), "<InitiateMultipartUploadResult><UploadId>%s</UploadId>"
                       "</InitiateMultipartUploadResult>", longest + less);
        reply = reply_of(200, body);
        assert_int_equal(s3_upload_id_read(&reply, id), less == 0 ? -EBADMSG : 0);
    }
    assert_string_equal(id, longest + 1);
}

static void an_etag_is_text_that_fits(void **state)
{
    char longest[S3_ETAG_BYTES + 1], etag[S3_ETAG_BYTES];
    struct request_header header = {"ETag", "\"0123\""};
    const struct reply reply = {.status = 200, .headers = &header, .headers_count = 1};
    const struct reply none = {.status = 200};

    (void)state;
    assert_int_equal(s3_etag_read(&reply, etag), 0);
    assert_string_equal(etag, "\"0123\"");
    assert_int_equal(s3_etag_read(&none, etag), -EBADMSG);
    header.value = "";
    assert_int_equal(s3_etag_read(&reply, etag), -EBADMSG);
    header.value = "a\x01";
    assert_int_equal(s3_etag_read(&reply, etag), -EBADMSG);
    memset(longest, 'e', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    header.value = longest;
    assert_int_equal(s3_etag_read(&reply, etag), -EBADMSG);
    header.value = longest + 1;
    assert_int_equal(s3_etag_read(&reply, etag), 0);
    assert_string_equal(etag, longest + 1);
}

static int complete(const char *body)
{
    struct reply reply = reply_of(200, body);

    return s3_complete_read(&reply, &error);
}

static void success_of_a_completion_is_what_its_body_says(void **state)
{
    static const char done[] = XML "<CompleteMultipartUploadResult" NS "><Location>http://b/k"
                               "</Location><ETag>\"1-2\"</ETag></CompleteMultipartUploadResult>";
    char cut[sizeof(done)];

    (void)state;
    assert_int_equal(complete(done), 0);
    assert_int_equal(complete(" \n \n<CompleteMultipartUploadResult/>"), 0);
    assert_int_equal(complete(XML "<Error><Code>InternalError</Code><Message>m</Message></Error>"),
                     -EREMOTEIO);
    assert_string_equal(error.code, "InternalError");
    assert_int_equal(complete(""), -EBADMSG);
    assert_int_equal(complete("   "), -EBADMSG);
    assert_int_equal(complete("<Error/>"), -EBADMSG);
    assert_int_equal(complete("<html>ok</html>"), -EBADMSG);
    /* Whatever was lost on the way is not known. */
    for (size_t len = 0; len + 1 < sizeof(done); len++) {
        (void)snprintf(cut, sizeof(cut), "%.*s", (int)len, done);
        assert_int_equal(complete(cut), -EBADMSG);
    }
}

static const struct s3_object object = {.key = "k", .content_type = "t", .batch = "1-000-2",
                                        .first_lsn = 1, .last_lsn = 2, .events = 3, .bytes = 4,
                                        .crc32c = 0xab};

static void an_object_is_ours_if_it_is_that_batch_whole(void **state)
{
    struct request_header headers[] = {
        {"x-amz-meta-hydrant-batch", "1-000-2"}, {"x-amz-meta-hydrant-first", "1"},
        {"x-amz-meta-hydrant-last", "2"}, {"x-amz-meta-hydrant-events", "3"},
        {"X-Amz-Meta-Hydrant-Bytes", "4"}, {"x-amz-meta-hydrant-crc32c", "000000ab"},
        {"Content-Length", "4"},
    };
    struct reply head = {.status = 200, .headers = headers, .headers_count = 7};

    (void)state;
    assert_true(s3_object_is(&head, &object));
    for (uint32_t i = 0; i < 7; i++) {
        struct request_header right = headers[i];

        headers[i].value = "5";
        assert_int_equal(s3_object_is(&head, &object), i == 5);     /* whatever its checksum */
        headers[i] = (struct request_header){"x", "y"};
        assert_int_equal(s3_object_is(&head, &object), i >= 5);
        headers[i] = right;
    }
    /* Made of the same events, before its file was made anew. */
    headers[4].value = headers[6].value = "5";
    assert_true(s3_object_is(&head, &object));
    head.status = 404;
    assert_false(s3_object_is(&head, &object));
}

static char listed[1024];

static int on_upload(const struct s3_upload *upload, void *ctx)
{
    size_t len = strlen(listed);

    (void)snprintf(listed + len, sizeof(listed) - len, "%.99s %.99s %s\n", upload->key,
                   upload->id, upload->initiated);
    return *(int *)ctx;
}

static int list(const char *body, struct s3_uploads *ret_uploads, int answer)
{
    struct reply reply = reply_of(200, body);

    listed[0] = '\0';
    return s3_uploads_read(&reply, ret_uploads, on_upload, &answer);
}

static void uploads_are_listed_with_the_place_to_go_on(void **state)
{
    static const char two[] = XML "<ListMultipartUploadsResult" NS "><Bucket>b</Bucket>"
        "<KeyMarker/><NextKeyMarker>k&lt;2</NextKeyMarker><NextUploadIdMarker>i2"
        "</NextUploadIdMarker><MaxUploads>2</MaxUploads><IsTruncated>true</IsTruncated>"
        "<Upload><Key>k1</Key><UploadId>i1</UploadId><Initiator><ID>x</ID></Initiator>"
        "<Initiated>2010-11-10T20:48:33.000Z</Initiated></Upload>"
        "<Upload><Key>k&lt;2</Key><UploadId>i2</UploadId></Upload></ListMultipartUploadsResult>";
    struct s3_uploads uploads;

    (void)state;
    assert_int_equal(list(two, &uploads, 0), 0);
    assert_true(uploads.truncated);
    assert_string_equal(uploads.key_marker, "k<2");
    assert_string_equal(uploads.upload_id_marker, "i2");
    assert_string_equal(listed, "k1 i1 2010-11-10T20:48:33.000Z\nk<2 i2 \n");
    assert_int_equal(list(two, &uploads, -ECANCELED), -ECANCELED);
    assert_string_equal(listed, "k1 i1 2010-11-10T20:48:33.000Z\n");

    assert_int_equal(list("<ListMultipartUploadsResult/>", &uploads, 0), 0);
    assert_false(uploads.truncated);
    assert_int_equal(list("<ListMultipartUploadsResult><IsTruncated>true</IsTruncated>"
                          "</ListMultipartUploadsResult>", &uploads, 0), -EBADMSG);
    assert_int_equal(list("<ListMultipartUploadsResult><Upload><Key>k</Key></Upload>"
                          "</ListMultipartUploadsResult>", &uploads, 0), -EBADMSG);
    assert_int_equal(list("<Error><Code>AccessDenied</Code></Error>", &uploads, 0), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_is_told_with_its_code_and_request),
        cmocka_unit_test(an_error_tells_where_the_bucket_is),
        cmocka_unit_test(an_error_text_fits_on_a_line_and_holds_no_key),
        cmocka_unit_test(an_upload_has_an_id_or_is_no_upload),
        cmocka_unit_test(an_etag_is_text_that_fits),
        cmocka_unit_test(success_of_a_completion_is_what_its_body_says),
        cmocka_unit_test(an_object_is_ours_if_it_is_that_batch_whole),
        cmocka_unit_test(uploads_are_listed_with_the_place_to_go_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
