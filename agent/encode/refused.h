/*
 * refused: events that their producer itself has found to be none, with the reason: records of one
 * well-known schema. They go to the error output of their stream as the bytes that were refused.
 *
 * The intake of sockets writes them for lines that it cannot take; any producer may.
 *
 * Owns:   nothing.
 * Thread: any.
 */
#ifndef ENCODE_REFUSED_H
#define ENCODE_REFUSED_H

#include <stdbool.h>
#include <stddef.h>

/* The fields of the schema, in this order: a string and bytes. Neither may be missing. */
#define REFUSED_FIELD_WHY  "hydrant:refused"
#define REFUSED_FIELD_DATA "hydrant:data"

/* Is this the body of that schema, as shm_wire.h draws it? */
bool refused_schema(const void *body, size_t len);

#endif
