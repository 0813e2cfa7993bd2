/*
 * schema: the ring's definitions, which give the numbers in its frames their meaning.
 *
 * Streams, and the schemas of typed records, which take their numbers from the same count. What the
 * handle needs to know of them it keeps in private memory: others may write into the ring's file.
 *
 * Owns:   nothing; definitions lie in the segment, where each was found is in the handle.
 * Thread: the handle's.
 * Units:  bytes; numbers count from 1.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fields.h"
#include "handle.h"

#define DEF_ALIGN 8U

static bool name_valid(const char *name, size_t len)
{
    if (len == 0 || len > SHM_STREAM_NAME_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        bool alnum = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');

        if (!alnum && (i == 0 || (c != '_' && c != '.' && c != '-')))
            return false;
    }
    return true;
}

/* ---- definitions ---- */

/* The number, above `after`, of the definition with this body; 0: none. Streams are of stream 0. */
static uint16_t def_find(const struct shmc *h, uint16_t stream, const void *body, size_t len,
                         uint16_t after)
{
    for (uint32_t i = after; i < h->defs_count; i++) {
        const struct shmc_def_ref *ref = &h->defs[i];

        if (ref->stream == stream && ref->len == len &&
            memcmp(h->segment.defs + ref->at8 * DEF_ALIGN, body, len) == 0)
            return (uint16_t)(i + 1);
    }
    return 0;
}

/* Is there room for one more? Bytes of the whole entry, or -ENOSPC with text. */
static int def_room(struct shmc *h, const char *what, size_t body_len)
{
    size_t bytes = (sizeof(struct shm_def) + body_len + DEF_ALIGN - 1) & ~(size_t)(DEF_ALIGN - 1);

    if (h->defs_count < SHM_DEFS_MAX && bytes <= SHM_DEFS_BYTES - h->defs_bytes)
        return (int)bytes;
    return shmc_text_set(&h->error, -ENOSPC,
                         "%s: the ring's definitions are full (%u of %u, %u of %u bytes)", what,
                         h->defs_count, SHM_DEFS_MAX, h->defs_bytes, SHM_DEFS_BYTES);
}

/* Publishes a definition that has room; ref says what the handle keeps of it. */
static uint16_t def_put(struct shmc *h, uint32_t bytes, uint8_t type, const void *body,
                        struct shmc_def_ref ref)
{
    struct shm_def def = {.bytes = bytes,
                          .number = (uint16_t)(h->defs_count + 1),
                          .type = type,
                          .body_len = ref.len,
                          .stream = ref.stream};
    uint8_t *at = h->segment.defs + h->defs_bytes;

    /* Never written before, so the padding is zero. */
    memcpy(at, &def, sizeof(def));
    memcpy(at + sizeof(def), body, ref.len);
    ref.at8 = (uint16_t)((h->defs_bytes + sizeof(def)) / DEF_ALIGN);
    h->defs[h->defs_count] = ref;
    h->defs_bytes += bytes;
    if (type == SHM_DEF_STREAM && h->streams == h->defs_count)
        h->streams++;
    h->defs_count = def.number;
    /*
     * D1: pairs with the agent's acquire of defs_bytes: seeing the length means seeing the bytes.
     * The head of a frame that uses the number is released later (A1), so who sees the frame sees
     * its definition.
     */
    atomic_store_explicit(&h->segment.producer->defs_bytes, h->defs_bytes, memory_order_release);
    return def.number;
}

/* ---- streams ---- */

static int stream_define(struct shmc *h, const char *name, size_t len, uint16_t *ret_id)
{
    char what[SHM_STREAM_NAME_MAX + 16];
    int bytes;

    (void)snprintf(what, sizeof(what), "stream '%s'", name);
    bytes = def_room(h, what, len);
    if (bytes < 0)
        return bytes;
    *ret_id = def_put(h, (uint32_t)bytes, SHM_DEF_STREAM, name,
                      (struct shmc_def_ref){.len = (uint16_t)len});
    return 0;
}

int shmc_stream(struct shmc *h, const char *name, uint16_t *ret_id)
{
    size_t len;
    int rc = 0;

    if (!shmc_enter(h))
        return -EBUSY;
    len = name != NULL ? strnlen(name, SHM_STREAM_NAME_MAX + 1) : 0;
    if (!shmc_alive(h)) {
        rc = -ECHILD;
    } else if (ret_id == NULL || !name_valid(name, len)) {
        rc = shmc_text_set(&h->error, -EINVAL,
                           "stream '%.*s': a name is [A-Za-z0-9][A-Za-z0-9_.-]{0,63}",
                           (int)SHM_STREAM_NAME_MAX + 1, name != NULL ? name : "(null)");
    } else {
        uint16_t id = def_find(h, 0, name, len, 0);

        if (id != 0)
            *ret_id = id;
        else
            rc = stream_define(h, name, len, ret_id);
    }
    shmc_leave(h, SHMC_IDLE);
    return rc;
}

/* ---- schemas ---- */

_Static_assert((int)SHMC_TYPE_BOOL == SHM_FIELD_BOOL && (int)SHMC_TYPE_I32 == SHM_FIELD_I32 &&
                   (int)SHMC_TYPE_I64 == SHM_FIELD_I64 && (int)SHMC_TYPE_U64 == SHM_FIELD_U64 &&
                   (int)SHMC_TYPE_F32 == SHM_FIELD_F32 && (int)SHMC_TYPE_F64 == SHM_FIELD_F64 &&
                   (int)SHMC_TYPE_STRING == SHM_FIELD_STRING &&
                   (int)SHMC_TYPE_BYTES == SHM_FIELD_BYTES &&
                   (int)SHMC_TYPE_TIMESTAMP == SHM_FIELD_TIMESTAMP &&
                   SHMC_NULLABLE == SHM_FIELD_NULLABLE,
               "types of fields");
_Static_assert(sizeof(struct shmc_field) == 24, "shmc_field is ABI");
_Static_assert(SHMC_SLOTS_MAX <= UINT16_MAX, "slots_at");

static int field_wrong(struct shmc *h, unsigned int index, const char *name, const char *why)
{
    return shmc_text_set(&h->error, -EINVAL, "schema: field %u '%.64s': %s", index,
                         name != NULL ? name : "(null)", why);
}

/* What the source comes to, an enum shmc_move_kind; -EINVAL: not for that type. */
static int field_move(const struct shmc_field *field)
{
    bool string = field->type == SHMC_TYPE_STRING, bytes = field->type == SHMC_TYPE_BYTES;
    unsigned int size = shmc_fields_type_bytes(field->type);

    switch (field->source) {
    case SHMC_FROM_NOWHERE:
        return SHMC_MOVE_COUNT;
    case SHMC_FROM_VALUE:
        if (string || bytes)
            return -EINVAL;
        return size == 8 ? SHMC_MOVE_8 : size == 4 ? SHMC_MOVE_4 : SHMC_MOVE_1;
    case SHMC_FROM_FLAG:
        return string || bytes || (field->flags & SHMC_NULLABLE) == 0 ? -EINVAL : SHMC_MOVE_FLAG;
    case SHMC_FROM_STRING:
        return string ? SHMC_MOVE_STRING : -EINVAL;
    case SHMC_FROM_POINTER:
        return string || bytes ? SHMC_MOVE_POINTER : -EINVAL;
    case SHMC_FROM_CHARS:
        return string ? SHMC_MOVE_CHARS : -EINVAL;
    case SHMC_FROM_ARRAY:
        return bytes ? SHMC_MOVE_ARRAY : -EINVAL;
    default:
        return -EINVAL;
    }
}

/* Puts the definition's body together in h->body. */
static int body_make(struct shmc *h, const struct shmc_field *fields, unsigned int count,
                     size_t *ret_len)
{
    struct shm_schema head = {.fields = (uint16_t)count};
    size_t at = sizeof(head);

    if (fields == NULL || count == 0 || count > SHM_FIELDS_MAX)
        return shmc_text_set(&h->error, -EINVAL, "schema: %u fields, it has 1 to %u", count,
                             SHM_FIELDS_MAX);
    memcpy(h->body, &head, sizeof(head));
    for (unsigned int i = 0; i < count; i++) {
        const struct shmc_field *from = &fields[i];
        size_t len = from->name != NULL ? strnlen(from->name, SHM_FIELD_NAME_MAX + 1) : 0;
        struct shm_field field = {from->type, from->flags, (uint8_t)len, 0};

        if (len == 0 || len > SHM_FIELD_NAME_MAX)
            return field_wrong(h, i, from->name, shmc_fields_fault_text(SHMC_FIELDS_NAME));
        if (from->reserved != 0 || from->reserved2 != 0)
            return field_wrong(h, i, from->name, "a reserved word is set");
        if (sizeof(field) + len > sizeof(h->body) - at)
            return shmc_text_set(&h->error, -ENOSPC, "schema: its fields take more than %zu bytes",
                                 sizeof(h->body));
        memcpy(h->body + at, &field, sizeof(field));
        memcpy(h->body + at + sizeof(field), from->name, len);
        at += sizeof(field) + len;
    }
    *ret_len = at;
    return 0;
}

/* Fills in the slots behind those in use, and what ref says of the layout. */
static int slots_make(struct shmc *h, struct shmc_fields *f, const struct shmc_field *fields,
                      struct shmc_def_ref *ref)
{
    struct shmc_slot *slot = &h->slots[h->slots_count];
    struct shmc_fields_one one;

    ref->fields = f->count;
    ref->slots_at = h->slots_count;
    ref->present_at = f->present_at;
    ref->fixed_bytes = f->fixed_bytes;
    for (unsigned int i = 0; shmc_fields_next(f, &one); i++) {
        if (field_move(&fields[i]) < 0)
            return field_wrong(h, i, fields[i].name, "a source that does not go with its type");
        slot[i] = (struct shmc_slot){one.at, one.type, one.nullable};
        ref->required = (uint16_t)(ref->required + !one.nullable);
    }
    return 0;
}

/* The same for the moves, of fields whose sources are good; sorted by kind. */
static void moves_make(struct shmc *h, const struct shmc_field *fields, struct shmc_def_ref *ref)
{
    const struct shmc_slot *slots = &h->slots[h->slots_count];
    struct shmc_move *move = &h->moves[h->slots_count];

    ref->from_struct = true;
    for (int kind = 0; kind <= SHMC_MOVE_COUNT; kind++) {
        for (unsigned int i = 0; i < ref->fields; i++) {
            if (field_move(&fields[i]) != kind)
                continue;
            *move++ = (struct shmc_move){.offset = fields[i].offset,
                                         .extra = fields[i].extra,
                                         .at = slots[i].at,
                                         .index = (uint16_t)i,
                                         .kind = (uint8_t)kind,
                                         .bytes = (uint8_t)shmc_fields_type_bytes(slots[i].type),
                                         .nullable = slots[i].nullable};
            if (kind < SHMC_MOVE_COUNT)
                ref->moves[kind]++;
            else
                ref->from_struct = false;
        }
    }
}

/* Are the moves of a schema with an equal body those that were just made? */
static bool moves_equal(const struct shmc *h, const struct shmc_def_ref *ref)
{
    const struct shmc_move *a = &h->moves[ref->slots_at], *b = &h->moves[h->slots_count];

    for (unsigned int i = 0; i < ref->fields; i++)
        if (a[i].kind != b[i].kind || a[i].index != b[i].index || a[i].offset != b[i].offset ||
            a[i].extra != b[i].extra)
            return false;
    return true;
}

static int schema_declare(struct shmc *h, uint16_t stream, const struct shmc_field *fields,
                          unsigned int count, uint16_t *ret_id)
{
    struct shmc_def_ref ref = {.stream = stream};
    enum shmc_fields_fault fault;
    struct shmc_fields f;
    unsigned int index;
    uint16_t id = 0;
    size_t len = 0;
    int rc;

    rc = body_make(h, fields, count, &len);
    if (rc < 0)
        return rc;
    fault = shmc_fields_open(&f, h->body, len, &index);
    if (fault != SHMC_FIELDS_GOOD)
        return field_wrong(h, index, fields[index].name, shmc_fields_fault_text(fault));
    rc = slots_make(h, &f, fields, &ref);
    if (rc < 0)
        return rc;
    moves_make(h, fields, &ref);
    while ((id = def_find(h, stream, h->body, len, id)) != 0) {
        if (moves_equal(h, &h->defs[id - 1])) {
            *ret_id = id;
            return 0;
        }
    }
    rc = def_room(h, "schema", len);
    if (rc < 0)
        return rc;
    ref.len = (uint16_t)len;
    h->slots_count = (uint16_t)(h->slots_count + count);
    *ret_id = def_put(h, (uint32_t)rc, SHM_DEF_SCHEMA, h->body, ref);
    return 0;
}

int shmc_schema(struct shmc *h, uint16_t stream, const struct shmc_field *fields,
                unsigned int count, uint16_t *ret_id)
{
    const struct shmc_def_ref *of;
    int rc;

    if (!shmc_enter(h))
        return -EBUSY;
    of = shmc_def(h, stream);
    if (!shmc_alive(h))
        rc = -ECHILD;
    else if (ret_id == NULL)
        rc = shmc_text_set(&h->error, -EINVAL, "schema: ret_id");
    else if (of == NULL || of->stream != 0)
        rc = shmc_text_set(&h->error, -EINVAL,
                           "schema: of stream %u, which is no number that shmc_stream has given",
                           stream);
    else
        rc = schema_declare(h, stream, fields, count, ret_id);
    shmc_leave(h, SHMC_IDLE);
    return rc;
}
