/*
 * settings_fuzz: bytes of a STREAM item that parse are written again as they were, those of earlier
 * versions with the fields that have come since, and those that don't parse leave nothing behind.
 *
 * Input: the bytes.
 */
#include "base/invariant.h"
#include "flow/settings.h"

#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct bytes again = BYTES_INIT;
    struct stream_settings set;
    int r = stream_settings_parse(data, len, &set);

    INVARIANT(r == 0 || r == -EBADMSG);
    if (r != 0) {
        INVARIANT(set.outputs == 0 && !set.output[0].format);
        return 0;
    }
    INVARIANT(set.outputs > 0 && set.outputs <= WAL_OUTPUTS_MAX);
    for (uint16_t i = 0; i < set.outputs; i++) {
        const struct output_settings *o = &set.output[i];

        INVARIANT(o->format && o->prefix && o->delimiter && o->error_prefix && o->columns
                  && o->fields && o->drop_fields && o->add_fields && o->partition_by);
        INVARIANT(o->compression < SETTINGS_COMPRESSION_COUNT);
        INVARIANT(o->framing < SETTINGS_FRAMING_COUNT);
        INVARIANT(o->error_targets > 0 && o->error_targets <= WAL_TARGETS_MAX);
        INVARIANT(o->targets > 0 && o->targets <= WAL_TARGETS_MAX);
        for (uint16_t t = 0; t < o->targets; t++)
            INVARIANT(o->target[t].sink && o->target[t].directory
                      && o->target[t].type >= TARGET_FILE
                      && o->target[t].type < TARGET_TYPE_END);
    }
    r = stream_settings_format(&set, &again);
    INVARIANT(r == 0 || (r == -E2BIG && data[0] < 3));
    INVARIANT(data[0] < 3 || (again.len == len && memcmp(again.data, data, len) == 0));
    stream_settings_fini(&set);
    if (r == 0) {
        INVARIANT(stream_settings_parse(again.data, again.len, &set) == 0);
        stream_settings_fini(&set);
    }
    bytes_free(&again);
    return 0;
}
