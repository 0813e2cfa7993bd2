/*
 * object_name: where a batch goes: Firehose expressions in prefixes, and names that never repeat.
 * Pure.
 *
 * <stream>/<stream's prefix><partitions><datetime|epoch>-<agent>-<epoch>-<shard>-<number>.<ext>
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

enum { OBJECT_KEY_MAX = 900, BATCH_ID_MAX = 48 };

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

/*
 * Renders a checked prefix. -ENAMETOOLONG. No leading slash, no "..", no empty component stays:
 * what would be one by a value is percent-encoded or left out.
 */
int prefix_render(const char *prefix, const struct expression_values *values, char *ret,
                  size_t cap);

struct object_name_parts {
    const char *stream;             /* NULL: layout = flat */
    const char *prefix;             /* rendered */
    const char *agent;
    const char *extension;
    bool epoch_name;                /* filename = epoch: Unix seconds, else %Y%m%d%H%M%S */
    uint64_t name_time_ns;          /* max(now, last one used) */
    struct batch_id id;
};

/* The relative key. -ENAMETOOLONG when longer than OBJECT_KEY_MAX or a component than 255. */
int object_name_render(const struct object_name_parts *parts, char *ret, size_t cap);

#endif
