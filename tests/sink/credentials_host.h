/*
 * credentials_host: an environment and a home directory of a test's own.
 *
 * Owns:   the directory, until host_fini().
 * Thread: main.
 */
#ifndef SINK_CREDENTIALS_HOST_H
#define SINK_CREDENTIALS_HOST_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct host {
    char dir[64];
    const char *env;            /* "NAME=value NAME=value", a value "~x" is DIR x */
    char value[8][PATH_MAX];    /* of the last questions */
    unsigned next;
};

static inline const char *host_env(void *ctx, const char *name)
{
    struct host *h = ctx;
    size_t len = strlen(name);
    char *to = h->value[h->next++ % 8];

    if (strcmp(name, "HOME") == 0)
        return h->dir;
    for (const char *at = h->env; at != NULL && *at != '\0'; at += *at == ' ') {
        int end = (int)strcspn(at, " ");

        if (strncmp(at, name, len) == 0 && at[len] == '=') {
            at += len + 1;
            end -= (int)len + 1;
            (void)snprintf(to, PATH_MAX, "%s%.*s", *at == '~' ? h->dir : "",
                           *at == '~' ? end - 1 : end, *at == '~' ? at + 1 : at);
            return to;
        }
        at += end;
    }
    return NULL;
}

/* NULL: takes the file away. */
static inline void host_file(struct host *h, const char *name, const char *text)
{
    char path[PATH_MAX];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%s", h->dir, name);
    if (text == NULL) {
        (void)unlink(path);
        return;
    }
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
}

static inline void host_init(struct host *h)
{
    char path[PATH_MAX];

    *h = (struct host){ .dir = "/tmp/hydrant-credentials-XXXXXX" };
    assert_non_null(mkdtemp(h->dir));
    (void)snprintf(path, sizeof(path), "%s/.aws", h->dir);
    assert_int_equal(mkdir(path, 0700), 0);
}

static inline void host_fini(struct host *h)
{
    static const char *const names[] = { ".aws/credentials", ".aws/config", "token", "other" };
    char path[PATH_MAX];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        host_file(h, names[i], NULL);
    (void)snprintf(path, sizeof(path), "%s/.aws", h->dir);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rmdir(h->dir), 0);
}

#endif
