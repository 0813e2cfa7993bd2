/*
 * routing: from sections of the configuration to a stream's outputs and targets.
 * Owns:   nothing.
 * Thread: any.
 */
#include "control/routing.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/rest.h"
#include "encode/column_text.h"
#include "flow/object_name.h"

_Static_assert((int)CONFIG_COMPRESSION_GZIP == SETTINGS_COMPRESSION_GZIP
               && (int)CONFIG_COMPRESSION_ZSTD == SETTINGS_COMPRESSION_ZSTD
               && (int)CONFIG_COMPRESSION_SNAPPY == SETTINGS_COMPRESSION_SNAPPY
               && (int)CONFIG_COMPRESSION_LZ4 == SETTINGS_COMPRESSION_LZ4, "one order");

char *routing_absolute(const char *directory)
{
    char cwd[PATH_MAX];
    struct bytes path = BYTES_INIT;

    if (directory[0] == '/')
        return strdup(directory);
    if (!getcwd(cwd, sizeof(cwd)))
        return NULL;
    if (strncmp(directory, "./", 2) == 0)
        directory += 2;
    if (bytes_printf(&path, "%s/%s", strcmp(cwd, "/") == 0 ? "" : cwd, directory)) {
        bytes_free(&path);
        return NULL;
    }
    return bytes_take_cstr(&path);
}

/* "bucket/prefix": one slash will follow the prefix, an empty one adds none. */
static char *bucket_place(const struct sink_config *sink)
{
    size_t len = strlen(sink->s3.prefix);
    struct bytes place = BYTES_INIT;

    while (len > 0 && sink->s3.prefix[len - 1] == '/')
        len--;
    if (bytes_printf(&place, "%s%s%.*s", sink->s3.bucket, len > 0 ? "/" : "", (int)len,
                     sink->s3.prefix)) {
        bytes_free(&place);
        return NULL;
    }
    return bytes_take_cstr(&place);
}

static int target_fill(struct target_settings *t, const char *stream,
                       const struct sink_config *sink)
{
    const char *delivery_stream = sink->firehose.delivery_stream;

    t->sink = strdup(sink->name);
    t->flat = sink->layout == CONFIG_LAYOUT_FLAT;
    switch (sink->type) {
    case CONFIG_SINK_S3:
        t->type = TARGET_S3;
        t->directory = bucket_place(sink);
        break;
    case CONFIG_SINK_FIREHOSE:
        t->type = TARGET_FIREHOSE;
        t->directory = strdup(delivery_stream[0] ? delivery_stream : stream);
        break;
    case CONFIG_SINK_HTTP:
        t->type = TARGET_HTTP;
        t->directory = strdup(sink->name);      /* where that is, is a secret at times */
        break;
    case CONFIG_SINK_RELAY:
        t->type = TARGET_RELAY;
        t->directory = strdup(sink->name);      /* an address may change under what is sealed */
        break;
    default:
        t->type = TARGET_FILE;
        t->directory = routing_absolute(sink->file.directory);
    }
    return t->sink && t->directory ? 0 : -ENOMEM;
}

/*
 * What cannot be encoded goes below the same directory or into the same bucket; of a sink that has
 * neither, below `local`.
 */
static int error_target_add(struct output_settings *o, const struct config *config,
                            const char *stream, const struct sink_config *sink)
{
    bool place = sink->type == CONFIG_SINK_FILE || sink->type == CONFIG_SINK_S3;
    const struct sink_config *to = place ? sink : &config->sinks[0];

    for (uint16_t i = 0; i < o->error_targets; i++)
        if (strcmp(o->error_target[i].sink, to->name) == 0)
            return 0;
    return target_fill(&o->error_target[o->error_targets++], stream, to);
}

static int target_add(struct output_settings *o, const struct config *config, const char *stream,
                      const struct sink_config *sink)
{
    int r = target_fill(&o->target[o->targets++], stream, sink);

    return r ? r : error_target_add(o, config, stream, sink);
}

/* In one way of writing, so that equal settings have equal bytes. */
static char *names_text(const char *text)
{
    struct bytes out = BYTES_INIT;
    struct schema names;
    char *ret = NULL;

    if (column_text_names(text, &names, NULL))
        return NULL;
    if (!column_text_put_names(&names, &out))
        ret = bytes_take_cstr(&out);
    schema_fini(&names);
    bytes_free(&out);
    return ret;
}

static char *columns_text(const char *text)
{
    struct bytes out = BYTES_INIT;
    struct schema columns;
    char *ret = NULL;

    if (schema_parse(text, &columns, NULL))
        return NULL;
    if (!column_text_put_columns(&columns, &out))
        ret = bytes_take_cstr(&out);
    schema_fini(&columns);
    bytes_free(&out);
    return ret;
}

/* How a kind of sink wants events to be told apart. */
static enum settings_framing framing_of(const struct sink_config *sink)
{
    bool http = sink->type == CONFIG_SINK_HTTP;

    if (sink->type == CONFIG_SINK_RELAY)
        return SETTINGS_FRAMING_FRAMES;

    if (sink->type == CONFIG_SINK_FIREHOSE
        || (http && sink->web.protocol == CONFIG_PROTOCOL_FIREHOSE))
        return SETTINGS_FRAMING_RECORDS;
    return http && sink->web.body == CONFIG_BODY_ARRAY ? SETTINGS_FRAMING_ARRAY
                                                       : SETTINGS_FRAMING_NONE;
}

/*
 * Of a sink that has no files only the spool and what it leaves below `local` have a mode, so that
 * it shares its batches with file sinks.
 */
static uint32_t file_mode_of(const struct config *config, const struct sink_config *sink)
{
    return sink->type == CONFIG_SINK_FILE ? sink->file.mode : config->sinks[0].file.mode;
}

/*
 * A stream that is not configured and may not come by itself: all goes to where the error output of
 * the default stream is, as if it were that one's.
 */
static int output_refuse(struct output_settings *o, const char *default_stream)
{
    o->framing = SETTINGS_FRAMING_REFUSED;
    for (uint16_t i = 0; i < o->error_targets; i++) {
        struct target_settings *t = &o->error_target[i];
        struct bytes place = BYTES_INIT;
        int r = t->flat ? 0 : bytes_printf(&place, "%s/%s", t->directory, default_stream);

        if (r)
            return r;
        if (!t->flat) {
            free(t->directory);
            t->directory = bytes_take_cstr(&place);
            t->flat = true;
        }
        bytes_free(&place);
        if (!t->directory)
            return -ENOMEM;
    }
    return 0;
}

/* What goes to another agent stays as it is: it is made into files there. */
static void output_frames(struct output_config *from)
{
    static char empty[] = "";

    from->format = CONFIG_FORMAT_RAW;
    from->delimiter = from->columns = from->fields = from->drop_fields = from->add_fields
        = from->partition_by = empty;
    from->compression = CONFIG_COMPRESSION_NONE;
}

/* config_check has passed the texts: what fails is memory. What has no effect gets one value. */
static int output_fill(struct output_settings *o, const struct config *config,
                       const struct stream_config *stream, const struct sink_config *sink,
                       const struct output_config *from)
{
    bool raw = from->format == CONFIG_FORMAT_RAW, parquet = from->format == CONFIG_FORMAT_PARQUET;
    bool partitioned = from->partition_by[0] != '\0';
    bool table = parquet || from->format == CONFIG_FORMAT_CSV || partitioned;
    struct prefix_traits traits;

    memset(o, 0, sizeof(*o));
    if (prefix_inspect(stream->prefix, false, &traits, NULL))
        traits.period_ns = UINT64_MAX;
    o->format = strdup(config_format_name(from->format));
    o->prefix = strdup(stream->prefix);
    o->error_prefix = strdup(stream->error_prefix);
    o->event_clock = stream->prefix_clock == CONFIG_PREFIX_CLOCK_EVENT
                     && sink->type != CONFIG_SINK_RELAY
                     && traits.period_ns != UINT64_MAX;
    o->validate = stream->validate && sink->type != CONFIG_SINK_RELAY;
    o->delimiter = (uint8_t *)strdup(raw ? from->delimiter : "");
    o->delimiter_len = o->delimiter ? (uint32_t)strlen((char *)o->delimiter) : 0;
    o->epoch_name = from->filename == CONFIG_FILENAME_EPOCH;
    o->framing = (uint8_t)framing_of(sink);
    /* Requests that are made of records are compressed themselves, if at all. */
    o->compression = o->framing == SETTINGS_FRAMING_RECORDS ? SETTINGS_COMPRESSION_NONE
                                                            : (uint8_t)from->compression;
    o->compression_level = o->compression == SETTINGS_COMPRESSION_NONE
                               ? -1
                               : (int8_t)from->compression_level;
    o->columns = columns_text(table ? from->columns : "");
    o->fields = names_text(from->fields);
    o->drop_fields = names_text(from->drop_fields);
    o->add_fields = strdup(from->add_fields);
    o->partition_by = names_text(from->partition_by);
    o->partition_missing_error = partitioned && from->partition_missing == CONFIG_MISSING_ERROR;
    o->partitions_max = partitioned || o->event_clock ? (uint32_t)from->partitions_max : 0;
    o->infer_bytes = table && from->columns[0] == '\0' ? from->infer_bytes : 0;
    o->row_group_bytes = parquet ? from->row_group_bytes : 0;
    o->file_mode = file_mode_of(config, sink);
    o->buffer_count = from->buffer_count;
    o->buffer_bytes = from->buffer_bytes;
    o->buffer_time_ns = from->buffer_time_ns;
    o->together = partitioned && rest_maker_of(stream) == REST_MAKER_MINI;
    return o->format && o->prefix && o->error_prefix && o->delimiter && o->columns && o->fields
                   && o->drop_fields && o->add_fields && o->partition_by
               ? 0
               : -ENOMEM;
}

/* The output of these settings; a new one if there is none yet. shared holds the bytes of each. */
static int output_find(struct stream_settings *set, struct bytes *shared,
                       const struct config *config, const struct stream_config *stream,
                       const struct sink_config *sink, const struct output_config *from,
                       struct output_settings **ret_output)
{
    struct output_settings *o = &set->output[set->outputs];
    struct bytes *bytes = &shared[set->outputs];
    int r = output_fill(o, config, stream, sink, from);

    bytes_clear(bytes);
    if (!r)
        r = output_settings_format(o, bytes);
    for (uint16_t i = 0; !r && i < set->outputs; i++)
        if (shared[i].len == bytes->len && memcmp(shared[i].data, bytes->data, bytes->len) == 0) {
            output_settings_fini(o);
            *ret_output = &set->output[i];
            return 0;
        }
    if (r) {
        output_settings_fini(o);
        return r;
    }
    set->outputs++;
    *ret_output = o;
    return 0;
}

static int sink_add(struct stream_settings *set, struct bytes *shared, const struct config *config,
                    const char *stream_name, const struct stream_config *stream,
                    const char *sink_name, bool refused, struct errmsg *err)
{
    const struct sink_config *sink = config_find_sink(config, sink_name);
    struct output_settings *o;
    struct output_config from;
    int r;

    if (!sink)
        return errmsg_set(err, -ENOENT, "no sink '%s'", sink_name);
    r = config_resolve_output(stream, sink, &from, err);
    if (r)
        return r;
    if (sink->type == CONFIG_SINK_RELAY || refused)
        output_frames(&from);
    r = output_find(set, shared, config, stream, sink, &from, &o);
    if (!r)
        r = target_add(o, config, stream_name, sink);
    return r ? errmsg_set(err, r, "sink '%s': %s", sink_name, strerror(-r)) : 0;
}

int routing_resolve(const struct config *config, const char *stream_name,
                    struct stream_settings *ret_set, struct errmsg *err)
{
    const struct stream_config *stream = config_find_stream(config, stream_name);
    bool refused = !config_stream_wanted(config, stream_name);
    struct bytes shared[WAL_OUTPUTS_MAX] = { BYTES_INIT };
    int r = 0;

    memset(ret_set, 0, sizeof(*ret_set));
    ret_set->named = stream != NULL;
    if (refused)
        stream = config_find_stream(config, config->agent.default_stream);
    if (!stream)
        stream = &config->stream_default;
    if (stream->sinks.count > WAL_OUTPUTS_MAX)
        r = errmsg_set(err, -E2BIG, "more than %d sinks", WAL_OUTPUTS_MAX);
    for (size_t i = 0; !r && i < stream->sinks.count; i++)
        r = sink_add(ret_set, shared, config, stream_name, stream, stream->sinks.items[i],
                     refused, err);
    for (uint16_t i = 0; !r && refused && i < ret_set->outputs; i++)
        if (output_refuse(&ret_set->output[i], config->agent.default_stream))
            r = errmsg_set(err, -ENOMEM, "no memory");
    if (!r && ret_set->outputs == 0)
        r = errmsg_set(err, -EINVAL, "no sinks");
    for (size_t i = 0; i < WAL_OUTPUTS_MAX; i++)
        bytes_free(&shared[i]);
    if (r) {
        errmsg_prefix(err, "stream '%s': ", stream_name);
        stream_settings_fini(ret_set);
    }
    return r;
}
