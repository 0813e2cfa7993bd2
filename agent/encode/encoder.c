/*
 * encoder: the formats by name.
 * Owns:   nothing.
 * Thread: any.
 */
#include "encode/encoder.h"

#include <stddef.h>
#include <string.h>

static const struct encoder *const encoders[] = { &json_encoder, &raw_encoder };

const struct encoder *encoder_find(const char *format)
{
    for (size_t i = 0; i < sizeof(encoders) / sizeof(encoders[0]); i++) {
        if (strcmp(encoders[i]->name, format) == 0)
            return encoders[i];
    }
    return NULL;
}
