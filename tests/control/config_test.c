/*
 * config: defaults, resolution, every check with its place and words, secrets, reload.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/config.h"
#include "control/option.h"

#define SECOND 1000000000LL
#define A16 "aaaaaaaaaaaaaaaa"
#define A64 A16 A16 A16 A16

static struct config *load_with(const char *text, const struct config_overrides *overrides)
{
    struct config_errors errs = CONFIG_ERRORS_INIT;
    struct config *c;
    int r = config_load_text("f", text, strlen(text), overrides, &c, &errs);

    for (size_t i = 0; i < errs.count; i++)
        print_error("%s:%u: %s\n", errs.items[i].place, errs.items[i].line, errs.items[i].text);
    assert_int_equal(r, 0);
    assert_int_equal(errs.count, 0);
    assert_non_null(c);
    return c;
}

static struct config *load(const char *text)
{
    return load_with(text, NULL);
}

static void expect_error_with(const char *text, const struct config_overrides *overrides,
                              const char *place, uint32_t line, const char *words)
{
    struct config_errors errs = CONFIG_ERRORS_INIT;
    struct config *c;

    assert_int_equal(config_load_text("f", text, strlen(text), overrides, &c, &errs), -EINVAL);
    assert_null(c);
    if (errs.count != 1)
        for (size_t i = 0; i < errs.count; i++)
            print_error("%s:%u: %s\n", errs.items[i].place, errs.items[i].line,
                        errs.items[i].text);
    assert_int_equal(errs.count, 1);
    assert_string_equal(errs.items[0].place, place);
    if (strstr(errs.items[0].text, words) == NULL)
        fail_msg("'%s' lacks '%s'", errs.items[0].text, words);
    assert_int_equal(errs.items[0].line, line);
    config_errors_fini(&errs);
}

static void expect_error(const char *text, uint32_t line, const char *words)
{
    expect_error_with(text, NULL, "f", line, words);
}

/* A temporary file with this content; the caller unlinks it. */
static void write_file(char path[static 64], const void *data, size_t len)
{
    int fd;

    (void)snprintf(path, 64, "/tmp/config_test.XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), (ssize_t)len);
    assert_int_equal(close(fd), 0);
}

static void without_a_file_there_are_sound_defaults(void **state)
{
    struct config_errors errs = CONFIG_ERRORS_INIT;
    char shm_dir[64] = "/dev/shm/hydrant";
    struct config *c;

    (void)state;
    assert_int_equal(config_load(NULL, NULL, &c, &errs), 0);
    if (geteuid() >= 1000)
        (void)snprintf(shm_dir, sizeof(shm_dir), "/dev/shm/hydrant-%u", (unsigned)geteuid());
    assert_null(c->path);
    assert_string_equal(c->agent.data_dir, "./hydrant-data");
    assert_string_equal(c->agent.shm_dir, shm_dir);
    assert_true(strlen(c->agent.name) > 0);
    assert_int_equal(c->agent.memory_limit_bytes, 512LL << 20);
    assert_int_equal(c->agent.log_level, LOG_LEVEL_INFO);
    assert_true(c->agent.auto_create_streams);
    assert_string_equal(c->wal.dir, "./hydrant-data/wal");
    assert_int_equal(c->wal.sync, CONFIG_SYNC_INTERVAL);
    assert_int_equal(c->wal.sync_interval_ns, 10000000);
    assert_string_equal(c->http.listen, "127.0.0.1:8000");
    assert_string_equal(c->http.token, "");
    assert_int_equal(c->http.file_roots.count, 1);
    assert_string_equal(c->http.file_roots.items[0], "./hydrant-data");
    assert_int_equal(c->intake.tcp.count, 0);
    assert_int_equal(c->streams_count, 0);
    assert_int_equal(c->sinks_count, 1);
    assert_string_equal(c->sinks[0].name, "local");
    assert_string_equal(c->sinks[0].file.directory, "./hydrant-data/out");
    assert_int_equal(c->sinks[0].file.mode, 0640);
    assert_string_equal(c->stream_default.name, "*");
    assert_int_equal(c->stream_default.sinks.count, 1);
    assert_string_equal(c->stream_default.sinks.items[0], "local");
    assert_int_equal(c->stream_default.output.buffer_count, -1);
    assert_int_equal(c->stream_default.output.buffer_bytes, 64 << 20);
    assert_int_equal(c->stream_default.output.buffer_time_ns, 60 * SECOND);
    assert_string_equal(c->stream_default.output.delimiter, "\n");
    assert_false(config_is_set(&c->stream_default.set, OPTION_output_buffer_time));
    config_free(c);
}

/* "#key = value" without its "#", and example sinks without their header: all keys of the file. */
static char *uncomment(const char *text)
{
    char *out = calloc(1, strlen(text) + 1);
    size_t len = 0;

    assert_non_null(out);
    while (*text != '\0') {
        size_t line = strcspn(text, "\n") + 1;

        if (strncmp(text, "#[", 2) == 0)
            break;
        if (text[0] == '#' && text[1] != ' ') {
            memcpy(out + len, text + 1, line - 1);
            len += line - 1;
        } else {
            memcpy(out + len, text, line);
            len += line;
        }
        text += line;
    }
    return out;
}

static void the_shipped_file_is_the_table_and_means_the_defaults(void **state)
{
    struct config *given;
    struct config *def = load("");
    char *printed = NULL;
    char *shipped;
    char *text;
    size_t len;
    FILE *out;
    FILE *in;

    (void)state;
    out = open_memstream(&printed, &len);
    assert_non_null(out);
    config_print_defaults(out);
    assert_int_equal(fclose(out), 0);
    in = fopen("etc/hydrant.ini", "re");
    if (in == NULL)
        fail_msg("etc/hydrant.ini cannot be read from here");
    shipped = calloc(1, len + 2);
    assert_non_null(shipped);
    assert_int_equal(fread(shipped, 1, len + 1, in), len);
    assert_string_equal(shipped, printed); /* else: hydrant check --defaults > etc/hydrant.ini */
    (void)fclose(in);
    free(shipped);

    text = uncomment(printed);
    given = load(text);
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option *o = &option_table[i];

        if ((o->scope & SCOPE_config) != 0)
            assert_true(option_equal(o, def, given));
        else if (o->in_output)
            assert_true(option_equal(o, &def->stream_default.output,
                                     &given->stream_default.output));
        else if ((o->scope & SCOPE_stream) != 0)
            assert_true(option_equal(o, &def->stream_default, &given->stream_default));
        else if ((o->scope & SCOPE_file) != 0)
            assert_true(option_equal(o, &def->sinks[0], &given->sinks[0]));
    }
    assert_true(config_is_set(&given->stream_default.set, OPTION_output_buffer_time));
    free(text);
    free(printed);
    config_free(def);
    config_free(given);
}

static void the_table_is_sound(void **state)
{
    (void)state;
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option *o = &option_table[i];

        assert_int_equal(o->id, i);
        assert_true(o->scope != 0 && strlen(o->help) > 0);
        /* No section has two rows of one key. */
        for (size_t j = 0; j < i; j++)
            assert_false((option_table[j].scope & o->scope) != 0 &&
                         strcmp(option_table[j].key, o->key) == 0);
    }
}

static void names_of_enums_follow_the_table(void **state)
{
    const char *const format = option_table[OPTION_output_format].words;
    const char *const compression = option_table[OPTION_output_compression].words;
    const char *const type = option_table[OPTION_sink_type].words;
    char word[32];

    (void)state;
    for (int i = 0; option_word(format, i, word); i++)
        assert_string_equal(config_format_name((enum config_format)i), word);
    for (int i = 0; option_word(compression, i, word); i++)
        assert_string_equal(config_compression_name((enum config_compression)i), word);
    for (int i = 0; option_word(type, i, word); i++)
        assert_string_equal(config_sink_type_name((enum config_sink_type)i), word);
    assert_false(option_word(type, CONFIG_SINK_COUNT, word));
    assert_true(option_word(option_table[OPTION_agent_log_level].words, LOG_LEVEL_DEBUG, word));
    assert_string_equal(word, "debug");
    assert_true(option_word(option_table[OPTION_agent_log_format].words, LOG_FORMAT_JSON, word));
    assert_string_equal(word, "json");
}

static void streams_lie_over_the_defaults_wherever_those_stand(void **state)
{
    struct config *c = load("[stream a]\nbuffer_count = 7\nbuffer_time = 1500ms\n"
                            "[stream *]\nbuffer_size = 2KiB\nbuffer_count = 5\nprefix = p/\n"
                            "[stream b]\nformat = raw\ndelimiter = \"\"\n");
    const struct stream_config *a = config_find_stream(c, "a");
    const struct stream_config *b = config_find_stream(c, "b");

    (void)state;
    assert_int_equal(c->streams_count, 2);
    assert_non_null(a);
    assert_int_equal(a->output.buffer_count, 7);
    assert_int_equal(a->output.buffer_bytes, 2048);
    assert_int_equal(a->output.buffer_time_ns, 1500000000);
    assert_string_equal(a->prefix, "p/");
    assert_true(config_is_set(&a->set, OPTION_output_buffer_size));
    assert_int_equal(b->output.buffer_count, 5);
    assert_int_equal(b->output.format, CONFIG_FORMAT_RAW);
    assert_string_equal(b->output.delimiter, "");
    assert_false(config_is_set(&b->set, OPTION_output_buffer_time));
    assert_null(config_find_stream(c, "*"));
    assert_null(config_find_stream(c, "c"));
    assert_int_equal(c->stream_default.output.format, CONFIG_FORMAT_JSON);
    config_free(c);
}

static void sinks_override_streams_and_only_what_they_set(void **state)
{
    struct config *c = load("[stream a]\nsinks = local, second\nbuffer_count = 7\n"
                            "[sink second]\ntype = file\ndirectory = /d\nformat = raw\n"
                            "delimiter = '|'\nfile_mode = 0600\nlayout = flat\n");
    const struct stream_config *a = config_find_stream(c, "a");
    const struct sink_config *second = config_find_sink(c, "second");
    struct output_config local_output;
    struct output_config second_output;

    (void)state;
    assert_int_equal(a->sinks.count, 2);
    assert_string_equal(a->sinks.items[1], "second");
    assert_int_equal(second->file.mode, 0600);
    assert_int_equal(second->layout, CONFIG_LAYOUT_FLAT);
    assert_int_equal(config_resolve_output(a, &c->sinks[0], &local_output, NULL), 0);
    assert_int_equal(config_resolve_output(a, second, &second_output, NULL), 0);
    assert_int_equal(local_output.format, CONFIG_FORMAT_JSON);
    assert_string_equal(local_output.delimiter, "\n");
    assert_int_equal(second_output.format, CONFIG_FORMAT_RAW);
    assert_string_equal(second_output.delimiter, "|");
    assert_int_equal(second_output.buffer_count, 7);
    config_free(c);
}

static void firehose_sinks_bring_defaults_that_streams_and_sinks_override(void **state)
{
    struct config *c = load("[stream a]\nbuffer_time = 5s\n[stream b]\n");
    struct sink_config hose = { .type = CONFIG_SINK_FIREHOSE, .name = (char[]){ "h" } };
    struct output_config output;

    (void)state;
    assert_int_equal(config_resolve_output(config_find_stream(c, "a"), &hose, &output, NULL), 0);
    assert_int_equal(output.format, CONFIG_FORMAT_RAW);
    assert_int_equal(output.buffer_time_ns, 5 * SECOND);
    assert_int_equal(config_resolve_output(config_find_stream(c, "b"), &hose, &output, NULL), 0);
    assert_int_equal(output.buffer_time_ns, SECOND);
    hose.type = CONFIG_SINK_HTTP;
    hose.web.body = CONFIG_BODY_RAW;        /* the file as it is: of payloads, if nothing is said */
    assert_int_equal(config_resolve_output(config_find_stream(c, "b"), &hose, &output, NULL), 0);
    assert_int_equal(output.format, CONFIG_FORMAT_RAW);
    assert_int_equal(output.buffer_time_ns, 60 * SECOND);
    hose.web.body = CONFIG_BODY_ARRAY;
    assert_int_equal(config_resolve_output(config_find_stream(c, "b"), &hose, &output, NULL), 0);
    assert_int_equal(output.format, CONFIG_FORMAT_JSON);
    hose.type = CONFIG_SINK_FIREHOSE;
    hose.set.bits[OPTION_output_buffer_time / 64] |= 1ULL << (OPTION_output_buffer_time % 64);
    hose.output.buffer_time_ns = 9 * SECOND;
    assert_int_equal(config_resolve_output(config_find_stream(c, "b"), &hose, &output, NULL), 0);
    assert_int_equal(output.buffer_time_ns, 9 * SECOND);
    config_free(c);
}

static void values_are_checked_against_type_and_limits(void **state)
{
    (void)state;
    expect_error("[wal]\nsegment_size = 1MiB\n", 2, "'1MiB' is out of range: 2MiB to 1GiB");
    expect_error("[wal]\nsegment_size = 64MB\n", 2, "units B, KiB, MiB, GiB");
    expect_error("[wal]\nsegment_size = 64\n", 2, "units B, KiB, MiB, GiB");
    expect_error("[wal]\nsegment_size = big\n", 2, "not a size such as 64MiB");
    expect_error("[wal]\nsegment_size = 1.5GiB\n", 2, "not a size");
    expect_error("[wal]\nsegment_size = 99999999999999999999B\n", 2, "out of range");
    expect_error("[wal]\nsegment_size = 9223372036854775807GiB\n", 2, "out of range");
    expect_error("[wal]\nsegment_size = 2097153B\n", 2, "multiple of 4KiB");
    expect_error("[wal]\nmax_bytes = 128MiB\n", 2, "room for 4 segments");
    expect_error("[wal]\nsync_interval = 10\n", 2, "units ms, s, m, h");
    expect_error("[wal]\nsync_interval = 2m\n", 2, "1ms to 1m");
    expect_error("[wal]\nsync = sometimes\n", 2, "not one of always, interval, never");
    expect_error("[agent]\nrings_max = 0\n", 2, "1 to 65536");
    expect_error("[agent]\nrings_max = -1\n", 2, "1 to 65536");
    expect_error("[agent]\nrings_max = 5x\n", 2, "not a whole number");
    expect_error("[agent]\nauto_create_streams = true\n", 2, "neither yes nor no");
    expect_error("[stream *]\nbuffer_count = 0\n", 2, "1 to 1000000000, or -1");
    expect_error("[stream *]\nbuffer_time = -2s\n", 2, "or -1");
    expect_error("[stream *]\nsinks = local,,local\n", 2, "a name is missing");
    expect_error("[sink local]\nfile_mode = 640x\n", 2, "not a file mode");
    expect_error("[sink local]\nfile_mode = 0240\n", 2, "the owner must be able to read");
    expect_error("[sink local]\nfile_mode = 4755\n", 2, "at most 0777");
}

static void unknown_keys_and_sections_are_mistakes_with_a_remedy(void **state)
{
    (void)state;
    expect_error("[stream *]\nbufer_size = 1MiB\n", 2, "did you mean buffer_size?");
    expect_error("[agent]\nzzzzzzzz = 1\n", 2, "[agent] zzzzzzzz: unknown key");
    expect_error("[wal]\ndata_dir = /x\n", 2, "unknown key");
    expect_error("[agent]\ndata_dir_file = /x\n", 2, "unknown key");
    expect_error("[sink local]\nbucket = b\n", 2, "unknown key");
    expect_error("[sink local]\nsinks = local\n", 2, "unknown key");
    expect_error("[agnt]\nname = x\n", 1, "unknown section [agnt]; there are [agent]");
    expect_error("[stream]\n", 1, "unknown section [stream]");
    expect_error("[sink]\n", 1, "unknown section [sink]");
}

static void empty_values_are_mistakes_unless_empty_is_the_default(void **state)
{
    struct config *c = load("[http]\ntoken =\n[intake]\ntcp =  ; none\n"
                            "[stream *]\nprefix = \"\"\n");

    (void)state;
    assert_string_equal(c->http.token, "");
    assert_string_equal(c->stream_default.prefix, "");
    config_free(c);
    expect_error("[agent]\ndata_dir =\n", 2, "the value is empty");
    expect_error("[agent]\nname = \"\"\n", 2, "the value is empty");
    expect_error("[stream *]\ndelimiter =\n", 2, "the value is empty");
    expect_error("[stream *]\nerror_prefix =\n", 2, "the value is empty");
    expect_error("[http]\ntoken_file =\n", 2, "the value is empty");
    assert_int_equal(setenv("CONFIG_TEST_EMPTY", "", 1), 0);
    expect_error("[wal]\ndir = ${CONFIG_TEST_EMPTY}\n", 2, "the value is empty");
}

static void names_and_references_are_checked(void **state)
{
    (void)state;
    expect_error("[agent]\nname = a/b\n", 2, "cannot stand in file names");
    expect_error("[agent]\ndefault_stream = .x\n", 2, "not a stream's name");
    expect_error("[agent]\nstreams_max = 1\n[stream a]\n[stream b]\n", 2, "2 streams are defined");
    expect_error("[stream a/b]\n", 1, "begins with a letter or digit");
    expect_error("[stream a b]\n", 1, "begins with a letter or digit");
    expect_error("[stream " A64 "a]\n", 1, "1 to 64");
    config_free(load("[stream " A64 "]\n"));
    expect_error("[stream a]\nsinks = nowhere\n", 2, "no sink 'nowhere'; add a section");
    expect_error("[stream a]\n[stream *]\nsinks = nowhere\n[stream b]\n", 3,
                 "[stream *] sinks: no sink 'nowhere'");
    expect_error("[stream a]\nsinks = local, local\n", 2, "named twice");
    expect_error("[sink x]\ndirectory = /d\n", 1, "needs a type");
    expect_error("[sink x]\ntype = ftp\nhost = h\n", 2, "'ftp' is not one of file, s3");
    expect_error("[sink x]\ntype = file\n", 1, "needs a directory");
    expect_error("[sink .x]\ntype = file\ndirectory = /d\n", 1, "begins with a letter or digit");
    expect_error("[sink local]\ntype = s3\n", 2, "local is always a file sink");
    expect_error("[stream a]\nsinks = local, x\n[sink x]\ntype = file\n"
                 "directory = .//hydrant-data/./out/\n", 2, "write into one directory");
}

static void a_batch_that_nothing_seals_is_a_mistake(void **state)
{
    struct config *c;

    (void)state;
    expect_error("[stream *]\nbuffer_size = -1\nbuffer_time = -1\n", 1, "are all -1");
    expect_error("[stream *]\nbuffer_size = -1\n[stream x]\nbuffer_time = -1\n", 3, "are all -1");
    expect_error("[stream *]\nsinks = x\nbuffer_size = -1\n[sink x]\ntype = file\n"
                 "directory = /d\nbuffer_time = -1\n", 1, "for sink 'x'");
    c = load("[stream *]\nbuffer_size = -1\nbuffer_time = -1\nbuffer_count = 1\n");
    config_free(c);
}

static void prefixes_are_checked(void **state)
{
    struct config *c = load("[stream a]\nprefix = \"!{timestamp:yyyy/MM/dd/HH}/\"\n"
                            "error_prefix = bad/!{firehose:error-output-type}/\n");

    (void)state;
    assert_string_equal(c->streams[0].prefix, "!{timestamp:yyyy/MM/dd/HH}/");
    config_free(c);
    expect_error("[stream a]\nprefix = !{timestamp:yyyy\n", 2, "[stream a] prefix: ");
    expect_error("[stream *]\nprefix = !{firehose:error-output-type}/\n[stream b]\n", 2,
                 "[stream *] prefix: ");
    expect_error("[stream a]\nerror_prefix = !{what}/\n", 2, "[stream a] error_prefix: ");
}

static void http_beyond_loopback_needs_a_token(void **state)
{
    static const char *const good[] = {
        "127.0.0.1:0", "127.9.9.9:80", "localhost:8000", "[::1]:8000", "off",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        char text[64];
        struct config *c;

        (void)snprintf(text, sizeof(text), "[http]\nlisten = %s\n", good[i]);
        c = load(text);
        assert_string_equal(c->http.listen, good[i]);
        config_free(c);
    }
    expect_error("[http]\nlisten = 0.0.0.0:80\n", 2, "set token");
    expect_error("[http]\nlisten = [::]:80\n", 2, "set token");
    config_free(load("[http]\nlisten = 0.0.0.0:80\ntoken = t\n"));
    expect_error("[http]\nlisten = 8000\n", 2, "not ADDR:PORT");
    expect_error("[http]\nlisten = ::1:8000\n", 2, "goes into brackets");
    expect_error("[http]\nlisten = example.org:8000\n", 2, "numeric");
    expect_error("[http]\nlisten = 127.0.0.1:70000\n", 2, "at most 65535");
    expect_error("[http]\nlisten = unix:\n", 2, "a path must follow unix:");
    config_free(load("[http]\nlisten = unix:/run/x\n[agent]\nauto_create_streams = no\n"));
}

static void shards_have_their_bounds_and_their_part_of_memory_and_log(void **state)
{
    struct config *c = load("[agent]\nshards = 64\n");

    (void)state;
    assert_int_equal(c->agent.shards, 64);
    config_free(c);
    config_free(load("[agent]\nshards = 8\nmemory_limit = 64MiB\n[wal]\nmax_bytes = 64MiB\n"
                     "segment_size = 2MiB\n"));
    expect_error("[agent]\nshards = 65\n", 2, "64");
    expect_error("[agent]\nshards = 0\n", 2, "1");
    expect_error("[agent]\nmemory_limit = 64MiB\nshards = 9\n", 3, "at most 8");
    expect_error("[agent]\nshards = 9\n[wal]\nmax_bytes = 64MiB\nsegment_size = 2MiB\n", 2,
                 "[wal] max_bytes");
}

static void every_kind_of_sink_has_its_keys(void **state)
{
    (void)state;
    config_free(load("[sink x]\ntype = s3\nbucket = b\nprefix = p\nregion = r\npart_size = 8MiB\n"
                     "[sink y]\ntype = firehose\ndelivery_stream = d\naccess_key = a\n"
                     "secret_key = b\n"
                     "[sink w]\ntype = relay\naddress = central:9400\ntls = yes\n"
                     "ca_file = /dev/null\n"
                     "[sink z]\ntype = http\nurl = https://h/\nheaders = A: b, C: d\n"
                     "max_in_flight = 2\n"));
    /* As it is without them, they may be said. */
    config_free(load("[agent]\nshards = 1\nidle = spin\n[stream *]\ncompression = none\n"
                     "validate = no\ncolumns =\n[stream a]\nformat = raw\n"
                     "[intake]\ntcp = 127.0.0.1:1, [::1]:1\nunix = /run/x\nudp = 127.0.0.1:1\n"));
}

static void certificates_of_relays_go_in_pairs(void **state)
{
    (void)state;
    expect_error("[intake]\nrelay = 127.0.0.1:1\nrelay_cert_file = /dev/null\n", 1, "go together");
    expect_error("[intake]\nrelay = 127.0.0.1:1\nrelay_ca_file = /dev/null\n", 3,
                 "there is no TLS");
    expect_error("[sink x]\ntype = relay\naddress = h:1\ntls = yes\nkey_file = /dev/null\n", 5,
                 "go together");
    expect_error("[sink x]\ntype = relay\naddress = h:1\ncert_file = /dev/null\n"
                 "key_file = /dev/null\n", 4, "tls = yes");
}

static void certificates_and_keys_have_to_be_there(void **state)
{
    static const char *const sinks[] = {
        "type = relay\naddress = h:1\ntls = yes\n", "type = http\nurl = https://h/\n",
        "type = s3\nbucket = b\n", "type = firehose\n",
    };
    char text[256];

    (void)state;
    for (size_t i = 0; i < sizeof(sinks) / sizeof(sinks[0]); i++) {
        (void)snprintf(text, sizeof(text), "[sink x]\nca_file = /nowhere/ca.pem\n%s", sinks[i]);
        expect_error(text, 2, "[sink x] ca_file: '/nowhere/ca.pem' cannot be read: No such file");
    }
    expect_error("[sink x]\ntype = relay\naddress = h:1\ntls = yes\ncert_file = /dev/null\n"
                 "key_file = /nowhere/key\n", 6, "'/nowhere/key' cannot be read");
    expect_error("[intake]\nrelay = 127.0.0.1:1\nrelay_key_file = /dev/null\n"
                 "relay_cert_file = /nowhere/cert\n", 4, "[intake] relay_cert_file: '/nowhere");
}


static void keys_of_sinks_are_checked(void **state)
{
    struct config_errors errs = CONFIG_ERRORS_INIT;
    static const char text[] = "[sink a]\ntype = s3\npart_size = 1MiB\naccess_key = k\n"
                               "server_side_encryption = x\nendpoint = h\n"
                               "[sink b]\ntype = http\nurl = h\nheaders = x\n"
                               "[sink c]\ntype = relay\naddress = h:0\n";
    static const uint32_t lines[] = { 1, 3, 4, 5, 6, 9, 10, 13 };
    struct config *c;

    (void)state;
    assert_int_equal(config_load_text("f", text, sizeof(text) - 1, NULL, &c, &errs), -EINVAL);
    assert_int_equal(errs.count, sizeof(lines) / sizeof(lines[0]));
    for (size_t i = 0; i < errs.count; i++)
        assert_int_equal(errs.items[i].line, lines[i]);
    config_errors_fini(&errs);
}

static void secrets_come_from_files_and_lose_one_newline(void **state)
{
    char path[64];
    char text[256];
    struct config *c;

    (void)state;
    write_file(path, "s3cret\n", 7);
    (void)snprintf(text, sizeof(text), "[http]\ntoken_file = %s\n", path);
    c = load(text);
    assert_string_equal(c->http.token, "s3cret");
    config_free(c);
    (void)snprintf(text, sizeof(text), "[http]\ntoken = a\ntoken_file = %s\n", path);
    expect_error(text, 3, "token and token_file are both given");
    (void)snprintf(text, sizeof(text), "[http]\ntoken_file = %s\ntoken = a\n", path);
    expect_error(text, 3, "token and token_file are both given");
    assert_int_equal(unlink(path), 0);
    expect_error(text, 2, "cannot open"); /* and token, which is then the only one, is fine */

    write_file(path, "a\n\n", 3);
    (void)snprintf(text, sizeof(text), "[http]\ntoken_file = %s\n", path);
    expect_error(text, 2, "one line and nothing else");
    assert_int_equal(unlink(path), 0);
    write_file(path, "\n", 1);
    (void)snprintf(text, sizeof(text), "[http]\ntoken_file = %s\n", path);
    expect_error(text, 2, "one line and nothing else");
    assert_int_equal(unlink(path), 0);
    write_file(path, "a\0b", 3);
    (void)snprintf(text, sizeof(text), "[http]\ntoken_file = %s\n", path);
    expect_error(text, 2, "one line and nothing else");
    assert_int_equal(unlink(path), 0);
    expect_error("[http]\ntoken_file = /dev/zero\n", 2, "not a regular file");
}

static void no_message_shows_a_secret(void **state)
{
    static const char *const texts[] = {
        "[http]\ntoken = \"hunter2\n",
        "[http]\ntoken = 'hunter2' x\n",
        "[http]\ntoken: hunter2\n",
        "[http]\ntoken hunter2\n",
        "[http]\ntokn = hunter2\n",
        "[http]\ntoken = hunter2\ntoken = hunter2\n",
        "[http]\ntoken = hunter2\ntoken_file = /x\n",
        "[http]\nfirehose_secret_key = hunter2\n",
        "[sink x]\ntype = s3\nbucket = b\nsecret_key = hunter2\n",
        "[sink x]\ntype = http\nurl = hunter2\nheaders = hunter2\ntoken = hunter2\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct config_errors errs = CONFIG_ERRORS_INIT;
        struct config *c;

        assert_int_equal(config_load_text("f", texts[i], strlen(texts[i]), NULL, &c, &errs),
                         -EINVAL);
        assert_true(errs.count > 0);
        for (size_t j = 0; j < errs.count; j++)
            assert_null(strstr(errs.items[j].text, "hunter2"));
        config_errors_fini(&errs);
    }
}

static void the_command_line_wins_and_defaults_follow_it(void **state)
{
    const struct config_overrides o = { .data_dir = "/d/", .shm_dir = "/s", .http = "off" };
    const struct config_overrides open_http = { .http = "0.0.0.0:1" };
    const struct config_overrides bad_http = { .http = "unix:" };
    const struct config_overrides empty = { .data_dir = "" };
    struct config *c = load_with("[agent]\ndata_dir = /other\n[http]\nlisten = 127.0.0.1:1\n", &o);

    (void)state;
    assert_string_equal(c->path, "f");
    assert_string_equal(c->agent.data_dir, "/d/");
    assert_string_equal(c->agent.shm_dir, "/s");
    assert_string_equal(c->http.listen, "off");
    assert_string_equal(c->wal.dir, "/d/wal");
    assert_string_equal(c->sinks[0].file.directory, "/d/out");
    assert_string_equal(c->http.file_roots.items[0], "/d/");
    config_free(c);
    c = load_with("[wal]\ndir = /w\n[sink local]\ndirectory = /o\n[agent]\nname = n\n", &o);
    assert_string_equal(c->wal.dir, "/w");
    assert_string_equal(c->sinks[0].file.directory, "/o");
    assert_string_equal(c->agent.name, "n");
    config_free(c);
    expect_error_with("", &open_http, "--http", 0, "set token");
    expect_error_with("", &bad_http, "--http", 0, "a path must follow unix:");
    expect_error_with("", &empty, "--data-dir", 0, "empty");
    expect_error("[wal]\ndir = (data_dir)/w\n", 2, "'(data_dir)' is not replaced");
}

static void all_mistakes_come_at_once_in_the_order_of_the_file(void **state)
{
    static const char text[] = "[stream a]\nsinks = gone\nprefix = !{\n[http]\nlisten = x\nk: v\n"
                               "[wal]\nsync = maybe\nfoo = 1\n[what]\n";
    static const uint32_t lines[] = { 2, 3, 5, 6, 8, 9, 10 };
    struct config_errors errs = CONFIG_ERRORS_INIT;
    struct config *c;
    char *printed = NULL;
    size_t len;
    FILE *out;

    (void)state;
    assert_int_equal(config_load_text("f", text, sizeof(text) - 1, NULL, &c, &errs), -EINVAL);
    assert_int_equal(errs.count, sizeof(lines) / sizeof(lines[0]));
    for (size_t i = 0; i < errs.count; i++)
        assert_int_equal(errs.items[i].line, lines[i]);
    out = open_memstream(&printed, &len);
    assert_non_null(out);
    config_errors_print(&errs, out);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(strncmp(printed, "f:2: [stream a] sinks: no sink 'gone'", 37), 0);
    assert_non_null(strstr(printed, "\nf:6: "));
    free(printed);
    config_errors_fini(&errs);
}

static void a_reload_tells_what_waits_for_a_restart(void **state)
{
    static const char old_text[] = "[agent]\nname = a\ndata_dir = /a\nlog_level = info\n"
                                   "[stream x]\nbuffer_time = 1s\n";
    struct config *old = load(old_text);
    struct config *same = load(old_text);
    struct config *live = load("[agent]\nname = a\ndata_dir = /a\nlog_level = debug\n"
                               "[wal]\nsync = always\n[http]\ntoken = t\n[stream y]\n"
                               "[sink more]\ntype = file\ndirectory = /m\n");
    struct config *cold = load("[agent]\nname = a\ndata_dir = /b\n[wal]\nsegment_size = 2MiB\n");
    struct errmsg why;

    (void)state;
    assert_false(config_restart_needed(old, same, &why));
    assert_false(config_restart_needed(old, live, &why));
    assert_true(config_restart_needed(old, cold, &why));
    /* wal.dir follows data_dir. */
    assert_string_equal(why.text, "[agent] data_dir, [wal] dir, [wal] segment_size");
    assert_true(config_restart_needed(old, cold, NULL));
    config_free(old);
    config_free(same);
    config_free(live);
    config_free(cold);
    config_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_file_there_are_sound_defaults),
        cmocka_unit_test(the_shipped_file_is_the_table_and_means_the_defaults),
        cmocka_unit_test(the_table_is_sound),
        cmocka_unit_test(names_of_enums_follow_the_table),
        cmocka_unit_test(streams_lie_over_the_defaults_wherever_those_stand),
        cmocka_unit_test(sinks_override_streams_and_only_what_they_set),
        cmocka_unit_test(firehose_sinks_bring_defaults_that_streams_and_sinks_override),
        cmocka_unit_test(values_are_checked_against_type_and_limits),
        cmocka_unit_test(unknown_keys_and_sections_are_mistakes_with_a_remedy),
        cmocka_unit_test(empty_values_are_mistakes_unless_empty_is_the_default),
        cmocka_unit_test(names_and_references_are_checked),
        cmocka_unit_test(a_batch_that_nothing_seals_is_a_mistake),
        cmocka_unit_test(prefixes_are_checked),
        cmocka_unit_test(http_beyond_loopback_needs_a_token),
        cmocka_unit_test(shards_have_their_bounds_and_their_part_of_memory_and_log),
        cmocka_unit_test(every_kind_of_sink_has_its_keys),
        cmocka_unit_test(certificates_of_relays_go_in_pairs),
        cmocka_unit_test(certificates_and_keys_have_to_be_there),
        cmocka_unit_test(keys_of_sinks_are_checked),
        cmocka_unit_test(secrets_come_from_files_and_lose_one_newline),
        cmocka_unit_test(no_message_shows_a_secret),
        cmocka_unit_test(the_command_line_wins_and_defaults_follow_it),
        cmocka_unit_test(all_mistakes_come_at_once_in_the_order_of_the_file),
        cmocka_unit_test(a_reload_tells_what_waits_for_a_restart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
