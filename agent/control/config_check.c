/*
 * config_check: what a single value cannot show: names, addresses, paths, and how keys agree.
 * Owns:   nothing.
 * Thread: any.
 */
#include "control/config_check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "control/address.h"
#include "control/checker.h"
#include "control/routing.h"
#include "flow/name.h"
#include "flow/object_name.h"
#include "sink/endpoint.h"
#include "sink/request.h"

#define NAME_RULE "a name is 1 to 64 of A-Z a-z 0-9 _ . - and begins with a letter or digit"

/* Several segments are always in use: one written, one in reserve, one recycled. */
#define SEGMENTS_MIN 4
#define LOG_BLOCK_BYTES 4096
/* Of an http sink's own, beside those of the agent. */
#define HEADERS_MAX 16
/* Of memory_limit and of the log: what shards divide among them. */
#define SHARD_BYTES_MIN (8 << 20)

static bool name_ok(const char *name)
{
    return stream_name_valid(name, strlen(name));
}

static void check_agent(const struct checker *k)
{
    const struct config *c = k->config;

    if (!name_ok(c->agent.name))
        checker_fail(k, "agent", "name", "'%s' cannot stand in file names: %s", c->agent.name,
                     NAME_RULE);
    if (!name_ok(c->agent.default_stream))
        checker_fail(k, "agent", "default_stream", "'%s' is not a stream's name: %s",
                     c->agent.default_stream, NAME_RULE);
    if ((int64_t)c->streams_count > c->agent.streams_max)
        checker_fail(k, "agent", "streams_max", "%zu streams are defined, more than %lld",
                     c->streams_count, (long long)c->agent.streams_max);
    if (c->agent.memory_limit_bytes / SHARD_BYTES_MIN < c->agent.shards)
        checker_fail(k, "agent", "shards", "each takes 8MiB of memory_limit, or more: raise that, "
                     "or have at most %lld",
                     (long long)(c->agent.memory_limit_bytes / SHARD_BYTES_MIN));
    if (c->wal.bytes_max / SHARD_BYTES_MIN < c->agent.shards)
        checker_fail(k, "agent", "shards", "each takes 8MiB of [wal] max_bytes, or more: raise "
                     "that, or have at most %lld", (long long)(c->wal.bytes_max / SHARD_BYTES_MIN));
}

static void check_wal(const struct checker *k)
{
    const struct config *c = k->config;

    if (c->wal.segment_bytes % LOG_BLOCK_BYTES != 0)
        checker_fail(k, "wal", "segment_size", "must be a multiple of %dKiB",
                     LOG_BLOCK_BYTES / 1024);
    if (c->wal.bytes_max / SEGMENTS_MIN < c->wal.segment_bytes)
        checker_fail(k, "wal", checker_key_line(checker_section(k, "wal"), "max_bytes") > 0
                     ? "max_bytes" : "segment_size",
                     "the log needs room for %d segments: raise max_bytes or lower segment_size",
                     SEGMENTS_MIN);
}

static void check_http(const struct checker *k)
{
    const struct config *c = k->config;
    bool given = k->overrides != NULL && k->overrides->http != NULL;
    struct address address;
    struct errmsg err = { "" };

    if (strcmp(c->http.listen, "unix:") == 0)
        errmsg_set(&err, 0, "a path must follow unix:");
    else if (strcmp(c->http.listen, "off") != 0 && strncmp(c->http.listen, "unix:", 5) != 0 &&
             address_parse(c->http.listen, &address, &err) == 0 &&
             !address_is_loopback(&address) && c->http.token[0] == '\0')
        errmsg_set(&err, 0, "'%s' can be reached from other hosts: set token or token_file in "
                   "[http], or listen on 127.0.0.1", c->http.listen);
    if (err.text[0] != '\0' && given)
        config_errors_add(k->errs, "--http", 0, "%s", err.text);
    else if (err.text[0] != '\0')
        checker_fail(k, "http", "listen", "%s", err.text);
    if ((c->http.firehose_access_key[0] == '\0') != (c->http.firehose_secret_key[0] == '\0'))
        checker_fail(k, "http", c->http.firehose_access_key[0] != '\0' ? "firehose_access_key"
                                                                       : "firehose_secret_key",
                     "firehose_access_key and firehose_secret_key need each other");
}

static void check_listeners(const struct checker *k, const char *key,
                            const struct config_list *list)
{
    struct address address;
    struct errmsg err;

    for (size_t i = 0; i < list->count; i++)
        if (address_parse(list->items[i], &address, &err) < 0)
            checker_fail(k, "intake", key, "%s", err.text);
}

/* Certificates and keys, which are read when they are needed: at the start, or at a connection. */
static void check_readable(const struct checker *k, const char *section, const char *key,
                           const char *path)
{
    if (path[0] != '\0' && access(path, R_OK) != 0)
        checker_fail(k, section, key, "'%s' cannot be read: %s", path, strerror(errno));
}

static void check_intake(const struct checker *k)
{
    const struct config *c = k->config;

    check_listeners(k, "tcp", &k->config->intake.tcp);
    check_listeners(k, "udp", &k->config->intake.udp);
    check_listeners(k, "relay", &k->config->intake.relay);
    if ((c->intake.relay_cert_file[0] == '\0') != (c->intake.relay_key_file[0] == '\0'))
        checker_fail(k, "intake", "relay_key_file", "relay_cert_file and relay_key_file go "
                     "together; set both or neither");
    if (c->intake.relay_ca_file[0] != '\0' && c->intake.relay_cert_file[0] == '\0')
        checker_fail(k, "intake", "relay_ca_file", "without relay_cert_file there is no TLS, and "
                     "nobody shows a certificate");
    check_readable(k, "intake", "relay_cert_file", c->intake.relay_cert_file);
    check_readable(k, "intake", "relay_key_file", c->intake.relay_key_file);
    check_readable(k, "intake", "relay_ca_file", c->intake.relay_ca_file);
}

static void check_url(const struct checker *k, const char *section, const char *key,
                      const char *url)
{
    const char *host = strstr(url, "://");

    if ((strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0) || host[3] == '\0' ||
        host[3] == '/')
        checker_fail(k, section, key, "%s http:// or https:// URL is needed",
                     url[0] == '\0' ? "an" : "this is none; an");
}

static void check_sink_cloud(const struct checker *k, const struct sink_config *s,
                             const char *section)
{
    struct endpoint endpoint;
    struct errmsg err;

    if (s->cloud.endpoint[0] != '\0' && endpoint_parse(s->cloud.endpoint, &endpoint, &err) < 0)
        checker_fail(k, section, "endpoint", "%s", err.text);
    if ((s->cloud.access_key[0] == '\0') != (s->cloud.secret_key[0] == '\0'))
        checker_fail(k, section, s->cloud.access_key[0] != '\0' ? "access_key" : "secret_key",
                     "access_key and secret_key need each other");
}

/* A name is that of HTTP, and what the agent has to say itself it says itself. */
static bool header_ok(const char *header, char *ret_reserved, size_t cap)
{
    static const char *const reserved[] = {
        "content-length", "content-encoding", "transfer-encoding", "connection", "expect", "te",
        "x-hydrant-batch", "idempotency-key", "x-amz-firehose-request-id",
        "x-amz-firehose-protocol-version", "x-amz-firehose-source-arn",
        "x-amz-firehose-access-key"
    };
    size_t len = strspn(header, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                "!#$%&'*+-.^_`|~");

    ret_reserved[0] = '\0';
    if (len == 0 || header[len] != ':' || len >= REQUEST_NAME_BYTES
        || strpbrk(header, "\r\n") != NULL)
        return false;
    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
        if (len == strlen(reserved[i]) && strncasecmp(header, reserved[i], len) == 0)
            (void)snprintf(ret_reserved, cap, "%s", reserved[i]);
    return ret_reserved[0] == '\0';
}

static void check_sink_web(const struct checker *k, const struct sink_config *s,
                           const char *section)
{
    bool firehose = s->web.protocol == CONFIG_PROTOCOL_FIREHOSE;
    char reserved[REQUEST_NAME_BYTES];

    check_url(k, section, "url", s->web.url);
    if (s->web.headers.count > HEADERS_MAX)
        checker_fail(k, section, "headers", "more than %d", HEADERS_MAX);
    for (size_t i = 0; i < s->web.headers.count; i++) {
        if (header_ok(s->web.headers.items[i], reserved, sizeof(reserved)))
            continue;
        if (reserved[0] != '\0')
            checker_fail(k, section, "headers", "%s is set by the agent itself", reserved);
        else
            checker_fail(k, section, "headers", "a header is written Name: value");
    }
    if (firehose && s->web.method != CONFIG_METHOD_POST)
        checker_fail(k, section, "method", "protocol = firehose is done by POST");
    if (firehose && config_is_set(&s->set, OPTION_web_body))
        checker_fail(k, section, "body", "protocol = firehose has a body of its own; leave it out");
    if (firehose && config_is_set(&s->set, OPTION_output_compression_level))
        checker_fail(k, section, "compression_level", "requests of protocol = firehose are "
                     "compressed at the usual level; leave it out");
}

static void check_sink_firehose(const struct checker *k, const struct sink_config *s,
                                const char *section)
{
    const char *name = s->firehose.delivery_stream;

    check_sink_cloud(k, s, section);
    if (strlen(name) > 64
        || name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")])
        checker_fail(k, section, "delivery_stream", "'%s' is not the name of one, which has up to "
                     "64 of A-Z a-z 0-9 _ . -", name);
}

static void check_sink(const struct checker *k, const struct sink_config *s)
{
    char section[CONFIG_FILE_NAME_MAX + 1];
    struct errmsg err;

    (void)snprintf(section, sizeof(section), "sink %s", s->name);
    if (!name_ok(s->name) && !s->rest)
        checker_fail(k, section, NULL, "%s", NAME_RULE);
    if (!config_is_set(&s->set, OPTION_sink_type))
        return; /* without a sound type nothing else was read */
    checker_sink_output(k, s);
    switch (s->type) {
    case CONFIG_SINK_FILE:
        if (s->file.directory[0] == '\0')
            checker_fail(k, section, NULL, "a file sink needs a directory: directory = PATH");
        break;
    case CONFIG_SINK_S3:
        if (s->s3.bucket[0] == '\0')
            checker_fail(k, section, NULL, "an s3 sink needs a bucket: bucket = NAME");
        if (s->s3.server_side_encryption[0] != '\0' &&
            strcmp(s->s3.server_side_encryption, "AES256") != 0 &&
            strcmp(s->s3.server_side_encryption, "aws:kms") != 0)
            checker_fail(k, section, "server_side_encryption", "it is AES256 or aws:kms");
        check_sink_cloud(k, s, section);
        break;
    case CONFIG_SINK_FIREHOSE:
        check_sink_firehose(k, s, section);
        break;
    case CONFIG_SINK_HTTP:
        check_sink_web(k, s, section);
        break;
    case CONFIG_SINK_RELAY:
        if (address_check_peer(s->relay.address, &err) < 0)
            checker_fail(k, section, "address", "%s", err.text);
        if ((s->relay.cert_file[0] == '\0') != (s->relay.key_file[0] == '\0'))
            checker_fail(k, section, "key_file", "cert_file and key_file go together; set both or "
                         "neither");
        if (s->relay.cert_file[0] != '\0' && !s->relay.tls)
            checker_fail(k, section, "cert_file", "it is shown by tls = yes alone");
        check_readable(k, section, "cert_file", s->relay.cert_file);
        check_readable(k, section, "key_file", s->relay.key_file);
        break;
    case CONFIG_SINK_COUNT:
        break;
    }
    if (s->type != CONFIG_SINK_FILE)
        check_readable(k, section, "ca_file", s->remote.ca_file);
}

/* Steps over "/", "./" and doubled slashes in front of the next component. */
static const char *path_skip(const char *at)
{
    while (at[0] == '/' || (at[0] == '.' && (at[1] == '/' || at[1] == '\0')))
        at++;
    return at;
}

/* Both name one directory, as far as text can tell. */
static bool paths_equal(const char *a, const char *b)
{
    if ((*a == '/') != (*b == '/'))
        return false;
    for (;;) {
        size_t len;

        a = path_skip(a);
        b = path_skip(b);
        len = strcspn(a, "/");
        if (len != strcspn(b, "/") || strncmp(a, b, len) != 0)
            return false;
        if (len == 0)
            return true;
        a += len;
        b += len;
    }
}

/* Sinks that would write the same file names into the same place. */
static void check_stream_places(const struct checker *k, const struct stream_config *s,
                                const char *section)
{
    for (size_t i = 0; i < s->sinks.count; i++) {
        const struct sink_config *a = config_find_sink(k->config, s->sinks.items[i]);

        for (size_t j = 0; j < i; j++) {
            const struct sink_config *b = config_find_sink(k->config, s->sinks.items[j]);

            if (strcmp(s->sinks.items[i], s->sinks.items[j]) == 0)
                checker_fail(k, section, "sinks", "'%s' is named twice", s->sinks.items[i]);
            else if (a != NULL && b != NULL && a->type == CONFIG_SINK_FILE &&
                     b->type == CONFIG_SINK_FILE &&
                     paths_equal(a->file.directory, b->file.directory))
                checker_fail(k, section, "sinks", "'%s' and '%s' write into one directory; give "
                             "each its own", b->name, a->name);
        }
    }
}

static void check_stream_prefixes(const struct checker *k, const struct stream_config *s,
                                  const char *section)
{
    struct prefix_traits traits;
    struct errmsg err;

    if (prefix_inspect(s->prefix, false, &traits, &err) < 0)
        checker_fail(k, section, "prefix", "%s", err.text);
    else if (s->prefix_clock == CONFIG_PREFIX_CLOCK_EVENT && traits.random_string)
        checker_fail(k, section, "prefix_clock", "with a random string in prefix each event would "
                     "have a file of its own; leave one of them out");
    if (prefix_check(s->error_prefix, true, &err) < 0)
        checker_fail(k, section, "error_prefix", "%s", err.text);
}

/* What the log could not hold would be found when the stream's first event comes. */
static void check_stream_bytes(const struct checker *k, const struct stream_config *s,
                               const char *section)
{
    struct bytes text = BYTES_INIT;
    struct stream_settings set;
    struct errmsg err;
    int r = routing_resolve(k->config, s->name, &set, &err);

    if (r == 0) {
        r = stream_settings_format(&set, &text);
        if (r == -ENAMETOOLONG)
            errmsg_set(&err, r, "a directory or prefix of its sinks is longer than %d bytes",
                       SETTINGS_STR_MAX);
        else if (r < 0)
            errmsg_set(&err, r, "its settings for all sinks are larger than the log can hold, "
                       "%d KiB; shorten columns or fields", SETTINGS_BYTES_MAX / 1024);
        stream_settings_fini(&set);
    }
    bytes_free(&text);
    if (r < 0)
        checker_fail(k, section, NULL, "%s", err.text);
}

static void check_stream(const struct checker *k, const struct stream_config *s)
{
    char section[CONFIG_FILE_NAME_MAX + 1];
    struct output_config output;
    struct errmsg err;

    (void)snprintf(section, sizeof(section), "stream %s", s->name);
    if (s != &k->config->stream_default && !name_ok(s->name))
        checker_fail(k, section, NULL, "%s", NAME_RULE);
    for (size_t i = 0; i < s->sinks.count; i++) {
        const struct sink_config *sink = config_find_sink(k->config, s->sinks.items[i]);

        if (sink == NULL ||
            (sink->rest && !(s->rest && config_sink_private(sink->name, s->name))))
            checker_fail(k, section, "sinks", "no sink '%s'; add a section [sink %s]",
                         s->sinks.items[i], s->sinks.items[i]);
        else if (config_resolve_output(s, sink, &output, &err) < 0)
            checker_fail(k, section, NULL, "%s", err.text);
        else
            checker_output(k, s, sink, &output);
    }
    check_stream_places(k, s, section);
    check_stream_prefixes(k, s, section);
    if (!config_errors_any(k->errs))
        check_stream_bytes(k, s, section);
}

void config_check(const struct config *c, const struct config_file *f,
                  const struct config_file *rest, const struct config_overrides *overrides,
                  struct config_errors *errs)
{
    struct checker k = { c, f, rest, overrides, errs };

    check_agent(&k);
    check_wal(&k);
    check_http(&k);
    check_intake(&k);
    for (size_t i = 0; i < c->sinks_count; i++)
        check_sink(&k, &c->sinks[i]);
    check_stream(&k, &c->stream_default);
    for (size_t i = 0; i < c->streams_count; i++)
        check_stream(&k, &c->streams[i]);
}
