/*
 * relay_ring: an ordinary producer's handle.
 *
 * Owns:   see the header.
 * Thread: the listener's.
 */
#include "intake/relay_ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "handle.h"
#include "intake/relay_old.h"

int relay_ring_make(struct relay_ring *r, struct errmsg *err)
{
    struct shmc_options opt = SHMC_OPTIONS_INIT;
    int rc;

    opt.name = RELAY_RING_NAME;
    opt.shm_dir = r->shm_dir;
    opt.ring_bytes = RELAY_RING_BYTES;
    opt.full = SHMC_FULL_FAIL;
    rc = shmc_open(&opt, &r->ring);
    if (rc != 0)
        return errmsg_set(err, rc, "%s", shmc_error(NULL));
    rc = file_guard_adopt(r->ring->segment.base, r->ring->segment.mapped_bytes, &r->guard);
    if (rc != 0) {
        relay_ring_drop(r);
        return errmsg_set_errno(err, rc, "no guard for the ring");
    }
    memcpy(r->uuid, ((const struct shm_superblock *)r->ring->segment.base)->uuid, sizeof(r->uuid));
    r->head = r->accepted = r->durable = 0;
    r->generation++;
    r->full_of_defs = false;
    return 0;
}

void relay_ring_drop(struct relay_ring *r)
{
    if (r->ring == NULL)
        return;
    file_guard_release(&r->guard);
    (void)shmc_close(r->ring);
    r->ring = NULL;
}

static int result(const struct relay_ring *r, int rc, struct errmsg *err)
{
    if (file_guard_faulted(&r->guard))
        return errmsg_set(err, -ESTALE, "ring %s: its file was cut short", shmc_name(r->ring));
    return rc == 0 ? 0 : errmsg_set(err, rc, "%s", shmc_error(r->ring));
}

int relay_ring_look(struct relay_ring *r, struct errmsg *err)
{
    int rc = shmc_position(r->ring, SHMC_COMMITTED, &r->head);

    if (rc == 0)
        rc = shmc_position(r->ring, SHMC_ACCEPTED, &r->accepted);
    if (rc == 0 && r->durable != r->head) {
        rc = shmc_flush(r->ring, SHMC_DURABLE, 0);
        if (rc == -ETIMEDOUT)
            rc = 0;
        if (rc == 0)
            rc = shmc_position(r->ring, SHMC_DURABLE, &r->durable);
    }
    return result(r, rc, err);
}

int relay_ring_stream(struct relay_ring *r, const char *name, uint16_t *ret_number,
                      struct errmsg *err)
{
    return result(r, shmc_stream(r->ring, name, ret_number), err);
}

/* The fields of a definition's body. `names` has room for all, each with a NUL. */
static int fields_read(const uint8_t *body, uint32_t len, struct shmc_field *fields, char *names,
                       uint16_t *ret_count)
{
    struct shm_schema head;
    uint32_t at = sizeof(head);

    memcpy(&head, body, sizeof(head));
    for (uint16_t i = 0; i < head.fields; i++) {
        struct shm_field f;

        if (len - at < sizeof(f))
            return -EINVAL;
        memcpy(&f, body + at, sizeof(f));
        at += (uint32_t)sizeof(f);
        if (len - at < f.name_len)
            return -EINVAL;
        memcpy(names, body + at, f.name_len);
        names[f.name_len] = '\0';
        fields[i] = (struct shmc_field){.name = names, .type = f.type, .flags = f.flags};
        names += f.name_len + 1;
        at += f.name_len;
    }
    *ret_count = head.fields;
    return at == len ? 0 : -EINVAL;
}

int relay_ring_schema(struct relay_ring *r, uint16_t stream, const uint8_t *body, uint32_t len,
                      uint16_t *ret_number, struct errmsg *err)
{
    struct shmc_field *fields;
    uint16_t count = 0;
    char *names;
    int rc = -EINVAL;

    if (len < sizeof(struct shm_schema) || bytes_get_u16(body) > SHM_FIELDS_MAX)
        return errmsg_set(err, rc, "a definition that is none");
    fields = calloc(SHM_FIELDS_MAX, sizeof(*fields));
    names = malloc(len + SHM_FIELDS_MAX);
    if (!fields || !names)
        rc = errmsg_set(err, -ENOMEM, "no memory");
    else if (fields_read(body, len, fields, names, &count))
        errmsg_set(err, rc, "a definition that is none");
    else
        rc = result(r, shmc_schema(r->ring, stream, fields, count, ret_number), err);
    free(fields);
    free(names);
    return rc;
}

int relay_ring_write(struct relay_ring *r, uint16_t number, const struct shm_frame *frame,
                     const uint8_t *payload, struct errmsg *err)
{
    return result(r, shmc_write_at(r->ring, number, frame->kind, frame->time_ns, payload,
                                   frame->len), err);
}
