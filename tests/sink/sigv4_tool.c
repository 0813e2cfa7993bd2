/*
 * sigv4_tool: signs what it is told to, for test_sigv4_botocore.py.
 *
 * Each line of standard input is a word and its value in hex; "sign" ends a request. Words:
 * service, region, access, secret, token, time (decimal, not hex), method, origin, path and query
 * (name, then value as the next line) in plain form, header (Name:value), body; "unsigned" instead
 * of it. For each request it prints a line: the URL and the Authorization header.
 */
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "sink/sigv4.h"

struct job {
    char service[64], region[64], access[128], secret[128], token[4096], payload[SIGV4_HEX_BYTES];
    uint64_t utc_s;
    bool query;                     /* the URL has one */
    struct request r;
};

static struct job job;
static char value[1 << 16];

static int digit(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

static size_t unhex(const char *hex)
{
    size_t len = 0;

    for (; isxdigit((unsigned char)hex[0]) && len + 1 < sizeof(value); hex += 2)
        value[len++] = (char)(digit(hex[0]) << 4 | digit(hex[1]));
    value[len] = '\0';
    return len;
}

static void keep(char *to, size_t cap)
{
    size_t len = strlen(value);

    if (len >= cap) {
        fprintf(stderr, "sigv4_tool: a value of %zu bytes, at most %zu\n", len, cap - 1);
        exit(2);
    }
    memcpy(to, value, len + 1);
}

static void header_add(void)
{
    char *colon = strchr(value, ':');

    *colon = '\0';
    request_header(&job.r, value, "%s", colon + 1);
}

static void query_add(bool name)
{
    if (name)
        request_url(&job.r, job.query ? "&" : "?");
    else
        request_url(&job.r, "=");
    request_url_encoded(&job.r, value, "");
    job.query = true;
}

static int sign(void)
{
    const struct sigv4_credentials with = {job.access, job.secret, job.token};
    struct sigv4 s;
    struct errmsg err;
    int res = sigv4_init(&s, job.region, job.service, &err);

    if (res == 0)
        res = sigv4_sign(&s, &with, job.utc_s, job.payload, &job.r, &err);
    if (res == 0)
        printf("%s %s\n", job.r.url, request_header_find(&job.r, "authorization"));
    else
        printf("error: %s\n", err.text);
    sigv4_fini(&s);
    return fflush(stdout);
}

static int line(const char *word, const char *hex)
{
    size_t len = unhex(hex);

    if (strcmp(word, "service") == 0)
        keep(job.service, sizeof(job.service));
    else if (strcmp(word, "region") == 0)
        keep(job.region, sizeof(job.region));
    else if (strcmp(word, "access") == 0)
        keep(job.access, sizeof(job.access));
    else if (strcmp(word, "secret") == 0)
        keep(job.secret, sizeof(job.secret));
    else if (strcmp(word, "token") == 0)
        keep(job.token, sizeof(job.token));
    else if (strcmp(word, "time") == 0)
        job.utc_s = strtoull(hex, NULL, 10);
    else if (strcmp(word, "method") == 0)
        request_start(&job.r, strcmp(value, "PUT") == 0 ? "PUT" : "GET");
    else if (strcmp(word, "origin") == 0)
        request_url(&job.r, value);
    else if (strcmp(word, "path") == 0)
        request_url_encoded(&job.r, value, "/");
    else if (strcmp(word, "name") == 0 || strcmp(word, "value") == 0)
        query_add(word[0] == 'n');
    else if (strcmp(word, "header") == 0)
        header_add();
    else if (strcmp(word, "body") == 0)
        return sigv4_hash(value, len, job.payload);
    else if (strcmp(word, "unsigned") == 0)
        memcpy(job.payload, SIGV4_UNSIGNED_PAYLOAD, sizeof(SIGV4_UNSIGNED_PAYLOAD));
    else
        return -EINVAL;
    return 0;
}

int main(void)
{
    static char text[2 * sizeof(value) + 64];

    while (fgets(text, sizeof(text), stdin) != NULL) {
        char *space = text + strcspn(text, " \n");
        bool more = *space == ' ';

        *space = '\0';
        if (strcmp(text, "sign") == 0) {
            if (sign() != 0)
                return 1;
            memset(&job, 0, sizeof(job));
        } else if (line(text, more ? space + 1 : "") != 0) {
            fprintf(stderr, "sigv4_tool: what is '%s'?\n", text);
            return 2;
        }
    }
    return 0;
}
