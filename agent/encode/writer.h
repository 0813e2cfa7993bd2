/*
 * writer: one file being made of the events of a batch.
 *
 * Lines (json, raw) go out as they come. Rows (csv, parquet) need columns: those that are declared,
 * those of a record's type, or those that are found: then events are held until infer_bytes of them
 * have been looked at, and written when the columns are known. An event that does not fit columns
 * that were found seals the batch, and the next begins with wider ones.
 *
 * Work is bounded: a call that has done its part says WRITER_AGAIN, and is repeated in another turn
 * of the shard. Output is appended to a chain whose pool may be exhausted: WRITER_NO_ROOM.
 *
 *     look = encoding_look(e, ev, false)
 *     writer_take(w, ev, chain): TAKEN, or nothing of the event has happened
 *     writer_finish(w, chain) until it is 0
 *
 * Owns:   held events, columns and buffers of rows; borrows the encoding.
 * Thread: shard.
 * Units:  bytes.
 */
#ifndef ENCODE_WRITER_H
#define ENCODE_WRITER_H

#include "base/blocks.h"
#include "encode/encoding.h"

enum writer_result {
    WRITER_TAKEN,
    WRITER_AGAIN,               /* in the next turn */
    WRITER_NO_ROOM,             /* when the pool has blocks */
    WRITER_MISFIT,              /* into another batch: see writer_wider() */
    WRITER_REFUSED,             /* into no batch: see encoding.error and why */
    WRITER_NO_MEMORY
};

struct writer;

/*
 * For a batch that begins with the event that was looked at last. `start`: columns to begin with,
 * of writer_wider(), or NULL. 0 or -ENOMEM.
 */
int writer_open(struct encoding *e, const struct event *ev, const struct schema *start,
                struct writer **ret_writer);
void writer_close(struct writer *w);            /* NULL is fine */

/* The event that was looked at last. */
enum writer_result writer_take(struct writer *w, const struct event *ev, struct block_chain *out);

/*
 * The short way of writer_take() where encoding.as_is says that no look is needed: an event that is
 * no record, into a file of lines. False: the pool has no blocks.
 */
bool writer_line(const struct encoding *e, const struct event *ev, struct block_chain *out);

/* No more events. 0: all is in the chain; AGAIN, NO_ROOM, NO_MEMORY as above. */
enum writer_result writer_finish(struct writer *w, struct block_chain *out);

/* Columns for the batch that takes the misfit; NULL: none but its own. Good until the next call. */
const struct schema *writer_wider(const struct writer *w);

/*
 * To write the same events once more: has it to learn its columns from them first? Then all are
 * looked at and given to writer_learn(), writer_learned() ends that, and they come again, to
 * writer_take(). 0, -EBADMSG: one is no object, -ENOMEM.
 */
bool writer_learns(const struct writer *w);
int writer_learn(struct writer *w);
int writer_learned(struct writer *w);

/* Held beside the chain; and what can be done about it: hold no more, end the row group. */
uint64_t writer_memory(const struct writer *w);
void writer_squeeze(struct writer *w);

#endif
