/*
 * parquet_page: what a column has collected becomes the bytes of a page: levels, values in the
 * encoding that suits them, compressed. Inner part of parquet.
 *
 * Owns:   nothing; pages go into the column's list.
 * Thread: the writer's.
 * Units:  bytes.
 */
#ifndef ENCODE_PARQUET_PAGE_H
#define ENCODE_PARQUET_PAGE_H

#include "encode/parquet_column.h"

/*
 * A data page of all values since page_row, at the end of the chunk's pages, counted there and in
 * its statistics. `only`: the chunk has no other, what is said of that is enough. Errors are the
 * group's.
 */
void parquet_page_data(struct parquet_column *c, bool only);

/* The chunk's dictionary as a page; there is a data page before. */
void parquet_page_dict(struct parquet_column *c, struct parquet_pages *ret_pages);

#endif
