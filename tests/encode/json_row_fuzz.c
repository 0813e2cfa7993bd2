/*
 * json_row_fuzz: columns found in one text take another one exactly if it would not widen them;
 * rows, inference and the check agree on what an object is; and cells hold what an independent
 * parser finds, wherever that one takes the text too.
 *
 * Input: a byte of flags, the first text up to a NUL, then the second one.
 */
#include "base/invariant.h"
#include "encode/cell_read.h"
#include "encode/infer.h"
#include "encode/json_check.h"
#include "encode/json_row.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

enum { FUZZ_BYTES_MAX = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct json_checker *checker;
static struct cell cells[SCHEMA_COLUMNS_MAX], others[SCHEMA_COLUMNS_MAX];

static void check_text(const struct cell *cell, const char *text, size_t len)
{
    INVARIANT(cell->len == len && memcmp(cell->u.s, text, len) == 0);
}

/* What jansson found under the column's name, NULL: nothing. */
static void check_cell(const struct cell *cell, enum column_type type, const json_t *value)
{
    if (!value || json_is_null(value)) {
        INVARIANT(cell->type == CELL_NULL);
        return;
    }
    switch ((enum cell_type)cell->type) {
    case CELL_BOOL:
        INVARIANT(json_is_boolean(value) && cell->u.i == json_is_true(value));
        break;
    case CELL_I64:
        INVARIANT(json_is_integer(value) && cell->u.i == json_integer_value(value));
        break;
    case CELL_U64:
        INVARIANT(json_is_integer(value) && (int64_t)cell->u.u == json_integer_value(value));
        break;
    case CELL_F64:
        INVARIANT(json_is_number(value) && cell->u.f == json_number_value(value));
        break;
    case CELL_TIMESTAMP:
        INVARIANT(cell->u.i >= CELL_TIMESTAMP_MIN && cell->u.i <= CELL_TIMESTAMP_MAX);
        INVARIANT(json_is_string(value) || cell->u.i == json_integer_value(value));
        break;
    case CELL_STRING:
        if (json_is_string(value))
            check_text(cell, json_string_value(value), json_string_length(value));
        else
            INVARIANT(type == COLUMN_STRING && (json_is_boolean(value) || json_is_number(value)));
        INVARIANT(json_check_utf8(cell->u.s, cell->len));
        break;
    case CELL_JSON:
        INVARIANT(type == COLUMN_STRING && (json_is_object(value) || json_is_array(value)));
        INVARIANT(json_classify(checker, (const char *)cell->u.s, cell->len) ==
                  (json_is_object(value) ? JSON_CLASS_OBJECT : JSON_CLASS_VALUE));
        break;
    case CELL_NUMBER:
        INVARIANT(json_is_number(value));
        INVARIANT(strtod((const char *)cell->u.s, NULL) == json_number_value(value));
        break;
    default:
        INVARIANT(cell->type == CELL_BYTES && json_is_string(value));
        break;
    }
}

static void check_cells(const struct schema *s, const struct cell *row, const uint8_t *data,
                        size_t len)
{
    json_t *object = json_loadb((const char *)data, len, JSON_ALLOW_NUL, NULL);

    for (uint32_t i = 0; object && i < s->count; i++)
        check_cell(&row[i], (enum column_type)s->columns[i].type,
                   json_object_getn(object, s->columns[i].name, s->columns[i].name_len));
    json_decref(object);
}

static enum json_row_result take(const struct schema *s, const struct schema *skip,
                                 unsigned int flags, const uint8_t *data, size_t len,
                                 struct cell *ret_cells)
{
    enum json_row_result result, again;
    struct json_row *row;

    INVARIANT(json_row_open(s, skip, flags, &row) == 0);
    (void)json_row_take(row, data, len, ret_cells);
    /* Once more, now that the order of keys is expected. */
    result = json_row_take(row, data, len, ret_cells);
    if (result == JSON_ROW_TAKEN)
        check_cells(s, ret_cells, data, len);
    else
        INVARIANT(json_row_error(row)->why != NULL);
    if (result == JSON_ROW_INVALID)
        INVARIANT(json_row_error(row)->where <= len);
    again = json_row_take(row, (const uint8_t *)"{", 1, ret_cells);
    INVARIANT(again == JSON_ROW_INVALID);
    again = json_row_take(row, data, len, ret_cells);
    INVARIANT(again == result);
    json_row_close(row);
    return result;
}

static void check_inferred(const struct schema *s, const struct schema *skip, unsigned int flags,
                           const uint8_t *data, size_t len, bool object)
{
    enum json_row_result row = take(s, skip, flags, data, len, cells);
    enum infer_result found;
    struct infer inf;

    INVARIANT(infer_init(&inf, s, skip, (flags & JSON_ROW_CLOSED) != 0) == 0);
    found = infer_event(&inf, data, len);
    INVARIANT((row != JSON_ROW_INVALID) == object && (found != INFER_INVALID) == object);
    INVARIANT((row == JSON_ROW_TAKEN) == (found == INFER_SAME));
    if (found == INFER_WIDER) {
        struct schema wider;

        INVARIANT(infer_schema(&inf, &wider) == 0);
        INVARIANT(take(&wider, skip, flags, data, len, cells) == JSON_ROW_TAKEN);
        schema_fini(&wider);
    }
    infer_fini(&inf);
}

/* Columns of all types; numbers as text or converted, what fits is the same. */
static void check_declared(const uint8_t *data, size_t len, bool object)
{
    static struct schema s;
    enum json_row_result row, text;

    if (s.count == 0)
        INVARIANT(schema_parse("a bool, b i32, c i64, d u64, e f32, f f64, g string, h bytes, "
                               "i timestamp", &s, NULL) == 0);
    row = take(&s, NULL, JSON_ROW_STRICT | JSON_ROW_CLOSED, data, len, cells);
    text = take(&s, NULL, JSON_ROW_STRICT | JSON_ROW_CLOSED | JSON_ROW_NUMBERS_AS_TEXT, data, len,
                others);
    INVARIANT(row == text && (row != JSON_ROW_INVALID) == object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct schema skip;
    const uint8_t *nul;
    unsigned int flags;
    struct schema s;
    struct infer inf;
    bool object;

    if (!checker) {
        checker = json_checker_open(FUZZ_BYTES_MAX);
        INVARIANT(checker && schema_parse("b string, long_name_to_skip string", &skip, NULL) == 0);
    }
    if (len < 2 || len > FUZZ_BYTES_MAX || !(nul = memchr(data + 1, 0, len - 1)))
        return 0;
    flags = data[0] & (JSON_ROW_CLOSED | JSON_ROW_NUMBERS_AS_TEXT);
    INVARIANT(infer_init(&inf, NULL, NULL, false) == 0);
    (void)infer_event(&inf, data + 1, (size_t)(nul - data - 1));
    INVARIANT(infer_schema(&inf, &s) == 0);
    infer_fini(&inf);
    len -= (size_t)(nul + 1 - data);
    data = nul + 1;
    object = json_classify(checker, (const char *)data, len) == JSON_CLASS_OBJECT;
    check_inferred(&s, (flags & JSON_ROW_CLOSED) ? &skip : NULL, flags, data, len, object);
    check_declared(data, len, object);
    schema_fini(&s);
    return 0;
}
