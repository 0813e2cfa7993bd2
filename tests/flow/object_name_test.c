/*
 * object_name: prefixes and keys, by golden outputs and golden errors.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "flow/object_name.h"
#include "flow/settings.h"

/* Tuesday, 3 February 2026, 04:05:06.007008009 */
#define EARLY_NS 1770091506007008009ULL
/* Thursday, 31 December 2020, 23:59:59.999999999, day 366 */
#define LATE_NS 1609459199999999999ULL
/* Monday, 1 January 2024, 12:00:00 */
#define NOON_NS 1704110400000000000ULL
/* Monday, 1 January 2024, 00:00:00 */
#define MIDNIGHT_NS 1704067200000000000ULL

static void expect_at(uint64_t time_ns, const char *prefix, const char *expected)
{
    const struct expression_values values = {
        .time_ns = time_ns,
        .random_string = "Ab3dEf6hIj9",
    };
    struct errmsg err = { "" };
    char text[OBJECT_KEY_MAX];

    if (prefix_check(prefix, false, &err) != 0)
        fail_msg("%s: %s", prefix, err.text);
    assert_int_equal(prefix_render(prefix, &values, text, sizeof(text)), 0);
    assert_string_equal(text, expected);
}

static void expect(const char *prefix, const char *expected)
{
    expect_at(EARLY_NS, prefix, expected);
}

static void refuse(const char *prefix, const char *expected)
{
    struct errmsg err = { "" };

    assert_int_equal(prefix_check(prefix, false, &err), -EINVAL);
    assert_string_equal(err.text, expected);
    assert_int_equal(prefix_check(prefix, false, NULL), -EINVAL);
}

static void keeps_what_is_literal(void **state)
{
    (void)state;
    expect("", "");
    expect("logs/", "logs/");
    expect("logs", "logs");
    expect("a/b-c.d/yyyy/", "a/b-c.d/yyyy/");
    expect("a!b/{c}/$!", "a!b/{c}/$!");
}

static void renders_the_pattern_of_the_manual(void **state)
{
    (void)state;
    expect("!{timestamp:yyyy/MM/dd/HH}/", "2026/02/03/04/");
    expect("year=!{timestamp:yyyy}/month=!{timestamp:MM}/", "year=2026/month=02/");
    expect("!{timestamp:'dt='yyyy-MM-dd}/h-", "dt=2026-02-03/h-");
}

static void renders_every_letter_as_java_does(void **state)
{
    (void)state;
    expect("!{timestamp:y yy yyy yyyy yyyyyy}", "2026 26 2026 2026 002026");
    expect("!{timestamp:u uu uuu uuuu}", "2026 26 2026 2026");
    expect("!{timestamp:M MM MMM MMMM MMMMM}", "2 02 Feb February F");
    expect("!{timestamp:L LL LLL LLLL}", "2 02 Feb February");
    expect("!{timestamp:d dd}", "3 03");
    expect("!{timestamp:D DD DDD}", "34 34 034");
    expect("!{timestamp:E EE EEE EEEE EEEEE}", "Tue Tue Tue Tuesday T");
    expect("!{timestamp:H HH h hh k kk K KK a}", "4 04 4 04 4 04 4 04 AM");
    expect("!{timestamp:m mm s ss}", "5 05 6 06");
    expect("!{timestamp:S SSS SSSSSS SSSSSSSSS}", "0 007 007008 007008009");
    expect("!{timestamp:n nnnnnnnnn}", "7008009 007008009");
    expect_at(LATE_NS, "!{timestamp:yyyy-MMM-dd E DDD HH hh kk KK a mm ss SSS n}",
              "2020-Dec-31 Thu 366 23 11 23 11 PM 59 59 999 999999999");
    expect_at(NOON_NS, "!{timestamp:H h k K a D}", "12 12 12 0 PM 1");
    expect_at(MIDNIGHT_NS, "!{timestamp:H h k K a DDD}", "0 12 24 0 AM 001");
    expect_at(0, "!{timestamp:yyyy-MM-dd EEEE}", "1970-01-01 Thursday");
}

static void quotes_are_literal_in_patterns_and_plain_outside(void **state)
{
    (void)state;
    expect("!{timestamp:'year'''yyyy}", "year'2026");
    expect("!{timestamp:''yy''}", "'26'");
    expect("!{timestamp:'it''s' yy}", "it's 26");
    expect("!{timestamp:'}'yy'{[#'}", "}26{[#");
    expect("!{timestamp:'a/b'/yy}", "a/b/26");
    expect("it's", "it's");
}

static void puts_in_the_random_string(void **state)
{
    (void)state;
    expect("!{firehose:random-string}/x", "Ab3dEf6hIj9/x");
    expect("a!{firehose:random-string}b/!{timestamp:yy}", "aAb3dEf6hIj9b/26");
}

static void names_the_fault_and_its_place(void **state)
{
    (void)state;
    refuse("a/!{timestamp:yyyy/QQ}", "column 20: pattern letter 'Q' is not supported");
    refuse("!{timestamp:YYYY}", "column 13: pattern letter 'Y' is not supported");
    refuse("!{timestamp:yyyy-MM-dd'T'HH:mmZ}", "column 31: pattern letter 'Z' is not supported");
    refuse("!{timestamp:HHH}", "column 13: pattern letter 'H' at most 2 times");
    refuse("!{timestamp:MMMMMM}", "column 13: pattern letter 'M' at most 5 times");
    refuse("!{timestamp:SSSSSSSSSS}", "column 13: pattern letter 'S' at most 9 times");
    refuse("!{timestamp:aa}", "column 13: pattern letter 'a' at most 1 times");
    refuse("!{timestamp:yyyyyyyyyyyyyyyyyyyy}", "column 13: pattern letter 'y' at most 19 times");
    refuse("!{timestamp:'yy}", "column 13: quote without end");
    refuse("!{timestamp:yy", "column 13: timestamp pattern without '}'");
    refuse("!{timestamp:}", "column 13: empty timestamp pattern");
    refuse("!{timestamp:yy[mm]}", "column 15: '[' must stand in quotes in a pattern");
    refuse("a!{timestamp", "column 2: '!{' without '}'");
    refuse("!{", "column 1: '!{' without '}'");
    refuse("x/!{firehose:nothing}",
           "column 3: unknown expression !{firehose:nothing}; there are timestamp:PATTERN, "
           "firehose:random-string and firehose:error-output-type");
    refuse("!{}", "column 1: unknown expression !{}; there are timestamp:PATTERN, "
           "firehose:random-string and firehose:error-output-type");
    refuse("p/!{partitionKeyFromQuery:country}/",
           "column 3: !{partitionKeyFromQuery:country}: name the field in partition_by instead; "
           "its folder follows the prefix");
    refuse("!{firehose:error-output-type}/",
           "column 1: !{firehose:error-output-type} belongs in error_prefix");
}

static void refuses_components_that_are_no_names(void **state)
{
    (void)state;
    refuse("/a", "column 1: begins with a slash");
    refuse("/", "column 1: begins with a slash");
    refuse("a//b", "column 3: two slashes with nothing between");
    refuse("!{timestamp:yyyy//MM}", "column 18: two slashes with nothing between");
    refuse("../a", "column 1: '..' is not allowed between slashes");
    refuse("a/./b", "column 3: '.' is not allowed between slashes");
    refuse("a/..", "column 3: '..' is not allowed between slashes");
    refuse(".hydrant/x", "column 1: '.hydrant' is not allowed between slashes");
    expect(".a/..b/...", ".a/..b/...");
    expect(".hydrants/", ".hydrants/");
    expect("!{timestamp:'.'}!{timestamp:yy}/", ".26/");
}

static void encodes_control_characters(void **state)
{
    (void)state;
    expect("a\nb\x7f/\x01", "a%0Ab%7F/%01");
    expect("\xc3\xa4%20", "\xc3\xa4%20");
}

static struct object_name_parts parts_make(void)
{
    return (struct object_name_parts){
        .stream = "orders",
        .prefix = "2026/02/",
        .agent = "host1",
        .extension = "json",
        .name_time_ns = EARLY_NS,
        .id = { .epoch = 0x1122334455667788, .shard = 7, .number = 42 },
    };
}

static void expect_error_key(const char *error_prefix, const char *type, const char *expected)
{
    const struct expression_values values = {
        .time_ns = EARLY_NS,
        .random_string = "Ab3dEf6hIj9",
        .error_output_type = type,
    };
    struct object_name_parts parts = parts_make();
    char prefix[PREFIX_BYTES_MAX + 1], key[OBJECT_KEY_MAX + 1];
    struct errmsg err = { "" };

    assert_int_equal(prefix_check(error_prefix, true, &err), 0);
    assert_int_equal(prefix_render(error_prefix, &values, prefix, sizeof(prefix)), 0);
    parts.prefix = prefix;
    assert_int_equal(object_name_render(&parts, key, sizeof(key)), 0);
    assert_string_equal(key, expected);
}

static void the_error_output_type_is_for_error_prefixes(void **state)
{
    const char *prefix = "errors/!{firehose:error-output-type}/!{timestamp:yyyy}";
    const struct expression_values values = {
        .time_ns = EARLY_NS,
        .random_string = "Ab3dEf6hIj9",
        .error_output_type = "processing-failed",
    };
    struct errmsg err = { "" };
    char text[OBJECT_KEY_MAX];

    (void)state;
    assert_int_equal(prefix_check(prefix, true, &err), 0);
    assert_int_equal(prefix_render(prefix, &values, text, sizeof(text)), 0);
    assert_string_equal(text, "errors/processing-failed/2026");
    expect_error_key(SETTINGS_ERROR_PREFIX, "processing-failed",
                     "orders/errors/processing-failed/"
                     "20260203040506-host1-1122334455667788-007-0000000042.json");
    expect_error_key(SETTINGS_ERROR_PREFIX, "format-conversion-failed",
                     "orders/errors/format-conversion-failed/"
                     "20260203040506-host1-1122334455667788-007-0000000042.json");
    expect_error_key("bad-!{firehose:error-output-type}-", "processing-failed",
                     "orders/bad-processing-failed-"
                     "20260203040506-host1-1122334455667788-007-0000000042.json");
    assert_int_equal(prefix_check("plain/", true, &err), 0);
}

static void a_value_cannot_leave_its_component(void **state)
{
    static const struct {
        const char *prefix, *value, *expected;
    } cases[] = {
        { "e/!{firehose:error-output-type}/x", "a/../b", "e/a%2F..%2Fb/x" },
        { "e/!{firehose:error-output-type}/x", "..", "e/%2E./x" },
        { "e/!{firehose:error-output-type}", ".", "e/%2E" },
        { "e/.!{firehose:error-output-type}/", ".", "e/%2E./" },
        { "!{firehose:error-output-type}/x", ".hydrant", "%2Ehydrant/x" },
        { "e/!{firehose:error-output-type}/x", "", "e/x" },
        { "!{firehose:error-output-type}/x", "", "x" },
        { "e/!{firehose:error-output-type}", "", "e/" },
        { "e/!{firehose:error-output-type}", "a\n%\x7f", "e/a%0A%25%7F" },
    };
    char text[OBJECT_KEY_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct expression_values values = {
            .random_string = "Ab3dEf6hIj9",
            .error_output_type = cases[i].value,
        };

        assert_int_equal(prefix_check(cases[i].prefix, true, NULL), 0);
        assert_int_equal(prefix_render(cases[i].prefix, &values, text, sizeof(text)), 0);
        assert_string_equal(text, cases[i].expected);
    }
}

static void refuses_prefixes_that_may_come_out_too_long(void **state)
{
    char prefix[700];
    char text[16];
    const struct expression_values values = { .random_string = "Ab3dEf6hIj9" };

    (void)state;
    memset(prefix, 'a', sizeof(prefix));
    for (size_t i = 100; i < sizeof(prefix); i += 101)
        prefix[i] = '/';
    prefix[505] = '\0';
    expect(prefix, prefix);
    prefix[505] = 'a';
    prefix[520] = '\0';
    refuse(prefix, "may come out longer than 512 bytes, or than 255 between slashes");

    memset(prefix, 'a', 256);
    memcpy(prefix + 256, "/x", 3);
    refuse(prefix, "may come out longer than 512 bytes, or than 255 between slashes");
    prefix[116] = '\0';
    refuse(prefix, "may come out with more than 115 bytes behind the last slash, where the file's "
           "name follows");
    prefix[115] = '\0';
    expect(prefix, prefix);
    /* The month counts as two digits, also when the check is made in one of the others. */
    memcpy(prefix + 114, "!{timestamp:M}", 15);
    refuse(prefix, "may come out with more than 115 bytes behind the last slash, where the file's "
           "name follows");
    assert_int_equal(prefix_render("0123456789abcdef", &values, text, sizeof(text)),
                     -ENAMETOOLONG);
    assert_int_equal(prefix_render("0123456789abcde", &values, text, sizeof(text)), 0);
    assert_int_equal(prefix_render("", &values, text, 0), -ENAMETOOLONG);
}

static void renders_the_whole_key(void **state)
{
    struct object_name_parts parts = parts_make();
    char key[OBJECT_KEY_MAX + 1];

    (void)state;
    assert_int_equal(object_name_render(&parts, key, sizeof(key)), 0);
    assert_string_equal(
        key, "orders/2026/02/20260203040506-host1-1122334455667788-007-0000000042.json");
    parts.epoch_name = true;
    parts.compression = ".gz";
    assert_int_equal(object_name_render(&parts, key, sizeof(key)), 0);
    assert_string_equal(
        key, "orders/2026/02/1770091506-host1-1122334455667788-007-0000000042.json.gz");
    parts.stream = NULL;
    parts.prefix = "";
    parts.id = (struct batch_id){ 0 };
    assert_int_equal(object_name_render(&parts, key, sizeof(key)), 0);
    assert_string_equal(key, "1770091506-host1-0000000000000000-000-0000000000.json.gz");
    parts.prefix = "file-prefix-";
    parts.epoch_name = false;
    assert_int_equal(object_name_render(&parts, key, sizeof(key)), 0);
    assert_string_equal(key,
                        "file-prefix-20260203040506-host1-0000000000000000-000-0000000000.json.gz");
}

static void partitions_stand_between_prefix_and_name(void **state)
{
    struct object_name_parts parts = parts_make();
    char key[OBJECT_KEY_MAX + 1];

    (void)state;
    parts.partitions = "country=DE/city=Berlin/";
    parts.extension = "csv";
    parts.compression = ".zst";
    assert_int_equal(object_name_render(&parts, key, sizeof(key)), 0);
    assert_string_equal(key, "orders/2026/02/country=DE/city=Berlin/"
                        "20260203040506-host1-1122334455667788-007-0000000042.csv.zst");
    parts.stream = NULL;
    parts.prefix = "";
    parts.extension = "parquet";
    parts.compression = "";
    parts.partitions = "a=%2F/";
    assert_int_equal(object_name_render(&parts, key, sizeof(key)), 0);
    assert_string_equal(key, "a=%2F/20260203040506-host1-1122334455667788-007-0000000042.parquet");
    parts.partitions = "";
    assert_int_equal(object_name_render(&parts, key, sizeof(key)), 0);
    assert_string_equal(key, "20260203040506-host1-1122334455667788-007-0000000042.parquet");
}

/* Everything at its longest has a key: no batch is ever found to have none when it is sealed. */
static void what_the_limits_allow_has_a_key(void **state)
{
    char stream[STREAM_NAME_MAX + 1], agent[65], key[OBJECT_KEY_MAX + 1];
    char prefix[PREFIX_BYTES_MAX + 1], partitions[PARTITIONS_BYTES_MAX + 1];
    struct object_name_parts parts = parts_make();

    (void)state;
    memset(stream, 's', sizeof(stream));
    stream[sizeof(stream) - 1] = '\0';
    memset(agent, 'a', sizeof(agent));
    agent[sizeof(agent) - 1] = '\0';
    memset(prefix, 'p', sizeof(prefix));
    memset(partitions, 'k', sizeof(partitions));
    prefix[170] = prefix[340] = partitions[160] = partitions[PARTITIONS_BYTES_MAX - 1] = '/';
    partitions[PARTITIONS_BYTES_MAX] = '\0';
    prefix[PREFIX_PARTITIONED_BYTES_MAX - 1] = '/';
    prefix[PREFIX_PARTITIONED_BYTES_MAX] = '\0';
    parts = (struct object_name_parts){
        .stream = stream, .prefix = prefix, .partitions = partitions, .agent = agent,
        .extension = "parquet", .compression = ".lz4", .name_time_ns = UINT64_MAX,
        .id = { UINT64_MAX, UINT16_MAX, UINT64_MAX },
    };
    assert_int_equal(object_name_render(&parts, key, sizeof(key)), 0);
    memset(prefix + 341, 'p', PREFIX_BYTES_MAX - 341);
    prefix[430] = prefix[PREFIX_BYTES_MAX - 1] = '/';
    prefix[PREFIX_BYTES_MAX] = '\0';
    parts.partitions = NULL;
    assert_int_equal(object_name_render(&parts, key, sizeof(key)), 0);
    parts.partitions = partitions;
    assert_int_equal(object_name_render(&parts, key, sizeof(key)), -ENAMETOOLONG);
    memset(partitions, 'k', sizeof(partitions) - 1);
    parts.prefix = "";
    partitions[256] = '/';
    partitions[257] = '\0';
    assert_int_equal(object_name_render(&parts, key, sizeof(key)), -ENAMETOOLONG);
    partitions[255] = '/';
    partitions[256] = '\0';
    assert_int_equal(object_name_render(&parts, key, sizeof(key)), 0);
}

static void expect_traits(const char *prefix, uint64_t period_ns, size_t bytes_max, bool folder)
{
    struct prefix_traits traits;
    struct errmsg err = { "" };

    if (prefix_inspect(prefix, false, &traits, &err) != 0)
        fail_msg("%s: %s", prefix, err.text);
    assert_true(traits.period_ns == period_ns);
    assert_int_equal(traits.bytes_max, bytes_max);
    assert_int_equal(traits.folder, folder);
    assert_int_equal(traits.random_string, strstr(prefix, "random-string") != NULL);
}

static void tells_how_long_a_prefix_stays_the_same(void **state)
{
    const uint64_t second = 1000000000, hour = 3600 * second, day = 24 * hour;

    (void)state;
    expect_traits("", UINT64_MAX, 0, true);
    expect_traits("logs/", UINT64_MAX, 5, true);
    expect_traits("logs-", UINT64_MAX, 5, false);
    expect_traits("!{firehose:random-string}/", UINT64_MAX, 12, true);
    expect_traits("!{timestamp:yyyy/}", day, 5, true);
    expect_traits("!{timestamp:MMMM}", day, 9, false);      /* September */
    expect_traits("!{timestamp:D}!{firehose:random-string}", day, 14, false);
    expect_traits("!{timestamp:EEEE}", day, 9, false);
    expect_traits("!{timestamp:dda}", 12 * hour, 4, false);
    expect_traits("!{timestamp:yyyy/MM/dd/HH}/", hour, 14, true);
    expect_traits("!{timestamp:h}-!{timestamp:yyyy}/", hour, 8, true);
    expect_traits("!{timestamp:HHmm}/!{timestamp:dd}/", 60 * second, 8, true);
    expect_traits("!{timestamp:yyyy'm's}", second, 7, false);
    expect_traits("!{timestamp:S}", second / 10, 1, false);
    expect_traits("!{timestamp:SSS}", second / 1000, 3, false);
    expect_traits("!{timestamp:SSSSSSSSS}", 1, 9, false);
    expect_traits("!{timestamp:n}", 1, 9, false);
}

static void names_of_later_batches_sort_behind(void **state)
{
    char before[BATCH_ID_MAX], after[BATCH_ID_MAX];
    struct batch_id id = { .epoch = 0x0fffffffffffffff, .shard = 0, .number = 9 };

    (void)state;
    batch_id_format(&id, before);
    id.number = 10;
    batch_id_format(&id, after);
    assert_true(strcmp(before, after) < 0);
    id = (struct batch_id){ .epoch = 0x1000000000000000, .number = 0 };
    batch_id_format(&id, before);
    assert_true(strcmp(after, before) < 0);
    id = (struct batch_id){ .epoch = UINT64_MAX, .shard = UINT16_MAX, .number = UINT64_MAX };
    batch_id_format(&id, after);
    assert_string_equal(after, "ffffffffffffffff-65535-18446744073709551615");
}

static void an_agent_name_stays_within_the_file_name(void **state)
{
    struct object_name_parts parts = parts_make();
    char key[OBJECT_KEY_MAX + 1];

    (void)state;
    parts.agent = "a/../b\n";
    assert_int_equal(object_name_render(&parts, key, sizeof(key)), 0);
    assert_string_equal(
        key, "orders/2026/02/20260203040506-a%2F..%2Fb%0A-1122334455667788-007-0000000042.json");
}

static void refuses_keys_and_components_that_are_too_long(void **state)
{
    struct object_name_parts parts = parts_make();
    char key[2 * OBJECT_KEY_MAX];
    char prefix[OBJECT_KEY_MAX + 1];
    size_t rest;

    (void)state;
    parts.prefix = "";
    assert_int_equal(object_name_render(&parts, key, sizeof(key)), 0);
    rest = strlen(key);
    for (size_t i = 0; i < OBJECT_KEY_MAX; i++)
        prefix[i] = i % 200 == 199 ? '/' : 'p';
    parts.prefix = prefix;
    prefix[OBJECT_KEY_MAX - rest] = '\0';
    assert_int_equal(object_name_render(&parts, key, sizeof(key)), 0);
    assert_int_equal(strlen(key), OBJECT_KEY_MAX);
    assert_int_equal(object_name_render(&parts, key, OBJECT_KEY_MAX + 1), 0);
    assert_int_equal(object_name_render(&parts, key, OBJECT_KEY_MAX), -ENAMETOOLONG);
    prefix[OBJECT_KEY_MAX - rest] = 'p';
    prefix[OBJECT_KEY_MAX - rest + 1] = '\0';
    assert_int_equal(object_name_render(&parts, key, sizeof(key)), -ENAMETOOLONG);

    memset(prefix, 'p', 256);
    prefix[255] = '/';
    prefix[256] = '\0';
    assert_int_equal(object_name_render(&parts, key, sizeof(key)), 0);
    prefix[255] = 'p';
    prefix[256] = '/';
    prefix[257] = '\0';
    assert_int_equal(object_name_render(&parts, key, sizeof(key)), -ENAMETOOLONG);
    prefix[200] = '\0';
    assert_int_equal(object_name_render(&parts, key, sizeof(key)), -ENAMETOOLONG);
    assert_int_equal(object_name_render(&parts, key, 0), -ENAMETOOLONG);
}

static void refuses_a_stream_that_is_no_name(void **state)
{
    struct object_name_parts parts = parts_make();
    char key[OBJECT_KEY_MAX + 1];

    (void)state;
    parts.stream = "../etc";
    assert_int_equal(object_name_render(&parts, key, sizeof(key)), -EINVAL);
    parts.stream = "";
    assert_int_equal(object_name_render(&parts, key, sizeof(key)), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_what_is_literal),
        cmocka_unit_test(renders_the_pattern_of_the_manual),
        cmocka_unit_test(renders_every_letter_as_java_does),
        cmocka_unit_test(quotes_are_literal_in_patterns_and_plain_outside),
        cmocka_unit_test(puts_in_the_random_string),
        cmocka_unit_test(names_the_fault_and_its_place),
        cmocka_unit_test(refuses_components_that_are_no_names),
        cmocka_unit_test(encodes_control_characters),
        cmocka_unit_test(the_error_output_type_is_for_error_prefixes),
        cmocka_unit_test(a_value_cannot_leave_its_component),
        cmocka_unit_test(refuses_prefixes_that_may_come_out_too_long),
        cmocka_unit_test(renders_the_whole_key),
        cmocka_unit_test(partitions_stand_between_prefix_and_name),
        cmocka_unit_test(what_the_limits_allow_has_a_key),
        cmocka_unit_test(tells_how_long_a_prefix_stays_the_same),
        cmocka_unit_test(names_of_later_batches_sort_behind),
        cmocka_unit_test(an_agent_name_stays_within_the_file_name),
        cmocka_unit_test(refuses_keys_and_components_that_are_too_long),
        cmocka_unit_test(refuses_a_stream_that_is_no_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
