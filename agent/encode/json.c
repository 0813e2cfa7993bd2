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

#include <openssl/evp.h>
#include <string.h>

/* What stands around a payload, the line's end included. */
static const char json_text_open[] = "{\"message\": \"";
static const char json_base64_open[] = "{\"message_base64\": \"";
static const char json_close[] = "\"}\n";

enum {
    JSON_TEXT_OPEN_BYTES = sizeof(json_text_open) - 1,
    JSON_BASE64_OPEN_BYTES = sizeof(json_base64_open) - 1,
    JSON_CLOSE_BYTES = sizeof(json_close) - 1,
    JSON_ESCAPE_BYTES_MAX = 6,          /* \u001f */
    JSON_BASE64_STEP = 3072,            /* bytes encoded at a time; a multiple of 3: no padding */
};

_Static_assert(JSON_BASE64_STEP % 3 == 0, "only the last step of base64 is padded");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "json_plain_run() reads words");

static uint64_t json_base64_bytes(uint64_t len)
{
    return (len + 2) / 3 * 4;
}

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
        return JSON_BASE64_OPEN_BYTES + (uint64_t)ev->len * JSON_ESCAPE_BYTES_MAX +
            JSON_CLOSE_BYTES;
    return JSON_BASE64_OPEN_BYTES + json_base64_bytes(ev->len) + JSON_CLOSE_BYTES;
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

static bool json_must_escape(uint8_t c)
{
    return c < 0x20 || c == '"' || c == '\\';
}

/*
 * Length of the run at `at` that needs no escape. Eight bytes at a time: subtracting n from each
 * byte borrows into its top bit where the byte was below n. A borrow can spill over to the next
 * byte only from such a one, so the lowest mark, which is the first byte in memory, is always
 * right. Quotes and backslashes become zero, thus below one.
 */
static size_t json_plain_run(const uint8_t *at, size_t len)
{
    const uint64_t ones = 0x0101010101010101ULL;
    const uint64_t tops = ones * 0x80;
    size_t run = 0;

    for (; len - run >= sizeof(uint64_t); run += sizeof(uint64_t)) {
        uint64_t word, quote, backslash, special;

        memcpy(&word, at + run, sizeof(word));
        quote = word ^ (ones * '"');
        backslash = word ^ (ones * '\\');
        special = ((word - ones * 0x20) & ~word) | ((quote - ones) & ~quote) |
            ((backslash - ones) & ~backslash);
        special &= tops;
        if (special != 0)
            return run + (size_t)__builtin_ctzll(special) / 8;
    }
    while (run < len && !json_must_escape(at[run]))
        run++;
    return run;
}

static void json_append_escape(struct block_chain *out, uint8_t c)
{
    static const char hex[] = "0123456789abcdef";
    char text[JSON_ESCAPE_BYTES_MAX] = { '\\' };
    size_t len = 2;

    switch (c) {
    case '\b':
        text[1] = 'b';
        break;
    case '\t':
        text[1] = 't';
        break;
    case '\n':
        text[1] = 'n';
        break;
    case '\f':
        text[1] = 'f';
        break;
    case '\r':
        text[1] = 'r';
        break;
    case '"':
    case '\\':
        text[1] = (char)c;
        break;
    default:
        memcpy(text + 1, "u00", 3);
        text[4] = hex[c >> 4];
        text[5] = hex[c & 15];
        len = 6;
        break;
    }
    chain_append(out, text, len);
}

static void json_append_text(struct block_chain *out, const uint8_t *at, size_t len)
{
    chain_append(out, json_text_open, JSON_TEXT_OPEN_BYTES);
    while (len > 0) {
        size_t run = json_plain_run(at, len);

        chain_append(out, at, run);
        at += run;
        len -= run;
        for (; len > 0 && json_must_escape(*at); len--)
            json_append_escape(out, *at++);
    }
    chain_append(out, json_close, JSON_CLOSE_BYTES);
}

static void json_append_base64(struct block_chain *out, const uint8_t *at, size_t len)
{
    unsigned char text[JSON_BASE64_STEP / 3 * 4 + 1];   /* the encoder adds a NUL */

    chain_append(out, json_base64_open, JSON_BASE64_OPEN_BYTES);
    while (len > 0) {
        size_t step = len < JSON_BASE64_STEP ? len : JSON_BASE64_STEP;

        chain_append(out, text, (size_t)EVP_EncodeBlock(text, at, (int)step));
        at += step;
        len -= step;
    }
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
        json_append_text(out, ev->data, ev->len);
    else
        json_append_base64(out, ev->data, ev->len);
}

const struct encoder json_encoder = {
    .name = "json",
    .extension = "json",
    .bytes_max = json_bytes_max,
    .event = json_event,
};
