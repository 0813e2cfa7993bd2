/*
 * relay_bench: thousands of hosts that relay to one agent. This process is all of them: each
 * connection is a sender of its own identity, which sends small batches, one after the other, each
 * when the one before is durable over there.
 *
 * So what a host waits for its acknowledgement grows with their number, and what the agent takes in
 * a second should not fall with it. CPU is the agent's, down to files; all its threads.
 *
 * Owns:   connections, one agent a run.
 * Thread: one.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "benchmarks/agent_process.h"
#include "benchmarks/harness.h"
#include "io/clock.h"
#include "sink/relay_wire.h"

enum { EVENT_BYTES = 200, ANSWER_BYTES = 4096, SAMPLES_MAX = 1 << 20 };

struct load {
    unsigned int senders, events;       /* of a batch */
};

struct sender {
    int fd;
    uint64_t number;                    /* of its batch, also its ref */
    uint64_t begun_ns;
    size_t in_len;
    bool welcomed;
    uint8_t in[ANSWER_BYTES];
};

struct world {
    const struct load *load;
    struct agent_process agent;
    struct sockaddr_in place;
    struct sender *senders;             /* owned */
    int epoll;
    struct bytes data;                  /* DATA and END of any batch, but for their refs */
    size_t end_at;
    struct bytes out;
    uint64_t batches, welcomed;
    double *samples;                    /* owned; ms from BEGIN to DONE */
    size_t samples_count;
};

/* --- a batch -------------------------------------------------------------------------------- */

static int data_make(struct world *w)
{
    uint8_t frame[sizeof(struct shm_frame) + EVENT_BYTES] = {0};
    struct shm_frame head = {.len = EVENT_BYTES, .kind = SHM_KIND_JSON};
    uint64_t bytes = shm_frame_bytes(EVENT_BYTES) * w->load->events;
    size_t at;
    int r = relay_wire_data_begin(&w->data, 0, 0, &at);

    head.time_ns = clock_utc_ns();
    memcpy(frame, &head, sizeof(head));
    memset(frame + sizeof(head), 'x', EVENT_BYTES);
    memcpy(frame + sizeof(head), "{\"pad\":\"", 8);
    memcpy(frame + sizeof(head) + EVENT_BYTES - 2, "\"}", 2);
    _Static_assert(sizeof(frame) % 8 == 0, "a frame without padding");
    for (unsigned int i = 0; !r && i < w->load->events; i++)
        r = bytes_append(&w->data, frame, sizeof(frame));
    if (r)
        return r;
    relay_wire_data_end(&w->data, at);
    w->end_at = w->data.len;
    return relay_wire_put_u64(&w->data, RELAY_END, 0, bytes);
}

/* What is sent is small against a socket's buffer: all of it goes, or something is wrong. */
static int send_all(const struct sender *s, const struct bytes *b)
{
    return send(s->fd, b->data, b->len, MSG_NOSIGNAL) == (ssize_t)b->len ? 0 : -EIO;
}

static int batch_begin(struct world *w, struct sender *s)
{
    struct batch_id id = {1, 0, ++s->number}, before = {1, 0, s->number - 1};
    int r = 0;

    bytes_clear(&w->out);
    if (s->number > 1)
        r = relay_wire_put_forget(&w->out, &before, &before);
    if (!r)
        r = relay_wire_put_begin(&w->out, s->number, &id, "load");
    s->begun_ns = clock_boot_ns();
    return r ? r : send_all(s, &w->out);
}

static int batch_send(struct world *w, const struct sender *s)
{
    bytes_put_u64(w->data.data + 8, s->number);
    bytes_put_u64(w->data.data + w->end_at + 8, s->number);
    return send_all(s, &w->data);
}

static int batch_done(struct world *w, struct sender *s)
{
    w->batches++;
    if (w->samples_count < SAMPLES_MAX)
        w->samples[w->samples_count++] = (double)(clock_boot_ns() - s->begun_ns) / 1e6;
    return batch_begin(w, s);
}

static int answer_take(struct world *w, struct sender *s, const struct relay_message *m)
{
    switch (m->type) {
    case RELAY_WELCOME:
        s->welcomed = true;
        w->welcomed++;
        return batch_begin(w, s);
    case RELAY_TAKEN:
        return batch_send(w, s);
    case RELAY_DONE:
        return batch_done(w, s);
    case RELAY_ALIVE:
        return 0;
    default:
        return -EPROTO;
    }
}

static int answers_take(struct world *w, struct sender *s)
{
    ssize_t n = recv(s->fd, s->in + s->in_len, sizeof(s->in) - s->in_len, MSG_DONTWAIT);
    size_t at = 0;
    int r = 0;

    if (n <= 0)
        return n < 0 && errno == EAGAIN ? 0 : -ECONNRESET;
    s->in_len += (size_t)n;
    while (!r) {
        struct relay_message m;
        int64_t len = relay_wire_next(s->in + at, s->in_len - at, &m);

        if (len <= 0) {
            r = (int)len;
            break;
        }
        r = answer_take(w, s, &m);
        at += (size_t)len;
    }
    memmove(s->in, s->in + at, s->in_len - at);
    s->in_len -= at;
    return r;
}

/* --- senders -------------------------------------------------------------------------------- */

static int sender_connect(struct world *w, unsigned int i)
{
    struct sender *s = &w->senders[i];
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = s};
    uint8_t identity[16] = {0};

    bytes_put_u32(identity, i + 1);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->fd < 0 || connect(s->fd, (struct sockaddr *)&w->place, sizeof(w->place))
        || epoll_ctl(w->epoll, EPOLL_CTL_ADD, s->fd, &event))
        return -errno;
    bytes_clear(&w->out);
    return relay_wire_put_hello(&w->out, identity) ? -ENOMEM : send_all(s, &w->out);
}

/* Until all are welcomed, or for so long. */
static int serve(struct world *w, uint64_t until_ns, bool all)
{
    int r = 0;

    while (!r && clock_boot_ns() < until_ns && !(all && w->welcomed == w->load->senders)) {
        struct epoll_event events[256];
        int n = epoll_wait(w->epoll, events, 256, 100);

        for (int i = 0; !r && i < n; i++)
            r = answers_take(w, events[i].data.ptr);
        if (bench_stopped())
            r = -EINTR;
    }
    return !r && all && w->welcomed < w->load->senders ? -ETIMEDOUT : r;
}

static int sample_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static int measure(struct world *w, struct bench_run *run, struct errmsg *err)
{
    uint64_t from = clock_boot_ns(), batches;
    double cpu_s, seconds, million;
    int r = 0;

    for (unsigned int i = 0; !r && i < w->load->senders; i++)
        r = sender_connect(w, i);
    if (!r)
        r = serve(w, from + 60000000000ULL, true);
    if (r)
        return errmsg_set_errno(err, r, "connecting");
    bench_add(run, 4, (double)(clock_boot_ns() - from) / 1e9);
    r = serve(w, clock_boot_ns() + 1000000000ULL, false);       /* to warm up */
    w->samples_count = 0;
    batches = w->batches;
    cpu_s = agent_cpu_seconds(&w->agent);
    from = clock_boot_ns();
    if (!r)
        r = serve(w, from + (uint64_t)(run->seconds * 1e9), false);
    if (r || w->samples_count == 0)
        return errmsg_set_errno(err, r ? r : -ETIMEDOUT, "sending");
    seconds = (double)(clock_boot_ns() - from) / 1e9;
    batches = w->batches - batches;
    million = (double)batches * w->load->events / 1e6;
    qsort(w->samples, w->samples_count, sizeof(*w->samples), sample_compare);
    bench_add(run, 0, (double)batches / seconds);
    bench_add(run, 1, million * 1e6 / seconds);
    bench_add(run, 2, (agent_cpu_seconds(&w->agent) - cpu_s) / million);
    bench_add(run, 3, agent_memory_peak_mib(&w->agent));
    bench_add(run, 5, w->samples[w->samples_count / 2]);
    bench_add(run, 6, w->samples[w->samples_count * 99 / 100]);
    return 0;
}

/* --- runs ----------------------------------------------------------------------------------- */

/* A port that nobody has just now. */
static int place_find(struct sockaddr_in *place)
{
    socklen_t len = sizeof(*place);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), r = 0;

    *place = (struct sockaddr_in){.sin_family = AF_INET};
    place->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)place, len)
        || getsockname(fd, (struct sockaddr *)place, &len))
        r = -errno;
    if (fd >= 0)
        close(fd);
    return r;
}

static int world_open(struct world *w, struct bench_run *run, struct errmsg *err)
{
    char config[256];
    int r = place_find(&w->place);

    if (r)
        return errmsg_set_errno(err, r, "a port");
    snprintf(config, sizeof(config), "[intake]\nrelay = 127.0.0.1:%u\nconnections_max = 20000\n",
             ntohs(w->place.sin_port));
    r = agent_start_with(&w->agent, run->bench, config, err);
    if (r)
        return r;
    w->epoll = epoll_create1(EPOLL_CLOEXEC);
    w->senders = calloc(w->load->senders, sizeof(*w->senders));
    w->samples = calloc(SAMPLES_MAX, sizeof(*w->samples));
    if (w->epoll < 0 || !w->senders || !w->samples || data_make(w))
        return errmsg_set(err, -ENOMEM, "no memory");
    for (unsigned int i = 0; i < w->load->senders; i++)
        w->senders[i].fd = -1;
    return 0;
}

static int relay_run(void *ctx, struct bench_run *run, struct errmsg *err)
{
    struct world w = {.load = ctx, .epoll = -1};
    struct errmsg of_stop = {""};
    int r = world_open(&w, run, err), stop_r;

    if (!r)
        r = measure(&w, run, err);
    for (unsigned int i = 0; w.senders && i < w.load->senders; i++)
        if (w.senders[i].fd > 0)
            close(w.senders[i].fd);
    if (w.epoll >= 0)
        close(w.epoll);
    bytes_free(&w.data);
    bytes_free(&w.out);
    free(w.senders);
    free(w.samples);
    stop_r = agent_stop(&w.agent, &of_stop);
    if (!r && stop_r) {
        *err = of_stop;
        r = stop_r;
    }
    return r ? r : agent_remove(&w.agent, err);
}

static int body(struct bench *b, struct errmsg *err)
{
    static const struct bench_metric metrics[] = {
        {".batches", "1/s", BENCH_MORE}, {".events", "1/s", BENCH_MORE},
        {".cpu", "s/million events", BENCH_LESS}, {".memory", "MiB", BENCH_PLAIN},
        {".connect", "s until all may send", BENCH_PLAIN}, {".ack", "ms", BENCH_PLAIN},
        {".ack.p99", "ms", BENCH_PLAIN},
    };
    static const struct bench_plan plan = {.rounds = 1, .seconds = 5, .cold = true};
    static struct load loads[] = {{100, 10}, {1000, 10}, {4000, 10}};
    static const char *const params[] = {"senders=100 events=10", "senders=1000 events=10",
                                         "senders=4000 events=10"};
    struct bench_case cases[3];
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);     /* a connection that has no place will say so */
    }
    for (unsigned int i = 0; i < 3; i++)
        cases[i] = (struct bench_case){"relay/senders", params[i], metrics, 7, relay_run,
                                       &loads[i]};
    return bench_group(b, &plan, cases, 3, err);
}

int main(int argc, char **argv)
{
    return bench_main("relay_bench", argc, argv, body);
}
