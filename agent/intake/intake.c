/*
 * intake: the thread that reads sockets: its turn, its listeners, its end.
 *
 * A turn reaps what has completed, goes on with what the ring or the turn had no room for, looks at
 * the clock and waits. What a full ring holds up is tried again every millisecond, all of it in the
 * order in which it began to wait.
 *
 * To be woken for each line costs its sender and us more than the line. So who sends one by a Unix
 * socket now and then wakes us; where one look follows upon another, they are LOOK_NS apart and
 * nobody wakes us, until one finds nothing.
 *
 * Owns:   the intake.
 * Thread: its own; who starts it: start, default_stream, stop, stopped, close.
 * Units:  *_ns on the boot clock.
 */
#include "intake/intake.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "intake/parts.h"
#include "io/file.h"
#include "wal/wal_source.h"

#define RETRY_NS 1000000ULL         /* until the ring is looked at again */
#define TICK_NS  1000000000ULL      /* until the clock is */
#define LOOK_NS  100000ULL          /* until Unix sockets are, where lines are many */
#define NS_PER_S 1000000000ULL

enum {
    ACCEPTS_A_TURN = 64,
    LOOK_BYTES = 64 * 1024,             /* as many: the next look is not put off */
    SOCKET_MODE = 0660,
    DATAGRAMS_RECEIVE_BYTES = 8 << 20,
    LOOP_ENTRIES_MIN = 256,
    LOOP_OPERATIONS = 4                 /* in the kernel at once, for each entry */
};

static const enum wal_source wal_sources[INTAKE_SOCKET_COUNT] = {
    [INTAKE_TCP] = WAL_FROM_TCP, [INTAKE_UNIX] = WAL_FROM_UNIX, [INTAKE_UDP] = WAL_FROM_UDP,
};

/* ---- listeners ---- */

static void on_ready(struct io_op *op, int res);

static void listener_poll(struct listener *l)
{
    l->polling = true;
    io_poll(l->in->loop, &l->op, l->proxy, on_ready);
}

/* 0: none waits any more, -EAGAIN: some may, -EBUSY: there is no place for them now. */
static int accept_some(struct listener *l)
{
    static _Thread_local struct log_limit limit =
        LOG_LIMIT_INIT("connections that wait", 1, 60 * NS_PER_S);
    struct intake *in = l->in;

    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        int fd = in->connections < in->connections_max ? net_accept(l->fd) : -EBUSY;

        if (fd == -EAGAIN)
            return 0;
        if (fd >= 0)
            connection_open(&in->takers[l->source], fd);
        if (fd >= 0 || (fd != -EBUSY && fd != -EMFILE && fd != -ENFILE && fd != -ENOMEM
                        && fd != -ENOBUFS))
            continue;           /* of the others: it has gone again */
        if (log_limit_allow(&limit, loop_now_ns(in->loop)))
            log_warn("intake: %s: no further connection is accepted: %s", l->text,
                     fd == -EBUSY ? "connections_max is reached" : strerror(-fd));
        return -EBUSY;
    }
    return -EAGAIN;
}

/* Those that come when there is no place wait where they are: in the kernel. */
static void listener_accept(struct listener *l)
{
    if (accept_some(l) != -EBUSY)
        listener_poll(l);
}

static void listener_turn(struct listener *l)
{
    enum work work = datagrams_turn(l->datagrams, l->fd);

    l->in->more |= work == WORK_MORE;
    if (work == WORK_DONE && !l->in->stopping)
        listener_poll(l);
}

static void on_ready(struct io_op *op, int res)
{
    struct listener *l = op->ctx;

    (void)res;                  /* the call that follows will tell */
    l->polling = false;
    if (l->fd < 0 || (l->in->stopping && l->source != INTAKE_UDP))
        return;
    if (l->source == INTAKE_UDP)
        listener_turn(l);
    else
        listener_accept(l);
}

static int listener_open(struct intake *in, struct listener *l, const struct intake_place *place,
                         struct errmsg *err)
{
    int r = 0;

    l->op.ctx = l;
    l->in = in;
    l->source = place->source;
    l->text = strdup(place->text);
    if (l->text == NULL)
        return errmsg_set(err, -ENOMEM, "out of memory");
    if (l->source == INTAKE_UNIX)
        l->fd = net_listen_unix(l->text, SOCKET_MODE, err);
    else if (l->source == INTAKE_TCP)
        l->fd = net_listen((const struct sockaddr *)&place->address, place->address_len);
    else
        l->fd = net_datagrams_open((const struct sockaddr *)&place->address, place->address_len,
                                   DATAGRAMS_RECEIVE_BYTES);
    if (l->fd < 0 && l->source == INTAKE_UNIX)
        errmsg_prefix(err, "[intake] unix: ");
    else if (l->fd < 0)
        errmsg_set_errno(err, l->fd, "[intake] %s: cannot listen on %s",
                         intake_source_names[l->source], l->text);
    if (l->fd < 0)
        return l->fd;
    l->proxy = net_proxy_open(l->fd);
    if (l->proxy < 0)
        return errmsg_set_errno(err, l->proxy, "[intake] %s: cannot be watched", l->text);
    if (l->source == INTAKE_UDP)
        r = datagrams_open(&in->takers[INTAKE_UDP], &l->datagrams);
    return r != 0 ? errmsg_set(err, r, "out of memory") : 0;
}

/* Takes no more than what waits already; of UDP what the kernel has is still read. */
static void listener_stop(struct listener *l)
{
    while (l->source != INTAKE_UDP && accept_some(l) == -EAGAIN)
        continue;
    if (l->source == INTAKE_UNIX)
        net_unlisten_unix(l->text, l->fd);
    if (l->source != INTAKE_UDP)
        net_end_reading(l->fd);
}

/* ---- Unix connections ---- */

static void on_watch(struct io_op *op, int res)
{
    struct intake *in = op->ctx;

    (void)res;                  /* the call that follows will tell */
    in->watching = false;
}

static void watch_begin(struct intake *in)
{
    in->watching = true;
    io_poll(in->loop, &in->watch_op, in->watch, on_watch);
}

/* Takes what has come, unless that was done a moment ago. */
static void watch_turn(struct intake *in)
{
    uint64_t now_ns = loop_now_ns(in->loop);
    bool often = now_ns < in->look_ns + LOOK_NS;
    struct net_event events[NET_EVENTS_MAX];
    int n;

    if (in->watching || now_ns < in->look_ns)
        return;
    n = net_watch_take(in->watch, events);
    in->came = 0;
    for (int i = 0; i < n; i++)
        connection_news(events[i].ctx, events[i].ended);
    if (n == NET_EVENTS_MAX || in->came >= LOOK_BYTES) {
        in->look_ns = now_ns;
        in->more = true;
        return;
    }
    if (in->came > 0)
        in->look_ns = now_ns + LOOK_NS;
    if (in->came == 0 || !often)
        watch_begin(in);
}

/* ---- the turn ---- */

static void default_take(struct intake *in)
{
    if (!atomic_load_explicit(&in->default_changed, memory_order_relaxed))
        return;
    (void)pthread_mutex_lock(&in->mutex);
    memcpy(in->default_stream, in->default_next, sizeof(in->default_stream));
    atomic_store_explicit(&in->default_changed, false, memory_order_relaxed);
    (void)pthread_mutex_unlock(&in->mutex);
}

/* Each of those that wait, once. */
static void todo_turn(struct intake *in)
{
    for (uint32_t i = in->todo_count; i > 0 && !TAILQ_EMPTY(&in->todo); i--) {
        struct connection *c = TAILQ_FIRST(&in->todo);

        TAILQ_REMOVE(&in->todo, c, todo);
        TAILQ_INSERT_TAIL(&in->todo, c, todo);
        connection_work(c);
    }
    atomic_store_explicit(&in->counters->waiting, in->todo_count, memory_order_relaxed);
}

/* Listeners that do not poll: of UDP the ring was full, of others there was no place. */
static bool listeners_turn(struct intake *in)
{
    bool waits = false;

    for (size_t i = 0; i < in->listeners_count; i++) {
        struct listener *l = &in->listeners[i];

        if (l->polling || (in->stopping && l->source != INTAKE_UDP))
            continue;
        if (l->source == INTAKE_UDP)
            listener_turn(l);
        else if (in->connections < in->connections_max)
            listener_poll(l);
        waits |= l->source == INTAKE_UDP && !l->polling && !in->stopping;
    }
    return waits;
}

static void stop_begin(struct intake *in, uint64_t timeout_ns)
{
    struct connection *c;

    in->stopping = true;
    in->stop_by_ns = loop_refresh_ns(in->loop) + timeout_ns;
    for (size_t i = 0; i < in->listeners_count; i++)
        listener_stop(&in->listeners[i]);
    TAILQ_FOREACH(c, &in->active, by_active)
        net_end_reading(c->fd);
}

/* True: all that was there is committed, or the time is up. */
static bool stop_turn(struct intake *in)
{
    bool late = loop_now_ns(in->loop) >= in->stop_by_ns, waits = in->connections > 0;
    uint32_t cut = in->connections;
    struct connection *c, *next;

    for (size_t i = 0; i < in->listeners_count; i++)
        if (in->listeners[i].source == INTAKE_UDP)
            waits |= datagrams_turn(in->listeners[i].datagrams, in->listeners[i].fd) != WORK_DONE;
    if (!waits || !late)
        return !waits;
    for (c = TAILQ_FIRST(&in->active); c != NULL; c = next) {
        next = TAILQ_NEXT(c, by_active);
        connection_end(c, INTAKE_ENDED_STOP);
    }
    log_warn("intake: %" PRIu32 " connections are cut off: they went on sending, or the rings had "
             "no room", cut);
    return true;
}

/* On the thread that has used it. */
static void loop_end(struct intake *in)
{
    struct io_loop *loop;

    (void)pthread_mutex_lock(&in->mutex);
    loop = in->loop;
    in->loop = NULL;
    (void)pthread_mutex_unlock(&in->mutex);
    loop_close(loop);
}

static void *thread_main(void *arg)
{
    struct intake *in = arg;
    bool over = false;
    int r = 0;

    for (size_t i = 0; i < in->listeners_count; i++)
        listener_poll(&in->listeners[i]);
    watch_begin(in);
    while (r >= 0 && !over) {
        uint64_t timeout_ns = atomic_load_explicit(&in->stop_timeout_ns, memory_order_relaxed);
        uint64_t now_ns = loop_now_ns(in->loop), until_ns;
        bool waits;

        in->more = false;
        default_take(in);
        todo_turn(in);
        watch_turn(in);
        waits = listeners_turn(in) || in->todo_count > 0;
        if (timeout_ns != 0 && !in->stopping)
            stop_begin(in, timeout_ns);
        if (in->stopping)
            over = stop_turn(in);
        else
            connections_overdue(in);
        until_ns = now_ns + (waits || in->stopping ? RETRY_NS : TICK_NS);
        if (!in->watching && in->look_ns < until_ns)
            until_ns = in->look_ns;
        if (!over)
            r = loop_turn(in->loop, in->more ? 0 : until_ns);
    }
    if (r < 0)
        log_error("intake: io_uring: %s", strerror(-r));
    for (int i = 0; i < INTAKE_SOCKET_COUNT; i++)
        intake_ring_fini(&in->takers[i].ring);
    loop_end(in);
    /* S1 pairs with the acquire in intake_stopped(): what was written before is in the rings. */
    atomic_store_explicit(&in->stopped, true, memory_order_release);
    return NULL;
}

/* ---- from outside ---- */

static int intake_prepare(struct intake *in, const struct intake_options *opt, struct errmsg *err)
{
    unsigned entries = LOOP_ENTRIES_MIN;
    int r;

    while (entries * LOOP_OPERATIONS < in->connections_max + opt->places_count + LOOP_ENTRIES_MIN)
        entries *= 2;
    r = loop_open(entries, &in->loop, err);
    if (r < 0)
        return r;
    in->watch = net_watch_open();
    if (in->watch < 0)
        return errmsg_set(err, in->watch, "cannot watch sockets: %s", strerror(-in->watch));
    in->checker = json_checker_open(in->line_bytes_max > RECEIVE_BYTES ? in->line_bytes_max
                                                                       : RECEIVE_BYTES);
    in->listeners = calloc(opt->places_count, sizeof(*in->listeners));
    in->shm_dir = strdup(opt->shm_dir);
    if (in->checker == NULL || in->listeners == NULL || in->shm_dir == NULL ||
        loop_buffers(in->loop, RECEIVE_BUFFERS, RECEIVE_BYTES) != 0)
        return errmsg_set(err, -ENOMEM, "out of memory");
    for (int i = 0; i < INTAKE_SOCKET_COUNT; i++) {
        in->takers[i].in = in;
        in->takers[i].source = (enum intake_source)i;
        if (intake_ring_init(&in->takers[i].ring, wal_source_rings[wal_sources[i]], in->shm_dir,
                             opt->stream_take, opt->ctx, &opt->counters->configurations) != 0)
            return errmsg_set(err, -ENOMEM, "out of memory");
    }
    for (size_t i = 0; i < opt->places_count; i++) {
        in->listeners[i].fd = in->listeners[i].proxy = -1;
        in->listeners_count++;
        r = listener_open(in, &in->listeners[i], &opt->places[i], err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Signals are for the main thread: the new one starts with all blocked but its own faults. */
static int thread_start(struct intake *in)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
    sigset_t most, before;
    int r;

    (void)sigfillset(&most);
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
        (void)sigdelset(&most, faults[i]);
    (void)pthread_sigmask(SIG_SETMASK, &most, &before);
    r = pthread_create(&in->thread, NULL, thread_main, in);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r == 0)
        (void)pthread_setname_np(in->thread, "intake");
    return -r;
}

static void intake_free(struct intake *in)
{
    loop_close(in->loop);
    for (struct connection *c; (c = TAILQ_FIRST(&in->active)) != NULL;) {
        TAILQ_REMOVE(&in->active, c, by_active);
        connection_discard(c);
    }
    for (size_t i = 0; i < in->listeners_count; i++) {
        datagrams_close(in->listeners[i].datagrams);
        file_close(in->listeners[i].proxy);
        file_close(in->listeners[i].fd);
        free(in->listeners[i].text);
    }
    for (int i = 0; i < INTAKE_SOCKET_COUNT; i++)
        intake_ring_fini(&in->takers[i].ring);
    json_checker_close(in->checker);
    file_close(in->watch);
    (void)pthread_mutex_destroy(&in->mutex);
    free(in->snappy);
    free(in->listeners);
    free(in->shm_dir);
    free(in);
}

int intake_start(const struct intake_options *opt, struct intake **ret_intake, struct errmsg *err)
{
    struct intake *in = calloc(1, sizeof(*in));
    int r;

    if (in == NULL)
        return errmsg_set(err, -ENOMEM, "out of memory");
    TAILQ_INIT(&in->active);
    TAILQ_INIT(&in->half);
    TAILQ_INIT(&in->todo);
    TAILQ_INIT(&in->starved);
    in->watch = -1;
    in->watch_op.ctx = in;
    (void)pthread_mutex_init(&in->mutex, NULL);
    in->line_bytes_max = opt->line_bytes_max;
    in->connections_max = opt->connections_max;
    in->idle_timeout_ns = opt->idle_timeout_ns;
    in->counters = opt->counters;
    in->half_lines.max = HALF_LINES_BYTES_MAX;
    (void)snprintf(in->default_stream, sizeof(in->default_stream), "%s", opt->default_stream);
    r = intake_prepare(in, opt, err);
    if (r == 0) {
        r = thread_start(in);
        if (r != 0)
            errmsg_set(err, r, "cannot start the thread that reads sockets: %s", strerror(-r));
    }
    if (r != 0) {
        for (size_t i = 0; i < in->listeners_count; i++)
            if (in->listeners[i].fd >= 0 && in->listeners[i].source == INTAKE_UNIX)
                net_unlisten_unix(in->listeners[i].text, in->listeners[i].fd);
        intake_free(in);
        return r;
    }
    *ret_intake = in;
    return 0;
}

static void wake(struct intake *in)
{
    (void)pthread_mutex_lock(&in->mutex);
    if (in->loop != NULL)
        loop_wake(in->loop);
    (void)pthread_mutex_unlock(&in->mutex);
}

void intake_default_stream(struct intake *in, const char *stream)
{
    (void)pthread_mutex_lock(&in->mutex);
    (void)snprintf(in->default_next, sizeof(in->default_next), "%s", stream);
    atomic_store_explicit(&in->default_changed, true, memory_order_relaxed);
    (void)pthread_mutex_unlock(&in->mutex);
    wake(in);
}

void intake_stop(struct intake *in, uint64_t timeout_ns)
{
    atomic_store_explicit(&in->stop_timeout_ns, timeout_ns > 0 ? timeout_ns : 1,
                          memory_order_relaxed);
    wake(in);
}

bool intake_stopped(const struct intake *in)
{
    return atomic_load_explicit(&in->stopped, memory_order_acquire);
}

void intake_close(struct intake *in)
{
    if (in == NULL)
        return;
    intake_stop(in, 1);
    (void)pthread_join(in->thread, NULL);
    intake_free(in);
}
