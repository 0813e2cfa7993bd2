/*
 * endpoint: where a service is.
 * Owns:   nothing.
 * Thread: any.
 */
#include "sink/endpoint.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ALNUM "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

int endpoint_parse(const char *text, struct endpoint *ret_endpoint, struct errmsg *err)
{
    struct endpoint *e = ret_endpoint;
    const char *host, *port;
    size_t len;

    e->tls = strncmp(text, "https://", 8) == 0;
    if (!e->tls && strncmp(text, "http://", 7) != 0)
        return errmsg_set(err, -EINVAL, "endpoint '%s': neither http:// nor https://", text);
    host = text + (e->tls ? 8 : 7);
    len = strspn(host, ALNUM ".-_:[]");
    if (len == 0 || host[0] == ':' || (host[len] != '/' && host[len] != '\0')
        || len > ENDPOINT_HOST_MAX)
        return errmsg_set(err, -EINVAL, "endpoint '%s': not http[s]://HOST[:PORT][/PATH]", text);
    e->path = host + len;
    e->path_len = strlen(e->path);
    while (e->path_len > 0 && e->path[e->path_len - 1] == '/')
        e->path_len--;
    if (strspn(e->path, ALNUM "-._~/%") < e->path_len)
        return errmsg_set(err, -EINVAL, "endpoint '%s': a path may hold letters, digits and "
                          "-._~/%%", text);
    /* Nobody sends the usual port along. */
    port = e->tls ? ":443" : ":80";
    if (len > strlen(port) && memcmp(host + len - strlen(port), port, strlen(port)) == 0)
        len -= strlen(port);
    (void)snprintf(e->host, sizeof(e->host), "%.*s", (int)len, host);
    return 0;
}
