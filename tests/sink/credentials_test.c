/*
 * credentials: fetching, renewing, failing, over a clock of the test's own; and what is left of
 * secrets in memory.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <stdbool.h>

#include "base/clockfmt.h"
#include "sink/credentials.h"
#include "sink/credentials_host.h"

#define SECOND RETRY_SECOND_NS
#define MINUTE (60 * SECOND)
#define UTC_NS 1790000000000000000ULL   /* at now_ns 0 */
#define IMDS "http://169.254.169.254/latest/"
#define ROLES IMDS "meta-data/iam/security-credentials/"

static struct host host;
static struct credentials *c;
static struct credentials_turn turn;
static struct credentials_keys keys;
static struct credentials_status status;
static struct errmsg err;

static void at(uint64_t now_ns)
{
    turn = (struct credentials_turn){ .now_ns = now_ns, .utc_ns = UTC_NS + now_ns,
                                      .random = UINT64_MAX };
}

static void begin(const char *env, bool region_wanted)
{
    struct credentials_config config = { .env = host_env, .env_ctx = &host,
                                         .region_wanted = region_wanted };

    host_init(&host);
    host.env = env;
    at(0);
    assert_int_equal(credentials_open(&config, turn.now_ns, &c, &err), 0);
    assert_int_equal(credentials_get(c, 0, &keys, &err), -EAGAIN);
    assert_string_equal(err.text, "the credentials are being fetched");
    assert_int_equal(credentials_next_ns(c), 0);
}

static void end(void)
{
    credentials_close(c);
    c = NULL;
    host_fini(&host);
}

/* The next request is for this URL; it is given out once. */
static const struct request *asks(const char *url)
{
    const struct credentials_ask *ask = credentials_step(c, &turn);

    if (url == NULL) {
        assert_null(ask);
        return NULL;
    }
    assert_non_null(ask);
    assert_string_equal(ask->request.url, url);
    assert_null(credentials_step(c, &turn));
    assert_int_equal(credentials_next_ns(c), RETRY_NEVER_NS);
    return &ask->request;
}

static void reply(unsigned code, const char *body)
{
    struct reply r = { .status = code, .body = body, .body_len = strlen(body) };

    credentials_reply(c, &turn, &r);
}

/* JSON of a set that is good for so long from now on; 0: without an end. */
static void reply_keys(const char *key, uint64_t good_ns)
{
    char body[512], iso[CLOCKFMT_ISO_BYTES], expiration[64] = "";

    if (good_ns > 0)
        (void)snprintf(expiration, sizeof(expiration), ", \"Expiration\": \"%s\"",
                       clockfmt_iso(turn.utc_ns + good_ns, iso));
    (void)snprintf(body, sizeof(body), "{\"AccessKeyId\": \"%s\", \"SecretAccessKey\": \"s3cr3t\", "
                   "\"Token\": \"t0k3n\"%s}", key, expiration);
    reply(200, body);
}

static void has(const char *key)
{
    if (credentials_get(c, turn.now_ns, &keys, &err) != 0)
        fail_msg("no %s: %s", key, err.text);
    assert_string_equal(keys.sign.access_key, key);
}

static void has_none(const char *why)
{
    assert_int_equal(credentials_get(c, turn.now_ns, &keys, &err), -EAGAIN);
    if (strstr(err.text, why) == NULL)
        fail_msg("%s, not %s", err.text, why);
    assert_null(strstr(err.text, "s3cr3t"));
    assert_null(strstr(err.text, "t0k3n"));
    credentials_look(c, turn.now_ns, &status);
    assert_false(status.usable);
}

#define CONTAINER "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/c"
#define CONTAINER_URL "http://169.254.170.2/c"

static void keys_at_hand_need_no_request(void **state)
{
    (void)state;
    begin("AWS_ACCESS_KEY_ID=E AWS_SECRET_ACCESS_KEY=s3cr3t AWS_REGION=x-1", true);
    assert_null(asks(NULL));
    has("E");
    assert_string_equal(keys.sign.secret_key, "s3cr3t");
    assert_string_equal(keys.sign.session_token, "");
    assert_string_equal(keys.region, "x-1");
    assert_int_equal(credentials_next_ns(c), RETRY_NEVER_NS);
    credentials_look(c, turn.now_ns, &status);
    assert_string_equal(status.source, "environment");
    assert_string_equal(status.region, "x-1");
    assert_string_equal(status.error, "");
    assert_true(status.usable);
    end();
}

static void instance_metadata_take_three_requests_and_one_for_the_region(void **state)
{
    const struct request *r;

    (void)state;
    begin("", true);
    r = asks(IMDS "api/token");
    assert_string_equal(r->method, "PUT");
    reply(200, "TOKEN==");
    r = asks(ROLES);
    assert_string_equal(r->method, "GET");
    assert_string_equal(request_header_find(r, "x-aws-ec2-metadata-token"), "TOKEN==");
    reply(200, "my-role\n");
    has_none("being fetched");
    (void)asks(ROLES "my-role");
    reply_keys("M", 6 * 60 * MINUTE);
    has_none("being fetched");
    r = asks(IMDS "meta-data/placement/region");
    assert_string_equal(request_header_find(r, "x-aws-ec2-metadata-token"), "TOKEN==");
    reply(200, "eu-central-1");
    has("M");
    assert_string_equal(keys.region, "eu-central-1");
    credentials_look(c, turn.now_ns, &status);
    assert_string_equal(status.source, "instance metadata");
    assert_int_equal(credentials_next_ns(c), (6 * 60 - 15) * MINUTE);
    end();
}

static void a_region_alone_is_asked_for_too(void **state)
{
    (void)state;
    begin(CONTAINER, true);
    (void)asks(CONTAINER_URL);
    reply_keys("A", 0);
    (void)asks(IMDS "api/token");
    credentials_no_reply(c, &turn, "timed out");
    has_none("no region: set region or AWS_REGION; instance metadata: timed out");
    at(credentials_next_ns(c));
    (void)asks(IMDS "api/token");
    reply(200, "T");
    (void)asks(IMDS "meta-data/placement/region");
    reply(200, "evil.com/");
    has_none("the name of the region is none");
    at(credentials_next_ns(c));
    (void)asks(IMDS "api/token");
    reply(200, "T");
    (void)asks(IMDS "meta-data/placement/region");
    reply(200, "x-9");
    has("A");
    assert_string_equal(keys.region, "x-9");
    credentials_look(c, turn.now_ns, &status);
    assert_string_equal(status.error, "");
    end();
    begin(CONTAINER, false);
    (void)asks(CONTAINER_URL);
    reply_keys("A", 0);
    assert_null(asks(NULL));
    has("A");
    assert_string_equal(keys.region, "");
    end();
    begin(CONTAINER " AWS_EC2_METADATA_DISABLED=true", true);
    (void)asks(CONTAINER_URL);
    reply_keys("A", 0);
    has_none("no region: set region, AWS_REGION, or region of the profile; instance metadata: "
             "AWS_EC2_METADATA_DISABLED is true");
    end();
}

static void keys_are_renewed_before_they_expire(void **state)
{
    uint64_t renew_ns = 45 * MINUTE;

    (void)state;
    begin(CONTAINER, false);
    (void)asks(CONTAINER_URL);
    reply_keys("A", 60 * MINUTE);
    assert_int_equal(credentials_next_ns(c), renew_ns);
    at(renew_ns - 1);
    assert_null(asks(NULL));
    at(renew_ns);
    (void)asks(CONTAINER_URL);
    has("A");                           /* until the reply */
    reply_keys("B", 60 * MINUTE);
    has("B");
    assert_int_equal(keys.generation, 2);
    assert_int_equal(credentials_next_ns(c), 2 * renew_ns);
    end();
}

static void at_ten_minutes_renewing_is_tried_before_old_keys_are_used(void **state)
{
    (void)state;
    begin(CONTAINER, false);
    (void)asks(CONTAINER_URL);
    reply_keys("A", 60 * MINUTE);
    at(50 * MINUTE - 1);
    has("A");
    at(55 * MINUTE);                    /* the host has slept */
    has_none("being renewed");
    (void)asks(CONTAINER_URL);
    has_none("being renewed");
    credentials_no_reply(c, &turn, "connection refused");
    has("A");
    credentials_look(c, turn.now_ns, &status);
    assert_true(status.usable);
    assert_string_equal(status.error, "container: connection refused");
    at(90 * MINUTE);                    /* only the service knows when they have expired */
    has("A");
    (void)asks(CONTAINER_URL);
    reply_keys("B", 60 * MINUTE);
    has("B");
    end();
}

static void keys_that_expire_soon_are_not_fetched_without_a_pause(void **state)
{
    static const uint64_t good_ns[] = { 14 * MINUTE, 15 * MINUTE, 5 * MINUTE, SECOND };

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        begin(CONTAINER, false);
        for (int n = 0; n < 3; n++) {
            (void)asks(CONTAINER_URL);
            reply_keys("A", good_ns[i]);
            has("A");
            assert_int_equal(credentials_next_ns(c), turn.now_ns + MINUTE);
            at(turn.now_ns + MINUTE);
        }
        end();
    }
}

static void keys_that_have_expired_already_are_for_the_service_to_judge(void **state)
{
    (void)state;
    begin(CONTAINER, false);
    (void)asks(CONTAINER_URL);
    reply(200, "{\"AccessKeyId\": \"A\", \"SecretAccessKey\": \"s3cr3t\", \"Token\": \"t0k3n\", "
               "\"Expiration\": \"2020-01-01T00:00:00Z\"}");
    has("A");
    assert_int_equal(credentials_next_ns(c), MINUTE);
    end();
}

static void refused_keys_are_replaced_at_once_and_once(void **state)
{
    uint32_t generation;

    (void)state;
    begin(CONTAINER, false);
    (void)asks(CONTAINER_URL);
    reply_keys("A", 60 * MINUTE);
    has("A");
    generation = keys.generation;
    at(5 * MINUTE);
    credentials_refused(c, generation);
    credentials_refused(c, generation);
    has_none("being fetched");
    assert_true(credentials_next_ns(c) <= turn.now_ns);
    (void)asks(CONTAINER_URL);
    credentials_refused(c, generation); /* of a request that was out */
    reply_keys("B", 60 * MINUTE);
    has("B");
    credentials_refused(c, generation);
    has("B");
    assert_null(asks(NULL));
    end();
}

static void refused_keys_without_others_are_tried_again_after_pauses(void **state)
{
    uint64_t before_ns = 0;

    (void)state;
    begin("AWS_ACCESS_KEY_ID=E AWS_SECRET_ACCESS_KEY=s3cr3t", false);
    for (int i = 0; i < 10; i++) {
        assert_null(asks(NULL));
        has("E");
        credentials_look(c, turn.now_ns, &status);
        assert_string_equal(status.error, i == 0 ? "" : "the service refuses the keys "
                            "(environment), and there are no others yet");
        credentials_refused(c, keys.generation);
        has_none(i == 0 ? "being fetched" : "refuses the keys");
        before_ns = turn.now_ns;
        at(credentials_next_ns(c) > before_ns ? credentials_next_ns(c) : before_ns);
        assert_true(turn.now_ns - before_ns <= MINUTE);
    }
    assert_true(turn.now_ns > MINUTE);      /* and not as fast as it can */
    host.env = "AWS_ACCESS_KEY_ID=F AWS_SECRET_ACCESS_KEY=s3cr3t";
    assert_null(asks(NULL));
    has("F");
    credentials_look(c, turn.now_ns, &status);
    assert_string_equal(status.error, "");
    end();
}

static void failures_are_tried_again_for_ever_a_minute_apart_at_most(void **state)
{
    uint64_t attempts = 0, before_ns;

    (void)state;
    begin(CONTAINER, false);
    while (turn.now_ns < 60 * MINUTE) {
        (void)asks(CONTAINER_URL);
        credentials_no_reply(c, &turn, "connection refused");
        has_none("container: connection refused");
        before_ns = turn.now_ns;
        assert_in_range(credentials_next_ns(c), before_ns + 1, before_ns + MINUTE);
        at(credentials_next_ns(c));
        attempts++;
    }
    assert_in_range(attempts, 60, 75);
    (void)asks(CONTAINER_URL);
    reply_keys("A", 60 * MINUTE);
    has("A");
    end();
}

static void errors_say_who_failed_and_how(void **state)
{
    static const struct {
        const char *env;
        unsigned replies, status;   /* good ones before; then this */
        const char *body, *says;
    } rows[] = {
        { CONTAINER, 0, 404, "s3cr3t", "container: answered 404" },
        { CONTAINER, 0, 200, "s3cr3t", "container: the reply is no JSON object" },
        { CONTAINER, 0, 200, "{}", "container: the access key is empty" },
        { "AWS_WEB_IDENTITY_TOKEN_FILE=~/token AWS_ROLE_ARN=arn:x", 0, 400,
          "<ErrorResponse><Error><Code>InvalidIdentityToken</Code><Message>s3cr3t</Message>"
          "</Error></ErrorResponse>", "web identity: STS: answered 400 InvalidIdentityToken" },
        { "AWS_WEB_IDENTITY_TOKEN_FILE=~/token AWS_ROLE_ARN=arn:x", 0, 503, "<html>s3cr3t",
          "web identity: STS: answered 503" },
        { "AWS_WEB_IDENTITY_TOKEN_FILE=~/token AWS_ROLE_ARN=arn:x", 0, 200, "<html>s3cr3t",
          "web identity: STS: the reply is no XML" },
        { "", 0, 403, "", "instance metadata (answered 403 when asked for a token): set up one" },
        { "", 0, 200, "s3cr3t s3cr3t", "instance metadata (the token is none)" },
        { "", 1, 404, "", "instance metadata (no role is attached to this instance)" },
        { "", 1, 500, "", "instance metadata (answered 500)" },
        { "", 1, 200, "../s3cr3t", "instance metadata (the name of the role is none)" },
        { "", 2, 200, "{\"Code\": \"Failed\"}", "instance metadata (the reply says Failed)" },
        { "", 2, 401, "", "instance metadata (answered 401)" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        begin(rows[i].env, false);
        host_file(&host, "token", "t0k3n");
        for (unsigned n = 0; n <= rows[i].replies; n++) {
            assert_non_null(credentials_step(c, &turn));
            if (n < rows[i].replies)
                reply(200, "word");
        }
        reply(rows[i].status, rows[i].body);
        has_none(rows[i].says);
        assert_int_equal(strncmp(err.text, "no credentials: tried access_key, ", 34) == 0,
                         rows[i].env[0] == '\0');
        assert_in_range(credentials_next_ns(c), 1, MINUTE);
        end();
    }
}

static void a_file_that_was_written_anew_is_read_anew(void **state)
{
    (void)state;
    begin("", false);
    host_file(&host, ".aws/credentials",
              "[default]\naws_access_key_id = A\naws_secret_access_key = s3cr3t\n");
    assert_null(asks(NULL));
    has("A");
    credentials_look(c, turn.now_ns, &status);
    assert_string_equal(status.source, "credentials file");
    host_file(&host, ".aws/credentials",
              "[default]\naws_access_key_id = B\naws_secret_access_key = s3cr3t\n");
    credentials_refused(c, keys.generation);
    assert_null(asks(NULL));
    has("B");
    end();
}

static void wrong_settings_are_told_at_the_start(void **state)
{
    struct credentials_config config = { .access_key = "A" };

    (void)state;
    assert_int_equal(credentials_open(&config, 0, &c, &err), -EINVAL);
    assert_string_equal(err.text,
                        "access_key and secret_key go together: secret_key is missing");
    credentials_close(NULL);
}

/* --- what is left in memory ----------------------------------------------------------------- */

enum { SECRET_LEN = 40, SECRET_HEAD = 20 };

/* The secrets are nowhere in this program but where the code under test has put them. */
static inline char secret_char(int which, size_t i)
{
    return (char)('a' + ((size_t)which * 5 + 3 * i * i + 7 * i) % 26);
}

static void secret_make(int which, char text[static SECRET_LEN + 1])
{
    for (size_t i = 0; i < SECRET_LEN; i++)
        text[i] = secret_char(which, i);
    text[SECRET_LEN] = '\0';
}

/* Whether a line of smaps' flags of the mapping says that it is not dumped. */
static bool dumped(const char *flags)
{
    return strstr(flags, " dd") == NULL;
}

/*
 * How often a secret is in writable memory: in all, and where a core file would have it. Its second
 * half is looked for, since a heap writes over the beginning of what is freed; byte by byte, so
 * that looking leaves no copy.
 */
__attribute__((no_sanitize("address"))) static void secret_count(int which, unsigned *ret_all,
                                                                 unsigned *ret_dumped)
{
    FILE *maps = fopen("/proc/self/smaps", "re");
    uintptr_t from = 0, to = 0, a, b;
    char line[512], mode[8];
    bool writable = false;

    *ret_all = *ret_dumped = 0;
    assert_non_null(maps);
    while (fgets(line, sizeof(line), maps) != NULL) {
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %7s", &a, &b, mode) == 3) {
            from = a;
            to = b;
            writable = strncmp(mode, "rw", 2) == 0 && strstr(line, "[v") == NULL;
            continue;
        }
        if (strncmp(line, "VmFlags:", 8) != 0 || !writable || to - from > (64U << 20))
            continue;
        for (const char *p = (const char *)from; p + SECRET_LEN < (const char *)to; p++) {
            size_t n = SECRET_HEAD;

            while (n < SECRET_LEN && p[n - SECRET_HEAD] == secret_char(which, n))
                n++;
            if (n == SECRET_LEN) {
                ++*ret_all;
                *ret_dumped += dumped(line);
            }
        }
    }
    (void)fclose(maps);
}

static void write_secrets(struct host *h, const char *keys_file)
{
    char text[256], a[SECRET_LEN + 1], b[SECRET_LEN + 1];

    secret_make(1, a);
    secret_make(2, b);
    (void)snprintf(text, sizeof(text), "[default]\naws_access_key_id = A\naws_secret_access_key = "
                   "%s\naws_session_token = %s\n", a, b);
    host_file(h, keys_file, text);
    host_file(h, "token", b);
    OPENSSL_cleanse(text, sizeof(text));
    OPENSSL_cleanse(a, sizeof(a));
    OPENSSL_cleanse(b, sizeof(b));
}

static void reply_secrets(const char *fmt)
{
    char text[1024], a[SECRET_LEN + 1], b[SECRET_LEN + 1];

    secret_make(1, a);
    secret_make(2, b);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)snprintf(text, sizeof(text), fmt, a, b);
#pragma GCC diagnostic pop
    reply(200, text);
    OPENSSL_cleanse(text, sizeof(text));
    OPENSSL_cleanse(a, sizeof(a));
    OPENSSL_cleanse(b, sizeof(b));
}

/* stdio and printf keep what passed through them on the stack below us. */
static __attribute__((noinline)) void stack_clear(void)
{
    char below[64 * 1024];

    OPENSSL_cleanse(below, sizeof(below));
}

static void expect_secrets(bool held)
{
    for (int which = 1; which <= 2; which++) {
        unsigned all, in_dump;

        stack_clear();
        secret_count(which, &all, &in_dump);
        if (in_dump != 0 || (all != 0) != held)
            fail_msg("secret %d: %u times in memory, %u where it is dumped", which, all, in_dump);
    }
}

static void secrets_are_where_no_core_file_looks_and_then_nowhere(void **state)
{
    static const struct {
        const char *env, *url, *body;
    } rows[] = {
        { "", NULL, NULL },
        { CONTAINER, CONTAINER_URL,
          "{\"AccessKeyId\": \"A\", \"SecretAccessKey\": \"%s\", \"Token\": \"%s\"}" },
        { "AWS_WEB_IDENTITY_TOKEN_FILE=~/token AWS_ROLE_ARN=arn:x", "https://sts.amazonaws.com/",
          "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"
          "<AccessKeyId>A</AccessKeyId><SecretAccessKey>%s</SecretAccessKey><SessionToken>%s"
          "</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>"
          "</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        begin(rows[i].env, false);
        write_secrets(&host, rows[i].url == NULL ? ".aws/credentials" : "other");
        (void)asks(rows[i].url);
        if (rows[i].body != NULL)
            reply_secrets(rows[i].body);
        has("A");
        assert_int_equal(strlen(keys.sign.secret_key), SECRET_LEN);
        assert_int_equal(strlen(keys.sign.session_token), SECRET_LEN);
        expect_secrets(true);
        end();
        expect_secrets(false);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_at_hand_need_no_request),
        cmocka_unit_test(instance_metadata_take_three_requests_and_one_for_the_region),
        cmocka_unit_test(a_region_alone_is_asked_for_too),
        cmocka_unit_test(keys_are_renewed_before_they_expire),
        cmocka_unit_test(at_ten_minutes_renewing_is_tried_before_old_keys_are_used),
        cmocka_unit_test(keys_that_expire_soon_are_not_fetched_without_a_pause),
        cmocka_unit_test(keys_that_have_expired_already_are_for_the_service_to_judge),
        cmocka_unit_test(refused_keys_are_replaced_at_once_and_once),
        cmocka_unit_test(refused_keys_without_others_are_tried_again_after_pauses),
        cmocka_unit_test(failures_are_tried_again_for_ever_a_minute_apart_at_most),
        cmocka_unit_test(errors_say_who_failed_and_how),
        cmocka_unit_test(a_file_that_was_written_anew_is_read_anew),
        cmocka_unit_test(wrong_settings_are_told_at_the_start),
        cmocka_unit_test(secrets_are_where_no_core_file_looks_and_then_nowhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
