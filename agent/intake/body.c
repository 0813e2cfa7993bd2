/*
 * body: objects, arrays and lines of a request.
 *
 * Owns:   nothing.
 * Thread: that of the checker.
 */
#include "intake/body.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static const uint8_t *space_skip(const uint8_t *at, const uint8_t *end)
{
    while (at < end && is_space(*at))
        at++;
    return at;
}

struct body {
    struct json_checker *checker;
    size_t event_max;
    const uint8_t *data;
    size_t len;
    struct errmsg *err;
    body_event_fn on_event;
    void *ctx;
};

/* What is wrong with the one of this number that starts at `at`. */
static int faulty(const struct body *b, const char *what, uint64_t number, const uint8_t *at,
                  size_t len)
{
    if (len > b->event_max)
        return errmsg_set(b->err, -EMSGSIZE, "%s %" PRIu64 ": %zu bytes, an event may have %zu",
                          what, number, len, b->event_max);
    return errmsg_set(b->err, -EBADMSG, "%s %" PRIu64 ", at byte %zu: not a JSON object", what,
                      number, (size_t)(at - b->data) + 1);
}

static bool is_object(const struct body *b, const uint8_t *at, size_t len)
{
    return json_classify(b->checker, (const char *)at, len) == JSON_CLASS_OBJECT;
}

/* ---- arrays ---- */

struct body_elements body_elements(const uint8_t *data, size_t len)
{
    return (struct body_elements){.at = data, .end = data + len};
}

/* Behind the value at `at`, or `end`: it stops at a comma or bracket that is not inside of it. */
static const uint8_t *value_skip(const uint8_t *at, const uint8_t *end)
{
    size_t depth = 0;
    bool quoted = false;

    for (; at < end; at++) {
        if (quoted && *at == '\\')
            at += at + 1 < end;
        else if (*at == '"')
            quoted = !quoted;
        else if (quoted)
            continue;
        else if (*at == '{' || *at == '[')
            depth++;
        else if (depth == 0 && (*at == ',' || *at == ']'))
            break;
        else if (*at == '}' || *at == ']')
            depth -= depth > 0;
    }
    return at;
}

static int array_over(struct body_elements *e, struct errmsg *err)
{
    e->at = space_skip(e->at + 1, e->end);
    return e->at == e->end ? 0 : errmsg_set(err, -EBADMSG, "there is more behind the array");
}

int body_elements_next(struct body_elements *e, struct errmsg *err)
{
    const uint8_t *last;

    e->at = space_skip(e->at, e->end);
    if (e->at == e->end || *e->at != (e->number == 0 ? '[' : ',')) {
        if (e->number > 0 && e->at < e->end && *e->at == ']')
            return array_over(e, err);
        return errmsg_set(err, -EBADMSG, e->number == 0 ? "not an array"
                                                        : "the array does not end");
    }
    e->at = space_skip(e->at + 1, e->end);
    if (e->number == 0 && e->at < e->end && *e->at == ']')
        return array_over(e, err);
    e->number++;
    e->element = e->at;
    e->at = last = value_skip(e->at, e->end);
    while (last > e->element && is_space(last[-1]))
        last--;
    e->element_len = (size_t)(last - e->element);
    return 1;
}

static int array_events(const struct body *b)
{
    struct body_elements e = body_elements(b->data, b->len);
    int rc;

    while ((rc = body_elements_next(&e, b->err)) > 0) {
        if (!is_object(b, e.element, e.element_len))
            return faulty(b, "element", e.number, e.element, e.element_len);
        rc = b->on_event(b->ctx, SHM_KIND_JSON, e.element, e.element_len);
        if (rc != 0)
            return rc;
    }
    return rc;
}

/* ---- lines ---- */

/* objects: whatever is no JSON object is a mistake. */
static int line_events(const struct body *b, bool objects)
{
    const uint8_t *at = b->data, *end = b->data + b->len, *next;

    for (uint64_t number = 1; at < end; at = next, number++) {
        const uint8_t *lf = memchr(at, '\n', (size_t)(end - at));
        size_t len = (size_t)((lf != NULL ? lf : end) - at);
        enum shm_kind kind;
        int rc;

        next = lf != NULL ? lf + 1 : end;
        len -= lf != NULL && len > 0 && at[len - 1] == '\r';
        if (len == 0 || (objects && space_skip(at, at + len) == at + len))
            continue;
        if (len > b->event_max)
            return faulty(b, "line", number, at, len);
        kind = event_classify(b->checker, at, len);
        if (objects && kind != SHM_KIND_JSON)
            return faulty(b, "line", number, at, len);
        rc = b->on_event(b->ctx, kind, at, len);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int json_events(const struct body *b)
{
    const uint8_t *first = space_skip(b->data, b->data + b->len), *last = b->data + b->len;

    if (first == last)
        return errmsg_set(b->err, -EBADMSG, "the body is empty");
    if (*first == '[')
        return array_events(b);
    while (is_space(last[-1]))
        last--;
    if (is_object(b, first, (size_t)(last - first)))
        return b->on_event(b->ctx, SHM_KIND_JSON, first, (size_t)(last - first));
    return line_events(b, true);
}

int body_events(enum body_form form, struct json_checker *checker, size_t event_max,
                const uint8_t *data, size_t len, struct errmsg *err, body_event_fn on_event,
                void *ctx)
{
    struct body b = {checker, event_max, data, len, err, on_event, ctx};

    if (form == BODY_JSON)
        return json_events(&b);
    if (form == BODY_LINES)
        return line_events(&b, false);
    if (len > event_max)
        return faulty(&b, "record", 1, data, len);
    return on_event(ctx, event_classify(checker, data, len), data, len);
}
