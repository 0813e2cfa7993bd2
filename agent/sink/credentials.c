/*
 * credentials: fetching and renewing keys, request by request.
 * Owns:   see the header.
 * Thread: see the header.
 */
#include "sink/credentials.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>

#include "base/invariant.h"
#include "sink/secret.h"

/* The request that is out, or is the next to go. */
enum step {
    STEP_IDLE,
    STEP_STS,
    STEP_CONTAINER,
    STEP_TOKEN,                 /* of the instance metadata: the other three need it */
    STEP_ROLE,
    STEP_KEYS,
    STEP_REGION
};

struct credentials {
    struct credentials_chain chain;
    struct credentials_set keys;        /* access_key "": none yet */
    struct credentials_set fetched;     /* while it is judged */
    char region[CREDENTIALS_NAME_BYTES];
    char token[CREDENTIALS_TOKEN_BYTES];    /* of the instance metadata */
    bool region_wanted;
    enum credentials_source source, asked;  /* of the keys; of those that are being fetched */
    bool refused;                       /* the keys */
    bool tried;                         /* renewing them has failed */
    bool for_keys;                      /* the attempt has still to bring some */
    bool unchanged;                     /* it brought those that were refused */
    uint32_t generation;
    uint64_t renew_ns, insist_ns;
    enum step step;
    bool out;                           /* the request is with the caller */
    struct retry retry;
    struct retry_job job;
    struct errmsg error;                /* of the last attempt */
    struct credentials_ask ask;
};

int credentials_open(const struct credentials_config *config, uint64_t now_ns,
                     struct credentials **ret_credentials, struct errmsg *err)
{
    static const struct retry_limits limits = { .backoff_max_ns = 60 * RETRY_SECOND_NS,
                                                .in_flight_max = 1 };
    struct credentials *c = secret_map(sizeof(*c));
    int res;

    if (c == NULL)
        return errmsg_set(err, -ENOMEM, "out of memory");
    res = credentials_chain_init(&c->chain, config, err);
    if (res != 0) {
        credentials_close(c);
        return res;
    }
    c->region_wanted = config->region_wanted;
    c->source = CREDENTIALS_SOURCE_COUNT;
    retry_init(&c->retry, &limits, now_ns);
    *ret_credentials = c;
    return 0;
}

void credentials_close(struct credentials *c)
{
    if (c == NULL)
        return;
    credentials_chain_fini(&c->chain);
    secret_unmap(c, sizeof(*c));
}

static bool keys_needed(const struct credentials *c, uint64_t now_ns)
{
    return c->keys.access_key[0] == '\0' || c->refused || now_ns >= c->renew_ns;
}

static bool region_needed(const struct credentials *c)
{
    return c->region_wanted && c->region[0] == '\0';
}

/* --- the end of an attempt ------------------------------------------------------------------ */

static void attempt_end(struct credentials *c, const struct credentials_turn *turn,
                        const struct retry_reply *reply)
{
    credentials_ask_clear(&c->ask);
    credentials_chain_forget(&c->chain);
    OPENSSL_cleanse(c->token, sizeof(c->token));
    OPENSSL_cleanse(&c->fetched, sizeof(c->fetched));
    c->step = STEP_IDLE;
    retry_done(&c->retry, &c->job, reply, turn->now_ns, turn->random);
}

/* c->error says why. */
static void attempt_failed(struct credentials *c, const struct credentials_turn *turn)
{
    struct retry_reply reply = { .class = RETRY_AGAIN, .text = c->error.text };

    if (c->for_keys)
        c->tried = true;
    attempt_end(c, turn, &reply);
}

static void attempt_done(struct credentials *c, const struct credentials_turn *turn)
{
    struct retry_reply reply = { .class = RETRY_OK };

    c->error.text[0] = '\0';
    if (c->unchanged) {     /* they are given out again, but not looked for without a pause */
        (void)errmsg_set(&c->error, 0, "the service refuses the keys (%s), and there are no others "
                         "yet", credentials_source_name(c->source));
        reply = (struct retry_reply){ .class = RETRY_AGAIN, .text = c->error.text };
    }
    attempt_end(c, turn, &reply);
}

/* The fetched set is what is given out from here on. */
static void adopt(struct credentials *c, const struct credentials_turn *turn)
{
    uint64_t expires_utc_ns = c->fetched.expires_utc_ns, left_ns;

    c->unchanged = c->refused && strcmp(c->keys.access_key, c->fetched.access_key) == 0 &&
                   strcmp(c->keys.secret_key, c->fetched.secret_key) == 0 &&
                   strcmp(c->keys.session_token, c->fetched.session_token) == 0;
    c->keys = c->fetched;
    c->source = c->asked;
    c->refused = c->tried = c->for_keys = false;
    c->generation++;
    c->renew_ns = c->insist_ns = UINT64_MAX;
    if (expires_utc_ns == 0)
        return;
    left_ns = expires_utc_ns > turn->utc_ns ? expires_utc_ns - turn->utc_ns : 0;
    c->renew_ns = turn->now_ns + (left_ns > CREDENTIALS_RENEW_NS + CREDENTIALS_PAUSE_NS
                                      ? left_ns - CREDENTIALS_RENEW_NS : CREDENTIALS_PAUSE_NS);
    c->insist_ns = turn->now_ns + (left_ns > CREDENTIALS_INSIST_NS
                                       ? left_ns - CREDENTIALS_INSIST_NS : 0);
    if (c->insist_ns < c->renew_ns)
        c->insist_ns = c->renew_ns;
}

/* --- asking --------------------------------------------------------------------------------- */

/* Readies a request to the instance metadata. */
static int metadata_ask(struct credentials *c, enum step step, const char *path, const char *name)
{
    const char *endpoint;
    int res = credentials_chain_metadata(&c->chain, &endpoint, &c->error);

    if (res == -ENOENT)
        return errmsg_set(&c->error, res, "AWS_EC2_METADATA_DISABLED is true");
    c->step = step;
    if (res == 0)
        res = credentials_ask_metadata(&c->ask, endpoint, path, name,
                                       step == STEP_TOKEN ? NULL : c->token, &c->error);
    return res;
}

/* The keys are there; the region, where it is wanted, may not be. */
static void region_fetch(struct credentials *c, const struct credentials_turn *turn)
{
    struct errmsg none;
    int res = 0;

    if (c->region[0] == '\0')
        res = credentials_chain_region(&c->chain, c->region, &none);
    if (res == 0 || !c->region_wanted) {
        attempt_done(c, turn);
        return;
    }
    if (res == -ENOENT) {
        res = metadata_ask(c, c->token[0] == '\0' ? STEP_TOKEN : STEP_REGION,
                           c->token[0] == '\0' ? "/latest/api/token"
                                               : "/latest/meta-data/placement/region", "");
        if (res == 0)
            return;
        errmsg_prefix(&c->error, "%s; instance metadata: ", none.text);
    } else {
        c->error = none;
    }
    attempt_failed(c, turn);
}

static void keys_fetch(struct credentials *c, const struct credentials_turn *turn)
{
    int res = credentials_chain_find(&c->chain, turn->utc_ns, &c->asked, &c->fetched, &c->ask,
                                     &c->error);

    if (res != 0) {
        attempt_failed(c, turn);
    } else if (c->asked == CREDENTIALS_WEB_IDENTITY) {
        c->step = STEP_STS;
    } else if (c->asked == CREDENTIALS_CONTAINER) {
        c->step = STEP_CONTAINER;
    } else if (c->asked == CREDENTIALS_METADATA) {
        c->step = STEP_TOKEN;
    } else {
        adopt(c, turn);
        region_fetch(c, turn);
    }
}

const struct credentials_ask *credentials_step(struct credentials *c,
                                               const struct credentials_turn *turn)
{
    bool keys = keys_needed(c, turn->now_ns);

    if (c->out)
        return NULL;
    if (c->step == STEP_IDLE) {
        if ((!keys && !region_needed(c)) || !retry_begin(&c->retry, &c->job, turn->now_ns))
            return NULL;
        c->for_keys = keys;
        c->unchanged = false;
        if (keys)
            keys_fetch(c, turn);
        else
            region_fetch(c, turn);
    }
    c->out = c->step != STEP_IDLE;
    return c->out ? &c->ask : NULL;
}

uint64_t credentials_next_ns(const struct credentials *c)
{
    uint64_t retry_ns = retry_next_ns(&c->retry, &c->job);

    if (c->step != STEP_IDLE)
        return c->out ? RETRY_NEVER_NS : 0;
    if (keys_needed(c, 0) || region_needed(c) || c->renew_ns < retry_ns)
        return retry_ns;
    return c->renew_ns;
}

/* --- replies -------------------------------------------------------------------------------- */

static int status_failed(struct credentials *c, const struct reply *reply)
{
    char code[65] = "";

    if (c->step == STEP_STS)
        credentials_parse_sts_code(reply->body, reply->body_len, code);
    if (c->step == STEP_ROLE && reply->status == 404)
        return errmsg_set(&c->error, -EPROTO, "no role is attached to this instance");
    return errmsg_set(&c->error, -EPROTO, "answered %u%s%s%s", reply->status,
                      code[0] != '\0' ? " " : "", code,
                      c->step == STEP_TOKEN ? " when asked for a token" : "");
}

/* The reply of the step; what comes next is readied or done. -errno: c->error says why. */
static int take(struct credentials *c, const struct credentials_turn *turn,
                const struct reply *reply)
{
    char role[CREDENTIALS_NAME_BYTES];
    int res = 0;

    if (reply->status != 200)
        return status_failed(c, reply);
    switch (c->step) {
    case STEP_STS:
        res = credentials_parse_sts(reply->body, reply->body_len, &c->fetched, &c->error);
        break;
    case STEP_CONTAINER:
    case STEP_KEYS:
        res = credentials_parse_json(reply->body, reply->body_len, &c->fetched, &c->error);
        break;
    case STEP_TOKEN:
        res = credentials_parse_token(reply->body, reply->body_len, c->token, sizeof(c->token));
        if (res != 0)
            return errmsg_set(&c->error, res, "the token is none");
        if (c->for_keys)
            return metadata_ask(c, STEP_ROLE, "/latest/meta-data/iam/security-credentials/", "");
        break;
    case STEP_ROLE:
        res = credentials_parse_role(reply->body, reply->body_len, role);
        if (res != 0)
            return errmsg_set(&c->error, res, "the name of the role is none");
        return metadata_ask(c, STEP_KEYS, "/latest/meta-data/iam/security-credentials/", role);
    default:
        INVARIANT(c->step == STEP_REGION);
        res = credentials_parse_region(reply->body, reply->body_len, c->region);
        if (res != 0)
            return errmsg_set(&c->error, res, "the name of the region is none");
        break;
    }
    if (res != 0)
        return res;
    if (c->step != STEP_TOKEN && c->step != STEP_REGION)
        adopt(c, turn);
    region_fetch(c, turn);
    return 0;
}

/* c->error says why there is no good answer from whoever was asked. */
static void take_failed(struct credentials *c, const struct credentials_turn *turn)
{
    if (c->step == STEP_STS || c->step == STEP_CONTAINER)
        errmsg_prefix(&c->error, "%s: ", c->step == STEP_STS ? "web identity: STS" : "container");
    else if (c->for_keys)
        credentials_chain_explain(&c->chain, &c->error);
    else
        errmsg_prefix(&c->error, "no region: set region or AWS_REGION; instance metadata: ");
    attempt_failed(c, turn);
}

void credentials_reply(struct credentials *c, const struct credentials_turn *turn,
                       const struct reply *reply)
{
    INVARIANT(c->out);
    c->out = false;
    if (take(c, turn, reply) != 0)
        take_failed(c, turn);
}

void credentials_no_reply(struct credentials *c, const struct credentials_turn *turn,
                          const char *why)
{
    INVARIANT(c->out);
    c->out = false;
    (void)errmsg_set(&c->error, 0, "%s", why);
    take_failed(c, turn);
}

/* --- what is asked of it -------------------------------------------------------------------- */

int credentials_get(const struct credentials *c, uint64_t now_ns,
                    struct credentials_keys *ret_keys, struct errmsg *err)
{
    if (c->keys.access_key[0] == '\0' || c->refused || region_needed(c)) {
        if (c->error.text[0] != '\0')
            return errmsg_set(err, -EAGAIN, "%s", c->error.text);
        return errmsg_set(err, -EAGAIN, "the credentials are being fetched");
    }
    if (now_ns >= c->insist_ns && !c->tried)
        return errmsg_set(err, -EAGAIN, "the credentials are being renewed");
    *ret_keys = (struct credentials_keys){
        .sign = { .access_key = c->keys.access_key, .secret_key = c->keys.secret_key,
                  .session_token = c->keys.session_token },
        .region = c->region,
        .generation = c->generation,
    };
    return 0;
}

void credentials_refused(struct credentials *c, uint32_t generation)
{
    if (generation == c->generation)
        c->refused = true;
}

void credentials_look(const struct credentials *c, uint64_t now_ns,
                      struct credentials_status *ret_status)
{
    struct credentials_keys keys;

    *ret_status = (struct credentials_status){
        .source = credentials_source_name(c->source),
        .region = c->region,
        .expires_utc_ns = c->keys.expires_utc_ns,
        .usable = credentials_get(c, now_ns, &keys, NULL) == 0,
        .error = c->error.text,
    };
    retry_look(&c->retry, now_ns, &ret_status->retry);
}
