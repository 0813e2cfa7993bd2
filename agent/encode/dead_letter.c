/*
 * dead_letter: events with the reason why they were not written.
 *
 * Owns:   nothing.
 * Thread: any.
 */
#include "encode/dead_letter.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "encode/json_check.h"
#include "encode/text.h"

enum { FRAME_BYTES = 400 };     /* everything but the message and the data */

uint64_t dead_letter_bytes_max(const struct event *ev, const char *why)
{
    return FRAME_BYTES + strlen(why) * TEXT_ESCAPED_MAX + text_base64_bytes(ev->len)
           + 2 * TEXT_SLACK;
}

/* A cut in the middle of a character leaves no UTF-8: what is not is left out. */
static void message_append(const char *why, struct block_chain *out)
{
    const uint8_t *at = (const uint8_t *)why;

    while (*at != '\0') {
        size_t len = 1;

        while (len <= 4 && at[len - 1] != '\0' && !json_check_utf8(at, len))
            len++;
        if (len > 4 || at[len - 1] == '\0') {
            at++;
            continue;
        }
        text_append(out, text_escaped, at, len);
        at += len;
    }
}

void dead_letter_append(const struct event *ev, uint64_t arrival_ns, const char *code,
                        const char *why, struct block_chain *out)
{
    uint64_t ms = arrival_ns / 1000000;
    char text[FRAME_BYTES];
    int len = snprintf(text, sizeof(text), "{\"attemptsMade\":1,\"arrivalTimestamp\":%" PRIu64
                       ",\"errorCode\":\"%s\",\"errorMessage\":\"", ms, code);

    chain_append(out, text, (size_t)len);
    message_append(why, out);
    len = snprintf(text, sizeof(text), "\",\"attemptEndingTimestamp\":%" PRIu64 ",\"rawData\":\"",
                   ms);
    chain_append(out, text, (size_t)len);
    if (ev->len > 0)
        text_append(out, text_base64, ev->data, ev->len);
    chain_append(out, "\"}\n", 3);
}
