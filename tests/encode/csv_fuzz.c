/*
 * csv_fuzz: any cells become a record that a reader by the book takes apart into the same cells,
 * wherever blocks end.
 *
 * Input: a byte each for the number of columns and the place of a block's end; then for each cell
 * a byte for its type and eight for its value, or two for its length and its bytes.
 */
#include "base/invariant.h"
#include "encode/row_writer.h"

#include <stdlib.h>
#include <string.h>

enum { COLUMNS_MAX = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const uint8_t column_types[] = {
    COLUMN_BOOL, COLUMN_I32, COLUMN_I64, COLUMN_U64, COLUMN_F32, COLUMN_F64, COLUMN_STRING,
    COLUMN_BYTES, COLUMN_TIMESTAMP, COLUMN_STRING,
};

static struct cell cell_of(uint8_t type, const uint8_t *data, size_t len)
{
    struct cell c = {.type = type};
    uint64_t word = 0;
    float single;

    memcpy(&word, data, len < sizeof(word) ? len : sizeof(word));
    c.u.u = word;
    if (type == CELL_BOOL)
        c.u.u &= 1;
    if (type >= CELL_STRING) {
        c.u.s = data;
        c.len = (uint32_t)len;
    }
    if (type == CELL_F64 && len == 4) {
        memcpy(&single, data, sizeof(single));
        c.u.f = (double)single;
    }
    return c;
}

/* What a JSON number may hold, as text that is no longer than it. */
static bool number_plain(const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (memchr("0123456789+-.eE", data[i], 15) == NULL)
            return false;
    return len > 0;
}

/* Fills cells and their schema; the number of them. */
static uint32_t cells_read(const uint8_t *data, size_t len, struct cell *cells, struct schema *s)
{
    uint32_t count = 0;

    for (; count < COLUMNS_MAX && len > 2; count++) {
        uint8_t kind = data[0] % 11, column = data[0] / 11 % sizeof(column_types);
        size_t take = data[1];
        char name[2] = {(char)('a' + count), '\0'};

        data += 2;
        len -= 2;
        if (take > len)
            take = len;
        cells[count] = cell_of(kind % 10, data, take);
        if (cells[count].type == CELL_NUMBER && !number_plain(data, take))
            cells[count].type = CELL_STRING;
        /* Floats stand in columns of floats. */
        INVARIANT(schema_add(s, name, 1, cells[count].type != CELL_F64
                                             ? (enum column_type)column_types[column]
                                         : take == 4 ? COLUMN_F32
                                                     : COLUMN_F64) == 0);
        data += take;
        len -= take;
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct cell cells[COLUMNS_MAX];
    struct csv_field fields[COLUMNS_MAX];
    struct bytes out = BYTES_INIT;
    struct schema s;
    uint32_t count;
    uint8_t *at;

    if (len < 2)
        return 0;
    schema_init(&s);
    count = cells_read(data + 1, len - 1, cells, &s);
    /* A quarter of the inputs cross a block: filling one takes most of the time. */
    (void)csv_written(&s, cells, false, data[0] < 64 ? BLOCK_BYTES - (size_t)data[0] : 0, &out);
    at = out.data;
    if (count == 0) {
        INVARIANT(out.len == 1 && out.data[0] == '\n');
    } else {
        INVARIANT(csv_record_read(&at, out.data + out.len, fields, COLUMNS_MAX) == (int)count);
        INVARIANT(at == out.data + out.len);
    }
    for (uint32_t i = 0; i < count; i++) {
        const char *wrong = csv_field_check(&fields[i], &cells[i],
                                            (enum column_type)s.columns[i].type, count == 1);

        if (wrong != NULL) {
            fprintf(stderr, "field %u: %s\n", i, wrong);
            abort();
        }
    }
    bytes_free(&out);
    schema_fini(&s);
    return 0;
}
