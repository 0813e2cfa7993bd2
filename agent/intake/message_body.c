/*
 * message_body: walks the request once for its one member.
 *
 * Owns:   see the header.
 * Thread: any one at a time.
 */
#include "intake/message_body.h"

#include <errno.h>

int message_reader_init(struct message_reader *r)
{
    struct schema known;
    int rc;

    memset(r, 0, sizeof(*r));
    schema_init(&known);
    rc = schema_add(&known, "message", strlen("message"), COLUMN_STRING);
    if (rc == 0)
        rc = json_reader_init(&r->body, &known, NULL, JSON_KEY_UNKNOWN);
    schema_fini(&known);
    return rc;
}

void message_reader_fini(struct message_reader *r)
{
    json_reader_fini(&r->body);
}

static int member_take(struct message_reader *r, const struct json_member *m,
                       const uint8_t **ret_data, size_t *ret_len, struct errmsg *err)
{
    uint32_t len = m->len;

    *ret_data = m->text;
    if (m->kind == JSON_KIND_STRING) {
        if (json_reader_text(&r->body, m, ret_data, &len) != 0)
            return errmsg_set(err, -ENOMEM, "out of memory");
        if (len > 0 && (*ret_data)[len - 1] == '\n')
            len -= len > 1 && (*ret_data)[len - 2] == '\r' ? 2 : 1;
    } else if (m->kind != JSON_KIND_NESTED || m->text[0] != '{') {
        return errmsg_set(err, -EBADMSG, "message: a text or an object is wanted");
    }
    *ret_len = len;
    return 0;
}

int message_reader_read(struct message_reader *r, const uint8_t *body, size_t len,
                        const uint8_t **ret_data, size_t *ret_len, struct errmsg *err)
{
    const uint8_t *at = json_reader_begin(&r->body, body, len);
    struct json_member m;
    bool found = false;
    int rc = 0;

    while (rc == 0 && (at = json_reader_next(&r->body, at, &m)) != NULL)
        if (m.index == 0) {
            rc = member_take(r, &m, ret_data, ret_len, err);
            found = true;
        }
    if (rc != 0)
        return rc;
    if (r->body.step == JSON_STEP_NO_MEMORY)
        return errmsg_set(err, -ENOMEM, "out of memory");
    if (r->body.step != JSON_STEP_END)
        return errmsg_set(err, -EBADMSG, "the body is not a JSON object: at byte %zu: %s",
                          json_reader_where(&r->body) + 1, r->body.why);
    return found ? 0 : errmsg_set(err, -EBADMSG, "message: field required");
}
