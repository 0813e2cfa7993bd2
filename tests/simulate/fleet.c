/*
 * fleet: see fleet.h.
 *
 * Owns:   the memory that children report in, their output.
 * Thread: one.
 */
#include "simulate/fleet.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "simulate/lives.h"

typedef unsigned long long ull;

enum {
    JOBS_MAX = 16,
    RUN_SEEDS = 32,                     /* of one child: what crashed lives leave stays small */
    SEED_SECONDS_MAX = 120,             /* of one seed: longer is stuck */
    TEXT_MAX = 16384
};

/* Shared with one child. */
struct report {
    uint64_t cover[COVER_COUNT];
    uint64_t seed, hash;
};

struct child {
    pid_t pid;                          /* 0: none */
    int text;
    uint64_t next, end;                 /* its seeds; next: not begun when it was made */
    struct report *report;
};

struct crew {
    const struct fleet *fleet;
    struct child child[JOBS_MAX];
    struct report *reports;             /* owned */
    uint64_t next, end, done;
    struct fleet_result *result;
    bool stop;
};

static void give_up(const char *what)
{
    fprintf(stderr, "simulate: %s: %s\n", what, strerror(errno));
    exit(2);
}

static double seconds_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* ---- In the child ---- */

static void child_main(const struct fleet *fleet, const struct child *c)
{
    struct scenario sc;

    /* What is freed is used again: pages of the next life are not faulted in anew. */
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    if (!fleet->verbose && dup2(c->text, STDERR_FILENO) < 0)
        _exit(2);
    if (fleet->verbose)
        setenv("SIM_AGENT_LOG", "1", 1);
    for (uint64_t seed = c->next; seed < c->end; seed++) {
        c->report->seed = seed;
        alarm(SEED_SECONDS_MAX);
        scenario_make(seed, &sc);
        c->report->hash += lives_run(&sc, c->report->cover, fleet->verbose);
        if (!fleet->verbose && lseek(c->text, 0, SEEK_SET) == 0 && ftruncate(c->text, 0) != 0)
            _exit(2);
    }
    _exit(0);
}

/* ---- In the parent ---- */

static void child_begin(struct crew *crew, struct child *c)
{
    if (c->next == c->end) {
        c->next = crew->next;
        c->end = crew->end - crew->next < RUN_SEEDS ? crew->end : crew->next + RUN_SEEDS;
        crew->next = c->end;
    }
    c->text = memfd_create("simulate", MFD_CLOEXEC);
    if (c->text < 0)
        give_up("memfd_create");
    fflush(NULL);
    c->pid = fork();
    if (c->pid < 0)
        give_up("fork");
    if (c->pid == 0)
        child_main(crew->fleet, c);
}

static void failure_print(const struct child *c, uint64_t seed, int status)
{
    static char text[TEXT_MAX];
    struct scenario sc;
    char words[SCENARIO_TEXT_MAX];
    off_t end = lseek(c->text, 0, SEEK_END), from = end > TEXT_MAX ? end - TEXT_MAX : 0;
    ssize_t n = pread(c->text, text, sizeof(text), from);

    scenario_make(seed, &sc);
    scenario_format(&sc, words);
    fprintf(stderr, "\nseed %llu does not hold (%s %d)\n%s%.*s", (ull)seed,
            WIFSIGNALED(status) ? "signal" : "exit code",
            WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), words,
            n > 0 ? (int)n : 0, text);
    fprintf(stderr, "replay: make simulate SEED=%llu SEEDS=1 VERBOSE=1\n", (ull)seed);
}

static void child_end(struct crew *crew, struct child *c, int status)
{
    uint64_t seed = c->report->seed;

    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        crew->done += c->end - c->next;
        c->next = c->end;
    } else {
        failure_print(c, seed, status);
        crew->result->failed++;
        crew->done += seed + 1 - c->next;
        c->next = seed + 1;
        crew->stop |= !crew->fleet->keep_going;
    }
    close(c->text);
    c->pid = 0;
}

static void progress_print(const struct crew *crew, double began)
{
    double seconds = seconds_now() - began;

    if (crew->fleet->progress)
        fprintf(stderr, "\r\033[K%llu of %llu seeds, %.0f a second, %llu do not hold",
                (ull)crew->done, (ull)crew->fleet->count,
                (double)crew->done / (seconds > 0 ? seconds : 1), (ull)crew->result->failed);
}

static struct child *child_of(struct crew *crew, pid_t pid)
{
    for (unsigned i = 0; i < crew->fleet->jobs; i++)
        if (crew->child[i].pid == pid)
            return &crew->child[i];
    return NULL;
}

static void crew_work(struct crew *crew)
{
    double began = seconds_now();

    for (;;) {
        unsigned busy = 0;
        struct child *c;
        int status;
        pid_t pid;

        for (unsigned i = 0; i < crew->fleet->jobs; i++) {
            c = &crew->child[i];
            crew->stop |= crew->fleet->seconds_max > 0
                          && seconds_now() - began > crew->fleet->seconds_max;
            if (c->pid == 0 && !crew->stop && (c->next < c->end || crew->next < crew->end))
                child_begin(crew, c);
            busy += c->pid != 0;
        }
        if (busy == 0)
            break;
        pid = waitpid(-1, &status, 0);
        if (pid < 0 && errno != EINTR)
            give_up("waitpid");
        c = pid > 0 ? child_of(crew, pid) : NULL;
        if (c)
            child_end(crew, c, status);
        progress_print(crew, began);
    }
    if (crew->fleet->progress)
        fputs("\r\033[K", stderr);
    crew->result->seconds = seconds_now() - began;
}

void fleet_run(const struct fleet *fleet, struct fleet_result *ret_result)
{
    struct fleet mine = *fleet;
    struct crew crew = {.fleet = &mine, .next = fleet->first, .end = fleet->first + fleet->count,
                        .result = ret_result};

    memset(ret_result, 0, sizeof(*ret_result));
    mine.jobs = mine.jobs < 1 ? 1 : mine.jobs > JOBS_MAX ? JOBS_MAX : mine.jobs;
    crew.reports = mmap(NULL, sizeof(*crew.reports) * JOBS_MAX, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (crew.reports == MAP_FAILED)
        give_up("mmap");
    for (unsigned i = 0; i < mine.jobs; i++)
        crew.child[i].report = &crew.reports[i];
    crew_work(&crew);
    for (unsigned i = 0; i < mine.jobs; i++) {
        ret_result->hash += crew.reports[i].hash;
        for (int k = 0; k < COVER_COUNT; k++)
            ret_result->cover[k] += crew.reports[i].cover[k];
    }
    munmap(crew.reports, sizeof(*crew.reports) * JOBS_MAX);
}

void fleet_print(const struct fleet_result *result)
{
    int column = 0;

    for (int i = 0; i < COVER_COUNT; i++) {
        char text[80];
        int len = snprintf(text, sizeof(text), "%s %llu", sim_cover_names[i],
                           (ull)result->cover[i]);

        for (char *c = text; *c; c++)
            *c = *c == '_' ? ' ' : *c;
        if (column > 0 && column + len > 96)
            column = 0;
        printf("%s%s", i == 0 ? "" : column == 0 ? ",\n" : ", ", text);
        column += len + 2;
    }
    printf("\n%.1f seconds, %.0f seeds a second; %llu do not hold\n", result->seconds,
           (double)result->cover[COVER_seeds] / (result->seconds > 0 ? result->seconds : 1),
           (ull)result->failed);
}
