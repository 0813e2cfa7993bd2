/*
 * settings_builder: stream settings for tests, every field of them different.
 *
 * Owns:   what it makes is the caller's to stream_settings_fini().
 * Thread: any.
 */
#ifndef FLOW_SETTINGS_BUILDER_H
#define FLOW_SETTINGS_BUILDER_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flow/settings.h"

static inline char *built_text(const char *text, unsigned i)
{
    char buf[128];
    char *copy;

    snprintf(buf, sizeof(buf), text, i);
    copy = strdup(buf);
    assert_non_null(copy);
    return copy;
}

static inline void built_targets(struct target_settings *target, uint16_t targets, unsigned from)
{
    for (unsigned t = 0; t < targets; t++) {
        target[t].sink = built_text("sink-%u", from + t);
        target[t].directory = built_text("/data/out%u", from + t);
        target[t].type = TARGET_FILE;
        target[t].flat = t % 2 == 1;
    }
}

static inline void built_settings(struct stream_settings *set, uint16_t outputs, uint16_t targets)
{
    memset(set, 0, sizeof(*set));
    set->outputs = outputs;
    for (unsigned i = 0; i < outputs; i++) {
        struct output_settings *o = &set->output[i];

        o->format = built_text(i % 2 ? "raw" : "json", i);
        o->prefix = built_text(i % 3 ? "p%u/!{timestamp:yyyy}/" : "", i);
        o->delimiter = (uint8_t *)built_text("\n", i);
        o->delimiter_len = 1;
        o->epoch_name = i % 2 == 0;
        o->file_mode = 0600 + i;
        o->buffer_count = i % 3 ? (int64_t)i : -1;
        o->buffer_bytes = 1 + ((int64_t)i << 33);
        o->buffer_time_ns = i % 2 ? -1 : 60000000000LL;
        o->error_prefix = built_text("errors%u/!{firehose:error-output-type}/", i);
        o->columns = built_text(i % 2 ? "" : "a%u i64,\"b c\" string", i);
        o->fields = built_text("f%u,g", i);
        o->drop_fields = built_text(i % 3 ? "" : "d%u", i);
        o->add_fields = built_text("x%u = 1", i);
        o->partition_by = built_text(i % 2 ? "p%u" : "", i);
        o->event_clock = i % 3 == 1;
        o->validate = i % 2 == 1;
        o->partition_missing_error = i % 4 == 1;
        o->compression = (uint8_t)(i % SETTINGS_COMPRESSION_COUNT);
        o->compression_level = (int8_t)(i % 4) - 1;
        o->framing = (uint8_t)(i % SETTINGS_FRAMING_COUNT);
        o->partitions_max = i * 500;
        o->infer_bytes = (int64_t)i << 20;
        o->row_group_bytes = (int64_t)i << 21;
        o->together = i % 3 == 2;
        o->targets = targets;
        o->error_targets = (uint16_t)(targets / 2 + 1);
        built_targets(o->target, o->targets, i * 100);
        built_targets(o->error_target, o->error_targets, i * 100 + 50);
    }
}

static inline void built_settings_bytes(uint16_t outputs, uint16_t targets, struct bytes *out)
{
    struct stream_settings set;

    built_settings(&set, outputs, targets);
    assert_int_equal(stream_settings_format(&set, out), 0);
    stream_settings_fini(&set);
}

#endif
