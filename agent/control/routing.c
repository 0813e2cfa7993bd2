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

static int target_fill(struct target_settings *t, const struct sink_config *sink)
{
    t->sink = strdup(sink->name);
    t->directory = routing_absolute(sink->file.directory);
    t->type = TARGET_FILE;
    t->flat = sink->layout == CONFIG_LAYOUT_FLAT;
    return t->sink && t->directory ? 0 : -ENOMEM;
}

/* What cannot be encoded goes below the same directory. */
static int target_add(struct output_settings *o, const struct sink_config *sink)
{
    int r = target_fill(&o->target[o->targets++], sink);

    return r ? r : target_fill(&o->error_target[o->error_targets++], sink);
}

static int output_add(struct stream_settings *set, const struct stream_config *stream,
                      const struct sink_config *sink, const struct output_config *from)
{
    struct output_settings *o = &set->output[set->outputs++];

    o->format = strdup(config_format_name(from->format));
    o->prefix = strdup(stream->prefix);
    o->error_prefix = strdup(stream->error_prefix);
    o->compression_level = -1;
    o->delimiter_len = (uint32_t)strlen(from->delimiter);
    o->delimiter = (uint8_t *)strdup(from->delimiter);
    o->epoch_name = from->filename == CONFIG_FILENAME_EPOCH;
    o->file_mode = sink->file.mode;
    o->buffer_count = from->buffer_count;
    o->buffer_bytes = from->buffer_bytes;
    o->buffer_time_ns = from->buffer_time_ns;
    return o->format && o->prefix && o->error_prefix && o->delimiter ? 0 : -ENOMEM;
}

int routing_resolve(const struct config *config, const char *stream_name,
                    struct stream_settings *ret_set, struct errmsg *err)
{
    const struct stream_config *stream = config_find_stream(config, stream_name);
    struct output_config kept[WAL_OUTPUTS_MAX], now;
    int r = 0;

    memset(ret_set, 0, sizeof(*ret_set));
    ret_set->named = stream != NULL;
    if (!stream)
        stream = &config->stream_default;
    if (stream->sinks.count > WAL_OUTPUTS_MAX)
        return errmsg_set(err, -E2BIG, "stream '%s': more than %d sinks", stream_name,
                          WAL_OUTPUTS_MAX);
    for (size_t i = 0; !r && i < stream->sinks.count; i++) {
        const struct sink_config *sink = config_find_sink(config, stream->sinks.items[i]);
        uint16_t at = 0;

        if (!sink) {
            r = errmsg_set(err, -ENOENT, "stream '%s': no sink '%s'", stream_name,
                           stream->sinks.items[i]);
            break;
        }
        r = config_resolve_output(stream, sink, &now, err);
        if (r)
            break;
        while (at < ret_set->outputs
               && (!config_outputs_equal(&kept[at], &now)
                   || ret_set->output[at].file_mode != sink->file.mode))
            at++;
        if (at == ret_set->outputs) {
            kept[at] = now;
            r = output_add(ret_set, stream, sink, &now);
        }
        if (!r)
            r = target_add(&ret_set->output[at], sink);
        if (r)
            errmsg_set(err, r, "stream '%s': %s", stream_name, strerror(-r));
    }
    if (!r && ret_set->outputs == 0)
        r = errmsg_set(err, -EINVAL, "stream '%s': no sinks", stream_name);
    if (r)
        stream_settings_fini(ret_set);
    return r;
}
