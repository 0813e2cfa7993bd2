/*
 * Bells to the agent and sleeps until it answers.
 */
#include "libshm-client/ring_reader.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#define QUARTER (65536U / 4)

enum { SLICE_MS = 100, WAIT_MS = 60000 };

static uint64_t mono_ms(void)
{
    struct timespec ts;

    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &ts), 0);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* The agent's socket; the directory is entered, for its path may be too long for an address. */
static int bell_listen(const char *dir)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX, .sun_path = SHM_BELL_NAME};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int cwd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);

    assert_true(fd >= 0 && cwd >= 0);
    assert_int_equal(chdir(dir), 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(fchdir(cwd), 0);
    (void)close(cwd);
    return fd;
}

static int bells_taken(int fd)
{
    char byte;
    int count = 0;

    while (recv(fd, &byte, 1, 0) >= 0)
        count++;
    assert_int_equal(errno, EAGAIN);
    return count;
}

/* Writes events until head has grown by `bytes`, a multiple of 1024. */
static void write_bytes(struct shmc *h, uint16_t stream, uint32_t bytes)
{
    static const uint8_t payload[1024 - sizeof(struct shm_frame)];

    for (uint32_t done = 0; done < bytes; done += 1024)
        assert_int_equal(shmc_write(h, stream, SHMC_BYTES, payload, sizeof(payload)), 0);
}

static void rings_past_a_quarter_and_only_a_sleeping_agent(void **state)
{
    struct scratch *scratch = *state;
    struct shmc_options opt = scratch_options(scratch);
    int fd = bell_listen(scratch->dir);
    struct shmc *h = scratch_open(&opt);
    uint16_t stream = scratch_stream(h);
    struct ring_reader reader;

    reader_open(&reader, scratch->dir, shmc_name(h));
    write_bytes(h, stream, QUARTER + 1024);
    assert_int_equal(bells_taken(fd), 0);

    atomic_store(&reader.consumer->wanted, 1);
    write_bytes(h, stream, QUARTER - 1024);
    assert_int_equal(bells_taken(fd), 0);
    write_bytes(h, stream, 2048);
    assert_int_equal(bells_taken(fd), 1);
    assert_int_equal(shmc_close(h), 0);
    assert_int_equal(bells_taken(fd), 1);
    reader_close(&reader);
    (void)close(fd);
}

static void rings_at_each_commit_when_told_to(void **state)
{
    struct scratch *scratch = *state;
    struct shmc_options opt = scratch_options(scratch);
    int fd = bell_listen(scratch->dir);
    struct ring_reader reader;
    struct shmc *h;
    uint16_t stream;
    void *data;

    opt.wake = SHMC_WAKE_IMMEDIATE;
    h = scratch_open(&opt);
    stream = scratch_stream(h);
    reader_open(&reader, scratch->dir, shmc_name(h));
    assert_int_equal(shmc_write(h, stream, SHMC_TEXT, "x", 1), 0);
    assert_int_equal(bells_taken(fd), 0);

    atomic_store(&reader.consumer->wanted, 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(shmc_write(h, stream, SHMC_TEXT, "x", 1), 0);
        assert_int_equal(bells_taken(fd), 1);
    }
    assert_int_equal(shmc_reserve(h, stream, SHMC_TEXT, 1000, &data), 0);
    assert_int_equal(bells_taken(fd), 0);
    assert_int_equal(shmc_commit(h, 0), 0);
    assert_int_equal(bells_taken(fd), 1);
    assert_int_equal(shmc_reserve(h, stream, SHMC_TEXT, 1000, &data), 0);
    assert_int_equal(shmc_abort(h), 0);
    assert_int_equal(shmc_write(h, stream, SHMC_TEXT, "x", 1), 0);
    assert_int_equal(bells_taken(fd), 1);
    reader_close(&reader);
    assert_int_equal(shmc_close(h), 0);
    (void)close(fd);
}

static void a_reserve_that_passes_the_mark_rings_at_its_commit(void **state)
{
    struct scratch *scratch = *state;
    struct shmc_options opt = scratch_options(scratch);
    int fd = bell_listen(scratch->dir);
    struct shmc *h = scratch_open(&opt);
    uint16_t stream = scratch_stream(h);
    struct ring_reader reader;
    void *data;

    reader_open(&reader, scratch->dir, shmc_name(h));
    atomic_store(&reader.consumer->wanted, 1);
    write_bytes(h, stream, QUARTER - 1024);
    assert_int_equal(shmc_reserve(h, stream, SHMC_BYTES, 2048, &data), 0);
    assert_int_equal(bells_taken(fd), 0);
    assert_int_equal(shmc_commit(h, 2048), 0);
    assert_int_equal(bells_taken(fd), 1);
    write_bytes(h, stream, QUARTER); /* the next mark counts from this bell */
    assert_int_equal(bells_taken(fd), 0);
    reader_close(&reader);
    assert_int_equal(shmc_close(h), 0);
    (void)close(fd);
}

static void nobody_listening_is_no_error(void **state)
{
    struct shmc_options opt = scratch_options(*state);
    struct shmc *h = scratch_open(&opt);

    errno = E2BIG;
    assert_int_equal(shmc_flush(h, SHMC_COMMITTED, 0), 0);
    assert_int_equal(errno, E2BIG);
    assert_int_equal(shmc_close(h), 0);
}

static void finds_the_bell_in_a_directory_with_a_long_path(void **state)
{
    struct scratch *scratch = *state;
    struct shmc_options opt = scratch_options(scratch);
    char dir[256];
    struct shmc *h;
    int fd;

    (void)snprintf(dir, sizeof(dir), "%s/%0128d", scratch->dir, 0);
    opt.shm_dir = dir;
    h = scratch_open(&opt);
    fd = bell_listen(dir);
    assert_int_equal(shmc_flush(h, SHMC_COMMITTED, 0), 0);
    assert_int_equal(bells_taken(fd), 1);
    assert_int_equal(shmc_close(h), 0);
    (void)close(fd);
}

static void finds_the_bell_after_the_program_changed_its_directory(void **state)
{
    struct scratch *scratch = *state;
    struct shmc_options opt = scratch_options(scratch);
    int cwd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd = bell_listen(scratch->dir);
    struct shmc *h;

    assert_int_equal(chdir("/dev/shm"), 0);
    opt.shm_dir = strrchr(scratch->dir, '/') + 1;
    h = scratch_open(&opt);
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(shmc_flush(h, SHMC_COMMITTED, 0), 0);
    assert_int_equal(bells_taken(fd), 1);
    assert_int_equal(shmc_close(h), 0);
    assert_int_equal(fchdir(cwd), 0);
    (void)close(cwd);
    (void)close(fd);
}

/* A program may close descriptors that it does not know, and open its own in their place. */
static void leaves_a_descriptor_alone_that_took_the_bells_number(void **state)
{
    struct scratch *scratch = *state;
    struct shmc_options opt = scratch_options(scratch);
    int fd = bell_listen(scratch->dir);
    struct shmc *h = scratch_open(&opt);
    struct stat before, after;
    int pair[2], lowest;
    char byte;

    lowest = dup(fd);
    assert_true(lowest >= 0);
    (void)close(lowest);
    assert_int_equal(shmc_flush(h, SHMC_COMMITTED, 0), 0); /* opens the bell: takes the lowest */
    assert_int_equal(bells_taken(fd), 1);
    (void)close(lowest);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
    assert_int_equal(pair[0], lowest);
    assert_int_equal(fstat(lowest, &before), 0);

    assert_int_equal(shmc_flush(h, SHMC_COMMITTED, 0), 0);
    assert_int_equal(bells_taken(fd), 1);
    assert_int_equal(recv(pair[1], &byte, 1, 0), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(shmc_close(h), 0);
    assert_int_equal(fstat(lowest, &after), 0);
    assert_true(before.st_ino == after.st_ino);
    (void)close(pair[0]);
    (void)close(pair[1]);
    (void)close(fd);
}

/* ---- an agent in a thread of its own ---- */

struct agent {
    struct ring_reader reader;
    int bell_fd;
    pid_t producer_tid;
    int rounds;
    bool loses;                 /* what it has, before it publishes */
    enum shm_pos which;
    int woken;
};

static bool thread_sleeps(pid_t tid)
{
    char path[64], stat[512] = "";
    FILE *file;
    const char *end;

    (void)snprintf(path, sizeof(path), "/proc/self/task/%ld/stat", (long)tid);
    file = fopen(path, "re");
    if (file == NULL)
        return false;
    (void)!fread(stat, 1, sizeof(stat) - 1, file);
    (void)fclose(file);
    end = strrchr(stat, ')');
    return end != NULL && strncmp(end, ") S", 3) == 0;
}

/* At each bell waits until the producer sleeps, then publishes what it has written. */
static void *agent_run(void *context)
{
    struct agent *agent = context;

    for (int i = 0; i < agent->rounds; i++) {
        struct pollfd bell = {.fd = agent->bell_fd, .events = POLLIN};
        uint64_t head;

        if (poll(&bell, 1, WAIT_MS) != 1)
            return NULL;
        (void)bells_taken(agent->bell_fd);
        while (!thread_sleeps(agent->producer_tid))
            (void)sched_yield();
        head = reader_head(&agent->reader);
        if (agent->loses)
            atomic_store(&agent->reader.consumer->lost_pos, head);
        if (reader_publish(&agent->reader, agent->which, head))
            agent->woken++;
    }
    return agent;
}

/* Makes room when it has been asked for it so many times. */
static void *hear_bells(void *context)
{
    struct agent *agent = context;

    for (int heard = 0; heard < agent->rounds; heard += bells_taken(agent->bell_fd)) {
        struct pollfd bell = {.fd = agent->bell_fd, .events = POLLIN};

        if (poll(&bell, 1, WAIT_MS) != 1)
            return NULL;
    }
    (void)reader_publish(&agent->reader, SHM_POS_ACCEPTED, reader_head(&agent->reader));
    return agent;
}

static void a_long_wait_rings_again_and_again(void **state)
{
    struct scratch *scratch = *state;
    struct shmc_options opt = scratch_options(scratch);
    struct agent agent = {.rounds = 3};
    pthread_t thread;
    struct shmc *h;
    uint16_t stream;
    void *done;

    opt.full = SHMC_FULL_WAIT;
    opt.wait_ns_max = 2 * WAIT_MS * 1000000ULL;
    h = scratch_open(&opt);
    stream = scratch_stream(h);
    agent.bell_fd = bell_listen(scratch->dir);
    reader_open(&agent.reader, scratch->dir, shmc_name(h));
    write_bytes(h, stream, 65536);
    assert_int_equal(bells_taken(agent.bell_fd), 0);
    assert_int_equal(pthread_create(&thread, NULL, hear_bells, &agent), 0);
    assert_int_equal(shmc_write(h, stream, SHMC_TEXT, "x", 1), 0);
    assert_int_equal(pthread_join(thread, &done), 0);
    assert_non_null(done);
    reader_close(&agent.reader);
    assert_int_equal(shmc_close(h), 0);
    (void)close(agent.bell_fd);
}

static void flush_sleeps_until_the_agent_wakes_it(void **state)
{
    static const enum shmc_pos positions[] = {SHMC_ACCEPTED, SHMC_DURABLE, SHMC_DELIVERED};
    struct scratch *scratch = *state;
    struct shmc_options opt = scratch_options(scratch);
    struct shmc *h = scratch_open(&opt);
    uint16_t stream = scratch_stream(h);
    struct agent agent = {.rounds = 20, .producer_tid = gettid()};
    uint64_t pos, head;
    int quick = 0;

    agent.bell_fd = bell_listen(scratch->dir);
    reader_open(&agent.reader, scratch->dir, shmc_name(h));
    for (size_t i = 0; i < 3; i++) {
        pthread_t thread;
        void *done;

        agent.which = (enum shm_pos)positions[i];
        agent.woken = 0;
        assert_int_equal(pthread_create(&thread, NULL, agent_run, &agent), 0);
        for (int round = 0; round < agent.rounds; round++) {
            uint64_t start_ms = mono_ms();

            assert_int_equal(shmc_write(h, stream, SHMC_TEXT, "x", 1), 0);
            assert_int_equal(shmc_flush(h, positions[i], WAIT_MS * 1000000ULL), 0);
            quick += mono_ms() - start_ms < SLICE_MS;
            assert_int_equal(shmc_position(h, positions[i], &pos), 0);
            assert_int_equal(shmc_position(h, SHMC_COMMITTED, &head), 0);
            assert_int_equal(pos, head);
        }
        assert_int_equal(pthread_join(thread, &done), 0);
        assert_non_null(done);
        /* Most of them: a slice may end just before the agent publishes. */
        assert_true(agent.woken >= agent.rounds / 2);
        assert_int_equal(atomic_load(&agent.reader.producer->waiter), 0);
        assert_int_equal(atomic_load(&agent.reader.producer->wanted[positions[i]]), 0);
    }
    /* Had nobody been woken, each would have slept to the end of its slice. */
    assert_true(quick >= 3 * agent.rounds / 2);
    reader_close(&agent.reader);
    assert_int_equal(shmc_close(h), 0);
    (void)close(agent.bell_fd);
}

static void what_was_lost_is_told_by_one_flush(void **state)
{
    struct scratch *scratch = *state;
    struct shmc_options opt = scratch_options(scratch);
    struct shmc *h = scratch_open(&opt);
    uint16_t stream = scratch_stream(h);
    struct ring_reader reader;
    uint64_t lost;

    reader_open(&reader, scratch->dir, shmc_name(h));
    for (int round = 0; round < 2; round++) {
        write_bytes(h, stream, 2048);
        lost = reader_head(&reader);
        write_bytes(h, stream, 1024);
        reader_publish(&reader, SHM_POS_ACCEPTED, reader_head(&reader));
        atomic_store(&reader.consumer->lost_pos, lost);
        /* Accepted they were; and a flush that did not wait for durable could not say so. */
        assert_int_equal(shmc_flush(h, SHMC_COMMITTED, 0), 0);
        assert_int_equal(shmc_flush(h, SHMC_ACCEPTED, 0), 0);
        /* Though not all that it asks for is durable yet. */
        errno = E2BIG;
        assert_int_equal(shmc_flush(h, round == 0 ? SHMC_DURABLE : SHMC_DELIVERED, 0), -EIO);
        assert_int_equal(errno, E2BIG);
        assert_non_null(strstr(shmc_error(h), "were lost"));
        assert_int_equal(atomic_load(&reader.producer->waiter), 0);
        /* What is sent again, and all after it, is a new matter. */
        assert_int_equal(shmc_flush(h, SHMC_DURABLE, 0), -ETIMEDOUT);
        write_bytes(h, stream, 2048);
        for (int which = 0; which < SHM_POS_COUNT; which++)
            reader_publish(&reader, (enum shm_pos)which, reader_head(&reader));
        assert_int_equal(shmc_flush(h, SHMC_DURABLE, 0), 0);
        assert_int_equal(shmc_flush(h, SHMC_DELIVERED, 0), 0);
    }
    reader_close(&reader);
    assert_int_equal(shmc_close(h), 0);
}

static void a_flush_that_sleeps_is_told_of_a_loss(void **state)
{
    struct scratch *scratch = *state;
    struct shmc_options opt = scratch_options(scratch);
    struct shmc *h = scratch_open(&opt);
    uint16_t stream = scratch_stream(h);
    struct agent agent = {.rounds = 10, .loses = true, .producer_tid = gettid(),
                          .which = SHM_POS_DURABLE};
    pthread_t thread;
    void *done;

    agent.bell_fd = bell_listen(scratch->dir);
    reader_open(&agent.reader, scratch->dir, shmc_name(h));
    assert_int_equal(pthread_create(&thread, NULL, agent_run, &agent), 0);
    for (int round = 0; round < agent.rounds; round++) {
        assert_int_equal(shmc_write(h, stream, SHMC_TEXT, "x", 1), 0);
        assert_int_equal(shmc_flush(h, SHMC_DURABLE, WAIT_MS * 1000000ULL), -EIO);
    }
    assert_int_equal(pthread_join(thread, &done), 0);
    assert_non_null(done);
    assert_int_equal(shmc_flush(h, SHMC_DURABLE, 0), 0);
    reader_close(&agent.reader);
    assert_int_equal(shmc_close(h), 0);
    (void)close(agent.bell_fd);
}

static void a_full_ring_waits_until_the_agent_makes_room(void **state)
{
    struct scratch *scratch = *state;
    struct shmc_options opt = scratch_options(scratch);
    struct agent agent = {.rounds = 10, .producer_tid = gettid(), .which = SHM_POS_ACCEPTED};
    pthread_t thread;
    struct shmc *h;
    uint16_t stream;
    void *done;

    opt.full = SHMC_FULL_WAIT;
    h = scratch_open(&opt);
    stream = scratch_stream(h);
    agent.bell_fd = bell_listen(scratch->dir);
    reader_open(&agent.reader, scratch->dir, shmc_name(h));
    write_bytes(h, stream, 65536);
    assert_int_equal(pthread_create(&thread, NULL, agent_run, &agent), 0);
    for (int round = 0; round < agent.rounds; round++)
        write_bytes(h, stream, 65536);
    assert_int_equal(pthread_join(thread, &done), 0);
    assert_non_null(done);
    assert_true(agent.woken >= agent.rounds / 2);
    reader_close(&agent.reader);
    assert_int_equal(shmc_close(h), 0);
    (void)close(agent.bell_fd);
}

/* An agent that has the ring takes it to its end; one that starts later never finds it. */
static void a_flush_tells_that_the_ring_was_removed(void **state)
{
    struct scratch *scratch = *state;
    struct shmc_options opt = scratch_options(scratch);
    struct shmc *h = scratch_open(&opt);
    uint16_t stream = scratch_stream(h);
    struct ring_reader reader;
    char path[PATH_MAX];
    int rc;

    reader_open(&reader, scratch->dir, shmc_name(h));
    (void)snprintf(path, sizeof(path), "%s/%s", scratch->dir, shmc_name(h));
    write_bytes(h, stream, 1024);
    assert_int_equal(shmc_flush(h, SHMC_ACCEPTED, 0), -ETIMEDOUT);
    assert_int_equal(unlink(path), 0);
    do {
        rc = shmc_flush(h, SHMC_ACCEPTED, 0);
    } while (rc == -ETIMEDOUT);
    assert_int_equal(rc, -ESTALE);
    assert_non_null(strstr(shmc_error(h), "its file was removed"));
    assert_int_equal(shmc_flush(h, SHMC_DURABLE, UINT64_MAX), -ESTALE);
    (void)reader_publish(&reader, SHM_POS_ACCEPTED, 1024);
    assert_int_equal(shmc_flush(h, SHMC_ACCEPTED, 0), 0);
    assert_int_equal(shmc_flush(h, SHMC_DURABLE, 300000000), -ETIMEDOUT);   /* the agent has it */
    write_bytes(h, stream, 1024);
    assert_int_equal(shmc_flush(h, SHMC_DURABLE, UINT64_MAX), -ESTALE);
    reader_close(&reader);
    assert_int_equal(shmc_close(h), 0);
}

#define CLAIM(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(rings_past_a_quarter_and_only_a_sleeping_agent),
        CLAIM(rings_at_each_commit_when_told_to),
        CLAIM(a_reserve_that_passes_the_mark_rings_at_its_commit),
        CLAIM(nobody_listening_is_no_error),
        CLAIM(a_long_wait_rings_again_and_again),
        CLAIM(finds_the_bell_in_a_directory_with_a_long_path),
        CLAIM(finds_the_bell_after_the_program_changed_its_directory),
        CLAIM(leaves_a_descriptor_alone_that_took_the_bells_number),
        CLAIM(flush_sleeps_until_the_agent_wakes_it),
        CLAIM(what_was_lost_is_told_by_one_flush),
        CLAIM(a_flush_that_sleeps_is_told_of_a_loss),
        CLAIM(a_full_ring_waits_until_the_agent_makes_room),
        CLAIM(a_flush_tells_that_the_ring_was_removed),
    };

    return cmocka_run_group_tests_name("doorbell", tests, NULL, NULL);
}
