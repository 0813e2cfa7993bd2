/*
 * http_wire: headers and answers.
 *
 * Owns:   nothing.
 * Thread: HTTP.
 */
#include "control/http_wire.h"

#include <time.h>

#include "control/http_static.h"

struct header_list {
    struct request_header at[REQUEST_HEADERS_MAX];
    uint32_t count;
};

const char *http_wire_header(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

const char *http_wire_argument(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, name);
}

static bool headers_add(struct MHD_Response *response, const struct http_reply *reply,
                        const char *id)
{
    bool ok = MHD_add_response_header(response, "Cache-Control", "no-store") == MHD_YES &&
              MHD_add_response_header(response, "X-Content-Type-Options", "nosniff") == MHD_YES;

    if (ok && reply->content_type != NULL)
        ok = MHD_add_response_header(response, "Content-Type", reply->content_type) == MHD_YES;
    if (ok && reply->allow[0] != '\0')
        ok = MHD_add_response_header(response, "Allow", reply->allow) == MHD_YES;
    if (ok && reply->retry_after)
        ok = MHD_add_response_header(response, "Retry-After", "1") == MHD_YES;
    if (ok && reply->authenticate)
        ok = MHD_add_response_header(response, "WWW-Authenticate", "Bearer") == MHD_YES;
    if (ok && reply->firehose)
        ok = MHD_add_response_header(response, "x-amzn-RequestId", id) == MHD_YES;
    return ok;
}

enum MHD_Result http_wire_send(struct MHD_Connection *connection, struct http_reply *reply,
                               const char *id)
{
    struct MHD_Response *response;
    enum MHD_Result res = MHD_NO;

    if (reply->page != NULL)
        return http_static_send(connection, reply->page);
    response = MHD_create_response_from_buffer(reply->body_len, reply->body, MHD_RESPMEM_MUST_FREE);
    if (response == NULL)
        return MHD_NO;
    reply->body = NULL; /* the response's now */
    if (headers_add(response, reply, id))
        res = MHD_queue_response(connection, reply->status, response);
    MHD_destroy_response(response);
    return res;
}

static enum MHD_Result on_header(void *cls, enum MHD_ValueKind kind, const char *name,
                                 const char *value)
{
    struct header_list *list = cls;

    (void)kind;
    if (list->count < REQUEST_HEADERS_MAX)
        list->at[list->count] = (struct request_header){ name, value != NULL ? value : "" };
    list->count++;
    return MHD_YES;
}

enum http_sign_result http_wire_signed(struct MHD_Connection *connection, const struct bytes *body,
                                       const char *access_key, const char *secret_key,
                                       struct errmsg *err)
{
    struct header_list list = { .count = 0 };
    struct http_signed request = { .method = "POST", .path = "/", .headers = list.at,
                                   .body = body->data, .body_len = body->len };

    (void)MHD_get_connection_values(connection, MHD_HEADER_KIND, on_header, &list);
    request.headers_count = list.count;
    if (MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, NULL, NULL) > 0)
        errmsg_set(err, 0, "no query is taken, nor a signature in it");
    else if (list.count > REQUEST_HEADERS_MAX)
        errmsg_set(err, 0, "more than %d headers", REQUEST_HEADERS_MAX);
    else
        return http_sign_check(&request, access_key, secret_key, (uint64_t)time(NULL), err);
    return HTTP_SIGN_WRONG;
}
