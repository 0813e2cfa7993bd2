/*
 * http: outgoing HTTP by libcurl's easy interface.
 *
 * Owns:   see the header.
 * Thread: one at a time for each client.
 */
#include "sink/http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sink/http_curl.h"

#define ANSWER_BYTES_MAX_DEFAULT ((size_t)64 << 20)

struct http_client {
    CURL *curl;                         /* owned */
    char error_text[CURL_ERROR_SIZE];
};

/* Where an answer's body goes. */
struct receiver {
    struct bytes *body;
    size_t bytes_max;
    bool head_whole;
    int result;
};

int http_client_open(struct http_client **ret_client, struct errmsg *err)
{
    struct http_client *client;
    int r = http_curl_start(err);

    if (r)
        return r;
    client = calloc(1, sizeof(*client));
    if (client == NULL)
        return errmsg_set(err, -ENOMEM, "out of memory");
    client->curl = curl_easy_init();
    if (client->curl == NULL) {
        free(client);
        return errmsg_set(err, -ENOMEM, "out of memory");
    }
    *ret_client = client;
    return 0;
}

void http_client_close(struct http_client *client)
{
    if (client == NULL)
        return;
    curl_easy_cleanup(client->curl);
    free(client);
}

static size_t on_body(char *data, size_t size, size_t count, void *ctx)
{
    struct receiver *to = (struct receiver *)ctx;
    size_t len = size * count;

    if (len > to->bytes_max - to->body->len)
        to->result = -EMSGSIZE;
    else
        to->result = bytes_append(to->body, data, len);
    return to->result == 0 ? len : 0; /* less than len: the transfer ends */
}

static size_t on_head(char *data, size_t size, size_t count, void *ctx)
{
    http_curl_head_line(data, size * count, &((struct receiver *)ctx)->head_whole);
    return size * count;
}

static int on_progress(void *ctx, curl_off_t down_all, curl_off_t down, curl_off_t up_all,
                       curl_off_t up)
{
    const struct http_ask *ask = (const struct http_ask *)ctx;

    (void)down_all, (void)down, (void)up_all, (void)up;
    return !ask->go_on(ask->ctx);
}

static int token_add(struct curl_slist **list, const char *token)
{
    struct bytes value = BYTES_INIT;
    const char *text;
    int r = bytes_printf(&value, "Bearer %s", token);

    text = r == 0 ? bytes_cstr(&value) : NULL;
    r = text ? http_curl_header(list, "Authorization", text) : -ENOMEM;
    bytes_free(&value);
    return r;
}

static int headers_make(const struct http_ask *ask, struct curl_slist **ret_list)
{
    int r = 0;

    /* An empty "Expect:" saves the round trip that the library would make for larger bodies. */
    *ret_list = curl_slist_append(NULL, "Expect:");
    if (*ret_list == NULL)
        return -ENOMEM;
    if (ask->token != NULL && ask->token[0] != '\0')
        r = token_add(ret_list, ask->token);
    if (r == 0 && ask->content_type != NULL) {
        r = http_curl_header(ret_list, "Content-Type", ask->content_type);
    } else if (r == 0) {
        /* "Content-Type:" without a value keeps the library from inventing one. */
        struct curl_slist *longer = curl_slist_append(*ret_list, "Content-Type:");

        r = longer != NULL ? 0 : -ENOMEM;
    }
    if (r == 0 && ask->content_encoding != NULL)
        r = http_curl_header(ret_list, "Content-Encoding", ask->content_encoding);
    if (r != 0) {
        curl_slist_free_all(*ret_list);
        *ret_list = NULL;
    }
    return r;
}

/* Everything but the headers; the first option that is refused ends it. */
static CURLcode options_set(struct http_client *client, const struct http_ask *ask,
                            struct receiver *to)
{
    CURL *curl = client->curl;
    CURLcode code = CURLE_OK;

#define SET(option, value)                               \
    do {                                                 \
        if (code == CURLE_OK)                            \
            code = curl_easy_setopt(curl, option, value); \
    } while (0)

    SET(CURLOPT_ERRORBUFFER, client->error_text);
    SET(CURLOPT_URL, ask->url);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_UNIX_SOCKET_PATH, ask->unix_path);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)ask->connect_timeout_ms);
    SET(CURLOPT_TIMEOUT_MS, (long)ask->timeout_ms);
    SET(CURLOPT_HEADERFUNCTION, on_head);
    SET(CURLOPT_HEADERDATA, to);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, to);
    SET(CURLOPT_FRESH_CONNECT, ask->single ? 1L : 0L);
    SET(CURLOPT_FORBID_REUSE, ask->single ? 1L : 0L);
    SET(CURLOPT_NOPROGRESS, ask->go_on == NULL ? 1L : 0L);
    SET(CURLOPT_XFERINFOFUNCTION, on_progress);
    SET(CURLOPT_XFERINFODATA, ask);
    if (ask->direct)
        SET(CURLOPT_NOPROXY, "*");
    if (strcmp(ask->method, "HEAD") == 0)
        SET(CURLOPT_NOBODY, 1L);
    if (ask->body != NULL || strcmp(ask->method, "POST") == 0) {
        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDS, ask->body != NULL ? ask->body : (const void *)"");
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(ask->body != NULL ? ask->body_len : 0));
    }
    SET(CURLOPT_CUSTOMREQUEST, ask->method);
#undef SET
    return code;
}

int http_client_do(struct http_client *client, const struct http_ask *ask,
                   struct http_answer *ret_answer, struct errmsg *err)
{
    struct receiver to = { .body = &ret_answer->body,
                           .bytes_max = ask->answer_bytes_max != 0 ? ask->answer_bytes_max
                                                                   : ANSWER_BYTES_MAX_DEFAULT };
    struct curl_slist *headers;
    CURLcode code;
    long status = 0;
    int res;

    memset(ret_answer, 0, sizeof(*ret_answer));
    res = headers_make(ask, &headers);
    if (res != 0)
        return errmsg_set_errno(err, res, "cannot make the headers");
    curl_easy_reset(client->curl); /* options go, the connection stays */
    client->error_text[0] = '\0';
    code = options_set(client, ask, &to);
    if (code == CURLE_OK)
        code = curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, headers);
    if (code == CURLE_OK)
        code = curl_easy_perform(client->curl);
    if (code == CURLE_OK)
        code = curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    if (code == CURLE_OK && to.head_whole) {
        ret_answer->status = (unsigned)status;
        return 0;
    }

    http_answer_free(ret_answer);
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return errmsg_set(err, -ECANCELED, "broken off");
    if (to.result == -EMSGSIZE)
        return errmsg_set(err, -EMSGSIZE, "the answer is larger than %zu bytes", to.bytes_max);
    if (to.result != 0)
        return errmsg_set_errno(err, to.result, "cannot keep the answer");
    if (code == CURLE_OK)
        return errmsg_set(err, -ECONNRESET, "the answer's head breaks off");
    return errmsg_set(err, http_curl_errno(code), "%s",
                      client->error_text[0] != '\0' ? client->error_text
                                                    : curl_easy_strerror(code));
}

void http_answer_free(struct http_answer *answer)
{
    bytes_free(&answer->body);
    answer->status = 0;
}
