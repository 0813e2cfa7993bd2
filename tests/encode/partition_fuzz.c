/*
 * partition_fuzz: whatever name and values are, the folder is one safe component; its value decodes
 * to what went in; two values that differ differ in name; null is like no value.
 *
 * Input: a byte for the length of the name, the name, then two values parted by the first 0xff.
 */
#include "base/invariant.h"
#include "encode/partition.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char missing[] = "__HIVE_DEFAULT_PARTITION__";

/* One component that is no dot-name and holds nothing a path or a shell minds. */
static void check_safe(const struct partition_key *key)
{
    const char *equals = memchr(key->text, '=', key->len);

    INVARIANT(key->len >= 2 && key->len <= 255 + 1 && key->text[key->len] == '\0');
    INVARIANT(key->text[0] != '.');
    INVARIANT(memchr(key->text, '/', key->len) == key->text + key->len - 1);
    INVARIANT(equals != NULL
              && memchr(equals + 1, '=', (size_t)(key->text + key->len - equals) - 1) == NULL);
    for (uint32_t i = 0; i < key->len - 1; i++) {
        char c = key->text[i];

        INVARIANT((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')
                  || memchr("_.-%=", c, 5) != NULL);
    }
}

/* The encoded bytes behind the '='. */
static const char *value_of(const struct partition_key *key, uint32_t *ret_len)
{
    const char *at = (const char *)memchr(key->text, '=', key->len) + 1;

    *ret_len = key->len - 1 - (uint32_t)(at - key->text);
    return at;
}

static void check_back(const struct partition_key *key, const struct cell *cell)
{
    uint8_t value[PARTITION_VALUE_BYTES_MAX];
    uint32_t len;
    const char *text = value_of(key, &len);

    INVARIANT(len <= PARTITION_VALUE_BYTES_MAX);
    INVARIANT(partition_decode(text, len, value) == (int)cell->len);
    INVARIANT(memcmp(value, cell->u.s, cell->len) == 0);
    INVARIANT(len != sizeof(missing) - 1 || memcmp(text, missing, len) != 0);
    INVARIANT(!(len == 1 && text[0] == '.') && !(len == 2 && memcmp(text, "..", 2) == 0));
}

static struct cell string_cell(const uint8_t *data, size_t len)
{
    return (struct cell){.u.s = data, .len = (uint32_t)len, .type = CELL_STRING};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct partition_key keys[2], null;
    struct cell cells[2], nothing = {.type = CELL_NULL};
    const uint8_t *split;
    struct schema s;
    size_t name, first;
    int e[2];

    if (len < 2)
        return 0;
    name = data[0] < len - 1 ? data[0] : len - 1;
    schema_init(&s);
    INVARIANT(schema_add(&s, (const char *)data + 1, name, COLUMN_STRING) == 0);
    s.hidden = 1;
    data += 1 + name;
    len -= 1 + name;
    split = len > 0 ? memchr(data, 0xff, len) : NULL;
    first = split != NULL ? (size_t)(split - data) : len;
    cells[0] = string_cell(data, first);
    cells[1] = split != NULL ? string_cell(split + 1, len - first - 1) : string_cell(data, 0);
    for (int i = 0; i < 2; i++) {
        e[i] = partition_key(&s, &cells[i], false, &keys[i], NULL);
        INVARIANT(e[i] == 0 || e[i] == -ENAMETOOLONG);
        if (e[i] != 0)
            continue;
        INVARIANT(partition_check(&s, NULL) == 0);
        check_safe(&keys[i]);
        check_back(&keys[i], &cells[i]);
        INVARIANT(partition_key(&s, &nothing, true, &null, NULL) == 0);
        check_safe(&null);
        INVARIANT(!partition_key_equal(&keys[i], &null));
    }
    if (e[0] == 0 && e[1] == 0)
        INVARIANT(partition_key_equal(&keys[0], &keys[1])
                  == (cells[0].len == cells[1].len
                      && memcmp(cells[0].u.s, cells[1].u.s, cells[0].len) == 0));
    schema_fini(&s);
    return 0;
}
