/*
 * address: ADDR:PORT texts of listeners and of the agent's HTTP server.
 * Owns:   nothing.
 * Thread: any.
 */
#include "control/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

#define ADDRESS_HOST_MAX 255

/* Splits at the last ':'; brackets around an IPv6 address are taken off. */
static int address_split(const char *text, char host[static ADDRESS_HOST_MAX + 1],
                         uint16_t *ret_port, struct errmsg *err)
{
    const char *colon = strrchr(text, ':');
    const char *port = colon != NULL ? colon + 1 : "";
    size_t len = colon != NULL ? (size_t)(colon - text) : 0;
    uint32_t number = 0;

    if (*port == '\0' || strlen(port) > 5 || strspn(port, "0123456789") != strlen(port) || len == 0)
        return errmsg_set(err, -EINVAL, "'%s' is not ADDR:PORT, such as 127.0.0.1:8000", text);
    for (const char *at = port; *at != '\0'; at++)
        number = number * 10 + (uint32_t)(*at - '0');
    if (number > 65535)
        return errmsg_set(err, -EINVAL, "'%s': a port is at most 65535", text);
    if (text[0] == '[' && text[len - 1] == ']' && len > 2) {
        text++;
        len -= 2;
    } else if (memchr(text, ':', len) != NULL) {
        return errmsg_set(err, -EINVAL, "'%s': an IPv6 address goes into brackets: [::1]:%u",
                          text, number);
    }
    if (len > ADDRESS_HOST_MAX)
        return errmsg_set(err, -EINVAL, "the address is too long");
    memcpy(host, text, len);
    host[len] = '\0';
    *ret_port = (uint16_t)number;
    return 0;
}

int address_parse(const char *text, struct address *ret_address, struct errmsg *err)
{
    char host[ADDRESS_HOST_MAX + 1];
    struct sockaddr_in v4 = { .sin_family = AF_INET };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
    uint16_t port;
    int r = address_split(text, host, &port, err);

    if (r < 0)
        return r;
    memset(ret_address, 0, sizeof(*ret_address));
    v4.sin_port = htons(port);
    v6.sin6_port = htons(port);
    if (strcmp(host, "localhost") == 0)
        memcpy(host, "127.0.0.1", sizeof("127.0.0.1"));
    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
        memcpy(&ret_address->addr, &v4, sizeof(v4));
        ret_address->len = sizeof(v4);
        return 0;
    }
    if (text[0] == '[' && inet_pton(AF_INET6, host, &v6.sin6_addr) == 1) {
        memcpy(&ret_address->addr, &v6, sizeof(v6));
        ret_address->len = sizeof(v6);
        return 0;
    }
    return errmsg_set(err, -EINVAL,
                      "'%s': the address must be numeric or localhost, such as 127.0.0.1:%u", text,
                      port);
}

bool address_is_loopback(const struct address *a)
{
    if (a->addr.ss_family == AF_INET) {
        struct sockaddr_in v4;

        memcpy(&v4, &a->addr, sizeof(v4));
        return ntohl(v4.sin_addr.s_addr) >> 24 == 127;
    }
    if (a->addr.ss_family == AF_INET6) {
        struct sockaddr_in6 v6;

        memcpy(&v6, &a->addr, sizeof(v6));
        return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
    }
    return false;
}

int address_check_peer(const char *text, struct errmsg *err)
{
    char host[ADDRESS_HOST_MAX + 1];
    uint16_t port;
    int r = address_split(text, host, &port, err);

    if (r < 0)
        return r;
    if (port == 0)
        return errmsg_set(err, -EINVAL, "'%s': nobody listens on port 0", text);
    for (const char *at = host; *at != '\0'; at++)
        if ((unsigned char)*at <= 0x20 || *at == '/')
            return errmsg_set(err, -EINVAL, "'%s' is not HOST:PORT, such as central:9400", text);
    return 0;
}
