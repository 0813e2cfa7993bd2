/*
 * relay_listener: the thread, its turn, its end.
 *
 * Owns:   see the header.
 * Thread: its own; who starts it: open, start, stop, stopped, close.
 * Units:  *_ns on the boot clock.
 */
#include "intake/relay_listener.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "intake/relay_peer.h"
#include "io/clock.h"
#include "io/file.h"
#include "io/net.h"

#define RETRY_NS 1000000000ULL          /* after the journal or a ring has failed */
#define ALIVE_NS 5000000000ULL          /* between two signs of life */

enum {
    PLACES_MAX = 16,
    STAGED_MAX = 1024,
    ACCEPTS_A_TURN = 64,
    EVENTS_A_TURN = 256,
    WAIT_MS = 1000,                     /* with nothing to do; and while something is waited for: */
    SHORT_WAIT_MS = 1,
    FAILED_WAIT_MS = 100,               /* until the journal is tried again */
    READ_BYTES = 256 * 1024,
    PEER_BYTES_MAX = 2 << 20,           /* read ahead of one peer, in a turn */
    ALL_BYTES_MAX = 64 << 20            /* of all; then only begun messages come to their end */
};

struct relay_listener {
    struct relay_listener_options opt;
    char *shm_dir;                      /* owned */
    struct relay_tls *tls;              /* owned; NULL: none */
    int state_dir, epoll, wake;         /* owned */
    int places[PLACES_MAX];             /* owned */
    size_t places_count;
    struct relay_table table;
    struct relay_old old;
    bool old_over;                      /* all that was left behind is settled */
    struct relay_ring ring;
    struct relay_stage stage;
    struct relay_peer *peers;           /* owned */
    uint32_t peers_count;
    uint64_t buffered;                  /* bytes in all their buffers */
    uint64_t retry_ns, alive_ns;
    bool failing;                       /* that has been said */
    pthread_t thread;
    bool started;
    _Atomic uint64_t stop_by_ns;        /* 0: nobody has asked to stop */
    _Atomic bool closing, stopped, failed;
};

/* --- peers ---------------------------------------------------------------------------------- */

static void peer_watch(struct relay_listener *l, struct relay_peer *p, int how)
{
    bool full = p->waits || p->in.len - p->in_at >= PEER_BYTES_MAX
                || (l->buffered > ALL_BYTES_MAX && p->in.len == 0);
    bool out = p->out.len > p->out_at || p->link.write_wanted;
    struct epoll_event event = {
        .events = (full || p->over ? 0U : (uint32_t)EPOLLIN) | (out ? (uint32_t)EPOLLOUT : 0U),
        .data.ptr = p,
    };

    if (epoll_ctl(l->epoll, how, p->link.fd, &event))
        p->gone = true;
}

static void peer_refuse(struct relay_peer *p, const struct errmsg *why)
{
    static _Thread_local struct log_limit limit =
        LOG_LIMIT_INIT("senders refused", 5, 10 * RETRY_NS);

    if (log_limit_allow(&limit, clock_boot_ns()))
        log_warn("relay: a sender is refused: %s", why->text);
    p->over = true;
    p->gone = !p->hello
              || relay_wire_put(&p->out, RELAY_REFUSED, 0, why->text, strlen(why->text)) != 0;
}

static void peer_read(struct relay_listener *l, struct relay_peer *p)
{
    p->unread = true;           /* TLS may have some that epoll does not know of */
    while (!p->gone && !p->over && p->in.len - p->in_at < PEER_BYTES_MAX) {
        struct errmsg err;
        int64_t n;

        if (bytes_reserve(&p->in, READ_BYTES)) {
            p->gone = true;
            return;
        }
        n = relay_link_read(&p->link, p->in.data + p->in.len, READ_BYTES, &err);
        if (n < 0) {
            p->gone = n != -EAGAIN;
            p->unread = false;
            return;
        }
        p->in.len += (size_t)n;
        l->buffered += (uint64_t)n;
        p->read_ns = clock_boot_ns();
        if (!p->hello && p->in.len > READ_BYTES / 2)
            p->gone = true;             /* a sender waits for an answer first */
    }
}

static void peer_write(struct relay_peer *p)
{
    while (!p->gone && p->out_at < p->out.len) {
        struct errmsg err;
        int64_t n = relay_link_write(&p->link, p->out.data + p->out_at, p->out.len - p->out_at,
                                     &err);

        if (n < 0) {
            p->gone = n != -EAGAIN;
            return;
        }
        p->out_at += (size_t)n;
    }
    bytes_clear(&p->out);
    p->out_at = 0;
    if (p->over)
        p->gone = true;
}

/* What is done with goes; a large buffer with nothing in it, too. */
static void peer_compact(struct relay_listener *l, struct relay_peer *p)
{
    l->buffered -= p->in_at;
    if (p->in_at > 0)
        memmove(p->in.data, p->in.data + p->in_at, p->in.len - p->in_at);
    p->in.len -= p->in_at;
    p->in_at = 0;
    if (p->in.len == 0)
        bytes_free(&p->in);
}

static void peers_sweep(struct relay_listener *l, uint64_t now)
{
    struct relay_peer **at = &l->peers, *p;
    bool alive = now >= l->alive_ns;

    if (alive)
        l->alive_ns = now + ALIVE_NS;
    while ((p = *at)) {
        bool stuck = p->in.len > p->in_at && !p->waits && now - p->read_ns > l->opt.idle_timeout_ns;

        peer_compact(l, p);
        if (relay_peer_done(p, &l->ring)
            || (alive && p->hello && relay_wire_put(&p->out, RELAY_ALIVE, 0, NULL, 0)))
            p->gone = true;
        if (!p->gone)
            peer_write(p);
        if (!p->gone && !stuck)
            peer_watch(l, p, EPOLL_CTL_MOD);
        if (!p->gone && !stuck) {
            at = &p->next;
            continue;
        }
        *at = p->next;
        l->buffered -= p->in.len;
        l->peers_count--;
        relay_peer_free(p);
    }
}

static void peers_accept(struct relay_listener *l, int place)
{
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        int fd = net_accept(place);
        bool room = l->peers_count < l->opt.connections_max && fd >= 0;
        struct relay_peer *p = room ? calloc(1, sizeof(*p)) : NULL;

        if (fd < 0)
            return;
        if (!p || fcntl(fd, F_SETFL, O_NONBLOCK)) {
            file_close(fd);     /* its sender comes again */
            free(p);
            continue;
        }
        if (relay_link_accept(&p->link, fd, l->tls)) {
            free(p);
            continue;
        }
        p->read_ns = clock_boot_ns();
        p->next = l->peers;
        l->peers = p;
        l->peers_count++;
        peer_watch(l, p, EPOLL_CTL_ADD);
    }
}

/* --- the turn ------------------------------------------------------------------------------- */

static void failure_say(struct relay_listener *l, const char *what)
{
    if (!l->failing)
        log_error("relay: %s; nothing is taken until that is over", what);
    l->failing = true;
    l->retry_ns = clock_boot_ns() + RETRY_NS;
}

/* Is there a ring to write into, and nothing before it to wait for? */
static bool ring_ready(struct relay_listener *l, uint64_t now)
{
    struct errmsg err;
    int r;

    if (now < l->retry_ns)
        return false;
    if (!l->old_over) {
        r = relay_old_turn(&l->old, &l->table);
        if (r < 0)
            failure_say(l, strerror(-r));
        l->old_over = r == 1;
    }
    if (!l->old_over)
        return false;
    if (!l->ring.ring && relay_ring_make(&l->ring, &err)) {
        failure_say(l, err.text);
        return false;
    }
    return true;
}

/* 0 or -errno with a text: the ring is spoilt. */
static int ring_look(struct relay_listener *l, struct errmsg *err)
{
    int r = l->ring.ring ? relay_ring_look(&l->ring, err) : 0;

    if (!r && l->ring.ring)
        relay_table_durable(&l->table, l->ring.uuid, l->ring.durable);
    return r;
}

/* All in it is durable: the journal says so before it may go. */
static bool ring_let_go(struct relay_listener *l)
{
    int r;

    if (l->ring.ring && l->ring.durable != l->ring.head)
        return false;
    r = relay_table_rewrite(&l->table);
    if (r) {
        failure_say(l, strerror(-r));
        return false;
    }
    relay_ring_drop(&l->ring);
    return true;
}

static bool time_is_up(const struct relay_listener *l)
{
    uint64_t by_ns = atomic_load_explicit(&l->stop_by_ns, memory_order_relaxed);

    return by_ns != 0 && clock_boot_ns() >= by_ns;
}

static int stage_write(struct relay_listener *l, struct errmsg *err)
{
    uint64_t events = 0;
    int r;

    /* The places are given: nothing else can be taken until the journal has them. */
    while ((r = relay_table_write(&l->table, l->stage.count > 0))) {
        failure_say(l, strerror(-r));
        if (atomic_load_explicit(&l->closing, memory_order_relaxed) || time_is_up(l))
            return errmsg_set(err, r, "the journal could not be written");
        (void)poll(NULL, 0, FAILED_WAIT_MS);
    }
    for (size_t i = 0; !r && i < l->stage.count; i++)
        r = relay_staged_write(&l->stage.list[i], &l->ring, &events, err);
    l->stage.count = 0;
    l->stage.bytes = 0;
    return r;
}

/* Reads from who has something, in the order in which the kernel tells of them. */
static void sockets_read(struct relay_listener *l, int timeout_ms)
{
    struct epoll_event events[EVENTS_A_TURN];
    int n = epoll_wait(l->epoll, events, EVENTS_A_TURN, timeout_ms);

    for (int i = 0; i < n; i++) {
        void *at = events[i].data.ptr;
        struct relay_peer *p = at;
        bool place = false;

        for (size_t k = 0; k < l->places_count; k++)
            if (at == &l->places[k]) {
                place = true;
                peers_accept(l, l->places[k]);
            }
        if (place || at == &l->wake)
            continue;
        if (events[i].events & (uint32_t)(EPOLLIN | EPOLLERR | EPOLLHUP))
            peer_read(l, p);
        if (events[i].events & (uint32_t)EPOLLOUT && p->link.write_wanted)
            peer_read(l, p);
    }
}

static int turn(struct relay_listener *l, bool stopping, bool *busy, struct errmsg *err)
{
    uint64_t now;
    int r;

    sockets_read(l, *busy ? SHORT_WAIT_MS : WAIT_MS);
    now = clock_boot_ns();
    *busy = !l->old_over;
    r = ring_look(l, err);
    if (r)
        return r;
    if (l->ring.full_of_defs && ring_let_go(l))
        l->ring.full_of_defs = false;
    if (!stopping && ring_ready(l, now)) {
        for (struct relay_peer *p = l->peers; p; p = p->next) {
            struct errmsg why;

            if (p->unread)
                peer_read(l, p);
            if (!p->gone && relay_peer_take(p, &l->stage, &why))
                peer_refuse(p, &why);
            *busy |= p->waits || p->unread;
        }
        l->failing = false;
    }
    if (l->stage.count > 0 || l->table.unwritten.len > 0) {
        r = stage_write(l, err);
        if (!r)
            r = ring_look(l, err);
    }
    if (!r)
        peers_sweep(l, now);
    *busy |= l->ring.ring && l->ring.durable != l->ring.head;
    return r;
}

/* True: what was taken is settled, or it has to stay for the next start. */
static bool stop_turn(struct relay_listener *l)
{
    return (l->old_over && ring_let_go(l)) || time_is_up(l);
}

static void *thread_main(void *arg)
{
    struct relay_listener *l = arg;
    struct errmsg err = {""};
    bool busy = true;
    int r = 0;

    while (!r && !atomic_load_explicit(&l->closing, memory_order_relaxed)) {
        bool stopping = atomic_load_explicit(&l->stop_by_ns, memory_order_relaxed) != 0;

        r = turn(l, stopping, &busy, &err);
        if (!r && stopping && stop_turn(l))
            break;
        if (!r && l->places_count == 0 && l->old_over)
            break;              /* that was all it was for */
        busy |= stopping;
    }
    if (r)
        log_error("relay: %s", err.text);
    atomic_store_explicit(&l->failed, r != 0, memory_order_relaxed);
    /* S1 pairs with the acquire in relay_listener_stopped(): the ring is closed, or stays. */
    atomic_store_explicit(&l->stopped, true, memory_order_release);
    return NULL;
}

/* --- open, close ---------------------------------------------------------------------------- */

static int watch(struct relay_listener *l, int fd, void *at)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = at};

    if (at == &l->wake)
        event.events |= (uint32_t)EPOLLET;
    return epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int places_open(struct relay_listener *l, struct errmsg *err)
{
    for (size_t i = 0; i < l->opt.places_count; i++) {
        const struct relay_place *place = &l->opt.places[i];
        int fd, r;

        if (i == PLACES_MAX)
            return errmsg_set(err, -E2BIG, "[intake] relay: more than %d places", PLACES_MAX);
        fd = net_listen((const struct sockaddr *)&place->address, place->address_len);
        if (fd < 0)
            return errmsg_set_errno(err, fd, "[intake] relay: cannot listen on %s", place->text);
        l->places[l->places_count++] = fd;
        r = watch(l, fd, &l->places[i]);
        if (r)
            return errmsg_set_errno(err, r, "[intake] relay: %s", place->text);
    }
    return 0;
}

static int parts_open(struct relay_listener *l, struct errmsg *err)
{
    int r;

    l->shm_dir = strdup(l->opt.shm_dir);
    l->stage.list = calloc(STAGED_MAX, sizeof(*l->stage.list));
    if (!l->shm_dir || !l->stage.list)
        return errmsg_set(err, -ENOMEM, "no memory");
    l->ring.shm_dir = l->shm_dir;
    l->stage.ring = &l->ring;
    l->stage.table = &l->table;
    l->stage.cap = STAGED_MAX;
    l->stage.stream_take = l->opt.stream_take;
    l->stage.ctx = l->opt.ctx;
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (l->epoll < 0 || l->wake < 0)
        return errmsg_set_errno(err, -errno, "[intake] relay");
    r = watch(l, l->wake, &l->wake);
    if (r)
        return errmsg_set_errno(err, r, "[intake] relay");
    if (l->opt.tls.cert_file[0] != '\0') {
        r = relay_tls_open(true, &l->opt.tls, &l->tls, err);
        if (r) {
            errmsg_prefix(err, "[intake] relay: ");
            return r;
        }
    }
    r = relay_table_open(l->state_dir, &l->table);
    if (r)
        return errmsg_set_errno(err, r, "%s/state/relay", l->opt.data_dir);
    r = relay_old_open(&l->old, l->shm_dir, &l->table, l->opt.ring_end, l->opt.ctx, err);
    return r ? r : places_open(l, err);
}

int relay_listener_open(const struct relay_listener_options *options,
                        struct relay_listener **ret_listener, struct errmsg *err)
{
    struct relay_listener *l = calloc(1, sizeof(*l));
    char path[4096];
    int r;

    *ret_listener = NULL;
    if (!l)
        return errmsg_set(err, -ENOMEM, "no memory");
    l->opt = *options;
    l->epoll = l->wake = l->table.fd = -1;
    snprintf(path, sizeof(path), "%s/state", options->data_dir);
    r = l->state_dir = file_open(FILE_CWD, path, O_RDONLY | O_DIRECTORY, 0);
    if (r < 0) {
        errmsg_set_errno(err, r, "%s", path);
    } else if (options->places_count == 0 && !relay_table_exists(l->state_dir)) {
        relay_listener_close(l);
        return 0;
    } else {
        r = parts_open(l, err);
    }
    if (r < 0) {
        relay_listener_close(l);
        return r;
    }
    *ret_listener = l;
    return 0;
}

int relay_listener_start(struct relay_listener *l, struct errmsg *err)
{
    sigset_t all, before;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&l->thread, NULL, thread_main, l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc)
        return errmsg_set_errno(err, -rc, "cannot start the relay's thread");
    l->started = true;
    (void)pthread_setname_np(l->thread, "relay-in");
    return 0;
}

static void wake(const struct relay_listener *l)
{
    uint64_t one = 1;

    /* It can only fail when the counter is full, and then the thread is awake. */
    if (l->wake >= 0 && write(l->wake, &one, sizeof(one)) < 0)
        return;
}

void relay_listener_stop(struct relay_listener *l, uint64_t timeout_ns)
{
    atomic_store_explicit(&l->stop_by_ns, clock_boot_ns() + timeout_ns, memory_order_relaxed);
    wake(l);
}

bool relay_listener_stopped(const struct relay_listener *l)
{
    return atomic_load_explicit(&l->stopped, memory_order_acquire);
}

bool relay_listener_failed(const struct relay_listener *l)
{
    return atomic_load_explicit(&l->failed, memory_order_relaxed);
}

void relay_listener_close(struct relay_listener *l)
{
    if (!l)
        return;
    atomic_store_explicit(&l->closing, true, memory_order_relaxed);
    wake(l);
    if (l->started)
        (void)pthread_join(l->thread, NULL);
    while (l->peers) {
        struct relay_peer *p = l->peers;

        l->peers = p->next;
        relay_peer_free(p);
    }
    relay_ring_drop(&l->ring);
    relay_old_close(&l->old);
    if (l->table.buckets)
        relay_table_close(&l->table);
    for (size_t i = 0; i < l->places_count; i++)
        file_close(l->places[i]);
    file_close(l->epoll);
    file_close(l->wake);
    file_close(l->state_dir);
    relay_tls_close(l->tls);
    free(l->stage.list);
    free(l->shm_dir);
    free(l);
}
