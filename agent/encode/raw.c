/*
 * raw: payloads as they are, end to end, each followed by the delimiter, which may be empty.
 * Owns:   nothing.
 * Thread: any one at a time.
 * Units:  bytes.
 */
#include "encode/encoder.h"

static uint64_t raw_bytes_max(const struct encoder_settings *set, const struct event *ev)
{
    return (uint64_t)ev->len + set->delimiter_len;
}

static void raw_event(const struct encoder_settings *set, const struct event *ev,
                      struct block_chain *out)
{
    /* Nothing may come with a null pointer, which memcpy must not see. */
    if (ev->len > 0)
        chain_append(out, ev->data, ev->len);
    if (set->delimiter_len > 0)
        chain_append(out, set->delimiter, set->delimiter_len);
}

const struct encoder raw_encoder = {
    .name = "raw",
    .extension = "raw",
    .bytes_max = raw_bytes_max,
    .event = raw_event,
};
