/*
 * Claims about a span that kills the agent: three deaths by a signal of its own at one place and it
 * is left out, counted and kept; SIGKILL there never counts; a pass forgets.
 *
 * The agent here has an encoder that dies of one payload, in the way that the test asks for.
 */
#include "control/agent_process.h"

#include <dirent.h>
#include <sys/mman.h>

#include "control/lifecycle.h"
#include "encode/encoder.h"
#include "io/file.h"
#include "pipeline/crash_note.h"
#include "shm_client.h"

#define PAYLOAD "{\"boom\":true}"

enum { GOOD = 100, BAD = 5 };

static int death;                       /* what the payload does to an agent started now */

/* ---- The encoder ---- */

static void fault(uintptr_t address)
{
    volatile uintptr_t at = address;

    *(volatile char *)at = 1;
}

static void fault_by_file(void)
{
    int fd = memfd_create("gone", MFD_CLOEXEC);
    void *at = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (at != MAP_FAILED)
        fault((uintptr_t)at);
}

static void die(void)
{
    switch (death) {
    case SIGSEGV:
        fault(4096);
        break;
    case SIGBUS:
        fault_by_file();
        break;
    case SIGABRT:
        abort();
    default:
        raise(death);
    }
}

static void dying_event(const struct encoder_settings *set, const struct event *ev,
                        struct block_chain *out)
{
    if (death != 0 && ev->len == strlen(PAYLOAD) && memcmp(ev->data, PAYLOAD, ev->len) == 0)
        die();
    json_encoder.event(set, ev, out);
}

/* In the place of the agent's own. */
const struct encoder *encoder_find(const char *format)
{
    static struct encoder dying;

    dying = json_encoder;
    dying.event = dying_event;
    return strcmp(format, json_encoder.name) == 0 ? &dying : NULL;
}

/* ---- Lives ---- */

static int run_agent(const struct agent_dirs *d)
{
    static const int deadly[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
    const struct config_overrides over = {.data_dir = d->data, .shm_dir = d->shm, .http = "off"};

    /* A sanitizer's own handlers would make an exit code of a death. */
    for (size_t i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++)
        if (signal(deadly[i], SIG_DFL) == SIG_ERR)
            return 98;
    return lifecycle_run(NULL, &over);
}

static void run_and_die(const struct agent_dirs *d, int number)
{
    struct agent_process a;
    int status;

    death = number;
    agent_start(&a, d, run_agent);
    while (agent_read(&a))
        ;
    close(a.stderr_fd);
    assert_int_equal(waitpid(a.pid, &status, 0), a.pid);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != number)
        fail_msg("status %#x, not signal %d; it said:\n%s", (unsigned)status, number, a.text);
}

static void run_and_stop(struct agent_process *a, const struct agent_dirs *d, int number)
{
    death = number;
    agent_start(a, d, run_agent);
    agent_expect(a, "caught up with the log");
    agent_signal(a, SIGTERM);
    agent_expect(a, "stopped; everything is delivered");
    agent_end(a, 0);
}

static void write_ring(const struct agent_dirs *d, const char *name, unsigned count, bool bad)
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

        if (bad && i == count / 2)
            len = snprintf(text, sizeof(text), PAYLOAD);
        assert_int_equal(shmc_write(h, id, SHMC_JSON, text, (size_t)len), 0);
    }
    assert_int_equal(shmc_close(h), 0);
}

static void write_rings(const struct agent_dirs *d)
{
    write_ring(d, "first", GOOD, false);
    write_ring(d, "bad", BAD, true);
    write_ring(d, "second", GOOD, false);
}

/* ---- What is left ---- */

static unsigned lines, lines_bad;

static int count_lines(const char *path, const struct stat *st, int type, struct FTW *at)
{
    char text[256];
    FILE *file;

    (void)st;
    if (type != FTW_F || strstr(path, "/.hydrant/") || at->level == 0)
        return 0;
    file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(text, sizeof(text), file) != NULL) {
        lines++;
        lines_bad += strstr(text, "bad") != NULL || strstr(text, "boom") != NULL;
    }
    fclose(file);
    return 0;
}

static void expect_lines(const struct agent_dirs *d, unsigned all, unsigned bad)
{
    char out[128];

    lines = lines_bad = 0;
    snprintf(out, sizeof(out), "%s/out", d->data);
    assert_int_equal(nftw(out, count_lines, 16, FTW_PHYS), 0);
    assert_int_equal(lines, all);
    assert_int_equal(lines_bad, bad);
}

static off_t note_bytes(const struct agent_dirs *d)
{
    char path[128];
    struct stat st;

    snprintf(path, sizeof(path), "%s/state/crash", d->data);
    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

/* The file of a span that was left out, as text; its frames hold the payload. */
static bool kept_span(const struct agent_dirs *d)
{
    char path[128], name[400] = "", bytes[4096];
    struct dirent *entry;
    ssize_t n;
    DIR *dir;
    int fd;

    snprintf(path, sizeof(path), "%s/state", d->data);
    dir = opendir(path);
    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL)
        if (strncmp(entry->d_name, "set-aside-", 10) == 0) {
            assert_string_equal(name, "");
            snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        }
    closedir(dir);
    if (name[0] == '\0')
        return false;
    fd = open(name, O_RDONLY);
    assert_true(fd >= 0);
    n = read(fd, bytes, sizeof(bytes));
    close(fd);
    assert_true(n > 0);
    assert_non_null(memmem(bytes, (size_t)n, PAYLOAD, strlen(PAYLOAD)));
    return true;
}

/* ---- Claims ---- */

static void three_deaths_at_a_span_leave_it_out(const struct agent_dirs *d, int number)
{
    struct agent_process a;

    write_rings(d);
    for (int i = 0; i < CRASH_NOTE_DEATHS_MAX; i++)
        run_and_die(d, number);
    run_and_stop(&a, d, number);
    assert_non_null(strstr(a.text, "the agent has died there 3 times"));
    assert_non_null(strstr(a.text, "stream 'orders' was being routed when the agent died"));
    assert_non_null(strstr(a.text, "; 5 events are lost"));
    expect_lines(d, 2 * GOOD, 0);
    assert_true(kept_span(d));
    assert_int_equal(note_bytes(d), 0);

    /* Nor does it come back, while all else goes on. */
    write_ring(d, "third", GOOD, false);
    run_and_stop(&a, d, number);
    assert_null(strstr(a.text, "events are lost"));
    expect_lines(d, 3 * GOOD, 0);
}

static void a_span_that_faults_is_left_out(void **state)
{
    three_deaths_at_a_span_leave_it_out(*state, SIGSEGV);
}

/* With the handler of the guarded mappings in front of ours. */
static void a_span_that_touches_a_missing_page_is_left_out(void **state)
{
    three_deaths_at_a_span_leave_it_out(*state, SIGBUS);
}

static void a_span_that_aborts_is_left_out(void **state)
{
    three_deaths_at_a_span_leave_it_out(*state, SIGABRT);
}

static void so_do_an_illegal_instruction_and_arithmetic(void **state)
{
    struct agent_process a;

    write_rings(*state);
    run_and_die(*state, SIGILL);
    run_and_die(*state, SIGFPE);
    run_and_die(*state, SIGILL);
    run_and_stop(&a, *state, SIGFPE);
    expect_lines(*state, 2 * GOOD, 0);
}

static void sigkill_never_counts(void **state)
{
    struct agent_process a;

    write_rings(*state);
    for (int i = 0; i < CRASH_NOTE_DEATHS_MAX + 1; i++)
        run_and_die(*state, SIGKILL);
    assert_int_equal(note_bytes(*state), 0);
    run_and_stop(&a, *state, 0);
    expect_lines(*state, 2 * GOOD + BAD, BAD);
    assert_false(kept_span(*state));
}

static void a_pass_forgets_the_deaths(void **state)
{
    struct agent_process a;

    write_rings(*state);
    for (int i = 0; i < CRASH_NOTE_DEATHS_MAX - 1; i++)
        run_and_die(*state, SIGSEGV);
    assert_true(note_bytes(*state) > 0);
    run_and_stop(&a, *state, 0);
    assert_non_null(strstr(a.text, "the agent has died 2 times routing log at "));
    assert_int_equal(note_bytes(*state), 0);
    expect_lines(*state, 2 * GOOD + BAD, BAD);
}

/* Whatever a bit of the note, or its length, becomes: it says nothing, and never more deaths. */
static void a_damaged_note_says_nothing(void **state)
{
    const struct agent_dirs *d = *state;
    uint8_t whole[64], uuid[16], other[16] = {0};
    struct crash_note note;
    char path[128];
    int dir, fd;
    ssize_t len;

    write_rings(d);
    run_and_die(d, SIGSEGV);
    run_and_die(d, SIGSEGV);
    snprintf(path, sizeof(path), "%s/state", d->data);
    dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(dir >= 0);
    fd = openat(dir, "crash", O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    len = pread(fd, whole, sizeof(whole), 0);
    assert_int_equal(len, 48);
    memcpy(uuid, whole + 8, sizeof(uuid));

    assert_int_equal(crash_note_open(&note, dir, "crash", uuid), 0);
    assert_int_equal(note.deaths, 2);
    assert_true(note.lsn > 0);
    crash_note_close(&note);
    assert_int_equal(crash_note_open(&note, dir, "crash", other), 0);    /* of another log */
    assert_int_equal(note.deaths, 0);
    crash_note_close(&note);
    for (int bit = 0; bit < 48 * 8; bit++) {
        whole[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(pwrite(fd, whole, 48, 0), 48);
        assert_int_equal(crash_note_open(&note, dir, "crash", uuid), 0);
        assert_int_equal(note.deaths, 0);
        crash_note_close(&note);
        whole[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (int cut = 0; cut < 48; cut++) {
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(pwrite(fd, whole, (size_t)cut, 0), cut);
        assert_int_equal(crash_note_open(&note, dir, "crash", uuid), 0);
        assert_int_equal(note.deaths, 0);
        crash_note_close(&note);
    }
    close(fd);
    close(dir);
}

#define WITH_DIRS(test) cmocka_unit_test_setup_teardown(test, agent_dirs_make, agent_dirs_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_DIRS(a_span_that_faults_is_left_out),
        WITH_DIRS(a_span_that_touches_a_missing_page_is_left_out),
        WITH_DIRS(a_span_that_aborts_is_left_out),
        WITH_DIRS(so_do_an_illegal_instruction_and_arithmetic),
        WITH_DIRS(sigkill_never_counts),
        WITH_DIRS(a_pass_forgets_the_deaths),
        WITH_DIRS(a_damaged_note_says_nothing),
    };

    return cmocka_run_group_tests_name("crash note", tests, NULL, NULL);
}
