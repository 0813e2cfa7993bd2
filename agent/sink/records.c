/*
 * records: a window that moves along the file.
 * Owns:   see the header.
 * Thread: one at a time for each struct.
 */
#include "sink/records.h"

#include <errno.h>
#include <string.h>

#include "encode/text.h"
#include "io/file.h"

enum { WINDOW_BYTES = 256 * 1024 };

int records_open(struct records *r, const struct object_type *type, int fd, uint64_t file_bytes,
                 struct errmsg *err)
{
    bool framed = type->framing == SETTINGS_FRAMING_RECORDS;
    bool lines = type->format == OBJECT_JSON && type->framing == SETTINGS_FRAMING_NONE;

    if ((!framed && !lines) || type->compression != SETTINGS_COMPRESSION_NONE)
        return errmsg_set(err, -EOPNOTSUPP, "the batch was sealed in a format that cannot be sent "
                          "as records; it waits until the sink is what it was then");
    r->fd = fd;
    r->file_bytes = file_bytes;
    r->lines = lines;
    r->window.len = 0;
    return 0;
}

void records_close(struct records *r)
{
    bytes_free(&r->window);
}

void records_rest(struct records *r)
{
    bytes_free(&r->window);
}

/* As many bytes at `at` as there are, up to `len`, are in the window. How many, or -errno. */
static int64_t window_have(struct records *r, uint64_t at, uint64_t len, const uint8_t **ret_data,
                           struct errmsg *err)
{
    uint64_t rest = r->file_bytes - at, skipped = at - r->window_at;
    ssize_t n;

    len = len < rest ? len : rest;
    if (at < r->window_at || skipped > r->window.len || r->window.len - skipped < len) {
        uint64_t want = len > WINDOW_BYTES ? len : rest < WINDOW_BYTES ? rest : WINDOW_BYTES;

        r->window.len = 0;
        if (bytes_reserve(&r->window, want))
            return errmsg_set(err, -ENOMEM, "no memory");
        n = file_read(r->fd, r->window.data, want, at);
        if (n < 0)
            return errmsg_set_errno(err, (int)n, "the batch's file");
        if ((uint64_t)n < want)
            return errmsg_set(err, -EBADMSG, "the batch's file is shorter than it was sealed");
        r->window_at = at;
        r->window.len = want;
        skipped = 0;
    }
    *ret_data = r->window.data + skipped;
    return (int64_t)len;
}

static int framed_get(struct records *r, uint64_t at, struct record *ret, struct errmsg *err)
{
    const uint8_t *data = NULL;
    int64_t n = window_have(r, at, FRAMING_LENGTH_BYTES, &data, err);
    uint64_t len;

    if (n < 0)
        return (int)n;
    len = n < FRAMING_LENGTH_BYTES ? UINT64_MAX : bytes_get_u32(data);
    if (len > FRAMING_RECORD_BYTES_MAX || len + FRAMING_LENGTH_BYTES > r->file_bytes - at)
        return errmsg_set(err, -EBADMSG, "the batch's file holds no sound record at %llu",
                          (unsigned long long)at);
    n = window_have(r, at, FRAMING_LENGTH_BYTES + len, &data, err);
    if (n < 0)
        return (int)n;
    *ret = (struct record){data + FRAMING_LENGTH_BYTES, (uint32_t)len,
                           at + FRAMING_LENGTH_BYTES + len};
    return 0;
}

static int line_get(struct records *r, uint64_t at, struct record *ret, struct errmsg *err)
{
    static const uint64_t steps[] = {4096, WINDOW_BYTES, FRAMING_RECORD_BYTES_MAX};
    const uint8_t *data = NULL, *end;
    int64_t n = 0;

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        n = window_have(r, at, steps[i], &data, err);
        if (n < 0)
            return (int)n;
        end = memchr(data, '\n', (size_t)n);
        if (end) {
            uint32_t len = (uint32_t)(end - data) + 1;

            *ret = (struct record){data, len, at + len};
            return 0;
        }
    }
    if ((uint64_t)n == r->file_bytes - at)
        return errmsg_set(err, -EBADMSG, "the batch's file ends within a line");
    return errmsg_set(err, -EOPNOTSUPP, "a line of the batch is longer than a record may be, %d "
                      "bytes", FRAMING_RECORD_BYTES_MAX);
}

int records_get(struct records *r, uint64_t at, struct record *ret_record, struct errmsg *err)
{
    return r->lines ? line_get(r, at, ret_record, err) : framed_get(r, at, ret_record, err);
}

uint64_t records_base64_bytes(uint64_t len)
{
    return text_base64_bytes(len);
}

int records_put_base64(struct bytes *body, const void *data, size_t len)
{
    if (bytes_reserve(body, text_base64_bytes(len) + TEXT_SLACK))
        return -ENOMEM;
    if (len > 0)
        body->len = (size_t)(text_base64(body->data + body->len, data, len) - body->data);
    return 0;
}
