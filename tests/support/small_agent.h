/*
 * small_agent: what agents of tests are given, simulated or not: options with small limits, and the
 * settings of a stream.
 *
 * Owns:   nothing; strings of settings are for stream_settings_fini().
 * Thread: any.
 */
#ifndef SUPPORT_SMALL_AGENT_H
#define SUPPORT_SMALL_AGENT_H

#include <string.h>

#include "base/invariant.h"
#include "flow/settings.h"
#include "pipeline/shard.h"

/* But for directories and what is asked of the configuration. */
static inline struct shard_options small_agent_options(void)
{
    return (struct shard_options){
        .agent_name = "host",
        .segment_size = 2 << 20,
        .wal_bytes_max = 64 << 20,
        .sync = WAL_SYNC_INTERVAL,
        .sync_interval_ns = 10000000,
        .memory_limit = 64 << 20,
        .streams_max = 100,
        .streams_per_uid_max = 100,
        .rings_max = 64,
        .rings_per_uid_max = 64,
        .ring_bytes_per_uid_max = 1 << 30,
    };
}

static inline char *small_agent_text(const char *text)
{
    char *copy = strdup(text);

    INVARIANT(copy != NULL);
    return copy;
}

/* Lines, each whole; no trigger, no target yet. `o` is zeroed. */
static inline void small_agent_output(struct output_settings *o, const char *format,
                                      const char *prefix)
{
    o->format = small_agent_text(format);
    o->prefix = small_agent_text(prefix);
    o->error_prefix = small_agent_text(SETTINGS_ERROR_PREFIX);
    o->delimiter = (uint8_t *)small_agent_text("\n");
    o->delimiter_len = 1;
    o->compression_level = -1;
    o->file_mode = 0640;
    o->buffer_count = o->buffer_bytes = o->buffer_time_ns = -1;
}

/* One more file sink, for what cannot be encoded too. */
static inline void small_agent_target(struct output_settings *o, const char *sink,
                                      const char *directory, bool flat)
{
    struct target_settings *both[] = {&o->target[o->targets++],
                                      &o->error_target[o->error_targets++]};

    for (int i = 0; i < 2; i++) {
        both[i]->sink = small_agent_text(sink);
        both[i]->directory = small_agent_text(directory);
        both[i]->type = TARGET_FILE;
        both[i]->flat = flat;
    }
}

#endif
