/*
 * body_text: the events of a body as text, one after the other: kind, length, payload.
 */
#ifndef TESTS_INTAKE_BODY_TEXT_H
#define TESTS_INTAKE_BODY_TEXT_H

#include "base/bytes.h"
#include "base/invariant.h"
#include "intake/body.h"

static inline int body_text_event(void *ctx, enum shm_kind kind, const uint8_t *data, size_t len)
{
    static const char letters[] = " jtb";
    struct bytes *out = ctx;

    INVARIANT(kind >= SHM_KIND_JSON && kind <= SHM_KIND_BYTES);
    INVARIANT(bytes_printf(out, "%c%zu:", letters[kind], len) == 0);
    INVARIANT(bytes_append(out, data, len) == 0);
    return bytes_append_char(out, ' ');
}

#endif
