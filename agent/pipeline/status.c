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
    [BACKPRESSURE_DISK_FULL] = "disk_full",     [BACKPRESSURE_RINGS_MAX] = "rings_max",
    [BACKPRESSURE_STREAMS_MAX] = "streams_max", [BACKPRESSURE_SEALS_MAX] = "seals_max",
    [BACKPRESSURE_SPOOL_FULL] = "spool_full",
};
_Static_assert(BACKPRESSURE_COUNT == 7, "each reason has a name");

void status_free(struct status *status)
{
    if (status == NULL)
        return;
    free(status->streams);
    free(status->stream_sinks);
    free(status->sinks);
    free(status->rings);
    free(status);
}
