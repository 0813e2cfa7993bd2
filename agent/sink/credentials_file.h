/*
 * credentials_file: files with secrets, and profiles in the shared files of AWS.
 *
 * Profiles are read as botocore reads them: `[name]` of the credentials file, `[default]` and
 * `[profile name]` of the config file; "key = value" or "key: value", keys in any case; lines that
 * begin with '#' or ';' are comments, a value may hold both; lines that are indented deeper than
 * the key before belong to its value. Keys that we know have one line and stand once. "[profile
 * default]" wins over "[default]".
 *
 * Owns:   a read file has pages of its own, not in core files.
 * Thread: any.
 */
#ifndef SINK_CREDENTIALS_FILE_H
#define SINK_CREDENTIALS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/errmsg.h"

enum { CREDENTIALS_FILE_BYTES = 64 * 1024 };

struct credentials_file {
    char *text;                 /* owned; len bytes and a NUL */
    size_t len;
};

/* The whole file. -ENOENT and the like, -EINVAL (no plain file), -EFBIG, with a text. */
int credentials_file_read(const char *path, struct credentials_file *ret_file, struct errmsg *err);
void credentials_file_free(struct credentials_file *file);      /* zeroed is fine */

enum profile_key {
    PROFILE_ACCESS_KEY,
    PROFILE_SECRET_KEY,
    PROFILE_SESSION_TOKEN,
    PROFILE_SECURITY_TOKEN,     /* an older name of the former, which goes first */
    PROFILE_ROLE_ARN,
    PROFILE_ROLE_SESSION_NAME,
    PROFILE_WEB_IDENTITY_TOKEN_FILE,
    PROFILE_SOURCE_PROFILE,
    PROFILE_CREDENTIAL_PROCESS,
    PROFILE_SSO_ACCOUNT_ID,
    PROFILE_SSO_ROLE_NAME,
    PROFILE_REGION,
    PROFILE_STS_REGIONAL_ENDPOINTS,
    PROFILE_METADATA_ENDPOINT,
    PROFILE_METADATA_ENDPOINT_MODE,
    PROFILE_KEY_COUNT
};

enum profile_kind {
    PROFILE_OF_CREDENTIALS,     /* ~/.aws/credentials */
    PROFILE_OF_CONFIG           /* ~/.aws/config */
};

struct profile {
    bool found;
    const char *value[PROFILE_KEY_COUNT];       /* in the text; NULL: not there */
    uint32_t line[PROFILE_KEY_COUNT];
};

/*
 * Cuts the text, behind which a NUL stands, into values. -EBADMSG with the line and what is wrong,
 * never what stands there.
 */
int profile_parse(char *text, size_t len, enum profile_kind kind, const char *name,
                  struct profile *ret_profile, struct errmsg *err);

#endif
