/*
 * relay_wire: messages and frames, made and checked.
 *
 * Owns:   nothing.
 * Thread: any.
 */
#include "sink/relay_wire.h"

#include <errno.h>
#include <string.h>

#include "encode/framing.h"
#include "flow/name.h"

enum { ID_BYTES = 24, FORGET_BYTES = 40, HELLO_BYTES = 32, SCHEMA_AT = 8, DATA_AT = 8 };

int64_t relay_wire_next(const uint8_t *data, size_t len, struct relay_message *ret_message)
{
    uint32_t body_len, type;

    if (len < RELAY_HEADER_BYTES)
        return 0;
    body_len = bytes_get_u32(data);
    type = bytes_get_u32(data + 4);
    if (body_len > RELAY_BODY_BYTES_MAX || type < RELAY_HELLO || type >= RELAY_TYPE_END)
        return -EBADMSG;
    if (len - RELAY_HEADER_BYTES < body_len)
        return 0;
    *ret_message = (struct relay_message){
        .type = (enum relay_type)type,
        .ref = bytes_get_u64(data + 8),
        .body = data + RELAY_HEADER_BYTES,
        .len = body_len,
    };
    return RELAY_HEADER_BYTES + (int64_t)body_len;
}

/* --- making --------------------------------------------------------------------------------- */

static void header_put(uint8_t *at, size_t len, enum relay_type type, uint64_t ref)
{
    bytes_put_u32(at, (uint32_t)len);
    bytes_put_u32(at + 4, (uint32_t)type);
    bytes_put_u64(at + 8, ref);
}

/* Two parts of a body, of which either may be empty. */
static int put(struct bytes *out, enum relay_type type, uint64_t ref, const void *first,
               size_t first_len, const void *then, size_t then_len)
{
    uint8_t header[RELAY_HEADER_BYTES];

    header_put(header, first_len + then_len, type, ref);
    if (bytes_reserve(out, sizeof(header) + first_len + then_len))
        return -ENOMEM;
    (void)bytes_append(out, header, sizeof(header));
    if (first_len > 0)
        (void)bytes_append(out, first, first_len);
    if (then_len > 0)
        (void)bytes_append(out, then, then_len);
    return 0;
}

int relay_wire_put(struct bytes *out, enum relay_type type, uint64_t ref, const void *body,
                   size_t len)
{
    return put(out, type, ref, body, len, NULL, 0);
}

int relay_wire_put_u64(struct bytes *out, enum relay_type type, uint64_t ref, uint64_t value)
{
    return put(out, type, ref, &value, sizeof(value), NULL, 0);
}

int relay_wire_put_hello(struct bytes *out, const uint8_t uuid[16])
{
    uint8_t head[HELLO_BYTES - 16] = {0};

    bytes_put_u64(head, RELAY_MAGIC);
    bytes_put_u32(head + 8, RELAY_VERSION);
    return put(out, RELAY_HELLO, 0, head, sizeof(head), uuid, 16);
}

static void id_put(uint8_t at[ID_BYTES], const struct batch_id *id)
{
    memset(at, 0, ID_BYTES);
    bytes_put_u64(at, id->epoch);
    bytes_put_u64(at + 8, id->number);
    bytes_put_u32(at + 16, id->shard);
}

int relay_wire_put_begin(struct bytes *out, uint64_t ref, const struct batch_id *id,
                         const char *stream)
{
    uint8_t head[ID_BYTES];

    id_put(head, id);
    return put(out, RELAY_BEGIN, ref, head, sizeof(head), stream, strlen(stream));
}

int relay_wire_put_text(struct bytes *out, enum relay_type type, uint64_t ref, const char *text)
{
    return put(out, type, ref, text, strlen(text), NULL, 0);
}

int relay_wire_put_forget(struct bytes *out, const struct batch_id *id,
                          const struct batch_id *floor)
{
    uint8_t head[FORGET_BYTES];

    id_put(head, id);
    bytes_put_u64(head + ID_BYTES, floor->epoch);
    bytes_put_u64(head + ID_BYTES + 8, floor->number);
    return put(out, RELAY_FORGET, 0, head, sizeof(head), NULL, 0);
}

int relay_wire_put_schema(struct bytes *out, uint64_t ref, uint16_t number, const void *body,
                          size_t len)
{
    uint8_t head[SCHEMA_AT] = {0};

    bytes_put_u32(head, number);
    return put(out, RELAY_SCHEMA, ref, head, sizeof(head), body, len);
}

int relay_wire_data_begin(struct bytes *out, uint64_t ref, uint64_t offset, size_t *ret_at)
{
    *ret_at = out->len;
    return put(out, RELAY_DATA, ref, &offset, sizeof(offset), NULL, 0);
}

void relay_wire_data_end(struct bytes *out, size_t at)
{
    bytes_put_u32(out->data + at, (uint32_t)(out->len - at - RELAY_HEADER_BYTES));
}

/* --- reading -------------------------------------------------------------------------------- */

int relay_wire_hello(const struct relay_message *m, uint8_t ret_uuid[16])
{
    if (m->type != RELAY_HELLO || m->len != HELLO_BYTES || bytes_get_u64(m->body) != RELAY_MAGIC
        || bytes_get_u32(m->body + 8) != RELAY_VERSION)
        return -EBADMSG;
    memcpy(ret_uuid, m->body + 16, 16);
    return 0;
}

static int id_get(const struct relay_message *m, struct batch_id *ret_id)
{
    if (m->len < ID_BYTES || bytes_get_u32(m->body + 16) > UINT16_MAX
        || bytes_get_u32(m->body + 20) != 0)
        return -EBADMSG;
    *ret_id = (struct batch_id){
        .epoch = bytes_get_u64(m->body),
        .shard = (uint16_t)bytes_get_u32(m->body + 16),
        .number = bytes_get_u64(m->body + 8),
    };
    return 0;
}

int relay_wire_begin(const struct relay_message *m, struct batch_id *ret_id,
                     char ret_stream[SHM_STREAM_NAME_MAX + 1])
{
    size_t len = m->len - ID_BYTES;

    if (id_get(m, ret_id))
        return -EBADMSG;
    if (len > SHM_STREAM_NAME_MAX || !stream_name_valid((const char *)m->body + ID_BYTES, len))
        return -EINVAL;
    memcpy(ret_stream, m->body + ID_BYTES, len);
    ret_stream[len] = '\0';
    return 0;
}

int relay_wire_forget(const struct relay_message *m, struct batch_id *ret_id,
                      struct batch_id *ret_floor)
{
    if (m->len != FORGET_BYTES || id_get(m, ret_id))
        return -EBADMSG;
    *ret_floor = (struct batch_id){
        .epoch = bytes_get_u64(m->body + ID_BYTES),
        .shard = ret_id->shard,
        .number = bytes_get_u64(m->body + ID_BYTES + 8),
    };
    return 0;
}

int relay_wire_schema(const struct relay_message *m, uint16_t *ret_number, const uint8_t **ret_body,
                      uint32_t *ret_len)
{
    uint32_t number = m->len > SCHEMA_AT ? bytes_get_u32(m->body) : 0;

    if (number == 0 || number > SHM_DEFS_MAX || bytes_get_u32(m->body + 4) != 0
        || m->len - SCHEMA_AT > SHM_DEFS_BYTES)
        return -EBADMSG;
    *ret_number = (uint16_t)number;
    *ret_body = m->body + SCHEMA_AT;
    *ret_len = m->len - SCHEMA_AT;
    return 0;
}

int relay_wire_u64(const struct relay_message *m, uint64_t *ret_value)
{
    bool right = m->type == RELAY_DATA ? m->len >= DATA_AT : m->len == DATA_AT;

    if (!right)
        return -EBADMSG;
    *ret_value = bytes_get_u64(m->body);
    return 0;
}

int64_t relay_frame_next(const uint8_t *data, uint64_t len, bool file,
                         struct shm_frame *ret_frame, const uint8_t **ret_payload)
{
    struct shm_frame f;
    bool schema, numbered;

    if (len < sizeof(f))
        return 0;
    memcpy(&f, data, sizeof(f));
    schema = file && f.kind == FRAMING_KIND_SCHEMA;
    numbered = schema || f.kind == SHM_KIND_RECORD;
    if (f.len > SHM_EVENT_BYTES_MAX || f.flags != 0 || f.def > SHM_DEFS_MAX
        || numbered != (f.def != 0)
        || (!schema && (f.kind == SHM_KIND_NONE || f.kind >= SHM_KIND_COUNT)))
        return -EBADMSG;
    if (shm_frame_bytes(f.len) > len)
        return 0;
    *ret_frame = f;
    *ret_payload = data + sizeof(f);
    return (int64_t)shm_frame_bytes(f.len);
}
