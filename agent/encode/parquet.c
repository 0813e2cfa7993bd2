/*
 * parquet: rows to columns, row groups in turn, the footer at the end.
 *
 *   PAR1; for each row group its columns: dictionary page, data pages; footer, its length, PAR1
 *
 * FILLING takes rows. ENDING moves the group out, one column a step: only then its last page and
 * its dictionary are compressed, its place in the file is known and the footer's part about it is
 * written. So a group is never in memory together with the next.
 *
 * Owns:   columns, pages on their way out, what the footer says so far.
 * Thread: any one at a time.
 * Units:  bytes; offsets from the beginning of the file.
 */
#include "encode/parquet.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "encode/parquet_column.h"
#include "encode/parquet_fill.h"
#include "encode/parquet_meta.h"

enum {
    PAGE_BYTES_MAX = 1 << 20,
    PAGE_BYTES_MIN = 8 << 10,
    PAGE_ROW_BYTES = 8,         /* pages of less a row are ended by rows */
    GROUP_ROWS_MAX = 1 << 20,
    MAGIC_BYTES = 4,
    LENGTH_BYTES = 4,
    TEXTS = 1 << CELL_STRING | 1 << CELL_BYTES | 1 << CELL_NUMBER | 1 << CELL_JSON,
};

static const char magic[MAGIC_BYTES] = {'P', 'A', 'R', '1'};

enum parquet_state { PARQUET_FILLING, PARQUET_ENDING, PARQUET_FOOTER, PARQUET_DONE };

struct parquet {
    enum parquet_state state;
    bool last;                          /* no group follows */
    struct parquet_group group;
    struct parquet_column *columns;     /* owned */
    uint32_t count, hidden;
    uint32_t turn;                      /* of the columns, who is looked at next */
    uint32_t ending;                    /* how many of them have ended */
    uint64_t group_bytes_max;
    uint64_t group_offset, group_raw;   /* where the group began, bytes of its ended columns */
    uint64_t offset;                    /* where the next page begins */
    uint64_t rows;                      /* of groups that have ended */
    struct parquet_fill fill;           /* of records */
    struct parquet_pages out;
    size_t out_at;                      /* bytes of the first page that are gone */
    struct bytes groups;                /* their metadata */
    uint64_t groups_count;
    char *created_by;                   /* owned */
};

/* --- workspace ------------------------------------------------------------------------------ */

struct parquet_workspace *parquet_workspace_open(void)
{
    struct parquet_workspace *space = calloc(1, sizeof(*space));

    if (space == NULL)
        return NULL;
    space->codec = codec_open();
    if (space->codec == NULL) {
        free(space);
        return NULL;
    }
    return space;
}

void parquet_workspace_close(struct parquet_workspace *space)
{
    if (space == NULL)
        return;
    codec_close(space->codec);
    parquet_spare_free(space);
    bytes_free(&space->raw);
    bytes_free(&space->packed);
    bytes_free(&space->head);
    bytes_free(&space->aside);
    free(space);
}

uint64_t parquet_workspace_memory(const struct parquet_workspace *space)
{
    return space->raw.cap + space->packed.cap + space->head.cap + space->aside.cap
           + space->spare_bytes;
}

/* --- open and close ------------------------------------------------------------------------- */

static void pages_sized(struct parquet *w, uint32_t count)
{
    uint64_t share = w->group_bytes_max / count;

    share = share < PAGE_BYTES_MIN ? PAGE_BYTES_MIN : share;
    w->group.page_bytes = share < PAGE_BYTES_MAX ? share : PAGE_BYTES_MAX;
    w->group.page_rows = w->group.page_bytes / PAGE_ROW_BYTES;
}

int parquet_open(const struct schema *schema, const struct parquet_options *options,
                 struct parquet_workspace *space, struct parquet **ret_writer)
{
    uint32_t count = schema->count - schema->hidden;
    struct parquet *w;

    *ret_writer = NULL;
    if (count == 0)
        return -EINVAL;
    w = calloc(1, sizeof(*w));
    if (w == NULL)
        return -ENOMEM;
    parquet_pages_init(&w->out);
    w->hidden = schema->hidden;
    w->group_bytes_max = options->row_group_bytes;
    w->group = (struct parquet_group){.space = space, .codec = options->codec,
                                      .level = options->level};
    w->created_by = strdup(options->created_by);
    w->columns = calloc(count, sizeof(*w->columns));
    if (w->created_by == NULL || w->columns == NULL)
        goto fail;
    pages_sized(w, count);
    for (; w->count < count; w->count++)
        if (parquet_column_init(&w->columns[w->count],
                                &schema->columns[w->hidden + w->count], &w->group))
            goto fail;
    w->group.memory += sizeof(*w) + count * sizeof(*w->columns);
    *ret_writer = w;
    return 0;

fail:
    parquet_close(w);
    return -ENOMEM;
}

void parquet_close(struct parquet *w)
{
    if (w == NULL)
        return;
    parquet_pages_free(&w->out, &w->group);
    for (uint32_t i = 0; i < w->count; i++)
        parquet_column_fini(&w->columns[i]);
    free(w->columns);
    parquet_fill_close(&w->fill);
    free(w->created_by);
    bytes_free(&w->groups);
    free(w);
}

/* --- rows ----------------------------------------------------------------------------------- */

/* What a row is refused for, before any of it has been taken. */
static __attribute__((noinline)) int row_refused(const struct parquet *w, const struct cell *cells)
{
    for (uint32_t i = 0; i < w->count; i++) {
        const struct cell *cell = &cells[i];

        if ((w->columns[i].takes >> cell->type & 1) == 0)
            return -EINVAL;
        if ((TEXTS >> cell->type & 1) != 0 && cell->len > PARQUET_VALUE_BYTES_MAX)
            return -EMSGSIZE;
        if (cell->type == CELL_I64 && cell->u.i != (int32_t)cell->u.i
            && w->columns[i].type == COLUMN_I32)
            return -ERANGE;
    }
    return 0;
}

/* All rules at once: that a row is refused is not expected. */
static inline int row_check(const struct parquet *w, const struct cell *cells)
{
    const struct parquet_column *c = w->columns, *end = c + w->count;
    unsigned wrong = 0, longest = 0;

    for (const struct cell *cell = cells; c < end; c++, cell++) {
        wrong |= ~((unsigned)c->takes >> cell->type) & 1U;
        wrong |= (unsigned)(c->type == COLUMN_I32)
                 & (unsigned)(cell->u.i != (int32_t)cell->u.i);
        longest |= cell->len;
    }
    /* All bits together may be more than each: the slow way knows. */
    wrong |= (unsigned)(longest > PARQUET_VALUE_BYTES_MAX);
    return __builtin_expect(wrong != 0, 0) ? row_refused(w, cells) : 0;
}

static void group_end(struct parquet *w)
{
    if (w->state == PARQUET_FILLING && w->group.rows > 0)
        w->state = PARQUET_ENDING;
}

static bool group_full(const struct parquet *w)
{
    uint64_t bytes = w->group.bytes;

    for (uint32_t i = 0; i < w->count; i++)
        bytes += parquet_column_bytes(&w->columns[i]);
    return bytes >= w->group_bytes_max;
}

/*
 * One column is looked at for each row, and one page is made in a call, so that the pages of
 * columns that fill alike are made in different calls. Whether the group is full changes slowly: it
 * is asked when a page was made.
 */
static inline void columns_turn(struct parquet *w, uint64_t rows)
{
    for (uint64_t looks = rows < w->count ? rows : w->count; looks > 0; looks--) {
        struct parquet_column *c = &w->columns[w->turn];

        w->turn = w->turn + 1 == w->count ? 0 : w->turn + 1;
        if (__builtin_expect(!parquet_column_due(c), 1))
            continue;
        parquet_column_page(c);
        if (group_full(w))
            group_end(w);
        break;
    }
    if (w->group.rows >= GROUP_ROWS_MAX)
        group_end(w);
}

static void columns_absorb(struct parquet *w)
{
    for (uint32_t i = 0; i < w->count; i++)
        parquet_column_absorb(&w->columns[i]);
}

/* 0: a row is taken. */
static inline int may_take(const struct parquet *w)
{
    return w->group.error ? w->group.error : parquet_ready(w) || w->last ? -EAGAIN : 0;
}

int parquet_row(struct parquet *w, const struct cell *cells)
{
    struct parquet_column *c = w->columns, *end = c + w->count;
    int e = may_take(w);

    cells += w->hidden;
    if (!e)
        e = row_check(w, cells);
    if (e)
        return e;
    for (; c < end; c++, cells++)
        parquet_column_put(c, cells);
    w->group.rows++;
    if (w->group.rows % PARQUET_DICT_BATCH == 0)
        columns_absorb(w);
    columns_turn(w, 1);
    return w->group.error;
}

int parquet_records(struct parquet *w, const struct record_plan *plan)
{
    INVARIANT(w->hidden == 0 && w->count == plan->count);
    return parquet_fill_open(&w->fill, plan);
}

/* The records that wait. */
static void fill(struct parquet *w)
{
    uint32_t rows = w->fill.count;

    if (rows == 0 || w->group.error)
        return;
    for (uint32_t i = 0; i < w->count; i++)
        parquet_fill_column(&w->fill, i, &w->columns[i]);
    parquet_fill_clear(&w->fill);
    w->group.rows += rows;
    columns_absorb(w);
    columns_turn(w, rows);
}

int parquet_record(struct parquet *w, const uint8_t *payload, uint32_t len)
{
    int e = may_take(w);

    if (!e)
        e = parquet_fill_add(&w->fill, payload, len);
    if (e)
        return e;
    if (parquet_fill_full(&w->fill))
        fill(w);
    return w->group.error;
}

void parquet_group_end(struct parquet *w)
{
    fill(w);
    group_end(w);
}

void parquet_finish(struct parquet *w)
{
    w->last = true;
    parquet_group_end(w);
    if (w->state == PARQUET_FILLING)
        w->state = PARQUET_FOOTER;
}

/* --- out ------------------------------------------------------------------------------------ */

bool parquet_ready(const struct parquet *w)
{
    return w->out.first != NULL || w->state == PARQUET_ENDING || w->state == PARQUET_FOOTER;
}

static void group_done(struct parquet *w)
{
    w->group.error = parquet_meta_group_end(&w->groups, w->group_offset, w->group_raw,
                                            w->offset - w->group_offset, w->group.rows,
                                            w->groups_count);
    w->groups_count++;
    w->rows += w->group.rows;
    w->group.rows = 0;
    w->group.bytes = 0;
    w->group_raw = 0;
    w->ending = 0;
    w->state = w->last ? PARQUET_FOOTER : PARQUET_FILLING;
}

/* The next column's pages, in their place in the file. */
static void column_out(struct parquet *w)
{
    struct parquet_column *c = &w->columns[w->ending];
    struct parquet_pages dict;
    uint64_t dict_len;
    int e = 0;

    if (w->ending == 0) {
        w->group_offset = w->offset;
        e = parquet_meta_group_begin(&w->groups, w->count);
    }
    parquet_column_end(c, &dict);
    dict_len = dict.first != NULL ? dict.first->len : 0;
    if (!e)
        e = parquet_meta_column(&w->groups, c, w->offset, dict_len, w->group.rows);
    w->offset += c->packed_bytes;
    w->group_raw += c->raw_bytes;
    parquet_pages_move(&w->out, &dict);
    parquet_pages_move(&w->out, &c->pages);
    parquet_column_next(c, w->last);
    if (e && !w->group.error)
        w->group.error = e;
    if (++w->ending == w->count && !w->group.error)
        group_done(w);
}

static void footer_out(struct parquet *w)
{
    struct bytes footer = BYTES_INIT;
    uint8_t end[LENGTH_BYTES + MAGIC_BYTES];
    int e = parquet_meta_file(&footer, w->columns, w->count, w->rows, &w->groups,
                              w->groups_count, w->created_by);

    if (!e) {
        bytes_put_u32(end, (uint32_t)footer.len);
        memcpy(end + LENGTH_BYTES, magic, MAGIC_BYTES);
        e = bytes_append(&footer, end, sizeof(end));
    }
    if (!e)
        e = parquet_pages_add(&w->out, &w->group, footer.data, footer.len, NULL, 0);
    w->offset += footer.len;
    bytes_free(&footer);
    bytes_free(&w->groups);
    w->group.error = e;
    w->state = PARQUET_DONE;
}

/* Makes more to pull, if there is more. */
static void step(struct parquet *w)
{
    if (w->offset == 0 && w->state != PARQUET_FILLING) {
        if (parquet_pages_add(&w->out, &w->group, magic, MAGIC_BYTES, NULL, 0))
            return;
        w->offset = MAGIC_BYTES;
    }
    if (w->state == PARQUET_ENDING)
        column_out(w);
    else if (w->state == PARQUET_FOOTER)
        footer_out(w);
}

int64_t parquet_pull(struct parquet *w, struct block_chain *out, uint64_t most)
{
    uint64_t moved = 0;

    if (!w->group.error && w->out.first == NULL)
        step(w);
    if (w->group.error)
        return w->group.error;
    while (w->out.first != NULL && moved < most) {
        struct parquet_page *page = w->out.first;
        size_t part = page->len - w->out_at;

        part = part < most - moved ? part : (size_t)(most - moved);
        chain_append(out, page->data + w->out_at, part);
        moved += part;
        w->out_at += part;
        if (w->out_at < page->len)
            break;
        w->out.first = page->next;
        w->out_at = 0;
        parquet_page_free(page, &w->group);
        if (w->out.first == NULL)
            parquet_pages_init(&w->out);
    }
    return (int64_t)moved;
}

uint64_t parquet_memory(const struct parquet *w)
{
    return w->group.memory + w->groups.cap + w->fill.payloads.cap;
}

uint64_t parquet_rows_taken(const struct parquet *w)
{
    return w->rows + w->group.rows + w->fill.count;
}

uint64_t parquet_bytes(const struct parquet *w)
{
    return w->offset;
}
