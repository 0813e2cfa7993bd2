/*
 * record_lines: see the header.
 */
#include "encode/record_lines.h"

#include "base/invariant.h"
#include "encode/csv.h"
#include "encode/json_out.h"
#include "encode/row_writer.h"

#include <stdlib.h>
#include <string.h>

struct lines {
    struct record_text text;
    struct schema schema;
    struct cell *cells;
    struct json_out json;
    const uint8_t *payload;
    uint32_t len;
    size_t ahead;
};

static void lines_make(struct lines *l, const struct record_plan *plan,
                       const struct schema *schema, const struct cell *cells, bool backwards)
{
    int32_t *fields = calloc(plan->count, sizeof(*fields));

    l->cells = calloc(plan->count, sizeof(*l->cells));
    INVARIANT(fields != NULL && l->cells != NULL);
    schema_init(&l->schema);
    for (uint32_t i = 0; i < plan->count; i++) {
        uint32_t from = backwards ? plan->count - 1 - i : i;
        const struct column *c = &schema->columns[from];

        fields[i] = (int32_t)from;
        l->cells[i] = cells[from];
        INVARIANT(schema_add(&l->schema, c->name, c->name_len, (enum column_type)c->type) == 0);
    }
    INVARIANT(record_text_init(&l->text, plan, fields, plan->count) == 0);
    INVARIANT(json_out_init(&l->json, &l->schema) == 0);
    free(fields);
}

static void lines_free(struct lines *l)
{
    json_out_fini(&l->json);
    record_text_fini(&l->text);
    schema_fini(&l->schema);
    free(l->cells);
}

static uint64_t bytes_max(const struct lines *l, bool csv, bool record)
{
    if (csv)
        return record ? csv_record_bytes_max(&l->text, l->len)
                      : csv_row_bytes_max(&l->schema, l->cells);
    return record ? json_out_record_bytes_max(&l->json, &l->text, l->len)
                  : json_out_row_bytes_max(&l->json, l->cells);
}

/* False: it may not have room. */
static bool line_written(const struct lines *l, bool csv, bool record, struct bytes *out)
{
    uint64_t most = bytes_max(l, csv, record);
    struct block_chain chain;
    bool done = true, room;

    written_begin(&chain, l->ahead, most);
    room = (uint64_t)(chain.end - chain.at) >= most + TEXT_SLACK;
    if (csv && record)
        done = csv_record(&l->text, l->payload, l->len, most, &chain);
    else if (csv)
        csv_row(&l->schema, l->cells, most, &chain);
    else if (record)
        done = json_out_record(&l->json, &l->text, l->payload, l->len, most, &chain);
    else
        json_out_row(&l->json, l->cells, most, &chain);
    INVARIANT(!record || done == room);
    INVARIANT(written_end(&chain, l->ahead, out) <= most);
    return done;
}

static const char *line_check(const struct lines *l, bool csv)
{
    struct bytes row = BYTES_INIT, record = BYTES_INIT;
    const char *wrong = NULL;

    INVARIANT(line_written(l, csv, false, &row));
    if (bytes_max(l, csv, true) < bytes_max(l, csv, false))
        wrong = "its row might not have room";
    else if (!line_written(l, csv, true, &record))
        wrong = record.len > 0 ? "something was written where there is no room" : NULL;
    else if (record.len != row.len || memcmp(record.data, row.data, row.len) != 0)
        wrong = csv ? "not the CSV of its cells" : "not the JSON of its cells";
    if (wrong != NULL)
        fprintf(stderr, "%.*s%.*s", (int)row.len, (const char *)row.data, (int)record.len,
                (const char *)record.data);
    bytes_free(&row);
    bytes_free(&record);
    return wrong;
}

const char *record_lines_check(const struct record_plan *plan, const struct schema *schema,
                               const uint8_t *payload, uint32_t len, const struct cell *cells,
                               size_t ahead)
{
    const char *wrong = NULL;

    for (int backwards = 0; wrong == NULL && backwards < 2; backwards++) {
        struct lines l = {.payload = payload, .len = len, .ahead = ahead};

        lines_make(&l, plan, schema, cells, backwards);
        wrong = line_check(&l, false);
        if (wrong == NULL && plan->count > 1)
            wrong = line_check(&l, true);
        lines_free(&l);
    }
    return wrong;
}
