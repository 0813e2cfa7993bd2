/*
 * row_writer: see the header.
 */
#include "encode/row_writer.h"

#include "base/invariant.h"
#include "encode/csv.h"
#include "encode/line_reader.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { AHEAD_BYTE = 0xa5, AHEAD_STEP = 4096 };

static struct block_pool pool;

void written_begin(struct block_chain *chain, size_t ahead, uint64_t most)
{
    uint8_t filler[AHEAD_STEP];

    if (pool.max == 0)
        block_pool_init(&pool, 256 * BLOCK_BYTES);
    chain_init(chain, &pool);
    INVARIANT(chain_reserve(chain, ahead));
    memset(filler, AHEAD_BYTE, sizeof(filler));
    for (size_t i = 0; i < ahead; i += AHEAD_STEP)
        chain_append(chain, filler, ahead - i < AHEAD_STEP ? ahead - i : AHEAD_STEP);
    INVARIANT(chain_reserve(chain, most));
}

size_t written_end(struct block_chain *chain, size_t ahead, struct bytes *out)
{
    size_t before = out->len, seen = 0;
    uint8_t filler[AHEAD_STEP];
    struct block *b;

    memset(filler, AHEAD_BYTE, sizeof(filler));
    INVARIANT(chain_bytes(chain) == chain->total);
    while ((b = chain_shift(chain, true)) != NULL) {
        size_t skip = ahead - seen < b->len ? ahead - seen : b->len;

        for (size_t i = 0; i < skip; i += AHEAD_STEP)
            INVARIANT(memcmp(b->data + i, filler, skip - i < AHEAD_STEP ? skip - i : AHEAD_STEP)
                      == 0);
        INVARIANT(bytes_append(out, b->data + skip, b->len - skip) == 0);
        seen += skip;
        block_give(&pool, b);
    }
    INVARIANT(seen == ahead);
    chain_fini(chain);
    INVARIANT(block_pool_bytes_used(&pool) == 0);
    return out->len - before;
}

size_t csv_written(const struct schema *s, const struct cell *cells, bool header, size_t ahead,
                   struct bytes *out)
{
    uint64_t most = header ? csv_header_bytes_max(s) : csv_row_bytes_max(s, cells);
    struct block_chain chain;
    size_t len;

    written_begin(&chain, ahead, most);
    if (header)
        csv_header(s, &chain);
    else
        csv_row(s, cells, most, &chain);
    len = written_end(&chain, ahead, out);
    INVARIANT(len <= most);
    return len;
}

/* At a quote: the field's text without quotes, in place. */
static int quoted_read(uint8_t **at, uint8_t *end, struct csv_field *field)
{
    uint8_t *from = *at + 1, *to = from;

    field->data = from;
    for (; from < end; from++) {
        if (*from == '"') {
            if (from + 1 == end || from[1] != '"')
                break;
            from++;
        }
        *to++ = *from;
    }
    if (from == end)
        return -1;
    field->len = (size_t)(to - field->data);
    field->quoted = true;
    *at = from + 1;
    return 0;
}

int csv_record_read(uint8_t **at, uint8_t *end, struct csv_field *fields, int most)
{
    for (int count = 0; count < most;) {
        struct csv_field *field = &fields[count++];

        *field = (struct csv_field){.data = *at};
        if (*at < end && **at == '"') {
            if (quoted_read(at, end, field))
                return -1;
        } else {
            while (*at < end && **at != ',' && **at != '\n')
                if (**at == '"' || *(*at)++ == '\r')
                    return -1;
            field->len = (size_t)(*at - field->data);
        }
        if (*at == end || (**at != ',' && **at != '\n'))
            return -1;
        if (*(*at)++ == '\n')
            return count;
    }
    return -1;
}

static const char *text_check(const struct csv_field *field, const struct cell *cell)
{
    if (field->len != cell->len)
        return "another length";
    for (size_t i = 0; i < cell->len; i++) {
        uint8_t c = cell->u.s[i];

        if (cell->type == CELL_JSON && (c == '\n' || c == '\r'))
            c = ' ';
        if (field->data[i] != c)
            return "other text";
    }
    if (field->len == 0 && !field->quoted)
        return "empty text without quotes";
    return NULL;
}

static const char *timestamp_check(const char *text, int64_t us)
{
    int year, month, day, hour, minute, second, fraction, end = 0;
    struct tm tm;

    if (sscanf(text, "%d-%2d-%2dT%2d:%2d:%2d.%6dZ%n", &year, &month, &day, &hour, &minute, &second,
               &fraction, &end) != 7 || text[end] != '\0')
        return "no time";
    tm = (struct tm){.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = hour,
                     .tm_min = minute, .tm_sec = second};
    /* The product alone can overflow where the sum does not. */
    return (__int128)timegm(&tm) * 1000000 + fraction == us ? NULL : "another time";
}

static const char *scalar_check(char *text, const struct cell *cell, enum column_type type)
{
    char expected[32];
    double number;

    switch (cell->type) {
    case CELL_BOOL:
        return strcmp(text, cell->u.i ? "true" : "false") == 0 ? NULL : "another bool";
    case CELL_I64:
        (void)snprintf(expected, sizeof(expected), "%" PRId64, cell->u.i);
        return strcmp(text, expected) == 0 ? NULL : "another integer";
    case CELL_U64:
        (void)snprintf(expected, sizeof(expected), "%" PRIu64, cell->u.u);
        return strcmp(text, expected) == 0 ? NULL : "another unsigned integer";
    case CELL_TIMESTAMP:
        return timestamp_check(text, cell->u.i);
    default:
        number = type == COLUMN_F32 ? (double)strtof(text, NULL) : strtod(text, NULL);
        if (isnan(cell->u.f))
            return strcmp(text, "NaN") == 0 ? NULL : "no NaN";
        if (type == COLUMN_F32 ? (float)number != (float)cell->u.f : number != cell->u.f)
            return "another number";
        return signbit(number) == signbit(cell->u.f) ? NULL : "another sign";
    }
}

const char *csv_field_check(const struct csv_field *field, const struct cell *cell,
                            enum column_type type, bool alone)
{
    char text[64];

    if (cell->type == CELL_NULL)
        return field->len == 0 && field->quoted == alone ? NULL : "not null";
    if (cell->type == CELL_BYTES) {
        char *copy = malloc(field->len + 1);
        ptrdiff_t len;
        bool same;

        INVARIANT(copy != NULL);
        memcpy(copy, field->data, field->len);
        len = base64_read(copy, field->len);
        same = len >= 0 && (size_t)len == cell->len && memcmp(copy, cell->u.s, cell->len) == 0;
        free(copy);
        return same && field->quoted == (cell->len == 0) ? NULL : "other bytes";
    }
    if (cell->type >= CELL_STRING)
        return text_check(field, cell);
    if (field->quoted || field->len >= sizeof(text))
        return "quoted";
    memcpy(text, field->data, field->len);
    text[field->len] = '\0';
    return scalar_check(text, cell, type);
}
