/*
 * json_reader: walks the members of one JSON object, once, and checks all of it on the way, nested
 * and unwanted values too: exactly what json_classify() calls an object gets to its end. For the
 * sources that make something of JSON events: rows, columns, other objects.
 *
 * One pass, made for short events of one shape. The keys that matter are known beforehand; the one
 * that followed in the event before is expected again and compared as it is written, two words at
 * once, so that the usual key is neither looked at byte by byte nor looked up. Strings are taken 16
 * bytes at a time, digits eight. Nothing is read outside of the text: its last byte is known to be
 * a brace, at which every loop ends, and words near the end are loaded backwards from there.
 *
 * Owns:   a reader owns its names and a scratch for what has escapes, which grows to the size of
 *         the largest such event. The text is borrowed from begin to the next begin.
 * Thread: any one at a time.
 * Units:  bytes.
 */
#ifndef ENCODE_JSON_READER_H
#define ENCODE_JSON_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/bytes.h"
#include "encode/json_number.h"
#include "encode/schema.h"

enum {
    JSON_SKIPPED_LEARNED_MAX = 256,     /* names that are remembered only to be expected */
    JSON_WORK_BYTES_MIN = 16,           /* shorter texts are moved to where so much can be read */
};

/* A name as it stands in the text, if it needs no escape there. */
struct json_key {
    uint64_t head[2], mask[2];  /* its first 16 bytes, quotes included */
    uint32_t len;               /* with quotes */
    uint32_t next;              /* the one that followed last time, of reader.keys; 0: none */
    int32_t index;              /* what a member of that name gets */
    uint8_t quick;              /* enum column_type of known names that head shows whole, else 0 */
};

enum json_step { JSON_STEP_END, JSON_STEP_BROKEN, JSON_STEP_NO_MEMORY };

struct json_reader {
    const uint8_t *begin, *end; /* borrowed; the last byte is a brace */
    const uint8_t *open;        /* the first brace */
    struct json_key *keys;      /* owned; 0: before the first, 1: skipped names, then known ones */
    uint32_t keys_cap, skip_cap;
    uint32_t prev;              /* the key of the member before */
    int32_t others;             /* what other members get */
    bool high;                  /* bytes above 0x7f were seen */
    enum json_step step;        /* how the walk ended */
    const char *why;            /* it broke */
    const uint8_t *where;
    struct schema known, skipped;       /* skipped: the learned ones too */
    struct bytes scratch;
    uint8_t small[2 * JSON_WORK_BYTES_MIN];
};

enum json_kind { JSON_KIND_NULL, JSON_KIND_BOOL, JSON_KIND_NUMBER, JSON_KIND_STRING,
                 JSON_KIND_NESTED };

enum { JSON_KEY_SKIPPED = -1, JSON_KEY_UNKNOWN = -2, JSON_KEY_OTHER = -3 };

/* No bytes in it: to store one, compilers think, may change anything. */
struct json_member {
    int32_t index;              /* of reader.known, or negative */
    enum json_kind kind;
    bool escaped;               /* of a string */
    uint32_t len;
    const uint8_t *text;        /* as written; of a string what stands between its quotes */
    const uint8_t *key;         /* its opening quote */
    const uint8_t *name;        /* unescaped, only of JSON_KEY_UNKNOWN */
    uint32_t name_len;
    struct json_number number;
};

/*
 * Members named in `skip` (NULL: none) get JSON_KEY_SKIPPED, all that have no name here `others`:
 * JSON_KEY_UNKNOWN, with their name; or one of the other two, and then their names are learned, to
 * be expected too. Both sets are copied. 0 or -ENOMEM; fini in any case, and of a zeroed one.
 */
int json_reader_init(struct json_reader *r, const struct schema *known, const struct schema *skip,
                     int32_t others);
void json_reader_fini(struct json_reader *r);

/* One more known name, from the next event on: its index, or as schema_add() fails. */
int json_reader_add(struct json_reader *r, const void *name, size_t len, enum column_type type);

/*
 *     const uint8_t *at = json_reader_begin(r, data, len);
 *
 *     while ((at = json_reader_next(r, at, &m)) != NULL)
 *         ...
 *     if (r->step == JSON_STEP_END)
 */
const uint8_t *json_reader_begin(struct json_reader *r, const uint8_t *data, size_t len);

/* Room in the scratch behind what is there, for whatever an event's strings become; -ENOMEM. */
int json_reader_room(struct json_reader *r);

/* Where the walk broke. */
size_t json_reader_where(const struct json_reader *r);

/* Parts of the walk below that are long or rare. All give NULL where they end the walk. */
const uint8_t *json_reader_fail(struct json_reader *r, const uint8_t *at, const char *why);
const uint8_t *json_reader_first(struct json_reader *r, const uint8_t *at);
const uint8_t *json_reader_string(struct json_reader *r, const uint8_t *at, bool *ret_escaped);
const uint8_t *json_reader_find(struct json_reader *r, const uint8_t *at, struct json_member *m);
const uint8_t *json_reader_nested(struct json_reader *r, const uint8_t *at);
int json_reader_unescape(struct json_reader *r, const struct json_member *m,
                         const uint8_t **ret_text, uint32_t *ret_len);
size_t json_escape_bytes(const uint8_t *at);

/* The text of a string, unescaped if it must be; -ENOMEM. Lives until the next begin. */
static inline int json_reader_text(struct json_reader *r, const struct json_member *m,
                                   const uint8_t **ret_text, uint32_t *ret_len)
{
    if (__builtin_expect(m->escaped, 0))
        return json_reader_unescape(r, m, ret_text, ret_len);
    *ret_text = m->text;
    *ret_len = m->len;
    return 0;
}

static inline const uint8_t *json_read_space(const uint8_t *at)
{
    while (*at <= ' ' && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
        at++;
    return at;
}

/* Eight bytes, zeros behind the end. at < end. */
static inline uint64_t json_read_load(const struct json_reader *r, const uint8_t *at)
{
    size_t left = (size_t)(r->end - at);

    if (left >= sizeof(uint64_t))
        return bytes_get_u64(at);
    return bytes_get_u64(r->end - sizeof(uint64_t)) >> (64 - 8 * left);
}

/* --- strings ------------------------------------------------------------------------------- */

/*
 * Marks the bytes at which a plain string may end: quote, backslash, controls, and all that is not
 * ASCII; JSON_MARK_BITS for each byte.
 */
#ifdef __SSE2__
enum { JSON_MARK_BYTES = 16, JSON_MARK_BITS = 1 };

static inline uint64_t json_read_mark(const uint8_t *at)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
    __m128i quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'));
    __m128i backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'));
    __m128i other = _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20));     /* signed */

    return (uint32_t)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, backslash), other));
}
#else
enum { JSON_MARK_BYTES = 8, JSON_MARK_BITS = 8 };

static inline uint64_t json_read_mark(const uint8_t *at)
{
    const uint64_t ones = 0x0101010101010101ULL, low = ones * 0x7f;
    uint64_t word = bytes_get_u64(at);
    uint64_t quote = word ^ (ones * '"'), backslash = word ^ (ones * '\\');

    /* Sums of seven bits, so that none carries: a top bit stays clear below 0x20, or at zero. */
    return ~(((word & low) + ones * 0x60) & ~word & ((quote & low) + low) &
             ((backslash & low) + low)) & (ones * 0x80);
}
#endif

/* `at` is behind the opening quote; the closing one, or NULL. */
static inline const uint8_t *json_read_string(struct json_reader *r, const uint8_t *at,
                                              bool *ret_escaped)
{
    uint64_t marks;

    for (; r->end - at >= JSON_MARK_BYTES; at += JSON_MARK_BYTES) {
        marks = json_read_mark(at);
        if (marks != 0) {
            at += __builtin_ctzll(marks) / JSON_MARK_BITS;
            if (__builtin_expect(*at != '"', 0))
                break;
            *ret_escaped = false;
            return at;
        }
    }
    return json_reader_string(r, at, ret_escaped);
}

/* --- keys ---------------------------------------------------------------------------------- */

/* The name behind its first 15 bytes, for those that do not fit into two words. */
static inline bool json_read_key_tail(const struct json_reader *r, uint32_t id, const uint8_t *at)
{
    const struct column *c = id <= r->skip_cap ? &r->skipped.columns[id - 1]
                                               : &r->known.columns[id - 1 - r->skip_cap];

    return (size_t)(r->end - at) > (size_t)c->name_len + 2 &&
        memcmp(at + 16, c->name + 15, c->name_len - 15) == 0 && at[c->name_len + 1] == '"';
}

/* The one before the first is none. */
static inline bool json_read_key_is(const struct json_reader *r, uint32_t id, const uint8_t *at)
{
    const struct json_key *key = &r->keys[id];

    if (((json_read_load(r, at) ^ key->head[0]) & key->mask[0]) != 0)
        return false;
    if (key->len <= 8)
        return true;
    if (r->end - at <= 8 || ((json_read_load(r, at + 8) ^ key->head[1]) & key->mask[1]) != 0)
        return false;
    return key->len <= 16 || json_read_key_tail(r, id, at);
}

/* Behind the key, or NULL. */
static inline const uint8_t *json_read_key(struct json_reader *r, const uint8_t *at,
                                           struct json_member *m)
{
    uint32_t id = r->keys[r->prev].next;

    m->key = at;
    if (__builtin_expect(!json_read_key_is(r, id, at), 0))
        return json_reader_find(r, at, m);
    r->prev = id;
    m->index = r->keys[id].index;
    return at + r->keys[id].len;
}

/* --- values -------------------------------------------------------------------------------- */

/* Eight digits, the first one in the lowest byte, each already a number. */
static inline uint64_t json_read_digits_value(uint64_t w)
{
    w = w * 10 + (w >> 8);
    return ((w & 0x000000ff000000ffULL) * 0x000f424000000064ULL +
            ((w >> 16) & 0x000000ff000000ffULL) * 0x0000271000000001ULL) >> 32;
}

/* Behind the digits at `at`; *value = *value * 10^n + what they say, modulo 2^64. */
static inline const uint8_t *json_read_digits(const struct json_reader *r, const uint8_t *at,
                                              uint64_t *value)
{
    static const uint32_t power[8] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000};
    const uint64_t ones = 0x0101010101010101ULL;

    for (;;) {
        uint64_t w = json_read_load(r, at) ^ (ones * '0');
        uint64_t other = (w | (w + ones * 0x76)) & (ones * 0x80);
        unsigned int digits;

        if (other != 0) {
            digits = (unsigned int)__builtin_ctzll(other) / 8;
            if (digits > 0)
                *value = *value * power[digits] + json_read_digits_value(w << (64 - 8 * digits));
            return at + digits;
        }
        *value = *value * 100000000 + json_read_digits_value(w);
        at += 8;
    }
}

/* Behind the exponent, or NULL. */
static inline const uint8_t *json_read_exponent(const uint8_t *at, int32_t *exponent)
{
    bool negative = at[1] == '-';
    int32_t value = 0;
    const uint8_t *from = at + 1 + (negative || at[1] == '+');

    for (at = from; (uint8_t)(*at - '0') < 10; at++)
        if (value < JSON_EXPONENT_MAX)
            value = value * 10 + (*at - '0');
    *exponent += negative ? -value : value;
    return at > from ? at : NULL;
}

/* Behind the number, or NULL. */
static inline const uint8_t *json_read_number(struct json_reader *r, const uint8_t *at,
                                              struct json_number *n)
{
    const uint8_t *from;
    uint64_t value = 0;

    n->negative = *at == '-';
    n->integer = true;
    n->exponent = 0;
    from = at += n->negative;
    at = json_read_digits(r, at, &value);
    n->digits = (uint32_t)(at - from);
    if (n->digits == 0 || (*from == '0' && n->digits > 1))
        return json_reader_fail(r, from, "no value, or a number that JSON does not allow");
    n->leading = *from;
    if (*at == '.') {
        from = ++at;
        at = json_read_digits(r, at, &value);
        n->exponent = (int32_t)(from - at);
        n->digits += (uint32_t)(at - from);
        n->integer = false;
        if (at == from)
            return json_reader_fail(r, at, "a number without a digit behind its point");
    }
    if (*at == 'e' || *at == 'E') {
        from = at;
        at = json_read_exponent(at, &n->exponent);
        n->integer = false;
        if (!at)
            return json_reader_fail(r, from, "a number without digits in its exponent");
    }
    n->mantissa = value;
    return at;
}

/* Behind a literal, or NULL. What follows is looked at by the caller. */
static inline const uint8_t *json_read_literal(struct json_reader *r, const uint8_t *at)
{
    size_t left = (size_t)(r->end - at);

    if (left > 4 && (memcmp(at, "true", 4) == 0 || memcmp(at, "null", 4) == 0))
        return at + 4;
    if (left > 5 && memcmp(at, "false", 5) == 0)
        return at + 5;
    return json_reader_fail(r, at, "a word that is none of true, false and null");
}

/* Behind the value, or NULL. */
static inline const uint8_t *json_read_value(struct json_reader *r, const uint8_t *at,
                                             struct json_member *m)
{
    const uint8_t *behind;

    if (*at == '"') {
        m->kind = JSON_KIND_STRING;
        m->text = at + 1;
        behind = json_read_string(r, at + 1, &m->escaped);
        if (!behind)
            return NULL;
        m->len = (uint32_t)(behind - m->text);
        return behind + 1;
    }
    m->text = at;
    switch (*at) {
    case '{':
    case '[':
        m->kind = JSON_KIND_NESTED;
        behind = json_reader_nested(r, at);
        break;
    case 't':
    case 'f':
    case 'n':
        m->kind = *at == 'n' ? JSON_KIND_NULL : JSON_KIND_BOOL;
        behind = json_read_literal(r, at);
        break;
    default:
        m->kind = JSON_KIND_NUMBER;
        behind = json_read_number(r, at, &m->number);
        break;
    }
    if (behind)
        m->len = (uint32_t)(behind - m->text);
    return behind;
}

/* Behind the next member; NULL: there is none, r->step says why. at: behind the one before. */
static inline const uint8_t *json_reader_next(struct json_reader *r, const uint8_t *at,
                                              struct json_member *m)
{
    if (!at)
        return NULL;
    at = json_read_space(at);
    if (*at == ',')
        at++;
    else if (!(at = json_reader_first(r, at)))
        return NULL;
    at = json_read_key(r, json_read_space(at), m);
    if (!at)
        return NULL;
    at = json_read_space(at);
    if (*at != ':')
        return json_reader_fail(r, at, "a colon is expected behind a key");
    return json_read_value(r, json_read_space(at + 1), m);
}

#endif
