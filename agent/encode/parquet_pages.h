/*
 * parquet_pages: pages that are done, in lists, on their way out; and what the columns of a writer
 * and the writers of a thread share. Inner part of parquet.
 *
 * Owns:   a list owns its pages, the workspace those that are spare.
 * Thread: the writer's.
 * Units:  bytes.
 */
#ifndef ENCODE_PARQUET_PAGES_H
#define ENCODE_PARQUET_PAGES_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "encode/codec.h"

struct parquet_page;

struct parquet_workspace {
    struct codec *codec;        /* owned, as all below */
    struct bytes raw;           /* a page before it is compressed */
    struct bytes packed;        /* the same after */
    struct bytes head;          /* its header */
    struct bytes aside;         /* what is needed to make it */
    struct parquet_page *spare; /* large pages that have left, for those to come */
    uint64_t spare_bytes;
};

/* What the columns of a writer share. */
struct parquet_group {
    struct parquet_workspace *space;    /* borrowed */
    enum codec_type codec;
    int level;
    uint64_t page_bytes, page_rows;     /* a page is due from either on */
    uint64_t rows;                      /* whole ones in this group */
    uint64_t bytes;                     /* of pages made in this group, before compression */
    uint64_t memory;
    int error;                          /* 0 or -ENOMEM, for good */
};

/* Bytes of the file, on their way out. */
struct parquet_page {
    struct parquet_page *next;
    size_t len, cap;
    uint8_t data[];
};

struct parquet_pages {
    struct parquet_page *first, **tail;
};

void parquet_pages_init(struct parquet_pages *pages);
void parquet_pages_move(struct parquet_pages *to, struct parquet_pages *from);
void parquet_pages_free(struct parquet_pages *pages, struct parquet_group *group);
int parquet_pages_add(struct parquet_pages *pages, struct parquet_group *group, const void *head,
                      size_t head_len, const void *data, size_t len);
void parquet_page_free(struct parquet_page *page, struct parquet_group *group);
void parquet_spare_free(struct parquet_workspace *space);

#endif
