/*
 * http_body: grows within the budget, unpacks by steps.
 *
 * Owns:   see the header.
 * Thread: HTTP.
 */
#include "control/http_body.h"

#include <errno.h>
#include <strings.h>

enum { STEP_BYTES = 64 << 10 };

static int body_reserve(struct http_body *b, size_t extra)
{
    size_t before = b->bytes.cap, wanted = b->bytes.len + extra;
    int rc;

    if (wanted <= before)
        return 0;
    /* It grows by doubling. */
    if (b->budget->used + 2 * wanted - before > b->budget->max)
        return -ENOBUFS;
    rc = bytes_reserve(&b->bytes, extra);
    b->budget->used += b->bytes.cap - before;
    return rc;
}

int http_body_append(struct http_body *b, const void *data, size_t len)
{
    int rc = body_reserve(b, len);

    return rc == 0 ? bytes_append(&b->bytes, data, len) : rc;
}

void http_body_free(struct http_body *b)
{
    if (b->budget != NULL)
        b->budget->used -= b->bytes.cap;
    bytes_free(&b->bytes);
}

bool http_body_coding(const char *coding, enum unpack_type *ret_type)
{
    *ret_type = UNPACK_NONE;
    if (coding == NULL || strcasecmp(coding, "identity") == 0)
        return true;
    if (strcasecmp(coding, "gzip") == 0 || strcasecmp(coding, "x-gzip") == 0)
        *ret_type = UNPACK_GZIP;
    else if (strcasecmp(coding, "zstd") == 0)
        *ret_type = UNPACK_ZSTD;
    return *ret_type != UNPACK_NONE;
}

/* All of `in` into `out`, which is empty. */
static int unpack_all(struct unpacker *u, const struct bytes *in, struct http_body *out,
                      size_t bytes_max)
{
    size_t at = 0, used, made;
    bool full;
    int rc;

    do {
        rc = body_reserve(out, STEP_BYTES);
        if (rc == 0)
            rc = unpacker_step(u, in->data + at, in->len - at, &used,
                               out->bytes.data + out->bytes.len, STEP_BYTES, &made);
        if (rc != 0)
            return rc;
        at += used;
        out->bytes.len += made;
        if (out->bytes.len > bytes_max)
            return -EFBIG;
        full = made == STEP_BYTES;
    } while (full || at < in->len);
    return unpacker_complete(u) ? 0 : -EBADMSG;
}

int http_body_unpack(struct http_body *b, enum unpack_type type, size_t bytes_max)
{
    struct http_body out = {.budget = b->budget};
    struct unpacker *u = NULL;
    int rc;

    if (type == UNPACK_NONE)
        return 0;
    rc = b->bytes.len > 0 ? unpacker_open(type, &u) : -EBADMSG;
    if (rc == 0)
        rc = unpack_all(u, &b->bytes, &out, bytes_max);
    unpacker_close(u);
    http_body_free(b);
    if (rc == 0)
        *b = out;
    else
        http_body_free(&out);
    return rc;
}
