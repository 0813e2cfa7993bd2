/*
 * http_pool: requests on libcurl's multi interface.
 *
 * Owns:   see the header; a slot is an easy handle and what belongs to one call, kept for the next.
 * Thread: one.
 */
#include "sink/http_pool.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/crc32c.h"
#include "base/invariant.h"
#include "io/file.h"
#include "sink/http_curl.h"

enum {
    HEAD_BYTES_MAX = 64 * 1024,
    SEND_BYTES = 256 * 1024,        /* that are read and handed over at once: cache keeps them */
    STALL_BYTES_A_SECOND = 1024     /* less counts as nothing */
};

struct http_slot {
    struct http_pool *pool;
    struct http_slot *next;         /* free, or under way */
    struct http_call *call;         /* borrowed; NULL: free */
    CURL *easy;                     /* owned */
    struct curl_slist *headers;     /* owned */
    uint64_t read;                  /* of the body, */
    uint32_t crc32c;                /* and of what was read of its file */
    bool head_whole;
    int own_result;                 /* why a callback has broken it off */
    char error_text[CURL_ERROR_SIZE];
};

struct http_pool {
    CURLM *multi;                   /* owned */
    struct http_slot *free, *busy;
    int running;
};

/* --- callbacks ------------------------------------------------------------------------------ */

/* The next bytes of the body's file. How many, or -errno with the call's text. */
static ssize_t file_next(struct http_slot *slot, char *to, size_t len)
{
    struct http_call *call = slot->call;
    uint64_t at = call->body_at + slot->read, rest = call->body_len - slot->read;
    ssize_t n = file_read(call->body_fd, to, len, at);

    if (n <= 0)
        return errmsg_set(&call->err, -EIO, "what is to be sent cannot be read: %s",
                          n < 0 ? strerror((int)-n) : "its file is shorter");
    slot->crc32c = crc32c(slot->crc32c, to, (size_t)n);
    if ((uint64_t)n == rest && slot->crc32c != call->body_crc32c)
        return errmsg_set(&call->err, -EBADMSG, "what is to be sent has changed");
    return n;
}

static size_t on_read(char *to, size_t size, size_t count, void *ctx)
{
    struct http_slot *slot = ctx;
    const struct http_call *call = slot->call;
    uint64_t rest = call->body_len - slot->read, len = size * count;
    ssize_t n;

    len = len < rest ? len : rest;
    if (len == 0)
        return 0;
    if (call->body) {
        memcpy(to, (const uint8_t *)call->body + slot->read, len);
        n = (ssize_t)len;
    } else {
        n = file_next(slot, to, len);
    }
    if (n < 0) {
        slot->own_result = (int)n;
        return CURL_READFUNC_ABORT;
    }
    slot->read += (uint64_t)n;
    slot->call->sent = slot->read;
    return (size_t)n;
}

/*
 * A connection that was kept turns out to be dead: the body is sent once more, on a new one.
 * Whoever has to know how often it may have arrived is told.
 */
static int on_seek(void *ctx, curl_off_t offset, int origin)
{
    struct http_slot *slot = ctx;

    if (origin != SEEK_SET || offset != 0)
        return CURL_SEEKFUNC_FAIL;
    slot->call->repeats += slot->read > 0;
    slot->read = 0;
    slot->crc32c = 0;
    return CURL_SEEKFUNC_OK;
}

static size_t take(struct http_slot *slot, struct bytes *to, size_t most, const char *data,
                   size_t len)
{
    int r = len > most - to->len ? -EMSGSIZE : bytes_append(to, data, len);

    if (!r)
        return len;
    slot->own_result = r;
    if (r == -EMSGSIZE)
        errmsg_set(&slot->call->err, r, "the answer is larger than %zu bytes", most);
    else
        errmsg_set_errno(&slot->call->err, r, "cannot keep the answer");
    return 0;                       /* fewer than came: the transfer ends */
}

static size_t on_head(char *data, size_t size, size_t count, void *ctx)
{
    struct http_slot *slot = ctx;
    size_t len = size * count;

    http_curl_head_line(data, len, &slot->head_whole);
    if (len >= 5 && memcmp(data, "HTTP/", 5) == 0)
        bytes_clear(&slot->call->head);
    return take(slot, &slot->call->head, HEAD_BYTES_MAX, data, len);
}

static size_t on_body(char *data, size_t size, size_t count, void *ctx)
{
    struct http_slot *slot = ctx;

    return take(slot, &slot->call->answer, slot->call->answer_bytes_max, data, size * count);
}

/* --- calls ---------------------------------------------------------------------------------- */

static int headers_make(struct http_slot *slot, const struct http_call *call)
{
    /* Without a value it is not sent: saves a round trip before larger bodies. */
    slot->headers = curl_slist_append(NULL, "Expect:");
    if (!slot->headers)
        return -ENOMEM;
    for (uint32_t i = 0; i < call->headers_count; i++) {
        int r = http_curl_header(&slot->headers, call->headers[i].name, call->headers[i].value);

        if (r)
            return r;
    }
    return 0;
}

/* The first option that is refused ends it. */
static CURLcode options_set(struct http_slot *slot, const struct http_call *call)
{
    CURL *easy = slot->easy;
    CURLcode code = CURLE_OK;

#define SET(option, value)                                \
    do {                                                  \
        if (code == CURLE_OK)                             \
            code = curl_easy_setopt(easy, option, value); \
    } while (0)

    SET(CURLOPT_PRIVATE, slot);
    SET(CURLOPT_ERRORBUFFER, slot->error_text);
    SET(CURLOPT_URL, call->url);
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_HTTPHEADER, slot->headers);
    SET(CURLOPT_HEADERFUNCTION, on_head);
    SET(CURLOPT_HEADERDATA, slot);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, slot);
    if (call->connect_timeout_ms > 0)
        SET(CURLOPT_CONNECTTIMEOUT_MS, (long)call->connect_timeout_ms);
    if (call->stall_timeout_ms > 0) {
        SET(CURLOPT_LOW_SPEED_LIMIT, (long)STALL_BYTES_A_SECOND);
        SET(CURLOPT_LOW_SPEED_TIME, ((long)call->stall_timeout_ms + 999) / 1000);
    }
    if (call->direct)
        SET(CURLOPT_NOPROXY, "*");
    if (call->ca_file)
        SET(CURLOPT_CAINFO, call->ca_file);
    if (strcmp(call->method, "HEAD") == 0) {
        SET(CURLOPT_NOBODY, 1L);
    } else if (call->body_len > 0 || strcmp(call->method, "PUT") == 0
               || strcmp(call->method, "POST") == 0) {
        SET(CURLOPT_UPLOAD, 1L);
        SET(CURLOPT_UPLOAD_BUFFERSIZE, (long)SEND_BYTES);
        SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)call->body_len);
        SET(CURLOPT_READFUNCTION, on_read);
        SET(CURLOPT_READDATA, slot);
        SET(CURLOPT_SEEKFUNCTION, on_seek);
        SET(CURLOPT_SEEKDATA, slot);
    }
    SET(CURLOPT_CUSTOMREQUEST, call->method);
#undef SET
    return code;
}

static struct http_slot *slot_take(struct http_pool *pool)
{
    struct http_slot *slot = pool->free;

    if (slot) {
        pool->free = slot->next;
    } else {
        slot = calloc(1, sizeof(*slot));
        if (!slot)
            return NULL;
        slot->pool = pool;
        slot->easy = curl_easy_init();
        if (!slot->easy) {
            free(slot);
            return NULL;
        }
    }
    slot->next = pool->busy;
    pool->busy = slot;
    slot->read = 0;
    slot->crc32c = 0;
    slot->head_whole = false;
    slot->own_result = 0;
    slot->error_text[0] = '\0';
    return slot;
}

/* Not in the multi handle any more. */
static void slot_give(struct http_slot *slot)
{
    struct http_pool *pool = slot->pool;
    struct http_slot **at = &pool->busy;

    while (*at != slot)
        at = &(*at)->next;
    *at = slot->next;
    slot->next = pool->free;
    pool->free = slot;
    if (slot->call)
        slot->call->slot = NULL;
    slot->call = NULL;
    curl_easy_reset(slot->easy);
    curl_slist_free_all(slot->headers);
    slot->headers = NULL;
}

int http_call_start(struct http_pool *pool, struct http_call *call)
{
    struct http_slot *slot = slot_take(pool);
    CURLcode code = CURLE_OK;
    int r;

    call->err.text[0] = '\0';
    call->result = 0;
    call->status = 0;
    call->sent = 0;
    call->repeats = 0;
    bytes_clear(&call->head);
    bytes_clear(&call->answer);
    if (!slot)
        return errmsg_set(&call->err, -ENOMEM, "out of memory");
    r = headers_make(slot, call);
    if (!r) {
        code = options_set(slot, call);
        r = code == CURLE_OK ? 0 : http_curl_errno(code);
    }
    if (!r && curl_multi_add_handle(pool->multi, slot->easy) != CURLM_OK)
        r = -ENOMEM;
    if (r) {
        slot_give(slot);
        return errmsg_set(&call->err, r, "%s %s: %s", call->method, call->url,
                          code != CURLE_OK ? curl_easy_strerror(code)
                          : r == -EINVAL ? "a header of several lines" : "out of memory");
    }
    slot->call = call;
    call->slot = slot;
    pool->running++;
    return 0;
}

static void slot_remove(struct http_slot *slot)
{
    (void)curl_multi_remove_handle(slot->pool->multi, slot->easy);
    slot->pool->running--;
    slot_give(slot);
}

void http_call_cancel(struct http_call *call)
{
    if (call->slot)
        slot_remove(call->slot);
}

static void call_end(struct http_slot *slot, CURLcode code)
{
    struct http_call *call = slot->call;
    long status = 0;

    if (code == CURLE_OK)
        code = curl_easy_getinfo(slot->easy, CURLINFO_RESPONSE_CODE, &status);
    call->status = (unsigned)status;
    if (slot->own_result)
        call->result = slot->own_result;
    else if (code != CURLE_OK)
        call->result = errmsg_set(&call->err, http_curl_errno(code), "%s",
                                  slot->error_text[0] != '\0' ? slot->error_text
                                                              : curl_easy_strerror(code));
    else if (!slot->head_whole)
        call->result = errmsg_set(&call->err, -ECONNRESET, "the answer's head breaks off");
    slot_remove(slot);
    call->done(call);
}

const char *http_call_header(const struct http_call *call, const char *name, size_t *ret_len)
{
    const char *at = (const char *)call->head.data, *end = at + call->head.len;
    size_t name_len = strlen(name);

    while (at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        const char *next = line_end ? line_end + 1 : end;
        size_t len = (size_t)((line_end ? line_end : end) - at);

        if (len > name_len && at[name_len] == ':' && strncasecmp(at, name, name_len) == 0) {
            at += name_len + 1;
            len -= name_len + 1;
            while (len > 0 && (*at == ' ' || *at == '\t')) {
                at++;
                len--;
            }
            while (len > 0 && (at[len - 1] == ' ' || at[len - 1] == '\t' || at[len - 1] == '\r'))
                len--;
            *ret_len = len;
            return at;
        }
        at = next;
    }
    return NULL;
}

void http_call_fini(struct http_call *call)
{
    INVARIANT(!call->slot);
    bytes_free(&call->head);
    bytes_free(&call->answer);
}

/* --- the pool ------------------------------------------------------------------------------- */

int http_pool_open(uint32_t connections_max, struct http_pool **ret_pool, struct errmsg *err)
{
    struct http_pool *pool;
    int r = http_curl_start(err);

    *ret_pool = NULL;
    if (r)
        return r;
    pool = calloc(1, sizeof(*pool));
    if (pool)
        pool->multi = curl_multi_init();
    if (!pool || !pool->multi
        || curl_multi_setopt(pool->multi, CURLMOPT_MAXCONNECTS, (long)connections_max)
               != CURLM_OK) {
        http_pool_close(pool);
        return errmsg_set(err, -ENOMEM, "out of memory");
    }
    *ret_pool = pool;
    return 0;
}

void http_pool_close(struct http_pool *pool)
{
    struct http_slot *slot;

    if (!pool)
        return;
    while (pool->busy)
        slot_remove(pool->busy);
    while ((slot = pool->free) != NULL) {
        pool->free = slot->next;
        curl_easy_cleanup(slot->easy);
        free(slot);
    }
    (void)curl_multi_cleanup(pool->multi);
    free(pool);
}

int http_pool_turn(struct http_pool *pool, int timeout_ms, struct errmsg *err)
{
    CURLMcode code = curl_multi_poll(pool->multi, NULL, 0, timeout_ms < 0 ? INT_MAX : timeout_ms,
                                     NULL);
    CURLMsg *msg;
    int running, left;

    if (code == CURLM_OK)
        code = curl_multi_perform(pool->multi, &running);
    if (code != CURLM_OK)
        return errmsg_set(err, code == CURLM_OUT_OF_MEMORY ? -ENOMEM : -EIO, "%s",
                          curl_multi_strerror(code));
    /* A done() may start and cancel calls: what is left of the messages is asked for anew. */
    while ((msg = curl_multi_info_read(pool->multi, &left)) != NULL) {
        struct http_slot *slot;
        CURLcode result = msg->data.result;

        if (msg->msg == CURLMSG_DONE
            && curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&slot) == CURLE_OK)
            call_end(slot, result);
    }
    return pool->running;
}

void http_pool_wake(struct http_pool *pool)
{
    (void)curl_multi_wakeup(pool->multi);
}
