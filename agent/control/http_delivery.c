/*
 * http_delivery: see the header.
 *
 * Owns:   nothing.
 * Thread: HTTP.
 */
#include "control/http_delivery.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/http_change.h"

#define BUCKET_ARN     "arn:aws:s3:::"
#define DESTINATION_ID "destinationId-000000000001"

enum { SECONDS_MAX = 900, MEGABYTES_MAX = 128, SECONDS_DEFAULT = 300, MEGABYTES_DEFAULT = 5,
       TAGS_MAX = 50, TAG_KEY_MAX = 128, TAG_VALUE_MAX = 256 };

static bool invalid(struct http_reply *reply, const char *what)
{
    http_reply_fault(reply, 400, "InvalidArgumentException", "%s", what);
    return false;
}

static double now_s(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (double)(now.tv_sec * 1000 + now.tv_nsec / 1000000) / 1000;
}

/* ---- a destination ---- */

/* What is there and means nothing here: empty, or an object that says that it is not enabled. */
static bool is_idle(const json_t *value)
{
    const json_t *enabled = json_object_get(value, "Enabled");

    return json_is_null(value) || (json_is_string(value) && json_string_length(value) == 0) ||
           (json_is_object(value) && (json_object_size(value) == 0 || json_is_false(enabled)));
}

static bool words_are(const json_t *value, const char *wanted)
{
    return json_is_string(value) && strcmp(json_string_value(value), wanted) == 0;
}

/* Of the members of a destination those that the agent cannot do are refused, not ignored. */
static bool members_check(json_t *destination, struct http_reply *reply)
{
    static const char *const texts[] = {"RoleARN", "BucketARN", "Prefix", "ErrorOutputPrefix",
                                        "CompressionFormat"};
    const char *key;
    json_t *value;

    json_object_foreach(destination, key, value) {
        bool text = false;

        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
            text |= strcmp(key, texts[i]) == 0;
        if ((text && json_is_string(value)) || strcmp(key, "BufferingHints") == 0 ||
            strcmp(key, "CloudWatchLoggingOptions") == 0 || is_idle(value) ||
            (strcmp(key, "EncryptionConfiguration") == 0 &&
             words_are(json_object_get(value, "NoEncryptionConfig"), "NoEncryption")) ||
            (strcmp(key, "S3BackupMode") == 0 && words_are(value, "Disabled")) ||
            (strcmp(key, "CustomTimeZone") == 0 && words_are(value, "UTC")))
            continue;
        http_reply_fault(reply, 400, "InvalidArgumentException", "%.64s: this agent does not take "
                         "it, or not this value", key);
        return false;
    }
    return true;
}

/* Both or neither; the service's defaults, and limits. */
static bool hints_check(json_t *destination, struct http_reply *reply)
{
    json_t *hints = json_object_get(destination, "BufferingHints");
    const json_t *size = json_object_get(hints, "SizeInMBs");
    const json_t *seconds = json_object_get(hints, "IntervalInSeconds");

    if (hints == NULL || json_is_null(hints)) {
        json_object_set_new(destination, "BufferingHints",
                            json_pack("{s:i, s:i}", "SizeInMBs", MEGABYTES_DEFAULT,
                                      "IntervalInSeconds", SECONDS_DEFAULT));
        return true;
    }
    if (!json_is_integer(size) || !json_is_integer(seconds))
        return invalid(reply, "BufferingHints: SizeInMBs and IntervalInSeconds are both wanted");
    if (json_integer_value(size) < 1 || json_integer_value(size) > MEGABYTES_MAX)
        return invalid(reply, "BufferingHints: SizeInMBs is 1 to 128");
    if (json_integer_value(seconds) < 0 || json_integer_value(seconds) > SECONDS_MAX)
        return invalid(reply, "BufferingHints: IntervalInSeconds is 0 to 900");
    return true;
}

static const char *compression_of(const json_t *destination)
{
    const char *format = json_string_value(json_object_get(destination, "CompressionFormat"));

    if (format == NULL || format[0] == '\0' || strcmp(format, "UNCOMPRESSED") == 0)
        return "none";
    if (strcmp(format, "GZIP") == 0)
        return "gzip";
    return strcmp(format, "Snappy") == 0 ? "snappy" : NULL;
}

static const char *bucket_of(const json_t *destination)
{
    const char *arn = json_string_value(json_object_get(destination, "BucketARN"));

    return arn != NULL && strncmp(arn, BUCKET_ARN, strlen(BUCKET_ARN)) == 0
               ? arn + strlen(BUCKET_ARN)
               : NULL;
}

/* Completes a destination with defaults. */
static bool destination_check(json_t *destination, struct http_reply *reply)
{
    if (!members_check(destination, reply) || !hints_check(destination, reply))
        return false;
    if (compression_of(destination) == NULL)
        return invalid(reply, "CompressionFormat: UNCOMPRESSED, GZIP and Snappy are taken");
    if (json_object_get(destination, "BucketARN") != NULL && bucket_of(destination) == NULL)
        return invalid(reply, "BucketARN: arn:aws:s3:::BUCKET is wanted");
    return true;
}

/* ---- its stream ---- */

/* The sink with this bucket, or `local`. */
static const char *sink_of(const struct config *config, const char *bucket)
{
    for (size_t i = 0; bucket != NULL && i < config->sinks_count; i++)
        if (config->sinks[i].type == CONFIG_SINK_S3 && !config->sinks[i].rest &&
            strcmp(config->sinks[i].s3.bucket, bucket) == 0)
            return config->sinks[i].name;
    return "local";
}

static int text_put(struct config_section *s, const char *key, const json_t *text)
{
    const char *value = json_string_value(text);

    return value != NULL && value[0] != '\0' ? rest_file_set(s, key, value) : 0;
}

/* Records as they came, end to end, whatever [stream *] says. 0, -ENOMEM, -EINVAL. */
static int section_fill(struct config_section *s, const struct config *config,
                        const json_t *destination)
{
    static const char *const none[] = {"delimiter", "prefix", "partition_by", "fields",
                                       "drop_fields", "add_fields"};
    const json_t *hints = json_object_get(destination, "BufferingHints");
    json_int_t seconds = json_integer_value(json_object_get(hints, "IntervalInSeconds"));
    int r = rest_file_set(s, "format", "raw");

    for (size_t i = 0; r == 0 && i < sizeof(none) / sizeof(none[0]); i++)
        r = rest_file_set(s, none[i], "");
    if (r == 0)
        r = rest_file_set(s, "compression", compression_of(destination));
    if (r == 0)
        r = rest_file_set(s, "compression_level", "-1");
    if (r == 0)
        r = rest_file_set(s, "buffer_count", "-1");
    if (r == 0)
        r = http_change_set(s, "buffer_size", "%" JSON_INTEGER_FORMAT "MiB",
                            json_integer_value(json_object_get(hints, "SizeInMBs")));
    if (r == 0)
        r = http_change_set(s, "buffer_time", "%" JSON_INTEGER_FORMAT "s",
                            seconds > 0 ? seconds : 1);
    if (r == 0)
        r = text_put(s, "prefix", json_object_get(destination, "Prefix"));
    if (r == 0)
        r = text_put(s, "error_prefix", json_object_get(destination, "ErrorOutputPrefix"));
    return r == 0 ? rest_file_set(s, "sinks", sink_of(config, bucket_of(destination))) : r;
}

/* about is taken over. old: what it was; NULL: nothing. */
static void stream_ask(struct http_call *call, const struct config *config, json_t *about,
                       const char *old, struct http_reply *reply)
{
    struct rest_change *change = rest_change_new(old != NULL ? REST_UPDATE : REST_CREATE,
                                                 call->stream);
    char *text;
    int r = -ENOMEM;

    json_object_set_new(about, "updated", json_real(now_s()));
    text = json_dumps(about, JSON_COMPACT);
    if (http_change_ask(call, change, reply) && text != NULL) {
        r = rest_file_set(rest_change_stream(change), REST_KEY_ABOUT, text);
        if (r == 0)
            r = section_fill(rest_change_stream(change), config,
                             json_object_get(about, "destination"));
        if (r == 0 && old != NULL) {
            change->expected = strdup(old);
            r = change->expected != NULL ? 0 : -ENOMEM;
        }
    }
    if (r == -EINVAL)
        (void)invalid(reply, "it is too long, or there are control characters in it");
    else if (r != 0)
        http_reply_error(reply, 503, "out of memory");
    free(text);
    json_decref(about);
}

json_t *http_delivery_about(const struct stream_config *stream)
{
    return stream != NULL && stream->about != NULL ? json_loads(stream->about, 0, NULL) : NULL;
}

/* ---- operations ---- */

struct asked {
    struct http_call *call;
    const json_t *request;
    struct http_reply *reply;
};

/* [{Key, Value}] into an object. */
static bool tags_put(const json_t *list, json_t *tags, struct http_reply *reply)
{
    const json_t *tag;
    size_t i;

    if (list != NULL && !json_is_null(list) && !json_is_array(list))
        return invalid(reply, "Tags: a list is wanted");
    json_array_foreach(list, i, tag) {
        const char *key = json_string_value(json_object_get(tag, "Key"));
        const json_t *value = json_object_get(tag, "Value");

        if (key == NULL || key[0] == '\0' || strlen(key) > TAG_KEY_MAX ||
            json_string_length(value) > TAG_VALUE_MAX)
            return invalid(reply, "Tags: a Key of 1 to 128 characters and a Value of at most 256 "
                           "are wanted");
        json_object_set_new(tags, key, json_string(json_is_string(value)
                                                       ? json_string_value(value)
                                                       : ""));
    }
    if (json_object_size(tags) <= TAGS_MAX)
        return true;
    http_reply_fault(reply, 400, "LimitExceededException", "a delivery stream has up to %d tags",
                     TAGS_MAX);
    return false;
}

static const char *encryption_key(const json_t *input)
{
    const char *type = json_string_value(json_object_get(input, "KeyType"));

    return type != NULL ? type : "AWS_OWNED_CMK";
}

/* The destination of a request, under either of its names. */
static json_t *destination_of(const json_t *request, const char *const names[2])
{
    json_t *found = json_object_get(request, names[0]);

    return found != NULL ? found : json_object_get(request, names[1]);
}

static bool create_check(const json_t *request, struct http_reply *reply)
{
    static const char *const known[] = {
        "DeliveryStreamName", "DeliveryStreamType", "ExtendedS3DestinationConfiguration",
        "S3DestinationConfiguration", "Tags", "DeliveryStreamEncryptionConfigurationInput"};
    const json_t *type = json_object_get(request, "DeliveryStreamType");
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)request, key, value) {
        size_t i = 0;

        while (i < sizeof(known) / sizeof(known[0]) && strcmp(key, known[i]) != 0)
            i++;
        if (i < sizeof(known) / sizeof(known[0]) || json_is_null(value))
            continue;
        http_reply_fault(reply, 400, "InvalidArgumentException", "%.64s: this agent does not take "
                         "it", key);
        return false;
    }
    return type == NULL || words_are(type, "DirectPut")
               ? true
               : invalid(reply, "DeliveryStreamType: DirectPut is what there is");
}

static void create(const struct asked *a, const struct config *config)
{
    static const char *const names[2] = {"ExtendedS3DestinationConfiguration",
                                         "S3DestinationConfiguration"};
    const json_t *encryption = json_object_get(a->request,
                                               "DeliveryStreamEncryptionConfigurationInput");
    json_t *given = destination_of(a->request, names);
    json_t *destination = given != NULL ? json_deep_copy(given) : json_object();
    json_t *tags = json_object();
    json_t *about;

    if (!create_check(a->request, a->reply) ||
        !(json_is_object(destination) || invalid(a->reply, "the destination is no object")) ||
        !destination_check(destination, a->reply) ||
        !tags_put(json_object_get(a->request, "Tags"), tags, a->reply)) {
        json_decref(destination);
        json_decref(tags);
        return;
    }
    about = json_pack("{s:i, s:f, s:o, s:o}", "version", 1, "created", now_s(), "destination",
                      destination, "tags", tags);
    if (json_is_object(encryption))
        json_object_set_new(about, "encryption",
                            json_pack("{s:s, s:s}", "Status", "ENABLED", "KeyType",
                                      encryption_key(encryption)));
    stream_ask(a->call, config, about, NULL, a->reply);
}

static bool update(const struct asked *a, json_t *about)
{
    static const char *const names[2] = {"ExtendedS3DestinationUpdate", "S3DestinationUpdate"};
    const char *version = json_string_value(json_object_get(a->request,
                                                            "CurrentDeliveryStreamVersionId"));
    json_int_t now = json_integer_value(json_object_get(about, "version"));
    json_t *destination = json_object_get(about, "destination");
    json_t *given = destination_of(a->request, names);
    char text[32];
    const char *key;
    json_t *value;

    (void)snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, now);
    if (version == NULL)
        return invalid(a->reply, "CurrentDeliveryStreamVersionId is missing");
    if (strcmp(version, text) != 0) {
        http_reply_fault(a->reply, 400, "ConcurrentModificationException",
                         "stream '%s' is at version %s", a->call->stream, text);
        return false;
    }
    if (!words_are(json_object_get(a->request, "DestinationId"), DESTINATION_ID))
        return invalid(a->reply, "DestinationId: " DESTINATION_ID " is what there is");
    if (!json_is_object(given))
        return invalid(a->reply, "ExtendedS3DestinationUpdate is missing");
    json_object_foreach(given, key, value)
        if (!json_is_null(value))
            json_object_set(destination, key, value);
    return destination_check(destination, a->reply);
}

static bool untag(const struct asked *a, json_t *tags)
{
    const json_t *keys = json_object_get(a->request, "TagKeys");

    if (!json_is_array(keys))
        return invalid(a->reply, "TagKeys: a list is wanted");
    for (size_t i = 0; i < json_array_size(keys); i++) {
        const char *key = json_string_value(json_array_get(keys, i));

        if (key == NULL)
            return invalid(a->reply, "TagKeys: texts are wanted");
        (void)json_object_del(tags, key);
    }
    return true;
}

/* Changes what is kept. False: reply is set. */
static bool about_change(const struct asked *a, json_t *about)
{
    json_t *tags = json_object_get(about, "tags");
    json_int_t version = json_integer_value(json_object_get(about, "version"));

    switch (a->call->op) {
    case FIREHOSE_UPDATE:
        if (!update(a, about))
            return false;
        json_object_set_new(about, "version", json_integer(version + 1));
        return true;
    case FIREHOSE_TAG:
        return tags_put(json_object_get(a->request, "Tags"), tags, a->reply);
    case FIREHOSE_UNTAG:
        return untag(a, tags);
    case FIREHOSE_ENCRYPT:
        json_object_set_new(
            about, "encryption",
            json_pack("{s:s, s:s}", "Status", "ENABLED", "KeyType",
                      encryption_key(json_object_get(
                          a->request, "DeliveryStreamEncryptionConfigurationInput"))));
        return true;
    default:
        json_object_set_new(about, "encryption", json_pack("{s:s}", "Status", "DISABLED"));
        return true;
    }
}

static void change(const struct asked *a, const struct config *config,
                   const struct stream_config *stream)
{
    json_t *about = http_delivery_about(stream);

    if (about == NULL)
        http_reply_error(a->reply, 503, "out of memory");
    else if (!about_change(a, about))
        json_decref(about);
    else
        stream_ask(a->call, config, about, stream->about, a->reply);
}

static void on_operation(void *ctx, const struct config *config)
{
    const struct asked *a = ctx;
    const struct stream_config *stream = config_find_stream(config, a->call->stream);
    enum rest_maker maker = rest_maker_of(stream);

    if (a->call->op == FIREHOSE_CREATE && maker == REST_MAKER_NONE)
        create(a, config);
    else if (a->call->op == FIREHOSE_CREATE)
        http_reply_fault(a->reply, 400, "ResourceInUseException", "stream '%s' exists",
                         a->call->stream);
    else if (maker == REST_MAKER_NONE)
        http_reply_fault(a->reply, 400, "ResourceNotFoundException", "there is no stream '%s', or "
                         "only what came for it", a->call->stream);
    else if (maker != REST_MAKER_DELIVERY)
        http_reply_fault(a->reply, 400, "InvalidArgumentException", "stream '%s' was not made by "
                         "CreateDeliveryStream: it is changed where it was made", a->call->stream);
    else if (a->call->op == FIREHOSE_DELETE)
        (void)http_delete_begin(a->call, a->reply);
    else
        change(a, config, stream);
}

void http_delivery_begin(struct http_call *call, const json_t *request,
                         const struct http_config *config, struct http_reply *reply)
{
    struct asked a = {call, request, reply};

    config->look(config->ctx, on_operation, &a);
}

/* The service's names for what a change fails with. */
static void change_failed(const struct http_call *call, const struct http_answered *a,
                          struct http_reply *reply)
{
    switch (a->result) {
    case -EEXIST:
    case -EPERM:
        http_reply_fault(reply, 400, "ResourceInUseException", "stream '%s' exists", call->stream);
        return;
    case -ENOENT:
        http_reply_fault(reply, 400, "ResourceNotFoundException", "there is no stream '%s'",
                         call->stream);
        return;
    case -ESTALE:
        http_reply_fault(reply, 400, "ConcurrentModificationException",
                         "stream '%s' has just been changed", call->stream);
        return;
    case -EFBIG:
        http_reply_fault(reply, 400, "LimitExceededException", "%s", a->why);
        return;
    default:
        http_change_failed(call, a, reply);
    }
}

void http_delivery_next(struct http_call *call, const struct http_answered *a,
                        struct http_reply *reply)
{
    bool sealed = call->deletes && call->kind == REQUEST_SEAL && a->result == -ENOENT;

    if (a->result != 0 && !sealed && call->kind == REQUEST_CONTROL) {
        change_failed(call, a, reply);
    } else if (call->deletes) {
        /* Delivered or not, it has gone: the service does not wait either. */
        if (call->kind == REQUEST_CONTROL || http_delete_next(call, a, reply)) {
            if (reply->status == 0)
                http_reply_json(reply, 200, json_object());
        }
    } else if (call->op == FIREHOSE_CREATE) {
        char arn[sizeof(HTTP_ARN) + STREAM_NAME_MAX];

        (void)snprintf(arn, sizeof(arn), HTTP_ARN "%s", call->stream);
        http_reply_json(reply, 200, json_pack("{s:s}", "DeliveryStreamARN", arn));
    } else {
        http_reply_json(reply, 200, json_object());
    }
}

/* ---- what there is ---- */

/* As the service completes it. */
static json_t *destination_json(const json_t *given)
{
    json_t *json = json_pack("{s:s, s:{s:s}, s:{s:b}, s:s}", "CompressionFormat", "UNCOMPRESSED",
                             "EncryptionConfiguration", "NoEncryptionConfig", "NoEncryption",
                             "CloudWatchLoggingOptions", "Enabled", 0, "S3BackupMode", "Disabled");

    json_object_update(json, (json_t *)(uintptr_t)given);
    return json;
}

void http_delivery_describe(const json_t *about, json_t *description)
{
    const json_t *given = json_object_get(about, "destination");
    const json_t *encryption = json_object_get(about, "encryption");
    json_t *destination, *plain;
    char version[32];

    if (about == NULL)
        return;
    (void)snprintf(version, sizeof(version), "%" JSON_INTEGER_FORMAT,
                   json_integer_value(json_object_get(about, "version")));
    destination = destination_json(given);
    plain = json_deep_copy(destination);
    (void)json_object_del(plain, "S3BackupMode");
    json_object_set_new(description, "VersionId", json_string(version));
    json_object_set(description, "CreateTimestamp", json_object_get(about, "created"));
    json_object_set(description, "LastUpdateTimestamp", json_object_get(about, "updated"));
    json_object_set_new(description, "DeliveryStreamEncryptionConfiguration",
                        encryption != NULL ? json_deep_copy(encryption)
                                           : json_pack("{s:s}", "Status", "DISABLED"));
    json_object_set_new(description, "Destinations",
                        json_pack("[{s:s, s:o, s:o}]", "DestinationId", DESTINATION_ID,
                                  "ExtendedS3DestinationDescription", destination,
                                  "S3DestinationDescription", plain));
}

json_t *http_delivery_tags(const json_t *about, const char *after, size_t limit)
{
    json_t *tags = json_object_get(about, "tags");
    json_t *list = json_array();
    bool found = after == NULL, more = false;
    const char *key;
    json_t *value;

    json_object_foreach(tags, key, value) {
        more = found && json_array_size(list) == limit;
        if (more)
            break;
        if (found)
            json_array_append_new(list, json_pack("{s:s, s:O}", "Key", key, "Value", value));
        found |= after != NULL && strcmp(after, key) == 0;
    }
    return json_pack("{s:o, s:b}", "Tags", list, "HasMoreTags", more);
}
