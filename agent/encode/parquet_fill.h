/*
 * parquet_fill: typed records into columns, column by column. Inner part of parquet.
 *
 * What a row of cells costs is mostly to find out, value by value, what to do with it. Records of
 * one schema have each field in the same place, so they are collected, and each column takes its
 * values of all of them in one loop.
 *
 * Owns:   a parquet_fill owns its copy of the plan and of the records that wait.
 * Thread: the writer's.
 */
#ifndef ENCODE_PARQUET_FILL_H
#define ENCODE_PARQUET_FILL_H

#include "base/bytes.h"
#include "encode/parquet_column.h"
#include "encode/record.h"

enum {
    PARQUET_FILL_BYTES_MAX = 32 << 10,  /* of records that wait, or one that is longer */
    PARQUET_FILL_SLACK = 16,            /* behind them: strings are copied in whole steps */
};

struct parquet_fill {
    struct record_plan plan;
    struct bytes payloads;
    uint32_t starts[PARQUET_DICT_BATCH];
    uint32_t count;
};

/* Zeroed is fine, and closed. 0 or -ENOMEM. */
int parquet_fill_open(struct parquet_fill *f, const struct record_plan *plan);
void parquet_fill_close(struct parquet_fill *f);

/* 0 or -ENOMEM: it was not added. It must be checked, and not full before. */
static inline int parquet_fill_add(struct parquet_fill *f, const uint8_t *payload, uint32_t len)
{
    if (__builtin_expect(f->payloads.cap - f->payloads.len < len + PARQUET_FILL_SLACK, 0)) {
        int e = bytes_reserve(&f->payloads, len + PARQUET_FILL_SLACK);

        if (e)
            return e;
    }
    f->starts[f->count++] = (uint32_t)f->payloads.len;
    parquet_column_copy(f->payloads.data + f->payloads.len, payload, len);
    f->payloads.len += len;
    return 0;
}

static inline bool parquet_fill_full(const struct parquet_fill *f)
{
    return f->count == PARQUET_DICT_BATCH || f->payloads.len >= PARQUET_FILL_BYTES_MAX;
}

/* Puts field number `field` of all that wait into the column. Errors are the group's. */
void parquet_fill_column(const struct parquet_fill *f, uint32_t field, struct parquet_column *c);

void parquet_fill_clear(struct parquet_fill *f);

#endif
