/*
 * infer: columns out of events. What was met in a column is a set of bits, the type follows from
 * it; so the order of events does not matter.
 *
 * Owns:   the names and the bits.
 * Thread: any one at a time.
 */
#include "encode/infer.h"

#include <errno.h>
#include <stdlib.h>

enum seen {
    SEEN_BOOL = 1,
    SEEN_SMALL = 2,     /* integers as json_number_class() tells them apart */
    SEEN_WIDE = 4,
    SEEN_REAL = 8,
    SEEN_TEXT = 16,     /* and whatever else only a string takes */
};

static enum column_type type_of(unsigned int seen)
{
    if (seen == SEEN_BOOL)
        return COLUMN_BOOL;
    if (seen == 0 || (seen & (SEEN_BOOL | SEEN_TEXT)) != 0 ||
        (seen & (SEEN_WIDE | SEEN_REAL)) == (SEEN_WIDE | SEEN_REAL))
        return COLUMN_STRING;
    return seen & SEEN_REAL ? COLUMN_F64 : COLUMN_I64;
}

static int seen_of(enum column_type type)
{
    switch (type) {
    case COLUMN_BOOL:
        return SEEN_BOOL;
    case COLUMN_I64:
        return SEEN_SMALL;
    case COLUMN_F64:
        return SEEN_REAL;
    case COLUMN_STRING:
        return SEEN_TEXT;
    default:
        return -EINVAL;
    }
}

static unsigned int value_seen(const struct json_member *m)
{
    static const uint8_t of_class[] = {
        [JSON_NUMBER_SMALL] = SEEN_SMALL,
        [JSON_NUMBER_WIDE] = SEEN_WIDE,
        [JSON_NUMBER_REAL] = SEEN_REAL,
        [JSON_NUMBER_TEXT] = SEEN_TEXT,
    };

    switch (m->kind) {
    case JSON_KIND_NULL:
        return 0;
    case JSON_KIND_BOOL:
        return SEEN_BOOL;
    case JSON_KIND_NUMBER:
        return of_class[json_number_class(&m->number, m->text, m->len)];
    case JSON_KIND_STRING:
    case JSON_KIND_NESTED:
        break;
    }
    return SEEN_TEXT;
}

static int seen_reserve(struct infer *inf, uint32_t need)
{
    uint32_t cap = inf->seen_cap;
    uint8_t *seen;

    if (need <= cap)
        return 0;
    while (cap < need)
        cap = cap == 0 ? 64 : cap * 2;
    seen = realloc(inf->seen, cap);
    if (!seen)
        return -ENOMEM;
    memset(seen + inf->seen_cap, 0, cap - inf->seen_cap);
    inf->seen = seen;
    inf->seen_cap = cap;
    return 0;
}

int infer_init(struct infer *inf, const struct schema *from, const struct schema *skip,
               bool closed)
{
    int e;

    memset(inf, 0, sizeof(*inf));
    e = json_reader_init(&inf->reader, from, skip, closed ? JSON_KEY_SKIPPED : JSON_KEY_UNKNOWN);
    if (!e)
        e = seen_reserve(inf, inf->reader.known.count);
    for (uint32_t i = 0; !e && i < inf->reader.known.count; i++) {
        int seen = seen_of((enum column_type)inf->reader.known.columns[i].type);

        if (seen < 0)
            return seen;
        inf->seen[i] = (uint8_t)seen;
    }
    return e;
}

void infer_fini(struct infer *inf)
{
    json_reader_fini(&inf->reader);
    free(inf->seen);
    memset(inf, 0, sizeof(*inf));
}

int infer_column(struct infer *inf, const char *name, size_t len)
{
    int e = seen_reserve(inf, inf->reader.known.count + 1);

    if (e)
        return e;
    e = json_reader_add(&inf->reader, name, len, COLUMN_STRING);
    return e < 0 ? e : 0;
}

int infer_schema(const struct infer *inf, struct schema *ret_schema)
{
    int e = schema_copy(&inf->reader.known, ret_schema);

    if (e)
        return e;
    ret_schema->hidden = 0;
    for (uint32_t i = 0; i < ret_schema->count; i++)
        ret_schema->columns[i].type = (uint8_t)type_of(inf->seen[i]);
    return 0;
}

/* --- events --------------------------------------------------------------------------------- */

static const char *name_unfit(const struct json_member *m)
{
    if (m->name_len == 0)
        return "an empty key";
    if (m->name_len > COLUMN_NAME_BYTES_MAX)
        return "a key that is too long for a column";
    return memchr(m->name, 0, m->name_len) ? "a NUL in a key" : NULL;
}

static enum infer_result not_taken(struct infer *inf, enum infer_result result, const char *why)
{
    inf->why = why;
    return result;
}

static enum infer_result broken(struct infer *inf)
{
    return inf->reader.step == JSON_STEP_NO_MEMORY ? not_taken(inf, INFER_NO_MEMORY, "no memory")
                                       : not_taken(inf, INFER_INVALID, inf->reader.why);
}

/* Has it anything new, and may it? A new key that is found twice counts twice. */
static enum infer_result event_check(struct infer *inf, const uint8_t *data, size_t len)
{
    struct json_reader *r = &inf->reader;
    uint32_t added = 0, members = 0;
    bool more = false;
    const char *unfit = NULL;
    struct json_member m;
    const uint8_t *at = json_reader_begin(r, data, len);

    while ((at = json_reader_next(r, at, &m)) != NULL) {
        members += m.index != JSON_KEY_SKIPPED;
        if (m.index >= 0) {
            more |= (value_seen(&m) & ~(unsigned int)inf->seen[m.index]) != 0;
        } else if (m.index == JSON_KEY_UNKNOWN) {
            added++;
            if (!unfit)
                unfit = name_unfit(&m);
        }
    }
    if (r->step != JSON_STEP_END)
        return broken(inf);
    if (unfit)
        return not_taken(inf, INFER_REJECT, unfit);
    if (members == 0 && inf->needs_key)
        return not_taken(inf, INFER_REJECT, "no key that is a column");
    if (members > SCHEMA_COLUMNS_MAX
        || (added > 0 && added + r->known.count + inf->reserved > SCHEMA_COLUMNS_MAX))
        return not_taken(inf, INFER_REJECT, "too many keys");
    if (added > 0 && seen_reserve(inf, r->known.count + added))
        return not_taken(inf, INFER_NO_MEMORY, "no memory");
    return more || added > 0 ? INFER_WIDER : INFER_SAME;
}

enum infer_result infer_event(struct infer *inf, const uint8_t *data, size_t len)
{
    struct json_reader *r = &inf->reader;
    enum infer_result result = event_check(inf, data, len);
    struct json_member m;
    const uint8_t *at;
    unsigned int before;

    if (result != INFER_WIDER)
        return result;
    result = INFER_SAME;
    /* Once more: now it is known that all of it can be taken in. */
    at = json_reader_begin(r, data, len);
    while ((at = json_reader_next(r, at, &m)) != NULL) {
        if (m.index == JSON_KEY_SKIPPED)
            continue;
        if (m.index == JSON_KEY_UNKNOWN) {
            m.index = json_reader_add(r, m.name, m.name_len, COLUMN_STRING);
            if (m.index < 0)
                return not_taken(inf, INFER_NO_MEMORY, "no memory");
            result = INFER_WIDER;
        }
        before = inf->seen[m.index];
        inf->seen[m.index] |= (uint8_t)value_seen(&m);
        if (type_of(inf->seen[m.index]) != type_of(before))
            result = INFER_WIDER;
    }
    return r->step == JSON_STEP_END ? result : broken(inf);
}
