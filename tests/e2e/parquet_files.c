/*
 * parquet_files: Parquet files of all sorts, and beside each the rows that it must hold, for
 * readers that others have written.
 *
 *   parquet_files DIR [short]     NAME-CODEC.parquet and NAME.json for each case; prints both
 *
 * A row is a function of its number and of the case, so it is made twice: as cells and as a line.
 * Timestamps are numbers there, bytes "hex:" and digits; floating point has a point or an exponent
 * or is a string: what tests/node/verify.mjs makes the same text of.
 *
 * Owns:   what it writes.
 * Thread: one.
 */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "encode/parquet.h"
#include "support/rng.h"

enum { COLUMNS_MAX = 300, TEXT_MAX = (1 << 20) + 64, PULL_BYTES = 100000 };

struct maker {
    const struct schema *schema;
    uint64_t rng;
    struct cell *cells;
    uint8_t *text;              /* of this row's strings */
    size_t text_len;
};

typedef void (*row_fn)(struct maker *m, uint64_t row);

struct file_case {
    const char *name, *columns;
    row_fn row;
    uint64_t rows, rows_short;
    uint64_t group_bytes;
    uint64_t group_rows;        /* 0: as they fill */
};

/* --- cells ---------------------------------------------------------------------------------- */

static void put_text(struct maker *m, uint32_t column, uint32_t type, const void *data, size_t len)
{
    INVARIANT(m->text_len + len <= TEXT_MAX * 2);
    memcpy(m->text + m->text_len, data, len);
    m->cells[column] = (struct cell){.u.s = m->text + m->text_len, .len = (uint32_t)len,
                                     .type = type};
    m->text_len += len;
}

static __attribute__((format(printf, 3, 4))) void put_format(struct maker *m, uint32_t column,
                                                             const char *format, ...)
{
    char text[256];
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    INVARIANT(len >= 0 && (size_t)len < sizeof(text));
    put_text(m, column, CELL_STRING, text, (size_t)len);
}

static int64_t odd_integer(uint64_t r)
{
    static const int64_t odd[] = {0, 1, -1, INT64_MAX, INT64_MIN, INT64_MAX - 1, INT64_MIN + 1,
                                  9007199254740993, -9007199254740993, INT32_MAX, INT32_MIN};

    return odd[r % (sizeof(odd) / sizeof(odd[0]))];
}

static double odd_double(uint64_t r)
{
    static const double odd[] = {0.0, -0.0, 1.0, -1.5, 0.1, 1e300, 5e-324, 1.7976931348623157e308,
                                 -1e-300, 123456789.125, 1e21, 1e-7, 3.0};

    return odd[r % (sizeof(odd) / sizeof(odd[0]))];
}

static double not_a_number(uint64_t r)
{
    return r % 3 == 0 ? (double)NAN : r % 3 == 1 ? (double)INFINITY : -(double)INFINITY;
}

static void odd_string(struct maker *m, uint32_t column)
{
    static const char *const odd[] = {
        "", " ", "\"", "\"\"", ",", "\n", "\r\n", "a\"b,c\nd", "\\", "\t", "null", "NULL", "NaN",
        "0", "{\"a\":1}", "'", "\x7f", "gr\xc3\xbc\xc3\x9f", "\xe6\x97\xa5\xe6\x9c\xac",
        "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf", "no \xef\xbb\xbf.", "\xe2\x80\xa8",
        "e\xcc\x81", "\x01\x02\x1f",
    };
    const char *s = odd[rng_next(&m->rng) % (sizeof(odd) / sizeof(odd[0]))];

    put_text(m, column, CELL_STRING, s, strlen(s));
}

/* Every type: b, i, l, u, f, d, s, x (bytes), t; `sparse` of 16 cells are null. */
static void row_of_types(struct maker *m, uint64_t row, uint64_t sparse)
{
    for (uint32_t c = 0; c < m->schema->count; c++) {
        uint64_t r = rng_next(&m->rng), k = rng_next(&m->rng) >> 20;
        uint8_t raw[40];

        if (r % 16 < sparse)
            continue;
        switch (m->schema->columns[c].type) {
        case COLUMN_BOOL:
            m->cells[c] = (struct cell){.u.i = k & 1, .type = CELL_BOOL};
            break;
        case COLUMN_I32:
            m->cells[c] = (struct cell){.u.i = (int32_t)(k % 5 ? (int64_t)(k % 700)
                                                                : odd_integer(k)),
                                        .type = CELL_I64};
            break;
        case COLUMN_I64:
            m->cells[c] = (struct cell){.u.i = k % 5 ? (int64_t)row * 7 : odd_integer(k),
                                        .type = CELL_I64};
            break;
        case COLUMN_U64:
            m->cells[c] = (struct cell){.u.u = k % 5 ? k : (uint64_t)odd_integer(k),
                                        .type = CELL_U64};
            break;
        case COLUMN_F32:
            m->cells[c] = (struct cell){.u.f = k % 3 ? (double)(float)(k % 1000) / 8
                                                     : (double)(float)odd_double(k % 4),
                                        .type = CELL_F64};
            break;
        case COLUMN_F64:
            m->cells[c] = (struct cell){.u.f = k % 3 ? (double)k / 1e9 : odd_double(k),
                                        .type = CELL_F64};
            break;
        case COLUMN_BYTES:
            for (size_t i = 0; i < sizeof(raw); i++)
                raw[i] = (uint8_t)(k >> i % 40);
            put_text(m, c, CELL_BYTES, raw, k % sizeof(raw));
            break;
        case COLUMN_TIMESTAMP:
            m->cells[c] = (struct cell){.u.i = 1700000000000000 + (int64_t)(row * 1001),
                                        .type = CELL_TIMESTAMP};
            break;
        default:
            if (k % 4 == 0)
                put_format(m, c, "row %" PRIu64, row);
            else
                odd_string(m, c);
        }
    }
}

static void row_mixed(struct maker *m, uint64_t row)
{
    row_of_types(m, row, 3);
}

static void row_full(struct maker *m, uint64_t row)
{
    row_of_types(m, row, 0);
}

static void row_nearly_empty(struct maker *m, uint64_t row)
{
    row_of_types(m, row, 15);
}

static void row_null(struct maker *m, uint64_t row)
{
    (void)m;
    (void)row;
}

/* NaN in some groups and not in others; zeros of both signs. */
static void row_floats(struct maker *m, uint64_t row)
{
    uint64_t r = rng_next(&m->rng);
    double v = row / 1000 % 2 == 0 && r % 50 == 0 ? not_a_number(r / 50)
                                                  : (double)(r % 2000) / 16 - 50;

    m->cells[0] = (struct cell){.u.f = v, .type = CELL_F64};
    m->cells[1] = (struct cell){.u.f = v, .type = CELL_F64};
    m->cells[2] = (struct cell){.u.f = r % 2 ? 0.0 : -0.0, .type = CELL_F64};
}

/* First few values that come back, then none that does: dictionaries that are left in the midst. */
static void row_fallback(struct maker *m, uint64_t row)
{
    bool calm = row < 60000;
    uint64_t r = rng_next(&m->rng);

    put_format(m, 0, "https://example.org/%" PRIu64 "/%" PRIu64, calm ? r % 100 : r, r % 7);
    m->cells[1] = (struct cell){.u.i = (int64_t)(calm ? r % 1000 : r), .type = CELL_I64};
    m->cells[2] = (struct cell){.u.i = (int32_t)(calm ? r % 3 : r), .type = CELL_I64};
    m->cells[3] = (struct cell){.u.f = (double)(r % 150000) / 100, .type = CELL_F64};
    if (r % 3 != 0)
        put_format(m, 4, "%" PRIx64, row % 2 == 0 ? r % 50000 : r);
    put_format(m, 5, "u%" PRIu64, row);
}

/* What differences are for, and now and then what they are not for: all the way there and back. */
static void row_deltas(struct maker *m, uint64_t row)
{
    static const char tail[] = "the same beginning, of more than sixteen bytes, and then ";
    uint64_t r = rng_next(&m->rng), odd = r >> 40;
    bool wild = row / 4000 % 7 == 3 || row % 5003 == 0;
    int64_t l = wild ? odd_integer(odd) : (int64_t)row * 1000 + (int64_t)(r % 997);

    m->cells[0] = (struct cell){.u.i = l, .type = CELL_I64};
    m->cells[1] = (struct cell){.u.i = (int32_t)(wild ? (uint32_t)odd_integer(odd) : row * 77),
                                .type = CELL_I64};
    m->cells[2] = (struct cell){.u.u = UINT64_MAX / 2 - 500000 + row * 9 + r % 8 +
                                       (wild ? r : 0), .type = CELL_U64};
    if (r % 11 != 0)
        m->cells[3] = (struct cell){.u.i = -(int64_t)row * 1000000, .type = CELL_TIMESTAMP};
    if (r % 13 != 0)
        put_format(m, 4, "%.*s%" PRIx64, (int)(row % 401 == 0 ? r % 50 : 50), tail, row % 5003);
    put_text(m, 5, CELL_BYTES, tail, row % 3000 < 40 ? row % 40 : 40 + row % 17);
    put_format(m, 6, "%" PRIu64 "%s", row, row % 211 == 0 ? tail : "");
}

/* Runs of one value, of nulls, and values of few bits. */
static void row_runs(struct maker *m, uint64_t row)
{
    uint64_t r = rng_next(&m->rng);

    m->cells[0] = (struct cell){.u.i = (int64_t)(row / 1000), .type = CELL_I64};
    put_format(m, 1, "%" PRIu64, row / 37 % 5);
    if (row / 5000 % 3 != 0)
        m->cells[2] = (struct cell){.u.i = row / 100 % 2 == 0, .type = CELL_BOOL};
    if (row % 64 < 40)
        m->cells[3] = (struct cell){.u.i = (int64_t)(r % 2), .type = CELL_I64};
    put_format(m, 4, "always");
    m->cells[5] = (struct cell){.u.i = (int64_t)(r % (1U << row / 20000)), .type = CELL_I64};
}

static void row_long(struct maker *m, uint64_t row)
{
    static const size_t sizes[] = {0, 1, 63, 64, 65, 1000, 65531, 65532, 65533, 70000, 1 << 20};
    size_t len = sizes[row % (sizeof(sizes) / sizeof(sizes[0]))];
    uint8_t *text = malloc(len + 1);

    INVARIANT(text != NULL);
    for (size_t i = 0; i < len; i++)
        text[i] = (uint8_t)('a' + (i * i + row) % 26);
    if (len > 64 && row % 3 == 0)
        memset(text, 0x7f, len);
    put_text(m, 0, CELL_STRING, text, len);
    put_text(m, 1, CELL_BYTES, text, len < 70000 ? len : 0);
    put_format(m, 2, "%" PRIu64, row % 4);
    free(text);
}

/* Some groups of one row have no value in a column. */
static void row_group_each(struct maker *m, uint64_t row)
{
    if (row % 3 != 0)
        odd_string(m, 0);
    if (row % 5 != 0)
        m->cells[1] = (struct cell){.u.i = odd_integer(row), .type = CELL_I64};
    if (row % 2 != 0)
        m->cells[2] = (struct cell){.u.i = row % 4 == 1, .type = CELL_BOOL};
}

static void row_wide(struct maker *m, uint64_t row)
{
    for (uint32_t c = 0; c < m->schema->count; c++) {
        if ((row + c) % 5 != 0)
            m->cells[c] = (struct cell){.u.i = (int64_t)(row * c % 97), .type = CELL_I64};
    }
}

/* --- lines ---------------------------------------------------------------------------------- */

static void print_string(FILE *f, const uint8_t *s, size_t len)
{
    fputc('"', f);
    for (size_t i = 0; i < len; i++) {
        if (s[i] < 0x20)
            fprintf(f, "\\u%04x", s[i]);
        else if (s[i] == '"' || s[i] == '\\')
            fprintf(f, "\\%c", s[i]);
        else
            fputc(s[i], f);
    }
    fputc('"', f);
}

static void print_double(FILE *f, double v)
{
    char text[64];

    if (isnan(v) || isinf(v)) {
        fprintf(f, "\"%s\"", isnan(v) ? "NaN" : v > 0 ? "Infinity" : "-Infinity");
        return;
    }
    (void)snprintf(text, sizeof(text), "%.17g", v);
    fprintf(f, "%s%s", text, strpbrk(text, ".e") == NULL ? ".0" : "");
}

static void print_cell(FILE *f, const struct column *column, const struct cell *cell)
{
    switch (cell->type) {
    case CELL_NULL:
        fputs("null", f);
        break;
    case CELL_BOOL:
        fputs(cell->u.i ? "true" : "false", f);
        break;
    case CELL_U64:
        fprintf(f, "%" PRIu64, cell->u.u);
        break;
    case CELL_F64:
        print_double(f, column->type == COLUMN_F32 ? (double)(float)cell->u.f : cell->u.f);
        break;
    case CELL_BYTES:
        fputs("\"hex:", f);
        for (uint32_t i = 0; i < cell->len; i++)
            fprintf(f, "%02x", cell->u.s[i]);
        fputc('"', f);
        break;
    case CELL_STRING:
        print_string(f, cell->u.s, cell->len);
        break;
    default:
        fprintf(f, "%" PRId64, cell->u.i);
    }
}

static void print_row(FILE *f, const struct maker *m)
{
    for (uint32_t c = 0; c < m->schema->count; c++) {
        fputs(c == 0 ? "{" : ",", f);
        print_string(f, (const uint8_t *)m->schema->columns[c].name,
                     m->schema->columns[c].name_len);
        fputc(':', f);
        print_cell(f, &m->schema->columns[c], &m->cells[c]);
    }
    fputs("}\n", f);
}

/* --- files ---------------------------------------------------------------------------------- */

static void write_out(struct parquet *p, struct block_chain *chain, FILE *f)
{
    struct block *b;

    while (parquet_ready(p)) {
        INVARIANT(chain_reserve(chain, PULL_BYTES));
        INVARIANT(parquet_pull(p, chain, PULL_BYTES) > 0);
        while ((b = chain_shift(chain, true)) != NULL) {
            INVARIANT(fwrite(b->data, 1, b->len, f) == b->len);
            block_give(chain->pool, b);
        }
    }
}

static FILE *create(const char *dir, const char *name, const char *sort, const char *extension)
{
    char path[4096];
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/%s%s.%s", dir, name, sort, extension);
    f = fopen(path, "w");
    if (f == NULL) {
        perror(path);
        exit(1);
    }
    return f;
}

static void case_write(const struct file_case *fc, const struct schema *schema, uint64_t rows,
                       enum codec_type codec, const char *dir)
{
    struct parquet_options options = {.codec = codec, .level = CODEC_LEVEL_USUAL,
                                      .row_group_bytes = fc->group_bytes,
                                      .created_by = "hydrant tests"};
    struct maker m = {.schema = schema, .rng = 0x9e3779b97f4a7c15ULL};
    struct parquet_workspace *space = parquet_workspace_open();
    struct block_pool pool;
    struct block_chain chain;
    struct parquet *p;
    char sort[32];
    FILE *parquet, *json = create(dir, fc->name, "", "json");

    (void)snprintf(sort, sizeof(sort), "-%s", codec_name(codec));
    parquet = create(dir, fc->name, sort, "parquet");
    block_pool_init(&pool, 4 * BLOCK_BYTES);
    chain_init(&chain, &pool);
    m.cells = calloc(schema->count, sizeof(*m.cells));
    m.text = malloc(TEXT_MAX * 2);
    INVARIANT(space != NULL && m.cells != NULL && m.text != NULL);
    INVARIANT(parquet_open(schema, &options, space, &p) == 0);
    for (uint64_t row = 0; row < rows; row++) {
        memset(m.cells, 0, schema->count * sizeof(*m.cells));
        m.text_len = 0;
        fc->row(&m, row);
        print_row(json, &m);
        INVARIANT(parquet_row(p, m.cells) == 0);
        if (fc->group_rows > 0 && row % fc->group_rows == fc->group_rows - 1)
            parquet_group_end(p);
        write_out(p, &chain, parquet);
    }
    parquet_finish(p);
    write_out(p, &chain, parquet);
    INVARIANT((uint64_t)ftell(parquet) == parquet_bytes(p) && parquet_rows_taken(p) == rows);
    INVARIANT(fclose(parquet) == 0 && fclose(json) == 0);
    printf("%s %s%s\n", fc->name, fc->name, sort);
    parquet_close(p);
    parquet_workspace_close(space);
    free(m.cells);
    free(m.text);
    chain_fini(&chain);
    block_pool_fini(&pool);
}

static const char types[] = "b bool, i i32, l i64, u u64, f f32, d f64, s string, x bytes, "
                            "t timestamp, \"odd \"\"name\" string, \"\xc3\xbc\" string";

static const struct file_case cases[] = {
    {"mixed", types, row_mixed, 8000, 4000, 1 << 18, 0},
    {"full", types, row_full, 8000, 4000, 32 << 20, 0},
    {"sparse", types, row_nearly_empty, 20000, 10000, 32 << 20, 7001},
    {"null", types, row_null, 1000, 1000, 32 << 20, 0},
    {"none", types, row_mixed, 0, 0, 32 << 20, 0},
    {"one", types, row_full, 1, 1, 32 << 20, 0},
    {"groups", "s string, l i64, b bool", row_group_each, 500, 500, 32 << 20, 1},
    {"floats", "d f64, f f32, z f64", row_floats, 10000, 10000, 32 << 20, 1000},
    {"fallback", "url string, l i64, i i32, d f64, h string, n string", row_fallback, 140000,
     90000, 32 << 20, 0},
    {"runs", "a i64, b string, c bool, d i32, e string, g i64", row_runs, 150000, 135000, 32 << 20,
     0},
    {"long", "s string, x bytes, k string", row_long, 66, 33, 8 << 20, 0},
    {"wide", NULL, row_wide, 3000, 1500, 1 << 20, 0},
    {"deltas", "l i64, i i32, u u64, t timestamp, s string, x bytes, n string", row_deltas, 150000,
     60000, 32 << 20, 0},
};

static void columns_wide(struct schema *s)
{
    char name[16];

    schema_init(s);
    for (int i = 0; i < COLUMNS_MAX; i++) {
        int len = snprintf(name, sizeof(name), "c%d", i);

        INVARIANT(schema_add(s, name, (size_t)len, COLUMN_I64) == 0);
    }
}

int main(int argc, char **argv)
{
    bool small = argc == 3 && strcmp(argv[2], "short") == 0;

    if (argc != 2 && !small) {
        fputs("usage: parquet_files DIR [short]\n", stderr);
        return 2;
    }
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct file_case *fc = &cases[i];
        struct errmsg err;
        struct schema schema;

        if (fc->columns == NULL)
            columns_wide(&schema);
        else
            INVARIANT(schema_parse(fc->columns, &schema, &err) == 0);
        /* The first by all codecs, the others by one each in turn. */
        for (int codec = 0; codec < CODEC_COUNT; codec++)
            if (i < 2 || codec == (int)(i % CODEC_COUNT))
                case_write(fc, &schema, small ? fc->rows_short : fc->rows, (enum codec_type)codec,
                           argv[1]);
        schema_fini(&schema);
    }
    return 0;
}
