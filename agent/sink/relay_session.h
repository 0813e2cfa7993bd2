/*
 * relay_session: one relay sink: its batches, its connection, and when it is tried again.
 *
 * Owns:   the link, its buffers, the state of each job; jobs are the caller's.
 * Thread: the relay's.
 * Units:  *_ns of the boot clock.
 */
#ifndef SINK_RELAY_SESSION_H
#define SINK_RELAY_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "sink/relay.h"
#include "sink/relay_link.h"

enum { RELAY_READ_BYTES = 2 << 20 };    /* at a time, of a file: more than any frame */

enum relay_job_state {
    RELAY_JOB_WAITS,                    /* not begun on this connection */
    RELAY_JOB_BEGUN,                    /* what the far side has is asked */
    RELAY_JOB_SENDS,
    RELAY_JOB_ENDED,                    /* all is sent */
    RELAY_JOB_DECLINED                  /* to be begun again later */
};

struct relay_job {
    struct relay_job *next;
    struct remote_job *job;
    struct batch_id id;
    enum relay_job_state state;
    uint64_t ref;
    int fd;                             /* owned; -1: not open */
    uint64_t file_at;                   /* what was read of its file, */
    uint64_t sent;                      /* and of its frames */
    uint64_t taken;                     /* the far side has these already */
};

struct relay_session {
    struct relay_session *next;
    struct relay_sink_settings set;     /* strings are owned */
    struct relay_tls *tls;              /* owned; NULL: none */
    uint8_t identity[16];               /* what the far side knows this sink by */
    struct relay_job *jobs, **jobs_end; /* owned; in order of arrival */
    uint32_t jobs_count, begun, declined;
    struct bytes forgets;               /* struct relay_forget to be told */
    struct relay_link link;
    bool welcomed;
    bool sends;                         /* some batch has more than fits ahead of the socket */
    struct bytes in, out;
    size_t out_at;
    uint64_t next_ref;
    uint64_t try_ns;                    /* no attempt before; of a link: last sign of life */
    uint32_t attempts;                  /* since something was delivered */
    uint64_t retries;
    bool failing;
    struct errmsg why;                  /* it fails */
    uint64_t declined_ns;               /* when declined batches are begun again */
    struct errmsg declined_why, far_why;    /* what the far side says of a batch, of itself */
};

struct relay_forget {
    struct batch_id id, floor;
};

/* Copies the settings; 0 or -errno with a text. */
int relay_session_open(const struct relay_sink_settings *set, const uint8_t uuid[16],
                       struct relay_session **ret_session, struct errmsg *err);
void relay_session_close(struct relay_session *s);  /* its jobs are gone with it; NULL is fine */

/* What waits in one goes on in the other. */
void relay_session_inherit(struct relay_session *s, struct relay_session *from);

int relay_session_add(struct relay_session *s, struct remote_job *job, const struct batch_id *id);

/* Why something waits; "" when nothing does. */
const char *relay_session_waits_because(const struct relay_session *s);

/* Does what can be done without waiting. buffer: RELAY_READ_BYTES of scratch. */
void relay_session_turn(struct relay_session *s, uint64_t now_ns, uint8_t *buffer);

/* What to wait for: events of poll() at its link, and until when at most. */
short relay_session_events(const struct relay_session *s);
uint64_t relay_session_next_ns(const struct relay_session *s);

#endif
