/*
 * settings: how a stream is batched, encoded and where it goes, as the log keeps it. Pure.
 *
 * A stream's sinks with equal effective settings form one output and share its batches. The whole
 * is written into the log (STREAM item) as a run of bytes; two streams' settings are equal exactly
 * when these bytes are.
 *
 * Owns:   every string; stream_settings_fini() frees them.
 * Thread: any one at a time.
 * Units:  -1 = this trigger is off.
 */
#ifndef FLOW_SETTINGS_H
#define FLOW_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "wal/wal_format.h"

enum target_type { TARGET_FILE = 1 };

struct target_settings {
    char *sink;                 /* its name */
    char *directory;            /* file */
    uint8_t type;               /* enum target_type */
    bool flat;                  /* no folder of the stream's name */
};

struct output_settings {
    char *format;               /* "json", "raw" */
    char *prefix;               /* the stream's, unrendered */
    uint8_t *delimiter;         /* raw */
    uint32_t delimiter_len;
    bool epoch_name;            /* filename = epoch */
    uint32_t file_mode;
    int64_t buffer_count, buffer_bytes, buffer_time_ns;
    uint16_t targets;
    struct target_settings target[WAL_TARGETS_MAX];
};

struct stream_settings {
    bool named;                 /* by a section of its own; the log does not keep it */
    uint16_t outputs;
    struct output_settings output[WAL_OUTPUTS_MAX];
};

/* Appends the bytes; 0, -ENOMEM, -ENAMETOOLONG: a string of more than 4 KiB. */
int stream_settings_format(const struct stream_settings *set, struct bytes *out);

/* Strict: 0, -EBADMSG (nothing to free then), -ENOMEM. */
int stream_settings_parse(const void *data, size_t len, struct stream_settings *ret_set);

void stream_settings_fini(struct stream_settings *set);

#endif
