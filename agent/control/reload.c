/*
 * reload: see the header. The steps of one: begin() reads, writes, posts; the last shard answers;
 * end() puts it in force.
 *
 * Owns:   see the header.
 * Thread: main; on_reloaded() and on_status() that of the shard which answers last.
 */
#include "control/reload.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/remote_config.h"
#include "control/rest.h"

#define SWEEP_NS 1000000000ULL

/* A configuration and what it was made of. */
struct version {
    struct config *config;          /* owned */
    struct config_file *rest;       /* owned */
    char *text;                     /* owned; the user's file; NULL: the embedded default */
    size_t text_len;
};

struct reload {
    const char *path;               /* borrowed */
    const struct config_overrides *overrides;   /* borrowed */
    char *data_dir;                 /* owned; of this life, whatever a configuration says since */
    struct version now;             /* in force */
    struct version next;            /* config NULL: none is under way */
    struct shards *shards;          /* borrowed; NULL: none yet */
    void (*applied)(void *ctx, const struct config *config);
    void *ctx;
    pthread_mutex_t mutex;          /* of now.config, for who looks from another thread */

    struct shard_request request;   /* which the shards have while one is under way */
    _Atomic bool answered;          /* L1: and its result is there */
    int result;
    bool lost;                      /* some shards have it, others not: both stay to the end */

    bool asked;                     /* by SIGHUP */
    struct shard_request *first, **last;    /* changes that wait */
    struct shard_request *changing; /* the one under way; NULL: SIGHUP's, or a sweep */

    struct shard_request status;    /* of a sweep */
    bool drains;                    /* there may be something to sweep */
    bool sweeping;
    _Atomic bool status_answered;   /* L2 */
    int status_result;
    uint64_t sweep_ns;              /* not before */
};

static uint64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static void version_fini(struct version *v)
{
    config_free(v->config);
    config_file_free(v->rest);
    if (v->text != NULL)
        explicit_bzero(v->text, v->text_len);
    free(v->text);
    memset(v, 0, sizeof(*v));
}

/* ---- reading ---- */

static int text_copy(const struct version *from, struct version *to)
{
    if (from->text == NULL)
        return 0;
    to->text = malloc(from->text_len + 1);
    if (to->text == NULL)
        return -ENOMEM;
    memcpy(to->text, from->text, from->text_len + 1);
    to->text_len = from->text_len;
    return 0;
}

static int text_read(const struct reload *r, struct version *to, struct config_errors *errs)
{
    struct errmsg err;
    int rc;

    if (r->path == NULL)
        return 0;
    rc = config_file_slurp(r->path, CONFIG_FILE_BYTES_MAX, &to->text, &to->text_len, &err);
    if (rc < 0)
        config_errors_add(errs, r->path, 0, "%s", err.text);
    return rc;
}

/* Of its text and its sections. */
static int version_load(const struct reload *r, struct version *v, struct config_errors *errs)
{
    return config_load_both(r->path, v->text, v->text_len, v->rest, r->overrides, &v->config, errs);
}

/* At a start: what REST has made lies in a directory that the user's file names. */
static int first_load(struct reload *r, struct config_errors *errs)
{
    struct version *v = &r->now;
    struct config *alone;
    int rc = text_read(r, v, errs);

    if (rc == 0)
        rc = config_load_both(r->path, v->text, v->text_len, NULL, r->overrides, &alone, errs);
    if (rc != 0)
        return rc;
    r->data_dir = strdup(alone->agent.data_dir);
    rc = r->data_dir != NULL ? rest_file_read(r->data_dir, &v->rest, errs) : -ENOMEM;
    config_free(alone);
    if (rc == 0 && config_errors_any(errs))
        rc = -EINVAL;
    if (rc == 0)
        rc = version_load(r, v, errs);
    r->drains = rc == 0 && rest_drains(v->rest);
    return rc;
}

int reload_open(const char *path, const struct config_overrides *overrides,
                struct reload **ret_reload)
{
    struct config_errors errs = CONFIG_ERRORS_INIT;
    struct reload *r = calloc(1, sizeof(*r));
    int rc;

    if (r == NULL)
        return -ENOMEM;
    r->path = path;
    r->overrides = overrides;
    r->last = &r->first;
    (void)pthread_mutex_init(&r->mutex, NULL);
    rc = first_load(r, &errs);
    if (rc != 0) {
        config_errors_print(&errs, stderr);
        reload_close(r);
    } else {
        *ret_reload = r;
    }
    config_errors_fini(&errs);
    return rc;
}

void reload_close(struct reload *r)
{
    if (r == NULL)
        return;
    if (r->changing != NULL)
        r->changing->done(r->changing, -ESHUTDOWN);
    while (r->first != NULL) {
        struct shard_request *req = r->first;

        r->first = req->next;
        req->done(req, -ESHUTDOWN);
    }
    version_fini(&r->next);
    version_fini(&r->now);
    free(r->data_dir);
    (void)pthread_mutex_destroy(&r->mutex);
    free(r);
}

const struct config *reload_config(const struct reload *r)
{
    return r->now.config;
}

void reload_look(struct reload *r, void (*seen)(void *ctx, const struct config *config), void *ctx)
{
    (void)pthread_mutex_lock(&r->mutex);
    seen(ctx, r->now.config);
    (void)pthread_mutex_unlock(&r->mutex);
}

void reload_shards(struct reload *r, struct shards *shards,
                   void (*applied)(void *ctx, const struct config *config), void *ctx)
{
    r->shards = shards;
    r->applied = applied;
    r->ctx = ctx;
}

int reload_remote_sinks(struct shards *shards, const struct config *config, struct errmsg *err)
{
    struct relay_sink_settings *relays;
    struct remote_settings *settings;
    uint32_t count;
    int r = remote_config(config, &settings, &count);

    if (r)
        return errmsg_set(err, r, "no memory");
    r = shards_remote(shards, settings, count, err);
    free(settings);
    if (r)
        return r;
    r = remote_config_relays(config, &relays, &count);
    if (r)
        return errmsg_set(err, r, "no memory");
    r = shards_relay_sinks(shards, relays, count, err);
    free(relays);
    return r;
}

/* ---- one reload ---- */

/* On the thread of the shard that was the last to take it over. */
static void on_reloaded(struct shard_request *req, int result)
{
    struct reload *r = req->ctx;

    r->result = result;
    /* L1 pairs with the acquire in reload_turn(). */
    atomic_store_explicit(&r->answered, true, memory_order_release);
    mailbox_wake(shards_mailbox(r->shards));
}

/* The shards are asked to take `next` over. 0 or -errno with a text. */
static int version_post(struct reload *r, struct errmsg *err)
{
    int rc = reload_remote_sinks(r->shards, r->next.config, err);

    if (rc != 0)
        return rc;
    r->request = (struct shard_request){
        .kind = REQUEST_RELOAD, .settings_ctx = r->next.config, .done = on_reloaded, .ctx = r,
    };
    rc = mailbox_post(shards_mailbox(r->shards), &r->request);
    if (rc != 0)
        on_reloaded(&r->request, rc);
    return 0;
}

/* What was given up; the settings of before are those of remote sinks again. */
static void version_drop(struct reload *r)
{
    struct errmsg err;

    version_fini(&r->next);
    if (reload_remote_sinks(r->shards, r->now.config, &err) != 0)
        log_error("reload: %s", err.text);
}

/* SIGHUP. A bad file keeps the old settings and says why. */
static void asked_begin(struct reload *r)
{
    struct config_errors errs = CONFIG_ERRORS_INIT;
    struct errmsg why;
    int rc = text_read(r, &r->next, &errs);

    if (rc == 0)
        rc = rest_file_copy(r->now.rest, &r->next.rest);
    if (rc == 0)
        rc = version_load(r, &r->next, &errs);
    if (rc != 0) {
        config_errors_log(&errs, "reload");
        log_error("reload: the configuration has mistakes; the old settings stay");
        version_fini(&r->next);
    } else {
        if (config_restart_needed(r->now.config, r->next.config, &why))
            log_warn("reload: these wait for the next start: %s", why.text);
        if (version_post(r, &why) != 0) {
            log_error("reload: %s; the old settings stay", why.text);
            version_drop(r);
        }
    }
    config_errors_fini(&errs);
}

/* Sections instead of those of REST in force; taken over. 0 or -errno with a text. */
static int sections_begin(struct reload *r, struct config_file *sections, struct errmsg *err)
{
    struct config_errors errs = CONFIG_ERRORS_INIT;
    int rc;

    r->next.rest = sections;
    rc = text_copy(&r->now, &r->next);
    if (rc == 0)
        rc = version_load(r, &r->next, &errs);
    if (rc == -ENOMEM || (rc != 0 && errs.count == 0))
        rc = errmsg_set(err, -ENOMEM, "out of memory");
    else if (rc != 0)
        errmsg_set(err, rc = -EINVAL, "%s", errs.items[0].text);
    config_errors_fini(&errs);
    /* The disk is waited for, on a shard's thread: changes are rare, and their file is small. */
    if (rc == 0)
        rc = rest_file_write(r->data_dir, sections, err);
    if (rc != 0) {
        version_fini(&r->next);
        return rc;
    }
    rc = version_post(r, err);
    if (rc != 0) {
        struct errmsg why;

        if (rest_file_write(r->data_dir, r->now.rest, &why) != 0)
            log_error("reload: %s", why.text);
        version_drop(r);
    }
    return rc;
}

static void change_begin(struct reload *r)
{
    struct shard_request *req = r->first;
    struct rest_change *change = req->control;
    struct config_file *after;
    int rc;

    r->first = req->next;
    if (r->first == NULL)
        r->last = &r->first;
    change->err.text[0] = '\0';
    rc = rest_apply(r->now.rest, change, r->now.config, &after);
    if (rc == 0)
        rc = sections_begin(r, after, &change->err);
    if (rc != 0)
        req->done(req, rc);
    else
        r->changing = req;
}

/* No shard looks into the old configuration any more, or none into the new one. */
static void version_end(struct reload *r)
{
    struct shard_request *req = r->changing;
    bool rest = req != NULL || r->sweeping;
    int rc = r->result;
    struct errmsg err;

    r->changing = NULL;
    r->sweeping = false;
    if (rc == -ESHUTDOWN) {     /* by some: both stay to the end; the file has the new one */
        r->lost = true;
    } else if (rc != 0) {
        log_error("reload: %s; the old settings stay", strerror(-rc));
        if (rest && rest_file_write(r->data_dir, r->now.rest, &err) != 0)
            log_error("reload: %s", err.text);
        version_drop(r);
    } else {
        struct version old = r->now;

        (void)pthread_mutex_lock(&r->mutex);
        r->now = r->next;
        (void)pthread_mutex_unlock(&r->mutex);
        memset(&r->next, 0, sizeof(r->next));
        version_fini(&old);
        r->drains = rest_drains(r->now.rest);
        r->applied(r->ctx, r->now.config);
        if (!rest)
            log_info("reloaded %s", r->path != NULL ? r->path : "the default configuration");
    }
    if (req != NULL)
        req->done(req, rc);
}

/* ---- sinks that outlive their stream ---- */

static void on_status(struct shard_request *req, int result)
{
    struct reload *r = req->ctx;

    r->status_result = result;
    /* L2 pairs with the acquire in sweep_end(). */
    atomic_store_explicit(&r->status_answered, true, memory_order_release);
    mailbox_wake(shards_mailbox(r->shards));
}

static void sweep_begin(struct reload *r)
{
    uint64_t now = r->drains ? now_ns() : 0;
    int rc;

    if (!r->drains || now < r->sweep_ns)
        return;
    r->sweep_ns = now + SWEEP_NS;
    r->sweeping = true;
    r->status = (struct shard_request){.kind = REQUEST_STATUS, .done = on_status, .ctx = r};
    rc = mailbox_post(shards_mailbox(r->shards), &r->status);
    if (rc != 0)
        on_status(&r->status, rc);
}

/* It is told of as long as some stream writes to it, or a batch waits for it. */
static bool sink_waits(void *ctx, const char *sink)
{
    const struct status *s = ctx;

    for (size_t i = 0; i < s->sinks_count; i++)
        if (strcmp(s->sinks[i].name, sink) == 0)
            return true;
    return false;
}

/* Begins a reload without those that nothing waits for. */
static void sweep_end(struct reload *r)
{
    struct status *s = r->status.status;
    struct config_file *after = NULL;
    struct errmsg err;

    if (!r->sweeping || !atomic_load_explicit(&r->status_answered, memory_order_acquire))
        return;
    atomic_store_explicit(&r->status_answered, false, memory_order_relaxed);
    r->sweeping = r->status_result == 0 && s->ready &&
                  rest_sweep(r->now.rest, sink_waits, s, &after) && after != NULL;
    if (r->sweeping && sections_begin(r, after, &err) != 0) {
        log_error("reload: %s", err.text);
        r->sweeping = false;
    }
    status_free(s);
}

/* ---- turns ---- */

void reload_control(struct reload *r, struct shard_request *req)
{
    req->next = NULL;
    *r->last = req;
    r->last = &req->next;
}

void reload_ask(struct reload *r)
{
    r->asked = true;
}

bool reload_busy(const struct reload *r)
{
    return r->asked || r->next.config != NULL;
}

void reload_turn(struct reload *r)
{
    if (r->lost)
        return;
    if (r->next.config != NULL) {
        if (!atomic_load_explicit(&r->answered, memory_order_acquire))
            return;
        atomic_store_explicit(&r->answered, false, memory_order_relaxed);
        version_end(r);
        return;
    }
    sweep_end(r);
    if (r->next.config != NULL || r->sweeping)
        return;
    if (r->asked) {
        r->asked = false;
        asked_begin(r);
    } else if (r->first != NULL) {
        change_begin(r);
    } else {
        sweep_begin(r);
    }
}
