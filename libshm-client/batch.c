/*
 * batch: several events that become visible by one store, so all of them or none.
 *
 * They are put behind head, where nobody reads yet; what is not committed is simply not there. The
 * agent's own entrances use it; it is no part of the library's interface.
 *
 * Owns:   nothing; works on the handle's ring.
 * Thread: the handle's. No other write to the ring between begin and commit.
 * Units:  bytes of frames, headers and padding included.
 */
#include <errno.h>
#include <string.h>

#include "frame.h"

int shmc_batch_begin(struct shmc *h, struct shmc_batch *ret_batch)
{
    uint64_t head, accepted;
    int rc;

    *ret_batch = (struct shmc_batch){0};
    if (!shmc_enter(h))
        return -EBUSY;
    head = shmc_head(h);
    rc = shmc_mark_read(h, SHM_POS_ACCEPTED, head, &accepted);
    if (rc == 0) {
        ret_batch->room = h->segment.data_bytes - (head - accepted);
        ret_batch->time_ns = shmc_event_time_ns(h);
    }
    shmc_leave(h, SHMC_IDLE);
    return rc;
}

int shmc_batch_add(struct shmc *h, struct shmc_batch *batch, uint16_t stream, uint8_t kind,
                   const void *data, size_t len)
{
    const struct shmc_def_ref *def = shmc_def(h, stream);
    uint64_t at = shmc_head_published(h) + batch->bytes, bytes;
    uint8_t *frame;

    if (def == NULL || def->stream != 0 || kind == 0 || kind >= SHMC_RECORD)
        return shmc_text_set(&h->error, -EINVAL, "batch: number %u, kind %u", stream, kind);
    if (len > h->event_bytes_max)
        return -EMSGSIZE;
    bytes = shm_frame_bytes((uint32_t)len);
    batch->bytes += bytes;
    batch->events++;
    batch->payload_bytes += len;
    if (batch->bytes > batch->room)
        return 0; /* counted on: the commit tells, and the caller learns how much it is */
    frame = h->segment.data + (at & (h->segment.data_bytes - 1));
    frame_line_ahead(frame + FRAME_AHEAD_BYTES);
    frame_padding_put(frame, bytes);
    frame_header_put(frame, (struct shmc_event){batch->time_ns, (uint32_t)len, stream, kind});
    if (len <= FRAME_SMALL_MAX)
        frame_small_put(frame + sizeof(struct shm_frame), data, len);
    else
        frame_large_put(frame + sizeof(struct shm_frame), data, len);
    return 0;
}

int shmc_batch_commit(struct shmc *h, const struct shmc_batch *batch)
{
    if (batch->bytes > h->segment.data_bytes)
        return -EMSGSIZE;
    if (batch->bytes > batch->room)
        return -EAGAIN;
    if (batch->events == 0)
        return 0;
    if (!shmc_enter(h))
        return -EBUSY;
    h->accepted = shmc_head(h) + batch->room - h->segment.data_bytes;
    h->events += batch->events - 1;     /* as one more is counted with the payload */
    shmc_publish(h, batch->bytes, (uint32_t)batch->payload_bytes);
    shmc_leave(h, SHMC_IDLE);
    return 0;
}
