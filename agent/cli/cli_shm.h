/*
 * cli_shm: the directory of rings that a command looks at.
 *
 * Owns:   nothing.
 * Thread: main.
 */
#ifndef CLI_CLI_SHM_H
#define CLI_CLI_SHM_H

#include <stddef.h>

/*
 * The option, else HYDRANT_SHM_DIR, else by effective uid /dev/shm/hydrant (root and system users)
 * or /dev/shm/hydrant-UID: as the client library and the agent choose it.
 */
const char *cli_shm_dir(const char *option, char *buf, size_t cap);

/* A descriptor; or -1 after having said why. */
int cli_shm_open(const char *command, const char *dir);

#endif
