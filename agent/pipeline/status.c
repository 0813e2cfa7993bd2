/*
 * status: the names that go with a snapshot, and its end.
 *
 * Owns:   nothing.
 * Thread: any.
 */
#include "pipeline/status.h"

#include <stdlib.h>

const char *const backpressure_names[BACKPRESSURE_COUNT] = {
    [BACKPRESSURE_LOG_FULL] = "log_full",       [BACKPRESSURE_MEMORY] = "memory",
    [BACKPRESSURE_DISK_FULL] = "disk_full",     [BACKPRESSURE_LOG_ERROR] = "log_error",
    [BACKPRESSURE_SINK_ERROR] = "sink_error",   [BACKPRESSURE_RINGS_MAX] = "rings_max",
    [BACKPRESSURE_STREAMS_MAX] = "streams_max", [BACKPRESSURE_SEALS_MAX] = "seals_max",
    [BACKPRESSURE_SPOOL_FULL] = "spool_full",
};

const char *const backpressure_words[BACKPRESSURE_COUNT] = {
    [BACKPRESSURE_LOG_FULL] = "log and files of batches have reached [wal] max_bytes; rings wait "
                              "until sinks have taken what pins them",
    [BACKPRESSURE_MEMORY] = "memory_limit is reached; rings wait until batches are written",
    [BACKPRESSURE_DISK_FULL] = "no space left for the log or the spool; free some, it goes on by "
                               "itself",
    [BACKPRESSURE_LOG_ERROR] = "the log's disk fails; rings wait until it takes writes again",
    [BACKPRESSURE_SINK_ERROR] = "a sink fails, see below; its batches are tried again and pin the "
                                "log",
    [BACKPRESSURE_RINGS_MAX] = "rings_max or a user's quota is reached; further rings wait for a "
                               "place",
    [BACKPRESSURE_STREAMS_MAX] = "streams_max is reached; rings that name one stream more wait",
    [BACKPRESSURE_SEALS_MAX] = "too many batches wait for their sinks; no more are begun",
    [BACKPRESSURE_SPOOL_FULL] = "files of batches have reached [wal] max_bytes; rings wait until "
                                "sinks have taken some",
};
_Static_assert(BACKPRESSURE_COUNT == 9, "each reason has a name and words");

void status_free(struct status *status)
{
    if (status == NULL)
        return;
    free(status->streams);
    free(status->stream_sinks);
    free(status->sinks);
    free(status->rings);
    free(status->shards);
    free(status);
}
