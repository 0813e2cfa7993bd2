/*
 * s3_model: S3 in memory, as far as s3.c asks it: objects, uploads in parts, conditional writes,
 * lists. It checks what S3 checks (checksums, hashes, sizes of parts, the signature's time), and
 * fails when it is told to, or by a seed.
 *
 * One bucket; URLs are in path style.
 *
 * Owns:   copies of what is stored.
 * Thread: one.
 * Units:  bytes; utc_s = seconds since 1970, by the service's clock.
 */
#ifndef SUPPORT_S3_MODEL_H
#define SUPPORT_S3_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "sink/request.h"

enum { S3_MODEL_KEY_MAX = 400 };

enum s3_model_op {
    S3_MODEL_PUT,
    S3_MODEL_HEAD,
    S3_MODEL_LIST,
    S3_MODEL_CREATE,
    S3_MODEL_PART,
    S3_MODEL_COMPLETE,
    S3_MODEL_ABORT,
    S3_MODEL_OP_COUNT
};

/* "_AFTER": it has taken effect, and nobody is told. */
enum s3_model_fault {
    S3_MODEL_NONE,
    S3_MODEL_LOST,
    S3_MODEL_LOST_AFTER,
    S3_MODEL_500,
    S3_MODEL_500_AFTER,
    S3_MODEL_GARBAGE_AFTER,         /* 200 with a page of some proxy */
    S3_MODEL_SLOW_DOWN,
    S3_MODEL_EXPIRED,               /* the token */
    S3_MODEL_DIGEST,                /* the body was bent on its way */
    S3_MODEL_CONFLICT,              /* 409, of conditional writes */
    S3_MODEL_GONE,                  /* the upload is, by itself */
    S3_MODEL_ERROR_IN_200,          /* of CompleteMultipartUpload */
    S3_MODEL_INVALID_PART,          /* likewise */
    S3_MODEL_SEEDED_COUNT,          /* by seed: those above, where they make sense */
    S3_MODEL_DENIED = S3_MODEL_SEEDED_COUNT,    /* 403 */
    S3_MODEL_NOT_IMPLEMENTED,
    S3_MODEL_MOVED                  /* 301, to another region */
};

/* What came back; the caller's, zeroed at first. */
struct s3_model_answer {
    struct reply reply;
    struct request_header headers[24];
    char text[2048];
    size_t text_len;
    struct bytes body;              /* owned; freed with bytes_free() */
    uint64_t sent;                  /* of the body */
};

struct s3_model;

struct s3_model *s3_model_open(uint64_t seed);
void s3_model_close(struct s3_model *m);

/* Without: 501. */
void s3_model_set_conditional(struct s3_model *m, bool conditional);
/* Without: 400 where a list of parts has them. */
void s3_model_set_checksums(struct s3_model *m, bool checksums);
/* Of all parts but the last; 5 MiB. */
void s3_model_set_part_bytes_min(struct s3_model *m, uint64_t bytes);
/* Lists show for ever the upload that was aborted last. */
void s3_model_set_list_stale(struct s3_model *m, bool stale);
/* One request in so many meets a fault; 0: none. */
void s3_model_set_faults(struct s3_model *m, uint32_t one_in);
/* The next request of that kind does, or (always) each of them. */
void s3_model_fail(struct s3_model *m, enum s3_model_op op, enum s3_model_fault fault, bool always);

/* The key that a request is about; of a list: its prefix. */
void s3_model_key(const struct request *r, char ret_key[static S3_MODEL_KEY_MAX]);

/* False: no answer came. */
bool s3_model_ask(struct s3_model *m, const struct request *r, const void *body, size_t len,
                  uint64_t utc_s, struct s3_model_answer *ret_answer);

/* Somebody else's doing. */
void s3_model_put(struct s3_model *m, const char *key, const char *content);
void s3_model_delete(struct s3_model *m, const char *key);
void s3_model_begin(struct s3_model *m, const char *key);

/* NULL: there is none. */
const struct bytes *s3_model_find(const struct s3_model *m, const char *key);
uint32_t s3_model_writes(const struct s3_model *m, const char *key);
uint32_t s3_model_uploads(const struct s3_model *m, const char *key);
/* The key of the ith upload of all; NULL: there are no more. */
const char *s3_model_upload_key(const struct s3_model *m, uint32_t i);

/* "HEAD PUT ": what was asked since the last call. */
const char *s3_model_trace(struct s3_model *m);

#endif
