/*
 * file_roots: paths as they really lead.
 *
 * Owns:   nothing.
 * Thread: any.
 */
#include "control/file_roots.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "control/routing.h"

static bool has_dots(const char *path)
{
    while (*path != '\0') {
        size_t len = strcspn(path, "/");

        if (len == 2 && path[0] == '.' && path[1] == '.')
            return true;
        path += len + (path[len] == '/');
    }
    return false;
}

static char *join(const char *directory, const char *name)
{
    struct bytes path = BYTES_INIT;
    char *text = NULL;

    if (bytes_printf(&path, "%s/%s", strcmp(directory, "/") == 0 ? "" : directory, name) == 0)
        text = bytes_take_cstr(&path);
    bytes_free(&path);
    return text;
}

/* Appends the components that are not there yet, without "." and doubled slashes. */
static char *join_rest(char *real, const char *rest)
{
    while (real != NULL && *rest != '\0') {
        size_t len = strcspn(rest, "/");

        if (len > 0 && !(len == 1 && rest[0] == '.')) {
            char *name = strndup(rest, len);
            char *longer = name != NULL ? join(real, name) : NULL;

            free(name);
            free(real);
            real = longer;
        }
        rest += len + (rest[len] == '/');
    }
    return real;
}

/* Of an absolute path without "..": as much of it as is there is made real. NULL: errno. */
static char *canonical(const char *path)
{
    char *front = strdup(path), *real = NULL;
    size_t len = front != NULL ? strlen(front) : 0;
    struct stat st;

    while (front != NULL && real == NULL) {
        real = realpath(len > 0 ? front : "/", NULL);
        if (real != NULL || len == 0)
            break;
        /* What is there and leads nowhere may lead anywhere tomorrow. */
        if (errno != ENOENT || lstat(front, &st) == 0)
            break;
        while (len > 0 && front[--len] != '/')
            ;
        front[len] = '\0';
    }
    free(front);
    return real != NULL ? join_rest(real, path + len) : NULL;
}

static char *canonical_absolute(const char *path)
{
    char *absolute = routing_absolute(path);
    char *real = absolute != NULL ? canonical(absolute) : NULL;

    free(absolute);
    return real;
}

/* Is it that directory, or in it? */
static bool below(const char *path, const char *directory)
{
    size_t len = strlen(directory);

    if (strcmp(directory, "/") == 0)
        return true;
    return strncmp(path, directory, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

static bool below_named(const char *path, const char *directory)
{
    char *real = canonical_absolute(directory);
    bool yes = real != NULL && below(path, real);

    free(real);
    return yes;
}

static bool reserved(const struct config *config, const char *path)
{
    static const char *const names[] = {"wal", "spool", "state"};
    bool found = below_named(path, config->wal.dir);

    for (size_t i = 0; !found && i < sizeof(names) / sizeof(names[0]); i++) {
        char *own = join(config->agent.data_dir, names[i]);

        found = own == NULL || below_named(path, own);
        free(own);
    }
    return found;
}

int file_roots_resolve(const struct config *config, const char *directory, char **ret_path,
                       struct errmsg *err)
{
    const struct config_list *roots = &config->http.file_roots;
    char *joined = NULL, *path;
    bool allowed = false;

    *ret_path = NULL;
    if (directory[0] == '\0' || strlen(directory) >= PATH_MAX || has_dots(directory))
        return errmsg_set(err, -EINVAL, "directory: '%.100s' is no path without '..'", directory);
    if (roots->count == 0)
        return errmsg_set(err, -EINVAL, "directory: [http] file_roots names none");
    if (directory[0] != '/') {
        joined = join(roots->items[0], directory);
        if (joined == NULL)
            return errmsg_set(err, -ENOMEM, "out of memory");
    }
    path = canonical_absolute(joined != NULL ? joined : directory);
    free(joined);
    if (path == NULL)
        return errmsg_set(err, -EINVAL, "directory: '%.100s': %s", directory, strerror(errno));
    for (size_t i = 0; !allowed && i < roots->count; i++)
        allowed = below_named(path, roots->items[i]);
    if (allowed && !reserved(config, path)) {
        *ret_path = path;
        return 0;
    }
    errmsg_set(err, -EINVAL, allowed ? "directory: '%.100s' is the agent's own"
                                     : "directory: '%.100s' is not below a directory of [http] "
                                       "file_roots", directory);
    free(path);
    return -EINVAL;
}
