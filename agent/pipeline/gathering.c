/*
 * gathering: one question to all shards, and one answer. The first shard posts a part of it to each
 * of the others; whoever answers the last part makes the whole and answers that.
 *
 * Owns:   the parts, until the whole is answered.
 * Thread: begun by the first shard; parts end on any shard's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/parts.h"

struct part {
    struct shard_request req;             /* first */
    int result;
};

struct gathering {
    struct shard_request *whole;
    uint32_t count;
    _Atomic uint32_t left;
    struct part part[];
};

/* All in one, in the first part's. */
static int statuses_merge(struct gathering *g)
{
    int r = 0;

    for (uint32_t i = 1; !r && i < g->count; i++)
        r = status_merge(g->part[0].req.status, g->part[i].req.status);
    if (r)
        return r;
    g->whole->status = g->part[0].req.status;
    g->part[0].req.status = NULL;
    return 0;
}

/* The first failure. A stream that some shard has not got is missing only if no shard has it. */
static int result_of(const struct gathering *g)
{
    uint32_t missing = 0;

    for (uint32_t i = 0; i < g->count; i++) {
        int r = g->part[i].result;

        if (r && !(g->whole->stream[0] && r == -ENOENT))
            return r;
        missing += r != 0;
    }
    return missing == g->count ? -ENOENT : 0;
}

static void on_part_done(struct shard_request *req, int result)
{
    struct gathering *g = req->ctx;
    int r;

    ((struct part *)req)->result = result;
    /* Release: the last one sees what the others have answered. Acquire: it is that one. */
    if (atomic_fetch_sub_explicit(&g->left, 1, memory_order_acq_rel) != 1)
        return;
    r = result_of(g);
    if (!r && (g->whole->kind == REQUEST_STATUS || g->whole->kind == REQUEST_LOOK))
        r = statuses_merge(g);
    for (uint32_t i = 0; i < g->count; i++)
        status_free(g->part[i].req.status);
    g->whole->done(g->whole, r);
    free(g);
}

void gathering_begin(struct shard *s, struct shard_request *req,
                     void (*take)(struct shard *s, struct shard_request *req))
{
    uint32_t count = s->all->count;
    struct gathering *g = calloc(1, sizeof(*g) + count * sizeof(g->part[0]));

    if (!g) {
        req->done(req, -ENOMEM);
        return;
    }
    g->whole = req;
    g->count = count;
    atomic_init(&g->left, count);
    for (uint32_t i = 0; i < count; i++) {
        struct shard_request *part = &g->part[i].req;

        part->kind = req->kind;
        memcpy(part->stream, req->stream, sizeof(part->stream));
        part->settings_ctx = req->settings_ctx;
        part->done = on_part_done;
        part->ctx = g;
        part->gathers = true;
    }
    /* From the last answer on there is no g: nothing of it is touched behind the first's own. */
    for (uint32_t i = 1; i < count; i++) {
        int r = mailbox_post(&s->all->shard[i]->mailbox, &g->part[i].req);

        if (r)
            on_part_done(&g->part[i].req, r);
    }
    take(s, &g->part[0].req);
}
