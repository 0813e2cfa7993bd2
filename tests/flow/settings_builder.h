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
        o->targets = targets;
        for (unsigned t = 0; t < targets; t++) {
            o->target[t].sink = built_text("sink-%u", i * 100 + t);
            o->target[t].directory = built_text("/data/out%u", i * 100 + t);
            o->target[t].type = TARGET_FILE;
            o->target[t].flat = t % 2 == 1;
        }
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
