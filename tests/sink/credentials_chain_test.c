/*
 * credentials_chain: which source wins, by settings x environment x files; each row is a claim.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>

#include "sink/credentials_chain.h"
#include "sink/credentials_host.h"

#define KEYS "AWS_ACCESS_KEY_ID=E AWS_SECRET_ACCESS_KEY=s3cr3t"
#define IDENTITY "AWS_WEB_IDENTITY_TOKEN_FILE=~/token AWS_ROLE_ARN=arn:e"
#define CONTAINER "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/c"
#define NO_IMDS "AWS_EC2_METADATA_DISABLED=true"
#define FILE_KEYS "aws_access_key_id=F\naws_secret_access_key=s3cr3t\n"
#define CONFIG_KEYS "aws_access_key_id=G\naws_secret_access_key=s3cr3t\n"

struct row {
    const char *config;         /* "access_key profile region" of the sink, "-": not set; or NULL */
    const char *env;
    const char *credentials, *shared_config;    /* the files; NULL: not there */
    enum credentials_source source;
    const char *says;           /* the access key, the URL that is asked, or part of the error */
};

static const struct row rows[] = {
    /* 1. What the sink is configured with goes before all. */
    { "C - -", KEYS " " IDENTITY " " CONTAINER, "[default]\n" FILE_KEYS, "[default]\n" CONFIG_KEYS,
      CREDENTIALS_CONFIGURED, "C" },
    { "C - -", "AWS_PROFILE=missing", "broken", NULL, CREDENTIALS_CONFIGURED, "C" },

    /* 2. The environment. */
    { NULL, KEYS " " IDENTITY " " CONTAINER, "[default]\n" FILE_KEYS, NULL,
      CREDENTIALS_ENVIRONMENT, "E" },
    { NULL, KEYS, "broken", NULL, CREDENTIALS_ENVIRONMENT, "E" },
    { NULL, KEYS " AWS_PROFILE=a", "[a]\n" FILE_KEYS, NULL, CREDENTIALS_ENVIRONMENT, "E" },
    { "- a -", KEYS, "[a]\n" FILE_KEYS, NULL, CREDENTIALS_CREDENTIALS_FILE, "F" },
    { NULL, "AWS_ACCESS_KEY_ID=E " CONTAINER, "[default]\n" FILE_KEYS, NULL,
      CREDENTIALS_SOURCE_COUNT, "environment: AWS_ACCESS_KEY_ID is set, AWS_SECRET_ACCESS_KEY is" },
    { NULL, "AWS_ACCESS_KEY_ID= AWS_SECRET_ACCESS_KEY=s3cr3t", "[default]\n" FILE_KEYS, NULL,
      CREDENTIALS_CREDENTIALS_FILE, "F" },
    { NULL, "AWS_SECRET_ACCESS_KEY=s3cr3t", "[default]\n" FILE_KEYS, NULL,
      CREDENTIALS_CREDENTIALS_FILE, "F" },

    /* 3. A web identity, of the environment or of the profile. */
    { NULL, IDENTITY " " CONTAINER, "[default]\n" FILE_KEYS, NULL, CREDENTIALS_WEB_IDENTITY,
      "https://sts.amazonaws.com/" },
    { NULL, IDENTITY " AWS_REGION=eu-west-1", NULL, NULL, CREDENTIALS_WEB_IDENTITY,
      "https://sts.eu-west-1.amazonaws.com/" },
    { NULL, IDENTITY " AWS_REGION=eu-west-1 AWS_STS_REGIONAL_ENDPOINTS=legacy", NULL, NULL,
      CREDENTIALS_WEB_IDENTITY, "https://sts.amazonaws.com/" },
    { NULL, IDENTITY, NULL, "[default]\nregion=x-1\nsts_regional_endpoints=legacy\n",
      CREDENTIALS_WEB_IDENTITY, "https://sts.amazonaws.com/" },
    { NULL, IDENTITY, NULL, "[default]\nregion=x-1\n", CREDENTIALS_WEB_IDENTITY,
      "https://sts.x-1.amazonaws.com/" },
    { NULL, IDENTITY " AWS_ENDPOINT_URL=http://a AWS_ENDPOINT_URL_STS=http://b", NULL, NULL,
      CREDENTIALS_WEB_IDENTITY, "http://b/" },
    { NULL, IDENTITY " AWS_ENDPOINT_URL=http://a", NULL, NULL, CREDENTIALS_WEB_IDENTITY,
      "http://a/" },
    { NULL, IDENTITY " AWS_ENDPOINT_URL=http://a AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true", NULL,
      NULL, CREDENTIALS_WEB_IDENTITY, "https://sts.amazonaws.com/" },
    { NULL, IDENTITY " AWS_ENDPOINT_URL=a:b@c", NULL, NULL, CREDENTIALS_SOURCE_COUNT,
      "web identity: the endpoint of STS is no URL" },
    { NULL, "AWS_WEB_IDENTITY_TOKEN_FILE=~/token", NULL, "[default]\nrole_arn=arn:p\n",
      CREDENTIALS_WEB_IDENTITY, "https://sts.amazonaws.com/" },
    { NULL, "AWS_WEB_IDENTITY_TOKEN_FILE=~/token", NULL, NULL, CREDENTIALS_SOURCE_COUNT,
      "neither AWS_ROLE_ARN nor role_arn" },
    { NULL, "AWS_WEB_IDENTITY_TOKEN_FILE=~/missing AWS_ROLE_ARN=arn:e", "[default]\n" FILE_KEYS,
      NULL, CREDENTIALS_SOURCE_COUNT, "missing: No such file or directory" },
    { NULL, "AWS_WEB_IDENTITY_TOKEN_FILE=~/other AWS_ROLE_ARN=arn:e", NULL, NULL,
      CREDENTIALS_SOURCE_COUNT, "/other: is empty" },
    { NULL, "AWS_ROLE_ARN=arn:e", "[default]\n" FILE_KEYS, NULL, CREDENTIALS_CREDENTIALS_FILE,
      "F" },
    { NULL, "", NULL, "[default]\nrole_arn=arn:p\nweb_identity_token_file=/etc/hostname\n",
      CREDENTIALS_WEB_IDENTITY, "https://sts.amazonaws.com/" },
    { "- a -", IDENTITY, "[a]\n" FILE_KEYS, NULL, CREDENTIALS_CREDENTIALS_FILE, "F" },
    { "- a -", KEYS, NULL, "[profile a]\nrole_arn=arn:p\nweb_identity_token_file=/etc/hostname\n",
      CREDENTIALS_WEB_IDENTITY, "https://sts.amazonaws.com/" },

    /* 4. The shared files: which profile, which file. */
    { NULL, CONTAINER, "[default]\n" FILE_KEYS, "[default]\n" CONFIG_KEYS,
      CREDENTIALS_CREDENTIALS_FILE, "F" },
    { NULL, CONTAINER, NULL, "[default]\n" CONFIG_KEYS, CREDENTIALS_CONFIG_FILE, "G" },
    { NULL, CONTAINER, "[default]\nregion=x\n", "[default]\n" CONFIG_KEYS,
      CREDENTIALS_CONFIG_FILE, "G" },
    { NULL, "AWS_PROFILE=a", "[default]\n" FILE_KEYS, "[profile a]\n" CONFIG_KEYS,
      CREDENTIALS_CONFIG_FILE, "G" },
    { NULL, "AWS_DEFAULT_PROFILE=a", "[a]\n" FILE_KEYS, NULL, CREDENTIALS_CREDENTIALS_FILE, "F" },
    { "- a -", "AWS_PROFILE=b", "[a]\n" FILE_KEYS "[b]\nregion=x\n", NULL,
      CREDENTIALS_CREDENTIALS_FILE, "F" },
    { NULL, "AWS_PROFILE=a", "[default]\n" FILE_KEYS, "[a]\n" CONFIG_KEYS,
      CREDENTIALS_SOURCE_COUNT, "profile 'a' is neither in " },
    { "- a -", KEYS, "[default]\n" FILE_KEYS, NULL, CREDENTIALS_SOURCE_COUNT,
      "profile 'a' is neither in " },
    { NULL, "AWS_SHARED_CREDENTIALS_FILE=~/token", "[default]\n" FILE_KEYS, NULL,
      CREDENTIALS_SOURCE_COUNT, "/token: line 1: no [section] has begun" },
    { NULL, "AWS_SHARED_CREDENTIALS_FILE=~/missing AWS_CONFIG_FILE=~/.aws/credentials",
      "[default]\n" CONFIG_KEYS, NULL, CREDENTIALS_CONFIG_FILE, "G" },
    { NULL, "", "[default]\naws_access_key_id=F\n", "[default]\n" CONFIG_KEYS,
      CREDENTIALS_SOURCE_COUNT, "profile 'default': aws_access_key_id without aws_secret_access" },
    { NULL, "", "[default]\naws_access_key_id=\naws_secret_access_key=s3cr3t\n", NULL,
      CREDENTIALS_SOURCE_COUNT, "the access key is empty" },
    { NULL, CONTAINER, "broken", NULL, CREDENTIALS_SOURCE_COUNT, "/.aws/credentials: line 1: " },
    { NULL, CONTAINER, NULL, "[default]\nbroken", CREDENTIALS_SOURCE_COUNT,
      "/.aws/config: line 2: " },
    { NULL, CONTAINER, "[default]\n" FILE_KEYS,
      "[default]\nrole_arn=arn:p\nsource_profile=b\n[profile b]\n" CONFIG_KEYS,
      CREDENTIALS_SOURCE_COUNT, "by role_arn and source_profile, which is not offered" },
    { NULL, CONTAINER, "[default]\nrole_arn=arn:p\n" FILE_KEYS, NULL, CREDENTIALS_SOURCE_COUNT,
      "by role_arn, which is not offered" },
    { NULL, CONTAINER, "[default]\n" FILE_KEYS, "[default]\ncredential_process=/bin/x\n",
      CREDENTIALS_CREDENTIALS_FILE, "F" },
    { NULL, CONTAINER, NULL, "[default]\ncredential_process=/bin/x\n" CONFIG_KEYS,
      CREDENTIALS_SOURCE_COUNT, "by credential_process, which is not offered" },
    { NULL, CONTAINER, "[default]\n" FILE_KEYS, "[default]\nsso_role_name=x\n",
      CREDENTIALS_SOURCE_COUNT, "by single sign-on, which is not offered" },

    /* 5. A container. */
    { NULL, CONTAINER, NULL, NULL, CREDENTIALS_CONTAINER, "http://169.254.170.2/c" },
    { NULL, CONTAINER " AWS_CONTAINER_CREDENTIALS_FULL_URI=http://localhost/f", NULL, NULL,
      CREDENTIALS_CONTAINER, "http://169.254.170.2/c" },
    { NULL, "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://localhost/f " NO_IMDS, "[default]\n", NULL,
      CREDENTIALS_CONTAINER, "http://localhost/f" },
    { "- a -", CONTAINER, "[a]\n", NULL, CREDENTIALS_CONTAINER, "http://169.254.170.2/c" },
    { NULL, "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://example.com/f", NULL, NULL,
      CREDENTIALS_SOURCE_COUNT, "container: AWS_CONTAINER_CREDENTIALS_FULL_URI must be https" },
    { NULL, CONTAINER " AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=~/missing", NULL, NULL,
      CREDENTIALS_SOURCE_COUNT, "container: /tmp/hydrant-credentials-" },

    /* 6. The instance metadata. */
    { NULL, "", NULL, NULL, CREDENTIALS_METADATA, "http://169.254.169.254/latest/api/token" },
    { NULL, "AWS_EC2_METADATA_DISABLED=false", "[b]\n" FILE_KEYS, "[profile b]\n" CONFIG_KEYS,
      CREDENTIALS_METADATA, "http://169.254.169.254/latest/api/token" },
    { NULL, "AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:1338/", NULL, NULL,
      CREDENTIALS_METADATA, "http://127.0.0.1:1338/latest/api/token" },
    { NULL, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE=IPv6", NULL, NULL, CREDENTIALS_METADATA,
      "http://[fd00:ec2::254]/latest/api/token" },
    { NULL, "", NULL, "[default]\nec2_metadata_service_endpoint=http://x\n", CREDENTIALS_METADATA,
      "http://x/latest/api/token" },
    { NULL, "", NULL, "[default]\nec2_metadata_service_endpoint_mode=ipv6\n", CREDENTIALS_METADATA,
      "http://[fd00:ec2::254]/latest/api/token" },
    { NULL, NO_IMDS, NULL, NULL, CREDENTIALS_SOURCE_COUNT,
      "no credentials: tried access_key, AWS_ACCESS_KEY_ID, AWS_WEB_IDENTITY_TOKEN_FILE, profile "
      "'default' in /tmp/hydrant-credentials-" },
    { NULL, "AWS_EC2_METADATA_DISABLED=TRUE", NULL, NULL, CREDENTIALS_SOURCE_COUNT,
      "AWS_CONTAINER_CREDENTIALS_*, instance metadata (AWS_EC2_METADATA_DISABLED is true): set up "
      "one of them" },
};

static struct credentials_chain chain;
static struct credentials_ask ask;
static struct credentials_set set;

/* The words of a row's first column. */
static struct credentials_config config_of(struct host *h, const char *words, char text[3][32])
{
    struct credentials_config config = { .env = host_env, .env_ctx = h };

    if (words == NULL)
        return config;
    assert_int_equal(sscanf(words, "%31s %31s %31s", text[0], text[1], text[2]), 3);
    config.access_key = text[0][0] != '-' ? text[0] : NULL;
    config.secret_key = config.access_key != NULL ? "s3cr3t" : "";
    config.profile = text[1][0] != '-' ? text[1] : "";
    config.region = text[2][0] != '-' ? text[2] : NULL;
    return config;
}

static void check_row(struct host *h, size_t i)
{
    const struct row *row = &rows[i];
    enum credentials_source source;
    struct credentials_config config;
    struct errmsg err = { .text = "" };
    char words[3][32];
    const char *got = err.text;
    int res;

    h->env = row->env;
    host_file(h, ".aws/credentials", row->credentials);
    host_file(h, ".aws/config", row->shared_config);
    config = config_of(h, row->config, words);
    assert_int_equal(credentials_chain_init(&chain, &config, &err), 0);
    res = credentials_chain_find(&chain, 1, &source, &set, &ask, &err);
    if (res == 0)
        got = source == CREDENTIALS_WEB_IDENTITY || source >= CREDENTIALS_CONTAINER
                  ? ask.request.url : set.access_key;
    if ((res == 0) != (row->source != CREDENTIALS_SOURCE_COUNT) ||
        (res == 0 && (source != row->source || strcmp(got, row->says) != 0)) ||
        (res != 0 && strstr(got, row->says) == NULL) || strstr(got, "s3cr3t") != NULL)
        fail_msg("row %zu (%s): %d, %s: %s", i, row->env, res, credentials_source_name(source),
                 got);
    credentials_chain_fini(&chain);
}

static void the_first_source_that_is_set_up_wins(void **state)
{
    struct host h;

    (void)state;
    host_init(&h);
    host_file(&h, "token", "s3cr3t.token\n");
    host_file(&h, "other", "\n \n");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        check_row(&h, i);
    host_fini(&h);
}

static void regions_are_found_in_their_order(void **state)
{
    static const struct {
        const char *config, *env, *shared_config, *region;  /* NULL: none; "!": a mistake */
    } cases[] = {
        { "- - x-1", "AWS_REGION=x-2 AWS_DEFAULT_REGION=x-3", "[default]\nregion=x-4\n", "x-1" },
        { NULL, "AWS_REGION=x-2 AWS_DEFAULT_REGION=x-3", "[default]\nregion=x-4\n", "x-2" },
        { NULL, "AWS_DEFAULT_REGION=x-3", "broken", "x-3" },
        { NULL, "AWS_REGION=", "[default]\nregion=x-4\n", "x-4" },
        { NULL, "AWS_PROFILE=a", "[default]\nregion=x-4\n[profile a]\nregion=x-5", "x-5" },
        { NULL, "", "[default]\nregion=\n", NULL },
        { NULL, "", NULL, NULL },
        { NULL, "", "broken", "!" },
        { NULL, "AWS_REGION=evil.com/", "[default]\nregion=x-4\n", "!" },
        { NULL, "", "[default]\nregion=a b\n", "!" },
    };
    char region[CREDENTIALS_NAME_BYTES], words[3][32];
    struct errmsg err;
    struct host h;

    (void)state;
    host_init(&h);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct credentials_config config = config_of(&h, cases[i].config, words);
        int res;

        h.env = cases[i].env;
        host_file(&h, ".aws/config", cases[i].shared_config);
        assert_int_equal(credentials_chain_init(&chain, &config, &err), 0);
        res = credentials_chain_region(&chain, region, &err);
        if (cases[i].region == NULL)
            assert_int_equal(res, -ENOENT);
        else if (cases[i].region[0] == '!')
            assert_true(res == -EINVAL || res == -EBADMSG);
        else
            assert_string_equal(region, cases[i].region);
        credentials_chain_fini(&chain);
    }
    host_fini(&h);
}

static void mistakes_of_the_sink_are_told_at_once(void **state)
{
    static const struct {
        struct credentials_config config;
        const char *says;
    } cases[] = {
        { { .access_key = "A" }, "secret_key is missing" },
        { { .secret_key = "s3cr3t" }, "access_key is missing" },
        { { .session_token = "s3cr3t" }, "session_token without access_key" },
        { { .access_key = "A", .secret_key = "s3cr3t\n" }, "character 7 of the secret key" },
        { { .region = "a/b" }, "region 'a/b' is no name of a region" },
        { { .profile = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                       "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" },
          "profile is longer than 128 characters" },
    };
    struct errmsg err;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(credentials_chain_init(&chain, &cases[i].config, &err), -EINVAL);
        assert_non_null(strstr(err.text, cases[i].says));
        assert_null(strstr(err.text, "s3cr3t"));
        credentials_chain_fini(&chain);
    }
}

static void tokens_are_read_anew_each_time(void **state)
{
    struct credentials_config config = { .env = host_env };
    enum credentials_source source;
    struct errmsg err;
    struct host h;

    (void)state;
    host_init(&h);
    config.env_ctx = &h;
    h.env = CONTAINER " AWS_CONTAINER_AUTHORIZATION_TOKEN=no "
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=~/token";
    assert_int_equal(credentials_chain_init(&chain, &config, &err), 0);
    for (int i = 0; i < 2; i++) {
        host_file(&h, "token", i == 0 ? "first\n" : "second");
        assert_int_equal(credentials_chain_find(&chain, 1, &source, &set, &ask, &err), 0);
        assert_string_equal(request_header_find(&ask.request, "authorization"),
                            i == 0 ? "first" : "second");
    }
    h.env = IDENTITY " AWS_ROLE_SESSION_NAME=me";
    assert_int_equal(credentials_chain_find(&chain, 1, &source, &set, &ask, &err), 0);
    ask.body[ask.body_len] = '\0';
    assert_non_null(strstr(ask.body,
                           "&RoleArn=arn%3Ae&RoleSessionName=me&WebIdentityToken=second"));
    h.env = IDENTITY;
    assert_int_equal(credentials_chain_find(&chain, 1790000000123456789, &source, &set, &ask, &err),
                     0);
    ask.body[ask.body_len] = '\0';
    assert_non_null(strstr(ask.body, "&RoleSessionName=hydrant-1790000000&"));
    credentials_chain_fini(&chain);
    host_fini(&h);
}

static void older_names_of_tokens_go_first(void **state)
{
    struct credentials_config config = { .env = host_env };
    enum credentials_source source;
    struct errmsg err;
    struct host h;

    (void)state;
    host_init(&h);
    config.env_ctx = &h;
    assert_int_equal(credentials_chain_init(&chain, &config, &err), 0);
    h.env = KEYS " AWS_SESSION_TOKEN=new";
    assert_int_equal(credentials_chain_find(&chain, 1, &source, &set, &ask, &err), 0);
    assert_string_equal(set.session_token, "new");
    h.env = KEYS " AWS_SESSION_TOKEN=new AWS_SECURITY_TOKEN=old";
    assert_int_equal(credentials_chain_find(&chain, 1, &source, &set, &ask, &err), 0);
    assert_string_equal(set.session_token, "old");
    h.env = "";
    host_file(&h, ".aws/credentials", "[default]\n" FILE_KEYS "aws_session_token = new\n"
              "aws_security_token = old\n");
    assert_int_equal(credentials_chain_find(&chain, 1, &source, &set, &ask, &err), 0);
    assert_string_equal(set.session_token, "old");
    assert_string_equal(set.secret_key, "s3cr3t");
    credentials_chain_fini(&chain);
    host_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_source_that_is_set_up_wins),
        cmocka_unit_test(regions_are_found_in_their_order),
        cmocka_unit_test(mistakes_of_the_sink_are_told_at_once),
        cmocka_unit_test(tokens_are_read_anew_each_time),
        cmocka_unit_test(older_names_of_tokens_go_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
