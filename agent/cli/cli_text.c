/*
 * cli_text: bytes that strangers chose, printed so that no terminal obeys them.
 *
 * Owns:   nothing.
 * Thread: main.
 */
#include "cli/cli_text.h"

#include <openssl/evp.h>
#include <stdbool.h>

#include "encode/json_check.h"
#include "shm_wire.h"

const char *cli_text_kind(uint8_t kind)
{
    static const char *const names[SHM_KIND_COUNT] = {
        [SHM_KIND_NONE] = "none",   [SHM_KIND_JSON] = "json",     [SHM_KIND_TEXT] = "text",
        [SHM_KIND_BYTES] = "bytes", [SHM_KIND_RECORD] = "record",
    };

    return kind < SHM_KIND_COUNT ? names[kind] : "unknown";
}

size_t cli_text_unsafe(const uint8_t *at, size_t left, uint32_t *ret_code)
{
    uint32_t code;

    if (at[0] < 0x20 || at[0] == 0x7f) {
        *ret_code = at[0];
        return 1;
    }
    if (left >= 2 && at[0] == 0xc2 && at[1] < 0xa0) {   /* C1: U+009B begins a sequence too */
        *ret_code = at[1];
        return 2;
    }
    if (left < 3 || at[0] != 0xe2)
        return 0;
    code = 0x2000U | (at[1] & 0x3fU) << 6 | (at[2] & 0x3fU);
    *ret_code = code;
    return code == 0x200e || code == 0x200f || (code >= 0x2028 && code <= 0x202e)
                   || (code >= 0x2066 && code <= 0x2069)
               ? 3
               : 0;
}

void cli_text_quoted(FILE *out, const void *data, size_t len)
{
    const uint8_t *at = data, *end = at + len;
    bool utf8 = json_check_utf8(at, len);

    putc('"', out);
    for (; at < end; at++) {
        uint32_t code;
        size_t unsafe = utf8 ? cli_text_unsafe(at, (size_t)(end - at), &code) : 0;

        if (!utf8 && (*at < 0x20 || *at >= 0x7f))
            unsafe = 1;
        if (*at == '"' || *at == '\\')
            fprintf(out, "\\%c", *at);
        else if (*at == '\n' || *at == '\r' || *at == '\t')
            fprintf(out, "\\%c", *at == '\n' ? 'n' : *at == '\r' ? 'r' : 't');
        else if (unsafe == 0)
            putc(*at, out);
        else
            for (; unsafe > 0; unsafe--, at += unsafe > 0)
                fprintf(out, "\\x%02x", *at);
    }
    putc('"', out);
}

void cli_json_string(FILE *out, const void *data, size_t len)
{
    const uint8_t *at = data, *end = at + len;

    putc('"', out);
    while (at < end) {
        uint32_t code;
        size_t unsafe = cli_text_unsafe(at, (size_t)(end - at), &code);

        if (unsafe > 0) {
            fprintf(out, "\\u%04x", code);
            at += unsafe;
            continue;
        }
        if (*at == '"' || *at == '\\')
            putc('\\', out);
        putc(*at++, out);
    }
    putc('"', out);
}

void cli_json_base64(FILE *out, const void *data, size_t len)
{
    enum { PIECE = 48 };    /* a multiple of 3: pieces of base64 can be joined */
    const uint8_t *at = data;

    putc('"', out);
    for (size_t done = 0; done < len; done += PIECE) {
        unsigned char text[PIECE / 3 * 4 + 1];
        size_t n = len - done < PIECE ? len - done : PIECE;

        (void)EVP_EncodeBlock(text, at + done, (int)n);
        fputs((const char *)text, out);
    }
    putc('"', out);
}

void cli_json_bytes(FILE *out, const char *key, const void *data, size_t len)
{
    if (json_check_utf8(data, len)) {
        fprintf(out, "\"%s\": ", key);
        cli_json_string(out, data, len);
    } else {
        fprintf(out, "\"%s_base64\": ", key);
        cli_json_base64(out, data, len);
    }
}

void cli_json_folded(FILE *out, const void *data, size_t len)
{
    const uint8_t *at = data, *end = at + len;

    while (at < end) {
        uint32_t code;
        size_t unsafe = cli_text_unsafe(at, (size_t)(end - at), &code);

        if (unsafe == 0) {
            putc(*at++, out);
            continue;
        }
        /* White space can stand between tokens only, all others within strings only. */
        if (code < 0x20)
            putc(' ', out);
        else
            fprintf(out, "\\u%04x", code);
        at += unsafe;
    }
}
