/*
 * projection: the columns of a type, those of its rows, and each record's values under them.
 *
 * Owns:   nothing; see the header.
 * Thread: shard.
 */
#include "encode/projection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "encode/encoding.h"

enum { MISSING = INT32_MIN, ADDED = -1 };       /* the k-th added column is ADDED - k */

void projection_fini(struct projection *p)
{
    json_out_fini(&p->json);
    record_text_fini(&p->text);
    schema_fini(&p->schema);
    free(p->from);
    memset(p, 0, sizeof(*p));
}

/* May a record's field of one type stand in a declared column of another? No value changes. */
static bool fits(enum column_type from, enum column_type to)
{
    if (from == to)
        return true;
    switch (to) {
    case COLUMN_I64:
        return from == COLUMN_I32;
    case COLUMN_F64:
        return from == COLUMN_F32 || from == COLUMN_I32;
    default:
        return false;
    }
}

static int projection_add(struct projection *p, const struct column *c, enum column_type type,
                          int32_t from)
{
    int r = schema_add(&p->schema, c->name, c->name_len, type);

    if (!r)
        p->from[p->schema.count - 1] = from;
    return r;
}

/* Where the value of this column comes from, in a record of the type. */
static int32_t source_of(const struct encoding *e, const struct schema *type,
                         const struct column *c)
{
    int at = schema_find(&e->transform.add, c->name, c->name_len);

    if (at >= 0)
        return ADDED - at;
    if (schema_find(&e->transform.drop, c->name, c->name_len) >= 0)
        return MISSING;
    at = schema_find(type, c->name, c->name_len);
    return at >= 0 ? at : MISSING;
}

static int projection_declared(struct encoding *e, const struct schema *type,
                               struct projection *p)
{
    int r = 0;

    for (uint32_t i = 0; !r && i < e->declared.count; i++) {
        const struct column *c = &e->declared.columns[i];
        int32_t from = source_of(e, type, c);

        if (from >= 0 && !fits((enum column_type)type->columns[from].type,
                               (enum column_type)c->type))
            return encoding_refuse(e, ENCODING_FORMAT_FAILED,
                                   "field '%s' of the record has not the type of its column",
                                   c->name);
        r = projection_add(p, c, (enum column_type)c->type, from);
    }
    for (uint32_t i = 0; !r && i < type->count; i++) {
        const struct column *c = &type->columns[i];

        if (!schema_has(&e->declared, c) && transform_keeps(&e->transform, c->name, c->name_len))
            return encoding_refuse(e, ENCODING_FORMAT_FAILED,
                                   "field '%s' of the record is no column", c->name);
    }
    p->schema.hidden = e->declared.hidden;
    return r;
}

static int projection_found(struct encoding *e, const struct schema *type, struct projection *p)
{
    const struct schema *fields = &e->transform.fields, *order = fields->count > 0 ? fields : type;
    int r = 0;

    for (uint32_t i = 0; !r && i < e->hidden.count; i++) {
        const struct column *c = &e->hidden.columns[i];
        int32_t from = source_of(e, type, c);
        uint8_t known = from >= 0 ? type->columns[from].type
                        : from != MISSING ? e->transform.add.columns[ADDED - from].type
                                          : (uint8_t)COLUMN_STRING;

        r = projection_add(p, c, (enum column_type)known, from);
    }
    p->schema.hidden = p->schema.count;
    for (uint32_t i = 0; !r && i < order->count; i++) {
        const struct column *c = &order->columns[i];
        int at = schema_find(type, c->name, c->name_len);

        if (at < 0 || schema_has(&p->schema, c) || schema_has(&e->transform.add, c)
            || !transform_keeps(&e->transform, c->name, c->name_len))
            continue;
        r = projection_add(p, c, (enum column_type)type->columns[at].type, at);
    }
    for (uint32_t i = 0; !r && i < e->transform.add.count; i++) {
        const struct column *c = &e->transform.add.columns[i];

        if (!schema_has(&p->schema, c))
            r = projection_add(p, c, (enum column_type)c->type, ADDED - (int32_t)i);
    }
    return r;
}

static bool projection_same(const struct projection *p, const struct schema *type)
{
    if (p->schema.count != type->count)
        return false;
    for (uint32_t i = 0; i < type->count; i++)
        if (p->from[i] != (int32_t)i || p->schema.columns[i].type != type->columns[i].type)
            return false;
    return true;
}

/* Are its columns fields as they are? A row of one column may be empty, which csv_row() minds. */
static bool projection_direct(const struct encoding *e, const struct projection *p,
                              const struct schema *type)
{
    if (p->schema.hidden > 0)
        return false;
    if (e->format == ENCODING_PARQUET)
        return p->same && e->declared.count == 0;
    for (uint32_t i = 0; i < p->schema.count; i++)
        if (p->from[i] < 0 || p->schema.columns[i].type != type->columns[p->from[i]].type)
            return false;
    return p->schema.count > (e->format == ENCODING_CSV);
}

int projection_make(struct encoding *e, const struct record_type *type)
{
    struct projection *p = &e->record;
    uint32_t cap = type->schema.count + e->declared.count + e->hidden.count
                   + e->transform.add.count + 1;
    int r;

    projection_fini(p);
    p->from = calloc(cap, sizeof(*p->from));
    if (!p->from)
        return -ENOMEM;
    if (cap > e->cells_cap) {
        struct cell *more = realloc(e->cells, cap * sizeof(*more));

        if (!more)
            return -ENOMEM;
        e->cells = more;
        e->cells_cap = cap;
    }
    r = e->declared.count > 0 ? projection_declared(e, &type->schema, p)
                              : projection_found(e, &type->schema, p);
    if (!r && p->schema.count == p->schema.hidden
        && (e->format == ENCODING_CSV || e->format == ENCODING_PARQUET))
        r = encoding_refuse(e, ENCODING_FORMAT_FAILED, "%s",
                            "no field of the record is left to be written");
    if (!r)
        r = json_out_init(&p->json, &p->schema);
    if (r == -ENOMEM)
        return r;
    if (r && r != -EBADMSG)
        r = encoding_refuse(e, ENCODING_FORMAT_FAILED, "%s", "too many columns");
    p->err = r;
    p->same = projection_same(p, &type->schema);
    p->direct = r == 0 && projection_direct(e, p, &type->schema);
    if (p->direct && e->format != ENCODING_PARQUET
        && record_text_init(&p->text, &type->plan, p->from, p->schema.count))
        return -ENOMEM;
    p->type_id = type->id;
    return 0;
}

static void cell_widen(struct cell *cell, enum column_type to)
{
    if (cell->type == CELL_I64 && to == COLUMN_F64)
        *cell = (struct cell){.u.f = (double)cell->u.i, .type = CELL_F64};
}

int projection_row(const struct encoding *e, const struct event *ev,
                   struct record_fault *ret_fault)
{
    const struct projection *p = &e->record;

    if (record_cells(&ev->record->plan, ev->data, ev->len, p->same ? e->cells : ev->record->cells,
                     ret_fault))
        return -EBADMSG;
    for (uint32_t i = 0; !p->same && i < p->schema.count; i++) {
        int32_t from = p->from[i];

        if (from >= 0) {
            e->cells[i] = ev->record->cells[from];
            cell_widen(&e->cells[i], (enum column_type)p->schema.columns[i].type);
        } else {
            e->cells[i] = from == MISSING ? (struct cell){.type = CELL_NULL}
                                          : e->transform.cells[ADDED - from];
        }
    }
    return 0;
}
