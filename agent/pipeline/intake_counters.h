/*
 * intake_counters: what the agent's own entrances count, sockets and HTTP, for people to see; since
 * the start. And what they are told.
 *
 * Owns:   nothing; lent to the entrances, which add, and to the first shard, which copies.
 * Thread: added to by one, read by any; each counter by itself, so all accesses are relaxed.
 */
#ifndef PIPELINE_INTAKE_COUNTERS_H
#define PIPELINE_INTAKE_COUNTERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "flow/line_fault.h"

enum intake_source {
    INTAKE_TCP,
    INTAKE_UNIX,
    INTAKE_UDP,
    INTAKE_SOCKET_COUNT,                /* the first ones are sockets */
    INTAKE_HTTP = INTAKE_SOCKET_COUNT,
    INTAKE_FIREHOSE,
    INTAKE_SOURCE_COUNT
};
extern const char *const intake_source_names[INTAKE_SOURCE_COUNT];     /* "tcp", ... */

/* Why the agent has ended a connection. */
enum intake_ended {
    INTAKE_ENDED_IDLE,          /* idle_timeout without a byte */
    INTAKE_ENDED_SLOW,          /* so long without the end of a line, or memory was short */
    INTAKE_ENDED_DAMAGED,       /* what it sent compressed cannot be read */
    INTAKE_ENDED_MEMORY,        /* too many compressed streams, or half lines, at once */
    INTAKE_ENDED_STOP,          /* the agent was stopped, and it went on sending */
    INTAKE_ENDED_COUNT
};
extern const char *const intake_ended_names[INTAKE_ENDED_COUNT];       /* "idle", ... */

struct intake_counters {
    bool sockets;                       /* there are some; before anybody counts */
    _Atomic uint64_t connections[INTAKE_SOCKET_COUNT];          /* open now */
    _Atomic uint64_t connections_total[INTAKE_SOCKET_COUNT];
    _Atomic uint64_t ended[INTAKE_ENDED_COUNT];
    _Atomic uint64_t events[INTAKE_SOURCE_COUNT];               /* committed to the ring */
    _Atomic uint64_t bad_lines[LINE_FAULT_COUNT];
    _Atomic uint64_t bad_lines_dropped;     /* of these: not kept in the error output */
    _Atomic uint64_t datagrams_dropped;     /* by the kernel: the receive buffer was full */
    _Atomic uint64_t waiting;               /* connections not read: the ring is full */
    _Atomic uint32_t configurations;        /* raised when other streams may be there */
    _Atomic bool syncs_awaited;             /* by HTTP */
};

static inline void intake_count(_Atomic uint64_t *counter, uint64_t more)
{
    /* One thread adds, so a load and a store do. */
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + more,
                          memory_order_relaxed);
}

#endif
