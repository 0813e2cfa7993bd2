/*
 * scratch: a directory of its own on tmpfs for each test, and what tests of processes need.
 *
 * scratch_setup and scratch_teardown are cmocka fixtures; *state is then a struct scratch.
 */
#ifndef TESTS_SCRATCH_H
#define TESTS_SCRATCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm_client.h"

struct scratch {
    char dir[64];
};

static inline int scratch_setup(void **state)
{
    struct scratch *scratch = calloc(1, sizeof(*scratch));

    if (scratch == NULL)
        return -1;
    (void)snprintf(scratch->dir, sizeof(scratch->dir), "/dev/shm/shmc-test-XXXXXX");
    *state = scratch;
    return mkdtemp(scratch->dir) == NULL ? -1 : 0;
}

static inline int scratch_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline int scratch_teardown(void **state)
{
    struct scratch *scratch = *state;
    int rc = nftw(scratch->dir, scratch_remove, 8, FTW_DEPTH | FTW_PHYS);

    free(scratch);
    return rc;
}

/* Files in dir, "." and ".." apart. */
static inline int scratch_count(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    int count = 0;

    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    (void)closedir(dir);
    return count;
}

/* Options for a small ring in the scratch directory. */
static inline struct shmc_options scratch_options(const struct scratch *scratch)
{
    struct shmc_options opt = SHMC_OPTIONS_INIT;

    opt.shm_dir = scratch->dir;
    opt.name = "test";
    opt.ring_bytes = 65536;
    return opt;
}

static inline struct shmc *scratch_open(const struct shmc_options *opt)
{
    struct shmc *h = NULL;
    int rc = shmc_open(opt, &h);

    if (rc != 0)
        fail_msg("shmc_open: %d: %s", rc, shmc_error(NULL));
    return h;
}

static inline uint16_t scratch_stream(struct shmc *h)
{
    uint16_t id = 0;

    assert_int_equal(shmc_stream(h, "events", &id), 0);
    return id;
}

/* A child that ran to its end: its exit code; one killed by a signal: -signal. */
static inline int child_wait(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* What a machine cannot do is skipped; continuous integration must be able to do everything. */
#define SKIP_UNLESS_CI(...)                                                                        \
    do {                                                                                           \
        const char *ci = getenv("CI");                                                             \
        if (ci != NULL && strcmp(ci, "true") == 0)                                                 \
            fail_msg(__VA_ARGS__);                                                                 \
        print_message(__VA_ARGS__);                                                                \
        print_message("\n");                                                                       \
        skip();                                                                                    \
    } while (0)

#endif
