/*
 * dead_letter: an event that cannot be written as asked, as the record that AWS Firehose puts into
 * its error output: one JSON object a line.
 *
 *   {"attemptsMade":1,"arrivalTimestamp":<ms>,"errorCode":"...","errorMessage":"...",
 *    "attemptEndingTimestamp":<ms>,"rawData":"<base64>"}
 *
 * Thread: any.
 */
#ifndef ENCODE_DEAD_LETTER_H
#define ENCODE_DEAD_LETTER_H

#include "base/blocks.h"
#include "encode/encoder.h"

/* The most that it appends; the caller has reserved it. */
uint64_t dead_letter_bytes_max(const struct event *ev, const char *why);
void dead_letter_append(const struct event *ev, uint64_t arrival_ns, const char *code,
                        const char *why, struct block_chain *out);

#endif
