/*
 * line_reader: see the header.
 */
#include "encode/line_reader.h"

#include "base/invariant.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { AHEAD_BYTE = 0xa5, AHEAD_STEP = 4096 };

/* Kept from one event to the next: fuzz targets encode thousands a second. */
static struct block_pool pool;

struct encoded encode_event(const struct encoder *encoder, const struct encoder_settings *set,
                            const struct event *ev, size_t ahead)
{
    uint8_t filler[AHEAD_STEP];
    struct encoded e = { .bytes_max = encoder->bytes_max(set, ev) };
    struct block_chain chain;
    struct block *b;
    size_t at = 0;

    if (pool.max == 0)
        block_pool_init(&pool, 64 * BLOCK_BYTES);
    chain_init(&chain, &pool);
    INVARIANT(chain_reserve(&chain, ahead));
    memset(filler, AHEAD_BYTE, sizeof(filler));
    for (size_t i = 0; i < ahead; i += AHEAD_STEP)
        chain_append(&chain, filler, ahead - i < AHEAD_STEP ? ahead - i : AHEAD_STEP);
    INVARIANT(chain_reserve(&chain, e.bytes_max));
    encoder->event(set, ev, &chain);
    e.len = (size_t)chain_bytes(&chain) - ahead;
    e.data = malloc(ahead + e.len + 1);
    INVARIANT(e.data != NULL);
    while ((b = chain_shift(&chain, true)) != NULL) {
        memcpy(e.data + at, b->data, b->len);
        at += b->len;
        block_give(&pool, b);
    }
    INVARIANT(at == ahead + e.len);
    chain_fini(&chain);
    INVARIANT(block_pool_bytes_used(&pool) == 0);
    for (size_t i = 0; i < ahead; i += AHEAD_STEP)
        INVARIANT(memcmp(e.data + i, filler, ahead - i < AHEAD_STEP ? ahead - i : AHEAD_STEP) == 0);
    memmove(e.data, e.data + ahead, e.len);
    e.data[e.len] = '\0';
    return e;
}

void encoded_free(struct encoded *e)
{
    free(e->data);
    *e = (struct encoded){ 0 };
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

ptrdiff_t base64_read(char *text, size_t len)
{
    size_t padding = 0;
    size_t out = 0;

    if (len % 4 != 0)
        return -1;
    while (padding < 2 && len > padding && text[len - 1 - padding] == '=')
        padding++;
    for (size_t i = 0; i < len; i += 4) {
        uint32_t word = 0;

        for (size_t j = i; j < i + 4; j++) {
            int value = j >= len - padding ? 0 : base64_value(text[j]);

            if (value < 0)
                return -1;
            word = word << 6 | (uint32_t)value;
        }
        text[out++] = (char)(word >> 16);
        text[out++] = (char)(word >> 8 & 0xff);
        text[out++] = (char)(word & 0xff);
        /* Bits that padding leaves over are zero, or two texts would stand for the same bytes. */
        if (i + 4 == len && (word & ((1U << (8 * padding)) - 1)) != 0)
            return -1;
    }
    return (ptrdiff_t)(out - padding);
}

static const char *value_check(json_t *object, const char *key, const uint8_t *data, size_t len)
{
    json_t *value = json_object_get(object, key);
    size_t text_len;
    char *text;
    const char *wrong = NULL;

    if (!json_is_object(object) || json_object_size(object) != 1 || !json_is_string(value))
        return "not an object of one string of that name";
    text_len = json_string_length(value);
    text = malloc(text_len + 1);
    INVARIANT(text != NULL);
    memcpy(text, json_string_value(value), text_len + 1);
    if (strcmp(key, "message_base64") == 0) {
        ptrdiff_t decoded = base64_read(text, text_len);

        if (decoded < 0)
            wrong = "not base64";
        else
            text_len = (size_t)decoded;
    }
    if (wrong == NULL && (text_len != len || (len > 0 && memcmp(text, data, len) != 0)))
        wrong = "other bytes than the event's";
    free(text);
    return wrong;
}

const char *message_check(const struct encoded *line, const char *key, const uint8_t *data,
                          size_t len)
{
    json_t *object;
    const char *wrong;

    if (line->len > line->bytes_max)
        return "longer than foretold";
    if (line->len == 0 || memchr(line->data, '\n', line->len) != line->data + line->len - 1)
        return "not one line";
    object = json_loadb((const char *)line->data, line->len, JSON_ALLOW_NUL, NULL);
    if (object == NULL)
        return "not JSON";
    wrong = value_check(object, key, data, len);
    json_decref(object);
    return wrong;
}
