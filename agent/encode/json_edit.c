/*
 * json_edit: members copied from one object into another.
 *
 * With `fields` the reader knows these and skips all others; members are put where their field is
 * and copied at the end. Without, it knows the names that are added, and members are copied as they
 * come. What is dropped it skips, so that nothing of that name still stands for an addition.
 *
 * Owns:   struct json_edit.
 * Thread: any one at a time.
 * Units:  bytes.
 */
#include "encode/json_edit.h"

#include <errno.h>
#include <stdlib.h>

#include "encode/json_reader.h"

/* A known name. */
struct place {
    const uint8_t *text;        /* the member as it is written; NULL: not met in this event */
    size_t len;
    int32_t addition;           /* that replaces it, or -1 */
};

struct json_edit {
    struct json_reader reader;
    struct place *places;       /* owned; one for each known name */
    int32_t *replaces;          /* owned; the place of each addition, or -1 */
    uint32_t additions;
    bool ordered;               /* there are fields */
};

static int names_without(const struct schema *names, const struct schema *drop, struct schema *to)
{
    for (uint32_t i = 0; names && i < names->count; i++) {
        const struct column *c = &names->columns[i];

        if (drop && schema_find(drop, c->name, c->name_len) >= 0)
            continue;
        if (schema_add(to, c->name, c->name_len, COLUMN_STRING))
            return -ENOMEM;
    }
    return 0;
}

static int places_make(struct json_edit *edit, const struct schema *add)
{
    const struct schema *known = &edit->reader.known;

    edit->additions = add ? add->count : 0;
    edit->places = calloc(known->count + 1, sizeof(*edit->places));
    edit->replaces = calloc(edit->additions + 1, sizeof(*edit->replaces));
    if (!edit->places || !edit->replaces)
        return -ENOMEM;
    for (uint32_t i = 0; i < known->count; i++)
        edit->places[i].addition = -1;
    for (uint32_t i = 0; i < edit->additions; i++) {
        const struct column *c = &add->columns[i];
        int place = schema_find(known, c->name, c->name_len);

        edit->replaces[i] = place;
        if (place >= 0)
            edit->places[place].addition = (int32_t)i;
    }
    return 0;
}

int json_edit_open(const struct schema *fields, const struct schema *drop,
                   const struct schema *add, struct json_edit **ret_edit)
{
    struct json_edit *edit = calloc(1, sizeof(*edit));
    struct schema known;
    int e;

    *ret_edit = NULL;
    if (!edit)
        return -ENOMEM;
    edit->ordered = fields != NULL;
    schema_init(&known);
    e = names_without(fields ? fields : add, drop, &known);
    if (!e)
        e = json_reader_init(&edit->reader, &known, drop,
                             edit->ordered ? JSON_KEY_SKIPPED : JSON_KEY_OTHER);
    schema_fini(&known);
    if (!e)
        e = places_make(edit, add);
    if (e) {
        json_edit_close(edit);
        return e;
    }
    *ret_edit = edit;
    return 0;
}

void json_edit_close(struct json_edit *edit)
{
    if (!edit)
        return;
    json_reader_fini(&edit->reader);
    free(edit->places);
    free(edit->replaces);
    free(edit);
}

const char *json_edit_why(const struct json_edit *edit, size_t *ret_where)
{
    *ret_where = json_reader_where(&edit->reader);
    return edit->reader.why;
}

/* Behind the brace that opens an object no comma stands. There is room. */
static void put_member(struct bytes *out, const uint8_t *text, size_t len)
{
    if (out->data[out->len - 1] != '{')
        out->data[out->len++] = ',';
    memcpy(out->data + out->len, text, len);
    out->len += len;
}

/* Notes the member for its field, or copies it. */
static void take_member(struct json_edit *edit, const struct json_member *m,
                        const struct json_addition *additions, struct bytes *out)
{
    const uint8_t *end = m->text + m->len + (m->kind == JSON_KIND_STRING);
    struct place *place;

    if (m->index == JSON_KEY_SKIPPED)
        return;
    if (m->index == JSON_KEY_OTHER) {
        put_member(out, m->key, (size_t)(end - m->key));
        return;
    }
    place = &edit->places[m->index];
    if (!edit->ordered && !place->text)
        put_member(out, additions[place->addition].text, additions[place->addition].len);
    place->text = m->key;
    place->len = (size_t)(end - m->key);
}

/* What is not in its place yet. */
static void put_rest(const struct json_edit *edit, const struct json_addition *additions,
                     struct bytes *out)
{
    for (uint32_t i = 0; edit->ordered && i < edit->reader.known.count; i++) {
        const struct place *place = &edit->places[i];

        if (place->text && place->addition >= 0)
            put_member(out, additions[place->addition].text, additions[place->addition].len);
        else if (place->text)
            put_member(out, place->text, place->len);
    }
    for (uint32_t i = 0; i < edit->additions; i++)
        if (edit->replaces[i] < 0 || !edit->places[edit->replaces[i]].text)
            put_member(out, additions[i].text, additions[i].len);
}

static void fold(uint8_t *at, const uint8_t *end, int c)
{
    while ((at = memchr(at, c, (size_t)(end - at))) != NULL)
        *at++ = ' ';
}

int json_edit_object(struct json_edit *edit, const uint8_t *data, size_t len,
                     const struct json_addition *additions, struct bytes *out)
{
    struct json_reader *r = &edit->reader;
    size_t before = out->len, most = len + 2;
    struct json_member m;
    const uint8_t *at;

    for (uint32_t i = 0; i < edit->additions; i++)
        most += additions[i].len + 1;
    if (bytes_reserve(out, most))
        return -ENOMEM;
    for (uint32_t i = 0; i < r->known.count; i++)
        edit->places[i].text = NULL;
    out->data[out->len++] = '{';
    at = json_reader_begin(r, data, len);
    while ((at = json_reader_next(r, at, &m)) != NULL)
        take_member(edit, &m, additions, out);
    if (r->step != JSON_STEP_END) {
        out->len = before;
        return r->step == JSON_STEP_BROKEN ? -EBADMSG : -ENOMEM;
    }
    put_rest(edit, additions, out);
    out->data[out->len++] = '}';
    fold(out->data + before, out->data + out->len, '\n');
    fold(out->data + before, out->data + out->len, '\r');
    return 0;
}
