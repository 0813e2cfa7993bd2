/*
 * credentials_ask: requests to STS, to a container's agent, to the instance metadata.
 * Owns:   nothing.
 * Thread: see the header.
 */
#include "sink/credentials_ask.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define ALNUM "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

enum { HOST_BYTES = 256 };

struct url {
    bool tls;
    char host[HOST_BYTES];
};

/*
 * http or https, a host, perhaps a port, path and query, in visible ASCII. No user, nothing that
 * two readers of URLs might split differently.
 */
static bool url_read(const char *url, struct url *ret)
{
    size_t scheme = strncmp(url, "https://", 8) == 0 ? 8 : strncmp(url, "http://", 7) == 0 ? 7 : 0;
    const char *host = url + scheme, *behind;
    size_t len;

    ret->tls = scheme == 8;
    for (const char *c = url; *c != '\0'; c++)
        if (*c <= 0x20 || *c >= 0x7f || strchr("\\#\"<>^`{|}", *c) != NULL)
            return false;
    if (*host == '[') {
        host++;
        len = strspn(host, "0123456789abcdefABCDEF:.");
        if (host[len] != ']')
            return false;
        behind = host + len + 1;
    } else {
        len = strspn(host, ALNUM ".-_");
        behind = host + len;
    }
    if (scheme == 0 || len == 0 || len >= HOST_BYTES)
        return false;
    memcpy(ret->host, host, len);
    ret->host[len] = '\0';
    if (*behind == ':')
        behind += 1 + strspn(behind + 1, "0123456789");
    return *behind == '\0' || *behind == '/' || *behind == '?';
}

/* This host itself, or the addresses of the agents of ECS and EKS. */
static bool host_is_near(const char *host)
{
    static const uint8_t eks[16] = { 0xfd, 0x00, 0x0e, 0xc2, [15] = 0x23 };
    struct in6_addr v6;
    struct in_addr v4;

    if (inet_pton(AF_INET6, host, &v6) == 1)
        return IN6_IS_ADDR_LOOPBACK(&v6) || memcmp(&v6, eks, sizeof(eks)) == 0;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127 || strcmp(host, "169.254.170.2") == 0 ||
               strcmp(host, "169.254.170.23") == 0;
    return strcasecmp(host, "localhost") == 0;
}

static void ask_begin(struct credentials_ask *ask, const char *method, uint32_t connect_timeout_ms,
                      uint32_t timeout_ms, bool direct)
{
    credentials_ask_clear(ask);
    request_start(&ask->request, method);
    ask->connect_timeout_ms = connect_timeout_ms;
    ask->timeout_ms = timeout_ms;
    ask->reply_bytes_max = CREDENTIALS_REPLY_BYTES;
    ask->direct = direct;
}

void credentials_ask_clear(struct credentials_ask *ask)
{
    request_clear(&ask->request);
    OPENSSL_cleanse(ask->body, ask->body_len);
    ask->body_len = 0;
}

/* --- STS ------------------------------------------------------------------------------------ */

/* Of a region's partition. */
static const char *domain_of(const char *region)
{
    static const struct {
        const char *prefix, *domain;
    } partitions[] = {
        { "cn-", "amazonaws.com.cn" },  { "us-iso-", "c2s.ic.gov" },
        { "us-isob-", "sc2s.sgov.gov" }, { "us-isof-", "csp.hci.ic.gov" },
        { "eu-isoe-", "cloud.adc-e.uk" }, { "eusc-", "amazonaws.eu" },
    };

    for (size_t i = 0; i < sizeof(partitions) / sizeof(partitions[0]); i++)
        if (strncmp(region, partitions[i].prefix, strlen(partitions[i].prefix)) == 0)
            return partitions[i].domain;
    return "amazonaws.com";
}

/* Adds to a form: "&name=value". False: there is no room. */
static bool form_add(struct credentials_ask *ask, const char *name, const char *value, size_t len)
{
    static const char digits[] = "0123456789ABCDEF";
    char *to = ask->body + ask->body_len;
    size_t name_len = strlen(name);

    if (3 * len + name_len + 2 > CREDENTIALS_BODY_BYTES - ask->body_len)
        return false;
    if (ask->body_len > 0)
        *to++ = '&';
    memcpy(to, name, name_len);
    to += name_len;
    *to++ = '=';
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)value[i];

        if (c != '\0' && strchr(ALNUM "-._~", c) != NULL) {
            *to++ = (char)c;
            continue;
        }
        *to++ = '%';
        *to++ = digits[c >> 4];
        *to++ = digits[c & 15];
    }
    ask->body_len = (size_t)(to - ask->body);
    return true;
}

int credentials_ask_sts(struct credentials_ask *ask, const struct credentials_role *role,
                        struct errmsg *err)
{
    struct request *r = &ask->request;
    struct url url;

    ask_begin(ask, "POST", 5000, 30000, false);
    if (role->endpoint != NULL && role->endpoint[0] != '\0') {
        if (!url_read(role->endpoint, &url))
            return errmsg_set(err, -EINVAL, "the endpoint of STS is no URL of http or https");
        request_url(r, role->endpoint);
        if (role->endpoint[strlen(role->endpoint) - 1] != '/')
            request_url(r, "/");
    } else if (role->region != NULL && role->region[0] != '\0') {
        request_url(r, "https://sts.");
        request_url(r, role->region);
        request_url(r, ".");
        request_url(r, domain_of(role->region));
        request_url(r, "/");
    } else {
        request_url(r, "https://sts.amazonaws.com/");
    }
    request_header(r, "Accept", "application/xml");
    request_header(r, "Content-Type", "application/x-www-form-urlencoded; charset=utf-8");
    if (!form_add(ask, "Action", "AssumeRoleWithWebIdentity", 25) ||
        !form_add(ask, "Version", "2011-06-15", 10) ||
        !form_add(ask, "RoleArn", role->role_arn, strlen(role->role_arn)) ||
        !form_add(ask, "RoleSessionName", role->session_name, strlen(role->session_name)) ||
        !form_add(ask, "WebIdentityToken", role->token, role->token_len))
        return errmsg_set(err, -EINVAL, "the web identity token is too long");
    return request_result(r, err);
}

/* --- a container's agent -------------------------------------------------------------------- */

int credentials_ask_container(struct credentials_ask *ask, const char *relative_uri,
                              const char *full_uri, const char *authorization, struct errmsg *err)
{
    struct request *r = &ask->request;
    struct url url;

    ask_begin(ask, "GET", 2000, 5000, true);
    if (relative_uri != NULL) {
        /* Without the slash it would go on with the name of the host. */
        if (relative_uri[0] != '/')
            return errmsg_set(err, -EINVAL, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI does not begin "
                              "with '/'");
        request_url(r, "http://169.254.170.2");
        request_url(r, relative_uri);
    } else {
        request_url(r, full_uri);
    }
    if (!url_read(r->url, &url))
        return errmsg_set(err, -EINVAL, "AWS_CONTAINER_CREDENTIALS_%s_URI is no URL of http or "
                          "https", relative_uri != NULL ? "RELATIVE" : "FULL");
    if (!url.tls && !host_is_near(url.host))
        return errmsg_set(err, -EINVAL, "AWS_CONTAINER_CREDENTIALS_FULL_URI must be https, or http "
                          "to this host, 169.254.170.2 or 169.254.170.23");
    request_header(r, "Accept", "application/json");
    if (authorization != NULL && authorization[0] != '\0')
        request_header(r, "Authorization", "%s", authorization);
    return request_result(r, err);
}

/* --- instance metadata ---------------------------------------------------------------------- */

int credentials_ask_metadata(struct credentials_ask *ask, const char *endpoint, const char *path,
                             const char *name, const char *token, struct errmsg *err)
{
    struct request *r = &ask->request;
    size_t len = strlen(endpoint);
    struct url url;

    ask_begin(ask, token == NULL ? "PUT" : "GET", 1000, 2000, true);
    if (!url_read(endpoint, &url))
        return errmsg_set(err, -EINVAL, "the endpoint of the instance metadata is no URL of http "
                          "or https");
    request_url(r, endpoint);
    request_url(r, path + (endpoint[len - 1] == '/' ? 1 : 0));
    request_url_encoded(r, name, "+=,@");
    if (token == NULL)
        request_header(r, "X-aws-ec2-metadata-token-ttl-seconds", "%d", 21600);
    else
        request_header(r, "X-aws-ec2-metadata-token", "%s", token);
    return request_result(r, err);
}
