/*
 * producer: a producer under the command of an end-to-end test, by lines on standard input.
 *
 *   write COUNT            writes so many events
 *   spread COUNT           writes one event to each of the streams NAME.0, NAME.1, ...
 *   load RATE              writes RATE events a second until the next line or the end of input
 *   keep COUNT             writes COUNT events, waits a while until they are durable, again and
 *                          again until the next line
 *   send FILE              writes the events of a file, one behind the other: their kind (8 bits),
 *                          time in ns (64), length (32), all little-endian, and the payload
 *   records COUNT          writes so many typed records, their values made of their number
 *   flush POS SECONDS      waits until all is accepted, durable or delivered
 *   stats                  prints drops_full and quarantine
 *
 * Each line is answered by one: "ok EVENTS" with the events written so far, or "error ..." with
 * the name of the errno and the library's text. At the end of input the ring is closed.
 *
 * An event is the JSON object {"p": "ID", "n": NUMBER, "pad": "..."}: numbers count up from 0, the
 * padding's length varies with the number. Whoever kills this process finds in the progress file
 * how many events were surely committed (one more may have been), and how many of them a flush has
 * said to be durable.
 *
 * Owns:   one ring, the mapping of the progress file.
 * Thread: main.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "shm_client.h"

enum { EVENT_BYTES_MAX = 65536, FILE_EVENT_BYTES_MAX = 1 << 20, BURSTS_A_SECOND = 100 };

#define SLICE_NS 50000000ULL    /* a full ring is waited for so long before input is looked at */

struct producer {
    struct shmc *ring;
    const char *id, *stream_name;
    uint64_t pad_max;
    uint64_t events;
    uint16_t stream;
    _Atomic uint64_t *progress;     /* events, durable events; NULL: nobody wants to know */
};

static int fail(const char *what, int err, const char *text)
{
    printf("error %s: %s: %s\n", what, strerrorname_np(-err), text);
    fflush(stdout);
    return -1;
}

static bool input_ready(void)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};

    return poll(&input, 1, 0) > 0;
}

/* One event. 1: the ring is full, the caller may try again. */
static int event_write(struct producer *p)
{
    static char event[EVENT_BYTES_MAX];
    uint64_t pad = p->pad_max > 0 ? p->events * 7919 % (p->pad_max + 1) : 0;
    int len = snprintf(event, sizeof(event), "{\"p\": \"%s\", \"n\": %" PRIu64 ", \"pad\": \"",
                       p->id, p->events);
    int res;

    memset(event + len, 'x', pad);
    memcpy(event + len + (int)pad, "\"}", 2);
    res = shmc_write(p->ring, p->stream, SHMC_JSON, event, (size_t)len + pad + 2);
    if (res == -ETIMEDOUT || res == -EAGAIN)
        return 1;
    if (res < 0)
        return fail("write", res, shmc_error(p->ring));
    p->events++;
    if (p->progress)
        atomic_store_explicit(&p->progress[0], p->events, memory_order_release);
    return 0;
}

static int do_write(struct producer *p, uint64_t count)
{
    for (uint64_t end = p->events + count; p->events < end;) {
        int res = event_write(p);

        if (res > 0 && input_ready())
            return fail("write", -ETIMEDOUT, "the ring is full");
        if (res < 0)
            return res;
    }
    return 0;
}

static int do_spread(struct producer *p, uint64_t count)
{
    uint16_t own = p->stream;
    char name[128];
    int res = 0;

    for (uint64_t i = 0; res == 0 && i < count; i++) {
        snprintf(name, sizeof(name), "%s.%" PRIu64, p->stream_name, i);
        res = shmc_stream(p->ring, name, &p->stream);
        if (res < 0)
            res = fail(name, res, shmc_error(p->ring));
        else
            res = do_write(p, 1);
    }
    p->stream = own;
    return res;
}

/* Bursts by a timer; a full ring just makes them late. */
static int do_load(struct producer *p, uint64_t rate)
{
    struct itimerspec beat = {.it_interval.tv_nsec = 1000000000 / BURSTS_A_SECOND,
                              .it_value.tv_nsec = 1};
    struct pollfd fds[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.events = POLLIN}};
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), res = 0;
    uint64_t burst = (rate + BURSTS_A_SECOND - 1) / BURSTS_A_SECOND, beats;

    if (timer < 0 || timerfd_settime(timer, 0, &beat, NULL) != 0)
        return fail("timer", -errno, strerror(errno));
    fds[1].fd = timer;
    while (res >= 0 && poll(fds, 2, -1) >= 0 && !fds[0].revents) {
        if (read(timer, &beats, sizeof(beats)) < 0) {
            res = fail("timer", -errno, strerror(errno));
            break;
        }
        for (uint64_t i = 0; res >= 0 && i < burst; i += res == 0) {
            res = event_write(p);
            if (res > 0 && input_ready())
                break;
        }
    }
    close(timer);
    return res < 0 ? res : 0;
}

/* What is not durable in a slice may be so later: the ring fills meanwhile. */
static int do_keep(struct producer *p, uint64_t count)
{
    int res = 0;

    while (res >= 0 && !input_ready()) {
        for (uint64_t i = 0; res >= 0 && i < count && !input_ready(); i += res == 0)
            res = event_write(p);
        if (res < 0)
            return res;
        res = shmc_flush(p->ring, SHMC_DURABLE, SLICE_NS);
        if (res == 0 && p->progress)
            atomic_store_explicit(&p->progress[1], p->events, memory_order_release);
        if (res < 0 && res != -ETIMEDOUT && res != -EIO)
            return fail("durable", res, shmc_error(p->ring));
        res = 0;
    }
    return 0;
}

/* 1: there is one; 0: the file has ended. */
static int file_event(struct producer *p, FILE *file)
{
    static uint8_t event[FILE_EVENT_BYTES_MAX];
    struct __attribute__((packed)) {
        uint8_t kind;
        uint64_t time_ns;
        uint32_t len;
    } head;
    int res;

    if (fread(&head, sizeof(head), 1, file) != 1)
        return ferror(file) ? fail("send", -EIO, "the file cannot be read") : 0;
    if (head.len > sizeof(event) || fread(event, 1, head.len, file) != head.len)
        return fail("send", -EINVAL, "no such event");
    do
        res = shmc_write_at(p->ring, p->stream, head.kind, head.time_ns, event, head.len);
    while (res == -ETIMEDOUT && !input_ready());
    if (res < 0)
        return fail("send", res, shmc_error(p->ring));
    p->events++;
    return 1;
}

static int do_send(struct producer *p, const char *path)
{
    FILE *file = fopen(path, "re");
    int res;

    if (!file)
        return fail(path, -errno, strerror(errno));
    do
        res = file_event(p, file);
    while (res > 0);
    fclose(file);
    return res;
}

#define SAMPLE(FIELD, s)                                                                           \
    FIELD(s, TIMESTAMP, at)                                                                        \
    FIELD(s, STRING, name)                                                                         \
    FIELD(s, BOOL, odd)                                                                            \
    FIELD(s, I32, small)                                                                           \
    FIELD(s, OPT_I64, big)                                                                         \
    FIELD(s, U64, wide)                                                                            \
    FIELD(s, F32, single)                                                                          \
    FIELD(s, F64, real)                                                                            \
    FIELD(s, OPT_BYTES, blob)
SHMC_STRUCT(sample, SAMPLE);

/* test_formats.py knows them. */
static int do_records(struct producer *p, uint64_t count)
{
    static const char *const names[] = {"plain", "", "\"a\",b\nc", "\xc3\xa4\xe2\x82\xac", "NaN"};
    uint16_t schema;
    int res = shmc_schema(p->ring, p->stream, sample_fields, sample_count, &schema);

    for (uint64_t i = 0; res >= 0 && i < count; i++) {
        uint8_t blob[2] = {(uint8_t)i, 0xff};
        struct sample s = {
            .at = (int64_t)(i * 1000003), .name = names[i % 5], .odd = i % 2 == 1,
            .small = INT32_MIN + (int32_t)i, .has_big = i % 3 != 0, .big = INT64_MIN + (int64_t)i,
            .wide = UINT64_MAX - i, .single = (float)i / 4, .real = (double)i * 1.5,
            .blob = i % 4 == 0 ? NULL : blob, .blob_len = i % 4 - (i % 4 > 0),
        };

        do
            res = shmc_write_struct(p->ring, schema, &s);
        while (res == -ETIMEDOUT && !input_ready());
        p->events += res >= 0;
    }
    return res < 0 ? fail("records", res, shmc_error(p->ring)) : 0;
}

static int do_flush(struct producer *p, const char *name, uint64_t seconds)
{
    static const struct {
        const char *name;
        enum shmc_pos pos;
    } known[] = {{"accepted", SHMC_ACCEPTED}, {"durable", SHMC_DURABLE},
                 {"delivered", SHMC_DELIVERED}};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        int res;

        if (strcmp(known[i].name, name) != 0)
            continue;
        res = shmc_flush(p->ring, known[i].pos, seconds * 1000000000ULL);
        return res < 0 ? fail(name, res, shmc_error(p->ring)) : 0;
    }
    return fail("flush", -EINVAL, "accepted, durable or delivered?");
}

static int do_stats(struct producer *p)
{
    struct shmc_stats stats = SHMC_STATS_INIT;
    int res = shmc_stats(p->ring, &stats);

    if (res < 0)
        return fail("stats", res, shmc_error(p->ring));
    printf("ok %" PRIu64 " %" PRIu64 " %u\n", p->events, stats.drops_full, stats.quarantine);
    fflush(stdout);
    return 1;
}

/* 0: answer with ok; else it is answered. */
static int command_do(struct producer *p, const char *line)
{
    char word[16] = "", pos[16] = "", path[256];
    uint64_t number = 0;

    if (sscanf(line, "flush %15s %" SCNu64, pos, &number) == 2)
        return do_flush(p, pos, number);
    if (strcmp(line, "stats\n") == 0)
        return do_stats(p);
    if (sscanf(line, "send %255s", path) == 1)
        return do_send(p, path);
    if (sscanf(line, "%15s %" SCNu64, word, &number) == 2 && strcmp(word, "write") == 0)
        return do_write(p, number);
    if (number > 0 && strcmp(word, "spread") == 0)
        return do_spread(p, number);
    if (number > 0 && strcmp(word, "records") == 0)
        return do_records(p, number);
    if (number > 0 && strcmp(word, "load") == 0)
        return do_load(p, number);
    if (number > 0 && strcmp(word, "keep") == 0)
        return do_keep(p, number);
    if (strcmp(line, "stop\n") == 0)
        return 0;
    return fail("command", -EINVAL, line);
}

static int progress_map(struct producer *p, const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    void *map;

    if (fd < 0 || ftruncate(fd, 2 * sizeof(uint64_t)) != 0)
        return fail(path, -errno, strerror(errno));
    map = mmap(NULL, 2 * sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (map == MAP_FAILED)
        return fail(path, -errno, strerror(errno));
    p->progress = map;
    return 0;
}

int main(int argc, char **argv)
{
    struct shmc_options opt = SHMC_OPTIONS_INIT;
    struct producer p = {.id = "p", .stream_name = "load"};
    const char *progress = NULL;
    char line[320];
    int c, res;

    signal(SIGBUS, SIG_DFL);    /* of a ring that was cut; sanitizers would explain it at length */
    opt.full = SHMC_FULL_WAIT;
    opt.wait_ns_max = SLICE_NS;
    while ((c = getopt(argc, argv, "d:s:i:b:p:f:D")) != -1) {
        switch (c) {
        case 'd': opt.shm_dir = optarg; break;
        case 's': p.stream_name = optarg; break;
        case 'i': p.id = opt.name = optarg; break;
        case 'b': opt.ring_bytes = strtoull(optarg, NULL, 10); break;
        case 'p': p.pad_max = strtoull(optarg, NULL, 10); break;
        case 'f': progress = optarg; break;
        case 'D': opt.full = SHMC_FULL_DROP; break;
        default: return 2;
        }
    }
    if (p.pad_max + 256 > EVENT_BYTES_MAX)
        return 2;
    if (progress && progress_map(&p, progress) != 0)
        return 1;
    res = shmc_open(&opt, &p.ring);
    if (res < 0)
        return fail("open", res, shmc_error(NULL)) != 0;
    res = shmc_stream(p.ring, p.stream_name, &p.stream);
    if (res < 0)
        return fail("stream", res, shmc_error(p.ring)) != 0;
    printf("ok %s\n", shmc_name(p.ring));
    fflush(stdout);
    setvbuf(stdin, NULL, _IONBF, 0);    /* poll sees what is not read yet */
    while (fgets(line, sizeof(line), stdin)) {
        if (command_do(&p, line) != 0)
            continue;
        printf("ok %" PRIu64 "\n", p.events);
        fflush(stdout);
    }
    return shmc_close(p.ring) < 0;
}
