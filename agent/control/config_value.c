/*
 * config_value: what stands behind `KEY =`: comments cut, quotes, escapes and ${NAME} resolved.
 * Owns:   nothing.
 * Thread: any; reads the environment.
 */
#include "control/config_value.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The raw text still to be read, and where its value goes. */
struct decoder {
    const char *at;
    const char *end;
    size_t len_max;
    struct bytes *value;
    struct errmsg *err;
};

static bool decoder_is_space(char c)
{
    return c == ' ' || c == '\t';
}

static int decoder_put(struct decoder *d, const char *data, size_t len)
{
    if (len > d->len_max || d->value->len > d->len_max - len)
        return errmsg_set(d->err, -EINVAL, "the value is longer than %zu bytes", d->len_max);
    if (bytes_append(d->value, data, len) < 0)
        return errmsg_set(d->err, -ENOMEM, "out of memory");
    return 0;
}

static bool name_char(char c, bool first)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
           (!first && c >= '0' && c <= '9');
}

/* At "${": replaces ${NAME}. */
static int decoder_variable(struct decoder *d)
{
    char name[128];
    const char *start = d->at + 2;
    const char *at = start;
    const char *value;

    while (at < d->end && name_char(*at, at == start))
        at++;
    if (at == start || at == d->end || *at != '}' || (size_t)(at - start) >= sizeof(name))
        return errmsg_set(d->err, -EINVAL,
                          "'${' begins a variable ${NAME}; put the value into '...' to keep it");
    memcpy(name, start, (size_t)(at - start));
    name[at - start] = '\0';
    value = getenv(name);
    if (value == NULL)
        return errmsg_set(d->err, -EINVAL, "environment variable %s is not set", name);
    for (const char *c = value; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return errmsg_set(d->err, -EINVAL,
                              "environment variable %s holds a control character", name);
    d->at = at + 1;
    return decoder_put(d, value, strlen(value));
}

/* At a backslash inside "...". */
static int decoder_escape(struct decoder *d)
{
    static const char names[] = "ntr\\\"$";
    static const char chars[] = "\n\t\r\\\"$";
    const char *known = d->at + 1 < d->end ? memchr(names, d->at[1], sizeof(names) - 1) : NULL;

    if (known == NULL)
        return errmsg_set(d->err, -EINVAL,
                          "a backslash in \"...\" must be followed by one of n t r \\ \" $");
    d->at += 2;
    return decoder_put(d, &chars[known - names], 1);
}

static int decoder_quoted(struct decoder *d, char quote)
{
    d->at++;
    while (d->at < d->end && *d->at != quote) {
        int r;

        if (quote == '"' && *d->at == '\\') {
            r = decoder_escape(d);
        } else if (quote == '"' && d->end - d->at > 1 && d->at[0] == '$' && d->at[1] == '{') {
            r = decoder_variable(d);
        } else {
            r = decoder_put(d, d->at, 1);
            d->at++;
        }
        if (r < 0)
            return r;
    }
    if (d->at == d->end)
        return errmsg_set(d->err, -EINVAL, "the closing %c is missing", quote);
    d->at++;
    while (d->at < d->end && decoder_is_space(*d->at))
        d->at++;
    if (d->at < d->end && (*d->at != ';' || !decoder_is_space(d->at[-1])))
        return errmsg_set(d->err, -EINVAL,
                          "only a comment may follow the closing %c, as in \"x\" ; comment", quote);
    return 0;
}

static int decoder_plain(struct decoder *d)
{
    const char *end = d->at;

    while (end < d->end && !(*end == ';' && end > d->at && decoder_is_space(end[-1])))
        end++;
    while (end > d->at && decoder_is_space(end[-1]))
        end--;
    d->end = end;
    while (d->at < d->end) {
        int r;

        if (d->end - d->at > 1 && d->at[0] == '$' && d->at[1] == '{') {
            r = decoder_variable(d);
        } else {
            r = decoder_put(d, d->at, 1);
            d->at++;
        }
        if (r < 0)
            return r;
    }
    return 0;
}

int config_value_decode(const char *raw, size_t len, size_t len_max, struct bytes *value,
                        bool *ret_quoted, struct errmsg *err)
{
    struct decoder d = { raw, raw + len, len_max, value, err };
    bool spaced;

    for (size_t i = 0; i < len; i++)
        if (((unsigned char)raw[i] < 0x20 && raw[i] != '\t') || raw[i] == 0x7f)
            return errmsg_set(err, -EINVAL, "the value holds a control character");
    while (d.at < d.end && decoder_is_space(*d.at))
        d.at++;
    spaced = d.at > raw;
    *ret_quoted = d.at < d.end && (*d.at == '"' || *d.at == '\'');
    if (*ret_quoted)
        return decoder_quoted(&d, *d.at);
    if (d.at < d.end && *d.at == ';' && spaced)
        return 0; /* KEY =   ; comment */
    return decoder_plain(&d);
}
