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
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "intake/relay_peers.h"
#include "io/clock.h"
#include "io/file.h"

#define RETRY_NS 1000000000ULL          /* after the journal or a ring has failed */

enum {
    STAGED_MAX = 4096,
    WAIT_MS = 1000,                     /* with nothing to do; and while something is waited for: */
    SHORT_WAIT_MS = 1,
    FAILED_WAIT_MS = 100                /* until the journal is tried again */
};

struct relay_listener {
    struct relay_listener_options opt;
    char *shm_dir;                      /* owned */
    struct relay_tls *tls;              /* owned; NULL: none */
    int state_dir;                      /* owned */
    struct relay_peers peers;
    struct relay_table table;
    struct relay_old old;
    bool old_over;                      /* all that was left behind is settled */
    struct relay_ring ring;
    struct relay_stage stage;
    uint64_t retry_ns;
    bool failing;                       /* that has been said */
    pthread_t thread;
    bool started;
    _Atomic uint64_t stop_by_ns;        /* 0: nobody has asked to stop */
    _Atomic bool closing, stopped, failed;
};

/* --- the turn ------------------------------------------------------------------------------- */

static void failure_say(struct relay_listener *l, const char *what)
{
    if (!l->failing)
        log_error("relay: %s; nothing is taken until that is over", what);
    l->failing = true;
    l->retry_ns = clock_boot_ns() + RETRY_NS;
}

static void failure_over(struct relay_listener *l)
{
    if (l->failing)
        log_info("relay: it is over, events are taken again");
    l->failing = false;
}

/* Why nobody is served, or RELAY_WAIT_COUNT. */
static enum relay_wait all_wait(const struct relay_listener *l)
{
    return l->failing ? RELAY_WAIT_JOURNAL : l->old_over ? RELAY_WAIT_COUNT : RELAY_WAIT_RECOVERY;
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
    failure_over(l);
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
        relay_count_set(&l->opt.counters->waiting[RELAY_WAIT_JOURNAL], l->peers.count);
        relay_peers_alive(&l->peers, RELAY_WAIT_JOURNAL, clock_boot_ns());
        (void)poll(NULL, 0, FAILED_WAIT_MS);
    }
    failure_over(l);
    for (size_t i = 0; !r && i < l->stage.count; i++)
        r = relay_staged_write(&l->stage.list[i], &l->ring, &events, err);
    relay_count(&l->opt.counters->events, events);
    l->stage.count = 0;
    l->stage.bytes = 0;
    return r;
}

/* What has come of who is active, as far as there is room. */
static void peers_take(struct relay_listener *l, bool ready)
{
    for (struct relay_peer *p = l->peers.active; p; p = p->next_active) {
        struct errmsg why;

        if (p->unread)
            relay_peer_read(&l->peers, p);
        if (!p->gone && !p->over
            && (relay_peer_hello(p, &why) || (ready && relay_peer_take(p, &l->stage, &why))))
            relay_peer_refuse(&l->peers, p, &why);
    }
}

static int turn(struct relay_listener *l, bool stopping, bool *busy, struct errmsg *err)
{
    uint64_t now;
    bool ready;
    int r;

    relay_peers_wait(&l->peers, *busy ? SHORT_WAIT_MS : WAIT_MS);
    now = clock_boot_ns();
    r = ring_look(l, err);
    if (r)
        return r;
    if (l->ring.full_of_defs && ring_let_go(l))
        l->ring.full_of_defs = false;
    ready = ring_ready(l, now) && !stopping;
    peers_take(l, ready);
    if (l->stage.count > 0 || l->table.unwritten.len > 0) {
        r = stage_write(l, err);
        if (!r)
            r = ring_look(l, err);
    }
    if (r)
        return r;
    relay_peers_alive(&l->peers, all_wait(l), now);
    *busy = relay_peers_sweep(&l->peers, &l->ring, ready, now) || !l->old_over
            || (l->ring.ring && l->ring.durable != l->ring.head);
    relay_count_set(&l->opt.counters->journal_bytes, l->table.file_bytes);
    relay_count_set(&l->opt.counters->journal_syncs, l->table.syncs);
    return 0;
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
        if (!r && l->peers.places_count == 0 && l->old_over)
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

static int places_open(struct relay_listener *l, struct errmsg *err)
{
    for (size_t i = 0; i < l->opt.places_count; i++) {
        const struct relay_place *place = &l->opt.places[i];
        int r = relay_peers_listen(&l->peers, (const struct sockaddr *)&place->address,
                                   place->address_len);

        if (r == -E2BIG)
            return errmsg_set(err, r, "[intake] relay: more than %d places", RELAY_PLACES_MAX);
        if (r)
            return errmsg_set_errno(err, r, "[intake] relay: cannot listen on %s", place->text);
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
    l->stage.counters = l->peers.counters = l->opt.counters;
    l->peers.max = l->opt.connections_max;
    l->peers.idle_timeout_ns = l->opt.idle_timeout_ns;
    r = relay_peers_init(&l->peers);
    if (r)
        return errmsg_set_errno(err, r, "[intake] relay");
    if (l->opt.tls.cert_file[0] != '\0') {
        r = relay_tls_open(true, &l->opt.tls, &l->tls, err);
        if (r) {
            errmsg_prefix(err, "[intake] relay: ");
            return r;
        }
    }
    l->peers.tls = l->tls;
    r = relay_table_open(l->state_dir, &l->table);
    if (r)
        return errmsg_set_errno(err, r, "%s/state/relay", l->opt.data_dir);
    if (l->table.damaged > 0)
        log_warn("relay: state/relay: %" PRIu32 " of its records are damaged and left out",
                 l->table.damaged);
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
    l->peers.epoll = l->peers.wake = l->table.fd = -1;
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

void relay_listener_stop(struct relay_listener *l, uint64_t timeout_ns)
{
    atomic_store_explicit(&l->stop_by_ns, clock_boot_ns() + timeout_ns, memory_order_relaxed);
    relay_peers_wake(&l->peers);
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
    relay_peers_wake(&l->peers);
    if (l->started)
        (void)pthread_join(l->thread, NULL);
    relay_peers_fini(&l->peers);
    relay_ring_drop(&l->ring);
    relay_old_close(&l->old);
    if (l->table.buckets)
        relay_table_close(&l->table);
    file_close(l->state_dir);
    relay_tls_close(l->tls);
    free(l->stage.list);
    free(l->shm_dir);
    free(l);
}
