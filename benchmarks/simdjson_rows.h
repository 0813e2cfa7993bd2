/*
 * simdjson_rows: the six fields of a benchmark's events by simdjson on demand, looked for in the
 * order in which they stand, as its manual advises. The C side of a C++ library.
 *
 * Owns:   its parser.
 * Thread: one.
 */
#ifndef BENCHMARKS_SIMDJSON_ROWS_H
#define BENCHMARKS_SIMDJSON_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct simdjson_rows;

struct simdjson_row {
    const char *user, *country, *url;   /* borrowed until the next event */
    size_t user_len, country_len, url_len;
    int64_t ts, status;
    double amount;
};

struct simdjson_rows *simdjson_rows_open(void);         /* NULL: no memory */
void simdjson_rows_close(struct simdjson_rows *rows);

/* 64 bytes behind the text are read. False: not such an event. */
bool simdjson_rows_take(struct simdjson_rows *rows, const char *text, size_t len,
                        struct simdjson_row *ret_row);

#ifdef __cplusplus
}
#endif

#endif
