/*
 * relay_session: connects, begins batches, sends frames, takes answers.
 *
 * Owns:   see the header.
 * Thread: the relay's.
 */
#include "sink/relay_session.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/log.h"
#include "encode/framing.h"
#include "io/file.h"
#include "sink/relay_wire.h"

#define BACKOFF_NS_MIN 500000000ULL
#define SILENT_NS_MIN  15000000000ULL   /* the listener gives signs of life more often */

enum {
    OUT_BYTES = 1 << 20,                /* ahead of the socket */
    IN_BYTES = 64 * 1024
};

/* --- open, close ---------------------------------------------------------------------------- */

/*
 * Two sinks of one agent are two senders to the far side. The log's uuid cannot be told from it:
 * that is nobody's business.
 */
static int identity_make(const uint8_t uuid[16], const char *sink, uint8_t identity[16])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t digest[EVP_MAX_MD_SIZE];
    bool done = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1
                && EVP_DigestUpdate(ctx, "hydrant relay", 13) == 1
                && EVP_DigestUpdate(ctx, uuid, 16) == 1
                && EVP_DigestUpdate(ctx, sink, strlen(sink)) == 1
                && EVP_DigestFinal_ex(ctx, digest, NULL) == 1;

    EVP_MD_CTX_free(ctx);
    if (done)
        memcpy(identity, digest, 16);
    return done ? 0 : -ENOMEM;
}

int relay_session_open(const struct relay_sink_settings *set, const uint8_t uuid[16],
                       struct relay_session **ret_session, struct errmsg *err)
{
    struct relay_tls_files files = {set->cert_file, set->key_file, set->ca_file};
    struct relay_session *s = calloc(1, sizeof(*s));
    int r = 0;

    *ret_session = NULL;
    if (!s)
        return errmsg_set(err, -ENOMEM, "no memory");
    s->set = *set;
    s->link = RELAY_LINK_INIT;
    s->set.name = strdup(set->name);
    s->set.address = strdup(set->address);
    s->set.ca_file = s->set.cert_file = s->set.key_file = NULL;
    s->jobs_end = &s->jobs;
    if (!s->set.name || !s->set.address || identity_make(uuid, set->name, s->identity))
        r = errmsg_set(err, -ENOMEM, "no memory");
    else if (set->tls)
        r = relay_tls_open(false, &files, &s->tls, err);
    if (r) {
        errmsg_prefix(err, "sink '%s': ", set->name);
        relay_session_close(s);
        return r;
    }
    *ret_session = s;
    return 0;
}

static void job_free(struct relay_job *j)
{
    file_close(j->fd);
    free(j);
}

void relay_session_close(struct relay_session *s)
{
    if (!s)
        return;
    while (s->jobs) {
        struct relay_job *j = s->jobs;

        s->jobs = j->next;
        job_free(j);
    }
    relay_link_close(&s->link);
    relay_tls_close(s->tls);
    bytes_free(&s->forgets);
    bytes_free(&s->in);
    bytes_free(&s->out);
    free((char *)s->set.name);
    free((char *)s->set.address);
    free(s);
}

static void job_rest(struct relay_job *j)
{
    file_close(j->fd);
    j->fd = -1;
    j->state = RELAY_JOB_WAITS;
}

void relay_session_inherit(struct relay_session *s, struct relay_session *from)
{
    s->jobs = from->jobs;
    s->jobs_end = from->jobs ? from->jobs_end : &s->jobs;
    s->jobs_count = from->jobs_count;
    s->forgets = from->forgets;
    s->retries = from->retries;
    s->failing = from->failing;
    s->why = from->why;
    from->jobs = NULL;
    from->jobs_end = &from->jobs;
    from->forgets = (struct bytes)BYTES_INIT;
    for (struct relay_job *j = s->jobs; j; j = j->next)
        job_rest(j);
}

int relay_session_add(struct relay_session *s, struct remote_job *job, const struct batch_id *id)
{
    struct relay_job *j = calloc(1, sizeof(*j));

    if (!j)
        return -ENOMEM;
    *j = (struct relay_job){.job = job, .id = *id, .fd = -1};
    *s->jobs_end = j;
    s->jobs_end = &j->next;
    s->jobs_count++;
    return 0;
}

const char *relay_session_waits_because(const struct relay_session *s)
{
    if (s->jobs_count > 0 && s->far_why.text[0] != '\0')
        return s->far_why.text;
    return s->failing ? s->why.text : s->declined > 0 ? s->declined_why.text : "";
}

/* Another agent's words, fit for a log. */
static void peer_text_take(struct errmsg *to, const struct relay_message *m, const char *before)
{
    size_t at = (size_t)snprintf(to->text, sizeof(to->text), "%s", before);

    for (uint32_t i = 0; i < m->len && at < sizeof(to->text) - 1; i++, at++)
        to->text[at] = m->body[i] >= ' ' && m->body[i] < 127 ? (char)m->body[i] : '?';
    to->text[at] = '\0';
}

/* --- failing -------------------------------------------------------------------------------- */

/* Half of it, and up to as much again by chance: thousands do not come back at once. */
static uint64_t later(uint64_t now_ns, uint64_t bound)
{
    uint64_t random;

    file_random(&random, sizeof(random));
    return now_ns + bound / 2 + random % (bound / 2 + 1);
}

/* The far side cannot take this one now: it stays, and is offered again from time to time. */
static void job_decline(struct relay_session *s, struct relay_job *j, const struct relay_message *m,
                        uint64_t now_ns)
{
    peer_text_take(&s->declined_why, m, "a batch is declined: ");
    if (s->declined == 0) {
        log_warn("sink '%s': %s; it is kept and offered again", s->set.name, s->declined_why.text);
        s->declined_ns = later(now_ns, s->set.backoff_max_ns);
    }
    job_rest(j);
    j->state = RELAY_JOB_DECLINED;
    s->begun--;
    s->declined++;
    s->retries++;
}

static void declined_offer(struct relay_session *s, uint64_t now_ns)
{
    if (s->declined == 0 || now_ns < s->declined_ns)
        return;
    for (struct relay_job *j = s->jobs; j; j = j->next)
        if (j->state == RELAY_JOB_DECLINED)
            j->state = RELAY_JOB_WAITS;
    s->declined = 0;
}

static void session_fail(struct relay_session *s, uint64_t now_ns, const struct errmsg *why)
{
    uint64_t bound = BACKOFF_NS_MIN << (s->attempts < 10 ? s->attempts : 10);

    if (!s->failing)
        log_warn("back pressure: sink_error: sink '%s': %s: %s; what waits is tried again",
                 s->set.name, s->set.address, why->text);
    s->failing = true;
    s->why = *why;
    s->attempts++;
    s->retries++;
    if (bound > s->set.backoff_max_ns)
        bound = s->set.backoff_max_ns;
    s->try_ns = later(now_ns, bound);
    relay_link_close(&s->link);
    s->welcomed = false;
    s->begun = s->declined = 0;
    s->far_why.text[0] = '\0';
    s->sends = false;
    bytes_clear(&s->in);
    bytes_clear(&s->out);
    s->out_at = 0;
    for (struct relay_job *j = s->jobs; j; j = j->next)
        job_rest(j);
}

static void job_end(struct relay_session *s, struct relay_job *j, enum sink_result result)
{
    struct relay_job **at = &s->jobs;
    struct remote_job *job = j->job;

    while (*at != j)
        at = &(*at)->next;
    *at = j->next;
    if (s->jobs_end == &j->next)
        s->jobs_end = at;
    s->jobs_count--;
    if (j->state != RELAY_JOB_WAITS)
        s->begun--;
    job_free(j);
    job->result = result;
    job->done(job);
}

/* --- files ---------------------------------------------------------------------------------- */

/* False: not these bytes, whatever the reason: job->err. */
static bool file_get(struct relay_job *j, uint8_t *to, size_t len, uint64_t at)
{
    ssize_t n = file_read(j->fd, to, len, at);

    if (n == (ssize_t)len)
        return true;
    errmsg_set(&j->job->err, -EBADMSG, "spool/%s: %s", j->job->spool_name,
               n < 0 ? strerror((int)-n) : "it is shorter than it was sealed");
    return false;
}

static bool file_verify(struct relay_job *j, uint8_t *buffer)
{
    uint32_t crc = 0;

    j->fd = file_open(j->job->spool_dir, j->job->spool_name, O_RDONLY | O_NOFOLLOW, 0);
    for (uint64_t at = 0; at < j->job->file_bytes;) {
        uint64_t rest = j->job->file_bytes - at;
        size_t len = rest < RELAY_READ_BYTES ? (size_t)rest : RELAY_READ_BYTES;

        if (!file_get(j, buffer, len, at))
            return false;
        crc = crc32c(crc, buffer, len);
        at += len;
    }
    if (crc == j->job->crc32c)
        return true;
    errmsg_set(&j->job->err, -EBADMSG, "spool/%s: it is not what was sealed", j->job->spool_name);
    return false;
}

/* Adds frames that are not taken yet to a DATA that has begun. */
static int frame_add(struct relay_session *s, struct relay_job *j, const uint8_t *frame,
                     uint64_t bytes, size_t *data)
{
    int r = 0;

    if (j->sent < j->taken) {
        j->sent += bytes;
        return j->sent > j->taken ? -EPROTO : 0;
    }
    if (*data == SIZE_MAX)
        r = relay_wire_data_begin(&s->out, j->ref, j->sent, data);
    if (!r)
        r = bytes_append(&s->out, frame, bytes);
    if (!r)
        j->sent += bytes;
    return r;
}

/*
 * One piece of the file into `out`, and END behind its last one. 0, -EBADMSG: the file is damaged,
 * -EPROTO: the far side has what cannot be, -ENOMEM.
 */
static int job_send(struct relay_session *s, struct relay_job *j, uint8_t *buffer)
{
    uint64_t rest = j->job->file_bytes - j->file_at, at = 0;
    size_t len = rest < RELAY_READ_BYTES ? (size_t)rest : RELAY_READ_BYTES, data = SIZE_MAX;
    size_t before = s->out.len;
    int r = 0;

    if (!file_get(j, buffer, len, j->file_at))
        return -EBADMSG;
    while (!r && at < len && s->out.len - before < RELAY_CHUNK_BYTES) {
        const uint8_t *payload;
        struct shm_frame f;
        int64_t n = relay_frame_next(buffer + at, len - at, true, &f, &payload);

        if (n < 0 || (n == 0 && (at == 0 || len == rest)))
            return errmsg_set(&j->job->err, -EBADMSG, "spool/%s: no frame at %" PRIu64,
                              j->job->spool_name, j->file_at + at);
        if (n == 0 || (f.kind == FRAMING_KIND_SCHEMA && data != SIZE_MAX))
            break;
        if (f.kind == FRAMING_KIND_SCHEMA)
            r = relay_wire_put_schema(&s->out, j->ref, f.def, payload, f.len);
        else
            r = frame_add(s, j, buffer + at, (uint64_t)n, &data);
        at += (uint64_t)n;
    }
    if (data != SIZE_MAX)
        relay_wire_data_end(&s->out, data);
    j->file_at += at;
    if (r || j->file_at < j->job->file_bytes)
        return r;
    if (j->sent < j->taken)
        return -EPROTO;
    j->state = RELAY_JOB_ENDED;
    return relay_wire_put_u64(&s->out, RELAY_END, j->ref, j->sent);
}

/* --- sending -------------------------------------------------------------------------------- */

/* Tells what is to be forgotten, begins batches, sends of the first one that can. */
static int session_feed(struct relay_session *s, uint8_t *buffer)
{
    struct relay_job *j, *next;
    uint32_t begun;
    int r = 0;

    for (size_t at = 0; !r && at < s->forgets.len; at += sizeof(struct relay_forget)) {
        struct relay_forget forget;

        memcpy(&forget, s->forgets.data + at, sizeof(forget));
        r = relay_wire_put_forget(&s->out, &forget.id, &forget.floor);
    }
    bytes_clear(&s->forgets);
    for (j = s->jobs; !r && j && s->begun < s->set.in_flight_max; j = next) {
        next = j->next;
        if (j->state != RELAY_JOB_WAITS)
            continue;
        if (!file_verify(j, buffer)) {
            job_end(s, j, SINK_DAMAGED);
            continue;
        }
        j->ref = s->next_ref++;
        j->file_at = j->sent = j->taken = 0;
        j->state = RELAY_JOB_BEGUN;
        s->begun++;
        r = relay_wire_put_begin(&s->out, j->ref, &j->id, j->job->stream);
    }
    s->sends = false;
    begun = s->begun;
    for (j = s->jobs; !r && begun > 0 && s->out.len - s->out_at < OUT_BYTES; j = next) {
        next = j->next;
        begun -= j->state != RELAY_JOB_WAITS && j->state != RELAY_JOB_DECLINED;
        while (!r && j->state == RELAY_JOB_SENDS && s->out.len - s->out_at < OUT_BYTES)
            r = job_send(s, j, buffer);
        s->sends |= j->state == RELAY_JOB_SENDS;
        if (r != -EBADMSG)
            continue;
        /* Half of it may be out, so this connection has no use for what comes of it. */
        job_end(s, j, SINK_DAMAGED);
        return -EBADMSG;
    }
    return r;
}

static int session_write(struct relay_session *s, struct errmsg *err)
{
    while (s->out_at < s->out.len) {
        int64_t n = relay_link_write(&s->link, s->out.data + s->out_at, s->out.len - s->out_at,
                                     err);

        if (n < 0)
            return n == -EAGAIN ? 0 : (int)n;
        s->out_at += (size_t)n;
    }
    bytes_clear(&s->out);
    s->out_at = 0;
    return 0;
}

/* --- answers -------------------------------------------------------------------------------- */

static struct relay_job *job_find(const struct relay_session *s, uint64_t ref,
                                  enum relay_job_state state)
{
    struct relay_job *j = s->jobs;

    while (j && !(j->state == state && j->ref == ref))
        j = j->next;
    return j;
}

static int message_take(struct relay_session *s, const struct relay_message *m, uint64_t now_ns,
                        struct errmsg *err)
{
    struct relay_job *j;
    uint64_t value;

    switch (m->type) {
    case RELAY_WELCOME:
        s->welcomed = true;
        return 0;
    case RELAY_ALIVE:
        peer_text_take(&s->far_why, m, "");
        return 0;
    case RELAY_DECLINED:
        j = job_find(s, m->ref, RELAY_JOB_BEGUN);
        if (!j)
            break;
        job_decline(s, j, m, now_ns);
        return 0;
    case RELAY_TAKEN:
        j = job_find(s, m->ref, RELAY_JOB_BEGUN);
        if (!j || relay_wire_u64(m, &value))
            break;
        j->taken = value;
        j->state = RELAY_JOB_SENDS;
        return 0;
    case RELAY_DONE:
        j = job_find(s, m->ref, RELAY_JOB_ENDED);
        if (!j)
            break;
        job_end(s, j, SINK_DONE);
        if (s->failing)
            log_info("back pressure: sink_error: sink '%s': over", s->set.name);
        s->failing = false;
        s->attempts = 0;
        s->why.text[0] = s->far_why.text[0] = '\0';
        return 0;
    case RELAY_REFUSED:
        peer_text_take(err, m, "refused: ");
        return -EPERM;
    default:
        break;
    }
    return errmsg_set(err, -EPROTO, "this is no answer of a relay");
}

static int session_read(struct relay_session *s, uint64_t now_ns, struct errmsg *err)
{
    for (;;) {
        size_t at = 0;
        int64_t n;

        if (bytes_reserve(&s->in, IN_BYTES))
            return errmsg_set(err, -ENOMEM, "no memory");
        n = relay_link_read(&s->link, s->in.data + s->in.len, IN_BYTES, err);
        if (n < 0)
            return n == -EAGAIN ? 0 : (int)n;
        s->in.len += (size_t)n;
        s->try_ns = now_ns;
        for (;;) {
            struct relay_message m;
            int64_t len = relay_wire_next(s->in.data + at, s->in.len - at, &m);
            int r = len < 0 ? errmsg_set(err, -EPROTO, "this is no answer of a relay")
                    : len > 0 ? message_take(s, &m, now_ns, err) : 0;

            if (r)
                return r;
            if (len == 0)
                break;
            at += (size_t)len;
        }
        memmove(s->in.data, s->in.data + at, s->in.len - at);
        s->in.len -= at;
    }
}

/* --- the turn ------------------------------------------------------------------------------- */

static uint64_t silent_ns(const struct relay_session *s)
{
    return s->set.timeout_ns > SILENT_NS_MIN ? s->set.timeout_ns : SILENT_NS_MIN;
}

static int session_connect(struct relay_session *s, uint64_t now_ns, struct errmsg *err)
{
    int r = relay_link_connect(&s->link, s->set.address, s->tls, err);

    if (!r && relay_wire_put_hello(&s->out, s->identity))
        r = errmsg_set(err, -ENOMEM, "no memory");
    s->try_ns = now_ns;
    return r;
}

static int session_go_on(struct relay_session *s, uint64_t now_ns, uint8_t *buffer,
                         struct errmsg *err)
{
    int r = session_read(s, now_ns, err);

    declined_offer(s, now_ns);
    if (!r && s->welcomed && (s->jobs || s->forgets.len > 0)) {
        r = session_feed(s, buffer);
        if (r)
            errmsg_set(err, r, "%s", r == -ENOMEM ? "no memory" : r == -EBADMSG
                       ? "a batch's file was found damaged on the way"
                       : "the far side has other events of this batch");
    }
    return r ? r : session_write(s, err);
}

void relay_session_turn(struct relay_session *s, uint64_t now_ns, uint8_t *buffer)
{
    struct errmsg err = {""};
    struct pollfd poll_fd = {.fd = s->link.fd, .events = POLLOUT};
    int r = 0;

    if (s->link.fd < 0) {
        if ((!s->jobs && s->forgets.len == 0) || now_ns < s->try_ns)
            return;
        r = session_connect(s, now_ns, &err);
    } else if (s->link.connecting) {
        if (poll(&poll_fd, 1, 0) > 0)
            r = relay_link_connected(&s->link, &err);
    }
    if (!r && !s->link.connecting)
        r = session_go_on(s, now_ns, buffer, &err);
    if (!r && now_ns > s->try_ns && now_ns - s->try_ns > silent_ns(s))
        r = errmsg_set(&err, -ETIMEDOUT, "no answer for %" PRIu64 " s",
                       silent_ns(s) / 1000000000);
    if (r)
        session_fail(s, now_ns, &err);
}

short relay_session_events(const struct relay_session *s)
{
    bool out = s->out.len > s->out_at || s->sends || s->link.connecting || s->link.write_wanted;

    return (short)(POLLIN | (out ? POLLOUT : 0));
}

uint64_t relay_session_next_ns(const struct relay_session *s)
{
    uint64_t silent = s->try_ns + silent_ns(s) + 1;

    if (s->link.fd >= 0)
        return s->declined > 0 && s->declined_ns < silent ? s->declined_ns : silent;
    return s->jobs || s->forgets.len > 0 ? s->try_ns : RETRY_NEVER_NS;
}
