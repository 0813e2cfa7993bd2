/*
 * csv: rows of cells as comma-separated values.
 *
 * A field is copied and looked at in one go, as if it needed no quotes, which few do; those that do
 * are copied once more. Where the block at hand may be too small for a row, its fields go through
 * text_append() instead, and nothing else differs.
 *
 * Owns:   nothing.
 * Thread: any one at a time.
 * Units:  bytes.
 */
#include "encode/csv.h"

#include <string.h>

#include "encode/text.h"

enum {
    CSV_GROWTH = 2,             /* a quote is doubled; base64 is less, but for its padding */
    CSV_QUOTES = 4,             /* around a field; covers that padding */
};

static uint64_t field_bytes_max(const struct cell *c)
{
    return text_cell_has(c) ? (uint64_t)c->len * CSV_GROWTH + CSV_QUOTES : TEXT_SCALAR_BYTES;
}

uint64_t csv_row_bytes_max(const struct schema *s, const struct cell *cells)
{
    uint64_t most = 1;

    for (uint32_t i = s->hidden; i < s->count; i++)
        most += field_bytes_max(&cells[i]) + 1;
    return most;
}

/* --- what must be quoted -------------------------------------------------------------------- */

static inline uint64_t word_specials(uint64_t word)
{
    return text_marks(word, ',') | text_marks(word, '"') | text_marks(word, '\n')
           | text_marks(word, '\r');
}

/* Copies less than 16 bytes; not 0: one of them is special. */
static inline uint64_t short_copy(uint8_t *to, const uint8_t *from, size_t len)
{
    uint64_t first, last;

    if (len < sizeof(first)) {
        first = text_tail(from, len);
        memcpy(to, &first, sizeof(first));
        return word_specials(first);
    }
    memcpy(&first, from, sizeof(first));
    memcpy(&last, from + len - sizeof(last), sizeof(last));
    memcpy(to, &first, sizeof(first));
    memcpy(to + len - sizeof(last), &last, sizeof(last));
    return word_specials(first) | word_specials(last);
}

typedef record_text_vector vector;

static inline vector vector_specials(vector v)
{
    return (vector)((v == ',') | (v == '"') | (v == '\n') | (v == '\r'));
}

static vector vector_copy(uint8_t *to, const uint8_t *from)
{
    vector v;

    memcpy(&v, from, sizeof(v));
    memcpy(to, &v, sizeof(v));
    return vector_specials(v);
}

/* Copies; true: something in it asks for quotes. */
static inline bool copy_specials(uint8_t *to, const uint8_t *from, size_t len)
{
    vector found = {0};
    uint64_t halves[2];

    if (len < sizeof(vector))
        return short_copy(to, from, len) != 0;
    for (size_t at = 0; at <= len - sizeof(vector); at += sizeof(vector))
        found |= vector_copy(to + at, from + at);
    found |= vector_copy(to + len - sizeof(vector), from + len - sizeof(vector));
    memcpy(halves, &found, sizeof(halves));
    return (halves[0] | halves[1]) != 0;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

/* Readers take a byte order mark at the start of a file away, but not from within quotes. */
static bool ends_ask_quotes(const uint8_t *from, size_t len)
{
    return len == 0 || is_blank(from[0]) || is_blank(from[len - 1]) || from[0] == 0xef;
}

/* --- copies --------------------------------------------------------------------------------- */

static uint8_t *copy_doubled(uint8_t *to, const uint8_t *from, size_t len)
{
    for (size_t at = 0; at < len;) {
        size_t rest = len - at, plain = rest < 8 ? rest : 8;
        uint64_t word, marks;

        if (rest >= sizeof(word))
            memcpy(&word, from + at, sizeof(word));
        else
            word = text_tail(from + at, rest);
        memcpy(to, &word, sizeof(word));
        marks = text_marks(word, '"');
        if (marks != 0)
            plain = (size_t)__builtin_ctzll(marks) / 8 + 1;
        at += plain;
        to += plain;
        if (marks != 0)
            *to++ = '"';
    }
    return to;
}

static uint8_t *copy_doubled_folded(uint8_t *to, const uint8_t *from, size_t len)
{
    uint8_t folded[TEXT_STEP_BYTES + TEXT_SLACK];

    while (len > 0) {
        size_t step = len < TEXT_STEP_BYTES ? len : TEXT_STEP_BYTES;

        (void)text_folded(folded, from, step);
        to = copy_doubled(to, folded, step);
        from += step;
        len -= step;
    }
    return to;
}

/* What becomes of a field's text. Without quotes in it, that is the text itself. */
static text_copy_fn field_copy(const struct cell *c)
{
    return c->type == CELL_BYTES  ? text_base64
           : c->type == CELL_JSON ? copy_doubled_folded
                                  : copy_doubled;
}

/* --- rows ----------------------------------------------------------------------------------- */

/* What is text already, or bytes. */
static inline uint8_t *text_put(uint8_t *at, const struct cell *c)
{
    if (c->type == CELL_BYTES && c->len > 0)
        return text_base64(at, c->u.s, c->len);
    if (!ends_ask_quotes(c->u.s, c->len) && !copy_specials(at, c->u.s, c->len))
        return at + c->len;
    *at++ = '"';
    at = field_copy(c)(at, c->u.s, c->len);
    *at++ = '"';
    return at;
}

/* With room for the most that it can become, and for the slack. */
static inline uint8_t *field_put(uint8_t *at, const struct cell *c, enum column_type type)
{
    if (c->type == CELL_NULL)
        return at;
    return text_cell_has(c) ? text_put(at, c) : text_scalar(at, c, type);
}

static bool field_quoted(const struct cell *c)
{
    uint8_t aside[TEXT_STEP_BYTES + TEXT_SLACK];

    if (c->type == CELL_BYTES && c->len > 0)
        return false;
    if (ends_ask_quotes(c->u.s, c->len))
        return true;
    for (size_t at = 0; at < c->len; at += TEXT_STEP_BYTES) {
        size_t rest = c->len - at;

        if (copy_specials(aside, c->u.s + at, rest < TEXT_STEP_BYTES ? rest : TEXT_STEP_BYTES))
            return true;
    }
    return false;
}

/* The same wherever blocks end. */
static void field_append(struct block_chain *out, const struct cell *c, enum column_type type)
{
    uint8_t aside[TEXT_SCALAR_BYTES + TEXT_SLACK];
    bool quoted;

    if (!text_cell_has(c)) {
        chain_append(out, aside, (size_t)(field_put(aside, c, type) - aside));
        return;
    }
    quoted = field_quoted(c);
    if (quoted)
        chain_append(out, "\"", 1);
    text_append(out, field_copy(c), c->u.s, c->len);
    if (quoted)
        chain_append(out, "\"", 1);
}

/* A row that may not be all in one block. */
static __attribute__((noinline)) void row_append(const struct schema *s, const struct cell *cells,
                                                 struct block_chain *out)
{
    for (uint32_t i = s->hidden; i < s->count; i++) {
        if (i > s->hidden)
            chain_append(out, ",", 1);
        field_append(out, &cells[i], (enum column_type)s->columns[i].type);
    }
    chain_append(out, "\n", 1);
}

void csv_row(const struct schema *s, const struct cell *cells, uint64_t most,
             struct block_chain *out)
{
    uint8_t *at = out->at;

    if (s->count - s->hidden == 1 && cells[s->hidden].type == CELL_NULL) {
        chain_append(out, "\"\"\n", 3);
        return;
    }
    if (s->count == s->hidden || (uint64_t)(out->end - at) < most + TEXT_SLACK) {
        row_append(s, cells, out);
        return;
    }
    for (uint32_t i = s->hidden; i < s->count; i++) {
        at = field_put(at, &cells[i], (enum column_type)s->columns[i].type);
        *at++ = ',';
    }
    at[-1] = '\n';
    text_take(out, at);
}

/* --- records -------------------------------------------------------------------------------- */

uint64_t csv_record_bytes_max(const struct record_text *t, uint32_t len)
{
    return 1 + (uint64_t)t->count * (TEXT_SCALAR_BYTES + 1)
           + (uint64_t)(len - t->fixed_bytes) * CSV_GROWTH;
}

static inline uint8_t *record_field_put(uint8_t *at, const struct record_text_step *step,
                                        const uint8_t *payload, uint32_t len, bool plain)
{
    struct cell c;

    if (step->type != COLUMN_STRING && step->type != COLUMN_BYTES)
        return record_text_scalar(at, step, payload);
    c.u.s = record_text_bytes(step, payload, &c.len);
    if (plain && step->type == COLUMN_STRING && !ends_ask_quotes(c.u.s, c.len))
        return record_text_copy(at, c.u.s, c.len, payload + len);
    c.type = step->type == COLUMN_STRING ? CELL_STRING : CELL_BYTES;
    return text_put(at, &c);
}

bool csv_record(const struct record_text *t, const uint8_t *payload, uint32_t len, uint64_t most,
                struct block_chain *out)
{
    const struct record_text_step *end = t->steps + t->count;
    uint8_t *at = out->at;
    bool plain;

    if ((uint64_t)(out->end - at) < most + TEXT_SLACK)
        return false;
    plain = record_text_plain(t, payload, len, vector_specials);
    for (const struct record_text_step *step = t->steps; step < end; step++) {
        if (record_text_has(step, payload))
            at = record_field_put(at, step, payload, len, plain);
        *at++ = ',';
    }
    at[-1] = '\n';
    text_take(out, at);
    return true;
}

/* --- the header: a row of names ------------------------------------------------------------- */

static struct cell name_cell(const struct column *c)
{
    return (struct cell){
        .u.s = (const uint8_t *)c->name, .len = c->name_len, .type = CELL_STRING};
}

uint64_t csv_header_bytes_max(const struct schema *s)
{
    uint64_t most = 1;

    for (uint32_t i = s->hidden; i < s->count; i++) {
        struct cell name = name_cell(&s->columns[i]);

        most += field_bytes_max(&name) + 1;
    }
    return most;
}

void csv_header(const struct schema *s, struct block_chain *out)
{
    for (uint32_t i = s->hidden; i < s->count; i++) {
        struct cell name = name_cell(&s->columns[i]);

        if (i > s->hidden)
            chain_append(out, ",", 1);
        field_append(out, &name, COLUMN_STRING);
    }
    chain_append(out, "\n", 1);
}
