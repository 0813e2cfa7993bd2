/*
 * wal_source: by which entrance events came. The agent's entrances are producers like any other and
 * known by the names of their rings: a producer that takes such a name is counted there.
 *
 * Owns:   nothing.
 * Thread: any.
 */
#ifndef WAL_WAL_SOURCE_H
#define WAL_WAL_SOURCE_H

enum wal_source {               /* the order is that of the log's items: add at the end */
    WAL_FROM_RING,              /* a producer of somebody else's */
    WAL_FROM_TCP,
    WAL_FROM_UNIX,
    WAL_FROM_UDP,
    WAL_FROM_HTTP,
    WAL_FROM_FIREHOSE,
    WAL_FROM_RELAY,
    WAL_SOURCE_COUNT
};
extern const char *const wal_source_names[WAL_SOURCE_COUNT];    /* "ring", "tcp", ... */

/* "hydrant-tcp", ...: what an entrance calls its rings. */
extern const char *const wal_source_rings[WAL_SOURCE_COUNT];

/* `ring`: the name of its file. */
enum wal_source wal_source_of(const char *ring);

#endif
