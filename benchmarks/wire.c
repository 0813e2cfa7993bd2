/*
 * wire: one direction between two processes; which implementation stands behind which kind.
 * Owns:   nothing.
 * Thread: one in each process.
 */
#include "benchmarks/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct wire_row {
    const char *name, *detail;
    const struct wire_ops *ops;
};

static const struct wire_row rows[] = {
    [WIRE_RING_MAP] = {"ring", " reader=map", &wire_ring_ops},
    [WIRE_RING_READ] = {"ring", " reader=pread", &wire_ring_ops},
    [WIRE_UNIX] = {"unix", "", &wire_stream_ops},
    [WIRE_UNIX_BATCH] = {"unix", " batch=64KiB", &wire_stream_ops},
    [WIRE_PIPE] = {"pipe", "", &wire_stream_ops},
};
_Static_assert(sizeof(rows) / sizeof(rows[0]) == WIRE_KIND_COUNT, "a row for each kind");

const char *wire_name(enum wire_kind kind)
{
    return rows[kind].name;
}

const char *wire_detail(enum wire_kind kind)
{
    return rows[kind].detail;
}

int wire_prepare(struct wire *w, const struct wire_options *opt, struct errmsg *err)
{
    int rc;

    memset(w, 0, sizeof(*w));
    w->ops = rows[opt->kind].ops;
    w->opt = *opt;
    w->write_fd = w->read_fd = w->file.fd = -1;
    rc = w->ops->prepare(w, err);
    if (rc != 0)
        wire_close(w);
    return rc;
}

int wire_ring_make(struct wire *w, struct errmsg *err)
{
    return w->ops->ring_make(w, err);
}

int wire_writer_open(struct wire *w, struct errmsg *err)
{
    return w->ops->writer_open(w, err);
}

int wire_reader_open(struct wire *w, const char *ring_name, struct errmsg *err)
{
    return w->ops->reader_open(w, ring_name, err);
}

void wire_close(struct wire *w)
{
    if (w->ops == NULL)
        return;
    w->ops->close(w);
    free(w->chunk);
    memset(w, 0, sizeof(*w));
}
