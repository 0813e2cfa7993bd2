/*
 * http_static: pages, found by their path.
 *
 * Owns:   nothing.
 * Thread: HTTP.
 */
#include "control/http_static.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"

/* A file as it is, between two symbols. The build runs in the root of the source. */
#define PAGE_BYTES(name, file)                                                     \
    __asm__(".pushsection .rodata\n"                                               \
            "page_" #name ":\n.incbin \"agent/control/web/" file "\"\n"            \
            "page_" #name "_end:\n.byte 0\n"                                       \
            ".popsection\n");                                                      \
    extern const char page_##name[], page_##name##_end[]

PAGE_BYTES(dashboard_html, "dashboard.html");
PAGE_BYTES(dashboard_js, "dashboard.js");
PAGE_BYTES(docs_html, "docs.html");
PAGE_BYTES(docs_js, "docs.js");
PAGE_BYTES(icon_svg, "icon.svg");
PAGE_BYTES(openapi_json, "openapi.json");
PAGE_BYTES(style_css, "style.css");

#define TYPE_HTML "text/html; charset=utf-8"
#define TYPE_JS   "text/javascript; charset=utf-8"

static const struct http_page pages[] = {
    { "/", TYPE_HTML, page_dashboard_html, page_dashboard_html_end },
    { "/docs", TYPE_HTML, page_docs_html, page_docs_html_end },
    { "/openapi.json", "application/json", page_openapi_json, page_openapi_json_end },
    { "/web/dashboard.js", TYPE_JS, page_dashboard_js, page_dashboard_js_end },
    { "/web/docs.js", TYPE_JS, page_docs_js, page_docs_js_end },
    { "/web/icon.svg", "image/svg+xml", page_icon_svg, page_icon_svg_end },
    { "/web/style.css", "text/css; charset=utf-8", page_style_css, page_style_css_end },
};

/*
 * A new version of the program may have other pages: they are kept and asked for each time, which
 * costs no body while they are the same.
 */
static const char *const headers[][2] = {
    { "Cache-Control", "no-cache" },
    { "X-Content-Type-Options", "nosniff" },
    { "Referrer-Policy", "no-referrer" },
    { "Content-Security-Policy",
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
      "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'" },
};

const struct http_page *http_static_page(size_t i)
{
    return i < sizeof(pages) / sizeof(pages[0]) ? &pages[i] : NULL;
}

const struct http_page *http_static_find(const char *path)
{
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
        if (strcmp(pages[i].path, path) == 0)
            return &pages[i];
    return NULL;
}

enum MHD_Result http_static_send(struct MHD_Connection *connection, const struct http_page *page)
{
    size_t len = (size_t)(page->end - page->data);
    const char *known = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "If-None-Match");
    struct MHD_Response *response;
    enum MHD_Result res = MHD_YES;
    char etag[16];
    bool same;

    (void)snprintf(etag, sizeof(etag), "\"%08" PRIx32 "\"", crc32c(0, page->data, len));
    same = known != NULL && (strstr(known, etag) != NULL || strcmp(known, "*") == 0);
    /* The library copies nothing that is persistent, and takes it for writable. */
    response = MHD_create_response_from_buffer(same ? 0 : len, (void *)(uintptr_t)page->data,
                                               MHD_RESPMEM_PERSISTENT);
    if (response == NULL)
        return MHD_NO;
    for (size_t i = 0; res == MHD_YES && i < sizeof(headers) / sizeof(headers[0]); i++)
        res = MHD_add_response_header(response, headers[i][0], headers[i][1]);
    if (res == MHD_YES)
        res = MHD_add_response_header(response, "ETag", etag);
    if (res == MHD_YES && !same)
        res = MHD_add_response_header(response, "Content-Type", page->content_type);
    if (res == MHD_YES)
        res = MHD_queue_response(connection, same ? MHD_HTTP_NOT_MODIFIED : MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return res;
}
