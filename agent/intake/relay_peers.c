/*
 * relay_peers: epoll, sockets, buffers.
 *
 * Owns:   see the header.
 * Thread: the listener's; relay_peers_wake() any.
 */
#include "intake/relay_peers.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "io/clock.h"
#include "io/file.h"
#include "io/net.h"

#define SECOND_NS 1000000000ULL
#define ALIVE_NS  (5 * SECOND_NS)       /* between two signs of life */
#define HELLO_NS  (15 * SECOND_NS)      /* for a TLS handshake and the first message */
#define SLOW_NS   (5 * SECOND_NS)       /* without a byte while memory is short */
#define PAUSE_NS  SECOND_NS             /* after a connection found no place */

enum {
    ACCEPTS_A_TURN = 256,
    EVENTS_A_TURN = 512,
    READ_BYTES = 256 * 1024,
    HELLO_BYTES_MAX = 4096,             /* a sender waits for an answer first */
    PEER_BYTES_MAX = 1 << 20,           /* read ahead of one peer, or one message that is longer */
    ALL_BYTES_MAX = 64 << 20,           /* of all; then only some messages come to their end */
    FINISHERS_MAX = 16,
    ANSWERS_BYTES_MAX = 64 * 1024       /* who does not read them is not read */
};

/* --- who is looked at ----------------------------------------------------------------------- */

static void activate(struct relay_peers *ps, struct relay_peer *p)
{
    if (p->active)
        return;
    p->active = true;
    p->next_active = NULL;
    *ps->active_end = p;
    ps->active_end = &p->next_active;
}

static void watch(struct relay_peers *ps, struct relay_peer *p)
{
    bool in = !p->over && !p->waits && !p->held && !p->unread
              && p->out.len - p->out_at < ANSWERS_BYTES_MAX;
    bool out = p->out.len > p->out_at || p->link.write_wanted;
    struct epoll_event event = {
        .events = (in ? (uint32_t)EPOLLIN : 0U) | (out ? (uint32_t)EPOLLOUT : 0U),
        .data.ptr = p,
    };

    if (p->watched && p->events_watched == event.events)
        return;
    if (epoll_ctl(ps->epoll, p->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, p->link.fd, &event))
        p->gone = true;
    p->watched = true;
    p->events_watched = event.events;
}

static void peer_end(struct relay_peers *ps, struct relay_peer *p)
{
    *p->at = p->next;
    if (p->next)
        p->next->at = p->at;
    ps->bytes -= p->in.len;
    ps->count--;
    ps->accept_ns = 0;
    relay_peer_free(p);
}

void relay_peer_refuse(struct relay_peers *ps, struct relay_peer *p, const struct errmsg *why)
{
    static _Thread_local struct log_limit limit =
        LOG_LIMIT_INIT("senders refused", 5, 10 * SECOND_NS);

    if (log_limit_allow(&limit, clock_boot_ns()))
        log_warn("relay: a sender is refused: %s", why->text);
    relay_count(&ps->counters->refused, 1);
    p->over = true;
    p->gone = !p->hello || relay_wire_put_text(&p->out, RELAY_REFUSED, 0, why->text) != 0;
}

/* --- bytes ---------------------------------------------------------------------------------- */

/* A message longer than what is read ahead has to come to its end nevertheless. */
static size_t room(const struct relay_peers *ps, const struct relay_peer *p)
{
    size_t have = p->in.len - p->in_at, want = PEER_BYTES_MAX;

    if (have >= RELAY_HEADER_BYTES) {
        size_t all = RELAY_HEADER_BYTES + (size_t)bytes_get_u32(p->in.data + p->in_at);

        want = all > want && all <= RELAY_HEADER_BYTES + RELAY_BODY_BYTES_MAX ? all : want;
    }
    if (have >= want || (ps->bytes > ALL_BYTES_MAX && !p->finishes))
        return 0;
    return want - have < READ_BYTES ? want - have : READ_BYTES;
}

void relay_peer_read(struct relay_peers *ps, struct relay_peer *p)
{
    size_t cap;

    p->unread = true;           /* TLS may have some that epoll does not know of */
    while (!p->gone && !p->over && (cap = room(ps, p)) > 0) {
        struct errmsg err;
        int64_t n = relay_link_read(&p->link, ps->scratch, cap, &err);

        if (n < 0) {
            p->gone = n != -EAGAIN;
            p->unread = false;
            return;
        }
        if (bytes_append(&p->in, ps->scratch, (size_t)n)) {
            p->gone = true;
            return;
        }
        ps->bytes += (uint64_t)n;
        p->read_ns = clock_boot_ns();
        if (!p->hello && p->in.len > HELLO_BYTES_MAX)
            p->gone = true;
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
    bytes_free(&p->out);
    p->out_at = 0;
    if (p->over)
        p->gone = true;
}

/* What is done with goes; a buffer with nothing in it, too. */
static void peer_compact(struct relay_peers *ps, struct relay_peer *p)
{
    if (p->in_at == 0)
        return;
    ps->bytes -= p->in_at;
    memmove(p->in.data, p->in.data + p->in_at, p->in.len - p->in_at);
    p->in.len -= p->in_at;
    p->in_at = 0;
    if (p->in.len == 0)
        bytes_free(&p->in);
}

/* --- accepting ------------------------------------------------------------------------------ */

static void places_watch(struct relay_peers *ps, bool on)
{
    for (size_t i = 0; i < ps->places_count; i++) {
        struct epoll_event event = {.events = on ? (uint32_t)EPOLLIN : 0U,
                                    .data.ptr = &ps->places[i]};

        if (epoll_ctl(ps->epoll, EPOLL_CTL_MOD, ps->places[i], &event))
            log_error("relay: epoll: %s", strerror(errno));
    }
    ps->paused = !on;
}

/* Those that come when there is no place wait where they are: in the kernel. */
static void accept_pause(struct relay_peers *ps, const char *why)
{
    static _Thread_local struct log_limit limit =
        LOG_LIMIT_INIT("senders that wait", 1, 60 * SECOND_NS);
    uint64_t now = clock_boot_ns();

    if (log_limit_allow(&limit, now))
        log_warn("relay: no further connection is accepted: %s", why);
    ps->accept_ns = now + PAUSE_NS;
    places_watch(ps, false);
}

static void peer_add(struct relay_peers *ps, int fd)
{
    struct relay_peer *p = calloc(1, sizeof(*p));

    if (!p || fcntl(fd, F_SETFL, O_NONBLOCK)) {
        file_close(fd);         /* its sender comes again */
        free(p);
        return;
    }
    if (relay_link_accept(&p->link, fd, ps->tls)) {
        free(p);
        return;
    }
    p->read_ns = clock_boot_ns();
    p->next = ps->all;
    p->at = &ps->all;
    if (p->next)
        p->next->at = &p->next;
    ps->all = p;
    ps->count++;
    relay_count(&ps->counters->peers_total, 1);
    activate(ps, p);
    relay_peer_read(ps, p);     /* the first message is there as a rule */
}

static void accept_some(struct relay_peers *ps, int place)
{
    for (int i = 0; i < ACCEPTS_A_TURN && !ps->paused; i++) {
        int fd = ps->count < ps->max ? net_accept(place) : -EBUSY;

        if (fd == -EAGAIN)
            return;
        if (fd >= 0)
            peer_add(ps, fd);
        else if (fd == -EBUSY)
            accept_pause(ps, "connections_max is reached");
        else if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM || fd == -ENOBUFS)
            accept_pause(ps, strerror(-fd));
        /* Of the others: it has gone again. */
    }
}

static bool is_place(const struct relay_peers *ps, const void *at)
{
    return at >= (const void *)ps->places && at < (const void *)(ps->places + ps->places_count);
}

void relay_peers_wait(struct relay_peers *ps, int timeout_ms)
{
    struct epoll_event events[EVENTS_A_TURN];
    int n;

    if (ps->paused && ps->count < ps->max && clock_boot_ns() >= ps->accept_ns)
        places_watch(ps, true);
    n = epoll_wait(ps->epoll, events, EVENTS_A_TURN, timeout_ms);
    for (int i = 0; i < n; i++) {
        struct relay_peer *p = events[i].data.ptr;

        if (is_place(ps, p)) {
            accept_some(ps, *(const int *)events[i].data.ptr);
        } else if ((void *)p != &ps->wake) {
            activate(ps, p);
            /* Whoever has closed both ways hears no answer, and sends what is left again. */
            p->gone |= (events[i].events & (uint32_t)(EPOLLHUP | EPOLLERR)) != 0;
            if (p->link.write_wanted || events[i].events != (uint32_t)EPOLLOUT)
                relay_peer_read(ps, p);
        }
    }
}

/* --- the end of a turn ---------------------------------------------------------------------- */

/* Beyond the bound: a few bring their messages to the end, the others wait. */
static void memory_look(struct relay_peers *ps, struct relay_peer *p, uint32_t *finishers,
                        uint64_t now_ns)
{
    bool partial = p->in.len > 0 && !p->waits;

    p->finishes = p->held = false;
    if (ps->bytes <= ALL_BYTES_MAX)
        return;
    if (!partial || *finishers == FINISHERS_MAX) {
        p->held = true;
        return;
    }
    (*finishers)++;
    p->finishes = true;
    if (now_ns - p->read_ns > SLOW_NS && now_ns > p->read_ns)
        p->gone = true;
}

static void waits_count(const struct relay_peer *p, uint64_t waiting[RELAY_WAIT_COUNT])
{
    if (p->waits)
        waiting[p->waits_for]++;
    else if (p->held)
        waiting[RELAY_WAIT_MEMORY]++;
    else if (!p->welcomed && p->hello)
        waiting[RELAY_WAIT_RECOVERY]++;
}

static bool rests(const struct relay_peer *p, bool ready)
{
    return p->over || (ready && !p->waits && !p->held && !p->unread && p->ended == 0
                       && (p->welcomed || !p->hello));
}

bool relay_peers_sweep(struct relay_peers *ps, const struct relay_ring *ring, bool ready,
                       uint64_t now_ns)
{
    struct relay_peer *next, *others = NULL, **others_end = &others;
    uint64_t waiting[RELAY_WAIT_COUNT] = {0}, done = 0;
    uint32_t finishers = 0;
    struct relay_peer *p = ps->active;

    ps->active = NULL;
    ps->active_end = &ps->active;
    for (; p; p = next) {
        struct relay_peer ***end = p->waits ? &ps->active_end : &others_end;

        next = p->next_active;
        p->next_active = NULL;
        peer_compact(ps, p);
        if (relay_peer_done(p, ring, &done))
            p->gone = true;
        peer_write(p);
        memory_look(ps, p, &finishers, now_ns);
        if (!p->gone)
            watch(ps, p);
        p->active = !p->gone && !rests(p, ready);
        if (p->active) {
            waits_count(p, waiting);
            **end = p;
            *end = &p->next_active;
        } else if (p->gone) {
            peer_end(ps, p);
        }
    }
    *ps->active_end = others;
    if (others)
        ps->active_end = others_end;
    relay_count_set(&ps->counters->peers, ps->count);
    relay_count(&ps->counters->batches, done);
    for (int i = 0; i < RELAY_WAIT_COUNT; i++)
        relay_count_set(&ps->counters->waiting[i], waiting[i]);
    return ps->active != NULL;
}

/* Who says nothing for too long in the middle of something. */
static bool silent(const struct relay_peers *ps, const struct relay_peer *p, uint64_t now_ns)
{
    uint64_t ns = now_ns > p->read_ns ? now_ns - p->read_ns : 0;

    if (p->over)
        return ns > SLOW_NS;
    if (!p->hello)
        return ns > HELLO_NS;
    return p->in.len > p->in_at && !p->waits && !p->held && ns > ps->idle_timeout_ns;
}

void relay_peers_alive(struct relay_peers *ps, enum relay_wait all_wait, uint64_t now_ns)
{
    if (now_ns < ps->alive_ns)
        return;
    ps->alive_ns = now_ns + ALIVE_NS;
    for (struct relay_peer *p = ps->all; p; p = p->next) {
        enum relay_wait why = p->waits ? p->waits_for : p->held ? RELAY_WAIT_MEMORY : all_wait;
        const char *text = why < RELAY_WAIT_COUNT ? relay_wait_texts[why] : "";

        if (silent(ps, p, now_ns)) {
            p->gone = true;
            relay_count(&ps->counters->refused, 1);
        } else if (p->hello && p->out.len == 0) {
            if (relay_wire_put_text(&p->out, RELAY_ALIVE, 0, text))
                p->gone = true;
            peer_write(p);
        } else {
            continue;
        }
        activate(ps, p);
    }
}

/* --- open, close ---------------------------------------------------------------------------- */

int relay_peers_init(struct relay_peers *ps)
{
    struct epoll_event event = {.events = (uint32_t)EPOLLIN | (uint32_t)EPOLLET,
                                .data.ptr = &ps->wake};

    ps->active_end = &ps->active;
    ps->epoll = epoll_create1(EPOLL_CLOEXEC);
    ps->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ps->scratch = malloc(READ_BYTES);
    if (!ps->scratch)
        return -ENOMEM;
    if (ps->epoll < 0 || ps->wake < 0
        || epoll_ctl(ps->epoll, EPOLL_CTL_ADD, ps->wake, &event))
        return -errno;
    return 0;
}

int relay_peers_listen(struct relay_peers *ps, const struct sockaddr *address, socklen_t len)
{
    int *place = &ps->places[ps->places_count];
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = place};

    if (ps->places_count == RELAY_PLACES_MAX)
        return -E2BIG;
    *place = net_listen(address, len);
    if (*place < 0)
        return *place;
    ps->places_count++;
    return epoll_ctl(ps->epoll, EPOLL_CTL_ADD, *place, &event) ? -errno : 0;
}

void relay_peers_wake(const struct relay_peers *ps)
{
    uint64_t one = 1;

    /* It can only fail when the counter is full, and then the thread is awake. */
    if (ps->wake >= 0 && write(ps->wake, &one, sizeof(one)) < 0)
        return;
}

void relay_peers_fini(struct relay_peers *ps)
{
    while (ps->all)
        peer_end(ps, ps->all);
    for (size_t i = 0; i < ps->places_count; i++)
        file_close(ps->places[i]);
    ps->places_count = 0;
    file_close(ps->epoll);
    file_close(ps->wake);
    ps->epoll = ps->wake = -1;
    free(ps->scratch);
    ps->scratch = NULL;
}
