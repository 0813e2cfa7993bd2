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

static void json_append_folded(struct block_chain *out, const uint8_t *at, size_t len)
{
    if (__builtin_expect(len < (size_t)(out->end - out->at), 1)) {
        *text_folded(out->at, at, len) = '\n';
        out->at += len + 1;
        out->total += len + 1;
        return;
    }
    text_append(out, text_folded, at, len);
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
