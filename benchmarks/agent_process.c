/*
 * agent_process: an agent of its own for a benchmark.
 * Owns:   the process, the data directory.
 * Thread: one.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "benchmarks/agent_process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli_bench_peer.h"
#include "shm_client.h"

#define READY_SLICES   60
#define READY_SLICE_NS 500000000U
#define STOP_MS_MAX    60000 /* twice what the agent itself allows for delivery */

static int dir_make(struct agent_process *a, const struct bench *b, struct errmsg *err)
{
    struct statfs fs;

    if (mkdir("build", 0755) != 0 && errno != EEXIST)
        return errmsg_set_errno(err, -errno, "'build'");
    if (mkdir(b->dir, 0755) != 0 && errno != EEXIST)
        return errmsg_set_errno(err, -errno, "'%s'", b->dir);
    if (statfs(b->dir, &fs) != 0)
        return errmsg_set_errno(err, -errno, "'%s'", b->dir);
    if (fs.f_type == TMPFS_MAGIC)
        return errmsg_set(err, -EMEDIUMTYPE, "'%s' is on tmpfs; --dir names a real file system",
                          b->dir);
    if (snprintf(a->dir, sizeof(a->dir), "%s/agent-XXXXXX", b->dir) >= (int)sizeof(a->dir))
        return errmsg_set(err, -ENAMETOOLONG, "'%s'", b->dir);
    if (mkdtemp(a->dir) == NULL)
        return errmsg_set_errno(err, -errno, "'%s'", a->dir);
    return 0;
}

/* In the child. Its words go to agent.log, beside the data. config NULL: the embedded one. */
static void agent_exec(const struct agent_process *a, const char *program, const char *config,
                       pid_t parent)
{
    char log[300], data[300], file[300];
    int fd;

    (void)snprintf(log, sizeof(log), "%s/agent.log", a->dir);
    (void)snprintf(data, sizeof(data), "%s/data", a->dir);
    fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0 ||
        prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
        _exit(127);
    (void)snprintf(file, sizeof(file), "%s/agent.ini", a->dir);
    if (config != NULL)
        (void)execl(program, program, "agent", "-c", file, "--data-dir", data, "--shm-dir",
                    a->shm_dir, "--http", "off", (char *)NULL);
    else
        (void)execl(program, program, "agent", "--data-dir", data, "--shm-dir", a->shm_dir,
                    "--http", "off", (char *)NULL);
    (void)fprintf(stderr, "%s: %s\n", program, strerror(errno));
    _exit(127);
}

static int gone(struct agent_process *a, int status, struct errmsg *err)
{
    a->pid = 0;
    if (WIFSIGNALED(status))
        return errmsg_set(err, -ECHILD, "the agent died of signal %d, see %s/agent.log",
                          WTERMSIG(status), a->dir);
    return errmsg_set(err, -ECHILD, "the agent ended with code %d, see %s/agent.log",
                      WEXITSTATUS(status), a->dir);
}

/* An event all the way to its file: the agent is up and has everything in its caches. */
static int agent_wait_ready(struct agent_process *a, struct errmsg *err)
{
    struct shmc_options opt = SHMC_OPTIONS_INIT;
    struct shmc *ring;
    uint16_t stream;
    int rc, status;

    opt.name = "ready";
    opt.shm_dir = a->shm_dir;
    rc = shmc_open(&opt, &ring);
    if (rc != 0)
        return errmsg_set(err, rc, "%s", shmc_error(NULL));
    rc = shmc_stream(ring, "ready", &stream);
    if (rc == 0)
        rc = shmc_write(ring, stream, SHMC_JSON, "{}", 2);
    if (rc == 0)
        rc = -ETIMEDOUT;
    for (int i = 0; rc == -ETIMEDOUT && i < READY_SLICES && !bench_stopped(); i++) {
        rc = shmc_flush(ring, SHMC_DELIVERED, READY_SLICE_NS);
        if (waitpid(a->pid, &status, WNOHANG) != 0) {
            (void)shmc_close(ring);
            return gone(a, status, err);
        }
    }
    if (rc != 0)
        (void)errmsg_set_errno(err, rc, "the first event was not delivered, see %s/agent.log",
                               a->dir);
    (void)shmc_close(ring);
    return rc;
}

static int config_write(const struct agent_process *a, const char *config, struct errmsg *err)
{
    char path[300];
    FILE *file;
    bool ok;

    (void)snprintf(path, sizeof(path), "%s/agent.ini", a->dir);
    file = fopen(path, "we");
    ok = file != NULL && fputs(config, file) >= 0;
    if (file != NULL && fclose(file) != 0)
        ok = false;
    return ok ? 0 : errmsg_set_errno(err, -errno, "'%s'", path);
}

int agent_start(struct agent_process *a, struct bench *b, struct errmsg *err)
{
    return agent_start_with(a, b, NULL, err);
}

int agent_start_with(struct agent_process *a, struct bench *b, const char *config,
                     struct errmsg *err)
{
    const char *program = getenv("HYDRANT_BIN");
    pid_t parent = getpid();
    int rc;

    memset(a, 0, sizeof(*a));
    a->shm_dir = bench_shm_dir(b, err);
    if (a->shm_dir == NULL)
        return -EIO;
    if (program == NULL || program[0] == '\0')
        program = "build/hydrant";
    if (access(program, X_OK) != 0)
        return errmsg_set_errno(err, -errno, "'%s' (make builds it; HYDRANT_BIN names another)",
                                program);
    rc = dir_make(a, b, err);
    if (rc == 0 && config != NULL)
        rc = config_write(a, config, err);
    if (rc != 0)
        return rc;
    (void)fflush(NULL);
    a->pid = fork();
    if (a->pid == 0) {
        if (peer_pin(bench_cpu(b, 0), err) != 0)
            _exit(127);
        agent_exec(a, program, config, parent);
    }
    if (a->pid < 0) {
        a->pid = 0;
        return errmsg_set_errno(err, -errno, "fork");
    }
    return agent_wait_ready(a, err);
}

double agent_cpu_seconds(const struct agent_process *a)
{
    struct timespec ts;
    clockid_t clock;

    if (clock_getcpuclockid(a->pid, &clock) != 0 || clock_gettime(clock, &ts) != 0)
        return -1;
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

double agent_memory_peak_mib(const struct agent_process *a)
{
    char path[64], line[256];
    double kib = -1024;
    FILE *file;

    (void)snprintf(path, sizeof(path), "/proc/%ld/status", (long)a->pid);
    file = fopen(path, "re");
    if (file == NULL)
        return -1;
    while (fgets(line, sizeof(line), file) != NULL)
        if (strncmp(line, "VmHWM:", 6) == 0)
            kib = strtod(line + 6, NULL);
    (void)fclose(file);
    return kib / 1024;
}

void agent_stream_dir(const struct agent_process *a, const char *stream, char *ret_path,
                      size_t cap)
{
    (void)snprintf(ret_path, cap, "%s/data/out/%s", a->dir, stream);
}

/* 1: it has ended, 0: not within STOP_MS_MAX, or -errno. */
static int wait_ended(pid_t pid)
{
    struct pollfd ended = {.fd = pidfd_open(pid, 0), .events = POLLIN};
    int rc;

    if (ended.fd < 0)
        return -errno;
    do {
        rc = poll(&ended, 1, STOP_MS_MAX);
    } while (rc < 0 && errno == EINTR);
    rc = rc < 0 ? -errno : rc;
    (void)close(ended.fd);
    return rc;
}

int agent_stop(struct agent_process *a, struct errmsg *err)
{
    int rc, status;

    if (a->pid == 0)
        return 0;
    if (kill(a->pid, SIGTERM) != 0)
        return errmsg_set_errno(err, -errno, "stopping the agent");
    rc = wait_ended(a->pid);
    if (rc != 1)
        (void)kill(a->pid, SIGKILL); /* ours, and not yet waited for: the number is still its own */
    while (waitpid(a->pid, &status, 0) < 0)
        if (errno != EINTR)
            return errmsg_set_errno(err, -errno, "stopping the agent");
    if (rc != 1 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return gone(a, status, err);
    a->pid = 0;
    return 0;
}

int agent_remove(struct agent_process *a, struct errmsg *err)
{
    int rc = bench_remove_tree(a->dir);

    return rc == 0 ? 0 : errmsg_set_errno(err, rc, "'%s'", a->dir);
}
