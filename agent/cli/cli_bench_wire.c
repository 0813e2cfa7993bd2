/*
 * cli_bench_wire: one direction between two processes; which implementation stands behind which
 * kind.
 * Owns:   nothing.
 * Thread: one in each process.
 */
#include "cli/cli_bench_wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BATCH " batch=64KiB"

static const struct wire_row rows[] = {
    [WIRE_RING_MAP] = {"ring", " reader=map", &wire_ring_ops},
    [WIRE_RING_READ] = {"ring", " reader=pread", &wire_ring_ops},
    [WIRE_UNIX] = {"unix", "", &wire_stream_ops},
    [WIRE_UNIX_BATCH] = {"unix", BATCH, &wire_stream_ops},
    [WIRE_DGRAM] = {"dgram", "", &wire_stream_ops},
    [WIRE_DGRAM_BATCH] = {"dgram", BATCH, &wire_stream_ops},
    [WIRE_TCP] = {"tcp", "", &wire_stream_ops},
    [WIRE_TCP_BATCH] = {"tcp", BATCH, &wire_stream_ops},
    [WIRE_PIPE] = {"pipe", "", &wire_stream_ops},
    [WIRE_PIPE_BATCH] = {"pipe", BATCH, &wire_stream_ops},
};
_Static_assert(sizeof(rows) / sizeof(rows[0]) == WIRE_OTHER, "a row for each kind");

int wire_nothing(struct wire *w, struct errmsg *err)
{
    (void)w;
    (void)err;
    return 0;
}

const struct wire_row *wire_row(const struct wire_options *opt)
{
    return opt->kind == WIRE_OTHER ? opt->other : &rows[opt->kind];
}

int wire_prepare(struct wire *w, const struct wire_options *opt, struct errmsg *err)
{
    int rc;

    memset(w, 0, sizeof(*w));
    w->ops = wire_row(opt)->ops;
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
