/*
 * parquet_fill: fields of records into columns.
 *
 * Owns:   a parquet_fill owns its copy of the plan and of the records that wait.
 * Thread: the writer's.
 */
#include "encode/parquet_fill.h"

#include "shm_wire.h"

int parquet_fill_open(struct parquet_fill *f, const struct record_plan *plan)
{
    *f = (struct parquet_fill){.payloads = BYTES_INIT};
    return record_plan_copy(plan, &f->plan);
}

void parquet_fill_close(struct parquet_fill *f)
{
    record_plan_fini(&f->plan);
    bytes_free(&f->payloads);
}

void parquet_fill_clear(struct parquet_fill *f)
{
    bytes_clear(&f->payloads);
    f->count = 0;
}

/* Of fields that always have a value. */
static inline __attribute__((always_inline)) void
numbers_fill(const struct parquet_fill *f, uint32_t at, struct parquet_column *c, size_t width)
{
    uint8_t *to;

    if (!parquet_column_has_room(c, f->count * width))
        return;
    to = c->values.data + c->values.len;
    for (uint32_t i = 0; i < f->count; i++, to += width)
        memcpy(to, f->payloads.data + f->starts[i] + at, width);
    c->values.len += f->count * width;
    c->rows += f->count;
}

static void nullable_fill(const struct parquet_fill *f, const struct record_step *step,
                          struct parquet_column *c)
{
    for (uint32_t i = 0; i < f->count; i++) {
        const uint8_t *payload = f->payloads.data + f->starts[i];
        uint64_t word = 0;

        if (!record_has(&f->plan, step, payload)) {
            parquet_column_null(c);
            continue;
        }
        memcpy(&word, payload + step->at, c->value_bytes);
        parquet_column_number(c, word);
    }
}

static inline struct shm_ref ref_at(const uint8_t *payload, const struct record_step *step)
{
    struct shm_ref ref;

    memcpy(&ref, payload + step->at, sizeof(ref));
    return ref;
}

/* Where all of them fit, whichever they are, and each has a value. */
static void strings_fill_all(const struct parquet_fill *f, const struct record_step *step,
                             struct parquet_column *c)
{
    uint8_t *to = c->values.data + c->values.len;

    for (uint32_t i = 0; i < f->count; i++) {
        const uint8_t *payload = f->payloads.data + f->starts[i];
        struct shm_ref ref = ref_at(payload, step);

        bytes_put_u32(to, ref.len);
        to += sizeof(ref.len);
        for (uint32_t at = 0; at < ref.len; at += PARQUET_FILL_SLACK)
            memcpy(to + at, payload + ref.at + at, PARQUET_FILL_SLACK);
        to += ref.len;
    }
    c->values.len = (size_t)(to - c->values.data);
    c->rows += f->count;
}

static void strings_fill(const struct parquet_fill *f, const struct record_step *step,
                         struct parquet_column *c)
{
    size_t most = f->payloads.len + f->count * sizeof(uint32_t);

    if (!step->nullable && c->values.len + most <= c->values_max
        && parquet_column_has_room(c, most + PARQUET_FILL_SLACK)) {
        strings_fill_all(f, step, c);
        return;
    }
    for (uint32_t i = 0; i < f->count; i++) {
        const uint8_t *payload = f->payloads.data + f->starts[i];
        struct shm_ref ref;

        if (!record_has(&f->plan, step, payload)) {
            parquet_column_null(c);
            continue;
        }
        ref = ref_at(payload, step);
        parquet_column_string(c, payload + ref.at, ref.len);
    }
}

void parquet_fill_column(const struct parquet_fill *f, uint32_t field, struct parquet_column *c)
{
    const struct record_step *step = &f->plan.steps[field];

    if (c->value_bytes == 0)
        strings_fill(f, step, c);
    else if (step->nullable)
        nullable_fill(f, step, c);
    else if (c->value_bytes == sizeof(uint64_t))
        numbers_fill(f, step->at, c, sizeof(uint64_t));
    else if (c->value_bytes == sizeof(uint32_t))
        numbers_fill(f, step->at, c, sizeof(uint32_t));
    else
        numbers_fill(f, step->at, c, sizeof(uint8_t));
}
