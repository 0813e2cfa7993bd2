/*
 * transform: reads the settings, and keeps the added fields up to date.
 *
 * A string is parts: literal text, in which host and stream are already put, and expressions. Each
 * value knows what it depends on; buffers have room for the longest that can come out.
 *
 * Owns:   struct transform.
 * Thread: any one at a time.
 * Units:  bytes; ns = nanoseconds since 1970, UTC.
 */
#include "encode/transform.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/invariant.h"
#include "encode/column_text.h"
#include "encode/json_check.h"
#include "encode/text.h"
#include "flow/object_name.h"
#include "shm_wire.h"

#define NS_PER_S  UINT64_C(1000000000)
#define NS_PER_US 1000U

enum { NEEDS_SECOND = 1, NEEDS_NS = 2, NEEDS_KIND = 4 };

enum part_type { PART_LITERAL, PART_TIMESTAMP, PART_TIME, PART_KIND };

enum { TIMESTAMP_BYTES_MAX = 512, PARTS_MAX = 64 };

static const char timestamp_open[] = "!{timestamp:";

struct part {
    enum part_type type;
    struct bytes text;          /* owned; PART_TIMESTAMP: the expression, with a NUL */
};

struct transform_value {
    struct part parts[PARTS_MAX];
    unsigned parts_count;
    unsigned needs;
    struct bytes text;          /* owned; what the cell shows */
    struct bytes member;        /* owned */
    size_t member_head;         /* of it, up to the value */
};

/* --- reading strings ------------------------------------------------------------------------ */

static struct part *part_add(struct transform_value *v, enum part_type type)
{
    struct part *last = v->parts_count > 0 ? &v->parts[v->parts_count - 1] : NULL;

    if (last != NULL && last->type == PART_LITERAL && type == PART_LITERAL)
        return last;
    if (v->parts_count == PARTS_MAX)
        return NULL;
    last = &v->parts[v->parts_count++];
    *last = (struct part){type, BYTES_INIT};
    return last;
}

static int literal_add(struct transform_value *v, const char *text, size_t len, struct errmsg *err)
{
    struct part *part = part_add(v, PART_LITERAL);

    if (part == NULL)
        return errmsg_set(err, -EINVAL, "more than %d pieces of text and expressions", PARTS_MAX);
    return bytes_append(&part->text, text, len)
               ? errmsg_set(err, -ENOMEM, "no memory")
               : 0;
}

/* Bytes of the expression at `at`, its braces included; 0: it has no end. */
static size_t expression_len(const char *at)
{
    bool quoted = false;

    for (const char *p = at; *p != '\0'; p++) {
        if (*p == '\'' && strncmp(at, timestamp_open, sizeof(timestamp_open) - 1) == 0)
            quoted = !quoted;
        else if (*p == '}' && !quoted)
            return (size_t)(p - at) + 1;
    }
    return 0;
}

/* What a pattern's letters depend on: S and n are fractions of a second. */
static unsigned pattern_needs(const char *at)
{
    bool quoted = false;

    for (; *at != '\0'; at++) {
        if (*at == '\'')
            quoted = !quoted;
        else if (!quoted && (*at == 'S' || *at == 'n'))
            return NEEDS_NS;
    }
    return NEEDS_SECOND;
}

static int timestamp_add(struct transform_value *v, const char *at, size_t len, struct errmsg *err)
{
    struct part *part = part_add(v, PART_TIMESTAMP);
    const char *expression;

    if (part == NULL)
        return errmsg_set(err, -EINVAL, "more than %d pieces of text and expressions", PARTS_MAX);
    for (size_t i = 0; i < len; i++)
        if ((uint8_t)at[i] < 0x20 || at[i] == 0x7f)
            return errmsg_set(err, -EINVAL, "control character in a timestamp pattern");
    if (bytes_append(&part->text, at, len) || (expression = bytes_cstr(&part->text)) == NULL)
        return errmsg_set(err, -ENOMEM, "no memory");
    v->needs |= pattern_needs(expression + sizeof(timestamp_open) - 1);
    if (prefix_check(expression, false, err)) {
        errmsg_prefix(err, "%.60s: ", expression);
        return -EINVAL;
    }
    return 0;
}

static bool expression_is(const char *at, size_t len, const char *name)
{
    return len == strlen(name) && memcmp(at, name, len) == 0;
}

static int expression_add(struct transform_value *v, const struct transform_settings *set,
                          const char *at, size_t len, struct errmsg *err)
{
    const char *host = set->host != NULL ? set->host : "";
    const char *stream = set->stream != NULL ? set->stream : "";
    enum part_type type;

    if (strncmp(at, timestamp_open, sizeof(timestamp_open) - 1) == 0)
        return timestamp_add(v, at, len, err);
    if (expression_is(at, len, "!{hydrant:host}"))
        return literal_add(v, host, strlen(host), err);
    if (expression_is(at, len, "!{hydrant:stream}"))
        return literal_add(v, stream, strlen(stream), err);
    if (expression_is(at, len, "!{hydrant:time}"))
        type = PART_TIME;
    else if (expression_is(at, len, "!{hydrant:kind}"))
        type = PART_KIND;
    else
        return errmsg_set(err, -EINVAL, "unknown expression %.*s; there are timestamp:PATTERN, "
                          "hydrant:time, hydrant:kind, hydrant:host, hydrant:stream",
                          (int)(len < 60 ? len : 60), at);
    v->needs |= type == PART_TIME ? NEEDS_NS : NEEDS_KIND;
    return part_add(v, type) != NULL ? 0
                                     : errmsg_set(err, -EINVAL, "more than %d pieces of text and "
                                                  "expressions", PARTS_MAX);
}

static int string_parse(struct transform_value *v, const struct transform_settings *set,
                        const char *at, struct errmsg *err)
{
    int e = 0;

    while (e == 0 && *at != '\0') {
        const char *next = strstr(at, "!{");
        size_t len = next != NULL ? (size_t)(next - at) : strlen(at);

        if (len > 0) {
            e = literal_add(v, at, len, err);
            at += len;
            continue;
        }
        len = expression_len(at);
        if (len == 0)
            return errmsg_set(err, -EINVAL, "'%.20s' has no '}'", at);
        e = expression_add(v, set, at, len, err);
        at += len;
    }
    return e;
}

/* --- reading constants ---------------------------------------------------------------------- */

static bool is_number(const char *text, size_t len, int *ret_error)
{
    struct json_checker *checker;
    bool number;

    if (text[0] != '-' && (text[0] < '0' || text[0] > '9'))
        return false;
    checker = json_checker_open(len);
    if (checker == NULL) {
        *ret_error = -ENOMEM;
        return false;
    }
    number = json_classify(checker, text, len) == JSON_CLASS_VALUE;
    json_checker_close(checker);
    return number;
}

static int number_parse(const char *text, struct cell *ret_cell, enum column_type *ret_type,
                        struct errmsg *err)
{
    char *end;

    errno = 0;
    if (strpbrk(text, ".eE") != NULL) {
        *ret_type = COLUMN_F64;
        *ret_cell = (struct cell){.type = CELL_F64, .u.f = strtod(text, &end)};
        return isfinite(ret_cell->u.f)
                   ? 0
                   : errmsg_set(err, -EINVAL, "%.40s is larger than numbers are", text);
    }
    *ret_type = COLUMN_I64;
    *ret_cell = (struct cell){.type = CELL_I64, .u.i = strtoll(text, &end, 10)};
    if (errno == 0)
        return 0;
    errno = 0;
    *ret_type = COLUMN_U64;
    *ret_cell = (struct cell){.type = CELL_U64, .u.u = strtoull(text, &end, 10)};
    if (errno == 0 && text[0] != '-')
        return 0;
    return errmsg_set(err, -EINVAL, "%.40s has more than 64 bits; in quotes it is a string", text);
}

/* Bare text that is no string: 1 and its cell; 0: it is one; -errno. */
static int constant_parse(const char *text, size_t len, struct cell *ret_cell,
                          enum column_type *ret_type, struct errmsg *err)
{
    int e = 0;

    *ret_type = COLUMN_STRING;
    *ret_cell = (struct cell){.type = CELL_NULL};
    if (strcmp(text, "null") == 0)
        return 1;
    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0) {
        *ret_type = COLUMN_BOOL;
        *ret_cell = (struct cell){.type = CELL_BOOL, .u.i = text[0] == 't'};
        return 1;
    }
    if (!is_number(text, len, &e))
        return e != 0 ? errmsg_set(err, e, "no memory") : 0;
    e = number_parse(text, ret_cell, ret_type, err);
    return e != 0 ? e : 1;
}

/* --- reading settings ----------------------------------------------------------------------- */

/* In quotes. Moves *at behind the closing one. */
static int quoted_read(const char **at, struct bytes *text, struct errmsg *err)
{
    const char *p = *at + 1;

    for (; *p != '"' || p[1] == '"'; p++) {
        if (*p == '\0')
            return errmsg_set(err, -EINVAL, "a quote without end at '%.20s'", *at);
        p += *p == '"';
        if (bytes_append_char(text, *p))
            return errmsg_set(err, -ENOMEM, "no memory");
    }
    *at = p + 1;
    return 0;
}

/* Bare: up to a comma that is in no expression, blanks at its end not included. */
static int bare_read(const char **at, struct bytes *text, struct errmsg *err)
{
    const char *p = *at, *end;

    while (*p != '\0' && *p != ',') {
        size_t len = p[0] == '!' && p[1] == '{' ? expression_len(p) : 1;

        if (*p == '"')
            return errmsg_set(err, -EINVAL, "a quote within bare text at '%.20s'", p);
        p += len > 0 ? len : 2;
    }
    end = p;
    while (end > *at && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    if (end == *at)
        return errmsg_set(err, -EINVAL, "a value is expected at '%.20s'", *at);
    if (bytes_append(text, *at, (size_t)(end - *at)))
        return errmsg_set(err, -ENOMEM, "no memory");
    *at = p;
    return 0;
}

static int value_read(const char **at, const struct transform_settings *set,
                      struct transform_value *v, struct cell *ret_cell, enum column_type *ret_type,
                      struct errmsg *err)
{
    bool quoted = **at == '"';
    int e = quoted ? quoted_read(at, &v->text, err) : bare_read(at, &v->text, err);
    const char *text = e == 0 ? bytes_cstr(&v->text) : NULL;

    if (e != 0)
        return e;
    if (text == NULL)
        return errmsg_set(err, -ENOMEM, "no memory");
    if (!json_check_utf8(v->text.data, v->text.len))
        return errmsg_set(err, -EINVAL, "its value is not UTF-8");
    e = quoted ? 0 : constant_parse(text, v->text.len, ret_cell, ret_type, err);
    if (e != 0)
        return e < 0 ? e : 0;
    *ret_type = COLUMN_STRING;
    *ret_cell = (struct cell){.type = CELL_STRING};
    return string_parse(v, set, text, err);
}

/* Buffers for the longest that can come out, and what never changes of the member. */
static int value_prepare(struct transform_value *v, const struct column *name,
                         const struct cell *cell)
{
    size_t most = 0;
    uint8_t *at;

    for (unsigned i = 0; i < v->parts_count; i++)
        most += v->parts[i].type == PART_LITERAL     ? v->parts[i].text.len
                : v->parts[i].type == PART_TIMESTAMP ? TIMESTAMP_BYTES_MAX + 1
                                                     : TEXT_SCALAR_BYTES + TEXT_SLACK;
    if (cell->type != CELL_STRING)
        most = v->text.len;
    if (bytes_reserve(&v->text, most + 1)
        || bytes_reserve(&v->member, ((size_t)name->name_len + most) * TEXT_ESCAPED_MAX + 8
                                         + TEXT_SLACK))
        return -ENOMEM;
    at = v->member.data;
    *at++ = '"';
    at = text_escaped(at, (const uint8_t *)name->name, name->name_len);
    *at++ = '"';
    *at++ = ':';
    v->member_head = v->member.len = (size_t)(at - v->member.data);
    /* A constant is written in JSON as it was here. */
    return cell->type == CELL_STRING ? 0 : bytes_append(&v->member, v->text.data, v->text.len);
}

/* Room for one more. */
static int add_grow(struct transform *t)
{
    size_t count = t->add.count + 1;
    struct cell *cells = realloc(t->cells, count * sizeof(*cells));
    struct transform_member *members;
    struct transform_value *values;

    t->cells = cells != NULL ? cells : t->cells;
    members = realloc(t->members, count * sizeof(*members));
    t->members = members != NULL ? members : t->members;
    values = realloc(t->values, count * sizeof(*values));
    t->values = values != NULL ? values : t->values;
    if (cells == NULL || members == NULL || values == NULL)
        return -ENOMEM;
    memset(&values[count - 1], 0, sizeof(*values));
    return 0;
}

static int add_parse_one(const char **at, const struct transform_settings *set,
                         struct transform *t, struct errmsg *err)
{
    enum column_type type = COLUMN_STRING;
    struct transform_value *v;
    struct column *column;
    struct cell *cell;
    int e;

    if (add_grow(t))
        return errmsg_set(err, -ENOMEM, "no memory");
    v = &t->values[t->add.count];
    cell = &t->cells[t->add.count];
    e = column_text_name(at, &t->add, err);
    if (e != 0)
        return e;
    column = &t->add.columns[t->add.count - 1];
    *at = column_text_blanks(*at);
    if (**at != '=')
        return errmsg_set(err, -EINVAL, "'%s': '=' is expected at '%.20s'", column->name, *at);
    *at = column_text_blanks(*at + 1);
    e = value_read(at, set, v, cell, &type, err);
    if (e == 0 && value_prepare(v, column, cell))
        e = errmsg_set(err, -ENOMEM, "no memory");
    if (e != 0) {
        errmsg_prefix(err, "'%s': ", column->name);
        return e;
    }
    column->type = (uint8_t)type;
    t->needs |= v->needs;
    return 0;
}

static int add_parse(const struct transform_settings *set, struct transform *t, struct errmsg *err)
{
    const char *at = column_text_blanks(set->add_fields != NULL ? set->add_fields : "");
    int e = 0;

    while (e == 0 && *at != '\0') {
        e = add_parse_one(&at, set, t, err);
        if (e == 0)
            e = column_text_comma(&at, err);
    }
    return e;
}

/* --- evaluating ----------------------------------------------------------------------------- */

static const char *kind_name(uint8_t kind)
{
    static const char *const names[SHM_KIND_COUNT] = {
        [SHM_KIND_NONE] = "none",   [SHM_KIND_JSON] = "json",     [SHM_KIND_TEXT] = "text",
        [SHM_KIND_BYTES] = "bytes", [SHM_KIND_RECORD] = "record",
    };

    return kind < SHM_KIND_COUNT ? names[kind] : names[SHM_KIND_NONE];
}

/* Appends; value_prepare() has made room. */
static void part_render(const struct part *part, uint64_t time_ns, uint8_t kind, struct bytes *text)
{
    const struct expression_values values = {.time_ns = time_ns, .random_string = ""};
    uint8_t *at = text->data + text->len;
    const char *name;

    switch (part->type) {
    case PART_LITERAL:
        memcpy(at, part->text.data, part->text.len);
        text->len += part->text.len;
        break;
    case PART_TIMESTAMP:
        /* What prefix_check() has passed can be rendered at any time. */
        INVARIANT(prefix_render((const char *)part->text.data, &values, (char *)at,
                                TIMESTAMP_BYTES_MAX + 1) == 0);
        text->len += strlen((const char *)at);
        break;
    case PART_TIME:
        text->len += (size_t)(text_timestamp(at, (int64_t)(time_ns / NS_PER_US)) - at);
        break;
    case PART_KIND:
        name = kind_name(kind);
        memcpy(at, name, strlen(name));
        text->len += strlen(name);
        break;
    }
}

static void value_render(struct transform *t, uint32_t index)
{
    struct transform_value *v = &t->values[index];
    struct cell *cell = &t->cells[index];
    uint8_t *at;

    if (cell->type == CELL_STRING) {
        v->text.len = 0;
        for (unsigned i = 0; i < v->parts_count; i++)
            part_render(&v->parts[i], t->time_ns, t->kind, &v->text);
        cell->u.s = v->text.data;
        cell->len = (uint32_t)v->text.len;
        at = v->member.data + v->member_head;
        *at++ = '"';
        at = text_escaped(at, v->text.data, v->text.len);
        *at++ = '"';
        v->member.len = (size_t)(at - v->member.data);
    }
    t->members[index] = (struct transform_member){v->member.data, v->member.len};
}

int transform_parse(const struct transform_settings *set, struct transform *ret_transform,
                    struct errmsg *err)
{
    struct transform *t = ret_transform;
    int e;

    *t = (struct transform){.kind = SHM_KIND_NONE};
    e = column_text_names(set->fields, &t->fields, err);
    if (e != 0) {
        errmsg_prefix(err, "fields: ");
    } else if ((e = column_text_names(set->drop_fields, &t->drop, err)) != 0) {
        errmsg_prefix(err, "drop_fields: ");
    } else if ((e = add_parse(set, t, err)) != 0) {
        errmsg_prefix(err, "add_fields: ");
    }
    if (e != 0) {
        transform_fini(t);
        return e;
    }
    for (uint32_t i = 0; i < t->add.count; i++)
        value_render(t, i);
    return 0;
}

void transform_fini(struct transform *t)
{
    for (uint32_t i = 0; i < t->add.count; i++) {
        struct transform_value *v = &t->values[i];

        for (unsigned p = 0; p < v->parts_count; p++)
            bytes_free(&v->parts[p].text);
        bytes_free(&v->text);
        bytes_free(&v->member);
    }
    free(t->cells);
    free(t->members);
    free(t->values);
    schema_fini(&t->fields);
    schema_fini(&t->drop);
    schema_fini(&t->add);
    *t = (struct transform){.kind = SHM_KIND_NONE};
}

bool transform_active(const struct transform *t)
{
    return t->fields.count + t->drop.count + t->add.count > 0;
}

bool transform_keeps(const struct transform *t, const char *name, size_t len)
{
    return (t->fields.count == 0 || schema_find(&t->fields, name, len) >= 0)
           && schema_find(&t->drop, name, len) < 0;
}

void transform_eval(struct transform *t, uint64_t time_ns, uint8_t kind)
{
    unsigned changed = 0;

    if (time_ns != t->time_ns)
        changed |= NEEDS_NS;
    if (time_ns / NS_PER_S != t->time_ns / NS_PER_S)
        changed |= NEEDS_SECOND;
    if (kind != t->kind)
        changed |= NEEDS_KIND;
    t->time_ns = time_ns;
    t->kind = kind;
    if ((changed & t->needs) == 0)
        return;
    for (uint32_t i = 0; i < t->add.count; i++)
        if ((t->values[i].needs & changed) != 0)
            value_render(t, i);
}
