/*
 * settings: how a stream is batched, encoded and where it goes, as the log keeps it. Pure.
 *
 * A stream's sinks with equal effective settings form one output and share its batches. The whole
 * is written into the log (STREAM item) as a run of bytes; two streams' settings are equal exactly
 * when these bytes are. What has no effect therefore has one value, said below beside the field.
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

/*
 * Of one stream in the log: a CHECKPOINT repeats it, and takes at most a quarter of the smallest
 * segment, 512 KiB.
 */
enum { SETTINGS_BYTES_MAX = 256 * 1024 };
enum { SETTINGS_STR_MAX = 4096, SETTINGS_TEXT_MAX = 65536 };

#define SETTINGS_ERROR_PREFIX "errors/!{firehose:error-output-type}/"

enum target_type { TARGET_FILE = 1, TARGET_S3, TARGET_FIREHOSE, TARGET_HTTP, TARGET_RELAY,
                   TARGET_TYPE_END };

/* In the order of the words in options.def and of enum compress_type. */
enum settings_compression {
    SETTINGS_COMPRESSION_NONE,
    SETTINGS_COMPRESSION_GZIP,
    SETTINGS_COMPRESSION_ZSTD,
    SETTINGS_COMPRESSION_SNAPPY,
    SETTINGS_COMPRESSION_LZ4,
    SETTINGS_COMPRESSION_COUNT
};

/* How the events of a file are told apart, beyond what its format does. */
enum settings_framing {
    SETTINGS_FRAMING_NONE,
    SETTINGS_FRAMING_ARRAY,     /* json: one array of objects */
    SETTINGS_FRAMING_RECORDS,   /* each event: its length, 4 bytes little endian, then its bytes */
    SETTINGS_FRAMING_FRAMES,    /* raw: as the log has them: encode/framing.h */
    SETTINGS_FRAMING_REFUSED,   /* raw: not at all: the stream is nobody's, and its events go to */
                                /* the error output */
    SETTINGS_FRAMING_COUNT
};

struct target_settings {
    char *sink;                 /* its name */
    char *directory;            /* s3: bucket[/prefix], firehose: delivery stream, others: sink */
    uint8_t type;               /* enum target_type */
    bool flat;                  /* no folder of the stream's name */
};

/* Strings are never NULL once parsed; NULL is written as "". Texts (t) have SETTINGS_TEXT_MAX. */
struct output_settings {
    char *format;               /* "json", "csv", "parquet", "raw" */
    char *prefix;               /* the stream's, unrendered */
    char *error_prefix;         /* of error targets, unrendered */
    bool event_clock;           /* prefix_clock = event; false: no timestamp in prefix */
    uint8_t *delimiter;         /* raw, else empty */
    uint32_t delimiter_len;
    bool epoch_name;            /* filename = epoch */
    uint8_t compression;        /* enum settings_compression; of parquet: of its pages */
    int8_t compression_level;   /* -1: the usual one */
    uint8_t framing;            /* enum settings_framing; of csv and parquet NONE */
    bool validate;              /* json payloads from rings are checked */
    char *columns;              /* (t) of schema_parse(); "": found, or of no use to the format */
    char *fields, *drop_fields; /* (t) names as in columns, a comma between, "": all, none */
    char *add_fields;           /* (t) of transform_parse() */
    char *partition_by;         /* names, as in fields; "": not partitioned */
    bool partition_missing_error;       /* partition_missing = error */
    uint32_t partitions_max;    /* open at once; 0: neither partition_by nor event_clock */
    int64_t infer_bytes;        /* 0: columns are declared, or of no use to the format */
    int64_t row_group_bytes;    /* parquet, else 0 */
    uint32_t file_mode;
    int64_t buffer_count, buffer_bytes, buffer_time_ns;
    bool together;              /* count and bytes of all partitions, which are sealed at once */
    uint16_t targets, error_targets;
    struct target_settings target[WAL_TARGETS_MAX];
    struct target_settings error_target[WAL_TARGETS_MAX];       /* what cannot be encoded */
};

struct stream_settings {
    bool named;                 /* by a section of its own; the log does not keep it */
    uint16_t outputs;
    struct output_settings output[WAL_OUTPUTS_MAX];
};

/*
 * Appends the bytes; 0, -ENOMEM, -ENAMETOOLONG: a string is longer than it may be, -E2BIG: more
 * than SETTINGS_BYTES_MAX, -EBADMSG: could not be read back, such as an output without targets.
 */
int stream_settings_format(const struct stream_settings *set, struct bytes *out);

/* Strict: 0, -EBADMSG (nothing to free then), -ENOMEM. */
int stream_settings_parse(const void *data, size_t len, struct stream_settings *ret_set);

/* Appends what is equal for all targets that share an output. 0, -ENOMEM, -ENAMETOOLONG. */
int output_settings_format(const struct output_settings *o, struct bytes *out);

void output_settings_fini(struct output_settings *o);
void stream_settings_fini(struct stream_settings *set);

#endif
