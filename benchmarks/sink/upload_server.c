/*
 * upload_server: see the header.
 *
 * Owns:   see the header.
 * Thread: see the header.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "benchmarks/sink/upload_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BUFFER_BYTES = 256 * 1024 };

static SSL_CTX *tls_context; /* in the server's process; NULL: plain */

struct peer {
    int fd;
    SSL *ssl;
    size_t have; /* in the buffer */
    char buffer[BUFFER_BYTES + 1];
};

/* --- one connection -------------------------------------------------------------------------- */

static ssize_t peer_read(struct peer *p, char *to, size_t len)
{
    return p->ssl != NULL ? SSL_read(p->ssl, to, (int)len) : recv(p->fd, to, len, 0);
}

static bool peer_say(struct peer *p, const char *text)
{
    size_t len = strlen(text);

    return (p->ssl != NULL ? SSL_write(p->ssl, text, (int)len)
                           : send(p->fd, text, len, MSG_NOSIGNAL)) == (ssize_t)len;
}

static bool answer(struct peer *p, const char *head)
{
    static const char create[] =
        "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>";
    static const char complete[] =
        "<CompleteMultipartUploadResult><ETag>\"e\"</ETag></CompleteMultipartUploadResult>";
    const char *line_end = strchr(head, '\r');
    size_t line = line_end != NULL ? (size_t)(line_end - head) : 0;
    const char *body = "";
    char text[512];

    if (strncmp(head, "HEAD ", 5) == 0)
        return peer_say(p, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    if (strncmp(head, "POST ", 5) == 0)
        body = memmem(head, line, "uploads", 7) != NULL ? create : complete;
    (void)snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: %zu\r\n"
                   "\r\n%s", strlen(body), body);
    return peer_say(p, text);
}

/* One request; its body goes nowhere. */
static bool request_serve(struct peer *p)
{
    char head[16 * 1024 + 1], *end, *length;
    size_t head_len, body, part;

    while ((end = memmem(p->buffer, p->have, "\r\n\r\n", 4)) == NULL) {
        ssize_t n = p->have < BUFFER_BYTES
                        ? peer_read(p, p->buffer + p->have, BUFFER_BYTES - p->have)
                        : 0;

        if (n <= 0)
            return false;
        p->have += (size_t)n;
    }
    head_len = (size_t)(end - p->buffer) + 4;
    if (head_len >= sizeof(head))
        return false;
    memcpy(head, p->buffer, head_len);
    head[head_len] = '\0';
    length = strcasestr(head, "\r\ncontent-length: ");
    body = length != NULL ? strtoul(length + 18, NULL, 10) : 0;
    if (strcasestr(head, "\r\nexpect: 100-continue") != NULL &&
        !peer_say(p, "HTTP/1.1 100 Continue\r\n\r\n"))
        return false;
    part = p->have - head_len < body ? p->have - head_len : body;
    memmove(p->buffer, p->buffer + head_len + part, p->have - head_len - part);
    p->have -= head_len + part;
    for (body -= part; body > 0;) {
        ssize_t n = peer_read(p, p->buffer, body < BUFFER_BYTES ? body : BUFFER_BYTES);

        if (n <= 0)
            return false;
        body -= (size_t)n;
    }
    return answer(p, head);
}

static void *peer_main(void *arg)
{
    struct peer *p = arg;

    if (tls_context != NULL) {
        p->ssl = SSL_new(tls_context);
        (void)SSL_set_fd(p->ssl, p->fd);
    }
    if (p->ssl == NULL || SSL_accept(p->ssl) == 1)
        while (request_serve(p))
            continue;
    SSL_free(p->ssl);
    (void)close(p->fd);
    free(p);
    return NULL;
}

/* --- the process ----------------------------------------------------------------------------- */

static void serve(int listener)
{
    for (;;) {
        struct peer *p = calloc(1, sizeof(*p));
        pthread_t thread;
        int one = 1;

        if (p == NULL)
            _exit(1);
        p->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (p->fd < 0)
            _exit(1);
        (void)setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        if (pthread_create(&thread, NULL, peer_main, p) != 0)
            _exit(1);
        (void)pthread_detach(thread);
    }
}

/* A certificate that signs itself, good for an hour. */
static int tls_make(const char *ca_file, struct errmsg *err)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    FILE *file = fopen(ca_file, "we");
    X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");
    bool ok = key != NULL && cert != NULL && file != NULL && san != NULL;

    tls_context = SSL_CTX_new(TLS_server_method());
    ok = ok && tls_context != NULL && X509_set_version(cert, 2) == 1 &&
         ASN1_INTEGER_set(X509_get_serialNumber(cert), 1) == 1 &&
         X509_gmtime_adj(X509_getm_notBefore(cert), -60) != NULL &&
         X509_gmtime_adj(X509_getm_notAfter(cert), 3600) != NULL &&
         X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                                    (const unsigned char *)"127.0.0.1", -1, -1, 0) == 1 &&
         X509_set_issuer_name(cert, X509_get_subject_name(cert)) == 1 &&
         X509_add_ext(cert, san, -1) == 1 && X509_set_pubkey(cert, key) == 1 &&
         X509_sign(cert, key, EVP_sha256()) > 0 && PEM_write_X509(file, cert) == 1 &&
         SSL_CTX_use_certificate(tls_context, cert) == 1 &&
         SSL_CTX_use_PrivateKey(tls_context, key) == 1;
    if (file != NULL && fclose(file) != 0)
        ok = false;
    X509_EXTENSION_free(san);
    X509_free(cert);
    EVP_PKEY_free(key);
    return ok ? 0 : errmsg_set(err, -EIO, "no certificate could be made in '%s'", ca_file);
}

int upload_server_start(struct upload_server *s, bool tls, const char *ca_file,
                        struct errmsg *err)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof(at);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pid_t parent = getpid();
    int rc = 0;

    s->pid = 0;
    if (listener < 0 || bind(listener, (struct sockaddr *)&at, sizeof(at)) != 0 ||
        listen(listener, 64) != 0 || getsockname(listener, (struct sockaddr *)&at, &len) != 0)
        rc = errmsg_set_errno(err, -errno, "a listener on loopback");
    if (rc == 0 && tls)
        rc = tls_make(ca_file, err);
    if (rc == 0) {
        s->port = ntohs(at.sin_port);
        s->pid = fork();
        if (s->pid < 0)
            rc = errmsg_set_errno(err, -errno, "fork");
    }
    if (rc == 0 && s->pid == 0) {
        (void)signal(SIGPIPE, SIG_IGN);
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent)
            serve(listener);
        _exit(1);
    }
    SSL_CTX_free(tls_context);
    tls_context = NULL;
    if (listener >= 0)
        (void)close(listener);
    return rc;
}

void upload_server_stop(struct upload_server *s)
{
    if (s->pid <= 0)
        return;
    (void)kill(s->pid, SIGKILL);
    while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    s->pid = 0;
}
