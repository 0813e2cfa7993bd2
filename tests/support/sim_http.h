/*
 * sim_http: the network of the simulated host: a second implementation of sink/http_pool.h, chosen
 * at link. A service of the test's own answers; the way there and back takes virtual time, and may
 * lose what goes over it.
 *
 * A request that was on its way when it was cancelled, or its life killed, arrives at that moment
 * or never: by chance, in the latter case at sim_http_land().
 *
 * Owns:   copies of bodies on their way.
 * Thread: one.
 */
#ifndef SUPPORT_SIM_HTTP_H
#define SUPPORT_SIM_HTTP_H

#include "base/bytes.h"
#include "sink/http_pool.h"

struct sim_request {
    const char *method, *url;
    const struct http_header *headers;
    uint32_t headers_count;
    const uint8_t *body;
    size_t body_len;
};

/* The value of the header (in lower case), or NULL. */
const char *sim_request_header(const struct sim_request *request, const char *name);

struct sim_answer {
    unsigned status;
    struct bytes head;              /* "Name: value\r\n" ... */
    struct bytes body;
    bool lost;                      /* it does not arrive, nor does anything else */
};

typedef void (*sim_serve_fn)(void *ctx, const struct sim_request *request,
                             struct sim_answer *answer);

/* A new network, without faults, whose answers come from this function. */
void sim_http_reset(sim_serve_fn serve, void *ctx);

/* In permille of requests, but for what is said. */
struct sim_http_faults {
    unsigned refused, lost_before, lost_after;
    uint64_t latency_ns_max;        /* 0: 20 ms */
    bool turns;                     /* not of requests: each turn fails and does nothing */
};
void sim_http_set_faults(const struct sim_http_faults *faults);

/* Requests so far that were begun. */
uint64_t sim_http_requests(void);
/* On their way. */
unsigned sim_http_under_way(void);
/* When the next one arrives; UINT64_MAX: none is under way. */
uint64_t sim_http_next_ns(void);

/* Each request on its way arrives now or never. Between a kill and what comes next. */
void sim_http_land(void);

#endif
