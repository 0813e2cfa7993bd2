/*
 * parquet_pages: lists of pages, and the spare ones.
 *
 * Owns:   a list owns its pages, the workspace those that are spare.
 * Thread: the writer's.
 * Units:  bytes.
 */
#include "encode/parquet_pages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    SPARE_BYTES_MAX = 16 << 20,
    SPARE_PAGE_BYTES_MIN = 64 << 10,
    SPARE_PAGE_STEP = 16 << 10,
};

void parquet_pages_init(struct parquet_pages *pages)
{
    pages->first = NULL;
    pages->tail = &pages->first;
}

void parquet_pages_move(struct parquet_pages *to, struct parquet_pages *from)
{
    if (from->first == NULL)
        return;
    *to->tail = from->first;
    to->tail = from->tail;
    parquet_pages_init(from);
}

/*
 * Large pages are kept when they have left, up to a bound: the allocator would give their memory
 * back to the kernel, and each new one would be cleared again.
 */
static struct parquet_page *page_take(struct parquet_workspace *space, size_t cap)
{
    struct parquet_page **at = &space->spare, *page;

    while (*at != NULL && ((*at)->cap < cap || (*at)->cap / 2 > cap))
        at = &(*at)->next;
    page = *at;
    if (page != NULL) {
        *at = page->next;
        space->spare_bytes -= page->cap;
        return page;
    }
    cap = cap < SPARE_PAGE_BYTES_MIN ? cap : bytes_round_up(cap, SPARE_PAGE_STEP);
    page = malloc(sizeof(*page) + cap);
    if (page != NULL)
        page->cap = cap;
    return page;
}

void parquet_page_free(struct parquet_page *page, struct parquet_group *group)
{
    struct parquet_workspace *space = group->space;

    group->memory -= sizeof(*page) + page->cap;
    if (page->cap < SPARE_PAGE_BYTES_MIN || space->spare_bytes + page->cap > SPARE_BYTES_MAX) {
        free(page);
        return;
    }
    space->spare_bytes += page->cap;
    page->next = space->spare;
    space->spare = page;
}

void parquet_spare_free(struct parquet_workspace *space)
{
    while (space->spare != NULL) {
        struct parquet_page *page = space->spare;

        space->spare = page->next;
        free(page);
    }
    space->spare_bytes = 0;
}

void parquet_pages_free(struct parquet_pages *pages, struct parquet_group *group)
{
    while (pages->first != NULL) {
        struct parquet_page *page = pages->first;

        pages->first = page->next;
        parquet_page_free(page, group);
    }
    parquet_pages_init(pages);
}

int parquet_pages_add(struct parquet_pages *pages, struct parquet_group *group, const void *head,
                      size_t head_len, const void *data, size_t len)
{
    struct parquet_page *page = page_take(group->space, head_len + len);

    if (page == NULL)
        return group->error = -ENOMEM;
    page->next = NULL;
    page->len = head_len + len;
    memcpy(page->data, head, head_len);
    if (len > 0)
        memcpy(page->data + head_len, data, len);
    group->memory += sizeof(*page) + page->cap;
    *pages->tail = page;
    pages->tail = &page->next;
    return 0;
}
