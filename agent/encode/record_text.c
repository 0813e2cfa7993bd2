/*
 * record_text: which field stands in which column.
 *
 * Owns:   see the header.
 * Thread: any one at a time.
 */
#include "encode/record_text.h"

#include <errno.h>
#include <stdlib.h>

int record_text_init(struct record_text *t, const struct record_plan *plan, const int32_t *fields,
                     uint32_t count)
{
    *t = (struct record_text){.count = count, .fixed_bytes = plan->fixed_bytes};
    t->steps = calloc(count + 1, sizeof(*t->steps));
    if (t->steps == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        const struct record_step *from = &plan->steps[fields[i]];
        struct record_text_step *step = &t->steps[i];

        step->at = from->at;
        step->type = from->type;
        if (from->nullable) {
            step->has_at = (uint16_t)(plan->present_at + from->field / 8);
            step->has = (uint8_t)(1U << from->field % 8);
        }
    }
    return 0;
}

void record_text_fini(struct record_text *t)
{
    free(t->steps);
    *t = (struct record_text){0};
}
