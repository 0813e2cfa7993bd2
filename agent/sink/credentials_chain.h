/*
 * credentials_chain: where keys can come from, in AWS's order; the first that is set up counts, and
 * its mistakes are errors, never a reason to go on to the next.
 *
 *   1. access_key, secret_key and session_token of the sink
 *   2. AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
 *   3. a web identity: AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN, or the same of the profile
 *   4. the profile's keys in the shared credentials file, then in the shared config file
 *   5. a container's agent: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI
 *   6. instance metadata, version 2, unless AWS_EC2_METADATA_DISABLED is true
 *
 * A `profile` of the sink is meant: then 2 and the variables of 3 do not count. Profiles that name
 * another profile, a program or a single sign-on for their keys are errors that say so.
 *
 * Owns:   copies of the sink's keys, and files while they are looked at: it lives in memory for
 *         secrets.
 * Thread: one at a time for each struct. It reads files, without waiting for anybody.
 */
#ifndef SINK_CREDENTIALS_CHAIN_H
#define SINK_CREDENTIALS_CHAIN_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/errmsg.h"
#include "sink/credentials_ask.h"
#include "sink/credentials_file.h"
#include "sink/credentials_reply.h"

/* NULL: not set. */
typedef const char *(*credentials_env_fn)(void *ctx, const char *name);

/* What the sink is configured with; NULL or "": not set. */
struct credentials_config {
    const char *access_key, *secret_key, *session_token, *profile, *region;
    bool region_wanted;         /* it is looked for in the instance metadata too */
    credentials_env_fn env;     /* NULL: the environment of the process */
    void *env_ctx;
};

enum credentials_source {
    CREDENTIALS_CONFIGURED,
    CREDENTIALS_ENVIRONMENT,
    CREDENTIALS_WEB_IDENTITY,   /* asks */
    CREDENTIALS_CREDENTIALS_FILE,
    CREDENTIALS_CONFIG_FILE,
    CREDENTIALS_CONTAINER,      /* asks */
    CREDENTIALS_METADATA,       /* asks: first for a token */
    CREDENTIALS_SOURCE_COUNT
};

struct credentials_chain {
    struct credentials_set configured;          /* access_key "": none */
    char profile[CREDENTIALS_NAME_BYTES];       /* the sink's; "": none */
    char region[CREDENTIALS_NAME_BYTES];        /* the sink's; "": none */
    credentials_env_fn env;
    void *env_ctx;
    /* The profile, when it has been looked at. */
    bool loaded;
    int load_result;
    struct errmsg load_error;
    char profile_name[CREDENTIALS_NAME_BYTES];
    char credentials_path[PATH_MAX], config_path[PATH_MAX];
    struct credentials_file credentials_file, config_file;
    struct profile credentials, config;
};

/* 0; -EINVAL: keys or region are not such, with a text. */
int credentials_chain_init(struct credentials_chain *c, const struct credentials_config *config,
                           struct errmsg *err);

/* Lets the files go: the next question reads them again. */
void credentials_chain_forget(struct credentials_chain *c);
void credentials_chain_fini(struct credentials_chain *c);

/*
 * 0: the source's keys are in set, or the request for them is in ask. -ENOENT: no source is set up.
 * Or what is wrong with the first one that is.
 */
int credentials_chain_find(struct credentials_chain *c, uint64_t utc_ns,
                           enum credentials_source *ret_source, struct credentials_set *set,
                           struct credentials_ask *ask, struct errmsg *err);

/* The region, as far as no request is needed for it. -ENOENT, or what is wrong. */
int credentials_chain_region(struct credentials_chain *c, char ret[static CREDENTIALS_NAME_BYTES],
                             struct errmsg *err);

/* Where the instance metadata are; -ENOENT: they are not wanted. */
int credentials_chain_metadata(struct credentials_chain *c, const char **ret_endpoint,
                               struct errmsg *err);

/* Puts in front of why the last source failed what was tried, and behind it what to do. */
void credentials_chain_explain(const struct credentials_chain *c, struct errmsg *err);

/* "configuration", "environment", ... */
const char *credentials_source_name(enum credentials_source source);

#endif
