/*
 * cell_read: times and base64, strictly.
 *
 * Owns:   nothing.
 * Thread: any.
 * Units:  microseconds since 1970, UTC.
 */
#include "encode/cell_read.h"

enum {
    TIME_BYTES = 19,            /* 2026-11-21T10:11:12 */
    OFFSET_BYTES = 6,           /* +01:00 */
    FRACTION_DIGITS = 6,
    US_PER_SECOND = 1000000,
};

/* The number that `digits` digits make, or -1. */
static int digits_read(const uint8_t *at, unsigned int digits)
{
    int value = 0;

    for (unsigned int i = 0; i < digits; i++) {
        if (at[i] < '0' || at[i] > '9')
            return -1;
        value = value * 10 + (at[i] - '0');
    }
    return value;
}

static int month_days(int year, int month)
{
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    if (month == 2)
        return leap ? 29 : 28;
    return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

/* Days since 1970. Years are counted from March, so that the leap day is the last one of its. */
static int64_t date_days(int year, int month, int day)
{
    int64_t y = year - (month <= 2) + 400;      /* not negative; 400 years are 146,097 days */
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return y * 365 + y / 4 - y / 100 + y / 400 + of_year - 719468 - 146097;
}

/* Seconds that the local time is ahead of UTC; `len` bytes must be all of it, none is UTC. */
static bool offset_read(const uint8_t *at, size_t len, int *ret_seconds)
{
    int hours, minutes;

    if (len == 0 || (len == 1 && (*at == 'Z' || *at == 'z'))) {
        *ret_seconds = 0;
        return true;
    }
    if (len != OFFSET_BYTES || (*at != '+' && *at != '-') || at[3] != ':')
        return false;
    hours = digits_read(at + 1, 2);
    minutes = digits_read(at + 4, 2);
    if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59)
        return false;
    *ret_seconds = (hours * 60 + minutes) * (*at == '-' ? -60 : 60);
    return true;
}

/* Microseconds of `.345678`, moves *at behind it. False: a point without digits. */
static bool fraction_read(const uint8_t **at, const uint8_t *end, int *ret_us)
{
    const uint8_t *from = *at;
    int us = 0, unit = US_PER_SECOND;

    *ret_us = 0;
    if (from == end || *from != '.')
        return true;
    for ((*at)++; *at < end && **at >= '0' && **at <= '9'; (*at)++) {
        unit /= 10;
        us += (**at - '0') * unit;
    }
    *ret_us = us;
    return *at > from + 1;
}

bool cell_read_timestamp(const uint8_t *text, size_t len, int64_t *ret_us)
{
    const uint8_t *at = text + TIME_BYTES, *end = text + len;
    int year, month, day, hour, minute, second, offset, us;
    int64_t time;

    if (len < TIME_BYTES || text[4] != '-' || text[7] != '-' || text[13] != ':' ||
        text[16] != ':' || (text[10] != 'T' && text[10] != 't' && text[10] != ' '))
        return false;
    year = digits_read(text, 4);
    month = digits_read(text + 5, 2);
    day = digits_read(text + 8, 2);
    hour = digits_read(text + 11, 2);
    minute = digits_read(text + 14, 2);
    second = digits_read(text + 17, 2);
    if (year < 0 || month < 1 || month > 12 || day < 1 || day > month_days(year, month) ||
        hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59 ||
        !fraction_read(&at, end, &us) || !offset_read(at, (size_t)(end - at), &offset))
        return false;
    time = date_days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset;
    *ret_us = time * US_PER_SECOND + us;
    return *ret_us >= CELL_TIMESTAMP_MIN && *ret_us <= CELL_TIMESTAMP_MAX;
}

/* The letter's six bits, or something above 63. */
static uint32_t base64_bits(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return (uint32_t)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (uint32_t)(c - 'a' + 26);
    if (c >= '0' && c <= '9')
        return (uint32_t)(c - '0' + 52);
    return c == '+' ? 62 : c == '/' ? 63 : 64;
}

bool cell_read_base64(const uint8_t *text, size_t len, uint8_t *to, size_t *ret_len)
{
    uint8_t *from = to;

    if (len % 4 != 0)
        return false;
    for (size_t i = 0; i < len; i += 4) {
        const uint8_t *at = text + i;
        bool last = i + 4 == len;
        unsigned int pads = !last || at[3] != '=' ? 0 : at[2] != '=' ? 1 : 2;
        uint32_t a = base64_bits(at[0]), b = base64_bits(at[1]);
        uint32_t c = pads == 2 ? 0 : base64_bits(at[2]), d = pads > 0 ? 0 : base64_bits(at[3]);
        uint32_t bits = a << 18 | b << 12 | c << 6 | d;

        if (a > 63 || b > 63 || c > 63 || d > 63 || (bits & ((1U << 8 * pads) - 1)) != 0)
            return false;
        *to++ = (uint8_t)(bits >> 16);
        if (pads < 2)
            *to++ = (uint8_t)(bits >> 8);
        if (pads < 1)
            *to++ = (uint8_t)bits;
    }
    *ret_len = (size_t)(to - from);
    return true;
}
