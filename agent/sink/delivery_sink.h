/*
 * delivery_sink: one remote sink: from its settings to its end, the requests by which it gets keys,
 * and how it fares. For delivery.c alone.
 *
 * Owns:   a sink owns its settings, its credentials and what its kind keeps; jobs are lent.
 * Thread: delivery.
 * Units:  now_ns on the boot clock.
 */
#ifndef SINK_DELIVERY_SINK_H
#define SINK_DELIVERY_SINK_H

#include <stdbool.h>
#include <stdint.h>

#include "sink/delivery.h"
#include "sink/delivery_job.h"

/* NULL with a text: no memory, or its settings are wrong by themselves. */
struct remote_sink *delivery_sink_open(struct delivery *d, const struct remote_settings *set,
                                       uint64_t now_ns, struct errmsg *err);

/* Its jobs go on in another one, or nowhere. */
void delivery_sink_close(struct remote_sink *sink, uint64_t now_ns);

/* Jobs of the old one begin anew in the new one: an earlier attempt may have got anywhere. */
void delivery_sink_inherit(struct remote_sink *to, struct remote_sink *from, uint64_t now_ns);

/* Of one that has credentials: moves what can be moved to have them. */
void delivery_sink_keys(struct remote_sink *sink, const struct delivery_turn *now);

/* Does it keep jobs waiting by more than one mishap? */
bool delivery_sink_bad(const struct remote_sink *sink, uint64_t now_ns);

void delivery_sink_status(const struct remote_sink *sink, uint64_t now_ns,
                          struct delivery_status *ret_status);

#endif
