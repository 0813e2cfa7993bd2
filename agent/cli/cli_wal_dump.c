/*
 * cli_wal_dump: `hydrant wal dump`: a log as lines.
 *
 * Every item is applied to the tables, shown or not: names of rings and streams come from them.
 *
 * Owns:   nothing beyond a call.
 * Thread: main.
 * Units:  lsn = log byte offset.
 */
#include "cli/cli_wal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "cli/cli_exit.h"
#include "cli/cli_fields.h"
#include "cli/cli_text.h"
#include "cli/cli_wal_item.h"
#include "cli/cli_wal_walk.h"
#include "ring/frames.h"

struct dump {
    const struct wal_args *args;
    struct cli_fields line;
    struct wal_walk walk;
    struct wal_state state;
    struct frames_scratch scratch;
    uint64_t segment;               /* last one shown */
    int code;
};

/* A line begins with these; in JSON it says which shard's log it is. */
static void line_open(struct dump *d, uint64_t lsn, uint64_t time_ns, const char *type)
{
    cli_fields_open(&d->line);
    if (d->line.json)
        cli_fields_u64(&d->line, "shard", d->walk.shard);
    cli_fields_u64(&d->line, "lsn", lsn);
    if (time_ns != 0)
        cli_fields_time(&d->line, "time", time_ns);
    cli_fields_word(&d->line, "type", type);
}

static bool shows(const struct dump *d, uint64_t bit)
{
    return (d->args->types & bit) != 0;
}

/* Segments and groups are about everything, so no filter for a ring or stream finds them. */
static bool shows_frame(const struct dump *d, uint64_t bit)
{
    return shows(d, bit) && d->args->stream == NULL && d->args->ring == NULL;
}

static void segment_line(struct dump *d, const struct wal_group_view *g)
{
    const struct wal_segment *seg = wal_dir_find(&d->walk.dir, g->body_lsn);

    if (seg == NULL || seg->header.number == d->segment)
        return;
    d->segment = seg->header.number;
    if (!shows_frame(d, WAL_SHOW_SEGMENT))
        return;
    line_open(d, seg->header.start_lsn, seg->header.real_ns, "segment");
    cli_fields_bytes(&d->line, "file", seg->name, strlen(seg->name));
    cli_fields_u64(&d->line, "number", seg->header.number);
    cli_fields_x(&d->line, "epoch", seg->header.epoch, 16);
    cli_fields_u64(&d->line, "bytes", seg->size_bytes);
    cli_fields_hex(&d->line, "log", seg->header.uuid, sizeof(seg->header.uuid));
    cli_fields_hex(&d->line, "boot", seg->header.boot_id, sizeof(seg->header.boot_id));
    cli_fields_close(&d->line);
}

static void group_line(struct dump *d, const struct wal_group_view *g)
{
    if (!shows_frame(d, WAL_SHOW_GROUP))
        return;
    line_open(d, g->body_lsn, g->commit.real_ns, "group");
    cli_fields_u64(&d->line, "commit_lsn", g->commit.lsn);
    cli_fields_u64(&d->line, "end_lsn", g->end_lsn);
    cli_fields_u64(&d->line, "synced_lsn", g->commit.synced_lsn);
    cli_fields_u64(&d->line, "items", g->commit.items);
    cli_fields_close(&d->line);
}

static void gap_line(struct dump *d, const char *type, uint64_t from, uint64_t to)
{
    line_open(d, from, 0, type);
    cli_fields_u64(&d->line, "to_lsn", to);
    cli_fields_u64(&d->line, "bytes", to - from);
    cli_fields_close(&d->line);
}

static void event_line(struct dump *d, const struct shm_frame *frame, const uint8_t *payload,
                       uint64_t lsn, uint64_t arrival_ns, uint32_t stream)
{
    line_open(d, lsn, frame->time_ns != 0 ? frame->time_ns : arrival_ns, "event");
    wal_item_stream_fields(&d->line, &d->state, stream);
    cli_fields_word(&d->line, "kind", cli_text_kind(frame->kind));
    cli_fields_bytes(&d->line, "payload", payload, frame->len);
    cli_fields_close(&d->line);
}

/* Why the bytes of a span cannot be taken for its events, or NULL. */
static const char *span_trouble(struct dump *d, const struct wal_item *it,
                                const struct wal_group_view *g)
{
    uint64_t len = it->u.span.to - it->u.span.from, body_len = g->commit.lsn - g->body_lsn;
    const struct wal_ring *ring = wal_state_ring(&d->state, it->u.span.ring);
    struct frames_summary sum;
    enum frames_result res;

    if (len > body_len || it->u.span.offset > body_len - len)
        return "outside its group";
    if (crc32c(0, g->body + it->u.span.offset, len) != it->u.span.crc32c)
        return "checksum differs";
    if (ring == NULL)
        return "its ring is not known";
    res = frames_check(g->body + it->u.span.offset, len, SHM_EVENT_BYTES_MAX, ring->defs_count,
                       NULL, &d->scratch, &sum);
    frames_scratch_clear(&d->scratch);
    return res == FRAMES_OK && sum.bytes_whole == len ? NULL : "no frames";
}

static void span_events(struct dump *d, const struct wal_item *it, const struct wal_group_view *g)
{
    const struct wal_ring *ring = wal_state_ring(&d->state, it->u.span.ring);
    const uint8_t *span = g->body + it->u.span.offset;
    uint64_t lsn = g->body_lsn + it->u.span.offset;

    for (uint64_t at = 0, len = it->u.span.to - it->u.span.from; at < len;) {
        const struct wal_stream *stream;
        const uint8_t *payload;
        struct shm_frame frame;
        uint64_t next = frames_next(span, at, &frame, &payload);
        uint32_t id = wal_ring_stream(ring, frame.def);

        stream = d->args->stream != NULL ? wal_state_stream(&d->state, id) : NULL;
        if (d->args->stream == NULL
            || (stream != NULL && strcmp(stream->name, d->args->stream) == 0))
            event_line(d, &frame, payload, lsn + at, g->commit.real_ns, id);
        at = next;
    }
}

/* One item. False: a span is damaged at the first look. */
static bool item_dump(struct dump *d, const struct wal_item *it, const struct wal_group_view *g,
                      bool again)
{
    bool events = it->type == WAL_SPAN && d->args->events;
    uint64_t lsn = it->type == WAL_SPAN ? g->body_lsn + it->u.span.offset : g->commit.lsn;
    const char *trouble;

    if ((d->args->stream != NULL && !wal_item_of_stream(&d->state, it, d->args->stream))
        || (d->args->ring != NULL && !wal_item_of_ring(&d->state, it, d->args->ring)))
        return true;
    trouble = events ? span_trouble(d, it, g) : NULL;
    if (trouble != NULL && !again)
        return false;
    if (shows(d, UINT64_C(1) << it->type)) {
        line_open(d, lsn, g->commit.real_ns, wal_item_type_name(it->type));
        wal_item_fields(&d->line, &d->state, it);
        cli_fields_close(&d->line);
    }
    if (trouble != NULL) {
        line_open(d, lsn, g->commit.real_ns, "damage");
        wal_item_ring_fields(&d->line, &d->state, it->u.span.ring);
        cli_fields_u64(&d->line, "events", it->u.span.events);
        cli_fields_bytes(&d->line, "why", trouble, strlen(trouble));
        cli_fields_close(&d->line);
        d->code = CLI_FAILED;
    } else if (events) {
        span_events(d, it, g);
    }
    return true;
}

/*
 * All of a group. A damaged span may have been cut off while it was written: then the group is read
 * once more, and what was printed of it is not printed again.
 */
static int group_dump(struct dump *d, struct wal_group_view *g, struct errmsg *err)
{
    const uint8_t *at = g->items;
    bool shown = g->end_lsn > d->args->from_lsn && g->body_lsn < d->args->to_lsn, again = false;

    if (shown) {
        segment_line(d, g);
        group_line(d, g);
    }
    while (at < g->items_end) {
        size_t done = (size_t)(at - g->items);
        struct wal_item it;

        if (wal_item_next(&at, g->items_end, &it) != 0) {
            line_open(d, g->commit.lsn, g->commit.real_ns, "damage");
            cli_fields_bytes(&d->line, "why", "malformed item", strlen("malformed item"));
            cli_fields_close(&d->line);
            d->code = CLI_FAILED;
            return WAL_WALK_GROUP;
        }
        if (shown && !item_dump(d, &it, g, again)) {
            uint64_t group_lsn = g->body_lsn;
            int n = wal_walk_again(&d->walk, group_lsn, g, err);

            if (n != WAL_WALK_GROUP || g->body_lsn != group_lsn)
                return n;
            again = true;
            at = g->items + done;
            continue;
        }
        /* What is not understood here is for verify to judge. */
        if (wal_state_apply(&d->state, &it, g->end_lsn) == -ENOMEM)
            return errmsg_set(err, -ENOMEM, "out of memory");
    }
    return WAL_WALK_GROUP;
}

static int log_dump(struct dump *d, struct errmsg *err)
{
    struct wal_group_view g;
    uint64_t from = d->walk.reader.lsn;
    int n;

    while ((n = wal_walk_next(&d->walk, &g, err)) > 0) {
        if (n == WAL_WALK_GROUP && g.body_lsn >= d->args->to_lsn)
            return 0;
        if (n == WAL_WALK_GROUP && g.hole_from < g.body_lsn && g.body_lsn > d->args->from_lsn) {
            gap_line(d, "hole", g.hole_from, g.body_lsn);
            d->code = CLI_FAILED;
        }
        if (n == WAL_WALK_GROUP)
            n = group_dump(d, &g, err);
        if (n < 0)
            return n;
        if (n == WAL_WALK_TRIMMED)
            gap_line(d, "trimmed", from, d->walk.reader.lsn);
        if (ferror(stdout))         /* nobody reads on: main says so */
            return 0;
        from = d->walk.reader.lsn;
    }
    return n;
}

static int shard_dump(void *ctx, uint32_t shard)
{
    struct dump *d = ctx;
    struct errmsg err = { "" };
    int r;

    d->segment = UINT64_MAX;
    r = wal_walk_open(&d->walk, d->args->wal_dir, shard, &err);
    if (r == 0)
        r = wal_walk_seek(&d->walk, d->args->from_lsn, &err);
    if (r == 0)
        r = wal_state_init(&d->state);
    if (r == 0) {
        r = log_dump(d, &err);
        wal_state_fini(&d->state);
    }
    wal_walk_close(&d->walk);
    if (r < 0)
        d->code = cli_fail(d->args->command, "%s", err.text);
    return 0;
}

int cli_wal_dump(const struct wal_args *args)
{
    static struct dump dump;
    struct wal_files files;
    struct errmsg err = { "" };

    memset(&dump, 0, sizeof(dump));
    dump.args = args;
    dump.line = (struct cli_fields){ .out = stdout, .json = args->json };
    if (wal_files_read(args->wal_dir, args->data_dir, &files, &err) != 0)
        return cli_fail(args->command, "%s", err.text);
    if (wal_files_check(&files, args->wal_dir, &err) != 0)
        dump.code = cli_fail(args->command, "%s", err.text);
    else
        (void)wal_walk_shards(&files, shard_dump, &dump);
    wal_files_free(&files);
    return dump.code;
}
