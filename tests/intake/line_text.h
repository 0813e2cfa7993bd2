/*
 * line_text: what a line_reader hands out, written down as text.
 *
 * Owns:   its text.
 * Thread: the test's.
 */
#ifndef INTAKE_LINE_TEXT_H
#define INTAKE_LINE_TEXT_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/invariant.h"
#include "intake/line_protocol.h"

struct line_text {
    struct bytes text;
    unsigned refuse_every;      /* each so many calls one is answered -EAGAIN; 0: none */
    unsigned calls;
};

static inline int line_text_on_line(void *ctx, const struct line *line)
{
    struct line_text *t = ctx;

    if (t->refuse_every > 0 && ++t->calls % t->refuse_every == 0)
        return -EAGAIN;
    INVARIANT(bytes_append(&t->text, line->stream, line->stream_len) == 0 &&
              bytes_append_char(&t->text, '|') == 0 &&
              bytes_append(&t->text, line->payload, line->payload_len) == 0 &&
              bytes_append_char(&t->text, '\n') == 0);
    return 0;
}

/* How much of a bad line is kept depends on how it was cut, so that is left out. */
static inline void line_text_on_bad(void *ctx, enum line_fault fault, const uint8_t *text,
                                    size_t len)
{
    struct line_text *t = ctx;

    INVARIANT(text != NULL && len > 0);
    INVARIANT(bytes_printf(&t->text, "!%s\n", line_fault_names[fault]) == 0);
}

static inline struct line_handler line_text_handler(struct line_text *t)
{
    return (struct line_handler){line_text_on_line, line_text_on_bad, t};
}

/* Feeds all of data[0..len), again and again where a line was not taken. */
static inline void line_text_feed(struct line_reader *r, const uint8_t *data, size_t len,
                                  struct line_text *t)
{
    struct line_handler handler = line_text_handler(t);
    size_t used;
    int res;

    do {
        res = line_reader_feed(r, data, len, &used, &handler);
        INVARIANT(used <= len && (res == 0 || res == -EAGAIN));
        INVARIANT(res != 0 || used == len);
        data += used;
        len -= used;
    } while (res != 0);
}

static inline void line_text_end(struct line_reader *r, struct line_text *t)
{
    struct line_handler handler = line_text_handler(t);

    while (line_reader_end(r, &handler) != 0)
        continue;
}

#endif
