/*
 * secret: memory for keys and tokens. It is not in core files, stays out of swap where the limit on
 * locked memory allows, and is wiped before it is given back.
 *
 * secret_map() gives pages. The others stand in for malloc and its kin in libraries that read
 * replies, whose pieces can be secret: blocks are of the ordinary heap, wiped when they are freed.
 *
 * Owns:   nothing.
 * Thread: any.
 */
#ifndef SINK_SECRET_H
#define SINK_SECRET_H

#include <stddef.h>

/* Zeroed; NULL: no memory. */
void *secret_map(size_t len);
void secret_unmap(void *at, size_t len);    /* NULL is fine */

void *secret_realloc(void *at, size_t len);
void secret_free(void *at);                 /* NULL is fine */

#endif
