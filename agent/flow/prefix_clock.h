/*
 * prefix_clock: the prefix of each event's own time (prefix_clock = event), rendered anew only when
 * its time has moved on: the few last ones are kept. Pure.
 *
 * What is rendered is part of the event's partition: events of different prefixes share no batch.
 *
 * Owns:   nothing; the prefix is borrowed.
 * Thread: any one at a time.
 * Units:  ns since 1970, UTC.
 */
#ifndef FLOW_PREFIX_CLOCK_H
#define FLOW_PREFIX_CLOCK_H

#include <stdint.h>

#include "flow/object_name.h"

/* Events of several rings come about the turn of an hour together, and of late ones a few more. */
enum { PREFIX_CLOCK_KEPT = 4 };

struct prefix_clock {
    const char *prefix;         /* borrowed */
    uint64_t period_ns;
    struct {
        uint64_t period;        /* time divided by period_ns; UINT64_MAX: none yet */
        uint32_t len;
        char text[PREFIX_BYTES_MAX + 1];
    } kept[PREFIX_CLOCK_KEPT];  /* at period modulo their number */
};

/* Of a prefix that prefix_check() has passed and that has no random string. */
void prefix_clock_init(struct prefix_clock *c, const char *prefix);

/* Valid until the next call. Cannot fail. */
const char *prefix_clock_render(struct prefix_clock *c, uint64_t time_ns, uint32_t *ret_len);

#endif
