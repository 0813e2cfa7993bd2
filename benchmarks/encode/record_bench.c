/*
 * record_bench: what a record of six fields, three of them strings, costs to turn into cells: when
 * these are ASCII, when one is not, and when they are declared as bytes, so that nothing has to be
 * looked at for UTF-8. Beside it a plain copy of the record.
 *
 * One value is 4,096 records, one behind the other as in a chunk, in the processor's caches.
 */
#include "base/invariant.h"
#include "benchmarks/harness.h"
#include "encode/record.h"
#include "shm_wire.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { RECORDS = 4096, FIELDS = 6, RECORD_BYTES = 88 };

struct work {
    struct record_plan plan;
    const char *user;
    uint8_t type;           /* of the strings */
    bool copy;
    uint8_t records[RECORDS * RECORD_BYTES];
    uint32_t len;           /* of each */
    volatile uint64_t sink; /* results end here, or the compiler would drop the work */
};

static size_t field_put(uint8_t *at, uint8_t type, const char *name)
{
    struct shm_field field = {type, 0, (uint8_t)strlen(name), 0};

    memcpy(at, &field, sizeof(field));
    memcpy(at + sizeof(field), name, field.name_len);
    return sizeof(field) + field.name_len;
}

static int plan_make(struct work *w)
{
    uint8_t body[128] = {FIELDS, 0, 0, 0};
    size_t len = 4;

    len += field_put(body + len, SHM_FIELD_TIMESTAMP, "at");
    len += field_put(body + len, w->type, "user");
    len += field_put(body + len, w->type, "url");
    len += field_put(body + len, SHM_FIELD_F64, "amount");
    len += field_put(body + len, w->type, "country");
    len += field_put(body + len, SHM_FIELD_I32, "status");
    return record_plan_init(&w->plan, body, len);
}

static void records_make(struct work *w)
{
    static const char url[] = "/shop/item/4711?ref=mail";
    uint32_t user_len = (uint32_t)strlen(w->user), url_len = sizeof(url) - 1, fixed = 44;
    struct shm_ref refs[3] = {{fixed, user_len}, {fixed + user_len, url_len},
                              {fixed + user_len + url_len, 2}};

    w->len = fixed + user_len + url_len + 2;
    INVARIANT(w->len <= RECORD_BYTES);
    for (uint32_t i = 0; i < RECORDS; i++) {
        uint8_t *at = w->records + (size_t)i * RECORD_BYTES;
        int64_t us = 1770091506789123 + i;
        double amount = i / 100.0;

        memcpy(at, &us, 8);
        memcpy(at + 8, refs, 16);
        memcpy(at + 24, &amount, 8);
        memcpy(at + 32, &refs[2], 8);
        memcpy(at + 40, &i, 4);
        memcpy(at + fixed, w->user, user_len);
        memcpy(at + fixed + user_len, url, url_len);
        memcpy(at + fixed + user_len + url_len, "DE", 2);
    }
}

static int cells_run(void *ctx, struct bench_run *run, struct errmsg *err)
{
    struct work *w = ctx;
    const struct bench_clock *clock = &run->bench->clock;
    uint64_t length = bench_seconds_ticks(clock, run->seconds), start = bench_ticks(clock), from;
    static uint8_t copies[RECORDS * RECORD_BYTES];
    struct record_fault fault;
    struct cell cells[FIELDS];
    double ns;

    if (plan_make(w) != 0)
        return errmsg_set(err, -ENOMEM, "plan");
    records_make(w);
    do {
        from = bench_ticks(clock);
        for (uint32_t i = 0; i < RECORDS; i++) {
            const uint8_t *at = w->records + (size_t)i * RECORD_BYTES;

            if (w->copy) {
                memcpy(copies + (size_t)i * RECORD_BYTES, at, w->len);
                continue;
            }
            INVARIANT(record_cells(&w->plan, at, w->len, cells, &fault) == 0);
            w->sink += cells[1].len;
        }
        ns = bench_ticks_ns(clock, bench_ticks(clock) - from) / RECORDS;
        bench_add(run, 0, ns);
        bench_add(run, 1, 1000 / ns);
    } while (from - start < length);
    w->sink += copies[start % sizeof(copies)];
    record_plan_fini(&w->plan);
    return 0;
}

static int body(struct bench *b, struct errmsg *err)
{
    static const struct bench_metric metrics[] = {{"", "ns/record", BENCH_LESS},
                                                  {".rate", "M records/s", BENCH_PLAIN}};
    static const struct bench_plan plan = {.rounds = 7, .seconds = 0.05};
    static struct work works[] = {
        {.user = "user-000123", .type = SHM_FIELD_STRING},
        {.user = "j\xc3\xb6rg-000123", .type = SHM_FIELD_STRING},
        {.user = "user-000123", .type = SHM_FIELD_BYTES},
        {.user = "user-000123", .type = SHM_FIELD_STRING, .copy = true},
    };
    static const char *const names[] = {"cells/ascii", "cells/utf8", "cells/bytes", "copy"};
    struct bench_case cases[4];

    for (size_t i = 0; i < 4; i++)
        cases[i] = (struct bench_case){names[i], "fields=6", metrics, 2, cells_run, &works[i]};
    return bench_group(b, &plan, cases, 4, err);
}

int main(int argc, char **argv)
{
    return bench_main("record_bench", argc, argv, body);
}
