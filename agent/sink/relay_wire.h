/*
 * relay_wire: what one agent says to another: messages, and the frames in them. Pure.
 *
 * Both sides send messages, little endian:
 *
 *   0   4  len        of the body that follows
 *   4   4  type       enum relay_type
 *   8   8  ref        which batch of this connection; the sender counts them
 *   16  .. body
 *
 *   the sender says                            the listener answers
 *   HELLO    magic, version, 0, uuid[16]       WELCOME   when it can tell what it has
 *   BEGIN    epoch, number, shard (4), 0 (4),  TAKEN     bytes of its frames that it has (8), also
 *            name of the stream                          of earlier connections and lives
 *                                              DECLINED  text: it cannot be taken now; of
 *                                                        others nothing is said
 *   SCHEMA   number (4), 0 (4), definition
 *   DATA     offset (8), frames
 *   END      bytes of all frames (8)           DONE      they are durable
 *   FORGET   epoch, number, shard (4), 0 (4),  -
 *            epoch and number of the floor:
 *            it will not be sent again, nor
 *            any of that shard below the floor
 *                                              ALIVE     text: why it has to wait, or none; now
 *                                                        and then
 *                                              REFUSED   text; the end
 *
 * The frames of a batch are a run of bytes in the ring's form (shm_wire.h), counted from 0 on.
 * Those of typed records name definitions, which come in front of the first DATA that needs them;
 * they do not count. So a batch that was cut off anywhere goes on there.
 *
 * Owns:   nothing.
 * Thread: any.
 * Units:  bytes.
 */
#ifndef SINK_RELAY_WIRE_H
#define SINK_RELAY_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "flow/object_name.h"
#include "shm_wire.h"

#define RELAY_MAGIC   0x59414c4552445948ULL     /* "HYDRELAY" */
#define RELAY_VERSION 1U

enum {
    RELAY_HEADER_BYTES = 16,
    RELAY_CHUNK_BYTES = 256 * 1024,     /* of frames in one DATA, unless one frame is larger */
    RELAY_BODY_BYTES_MAX = 8 + RELAY_CHUNK_BYTES + SHM_EVENT_BYTES_MAX + 64,
    RELAY_BATCHES_MAX = 1024            /* begun and not done, of one connection */
};

enum relay_type {
    RELAY_HELLO = 1, RELAY_BEGIN, RELAY_SCHEMA, RELAY_DATA, RELAY_END, RELAY_FORGET,
    RELAY_WELCOME, RELAY_TAKEN, RELAY_DONE, RELAY_ALIVE, RELAY_REFUSED, RELAY_DECLINED,
    RELAY_TYPE_END
};

struct relay_message {
    enum relay_type type;
    uint64_t ref;
    const uint8_t *body;                /* borrowed */
    uint32_t len;
};

/*
 * The message at the beginning of `data`: its length with header, 0: it is not all there yet,
 * -EBADMSG: no message begins so.
 */
int64_t relay_wire_next(const uint8_t *data, size_t len, struct relay_message *ret_message);

/* Appends one; 0 or -ENOMEM. */
int relay_wire_put(struct bytes *out, enum relay_type type, uint64_t ref, const void *body,
                   size_t len);
int relay_wire_put_u64(struct bytes *out, enum relay_type type, uint64_t ref, uint64_t value);
int relay_wire_put_hello(struct bytes *out, const uint8_t uuid[16]);
int relay_wire_put_begin(struct bytes *out, uint64_t ref, const struct batch_id *id,
                         const char *stream);
int relay_wire_put_text(struct bytes *out, enum relay_type type, uint64_t ref, const char *text);
/* The floor is of the same shard. */
int relay_wire_put_forget(struct bytes *out, const struct batch_id *id,
                          const struct batch_id *floor);
int relay_wire_put_schema(struct bytes *out, uint64_t ref, uint16_t number, const void *body,
                          size_t len);
/* DATA is appended in pieces: its length is filled in at the end. The offset of its header. */
int relay_wire_data_begin(struct bytes *out, uint64_t ref, uint64_t offset, size_t *ret_at);
void relay_wire_data_end(struct bytes *out, size_t at);

/*
 * What a body says. 0 or -EBADMSG. The name has SHM_STREAM_NAME_MAX and a NUL; -EINVAL: no stream
 * can have it.
 */
int relay_wire_hello(const struct relay_message *m, uint8_t ret_uuid[16]);
int relay_wire_begin(const struct relay_message *m, struct batch_id *ret_id,
                     char ret_stream[SHM_STREAM_NAME_MAX + 1]);
int relay_wire_forget(const struct relay_message *m, struct batch_id *ret_id,
                      struct batch_id *ret_floor);
int relay_wire_schema(const struct relay_message *m, uint16_t *ret_number, const uint8_t **ret_body,
                      uint32_t *ret_len);
int relay_wire_u64(const struct relay_message *m, uint64_t *ret_value);

/*
 * The frame at the beginning of `data`: its length with padding, 0: it is not all there, -EBADMSG:
 * none can begin so. `file`: definitions may stand among them (encode/framing.h).
 */
int64_t relay_frame_next(const uint8_t *data, uint64_t len, bool file,
                         struct shm_frame *ret_frame, const uint8_t **ret_payload);

#endif
