/*
 * A handle's life, its options, and what it answers.
 */
#include "libshm-client/ring_reader.h"

static void is_ready_with_no_options_but_a_directory(void **state)
{
    struct scratch *scratch = *state;
    struct shmc_stats stats = SHMC_STATS_INIT;
    struct shmc *h = NULL;
    uint16_t stream;

    assert_int_equal(setenv("HYDRANT_SHM_DIR", scratch->dir, 1), 0);
    assert_int_equal(shmc_open(NULL, &h), 0);
    assert_int_equal(unsetenv("HYDRANT_SHM_DIR"), 0);
    assert_int_equal(scratch_count(scratch->dir), 1);
    assert_int_equal(
        strncmp(shmc_name(h), program_invocation_short_name, strlen(program_invocation_short_name)),
        0);
    assert_int_equal(shmc_event_bytes_max(h), 262144);
    stream = scratch_stream(h);
    assert_int_equal(shmc_write(h, stream, SHMC_TEXT, "hello", 5), 0);
    assert_int_equal(shmc_stats(h, &stats), 0);
    assert_int_equal(stats.ring_bytes, 1048576);
    assert_int_equal(stats.events, 1);
    assert_int_equal(stats.bytes, 5);
    assert_int_equal(stats.committed, 24);
    assert_int_equal(stats.accepted | stats.durable | stats.delivered | stats.quarantine, 0);
    assert_string_equal(shmc_error(h), "");
    assert_string_equal(shmc_version(), SHMC_VERSION);
    assert_int_equal(shmc_close(h), 0);
}

/* All zero is the same as SHMC_OPTIONS_INIT. */
static void zero_means_default(void **state)
{
    struct scratch *scratch = *state;
    struct shmc_options opt = {0};
    struct shmc *h;

    opt.shm_dir = scratch->dir;
    h = scratch_open(&opt);
    assert_int_equal(shmc_event_bytes_max(h), 262144);
    assert_int_equal(shmc_close(h), 0);
}

static void refused(const struct shmc_options *opt, int error, const char *text)
{
    struct shmc *h = (struct shmc *)(uintptr_t)1;

    assert_int_equal(shmc_open(opt, &h), error);
    assert_null(h);
    if (strstr(shmc_error(NULL), text) == NULL)
        fail_msg("'%s' does not say '%s'", shmc_error(NULL), text);
}

static void refuses_options_out_of_range_and_says_which(void **state)
{
    struct scratch *scratch = *state;
    const struct shmc_options good = scratch_options(scratch);
    struct shmc_options opt;

    opt = good, opt.full = 3;
    refused(&opt, -EINVAL, "full 3");
    opt = good, opt.wake = 2;
    refused(&opt, -EINVAL, "wake 2");
    opt = good, opt.clock = 4;
    refused(&opt, -EINVAL, "clock 4");
    opt = good, opt.flags = 1;
    refused(&opt, -EINVAL, "flags 0x1");
    opt = good, opt.reserved[6] = 1;
    refused(&opt, -EINVAL, "reserved[6]");
    opt = good, opt.ring_bytes = SHM_RING_BYTES_MAX + 1;
    refused(&opt, -EINVAL, "ring_bytes 67108865");
    opt = good, opt.abi = SHMC_ABI + 1;
    refused(&opt, -EINVAL, "abi 2");
    opt = good, opt.size_bytes = 4;
    refused(&opt, -EINVAL, "of 4 bytes");
    assert_int_equal(shmc_open(&good, NULL), -EINVAL);

    assert_int_equal(setenv("HYDRANT_AGENT_UID", "12x", 1), 0);
    refused(&good, -EINVAL, "HYDRANT_AGENT_UID '12x'");
    assert_int_equal(unsetenv("HYDRANT_AGENT_UID"), 0);
    assert_int_equal(scratch_count(scratch->dir), 0);
}

static void understands_callers_of_other_sizes(void **state)
{
    struct {
        struct shmc_options opt;
        uint64_t later;
    } longer = {.opt = scratch_options(*state)};
    struct {
        struct shmc_stats stats;
        uint64_t later;
    } more = {.later = 7};
    struct shmc_stats less = SHMC_STATS_INIT;
    struct shmc *h;

    longer.opt.size_bytes = sizeof(longer);
    h = scratch_open(&longer.opt);
    more.stats.size_bytes = sizeof(more);
    assert_int_equal(shmc_stats(h, &more.stats), 0);
    assert_int_equal(more.stats.ring_bytes, 65536);
    assert_int_equal(more.later, 0);
    less.size_bytes = offsetof(struct shmc_stats, ring_bytes);
    less.ring_bytes = 7;
    assert_int_equal(shmc_stats(h, &less), 0);
    assert_int_equal(less.ring_bytes, 7);
    less.size_bytes = 0;
    assert_int_equal(shmc_stats(h, &less), -EINVAL);
    assert_int_equal(shmc_close(h), 0);

    longer.later = 1;
    refused(&longer.opt, -E2BIG, "byte 88");
}

static void rounds_the_ring_up_to_a_power_of_two(void **state)
{
    static const struct {
        uint64_t asked, given;
    } sizes[] = {{1, 65536}, {65537, 131072}, {3000000, 4194304}, {67108864, 67108864}};
    struct shmc_options opt = scratch_options(*state);
    struct shmc_stats stats = SHMC_STATS_INIT;

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct shmc *h;

        opt.ring_bytes = sizes[i].asked;
        h = scratch_open(&opt);
        assert_int_equal(shmc_stats(h, &stats), 0);
        assert_int_equal(stats.ring_bytes, sizes[i].given);
        assert_int_equal(shmc_event_bytes_max(h), shm_event_bytes_max(sizes[i].given));
        assert_int_equal(shmc_close(h), 0);
    }
}

static void close_keeps_every_event_for_the_agent(void **state)
{
    struct scratch *scratch = *state;
    struct shmc_options opt = scratch_options(scratch);
    struct shmc *h = scratch_open(&opt);
    uint16_t stream = scratch_stream(h);
    struct ring_reader reader;
    struct shm_frame frame;
    void *open_reserve;

    reader_open(&reader, scratch->dir, shmc_name(h));
    for (int i = 0; i < 100; i++)
        assert_int_equal(shmc_write(h, stream, SHMC_BYTES, &i, sizeof(i)), 0);
    assert_int_equal(shmc_reserve(h, stream, SHMC_BYTES, 100, &open_reserve), 0);
    assert_int_equal(atomic_load(&reader.producer->closed), 0);
    assert_int_equal(shmc_close(h), 0);

    assert_int_equal(atomic_load(&reader.producer->closed), 1);
    assert_false(reader_producer_lives(&reader));
    for (int i = 0; i < 100; i++) {
        assert_true(reader_next(&reader, &frame));
        assert_memory_equal(reader.payload, &i, sizeof(i));
    }
    assert_false(reader_next(&reader, &frame));
    assert_int_equal(scratch_count(scratch->dir), 1);
    reader_close(&reader);
    assert_int_equal(shmc_close(NULL), 0);
}

/* What a forked child gets from each call; the number of the first that is wrong. */
static int child_calls(struct shmc *h, uint16_t stream)
{
    struct shmc_stats stats = SHMC_STATS_INIT;
    uint64_t pos;
    uint16_t id;
    void *data;

    if (shmc_write(h, stream, SHMC_TEXT, "child", 5) != -ECHILD)
        return 1;
    if (shmc_write_at(h, stream, SHMC_TEXT, 1, "child", 5) != -ECHILD)
        return 2;
    if (shmc_reserve(h, stream, SHMC_TEXT, 5, &data) != -ECHILD)
        return 3;
    if (shmc_commit(h, 0) != -ECHILD || shmc_abort(h) != -ECHILD)
        return 4;
    if (shmc_stream(h, "events", &id) != -ECHILD)
        return 5;
    if (shmc_flush(h, SHMC_COMMITTED, 0) != -ECHILD)
        return 6;
    if (shmc_position(h, SHMC_COMMITTED, &pos) != -ECHILD || shmc_stats(h, &stats) != -ECHILD)
        return 7;
    if (shmc_event_bytes_max(h) != 0 || strstr(shmc_error(h), "before fork") == NULL)
        return 8;
    return shmc_close(h) == 0 ? 0 : 9;
}

static void a_forked_child_is_refused_and_the_parent_goes_on(void **state)
{
    struct scratch *scratch = *state;
    struct shmc_options opt = scratch_options(scratch);
    struct shmc *h = scratch_open(&opt);
    uint16_t stream = scratch_stream(h);
    struct ring_reader reader;
    struct shm_frame frame;
    void *data;
    pid_t pid;

    reader_open(&reader, scratch->dir, shmc_name(h));
    assert_int_equal(shmc_write(h, stream, SHMC_TEXT, "before", 6), 0);
    assert_int_equal(shmc_reserve(h, stream, SHMC_TEXT, 5, &data), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(child_calls(h, stream));
    assert_int_equal(child_wait(pid), 0);

    memcpy(data, "after", 5);
    assert_int_equal(shmc_commit(h, 5), 0);
    assert_true(reader_next(&reader, &frame));
    assert_memory_equal(reader.payload, "before", 6);
    assert_true(reader_next(&reader, &frame));
    assert_memory_equal(reader.payload, "after", 5);
    assert_false(reader_next(&reader, &frame));
    assert_int_equal(atomic_load(&reader.producer->closed), 0);
    reader_close(&reader);
    assert_int_equal(shmc_close(h), 0);
}

static void a_child_can_open_a_ring_of_its_own(void **state)
{
    struct scratch *scratch = *state;
    struct shmc_options opt = scratch_options(scratch);
    struct shmc *h = scratch_open(&opt);
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        struct shmc *own;
        uint16_t id;

        if (shmc_open(&opt, &own) != 0 || shmc_stream(own, "s", &id) != 0 ||
            shmc_write(own, id, SHMC_TEXT, "x", 1) != 0)
            _exit(1);
        _exit(0);
    }
    assert_int_equal(child_wait(pid), 0);
    assert_int_equal(scratch_count(scratch->dir), 2);
    assert_int_equal(shmc_close(h), 0);
}

static void the_header_compiles_as_cplusplus(void **state)
{
    char include[512];
    const char *slash = strstr(__FILE__, "tests/libshm-client/");
    int prefix = slash != NULL ? (int)(slash - __FILE__) : 0;
    int in[2];
    pid_t pid;
    static const char program[] = "#include <shm_client.h>\n"
                                  "int main() { shmc_options o = SHMC_OPTIONS_INIT;\n"
                                  "struct shmc_stats s = SHMC_STATS_INIT; shmc *h = nullptr;\n"
                                  "return shmc_open(&o, &h) + shmc_stats(h, &s); }\n";

    (void)state;
    (void)snprintf(include, sizeof(include), "-I%.*sinclude", prefix, __FILE__);
    assert_int_equal(pipe(in), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)dup2(in[0], STDIN_FILENO);
        (void)close(in[1]);
        (void)execlp("g++", "g++", "-std=c++11", "-Wall", "-Wextra", "-Wpedantic", "-Werror",
                     "-fsyntax-only", include, "-x", "c++", "-", (char *)NULL);
        _exit(127);
    }
    (void)close(in[0]);
    assert_int_equal(write(in[1], program, sizeof(program) - 1), sizeof(program) - 1);
    (void)close(in[1]);
    switch (child_wait(pid)) {
    case 0:
        break;
    case 127:
        SKIP_UNLESS_CI("there is no g++");
        break;
    default:
        fail_msg("see the compiler's words above");
    }
}

#define CLAIM(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(is_ready_with_no_options_but_a_directory),
        CLAIM(zero_means_default),
        CLAIM(refuses_options_out_of_range_and_says_which),
        CLAIM(understands_callers_of_other_sizes),
        CLAIM(rounds_the_ring_up_to_a_power_of_two),
        CLAIM(close_keeps_every_event_for_the_agent),
        CLAIM(a_forked_child_is_refused_and_the_parent_goes_on),
        CLAIM(a_child_can_open_a_ring_of_its_own),
        CLAIM(the_header_compiles_as_cplusplus),
    };

    return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
