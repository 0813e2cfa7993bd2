/*
 * record_type: types by their definition.
 *
 * Owns:   the types.
 * Thread: any one at a time.
 */
#include "encode/record_type.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "encode/refused.h"

void record_types_init(struct record_types *types)
{
    memset(types, 0, sizeof(*types));
}

static void type_free(struct record_type *t)
{
    schema_fini(&t->schema);
    record_plan_fini(&t->plan);
    free(t->body);
    free(t->cells);
    free(t);
}

void record_types_fini(struct record_types *types)
{
    for (uint32_t i = 0; i < RECORD_TYPE_BUCKETS; i++) {
        struct record_type *t = types->bucket[i], *next;

        for (; t; t = next) {
            next = t->next;
            type_free(t);
        }
        types->bucket[i] = NULL;
    }
    types->count = 0;
}

static int type_make(const void *body, size_t len, struct record_type **ret_type)
{
    struct record_type *t = calloc(1, sizeof(*t));
    int err = -ENOMEM;

    if (!t)
        return -ENOMEM;
    t->body = malloc(len + 1);
    if (t->body) {
        memcpy(t->body, body, len);
        t->len = (uint32_t)len;
        t->refused = refused_schema(body, len);
        err = record_schema_read(body, len, &t->schema);
    }
    if (!err)
        err = record_plan_init(&t->plan, body, len);
    if (!err) {
        t->cells = calloc(t->plan.count + 1, sizeof(*t->cells));
        err = t->cells ? 0 : -ENOMEM;
    }
    if (err)
        type_free(t);
    else
        *ret_type = t;
    return err;
}

int record_types_get(struct record_types *types, const void *body, size_t len,
                     struct record_type **ret_type)
{
    uint32_t hash = crc32c(0, body, len);
    struct record_type *t;
    int err;

    for (t = types->bucket[hash % RECORD_TYPE_BUCKETS]; t; t = t->next)
        if (t->hash == hash && t->len == len && memcmp(t->body, body, len) == 0) {
            *ret_type = t;
            return 0;
        }
    err = type_make(body, len, &t);
    if (err)
        return err;
    if (types->count == RECORD_TYPES_MAX)
        record_types_fini(types);
    t->hash = hash;
    t->id = ++types->last_id;
    t->next = types->bucket[hash % RECORD_TYPE_BUCKETS];
    types->bucket[hash % RECORD_TYPE_BUCKETS] = t;
    types->count++;
    *ret_type = t;
    return 0;
}
