/*
 * cli_ring: what `hydrant ring ls` and `ring show` share.
 *
 * A ring is looked at while its producer and an agent may be at work, and nothing is written into
 * it. So the numbers of one ring need not be of one instant.
 *
 * Owns:   a ring_view owns its ring_file.
 * Thread: main.
 */
#ifndef CLI_CLI_RING_H
#define CLI_CLI_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "ring/attach.h"

struct ring_view {
    struct ring_file file;
    int alive;                      /* as ring_file_alive() */
    bool closed;                    /* the producer has closed it: head is final */
    enum shm_quarantine quarantine; /* set by the agent */
    uint64_t quarantine_pos;
    enum shm_quarantine fault;      /* what we found ourselves: then head is not known */
    enum shm_wait waits;            /* set by the agent */
    uint64_t head;
    uint64_t pos[SHM_POS_COUNT];
    uint64_t drops[SHM_DROP_COUNT];
    uint64_t high_water_bytes;
    uint64_t agent_epoch, ring_id;
};

/*
 * As ring_file_open(). -EBADMSG: it claims to be a ring and is none, *ret_reason says why. A ring
 * whose head cannot be is opened, with `fault` set. The view is to be closed in any case.
 */
int ring_view_open(int shm_dir, const char *name, struct ring_view *ret_view,
                   enum shm_quarantine *ret_reason, struct errmsg *err);
void ring_view_close(struct ring_view *view);

/* "alive", "orphan", "quarantined: frame", "waiting: rings_max". Returns text. */
enum { RING_VIEW_STATE_BYTES = 64 };
char *ring_view_state(const struct ring_view *view, char text[static RING_VIEW_STATE_BYTES]);

/* Prints what is between accepted and head as JSON lines. An exit code. */
int ring_events_print(const char *command, struct ring_view *view);

#endif
