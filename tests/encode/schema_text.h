/*
 * schema_text: schemas from their text, which is right, and cells of texts, for tests of encoders.
 *
 * Owns:   nothing; a schema is the test's to end.
 */
#ifndef TESTS_ENCODE_SCHEMA_TEXT_H
#define TESTS_ENCODE_SCHEMA_TEXT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "encode/row.h"
#include "encode/schema.h"

static inline struct schema schema_of(const char *text)
{
    struct errmsg err = {0};
    struct schema s;

    if (schema_parse(text, &s, &err))
        fail_msg("'%s': %s", text, err.text);
    return s;
}

static inline struct cell text_cell(enum cell_type type, const void *data, size_t len)
{
    return (struct cell){.u.s = data, .len = (uint32_t)len, .type = type};
}

#endif
