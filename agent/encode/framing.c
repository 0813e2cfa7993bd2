/*
 * framing: lines, and what stands around them.
 *
 * Owns:   nothing.
 * Thread: shard.
 */
#include "encode/framing.h"

#include <errno.h>
#include <string.h>

/* What stands around a line, whichever way. */
enum { AROUND_BYTES_MAX = FRAMING_LENGTH_BYTES };

bool framing_fits(const struct output_settings *set)
{
    switch ((enum settings_framing)set->framing) {
    case SETTINGS_FRAMING_ARRAY:
        return strcmp(set->format, "json") == 0;
    case SETTINGS_FRAMING_FRAMES:
        return strcmp(set->format, "raw") == 0 && set->compression == SETTINGS_COMPRESSION_NONE;
    case SETTINGS_FRAMING_RECORDS:
        return encoder_find(set->format) != NULL && set->compression == SETTINGS_COMPRESSION_NONE;
    default:
        return true;
    }
}

/* What the look has made of the event. */
static struct event event_edited(const struct encoding *e, const struct event *ev)
{
    struct event edited = *ev;

    if (!e->edit)
        return edited;
    edited.data = e->object;
    edited.len = e->object_len;
    edited.kind = SHM_KIND_JSON;
    return edited;
}

static uint64_t record_bytes_max(const struct encoding *e, const struct event *ev)
{
    const struct projection *p = &e->record;

    return p->direct ? json_out_record_bytes_max(&p->json, &p->text, ev->len)
                     : json_out_row_bytes_max(&p->json, e->cells);
}

/* most: record_bytes_max() */
static void record_append(const struct encoding *e, const struct event *ev, uint64_t most,
                          struct block_chain *out)
{
    const struct projection *p = &e->record;

    if (p->direct) {
        if (json_out_record(&p->json, &p->text, ev->data, ev->len, most, out))
            return;
        encoding_cells(e, ev);
    }
    json_out_row(&p->json, e->cells, most, out);
}

static uint64_t line_bytes_max(const struct encoding *e, const struct event *ev)
{
    struct event edited;

    if (ev->kind == SHM_KIND_RECORD)
        return record_bytes_max(e, ev) + e->set->delimiter_len;
    edited = event_edited(e, ev);
    return e->lines->bytes_max(&e->lines_set, &edited);
}

/* The line's end is the last byte of its block. */
static void line_open(struct block_chain *out)
{
    out->at--;
    out->total--;
}

/* most: line_bytes_max() */
static void line_append(const struct encoding *e, const struct event *ev, uint64_t most,
                        struct block_chain *out)
{
    struct event edited;

    if (ev->kind != SHM_KIND_RECORD) {
        edited = event_edited(e, ev);
        e->lines->event(&e->lines_set, &edited, out);
        return;
    }
    record_append(e, ev, most - e->set->delimiter_len, out);
    if (e->format == ENCODING_RAW) {
        line_open(out);
        if (e->set->delimiter_len > 0)
            chain_append(out, e->set->delimiter, e->set->delimiter_len);
    }
}

int framing_check(struct encoding *e, const struct event *ev)
{
    uint64_t most = line_bytes_max(e, ev), bytes;
    struct block_pool pool;
    struct block_chain line;
    bool fits;

    if (most <= FRAMING_RECORD_BYTES_MAX)
        return 0;
    /* How long it becomes is known when it is written. Few events are as large. */
    block_pool_init(&pool, most + BLOCK_BYTES);
    chain_init(&line, &pool);
    fits = chain_reserve(&line, most);
    if (fits)
        line_append(e, ev, most, &line);
    bytes = line.total;
    chain_fini(&line);
    block_pool_fini(&pool);
    if (!fits)
        return -ENOMEM;
    if (bytes <= FRAMING_RECORD_BYTES_MAX)
        return 0;
    e->error = ENCODING_PROCESSING_FAILED;
    return errmsg_set(&e->why, -EBADMSG, "it is a record of %llu bytes, more than %d",
                      (unsigned long long)bytes, FRAMING_RECORD_BYTES_MAX);
}

bool framing_event(const struct encoding *e, const struct event *ev, bool first,
                   struct block_chain *out)
{
    uint64_t most = line_bytes_max(e, ev), before;
    struct chain_hole hole;
    uint32_t len;

    if (!chain_reserve(out, AROUND_BYTES_MAX + most))
        return false;
    switch ((enum settings_framing)e->set->framing) {
    case SETTINGS_FRAMING_ARRAY:
        chain_append(out, first ? "[" : ",\n", first ? 1 : 2);
        line_append(e, ev, most, out);
        line_open(out);
        break;
    case SETTINGS_FRAMING_RECORDS:
        hole = chain_leave(out, FRAMING_LENGTH_BYTES);
        before = out->total;
        line_append(e, ev, most, out);
        len = (uint32_t)(out->total - before);
        chain_fill(hole, &len, sizeof(len));
        break;
    default:
        line_append(e, ev, most, out);
    }
    return true;
}

static bool frame_append(const struct shm_frame *frame, const void *payload,
                         struct block_chain *out)
{
    static const uint8_t zeros[SHM_FRAME_ALIGN];
    uint64_t bytes = shm_frame_bytes(frame->len);
    size_t padding = (size_t)(bytes - sizeof(*frame) - frame->len);

    if (!chain_reserve(out, bytes))
        return false;
    chain_append(out, frame, sizeof(*frame));
    if (frame->len > 0)
        chain_append(out, payload, frame->len);
    if (padding > 0)
        chain_append(out, zeros, padding);
    return true;
}

bool framing_frame(const struct event *ev, uint16_t number, struct block_chain *out)
{
    struct shm_frame frame = {
        .len = ev->len, .def = number, .kind = ev->kind, .time_ns = ev->time_ns,
    };

    return frame_append(&frame, ev->data, out);
}

bool framing_schema(const struct event *ev, uint16_t number, struct block_chain *out)
{
    struct shm_frame frame = {
        .len = ev->record->len, .def = number, .kind = FRAMING_KIND_SCHEMA,
    };

    return frame_append(&frame, ev->record->body, out);
}

bool framing_end(const struct encoding *e, struct block_chain *out)
{
    if (e->set->framing != SETTINGS_FRAMING_ARRAY)
        return true;
    if (!chain_reserve(out, 2))
        return false;
    chain_append(out, "]\n", 2);
    return true;
}
