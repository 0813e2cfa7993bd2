/*
 * rest: changes that REST asks for in what is configured, and what they make of it.
 *
 * A change is made by the thread of HTTP and done by the main one, one at a time (reload.h): what
 * results is read like a configuration, written to its file, and taken over by all shards before
 * the answer.
 *
 * Owns:   a change owns its sections.
 * Thread: any, one struct by one thread at a time.
 */
#ifndef CONTROL_REST_H
#define CONTROL_REST_H

#include "base/errmsg.h"
#include "control/config.h"
#include "control/rest_file.h"
#include "flow/name.h"

enum rest_operation {
    REST_CREATE,    /* -EEXIST: it is there */
    REST_PUT,       /* made, or given other settings */
    REST_UPDATE,    /* -ENOENT: it is not there; -ESTALE: `about` is another than `expected` */
    REST_DELETE     /* -ENOENT */
};

/* By whom a stream was made, which is who may change it. */
enum rest_maker {
    REST_MAKER_NONE,        /* it is not configured */
    REST_MAKER_FILE,
    REST_MAKER_STREAM,      /* PUT of a stream */
    REST_MAKER_MINI,        /* MiniFirehose: it has sinks of its own */
    REST_MAKER_DELIVERY     /* the Firehose API: it has an `about` */
};

struct rest_change {
    enum rest_operation operation;
    char stream[STREAM_NAME_MAX + 1];
    struct config_file *sections;   /* owned: of the stream, and of sinks of its own */
    char *expected;                 /* owned; of UPDATE */
    uint64_t accepted;              /* of DELETE: events in its books */

    /*
     * 0; or what the operation says; -EPERM: it is another's; -EINVAL with a text: it would be a
     * mistake in a configuration; -EFBIG, -EIO, -ENOSPC, ... with a text: it cannot be kept.
     */
    struct errmsg err;
};

/* A change with a [stream NAME] to be filled. NULL: no memory. */
struct rest_change *rest_change_new(enum rest_operation operation, const char *stream);
void rest_change_free(struct rest_change *change);      /* NULL is fine */
struct config_section *rest_change_stream(const struct rest_change *change);

enum rest_maker rest_maker_of(const struct stream_config *stream);     /* NULL: NONE */

/* The sections after a change, of those before it. config: as it is. 0, or as above. */
int rest_apply(const struct config_file *before, const struct rest_change *change,
               const struct config *config, struct config_file **ret_after);

/* The first number from 1 on that no sink of a stream has. */
unsigned rest_sink_number(const struct config *config, const char *stream);

/*
 * Sinks whose stream has gone and that need not stay: `waits` tells of each whether something is
 * still to be delivered to it. True: there are such, and *ret_after has them no more (NULL: no
 * memory).
 */
bool rest_sweep(const struct config_file *before, bool (*waits)(void *ctx, const char *sink),
                void *ctx, struct config_file **ret_after);

/* There are sinks without a stream. */
bool rest_drains(const struct config_file *f);

#endif
