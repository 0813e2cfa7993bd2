/*
 * relay_link: sockets and TLS.
 *
 * Owns:   see the header.
 * Thread: a link one at a time.
 */
#include "sink/relay_link.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/file.h"

/* A peer whose host is gone without a word is noticed after this. */
enum { PEER_SILENT_MS = 60000, KEEPALIVE_S = 20 };

struct relay_tls {
    SSL_CTX *ctx;
    bool listener;
};

/* --- TLS ------------------------------------------------------------------------------------ */

static int tls_error(struct errmsg *err, int code, const char *what, const char *name)
{
    unsigned long e = ERR_peek_last_error();
    const char *reason = e ? ERR_reason_error_string(e) : NULL;

    ERR_clear_error();
    return errmsg_set(err, code, "%s%s%s%s: %s", what, name[0] ? " '" : "", name,
                      name[0] ? "'" : "", reason ? reason : "TLS failed");
}

static int tls_trust(struct relay_tls *t, const struct relay_tls_files *files, struct errmsg *err)
{
    bool ca = files->ca_file[0] != '\0';

    if (ca && SSL_CTX_load_verify_file(t->ctx, files->ca_file) != 1)
        return tls_error(err, -EINVAL, "certificates to trust", files->ca_file);
    if (!ca && !t->listener && SSL_CTX_set_default_verify_paths(t->ctx) != 1)
        return tls_error(err, -EINVAL, "certificates of the system", "");
    if (ca || !t->listener)
        SSL_CTX_set_verify(t->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return 0;
}

int relay_tls_open(bool listener, const struct relay_tls_files *files, struct relay_tls **ret_tls,
                   struct errmsg *err)
{
    struct relay_tls *t = calloc(1, sizeof(*t));
    int r = 0;

    *ret_tls = NULL;
    if (!t)
        return errmsg_set(err, -ENOMEM, "no memory");
    t->listener = listener;
    t->ctx = SSL_CTX_new(listener ? TLS_server_method() : TLS_client_method());
    if (!t->ctx || SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION) != 1)
        r = tls_error(err, -ENOMEM, "TLS", "");
    else if (files->cert_file[0] != '\0'
             && SSL_CTX_use_certificate_chain_file(t->ctx, files->cert_file) != 1)
        r = tls_error(err, -EINVAL, "certificate", files->cert_file);
    else if (files->key_file[0] != '\0'
             && SSL_CTX_use_PrivateKey_file(t->ctx, files->key_file, SSL_FILETYPE_PEM) != 1)
        r = tls_error(err, -EINVAL, "private key", files->key_file);
    else
        r = tls_trust(t, files, err);
    if (r) {
        relay_tls_close(t);
        return r;
    }
    /* Buffers move and grow between two tries of one write; nobody comes back to a session. */
    SSL_CTX_set_mode(t->ctx, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_ENABLE_PARTIAL_WRITE
                                 | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(t->ctx, SSL_SESS_CACHE_OFF);
    *ret_tls = t;
    return 0;
}

void relay_tls_close(struct relay_tls *tls)
{
    if (!tls)
        return;
    SSL_CTX_free(tls->ctx);
    free(tls);
}

/* The name that the listener's certificate has to have, or its address. */
static int tls_expect(SSL *ssl, const char *host)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

    if (X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1)
        return 0;
    ERR_clear_error();
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1 ? 0 : -ENOMEM;
}

static int tls_begin(struct relay_link *l, struct relay_tls *tls, const char *host)
{
    SSL *ssl = SSL_new(tls->ctx);

    l->ssl = ssl;
    if (!ssl || SSL_set_fd(ssl, l->fd) != 1 || (host && tls_expect(ssl, host))) {
        ERR_clear_error();
        return -ENOMEM;
    }
    if (tls->listener)
        SSL_set_accept_state(ssl);
    else
        SSL_set_connect_state(ssl);
    return 0;
}

/* --- sockets -------------------------------------------------------------------------------- */

static void socket_tune(int fd)
{
    int on = 1, silent = PEER_SILENT_MS, idle = KEEPALIVE_S;

    /* None of these can fail for a TCP socket; without them it would only be slower to notice. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &silent, sizeof(silent));
}

/* "[::1]:80" and "name:80" to their halves. */
static int address_split(const char *address, char host[256], const char **ret_port)
{
    const char *colon = strrchr(address, ':');
    size_t len = colon ? (size_t)(colon - address) : 0;

    if (len >= 2 && address[0] == '[' && address[len - 1] == ']') {
        address++;
        len -= 2;
    }
    if (len == 0 || len > 255)
        return -EINVAL;
    memcpy(host, address, len);
    host[len] = '\0';
    *ret_port = colon + 1;
    return 0;
}

static int socket_connect(const struct addrinfo *to, bool *ret_connecting)
{
    int fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int r;

    if (fd < 0)
        return -errno;
    socket_tune(fd);
    *ret_connecting = false;
    if (connect(fd, to->ai_addr, to->ai_addrlen) == 0)
        return fd;
    *ret_connecting = errno == EINPROGRESS;
    if (*ret_connecting)
        return fd;
    r = -errno;
    close(fd);
    return r;
}

int relay_link_connect(struct relay_link *l, const char *address, struct relay_tls *tls,
                       struct errmsg *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found, *to;
    char host[256];
    const char *port;
    unsigned random;
    int r;

    *l = RELAY_LINK_INIT;
    if (address_split(address, host, &port))
        return errmsg_set(err, -EINVAL, "'%s' is not HOST:PORT", address);
    r = getaddrinfo(host, port, &hints, &found);
    if (r)
        return errmsg_set(err, -EHOSTUNREACH, "'%s': %s", host, gai_strerror(r));
    /* One of them a try; which one, the retry decides anew. */
    file_random(&random, sizeof(random));
    for (to = found; random % 2 && to->ai_next; to = to->ai_next)
        random /= 2;
    l->fd = r = socket_connect(to, &l->connecting);
    freeaddrinfo(found);
    if (r < 0)
        return errmsg_set_errno(err, r, "%s", address);
    if (tls && tls_begin(l, tls, host)) {
        relay_link_close(l);
        return errmsg_set(err, -ENOMEM, "no memory for TLS");
    }
    return 0;
}

int relay_link_connected(struct relay_link *l, struct errmsg *err)
{
    socklen_t len = sizeof(int);
    int r = 0;

    if (getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &r, &len))
        r = errno;
    l->connecting = false;
    return r ? errmsg_set(err, -r, "%s", strerror(r)) : 0;
}

int relay_link_accept(struct relay_link *l, int fd, struct relay_tls *tls)
{
    *l = RELAY_LINK_INIT;
    l->fd = fd;
    socket_tune(fd);
    if (tls && tls_begin(l, tls, NULL)) {
        relay_link_close(l);
        return -ENOMEM;
    }
    return 0;
}

void relay_link_close(struct relay_link *l)
{
    SSL_free(l->ssl);
    if (l->fd >= 0)
        close(l->fd);
    *l = RELAY_LINK_INIT;
}

int relay_link_identity(const struct relay_link *l, uint8_t identity[16])
{
    uint8_t text[16 + EVP_MAX_MD_SIZE], digest[EVP_MAX_MD_SIZE];
    X509 *shown = l->ssl && SSL_get_verify_mode(l->ssl) != SSL_VERIFY_NONE
                      ? SSL_get1_peer_certificate(l->ssl) : NULL;
    unsigned int len = 0;
    bool done;

    if (!shown)
        return 0;
    memcpy(text, identity, 16);
    done = X509_NAME_digest(X509_get_subject_name(shown), EVP_sha256(), text + 16, &len) == 1
           && EVP_Digest(text, 16 + len, digest, NULL, EVP_sha256(), NULL) == 1;
    X509_free(shown);
    ERR_clear_error();
    if (!done)
        return -ENOMEM;
    memcpy(identity, digest, 16);
    return 0;
}

/* --- bytes ---------------------------------------------------------------------------------- */

static int64_t ssl_result(struct relay_link *l, int r, struct errmsg *err)
{
    long verified;

    switch (SSL_get_error(l->ssl, r)) {
    case SSL_ERROR_WANT_READ:
        return -EAGAIN;
    case SSL_ERROR_WANT_WRITE:
        l->write_wanted = true;
        return -EAGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return errmsg_set(err, -ECONNRESET, "the peer has closed the connection");
    default:
        verified = SSL_get_verify_result(l->ssl);
        if (verified == X509_V_OK)
            return tls_error(err, -ECONNRESET, "TLS", "");
        ERR_clear_error();
        return errmsg_set(err, -ECONNRESET, "TLS: the peer's certificate: %s",
                          X509_verify_cert_error_string(verified));
    }
}

static int64_t socket_result(ssize_t n, struct errmsg *err)
{
    if (n > 0)
        return n;
    if (n == 0)
        return errmsg_set(err, -ECONNRESET, "the peer has closed the connection");
    if (errno == EAGAIN || errno == EINTR || errno == ENOTCONN)
        return -EAGAIN;
    return errmsg_set(err, -errno, "%s", strerror(errno));
}

int64_t relay_link_read(struct relay_link *l, void *buf, size_t cap, struct errmsg *err)
{
    int n = (int)(cap < INT32_MAX ? cap : INT32_MAX);

    if (!l->ssl)
        return socket_result(recv(l->fd, buf, (size_t)n, 0), err);
    ERR_clear_error();
    l->write_wanted = false;
    n = SSL_read(l->ssl, buf, n);
    return n > 0 ? n : ssl_result(l, n, err);
}

int64_t relay_link_write(struct relay_link *l, const void *data, size_t len, struct errmsg *err)
{
    int n = (int)(len < INT32_MAX ? len : INT32_MAX);

    if (!l->ssl)
        return socket_result(send(l->fd, data, (size_t)n, MSG_NOSIGNAL), err);
    ERR_clear_error();
    l->write_wanted = false;
    n = SSL_write(l->ssl, data, n);
    return n > 0 ? n : ssl_result(l, n, err);
}
