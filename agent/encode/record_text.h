/*
 * record_text: typed records on their way into lines of text, straight from their payloads. Inner
 * part of csv and json_out.
 *
 * What a row of cells costs is mostly to make it, and to ask each cell again what it is and how
 * long it can become. Records of one schema have each field in the same place, so a line's bound
 * follows from the record's length, and what stands in a string is asked once of all strings
 * together: if none has a byte that the format writes otherwise, as in most, they are copied as
 * they are.
 *
 * Owns:   a record_text owns its steps; records are borrowed for a call, and were checked.
 * Thread: any one at a time.
 * Units:  bytes; places are offsets in the payload.
 */
#ifndef ENCODE_RECORD_TEXT_H
#define ENCODE_RECORD_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "encode/record.h"
#include "encode/text.h"
#include "shm_wire.h"

/* One for each column that is written. */
struct record_text_step {
    uint16_t at;
    uint16_t has_at;            /* the byte with its bit, */
    uint8_t has;                /* and the bit; 0: it always has a value */
    uint8_t type;               /* enum column_type */
};

struct record_text {
    struct record_text_step *steps;     /* owned */
    uint32_t count;
    uint32_t fixed_bytes;       /* strings and bytes stand behind them, their sum known */
};

/* The fields of these indexes. 0 or -ENOMEM; zeroed is fine for fini. */
int record_text_init(struct record_text *t, const struct record_plan *plan, const int32_t *fields,
                     uint32_t count);
void record_text_fini(struct record_text *t);

static inline bool record_text_has(const struct record_text_step *step, const uint8_t *payload)
{
    return step->has == 0 || (payload[step->has_at] & step->has) != 0;
}

/* The bytes of a string or of bytes. */
static inline const uint8_t *record_text_bytes(const struct record_text_step *step,
                                               const uint8_t *payload, uint32_t *ret_len)
{
    struct shm_ref ref;

    memcpy(&ref, payload + step->at, sizeof(ref));
    *ret_len = ref.len;
    return payload + ref.at;
}

/* Of another type. */
static inline uint8_t *record_text_scalar(uint8_t *to, const struct record_text_step *step,
                                          const uint8_t *payload)
{
    const uint8_t *at = payload + step->at;
    double f64;
    float f32;

    switch (step->type) {
    case COLUMN_BOOL:
        return text_bool(to, *at != 0);
    case COLUMN_I32:
        return text_i64(to, (int32_t)bytes_get_u32(at));
    case COLUMN_I64:
        return text_i64(to, (int64_t)bytes_get_u64(at));
    case COLUMN_U64:
        return text_u64(to, bytes_get_u64(at));
    case COLUMN_F32:
        memcpy(&f32, at, sizeof(f32));
        return text_f32(to, f32);
    case COLUMN_F64:
        memcpy(&f64, at, sizeof(f64));
        return text_f64(to, f64);
    default:
        return text_timestamp(to, (int64_t)bytes_get_u64(at));
    }
}

/* --- all strings at once -------------------------------------------------------------------- */

typedef uint8_t record_text_vector __attribute__((vector_size(16)));
typedef record_text_vector (*record_text_marks_fn)(record_text_vector v);   /* to be inlined */

/* Has no byte behind the fixed part a mark? */
static inline __attribute__((always_inline)) bool
record_text_plain(const struct record_text *t, const uint8_t *payload, uint32_t len,
                  record_text_marks_fn marks)
{
    record_text_vector v, found;
    const uint8_t *at = payload + t->fixed_bytes, *last = payload + len - sizeof(v);
    uint64_t words[2];

    len -= t->fixed_bytes;
    if (len >= sizeof(v)) {
        memcpy(&v, last, sizeof(v));
        found = marks(v);
        for (; at < last; at += sizeof(v)) {
            memcpy(&v, at, sizeof(v));
            found |= marks(v);
        }
    } else {
        words[0] = len < 8 ? text_tail(at, len) : bytes_get_u64(at);
        words[1] = len < 8 ? words[0] : bytes_get_u64(at + len - 8);
        memcpy(&v, words, sizeof(v));
        found = marks(v);
    }
    memcpy(words, &found, sizeof(words));
    return (words[0] | words[1]) == 0;
}

/* Copies what is plain, with no byte read behind the payload. */
static inline uint8_t *record_text_copy(uint8_t *to, const uint8_t *from, uint32_t len,
                                        const uint8_t *payload_end)
{
    enum { STEP = TEXT_SLACK };
    uint32_t at = 0;

    if (__builtin_expect((size_t)(payload_end - from) < (size_t)len + STEP, 0)) {
        if (len >= STEP) {
            for (; at < len - STEP; at += STEP)
                memcpy(to + at, from + at, STEP);
            memcpy(to + len - STEP, from + len - STEP, STEP);
        } else if (len >= 8) {
            bytes_put_u64(to + len - 8, bytes_get_u64(from + len - 8));
            bytes_put_u64(to, bytes_get_u64(from));
        } else {
            bytes_put_u64(to, text_tail(from, len));
        }
        return to + len;
    }
    do {
        memcpy(to + at, from + at, STEP);
        at += STEP;
    } while (at < len);
    return to + len;
}

#endif
