/*
 * s3_reply: replies of S3.
 * Owns:   nothing.
 * Thread: any.
 */
#include "sink/s3_reply.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sink/xml.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* It is going to be logged. */
static void make_printable(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            *text = ' ';
}

static int error_read(const struct reply *reply, const char *instead, bool *ret_instead,
                      struct s3_error *e)
{
    struct xml_field fields[] = {
        {.path = "Error/Code", .ret = e->code, .cap = sizeof(e->code), .cut = true},
        {.path = "Error/Message", .ret = e->message, .cap = sizeof(e->message), .cut = true},
        {.path = "Error/RequestId", .ret = e->request_id, .cap = sizeof(e->request_id),
         .cut = true},
        {.path = "Error/Region", .ret = e->region, .cap = sizeof(e->region), .cut = true},
        {.path = "Error/Endpoint", .ret = e->endpoint, .cap = sizeof(e->endpoint), .cut = true},
        {.path = instead},
    };
    const char *region = request_reply_header(reply, "x-amz-bucket-region");
    const char *id = request_reply_header(reply, "x-amz-request-id");
    int res = xml_read(reply->body, reply->body_len, fields, LENGTH(fields), NULL, NULL, NULL);

    if (res != 0)
        memset(e, 0, sizeof(*e));
    if (e->request_id[0] == '\0' && id != NULL)
        (void)snprintf(e->request_id, sizeof(e->request_id), "%.127s", id);
    if (e->region[0] == '\0' && region != NULL)
        (void)snprintf(e->region, sizeof(e->region), "%.63s", region);
    make_printable(e->code);
    make_printable(e->message);
    make_printable(e->request_id);
    make_printable(e->region);
    make_printable(e->endpoint);
    *ret_instead = res == 0 && fields[5].found;
    return res;
}

void s3_error_read(const struct reply *reply, struct s3_error *ret_error)
{
    bool instead;

    /* Without a document the status is all there is, and the code is "". */
    (void)error_read(reply, "", &instead, ret_error);
}

void s3_error_text(const struct reply *reply, const struct s3_error *error,
                   struct errmsg *ret_text)
{
    (void)errmsg_set(ret_text, -EREMOTEIO, "%u%s%s%s%s%s%s%s", reply->status,
                     error->code[0] != '\0' ? " " : "", error->code,
                     error->message[0] != '\0' ? ": " : "", error->message,
                     error->request_id[0] != '\0' ? " (request " : "", error->request_id,
                     error->request_id[0] != '\0' ? ")" : "");
}

static bool header_is(const struct reply *reply, const char *name, const char *value)
{
    const char *theirs = request_reply_header(reply, name);

    return theirs != NULL && strcmp(theirs, value) == 0;
}

static bool number_is(const struct reply *reply, const char *name, uint64_t value)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%" PRIu64, value);
    return header_is(reply, name, text);
}

bool s3_object_is(const struct reply *head, const struct s3_object *o)
{
    const char *bytes = request_reply_header(head, "x-amz-meta-hydrant-bytes");

    return head->status == 200 && header_is(head, "x-amz-meta-hydrant-batch", o->batch)
           && number_is(head, "x-amz-meta-hydrant-first", o->first_lsn)
           && number_is(head, "x-amz-meta-hydrant-last", o->last_lsn)
           && number_is(head, "x-amz-meta-hydrant-events", o->events) && bytes != NULL
           && (request_reply_header(head, "content-length") == NULL
               || header_is(head, "content-length", bytes));
}

int s3_upload_id_read(const struct reply *reply, char ret_id[static S3_UPLOAD_ID_BYTES])
{
    struct xml_field field = {.path = "InitiateMultipartUploadResult/UploadId", .ret = ret_id,
                              .cap = S3_UPLOAD_ID_BYTES};
    int res = xml_read(reply->body, reply->body_len, &field, 1, NULL, NULL, NULL);

    return res == 0 && ret_id[0] == '\0' ? -EBADMSG : res;
}

int s3_etag_read(const struct reply *reply, char ret_etag[static S3_ETAG_BYTES])
{
    const char *etag = request_reply_header(reply, "etag");

    if (etag == NULL || etag[0] == '\0' || strlen(etag) >= S3_ETAG_BYTES)
        return -EBADMSG;
    memcpy(ret_etag, etag, strlen(etag) + 1);
    for (; *etag != '\0'; etag++)
        if (*etag < ' ' || *etag > '~') /* it becomes XML */
            return -EBADMSG;
    return 0;
}

int s3_complete_read(const struct reply *reply, struct s3_error *ret_error)
{
    bool done;
    int res = error_read(reply, "CompleteMultipartUploadResult", &done, ret_error);

    if (res != 0 || done)
        return res;
    return ret_error->code[0] != '\0' ? -EREMOTEIO : -EBADMSG;
}

struct listing {
    struct s3_upload upload;
    s3_upload_fn on_upload;
    void *ctx;
};

static int on_item(void *ctx)
{
    struct listing *l = (struct listing *)ctx;

    if (l->upload.key[0] == '\0' || l->upload.id[0] == '\0')
        return -EBADMSG;
    return l->on_upload(&l->upload, l->ctx);
}

int s3_uploads_read(const struct reply *reply, struct s3_uploads *ret_uploads,
                    s3_upload_fn on_upload, void *ctx)
{
    static const char item[] = "ListMultipartUploadsResult/Upload";
    struct listing l = {.on_upload = on_upload, .ctx = ctx};
    struct s3_uploads *u = ret_uploads;
    char truncated[8];
    struct xml_field fields[] = {
        {.path = "ListMultipartUploadsResult"},
        {.path = "ListMultipartUploadsResult/IsTruncated", .ret = truncated,
         .cap = sizeof(truncated)},
        {.path = "ListMultipartUploadsResult/NextKeyMarker", .ret = u->key_marker,
         .cap = sizeof(u->key_marker)},
        {.path = "ListMultipartUploadsResult/NextUploadIdMarker", .ret = u->upload_id_marker,
         .cap = sizeof(u->upload_id_marker)},
        {.path = "ListMultipartUploadsResult/Upload/Key", .ret = l.upload.key,
         .cap = sizeof(l.upload.key)},
        {.path = "ListMultipartUploadsResult/Upload/UploadId", .ret = l.upload.id,
         .cap = sizeof(l.upload.id)},
        {.path = "ListMultipartUploadsResult/Upload/Initiated", .ret = l.upload.initiated,
         .cap = sizeof(l.upload.initiated)},
    };
    int res = xml_read(reply->body, reply->body_len, fields, LENGTH(fields), item, on_item, &l);

    if (res != 0)
        return res;
    u->truncated = strcmp(truncated, "true") == 0;
    /* Without markers the next question would be the same one, for ever. */
    if (!fields[0].found || (u->truncated && u->key_marker[0] == '\0'))
        return -EBADMSG;
    return 0;
}
