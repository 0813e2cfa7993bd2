/*
 * cli_send_pack: gzip.
 *
 * Owns:   see the header.
 * Thread: main.
 */
#include "cli/cli_send_pack.h"

#include <errno.h>
#include <stdlib.h>

enum { GZIP_LEVEL = 1, GZIP_WINDOW_BITS = 15 + 16, MEM_LEVEL = 8 };

int send_pack_init(struct send_pack *p, bool gzip)
{
    *p = (struct send_pack){ .gzip = gzip };
    if (gzip && deflateInit2(&p->z, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW_BITS, MEM_LEVEL,
                             Z_DEFAULT_STRATEGY) != Z_OK) {
        p->gzip = false;
        return -ENOMEM;
    }
    return 0;
}

void send_pack_fini(struct send_pack *p)
{
    if (p->gzip)
        (void)deflateEnd(&p->z);
    free(p->packed);
    *p = (struct send_pack){ .gzip = false };
}

int send_pack(struct send_pack *p, const uint8_t *data, size_t len, const uint8_t **ret_data,
              size_t *ret_len)
{
    size_t cap;

    *ret_data = data;
    *ret_len = len;
    if (!p->gzip)
        return 0;
    (void)deflateReset(&p->z);  /* first: of a stream that has ended the bound is too small */
    cap = deflateBound(&p->z, len);
    if (cap > p->packed_cap) {
        uint8_t *more = realloc(p->packed, cap);

        if (more == NULL)
            return -ENOMEM;
        p->packed = more;
        p->packed_cap = cap;
    }
    p->z.next_in = (z_const Bytef *)(uintptr_t)data;
    p->z.avail_in = (uInt)len;
    p->z.next_out = p->packed;
    p->z.avail_out = (uInt)cap;
    if (deflate(&p->z, Z_FINISH) != Z_STREAM_END)
        return -EIO;
    *ret_data = p->packed;
    *ret_len = cap - p->z.avail_out;
    return 0;
}
