/*
 * Claims about an attached ring at work: its definitions, whether its producer lives, and what the
 * agent publishes to it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "ring/attach.h"
#include "libshm-client/schema_body.h"
#include "ring/ring_builder.h"

#define RING "a.1.ring"
#define NAMES_MAX 8

struct place {
    int dir;
    char path[64];
    struct built built;
    struct ring_file ring;
    struct ring_def seen[NAMES_MAX];
    int seen_count;
    int stop_at;                /* on_def's result at this one is -ENOSPC */
};

static int place_open(void **state)
{
    struct place *p = calloc(1, sizeof(*p));
    enum shm_quarantine reason;

    if (p == NULL)
        return -1;
    p->dir = built_dir_open(p->path);
    p->stop_at = -1;
    built_open(&p->built, p->dir, RING, SHM_RING_BYTES_MIN);
    *state = p;
    return ring_file_open(p->dir, RING, -1, &p->ring, &reason, NULL);
}

static int place_close(void **state)
{
    struct place *p = *state;

    ring_file_close(&p->ring);
    built_close(&p->built);
    built_dir_close(p->dir, p->path);
    free(p);
    return 0;
}

static int on_def(void *ctx, const struct ring_def *def)
{
    struct place *p = ctx;

    if (def->number == p->stop_at)
        return -ENOSPC;
    p->seen[p->seen_count % NAMES_MAX] = *def;
    p->seen_count++;
    return 0;
}

/* 0, on_def's result, or the reason as a positive number. */
static int try_defs(struct place *p)
{
    enum shm_quarantine reason = SHM_QUARANTINE_COUNT;
    int res = ring_file_defs(&p->ring, on_def, p, &reason);

    assert_in_range(reason, 0, SHM_QUARANTINE_COUNT - 1);
    assert_int_equal(res == -EBADMSG, reason != SHM_QUARANTINE_NONE);
    return res == -EBADMSG ? (int)reason : res;
}

static void definitions_arrive_once_and_in_order(void **state)
{
    struct place *p = *state;
    char longest[SHM_STREAM_NAME_MAX + 1];

    assert_int_equal(try_defs(p), 0);
    assert_int_equal(p->seen_count, 0);
    built_define(&p->built, "orders");
    built_define(&p->built, "a.b-c_D9");
    assert_int_equal(try_defs(p), 0);
    assert_int_equal(p->seen_count, 2);
    assert_string_equal(p->seen[0].name, "orders");
    assert_int_equal(p->seen[0].number, 1);
    assert_int_equal(p->seen[0].type, SHM_DEF_STREAM);
    assert_string_equal(p->seen[1].name, "a.b-c_D9");
    assert_int_equal(try_defs(p), 0);
    assert_int_equal(p->seen_count, 2);
    memset(longest, 'z', SHM_STREAM_NAME_MAX);
    longest[SHM_STREAM_NAME_MAX] = '\0';
    built_define(&p->built, longest);
    assert_int_equal(try_defs(p), 0);
    assert_int_equal(p->seen_count, 3);
    assert_string_equal(p->seen[2].name, longest);
    assert_int_equal(p->ring.defs_count, 3);
    assert_int_equal(p->ring.defs_read, p->built.defs_len);
}

/* A schema of one field of this type, of that stream. */
static void define_schema(struct place *p, uint16_t stream, uint8_t type)
{
    struct schema_body body;

    schema_body_init(&body);
    schema_body_add(&body, type, 0, "id");
    built_define_schema(&p->built, stream, body.bytes, body.len);
}

static void a_schema_belongs_to_a_stream_before_it(void **state)
{
    static const uint16_t streams[] = { 0, 2, 3, 4, UINT16_MAX };
    struct place *p = *state;

    built_define(&p->built, "orders");
    define_schema(p, 1, SHM_FIELD_I64);
    assert_int_equal(try_defs(p), 0);
    assert_int_equal(p->seen_count, 2);
    assert_int_equal(p->seen[1].number, 2);
    assert_int_equal(p->seen[1].type, SHM_DEF_SCHEMA);
    assert_int_equal(p->seen[1].stream, 1);
    assert_int_equal(p->seen[1].body_len, 10);
    assert_int_equal(p->seen[1].name[0], '\0');
    assert_true(frames_schemas_has(&p->ring.schemas, 2));
    assert_false(frames_schemas_has(&p->ring.schemas, 1));
    /* None, another schema, itself, one to come, none that could be. */
    for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
        uint32_t len = p->built.defs_len;

        define_schema(p, streams[i], SHM_FIELD_I64);
        assert_int_equal(try_defs(p), SHM_QUARANTINE_DEFINITION);
        assert_int_equal(p->seen_count, 2);
        p->built.defs_len = len;
        p->built.defs_count--;
    }
    define_schema(p, 1, SHM_FIELD_U64);
    assert_int_equal(try_defs(p), 0);
    assert_int_equal(p->seen_count, 3);
}

static void a_malformed_schema_is_refused(void **state)
{
    struct place *p = *state;

    built_define(&p->built, "orders");
    define_schema(p, 1, SHM_FIELD_TYPE_COUNT);
    assert_int_equal(try_defs(p), SHM_QUARANTINE_DEFINITION);
    assert_int_equal(p->seen_count, 1);
    assert_int_equal(p->ring.defs_count, 1);
    assert_false(frames_schemas_has(&p->ring.schemas, 2));
}

static void a_refused_definition_is_offered_again(void **state)
{
    struct place *p = *state;

    built_define(&p->built, "one");
    built_define(&p->built, "two");
    built_define(&p->built, "three");
    p->stop_at = 2;
    assert_int_equal(try_defs(p), -ENOSPC);
    assert_int_equal(p->ring.defs_count, 1);
    assert_int_equal(try_defs(p), -ENOSPC);
    assert_int_equal(p->seen_count, 1);
    p->stop_at = -1;
    assert_int_equal(try_defs(p), 0);
    assert_int_equal(p->seen_count, 3);
    assert_string_equal(p->seen[1].name, "two");
    assert_string_equal(p->seen[2].name, "three");
}

static void each_malformed_field_of_a_definition_is_refused(void **state)
{
    struct place *p = *state;
    static const struct {
        size_t offset, len;
        uint64_t value;
        int reason;
    } cases[] = {
        { 0, 4, 0, SHM_QUARANTINE_DEFINITION },
        { 0, 4, 8, SHM_QUARANTINE_DEFINITION },
        { 0, 4, 16, SHM_QUARANTINE_DEFINITION },
        { 0, 4, 28, SHM_QUARANTINE_DEFINITION },
        { 0, 4, 32, SHM_QUARANTINE_DEFINITION },        /* beyond what is published */
        { 0, 4, 0xfffffff8U, SHM_QUARANTINE_DEFINITION },
        { 4, 2, 0, SHM_QUARANTINE_DEFINITION },
        { 4, 2, 1, SHM_QUARANTINE_DEFINITION },         /* the one before */
        { 4, 2, 3, SHM_QUARANTINE_DEFINITION },
        { 6, 1, 0, SHM_QUARANTINE_DEFINITION },
        { 6, 1, 2, SHM_QUARANTINE_DEFINITION },         /* a schema of stream 0 */
        { 6, 1, 3, SHM_QUARANTINE_DEFINITION },
        { 7, 1, 1, SHM_QUARANTINE_DEFINITION },
        { 8, 4, 0, SHM_QUARANTINE_DEFINITION },
        { 8, 4, 5, 0 },                                 /* a shorter name is a name */
        { 8, 4, 9, SHM_QUARANTINE_DEFINITION },
        { 8, 4, UINT32_MAX, SHM_QUARANTINE_DEFINITION },
        { 12, 2, 1, SHM_QUARANTINE_DEFINITION },
        { 14, 2, 1, SHM_QUARANTINE_DEFINITION },
        { 16, 1, '.', SHM_QUARANTINE_DEFINITION },
        { 16, 1, '-', SHM_QUARANTINE_DEFINITION },
        { 16, 1, '_', SHM_QUARANTINE_DEFINITION },
        { 17, 1, '_', 0 },
        { 17, 1, '/', SHM_QUARANTINE_DEFINITION },
        { 17, 1, ' ', SHM_QUARANTINE_DEFINITION },
        { 17, 1, '\0', SHM_QUARANTINE_DEFINITION },
        { 17, 1, 0xc3, SHM_QUARANTINE_DEFINITION },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum shm_quarantine reason;
        uint8_t *second;

        memset(p->built.defs, 0, SHM_DEFS_BYTES);
        p->built.defs_len = 0;
        p->built.defs_count = 0;
        built_define(&p->built, "orders");
        second = p->built.defs + p->built.defs_len;
        built_define(&p->built, "invoices");
        memcpy(second + cases[i].offset, &cases[i].value, cases[i].len);

        ring_file_close(&p->ring);
        assert_int_equal(ring_file_open(p->dir, RING, -1, &p->ring, &reason, NULL), 0);
        p->seen_count = 0;
        assert_int_equal(try_defs(p), cases[i].reason);
        assert_int_equal(p->seen_count, cases[i].reason == 0 ? 2 : 1);
    }
}

static void the_published_length_is_checked_and_never_shrinks(void **state)
{
    struct place *p = *state;
    _Atomic uint32_t *published = &p->built.producer->defs_bytes;

    atomic_store(published, SHM_DEFS_BYTES + 8);
    assert_int_equal(try_defs(p), SHM_QUARANTINE_DEFINITION);
    atomic_store(published, UINT32_MAX & ~7U);
    assert_int_equal(try_defs(p), SHM_QUARANTINE_DEFINITION);
    atomic_store(published, 12);
    assert_int_equal(try_defs(p), SHM_QUARANTINE_DEFINITION);
    atomic_store(published, 8);
    assert_int_equal(try_defs(p), SHM_QUARANTINE_DEFINITION);
    built_define(&p->built, "orders");
    assert_int_equal(try_defs(p), 0);
    atomic_store(published, p->built.defs_len - 8);
    assert_int_equal(try_defs(p), SHM_QUARANTINE_DEFINITION);
    atomic_store(published, 0);
    assert_int_equal(try_defs(p), SHM_QUARANTINE_DEFINITION);
    assert_int_equal(p->seen_count, 1);
}

static void a_definition_that_changes_after_it_was_read_changes_nothing(void **state)
{
    struct place *p = *state;

    built_define(&p->built, "orders");
    assert_int_equal(try_defs(p), 0);
    memset(p->built.defs, 0xff, p->built.defs_len);
    built_define(&p->built, "invoices");
    assert_int_equal(try_defs(p), 0);
    assert_int_equal(p->seen_count, 2);
    assert_string_equal(p->seen[0].name, "orders");
    assert_string_equal(p->seen[1].name, "invoices");
}

static void there_are_at_most_as_many_definitions_as_agreed(void **state)
{
    struct place *p = *state;
    char name[16];

    for (unsigned i = 1; i <= SHM_DEFS_MAX; i++) {
        snprintf(name, sizeof(name), "s%u", i);
        built_define(&p->built, name);
    }
    assert_int_equal(try_defs(p), 0);
    assert_int_equal(p->seen_count, SHM_DEFS_MAX);
    built_define(&p->built, "more");
    assert_int_equal(try_defs(p), SHM_QUARANTINE_DEFINITION);
    assert_int_equal(p->ring.defs_count, SHM_DEFS_MAX);
}

static void definitions_may_fill_their_whole_area(void **state)
{
    const uint32_t want = SHM_DEFS_BYTES - 24 - sizeof(struct shm_def);
    struct place *p = *state;
    struct schema_body body;
    char name[SHM_FIELD_NAME_MAX + 1] = "";

    schema_body_init(&body);
    memset(name, 'n', SHM_FIELD_NAME_MAX);
    for (unsigned i = 0; body.len < want; i++) {
        uint32_t left = want - (uint32_t)body.len - (uint32_t)sizeof(struct shm_field);

        name[i % SHM_FIELD_NAME_MAX] = 'm';
        if (left < 2 * SHM_FIELD_NAME_MAX)
            name[left > SHM_FIELD_NAME_MAX ? 250 : left] = '\0';
        schema_body_add(&body, SHM_FIELD_BYTES, 0, name);
    }
    assert_int_equal(body.len, want);
    built_define(&p->built, "orders");
    assert_int_equal(p->built.defs_len, 24);
    built_define_schema(&p->built, 1, body.bytes, body.len);
    assert_int_equal(p->built.defs_len, SHM_DEFS_BYTES);
    assert_int_equal(try_defs(p), 0);
    assert_int_equal(p->seen_count, 2);
    assert_int_equal(p->seen[1].body_len, want);
}

/*
 * A producer in a process of its own: maps and locks `name`, closes the descriptor, tells its pid,
 * and lives until the other end of `until` is closed. With `heir`, it forks: the child lives so
 * long instead, and the producer returns at once.
 */
static pid_t producer_start(int dir, const char *name, bool heir, int *ret_until)
{
    int ready[2], until[2];
    uint8_t byte = 0;
    pid_t pid;

    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    assert_int_equal(pipe2(until, O_CLOEXEC), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct built built;

        close(until[1]);
        built_open(&built, dir, name, SHM_RING_BYTES_MIN);
        built_lock(&built);
        close(built.fd);
        if (heir && fork() > 0)
            _exit(0);
        if (write(ready[1], &byte, 1) != 1)
            _exit(1);
        close(ready[1]);
        _exit(read(until[0], &byte, 1) == 0 ? 0 : 1);
    }
    close(ready[1]);
    close(until[0]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    *ret_until = until[1];
    return pid;
}

static void attach_other(struct place *p, const char *name)
{
    enum shm_quarantine reason;

    ring_file_close(&p->ring);
    assert_int_equal(ring_file_open(p->dir, name, -1, &p->ring, &reason, NULL), 0);
}

static void a_ring_lives_until_its_producer_exits(void **state)
{
    struct place *p = *state;
    int until, status;
    pid_t pid = producer_start(p->dir, "b.ring", false, &until);

    attach_other(p, "b.ring");
    assert_int_equal(ring_file_alive(&p->ring), 1);
    close(until);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(ring_file_alive(&p->ring), 0);
}

static void a_killed_producer_leaves_an_orphan(void **state)
{
    struct place *p = *state;
    int until, status;
    pid_t pid = producer_start(p->dir, "b.ring", false, &until);

    attach_other(p, "b.ring");
    assert_int_equal(ring_file_alive(&p->ring), 1);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(ring_file_alive(&p->ring), 0);
    close(until);
}

static void a_child_that_inherits_the_mapping_keeps_it_alive(void **state)
{
    struct place *p = *state;
    int until, status;
    pid_t pid;

    /* When its parent is gone, the heir becomes a child of this process, which waits for it. */
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    pid = producer_start(p->dir, "b.ring", true, &until);
    attach_other(p, "b.ring");
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(ring_file_alive(&p->ring), 1);
    close(until);
    assert_true(waitpid(-1, &status, 0) > 0);
    assert_int_equal(status, 0);
    assert_int_equal(ring_file_alive(&p->ring), 0);
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

static void a_position_is_published_without_touching_a_word_nobody_waits_on(void **state)
{
    struct place *p = *state;
    struct shm_mark *mark = &p->built.consumer->mark[SHM_POS_DURABLE];

    ring_file_publish(&p->ring, SHM_POS_DURABLE, 4096);
    assert_int_equal(atomic_load(&mark->pos), 4096);
    assert_int_equal(atomic_load(&mark->futex), 0);
    atomic_store(&p->built.producer->waiter, 1);
    ring_file_publish(&p->ring, SHM_POS_DURABLE, 8192);
    assert_int_equal(atomic_load(&mark->pos), 8192);
    assert_int_equal(atomic_load(&mark->futex), 1);
    assert_int_equal(atomic_load(&p->built.consumer->mark[SHM_POS_ACCEPTED].pos), 0);
    assert_int_equal(atomic_load(&p->built.consumer->mark[SHM_POS_DELIVERED].pos), 0);
}

#define STEPS 20000

struct waiter {
    struct built *built;
    _Atomic uint64_t reached;
    bool timed_out;
};

/* The producer's side of W1: waits for each position in turn. */
static void *waiter_run(void *arg)
{
    struct waiter *w = arg;
    struct shm_mark *mark = &w->built->consumer->mark[SHM_POS_ACCEPTED];
    const struct timespec limit = { .tv_sec = 60 };

    for (uint64_t want = 1; want <= STEPS && !w->timed_out; want++) {
        for (;;) {
            uint32_t word = atomic_load_explicit(&mark->futex, memory_order_acquire);

            atomic_store_explicit(&w->built->producer->waiter, 1, memory_order_relaxed);
            atomic_thread_fence(memory_order_seq_cst);
            if (atomic_load_explicit(&mark->pos, memory_order_acquire) >= want)
                break;
            if (syscall(SYS_futex, &mark->futex, FUTEX_WAIT, word, &limit, NULL, 0) != 0 &&
                errno == ETIMEDOUT) {
                w->timed_out = true;
                break;
            }
        }
        atomic_store_explicit(&w->built->producer->waiter, 0, memory_order_relaxed);
        atomic_store_explicit(&w->reached, want, memory_order_release);
    }
    return NULL;
}

static void no_wake_up_is_lost(void **state)
{
    struct place *p = *state;
    struct waiter w = { .built = &p->built };
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, waiter_run, &w), 0);
    for (uint64_t pos = 1; pos <= STEPS; pos++) {
        ring_file_publish(&p->ring, SHM_POS_ACCEPTED, pos);
        /* One position at a time: a lost wake-up would leave the waiter asleep for good. */
        while (atomic_load_explicit(&w.reached, memory_order_acquire) < pos)
            sched_yield();
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_false(w.timed_out);
}

/* Waits like a producer on DELIVERED, until it sees a quarantine. */
static void *stale_run(void *arg)
{
    struct waiter *w = arg;
    struct shm_mark *mark = &w->built->consumer->mark[SHM_POS_DELIVERED];
    const struct timespec limit = { .tv_sec = 60 };

    for (;;) {
        uint32_t word = atomic_load_explicit(&mark->futex, memory_order_acquire);

        atomic_store_explicit(&w->built->producer->waiter, 1, memory_order_relaxed);
        atomic_store_explicit(&w->reached, 1, memory_order_release);
        atomic_thread_fence(memory_order_seq_cst);
        if (atomic_load_explicit(&w->built->consumer->quarantine, memory_order_acquire) != 0)
            return NULL;
        if (syscall(SYS_futex, &mark->futex, FUTEX_WAIT, word, &limit, NULL, 0) != 0 &&
            errno == ETIMEDOUT) {
            w->timed_out = true;
            return NULL;
        }
    }
}

static void a_quarantine_wakes_whoever_waits_and_keeps_its_first_reason(void **state)
{
    struct place *p = *state;
    struct waiter w = { .built = &p->built };
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, stale_run, &w), 0);
    while (atomic_load_explicit(&w.reached, memory_order_acquire) == 0)
        sched_yield();
    ring_file_quarantine(&p->ring, SHM_QUARANTINE_FRAME, 640);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_false(w.timed_out);
    ring_file_quarantine(&p->ring, SHM_QUARANTINE_SIZE, 1280);
    assert_int_equal(atomic_load(&p->built.consumer->quarantine), SHM_QUARANTINE_FRAME);
    assert_int_equal(atomic_load(&p->built.consumer->quarantine_pos), 640);
}

static void control_words_reach_the_producer_and_the_agent(void **state)
{
    struct place *p = *state;

    ring_file_adopt(&p->ring, 77, 5);
    assert_int_equal(atomic_load(&p->built.consumer->agent_epoch), 77);
    assert_int_equal(atomic_load(&p->built.consumer->ring_id), 5);
    ring_file_want(&p->ring, true);
    assert_int_equal(atomic_load(&p->built.consumer->wanted), 1);
    ring_file_want(&p->ring, false);
    assert_int_equal(atomic_load(&p->built.consumer->wanted), 0);
    atomic_store(&p->built.producer->wanted[SHM_POS_DELIVERED], 123456);
    assert_int_equal(ring_file_wanted(&p->ring, SHM_POS_DELIVERED), 123456);
    assert_int_equal(ring_file_wanted(&p->ring, SHM_POS_DURABLE), 0);
}

static void every_reason_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int i = 0; i < SHM_QUARANTINE_COUNT; i++)
        for (int j = 0; j < i; j++)
            assert_string_not_equal(ring_quarantine_name((enum shm_quarantine)i),
                                    ring_quarantine_name((enum shm_quarantine)j));
    assert_string_equal(ring_quarantine_name(SHM_QUARANTINE_FRAME), "frame");
    assert_string_equal(ring_quarantine_name((enum shm_quarantine)99), "unknown");
}

#define CLAIM(test) cmocka_unit_test_setup_teardown(test, place_open, place_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(definitions_arrive_once_and_in_order),
        CLAIM(a_schema_belongs_to_a_stream_before_it),
        CLAIM(a_malformed_schema_is_refused),
        CLAIM(a_refused_definition_is_offered_again),
        CLAIM(each_malformed_field_of_a_definition_is_refused),
        CLAIM(the_published_length_is_checked_and_never_shrinks),
        CLAIM(a_definition_that_changes_after_it_was_read_changes_nothing),
        CLAIM(there_are_at_most_as_many_definitions_as_agreed),
        CLAIM(definitions_may_fill_their_whole_area),
        CLAIM(a_ring_lives_until_its_producer_exits),
        CLAIM(a_killed_producer_leaves_an_orphan),
        CLAIM(a_child_that_inherits_the_mapping_keeps_it_alive),
        CLAIM(a_position_is_published_without_touching_a_word_nobody_waits_on),
        CLAIM(no_wake_up_is_lost),
        CLAIM(a_quarantine_wakes_whoever_waits_and_keeps_its_first_reason),
        CLAIM(control_words_reach_the_producer_and_the_agent),
        cmocka_unit_test(every_reason_has_a_name_of_its_own),
    };

    return cmocka_run_group_tests_name("attach live", tests, NULL, NULL);
}
