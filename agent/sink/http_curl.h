/*
 * http_curl: what the files that see libcurl share.
 *
 * Owns:   the library's global state, set up once, by whoever comes first.
 * Thread: any.
 */
#ifndef SINK_HTTP_CURL_H
#define SINK_HTTP_CURL_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/errmsg.h"

/* 0, or -EIO with a text. */
int http_curl_start(struct errmsg *err);

/*
 * Adds "name: value" to the list. 0; -EINVAL: it would end its line, and begin one of its own;
 * -ENOMEM. The list is as before then.
 */
int http_curl_header(struct curl_slist **list, const char *name, const char *value);

/*
 * Follows the head of an answer line by line: *whole once its blank line has come. The library
 * takes a head that breaks off for an answer.
 */
void http_curl_head_line(const char *line, size_t len, bool *whole);

/* What went wrong, as http.h has it. */
int http_curl_errno(CURLcode code);

#endif
