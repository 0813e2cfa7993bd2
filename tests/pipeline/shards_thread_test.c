/*
 * Shards on their threads, over real io_urings and real rings: producers write, others ask for
 * status, flushes and reloads all the time, and a shard that fails ends them all. For TSan, too.
 *
 * Owns:   directories below /var/tmp and /dev/shm.
 * Thread: the test's is the first shard's; one for each producer, one that asks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pipeline/parts.h"
#include "shm_client.h"
#include "support/small_agent.h"

enum { SHARDS = 3, PRODUCERS = 9, EVENTS = 400, ASKS_MIN = 20 };

static struct {
    char root[64], shm[64], data[96], out[96], wal[112];
    struct shards *shards;
    _Atomic unsigned writing;           /* producers */
    _Atomic bool asking;
    unsigned lines;
} t;

static int on_settings(void *ctx, const char *stream, struct stream_settings *ret_set,
                       struct errmsg *err)
{
    struct output_settings *o = &ret_set->output[0];

    (void)stream;
    (void)err;
    memset(ret_set, 0, sizeof(*ret_set));
    ret_set->outputs = 1;
    small_agent_output(o, "json", "");
    o->buffer_count = *(const int *)ctx;
    small_agent_target(o, "local", t.out, false);
    return 0;
}

static void on_directories(void *ctx, void (*visit)(void *visit_ctx, const char *directory),
                           void *visit_ctx)
{
    (void)ctx;
    visit(visit_ctx, t.out);
}

static bool on_sink(void *ctx, const char *sink)
{
    (void)ctx;
    return strcmp(sink, "local") == 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static int setup(void **state)
{
    (void)state;
    memset(&t, 0, sizeof(t));
    snprintf(t.root, sizeof(t.root), "/var/tmp/hydrant-shards-XXXXXX");
    snprintf(t.shm, sizeof(t.shm), "/dev/shm/hydrant-shards-XXXXXX");
    if (!mkdtemp(t.root) || !mkdtemp(t.shm))
        return -1;
    snprintf(t.data, sizeof(t.data), "%s/data", t.root);
    snprintf(t.out, sizeof(t.out), "%s/out", t.root);
    snprintf(t.wal, sizeof(t.wal), "%s/wal", t.data);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return nftw(t.root, remove_one, 16, FTW_DEPTH | FTW_PHYS)
           | nftw(t.shm, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static int batch_of[2] = {50, 30};

static void agent_open(bool start)
{
    struct shard_options opt = small_agent_options();
    struct errmsg err = {""};

    opt.shards = SHARDS;
    opt.data_dir = t.data;
    opt.wal_dir = t.wal;
    opt.shm_dir = t.shm;
    opt.sync_interval_ns = 1000000;
    opt.idle = SHARD_IDLE_SLEEP;
    opt.settings = on_settings;
    opt.directories = on_directories;
    opt.sink = on_sink;
    opt.settings_ctx = &batch_of[0];
    if (shards_open(&opt, &t.shards, &err) || (start && shards_start(t.shards, &err)))
        fail_msg("%s", err.text);
}

static void *producer_main(void *arg)
{
    struct shmc_options opt = SHMC_OPTIONS_INIT;
    char name[32], text[64];
    struct shmc *h;
    uint16_t id[2];
    bool ok;

    snprintf(name, sizeof(name), "p%u", *(const unsigned *)arg);
    opt.name = name;
    opt.shm_dir = t.shm;
    opt.ring_bytes = 64 * 1024;
    opt.full = SHMC_FULL_WAIT;
    ok = shmc_open(&opt, &h) == 0 && shmc_stream(h, "even", &id[0]) == 0
         && shmc_stream(h, "odd", &id[1]) == 0;
    for (unsigned i = 0; ok && i < EVENTS; i++) {
        int len = snprintf(text, sizeof(text), "{\"%s\":%u}", name, i);

        ok = shmc_write(h, id[i % 2], SHMC_JSON, text, (size_t)len) == 0;
    }
    ok = ok && shmc_flush(h, SHMC_DURABLE, 60000000000ULL) == 0;
    if (!ok || shmc_close(h) != 0)
        abort();
    atomic_fetch_sub(&t.writing, 1);
    return NULL;
}

struct answer {
    pthread_mutex_t mutex;
    pthread_cond_t come;
    bool there;
    int result;
};

static void on_answer(struct shard_request *req, int result)
{
    struct answer *a = req->ctx;

    pthread_mutex_lock(&a->mutex);
    a->result = result;
    a->there = true;
    pthread_cond_signal(&a->come);
    pthread_mutex_unlock(&a->mutex);
}

/* Asks and waits. */
static int ask(enum request_kind kind, unsigned n)
{
    struct answer a = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0};
    struct shard_request req = {.kind = kind, .done = on_answer, .ctx = &a,
                          .settings_ctx = &batch_of[n % 2]};
    uint64_t sum = 0;

    if (mailbox_post(shards_mailbox(t.shards), &req) != 0)
        abort();
    pthread_mutex_lock(&a.mutex);
    while (!a.there)
        pthread_cond_wait(&a.come, &a.mutex);
    pthread_mutex_unlock(&a.mutex);
    if (kind != REQUEST_STATUS || a.result)
        return a.result;
    for (size_t i = 0; i < req.status->streams_count; i++) {
        const struct status_stream *st = &req.status->streams[i];

        sum += st->accepted;
        if (st->accepted != st->delivered + st->dropped + st->lost + st->pending)
            abort();
    }
    if (req.status->shards_count != SHARDS || sum > PRODUCERS * EVENTS)
        abort();
    status_free(req.status);
    return 0;
}

static void *asker_main(void *arg)
{
    static const enum request_kind kinds[] = {REQUEST_STATUS, REQUEST_FLUSH, REQUEST_STATUS,
                                              REQUEST_RELOAD};

    (void)arg;
    for (unsigned n = 0; n < ASKS_MIN || atomic_load(&t.writing) > 0; n++)
        if (ask(kinds[n % 4], n) != 0)
            abort();
    atomic_store(&t.asking, false);
    shard_wake(shards_at(t.shards, 0));
    return NULL;
}

static int count_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    FILE *file;
    int c;

    (void)st;
    (void)at;
    if (type != FTW_F || strstr(path, "/.hydrant/"))
        return 0;
    file = fopen(path, "re");
    if (!file)
        return -1;
    while ((c = getc(file)) != EOF)
        t.lines += c == '\n';
    fclose(file);
    return 0;
}

static void all_is_delivered_once_whatever_is_asked_meanwhile(void **state)
{
    unsigned numbers[PRODUCERS], attached[SHARDS] = {0};
    pthread_t producer[PRODUCERS], asker;
    struct errmsg err = {""};
    int r = 0;

    (void)state;
    agent_open(true);
    atomic_store(&t.writing, PRODUCERS);
    atomic_store(&t.asking, true);
    for (unsigned i = 0; i < PRODUCERS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&producer[i], NULL, producer_main, &numbers[i]), 0);
    }
    assert_int_equal(pthread_create(&asker, NULL, asker_main, NULL), 0);
    while (r == 0 && atomic_load(&t.asking))
        r = shards_turn(t.shards, &err);
    for (unsigned i = 0; i < PRODUCERS; i++)
        pthread_join(producer[i], NULL);
    pthread_join(asker, NULL);
    shards_stop(t.shards, 60000000000ULL);
    while (r == 0)
        r = shards_turn(t.shards, &err);
    assert_string_equal(err.text, "");
    assert_int_equal(r, 1);
    assert_int_equal(shards_pending(t.shards), 0);
    for (uint32_t i = 0; i < SHARDS; i++)
        attached[i] = shards_at(t.shards, i)->next_ring;
    shards_close(t.shards);
    for (uint32_t i = 0; i < SHARDS; i++)
        print_message("shard %u: %u rings\n", i, attached[i] - 1);
    assert_int_equal(nftw(t.out, count_one, 16, FTW_PHYS), 0);
    assert_int_equal(t.lines, PRODUCERS * EVENTS);
}

/* It says why, and all the others end. */
static void one_that_fails_ends_all(void **state)
{
    struct errmsg err = {""};
    int r = 0;

    (void)state;
    agent_open(false);
    /* Before its thread begins, as a log that nobody can write to would. */
    shard_fail(shards_at(t.shards, 1), -EIO, "the disk is gone");
    assert_int_equal(shards_start(t.shards, &err), 0);
    while (r == 0)
        r = shards_turn(t.shards, &err);
    assert_int_equal(r, -EIO);
    assert_string_equal(err.text, "the disk is gone");
    shards_close(t.shards);
}

/* Turns of the first alone are no sign of life of all. */
static void they_have_turned_when_each_has(void **state)
{
    struct errmsg err = {""};
    int r = 0;

    (void)state;
    agent_open(false);
    for (int i = 0; r == 0 && i < 10; i++) {
        r = shards_turn(t.shards, &err);
        assert_false(shards_turned(t.shards));
    }
    assert_int_equal(shards_start(t.shards, &err), 0);
    for (int i = 0; i < 3; i++)     /* again and again, or the test runs out of its time */
        do {
            r = shards_turn(t.shards, &err);
        } while (r == 0 && !shards_turned(t.shards));
    assert_int_equal(r, 0);
    shards_stop(t.shards, 60000000000ULL);
    while (r == 0)
        r = shards_turn(t.shards, &err);
    assert_int_equal(r, 1);
    shards_close(t.shards);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_is_delivered_once_whatever_is_asked_meanwhile, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(one_that_fails_ends_all, setup, teardown),
        cmocka_unit_test_setup_teardown(they_have_turned_when_each_has, setup, teardown),
    };

    return cmocka_run_group_tests_name("shards_thread", tests, NULL, NULL);
}
