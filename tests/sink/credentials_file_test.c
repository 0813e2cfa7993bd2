/*
 * credentials_file: profiles out of odd files, files that are none.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sink/credentials_file.h"

enum { TEXT_BYTES = 4096 };

static char text[TEXT_BYTES];
static struct profile profile;
static struct errmsg err;

static int parse(enum profile_kind kind, const char *name, const char *file)
{
    size_t len = strlen(file);

    assert_in_range(len, 0, TEXT_BYTES - 1);
    memcpy(text, file, len + 1);
    err.text[0] = '\0';
    return profile_parse(text, len, kind, name, &profile, &err);
}

/* access key, region: NULL where there is none. */
static void expect(enum profile_kind kind, const char *name, const char *file,
                   const char *access_key, const char *region)
{
    const char *got_key, *got_region;

    if (parse(kind, name, file) != 0)
        fail_msg("%s: %s", file, err.text);
    got_key = profile.value[PROFILE_ACCESS_KEY];
    got_region = profile.value[PROFILE_REGION];
    if ((got_key == NULL) != (access_key == NULL) || (got_region == NULL) != (region == NULL) ||
        (access_key != NULL && strcmp(access_key, got_key) != 0) ||
        (region != NULL && strcmp(region, got_region) != 0))
        fail_msg("%s: got %s, %s", file, got_key, got_region);
}

static void profiles_are_found_as_botocore_finds_them(void **state)
{
    const enum profile_kind keys = PROFILE_OF_CREDENTIALS, config = PROFILE_OF_CONFIG;

    (void)state;
    expect(keys, "default", "[default]\naws_access_key_id=A\nregion = r\n", "A", "r");
    expect(keys, "b", "[a]\naws_access_key_id=A\n[b]\naws_access_key_id = B", "B", NULL);
    expect(keys, "my name", "[my name]\naws_access_key_id:A\n", "A", NULL);
    expect(keys, "profile b", "[profile b]\naws_access_key_id = A\n", "A", NULL);
    expect(keys, "b", "[profile b]\naws_access_key_id = A\n", NULL, NULL);
    expect(keys, "a]b", "[a]b] behind\naws_access_key_id = A\n", "A", NULL);
    expect(config, "b", "[profile b]\naws_access_key_id = A\n", "A", NULL);
    expect(config, "b", "[profile   b  ]\naws_access_key_id = A\n", "A", NULL);
    expect(config, "my name", "[profile \"my name\"]\nregion = x\n", NULL, "x");
    expect(config, "my name", "[profile 'my name']\nregion = x\n", NULL, "x");
    expect(config, "my name", "[profile my\\ name]\nregion = x\n", NULL, "x");
    expect(config, "a\"b", "[profile \"a\\\"b\"]\nregion = x\n", NULL, "x");
    expect(config, "my", "[profile my name]\nregion = x\n", NULL, NULL);
    expect(config, "b", "[ profile b]\nregion = x\n", NULL, NULL);
    expect(config, "b", "[b]\nregion = x\n", NULL, NULL);
    expect(config, "b", "[profile \"b]\nregion = x\n", NULL, NULL);
    expect(config, "default", "[default]\nregion = x\n", NULL, "x");
    expect(config, "default", "[profile default]\nregion = x\n", NULL, "x");
    expect(config, "default", "[default]\nregion = x\n[profile default]\nregion = y\n", NULL, "y");
    expect(config, "default", "[profile default]\nregion = y\n[default]\nregion = x\n", NULL, "y");
    expect(config, "default", "[sso-session x]\nregion = y\n", NULL, NULL);
    expect(keys, "default", "", NULL, NULL);
    assert_false(profile.found);
    expect(keys, "default", "[default]\n", NULL, NULL);
    assert_true(profile.found);
}

static void values_are_read_as_botocore_reads_them(void **state)
{
    const enum profile_kind keys = PROFILE_OF_CREDENTIALS, config = PROFILE_OF_CONFIG;

    (void)state;
    expect(keys, "default", "[default]\nAWS_Access_Key_ID = A\n", "A", NULL);
    expect(keys, "default", "[default]\r\naws_access_key_id = A\r\nregion=r\r\n", "A", "r");
    expect(keys, "default", "[default]\raws_access_key_id = A\rregion=r", "A", "r");
    expect(keys, "default", "[default]\n\taws_access_key_id\t=\t A  \n\tregion = r\n", "A", "r");
    expect(keys, "default", "  [default]\n  aws_access_key_id = A\n", "A", NULL);
    expect(keys, "default", "[default]\naws_access_key_id = A # no comment ; either\n",
           "A # no comment ; either", NULL);
    expect(keys, "default", "[default]\n# aws_access_key_id = A\n ; region = r\n", NULL, NULL);
    expect(keys, "default", "[default]\naws_access_key_id = =A:B=\n", "=A:B=", NULL);
    expect(keys, "default", "[default]\naws_access_key_id =\n", "", NULL);
    expect(keys, "default", "[default]\naws_access_key_id = \"A\"\n", "\"A\"", NULL);
    expect(keys, "default", "# first\n\n[default]\n\naws_access_key_id = A\n\n\nregion = r\n", "A",
           "r");
    expect(config, "default", "[default]\ns3 =\n  region = no\n  x = y\nregion = r\n", NULL, "r");
    expect(config, "default", "[default]\ns3 =\n  region = no\n # region = no\n\n  region = no\n",
           NULL, NULL);
    expect(config, "default", "[default]\nunknown = 1\nunknown = 2\n[x]\nregion=1\nregion=2\n",
           NULL, NULL);
}

static void mistakes_are_named_by_their_line_and_nothing_else(void **state)
{
    static const struct {
        const char *file, *says;
    } rows[] = {
        { "aws_access_key_id = SECRET\n", "line 1: no [section] has begun" },
        { "\xef\xbb\xbf[default]\n", "line 1: no [section] has begun" },
        { "[default]\n\nSECRET\n", "line 3: neither a [section] nor KEY = VALUE" },
        { "[default]\r\n= SECRET\r\n", "line 2: neither a [section] nor KEY = VALUE" },
        { "[x]\nSECRET\n", "line 2: neither a [section] nor KEY = VALUE" },
        { "[default\n", "line 1: no [section] has begun" },
        { "[]\n", "line 1: a section without a name" },
        { "[default]\n[x]\n[default]\n", "line 3: a second section of profile 'default'" },
        { "[default]\nregion = SECRET\nREGION = SECRET\n",
          "line 3: region is repeated, line 2 has it already" },
        { "[default]\naws_secret_access_key = SECRET\n  SECRET\n",
          "line 3: aws_secret_access_key goes on, by its indentation; it must be one line" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(parse(PROFILE_OF_CREDENTIALS, "default", rows[i].file), -EBADMSG);
        assert_string_equal(err.text, rows[i].says);
    }
    memcpy(text, "[default]\nregion = a\0b\n", 24);
    assert_int_equal(profile_parse(text, 23, PROFILE_OF_CONFIG, "default", &profile, &err),
                     -EBADMSG);
    assert_string_equal(err.text, "not a text: it holds a NUL");
}

static void every_cut_of_a_file_is_read_within_it(void **state)
{
    static const char file[] = "[default]\naws_access_key_id = A\n  s = t\n[profile \"x\\y z\"]\r\n"
                               "region : r\n s3 =\n  a = b\n";

    (void)state;
    for (size_t len = 0; len < sizeof(file); len++)
        for (int kind = 0; kind < 2; kind++) {
            char *cut = malloc(len + 1);    /* its end is watched */
            int res;

            assert_non_null(cut);
            memcpy(cut, file, len);
            cut[len] = '\0';
            res = profile_parse(cut, len, (enum profile_kind)kind, "x\\y z", &profile, &err);
            assert_true(res == 0 || res == -EBADMSG);
            free(cut);
        }
}

static void files_are_read_whole_or_refused(void **state)
{
    char dir[] = "/tmp/hydrant-credentials-XXXXXX", path[64], *big = calloc(1, 65536);
    struct credentials_file file;
    int fd;

    (void)state;
    assert_non_null(big);
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/file", dir);
    assert_int_equal(credentials_file_read(path, &file, &err), -ENOENT);
    assert_null(file.text);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, big, 65535), 65535);
    assert_int_equal(credentials_file_read(path, &file, &err), 0);
    assert_int_equal(file.len, 65535);
    credentials_file_free(&file);
    credentials_file_free(&file);
    assert_int_equal(write(fd, big, 1), 1);
    assert_int_equal(credentials_file_read(path, &file, &err), -EFBIG);
    (void)close(fd);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(credentials_file_read(path, &file, &err), -EINVAL);
    assert_non_null(strstr(err.text, "not a plain file"));
    assert_int_equal(credentials_file_read(dir, &file, &err), -EINVAL);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
    free(big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(profiles_are_found_as_botocore_finds_them),
        cmocka_unit_test(values_are_read_as_botocore_reads_them),
        cmocka_unit_test(mistakes_are_named_by_their_line_and_nothing_else),
        cmocka_unit_test(every_cut_of_a_file_is_read_within_it),
        cmocka_unit_test(files_are_read_whole_or_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
