/*
 * config: the settings of an agent, checked and resolved, as plain structs.
 *
 * A struct config never changes after its load; a reload makes another one. Every string is there
 * ("" = none), except those of other sink types than the sink's own, and of keys that a sink does
 * not override.
 * Owns:   a config owns all it points to; struct output_config from config_resolve_output()
 *         borrows from the config it was made of.
 * Thread: loaded by main or control, then read by any.
 * Units:  *_ns nanoseconds, *_bytes and *_bytes_max bytes; -1 = off where the key allows it.
 */
#ifndef CONTROL_CONFIG_H
#define CONTROL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/errmsg.h"
#include "base/log.h"
#include "control/config_errors.h"

/* One id for each row of options.def: OPTION_<section>_<key>. */
enum option_id {
#define OPTION(section, key, type, field, def, min, max, when, help) OPTION_##section##_##key,
#define CHOICE(section, key, field, def, words, when, help) OPTION_##section##_##key,
#define COMPUTED(section, key, type, field, def, when, help) OPTION_##section##_##key,
#include "control/options.def"
    OPTION_COUNT
};

/* Which keys were given, as opposed to defaults. */
struct config_set {
    uint64_t bits[2];
};

_Static_assert(OPTION_COUNT <= 128, "struct config_set is full");

/* The order of each enum is that of the words in options.def. */
enum config_idle { CONFIG_IDLE_ADAPTIVE, CONFIG_IDLE_SPIN, CONFIG_IDLE_SLEEP };
enum config_sync { CONFIG_SYNC_ALWAYS, CONFIG_SYNC_INTERVAL, CONFIG_SYNC_NEVER };
enum config_format {
    CONFIG_FORMAT_JSON,
    CONFIG_FORMAT_CSV,
    CONFIG_FORMAT_PARQUET,
    CONFIG_FORMAT_RAW
};
enum config_compression {
    CONFIG_COMPRESSION_NONE,
    CONFIG_COMPRESSION_GZIP,
    CONFIG_COMPRESSION_ZSTD,
    CONFIG_COMPRESSION_SNAPPY,
    CONFIG_COMPRESSION_LZ4
};
enum config_missing { CONFIG_MISSING_DEFAULT, CONFIG_MISSING_ERROR };
enum config_prefix_clock { CONFIG_PREFIX_CLOCK_ARRIVAL, CONFIG_PREFIX_CLOCK_EVENT };
enum config_filename { CONFIG_FILENAME_DATETIME, CONFIG_FILENAME_EPOCH };
enum config_sink_type {
    CONFIG_SINK_FILE,
    CONFIG_SINK_S3,
    CONFIG_SINK_FIREHOSE,
    CONFIG_SINK_HTTP,
    CONFIG_SINK_RELAY,
    CONFIG_SINK_COUNT
};
enum config_layout { CONFIG_LAYOUT_STREAM, CONFIG_LAYOUT_FLAT };
enum config_tristate { CONFIG_AUTO, CONFIG_YES, CONFIG_NO };
enum config_checksum { CONFIG_CHECKSUM_CRC32C, CONFIG_CHECKSUM_NONE };
enum config_method { CONFIG_METHOD_POST, CONFIG_METHOD_PUT };
enum config_body { CONFIG_BODY_NDJSON, CONFIG_BODY_ARRAY, CONFIG_BODY_RAW };
enum config_protocol { CONFIG_PROTOCOL_PLAIN, CONFIG_PROTOCOL_FIREHOSE };

/* The words of each enum above, in its order, from options.def. */
const char *config_format_name(enum config_format format);
const char *config_compression_name(enum config_compression compression);
const char *config_sink_type_name(enum config_sink_type type);

struct config_list {
    char **items; /* owned, each owned */
    size_t count;
};

/* Texts are as they stand in the file; routing.c makes them comparable. */
struct output_config {
    enum config_format format;
    enum config_compression compression;
    int64_t compression_level;
    int64_t buffer_count;
    int64_t buffer_bytes;
    int64_t buffer_time_ns;
    char *partition_by;
    enum config_missing partition_missing;
    int64_t partitions_max;
    char *columns;
    int64_t infer_bytes;
    char *fields;
    char *drop_fields;
    char *add_fields;
    enum config_filename filename;
    char *delimiter;
    int64_t row_group_bytes;
};

struct stream_config {
    char *name; /* "*" for the default one */
    bool rest;  /* made by REST, not in the file */
    char *about; /* of rest: what else whoever made it wants to know of it; NULL: nothing */
    struct config_set set;
    struct config_list sinks;
    bool validate;
    char *prefix;
    enum config_prefix_clock prefix_clock;
    char *error_prefix;
    struct output_config output;
};

struct sink_config {
    char *name;
    bool rest; /* made by REST for one stream: its name is that of the stream, '~' and a number */
    struct config_set set;
    enum config_sink_type type;
    enum config_layout layout; /* file, s3 */
    struct {
        char *directory;
        uint32_t mode;
    } file;
    struct {
        char *bucket;
        char *prefix;
        enum config_tristate path_style;
        int64_t part_bytes;
        enum config_checksum checksum;
        enum config_tristate signed_payload;
        enum config_tristate conditional_write;
        char *storage_class;
        char *server_side_encryption;
        char *kms_key_id;
    } s3;
    struct {
        char *delivery_stream;
        bool pack;
    } firehose;
    struct { /* s3, firehose */
        char *region;
        char *endpoint;
        char *access_key;
        char *secret_key;
        char *session_token;
        char *profile;
    } cloud;
    struct {
        char *url;
        enum config_method method;
        struct config_list headers;
        char *token;
        enum config_body body;
        enum config_protocol protocol;
    } web;
    struct {
        char *address;
        bool tls;
        char *cert_file, *key_file;
    } relay;
    struct { /* all but file */
        int64_t in_flight_max;
        int64_t timeout_ns;
        int64_t retry_backoff_max_ns;
        char *ca_file;
    } remote;
    struct output_config output; /* only what `set` says */
};

/* A stream that REST has made and deleted, and nothing came for it since. */
struct config_deleted {
    char *name;
    uint64_t accepted; /* events in its books at that time */
};

struct config {
    char *path; /* NULL: the embedded default */
    struct config_set set;
    struct {
        char *name;
        char *data_dir;
        char *shm_dir;
        char *shm_group;
        int64_t shards;
        enum config_idle idle;
        bool auto_create_streams;
        char *default_stream;
        int64_t streams_max;
        int64_t rings_max;
        int64_t rings_per_uid_max;
        int64_t ring_bytes_per_uid_max;
        int64_t streams_per_uid_max;
        int64_t shutdown_timeout_ns;
        int64_t memory_limit_bytes;
        enum log_level log_level;
        enum log_format log_format;
        enum config_tristate core_dumps;
    } agent;
    struct {
        char *dir;
        enum config_sync sync;
        int64_t sync_interval_ns;
        int64_t segment_bytes;
        int64_t bytes_max;
    } wal;
    struct {
        char *listen; /* ADDR:PORT, unix:PATH or off */
        char *token;
        char *firehose_access_key;
        char *firehose_secret_key;
        struct config_list file_roots;
        int64_t body_bytes_max;
    } http;
    struct {
        struct config_list tcp;
        struct config_list unix_paths;
        struct config_list udp;
        struct config_list relay;
        char *relay_cert_file, *relay_key_file, *relay_ca_file;
        int64_t line_bytes_max;
        int64_t connections_max;
        int64_t idle_timeout_ns;
    } intake;
    struct stream_config stream_default; /* [stream *] */
    struct stream_config *streams;       /* owned; defaults overlaid by their own keys */
    size_t streams_count;
    struct sink_config *sinks; /* owned; `local` is the first */
    size_t sinks_count;
    struct config_deleted *deleted; /* owned */
    size_t deleted_count;
};

/* What the command line says instead of the file. NULL = nothing. */
struct config_overrides {
    const char *data_dir;
    const char *shm_dir;
    const char *http;
};

/*
 * Reads path (NULL: the embedded default), resolves and checks everything.
 * 0; or -EINVAL or another negative errno with every mistake in errs and *ret_config NULL.
 * overrides may be NULL.
 */
int config_load(const char *path, const struct config_overrides *overrides,
                struct config **ret_config, struct config_errors *errs);

/* As config_load, of a text; path only names it. The text need not end in NUL. */
int config_load_text(const char *path, const char *text, size_t len,
                     const struct config_overrides *overrides, struct config **ret_config,
                     struct config_errors *errs);

/*
 * Of the user's file as text (NULL: the embedded default) and of what REST has made (rest.h; NULL:
 * nothing). Where both name a stream or a sink, the user's file has it.
 */
struct config_file;
int config_load_both(const char *path, const char *text, size_t len,
                     const struct config_file *rest, const struct config_overrides *overrides,
                     struct config **ret_config, struct config_errors *errs);

void config_free(struct config *c);

bool config_is_set(const struct config_set *set, enum option_id id);

/* The named stream, or NULL: it takes stream_default. */
const struct stream_config *config_find_stream(const struct config *c, const char *name);
const struct sink_config *config_find_sink(const struct config *c, const char *name);

/* Is this the name of a sink that REST has made for a stream of this name ("*": for any)? */
bool config_sink_private(const char *sink, const char *stream);

/* Is the sink named by a section of its own stream's, or another's? [stream *] does not count. */
bool config_sink_used(const struct config *c, const char *sink);

/* May events come for it? auto_create_streams, a section, or default_stream. */
bool config_stream_wanted(const struct config *c, const char *name);

/*
 * Effective settings of an output: the stream's, overridden by the sink's. A firehose sink brings
 * format raw and buffer_time 1s, an http sink with body raw format raw, where no [stream] section
 * and no sink sets them; a sink that sets compression does not take the stream's level, which may
 * belong to another. Strings are borrowed.
 * -EINVAL with the reason when nothing would ever seal a batch.
 */
int config_resolve_output(const struct stream_config *stream, const struct sink_config *sink,
                          struct output_config *ret_output, struct errmsg *err);

/* It holds keys or tokens, or has sinks that get some elsewhere. */
bool config_has_secrets(const struct config *c);

/* True if a changed key waits for the next start; why lists them. why may be NULL. */
bool config_restart_needed(const struct config *old_config, const struct config *new_config,
                           struct errmsg *why);

/* Every key with its default and help, as etc/hydrant.ini has it. */
void config_print_defaults(FILE *out);

#endif
