/*
 * sim_cloud: buckets, and the way from requests to their models and back.
 * Owns:   see the header.
 * Thread: one.
 */
#include "support/sim_cloud.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "support/sim.h"
#include "support/sim_http.h"

enum { BUCKETS_MAX = 8, BUCKET_MAX = 64, PATH_MAX_BYTES = S3_MODEL_KEY_MAX + 100 };

struct bucket {
    char name[BUCKET_MAX];
    struct s3_model *model;         /* owned */
};

static struct {
    struct bucket buckets[BUCKETS_MAX];
    unsigned buckets_count;
    uint64_t seed, utc_offset_ns;
    enum sim_cloud_state state;
    bool conditional, denied;
    uint32_t one_in;
    sim_cloud_stored_fn stored;
    void *stored_ctx;
} cloud;

static struct bucket *bucket_of(const char *name, size_t len)
{
    struct bucket *b = cloud.buckets;

    INVARIANT(len > 0 && len < BUCKET_MAX);
    for (; b < cloud.buckets + cloud.buckets_count; b++)
        if (strlen(b->name) == len && memcmp(b->name, name, len) == 0)
            return b;
    INVARIANT(cloud.buckets_count < BUCKETS_MAX);
    memcpy(b->name, name, len);
    b->name[len] = '\0';
    b->model = s3_model_open(cloud.seed + cloud.buckets_count++);
    s3_model_set_part_bytes_min(b->model, 1);
    s3_model_set_conditional(b->model, cloud.conditional);
    s3_model_set_faults(b->model, cloud.one_in);
    return b;
}

/* Of a path below SIM_CLOUD, and the key in it. */
static struct bucket *bucket_in(const char *path, const char **ret_key)
{
    const char *name = path + strlen(SIM_CLOUD "/"), *key = strchr(name, '/');

    INVARIANT(key);
    *ret_key = key + 1;
    return bucket_of(name, (size_t)(key - name));
}

static void path_make(const struct bucket *b, const char *key, char path[PATH_MAX_BYTES])
{
    int len = snprintf(path, PATH_MAX_BYTES, SIM_CLOUD "/%s/%s", b->name, key);

    INVARIANT(len > 0 && len < PATH_MAX_BYTES);
}

static void object_write(const struct bucket *b, const char *key, bool again)
{
    const struct bytes *data = s3_model_find(b->model, key);
    char path[PATH_MAX_BYTES], *end;

    path_make(b, key, path);
    end = strrchr(path, '/');
    *end = '\0';
    INVARIANT(sim_mkdir(path) == 0);
    *end = '/';
    INVARIANT(sim_write_file(path, data->data, data->len) == 0);
    if (cloud.stored)
        cloud.stored(cloud.stored_ctx, path, data->data, data->len, again);
}

/* True: instead of an answer of the model's. */
static bool out_of_order(struct sim_answer *answer)
{
    static const char *const bodies[SIM_CLOUD_STATE_COUNT] = {
        [SIM_CLOUD_BUSY] = "<Error><Code>SlowDown</Code><Message>m</Message></Error>",
        [SIM_CLOUD_DENIED] = "<Error><Code>AccessDenied</Code><Message>m</Message></Error>",
    };

    answer->lost = cloud.state == SIM_CLOUD_AWAY;
    cloud.denied |= cloud.state == SIM_CLOUD_DENIED;
    answer->status = cloud.state == SIM_CLOUD_BUSY ? 503 : 403;
    if (bodies[cloud.state])
        (void)bytes_append(&answer->body, bodies[cloud.state], strlen(bodies[cloud.state]));
    return cloud.state != SIM_CLOUD_UP;
}

static void answer_copy(const struct s3_model_answer *from, struct sim_answer *to)
{
    to->status = from->reply.status;
    for (uint32_t i = 0; i < from->reply.headers_count; i++)
        (void)bytes_printf(&to->head, "%s: %s\r\n", from->headers[i].name,
                           from->headers[i].value);
    (void)bytes_append(&to->body, from->body.data, from->body.len);
}

static void serve(void *ctx, const struct sim_request *request, struct sim_answer *answer)
{
    const char *name = request->url + strlen(SIM_CLOUD_ENDPOINT "/");
    struct bucket *b = bucket_of(name, strcspn(name, "/?"));
    uint64_t utc_s = (sim_now_ns() + cloud.utc_offset_ns) / 1000000000ULL;
    struct s3_model_answer said = {.text_len = 0};
    char key[S3_MODEL_KEY_MAX], path[PATH_MAX_BYTES];
    static struct request asked;
    uint32_t before;

    (void)ctx;
    INVARIANT(strncmp(request->url, SIM_CLOUD_ENDPOINT "/", strlen(SIM_CLOUD_ENDPOINT "/")) == 0);
    if (out_of_order(answer))
        return;
    asked.method = request->method;
    asked.url = request->url;
    asked.headers_count = request->headers_count;
    INVARIANT(request->headers_count <= REQUEST_HEADERS_MAX);
    for (uint32_t i = 0; i < request->headers_count; i++)
        asked.headers[i] = (struct request_header){request->headers[i].name,
                                                   request->headers[i].value};
    s3_model_key(&asked, key);
    path_make(b, key, path);
    if (s3_model_find(b->model, key) && !sim_exists(path))
        s3_model_delete(b->model, key);
    before = s3_model_writes(b->model, key);
    answer->lost = !s3_model_ask(b->model, &asked, request->body, request->body_len, utc_s, &said);
    if (!answer->lost)
        answer_copy(&said, answer);
    bytes_free(&said.body);
    if (s3_model_writes(b->model, key) != before)
        object_write(b, key, before > 0);
}

/* ---- From outside ---- */

static void network_set(void)
{
    unsigned permille = cloud.one_in > 0 ? 500 / cloud.one_in : 0;
    struct sim_http_faults faults = {
        .refused = permille, .lost_before = permille, .lost_after = permille,
    };

    if (cloud.state == SIM_CLOUD_AWAY)
        faults.refused = 1000;
    sim_http_set_faults(&faults);
}

void sim_cloud_open(uint64_t seed)
{
    memset(&cloud, 0, sizeof(cloud));
    cloud.seed = seed;
    cloud.conditional = true;
    cloud.utc_offset_ns = sim_real_ns() - sim_now_ns();
    sim_mount(SIM_CLOUD, false, 1ULL << 40);
    sim_http_reset(serve, NULL);
}

void sim_cloud_close(void)
{
    sim_http_reset(NULL, NULL);
    for (unsigned i = 0; i < cloud.buckets_count; i++)
        s3_model_close(cloud.buckets[i].model);
    memset(&cloud, 0, sizeof(cloud));
}

void sim_cloud_on_stored(sim_cloud_stored_fn fn, void *ctx)
{
    cloud.stored = fn;
    cloud.stored_ctx = ctx;
}

void sim_cloud_set_state(enum sim_cloud_state state)
{
    cloud.state = state;
    network_set();
}

void sim_cloud_set_conditional(bool conditional)
{
    cloud.conditional = conditional;
    for (unsigned i = 0; i < cloud.buckets_count; i++)
        s3_model_set_conditional(cloud.buckets[i].model, conditional);
}

void sim_cloud_set_faults(uint32_t one_in)
{
    cloud.one_in = one_in;
    for (unsigned i = 0; i < cloud.buckets_count; i++)
        s3_model_set_faults(cloud.buckets[i].model, one_in);
    network_set();
}

void sim_cloud_fail(const char *bucket, enum s3_model_op op, enum s3_model_fault fault)
{
    s3_model_fail(bucket_of(bucket, strlen(bucket))->model, op, fault, false);
}

uint32_t sim_cloud_writes(const char *path)
{
    const char *key;
    struct bucket *b = bucket_in(path, &key);

    return s3_model_writes(b->model, key);
}

bool sim_cloud_upload(unsigned i, char *ret_path, size_t cap)
{
    for (unsigned k = 0; k < cloud.buckets_count; k++) {
        const struct bucket *b = &cloud.buckets[k];
        uint32_t at = 0;
        const char *key;

        for (; (key = s3_model_upload_key(b->model, at)) != NULL; at++, i--)
            if (i == 0) {
                snprintf(ret_path, cap, SIM_CLOUD "/%s/%s", b->name, key);
                return true;
            }
    }
    return false;
}

bool sim_cloud_denied(void)
{
    return cloud.denied;
}
