/*
 * schema: the columns of a table, found by name, from text and from bytes.
 *
 *   bytes: u16 columns, u16 hidden, then for each: u8 type, u8 zero, u16 length of the name, name
 *
 * Owns:   the columns and their names.
 * Thread: any one at a time.
 */
#include "encode/schema.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "encode/json_check.h"

static const char *const type_names[COLUMN_TYPE_COUNT] = {
    [COLUMN_BOOL] = "bool",     [COLUMN_I32] = "i32",       [COLUMN_I64] = "i64",
    [COLUMN_U64] = "u64",       [COLUMN_F32] = "f32",       [COLUMN_F64] = "f64",
    [COLUMN_STRING] = "string", [COLUMN_BYTES] = "bytes",   [COLUMN_TIMESTAMP] = "timestamp",
};

const char *column_type_name(enum column_type type)
{
    return type_names[type];
}

void schema_init(struct schema *s)
{
    memset(s, 0, sizeof(*s));
}

void schema_fini(struct schema *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        free(s->columns[i].name);
    free(s->columns);
    free(s->hash);
    schema_init(s);
}

/* FNV-1a: names are short, and few. */
static uint32_t name_hash(const char *name, size_t len)
{
    uint32_t h = 2166136261U;

    for (size_t i = 0; i < len; i++)
        h = (h ^ (uint8_t)name[i]) * 16777619U;
    return h ^ h >> 15;
}

static void hash_put(struct schema *s, uint32_t index)
{
    const struct column *c = &s->columns[index];
    uint32_t at = name_hash(c->name, c->name_len);

    while (s->hash[at & s->hash_mask] != 0)
        at++;
    s->hash[at & s->hash_mask] = index + 1;
}

static int schema_grow(struct schema *s)
{
    uint32_t cap = s->cap == 0 ? 16 : s->cap * 2;
    uint32_t *hash = calloc((size_t)cap * 2, sizeof(*hash));
    struct column *columns = realloc(s->columns, cap * sizeof(*columns));

    if (columns)
        s->columns = columns;
    if (!hash || !columns) {
        free(hash);
        return -ENOMEM;
    }
    free(s->hash);
    s->hash = hash;
    s->hash_mask = cap * 2 - 1;
    s->cap = cap;
    for (uint32_t i = 0; i < s->count; i++)
        hash_put(s, i);
    return 0;
}

int schema_add(struct schema *s, const char *name, size_t len, enum column_type type)
{
    char *copy;

    if (len > COLUMN_NAME_BYTES_MAX)
        return -ENAMETOOLONG;
    if (schema_find(s, name, len) >= 0)
        return -EEXIST;
    if (s->count == SCHEMA_COLUMNS_MAX)
        return -ENOSPC;
    if (s->count == s->cap && schema_grow(s))
        return -ENOMEM;
    copy = malloc(len + 1);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, name, len);
    copy[len] = '\0';
    s->columns[s->count] = (struct column){copy, (uint32_t)len, (uint8_t)type};
    hash_put(s, s->count++);
    return 0;
}

int schema_find(const struct schema *s, const char *name, size_t len)
{
    uint32_t at, found;

    if (s->count == 0)
        return -1;
    for (at = name_hash(name, len); (found = s->hash[at & s->hash_mask]) != 0; at++) {
        const struct column *c = &s->columns[found - 1];

        if (c->name_len == len && memcmp(c->name, name, len) == 0)
            return (int)(found - 1);
    }
    return -1;
}

int schema_copy(const struct schema *from, struct schema *ret_to)
{
    schema_init(ret_to);
    for (uint32_t i = 0; i < from->count; i++) {
        const struct column *c = &from->columns[i];

        if (schema_add(ret_to, c->name, c->name_len, (enum column_type)c->type)) {
            schema_fini(ret_to);
            return -ENOMEM;
        }
    }
    ret_to->hidden = from->hidden;
    return 0;
}

/* --- as text -------------------------------------------------------------------------------- */

static const char *skip_space(const char *at)
{
    return at + strspn(at, " \t");
}

static bool name_plain(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'
           || c == '.' || c == '-';
}

int column_name_read(const char **at, char ret_name[COLUMN_NAME_BYTES_MAX + 1], size_t *ret_len)
{
    const char *p = *at;
    bool quoted = *p == '"', closed = !quoted;
    size_t len = 0;

    for (p += quoted; quoted ? *p != '\0' : name_plain(*p); p++) {
        closed = quoted && *p == '"' && *++p != '"';
        if (closed)
            break;
        if (len == COLUMN_NAME_BYTES_MAX)
            return -ENAMETOOLONG;
        ret_name[len++] = *p;
    }
    if (len == 0 || (quoted && !closed))
        return -EINVAL;
    ret_name[len] = '\0';
    *at = p;
    *ret_len = len;
    return 0;
}

static enum column_type type_read(const char **at)
{
    size_t len = strspn(*at, "abcdefghijklmnopqrstuvwxyz0123456789");

    for (int type = COLUMN_BOOL; type < COLUMN_TYPE_COUNT; type++)
        if (strlen(type_names[type]) == len && memcmp(type_names[type], *at, len) == 0) {
            *at += len;
            return (enum column_type)type;
        }
    return COLUMN_TYPE_COUNT;
}

static int column_read(const char **at, struct schema *s, struct errmsg *err)
{
    char name[COLUMN_NAME_BYTES_MAX + 1];
    const char *from = *at;
    enum column_type type;
    size_t len;
    int e;

    if (column_name_read(at, name, &len))
        return errmsg_set(err, -EINVAL, "column %u: a name is expected at '%.20s'", s->count + 1,
                          from);
    if (!json_check_utf8((const uint8_t *)name, len))
        return errmsg_set(err, -EINVAL, "column %u: its name is not UTF-8", s->count + 1);
    *at = skip_space(*at);
    type = type_read(at);
    if (type == COLUMN_TYPE_COUNT)
        return errmsg_set(err, -EINVAL, "column '%s': '%.20s' is no type; there are bool, i32, "
                          "i64, u64, f32, f64, string, bytes, timestamp", name, *at);
    e = schema_add(s, name, len, type);
    if (e == -EEXIST)
        return errmsg_set(err, -EINVAL, "column '%s' stands there twice", name);
    if (e == -ENOSPC)
        return errmsg_set(err, -EINVAL, "more than %d columns", SCHEMA_COLUMNS_MAX);
    return e ? errmsg_set(err, e, "column '%s': no memory", name) : 0;
}

int schema_parse(const char *text, struct schema *ret_schema, struct errmsg *err)
{
    const char *at = skip_space(text);
    struct schema s;
    int e = 0;

    schema_init(&s);
    while (!e && *at != '\0') {
        e = column_read(&at, &s, err);
        if (e)
            break;
        at = skip_space(at);
        if (*at == ',')
            at = skip_space(at + 1);
        else if (*at != '\0')
            e = errmsg_set(err, -EINVAL, "a comma is expected at '%.20s'", at);
    }
    if (e)
        schema_fini(&s);
    *ret_schema = s;
    return e;
}

/* --- as bytes ------------------------------------------------------------------------------- */

enum { COLUMN_HEAD_BYTES = 4 };

int schema_format(const struct schema *s, struct bytes *out)
{
    size_t before = out->len;
    uint8_t head[4];
    int e;

    bytes_put_u16(head, (uint16_t)s->count);
    bytes_put_u16(head + 2, (uint16_t)s->hidden);
    e = bytes_append(out, head, sizeof(head));
    for (uint32_t i = 0; !e && i < s->count; i++) {
        const struct column *c = &s->columns[i];

        head[0] = c->type;
        head[1] = 0;
        bytes_put_u16(head + 2, (uint16_t)c->name_len);
        e = bytes_append(out, head, sizeof(head));
        if (!e)
            e = bytes_append(out, c->name, c->name_len);
    }
    if (e)
        out->len = before;
    return e;
}

int schema_read(const void *data, size_t len, struct schema *ret_schema)
{
    const uint8_t *at = data, *end = at + len;
    uint32_t count, hidden;
    struct schema s;

    schema_init(ret_schema);
    if (len < 4)
        return -EBADMSG;
    count = bytes_get_u16(at);
    hidden = bytes_get_u16(at + 2);
    at += 4;
    if (count > SCHEMA_COLUMNS_MAX || hidden > count)
        return -EBADMSG;
    schema_init(&s);
    for (uint32_t i = 0; i < count; i++) {
        size_t name = (size_t)(end - at) >= COLUMN_HEAD_BYTES ? bytes_get_u16(at + 2) : 0;
        int e = -EBADMSG;

        if (name > 0 && (size_t)(end - at) - COLUMN_HEAD_BYTES >= name && at[1] == 0 && at[0] > 0
            && at[0] < COLUMN_TYPE_COUNT && !memchr(at + COLUMN_HEAD_BYTES, 0, name)
            && json_check_utf8(at + COLUMN_HEAD_BYTES, name))
            e = schema_add(&s, (const char *)at + COLUMN_HEAD_BYTES, name,
                           (enum column_type)at[0]);
        if (e) {
            schema_fini(&s);
            return e == -ENOMEM ? e : -EBADMSG;
        }
        at += COLUMN_HEAD_BYTES + name;
    }
    if (at != end) {
        schema_fini(&s);
        return -EBADMSG;
    }
    s.hidden = hidden;
    *ret_schema = s;
    return 0;
}
