/*
 * lanes: what the ways that hand over an event at a time have in common.
 * Owns:   nothing.
 * Thread: the consumer's.
 */
#include "benchmarks/transports/lanes.h"

#include <errno.h>

int lanes_take_messages(struct lane_reader *r)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < LANES_TAKE_MAX; i++) {
        ssize_t n = r->lanes->ops->receive(r, i == 0);

        if (n < 0)
            return n == -EAGAIN || n == -EINTR ? 0 : (int)n;
        rc = n == (ssize_t)r->tally.bytes ? tally_add(&r->tally, r->message) : -EBADMSG;
    }
    return rc;
}
