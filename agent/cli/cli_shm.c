/*
 * cli_shm: where the rings are.
 *
 * Owns:   nothing.
 * Thread: main.
 */
#include "cli/cli_shm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli_exit.h"
#include "io/file.h"

enum { UID_SYSTEM_MAX = 999 };

const char *cli_shm_dir(const char *option, char *buf, size_t cap)
{
    const char *env = getenv("HYDRANT_SHM_DIR");
    unsigned uid = (unsigned)geteuid();

    if (option != NULL)
        return option;
    if (env != NULL && env[0] != '\0')
        return env;
    if (uid <= UID_SYSTEM_MAX)
        (void)snprintf(buf, cap, "/dev/shm/hydrant");
    else
        (void)snprintf(buf, cap, "/dev/shm/hydrant-%u", uid);
    return buf;
}

int cli_shm_open(const char *command, const char *dir)
{
    int fd = file_open(FILE_CWD, dir, O_RDONLY | O_DIRECTORY, 0);

    if (fd >= 0)
        return fd;
    (void)cli_fail(command, "%s: %s%s", dir, strerror(-fd),
                   fd == -ENOENT ? " (no producer and no agent has been here)" : "");
    return -1;
}
