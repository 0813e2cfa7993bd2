/*
 * partition: names of partitions from values.
 *
 * Owns:   nothing.
 * Thread: any.
 * Units:  bytes.
 */
#include "encode/partition.h"

#include <errno.h>

#include "base/crc32c.h"
#include "encode/text.h"

static const char partition_default[] = "__HIVE_DEFAULT_PARTITION__";

enum { DEFAULT_BYTES = sizeof(partition_default) - 1 };

static bool plain(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'
           || c == '.' || c == '-';
}

static char *encoded_put(char *to, uint8_t c)
{
    static const char hex[] = "0123456789ABCDEF";

    *to++ = '%';
    *to++ = hex[c >> 4];
    *to++ = hex[c & 15];
    return to;
}

/* NULL: longer than `most`. */
static char *encode(char *to, const uint8_t *from, size_t len, size_t most, bool first_too)
{
    const char *end = to + most;

    if (len > most)
        return NULL;
    for (size_t i = 0; i < len; i++) {
        bool as_is = plain(from[i]) && !(i == 0 && first_too);

        if (end - to < (as_is ? 1 : 3))
            return NULL;
        if (as_is)
            *to++ = (char)from[i];
        else
            to = encoded_put(to, from[i]);
    }
    return to;
}

static bool value_special(const uint8_t *text, size_t len)
{
    return (len == 1 && text[0] == '.') || (len == 2 && text[0] == '.' && text[1] == '.')
           || (len == DEFAULT_BYTES && memcmp(text, partition_default, len) == 0);
}

static char *value_put(char *to, const struct cell *cell, enum column_type type)
{
    uint8_t text[PARTITION_VALUE_BYTES_MAX + TEXT_SCALAR_BYTES + TEXT_SLACK];
    const uint8_t *from = text;
    size_t len;

    if (cell->type == CELL_NULL) {
        memcpy(to, partition_default, DEFAULT_BYTES);
        return to + DEFAULT_BYTES;
    }
    if (!text_cell_has(cell)) {
        len = (size_t)(text_scalar(text, cell, type) - text);
    } else if (cell->type == CELL_BYTES) {
        len = text_base64_bytes(cell->len);
        if (len > PARTITION_VALUE_BYTES_MAX)
            return NULL;
        (void)text_base64(text, cell->u.s, cell->len);
    } else {
        from = cell->u.s;
        len = cell->len;
    }
    return encode(to, from, len, PARTITION_VALUE_BYTES_MAX, value_special(from, len));
}

static char *name_put(char *to, const struct column *c)
{
    const uint8_t *name = (const uint8_t *)c->name;

    /* A dot in front would hide the folder. */
    return encode(to, name, c->name_len, PARTITION_NAME_BYTES_MAX,
                  c->name_len > 0 && name[0] == '.');
}

int partition_key(const struct schema *s, const struct cell *cells, bool missing_ok,
                  struct partition_key *ret_key, struct errmsg *err)
{
    char component[PARTITION_NAME_BYTES_MAX + PARTITION_VALUE_BYTES_MAX + 2];
    char *to = ret_key->text;

    for (uint32_t i = 0; i < s->hidden; i++) {
        const struct column *c = &s->columns[i];
        char *at = name_put(component, c);
        size_t len;

        if (cells[i].type == CELL_NULL && !missing_ok)
            return errmsg_set(err, -ENODATA, "partition column '%.60s' is missing", c->name);
        if (at != NULL) {
            *at++ = '=';
            at = value_put(at, &cells[i], (enum column_type)c->type);
        }
        if (at == NULL)
            return errmsg_set(err, -ENAMETOOLONG, "partition column '%.60s': more than %d bytes in "
                              "a file name", c->name, PARTITION_VALUE_BYTES_MAX);
        *at++ = '/';
        len = (size_t)(at - component);
        if (len > (size_t)(ret_key->text + PARTITION_KEY_BYTES_MAX - to))
            return errmsg_set(err, -ENAMETOOLONG, "partition column '%.60s': more than %d bytes "
                              "with those before it", c->name, PARTITION_KEY_BYTES_MAX);
        memcpy(to, component, len);
        to += len;
    }
    *to = '\0';
    ret_key->len = (uint32_t)(to - ret_key->text);
    ret_key->hash = crc32c(0, ret_key->text, ret_key->len);
    return 0;
}

int partition_check(const struct schema *s, struct errmsg *err)
{
    char name[PARTITION_NAME_BYTES_MAX];
    size_t len = 0;

    for (uint32_t i = 0; i < s->hidden; i++) {
        const struct column *c = &s->columns[i];
        const char *end = name_put(name, c);

        if (end == NULL)
            return errmsg_set(err, -EINVAL, "partition column '%.60s': its name takes more than %d "
                              "bytes in a file name", c->name, PARTITION_NAME_BYTES_MAX);
        /* With what stands for null, so that a row without any of them has its place. */
        len += (size_t)(end - name) + DEFAULT_BYTES + sizeof("=/") - 1;
        if (len > PARTITION_KEY_BYTES_MAX)
            return errmsg_set(err, -EINVAL, "partition column '%.60s' is one too many: with those "
                              "before it more than %d bytes", c->name, PARTITION_KEY_BYTES_MAX);
    }
    return 0;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int partition_decode(const char *text, uint32_t len, uint8_t *ret_value)
{
    int count = 0;

    for (uint32_t i = 0; i < len; i++) {
        int high, low;

        if (text[i] != '%') {
            if (!plain((uint8_t)text[i]))
                return -1;
            ret_value[count++] = (uint8_t)text[i];
            continue;
        }
        high = len - i >= 3 ? hex_value(text[i + 1]) : -1;
        low = high >= 0 ? hex_value(text[i + 2]) : -1;
        if (low < 0)
            return -1;
        ret_value[count++] = (uint8_t)(high << 4 | low);
        i += 2;
    }
    return count;
}
