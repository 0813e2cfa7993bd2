/*
 * settings: a stream's settings to bytes and back, by one walk over the fields for both.
 *
 *   u8 version (4), u16 outputs, then for each output:
 *     str format, prefix, delimiter; u8 epoch_name (0 or 1); u32 file_mode; u64 count, bytes, time;
 *     str error_prefix, columns, fields, drop_fields, add_fields, partition_by; u8 event_clock,
 *     validate, partition_missing_error (each 0 or 1), compression, compression_level, framing;
 *     u32 partitions_max; u64 infer_bytes, row_group_bytes; u8 together (0 or 1);
 *     u16 targets, then for each: u8 type, u8 flat (0 or 1), str sink, directory;
 *     u16 error_targets, and each of them likewise.
 *   str = u32 length and its bytes, no NUL but in a delimiter.
 *
 * Logs of earlier agents hold versions 1, which has neither the fields from error_prefix to
 * row_group_bytes nor error targets, 2, which has no framing, and 3, which has no together.
 *
 * Owns:   what a parsed struct points to.
 * Thread: any.
 */
#include "flow/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SETTINGS_VERSION = 4 };

struct codec {
    struct bytes *out;          /* NULL: it reads */
    const uint8_t *at, *end;
    uint8_t version;
    int err;
};

static void fail(struct codec *c, int err)
{
    if (!c->err)
        c->err = err;
}

static void code_raw(struct codec *c, void *value, size_t len)
{
    if (c->out) {
        if (!c->err)
            c->err = bytes_append(c->out, value, len);
        return;
    }
    if (c->err || (size_t)(c->end - c->at) < len) {
        fail(c, -EBADMSG);
        memset(value, 0, len);
        return;
    }
    memcpy(value, c->at, len);
    c->at += len;
}

/* 0 or 1 and nothing else, so that equal settings have equal bytes. */
static void code_bool(struct codec *c, bool *flag)
{
    uint8_t value = c->out ? *flag : 0;

    code_raw(c, &value, sizeof(value));
    if (value > 1)
        fail(c, -EBADMSG);
    if (!c->out)
        *flag = value == 1;
}

/* What could not be read back is not written: the log would be unreadable from here on. */
static void write_blob(struct codec *c, const void *data, size_t len, size_t len_max)
{
    uint32_t n = (uint32_t)len;

    if (len > len_max)
        fail(c, -ENAMETOOLONG);
    code_raw(c, &n, sizeof(n));
    if (!c->err && len > 0)
        c->err = bytes_append(c->out, data, len);
}

/* NUL-terminated copy. */
static void *read_blob(struct codec *c, bool nul_ok, size_t len_max, uint32_t *ret_len)
{
    char *copy;
    uint32_t len;

    *ret_len = 0;
    code_raw(c, &len, sizeof(len));
    if (!c->err && (len > len_max || (size_t)(c->end - c->at) < len
                    || (!nul_ok && memchr(c->at, '\0', len))))
        c->err = -EBADMSG;
    if (c->err)
        return NULL;
    copy = malloc(len + 1U);
    if (!copy) {
        c->err = -ENOMEM;
        return NULL;
    }
    memcpy(copy, c->at, len);
    copy[len] = '\0';
    c->at += len;
    *ret_len = len;
    return copy;
}

static void code_str(struct codec *c, char **text, size_t len_max)
{
    uint32_t len;

    if (c->out)
        write_blob(c, *text, *text ? strlen(*text) : 0, len_max);
    else
        *text = read_blob(c, false, len_max, &len);
}

static void code_delimiter(struct codec *c, struct output_settings *o)
{
    if (c->out)
        write_blob(c, o->delimiter, o->delimiter_len, SETTINGS_STR_MAX);
    else
        o->delimiter = read_blob(c, true, SETTINGS_STR_MAX, &o->delimiter_len);
}

static void code_encoding(struct codec *c, struct output_settings *o)
{
    code_str(c, &o->error_prefix, SETTINGS_STR_MAX);
    code_str(c, &o->columns, SETTINGS_TEXT_MAX);
    code_str(c, &o->fields, SETTINGS_TEXT_MAX);
    code_str(c, &o->drop_fields, SETTINGS_TEXT_MAX);
    code_str(c, &o->add_fields, SETTINGS_TEXT_MAX);
    code_str(c, &o->partition_by, SETTINGS_STR_MAX);
    code_bool(c, &o->event_clock);
    code_bool(c, &o->validate);
    code_bool(c, &o->partition_missing_error);
    code_raw(c, &o->compression, sizeof(o->compression));
    code_raw(c, &o->compression_level, sizeof(o->compression_level));
    if (c->version > 2)
        code_raw(c, &o->framing, sizeof(o->framing));
    code_raw(c, &o->partitions_max, sizeof(o->partitions_max));
    code_raw(c, &o->infer_bytes, sizeof(o->infer_bytes));
    code_raw(c, &o->row_group_bytes, sizeof(o->row_group_bytes));
    if (c->version > 3)
        code_bool(c, &o->together);
    if (o->compression >= SETTINGS_COMPRESSION_COUNT || o->framing >= SETTINGS_FRAMING_COUNT)
        fail(c, -EBADMSG);
}

/* What version 1 does not say, as it was then. */
static void old_encoding(struct codec *c, struct output_settings *o)
{
    char **texts[] = {&o->columns, &o->fields, &o->drop_fields, &o->add_fields, &o->partition_by};

    o->compression_level = -1;
    o->error_prefix = strdup(SETTINGS_ERROR_PREFIX);
    if (!o->error_prefix)
        fail(c, -ENOMEM);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        *texts[i] = calloc(1, 1);
        if (!*texts[i])
            fail(c, -ENOMEM);
    }
}

static void code_shared(struct codec *c, struct output_settings *o)
{
    code_str(c, &o->format, SETTINGS_STR_MAX);
    code_str(c, &o->prefix, SETTINGS_STR_MAX);
    code_delimiter(c, o);
    code_bool(c, &o->epoch_name);
    code_raw(c, &o->file_mode, sizeof(o->file_mode));
    code_raw(c, &o->buffer_count, sizeof(o->buffer_count));
    code_raw(c, &o->buffer_bytes, sizeof(o->buffer_bytes));
    code_raw(c, &o->buffer_time_ns, sizeof(o->buffer_time_ns));
    if (c->version > 1)
        code_encoding(c, o);
    else if (!c->err)
        old_encoding(c, o);
}

/* Targets are of the types below `end`. */
static void code_targets(struct codec *c, uint16_t *targets, struct target_settings *target,
                         enum target_type end)
{
    code_raw(c, targets, sizeof(*targets));
    if (!c->err && (*targets == 0 || *targets > WAL_TARGETS_MAX))
        c->err = -EBADMSG;
    if (c->err)
        *targets = 0;
    for (uint16_t i = 0; i < *targets; i++) {
        code_raw(c, &target[i].type, sizeof(target[i].type));
        code_bool(c, &target[i].flat);
        code_str(c, &target[i].sink, SETTINGS_STR_MAX);
        code_str(c, &target[i].directory, SETTINGS_STR_MAX);
        if (!c->err && (target[i].type < TARGET_FILE || target[i].type >= end))
            c->err = -EBADMSG;
    }
}

/* Version 1: errors go where the rest goes. */
static void old_error_targets(struct codec *c, struct output_settings *o)
{
    o->error_targets = o->targets;
    for (uint16_t i = 0; i < o->targets; i++) {
        struct target_settings *t = &o->error_target[i];

        *t = o->target[i];
        t->sink = strdup(t->sink);
        t->directory = strdup(t->directory);
        if (!t->sink || !t->directory)
            fail(c, -ENOMEM);
    }
}

static void code_output(struct codec *c, struct output_settings *o)
{
    code_shared(c, o);
    code_targets(c, &o->targets, o->target, TARGET_TYPE_END);
    if (c->version > 1)
        code_targets(c, &o->error_targets, o->error_target, TARGET_S3 + 1);
    else if (!c->err)
        old_error_targets(c, o);
}

int stream_settings_format(const struct stream_settings *set, struct bytes *out)
{
    struct codec c = {.out = out, .version = SETTINGS_VERSION};
    uint16_t outputs = set->outputs;
    size_t before = out->len;

    code_raw(&c, &c.version, sizeof(c.version));
    code_raw(&c, &outputs, sizeof(outputs));
    for (uint16_t i = 0; !c.err && i < outputs; i++) {
        struct output_settings o = set->output[i];      /* the walk is given what it may change */

        code_output(&c, &o);
    }
    if (!c.err && out->len - before > SETTINGS_BYTES_MAX)
        c.err = -E2BIG;
    return c.err;
}

int output_settings_format(const struct output_settings *o, struct bytes *out)
{
    struct codec c = {.out = out, .version = SETTINGS_VERSION};
    struct output_settings copy = *o;

    code_shared(&c, &copy);
    return c.err;
}

int stream_settings_parse(const void *data, size_t len, struct stream_settings *ret_set)
{
    struct codec c = {.at = data, .end = (const uint8_t *)data + len};

    memset(ret_set, 0, sizeof(*ret_set));
    code_raw(&c, &c.version, sizeof(c.version));
    code_raw(&c, &ret_set->outputs, sizeof(ret_set->outputs));
    if (!c.err
        && (c.version == 0 || c.version > SETTINGS_VERSION || ret_set->outputs == 0
            || ret_set->outputs > WAL_OUTPUTS_MAX
            || (c.version > 1 && len > SETTINGS_BYTES_MAX)))
        c.err = -EBADMSG;
    if (c.err)
        ret_set->outputs = 0;
    for (uint16_t i = 0; !c.err && i < ret_set->outputs; i++)
        code_output(&c, &ret_set->output[i]);
    if (!c.err && c.at != c.end)
        c.err = -EBADMSG;
    if (c.err)
        stream_settings_fini(ret_set);
    return c.err;
}

static void targets_fini(struct target_settings *target)
{
    for (int i = 0; i < WAL_TARGETS_MAX; i++) {
        free(target[i].sink);
        free(target[i].directory);
    }
}

void output_settings_fini(struct output_settings *o)
{
    free(o->format);
    free(o->prefix);
    free(o->error_prefix);
    free(o->delimiter);
    free(o->columns);
    free(o->fields);
    free(o->drop_fields);
    free(o->add_fields);
    free(o->partition_by);
    targets_fini(o->target);
    targets_fini(o->error_target);
    memset(o, 0, sizeof(*o));
}

void stream_settings_fini(struct stream_settings *set)
{
    for (int i = 0; i < WAL_OUTPUTS_MAX; i++)
        output_settings_fini(&set->output[i]);
    memset(set, 0, sizeof(*set));
}
