/*
 * parquet: rows to a Parquet file, in bounded memory and in steps.
 *
 * Rows are kept by column; pages of about 1 MiB are encoded and compressed as they fill. When a row
 * group is full, parquet_ready() is true and rows are refused until parquet_pull() has moved the
 * group out, a column at a time; so each call takes a few milliseconds at most, with codecs and
 * levels that compress 1 MiB in such a time, and what a group took in memory is free before the
 * next one begins. Only what the footer says of each group stays until the end.
 *
 *     for each event: parquet_row(w, cells)
 *         while parquet_ready(w): reserve `most` bytes of `out`; parquet_pull(w, out, most)
 *     parquet_finish(w), and the same loop until nothing is ready
 *
 * All columns are optional and flat. bool BOOLEAN, i32 INT32, i64 INT64, u64 INT64, unsigned,
 * f32 FLOAT, f64 DOUBLE, string BYTE_ARRAY, UTF-8, bytes BYTE_ARRAY, timestamp INT64, microseconds
 * in UTC. Data pages are version 1: by dictionary, as differences, or PLAIN. A column chunk that
 * its codec hardly shrinks is written without.
 *
 * Owns:   a writer owns its columns and the pages that wait. It copies what it needs of the schema.
 * Thread: a writer and its workspace by one thread at a time.
 * Units:  bytes.
 */
#ifndef ENCODE_PARQUET_H
#define ENCODE_PARQUET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/blocks.h"
#include "encode/codec.h"
#include "encode/record.h"
#include "encode/row.h"
#include "encode/schema.h"

/* Of one string; far above what an event may have. */
enum { PARQUET_VALUE_BYTES_MAX = 16 << 20 };

/*
 * What pages are encoded and compressed in, and up to 16 MiB for pages to come: one for all writers
 * of a thread.
 */
struct parquet_workspace;

struct parquet_workspace *parquet_workspace_open(void);         /* NULL: no memory */
void parquet_workspace_close(struct parquet_workspace *space);  /* NULL is fine */
uint64_t parquet_workspace_memory(const struct parquet_workspace *space);   /* but the codecs' */

struct parquet_options {
    enum codec_type codec;
    int level;                          /* of the codec; CODEC_LEVEL_USUAL */
    uint64_t row_group_bytes;           /* encoded, before they are compressed */
    const char *created_by;             /* "hydrant version 1.0.0"; borrowed until open returns */
};

struct parquet;

/*
 * Columns from schema->hidden on are written. 0, -ENOMEM, or -EINVAL: every column is hidden, which
 * readers do not take for a table. The workspace is borrowed until the writer is closed.
 */
int parquet_open(const struct schema *schema, const struct parquet_options *options,
                 struct parquet_workspace *space, struct parquet **ret_writer);
void parquet_close(struct parquet *w);  /* NULL is fine; discards what was not pulled */

/*
 * Adds a row: a cell for each column of the schema, hidden ones too, which are skipped. 0, or
 *   -EAGAIN    a group waits to be pulled, or the file has ended
 *   -EMSGSIZE  a string is longer than PARQUET_VALUE_BYTES_MAX
 *   -ERANGE    an i32 is none
 *   -EINVAL    a cell is of a type that its column does not take
 * and the row is as if it had not been; or -ENOMEM, and then the writer is good for nothing more.
 */
int parquet_row(struct parquet *w, const struct cell *cells);

/*
 * For typed records that are rows as they are, a field for each column, in order, none hidden: the
 * same rows as of their cells, in a fraction of the time. Says so, once, before the first: 0 or
 * -ENOMEM. Then each, which record_check() has found nothing wrong with, and which no row of cells
 * may stand between: 0, -EAGAIN or -ENOMEM as above. It is copied; up to 64 wait until they are
 * looked at together.
 */
int parquet_records(struct parquet *w, const struct record_plan *plan);
int parquet_record(struct parquet *w, const uint8_t *payload, uint32_t len);

/* Ends the row group early, or the file: no more rows. Nothing to do is fine. */
void parquet_group_end(struct parquet *w);
void parquet_finish(struct parquet *w);

/* There is something to pull, and no row is taken before. */
bool parquet_ready(const struct parquet *w);

/*
 * Appends the file's next bytes to `out`, where `most` have been reserved: how many, or -ENOMEM.
 * Fewer than `most` does not mean that there are no more: 0 does.
 */
int64_t parquet_pull(struct parquet *w, struct block_chain *out, uint64_t most);

uint64_t parquet_memory(const struct parquet *w);       /* held now, the workspace left out */
uint64_t parquet_rows_taken(const struct parquet *w);
uint64_t parquet_bytes(const struct parquet *w);        /* of the file, as far as it is written */

#endif
