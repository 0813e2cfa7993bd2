/*
 * cli_send_pack: batches as they go over a wire: as they are, or each a gzip member of its own.
 *
 * Owns:   the compressor and what it has made, until the next batch.
 * Thread: main.
 */
#ifndef CLI_CLI_SEND_PACK_H
#define CLI_CLI_SEND_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zlib.h>

struct send_pack {
    bool gzip;
    z_stream z;
    uint8_t *packed;    /* owned */
    size_t packed_cap;
};

int send_pack_init(struct send_pack *p, bool gzip); /* 0 or -ENOMEM */
void send_pack_fini(struct send_pack *p);           /* zeroed is fine */

/* 0; -ENOMEM, -EIO. The data is borrowed. */
int send_pack(struct send_pack *p, const uint8_t *data, size_t len, const uint8_t **ret_data,
              size_t *ret_len);

#endif
