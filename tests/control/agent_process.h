/*
 * agent_process: an agent in a process of its own, with directories of its own, for tests that
 * start, watch and end it.
 *
 * Owns:   the directories and the child, from agent_dirs_make() to agent_dirs_remove().
 * Thread: the test's.
 */
#ifndef CONTROL_AGENT_PROCESS_H
#define CONTROL_AGENT_PROCESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm_client.h"

enum { AGENT_WAIT_MS = 60000, AGENT_TEXT_MAX = 1 << 16 };

struct agent_dirs {
    char root[64], shm[64];
    char data[96], out[96], config[96];     /* below root; none is made */
};

struct agent_process {
    pid_t pid;
    int stderr_fd;
    size_t seen;                /* bytes of text that agent_expect() has passed */
    size_t len;
    char text[AGENT_TEXT_MAX];  /* what it said so far */
};

/* Exit code of the child. */
typedef int (*agent_main_fn)(const struct agent_dirs *dirs);

static inline int agent_dirs_make(void **state)
{
    struct agent_dirs *d = calloc(1, sizeof(*d));

    if (d == NULL)
        return -1;
    snprintf(d->root, sizeof(d->root), "/var/tmp/hydrant-agent-XXXXXX");
    snprintf(d->shm, sizeof(d->shm), "/dev/shm/hydrant-agent-XXXXXX");
    if (mkdtemp(d->root) == NULL || mkdtemp(d->shm) == NULL)
        return -1;
    snprintf(d->data, sizeof(d->data), "%s/data", d->root);
    snprintf(d->out, sizeof(d->out), "%s/out", d->root);
    snprintf(d->config, sizeof(d->config), "%s/hydrant.ini", d->root);
    *state = d;
    return 0;
}

static inline int agent_dirs_remove_one(const char *path, const struct stat *st, int type,
                                        struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static inline int agent_dirs_remove(void **state)
{
    struct agent_dirs *d = *state;
    int r = nftw(d->root, agent_dirs_remove_one, 16, FTW_DEPTH | FTW_PHYS);

    r |= nftw(d->shm, agent_dirs_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(d);
    return r;
}

/* As dirs->config. */
static inline void agent_config_write(const struct agent_dirs *d, const char *text)
{
    FILE *file = fopen(d->config, "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static inline void agent_start(struct agent_process *a, const struct agent_dirs *d,
                               agent_main_fn fn)
{
    int fds[2];

    memset(a, 0, sizeof(*a));
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    (void)fflush(NULL);
    a->pid = fork();
    assert_true(a->pid >= 0);
    if (a->pid == 0) {
        /* It ends with the test; a test that fails ends by a signal. */
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || dup2(fds[1], STDERR_FILENO) < 0)
            _exit(99);
        _exit(fn(d));
    }
    close(fds[1]);
    a->stderr_fd = fds[0];
}

/* False: the end of its stderr. */
static inline bool agent_read(struct agent_process *a)
{
    struct pollfd fd = { .fd = a->stderr_fd, .events = POLLIN };
    ssize_t n;

    if (poll(&fd, 1, AGENT_WAIT_MS) != 1)
        fail_msg("nothing more in %d ms; it said:\n%s", AGENT_WAIT_MS, a->text);
    assert_true(a->len < sizeof(a->text) - 1);
    n = read(a->stderr_fd, a->text + a->len, sizeof(a->text) - 1 - a->len);
    assert_true(n >= 0);
    a->len += (size_t)n;
    a->text[a->len] = '\0';
    return n > 0;
}

/* Waits until it says these words, after those waited for before. */
static inline void agent_expect(struct agent_process *a, const char *words)
{
    const char *at;

    while ((at = strstr(a->text + a->seen, words)) == NULL)
        if (!agent_read(a))
            fail_msg("it ended without '%s'; it said:\n%s", words, a->text);
    a->seen = (size_t)(at - a->text) + strlen(words);
}

/* Waits for its end and expects an exit code. */
static inline void agent_end(struct agent_process *a, int code)
{
    int status;

    while (agent_read(a))
        ;
    close(a->stderr_fd);
    assert_int_equal(waitpid(a->pid, &status, 0), a->pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != code)
        fail_msg("status %#x, not exit code %d; it said:\n%s", (unsigned)status, code, a->text);
}

static inline void agent_signal(const struct agent_process *a, int number)
{
    assert_int_equal(kill(a->pid, number), 0);
}

/* A ring with events {"name":0}, {"name":1}, ... of stream orders; durable: until they are. */
static inline void agent_events_write(const struct agent_dirs *d, const char *name, unsigned count,
                                      bool durable)
{
    struct shmc_options opt = SHMC_OPTIONS_INIT;
    struct shmc *h;
    uint16_t id;

    opt.name = name;
    opt.shm_dir = d->shm;
    assert_int_equal(shmc_open(&opt, &h), 0);
    assert_int_equal(shmc_stream(h, "orders", &id), 0);
    for (unsigned i = 0; i < count; i++) {
        char text[64];
        int len = snprintf(text, sizeof(text), "{\"%s\":%u}", name, i);

        assert_int_equal(shmc_write(h, id, SHMC_JSON, text, (size_t)len), 0);
    }
    if (durable)
        assert_int_equal(shmc_flush(h, SHMC_DURABLE, AGENT_WAIT_MS * 1000000ULL), 0);
    assert_int_equal(shmc_close(h), 0);
}

#endif
