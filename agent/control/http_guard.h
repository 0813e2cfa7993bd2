/*
 * http_guard: who may ask. Three rules, all about header values:
 *
 * - Host must name this server: localhost, a loopback address, or the address that `listen` has.
 *   Listening on every address: any IP address, and the host's own name with any domain. A page
 *   that makes a browser resolve its name to us still sends that name (DNS rebinding); an address
 *   cannot be forged that way. Refused with 403. The port is not compared: it may be forwarded.
 * - Origin, which browsers send with another page's requests, must be the same host: 403.
 * - Authorization must carry the token, if one is set: 401. Who listens beyond loopback needs one:
 *   when a reload takes it away, nobody is let in.
 *
 * A Unix socket has no name that a page could lead a browser to: any Host will do.
 *
 * Owns:   copies of its settings.
 * Thread: any; never changes after guard_init.
 */
#ifndef CONTROL_HTTP_GUARD_H
#define CONTROL_HTTP_GUARD_H

#include <netinet/in.h>
#include <stdbool.h>

#include "control/address.h"

enum { HTTP_HOST_MAX = 256 };

struct http_guard {
    struct in6_addr listen;         /* IPv4 mapped */
    bool any_address;
    bool any_host;
    bool beyond;                    /* other hosts can reach it */
    char own_name[HTTP_HOST_MAX];
};

/* listen_at: where the server listens; NULL: at a Unix socket. */
void http_guard_init(struct http_guard *guard, const struct address *listen_at);

/* host NULL: the request has none, as HTTP/1.0 may. */
bool http_guard_host(const struct http_guard *guard, const char *host);

/* origin NULL: the request has none, which is fine. */
bool http_guard_origin(const char *origin, const char *host);

/*
 * token: "": none is asked for. authorization NULL: the request has none. Takes the same time
 * wherever the token differs.
 */
bool http_guard_token(const struct http_guard *guard, const char *token,
                      const char *authorization);

#endif
