/*
 * cli_ring_events: `hydrant ring show NAME --events`: the frames between accepted and head.
 *
 * The span is copied first and checked in the copy. An agent that accepts meanwhile lets the
 * producer write over what was copied, so whatever is below `accepted` after the copy is left out.
 *
 * Owns:   the copy.
 * Thread: main.
 */
#include "cli/cli_ring.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clockfmt.h"
#include "cli/cli_exit.h"
#include "cli/cli_record.h"
#include "cli/cli_text.h"
#include "encode/event_classify.h"
#include "ring/frames.h"

struct printer {
    char (*names)[SHM_STREAM_NAME_MAX + 1];     /* owned; by definition number */
    struct cli_schema **schemas;                /* owned, each owned; the same, NULL of a stream */
    struct json_checker *checker;               /* owned */
};

static int on_def(void *ctx, const struct ring_def *def)
{
    struct printer *p = (struct printer *)ctx;

    /* Events under a schema's number are of its stream. */
    memcpy(p->names[def->number], def->type == SHM_DEF_SCHEMA ? p->names[def->stream] : def->name,
           sizeof(def->name));
    if (def->type != SHM_DEF_SCHEMA)
        return 0;
    p->schemas[def->number] = cli_schema_open(def->body, def->body_len);
    return p->schemas[def->number] != NULL ? 0 : -ENOMEM;
}

/* Copies [from, to) of the data area, which may wrap. 0 or -errno; -EBADMSG: the file is short. */
static int span_copy(const struct ring_file *file, uint64_t from, uint64_t to, uint8_t *ret_span)
{
    uint64_t mask = file->super.data_bytes - 1;
    size_t done = 0;

    while (from + done != to) {
        uint64_t at = (from + done) & mask;
        size_t len = (size_t)(to - from) - done;
        ssize_t n;

        if (len > file->super.data_bytes - at)
            len = (size_t)(file->super.data_bytes - at);
        n = file_read(file->fd, ret_span + done, len, file->super.data_offset + at);
        if (n < 0)
            return (int)n;
        if ((size_t)n != len)
            return -EBADMSG;
        done += len;
    }
    return 0;
}

/* `"payload": <value>`: JSON as it is, text as a string, the rest in base64. */
static void payload_print(struct printer *p, const uint8_t *data, uint32_t len)
{
    if (event_classify(p->checker, data, len) == SHM_KIND_JSON) {
        fputs("\"payload\": ", stdout);
        cli_json_folded(stdout, data, len);
    } else {
        cli_json_bytes(stdout, "payload", data, len);
    }
}

static void frame_print(struct printer *p, const struct shm_frame *frame, const uint8_t *payload)
{
    char time_text[CLOCKFMT_ISO_BYTES];

    printf("{\"stream\": \"%s\", \"kind\": \"%s\", ", p->names[frame->def],
           cli_text_kind(frame->kind));
    if (frame->time_ns != 0)
        printf("\"time\": \"%s\", ", clockfmt_iso(frame->time_ns, time_text));
    else
        fputs("\"time\": null, ", stdout);
    if (p->schemas[frame->def] != NULL)
        cli_record_print(stdout, p->schemas[frame->def], payload, frame->len);
    else
        payload_print(p, payload, frame->len);
    fputs("}\n", stdout);
}

static int frames_print(const char *command, struct printer *p, const struct ring_view *view,
                        const uint8_t *span, uint64_t len)
{
    static struct frames_scratch scratch;
    struct frames_summary summary;
    enum frames_result res;

    frames_scratch_clear(&scratch);
    res = frames_check(span, len, shm_event_bytes_max(view->file.super.data_bytes),
                       view->file.defs_count, &view->file.schemas, &scratch, &summary);
    for (uint64_t at = 0; at < summary.bytes_whole;) {
        const uint8_t *payload;
        struct shm_frame frame;

        at = frames_next(span, at, &frame, &payload);
        frame_print(p, &frame, payload);
    }
    if (res != FRAMES_OK || summary.bytes_whole != len)
        return cli_fail(command, "%s: unreadable from position %llu on: %s", view->file.name,
                        (unsigned long long)(view->head - len + summary.bytes_whole),
                        res != FRAMES_OK ? ring_quarantine_name(summary.reason)
                                         : "the last event is cut");
    return CLI_OK;
}

int ring_events_print(const char *command, struct ring_view *view)
{
    uint64_t from = view->pos[SHM_POS_ACCEPTED];
    uint64_t len = view->fault == SHM_QUARANTINE_NONE ? view->head - from : 0;
    enum shm_quarantine reason = SHM_QUARANTINE_NONE;
    struct printer p = { NULL, NULL, NULL };
    uint8_t *span = malloc(len > 0 ? len : 1);
    uint64_t accepted;
    int res, code;

    p.names = calloc(SHM_DEFS_MAX + 1, sizeof(*p.names));
    p.schemas = calloc(SHM_DEFS_MAX + 1, sizeof(struct cli_schema *));
    p.checker = json_checker_open(SHM_EVENT_BYTES_MAX);
    if (view->fault != SHM_QUARANTINE_NONE) {
        code = cli_fail(command, "%s: what waits cannot be found: %s", view->file.name,
                        ring_quarantine_name(view->fault));
        goto out;
    }
    if (span == NULL || p.names == NULL || p.schemas == NULL || p.checker == NULL) {
        code = cli_fail(command, "out of memory");
        goto out;
    }
    res = ring_file_defs(&view->file, on_def, &p, &reason);
    if (res != 0) {
        code = cli_fail(command, "%s: definitions cannot be read: %s", view->file.name,
                        res == -EBADMSG ? ring_quarantine_name(reason) : strerror(-res));
        goto out;
    }
    res = span_copy(&view->file, from, view->head, span);
    if (res != 0) {
        code = cli_fail(command, "%s: %s", view->file.name,
                        res == -EBADMSG ? "the file has shrunk" : strerror(-res));
        goto out;
    }
    accepted = atomic_load_explicit(&view->file.consumer->mark[SHM_POS_ACCEPTED].pos,
                                    memory_order_acquire);
    if (accepted - from > len)
        accepted = view->head; /* all of it was taken meanwhile */
    code = frames_print(command, &p, view, span + (accepted - from), len - (accepted - from));
out:
    for (uint32_t i = 0; p.schemas != NULL && i <= SHM_DEFS_MAX; i++)
        cli_schema_close(p.schemas[i]);
    free(p.schemas);
    json_checker_close(p.checker);
    free(p.names);
    free(span);
    return code;
}
