/*
 * shards: opens all shards of an agent, says which ring is whose, runs their threads, ends them.
 *
 * Owns:   see shards.h.
 * Thread: the first shard's; shards_own() and the like any, on what stands still once all are open.
 */
#include "pipeline/shards.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/invariant.h"
#include "pipeline/parts.h"

/* --- whose ---------------------------------------------------------------------------------- */

static int by_uuid(const void *a, const void *b)
{
    return memcmp(((const struct known_ring *)a)->uuid, ((const struct known_ring *)b)->uuid, 16);
}

/* Every ring of every log. */
static int known_collect(struct shards *a)
{
    size_t count = 0;

    for (uint32_t i = 0; i < a->count; i++)
        count += a->shard[i]->state.rings_count;
    a->known = calloc(count + 1, sizeof(*a->known));
    if (!a->known)
        return -ENOMEM;
    for (uint32_t i = 0; i < a->count; i++) {
        const struct wal_state *state = &a->shard[i]->state;

        for (uint32_t k = 0; k < state->rings_count; k++) {
            struct known_ring *known = &a->known[a->known_count++];

            memcpy(known->uuid, state->rings[k]->uuid, sizeof(known->uuid));
            known->shard = a->shard[i]->number;
        }
    }
    qsort(a->known, a->known_count, sizeof(*a->known), by_uuid);
    return 0;
}

bool shards_own(const struct shard *s, const uint8_t ring_uuid[16])
{
    const struct shards *a = s->all;
    const struct known_ring *known;
    struct known_ring key;
    uint64_t word;

    if (a->count == 1)
        return true;
    memcpy(key.uuid, ring_uuid, sizeof(key.uuid));
    known = bsearch(&key, a->known, a->known_count, sizeof(key), by_uuid);
    if (known)
        return known->shard == s->number;
    memcpy(&word, ring_uuid, sizeof(word));     /* random already */
    return (word ^ word >> 32) % a->opt.shards == s->number;
}

bool shards_cleans(const struct shard *s, const char *batch_id)
{
    const struct shards *a = s->all;
    uint32_t number;

    /* What is no batch's name, or of a log that has no shard, is the first one's. */
    if (sscanf(batch_id, "%*16[0-9a-f]-%3" SCNu32 "-", &number) != 1)
        return s->number == 0;
    for (uint32_t i = 0; i < a->count; i++)
        if (a->shard[i]->number == number)
            return s->number == number;
    return s->number == 0;
}

bool shards_ring_was_known(const struct shards *a, uint64_t ring_id)
{
    uint64_t number = ring_id >> 32;

    return number < WAL_SHARDS_END && (uint32_t)ring_id < a->rings_at_start[number];
}

/* --- open ----------------------------------------------------------------------------------- */

static int options_copy(struct shards *a, const struct shard_options *opt)
{
    a->opt = *opt;
    a->opt.agent_name = strdup(opt->agent_name);
    a->opt.data_dir = strdup(opt->data_dir);
    a->opt.wal_dir = strdup(opt->wal_dir);
    a->opt.shm_dir = strdup(opt->shm_dir);
    a->opt.shm_group = opt->shm_group ? strdup(opt->shm_group) : NULL;
    a->pid = (uint32_t)getpid();
    if (a->opt.shards == 0)
        a->opt.shards = 1;
    return a->opt.agent_name && a->opt.data_dir && a->opt.wal_dir && a->opt.shm_dir
                   && (a->opt.shm_group || !opt->shm_group) ? 0 : -ENOMEM;
}

struct surplus {
    struct shards *a;
    bool there[WAL_SHARDS_END];
};

static void on_surplus(void *ctx, uint32_t number)
{
    struct surplus *found = ctx;

    found->there[number] = number >= found->a->opt.shards;
}

/* Above every earlier epoch: UTC seconds, then 32 random bits. */
static void epoch_raise(struct shards *a, const struct shard *s)
{
    for (uint32_t i = 0; i < s->dir.count; i++)
        if (a->epoch < s->dir.segments[i].header.epoch)
            a->epoch = s->dir.segments[i].header.epoch;
}

static void epoch_new(struct shards *a)
{
    uint64_t seconds = loop_real_ns(a->shard[0]->loop) / 1000000000ULL;
    uint32_t random;

    if (seconds <= a->epoch >> 32)
        seconds = (a->epoch >> 32) + 1;
    file_random(&random, sizeof(random));
    a->epoch = seconds << 32 | random;
}

/* Nothing will be added to this log. What it tells of is made durable: its spool files may go. */
static int past_keep(struct shards *a, struct shard *s, struct errmsg *err)
{
    struct status *books;
    int r = recovery_finish(s, err);

    if (r)
        return r;
    r = snapshot_books(s, &books);
    if (!r && a->past) {
        r = status_merge(a->past, books);
        status_free(books);
    } else if (!r) {
        a->past = books;
    }
    return r ? errmsg_set(err, r, "no memory") : 0;
}

static int streams_count(struct shards *a, const struct shard *s)
{
    int r = 0;

    for (uint32_t i = 0; !r && i < s->state.streams_count; i++)
        r = quota_stream_load(&a->quota, s->state.streams[i]->name, s->state.streams[i]->uid);
    return r;
}

/* Reads the log of one shard. A surplus one with nothing left in it gets no shard. */
static int shard_add(struct shards *a, uint32_t number, struct errmsg *err)
{
    struct shard *s = a->shard[0];
    bool over = false;
    int r = 0;

    if (number > 0) {
        r = shard_new(a, number, &s, err);
        if (r)
            return r;
    }
    r = recovery_read(s, err);
    if (!r) {
        epoch_raise(a, s);
        a->rings_at_start[number] = s->rings_at_start;
        r = streams_count(a, s);
        if (r)
            errmsg_set(err, r, "no memory");
    }
    if (!r && number >= a->opt.shards) {
        over = recovery_over(s);
        if (over)
            r = past_keep(a, s, err);
    }
    if (number > 0 && (r || over))
        shard_free(s);
    else if (number > 0)
        a->shard[a->count++] = s;
    return r;
}

/* Every log, also of shards that are configured no more (R6). */
static int logs_read(struct shards *a, struct errmsg *err)
{
    struct surplus found = {.a = a};
    uint32_t count = a->opt.shards;
    struct shard **more;
    int r = wal_dir_shards(a->opt.wal_dir, on_surplus, &found);

    if (r && r != -ENOENT)
        return errmsg_set(err, r, "%s: cannot list: %s", a->opt.wal_dir, strerror(-r));
    for (uint32_t i = 0; i < WAL_SHARDS_END; i++)
        count += found.there[i];
    more = realloc(a->shard, count * sizeof(struct shard *));
    if (!more)
        return errmsg_set(err, -ENOMEM, "no memory");
    a->shard = more;
    r = 0;
    for (uint32_t i = 0; r == 0 && i < WAL_SHARDS_END; i++)
        if (i < a->opt.shards || found.there[i])
            r = shard_add(a, i, err);
    return r;
}

static int first_open(struct shards *a, struct errmsg *err)
{
    int r;

    a->shard = calloc(1, sizeof(struct shard *));
    if (!a->shard)
        return errmsg_set(err, -ENOMEM, "no memory");
    r = shard_new(a, 0, &a->shard[0], err);
    if (r)
        return r;
    a->count = 1;
    r = discover_open(a->opt.shm_dir, a->opt.shm_group, &a->shard[0]->discover, err);
    return r ? r : data_dir_open(a, err);
}

int shards_open(const struct shard_options *opt, struct shards **ret_shards, struct errmsg *err)
{
    struct quota_limits limits = {
        opt->rings_max, opt->rings_per_uid_max, opt->ring_bytes_per_uid_max, opt->streams_max,
        opt->streams_per_uid_max,
    };
    struct shards *a = calloc(1, sizeof(*a));
    int r;

    *ret_shards = NULL;
    if (!a)
        return errmsg_set(err, -ENOMEM, "no memory");
    a->data_dir = a->spool_dir = a->state_dir = -1;
    quota_init(&a->quota, &limits);
    r = options_copy(a, opt);
    if (r)
        errmsg_set(err, r, "no memory");
    if (!r)
        r = first_open(a, err);
    if (!r)
        r = logs_read(a, err);
    if (!r) {
        epoch_new(a);
        r = known_collect(a);
        if (r)
            errmsg_set(err, r, "no memory");
    }
    for (uint32_t i = 0; !r && i < a->count; i++)
        r = shard_begin(a->shard[i], err);
    if (r) {
        shards_close(a);
        return r;
    }
    *ret_shards = a;
    return 0;
}

/* --- threads -------------------------------------------------------------------------------- */

/* The first failure is the agent's. */
static void fail(struct shards *a, int err, const struct errmsg *text)
{
    if (atomic_exchange_explicit(&a->failing, true, memory_order_relaxed))
        return;
    a->failure = err;
    a->failure_text = *text;
    /* F1 pairs with the acquire in shards_turn(): who sees it sees why. */
    atomic_store_explicit(&a->failed, true, memory_order_release);
    mailbox_wake(&a->shard[0]->mailbox);
}

static void *thread_main(void *arg)
{
    uint8_t stack[CRASH_NOTE_STACK_BYTES];
    struct shard *s = arg;
    struct shards *a = s->all;
    struct errmsg err = {""};
    int r = 0;

    crash_note_stack(stack);
    while (r == 0 && !atomic_load_explicit(&a->ending, memory_order_relaxed))
        r = shard_turn(s, &err);
    if (r < 0)
        fail(a, r, &err);
    shard_quiet(s);
    return NULL;
}

/* Signals are for the main thread: the new one starts with all blocked but its own faults. */
static int thread_start(struct shard *s)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
    sigset_t most, before;
    char name[16];
    int r;

    (void)sigfillset(&most);
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
        (void)sigdelset(&most, faults[i]);
    (void)pthread_sigmask(SIG_SETMASK, &most, &before);
    r = pthread_create(&s->thread, NULL, thread_main, s);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    snprintf(name, sizeof(name), "shard-%" PRIu32, s->number);
    if (r == 0)
        (void)pthread_setname_np(s->thread, name);
    return -r;
}

int shards_remote(struct shards *a, const struct remote_settings *settings, uint32_t count,
                  struct errmsg *err)
{
    struct delivery *d = shards_delivery(a);
    int r = 0;

    if (!d && count == 0)
        return 0;
    if (!d) {
        r = delivery_open(&d, err);
        if (!r && a->started)
            r = delivery_start(d, err);
        if (r) {
            delivery_close(d);
            return r;
        }
        /* R2, release: who posts finds it made; pairs with the acquire in shards_delivery(). */
        atomic_store_explicit(&a->delivery, d, memory_order_release);
    }
    r = delivery_configure(d, settings, count);
    return r ? errmsg_set(err, r, "no memory") : 0;
}

struct delivery *shards_delivery(const struct shards *a)
{
    return atomic_load_explicit(&a->delivery, memory_order_acquire);
}

int shards_relay_sinks(struct shards *a, const struct relay_sink_settings *settings,
                       uint32_t count, struct errmsg *err)
{
    struct relay *relay = shards_relay(a);
    int r = 0;

    if (!relay && count == 0)
        return 0;
    if (!relay) {
        r = relay_open(a->uuid, &relay, err);
        if (!r)
            r = relay_configure(relay, settings, count, err);
        if (r) {
            relay_close(relay);
            return r;
        }
        /* R3, release: who posts finds it made; pairs with the acquire in shards_relay(). */
        atomic_store_explicit(&a->relay, relay, memory_order_release);
        return 0;
    }
    return relay_configure(relay, settings, count, err);
}

struct relay *shards_relay(const struct shards *a)
{
    return atomic_load_explicit(&a->relay, memory_order_acquire);
}

uint64_t shards_ring_end(const struct shards *a, const uint8_t uuid[16])
{
    for (uint32_t i = 0; i < a->count; i++) {
        const struct wal_ring *ring = wal_state_ring_by_uuid(&a->shard[i]->state, uuid);

        if (ring)
            return ring->end_pos;
    }
    return 0;
}

int shards_start(struct shards *a, struct errmsg *err)
{
    int r = shards_delivery(a) ? delivery_start(shards_delivery(a), err) : 0;

    if (r)
        return r;
    a->started = true;
    for (uint32_t i = 1; i < a->count; i++) {
        r = thread_start(a->shard[i]);
        if (r)
            return errmsg_set(err, r, "cannot start the thread of a shard: %s", strerror(-r));
        a->threads++;
    }
    return 0;
}

int shards_turn(struct shards *a, struct errmsg *err)
{
    int r = shard_turn(a->shard[0], err);

    if (r < 0 || !atomic_load_explicit(&a->failed, memory_order_acquire))
        return r;
    *err = a->failure_text;
    return a->failure;
}

void shards_ring_bell(struct shards *a)
{
    for (uint32_t i = 0; i < a->count; i++) {
        /* Release: what the bell was rung for is seen by whoever takes it. */
        atomic_store_explicit(&a->shard[i]->bell_rang, true, memory_order_release);
        if (i > 0)
            mailbox_wake(&a->shard[i]->mailbox);
    }
}

/* --- all of them ---------------------------------------------------------------------------- */

uint32_t shards_count(const struct shards *a)
{
    return a->count;
}

struct shard *shards_at(const struct shards *a, uint32_t i)
{
    return a->shard[i];
}

struct mailbox *shards_mailbox(struct shards *a)
{
    return &a->shard[0]->mailbox;
}

bool shards_stream_take(struct shards *a, const char *stream, bool named)
{
    uint32_t uid = (uint32_t)geteuid();
    enum shm_wait why = quota_stream_take(&a->quota, stream, &uid);

    if (why != SHM_WAIT_STREAMS_UID || !named)
        return why == SHM_WAIT_NONE;
    uid = WAL_NO_UID;
    return quota_stream_take(&a->quota, stream, &uid) == SHM_WAIT_NONE;
}

void shards_stop(struct shards *a, uint64_t timeout_ns)
{
    uint64_t by_ns = loop_refresh_ns(a->shard[0]->loop) + timeout_ns;

    atomic_store_explicit(&a->stop_by_ns, by_ns, memory_order_relaxed);
    for (uint32_t i = 0; i < a->count; i++)
        mailbox_wake(&a->shard[i]->mailbox);
}

bool shards_turned(struct shards *a)
{
    /* Relaxed: nothing is handed over by it. */
    for (uint32_t i = 0; i < a->count; i++)
        if (!atomic_load_explicit(&a->shard[i]->turned, memory_order_relaxed))
            return false;
    for (uint32_t i = 0; i < a->count; i++)
        atomic_store_explicit(&a->shard[i]->turned, false, memory_order_relaxed);
    return true;
}

uint64_t shards_pending(const struct shards *a)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < a->count; i++)
        sum += shard_pending(a->shard[i]);
    return sum;
}

/* Whoever asks one shard of another's mailbox finds it closed, and not gone. */
static void threads_end(struct shards *a)
{
    atomic_store_explicit(&a->ending, true, memory_order_relaxed);
    for (uint32_t i = 0; i < a->count; i++)
        mailbox_wake(&a->shard[i]->mailbox);
    for (uint32_t i = 0; i < a->threads; i++)
        (void)pthread_join(a->shard[1 + i]->thread, NULL);
    for (uint32_t i = 0; i < a->count; i++)
        shard_quiet(a->shard[i]);
}

void shards_close(struct shards *a)
{
    if (!a)
        return;
    threads_end(a);
    delivery_close(shards_delivery(a));     /* jobs are of the seals that go now */
    relay_close(shards_relay(a));
    for (uint32_t i = 0; i < a->count; i++)
        shard_free(a->shard[i]);
    data_dir_close(a);
    quota_fini(&a->quota);
    status_free(a->past);
    free(a->shard);
    free(a->known);
    free((char *)a->opt.agent_name);
    free((char *)a->opt.data_dir);
    free((char *)a->opt.wal_dir);
    free((char *)a->opt.shm_dir);
    free((char *)a->opt.shm_group);
    free(a);
}
