/*
 * records: definitions and payloads.
 *
 * Owns:   nothing.
 * Thread: any.
 */
#include "simulate/records.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "encode/record.h"
#include "shm_wire.h"

struct field {
    uint8_t type, flags;
    char name;
};

static const struct field fields[RECORDS_TYPES][8] = {
    [RECORDS_PLAIN] = {{SHM_FIELD_I32, 0, 'p'}, {SHM_FIELD_I64, 0, 'n'}, {SHM_FIELD_I32, 0, 'g'},
                       {SHM_FIELD_STRING, 0, 'x'}},
    [RECORDS_WIDE] = {{SHM_FIELD_I64, 0, 'p'}, {SHM_FIELD_I64, 0, 'n'}, {SHM_FIELD_I64, 0, 'g'},
                      {SHM_FIELD_F64, SHM_FIELD_NULLABLE, 't'},
                      {SHM_FIELD_STRING, SHM_FIELD_NULLABLE, 'x'}},
    [RECORDS_OTHER] = {{SHM_FIELD_TIMESTAMP, 0, 'w'}, {SHM_FIELD_U64, 0, 'n'},
                       {SHM_FIELD_STRING, 0, 'g'}, {SHM_FIELD_BOOL, 0, 'b'},
                       {SHM_FIELD_F32, 0, 't'}, {SHM_FIELD_BYTES, 0, 'x'}},
};

size_t records_body(unsigned type, uint8_t body[RECORDS_BODY_MAX])
{
    size_t len = 4;

    memset(body, 0, len);
    for (const struct field *f = fields[type]; f->name != '\0'; f++) {
        struct shm_field field = {f->type, f->flags, 1, 0};

        body[0]++;
        memcpy(body + len, &field, sizeof(field));
        body[len + sizeof(field)] = (uint8_t)f->name;
        len += sizeof(field) + 1;
    }
    return len;
}

static uint32_t text_put(uint8_t *payload, uint32_t at, uint32_t end, const void *text,
                         uint32_t len)
{
    struct shm_ref ref = {end, len};

    memcpy(payload + at, &ref, sizeof(ref));
    memcpy(payload + end, text, len);
    return end + len;
}

uint32_t records_write(unsigned type, const struct record_values *values, uint8_t *payload)
{
    static uint8_t text[1 << 20];
    uint8_t body[RECORDS_BODY_MAX];
    struct record_plan plan;
    uint64_t number = values->number;
    double f64 = values->number / 4.0;
    float f32 = (float)f64;
    char group = (char)('0' + values->group);
    uint32_t end;

    if (record_plan_init(&plan, body, records_body(type, body))
        || plan.fixed_bytes + 1 > RECORDS_FIXED_MAX || values->text_len > sizeof(text))
        abort();
    end = plan.fixed_bytes;
    memset(payload, 0, end);
    memset(text, values->text, values->text_len);
    for (uint32_t i = 0; i < plan.count; i++) {
        uint32_t at = plan.steps[i].at;

        if (plan.steps[i].nullable && values->number % (i + 2) == 0)
            continue;                           /* it is null */
        if (plan.steps[i].nullable)
            payload[plan.present_at + i / 8] |= (uint8_t)(1U << i % 8);
        switch (fields[type][i].name) {
        case 'p':
        case 'n':
        case 'g':
        case 'w':
            number = fields[type][i].name == 'p'   ? values->producer
                     : fields[type][i].name == 'g' ? values->group : values->number;
            if (plan.steps[i].type == SHM_FIELD_STRING)
                end = text_put(payload, at, end, &group, 1);
            else
                memcpy(payload + at, &number, plan.steps[i].type == SHM_FIELD_I32 ? 4 : 8);
            break;
        case 't':
            if (plan.steps[i].type == SHM_FIELD_F64)
                memcpy(payload + at, &f64, sizeof(f64));
            else
                memcpy(payload + at, &f32, sizeof(f32));
            break;
        case 'b':
            payload[at] = values->number % 2;
            break;
        default:
            end = text_put(payload, at, end, text, values->text_len);
        }
    }
    record_plan_fini(&plan);
    return end;
}
