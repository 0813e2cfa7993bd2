/*
 * credentials_tool: looks for credentials in the environment that it is started with, for tests.
 *
 *     credentials_tool [PROFILE]
 *
 * Each request that is wanted is a line of JSON on standard output: {"method", "url", "headers",
 * "body"}. A line {"status", "body"} on standard input is the reply, an empty object none. The last
 * line is {"source", "access_key", "secret_key", "session_token", "region"} or {"error"}.
 *
 * Owns:   nothing.
 * Thread: main.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sink/credentials.h"

static int print(json_t *object)
{
    int res = object != NULL ? json_dumpf(object, stdout, JSON_COMPACT) : -1;

    json_decref(object);
    return res != 0 || putchar('\n') == EOF || fflush(stdout) != 0 ? 1 : 0;
}

static int print_ask(const struct credentials_ask *ask)
{
    json_t *headers = json_object();

    for (uint32_t i = 0; i < ask->request.headers_count; i++)
        if (json_object_set_new(headers, ask->request.headers[i].name,
                                json_string(ask->request.headers[i].value)) != 0)
            return 1;
    return print(json_pack("{s:s, s:s, s:o, s:s%}", "method", ask->request.method, "url",
                           ask->request.url, "headers", headers, "body", ask->body, ask->body_len));
}

/* One line of standard input as the reply. */
static int take_reply(struct credentials *c, const struct credentials_turn *turn)
{
    static char line[1 << 20];
    const char *body = NULL;
    json_t *object;
    int status = 0;

    if (fgets(line, sizeof(line), stdin) == NULL)
        return 1;
    object = json_loads(line, 0, NULL);
    if (json_unpack(object, "{s?i, s?s}", "status", &status, "body", &body) != 0)
        return 1;
    if (body != NULL) {
        struct reply reply = { .status = (unsigned)status, .body = body, .body_len = strlen(body) };

        credentials_reply(c, turn, &reply);
    } else {
        credentials_no_reply(c, turn, "no reply");
    }
    json_decref(object);
    return 0;
}

static int print_end(const struct credentials *c, uint64_t now_ns)
{
    struct credentials_status status;
    struct credentials_keys keys;
    struct errmsg err;

    if (credentials_get(c, now_ns, &keys, &err) != 0)
        return print(json_pack("{s:s}", "error", err.text));
    credentials_look(c, now_ns, &status);
    return print(json_pack("{s:s, s:s, s:s, s:s, s:s}", "source", status.source, "access_key",
                           keys.sign.access_key, "secret_key", keys.sign.secret_key,
                           "session_token", keys.sign.session_token, "region", keys.region));
}

int main(int argc, char **argv)
{
    struct credentials_config config = { .profile = argc > 1 ? argv[1] : NULL };
    struct credentials_turn turn = { .now_ns = 1 };
    const struct credentials_ask *ask;
    struct credentials *c;
    struct timespec now;
    struct errmsg err;
    int res = 0;

    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return 1;
    turn.utc_ns = (uint64_t)now.tv_sec * RETRY_SECOND_NS;
    turn.random = UINT64_MAX;   /* the longest pause: a failed attempt is the only one */
    if (credentials_open(&config, turn.now_ns, &c, &err) != 0)
        return print(json_pack("{s:s}", "error", err.text));
    while (res == 0 && (ask = credentials_step(c, &turn)) != NULL) {
        res = print_ask(ask);
        if (res == 0)
            res = take_reply(c, &turn);
    }
    if (res == 0)
        res = print_end(c, turn.now_ns);
    credentials_close(c);
    return res;
}
