/*
 * http_curl: the library's start, header lines, errors.
 *
 * Owns:   see the header.
 * Thread: any.
 */
#include "sink/http_curl.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/bytes.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static CURLcode once_result;

static void global_init(void)
{
    once_result = curl_global_init(CURL_GLOBAL_DEFAULT);
}

int http_curl_start(struct errmsg *err)
{
    (void)pthread_once(&once, global_init);
    if (once_result != CURLE_OK)
        return errmsg_set(err, -EIO, "the HTTP library does not start: %s",
                          curl_easy_strerror(once_result));
    return 0;
}

int http_curl_header(struct curl_slist **list, const char *name, const char *value)
{
    struct bytes line = BYTES_INIT;
    struct curl_slist *longer = NULL;
    const char *text;
    int r;

    if (value[strcspn(value, "\r\n")] != '\0')
        return -EINVAL;
    /* "name;" is how the library is told of a header without a value: "name:" takes one away. */
    r = value[0] == '\0' ? bytes_printf(&line, "%s;", name)
                         : bytes_printf(&line, "%s: %s", name, value);
    text = r == 0 ? bytes_cstr(&line) : NULL;
    if (text)
        longer = curl_slist_append(*list, text);
    bytes_free(&line);
    if (!longer)
        return -ENOMEM;
    *list = longer;
    return 0;
}

void http_curl_head_line(const char *line, size_t len, bool *whole)
{
    if (len >= 5 && memcmp(line, "HTTP/", 5) == 0)      /* an interim answer came before */
        *whole = false;
    else if (line[0] == '\r' || line[0] == '\n')
        *whole = true;
}

int http_curl_errno(CURLcode code)
{
    switch (code) {
    case CURLE_COULDNT_CONNECT:
        return -ECONNREFUSED;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return -EHOSTUNREACH;
    case CURLE_OPERATION_TIMEDOUT:
        return -ETIMEDOUT;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return -EINVAL;
    case CURLE_OUT_OF_MEMORY:
        return -ENOMEM;
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
        return -ECONNRESET;
    default:
        return -EPROTO;
    }
}
