/* remote_config: what sections of remote sinks say is what the delivery thread is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "control/remote_config.h"

#define SECOND 1000000000ULL

static struct config *config;
static struct remote_settings *settings;
static uint32_t count;

static void load(const char *text)
{
    struct config_errors errs = CONFIG_ERRORS_INIT;

    if (config_load_text("f", text, strlen(text), NULL, &config, &errs) != 0) {
        config_errors_print(&errs, stderr);
        fail();
    }
    config_errors_fini(&errs);
    assert_int_equal(remote_config(config, &settings, &count), 0);
}

static int unload(void **state)
{
    (void)state;
    free(settings);
    config_free(config);
    return 0;
}

static void file_sinks_are_none(void **state)
{
    (void)state;
    load("[sink more]\ntype = file\ndirectory = /more\n");
    assert_int_equal(count, 0);
}

static void s3_with_defaults(void **state)
{
    const struct remote_settings *set;

    (void)state;
    load("[sink lake]\ntype = s3\nbucket = events\nregion = eu-west-1\n");
    assert_int_equal(count, 1);
    set = &settings[0];
    assert_string_equal(set->name, "lake");
    assert_int_equal(set->type, TARGET_S3);
    assert_int_equal(set->in_flight_max, 8);
    assert_int_equal(set->timeout_ns, 60 * SECOND);
    assert_int_equal(set->backoff_max_ns, 60 * SECOND);
    assert_string_equal(set->s3.set.bucket, "events");
    assert_string_equal(set->s3.set.region, "eu-west-1");
    assert_string_equal(set->cloud.region, "eu-west-1");
    assert_string_equal(set->s3.set.endpoint, "");
    assert_string_equal(set->s3.set.storage_class, "");
    assert_string_equal(set->s3.set.server_side_encryption, "");
    assert_string_equal(set->s3.set.kms_key_id, "");
    assert_string_equal(set->cloud.access_key, "");
    assert_string_equal(set->cloud.profile, "");
    assert_int_equal(set->s3.set.path_style, S3_AUTO);
    assert_int_equal(set->s3.set.signed_payload, S3_AUTO);
    assert_int_equal(set->s3.conditional, S3_AUTO);
    assert_int_equal(set->s3.part_bytes, 16 << 20);
    assert_true(set->s3.set.checksum);
}

static void s3_with_everything(void **state)
{
    const struct remote_settings *set;

    (void)state;
    load("[sink lake]\ntype = s3\nbucket = events\nendpoint = https://s3.example.org\n"
         "access_key = AK\nsecret_key = SK\nsession_token = ST\n"
         "path_style = no\nsigned_payload = yes\nconditional_write = no\npart_size = 7MiB\n"
         "checksum = none\nstorage_class = STANDARD_IA\nserver_side_encryption = aws:kms\n"
         "kms_key_id = K\nmax_in_flight = 3\ntimeout = 5s\nretry_max_backoff = 9s\n");
    assert_int_equal(count, 1);
    set = &settings[0];
    assert_string_equal(set->s3.set.endpoint, "https://s3.example.org");
    assert_string_equal(set->cloud.access_key, "AK");
    assert_string_equal(set->cloud.secret_key, "SK");
    assert_string_equal(set->cloud.session_token, "ST");
    assert_int_equal(set->s3.set.path_style, S3_NO);
    assert_int_equal(set->s3.set.signed_payload, S3_YES);
    assert_int_equal(set->s3.conditional, S3_NO);
    assert_int_equal(set->s3.part_bytes, 7 << 20);
    assert_false(set->s3.set.checksum);
    assert_string_equal(set->s3.set.storage_class, "STANDARD_IA");
    assert_string_equal(set->s3.set.server_side_encryption, "aws:kms");
    assert_string_equal(set->s3.set.kms_key_id, "K");
    assert_int_equal(set->in_flight_max, 3);
    assert_int_equal(set->timeout_ns, 5 * SECOND);
    assert_int_equal(set->backoff_max_ns, 9 * SECOND);
}

static void sinks_of_every_type_in_their_order(void **state)
{
    (void)state;
    load("[sink hose]\ntype = firehose\nregion = us-east-1\nprofile = p\npack_records = yes\n"
         "endpoint = http://localhost:4566\n"
         "[sink files]\ntype = file\ndirectory = /more\n"
         "[sink web]\ntype = http\nurl = https://example.org/in\nmethod = PUT\ntoken = T\n"
         "headers = X-One: 1, X-Two: 2\nbody = array\n"
         "[sink hop]\ntype = http\nurl = https://example.org/hop\nprotocol = firehose\n"
         "compression = gzip\n");
    assert_int_equal(count, 3);

    assert_string_equal(settings[0].name, "hose");
    assert_int_equal(settings[0].type, TARGET_FIREHOSE);
    assert_true(settings[0].firehose.pack);
    assert_string_equal(settings[0].firehose.endpoint, "http://localhost:4566");
    assert_string_equal(settings[0].cloud.region, "us-east-1");
    assert_string_equal(settings[0].cloud.profile, "p");

    assert_string_equal(settings[1].name, "web");
    assert_int_equal(settings[1].type, TARGET_HTTP);
    assert_string_equal(settings[1].web.url, "https://example.org/in");
    assert_string_equal(settings[1].web.method, "PUT");
    assert_string_equal(settings[1].web.token, "T");
    assert_int_equal(settings[1].web.headers_count, 2);
    assert_string_equal(settings[1].web.headers[1], "X-Two: 2");
    assert_int_equal(settings[1].web.body, REMOTE_BODY_ARRAY);
    assert_int_equal(settings[1].web.protocol, REMOTE_PLAIN);
    assert_false(settings[1].web.gzip);

    assert_string_equal(settings[2].name, "hop");
    assert_string_equal(settings[2].web.method, "POST");
    assert_int_equal(settings[2].web.protocol, REMOTE_FIREHOSE);
    assert_true(settings[2].web.gzip);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(file_sinks_are_none, unload),
        cmocka_unit_test_teardown(s3_with_defaults, unload),
        cmocka_unit_test_teardown(s3_with_everything, unload),
        cmocka_unit_test_teardown(sinks_of_every_type_in_their_order, unload),
    };

    return cmocka_run_group_tests_name("remote_config", tests, NULL, NULL);
}
