/*
 * status_json: a status as the JSON object that GET /v1/status answers and `hydrant status --json`
 * prints. Field names are a contract; new ones may come, none is renamed.
 *
 *   version agent epoch(16 hex digits) pid uptime_ns ready stopping recovery_left_bytes turns
 *   wal           {bytes spool_bytes bytes_max end_lsn synced_lsn trim_lsn segments syncs commits}:
 *                 of all shards, but for the lsns, which are those of the first; bytes_max is of
 *                 the log and of spool_bytes, the files of batches, together
 *   memory        {bytes bytes_max}
 *   backpressure  {REASON: true|false}
 *   pushes_back   [{reason words}]               those that are true, for people
 *   lost_bytes    {REASON: bytes}                of the log, unreadable
 *   intake_drops  {REASON: events}               before acceptance, as producers report them
 *   rings_by_state {STATE: rings}
 *   streams       [{name accepted accepted_bytes delivered dropped lost pending
 *                   dropped_by_reason{} lost_by_reason{}
 *                   refused_by_reason{}: to error outputs since the start, delivered there
 *                   oldest_pending_ns batches_open batches_sealing
 *                   sinks[{sink delivered delivered_bytes batches}]}]
 *   sinks         [{name type target
 *                   draining: no stream writes to it any more, what it has not taken still comes
 *                   retries duplicates batches_waiting
 *                   lag_ns: age of the oldest event in them
 *                   waits_because(null: does not wait)}]
 *   rings         [{name state quarantine(null: none) waits_because(null: does not wait)
                   id pid uid ring_bytes
 *                   head accepted durable delivered drops{} shard}]
 *   shards        [{shard surplus(true: it takes no new rings) ready rings turns
 *                   wal_bytes wal_segments wal_end_lsn wal_synced_lsn wal_trim_lsn}]
 *
 * Owns:   nothing.
 * Thread: any.
 * Units:  events unless the name says bytes, ns or lsn; numbers are integers.
 */
#ifndef CONTROL_STATUS_JSON_H
#define CONTROL_STATUS_JSON_H

#include <stddef.h>

#include "pipeline/status.h"

extern const char *const status_ring_state_names[STATUS_RING_STATE_COUNT]; /* "attached", ... */
extern const char *const status_drop_names[SHM_DROP_COUNT];                /* "full", ... */

/* Indented text, a newline at the end; the caller's to free(). 0 or -ENOMEM. */
int status_json_render(const struct status *status, char **ret_text, size_t *ret_len);

#endif
