/*
 * fields: checks the body of a schema's definition and gives its fields their places.
 *
 * A body may be a stranger's. Its length is known and small, each step is checked against it, and
 * finding names that occur twice costs at most SHM_FIELDS_MAX^2 / 2 comparisons, whatever they are.
 *
 * Owns:   nothing.
 * Thread: any one at a time.
 * Units:  bytes.
 */
#include "fields.h"

#include <string.h>

enum { SIZE_8, SIZE_4, SIZE_1, SIZES };
enum { HASH_SLOTS = 2 * SHM_FIELDS_MAX };

_Static_assert((HASH_SLOTS & (HASH_SLOTS - 1)) == 0, "a mask");
_Static_assert(SHM_FIELDS_MAX * 8 + SHM_FIELDS_MAX / 8 <= UINT16_MAX, "places are 16 bits");
_Static_assert(SHM_FIELDS_MAX * 8 + SHM_FIELDS_MAX / 8 <= SHM_RING_BYTES_MIN / 4,
               "a record without strings fits any ring");

static const char *const fault_texts[] = {
    [SHMC_FIELDS_GOOD] = "nothing is wrong",
    [SHMC_FIELDS_CUT] = "does not end where its definition ends",
    [SHMC_FIELDS_NUMBER] = "too many fields, or none",
    [SHMC_FIELDS_RESERVED] = "a flag that is not known",
    [SHMC_FIELDS_TYPE] = "no such type",
    [SHMC_FIELDS_NAME] = "a name is 1 to 255 bytes of UTF-8 without NUL",
    [SHMC_FIELDS_TWICE] = "another field has the same name",
};
_Static_assert(sizeof(fault_texts) / sizeof(fault_texts[0]) == SHMC_FIELDS_FAULT_COUNT,
               "a text each");

const char *shmc_fields_fault_text(enum shmc_fields_fault fault)
{
    return fault_texts[fault];
}

static unsigned int type_size(uint8_t type)
{
    if (type == SHM_FIELD_BOOL)
        return SIZE_1;
    return type == SHM_FIELD_I32 || type == SHM_FIELD_F32 ? SIZE_4 : SIZE_8;
}

unsigned int shmc_fields_type_bytes(uint8_t type)
{
    static const uint8_t bytes[SIZES] = {8, 4, 1};

    return bytes[type_size(type)];
}

/* Bytes that follow the first of a character, and the bounds of the second. 0: none begins so. */
static unsigned int utf8_begin(uint8_t c, uint8_t *ret_low, uint8_t *ret_high)
{
    *ret_low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    *ret_high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    if (c >= 0xc2 && c <= 0xdf)
        return 1;
    if (c >= 0xe0 && c <= 0xef)
        return 2;
    return c >= 0xf0 && c <= 0xf4 ? 3 : 0;
}

bool shmc_fields_utf8(const uint8_t *text, size_t len)
{
    size_t i = 0;

    while (i < len) {
        uint8_t c = text[i++], low, high;
        unsigned int more;

        if (c < 0x80)
            continue;
        more = utf8_begin(c, &low, &high);
        if (more == 0 || more > len - i)
            return false;
        for (; more > 0; more--, low = 0x80, high = 0xbf, i++)
            if (text[i] < low || text[i] > high)
                return false;
    }
    return true;
}

/* The field at `at`, which `end` may cut. */
static enum shmc_fields_fault field_check(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *name = at + sizeof(struct shm_field);
    struct shm_field field;

    if ((size_t)(end - at) < sizeof(field))
        return SHMC_FIELDS_CUT;
    memcpy(&field, at, sizeof(field));
    if (field.name_len > (size_t)(end - name))
        return SHMC_FIELDS_CUT;
    if (field.reserved != 0 || (field.flags & ~SHM_FIELD_NULLABLE) != 0)
        return SHMC_FIELDS_RESERVED;
    if (field.type == 0 || field.type >= SHM_FIELD_TYPE_COUNT)
        return SHMC_FIELDS_TYPE;
    if (field.name_len == 0 || memchr(name, 0, field.name_len) != NULL ||
        !shmc_fields_utf8(name, field.name_len))
        return SHMC_FIELDS_NAME;
    return SHMC_FIELDS_GOOD;
}

/*
 * Puts the field at `at`, which is good, into the table of those before it: offsets in the body, 0
 * for free. False: its name is there.
 */
static bool name_put(uint16_t slots[HASH_SLOTS], const uint8_t *body, const uint8_t *at)
{
    const size_t len_at = offsetof(struct shm_field, name_len);
    const uint8_t *name = at + sizeof(struct shm_field);
    uint32_t h = 2166136261U; /* FNV-1a */

    for (unsigned int i = 0; i < at[len_at]; i++)
        h = (h ^ name[i]) * 16777619U;
    for (h ^= h >> 15; slots[h % HASH_SLOTS] != 0; h++) {
        const uint8_t *other = body + slots[h % HASH_SLOTS];

        if (other[len_at] == at[len_at] &&
            memcmp(other + sizeof(struct shm_field), name, at[len_at]) == 0)
            return false;
    }
    slots[h % HASH_SLOTS] = (uint16_t)(at - body);
    return true;
}

enum shmc_fields_fault shmc_fields_open(struct shmc_fields *f, const void *body, size_t len,
                                        unsigned int *ret_index)
{
    const uint8_t *at = body, *end = at + len;
    uint16_t slots[HASH_SLOTS] = {0}, sizes[SIZES] = {0};
    struct shm_schema head;
    bool nullable = false;

    *ret_index = 0;
    if (len < sizeof(head) || len > SHM_DEFS_BYTES)
        return SHMC_FIELDS_CUT;
    memcpy(&head, body, sizeof(head));
    if (head.reserved != 0)
        return SHMC_FIELDS_RESERVED;
    if (head.fields == 0 || head.fields > SHM_FIELDS_MAX)
        return SHMC_FIELDS_NUMBER;
    at += sizeof(head);
    *f = (struct shmc_fields){.at = at, .end = end, .count = head.fields};
    for (unsigned int i = 0; i < head.fields; i++) {
        enum shmc_fields_fault fault = field_check(at, end);
        struct shm_field field;

        *ret_index = i;
        if (fault != SHMC_FIELDS_GOOD)
            return fault;
        if (!name_put(slots, body, at))
            return SHMC_FIELDS_TWICE;
        memcpy(&field, at, sizeof(field));
        sizes[type_size(field.type)]++;
        nullable |= (field.flags & SHM_FIELD_NULLABLE) != 0;
        at += sizeof(field) + field.name_len;
    }
    if (at != end)
        return SHMC_FIELDS_CUT;
    f->next[SIZE_4] = (uint16_t)(8 * sizes[SIZE_8]);
    f->next[SIZE_1] = (uint16_t)(f->next[SIZE_4] + 4 * sizes[SIZE_4]);
    f->fixed_bytes = (uint16_t)(f->next[SIZE_1] + sizes[SIZE_1]);
    if (nullable) {
        f->present_at = f->fixed_bytes;
        f->fixed_bytes = (uint16_t)(f->fixed_bytes + (head.fields + 7) / 8);
    }
    return SHMC_FIELDS_GOOD;
}

bool shmc_fields_next(struct shmc_fields *f, struct shmc_fields_one *ret_one)
{
    struct shm_field field;
    unsigned int size;

    if (f->at == f->end)
        return false;
    memcpy(&field, f->at, sizeof(field));
    size = type_size(field.type);
    *ret_one = (struct shmc_fields_one){.name = (const char *)f->at + sizeof(field),
                                        .name_len = field.name_len,
                                        .type = field.type,
                                        .nullable = (field.flags & SHM_FIELD_NULLABLE) != 0,
                                        .at = f->next[size]};
    f->next[size] = (uint16_t)(f->next[size] + shmc_fields_type_bytes(field.type));
    f->at += sizeof(field) + field.name_len;
    return true;
}
