/*
 * record: typed records, from a struct by one call or field by field, packed as shm_wire.h draws
 * them straight into the ring.
 *
 * READ FIRST: struct_pack() moves one field after the other; struct_write() is the normal path of
 * shmc_write_struct, struct_write_slow() what happens when a record may not fit below the limit.
 *
 * Owns:   nothing; works on the handle's ring.
 * Thread: the handle's; nested calls of a signal handler are refused.
 * Units:  bytes; places and `used` are offsets in the payload.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>

#include "frame.h"

enum { CHARS_SHORT = 8 };

_Static_assert(sizeof(bool) == 1, "SHMC_MOVE_1 moves a bool");

/* ---- bytes ---- */

/* Apart, so that the short ones, which are copied in place, save no registers for it. */
static __attribute__((noinline)) void bytes_large_put(uint8_t *to, const void *from, size_t len)
{
    frame_large_put(to, from, len);
}

SHMC_INLINE void bytes_put(uint8_t *to, const void *from, size_t len)
{
    if (SHMC_LIKELY(len <= FRAME_SMALL_MAX))
        frame_small_put(to, from, len);
    else
        bytes_large_put(to, from, len);
}

/* Where field i has a value, and where not. */
SHMC_INLINE void absent_put(uint8_t *payload, const struct shmc_def_ref *schema, unsigned int i)
{
    uint8_t *at = payload + schema->present_at + i / 8;

    *at = (uint8_t)(*at & ~(1U << i % 8));
}

static inline uint32_t present_bytes(const struct shmc_def_ref *schema)
{
    return (schema->fields + 7U) / 8;
}

/* All fields have a value, until absent_put() says otherwise. */
SHMC_INLINE void present_put(uint8_t *payload, const struct shmc_def_ref *schema)
{
    uint32_t bytes;

    if (schema->present_at == 0)
        return;
    bytes = present_bytes(schema);
    for (uint32_t i = 0; i < bytes - 1; i++)
        payload[schema->present_at + i] = 0xff;
    payload[schema->present_at + bytes - 1] = (uint8_t)(0xffU >> (bytes * 8 - schema->fields));
}

SHMC_INLINE void value_put(uint8_t *to, const uint8_t *from, uint8_t bytes)
{
    uint64_t word8;
    uint32_t word4;

    if (bytes == sizeof(word8)) {
        memcpy(&word8, from, sizeof(word8));
        memcpy(to, &word8, sizeof(word8));
    } else if (bytes == sizeof(word4)) {
        memcpy(&word4, from, sizeof(word4));
        memcpy(to, &word4, sizeof(word4));
    } else {
        *to = *from != 0;
    }
}

SHMC_INLINE void zero_put(uint8_t *to, uint8_t bytes)
{
    static const uint8_t zeros[8];

    value_put(to, zeros, bytes);
}

/* ---- from a struct ---- */

/* What a string or byte field of a struct is; data NULL: it has no value. */
struct run {
    const void *data;
    size_t len;
};

/* To the first NUL or the end. Codes of two letters and the like need no call. */
SHMC_INLINE size_t chars_len(const uint8_t *from, size_t max)
{
    size_t len = 0;

    if (max > CHARS_SHORT)
        return strnlen((const char *)from, max);
    while (len < max && from[len] != 0)
        len++;
    return len;
}

SHMC_INLINE struct run run_get(const struct shmc_move *move, const uint8_t *value)
{
    const uint8_t *from = value + move->offset;
    const void *data;
    size_t len;

    switch (move->kind) {
    case SHMC_MOVE_STRING:
        memcpy(&data, from, sizeof(data));
        return (struct run){data, data != NULL ? strlen(data) : 0};
    case SHMC_MOVE_POINTER:
        memcpy(&data, from, sizeof(data));
        memcpy(&len, value + move->extra, sizeof(len));
        /* Nothing of nothing is an empty value where there has to be one. */
        return (struct run){data == NULL && len == 0 && !move->nullable ? from : data, len};
    case SHMC_MOVE_CHARS:
        return (struct run){from, chars_len(from, move->extra)};
    default:
        return (struct run){from, move->extra};
    }
}

enum { PACK_FULL = -1, PACK_MISSING = -2 };

/* Values that stand in the struct: loops that each do one thing. Returns the first run's move. */
SHMC_INLINE const struct shmc_move *values_pack(const struct shmc *h,
                                                const struct shmc_def_ref *schema,
                                                const uint8_t *value, uint8_t *payload)
{
    const struct shmc_move *move = &h->moves[schema->slots_at], *end;

    for (end = move + schema->moves[SHMC_MOVE_8]; move != end; move++)
        value_put(payload + move->at, value + move->offset, 8);
    for (end += schema->moves[SHMC_MOVE_4]; move != end; move++)
        value_put(payload + move->at, value + move->offset, 4);
    for (end += schema->moves[SHMC_MOVE_1]; move != end; move++)
        value_put(payload + move->at, value + move->offset, 1);
    for (end += schema->moves[SHMC_MOVE_FLAG]; move != end; move++) {
        if (value[move->extra] != 0) {
            value_put(payload + move->at, value + move->offset, move->bytes);
        } else {
            zero_put(payload + move->at, move->bytes);
            absent_put(payload, schema, move->index);
        }
    }
    return move;
}

/*
 * Packs the struct into payload[0..cap), cap at least the fixed part. Returns the length, or FULL,
 * or MISSING with the field that has no value and must; the payload then holds anything.
 */
SHMC_INLINE int64_t struct_pack(const struct shmc *h, const struct shmc_def_ref *schema,
                                const uint8_t *value, uint8_t *payload, uint32_t cap,
                                unsigned int *ret_index)
{
    const struct shmc_move *move, *end = &h->moves[schema->slots_at + schema->fields];
    uint32_t used = schema->fixed_bytes;

    present_put(payload, schema);
    for (move = values_pack(h, schema, value, payload); move != end; move++) {
        struct run run = run_get(move, value);

        if (SHMC_LIKELY(run.data != NULL)) {
            if (SHMC_UNLIKELY(run.len > cap - used))
                return PACK_FULL;
            word_put(payload + move->at, (uint64_t)run.len << 32 | used);
            bytes_put(payload + used, run.data, run.len);
            used += (uint32_t)run.len;
        } else if (move->nullable) {
            zero_put(payload + move->at, 8);
            absent_put(payload, schema, move->index);
        } else {
            *ret_index = move->index;
            return PACK_MISSING;
        }
    }
    return used;
}

/* The length that struct_pack() comes to; more than fits an event: any such number. */
static uint64_t struct_len(const struct shmc *h, const struct shmc_def_ref *schema,
                           const uint8_t *value)
{
    const struct shmc_move *move = &h->moves[schema->slots_at], *end = move + schema->fields;
    uint64_t len = schema->fixed_bytes;

    for (; move != end && len <= h->event_bytes_max; move++) {
        struct run run = {NULL, 0};

        if (move->kind >= SHMC_MOVE_STRING)
            run = run_get(move, value);
        if (run.data != NULL)
            len += run.len <= h->event_bytes_max ? run.len : h->event_bytes_max + 1U;
    }
    return len;
}

/* From inside: why the schema cannot be that of a struct. */
static int schema_refused(struct shmc *h, uint16_t number, bool from_struct)
{
    const struct shmc_def_ref *schema = shmc_def(h, number);

    if (!shmc_alive(h))
        return -ECHILD;
    if (schema == NULL || schema->stream == 0)
        return shmc_text_set(&h->error, -EINVAL, "schema %u: shmc_schema has not given this number",
                             number);
    if (from_struct && !schema->from_struct)
        return shmc_text_set(&h->error, -EINVAL, "schema %u: not all of its fields have a source",
                             number);
    return shmc_text_set(&h->error, -EINVAL, "schema %u: the struct is NULL", number);
}

static int field_missing(struct shmc *h, unsigned int index)
{
    return shmc_text_set(&h->error, -ENODATA, "field %u has no value and is not nullable", index);
}

/* From inside, and leaves: finds out how long the record is, and makes room. */
static __attribute__((noinline)) int struct_write_slow(struct shmc *h, uint16_t number,
                                                       uint64_t time_ns, const uint8_t *value)
{
    const struct shmc_def_ref *schema = shmc_def(h, number);
    uint64_t bytes, len = struct_len(h, schema, value);
    unsigned int index = 0;
    int64_t packed;
    uint8_t *frame;
    int rc;

    if (len > h->event_bytes_max) {
        shmc_leave(h, SHMC_IDLE);
        return shmc_text_set(&h->error, -EMSGSIZE, "record of more than %u bytes",
                             h->event_bytes_max);
    }
    bytes = shm_frame_bytes((uint32_t)len);
    rc = bytes > shmc_room(h) ? shmc_room_make(h, bytes) : 0;
    if (rc == 0) {
        frame = h->segment.data + (shmc_head(h) & (h->segment.data_bytes - 1));
        frame_padding_put(frame, bytes);
        packed = struct_pack(h, schema, value, frame + sizeof(struct shm_frame), (uint32_t)len,
                             &index);
        if (packed == (int64_t)len) {
            frame_header_put(frame, (struct shmc_event){time_ns, (uint32_t)len, number,
                                                        SHMC_RECORD});
            shmc_publish(h, bytes, (uint32_t)len);
        } else if (packed == PACK_MISSING) {
            rc = field_missing(h, index);
        } else {
            rc = shmc_text_set(&h->error, -EINVAL, "the struct was changed during the call");
        }
    } else if (rc == -EAGAIN && h->full == SHMC_FULL_DROP) {
        rc = 0;
    }
    shmc_leave(h, SHMC_IDLE);
    return rc;
}

/*
 * Packs into what is below the limit, without knowing how much it will be. Eight bytes more than
 * the payload have to be there, so that the padding can be put behind it as a word. The header goes
 * first, and what can be asked for again is: packing has more to keep than there are registers.
 */
SHMC_INLINE int struct_write(struct shmc *h, uint16_t number, bool own_clock, uint64_t time_ns,
                             const void *value)
{
    const uint64_t beside = sizeof(struct shm_frame) + SHM_FRAME_ALIGN;
    const struct shmc_def_ref *schema;
    unsigned int index = 0;
    uint64_t room;
    int64_t packed = PACK_FULL;
    uint32_t len;
    uint8_t *frame;
    int rc;

    if (SHMC_UNLIKELY(!shmc_enter(h)))
        return -EBUSY;
    schema = shmc_def(h, number);
    if (SHMC_UNLIKELY(schema == NULL || !schema->from_struct || value == NULL)) {
        rc = schema_refused(h, number, true);
        shmc_leave(h, SHMC_IDLE);
        return rc;
    }
    if (own_clock && h->clock != SHMC_CLOCK_NONE)
        time_ns = shmc_event_time_ns(h);
    room = shmc_room(h);
    frame = h->end - room;
    if (SHMC_UNLIKELY(room < beside + schema->fixed_bytes))
        return struct_write_slow(h, number, time_ns, value);
    frame_line_ahead(frame + FRAME_AHEAD_BYTES);
    frame_line_ahead(frame + FRAME_AHEAD_BYTES + FRAME_LINE_BYTES);
    frame_header_put(frame, (struct shmc_event){time_ns, 0, number, SHMC_RECORD});
    packed = struct_pack(h, schema, value, frame + sizeof(struct shm_frame),
                         (uint32_t)(room - beside), &index);
    if (SHMC_UNLIKELY(packed < 0)) {
        if (packed == PACK_FULL) {
            memcpy(&time_ns, frame + offsetof(struct shm_frame, time_ns), sizeof(time_ns));
            return struct_write_slow(h, number, time_ns, value);
        }
        rc = field_missing(h, index);
        shmc_leave(h, SHMC_IDLE);
        return rc;
    }
    len = (uint32_t)packed;
    memcpy(frame + offsetof(struct shm_frame, len), &len, sizeof(len));
    word_put(frame + sizeof(struct shm_frame) + len, 0);
    frame_done(h, shmc_room(h), shm_frame_bytes(len), len);
    return 0;
}

int shmc_write_struct(struct shmc *h, uint16_t schema, const void *value)
{
    return struct_write(h, schema, true, 0, value);
}

int shmc_write_struct_at(struct shmc *h, uint16_t schema, uint64_t time_ns, const void *value)
{
    return struct_write(h, schema, false, time_ns, value);
}

/* ---- field by field ---- */

int shmc_record_begin(struct shmc *h, uint16_t number, size_t bytes_max)
{
    struct shmc_record *r = &h->record;
    const struct shmc_def_ref *schema;
    int rc;

    if (!shmc_enter(h))
        return -EBUSY;
    schema = shmc_def(h, number);
    if (schema == NULL || schema->stream == 0) {
        rc = schema_refused(h, number, false);
    } else if (bytes_max > h->event_bytes_max ||
               schema->fixed_bytes + bytes_max > h->event_bytes_max) {
        rc = shmc_text_set(&h->error, -EMSGSIZE, "record of %u and %zu bytes, at most %u fit",
                           schema->fixed_bytes, bytes_max, h->event_bytes_max);
    } else {
        r->cap = schema->fixed_bytes + (uint32_t)bytes_max;
        rc = shmc_reserve_open(h, number, SHMC_RECORD, r->cap, &r->payload);
    }
    if (rc == 0) {
        r->schema = schema;
        r->slots = &h->slots[schema->slots_at];
        r->used = schema->fixed_bytes;
        r->left = schema->required;
        r->error = 0;
        /* A loop, as these are few words, for which compilers use slow instructions. */
        for (unsigned int i = 0; i < schema->fields; i += 64)
            r->present[i / 64] = 0;
        /* No old bytes of the ring stay where a field has no value. */
        if (schema->present_at != 0)
            memset(r->payload, 0, schema->fixed_bytes);
    }
    shmc_leave(h, rc == 0 ? SHMC_IN_RECORD : SHMC_IDLE);
    return rc;
}

/* Why a field cannot be set; the record will not be committed. From inside, and leaves. */
static __attribute__((noinline)) int field_refused(struct shmc *h, unsigned int field, uint8_t type)
{
    struct shmc_record *r = &h->record;
    int rc;

    if (field >= r->schema->fields)
        rc = shmc_text_set(&h->error, -EINVAL, "field %u: the schema has %u", field,
                           r->schema->fields);
    else if (r->slots[field].type != type)
        rc = shmc_text_set(&h->error, -EINVAL, "field %u: it is declared with another type", field);
    else if ((r->present[field / 64] >> field % 64 & 1) != 0)
        rc = shmc_text_set(&h->error, -EALREADY, "field %u", field);
    else
        rc = shmc_text_set(&h->error, -EMSGSIZE, "field %u: %u bytes are left", field,
                           r->cap - r->used);
    if (r->error == 0)
        r->error = rc;
    shmc_leave(h, SHMC_IN_RECORD);
    return rc;
}

/* Enters and marks the field as set: its place, and the caller leaves; or NULL and *ret_rc. */
SHMC_INLINE uint8_t *field_begin(struct shmc *h, unsigned int field, uint8_t type, size_t len,
                                 int *ret_rc)
{
    uint32_t busy = atomic_load_explicit(&h->gate.part.busy, memory_order_relaxed);
    struct shmc_record *r = &h->record;
    const struct shmc_slot *slot;
    uint64_t *word, bit = 1ULL << field % 64;

    if (SHMC_UNLIKELY(busy != SHMC_IN_RECORD)) {
        *ret_rc = shmc_reserve_none(h, busy);
        return NULL;
    }
    atomic_store_explicit(&h->gate.part.busy, SHMC_IN_CALL, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    if (SHMC_UNLIKELY(field >= r->schema->fields)) {
        *ret_rc = field_refused(h, field, type);
        return NULL;
    }
    slot = &r->slots[field];
    word = &r->present[field / 64];
    if (SHMC_UNLIKELY(slot->type != type || (*word & bit) != 0 || len > r->cap - r->used)) {
        *ret_rc = field_refused(h, field, type);
        return NULL;
    }
    *word |= bit;
    r->left = (uint16_t)(r->left - !slot->nullable);
    return r->payload + slot->at;
}

SHMC_INLINE int value_set(struct shmc *h, unsigned int field, uint8_t type, const void *value,
                          uint8_t bytes)
{
    int rc = 0;
    uint8_t *to = field_begin(h, field, type, 0, &rc);

    if (SHMC_UNLIKELY(to == NULL))
        return rc;
    value_put(to, value, bytes);
    shmc_leave(h, SHMC_IN_RECORD);
    return 0;
}

int shmc_set_bool(struct shmc *h, unsigned int field, bool value)
{
    uint8_t byte = value;

    return value_set(h, field, SHM_FIELD_BOOL, &byte, 1);
}

int shmc_set_i32(struct shmc *h, unsigned int field, int32_t value)
{
    return value_set(h, field, SHM_FIELD_I32, &value, 4);
}

int shmc_set_i64(struct shmc *h, unsigned int field, int64_t value)
{
    return value_set(h, field, SHM_FIELD_I64, &value, 8);
}

int shmc_set_u64(struct shmc *h, unsigned int field, uint64_t value)
{
    return value_set(h, field, SHM_FIELD_U64, &value, 8);
}

int shmc_set_f32(struct shmc *h, unsigned int field, float value)
{
    return value_set(h, field, SHM_FIELD_F32, &value, 4);
}

int shmc_set_f64(struct shmc *h, unsigned int field, double value)
{
    return value_set(h, field, SHM_FIELD_F64, &value, 8);
}

int shmc_set_timestamp(struct shmc *h, unsigned int field, int64_t value_us)
{
    return value_set(h, field, SHM_FIELD_TIMESTAMP, &value_us, 8);
}

SHMC_INLINE int run_set(struct shmc *h, unsigned int field, uint8_t type, const void *data,
                        size_t len)
{
    struct shmc_record *r = &h->record;
    int rc = 0;
    uint8_t *to = field_begin(h, field, type, len, &rc);

    if (SHMC_UNLIKELY(to == NULL))
        return rc;
    word_put(to, (uint64_t)len << 32 | r->used);
    bytes_put(r->payload + r->used, data, len);
    r->used += (uint32_t)len;
    shmc_leave(h, SHMC_IN_RECORD);
    return 0;
}

int shmc_set_string(struct shmc *h, unsigned int field, const char *text, size_t len)
{
    return run_set(h, field, SHM_FIELD_STRING, text, len);
}

int shmc_set_bytes(struct shmc *h, unsigned int field, const void *data, size_t len)
{
    return run_set(h, field, SHM_FIELD_BYTES, data, len);
}

/* The first required field that was not set. */
static int record_incomplete(struct shmc *h)
{
    const struct shmc_record *r = &h->record;
    unsigned int i = 0;

    while (r->slots[i].nullable || (r->present[i / 64] >> i % 64 & 1) != 0)
        i++;
    return field_missing(h, i);
}

int shmc_record_commit(struct shmc *h)
{
    uint32_t busy = atomic_load_explicit(&h->gate.part.busy, memory_order_relaxed);
    struct shmc_record *r = &h->record;
    int rc;

    if (SHMC_UNLIKELY(busy != SHMC_IN_RECORD))
        return shmc_reserve_none(h, busy);
    atomic_store_explicit(&h->gate.part.busy, SHMC_IN_CALL, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    if (SHMC_UNLIKELY(r->error != 0 || r->left != 0)) {
        rc = r->error != 0 ? r->error : record_incomplete(h);
        shmc_leave(h, SHMC_IDLE);
        return rc;
    }
    if (r->schema->present_at != 0)
        memcpy(r->payload + r->schema->present_at, r->present, present_bytes(r->schema));
    shmc_reserve_commit(h, r->used);
    return 0;
}
