/*
 * file_mkdirs: directories that are still there after a power cut. Made of other calls of file.h
 * alone, so that the simulated host has this very code.
 *
 * Owns:   nothing.
 * Thread: any; no state.
 */
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

static int above_sync(int dir, const char *path)
{
    char above[PATH_MAX] = ".";
    const char *slash = strrchr(path, '/');
    int fd, r;

    if (slash) {
        size_t len = slash == path ? 1 : (size_t)(slash - path);

        memcpy(above, path, len);
        above[len] = '\0';
    }
    fd = file_open(dir, above, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return fd;
    r = file_sync(fd);
    file_close(fd);
    return r;
}

/* The last directory of the path, and a synced name for it. */
static int folder_make(int dir, const char *path, mode_t mode)
{
    struct file_stat st;
    bool made = file_stat_at(dir, path, &st) == -ENOENT;
    int r = file_mkdir(dir, path, mode);

    if (r)
        return r;
    r = above_sync(dir, path);
    /* Where we may not read or nobody may write, it is none that we have made. */
    if (!made && (r == -EACCES || r == -EROFS || r == -EINVAL))
        return 0;
    /* What of a failed sync is on the disk no later one would tell: the next try makes it anew. */
    if (r && made)
        file_rmdir(dir, path);
    return r;
}

int file_mkdirs(int dir, const char *path, mode_t mode)
{
    char part[PATH_MAX];
    size_t len = strlen(path);

    if (len == 0)
        return -ENOENT;
    if (len >= sizeof(part))
        return -ENAMETOOLONG;
    memcpy(part, path, len + 1);
    for (size_t i = 1; i <= len; i++) {
        int r;

        if ((part[i] != '/' && part[i] != '\0') || part[i - 1] == '/')
            continue;
        part[i] = '\0';
        r = folder_make(dir, part, mode);
        if (r)
            return r;
        part[i] = path[i];
    }
    return 0;
}
