/*
 * object_name: where a batch goes: Firehose expressions in prefixes, and names that never repeat.
 * Pure.
 *
 * <stream>/<stream's prefix><partitions><datetime|epoch>-<agent>-<epoch>-<shard>-<number>.<ext>
 *
 * ext: json csv parquet raw, and behind it .gz .zst .sz .lz4 where the whole file is compressed.
 *
 * Expressions: !{timestamp:<Java DateTimeFormatter pattern>} in UTC, single quotes literal;
 * !{firehose:random-string} (11 characters); !{firehose:error-output-type} in error prefixes only.
 */
#ifndef FLOW_OBJECT_NAME_H
#define FLOW_OBJECT_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/errmsg.h"
#include "flow/name.h"

enum {
    OBJECT_KEY_MAX = 900,
    BATCH_ID_MAX = 48,
    PREFIX_BYTES_MAX = 512,             /* rendered */
    PARTITIONS_BYTES_MAX = 320,
    PREFIX_PARTITIONED_BYTES_MAX = 375  /* with partitions behind it: the key fits at its longest */
};

struct batch_id {
    uint64_t epoch;
    uint16_t shard;
    uint64_t number;
};

/* "%016x-%03u-%010u" */
void batch_id_format(const struct batch_id *id, char ret_text[BATCH_ID_MAX]);

struct expression_values {
    uint64_t time_ns;               /* UTC, for timestamp */
    const char *random_string;      /* 11 characters */
    const char *error_output_type;  /* NULL: not an error prefix */
};

/*
 * 0 or -EINVAL with what is wrong and where. For `hydrant check` and for requests. What passes can
 * be rendered at any time.
 */
int prefix_check(const char *prefix, bool error_prefix, struct errmsg *err);

struct prefix_traits {
    uint64_t period_ns;     /* it only changes at multiples of this; UINT64_MAX: it never does */
    uint32_t bytes_max;     /* at its longest */
    bool random_string;
    bool folder;            /* it is empty or ends in a slash */
};

/* As prefix_check(), and tells what is to be known of it. */
int prefix_inspect(const char *prefix, bool error_prefix, struct prefix_traits *ret_traits,
                   struct errmsg *err);

/*
 * Renders a checked prefix. -ENAMETOOLONG. No leading slash, no "..", no empty component stays:
 * what would be one by a value is percent-encoded or left out.
 */
int prefix_render(const char *prefix, const struct expression_values *values, char *ret,
                  size_t cap);

struct object_name_parts {
    const char *stream;             /* NULL: layout = flat */
    const char *prefix;             /* rendered */
    const char *partitions;         /* "country=DE/city=Berlin/", as it stands; NULL: none */
    const char *agent;
    const char *extension;
    const char *compression;        /* ".gz"; NULL: none */
    bool epoch_name;                /* filename = epoch: Unix seconds, else %Y%m%d%H%M%S */
    uint64_t name_time_ns;          /* max(now, last one used) */
    struct batch_id id;
};

/* The relative key. -ENAMETOOLONG when longer than OBJECT_KEY_MAX or a component than 255. */
int object_name_render(const struct object_name_parts *parts, char *ret, size_t cap);

#endif
