/*
 * object_type: what a batch's file is, as the end of its key tells. Pure.
 *
 * A key outlives settings: what was sealed under others is still sent as what it is.
 *
 * Owns:   nothing.
 * Thread: any.
 */
#ifndef SINK_OBJECT_TYPE_H
#define SINK_OBJECT_TYPE_H

#include "flow/settings.h"

enum object_format { OBJECT_JSON, OBJECT_CSV, OBJECT_PARQUET, OBJECT_RAW };

struct object_type {
    enum object_format format;
    enum settings_compression compression;  /* of the whole file */
    enum settings_framing framing;
    const char *content_type;               /* of the file before that compression */
};

/* "a/b.csv.gz" is compressed CSV; what does not end as object_name.h lets it is raw. */
struct object_type object_type_of(const char *key);

/* "gzip": what Content-Encoding calls it; NULL: it has no name there. */
const char *object_type_encoding(enum settings_compression compression);

#endif
