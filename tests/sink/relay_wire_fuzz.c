/*
 * Arbitrary bytes as messages and as frames: nothing is read beyond them, and what is accepted is
 * within the bounds that its readers rely on.
 */
#include <stdlib.h>

#include "base/invariant.h"
#include "sink/relay_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void frames_read(const uint8_t *data, size_t size, bool file)
{
    for (size_t at = 0; at < size;) {
        const uint8_t *payload;
        struct shm_frame f;
        int64_t n = relay_frame_next(data + at, size - at, file, &f, &payload);

        if (n <= 0)
            return;
        INVARIANT((uint64_t)n <= size - at && payload + f.len <= data + size);
        at += (size_t)n;
    }
}

static void message_read(const struct relay_message *m)
{
    char stream[SHM_STREAM_NAME_MAX + 1];
    const uint8_t *body;
    struct batch_id id, floor;
    uint8_t uuid[16];
    uint16_t number;
    uint64_t value;
    uint32_t len;

    (void)relay_wire_hello(m, uuid);
    (void)relay_wire_begin(m, &id, stream);
    (void)relay_wire_forget(m, &id, &floor);
    (void)relay_wire_u64(m, &value);
    if (relay_wire_schema(m, &number, &body, &len) == 0)
        INVARIANT(number > 0 && number <= SHM_DEFS_MAX && body + len == m->body + m->len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (size_t at = 0; at < size;) {
        struct relay_message m;
        int64_t n = relay_wire_next(data + at, size - at, &m);

        if (n <= 0)
            break;
        INVARIANT((uint64_t)n <= size - at);
        message_read(&m);
        at += (size_t)n;
    }
    frames_read(data, size, false);
    frames_read(data, size, true);
    return 0;
}
