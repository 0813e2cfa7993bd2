/*
 * json_out: rows of cells as JSON lines.
 *
 * Before each value stands what never changes, brace or comma, name and colon, as one piece. Where
 * the block at hand may be too small for a row, its members go through chain_append() and
 * text_append() instead, and nothing else differs.
 *
 * Owns:   struct json_out.
 * Thread: any one at a time.
 * Units:  bytes.
 */
#include "encode/json_out.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "encode/text.h"

enum { QUOTES = 2 };

/* In quotes, that is: numbers and objects are not. */
static bool is_quoted(const struct cell *c)
{
    return c->type == CELL_STRING || c->type == CELL_BYTES || c->type == CELL_TIMESTAMP;
}

static uint64_t value_bytes_max(const struct cell *c)
{
    if (!text_cell_has(c))
        return TEXT_SCALAR_BYTES + QUOTES;
    if (c->type == CELL_STRING)
        return (uint64_t)c->len * TEXT_ESCAPED_MAX + QUOTES;
    return (c->type == CELL_BYTES ? text_base64_bytes(c->len) : c->len) + QUOTES;
}

int json_out_init(struct json_out *j, const struct schema *schema)
{
    uint32_t count = schema->count - schema->hidden;
    size_t most = 1 + TEXT_SLACK;
    uint8_t *at;

    for (uint32_t i = 0; i < count; i++)
        most += (size_t)schema->columns[schema->hidden + i].name_len * TEXT_ESCAPED_MAX + 4;
    *j = (struct json_out){.schema = schema, .names = BYTES_INIT};
    j->ends = malloc((count + 1) * sizeof(*j->ends));
    if (j->ends == NULL || bytes_reserve(&j->names, most)) {
        json_out_fini(j);
        return -ENOMEM;
    }
    at = j->names.data;
    for (uint32_t i = 0; i < count; i++) {
        const struct column *c = &schema->columns[schema->hidden + i];

        *at++ = i == 0 ? '{' : ',';
        *at++ = '"';
        at = text_escaped(at, (const uint8_t *)c->name, c->name_len);
        *at++ = '"';
        *at++ = ':';
        j->ends[i] = (uint32_t)(at - j->names.data);
    }
    j->names.len = (size_t)(at - j->names.data);
    return 0;
}

void json_out_fini(struct json_out *j)
{
    bytes_free(&j->names);
    free(j->ends);
    *j = (struct json_out){.names = BYTES_INIT};
}

uint64_t json_out_row_bytes_max(const struct json_out *j, const struct cell *cells)
{
    uint64_t most = j->names.len + sizeof("{}\n");

    for (uint32_t i = j->schema->hidden; i < j->schema->count; i++)
        most += value_bytes_max(&cells[i]);
    return most;
}

static uint8_t *null_put(uint8_t *at)
{
    memcpy(at, "null", 4);
    return at + 4;
}

static uint8_t *scalar_put(uint8_t *at, const struct cell *c, enum column_type type)
{
    if (c->type == CELL_NULL || (c->type == CELL_F64 && !isfinite(c->u.f)))
        return null_put(at);
    return text_scalar(at, c, type);
}

static text_copy_fn value_copy(const struct cell *c)
{
    return c->type == CELL_STRING  ? text_escaped
           : c->type == CELL_BYTES ? text_base64
                                   : text_folded;
}

/* With room for the most that it can become, and for the slack. */
static inline uint8_t *value_put(uint8_t *at, const struct cell *c, enum column_type type)
{
    bool quoted = is_quoted(c);

    *at = '"';
    at += quoted;
    if (!text_cell_has(c))
        at = scalar_put(at, c, type);
    else if (c->type == CELL_STRING)
        at = text_escaped(at, c->u.s, c->len);
    else
        at = value_copy(c)(at, c->u.s, c->len);
    *at = '"';
    return at + quoted;
}

/* The same wherever blocks end. */
static void value_append(struct block_chain *out, const struct cell *c, enum column_type type)
{
    uint8_t aside[TEXT_SCALAR_BYTES + QUOTES + TEXT_SLACK];
    bool quoted = is_quoted(c);

    if (!text_cell_has(c)) {
        chain_append(out, aside, (size_t)(value_put(aside, c, type) - aside));
        return;
    }
    if (quoted)
        chain_append(out, "\"", 1);
    text_append(out, value_copy(c), c->u.s, c->len);
    if (quoted)
        chain_append(out, "\"", 1);
}

/* Most are short: no call. Both sides have the slack for whole steps. */
static void name_put(uint8_t *to, const uint8_t *name, size_t len)
{
    for (size_t at = 0; at < len; at += TEXT_SLACK)
        memcpy(to + at, name + at, TEXT_SLACK);
}

/* A row that may not be all in one block. */
static __attribute__((noinline)) void row_append(const struct json_out *j,
                                                 const struct cell *cells, struct block_chain *out)
{
    const struct schema *s = j->schema;
    uint32_t from = 0;

    for (uint32_t i = s->hidden; i < s->count; i++) {
        uint32_t end = j->ends[i - s->hidden];

        chain_append(out, j->names.data + from, end - from);
        value_append(out, &cells[i], (enum column_type)s->columns[i].type);
        from = end;
    }
    if (s->count == s->hidden)
        chain_append(out, "{}\n", 3);
    else
        chain_append(out, "}\n", 2);
}

void json_out_row(const struct json_out *j, const struct cell *cells, uint64_t most,
                  struct block_chain *out)
{
    const struct schema *s = j->schema;
    const uint8_t *name = j->names.data;
    uint8_t *at = out->at;

    if (s->count == s->hidden || (uint64_t)(out->end - at) < most + TEXT_SLACK) {
        row_append(j, cells, out);
        return;
    }
    for (uint32_t i = s->hidden; i < s->count; i++) {
        const uint8_t *name_end = j->names.data + j->ends[i - s->hidden];

        name_put(at, name, (size_t)(name_end - name));
        at = value_put(at + (name_end - name), &cells[i], (enum column_type)s->columns[i].type);
        name = name_end;
    }
    memcpy(at, "}\n", 2);
    text_take(out, at + 2);
}

/* --- records -------------------------------------------------------------------------------- */

uint64_t json_out_record_bytes_max(const struct json_out *j, const struct record_text *t,
                                   uint32_t len)
{
    return j->names.len + sizeof("{}\n") + (uint64_t)t->count * (TEXT_SCALAR_BYTES + QUOTES)
           + (uint64_t)(len - t->fixed_bytes) * TEXT_ESCAPED_MAX;
}

static inline record_text_vector vector_escapes(record_text_vector v)
{
    return (record_text_vector)((v < 0x20) | (v == '"') | (v == '\\'));
}

static bool float_is_finite(const struct record_text_step *step, const uint8_t *payload)
{
    float f32;
    double f64;

    if (step->type == COLUMN_F32) {
        memcpy(&f32, payload + step->at, sizeof(f32));
        return isfinite(f32);
    }
    memcpy(&f64, payload + step->at, sizeof(f64));
    return isfinite(f64);
}

static inline uint8_t *record_value_put(uint8_t *at, const struct record_text_step *step,
                                        const uint8_t *payload, uint32_t payload_len, bool plain)
{
    const uint8_t *from;
    uint32_t len;

    switch (step->type) {
    case COLUMN_STRING:
    case COLUMN_BYTES:
        from = record_text_bytes(step, payload, &len);
        *at++ = '"';
        if (step->type == COLUMN_BYTES)
            at = text_base64(at, from, len);
        else if (plain)
            at = record_text_copy(at, from, len, payload + payload_len);
        else
            at = text_escaped(at, from, len);
        *at++ = '"';
        return at;
    case COLUMN_TIMESTAMP:
        *at++ = '"';
        at = record_text_scalar(at, step, payload);
        *at++ = '"';
        return at;
    case COLUMN_F32:
    case COLUMN_F64:
        if (!float_is_finite(step, payload))
            return null_put(at);
        /* fall through */
    default:
        return record_text_scalar(at, step, payload);
    }
}

bool json_out_record(const struct json_out *j, const struct record_text *t, const uint8_t *payload,
                     uint32_t len, uint64_t most, struct block_chain *out)
{
    const uint8_t *name = j->names.data;
    uint8_t *at = out->at;
    bool plain;

    if ((uint64_t)(out->end - at) < most + TEXT_SLACK)
        return false;
    plain = record_text_plain(t, payload, len, vector_escapes);
    for (uint32_t i = 0; i < t->count; i++) {
        const struct record_text_step *step = &t->steps[i];
        const uint8_t *name_end = j->names.data + j->ends[i];

        name_put(at, name, (size_t)(name_end - name));
        at += name_end - name;
        at = record_text_has(step, payload) ? record_value_put(at, step, payload, len, plain)
                                            : null_put(at);
        name = name_end;
    }
    memcpy(at, "}\n", 2);
    text_take(out, at + 2);
    return true;
}
