/*
 * wal_source: names of entrances and of their rings.
 * Owns:   nothing.
 * Thread: any.
 */
#include "wal/wal_source.h"

#include <string.h>

const char *const wal_source_names[WAL_SOURCE_COUNT] = {
    "ring", "tcp", "unix", "udp", "http", "firehose", "relay",
};

const char *const wal_source_rings[WAL_SOURCE_COUNT] = {
    [WAL_FROM_RING] = "", [WAL_FROM_TCP] = "hydrant-tcp", [WAL_FROM_UNIX] = "hydrant-unix",
    [WAL_FROM_UDP] = "hydrant-udp", [WAL_FROM_HTTP] = "hydrant-http",
    [WAL_FROM_FIREHOSE] = "hydrant-firehose", [WAL_FROM_RELAY] = "hydrant-relay",
};

enum wal_source wal_source_of(const char *ring)
{
    for (int i = WAL_FROM_RING + 1; i < WAL_SOURCE_COUNT; i++) {
        size_t len = strlen(wal_source_rings[i]);

        if (strncmp(ring, wal_source_rings[i], len) == 0 && ring[len] == '.')
            return (enum wal_source)i;
    }
    return WAL_FROM_RING;
}
