/*
 * cli_lines: a byte stream into lines.
 *
 * Owns:   see the header.
 * Thread: one.
 */
#include "cli/cli_lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"

int lines_init(struct lines *l, size_t line_max, size_t read_bytes)
{
    memset(l, 0, sizeof(*l));
    /* The longest unfinished line that may still turn out well: line_max bytes and a CR. */
    l->cap = line_max + 1 + read_bytes;
    l->line_max = line_max;
    l->buf = malloc(l->cap);
    lines_restart(l);
    return l->buf == NULL ? -ENOMEM : 0;
}

void lines_fini(struct lines *l)
{
    free(l->buf);
    memset(l, 0, sizeof(*l));
}

void lines_restart(struct lines *l)
{
    l->len = 0;
    l->number = 1;
    l->skipping = false;
}

uint8_t *lines_room(const struct lines *l, size_t *ret_len)
{
    *ret_len = l->cap - l->len;
    return l->buf + l->len;
}

/* One line without its LF. */
static int line_out(struct lines *l, const uint8_t *data, size_t len, bool ended, line_fn on_line,
                    void *ctx)
{
    if (ended && len > 0 && data[len - 1] == '\r')
        len--;
    if (len == 0)
        return 0;
    return len > l->line_max ? on_line(ctx, NULL, 0, l->number)
                             : on_line(ctx, data, len, l->number);
}

int lines_fed(struct lines *l, size_t len, line_fn on_line, void *ctx)
{
    const uint8_t *start = l->buf;
    const uint8_t *look = l->buf + l->len; /* no LF before this */
    const uint8_t *end = look + len;
    const uint8_t *lf;
    int res = 0;

    INVARIANT(len <= l->cap - l->len);
    while (res == 0 && (lf = memchr(look, '\n', (size_t)(end - look))) != NULL) {
        if (!l->skipping)
            res = line_out(l, start, (size_t)(lf - start), true, on_line, ctx);
        l->skipping = false;
        l->number++;
        start = look = lf + 1;
    }
    if (res != 0)
        return res;

    l->len = (size_t)(end - start);
    if (l->skipping) {
        l->len = 0;
    } else if (l->len > l->line_max + 1) {
        l->len = 0;
        l->skipping = true;
        return on_line(ctx, NULL, 0, l->number);
    }
    memmove(l->buf, start, l->len);
    return 0;
}

int lines_end(struct lines *l, line_fn on_line, void *ctx)
{
    int res = l->skipping ? 0 : line_out(l, l->buf, l->len, false, on_line, ctx);

    lines_restart(l);
    return res;
}
