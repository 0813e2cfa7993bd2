/*
 * s3_reply_fuzz: any bytes as a reply. Whatever is read is text that fits, an upload has an id, a
 * completion is known or it is an error, and a list that is cut off says where to go on.
 *
 * Input: a byte for the status, then the body.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "sink/s3_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool printable(const char *text, size_t cap)
{
    size_t len = strnlen(text, cap);

    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            return false;
    return len < cap;
}

static int on_upload(const struct s3_upload *upload, void *ctx)
{
    (void)ctx;
    INVARIANT(upload->key[0] != '\0' && strnlen(upload->key, S3_KEY_BYTES) < S3_KEY_BYTES);
    INVARIANT(upload->id[0] != '\0'
              && strnlen(upload->id, S3_UPLOAD_ID_BYTES) < S3_UPLOAD_ID_BYTES);
    INVARIANT(strnlen(upload->initiated, sizeof(upload->initiated)) < sizeof(upload->initiated));
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct reply reply = {.status = 200};
    struct s3_uploads uploads;
    struct s3_error error;
    struct errmsg text;
    char id[S3_UPLOAD_ID_BYTES];

    if (len == 0)
        return 0;
    reply.status = data[0] & 1 ? 200 : 500;
    reply.body = (const char *)data + 1;
    reply.body_len = len - 1;

    s3_error_read(&reply, &error);
    INVARIANT(printable(error.code, sizeof(error.code)));
    INVARIANT(printable(error.message, sizeof(error.message)));
    INVARIANT(printable(error.request_id, sizeof(error.request_id)));
    INVARIANT(printable(error.region, sizeof(error.region)));
    INVARIANT(printable(error.endpoint, sizeof(error.endpoint)));
    s3_error_text(&reply, &error, &text);
    INVARIANT(printable(text.text, sizeof(text.text)));
    if (s3_upload_id_read(&reply, id) == 0)
        INVARIANT(id[0] != '\0' && strnlen(id, sizeof(id)) < sizeof(id));
    if (s3_complete_read(&reply, &error) == -EREMOTEIO)
        INVARIANT(error.code[0] != '\0');
    if (s3_uploads_read(&reply, &uploads, on_upload, NULL) == 0)
        INVARIANT(!uploads.truncated || uploads.key_marker[0] != '\0');
    return 0;
}
