/*
 * config_output: questions to a loaded configuration: streams, sinks, outputs, what has changed.
 * Owns:   nothing.
 * Thread: any.
 */
#include <errno.h>
#include <string.h>

#include "base/invariant.h"
#include "control/config.h"
#include "control/option.h"
#include "flow/name.h"

#define FIREHOSE_BUFFER_TIME_NS 1000000000
#define SINK_NUMBER_BYTES_MAX 8 /* with its mark */

const struct stream_config *config_find_stream(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->streams_count; i++)
        if (strcmp(c->streams[i].name, name) == 0)
            return &c->streams[i];
    return NULL;
}

const struct sink_config *config_find_sink(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->sinks_count; i++)
        if (strcmp(c->sinks[i].name, name) == 0)
            return &c->sinks[i];
    return NULL;
}

bool config_sink_private(const char *sink, const char *stream)
{
    const char *mark = strchr(sink, '~');
    size_t len = mark != NULL ? (size_t)(mark - sink) : 0;

    return mark != NULL && mark[1] != '\0' && strspn(mark + 1, "0123456789") == strlen(mark + 1) &&
           strlen(mark) <= SINK_NUMBER_BYTES_MAX && stream_name_valid(sink, len) &&
           (strcmp(stream, "*") == 0 || (strlen(stream) == len && memcmp(stream, sink, len) == 0));
}

bool config_sink_used(const struct config *c, const char *sink)
{
    for (size_t i = 0; i < c->streams_count; i++)
        for (size_t k = 0; k < c->streams[i].sinks.count; k++)
            if (strcmp(c->streams[i].sinks.items[k], sink) == 0)
                return true;
    return false;
}

bool config_stream_wanted(const struct config *c, const char *name)
{
    return c->agent.auto_create_streams || strcmp(name, c->agent.default_stream) == 0 ||
           config_find_stream(c, name) != NULL;
}

int config_resolve_output(const struct stream_config *stream, const struct sink_config *sink,
                          struct output_config *ret_output, struct errmsg *err)
{
    *ret_output = stream->output;
    if (sink->type == CONFIG_SINK_FIREHOSE
        && !config_is_set(&stream->set, OPTION_output_buffer_time))
        ret_output->buffer_time_ns = FIREHOSE_BUFFER_TIME_NS;
    if ((sink->type == CONFIG_SINK_FIREHOSE
         || (sink->type == CONFIG_SINK_HTTP && sink->web.body == CONFIG_BODY_RAW))
        && !config_is_set(&stream->set, OPTION_output_format))
        ret_output->format = CONFIG_FORMAT_RAW;
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (option_table[i].in_output && config_is_set(&sink->set, option_table[i].id))
            option_borrow(&option_table[i], ret_output, &sink->output);
    if (config_is_set(&sink->set, OPTION_output_compression) &&
        !config_is_set(&sink->set, OPTION_output_compression_level))
        ret_output->compression_level = -1;
    if (ret_output->buffer_count < 0 && ret_output->buffer_bytes < 0 &&
        ret_output->buffer_time_ns < 0)
        return errmsg_set(err, -EINVAL, "for sink '%s' buffer_count, buffer_size and buffer_time "
                          "are all -1: no batch would ever be sealed; turn one on", sink->name);
    return 0;
}

bool config_has_secrets(const struct config *c)
{
    bool found = c->http.token[0] != '\0' || c->http.firehose_secret_key[0] != '\0';

    for (size_t i = 0; i < c->sinks_count; i++) {
        const struct sink_config *s = &c->sinks[i];

        found = found || s->type == CONFIG_SINK_S3 || s->type == CONFIG_SINK_FIREHOSE
                || (s->type == CONFIG_SINK_HTTP && s->web.token[0] != '\0');
    }
    return found;
}

static const char *scope_name(uint32_t scope)
{
    return scope == SCOPE_agent ? "agent" : scope == SCOPE_wal ? "wal"
         : scope == SCOPE_http ? "http" : "intake";
}

bool config_restart_needed(const struct config *old_config, const struct config *new_config,
                           struct errmsg *why)
{
    struct errmsg text = { "" };
    size_t len = 0;

    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option *o = &option_table[i];

        if (!o->restart)
            continue;
        INVARIANT((o->scope & ~(uint32_t)SCOPE_config) == 0);
        if (option_equal(o, old_config, new_config) || len >= sizeof(text.text))
            continue;
        len += (size_t)snprintf(text.text + len, sizeof(text.text) - len, "%s[%s] %s",
                                len > 0 ? ", " : "", scope_name(o->scope), o->key);
    }
    if (why != NULL)
        *why = text;
    return len > 0;
}

/* In the order of the enums; a test holds them against options.def. */
static const char *const format_names[] = { "json", "csv", "parquet", "raw" };
static const char *const compression_names[] = { "none", "gzip", "zstd", "snappy", "lz4" };
static const char *const sink_type_names[] = { "file", "s3", "firehose", "http", "relay" };

const char *config_format_name(enum config_format format)
{
    INVARIANT((size_t)format < sizeof(format_names) / sizeof(format_names[0]));
    return format_names[format];
}

const char *config_compression_name(enum config_compression compression)
{
    INVARIANT((size_t)compression < sizeof(compression_names) / sizeof(compression_names[0]));
    return compression_names[compression];
}

const char *config_sink_type_name(enum config_sink_type type)
{
    INVARIANT((size_t)type < sizeof(sink_type_names) / sizeof(sink_type_names[0]));
    return sink_type_names[type];
}
