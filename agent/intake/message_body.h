/*
 * message_body: what a MiniFirehose is given: {"message": TEXT or OBJECT}. Pure.
 *
 * Owns:   a reader owns memory that grows to the size of the largest text with escapes. The body is
 *         borrowed.
 * Thread: any one at a time.
 * Units:  bytes.
 */
#ifndef INTAKE_MESSAGE_BODY_H
#define INTAKE_MESSAGE_BODY_H

#include "base/errmsg.h"
#include "encode/json_reader.h"

struct message_reader {
    struct json_reader body;
};

int message_reader_init(struct message_reader *r);      /* 0 or -ENOMEM; fini in any case */
void message_reader_fini(struct message_reader *r);

/*
 * The text without a newline at its end, or the object as it stands there; borrowed until the next
 * call. 0; -EBADMSG: it is neither, or not JSON, with a text; -ENOMEM.
 */
int message_reader_read(struct message_reader *r, const uint8_t *body, size_t len,
                        const uint8_t **ret_data, size_t *ret_len, struct errmsg *err);

#endif
