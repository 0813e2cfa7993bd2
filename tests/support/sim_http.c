/*
 * sim_http: requests in a list, each with the moment and the manner of its end.
 *
 * Owns:   see the header.
 * Thread: one.
 */
#include "support/sim_http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/crc32c.h"
#include "base/invariant.h"
#include "io/file.h"
#include "support/sim.h"

#define LATENCY_NS 20000000ULL

enum fate { FATE_SERVED, FATE_REFUSED, FATE_LOST_BEFORE, FATE_LOST_AFTER, FATE_UNREAD };

struct http_pool {
    bool woken;
};

struct http_slot {
    struct http_slot *next;
    struct http_pool *pool;
    struct http_call *call;
    enum fate fate;
    uint64_t due_ns;
    char *method, *url;             /* owned; as is the rest */
    struct http_header *headers;
    uint32_t headers_count;
    uint8_t *body;
    size_t body_len;
    int unread;                     /* why, of FATE_UNREAD */
};

static struct {
    sim_serve_fn serve;
    void *ctx;
    struct sim_http_faults faults;
    struct http_slot *slots;
    uint64_t requests;
} net;

const char *sim_request_header(const struct sim_request *request, const char *name)
{
    for (uint32_t i = 0; i < request->headers_count; i++)
        if (strcasecmp(request->headers[i].name, name) == 0)
            return request->headers[i].value;
    return NULL;
}

static void slot_free(struct http_slot *slot)
{
    struct http_slot **at = &net.slots;

    while (*at && *at != slot)
        at = &(*at)->next;
    if (*at)
        *at = slot->next;
    for (uint32_t i = 0; i < slot->headers_count; i++) {
        free((char *)slot->headers[i].name);
        free((char *)slot->headers[i].value);
    }
    free(slot->headers);
    free(slot->method);
    free(slot->url);
    free(slot->body);
    free(slot);
}

void sim_http_reset(sim_serve_fn serve, void *ctx)
{
    while (net.slots)
        slot_free(net.slots);
    memset(&net, 0, sizeof(net));
    net.serve = serve;
    net.ctx = ctx;
}

void sim_http_set_faults(const struct sim_http_faults *faults)
{
    net.faults = *faults;
}

uint64_t sim_http_requests(void)
{
    return net.requests;
}

unsigned sim_http_under_way(void)
{
    unsigned count = 0;

    for (const struct http_slot *slot = net.slots; slot; slot = slot->next)
        count++;
    return count;
}

uint64_t sim_http_next_ns(void)
{
    uint64_t next = UINT64_MAX;

    for (const struct http_slot *slot = net.slots; slot; slot = slot->next)
        if (slot->due_ns < next)
            next = slot->due_ns;
    return next;
}

static void slot_serve(const struct http_slot *slot, struct sim_answer *answer)
{
    struct sim_request request = {
        slot->method, slot->url, slot->headers, slot->headers_count, slot->body, slot->body_len,
    };

    answer->status = 500;
    if (net.serve)
        net.serve(net.ctx, &request, answer);
}

static void answer_fini(struct sim_answer *answer)
{
    bytes_free(&answer->head);
    bytes_free(&answer->body);
}

/* Nobody waits for the answer any more. */
static void slot_land(struct http_slot *slot)
{
    struct sim_answer answer = {0};

    if (slot->fate != FATE_REFUSED && slot->fate != FATE_UNREAD && sim_random() % 2)
        slot_serve(slot, &answer);
    answer_fini(&answer);
    slot_free(slot);
}

void sim_http_land(void)
{
    while (net.slots)
        slot_land(net.slots);
}

/* --- sink/http_pool.h ----------------------------------------------------------------------- */

int http_pool_open(uint32_t connections_max, struct http_pool **ret_pool, struct errmsg *err)
{
    INVARIANT(connections_max > 0);
    *ret_pool = calloc(1, sizeof(**ret_pool));
    return *ret_pool ? 0 : errmsg_set(err, -ENOMEM, "no memory");
}

void http_pool_close(struct http_pool *pool)
{
    for (struct http_slot *slot = net.slots, *next; slot; slot = next) {
        next = slot->next;
        if (slot->pool == pool)
            http_call_cancel(slot->call);
    }
    free(pool);
}

static int body_read(struct http_slot *slot, const struct http_call *call)
{
    slot->body_len = call->body_len;
    slot->body = malloc(slot->body_len + 1);
    INVARIANT(slot->body);
    if (call->body)
        memcpy(slot->body, call->body, slot->body_len);
    for (size_t have = 0; !call->body && have < slot->body_len;) {
        ssize_t n = file_read(call->body_fd, slot->body + have, slot->body_len - have,
                              call->body_at + have);

        if (n <= 0)
            return -EIO;
        have += (size_t)n;
    }
    if (call->body || slot->body_len == 0)
        return 0;
    return crc32c(0, slot->body, slot->body_len) == call->body_crc32c ? 0 : -EBADMSG;
}

static enum fate fate_choose(void)
{
    uint64_t dice = sim_random() % 1000;

    if (dice < net.faults.refused)
        return FATE_REFUSED;
    dice -= net.faults.refused;
    if (dice < net.faults.lost_before)
        return FATE_LOST_BEFORE;
    dice -= net.faults.lost_before;
    return dice < net.faults.lost_after ? FATE_LOST_AFTER : FATE_SERVED;
}

int http_call_start(struct http_pool *pool, struct http_call *call)
{
    uint64_t latency = net.faults.latency_ns_max ? net.faults.latency_ns_max : LATENCY_NS;
    struct http_slot *slot = calloc(1, sizeof(*slot));

    INVARIANT(slot && call->done && call->url);
    slot->pool = pool;
    slot->call = call;
    slot->fate = fate_choose();
    slot->due_ns = sim_now_ns() + 1 + sim_random() % latency;
    slot->method = strdup(call->method);
    slot->url = strdup(call->url);
    slot->headers_count = call->headers_count;
    slot->headers = calloc(call->headers_count + 1, sizeof(*slot->headers));
    for (uint32_t i = 0; i < call->headers_count; i++) {
        slot->headers[i].name = strdup(call->headers[i].name);
        slot->headers[i].value = strdup(call->headers[i].value);
    }
    slot->unread = body_read(slot, call);
    if (slot->unread)
        slot->fate = FATE_UNREAD;
    slot->next = net.slots;
    net.slots = slot;
    net.requests++;
    call->slot = slot;
    call->result = 0;
    call->status = 0;
    call->sent = 0;
    memset(&call->head, 0, sizeof(call->head));
    memset(&call->answer, 0, sizeof(call->answer));
    return 0;
}

void http_call_cancel(struct http_call *call)
{
    if (!call->slot)
        return;
    slot_land(call->slot);
    call->slot = NULL;
}

const char *http_call_header(const struct http_call *call, const char *name, size_t *ret_len)
{
    (void)call;
    (void)name;
    *ret_len = 0;
    return NULL;
}

void http_call_fini(struct http_call *call)
{
    bytes_free(&call->head);
    bytes_free(&call->answer);
}

static void slot_end(struct http_slot *slot)
{
    struct http_call *call = slot->call;
    struct sim_answer answer = {0};

    if (slot->fate == FATE_SERVED || slot->fate == FATE_LOST_AFTER) {
        slot_serve(slot, &answer);
        call->sent = slot->body_len;
        if (answer.lost)
            slot->fate = FATE_LOST_AFTER;
    }
    switch (slot->fate) {
    case FATE_SERVED:
        call->status = answer.status;
        (void)bytes_printf(&call->head, "HTTP/1.1 %u X\r\n%.*s\r\n", answer.status,
                           (int)answer.head.len, (const char *)answer.head.data);
        (void)bytes_append(&call->answer, answer.body.data, answer.body.len);
        if (answer.body.len > call->answer_bytes_max)
            call->result = errmsg_set(&call->err, -EMSGSIZE, "the answer is too large");
        break;
    case FATE_REFUSED:
        call->result = errmsg_set(&call->err, -ECONNREFUSED, "nobody listens");
        break;
    case FATE_UNREAD:
        call->result = errmsg_set(&call->err, slot->unread, "what is to be sent cannot be read");
        break;
    default:
        call->result = errmsg_set(&call->err, -ECONNRESET, "the connection broke off");
    }
    answer_fini(&answer);
    call->slot = NULL;
    slot_free(slot);
    call->done(call);
}

int http_pool_turn(struct http_pool *pool, int timeout_ms, struct errmsg *err)
{
    bool again = true;
    int running = 0;

    (void)timeout_ms;
    pool->woken = false;
    if (net.faults.turns)
        return errmsg_set(err, -EIO, "no network at all");
    while (again) {                 /* done() may have changed the list */
        again = false;
        for (struct http_slot *slot = net.slots; slot && !again; slot = slot->next)
            if (slot->pool == pool && slot->due_ns <= sim_now_ns()) {
                slot_end(slot);
                again = true;
            }
    }
    for (const struct http_slot *slot = net.slots; slot; slot = slot->next)
        running += slot->pool == pool;
    return running;
}

void http_pool_wake(struct http_pool *pool)
{
    pool->woken = true;
}
