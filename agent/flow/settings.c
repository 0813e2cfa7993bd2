/*
 * settings: a stream's settings to bytes and back.
 *
 *   u8 version (1), u16 outputs, then for each output: str format, prefix, delimiter; u8 epoch_name
 *   (0 or 1); u32 file_mode; u64 count, bytes, time; u16 targets, then for each: u8 type, u8 flat
 *   (0 or 1), str sink, directory. str = u32 length and its bytes, no NUL but in a delimiter.
 *
 * Owns:   what a parsed struct points to.
 * Thread: any.
 */
#include "flow/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SETTINGS_VERSION = 1, SETTINGS_STR_MAX = 4096 };

/* What could not be read back is not written: the log would be unreadable from here on. */
static int put_str(struct bytes *out, const void *data, size_t len)
{
    uint32_t n = (uint32_t)len;
    int err = len > SETTINGS_STR_MAX ? -ENAMETOOLONG : bytes_append(out, &n, sizeof(n));

    return err || n == 0 ? err : bytes_append(out, data, len);
}

static int put_output(struct bytes *out, const struct output_settings *o)
{
    uint8_t epoch_name = o->epoch_name;
    int err = put_str(out, o->format, strlen(o->format));

    if (!err)
        err = put_str(out, o->prefix, strlen(o->prefix));
    if (!err)
        err = put_str(out, o->delimiter, o->delimiter_len);
    if (!err)
        err = bytes_append(out, &epoch_name, sizeof(epoch_name));
    if (!err)
        err = bytes_append(out, &o->file_mode, sizeof(o->file_mode));
    if (!err)
        err = bytes_append(out, &o->buffer_count, sizeof(o->buffer_count));
    if (!err)
        err = bytes_append(out, &o->buffer_bytes, sizeof(o->buffer_bytes));
    if (!err)
        err = bytes_append(out, &o->buffer_time_ns, sizeof(o->buffer_time_ns));
    if (!err)
        err = bytes_append(out, &o->targets, sizeof(o->targets));
    for (uint16_t i = 0; !err && i < o->targets; i++) {
        uint8_t flags[2] = {o->target[i].type, o->target[i].flat};

        err = bytes_append(out, flags, sizeof(flags));
        if (!err)
            err = put_str(out, o->target[i].sink, strlen(o->target[i].sink));
        if (!err)
            err = put_str(out, o->target[i].directory, strlen(o->target[i].directory));
    }
    return err;
}

int stream_settings_format(const struct stream_settings *set, struct bytes *out)
{
    uint8_t version = SETTINGS_VERSION;
    int err = bytes_append(out, &version, sizeof(version));

    if (!err)
        err = bytes_append(out, &set->outputs, sizeof(set->outputs));
    for (uint16_t i = 0; !err && i < set->outputs; i++)
        err = put_output(out, &set->output[i]);
    return err;
}

struct reader {
    const uint8_t *at, *end;
    int err;
};

static void get(struct reader *r, void *ret, size_t len)
{
    if (r->err || (size_t)(r->end - r->at) < len) {
        r->err = r->err ? r->err : -EBADMSG;
        memset(ret, 0, len);
        return;
    }
    memcpy(ret, r->at, len);
    r->at += len;
}

/* 0 or 1 and nothing else, so that equal settings have equal bytes. */
static bool get_bool(struct reader *r)
{
    uint8_t value;

    get(r, &value, sizeof(value));
    if (value > 1)
        r->err = -EBADMSG;
    return value == 1;
}

/* NUL-terminated copy; of bytes that hold NULs themselves when their length is asked for. */
static char *get_str(struct reader *r, uint32_t *ret_len)
{
    uint32_t len;
    char *s;

    get(r, &len, sizeof(len));
    if (r->err)
        return NULL;
    if (len > SETTINGS_STR_MAX || (size_t)(r->end - r->at) < len
        || (!ret_len && memchr(r->at, '\0', len))) {
        r->err = -EBADMSG;
        return NULL;
    }
    s = malloc(len + 1U);
    if (!s) {
        r->err = -ENOMEM;
        return NULL;
    }
    memcpy(s, r->at, len);
    s[len] = '\0';
    r->at += len;
    if (ret_len)
        *ret_len = len;
    return s;
}

static void get_output(struct reader *r, struct output_settings *o)
{
    o->format = get_str(r, NULL);
    o->prefix = get_str(r, NULL);
    o->delimiter = (uint8_t *)get_str(r, &o->delimiter_len);
    o->epoch_name = get_bool(r);
    get(r, &o->file_mode, sizeof(o->file_mode));
    get(r, &o->buffer_count, sizeof(o->buffer_count));
    get(r, &o->buffer_bytes, sizeof(o->buffer_bytes));
    get(r, &o->buffer_time_ns, sizeof(o->buffer_time_ns));
    get(r, &o->targets, sizeof(o->targets));
    if (!r->err && (o->targets == 0 || o->targets > WAL_TARGETS_MAX))
        r->err = -EBADMSG;
    if (r->err)
        o->targets = 0;
    for (uint16_t i = 0; i < o->targets; i++) {
        get(r, &o->target[i].type, sizeof(o->target[i].type));
        o->target[i].flat = get_bool(r);
        o->target[i].sink = get_str(r, NULL);
        o->target[i].directory = get_str(r, NULL);
        if (!r->err && o->target[i].type != TARGET_FILE)
            r->err = -EBADMSG;
    }
}

int stream_settings_parse(const void *data, size_t len, struct stream_settings *ret_set)
{
    struct reader r = {.at = data, .end = (const uint8_t *)data + len};
    uint8_t version;

    memset(ret_set, 0, sizeof(*ret_set));
    get(&r, &version, sizeof(version));
    get(&r, &ret_set->outputs, sizeof(ret_set->outputs));
    if (!r.err
        && (version != SETTINGS_VERSION || ret_set->outputs == 0
            || ret_set->outputs > WAL_OUTPUTS_MAX))
        r.err = -EBADMSG;
    if (r.err)
        ret_set->outputs = 0;
    for (uint16_t i = 0; !r.err && i < ret_set->outputs; i++)
        get_output(&r, &ret_set->output[i]);
    if (!r.err && r.at != r.end)
        r.err = -EBADMSG;
    if (r.err)
        stream_settings_fini(ret_set);
    return r.err;
}

void stream_settings_fini(struct stream_settings *set)
{
    for (int i = 0; i < WAL_OUTPUTS_MAX; i++) {
        struct output_settings *o = &set->output[i];

        free(o->format);
        free(o->prefix);
        free(o->delimiter);
        for (int t = 0; t < WAL_TARGETS_MAX; t++) {
            free(o->target[t].sink);
            free(o->target[t].directory);
        }
    }
    memset(set, 0, sizeof(*set));
}
