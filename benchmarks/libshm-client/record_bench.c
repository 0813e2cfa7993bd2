/*
 * record_bench: what a record of six fields, three of them strings, costs its producer, beside a
 * shmc_write of the same bytes packed before: by shmc_write_struct from pointers with lengths, from
 * text with a NUL, and field by field.
 *
 * A burst is 1,000 events into a ring of 1 MiB, which nobody reads meanwhile: after each burst all
 * of it is accepted. So the ring's lines are in this processor's caches, and the packing is what is
 * measured; with no time for an event, and with that of the library's default clock. One value is
 * one burst.
 */
#include "benchmarks/harness.h"
#include "ring/attach.h"
#include "shm_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BURST_EVENTS = 1000 };

#define PAYMENT(FIELD, s)                                                                          \
    FIELD(s, TIMESTAMP, at)                                                                        \
    FIELD(s, TEXT, user)                                                                           \
    FIELD(s, TEXT, url)                                                                            \
    FIELD(s, F64, amount)                                                                          \
    FIELD(s, CHARS, country, 2)                                                                    \
    FIELD(s, I32, status)
SHMC_STRUCT(payment, PAYMENT);

#define PAYMENT_NUL(FIELD, s)                                                                      \
    FIELD(s, TIMESTAMP, at)                                                                        \
    FIELD(s, STRING, user)                                                                         \
    FIELD(s, STRING, url)                                                                          \
    FIELD(s, F64, amount)                                                                          \
    FIELD(s, CHARS, country, 2)                                                                    \
    FIELD(s, I32, status)
SHMC_STRUCT(payment_nul, PAYMENT_NUL);

static const char user[] = "user-000123", url[] = "/shop/item/4711?ref=mail";

enum { USER_BYTES = sizeof(user) - 1, URL_BYTES = sizeof(url) - 1, FIXED_BYTES = 44 };

/* As the library lays it out. */
struct packed {
    int64_t at;
    struct shm_ref user, url;
    double amount;
    struct shm_ref country;
    int32_t status;
    char rest[USER_BYTES + URL_BYTES + 2];
};
_Static_assert(offsetof(struct packed, rest) == FIXED_BYTES, "no padding");

struct work {
    struct shmc *h;
    uint16_t lens, nuls;    /* schemas */
    struct packed packed;
    struct payment payment;
    struct payment_nul payment_nul;
};

typedef int (*write_fn)(struct work *w);

static int write_packed(struct work *w)
{
    return shmc_write(w->h, w->lens, SHMC_RECORD, &w->packed, FIXED_BYTES + sizeof(w->packed.rest));
}

static int write_struct(struct work *w)
{
    return shmc_write_struct(w->h, w->lens, &w->payment);
}

static int write_struct_nul(struct work *w)
{
    return shmc_write_struct(w->h, w->nuls, &w->payment_nul);
}

static int write_fields(struct work *w)
{
    int rc = shmc_record_begin(w->h, w->lens, sizeof(w->packed.rest));

    if (rc != 0)
        return rc;
    (void)shmc_set_timestamp(w->h, 0, w->payment.at);
    (void)shmc_set_string(w->h, 1, user, USER_BYTES);
    (void)shmc_set_string(w->h, 2, url, URL_BYTES);
    (void)shmc_set_f64(w->h, 3, w->payment.amount);
    (void)shmc_set_string(w->h, 4, w->payment.country, 2);
    (void)shmc_set_i32(w->h, 5, w->payment.status);
    return shmc_record_commit(w->h);
}

static int work_open(struct work *w, const char *dir, enum shmc_clock clock, struct errmsg *err)
{
    struct shmc_options opt = SHMC_OPTIONS_INIT;
    struct packed *p = &w->packed;
    uint16_t stream;

    opt.shm_dir = dir;
    opt.clock = clock;
    if (shmc_open(&opt, &w->h) != 0)
        return errmsg_set(err, -EIO, "%s", shmc_error(NULL));
    if (shmc_stream(w->h, "bench", &stream) != 0 ||
        shmc_schema(w->h, stream, payment_fields, payment_count, &w->lens) != 0 ||
        shmc_schema(w->h, stream, payment_nul_fields, payment_nul_count, &w->nuls) != 0)
        return errmsg_set(err, -EIO, "%s", shmc_error(w->h));
    w->payment = (struct payment){1770091506789123, user, USER_BYTES, url, URL_BYTES, 12.5,
                                  {'D', 'E'}, 200};
    w->payment_nul = (struct payment_nul){1770091506789123, user, url, 12.5, {'D', 'E'}, 200};
    *p = (struct packed){w->payment.at, {FIXED_BYTES, USER_BYTES},
                         {FIXED_BYTES + USER_BYTES, URL_BYTES}, 12.5,
                         {FIXED_BYTES + USER_BYTES + URL_BYTES, 2}, 200, {0}};
    memcpy(p->rest, user, USER_BYTES);
    memcpy(p->rest + USER_BYTES, url, URL_BYTES);
    memcpy(p->rest + USER_BYTES + URL_BYTES, "DE", 2);
    return 0;
}

/* The agent's side: all that was committed is accepted. */
static int burst_accept(struct work *w, struct ring_file *ring)
{
    uint64_t pos;
    int rc = shmc_position(w->h, SHMC_COMMITTED, &pos);

    if (rc == 0)
        ring_file_publish(ring, SHM_POS_ACCEPTED, pos);
    return rc;
}

static int bursts_measure(struct work *w, struct ring_file *ring, write_fn fn,
                          struct bench_run *run, struct errmsg *err)
{
    const struct bench_clock *clock = &run->bench->clock;
    uint64_t length = bench_seconds_ticks(clock, run->seconds), start = bench_ticks(clock), from;
    int rc = 0;

    do {
        from = bench_ticks(clock);
        for (int i = 0; rc == 0 && i < BURST_EVENTS; i++)
            rc = fn(w);
        bench_add(run, 0, bench_ticks_ns(clock, bench_ticks(clock) - from) / BURST_EVENTS);
        if (rc == 0)
            rc = burst_accept(w, ring);
    } while (rc == 0 && from - start < length);
    return rc == 0 ? 0 : errmsg_set(err, rc, "%s", shmc_error(w->h));
}

struct row {
    const char *name;
    write_fn fn;
    enum shmc_clock clock;
};

static int burst_run(void *ctx, struct bench_run *run, struct errmsg *err)
{
    const struct row *row = ctx;
    const char *dir = bench_shm_dir(run->bench, err);
    struct work w = {.h = NULL};
    struct ring_file ring = {.fd = -1};
    enum shm_quarantine reason;
    int dir_fd = -1, rc;

    if (dir == NULL)
        return -EIO;
    rc = work_open(&w, dir, row->clock, err);
    if (rc == 0) {
        dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        rc = dir_fd < 0 ? errmsg_set_errno(err, -errno, "%s", dir)
                        : ring_file_open(dir_fd, shmc_name(w.h), -1, &ring, &reason, err);
    }
    if (rc == 0)
        rc = bursts_measure(&w, &ring, row->fn, run, err);
    if (ring.fd >= 0)
        (void)ring_file_remove(dir_fd, &ring);
    ring_file_close(&ring);
    if (dir_fd >= 0)
        (void)close(dir_fd);
    (void)shmc_close(w.h);
    return rc;
}

static int body(struct bench *b, struct errmsg *err)
{
    static const struct bench_metric metrics[] = {{"", "ns/event", BENCH_LESS}};
    static const struct bench_plan plan = {.rounds = 7, .seconds = 0.05};
    static const struct row rows[] = {
        {"record/packed", write_packed, SHMC_CLOCK_NONE},
        {"record/struct", write_struct, SHMC_CLOCK_NONE},
        {"record/struct_nul", write_struct_nul, SHMC_CLOCK_NONE},
        {"record/fields", write_fields, SHMC_CLOCK_NONE},
        {"record/packed", write_packed, SHMC_CLOCK_COARSE},
        {"record/struct", write_struct, SHMC_CLOCK_COARSE},
        {"record/struct_nul", write_struct_nul, SHMC_CLOCK_COARSE},
        {"record/fields", write_fields, SHMC_CLOCK_COARSE},
    };
    enum { ROWS = sizeof(rows) / sizeof(rows[0]), GROUPS = 2 };
    struct row group[ROWS / GROUPS];
    struct bench_case cases[ROWS / GROUPS];
    char params[48];
    int rc = 0;

    for (size_t g = 0; rc == 0 && g < GROUPS; g++) {
        memcpy(group, &rows[g * ROWS / GROUPS], sizeof(group));
        (void)snprintf(params, sizeof(params), "fields=6 bytes=%zu clock=%s",
                       FIXED_BYTES + sizeof(((struct packed *)NULL)->rest),
                       g == 0 ? "none" : "coarse");
        for (size_t i = 0; i < ROWS / GROUPS; i++)
            cases[i] = (struct bench_case){group[i].name, params, metrics, 1, burst_run, &group[i]};
        rc = bench_group(b, &plan, cases, ROWS / GROUPS, err);
    }
    return rc;
}

int main(int argc, char **argv)
{
    return bench_main_pinned("record_bench", argc, argv, body);
}
