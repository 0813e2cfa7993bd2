/*
 * cli_write: everything to a descriptor, past stdio.
 * Owns:   nothing.
 * Thread: any.
 */
#include "cli/cli_write.h"

#include <errno.h>
#include <stdint.h>
#include <unistd.h>

int cli_write(int fd, const void *data, size_t len)
{
    const uint8_t *at = data;

    while (len > 0) {
        ssize_t n = write(fd, at, len);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        }
    }
    return 0;
}
