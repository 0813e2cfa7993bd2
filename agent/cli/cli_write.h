/*
 * cli_write: everything to a descriptor, past stdio: to a terminal, a socket, a pipe.
 *
 * Owns:   nothing.
 * Thread: any.
 */
#ifndef CLI_CLI_WRITE_H
#define CLI_CLI_WRITE_H

#include <stddef.h>

/* To a blocking descriptor: all of it, whatever interrupts. 0 or -errno. */
int cli_write(int fd, const void *data, size_t len);

#endif
