/*
 * encoding: settings to parsers, and the look at each event.
 *
 * Owns:   parsers and scratch.
 * Thread: shard.
 */
#include "encode/encoding.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "encode/column_text.h"
#include "encode/compress.h"
#include "encode/framing.h"
#include "encode/json_check.h"
#include "encode/text.h"

const char *const encoding_error_names[ENCODING_ERROR_COUNT] = {
    [ENCODING_PROCESSING_FAILED] = "processing-failed",
    [ENCODING_FORMAT_FAILED] = "format-conversion-failed",
};

static const char *const format_names[] = {
    [ENCODING_JSON] = "json", [ENCODING_CSV] = "csv", [ENCODING_PARQUET] = "parquet",
    [ENCODING_RAW] = "raw",
};

const char *encoding_extension(const struct output_settings *set)
{
    static const char *const names[][COMPRESS_TYPE_COUNT] = {
        [ENCODING_JSON] = {"json", "json.gz", "json.zst", "json.sz", "json.lz4"},
        [ENCODING_CSV] = {"csv", "csv.gz", "csv.zst", "csv.sz", "csv.lz4"},
        [ENCODING_PARQUET] = {"parquet", "parquet", "parquet", "parquet", "parquet"},
        [ENCODING_RAW] = {"raw", "raw.gz", "raw.zst", "raw.sz", "raw.lz4"},
    };
    static const char *const arrays[COMPRESS_TYPE_COUNT] = {
        "array", "array.gz", "array.zst", "array.sz", "array.lz4"
    };

    if (set->framing == SETTINGS_FRAMING_RECORDS)
        return "records";
    if (set->framing == SETTINGS_FRAMING_FRAMES || set->framing == SETTINGS_FRAMING_REFUSED)
        return "frames";
    if (set->framing == SETTINGS_FRAMING_ARRAY)
        return arrays[set->compression];

    for (size_t i = 0; i < sizeof(format_names) / sizeof(format_names[0]); i++)
        if (strcmp(format_names[i], set->format) == 0)
            return names[i][set->compression];
    return "json";
}

/* --- opening ------------------------------------------------------------------------------ */

static int add_all(struct schema *to, const struct schema *from)
{
    for (uint32_t i = 0; i < from->count; i++) {
        const struct column *c = &from->columns[i];
        int err = schema_add(to, c->name, c->name_len, (enum column_type)c->type);

        if (err && err != -EEXIST)
            return err;
    }
    return 0;
}

/* Hidden ones first, then what the settings leave of the declared ones, then what is added. */
static int declared_make(struct encoding *e, const struct schema *columns)
{
    int err = 0;

    for (uint32_t i = 0; !err && i < e->hidden.count; i++) {
        const struct column *c = &e->hidden.columns[i];
        int at = schema_find(columns, c->name, c->name_len);

        err = schema_add(&e->declared, c->name, c->name_len,
                         at < 0 ? COLUMN_STRING : (enum column_type)columns->columns[at].type);
    }
    e->declared.hidden = e->declared.count;
    for (uint32_t i = 0; !err && i < columns->count; i++) {
        const struct column *c = &columns->columns[i];

        if (!schema_has(&e->declared, c) && transform_keeps(&e->transform, c->name, c->name_len))
            err = schema_add(&e->declared, c->name, c->name_len, (enum column_type)c->type);
    }
    return err ? err : add_all(&e->declared, &e->transform.add);
}

/* Columns that stand beside those that are found, or are there before any is. */
static int fixed_find(struct encoding *e, struct errmsg *err)
{
    const struct schema *add = &e->transform.add, *fields = &e->transform.fields;
    uint32_t named = 0;

    for (uint32_t i = 0; i < add->count; i++)
        e->reserved += !schema_has(&e->hidden, &add->columns[i]);
    for (uint32_t i = 0; i < fields->count; i++)
        named += !schema_has(&e->skip, &fields->columns[i]);
    if (e->reserved + named > SCHEMA_COLUMNS_MAX)
        return errmsg_set(err, -EINVAL, "more than %d columns", SCHEMA_COLUMNS_MAX);
    e->fixed = e->reserved + named > 0;
    return 0;
}

static int columns_open(struct encoding *e, struct errmsg *err)
{
    struct schema columns;
    unsigned flags = JSON_ROW_CLOSED;
    bool rows = e->format == ENCODING_CSV || e->format == ENCODING_PARQUET;
    int r = schema_parse(rows ? e->set->columns : "", &columns, err);

    if (r)
        return r;
    if (columns.count > 0) {
        r = declared_make(e, &columns);
        flags = JSON_ROW_STRICT;
    }
    schema_fini(&columns);
    if (r)
        return r;
    if (e->format == ENCODING_CSV)
        flags |= JSON_ROW_NUMBERS_AS_TEXT;
    if (e->declared.count > 0 && e->transform.fields.count > 0)
        flags |= JSON_ROW_CLOSED;
    e->hidden.hidden = e->hidden.count;
    e->row_schema = e->declared.count > 0 ? &e->declared : &e->hidden;
    e->cells_cap = e->row_schema->count + 1;
    e->cells = calloc(e->cells_cap, sizeof(*e->cells));
    if (!e->cells)
        return -ENOMEM;
    r = add_all(&e->skip, &e->transform.drop);
    if (!r && e->row_schema->count > 0)
        r = json_row_open(e->row_schema, &e->transform.drop, flags, &e->row);
    if (!r)
        r = add_all(&e->skip, &e->hidden);
    if (!r)
        r = add_all(&e->skip, &e->transform.add);
    return r ? r : fixed_find(e, err);
}

/* Objects lose what partition_by takes, added fields too. */
static int edit_open(struct encoding *e)
{
    const struct schema *fields = &e->transform.fields, *add = &e->transform.add;
    struct schema drop = {0}, written = {0};
    int r = add_all(&drop, &e->transform.drop);

    e->additions = calloc(add->count + 1, sizeof(*e->additions));
    e->additions_from = calloc(add->count + 1, sizeof(*e->additions_from));
    if (!e->additions || !e->additions_from)
        r = -ENOMEM;
    if (!r)
        r = add_all(&drop, &e->hidden);
    for (uint32_t i = 0; !r && i < add->count; i++) {
        const struct column *c = &add->columns[i];

        if (schema_has(&e->hidden, c))
            continue;
        r = schema_add(&written, c->name, c->name_len, (enum column_type)c->type);
        e->additions_from[e->additions_count++] = i;
    }
    if (!r)
        r = json_edit_open(fields->count > 0 ? fields : NULL, &drop, &written, &e->edit);
    schema_fini(&drop);
    schema_fini(&written);
    return r;
}

static int parsers_open(struct encoding *e)
{
    e->lines = encoder_find(e->set->format);
    e->lines_set = (struct encoder_settings){e->set->delimiter, e->set->delimiter_len};
    if (e->format == ENCODING_JSON && (e->transforms || e->hidden.count > 0)) {
        int r = edit_open(e);

        if (r)
            return r;
    }
    if (e->set->validate || (e->format == ENCODING_JSON && e->hidden.count > 0)) {
        e->checker = json_checker_open(SHM_EVENT_BYTES_MAX);
        if (!e->checker)
            return -ENOMEM;
    }
    return 0;
}

int encoding_open(const struct output_settings *set, const char *host, const char *stream,
                  struct parquet_workspace *workspace, struct encoding **ret_encoding,
                  struct errmsg *err)
{
    struct encoding *e = calloc(1, sizeof(*e));
    struct transform_settings ts = {set->fields, set->drop_fields, set->add_fields, host, stream};
    size_t i;
    int r = -EINVAL;

    *ret_encoding = NULL;
    if (!e)
        return errmsg_set(err, -ENOMEM, "no memory");
    e->set = set;
    e->workspace = workspace;
    for (i = 0; i < sizeof(format_names) / sizeof(format_names[0]); i++)
        if (strcmp(format_names[i], set->format) == 0) {
            e->format = (enum encoding_format)i;
            r = 0;
        }
    if (r) {
        r = errmsg_set(err, -EINVAL, "'%s' is no format", set->format);
        goto out;
    }
    if (!framing_fits(set)) {
        r = errmsg_set(err, -EINVAL, "format, compression and framing do not go together");
        goto out;
    }
    r = transform_parse(&ts, &e->transform, err);
    if (r)
        goto out;
    e->transforms = transform_active(&e->transform);
    r = column_text_names(set->partition_by, &e->hidden, err);
    if (!r)
        r = columns_open(e, err);
    if (!r)
        r = parsers_open(e);
    e->as_is = e->lines && !e->transforms && e->transform.needs == 0 && e->hidden.count == 0
               && !e->checker && !e->row && !e->edit && set->framing == SETTINGS_FRAMING_NONE;
    if (r == -ENOMEM)
        errmsg_set(err, r, "no memory");
out:
    if (r) {
        encoding_close(e);
        return r;
    }
    *ret_encoding = e;
    return 0;
}

void encoding_close(struct encoding *e)
{
    if (!e)
        return;
    transform_fini(&e->transform);
    schema_fini(&e->hidden);
    schema_fini(&e->skip);
    schema_fini(&e->declared);
    json_row_close(e->row);
    json_edit_close(e->edit);
    json_checker_close(e->checker);
    if (e->probe_ready)
        infer_fini(&e->probe);
    projection_fini(&e->record);
    bytes_free(&e->text);
    bytes_free(&e->edited);
    free(e->additions);
    free(e->additions_from);
    free(e->cells);
    free(e);
}

int encoding_infer(const struct encoding *e, const struct schema *from, struct infer *ret_infer)
{
    const struct schema *fields = &e->transform.fields;
    int r = infer_init(ret_infer, from, &e->skip, fields->count > 0);

    for (uint32_t i = 0; !r && i < fields->count; i++) {
        const struct column *c = &fields->columns[i];

        if (schema_has(&e->skip, c))
            continue;
        r = infer_column(ret_infer, c->name, c->name_len);
        r = r == -EEXIST ? 0 : r;
    }
    ret_infer->reserved = e->reserved;
    ret_infer->needs_key = !e->fixed;
    if (r)
        infer_fini(ret_infer);
    return r;
}

int encoding_refuse(struct encoding *e, enum encoding_error error, const char *what,
                    const char *name)
{
    e->error = error;
    return errmsg_set(&e->why, -EBADMSG, what, name);
}

/* --- records ------------------------------------------------------------------------------ */

static __attribute__((noinline)) int record_refused(struct encoding *e, const struct event *ev,
                                                    struct record_fault fault)
{
    e->error = ENCODING_PROCESSING_FAILED;
    return record_fault_tell(&fault, &ev->record->schema, &e->why);
}

/* Its producer has refused it, and says why: only what it was is kept. */
static int refused_look(struct encoding *e, const struct event *ev)
{
    const struct cell *cells = ev->record->cells;
    struct record_fault fault;

    if (record_cells(&ev->record->plan, ev->data, ev->len, ev->record->cells, &fault))
        return record_refused(e, ev, fault);
    e->letter = cells[1].u.s;
    e->letter_len = cells[1].len;
    e->error = ENCODING_PROCESSING_FAILED;
    return errmsg_set(&e->why, -EBADMSG, "%.*s", (int)cells[0].len, (const char *)cells[0].u.s);
}

static int record_look(struct encoding *e, const struct event *ev)
{
    struct projection *p = &e->record;
    struct record_fault fault;
    int r;

    if (!ev->record)
        return encoding_refuse(e, ENCODING_PROCESSING_FAILED, "%s",
                               "the record's type is not known");
    if (ev->record->refused)
        return refused_look(e, ev);
    /* Where its records are refused: the text may be of another event by now, it is made again. */
    if (p->type_id != ev->record->id || p->err) {
        p->type_id = 0;
        r = projection_make(e, ev->record);
        if (r || p->err)
            return r ? r : p->err;
    }
    if (p->direct)
        fault = record_check(&ev->record->plan, ev->data, ev->len);
    else
        (void)projection_row(e, ev, &fault);
    return fault.what == RECORD_GOOD ? 0 : record_refused(e, ev, fault);
}

void encoding_cells(const struct encoding *e, const struct event *ev)
{
    struct record_fault fault;

    INVARIANT(projection_row(e, ev, &fault) == 0);      /* the look has checked it */
}

/* --- objects ------------------------------------------------------------------------------ */

/* Text and bytes as the objects that they are in json. 0 or -ENOMEM. */
static int object_make(struct encoding *e, const struct event *ev)
{
    static const char text_open[] = "{\"message\":\"", bytes_open[] = "{\"message_base64\":\"";
    bool text = ev->kind == SHM_KIND_TEXT && json_check_utf8(ev->data, ev->len);
    const char *open = text ? text_open : bytes_open;
    uint64_t most = sizeof(bytes_open) + TEXT_SLACK + 8
                    + (text ? (uint64_t)ev->len * TEXT_ESCAPED_MAX : text_base64_bytes(ev->len));
    uint8_t *at;

    bytes_clear(&e->text);
    if (bytes_reserve(&e->text, most))
        return -ENOMEM;
    memcpy(e->text.data, open, strlen(open));
    at = e->text.data + strlen(open);
    if (ev->len > 0)
        at = text ? text_escaped(at, ev->data, ev->len) : text_base64(at, ev->data, ev->len);
    *at++ = '"';
    *at++ = '}';
    e->text.len = (size_t)(at - e->text.data);
    e->object = e->text.data;
    e->object_len = (uint32_t)e->text.len;
    return 0;
}

static int row_refused(struct encoding *e, enum json_row_result result)
{
    const struct json_row_error *error = json_row_error(e->row);

    switch (result) {
    case JSON_ROW_MISFIT_KEY:
    case JSON_ROW_MISFIT_TYPE:
        e->error = ENCODING_FORMAT_FAILED;
        return errmsg_set(&e->why, -EBADMSG, "'%.*s': %s",
                          (int)(error->key_len < 100 ? error->key_len : 100),
                          (const char *)error->key, error->why);
    case JSON_ROW_INVALID:
        e->error = e->format == ENCODING_JSON || e->format == ENCODING_RAW
                       ? ENCODING_PROCESSING_FAILED : ENCODING_FORMAT_FAILED;
        return errmsg_set(&e->why, -EBADMSG, "%s at byte %zu", error->why, error->where);
    default:
        return -ENOMEM;
    }
}

/* What is added stands in declared and hidden columns too. */
static void cells_add(struct encoding *e)
{
    for (uint32_t i = 0; i < e->transform.add.count; i++) {
        const struct column *c = &e->transform.add.columns[i];
        int at = schema_find(e->row_schema, c->name, c->name_len);

        if (at >= 0)
            e->cells[at] = e->transform.cells[i];
    }
}

/* Could a batch of found columns begin with it? Whatever follows widens them. */
static int first_look(struct encoding *e)
{
    enum infer_result result;

    if (e->probe_ready)
        infer_fini(&e->probe);
    e->probe_ready = false;
    if (encoding_infer(e, NULL, &e->probe))
        return -ENOMEM;
    e->probe_ready = true;
    result = infer_event(&e->probe, e->object, e->object_len);
    if (result == INFER_NO_MEMORY)
        return -ENOMEM;
    if (result == INFER_SAME || result == INFER_WIDER)
        return 0;
    e->error = ENCODING_FORMAT_FAILED;
    return errmsg_set(&e->why, -EBADMSG, "%s", e->probe.why);
}

static int edit(struct encoding *e)
{
    size_t where = 0;
    int r;

    bytes_clear(&e->edited);
    for (uint32_t i = 0; i < e->additions_count; i++) {
        const struct transform_member *m = &e->transform.members[e->additions_from[i]];

        e->additions[i] = (struct json_addition){m->text, m->len};
    }
    r = json_edit_object(e->edit, e->object, e->object_len, e->additions, &e->edited);
    if (r == -EBADMSG) {
        const char *why = json_edit_why(e->edit, &where);

        e->error = ENCODING_PROCESSING_FAILED;
        return errmsg_set(&e->why, -EBADMSG, "%s at byte %zu", why, where);
    }
    e->object = e->edited.data;
    e->object_len = (uint32_t)e->edited.len;
    return r;
}

static int object_look(struct encoding *e, const struct event *ev, bool first)
{
    bool rows = e->format == ENCODING_CSV || e->format == ENCODING_PARQUET;
    int r = 0;

    e->object = ev->data;
    e->object_len = ev->len;
    if (ev->kind != SHM_KIND_JSON && (rows || e->row || e->edit)) {
        r = object_make(e, ev);
        if (r)
            return r;
    }
    if (e->checker && ev->kind == SHM_KIND_JSON && !rows
        && json_classify(e->checker, (const char *)ev->data, ev->len) != JSON_CLASS_OBJECT)
        return encoding_refuse(e, ENCODING_PROCESSING_FAILED, "%s", "it is no JSON object");
    if (e->row) {
        enum json_row_result result = json_row_take(e->row, e->object, e->object_len, e->cells);

        if (result != JSON_ROW_TAKEN)
            return row_refused(e, result);
        cells_add(e);
    }
    if (rows && e->declared.count == 0 && first)
        r = first_look(e);
    return r;
}

/* --- frames ------------------------------------------------------------------------------- */

/* Another agent takes the event as it is; but a record has to be one. */
static int frame_look(struct encoding *e, const struct event *ev)
{
    struct record_fault fault;

    if (ev->kind != SHM_KIND_RECORD)
        return 0;
    if (!ev->record)
        return encoding_refuse(e, ENCODING_PROCESSING_FAILED, "%s",
                               "the record's type is not known");
    fault = record_check(&ev->record->plan, ev->data, ev->len);
    return fault.what == RECORD_GOOD ? 0 : record_refused(e, ev, fault);
}

/* --- looking ------------------------------------------------------------------------------ */

int encoding_look(struct encoding *e, const struct event *ev, bool first)
{
    bool record = ev->kind == SHM_KIND_RECORD;
    int r;

    if (e->transform.needs != 0 || e->transform.add.count > 0)
        transform_eval(&e->transform, ev->time_ns, ev->kind);
    e->key.len = 0;
    e->key.text[0] = '\0';
    e->letter = ev->data;
    e->letter_len = ev->len;
    if (e->set->framing == SETTINGS_FRAMING_FRAMES)
        return frame_look(e, ev);
    if (e->set->framing == SETTINGS_FRAMING_REFUSED)
        return encoding_refuse(e, ENCODING_PROCESSING_FAILED, "%s", "its stream is not configured, "
                               "and auto_create_streams is no");
    r = record ? record_look(e, ev) : object_look(e, ev, first);
    if (!r && e->hidden.count > 0)
        r = partition_key(record ? &e->record.schema : e->row_schema, e->cells,
                          !e->set->partition_missing_error, &e->key, &e->why);
    if (r == -ENODATA || r == -ENAMETOOLONG) {
        e->error = ENCODING_PROCESSING_FAILED;
        r = -EBADMSG;
    }
    if (!r && e->edit && !record)
        r = edit(e);
    if (!r && e->set->framing == SETTINGS_FRAMING_RECORDS)
        r = framing_check(e, ev);
    return r;
}
