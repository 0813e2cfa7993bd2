/*
 * http_static: the pages that are part of the program: dashboard, API documentation, their style
 * and scripts. The sources are agent/control/web; nothing in them comes from elsewhere, and what
 * they send allows nothing else (Content-Security-Policy).
 *
 * Owns:   nothing; pages are bytes of the program.
 * Thread: HTTP; http_static_page() any.
 */
#ifndef CONTROL_HTTP_STATIC_H
#define CONTROL_HTTP_STATIC_H

#include <microhttpd.h>
#include <stddef.h>

struct http_page {
    const char *path;
    const char *content_type;
    const char *data, *end;
};

/* The i-th page, NULL behind the last one. */
const struct http_page *http_static_page(size_t i);

/* NULL: no page has that path. */
const struct http_page *http_static_find(const char *path);

/* Answers with the page, or with 304 when the client has it. MHD_NO closes the connection. */
enum MHD_Result http_static_send(struct MHD_Connection *connection, const struct http_page *page);

#endif
