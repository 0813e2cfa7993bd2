/*
 * cli_send: what the parts of `hydrant send` share.
 *
 * Owns:   a sender owns ring, checker and line buffer.
 * Thread: main; a signal only sets a flag.
 */
#ifndef CLI_CLI_SEND_H
#define CLI_CLI_SEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/cli_lines.h"
#include "encode/event_classify.h"
#include "shm_client.h"

struct send_options {
    const char *stream;
    const char *shm_dir;        /* NULL: the library's default */
    int64_t ring_bytes;         /* 0: the library's default */
    int64_t timeout_ns;         /* 0: wait for ever */
    bool durable, delivered;    /* wait for that at the end */
};

struct sender {
    const char *command;
    struct send_options options;
    struct shmc *ring;              /* owned */
    uint16_t stream;
    struct json_checker *checker;   /* owned */
    struct lines lines;             /* owned */
    const char *file_name;          /* of what is being read */

    uint64_t events, bytes;         /* committed */
    uint64_t refused;               /* lines that are too long */
    bool failed;                    /* something was reported; the exit code is 1 */

    uint64_t slice_ns;              /* one wait in the library */
    uint64_t start_ns, shown_ns;    /* monotonic */
    bool live;                      /* stderr is a terminal: show progress */
    bool shown;                     /* a progress line stands there */
    bool waiting_told;              /* it was said that the ring is full */
};

/* Opens the ring. False after having said why. */
bool sender_open(struct sender *s, const char *command, const struct send_options *options);
void sender_close(struct sender *s);

/* Sends one open file to its end. False: no use in going on (interrupted, timed out, stale). */
bool sender_file(struct sender *s, int fd, const char *name);

/* Waits for what the options ask for. */
bool sender_flush(struct sender *s);

/* The last line on stderr. */
void sender_summary(struct sender *s);

/* SIGINT and SIGTERM from here on stop the reading; the number of the one that came, or 0. */
void sender_catch_signals(void);
int sender_signal(void);

#endif
