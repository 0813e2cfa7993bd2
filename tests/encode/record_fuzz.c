/*
 * record_fuzz: any definition and any payload. What is taken for a schema has columns that the
 * layout places without overlap; what is taken for a record keeps the promises of row.h, and its
 * strings and bytes are all of the payload behind the fixed part, told once; its lines of CSV and
 * JSON are those of its cells.
 *
 * Input: length of the definition's body (2 bytes), the body, the payload.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/invariant.h"
#include "encode/json_check.h"
#include "encode/record.h"
#include "encode/record_lines.h"
#include "shm_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A block of exactly this length, so that the sanitizer guards its end. */
static uint8_t *copy_make(const uint8_t *data, size_t len)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);

    INVARIANT(copy != NULL);
    memcpy(copy, data, len);
    return copy;
}

/* Each byte of the fixed part belongs to one field, or to the bitmap behind them. */
static void layout_check(const struct record_plan *plan, const struct schema *schema)
{
    static const uint8_t sizes[COLUMN_TYPE_COUNT] = {0, 1, 4, 8, 8, 4, 8, 8, 8, 8};
    uint8_t *taken = calloc(plan->fixed_bytes, 1);
    uint32_t end = plan->present_at != 0 ? plan->present_at : plan->fixed_bytes;

    INVARIANT(taken != NULL && plan->count == schema->count);
    for (uint32_t i = 0; i < plan->count; i++) {
        uint32_t at = plan->steps[i].at, size = sizes[plan->steps[i].type];

        INVARIANT(plan->steps[i].type == schema->columns[i].type);
        INVARIANT(at % size == 0 && at + size <= end);
        INVARIANT(!plan->steps[i].nullable || plan->present_at != 0);
        while (size-- > 0)
            INVARIANT(taken[at + size]++ == 0);
    }
    for (uint32_t at = 0; at < end; at++)
        INVARIANT(taken[at] == 1);
    if (plan->present_at != 0)
        INVARIANT(plan->fixed_bytes == plan->present_at + (plan->count + 7) / 8);
    free(taken);
}

static void cells_check(const struct record_plan *plan, const uint8_t *payload, size_t len,
                        const struct cell *cells)
{
    uint64_t told = 0;

    for (uint32_t i = 0; i < plan->count; i++) {
        const struct cell *c = &cells[i];

        if (c->type == CELL_NULL)
            INVARIANT(plan->steps[i].nullable);
        else if (c->type == CELL_BOOL)
            INVARIANT(c->u.i == 0 || c->u.i == 1);
        if (c->type != CELL_STRING && c->type != CELL_BYTES)
            continue;
        INVARIANT(c->u.s >= payload + plan->fixed_bytes && c->u.s <= payload + len);
        INVARIANT(c->len <= (size_t)(payload + len - c->u.s));
        INVARIANT(c->type == CELL_BYTES || json_check_utf8(c->u.s, c->len));
        told += c->len;
    }
    INVARIANT(told == len - plan->fixed_bytes);
}

static void record_hold(const uint8_t *body, size_t body_len, const uint8_t *payload, size_t len)
{
    struct record_fault fault;
    struct record_plan plan;
    struct schema schema;
    struct errmsg err;
    struct cell *cells;
    int e = record_schema_read(body, body_len, &schema);

    INVARIANT(record_plan_init(&plan, body, body_len) == e);
    if (e)
        return;
    layout_check(&plan, &schema);
    cells = malloc(plan.count * sizeof(*cells));
    INVARIANT(cells != NULL);
    if (record_cells(&plan, payload, (uint32_t)len, cells, &fault) == 0) {
        INVARIANT(fault.what == RECORD_GOOD);
        cells_check(&plan, payload, len, cells);
        INVARIANT(record_lines_check(&plan, &schema, payload, (uint32_t)len, cells, 0) == NULL);
    } else {
        INVARIANT(fault.what != RECORD_GOOD && fault.field < plan.count);
        INVARIANT(record_fault_tell(&fault, &schema, &err) < 0 && err.text[0] != '\0');
    }
    free(cells);
    record_plan_fini(&plan);
    schema_fini(&schema);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint8_t *body, *payload;
    size_t body_len;

    if (len < 2 || len > SHM_DEFS_BYTES)
        return 0;
    body_len = bytes_get_u16(data);
    if (body_len > len - 2)
        body_len = len - 2;
    body = copy_make(data + 2, body_len);
    payload = copy_make(data + 2 + body_len, len - 2 - body_len);
    record_hold(body, body_len, payload, len - 2 - body_len);
    free(body);
    free(payload);
    return 0;
}
