/*
 * credentials_ask: the requests by which keys are fetched. Pure.
 *
 * Where a request may go without encryption, and with what secrets, is decided here: to the
 * addresses that a host's own services have, and to endpoints that the configuration names.
 *
 * Owns:   its texts, which hold secrets: it lives in memory for these, and credentials_ask_clear()
 *         wipes it.
 * Thread: one at a time for each struct.
 * Units:  milliseconds, bytes.
 */
#ifndef SINK_CREDENTIALS_ASK_H
#define SINK_CREDENTIALS_ASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/errmsg.h"
#include "sink/request.h"

#define CREDENTIALS_METADATA_IPV4 "http://169.254.169.254"
#define CREDENTIALS_METADATA_IPV6 "http://[fd00:ec2::254]"

enum {
    CREDENTIALS_BODY_BYTES = 64 * 1024,
    CREDENTIALS_REPLY_BYTES = 64 * 1024
};

struct credentials_ask {
    struct request request;
    uint32_t connect_timeout_ms, timeout_ms;
    size_t reply_bytes_max;     /* a longer reply is none: credentials_no_reply() */
    bool direct;                /* through no proxy */
    size_t body_len;            /* 0: no body */
    char body[CREDENTIALS_BODY_BYTES];
};

struct credentials_role {
    const char *endpoint;       /* of STS; NULL or "": AWS's */
    const char *region;         /* NULL or "": the endpoint for all regions */
    const char *role_arn, *session_name;
    const char *token;          /* of the identity provider */
    size_t token_len;
};

/* Each returns 0, or -EINVAL and the like with a text that shows no secret. */
int credentials_ask_sts(struct credentials_ask *ask, const struct credentials_role *role,
                        struct errmsg *err);

/* One of the two; authorization NULL or "": none. */
int credentials_ask_container(struct credentials_ask *ask, const char *relative_uri,
                              const char *full_uri, const char *authorization, struct errmsg *err);

/* What is at path, which begins with a slash, and name. token NULL: asks for one. */
int credentials_ask_metadata(struct credentials_ask *ask, const char *endpoint, const char *path,
                             const char *name, const char *token, struct errmsg *err);

void credentials_ask_clear(struct credentials_ask *ask);

#endif
