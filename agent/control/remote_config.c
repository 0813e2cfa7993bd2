/*
 * remote_config: from sections of the configuration to remote_settings.
 *
 * Owns:   nothing.
 * Thread: any.
 */
#include "control/remote_config.h"

#include <errno.h>
#include <stdlib.h>

_Static_assert((int)CONFIG_AUTO == S3_AUTO && (int)CONFIG_YES == S3_YES && (int)CONFIG_NO == S3_NO,
               "one order");
_Static_assert((int)CONFIG_BODY_NDJSON == REMOTE_BODY_LINES
               && (int)CONFIG_BODY_ARRAY == REMOTE_BODY_ARRAY
               && (int)CONFIG_BODY_RAW == REMOTE_BODY_RAW, "one order");
_Static_assert((int)CONFIG_PROTOCOL_FIREHOSE == REMOTE_FIREHOSE, "one order");

static void cloud_fill(struct remote_settings *to, const struct sink_config *from)
{
    to->cloud.access_key = from->cloud.access_key;
    to->cloud.secret_key = from->cloud.secret_key;
    to->cloud.session_token = from->cloud.session_token;
    to->cloud.profile = from->cloud.profile;
    to->cloud.region = from->cloud.region;
}

static void s3_fill(struct remote_settings *to, const struct sink_config *from)
{
    to->type = TARGET_S3;
    to->s3.set.bucket = from->s3.bucket;
    to->s3.set.region = from->cloud.region;
    to->s3.set.endpoint = from->cloud.endpoint;
    to->s3.set.storage_class = from->s3.storage_class;
    to->s3.set.server_side_encryption = from->s3.server_side_encryption;
    to->s3.set.kms_key_id = from->s3.kms_key_id;
    to->s3.set.path_style = (enum s3_choice)from->s3.path_style;
    to->s3.set.signed_payload = (enum s3_choice)from->s3.signed_payload;
    to->s3.set.checksum = from->s3.checksum == CONFIG_CHECKSUM_CRC32C;
    to->s3.part_bytes = (uint64_t)from->s3.part_bytes;
    to->s3.conditional = (enum s3_choice)from->s3.conditional_write;
}

static void web_fill(struct remote_settings *to, const struct sink_config *from)
{
    to->type = TARGET_HTTP;
    to->web.url = from->web.url;
    to->web.method = from->web.method == CONFIG_METHOD_PUT ? "PUT" : "POST";
    to->web.token = from->web.token;
    to->web.headers = (const char *const *)from->web.headers.items;
    to->web.headers_count = (uint32_t)from->web.headers.count;
    to->web.body = (enum remote_body)from->web.body;
    to->web.protocol = (enum remote_protocol)from->web.protocol;
    to->web.gzip = config_is_set(&from->set, OPTION_output_compression)
                   && from->output.compression == CONFIG_COMPRESSION_GZIP;
}

int remote_config(const struct config *config, struct remote_settings **ret_settings,
                  uint32_t *ret_count)
{
    struct remote_settings *set = calloc(config->sinks_count + 1, sizeof(*set));
    uint32_t count = 0;

    if (!set)
        return -ENOMEM;
    for (size_t i = 0; i < config->sinks_count; i++) {
        const struct sink_config *sink = &config->sinks[i];
        struct remote_settings *to = &set[count];

        switch (sink->type) {
        case CONFIG_SINK_S3:
            s3_fill(to, sink);
            cloud_fill(to, sink);
            break;
        case CONFIG_SINK_FIREHOSE:
            to->type = TARGET_FIREHOSE;
            to->firehose.endpoint = sink->cloud.endpoint;
            to->firehose.pack = sink->firehose.pack;
            cloud_fill(to, sink);
            break;
        case CONFIG_SINK_HTTP:
            web_fill(to, sink);
            break;
        default:
            continue;
        }
        to->name = sink->name;
        to->in_flight_max = (uint32_t)sink->remote.in_flight_max;
        to->timeout_ns = (uint64_t)sink->remote.timeout_ns;
        to->ca_file = sink->remote.ca_file;
        to->backoff_max_ns = (uint64_t)sink->remote.retry_backoff_max_ns;
        count++;
    }
    *ret_settings = set;
    *ret_count = count;
    return 0;
}

int remote_config_relays(const struct config *config, struct relay_sink_settings **ret_settings,
                         uint32_t *ret_count)
{
    struct relay_sink_settings *set = calloc(config->sinks_count + 1, sizeof(*set));
    uint32_t count = 0;

    if (!set)
        return -ENOMEM;
    for (size_t i = 0; i < config->sinks_count; i++) {
        const struct sink_config *sink = &config->sinks[i];

        if (sink->type != CONFIG_SINK_RELAY)
            continue;
        set[count++] = (struct relay_sink_settings){
            .name = sink->name,
            .address = sink->relay.address,
            .tls = sink->relay.tls,
            .ca_file = sink->remote.ca_file,
            .cert_file = sink->relay.cert_file,
            .key_file = sink->relay.key_file,
            .in_flight_max = (uint32_t)sink->remote.in_flight_max,
            .timeout_ns = (uint64_t)sink->remote.timeout_ns,
            .backoff_max_ns = (uint64_t)sink->remote.retry_backoff_max_ns,
        };
    }
    *ret_settings = set;
    *ret_count = count;
    return 0;
}
