/*
 * encoding: how an output's events become files: its settings, read once, and a look at each event
 * before it gets into a batch. The look says whether the event can be written as asked, and to
 * which partition it belongs; both are a function of the event and the settings alone, so that they
 * are found again by whoever reads the same log.
 *
 *   json     objects line by line, as they are or with fields kept, dropped and added
 *   csv, parquet   rows: of declared columns, which an event fits or not; else of the columns that
 *            a batch is found to have (writer.h)
 *   raw      payloads and delimiters
 *
 * Text and bytes are the objects {"message": ...} and {"message_base64": ...}; a record is a row of
 * its type's columns, and an object of them in json and raw.
 *
 * Owns:   parsers and scratch; what encoding_look() leaves is good until the next one.
 * Thread: shard.
 */
#ifndef ENCODE_ENCODING_H
#define ENCODE_ENCODING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/errmsg.h"
#include "encode/encoder.h"
#include "encode/infer.h"
#include "encode/json_edit.h"
#include "encode/json_row.h"
#include "encode/parquet.h"
#include "encode/partition.h"
#include "encode/projection.h"
#include "encode/transform.h"
#include "flow/settings.h"

enum encoding_format { ENCODING_JSON, ENCODING_CSV, ENCODING_PARQUET, ENCODING_RAW };

/* As AWS names what went wrong with an event. */
enum encoding_error {
    ENCODING_PROCESSING_FAILED,         /* no JSON, or not to be transformed or placed */
    ENCODING_FORMAT_FAILED,             /* it does not fit the columns */
    ENCODING_ERROR_COUNT
};
extern const char *const encoding_error_names[ENCODING_ERROR_COUNT];

struct encoding {
    const struct output_settings *set;  /* borrowed */
    struct parquet_workspace *workspace;    /* borrowed */
    enum encoding_format format;
    const struct encoder *lines;        /* of json and raw */
    struct encoder_settings lines_set;
    struct transform transform;
    bool transforms;            /* fields are kept, dropped or added */
    struct schema hidden;       /* columns of partition_by */
    struct schema skip;         /* keys that inferred columns leave out */
    struct schema declared;     /* hidden columns first; empty: found in the data */
    struct json_row *row;       /* of the declared columns, or the hidden ones; NULL: neither */
    const struct schema *row_schema;    /* its columns; borrowed from above */
    struct cell *cells;         /* owned */
    uint32_t cells_cap;
    struct json_edit *edit;     /* json with transforms or hidden columns */
    struct json_addition *additions;    /* owned; what is added and not hidden */
    uint32_t *additions_from;   /* owned; index in the transform */
    uint32_t additions_count;
    struct json_checker *checker;       /* validate */
    bool as_is;                 /* lines of events that need no look, but for records */
    bool fixed;                 /* found columns have some beside them that are always there */
    uint32_t reserved;          /* how many of those are added */
    struct infer probe;         /* could this event begin a batch? */
    bool probe_ready;
    struct projection record;   /* of the type of record met last */
    struct bytes text, edited;  /* of the event: as an object; with its fields edited */

    /* As the last look has left it. */
    const uint8_t *object;      /* the event as JSON, to be written or read further */
    uint32_t object_len;
    struct partition_key key;   /* "": not partitioned */
    enum encoding_error error;
    struct errmsg why;          /* it was refused, */
    const uint8_t *letter;      /* and this is what goes to the error output */
    uint32_t letter_len;
};

/* Strings are borrowed until it is closed. 0, -ENOMEM, or -EINVAL: settings no check has passed. */
int encoding_open(const struct output_settings *set, const char *host, const char *stream,
                  struct parquet_workspace *workspace, struct encoding **ret_encoding,
                  struct errmsg *err);
void encoding_close(struct encoding *e);        /* NULL is fine */

/* "json", "csv.gz", "records", "array.gz", ... Parquet compresses inside. */
const char *encoding_extension(const struct output_settings *set);

/*
 * Looks at an event. `first`: nothing is known of the batch it would join, so that it has to be one
 * that a batch can begin with. 0: see object and key; -EBADMSG: see error and why; -ENOMEM.
 */
int encoding_look(struct encoding *e, const struct event *ev, bool first);

/* Of a record whose look found no cells to be needed, which are needed now: into encoding.cells. */
void encoding_cells(const struct encoding *e, const struct event *ev);

/* Says why the event cannot be written: `what` has one %s, for the name. Returns -EBADMSG. */
int encoding_refuse(struct encoding *e, enum encoding_error error, const char *what,
                    const char *name);

/* Keys of the last event that would widen found columns leave these out too. */
int encoding_infer(const struct encoding *e, const struct schema *from, struct infer *ret_infer);

#endif
