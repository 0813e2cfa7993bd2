/*
 * line_reader: encodes one event and reads the line back by other means than it was written with:
 * jansson for JSON, a base64 decoder of its own. For tests and fuzz targets.
 *
 * Owns:   struct encoded owns its bytes.
 * Units:  bytes.
 */
#ifndef TESTS_ENCODE_LINE_READER_H
#define TESTS_ENCODE_LINE_READER_H

#include <stddef.h>
#include <stdint.h>

#include "encode/encoder.h"

struct encoded {
    uint8_t *data;              /* owned; a NUL follows */
    size_t len;
    uint64_t bytes_max;         /* as the encoder foretold */
};

/*
 * Encodes into a chain that already holds `ahead` bytes, so that the event can be made to cross
 * blocks anywhere; they are not in the result. Aborts when memory runs out or a byte ahead changed.
 */
struct encoded encode_event(const struct encoder *encoder, const struct encoder_settings *set,
                            const struct event *ev, size_t ahead);
void encoded_free(struct encoded *e);

/* Decodes in place; -1: not base64 with its padding. */
ptrdiff_t base64_read(char *text, size_t len);

/*
 * Checks that this is one line with an object of exactly one key, and that its value stands for
 * these bytes. NULL, or what is wrong.
 */
const char *message_check(const struct encoded *line, const char *key, const uint8_t *data,
                          size_t len);

#endif
