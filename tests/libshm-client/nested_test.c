/*
 * A signal handler that writes, after each single instruction of a write that it interrupts: the
 * processor's trap flag runs the handler there. Whatever the instruction, the nested write is
 * either refused or whole, and the interrupted one succeeds. On x86-64 alone, and not under TSan,
 * whose run time cannot be stepped through: it takes locks that the handler's calls want, too.
 */
#define _GNU_SOURCE
#include "libshm-client/ring_reader.h"

#include <signal.h>
#include <ucontext.h>

#define INNER_TIME 7U
#define INNER_LEN  70U
#define STEPS_MAX  100000U
#define TRAP_FLAG  0x100

#if defined(__x86_64__)

/* The sanitizer's own instructions are most of them. */
#ifdef __SANITIZE_ADDRESS__
enum { STRIDE = 7 };
#else
enum { STRIDE = 1 };
#endif

enum how { BY_WRITE, BY_STRUCT, BY_FIELDS };

#define RECORD_DATA 64U
#define RECORD(FIELD, s) FIELD(s, ARRAY, data, RECORD_DATA)
SHMC_STRUCT(record, RECORD);

static struct {
    struct shmc *h;
    uint16_t stream, schema;
    uint8_t data[INNER_LEN];
    uint64_t step, at; /* the handler counts steps and writes at one of them */
    int rc;
    uint64_t committed;
} nested;

/* Below the red zone, which the compiler may be using. */
static inline void steps_begin(void)
{
    __asm__ volatile("lea -128(%%rsp), %%rsp\n\tpushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\t"
                     "lea 128(%%rsp), %%rsp" ::: "memory", "cc");
}

static inline void steps_end(void)
{
    __asm__ volatile("lea -128(%%rsp), %%rsp\n\tpushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq\n\t"
                     "lea 128(%%rsp), %%rsp" ::: "memory", "cc");
}

static void on_step(int number, siginfo_t *info, void *context)
{
    ucontext_t *interrupted = context;

    (void)number;
    (void)info;
    if (nested.step++ != nested.at)
        return;
    interrupted->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG; /* the rest is run at once */
    nested.rc = shmc_write_at(nested.h, nested.stream, SHMC_TEXT, INNER_TIME, nested.data,
                              INNER_LEN);
    if (shmc_position(nested.h, SHMC_COMMITTED, &nested.committed) != 0)
        nested.rc = -EBADMSG;
}

static int record_fill(const struct record *record)
{
    int rc = shmc_record_begin(nested.h, nested.schema, sizeof(record->data));

    (void)shmc_set_bytes(nested.h, 0, record->data, sizeof(record->data));
    return rc == 0 ? shmc_record_commit(nested.h) : rc;
}

/* One event that is interrupted after instruction number `at`; false if it takes fewer. */
static bool write_stepped(uint64_t at, enum how how, const uint8_t *data, size_t len)
{
    struct record record;
    int rc;

    memset(record.data, 'o', sizeof(record.data));
    nested.step = 0;
    nested.at = at;
    nested.rc = 1;
    steps_begin();
    if (how == BY_STRUCT)
        rc = shmc_write_struct(nested.h, nested.schema, &record);
    else if (how == BY_FIELDS)
        rc = record_fill(&record);
    else
        rc = shmc_write(nested.h, nested.stream, SHMC_BYTES, data, len);
    steps_end();
    assert_int_equal(rc, 0);
    return nested.step > at;
}

/* Both events as they were written, in either order, or the outer one alone. */
static void events_check(struct ring_reader *reader, const uint8_t *data, uint32_t len)
{
    bool inner = false, outer = false;
    struct shm_frame frame;

    while (reader_next(reader, &frame)) {
        bool *seen = frame.kind == SHM_KIND_TEXT ? &inner : &outer;

        assert_false(*seen);
        *seen = true;
        assert_int_equal(frame.len, seen == &inner ? INNER_LEN : len);
        assert_memory_equal(reader->payload, seen == &inner ? nested.data : data, frame.len);
        if (seen == &inner)
            assert_int_equal(frame.time_ns, INNER_TIME);
    }
    assert_true(outer);
    assert_true(inner == (nested.rc == 0));
    assert_true(nested.committed <= reader->pos);
    (void)reader_publish(reader, SHM_POS_ACCEPTED, reader->pos);
}

static void a_write_nested_at_any_instruction_is_whole_or_refused(void **state)
{
    static const struct {
        enum shmc_clock clock;
        uint32_t len;
        enum how how;
    } cases[] = {{SHMC_CLOCK_NONE, 13, BY_WRITE},      {SHMC_CLOCK_NONE, 64, BY_WRITE},
                     {SHMC_CLOCK_NONE, 200, BY_WRITE},     {SHMC_CLOCK_COARSE, 64, BY_WRITE},
                     {SHMC_CLOCK_TSC, 64, BY_WRITE},       {SHMC_CLOCK_NONE, 72, BY_STRUCT},
                     {SHMC_CLOCK_TSC, 72, BY_STRUCT},      {SHMC_CLOCK_NONE, 72, BY_FIELDS}};
    const struct shm_ref ref = {sizeof(ref), RECORD_DATA};
    struct scratch *scratch = *state;
    struct shmc_options opt = scratch_options(scratch);
    struct sigaction act = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO}, kept;
    uint8_t data[200];

    memset(nested.data, 'i', sizeof(nested.data));
    assert_int_equal(sigaction(SIGTRAP, &act, &kept), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct shmc_stats stats = SHMC_STATS_INIT;
        uint64_t whole = 0, refused = 0, at = 0, writes = 1;
        struct ring_reader reader;

        memset(data, 'o', sizeof(data));
        if (cases[i].how != BY_WRITE)
            memcpy(data, &ref, sizeof(ref)); /* the record's payload */
        opt.clock = cases[i].clock;
        nested.h = scratch_open(&opt);
        nested.stream = scratch_stream(nested.h);
        assert_int_equal(shmc_schema(nested.h, nested.stream, record_fields, record_count,
                                     &nested.schema), 0);
        reader_open(&reader, scratch->dir, shmc_name(nested.h));
        while (write_stepped(at, cases[i].how, data, cases[i].len)) {
            assert_true(nested.rc == 0 || nested.rc == -EBUSY);
            events_check(&reader, data, cases[i].len);
            whole += nested.rc == 0;
            refused += nested.rc == -EBUSY;
            writes++;
            at += STRIDE;
            assert_in_range(at, 1, STEPS_MAX);
        }
        events_check(&reader, data, cases[i].len);
        assert_true(whole > 0);
        assert_true(refused > 0);
        assert_int_equal(shmc_stats(nested.h, &stats), 0);
        assert_int_equal(stats.events, writes + whole);
        reader_close(&reader);
        assert_int_equal(shmc_close(nested.h), 0);
    }
    assert_int_equal(sigaction(SIGTRAP, &kept, NULL), 0);
}

#else

static void a_write_nested_at_any_instruction_is_whole_or_refused(void **state)
{
    (void)state;
    skip();
}

#endif

#define CLAIM(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(a_write_nested_at_any_instruction_is_whole_or_refused),
    };

    return cmocka_run_group_tests_name("nested", tests, NULL, NULL);
}
