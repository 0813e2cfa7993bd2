/*
 * record: typed records as rows: the schema that a producer declared becomes columns, the payload
 * of each of its events cells. Pure.
 *
 * Both come from a stranger. A definition is checked when its ring is read, and again here; of a
 * payload every byte that is used is checked: what comes out are cells as row.h promises them, and
 * the bytes of all strings together are never more than the payload has. The layout is in
 * shm_wire.h.
 *
 * Owns:   a plan owns its steps; cells borrow their bytes from the payload.
 * Thread: any one at a time; a plan that is not changed, any number.
 * Units:  bytes.
 */
#ifndef ENCODE_RECORD_H
#define ENCODE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/errmsg.h"
#include "encode/row.h"
#include "encode/schema.h"

/* The columns of a schema definition's body. 0, -EBADMSG: malformed, -ENOMEM. */
int record_schema_read(const void *body, size_t len, struct schema *ret_schema);

/* Where the fields of a record lie. Made once for a schema. */
struct record_step {
    uint16_t at, field;
    uint8_t type;               /* enum column_type */
    uint8_t nullable;
};

struct record_plan {
    struct record_step *steps;  /* owned; a field each, and behind them those to be checked */
    uint32_t count, checks;
    uint32_t fixed_bytes;
    uint32_t present_at;        /* 0: no field is nullable */
    bool strings;               /* some field is one */
};

int record_plan_init(struct record_plan *plan, const void *body, size_t len);  /* as above */
int record_plan_copy(const struct record_plan *from, struct record_plan *ret_plan); /* or -ENOMEM */
void record_plan_fini(struct record_plan *plan);        /* zeroed is fine */

enum record_fault_what {
    RECORD_GOOD,
    RECORD_SHORT,               /* shorter than its fixed part */
    RECORD_BOOL,                /* neither 0 nor 1 */
    RECORD_OUTSIDE,             /* a string or bytes that are not all in the payload */
    RECORD_UTF8,                /* a string that is not UTF-8 */
    RECORD_REST                 /* strings and bytes do not add up to the payload */
};

struct record_fault {
    enum record_fault_what what;
    uint32_t field;             /* of BOOL, OUTSIDE, UTF8 */
};

/* The first fault that is found in the payload, or RECORD_GOOD. */
struct record_fault record_check(const struct record_plan *plan, const uint8_t *payload,
                                 uint32_t len);

/* Of a payload that was checked. */
static inline bool record_has(const struct record_plan *plan, const struct record_step *step,
                              const uint8_t *payload)
{
    return !step->nullable
           || (payload[plan->present_at + step->field / 8] >> step->field % 8 & 1) != 0;
}

/*
 * Fills plan->count cells, one for each field in declared order; CELL_NULL where it has no value.
 * 0, or -EBADMSG with what record_check() finds; the cells are then worth nothing.
 */
int record_cells(const struct record_plan *plan, const uint8_t *payload, uint32_t len,
                 struct cell *cells, struct record_fault *ret_fault);

/* The fault in words, for the error output: "field 'user': not UTF-8". Returns -EBADMSG. */
int record_fault_tell(const struct record_fault *found, const struct schema *schema,
                      struct errmsg *err);

#endif
