/*
 * lttng: LTTng-UST's session daemon, control and traces.
 *
 * All of it is done in a child: a daemon that root starts serves the whole host from /run, so root
 * becomes nobody there, whose daemon keeps to LTTNG_HOME. That is a folder below /var/tmp: traces
 * are for a disk. Buffers are 16 of 1 MiB for each processor, full ones discard events. The child
 * leads a process group, of which nothing is left when the run ends.
 *
 * Owns:   the folder, the daemon, the producer, until lttng_measure() returns.
 * Thread: one.
 * Units:  nanoseconds.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "benchmarks/transports/lttng.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <lttng/lttng.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "benchmarks/harness.h"
#include "cli/cli_bench_peer.h"
#include "io/file.h"

#define SESSION "hydrant-bench"
#define CHANNEL "events"

enum { NOBODY = 65534, START_SECONDS = 10, ALARM_SECONDS = 60, BUFFERS = 16,
       BUFFER_BYTES = 1 << 20 };

extern int lttng_opt_quiet; /* liblttng-ctl's, which no header of it declares */

struct lttng_run {
    const struct run_options *opt;
    char home[64];
    int producer_fd; /* the program, opened before root is given up: nobody may not see its path */
    pid_t daemon;    /* 0: none */
    uint64_t sent, received, discarded;
    double cost_ns;
    uint64_t start_ns, end_ns, cpu_ns;
};

/* What the child has measured, in its page. */
enum { OF_SENT, OF_RECEIVED, OF_COST, OF_SECONDS, OF_CPU };

/* --- processes ------------------------------------------------------------------------------ */

/* fd >= 0: the program, else argv[0] in the PATH. out >= 0: its standard output. */
static pid_t program_start(int cpu, int fd, int out, const char *const *argv)
{
    char *const *args = (char *const *)(uintptr_t)argv; /* exec() changes nothing in them */
    pid_t parent = getpid(), pid = fork();
    struct errmsg err;
    sigset_t none;

    if (pid != 0)
        return pid;
    (void)sigemptyset(&none);
    if (sigprocmask(SIG_SETMASK, &none, NULL) != 0 || prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 ||
        getppid() != parent || peer_pin(cpu, &err) != 0 || (out >= 0 && dup2(out, 1) < 0))
        _exit(126);
    if (fd >= 0)
        (void)fexecve(fd, args, environ);
    else
        (void)execvp(args[0], args);
    _exit(127);
}

static int nobody_become(const char *home, struct errmsg *err)
{
    if (geteuid() == 0 && (setgroups(0, NULL) != 0 || setgid(NOBODY) != 0 || setuid(NOBODY) != 0))
        return errmsg_set_errno(err, -errno, "becoming nobody");
    /* The change of identity took it away. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || chdir(home) != 0 ||
        setenv("LTTNG_HOME", home, 1) != 0 || setenv("HOME", home, 1) != 0 ||
        setenv("LTTNG_UST_REGISTER_TIMEOUT", "10000", 1) != 0)
        return errmsg_set_errno(err, -errno, "'%s'", home);
    return 0;
}

/* It says by a signal that it is ready. */
static int daemon_start(struct lttng_run *run, struct errmsg *err)
{
    static const char *const argv[] = {"lttng-sessiond", "--no-kernel", "--sig-parent", "--quiet",
                                       NULL};
    struct timespec wait = {.tv_sec = START_SECONDS};
    sigset_t awaited;
    int number;

    (void)sigemptyset(&awaited);
    (void)sigaddset(&awaited, SIGUSR1);
    (void)sigaddset(&awaited, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &awaited, NULL) != 0)
        return errmsg_set_errno(err, -errno, "signals");
    run->daemon = program_start(run->opt->consumer_cpu, -1, -1, argv);
    if (run->daemon < 0)
        return errmsg_set_errno(err, -errno, "fork");
    do {
        number = sigtimedwait(&awaited, NULL, &wait);
    } while (number < 0 && errno == EINTR);
    return number == SIGUSR1 ? 0 : errmsg_set(err, -ESRCH, "lttng-sessiond does not start");
}

static void daemon_stop(struct lttng_run *run)
{
    if (run->daemon > 0 && kill(run->daemon, SIGTERM) == 0)
        while (waitpid(run->daemon, NULL, 0) < 0 && errno == EINTR)
            continue;
}

static uint64_t process_cpu_ns(pid_t pid)
{
    struct timespec ts;
    clockid_t clock;

    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &ts) != 0)
        return 0; /* it has ended */
    return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

/* Of the daemon and of the consumer that one of its threads has started. */
static uint64_t consumer_cpu_ns(const struct lttng_run *run)
{
    uint64_t sum = process_cpu_ns(run->daemon);
    char path[320], children[256];
    struct dirent *thread;
    DIR *threads;

    (void)snprintf(path, sizeof(path), "/proc/%ld/task", (long)run->daemon);
    threads = opendir(path);
    while (threads != NULL && (thread = readdir(threads)) != NULL) {
        FILE *file;

        (void)snprintf(path, sizeof(path), "/proc/%ld/task/%s/children", (long)run->daemon,
                       thread->d_name);
        file = fopen(path, "re");
        if (file == NULL)
            continue;
        if (fgets(children, sizeof(children), file) != NULL) {
            char *at = children, *end;
            long pid;

            for (; (pid = strtol(at, &end, 10)) > 0 && end != at; at = end)
                sum += process_cpu_ns((pid_t)pid);
        }
        (void)fclose(file);
    }
    if (threads != NULL)
        (void)closedir(threads);
    return sum;
}

/* --- control -------------------------------------------------------------------------------- */

static int refused(struct errmsg *err, int code, const char *what)
{
    return errmsg_set(err, -EIO, "LTTng: %s: %s", what, lttng_strerror(code));
}

static int session_start(struct lttng_handle *handle, struct lttng_domain *domain,
                         struct errmsg *err)
{
    struct lttng_channel *channel = lttng_channel_create(domain);
    struct lttng_event *event = lttng_event_create();
    int code = -LTTNG_ERR_NOMEM;

    if (channel != NULL && event != NULL) {
        (void)snprintf(channel->name, sizeof(channel->name), "%s", CHANNEL);
        channel->attr.overwrite = 0;
        channel->attr.subbuf_size = BUFFER_BYTES;
        channel->attr.num_subbuf = BUFFERS;
        channel->attr.output = LTTNG_EVENT_MMAP;
        event->type = LTTNG_EVENT_TRACEPOINT;
        event->loglevel_type = LTTNG_EVENT_LOGLEVEL_ALL;
        (void)snprintf(event->name, sizeof(event->name), "hydrant_bench:event");
        code = lttng_enable_channel(handle, channel);
        if (code == 0)
            code = lttng_enable_event(handle, event, CHANNEL);
        if (code == 0)
            code = lttng_start_tracing(SESSION);
    }
    lttng_channel_destroy(channel);
    lttng_event_destroy(event);
    return code >= 0 ? 0 : refused(err, code, "starting to trace");
}

/* Until everything is in files; then what could not be. */
static int session_stop(struct lttng_run *run, struct lttng_handle *handle, struct errmsg *err)
{
    struct lttng_channel *channels = NULL;
    int code = lttng_stop_tracing_no_wait(SESSION), count;

    while (code >= 0 && (code = lttng_data_pending(SESSION)) == 1)
        (void)poll(NULL, 0, 1);
    run->end_ns = bench_now_ns();
    if (code < 0)
        return refused(err, code, "stopping");
    count = lttng_list_channels(handle, &channels);
    code = count == 1 ? lttng_channel_get_discarded_event_count(channels, &run->discarded)
                      : count < 0 ? count : -LTTNG_ERR_UST_CHAN_NOT_FOUND;
    free(channels);
    return code == 0 ? 0 : refused(err, code, "discarded events");
}

static int producer_run(struct lttng_run *run, struct errmsg *err)
{
    char bytes[16], seconds[32], line[128] = "";
    const char *argv[] = {"lttng_producer", bytes, seconds,
                          run->opt->mode == RUN_COST ? "burst" : "flat", NULL};
    unsigned long long sent, start_ns, cpu_ns;
    int ends[2], status = 0;
    FILE *file;
    pid_t pid;

    (void)snprintf(bytes, sizeof(bytes), "%u", run->opt->event_bytes);
    (void)snprintf(seconds, sizeof(seconds), "%.6f", run->opt->seconds);
    if (pipe2(ends, O_CLOEXEC) != 0)
        return errmsg_set_errno(err, -errno, "pipe");
    pid = program_start(run->opt->producer_cpu, run->producer_fd, ends[1], argv);
    file_close(ends[1]);
    file = fdopen(ends[0], "r");
    if (file == NULL || pid < 0 || fgets(line, sizeof(line), file) == NULL)
        line[0] = '\0';
    if (file != NULL)
        (void)fclose(file);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (status != 0 || sscanf(line, "%llu %lf %llu %llu", &sent, &run->cost_ns, &start_ns,
                              &cpu_ns) != 4)
        return errmsg_set(err, -ECHILD, "lttng_producer failed, status %d", status);
    run->sent = sent;
    run->start_ns = start_ns;
    run->cpu_ns += cpu_ns;
    return 0;
}

static int session_run(struct lttng_run *run, struct errmsg *err)
{
    struct lttng_domain domain = {.type = LTTNG_DOMAIN_UST, .buf_type = LTTNG_BUFFER_PER_UID};
    struct lttng_handle *handle;
    char url[128];
    int code, rc;

    (void)snprintf(url, sizeof(url), "file://%s/trace", run->home);
    code = lttng_create_session(SESSION, url);
    if (code < 0)
        return refused(err, code, url);
    handle = lttng_create_handle(SESSION, &domain);
    if (handle == NULL)
        return errmsg_set_errno(err, -ENOMEM, "handle");
    rc = session_start(handle, &domain, err);
    if (rc == 0) {
        uint64_t cpu_ns = consumer_cpu_ns(run);

        rc = producer_run(run, err);
        if (rc == 0)
            rc = session_stop(run, handle, err);
        run->cpu_ns += consumer_cpu_ns(run) - cpu_ns;
    }
    lttng_destroy_handle(handle);
    return rc;
}

/* --- trace ---------------------------------------------------------------------------------- */

/* Where events lie between headers and padding their numbers say. */
static int bytes_scan(const uint8_t *data, uint64_t size, struct tally *tally)
{
    int rc = 0;

    for (uint64_t at = 0; rc == 0 && at + tally->bytes <= size;) {
        if (!tally_fits(tally, data + at)) {
            at++;
            continue;
        }
        rc = tally_add(tally, data + at);
        at += tally->bytes;
    }
    return rc;
}

static int file_scan(const char *path, uint32_t bytes, uint64_t *received)
{
    struct tally tally;
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC), rc = 0;
    void *map;

    if (fd < 0 || fstat(fd, &st) != 0) {
        rc = -errno;
    } else if (st.st_size > 0) {
        map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        rc = map == MAP_FAILED ? -errno : 0;
        tally_init(&tally, bytes, 1);
        if (rc == 0)
            rc = bytes_scan(map, (uint64_t)st.st_size, &tally);
        if (map != MAP_FAILED)
            (void)munmap(map, (size_t)st.st_size);
        *received += tally.received;
    }
    file_close(fd);
    return rc;
}

/* nftw() knows no context. */
static struct lttng_run *scanned;

static int trace_visit(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    if (type != FTW_F || strncmp(path + ftw->base, CHANNEL "_", strlen(CHANNEL "_")) != 0 ||
        strstr(path, ".idx") != NULL)
        return 0;
    return file_scan(path, scanned->opt->event_bytes, &scanned->received);
}

/* A file for each processor. */
static int trace_check(struct lttng_run *run, struct errmsg *err)
{
    char path[80];
    int rc;

    (void)snprintf(path, sizeof(path), "%s/trace", run->home);
    scanned = run;
    rc = nftw(path, trace_visit, 16, FTW_PHYS);
    if (rc != 0)
        return errmsg_set_errno(err, rc < -1 ? rc : -errno, "reading the trace");
    if (run->received + run->discarded == run->sent)
        return 0;
    return errmsg_set(err, -EBADMSG,
                      "of %llu events LTTng has discarded %llu, and %llu are in its files",
                      (unsigned long long)run->sent, (unsigned long long)run->discarded,
                      (unsigned long long)run->received);
}

/* --- run ------------------------------------------------------------------------------------ */

static int child_run(struct peer_page *page, void *ctx, struct errmsg *err)
{
    struct lttng_run *run = ctx;
    int rc;

    (void)alarm((unsigned int)run->opt->seconds + ALARM_SECONDS);
    /* A signal to the bench's group is the bench's to judge; and the group can be ended as one. */
    if (setsid() < 0)
        return errmsg_set_errno(err, -errno, "setsid");
    lttng_opt_quiet = 1;
    rc = nobody_become(run->home, err);
    if (rc != 0)
        return rc;
    peer_ready(page);
    rc = daemon_start(run, err);
    if (rc == 0)
        rc = session_run(run, err);
    daemon_stop(run);
    if (rc == 0)
        rc = trace_check(run, err);
    page->values[OF_SENT] = (double)run->sent;
    page->values[OF_RECEIVED] = (double)run->received;
    page->values[OF_COST] = run->cost_ns;
    page->values[OF_SECONDS] = (double)(run->end_ns - run->start_ns) / 1e9;
    page->values[OF_CPU] = (double)run->cpu_ns;
    return rc;
}

/* The program lies beside ours. */
static int producer_open(int *ret_fd, struct errmsg *err)
{
    char path[4096];
    ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - sizeof("lttng_producer"));

    if (len < 0)
        return errmsg_set_errno(err, -errno, "/proc/self/exe");
    path[len] = '\0';
    memcpy(strrchr(path, '/') + 1, "lttng_producer", sizeof("lttng_producer"));
    *ret_fd = open(path, O_RDONLY | O_CLOEXEC);
    return *ret_fd >= 0 ? 0 : errmsg_set_errno(err, -errno, "'%s'", path);
}

static void result_fill(const double *values, struct run_result *ret_result)
{
    ret_result->sent = (uint64_t)values[OF_SENT];
    ret_result->lost = (uint64_t)(values[OF_SENT] - values[OF_RECEIVED]);
    ret_result->cost_ns = values[OF_COST];
    ret_result->events_per_s = values[OF_RECEIVED] / values[OF_SECONDS];
    ret_result->cpu_ns = values[OF_CPU] / values[OF_RECEIVED];
}

int lttng_measure(const struct run_options *opt, struct run_result *ret_result,
                  struct errmsg *err)
{
    struct lttng_run run = {.opt = opt, .home = "/var/tmp/hydrant-bench-XXXXXX",
                            .producer_fd = -1};
    struct peer peer = {0};
    int rc = producer_open(&run.producer_fd, err);
    pid_t group = 0;

    if (rc != 0)
        return rc;
    if (mkdtemp(run.home) == NULL) {
        rc = errmsg_set_errno(err, -errno, "'%s'", run.home);
        file_close(run.producer_fd);
        return rc;
    }
    if (geteuid() == 0 && chown(run.home, NOBODY, NOBODY) != 0)
        rc = errmsg_set_errno(err, -errno, "'%s'", run.home);
    if (rc == 0)
        rc = peer_start(&peer, -1, child_run, &run, err);
    if (rc == 0) {
        group = peer.pid;
        rc = peer_join(&peer, err);
    }
    if (group > 0 && kill(-group, SIGKILL) != 0 && errno != ESRCH && rc == 0)
        rc = errmsg_set_errno(err, -errno, "LTTng's processes");
    if (rc == 0)
        result_fill(peer.page->values, ret_result);
    (void)peer_stop(&peer, NULL);
    if (bench_remove_tree(run.home) != 0 && rc == 0)
        rc = errmsg_set(err, -EIO, "'%s' cannot be removed", run.home);
    file_close(run.producer_fd);
    return rc;
}
