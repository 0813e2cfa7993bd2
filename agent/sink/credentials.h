/*
 * credentials: the keys that a sink signs with, and its region, fetched and renewed.
 *
 * A state machine: it reads environment and files itself, says which HTTP request it wants, and is
 * told the time and what came back. One thread does
 *
 *     ask = credentials_step(c, &turn);                    a request to send, each once
 *     credentials_reply(c, &turn, reply);                  or credentials_no_reply()
 *     if (credentials_get(c, now_ns, &keys, &err) == 0)    sign
 *     credentials_refused(c, keys.generation);             the service called them expired
 *
 * and steps again when credentials_next_ns() has come. Where keys come from: credentials_chain.h.
 *
 * Keys are renewed from 15 minutes before they expire. From 10 minutes before on they are not given
 * out until that was tried; when it fails they serve on, for only the service knows when they have
 * expired. Refused keys are not given out again; new ones are fetched at once. What fails is tried
 * again without end, after pauses of a minute at most (retry.h).
 *
 * Keys, tokens, requests and files are in memory that is not in core files, is locked where that is
 * allowed, and is wiped; they are in no error's text.
 *
 * Owns:   all of it; the configuration is copied.
 * Thread: one at a time for each struct.
 * Units:  now_ns = nanoseconds of the boot clock, which counts while the host sleeps; utc_ns since
 *         1970-01-01 00:00 UTC.
 */
#ifndef SINK_CREDENTIALS_H
#define SINK_CREDENTIALS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/errmsg.h"
#include "sink/credentials_ask.h"
#include "sink/credentials_chain.h"
#include "sink/retry.h"
#include "sink/sigv4.h"

#define CREDENTIALS_RENEW_NS (15 * 60 * RETRY_SECOND_NS)    /* before they expire */
#define CREDENTIALS_INSIST_NS (10 * 60 * RETRY_SECOND_NS)
#define CREDENTIALS_PAUSE_NS (60 * RETRY_SECOND_NS)         /* between two renewals, at least */

struct credentials;

struct credentials_turn {
    uint64_t now_ns, utc_ns;
    uint64_t random;            /* any number of 64 bits */
};

struct credentials_keys {
    struct sigv4_credentials sign;  /* borrowed until the next step or reply */
    const char *region;             /* likewise; "": not known, and not wanted */
    uint32_t generation;            /* which keys these are */
};

struct credentials_status {
    const char *source;         /* "environment", ...; "none" yet */
    const char *region;         /* borrowed until the next step or reply; "": not known */
    uint64_t expires_utc_ns;    /* 0: never, or nobody said when */
    bool usable;                /* credentials_get() gives some */
    const char *error;          /* of the last attempt; borrowed; "": it worked */
    struct retry_status retry;  /* next_ns, since_ns, failures */
};

/* -EINVAL: the configuration is wrong by itself; -ENOMEM; with a text. */
int credentials_open(const struct credentials_config *config, uint64_t now_ns,
                     struct credentials **ret_credentials, struct errmsg *err);
void credentials_close(struct credentials *c);      /* NULL is fine; a request may be out */

/*
 * A request to send, or NULL: none now. It is lent until the reply. A PUT may be without a body.
 * The texts in it are secrets, the URL too.
 */
const struct credentials_ask *credentials_step(struct credentials *c,
                                               const struct credentials_turn *turn);

/* What came back for it; nothing, for the reason that `why` tells people. Then step again. */
void credentials_reply(struct credentials *c, const struct credentials_turn *turn,
                       const struct reply *reply);
void credentials_no_reply(struct credentials *c, const struct credentials_turn *turn,
                          const char *why);

/* When to step again; RETRY_NEVER_NS: not before a reply or credentials_refused(). */
uint64_t credentials_next_ns(const struct credentials *c);

/* -EAGAIN: none that could be used now, with the reason. */
int credentials_get(const struct credentials *c, uint64_t now_ns,
                    struct credentials_keys *ret_keys, struct errmsg *err);

/* The service refused these, as expired or unknown. Nothing happens if others have come since. */
void credentials_refused(struct credentials *c, uint32_t generation);

void credentials_look(const struct credentials *c, uint64_t now_ns,
                      struct credentials_status *ret_status);

#endif
