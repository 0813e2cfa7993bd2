/*
 * writer: events to the bytes of one file.
 *
 * Owns:   held events, columns, rows.
 * Thread: shard.
 */
#include "encode/writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "base/version.h"
#include "encode/csv.h"
#include "encode/framing.h"

enum {
    PUMP_BYTES = 512 * 1024,            /* of held events that one call writes */
    PULL_BYTES = 256 * 1024,
    PULLS_A_CALL = 8
};

enum writer_state {
    WRITER_LINES,                       /* json, raw */
    WRITER_FRAMES,                      /* raw, framing = frames */
    WRITER_HOLD,                        /* columns are being found */
    WRITER_PUMP,                        /* they are known; what was held is being written */
    WRITER_ROWS
};

/* In front of each held event. */
struct held {
    uint64_t time_ns;
    uint32_t len;
    uint32_t kind;
};

struct writer {
    struct encoding *enc;               /* borrowed */
    enum writer_state state;
    uint64_t record;                    /* id of the type of its records; 0: objects */
    struct infer infer;                 /* of objects whose columns are found */
    bool begun;                         /* it has a line */
    struct bytes types;                 /* of frames: ids of its record types; number 1 is first */
    bool found, learned, ended;
    struct bytes held;
    size_t held_at;
    struct schema schema;               /* of its rows */
    struct json_row *row;               /* reads found columns; NULL: the encoding has the cells */
    struct cell *cells;                 /* owned; of found columns */
    uint32_t cells_found;               /* of them from the object; those added follow */
    bool header;                        /* it is written */
    struct parquet *parquet;
    struct schema wider;
};

/* --- opening ------------------------------------------------------------------------------ */

static bool rows(const struct encoding *e)
{
    return e->format == ENCODING_CSV || e->format == ENCODING_PARQUET;
}

static int parquet_begin(struct writer *w)
{
    static const enum codec_type codecs[SETTINGS_COMPRESSION_COUNT] = {
        [SETTINGS_COMPRESSION_NONE] = CODEC_NONE,     [SETTINGS_COMPRESSION_GZIP] = CODEC_GZIP,
        [SETTINGS_COMPRESSION_ZSTD] = CODEC_ZSTD,     [SETTINGS_COMPRESSION_SNAPPY] = CODEC_SNAPPY,
        [SETTINGS_COMPRESSION_LZ4] = CODEC_LZ4_RAW,
    };
    const struct output_settings *set = w->enc->set;
    struct parquet_options options = {
        .codec = codecs[set->compression],
        .level = set->compression_level < 0 ? CODEC_LEVEL_USUAL : set->compression_level,
        .row_group_bytes = (uint64_t)set->row_group_bytes,
        .created_by = "hydrant version " HYDRANT_VERSION,
    };

    return parquet_open(&w->schema, &options, w->enc->workspace, &w->parquet);
}

/* The columns of its rows are known. */
static int columns_known(struct writer *w, const struct schema *schema)
{
    int r = schema_copy(schema, &w->schema);

    if (!r && w->enc->format == ENCODING_PARQUET)
        r = parquet_begin(w);
    return r;
}

int writer_open(struct encoding *e, const struct event *ev, const struct schema *start,
                struct writer **ret_writer)
{
    struct writer *w = calloc(1, sizeof(*w));
    int r = 0;

    *ret_writer = NULL;
    if (!w)
        return -ENOMEM;
    w->enc = e;
    if (e->set->framing == SETTINGS_FRAMING_FRAMES) {
        w->state = WRITER_FRAMES;
    } else if (!rows(e)) {
        w->state = WRITER_LINES;
    } else if (e->declared.count > 0) {
        w->state = WRITER_ROWS;
        r = columns_known(w, &e->declared);
    } else if (ev->kind == SHM_KIND_RECORD) {
        w->state = WRITER_ROWS;
        w->record = ev->record->id;
        r = columns_known(w, &e->record.schema);
        if (!r && w->parquet && e->record.direct)
            r = parquet_records(w->parquet, &ev->record->plan);
    } else {
        w->state = WRITER_HOLD;
        w->found = true;
        r = encoding_infer(e, start, &w->infer);
        w->found = r == 0;
    }
    if (r) {
        writer_close(w);
        return r;
    }
    *ret_writer = w;
    return 0;
}

void writer_close(struct writer *w)
{
    if (!w)
        return;
    if (w->found)
        infer_fini(&w->infer);
    bytes_free(&w->held);
    bytes_free(&w->types);
    schema_fini(&w->schema);
    schema_fini(&w->wider);
    json_row_close(w->row);
    free(w->cells);
    parquet_close(w->parquet);
    free(w);
}

/* --- rows --------------------------------------------------------------------------------- */

/* Moves finished row groups into the chain. */
static enum writer_result pull(struct writer *w, struct block_chain *out)
{
    for (int i = 0; parquet_ready(w->parquet); i++) {
        if (i == PULLS_A_CALL)
            return WRITER_AGAIN;
        if (!chain_reserve(out, PULL_BYTES))
            return WRITER_NO_ROOM;
        if (parquet_pull(w->parquet, out, PULL_BYTES) < 0)
            return WRITER_NO_MEMORY;
    }
    return WRITER_TAKEN;
}

/* Room for a row, behind the header. False: there is none. */
static bool csv_reserve(struct writer *w, uint64_t most, struct block_chain *out)
{
    if (!chain_reserve(out, most + (w->header ? 0 : csv_header_bytes_max(&w->schema))))
        return false;
    if (!w->header)
        csv_header(&w->schema, out);
    w->header = true;
    return true;
}

static enum writer_result row_csv(struct writer *w, const struct cell *cells,
                                  struct block_chain *out)
{
    uint64_t most = csv_row_bytes_max(&w->schema, cells);

    if (!csv_reserve(w, most, out))
        return WRITER_NO_ROOM;
    csv_row(&w->schema, cells, most, out);
    return WRITER_TAKEN;
}

static enum writer_result record_csv(struct writer *w, const struct event *ev,
                                     struct block_chain *out)
{
    const struct record_text *text = &w->enc->record.text;
    uint64_t most = csv_record_bytes_max(text, ev->len);

    if (!csv_reserve(w, most, out))
        return WRITER_NO_ROOM;
    if (!csv_record(text, ev->data, ev->len, most, out)) {
        encoding_cells(w->enc, ev);
        csv_row(&w->schema, w->enc->cells, most, out);
    }
    return WRITER_TAKEN;
}

static enum writer_result row_put(struct writer *w, const struct cell *cells,
                                  struct block_chain *out)
{
    enum writer_result result = WRITER_TAKEN;
    int r;

    if (w->enc->format == ENCODING_CSV)
        return row_csv(w, cells, out);
    if (parquet_ready(w->parquet))
        result = pull(w, out);
    if (result != WRITER_TAKEN)
        return result;
    r = parquet_row(w->parquet, cells);
    if (r == -ENOMEM)
        return WRITER_NO_MEMORY;
    INVARIANT(r == 0);          /* cells are those of the columns, events shorter than values */
    return WRITER_TAKEN;
}

static enum writer_result record_put(struct writer *w, const struct event *ev,
                                     struct block_chain *out)
{
    enum writer_result result = WRITER_TAKEN;
    int r;

    if (!w->enc->record.direct)
        return row_put(w, w->enc->cells, out);
    if (w->enc->format == ENCODING_CSV)
        return record_csv(w, ev, out);
    if (parquet_ready(w->parquet))
        result = pull(w, out);
    if (result != WRITER_TAKEN)
        return result;
    r = parquet_record(w->parquet, ev->data, ev->len);
    INVARIANT(r == 0 || r == -ENOMEM);
    return r ? WRITER_NO_MEMORY : WRITER_TAKEN;
}

/* --- columns that are found --------------------------------------------------------------- */

/* Of an attempt that failed. */
static void columns_forget(struct writer *w)
{
    json_row_close(w->row);
    w->row = NULL;
    free(w->cells);
    w->cells = NULL;
    parquet_close(w->parquet);
    w->parquet = NULL;
    schema_fini(&w->schema);
}

/* Enough was seen. 0 or -ENOMEM; then it can be tried again. */
static int columns_find(struct writer *w)
{
    const struct schema *add = &w->enc->transform.add;
    unsigned flags = w->enc->format == ENCODING_CSV ? JSON_ROW_NUMBERS_AS_TEXT : 0;
    struct schema found;
    int r = infer_schema(&w->infer, &found);

    if (r)
        return r;
    columns_forget(w);
    if (w->enc->transform.fields.count > 0)
        flags |= JSON_ROW_CLOSED;
    w->cells_found = found.count;
    r = json_row_open(&found, &w->enc->skip, flags, &w->row);
    for (uint32_t i = 0; !r && i < add->count; i++)
        if (!schema_has(&w->enc->hidden, &add->columns[i]))
            r = schema_add(&found, add->columns[i].name, add->columns[i].name_len,
                           (enum column_type)add->columns[i].type);
    if (!r)
        r = columns_known(w, &found);
    if (!r) {
        w->cells = calloc(found.count + 1, sizeof(*w->cells));
        r = w->cells ? 0 : -ENOMEM;
    }
    schema_fini(&found);
    return r;
}

/* The object of the last look into w->cells, beside what is added. */
static enum json_row_result object_read(struct writer *w, const uint8_t *object, uint32_t len)
{
    enum json_row_result result = json_row_take(w->row, object, len, w->cells);
    const struct schema *add = &w->enc->transform.add;
    uint32_t at = w->cells_found;

    for (uint32_t i = 0; i < add->count; i++)
        if (!schema_has(&w->enc->hidden, &add->columns[i]))
            w->cells[at++] = w->enc->transform.cells[i];
    return result;
}

/* Writes some of what was held. TAKEN: all of it is written. */
static enum writer_result pump(struct writer *w, struct block_chain *out)
{
    size_t begin = w->held_at;

    while (w->held_at < w->held.len) {
        enum writer_result result;
        struct held head;

        if (w->held_at - begin >= PUMP_BYTES)
            return WRITER_AGAIN;
        memcpy(&head, w->held.data + w->held_at, sizeof(head));
        if (w->enc->transform.add.count > 0)
            transform_eval(&w->enc->transform, head.time_ns, (uint8_t)head.kind);
        if (object_read(w, w->held.data + w->held_at + sizeof(head), head.len) != JSON_ROW_TAKEN)
            return WRITER_NO_MEMORY;    /* it fits: infer took it */
        result = row_put(w, w->cells, out);
        if (result != WRITER_TAKEN)
            return result;
        w->held_at += sizeof(head) + head.len;
    }
    bytes_free(&w->held);
    w->state = WRITER_ROWS;
    return WRITER_TAKEN;
}

static enum writer_result hold_end(struct writer *w)
{
    if (columns_find(w))
        return WRITER_NO_MEMORY;
    w->state = WRITER_PUMP;
    return WRITER_TAKEN;
}

static enum writer_result infer_refused(struct writer *w, enum infer_result result)
{
    struct encoding *e = w->enc;
    struct infer alone;

    switch (result) {
    case INFER_SAME:
    case INFER_WIDER:
        return WRITER_TAKEN;
    case INFER_NO_MEMORY:
        return WRITER_NO_MEMORY;
    default:
        break;
    }
    /* Perhaps it is only that there would be too many columns together. */
    schema_fini(&w->wider);
    if (encoding_infer(e, NULL, &alone))
        return WRITER_NO_MEMORY;
    result = infer_event(&alone, e->object, e->object_len);
    infer_fini(&alone);
    if (result == INFER_NO_MEMORY)
        return WRITER_NO_MEMORY;
    if (result == INFER_SAME || result == INFER_WIDER)
        return WRITER_MISFIT;
    e->error = ENCODING_FORMAT_FAILED;
    errmsg_set(&e->why, -EBADMSG, "%s", w->infer.why);
    return WRITER_REFUSED;
}

static enum writer_result object_hold(struct writer *w, const struct event *ev)
{
    struct encoding *e = w->enc;
    struct held head = {ev->time_ns, e->object_len, ev->kind};
    enum writer_result result;

    if (bytes_reserve(&w->held, sizeof(head) + e->object_len))
        return WRITER_NO_MEMORY;
    result = infer_refused(w, infer_event(&w->infer, e->object, e->object_len));
    if (result != WRITER_TAKEN)
        return result;
    (void)bytes_append(&w->held, &head, sizeof(head));
    if (e->object_len > 0)
        (void)bytes_append(&w->held, e->object, e->object_len);
    if (w->held.len >= (size_t)e->set->infer_bytes)
        (void)hold_end(w);      /* it is held: else the next event, or the end, tries again */
    return WRITER_TAKEN;
}

/* It does not fit: what columns would? */
static enum writer_result misfit(struct writer *w)
{
    struct encoding *e = w->enc;
    enum infer_result result = infer_event(&w->infer, e->object, e->object_len);
    enum writer_result refused = infer_refused(w, result);

    if (refused != WRITER_TAKEN)
        return refused;
    schema_fini(&w->wider);
    return infer_schema(&w->infer, &w->wider) ? WRITER_NO_MEMORY : WRITER_MISFIT;
}

static enum writer_result object_take(struct writer *w, struct block_chain *out)
{
    struct encoding *e = w->enc;
    uint32_t members;

    switch (object_read(w, e->object, e->object_len)) {
    case JSON_ROW_TAKEN:
        members = json_row_members(w->row);
        /* What no batch could begin with is in none: infer says so. */
        if (members > SCHEMA_COLUMNS_MAX || (members == 0 && !e->fixed))
            return misfit(w);
        return row_put(w, w->cells, out);
    case JSON_ROW_NO_MEMORY:
        return WRITER_NO_MEMORY;
    default:
        return misfit(w);
    }
}

/* --- taking ------------------------------------------------------------------------------- */

bool writer_line(const struct encoding *e, const struct event *ev, struct block_chain *out)
{
    if (!chain_reserve(out, e->lines->bytes_max(&e->lines_set, ev)))
        return false;
    e->lines->event(&e->lines_set, ev, out);
    return true;
}

/* A definition stands in front of the first record that needs it. */
static enum writer_result frame_put(struct writer *w, const struct event *ev,
                                    struct block_chain *out)
{
    size_t count = w->types.len / sizeof(uint64_t), i = count;
    bool record = ev->kind == SHM_KIND_RECORD;

    while (record && i > 0 && bytes_get_u64(w->types.data + (i - 1) * 8) != ev->record->id)
        i--;
    if (record && i == 0) {
        if (count == SHM_DEFS_MAX)
            return WRITER_MISFIT;
        if (bytes_reserve(&w->types, sizeof(ev->record->id)))
            return WRITER_NO_MEMORY;
        i = count + 1;
        if (!framing_schema(ev, (uint16_t)i, out))
            return WRITER_NO_ROOM;
        (void)bytes_append(&w->types, &ev->record->id, sizeof(ev->record->id));
    }
    return framing_frame(ev, (uint16_t)(record ? i : 0), out) ? WRITER_TAKEN : WRITER_NO_ROOM;
}

enum writer_result writer_take(struct writer *w, const struct event *ev, struct block_chain *out)
{
    uint64_t record = ev->kind == SHM_KIND_RECORD ? ev->record->id : 0;
    enum writer_result result;

    if (w->state == WRITER_FRAMES)
        return frame_put(w, ev, out);
    if (w->state == WRITER_LINES) {
        if (!framing_event(w->enc, ev, !w->begun, out))
            return WRITER_NO_ROOM;
        w->begun = true;
        return WRITER_TAKEN;
    }
    if (w->enc->declared.count > 0)
        return record ? record_put(w, ev, out) : row_put(w, w->enc->cells, out);
    if (record != w->record) {
        schema_fini(&w->wider);
        return WRITER_MISFIT;
    }
    if (record)
        return record_put(w, ev, out);
    if (w->state == WRITER_HOLD)
        return object_hold(w, ev);
    if (w->state == WRITER_PUMP) {
        result = pump(w, out);
        if (result == WRITER_TAKEN && w->enc->transform.add.count > 0)
            transform_eval(&w->enc->transform, ev->time_ns, ev->kind);
        if (result != WRITER_TAKEN)
            return result;
    }
    return object_take(w, out);
}

enum writer_result writer_finish(struct writer *w, struct block_chain *out)
{
    enum writer_result result = WRITER_TAKEN;

    if (w->state == WRITER_FRAMES)
        return WRITER_TAKEN;
    if (w->state == WRITER_LINES)
        return framing_end(w->enc, out) ? WRITER_TAKEN : WRITER_NO_ROOM;
    if (w->state == WRITER_HOLD)
        result = hold_end(w);
    if (result == WRITER_TAKEN && w->state == WRITER_PUMP)
        result = pump(w, out);
    if (result != WRITER_TAKEN || !w->parquet)
        return result;
    if (!w->ended)
        parquet_finish(w->parquet);
    w->ended = true;
    return pull(w, out);
}

const struct schema *writer_wider(const struct writer *w)
{
    return w->wider.count > 0 ? &w->wider : NULL;
}

/* --- once more, memory -------------------------------------------------------------------- */

bool writer_learns(const struct writer *w)
{
    return w->found && !w->learned;
}

int writer_learn(struct writer *w)
{
    enum infer_result result;

    result = infer_event(&w->infer, w->enc->object, w->enc->object_len);
    if (result == INFER_NO_MEMORY)
        return -ENOMEM;
    return result == INFER_SAME || result == INFER_WIDER ? 0 : -EBADMSG;
}

int writer_learned(struct writer *w)
{
    w->learned = true;
    if (hold_end(w) != WRITER_TAKEN)
        return -ENOMEM;
    w->state = WRITER_ROWS;
    return 0;
}

uint64_t writer_memory(const struct writer *w)
{
    return w->held.cap + (w->parquet ? parquet_memory(w->parquet) : 0);
}

void writer_squeeze(struct writer *w)
{
    if (w->state == WRITER_HOLD && w->held.len > 0)
        (void)hold_end(w);      /* else it is tried again with the next event */
    else if (w->parquet && w->state == WRITER_ROWS && !w->ended)
        parquet_group_end(w->parquet);
}
