/*
 * taker: lines into the ring of their kind of socket, bad ones into the error output of the default
 * stream up to a rate.
 *
 * Owns:   nothing.
 * Thread: the intake's.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "encode/event_classify.h"
#include "intake/parts.h"

enum { LETTERS_A_SECOND = 100 };

#define NS_PER_S 1000000000ULL

/* Lines of JSON seldom come alone: from the first of them on all are looked at together. */
static enum shm_kind classify(struct intake *in, const struct line *line)
{
    const uint8_t *data = line->payload;
    size_t len = line->payload_len;

    if (line->fed_end == NULL || (!in->looked && (len == 0 || data[0] != '{')))
        return event_classify(in->checker, data, len);
    if (!in->looked) {
        const uint8_t *lf = memrchr(data, '\n', (size_t)(line->fed_end - data));

        in->looked = true;
        in->looked_good = json_lines_begin(in->checker, (const char *)data,
                                           (size_t)(lf + 1 - data));
    }
    if (!in->looked_good)
        return event_classify(in->checker, data, len);
    return json_lines_object(in->checker, (const char *)data, len) ? SHM_KIND_JSON : SHM_KIND_TEXT;
}

static int on_line(void *ctx, const struct line *line)
{
    struct taker *t = ctx;
    struct intake *in = t->in;
    const char *stream = line->stream_len > 0 ? line->stream : in->default_stream;
    size_t stream_len = line->stream_len > 0 ? line->stream_len : strlen(in->default_stream);
    uint64_t now_ns = loop_now_ns(in->loop);
    int rc = intake_ring_ready(&t->ring, now_ns, line->payload_len);

    if (rc == 0)
        rc = intake_ring_write(&t->ring, now_ns, stream, stream_len,
                               (uint8_t)classify(in, line), line->payload, line->payload_len);
    if (rc == -EDQUOT || rc == -ENOENT)
        taker_bad(t, rc == -ENOENT ? LINE_UNKNOWN_STREAM : LINE_NO_ROOM, line->whole,
                  line->whole_len);
    else if (rc != 0)
        return rc;
    else
        intake_count(&in->counters->events[t->source], 1);
    return 0;
}

static void on_bad(void *ctx, enum line_fault fault, const uint8_t *text, size_t len)
{
    taker_bad(ctx, fault, text, len);
}

struct line_handler taker_handler(struct taker *t)
{
    t->in->looked = false;
    return (struct line_handler){on_line, on_bad, t};
}

/* Whoever sends nothing but rubbish must not fill the disk with it. */
static bool letter_allowed(struct intake *in, uint64_t now_ns)
{
    if (now_ns - in->letters_ns >= NS_PER_S) {
        in->letters_ns = now_ns;
        in->letters = 0;
    }
    return in->letters++ < LETTERS_A_SECOND;
}

void taker_bad(struct taker *t, enum line_fault fault, const uint8_t *text, size_t len)
{
    static _Thread_local struct log_limit limit =
        LOG_LIMIT_INIT("bad lines", 5, 10 * 1000000000ULL);
    struct intake *in = t->in;
    uint64_t now_ns = loop_now_ns(in->loop);

    intake_count(&in->counters->bad_lines[fault], 1);
    if (log_limit_allow(&limit, now_ns))
        log_warn("intake: %s: bad line: %s: %.*s", intake_source_names[t->source],
                 line_fault_words[fault], (int)(len < 80 ? len : 80), (const char *)text);
    if (!letter_allowed(in, now_ns) ||
        intake_ring_refuse(&t->ring, now_ns, in->default_stream, fault, text, len) != 0)
        intake_count(&in->counters->bad_lines_dropped, 1);
}
