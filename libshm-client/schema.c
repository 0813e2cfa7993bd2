/*
 * schema: the ring's definitions, which give the numbers in its frames their meaning.
 *
 * Streams are defined here; a typed record's schema takes its number from the same count.
 *
 * Owns:   nothing; definitions lie in the segment, where each was found is in the handle.
 * Thread: the handle's.
 * Units:  bytes; numbers count from 1.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>

#include "handle.h"

#define DEF_ALIGN 8U

static bool name_valid(const char *name, size_t len)
{
    if (len == 0 || len > SHM_STREAM_NAME_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        bool alnum = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');

        if (!alnum && (i == 0 || (c != '_' && c != '.' && c != '-')))
            return false;
    }
    return true;
}

static uint16_t stream_find(const struct shmc *h, const char *name, size_t len)
{
    for (uint32_t i = 0; i < h->streams; i++) {
        const struct shmc_def_ref *ref = &h->defs[i];

        if (ref->len == len && memcmp(h->segment.defs + ref->at8 * DEF_ALIGN, name, len) == 0)
            return (uint16_t)(i + 1);
    }
    return 0;
}

static int stream_define(struct shmc *h, const char *name, size_t len, uint16_t *ret_id)
{
    uint32_t bytes = (uint32_t)((sizeof(struct shm_def) + len + DEF_ALIGN - 1) & ~(DEF_ALIGN - 1));
    struct shm_def def = {.bytes = bytes,
                          .number = (uint16_t)(h->streams + 1),
                          .type = SHM_DEF_STREAM,
                          .body_len = (uint32_t)len};
    uint8_t *at = h->segment.defs + h->defs_bytes;

    if (h->streams == SHM_DEFS_MAX || bytes > SHM_DEFS_BYTES - h->defs_bytes)
        return shmc_text_set(&h->error, -ENOSPC,
                             "stream '%s': the ring's definitions are full (%u of %u, %u of %u "
                             "bytes)",
                             name, h->streams, SHM_DEFS_MAX, h->defs_bytes, SHM_DEFS_BYTES);

    /* Never written before, so the padding is zero. */
    memcpy(at, &def, sizeof(def));
    memcpy(at + sizeof(def), name, len);
    h->defs[h->streams].at8 = (uint16_t)((h->defs_bytes + sizeof(def)) / DEF_ALIGN);
    h->defs[h->streams].len = (uint8_t)len;
    h->defs_bytes += bytes;
    h->streams = def.number;
    /*
     * D1: pairs with the agent's acquire of defs_bytes: seeing the length means seeing the bytes.
     * The head of a frame that uses the number is released later (A1), so who sees the frame sees
     * its definition.
     */
    atomic_store_explicit(&h->segment.producer->defs_bytes, h->defs_bytes, memory_order_release);
    *ret_id = def.number;
    return 0;
}

int shmc_stream(struct shmc *h, const char *name, uint16_t *ret_id)
{
    size_t len;
    int rc = 0;

    if (!shmc_enter(h))
        return -EBUSY;
    len = name != NULL ? strnlen(name, SHM_STREAM_NAME_MAX + 1) : 0;
    if (!shmc_alive(h)) {
        rc = -ECHILD;
    } else if (ret_id == NULL || !name_valid(name, len)) {
        rc = shmc_text_set(&h->error, -EINVAL,
                           "stream '%.*s': a name is [A-Za-z0-9][A-Za-z0-9_.-]{0,63}",
                           (int)SHM_STREAM_NAME_MAX + 1, name != NULL ? name : "(null)");
    } else {
        uint16_t id = stream_find(h, name, len);

        if (id != 0)
            *ret_id = id;
        else
            rc = stream_define(h, name, len, ret_id);
    }
    shmc_leave(h, SHMC_IDLE);
    return rc;
}
