/*
 * bytes: a growable run of bytes.
 * Owns:   the heap block of each struct bytes.
 * Thread: any, one struct by one thread at a time.
 */
#include "base/bytes.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define BYTES_CAP_MIN 64

int bytes_reserve(struct bytes *b, size_t extra)
{
    size_t cap = b->cap < BYTES_CAP_MIN ? BYTES_CAP_MIN : b->cap;
    uint8_t *data;

    if (extra <= b->cap - b->len)
        return 0;
    if (extra > SIZE_MAX / 2 - b->len)
        return -ENOMEM;
    while (cap < b->len + extra)
        cap *= 2;
    data = realloc(b->data, cap);
    if (data == NULL)
        return -ENOMEM;
    b->data = data;
    b->cap = cap;
    return 0;
}

int bytes_append(struct bytes *b, const void *data, size_t len)
{
    int r = bytes_reserve(b, len);

    if (r < 0)
        return r;
    if (len > 0)
        memcpy(b->data + b->len, data, len);
    b->len += len;
    return 0;
}

int bytes_append_str(struct bytes *b, const char *text)
{
    return bytes_append(b, text, strlen(text));
}

int bytes_append_char(struct bytes *b, char c)
{
    return bytes_append(b, &c, 1);
}

int bytes_printf(struct bytes *b, const char *fmt, ...)
{
    va_list args;
    int need;
    int r;

    va_start(args, fmt);
    need = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (need < 0)
        return -EINVAL;
    r = bytes_reserve(b, (size_t)need + 1); /* vsnprintf writes a NUL, which does not count. */
    if (r < 0)
        return r;
    va_start(args, fmt);
    need = vsnprintf((char *)b->data + b->len, (size_t)need + 1, fmt, args);
    va_end(args);
    if (need < 0)
        return -EINVAL;
    b->len += (size_t)need;
    return 0;
}

char *bytes_cstr(struct bytes *b)
{
    if (bytes_reserve(b, 1) < 0)
        return NULL;
    b->data[b->len] = '\0';
    return (char *)b->data;
}

char *bytes_take_cstr(struct bytes *b)
{
    char *text = bytes_cstr(b);

    if (text != NULL)
        *b = (struct bytes)BYTES_INIT;
    return text;
}

void bytes_free(struct bytes *b)
{
    free(b->data);
    *b = (struct bytes)BYTES_INIT;
}

void bytes_hex(char *ret_text, const void *data, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *at = data;

    for (size_t i = 0; i < len; i++) {
        ret_text[2 * i] = digits[at[i] >> 4];
        ret_text[2 * i + 1] = digits[at[i] & 15];
    }
    ret_text[2 * len] = '\0';
}
