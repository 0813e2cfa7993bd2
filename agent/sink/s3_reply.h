/*
 * s3_reply: what S3 answers, as facts. Pure: what they mean for a batch is not decided here.
 *
 * Replies come from a stranger: every text is bounded, and what is not as it should be is -EBADMSG.
 *
 * Owns:   nothing; results are the caller's.
 * Thread: any.
 */
#ifndef SINK_S3_REPLY_H
#define SINK_S3_REPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/errmsg.h"
#include "sink/request.h"
#include "sink/s3_request.h"

/* Printable; "" where the reply says none. Of the message's length what fits. */
struct s3_error {
    char code[64], message[256], request_id[128];
    char region[64], endpoint[256]; /* where the bucket is, if it is not here */
};

/* Of a reply that is no success. Proxies answer what they like: then the code is "". */
void s3_error_read(const struct reply *reply, struct s3_error *ret_error);

/* "503 SlowDown: Please reduce your request rate (request 4442587FB7D0A2F9)" */
void s3_error_text(const struct reply *reply, const struct s3_error *error,
                   struct errmsg *ret_text);

/*
 * Is the object that HEAD found this batch, whole? Its bytes may be others than those of today's
 * file: a file that was damaged is made anew from the same events, and perhaps after the first one
 * was stored.
 */
bool s3_object_is(const struct reply *head, const struct s3_object *o);

/* Of s3_create_upload(). 0 or -EBADMSG. */
int s3_upload_id_read(const struct reply *reply, char ret_id[static S3_UPLOAD_ID_BYTES]);

/* Of s3_upload_part(). 0 or -EBADMSG. */
int s3_etag_read(const struct reply *reply, char ret_etag[static S3_ETAG_BYTES]);

/*
 * Of s3_complete_upload() with status 200, which can say that it failed nevertheless. 0: the object
 * is there; -EREMOTEIO with the error; -EBADMSG: it is not known.
 */
int s3_complete_read(const struct reply *reply, struct s3_error *ret_error);

struct s3_uploads {
    bool truncated;                 /* ask again from behind the markers */
    char key_marker[S3_KEY_BYTES], upload_id_marker[S3_UPLOAD_ID_BYTES];
};

struct s3_upload {
    char key[S3_KEY_BYTES], id[S3_UPLOAD_ID_BYTES];
    char initiated[32];             /* "2010-11-10T20:48:33.000Z" */
};

/* What is not 0 ends the reading and is its result. */
typedef int (*s3_upload_fn)(const struct s3_upload *upload, void *ctx);

/* Of s3_list_uploads(). 0, -EBADMSG, -ENOMEM or on_upload's. */
int s3_uploads_read(const struct reply *reply, struct s3_uploads *ret_uploads,
                    s3_upload_fn on_upload, void *ctx);

#endif
