/*
 * relay_link: a connection between two agents: a socket that does not block, and TLS over it where
 * that is asked for. Only this file of the relay sees OpenSSL's connections.
 *
 * Owns:   a link its socket; a context of TLS is shared by its links.
 * Thread: a link one at a time.
 */
#ifndef SINK_RELAY_LINK_H
#define SINK_RELAY_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/errmsg.h"

struct relay_tls;                       /* certificates and whom to trust */

struct relay_tls_files {                /* PEM; "": none */
    const char *cert_file, *key_file;
    const char *ca_file;                /* listener: "" asks nobody; sender: "" is the system's */
};

/* 0 or -errno with a text. */
int relay_tls_open(bool listener, const struct relay_tls_files *files, struct relay_tls **ret_tls,
                   struct errmsg *err);
void relay_tls_close(struct relay_tls *tls);    /* NULL is fine */

struct relay_link {
    int fd;                             /* owned; -1: none */
    void *ssl;                          /* owned; NULL: no TLS */
    bool connecting;
    bool write_wanted;                  /* by TLS, to go on with either direction */
};

#define RELAY_LINK_INIT ((struct relay_link){.fd = -1})

/* Begins to connect to "HOST:PORT". May wait for a name server. 0 or -errno with a text. */
int relay_link_connect(struct relay_link *l, const char *address, struct relay_tls *tls,
                       struct errmsg *err);
/* The socket has become writable: is it connected? 0 or -errno with a text. */
int relay_link_connected(struct relay_link *l, struct errmsg *err);
/* Takes a socket that was accepted. 0, or -ENOMEM: then it is closed. */
int relay_link_accept(struct relay_link *l, int fd, struct relay_tls *tls);
void relay_link_close(struct relay_link *l);    /* as often as one likes */

/*
 * Makes of what a peer calls itself what it is known by: where it has shown a certificate that was
 * verified, the subject in it counts too, so that nobody else can speak for it. 0 or -ENOMEM.
 */
int relay_link_identity(const struct relay_link *l, uint8_t identity[16]);

/* Bytes; -EAGAIN: none now; -ECONNRESET: no more, or another -errno, with a text. */
int64_t relay_link_read(struct relay_link *l, void *buf, size_t cap, struct errmsg *err);
int64_t relay_link_write(struct relay_link *l, const void *data, size_t len, struct errmsg *err);

#endif
