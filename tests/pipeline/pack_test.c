/*
 * Claims about compressed files as a sink gets them: what is in them is what an uncompressed file
 * has, in one frame or, where many files are under way, in several; and dead letters and Parquet
 * files are not compressed as a whole.
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
#include <zlib.h>
#include <zstd.h>

#include "base/bytes.h"
#include "pipeline/parts.h"
#include "support/sim.h"
#include "support/sim_agent.h"

#define PLAIN "/data/plain"

enum { EVENTS = 600, EVENT_BYTES = 8000, PARTITIONS = 4 };

static struct sim_agent agent;
static struct sim_producer *producer;

/* Two sinks: files of the first are to be compressed, of the second not. */
static int setup(void **state)
{
    (void)state;
    sim_agent_init(&agent, 51);
    agent.sinks[0].buffer_count = agent.sinks[0].buffer_time_ns = -1;
    sim_agent_sink_add(&agent, "plain", PLAIN);
    producer = &sim_agent_source_add(&agent, 1 << 20, 0)->ring;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sim_agent_fini(&agent);
    return 0;
}

/* A life in which these are all events, of as many partitions, one after the other. */
static void life(unsigned events, unsigned partitions, const char *last)
{
    static char json[EVENT_BYTES];

    sim_agent_open(&agent);
    for (unsigned i = 0; i < events; i++) {
        int at = snprintf(json, sizeof(json), "{\"p\":%u,\"n\":%u,\"x\":\"", i % partitions, i);

        while ((size_t)at < sizeof(json) - 20)
            at += snprintf(json + at, sizeof(json) - (size_t)at, "%llx",
                           (unsigned long long)sim_random());
        snprintf(json + at, sizeof(json) - (size_t)at, "\"}");
        while (sim_producer_write(producer, "s", json) == -EAGAIN)
            sim_agent_turn(&agent);
    }
    if (last)
        assert_int_equal(sim_producer_write(producer, "s", last), 0);
    sim_agent_until(&agent, sim_agent_taken, "all is taken");
    shards_stop(agent.shards, agent.stop_ns);
    while (agent.result == 0)
        sim_agent_turn(&agent);
    assert_int_equal(shards_pending(agent.shards), 0);
    sim_agent_close(&agent);
}

/* The one file of a directory, whose name ends so. */
static struct bytes file_read_only(const char *dir, const char *end)
{
    struct bytes file = BYTES_INIT;
    char **names, path[512];
    unsigned files = 0;
    size_t count;

    assert_int_equal(sim_list(dir, &names, &count), 0);
    for (size_t i = 0; i < count; i++) {
        uint8_t *data;
        size_t len;

        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        if (sim_read_file(path, &data, &len) != 0)
            continue;
        files++;
        assert_string_equal(path + strlen(path) - strlen(end), end);
        assert_int_equal(bytes_append(&file, data, len), 0);
        free(data);
    }
    free(names);
    assert_int_equal(files, 1);
    return file;
}

/* All members. Their number. */
static unsigned gzip_read(const struct bytes *in, struct bytes *out)
{
    z_stream s = {.next_in = in->data, .avail_in = (uInt)in->len};
    unsigned members = 0;

    assert_int_equal(inflateInit2(&s, 31), Z_OK);
    s.next_out = out->data;
    s.avail_out = (uInt)out->cap;
    for (; s.avail_in > 0; members++) {
        if (members > 0)
            assert_int_equal(inflateReset(&s), Z_OK);
        assert_int_equal(inflate(&s, Z_FINISH), Z_STREAM_END);
    }
    out->len = out->cap - s.avail_out;
    assert_int_equal(inflateEnd(&s), Z_OK);
    return members;
}

static unsigned zstd_read(const struct bytes *in, struct bytes *out)
{
    unsigned frames = 0;

    for (size_t at = 0; at < in->len; frames++) {
        size_t len = ZSTD_findFrameCompressedSize(in->data + at, in->len - at);

        assert_false(ZSTD_isError(len));
        at += len;
    }
    out->len = ZSTD_decompress(out->data, out->cap, in->data, in->len);
    assert_false(ZSTD_isError(out->len));
    return frames;
}

/* The folder of each sink has one file of the same content. The frames of the compressed one. */
static unsigned frames_of(const char *folder, const char *end)
{
    char path[256];
    struct bytes packed, plain, read = BYTES_INIT;
    unsigned frames;

    snprintf(path, sizeof(path), SIM_AGENT_OUT "/s/%s", folder);
    packed = file_read_only(path, end);
    snprintf(path, sizeof(path), PLAIN "/s/%s", folder);
    plain = file_read_only(path, ".json");
    assert_true(packed.len < plain.len * 3 / 4);
    assert_int_equal(bytes_reserve(&read, plain.len + 1), 0);
    frames = strcmp(end, ".json.gz") == 0 ? gzip_read(&packed, &read) : zstd_read(&packed, &read);
    assert_int_equal(read.len, plain.len);
    assert_memory_equal(read.data, plain.data, plain.len);
    bytes_free(&packed);
    bytes_free(&plain);
    bytes_free(&read);
    return frames;
}

/* Several blocks, of which the last is partly filled; and one event alone. */
static void a_file_that_is_alone_is_one_frame(void **state)
{
    static const struct {
        uint8_t compression;
        const char *end;
    } cases[] = {{COMPRESS_GZIP, ".json.gz"}, {COMPRESS_ZSTD, ".json.zst"}};

    for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
        if (i > 0) {
            teardown(state);
            setup(state);
        }
        agent.sinks[0].compression = cases[i / 2].compression;
        life(i % 2 ? 1 : EVENTS, 1, NULL);
        assert_int_equal(frames_of("", cases[i / 2].end), 1);
    }
}

/* Compressors have an eighth of the memory: here not even two may go on at a time. */
static void files_that_are_many_are_several_frames(void **state)
{
    unsigned frames = 0;
    char folder[16];

    (void)state;
    agent.opt.memory_limit = 16 << 20;
    agent.sinks[0].compression = COMPRESS_ZSTD;
    agent.sinks[0].partition_by = agent.sinks[1].partition_by = "p";
    agent.sinks[0].partitions_max = agent.sinks[1].partitions_max = PARTITIONS;
    life(EVENTS, PARTITIONS, NULL);
    for (unsigned p = 0; p < PARTITIONS; p++) {
        snprintf(folder, sizeof(folder), "p=%u", p);
        frames += frames_of(folder, ".json.zst");
    }
    assert_true(frames > PARTITIONS);
}

static void dead_letters_are_read_as_they_are(void **state)
{
    struct bytes letters;

    (void)state;
    agent.sinks[0].compression = COMPRESS_GZIP;
    agent.sinks[0].validate = agent.sinks[1].validate = true;
    life(3, 1, "nothing");
    assert_int_equal(frames_of("", ".json.gz"), 1);
    letters = file_read_only(SIM_AGENT_OUT "/s/errors/processing-failed", ".json");
    assert_non_null(strstr(bytes_cstr(&letters), "\"rawData\":\"bm90aGluZw==\"}\n"));
    bytes_free(&letters);
}

static void parquet_compresses_within(void **state)
{
    struct bytes file;

    (void)state;
    agent.sinks[0].format = "parquet";
    agent.sinks[0].infer_bytes = agent.sinks[0].row_group_bytes = 1 << 20;
    agent.sinks[0].compression = COMPRESS_GZIP;
    life(EVENTS, 1, NULL);
    file = file_read_only(SIM_AGENT_OUT "/s", ".parquet");
    assert_memory_equal(file.data, "PAR1", 4);
    assert_memory_equal(file.data + file.len - 4, "PAR1", 4);
    assert_true(file.len < EVENTS * EVENT_BYTES * 3 / 4);
    bytes_free(&file);
}

int main(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_that_is_alone_is_one_frame),
        cmocka_unit_test(files_that_are_many_are_several_frames),
        cmocka_unit_test(dead_letters_are_read_as_they_are),
        cmocka_unit_test(parquet_compresses_within),
    };

    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        tests[i].setup_func = setup;
        tests[i].teardown_func = teardown;
    }
    return cmocka_run_group_tests_name("pack", tests, NULL, NULL);
}
