/*
 * json_row: values into cells, by the type of the column.
 *
 * Owns:   struct json_row.
 * Thread: any one at a time.
 * Units:  bytes.
 */
#include "encode/json_row.h"

#include <errno.h>
#include <float.h>
#include <stdlib.h>

#include "encode/cell_read.h"
#include "encode/json_reader.h"

struct json_row {
    struct json_reader reader;
    unsigned int flags;
    struct json_row_error error;
    uint32_t members;               /* of the last event: keys that are columns */
};

int json_row_open(const struct schema *schema, const struct schema *skip, unsigned int flags,
                  struct json_row **ret_row)
{
    struct json_row *row = calloc(1, sizeof(*row));

    *ret_row = NULL;
    if (!row)
        return -ENOMEM;
    row->flags = flags;
    if (json_reader_init(&row->reader, schema, skip,
                         flags & JSON_ROW_CLOSED ? JSON_KEY_SKIPPED : JSON_KEY_UNKNOWN)) {
        json_row_close(row);
        return -ENOMEM;
    }
    *ret_row = row;
    return 0;
}

void json_row_close(struct json_row *row)
{
    if (!row)
        return;
    json_reader_fini(&row->reader);
    free(row);
}

const struct json_row_error *json_row_error(const struct json_row *row)
{
    return &row->error;
}

static void cell_text(struct cell *cell, enum cell_type type, const uint8_t *text, uint32_t len)
{
    cell->type = type;
    cell->u.s = text;
    cell->len = len;
}

/* --- a value into a cell: NULL, or why it does not fit --------------------------------------- */

static const char no_memory[] = "no memory";

static const char *put_integer(const struct json_number *n, enum column_type type,
                               struct cell *cell)
{
    if (type == COLUMN_U64) {
        cell->type = CELL_U64;
        return json_number_u64(n, &cell->u.u) ? NULL : "a number that is no u64";
    }
    if (!json_number_i64(n, &cell->u.i))
        return type == COLUMN_TIMESTAMP ? "a number that is no integer, as times are"
                                        : "a number that is no 64-bit integer";
    cell->type = CELL_I64;
    if (type == COLUMN_I32 && (cell->u.i < INT32_MIN || cell->u.i > INT32_MAX))
        return "a number beyond i32";
    if (type == COLUMN_TIMESTAMP) {
        cell->type = CELL_TIMESTAMP;
        if (cell->u.i < CELL_TIMESTAMP_MIN || cell->u.i > CELL_TIMESTAMP_MAX)
            return "a time beyond the years 0000 to 9999";
    }
    return NULL;
}

/* May an inferred column keep it as a double? Up to 15 digits always. */
static bool double_keeps(const struct json_member *m)
{
    enum json_number_class class;

    if (!m->number.integer || m->number.digits <= DBL_DIG)
        return true;
    class = json_number_class(&m->number, m->text, m->len);
    return class == JSON_NUMBER_SMALL || class == JSON_NUMBER_REAL;
}

static const char *put_float(const struct json_row *row, const struct json_member *m,
                             enum column_type type, struct cell *cell)
{
    if (!(row->flags & JSON_ROW_STRICT) && !double_keeps(m))
        return "an integer that no double holds";
    if (!json_number_f64(&m->number, m->text, m->len, &cell->u.f))
        return "a number beyond doubles";
    cell->type = CELL_F64;
    if (type == COLUMN_F32 && (float)cell->u.f - (float)cell->u.f != 0)
        return "a number beyond f32";
    return NULL;
}

static const char *put_number(const struct json_row *row, const struct json_member *m,
                              enum column_type type, struct cell *cell)
{
    const char *why = "a number";

    if (type >= COLUMN_I32 && type <= COLUMN_U64)
        why = put_integer(&m->number, type, cell);
    else if (type == COLUMN_TIMESTAMP)
        return put_integer(&m->number, type, cell);
    else if (type == COLUMN_F64 || type == COLUMN_F32)
        why = put_float(row, m, type, cell);
    else if (type == COLUMN_STRING && !(row->flags & JSON_ROW_STRICT)) {
        cell_text(cell, CELL_STRING, m->text, m->len);
        why = NULL;
    }
    if (!why && row->flags & JSON_ROW_NUMBERS_AS_TEXT)
        cell_text(cell, CELL_NUMBER, m->text, m->len);
    return why;
}

static const char *put_bool(const struct json_row *row, const struct json_member *m,
                            enum column_type type, struct cell *cell)
{
    if (type == COLUMN_BOOL) {
        cell->type = CELL_BOOL;
        cell->u.i = *m->text == 't';
        return NULL;
    }
    if (type != COLUMN_STRING || row->flags & JSON_ROW_STRICT)
        return "a boolean";
    cell_text(cell, CELL_STRING, m->text, m->len);
    return NULL;
}

/* Decoded in the scratch, where strings with escapes are already. */
static const char *put_bytes(struct json_row *row, const struct json_member *m, struct cell *cell)
{
    struct json_reader *r = &row->reader;
    struct bytes *scratch = &r->scratch;
    const uint8_t *text;
    uint32_t text_len;
    size_t at = scratch->len, len;

    if (json_reader_text(r, m, &text, &text_len) || json_reader_room(r))
        return no_memory;
    if (!cell_read_base64(text, text_len, scratch->data + at, &len))
        return "a string that is not base64";
    scratch->len = at + len;
    cell_text(cell, CELL_BYTES, scratch->data + at, (uint32_t)len);
    return NULL;
}

static const char *put_string(struct json_row *row, const struct json_member *m,
                              enum column_type type, struct cell *cell)
{
    const uint8_t *text;
    uint32_t len;

    if (type == COLUMN_BYTES)
        return put_bytes(row, m, cell);
    if (type != COLUMN_STRING && type != COLUMN_TIMESTAMP)
        return "a string";
    if (json_reader_text(&row->reader, m, &text, &len))
        return no_memory;
    if (type == COLUMN_STRING) {
        cell_text(cell, CELL_STRING, text, len);
        return NULL;
    }
    cell->type = CELL_TIMESTAMP;
    return cell_read_timestamp(text, len, &cell->u.i) ? NULL
                                                      : "a string that is no RFC 3339 time";
}

static const char *put_value(struct json_row *row, const struct json_member *m,
                             enum column_type type, struct cell *cell)
{
    switch (m->kind) {
    case JSON_KIND_STRING:
        return put_string(row, m, type, cell);
    case JSON_KIND_NUMBER:
        return put_number(row, m, type, cell);
    case JSON_KIND_BOOL:
        return put_bool(row, m, type, cell);
    case JSON_KIND_NESTED:
        cell_text(cell, CELL_JSON, m->text, m->len);
        return type == COLUMN_STRING ? NULL : "an object or array";
    case JSON_KIND_NULL:
        cell->type = CELL_NULL;
        return NULL;
    }
    return "a value of no kind";
}

/* --- the usual member ----------------------------------------------------------------------- */

/*
 * Its key is the one that followed last time, nothing stands between the tokens, and the value is
 * what most of its column's are: a plain string, or a number of few digits. Whatever is otherwise,
 * or wrong, is left to json_reader_next(), which begins with the same member again.
 */
enum {
    USUAL_BYTES_MIN = 48,       /* comma, key of 16 bytes, colon, sign, three words */
    USUAL_DIGITS_MAX = 18,      /* below 2^63 */
};

/* How many digits stand in front, 0 to 8, and what they say. */
static inline unsigned int word_digits(const uint8_t *at, uint64_t *ret_value)
{
    const uint64_t ones = 0x0101010101010101ULL;
    uint64_t w = bytes_get_u64(at) ^ (ones * '0');
    uint64_t other = (w | (w + ones * 0x76)) & (ones * 0x80);
    unsigned int count = other != 0 ? (unsigned int)__builtin_ctzll(other) / 8 : 8;

    /* Twice, so that none is no shift by 64. */
    *ret_value = json_read_digits_value(w << (32 - 4 * count) << (32 - 4 * count));
    return count;
}

static const uint64_t powers[9] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000};

static inline bool ends_value(uint8_t c)
{
    return c == ',' || c == '}';
}

static inline const uint8_t *usual_integer(const uint8_t *at, enum column_type type,
                                           struct cell *cell)
{
    bool negative = *at == '-';
    const uint8_t *from = at + negative;
    unsigned int digits;
    uint64_t value, next;

    at = from;
    digits = word_digits(at, &value);
    for (int words = 1; digits == 8 && words < 3 && !ends_value(at[8]); words++) {
        at += 8;
        digits = word_digits(at, &next);
        value = value * powers[digits] + next;
    }
    at += digits;
    if (at == from || at - from > USUAL_DIGITS_MAX || (*from == '0' && at - from > 1)
        || !ends_value(*at))
        return NULL;
    cell->type = CELL_I64;
    cell->u.i = negative ? -(int64_t)value : (int64_t)value;
    return type == COLUMN_I32 && cell->u.i != (int32_t)cell->u.i ? NULL : at;
}

static inline const uint8_t *usual_float(const uint8_t *at, struct cell *cell)
{
    static const double scale[8] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7};
    bool negative = *at == '-';
    const uint8_t *from = at + negative;
    uint64_t value, fraction;
    unsigned int digits = word_digits(from, &value), decimals = 0;
    double f64;

    if (digits == 0 || digits == 8 || (*from == '0' && digits > 1))
        return NULL;
    at = from + digits;
    if (*at == '.') {
        decimals = word_digits(at + 1, &fraction);
        if (decimals == 0 || decimals == 8)
            return NULL;
        value = value * powers[decimals] + fraction;
        at += 1 + decimals;
    }
    if (!ends_value(*at))
        return NULL;
    f64 = (double)(int64_t)value / scale[decimals];
    cell->type = CELL_F64;
    cell->u.f = negative ? -f64 : f64;
    return at;
}

static inline const uint8_t *usual_string(struct json_reader *r, const uint8_t *at,
                                          struct cell *cell)
{
    const uint8_t *end;
    bool escaped;

    if (*at != '"')
        return NULL;
    end = json_read_string(r, at + 1, &escaped);
    if (end == NULL || escaped || !ends_value(end[1]))
        return NULL;
    cell_text(cell, CELL_STRING, at + 1, (uint32_t)(end - at - 1));
    return end + 1;
}

static inline const uint8_t *usual_value(struct json_row *row, const uint8_t *at,
                                         enum column_type type, struct cell *cell)
{
    if (type == COLUMN_STRING)
        return usual_string(&row->reader, at, cell);
    if (row->flags & JSON_ROW_NUMBERS_AS_TEXT)
        return NULL;
    if (type == COLUMN_I64 || type == COLUMN_I32)
        return usual_integer(at, type, cell);
    return type == COLUMN_F64 || type == COLUMN_F32 ? usual_float(at, cell) : NULL;
}

/* As many as there are in a row; behind them. at: behind the member before. */
static inline const uint8_t *usual_members(struct json_row *row, const uint8_t *at,
                                           struct cell *cells)
{
    struct json_reader *r = &row->reader;
    const struct json_key *keys = r->keys;
    const uint8_t *end = r->end, *next;
    uint32_t prev = r->prev, count = 0;

    while (end - at >= USUAL_BYTES_MIN && (*at == ',' || at == r->open)) {
        uint32_t id = keys[prev].next;
        const struct json_key *key = &keys[id];

        next = at + 1 + key->len;
        if ((((bytes_get_u64(at + 1) ^ key->head[0]) & key->mask[0])
             | ((bytes_get_u64(at + 9) ^ key->head[1]) & key->mask[1])) != 0
            || key->quick == 0 || *next != ':')
            break;
        next = usual_value(row, next + 1, (enum column_type)key->quick, &cells[key->index]);
        if (next == NULL)
            break;
        at = next;
        prev = id;
        count++;
    }
    r->prev = prev;
    row->members += count;
    return at;
}

/* --- an event ------------------------------------------------------------------------------- */

static enum json_row_result misfit_key(struct json_row *row, const struct json_member *m)
{
    row->error = (struct json_row_error){"no such column", m->name, m->name_len, -1, 0};
    return JSON_ROW_MISFIT_KEY;
}

static enum json_row_result misfit_type(struct json_row *row, int32_t column, const char *why)
{
    const struct column *c = &row->reader.known.columns[column];

    row->error = (struct json_row_error){why, (const uint8_t *)c->name, c->name_len, column, 0};
    return why == no_memory ? JSON_ROW_NO_MEMORY : JSON_ROW_MISFIT_TYPE;
}

static enum json_row_result broken(struct json_row *row)
{
    const struct json_reader *r = &row->reader;
    bool memory = r->step == JSON_STEP_NO_MEMORY;

    row->error = (struct json_row_error){memory ? no_memory : r->why, NULL, 0, -1,
                                         json_reader_where(r)};
    return memory ? JSON_ROW_NO_MEMORY : JSON_ROW_INVALID;
}

uint32_t json_row_members(const struct json_row *row)
{
    return row->members;
}

enum json_row_result json_row_take(struct json_row *row, const uint8_t *data, size_t len,
                                   struct cell *ret_cells)
{
    struct json_reader *r = &row->reader;
    enum json_row_result result = JSON_ROW_TAKEN;
    struct json_member m;
    const uint8_t *at = json_reader_begin(r, data, len);

    row->members = 0;
    for (uint32_t i = 0; i < r->known.count; i++) {
        ret_cells[i].len = 0;
        ret_cells[i].type = CELL_NULL;
    }
    for (;;) {
        const char *why;

        if (at != NULL && result == JSON_ROW_TAKEN)
            at = usual_members(row, at, ret_cells);
        at = json_reader_next(r, at, &m);
        if (at == NULL)
            break;
        /* After a misfit the rest is only checked. */
        if (m.index == JSON_KEY_SKIPPED || result != JSON_ROW_TAKEN)
            continue;
        if (m.index == JSON_KEY_UNKNOWN) {
            result = misfit_key(row, &m);
            continue;
        }
        row->members++;
        why = put_value(row, &m, (enum column_type)r->known.columns[m.index].type,
                        &ret_cells[m.index]);
        if (__builtin_expect(why != NULL, 0))
            result = misfit_type(row, m.index, why);
    }
    return r->step == JSON_STEP_END ? result : broken(row);
}
