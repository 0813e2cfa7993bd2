/*
 * text: values as text.
 *
 * Most decimals that people and programs write have few digits. v = n / 10^k with n below 10^15 is
 * found by multiplying: the product is within a rounding of n. That n / 10^k reads back as v is
 * then tried, not believed: n and 10^k are exact, so one division rounds as reading the text does.
 * Fewer than 16 digits that read back as v are the only ones of their length: without the zeros at
 * their end no shorter text does. Two decimals are tried first, for amounts of money have no more.
 * All else goes to the C++ library.
 *
 * Owns:   nothing.
 * Thread: any.
 * Units:  bytes; us = microseconds since 1970, UTC.
 */
#include "encode/text.h"

#include "base/bytes.h"
#include "encode/text_float.h"

#include <math.h>
#include <openssl/evp.h>
#include <string.h>

_Static_assert(TEXT_STEP_BYTES % 3 == 0, "only the last step of base64 is padded");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first byte of a word is its lowest");

/* --- numbers -------------------------------------------------------------------------------- */

static const char pairs[] = "0001020304050607080910111213141516171819"
                            "2021222324252627282930313233343536373839"
                            "4041424344454647484950515253545556575859"
                            "6061626364656667686970717273747576777879"
                            "8081828384858687888990919293949596979899";

static uint8_t *pair_put(uint8_t *to, uint32_t v)
{
    memcpy(to, pairs + (size_t)v * 2, 2);
    return to + 2;
}

/*
 * v below 10^8 as eight numbers below 10, the first in the lowest byte: halves, quarters and digits
 * are split off side by side. The factors are the reciprocals of 100 and 10 in 2^-20 and 2^-10,
 * large enough for numbers below 10^4 and 10^2.
 */
static inline uint64_t eight_digits(uint32_t v)
{
    uint64_t fours = v / 10000 | (uint64_t)(v % 10000) << 32;
    uint64_t high = (fours * 10486 >> 20) & 0x0000007f0000007fULL;
    uint64_t twos = high | (fours - high * 100) << 16;

    high = (twos * 103 >> 10) & 0x000f000f000f000fULL;
    return high | (twos - high * 10) << 8;
}

/* v below 10^8 without zeros in front, which are told by its digits; stores eight bytes. */
static inline uint8_t *first_put(uint8_t *to, uint32_t v)
{
    uint64_t word = eight_digits(v);
    /* The last digit stays, also of 0. */
    unsigned zeros = (unsigned)__builtin_ctzll(word | UINT64_C(1) << 56) / 8;

    bytes_put_u64(to, (word + TEXT_ONES * '0') >> zeros * 8);
    return to + 8 - zeros;
}

static inline uint8_t *eight_put(uint8_t *to, uint32_t v)
{
    bytes_put_u64(to, eight_digits(v) + TEXT_ONES * '0');
    return to + 8;
}

static inline __attribute__((always_inline)) uint8_t *number_put(uint8_t *to, uint64_t v)
{
    static const uint64_t e8 = 100000000, e16 = 10000000000000000;

    if (v < e8)
        return first_put(to, (uint32_t)v);
    if (v < e16)
        return eight_put(first_put(to, (uint32_t)(v / e8)), (uint32_t)(v % e8));
    to = first_put(to, (uint32_t)(v / e16));
    v %= e16;
    return eight_put(eight_put(to, (uint32_t)(v / e8)), (uint32_t)(v % e8));
}

uint8_t *text_u64(uint8_t *to, uint64_t v)
{
    return number_put(to, v);
}

uint8_t *text_i64(uint8_t *to, int64_t v)
{
    *to = '-';
    return number_put(to + (v < 0), v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

/* v below 10^count as that many digits, 1 to 8; stores eight bytes. */
static inline void fraction_put(uint8_t *to, unsigned count, uint32_t v)
{
    bytes_put_u64(to, (eight_digits(v) + TEXT_ONES * '0') >> (8 - count) * 8);
}

enum { DECIMALS_MAX = 6 };

static const double decimal_scale[DECIMALS_MAX + 1] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6};
static const double decimal_end = 1e15;

/* n without the zeros at its end, of which there are not more than decimals; how many are left. */
static int zeros_strip(uint64_t *n, int decimals)
{
    if (*n % 10000 == 0) {
        *n /= 10000;
        decimals -= 4;
    }
    if (decimals >= 2 && *n % 100 == 0) {
        *n /= 100;
        decimals -= 2;
    }
    if (decimals >= 1 && *n % 10 == 0) {
        *n /= 10;
        decimals -= 1;
    }
    return decimals;
}

/* Is n / 10^k the number that reads back as v? Then n is set. */
static bool decimal_is(double v, int k, uint64_t *ret_n)
{
    static const double rounding = 0x1p-51;
    double scaled = v * decimal_scale[k], whole;

    if (!(scaled < decimal_end))
        return false;
    *ret_n = (uint64_t)(int64_t)(scaled + 0.5);
    whole = (double)(int64_t)*ret_n;
    return fabs(scaled - whole) <= scaled * rounding && whole / decimal_scale[k] == v;
}

/* How many decimals v has, n being its digits; -1: more than are looked for. */
static int decimals_find(double v, uint64_t *ret_n)
{
    if (v * decimal_scale[DECIMALS_MAX] < decimal_end)
        return decimal_is(v, DECIMALS_MAX, ret_n) ? zeros_strip(ret_n, DECIMALS_MAX) : -1;
    for (int k = 0; k < DECIMALS_MAX; k++)
        if (decimal_is(v, k, ret_n))
            return k;
    return -1;
}

/* n / 10^decimals: by a number that is known a division is a multiplication. */
static uint64_t decimal_whole(uint64_t n, unsigned decimals)
{
    switch (decimals) {
    case 1:
        return n / 10;
    case 2:
        return n / 100;
    case 3:
        return n / 1000;
    case 4:
        return n / 10000;
    case 5:
        return n / 100000;
    default:
        return n / 1000000;
    }
}

static uint8_t *decimal_put(uint8_t *to, uint64_t n, unsigned decimals)
{
    static const uint64_t scale[DECIMALS_MAX + 1] = {1, 10, 100, 1000, 10000, 100000, 1000000};
    uint64_t whole;

    if (decimals == 0)
        return text_u64(to, n);
    whole = decimal_whole(n, decimals);
    to = text_u64(to, whole);
    *to = '.';
    fraction_put(to + 1, decimals, (uint32_t)(n - whole * scale[decimals]));
    return to + 1 + decimals;
}

/* The usual amount: at most two decimals, and then none that is zero at the end. */
static inline bool cents_put(uint8_t **to, double v)
{
    static const double end = 1e13;
    uint64_t n, whole;
    uint32_t rest;

    if (!(v < end))
        return false;
    n = (uint64_t)(int64_t)(v * 100 + 0.5);
    if ((double)(int64_t)n / 100 != v)
        return false;
    whole = n / 100;
    rest = (uint32_t)(n - whole * 100);
    *to = number_put(*to, whole);
    **to = '.';
    memcpy(*to + 1, pairs + (size_t)rest * 2, 2);
    *to += rest == 0 ? 0 : 2 + (rest % 10 != 0);
    return true;
}

static uint8_t *not_finite(uint8_t *to, double v)
{
    if (isnan(v)) {
        memcpy(to, "NaN", 3);
        return to + 3;
    }
    if (v < 0)
        *to++ = '-';
    memcpy(to, "Infinity", 8);
    return to + 8;
}

uint8_t *text_f64(uint8_t *to, double v)
{
    double size = fabs(v);
    uint8_t *at = to + !!signbit(v);
    uint64_t n;
    int decimals;

    *to = '-';
    if (cents_put(&at, size))
        return at;
    if (size < decimal_end && size >= 1e-3) {
        decimals = decimals_find(size, &n);
        if (decimals >= 0)
            return decimal_put(at, n, (unsigned)decimals);
    } else if (!isfinite(v)) {
        return not_finite(to, v);
    }
    return text_float_f64(to, v);
}

uint8_t *text_f32(uint8_t *to, float v)
{
    return isfinite(v) ? text_float_f32(to, v) : not_finite(to, (double)v);
}

/* --- times ---------------------------------------------------------------------------------- */

enum {
    DAYS_TO_1970 = 719468,      /* from 1 March of the year 0: a leap day is the last of a year */
    DAYS_400_YEARS = 146097,
};

static uint8_t *year_put(uint8_t *to, int64_t year)
{
    uint64_t size = (uint64_t)(year < 0 ? -year : year);
    bool four = year >= 0 && year <= 9999;

    if (!four) {
        *to++ = year < 0 ? '-' : '+';
        to = pair_put(to, (uint32_t)(size / 10000));
    }
    to = pair_put(to, (uint32_t)(size / 100 % 100));
    return pair_put(to, (uint32_t)(size % 100));
}

static uint8_t *date_put(uint8_t *to, int64_t days)
{
    int64_t since = days + DAYS_TO_1970;
    int64_t cycle = (since >= 0 ? since : since - (DAYS_400_YEARS - 1)) / DAYS_400_YEARS;
    uint32_t day = (uint32_t)(since - cycle * DAYS_400_YEARS);
    /* Leap days up to here taken out, all years are of 365 days. */
    uint32_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    uint32_t of_year = day - (365 * year + year / 4 - year / 100);
    /* From March on five months have 153 days, always. */
    uint32_t month = (5 * of_year + 2) / 153;
    uint32_t of_month = of_year - (153 * month + 2) / 5 + 1;

    to = year_put(to, cycle * 400 + year + (month >= 10));
    *to++ = '-';
    to = pair_put(to, month < 10 ? month + 3 : month - 9);
    *to++ = '-';
    return pair_put(to, of_month);
}

uint8_t *text_timestamp(uint8_t *to, int64_t us)
{
    static const int64_t us_per_day = INT64_C(86400000000);
    int64_t days = us / us_per_day, rest = us % us_per_day;
    uint32_t second, fraction;

    if (rest < 0) {
        rest += us_per_day;
        days--;
    }
    second = (uint32_t)(rest / 1000000);
    fraction = (uint32_t)(rest % 1000000);
    to = date_put(to, days);
    *to++ = 'T';
    to = pair_put(to, second / 3600);
    *to++ = ':';
    to = pair_put(to, second / 60 % 60);
    *to++ = ':';
    to = pair_put(to, second % 60);
    *to++ = '.';
    fraction_put(to, 6, fraction);
    to[6] = 'Z';
    return to + 7;
}

/* --- copies --------------------------------------------------------------------------------- */

uint8_t *text_base64(uint8_t *to, const uint8_t *from, size_t len)
{
    /* The library counts in int, and adds a NUL, for which there is the slack. */
    while (len > TEXT_STEP_BYTES) {
        to += EVP_EncodeBlock(to, from, TEXT_STEP_BYTES);
        from += TEXT_STEP_BYTES;
        len -= TEXT_STEP_BYTES;
    }
    return len > 0 ? to + EVP_EncodeBlock(to, from, (int)len) : to;
}

/* Vectors as gcc and clang give them to C, so that it is the same code for every processor. */
typedef uint8_t text_vector __attribute__((vector_size(16)));

static inline void fold_one(uint8_t *to, const uint8_t *from)
{
    text_vector v, ends;

    memcpy(&v, from, sizeof(v));
    ends = (text_vector)((v == '\n') | (v == '\r'));
    v = (v & ~ends) | (ends & ' ');
    memcpy(to, &v, sizeof(v));
}

uint8_t *text_folded(uint8_t *to, const uint8_t *from, size_t len)
{
    enum { STEP = sizeof(text_vector) };
    size_t at = 0;

    for (; len - at >= STEP; at += STEP)
        fold_one(to + at, from + at);
    if (at > 0 && at < len)             /* the last ones overlap */
        fold_one(to + len - STEP, from + len - STEP);
    else
        for (; at < len; at++)
            to[at] = from[at] == '\n' || from[at] == '\r' ? ' ' : from[at];
    return to + len;
}

static uint8_t *escape_put(uint8_t *to, uint8_t c)
{
    static const char hex[] = "0123456789abcdef";
    /* By character below 0x20: the letter of its short escape. */
    static const char letters[0x20] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r',
    };

    *to++ = '\\';
    if (c >= 0x20 || letters[c] != 0) {
        *to++ = c >= 0x20 ? c : (uint8_t)letters[c];
        return to;
    }
    memcpy(to, "u00", 3);
    to[3] = (uint8_t)hex[c >> 4];
    to[4] = (uint8_t)hex[c & 15];
    return to + 5;
}

static uint64_t escape_marks(uint64_t word)
{
    return text_marks_below(word, 0x20) | text_marks(word, '"') | text_marks(word, '\\');
}

/* Copies 16 bytes. True: nothing in them asks to be escaped. */
static inline bool plain_copy(uint8_t *to, const uint8_t *from)
{
    text_vector v, ask;
    uint64_t halves[2];

    memcpy(&v, from, sizeof(v));
    memcpy(to, &v, sizeof(v));
    ask = (text_vector)((v < 0x20) | (v == '"') | (v == '\\'));
    memcpy(halves, &ask, sizeof(halves));
    return (halves[0] | halves[1]) == 0;
}

/* Copies. True: nothing in it asks to be escaped, as in most. */
static inline bool plain_copy_all(uint8_t *to, const uint8_t *from, size_t len)
{
    enum { STEP = sizeof(text_vector) };
    uint64_t first, last;
    bool plain = true;

    if (len >= STEP) {
        for (size_t at = 0; at < len - STEP; at += STEP)
            plain &= plain_copy(to + at, from + at);
        return plain & plain_copy(to + len - STEP, from + len - STEP);
    }
    if (len < sizeof(first)) {
        first = text_tail(from, len);
        memcpy(to, &first, sizeof(first));
        return escape_marks(first) == 0;
    }
    memcpy(&first, from, sizeof(first));
    memcpy(&last, from + len - sizeof(last), sizeof(last));
    memcpy(to, &first, sizeof(first));
    memcpy(to + len - sizeof(last), &last, sizeof(last));
    return (escape_marks(first) | escape_marks(last)) == 0;
}

uint8_t *text_escaped(uint8_t *to, const uint8_t *from, size_t len)
{
    if (__builtin_expect(plain_copy_all(to, from, len), 1))
        return to + len;
    for (size_t at = 0; at < len;) {
        size_t rest = len - at, plain = rest < 8 ? rest : 8;
        uint64_t word, marks;

        if (rest >= sizeof(text_vector) && plain_copy(to, from + at)) {
            to += sizeof(text_vector);
            at += sizeof(text_vector);
            continue;
        }
        if (rest >= sizeof(word))
            memcpy(&word, from + at, sizeof(word));
        else
            word = text_tail(from + at, rest);
        memcpy(to, &word, sizeof(word));
        marks = escape_marks(word);
        if (marks != 0) {
            plain = (size_t)__builtin_ctzll(marks) / 8;
            to = escape_put(to + plain, from[at + plain]);
            at += plain + 1;
        } else {
            to += plain;
            at += plain;
        }
    }
    return to;
}

void text_append(struct block_chain *out, text_copy_fn copy, const uint8_t *from, size_t len)
{
    enum { STEP_ROOM = TEXT_STEP_BYTES * TEXT_ESCAPED_MAX + TEXT_SLACK };
    uint8_t aside[STEP_ROOM];

    while (len > 0) {
        size_t step = len < TEXT_STEP_BYTES ? len : TEXT_STEP_BYTES;

        if ((size_t)(out->end - out->at) >= STEP_ROOM)
            text_take(out, copy(out->at, from, step));
        else
            chain_append(out, aside, (size_t)(copy(aside, from, step) - aside));
        from += step;
        len -= step;
    }
}
