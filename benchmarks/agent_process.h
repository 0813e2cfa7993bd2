/*
 * agent_process: an agent of its own for a benchmark: HYDRANT_BIN, or build/hydrant, with its
 * embedded configuration, or another, on a fresh data directory.
 *
 * Owns:   the process, the data directory. What a failed run leaves there stays to be looked at.
 * Thread: one.
 * Units:  seconds, bytes.
 */
#ifndef BENCHMARKS_AGENT_PROCESS_H
#define BENCHMARKS_AGENT_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

#include "benchmarks/harness.h"

struct agent_process {
    pid_t pid; /* 0: none */
    char dir[256];
    const char *shm_dir; /* borrowed from the bench */
};

/* Starts it below bench->dir and waits until it has delivered a first event. */
int agent_start(struct agent_process *a, struct bench *b, struct errmsg *err);

/* The same with sections of a configuration. */
int agent_start_with(struct agent_process *a, struct bench *b, const char *config,
                     struct errmsg *err);

/* CPU time of all its threads so far. -1: it is gone. */
double agent_cpu_seconds(const struct agent_process *a);

/* Most memory that it ever held, in MiB; -1: it is gone. */
double agent_memory_peak_mib(const struct agent_process *a);

/* The directory of a stream's files. */
void agent_stream_dir(const struct agent_process *a, const char *stream, char *ret_path,
                      size_t cap);

/* SIGTERM; it must end with 0 within a minute. The data directory stays. Zeroed is fine. */
int agent_stop(struct agent_process *a, struct errmsg *err);
int agent_remove(struct agent_process *a, struct errmsg *err);

#endif
