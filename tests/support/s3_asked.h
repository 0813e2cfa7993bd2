/*
 * s3_asked: a request to S3, taken apart, what is wrong with it whatever it would do (the time of
 * its signature, what it says of its body), and its answer in the making. Inner part of s3_model.
 *
 * Owns:   nothing; request, body and answer are borrowed.
 * Thread: one.
 * Units:  bytes; utc_s = seconds since 1970, by the service's clock.
 */
#ifndef SUPPORT_S3_ASKED_H
#define SUPPORT_S3_ASKED_H

#include <stdbool.h>
#include <stdint.h>

#include "support/s3_model.h"

struct s3_asked {
    enum s3_model_op op;
    char key[S3_MODEL_KEY_MAX], upload_id[64];
    uint32_t part;
    bool conditional;
    const struct request *r;
    const uint8_t *body;
    size_t len;
    uint64_t utc_s;
    struct s3_model_answer *a;
};

/* Of q->r: "http://host/bucket/key?query". The key of a list is its prefix. */
void s3_asked_read(struct s3_asked *q);

/* Whatever it would do. True: there is an answer. */
bool s3_asked_refused(struct s3_asked *q);

/* An answer, in place of what there is: its status alone, with a body, or with an error as body. */
void s3_asked_status(struct s3_asked *q, unsigned status);
void s3_asked_text(struct s3_asked *q, unsigned status, const char *text);
void s3_asked_error(struct s3_asked *q, unsigned status, const char *code);

/* One more header; more of the body. */
void s3_asked_header(struct s3_asked *q, const char *name, const char *value);
void s3_asked_append(struct s3_asked *q, const void *data, size_t len);

#endif
