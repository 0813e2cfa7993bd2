/*
 * delivery_sink: opening and closing, keys, and how a sink fares.
 *
 * Owns:   see the header.
 * Thread: delivery.
 */
#include "sink/delivery_sink.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "sink/remote_settings.h"

static const struct remote_kind *kind_of(enum target_type type)
{
    switch (type) {
    case TARGET_S3:
        return &s3_kind;
    case TARGET_FIREHOSE:
        return &firehose_kind;
    default:
        INVARIANT(type == TARGET_HTTP);
        return &web_kind;
    }
}

struct remote_sink *delivery_sink_open(struct delivery *d, const struct remote_settings *set,
                                       uint64_t now_ns, struct errmsg *err)
{
    struct retry_limits limits = {set->backoff_max_ns, set->in_flight_max};
    struct remote_sink *sink = calloc(1, sizeof(*sink));
    int r = sink ? remote_settings_copy(set, 1, &sink->settings) : -ENOMEM;

    if (r) {
        free(sink);
        errmsg_set(err, r, "no memory");
        return NULL;
    }
    memcpy(&sink->set, remote_settings_get(sink->settings, 0), sizeof(sink->set));
    sink->kind = kind_of(set->type);
    sink->delivery = d;
    retry_init(&sink->retry, &limits, now_ns);
    if (sink->kind->signs) {
        struct credentials_config config = sink->set.cloud;

        /* A service of one's own has no region that the instance metadata could know. */
        config.region_wanted = sink->kind->region_wanted && sink->set.s3.set.endpoint[0] == '\0';
        r = credentials_open(&config, now_ns, &sink->credentials, err);
    }
    if (!r && sink->kind->open)
        r = sink->kind->open(sink, err);
    if (!r)
        return sink;
    credentials_close(sink->credentials);
    remote_settings_free(sink->settings);
    free(sink);
    return NULL;
}

void delivery_sink_close(struct remote_sink *sink, uint64_t now_ns)
{
    for (struct remote_job *job = sink->jobs; job; job = job->next)
        delivery_job_drop(job, now_ns);
    http_call_cancel(&sink->ask);
    http_call_fini(&sink->ask);
    if (sink->kind->close)
        sink->kind->close(sink);
    credentials_close(sink->credentials);
    sigv4_fini(&sink->sign);
    remote_settings_free(sink->settings);
    free(sink);
}

void delivery_sink_inherit(struct remote_sink *to, struct remote_sink *from, uint64_t now_ns)
{
    for (struct remote_job *job = from->jobs; job; job = job->next) {
        job->resumed |= job->begun;
        delivery_job_drop(job, now_ns);
        job->at = to;
    }
    to->jobs = from->jobs;
    to->jobs_count = from->jobs_count;
    to->duplicates = from->duplicates;
    to->retry.retries = from->retry.retries;
    to->failing = from->failing;
    from->jobs = NULL;
    from->jobs_count = 0;
}

/* --- keys ----------------------------------------------------------------------------------- */

static void ask_take(struct remote_sink *sink, const struct credentials_turn *turn)
{
    struct http_call *call = &sink->ask;
    struct reply reply = {
        .status = call->status,
        .body = (const char *)call->answer.data,
        .body_len = call->answer.len,
    };

    sink->asking = REMOTE_ASK_NO;
    if (call->result == 0)
        credentials_reply(sink->credentials, turn, &reply);
    else
        credentials_no_reply(sink->credentials, turn, call->err.text);
    if (call->answer.len > 0)
        explicit_bzero(call->answer.data, call->answer.len);
    http_call_fini(call);
}

static void ask_send(struct remote_sink *sink, const struct credentials_ask *ask,
                     const struct credentials_turn *turn, const struct delivery_turn *now)
{
    uint32_t count = ask->request.headers_count;

    for (uint32_t i = 0; i < count; i++)
        sink->ask_headers[i] = (struct http_header){ask->request.headers[i].name,
                                                    ask->request.headers[i].value};
    sink->ask = (struct http_call){
        .method = ask->request.method,
        .url = ask->request.url,
        .headers = sink->ask_headers,
        .headers_count = count,
        .body = ask->body_len > 0 ? ask->body : NULL,
        .body_fd = -1,
        .body_len = ask->body_len,
        .connect_timeout_ms = ask->connect_timeout_ms,
        .stall_timeout_ms = ask->timeout_ms,
        .answer_bytes_max = ask->reply_bytes_max,
        .direct = ask->direct,
        .done = now->on_ask,
        .ctx = sink,
    };
    if (http_call_start(now->pool, &sink->ask) == 0)
        sink->asking = REMOTE_ASK_OUT;
    else
        credentials_no_reply(sink->credentials, turn, sink->ask.err.text);
}

void delivery_sink_keys(struct remote_sink *sink, const struct delivery_turn *now)
{
    struct credentials_turn turn = {now->now_ns, now->utc_ns, delivery_random64()};
    const struct credentials_ask *ask;

    if (sink->asking == REMOTE_ASK_ANSWERED)
        ask_take(sink, &turn);
    /* What cannot even be sent is an answer, and has another step. */
    for (int i = 0; i < 2 && sink->asking == REMOTE_ASK_NO; i++) {
        ask = credentials_step(sink->credentials, &turn);
        if (!ask)
            break;
        ask_send(sink, ask, &turn, now);
    }
}

/* --- how it fares --------------------------------------------------------------------------- */

bool delivery_sink_bad(const struct remote_sink *sink, uint64_t now_ns)
{
    struct credentials_status keys;

    if (sink->jobs_count == 0)
        return false;
    if (sink->credentials) {
        credentials_look(sink->credentials, now_ns, &keys);
        if (!keys.usable && keys.error[0])
            return true;
    }
    return sink->retry.failures >= 2 || sink->retry.open || sink->retry.rejected > 0;
}

void delivery_sink_status(const struct remote_sink *sink, uint64_t now_ns,
                          struct delivery_status *ret_status)
{
    struct retry_status retry;
    struct credentials_status keys = {.usable = true, .source = "", .error = ""};

    retry_look(&sink->retry, now_ns, &retry);
    if (sink->credentials)
        credentials_look(sink->credentials, now_ns, &keys);
    *ret_status = (struct delivery_status){
        .state = retry.state,
        .retries = retry.retries,
        .duplicates = sink->duplicates,
        .jobs = sink->jobs_count,
        .in_flight = retry.in_flight,
        .window = retry.window,
        .rejected = retry.rejected,
        .credentials_expire_utc_ns = keys.expires_utc_ns,
    };
    snprintf(ret_status->credentials, sizeof(ret_status->credentials), "%s", keys.source);
    if (sink->jobs_count == 0)
        return;
    if (!keys.usable)
        snprintf(ret_status->waits_because, sizeof(ret_status->waits_because), "%s",
                 keys.error[0] ? keys.error : "credentials are being fetched");
    else if (retry.failures > 0 || retry.rejected > 0 || retry.state >= RETRY_STATE_FAILING)
        snprintf(ret_status->waits_because, sizeof(ret_status->waits_because), "%s", retry.error);
    else if (retry.next_ns > now_ns)
        snprintf(ret_status->waits_because, sizeof(ret_status->waits_because),
                 "the service asks to wait %.0f s", (double)(retry.next_ns - now_ns) / 1e9);
}
