/*
 * credentials_reply: one set of keys, and the replies of those who give some out. Pure.
 *
 * Nothing of a reply is in an error's text but what cannot be a secret: a code of letters.
 *
 * Owns:   a set is memory for secrets, the caller's.
 * Thread: any.
 * Units:  utc_ns = nanoseconds since 1970-01-01 00:00 UTC.
 */
#ifndef SINK_CREDENTIALS_REPLY_H
#define SINK_CREDENTIALS_REPLY_H

#include <stddef.h>
#include <stdint.h>

#include "base/errmsg.h"

enum {
    CREDENTIALS_KEY_BYTES = 129,        /* with NUL, as the others */
    CREDENTIALS_SECRET_BYTES = 257,
    CREDENTIALS_TOKEN_BYTES = 8193,
    CREDENTIALS_NAME_BYTES = 129        /* of a role, of a region */
};

struct credentials_set {
    char access_key[CREDENTIALS_KEY_BYTES];
    char secret_key[CREDENTIALS_SECRET_BYTES];
    char session_token[CREDENTIALS_TOKEN_BYTES];        /* "": none */
    uint64_t expires_utc_ns;                            /* 0: nobody said when */
};

/*
 * Copies what can be signed and sent with; session_token may be NULL. -EINVAL says which of the
 * three is wrong and how, never what it is.
 */
int credentials_set_fill(struct credentials_set *set, const char *access_key,
                         const char *secret_key, const char *session_token, struct errmsg *err);

/* "2026-02-03T04:05:06Z", with a fraction or "+01:00" too. -EBADMSG. */
int credentials_parse_time(const char *text, uint64_t *ret_utc_ns);

/*
 * Bodies of successful replies: JSON of a container's agent and of the instance metadata, XML of
 * AssumeRoleWithWebIdentity. -EBADMSG with a text, or -ENOMEM; set is wiped then.
 */
int credentials_parse_json(const char *body, size_t len, struct credentials_set *set,
                           struct errmsg *err);
int credentials_parse_sts(const char *body, size_t len, struct credentials_set *set,
                          struct errmsg *err);

/* The error code in a reply of STS, or "". */
void credentials_parse_sts_code(const char *body, size_t len, char ret_code[static 65]);

/*
 * One line of plain text: a name in characters that are safe in a URL and in a host's name (a
 * region) or in a path (a role), or a token that may stand in a header. -EBADMSG.
 */
int credentials_parse_region(const char *body, size_t len, char ret[static CREDENTIALS_NAME_BYTES]);
int credentials_parse_role(const char *body, size_t len, char ret[static CREDENTIALS_NAME_BYTES]);
int credentials_parse_token(const char *body, size_t len, char *ret, size_t ret_bytes);

#endif
