/*
 * refused: knows the schema.
 * Owns:   nothing.
 * Thread: any.
 */
#include "encode/refused.h"

#include <string.h>

#include "shm_wire.h"

/* Compares one field and steps behind it. */
static bool field_is(const char **at, const char *end, enum shm_field_type type, const char *name)
{
    struct shm_field field = {.type = (uint8_t)type, .name_len = (uint8_t)strlen(name)};

    if ((size_t)(end - *at) < sizeof(field) + field.name_len ||
        memcmp(*at, &field, sizeof(field)) != 0 ||
        memcmp(*at + sizeof(field), name, field.name_len) != 0)
        return false;
    *at += sizeof(field) + field.name_len;
    return true;
}

bool refused_schema(const void *body, size_t len)
{
    static const struct shm_schema head = {.fields = 2};
    const char *at = body, *end = at + len;

    if (len < sizeof(head) || memcmp(at, &head, sizeof(head)) != 0)
        return false;
    at += sizeof(head);
    return field_is(&at, end, SHM_FIELD_STRING, REFUSED_FIELD_WHY) &&
           field_is(&at, end, SHM_FIELD_BYTES, REFUSED_FIELD_DATA) && at == end;
}
