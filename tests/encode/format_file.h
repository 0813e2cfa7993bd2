/*
 * format_file: the settings of an output in a few words, and a file made by hand: looked at, taken,
 * ended, with a pool of as few blocks as a test wants. For tests and fuzz targets.
 *
 * Owns:   struct format_file owns all that it has; ff_close().
 * Thread: one.
 */
#ifndef TESTS_ENCODE_FORMAT_FILE_H
#define TESTS_ENCODE_FORMAT_FILE_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/invariant.h"
#include "encode/writer.h"

struct format_file {
    struct output_settings set;
    struct parquet_workspace *space;
    struct encoding *enc;
    struct writer *w;           /* NULL: no event yet */
    struct block_pool pool;
    struct block_chain chain;
    struct bytes bytes;         /* what came out */
    unsigned again, no_room;    /* how often it said so */
};

/* Of a format; the least that there is to say. */
static inline struct output_settings ff_settings(const char *format)
{
    return (struct output_settings){.format = (char *)format, .columns = (char *)"",
                                    .compression_level = -1};
}

/* Strings of `set` are borrowed. */
static inline int ff_open(struct format_file *f, struct output_settings set, unsigned blocks,
                          struct errmsg *err)
{
    *f = (struct format_file){.set = set, .space = parquet_workspace_open()};
    INVARIANT(f->space != NULL);
    if (!f->set.row_group_bytes)
        f->set.row_group_bytes = 1 << 20;
    if (!f->set.infer_bytes)
        f->set.infer_bytes = 1 << 20;
    block_pool_init(&f->pool, (uint64_t)blocks * BLOCK_BYTES);
    chain_init(&f->chain, &f->pool);
    return encoding_open(&f->set, "host", "stream", f->space, &f->enc, err);
}

static inline void ff_close(struct format_file *f)
{
    writer_close(f->w);
    encoding_close(f->enc);
    parquet_workspace_close(f->space);
    chain_fini(&f->chain);
    block_pool_fini(&f->pool);
    bytes_free(&f->bytes);
}

static inline void ff_drain(struct format_file *f, bool all)
{
    struct block *b;

    while ((b = chain_shift(&f->chain, all)) != NULL) {
        INVARIANT(bytes_append(&f->bytes, b->data, b->len) == 0);
        block_give(&f->pool, b);
    }
}

static inline struct event ff_event(enum shm_kind kind, const void *data, size_t len)
{
    return (struct event){.data = data, .len = (uint32_t)len, .kind = (uint8_t)kind,
                          .time_ns = 1700000000000000000ULL};
}

/*
 * Looks at it and takes it, room made as often as it is asked for: 0; -EBADMSG: refused, enc->error
 * and why say it; -ERANGE: a misfit.
 */
static inline int ff_take(struct format_file *f, const struct event *ev)
{
    int r = encoding_look(f->enc, ev, f->w == NULL);

    if (r)
        return r;
    if (!f->w && writer_open(f->enc, ev, NULL, &f->w))
        return -ENOMEM;
    for (;;) {
        switch (writer_take(f->w, ev, &f->chain)) {
        case WRITER_TAKEN:
            return 0;
        case WRITER_MISFIT:
            return -ERANGE;
        case WRITER_REFUSED:
            return -EBADMSG;
        case WRITER_NO_MEMORY:
            return -ENOMEM;
        case WRITER_AGAIN:
            f->again++;
            break;
        case WRITER_NO_ROOM:
            f->no_room++;
            INVARIANT(f->chain.first != NULL || f->pool.max == 0);
            break;
        }
        ff_drain(f, true);
        INVARIANT(encoding_look(f->enc, ev, false) == 0);
    }
}

static inline int ff_json(struct format_file *f, const char *text)
{
    struct event ev = ff_event(SHM_KIND_JSON, text, strlen(text));

    return ff_take(f, &ev);
}

/* All that the file holds; a NUL follows. */
static inline const char *ff_finish(struct format_file *f)
{
    enum writer_result result;

    while ((result = writer_finish(f->w, &f->chain)) != WRITER_TAKEN) {
        INVARIANT(result == WRITER_AGAIN || result == WRITER_NO_ROOM);
        f->again += result == WRITER_AGAIN;
        f->no_room += result == WRITER_NO_ROOM;
        ff_drain(f, true);
    }
    ff_drain(f, true);
    INVARIANT(bytes_append(&f->bytes, "", 1) == 0);
    f->bytes.len--;
    return (const char *)f->bytes.data;
}

#endif
