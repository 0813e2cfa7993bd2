/*
 * s3_request: what is asked of S3, as requests that sigv4 signs. Pure.
 *
 * A batch is one object under a key that never changes: by PutObject, or in parts if it is larger
 * than one. It says whose it is in its metadata, so that whoever finds the key taken can tell.
 *
 * Content-Length is the sender's business, as is the body.
 *
 * Owns:   nothing; settings are borrowed for the bucket's lifetime.
 * Thread: any.
 * Units:  bytes; a part's number begins at 1.
 */
#ifndef SINK_S3_REQUEST_H
#define SINK_S3_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/errmsg.h"
#include "sink/request.h"

#define S3_PART_BYTES_MIN ((uint64_t)5 << 20)   /* the service's; options.def keeps to it */
#define S3_PART_BYTES_MAX ((uint64_t)5 << 30)   /* and the largest object that PutObject takes */

enum {
    S3_PARTS_MAX = 10000,
    S3_BUCKET_MAX = 255,
    S3_ETAG_BYTES = 96,
    S3_UPLOAD_ID_BYTES = 1024,
    S3_KEY_BYTES = 1025,
    S3_URL_BYTES = 1024             /* up to the key */
};

enum s3_choice { S3_AUTO, S3_YES, S3_NO };

/* "" stands for none. */
struct s3_settings {
    const char *bucket, *region;
    const char *endpoint;           /* "": AWS in that region */
    const char *storage_class, *server_side_encryption, *kms_key_id;
    enum s3_choice path_style;      /* auto: with an endpoint, or where TLS needs it */
    enum s3_choice signed_payload;  /* auto: without TLS */
    bool checksum;                  /* CRC-32C, verified by the service */
};

/* Where requests go. */
struct s3_bucket {
    struct s3_settings set;
    bool path_style;                /* the bucket is in the path, not in the host's name */
    bool signed_payload;            /* else sign SIGV4_UNSIGNED_PAYLOAD */
    const char *region;             /* to sign for */
    char url[S3_URL_BYTES];         /* "https://host/bucket" or "https://bucket.host" */
    char host[S3_URL_BYTES];        /* as the Host header has it */
};

/* Is the hash of a body signed, with these settings? */
bool s3_payload_signed(const struct s3_settings *set);

/* 0 or -EINVAL with what is wrong. */
int s3_bucket_init(struct s3_bucket *b, const struct s3_settings *set, struct errmsg *err);

struct s3_object {
    const char *key;                /* from the bucket's root */
    const char *content_type;
    const char *batch;              /* id of the batch */
    uint64_t first_lsn, last_lsn, events;
    uint64_t bytes;
    uint32_t crc32c;
};

/* How an object is cut: 0 with parts of ret_part_bytes, the last one shorter; -EFBIG. */
int s3_parts(uint64_t object_bytes, uint64_t part_bytes, uint64_t *ret_part_bytes,
             uint32_t *ret_count);

/*
 * Each makes one request: 0, or what request_result() says. `conditional`: never in the place of
 * another object.
 */
int s3_put(const struct s3_bucket *b, const struct s3_object *o, bool conditional,
           struct request *r, struct errmsg *err);
int s3_head(const struct s3_bucket *b, const char *key, struct request *r, struct errmsg *err);
int s3_create_upload(const struct s3_bucket *b, const struct s3_object *o, struct request *r,
                     struct errmsg *err);
int s3_upload_part(const struct s3_bucket *b, const char *key, const char *upload_id,
                   uint32_t number, uint32_t crc32c, struct request *r, struct errmsg *err);
int s3_complete_upload(const struct s3_bucket *b, const char *key, const char *upload_id,
                       bool conditional, struct request *r, struct errmsg *err);
int s3_abort_upload(const struct s3_bucket *b, const char *key, const char *upload_id,
                    struct request *r, struct errmsg *err);
/* From behind the markers; "" at first. */
int s3_list_uploads(const struct s3_bucket *b, const char *prefix, const char *key_marker,
                    const char *upload_id_marker, struct request *r, struct errmsg *err);

struct s3_part {
    char etag[S3_ETAG_BYTES];       /* as the service said it */
    uint32_t crc32c;
};

/* The body of s3_complete_upload(), parts from number 1 on. 0 or -ENOMEM. */
int s3_complete_body(const struct s3_bucket *b, const struct s3_part *parts, uint32_t count,
                     struct bytes *body);

#endif
