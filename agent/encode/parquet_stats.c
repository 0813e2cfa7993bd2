/*
 * parquet_stats: least and greatest, in the order of each type: numbers as numbers, u64 unsigned,
 * strings and bytes as unsigned bytes.
 *
 * Of floating point numbers a zero is -0 as the least and +0 as the greatest, as the format asks;
 * where there is a NaN there are no bounds at all: readers do not agree where it belongs.
 *
 * Owns:   nothing.
 * Thread: any.
 */
#include "encode/parquet_stats.h"

#include <math.h>
#include <string.h>

#include "base/bytes.h"

static void bound_put(struct parquet_bound *b, const void *data, size_t len)
{
    memcpy(b->data, data, len);
    b->len = (uint8_t)len;
    b->exact = true;
}

static void known(struct parquet_stats *s, const void *min, const void *max, size_t len)
{
    s->state = PARQUET_STATS_KNOWN;
    bound_put(&s->min, min, len);
    bound_put(&s->max, max, len);
}

/* For integers: a loop for each type, with nothing in it but two comparisons. */
#define STATS_OF_INTEGERS(name, number)                                                           \
    static void name(const uint8_t *values, size_t len, struct parquet_stats *s)                  \
    {                                                                                             \
        number min, max, v;                                                                       \
                                                                                                  \
        memcpy(&min, values, sizeof(min));                                                        \
        max = min;                                                                                \
        for (size_t i = sizeof(v); i < len; i += sizeof(v)) {                                     \
            memcpy(&v, values + i, sizeof(v));                                                    \
            min = v < min ? v : min;                                                              \
            max = v > max ? v : max;                                                              \
        }                                                                                         \
        known(s, &min, &max, sizeof(min));                                                        \
    }

#define STATS_OF_FLOATS(name, number)                                                             \
    static void name(const uint8_t *values, size_t len, struct parquet_stats *s)                  \
    {                                                                                             \
        number min = (number)INFINITY, max = -(number)INFINITY, v;                                \
        bool nan = false;                                                                         \
                                                                                                  \
        for (size_t i = 0; i < len; i += sizeof(v)) {                                             \
            memcpy(&v, values + i, sizeof(v));                                                    \
            min = v < min ? v : min;                                                              \
            max = v > max ? v : max;                                                              \
            nan |= isnan(v) != 0;                                                                 \
        }                                                                                         \
        if (nan) {                                                                                \
            s->state = PARQUET_STATS_NONE;                                                        \
            return;                                                                               \
        }                                                                                         \
        min = min == 0 ? -(number)0 : min;                                                        \
        max = max == 0 ? (number)0 : max;                                                         \
        known(s, &min, &max, sizeof(min));                                                        \
    }

STATS_OF_INTEGERS(stats_of_bool, uint8_t)
STATS_OF_INTEGERS(stats_of_i32, int32_t)
STATS_OF_INTEGERS(stats_of_i64, int64_t)
STATS_OF_INTEGERS(stats_of_u64, uint64_t)
STATS_OF_FLOATS(stats_of_f32, float)
STATS_OF_FLOATS(stats_of_f64, double)

/* --- strings -------------------------------------------------------------------------------- */

struct string {
    const uint8_t *data;
    size_t len;
};

static inline bool string_less(const struct string *a, const struct string *b)
{
    int order = memcmp(a->data, b->data, a->len < b->len ? a->len : b->len);

    return order < 0 || (order == 0 && a->len < b->len);
}

/* Where the character begins that the byte at `at` belongs to; what is no UTF-8 may begin there. */
static size_t character_start(const uint8_t *data, size_t at)
{
    size_t start = at;

    while (start > 0 && at - start < 3 && (data[start] & 0xc0) == 0x80)
        start--;
    return (data[start] & 0xc0) == 0x80 ? at : start;
}

static void bound_below(struct parquet_bound *b, const struct string *v)
{
    size_t len = v->len;

    if (len > PARQUET_BOUND_BYTES_MAX)
        len = character_start(v->data, PARQUET_BOUND_BYTES_MAX);
    bound_put(b, v->data, len);
    b->exact = len == v->len;
}

/*
 * Cut, and its last byte that allows it counted up by one. In text only an ASCII byte does, so that
 * it stays text. False: there is no such byte.
 */
static bool bound_above(enum column_type type, struct parquet_bound *b, const struct string *v)
{
    uint8_t last = type == COLUMN_STRING ? 0x7f : 0xff;
    size_t len = PARQUET_BOUND_BYTES_MAX;

    if (v->len <= PARQUET_BOUND_BYTES_MAX) {
        bound_put(b, v->data, v->len);
        return true;
    }
    while (len > 0 && v->data[len - 1] >= last)
        len--;
    if (len == 0)
        return false;
    bound_put(b, v->data, len);
    b->data[len - 1]++;
    b->exact = false;
    return true;
}

/*
 * Least and greatest so far, and the quick look that most values need: whether one begins with what
 * both begin with, in whole words, and by the word behind that stands between them.
 */
struct range {
    struct string min, max;
    size_t same;                /* a multiple of the word */
    uint64_t low, high;         /* the words behind; low > high: there are none in both */
};

static void range_set(struct range *r, const struct string *min, const struct string *max)
{
    size_t len = min->len < max->len ? min->len : max->len, at = 0;

    *r = (struct range){.min = *min, .max = *max, .low = 1};
    for (; len - at >= sizeof(r->low); at += sizeof(r->low)) {
        r->low = __builtin_bswap64(bytes_get_u64(min->data + at));
        r->high = __builtin_bswap64(bytes_get_u64(max->data + at));
        if (r->low != r->high)
            break;
    }
    r->same = at;
    if (len - at < sizeof(r->low)) {
        r->low = 1;
        r->high = 0;
    }
}

static inline bool range_surely_has(const struct range *r, const struct string *v)
{
    uint64_t differ = 0, word;

    if (v->len < r->same + sizeof(word))
        return false;
    for (size_t at = 0; at < r->same; at += sizeof(word))
        differ |= bytes_get_u64(v->data + at) ^ bytes_get_u64(r->min.data + at);
    word = __builtin_bswap64(bytes_get_u64(v->data + r->same));
    return differ == 0 && word > r->low && word < r->high;
}

static void stats_of_strings(enum column_type type, const uint8_t *values, size_t len,
                             struct parquet_stats *s)
{
    const uint8_t *at = values, *end = values + len;
    struct string v = {at + 4, bytes_get_u32(at)};
    struct range r;

    range_set(&r, &v, &v);
    for (at = v.data + v.len; at < end; at = v.data + v.len) {
        v = (struct string){at + 4, bytes_get_u32(at)};
        if (__builtin_expect(range_surely_has(&r, &v), 1))
            continue;
        if (string_less(&v, &r.min))
            range_set(&r, &v, &r.max);
        else if (string_less(&r.max, &v))
            range_set(&r, &r.min, &v);
    }
    bound_below(&s->min, &r.min);
    s->state = bound_above(type, &s->max, &r.max) ? PARQUET_STATS_KNOWN : PARQUET_STATS_MIN_ONLY;
}

/* -------------------------------------------------------------------------------------------- */

void parquet_stats_make(enum column_type type, const uint8_t *values, size_t len,
                        struct parquet_stats *ret_stats)
{
    ret_stats->state = PARQUET_STATS_EMPTY;
    if (len == 0)
        return;
    switch (type) {
    case COLUMN_BOOL:
        stats_of_bool(values, len, ret_stats);
        break;
    case COLUMN_I32:
        stats_of_i32(values, len, ret_stats);
        break;
    case COLUMN_I64:
    case COLUMN_TIMESTAMP:
        stats_of_i64(values, len, ret_stats);
        break;
    case COLUMN_U64:
        stats_of_u64(values, len, ret_stats);
        break;
    case COLUMN_F32:
        stats_of_f32(values, len, ret_stats);
        break;
    case COLUMN_F64:
        stats_of_f64(values, len, ret_stats);
        break;
    case COLUMN_STRING:
    case COLUMN_BYTES:
        stats_of_strings(type, values, len, ret_stats);
        break;
    case COLUMN_TYPE_COUNT:
        break;
    }
}

static bool bound_less(enum column_type type, const struct parquet_bound *a,
                       const struct parquet_bound *b)
{
    struct parquet_stats both;
    uint8_t pair[2 * sizeof(uint64_t)];
    struct string x = {a->data, a->len}, y = {b->data, b->len};

    if (type == COLUMN_STRING || type == COLUMN_BYTES)
        return string_less(&x, &y);
    /* Numbers: the least of the two says it. */
    memcpy(pair, a->data, a->len);
    memcpy(pair + a->len, b->data, b->len);
    parquet_stats_make(type, pair, (size_t)a->len + b->len, &both);
    return memcmp(both.min.data, b->data, b->len) != 0;
}

/* Of two bounds that say the same, it is enough that one is a value. */
static void bound_take(struct parquet_bound *into, const struct parquet_bound *from, bool better)
{
    if (better)
        *into = *from;
    else if (into->len == from->len && memcmp(into->data, from->data, from->len) == 0)
        into->exact |= from->exact;
}

void parquet_stats_merge(enum column_type type, struct parquet_stats *into,
                         const struct parquet_stats *more)
{
    if (more->state == PARQUET_STATS_EMPTY)
        return;
    if (into->state == PARQUET_STATS_EMPTY) {
        *into = *more;
        return;
    }
    if (more->state > into->state)
        into->state = more->state;
    if (into->state == PARQUET_STATS_NONE)
        return;
    bound_take(&into->min, &more->min, bound_less(type, &more->min, &into->min));
    if (into->state == PARQUET_STATS_KNOWN)
        bound_take(&into->max, &more->max, bound_less(type, &into->max, &more->max));
}
