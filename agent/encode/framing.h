/*
 * framing: how the events of a file of lines (json, raw) are told apart. Pure.
 *
 *   none      each as its format ends it
 *   array     "[" before the first, ",\n" before the others, "]\n" at the end
 *   records   before each its length, 4 bytes little endian, without these 4
 *   frames    each as in the log: struct shm_frame, payload, padding. Its number is 0; that of a
 *             typed record names a definition, which stands in front of its first one: a frame of
 *             kind FRAMING_KIND_SCHEMA with that number, whose payload is the definition's body
 *
 * A record holds what the format makes of the event, the line's end or delimiter included, and has
 * a greatest size: that of the services which take records.
 *
 * Owns:   nothing.
 * Thread: shard.
 * Units:  bytes.
 */
#ifndef ENCODE_FRAMING_H
#define ENCODE_FRAMING_H

#include "encode/encoding.h"

enum { FRAMING_RECORD_BYTES_MAX = 1000 * 1024, FRAMING_LENGTH_BYTES = 4 };
enum { FRAMING_KIND_SCHEMA = 255 };

/* Of a format and a compression that can be framed so. */
bool framing_fits(const struct output_settings *set);

/* The event that was looked at last, as a record: 0, -EBADMSG: too large, see why; or -ENOMEM. */
int framing_check(struct encoding *e, const struct event *ev);

/* The event that was looked at last; `first` in its file. False: the pool has no blocks. */
bool framing_event(const struct encoding *e, const struct event *ev, bool first,
                   struct block_chain *out);

/*
 * An event, or the definition of its type, as a frame with this number. False: the pool has no
 * blocks.
 */
bool framing_frame(const struct event *ev, uint16_t number, struct block_chain *out);
bool framing_schema(const struct event *ev, uint16_t number, struct block_chain *out);

/* Behind the last one. False: as above. */
bool framing_end(const struct encoding *e, struct block_chain *out);

#endif
