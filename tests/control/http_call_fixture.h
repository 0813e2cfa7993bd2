/*
 * http_call_fixture: a call to an endpoint of the REST interface, with the configuration it sees
 * and its reply.
 *
 * Owns:   the configuration, the change and the reply, from call_begin() to call_end().
 */
#ifndef TESTS_CONTROL_HTTP_CALL_FIXTURE_H
#define TESTS_CONTROL_HTTP_CALL_FIXTURE_H

#include "control/config_text.h"
#include "control/http_call.h"

static struct config *config;
static struct http_config look;
static struct http_reply reply;
static struct http_call call;

/* With that in the user's file, and made by REST. */
static inline int call_begin(const char *text, const char *rest_text)
{
    config = config_of(text, rest_text);
    look = (struct http_config){config_look, config};
    call = (struct http_call){.kind = REQUEST_KIND_COUNT};
    return 0;
}

static inline int call_end(void **state)
{
    (void)state;
    rest_change_free(call.change);
    http_reply_free(&reply);
    config_free(config);
    return 0;
}

#endif
