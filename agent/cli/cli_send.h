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
    const char *tcp, *unix_path, *http;     /* NULL: not that way; all: by ring */
    bool gzip;                  /* not by ring */
};

struct send_http;
struct send_socket;

struct sender {
    const char *command;
    struct send_options options;
    struct shmc *ring;              /* owned; of these three one is not NULL: the way */
    struct send_socket *socket;     /* owned */
    struct send_http *http;         /* owned */
    uint16_t stream;
    struct json_checker *checker;   /* owned */
    struct lines lines;             /* owned */
    const char *file_name;          /* of what is being read */

    uint64_t events, bytes;         /* committed; but by ring: as the agent has said */
    uint64_t unknown;               /* events that may have arrived or not */
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

/* ---- cli_send_socket.c ---- */

/* By what the sender's options name. False after having said why; closed with the sender. */
bool send_socket_open(struct sender *s);
void send_socket_close(struct send_socket *w);      /* NULL is fine */

/* 0, -EINTR: stop, or -errno. */
int send_socket_line(struct send_socket *w, const char *stream, const uint8_t *data, size_t len);
bool send_socket_idle(struct send_socket *w);       /* no more lines just now: sends what waits */
bool send_socket_flush(struct send_socket *w);      /* waits until the agent has everything */

/* ---- cli_send_http.c ---- */

/* As above; -EMSGSIZE: the agent cannot take a line that long, which has been said. */
bool send_http_open(struct sender *s);
void send_http_close(struct send_http *w);          /* NULL is fine */
int send_http_line(struct send_http *w, const uint8_t *data, size_t len);
bool send_http_flush(struct send_http *w);          /* no more lines just now: sends what waits */

/* ---- waiting, for all ways ---- */

uint64_t sender_now_ns(void);

/*
 * Waits for `events` of a descriptor (-1: of none) or until timeout_ns have passed. False: a signal
 * has come, which ends the wait.
 */
bool sender_await(int fd, short events, uint64_t timeout_ns);

/* It has waited for waited_ns: says so, or gives up. False: stop. */
bool sender_waits(struct sender *s, uint64_t waited_ns, const char *what);

/*
 * Between attempts since since_ns: a time, half of it chance, that doubles from 100 ms to 5 s.
 * *backoff_ns: 0 at first. False: stop.
 */
bool sender_back_off(struct sender *s, uint64_t since_ns, uint64_t *backoff_ns, const char *what);

/* Takes the progress line away before something else is printed. */
void sender_clear(struct sender *s);

/* SIGINT and SIGTERM from here on stop the reading; the number of the one that came, or 0. */
void sender_catch_signals(void);
int sender_signal(void);

#endif
