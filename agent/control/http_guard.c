/*
 * http_guard: Host, Origin and token of a request.
 *
 * Owns:   nothing.
 * Thread: any.
 */
#include "control/http_guard.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* IPv4 addresses are compared in their mapped form ::ffff:a.b.c.d. */
static struct in6_addr address_map(struct in_addr four)
{
    struct in6_addr six = IN6ADDR_ANY_INIT;

    six.s6_addr[10] = six.s6_addr[11] = 0xff;
    memcpy(&six.s6_addr[12], &four, sizeof(four));
    return six;
}

static bool address_loopback(const struct in6_addr *six)
{
    return IN6_IS_ADDR_LOOPBACK(six) || (IN6_IS_ADDR_V4MAPPED(six) && six->s6_addr[12] == 127);
}

static bool address_any(const struct in6_addr *six)
{
    return IN6_IS_ADDR_UNSPECIFIED(six) ||
           (IN6_IS_ADDR_V4MAPPED(six) && memcmp(&six->s6_addr[12], "\0\0\0\0", 4) == 0);
}

void http_guard_init(struct http_guard *guard, const struct address *listen_at)
{
    memset(guard, 0, sizeof(*guard));
    guard->any_host = listen_at == NULL;
    if (listen_at == NULL)
        return;
    if (listen_at->addr.ss_family == AF_INET6)
        guard->listen = ((const struct sockaddr_in6 *)&listen_at->addr)->sin6_addr;
    else
        guard->listen = address_map(((const struct sockaddr_in *)&listen_at->addr)->sin_addr);
    guard->any_address = address_any(&guard->listen);
    guard->beyond = !address_loopback(&guard->listen);
    /* Without a name of its own the host just cannot be asked by one. */
    if (gethostname(guard->own_name, sizeof(guard->own_name) - 1) != 0)
        guard->own_name[0] = '\0';
}

static bool port_valid(const char *port)
{
    size_t digits = strspn(port, "0123456789");

    return digits >= 1 && digits <= 5 && port[digits] == '\0';
}

/* Splits "name", "name:port", "[v6]", "[v6]:port" and keeps the name. */
static bool host_split(const char *value, char name[HTTP_HOST_MAX], bool *ret_bracketed)
{
    const char *start = value;
    const char *end;

    *ret_bracketed = value[0] == '[';
    if (*ret_bracketed) {
        start = value + 1;
        end = strchr(start, ']');
        if (end == NULL || (end[1] != '\0' && (end[1] != ':' || !port_valid(end + 2))))
            return false;
    } else {
        end = start + strcspn(start, ":");
        if (*end == ':' && !port_valid(end + 1))
            return false;
    }
    if (end == start || end - start >= HTTP_HOST_MAX)
        return false;
    memcpy(name, start, (size_t)(end - start));
    name[end - start] = '\0';
    return true;
}

static bool address_of_name(const char *name, bool bracketed, struct in6_addr *ret_six)
{
    struct in_addr four;

    if (bracketed)
        return inet_pton(AF_INET6, name, ret_six) == 1;
    if (inet_pton(AF_INET, name, &four) != 1)
        return false;
    *ret_six = address_map(four);
    return true;
}

/* The host's name, alone or with a domain behind it. */
static bool name_own(const struct http_guard *guard, const char *name)
{
    size_t len = strlen(guard->own_name);

    return len > 0 && strncasecmp(name, guard->own_name, len) == 0 &&
           (name[len] == '\0' || name[len] == '.');
}

bool http_guard_host(const struct http_guard *guard, const char *host)
{
    char name[HTTP_HOST_MAX];
    struct in6_addr address;
    bool bracketed;

    if (host == NULL || guard->any_host)
        return true;
    if (!host_split(host, name, &bracketed))
        return false;
    if (address_of_name(name, bracketed, &address))
        return address_loopback(&address) || guard->any_address ||
               memcmp(&address, &guard->listen, sizeof(address)) == 0;
    if (bracketed)
        return false;
    return strcasecmp(name, "localhost") == 0 || (guard->any_address && name_own(guard, name));
}

bool http_guard_origin(const char *origin, const char *host)
{
    if (origin == NULL)
        return true;
    if (host == NULL)
        return false;
    if (strncasecmp(origin, "http://", 7) == 0)
        origin += 7;
    else if (strncasecmp(origin, "https://", 8) == 0)
        origin += 8;
    else
        return false;
    return strcasecmp(origin, host) == 0;
}

bool http_guard_token(const struct http_guard *guard, const char *token,
                      const char *authorization)
{
    size_t token_len = strlen(token);
    unsigned differs;
    size_t len;

    if (token_len == 0)
        return !guard->beyond;
    if (authorization == NULL || strncasecmp(authorization, "Bearer ", 7) != 0)
        return false;
    authorization += 7;
    authorization += strspn(authorization, " ");
    len = strlen(authorization);
    /* Walks what was sent, all of it: the time says nothing about the token. */
    differs = len != token_len;
    for (size_t i = 0; i < len; i++)
        differs |= (unsigned char)authorization[i] ^ (unsigned char)token[i % token_len];
    return differs == 0;
}
