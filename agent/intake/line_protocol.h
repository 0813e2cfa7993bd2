/*
 * line_protocol: cuts a byte stream into lines and each line into stream and payload. Pure.
 *
 *   STREAM SP PAYLOAD LF     LF or CRLF; what follows the first space is the payload, any bytes
 *   {...} LF                 a line that starts with a brace names no stream
 *   LF                       nothing
 *
 * The stream may be cut anywhere. A line that lies whole in what is fed is handed out in place;
 * only one that is cut is copied, into memory of the reader's own, which grows with it up to
 * line_bytes_max and comes out of a budget that all readers share. The half line that stands at an
 * orderly end of the stream is a line.
 *
 * Bad lines are handed out with the reason, and what was read of them as far as it was kept.
 *
 * Owns:   the copy of a cut line.
 * Thread: one for all readers of a budget.
 * Units:  bytes; a line's length is without its LF or CRLF.
 */
#ifndef INTAKE_LINE_PROTOCOL_H
#define INTAKE_LINE_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flow/line_fault.h"

/* Borrowed from what was fed, or from the reader. */
struct line {
    const char *stream;         /* no NUL; a valid name */
    size_t stream_len;          /* 0: it names none */
    const uint8_t *payload;
    size_t payload_len;
    const uint8_t *whole;       /* stream, space and payload */
    size_t whole_len;
    const uint8_t *fed_end;     /* of what was fed, in which the line is; NULL: it is a copy */
};

struct line_handler {
    /* 0: taken. Anything else ends the feeding, and the same line is handed out again later. */
    int (*on_line)(void *ctx, const struct line *line);
    void (*on_bad)(void *ctx, enum line_fault fault, const uint8_t *text, size_t len);
    void *ctx;
};

/* Memory of all half lines together. */
struct line_budget {
    size_t used, max;
};

struct line_reader {
    struct line_budget *budget; /* borrowed */
    size_t line_max;
    uint8_t *half;              /* owned; NULL: none */
    size_t half_len, half_cap;
    bool half_whole;            /* the half line is complete and was not taken */
    bool skipping;              /* the rest of a line that is too long */
    uint64_t ends;              /* lines that have ended, whatever became of them */
};

void line_reader_init(struct line_reader *r, size_t line_max, struct line_budget *budget);
void line_reader_fini(struct line_reader *r);

/* A line has begun and not ended. */
bool line_reader_half(const struct line_reader *r);

/*
 * Hands out what ends in data[0..len), *ret_used of which need not be fed again. 0: all of it is
 * used. -ENOBUFS: the budget has no room for the half line at its end. Else what on_line returned.
 */
int line_reader_feed(struct line_reader *r, const uint8_t *data, size_t len, size_t *ret_used,
                     const struct line_handler *handler);

/* An orderly end: what is left is a line. 0, or what on_line returned: once more, later. */
int line_reader_end(struct line_reader *r, const struct line_handler *handler);

/* The stream broke off: what is left is a bad line. */
void line_reader_cut(struct line_reader *r, const struct line_handler *handler);

#endif
