/*
 * text_float: the fewest digits that read back as exactly this number, plain or with an exponent,
 * whichever is shorter. The C side of the C++ library's conversion.
 *
 * Owns:   nothing.
 * Thread: any.
 */
#ifndef ENCODE_TEXT_FLOAT_H
#define ENCODE_TEXT_FLOAT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { TEXT_FLOAT_BYTES_MAX = 24 };

/* Finite numbers only. Writes at `to`, returns the end. */
uint8_t *text_float_f64(uint8_t *to, double v);
uint8_t *text_float_f32(uint8_t *to, float v);

#ifdef __cplusplus
}
#endif

#endif
