/*
 * json_number: what a JSON number is worth: as a 64-bit integer, as a double, or as neither.
 *
 * Owns:   nothing.
 * Thread: any.
 */
#ifndef ENCODE_JSON_NUMBER_H
#define ENCODE_JSON_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Exponents are counted up to about here: each one beyond means infinity or zero. */
enum { JSON_EXPONENT_MAX = 100000000 };

/* A number, read: mantissa * 10^exponent while its digits are at most 19. */
struct json_number {
    uint64_t mantissa;          /* of all digits, modulo 2^64 */
    int32_t exponent;
    uint32_t digits;            /* all that are written, but for the exponent's */
    uint32_t leading;           /* the first one, as a letter */
    bool negative;
    bool integer;               /* neither point nor exponent */
};

/*
 * What a number without a declared type is. Integers up to 2^53 are in a double what they are;
 * integers beyond 64 bits are real where a double holds them exactly, else text, so that no digit
 * is lost unseen. Fractions are rounded to the nearest double; what none can hold is text.
 */
enum json_number_class {
    JSON_NUMBER_SMALL,          /* an integer up to 2^53, either sign */
    JSON_NUMBER_WIDE,           /* another int64 */
    JSON_NUMBER_REAL,
    JSON_NUMBER_TEXT
};

/* text: as it is written. */
enum json_number_class json_number_class(const struct json_number *n, const uint8_t *text,
                                         size_t len);

/* The nearest double, to the last bit; tiny ones become zero. False: it would be infinite. */
bool json_number_round(const struct json_number *n, const uint8_t *text, size_t len,
                       double *ret_value);

enum {
    JSON_DIGITS_SAFE = 19,      /* any so many fit into 64 bits */
    JSON_POWER_MAX = 22         /* 10^22 is the last power of ten that is a double */
};

#define JSON_EXACT_MAX (1ULL << 53)     /* integers up to here are doubles */

/* Is the mantissa all of it? 20 digits are where they begin with 1 and did not wrap. */
static inline bool json_number_whole(const struct json_number *n)
{
    return n->digits <= JSON_DIGITS_SAFE ||
        (n->digits == JSON_DIGITS_SAFE + 1 && n->leading == '1' &&
         n->mantissa >= 10000000000000000000ULL);
}

/* False: it is no integer, or beyond the type. */
static inline bool json_number_i64(const struct json_number *n, int64_t *ret_value)
{
    if (!n->integer || !json_number_whole(n) || n->mantissa > (uint64_t)INT64_MAX + n->negative)
        return false;
    *ret_value = (int64_t)(n->negative ? 0 - n->mantissa : n->mantissa);
    return true;
}

static inline bool json_number_u64(const struct json_number *n, uint64_t *ret_value)
{
    if (!n->integer || !json_number_whole(n) || (n->negative && n->mantissa != 0))
        return false;
    *ret_value = n->mantissa;
    return true;
}

/* As json_number_round(); one exact multiplication or division does for most. */
static inline bool json_number_f64(const struct json_number *n, const uint8_t *text, size_t len,
                                   double *ret_value)
{
    static const double power[JSON_POWER_MAX + 1] = {
        1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
        1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
    };
    double value = (double)n->mantissa;

    if (n->digits > JSON_DIGITS_SAFE || n->mantissa > JSON_EXACT_MAX ||
        n->exponent < -JSON_POWER_MAX || n->exponent > JSON_POWER_MAX)
        return json_number_round(n, text, len, ret_value);
    value = n->exponent < 0 ? value / power[-n->exponent] : value * power[n->exponent];
    *ret_value = n->negative ? -value : value;
    return true;
}

#ifdef __cplusplus
}
#endif

#endif
