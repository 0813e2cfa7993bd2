/*
 * What a producer writes, and what it is told when the ring is full or no longer sound.
 */
#include "libshm-client/ring_reader.h"

#include <signal.h>
#include <sys/prctl.h>
#include <time.h>

#define MS 1000000ULL

static uint64_t real_ns(void)
{
    struct timespec ts;

    assert_int_equal(clock_gettime(CLOCK_REALTIME, &ts), 0);
    return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

/* Writes events of 1 KiB, header included, until the ring of 64 KiB is full. */
static void fill(struct shmc *h, uint16_t stream)
{
    static const uint8_t payload[1024 - sizeof(struct shm_frame)];

    for (int i = 0; i < 64; i++)
        assert_int_equal(shmc_write(h, stream, SHMC_BYTES, payload, sizeof(payload)), 0);
}

static struct shmc_stats stats_of(const struct shmc *h)
{
    struct shmc_stats stats = SHMC_STATS_INIT;

    assert_int_equal(shmc_stats(h, &stats), 0);
    return stats;
}

/* A payload that can be checked: its length and bytes follow from the number. */
static size_t payload_make(uint64_t number, uint8_t *payload)
{
    size_t len = (size_t)(number * 2654435761U % 3000);

    for (size_t i = 0; i < len; i++)
        payload[i] = (uint8_t)(number + i * 7);
    return len;
}

static void payload_check(struct ring_reader *reader, const struct shm_frame *frame,
                          uint64_t number)
{
    static uint8_t want[3000];

    assert_int_equal(frame->len, payload_make(number, want));
    assert_memory_equal(reader->payload, want, frame->len);
}

static void events_arrive_in_order_and_whole_however_they_wrap(void **state)
{
    struct scratch *scratch = *state;
    struct shmc_options opt = scratch_options(scratch);
    struct shmc *h = scratch_open(&opt);
    uint16_t stream = scratch_stream(h);
    struct ring_reader reader;
    struct shm_frame frame;
    uint8_t payload[3000];
    uint64_t read = 0;

    reader_open(&reader, scratch->dir, shmc_name(h));
    for (uint64_t number = 0; number < 2000; number++) {
        size_t len = payload_make(number, payload);
        void *place;

        if (number % 3 == 0) {
            assert_int_equal(shmc_reserve(h, stream, SHMC_BYTES, len + number % 50, &place), 0);
            memset(place, 0xff, len + number % 50);
            memcpy(place, payload, len);
            assert_int_equal(shmc_commit(h, len), 0);
        } else {
            assert_int_equal(shmc_write_at(h, stream, SHMC_BYTES, number + 1, payload, len), 0);
        }
        if (number % 10 != 9)
            continue;
        while (reader_next(&reader, &frame)) {
            assert_int_equal(frame.def, stream);
            assert_int_equal(frame.kind, SHM_KIND_BYTES);
            if (read % 3 != 0)
                assert_int_equal(frame.time_ns, read + 1);
            payload_check(&reader, &frame, read++);
        }
        (void)reader_publish(&reader, SHM_POS_ACCEPTED, reader.pos);
    }
    assert_int_equal(read, 2000);
    assert_int_equal(stats_of(h).committed, reader.pos);
    assert_int_equal(stats_of(h).events, 2000);
    assert_true(reader.pos > 20 * 65536);
    reader_close(&reader);
    assert_int_equal(shmc_close(h), 0);
}

static void takes_the_time_of_the_chosen_clock(void **state)
{
    static const struct {
        enum shmc_clock clock;
        uint64_t error_ns_max;
    } clocks[] = {{SHMC_CLOCK_COARSE, 100 * MS}, {SHMC_CLOCK_REAL, 0}, {SHMC_CLOCK_TSC, 5 * MS}};
    struct scratch *scratch = *state;
    struct shmc_options opt = scratch_options(scratch);
    struct ring_reader reader;
    struct shm_frame frame;

    for (size_t i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++) {
        uint64_t error_ns_max = clocks[i].error_ns_max, from, to;
        struct shmc *h;
        uint16_t stream;

        opt.clock = clocks[i].clock;
        h = scratch_open(&opt);
        stream = scratch_stream(h);
        reader_open(&reader, scratch->dir, shmc_name(h));
        from = real_ns();
        for (int n = 0; n < 100; n++)
            assert_int_equal(shmc_write(h, stream, SHMC_TEXT, "t", 1), 0);
        to = real_ns();
        while (reader_next(&reader, &frame)) {
            assert_true(frame.time_ns + error_ns_max >= from);
            assert_true(frame.time_ns <= to + error_ns_max);
        }
        assert_int_equal(reader.pos, 100 * 24);
        reader_close(&reader);
        assert_int_equal(shmc_close(h), 0);
    }
}

static void no_clock_leaves_the_time_to_the_agent(void **state)
{
    struct scratch *scratch = *state;
    struct shmc_options opt = scratch_options(scratch);
    struct ring_reader reader;
    struct shm_frame frame;
    struct shmc *h;

    opt.clock = SHMC_CLOCK_NONE;
    h = scratch_open(&opt);
    assert_int_equal(shmc_write(h, scratch_stream(h), SHMC_TEXT, "t", 1), 0);
    reader_open(&reader, scratch->dir, shmc_name(h));
    assert_true(reader_next(&reader, &frame));
    assert_int_equal(frame.time_ns, 0);
    reader_close(&reader);
    assert_int_equal(shmc_close(h), 0);
}

/* Whatever it does when it is full: nobody will ever take what is in it. */
static void a_full_ring_that_was_removed_is_stale(void **state)
{
    static const enum shmc_full policies[] = {SHMC_FULL_FAIL, SHMC_FULL_DROP, SHMC_FULL_WAIT};
    struct scratch *scratch = *state;
    struct shmc_options opt = scratch_options(scratch);
    uint8_t payload[1000] = {0};
    char path[PATH_MAX];

    for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
        struct shmc *h;
        uint16_t stream;
        uint64_t drops;
        int rc;

        opt.full = policies[i];
        h = scratch_open(&opt);
        stream = scratch_stream(h);
        (void)snprintf(path, sizeof(path), "%s/%s", scratch->dir, shmc_name(h));
        assert_int_equal(unlink(path), 0);
        assert_int_equal(shmc_write(h, stream, SHMC_BYTES, payload, sizeof(payload)), 0);
        do {
            drops = stats_of(h).drops_full;
            rc = shmc_write(h, stream, SHMC_BYTES, payload, sizeof(payload));
        } while (rc == 0 || rc == -EAGAIN);
        assert_int_equal(rc, -ESTALE);
        assert_int_equal(stats_of(h).drops_full, drops);
        assert_non_null(strstr(shmc_error(h), "its file was removed"));
        assert_int_equal(shmc_close(h), 0);
    }
}

static void refuses_what_no_frame_may_say(void **state)
{
    struct shmc_options opt = scratch_options(*state);
    struct shmc *h = scratch_open(&opt);
    uint16_t stream = scratch_stream(h);
    size_t len_max = shmc_event_bytes_max(h);
    uint8_t *payload = calloc(1, len_max + 1);
    void *place;

    assert_non_null(payload);
    assert_int_equal(shmc_write(h, 0, SHMC_TEXT, "x", 1), -EINVAL);
    assert_int_equal(shmc_write(h, (uint16_t)(stream + 1), SHMC_TEXT, "x", 1), -EINVAL);
    assert_int_equal(shmc_write(h, UINT16_MAX, SHMC_TEXT, "x", 1), -EINVAL);
    assert_non_null(strstr(shmc_error(h), "stream 65535"));
    assert_int_equal(shmc_write(h, stream, 0, "x", 1), -EINVAL);
    assert_int_equal(shmc_write(h, stream, 5, "x", 1), -EINVAL);
    assert_int_equal(shmc_write(h, stream, SHMC_RECORD, "x", 1), -EINVAL);
    assert_non_null(strstr(shmc_error(h), "not of a schema"));
    assert_int_equal(shmc_write(h, stream, SHMC_BYTES, payload, len_max + 1), -EMSGSIZE);
    assert_int_equal(shmc_reserve(h, stream, SHMC_BYTES, SIZE_MAX, &place), -EMSGSIZE);
    assert_int_equal(shmc_reserve(h, stream, SHMC_BYTES, 1, NULL), -EINVAL);
    assert_int_equal(shmc_abort(h), -EINVAL);
    assert_int_equal(stats_of(h).committed, 0);
    assert_int_equal(stats_of(h).drops_too_large, 0);
    assert_int_equal(shmc_write(h, stream, SHMC_BYTES, payload, len_max), 0);
    assert_int_equal(shmc_write(h, stream, SHMC_BYTES, NULL, 0), 0);
    assert_int_equal(stats_of(h).events, 2);
    free(payload);
    assert_int_equal(shmc_close(h), 0);
}

static void one_reserve_at_a_time_and_abort_leaves_nothing(void **state)
{
    struct scratch *scratch = *state;
    struct shmc_options opt = scratch_options(scratch);
    struct shmc *h = scratch_open(&opt);
    uint16_t stream = scratch_stream(h), id;
    struct ring_reader reader;
    struct shm_frame frame;
    void *place, *other;

    assert_int_equal(shmc_commit(h, 0), -EINVAL);
    assert_int_equal(shmc_abort(h), -EINVAL);
    assert_int_equal(shmc_reserve(h, stream, SHMC_JSON, 10, &place), 0);
    assert_int_equal((uintptr_t)place % 8, 0);
    assert_int_equal(shmc_reserve(h, stream, SHMC_JSON, 10, &other), -EBUSY);
    assert_int_equal(shmc_write(h, stream, SHMC_TEXT, "x", 1), -EBUSY);
    assert_int_equal(shmc_stream(h, "other", &id), -EBUSY);
    assert_int_equal(shmc_flush(h, SHMC_ACCEPTED, 0), -EBUSY);
    memset(place, 'a', 10);
    assert_int_equal(shmc_commit(h, 11), -EINVAL);
    assert_int_equal(shmc_abort(h), 0);
    assert_int_equal(shmc_reserve(h, stream, SHMC_JSON, 10, &place), 0);
    memcpy(place, "{}", 2);
    assert_int_equal(shmc_commit(h, 11), -EINVAL); /* stays open */
    assert_int_equal(shmc_commit(h, 2), 0);
    assert_int_equal(shmc_commit(h, 2), -EINVAL);

    reader_open(&reader, scratch->dir, shmc_name(h));
    assert_true(reader_next(&reader, &frame));
    assert_int_equal(frame.kind, SHM_KIND_JSON);
    assert_int_equal(frame.len, 2);
    assert_memory_equal(reader.payload, "{}", 2);
    assert_false(reader_next(&reader, &frame));
    reader_close(&reader);
    assert_int_equal(shmc_close(h), 0);
}

/* ---- full ---- */

static void full_fail_gives_the_event_back_until_there_is_room(void **state)
{
    struct scratch *scratch = *state;
    struct shmc_options opt = scratch_options(scratch);
    struct shmc *h = scratch_open(&opt);
    uint16_t stream = scratch_stream(h);
    struct ring_reader reader;
    void *place;

    fill(h, stream);
    assert_int_equal(shmc_write(h, stream, SHMC_TEXT, "x", 1), -EAGAIN);
    assert_int_equal(shmc_reserve(h, stream, SHMC_TEXT, 1, &place), -EAGAIN);
    assert_int_equal(stats_of(h).drops_full, 0);
    assert_int_equal(stats_of(h).high_water_bytes, 65536);

    reader_open(&reader, scratch->dir, shmc_name(h));
    (void)reader_publish(&reader, SHM_POS_ACCEPTED, 16);
    assert_int_equal(shmc_write(h, stream, SHMC_TEXT, "x", 1), -EAGAIN);
    (void)reader_publish(&reader, SHM_POS_ACCEPTED, 24);
    assert_int_equal(shmc_write(h, stream, SHMC_TEXT, "x", 1), 0);
    assert_int_equal(shmc_write(h, stream, SHMC_TEXT, "", 0), -EAGAIN);
    assert_int_equal(stats_of(h).committed, 65536 + 24);
    reader_close(&reader);
    assert_int_equal(shmc_close(h), 0);
}

static void full_drop_counts_what_it_drops(void **state)
{
    struct scratch *scratch = *state;
    struct shmc_options opt = scratch_options(scratch);
    struct ring_reader reader;
    struct shmc *h;
    uint16_t stream;
    void *place;

    opt.full = SHMC_FULL_DROP;
    h = scratch_open(&opt);
    stream = scratch_stream(h);
    fill(h, stream);
    for (int i = 0; i < 5; i++)
        assert_int_equal(shmc_write(h, stream, SHMC_TEXT, "x", 1), 0);
    assert_int_equal(shmc_reserve(h, stream, SHMC_TEXT, 1, &place), -EAGAIN);
    reader_open(&reader, scratch->dir, shmc_name(h));
    assert_int_equal(atomic_load(&reader.producer->drops[SHM_DROP_FULL]), 6);
    assert_int_equal(stats_of(h).drops_full, 6);
    assert_int_equal(stats_of(h).events, 64);
    assert_int_equal(reader_head(&reader), 65536);
    reader_close(&reader);
    assert_int_equal(shmc_close(h), 0);
}

static void full_wait_ends_when_its_time_is_up(void **state)
{
    struct shmc_options opt = scratch_options(*state);
    struct shmc *h;
    uint16_t stream;
    void *place;

    opt.full = SHMC_FULL_WAIT;
    opt.wait_ns_max = 5 * MS;
    h = scratch_open(&opt);
    stream = scratch_stream(h);
    fill(h, stream);
    assert_int_equal(shmc_write(h, stream, SHMC_TEXT, "x", 1), -ETIMEDOUT);
    assert_int_equal(shmc_reserve(h, stream, SHMC_TEXT, 1, &place), -ETIMEDOUT);
    assert_int_equal(stats_of(h).drops_full + stats_of(h).drops_timeout, 0);
    assert_int_equal(stats_of(h).events, 64);
    assert_int_equal(shmc_close(h), 0);
}

/* ---- an agent that gives the ring up, or lies ---- */

static void a_quarantined_ring_is_stale_and_says_why(void **state)
{
    static const enum shmc_full policies[] = {SHMC_FULL_FAIL, SHMC_FULL_DROP, SHMC_FULL_WAIT};
    struct scratch *scratch = *state;
    struct shmc_options opt = scratch_options(scratch);

    for (size_t i = 0; i < 3; i++) {
        struct ring_reader reader;
        struct shmc *h;
        uint16_t stream;
        uint64_t pos;

        opt.full = policies[i];
        h = scratch_open(&opt);
        stream = scratch_stream(h);
        reader_open(&reader, scratch->dir, shmc_name(h));
        fill(h, stream);
        atomic_store(&reader.consumer->quarantine, SHM_QUARANTINE_QUOTA);
        assert_int_equal(shmc_write(h, stream, SHMC_TEXT, "x", 1), -ESTALE);
        assert_int_equal(shmc_flush(h, SHMC_DURABLE, UINT64_MAX), -ESTALE);
        assert_int_equal(shmc_position(h, SHMC_ACCEPTED, &pos), -ESTALE);
        assert_non_null(strstr(shmc_error(h), "too many rings"));
        assert_int_equal(stats_of(h).quarantine, SHM_QUARANTINE_QUOTA);
        assert_int_equal(reader_head(&reader), 65536);
        reader_close(&reader);
        assert_int_equal(shmc_close(h), 0);
    }
}

static void impossible_positions_are_stale_and_nothing_is_overwritten(void **state)
{
    struct scratch *scratch = *state;
    struct shmc_options opt = scratch_options(scratch);
    struct shmc *h = scratch_open(&opt);
    uint16_t stream = scratch_stream(h);
    struct ring_reader reader;
    struct shm_frame frame;
    static const uint64_t lies[] = {65536 + 8, 1ULL << 63, UINT64_MAX};

    reader_open(&reader, scratch->dir, shmc_name(h));
    fill(h, stream);
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        (void)reader_publish(&reader, SHM_POS_ACCEPTED, lies[i]);
        (void)reader_publish(&reader, SHM_POS_DURABLE, lies[i]);
        assert_int_equal(shmc_write(h, stream, SHMC_TEXT, "x", 1), -ESTALE);
        assert_non_null(strstr(shmc_error(h), "cannot be"));
        assert_int_equal(shmc_flush(h, SHMC_DURABLE, UINT64_MAX), -ESTALE);
    }
    /* Room that was given cannot be taken back: 64 KiB behind head is as far as it may lie. */
    (void)reader_publish(&reader, SHM_POS_ACCEPTED, 1024);
    assert_int_equal(shmc_write(h, stream, SHMC_TEXT, "x", 1), 0);
    (void)reader_publish(&reader, SHM_POS_ACCEPTED, 16);
    assert_int_equal(shmc_write(h, stream, SHMC_BYTES, &lies, 1020), -ESTALE);
    assert_int_equal(shmc_write(h, stream, SHMC_BYTES, "x", 1), -ESTALE);

    reader.pos = 1024; /* what was not accepted is as it was */
    for (int i = 0; i < 63; i++) {
        assert_true(reader_next(&reader, &frame));
        assert_int_equal(frame.len, 1024 - sizeof(struct shm_frame));
    }
    reader_close(&reader);
    assert_int_equal(shmc_close(h), 0);
}

/* ---- flush ---- */

static void flush_asks_and_remembers_what_was_asked(void **state)
{
    static const enum shmc_pos positions[] = {SHMC_ACCEPTED, SHMC_DURABLE, SHMC_DELIVERED};
    struct scratch *scratch = *state;
    struct shmc_options opt = scratch_options(scratch);
    struct shmc *h = scratch_open(&opt);
    uint16_t stream = scratch_stream(h);
    struct ring_reader reader;
    uint64_t pos;

    reader_open(&reader, scratch->dir, shmc_name(h));
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(shmc_flush(h, positions[i], UINT64_MAX), 0); /* nothing was written */
    assert_int_equal(shmc_write(h, stream, SHMC_TEXT, "x", 1), 0);
    for (size_t i = 0; i < 3; i++) {
        _Atomic uint64_t *wanted = &reader.producer->wanted[positions[i]];

        assert_int_equal(shmc_flush(h, positions[i], 0), -ETIMEDOUT);
        assert_int_equal(shmc_flush(h, positions[i], MS), -ETIMEDOUT);
        assert_int_equal(atomic_load(wanted), 24);
        assert_int_equal(atomic_load(&reader.producer->waiter), 0);
        (void)reader_publish(&reader, (enum shm_pos)positions[i], 24);
        assert_int_equal(shmc_flush(h, positions[i], 0), 0);
        assert_int_equal(atomic_load(wanted), 0);
        assert_int_equal(shmc_position(h, positions[i], &pos), 0);
        assert_int_equal(pos, 24);
    }
    assert_int_equal(shmc_flush(h, SHMC_COMMITTED, 0), 0);
    assert_int_equal(shmc_flush(h, (enum shmc_pos)4, 0), -EINVAL);
    assert_int_equal(shmc_position(h, (enum shmc_pos)4, &pos), -EINVAL);
    reader_close(&reader);
    assert_int_equal(shmc_close(h), 0);
}

/* ---- signals ---- */

static struct {
    struct shmc *h;
    uint16_t stream;
    void *page;
    size_t page_bytes;
    int calls, write, reserve, commit, flush, close;
} nested;

/* The write below reads its payload from a page that cannot be read: this runs in its middle. */
static void on_fault(int number)
{
    void *place;
    uint16_t id;

    (void)number;
    nested.calls++;
    nested.write = shmc_write(nested.h, nested.stream, SHMC_TEXT, "nested", 6);
    nested.reserve = shmc_reserve(nested.h, nested.stream, SHMC_TEXT, 6, &place);
    nested.commit = shmc_commit(nested.h, 0);
    nested.flush = shmc_flush(nested.h, SHMC_COMMITTED, 0);
    nested.close = shmc_close(nested.h);
    if (shmc_stream(nested.h, "nested", &id) != -EBUSY)
        nested.write = 1;
    (void)mprotect(nested.page, nested.page_bytes, PROT_READ);
}

static void a_nested_call_of_a_signal_handler_is_refused(void **state)
{
    struct scratch *scratch = *state;
    struct shmc_options opt = scratch_options(scratch);
    struct sigaction act = {.sa_handler = on_fault}, kept;
    struct ring_reader reader;
    struct shm_frame frame;

    nested.h = scratch_open(&opt);
    nested.stream = scratch_stream(nested.h);
    nested.page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    nested.page = mmap(NULL, nested.page_bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(nested.page != MAP_FAILED);
    memcpy(nested.page, "outer", 5);
    assert_int_equal(mprotect(nested.page, nested.page_bytes, PROT_NONE), 0);
    assert_int_equal(sigaction(SIGSEGV, &act, &kept), 0);
    assert_int_equal(shmc_write(nested.h, nested.stream, SHMC_TEXT, nested.page, 5), 0);
    assert_int_equal(sigaction(SIGSEGV, &kept, NULL), 0);

    assert_int_equal(nested.calls, 1);
    assert_int_equal(nested.write, -EBUSY);
    assert_int_equal(nested.reserve, -EBUSY);
    assert_int_equal(nested.commit, -EBUSY);
    assert_int_equal(nested.flush, -EBUSY);
    assert_int_equal(nested.close, -EBUSY);
    reader_open(&reader, scratch->dir, shmc_name(nested.h));
    assert_true(reader_next(&reader, &frame));
    assert_memory_equal(reader.payload, "outer", 5);
    assert_false(reader_next(&reader, &frame));
    reader_close(&reader);
    (void)munmap(nested.page, nested.page_bytes);
    assert_int_equal(shmc_close(nested.h), 0);
}

/* ---- death ---- */

/* Commits `count` events and dies by SIGKILL with the next one half written in a reserve. */
static void write_and_die(const struct scratch *scratch, uint64_t count, int tell_fd)
{
    struct shmc_options opt = scratch_options(scratch);
    uint8_t payload[3000];
    struct shmc *h;
    uint16_t stream;
    void *place;

    opt.ring_bytes = 1048576;
    if (shmc_open(&opt, &h) != 0 || shmc_stream(h, "events", &stream) != 0)
        _exit(1);
    for (uint64_t number = 0; number < count; number++) {
        if (shmc_write(h, stream, SHMC_BYTES, payload, payload_make(number, payload)) != 0)
            _exit(2);
    }
    if (shmc_reserve(h, stream, SHMC_BYTES, 3000, &place) != 0)
        _exit(3);
    memset(place, 0xee, 1500);
    if (write(tell_fd, shmc_name(h), SHM_RING_NAME_MAX + 1) != SHM_RING_NAME_MAX + 1)
        _exit(4);
    for (;;)
        (void)pause();
}

static void killed_in_mid_reserve_leaves_the_committed_prefix(void **state)
{
    struct scratch *scratch = *state;
    char name[SHM_RING_NAME_MAX + 1];

    for (uint64_t count = 0; count < 500; count = count * 3 + 1) {
        struct ring_reader reader;
        struct shm_frame frame;
        int told[2];
        pid_t pid;

        assert_int_equal(pipe(told), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
            write_and_die(scratch, count, told[1]);
        }
        (void)close(told[1]);
        assert_int_equal(read(told[0], name, sizeof(name)), sizeof(name));
        (void)close(told[0]);
        reader_open(&reader, scratch->dir, name);
        assert_true(reader_producer_lives(&reader));
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(child_wait(pid), -SIGKILL);
        assert_false(reader_producer_lives(&reader));

        for (uint64_t number = 0; number < count; number++) {
            assert_true(reader_next(&reader, &frame));
            payload_check(&reader, &frame, number);
        }
        assert_false(reader_next(&reader, &frame));
        reader_close(&reader);
    }
}

/* Writes for ever, waiting for room: killed wherever it happens to be. */
static void write_for_ever(const struct scratch *scratch, int tell_fd)
{
    struct shmc_options opt = scratch_options(scratch);
    uint8_t payload[3000];
    struct shmc *h;
    uint16_t stream;

    opt.full = SHMC_FULL_WAIT;
    if (shmc_open(&opt, &h) != 0 || shmc_stream(h, "events", &stream) != 0 ||
        write(tell_fd, shmc_name(h), SHM_RING_NAME_MAX + 1) != SHM_RING_NAME_MAX + 1)
        _exit(1);
    for (uint64_t number = 0;; number++) {
        if (shmc_write(h, stream, SHMC_BYTES, payload, payload_make(number, payload)) != 0)
            _exit(2);
    }
}

static void killed_anywhere_leaves_whole_events_in_order(void **state)
{
    struct scratch *scratch = *state;
    char name[SHM_RING_NAME_MAX + 1];
    int rounds = getenv("HYDRANT_LONG") != NULL ? 500 : 20;

    for (int round = 0; round < rounds; round++) {
        struct ring_reader reader;
        struct shm_frame frame;
        uint64_t number = 0, stop = 1 + (uint64_t)round * 997 % 5000;
        int told[2];
        pid_t pid;

        assert_int_equal(pipe(told), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
            write_for_ever(scratch, told[1]);
        }
        (void)close(told[1]);
        assert_int_equal(read(told[0], name, sizeof(name)), sizeof(name));
        (void)close(told[0]);
        reader_open(&reader, scratch->dir, name);
        while (number < stop) {
            if (reader_next(&reader, &frame))
                payload_check(&reader, &frame, number++);
            (void)reader_publish(&reader, SHM_POS_ACCEPTED, reader.pos);
        }
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(child_wait(pid), -SIGKILL);
        while (reader_next(&reader, &frame))
            payload_check(&reader, &frame, number++);
        assert_false(reader_producer_lives(&reader));
        reader_close(&reader);
    }
}

#define CLAIM(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(events_arrive_in_order_and_whole_however_they_wrap),
        CLAIM(takes_the_time_of_the_chosen_clock),
        CLAIM(no_clock_leaves_the_time_to_the_agent),
        CLAIM(a_full_ring_that_was_removed_is_stale),
        CLAIM(refuses_what_no_frame_may_say),
        CLAIM(one_reserve_at_a_time_and_abort_leaves_nothing),
        CLAIM(full_fail_gives_the_event_back_until_there_is_room),
        CLAIM(full_drop_counts_what_it_drops),
        CLAIM(full_wait_ends_when_its_time_is_up),
        CLAIM(a_quarantined_ring_is_stale_and_says_why),
        CLAIM(impossible_positions_are_stale_and_nothing_is_overwritten),
        CLAIM(flush_asks_and_remembers_what_was_asked),
        CLAIM(a_nested_call_of_a_signal_handler_is_refused),
        CLAIM(killed_in_mid_reserve_leaves_the_committed_prefix),
        CLAIM(killed_anywhere_leaves_whole_events_in_order),
    };

    return cmocka_run_group_tests_name("producer", tests, NULL, NULL);
}
