/*
 * bytes: a growable run of bytes, little-endian access to stored words, rounding, hex.
 * Owns:   struct bytes owns its heap block.
 * Thread: any, one struct by one thread at a time.
 * Units:  len = bytes used, cap = bytes available.
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "stored words are little-endian");

struct bytes {
    uint8_t *data; /* owned */
    size_t len;
    size_t cap;
};

#define BYTES_INIT { NULL, 0, 0 }

/* Makes room for extra more bytes behind len. 0 or -ENOMEM; the contents stay either way. */
int bytes_reserve(struct bytes *b, size_t extra);

/* Adds at the end; 0 or -ENOMEM, and then nothing was added. */
int bytes_append(struct bytes *b, const void *data, size_t len);
int bytes_append_str(struct bytes *b, const char *text);
int bytes_append_char(struct bytes *b, char c);
int bytes_printf(struct bytes *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The contents as a C string (one NUL behind len, which does not count), or NULL: no memory. */
char *bytes_cstr(struct bytes *b);

/* Hands the heap block over as a C string for free(), and empties b. NULL: no memory. */
char *bytes_take_cstr(struct bytes *b);

static inline void bytes_clear(struct bytes *b)
{
    b->len = 0;
}

/* Frees the block, empties b; fine on an empty or already freed one. */
void bytes_free(struct bytes *b);

/* Writes 2 * len lower-case hex digits and a NUL. */
void bytes_hex(char *ret_text, const void *data, size_t len);

static inline uint16_t bytes_get_u16(const void *at)
{
    uint16_t v;

    memcpy(&v, at, sizeof(v));
    return v;
}

static inline uint32_t bytes_get_u32(const void *at)
{
    uint32_t v;

    memcpy(&v, at, sizeof(v));
    return v;
}

static inline uint64_t bytes_get_u64(const void *at)
{
    uint64_t v;

    memcpy(&v, at, sizeof(v));
    return v;
}

static inline void bytes_put_u16(void *at, uint16_t v)
{
    memcpy(at, &v, sizeof(v));
}

static inline void bytes_put_u32(void *at, uint32_t v)
{
    memcpy(at, &v, sizeof(v));
}

static inline void bytes_put_u64(void *at, uint64_t v)
{
    memcpy(at, &v, sizeof(v));
}

static inline bool bytes_is_pow2(uint64_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

/* align is a power of two; n + align - 1 must not overflow. */
static inline uint64_t bytes_round_up(uint64_t n, uint64_t align)
{
    return (n + align - 1) & ~(align - 1);
}

static inline uint64_t bytes_round_down(uint64_t n, uint64_t align)
{
    return n & ~(align - 1);
}

#endif
