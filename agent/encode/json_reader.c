/*
 * json_reader: what the walk does seldom: keys that were not expected, escapes, nested values, the
 * end.
 *
 * Owns:   the names and the scratch of each reader.
 * Thread: any one at a time.
 * Units:  bytes.
 */
#include "encode/json_reader.h"

#include <errno.h>
#include <stdlib.h>

#include "encode/json_check.h"

enum {
    PREFETCH_BYTES = 512,
    TEXT_BYTES_MAX = INT32_MAX - 1,
    SCRATCH_SLACK = sizeof(uint64_t),
};

_Static_assert(JSON_DEPTH_MAX % 64 == 0, "a bit for each level");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first byte is the lowest");

/* --- names ---------------------------------------------------------------------------------- */

/* A text does not begin with zeros where a key is expected. */
static void key_never(struct json_key *key)
{
    memset(key->mask, 0xff, sizeof(key->mask));
}

/* How the name looks in a text, unless it must be written with an escape: then it never matches. */
static void key_make(struct json_key *key, const struct column *c, int32_t index)
{
    uint8_t head[16] = {'"'}, mask[16] = {0};
    size_t len = (size_t)c->name_len + 2, shown = len < sizeof(head) ? len : sizeof(head);

    memset(key, 0, sizeof(*key));
    key->index = index;
    memset(mask, 0xff, shown);
    for (size_t i = 0; i < c->name_len; i++) {
        uint8_t at = (uint8_t)c->name[i];

        if (at < ' ' || at == '"' || at == '\\') {
            key_never(key);
            return;
        }
        if (i + 1 < sizeof(head))
            head[i + 1] = at;
    }
    if (len <= sizeof(head))
        head[len - 1] = '"';
    memcpy(key->head, head, sizeof(head));
    memcpy(key->mask, mask, sizeof(mask));
    key->len = (uint32_t)len;
    key->quick = index >= 0 && len <= sizeof(head) ? c->type : 0;
}

static int keys_reserve(struct json_reader *r, uint32_t known)
{
    uint32_t need = 1 + r->skip_cap + known, cap = r->keys_cap;
    struct json_key *keys;

    if (need <= cap)
        return 0;
    while (cap < need)
        cap = cap == 0 ? 64 : cap * 2;
    keys = realloc(r->keys, cap * sizeof(*keys));
    if (!keys)
        return -ENOMEM;
    memset(keys + r->keys_cap, 0, (cap - r->keys_cap) * sizeof(*keys));
    r->keys = keys;
    r->keys_cap = cap;
    return 0;
}

int json_reader_init(struct json_reader *r, const struct schema *known, const struct schema *skip,
                     int32_t others)
{
    bool learn = others != JSON_KEY_UNKNOWN;

    memset(r, 0, sizeof(*r));
    r->others = others;
    r->skip_cap = (skip ? skip->count : 0) + (learn ? JSON_SKIPPED_LEARNED_MAX : 0);
    if (r->skip_cap > SCHEMA_COLUMNS_MAX)
        r->skip_cap = SCHEMA_COLUMNS_MAX;
    if ((skip && schema_copy(skip, &r->skipped)) || (known && schema_copy(known, &r->known)) ||
        keys_reserve(r, r->known.count))
        return -ENOMEM;
    key_never(&r->keys[0]);
    for (uint32_t i = 0; i < r->skipped.count; i++)
        key_make(&r->keys[1 + i], &r->skipped.columns[i], JSON_KEY_SKIPPED);
    for (uint32_t i = 0; i < r->known.count; i++)
        key_make(&r->keys[1 + r->skip_cap + i], &r->known.columns[i], (int32_t)i);
    /* Columns are often in the order of the keys. */
    for (uint32_t i = 0; i < r->known.count; i++)
        r->keys[i == 0 ? 0 : r->skip_cap + i].next = 1 + r->skip_cap + i;
    return 0;
}

void json_reader_fini(struct json_reader *r)
{
    schema_fini(&r->known);
    schema_fini(&r->skipped);
    bytes_free(&r->scratch);
    free(r->keys);
    memset(r, 0, sizeof(*r));
}

int json_reader_add(struct json_reader *r, const void *name, size_t len, enum column_type type)
{
    uint32_t index = r->known.count;
    int e = keys_reserve(r, index + 1);

    if (!e)
        e = schema_add(&r->known, name, len, type);
    if (e)
        return e;
    key_make(&r->keys[1 + r->skip_cap + index], &r->known.columns[index], (int32_t)index);
    return (int)index;
}

/* For a key that will come again; as it is compared and no longer looked at, only good UTF-8. */
static uint32_t name_learn(struct json_reader *r, const uint8_t *name, size_t len)
{
    uint32_t index = r->skipped.count;

    if (r->others == JSON_KEY_UNKNOWN || index == r->skip_cap || !json_check_utf8(name, len) ||
        schema_add(&r->skipped, (const char *)name, len, COLUMN_STRING))
        return 0;
    key_make(&r->keys[1 + index], &r->skipped.columns[index], r->others);
    return 1 + index;
}

/* Its id, or 0. */
static uint32_t name_find(struct json_reader *r, const uint8_t *name, size_t len)
{
    int index = schema_find(&r->known, (const char *)name, len);

    if (index >= 0)
        return 1 + r->skip_cap + (uint32_t)index;
    index = schema_find(&r->skipped, (const char *)name, len);
    return index >= 0 ? 1 + (uint32_t)index : name_learn(r, name, len);
}

const uint8_t *json_reader_find(struct json_reader *r, const uint8_t *at, struct json_member *m)
{
    const uint8_t *end;
    uint32_t id;

    if (*at != '"')
        return json_reader_fail(r, at, "a key is expected");
    m->text = at + 1;
    end = json_read_string(r, at + 1, &m->escaped);
    if (!end)
        return NULL;
    m->len = (uint32_t)(end - m->text);
    if (json_reader_text(r, m, &m->name, &m->name_len)) {
        r->step = JSON_STEP_NO_MEMORY;
        return NULL;
    }
    id = name_find(r, m->name, m->name_len);
    if (id == 0) {
        m->index = r->others;
        return end + 1;
    }
    r->keys[r->prev].next = id;
    r->prev = id;
    m->index = r->keys[id].index;
    return end + 1;
}

/* --- escapes -------------------------------------------------------------------------------- */

/* What the letter behind a backslash stands for. */
static const uint8_t escaped_bytes[256] = {
    ['"'] = '"', ['\\'] = '\\', ['/'] = '/', ['b'] = '\b', ['f'] = '\f', ['n'] = '\n',
    ['r'] = '\r', ['t'] = '\t',
};

/* Four hex digits; UINT32_MAX: no. Reads up to the first byte that is none. */
static uint32_t hex4(const uint8_t *at)
{
    uint32_t value = 0;

    for (int i = 0; i < 4; i++) {
        uint8_t digit = (uint8_t)(at[i] - '0'), letter = (uint8_t)((at[i] | 0x20) - 'a');

        if (digit >= 10 && letter >= 6)
            return UINT32_MAX;
        value = value << 4 | (digit < 10 ? digit : letter + 10U);
    }
    return value;
}

/* Bytes of the escape that starts here with its backslash; 0: none does. */
size_t json_escape_bytes(const uint8_t *at)
{
    uint32_t code;

    if (at[0] != '\\')
        return 0;
    if (escaped_bytes[at[1]] != 0)
        return 2;
    if (at[1] != 'u')
        return 0;
    code = hex4(at + 2);
    if (code == UINT32_MAX || code - 0xdc00 < 0x400)
        return 0;
    if (code - 0xd800 >= 0x400)
        return 6;
    code = at[6] == '\\' && at[7] == 'u' ? hex4(at + 8) : 0;
    return code - 0xdc00 < 0x400 ? 12 : 0;
}

/* The rest of a string that is not plain ASCII, or is near the end of the text. */
const uint8_t *json_reader_string(struct json_reader *r, const uint8_t *at, bool *ret_escaped)
{
    *ret_escaped = false;
    for (;;) {
        ptrdiff_t left = r->end - at;
        uint64_t marks;
        size_t bytes;

        if (left >= JSON_MARK_BYTES)
            marks = json_read_mark(at);
        else if (left > 0)
            marks = json_read_mark(r->end - JSON_MARK_BYTES) >>
                ((JSON_MARK_BYTES - left) * JSON_MARK_BITS);
        else
            return json_reader_fail(r, r->end, "a string is not closed");
        if (marks == 0) {
            at += left < JSON_MARK_BYTES ? left : JSON_MARK_BYTES;
            continue;
        }
        at += __builtin_ctzll(marks) / JSON_MARK_BITS;
        if (*at == '"')
            return at;
        if (*at > 0x7f) {
            r->high = true;
            while (*at > 0x7f)
                at++;
            continue;
        }
        bytes = json_escape_bytes(at);
        if (bytes == 0)
            return json_reader_fail(r, at, *at == '\\' ? "a wrong escape in a string"
                                                        : "a control character in a string");
        at += bytes;
        *ret_escaped = true;
    }
}

static uint8_t *utf8_put(uint8_t *to, uint32_t code)
{
    if (code < 0x80) {
        *to++ = (uint8_t)code;
    } else if (code < 0x800) {
        *to++ = (uint8_t)(0xc0 | code >> 6);
        *to++ = (uint8_t)(0x80 | (code & 0x3f));
    } else {
        if (code < 0x10000) {
            *to++ = (uint8_t)(0xe0 | code >> 12);
        } else {
            *to++ = (uint8_t)(0xf0 | code >> 18);
            *to++ = (uint8_t)(0x80 | (code >> 12 & 0x3f));
        }
        *to++ = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        *to++ = (uint8_t)(0x80 | (code & 0x3f));
    }
    return to;
}

/* The escapes have been checked. Writes up to SCRATCH_SLACK bytes behind what it returns. */
static uint8_t *unescape(const struct json_reader *r, uint8_t *to, const uint8_t *at, size_t len)
{
    const uint64_t ones = 0x0101010101010101ULL;
    const uint8_t *end = at + len;

    while (at < end) {
        uint64_t word = json_read_load(r, at), other = word ^ (ones * '\\');
        uint64_t found = (other - ones) & ~other & (ones * 0x80);   /* the lowest is certain */
        ptrdiff_t run = found != 0 ? __builtin_ctzll(found) / 8 : 8;
        size_t bytes;
        uint32_t code;

        if (run > end - at)
            run = end - at;
        bytes_put_u64(to, word);
        to += run;
        at += run;
        if (run == 8 || at == end)
            continue;
        bytes = json_escape_bytes(at);
        if (bytes == 2) {
            *to++ = escaped_bytes[at[1]];
        } else {
            code = hex4(at + 2);
            if (bytes == 12)
                code = 0x10000 + ((code - 0xd800) << 10) + (hex4(at + 8) - 0xdc00);
            to = utf8_put(to, code);
        }
        at += bytes;
    }
    return to;
}

/* All strings of an event together, unescaped or decoded, are shorter: it grows when empty. */
int json_reader_room(struct json_reader *r)
{
    if (r->scratch.len > 0)
        return 0;
    return bytes_reserve(&r->scratch, (size_t)(r->end - r->begin) + SCRATCH_SLACK);
}

int json_reader_unescape(struct json_reader *r, const struct json_member *m,
                         const uint8_t **ret_text, uint32_t *ret_len)
{
    size_t before = r->scratch.len;

    if (json_reader_room(r))
        return -ENOMEM;
    r->scratch.len = (size_t)(unescape(r, r->scratch.data + before, m->text, m->len) -
                              r->scratch.data);
    *ret_text = r->scratch.data + before;
    *ret_len = (uint32_t)(r->scratch.len - before);
    return 0;
}

/* --- nested values -------------------------------------------------------------------------- */

/* From a key to its value, or NULL. */
static const uint8_t *nested_key(struct json_reader *r, const uint8_t *at)
{
    bool escaped;

    if (*at != '"')
        return json_reader_fail(r, at, "a key is expected");
    at = json_read_string(r, at + 1, &escaped);
    if (!at)
        return NULL;
    at = json_read_space(at + 1);
    if (*at != ':')
        return json_reader_fail(r, at, "a colon is expected behind a key");
    return json_read_space(at + 1);
}

static const uint8_t *nested_scalar(struct json_reader *r, const uint8_t *at)
{
    struct json_number number;
    bool escaped;

    switch (*at) {
    case '"':
        at = json_read_string(r, at + 1, &escaped);
        return at ? at + 1 : NULL;
    case 't':
    case 'f':
    case 'n':
        return json_read_literal(r, at);
    default:
        return json_read_number(r, at, &number);
    }
}

/* Behind the object or array that is open at `at`, or NULL. One bit a level: is it an object? */
const uint8_t *json_reader_nested(struct json_reader *r, const uint8_t *at)
{
    uint64_t objects[JSON_DEPTH_MAX / 64] = {0};
    uint32_t depth = 1;         /* that of the outermost object */
    bool object = true;

    for (;;) {
        /* A value. */
        if (*at == '{' || *at == '[') {
            bool opens = *at == '{';

            at = json_read_space(at + 1);
            if (*at != (opens ? '}' : ']')) {
                if (++depth == JSON_DEPTH_MAX)
                    return json_reader_fail(r, at, "too deep");
                objects[depth / 64] &= ~(1ULL << depth % 64);
                objects[depth / 64] |= (uint64_t)opens << depth % 64;
                object = opens;
                if (object && !(at = nested_key(r, at)))
                    return NULL;
                continue;
            }
            at++;
        } else if (!(at = nested_scalar(r, at))) {
            return NULL;
        }
        /* What is behind it. The last brace belongs to the outermost object. */
        for (;;) {
            if (at == r->end)
                return json_reader_fail(r, at, "an object or array is not closed");
            if (depth == 1)
                return at;
            at = json_read_space(at);
            if (*at != (object ? '}' : ']'))
                break;
            at++;
            depth--;
            object = objects[depth / 64] >> depth % 64 & 1;
        }
        if (*at != ',')
            return json_reader_fail(r, at, "a comma or the end of an object or array is expected");
        at = json_read_space(at + 1);
        if (object && !(at = nested_key(r, at)))
            return NULL;
    }
}

/* --- begin and end -------------------------------------------------------------------------- */

const uint8_t *json_reader_fail(struct json_reader *r, const uint8_t *at, const char *why)
{
    r->step = JSON_STEP_BROKEN;
    r->where = at;
    r->why = why;
    return NULL;
}

size_t json_reader_where(const struct json_reader *r)
{
    return (size_t)(r->where - r->begin);
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

const uint8_t *json_reader_begin(struct json_reader *r, const uint8_t *data, size_t len)
{
    /* Events come one behind the other, and this looks at each byte first. */
    __builtin_prefetch(data + PREFETCH_BYTES);
    __builtin_prefetch(data + PREFETCH_BYTES + 64);
    while (len > 0 && is_space(data[len - 1]))
        len--;
    r->begin = data;
    r->end = data + len;
    r->prev = 0;
    r->high = false;
    r->why = NULL;
    r->where = data;
    r->scratch.len = 0;
    if (len > TEXT_BYTES_MAX)
        return json_reader_fail(r, data, "too long");
    if (len == 0 || r->end[-1] != '}')
        return json_reader_fail(r, r->end, "does not end with a brace");
    if (len < JSON_WORK_BYTES_MIN) {
        r->end = r->small + sizeof(r->small);
        r->begin = r->end - len;
        memcpy(r->small + sizeof(r->small) - len, data, len);
    }
    r->open = json_read_space(r->begin);
    if (*r->open != '{')
        return json_reader_fail(r, r->open, "does not begin with a brace");
    return r->open;
}

static const uint8_t *reader_end(struct json_reader *r, const uint8_t *at)
{
    if (at + 1 != r->end)
        return json_reader_fail(r, at + 1, "something follows the object");
    if (r->high && !json_check_utf8(r->begin, (size_t)(r->end - r->begin)))
        return json_reader_fail(r, at, "not UTF-8");
    r->step = JSON_STEP_END;
    return NULL;
}

/* No comma: before the first member, or at the end. */
const uint8_t *json_reader_first(struct json_reader *r, const uint8_t *at)
{
    if (at == r->open) {
        at = json_read_space(at + 1);
        if (*at != '}')
            return at;
    }
    return *at == '}' ? reader_end(r, at)
                      : json_reader_fail(r, at, "a comma or the object's end is expected");
}
