/*
 * http_change: what requests that configure something have in common: values of JSON as those of a
 * configuration, what is answered to a change that failed, and how a stream is deleted.
 *
 * Deleting a stream: all that was taken for it is sealed under its settings, and durable; then its
 * settings go; then it is waited for until everything is delivered, for a while. What a sink has
 * not taken then, it takes later.
 *
 * Owns:   nothing.
 * Thread: HTTP.
 */
#ifndef CONTROL_HTTP_CHANGE_H
#define CONTROL_HTTP_CHANGE_H

#include <jansson.h>

#include "base/bytes.h"
#include "control/http_call.h"
#include "control/option.h"

/*
 * As it would stand in a configuration, into an empty `out`: texts as they are, numbers of bytes
 * and seconds with their unit, true and false, lists. o: its row, NULL: unknown. 0, -ENOMEM,
 * -EINVAL: it is an object, or a list of others than texts.
 */
int http_change_value(const struct option *o, const json_t *value, struct bytes *out);

/* rest_file_set() with a text that is made. 0, -ENOMEM, -EINVAL. */
int http_change_set(struct config_section *s, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Posts the change next; NULL: there was no memory. False: reply is set. */
bool http_change_ask(struct http_call *call, struct rest_change *change,
                     struct http_reply *reply);

/* A CONTROL that has failed. */
void http_change_failed(const struct http_call *call, const struct http_answered *a,
                        struct http_reply *reply);

/* maker: of the stream. False: reply is set. */
bool http_delete_begin(struct http_call *call, struct http_reply *reply);

/* True: it is over, and has gone well if reply is not set; false: call asks for more. */
bool http_delete_next(struct http_call *call, const struct http_answered *a,
                      struct http_reply *reply);

#endif
