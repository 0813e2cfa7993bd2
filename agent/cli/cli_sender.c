/*
 * cli_sender: the work of `hydrant send`: lines from files into a ring.
 *
 * One line costs a search for its end, the classifier and one write into the ring; nothing is
 * allocated for it.
 *
 * Owns:   see the header.
 * Thread: main.
 */
#include "cli/cli_send.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli_exit.h"
#include "cli/cli_table.h"
#include "io/file.h"

enum { READ_BYTES = 1 << 20 };

#define SLICE_NS    100000000ULL    /* between looks at the signal flag while waiting, at most */
#define SHOW_NS     200000000ULL    /* between progress lines */
#define TELL_NS     3000000000ULL   /* waiting so long is worth a word */
#define BACKOFF_NS_MIN 100000000ULL
#define BACKOFF_NS_MAX 5000000000ULL
#define REFUSED_MAX 20              /* lines too long that are named one by one */

static volatile sig_atomic_t signal_seen;

static void on_signal(int number)
{
    signal_seen = number;
}

void sender_catch_signals(void)
{
    struct sigaction action = { .sa_handler = on_signal }; /* no SA_RESTART: read(2) ends */

    (void)sigemptyset(&action.sa_mask);
    signal_seen = 0;
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

int sender_signal(void)
{
    return (int)signal_seen;
}

uint64_t sender_now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

void sender_clear(struct sender *s)
{
    if (s->shown)
        fputs("\r\033[K", stderr);
    s->shown = false;
}

static void progress_show(struct sender *s, const char *state)
{
    uint64_t now = sender_now_ns();
    double seconds = (double)(now - s->start_ns) / 1e9;
    char human[CLI_HUMAN_BYTES];

    if (!s->live || now - s->shown_ns < SHOW_NS)
        return;
    s->shown_ns = now;
    s->shown = true;
    fprintf(stderr, "\r\033[K%" PRIu64 " events, %s, %.0f events/s%s", s->events,
            cli_human_bytes(s->bytes, human), (double)s->events / seconds, state);
}

static bool ring_open(struct sender *s)
{
    const struct send_options *options = &s->options;
    struct shmc_options opt = SHMC_OPTIONS_INIT;
    int res;

    opt.name = "send";
    opt.shm_dir = options->shm_dir;
    opt.ring_bytes = (uint64_t)options->ring_bytes;
    opt.full = SHMC_FULL_WAIT;
    opt.wait_ns_max = s->slice_ns;
    if (shmc_open(&opt, &s->ring) != 0) {
        (void)cli_fail(s->command, "%s", shmc_error(NULL));
        return false;
    }
    res = shmc_stream(s->ring, options->stream, &s->stream);
    if (res != 0)
        (void)cli_fail(s->command, "stream '%s': %s", options->stream, shmc_error(s->ring));
    return res == 0;
}

bool sender_open(struct sender *s, const char *command, const struct send_options *options)
{
    bool by_socket = options->tcp != NULL || options->unix_path != NULL;
    size_t event_max;
    bool ok;

    memset(s, 0, sizeof(*s));
    s->command = command;
    s->options = *options;
    s->live = isatty(STDERR_FILENO) == 1;
    s->slice_ns = options->timeout_ns != 0 && (uint64_t)options->timeout_ns < SLICE_NS
                      ? (uint64_t)options->timeout_ns
                      : SLICE_NS;
    ok = by_socket ? send_socket_open(s) : options->http != NULL ? send_http_open(s)
                                                                 : ring_open(s);
    if (!ok) {
        sender_close(s);
        return false;
    }
    event_max = s->ring == NULL ? SHM_EVENT_BYTES_MAX : shmc_event_bytes_max(s->ring);
    s->checker = json_checker_open(event_max);
    if (s->checker == NULL || lines_init(&s->lines, event_max, READ_BYTES) != 0) {
        (void)cli_fail(command, "out of memory");
        sender_close(s);
        return false;
    }
    s->start_ns = s->shown_ns = sender_now_ns();
    return true;
}

void sender_close(struct sender *s)
{
    lines_fini(&s->lines);
    json_checker_close(s->checker);
    s->checker = NULL;
    send_socket_close(s->socket);
    s->socket = NULL;
    send_http_close(s->http);
    s->http = NULL;
    (void)shmc_close(s->ring); /* what is committed stays */
    s->ring = NULL;
}

bool sender_waits(struct sender *s, uint64_t waited_ns, const char *what)
{
    if (sender_signal() != 0)
        return false;
    if (s->options.timeout_ns != 0 && waited_ns >= (uint64_t)s->options.timeout_ns) {
        sender_clear(s);
        (void)cli_fail(s->command, "%s: given up after the time of --timeout", what);
        s->failed = true;
        return false;
    }
    progress_show(s, ", waiting for the agent");
    if (!s->live && !s->waiting_told && waited_ns >= TELL_NS) {
        fprintf(stderr, "hydrant %s: %s, waiting for the agent\n", s->command, what);
        s->waiting_told = true;
    }
    return true;
}

bool sender_back_off(struct sender *s, uint64_t since_ns, uint64_t *backoff_ns, const char *what)
{
    uint64_t random, until_ns;

    *backoff_ns = *backoff_ns == 0 ? BACKOFF_NS_MIN
                  : 2 * *backoff_ns < BACKOFF_NS_MAX ? 2 * *backoff_ns : BACKOFF_NS_MAX;
    file_random(&random, sizeof(random));
    until_ns = sender_now_ns() + *backoff_ns / 2 + random % (*backoff_ns / 2);
    do {
        if (!sender_waits(s, sender_now_ns() - since_ns, what))
            return false;
        (void)sender_await(-1, 0, s->slice_ns);
    } while (sender_now_ns() < until_ns);
    return true;
}

/* Tries again and again; the ring was full. 0 or -errno as shmc_write(), -EINTR: stop. */
static int write_full(struct sender *s, uint8_t kind, const uint8_t *data, size_t len)
{
    uint64_t since_ns = sender_now_ns() - s->slice_ns; /* the first try has waited */
    int res;

    do {
        if (!sender_waits(s, sender_now_ns() - since_ns, "the ring is full"))
            return -EINTR;
        res = shmc_write(s->ring, s->stream, kind, data, len);
    } while (res == -ETIMEDOUT);
    return res;
}

static inline int ring_write(struct sender *s, const uint8_t *data, size_t len)
{
    uint8_t kind = (uint8_t)event_classify(s->checker, data, len);
    int res = shmc_write(s->ring, s->stream, kind, data, len);

    if (__builtin_expect(res == -ETIMEDOUT, 0))
        res = write_full(s, kind, data, len);
    s->events += res == 0;
    s->bytes += res == 0 ? len : 0;
    return res;
}

static int on_line(void *ctx, const uint8_t *data, size_t len, uint64_t number)
{
    struct sender *s = (struct sender *)ctx;
    int res;

    if (data == NULL) {
        sender_clear(s);
        if (s->refused++ < REFUSED_MAX)
            (void)cli_fail(s->command, "%s:%" PRIu64 ": the line is longer than %zu bytes%s",
                           s->file_name, number, s->lines.line_max,
                           s->ring != NULL && s->lines.line_max < SHM_EVENT_BYTES_MAX
                               ? "; a larger --ring-bytes takes longer ones" : "");
        s->failed = true;
        return 0;
    }
    res = s->socket != NULL ? send_socket_line(s->socket, s->options.stream, data, len)
          : s->http != NULL ? send_http_line(s->http, data, len) : ring_write(s, data, len);
    if (__builtin_expect(res == 0, 1) || res == -EINTR)
        return res;
    sender_clear(s);
    (void)cli_fail(s->command, "%s:%" PRIu64 ": %s", s->file_name, number,
                   s->ring != NULL ? shmc_error(s->ring) : strerror(-res));
    s->failed = true;
    return res;
}

/*
 * The two signals are blocked but within ppoll(2), so that none comes between the look at the flag
 * and the wait.
 */
bool sender_await(int fd, short events, uint64_t timeout_ns)
{
    struct pollfd input = { .fd = fd, .events = events };
    struct timespec timeout = { .tv_sec = (time_t)(timeout_ns / 1000000000U),
                                .tv_nsec = (long)(timeout_ns % 1000000000U) };
    sigset_t stop, before;
    bool go_on;

    (void)sigemptyset(&stop);
    (void)sigaddset(&stop, SIGINT);
    (void)sigaddset(&stop, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &stop, &before);
    if (sender_signal() == 0)
        (void)ppoll(&input, 1, &timeout, &before);  /* whatever ends it, the caller looks again */
    go_on = sender_signal() == 0;
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    return go_on;
}

/* Waits until there is something to read; lines that wait for company are sent meanwhile. */
static bool input_await(struct sender *s, int fd)
{
    struct pollfd input = { .fd = fd, .events = POLLIN };

    while (sender_signal() == 0) {
        if (poll(&input, 1, 0) > 0)
            return true;
        if ((s->socket != NULL && !send_socket_idle(s->socket)) ||
            (s->http != NULL && !send_http_flush(s->http)))
            return false;
        (void)sender_await(fd, POLLIN, UINT32_MAX * 1000000000ULL);
    }
    return false;
}

bool sender_file(struct sender *s, int fd, const char *name)
{
    s->file_name = name;
    lines_restart(&s->lines);
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL); /* advice only: pipes refuse it */
    while (input_await(s, fd)) {
        size_t cap;
        uint8_t *at = lines_room(&s->lines, &cap);
        ssize_t n = read(fd, at, cap);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            sender_clear(s);
            (void)cli_fail(s->command, "%s: %s", name, strerror(errno));
            s->failed = true;
            return true; /* the other files may be better */
        }
        if (n == 0)
            return lines_end(&s->lines, on_line, s) == 0;
        if (lines_fed(&s->lines, (size_t)n, on_line, s) != 0)
            return false;
        progress_show(s, "");
    }
    return false;
}

static bool flush_to(struct sender *s, enum shmc_pos pos, const char *what)
{
    uint64_t since_ns = sender_now_ns();
    int res;

    while ((res = shmc_flush(s->ring, pos, s->slice_ns)) == -ETIMEDOUT)
        if (!sender_waits(s, sender_now_ns() - since_ns, what))
            return false;
    if (res == 0)
        return true;
    sender_clear(s);
    (void)cli_fail(s->command, "%s: %s", what, shmc_error(s->ring));
    s->failed = true;
    return false;
}

bool sender_flush(struct sender *s)
{
    if (s->socket != NULL)
        return send_socket_flush(s->socket);
    if (s->http != NULL)
        return send_http_flush(s->http);
    if (s->options.durable && !flush_to(s, SHMC_DURABLE, "not all is durable yet"))
        return false;
    return !s->options.delivered || flush_to(s, SHMC_DELIVERED, "not all is delivered yet");
}

void sender_summary(struct sender *s)
{
    double seconds = (double)(sender_now_ns() - s->start_ns) / 1e9;
    const char *reached = s->options.delivered ? ", delivered" : s->options.durable ? ", durable"
                                                                                    : "";

    sender_clear(s);
    if (s->failed || sender_signal() != 0)
        reached = "";
    if (s->refused > REFUSED_MAX)
        fprintf(stderr, "hydrant %s: %" PRIu64 " lines were too long\n", s->command, s->refused);
    if (s->unknown > 0) {
        s->failed = true;
        fprintf(stderr, "hydrant %s: %" PRIu64 " events more were sent by connections that broke: "
                "whether they have arrived is not known\n", s->command, s->unknown);
    }
    fprintf(stderr, "%s%" PRIu64 " events, %" PRIu64 " bytes in %.3f s: ",
            sender_signal() != 0 ? "interrupted: " : "", s->events, s->bytes, seconds);
    fprintf(stderr, "%.0f events/s, %.1f MB/s%s\n", (double)s->events / seconds,
            (double)s->bytes / seconds / 1e6, reached);
}
