/*
 * stream: table of streams, versions of their settings, outputs.
 * Owns:   streams, versions and outputs.
 * Thread: shard.
 */
#include "flow/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"

/* Numbers are given out one by one, so the table, which has a place for each, stays small. */
enum { STREAM_ID_END = 1 << 22 };

void stream_table_init(struct stream_table *t, uint32_t streams_max)
{
    memset(t, 0, sizeof(*t));
    t->max = streams_max;
}

static void version_free(struct stream_version *v)
{
    for (uint16_t i = 0; i < v->set.outputs; i++) {
        if (v->output[i].encoding_free)
            v->output[i].encoding_free(v->output[i].encoding);
        open_batches_fini(&v->output[i].open);
    }
    stream_settings_fini(&v->set);
    free(v);
}

void stream_table_fini(struct stream_table *t)
{
    for (uint32_t i = 0; i < t->cap; i++) {
        struct stream *s = t->by_id[i];

        if (!s)
            continue;
        while (s->now) {
            struct stream_version *older = s->now->next;

            version_free(s->now);
            s->now = older;
        }
        bytes_free(&s->settings_appended);
        free(s);
    }
    free(t->by_id);
    memset(t, 0, sizeof(*t));
}

struct stream *stream_by_id(const struct stream_table *t, uint32_t id)
{
    return id < t->cap ? t->by_id[id] : NULL;
}

struct stream *stream_by_name(const struct stream_table *t, const char *name)
{
    for (uint32_t i = 0; i < t->cap; i++)
        if (t->by_id[i] && strcmp(t->by_id[i]->name, name) == 0)
            return t->by_id[i];
    return NULL;
}

int stream_add(struct stream_table *t, uint32_t id, const char *name, struct stream **ret_stream)
{
    struct stream *s;

    INVARIANT(!stream_by_id(t, id));
    /* Both may come from a log that somebody else wrote. */
    if (id >= STREAM_ID_END || !stream_name_valid(name, strlen(name)))
        return -EBADMSG;
    if (t->count >= t->max)
        return -ENOSPC;
    if (id >= t->cap) {
        uint32_t cap = t->cap ? t->cap : 64;
        struct stream **more;

        while (cap <= id)
            cap *= 2;
        more = realloc(t->by_id, cap * sizeof(struct stream *));
        if (!more)
            return -ENOMEM;
        memset(more + t->cap, 0, (cap - t->cap) * sizeof(struct stream *));
        t->by_id = more;
        t->cap = cap;
    }
    s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->id = id;
    memcpy(s->name, name, strlen(name) + 1);
    t->by_id[id] = s;
    t->count++;
    *ret_stream = s;
    return 0;
}

static void versions_sweep(struct stream *s)
{
    struct stream_version **at = s->now ? &s->now->next : NULL;

    while (at && *at) {
        struct stream_version *v = *at;

        if (v->batches > 0) {
            at = &v->next;
            continue;
        }
        *at = v->next;
        version_free(v);
    }
}

int stream_route_version(struct stream *s, uint32_t version, const void *settings, size_t len,
                         const uint64_t *routed_lsn, uint16_t routed_count)
{
    struct stream_version *v;
    int err;

    if (s->now && s->now->version == version)
        return 0;
    v = calloc(1, sizeof(*v));
    if (!v)
        return -ENOMEM;
    err = stream_settings_parse(settings, len, &v->set);
    if (err) {
        free(v);
        return err;
    }
    v->version = version;
    for (uint16_t i = 0; i < v->set.outputs; i++)
        v->output[i] = (struct output){
            .stream = s,
            .version = version,
            .index = i,
            .set = &v->set.output[i],
            .routed_lsn = i < routed_count ? routed_lsn[i] : 0,
        };
    v->next = s->now;
    s->now = v;
    versions_sweep(s);
    return 0;
}

static struct stream_version *output_version(struct output *o)
{
    struct stream_version *v = o->stream->now;

    while (v && v->version != o->version)
        v = v->next;
    INVARIANT(v);
    return v;
}

void output_release(struct output *o)
{
    struct stream *s = o->stream;
    struct stream_version *v = output_version(o);

    INVARIANT(v->batches > 0);
    v->batches--;
    versions_sweep(s);
}

void output_retain(struct output *o)
{
    output_version(o)->batches++;
}
