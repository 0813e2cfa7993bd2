/*
 * http_wait: what the HTTP thread asks of the shard and then waits for, without ever blocking.
 *
 *   HTTP thread                     shard
 *   http_hub_post()  ──mailbox──►   request done
 *   http_hub_next()  ◄──eventfd──   on the list of the finished
 *
 * A wait ends once for the HTTP thread: answered, or at its deadline with -ETIMEDOUT, or with
 * -ESHUTDOWN when the hub closes. What the shard still holds then stays allocated until it is done
 * with it, even after the hub was closed; that is counted, and past HTTP_WAITS_MAX of a kind new
 * posts are refused, so that a shard that does not answer costs a bounded amount of memory.
 *
 * Owns:   hub and waits; the descriptor.
 * Thread: HTTP; the shard's only in the done function. http_hub_wake() from any.
 * Units:  *_ns on the monotonic clock.
 */
#ifndef CONTROL_HTTP_WAIT_H
#define CONTROL_HTTP_WAIT_H

#include <stdint.h>

#include "control/rest.h"
#include "pipeline/mailbox.h"

enum { HTTP_WAITS_MAX = 64 }; /* of each kind: flushes that hang leave room for the status */

struct http_hub;

struct http_wait {
    struct shard_request req;         /* the shard's until it is done */
    struct http_hub *hub;       /* owned: one reference */
    struct rest_change *change; /* owned; of a REQUEST_CONTROL */
    void *ctx;                  /* borrowed: the poster's */
    int result;                 /* of http_hub_next() */
    uint64_t deadline_ns;
    bool finished;              /* the shard is done with it */
    bool taken;                 /* http_hub_next() has handed it out, the result is final */
    bool answered;              /* and it was finished then */
    bool abandoned;             /* the HTTP thread is done with it */
    struct http_wait *next;     /* of those that the HTTP thread waits for */
};

uint64_t http_now_ns(void);

/* mailbox is borrowed until http_hub_close(). */
int http_hub_open(struct mailbox *mailbox, struct http_hub **ret_hub);

/*
 * Ends every wait with -ESHUTDOWN (http_hub_next() hands them out) and refuses new ones with it.
 * The mailbox may go away once what it held has been answered.
 */
void http_hub_shut(struct http_hub *hub);

/* After http_hub_next() has returned NULL. Waits that the shard still has outlive it. */
void http_hub_close(struct http_hub *hub);

int http_hub_fd(const struct http_hub *hub);    /* readable: call http_hub_next() */
void http_hub_wake(struct http_hub *hub);

/*
 * change: of a CONTROL, taken over in any case; else NULL. 0; or -EAGAIN too many under way,
 * -ESHUTDOWN, -ENOMEM: then nothing was posted.
 */
int http_hub_post(struct http_hub *hub, enum request_kind kind, const char *stream,
                  struct rest_change *change, uint64_t deadline_ns, void *ctx);

/*
 * The next wait that has ended, its result and ctx set; the caller reads it (a status is in req)
 * and gives it to http_wait_release(). NULL: none.
 */
struct http_wait *http_hub_next(struct http_hub *hub, uint64_t now_ns);
void http_wait_release(struct http_wait *wait);

/* The nearest deadline, UINT64_MAX: none. */
uint64_t http_hub_deadline_ns(const struct http_hub *hub);

#endif
