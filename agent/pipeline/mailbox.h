/*
 * mailbox: how other threads ask a shard for something: a bounded queue and the loop's wake.
 *
 * A request is the caller's memory until its done function has run (on a shard's thread; it must
 * not block: hand over to the own thread). What the first shard is asked it asks all the others too
 * (gathering.c), and answers once they have.
 */
#ifndef PIPELINE_MAILBOX_H
#define PIPELINE_MAILBOX_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "flow/name.h"
#include "io/loop.h"
#include "pipeline/status.h"

enum request_kind {
    REQUEST_STATUS,
    REQUEST_LOOK,       /* a status that knows of all that is in rings now */
    REQUEST_SEAL,       /* all that is in rings now is sealed, and durable */
    REQUEST_FLUSH,      /* and delivered */
    REQUEST_RELOAD,
    REQUEST_CONTROL,    /* not for a shard: for whoever opened them, see shard.h */
    REQUEST_KIND_COUNT
};

struct shard_request;
typedef void (*request_done_fn)(struct shard_request *req, int result);

struct shard_request {
    enum request_kind kind;
    char stream[STREAM_NAME_MAX + 1];   /* SEAL, FLUSH: "" = every stream */
    struct status *status;              /* STATUS, LOOK: made by the shard; status_free() it */
    void *settings_ctx;                 /* RELOAD: from now on; see shard.h */
    void *control;                      /* CONTROL: what is asked */
    request_done_fn done;               /* result 0, -ENOENT (no such stream), -ESHUTDOWN */
    void *ctx;
    struct shard_request *next;               /* the mailbox's */
    uint64_t scans_max, flush_lsn;      /* the shard's, all four */
    int step;
    bool gathers;                       /* one of several that make up another */
};

enum { MAILBOX_MAX = 256 };

struct mailbox {
    pthread_mutex_t mutex;
    struct shard_request *first, **last;
    unsigned count;
    bool closed;
    _Atomic bool waiting;               /* set: the shard looks inside */
    struct io_loop *loop;               /* borrowed */
};

void mailbox_init(struct mailbox *box, struct io_loop *loop);

/* Any thread. 0, -EAGAIN when full, -ESHUTDOWN once closed. */
int mailbox_post(struct mailbox *box, struct shard_request *req);

/* Any thread: ends the wait of the shard's turn. Once closed it does nothing. */
void mailbox_wake(struct mailbox *box);

/* Shard: takes everything posted so far as a list (NULL: nothing). One relaxed load when idle. */
struct shard_request *mailbox_take(struct mailbox *box);

/* Shard, at the end: later posts fail; what is queued is answered with -ESHUTDOWN. */
void mailbox_close(struct mailbox *box);

#endif
