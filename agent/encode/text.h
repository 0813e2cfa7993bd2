/*
 * text: values as text, for every format that is made of it: numbers, times, base64, JSON escapes.
 * Pure.
 *
 * A function writes at `to` and returns the end of what it wrote. It may write up to TEXT_SLACK
 * bytes behind that end: the caller has room for the bound and the slack.
 *
 * Owns:   nothing.
 * Thread: any.
 * Units:  bytes.
 */
#ifndef ENCODE_TEXT_H
#define ENCODE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/blocks.h"
#include "encode/row.h"
#include "encode/schema.h"

enum {
    TEXT_SLACK = 16,
    TEXT_SCALAR_BYTES = 32,     /* the longest number or time; "false" and "-Infinity" too */
    TEXT_ESCAPED_MAX = 6,       /* bytes that one of a JSON string can become: \u001f */
    TEXT_STEP_BYTES = 3072,     /* that text_append() takes at a time; a multiple of 3 */
};

uint8_t *text_i64(uint8_t *to, int64_t v);
uint8_t *text_u64(uint8_t *to, uint64_t v);

/*
 * The shortest text that reads back as exactly this number, in plain notation from 1e-3 up to 1e15;
 * beyond these plain or with an exponent, whichever is shorter (1e-05, 1e+22). NaN, Infinity,
 * -Infinity; -0 keeps its sign.
 */
uint8_t *text_f64(uint8_t *to, double v);
uint8_t *text_f32(uint8_t *to, float v);

/*
 * RFC 3339 in UTC, always six digits of fraction: 2026-11-21T10:11:12.345678Z. Years that do not
 * have four digits have a sign and six, as ISO 8601 writes them: -000001, +012026.
 */
uint8_t *text_timestamp(uint8_t *to, int64_t us);

/* Is it text already, or bytes? Else it is null or a scalar: a bool, a number or a time. */
static inline bool text_cell_has(const struct cell *cell)
{
    return cell->type >= CELL_STRING;
}

static inline uint8_t *text_bool(uint8_t *to, bool v)
{
    memcpy(to, v ? "true" : "false", 5);
    return to + (v ? 4 : 5);
}

/* A scalar; type is its column's. */
static inline uint8_t *text_scalar(uint8_t *to, const struct cell *cell, enum column_type type)
{
    switch (cell->type) {
    case CELL_BOOL:
        return text_bool(to, cell->u.i != 0);
    case CELL_I64:
        return text_i64(to, cell->u.i);
    case CELL_U64:
        return text_u64(to, cell->u.u);
    case CELL_F64:
        return type == COLUMN_F32 ? text_f32(to, (float)cell->u.f) : text_f64(to, cell->u.f);
    default:
        return text_timestamp(to, cell->u.i);
    }
}

/*
 * Copies that change what they copy, and the most bytes that one byte becomes.
 *
 * text_base64 pads at the end, so what comes in several steps comes in multiples of 3.
 * text_folded makes spaces of line ends. text_escaped is for the inside of a JSON string.
 */
uint8_t *text_base64(uint8_t *to, const uint8_t *from, size_t len);
uint8_t *text_folded(uint8_t *to, const uint8_t *from, size_t len);
uint8_t *text_escaped(uint8_t *to, const uint8_t *from, size_t len);

static inline uint64_t text_base64_bytes(uint64_t len)
{
    return (len + 2) / 3 * 4;
}

typedef uint8_t *(*text_copy_fn)(uint8_t *to, const uint8_t *from, size_t len);

/* Appends what `copy` makes of it, wherever blocks end; the most it can become is reserved. */
void text_append(struct block_chain *out, text_copy_fn copy, const uint8_t *from, size_t len);

/* What was written from out->at up to `at`, within the block, becomes part of the chain. */
static inline void text_take(struct block_chain *out, uint8_t *at)
{
    out->total += (uint64_t)(at - out->at);
    out->at = at;
}

/*
 * For copies that look at eight bytes at a time: a mark in the top bit of each byte that is c, or
 * below n (1 to 128). The lowest mark is right, those above it may not be: a borrow spills over
 * from a byte that is marked.
 */
#define TEXT_ONES UINT64_C(0x0101010101010101)

static inline uint64_t text_marks_below(uint64_t word, uint8_t n)
{
    return (word - TEXT_ONES * n) & ~word & (TEXT_ONES << 7);
}

static inline uint64_t text_marks(uint64_t word, char c)
{
    return text_marks_below(word ^ (TEXT_ONES * (uint8_t)c), 1);
}

/* Less than eight bytes as a word, spaces behind them; nothing else is read. */
static inline uint64_t text_tail(const uint8_t *from, size_t len)
{
    uint64_t word = TEXT_ONES * ' ';
    uint32_t head, rest;

    if (len >= 4) {
        unsigned shift = (unsigned)(len - 4) * 8;

        memcpy(&head, from, 4);
        memcpy(&rest, from + len - 4, 4);
        return (word << 32 << shift) | (uint64_t)rest << shift | head;
    }
    for (size_t i = len; i > 0; i--)
        word = word << 8 | from[i - 1];
    return word;
}

#endif
