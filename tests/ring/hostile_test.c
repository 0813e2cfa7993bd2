/*
 * Claims about an agent among hostile rings: however their images are damaged, before it sees them,
 * while it reads them and in the middle of a copy, it goes on; the rings of honest producers beside
 * them are read without a pause; each of their events arrives once and in order; none of another
 * ring's bytes comes out under their streams or under each other's.
 *
 * HYDRANT_SEED=N repeats one life; HYDRANT_LONG=1 tries a million images.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "pipeline/parts.h"
#include "ring/hostile_image.h"
#include "support/sim.h"
#include "support/sim_agent.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

enum {
    SLOTS = 48,                 /* images at once */
    TAGS = 8,                   /* image i has the stream and the tag i % TAGS */
    BATCHES = 12,               /* of SLOTS images, in one life */
    TURNS = 60,                 /* of a batch, while images are damaged */
    LAG_TURNS_MAX = 400,        /* an honest event is accepted within */
    PERMILLE_IN_COPY = 150
};

#define STALL_NS_MAX 50000000ULL        /* one turn's time on the processor */

static struct sim_agent agent;
static struct hostile images[SLOTS];
static unsigned image_number;
static char tags[TAGS][HOSTILE_TAG_BYTES + 1], streams[TAGS][HOSTILE_STREAM_BYTES];
static struct {
    uint64_t images, mutations, in_copy, turn_ns_max, lag_turns_max, reasons[SHM_QUARANTINE_COUNT];
    uint64_t accepted;          /* of hostile streams */
} seen;

/*
 * The last turn of a life that took too long, 0: none; and whether it is being looked at again. A
 * life is the same each time: what its rings do to a turn comes again. What a host does that takes
 * the processor away from the whole machine does not, and may be counted as the turn's.
 */
static struct {
    uint64_t turn;
    bool again;
} slow;

static uint64_t thread_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

static void mutate(struct hostile *h, enum hostile_what what)
{
    hostile_mutate(h, what);
    seen.mutations++;
}

/* In the middle of the agent's turn, between its look at a ring and its copy. */
static void on_op(void *ctx, enum sim_kind kind)
{
    (void)ctx;
    if (kind != SIM_READ || sim_random() % 1000 >= PERMILLE_IN_COPY)
        return;
    seen.in_copy++;
    for (unsigned i = 0; i < SLOTS; i += 1 + (unsigned)(sim_random() % SLOTS))
        if (images[i].open)
            mutate(&images[i], HOSTILE_FILES);
}

static void rings_print(void)
{
    struct status *status;

    SIM_AGENT_CHECK(snapshot_make(agent.shard, &status) == 0, "no snapshot");
    for (size_t i = 0; i < status->rings_count; i++)
        fprintf(stderr, "%s: state %d, %s, %s, id %" PRIu64 ", head %" PRIu64 " accepted %" PRIu64
                "\n", status->rings[i].name, (int)status->rings[i].state,
                ring_quarantine_name(status->rings[i].quarantine),
                ring_wait_name(status->rings[i].waits), status->rings[i].id,
                status->rings[i].head, status->rings[i].accepted);
    status_free(status);
}

/* ---- The honest ones ---- */

static uint64_t lag_since[SIM_AGENT_SOURCES_MAX];

static void honest_step(uint64_t turn)
{
    for (unsigned i = 0; i < agent.sources_count; i++) {
        struct sim_agent_source *src = &agent.sources[i];
        uint64_t accepted = sim_producer_pos(&src->ring, SHM_POS_ACCEPTED);

        if (accepted == src->ring.head_pos)
            lag_since[i] = turn;
        if (turn - lag_since[i] > seen.lag_turns_max)
            seen.lag_turns_max = turn - lag_since[i];
        if (turn - lag_since[i] > LAG_TURNS_MAX)
            rings_print();
        SIM_AGENT_CHECK(turn - lag_since[i] <= LAG_TURNS_MAX, "%s waits for %d turns", src->name,
                        LAG_TURNS_MAX);
        if (turn % 3 == i)
            (void)sim_agent_write(&agent, src, (uint32_t)(src->events_count % 2));
    }
}

static void turn(void)
{
    uint64_t begin = thread_ns(), ns;

    sim_agent_turn(&agent);
    ns = thread_ns() - begin;
    if (ns > seen.turn_ns_max)
        seen.turn_ns_max = ns;
    if (!SANITIZED && ns >= STALL_NS_MAX) {
        SIM_AGENT_CHECK(!slow.again || agent.turns != slow.turn, "turn %" PRIu64 " took %" PRIu64
                        " us, and not for the first time", agent.turns, ns / 1000);
        if (!slow.again)
            slow.turn = agent.turns;
    }
    honest_step(agent.turns);
}

static void reasons_count(void)
{
    for (uint32_t i = 0; i < agent.shard->rings_count; i++)
        seen.reasons[agent.shard->rings[i]->reason]++;
    for (uint32_t i = 0; i < agent.shard->outsiders_count; i++)
        seen.reasons[agent.shard->outsiders[i].reason]++;
}

/* ---- A batch of images ---- */

static void image_open(unsigned slot)
{
    struct hostile *h = &images[slot];
    char name[32];

    /* Numbered within the life, so that a seed repeats it to the letter. */
    snprintf(name, sizeof(name), "x%u.%u.ring", slot, ++image_number);
    seen.images++;
    h->other = &images[sim_random() % SLOTS];
    hostile_open(h, name, 2000 + slot % 4, streams[slot % TAGS], tags[slot % TAGS]);
    while (sim_random() % 2 == 0)
        mutate(h, HOSTILE_FILES);
}

/*
 * What is left of the images: strangers' files, which the agent has no business to remove, are
 * taken away. Returns the number of rings.
 */
static unsigned directory_clear(void)
{
    char **names, path[512];
    unsigned rings = 0;
    size_t count;

    SIM_AGENT_CHECK(sim_list(SIM_AGENT_SHM, &names, &count) == 0, "no " SIM_AGENT_SHM);
    for (size_t i = 0; i < count; i++) {
        struct shm_superblock super = {0};
        struct file_stat st;
        uint8_t *data;
        size_t len;

        if (names[i][0] == 'p' || strcmp(names[i], SHM_BELL_NAME) == 0
            || strcmp(names[i], SHM_LOCK_NAME) == 0)
            continue;
        snprintf(path, sizeof(path), SIM_AGENT_SHM "/%s", names[i]);
        if (ring_name_valid(names[i])
            && file_stat_at(discover_dir(agent.shard->discover), names[i], &st) == 0
            && S_ISREG(st.mode) && sim_read_file(path, &data, &len) == 0) {
            memcpy(&super, data, len < sizeof(super) ? len : sizeof(super));
            free(data);
            if (super.magic == SHM_MAGIC) {
                /* A copy may be whole, and wait for a stream that its user may not have. */
                SIM_AGENT_CHECK(sim_poke(path, 4096 + super.head_offset % 4096, "\1", 1) == 0,
                                "%s", path);
                rings++;
                continue;
            }
        }
        if (sim_unlink(path) != 0)
            SIM_AGENT_CHECK(sim_remove_tree(path) == 0, "%s cannot be removed", path);
    }
    free(names);
    return rings;
}

static void batch(void)
{
    for (unsigned t = 0; t < TURNS; t++) {
        for (unsigned i = t; i < SLOTS && t < 8; i += 8)
            image_open(i);
        for (unsigned n = 0; n < 3; n++) {
            struct hostile *h = &images[sim_random() % SLOTS];

            if (h->open && sim_random() % 4 == 0)
                mutate(h, HOSTILE_FILES);
            else if (h->open)
                hostile_write(h);
        }
        turn();
    }
    reasons_count();
    for (unsigned i = 0; i < SLOTS; i++) {
        hostile_ruin(&images[i]);
        hostile_close(&images[i]);
    }
    /* Each goes when people could look at it; who waited for a place, after those before it. */
    for (unsigned round = 0; directory_clear() > 0; round++) {
        if (round == 20)
            rings_print();
        SIM_AGENT_CHECK(round < 20, "rings of dead producers are left in " SIM_AGENT_SHM);
        sim_advance_ns(QUARANTINE_KEPT_NS / 2);
        for (unsigned t = 0; t < 12; t++)
            turn();
    }
}

/* ---- What must hold ---- */

static bool has(const uint8_t *data, size_t len, const char *text)
{
    return memmem(data, len, text, strlen(text)) != NULL;
}

/*
 * A file of a hostile stream: nothing honest in it. In one that its rings have defined as they
 * should (others have damaged names) there is no other tag either.
 */
static void file_check(const char *stream, const char *path)
{
    unsigned own = 0;
    uint8_t *data;
    size_t len;

    while (own < TAGS && strcmp(stream, streams[own]) != 0)
        own++;
    SIM_AGENT_CHECK(sim_read_file(path, &data, &len) == 0, "%s", path);
    SIM_AGENT_CHECK(!has(data, len, "{\"p\":"), "%s: an honest event", path);
    for (unsigned i = 0; i < TAGS; i++)
        if (own < TAGS && i != own)
            SIM_AGENT_CHECK(!has(data, len, tags[i]), "%s: an event of %s", path, streams[i]);
    free(data);
}

/* Checks the streams of hostile rings and takes them away; the rest is for sim_agent_check_all. */
static void output_check(void)
{
    char **names, **files, path[512], file[1024];
    size_t count, files_count;

    SIM_AGENT_CHECK(sim_list(SIM_AGENT_OUT, &names, &count) == 0, "no output");
    for (size_t i = 0; i < count; i++) {
        if (names[i][0] == '.' || strncmp(names[i], "stream-", 7) == 0)
            continue;
        snprintf(path, sizeof(path), SIM_AGENT_OUT "/%s", names[i]);
        SIM_AGENT_CHECK(sim_list(path, &files, &files_count) == 0, "%s", path);
        for (size_t k = 0; k < files_count; k++) {
            snprintf(file, sizeof(file), "%s/%s", path, files[k]);
            file_check(names[i], file);
        }
        free(files);
        SIM_AGENT_CHECK(sim_remove_tree(path) == 0, "%s", path);
    }
    free(names);
}

static void books_check(void)
{
    uint64_t honest = 0, written = 0;
    struct status *status;

    SIM_AGENT_CHECK(snapshot_make(agent.shard, &status) == 0, "no snapshot");
    for (size_t i = 0; i < status->streams_count; i++) {
        const struct status_stream *st = &status->streams[i];

        SIM_AGENT_CHECK(st->accepted == st->delivered + st->dropped + st->lost + st->pending,
                        "the books of %s", st->name);
        if (strncmp(st->name, "stream-", 7) == 0)
            honest += st->accepted;
        else
            seen.accepted += st->accepted;
    }
    status_free(status);
    for (unsigned i = 0; i < agent.sources_count; i++)
        written += agent.sources[i].events_count;
    SIM_AGENT_CHECK(honest == written, "%" PRIu64 " honest events accepted of %" PRIu64, honest,
                    written);
}

static void one_life(uint64_t seed)
{
    sim_agent_init(&agent, seed);
    agent.streams_count = 2;
    agent.opt.rings_max = 128;
    agent.opt.rings_per_uid_max = 14;
    agent.opt.ring_bytes_per_uid_max = 24 * SHM_RING_BYTES_MIN;
    agent.opt.streams_per_uid_max = 12;
    agent.sinks[0].buffer_count = 500;
    sim_set_disorder((unsigned)(seed % 3) * 150);
    memset(images, 0, sizeof(images));
    image_number = 0;
    for (unsigned i = 0; i < TAGS; i++) {
        snprintf(streams[i], sizeof(streams[i]), "hostile-%u-%08x", i, (unsigned)sim_random());
        snprintf(tags[i], sizeof(tags[i]), "T%016llx", (unsigned long long)sim_random());
    }
    for (unsigned i = 0; i < 2; i++)
        sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 0);
    memset(lag_since, 0, sizeof(lag_since));
    sim_agent_open(&agent);
    sim_on_op(on_op, NULL);
    for (unsigned i = 0; i < BATCHES; i++)
        batch();
    sim_on_op(NULL, NULL);
    shard_stop(agent.shard, agent.stop_ns);
    for (unsigned i = 0; agent.result == 0; i++) {
        SIM_AGENT_CHECK(i < SIM_AGENT_TURNS_MAX, "it does not stop");
        sim_agent_turn(&agent);
    }
    books_check();
    sim_agent_close(&agent);
    output_check();
    sim_agent_check_all(&agent);
    sim_agent_fini(&agent);
}

static void one_seed(uint64_t seed)
{
    slow.turn = 0;
    slow.again = false;
    one_life(seed);
    slow.again = true;
    if (slow.turn != 0)
        one_life(seed);
}

static void hostile_images_harm_nobody_else(void **state)
{
    const char *one = getenv("HYDRANT_SEED");
    uint64_t wanted = getenv("HYDRANT_LONG") ? 1000000 : SANITIZED ? 4000 : 20000;

    (void)state;
    if (one) {
        one_seed(strtoull(one, NULL, 0));
    } else {
        for (uint64_t seed = 1; seen.images < wanted; seed++)
            one_seed(seed);
    }
    print_message("%" PRIu64 " images, %" PRIu64 " mutations, %" PRIu64 " times during a copy; "
                  "%" PRIu64 " of their events accepted\n"
                  "longest turn %.1f ms, longest wait of an honest event %" PRIu64 " turns\n",
                  seen.images, seen.mutations, seen.in_copy, seen.accepted,
                  (double)seen.turn_ns_max / 1e6, seen.lag_turns_max);
    for (unsigned i = 0; i < SHM_QUARANTINE_COUNT; i++)
        print_message("  %8" PRIu64 "  %s\n", seen.reasons[i],
                      ring_quarantine_name((enum shm_quarantine)i));
    for (unsigned i = 0; i < hostile_kinds(); i++)
        print_message("  %8" PRIu64 "  %s\n", hostile_kind_count(i), hostile_kind_name(i));
    if (one)
        return;
    for (unsigned i = 0; i < hostile_kinds(); i++)
        assert_true(hostile_kind_count(i) > 0);
    for (unsigned i = 0; i < SHM_QUARANTINE_COUNT; i++)
        assert_true(seen.reasons[i] > 0 || i == SHM_QUARANTINE_QUOTA);
    assert_true(seen.accepted > 0 && seen.in_copy > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_images_harm_nobody_else),
    };

    return cmocka_run_group_tests_name("hostile rings", tests, NULL, NULL);
}
