/*
 * records: the events of a batch's file one by one, for services that take records.
 *
 * A file is read as what it is, not as it would be made today: one with framing (.records), or
 * plain JSON lines, of a batch that was sealed when its sink was of another kind.
 *
 * Owns:   a window of the file in memory.
 * Thread: one at a time for each struct.
 * Units:  bytes; `at` = offset in the file.
 */
#ifndef SINK_RECORDS_H
#define SINK_RECORDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/errmsg.h"
#include "encode/framing.h"
#include "sink/object_type.h"

struct records {
    int fd;                         /* borrowed */
    uint64_t file_bytes;
    bool lines;
    struct bytes window;            /* owned */
    uint64_t window_at;
};

struct record {
    const uint8_t *data;            /* until the next call */
    uint32_t len;
    uint64_t next;                  /* where the one behind it begins */
};

/* 0, or -EOPNOTSUPP with a text: such a file is not made of records. */
int records_open(struct records *r, const struct object_type *type, int fd, uint64_t file_bytes,
                 struct errmsg *err);
void records_close(struct records *r);      /* zeroed is fine */

/* Lets its memory go until the next event is asked for. */
void records_rest(struct records *r);

/*
 * The event that begins at `at`, which is below file_bytes. -EBADMSG: the file is damaged,
 * -EOPNOTSUPP: a line is longer than a record may be, -ENOMEM, or what reading it failed with; with
 * a text.
 */
int records_get(struct records *r, uint64_t at, struct record *ret_record, struct errmsg *err);

/* How long the base64 of so many bytes is; appends it, 0 or -ENOMEM. */
uint64_t records_base64_bytes(uint64_t len);
int records_put_base64(struct bytes *body, const void *data, size_t len);

#endif
