/*
 * stream: the streams that this shard knows, the version of settings at which routing is, and the
 * open batch of each output.
 *
 * A stream exists from the moment its STREAM item is appended to the log. It can be routed once
 * that item is met in log order: stream_route_version() then makes its outputs.
 *
 * Owns:   streams and outputs; batches are the pipeline's.
 * Thread: shard.
 */
#ifndef FLOW_STREAM_H
#define FLOW_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "flow/batch.h"
#include "flow/name.h"
#include "flow/open_batches.h"
#include "flow/settings.h"

struct stream;

enum { STREAM_REFUSALS = 2 };       /* kinds of error outputs, as encode/ tells them apart */

struct output {
    struct stream *stream;
    uint32_t version;
    uint16_t index;
    struct output_settings *set;    /* borrowed from the version */
    void *encoding;                 /* the pipeline's, freed by what is beside it */
    void (*encoding_free)(void *encoding);
    struct open_batches open;
    uint64_t routed_lsn;            /* events at or below are in a batch already */
    uint64_t routed_events;         /* in batches so far, those sealed before the start included */
    uint64_t together_events, together_bytes;   /* since none was open, for set->together */
    uint64_t seal_wait_turn;        /* in this turn a batch of it was met that is not sealed yet */
};

/* Settings of one version, kept while a batch of it is unfinished. */
struct stream_version {
    struct stream_version *next;    /* older */
    uint32_t version;
    uint32_t batches;               /* that refer to it */
    struct stream_settings set;
    struct output output[WAL_OUTPUTS_MAX];
};

struct stream {
    uint32_t id;
    uint32_t uid;                   /* whose ring brought it into being, or WAL_NO_UID */
    char name[STREAM_NAME_MAX + 1];
    uint32_t version_appended;      /* newest in the log, committed or not */
    struct bytes settings_appended; /* its bytes */
    struct stream_version *now;     /* owned; being routed to, NULL: not yet met */
    struct batch *unfinished_first, *unfinished_last;   /* flow/ack.h */
    uint64_t seal_asked_ns;         /* last time a producer's flush asked for a seal */
    uint32_t batches_open, batches_sealing;
    uint64_t refused[STREAM_REFUSALS];  /* events to error outputs since the start */
};

struct stream_table {
    struct stream **by_id;          /* [id]; owned; holes are NULL */
    uint32_t cap;
    uint32_t count, max;
};

void stream_table_init(struct stream_table *t, uint32_t streams_max);
void stream_table_fini(struct stream_table *t);

struct stream *stream_by_id(const struct stream_table *t, uint32_t id);     /* or NULL */
struct stream *stream_by_name(const struct stream_table *t, const char *name);

/* -ENOSPC at streams_max; -EBADMSG: no such name or number can be; -ENOMEM. */
int stream_add(struct stream_table *t, uint32_t id, const char *name, struct stream **ret_stream);

/*
 * Routing has met version `version` with these settings: makes its outputs, whose routed_lsn begins
 * at `routed_lsn[i]`. Open batches of the version before are the caller's to seal first. 0, also
 * when that version is already the one routed to; -EBADMSG, -ENOMEM.
 */
int stream_route_version(struct stream *s, uint32_t version, const void *settings, size_t len,
                         const uint64_t *routed_lsn, uint16_t routed_count);

/* A batch of this output begins. */
void output_retain(struct output *o);

/* A batch of this output is over; frees versions that nobody refers to any more. */
void output_release(struct output *o);

#endif
