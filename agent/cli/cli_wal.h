/*
 * cli_wal: what `hydrant wal ls`, `dump` and `verify` are asked for.
 *
 * They read only, take no lock and need no agent; one may be writing the log meanwhile.
 *
 * Owns:   struct wal_args owns the two paths.
 * Thread: main.
 */
#ifndef CLI_CLI_WAL_H
#define CLI_CLI_WAL_H

#include <stdbool.h>
#include <stdint.h>

/* Bits of wal_args.types above those of the items, 1 << enum wal_item_type. */
#define WAL_SHOW_HOLE    (UINT64_C(1) << 60)    /* always on */
#define WAL_SHOW_SEGMENT (UINT64_C(1) << 61)
#define WAL_SHOW_GROUP   (UINT64_C(1) << 62)
#define WAL_SHOW_EVENT   (UINT64_C(1) << 63)

struct wal_args {
    const char *command;        /* "wal dump" */
    char *wal_dir;              /* owned */
    char *data_dir;             /* owned; NULL: only the log itself was named */
    bool json, events;
    const char *stream, *ring;  /* NULL: all */
    uint64_t types;
    uint64_t from_lsn, to_lsn;
};

/* Exit codes as everywhere. */
int cli_wal_ls(const struct wal_args *args);
int cli_wal_dump(const struct wal_args *args);
int cli_wal_verify(const struct wal_args *args);

#endif
