/*
 * line_protocol: bytes into lines.
 *
 * Owns:   see the header.
 * Thread: see the header.
 */
#include "intake/line_protocol.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "flow/name.h"

enum { HALF_BYTES_MIN = 256 };

void line_reader_init(struct line_reader *r, size_t line_max, struct line_budget *budget)
{
    *r = (struct line_reader){.budget = budget, .line_max = line_max};
}

static void half_drop(struct line_reader *r)
{
    r->budget->used -= r->half_cap;
    free(r->half);
    r->half = NULL;
    r->half_len = r->half_cap = 0;
    r->half_whole = false;
}

void line_reader_fini(struct line_reader *r)
{
    half_drop(r);
}

bool line_reader_half(const struct line_reader *r)
{
    return r->half_len > 0 || r->skipping;
}

/* Adds to the half line, which has room for a CR behind the longest line. */
static int half_add(struct line_reader *r, const uint8_t *data, size_t len)
{
    size_t cap = r->half_cap > 0 ? r->half_cap : HALF_BYTES_MIN, need = r->half_len + len;
    uint8_t *more;

    INVARIANT(need <= r->line_max + 1);
    while (cap < need)
        cap *= 2;
    if (cap > r->half_cap) {
        if (cap - r->half_cap > r->budget->max - r->budget->used)
            return -ENOBUFS;
        more = realloc(r->half, cap);
        if (more == NULL)
            return -ENOBUFS;
        r->half = more;
        r->budget->used += cap - r->half_cap;
        r->half_cap = cap;
    }
    if (len > 0)
        memcpy(r->half + r->half_len, data, len);
    r->half_len = need;
    return 0;
}

/* One line without its LF. */
static int line_out(const struct line_reader *r, const uint8_t *at, size_t len, bool ended,
                    const uint8_t *fed_end, const struct line_handler *handler)
{
    struct line line = {.payload = at, .fed_end = fed_end};
    const uint8_t *space;

    if (ended && len > 0 && at[len - 1] == '\r')
        len--;
    if (len == 0)
        return 0;
    if (len > r->line_max) {
        handler->on_bad(handler->ctx, LINE_TOO_LONG, at, r->line_max);
        return 0;
    }
    line.whole = at;
    line.whole_len = line.payload_len = len;
    if (at[0] == '{')
        return handler->on_line(handler->ctx, &line);
    space = memchr(at, ' ', len <= STREAM_NAME_MAX ? len : STREAM_NAME_MAX + 1);
    if (space == NULL || space == at) {
        bool any = space == NULL && memchr(at, ' ', len) != NULL;

        handler->on_bad(handler->ctx, any ? LINE_BAD_NAME : LINE_NO_STREAM, at, len);
        return 0;
    }
    line.stream = (const char *)at;
    line.stream_len = (size_t)(space - at);
    if (!stream_name_valid(line.stream, line.stream_len)) {
        handler->on_bad(handler->ctx, LINE_BAD_NAME, at, len);
        return 0;
    }
    line.payload = space + 1;
    line.payload_len = len - line.stream_len - 1;
    return handler->on_line(handler->ctx, &line);
}

/* The half line is complete: hands it out. */
static int half_out(struct line_reader *r, bool ended, const struct line_handler *handler)
{
    int res = line_out(r, r->half, r->half_len, ended, NULL, handler);

    if (res != 0)
        return res;
    half_drop(r);
    r->ends++;
    return 0;
}

/* Too long already, whatever may follow but a single CR: all up to its end is skipped. */
static bool half_overlong(struct line_reader *r, const uint8_t *data, size_t len, bool ended,
                          const struct line_handler *handler)
{
    size_t whole = r->half_len + len;
    size_t bare = ended && (len > 0 ? data[len - 1] : r->half[r->half_len - 1]) == '\r';

    if (whole - bare <= r->line_max || (!ended && whole == r->line_max + 1))
        return false;
    if (r->half_len > 0)
        handler->on_bad(handler->ctx, LINE_TOO_LONG, r->half,
                        r->half_len < r->line_max ? r->half_len : r->line_max);
    else
        handler->on_bad(handler->ctx, LINE_TOO_LONG, data,
                        len < r->line_max ? len : r->line_max);
    half_drop(r);
    return true;
}

/* Completes the half line by what comes up to the first LF. */
static int half_complete(struct line_reader *r, const uint8_t *data, size_t len, size_t *ret_used,
                         const struct line_handler *handler)
{
    const uint8_t *lf = memchr(data, '\n', len);
    size_t part = lf != NULL ? (size_t)(lf - data) : len;
    int res = 0;

    *ret_used = 0;
    if (half_overlong(r, data, part, lf != NULL, handler)) {
        r->skipping = lf == NULL;
        r->ends += lf != NULL;
    } else {
        res = half_add(r, data, part);
        if (res != 0)
            return res;
        if (lf != NULL)
            res = half_out(r, true, handler);
        r->half_whole = res != 0;
    }
    *ret_used = part + (lf != NULL);
    return res;
}

int line_reader_feed(struct line_reader *r, const uint8_t *data, size_t len, size_t *ret_used,
                     const struct line_handler *handler)
{
    const uint8_t *at = data, *end = data + len, *lf;
    size_t used;
    int res = 0;

    *ret_used = 0;
    if (r->half_whole) {
        res = half_out(r, true, handler);
        if (res != 0)
            return res;
    }
    if (len > 0 && r->half_len > 0) {
        res = half_complete(r, at, len, &used, handler);
        *ret_used = used;
        if (res != 0)
            return res;
        at += used;
    }
    while (at < end && (lf = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        if (!r->skipping)
            res = line_out(r, at, (size_t)(lf - at), true, end, handler);
        if (res != 0)
            return res;
        r->skipping = false;
        r->ends++;
        at = lf + 1;
        *ret_used = (size_t)(at - data);
    }
    if (at < end && !r->skipping) {
        if (half_overlong(r, at, (size_t)(end - at), false, handler))
            r->skipping = true;
        else
            res = half_add(r, at, (size_t)(end - at));
    }
    if (res == 0)
        *ret_used = len;
    return res;
}

int line_reader_end(struct line_reader *r, const struct line_handler *handler)
{
    r->skipping = false;
    return r->half_len > 0 ? half_out(r, r->half_whole, handler) : 0;
}

void line_reader_cut(struct line_reader *r, const struct line_handler *handler)
{
    r->skipping = false;
    if (r->half_len > 0)
        handler->on_bad(handler->ctx, LINE_CUT, r->half, r->half_len);
    half_drop(r);
}
