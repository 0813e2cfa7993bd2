/*
 * record: typed records as rows.
 *
 * Owns:   a plan owns its steps.
 * Thread: any one at a time.
 * Units:  bytes; `at` is an offset in the payload.
 */
#include "encode/record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "encode/json_check.h"
#include "libshm-client/fields.h"

_Static_assert((int)SHM_FIELD_BOOL == COLUMN_BOOL && (int)SHM_FIELD_I32 == COLUMN_I32 &&
                   (int)SHM_FIELD_I64 == COLUMN_I64 && (int)SHM_FIELD_U64 == COLUMN_U64 &&
                   (int)SHM_FIELD_F32 == COLUMN_F32 && (int)SHM_FIELD_F64 == COLUMN_F64 &&
                   (int)SHM_FIELD_STRING == COLUMN_STRING &&
                   (int)SHM_FIELD_BYTES == COLUMN_BYTES &&
                   (int)SHM_FIELD_TIMESTAMP == COLUMN_TIMESTAMP &&
                   (int)SHM_FIELD_TYPE_COUNT == COLUMN_TYPE_COUNT,
               "fields have the types of columns");
_Static_assert((int)SHM_FIELDS_MAX <= SCHEMA_COLUMNS_MAX &&
                   (int)SHM_FIELD_NAME_MAX <= COLUMN_NAME_BYTES_MAX,
               "each field can be a column");

enum { PREFETCH_BYTES = 512 };

int record_schema_read(const void *body, size_t len, struct schema *ret_schema)
{
    struct shmc_fields_one one;
    struct shmc_fields f;
    unsigned int index;
    int err = 0;

    schema_init(ret_schema);
    if (shmc_fields_open(&f, body, len, &index) != SHMC_FIELDS_GOOD)
        return -EBADMSG;
    while (!err && shmc_fields_next(&f, &one))
        err = schema_add(ret_schema, one.name, one.name_len, (enum column_type)one.type);
    if (err)        /* of names and their number nothing is wrong, so: no memory */
        schema_fini(ret_schema);
    return err;
}

int record_plan_init(struct record_plan *plan, const void *body, size_t len)
{
    struct shmc_fields_one one;
    struct shmc_fields f;
    unsigned int index;

    *plan = (struct record_plan){0};
    if (shmc_fields_open(&f, body, len, &index) != SHMC_FIELDS_GOOD)
        return -EBADMSG;
    plan->steps = calloc(2 * (size_t)f.count, sizeof(*plan->steps));
    if (!plan->steps)
        return -ENOMEM;
    plan->fixed_bytes = f.fixed_bytes;
    plan->present_at = f.present_at;
    for (; shmc_fields_next(&f, &one); plan->strings |= one.type == COLUMN_STRING) {
        plan->steps[plan->count] = (struct record_step){one.at, (uint16_t)plan->count, one.type,
                                                        one.nullable};
        plan->count++;
    }
    for (uint32_t i = 0; i < plan->count; i++) {
        uint8_t type = plan->steps[i].type;

        if (type == COLUMN_BOOL || type == COLUMN_STRING || type == COLUMN_BYTES)
            plan->steps[plan->count + plan->checks++] = plan->steps[i];
    }
    return 0;
}

int record_plan_copy(const struct record_plan *from, struct record_plan *ret_plan)
{
    size_t steps = from->count + from->checks;

    *ret_plan = *from;
    ret_plan->steps = malloc((steps + 1) * sizeof(*from->steps));
    if (!ret_plan->steps)
        return -ENOMEM;
    memcpy(ret_plan->steps, from->steps, steps * sizeof(*from->steps));
    return 0;
}

void record_plan_fini(struct record_plan *plan)
{
    free(plan->steps);
    *plan = (struct record_plan){0};
}

typedef uint64_t ascii_vector __attribute__((vector_size(16)));

/* Many at a time: most strings are ASCII, and then nothing else has to be looked at. */
static bool ascii(const uint8_t *at, uint32_t len)
{
    uint64_t tops = 0;

    if (len >= sizeof(ascii_vector)) {
        const uint8_t *last = at + len - sizeof(ascii_vector);
        ascii_vector all, v;

        memcpy(&all, last, sizeof(all));
        for (; at < last; at += sizeof(v)) {
            memcpy(&v, at, sizeof(v));
            all |= v;
        }
        tops = all[0] | all[1];
    } else if (len >= sizeof(tops)) {
        tops = bytes_get_u64(at) | bytes_get_u64(at + len - sizeof(tops));
    } else {
        for (; len > 0; len--, at++)
            tops |= *at;
    }
    return (tops & 0x8080808080808080U) == 0;
}

static const struct record_fault good = {RECORD_GOOD, 0};

static struct record_fault fault(enum record_fault_what what, uint32_t field)
{
    return (struct record_fault){what, field};
}

/* Of strings that are all in the payload. */
static __attribute__((noinline)) struct record_fault
strings_check(const struct record_plan *plan, const uint8_t *payload)
{
    for (uint32_t i = 0; i < plan->count; i++) {
        const struct record_step *step = &plan->steps[i];
        struct shm_ref ref;

        if (step->type != COLUMN_STRING || !record_has(plan, step, payload))
            continue;
        memcpy(&ref, payload + step->at, sizeof(ref));
        if (!ascii(payload + ref.at, ref.len) && !json_check_utf8(payload + ref.at, ref.len))
            return fault(RECORD_UTF8, i);
    }
    return good;
}

struct record_fault record_check(const struct record_plan *plan, const uint8_t *payload,
                                 uint32_t len)
{
    const struct record_step *step = plan->steps + plan->count, *end = step + plan->checks;
    uint32_t fixed = plan->fixed_bytes;
    uint64_t told = 0;

    /* Records come one behind the other, and this looks at each byte first. */
    __builtin_prefetch(payload + PREFETCH_BYTES);
    __builtin_prefetch(payload + PREFETCH_BYTES + 64);
    if (len < fixed)
        return fault(RECORD_SHORT, 0);
    for (; step < end; step++) {
        struct shm_ref ref;

        if (!record_has(plan, step, payload))
            continue;
        if (step->type == COLUMN_BOOL) {
            if (payload[step->at] > 1)
                return fault(RECORD_BOOL, step->field);
            continue;
        }
        memcpy(&ref, payload + step->at, sizeof(ref));
        if (ref.at < fixed || ref.at > len || ref.len > len - ref.at)
            return fault(RECORD_OUTSIDE, step->field);
        told += ref.len;
    }
    if (told != len - fixed)
        return fault(RECORD_REST, 0);
    if (!plan->strings || ascii(payload + fixed, len - fixed))
        return good;
    return strings_check(plan, payload);
}

static inline void cell_fill(struct cell *cell, uint8_t type, const uint8_t *at,
                             const uint8_t *payload)
{
    struct shm_ref ref;
    float f32;

    switch (type) {
    case COLUMN_BOOL:
        *cell = (struct cell){.u.i = *at, .type = CELL_BOOL};
        break;
    case COLUMN_I32:
        *cell = (struct cell){.u.i = (int32_t)bytes_get_u32(at), .type = CELL_I64};
        break;
    case COLUMN_I64:
        *cell = (struct cell){.u.i = (int64_t)bytes_get_u64(at), .type = CELL_I64};
        break;
    case COLUMN_U64:
        *cell = (struct cell){.u.u = bytes_get_u64(at), .type = CELL_U64};
        break;
    case COLUMN_F32:
        memcpy(&f32, at, sizeof(f32));
        *cell = (struct cell){.u.f = (double)f32, .type = CELL_F64};
        break;
    case COLUMN_F64:
        *cell = (struct cell){.u.u = bytes_get_u64(at), .type = CELL_F64};
        break;
    case COLUMN_TIMESTAMP:
        *cell = (struct cell){.u.i = (int64_t)bytes_get_u64(at), .type = CELL_TIMESTAMP};
        break;
    default:    /* string and bytes */
        memcpy(&ref, at, sizeof(ref));
        *cell = (struct cell){.u.s = payload + ref.at, .len = ref.len,
                              .type = type == COLUMN_STRING ? CELL_STRING : CELL_BYTES};
        break;
    }
}

int record_cells(const struct record_plan *plan, const uint8_t *payload, uint32_t len,
                 struct cell *cells, struct record_fault *ret_fault)
{
    *ret_fault = record_check(plan, payload, len);
    if (ret_fault->what != RECORD_GOOD)
        return -EBADMSG;
    for (uint32_t i = 0; i < plan->count; i++) {
        const struct record_step *step = &plan->steps[i];

        if (record_has(plan, step, payload))
            cell_fill(&cells[i], step->type, payload + step->at, payload);
        else
            cells[i] = (struct cell){.type = CELL_NULL};
    }
    return 0;
}

int record_fault_tell(const struct record_fault *found, const struct schema *schema,
                      struct errmsg *err)
{
    static const char *const texts[] = {
        [RECORD_GOOD] = "nothing is wrong",
        [RECORD_SHORT] = "shorter than the fixed part of its schema",
        [RECORD_BOOL] = "a bool that is neither 0 nor 1",
        [RECORD_OUTSIDE] = "points outside the record",
        [RECORD_UTF8] = "not UTF-8",
        [RECORD_REST] = "its strings and bytes do not add up to its length",
    };

    if (found->what == RECORD_BOOL || found->what == RECORD_OUTSIDE || found->what == RECORD_UTF8)
        return errmsg_set(err, -EBADMSG, "record: field '%s': %s",
                          schema->columns[found->field].name, texts[found->what]);
    return errmsg_set(err, -EBADMSG, "record: %s", texts[found->what]);
}
