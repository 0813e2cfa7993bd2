/*
 * column_text: lists of names to schemas, and schemas back to text.
 *
 * Owns:   nothing.
 * Thread: any.
 */
#include "encode/column_text.h"

#include <errno.h>
#include <string.h>

#include "encode/json_check.h"

const char *column_text_blanks(const char *at)
{
    return at + strspn(at, " \t");
}

int column_text_name(const char **at, struct schema *names, struct errmsg *err)
{
    char name[COLUMN_NAME_BYTES_MAX + 1];
    const char *from = *at;
    size_t len;
    int e;

    if (column_name_read(at, name, &len))
        return errmsg_set(err, -EINVAL, "a name is expected at '%.20s'", from);
    if (!json_check_utf8((const uint8_t *)name, len))
        return errmsg_set(err, -EINVAL, "name %u is not UTF-8", names->count + 1);
    e = schema_add(names, name, len, COLUMN_STRING);
    if (e == -EEXIST)
        return errmsg_set(err, -EINVAL, "'%s' stands there twice", name);
    if (e == -ENOSPC)
        return errmsg_set(err, -EINVAL, "more than %d names", SCHEMA_COLUMNS_MAX);
    return e ? errmsg_set(err, e, "no memory") : 0;
}

int column_text_comma(const char **at, struct errmsg *err)
{
    *at = column_text_blanks(*at);
    if (**at != ',')
        return **at == '\0' ? 0 : errmsg_set(err, -EINVAL, "a comma is expected at '%.20s'", *at);
    *at = column_text_blanks(*at + 1);
    return **at != '\0' ? 0 : errmsg_set(err, -EINVAL, "nothing follows the last comma");
}

int column_text_names(const char *text, struct schema *ret_names, struct errmsg *err)
{
    const char *at = column_text_blanks(text ? text : "");
    int e = 0;

    schema_init(ret_names);
    while (!e && *at != '\0') {
        e = column_text_name(&at, ret_names, err);
        if (!e)
            e = column_text_comma(&at, err);
    }
    if (e)
        schema_fini(ret_names);
    return e;
}

/* Bare where it reads back as it is. */
static int put_name(const struct column *c, struct bytes *out)
{
    char again[COLUMN_NAME_BYTES_MAX + 1];
    const char *at = c->name;
    size_t len;
    int e;

    if (c->name[0] != '"' && column_name_read(&at, again, &len) == 0 && len == c->name_len)
        return bytes_append(out, c->name, c->name_len);
    e = bytes_append_char(out, '"');
    for (uint32_t i = 0; !e && i < c->name_len; i++) {
        if (c->name[i] == '"')
            e = bytes_append_char(out, '"');
        if (!e)
            e = bytes_append_char(out, c->name[i]);
    }
    return e ? e : bytes_append_char(out, '"');
}

static int put_all(const struct schema *s, bool types, struct bytes *out)
{
    int e = 0;

    for (uint32_t i = 0; !e && i < s->count; i++) {
        if (i > 0)
            e = bytes_append_char(out, ',');
        if (!e)
            e = put_name(&s->columns[i], out);
        if (!e && types)
            e = bytes_printf(out, " %s",
                             column_type_name((enum column_type)s->columns[i].type));
    }
    return e;
}

int column_text_put_names(const struct schema *names, struct bytes *out)
{
    return put_all(names, false, out);
}

int column_text_put_columns(const struct schema *columns, struct bytes *out)
{
    return put_all(columns, true, out);
}
