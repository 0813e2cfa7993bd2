/*
 * status_json: a status as JSON.
 *
 * Building fails only for want of memory, and jansson passes a failed part on to the whole: a
 * function here returns NULL then, and whoever gets a NULL to put somewhere fails too.
 *
 * Owns:   nothing.
 * Thread: any.
 */
#include "control/status_json.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ring/attach.h"

const char *const status_ring_state_names[STATUS_RING_STATE_COUNT] = {
    [STATUS_RING_ATTACHED] = "attached",
    [STATUS_RING_ORPHAN] = "orphan",
    [STATUS_RING_QUARANTINED] = "quarantined",
    [STATUS_RING_WAITING] = "waiting",
};
_Static_assert(STATUS_RING_STATE_COUNT == 4, "each state has a name");

const char *const status_drop_names[SHM_DROP_COUNT] = {
    [SHM_DROP_FULL] = "full",
    [SHM_DROP_TIMEOUT] = "timeout",
    [SHM_DROP_TOO_LARGE] = "too_large",
    [SHM_DROP_STALE] = "stale",
};
_Static_assert(SHM_DROP_COUNT == 4, "each reason has a name");

/* JSON integers are signed here; no counter gets that far, but a producer's word may say so. */
static json_t *count_json(uint64_t n)
{
    return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

/* Paths need not be UTF-8, JSON must. */
static json_t *text_json(const char *text)
{
    char clean[STATUS_TEXT_MAX];
    json_t *json = json_string(text);

    if (json != NULL)
        return json;
    (void)snprintf(clean, sizeof(clean), "%s", text);
    for (char *c = clean; *c != '\0'; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    return json_string(clean);
}

/* One object of counts, named by a table. */
static json_t *counts_json(const char *const *names, const uint64_t *counts, size_t count)
{
    json_t *json = json_object();

    for (size_t i = 0; i < count; i++) {
        if (json_object_set_new(json, names[i], count_json(counts[i])) != 0) {
            json_decref(json);
            return NULL;
        }
    }
    return json;
}

/* What a list is made of: item i of the status. */
typedef json_t *(*item_fn)(const struct status *s, size_t i);

static json_t *list_json(const struct status *s, size_t first, size_t count, item_fn item)
{
    json_t *json = json_array();

    for (size_t i = 0; i < count; i++) {
        if (json_array_append_new(json, item(s, first + i)) != 0) {
            json_decref(json);
            return NULL;
        }
    }
    return json;
}

static json_t *stream_sink_json(const struct status *s, size_t i)
{
    const struct status_stream_sink *ss = &s->stream_sinks[i];

    return json_pack("{s:s, s:o, s:o, s:o}", "sink", ss->sink,
                     "delivered", count_json(ss->delivered),
                     "delivered_bytes", count_json(ss->delivered_bytes),
                     "batches", count_json(ss->batches));
}

static json_t *stream_json(const struct status *s, size_t i)
{
    const struct status_stream *st = &s->streams[i];

    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
                     "name", st->name,
                     "accepted", count_json(st->accepted),
                     "accepted_bytes", count_json(st->accepted_bytes),
                     "delivered", count_json(st->delivered),
                     "dropped", count_json(st->dropped),
                     "lost", count_json(st->lost),
                     "pending", count_json(st->pending),
                     "dropped_by_reason",
                     counts_json(wal_drop_names, st->dropped_by, WAL_DROP_REASON_COUNT),
                     "lost_by_reason",
                     counts_json(wal_lost_names, st->lost_by, WAL_LOST_REASON_COUNT),
                     "refused_by_reason",
                     counts_json(encoding_error_names, st->refused_by, ENCODING_ERROR_COUNT),
                     "oldest_pending_ns", count_json(st->oldest_pending_ns),
                     "batches_open", count_json(st->batches_open),
                     "batches_sealing", count_json(st->batches_sealing),
                     "sinks", list_json(s, st->first_sink, st->sinks, stream_sink_json));
}

static json_t *sink_json(const struct status *s, size_t i)
{
    const struct status_sink *k = &s->sinks[i];

    return json_pack("{s:s, s:s, s:o, s:b, s:o, s:o, s:o, s:o, s:o}",
                     "name", k->name, "type", k->type,
                     "target", text_json(k->target),
                     "draining", k->draining,
                     "retries", count_json(k->retries),
                     "duplicates", count_json(k->duplicates),
                     "batches_waiting", count_json(k->batches_waiting),
                     "lag_ns", count_json(k->lag_ns),
                     "waits_because",
                     k->waits_because[0] == '\0' ? json_null() : text_json(k->waits_because));
}

static json_t *ring_json(const struct status *s, size_t i)
{
    const struct status_ring *r = &s->rings[i];

    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
                     "name", r->name, "state", status_ring_state_names[r->state],
                     "quarantine",
                     r->quarantine == SHM_QUARANTINE_NONE
                         ? json_null()
                         : json_string(ring_quarantine_name(r->quarantine)),
                     "waits_because",
                     r->waits == SHM_WAIT_NONE ? json_null()
                                               : json_string(ring_wait_name(r->waits)),
                     "id", count_json(r->id),
                     "pid", count_json(r->pid),
                     "uid", count_json(r->uid),
                     "ring_bytes", count_json(r->ring_bytes),
                     "head", count_json(r->head),
                     "accepted", count_json(r->accepted),
                     "durable", count_json(r->durable),
                     "delivered", count_json(r->delivered),
                     "drops", counts_json(status_drop_names, r->drops, SHM_DROP_COUNT),
                     "shard", count_json(r->shard));
}

static json_t *shard_json(const struct status *s, size_t i)
{
    const struct status_shard *h = &s->shards[i];

    return json_pack("{s:o, s:b, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
                     "shard", count_json(h->shard), "surplus", (int)h->surplus,
                     "ready", (int)h->ready,
                     "rings", count_json(h->rings),
                     "turns", count_json(h->turns),
                     "wal_bytes", count_json(h->wal_bytes),
                     "wal_segments", count_json(h->wal_segments),
                     "wal_end_lsn", count_json(h->wal_end_lsn),
                     "wal_synced_lsn", count_json(h->wal_synced_lsn),
                     "wal_trim_lsn", count_json(h->wal_trim_lsn));
}

static json_t *backpressure_json(const struct status *s)
{
    json_t *json = json_object();

    for (size_t i = 0; i < BACKPRESSURE_COUNT; i++) {
        if (json_object_set_new(json, backpressure_names[i],
                                json_boolean(s->backpressure[i])) != 0) {
            json_decref(json);
            return NULL;
        }
    }
    return json;
}

/* The reasons that are on, and what each means. */
static json_t *pushes_back_json(const struct status *s)
{
    json_t *json = json_array();

    for (size_t i = 0; i < BACKPRESSURE_COUNT; i++) {
        if (s->backpressure[i] &&
            json_array_append_new(json, json_pack("{s:s, s:s}", "reason", backpressure_names[i],
                                                  "words", backpressure_words[i])) != 0) {
            json_decref(json);
            return NULL;
        }
    }
    return json;
}

static json_t *wal_json(const struct status *s)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
                     "bytes", count_json(s->wal_bytes),
                     "spool_bytes", count_json(s->spool_bytes),
                     "bytes_max", count_json(s->wal_bytes_max),
                     "end_lsn", count_json(s->wal_end_lsn),
                     "synced_lsn", count_json(s->wal_synced_lsn),
                     "trim_lsn", count_json(s->wal_trim_lsn),
                     "segments", count_json(s->wal_segments),
                     "syncs", count_json(s->wal_syncs),
                     "commits", count_json(s->wal_commits));
}

static json_t *intake_json(const struct status_intake *in)
{
    if (!in->on)
        return json_null();
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
                     "connections",
                     counts_json(intake_source_names, in->connections, INTAKE_SOCKET_COUNT),
                     "connections_waiting", count_json(in->waiting),
                     "connections_total",
                     counts_json(intake_source_names, in->connections_total, INTAKE_SOCKET_COUNT),
                     "connections_ended",
                     counts_json(intake_ended_names, in->ended, INTAKE_ENDED_COUNT),
                     "events", counts_json(intake_source_names, in->events, INTAKE_SOCKET_COUNT),
                     "bad_lines", counts_json(line_fault_names, in->bad_lines, LINE_FAULT_COUNT),
                     "bad_lines_dropped", count_json(in->bad_lines_dropped),
                     "datagrams_dropped", count_json(in->datagrams_dropped));
}

static json_t *relay_json(const struct status_relay *r)
{
    if (!r->on)
        return json_null();
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
                     "peers", count_json(r->peers),
                     "peers_waiting", counts_json(relay_wait_names, r->waiting, RELAY_WAIT_COUNT),
                     "connections_total", count_json(r->peers_total),
                     "connections_refused", count_json(r->refused),
                     "events", count_json(r->events),
                     "batches", count_json(r->batches),
                     "duplicates_skipped", count_json(r->duplicates),
                     "declined", count_json(r->declined),
                     "journal_bytes", count_json(r->journal_bytes),
                     "journal_syncs", count_json(r->journal_syncs));
}

static json_t *status_json(const struct status *s)
{
    char epoch[17];

    (void)snprintf(epoch, sizeof(epoch), "%016" PRIx64, s->epoch);
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:b, s:b, s:o, s:o, s:o, s:{s:o, s:o}, s:o,"
                     " s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
                     "version", s->version, "agent", s->agent_name, "epoch", epoch,
                     "pid", count_json(s->pid),
                     "uptime_ns", count_json(s->uptime_ns),
                     "ready", (int)s->ready,
                     "stopping", (int)s->stopping,
                     "recovery_left_bytes", count_json(s->recovery_left_bytes),
                     "turns", count_json(s->turns),
                     "wal", wal_json(s),
                     "memory",
                     "bytes", count_json(s->memory_bytes),
                     "bytes_max", count_json(s->memory_bytes_max),
                     "backpressure", backpressure_json(s),
                     "pushes_back", pushes_back_json(s),
                     "lost_bytes",
                     counts_json(wal_lost_names, s->lost_bytes, WAL_LOST_REASON_COUNT),
                     "intake_drops",
                     counts_json(status_drop_names, s->intake_drops, SHM_DROP_COUNT),
                     "intake", intake_json(&s->intake),
                     "relay", relay_json(&s->relay),
                     "rings_by_state",
                     counts_json(status_ring_state_names, s->rings_by_state,
                                 STATUS_RING_STATE_COUNT),
                     "streams", list_json(s, 0, s->streams_count, stream_json),
                     "sinks", list_json(s, 0, s->sinks_count, sink_json),
                     "rings", list_json(s, 0, s->rings_count, ring_json),
                     "shards", list_json(s, 0, s->shards_count, shard_json));
}

int status_json_render(const struct status *status, char **ret_text, size_t *ret_len)
{
    json_t *json = status_json(status);
    char *text = NULL;
    size_t len;

    if (json == NULL)
        return -ENOMEM;
    len = json_dumpb(json, NULL, 0, JSON_INDENT(2));
    text = malloc(len + 2);
    if (text == NULL) {
        json_decref(json);
        return -ENOMEM;
    }
    len = json_dumpb(json, text, len, JSON_INDENT(2));
    json_decref(json);
    text[len++] = '\n';
    text[len] = '\0';
    *ret_text = text;
    *ret_len = len;
    return 0;
}
