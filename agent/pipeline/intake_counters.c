/*
 * intake_counters: names.
 * Owns:   nothing.
 * Thread: any.
 */
#include "pipeline/intake_counters.h"

const char *const intake_source_names[INTAKE_SOURCE_COUNT] = {
    [INTAKE_TCP] = "tcp", [INTAKE_UNIX] = "unix", [INTAKE_UDP] = "udp",
    [INTAKE_HTTP] = "http", [INTAKE_FIREHOSE] = "firehose",
};
_Static_assert(INTAKE_SOURCE_COUNT == 5, "each source has a name");

const char *const intake_ended_names[INTAKE_ENDED_COUNT] = {
    [INTAKE_ENDED_IDLE] = "idle",     [INTAKE_ENDED_SLOW] = "slow",
    [INTAKE_ENDED_DAMAGED] = "damaged", [INTAKE_ENDED_MEMORY] = "memory",
    [INTAKE_ENDED_STOP] = "stop",
};
_Static_assert(INTAKE_ENDED_COUNT == 5, "each reason has a name");
