/*
 * s3_outcome: classes of S3's answers, and what people can do.
 * Owns:   nothing.
 * Thread: any.
 */
#include "sink/s3_outcome.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* Codes whose class their status does not tell, and what to do about those that need help. */
static const struct {
    const char *code;
    enum retry_class class;
    const char *help;               /* " of [sink NAME]" follows */
} codes[] = {
    {"BandwidthLimitExceeded", RETRY_THROTTLED, NULL},
    {"RequestLimitExceeded", RETRY_THROTTLED, NULL},
    {"RequestThrottled", RETRY_THROTTLED, NULL},
    {"RequestThrottledException", RETRY_THROTTLED, NULL},
    {"SlowDown", RETRY_THROTTLED, NULL},
    {"SlowDownRead", RETRY_THROTTLED, NULL},
    {"SlowDownWrite", RETRY_THROTTLED, NULL},
    {"ThrottledException", RETRY_THROTTLED, NULL},
    {"Throttling", RETRY_THROTTLED, NULL},
    {"ThrottlingException", RETRY_THROTTLED, NULL},
    {"TooManyRequests", RETRY_THROTTLED, NULL},
    {"TooManyRequestsException", RETRY_THROTTLED, NULL},
    {"ExpiredToken", RETRY_CREDENTIALS, NULL},
    {"ExpiredTokenException", RETRY_CREDENTIALS, NULL},
    {"InvalidToken", RETRY_CREDENTIALS, NULL},
    {"TokenRefreshRequired", RETRY_CREDENTIALS, NULL},
    {"RequestTimeTooSkewed", RETRY_CLOCK, NULL},
    {"BadDigest", RETRY_AGAIN, NULL},
    {"InvalidDigest", RETRY_AGAIN, NULL},
    {"XAmzContentChecksumMismatch", RETRY_AGAIN, NULL},
    {"XAmzContentSHA256Mismatch", RETRY_AGAIN, NULL},
    {"IncompleteBody", RETRY_AGAIN, NULL},
    {"InternalError", RETRY_AGAIN, NULL},
    {"RequestTimeout", RETRY_AGAIN, NULL},
    {"ServiceUnavailable", RETRY_AGAIN, NULL},
    {"AccessDenied", RETRY_REJECT, "allow s3:PutObject and s3:AbortMultipartUpload to the keys"},
    {"EntityTooLarge", RETRY_REJECT, "check part_size"},
    {"EntityTooSmall", RETRY_REJECT, "check part_size"},
    {"InvalidAccessKeyId", RETRY_REJECT, "check access_key"},
    {"InvalidBucketName", RETRY_REJECT, "check bucket"},
    {"InvalidStorageClass", RETRY_REJECT, "check storage_class"},
    {"KMS.DisabledException", RETRY_REJECT, "check kms_key_id"},
    {"KMS.NotFoundException", RETRY_REJECT, "check kms_key_id"},
    {"NoSuchBucket", RETRY_REJECT, "create it: this batch was sealed for it; check bucket"},
    {"SignatureDoesNotMatch", RETRY_REJECT, "check secret_key"},
};

bool s3_outcome_doubts_body(const struct s3_error *error)
{
    return strcmp(error->code, "BadDigest") == 0 || strcmp(error->code, "InvalidDigest") == 0
           || strcmp(error->code, "XAmzContentChecksumMismatch") == 0
           || strcmp(error->code, "XAmzContentSHA256Mismatch") == 0;
}

static enum retry_class class_of_status(unsigned status, bool error)
{
    if (status / 100 == 2)
        return error ? RETRY_AGAIN : RETRY_OK;
    if (status == 429)
        return RETRY_THROTTLED;
    if (status == 408 || status == 409 || (status >= 500 && status != 501))
        return RETRY_AGAIN;
    return RETRY_REJECT;
}

/* The bucket is somewhere else. Nothing follows there by itself: a signature is for one place. */
static bool is_elsewhere(unsigned status, const struct s3_error *error)
{
    return status / 100 == 3 || (status == 400 && error->code[0] == '\0')
           || strcmp(error->code, "AuthorizationHeaderMalformed") == 0
           || strcmp(error->code, "IllegalLocationConstraintException") == 0;
}

static void help_format(const struct remote_job *job, unsigned status,
                        const struct s3_error *error, const char *help, struct errmsg *ret_help)
{
    ret_help->text[0] = '\0';
    if (is_elsewhere(status, error) && error->region[0] != '\0')
        (void)errmsg_set(ret_help, 0, "; set region of [sink %s] to '%s', where the bucket is",
                         job->sink, error->region);
    else if (is_elsewhere(status, error) && error->endpoint[0] != '\0')
        (void)errmsg_set(ret_help, 0, "; set endpoint of [sink %s] to that of '%s', where the "
                         "bucket is", job->sink, error->endpoint);
    else if (is_elsewhere(status, error))
        (void)errmsg_set(ret_help, 0, "; check region and endpoint of [sink %s]", job->sink);
    else if (help != NULL)
        (void)errmsg_set(ret_help, 0, "; %s of [sink %s]", help, job->sink);
}

void s3_outcome(const struct remote_job *job, const struct reply *reply,
                const struct s3_error *error, struct remote_outcome *ret_outcome)
{
    struct remote_outcome *o = ret_outcome;
    const char *help = NULL;
    struct errmsg what, more;
    size_t used;

    o->class = class_of_status(reply->status, error->code[0] != '\0');
    for (size_t i = 0; i < LENGTH(codes); i++)
        if (strcmp(codes[i].code, error->code) == 0) {
            o->class = codes[i].class;
            help = codes[i].help;
        }
    if (o->class == RETRY_OK)
        return;
    s3_error_text(reply, error, &what);
    more.text[0] = '\0';
    if (o->class == RETRY_REJECT)
        help_format(job, reply->status, error, help, &more);
    /* What to do is said in any case, and of what the service says as much as fits. */
    used = strlen("bucket '': ") + strlen(job->place) + strlen(more.text);
    (void)errmsg_set(&o->text, -EREMOTEIO, "bucket '%s': %.*s%s", job->place,
                     used < sizeof(o->text.text) ? (int)(sizeof(o->text.text) - 1 - used) : 0,
                     what.text, more.text);
}
