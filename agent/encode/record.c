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
    plan->steps = calloc(f.count, sizeof(*plan->steps));
    if (!plan->steps)
        return -ENOMEM;
    plan->fixed_bytes = f.fixed_bytes;
    plan->present_at = f.present_at;
    for (; shmc_fields_next(&f, &one); plan->strings |= one.type == COLUMN_STRING)
        plan->steps[plan->count++] = (struct record_step){one.at, one.type, one.nullable};
    return 0;
}

void record_plan_fini(struct record_plan *plan)
{
    free(plan->steps);
    *plan = (struct record_plan){0};
}

/* Eight at a time: most strings are ASCII, and then nothing else has to be looked at. */
static bool ascii(const uint8_t *at, uint32_t len)
{
    uint64_t tops = 0;

    for (; len >= sizeof(tops); len -= (uint32_t)sizeof(tops), at += sizeof(tops))
        tops |= bytes_get_u64(at);
    for (; len > 0; len--, at++)
        tops |= *at;
    return (tops & 0x8080808080808080U) == 0;
}

static int fault_set(struct record_fault *fault, enum record_fault_what what, uint32_t field)
{
    *fault = (struct record_fault){what, field};
    return -EBADMSG;
}

static int strings_check(const struct record_plan *plan, const struct cell *cells,
                         struct record_fault *ret_fault)
{
    for (uint32_t i = 0; i < plan->count; i++)
        if (cells[i].type == CELL_STRING && !ascii(cells[i].u.s, cells[i].len) &&
            !json_check_utf8(cells[i].u.s, cells[i].len))
            return fault_set(ret_fault, RECORD_UTF8, i);
    return 0;
}

static inline bool present(const struct record_plan *plan, const uint8_t *payload, uint32_t i)
{
    return !plan->steps[i].nullable || (payload[plan->present_at + i / 8] >> i % 8 & 1) != 0;
}

int record_cells(const struct record_plan *plan, const uint8_t *payload, uint32_t len,
                 struct cell *cells, struct record_fault *ret_fault)
{
    uint32_t fixed = plan->fixed_bytes, rest = len - fixed;
    uint64_t told = 0;

    if (len < fixed)
        return fault_set(ret_fault, RECORD_SHORT, 0);
    for (uint32_t i = 0; i < plan->count; i++) {
        const uint8_t *at = payload + plan->steps[i].at;
        struct cell *cell = &cells[i];
        struct shm_ref ref;
        float f32;

        if (!present(plan, payload, i)) {
            *cell = (struct cell){.type = CELL_NULL};
            continue;
        }
        switch (plan->steps[i].type) {
        case COLUMN_BOOL:
            if (*at > 1)
                return fault_set(ret_fault, RECORD_BOOL, i);
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
            cell->type = CELL_F64;
            cell->len = 0;
            memcpy(&cell->u.f, at, sizeof(cell->u.f));
            break;
        case COLUMN_TIMESTAMP:
            *cell = (struct cell){.u.i = (int64_t)bytes_get_u64(at), .type = CELL_TIMESTAMP};
            break;
        default:    /* string and bytes */
            memcpy(&ref, at, sizeof(ref));
            if (ref.at < fixed || ref.at > len || ref.len > len - ref.at)
                return fault_set(ret_fault, RECORD_OUTSIDE, i);
            told += ref.len;
            cell->u.s = payload + ref.at;
            cell->len = ref.len;
            cell->type = plan->steps[i].type == COLUMN_STRING ? CELL_STRING : CELL_BYTES;
            break;
        }
    }
    if (told != rest)
        return fault_set(ret_fault, RECORD_REST, 0);
    *ret_fault = (struct record_fault){0};
    if (!plan->strings || ascii(payload + fixed, rest))
        return 0;
    return strings_check(plan, cells, ret_fault);
}

int record_fault_tell(const struct record_fault *fault, const struct schema *schema,
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

    if (fault->what == RECORD_BOOL || fault->what == RECORD_OUTSIDE || fault->what == RECORD_UTF8)
        return errmsg_set(err, -EBADMSG, "record: field '%s': %s",
                          schema->columns[fault->field].name, texts[fault->what]);
    return errmsg_set(err, -EBADMSG, "record: %s", texts[fault->what]);
}
