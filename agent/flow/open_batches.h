/*
 * open_batches: the batches of an output that take events, one for each partition, found by its
 * name, in the order in which they were used.
 *
 * Owns:   the table; batches and their names are the pipeline's.
 * Thread: shard.
 */
#ifndef FLOW_OPEN_BATCHES_H
#define FLOW_OPEN_BATCHES_H

#include <stdint.h>

#include "flow/batch.h"

struct open_batches {
    struct batch **bucket;          /* owned; NULL until there are two */
    uint32_t mask;
    uint32_t count;
    struct batch *recent, *oldest;  /* by use */
};

void open_batches_fini(struct open_batches *o);     /* it is empty, or nobody looks any more */

/* NULL: none. What is found is the most recent from then on. */
struct batch *open_batches_find(struct open_batches *o, const char *partition, uint32_t len,
                                uint32_t hash);

/* Its partition is set, and no other batch has it. 0 or -ENOMEM. */
int open_batches_add(struct open_batches *o, struct batch *b);
void open_batches_remove(struct open_batches *o, struct batch *b);

#endif
