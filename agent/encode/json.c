/*
 * json: JSON lines, one object a line for every kind of event:
 *
 *   json            as it is; line ends, which JSON allows between tokens only, become spaces
 *   text            {"message": "..."}
 *   bytes, record   {"message_base64": "..."}
 *
 * A producer is believed that its payload is JSON; two of its errors would break the lines of
 * others and are mended: text that is not UTF-8 is written as bytes, JSON that is empty or only
 * white space as text.
 *
 * Owns:   nothing.
 * Thread: any one at a time.
 * Units:  bytes.
 */
#include "encode/encoder.h"
#include "encode/json_check.h"
#include "encode/text.h"

#include <string.h>

/* What stands around a payload, the line's end included. */
static const char json_text_open[] = "{\"message\": \"";
static const char json_base64_open[] = "{\"message_base64\": \"";
static const char json_close[] = "\"}\n";

enum {
    JSON_TEXT_OPEN_BYTES = sizeof(json_text_open) - 1,
    JSON_BASE64_OPEN_BYTES = sizeof(json_base64_open) - 1,
    JSON_CLOSE_BYTES = sizeof(json_close) - 1,
};

/* White space or nothing: it would give a line without an object. */
static bool json_blank(const struct event *ev)
{
    for (uint32_t i = 0; i < ev->len; i++) {
        uint8_t c = ev->data[i];

        if (c != ' ' && c != '\t' && c != '\n' && c != '\r')
            return false;
    }
    return true;
}

static uint64_t json_bytes_max(const struct encoder_settings *set, const struct event *ev)
{
    (void)set;
    if (ev->kind == SHM_KIND_JSON && !json_blank(ev))
        return (uint64_t)ev->len + 1;
    /* Text may turn out to be bytes: six for one covers base64 too, its longer key is added. */
    if (ev->kind == SHM_KIND_JSON || ev->kind == SHM_KIND_TEXT)
        return JSON_BASE64_OPEN_BYTES + (uint64_t)ev->len * TEXT_ESCAPED_MAX +
            JSON_CLOSE_BYTES;
    return JSON_BASE64_OPEN_BYTES + text_base64_bytes(ev->len) + JSON_CLOSE_BYTES;
}

/* Where c is next, or end. */
static const uint8_t *json_find(const uint8_t *at, const uint8_t *end, int c)
{
    const uint8_t *found = memchr(at, c, (size_t)(end - at));

    return found != NULL ? found : end;
}

static void json_append_folded(struct block_chain *out, const uint8_t *at, size_t len)
{
    const uint8_t *end = at + len;
    const uint8_t *lf = json_find(at, end, '\n');
    const uint8_t *cr = json_find(at, end, '\r');

    /* Each is looked for again only from where it was found: linear, whatever the mixture. */
    while (lf < end || cr < end) {
        const uint8_t *stop = lf < cr ? lf : cr;

        chain_append(out, at, (size_t)(stop - at));
        chain_append(out, " ", 1);
        at = stop + 1;
        if (stop == lf)
            lf = json_find(at, end, '\n');
        else
            cr = json_find(at, end, '\r');
    }
    chain_append(out, at, (size_t)(end - at));
    chain_append(out, "\n", 1);
}

static void json_append_wrapped(struct block_chain *out, const char *open, size_t open_len,
                                text_copy_fn copy, const struct event *ev)
{
    chain_append(out, open, open_len);
    text_append(out, copy, ev->data, ev->len);
    chain_append(out, json_close, JSON_CLOSE_BYTES);
}

static void json_event(const struct encoder_settings *set, const struct event *ev,
                       struct block_chain *out)
{
    bool blank = ev->kind == SHM_KIND_JSON && json_blank(ev);

    (void)set;
    if (ev->kind == SHM_KIND_JSON && !blank)
        json_append_folded(out, ev->data, ev->len);
    else if (blank || (ev->kind == SHM_KIND_TEXT && json_check_utf8(ev->data, ev->len)))
        json_append_wrapped(out, json_text_open, JSON_TEXT_OPEN_BYTES, text_escaped, ev);
    else
        json_append_wrapped(out, json_base64_open, JSON_BASE64_OPEN_BYTES, text_base64, ev);
}

const struct encoder json_encoder = {
    .name = "json",
    .extension = "json",
    .bytes_max = json_bytes_max,
    .event = json_event,
};
