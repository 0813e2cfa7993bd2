/*
 * lines_tool: what benchmarks/peers measures agents with: a sender of numbered lines, the plainest
 * receiver, and a count of what has arrived.
 *
 *   send TARGET   prints "ready", waits for a line on standard input, sends for --seconds and says
 *                 in one line of JSON what the receiver took. TARGET is ring:SHM_DIR, unix:PATH,
 *                 tcp:PORT (of loopback) or file:PATH. All but the ring get 64 KiB a write, whole
 *                 lines; an event by ring is the line without its LF. A connection that breaks
 *                 ends it: "events" are the lines that write() had taken whole by then. By ring
 *                 --events end it, too, and it waits until all is delivered, with --open-end
 *                 until it is in the log
 *   loop FILE     takes connections at --listen, one after the other, and appends what comes to
 *                 FILE, 64 KiB a read: no framing, no promises
 *   count PATH... prints how many lines the files at and below the paths hold, how many different
 *                 numbers, how many of them twice, and how many lines that nobody sent; files and
 *                 folders whose names begin with a dot are not looked at
 *
 * A line is numbered's event: {"p":"0000","n":"0000000000","d":"xxx..."}. n is --first, then
 * --step more each time; p counts around below --partitions.
 *
 * Owns:   its rings or its socket.
 * Thread: main.
 * Units:  seconds.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "benchmarks/numbered.h"
#include "shm_client.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <getopt.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define FLUSH_NS_MAX 300000000000ULL

enum { BLOCK_BYTES = 65536, RINGS_MAX = 1000, STREAMS_MAX = 1000, PARTITIONS_MAX = 10000,
       VISIT = 64 /* events into a ring before the next one's turn; between looks at a clock */ };

struct options {
    const char *name, *listen;
    unsigned int bytes, streams, rings, partitions, first, step;
    uint64_t ring_bytes, events_max;
    double seconds;
    bool partitioned; /* lines have lost p, which is in their path */
    bool open_end;    /* not to wait until what went into rings is delivered */
};

struct outcome {
    uint64_t events;
    bool broken;
    double write_s, accepted_s, delivered_s; /* since the start */
};

static int fail(const char *what, int err)
{
    (void)fprintf(stderr, "lines_tool: %s: %s\n", what, strerror(err < 0 ? -err : err));
    return 1;
}

static double now_s(clockid_t clock)
{
    struct timespec ts;

    (void)clock_gettime(clock, &ts); /* cannot fail for clocks that every kernel has */
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* --- send ----------------------------------------------------------------------------------- */

struct sender {
    const struct options *opt;
    struct numbered event;
    unsigned int partition;
    char (*parts)[NUMBERED_RING_DIGITS + 1]; /* owned */
    double end_s;
};

static int sender_init(struct sender *s, const struct options *opt)
{
    *s = (struct sender){.opt = opt};
    s->parts = calloc(opt->partitions, sizeof(*s->parts));
    if (s->parts == NULL)
        return -ENOMEM;
    for (unsigned int i = 0; i < opt->partitions; i++)
        (void)snprintf(s->parts[i], sizeof(s->parts[i]), "%04u", i % PARTITIONS_MAX);
    numbered_init(&s->event, opt->bytes, 0);
    numbered_add(&s->event, opt->first);
    return 0;
}

static inline void sender_next(struct sender *s)
{
    if (s->opt->step == 1)
        numbered_next(&s->event);
    else
        numbered_add(&s->event, s->opt->step);
    if (s->opt->partitions > 1) {
        s->partition = s->partition + 1 == s->opt->partitions ? 0 : s->partition + 1;
        memcpy(s->event.text + NUMBERED_RING_AT, s->parts[s->partition], NUMBERED_RING_DIGITS);
    }
}

/* The word of whoever measures that all may start. */
static int wait_for_start(struct sender *s)
{
    char line[16];

    (void)puts("ready");
    if (fflush(stdout) != 0 || fgets(line, sizeof(line), stdin) == NULL)
        return -EPIPE;
    s->end_s = now_s(CLOCK_MONOTONIC) + s->opt->seconds;
    return 0;
}

static size_t block_fill(struct sender *s, char *block)
{
    size_t len = 0, line = s->opt->bytes + 1U;

    for (; len + line <= BLOCK_BYTES; len += line) {
        memcpy(block + len, s->event.text, s->opt->bytes);
        block[len + line - 1] = '\n';
        sender_next(s);
    }
    return len;
}

static int fd_send(struct sender *s, int fd, struct outcome *ret)
{
    static char block[BLOCK_BYTES];
    uint64_t bytes = 0;
    int rc = wait_for_start(s);
    double start = now_s(CLOCK_MONOTONIC);

    while (rc == 0 && !ret->broken && now_s(CLOCK_MONOTONIC) < s->end_s) {
        size_t len = block_fill(s, block);

        for (size_t at = 0; at < len && !ret->broken && rc == 0;) {
            ssize_t n = write(fd, block + at, len - at);

            if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
                ret->broken = true;
            else if (n < 0 && errno != EINTR)
                rc = -errno;
            at += n > 0 ? (size_t)n : 0;
            bytes += n > 0 ? (uint64_t)n : 0;
        }
    }
    ret->events = bytes / (s->opt->bytes + 1U);
    ret->write_s = now_s(CLOCK_MONOTONIC) - start;
    return rc;
}

/* A receiver that has read all of a connection closes it, too. */
static int connection_end(int fd, struct outcome *ret)
{
    char byte;
    ssize_t n;

    if (shutdown(fd, SHUT_WR) != 0)
        return errno == ENOTCONN ? 0 : -errno;
    do
        n = read(fd, &byte, 1);
    while (n > 0 || (n < 0 && errno == EINTR));
    ret->broken = n < 0;
    return n == 0 || errno == ECONNRESET ? 0 : -errno;
}

static int connection_open(bool tcp, const char *where)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)strtoul(where, NULL, 10))};
    const struct sockaddr *addr = tcp ? (struct sockaddr *)&in : (struct sockaddr *)&un;
    int fd = socket(tcp ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;

    if (fd < 0)
        return -errno;
    if (!tcp && strlen(where) >= sizeof(un.sun_path)) {
        (void)close(fd);
        return -ENAMETOOLONG;
    }
    memcpy(un.sun_path, where, tcp ? 0 : strlen(where));
    rc = connect(fd, addr, tcp ? sizeof(in) : sizeof(un)) == 0 ? 0 : -errno;
    if (rc == 0)
        return fd;
    (void)close(fd);
    return rc;
}

static int target_send(struct sender *s, const char *kind, const char *where, struct outcome *ret)
{
    bool file = strcmp(kind, "file") == 0;
    int fd = file ? open(where, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644)
                  : connection_open(strcmp(kind, "tcp") == 0, where);
    int rc = fd < 0 ? (file ? -errno : fd) : fd_send(s, fd, ret);

    if (fd < 0)
        return rc;
    if (rc == 0 && file)
        rc = fdatasync(fd) == 0 ? 0 : -errno;
    else if (rc == 0 && !ret->broken)
        rc = connection_end(fd, ret);
    (void)close(fd);
    return rc;
}

struct channel {
    struct shmc *ring;
    uint16_t streams[STREAMS_MAX];
};

static int channel_open(struct channel *c, const struct options *opt, const char *shm_dir,
                        unsigned int i)
{
    struct shmc_options o = SHMC_OPTIONS_INIT;
    char name[64];
    int rc;

    (void)snprintf(name, sizeof(name), "%s%u", opt->name, i);
    o.name = name;
    o.shm_dir = shm_dir;
    o.ring_bytes = opt->ring_bytes;
    o.full = SHMC_FULL_WAIT;
    rc = shmc_open(&o, &c->ring);
    for (unsigned int n = 0; rc == 0 && n < opt->streams; n++) {
        (void)snprintf(name, sizeof(name), opt->streams > 1 ? "load%u" : "load", n);
        rc = shmc_stream(c->ring, name, &c->streams[n]);
    }
    if (rc != 0)
        (void)fprintf(stderr, "lines_tool: %s\n", shmc_error(c->ring));
    return rc;
}

/* The agent hears of all rings before one is waited for. */
static int channels_flush(struct channel *channels, unsigned int count, enum shmc_pos pos)
{
    int rc = 0;

    for (unsigned int i = 0; rc == 0 && i < count; i++) {
        rc = shmc_flush(channels[i].ring, pos, 0);
        rc = rc == -ETIMEDOUT ? 0 : rc;
    }
    for (unsigned int i = 0; rc == 0 && i < count; i++)
        rc = shmc_flush(channels[i].ring, pos, FLUSH_NS_MAX);
    return rc;
}

static int channels_write(struct sender *s, struct channel *channels, struct outcome *ret)
{
    unsigned int ring = 0, stream = 0;
    int rc = 0;

    while (rc == 0 && ret->events < s->opt->events_max && now_s(CLOCK_MONOTONIC) < s->end_s) {
        const struct channel *c = &channels[ring];

        for (int i = 0; rc == 0 && i < VISIT; i++) {
            rc = shmc_write(c->ring, c->streams[stream], SHMC_JSON, s->event.text, s->opt->bytes);
            ret->events += rc == 0;
            sender_next(s);
            stream = stream + 1 == s->opt->streams ? 0 : stream + 1;
        }
        ring = ring + 1 == s->opt->rings ? 0 : ring + 1;
    }
    return rc;
}

static int ring_send(struct sender *s, const char *shm_dir, struct outcome *ret)
{
    struct channel *channels = calloc(s->opt->rings, sizeof(*channels));
    double start;
    int rc = channels == NULL ? -ENOMEM : 0;

    for (unsigned int i = 0; rc == 0 && i < s->opt->rings; i++)
        rc = channel_open(&channels[i], s->opt, shm_dir, i);
    if (rc == 0)
        rc = wait_for_start(s);
    start = now_s(CLOCK_MONOTONIC);
    if (rc == 0)
        rc = channels_write(s, channels, ret);
    ret->write_s = now_s(CLOCK_MONOTONIC) - start;
    if (rc == 0)
        rc = channels_flush(channels, s->opt->rings, SHMC_ACCEPTED);
    ret->accepted_s = now_s(CLOCK_MONOTONIC) - start;
    if (rc == 0 && !s->opt->open_end)
        rc = channels_flush(channels, s->opt->rings, SHMC_DELIVERED);
    ret->delivered_s = now_s(CLOCK_MONOTONIC) - start;
    for (unsigned int i = 0; channels != NULL && i < s->opt->rings; i++)
        (void)shmc_close(channels[i].ring);
    free(channels);
    return rc;
}

static int send_main(const struct options *opt, const char *target)
{
    const char *where = strchr(target, ':');
    struct outcome outcome = {0};
    struct sender sender;
    char kind[8];
    int rc;

    if (where == NULL || where - target >= (int)sizeof(kind))
        return fail(target, -EINVAL);
    (void)snprintf(kind, sizeof(kind), "%.*s", (int)(where - target), target);
    rc = sender_init(&sender, opt);
    if (rc == 0)
        rc = strcmp(kind, "ring") == 0 ? ring_send(&sender, where + 1, &outcome)
                                       : target_send(&sender, kind, where + 1, &outcome);
    free(sender.parts);
    if (rc != 0)
        return fail(target, rc);
    printf("{\"events\":%llu,\"broken\":%s,\"write_s\":%.6f,\"accepted_s\":%.6f,"
           "\"delivered_s\":%.6f,\"cpu_s\":%.6f}\n", (unsigned long long)outcome.events,
           outcome.broken ? "true" : "false", outcome.write_s, outcome.accepted_s,
           outcome.delivered_s, now_s(CLOCK_PROCESS_CPUTIME_ID));
    return fflush(stdout) == 0 ? 0 : fail("standard output", errno);
}

/* --- loop ----------------------------------------------------------------------------------- */

static int connection_copy(int from, int to)
{
    static char block[BLOCK_BYTES];

    for (;;) {
        ssize_t got = read(from, block, sizeof(block));

        if (got == 0 || (got < 0 && errno == ECONNRESET))
            return 0;
        if (got < 0 && errno != EINTR)
            return -errno;
        for (ssize_t at = 0; at < got;) {
            ssize_t n = write(to, block + at, (size_t)(got - at));

            if (n < 0 && errno != EINTR)
                return -errno;
            at += n > 0 ? n : 0;
        }
    }
}

/* Until a signal ends it. */
static int loop_main(const struct options *opt, const char *path)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int to = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644), rc = 0;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (to < 0 || fd < 0)
        return fail(path, errno);
    if (opt->listen == NULL || strlen(opt->listen) >= sizeof(un.sun_path))
        return fail("--listen", -EINVAL);
    memcpy(un.sun_path, opt->listen, strlen(opt->listen));
    (void)unlink(opt->listen); /* one that was killed leaves it; what matters fails below */
    if (bind(fd, (struct sockaddr *)&un, sizeof(un)) != 0 || listen(fd, 16) != 0)
        return fail(opt->listen, errno);
    while (rc == 0) {
        int from = accept(fd, NULL, NULL);

        rc = from < 0 ? -errno : connection_copy(from, to);
        if (from >= 0)
            (void)close(from);
    }
    return fail(path, rc);
}

/* --- count ---------------------------------------------------------------------------------- */

struct tally {
    struct numbered pattern;
    bool partitioned;
    uint8_t *seen; /* owned; a bit a number */
    uint64_t seen_cap, lines, distinct, twice, torn;
};

static int tally_mark(struct tally *t, uint64_t number)
{
    uint64_t byte = number / 8;
    uint8_t bit = (uint8_t)(1U << number % 8);

    if (byte >= t->seen_cap) {
        uint64_t cap = byte + 1 > 2 * t->seen_cap ? byte + (1U << 20) : 2 * t->seen_cap;
        uint8_t *grown = realloc(t->seen, cap);

        if (grown == NULL)
            return -ENOMEM;
        memset(grown + t->seen_cap, 0, cap - t->seen_cap);
        t->seen = grown;
        t->seen_cap = cap;
    }
    if (t->seen[byte] & bit)
        t->twice++;
    else
        t->distinct++;
    t->seen[byte] |= bit;
    return 0;
}

static int line_count(struct tally *t, const char *line, size_t len)
{
    uint64_t number;

    t->lines++;
    if (numbered_read(&t->pattern, line, len, t->partitioned, &number))
        return tally_mark(t, number);
    t->torn++;
    return 0;
}

static int file_count(struct tally *t, const char *path)
{
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    int rc = file == NULL ? -errno : 0;

    if (rc == 0)
        (void)setvbuf(file, NULL, _IOFBF, 1 << 20);
    while (rc == 0 && (len = getline(&line, &cap, file)) > 0)
        rc = line_count(t, line, (size_t)len - (line[len - 1] == '\n'));
    if (rc == 0 && ferror(file))
        rc = -EIO;
    if (file != NULL)
        (void)fclose(file);
    free(line);
    return rc == 0 ? 0 : fail(path, rc);
}

static int count_main(const struct options *opt, char **paths)
{
    struct tally tally = {.partitioned = opt->partitioned};
    FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    int rc = tree == NULL ? fail(paths[0], errno) : 0;
    FTSENT *entry;

    numbered_init(&tally.pattern, opt->bytes, 0);
    while (rc == 0 && (entry = fts_read(tree)) != NULL) {
        if (entry->fts_level > 0 && entry->fts_name[0] == '.' && entry->fts_info == FTS_D)
            (void)fts_set(tree, entry, FTS_SKIP);
        else if (entry->fts_info == FTS_F && entry->fts_name[0] != '.')
            rc = file_count(&tally, entry->fts_path);
        else if (entry->fts_info == FTS_ERR || entry->fts_info == FTS_DNR ||
                 entry->fts_info == FTS_NS)
            rc = fail(entry->fts_path, entry->fts_errno);
    }
    if (tree != NULL)
        (void)fts_close(tree);
    free(tally.seen);
    if (rc == 0)
        printf("{\"lines\":%llu,\"distinct\":%llu,\"twice\":%llu,\"torn\":%llu}\n",
               (unsigned long long)tally.lines, (unsigned long long)tally.distinct,
               (unsigned long long)tally.twice, (unsigned long long)tally.torn);
    return rc;
}

/* --- program -------------------------------------------------------------------------------- */

static bool uint_parse(const char *text, unsigned int max, unsigned int *ret)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    *ret = (unsigned int)value;
    return end != text && *end == '\0' && value <= max;
}

static bool options_parse(struct options *opt, int argc, char **argv)
{
    static const struct option longs[] = {
        {"bytes", required_argument, NULL, 'b'},      {"streams", required_argument, NULL, 's'},
        {"rings", required_argument, NULL, 'r'},      {"partitions", required_argument, NULL, 'p'},
        {"first", required_argument, NULL, 'f'},      {"step", required_argument, NULL, 't'},
        {"ring-kib", required_argument, NULL, 'k'},   {"seconds", required_argument, NULL, 'T'},
        {"name", required_argument, NULL, 'n'},       {"listen", required_argument, NULL, 'l'},
        {"partitioned", no_argument, NULL, 'P'},      {"open-end", no_argument, NULL, 'o'},
        {"events", required_argument, NULL, 'e'},     {NULL, 0, NULL, 0}};
    unsigned int number = 0;
    bool ok = true;
    int c;

    while (ok && (c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (c) {
        case 'b': ok = uint_parse(optarg, NUMBERED_BYTES_MAX, &opt->bytes) &&
                       opt->bytes >= NUMBERED_BYTES_MIN; break;
        case 's': ok = uint_parse(optarg, STREAMS_MAX, &opt->streams) && opt->streams > 0; break;
        case 'r': ok = uint_parse(optarg, RINGS_MAX, &opt->rings) && opt->rings > 0; break;
        case 'p': ok = uint_parse(optarg, PARTITIONS_MAX, &opt->partitions) &&
                       opt->partitions > 0; break;
        case 'f': ok = uint_parse(optarg, 1U << 30, &opt->first); break;
        case 't': ok = uint_parse(optarg, 1U << 20, &opt->step) && opt->step > 0; break;
        case 'k': ok = uint_parse(optarg, 65536, &number);
                  opt->ring_bytes = (uint64_t)number << 10; break;
        case 'e': ok = uint_parse(optarg, UINT32_MAX, &number);
                  opt->events_max = number; break;
        case 'T': ok = (opt->seconds = strtod(optarg, NULL)) > 0; break;
        case 'n': opt->name = optarg; break;
        case 'l': opt->listen = optarg; break;
        case 'P': opt->partitioned = true; break;
        case 'o': opt->open_end = true; break;
        default: ok = false;
        }
    }
    return ok;
}

int main(int argc, char **argv)
{
    struct options opt = {.name = "lines", .bytes = 200, .streams = 1, .rings = 1, .partitions = 1,
                          .step = 1, .seconds = 1, .ring_bytes = 4U << 20,
                          .events_max = UINT64_MAX};
    const char *verb = argc > 1 ? argv[1] : "";

    if (argc > 1 && options_parse(&opt, argc - 1, argv + 1) && optind + 1 < argc) {
        char **operands = argv + 1 + optind;

        (void)signal(SIGPIPE, SIG_IGN);
        if (strcmp(verb, "send") == 0)
            return send_main(&opt, operands[0]);
        if (strcmp(verb, "loop") == 0)
            return loop_main(&opt, operands[0]);
        if (strcmp(verb, "count") == 0)
            return count_main(&opt, operands);
    }
    (void)fputs("usage: lines_tool send TARGET | loop FILE | count PATH... [OPTION...]\n", stderr);
    return 2;
}
