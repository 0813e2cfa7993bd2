/*
 * sigv4: AWS Signature Version 4 in headers. Pure: told the time, and nothing is asked of the host.
 *
 * What is signed is the request as it stands: its URL, and every header in it, Host among them. S3
 * takes the path as it is in the URL, encoded once; other services normalise that and encode it
 * again.
 *
 * The signing key is derived once a day, and anew when the secret is another one.
 *
 * Owns:   struct sigv4 holds a derived key, which is a secret: sigv4_fini() wipes it.
 * Thread: one at a time for each struct.
 * Units:  seconds since 1970, UTC.
 */
#ifndef SINK_SIGV4_H
#define SINK_SIGV4_H

#include <stdbool.h>
#include <stdint.h>

#include "base/errmsg.h"
#include "sink/request.h"

#define SIGV4_UNSIGNED_PAYLOAD "UNSIGNED-PAYLOAD"
#define SIGV4_EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

enum {
    SIGV4_SHA256_BYTES = 32,
    SIGV4_HEX_BYTES = 65,           /* a hash in hex and NUL */
    SIGV4_DATE_BYTES = 17,          /* "20150830T123600Z" and NUL */
    SIGV4_DAY_BYTES = 9,
    SIGV4_NAME_BYTES = 64,          /* region, service */
    SIGV4_SECRET_MAX = 256,
    SIGV4_PARAMETERS_MAX = 32,
    SIGV4_SEGMENTS_MAX = 64         /* of a path that is normalised */
};

/* Borrowed. */
struct sigv4_credentials {
    const char *access_key, *secret_key;
    const char *session_token;      /* NULL or "": none */
};

struct sigv4 {
    char region[SIGV4_NAME_BYTES], service[SIGV4_NAME_BYTES];
    bool path_as_it_is;             /* encoded once, not normalised */
    bool content_sha256;            /* the payload's hash is a header, too */
    /* The derived key, and what it was derived from. */
    char day[SIGV4_DAY_BYTES];      /* "": none yet */
    uint8_t secret_sha256[SIGV4_SHA256_BYTES];
    uint8_t key[SIGV4_SHA256_BYTES];
};

/* 0 or -EINVAL with a text. */
int sigv4_init(struct sigv4 *s, const char *region, const char *service, struct errmsg *err);
void sigv4_fini(struct sigv4 *s);   /* zeroed is fine */

/* Of a request's body, as sigv4_sign() takes it. 0 or -EIO. */
int sigv4_hash(const void *data, size_t len, char ret_hex[static SIGV4_HEX_BYTES]);

void sigv4_date(uint64_t utc_s, char ret_date[static SIGV4_DATE_BYTES]);

/*
 * Adds X-Amz-Date, X-Amz-Content-SHA256 (S3), X-Amz-Security-Token and Authorization. `payload` is
 * sigv4_hash() of the body, or SIGV4_UNSIGNED_PAYLOAD. 0; -EINVAL (no Host, no URL),
 * -ENAMETOOLONG, -E2BIG (parameters, path) or -EIO (the library) with a text that holds no secret.
 */
int sigv4_sign(struct sigv4 *s, const struct sigv4_credentials *credentials, uint64_t utc_s,
               const char *payload, struct request *r, struct errmsg *err);

/*
 * The signature alone, over the headers that r holds; for who verifies one. A date is of the form
 * that sigv4_date() writes.
 */
int sigv4_signature(struct sigv4 *s, const char *secret_key, const char *date, const char *payload,
                    const struct request *r, char ret_hex[static SIGV4_HEX_BYTES],
                    struct errmsg *err);

#endif
