/*
 * config_check_output: how the keys that say what an output writes agree: columns, edits of fields,
 * partitions, compression. What is wrong here would send every event to the error output, or write
 * what was to be left out.
 *
 * Owns:   struct texts, while an output is looked at.
 * Thread: any.
 */
#include <errno.h>
#include <string.h>

#include "control/checker.h"
#include "control/option.h"
#include "encode/codec.h"
#include "encode/column_text.h"
#include "encode/compress.h"
#include "encode/partition.h"
#include "encode/transform.h"
#include "flow/object_name.h"

_Static_assert((int)PARTITION_KEY_BYTES_MAX <= (int)PARTITIONS_BYTES_MAX, "keys fit");
_Static_assert((int)CONFIG_COMPRESSION_GZIP == COMPRESS_GZIP
               && (int)CONFIG_COMPRESSION_ZSTD == COMPRESS_ZSTD
               && (int)CONFIG_COMPRESSION_SNAPPY == COMPRESS_SNAPPY
               && (int)CONFIG_COMPRESSION_LZ4 == COMPRESS_LZ4, "one order");

/* A stream's output to one sink, and its sections. */
struct pair {
    const struct checker *k;
    const struct stream_config *stream;
    const struct sink_config *sink;
    const struct output_config *output;
    char stream_section[CONFIG_FILE_NAME_MAX + 1];
    char sink_section[CONFIG_FILE_NAME_MAX + 1];
};

/* The texts of an output as they were read. */
struct texts {
    struct schema columns, partitions, fields, drop, add;
};

/* Reports where the key stands: in the sink's section, or the stream's. */
#define pair_fail(p, id, ...)                                                              \
    checker_fail((p)->k,                                                                   \
                 config_is_set(&(p)->sink->set, id) ? (p)->sink_section : (p)->stream_section, \
                 option_table[id].key, __VA_ARGS__)

static void texts_fini(struct texts *t)
{
    schema_fini(&t->columns);
    schema_fini(&t->partitions);
    schema_fini(&t->fields);
    schema_fini(&t->drop);
    schema_fini(&t->add);
}

static bool names_read(const struct pair *p, enum option_id id, const char *text,
                       struct schema *ret_names)
{
    struct errmsg err;

    if (column_text_names(text, ret_names, &err) == 0)
        return true;
    pair_fail(p, id, "%s", err.text);
    return false;
}

static bool columns_read(const struct pair *p, struct schema *ret_columns)
{
    struct errmsg err;

    if (schema_parse(p->output->columns, ret_columns, &err) == 0)
        return true;
    pair_fail(p, OPTION_output_columns, "%s", err.text);
    return false;
}

static bool partitions_read(const struct pair *p, struct schema *ret_names)
{
    struct errmsg err;

    if (!names_read(p, OPTION_output_partition_by, p->output->partition_by, ret_names))
        return false;
    ret_names->hidden = ret_names->count;
    if (partition_check(ret_names, &err) == 0)
        return true;
    pair_fail(p, OPTION_output_partition_by, "%s", err.text);
    return false;
}

static bool add_read(const struct pair *p, struct schema *ret_add)
{
    const struct transform_settings set = {
        .add_fields = p->output->add_fields,
        .host = p->k->config->agent.name,
        .stream = p->stream->name,
    };
    struct transform t;
    struct errmsg err;
    int r = transform_parse(&set, &t, &err);

    if (r < 0)
        pair_fail(p, OPTION_output_add_fields, "%s", err.text);
    else if ((r = schema_copy(&t.add, ret_add)) < 0)
        p->k->errs->out_of_memory = true;
    transform_fini(&t);
    return r == 0;
}

/* All of them, so that each mistake is told. */
static bool texts_read(const struct pair *p, struct texts *ret_texts)
{
    const struct output_config *o = p->output;
    bool ok = true;

    memset(ret_texts, 0, sizeof(*ret_texts));
    ok &= columns_read(p, &ret_texts->columns);
    ok &= partitions_read(p, &ret_texts->partitions);
    ok &= names_read(p, OPTION_output_fields, o->fields, &ret_texts->fields);
    ok &= names_read(p, OPTION_output_drop_fields, o->drop_fields, &ret_texts->drop);
    ok &= add_read(p, &ret_texts->add);
    return ok;
}

static void check_compression(const struct pair *p)
{
    const struct output_config *o = p->output;
    const char *name = config_compression_name(o->compression);
    const struct compress_info *info = compress_info((enum compress_type)o->compression);
    int64_t level = o->compression_level;
    int min = info->level_min, max = info->level_max;

    if (level < 0)
        return;
    if (o->compression == CONFIG_COMPRESSION_NONE) {
        pair_fail(p, OPTION_output_compression_level, "there is no compression that could have a "
                  "level; set compression, or leave the level out");
        return;
    }
    if (o->format == CONFIG_FORMAT_PARQUET) {
        static const enum codec_type codecs[] = {
            CODEC_NONE, CODEC_GZIP, CODEC_ZSTD, CODEC_SNAPPY, CODEC_LZ4_RAW
        };

        (void)codec_levels(codecs[o->compression], &min, &max);
    }
    if (min == max)
        pair_fail(p, OPTION_output_compression_level, "%s has no levels; leave it out", name);
    else if (level < min || level > max)
        pair_fail(p, OPTION_output_compression_level, "levels of %s%s are %d to %d, or -1 for the "
                  "usual one", name, o->format == CONFIG_FORMAT_PARQUET ? " in Parquet" : "", min,
                  max);
}

/* Raw payloads stay as they are: to ignore these keys would let out what they take away. */
static void check_raw(const struct pair *p, const struct texts *t)
{
    const struct {
        enum option_id id;
        uint32_t count;
    } keys[] = {
        { OPTION_output_partition_by, t->partitions.count },
        { OPTION_output_fields, t->fields.count },
        { OPTION_output_drop_fields, t->drop.count },
        { OPTION_output_add_fields, t->add.count },
    };

    if (p->output->format != CONFIG_FORMAT_RAW)
        return;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (keys[i].count > 0)
            pair_fail(p, keys[i].id, "sink '%s' has format = raw, which writes payloads as they "
                      "are; use json, csv or parquet, or an empty '%s =' in [sink %s]",
                      p->sink->name, option_table[keys[i].id].key, p->sink->name);
}

static void check_fields(const struct pair *p, const struct texts *t)
{
    bool table = p->output->format == CONFIG_FORMAT_CSV ||
                 p->output->format == CONFIG_FORMAT_PARQUET;

    for (uint32_t i = 0; i < t->drop.count; i++)
        if (schema_has(&t->fields, &t->drop.columns[i]))
            pair_fail(p, OPTION_output_drop_fields, "'%.60s' stands in fields too; keep it in one",
                      t->drop.columns[i].name);
    if (!table || t->columns.count == 0)
        return;
    /* A field outside declared columns sends its event to the error output. */
    for (uint32_t i = 0; i < t->fields.count; i++)
        if (!schema_has(&t->columns, &t->fields.columns[i]))
            pair_fail(p, OPTION_output_fields, "'%.60s' is not among columns",
                      t->fields.columns[i].name);
    for (uint32_t i = 0; i < t->add.count; i++)
        if (!schema_has(&t->columns, &t->add.columns[i]))
            pair_fail(p, OPTION_output_add_fields, "'%.60s' is not among columns",
                      t->add.columns[i].name);
}

/* The columns of partitions are those of the events as they are written. */
static void check_partitions(const struct pair *p, const struct texts *t)
{
    struct prefix_traits traits;
    uint32_t declared = 0;

    for (uint32_t i = 0; i < t->partitions.count; i++) {
        const struct column *c = &t->partitions.columns[i];

        declared += schema_has(&t->columns, c);
        if (t->columns.count > 0 && !schema_has(&t->columns, c))
            pair_fail(p, OPTION_output_partition_by, "'%.60s' is not among columns", c->name);
        else if (!schema_has(&t->add, c) && t->fields.count > 0 && !schema_has(&t->fields, c))
            pair_fail(p, OPTION_output_partition_by, "'%.60s' is not among fields", c->name);
        else if (!schema_has(&t->add, c) && schema_has(&t->drop, c))
            pair_fail(p, OPTION_output_partition_by, "'%.60s' stands in drop_fields; partition "
                      "columns leave the data anyway", c->name);
    }
    if (declared > 0 && declared == t->columns.count)
        pair_fail(p, OPTION_output_partition_by, "it takes all columns; none is left to be "
                  "written");
    if (t->partitions.count == 0 || prefix_inspect(p->stream->prefix, false, &traits, NULL) < 0)
        return;
    if (!traits.folder)
        checker_fail(p->k, p->stream_section, "prefix", "folders of partition_by follow it: it "
                     "must end in a slash");
    else if (traits.bytes_max > PREFIX_PARTITIONED_BYTES_MAX)
        checker_fail(p->k, p->stream_section, "prefix", "may come out longer than %d bytes, which "
                     "leaves no room for the folders of partition_by",
                     PREFIX_PARTITIONED_BYTES_MAX);
}

/* What a sink that takes records, or an http sink, can be given. */
static void check_records(const struct pair *p)
{
    const struct output_config *o = p->output;
    bool http = p->sink->type == CONFIG_SINK_HTTP;

    if (o->format != CONFIG_FORMAT_JSON && o->format != CONFIG_FORMAT_RAW)
        pair_fail(p, OPTION_output_format, "sink '%s' sends each event as a record, which is json "
                  "or raw; set one of them in [sink %s]", p->sink->name, p->sink->name);
    if (o->compression == CONFIG_COMPRESSION_NONE)
        return;
    if (!http)
        pair_fail(p, OPTION_output_compression, "what a delivery stream is given it stores: its "
                  "records are not compressed; set compression = none in [sink %s]", p->sink->name);
    else if (o->compression != CONFIG_COMPRESSION_GZIP)
        pair_fail(p, OPTION_output_compression, "requests of protocol = firehose are compressed by "
                  "gzip or not at all; set compression in [sink %s]", p->sink->name);
    else if (!config_is_set(&p->sink->set, OPTION_output_compression))
        pair_fail(p, OPTION_output_compression, "sink '%s' compresses requests, for all streams "
                  "alike; set compression = gzip or none in [sink %s]", p->sink->name,
                  p->sink->name);
}

static void check_body(const struct pair *p)
{
    const struct output_config *o = p->output;

    if (p->sink->web.body != CONFIG_BODY_RAW && o->format != CONFIG_FORMAT_JSON)
        pair_fail(p, OPTION_output_format, "sink '%s' has body = %s, which is JSON; set format = "
                  "json in [sink %s], or body = raw, which sends the file that format makes",
                  p->sink->name, p->sink->web.body == CONFIG_BODY_ARRAY ? "array" : "ndjson",
                  p->sink->name);
    if (o->format != CONFIG_FORMAT_PARQUET
        && (o->compression == CONFIG_COMPRESSION_SNAPPY
            || o->compression == CONFIG_COMPRESSION_LZ4))
        pair_fail(p, OPTION_output_compression, "HTTP has no name for %s; use gzip, zstd or none "
                  "in [sink %s]", config_compression_name(o->compression), p->sink->name);
}

/* Packed events are told apart by what ends each. */
static void check_service(const struct pair *p)
{
    if (p->sink->type == CONFIG_SINK_HTTP && p->sink->web.protocol == CONFIG_PROTOCOL_PLAIN)
        check_body(p);
    else if (p->sink->type == CONFIG_SINK_HTTP || p->sink->type == CONFIG_SINK_FIREHOSE)
        check_records(p);
    if (p->sink->type == CONFIG_SINK_FIREHOSE && p->sink->firehose.pack
        && p->output->format == CONFIG_FORMAT_RAW && p->output->delimiter[0] == '\0')
        pair_fail(p, OPTION_output_delimiter, "with pack_records events could not be told apart; "
                  "set a delimiter in [sink %s], or leave pack_records out", p->sink->name);
}

static struct pair pair_make(const struct checker *k, const struct stream_config *stream,
                             const struct sink_config *sink, const struct output_config *output)
{
    struct pair p = { .k = k, .stream = stream, .sink = sink, .output = output };

    (void)snprintf(p.stream_section, sizeof(p.stream_section), "stream %s", stream->name);
    (void)snprintf(p.sink_section, sizeof(p.sink_section), "sink %s", sink->name);
    return p;
}

void checker_output(const struct checker *k, const struct stream_config *stream,
                    const struct sink_config *sink, const struct output_config *output)
{
    const struct pair p = pair_make(k, stream, sink, output);
    struct texts t;

    check_compression(&p);
    check_service(&p);
    if (texts_read(&p, &t)) {
        check_raw(&p, &t);
        check_fields(&p, &t);
        check_partitions(&p, &t);
    }
    texts_fini(&t);
}

void checker_sink_output(const struct checker *k, const struct sink_config *sink)
{
    const struct stream_config *stream = &k->config->stream_default;
    struct output_config output;
    struct texts t;

    if (config_resolve_output(stream, sink, &output, NULL) == 0) {
        const struct pair p = pair_make(k, stream, sink, &output);

        (void)texts_read(&p, &t);
        texts_fini(&t);
    }
}
